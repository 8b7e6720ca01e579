"""Diagnostics show use where there is use, and collapse where there is collapse."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from requirements_of_a_model import (
    GRAPH,
    check_limits,
    labelled_data,
    linear_pair,
    small_data,
    small_model,
)
from scipy.special import logsumexp, xlogy
from scipy.stats import norm

from cvae_tf import CMMA, CVAE1, CVAE2, CVAE3, GSNN, M2, VAE, diagnostics, evaluation, noise
from cvae_tf.distributions import tfd
from cvae_tf.estimators import SGVBA


@pytest.mark.parametrize("model_class", GRAPH)
def test_they_work_on_every_model(model_class):
    model, data = small_model(model_class), small_data(model_class)
    per_dimension = diagnostics.kl_per_dimension(model, *data)
    np.testing.assert_allclose(
        per_dimension.sum(), np.mean(model.bound(*data).kl), rtol=1e-5, atol=1e-7
    )
    parts = diagnostics.surgery(model, *data)
    np.testing.assert_allclose(parts.kl, sum(parts[1:]), atol=1e-5)
    assert parts.information <= np.log(len(data[0])) + 1e-6
    assert diagnostics.active_units(model, *data).variance.shape == (2,)
    use = diagnostics.use(model, *data)
    assert (use.given is None) == (model_class is VAE)


def test_a_decoder_that_ignores_z_or_y_is_seen_to():
    """Exact zeros where an input is cut, and more than that where it is not."""
    model, data = small_model(CVAE1), small_data(CVAE1)
    kernel = model.likelihood_net.layers[-2].kernel  # of [y, z]
    assert kernel.shape == (6, 16)
    whole = kernel.numpy()
    kernel.assign(np.concatenate([whole[:4], np.zeros((2, 16))]))
    assert diagnostics.use(model, *data).z == (0, 0, 50)
    kernel.assign(3 * whole)
    assert abs(diagnostics.use(model, *data).z.mean) > 0


def test_a_trained_model_uses_both_and_a_collapsed_one_neither():
    """x repeats y and a coin: CVAE-2 needs y for one and z for the other."""
    rng = np.random.default_rng(0)
    y = np.eye(2, dtype="float32")[rng.integers(0, 2, 600)]
    coin = rng.integers(0, 2, (600, 1)).astype("float32")
    x = np.concatenate([y, y, coin, coin], 1)
    trained = {}
    for model_class in (CVAE2, CMMA):
        model = small_model(model_class, x=6, y=2, z=2)
        model.compile(keras.optimizers.Adam(0.02))
        model.fit(x, y, epochs=30, batch_size=50, verbose=0)
        trained[model_class] = diagnostics.use(model, x, y)
    for use in trained.values():
        assert use.z.mean > 1 and use.given.mean > 1
    collapsed = small_model(CVAE3, x=2, y=2, z=2)  # y repeats x: one answer, no need of z
    collapsed.compile(keras.optimizers.Adam(0.02))
    collapsed.fit(y, y, epochs=30, batch_size=50, verbose=0)
    use = diagnostics.use(collapsed, y, y)
    assert abs(use.z.mean) < 0.01 and use.given.mean > 1
    assert diagnostics.kl_per_dimension(collapsed, y, y).max() < 0.01


def test_surgery_in_known_cases():
    """q = p for all: all zero. q a point per example, far apart: information log N."""
    gsnn, data = small_model(GSNN), small_data(GSNN)
    parts = diagnostics.surgery(gsnn, *data)
    assert parts.kl == 0 and parts.information == pytest.approx(-parts.prior_information, abs=1e-6)
    model = small_model(VAE, hidden=(), x=6, z=2)
    model.posterior_net.layers[-1].set_weights(
        [
            np.concatenate(
                [np.random.default_rng(0).normal(size=(6, 2)) * 1e3, np.zeros((6, 2))], 1
            ),
            np.array([0, 0, -9, -9]),
        ]
    )
    x = np.eye(6, dtype="float32")
    parts = diagnostics.surgery(model, x)
    assert parts.information == pytest.approx(np.log(6), abs=1e-4)
    assert parts.prior_information == pytest.approx(0, abs=1e-6)


def test_surgery_against_the_closed_form():
    """Linear-Gaussian VAE, data drawn from it, q its posterior: q(z) is nearly p(z)."""
    model, truth, _, _ = linear_pair(VAE, near=False, x=3, z=1)
    x, _ = truth.sample(num_samples=1500, seed=3)
    mean, covariance = truth.posterior(x)
    slope = np.linalg.lstsq(np.c_[x, np.ones(1500)], mean, rcond=None)[0]
    raw = model.latent.raw_from_scale(np.sqrt(covariance[0, 0]))
    model.posterior_net.layers[-1].set_weights(
        [np.c_[slope[:3], np.zeros((3, 1))], np.array([slope[3, 0], float(raw)])]
    )
    parts = diagnostics.surgery(model, x, num_samples=8)
    assert parts.information == pytest.approx(-0.5 * np.log(covariance[0, 0]), abs=0.1)  # I(x; z)
    assert abs(parts.marginal_kl) < 0.02


def test_the_ledger_adds_up():
    model, data = small_model(CVAE1), small_data(CVAE1)
    book = diagnostics.ledger(model, *data, steps=150, num_samples=1000)
    assert book.gap.mean == pytest.approx(
        book.approximation.mean + book.amortisation.mean, abs=1e-5
    )
    assert book.recovered.mean > 0
    assert isinstance(book.gap.mean, float)
    assert tf.executing_eagerly()


def far_prior(model_class=CVAE1, **options):
    """A model whose prior has a mean and a scale of its own, both far from N(0, 1)'s."""
    model = small_model(model_class, hidden=(), **options)
    rng = np.random.default_rng(7)
    kernel, bias = model.prior_net.layers[-1].get_weights()
    bias = np.array([1.0, -2.0, *model.latent.raw_from_scale([0.4, 2.5])])
    model.prior_net.layers[-1].set_weights([0.8 * rng.normal(size=kernel.shape), bias])
    return model


