"""The deterministic network, its first guess, and noise on inputs."""

import keras
import numpy as np
import pytest
from requirements_of_a_model import in_a_fresh_process, small_data, small_model

from cvae_tf import CVAE3, M2, Baseline, FutureCVAE, networks
from cvae_tf.baselines import Blocks, Corruption, Flips, corrupted, with_first_guess
from cvae_tf.distributions import Bernoulli, Categorical, Gaussian


def baseline(x=6, y=4, family=None, seed=0, hidden=(16,), dtype=None):
    keras.utils.set_random_seed(seed)
    family = Categorical() if family is None else family
    nets = networks.mlps(Baseline, x=x, y=y, z=0, hidden=hidden, family=family, dtype=dtype)
    return Baseline(**nets, family=family, seed=seed)


def fit(model, data, epochs=2, **options):
    model.compile(keras.optimizers.Adam(0.01), jit_compile=False)
    return model.fit(*data, epochs=epochs, batch_size=16, verbose=0, **options).history


# --- Baseline ------------------------------------------------------------------------------------


def test_its_log_likelihood_is_exact():
    """log softmax by hand; by any method, S and batch; the bound, and evaluate's mean of it."""
    model, (x, y) = baseline(), small_data(CVAE3)
    logits = np.asarray(model.likelihood_net(x), "float64")
    exact = (y * (logits - np.log(np.exp(logits).sum(-1, keepdims=True)))).sum(-1)
    np.testing.assert_allclose(model.log_likelihood(x, y), exact, rtol=1e-5)
    other = model.log_likelihood(x, y, num_samples=500, method="prior", seed=3, batch_size=7)
    np.testing.assert_allclose(other, exact, rtol=1e-5)
    bound = model.bound(x, y)
    np.testing.assert_allclose(bound.value, exact, rtol=1e-5)
    np.testing.assert_array_equal(bound.kl, np.zeros(len(x)))
    model.compile()
    logs = model.evaluate(x, y, batch_size=8, return_dict=True, verbose=0)
    np.testing.assert_allclose(logs["elbo"], exact.mean(), rtol=1e-5)
    assert model.latent_dim == 0 and logs["kl"] == 0


def test_linear_and_gaussian_it_is_least_squares():
    """Fitted to the end, its log-likelihood is the regression's: a number nobody wrote for us."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3)).astype("float32")
    y = (x @ rng.normal(size=(3, 2)) + 1 + 0.5 * rng.normal(size=(200, 2))).astype("float32")
    model = baseline(x=3, y=2, family=Gaussian("shared"), hidden=())
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.05, 1500)), jit_compile=False
    )
    model.fit(x, y, batch_size=200, epochs=1500, verbose=0)
    design = np.column_stack([x, np.ones(200)])
    residual = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    optimum = -np.log(2 * np.pi * np.e * (residual**2).mean())  # two dimensions
    np.testing.assert_allclose(model.log_likelihood(x, y).mean(), optimum, atol=1e-4)


def test_it_has_the_habits_of_the_others(tmp_path):
    model, (x, y) = baseline(), small_data(CVAE3)
    history = fit(model, (x, y), epochs=10, validation_data=(x[:9], y[:9]))
    assert history["loss"][-1] < history["loss"][0] and history["val_kl"] == [0.0] * 10
    np.testing.assert_allclose(model.predict(x, verbose=0), model.predictive(x), rtol=1e-5)
    np.testing.assert_allclose(model.predictive(x).sum(-1), 1, rtol=1e-5)
    np.testing.assert_array_equal(model.reconstruct(x, y), model.generate(x))
    drawn = model.generate(x, sample=True)
    assert drawn.shape == y.shape and set(np.unique(drawn)) == {0, 1}
    with pytest.raises(ValueError, match="one-hot"):
        model.fit(x, np.arange(50) % 4)
    with pytest.raises(ValueError, match=r"expects \(N, 6\)"):
        model.predictive(x[:, :5])
    with pytest.raises(ValueError, match="loss"):
        model.compile(loss="mse")
    with pytest.raises(ValueError, match='Expected "importance"'):
        model.log_likelihood(x, y, method="exact")
    weights = np.linspace(0, 2, 50).astype("float32")
    logs = model.evaluate(x, y, sample_weight=weights, return_dict=True, verbose=0)
    expected = (weights * model.log_likelihood(x, y)).sum() / weights.sum()
    np.testing.assert_allclose(logs["elbo"], expected, rtol=1e-5)


# --- The first guess -----------------------------------------------------------------------------


def guessing_model(first):
    """CVAE-3 whose prior and likelihood see the baseline's guess."""
    keras.utils.set_random_seed(1)
    family = Categorical()
    nets = networks.mlps(CVAE3, x=6, y=4, z=2, hidden=(16,), family=family)
    nets["prior_net"] = with_first_guess(networks.mlp([6, 4], (16,), 4), first)
    nets["likelihood_net"] = with_first_guess(networks.mlp([6, 4, 2], (16,), 4), first)
    return CVAE3(**nets, family=family)


