"""Rows in an order, and streams of any kind, batch by batch."""

import itertools
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from cvae_tf.batches import (
    EVALUATION_BATCH,
    Rows,
    Stream,
    batches,
    even,
    is_stream,
    items,
    length,
    orders,
    unpack,
)

X = np.arange(11, dtype="float32")[:, None]


class Dataset(keras.utils.PyDataset):
    """Eleven rows in batches of four; the first take longest, so that workers overtake."""

    def __init__(self, num_batches=3, **options):
        super().__init__(**options)
        self._number, self.calls = num_batches, []

    @property
    def num_batches(self):
        return self._number

    def __getitem__(self, index):
        time.sleep(0.02 * (3 - index % 3) * (self.workers > 1))
        return (X[4 * index : 4 * index + 4],)

    def on_epoch_begin(self):
        self.calls.append("begin")

    def on_epoch_end(self):
        self.calls.append("end")


# Orders -------------------------------------------------------------------------------------------


def test_orders_of_the_data_are_those_of_every_version():
    """Another generator, key or step count: a resumed run would see the rows in another order."""
    epochs = [[0, 4, 7, 6, 5, 3, 2, 1], [1, 5, 2, 3, 6, 7, 0, 4]]
    found = orders(8, 3, shuffle=True, seed=5, first_step=0)
    assert [order.tolist() for order in itertools.islice(found, 2)] == epochs
    resumed = orders(8, 3, shuffle=True, seed=5, first_step=3)
    assert next(resumed).tolist() == epochs[1]
    plain = orders(8, 3, shuffle=False, seed=5, first_step=0)
    assert [next(plain).tolist() for _ in range(2)] == 2 * [list(range(8))]


def test_batches_of_an_order_and_the_last_is_shorter():
    where = {"shuffle": True, "seed": 5, "first_step": 0}
    found = [b.tolist() for b in itertools.islice(batches(8, 3, **where), 6)]
    assert found == [[0, 4, 7], [6, 5, 3], [2, 1], [1, 5, 2], [3, 6, 7], [0, 4]]
    assert next(batches(8, 30, **where)).tolist() == [0, 4, 7, 6, 5, 3, 2, 1]


# What is what -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        *((v, False) for v in (None, X, X.tolist(), (X, X), {"x": X}, tf.constant(X), "x", b"x")),
        (np.ma.masked_array(X), False),
        (memoryview(X), False),
        (tf.data.Dataset.from_tensors(X), True),
        (Dataset(), True),
        (iter([X]), True),
        ((x for x in [X]), True),
        (map(str, [1]), True),
    ],
    ids=lambda v: type(v).__name__,
)
def test_streams_are_told_from_arrays(values, expected):
    assert is_stream(values) is expected


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        (X, (X, None, None)),
        ((X,), (X, None, None)),
        ([X], (X, None, None)),
        ((X, 1), (X, 1, None)),
        ([X, 1], (X, 1, None)),
        ((X, None, 2), (X, None, 2)),
        ({"x": X}, ({"x": X}, None, None)),
        (({"x": X}, 1), ({"x": X}, 1, None)),
        (((X, X), 1), ((X, X), 1, None)),
    ],
    ids=lambda v: "",
)
def test_a_batch_is_unpacked_in_any_form(batch, expected):
    found = unpack(batch)
    assert len(found) == 3
    tf.nest.map_structure(lambda a, b: np.testing.assert_array_equal(a, b), found, expected)


def test_lengths():
    dataset = tf.data.Dataset.from_tensor_slices(X)
    for source, expected in {
        "known": (dataset.batch(4), 3),
        "endless": (dataset.repeat(), -1),
        "unknown": (dataset.filter(lambda x: True), None),
        "PyDataset": (Dataset(), 3),
        "endless PyDataset": (Dataset(None), -1),
        "generator": ((x for x in X), None),
    }.values():
        assert length(source) == expected


