"""The data: sizes, splits, and what binarisation does to a pixel."""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cvae_tf import datasets

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def digits():
    return datasets.digits()


def parts(data):
    return data.train, data.validation, data.test


def test_the_bundled_file_is_scikit_learns_and_the_datasheet_describes_it():
    from sklearn.datasets import load_digits

    path = ROOT / "data" / "digits.npz"
    with np.load(path) as file:
        pixels, labels = file["pixels"], file["labels"]
    assert pixels.dtype == labels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, load_digits().data)
    np.testing.assert_array_equal(labels, load_digits().target)
    assert stated_sums("digits.npz") == [
        hashlib.sha256(path.read_bytes()).hexdigest(),
        hashlib.sha256(pixels.tobytes() + labels.tobytes()).hexdigest(),
    ]


def stated_sums(name):
    sheet = (ROOT / "data" / "README.md").read_text("utf-8")
    section = next(part for part in sheet.split("\n## ") if part.startswith(f"`{name}`"))
    return re.findall(r"`([0-9a-f]{64})`", section)[-2:]


@pytest.fixture(scope="module")
def bundled_mnist():
    with np.load(ROOT / "data" / "mnist_10k.npz") as file:
        return dict(file)


def test_the_datasheet_describes_the_bundled_mnist(bundled_mnist):
    path, file = ROOT / "data" / "mnist_10k.npz", bundled_mnist
    assert path.stat().st_size < 2_000_000
    numbers = b"".join(file[name].tobytes() for name in ("pixels", "labels", "rows"))
    assert stated_sums("mnist_10k.npz") == [
        hashlib.sha256(path.read_bytes()).hexdigest(),
        hashlib.sha256(numbers).hexdigest(),
    ]
    sheet = (ROOT / "data" / "README.md").read_text("utf-8")
    for rows in (slice(0, 8_000), slice(8_000, None)):
        assert ", ".join(map(str, np.bincount(file["labels"][rows]))) in sheet


def test_the_bundled_mnist_is_a_stratified_part_of_the_whole(bundled_mnist):
    pixels, labels, rows = (bundled_mnist[k] for k in ("pixels", "labels", "rows"))
    assert len(set(rows)) == 10_000 and ((rows < 60_000) == (np.arange(10_000) < 8_000)).all()
    if not datasets.has_mnist():
        pytest.skip("MNIST's whole file is not here")
    whole = datasets.mnist().all
    np.testing.assert_array_equal(pixels / np.float32(255), whole.x[rows])
    np.testing.assert_array_equal(labels, whole.labels[rows])
    for mine, its in ((slice(8_000), slice(60_000)), (slice(8_000, None), slice(60_000, None))):
        share = np.bincount(whole.labels[its]) / len(whole.labels[its])
        assert np.abs(np.bincount(labels[mine]) - share * len(labels[mine])).max() <= 1


def test_splits_of_the_bundled_mnist(bundled_mnist):
    data, other = datasets.mnist_10k(), datasets.mnist_10k("fixed", image=True, seed=1)
    assert [part.x.shape for part in parts(data)] == [(7000, 784), (1000, 784), (2000, 784)]
    assert other.test.x.shape == (2000, 28, 28, 1) and set(np.unique(other.all.x)) == {0.0, 1.0}
    both = np.concatenate([data.train.x, data.validation.x])
    order = lambda rows: rows[np.lexsort(rows.T)]  # noqa: E731
    np.testing.assert_array_equal(order(both), order(data.all.x[:8_000]))
    np.testing.assert_array_equal(data.test.x, bundled_mnist["pixels"][8_000:] / np.float32(255))
    np.testing.assert_array_equal(data.test.labels, other.test.labels)  # whatever the seed
    assert not np.array_equal(data.train.labels, other.train.labels)
    share = np.bincount(data.all.labels[:8_000]) / 8_000
    assert np.abs(np.bincount(data.validation.labels) - share * 1_000).max() <= 1
    assert (data.name, data.image_shape) == ("mnist_10k", (28, 28, 1))


def test_splits_are_disjoint_complete_and_stratified(digits):
    assert [len(part.x) for part in parts(digits)] == [1197, 300, 300]
    rows = np.concatenate([np.column_stack([part.x, part.labels]) for part in parts(digits)])
    everything = np.column_stack([digits.all.x, digits.all.labels])
    assert len(np.unique(everything, axis=0)) == 1797  # no image twice, so rows identify images
    np.testing.assert_array_equal(np.unique(rows, axis=0), np.unique(everything, axis=0))
    share = np.bincount(digits.all.labels) / 1797
    for part in parts(digits):
        assert np.abs(np.bincount(part.labels) - share * len(part.labels)).max() <= 1


