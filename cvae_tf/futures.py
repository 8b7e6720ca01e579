r"""Prediction of uncertain futures: CVAE-3 with a prior that does not see the condition.

From one still image x a distribution over motions y. The likelihood's family is Gaussian, and y
the first DCT coefficients of a trajectory (`tasks.futures`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from cvae_tf import checks
from cvae_tf.base import LatentVariableModel
from cvae_tf.distributions import Distribution, Tensor
from cvae_tf.estimators import Factors
from cvae_tf.networks import apply


@keras.saving.register_keras_serializable("cvae_tf")
class FutureCVAE(LatentVariableModel):
    r"""p(y, z|x) = p(z) p(y|x,z): log p(y|x) ≥ −KL(q(z|x,y) ‖ p(z)) + E_q[log p(y|x,z)], (9.1).

    z holds what the still does not tell, such as which way; x enters the posterior and the
    likelihood only. It is CVAE-2 (4.2) with x and y in each other's place.

    Args:
        posterior_net: network of [x, y], output [B, 2d].
        likelihood_net: network of [x, z], raw output of `family`, which explains y.
        family, estimator, seed: see `LatentVariableModel`.

    Example:
        >>> family = Gaussian("shared")
        >>> nets = mlps(FutureCVAE, x=256, y=10, z=2, hidden=(128,), family=family)
        >>> model = FutureCVAE(**nets, family=family)

    Source: Walker, Doersch, Gupta & Hebert (2016), section 3.
    """

    observed = "y"

    def prior(self) -> Distribution:
        """p(z) = N(0, I)."""
        return self.standard_normal()

    def posterior(self, x: Tensor, y: Tensor) -> Distribution:
        """q(z|x,y). Args: x [B, D], y [B, K]. Returns: distribution, batch [B], event [d]."""
        return self.latent(apply(self.posterior_net, x, y))

    def likelihood(self, x: Tensor, z: Tensor) -> Distribution:
        """p(y|x,z). Args: x [B, D], z [..., B, d]. Returns: distribution, batch [..., B]."""
        return self.family(apply(self.likelihood_net, x, z))

    def factors(self, x: Tensor, y: Tensor) -> Factors:
        """(9.1)"""
        return self.posterior(x, y), self.prior(), lambda z: self.likelihood(x, z).log_prob(y)


def draws(
    model: Any, x: Any, num_samples: int, *, seed: int = 0, sample: bool = True,
    rows_at_once: int = 20_000,
) -> np.ndarray:
    """Many draws of y for each x.

    Args:
        model: a model that predicts y from x: FutureCVAE, CVAE3, GSNN or Baseline.
        x: what is seen, [N, …].
        num_samples: int S.
        seed: int.
        sample: bool; True draws y from the likelihood at each drawn z, False takes its mean.
        rows_at_once: int, most rows decoded in one go, but never fewer than the N of one draw.

    Returns:
        NumPy array [S, N, …]; the first draws are the same for every S.

    Example:
        >>> draws(model, x, 800).shape
        (800, 500, 10)
    """
    num_samples, seed = checks.count(num_samples, "num_samples"), checks.seed(seed)
    x = checks.array(x, "x (in draws)", dtype=None)
    if not x.ndim:
        raise ValueError(f"Received x={x} (in draws), one number. Expected rows, [N, …].")
    times = max(1, min(50, checks.count(rows_at_once, "rows_at_once") // len(x)))
    tiled = np.concatenate([x] * times)
    parts = []
    for first in range(0, num_samples, times):
        y = model.generate(tiled, seed=1_000_003 * (seed + 1) + first, sample=sample)
        parts.append(y.reshape(times, len(x), *y.shape[1:]))
    return np.concatenate(parts)[:num_samples]


def least_distance(samples: Any, y: Any, sizes: Sequence[int]) -> dict[int, np.ndarray]:
    """Euclidean distance from y to the nearest of the first S draws, for several S.

    Args:
        samples: draws [S, N, K].
        y: what happened, [N, K].
        sizes: ints, each at most S.

    Returns:
        dict {S: NumPy array [N]}, in the unit of y; falls with S for every example.

    Raises:
        ValueError: if a size is larger than the number of draws.

    Source: Walker et al. (2016), section 4.
    """
    samples = checks.array(samples, "samples", ndim=3, dtype=None)
    y = checks.array(y, "y (in least_distance)", ndim=2, dtype=None)
    sizes = [checks.count(s, "size", most=len(samples)) for s in checks.sizes(sizes, "sizes")]
    if not sizes:
        raise ValueError("Received sizes=(). Expected at least one number, such as (1, 10).")
    if samples.shape[1:] != y.shape:
        raise ValueError(f"samples {samples.shape}, y {y.shape}. Expected (S, N, K) and (N, K).")
    nearest = np.minimum.accumulate(np.linalg.norm(samples - y, axis=-1), 0)  # [S, N]
    return {size: nearest[size - 1] for size in sizes}


def clusters(samples: Any, num: int = 10, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """k-means of the draws for one still, for display: a few futures and their shares.

    Args:
        samples: draws for one x, [S, K].
        num: int, clusters.
        seed: int.

    Returns:
        (centres [num, K], shares [num], summing to 1), the largest share first.

    Source: Walker et al. (2016), section 4.
    """
    from sklearn.cluster import KMeans

    samples = checks.array(samples, "samples", ndim=2, dtype="float64")
    num, seed = checks.count(num, "num", most=len(samples)), checks.count(seed, "seed", 0, 2**31)
    found = KMeans(num, n_init=4, random_state=seed).fit(samples)
    shares = np.bincount(found.labels_, minlength=num) / len(samples)
    order = np.argsort(-shares, kind="stable")
    return found.cluster_centers_[order], shares[order]
