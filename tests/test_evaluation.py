"""Evaluation against closed forms: the curve of L_K, the gap and its parts, error bars."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from requirements_of_a_model import check_limits, linear_pair, small_data, small_model
from scipy.special import logsumexp, softmax
from scipy.stats import norm

from cvae_tf import CVAE1, CVAE3, M2, VAE, diagnostics, evaluation, networks, noise
from cvae_tf.distributions import Gaussian, tfd
from cvae_tf.estimators import SGVBB, log_mean_exp, log_weights
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


def test_an_estimate_of_one_has_no_error_and_one_of_whole_numbers_keeps_its_digits():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        alone = evaluation.estimate([3.0])
    assert alone.mean == 3 and np.isnan(alone.standard_error) and alone.count == 1
    assert evaluation.estimate([1.0, 3.0]).standard_error == pytest.approx(1.0)
    assert str(evaluation.estimate([1.0, 3.0])) == "2.00 ± 1.00 nats (N = 2)"
    large = np.float64(1e9) + np.arange(3)
    assert evaluation.estimate(large)[:2] == pytest.approx((1e9 + 1, 1 / np.sqrt(3)), rel=1e-12)
    with pytest.raises(ValueError, match="values has shape"):
        evaluation.estimate(np.zeros((2, 2)))


def test_the_curve_by_hand():
    """Groups of the same weights: their axis, their size, and a mean over groups, not over rows."""
    model, data = small_model(CVAE1), small_data(CVAE1, num_rows=5)
    epsilon = noise.normal(6, 5, 2, key=noise.key(3, "importance-weighted curve"))
    log_w = log_weights(*model.factors(*map(tf.constant, data)), epsilon)[0].numpy()
    curve = evaluation.importance_weighted_curve(model, *data, sizes=(1, 2, 3, 6), seed=3)
    for size, values in curve.items():
        groups = log_w.reshape(6 // size, size, 5)
        by_hand = (logsumexp(groups, 1) - np.log(size)).mean(0)
        np.testing.assert_allclose(values, by_hand, rtol=1e-5)
    np.testing.assert_allclose(curve[6], log_mean_exp(log_w), rtol=1e-5)
    for sizes in ((), (4, 6)):
        with pytest.raises(ValueError, match="divide the last"):
            evaluation.importance_weighted_curve(model, *data, sizes=sizes)


def _adam(gradient, start, steps, rate):
    """Adam with β₂ = 0.99 and a rate that falls to zero as a cosine does, in NumPy."""
    raw, m, v = start.copy(), np.zeros_like(start), np.zeros_like(start)
    for step in range(steps):
        g = gradient(raw, step)
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g**2
        unbiased = m / (1 - 0.9 ** (step + 1)), v / (1 - 0.99 ** (step + 1))
        now = rate * 0.5 * (1 + np.cos(np.pi * step / steps))
        raw = raw - now * unbiased[0] / np.sqrt(unbiased[1])
    return raw


def test_the_gap_s_climbs_in_numpy():
    """A linear-Gaussian VAE in float64: starts, noise, Adam, its rate, and which climb is kept."""
    model, truth, (x,), _ = linear_pair(VAE, x=4, z=2)
    x, steps, num, starts, seed = x[:6], 25, 3, 4, 9
    weight, bias, sigma = truth.W, truth.b, truth.sigma

    def key(purpose):
        return {"key": noise.key(seed, purpose), "dtype": "float64"}

    def log_p(z):
        return norm.logpdf(x, z @ weight.T + bias, sigma).sum(-1)

    def bound(raw, epsilon):
        mean, scale = raw[:, :2], 1e-4 + np.logaddexp(0, raw[:, 2:])
        kl = 0.5 * (scale**2 + mean**2 - 1 - 2 * np.log(scale)).sum(-1)
        return log_p(mean + scale * epsilon).mean(0) - kl

    def gradient(raw, step):  # of minus the bound, by hand
        epsilon = noise.normal(num, 6, 2, step=step, **key("gap: climbing")).numpy()
        mean, scale = raw[:, :2], 1e-4 + np.logaddexp(0, raw[:, 2:])
        slope = ((x - (mean + scale * epsilon) @ weight.T - bias) @ weight) / sigma**2
        of_scale = (slope * epsilon).mean(0) - scale + 1 / scale
        return -np.c_[slope.mean(0) - mean, of_scale / (1 + np.exp(-raw[:, 2:]))]

    q = model.posterior(x)
    first, q_scale = q.mean().numpy(), q.stddev().numpy()
    z = np.concatenate([
        noise.normal(256, 6, 2, **key("gap: starts, of the prior")),
        first + q_scale * noise.normal(256, 6, 2, **key("gap: starts")),
    ])  # fmt: skip
    of_prior, of_q = norm.logpdf(z).sum(-1), norm.logpdf(z, first, q_scale).sum(-1)
    below = np.cumsum(softmax(log_p(z) + of_prior - np.logaddexp(of_prior, of_q), axis=0), 0)
    means = [first]
    for part in (1 / 6, 3 / 6, 5 / 6):
        means.append(z[(below < part).sum(0), np.arange(6)])
    raw_scale = np.log(np.expm1(q_scale - 1e-4))
    ends = [_adam(gradient, np.c_[mean, raw_scale], steps, 0.05) for mean in means]
    fixed = noise.normal(16 * num, 6, 2, **key("gap: reporting")).numpy()
    bounds = np.stack([bound(raw, fixed) for raw in ends])
    best = np.stack(ends)[bounds.argmax(0), np.arange(6)]
    assert len(set(bounds.argmax(0))) > 1, "not one start is the best for all"
    options = {"num_samples": 20, "steps": steps, "noise_samples": num, "learning_rate": 0.05}
    gap = evaluation.gap(model, x, starts=starts, seed=seed, **options)
    np.testing.assert_allclose(gap.best_bound, bounds.max(0), rtol=1e-6)
    np.testing.assert_allclose(gap.best_mean, best[:, :2], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(gap.best_scale, 1e-4 + np.logaddexp(0, best[:, 2:]), rtol=1e-4)
    np.testing.assert_allclose(gap.bound, bound(np.c_[first, raw_scale], fixed), rtol=1e-9)
    np.testing.assert_allclose(gap.approximation, gap.log_likelihood - gap.best_bound)
    np.testing.assert_allclose(gap.amortisation, gap.best_bound - gap.bound)
    alone = evaluation.gap(model, x, starts=1, seed=seed, **options)
    np.testing.assert_allclose(alone.best_mean, ends[0][:, :2], rtol=1e-4, atol=1e-6)


X, Y = small_data(CVAE1, num_rows=3)
QUICK = {"num_samples": 1, "steps": 1, "noise_samples": 1, "starts": 1}
LIMITS = {  # what is refused, what is taken
    "steps": ([0, 1.5], [1]),
    "noise_samples": ([0], [1]),
    "learning_rate": ([0], [1e-9]),
    "starts": ([0], [1]),
}


@pytest.mark.parametrize("name", LIMITS)
def test_an_argument_of_the_gap_out_of_range_is_refused(name):
    model = small_model(CVAE1)
    use = lambda v: evaluation.gap(model, X, Y, **{**QUICK, name: v})  # noqa: E731
    check_limits(use, name, *LIMITS[name])


def test_only_a_product_of_gaussians_is_a_diagonal_gaussian():
    diagonal = tfd.Independent(tfd.Normal(tf.zeros([2]), 1.0), 1)
    assert evaluation.diagonal_gaussian(diagonal, "prior", "use") is diagonal
    for other in (tfd.Normal(0.0, 1.0), tfd.Independent(tfd.Laplace(tf.zeros([2]), 1.0), 1)):
        with pytest.raises(TypeError, match=r"The prior \(in use\) is a .*diagonal Gaussian"):
            evaluation.diagonal_gaussian(other, "prior", "use")
    with pytest.raises(TypeError, match="a model, such as VAE"):
        evaluation.log_likelihood("model", X)
    with pytest.raises(TypeError, match="in use.*a model with a latent z"):
        evaluation.latent_factors(keras.Model(), (X,), "use")
