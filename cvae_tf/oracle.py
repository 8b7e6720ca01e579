r"""The oracle: `LinearGaussian`, and its maximum-likelihood fits, against which models are held.

`ppca` fits the VAE's row of section 7 and, with y, CVAE-2's; `cmma` the CMMA's. The scores are
scikit-learn's, for a second opinion. Densities are in nats per example.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cvae_tf import checks
from cvae_tf.linear_gaussian import LinearGaussian, kl_diagonal

__all__ = ["LinearGaussian", "cmma", "kl_diagonal", "pca_score", "ppca", "residual_pca_score"]


def ppca(x: npt.ArrayLike, k: int, y: npt.ArrayLike | None = None) -> LinearGaussian:
    r"""Fits the linear-Gaussian model by maximum likelihood, in closed form.

    With λ₁ ≥ … ≥ λ_D the eigenvalues and U the eigenvectors of the sample covariance of x (division
    by N): σ² = mean(λ_{k+1} … λ_D), W = U_k (Λ_k − σ²I)^½, b = mean(x).
    W's columns are orthogonal, so the true posterior is diagonal and a diagonal q can close the
    gap. With y, x is first regressed on y and a constant (V and b), and W, σ² describe the
    residuals: the optimum of CVAE-2.

    Args:
        x: data, [N, D].
        k: the number of latent dimensions, 1 ≤ k < D.
        y: what is given, [N, m]; None fits the VAE.

    Returns:
        A `LinearGaussian`; the mean of its `log_evidence` is the greatest that any such model
        reaches on x.

    Raises:
        TypeError, ValueError: if k is out of range, or k dimensions already explain x exactly
            (σ² = 0 has no density).

    Example:
        >>> x = np.random.default_rng(0).standard_normal((100, 5))
        >>> ppca(x, 2).W.shape
        (5, 2)

    Source: Tipping & Bishop (1999), equations (1.4), (7.1).
    """
    x = checks.array(x, "x", ndim=2, dtype="float64")
    k = checks.count(k, "k", 1, x.shape[1] - 1)
    if y is None:
        V, b = None, x.mean(0)
        residuals = x - b
    else:
        V, b, residuals = _least_squares(*_pair(x, y))
    eigenvalues, vectors = np.linalg.eigh(residuals.T @ residuals / len(x))  # ascending
    sigma_squared = eigenvalues[:-k].mean()
    if sigma_squared <= 1e-12 * eigenvalues[-1]:
        raise ValueError(f"Received k={k}. So many explain x exactly: take fewer dimensions.")
    W = vectors[:, : -k - 1 : -1] * np.sqrt(eigenvalues[: -k - 1 : -1] - sigma_squared)
    return LinearGaussian(W, b, np.sqrt(sigma_squared), V=V)


def cmma(x: npt.ArrayLike, k: int, y: npt.ArrayLike, *, steps: int = 1000) -> LinearGaussian:
    r"""Fits the linear CMMA, V = 0, by expectation maximisation: y acts through k latents alone.

    Each step takes E[z|x,y] and C from (7.2), regresses x on z and z on y, and turns z so that its
    prior has S = I again. No step lowers the likelihood. Only moments of the data enter, so a step
    costs the same for any N.

    Args:
        x: data, [N, D].
        k: the number of latent dimensions, 1 ≤ k < D.
        y: what is given, [N, m].
        steps: int, steps of expectation maximisation; it starts at `ppca(x, k)`.

    Returns:
        A `LinearGaussian` with V = None: with enough steps near a maximum of the mean
        `log_evidence`, of which nobody has shown that there is only one.

    Raises:
        TypeError, ValueError: as `ppca`.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x, y = rng.standard_normal((100, 5)), rng.standard_normal((100, 3))
        >>> cmma(x, 2, y).A.shape
        (2, 3)

    Source: Dempster, Laird & Rubin (1977) with the densities of (7.1), (7.2).
    """
    raw, given = _pair(x, y)
    start, steps = ppca(raw, k), checks.count(steps, "steps")
    D = raw.shape[1]
    t = np.column_stack([raw - start.b, given, np.ones(len(raw))])
    moments = t.T @ t / len(t)  # of t = (x, y, 1), [D + m + 1, D + m + 1]
    of_y = np.linalg.pinv(moments[D:, D:], hermitian=True)  # one-hot y and the constant overlap
    W, variance, M = start.W, start.sigma**2, np.zeros((k, len(moments) - D))  # E[z|y] = M (y, 1)
    for _ in range(steps):
        C = np.linalg.inv(np.eye(k) + W.T @ W / variance)
        G = C @ np.hstack([W.T / variance, M])  # E[z|x,y] = G t, (7.2)
        zz, zt = C + G @ moments @ G.T, G @ moments
        W = np.linalg.solve(zz, zt[:, :D]).T  # x on z
        variance = (np.trace(moments[:D, :D]) - (W * zt[:, :D].T).sum()) / D
        M = zt[:, D:] @ of_y  # z on (y, 1)
        R = np.linalg.cholesky(zz - M @ zt[:, D:].T)  # the prior's covariance is R Rᵀ
        W, M = W @ R, np.linalg.solve(R, M)
    return LinearGaussian(W, start.b, np.sqrt(variance), A=M[:, :-1], a=M[:, -1])


def pca_score(x: npt.ArrayLike, k: int) -> float:
    """Mean log p(x) of scikit-learn's PCA with k components, (1.4): the limit of a linear VAE.

    Args:
        x: data, [N, D].
        k: the number of components.

    Returns:
        nats per example, a float. scikit-learn divides its variances by N − 1, which costs about
        D/(4N²) nats.

    Raises:
        TypeError, ValueError: if k is out of range, or x is no such array.
    """
    from sklearn.decomposition import PCA

    x = checks.array(x, "x", ndim=2, dtype="float64")
    k = checks.count(k, "k", 1, min(x.shape))
    return float(PCA(k, svd_solver="covariance_eigh").fit(x).score(x))


def residual_pca_score(x: npt.ArrayLike, y: npt.ArrayLike, k: int) -> float:
    """PCA score of the residuals of least squares of x on y, (7.1): the limit of a linear CVAE-2.

    Args:
        x: data, [N, D].
        y: what is given, [N, m]; a constant is added to the regression.
        k: the number of components.

    Returns:
        nats per example, a float.

    Raises:
        TypeError, ValueError: as `pca_score`.
    """
    return pca_score(_least_squares(*_pair(x, y))[2], k)


def _pair(x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    x = checks.array(x, "x", ndim=2, dtype="float64")
    y = checks.array(y, "y", ndim=2, dtype="float64")
    checks.same_length({"x": x, "y": y}, "oracle")
    return x, y


def _least_squares(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(V, b, residuals) of x ≈ Vy + b; the shortest solution where one-hot y overlap with b."""
    t = np.column_stack([y, np.ones(len(y))])
    coefficients = np.linalg.lstsq(t, x, rcond=None)[0]  # [m + 1, D]
    return coefficients[:-1].T, coefficients[-1], x - t @ coefficients