def test_types_and_encodings(digits):
    for part in (*parts(digits), digits.all):
        assert part.x.dtype == part.y.dtype == np.float32 and part.labels.dtype == np.int32
        assert part.x.min() == 0 and part.x.max() == 1
        np.testing.assert_array_equal(part.y.argmax(1), part.labels)
        np.testing.assert_array_equal(part.y.sum(1), 1)
    images = datasets.digits(image=True)
    assert images.train.x.shape == (1197, 8, 8, 1)
    np.testing.assert_array_equal(images.test.x.reshape(-1, 64), digits.test.x)


def test_the_seed_decides_the_split_and_the_draw(digits):
    np.testing.assert_array_equal(datasets.digits(seed=0).train.x, digits.train.x)
    other = datasets.digits(seed=1)
    assert not np.array_equal(other.train.labels, digits.train.labels)
    np.testing.assert_array_equal(other.all.x, digits.all.x)
    fixed = datasets.digits(binarise="fixed")
    np.testing.assert_array_equal(fixed.all.x, datasets.digits(binarise="fixed").all.x)
    assert not np.array_equal(fixed.all.x, datasets.digits(binarise="fixed", seed=1).all.x)
    np.testing.assert_array_equal(fixed.train.labels, digits.train.labels)
    assert set(np.unique(fixed.all.x)) == {0.0, 1.0}
    assert (digits.binarisation, fixed.binarisation) == (None, "fixed")


def within_standard_errors(mean, probability, count, errors=5.5):
    """Bernoulli means against their probabilities; P(any of 10,000 beyond 5.5 errors) < 4e-4."""
    tolerance = errors * np.sqrt(probability * (1 - probability) / count)
    return np.all(np.abs(mean - probability) <= tolerance + 1e-7)


def test_fixed_binarisation_draws_each_pixel_with_its_grey_value(digits):
    draws = np.mean([datasets.binarise(digits.test.x, seed) for seed in range(400)], axis=0)
    assert within_standard_errors(draws, digits.test.x, 400)


def epochs(stream, count):
    return [[tuple(np.array(part) for part in batch) for batch in stream] for _ in range(count)]


def test_fresh_batches_cover_every_row_with_its_label(digits):
    x, y = digits.validation.x[:100], digits.validation.labels[:100]
    stream = datasets.fresh_batches(x, y, batch_size=32, seed=3)
    assert int(stream.cardinality()) == 4
    for batches in epochs(stream, 2):
        assert [len(batch_x) for batch_x, _ in batches] == [32, 32, 32, 4]
        np.testing.assert_array_equal(
            np.sort(np.concatenate([labels for _, labels in batches])), np.sort(y)
        )
    unshuffled = datasets.fresh_batches(x, y, batch_size=32, shuffle=False)
    for batches in epochs(unshuffled, 2):
        np.testing.assert_array_equal(np.concatenate([labels for _, labels in batches]), y)
    # Rows stay with their labels under shuffling: with pixels of 0 and 1 the draw is the row.
    sure = np.unpackbits(np.arange(100, dtype=np.uint8)[:, None], axis=1)
    for batch_x, number in datasets.fresh_batches(sure, np.arange(100), batch_size=32):
        np.testing.assert_array_equal(np.packbits(np.uint8(batch_x), axis=1)[:, 0], number)


def test_fresh_draws_differ_between_epochs_and_replay_with_the_seed(digits):
    x = digits.validation.x
    make = lambda **options: datasets.fresh_batches(x, batch_size=128, **options)  # noqa: E731
    first, second, third = epochs(make(seed=1, shuffle=False), 3)
    assert all(len(batch) == 1 for batch in first)
    for one, other in ((first, second), (second, third), (first[:1], first[1:2])):
        assert not np.array_equal(one[0][0], other[0][0])
    expected = np.concatenate([part for (part,) in second])
    for same in (
        epochs(make(seed=1, shuffle=False), 2)[1],
        epochs(make(seed=1, shuffle=False, first_epoch=1), 1)[0],
        epochs(datasets.fresh_batches(x, batch_size=33, seed=1, shuffle=False), 2)[1],
    ):
        np.testing.assert_array_equal(np.concatenate([part for (part,) in same]), expected)
    assert not np.array_equal(epochs(make(seed=2, shuffle=False), 1)[0][0][0], first[0][0])


