"""The course's data: 8×8 digits and 10,000 of MNIST that come with it, MNIST whole through Keras.

Grey values lie in [0, 1]. A Bernoulli likelihood wants binary pixels, and how they are made changes
every figure by nats, so the choice is always written down:

| `binarise` | pixels | for |
|---|---|---|
| `None` | the grey values themselves | Gaussian likelihoods |
| `"fixed"` | drawn once, Bernoulli(grey value), by a stated seed | comparing and evaluating |
| a stream, `fresh_batches` | drawn anew at every use | training as Burda et al. (2015) did |

Labels come twice: `y`, one-hot, for the conditional models, and `labels`, integers, for everything
else. `Split` and `Dataset` hold the faces of `faces` and `photographs` too.
"""

from __future__ import annotations

import itertools
import os
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from cvae_tf import checks
from cvae_tf.checks import height_and_width as height_and_width

__all__ = [
    "BINARY", "CATEGORY", "CONTINUOUS", "Dataset", "Split", "binarise", "digits", "fresh_batches",
    "has_mnist", "height_and_width", "labelled_subset", "mixed_batches", "mnist", "mnist_10k",
]

BINARY, CONTINUOUS, CATEGORY = "binary", "continuous", "category"


@dataclass(frozen=True, eq=False)
class Split:
    """Rows of a data set. It unpacks, and is indexed, as (x, y, labels).

    Attributes:
        x: pixels, float32 in [0, 1]: rows [N, D], or images [N, H, W, C] when asked for them.
        y: what the models are given, float32 [N, A]: one-hot labels, or a face's attributes.
        labels: int32 [N] for digits; for faces the attributes as the file has them, [N, A'].
        identity: float32 [N, 12] for drawn faces, columns as in `faces.IDENTITY`; else None.

    Example:
        >>> x, y, labels = digits().test
    """

    x: np.ndarray
    y: np.ndarray
    labels: np.ndarray
    identity: np.ndarray | None = None

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter((self.x, self.y, self.labels))

    def __getitem__(self, index: Any) -> Any:
        return (self.x, self.y, self.labels)[index]

    def take(self, rows: slice | npt.ArrayLike) -> Split:
        """Some of the rows. Args: rows: indices, booleans [N] or a slice. Returns: Split."""
        if not isinstance(rows, slice):
            rows = checks.array(rows, "rows", ndim=1, dtype=None)
        identity = None if self.identity is None else self.identity[rows]
        return Split(self.x[rows], self.y[rows], self.labels[rows], identity)


class Dataset(NamedTuple):
    """A data set in three disjoint splits, and how it was made.

    Attributes:
        train, validation, test: each a `Split`.
        all: every row, in the order it was drawn or stored in; None for CelebA.
        name: such as "digits" or "drawn faces".
        image_shape: (H, W, C).
        attribute_names: one for each column of y, such as "digit=3", "smile" or "pose=left".
        kinds: BINARY (0/1), CONTINUOUS ([−1, 1]) or CATEGORY (one column of a one-hot group), for
            each column of y.
        binarisation: None (grey values or colours) or "fixed".
    """

    train: Split
    validation: Split
    test: Split
    all: Split | None
    name: str
    image_shape: tuple[int, int, int]
    attribute_names: tuple[str, ...]
    kinds: tuple[str, ...]
    binarisation: str | None = None


