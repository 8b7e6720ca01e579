"""The course's data: 8×8 digits that come with it, and MNIST through Keras's own loader.

Grey values lie in [0, 1]. A Bernoulli likelihood wants binary pixels, and how they are made changes
every figure by nats, so the choice is always written down:

| `binarise` | pixels | for |
|---|---|---|
| `None` | the grey values themselves | Gaussian likelihoods |
| `"fixed"` | drawn once, Bernoulli(grey value), by a stated seed | comparing and evaluating |
| a stream, `fresh_batches` | drawn anew at every use | training as Burda et al. (2015) did |

Labels come twice: `y`, one-hot, for the conditional models, and `labels`, integers, for everything
else.
"""

from __future__ import annotations

import itertools
import os
import socket
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

__all__ = [
    "Dataset",
    "Split",
    "binarise",
    "digits",
    "fresh_batches",
    "has_mnist",
    "labelled_subset",
    "mixed_batches",
    "mnist",
]

_CHUNK = 4096  # rows drawn at a time, so that memory stays small


class Split(NamedTuple):
    """Rows of a data set.

    Attributes:
        x: pixels, float32 in [0, 1], [N, D], or [N, H, W, 1] when asked for images.
        y: labels one-hot, float32 [N, C].
        labels: labels as integers, int32 [N].
    """

    x: np.ndarray
    y: np.ndarray
    labels: np.ndarray


class Dataset(NamedTuple):
    """A data set in three disjoint splits, and how it was made.

    Attributes:
        train, validation, test: each a `Split`.
        all: every row, in the order of the file.
        name: "digits" or "mnist".
        image_shape: height and width of an image in pixels, (H, W).
        binarisation: None (grey values) or "fixed".
    """

    train: Split
    validation: Split
    test: Split
    all: Split
    name: str
    image_shape: tuple[int, int]
    binarisation: str | None


def digits(binarise=None, image=False, seed=0):
    """Loads the 1,797 handwritten digits of 8×8 pixels that come with the course.

    1,197 images train, 300 validate and 300 test, each digit in equal proportion (scikit-learn's
    stratified `train_test_split`, twice). A grey value is the file's count of dark points, 0 to 16,
    over 16.

    Args:
        binarise: None for grey values in [0, 1]; "fixed" for one draw of Bernoulli(grey value).
        image: False for rows [N, 64], True for images [N, 8, 8, 1].
        seed: an integer; decides the split and the draw.

    Returns:
        A `Dataset`.

    Raises:
        ValueError: if `binarise` is neither None nor "fixed".
        FileNotFoundError: if the bundled file is not there.

    Example:
        >>> data = digits()
        >>> data.train.x.shape, data.train.y.shape, data.all.x.shape
        ((1197, 64), (1197, 10), (1797, 64))

    Source: E. Alpaydin and C. Kaynak (1998), Optical Recognition of Handwritten Digits (UCI); see
    data/README.md.
    """
    from sklearn.model_selection import train_test_split

    with np.load(_bundled("digits.npz")) as file:
        grey, labels = file["pixels"] / np.float32(16), file["labels"]
    rows = np.arange(len(labels))
    train, test = train_test_split(rows, test_size=300, stratify=labels, random_state=seed)
    train, validation = train_test_split(
        train, test_size=300, stratify=labels[train], random_state=seed
    )
    return _dataset(
        "digits", grey, labels, (8, 8), (train, validation, test), binarise, image, seed
    )


def mnist(binarise=None, image=False, seed=0):
    """Loads MNIST, 70,000 handwritten digits of 28×28 pixels, through Keras's own loader.

    The split is the usual one: of Keras's 60,000 training images the first 50,000 train and the
    last 10,000 validate; its 10,000 test images test. Keras downloads the file (11 MB) once and
    finds it again under `KERAS_HOME`.

    Args:
        binarise: None for grey values in [0, 1]; "fixed" for one draw of Bernoulli(grey value).
        image: False for rows [N, 784], True for images [N, 28, 28, 1].
        seed: an integer; decides the draw.

    Returns:
        A `Dataset`.

    Raises:
        ValueError: if `binarise` is neither None nor "fixed".
        FileNotFoundError: if the file is absent, or not the right one, and cannot be downloaded.

    Example:
        >>> data = mnist(binarise="fixed")  # doctest: +SKIP
        >>> data.train.x.shape, data.validation.x.shape, data.test.x.shape  # doctest: +SKIP
        ((50000, 784), (10000, 784), (10000, 784))

    Source: Y. LeCun and C. Cortes; the split of Burda et al. (2015) and Kingma et al. (2014).
    """
    _check_binarise(binarise)  # before the download
    (x, labels), (x_test, labels_test) = _load_mnist()
    grey = np.concatenate([x, x_test]).reshape(-1, 784) / np.float32(255)
    labels = np.concatenate([labels, labels_test])
    splits = (slice(0, 50_000), slice(50_000, 60_000), slice(60_000, 70_000))
    return _dataset("mnist", grey, labels, (28, 28), splits, binarise, image, seed)