def test_every_epoch_has_its_own_order():
    rows = np.zeros((50, 1))
    order = [
        np.concatenate([labels for _, labels in batches])
        for batches in epochs(datasets.fresh_batches(rows, np.arange(50), batch_size=7), 2)
    ]
    assert not np.array_equal(order[0], order[1]) and not np.array_equal(order[0], np.arange(50))


def test_fresh_draws_average_to_the_grey_value(digits):
    x = digits.test.x[:100]
    many = np.tile(x, (5, 1))  # 5 copies of each image in 60 epochs: 300 draws of each pixel
    stream = datasets.fresh_batches(many, batch_size=256, shuffle=False)
    draws = [np.concatenate([part for (part,) in batches]) for batches in epochs(stream, 60)]
    assert set(np.unique(draws[0])) == {0.0, 1.0}
    assert within_standard_errors(np.mean(draws, axis=0).reshape(5, *x.shape).mean(0), x, 300)


def test_keras_fits_on_a_fresh_stream(digits):
    import keras

    model = keras.Sequential([keras.Input([64]), keras.layers.Dense(10)])
    model.compile("sgd", keras.losses.CategoricalCrossentropy(from_logits=True))
    stream = datasets.fresh_batches(digits.test.x, digits.test.y, batch_size=128)
    history = model.fit(stream, epochs=2, verbose=0)
    assert len(history.history["loss"]) == 2 and int(model.optimizer.iterations) == 6


ROWS = np.zeros((4, 3))


def fresh(x, y=None, **options):
    return datasets.fresh_batches(x, y, **{"batch_size": 2, **options})


