"""Compiled programs: what XLA refuses, what a trace has read, and how often one is made."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from cvae_tf import programs
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
    programs, model, changes = Programs(), keras.Sequential([keras.layers.Dropout(0.1)]), []
    programs.refresh(model, lambda: changes.append(1))
    first = programs.get("a", object)
    assert programs.get("a", object) is first and programs.get("b", object) is not first
    programs.refresh(model, lambda: changes.append(1))
    assert programs.get("a", object) is first and changes == [1]
    model.layers[0].rate = 0.3
    programs.refresh(model, lambda: changes.append(1))
    assert programs.get("a", object) is not first and changes == [1, 1]