def test_the_first_guess_is_the_baseline_s_and_stays():
    first, (x, y) = baseline(), small_data(CVAE3)
    net = networks.mlp([6, 4], (), 4)
    kernel = np.concatenate([np.zeros((6, 4)), np.eye(4)])  # passes the guess on
    net.layers[-1].set_weights([kernel, np.zeros(4)])
    seeing = with_first_guess(net, first)
    guess = first.predictive(x)
    np.testing.assert_allclose(seeing(x), guess, rtol=1e-5)
    fit(first, (x, y))
    assert np.abs(first.predictive(x) - guess).max() > 1e-3, "the baseline learns on"
    np.testing.assert_allclose(seeing(x), guess, rtol=1e-5)

    model = guessing_model(first)
    frozen = [w for w in model.weights if not any(w is t for t in model.trainable_variables)]
    before = [w.numpy() for w in frozen]
    assert sum(w.shape == (6, 16) for w in frozen) == 2, "the baseline's copies are in there"
    fit(model, (x, y))
    moved = [np.abs(w.numpy() - b).max() for w, b in zip(frozen, before, strict=True)]
    assert max(m for m, w in zip(moved, frozen, strict=True) if len(w.shape) == 2) == 0


def test_a_guess_of_the_wrong_shape_is_refused():
    with pytest.raises(ValueError, match=r"\[\(6,\), \(4,\)\]"):
        with_first_guess(networks.mlp([6, 5], (), 4), baseline())
    with pytest.raises(TypeError, match="Baseline"):
        with_first_guess(networks.mlp([6, 4], (), 4), networks.mlp([6], (), 4))


# --- Noise on the inputs -------------------------------------------------------------------------


def test_flips_and_blocks_act_as_they_say():
    """The rate within 4 standard errors; blocks whole; ½ stays; the same call, the same noise."""
    x = np.random.default_rng(0).integers(0, 2, (500, 64)).astype("float32")
    x[:, :8] = 0.5
    flips = Flips(0.2, seed=1)
    noisy = [flips(x, training=True).numpy() for _ in range(2)]
    assert np.all(noisy[0][:, :8] == 0.5) and set(np.unique(noisy[0])) == {0, 0.5, 1}
    share = (noisy[0] != x)[:, 8:].mean()
    assert abs(share - 0.2) < 4 * np.sqrt(0.16 / (500 * 56))
    assert (noisy[0] != noisy[1]).any()
    again = Flips(0.2, seed=1)
    np.testing.assert_array_equal(again(x, training=True), noisy[0])
    np.testing.assert_array_equal(again(x[:7], training=True), noisy[1][:7])
    assert (Flips(0.2, seed=2)(x, training=True) != noisy[0]).numpy().any()
    np.testing.assert_array_equal(flips(x, training=False), x)

    for shape in ((64,), (8, 8, 1), (8, 8, 2)):
        ones = np.ones((500, *shape), "float32")
        hidden = Blocks(0.3, size=4, value=0)(ones, training=True).numpy() == 0
        blocks = hidden.reshape(500, 2, 4, 2, 4, -1).transpose(0, 1, 3, 2, 4, 5).reshape(2000, -1)
        assert np.all(blocks.all(1) == blocks.any(1)), "a block is hidden whole or not at all"
        assert abs(blocks[:, 0].mean() - 0.3) < 4 * np.sqrt(0.21 / 2000)
    with pytest.raises(ValueError, match="not 7 × 7"):
        Blocks(0.3)(np.ones((5, 60), "float32"), training=True)
    with pytest.raises(ValueError, match=r"rate=1\.0\. Expected"):
        Flips(1.0)


