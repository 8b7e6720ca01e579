"""`ManyStepModel` by itself, on a plain regression: what Keras does, batch for batch."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from regression import (
    BATCHES,
    FEEDS,
    SIZE,
    START,
    Batches,
    ManyOwn,
    ManyStandard,
    PlainOwn,
    PlainStandard,
    W,
    X,
    Y,
    dataset,
    generator,
    made,
    weights,
)
from requirements_of_a_model import check_limits

from cvae_tf import training
from cvae_tf.training import ManyStepModel

PAIRS = [(ManyStandard, PlainStandard), (ManyOwn, PlainOwn)]
MANY = pytest.mark.parametrize("many", [ManyStandard, ManyOwn])
BOTH = pytest.mark.parametrize("kind", [ManyStandard, PlainStandard])


# The same as Keras ----------------------------------------------------------------------------


@pytest.mark.parametrize("pair", PAIRS, ids=["Keras's step", "own step"])
@pytest.mark.parametrize("feed", FEEDS)
def test_fit_is_that_of_keras(pair, feed):
    """Parameters, logs and number of steps, with the short batch at an epoch's end."""
    many, plain = (made(kind) for kind in pair)
    options = FEEDS[feed]()
    ours = many.fit(**options, verbose=0).history
    options = FEEDS[feed]()  # a generator of its own
    if feed in ("tf.data, unknown length", "generator"):  # at such an end Keras counts a step more
        options["x"] = dataset()
    theirs = plain.fit(**options, verbose=0).history
    assert int(many.optimizer.iterations) == int(plain.optimizer.iterations)
    assert int(many.batches_seen) == int(many.optimizer.iterations)
    np.testing.assert_allclose(weights(many), weights(plain), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours["loss"], theirs["loss"], rtol=1e-5)
    assert set(ours) == set(theirs)


@pytest.mark.parametrize("pair", PAIRS, ids=["Keras's step", "own step"])
def test_evaluate_predict_and_single_batches_are_those_of_keras(pair):
    many, plain = (made(kind) for kind in pair)
    for use in (
        lambda m: m.evaluate(X, Y, batch_size=SIZE, verbose=0),
        lambda m: m.evaluate(X, Y, sample_weight=W, batch_size=SIZE, verbose=0),
        lambda m: m.evaluate(dataset(), verbose=0, return_dict=True)["loss"],
        lambda m: m.evaluate(dataset(), steps=2, verbose=0),
        lambda m: m.predict(X, batch_size=SIZE, verbose=0),
        lambda m: m.predict(dataset().map(lambda x, y: x), steps=2, verbose=0),
        lambda m: m.predict_on_batch(X[:3]),
        lambda m: m.test_on_batch(X[:5], Y[:5]),
        lambda m: m.train_on_batch(X[:5], Y[:5]),
        lambda m: m.train_on_batch(X[:5], Y[:5], sample_weight=W[:5], return_dict=True)["loss"],
    ):
        ours, theirs = use(many), use(plain)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)
        assert np.shape(ours) == np.shape(theirs)
    np.testing.assert_allclose(weights(many), weights(plain), rtol=1e-5)


def test_metrics_given_to_compile_are_those_of_keras():
    models = [made(kind, metrics=["mae"]) for kind in (ManyStandard, PlainStandard)]
    options = FEEDS["arrays"]() | {"validation_data": (X[:9], Y[:9], W[:9]), "verbose": 0}
    ours, theirs = (m.fit(**options).history for m in models)
    assert set(ours) == set(theirs) == {"loss", "mae", "val_loss", "val_mae"}
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name], values, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("steps", [1, 3, 7, 9, 65, 130])
def test_steps_per_epoch_on_arrays_are_so_many_steps_and_the_rows_go_round(steps):
    """Below the data, beyond it, and beyond one compiled call: Keras on a repeated data set."""
    many, plain = made(ManyOwn), made(PlainOwn)
    options = {"steps_per_epoch": steps, "epochs": 2, "verbose": 0}
    ours = many.fit(X, Y, batch_size=SIZE, shuffle=False, **options).history
    theirs = plain.fit(dataset().repeat(), **options).history
    assert int(many.optimizer.iterations) == 2 * steps
    np.testing.assert_allclose(ours["loss"], theirs["loss"], rtol=1e-4)
    np.testing.assert_allclose(weights(many), weights(plain), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"steps_per_execution": 3}, {"steps_per_execution": 1}])
