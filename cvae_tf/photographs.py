r"""Photographs and what is known of them: from an array file, or CelebA's.

`from_file` reads a NumPy file of photographs and attributes, `cmu` one such file, `celeba` what
TensorFlow Datasets has prepared. Light is 1, dark is 0 (`plotting.image_grid(..., cmap="gray")`).
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cvae_tf import checks
from cvae_tf.datasets import BINARY, CATEGORY, CONTINUOUS, Dataset, Split, grey_values

__all__ = ["celeba", "cmu", "from_file"]


def from_file(
    path: str | os.PathLike[str], *, attributes: Sequence[str] | None = None,
    group: str | None = None, image: bool = True, shares: npt.ArrayLike = (0.7, 0.15, 0.15),
    seed: int = 0,
) -> Dataset:
    """Loads photographs and their attributes from an array file.

    The file is a NumPy .npz without pickles: `x` [N, H, W] or [N, H, W, C], uint8 or floats in
    [0, 1]; `attributes` [N, A], numbers; `attribute_names` [A]; and, for an attribute whose numbers
    are codes, `<name>_names` with the codes' names. An attribute with names becomes a one-hot group
    of columns ("category"), or one 0/1 column where there are two names or the values are 0 and 1
    ("binary"); any other is scaled so that its least and greatest values are −1 and 1
    ("continuous").

    Args:
        path: of the file; a relative one is also looked for in the folder that the environment
            variable CVAE_TF_DATA names.
        attributes: names of those that become columns of y, in this order; None: all (but the
            group).
        group: name of an attribute, such as "person"; rows of one group stay in one split, so that
            the test is on people never seen. None: rows are split one by one.
        image: True for x [N, H, W, C], False for rows.
        shares: of training, validation and test; of the groups where there is a group.
        seed: int ≥ 0; decides the split.

    Returns:
        A `Dataset`; `labels` holds the file's attributes, all of them.

    Raises:
        FileNotFoundError: if the file is absent.
        TypeError, ValueError: if the file is not of this form, an attribute is unknown, or a split
            would be empty.

    Example:
        >>> data = from_file("cmu_faces_60x64_uint8.npz", group="person")  # doctest: +SKIP
        >>> data.image_shape, data.attribute_names[:2]  # doctest: +SKIP
        ((60, 64, 1), ('pose=forward', 'pose=left'))
    """
    checks.instance(path, "path", (str, os.PathLike), "the path of an .npz file")
    image, seed = checks.flag(image, "image"), checks.count(seed, "seed", 0)
    shares = checks.array(shares, "shares", dtype="float64")
    if shares.shape != (3,) or shares.min() <= 0 or abs(shares.sum() - 1) > 1e-6:
        raise ValueError(f"Received shares={shares}. Expected three positive numbers of sum 1.")
    if attributes is not None:
        checks.instance(attributes, "attributes", (list, tuple), "a list of attributes' names")
    x, table, names, code_names = _checked(_arrays(_find(path)), path)
    for name in [*(attributes or ()), *([group] if group is not None else ())]:
        checks.choice(name, f"attribute (of {path})", names)
    wanted = [name for name in names if name != group] if attributes is None else list(attributes)
    if not wanted or len(set(wanted)) < len(wanted):
        raise ValueError(f"Received {wanted}: no attribute is left, or one comes twice.")
    encoded = [_encode(name, table[:, names.index(name)], code_names.get(name)) for name in wanted]
    column_names, kinds, columns = zip(*itertools.chain(*encoded), strict=True)
    y = np.stack(columns, axis=1).astype(np.float32)
    groups = np.arange(len(x)) if group is None else table[:, names.index(group)]
    everything = Split(x if image else x.reshape(len(x), -1), y, table)
    train, validation, test = map(everything.take, _split(groups, shares, seed, group))
    about = Path(path).stem, x.shape[1:], column_names, kinds
    return Dataset(train, validation, test, everything, *about)


def cmu(**options: Any) -> Dataset:
    """Loads the CMU Face Images, 624 photographs of 20 people, where the reader has put them.

    They are free for educational use and not redistributed here; the folder that CVAE_TF_DATA names
    must hold them as `cmu_faces_60x64_uint8.npz`, in the form of `from_file`: x [624, 60, 64] and
    the attributes person (20), pose (4), expression (4), eyes (2).

    Args:
        **options: those of `from_file`; by default group="person".

    Returns:
        A `Dataset`.

    Raises:
        FileNotFoundError: if they are not there.

    Source: T. Mitchell (1997), Machine Learning; UCI KDD archive.
    """
    return from_file("cmu_faces_60x64_uint8.npz", **{"group": "person", **options})


def celeba(
    size: int = 64, *, grey: bool = False, image: bool = True, num: int | None = None,
    data_dir: str | os.PathLike[str] | None = None, download: bool = False,
) -> Dataset:
    """Loads CelebA, 202,599 photographs with 40 binary attributes, through TensorFlow Datasets.

    The central 178×178 pixels are averaged down to size×size and rounded to whole grey levels; the
    splits are CelebA's own. With 64×64 colours the whole takes 14 GB of memory: see `num`.

    Args:
        size: int, pixels.
        grey: True for one channel (luminance), False for three.
        image: True for x [N, size, size, C], False for rows.
        num: int, at most so many photographs from each split; None: all.
        data_dir: TensorFlow Datasets' folder; None: its default.
        download: whether it may download and prepare the set (1.4 GB).

    Returns:
        A `Dataset` whose `all` is None.

    Raises:
        TypeError, ValueError: if an argument is none of those.
        ImportError: if tensorflow-datasets is not installed.
        FileNotFoundError: if CelebA has not been prepared and may not be, or cannot be, downloaded.

    Example:
        >>> data = celeba(num=5000)  # doctest: +SKIP

    Source: Z. Liu et al. (2015), Deep learning face attributes in the wild.
    """
    size, num = checks.count(size, "size"), checks.optional_count(num, "num")
    for name, value in (("grey", grey), ("image", image), ("download", download)):
        checks.flag(value, name)
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise ImportError(
            "CelebA is loaded through TensorFlow Datasets, which is not installed: "
            "pip install tensorflow-datasets. faces.drawn() needs nothing more."
        ) from error
    import tensorflow as tf

    def shrink(example: Any) -> Any:
        photograph = tf.image.resize_with_crop_or_pad(example["image"], 178, 178)
        photograph = tf.image.resize(photograph, (size, size), method="area")
        photograph = tf.image.rgb_to_grayscale(photograph) if grey else photograph
        return tf.cast(tf.round(photograph), tf.uint8), example["attributes"]

    def split(name: str) -> tuple[Split, tuple[str, ...]]:
        stream = tfds.load("celeb_a", split=name, data_dir=data_dir, download=download)
        stream = stream.map(shrink, num_parallel_calls=tf.data.AUTOTUNE)
        rows = list((stream if num is None else stream.take(num)).as_numpy_iterator())
        x = np.stack([photograph for photograph, _ in rows]) / np.float32(255)
        y = np.array([[row[name] for name in sorted(row)] for _, row in rows], np.float32)
        return Split(x if image else x.reshape(len(x), -1), y, y), tuple(sorted(rows[0][1]))

    try:
        parts = [split(name) for name in ("train", "validation", "test")]
    except (AssertionError, OSError, tfds.download.DownloadError) as error:
        raise FileNotFoundError(
            f"CelebA is not among TensorFlow Datasets' prepared sets (data_dir={data_dir}). "
            f"Prepare it once with download=True (1.4 GB). The loader said: {error}"
        ) from error
    names, shape = parts[0][1], (size, size, 1 if grey else 3)
    train, validation, test = (part for part, _ in parts)
    return Dataset(train, validation, test, None, "celeba", shape, names, (BINARY,) * len(names))


def _find(path: str | os.PathLike[str]) -> Path:
    folder = os.environ.get("CVAE_TF_DATA")
    places = dict.fromkeys([Path(path), Path(folder or "") / path])  # the same where absolute
    for place in places:
        if place.is_file():
            return place
    hint = "" if folder else ", or set the environment variable CVAE_TF_DATA to the folder it is in"
    raise FileNotFoundError(
        f"{path} was looked for at {', '.join(map(str, places))} and is not there. Give the path "
        f"of the array file{hint}."
    )


def _arrays(path: Path) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except Exception as error:  # not a zip file, a pickle inside, a single array
        raise ValueError(
            f"{path} cannot be read as an .npz file without pickles ({error}). Write it with "
            "np.savez_compressed(path, x=…, attributes=…, attribute_names=…), all plain arrays."
        ) from error


def _checked(arrays: dict[str, Any], path: Any) -> tuple[Any, ...]:
    """(x float32 [N, H, W, C], attributes [N, A], names, {name: names of the codes})"""
    missing = [name for name in ("x", "attributes", "attribute_names") if name not in arrays]
    if missing:
        raise ValueError(
            f"{path} has the arrays {', '.join(sorted(arrays)) or 'none'}. Expected x, attributes "
            f"and attribute_names: {', '.join(missing)} is missing."
        )
    names = [str(name) for name in np.atleast_1d(arrays["attribute_names"])]
    x, table = arrays["x"], arrays["attributes"]
    x = grey_values(x / np.float32(255) if x.dtype == np.uint8 else x, f"x in {path}")
    table = checks.array(table, f"attributes in {path}", event=(len(names),), dtype=None)
    checks.same_length({"x": x, "attributes": table}, str(path))
    if x.ndim not in (3, 4) or len(x) < 3:
        raise ValueError(f"x in {path} is {x.shape}. Expected [N, H, W] or [N, H, W, C], N ≥ 3.")
    code_names = {n: list(map(str, arrays[f"{n}_names"])) for n in names if f"{n}_names" in arrays}
    for name, codes in code_names.items():
        column = table[:, names.index(name)]
        if not np.isin(column, np.arange(len(codes))).all():
            raise ValueError(
                f"The attribute {name} in {path} has values from {column.min()} to {column.max()}, "
                f"but {name}_names has {len(codes)} names. Expected codes 0 to {len(codes) - 1}."
            )
    return x.reshape(*x.shape[:3], -1), table, names, code_names


def _encode(
    name: str, values: np.ndarray, codes: list[str] | None
) -> list[tuple[str, str, np.ndarray]]:
    """The columns of one attribute: (name, kind, values [N]) of each."""
    if codes is not None and len(codes) != 2:
        return [(f"{name}={code}", CATEGORY, values == i) for i, code in enumerate(codes)]
    if codes is not None or np.isin(values, (0, 1)).all():
        return [(name if codes is None else f"{name}={codes[1]}", BINARY, values)]
    values = values.astype(np.float32)
    low, high = values.min(), values.max()
    width = max(high - low, np.finfo(np.float32).tiny)
    return [(name, CONTINUOUS, (2 * values - low - high) / width)]


def _split(groups: Any, shares: Any, seed: int, group: str | None) -> list[np.ndarray]:
    """Three arrays of row numbers; rows of one group stay together."""
    distinct, member = np.unique(groups, return_inverse=True)
    if len(distinct) < 3:
        raise ValueError(f"{group} has {len(distinct)} different values. Expected 3 or more.")
    order = np.random.default_rng(seed).permutation(len(distinct))
    held_out = [max(1, round(share * len(distinct))) for share in shares[1:]]
    cuts = np.cumsum([len(distinct) - sum(held_out), held_out[0]])
    if cuts[0] < 1:
        raise ValueError(
            f"Received shares={shares}, which leave nothing to train on: {held_out[0]} and "
            f"{held_out[1]} of {len(distinct)} {group or 'row'}s are held out. Hold out less."
        )
    return [np.flatnonzero(np.isin(member, part)) for part in np.split(order, cuts)]