def binarise(x, seed):
    """Draws binary pixels once: each is 1 with the probability that its grey value states.

    Args:
        x: grey values in [0, 1], [N, ...].
        seed: an integer; the same seed gives the same draw.

    Returns:
        Zeros and ones, float32, of the shape of x.

    Raises:
        ValueError: if x is empty or holds a value outside [0, 1].

    Example:
        >>> binarise(np.array([[0.0, 1.0]]), seed=0).tolist()
        [[0.0, 1.0]]
    """
    x = _grey(x)
    rng = np.random.default_rng(seed)
    drawn = np.empty(x.shape, np.float32)
    for start in range(0, len(x), _CHUNK):
        chunk = x[start : start + _CHUNK]
        drawn[start : start + _CHUNK] = rng.random(chunk.shape, np.float32) < chunk
    return drawn


def fresh_batches(x, y=None, *, batch_size, seed=0, shuffle=True, first_epoch=0):
    """Streams batches whose binary pixels are drawn anew at every use, for `model.fit`.

    The draw and the order are a function of (seed, epoch). A pass over the stream is an epoch: the
    first is number `first_epoch`, and every later pass, by `fit` or by hand, counts one up. So a
    new stream with the same seed replays the same data, and one that starts at `first_epoch=k` goes
    on where k epochs ended.

    Args:
        x: grey values in [0, 1], [N, ...].
        y: what goes with them, one row for each, or None.
        batch_size: rows in a batch; the last batch is shorter where N does not divide.
        seed: an integer.
        shuffle: whether every epoch has its own order; False keeps the order of the rows.
        first_epoch: the number of the first pass.

    Returns:
        A `tf.data.Dataset` of known cardinality. Elements are `(x,)`, or `(x, y)` where y is given;
        x is float32 [B, ...].

    Raises:
        ValueError: if x is empty or outside [0, 1], y has another length, or batch_size is not
            positive.

    Example:
        >>> grey = digits().train
        >>> stream = fresh_batches(grey.x, grey.y, batch_size=64, seed=0)
        >>> int(stream.cardinality())
        19

    Source: Burda, Grosse & Salakhutdinov (2015), Importance weighted autoencoders, section 5.
    """
    x = _grey(x)
    if y is not None and len(y) != len(x):
        raise ValueError(f"y has {len(y)} rows and x has {len(x)}; give one y for each x.")
    if int(batch_size) != batch_size or batch_size < 1:
        raise ValueError(
            f"batch_size is {batch_size!r}; expected a whole number of rows, 1 or more."
        )
    if not all(isinstance(n, (int, np.integer)) and n >= 0 for n in (seed, first_epoch)):
        raise ValueError(
            f"seed is {seed!r} and first_epoch is {first_epoch!r}; expected whole numbers, "
            "0 or more."
        )
    batch_size = int(batch_size)
    columns = [x]
    if y is not None:
        y = np.asarray(y)
        columns.append(y.astype(np.float32) if y.dtype == np.float64 else y)  # as fit does
    epochs = itertools.count(first_epoch)  # all the state there is

    def draw_epoch():
        rng = np.random.default_rng([seed, next(epochs)])
        rows = rng.permutation(len(x)) if shuffle else np.arange(len(x))
        for start in range(0, len(x), batch_size):
            grey, *rest = (column[rows[start : start + batch_size]] for column in columns)
            yield (rng.random(grey.shape, np.float32) < grey).astype(np.float32), *rest

    stream = tf.data.Dataset.from_generator(
        draw_epoch,
        output_signature=tuple(tf.TensorSpec([None, *c.shape[1:]], c.dtype) for c in columns),
    )
    stream = stream.apply(tf.data.experimental.assert_cardinality(-(-len(x) // batch_size)))
    options = tf.data.Options()  # tuning so plain a pipeline anew at every pass doubles its cost
    options.experimental_optimization.apply_default_optimizations = False
    options.autotune.enabled = False
    return stream.prefetch(2).with_options(options)


def _check_binarise(binarise):
    if binarise == "fresh":
        raise ValueError(
            'binarise="fresh" came; pixels that change at every use are a stream, not an array. '
            "Load the grey values with binarise=None and pass "
            "fresh_batches(data.train.x, data.train.y, batch_size=...) to fit."
        )
    if binarise is not None and binarise != "fixed":
        raise ValueError(
            f"binarise is {binarise!r}; expected None (grey values in [0, 1]) or "
            '"fixed" (one draw of zeros and ones).'
        )


def _dataset(name, grey, labels, image_shape, splits, binarisation, image, seed):
    _check_binarise(binarisation)
    x = grey if binarisation is None else binarise(grey, seed)
    if image:
        x = x.reshape(-1, *image_shape, 1)
    labels = labels.astype(np.int32)
    everything = Split(x, np.eye(10, dtype=np.float32)[labels], labels)
    parts = (Split(*(column[rows] for column in everything)) for rows in splits)
    return Dataset(*parts, everything, name, image_shape, binarisation)


def _grey(x):  # checked grey values, float32
    x = np.asarray(x, np.float32)
    if x.ndim < 2 or x.size == 0:
        raise ValueError(
            f"x has shape {x.shape}; expected at least one row, [N, D] or [N, H, W, 1]."
        )
    low, high = x.min(), x.max()
    if not (low >= 0 and high <= 1):  # NaN fails too
        raise ValueError(
            f"x holds values from {low} to {high}; expected grey values in [0, 1], "
            "the probabilities of a pixel being 1: divide by the greatest value a pixel can have."
        )
    return x


def _bundled(filename):
    here = Path(__file__).resolve().parent
    places = [here / "data" / filename, here.parent / "data" / filename]
    for place in places:
        if place.is_file():
            return place
    raise FileNotFoundError(
        f"{filename} is not in {places[0].parent} or {places[1].parent}, where the course keeps "
        "its data; restore the file from the course's repository (data/README.md also says how to "
        "make it again)."
    )


def _load_mnist():
    import keras

    path = _mnist_path()
    found = path.exists()
    waited = socket.getdefaulttimeout()
    socket.setdefaulttimeout(5.0)  # seconds without an answer; Keras itself would wait for minutes
    try:
        return keras.datasets.mnist.load_data()
    except Exception as error:
        came = (
            f"The file {path} is there, but is not the MNIST file that Keras expects,"
            if found
            else f"The MNIST file was looked for at {path} and is not there,"
        )
        raise FileNotFoundError(
            f"{came} and downloading it failed ({error}). Either connect to the network and try "
            "again, or copy mnist.npz to that place, or set the environment variable KERAS_HOME, "
            "before Python starts, to a folder you may write to that holds datasets/mnist.npz. "
            "Without MNIST, datasets.digits() always works."
        ) from error
    finally:
        socket.setdefaulttimeout(waited)


def _mnist_path():
    # Where Keras looks: KERAS_HOME, else ~/.keras; a temporary folder if that is not writable.
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras").expanduser()
    if not os.access(home, os.W_OK):
        home = Path("/tmp" if os.path.isdir("/tmp") else tempfile.gettempdir()) / ".keras"
    return home / "datasets" / "mnist.npz"


def has_mnist():
    """Whether the file of `mnist` is on this machine, so that nothing would be downloaded.

    Returns:
        bool.

    Example:
        >>> data = mnist() if has_mnist() else digits()
    """
    return _mnist_path().is_file()


def labelled_subset(labels, per_class, seed=0):
    """Hides all labels but a few of each class, drawn at random.

    Args:
        labels: integers ≥ 0, [N].
        per_class: how many labels of each class stay.
        seed: an integer; decides which.

    Returns:
        int32 [N]: the label of `per_class` rows of every class, −1 elsewhere.

    Raises:
        ValueError: if labels are not integers ≥ 0, or a class has fewer than `per_class` rows.

    Example:
        >>> labelled_subset(np.array([0, 0, 1, 1]), per_class=2).tolist()
        [0, 0, 1, 1]

    Source: Kingma, Mohamed, Rezende & Welling (2014), section 4.1: class-balanced labels.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer) or np.any(labels < 0):
        raise ValueError(
            f"labels has shape {labels.shape} and dtype {labels.dtype}; expected integers ≥ 0, [N] "
            "(from one-hot rows: y.argmax(1))."
        )
    classes, counts = np.unique(labels, return_counts=True)
    smallest = min(counts, default=0)
    if int(per_class) != per_class or not 1 <= per_class <= smallest:
        raise ValueError(
            f"per_class is {per_class!r}; expected a whole number from 1 to {smallest}, the size "
            "of the smallest class."
        )
    rng = np.random.default_rng(seed)
    kept = np.full(len(labels), -1, np.int32)
    for c in classes:
        rows = rng.permutation(np.flatnonzero(labels == c))[: int(per_class)]
        kept[rows] = c
    return kept


def mixed_batches(x, labels, *, batch_size, labelled_per_batch, seed=0, first_epoch=0):
    """Streams minibatches with a stated number of labelled rows in each, for `M2.fit`.

    An epoch is one pass over the unlabelled rows; the last batch is filled up with the epoch's
    first ones. The labelled rows go round as often as it takes, in a new order every round, and
    come first in each batch. As in `fresh_batches` the order is a function of (seed, epoch), and
    every pass over the stream counts one epoch up from `first_epoch`.

    Args:
        x: what is observed, [N, ...].
        labels: integers, [N]; −1 for unlabelled.
        batch_size: rows in a batch, M_l + M_u.
        labelled_per_batch: the labelled ones among them, M_l.
        seed: an integer.
        first_epoch: the number of the first pass.

    Returns:
        A `tf.data.Dataset` of known cardinality. Elements are (x [B, ...], labels int32 [B]).

    Raises:
        ValueError: if lengths differ, a batch would not hold both kinds, or one kind is missing.

    Example:
        >>> train = digits().train
        >>> labels = labelled_subset(train.labels, per_class=5)
        >>> stream = mixed_batches(train.x, labels, batch_size=100, labelled_per_batch=20)
        >>> int(stream.cardinality())
        15
    """
    x, labels = np.asarray(x), np.asarray(labels)
    if labels.shape != x.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"labels has shape {labels.shape} and dtype {labels.dtype}, and x has shape {x.shape}; "
            "expected one integer for each x, −1 for unlabelled."
        )
    labelled, unlabelled = np.flatnonzero(labels >= 0), np.flatnonzero(labels < 0)
    if not (len(labelled) and len(unlabelled)):
        raise ValueError(
            f"There are {len(labelled)} labelled and {len(unlabelled)} unlabelled rows; expected "
            "some of both. Where all are of one kind, pass the arrays to fit."
        )
    if not 0 < labelled_per_batch < batch_size:
        raise ValueError(
            f"labelled_per_batch is {labelled_per_batch} and batch_size is {batch_size}; expected "
            "0 < labelled_per_batch < batch_size, so that a batch holds both kinds."
        )
    unlabelled_per_batch = batch_size - labelled_per_batch
    num_batches = -(-len(unlabelled) // unlabelled_per_batch)
    x = x.astype(np.float32) if x.dtype == np.float64 else x  # as fit does
    labels = labels.astype(np.int32)
    epochs = itertools.count(first_epoch)

    def rounds(rng, rows, size):
        count = -(-size // len(rows))
        return np.concatenate([rng.permutation(rows) for _ in range(count)])[:size]

    def draw_epoch():
        rng = np.random.default_rng([seed, next(epochs)])
        hidden = np.resize(rng.permutation(unlabelled), [num_batches, unlabelled_per_batch])
        seen = rounds(rng, labelled, num_batches * labelled_per_batch)
        batches = np.concatenate([seen.reshape(num_batches, -1), hidden], 1)
        for first in range(0, num_batches, 16):  # each visit from tf.data costs half a millisecond
            rows = batches[first : first + 16]
            yield x[rows], labels[rows]

    stream = tf.data.Dataset.from_generator(
        draw_epoch,
        output_signature=(
            tf.TensorSpec([None, batch_size, *x.shape[1:]], x.dtype),
            tf.TensorSpec([None, batch_size], tf.int32),
        ),
    )
    stream = stream.unbatch().apply(tf.data.experimental.assert_cardinality(num_batches))
    options = tf.data.Options()
    options.experimental_optimization.apply_default_optimizations = False
    options.autotune.enabled = False
    return stream.prefetch(2).with_options(options)