def digits(binarise: str | None = None, image: bool = False, seed: int = 0) -> Dataset:
    """Loads the 1,797 handwritten digits of 8×8 pixels that come with the course.

    1,197 images train, 300 validate and 300 test, each digit in equal proportion (scikit-learn's
    stratified `train_test_split`, twice). A grey value is the file's count of dark points, 0 to 16,
    over 16.

    Args:
        binarise: None for grey values in [0, 1]; "fixed" for one draw of Bernoulli(grey value).
        image: False for rows [N, 64], True for images [N, 8, 8, 1].
        seed: an integer ≥ 0; decides the split and the draw.

    Returns:
        A `Dataset`.

    Raises:
        TypeError, ValueError: if an argument is none of those.
        FileNotFoundError: if the bundled file is not there.

    Example:
        >>> data = digits()
        >>> data.train.x.shape, data.train.y.shape, data.all.x.shape
        ((1197, 64), (1197, 10), (1797, 64))

    Source: E. Alpaydin and C. Kaynak (1998), Optical Recognition of Handwritten Digits (UCI); see
    data/README.md.
    """
    from sklearn.model_selection import train_test_split

    _check_options(binarise, image, seed)
    with np.load(_bundled("digits.npz")) as file:
        grey, labels = file["pixels"] / np.float32(16), file["labels"]
    held_out: dict[str, Any] = {"test_size": 300, "random_state": seed}
    train, test = train_test_split(np.arange(len(labels)), stratify=labels, **held_out)
    train, validation = train_test_split(train, stratify=labels[train], **held_out)
    splits = train, validation, test
    return _dataset("digits", grey, labels, (8, 8, 1), splits, binarise, image, seed)


def mnist_10k(binarise: str | None = None, image: bool = False, seed: int = 0) -> Dataset:
    """Loads the 10,000 MNIST images of 28×28 pixels that come with the course.

    Of 8,000 of MNIST's training images 7,000 train and 1,000 validate; 2,000 of its test images
    test. Each split has the digits in MNIST's own proportions (scikit-learn's stratified
    `train_test_split`).

    Args:
        binarise: None for grey values in [0, 1]; "fixed" for one draw of Bernoulli(grey value).
        image: False for rows [N, 784], True for images [N, 28, 28, 1].
        seed: an integer ≥ 0; decides which 7,000 train, and the draw.

    Returns:
        A `Dataset`.

    Raises:
        TypeError, ValueError: if an argument is none of those.
        FileNotFoundError: if the bundled file is not there.

    Example:
        >>> data = mnist_10k(binarise="fixed")
        >>> data.train.x.shape, data.validation.x.shape, data.test.x.shape
        ((7000, 784), (1000, 784), (2000, 784))

    Source: Y. LeCun and C. Cortes; which of their images, and the licence: data/README.md.
    """
    from sklearn.model_selection import train_test_split

    _check_options(binarise, image, seed)
    with np.load(_bundled("mnist_10k.npz")) as file:
        grey, labels = file["pixels"] / np.float32(255), file["labels"]
    train, validation = train_test_split(
        np.arange(8_000), test_size=1_000, stratify=labels[:8_000], random_state=seed
    )
    splits = train, validation, slice(8_000, 10_000)
    return _dataset("mnist_10k", grey, labels, (28, 28, 1), splits, binarise, image, seed)


def mnist(binarise: str | None = None, image: bool = False, seed: int = 0) -> Dataset:
    """Loads MNIST, 70,000 handwritten digits of 28×28 pixels, through Keras's own loader.

    The split is the usual one: of Keras's 60,000 training images the first 50,000 train and the
    last 10,000 validate; its 10,000 test images test. Keras downloads the file (11 MB) once and
    finds it again under `KERAS_HOME`.

    Args:
        binarise: None for grey values in [0, 1]; "fixed" for one draw of Bernoulli(grey value).
        image: False for rows [N, 784], True for images [N, 28, 28, 1].
        seed: an integer ≥ 0; decides the draw.

    Returns:
        A `Dataset`.

    Raises:
        TypeError, ValueError: if an argument is none of those.
        FileNotFoundError: if the file is absent, or not the right one, and cannot be downloaded.

    Example:
        >>> data = mnist(binarise="fixed")  # doctest: +SKIP
        >>> data.train.x.shape, data.validation.x.shape, data.test.x.shape  # doctest: +SKIP
        ((50000, 784), (10000, 784), (10000, 784))

    Source: Y. LeCun and C. Cortes; the split of Kingma et al. (2014).
    """
    _check_options(binarise, image, seed)  # before the download
    (x, labels), (x_test, labels_test) = _load_mnist()
    grey = np.concatenate([x, x_test]).reshape(-1, 784) / np.float32(255)
    labels = np.concatenate([labels, labels_test])
    splits = (slice(0, 50_000), slice(50_000, 60_000), slice(60_000, 70_000))
    return _dataset("mnist", grey, labels, (28, 28, 1), splits, binarise, image, seed)


