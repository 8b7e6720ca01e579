r"""Measuring a trained model: log-likelihoods with error bars, the curve of L_K, the gap's parts.

What is about z works on every model that has one, because it asks for nothing but the model's
factors. All numbers are nats per example.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from cvae_tf import checks, noise
from cvae_tf.base import BoundModel, LatentVariableModel
from cvae_tf.distributions import Gaussian, draw, is_diagonal_gaussian
from cvae_tf.estimators import SGVBB, log_mean_exp, log_weights
from cvae_tf.programs import compiled
from cvae_tf.wiring import closed_form_kl


class Estimate(NamedTuple):
    """A mean over examples and its standard error, nats per example."""

    mean: float
    standard_error: float
    count: int  # type: ignore[assignment]

    def __str__(self) -> str:
        return f"{self.mean:.2f} ± {self.standard_error:.2f} nats (N = {self.count})"


def estimate(values: Any) -> Estimate:
    """Mean and standard error over examples. Args: values: array [N]. Returns: Estimate."""
    values = checks.array(values, "values", ndim=1, dtype="float64")
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else float("nan")
    return Estimate(float(values.mean()), float(error), len(values))


def log_likelihood(model: Any, *data: Any, **options: Any) -> Estimate:
    """The mean log-likelihood by (2.6), (5.7) or (5.8), with its standard error over examples.

    Args:
        model: any model of the library.
        *data: x or (x, y), [N, …].
        **options: `num_samples`, `method`, `seed` of `model.log_likelihood`.

    Returns:
        Estimate, nats per example.

    Example:
        >>> print(log_likelihood(model, x_test, num_samples=5000))
    """
    checks.instance(model, "model", BoundModel, "a model, such as VAE or CVAE1")
    return estimate(model.log_likelihood(*data, **options))


def latent_factors(model: Any, data: Any, where: str) -> Any:
    """q, prior and log-likelihood at checked data. Raises: TypeError: without a latent z."""
    expected = "a model with a latent z, such as VAE or CVAE1"
    checks.instance(model, f"model (in {where})", LatentVariableModel, expected)
    return model.factors(*model.given(*data, where=where, least=0))  # q(z|x,y) needs a known y


def diagonal_gaussian(p: Any, name: str, where: str) -> Any:
    """p itself. Raises: TypeError, ValueError: if it is no diagonal Gaussian."""
    if not is_diagonal_gaussian(p):
        raise checks.WrongKind(
            f"The {name} (in {where}) is a {type(p).__name__}. Expected a diagonal Gaussian, which "
            "has a mean and a scale for each dimension: use a model with one."
        )
    return p


def noise_of(
    model: Any, purpose: str, seed: int, num_samples: int, num_rows: int, step: Any = 0
) -> tf.Tensor:
    """ε of a seed for one purpose, [num_samples, num_rows, d], the same at every call."""
    size = num_samples, num_rows, model.latent_dim
    return noise.normal_at(noise.Place(purpose, step), seed, *size, model.compute_dtype)


def importance_weighted_curve(
    model: LatentVariableModel, *data: Any, sizes: Sequence[int] = (1, 2, 4, 8, 16, 32, 64),
    seed: int = 0,
) -> dict[int, np.ndarray]:
    r"""L̂_K for several K from one set of weights in groups of K, (2.6): where each size divides
    the next, it rises for every example.

    Args:
        model, *data: as in `log_likelihood`; all N examples are held in memory at once.
        sizes: ints, each dividing the last.
        seed: int.

    Returns:
        dict {K: NumPy array [N]}, nats.

    Raises:
        ValueError: if a size does not divide the last one.

    Source: Burda, Grosse & Salakhutdinov (2015), theorem 1.
    """
    sizes = checks.sizes(sizes, "sizes")
    if not sizes or any(sizes[-1] % size for size in sizes):
        raise ValueError(f"Received sizes={sizes}. Expected each to divide the last.")
    most, (q, prior, log_p) = sizes[-1], latent_factors(model, data, "importance_weighted_curve")
    epsilon = noise_of(model, "importance-weighted curve", seed, most, q.batch_shape[0])
    log_w, _ = log_weights(q, prior, log_p, epsilon)

    def mean_of_groups(size: int) -> np.ndarray:
        grouped = tf.reshape(log_w, [most // size, size, -1])
        return tf.reduce_mean(log_mean_exp(grouped, axis=1), 0).numpy()

    return {size: mean_of_groups(size) for size in sizes}


class Gap(NamedTuple):
    """log p − L split by (2.7); each [N], nats.

    log_likelihood: log p by importance sampling.
    best_bound: the bound at each example's best diagonal Gaussian.
    bound: the bound at the network's q.
    best_mean, best_scale: μ and σ of each example's best Gaussian, [N, d].
    """

    log_likelihood: np.ndarray
    best_bound: np.ndarray
    bound: np.ndarray
    best_mean: np.ndarray | None = None
    best_scale: np.ndarray | None = None

    @property
    def approximation(self) -> np.ndarray:
        """What the best diagonal Gaussian that was found leaves open."""
        return self.log_likelihood - self.best_bound  # (2.7)

    @property
    def amortisation(self) -> np.ndarray:
        """What the network loses against the best Gaussian of each example."""
        return self.best_bound - self.bound


def gap(
    model: LatentVariableModel, *data: Any, num_samples: int = 5000, steps: int = 400,
    learning_rate: float = 0.03, noise_samples: int = 32, starts: int = 4, seed: int = 0,
) -> Gap:
    r"""Split the gap log p − L into approximation and amortisation, (2.7).

    Every example gets a Gaussian of its own, which climbs the bound from several places, and the
    best is kept: a climb that starts at the network's q can end on a lesser mode of the posterior.
    Fresh noise at each step, and one fixed set of noise, the same for all, for the bounds reported.

    Args:
        model, *data: as in `log_likelihood`; N of a few hundred is enough.
        num_samples: int S for log p.
        steps, learning_rate: of Adam on (μ, raw σ); the rate falls to zero.
        noise_samples: int, draws per example and step; 16 times as many for the bounds reported.
        starts: int: 1 is the network's q alone; the others are draws from the posterior, by
            importance weights over draws from the prior and from q.
        seed: int.

    Returns:
        Gap.

    Raises:
        TypeError: for a model without a latent z.
        ValueError: if the prior, such as a mixture, has no closed-form KL from a Gaussian.

    Source: Cremer, Li & Duvenaud (2018), section 3.
    """
    steps = checks.count(steps, "steps")
    noise_samples = checks.count(noise_samples, "noise_samples")
    learning_rate = checks.number(learning_rate, "learning_rate", above=0)
    starts = checks.count(starts, "starts")
    q, prior, log_likelihood_of = latent_factors(model, data, "gap")
    closed_form_kl(q, prior, "a Gaussian one in `gap`; `log_likelihood` needs none")
    latent = Gaussian(scale="network", dtype=model.compute_dtype)
    latent.build((None, 2 * model.latent_dim))
    raw = tf.Variable(tf.zeros([q.batch_shape[0], 2 * model.latent_dim], model.compute_dtype))
    rate = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    optimizer = keras.optimizers.Adam(rate, beta_2=0.99)
    optimizer.build([raw])
    estimator = SGVBB()

    def climb(step: tf.Tensor) -> None:
        epsilon = noise_of(model, "gap: climbing", seed, noise_samples, q.batch_shape[0], step)
        with tf.GradientTape() as tape:
            loss = -tf.reduce_sum(estimator(latent(raw), prior, log_likelihood_of, epsilon).value)
        optimizer.apply_gradients([(tape.gradient(loss, raw), raw)])

    fixed = noise_of(model, "gap: reporting", seed, 16 * noise_samples, q.batch_shape[0])

    def reported(each: Any) -> np.ndarray:
        return estimator(each, prior, log_likelihood_of, fixed).value.numpy()

    program, found = compiled(climb, jit_compile=model.suits_xla()), []
    for mean in _starts(model, q, prior, log_likelihood_of, starts, seed):
        raw.assign(np.concatenate([mean, latent.raw_from_scale(q.stddev())], -1))
        for variable in optimizer.variables:
            variable.assign(tf.zeros_like(variable))
        for step in range(steps):
            program(tf.constant(step))
        found.append((reported(latent(raw)), raw.numpy()))
    bounds, raws = map(np.stack, zip(*found, strict=True))  # [starts, N], [starts, N, 2d]
    best, rows = bounds.argmax(0), np.arange(len(bounds[0]))
    best_q = latent(tf.constant(raws[best, rows]))
    log_p = model.log_likelihood(*data, num_samples=num_samples, seed=seed)
    mean, scale = map(np.asarray, (best_q.mean(), best_q.stddev()))
    return Gap(log_p, bounds[best, rows], reported(q), mean, scale)


def _starts(
    model: Any, q: Any, prior: Any, log_p: Any, count: int, seed: int
) -> list[np.ndarray]:
    """Means to climb from, [N, d]: q's, then draws from the posterior by importance weights."""
    epsilon = noise_of(model, "gap: starts", seed, 256, q.batch_shape[0])
    key = noise.key(seed, "gap: starts, of the prior")
    z = tf.concat([draw(prior, *epsilon.shape, key=key, dtype=q.dtype),
                   q.mean() + q.stddev() * tf.cast(epsilon, q.dtype)], 0)  # fmt: skip
    of_prior, of_q = prior.log_prob(z), q.log_prob(z)
    log_w = log_p(z) + of_prior - np.logaddexp(of_prior, of_q)
    below = np.cumsum(tf.nn.softmax(log_w, 0), 0)  # [S, N]
    means, rows = [np.asarray(q.mean())], np.arange(z.shape[1])
    for k in range(1, count):  # evenly over the weights
        chosen = (below < (k - 0.5) / (count - 1)).sum(0).clip(max=len(below) - 1)
        means.append(z.numpy()[chosen, rows])
    return means
