"""The five models against their closed forms and their graphs."""

import numpy as np
import pytest
import tensorflow as tf
from requirements_of_a_model import (
    GRAPH,
    MODELS,
    check_evaluate,
    check_gradient,
    check_graph,
    check_identity,
    check_noise_matters,
    linear_pair,
    small_data,
    small_model,
)

from cvae_tf import CMMA, CVAE1, CVAE2, CVAE3, GSNN, VAE, noise
from cvae_tf.distributions import Categorical, Gaussian
from cvae_tf.estimators import SGVBA, SGVBB, ImportanceWeighted, log_mean_exp, log_weights


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("model_class", MODELS)
@pytest.mark.parametrize("estimator", [SGVBA(), SGVBB()], ids=["SGVB-A", "SGVB-B"])
def test_log_evidence_is_bound_plus_gap(model_class, estimator, seed):
    """(1.1), (3.1), (5.1): the identity in float64, for both estimators."""
    check_identity(model_class, estimator=estimator, seed=seed)


@pytest.mark.parametrize("model_class", MODELS)
def test_log_evidence_is_bound_plus_gap_in_float32(model_class):
    check_identity(model_class, dtype="float32", tolerance=1e-4)


@pytest.mark.parametrize("model_class", GRAPH)
def test_gradients_follow_the_graph(model_class):
    check_graph(model_class)


@pytest.mark.parametrize("model_class", GRAPH)
def test_gradient_is_the_difference_quotient(model_class):
    check_gradient(model_class)


@pytest.mark.parametrize("model_class", GRAPH)
def test_evaluate_is_the_mean_bound(model_class):
    check_evaluate(model_class)


@pytest.mark.parametrize("model_class", MODELS)
def test_a_sample_is_decoded(model_class):
    check_noise_matters(model_class)