@pytest.mark.parametrize("feed", ["arrays", "tf.data, unknown length"])
def test_how_many_steps_a_call_runs_does_not_matter(feed, options):
    one, other = made(ManyOwn, run_eagerly=True), made(ManyOwn, **options)
    for model in (one, other):
        model.fit(**FEEDS[feed](), verbose=0)
    np.testing.assert_allclose(weights(one), weights(other), rtol=1e-5, atol=1e-6)


def test_a_shuffled_epoch_has_every_row_once_and_goes_on_where_it_was():
    """The order is a function of (seed, batches seen): two fits of one epoch are one of two."""
    long, short, other = made(ManyOwn), made(ManyOwn), made(ManyOwn)
    other.seed = 1
    long.fit(X, Y, batch_size=SIZE, epochs=2, verbose=0)
    for _ in range(2):
        short.fit(X, Y, batch_size=SIZE, verbose=0)
    other.fit(X, Y, batch_size=SIZE, epochs=2, verbose=0)
    np.testing.assert_allclose(weights(long), weights(short), rtol=1e-5)
    assert np.abs(weights(long) - weights(other)).max() > 1e-4
    mean = made(ManyOwn)
    mean.compile(keras.optimizers.SGD(0.0), jit_compile=False)
    loss = mean.fit(X, Y, batch_size=SIZE, verbose=0).history["loss"]
    np.testing.assert_allclose(loss, np.mean((X @ START[0] - Y) ** 2), rtol=1e-5)


def test_a_pydataset_is_shuffled_unless_told_otherwise():
    """By batches, as in Keras; two fits of an epoch see what one of two sees."""
    models = [made(ManyOwn) for _ in range(3)]
    models[0].fit(Batches(), epochs=2, verbose=0)
    for _ in range(2):
        models[1].fit(Batches(), verbose=0)
    models[2].fit(Batches(), epochs=2, shuffle=False, verbose=0)
    np.testing.assert_allclose(*map(weights, models[:2]), rtol=1e-5)
    assert np.abs(weights(models[0]) - weights(models[2])).max() > 1e-4


# Callbacks, stops and restarts ------------------------------------------------------------------


@MANY
def test_a_callback_of_batches_sees_and_steers_every_step(many):
    seen = []

    class Steer(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            self.model.optimizer.learning_rate = 0.01 * (batch + 1)

        def on_train_batch_end(self, batch, logs=None):
            seen.append((batch, int(self.model.optimizer.iterations), logs["loss"]))

    plain = PlainOwn if many is ManyOwn else PlainStandard
    models = [made(many), made(plain)]
    for model in models:
        model.fit(**FEEDS["arrays"](), verbose=0, callbacks=[Steer()])
    ours, theirs = np.array(seen, "float64").reshape(2, 3 * BATCHES, 3)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    np.testing.assert_allclose(*map(weights, models), rtol=1e-5, atol=1e-6)


class StopAfter(keras.callbacks.Callback):
    """Stop, or raise, after so many batches of training."""

    def __init__(self, batches, error=None):
        super().__init__()
        self.batches, self.error = batches, error

    def on_train_batch_end(self, batch, logs=None):
        self.batches -= 1
        if not self.batches:
            if self.error:
                raise self.error
            self.model.stop_training = True


@pytest.mark.parametrize("feed", ["arrays", "tf.data"])
def test_training_that_stops_in_an_epoch_ends_it_as_keras_does(feed):
    many, plain = made(ManyOwn), made(PlainOwn)
    ours, theirs = (
        m.fit(**FEEDS[feed](), verbose=0, callbacks=[StopAfter(10)]).history for m in (many, plain)
    )
    assert int(many.optimizer.iterations) == int(plain.optimizer.iterations) == 10
    np.testing.assert_allclose(ours["loss"], theirs["loss"], rtol=1e-5)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("no more")], ids=repr)