@keras.saving.register_keras_serializable("test")
class Everything(Corruption):
    """Replaces the whole input: what is behind it cannot have seen x."""

    def corrupt(self, inputs, u):
        return 0 * inputs


NETWORKS = ("posterior_net", "prior_net", "likelihood_net")


def one_step(model, x, y, rate=0.0, jit_compile=False):
    """The bound that the first training step sees; with rate 0 it changes nothing."""
    model.compile(keras.optimizers.SGD(rate), jit_compile=jit_compile)
    return model.fit(x, y, batch_size=50, verbose=0).history["elbo"][0]


@pytest.mark.parametrize("layer", [Everything(), keras.layers.GaussianNoise(1.0)], ids=type)
def test_noise_acts_in_training_and_not_elsewhere(layer):
    """In `fit` the bound is another; where all of x is replaced, it is that of no x, with and
    without XLA, and the weights that x enters by stay. All else sees x itself.
    """
    clean = small_model(CVAE3)
    nets = {name: corrupted(getattr(clean, name), layer) for name in NETWORKS}
    model = CVAE3(**nets, family=Categorical())  # the same weights, the same noise of z
    x, y = small_data(CVAE3)
    trained = one_step(model, x, y)
    assert abs(trained - one_step(clean, x, y)) > 0.01, "training saw x"
    if isinstance(layer, Everything):
        blind = one_step(clean, np.zeros_like(x), y)
        np.testing.assert_allclose(trained, blind, rtol=1e-6)
        np.testing.assert_allclose(one_step(model, x, y, jit_compile=True), blind, rtol=1e-5)
        kernel = clean.prior_net.layers[1].kernel
        before = kernel.numpy()
        one_step(model, x, y, rate=1.0)
        np.testing.assert_array_equal(kernel.numpy(), before)
    assert clean.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)
    np.testing.assert_array_equal(clean.predictive(x), model.predictive(x))
    np.testing.assert_array_equal(
        clean.log_likelihood(x, y, num_samples=10), model.log_likelihood(x, y, num_samples=10)
    )


def test_only_the_input_asked_for_is_corrupted():
    net = networks.mlp([3, 2], (), 5)
    net.layers[-1].set_weights([np.eye(5), np.zeros(5)])
    inputs = [np.ones((4, 3), "float32"), np.ones((4, 2), "float32")]
    out = corrupted(net, Everything(), position=1)(inputs, training=True)
    np.testing.assert_array_equal(out, np.concatenate([np.ones((4, 3)), np.zeros((4, 2))], 1))
    with pytest.raises(ValueError, match="position.*=2.*from 0 to 1"):
        corrupted(net, Flips(0.1), position=2)


# --- Two predictors -------------------------------------------------------------------------------


def test_two_modes_for_an_image_and_what_the_two_predictors_make_of_them():
    """Four pixels all 0 or all 1, by the sign of z: (5.5) sees neither, (5.6) averages to ½.

    log p(y|x) of the all-ones image is −log 2 (CVAE-3); for the baseline at its best, −4 log 2.
    """
    family = Bernoulli()
    model = small_model(CVAE3, hidden=(), family=family, x=1, y=4, z=1)
    raw_scale = float(model.latent.raw_from_scale(1.0))
    model.prior_net.layers[-1].set_weights([np.zeros((1, 2)), np.array([0.0, raw_scale])])
    slope, shift = 1000.0, -5.0  # a hard step at z = 0.005: p(ones) = 1 − Φ(0.005)
    kernel = np.array([[0.0] * 4, [slope] * 4])
    model.likelihood_net.layers[-1].set_weights([kernel, np.full(4, shift)])
    x, y = np.zeros((2, 1), "float32"), np.array([[1] * 4, [1, 1, 0, 0]], "float32")
    plug_in = model.predictive(x, method="plug_in")
    np.testing.assert_allclose(plug_in, np.full((2, 4), 1 / (1 + np.exp(5))), rtol=1e-4)
    z, weight = np.linspace(-8, 8, 400_001), 16 / 400_000
    density = np.exp(-z * z / 2) / np.sqrt(2 * np.pi) * weight
    p = 1 / (1 + np.exp(-np.clip(slope * z + shift, -500, 500)))
    monte_carlo = model.predictive(x, num_samples=40_000)
    np.testing.assert_allclose(monte_carlo, (p * density).sum(), atol=5 * 0.5 / np.sqrt(40_000))
    exact = np.log([(p**4 * density).sum(), (p**2 * (1 - p) ** 2 * density).sum()])
    found = model.log_likelihood(x, y, num_samples=40_000, method="prior")
    np.testing.assert_allclose(found[0], exact[0], atol=5 / np.sqrt(40_000))
    np.testing.assert_allclose(exact[0], -np.log(2), atol=0.01)
    assert exact[1] < -6 and found[1] < -6, "half an image of each is no answer"
    even = baseline(x=1, family=Bernoulli(), hidden=())
    even.likelihood_net.layers[-1].set_weights([np.zeros((1, 4)), np.zeros(4)])
    np.testing.assert_allclose(even.log_likelihood(x, y), np.full(2, -4 * np.log(2)), rtol=1e-6)


