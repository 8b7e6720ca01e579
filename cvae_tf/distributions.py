r"""From a network's raw output to a probability distribution.

Networks know tensors, not probability; the families here know probability, not models. Each is a
Keras layer (so it is saved with the model and owns its learned parameters) that turns raw output
into a `tfd.Distribution` over one example. All log-densities are sums over the event's dimensions,
in nats.
"""

import abc

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from cvae_tf import noise

tfd = tfp.distributions


class Family(keras.layers.Layer, abc.ABC):
    """A family of distributions over one example: raw network output in, `tfd.Distribution` out.

    Subclasses say how many raw numbers each dimension of the event takes (`params_per_dim`), make
    the distribution (`call`), and say which values it can explain (`check`).
    """

    params_per_dim = 1

    def raw_size(self, size):
        """How many raw numbers an event of `size` dimensions (on its last axis) takes."""
        return self.params_per_dim * size

    def event_size(self, raw_size):
        """The inverse of `raw_size`. Raises: ValueError: if no event has so many raw numbers."""
        size = next((n for n in range(1, raw_size + 1) if self.raw_size(n) == raw_size), None)
        if size is None:
            raise ValueError(
                f"{type(self).__name__} takes {self.raw_size(1)}, {self.raw_size(2)}, … numbers "
                f"for an event of 1, 2, … dimensions, but the network gives {raw_size} on its last "
                "axis. Give the network an output of such a size."
            )
        return size

    def build(self, raw_shape):
        """Fix the event shape. Args: raw_shape: the network's output shape (None, …)."""
        *leading, last = raw_shape[1:]
        self.event_shape = (*leading, self.event_size(last))

    @abc.abstractmethod
    def call(self, raw):
        """Args: raw: [..., B, *raw]. Returns: tfd.Distribution, batch [..., B]."""

    @abc.abstractmethod
    def check(self, values, name):
        """Raise ValueError if `values` (a NumPy array or tensor) cannot be explained."""

    def _independent(self, distribution):
        return tfd.Independent(distribution, len(self.event_shape))


def _extremes(values):
    """(least, greatest) value; NaN if there is one."""
    values = np.asarray(values)
    return float(np.min(values)), float(np.max(values))


def check_finite(values, name):
    """Raise ValueError unless all is finite. Args: values: array; name: str for the message."""
    if not np.all(np.isfinite(_extremes(values))):
        raise ValueError(
            f"{name} has NaN or infinite values. Expected finite numbers: "
            "remove or impute the examples concerned before training."
        )


class _LogitBernoulli(tfd.Bernoulli):
    """Bernoulli whose log-probability is one fused cross-entropy (also defined for 0 < x < 1)."""

    def _log_prob(self, event):
        logits = self.logits
        event, logits = tf.cast(event, logits.dtype), logits
        shape = tf.broadcast_dynamic_shape(tf.shape(event), tf.shape(logits))
        return -tf.nn.sigmoid_cross_entropy_with_logits(
            labels=tf.broadcast_to(event, shape), logits=tf.broadcast_to(logits, shape)
        )


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

    def call(self, raw):
        return self._independent(_LogitBernoulli(logits=raw, dtype=raw.dtype))

    def check(self, values, name):
        least, greatest = _extremes(values)
        if not (least >= 0 and greatest <= 1):  # NaN fails this as well
            raise ValueError(
                f"{name} has values outside [0, 1] or NaN: they span [{least:g}, {greatest:g}]. A "
                "Bernoulli likelihood explains values in [0, 1]: scale the pixels (x / x.max()), "
                "or use distributions.Gaussian()."
            )


@keras.saving.register_keras_serializable("cvae_tf")
class Categorical(Family):
    r"""One of C classes, raw output = logits [..., C]: log p(y|x,z) = Σ_c y_c log softmax(raw)_c.

    The event is a one-hot vector [C]; `mean()` gives the class probabilities.

    Example:
        >>> Categorical()(tf.zeros([5, 10])).mean().shape
        TensorShape([5, 10])
    """

    def call(self, raw):
        return _OneHot(logits=raw, dtype=raw.dtype)

    def check(self, values, name):
        values = np.asarray(values)
        is_binary = np.all((values == 0) | (values == 1))
        if not (is_binary and np.all(values.sum(-1) == 1)):
            raise ValueError(
                f"{name} has rows that are not one-hot. A Categorical likelihood explains one-hot "
                "vectors: use keras.utils.to_categorical(labels, num_classes)."
            )


