r"""What a latent variable has to beat: the deterministic network, and the inputs' extras.

`Baseline` predicts y from x without a z. `with_first_guess` lets another model's network see that
prediction, and `corrupted` puts noise in front of a network while it trains; both take a built
network and return a built network, so no model knows of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from cvae_tf import checks, noise, wiring
from cvae_tf.base import BoundModel
from cvae_tf.distributions import Bernoulli, Distribution, Tensor, observe
from cvae_tf.estimators import Bound
from cvae_tf.networks import apply


@keras.saving.register_keras_serializable("cvae_tf")
class Baseline(BoundModel):
    r"""p(y|x) = family(network(x)): a deterministic network under the same likelihood.

    There is no z, so there is nothing to infer, and the bound (5.2) is log p(y|x) itself. It
    trains, validates, saves and is evaluated as CVAE-3 and GSNN are. With a family of independent
    dimensions, such as Bernoulli, it cannot say which values of y go together.

    Args:
        likelihood_net: network of x, raw output of `family`, which explains y.
        family, seed: see `LatentVariableModel`.
        estimator: not used; there is one.

    Example:
        >>> family = Bernoulli()
        >>> nets = mlps(Baseline, x=64, y=48, hidden=(128,), family=family)
        >>> model = Baseline(**nets, family=family)

    Source: Sohn, Lee & Yan (2015), section 5, the baseline network.
    """

    observed = "y"

    def __init__(
        self, *, likelihood_net: keras.Model, family: Any = None, estimator: Any = None,
        **kwargs: Any,
    ) -> None:
        kwargs = {k: v for k, v in kwargs.items() if v is not None or k != "penalty"}
        family = Bernoulli() if family is None else family
        super().__init__({"likelihood_net": likelihood_net}, family, **kwargs)
        self.shapes = wiring.variable_shapes(self)

    def likelihood(self, x: Tensor) -> Distribution:
        """p(y|x). Args: x [B, D]. Returns: distribution, batch [B]."""
        return self.family(apply(self.likelihood_net, x))

    def factors(self, x: Tensor, y: Tensor) -> Tensor:
        """(5.2) without z: log p(y|x), [B], nats."""
        return self.likelihood(x).log_prob(y)

    def estimate(self, x: Tensor, y: Tensor, *, noise: Tensor) -> Bound:
        """The bound, which is log p(y|x) itself."""
        log_p = self.factors(x, y)
        return Bound(log_p, log_p, tf.zeros_like(log_p))

    def log_likelihood(
        self, x: Any, y: Any = None, num_samples: int = 1, method: str = "importance",
        seed: int = 0, batch_size: int | None = None,
    ) -> np.ndarray:
        """log p(y|x) of every example, exactly.

        Args:
            x, y: [N, …]; or one dict of both by name.
            num_samples, method, seed, batch_size: as in the other models, so that one line
                evaluates them all; without a z there is nothing to sample.

        Returns:
            NumPy array [N], nats.
        """
        checks.choice(method, "method", ("importance", "prior"))
        checks.count(num_samples, "num_samples")
        checks.seed(seed)
        checks.optional_count(batch_size, "batch_size")
        data = (x,) if y is None else (x, y)
        return self.factors(*self.given(*data, where="log_likelihood")).numpy()

    def reconstruct(self, *data: Any) -> np.ndarray:
        """E[y|x]: there is no z that y could tell. Args: x, y: [B, …]. Returns: [B, …]."""
        x, _ = wiring.variables(self, self.data_names, data, "reconstruct")
        return self.generate(x)

    def generate(
        self, given: Any, *, num_samples: int | None = None, seed: int = 0, sample: bool = False
    ) -> np.ndarray:
        """E[y|x], or a draw from p(y|x). Args, Returns: as in the other models."""
        x = self.condition(given, "generate")["x"]
        size = checks.optional_count(num_samples, "num_samples"), len(x)
        return observe(self.likelihood(x), size, self.shapes["y"], sample, seed).numpy()

    def predicted(self, given: Tensor) -> Tensor:
        """E[y|x]."""
        return self.likelihood(given).mean()

    def predictive(self, x: Any) -> np.ndarray:
        """E[y|x] (for classes: the probabilities). Args: x [B, …]. Returns: NumPy array [B, …]."""
        return self.generate(x)


# The first guess -----------------------------------------------------------------------------


@keras.saving.register_keras_serializable("cvae_tf")
class FirstGuess(keras.layers.Layer):
    """ŷ(x) = E[y|x] of a trained baseline, which no longer learns.

    Args:
        net: the baseline's network of x.
        family: its likelihood's family.
    """

    def __init__(self, net: keras.Model, family: Any, **kwargs: Any) -> None:
        kwargs.pop("trainable", None)
        super().__init__(**kwargs)
        self.net = net
        self.family = family
        if not family.built:
            family.build(net.output_shape)
        self.trainable = False
        self.built = True

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return tf.stop_gradient(self.family(self.net(x, training=False)).mean())

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        parts = {"net": serialize(self.net), "family": serialize(self.family)}
        return {**super().get_config(), **parts}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> FirstGuess:
        deserialize = keras.saving.deserialize_keras_object
        parts = {name: deserialize(config[name]) for name in ("net", "family")}
        return cls(**{**config, **parts})


def with_first_guess(net: keras.Model, baseline: Baseline) -> keras.Model:
    """A network of (x, ŷ, …) as a network of (x, …): the baseline's guess ŷ(x) is made inside.

    The baseline is copied and frozen: training the result leaves it as it is, and training it
    further does not reach the result. For CVAE-3's prior, likelihood or posterior network.

    Args:
        net: built network whose first two inputs are x and ŷ, of y's shape; others may follow.
        baseline: a trained `Baseline`.

    Returns:
        A built Functional model without the second input.

    Raises:
        TypeError: if `baseline` is no Baseline.
        ValueError: if the network's first two inputs are not of x's and y's shape.

    Example:
        >>> nets["prior_net"] = with_first_guess(mlp([64, 48], (128,), 2 * 8), baseline)
        >>> model = CVAE3(**nets, family=family)

    Source: Sohn, Lee & Yan (2015), section 4, the recurrent connection.
    """
    checks.instance(baseline, "baseline", Baseline, "a trained baselines.Baseline")
    if not (isinstance(net, keras.Model) and getattr(net, "inputs", None)):
        raise checks.WrongKind(f"Received net={net!r}. Expected a built network of (x, ŷ, …).")
    shapes = [tuple(tensor.shape[1:]) for tensor in net.inputs]
    expected = [baseline.shapes["x"], baseline.shapes["y"]]
    if shapes[:2] != expected:
        raise ValueError(
            f"The network has inputs of shapes {shapes}. Expected the first two to be x and its "
            f"guess, {expected}: make it with those sizes, such as mlp([x, y], …)."
        )
    copy = keras.models.clone_model(baseline.likelihood_net)
    copy.set_weights(baseline.likelihood_net.get_weights())
    guess = FirstGuess(copy, type(baseline.family).from_config(baseline.family.get_config()))
    guess.family.set_weights(baseline.family.get_weights())
    x, *others = _inputs_like([net.inputs[0], *net.inputs[2:]])
    return keras.Model([x, *others] if others else x, net([x, guess(x), *others]), name=net.name)


def _inputs_like(tensors: Sequence[Any]) -> list[Any]:
    return [keras.Input(t.shape[1:], dtype=t.dtype, name=t.name) for t in tensors]


# Noise on the inputs -------------------------------------------------------------------------


class Corruption(keras.layers.Layer):
    """Noise on an input, in training only; a function of (seed, number of the call, row).

    The number of the call is stored with the model, so a resumed run goes on with the noise it
    would have had; layers with one seed corrupt their n-th input alike. Implement `corrupt` and
    `numbers_per_row`.

    Args:
        seed: int.
    """

    def __init__(self, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = checks.seed(seed)

    def build(self, input_shape: Any) -> None:
        self.calls = self.add_weight(
            shape=(), dtype="int64", initializer="zeros", trainable=False,
            aggregation="only_first_replica", name="calls",
        )

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        if not training:
            return inputs
        context = tf.distribute.get_replica_context()
        replica = 0 if context is None else context.replica_id_in_sync_group
        u = noise.uniform(
            tf.shape(inputs)[0], self.numbers_per_row(inputs.shape[1:]),
            key=noise.key(self.seed, "corruption"), step=tf.convert_to_tensor(self.calls),
            first_row=tf.cast(replica, tf.int64) * 2**32,  # replicas draw different noise
        )
        self.calls.assign_add(1)
        return self.corrupt(inputs, u)

    def numbers_per_row(self, shape: Any) -> int:
        """How many uniform numbers an example of this shape takes."""
        return int(np.prod(shape))

    def corrupt(self, inputs: tf.Tensor, u: tf.Tensor) -> tf.Tensor:
        """Args: inputs [B, …]; u [B, numbers_per_row], uniform. Returns: as inputs."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}


