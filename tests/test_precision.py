"""16-bit policies, float32 and float64: what is computed in which, and what it costs."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from requirements_of_a_model import small_data, small_model

from cvae_tf import CVAE1, CVAE3, M2, VAE, diagnostics, networks, penalties
from cvae_tf.distributions import Bernoulli, Categorical, Gaussian
from cvae_tf.estimators import SGVBA, ImportanceWeighted

HALF = ("mixed_bfloat16", "mixed_float16")
MODELS = (VAE, CVAE1, CVAE3)
FAMILIES = {
    "Bernoulli": Bernoulli,
    "Gaussian": Gaussian,
    "Gaussian, network": lambda: Gaussian("network"),
}


@pytest.fixture
def _policy_again():
    before = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(before)


def half_model(policy, model_class=VAE, **options):
    return small_model(model_class, dtype=policy, **options)


def dtypes(*values):
    return {np.asarray(v).dtype.name for v in tf.nest.flatten(values)}


# 16 bits ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", HALF)
@pytest.mark.parametrize("model_class", MODELS)
def test_networks_compute_in_16_bits_and_all_else_in_32(policy, model_class):
    """ε, densities, KL, the terms of the bound and the logs; networks' weights as Keras has it."""
    model, data = half_model(policy, model_class), small_data(model_class)
    assert model.likelihood_net.compute_dtype == policy.removeprefix("mixed_")
    assert {w.dtype for w in model.likelihood_net.weights} == {"float32"}
    assert model.compute_dtype == model.family.variable_dtype == "float32"
    q, prior, log_likelihood = model.factors(*map(tf.constant, data))
    epsilon = model.evaluation_noise(len(data[0]))
    z = q.mean() + q.stddev() * epsilon
    found = (epsilon, q.mean(), q.stddev(), prior.mean(), q.log_prob(z), prior.log_prob(z))
    assert dtypes(found, log_likelihood(z), list(model.bound(*data))) == {"float32"}
    assert np.abs(epsilon).max() < 6 and np.isfinite(epsilon).all()
    model.compile(jit_compile=False)
    logs = model.evaluate(*data, return_dict=True, verbose=0)
    np.testing.assert_allclose(logs["elbo"], np.mean(model.bound(*data).elbo), rtol=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize("policy", HALF)
@pytest.mark.parametrize("family", FAMILIES)
def test_bounds_in_16_bits_are_near_those_in_32(policy, family):
    full, half = (small_model(VAE, family=FAMILIES[family](), dtype=d) for d in (None, policy))
    half.set_weights(full.get_weights())
    (x,) = small_data(VAE)
    np.testing.assert_allclose(half.bound(x).value, full.bound(x).value, rtol=0.02, atol=0.05)
    for one, other in zip(
        (full.log_likelihood(x, num_samples=50), full.generate(7), full.reconstruct(x)),
        (half.log_likelihood(x, num_samples=50), half.generate(7), half.reconstruct(x)),
        strict=True,
    ):
        assert other.dtype == "float32"
        np.testing.assert_allclose(one, other, rtol=0.05, atol=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("policy", HALF)
@pytest.mark.parametrize("jit_compile", [False, True], ids=["no XLA", "XLA"])
def test_training_in_16_bits_is_finite_and_learns(policy, jit_compile):
    """NaN from the first epoch, when ε was drawn in 16 bits, where erfinv reaches ±1."""
    model, data = half_model(policy, CVAE1), small_data(CVAE1, num_rows=60)
    model.compile(keras.optimizers.Adam(0.02), jit_compile=jit_compile)
    history = model.fit(*data, epochs=6, batch_size=16, validation_data=data, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    assert history["val_elbo"][-1] > history["val_elbo"][0]
    assert all(np.isfinite(w).all() for w in model.get_weights())


PARTS = {
    "importance weighted": {"estimator": ImportanceWeighted(5)},
    "SGVB-A": {"estimator": SGVBA(2)},
    "β": {"penalty": penalties.Beta(2.0)},
    "free bits": {"penalty": penalties.FreeBits(0.1)},
    "MMD": {"penalty": penalties.MMD(3.0)},
}


@pytest.mark.parametrize("part", PARTS)
def test_estimators_and_penalties_work_in_16_bits(part):
    model, (x,) = half_model("mixed_bfloat16", **PARTS[part]), small_data(VAE)
    model.compile(jit_compile=False)
    history = model.fit(x, batch_size=16, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    assert np.isfinite(diagnostics.active_units(model, x).variance).all()


@pytest.mark.parametrize("policy", [None, *HALF])
def test_the_loss_is_scaled_for_float16_and_only_there(policy):
    model = half_model(policy)
    for optimizer in ("adam", keras.optimizers.Adam(0.01)):
        model.compile(optimizer, jit_compile=False)
        scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
        assert scaled == (policy == "mixed_float16")
    own = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam())
    model.compile(own, jit_compile=False)
    assert model.optimizer is own
    model.compile("adam", auto_scale_loss=False, jit_compile=False)
    assert isinstance(model.optimizer, keras.optimizers.Adam)


def test_the_scaled_loss_takes_the_step_of_the_loss():
    """The gradient is scaled back: the parameters move as without it."""
    plain, scaled = (half_model("mixed_float16") for _ in range(2))
    plain.compile(keras.optimizers.SGD(0.1), auto_scale_loss=False, jit_compile=False)
    scaled.compile(keras.optimizers.SGD(0.1), jit_compile=False)
    (x,) = small_data(VAE)
    for model in (plain, scaled):
        model.fit(x, batch_size=10, verbose=0)
    for one, other in zip(plain.get_weights(), scaled.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=0.02, atol=2e-3)


@pytest.mark.parametrize("policy", HALF)
def test_a_model_in_16_bits_is_saved_and_loaded(policy, tmp_path):
    model, (x,) = half_model(policy), small_data(VAE)
    model.compile(keras.optimizers.Adam(0.01), jit_compile=False)
    model.fit(x, batch_size=16, verbose=0)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    assert loaded.likelihood_net.layers[-1].compute_dtype == policy.removeprefix("mixed_")
    np.testing.assert_allclose(loaded.bound(x).value, model.bound(x).value, rtol=1e-5)
    assert type(loaded.optimizer) is type(model.optimizer)
    loaded.compile("adam", jit_compile=False)
    scaled = isinstance(loaded.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (policy == "mixed_float16")


@pytest.mark.usefixtures("_policy_again")
@pytest.mark.parametrize("policy", HALF)
def test_a_global_policy_is_a_policy(policy):
    """keras.config.set_dtype_policy, as most users ask for it."""
    keras.config.set_dtype_policy(policy)
    model, (x,) = small_model(VAE), small_data(VAE)
    assert model.likelihood_net.compute_dtype == policy.removeprefix("mixed_")
    model.compile(jit_compile=False)
    history = model.fit(x, epochs=2, batch_size=16, verbose=0).history
    logs = model.evaluate(x, return_dict=True, verbose=0)
    assert np.isfinite([*history["loss"], *logs.values()]).all()
    assert model.predict(x, verbose=0).dtype == "float32"


@pytest.mark.parametrize("policy", HALF)
def test_m2_works_in_16_bits(policy):
    model = half_model(policy, M2)
    x, y = small_data(VAE)[0], np.where(np.arange(50) < 20, np.arange(50) % 4, -1)
    model.compile(jit_compile=False)
    history = model.fit(x, y, batch_size=10, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    np.testing.assert_allclose(model.predict(x, verbose=0).sum(1), 1, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("model_class", [VAE, CVAE1], ids=lambda c: c.__name__)
def test_digits_in_16_bits_end_within_a_hundredth_of_the_bound_in_32(digits, model_class):
    ends = {}
    for policy in ("float32", *HALF):
        keras.utils.set_random_seed(0)
        family = Bernoulli()
        sizes = {"x": 64, "z": 4} | ({"y": 10} if model_class is CVAE1 else {})
        nets = networks.mlps(model_class, hidden=(64,), family=family, dtype=policy, **sizes)
        model = model_class(**nets, family=family)
        model.compile(keras.optimizers.Adam(3e-3), jit_compile=False)

        def data(split):
            y = keras.utils.to_categorical(split.labels, 10)
            return (split.x, y) if model_class is CVAE1 else (split.x,)

        model.fit(*data(digits.train), batch_size=64, epochs=15, verbose=0)
        ends[policy] = model.evaluate(*data(digits.test), return_dict=True, verbose=0)["elbo"]
    for policy in HALF:
        assert abs(ends[policy] - ends["float32"]) < 0.01 * abs(ends["float32"]), ends


# 64 bits, and checks after the cast ---------------------------------------------------------------


def test_float64_stays_exact():
    """In every number that comes out, and in a fit: no way through float32."""
    family = Gaussian(0.1, dtype="float64")
    model = small_model(VAE, family=family, dtype="float64")
    x = small_data(VAE)[0].astype("float64") + 1e-12
    assert np.abs(x.astype("float32") - x).max() > 0
    bound = model.bound(x)
    assert dtypes(list(bound), model.encode(x), model.generate(2), model.predict(x)) == {"float64"}
    raw = model.likelihood_net(model.factors(tf.constant(x))[0].mean()).numpy()
    epsilon = np.zeros((1, 1, 2))
    expected = -0.5 * np.sum(((x - raw) / 0.1) ** 2 + np.log(2 * np.pi * 0.01), 1)
    at_mean = model.bound(x, noise=epsilon).reconstruction
    np.testing.assert_allclose(at_mean, expected, rtol=1e-13)
    model.compile(jit_compile=False)
    model.fit(x, batch_size=16, verbose=0)
    assert {w.dtype.name for w in model.get_weights()} >= {"float64"}


@pytest.mark.parametrize("value", [1e300, -1e300, 1e39])
@pytest.mark.parametrize("use", ["fit", "evaluate", "predict", "bound", "log_likelihood", "encode"])
def test_what_is_infinite_after_the_cast_is_refused(use, value):
    """Checked in float64 and then cast, 1e300 went in as inf."""
    model = small_model(VAE, family=Gaussian())
    model.compile(jit_compile=False)
    x = np.zeros((8, 6))
    x[3, 2] = value
    options = {"verbose": 0} if use in ("fit", "evaluate", "predict") else {}
    with pytest.raises(ValueError, match=r"too large for float32.*scale"):
        getattr(model, use)(x, **options)
    wide = small_model(VAE, family=Gaussian(dtype="float64"), dtype="float64")
    assert np.isfinite(wide.encode(x * (1e-295 if abs(value) > 1e200 else 1))).all()


@pytest.mark.parametrize("scale", [710.0, 1e4, 1e-3])
def test_a_large_initial_scale_is_that_scale(scale):
    """log(exp(710) − 1) is inf in float64, and σ was with it."""
    family = Gaussian(initial_scale=scale)
    np.testing.assert_allclose(family(tf.zeros([3, 2])).stddev(), scale, rtol=1e-3)


@pytest.mark.parametrize(
    "family",
    [Bernoulli, Gaussian, Categorical, lambda: Gaussian("network")],
    ids=["Bernoulli", "Gaussian", "Categorical", "Gaussian, network"],
)
def test_a_drawn_row_does_not_depend_on_its_batch(family):
    """`generate(sample=True)` is a function of (seed, row): alone, in a batch, or in another."""
    model, (_, y) = small_model(CVAE1, family=family()), small_data(CVAE1)
    whole = model.generate(y, sample=True, seed=3)
    part = model.generate(y[:5], sample=True, seed=3)
    np.testing.assert_allclose(part, whole[:5], rtol=1e-4, atol=1e-5)
    other = np.concatenate([y[:5], y[30:]])
    np.testing.assert_allclose(model.generate(other, sample=True, seed=3)[:5], part, rtol=1e-4)
    assert np.abs(model.generate(y, sample=True, seed=4) - whole).max() > 0
