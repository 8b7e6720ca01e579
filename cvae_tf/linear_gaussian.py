r"""The linear-Gaussian model, whose every density is known: what a bound has to agree with.

Where the decoder is linear and every distribution Gaussian, nothing has to be estimated: the
evidence log p(x|y) (7.1), the true posterior p(z|x,y) (7.2), the bound for any diagonal Gaussian q
and the gap between them all have a formula. This file writes them down in NumPy and float64, with
no TensorFlow in its formulas, so that the library can be held against it.

Symbols: N examples, D = dimension of x, d = dimension of z, m = dimension of y. Densities are in
nats per example.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import Covariance, multivariate_normal

from cvae_tf import checks

__all__ = ["LinearGaussian", "kl_diagonal"]

_LOG_2PI = np.log(2.0 * np.pi)
_MODELS = ("VAE", "CVAE1", "CVAE2", "CVAE3", "CMMA")


@dataclass(frozen=True, eq=False)
class LinearGaussian:
    r"""A latent-variable model whose every density is known.

    z|y ~ N(Ay + a, S) with S diagonal, x|y,z ~ N(Wz + Vy + b, σ²I).

    The rows of section 7 are zeros in it:

    | model        | zero or fixed         | call                               |
    |--------------|-----------------------|------------------------------------|
    | VAE          | V, A, a = 0, S = I    | `log_evidence(x)`                  |
    | CVAE1        | nothing               | `log_evidence(x, y)`               |
    | CVAE2        | A, a = 0, S = I       | `log_evidence(x, y)`               |
    | CVAE3        | nothing; x, y swapped | `log_evidence(y, x)`               |
    | CVAE4 (CMMA) | V = 0                 | `log_evidence(x, y)`               |

    CVAE-3 predicts y from x. The first argument of every method is *what the model predicts*, the
    second *what it is given*; so for CVAE-3 the caller passes the article's y first and its x
    second, W and V map into the space of y, and A maps from the space of x.

    Args:
        W: the loadings, [D, d].
        b: the offset of x, [D].
        sigma: σ > 0, the standard deviation of the noise on x, in units of x.
        V: the direct effect of y on x, [D, m]; None is 0.
        A: the effect of y on z, [d, m]; None is 0.
        a: the offset of z, [d]; None is 0.
        S: the prior's *variances* (the diagonal of S), [d], positive; None is 1.

    Raises:
        TypeError, ValueError: if shapes disagree, or σ or S is not positive; so too the methods,
            where rows do not fit the model or each other.

    Example:
        >>> model = LinearGaussian.random(5, 2, 3, model="CVAE1", seed=0)
        >>> x, z = model.sample(np.eye(3), seed=1)
        >>> mean, covariance = model.posterior(x, np.eye(3))
        >>> scale = np.sqrt(np.diag(covariance))
        >>> gap = model.log_evidence(x, np.eye(3)) - model.bound(mean, scale, x, np.eye(3))
        >>> bool(np.allclose(gap, model.kl_to_posterior(mean, scale, x, np.eye(3))))
        True

    Source: Tipping & Bishop (1999), Probabilistic principal component analysis; equations (1.4),
    (7.1), (7.2).
    """

    W: np.ndarray
    b: np.ndarray
    sigma: float
    V: np.ndarray | None = None
    A: np.ndarray | None = None
    a: np.ndarray | None = None
    S: np.ndarray | None = None

    def __post_init__(self) -> None:
        W = checks.array(self.W, "W", ndim=2, dtype="float64")
        x_dim, z_dim = W.shape
        y_dim = next((np.shape(M)[-1:] for M in (self.V, self.A) if M is not None), (None,))
        expected = {
            "b": (x_dim,), "V": (x_dim, *y_dim), "A": (z_dim, *y_dim), "a": (z_dim,), "S": (z_dim,),
        }
        vars(self).update(W=W, sigma=checks.number(self.sigma, "sigma", above=0))
        for name, shape in expected.items():
            value = getattr(self, name)
            if value is None and name != "b":
                continue
            value = checks.array(value, name, dtype="float64")
            if value.shape != shape:
                raise ValueError(f"{name} has shape {value.shape}. Expected {shape}, as W has.")
            vars(self)[name] = value
        if self.S is not None and self.S.min() <= 0:
            raise ValueError("S holds a value that is not positive. Expected variances, all > 0.")

    @classmethod
    def random(
        cls, x_dim: int, z_dim: int, y_dim: int | None = None, *, model: str = "VAE",
        sigma_squared_min: float = 0.01, seed: int,
    ) -> LinearGaussian:
        """Makes a random instance with the zeros that the model's row of section 7 demands.

        Args:
            x_dim, z_dim, y_dim: dimensions of the article's x, z and y; y_dim is None for the VAE
                and only there. For "CVAE3" the instance predicts y, so its W is [y_dim, z_dim] and
                its V [y_dim, x_dim].
            model: "VAE", "CVAE1", "CVAE2", "CVAE3" or "CMMA".
            sigma_squared_min: least σ²; drawn log-uniformly from here to 1 (or to ten times it,
                where that is more).
            seed: an integer ≥ 0; the same seed gives the same instance.

        Returns:
            A `LinearGaussian`.

        Raises:
            TypeError, ValueError: if the model is unknown, y_dim is missing or superfluous, or a
                number is none of those.

        Example:
            >>> LinearGaussian.random(64, 8, 10, model="CMMA", seed=0).V is None
            True
        """
        checks.choice(model, "model", _MODELS)
        if (y_dim is None) != (model == "VAE"):
            cure = "leave y_dim out" if model == "VAE" else "give its dimension"
            raise ValueError(f"Received {model=}, {y_dim=}. All but the VAE have a y: {cure}.")
        x_dim, z_dim = checks.count(x_dim, "x_dim"), checks.count(z_dim, "z_dim")
        y_dim = 0 if y_dim is None else checks.count(y_dim, "y_dim")  # no y: unused below
        checks.number(sigma_squared_min, "sigma_squared_min", above=0)
        rng = np.random.default_rng(checks.count(seed, "seed", 0))
        if model == "CVAE3":
            x_dim, y_dim = y_dim, x_dim
        ends = np.log([sigma_squared_min, max(1.0, 10 * sigma_squared_min)])
        sigma = float(np.sqrt(np.exp(rng.uniform(*ends))))
        W = rng.standard_normal((x_dim, z_dim)) / np.sqrt(z_dim)
        b = rng.standard_normal(x_dim)
        V = A = a = S = None
        if model in ("CVAE1", "CVAE2", "CVAE3"):
            V = rng.standard_normal((x_dim, y_dim)) / np.sqrt(y_dim)
        if model in ("CVAE1", "CVAE3", "CMMA"):
            A = rng.standard_normal((z_dim, y_dim)) / np.sqrt(y_dim)
            a = rng.standard_normal(z_dim)
            S = np.exp(rng.uniform(np.log(0.25), np.log(4.0), z_dim))
        return cls(W, b, sigma, V, A, a, S)

    def prior(self, y: npt.ArrayLike | None = None) -> tuple[np.ndarray, np.ndarray]:
        r"""p(z|y) = N(Ay + a, S).

        Args:
            y: what is given, [N, m]; None for a model without y.

        Returns:
            (mean [N, d], scale [d]), the scale being the square root of S; the mean is [1, d] where
            there is no y.
        """
        given = self._given(y)
        mean = np.zeros((1 if given is None else len(given), self.W.shape[1]))  # [N, d]
        mean += 0 if self.a is None else self.a
        mean += 0 if self.A is None else given @ self.A.T
        return mean, np.sqrt(self._variances)

    def log_evidence(self, x: npt.ArrayLike, y: npt.ArrayLike | None = None) -> np.ndarray:
        r"""log p(x|y) = log N(x; W(Ay + a) + Vy + b, WSWᵀ + σ²I), (7.1); with no y it is log p(x),
        (1.4).

        Args:
            x: what the model predicts, [N, D].
            y: what it is given, [N, m], or [1, m] for all; None for a model without y.

        Returns:
            nats per example, [N].
        """
        x, y = self._rows(x, y)
        mean, _ = self.prior(y)
        centred = x - mean @ self.W.T - self._offset(y)  # [N, D]
        covariance = (self.W * self._variances) @ self.W.T + self.sigma**2 * np.eye(len(self.b))
        factored = Covariance.from_cholesky(np.linalg.cholesky(covariance))
        return multivariate_normal.logpdf(centred, cov=factored).reshape(-1)

    def seeing(self, seen: npt.ArrayLike) -> LinearGaussian:
        """The model of a part of x: p(x_O, z|y), the rows of W, V and b that are seen, (7.7).

        Args:
            seen: bool [D], or the indices of the dimensions that are seen.

        Returns:
            A `LinearGaussian` of x_O, whose evidence and posterior are those of what is seen.

        Raises:
            ValueError: if `seen` is neither.
        """
        seen, size = np.asarray(seen), len(self.b)
        is_mask = seen.dtype == bool and seen.shape == (size,)
        are_places = seen.ndim == 1 and np.issubdtype(seen.dtype, np.integer)
        if not is_mask and not (are_places and np.all((seen >= 0) & (seen < size))):
            raise ValueError(
                f"Received seen={seen.tolist()}. Expected bool [{size}], or indices from 0 to "
                f"{size - 1}."
            )
        V = None if self.V is None else self.V[seen]
        return replace(self, W=self.W[seen], b=self.b[seen], V=V)

    def posterior(
        self, x: npt.ArrayLike, y: npt.ArrayLike | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        r"""p(z|x,y) = N(C(S⁻¹(Ay + a) + Wᵀ(x − Vy − b)/σ²), C), C = (S⁻¹ + WᵀW/σ²)⁻¹, (7.2).

        Args:
            x, y: as in `log_evidence`.

        Returns:
            (mean [N, d], covariance [d, d]); the covariance is the same for every example.
        """
        x, y = self._rows(x, y)
        mean, _ = self.prior(y)
        evidence = mean / self._variances + (x - self._offset(y)) @ self.W / self.sigma**2  # [N, d]
        covariance = np.linalg.inv(self._precision)
        return np.linalg.solve(self._precision, evidence.T).T, (covariance + covariance.T) / 2

    def kl_to_posterior(
        self, mean: npt.ArrayLike, scale: npt.ArrayLike, x: npt.ArrayLike,
        y: npt.ArrayLike | None = None,
    ) -> np.ndarray:
        r"""KL(N(mean, diag scale²) ‖ p(z|x,y)): the gap below the evidence, (1.3), (3.1).

        KL = ½[tr(C⁻¹ diag scale²) + (mean − μ)ᵀC⁻¹(mean − μ) − d + log det C − Σ log scale²], μ and
        C from (7.2).

        Args:
            mean, scale: of the diagonal Gaussian q, [N, d] or broadcastable to it; scales are
                standard deviations.
            x, y: as in `log_evidence`.

        Returns:
            nats per example, [N].
        """
        mean, scale = self._q(mean, scale, x)
        distance = mean - self.posterior(x, y)[0]
        precision = self._precision  # C⁻¹
        squares = np.einsum("nj,jk,nk->n", distance, precision, distance)
        log_determinants = np.linalg.slogdet(precision)[1] + np.log(scale**2).sum(-1)
        return 0.5 * (scale**2 @ np.diag(precision) + squares - len(precision) - log_determinants)

    def bound(
        self, mean: npt.ArrayLike, scale: npt.ArrayLike, x: npt.ArrayLike,
        y: npt.ArrayLike | None = None,
    ) -> np.ndarray:
        r"""The bound L for q = N(mean, diag scale²), each expectation by its formula, (1.2), (3.2).

        L = −KL(q ‖ p(z|y)) + E_q[log p(x|y,z)], with
        E_q‖x − Wz − Vy − b‖² = ‖x − W mean − Vy − b‖² + Σ_j scale_j² ‖W_j‖².

        Neither the evidence (7.1) nor the posterior (7.2) enters, so that log p = L + KL is a check
        of all three.

        Args:
            mean, scale: of the diagonal Gaussian q, [N, d] or broadcastable to it; scales are
                standard deviations.
            x, y: as in `log_evidence`.

        Returns:
            nats per example, [N].
        """
        x, y = self._rows(x, y)
        mean, scale = self._q(mean, scale, x)
        residual = x - mean @ self.W.T - self._offset(y)  # [N, D]
        squares = (residual**2).sum(-1) + scale**2 @ (self.W**2).sum(0)
        log_det = len(self.b) * (_LOG_2PI + np.log(self.sigma**2))
        reconstruction = -0.5 * (squares / self.sigma**2 + log_det)
        return reconstruction - kl_diagonal(mean, scale, *self.prior(y))

    def sample(
        self, y: npt.ArrayLike | None = None, *, num_samples: int | None = None, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draws z from the prior and x from the likelihood.

        Args:
            y: what is given, [N, m]: one draw for each row. None for a model without y.
            num_samples: the number of draws where there is no y.
            seed: an integer ≥ 0.

        Returns:
            (x [N, D], z [N, d]).

        Raises:
            TypeError, ValueError: if both or neither of y and num_samples are given.
        """
        if (y is None) == (num_samples is None):
            raise ValueError(f"Received {y=} and {num_samples=}. Expected one of the two.")
        rng = np.random.default_rng(checks.count(seed, "seed", 0))
        mean, scale = self.prior(y)
        count = checks.count(num_samples, "num_samples") if y is None else len(mean)
        z = mean + scale * rng.standard_normal((count, len(scale)))
        noise = rng.standard_normal((count, len(self.b)))
        return z @ self.W.T + self._offset(self._given(y)) + self.sigma * noise, z

    @cached_property
    def _variances(self) -> np.ndarray:  # S, [d]
        return np.ones(self.W.shape[1]) if self.S is None else self.S

    @cached_property
    def _precision(self) -> np.ndarray:  # C⁻¹, [d, d]
        return np.diag(1 / self._variances) + self.W.T @ self.W / self.sigma**2

    def _offset(self, y: Any) -> np.ndarray:  # Vy + b, [N, D] or [D]
        return self.b if self.V is None else y @ self.V.T + self.b

    def _rows(self, x: Any, y: Any) -> tuple[np.ndarray, Any]:  # of one length, or with one row
        x = checks.array(x, "x", event=(len(self.b),), dtype="float64")
        y = self._given(y)
        if y is not None and len({len(x), len(y), 1}) > 2:
            checks.same_length({"x": x, "y": y}, "LinearGaussian")
        return x, y

    def _q(self, mean: Any, scale: Any, x: Any) -> tuple[np.ndarray, np.ndarray]:
        mean = checks.array(mean, "q's mean", dtype="float64")
        scale = checks.array(scale, "q's scale", dtype="float64")
        d, rows = self.W.shape[1], {len(v) for v in (mean, scale, x) if np.ndim(v) == 2} - {1}
        fit = all(v.ndim < 3 and v.shape[-1:] in ((), (1,), (d,)) for v in (mean, scale))
        if not fit or len(rows) > 1 or scale.min() <= 0:
            raise ValueError(
                f"q has a mean of shape {mean.shape} and a scale of shape {scale.shape}, at least "
                f"{scale.min():g}. Expected [N, {d}], as many rows as x, and scales > 0."
            )
        mean, scale, _ = np.broadcast_arrays(*map(np.atleast_2d, (mean, scale)), np.ones((1, d)))
        return mean, scale

    def _given(self, y: Any) -> Any:
        matrix = self.V if self.V is not None else self.A
        if matrix is None and y is not None:
            raise ValueError("y came, but this model has neither V nor A: leave y out.")
        if matrix is not None and y is None:
            raise ValueError("y is missing: this model is conditional. Give its condition, [N, m].")
        if matrix is None:
            return None
        return checks.array(y, "y", event=matrix.shape[1:], dtype="float64")


