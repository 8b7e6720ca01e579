r"""Estimators of the variational bound: from q, p(z|·) and log p(·|z) to nats per example.

An estimator sees densities and noise, never a model or a network. Each returns a `Bound` of three
[B] vectors.
"""

import abc
from typing import NamedTuple

import keras
import tensorflow as tf

from cvae_tf.distributions import tfd


class Bound(NamedTuple):
    """What an estimator says about each example; all [B], nats.

    value: the bound that training raises (for the importance-weighted one, L_K).
    reconstruction: E_q[log p(x|z)], estimated.
    kl: KL(q ‖ prior), in closed form or estimated.

    The plain ELBO (1.2) is always `reconstruction − kl`.
    """

    value: tf.Tensor
    reconstruction: tf.Tensor
    kl: tf.Tensor

    @property
    def elbo(self):
        return self.reconstruction - self.kl


def reparameterise(q, noise):
    r"""z = μ + σ ⊙ ε, ε ~ N(0, I): a draw from q through which gradients flow, (2.1).

    Args:
        q: diagonal Gaussian with batch [B] and event [d].
        noise: ε, [L, B, d] (or [L, 1, d], shared by all examples).

    Returns:
        z, [L, B, d].

    Source: Kingma & Welling (2013), section 2.4.
    """
    return q.mean() + q.stddev() * noise


def log_mean_exp(values, axis=0):
    """log of the mean of exp(values) along `axis`, without overflow."""
    count = tf.cast(tf.shape(values)[axis], values.dtype)
    return tf.reduce_logsumexp(values, axis) - tf.math.log(count)


def log_weights(q, prior, log_likelihood, noise):
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
        num_samples: int L (or K), draws of z per example; used when the noise is not given.
    """

    def __init__(self, num_samples=1):
        if not (isinstance(num_samples, int) and num_samples >= 1):
            raise ValueError(f"Received num_samples={num_samples!r}. Expected an integer ≥ 1.")
        self.num_samples = num_samples

    @abc.abstractmethod
    def __call__(self, q, prior, log_likelihood, noise):
        """The bound per example.

        Args:
            q: tfd.Distribution over z, batch [B], event [d].
            prior: the same, batch [B] or empty.
            log_likelihood: function from z [L, B, d] to log p(·|z) [L, B], nats.
            noise: [L, B, d] or [L, 1, d].

        Returns:
            Bound, each [B], nats.
        """

    def get_config(self):
        return {"num_samples": self.num_samples}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@keras.saving.register_keras_serializable("cvae_tf")
class SGVBA(Estimator):
    r"""SGVB-A: L̃ᴬ = (1/L) Σ_l [log p(x, z_l) − log q(z_l|x)], (2.2).

    Needs no closed-form KL, so any prior will do. Where q is the true posterior its variance is
    zero.

    Source: Kingma & Welling (2013), equation 6.
    """

    def __call__(self, q, prior, log_likelihood, noise):
        log_w, log_p_given_z = log_weights(q, prior, log_likelihood, noise)
        value = tf.reduce_mean(log_w, 0)
        reconstruction = tf.reduce_mean(log_p_given_z, 0)
        return Bound(value, reconstruction, reconstruction - value)


@keras.saving.register_keras_serializable("cvae_tf")
class SGVBB(Estimator):
    r"""SGVB-B: L̃ᴮ = −KL(q(z|x) ‖ p(z)) + (1/L) Σ_l log p(x|z_l), with (2.4)'s KL, (2.3).

    Source: Kingma & Welling (2013), equation 7 and appendix B.
    """

    def __call__(self, q, prior, log_likelihood, noise):
        z = reparameterise(q, noise)
        reconstruction = tf.reduce_mean(log_likelihood(z), 0)
        kl = tfd.kl_divergence(q, prior)
        return Bound(-kl + reconstruction, reconstruction, kl)


def mixture_kl_bound(q, prior):
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

    def __call__(self, q, prior, log_likelihood, noise):
        reconstruction = tf.reduce_mean(log_likelihood(reparameterise(q, noise)), 0)
        kl = mixture_kl_bound(q, prior)
        return Bound(reconstruction - kl, reconstruction, kl)


@keras.saving.register_keras_serializable("cvae_tf")
class ImportanceWeighted(Estimator):
    r"""L_K = E log (1/K) Σ_k p(x, z_k)/q(z_k|x), z_k ~ q: rises with K to log p(x), (2.6).

    `value` is L_K; `reconstruction` and `kl` are the Monte Carlo terms of the plain ELBO (K = 1).

    Source: Burda, Grosse & Salakhutdinov (2015), equation 8.
    """

    def __init__(self, num_samples=5):
        super().__init__(num_samples)

    def __call__(self, q, prior, log_likelihood, noise):
        log_w, log_p_given_z = log_weights(q, prior, log_likelihood, noise)
        reconstruction = tf.reduce_mean(log_p_given_z, 0)
        kl = reconstruction - tf.reduce_mean(log_w, 0)
        return Bound(log_mean_exp(log_w), reconstruction, kl)
