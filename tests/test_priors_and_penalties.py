"""Mixture priors against a numerical integral; penalties by hand; the plain ELBO in the logs."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from requirements_of_a_model import small_data, small_model
from scipy import stats

from cvae_tf import CMMA, CVAE1, CVAE2, CVAE3, GSNN, VAE, networks, noise, penalties
from cvae_tf.distributions import Bernoulli, MixtureOfGaussians, draw, tfd
from cvae_tf.estimators import (
    SGVBA,
    SGVBB,
    ImportanceWeighted,
    SGVBMixture,
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


def test_draws_from_a_mixture_have_its_distribution():
    prior = random_mixture(3)
    z = draw(prior, 50_000, 1, 1, key=4, dtype="float64").numpy().ravel()
    probabilities = prior.mixture_distribution.probs_parameter().numpy()[0]
    parts = prior.components_distribution

    def cdf(values):
        means, scales = parts.mean().numpy()[0, :, 0], parts.stddev().numpy()[0, :, 0]
        return np.sum(probabilities * stats.norm.cdf(values[:, None], means, scales), 1)

    assert stats.kstest(z, cdf).pvalue > 1e-3


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
    nets = networks.mlps(GSNN, hidden=(), family=family, prior_family=prior_family, x=6, y=4, z=2)
    with pytest.raises(ValueError, match="no prior network"):
        GSNN(**nets, family=family, prior_family=prior_family, estimator=SGVBA())


def _loss_and_logs(penalty, model_class=VAE, **options):
    model = small_model(model_class, penalty=penalty, **options)
    model.compile()
    data = small_data(model_class)
    logs = model.evaluate(*data, return_dict=True, verbose=0)
    return model, data, logs


@pytest.mark.parametrize("model_class", [VAE, CVAE3, CMMA])
def test_penalties_by_hand_and_the_plain_elbo_in_the_logs(model_class):
    """(7.3)–(7.5): the loss is the weighted objective, `elbo` what it is without."""
    plain, data, plain_logs = _loss_and_logs(None, model_class)
    bound = plain.bound(*data)
    q, prior, _ = plain.factors(*map(tf.constant, data))
    kl_j = np.asarray(
        np.log(prior.stddev() / q.stddev())
        + (q.variance() + (q.mean() - prior.mean()) ** 2) / (2 * prior.variance())
        - 0.5
    )
    expected = {
        penalties.Beta(1.0): -np.mean(bound.value),
        penalties.Beta(4.0): -np.mean(bound.reconstruction - 4 * bound.kl),
        penalties.FreeBits(0.0): -np.mean(bound.value),
        penalties.FreeBits(0.3): -np.mean(bound.reconstruction)
        + np.maximum(kl_j.mean(0), 0.3).sum(),
        penalties.MMD(0.0): -np.mean(bound.value),
    }
    for penalty, loss in expected.items():
        model, _, logs = _loss_and_logs(penalty, model_class)
        np.testing.assert_allclose(logs["loss"], loss, rtol=1e-5)
        for name in ("elbo", "reconstruction", "kl"):
            np.testing.assert_allclose(logs[name], plain_logs[name], rtol=1e-6)
        np.testing.assert_allclose(model.bound(*data).value, bound.value, rtol=1e-6)


def test_mmd_is_the_double_sum_and_sees_a_difference():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(40, 2)), rng.normal(size=(40, 2)) + 2

    def kernel(u, v):
        return 4 / (4 + np.sum((u - v) ** 2))

    pairs = [(i, j) for i in range(40) for j in range(40)]
    by_hand = (
        np.mean([kernel(a[i], a[j]) for i, j in pairs if i != j])
        + np.mean([kernel(b[i], b[j]) for i, j in pairs if i != j])
        - 2 * np.mean([kernel(a[i], b[j]) for i, j in pairs])
    )
    np.testing.assert_allclose(penalties.mmd(a, b), by_hand, rtol=1e-9)
    same = [
        float(penalties.mmd(rng.normal(size=(40, 2)), rng.normal(size=(40, 2)))) for _ in range(60)
    ]
    assert abs(np.mean(same)) < 4 * np.std(same) / np.sqrt(60), "unbiased: zero on average"
    assert by_hand > 10 * np.std(same)


def test_mmd_weights_act_with_noise_of_their_own():
    _, _, plain = _loss_and_logs(penalties.MMD(0.0))
    model, data, logs = _loss_and_logs(penalties.MMD(10.0))
    own = noise.normal(2, 50, 2, key=noise.key(0, "evaluation: penalty"))
    q = model.posterior(*data)
    value = penalties.mmd(q.mean() + q.stddev() * own[0], own[1])
    np.testing.assert_allclose(logs["loss"] - plain["loss"], 10 * value, rtol=1e-3)


def test_warm_up_raises_beta_and_is_saved(tmp_path):
    model = small_model(VAE, penalty=penalties.Beta(0.0))
    model.compile(jit_compile=False)
    seen = []
    watch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append((float(model.penalty.beta), logs))
    )
    model.fit(
        *small_data(VAE), epochs=5, batch_size=10, verbose=0, callbacks=[penalties.WarmUp(4), watch]
    )
    np.testing.assert_allclose([beta for beta, _ in seen], [0.25, 0.5, 0.75, 1, 1])
    for beta, logs in seen:
        np.testing.assert_allclose(
            logs["loss"], -(logs["reconstruction"] - beta * logs["kl"]), rtol=1e-5
        )
        np.testing.assert_allclose(logs["elbo"], logs["reconstruction"] - logs["kl"], rtol=1e-5)
    model.save(tmp_path / "model.keras")
    assert float(keras.saving.load_model(tmp_path / "model.keras").penalty.beta) == 1
    plain = small_model(VAE)
    plain.compile()
    with pytest.raises(ValueError, match="WarmUp found penalty=None"):
        plain.fit(*small_data(VAE), verbose=0, callbacks=[penalties.WarmUp(4)])


def test_penalties_refuse_what_they_cannot_weight():
    with pytest.raises(ValueError, match="beta=-1"):
        penalties.Beta(-1)
    with pytest.raises(ValueError, match="ImportanceWeighted"):
        small_model(VAE, penalty=penalties.Beta(), estimator=ImportanceWeighted(3))
    with pytest.raises(TypeError, match="penalty='beta'"):
        small_model(VAE, penalty="beta")
    with pytest.raises(TypeError, match="estimator='A'"):
        small_model(VAE, estimator="A")
    assert isinstance(small_model(VAE).estimator, SGVBB)
