r"""Penalties, and warm-up: training objectives that weight the bound's terms, (7.3)–(7.5).

R is the reconstruction term. A weighted objective is no longer the bound: models log the plain
ELBO beside the loss, and `bound` and `log_likelihood` never see a penalty; the loss does.
"""

from __future__ import annotations

import abc
from typing import Any

import keras
import tensorflow as tf

from cvae_tf import checks
from cvae_tf.distributions import tfd
from cvae_tf.estimators import Bound, reparameterise


class Penalty(keras.layers.Layer, abc.ABC):
    """A weighting of the bound's terms. Implement `call`.

    Attributes:
        num_draws: class attribute; asks for so much noise of its own.
        sees_step: class attribute; whether `call` takes `step`, the batches seen before this one.
    """

    num_draws = 0
    sees_step = False

    @abc.abstractmethod
    def call(self, bound: Bound, q: Any, prior: Any, noise: tf.Tensor) -> tf.Tensor:
        """The loss per example.

        Args:
            bound: Bound, each [B], nats.
            q, prior: distributions over z.
            noise: ε beside the estimator's, [num_draws, B, d].

        Returns:
            [B], nats.
        """

    def __call__(
        self, bound: Bound, q: Any, prior: Any, noise: tf.Tensor, step: Any = 0
    ) -> tf.Tensor:
        more = {"step": step} if self.sees_step else {}
        return self.call(bound, q, prior, noise, **more)


def _first(beta: Any) -> Any:
    """A schedule's value at step 0; a number as it is."""
    if not callable(beta):
        return beta
    try:
        return float(beta(0))
    except Exception as error:
        raise checks.WrongKind(
            f"Received beta={beta!r}, which gives no number at step 0 ({error}). Expected a number "
            "≥ 0, or a function of the step, such as schedules.Linear(1000)."
        ) from None


