r"""From a network's raw output to a probability distribution, and from noise to a draw of it.

Networks know tensors, not probability; the families here know probability, not models. Each is a
Keras layer (so it is saved with the model and owns its learned parameters) that turns raw output
into a `tfd.Distribution` over one example. All log-densities are sums over the event's dimensions,
in nats, in float32 or better whatever the policy.

How a distribution is drawn from ε stands here too, in `from_noise`; `drawn_by` adds a rule.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from cvae_tf import checks, noise
from cvae_tf.checks import check_finite as check_finite

Tensor: TypeAlias = tf.Tensor
Distribution: TypeAlias = tfd.Distribution


class Family(keras.layers.Layer, abc.ABC):
    """A family of distributions over one example: raw network output in, `tfd.Distribution` out.

    Subclasses say how many raw numbers each dimension of the event takes (`params_per_dim`), make
    the distribution (`call`), and say which values it can explain (`check`).

    Attributes:
        params_per_dim: class attribute, raw numbers per dimension.
        part_rank: class attribute, the axes of a part that is independent of the others: 0, or 1
            where the event's last axis is one choice, a one-hot vector.
        allows_missing: class attribute, whether NaN in the data says that a part is missing.
    """

    params_per_dim = 1
    part_rank = 0
    allows_missing = False

    def __init__(self, *, dtype: Any = None, **kwargs: Any) -> None:
        given = checks.policy(dtype)
        super().__init__(dtype=noise.working_dtype(given.variable_dtype), **kwargs)

    def raw_size(self, size: int) -> int:
        """How many raw numbers an event of `size` dimensions (on its last axis) takes."""
        return self.params_per_dim * size

    def event_size(self, raw_size: int) -> int:
        """The inverse of `raw_size`. Raises: ValueError: if no event has so many raw numbers."""
        size = next((n for n in range(1, raw_size + 1) if self.raw_size(n) == raw_size), None)
        if size is None:
            raise ValueError(
                f"{type(self).__name__} takes {self.raw_size(1)}, {self.raw_size(2)}, … numbers "
                f"for 1, 2, … dimensions. Expected such a last axis of the network, not {raw_size}."
            )
        return size

    def build(self, raw_shape: Any) -> None:
        """Fix the event shape. Args: raw_shape: the network's output shape (None, …)."""
        *leading, last = raw_shape[1:]
        self.event_shape = (*leading, self.event_size(last))

    @abc.abstractmethod
    def call(self, raw: tf.Tensor) -> tfd.Distribution:
        """Args: raw: [..., B, *raw]. Returns: tfd.Distribution, batch [..., B]."""

    def check(self, values: np.ndarray, name: str) -> None:
        """Raise ValueError if `values`, finite numbers, cannot be explained: here, all can."""

    def independent(self, distribution: tfd.Distribution) -> tfd.Distribution:
        """One distribution over the event, of which each dimension has its own."""
        return tfd.Independent(distribution, len(self.event_shape))


class _LogitBernoulli(tfd.Bernoulli):
    """Bernoulli whose log-probability is one fused cross-entropy (also defined for 0 < x < 1)."""

    def _log_prob(self, event: tf.Tensor) -> tf.Tensor:
        logits = self.logits
        event = _beside(event, logits)
        return -tf.nn.sigmoid_cross_entropy_with_logits(
            labels=event, logits=tf.broadcast_to(logits, tf.shape(event))
        )