def test_an_interrupted_fit_leaves_a_model_that_goes_on(error):
    """The steps before it count, the next fit begins anew and compiles nothing wrong."""
    model, whole = made(ManyOwn), made(ManyOwn)
    with pytest.raises(type(error)):
        model.fit(**FEEDS["arrays"](), verbose=0, callbacks=[StopAfter(10, error)])
    assert int(model.batches_seen) == int(model.optimizer.iterations) == 10
    options = FEEDS["arrays"]() | {"verbose": 0, "epochs": 2}
    for m in (model, whole):
        if m is whole:
            m.fit(**(options | {"steps_per_epoch": 10, "epochs": 1}))
        m.fit(**options)
    np.testing.assert_allclose(weights(model), weights(whole), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shuffle", [True, False])
def test_backup_and_restore_ends_where_the_whole_run_does(tmp_path, shuffle):
    """Killed in the third epoch; a new model finds weights, optimiser, step and epoch again."""
    options = FEEDS["arrays"]() | {"verbose": 0, "shuffle": shuffle, "epochs": 4}
    whole, broken, resumed = (made(ManyOwn) for _ in range(3))
    whole.fit(**options)
    backup = tmp_path / "backup"
    with pytest.raises(RuntimeError):
        stop = StopAfter(2 * BATCHES + 3, RuntimeError())
        broken.fit(**options, callbacks=[keras.callbacks.BackupAndRestore(backup), stop])
    history = resumed.fit(**options, callbacks=[keras.callbacks.BackupAndRestore(backup)])
    assert history.epoch == [2, 3]
    assert int(resumed.batches_seen) == int(resumed.optimizer.iterations) == 4 * BATCHES
    np.testing.assert_allclose(weights(resumed), weights(whole), rtol=1e-5, atol=1e-6)


# What is refused ----------------------------------------------------------------------------------


def _fit(**options):
    return lambda model: model.fit(**{"x": X, "y": Y, "verbose": 0, **options})


REFUSED = {
    "unequal": (_fit(y=Y[:9]), "different numbers"),
    "weights too few": (_fit(sample_weight=W[:9]), "different numbers"),
    "y beside a stream": (_fit(x=dataset()), "beside a dataset"),
    "class weights": (_fit(class_weight={0: 1.0}), "Expected sample_weight"),
    "split of a stream": (
        lambda model: model.fit(dataset(), validation_split=0.5, verbose=0),
        "beside a stream.*validation_data",
    ),
    "all held out": (_fit(validation_split=0.999), "at least one example on each side"),
    "no end": (lambda m: m.fit(dataset().repeat(), verbose=0), "has no end.*steps_per_epoch"),
    "no end of evaluation": (lambda m: m.evaluate(dataset().repeat(), verbose=0), "no end.*steps="),
    "no end of validation": (_fit(validation_data=dataset().repeat()), "no end.*validation_steps"),
    "empty": (lambda m: m.fit(dataset().take(0), verbose=0), "empty"),
    "empty evaluation": (lambda m: m.evaluate(dataset().take(0), verbose=0), "empty"),
    "empty prediction": (lambda m: m.predict(dataset().take(0), verbose=0), "empty"),
    "empty validation": (_fit(validation_data=dataset().take(0)), "empty"),
    "validation every 0": (_fit(validation_freq=0), "validation_freq=0"),
    "validation in words": (_fit(validation_freq="1"), "validation_freq='1'"),
    "a word unknown": (lambda m: m.evaluate(X, Y, stepz=2, verbose=0), "stepz"),
    "epochs": (_fit(epochs=-1), "epochs=-1"),
    "half an epoch": (_fit(epochs=1.5), "epochs=1.5"),
    "epochs in words": (_fit(epochs="3"), "epochs='3'"),
    "batch size": (_fit(batch_size=-2), "batch_size=-2"),
    "steps": (_fit(steps_per_epoch=0), "steps_per_epoch=0"),
    "steps of evaluation": (lambda m: m.evaluate(X, Y, steps=-1, verbose=0), "steps=-1"),
    "validation steps": (
        _fit(validation_data=dataset(), validation_steps=1.5),
        "steps=1.5",
    ),
    "steps in a call": (
        lambda m: m.compile("adam", steps_per_execution=0),
        "steps_per_execution=0",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_done_is_refused_and_nothing_has_moved(name):
    use, message = REFUSED[name]
    model = made(ManyOwn)
    with pytest.raises((ValueError, TypeError), match=f"(?s){message}"):
        use(model)
    np.testing.assert_array_equal(weights(model), [*START[0].ravel(), *START[1]])
    assert int(model.batches_seen) == 0


def test_numpy_integers_are_integers():
    one, other = made(ManyOwn), made(ManyOwn)
    one.fit(X, Y, batch_size=8, epochs=2, steps_per_epoch=5, verbose=0)
    whole = {"batch_size": np.int64(8), "epochs": np.int32(2), "steps_per_epoch": np.int16(5)}
    other.fit(X, Y, **whole, verbose=0)
    np.testing.assert_array_equal(weights(one), weights(other))


def test_before_compile_it_says_so():
    for use in ("fit", "evaluate", "train_on_batch", "test_on_batch"):
        with pytest.raises(ValueError, match=rf"{use}\(\) before compile"):
            getattr(ManyOwn(), use)(X, Y)
    with pytest.raises(ValueError, match="before compile"):
        ManyOwn().restart(START)


def test_a_stream_that_runs_out_ends_training_with_a_warning():
    model = made(ManyOwn)
    with pytest.warns(UserWarning, match="no data for epoch 2: .*only once") as warned:
        history = model.fit(generator(), epochs=3, verbose=0)
    assert [each.filename for each in warned] == [__file__]
    assert history.epoch == [0] and int(model.optimizer.iterations) == BATCHES
    with pytest.warns(UserWarning, match="ended after 7 of 9"):
        model.fit(dataset(), steps_per_epoch=9, verbose=0)


def test_a_model_that_is_built_by_a_call_is_that_of_keras():
    """A layer without shapes at `compile` time: its variables are known to the optimiser."""
    family = {}
    for name, base in {"many": ManyStepModel, "plain": keras.Model}.items():

        class Late(base):
            def __init__(self):
                super().__init__()
                self.dense = keras.layers.Dense(1, kernel_initializer="zeros")

            def call(self, x):
                return self.dense(x)

        model = family[name] = Late()
        if base is ManyStepModel:
            model(X[:1])
        model.compile(keras.optimizers.Adam(0.05), loss="mse", jit_compile=False)
        model.fit(**FEEDS["arrays"](), verbose=0)
    np.testing.assert_allclose(*map(weights, family.values()), rtol=1e-5, atol=1e-6)


def _after_a_short_fit(model):
    model.fit(X[:SIZE], Y[:SIZE], batch_size=SIZE, verbose=0)


def _after_a_short_stream(model):
    model.fit(dataset().take(3), verbose=0)


@pytest.mark.parametrize("before", [lambda model: None, _after_a_short_fit, _after_a_short_stream])
def test_how_many_steps_run_does_not_depend_on_what_ran_before(before):
    """A first call of one batch or three once fixed how many every later one was good for."""
    model = made(ManyOwn)
    before(model)
    many = 20
    x, y = np.tile(X, (many, 1)), np.tile(Y, (many, 1))
    stream = tf.data.Dataset.from_tensor_slices((x, y)).batch(SIZE)
    whole = -(-len(x) // SIZE)
    for steps, options in (
        (whole, {"x": x, "y": y, "batch_size": SIZE}),
        (whole, {"x": stream}),
        (5, {"x": stream, "steps_per_epoch": 5}),
        (10, {"x": X[:12], "y": Y[:12], "batch_size": 6, "steps_per_epoch": 5, "epochs": 2}),
        (65, {"x": stream, "steps_per_epoch": 65}),
    ):
        first = int(model.optimizer.iterations)
        model.fit(**options, verbose=0)
        assert int(model.optimizer.iterations) - first == steps
    expected = float(np.mean((model.predict(X, verbose=0) - Y) ** 2))
    np.testing.assert_allclose(model.evaluate(x, y, verbose=0), expected, rtol=1e-4)
    np.testing.assert_allclose(model.evaluate(stream, verbose=0), expected, rtol=1e-4)
    first_three = float(np.mean((model.predict(x[: 3 * SIZE], verbose=0) - y[: 3 * SIZE]) ** 2))
    np.testing.assert_allclose(model.evaluate(stream, steps=3, verbose=0), first_three, rtol=1e-4)
    assert model.predict(stream.map(lambda x, y: x), steps=2, verbose=0).shape == (2 * SIZE, 1)
    options = {"validation_data": stream, "validation_steps": 3, "verbose": 0}
    model.compile(keras.optimizers.SGD(0.0), jit_compile=False)
    history = model.fit(X, Y, **options).history
    np.testing.assert_allclose(history["val_loss"], first_three, rtol=1e-4)


@BOTH
def test_defaults_of_a_call_are_those_of_keras(kind, capsys):
    """Batches of 32; validation data before a part of x; nothing shown unless asked for."""
    model = made(kind)
    options = {"epochs": 1, "shuffle": False, "verbose": 0}
    model.fit(np.resize(X, (65, *X.shape[1:])), np.resize(Y, (65, *Y.shape[1:])), **options)
    assert int(model.optimizer.iterations) == 3
    model.fit(np.resize(X, (64, *X.shape[1:])), np.resize(Y, (64, *Y.shape[1:])), **options)
    assert int(model.optimizer.iterations) == 5
    other = X[:4], Y[:4]
    history = model.fit(X, Y, validation_data=other, validation_split=0.5, **options).history
    expected = model.evaluate(*other, verbose=0)
    np.testing.assert_allclose(history["val_loss"][-1], expected, rtol=1e-5)
    capsys.readouterr()
    model.predict(X, verbose=0)
    model.predict(dataset().map(lambda x, y: x), verbose=0)
    model.evaluate(X, Y, verbose=0)
    model.fit(X, Y, validation_data=other, **options)
    assert capsys.readouterr().out == ""


class Noted(keras.callbacks.Callback):
    """What evaluate and predict tell a callback."""

    def __init__(self):
        super().__init__()
        self.epochs, self.outputs = [], []

    def on_test_begin(self, logs=None):
        self.epochs.append(self.params.get("epochs"))

    def on_predict_batch_end(self, batch, logs=None):
        self.outputs.append(np.array(logs["outputs"]))


@BOTH
def test_callbacks_of_evaluate_and_predict_are_told_what_keras_tells(kind):
    model, noted = made(kind), Noted()
    model.evaluate(X, Y, batch_size=SIZE, callbacks=[noted], verbose=0)
    y = model.predict(X, batch_size=SIZE, callbacks=[noted], verbose=0)
    assert noted.epochs == [1] and len(noted.outputs) == BATCHES
    np.testing.assert_allclose(np.concatenate(noted.outputs), y, rtol=1e-6)


def _told(name):
    def hook(self, *arguments, logs=None):
        index = [int(each) for each in arguments if isinstance(each, int | np.integer)]
        logs = next((each for each in arguments if isinstance(each, dict)), logs)
        self.told.append((name, *index, sorted(logs or {})))
        if (name, *index) == self.stop:
            part = {"train": "training", "test": "evaluating", "predict": "predicting"}
            setattr(self.model, f"stop_{part[name.split('_')[1]]}", True)

    return hook


class Told(keras.callbacks.Callback):
    """All that a callback is told: hooks, numbers of batches and epochs, names of logs."""

    def __init__(self, stop=None):
        super().__init__()
        self.told, self.stop = [], stop

    def set_params(self, params):
        super().set_params(params)
        self.told.append(("params", *sorted((params or {}).items())))


for _mode in ("train", "test", "predict"):
    for _when in ("begin", "end", "batch_begin", "batch_end"):
        setattr(Told, f"on_{_mode}_{_when}", _told(f"on_{_mode}_{_when}"))
for _when in ("begin", "end"):
    setattr(Told, f"on_epoch_{_when}", _told(f"on_epoch_{_when}"))


USES = {
    "fit": lambda m, c: m.fit(X, Y, batch_size=SIZE, epochs=2, callbacks=c, verbose=0),
    "fit, validation now and then": lambda m, c: m.fit(
        X, Y, batch_size=SIZE, epochs=5, callbacks=c, verbose=0, validation_freq=[2, 5],
        validation_data=(X, Y), validation_batch_size=20,
    ),
    "fit, a part held out": lambda m, c: m.fit(
        X, Y, batch_size=SIZE, callbacks=c, verbose=0, validation_split=0.5,
        validation_batch_size=9, validation_steps=2, epochs=4, initial_epoch=1, validation_freq=2,
    ),
    "fit for no epoch": lambda m, c: m.fit(X, Y, epochs=0, callbacks=c, verbose=0),
    "evaluate": lambda m, c: m.evaluate(X, Y, batch_size=SIZE, callbacks=c, verbose=0),
    "evaluate some": lambda m, c: m.evaluate(dataset(), steps=2, callbacks=c, verbose=0),
    "predict": lambda m, c: m.predict(X, batch_size=SIZE, callbacks=c, verbose=0),
    "predict some": lambda m, c: m.predict(X, batch_size=SIZE, steps=3, callbacks=c, verbose=0),
}  # fmt: skip
STOPS = {
    "fit": ("on_train_batch_end", 2),
    "evaluate": ("on_test_batch_end", 2),
    "predict": ("on_predict_batch_end", 2),
}


@pytest.mark.parametrize("stops", [False, True])
@pytest.mark.parametrize("name", USES)
def test_a_callback_is_told_all_that_keras_tells_and_may_stop_it(name, stops):
    if stops and name not in STOPS:
        return
    told, values = [], []
    for kind in (ManyOwn, PlainOwn):
        callback = Told(STOPS.get(name) if stops else None)
        values.append(USES[name](made(kind), [callback]))
        told.append(callback.told)
    assert told[0] == told[1]
    if not isinstance(values[0], keras.callbacks.History):
        np.testing.assert_allclose(*values, rtol=1e-5)
    if stops:
        assert sum(each[0] == STOPS[name][0] for each in told[0]) == 3


@pytest.mark.parametrize("verbose", [1, 2])
def test_what_is_shown_is_what_keras_shows(verbose, capsys):
    shown = []
    for kind in (ManyOwn, PlainOwn):
        model = made(kind)
        model.fit(X, Y, batch_size=SIZE, epochs=2, verbose=verbose)
        model.evaluate(X, Y, batch_size=SIZE, verbose=verbose)
        model.predict(X, batch_size=SIZE, verbose=verbose)
        out = capsys.readouterr().out
        shown.append([out.count(word) for word in ("Epoch 1/2", "Epoch 2/2", "7/7")])
    assert shown[0][:2] == shown[1][:2] == [1, 1] and 0 not in (shown[0][2], shown[1][2])


def test_a_list_of_callbacks_that_keras_has_made_is_taken_as_it_is():
    model, callback = made(ManyOwn), Told()
    model.evaluate(X, Y, callbacks=keras.callbacks.CallbackList([callback], model=model), verbose=0)
    assert ("on_test_begin", []) in callback.told
    model.evaluate(X, Y, callbacks=(alone := Told()), verbose=0)
    assert ("on_test_begin", []) in alone.told


@BOTH
def test_averages_of_the_weights_replace_them_when_training_ends(kind):
    """And stay away where nothing was trained."""
    ours, theirs = made(kind), made(PlainStandard)
    for model in (ours, theirs):
        loss = {} if model.own_step else {"loss": "mse"}
        averaged = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5)
        model.compile(averaged, jit_compile=False, **loss)
    options = {"batch_size": SIZE, "shuffle": False, "verbose": 0}
    ours.fit(X, Y, epochs=0, **options)
    np.testing.assert_array_equal(weights(ours), weights(made(kind)))
    for model in (ours, theirs):
        model.fit(X, Y, epochs=2, **options)
    np.testing.assert_allclose(weights(ours), weights(theirs), rtol=1e-5)


LIMITS = {  # what is refused, what is taken
    "epochs": ([-1], [0]),
    "initial_epoch": ([-1], [0]),
    "validation_split": ([-1e-9, 1], [0, 0.5]),
    "validation_freq": ([0], [1]),
    "validation_steps": ([0], [1]),
    "validation_batch_size": ([0], [1]),
    "batch_size": ([0], [1]),
    "steps_per_epoch": ([0], [1]),
}


@pytest.mark.parametrize("name", LIMITS)
def test_an_argument_out_of_range_is_refused(name):
    model, options = made(ManyOwn, run_eagerly=True), {"batch_size": 53, "verbose": 0}
    if name in ("validation_freq", "validation_steps", "validation_batch_size"):
        options["validation_data"] = X[:1], Y[:1]
    use = lambda v: model.fit(X, Y, **{**options, name: v})  # noqa: E731
    check_limits(use, name, *LIMITS[name])
    check_limits(lambda v: model.evaluate(X, Y, steps=v, verbose=0), "steps", [0], [1])
    check_limits(lambda v: model.predict(X, batch_size=v, verbose=0), "batch_size", [0], [53])


@pytest.mark.parametrize(
    "use",
    [
        lambda m: m.train_on_batch(X, Y, class_weight={0: 1.0}),
        lambda m: m.evaluate(dataset(), sample_weight=W, verbose=0),
        lambda m: m.fit(dataset(), sample_weight=W, verbose=0),
    ],
)
def test_weights_that_would_be_left_out_are_refused(use):
    model = made(ManyOwn)
    with pytest.raises(ValueError, match="Expected (sample_weight|them inside)"):
        use(model)
    assert int(model.batches_seen) == 0


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"jit_compile": True}, (True, False)),
        ({"jit_compile": False}, (False, False)),
        ({"run_eagerly": True}, (False, True)),
        ({"run_eagerly": True, "jit_compile": False}, (False, True)),
    ],
)
def test_steps_are_compiled_as_was_asked_for(options, expected, monkeypatch):
    seen = []

    class Recorded(training.ManySteps):
        def __init__(self, step, jit_compile, optional=False, eager=False):
            seen.append((jit_compile, eager))
            super().__init__(step, jit_compile, optional, eager)

    monkeypatch.setattr(training, "ManySteps", Recorded)
    model = ManyOwn()
    model.compile("sgd", **options)
    model.train_on_batch(X[:3], Y[:3])
    model.run_eagerly = True  # XLA is asked for, and Python runs
    model.train_on_batch(X[:3], Y[:3])
    assert seen[0] == expected and seen[1:] in ([(False, True)], [])


