"""Families against SciPy, and draws as functions of noise."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats
from scipy.special import logsumexp

from cvae_tf.distributions import Gaussian, MixtureOfGaussians, draw


def random_mixture(seed, num_components=3, dim=1):
    rng = np.random.default_rng(seed)
    family = MixtureOfGaussians(num_components, dtype="float64")
    return family(rng.normal(size=(1, family.raw_size(dim))) * 1.5)


def test_draws_from_a_mixture_have_its_distribution():
    prior = random_mixture(3)
    z = draw(prior, 50_000, 1, 1, key=4, dtype="float64").numpy().ravel()
    probabilities = prior.mixture_distribution.probs_parameter().numpy()[0]
    parts = prior.components_distribution

    def cdf(values):
        means, scales = parts.mean().numpy()[0, :, 0], parts.stddev().numpy()[0, :, 0]
        return np.sum(probabilities * stats.norm.cdf(values[:, None], means, scales), 1)

    assert stats.kstest(z, cdf).pvalue > 1e-3


def test_a_given_scale_keeps_its_digits():
    family = Gaussian(0.1, dtype="float64")
    scale = family(tf.zeros([3, 2], "float64")).stddev()
    np.testing.assert_array_equal(scale, np.full([3, 2], 0.1))


def test_gaussian_scales():
    """The four sources of σ agree where they hold the same number."""
    raw = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    x = raw + 0.3
    expected = -0.5 * (0.3**2 / 0.5**2 + np.log(2 * np.pi * 0.5**2)) * 3
    for scale in ("shared", "per_dimension", 0.5):
        family = Gaussian(scale, initial_scale=0.5)
        np.testing.assert_allclose(family(raw).log_prob(x), expected, rtol=1e-5)
        assert len(family.trainable_variables) == (scale != 0.5)
    family = Gaussian("network")
    with_scale = np.concatenate([raw, np.full((5, 3), family.raw_from_scale(0.5))], 1)
    np.testing.assert_allclose(
        family(with_scale.astype("float32")).log_prob(x), expected, rtol=1e-5
    )


@pytest.mark.parametrize("num_components", [0, -1, 1.5, "3", None])
def test_a_mixture_needs_a_whole_number_of_components(num_components):
    """A mixture of no components, or of one and a half, refused only somewhere inside a network."""
    with pytest.raises((ValueError, TypeError), match="num_components"):
        MixtureOfGaussians(num_components)


def test_a_mixture_has_its_floor_under_every_scale():
    """σ = min_scale + softplus(raw): a floor that is left out, or taken away, shows in log p."""
    logits, means = np.array([0.3, -0.4]), np.array([[0.5, -1.0], [2.0, 0.1]])
    raw = np.array([[-40.0, 0.0], [1.0, -2.0]])
    family = MixtureOfGaussians(2, min_scale=0.5, dtype="float64")
    output = np.concatenate([logits, means.ravel(), raw.ravel()])[None]
    mixture = family(tf.constant(output))
    scales = 0.5 + np.logaddexp(0, raw)
    np.testing.assert_allclose(mixture.components_distribution.stddev()[0], scales, rtol=1e-12)
    z = np.array([[0.2, -0.7]])
    each = stats.norm.logpdf(z, means, scales).sum(1) + logits - logsumexp(logits)
    np.testing.assert_allclose(mixture.log_prob(z), [logsumexp(each)], rtol=1e-12)
    one = MixtureOfGaussians(1, dtype="float64")(tf.zeros([3, 5], "float64"))
    np.testing.assert_allclose(one.components_distribution.stddev(), 1e-4 + np.log(2), rtol=1e-12)