class _OneHot(tfd.OneHotCategorical):
    """OneHotCategorical with a mean (the class probabilities) and a log-probability linear in y."""

    def _mean(self):
        return self.probs_parameter()

    def _log_prob(self, event):
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

    def __init__(self, scale="shared", *, initial_scale=1.0, min_scale=1e-4, **kwargs):
        super().__init__(**kwargs)
        is_number = isinstance(scale, (int, float)) and not isinstance(scale, bool)
        if not (scale in ("shared", "per_dimension", "network") or (is_number and scale > 0)):
            raise ValueError(
                f'Received scale={scale!r}. Expected "shared", "per_dimension", "network" or a '
                "positive number."
            )
        if not initial_scale > min_scale >= 0:
            raise ValueError(
                f"Received initial_scale={initial_scale}, min_scale={min_scale}. Expected "
                "initial_scale > min_scale ≥ 0."
            )
        self.scale = scale
        self.initial_scale = initial_scale
        self.min_scale = min_scale
        self.params_per_dim = 2 if scale == "network" else 1

    def build(self, raw_shape):
        super().build(raw_shape)
        shapes = {"shared": (), "per_dimension": self.event_shape}
        if self.scale in shapes:
            start = self.raw_from_scale(self.initial_scale)
            self.raw_scale = self.add_weight(
                shape=shapes[self.scale],
                initializer=lambda shape, dtype: tf.fill(shape, tf.constant(start, dtype)),
                name="raw_scale",
            )

    def raw_from_scale(self, scale):
        """The raw number(s) whose σ is `scale`: the inverse of min_scale + softplus(raw)."""
        return np.log(np.expm1(np.asarray(scale, "float64") - self.min_scale))

    def call(self, raw):
        if self.scale == "network":
            loc, raw_scale = tf.split(raw, 2, axis=-1)
            scale = self.min_scale + tf.nn.softplus(raw_scale)
        elif self.scale in ("shared", "per_dimension"):
            loc, scale = raw, self.min_scale + tf.nn.softplus(tf.convert_to_tensor(self.raw_scale))
        else:
            loc, scale = raw, tf.constant(self.scale, raw.dtype)  # not through float32
        return self._independent(tfd.Normal(loc, scale))

    def check(self, values, name):
        check_finite(values, name)

    def get_config(self):
        return {
            **super().get_config(),
            "scale": self.scale,
            "initial_scale": self.initial_scale,
            "min_scale": self.min_scale,
        }


def standard_normal(dim, dtype="float32"):
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

    def __init__(self, num_components, *, min_scale=1e-4, **kwargs):
        super().__init__(**kwargs)
        if not (isinstance(num_components, int) and num_components >= 1):
            raise ValueError(
                f"Received num_components={num_components!r}. Expected an integer ≥ 1."
            )
        self.num_components = num_components
        self.min_scale = min_scale

    def raw_size(self, size):
        return self.num_components * (1 + 2 * size)

    def call(self, raw):
        num, dim = self.num_components, self.event_shape[-1]
        logits, loc, raw_scale = tf.split(raw, [num, num * dim, num * dim], axis=-1)
        shape = tf.concat([tf.shape(raw)[:-1], [num, dim]], 0)
        scale = self.min_scale + tf.nn.softplus(tf.reshape(raw_scale, shape))
        components = tfd.Independent(tfd.Normal(tf.reshape(loc, shape), scale), 1)
        return tfd.MixtureSameFamily(tfd.Categorical(logits=logits), components)

    def check(self, values, name):
        check_finite(values, name)

    def get_config(self):
        return {
            **super().get_config(),
            "num_components": self.num_components,
            "min_scale": self.min_scale,
        }


def draw(distribution, num_samples, num_rows, dim, *, key, **where):
    r"""z ~ N(μ, diag σ²) or a mixture of such, as a function of (key, step, row).

    Args:
        distribution: over z, batch [B] or empty, event [d].
        num_samples, num_rows, dim: L, B and d.
        key, **where: see `noise.normal`.

    Returns:
        z, [L, B, d].
    """
    epsilon = noise.normal(num_samples, num_rows, dim, key=key, **where)
    if not isinstance(distribution, tfd.MixtureSameFamily):
        return distribution.mean() + distribution.stddev() * epsilon
    # The component, by inverting its distribution function; its noise has a key of its own.
    u = tf.transpose(noise.uniform(num_rows, num_samples, key=key + 1, **where))[..., None]
    probabilities = distribution.mixture_distribution.probs_parameter()  # [B, K]
    chosen = tf.reduce_sum(tf.cast(u > tf.cumsum(probabilities, axis=-1)[..., :-1], tf.int32), -1)
    which = tf.one_hot(chosen, tf.shape(probabilities)[-1], dtype=epsilon.dtype)[..., None]
    parts = distribution.components_distribution  # batch [B, K]
    loc = tf.reduce_sum(which * parts.mean(), -2)
    return loc + tf.reduce_sum(which * parts.stddev(), -2) * epsilon
