"""The oracle against SciPy's densities, brute-force integrals and scikit-learn."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from cvae_tf import oracle
from cvae_tf.oracle import LinearGaussian

MODELS = ("VAE", "CVAE1", "CVAE2", "CVAE3", "CMMA")
N, X, Y, Z = 7, 64, 10, 8


def instance(model, seed=0, sizes=(X, Z, Y)):
    """An instance, rows of what it predicts and of what it is given (None for the VAE)."""
    x_dim, z_dim, y_dim = sizes
    linear = LinearGaussian.random(
        x_dim, z_dim, None if model == "VAE" else y_dim, model=model, seed=seed
    )
    rng = np.random.default_rng(seed + 1)
    if model == "VAE":
        given = None
    else:
        given = rng.standard_normal((N, x_dim if model == "CVAE3" else y_dim))
    return linear, rng.standard_normal((N, len(linear.b))), given


@pytest.mark.parametrize("model", MODELS)
def test_the_zeros_of_each_row(model):
    linear, _, _ = instance(model)
    zero = {name for name in "VAaS" if getattr(linear, name) is None}
    assert zero == {"VAE": set("VAaS"), "CVAE2": set("AaS"), "CMMA": set("V")}.get(model, set())
    assert linear.W.shape == ((Y, Z) if model == "CVAE3" else (X, Z))
    assert linear.sigma**2 >= 0.01
    assert np.array_equal(linear.W, instance(model)[0].W)
    assert not np.array_equal(linear.W, instance(model, seed=5)[0].W)


@pytest.mark.parametrize("model", MODELS)
def test_evidence_and_posterior_are_those_of_the_joint_gaussian(model):
    """The joint over (z, x) by hand: SciPy gives p(x), conditioning on x gives p(z|x)."""
    linear, x, y = instance(model, sizes=(5, 2, 3))
    d, D = linear.W.shape[1], len(linear.b)
    S = np.eye(d) if linear.S is None else np.diag(linear.S)
    cross = S @ linear.W.T
    marginal = linear.W @ cross + linear.sigma**2 * np.eye(D)
    for i in range(N):
        m = np.zeros(d) if linear.a is None else linear.a + linear.A @ y[i]
        centre = linear.W @ m + linear.b + (0 if linear.V is None else linear.V @ y[i])
        row = (x[i : i + 1], None if y is None else y[i : i + 1])
        expected = multivariate_normal.logpdf(x[i], centre, marginal)
        np.testing.assert_allclose(linear.log_evidence(*row)[0], expected, rtol=1e-10)
        mean, covariance = linear.posterior(*row)
        gain = cross @ np.linalg.inv(marginal)
        np.testing.assert_allclose(mean[0], m + gain @ (x[i] - centre), atol=1e-9)
        np.testing.assert_allclose(covariance, S - gain @ cross.T, atol=1e-9)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("seed", range(5))
def test_evidence_is_bound_plus_gap(model, seed):
    linear, x, y = instance(model, seed)
    rng = np.random.default_rng(seed + 2)
    mean, scale = rng.standard_normal((N, Z)), rng.uniform(0.1, 2, (N, Z))
    gap = linear.kl_to_posterior(mean, scale, x, y)
    assert np.all(gap > 0.1)
    np.testing.assert_allclose(
        linear.log_evidence(x, y), linear.bound(mean, scale, x, y) + gap, rtol=1e-12, atol=1e-9
    )


def test_one_dimension_by_brute_force():
    """Every quantity again as an integral over a fine grid of z."""
    linear = LinearGaussian(W=[[1.3]], b=[0.2], sigma=0.6, V=[[-0.7]], A=[[0.9]], a=[0.1], S=[1.7])
    x, y, mean, scale = 1.1, 0.4, -0.3, 0.8
    z, step = np.linspace(-20, 20, 400_001, retstep=True)
    prior = norm.pdf(z, 0.9 * y + 0.1, np.sqrt(1.7))
    likelihood = norm.pdf(x, 1.3 * z - 0.7 * y + 0.2, 0.6)
    evidence = (prior * likelihood).sum() * step
    posterior = prior * likelihood / evidence
    q = norm.pdf(z, mean, scale)
    log_joint = norm.logpdf(z, 0.9 * y + 0.1, np.sqrt(1.7)) + norm.logpdf(
        x, 1.3 * z - 0.7 * y + 0.2, 0.6
    )
    log_q = norm.logpdf(z, mean, scale)
    bound = (q * (log_joint - log_q)).sum() * step
    gap = (q * (log_q - log_joint + np.log(evidence))).sum() * step
    prior_gap = (q * (log_q - norm.logpdf(z, 0.9 * y + 0.1, np.sqrt(1.7)))).sum() * step

    row = ([[x]], [[y]])
    np.testing.assert_allclose(linear.log_evidence(*row), np.log(evidence), atol=1e-9)
    np.testing.assert_allclose(linear.bound([[mean]], [[scale]], *row), bound, atol=1e-9)
    np.testing.assert_allclose(linear.kl_to_posterior([[mean]], [[scale]], *row), gap, atol=1e-9)
    np.testing.assert_allclose(linear.posterior(*row)[0], (z * posterior).sum() * step, atol=1e-9)
    np.testing.assert_allclose(
        oracle.kl_diagonal([mean], [scale], *linear.prior([[y]])), prior_gap, atol=1e-9
    )


def test_bound_touches_at_the_posterior_of_orthogonal_columns():
    x = np.random.default_rng(0).standard_normal((50, 6)) @ np.random.default_rng(
        1
    ).standard_normal((6, 6))
    linear = oracle.ppca(x, 3)
    mean, covariance = linear.posterior(x)
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 1e-12
    scale = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(linear.bound(mean, scale, x), linear.log_evidence(x), atol=1e-9)


def test_ppca_reaches_the_scores_of_scikit_learn():
    from sklearn.datasets import load_digits
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LinearRegression

    digits = load_digits()
    x, y = digits.data / 16, np.eye(10)[digits.target]
    assert abs(oracle.ppca(x, 8).log_evidence(x).mean() - PCA(8).fit(x).score(x)) < 1e-4
    assert abs(oracle.pca_score(x, 8) - PCA(8).fit(x).score(x)) < 1e-6
    residuals = x - LinearRegression().fit(y, x).predict(y)
    expected = PCA(8).fit(residuals).score(residuals)
    assert abs(oracle.residual_pca_score(x, y, 8) - expected) < 1e-6
    assert abs(oracle.ppca(x, 8, y).log_evidence(x, y).mean() - expected) < 1e-4


@pytest.mark.parametrize("model", ("CVAE1", "CMMA"))
def test_samples_have_the_moments_of_the_densities(model):
    linear, _, y = instance(model, sizes=(3, 2, 2))
    count = 200_000
    x, z = linear.sample(np.repeat(y[:1], count, 0), seed=3)
    mean, scale = linear.prior(y[:1])
    assert np.all(np.abs(z.mean(0) - mean[0]) < 5 * scale / np.sqrt(count))
    # The entropy of p(x|y) is −E log p(x|y); log p has variance D/2 under its own Gaussian.
    covariance = (linear.W * linear.S) @ linear.W.T + linear.sigma**2 * np.eye(3)
    entropy = 0.5 * np.linalg.slogdet(2 * np.pi * np.e * covariance)[1]
    log_evidence = linear.log_evidence(x, np.repeat(y[:1], count, 0))
    assert abs(log_evidence.mean() + entropy) < 5 * np.sqrt(1.5 / count)


def test_the_linear_cmma_is_a_maximum_between_its_neighbours():
    """Between PCA's (A = 0) and CVAE-2's optimum, above the truth, and uphill nowhere."""
    truth = LinearGaussian.random(6, 2, 4, model="CMMA", sigma_squared_min=0.1, seed=3)
    y = np.eye(4)[np.random.default_rng(0).integers(0, 4, 500)]
    x, _ = truth.sample(y, seed=1)
    fitted = oracle.cmma(x, 2, y)
    score = fitted.log_evidence(x, y).mean()
    assert fitted.V is None and score > truth.log_evidence(x, y).mean()
    assert oracle.pca_score(x, 2) < score < oracle.residual_pca_score(x, y, 2)
    parts = {name: getattr(fitted, name) for name in ("W", "b", "sigma", "A", "a")}
    rng = np.random.default_rng(1)
    for name, value in parts.items():
        step = 1e-4 * rng.standard_normal(np.shape(value))
        sides = [
            LinearGaussian(**{**parts, name: value + sign * step}).log_evidence(x, y).mean()
            for sign in (-1, 1)
        ]
        assert max(sides) <= score + 1e-10, name
        assert abs(sides[1] - sides[0]) < 1e-8, name  # 2·1e-4 times a slope of zero


def test_bad_input_is_refused():
    vae = LinearGaussian.random(4, 2, seed=0)
    cvae = LinearGaussian.random(4, 2, 3, model="CVAE2", seed=0)
    with pytest.raises(ValueError, match="leave y out"):
        vae.log_evidence(np.zeros((1, 4)), np.zeros((1, 3)))
    with pytest.raises(ValueError, match="y is missing"):
        cvae.posterior(np.zeros((1, 4)))
    with pytest.raises(ValueError, match=r"\[N, 4\]"):
        vae.log_evidence(np.zeros((1, 5)))
    with pytest.raises(ValueError, match="leave y_dim out"):
        LinearGaussian.random(4, 2, 3, seed=0)
    with pytest.raises(ValueError, match="CVAE1"):
        LinearGaussian.random(4, 2, 3, model="CVAE9", seed=0)
    with pytest.raises(ValueError, match="variances"):
        LinearGaussian(np.ones((4, 2)), np.zeros(4), 1.0, S=[1.0, 0.0])
    with pytest.raises(ValueError, match="fewer dimensions"):
        oracle.ppca(np.outer(np.arange(9.0), np.ones(4)), 2)