@pytest.mark.parametrize(
    ("steps", "most", "size"), [(65, 64, 33), (64, 64, 64), (1, 64, 1), (130, 64, 44), (7, 3, 3)]
)
def test_calls_of_one_size(steps, most, size):
    assert even(steps, most) == size <= most
    assert -(-steps // size) == -(-steps // most), "as few calls as can be"


# Rows ---------------------------------------------------------------------------------------------


class Calls:
    """In the place of ManySteps: notes which rows each call is given."""

    def __init__(self):
        self.calls = []

    def one(self, batch):
        self.calls.append([batch[0][:, 0].numpy().tolist()])

    def on_rows(self, arrays, full, count, short=None):
        rows = [*full[:count]] + ([] if short is None else [short])
        assert full.dtype == np.int32 and len(full) > count - 1
        self.calls.append([np.asarray(arrays[0])[r, 0].tolist() for r in rows])


@pytest.mark.parametrize("most", [1, 2, 64])
@pytest.mark.parametrize("steps", [None, 1, 2, 3, 4, 7])
def test_blocks_of_rows_are_the_order_cut_into_steps(steps, most):
    """Whatever the block: the same batches; an epoch of so many; the next goes on."""
    calls = Calls()
    blocks = Rows((X,), 4, steps, "fit").training(calls, True, 3, 0)
    sizes = []
    for _ in range(2):
        epoch = [(size, run()) for size, run in blocks.epoch(most)]
        sizes.append([size for size, _ in epoch])
    asked = steps or 3
    assert all(sum(epoch) == asked and max(epoch) <= most for epoch in sizes)
    assert [len(call) for call in calls.calls] == sum(sizes, [])
    every = itertools.islice(batches(11, 4, shuffle=True, seed=3, first_step=0), 2 * asked)
    assert sum(calls.calls, []) == [rows.tolist() for rows in every]


def test_rows_in_order_and_split():
    rows = Rows((X, None, X[:, 0]), 4, None, "evaluate")
    assert [len(b[0]) for b in rows.in_order()] == [4, 4, 3] and rows.steps == 3
    assert all(b[1] is None for b in rows.in_order())
    assert [len(b[0]) for b in Rows((X,), 4, 2, "").in_order()] == [4, 4]
    assert [len(b[0]) for b in Rows((X,), 4, 9, "").in_order()] == [4, 4, 3]
    kept, held_out = rows.split(0.2, None, None)
    np.testing.assert_array_equal(kept.arrays[0], X[:8])
    np.testing.assert_array_equal(held_out.arrays[2], X[8:, 0])
    assert kept.arrays[1] is None and held_out.batch_size == EVALUATION_BATCH
    for fraction in (0.0, 0.99):
        with pytest.raises(ValueError, match=f"validation_split={fraction} with 11"):
            rows.split(fraction, None, None)


def test_rows_for_the_loop_of_keras_are_the_same_batches():
    rows = Rows((X,), 4, None, "fit")
    once = [b[0][:, 0].numpy().tolist() for b in rows.for_keras()]
    assert once == [b[0][:, 0].numpy().tolist() for b in rows.in_order()]
    endless = rows.for_keras(lambda: 3, shuffle=True, seed=5)
    found = [b[0][:, 0].numpy().tolist() for b in endless.take(6)]
    every = itertools.islice(batches(11, 4, shuffle=True, seed=5, first_step=3), 6)
    assert found == [b.tolist() for b in every]


# Streams ------------------------------------------------------------------------------------------


def check(batch):
    return (tf.convert_to_tensor(unpack(batch)[0]),)


def numbers(stream):
    return [int(batch[0][0, 0]) for batch in stream.in_order()]


SOURCES = {
    "generator": lambda: (X[i : i + 1] for i in range(5)),
    "iterator": lambda: iter([X[i : i + 1] for i in range(5)]),
    "tf.data": lambda: tf.data.Dataset.from_tensor_slices(X[:5]).batch(1),
    "tf.data iterator": lambda: iter(tf.data.Dataset.from_tensor_slices(X[:5]).batch(1)),
    "numpy iterator": lambda: (
        tf.data.Dataset.from_tensor_slices(X[:5]).batch(1).as_numpy_iterator()
    ),
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_look_at_the_first_batch_loses_nothing(name):
    stream = Stream(SOURCES[name](), None, check, "fit")
    stream.check_first()
    assert numbers(stream) == [0, 1, 2, 3, 4]
    assert numbers(stream) == ([0, 1, 2, 3, 4] if name == "tf.data" else [])


def test_the_first_batch_is_checked_before_anything_runs():
    def refuse(batch):
        raise ValueError("a bad batch")

    with pytest.raises(ValueError, match="bad batch"):
        Stream(SOURCES["tf.data"](), None, refuse, "validation_data").check_first()
    with pytest.raises(ValueError, match="validation_data.*is empty"):
        Stream(iter([]), None, check, "validation_data").check_first()


@pytest.mark.parametrize("name", SOURCES)
def test_with_steps_an_epoch_goes_on_where_the_last_one_ended(name):
    stream = Stream(SOURCES[name](), 2, check, "fit")
    assert [numbers(stream) for _ in range(2)] == [[0, 1], [2, 3]]
    with pytest.warns(UserWarning, match="ended after 1 of 2"):
        assert numbers(stream) == [4]
    assert numbers(stream) == ([0, 1] if name == "tf.data" else [])


@pytest.mark.parametrize("name", SOURCES)
def test_an_epoch_that_ends_with_the_stream_is_followed_by_the_next_pass(name):
    """Not by an epoch without a step, or by the end of training, whether its length is known."""
    stream = Stream(SOURCES[name](), 5, check, "fit")
    assert numbers(stream) == [0, 1, 2, 3, 4]
    assert numbers(stream) == ([0, 1, 2, 3, 4] if name == "tf.data" else [])
    unknown = SOURCES["tf.data"]().filter(lambda x: True)
    stream = Stream(unknown, 1, check, "fit")
    assert [numbers(stream) for _ in range(7)] == [[0], [1], [2], [3], [4], [0], [1]]


@pytest.mark.parametrize("source", [lambda: Dataset(None), lambda: SOURCES["tf.data"]().repeat()])
def test_what_has_no_end_needs_steps(source):
    with pytest.raises(ValueError, match=r"has no end.*steps_per_epoch"):
        Stream(source(), None, check, "fit")
    assert len(list(itertools.islice(Stream(source(), 2, check, "fit").in_order(), 5))) == 2


@pytest.mark.parametrize("options", [{}, {"workers": 3}, {"workers": 2, "max_queue_size": 1}])
def test_a_py_dataset_comes_in_order_whoever_prepares_it(options):
    dataset = Dataset(**options)
    for _ in range(2):
        found = [int(batch[0][0, 0]) for batch in items(dataset)]
        assert found == [0, 4, 8]
    assert dataset.calls == 2 * ["begin", "end"]


class Stacks(Calls):
    def on_stacked(self, stacked, count):
        self.calls.append(stacked[0].numpy()[:count, :, 0].tolist())
        self.padded = len(stacked[0])


@pytest.mark.parametrize("most", [1, 2, 64])
def test_batches_of_a_stream_are_stacked_with_their_like(most):
    """Two of four rows, one of two, two of four: nothing is mixed, and nothing left out."""
    parts = [X[:4], X[4:8], X[8:10], X[:4], X[4:8]]
    stacks = Stacks()
    stream = Stream(iter([(part,) for part in parts]), None, check, "fit")
    sizes = [(size, run()) for size, run in stream.training(stacks).epoch(most)]
    assert sum(size for size, _ in sizes) == 5 and max(size for size, _ in sizes) <= most
    assert sum(stacks.calls, []) == [part[:, 0].tolist() for part in parts]
    if most == 64:
        assert [len(call) for call in stacks.calls] == [2, 1, 2] and stacks.padded == most


def test_a_source_that_counts_and_does_not_end_by_itself_ends_with_its_count():
    """Python's old protocol would go on until an IndexError."""

    class Counted:
        def __len__(self):
            return 3

        def __getitem__(self, index):
            assert index < 9, "it goes on"
            return np.full((2, 1), index)

    stream = Stream(Counted(), None, lambda batch: (batch,), "fit")
    assert [int(x[0, 0]) for (x,) in stream.in_order()] == [0, 1, 2]


def test_a_pydataset_is_shuffled_in_training_alone_and_as_its_length_is():
    """In an order of (seed, batches seen), a new one each epoch."""

    class Growing(Dataset):
        def __getitem__(self, index):
            return (np.full((2, 1), index),)

        def on_epoch_end(self):
            self._number += 1

    def epochs(first_step, seed=5, shuffle=True, count=6):
        stream = Stream(Growing(count), None, lambda batch: batch, "fit")
        if shuffle is not None:
            stream.training(None, shuffle=shuffle, seed=seed, first_step=first_step)
        return [[int(x[0, 0]) for x, *_ in stream.in_order()] for _ in range(3)]

    found = epochs(0)
    assert [sorted(epoch) for epoch in found] == [list(range(n)) for n in (6, 7, 8)]
    assert found[0] != list(range(6)) and found[1][:6] != found[0]
    assert epochs(6, count=7)[:2] == found[1:] and epochs(0, seed=6) != found
    for shuffle in (False, None):
        assert epochs(0, shuffle=shuffle) == [list(range(n)) for n in (6, 7, 8)]
