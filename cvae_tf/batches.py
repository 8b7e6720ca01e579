"""Batches: rows of arrays in an order, and streams from anywhere, checked on the host.

A source knows how many steps an epoch has, gives its batches in order for evaluation, and for
training in blocks: as many batches as one compiled call runs.
"""

from __future__ import annotations

import collections
import functools
import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from cvae_tf import noise
from cvae_tf.programs import Batch, ManySteps, leaves, map_batch, rows_of, signature, tensors

EVALUATION_BATCH = 1024  # only a loss with FreeBits or MMD depends on its size


def is_stream(values: Any) -> bool:
    """Whether these are batches to go through, and not arrays (or dicts and lists of them)."""
    if values is None or isinstance(values, (list, tuple, dict, str, bytes, memoryview)):
        return False
    if tf.is_tensor(values) or hasattr(values, "__array__") or hasattr(values, "iloc"):
        return False
    return isinstance(values, (Iterable, keras.utils.PyDataset)) or hasattr(values, "__getitem__")


def unpack(batch: Any) -> tuple[Any, Any, Any]:
    """(x, y, sample_weight) of a batch or of validation data, in any form that Keras takes."""
    if isinstance(batch, list):
        batch = tuple(batch)
    if isinstance(batch, tuple) and not 1 <= len(batch) <= 3:
        raise ValueError(
            f"Received {len(batch)} parts. Expected x, (x,), (x, y) or (x, y, sample_weight)."
        )
    return keras.utils.unpack_x_y_sample_weight(batch)