def mixed(labels=(0, -1, -1, -1), x=ROWS, **options):
    return datasets.mixed_batches(
        x, labels, **{"batch_size": 2, "labelled_per_batch": 1, **options}
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: datasets.digits(binarise="fresh"), "fresh_batches"),
        (lambda: datasets.digits(binarise=0.5), '0.5.*"fixed"'),
        (lambda: datasets.digits(image=1), "image=1.*True or False"),
        (lambda: datasets.digits(seed=-1), "seed=-1"),
        (lambda: datasets.digits(seed=0.0), "seed=0.0.*Write 0"),
        (lambda: datasets.mnist_10k(seed=0.5), "seed=0.5"),
        (lambda: datasets.mnist(binarise=True), 'True.*"fixed"'),
        (lambda: datasets.mnist(seed="0"), "seed='0'"),
        (lambda: datasets.digits().train.take([0.5]), "integer"),
        (lambda: datasets.digits().train.take("first"), "rows is 'first'"),
        (lambda: datasets.binarise(np.full((2, 3), 16.0), 0), r"16.0.*\[0, 1\].*divide"),
        (lambda: datasets.binarise(np.array([[np.nan]]), 0), "NaN"),
        (lambda: datasets.binarise(np.ma.masked_equal([[0.0, 1.0]], 1.0), 0), "masked"),
        (lambda: datasets.binarise([[0.5], [0.5, 0.5]], 0), "rectangular"),
        (lambda: datasets.binarise([0.5, 0.5], 0), r"rows \[N, D\]"),
        (lambda: datasets.binarise([[0.5]], None), "seed=None"),
        (lambda: fresh(np.zeros((0, 3))), r"\(0, 3\)"),
        (lambda: fresh(ROWS, np.zeros(3)), "numbers of examples: {'x': 4, 'y': 3}"),
        (lambda: fresh(ROWS, list("abcd")), "Expected numbers"),
        (lambda: fresh(ROWS, np.full(4, np.nan)), "y has NaN"),
        (lambda: fresh(ROWS, 1.0), "different numbers of examples"),
        (lambda: fresh(ROWS, batch_size=0), "batch_size=0"),
        (lambda: fresh(ROWS, batch_size=2.5), "batch_size=2.5"),
        (lambda: fresh(ROWS, seed=-1), "seed=-1"),
        (lambda: fresh(ROWS, first_epoch=True), "first_epoch=True"),
        (lambda: fresh(ROWS, shuffle="no"), "shuffle='no'"),
        (lambda: datasets.labelled_subset([0, 2**32], 1), r"4294967296.*2³¹ − 1"),
        (lambda: datasets.labelled_subset([0.0, 1.0], 1), "dtype float64"),
        (lambda: datasets.labelled_subset([0, -1], 1), "from -1 to 0"),
        (lambda: datasets.labelled_subset([], 1), r"shape \(0,\)"),
        (lambda: datasets.labelled_subset(np.eye(3, dtype=int), 1), r"y.argmax\(1\)"),
        (lambda: datasets.labelled_subset([0, 1], 2), "per_class=2.*from 1 to 1"),
        (lambda: datasets.labelled_subset([0, 1], 1.0), "per_class=1.0.*Write 1"),
        (lambda: datasets.labelled_subset([0, 1], 1, seed="x"), "seed='x'"),
        (lambda: mixed([0, -1, -1, 2**40]), "1099511627776"),
        (lambda: mixed([0, -2, -1, -1]), "from -2 to 0"),
        (lambda: mixed([0, -1, -1]), "different numbers of examples"),
        (lambda: mixed([0, 1, 1, 0]), "4 labelled and 0 unlabelled"),
        (lambda: mixed(labelled_per_batch=2), "labelled_per_batch=2.*from 1 to 1"),
        (lambda: mixed(batch_size=2.0), "batch_size=2.0"),
        (lambda: mixed(first_epoch=-1), "first_epoch=-1"),
        (lambda: mixed(x=np.full((4, 3), np.inf)), "infinite"),
        (lambda: mixed(x=np.full((4, 3), 1e300)), "too large for float32"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises((TypeError, ValueError, IndexError), match=message):
        call()


def test_a_split_unpacks_and_is_cut(digits):
    x, y, labels = digits.test
    assert x is digits.test.x and y is digits.test[1] and labels is digits.test.labels
    assert [c.shape for c in digits.test[:2]] == [(300, 64), (300, 10)]
    for rows in (slice(2, 4), [2, 3], np.arange(300) // 2 == 1):
        some = digits.test.take(rows)
        np.testing.assert_array_equal(some.labels, labels[2:4])
        np.testing.assert_array_equal(some.x, x[2:4])
    assert digits.image_shape == (8, 8, 1) and set(digits.kinds) == {"category"}
    assert digits.attribute_names[3] == "digit=3" and len(digits.attribute_names) == 10


def test_missing_bundled_file_says_where_it_belongs(monkeypatch, tmp_path):
    monkeypatch.setattr(datasets, "__file__", str(tmp_path / "cvae_tf" / "datasets.py"))
    with pytest.raises(FileNotFoundError, match=rf"digits.npz.*{tmp_path}.*README"):
        datasets.digits()


NO_NETWORK = """
import socket, time
def refuse(*arguments, **options):
    raise OSError("no network here")
socket.getaddrinfo = socket.create_connection = socket.socket.connect = refuse
from cvae_tf import datasets
start = time.monotonic()
try:
    datasets.mnist()
except FileNotFoundError as error:
    print("seconds", time.monotonic() - start)
    print("message", error)
assert socket.getdefaulttimeout() is None
"""


@pytest.mark.parametrize("content", [None, b"not MNIST"])
def test_mnist_without_file_and_network_says_what_to_do(tmp_path, content):
    place = tmp_path / "datasets" / "mnist.npz"
    if content is not None:
        place.parent.mkdir()
        place.write_bytes(content)
    environment = {**os.environ, "KERAS_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    for name in list(environment):
        if name.lower().endswith("_proxy"):
            del environment[name]
    run = subprocess.run(
        [sys.executable, "-c", NO_NETWORK], env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert float(re.search(r"seconds (\S+)", run.stdout)[1]) < 10
    message = re.search(r"message (.*)", run.stdout)[1]
    for part in (str(place), "no network here", "KERAS_HOME", "copy mnist.npz", "mnist_10k()"):
        assert part in message
    assert ("not there" in message) == (content is None)


def test_has_mnist_looks_where_mnist_looks(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    place = tmp_path / "datasets" / "mnist.npz"
    assert not datasets.has_mnist()
    place.mkdir(parents=True)
    assert not datasets.has_mnist(), "a folder is no file"
    place.rmdir()
    place.write_bytes(b"")
    assert datasets.has_mnist()


def test_real_mnist():
    home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
    if not (home / "datasets" / "mnist.npz").is_file():
        pytest.skip(
            "MNIST is not on this machine; set KERAS_HOME to a folder with datasets/mnist.npz"
        )
    data = datasets.mnist(binarise="fixed", image=True)
    assert [part.x.shape for part in parts(data)] == [
        (50_000, 28, 28, 1), (10_000, 28, 28, 1), (10_000, 28, 28, 1),
    ]  # fmt: skip
    assert np.bincount(data.test.labels).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip
    assert data.train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert set(np.unique(data.test.x)) == {0.0, 1.0}
    assert np.shares_memory(data.train.x, data.all.x)
    # The mean grey value of the 70,000 images is 0.1309; the draws' standard error is below 6e-5.
    assert abs(data.all.x.mean(dtype=np.float64) - 0.1309) < 4e-4
