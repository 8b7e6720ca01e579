"""Keras's habits hold: fit, evaluate, predict, callbacks, weights, saving, seeds."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from requirements_of_a_model import GRAPH, in_a_fresh_process, small_data, small_model

from cvae_tf import CMMA, CVAE1, CVAE2, VAE, networks
from cvae_tf.distributions import Bernoulli
from cvae_tf.programs import Program


def weights(model):
    return np.concatenate([w.numpy().ravel() for w in model.trainable_variables])


def fitted(
    model_class=CVAE1, *, epochs=3, batch_size=8, compile_options=None, seed=0, **fit_options
):
    """A small model after `fit`; without XLA, whose compilation takes longest, unless asked for."""
    model = small_model(model_class, seed=seed)
    compile_options = {"jit_compile": False} if compile_options is None else compile_options
    model.compile(keras.optimizers.Adam(0.01), **compile_options)
    data = small_data(model_class, num_rows=53)
    history = model.fit(*data, epochs=epochs, batch_size=batch_size, verbose=0, **fit_options)
    return model, history.history


@pytest.fixture(scope="module")
def compiled_by_default():
    return fitted(epochs=8, compile_options={})


def test_same_seed_same_history_with_or_without_validation():
    model, history = fitted()
    again, history_again = fitted()
    assert history == history_again
    np.testing.assert_array_equal(weights(model), weights(again))
    validated, with_validation = fitted(validation_data=small_data(CVAE1, seed=9))
    np.testing.assert_array_equal(weights(model), weights(validated))
    assert {k: v for k, v in with_validation.items() if not k.startswith("val_")} == history
    assert set(with_validation) - set(history) == {
        "val_loss",
        "val_elbo",
        "val_reconstruction",
        "val_kl",
    }
    other, _ = fitted(seed=1)
    assert np.abs(weights(model) - weights(other)).max() > 0


@pytest.mark.parametrize(
    "options",
    [
        {"steps_per_execution": 1, "jit_compile": False},
        {"steps_per_execution": 3},
        {"jit_compile": False},
        {"run_eagerly": True},
    ],
    ids=str,
)
def test_the_fast_path_is_the_stepwise_path(compiled_by_default, options):
    """Over 50 steps and more, with short last batches, parameters agree to 1e-4 and better."""
    fast, fast_history = compiled_by_default
    slow, slow_history = fitted(epochs=8, compile_options=options)
    assert int(fast.optimizer.iterations) == int(slow.optimizer.iterations) == 8 * 7
    difference = np.abs(weights(fast) - weights(slow)).max() / np.abs(weights(slow)).max()
    assert difference < 1e-4
    for name, values in fast_history.items():
        np.testing.assert_allclose(values, slow_history[name], rtol=1e-4, atol=1e-5)


def test_many_programs_are_no_frequent_retracing(caplog):
    """TensorFlow counts the tracings of one piece of code, whichever model it is traced for."""
    logger, one = tf.get_logger(), tf.constant(1.0)
    logger.addHandler(caplog.handler)
    try:
        for _ in range(8):
            assert float(Program(lambda a: a + 1, jit_compile=False, optional=False)(one)) == 2
    finally:
        logger.removeHandler(caplog.handler)
    assert "retracing" not in caplog.text


def test_datasets_and_arrays_train_alike():
    """The same batches in the same order, with blocks of unequal length in between."""
    x, y = small_data(CVAE1, num_rows=53)
    model, history = fitted(shuffle=False)
    other = small_model(CVAE1)
    other.compile(keras.optimizers.Adam(0.01), steps_per_execution=3, jit_compile=False)
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(8)
    from_dataset = other.fit(dataset, epochs=3, verbose=0).history
    np.testing.assert_allclose(weights(model), weights(other), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(history["elbo"], from_dataset["elbo"], rtol=1e-5)


def test_every_example_once_per_epoch_in_a_new_order():
    """Seen by a step that records what it is given."""
    seen = []

    class Recorder(VAE):
        def train_step(self, data):
            tf.py_function(lambda x: seen.append(x.numpy()), [data[0]], [])
            return super().train_step(data)

    model = small_model(Recorder)
    model.compile(jit_compile=False)
    x = np.eye(6, dtype="float32")[np.arange(53) % 6] * np.linspace(0.1, 1, 53)[:, None].astype(
        "float32"
    )
    model.fit(x, epochs=2, batch_size=8, verbose=0)
    assert [len(batch) for batch in seen] == [8] * 6 + [5] + [8] * 6 + [5]
    epochs = [np.concatenate(seen[:7]).max(1), np.concatenate(seen[7:]).max(1)]
    for epoch in epochs:
        np.testing.assert_allclose(np.sort(epoch), x.max(1), rtol=1e-6)
    assert not np.array_equal(*epochs)


def test_two_short_fits_are_one_long_one():
    long, _ = fitted(epochs=4)
    short, _ = fitted(epochs=2)
    short.fit(*small_data(CVAE1, num_rows=53), epochs=2, batch_size=8, verbose=0)
    np.testing.assert_allclose(weights(long), weights(short), rtol=1e-5, atol=1e-6)


def test_an_overridden_train_step_is_what_trains():
    """On the fast path too: a step that does nothing leaves the parameters, and logs its own."""

    class Lazy(CVAE1):
        def train_step(self, data):
            self.optimizer.iterations.assign_add(1)
            return {"mine": tf.cast(self.optimizer.iterations, tf.float32)}

    model = small_model(Lazy)
    model.compile()
    before = weights(model)
    history = model.fit(*small_data(CVAE1, num_rows=53), epochs=2, batch_size=8, verbose=0)
    np.testing.assert_array_equal(weights(model), before)
    assert history.history["mine"] == [7, 14]


def test_a_step_by_hand_is_the_library_step():
    """AEVB written out, (2.5), gives the library's parameters."""
    model, other = small_model(CMMA), small_model(CMMA)
    (x, y), optimizer = small_data(CMMA), keras.optimizers.Adam(0.01)
    model.compile(keras.optimizers.Adam(0.01))
    model.train_on_batch(x, y)
    optimizer.build(other.trainable_variables)
    other.compile(optimizer)
    epsilon = other.training_noise(len(x))
    with tf.GradientTape() as tape:
        q, p = other.posterior(x, y), other.prior(y)
        z = q.mean() + q.stddev() * epsilon[0]
        kl = tf.reduce_sum(
            tf.math.log(p.stddev() / q.stddev())
            + (q.variance() + (q.mean() - p.mean()) ** 2) / (2 * p.variance())
            - 0.5,
            -1,
        )
        loss = tf.reduce_mean(kl - other.likelihood(z).log_prob(x))
    gradients = tape.gradient(loss, other.trainable_variables)
    optimizer.apply_gradients(zip(gradients, other.trainable_variables, strict=True))
    np.testing.assert_allclose(weights(model), weights(other), rtol=1e-4, atol=1e-5)


