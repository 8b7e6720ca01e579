r"""What a trained model does with z and with what it is given: diagnostics for every model.

They ask for the model's factors and bound. Numbers are nats per example, unless another unit is
named.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from cvae_tf import checks, evaluation
from cvae_tf.estimators import reparameterise
from cvae_tf.evaluation import diagonal_gaussian, latent_factors, noise_of
from cvae_tf.penalties import kl_per_dimension as _kl_per_dimension


def _gaussian_factors(model: Any, data: Any, where: str) -> Any:
    """The factors, if q and prior are diagonal Gaussians."""
    q, prior, log_likelihood = latent_factors(model, data, where)
    for p, name in ((q, "posterior"), (prior, "prior")):
        diagonal_gaussian(p, f"{name} of {type(model).__name__}", where)
    return q, prior, log_likelihood


def kl_per_dimension(model: Any, *data: Any) -> np.ndarray:
    r"""Mean over the examples of KL(q_j ‖ p_j) for each latent dimension, (2.4).

    Args:
        model: any model whose prior is Gaussian.
        *data: x or (x, y), [N, …].

    Returns:
        NumPy array [d], nats; its sum is the mean KL of the bound.

    Raises:
        TypeError: if the prior is no diagonal Gaussian.
    """
    q, prior, _ = _gaussian_factors(model, data, "kl_per_dimension")
    return _kl_per_dimension(q, prior).numpy().mean(0)


class ActiveUnits(NamedTuple):
    """variance [d]: of the posterior's mean about the prior's, over the data; active [d]: bool."""

    variance: np.ndarray
    active: np.ndarray

    @property
    def count(self) -> int:
        return int(self.active.sum())


def active_units(model: Any, *data: Any, threshold: float = 0.01) -> ActiveUnits:
    r"""Latent dimensions that carry something: Var_data[(E_q[z_j] − E_p[z_j])/σ_{p,j}] > threshold.

    For a standard normal prior this is Burda et al.'s Cov_x(E_q[z_j]); with a prior of its own the
    model gets no credit for a mean that the prior already has.

    Args:
        model, *data: as in `kl_per_dimension`.
        threshold: float, in squared prior standard deviations.

    Returns:
        ActiveUnits.

    Source: Burda, Grosse & Salakhutdinov (2015), section 5.2.
    """
    threshold = checks.number(threshold, "threshold", least=0)
    q, prior, _ = _gaussian_factors(model, data, "active_units")
    variance = np.var((q.mean() - prior.mean()) / prior.stddev(), axis=0)
    return ActiveUnits(variance, variance > threshold)


class Use(NamedTuple):
    """How much the bound drops when an input is shuffled; `given` is None for a model of p(x)."""

    z: evaluation.Estimate
    given: evaluation.Estimate | None


def use(model: Any, *data: Any, num_samples: int = 16, seed: int = 0) -> Use:
    r"""Does the model use z? Does it use what it is given? The bound's drop when they are shuffled.

    z: E_q log p(x_n|z_n, ·) − E_q log p(x_n|z_m, ·), z_m the latent of another example. Near zero,
    the posterior has collapsed, or the decoder ignores z. For a conditional model z_m is moved
    along the prior, so that only what z says *beyond* the condition is lost.

    given: the bound with the right condition minus the bound with another example's.

    Args:
        model, *data: as in `kl_per_dimension`.
        num_samples: int, draws of z per example.
        seed: int, of the shuffle and of the draws.

    Returns:
        Use(z, given), each a mean over examples with its standard error, nats.

    Example:
        >>> print(use(model, x, y).given)
    """
    q, prior, log_likelihood = _gaussian_factors(model, data, "use")
    num_samples, num_rows = checks.count(num_samples, "num_samples"), q.batch_shape[0]
    if isinstance(data[0], dict):
        data = tuple(data[0][name] for name in model.data_names)
    if num_rows < 2:
        raise ValueError(f"Received {num_rows} example. Expected at least two, to exchange them.")
    # A cyclic shift of a random order leaves no example in its place.
    order = np.random.default_rng(abs(checks.seed(seed))).permutation(num_rows)
    other = np.empty(num_rows, int)
    other[order] = np.roll(order, 1)

    epsilon = noise_of(model, "diagnostics: use", seed, num_samples, num_rows)
    z = reparameterise(q, epsilon)
    standard = (z - prior.mean()) / prior.stddev()  # u of z = m + s ⊙ u
    moved = prior.mean() + prior.stddev() * tf.gather(standard, other, axis=1)
    of_z = evaluation.estimate(tf.reduce_mean(log_likelihood(z) - log_likelihood(moved), 0))

    names = model.data_names
    if names == (model.observed,):
        return Use(of_z, None)
    wrong = [
        np.asarray(d) if name == model.observed else np.asarray(d)[other]
        for name, d in zip(names, data, strict=True)
    ]
    drop = model.bound(*data, noise=epsilon).elbo - model.bound(*wrong, noise=epsilon).elbo
    return Use(of_z, evaluation.estimate(drop))


class Ledger(NamedTuple):
    """Where log p − L goes; each an Estimate, nats. The first line is the sum of the next two."""

    gap: evaluation.Estimate
    approximation: evaluation.Estimate
    amortisation: evaluation.Estimate
    recovered: evaluation.Estimate


def ledger(
    model: Any, *data: Any, num_importance_samples: int = 64, seed: int = 0, **options: Any
) -> Ledger:
    r"""The gap log p − L, split by (2.7), and what importance sampling recovers of it, (2.6).

    Args:
        model, *data: as in `kl_per_dimension`; a few hundred examples are enough.
        num_importance_samples: int K; `recovered` is L_K − L.
        seed: int.
        **options: of `evaluation.gap`.

    Returns:
        Ledger.
    """
    num_importance_samples = checks.count(num_importance_samples, "num_importance_samples")
    gap = evaluation.gap(model, *data, seed=seed, **options)
    sizes = (1, num_importance_samples)
    curve = evaluation.importance_weighted_curve(model, *data, sizes=sizes, seed=seed)
    gained = curve[num_importance_samples] - curve[1]
    parts = (gap.log_likelihood - gap.bound, gap.approximation, gap.amortisation, gained)
    return Ledger(*map(evaluation.estimate, parts))


class Surgery(NamedTuple):
    """The mean KL and its parts: kl = information + marginal_kl + prior_information; nats.

    information: I_q(n; z), what z says of which example it came from; at most log N.
    marginal_kl: KL(q(z) ‖ p(z)), of the aggregate posterior from the aggregate prior.
    prior_information: minus what the prior already says of the example; 0 for one prior for all.
    """

    kl: float
    information: float
    marginal_kl: float
    prior_information: float


def surgery(model: Any, *data: Any, num_samples: int = 16, seed: int = 0) -> Surgery:
    r"""ELBO surgery: mean KL(q ‖ p) = I_q(n; z) + KL(q(z) ‖ p(z)), (2.8).

    q(z) = (1/N) Σ_n q(z|n) is the aggregate posterior over the N examples given. Where the prior
    has a condition, p(z) = (1/N) Σ_n p(z|n), and a third term E log p(z)/p(z|n) takes away what the
    condition tells.

    Args:
        model, *data: as in `kl_per_dimension`; N² · d numbers per sample are in memory: N of about
            a thousand.
        num_samples: int, draws of z per example.
        seed: int.

    Returns:
        Surgery.

    Source: Hoffman & Johnson (2016), ELBO surgery.
    """
    num_samples = checks.count(num_samples, "num_samples")
    q, prior, _ = latent_factors(model, data, "surgery")
    num_rows = q.batch_shape[0]

    def mixture_log_prob(distribution: Any, z: tf.Tensor) -> tf.Tensor:  # log (1/N) Σ_n p_n(z_i)
        if not distribution.batch_shape.rank:
            return distribution.log_prob(z)
        return tf.reduce_logsumexp(distribution.log_prob(z[:, None]), 1) - np.log(num_rows)

    totals = np.zeros(4)
    for sample in range(num_samples):
        epsilon = noise_of(model, f"diagnostics: surgery {sample}", seed, 1, num_rows)
        z = reparameterise(q, epsilon)[0]
        log_q, log_p = q.log_prob(z), prior.log_prob(z)
        log_q_mean, log_p_mean = mixture_log_prob(q, z), mixture_log_prob(prior, z)
        # (2.8)
        parts = (log_q - log_p, log_q - log_q_mean, log_q_mean - log_p_mean, log_p_mean - log_p)
        totals += [float(np.mean(part)) for part in parts]
    return Surgery(*(totals / num_samples).tolist())
