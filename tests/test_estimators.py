"""Estimators of the bound against integrals, closed forms and weights by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from requirements_of_a_model import (
    MODELS,
    linear_pair,
    small_data,
    small_model,
)
from scipy import stats

from cvae_tf import CVAE1, CVAE2, estimators, noise, penalties
from cvae_tf.distributions import MixtureOfGaussians, tfd
from cvae_tf.estimators import (
    SGVBA,
    SGVBB,
    ImportanceWeighted,
    SGVBMixture,
    log_mean_exp,
    log_weights,
    mixture_kl_bound,
)


def random_mixture(seed, num_components=3, dim=1):
    rng = np.random.default_rng(seed)
    family = MixtureOfGaussians(num_components, dtype="float64")
    return family(rng.normal(size=(1, family.raw_size(dim))) * 1.5)


def random_q(seed, dim=1):
    rng = np.random.default_rng(seed + 10_000)
    return tfd.Independent(
        tfd.Normal(rng.normal(size=(1, dim)), np.exp(rng.normal(size=(1, dim)) * 0.7)), 1
    )


@pytest.mark.parametrize("seed", range(5))
def test_mixture_kl_by_monte_carlo_and_its_bound_against_an_integral(seed):
    """Section 10 in one dimension: both numbers to 1e-3, and the sign of their difference."""
    q, prior = random_q(seed), random_mixture(seed)
    grid = np.linspace(-40, 40, 400_001)
    log_q = stats.norm.logpdf(grid, q.mean().numpy()[0, 0], q.stddev().numpy()[0, 0])
    log_p = prior.log_prob(grid[:, None, None]).numpy()[:, 0]
    integral = np.trapezoid(np.exp(log_q) * (log_q - log_p), grid)

    def nothing(z):
        return tf.zeros(tf.shape(z)[:2], "float64")

    quantiles = stats.norm.ppf((np.arange(400_000) + 0.5) / 400_000)  # evenly spread noise
    evenly = SGVBA()(q, prior, nothing, quantiles[:, None, None])
    np.testing.assert_allclose(evenly.kl, [integral], atol=1e-3)

    epsilon = noise.normal(400_000, 1, 1, key=seed, dtype="float64")
    monte_carlo = SGVBA()(q, prior, nothing, epsilon).kl
    log_w, _ = log_weights(q, prior, nothing, epsilon)
    error = np.std(log_w) / np.sqrt(400_000)
    assert abs(float(monte_carlo[0]) - integral) < 5 * error

    weights = prior.mixture_distribution.probs_parameter().numpy()[0]
    parts = prior.components_distribution
    each = [
        np.trapezoid(np.exp(log_q) * (log_q - stats.norm.logpdf(grid, m, s)), grid)
        for m, s in zip(parts.mean().numpy()[0, :, 0], parts.stddev().numpy()[0, :, 0], strict=True)
    ]
    by_integrals = -np.log(np.sum(weights * np.exp(-np.array(each))))
    np.testing.assert_allclose(mixture_kl_bound(q, prior), [by_integrals], atol=1e-3)
    assert by_integrals > integral


def test_the_bound_is_above_the_kl_on_hundreds_of_mixtures():
    """(10.1): the sign, by quadrature, in 300 random one-dimensional cases."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(300)
    for seed in range(300):
        q, prior = random_q(seed), random_mixture(seed, num_components=2 + seed % 4)
        log_w, _ = log_weights(
            q, prior, lambda z: tf.zeros(tf.shape(z)[:2], "float64"), nodes[:, None, None]
        )
        kl = -np.sum(weights * log_w[:, 0]) / weights.sum()
        assert float(mixture_kl_bound(q, prior)[0]) >= kl - 1e-6, seed


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


def test_estimators_survive_saving_and_the_number_of_samples_acts(tmp_path):
    for estimator in (estimators.SGVBA(3), estimators.SGVBB(2), estimators.ImportanceWeighted(4)):
        model = small_model(CVAE1, estimator=estimator)
        model.compile()
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        assert type(loaded.estimator) is type(estimator)
        assert loaded.evaluation_noise(5).shape == (estimator.num_samples, 5, 2)


@pytest.mark.parametrize("estimator", [SGVBA, SGVBB, SGVBMixture, ImportanceWeighted])
@pytest.mark.parametrize("num_samples", [0, -3, 1.5, "2"])
def test_an_estimator_needs_a_whole_number_of_draws(estimator, num_samples):
    """The mean over no draws, NaN, where one was asked for; half a draw."""
    with pytest.raises((ValueError, TypeError), match="num_samples"):
        estimator(num_samples)


