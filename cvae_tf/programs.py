"""Compiled programs: many steps in one call, and what a program was traced from.

A program reads Python once, when it is traced. So whatever it read is written down
(`traced_state`), and `Programs` drops what was compiled from something that has changed since.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from cvae_tf.keras_private import parts_of

STEPS_PER_CALL = {"CPU": 64, "GPU": 512}  # on a GPU a step is short, and a call costs as much
Batch = tuple[Any, ...]

_NOT_FOR_XLA = (
    tf.errors.InvalidArgumentError,
    tf.errors.UnimplementedError,
    tf.errors.NotFoundError,
    tf.errors.InternalError,
)


class Program:
    """A compiled function.

    Args:
        function: of tensors and nests of them.
        jit_compile: bool, whether XLA compiles it.
        optional: bool; XLA is left out where it cannot compile the function (list operations of
            recurrent layers, Python functions, numeric checks). A program that XLA refuses has not
            run, so it can be run again.
    """

    def __init__(self, function: Callable[..., Any], jit_compile: bool, optional: bool) -> None:
        self._function, self._jit_compile, self._optional = function, jit_compile, optional
        self._compiled: dict[str, Any] = {}

    def __call__(self, *arguments: Any) -> Any:
        try:
            return self._of_signature(arguments)(*arguments)
        except _NOT_FOR_XLA:
            if not (self._jit_compile and self._optional):
                raise
        self._jit_compile = False
        self._compiled.clear()
        return self._of_signature(arguments)(*arguments)

    def _of_signature(self, arguments: Any) -> Any:
        """One `tf.function` for each signature: of several in one TensorFlow warns (retracing)."""
        key = str(signature(arguments))
        if key not in self._compiled:
            self._compiled[key] = compiled(self._function, jit_compile=self._jit_compile)
        return self._compiled[key]


class ManySteps:
    """Runs a step function many times inside one compiled program.

    Args:
        step: function from a batch to a dict of logs, such as a model's `train_step`.
        jit_compile, optional: see `Program`.
        eager: bool; run it in Python.
    """

    def __init__(
        self,
        step: Callable[..., Any],
        jit_compile: bool,
        optional: bool = False,
        eager: bool = False,
    ) -> None:
        self._step: Any = step if eager else compiled(step, reduce_retracing=True)
        self._eager = eager
        self._logs: Any = None
        self._lengths: set[int] = set()
        self.one = step if eager else Program(step, jit_compile, optional)
        self._on_rows = Program(self._rows, jit_compile, optional)
        self._on_stacked = Program(self._stacked, jit_compile, optional)

    def on_rows(self, arrays: Batch, full: np.ndarray, count: int, short: Any = None) -> Any:
        """Steps on rows of arrays that stay where they are; logs of the last step.

        Args:
            arrays: tuple of tensors [N, …] or None.
            full: [K, B] row numbers, of which the first `count` batches are used.
            count: int.
            short: [s] row numbers of one more batch, or None.
        """
        if self._eager:
            rows = [*full[:count]] + ([] if short is None else [short])
            return [self.one(rows_of(arrays, tf.constant(r))) for r in rows][-1]
        self._trace(rows_of(arrays, tf.constant(full[0])))
        last = None if short is None else tf.constant(short)
        if device() == "GPU" and len(self._lengths | {count}) <= 2:  # a full call, and the rest
            self._lengths.add(count)
            return self._on_rows(arrays, tf.constant(full[:count]), None, last)
        return self._on_rows(arrays, tf.constant(full), tf.constant(count), last)

    def on_stacked(self, stacked: Batch, count: int) -> Any:
        """Steps on the first `count` of stacked batches, leaves [K, B, …]; logs of the last."""
        if self._eager:
            return [self.one(map_batch(lambda a, i=i: a[i], stacked)) for i in range(count)][-1]
        self._trace(map_batch(lambda a: a[0], stacked))
        return self._on_stacked(stacked, tf.constant(count, tf.int32))

    def _trace(self, batch: Batch) -> None:
        if self._logs is None:
            specs = map_batch(lambda a: tf.TensorSpec(a.shape, a.dtype), batch)
            self._logs = self._step.get_concrete_function(specs).structured_outputs

    def _rows(self, arrays: Batch, full: Any, count: Any, short: Any) -> Any:
        # A loop whose count XLA does not know waits for the host at every step on a GPU.
        count = full.shape[0] if count is None else count
        logs = self._loop(lambda index: rows_of(arrays, full[index]), count)
        return logs if short is None else self._step(rows_of(arrays, short))

    def _stacked(self, stacked: Batch, count: Any) -> Any:
        return self._loop(lambda index: map_batch(lambda a: a[index], stacked), count)

    def _loop(self, batch: Callable[[Any], Batch], count: Any) -> Any:
        def body(index: Any, _: Any) -> Any:
            return index + 1, self._step(batch(index))

        no_logs = tf.nest.map_structure(lambda s: tf.zeros(s.shape, s.dtype), self._logs)
        return tf.while_loop(lambda index, _: index < count, body, [0, no_logs])[1]


def device() -> str:
    """ "GPU" where TensorFlow has one, else "CPU"."""
    return "GPU" if tf.config.list_physical_devices("GPU") else "CPU"


def compiled(function: Callable[..., Any], **options: Any) -> Any:
    """A `tf.function` of its own history: TensorFlow counts the tracings of code, not of models.

    It would warn of five models that were each traced once; a `partial` shows it no code.
    """
    return tf.function(functools.partial(function), autograph=False, **options)


def rows_of(arrays: Batch, rows: Any) -> Batch:
    """The batch of these rows. Args: arrays: tuple of tensors [N, …] or None; rows: [B]."""
    return map_batch(lambda a: tf.gather(a, rows), arrays)


def map_batch(function: Callable[..., Any], *batches: Any) -> Any:
    """`function` on the leaves of batches such as (x, None, sample_weight)."""
    return tf.nest.map_structure(
        lambda *leaves: None if leaves[0] is None else function(*leaves), *batches
    )


def leaves(batch: Any) -> list[Any]:
    return [leaf for leaf in tf.nest.flatten(batch) if leaf is not None]


def tensors(batch: Any) -> Any:
    return map_batch(tf.convert_to_tensor, batch)


def signature(batch: Any) -> list[Any]:
    return [None if a is None else (a.shape, a.dtype) for a in tf.nest.flatten(batch)]


class Programs:
    """What a model has compiled, how it asked for it, and the state it was compiled from."""

    def __init__(self) -> None:
        self.optimised: list[Any] = []  # the variables that the optimiser knows
        self.forget(True, "auto", "auto")

    def forget(self, compiled: bool, steps_per_execution: Any, jit_compile: Any) -> None:
        """Begin anew, as `compile` was told to."""
        self._held: dict[str, Any] = {}
        self._state: list[Any] | None = None
        self.steps_per_execution, self.jit_compile = steps_per_execution, jit_compile
        automatic = STEPS_PER_CALL[device()] if compiled else 1
        self.steps_per_call = automatic if steps_per_execution == "auto" else steps_per_execution

    @property
    def may_leave_xla_out(self) -> bool:
        return self.jit_compile == "auto"

    def get(self, name: str, make: Callable[[], Any]) -> Any:
        """The program of this name, made if there is none."""
        if name not in self._held:
            self._held[name] = make()
        return self._held[name]

    def refresh(self, model: keras.Model, on_change: Callable[[], None]) -> None:
        """Drop all programs if something has changed since they were made, or none was made yet."""

        def state() -> list[Any]:
            return traced_state(model, getattr(model, "optimizer", None))

        if self._state is None or not same_state(state(), self._state):
            on_change()
            self._held.clear()
            self._state = state()

    def __deepcopy__(self, memo: Any) -> Programs:
        return Programs()


# What a program was traced from -------------------------------------------------------------------

_PASSING = frozenset({"history", "stop_training", "stop_evaluating", "stop_predicting", "programs"})
_PLAIN = (bool, int, str, bytes, complex, type(None), np.generic)


def traced_state(*roots: Any) -> list[Any]:
    """All that a trace of a model reads from Python: its settings, parts, variables, optimiser.

    Returns:
        A list of (value, whether equality is enough; else it is identity), for `same_state`.
    """
    state: list[Any] = []
    seen: dict[int, int] = {}

    def visit(value: Any) -> None:
        if isinstance(value, _PLAIN):
            state.append((value, True))
        elif isinstance(value, float):
            state.append((repr(value), True))  # NaN equals itself
        elif id(value) in seen:
            state.append((seen[id(value)], True))
        else:
            seen[id(value)] = len(seen)
            parts(value)

    def parts(value: Any) -> None:
        if isinstance(value, np.ndarray):
            content = zlib.crc32(np.ascontiguousarray(value).tobytes())
            state.append(((value.shape, value.dtype.str, content), True))
        elif isinstance(value, dict):
            for name, part in value.items():
                visit(name)
                visit(part)
        elif isinstance(value, (list, tuple, set, frozenset)):
            state.append((len(value), True))
            for part in value:
                visit(part)
        else:
            state.append((value, False))
            if isinstance(value, keras.Layer):
                visit(parts_of(value))
                visit(value.trainable)
            if isinstance(value, keras.Variable):
                visit(value.trainable)
            elif isinstance(value, (keras.Layer, keras.optimizers.Optimizer)) or _is_foreign(value):
                skip = _KERAS_OWN if isinstance(value, keras.Layer) else _PASSING
                for name, part in list(vars(value).items()):
                    if name not in skip:
                        visit(name)
                        visit(part)

    for root in roots:
        visit(root)
    return state


def same_state(one: list[Any], other: list[Any]) -> bool:
    """Whether two states are of the same settings, parts and variables."""
    return len(one) == len(other) and all(
        a is b or (equal and also and type(a) is type(b) and a == b)
        for (a, equal), (b, also) in zip(one, other, strict=True)
    )


def _is_foreign(value: Any) -> bool:
    """Whether it is an object with attributes, of neither TensorFlow, Keras nor Python itself."""
    home = type(value).__module__.split(".")[0]
    return (
        hasattr(value, "__dict__")
        and home
        not in (
            *("tensorflow", "keras", "tf_keras", "tensorflow_probability", "builtins", "functools"),
            *("numpy", "_thread", "threading", "weakref", "abc", "types"),
        )
        and not isinstance(value, type)
    )


_KERAS_OWN = _PASSING | set(vars(keras.Sequential())) | {"train_function", "optimizer"}
_KERAS_OWN -= {"activity_regularizer"}