def binarise(x: npt.ArrayLike, seed: int) -> np.ndarray:
    """Draws binary pixels once: each is 1 with the probability that its grey value states.

    Args:
        x: grey values in [0, 1], [N, ...].
        seed: an integer ≥ 0; the same seed gives the same draw.

    Returns:
        Zeros and ones, float32, of the shape of x.

    Raises:
        TypeError, ValueError: if x is empty or holds a value outside [0, 1].

    Example:
        >>> binarise(np.array([[0.0, 1.0]]), seed=0).tolist()
        [[0.0, 1.0]]
    """
    x = grey_values(x)
    rng = np.random.default_rng(checks.count(seed, "seed", 0))
    return (rng.random(x.shape, np.float32) < x).astype(np.float32)


def fresh_batches(
    x: npt.ArrayLike, y: npt.ArrayLike | None = None, *, batch_size: int, seed: int = 0,
    shuffle: bool = True, first_epoch: int = 0,
) -> tf.data.Dataset:
    """Streams batches whose binary pixels are drawn anew at every use, for `model.fit`.

    The draw and the order are a function of (seed, epoch). A pass over the stream is an epoch: the
    first is number `first_epoch`, and every later pass, by `fit` or by hand, counts one up. So a
    new stream with the same seed replays the same data, and one that starts at `first_epoch=k` goes
    on where k epochs ended.

    Args:
        x: grey values in [0, 1], [N, ...].
        y: what goes with them, one row for each, or None.
        batch_size: rows in a batch; the last batch is shorter where N does not divide.
        seed: an integer ≥ 0.
        shuffle: whether every epoch has its own order; False keeps the order of the rows.
        first_epoch: the number of the first pass.

    Returns:
        A `tf.data.Dataset` of known cardinality. Elements are `(x,)`, or `(x, y)` where y is given;
        x is float32 [B, ...].

    Raises:
        TypeError, ValueError: if x is empty or outside [0, 1], y has another length, or a number
            is none.

    Example:
        >>> grey = digits().train
        >>> stream = fresh_batches(grey.x, grey.y, batch_size=64, seed=0)
        >>> int(stream.cardinality())
        19

    Source: Burda, Grosse & Salakhutdinov (2015), Importance weighted autoencoders, section 5.
    """
    columns = [grey_values(x)] if y is None else [grey_values(x), _as_fit_casts(y, "y")]
    num = checks.same_length(dict(zip("xy", columns, strict=False)), "fresh_batches")
    batch_size = checks.count(batch_size, "batch_size")
    seed, shuffle = checks.count(seed, "seed", 0), checks.flag(shuffle, "shuffle")
    epochs = itertools.count(checks.count(first_epoch, "first_epoch", 0))  # all the state there is

    def draw_epoch() -> Iterator[tuple[np.ndarray, ...]]:
        rng = np.random.default_rng([seed, next(epochs)])
        rows = rng.permutation(num) if shuffle else np.arange(num)
        for start in range(0, num, batch_size):
            grey, *rest = (column[rows[start : start + batch_size]] for column in columns)
            yield (rng.random(grey.shape, np.float32) < grey).astype(np.float32), *rest

    signature = tuple(tf.TensorSpec([None, *c.shape[1:]], c.dtype) for c in columns)
    stream = tf.data.Dataset.from_generator(draw_epoch, output_signature=signature)
    return _counted(stream, -(-num // batch_size))


def _counted(stream: tf.data.Dataset, num_batches: int) -> tf.data.Dataset:
    stream = stream.apply(tf.data.experimental.assert_cardinality(num_batches))
    options = tf.data.Options()  # tuning so plain a pipeline anew at every pass doubles its cost
    options.experimental_optimization.apply_default_optimizations = False
    options.autotune.enabled = False
    return stream.prefetch(2).with_options(options)


def _check_options(binarise: Any, image: Any, seed: Any) -> None:
    if not (binarise is None or isinstance(binarise, str) and binarise == "fixed"):
        raise ValueError(
            f'Received {binarise=}. Expected None (grey values) or "fixed" (one draw). '
            "For pixels drawn at every use pass fresh_batches(x, y, batch_size=…) to fit."
        )
    checks.flag(image, "image")
    checks.count(seed, "seed", 0, 2**32 - 1)  # scikit-learn's range


def _dataset(
    name: str, grey: np.ndarray, labels: np.ndarray, image_shape: tuple[int, int, int],
    splits: Any, binarisation: str | None, image: bool, seed: int,
) -> Dataset:
    x = grey if binarisation is None else binarise(grey, seed)
    x, labels = x.reshape(-1, *image_shape) if image else x, labels.astype(np.int32)
    whole = Split(x, np.eye(10, dtype=np.float32)[labels], labels)
    names, kinds = tuple(f"digit={c}" for c in range(10)), (CATEGORY,) * 10
    train, validation, test = map(whole.take, splits)
    return Dataset(train, validation, test, whole, name, image_shape, names, kinds, binarisation)


def grey_values(values: Any, label: str = "x") -> np.ndarray:
    """Checked grey values, float32 [N, …]. Raises: TypeError, ValueError: outside [0, 1], say."""
    values = checks.array(values, label)
    if values.ndim < 2:
        raise ValueError(f"{label} is {values.shape}. Expected rows [N, D] or images [N, H, W, 1].")
    if values.min() < 0 or values.max() > 1:
        raise ValueError(
            f"{label} holds {values.min()} to {values.max()}. Expected grey values in [0, 1]: "
            "divide by the greatest value a pixel can have."
        )
    return values


def _as_fit_casts(values: Any, label: str) -> np.ndarray:
    values = np.atleast_1d(checks.dense(values, label))
    return checks.array(values, label, dtype="float32" if values.dtype == np.float64 else None)


def _labels(labels: Any, least: int) -> np.ndarray:  # int32 [N]
    labels = checks.dense(labels, "labels")
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or not labels.size:
        raise ValueError(
            f"labels has shape {labels.shape} and dtype {labels.dtype}. Expected integers ≥ "
            f"{least}, [N] (from one-hot rows: y.argmax(1))."
        )
    if labels.min() < least or labels.max() > np.iinfo(np.int32).max:
        raise ValueError(
            f"labels holds values from {labels.min()} to {labels.max()}. Expected integers from "
            f"{least} to 2³¹ − 1: number the classes from 0 (np.unique(…, return_inverse=True))."
        )
    return labels.astype(np.int32)


def _bundled(filename: str) -> Path:
    here = Path(__file__).resolve().parent
    places = [here / "data" / filename, here.parent / "data" / filename]
    for place in places:
        if place.is_file():
            return place
    raise FileNotFoundError(
        f"{filename} is neither in {places[0].parent} nor in {places[1].parent}: restore it from "
        "the course's repository (data/README.md also says how to make it again)."
    )


def _load_mnist() -> Any:
    import keras

    path = _mnist_path()
    found = path.exists()
    waited = socket.getdefaulttimeout()
    socket.setdefaulttimeout(5.0)  # seconds without an answer; Keras itself would wait for minutes
    try:
        return keras.datasets.mnist.load_data()
    except Exception as error:
        state = "is there, but not the one that Keras expects" if found else "is not there"
        raise FileNotFoundError(
            f"The MNIST file {path} {state}, and downloading it failed ({error}). "
            "Connect and try again, or copy mnist.npz there, or set the environment variable "
            "KERAS_HOME, before Python starts, to a writable folder with datasets/mnist.npz. "
            "datasets.mnist_10k() always works."
        ) from error
    finally:
        socket.setdefaulttimeout(waited)


def _mnist_path() -> Path:
    # Where Keras looks: KERAS_HOME, else ~/.keras; a temporary folder if that is not writable.
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras").expanduser()
    if not os.access(home, os.W_OK):
        home = Path("/tmp" if os.path.isdir("/tmp") else tempfile.gettempdir()) / ".keras"
    return home / "datasets" / "mnist.npz"


def has_mnist() -> bool:
    """Whether the file of `mnist` is on this machine, so that nothing would be downloaded.

    Returns:
        bool.

    Example:
        >>> data = mnist() if has_mnist() else digits()
    """
    return _mnist_path().is_file()


def labelled_subset(labels: npt.ArrayLike, per_class: int, seed: int = 0) -> np.ndarray:
    """Hides all labels but a few of each class, drawn at random.

    Args:
        labels: integers ≥ 0, [N].
        per_class: how many labels of each class stay.
        seed: an integer ≥ 0; decides which.

    Returns:
        int32 [N]: the label of `per_class` rows of every class, −1 elsewhere.

    Raises:
        TypeError, ValueError: if labels are not integers ≥ 0, or a class has fewer than `per_class`
            rows.

    Example:
        >>> labelled_subset(np.array([0, 0, 1, 1]), per_class=2).tolist()
        [0, 0, 1, 1]

    Source: Kingma, Mohamed, Rezende & Welling (2014), section 4.1: class-balanced labels.
    """
    labels = _labels(labels, 0)
    classes, counts = np.unique(labels, return_counts=True)
    per_class = checks.count(per_class, "per_class", 1, int(counts.min()))
    rng = np.random.default_rng(checks.count(seed, "seed", 0))
    kept = np.full_like(labels, -1)
    for c in classes:
        kept[rng.permutation(np.flatnonzero(labels == c))[:per_class]] = c
    return kept


def mixed_batches(
    x: npt.ArrayLike, labels: npt.ArrayLike, *, batch_size: int, labelled_per_batch: int,
    seed: int = 0, first_epoch: int = 0,
) -> tf.data.Dataset:
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
        seed: an integer ≥ 0.
        first_epoch: the number of the first pass.

    Returns:
        A `tf.data.Dataset` of known cardinality. Elements are (x [B, ...], labels int32 [B]).

    Raises:
        TypeError, ValueError: if lengths differ, a batch would not hold both kinds, or one kind is
            missing.

    Example:
        >>> train = digits().train
        >>> labels = labelled_subset(train.labels, per_class=5)
        >>> stream = mixed_batches(train.x, labels, batch_size=100, labelled_per_batch=20)
        >>> int(stream.cardinality())
        15
    """
    x, labels = _as_fit_casts(x, "x"), _labels(labels, -1)
    checks.same_length({"x": x, "labels": labels}, "mixed_batches")
    batch_size = checks.count(batch_size, "batch_size", 2)  # of either kind one at least
    labelled_per_batch = checks.count(labelled_per_batch, "labelled_per_batch", 1, batch_size - 1)
    seed = checks.count(seed, "seed", 0)
    epochs = itertools.count(checks.count(first_epoch, "first_epoch", 0))
    labelled, unlabelled = np.flatnonzero(labels >= 0), np.flatnonzero(labels < 0)
    if not (len(labelled) and len(unlabelled)):
        raise ValueError(
            f"There are {len(labelled)} labelled and {len(unlabelled)} unlabelled rows; expected "
            "some of both. Where all are of one kind, pass the arrays to fit."
        )
    unlabelled_per_batch = batch_size - labelled_per_batch
    num_batches = -(-len(unlabelled) // unlabelled_per_batch)
    num_seen = num_batches * labelled_per_batch

    def draw_epoch() -> Iterator[tuple[np.ndarray, ...]]:
        rng = np.random.default_rng([seed, next(epochs)])
        hidden = np.resize(rng.permutation(unlabelled), [num_batches, unlabelled_per_batch])
        rounds = [rng.permutation(labelled) for _ in range(-(-num_seen // len(labelled)))]
        seen = np.concatenate(rounds)[:num_seen].reshape(num_batches, -1)
        batches = np.concatenate([seen, hidden], 1)
        for first in range(0, num_batches, 16):  # each visit from tf.data costs half a millisecond
            rows = batches[first : first + 16]
            yield x[rows], labels[rows]

    pixels = tf.TensorSpec([None, batch_size, *x.shape[1:]], x.dtype)
    signature = (pixels, tf.TensorSpec([None, batch_size], tf.int32))
    stream = tf.data.Dataset.from_generator(draw_epoch, output_signature=signature)
    return _counted(stream.unbatch(), num_batches)
