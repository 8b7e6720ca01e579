"""Richer priors and posteriors, written as a user would, against quadrature in one dimension.

Each model here is a `VAE` with one factor replaced. With z one-dimensional log p(x) is an integral
over a grid, which nothing of the library takes part in but the densities.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from requirements_of_a_model import small_data, small_model
from scipy import stats

from cvae_tf import CVAE1, VAE, distributions, networks, penalties
from cvae_tf.distributions import Bernoulli, MixtureOfGaussians, draw, drawn_by, from_noise
from cvae_tf.estimators import SGVBA, SGVBB, ImportanceWeighted, SGVBMixture
from cvae_tf.networks import apply

tfd, tfb = tfp.distributions, tfp.bijectors


@keras.saving.register_keras_serializable("richer")
class VampPrior(VAE):
    """p(z) = (1/K) Σ_k q(z|u_k), u_k learned (Tomczak & Welling 2018, equation 9)."""

    def __init__(self, *, num_inputs=3, **kwargs):
        super().__init__(**kwargs)
        self.num_inputs = num_inputs
        start = keras.initializers.RandomNormal(0.5, 0.5, seed=0)
        shape = (num_inputs, *self.shapes["x"])
        self.inputs_of_prior = self.add_weight(shape=shape, initializer=start, name="u")

    def prior(self):
        each = self.posterior(tf.convert_to_tensor(self.inputs_of_prior))
        equal = tfd.Categorical(logits=tf.zeros([self.num_inputs]))
        return tfd.MixtureSameFamily(equal, each)

    def get_config(self):
        return {**super().get_config(), "num_inputs": self.num_inputs}


def flow(base, numbers):
    """z = sinh-arcsinh(base): skewness and tail weight, both learned."""
    skewness, tailweight = 0.5 * tf.tanh(numbers[..., :1]), tf.exp(0.3 * tf.tanh(numbers[..., 1:]))
    return tfd.TransformedDistribution(base, tfb.SinhArcsinh(skewness, tailweight))


@keras.saving.register_keras_serializable("richer")
class FlowPrior(VAE):
    """p(z): a normalising flow of N(0, I)."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        start = keras.initializers.Constant([1.0, 0.5])
        self.numbers = self.add_weight(shape=(2,), initializer=start, name="flow")

    def prior(self):
        return flow(self.standard_normal(), tf.convert_to_tensor(self.numbers))


@keras.saving.register_keras_serializable("richer")
class FlowPosterior(VAE):
    """q(z|x): a normalising flow of the Gaussian that the network makes."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        start = keras.initializers.Constant([-1.0, 0.5])
        self.numbers = self.add_weight(shape=(2,), initializer=start, name="flow")

    def posterior(self, x):
        return flow(super().posterior(x), tf.convert_to_tensor(self.numbers))


@keras.saving.register_keras_serializable("richer")
class LogNormalPrior(VAE):
    """p(z) on z > 0, and a q that stays there."""

    def prior(self):
        return tfd.Independent(tfd.LogNormal(tf.zeros([self.latent_dim]), 0.5), 1)

    def posterior(self, x):
        q = super().posterior(x).distribution
        return tfd.Independent(tfd.LogNormal(q.loc, q.scale), 1)


MODELS = (VampPrior, FlowPrior, FlowPosterior, LogNormalPrior)


def made(model_class, z=1, estimator=None, **options):
    family = Bernoulli()
    nets = networks.mlps(VAE, x=6, z=z, hidden=(8,), family=family, activation="tanh")
    return model_class(**nets, family=family, estimator=estimator or SGVBA(2), **options)


@pytest.fixture(scope="module", params=MODELS, ids=lambda c: c.__name__)
def trained(request):
    keras.utils.set_random_seed(0)
    model, (x,) = made(request.param), small_data(VAE)
    model.compile(keras.optimizers.Adam(0.02), jit_compile=False)
    start = [v.numpy() for v in model.trainable_variables]
    history = model.fit(x, epochs=8, batch_size=10, verbose=0).history
    assert history["elbo"][-1] > history["elbo"][0]
    for before, after in zip(start, model.trainable_variables, strict=True):
        assert np.abs(before - after).max() > 0, after.path  # gradients reach everything
    return model, x


def grid_of(model):
    low = 1e-6 if isinstance(model, LogNormalPrior) else -25
    return np.linspace(low, 25, 20_001).astype("float32")[:, None]


def log_evidence(model, x):
    """log ∫ p(z) p(x|z) dz by the trapezoidal rule."""
    z = grid_of(model)
    _, prior, log_likelihood = model.factors(tf.constant(x))
    log_joint = log_likelihood(z[:, None]).numpy() + prior.log_prob(z).numpy()[:, None]
    top = log_joint.max(0)
    return top + np.log(np.trapezoid(np.exp((log_joint - top).astype("float64")), z[:, 0], axis=0))


def test_both_densities_integrate_to_one(trained):
    model, x = trained
    z = grid_of(model)
    q, prior, _ = model.factors(tf.constant(x[:4]))
    mass = np.trapezoid(np.exp(prior.log_prob(z).numpy().ravel()), z[:, 0])
    np.testing.assert_allclose(mass, 1, atol=1e-3)
    masses = np.trapezoid(np.exp(q.log_prob(z[:, None]).numpy()), z[:, 0], axis=0)
    np.testing.assert_allclose(masses, np.ones(4), atol=1e-3)


@pytest.mark.slow
def test_the_bound_is_below_log_p_and_importance_sampling_finds_it(trained):
    model, x = trained
    exact = log_evidence(model, x)
    for method, atol in (("importance", 0.06), ("prior", 0.06)):
        values = model.log_likelihood(x, num_samples=20_000, method=method)
        np.testing.assert_allclose(values, exact, atol=atol, err_msg=method)
    epsilon = np.random.default_rng(0).normal(size=(4000, 1, 1)).astype("float32")
    bound = model.bound(x, noise=epsilon).value
    assert np.all(bound < exact + 0.02) and np.mean(exact - bound) > 0
    by_ten = SGVBA()(*model.factors(tf.constant(x)), epsilon)
    np.testing.assert_allclose(by_ten.value, bound, rtol=1e-5)
    closer = ImportanceWeighted(4000)(*model.factors(tf.constant(x)), epsilon).value
    np.testing.assert_allclose(closer, exact, atol=0.1)


def test_generation_draws_from_the_prior(trained):
    """Kolmogorov and Smirnov, against the CDF that the density's integral is."""
    model, _ = trained
    drawn = draw(model.prior(), 10, 4000, 1, key=8).numpy().ravel()
    z = grid_of(model)[:, 0]
    density = np.exp(model.prior().log_prob(z[:, None]).numpy().ravel().astype("float64"))
    steps = np.diff(z) * (density[1:] + density[:-1]) / 2
    cdf = np.concatenate([[0], np.cumsum(steps)])
    assert stats.kstest(drawn, lambda v: np.interp(v, z, cdf)).pvalue > 1e-3
    mean = np.trapezoid(density[:, None] * model.likelihood(z[:, None]).mean(), z, axis=0)
    images = model.generate(4000)
    error = images.std(0) / np.sqrt(4000)
    assert np.all(np.abs(images.mean(0) - mean) < 5 * error + 1e-4)


