"""The linear-Gaussian model against SciPy's densities and brute-force integrals."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from cvae_tf.linear_gaussian import LinearGaussian, kl_diagonal

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
        kl_diagonal([mean], [scale], *linear.prior([[y]])), prior_gap, atol=1e-9
    )


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


VAE_, CVAE = (
    LinearGaussian.random(4, 2, y_dim, model=model, seed=0)
    for y_dim, model in ((None, "VAE"), (3, "CVAE2"))
)
X4, Y3, Q = np.zeros((5, 4)), np.zeros((5, 3)), (np.zeros(2), np.ones(2))
REFUSED = {
    "a y too many": (lambda: VAE_.log_evidence(X4, Y3), "leave y out"),
    "no y": (lambda: CVAE.posterior(X4), "y is missing"),
    "x of another width": (lambda: VAE_.log_evidence(np.zeros((1, 5))), r"Expected \(N, 4\)"),
    "one x alone": (lambda: VAE_.log_evidence(X4[0]), r"Expected \(N, 4\)"),
    "NaN in x": (lambda: VAE_.posterior(X4 * np.nan), "x has NaN"),
    "words for x": (lambda: VAE_.posterior("x"), "x is 'x'"),
    "a masked x": (lambda: VAE_.posterior(np.ma.masked_equal(X4, 0)), "masked"),
    "y of another width": (lambda: CVAE.prior(np.zeros((5, 4))), r"Expected \(N, 3\)"),
    "y of other rows": (lambda: CVAE.log_evidence(X4, Y3[:2]), "different numbers"),
    "q of other rows": (lambda: VAE_.bound(np.zeros((2, 2)), 1.0, X4), "as many rows as x"),
    "q of another width": (lambda: VAE_.bound(np.zeros(3), 1.0, X4), r"Expected \[N, 2\]"),
    "q without width": (lambda: VAE_.kl_to_posterior(Q[0], 0 * Q[1], X4), "scales > 0"),
    "NaN in q": (lambda: VAE_.bound(Q[0] * np.nan, Q[1], X4), "q's mean has NaN"),
    "a y_dim too many": (lambda: LinearGaussian.random(4, 2, 3, seed=0), "leave y_dim out"),
    "no y_dim": (lambda: LinearGaussian.random(4, 2, model="CMMA", seed=0), "give its dimension"),
    "an unknown model": (lambda: LinearGaussian.random(4, 2, 3, model="CVAE9", seed=0), "CVAE1"),
    "no x_dim": (lambda: LinearGaussian.random(0, 2, seed=0), "x_dim=0"),
    "half a z": (lambda: LinearGaussian.random(4, 2.5, seed=0), "z_dim=2.5"),
    "no seed": (lambda: LinearGaussian.random(4, 2, seed=None), "seed=None"),
    "no least variance": (
        lambda: LinearGaussian.random(4, 2, sigma_squared_min=0, seed=0), "sigma_squared_min=0"
    ),
    "a flat W": (lambda: LinearGaussian(np.ones(4), np.zeros(4), 1.0), "2 axes"),
    "NaN in W": (lambda: LinearGaussian([[np.nan]], [0.0], 1.0), "W has NaN"),
    "a scalar V": (lambda: LinearGaussian([[1.0]], [0.0], 1.0, V=2.0), "V has shape"),
    "no b": (lambda: LinearGaussian([[1.0]], None, 1.0), "b is None"),
    "NaN for sigma": (lambda: LinearGaussian([[1.0]], [0.0], np.nan), "sigma=nan"),
    "words for sigma": (lambda: LinearGaussian([[1.0]], [0.0], "1"), "sigma='1'"),
    "S = 0": (lambda: LinearGaussian(np.ones((1, 2)), [0.0], 1.0, S=[1.0, 0.0]), "variances"),
    "no draws": (lambda: VAE_.sample(num_samples=0, seed=0), "num_samples=0"),
    "a float of draws": (lambda: VAE_.sample(num_samples=3.0, seed=0), "Write 3"),
    "neither y nor a number": (lambda: VAE_.sample(seed=0), "num_samples=None"),
    "a scale below 0": (lambda: kl_diagonal(0.0, -1.0, 0.0, 1.0), "scale_q holds -1"),
    "a scale of 0": (lambda: kl_diagonal(0.0, 1.0, 0.0, 0.0), "scale_p holds 0"),
    "shapes apart": (lambda: kl_diagonal(Q[0], 1, np.zeros(3), 1), r"\(3,\)"),
    "a mask of others": (lambda: VAE_.seeing([True]), r"seen=\[True\].*indices from 0 to"),
    "a place that is not": (lambda: VAE_.seeing([99]), r"seen=\[99\]"),
    "a place from the end": (lambda: VAE_.seeing([-1]), r"seen=\[-1\]"),
    "words for places": (lambda: VAE_.seeing(["a"]), "seen="),
    "NaN in the KL": (lambda: kl_diagonal(np.nan, 1, 0, 1), "mean_q has NaN"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused(case):
    call, message = REFUSED[case]
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def test_one_row_stands_for_all():
    """One y for many x, one x for many q: the same as written out."""
    linear, x, y = instance("CVAE1", sizes=(4, 2, 3))
    rows = np.repeat(y[:1], N, 0)
    np.testing.assert_allclose(linear.log_evidence(x, y[:1]), linear.log_evidence(x, rows))
    mean = np.random.default_rng(0).standard_normal((N, 2))
    one, all_rows = (x[:1], y[:1]), (np.repeat(x[:1], N, 0), rows)
    np.testing.assert_allclose(linear.bound(mean, 0.5, *one), linear.bound(mean, 0.5, *all_rows))
    assert kl_diagonal(1.0, 1.0, 0.0, 1.0) == 0.5
