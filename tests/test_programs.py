"""Compiled programs: what XLA refuses, what a trace has read, and how often one is made."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from requirements_of_a_model import small_data, small_model

from cvae_tf import M2, VAE, networks, penalties, programs
from cvae_tf.distributions import Bernoulli
from cvae_tf.estimators import SGVBB
from cvae_tf.programs import ManySteps, Program, Programs, same_state, traced_state

# Programs ---------------------------------------------------------------------------------------


def in_python(function):
    """A function that XLA cannot compile."""
    return lambda x: tf.ensure_shape(tf.py_function(function, [x], tf.float32), x.shape)


def test_a_program_that_xla_refuses_runs_without_it_and_has_not_run_before():
    count = tf.Variable(0)

    def function(x):
        count.assign_add(1)
        return in_python(lambda x: 2 * x)(x)

    program = Program(function, jit_compile=True, optional=True)
    for times in (1, 2):
        np.testing.assert_array_equal(program(tf.ones([3])), [2, 2, 2])
        assert int(count) == times
    with pytest.raises(tf.errors.InvalidArgumentError):
        Program(function, jit_compile=True, optional=False)(tf.ones([3]))
    assert int(count) == 2


def test_a_program_that_xla_takes_is_compiled_by_it():
    def function(x):
        return x + tf.cast(tf.raw_ops.Sin(x=x), tf.float32)

    program = Program(function, jit_compile=True, optional=True)
    program(tf.ones([3]))
    (compiled,) = program._compiled.values()
    assert compiled.experimental_get_compiler_ir(tf.ones([3]))()


def _raise(error):
    def function(x):
        raise error

    return function


OWN_ERRORS = {
    "Python's": (_raise(KeyError("mine")), KeyError, "mine"),
    "a value error of a trace": (lambda x: tf.reshape(x, [2, 2]), ValueError, "reshape"),
    "TensorFlow's": (
        _raise(tf.errors.InvalidArgumentError(None, None, "mine")),
        tf.errors.InvalidArgumentError,
        "mine",
    ),
    "inside Python": (in_python(_raise(RuntimeError("mine"))), tf.errors.UnknownError, "mine"),
}


@pytest.mark.parametrize("jit_compile", [True, False], ids=["XLA", "no XLA"])
@pytest.mark.parametrize("name", OWN_ERRORS)
def test_an_error_of_ones_own_comes_through(name, jit_compile):
    function, error, message = OWN_ERRORS[name]
    with pytest.raises(error, match=f"(?i){message}"):
        Program(function, jit_compile, optional=True)(tf.ones([3]))


def test_there_is_one_trace_for_each_signature():
    traces = []

    def function(batch):
        traces.append(batch[0].shape)
        return tf.reduce_sum(batch[0])

    program = Program(function, jit_compile=False, optional=False)
    for batch in 2 * [(tf.ones([3]), None), (tf.ones([4]), None), (tf.ones([3]), tf.ones([3]))]:
        program(batch)
    assert [tuple(shape) for shape in traces] == [(3,), (4,), (3,)]


# Many steps ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{}, {"jit_compile": True}, {"eager": True}], ids=["graph", "XLA", "Python"]
)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("device", ["CPU", "GPU"])
def test_many_steps_are_so_many_steps(options, weighted, device, monkeypatch):
    """Rows and stacked batches, fewer than there is room for, a short one; logs of the last."""
    x = np.arange(22, dtype="float32").reshape(11, 2)
    w = np.arange(11, dtype="float32") if weighted else None
    total = tf.Variable(0.0)

    def step(batch):
        x, none, *w = batch
        assert none is None and len(w) == weighted
        value = tf.reduce_sum(x * w[0][:, None] if w else x)
        total.assign(2 * total + value)  # the order shows
        return {"value": value, "rows": tf.shape(x)[0]}

    monkeypatch.setattr(programs, "device", lambda: device)  # what is compiled for one runs here
    steps = ManySteps(step, **{"jit_compile": False, **options})
    arrays = (tf.constant(x), None) + ((tf.constant(w),) if weighted else ())

    def expected(batches):
        value, at = 0.0, np.sum
        for rows in batches:
            last = at(x[rows] * (w[rows][:, None] if weighted else 1))
            value = 2 * value + last
        return value, last

    full = np.array([[3, 1, 2], [0, 5, 4], [9, 9, 9], [9, 9, 9]], "int32")
    for count, short in ((2, np.array([7, 10], "int32")), (1, None), (3, None)):
        total.assign(0.0)
        logs = steps.on_rows(arrays, full, count, short)
        value, last = expected([*full[:count], *([] if short is None else [short])])
        assert float(total) == value and float(logs["value"]) == last
        assert int(logs["rows"]) == (3 if short is None else 2)
    for count in (1, 3):
        total.assign(0.0)
        stacked = (tf.gather(arrays[0], full), None)
        stacked += (tf.gather(arrays[2], full),) if weighted else ()
        logs = steps.on_stacked(stacked, count)
        assert (float(total), float(logs["value"])) == expected(full[:count])
    total.assign(0.0)
    steps.one(tuple(None if a is None else a[:4] for a in arrays))
    assert float(total) == expected([np.arange(4)])[0]


def test_on_a_gpu_the_compiler_knows_how_many_steps_it_runs(monkeypatch):
    """For two numbers of steps, a full call's and an epoch's rest; others share a program."""
    monkeypatch.setattr(programs, "device", lambda: "GPU")
    steps = ManySteps(lambda batch: {"value": tf.reduce_sum(batch[0])}, jit_compile=True)
    seen = []
    whole = steps._rows
    steps._on_rows = Program(
        lambda arrays, full, count, short: seen.append((full.shape[0], count is None))
        or whole(arrays, full, count, short),
        jit_compile=True,
        optional=False,
    )
    full = np.zeros([8, 2], "int32")
    for count in (8, 3, 8, 5, 6, 3):
        steps.on_rows((tf.ones([4, 2]),), full, count)
    assert seen == [(8, True), (3, True), (8, False)]


# What a trace has read ----------------------------------------------------------------------------

TRACES = []


class Counted(VAE):
    """A VAE that notes when its step is traced, and that has settings of many kinds."""

    def __init__(self, **options):
        super().__init__(**options)
        self.factor = 0.5
        self.nested = {"a": [1.0, [2.0, "b"]]}
        self.table = np.arange(3.0)

    def train_step(self, data):
        TRACES.append(1)
        return super().train_step(data)


def counted(penalty=None):
    TRACES.clear()
    family = Bernoulli()
    nets = networks.mlps(VAE, x=6, z=2, hidden=(4,), family=family)
    parts = [keras.Input((6,)), keras.layers.Dense(4), keras.layers.Dropout(0.1)]
    nets["posterior_net"] = keras.Sequential([*parts, keras.layers.Dense(4)])
    penalty = penalties.MMD(1.0) if penalty is None else penalty
    model = Counted(**nets, family=family, penalty=penalty, estimator=SGVBB(1))
    model.compile(keras.optimizers.Adam(0.01), jit_compile=False)
    return model


def fit(model, **options):
    model.fit(*small_data(VAE, num_rows=16), batch_size=8, verbose=0, **options)


def _set(path, value):
    def change(model):
        *parts, name = path.split(".")
        for part in parts:
            model = getattr(model, part)
        setattr(model, name, value() if callable(value) else value)

    return change


def _layer(index, name, value):
    return lambda model: setattr(model.posterior_net.layers[index], name, value)


def _new_decoder():
    return networks.mlp([2], (4,), 6)


CHANGES = {
    "float attribute": _set("factor", 0.25),
    "new attribute": _set("other", 1),
    "nested list": lambda model: model.nested["a"][1].__setitem__(0, 3.0),
    "a longer list": lambda model: model.nested["a"].append(3.0),
    "NumPy array in place": lambda model: model.table.__setitem__(1, 7.0),
    "rate of a layer": _layer(1, "rate", 0.5),
    "activation of a layer": _layer(0, "activation", keras.activations.relu),
    "layer.trainable": _layer(0, "trainable", False),
    "net.trainable": _set("likelihood_net.trainable", False),
    "replaced network": _set("likelihood_net", _new_decoder),
    "penalty.weight": _set("penalty.weight", 3.0),
    "another penalty": _set("penalty", lambda: penalties.Beta(2.0)),
    "no penalty": _set("penalty", None),
    "estimator.num_samples": _set("estimator.num_samples", 3),
    "another estimator": _set("estimator", lambda: SGVBB(1)),
    "optimizer.clipnorm": _set("optimizer.clipnorm", 1.0),
    "optimizer.beta_1": _set("optimizer.beta_1", 0.5),
    "min_scale": _set("latent.min_scale", 0.1),
    "seed": _set("seed", 5),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_what_was_traced_is_seen_at_the_next_call(name):
    model = counted()
    fit(model)
    before, traced = traced_state(model, model.optimizer), len(TRACES)
    assert traced
    CHANGES[name](model)
    assert not same_state(traced_state(model, model.optimizer), before)
    fit(model)
    assert len(TRACES) > traced


def _validated(model):
    fit(model, validation_data=small_data(VAE, num_rows=5))


NO_CHANGES = {
    "nothing": lambda model: None,
    "evaluate": lambda model: model.evaluate(*small_data(VAE), verbose=0),
    "predict": lambda model: model.predict(*small_data(VAE), verbose=0),
    "log_likelihood": lambda model: model.log_likelihood(*small_data(VAE), num_samples=3),
    "generate": lambda model: model.generate(3),
    "more epochs": lambda model: fit(model, epochs=2),
    "validation": _validated,
    "callbacks": lambda model: fit(model, callbacks=[keras.callbacks.EarlyStopping("loss")]),
    "history": lambda model: model.history.history.clear(),
    "learning rate": _set("optimizer.learning_rate", 0.5),
    "stopped": _set("stop_training", True),
    "weights": lambda model: model.set_weights([w + 1 for w in model.get_weights()]),
    "restart": lambda model: model.restart(model.get_weights()),
    "the same value": _set("factor", 0.5),
    "saved": lambda model: model.get_config(),
    "metrics": lambda model: model.reset_metrics(),
    "train_on_batch of this size": lambda m: m.train_on_batch(*small_data(VAE, num_rows=8)),
}


@pytest.mark.parametrize("name", NO_CHANGES)
def test_what_is_no_change_compiles_nothing_again(name):
    model = counted()
    fit(model)
    model.train_on_batch(*small_data(VAE, num_rows=8))
    traced = len(TRACES)
    NO_CHANGES[name](model)
    fit(model)
    assert len(TRACES) == traced


def test_what_is_a_variable_acts_without_compiling_again():
    """A penalty's β and an M2's α and counts."""
    model = counted(penalties.Beta(1.0))
    fit(model)
    traced = len(TRACES)
    fit(model, callbacks=[penalties.WarmUp(2)])
    assert len(TRACES) == traced and float(model.penalty.beta) == 0.5

    m2 = small_model(M2)
    m2.compile(jit_compile=False)
    x, y = np.zeros((8, 6), "float32"), np.arange(8) % 4
    m2.fit(x, y, verbose=0)
    before = traced_state(m2, m2.optimizer)
    m2.alpha = 0.7
    assert same_state(traced_state(m2, m2.optimizer), before)


def test_states_are_compared_by_value_or_by_identity():
    """Equal numbers are equal, NaN too; 1, 1.0 and True are not; another object is another."""
    layer = keras.layers.Dense(1)
    values = [1, 1.0, True, "1", None, float("nan"), np.float32(1), [1], (1, 2), {"a": 1}, layer]
    for i, one in enumerate(values):
        for j, other in enumerate(values):
            assert same_state(traced_state(one), traced_state(other)) == (i == j), (one, other)
    shared = [1.0]
    assert not same_state(traced_state([shared, shared]), traced_state([shared, [1.0]]))
    loop = []
    loop.append(loop)
    assert traced_state(loop)
    assert not same_state(traced_state(keras.layers.Dense(1)), traced_state(keras.layers.Dense(1)))


def test_programs_are_kept_by_name_until_something_changes():
    programs, model, changes = Programs(), counted(), []
    programs.refresh(model, lambda: changes.append(1))
    first = programs.get("a", object)
    assert programs.get("a", object) is first and programs.get("b", object) is not first
    programs.refresh(model, lambda: changes.append(1))
    assert programs.get("a", object) is first and not changes
    model.factor = 3.0
    programs.refresh(model, lambda: changes.append(1))
    assert programs.get("a", object) is not first and changes == [1]