def test_sample_weight():
    """Loss Σwℓ/B in the gradient, Σwℓ/Σw in the metrics; `evaluate` likewise."""
    x, y = small_data(CVAE2, num_rows=20)
    w = np.linspace(0, 2, 20).astype("float32")
    model = small_model(CVAE2)
    model.compile(keras.optimizers.SGD(0.1))
    bound = model.bound(x, y)
    logs = model.evaluate(x, y, sample_weight=w, batch_size=7, return_dict=True, verbose=0)
    np.testing.assert_allclose(logs["elbo"], np.sum(w * bound.elbo) / w.sum(), rtol=1e-5)
    np.testing.assert_allclose(logs["loss"], np.sum(-w * bound.value) / 20, rtol=1e-5)

    epsilon = model.training_noise(20)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(-w * model.bound(x, y, noise=epsilon).value) / 20
    expected = [
        v.numpy() - 0.1 * g.numpy()
        for v, g in zip(
            model.trainable_variables, tape.gradient(loss, model.trainable_variables), strict=True
        )
    ]
    model.fit(x, y, sample_weight=w, batch_size=20, shuffle=False, verbose=0)
    for variable, value in zip(model.trainable_variables, expected, strict=True):
        np.testing.assert_allclose(variable, value, rtol=1e-4, atol=1e-6)