@keras.saving.register_keras_serializable("cvae_tf")
class Flips(Corruption):
    """Each value v becomes 1 − v with probability `rate`, in training: ink and paper change places.

    A pixel that is ½, as unseen ones are in `tasks.completion`, stays.

    Args:
        rate: probability in [0, 1).
        seed: int.
    """

    def __init__(self, rate: float, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.rate = checks.number(rate, "rate", least=0, below=1)

    def corrupt(self, inputs: tf.Tensor, u: tf.Tensor) -> tf.Tensor:
        u = tf.reshape(u, tf.shape(inputs))
        return tf.where(u < self.rate, 1 - inputs, inputs)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate}


@keras.saving.register_keras_serializable("cvae_tf")
class Blocks(Corruption):
    """Each block of `size` × `size` pixels is hidden with probability `rate`, in training.

    Args:
        rate: probability in [0, 1).
        size: int, side of a block in pixels; at the right and lower edge blocks may be cut.
        image_shape: (H, W) of flat images; None for square ones and for images [B, H, W, C].
        value: float, what a hidden pixel becomes.
        seed: int.

    Source: Sohn, Lee & Yan (2015), section 4.3, input omission noise.
    """

    def __init__(
        self, rate: float, size: int = 2, image_shape: Sequence[int] | None = None,
        value: float = 0.5, seed: int = 0, **kwargs: Any,
    ) -> None:
        super().__init__(seed, **kwargs)
        self.rate = checks.number(rate, "rate", least=0, below=1)
        self.size = checks.count(size, "size")
        self.image_shape = None if image_shape is None else checks.sizes(image_shape, "image_shape")
        self.value = checks.number(value, "value")

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        self._block_of_pixel(input_shape[1:])  # refuses a shape that is no image

    def _block_of_pixel(self, shape: Any) -> tuple[np.ndarray, int]:
        """(block of each value in reading order, number of blocks)."""
        height, width, channels = checks.height_width_channels(tuple(shape), self.image_shape)
        across = -(-width // self.size)
        down = np.arange(height) // self.size * across
        block = np.add.outer(down, np.arange(width) // self.size)
        return np.repeat(block, channels), int(block.max()) + 1

    def numbers_per_row(self, shape: Any) -> int:
        return self._block_of_pixel(shape)[1]

    def corrupt(self, inputs: tf.Tensor, u: tf.Tensor) -> tf.Tensor:
        block, _ = self._block_of_pixel(inputs.shape[1:])
        hidden = tf.reshape(tf.gather(u < self.rate, block, axis=1), tf.shape(inputs))
        return tf.where(hidden, tf.cast(self.value, inputs.dtype), inputs)

    def get_config(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("rate", "size", "image_shape", "value")}
        return {**super().get_config(), **own}


def corrupted(net: keras.Model, layer: keras.layers.Layer, *, position: int = 0) -> keras.Model:
    """A network that sees one of its inputs through a corruption, while it trains.

    The layer is copied, so that one may be given to several networks.

    Args:
        net: built network.
        layer: `Flips`, `Blocks`, `keras.layers.GaussianNoise`, `keras.layers.Dropout`, …: a layer
            that acts in training and passes its input on elsewhere.
        position: int, which input; 0 is x in every network of CVAE-3.

    Returns:
        A built Functional model with the network's inputs.

    Raises:
        ValueError: if there is no such input.

    Example:
        >>> nets = {name: corrupted(net, Flips(0.1)) for name, net in nets.items()}

    Source: Sohn, Lee & Yan (2015), section 4.3.
    """
    position = checks.count(position, "position (of an input)", 0, len(net.inputs) - 1)
    checks.instance(layer, "layer", keras.layers.Layer, "a layer, such as Flips(0.1)")
    layer = type(layer).from_config({**layer.get_config(), "name": None})
    inputs = _inputs_like(net.inputs)
    seen = [layer(t) if i == position else t for i, t in enumerate(inputs)]
    one = len(inputs) == 1
    return keras.Model(inputs[0] if one else inputs, net(seen[0] if one else seen), name=net.name)
