"""Networks and data by name: what stands between Keras's loop and a model's bound.

A model's factors name its networks' inputs and its data. Here the networks are taken in and fitted
to each other, data are found by name and checked, and all of it is saved. Nothing here knows what
is done with them.
"""

from __future__ import annotations

import abc
from typing import Any

import keras
import tensorflow as tf

from cvae_tf import checks, signatures, wiring
from cvae_tf.networks import convolves
from cvae_tf.noise import Place
from cvae_tf.programs import device
from cvae_tf.training import ManyStepModel

_PARTS = ("family", "prior_family", "estimator", "penalty")


class _Wired(abc.ABCMeta):
    """Classes whose models are tried on one row of zeros as soon as they are made."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        model = super().__call__(*args, **kwargs)
        wiring.check_factors(model)
        return model


class WiredModel(ManyStepModel, metaclass=_Wired):
    """A model whose networks and data are found by the names of its factors' arguments.

    Args:
        nets: {"likelihood_net": …, …}, built Keras models, None where a factor has no parents.
        family: the likelihood's family.
        seed: int; with the number of batches seen it determines all noise and the order of rows.
        **kwargs: Keras's own, such as `name`.

    Attributes:
        observed: class attribute, the variable that the likelihood explains.
        integer_variables: class attribute, variables that are labels, −1 for unknown.
        further_factors: class attribute, {name: variable}: factors beside the three, each a method
            `name` over that variable, with a network `name_net`.
        shapes: {variable: event shape}, read off the networks.
    """

    observed = "x"
    integer_variables: tuple[str, ...] = ()
    further_factors: dict[str, str] = {}
    latent_dim = 0
    shapes: dict[str, tuple[int, ...]]

    def __init__(
        self, nets: dict[str, Any], family: Any, *, seed: int = 0, dtype: Any = None, **kwargs: Any
    ) -> None:
        for name in self.further_factors:
            nets[f"{name}_net"] = kwargs.pop(f"{name}_net", None)
        wiring.check_networks(type(self), nets, family)
        unknown = sorted(set(kwargs) - {"name", "trainable"})
        if unknown:
            raise checks.WrongKind(
                f"Received {', '.join(unknown)}. Expected the arguments of {type(self).__name__}: "
                f"networks, family, seed and so on; see help({type(self).__name__})."
            )
        dtype = wiring.network_dtype(nets["likelihood_net"])  # whatever a stored policy says
        super().__init__(seed=seed, dtype=dtype, **kwargs)
        self._net_names = tuple(nets)
        for name, net in nets.items():
            setattr(self, name, net)
        self.family = family
        self._fit_family()
        self.data_names = signatures.parents(self.factors)
        self.built = True

    @property
    def nets(self) -> dict[str, Any]:
        """{name: network}, None where a factor has no parents."""
        return {name: getattr(self, name) for name in self._net_names}

    @property
    def conditions(self) -> tuple[str, ...]:
        """The variables that are given: all data but what is observed."""
        return tuple(name for name in self.data_names if name != self.observed)

    @property
    def data_shapes(self) -> dict[str, tuple[int, ...]]:
        """The event shapes of the data that come in."""
        return {name: self.shapes[name] for name in self.data_names}

    def on_change(self) -> None:
        wiring.check_networks(type(self), self.nets, self.family)
        self._fit_family()
        if (shapes := wiring.variable_shapes(self)) != self.shapes:
            raise ValueError(
                f"A network was replaced, and the variables' shapes are {shapes} now. Expected "
                f"those that the model was made with, {self.shapes}: make a new model for others."
            )
        wiring.check_factors(self)

    def _fit_family(self) -> None:
        """Build the family, or check that it was built for what the likelihood's network gives."""
        raw, family = self.likelihood_net.output_shape, self.family
        if not family.built:
            family.build(raw)
        *leading, last = family.event_shape
        if (*leading, family.raw_size(last)) != tuple(raw[1:]):
            raise ValueError(
                f"likelihood_net gives numbers of shape {raw[1:]}, and its family is that of a "
                f"network for events of shape {family.event_shape}. Expected one that fits: make "
                "the network for such events, or a new family."
            )

    def suits_xla(self) -> bool:
        """False for convolutions on a CPU: XLA's are many times slower there."""
        return device() == "GPU" or not convolves(self)

    @abc.abstractmethod
    def factors(self, *data: Any) -> Any:
        """What the model's bound is made of; its arguments name the data."""

    def compile(
        self, optimizer: Any = "adam", *, auto_scale_loss: bool = True, **options: Any
    ) -> None:
        """Choose the optimiser. The loss is the model's own bound.

        Args:
            optimizer: Keras optimiser or its name.
            auto_scale_loss: as in Keras: with `mixed_float16` networks the loss is scaled.
            **options: `run_eagerly`, `steps_per_execution`, `jit_compile`: see `ManyStepModel`.

        Raises:
            ValueError: for `loss=` and other arguments that have no meaning here.
        """
        known = ("run_eagerly", "steps_per_execution", "jit_compile")
        refused = [name for name, v in options.items() if name not in known and v is not None]
        if refused:
            raise ValueError(
                f"Received {', '.join(refused)}. Expected optimizer=… alone: {type(self).__name__} "
                "has its own bound. Override `objective` for another; for logs use callbacks."
            )
        try:
            found = keras.optimizers.get(optimizer)
        except (ValueError, TypeError):
            found = None
        if found is None:
            raise ValueError(
                f"Received optimizer={optimizer!r}. Expected a Keras optimiser, such as "
                "keras.optimizers.Adam(1e-3), or its name."
            )
        half = any(net and wiring.has_policy(net, "mixed_float16") for net in self.nets.values())
        scaled = isinstance(found, keras.optimizers.LossScaleOptimizer)
        if half and auto_scale_loss and not scaled:
            found = keras.optimizers.LossScaleOptimizer(found)
        super().compile(found, **{k: v for k, v in options.items() if k in known})

    # Data by name -------------------------------------------------------------------------------

    def factors_see(self, *data: Any, place: Place | None) -> tuple[Any, ...]:
        """What the factors see of the data: here, the data.

        Args:
            *data: tensors [B, …].
            place: where noise is drawn, if that takes any; None: use means.
        """
        return data

    def shown(self, observation: tf.Tensor) -> tf.Tensor:
        """An observation of the factors' as it came in: the way back from `factors_see`."""
        return observation

    def check_variable(self, name: str, values: Any, where: str, least: int = -1) -> Any:
        """One variable's values as an array of the dtype that the factors take; checked."""
        return wiring.variable(self, name, values, where, least)

    def given(self, *data: Any, where: str, least: int = -1) -> tuple[Any, ...]:
        """Data, checked, as the factors see them in evaluation.

        Args:
            *data: x or (x, y), [N, …].
            where: str for messages.
            least: int, the least label that is allowed; −1 allows "unknown".
        """
        arrays = wiring.variables(self, self.data_names, data, where, least)
        return self.factors_see(*self._tensors(arrays), place=Place("evaluation"))

    def batch_of(self, x: Any, y: Any, sample_weight: Any, where: str) -> tuple[Any, ...]:
        """Data by name, checked: (x,), (x, y) or (x, y, weights); of three variables, a dict."""
        values = wiring.by_name(self, self.data_names, x, y, where)
        arrays = wiring.variables(self, self.data_names, values, where)
        return wiring.packed(self.data_names, arrays, sample_weight, where)

    def inputs_of(self, x: Any, where: str, y: Any = None) -> tuple[Any, ...]:
        if y is not None and self.conditions:  # a batch of all data, as `fit` takes it
            whole = wiring.by_name(self, self.data_names, x, y, where)
            named = dict(zip(self.data_names, whole, strict=True))
            x = {name: named[name] for name in self.predicts_from}
        values = wiring.by_name(self, self.predicts_from, x, None, where)
        arrays = wiring.variables(self, self.predicts_from, values, where)
        if len(arrays) == 1:
            return arrays
        return (dict(zip(self.predicts_from, arrays, strict=True)),)  # (y, t) would read as (x, y)

    def condition(self, given: Any, where: str) -> dict[str, Any]:
        """{name: tensor} of the conditions, checked; labels must be known."""
        values = wiring.by_name(self, self.conditions, given, None, where)
        arrays = wiring.variables(self, self.conditions, values, where, least=0)
        tensors = (self._tensor(n, a) for n, a in zip(self.conditions, arrays, strict=True))
        return dict(zip(self.conditions, tensors, strict=True))

    @property
    def predicts_from(self) -> tuple[str, ...]:
        """The variables that `predict` is given."""
        return self.conditions or self.data_names

    def unpack(self, data: Any) -> tuple[tuple[Any, ...], Any]:
        """(the variables as tensors, weights or None) of a batch as Keras gives it."""
        x, y, weights = keras.utils.unpack_x_y_sample_weight(data)
        if isinstance(x, dict):
            values = [x[name] for name in self.data_names]
        else:
            values = [v for v in (x, y) if v is not None]
        return self._tensors(values), None if weights is None else self.tensor(weights)

    def tensor(self, values: Any) -> tf.Tensor:
        """Numbers as a tensor of the dtype in which the model computes."""
        return tf.cast(tf.convert_to_tensor(values), self.compute_dtype)

    def _tensors(self, values: Any) -> tuple[tf.Tensor, ...]:
        return tuple(self._tensor(n, v) for n, v in zip(self.data_names, values, strict=True))

    def _tensor(self, name: str, values: Any) -> tf.Tensor:
        is_label = name in self.integer_variables
        return tf.cast(tf.convert_to_tensor(values), tf.int32) if is_label else self.tensor(values)

    # Saving -------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        parts = {**self.nets, **{name: getattr(self, name, None) for name in _PARTS}}
        if parts["prior_family"] is getattr(self, "latent", None):
            parts["prior_family"] = None  # the default
        stored = {name: part for name, part in parts.items() if part is not None}
        config = {n: keras.saving.serialize_keras_object(part) for n, part in stored.items()}
        return {**super().get_config(), **config, "seed": self.seed}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        load = keras.saving.deserialize_keras_object
        stored = {n: v for n, v in config.items() if isinstance(v, dict) and "class_name" in v}
        parts = {name: load(v, custom_objects=custom_objects) for name, v in stored.items()}
        return cls(**{**config, **parts})
