"""What the conditional models have of their own: GSNN, the hybrid, two predictors, p(z|y)."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from requirements_of_a_model import (
    check_limits,
    linear_pair,
    small_data,
    small_model,
)

from cvae_tf import (
    CMMA,
    CVAE1,
    CVAE2,
    CVAE3,
    GSNN,
    evaluation,
    networks,
    noise,
)
from cvae_tf.distributions import Bernoulli, Categorical, MixtureOfGaussians
from cvae_tf.estimators import (
    SGVBA,
    SGVBMixture,
)


def test_gsnn_has_no_kl_and_its_gap_is_prior_against_posterior():
    """(5.3): L = E_{p(z|x)}[log p(y|x,z)], with gap KL(p(z|x) ‖ p(z|x,y))."""
    _, truth, (x, y), oracle_data = linear_pair(CVAE3)
    cvae3, *_ = linear_pair(CVAE3)
    model = GSNN(
        prior_net=cvae3.prior_net, likelihood_net=cvae3.likelihood_net, family=cvae3.family
    )
    bound = model.bound(x, y, noise=noise.cubature(model.latent_dim))
    gap = truth.kl_to_posterior(*truth.prior(oracle_data[1]), *oracle_data)
    np.testing.assert_array_equal(bound.kl, 0)
    np.testing.assert_allclose(bound.value + gap, truth.log_evidence(*oracle_data), rtol=1e-9)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_hybrid_objective(alpha):
    """(5.4): α·L_CVAE + (1−α)·L_GSNN; the ELBO in the logs stays (5.2)."""
    model, data = small_model(CVAE3, alpha=alpha), small_data(CVAE3)
    gsnn = GSNN(prior_net=model.prior_net, likelihood_net=model.likelihood_net, family=model.family)
    epsilon = np.random.default_rng(0).normal(size=(1, len(data[0]), 2)).astype("float32")
    loss, logged = model.objective(*map(tf.constant, data), noise=tf.constant(epsilon))
    cvae, other = (m.bound(*data, noise=epsilon).value for m in (model, gsnn))
    np.testing.assert_allclose(loss, -(alpha * cvae + (1 - alpha) * other), rtol=1e-5)
    np.testing.assert_allclose(logged.elbo, cvae, rtol=1e-5)


def test_the_two_predictors_are_two():
    """(5.5) and (5.6) on a two-mode case with known values: logits ±8z, z|x ~ N(0, 1) or nearly so.

    By symmetry Monte Carlo gives ½ for the class a, and so does the plug-in rule; with a bias of −2
    for one class they
    part: the plug-in rule gives softmax at z = 0, the average does not.
    """
    family = Categorical()
    model = small_model(CVAE3, hidden=(), family=family, x=1, y=2, z=1)
    raw_scale = float(model.latent.raw_from_scale(1.0))
    model.prior_net.layers[-1].set_weights([np.zeros((1, 2)), np.array([0.0, raw_scale])])
    model.likelihood_net.layers[-1].set_weights([np.array([[0, 0], [8.0, 0]]), np.array([-2.0, 0])])
    x = np.zeros((3, 1), "float32")
    z, weight = np.polynomial.hermite_e.hermegauss(200)
    exact = np.sum(weight / np.sqrt(2 * np.pi) / (1 + np.exp(-(8 * z - 2))))
    plug_in = model.predictive(x, method="plug_in")[:, 0]
    monte_carlo = model.predictive(x, num_samples=40_000)[:, 0]
    np.testing.assert_allclose(plug_in, 1 / (1 + np.exp(2)), rtol=1e-5)
    np.testing.assert_allclose(monte_carlo, exact, atol=5 * 0.5 / np.sqrt(40_000))
    assert exact - plug_in[0] > 0.25
    np.testing.assert_allclose(
        model.predict(x, verbose=0)[:, 0], exact, atol=5 * 0.5 / np.sqrt(100)
    )


def test_cmma_is_cvae4():
    from cvae_tf import CVAE4

    assert CVAE4 is CMMA


@pytest.mark.slow
@pytest.mark.parametrize("estimator", [SGVBA(), SGVBMixture()], ids=["SGVB-A", "bound (10.1)"])
@pytest.mark.parametrize("model_class", [CVAE1, CVAE3, CMMA])
def test_a_mixture_prior_in_a_model(model_class, estimator, tmp_path):
    """Trains, saves, loads, generates; its log-likelihood is above its bound."""
    family = Bernoulli()
    prior_family = MixtureOfGaussians(3)
    sizes = {"x": 6, "y": 4, "z": 2}
    nets = networks.mlps(
        model_class, hidden=(8,), family=family, prior_family=prior_family, **sizes
    )
    model = model_class(**nets, family=family, prior_family=prior_family, estimator=estimator)
    model.compile(keras.optimizers.Adam(0.01), jit_compile=False)
    data = small_data(model_class)
    history = model.fit(*data, epochs=5, batch_size=10, verbose=0).history
    assert history["elbo"][-1] > history["elbo"][0]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.bound(*data).value, model.bound(*data).value, rtol=1e-5)
    log_p = model.log_likelihood(*data, num_samples=2000)
    by_prior = model.log_likelihood(*data, num_samples=20_000, method="prior")
    assert log_p.mean() > float(tf.reduce_mean(model.bound(*data).value)) - 0.05
    np.testing.assert_allclose(log_p.mean(), by_prior.mean(), atol=0.05)
    condition = data[model.data_names.index("x" if model.observed == "y" else "y")]
    assert model.generate(condition).shape == (50, *model.shapes[model.observed])


def test_what_a_mixture_prior_cannot_do():
    prior_family, family = MixtureOfGaussians(2), Bernoulli()
    nets = networks.mlps(CVAE1, hidden=(), family=family, prior_family=prior_family, x=6, y=4, z=2)
    with pytest.raises(ValueError, match="no closed-form KL.*SGVBA"):
        CVAE1(**nets, family=family, prior_family=prior_family)
    with pytest.raises(ValueError, match="disagree about z"):
        CVAE1(**nets, family=family)
    nets = networks.mlps(CVAE2, hidden=(), family=family, x=6, y=4, z=2)
    with pytest.raises(ValueError, match="no prior network"):
        CVAE2(**nets, family=family, prior_family=MixtureOfGaussians(2), estimator=SGVBA())
    family = Bernoulli()  # of four numbers, not six
    nets = networks.mlps(GSNN, hidden=(), family=family, prior_family=prior_family, x=6, y=4, z=2)
    with pytest.raises(ValueError, match="no prior network"):
        GSNN(**nets, family=family, prior_family=prior_family, estimator=SGVBA())
    family = Bernoulli()
    nets = networks.mlps(CVAE3, hidden=(), family=family, prior_family=prior_family, x=6, y=4, z=2)
    parts = {"family": family, "prior_family": prior_family, "estimator": SGVBA()}
    with pytest.raises(ValueError, match=r"alpha=0.5 beside a mixture prior, and \(5.3\)"):
        CVAE3(**nets, **parts, alpha=0.5)
    model = CVAE3(**nets, **parts)
    with pytest.raises(ValueError, match="alpha=0.0 beside a mixture prior"):
        model.alpha = 0
    assert model.alpha == 1
    with pytest.raises(ValueError, match="a Mixture.*no closed-form KL.*in `gap`"):
        evaluation.gap(model, *small_data(CVAE3), num_samples=2, steps=1)


@pytest.mark.parametrize("alpha", [3.0, -0.1, float("nan"), "0.5", True, None])
def test_alpha_is_checked_when_it_is_set_anew(alpha):
    model = small_model(CVAE3, alpha=0.5)
    with pytest.raises((ValueError, TypeError), match="alpha=.*from 0|alpha=.*≥ 0 and ≤ 1"):
        model.alpha = alpha
    assert model.alpha == 0.5 and model.get_config()["alpha"] == 0.5


def test_alpha_at_its_limits():
    check_limits(lambda v: small_model(CVAE3, alpha=v), "alpha", [-1e-9, 1.001], [0, 1e-9, 1])


def test_a_hybrid_that_is_none_costs_no_second_bound():
    class Counting(SGVBA):
        calls = 0

        def __call__(self, *arguments):
            self.calls += 1
            return super().__call__(*arguments)

    data = [tf.constant(d) for d in small_data(CVAE3)]
    for alpha, calls in ((1.0, 1), (0.5, 2)):
        model = small_model(CVAE3, alpha=alpha, estimator=(estimator := Counting()))
        before = estimator.calls
        model.objective(*data, noise=model.evaluation_noise(50))
        assert estimator.calls - before == calls


@pytest.mark.parametrize("model_class", [CVAE3, GSNN])
def test_the_predictors_by_hand(model_class):
    """Another seed, another number of draws, the wrong axis: all within Monte Carlo's error."""
    model, x = small_model(model_class), small_data(model_class, num_rows=5)[0]
    prior = model.prior(tf.constant(x))
    plug_in = model.likelihood(tf.constant(x), prior.mean()).mean()
    np.testing.assert_allclose(model.predictive(x, method="plug_in"), plug_in, rtol=1e-5)
    epsilon = noise.normal(3, 1, 2, key=noise.key(11, "prediction"))
    each = model.likelihood(tf.constant(x), prior.mean() + prior.stddev() * epsilon).mean()
    found = model.predictive(x, num_samples=3, seed=11)
    np.testing.assert_allclose(found, np.mean(each, 0), rtol=1e-5)
    check_limits(lambda v: model.predictive(x, num_samples=v), "num_samples", [0], [1])
    check_limits(lambda v: model.predictive(x, seed=v), "seed", [0.5], [-1])
    with pytest.raises(ValueError, match="method='mean'"):
        model.predictive(x, method="mean")