def test_networks_train_in_training_mode_and_their_losses_count():
    """Dropout of everything, noise and a regulariser: on in `train_step`, off in `evaluate`."""
    modes = []

    class Mode(keras.layers.Layer):
        def call(self, inputs, training=None):
            modes.append(bool(training))
            return inputs * 0.0 if training else inputs

    family = Bernoulli()
    nets = networks.mlps(VAE, x=6, z=2, hidden=(8,), family=family)
    inputs = keras.Input((2,))
    hidden = keras.layers.Dense(8, kernel_regularizer=keras.regularizers.L2(3.0), use_bias=False)(
        inputs
    )
    nets["likelihood_net"] = keras.Model(inputs, keras.layers.Dense(6)(Mode()(hidden)))
    model = VAE(**nets, family=family)
    model.compile(keras.optimizers.SGD(0.0))
    (x,) = small_data(VAE, num_rows=16)
    regulariser = 3.0 * float(tf.reduce_sum(model.likelihood_net.layers[1].kernel ** 2))
    modes.clear()
    history = model.fit(x, batch_size=16, verbose=0).history
    assert modes and all(modes)
    np.testing.assert_allclose(history["loss"][0], regulariser - history["elbo"][0], rtol=1e-5)
    np.testing.assert_allclose(history["reconstruction"][0], -6 * np.log(2), rtol=1e-5)
    modes.clear()
    logs = model.evaluate(x, return_dict=True, verbose=0)
    assert modes and not any(modes)
    assert abs(logs["reconstruction"] + 6 * np.log(2)) > 1e-3
    before = model.likelihood_net.layers[1].kernel.numpy()
    model.compile(keras.optimizers.SGD(0.01))
    model.fit(x, batch_size=16, verbose=0)
    np.testing.assert_allclose(
        model.likelihood_net.layers[1].kernel, before * (1 - 0.06), rtol=1e-5
    )