@pytest.mark.parametrize("kind", [list, tuple, set])
def test_epochs_that_are_validated_may_be_said_in_any_collection(kind):
    options = {"validation_data": (X, Y), "validation_freq": kind([1, 3]), "verbose": 0}
    history = made(ManyOwn).fit(X, Y, batch_size=53, epochs=3, **options).history
    assert len(history["val_loss"]) == 2


# As on several replicas, on one -------------------------------------------------------------------


class Counting(ManyOwn):
    def train_step(self, data):
        logs = super().train_step(data)
        self.batches_seen.assign_add(1)  # Keras's loop leaves it to the step
        return logs


@pytest.mark.parametrize("shuffle", [True, False])
def test_keras_s_loop_does_the_same_where_there_are_several_replicas(shuffle, monkeypatch):
    """By that loop on one device: orders, validation, callbacks and results are those of ours."""
    found = []
    for is_distributed in (False, True):
        monkeypatch.setattr(
            Counting, "_is_distributed", property(lambda self, d=is_distributed: d), raising=False
        )
        model, callbacks = made(Counting), [Told() for _ in range(3)]
        model.fit(X, Y, batch_size=SIZE, verbose=0, epochs=1)
        options = {"validation_data": (X[:20], Y[:20], W[:20]), "validation_batch_size": 6}
        options |= {"validation_steps": 2, "epochs": 3, "initial_epoch": 1, "shuffle": shuffle}
        history = model.fit(
            X, Y, batch_size=SIZE, verbose=0, callbacks=callbacks[0], validation_freq=2, **options
        ).history
        plain = model.fit(X, Y, batch_size=SIZE, verbose=0, steps_per_epoch=3).history
        logs = model.evaluate(
            X, Y, SIZE, 0, sample_weight=W, callbacks=[callbacks[1]], steps=4, return_dict=True
        )
        y = model.predict(X, SIZE, 0, steps=2, callbacks=[callbacks[2]])
        found.append((history, plain, logs, y, model.evaluate(dataset(), verbose=0)))
        hooks = [[each[0] for each in c.told if each[0] != "params"] for c in callbacks]
        hooks[0] = [hook for hook in hooks[0] if "test" not in hook]
        found[-1] += (hooks, weights(model), int(model.batches_seen))
    (ours, theirs) = found
    assert ours[5] == theirs[5] and ours[7] == theirs[7]
    for one, other in zip(tf.nest.flatten(ours[:5]), tf.nest.flatten(theirs[:5]), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4)
    np.testing.assert_allclose(ours[6], theirs[6], rtol=1e-4, atol=1e-6)