def orders(
    num_rows: int, batch_size: int, *, shuffle: bool, seed: int, first_step: int
) -> Iterator[np.ndarray]:
    """The order of the rows, epoch after epoch: a function of (seed, step at the epoch's start).

    A run that is stopped and resumed at an epoch's start therefore sees the same order.

    Args:
        num_rows, batch_size: ints N and B.
        shuffle: bool.
        seed: int.
        first_step: int, batches seen when training begins.

    Yields:
        NumPy array [N] of row numbers.
    """
    rows = np.arange(num_rows, dtype="int32")
    for step in itertools.count(first_step, -(-num_rows // batch_size)):
        generator = np.random.Generator(np.random.Philox(key=noise.key(seed, f"order {step}")))
        yield generator.permutation(rows) if shuffle else rows


def batches(num_rows: int, batch_size: int, **where: Any) -> Iterator[np.ndarray]:
    """Row numbers of one batch after the other, the last of an epoch shorter. Args: of `orders`."""
    for order in orders(num_rows, batch_size, **where):
        yield from (order[first : first + batch_size] for first in range(0, num_rows, batch_size))


def in_parts(arrays: Batch, size: int) -> Iterator[tuple[int, Batch]]:
    """(first row, rows of arrays) in parts of one size: the last row fills the last of them."""
    num_rows = len(arrays[0])
    for first in range(0, num_rows, size):
        rows = np.minimum(np.arange(first, first + size), num_rows - 1)
        yield first, tuple(array[rows] for array in arrays)


class Rows:
    """Arrays, taken in batches of rows."""

    def __init__(self, arrays: Batch, batch_size: int, steps: int | None, label: str) -> None:
        self.arrays, self.batch_size, self.label = arrays, batch_size, label
        self.num_rows = len(leaves(arrays)[0])
        self.num_batches = -(-self.num_rows // batch_size)
        self.asked, self.steps = steps, steps or self.num_batches

    def split(self, fraction: float, size: Any, steps: Any) -> tuple[Rows, Rows]:
        """The last `fraction` of the rows held out, as Keras does it."""
        first = int(self.num_rows * (1 - fraction))
        if not 0 < first < self.num_rows:
            raise ValueError(
                f"Received validation_split={fraction} with {self.num_rows} examples. Expected a "
                "fraction that leaves at least one example on each side."
            )
        kept = map_batch(lambda a: a[:first], self.arrays)
        held_out = map_batch(lambda a: a[first:], self.arrays)
        return (
            Rows(kept, self.batch_size, self.asked, self.label),
            Rows(held_out, size or EVALUATION_BATCH, steps, "validation_split"),
        )

    def training(self, steps: ManySteps, shuffle: bool, seed: int, first_step: int) -> RowBlocks:
        where = {"shuffle": shuffle, "seed": seed, "first_step": first_step}
        return RowBlocks(self, batches(self.num_rows, self.batch_size, **where), steps)

    def in_order(self) -> Iterator[Batch]:
        for index in range(min(self.steps, self.num_batches)):
            rows = slice(index * self.batch_size, (index + 1) * self.batch_size)
            yield tensors(map_batch(lambda a, rows=rows: a[rows], self.arrays))

    def for_keras(
        self,
        first_step: Callable[[], int] = lambda: 0,
        shuffle: bool = False,
        seed: int | None = None,
    ) -> tf.data.Dataset:
        """The same batches as a dataset; with a seed endlessly, for training."""
        whole = tensors(self.arrays)

        def rows() -> Iterator[np.ndarray]:
            where = {"shuffle": shuffle, "seed": seed or 0, "first_step": first_step()}
            endless = batches(self.num_rows, self.batch_size, **where)
            return endless if seed is not None else itertools.islice(endless, self.num_batches)

        dataset = tf.data.Dataset.from_generator(
            rows, output_signature=tf.TensorSpec([None], tf.int32)
        )
        options = tf.data.Options()  # on several workers, each takes its part of every batch
        shard = tf.data.experimental.AutoShardPolicy.DATA
        options.experimental_distribute.auto_shard_policy = shard
        return dataset.map(lambda rows: rows_of(whole, rows)).with_options(options)


class RowBlocks:
    """The blocks of an epoch on arrays: full batches, then one short batch at most."""

    def __init__(self, data: Rows, order: Iterator[np.ndarray], steps: ManySteps) -> None:
        self._data, self._order, self._steps = data, order, steps
        self._tensors = tensors(data.arrays)

    def epoch(self, most: int) -> Iterator[tuple[int, Callable[[], Any]]]:
        left, size = self._data.steps, self._data.batch_size
        while left:
            block: list[np.ndarray] = []
            while len(block) < min(most, left) and (not block or len(block[-1]) == size):
                block.append(next(self._order))
            left -= len(block)
            yield len(block), functools.partial(self._run, block, most)

    def _run(self, block: list[np.ndarray], most: int) -> Any:
        size = self._data.batch_size
        if most == 1:
            return self._steps.one(rows_of(self._tensors, tf.constant(block[0])))
        whole = len(block) - (len(block[-1]) < size)
        if not whole:
            return self._steps.one(rows_of(self._tensors, tf.constant(block[0])))
        full = np.zeros([most, size], "int32")
        full[:whole] = block[:whole]
        short = block[-1] if whole < len(block) else None
        return self._steps.on_rows(self._tensors, full, whole, short)


class Stream:
    """Batches from anywhere, checked one by one on the host before they are used."""

    def __init__(
        self, source: Any, steps: int | None, check: Callable[..., Batch], label: str
    ) -> None:
        self.label, self.arrays = f"The stream (in {label})", None
        self._source, self._check, self._asked = source, check, steps
        self._known = length(source)
        self.steps = steps or self._known
        if steps is None and self._known == -1:
            raise ValueError(
                f"{self.label} has no end. Expected steps_per_epoch=… (steps=… in evaluate and "
                "predict, validation_steps=… for validation_data)."
            )
        self._iterator: Iterator[Any] | None = None
        self._peeked: list[Any] = []
        self._where: dict[str, Any] = {"shuffle": False, "seed": 0, "first_step": 0}

    def split(self, fraction: float, size: Any, steps: Any) -> Any:
        raise ValueError(
            f"Received validation_split={fraction} beside a stream. Expected validation_data=…."
        )

    def check_first(self) -> None:
        """Check the first batch now, and lose nothing."""
        iterator = self._begin()
        for batch in itertools.islice(iterator, 1):
            self._check(batch)
            if iterator is self._source:  # it can be gone through only once
                self._peeked.append(batch)
            return
        raise ValueError(f"{self.label} is empty. Expected at least one batch.")

    def _begin(self) -> Iterator[Any]:
        if isinstance(self._source, keras.utils.PyDataset):
            return items(self._source, self._order)
        if not hasattr(self._source, "__iter__") and self._known is not None:
            return (self._source[number] for number in range(self._known))
        return iter(self._source)

    def in_order(self) -> Iterator[Batch]:
        """One epoch. With `steps` the next goes on where it ended, and begins anew at the end."""
        seen, begun = 0, False
        while not seen and not begun:  # twice, if it ended where the last epoch did
            begun = self._asked is None or self._iterator is None
            if begun:
                self._iterator = itertools.chain(self._peeked, self._begin())
                self._peeked = []
            for batch in itertools.islice(self._iterator or (), self._asked):
                seen += 1
                yield self._check(batch)
            if not seen:
                self._iterator = None
        if self._asked is None or seen < self._asked:
            self._iterator = None
        if self._asked is not None and 0 < seen < self._asked:
            warnings.warn(
                f"{self.label} ended after {seen} of {self._asked} batches. The epoch ends here; "
                "repeat the dataset if it was to go on.",
                stacklevel=2,
            )

    def training(
        self, steps: ManySteps, shuffle: bool = False, seed: int = 0, first_step: int = 0
    ) -> StreamBlocks:
        self._where = {"shuffle": shuffle, "seed": seed, "first_step": first_step}
        return StreamBlocks(self, steps)

    def _order(self, num_batches: int) -> list[int]:
        """In which order a PyDataset is asked for its batches, as Keras shuffles them."""
        order = next(orders(num_batches, 1, **self._where))
        self._where["first_step"] += num_batches
        return order.tolist()

    def for_keras(self, *order: Any) -> Any:
        return self._source


class StreamBlocks:
    """The blocks of an epoch of a stream: batches of one kind are stacked and run in one call."""

    def __init__(self, stream: Stream, steps: ManySteps) -> None:
        self._stream, self._steps = stream, steps

    def epoch(self, most: int) -> Iterator[tuple[int, Callable[[], Any]]]:
        size = most if not self._stream.steps else min(most, even(self._stream.steps, most))
        stream = self._stream.in_order()
        while block := list(itertools.islice(stream, size)):
            yield len(block), functools.partial(self._run, block, size)

    def _run(self, block: list[Batch], size: int) -> Any:
        logs = None
        for _, group in itertools.groupby(block, signature):
            alike = list(group)
            if len(alike) == 1:
                logs = self._steps.one(alike[0])
                continue
            padded = alike + alike[-1:] * (size - len(alike))  # one program, not one per length
            stacked = map_batch(lambda *leaves: tf.stack(leaves), *padded)
            logs = self._steps.on_stacked(stacked, len(alike))
        return logs


def even(steps: int, most: int) -> int:
    """Calls of one size: 65 steps are 33 and 32."""
    return -(-steps // -(-steps // most))


def length(source: Any) -> int | None:
    """How many batches a stream has; −1: no end; None: not known."""
    if isinstance(source, tf.data.Dataset):
        known = int(source.cardinality())
        special = {tf.data.INFINITE_CARDINALITY: -1, tf.data.UNKNOWN_CARDINALITY: None}
        return special.get(known, known)
    if isinstance(source, keras.utils.PyDataset):
        known = source.num_batches
        return -1 if known is None else int(known)
    try:
        return len(source)
    except TypeError:
        return None


def items(
    dataset: keras.utils.PyDataset, order: Callable[[int], Iterable[int]] = range
) -> Iterator[Any]:
    """An epoch of a PyDataset, prepared ahead by its workers."""
    dataset.on_epoch_begin()
    total = length(dataset)
    numbers = itertools.count() if total == -1 else order(total or 0)
    if dataset.workers > 1:
        with ThreadPoolExecutor(dataset.workers) as pool:
            ahead: collections.deque[Any] = collections.deque()
            for number in numbers:
                ahead.append(pool.submit(dataset.__getitem__, number))
                if len(ahead) > dataset.max_queue_size:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
    else:
        yield from (dataset[number] for number in numbers)
    dataset.on_epoch_end()
