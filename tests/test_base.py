"""The contract: what every model gives once its factors are written, by hand or against itself."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from requirements_of_a_model import (
    MODELS,
    check_limits,
    labelled_data,
    small_data,
    small_model,
)

from cvae_tf import (
    CMMA,
    CVAE1,
    GSNN,
    M2,
    VAE,
    base,
    diagnostics,
    evaluation,
    networks,
    noise,
    penalties,
)
from cvae_tf.base import BoundModel
from cvae_tf.distributions import Bernoulli, Gaussian
from cvae_tf.estimators import (
    SGVBA,
    log_mean_exp,
    log_weights,
)
from cvae_tf.noise import Place


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


@pytest.mark.parametrize(
    ("method", "sizes"), [("importance", (101,)), ("prior", (1, 100, 101, 250))]
)
def test_every_number_of_samples_is_counted_exactly(method, sizes):
    """Samples beyond S in the last chunk: log p would be too high by log(102/101), and so on.

    The decoder ignores z and q is the prior, so that every weight is p(x), whatever is drawn.
    """
    model, (x,) = small_model(VAE, hidden=()), small_data(VAE, num_rows=3)
    bias = np.linspace(-1, 2, 6)
    model.likelihood_net.layers[-1].set_weights([np.zeros((2, 6)), bias])
    raw = float(model.latent.raw_from_scale(1.0))
    model.posterior_net.layers[-1].set_weights([np.zeros((6, 4)), np.array([0, 0, raw, raw])])
    exact = x @ bias - np.logaddexp(0, bias).sum()
    for num_samples in sizes:
        values = model.log_likelihood(x, num_samples=num_samples, method=method)
        np.testing.assert_allclose(values, exact, rtol=1e-5, err_msg=f"S = {num_samples}")


def test_prediction_is_the_mean_of_a_hundred_draws():
    """Another number of draws in `predict`, or other noise: within Monte Carlo's error anyway."""
    model, (_, y) = small_model(CVAE1), small_data(CVAE1, num_rows=4)
    model.compile()
    prior = model.prior(tf.constant(y))
    epsilon = noise.normal(100, 1, 2, key=noise.key(0, "prediction"))
    z = prior.mean() + prior.stddev() * epsilon
    by_hand = np.mean(model.likelihood(tf.constant(y), z).mean(), 0)
    np.testing.assert_allclose(model.predict(y, verbose=0), by_hand, rtol=2e-5)


# What Keras's users count on ------------------------------------------------------------------


@pytest.mark.parametrize("model_class", [*MODELS, GSNN])
def test_a_call_of_the_model_is_predict(model_class):
    """`model(x)`: an AttributeError once."""
    model, data = small_model(model_class), small_data(model_class)
    given = dict(zip(model.data_names, data, strict=True))[model.predicts_from[0]]
    expected = model.predict(given, verbose=0)
    np.testing.assert_allclose(model(given), expected, rtol=1e-5)
    np.testing.assert_allclose(model(tf.constant(given)), expected, rtol=1e-5)
    np.testing.assert_allclose(model.predict_on_batch(given), expected, rtol=1e-5)


def test_evaluate_begins_with_the_loss_and_names_what_it_gives():
    model, data = small_model(VAE, penalty=penalties.Beta(3.0)), small_data(VAE)
    model.compile(jit_compile=False)
    values = model.evaluate(*data, verbose=0)
    logs = model.evaluate(*data, verbose=0, return_dict=True)
    assert model.metrics_names == list(logs) == ["loss", "elbo", "reconstruction", "kl"]
    assert values == list(logs.values()) and values[0] == logs["loss"] != -logs["elbo"]


@pytest.mark.parametrize("model_class", [VAE, CVAE1])
def test_weights_count_in_evaluation_and_in_validation(model_class):
    """Where there is no y they come third, after None."""
    model, data = small_model(model_class), small_data(model_class)
    w = np.linspace(0, 2, 50).astype("float32")
    model.compile(keras.optimizers.SGD(0.0), jit_compile=False)
    elbo = np.asarray(model.bound(*data).elbo)
    expected, plain = np.average(elbo, weights=w), elbo.mean()
    assert abs(expected - plain) > 1e-3
    given = data if len(data) == 2 else (data[0], None)
    history = model.fit(*data, validation_data=(*given, w), verbose=0).history
    logs = model.evaluate(*data, sample_weight=w, return_dict=True, verbose=0)
    stream = model.evaluate(iter([(*given, w)]), return_dict=True, verbose=0)
    for value in (history["val_elbo"][0], logs["elbo"], stream["elbo"]):
        np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(logs["loss"], -np.mean(w * elbo), rtol=1e-5)