@pytest.mark.parametrize("model_class", MODELS)
def test_importance_weights_with_the_exact_posterior_are_the_evidence(model_class):
    """With q = p(z|x,y) every weight is p(x|y): SGVB-A does not vary, and L_K = log p."""
    model, truth, data, oracle_data = linear_pair(model_class, z=1)
    mean, covariance = truth.posterior(*oracle_data)
    from cvae_tf.distributions import tfd

    q = tfd.Independent(tfd.Normal(mean, np.sqrt(covariance[0, 0])), 1)
    _, prior, log_likelihood = model.factors(*(tf.constant(d) for d in data))
    epsilon = np.random.default_rng(0).normal(size=(12, len(mean), 1))
    log_w, _ = log_weights(q, prior, log_likelihood, epsilon)
    log_evidence = truth.log_evidence(*oracle_data)
    tolerance = 1e-9 * np.abs(log_evidence).max()
    np.testing.assert_allclose(log_w, np.tile(log_evidence, (12, 1)), atol=tolerance)
    for size in (1, 3, 12):
        groups = log_mean_exp(tf.reshape(log_w, [12 // size, size, -1]), axis=1)
        np.testing.assert_allclose(groups, np.tile(log_evidence, (12 // size, 1)), atol=tolerance)
    assert SGVBA()(q, prior, log_likelihood, epsilon).value.numpy() == pytest.approx(
        log_evidence, abs=tolerance
    )


@pytest.mark.parametrize("model_class", MODELS)
def test_log_likelihood_is_the_closed_form(model_class):
    """(2.6), (5.8) by importance, (5.7) from the prior: within 5 standard errors of (7.1)."""
    model, truth, data, oracle_data = linear_pair(model_class, near=True, x=3, y=3, z=2)
    exact = truth.log_evidence(*oracle_data)
    for method, num_samples in (("importance", 20_000), ("prior", 20_000)):
        estimate = model.log_likelihood(*data, num_samples=num_samples, method=method)
        weights = _weights(model, data, method)
        error = np.std(weights / weights.mean(0), axis=0) / np.sqrt(num_samples)
        assert np.all(np.abs(estimate - exact) < 5 * error + 1e-3), method


def _weights(model, data, method):
    q, prior, log_likelihood = model.factors(*(tf.constant(d) for d in data))
    epsilon = noise.normal(20_000, len(data[0]), model.latent_dim, key=5, dtype="float64")
    q = q if method == "importance" else prior
    log_w, _ = log_weights(q, prior, log_likelihood, epsilon)
    return np.exp(log_w - tf.reduce_max(log_w, 0))


def test_log_likelihood_depends_on_neither_batches_nor_chunks_of_rows():
    model, data = small_model(CVAE1), small_data(CVAE1)
    values = model.log_likelihood(*data, num_samples=130)
    np.testing.assert_allclose(
        values, model.log_likelihood(*data, num_samples=130, batch_size=7), rtol=1e-5
    )
    by_hand = [model.log_likelihood(*(d[i : i + 1] for d in data), num_samples=130) for i in (0,)]
    np.testing.assert_allclose(values[:1], by_hand[0], rtol=1e-5)


def test_log_likelihood_counts_each_sample_once():
    """130 samples in two chunks are the mean of 130 weights, computed by hand."""
    model, data = small_model(VAE), small_data(VAE)
    values = model.log_likelihood(*data, num_samples=130, seed=3)
    key = noise.key(3, "log-likelihood")
    chunks = [noise.normal(65, len(data[0]), 2, key=key, step=step) for step in (0, 1)]
    log_w, _ = log_weights(*model.factors(tf.constant(data[0])), tf.concat(chunks, 0))
    np.testing.assert_allclose(values, log_mean_exp(log_w), rtol=1e-5)


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


@pytest.mark.parametrize("model_class", [*MODELS, GSNN])
def test_generate_reconstruct_predict_have_the_observed_shape(model_class):
    model, data = small_model(model_class), small_data(model_class)
    model.compile()
    given = dict(zip(model.data_names, data, strict=True))
    condition = 5 if model_class is VAE else given["x" if model.observed == "y" else "y"][:5]
    shape = (5, *model.shapes[model.observed])
    images = model.generate(condition, seed=1)
    assert images.shape == shape and np.all((images >= 0) & (images <= 1))
    np.testing.assert_array_equal(images, model.generate(condition, seed=1))
    assert np.abs(images - model.generate(condition, seed=2)).max() > 0
    drawn = model.generate(condition, seed=1, sample=True)
    assert drawn.shape == shape and set(np.unique(drawn)) <= {0, 1}
    assert model.reconstruct(*(d[:5] for d in data)).shape == shape
    assert model.predict(data[0][:5] if model_class is VAE else condition, verbose=0).shape == shape


def test_predict_does_not_depend_on_the_batch():
    model, (_, y) = small_model(CVAE1), small_data(CVAE1)
    whole = model.predict(y, verbose=0)
    np.testing.assert_allclose(model.predict(y[7:9], verbose=0), whole[7:9], rtol=1e-5)


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


@pytest.mark.parametrize("num_samples", [1, 7])
def test_importance_weighted_estimator(num_samples):
    """L_K's value by hand; its reconstruction and KL are the plain ELBO's terms."""
    model = small_model(CVAE2, estimator=ImportanceWeighted(num_samples))
    data = small_data(CVAE2)
    bound = model.bound(*data)
    epsilon = model.evaluation_noise(len(data[0]))
    assert epsilon.shape == (num_samples, len(data[0]), 2)
    log_w, _ = log_weights(*model.factors(*map(tf.constant, data)), epsilon)
    by_hand = np.log(np.mean(np.exp(log_w - log_w.numpy().max(0)), 0)) + log_w.numpy().max(0)
    np.testing.assert_allclose(bound.value, by_hand, rtol=1e-5)
    np.testing.assert_allclose(bound.elbo, np.mean(log_w, 0), rtol=1e-5)
    assert np.all(bound.value.numpy() >= bound.elbo.numpy() - 1e-5)


def test_cmma_is_cvae4():
    from cvae_tf import CVAE4

    assert CVAE4 is CMMA
