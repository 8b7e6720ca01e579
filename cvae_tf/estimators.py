r"""Estimators of the variational bound: from q, p(z|·) and log p(·|z) to nats per example.

An estimator sees densities and noise, never a model or a network. Each returns a `Bound` of three
[B] vectors. What the papers report, log p by importance sampling, is a function of the same three
factors: `log_likelihood`.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from cvae_tf import checks
from cvae_tf.distributions import draw, from_noise, tfd

LogLikelihood = Callable[[tf.Tensor], tf.Tensor]
Factors = tuple[tfd.Distribution, tfd.Distribution, LogLikelihood]
_SAMPLES_PER_CHUNK = 100


class Bound(NamedTuple):
    """What an estimator says about each example; all [B], nats.

    value: the bound that training raises (for the importance-weighted one, L_K).
    reconstruction: E_q[log p(x|z)], estimated.
    kl: KL(q ‖ prior), in closed form or estimated.

    The plain ELBO (1.2) is `reconstruction − kl`; with `SGVBMixture` that lies below it.
    """

    value: tf.Tensor
    reconstruction: tf.Tensor
    kl: tf.Tensor

    @property
    def elbo(self) -> tf.Tensor:
        return self.reconstruction - self.kl

    def terms(self) -> dict[str, Any]:
        """What is logged beside the loss: {name: [B]}, or {name: ([B], weights [B])}."""
        return {"elbo": self.elbo, "reconstruction": self.reconstruction, "kl": self.kl}


def reparameterise(q: tfd.Distribution, noise: tf.Tensor) -> tf.Tensor:
    r"""z = μ + σ ⊙ ε, ε ~ N(0, I): a draw from q through which gradients flow, (2.1).

    Args:
        q: a Gaussian, or another distribution that `from_noise` draws without a choice; batch [B],
            event [d].
        noise: ε, [L, B, d] (or [L, 1, d], shared by all examples).

    Returns:
        z, [L, B, d].

    Source: Kingma & Welling (2013), section 2.4.
    """
    return from_noise(q, noise)


def log_mean_exp(values: tf.Tensor, axis: int = 0) -> tf.Tensor:
    """log of the mean of exp(values) along `axis`, without overflow."""
    count = tf.cast(tf.shape(values)[axis], values.dtype)
    return tf.reduce_logsumexp(values, axis) - tf.math.log(count)


def log_weights(
    q: tfd.Distribution, prior: tfd.Distribution, log_likelihood: LogLikelihood, noise: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    r"""log w_l = log p(x|z_l) + log p(z_l) − log q(z_l|x) at z_l = g(ε_l).

    Args:
        q, prior: distributions over z with batch [B] (the prior's may be empty).
        log_likelihood: function from z [L, B, d] to log p(·|z) [L, B].
        noise: [L, B, d] or [L, 1, d].

    Returns:
        (log w, log p(·|z)), each [L, B], nats.
    """
    z = reparameterise(q, noise)
    log_p_given_z = log_likelihood(z)
    return log_p_given_z + prior.log_prob(z) - q.log_prob(z), log_p_given_z


class Estimator(abc.ABC):
    """An estimator of the bound. Implement `__call__`, inherit saving.

    Args:
        num_samples: int L (or K), draws of z per example, for which a model makes noise.
    """

    def __init__(self, num_samples: int = 1) -> None:
        self.num_samples = checks.count(num_samples, "num_samples")

    @abc.abstractmethod
    def __call__(
        self, q: tfd.Distribution, prior: tfd.Distribution, log_likelihood: LogLikelihood,
        noise: tf.Tensor,
    ) -> Bound:
        """The bound per example.

        Args:
            q: tfd.Distribution over z, batch [B], event [d].
            prior: the same, batch [B] or empty.
            log_likelihood: function from z [L, B, d] to log p(·|z) [L, B], nats.
            noise: [L, B, d] or [L, 1, d].

        Returns:
            Bound, each [B], nats.
        """

    def get_config(self) -> dict[str, Any]:
        return {"num_samples": self.num_samples}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Estimator:
        return cls(**config)


@keras.saving.register_keras_serializable("cvae_tf")
class SGVBA(Estimator):
    r"""SGVB-A: L̃ᴬ = (1/L) Σ_l [log p(x, z_l) − log q(z_l|x)], (2.2).

    Needs no closed-form KL, so any prior will do. Where q is the true posterior its variance is
    zero.

    Source: Kingma & Welling (2013), equation 6.
    """

    def __call__(self, q: Any, prior: Any, log_likelihood: Any, noise: Any) -> Bound:
        log_w, log_p_given_z = log_weights(q, prior, log_likelihood, noise)
        value = tf.reduce_mean(log_w, 0)  # (2.2)
        reconstruction = tf.reduce_mean(log_p_given_z, 0)
        return Bound(value, reconstruction, reconstruction - value)


@keras.saving.register_keras_serializable("cvae_tf")
class SGVBB(Estimator):
    r"""SGVB-B: L̃ᴮ = −KL(q(z|x) ‖ p(z)) + (1/L) Σ_l log p(x|z_l), with (2.4)'s KL, (2.3).

    Source: Kingma & Welling (2013), equation 7 and appendix B.
    """

    def __call__(self, q: Any, prior: Any, log_likelihood: Any, noise: Any) -> Bound:
        z = reparameterise(q, noise)
        reconstruction = tf.reduce_mean(log_likelihood(z), 0)
        kl = tfd.kl_divergence(q, prior)
        return Bound(-kl + reconstruction, reconstruction, kl)  # (2.3)


def mixture_kl_bound(q: tfd.Distribution, prior: tfd.Distribution) -> tf.Tensor:
    r"""−log Σ_k π_k exp(−KL(q ‖ p_k)) ≥ KL(q ‖ Σ_k π_k p_k), (10.1).

    Used in place of the KL it gives a valid, looser bound on the log-likelihood.

    Args:
        q: diagonal Gaussian, batch [B], event [d].
        prior: mixture of diagonal Gaussians, batch [B].

    Returns:
        [B], nats.

    Source: Hershey & Olsen (2007), section 7, with one component on q's side.
    """
    components = prior.components_distribution
    each = tfd.Independent(tfd.Normal(q.mean()[..., None, :], q.stddev()[..., None, :]), 1)
    kl = tfd.kl_divergence(each, components)  # [B, K]
    log_pi = tf.nn.log_softmax(prior.mixture_distribution.logits_parameter())
    return -tf.reduce_logsumexp(log_pi - kl, -1)


@keras.saving.register_keras_serializable("cvae_tf")
class SGVBMixture(Estimator):
    r"""SGVB-B for a mixture prior, with the upper bound (10.1) where the KL has no closed form.

    `kl` is that upper bound, so `reconstruction − kl` lies below the ELBO.
    """

    def __call__(self, q: Any, prior: Any, log_likelihood: Any, noise: Any) -> Bound:
        if not isinstance(prior, tfd.MixtureSameFamily):
            raise TypeError(
                f"Received a prior that is a {type(prior).__name__}. Expected a mixture, such as "
                "prior_family=MixtureOfGaussians(…) makes: use SGVBB or SGVBA."
            )
        reconstruction = tf.reduce_mean(log_likelihood(reparameterise(q, noise)), 0)
        kl = mixture_kl_bound(q, prior)
        return Bound(reconstruction - kl, reconstruction, kl)


@keras.saving.register_keras_serializable("cvae_tf")
class ImportanceWeighted(Estimator):
    r"""L_K = E log (1/K) Σ_k p(x, z_k)/q(z_k|x), z_k ~ q: rises with K to log p(x), (2.6).

    `value` is L_K; `reconstruction` and `kl` are the Monte Carlo terms of the plain ELBO (K = 1).

    Source: Burda, Grosse & Salakhutdinov (2015), equation 8.
    """

    def __init__(self, num_samples: int = 5) -> None:
        super().__init__(num_samples)

    def __call__(self, q: Any, prior: Any, log_likelihood: Any, noise: Any) -> Bound:
        log_w, log_p_given_z = log_weights(q, prior, log_likelihood, noise)
        reconstruction = tf.reduce_mean(log_p_given_z, 0)
        kl = reconstruction - tf.reduce_mean(log_w, 0)
        return Bound(log_mean_exp(log_w), reconstruction, kl)


def log_likelihood(
    q: tfd.Distribution, prior: tfd.Distribution, log_likelihood_of: LogLikelihood, *,
    num_samples: Any, num_rows: int, latent_dim: int, per_chunk: int = _SAMPLES_PER_CHUNK, key: Any,
    first_row: Any = 0, dtype: str = "float32",
) -> tf.Tensor:
    r"""log (1/S) Σ_s p(x|z_s) p(z_s|·)/q(z_s|x,·), z_s ~ q, by a loop over chunks, (2.6), (5.8).

    With the prior as q the weights are one: log (1/S) Σ_s p(x|z_s), z_s ~ p(z|·), (5.7). Memory
    does not grow with S. A draw is a function of (key, s, row).

    Args:
        q, prior: distributions over z, batch [B] (the prior's may be empty), event [d].
        log_likelihood_of: function from z [L, B, d] to log p(·|z) [L, B].
        num_samples: int or scalar tensor S.
        num_rows, latent_dim: ints B and d.
        per_chunk: int, draws per example at once; part of a draw's address.
        key, first_row, dtype: of the draws; see `noise.normal`.

    Returns:
        [B], nats.

    Source: Burda et al. (2015), section 5; Sohn et al. (2015), section 4.1.
    """

    def add_chunk(chunk: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        where = {"key": key, "step": chunk, "first_row": first_row, "dtype": dtype}
        z = draw(q, per_chunk, num_rows, latent_dim, **where)
        log_w = log_likelihood_of(z)
        if q is not prior:  # (5.7) draws from the prior itself
            log_w += prior.log_prob(z) - q.log_prob(z)  # (5.8)
        counted = chunk * per_chunk + tf.range(per_chunk) < num_samples
        log_w = tf.where(counted[:, None], log_w, -np.inf)
        return chunk + 1, tf.reduce_logsumexp(tf.concat([log_w, total[None]], 0), 0)

    nothing = tf.fill([num_rows], tf.constant(-np.inf, dtype))
    _, total = tf.while_loop(lambda c, _: c * per_chunk < num_samples, add_chunk, [0, nothing])
    return total - tf.math.log(tf.cast(num_samples, dtype))


def draws_per_chunk(num_samples: int) -> int:
    """How many of S draws are made at once: chunks of one size, of at most a hundred."""
    return -(-num_samples // -(-num_samples // _SAMPLES_PER_CHUNK))
