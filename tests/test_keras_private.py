"""What is private in Keras, and relied on: each test fails where a new Keras has another habit."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf
from regression import FEEDS, START, D, ManyOwn, ManyStandard, PlainOwn, PlainStandard, X, Y, made

from cvae_tf.keras_private import become, parts_of
from cvae_tf.training import ManyStepModel

BOTH = pytest.mark.parametrize("kind", [ManyStandard, PlainStandard])


def options(**more):
    return FEEDS["arrays"]() | {"verbose": 0, **more}


def in_python(kind):
    return made(kind, run_eagerly=True)  # nothing to trace: faster


# _initial_epoch -----------------------------------------------------------------------------------


@BOTH
def test_initial_epoch_is_where_a_callback_makes_training_begin(kind):
    class Begin(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.model._initial_epoch = 2

    assert in_python(kind).fit(**options(callbacks=[Begin()])).epoch == [2]


def test_backup_and_restore_writes_it_and_ours_forgets_it_for_the_next_fit(tmp_path):
    class Interrupted(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise KeyboardInterrupt

    backup, model = keras.callbacks.BackupAndRestore(tmp_path / "backup"), in_python(ManyOwn)
    with pytest.raises(KeyboardInterrupt):
        model.fit(**options(callbacks=[backup, Interrupted()]))
    assert model.fit(**options(callbacks=[backup])).epoch == [1, 2]
    assert model._initial_epoch == 1
    assert model.fit(**options()).epoch == [0, 1, 2]


# _should_eval, _get_metrics_result_or_logs --------------------------------------------------------


@BOTH
@pytest.mark.parametrize(("frequency", "count"), [(1, 3), (2, 1), ([1, 3], 2), (5, 0)])
def test_should_eval_says_which_epochs_are_validated(kind, frequency, count):
    validation = {"validation_data": (X[:9], Y[:9]), "validation_freq": frequency}
    history = in_python(kind).fit(**options(**validation)).history
    assert len(history.get("val_loss", [])) == count


@BOTH
def test_get_metrics_result_or_logs_prefers_what_a_step_logs(kind):
    """Logs with the metrics' names are the metrics' results; others are taken as they are."""

    class Extra(kind):
        def train_step(self, data):
            return {**super().train_step(data), "mine": tf.constant(3.0)}

    class Fewer(kind):
        def train_step(self, data):
            logs = super().train_step(data)
            return {"loss": 0 * logs["loss"]}

    assert in_python(Extra).fit(**options()).history["mine"] == [3.0] * 3
    assert min(in_python(Fewer).fit(**options()).history["loss"]) > 0


# _tracker, _layers --------------------------------------------------------------------------------


def new_layer():
    layer = keras.layers.Dense(1, name="new")
    layer.build((None, D))
    layer.set_weights(START)
    return layer


def test_the_tracker_lets_a_layer_be_replaced():
    """`unlock` before, `untrack` after: the new layer trains, the old one is gone."""
    model = made(ManyOwn)
    model.fit(**options())
    old, new = model.dense, new_layer()
    model.dense = new
    assert [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)] == [new]
    assert {id(v) for v in model.trainable_variables} == {id(v) for v in new.trainable_variables}
    before = old.get_weights()
    model.fit(**options())
    assert np.abs(new.get_weights()[0] - START[0]).max() > 0.1
    for one, other in zip(before, old.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


class Late:
    """A model that is built by its first call."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)

    def call(self, x):
        return self.dense(x)


def test_keras_by_itself_locks_what_a_call_has_built_and_keeps_what_was_replaced():
    """Were it otherwise, `accept_layers` and `let_go` could go."""
    plain, ours = (type("Own", (Late, base), {})() for base in (keras.Model, ManyStepModel))
    for model in (plain, ours):
        model(X)
    with pytest.raises(ValueError, match="cannot add new elements of state"):
        plain.dense = new_layer()
    ours.dense = new_layer()
    assert ours.layers == [ours.dense]
    unlocked = PlainOwn()
    old, unlocked.dense = unlocked.dense, new_layer()
    assert old in unlocked.layers


def test_layers_lists_what_a_layer_holds():
    """`_layers` of a Functional model, a Sequential one and a wrapper: their parts."""
    layer, inputs = keras.layers.Dense(4), keras.Input((4,))
    for whole in (
        keras.Sequential([inputs, layer]),
        keras.Model(inputs, layer(inputs)),
        keras.layers.TimeDistributed(layer),
    ):
        assert sum(part is layer for part in parts_of(whole)) == 1


# _maybe_symbolic_build, _use_cached_eval_dataset --------------------------------------------------


def test_keras_builds_by_a_batch_in_fit_and_ours_only_what_is_not_built(monkeypatch):
    """Keras would average a batch over the replicas to learn shapes; a built model knows them."""
    names = inspect.signature(keras.Model._maybe_symbolic_build).parameters
    assert {"iterator", "data_batch"} <= set(names)
    calls = []
    monkeypatch.setattr(keras.Model, "_maybe_symbolic_build", lambda *_, **__: calls.append(1))
    in_python(PlainOwn).fit(**options())
    assert calls
    calls.clear()
    model = made(ManyStandard)
    model._maybe_symbolic_build(data_batch=(X, Y))
    assert not calls
    model.built = False
    model._maybe_symbolic_build(data_batch=(X, Y))
    assert calls


def test_keras_validates_by_evaluate_and_says_so_by_a_keyword():
    """`evaluate` of several replicas is called by Keras's `fit`, with a data set it has kept."""
    seen = []

    class Noting(PlainOwn):
        def evaluate(self, *args, **given):
            seen.append(given)
            return super().evaluate(*args, **given)

    in_python(Noting).fit(**options(validation_data=(X[:9], Y[:9])))
    assert [given["_use_cached_eval_dataset"] for given in seen] == [True] * 3


# An optimiser's attributes ------------------------------------------------------------------------


@pytest.mark.parametrize("scaled", [False, True])
def test_an_optimiser_is_its_attributes_and_can_take_over_those_of_another(scaled):
    """Variables, slots and settings of the other; whoever holds it, or the one inside it."""

    def optimizer(rate, variables, steps):
        inner = keras.optimizers.Adam(rate)
        whole = keras.optimizers.LossScaleOptimizer(inner) if scaled else inner
        whole.build(variables)
        for _ in range(steps):
            whole.apply([2.0 * tf.ones(v.shape) for v in variables], variables)
        return whole, inner

    one, two = (keras.Variable(np.ones(n, "float32")) for n in (2, 3))
    (mine, mine_inside), (other, _) = optimizer(0.1, [one], 0), optimizer(0.2, [one, two], 2)
    become(mine, other)
    assert [id(v) for v in mine.variables] == [id(v) for v in other.variables]
    assert mine_inside is (mine.inner_optimizer if scaled else mine)
    assert int(mine.iterations) == 2 and float(mine_inside.learning_rate) == np.float32(0.2)
    mine_inside.learning_rate = 0.0
    before = two.numpy()
    mine.apply([tf.ones(2), tf.ones(3)], [one, two])
    np.testing.assert_array_equal(two, before)
    mine_inside.learning_rate = 0.1
    mine.apply([tf.ones(2), tf.ones(3)], [one, two])
    assert np.abs(two.numpy() - before).min() > 0