def test_it_is_saved_and_loaded(trained, tmp_path):
    model, x = trained
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is type(model)
    np.testing.assert_allclose(loaded.bound(x).value, model.bound(x).value, rtol=1e-5)
    np.testing.assert_allclose(loaded.generate(5), model.generate(5), rtol=1e-5)
    histories = [m.fit(x, batch_size=10, verbose=0).history for m in (model, loaded)]
    for name, values in histories[0].items():
        np.testing.assert_allclose(histories[1][name], values, rtol=1e-4)


def test_it_is_used_as_any_model(trained):
    model, x = trained
    assert model.encode(x).shape == model.encode(x, sample=True).shape == (50, 1)
    assert model.reconstruct(x).shape == model.predict(x, verbose=0).shape == (50, 6)
    np.testing.assert_allclose(model(tf.constant(x)), model.predict(x, verbose=0), rtol=1e-5)
    np.testing.assert_array_equal(model.generate(3, seed=1), model.generate(3, seed=1))


def test_a_log_normal_prior_is_drawn_positive():
    """It drew −6 when every prior was taken for a Gaussian."""
    model = made(LogNormalPrior, z=3)
    for num_rows in (1, 2000):
        assert draw(model.prior(), 5, num_rows, 3, key=1).numpy().min() > 0
    z = draw(model.prior(), 1, 20_000, 3, key=2).numpy().ravel()
    assert stats.kstest(z, stats.lognorm(0.5).cdf).pvalue > 1e-3


# Priors without a rule --------------------------------------------------------------------------


class Odd(tfd.Distribution):
    """A distribution without quantile, mean or rule: Logistic in a box of its own."""

    def __init__(self, dim):
        super().__init__(tf.float32, tfd.FULLY_REPARAMETERIZED, False, True, parameters={})
        self.dim = dim
        self.inside = tfd.Independent(tfd.Logistic(tf.zeros([dim]), 1.0), 1)

    def _batch_shape(self):
        return tf.TensorShape([])

    def _event_shape(self):
        return tf.TensorShape([self.dim])

    def _log_prob(self, value):
        return self.inside.log_prob(value)


class OddPrior(VAE):
    def prior(self):
        return Odd(self.latent_dim)


class JointPrior(VAE):
    def prior(self):
        return tfd.JointDistributionSequential([tfd.Normal(0.0, 1.0), tfd.Normal(0.0, 1.0)])


class CircularPrior(VAE):
    """On a circle; TFP has no quantile for it."""

    def prior(self):
        return tfd.Independent(tfd.VonMises(tf.zeros([self.latent_dim]), 2.0), 1)