def test_a_stream_in_keras_s_loop(monkeypatch):
    monkeypatch.setattr(ManyOwn, "_is_distributed", property(lambda self: True), raising=False)
    model, plain = made(ManyOwn), made(PlainOwn)
    options = {"epochs": 2, "steps_per_epoch": 3, "verbose": 0}
    histories = [m.fit(dataset().repeat(), **options).history for m in (model, plain)]
    np.testing.assert_allclose(histories[0]["loss"], histories[1]["loss"], rtol=1e-5)


def test_where_a_replica_s_rows_stand_in_the_global_batch(monkeypatch):
    def gathered(sizes, axis):
        assert sizes.shape == (1,) and axis == 0
        return tf.constant([4, 3, 5])

    place = training.place_in_global_batch
    for replica, first in enumerate((0, 4, 7)):
        context = SimpleNamespace(
            num_replicas_in_sync=3, replica_id_in_sync_group=replica, all_gather=gathered
        )
        monkeypatch.setattr(tf.distribute, "get_replica_context", lambda c=context: c)
        assert [int(n) for n in place(tf.constant(3))] == [first, 12]
    for context in (None, SimpleNamespace(num_replicas_in_sync=1)):
        monkeypatch.setattr(tf.distribute, "get_replica_context", lambda c=context: c)
        assert place(7) == (0, 7)