@keras.saving.register_keras_serializable("cvae_tf")
class Beta(Penalty):
    r"""R − β·KL, (7.3). β = 1 is the bound.

    Args:
        beta: float ≥ 0, which `WarmUp` may raise from epoch to epoch; or a function of the step,
            (7.6), such as `schedules.Cyclic(10_000)` or one of Keras's schedules.

    Raises:
        ValueError: if beta is negative.

    Example:
        >>> model = VAE(**nets, penalty=Beta(4.0))
        >>> model = VAE(**nets, penalty=Beta(schedules.Linear(1000)))

    Source: Higgins et al. (2017), equation 4; warm-up: Bowman et al. (2016), section 3.1.
    """

    sees_step = True

    def __init__(self, beta: Any = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.schedule = beta if callable(beta) else None
        self.initial_beta = checks.number(_first(beta), "beta", least=0)
        start = keras.initializers.Constant(self.initial_beta)
        self.beta = self.add_weight(shape=(), initializer=start, trainable=False, name="beta")
        self.built = True

    def call(
        self, bound: Bound, q: Any, prior: Any, noise: tf.Tensor, step: Any = 0
    ) -> tf.Tensor:
        beta = self.schedule(step) if self.schedule else tf.convert_to_tensor(self.beta)
        beta = tf.cast(beta, bound.kl.dtype)
        return -(bound.reconstruction - beta * bound.kl)  # (7.3)

    def get_config(self) -> dict[str, Any]:
        beta = keras.saving.serialize_keras_object(self.schedule or self.initial_beta)
        return {**super().get_config(), "beta": beta}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Beta:
        return cls(**{**config, "beta": keras.saving.deserialize_keras_object(config["beta"])})


class WarmUp(keras.callbacks.Callback):
    r"""Raises the β of a `Beta` penalty over the first epochs: β = min(1, (epoch + 1)/E)·β_end.

    A function of the epoch alone, so that a resumed run continues where it was.

    Args:
        epochs: int E, after which β has its final value.
        final: float, β's final value.

    Raises:
        ValueError: at the start of `fit`, if the model has no `Beta` penalty, or one of a schedule.

    Example:
        >>> model.fit(x, epochs=50, callbacks=[WarmUp(10)])
    """

    def __init__(self, epochs: int, final: float = 1.0) -> None:
        super().__init__()
        self.epochs = checks.count(epochs, "epochs")
        self.final = checks.number(final, "final", least=0)

    def on_train_begin(self, logs: Any = None) -> None:
        penalty = getattr(self.model, "penalty", None)
        if getattr(penalty, "schedule", self) is not None:
            raise ValueError(
                f"WarmUp found penalty={penalty!r}. Expected a model made with "
                "penalty=penalties.Beta(), whose β it raises, and no schedule of the step."
            )

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.model.penalty.beta.assign(self.final * min(1.0, (epoch + 1) / self.epochs))


def kl_per_dimension(q: tfd.Distribution, prior: tfd.Distribution) -> tf.Tensor:
    r"""KL(q ‖ p) of diagonal Gaussians, one dimension at a time, (2.4): [B, d], nats.

    Args:
        q, prior: diagonal Gaussians, batch [B] (the prior's may be empty), event [d].

    Returns:
        [B, d].
    """
    return tfd.kl_divergence(q.distribution, prior.distribution)


@keras.saving.register_keras_serializable("cvae_tf")
class FreeBits(Penalty):
    r"""R − Σ_j max(λ, mean over the batch of KL_j), (7.4): no reward for a KL_j below λ.

    Args:
        minimum: float λ ≥ 0, nats per latent dimension.

    Raises:
        ValueError: if minimum is negative.

    Source: Kingma et al. (2016), Improving variational inference with inverse autoregressive flow,
        C.8.
    """

    def __init__(self, minimum: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.minimum = checks.number(minimum, "minimum", least=0)
        self.built = True

    def call(self, bound: Bound, q: Any, prior: Any, noise: tf.Tensor) -> tf.Tensor:
        mean_kl = tf.reduce_mean(kl_per_dimension(q, prior), 0)  # [d]
        return -bound.reconstruction + tf.reduce_sum(tf.maximum(mean_kl, self.minimum))  # (7.4)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "minimum": self.minimum}


def _sample(values: Any) -> tf.Tensor:
    if isinstance(values, tf.Tensor):
        if hasattr(values, "numpy"):  # not while a function is traced
            checks.check_finite(values.numpy(), "a sample")
        return values
    array = checks.array(values, "a sample", dtype=None)
    return tf.constant(array if array.dtype.kind == "f" else array.astype("float32"))


def mmd(z: Any, z_prior: Any) -> tf.Tensor:
    r"""MMD² between two samples, unbiased, with the kernel k(a, b) = C/(C + ‖a − b‖²), C = 2d.

    MMD² = mean_{i≠j} k(z_i, z_j) + mean_{i≠j} k(z'_i, z'_j) − 2 mean_{ij} k(z_i, z'_j).

    Args:
        z, z_prior: [B, d]. One row has no pair, so it says nothing: 0.

    Returns:
        Scalar; near zero, and possibly negative, where the distributions agree.

    Raises:
        ValueError: for other shapes, or for NaN.

    Source: Gretton et al. (2012), lemma 6; kernel: Tolstikhin et al. (2018), section 4.
    """
    z, z_prior = map(_sample, (z, z_prior))
    if z.shape.rank != 2 or not z.shape.is_compatible_with(z_prior.shape):
        raise ValueError(f"Received shapes {z.shape}, {z_prior.shape}. Expected one shape, [B, d].")
    scale = tf.cast(2 * tf.shape(z)[1], z.dtype)
    count = tf.cast(tf.shape(z)[0], z.dtype)

    def kernel(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
        squares = tf.reduce_sum((a[:, None] - b[None]) ** 2, -1)
        return scale / (scale + squares)

    def within(a: tf.Tensor) -> tf.Tensor:
        pairs = tf.maximum(count * (count - 1), 1)
        return (tf.reduce_sum(kernel(a, a)) - count) / pairs  # k(a, a) = 1

    value = within(z) + within(z_prior) - 2 * tf.reduce_mean(kernel(z, z_prior))
    return tf.where(count > 1, value, tf.zeros_like(value))


@keras.saving.register_keras_serializable("cvae_tf")
class MMD(Penalty):
    r"""L − λ·MMD²(q(z), p(z)), (7.5), on a batch of draws from q and the prior; kernel: `mmd`.

    Args:
        weight: float λ ≥ 0.

    Raises:
        ValueError: if weight is negative.

    Source: Zhao, Song & Ermon (2019), InfoVAE, equation 8 with α = 0.
    """

    num_draws = 2

    def __init__(self, weight: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.weight = checks.number(weight, "weight", least=0)
        self.built = True

    def call(self, bound: Bound, q: Any, prior: Any, noise: tf.Tensor) -> tf.Tensor:
        z, z_prior = reparameterise(q, noise[0]), reparameterise(prior, noise[1])
        return -bound.value + self.weight * mmd(z, z_prior)  # (7.5)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "weight": self.weight}