def test_accumulated_gradients_have_noise_of_their_own():
    """ε is of the batches seen: the optimiser's step stands still while gradients add up."""
    seen = []

    class Recorder(VAE):
        def training_noise(self, batch_size):
            epsilon = super().training_noise(batch_size)
            tf.py_function(lambda e: seen.append(e.numpy()), [epsilon], [])
            return epsilon

    model, (x,) = small_model(Recorder), small_data(VAE, num_rows=32)
    optimizer = keras.optimizers.Adam(0.01, gradient_accumulation_steps=4)
    model.compile(optimizer, jit_compile=False)
    model.fit(x, batch_size=8, epochs=2, verbose=0)
    assert len(seen) == int(model.batches_seen) == 8
    differences = [np.abs(a - b).min() for i, a in enumerate(seen) for b in seen[:i]]
    assert min(differences) > 0


def test_dropout_after_loading_begins_anew_as_keras_has_it_and_else_goes_the_same_way(tmp_path):
    """Keras does not save a seed's state (docs/distributed.md says so); all else goes on."""
    family = Bernoulli()
    nets = networks.mlps(VAE, x=6, z=2, hidden=(8,), family=family)
    layers = [keras.Input((6,)), keras.layers.Dropout(0.5, seed=7), keras.layers.Dense(4)]
    nets["posterior_net"] = keras.Sequential(layers)
    model, (x,) = VAE(**nets, family=family), small_data(VAE)
    model.compile(keras.optimizers.Adam(0.01), jit_compile=False)
    model.fit(x, batch_size=10, verbose=0)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    states = [m.posterior_net.layers[0].seed_generator.state for m in (model, loaded)]
    assert np.array_equal(states[1], [7, 0]) and not np.array_equal(states[0], [7, 0])
    states[1].assign(states[0])
    one, other = (m.fit(x, batch_size=10, epochs=2, verbose=0).history for m in (model, loaded))
    for name, values in one.items():
        np.testing.assert_allclose(other[name], values, rtol=1e-5, err_msg=name)


def test_a_frozen_model_can_be_fitted_and_moves_nothing():
    model, (x,) = small_model(VAE), small_data(VAE)
    model.trainable = False
    before = model.get_weights()
    model.compile(jit_compile=False)
    model.fit(x, verbose=0)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_sampler_is_exported(tmp_path):
    """What `predict` gives, as a SavedModel that needs nothing of this package."""
    model, (_, y) = small_model(CVAE1), small_data(CVAE1)
    signature = [tf.TensorSpec([None, 4], tf.float32)]
    model.export(str(tmp_path / "model"), verbose=False, input_signature=signature)
    exported = tf.saved_model.load(str(tmp_path / "model"))
    served = exported.serve(tf.constant(y))
    np.testing.assert_allclose(served, model.predict(y, verbose=0), rtol=1e-5)


def test_weights_in_hdf5(tmp_path):
    """Of a whole model Keras reads .keras alone; weights it reads from HDF5 too."""
    model, (x,) = small_model(VAE), small_data(VAE)
    model.save_weights(tmp_path / "m.weights.h5")
    other = small_model(VAE, seed=1)
    other.seed = model.seed
    other.load_weights(tmp_path / "m.weights.h5")
    np.testing.assert_array_equal(other.bound(x).value, model.bound(x).value)


def test_numpy_integers_are_integers():
    model, data = small_model(CVAE1), small_data(CVAE1)
    one = model.log_likelihood(*data, num_samples=10, batch_size=7, seed=1)
    many = {"num_samples": np.int64(10), "batch_size": np.int32(7), "seed": np.int8(1)}
    np.testing.assert_array_equal(one, model.log_likelihood(*data, **many))
    vae = small_model(VAE, estimator=SGVBA(np.int64(2)), seed=3)
    np.testing.assert_array_equal(vae.generate(np.int64(3)), vae.generate(3))


