"""The oracle's fits against scikit-learn, and as maxima among their neighbours."""

import numpy as np
import pytest

from cvae_tf import linear_gaussian, oracle
from cvae_tf.oracle import LinearGaussian


def test_the_model_answers_to_its_old_name():
    assert oracle.LinearGaussian is linear_gaussian.LinearGaussian
    assert oracle.kl_diagonal is linear_gaussian.kl_diagonal


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


X4, Y3 = np.zeros((5, 4)), np.zeros((5, 3))
REFUSED = {
    "k = D": (lambda: oracle.ppca(X4, 4), "k=4.*from 1 to 3"),
    "a float for k": (lambda: oracle.ppca(X4, 2.0), "k=2.0"),
    "a flat line": (lambda: oracle.ppca(np.outer(np.arange(9.0), np.ones(4)), 2), "fewer dim"),
    "y of other rows than x": (lambda: oracle.ppca(X4, 2, Y3[:3]), "different numbers"),
    "integers for y": (lambda: oracle.cmma(X4, 2, np.arange(5)), "y has shape.*2 axes"),
    "no steps": (lambda: oracle.cmma(X4 + np.eye(5, 4), 1, Y3, steps=0), "steps=0"),
    "more components than rows": (lambda: oracle.pca_score(X4[:2], 3), "k=3.*from 1 to 2"),
    "no components": (lambda: oracle.residual_pca_score(X4, Y3, 0), "k=0"),
    "NaN to regress": (lambda: oracle.residual_pca_score(X4, Y3 * np.nan, 1), "y has NaN"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused(case):
    call, message = REFUSED[case]
    with pytest.raises((TypeError, ValueError), match=message):
        call()