def test_a_batch_has_as_many_parts_as_are_given_and_only_floats_are_cast():
    model = made(ManyOwn)
    assert [len(model.batch_of(*parts, "fit")) for parts in (
        (X, None, None), (X, Y, None), (X, None, W), (X, Y, W))] == [1, 2, 3, 3]  # fmt: skip
    x, y = model.batch_of(X.astype("float64"), np.arange(53), None, "fit")
    assert x.dtype == "float32" and y.dtype == np.arange(1).dtype


@BOTH
def test_several_metrics_are_a_list_and_one_is_a_number(kind):
    model = made(kind, **({} if kind.own_step else {"metrics": ["mae"]}))
    values = model.evaluate(X, Y, verbose=0)
    assert len(values) == 2
    np.testing.assert_allclose(values, model.test_on_batch(X, Y), rtol=1e-5)
    assert np.ndim(made(ManyOwn).evaluate(X, Y, verbose=0)) == 0


@pytest.mark.parametrize("verbose", [0, 1, 2])
def test_a_progress_bar_is_there_only_where_it_is_shown(verbose):
    names = [type(c).__name__ for c in made(ManyOwn)._callbacks(None, verbose, 1, 1).callbacks]
    assert ("ProgbarLogger" in names) == (verbose > 0) and "History" not in names