def kl_diagonal(
    mean_q: npt.ArrayLike, scale_q: npt.ArrayLike, mean_p: npt.ArrayLike, scale_p: npt.ArrayLike
) -> np.ndarray:
    r"""KL(N(μ, diag σ²) ‖ N(m, diag s²)) between diagonal Gaussians, (2.4).

    KL = ½ Σ_j [σ_j²/s_j² + (μ_j−m_j)²/s_j² − 1 + log s_j² − log σ_j²].

    Args:
        mean_q, scale_q: μ and σ, [..., d]; scales are standard deviations.
        mean_p, scale_p: m and s, broadcastable to the same.

    Returns:
        nats per example, [...], summed over the latent dimensions.

    Raises:
        TypeError, ValueError: if a scale is not positive, or the shapes do not go together.

    Example:
        >>> float(kl_diagonal(np.array([1.0, 0.0]), 1.0, 0.0, 1.0))
        0.5
    """
    given = {"mean_q": mean_q, "scale_q": scale_q, "mean_p": mean_p, "scale_p": scale_p}
    arrays = {name: checks.array(value, name, dtype="float64") for name, value in given.items()}
    for name in ("scale_q", "scale_p"):
        if arrays[name].min() <= 0:
            raise ValueError(f"{name} holds {arrays[name].min():g}. Expected deviations > 0.")
    try:
        mean_q, scale_q, mean_p, scale_p, _ = np.broadcast_arrays(*arrays.values(), np.ones(1))
    except ValueError:
        shapes = {name: value.shape for name, value in arrays.items()}
        raise ValueError(f"The shapes are {shapes}. Expected [..., d], of one d.") from None
    ratio = (scale_q / scale_p) ** 2
    return 0.5 * (ratio + ((mean_q - mean_p) / scale_p) ** 2 - 1 - np.log(ratio)).sum(-1)