X, Y = small_data(CVAE1, num_rows=12)
DECODED = np.zeros((12, 2), "float32")
REFUSED = {
    "a count for a condition": (lambda m, v: m.generate(7), r"Expected \(N, 4\)|y \(in generate"),
    "rows for a count": (lambda m, v: v.generate(X), "the number of observations"),
    "none": (lambda m, v: v.generate(0), "the number of observations=0"),
    "fewer": (lambda m, v: v.generate(-3), "the number of observations=-3"),
    "half": (lambda m, v: v.generate(2.5), "the number of observations=2.5"),
    "in words": (lambda m, v: v.generate("3"), "the number of observations='3'"),
    "a seed of words": (lambda m, v: v.generate(3, seed="1"), "seed='1'"),
    "half a seed": (lambda m, v: v.generate(3, seed=0.5), "seed=0.5"),
    "sample": (lambda m, v: v.generate(3, sample="yes"), "sample='yes'"),
    "x and y to predict": (lambda m, v: m.predict([X, Y], verbose=0), r"2 variables.*\(y\)"),
    "no samples": (lambda m, v: m.log_likelihood(X, Y, num_samples=0), "num_samples=0"),
    "samples": (lambda m, v: m.log_likelihood(X, Y, num_samples="10"), "num_samples='10'"),
    "method": (lambda m, v: m.log_likelihood(X, Y, method="elbo"), '"importance" or "prior"'),
    "batch": (lambda m, v: m.log_likelihood(X, Y, batch_size=-1), "batch_size=-1"),
    "z of another width": (lambda m, v: v.decode(DECODED[:, :1]), r"Expected \(…, N, 2\)"),
    "z without rows": (lambda m, v: v.decode(DECODED[0]), r"Expected \(…, N, 2\)"),
    "z beside fewer rows": (lambda m, v: m.decode(DECODED, Y[:5]), "beside 5 rows of y"),
    "z alone": (lambda m, v: m.decode(DECODED), "y"),
    "NaN in z": (lambda m, v: v.decode(DECODED * np.nan), "NaN"),
    "grey in bound": (lambda m, v: v.bound(255 * X), r"outside \[0, 1\]"),
    "NaN in bound": (lambda m, v: v.bound(X * np.nan), "NaN"),
    "NaN in predict": (lambda m, v: v.predict(X * np.nan, verbose=0), "NaN"),
    "grey in encode": (lambda m, v: v.encode(255 * X), r"outside \[0, 1\]"),
    "unpaired": (lambda m, v: m.bound(X, Y[:1]), "different numbers"),
    "unpaired in reconstruct": (lambda m, v: m.reconstruct(X, Y[:1]), "different numbers"),
    "grey in diagnostics": (lambda m, v: diagnostics.active_units(v, 255 * X), "outside"),
    "NaN in use": (lambda m, v: diagnostics.use(m, X, Y * np.nan), "NaN"),
    "grey in the gap": (lambda m, v: evaluation.gap(v, 255 * X), "outside"),
    "unpaired in the gap": (lambda m, v: evaluation.gap(m, X, Y[:1]), "different numbers"),
    "restart with too few": (
        lambda m, v: (v.compile(), v.restart(v.get_weights()[:-1])),
        "weights",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_used_is_refused_wherever_it_comes_in(name):
    use, message = REFUSED[name]
    with pytest.raises((ValueError, TypeError), match=f"(?s){message}"):
        use(small_model(CVAE1), small_model(VAE))


def test_a_torch_tensor_is_an_array():
    class Torch:
        """As much of a tensor as is needed; with a gradient it is no array until detached."""

        def detach(self):
            return self

        def cpu(self):
            return X

        def __array__(self, *_, **__):
            raise RuntimeError("Can't call numpy() on a tensor that requires grad")

    model = small_model(VAE)
    np.testing.assert_array_equal(model.bound(Torch()).value, model.bound(X).value)


def test_what_a_step_logs_is_a_number_and_not_a_row_of_one():
    """Replicas' logs are joined end to end; one device has nothing to join."""
    model = small_model(VAE)
    model.compile(jit_compile=False)
    logs = model.train_step((tf.constant(small_data(VAE)[0]),))
    assert set(logs) == {"loss", "elbo", "reconstruction", "kl"}
    assert all(value.shape == () for value in logs.values())


@pytest.mark.parametrize("model_class", [VAE, CVAE1, GSNN, M2])
@pytest.mark.parametrize("sample", [False, True])
def test_several_draws_for_each_row(model_class, sample):
    """[S, B, …]: each of another z, a function of seed and row; their mean is p(·|given)'s."""
    model, data = small_model(model_class), small_data(model_class)
    given = {VAE: 5, CVAE1: data[-1][:5], GSNN: data[0][:5], M2: np.arange(5) % 4}[model_class]
    draws = model.generate(given, num_samples=400, sample=sample)
    assert draws.shape == (400, 5, *model.shapes[model.observed])
    np.testing.assert_array_equal(draws, model.generate(given, num_samples=400, sample=sample))
    assert len(np.unique(draws[:, 0], axis=0)) > (3 if sample else 390)
    other = model.generate(given, num_samples=400, sample=sample, seed=1)
    assert np.abs(draws - other).max() > 0.01
    np.testing.assert_allclose(draws.mean(0), other.mean(0), atol=0.15)
    one = model.generate(given, sample=sample)
    assert one.shape == draws.shape[1:]
    with pytest.raises(ValueError, match="num_samples=0"):
        model.generate(given, num_samples=0)


def test_draws_have_the_prior_s_mean_and_scale():
    """The decoder shows z itself."""
    model, (_, y) = small_model(CVAE1, hidden=(), family=Gaussian(1.0), x=2), small_data(CVAE1)
    model.likelihood_net.set_weights(
        [np.concatenate([np.zeros((4, 2)), np.eye(2)]), np.zeros(2)]
    )
    z = model.generate(y[:3], num_samples=4000)
    prior = model.prior(model.tensor(y[:3]))
    np.testing.assert_allclose(z.mean(0), prior.mean(), atol=5 / np.sqrt(4000))
    np.testing.assert_allclose(z.std(0), prior.stddev(), rtol=0.06)


def test_a_likelihood_without_a_rule_is_drawn_by_its_own_sampler():
    from cvae_tf import distributions

    class Counts(distributions.Family):
        def call(self, raw):
            return self.independent(distributions.tfd.Poisson(rate=5 + tf.nn.softplus(raw)))

    model = small_model(VAE, family=Counts())
    draws = model.generate(3, num_samples=50, sample=True)
    assert draws.shape == (50, 3, 6) and np.all(draws == np.round(draws))
    mean = model.generate(3, num_samples=50)
    np.testing.assert_allclose(draws.mean((0, 1)), mean.mean((0, 1)), atol=5 * np.sqrt(7 / 150))
    assert model.generate(3, sample=True).shape == (3, 6)


# Noise and places, by hand -----------------------------------------------------------------------


def test_what_a_model_draws_is_a_function_of_the_seed_by_hand():
    """Three latent dimensions: of two, a second draw would be in the same count of the stream."""
    model, data = small_model(CVAE1, z=3), small_data(CVAE1, num_rows=6)
    x, y = map(tf.constant, data)

    def normal(purpose, num=1):
        return noise.normal(num, 6, 3, key=noise.key(5, purpose))

    q, prior = model.posterior(x, y), model.prior(y)
    z = q.mean() + q.stddev() * normal("encoding")[0]
    np.testing.assert_allclose(model.encode(*data, sample=True, seed=5), z, rtol=1e-5)
    np.testing.assert_array_equal(model.encode(*data), q.mean())
    p = model.likelihood(y, q.mean()).mean()
    np.testing.assert_allclose(model.reconstruct(*data), p, rtol=1e-5)
    np.testing.assert_allclose(model.decode(q.mean(), data[1]), p, rtol=1e-5)
    for num in (None, 2):
        z = prior.mean() + prior.stddev() * normal("generation", num or 1)
        p = model.likelihood(y, z if num else z[0]).mean().numpy()
        mean = model.generate(data[1], num_samples=num, seed=5)
        np.testing.assert_allclose(mean, p, rtol=1e-5)
        drawn = model.generate(data[1], num_samples=num, seed=5, sample=True)
        u = noise.normal(num or 1, 6, 6, key=noise.key(5, "observation"))
        u = 0.5 * (1 + tf.math.erf(u / np.sqrt(2))).numpy()
        np.testing.assert_array_equal(drawn, (u if num else u[0]) < p)
    tail = model.generated({"y": y[4:]}, (2, 2), seed=5, sample=False, first_row=4)
    np.testing.assert_allclose(tail, p[:, 4:], rtol=1e-5)
    by_hand = np.mean(model.likelihood(y, prior.mean() + prior.stddev() * noise.normal(
        4, 1, 3, key=noise.key(5, "prediction"))).mean(), 0)  # fmt: skip
    np.testing.assert_allclose(model.mean_over_prior(y, 4, seed=5), by_hand, rtol=1e-5)
    np.testing.assert_allclose(model.mean_over_prior({"y": y}, 4, seed=5), by_hand, rtol=1e-5)


def test_where_the_noise_of_each_use_is():
    """Training by the batches seen, evaluation by the row, the uses of a trained model nowhere."""
    seen = []

    class Watched(VAE):
        def factors_see(self, *data, place):
            at = None if place is None else Place(place[0], *(int(n) for n in place[1:]))
            seen.append(at)
            return super().factors_see(*data, place=place)

    model, (x,) = small_model(Watched), small_data(VAE, num_rows=20)
    model.compile(run_eagerly=True)
    model.fit(x, batch_size=8, verbose=0)
    assert seen == [Place("training", step, 0) for step in range(3)]
    seen.clear()
    for _ in range(2):
        model.evaluate(x, batch_size=8, verbose=0)
    assert seen == 2 * [Place("evaluation", 0, row) for row in (0, 8, 16)]
    seen.clear()
    model.log_likelihood(x, num_samples=3, batch_size=8)
    assert seen == [Place("evaluation", 0, row) for row in (0, 8, 16)]
    seen.clear()
    model.encode(x), model.reconstruct(x)
    assert seen == [None, None]


def test_a_step_by_itself_counts_one_batch_and_an_evaluation_its_rows():
    model, (x,) = small_model(VAE), small_data(VAE, num_rows=7)
    model.compile(jit_compile=False)
    for _ in range(2):
        model.train_step((tf.constant(x),))
    assert int(model.batches_seen) == 2
    model.reset_metrics()
    first = model.test_step((tf.constant(x[:3]),))
    epsilon = model.evaluation_noise(7)
    one, both = (model.bound(x[:n], noise=epsilon[:, :n]).value for n in (3, 7))
    np.testing.assert_allclose(first["loss"], -np.mean(one), rtol=1e-5)
    np.testing.assert_allclose(
        model.test_step((tf.constant(x[3:]),))["loss"], -np.mean(both), rtol=1e-5
    )
    np.testing.assert_array_equal(model.evaluation_noise(3, 4), epsilon[:, 4:])


def test_a_replica_s_rows_have_their_places_in_the_global_batch(monkeypatch):
    """Three rows of ten, from the fifth on: their noise, their share, and the rows seen."""
    model, (x,) = small_model(VAE, seed=3), tf.constant(small_data(VAE, num_rows=3))
    model.compile(jit_compile=False)
    monkeypatch.setattr(base, "place_in_global_batch", lambda size: (4, tf.constant(10)))
    for first in (4, 14):
        bound = model.bound(x, noise=model.evaluation_noise(3, first)).value
        logs = model.test_step((x,))
        model._terms.reset_state()
        np.testing.assert_allclose(logs["loss"], -np.mean(bound), rtol=1e-5)
    losses = tf.constant([1.0, 2.0, 3.0])
    assert float(model.mean_loss(losses, None)) == pytest.approx(0.6)
    assert tuple(map(int, model.training_place(3)[1:])) == (0, 4) and model.seed == 3
    epsilon = noise.normal(1, 3, 2, key=noise.key(3, "training"), first_row=4)
    np.testing.assert_allclose(model.training_noise(3), epsilon, rtol=1e-6)


def test_what_evaluation_reports_is_the_evaluation_s_objective():
    class Two(VAE):
        def objective(self, *data, noise):
            loss, bound = super().objective(*data, noise=noise)
            return loss + 100, bound

        def evaluation_objective(self, *data, noise):
            loss, bound = super().objective(*data, noise=noise)
            return loss + 1000, bound

    model, (x,) = small_model(Two), small_data(VAE)
    model.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    plain = -float(tf.reduce_mean(model.bound(x).value))
    assert model.evaluate(x, verbose=0)[0] == pytest.approx(1000 + plain, rel=1e-5)
    assert 90 < model.train_on_batch(x)[0] < 200


def test_a_replica_has_its_share_of_the_networks_losses_and_logs_a_row(monkeypatch):
    """Replicas' losses add up; their logs are joined end to end."""
    model, (x,) = small_model(VAE), small_data(VAE)
    model.posterior_net.layers[-1].kernel.regularizer = keras.regularizers.L2(1.0)
    model.compile(jit_compile=False)
    penalty = float(tf.reduce_sum(model.posterior_net.layers[-1].kernel ** 2))
    losses, bound = model.objective(tf.constant(x), noise=model.evaluation_noise(50))
    mean = float(tf.reduce_mean(losses))
    assert float(model.mean_loss(losses, None)) == pytest.approx(mean + penalty, rel=1e-5)
    two = SimpleNamespace(num_replicas_in_sync=2)
    with monkeypatch.context() as patch:
        patch.setattr(tf.distribute, "get_strategy", lambda: two)
        assert float(model.mean_loss(losses, None)) == pytest.approx(mean + penalty / 2, rel=1e-5)
    weighted = model.mean_loss(losses, 2 * tf.ones([50]))
    assert float(weighted) == pytest.approx(2 * mean + penalty, rel=1e-5)
    model._distribute_strategy = two
    logs = model.log(losses, bound, None)
    assert {name: value.shape.as_list() for name, value in logs.items()} == {
        name: [1] for name in model.metrics_names
    }
    assert float(logs["loss"][0]) == pytest.approx(mean + penalty, rel=1e-5)


@pytest.mark.parametrize(
    ("rows", "num_samples", "batch_size", "chunks"),
    [(50, 100, None, (16, 100)), (50, 101, None, (31, 51)), (1700, 1, None, (1600, 1)),
     (5, 100, None, (5, 100)), (50, 100, 7, (7, 100)), (5, 100, 7, (5, 100))],
)  # fmt: skip
def test_a_log_likelihood_is_computed_in_pieces_that_fit_the_memory(
    rows, num_samples, batch_size, chunks, monkeypatch
):
    """1600 rows of z at most; a program of its own for each size; compiled by XLA where it may."""
    model, seen = small_model(VAE), []

    def program(name, function, jit_compile=False):
        seen.append((name, jit_compile))
        return function

    monkeypatch.setattr(model, "program", program)
    x = np.resize(small_data(VAE)[0], (rows, 6))
    values = model.log_likelihood(x, num_samples=num_samples, batch_size=batch_size)
    size, draws = chunks
    name = f"log-likelihood by importance, {size} rows, {draws} draws at once"
    assert seen == [(name, True)] and values.shape == (rows,)


def test_the_log_likelihood_by_the_prior_by_hand():
    model, data = small_model(CVAE1, z=3), small_data(CVAE1, num_rows=5)
    x, y = map(tf.constant, data)
    prior, key = model.prior(y), noise.key(4, "log-likelihood")
    z = prior.mean() + prior.stddev() * noise.normal(7, 5, 3, key=key)
    expected = log_mean_exp(model.likelihood(y, z).log_prob(x))
    found = model.log_likelihood(*data, num_samples=7, method="prior", seed=4)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_condition_that_the_likelihood_does_not_see_may_be_left_out_and_is_checked():
    model, (_, y) = small_model(CMMA), small_data(CMMA, num_rows=5)
    z = np.random.default_rng(0).normal(size=(5, 2))
    np.testing.assert_array_equal(model.decode(z), model.decode(z, y))
    np.testing.assert_allclose(model.decode(z), model.likelihood(tf.constant(z)).mean(), rtol=1e-5)
    with pytest.raises(ValueError, match=r"y .in decode.*expects \(N, 4\)"):
        model.decode(z, y[:, :3])


@pytest.mark.parametrize("use", ["encode", "reconstruct"])
def test_a_class_is_needed_where_z_is_inferred_and_0_is_one(use):
    model, (x, y) = small_model(M2), labelled_data(8, labelled=8)
    assert (y == 0).any() and np.isfinite(getattr(model, use)(x, y)).all()
    with pytest.raises(ValueError, match="has the label −1"):
        getattr(model, use)(x, np.where(y == 0, -1, y))


def test_a_model_without_a_latent_has_one_draw():
    assert BoundModel.num_samples == 1


LIMITS = {  # what uses it, what is refused, what is taken
    "num_samples": (lambda m, v: m.log_likelihood(X, Y, num_samples=v), [0], [1]),
    "batch_size": (lambda m, v: m.log_likelihood(X, Y, num_samples=1, batch_size=v), [0], [1]),
    "seed": (lambda m, v: m.encode(X, Y, sample=True, seed=v), [0.5], [-1]),
}


@pytest.mark.parametrize("name", LIMITS)
def test_an_argument_out_of_range_is_refused(name):
    use, refused, taken = LIMITS[name]
    model = small_model(CVAE1)
    check_limits(lambda v: use(model, v), name, refused, taken)


def test_what_a_model_of_one_variable_encodes_has_its_rows():
    model, (x,) = small_model(VAE), small_data(VAE, num_rows=5)
    q = model.posterior(tf.constant(x))
    epsilon = noise.normal(1, 5, model.latent_dim, key=noise.key(3, "encoding"))[0]
    z = q.mean() + q.stddev() * epsilon
    np.testing.assert_allclose(model.encode(x, sample=True, seed=3), z, rtol=1e-5)