def test_estimators_draw_as_often_as_they_say():
    """Another default: twice the time for every step, and other numbers in every lesson."""
    assert [e().num_samples for e in (SGVBA, SGVBB, SGVBMixture, ImportanceWeighted)] == [
        1,
        1,
        1,
        5,
    ]
    assert SGVBB(1).num_samples == 1


PARTS = [
    *(SGVBA(2), SGVBB(3), SGVBMixture(2), ImportanceWeighted(4)),
    *(penalties.Beta(0.5), penalties.FreeBits(0.25), penalties.MMD(3.0)),
]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: type(part).__name__)
def test_parts_of_a_model_are_found_again_by_their_registered_name(part):
    """An estimator or a penalty that saves, and loads only where somebody has imported it."""
    config = keras.saving.serialize_keras_object(part)
    assert config["registered_name"] == f"cvae_tf>{type(part).__name__}"
    config = {**config, "module": None}  # as in another process
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is type(part)
    unnamed = [{k: v for k, v in p.get_config().items() if k != "name"} for p in (part, again)]
    assert unnamed[0] == unnamed[1]


def test_sgvb_b_of_a_mixture_prior_by_hand():
    """(10.1): the mean over draws of log p(x|z), minus the bound of the KL, per example."""
    normal = lambda loc, scale: tfd.Independent(tfd.Normal(loc, scale), 1)  # noqa: E731
    q = normal(tf.constant([[0.0, 1.0], [2.0, -1.0], [0.5, 0.5]]), tf.constant(0.5))
    parts = normal(tf.constant([[0.0, 0.0], [1.0, 1.0]]), tf.constant(1.0))
    prior = tfd.MixtureSameFamily(tfd.Categorical(logits=[0.0, 1.0]), parts)
    epsilon = tf.constant(np.random.default_rng(0).normal(size=(4, 3, 2)), tf.float32)
    bound = estimators.SGVBMixture(4)(q, prior, lambda z: z[..., 0] - z[..., 1] ** 2, epsilon)
    z = q.mean().numpy() + 0.5 * epsilon.numpy()
    expected = (z[..., 0] - z[..., 1] ** 2).mean(0)
    np.testing.assert_allclose(bound.reconstruction, expected, rtol=1e-5)
    np.testing.assert_allclose(bound.kl, estimators.mixture_kl_bound(q, prior), rtol=1e-6)
    np.testing.assert_allclose(bound.value, bound.reconstruction - bound.kl, rtol=1e-5)


def test_the_bound_of_the_kl_has_a_value_for_each_of_several_batch_axes():
    rng = np.random.default_rng(0)
    family = MixtureOfGaussians(4, dtype="float64")
    raw, (mean, scale) = rng.normal(size=(2, 3, family.raw_size(2))), rng.normal(size=(2, 2, 3, 2))
    q = tfd.Independent(tfd.Normal(mean, np.exp(scale)), 1)
    found = mixture_kl_bound(q, family(raw))
    by_rows = [mixture_kl_bound(q[row], family(raw[row])) for row in range(2)]
    np.testing.assert_allclose(found, np.stack(by_rows), rtol=1e-12)


@pytest.mark.parametrize(("num_samples", "chunks"), [(1, 1), (5, 1), (6, 2), (10, 2), (11, 3)])
def test_the_log_likelihood_draws_no_more_chunks_than_it_counts(num_samples, chunks):
    standard, seen = tfd.Independent(tfd.Normal(tf.zeros([3, 2]), 1.0), 1), []

    def first_coordinate(z):
        seen.append(z.numpy())
        return z[..., 0]

    options = {"num_samples": num_samples, "num_rows": 3, "latent_dim": 2, "per_chunk": 5, "key": 7}
    found = estimators.log_likelihood(standard, standard, first_coordinate, **options)
    assert len(seen) == chunks
    each = np.concatenate(seen)[:num_samples, :, 0]
    np.testing.assert_allclose(found, np.log(np.exp(each).mean(0)), rtol=1e-5)
    drawn = [noise.normal(5, 3, 2, key=7, step=step) for step in range(chunks)]
    np.testing.assert_allclose(np.concatenate(seen), np.concatenate(drawn), rtol=1e-6)


def test_draws_come_in_chunks_of_a_hundred_at_most_and_begin_at_the_first_row():
    assert [estimators.draws_per_chunk(s) for s in (1, 100, 101, 500)] == [1, 100, 51, 100]
    standard = tfd.Independent(tfd.Normal(tf.zeros([3, 2]), 1.0), 1)
    options = {"num_samples": 5, "num_rows": 3, "latent_dim": 2, "per_chunk": 5, "key": 7}
    found = estimators.log_likelihood(standard, standard, lambda z: z[..., 0], **options)
    same = estimators.log_likelihood(
        standard, standard, lambda z: z[..., 0], **options, first_row=0
    )
    np.testing.assert_array_equal(found, same)