# --- Saving --------------------------------------------------------------------------------------

FRESH = """
import json, os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras, numpy as np
import cvae_tf
report, folder = {}, sys.argv[1]
for name in sys.argv[2:]:
    model = keras.saving.load_model(f"{folder}/{name}.keras")
    x, y = np.load(f"{folder}/data.npz").values()
    before = model.evaluate(x, y, return_dict=True, verbose=0)
    history = model.fit(x, y, epochs=1, batch_size=16, verbose=0).history
    report[name] = {"before": before, "history": history,
                    "trainable": len(model.trainable_variables)}
print("REPORT" + json.dumps(report))
"""


@pytest.mark.slow
def test_all_go_on_in_a_fresh_process(tmp_path):
    """Baseline, FutureCVAE, CVAE-3 with a first guess, CVAE-3 with noise: the same next epoch."""
    x, y = small_data(CVAE3)
    first = baseline()
    fit(first, (x, y))
    clean = small_model(CVAE3)
    flips, blocks = Flips(0.3, seed=2), Blocks(0.3, image_shape=(2, 3))
    noisy = CVAE3(
        posterior_net=clean.posterior_net,
        prior_net=corrupted(clean.prior_net, flips),
        likelihood_net=corrupted(clean.likelihood_net, blocks),
        family=Categorical(),
    )
    models = {
        "baseline": first,
        "future": small_model(FutureCVAE),
        "guess": guessing_model(first),
        "noisy": noisy,
    }
    np.savez(tmp_path / "data.npz", x=x, y=y)
    expected = {}
    for name, model in models.items():
        model.compile(keras.optimizers.Adam(0.01), run_eagerly=True)  # nothing to trace: faster
        model.fit(x, y, epochs=2, batch_size=16, verbose=0)
        model.save(tmp_path / f"{name}.keras")
        expected[name] = {
            "before": model.evaluate(x, y, return_dict=True, verbose=0),
            "history": model.fit(x, y, epochs=1, batch_size=16, verbose=0).history,
            "trainable": len(model.trainable_variables),
        }
    report = in_a_fresh_process(FRESH, tmp_path, *expected)
    for name, numbers in expected.items():
        assert report[name]["trainable"] == numbers["trainable"]
        for part in ("before", "history"):
            for key, value in numbers[part].items():
                np.testing.assert_allclose(
                    report[name][part][key], value, rtol=1e-5, atol=1e-6, err_msg=f"{name} {key}"
                )


@pytest.mark.parametrize("model_class", [Baseline, M2])
def test_data_by_name_are_the_same_data(model_class):
    model, (x, y) = small_model(model_class), small_data(model_class)
    y = y.argmax(1) if model_class is M2 else y
    named = {"y": y, "x": x}
    for use in (model.log_likelihood, model.reconstruct, lambda *d: model.bound(*d).value):
        np.testing.assert_array_equal(use(named), use(x, y))
    with pytest.raises(ValueError, match=r"1 array\(s\).*expects \(x, y\)"):
        model.log_likelihood(x)


def test_a_baseline_s_draws_are_of_one_mean():
    model, (x, _) = small_model(Baseline), small_data(Baseline)
    mean = model.generate(x)
    np.testing.assert_array_equal(model.generate(x, num_samples=3), np.stack([mean] * 3))
    draws = model.generate(x, num_samples=300, sample=True)
    assert draws.shape == (300, *mean.shape) and np.all(draws.sum(-1) == 1)
    np.testing.assert_allclose(draws.mean(0), mean, atol=5 * 0.5 / np.sqrt(300))