def _beside(event: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """x with the shape that it has beside the logits."""
    event = tf.cast(event, logits.dtype)
    return tf.broadcast_to(event, tf.broadcast_dynamic_shape(tf.shape(event), tf.shape(logits)))


class _Bits(tfd.Independent):
    """Independent Bernoullis: the sum over dimensions in one pass."""

    def _log_prob(self, event: tf.Tensor) -> tf.Tensor:
        logits, rank = self.distribution.logits, self.event_shape.rank
        event = _beside(event, logits)
        batch = tf.shape(event)[: len(event.shape) - rank]
        flat = tf.concat([batch, [self.event_shape.num_elements()]], 0)
        logits = tf.broadcast_to(logits, tf.shape(event))
        return _sum_of_bits(tf.reshape(event, flat), tf.reshape(logits, flat))


@tf.custom_gradient
def _sum_of_bits(x: tf.Tensor, logits: tf.Tensor) -> Any:
    r"""Σ_i [x_i l_i − max(l_i, 0)] − log Π_i (1 + e^{−|l_i|}), [..., n] → [...].

    A factor lies in (1, 2], so sixteen of them share a logarithm, which costs as much as all else.
    """
    size = math.gcd(x.shape[-1], 16)
    shape = tf.concat([tf.shape(x)[:-1], [x.shape[-1] // size, size]], 0)
    factors = tf.reshape(1 + tf.exp(-tf.abs(logits)), shape)
    linear = tf.reduce_sum(x * logits - tf.nn.relu(logits), -1)
    value = linear - tf.reduce_sum(tf.math.log(tf.reduce_prod(factors, -1)), -1)

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        upstream = upstream[..., None]
        return upstream * logits, upstream * (x - tf.sigmoid(logits))

    return value, gradient


@keras.saving.register_keras_serializable("cvae_tf")
class Bernoulli(Family):
    r"""Bernoulli, raw output = logits: log p = Σ_i [x_i log π_i + (1−x_i) log(1−π_i)].

    A density of *binary* x only. Grey values in (0, 1) are accepted, since the cross-entropy is
    defined for them, but the number is then not a log-probability of the grey image: binarise, or
    do not compare it.

    Example:
        >>> Bernoulli()(tf.zeros([5, 64])).log_prob(tf.ones([5, 64])).shape
        TensorShape([5])

    Source: Kingma & Welling (2013), appendix C.1.
    """

    def call(self, raw: tf.Tensor) -> tfd.Distribution:
        return _Bits(_LogitBernoulli(logits=raw, dtype=raw.dtype), len(self.event_shape))

    def check(self, values: np.ndarray, name: str) -> None:
        least, greatest = np.min(values), np.max(values)
        if not (least >= 0 and greatest <= 1):
            raise ValueError(
                f"{name} has values outside [0, 1]: they span [{least:g}, {greatest:g}]. Expected, "
                "for a Bernoulli likelihood, values in [0, 1]: scale the pixels (x / x.max()), or "
                "use distributions.Gaussian()."
            )


@keras.saving.register_keras_serializable("cvae_tf")
class Categorical(Family):
    r"""One of C classes, raw output = logits [..., C]: log p(y|x,z) = Σ_c y_c log softmax(raw)_c.

    The event is a one-hot vector [C], or an array of such ([T, C] of a sequence, [H, W, C] of a
    label map), whose log-probabilities add up; `mean()` gives the class probabilities.

    Example:
        >>> Categorical()(tf.zeros([5, 10])).mean().shape
        TensorShape([5, 10])
    """

    part_rank = 1

    def call(self, raw: tf.Tensor) -> tfd.Distribution:
        one = _OneHot(logits=raw, dtype=raw.dtype)
        positions = len(self.event_shape) - 1
        return tfd.Independent(one, positions) if positions else one

    def check(self, values: np.ndarray, name: str) -> None:
        is_binary = np.all((values == 0) | (values == 1))
        if not (is_binary and np.all(values.sum(-1) == 1)):
            raise ValueError(
                f"{name} has rows that are not one-hot. Expected, for a Categorical likelihood, "
                "one-hot vectors: use keras.utils.to_categorical(labels, num_classes)."
            )


class _OneHot(tfd.OneHotCategorical):
    """OneHotCategorical with a mean (the class probabilities) and a log-probability linear in y."""

    def _mean(self) -> tf.Tensor:
        return self.probs_parameter()

    def _log_prob(self, event: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(event * tf.nn.log_softmax(self.logits), -1)


@keras.saving.register_keras_serializable("cvae_tf")
class Gaussian(Family):
    r"""Diagonal Gaussian N(μ, diag σ²): log p = −½ Σ_i [((x_i−μ_i)/σ_i)² + log 2πσ_i²].

    Where σ comes from is said by `scale`:

    - "shared": one learned σ for all dimensions (probabilistic PCA's σ, (1.4));
    - "per_dimension": one learned σ_i for each;
    - "network": raw output holds (μ, raw σ), σ = min_scale + softplus(raw σ); all latents use this;
    - a number: that σ, fixed.

    Args:
        scale: "shared", "per_dimension", "network" or a positive number.
        initial_scale: float, where a learned σ starts (in the unit of x).
        min_scale: float, the floor under a learned or networked σ; it keeps log p finite.

    Raises:
        ValueError: if `scale` is none of these.

    Example:
        >>> Gaussian(scale="network")(tf.zeros([5, 4])).event_shape
        TensorShape([2])

    Source: Kingma & Welling (2013), appendix C.2.
    """

    def __init__(
        self, scale: str | float = "shared", *, initial_scale: float = 1.0, min_scale: float = 1e-4,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        limits = np.finfo(self.compute_dtype)
        least, most = float(limits.tiny), float(limits.max)
        if isinstance(scale, str):
            checks.choice(scale, "scale", ("shared", "per_dimension", "network"))
        else:
            scale = checks.number(scale, "scale", least=least, most=most)
        self.scale = scale
        self.min_scale = checks.number(min_scale, "min_scale", least=0)
        self.initial_scale = checks.number(
            initial_scale, "initial_scale", above=self.min_scale, most=most
        )
        self.params_per_dim = 2 if scale == "network" else 1

    def build(self, raw_shape: Any) -> None:
        super().build(raw_shape)
        shapes = {"shared": (), "per_dimension": self.event_shape}
        if self.scale in shapes:
            start = self.raw_from_scale(self.initial_scale)
            self.raw_scale = self.add_weight(
                shape=shapes[self.scale],
                initializer=lambda shape, dtype: tf.fill(shape, tf.constant(start, dtype)),
                name="raw_scale",
            )

    def raw_from_scale(self, scale: Any) -> np.ndarray:
        """The raw number(s) whose σ is `scale`: the inverse of min_scale + softplus(raw)."""
        excess = np.asarray(scale, "float64") - self.min_scale
        excess = np.maximum(excess, np.finfo("float32").tiny)  # σ at its floor, and rounded
        return excess + np.log(-np.expm1(-excess))  # log(expm1), without its overflow

    def call(self, raw: tf.Tensor) -> tfd.Distribution:
        if self.scale == "network":
            loc, raw_scale = tf.split(raw, 2, axis=-1)
            scale = self.min_scale + tf.nn.softplus(raw_scale)
        elif self.scale in ("shared", "per_dimension"):
            loc, scale = raw, self.min_scale + tf.nn.softplus(tf.convert_to_tensor(self.raw_scale))
        else:
            loc, scale = raw, tf.constant(self.scale, raw.dtype)  # not through float32
        return self.independent(tfd.Normal(loc, scale))

    def get_config(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("scale", "initial_scale", "min_scale")}
        return {**super().get_config(), **own}


def is_diagonal_gaussian(p: tfd.Distribution) -> bool:
    """Whether p has a mean and a scale for each dimension, and no more."""
    return isinstance(p, tfd.Independent) and isinstance(p.distribution, tfd.Normal)


def standard_normal(dim: int, dtype: str = "float32") -> tfd.Distribution:
    r"""The prior p(z) = N(0, I).

    Args:
        dim: int d.
        dtype: "float32" or "float64".

    Returns:
        tfd.Distribution with empty batch and event [d].
    """
    return tfd.Independent(tfd.Normal(tf.zeros([dim], dtype), tf.ones([], dtype)), 1)


@keras.saving.register_keras_serializable("cvae_tf")
class MixtureOfGaussians(Family):
    r"""Σ_k π_k N(m_k, diag s_k²) over one vector: a richer prior p(z|·), section 10.

    Raw output [K·(1 + 2d)] holds K logits, K means and K raw scales. Its KL from a Gaussian has no
    closed form: train with `SGVBA` (2.2), which needs none, or with the bound (10.1) of
    `SGVBMixture`.

    Args:
        num_components: int K.
        min_scale: float, the floor under the scales.

    Example:
        >>> MixtureOfGaussians(3)(tf.zeros([5, 15])).event_shape
        TensorShape([2])
    """

    def __init__(self, num_components: int, *, min_scale: float = 1e-4, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_components = checks.count(num_components, "num_components")
        self.min_scale = checks.number(min_scale, "min_scale", least=0)

    def raw_size(self, size: int) -> int:
        return self.num_components * (1 + 2 * size)

    def call(self, raw: tf.Tensor) -> tfd.Distribution:
        num, dim = self.num_components, self.event_shape[-1]
        logits, loc, raw_scale = tf.split(raw, [num, num * dim, num * dim], axis=-1)
        shape = tf.concat([tf.shape(raw)[:-1], [num, dim]], 0)
        scale = self.min_scale + tf.nn.softplus(tf.reshape(raw_scale, shape))
        components = tfd.Independent(tfd.Normal(tf.reshape(loc, shape), scale), 1)
        return tfd.MixtureSameFamily(tfd.Categorical(logits=logits), components)

    def get_config(self) -> dict[str, Any]:
        own = {"num_components": self.num_components, "min_scale": self.min_scale}
        return {**super().get_config(), **own}


class _SeenOnly(tfd.Independent):
    """Independent parts whose log-probabilities add up over those that are there, (7.7)."""

    def _log_prob(self, event: tf.Tensor) -> tf.Tensor:
        parts, rank = self.distribution, self.distribution.event_shape.rank
        seen = tf.math.is_finite(event)
        # Any value that the parts can have will do for the missing ones: it counts nothing.
        filled = tf.where(seen, event, tf.stop_gradient(parts.mean()))
        seen = tf.reduce_all(seen, list(range(-rank, 0)))
        log_p = parts.log_prob(filled)
        log_p = tf.where(seen, log_p, tf.zeros_like(log_p))
        return tf.reduce_sum(log_p, list(range(rank - self.event_shape.rank, 0)))  # (7.7)


@keras.saving.register_keras_serializable("cvae_tf")
class ObservedOnly(Family):
    r"""What is observed only: log p(x_O|z) = Σ_{i∈O} log p(x_i|z), O what is there, (7.7).

    NaN in the data says that a part is missing: a pixel, a column, a step of a padded sequence (of
    one-hot vectors the whole vector is NaN). What is missing must be so at random given what is
    seen. Networks that see x begin with `networks.Filled`, as those of `networks.mlps` do.

    Args:
        family: the family of the parts.

    Example:
        >>> family = ObservedOnly(Bernoulli())
        >>> model = VAE(**mlps(VAE, x=64, z=8, hidden=(128,), family=family), family=family)
        >>> model.compile()
        >>> model.fit(x_with_nan)
        >>> filled_in = model.reconstruct(x_with_nan)

    Source: Nazabal et al. (2020); missing at random: Little & Rubin (1987).
    """

    allows_missing = True

    def __init__(self, family: Family, **kwargs: Any) -> None:
        checks.instance(family, "family", Family, "a family, such as distributions.Bernoulli()")
        super().__init__(**{"dtype": family.variable_dtype, **kwargs})
        self.family, self.params_per_dim = family, family.params_per_dim
        self.part_rank = family.part_rank

    def raw_size(self, size: int) -> int:
        return self.family.raw_size(size)

    def build(self, raw_shape: Any) -> None:
        super().build(raw_shape)
        self.family.build(raw_shape)

    def call(self, raw: tf.Tensor) -> tfd.Distribution:
        whole = self.family(raw)
        parts = whole.distribution if isinstance(whole, tfd.Independent) else whole
        return _SeenOnly(parts, len(self.event_shape) - self.part_rank)

    def check(self, values: np.ndarray, name: str) -> None:
        seen = ~np.isnan(values)
        if self.part_rank:
            if (seen.any(-1) != seen.all(-1)).any():
                raise ValueError(
                    f"{name} has one-hot vectors of which a part is NaN. Expected all of a vector "
                    "to be NaN where it is missing, or none."
                )
            seen = seen.all(-1)
        if seen.any():
            checks.check_finite(values[seen], name)
            self.family.check(values[seen], name)

    def get_config(self) -> dict[str, Any]:
        family = keras.saving.serialize_keras_object(self.family)
        return {**super().get_config(), "family": family}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ObservedOnly:
        family = keras.saving.deserialize_keras_object(config["family"])
        return cls(**{**config, "family": family})


# Draws --------------------------------------------------------------------------------------------

_RULES: list[tuple[type, Callable[..., tf.Tensor]]] = []


def drawn_by(kind: type) -> Callable[..., Any]:
    """Decorator: the function says how a distribution of this kind is drawn from noise.

    Args:
        kind: class of distributions; the rule that was added last is asked first.

    Returns:
        A decorator of a function (distribution, ε, u) → draw: ε standard normal with the draw's
        shape [..., *event], u uniform [..., 1] beside it for a choice that ε cannot make.

    Example:
        >>> @drawn_by(tfd.LogNormal)
        ... def _(distribution, epsilon, u):
        ...     return tf.exp(distribution.loc + distribution.scale * epsilon)
    """

    # TFP has a second class for what it cannot make a composite tensor of, a flow through a Python
    # function say; it is a base of the first.
    whole = next((k for k in kind.__mro__ if k.__name__ == f"_{kind.__name__}"), kind)

    def add(rule: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
        _RULES.insert(0, (whole, rule))
        return rule

    return add


def from_noise(distribution: tfd.Distribution, epsilon: tf.Tensor, u: Any = None) -> tf.Tensor:
    r"""A draw as a function of noise: z = μ + σ ⊙ ε for a Gaussian, (2.1), and so on.

    Args:
        distribution: batch [B] or empty, event [d] (or of any shape).
        epsilon: ε ~ N(0, I), [L, B, *event] or [L, 1, *event].
        u: uniform, [L, B, 1]; needed by mixtures, which choose a component with it.

    Returns:
        The draw, [L, B, *event].

    Raises:
        TypeError: if there is no rule for such a distribution.
    """
    for kind, rule in _RULES:
        if isinstance(distribution, kind):
            return rule(distribution, epsilon, u)
    raise _no_rule(distribution)


def _no_rule(distribution: Any) -> TypeError:
    return TypeError(
        f"Received a {type(distribution).__name__}, and no rule says how it is drawn from noise. "
        "Expected a Gaussian, a mixture, a transformed distribution, one number's with a quantile "
        "function, or a rule of your own: distributions.drawn_by."
    )


@drawn_by(tfd.Distribution)
def _by_quantile(distribution: Any, epsilon: tf.Tensor, u: Any) -> tf.Tensor:
    if getattr(distribution.event_shape, "rank", None) != 0:  # a joint distribution has a list
        raise _no_rule(distribution)
    try:
        return distribution.quantile(_uniform(epsilon))
    except NotImplementedError:
        raise _no_rule(distribution) from None


def _uniform(epsilon: tf.Tensor) -> tf.Tensor:
    """Φ(ε), inside (0, 1)."""
    tiny = np.finfo(epsilon.dtype.as_numpy_dtype).eps / 2
    return tf.clip_by_value(0.5 * tf.math.erfc(-epsilon / np.sqrt(2.0)), tiny, 1 - tiny)


@drawn_by(tfd.TransformedDistribution)
def _through_the_bijector(distribution: Any, epsilon: tf.Tensor, u: Any) -> tf.Tensor:
    return distribution.bijector.forward(from_noise(distribution.distribution, epsilon, u))


@drawn_by(tfd.Sample)
def _many_alike(distribution: Any, epsilon: tf.Tensor, u: Any) -> tf.Tensor:
    rank, event = epsilon.shape.rank, distribution.event_shape.rank
    first = [*range(rank - event, rank), *range(rank - event)]  # the event's axes in front
    z = from_noise(distribution.distribution, tf.transpose(epsilon, first), u)
    return tf.transpose(z, [*range(event, rank), *range(event)])


@drawn_by(tfd.Normal)
def _location_and_scale(distribution: Any, epsilon: tf.Tensor, u: Any) -> tf.Tensor:
    return distribution.mean() + distribution.stddev() * epsilon  # (2.1)


@drawn_by(tfd.Independent)
def _each_dimension(distribution: Any, epsilon: tf.Tensor, u: Any) -> tf.Tensor:
    return from_noise(distribution.distribution, epsilon, u)


@drawn_by(tfd.Bernoulli)
def _threshold(distribution: Any, epsilon: tf.Tensor, u: Any) -> tf.Tensor:
    return tf.cast(_uniform(epsilon) < distribution.mean(), epsilon.dtype)


@drawn_by(tfd.OneHotCategorical)
def _one_hot(distribution: Any, epsilon: tf.Tensor, u: Any) -> tf.Tensor:
    chosen = choose(distribution.probs_parameter(), _uniform(epsilon[..., :1]))
    return tf.one_hot(chosen, epsilon.shape[-1], dtype=epsilon.dtype)


@drawn_by(tfd.MixtureSameFamily)
def _component_first(distribution: Any, epsilon: tf.Tensor, u: Any) -> tf.Tensor:
    if u is None:
        raise TypeError(
            "Received a mixture as q. Its draws jump between components, so no gradient flows "
            "through them: expected a Gaussian or a transformed distribution as q."
        )
    probabilities = distribution.mixture_distribution.probs_parameter()  # [B, K]
    chosen = choose(probabilities, u)
    which = tf.one_hot(chosen, tf.shape(probabilities)[-1], dtype=epsilon.dtype)[..., None]
    each = from_noise(distribution.components_distribution, epsilon[..., None, :])  # [L, B, K, d]
    return tf.reduce_sum(which * each, -2)


def choose(probabilities: tf.Tensor, u: tf.Tensor) -> tf.Tensor:
    """The category at u, by inverting the distribution function.

    Args:
        probabilities: [..., C].
        u: uniform, [..., 1].

    Returns:
        int32 [...].
    """
    return tf.reduce_sum(tf.cast(u > tf.cumsum(probabilities, axis=-1)[..., :-1], tf.int32), -1)


def draw(
    distribution: tfd.Distribution, num_samples: int, num_rows: Any, event: int | tuple[int, ...],
    *, key: int, **where: Any,
) -> tf.Tensor:
    r"""Draws as a function of (key, step, row), by `from_noise`.

    Args:
        distribution: batch [B] or empty, event [d] or of any shape.
        num_samples, num_rows, event: L, B and the event's shape (an int d is [d]).
        key, **where: see `noise.normal`.

    Returns:
        [L, B, *event].
    """
    shape = (event,) if isinstance(event, int) else tuple(event)
    epsilon = noise.normal(num_samples, num_rows, int(np.prod(shape)), key=key, **where)
    epsilon = tf.reshape(epsilon, tf.concat([tf.shape(epsilon)[:2], shape], 0))
    u = None
    if isinstance(distribution, tfd.MixtureSameFamily):  # its noise has a key of its own
        u = tf.transpose(noise.uniform(num_rows, num_samples, key=key + 1, **where))[..., None]
    return from_noise(distribution, epsilon, u)


def observe(
    distribution: tfd.Distribution, size: tuple[int | None, Any], event: tuple[int, ...],
    sample: bool, seed: int, first_row: Any = 0,
) -> tf.Tensor:
    """The mean of each row's distribution, or one draw of it as a function of (seed, row).

    Args:
        distribution: batch [S, B] or [B].
        size: (S, B); S None: without that axis.
        event: the event's shape.
        sample: bool; True draws, by TFP's own sampler where no rule says how.
        seed: int.
        first_row: int, the number of the first row.

    Returns:
        [S, B, *event] or [B, *event].
    """
    key, (num_samples, num_rows) = noise.key(seed, "observation"), size
    if not checks.flag(sample, "sample"):
        mean = centre(distribution)
        return mean if num_samples is None else tf.broadcast_to(mean, [*size, *event])
    number = 1 if num_samples is None else num_samples
    where = {"key": key, "first_row": first_row, "dtype": noise.working_dtype(distribution.dtype)}
    try:
        drawn = draw(distribution, number, num_rows, event, **where)
    except TypeError:
        shape = [number] if distribution.batch_shape.rank == 1 else []
        seeds = [[key % 2**31, first_row + row] for row in range(num_rows)]
        each = [distribution[..., row].sample(shape, seed=s) for row, s in enumerate(seeds)]
        drawn = tf.stack(each, 1)
    return drawn[0] if num_samples is None else drawn


def centre(distribution: tfd.Distribution, num_rows: Any = None) -> tf.Tensor:
    """The mean, or where there is none in closed form the image of ε = 0; batch and event as it."""
    try:
        return distribution.mean()
    except NotImplementedError:
        rows = tf.constant([], tf.int32) if num_rows is None else tf.stack([num_rows])
        batch = tf.broadcast_dynamic_shape(distribution.batch_shape_tensor(), rows)
        shape = tf.concat([batch, distribution.event_shape_tensor()], 0)
        return from_noise(distribution, tf.zeros(shape, distribution.dtype))