def test_active_units_are_measured_from_the_prior():
    """The prior's mean not taken away, its scale forgotten, a threshold that is met counted."""
    model, data = far_prior(), small_data(CVAE1)
    q, p = model.posterior(*map(tf.constant, data)), model.prior(tf.constant(data[1]))
    distance = (q.mean().numpy() - p.mean().numpy()) / p.stddev().numpy()
    variance = np.mean((distance - distance.mean(0)) ** 2, 0)
    units = diagnostics.active_units(model, *data)
    np.testing.assert_allclose(units.variance, variance, rtol=1e-5)
    at, above = units.variance.min(), units.variance.max()
    assert at < above
    np.testing.assert_array_equal(
        diagnostics.active_units(model, *data, threshold=at).active, units.variance > at
    )
    assert diagnostics.active_units(model, *data, threshold=above).count == 0
    nothing = diagnostics.active_units(far_prior(GSNN), *data)  # q is the prior
    np.testing.assert_array_equal(nothing.variance, 0)
    assert nothing.count == 0


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("model_class", [CVAE1, CVAE3])
def test_use_exchanges_two_examples(model_class, seed):
    """A shuffle that leaves an example in its place; a z moved without its prior, or on it only.

    With two examples there is one exchange: all is written out, with latents moved along the prior.
    """
    model, data = far_prior(model_class), [d[[0, 3]] for d in small_data(model_class)]
    names = model.data_names
    given = dict(zip(names, data, strict=True))
    observed, condition = model.observed, "xy".replace(model.observed, "")
    assert np.any(given[condition][0] != given[condition][1])
    epsilon = noise.normal(16, 2, 2, key=noise.key(seed, "diagnostics: use")).numpy()
    q, p, _ = model.factors(*map(tf.constant, data))
    mean, scale, m, s = (t.numpy() for t in (q.mean(), q.stddev(), p.mean(), p.stddev()))
    z = mean + scale * epsilon
    moved = m + s * ((z - m) / s)[:, ::-1]

    def log_p(z):
        probabilities = model.likelihood(tf.constant(given[condition]), z).mean().numpy()
        value = xlogy(given[observed], probabilities)
        if observed == "x":  # Bernoulli; y is categorical
            value = value + xlogy(1 - given[observed], 1 - probabilities)
        return value.sum(-1)

    drop = np.mean(log_p(z) - log_p(moved), 0)
    use = diagnostics.use(model, *data, seed=seed)
    np.testing.assert_allclose(use.z.mean, drop.mean(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(use.z.standard_error, drop.std(ddof=1) / np.sqrt(2), rtol=1e-4)
    wrong = [d if name == observed else d[::-1] for name, d in zip(names, data, strict=True)]
    right, other = (model.bound(*d, noise=epsilon).elbo.numpy() for d in (data, wrong))
    np.testing.assert_allclose(use.given.mean, np.mean(right - other), rtol=1e-4, atol=1e-5)


def test_use_leaves_no_example_in_its_place():
    """With q = p for all and a decoder that reads z off, an example in its place has no drop."""
    model = small_model(VAE, hidden=(), x=6, z=6)
    raw = float(model.latent.raw_from_scale(0.01))
    model.posterior_net.layers[-1].set_weights(
        [np.concatenate([np.eye(6), np.zeros((6, 6))], 1), np.r_[np.zeros(6), np.full(6, raw)]]
    )
    model.likelihood_net.layers[-1].set_weights([20 * np.eye(6), np.full(6, -10.0)])
    for seed in range(5):
        use = diagnostics.use(model, np.eye(6, dtype="float32"), seed=seed)
        assert use.z.mean == pytest.approx(20, abs=0.2)  # two pixels wrong, 10 nats each
        assert use.z.standard_error < 0.2


@pytest.mark.parametrize("model_class", [VAE, CVAE1])
def test_surgery_by_hand(model_class):
    """Each log-density of each z under each example's q and prior, in NumPy."""
    model = far_prior() if model_class is CVAE1 else small_model(VAE)
    data, size = small_data(model_class, num_rows=7), (7, 2)
    q, p, _ = model.factors(*map(tf.constant, data))
    mean, scale, m, s = (
        np.broadcast_to(t, size).astype("float64")
        for t in (q.mean(), q.stddev(), p.mean(), p.stddev())
    )
    totals = []
    for sample in range(3):
        key = noise.key(4, f"diagnostics: surgery {sample}")
        z = mean + scale * noise.normal(1, 7, 2, key=key)[0].numpy()
        of_q = norm.logpdf(z[:, None], mean, scale).sum(-1)  # [z_i, q_n]
        of_p = norm.logpdf(z[:, None], m, s).sum(-1)
        log_q, log_p = of_q.diagonal(), of_p.diagonal()
        all_q, all_p = (logsumexp(each, 1) - np.log(7) for each in (of_q, of_p))
        parts = log_q - log_p, log_q - all_q, all_q - all_p, all_p - log_p
        totals.append([part.mean() for part in parts])
    found = diagnostics.surgery(model, *data, num_samples=3, seed=4)
    np.testing.assert_allclose(found, np.mean(totals, 0), rtol=1e-4, atol=1e-5)


def test_the_ledger_is_of_one_seed():
    model, data = small_model(CVAE1), small_data(CVAE1, num_rows=6)
    options = {"num_samples": 20, "steps": 2, "noise_samples": 2, "starts": 1}
    book = diagnostics.ledger(model, *data, num_importance_samples=3, seed=5, **options)
    gap = evaluation.gap(model, *data, seed=5, **options)
    curve = evaluation.importance_weighted_curve(model, *data, sizes=(1, 3), seed=5)
    parts = {
        "gap": gap.log_likelihood - gap.bound,
        "approximation": gap.approximation,
        "amortisation": gap.amortisation,
        "recovered": curve[3] - curve[1],
    }
    for name, values in parts.items():
        np.testing.assert_allclose(getattr(book, name), evaluation.estimate(values), rtol=1e-5)


X, Y = small_data(CVAE1, num_rows=6)
LIMITS = {  # what uses it, what is refused, what is taken
    "threshold": (lambda m, v: diagnostics.active_units(m, X, Y, threshold=v), [-1e-9], [0.0]),
    "num_samples": (lambda m, v: diagnostics.use(m, X, Y, num_samples=v), [0], [1]),
    "num_importance_samples": (
        lambda m, v: diagnostics.ledger(
            m, X, Y, num_importance_samples=v, num_samples=1, steps=1, noise_samples=1, starts=1
        ),
        [0],
        [1],
    ),
    "seed": (lambda m, v: diagnostics.use(m, X, Y, seed=v), [0.5], [-3]),
}


@pytest.mark.parametrize("name", LIMITS)
def test_an_argument_out_of_range_is_refused(name):
    (use, refused, taken), model = LIMITS[name], small_model(CVAE1)
    check_limits(lambda v: use(model, v), name, refused, taken)
    check_limits(
        lambda v: diagnostics.surgery(model, X, Y, num_samples=v), "num_samples", [0], [1]
    )


def test_use_takes_a_dict_and_needs_two_examples():
    model = small_model(CVAE1)
    one = diagnostics.use(model, {"y": Y, "x": X})
    assert one == diagnostics.use(model, X, Y) and one != diagnostics.use(model, X, Y, seed=1)
    with pytest.raises(ValueError, match="Received 1 example. Expected at least two"):
        diagnostics.use(model, X[:1], Y[:1])


@pytest.mark.parametrize("name", ["posterior", "prior"])
def test_a_factor_that_is_no_diagonal_gaussian_is_named(name):
    class Odd(CVAE1):
        pass

    def odd(self, *data):
        plain = getattr(CVAE1, name)(self, *data)
        return tfd.MultivariateNormalTriL(plain.mean(), tf.linalg.diag(plain.stddev()))

    setattr(Odd, name, lambda self, y: odd(self, y))
    if name == "posterior":
        Odd.posterior = lambda self, x, y: odd(self, x, y)
    model = small_model(Odd, estimator=SGVBA())
    for use in (diagnostics.kl_per_dimension, diagnostics.active_units, diagnostics.use):
        message = rf"The {name} of Odd \(in {use.__name__}\) is a MultivariateNormalTriL"
        with pytest.raises(TypeError, match=message):
            use(model, X, Y)


def test_every_class_is_taken_and_an_unknown_one_refused():
    """q(z|x,y) of M2 needs a label."""
    model, (x, y) = small_model(M2), labelled_data(6, labelled=6)
    y[0] = 0
    assert diagnostics.kl_per_dimension(model, x, y).shape == (2,)
    y[1] = -1
    with pytest.raises(ValueError, match="has the label −1"):
        diagnostics.kl_per_dimension(model, x, y)
