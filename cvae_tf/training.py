r"""AEVB at speed, (2.5): many steps per call inside one compiled program.

At notebook size the time of a step goes into dispatch, not arithmetic. So `fit` hands the program
the arrays and a block of row numbers (or stacked batches of a dataset), and the program runs
`train_step` on one batch after the other without coming back to Python. Nothing else changes:
Keras's loop, callbacks and progress bar see the same steps, and the numbers are those of stepping
one by one.
"""

import itertools

import keras
import numpy as np
import tensorflow as tf

from cvae_tf import noise

STEPS_PER_CALL = 64


def steps_per_call(num_steps):
    """How many steps one call runs: blocks of one size, of at most 64 steps.

    Args:
        num_steps: int, batches in an epoch.

    Returns:
        int ≥ 1.
    """
    num_calls = -(-num_steps // STEPS_PER_CALL)
    return -(-num_steps // num_calls)


def _map(function, *batches):
    """`function` on the leaves of batches such as (x, None, sample_weight)."""
    return tf.nest.map_structure(
        lambda *leaves: None if leaves[0] is None else function(*leaves), *batches
    )


def orders(num_rows, batch_size, *, shuffle, seed, first_step):
    """The order of the rows, epoch after epoch: a function of (seed, step at the epoch's start).

    A run that is stopped and resumed at an epoch's start therefore sees the same order.

    Args:
        num_rows, batch_size: ints N and B.
        shuffle: bool.
        seed: int.
        first_step: int, the optimiser's step when training begins.

    Yields:
        NumPy array [N] of row numbers.
    """
    rows = np.arange(num_rows, dtype="int32")
    for step in itertools.count(first_step, -(-num_rows // batch_size)):
        generator = np.random.Generator(np.random.Philox(key=noise.key(seed, f"order {step}")))
        yield generator.permutation(rows) if shuffle else rows


def batches(num_rows, batch_size, **where):
    """Row numbers of one batch after the other, the last of an epoch shorter. Args: of `orders`."""
    for order in orders(num_rows, batch_size, **where):
        yield from (order[first : first + batch_size] for first in range(0, num_rows, batch_size))


def blocks(num_rows, batch_size, num_steps, **where):
    """Row numbers of `num_steps` batches at a time.

    Args:
        num_rows, batch_size, **where: of `orders`.
        num_steps: int K.

    Yields:
        (full [≤ K, B], count, short [s]): the first `count` batches of `full`, then one short
        batch, which is empty but at an epoch's end.
    """
    num_full = num_rows // batch_size
    size = min(num_steps, num_full)
    for order in orders(num_rows, batch_size, **where):
        for first in range(0, -(-num_rows // batch_size), num_steps):
            last = min(first + num_steps, num_full)
            full = np.zeros([size, batch_size], "int32")
            full[: last - first] = order[first * batch_size : last * batch_size].reshape(
                -1, batch_size
            )
            ends = first + num_steps > num_full
            yield full, max(last - first, 0), order[num_full * batch_size :] if ends else order[:0]


class FirstStep(keras.callbacks.Callback):
    """Notes the optimiser's step when training begins: `value`."""

    def on_train_begin(self, logs=None):
        self.value = int(tf.convert_to_tensor(self.model.optimizer.iterations))


def rows_of(arrays, rows):
    """The batch of these rows. Args: arrays: tuple of tensors [N, …] or None; rows: [B]."""
    return _map(lambda a: tf.gather(a, rows), arrays)


class ManySteps:
    """Runs a step function many times inside one compiled program.

    Args:
        step: function from a batch to a dict of logs, such as a model's `train_step`.
        jit_compile: bool, whether XLA compiles the program.
    """

    def __init__(self, step, jit_compile):
        self._step = tf.function(step, autograph=False)
        self._logs = None
        self._on_rows = tf.function(self._rows, jit_compile=jit_compile, autograph=False)
        self._on_stacked = tf.function(self._stacked, jit_compile=jit_compile, autograph=False)

    def on_rows(self, arrays, full, count, short=None):
        """Steps on rows of arrays that stay where they are; logs of the last step.

        Args:
            arrays: tuple of tensors [N, …] or None.
            full: [K, B] row numbers, of which the first `count` batches are used.
            count: scalar tensor.
            short: [s] row numbers of one more batch, or None.
        """
        if self._logs is None:
            self._trace(rows_of(arrays, full[0]))
        return self._on_rows(arrays, full, count, short)

    def on_stacked(self, batches, count):
        """Steps on the first `count` of stacked batches, leaves [K, B, …]; logs of the last."""
        if self._logs is None:
            self._trace(_map(lambda a: a[0], batches))
        return self._on_stacked(batches, tf.constant(count, tf.int32))

    def _trace(self, batch):
        specs = _map(lambda a: tf.TensorSpec(a.shape, a.dtype), batch)
        self._logs = self._step.get_concrete_function(specs).structured_outputs

    def _rows(self, arrays, full, count, short):
        logs = self._loop(lambda index: rows_of(arrays, full[index]), count)
        return logs if short is None else self._step(rows_of(arrays, short))

    def _stacked(self, batches, count):
        return self._loop(lambda index: _map(lambda a: a[index], batches), count)

    def _loop(self, batch, count):
        def body(index, _):
            return index + 1, self._step(batch(index))

        no_logs = tf.nest.map_structure(lambda s: tf.zeros(s.shape, s.dtype), self._logs)
        return tf.while_loop(lambda index, _: index < count, body, [0, no_logs])[1]


def on_blocks(run, arrays, rows):
    """A Keras train function that runs blocks of steps on arrays.

    Args:
        run: ManySteps.
        arrays: tuple of tensors [N, …] or None.
        rows: function that begins `blocks`, called when training begins.
    """
    begun = None

    def function(_):  # Keras's iterator only counts
        nonlocal begun
        begun = begun or rows()
        full, count, short = next(begun)
        full, count = tf.constant(full), tf.constant(count)
        if not len(short):
            return run.on_rows(arrays, full, count)
        if not len(full):  # fewer rows than one batch
            return run.on_rows(arrays, tf.constant(short[None]), tf.constant(1))
        return run.on_rows(arrays, full, count, tf.constant(short))

    return function


def on_batches(run, steps_per_call, check):
    """A Keras train function for any iterator of batches, which may be of different sizes.

    Args:
        run: ManySteps.
        steps_per_call: int K, batches taken from the iterator at each call.
        check: function that raises ValueError on a bad batch, on the host, before any of them is
            used.
    """

    def function(iterator):
        batches = list(itertools.islice(iterator, steps_per_call))
        if not batches:
            raise StopIteration
        for batch in batches:
            check(batch)
        batches = [_map(tf.convert_to_tensor, batch) for batch in batches]
        for _, group in itertools.groupby(batches, _signature):
            group = list(group)
            size = steps_per_call if len(group) > 1 else 1  # two programs, not one for each length
            padded = group + group[-1:] * (size - len(group))
            stacked = _map(lambda *leaves: tf.stack(leaves), *padded)
            logs = run.on_stacked(stacked, len(group))
        return logs

    return function


def _signature(batch):
    return [None if a is None else (a.shape, a.dtype) for a in tf.nest.flatten(batch)]


def one_by_one(step, steps_per_call, check):
    """A Keras train or test function that takes batches one at a time. Args: as in `on_batches`."""

    def function(iterator):
        logs = None
        for batch in itertools.islice(iterator, steps_per_call):
            check(batch)
            logs = step(batch)
        if logs is None:
            raise StopIteration
        return logs

    return function