@pytest.mark.parametrize("model_class", [OddPrior, JointPrior, CircularPrior])
def test_a_prior_that_no_rule_draws_is_refused_when_the_model_is_made(model_class):
    with pytest.raises(TypeError, match=r"drawn from noise.*distributions\.drawn_by"):
        made(model_class, z=2)


def test_a_rule_of_ones_own_is_taken(monkeypatch):
    monkeypatch.setattr(distributions, "_RULES", list(distributions._RULES))

    @drawn_by(Odd)
    def _(distribution, epsilon, u):
        return from_noise(distribution.inside, epsilon)

    model, (x,) = made(OddPrior, z=2), small_data(VAE)
    z = draw(model.prior(), 1, 5000, 2, key=1).numpy()
    assert stats.kstest(z.ravel(), "logistic").pvalue > 1e-3
    model.compile(jit_compile=False)
    model.fit(x, batch_size=25, verbose=0)
    assert model.generate(3).shape == (3, 6)


# Parts that do not go together ------------------------------------------------------------------


def conditional(**options):
    prior_family, family = MixtureOfGaussians(2), Bernoulli()
    nets = networks.mlps(CVAE1, hidden=(), family=family, prior_family=prior_family, x=6, y=4, z=2)
    return CVAE1(**nets, family=family, prior_family=prior_family, **options)


REFUSED = {
    "SGVBB beside a mixture": (lambda: made(VampPrior, estimator=SGVBB()), "no closed-form KL"),
    "the default beside a mixture": (lambda: conditional(), "SGVBA.*SGVBMixture"),
    "SGVBB beside a flow": (lambda: made(FlowPrior, estimator=SGVBB()), "no closed-form KL"),
    "SGVBMixture beside a Gaussian": (
        lambda: small_model(VAE, estimator=SGVBMixture()),
        "SGVBMixture beside a prior that is a .*Expected a mixture",
    ),
    "SGVBMixture beside a Gaussian of y": (
        lambda: small_model(CVAE1, estimator=SGVBMixture()),
        "SGVBMixture beside",
    ),
    "FreeBits beside a mixture": (
        lambda: conditional(estimator=SGVBA(), penalty=penalties.FreeBits(0.1)),
        "FreeBits|no closed-form",
    ),
    "MMD beside a mixture": (
        lambda: conditional(estimator=SGVBA(), penalty=penalties.MMD(1.0)),
        "penalty=MMD beside a prior",
    ),
    "MMD beside a flow": (
        lambda: made(FlowPrior, penalty=penalties.MMD(1.0)),
        "penalty=MMD beside a prior",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_parts_that_do_not_go_together_are_refused_when_the_model_is_made(name):
    make, message = REFUSED[name]
    with pytest.raises(ValueError, match=f"(?s){message}"):
        make()


def test_parts_that_are_exchanged_later_are_tried_too():
    """At the next call; not only where the model is made."""
    model, (x,) = made(VampPrior), small_data(VAE)
    model.compile(jit_compile=False)
    model.fit(x, batch_size=25, verbose=0)
    model.estimator = SGVBB()
    with pytest.raises(ValueError, match="no closed-form KL"):
        model.fit(x, batch_size=25, verbose=0)


def test_a_mixture_as_q_is_refused():
    """Its draws jump: no gradient would reach the choice."""

    class Jumps(VAE):
        def posterior(self, x):
            raw = apply(self.posterior_net, x)
            parts = tfd.Normal(tf.stack([raw, raw + 1], -2)[..., :2], 1.0)
            logits = tf.zeros_like(raw[..., :2])
            return tfd.MixtureSameFamily(tfd.Categorical(logits=logits), tfd.Independent(parts, 1))

    with pytest.raises(TypeError, match="mixture as q"):
        made(Jumps, z=2)


def test_a_flow_through_a_python_function_is_drawn_as_any_other():
    """TFP makes another class of it, as it cannot look into the function."""
    def shift_and_log_scale(z, units):
        return tf.tile(z, [1, units]), 0.5 * tf.tile(z, [1, units])

    coupling = tfb.RealNVP(1, shift_and_log_scale_fn=shift_and_log_scale)
    coupling = tfd.TransformedDistribution(tfd.MultivariateNormalDiag(tf.zeros([3])), coupling)
    epsilon = tf.constant([[0.5, -1.0, 2.0]])
    z = from_noise(coupling, epsilon)
    e = 0.5
    np.testing.assert_allclose(z, [[e, e - np.exp(e / 2), e + 2 * np.exp(e / 2)]], rtol=1e-5)


def test_a_bit_is_drawn_by_a_threshold_on_the_noise():
    epsilon = tf.constant([[-2.0, -0.6, -0.4, 0.5, 3.0]])
    bits = from_noise(tfd.Bernoulli(probs=tf.fill([5], 0.3)), epsilon)  # Φ(−0.52) = 0.3
    assert bits.dtype == epsilon.dtype
    np.testing.assert_array_equal(bits, [[1, 1, 0, 0, 0]])