def test_dropout_and_batch_normalisation_learn():
    """Layers with a state of their own work inside the compiled loop."""
    family = Bernoulli()
    nets = networks.mlps(VAE, x=6, z=2, hidden=(8,), family=family)
    nets["posterior_net"] = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.GaussianNoise(0.1),
            keras.layers.Dense(8),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(4),
        ]
    )
    model = VAE(**nets, family=family)
    model.compile(keras.optimizers.Adam(0.01))
    (x,) = small_data(VAE, num_rows=53)
    history = model.fit(x, batch_size=8, epochs=3, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert np.abs(nets["posterior_net"].layers[2].moving_mean.numpy()).max() > 0


def test_callbacks(tmp_path):
    model = small_model(CVAE1)
    model.compile(keras.optimizers.Adam(0.01))
    data, validation = small_data(CVAE1), small_data(CVAE1, seed=5)
    best = tmp_path / "best.keras"
    steps = []
    history = model.fit(
        *data,
        epochs=30,
        batch_size=10,
        validation_data=validation,
        verbose=0,
        callbacks=[
            keras.callbacks.EarlyStopping("val_elbo", mode="max", patience=0, min_delta=1e3),
            keras.callbacks.ModelCheckpoint(best, "val_elbo", mode="max", save_best_only=True),
            keras.callbacks.TensorBoard(tmp_path / "logs"),
            keras.callbacks.LambdaCallback(
                on_train_batch_end=lambda batch, logs: steps.append(batch)
            ),
        ],
    )
    assert len(history.history["val_elbo"]) == 2, "early stopping did not stop"
    assert steps == 2 * [0, 1, 2, 3, 4], "a callback of one's own sees every batch"
    assert list((tmp_path / "logs").rglob("events*"))
    stored = keras.saving.load_model(best).evaluate(*validation, return_dict=True, verbose=0)
    np.testing.assert_allclose(stored["elbo"], max(history.history["val_elbo"]), rtol=1e-5)


def test_validation_split_is_the_last_rows():
    x, y = small_data(CVAE1, num_rows=50)
    model, other = small_model(CVAE1), small_model(CVAE1)
    for m in (model, other):
        m.compile()
    split = model.fit(x, y, validation_split=0.2, batch_size=8, verbose=0).history
    given = other.fit(
        x[:40], y[:40], validation_data=(x[40:], y[40:]), batch_size=8, verbose=0
    ).history
    assert split == given


def test_evaluate_twice_and_in_other_batches():
    model = small_model(CVAE1)
    model.compile()
    data = small_data(CVAE1, num_rows=53)
    one = model.evaluate(*data, return_dict=True, verbose=0)
    assert one == model.evaluate(*data, return_dict=True, verbose=0)
    dataset = tf.data.Dataset.from_tensor_slices(data).batch(9)
    for other in (
        model.evaluate(*data, batch_size=10, return_dict=True, verbose=0),
        model.evaluate(dataset, return_dict=True, verbose=0),
    ):
        for name, value in other.items():
            np.testing.assert_allclose(value, one[name], rtol=1e-5, atol=1e-6)


FRESH = """
import json, os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras, numpy as np
import cvae_tf
report = {}
folder = sys.argv[1]
for name in sys.argv[2:]:
    model = keras.saving.load_model(f"{folder}/{name}.keras")
    data = [d for _, d in sorted(np.load(f"{folder}/{name}.npz").items())]
    history = {}
    before = model.evaluate(*data, return_dict=True, verbose=0)
    history = model.fit(*data, epochs=1, batch_size=16, verbose=0).history
    report[name] = {
        "before": before,
        "history": history,
        "after": model.evaluate(*data, return_dict=True, verbose=0),
        "iterations": int(model.optimizer.iterations),
    }
print("REPORT" + json.dumps(report))
"""


def test_a_saved_model_goes_on_in_a_fresh_process(tmp_path):
    """Every model: same outputs, and the next epoch, optimiser state and all, is the same epoch."""
    expected = {}
    for model_class in GRAPH:
        name = model_class.__name__
        model, data = small_model(model_class), small_data(model_class)
        model.compile(keras.optimizers.Adam(0.01), steps_per_execution=1, jit_compile=False)
        model.fit(*data, epochs=2, batch_size=16, verbose=0)
        model.save(tmp_path / f"{name}.keras")
        np.savez(tmp_path / f"{name}.npz", *data)
        expected[name] = {
            "before": model.evaluate(*data, return_dict=True, verbose=0),
            "history": model.fit(*data, epochs=1, batch_size=16, verbose=0).history,
            "after": model.evaluate(*data, return_dict=True, verbose=0),
            "iterations": int(model.optimizer.iterations),
        }
    report = in_a_fresh_process(FRESH, tmp_path, *expected)
    for name, numbers in expected.items():
        assert report[name]["iterations"] == numbers["iterations"] == 12
        for part in ("before", "history", "after"):
            for key, value in numbers[part].items():
                np.testing.assert_allclose(report[name][part][key], value, rtol=1e-5, atol=1e-6)


def test_weights_files_hold_the_optimiser_too(tmp_path):
    model, _ = fitted()
    model.save_weights(tmp_path / "m.weights.h5")
    other = small_model(CVAE1, seed=4)
    other.seed = model.seed
    other.compile(keras.optimizers.Adam(0.01), jit_compile=False)
    other.optimizer.build(other.trainable_variables)
    other.load_weights(tmp_path / "m.weights.h5")
    data = small_data(CVAE1, num_rows=53)
    histories = [m.fit(*data, batch_size=8, verbose=0).history for m in (model, other)]
    assert histories[0] == histories[1]