def test_keras_s_loop_keeps_the_order_of_a_pydataset_and_its_validation_data(monkeypatch, capsys):
    """It shuffles a PyDataset unless told otherwise, and would set up validation at each epoch."""
    monkeypatch.setattr(Counting, "_is_distributed", property(lambda self: True), raising=False)
    cached, evaluate = [], keras.Model.evaluate

    def noted(self, *arguments, _use_cached_eval_dataset=False, **options):
        cached.append(_use_cached_eval_dataset)
        options["_use_cached_eval_dataset"] = _use_cached_eval_dataset
        return evaluate(self, *arguments, **options)

    monkeypatch.setattr(keras.Model, "evaluate", noted)
    model, plain = made(Counting), made(PlainOwn)
    model.fit(Batches(), epochs=2, validation_data=(X, Y), verbose=0)
    assert cached == [True, True]
    model.evaluate(X, Y, verbose=0), model.predict(X, verbose=0)
    assert cached == [True, True, False] and capsys.readouterr().out == ""
    plain.fit(Batches(), epochs=2, shuffle=False, verbose=0)
    np.testing.assert_allclose(weights(model), weights(plain), rtol=1e-5)


def test_who_names_no_seed_has_the_order_of_seed_0():
    ends = []
    for options in ({}, {"seed": 0}, {"seed": 1}):
        model = ManyStandard(**options)
        model.compile(keras.optimizers.SGD(0.1), loss="mse", jit_compile=False)
        model.fit(X, Y, batch_size=SIZE, epochs=1, verbose=0)
        ends.append(model.get_weights()[0])
    np.testing.assert_array_equal(ends[0], ends[1])
    assert np.abs(ends[1] - ends[2]).max() > 1e-6
