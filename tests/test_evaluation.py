"""Evaluation against closed forms: the curve of L_K, the gap and its parts, error bars."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from requirements_of_a_model import linear_pair, small_data, small_model
from scipy.stats import norm

from cvae_tf import CVAE1, CVAE3, M2, VAE, diagnostics, evaluation, networks, noise
from cvae_tf.distributions import Gaussian, tfd
from cvae_tf.estimators import SGVBB
from cvae_tf.oracle import kl_diagonal


@pytest.mark.parametrize("model_class", [VAE, CVAE1, CVAE3])
def test_the_curve_rises_for_every_example(model_class):
    """Jensen on groups of the same weights, (2.6): no tolerance but rounding."""
    model, data = small_model(model_class), small_data(model_class)
    curve = np.stack(list(evaluation.importance_weighted_curve(model, *data).values()))
    assert curve.shape == (7, len(data[0]))
    assert np.all(np.diff(curve, axis=0) > -1e-5)
    assert np.all(np.diff(curve.mean(1)) > 0)
    with pytest.raises(ValueError, match="divide"):
        evaluation.importance_weighted_curve(model, *data, sizes=(3, 8))


def test_the_gap_is_split_where_it_should_be():
    """Linear-Gaussian, (2.7): the best diagonal Gaussian is known, so both parts are."""
    model, truth, data, oracle_data = linear_pair(CVAE1, near=True, x=4, y=3, z=2)
    mean, covariance = truth.posterior(*oracle_data)
    best_scale = 1 / np.sqrt(np.diag(np.linalg.inv(covariance)))
    approximation = truth.kl_to_posterior(mean, best_scale, *oracle_data)
    q = model.posterior(*data)
    amortisation = truth.kl_to_posterior(q.mean(), q.stddev(), *oracle_data) - approximation
    gap = evaluation.gap(model, *data, num_samples=20_000)
    np.testing.assert_allclose(gap.log_likelihood, truth.log_evidence(*oracle_data), atol=0.05)
    assert gap.approximation.mean() == pytest.approx(approximation.mean(), abs=0.02)
    assert gap.amortisation.mean() == pytest.approx(amortisation.mean(), abs=0.02)
    assert amortisation.mean() > 0.05, "the network's q must be worse than the best"
    assert kl_diagonal(mean, best_scale, mean, best_scale) == pytest.approx(0)


def test_estimates_have_their_standard_error():
    values = np.random.default_rng(0).normal(3, 2, 400)
    estimate = evaluation.estimate(values)
    assert estimate.mean == pytest.approx(values.mean())
    assert estimate.standard_error == pytest.approx(values.std(ddof=1) / 20)
    assert estimate.count == 400 and "nats (N = 400)" in str(estimate)
    model, data = small_model(CVAE1), small_data(CVAE1)
    by_function = evaluation.log_likelihood(model, *data, num_samples=50)
    assert by_function.mean == pytest.approx(model.log_likelihood(*data, num_samples=50).mean())


def gaussian(mean, scale):
    return tfd.Independent(tfd.Normal(tf.constant(mean), tf.constant(scale)), 1)


def test_the_gap_reports_bounds_on_the_same_noise_sixteen_times_as_much():
    """Fewer draws, or other ones for the best q than for the network's: more error, no word."""
    model, data = small_model(CVAE1), small_data(CVAE1, num_rows=6)
    gap = evaluation.gap(model, *data, steps=3, noise_samples=2, num_samples=40, seed=5)
    epsilon = noise.normal(32, 6, 2, key=noise.key(5, "gap: reporting"))
    np.testing.assert_allclose(gap.bound, model.bound(*data, noise=epsilon).value, rtol=1e-5)
    _, prior, log_likelihood = model.factors(*map(tf.constant, data))
    best = SGVBB()(gaussian(gap.best_mean, gap.best_scale), prior, log_likelihood, epsilon)
    np.testing.assert_allclose(gap.best_bound, best.value, rtol=1e-5)
    log_p = model.log_likelihood(*data, num_samples=40, seed=5)
    np.testing.assert_allclose(gap.log_likelihood, log_p, rtol=1e-6)


def test_the_best_gaussian_is_not_caught_on_a_lesser_mode():
    """x = (z − 0.7)² + noise at x = 4: modes at −1.3 and, less, at 2.7, where q is."""
    z = keras.Input([1])
    nets = {
        "posterior_net": networks.mlp([1], (), 2),
        "likelihood_net": keras.Model(z, (z - 0.7) ** 2),
    }
    model = VAE(**nets, family=Gaussian(scale=0.5))
    lesser = np.array([2.7, model.latent.raw_from_scale(np.float32(0.1))])
    nets["posterior_net"].set_weights([np.zeros((1, 2)), lesser])
    x, side = np.full((3, 1), 4.0, "float32"), np.linspace(-6, 6, 6001)
    joint = np.exp(norm.logpdf(4, (side - 0.7) ** 2, 0.5) + norm.logpdf(side)) * (side[1] - side[0])
    mass = joint[side < 0.7].sum() / joint.sum()
    assert 0.8 < mass < 0.99
    options = {"steps": 200, "num_samples": 5000}
    caught, found = (evaluation.gap(model, x, starts=n, **options) for n in (1, 4))
    missing = [np.log(joint.sum()) - gap.best_bound for gap in (caught, found)]
    assert (caught.best_mean > 2).all() and (missing[0] > -np.log(1 - mass) - 0.1).all()
    assert (found.best_mean < -1).all() and (missing[1] < -np.log(mass) + 0.1).all()
    np.testing.assert_allclose(found.bound, caught.bound)


def test_a_scale_at_its_floor_has_a_gap_too():
    """σ = min_scale + softplus(raw), rounded: what climbing starts from is finite."""
    model, (x, y) = small_model(CVAE1), small_data(CVAE1)
    gap = evaluation.gap(model, x, 255 * y, num_samples=3, steps=2, noise_samples=2)
    assert all(np.isfinite(part).all() for part in gap)
    latent = Gaussian(scale="network")
    raw = latent.raw_from_scale(np.float32([1e-4, 1e-4 + 1e-12, 0.5]))
    np.testing.assert_allclose(1e-4 + np.logaddexp(0, raw), [1e-4, 1e-4, 0.5], rtol=1e-6)


def test_an_unknown_label_is_refused_where_q_needs_one():
    model, (x, y) = small_model(M2), small_data(M2)
    labels = np.where(np.arange(len(x)) % 3, y.argmax(1), -1)
    for function in (diagnostics.kl_per_dimension, diagnostics.active_units, evaluation.gap):
        with pytest.raises(ValueError, match="label −1.*Expected classes"):
            function(model, x, labels)
