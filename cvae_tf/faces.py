r"""Faces and what is known of them: drawn ones, whose every attribute is exact, and photographs.

`drawn` makes a set of small grey portraits with independent attributes, so that "the face has the
attributes that were asked for" can be *measured*: a `Readout` learns the attributes from real
draws, and scores what a model makes. A draw is a function of its attributes y and of an identity
(face width, hair tone, position, …) that no attribute tells, so even an edited face has a right
answer: the same identity drawn with other attributes (`draw`).

`from_file` reads photographs with attributes from an array file, `celeba` through TensorFlow
Datasets. Light is 1, dark is 0 (`plotting.image_grid(..., cmap="gray")`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

__all__ = [
    "ATTRIBUTES",
    "IDENTITY",
    "Dataset",
    "Readout",
    "Split",
    "celeba",
    "cmu",
    "draw",
    "drawn",
    "frechet_distance",
    "from_file",
]

BINARY, CONTINUOUS, CATEGORY = "binary", "continuous", "category"

ATTRIBUTES = {
    "glasses": BINARY,
    "beard": BINARY,
    "moustache": BINARY,
    "hat": BINARY,
    "bow tie": BINARY,
    "smile": CONTINUOUS,  # −1 a frown, +1 a smile
    "brows": CONTINUOUS,  # −1 worried, +1 angry
    "hair": CONTINUOUS,  # −1 cropped, +1 down to the shoulders
    "pose": CONTINUOUS,  # −1 turned to the picture's left, +1 to its right
    "light": CONTINUOUS,  # −1 from the picture's left, +1 from its right
}
"""The drawn faces' attributes, in the order of y's columns, and their kinds."""

IDENTITY = (
    "face width",
    "face height",
    "position across",
    "position down",
    "eye distance",
    "eye size",
    "nose",
    "mouth width",
    "skin",
    "hair tone",
    "background",
    "shirt",
)
"""What varies besides, uniformly in [−1, 1]: one column of `Split.identity` for each."""

_FACES_PER_CHUNK = 64  # 64 faces of 32×32 pixels in float32 stay in the processor's cache


class Split(NamedTuple):
    """Rows of a set of faces.

    Attributes:
        x: pixels, float32 in [0, 1], [N, H, W, C], or [N, H·W·C] when asked for flat ones.
        y: attributes for the models, float32 [N, A], one column for each of `attribute_names`.
        labels: the attributes as the file has them, [N, number of attributes]; for drawn faces y.
        identity: float32 [N, len(IDENTITY)] for drawn faces, else None.
    """

    x: np.ndarray
    y: np.ndarray
    labels: np.ndarray
    identity: np.ndarray | None = None


class Dataset(NamedTuple):
    """Faces in three disjoint splits.

    Attributes:
        train, validation, test: each a `Split`.
        all: every row, in the order it was drawn or stored in.
        name: such as "drawn faces".
        image_shape: (H, W, C).
        attribute_names: tuple of str, one for each column of y, such as "smile" or "pose=left".
        kinds: tuple, "binary" (0/1), "continuous" ([−1, 1]) or "category" (one column of a
            one-hot group), for each column of y.
    """

    train: Split
    validation: Split
    test: Split
    all: Split
    name: str
    image_shape: tuple[int, int, int]
    attribute_names: tuple[str, ...]
    kinds: tuple[str, ...]


# Drawing ------------------------------------------------------------------------------------------


def drawn(num=6000, *, size=32, image=True, seed=0):
    """Draws `num` faces with independent attributes; two thirds train, a sixth each for the rest.

    Binary attributes are fair coins, continuous ones and the identity uniform in [−1, 1], all
    independent. Face i is a function of (seed, i), so a larger set begins with the smaller one.

    Args:
        num: int ≥ 6, number of faces.
        size: int ≥ 16, height and width in pixels; 32 or 48 halve well.
        image: True for x [N, size, size, 1], False for rows [N, size²].
        seed: int.

    Returns:
        A `Dataset` with len(ATTRIBUTES) columns in y.

    Raises:
        ValueError: if num or size is too small.

    Example:
        >>> data = drawn(600)
        >>> data.train.x.shape, data.train.y.shape
        ((400, 32, 32, 1), (400, 10))
    """
    if num < 6:
        raise ValueError(f"Received num={num}. Expected at least 6 faces: each split needs one.")
    kinds = np.array(list(ATTRIBUTES.values()))
    u = np.random.default_rng(seed).random((num, len(ATTRIBUTES) + len(IDENTITY)))
    y, identity = np.split(2 * u - 1, [len(ATTRIBUTES)], axis=1)
    y = np.where(kinds == BINARY, y > 0, y).astype(np.float32)
    identity = identity.astype(np.float32)
    x = draw(y, identity, size=size)
    everything = Split(x if image else x.reshape(num, -1), y, y, identity)
    first, last = 2 * num // 3, 2 * num // 3 + num // 6
    rows = slice(0, first), slice(first, last), slice(last, num)
    parts = (Split(*(column[r] for column in everything)) for r in rows)
    return Dataset(
        *parts, everything, "drawn faces", (size, size, 1), tuple(ATTRIBUTES), tuple(kinds.tolist())
    )


def draw(y, identity=None, *, size=32):
    """Draws the faces with given attributes and identities.

    Args:
        y: [N, 10], columns as in `ATTRIBUTES`; binary ones may lie between 0 and 1 (faint).
        identity: [N, 12] in [−1, 1], columns as in `IDENTITY`, or [12] for all; None: the average.
        size: int ≥ 16, pixels.

    Returns:
        float32 [N, size, size, 1] in [0, 1].

    Raises:
        ValueError: if a shape is another.

    Example:
        >>> draw(np.zeros((1, 10)), size=48).shape
        (1, 48, 48, 1)
    """
    y = np.asarray(y, np.float32)
    identity = np.zeros(len(IDENTITY)) if identity is None else identity
    identity = np.asarray(identity, np.float32)
    if y.ndim != 2 or y.shape[1] != len(ATTRIBUTES):
        raise ValueError(
            f"y has shape {y.shape}. Expected (N, {len(ATTRIBUTES)}), one column for each of "
            f"{', '.join(ATTRIBUTES)}."
        )
    if identity.shape not in ((len(IDENTITY),), (len(y), len(IDENTITY))):
        raise ValueError(
            f"identity has shape {identity.shape}. Expected ({len(y)}, {len(IDENTITY)}), one "
            f"column for each of {', '.join(IDENTITY)}."
        )
    if size < 16:
        raise ValueError(f"Received size={size}. Expected at least 16 pixels.")
    identity = np.broadcast_to(identity, (len(y), len(IDENTITY)))
    x = np.empty((len(y), size, size, 1), np.float32)
    for first in range(0, len(y), _FACES_PER_CHUNK):
        rows = slice(first, first + _FACES_PER_CHUNK)
        x[rows, ..., 0] = _portraits(y[rows], identity[rows], size)
    return x


class _Canvas:
    """Grey pictures [N, H, W] on which shapes are painted, each given by its signed distance.

    The frame is [−1, 1]², x to the right and y down. A shape's edge is one pixel soft.
    """

    def __init__(self, num, size, tone):
        centres = ((np.arange(size) + 0.5) / size * 2 - 1).astype(np.float32)
        self.x, self.y = centres[None, None, :], centres[None, :, None]
        self.softness = 2.0 / size
        self.picture = np.broadcast_to(tone, (num, size, size)).astype(np.float32)

    def paint(self, distance, tone, opacity=1.0):
        coverage = np.clip(0.5 - distance / self.softness, 0, 1) * opacity
        self.picture += coverage * (tone - self.picture)

    def ellipse(self, cx, cy, rx, ry):
        """Signed distance, first order at the edge: k(k − 1)/|∇k²|/2, k = |(x/rx, y/ry)|."""
        u, v = (self.x - cx) / rx, (self.y - cy) / ry
        k = np.sqrt(u * u + v * v) + 1e-6
        return k * (k - 1) / (np.sqrt((u / rx) ** 2 + (v / ry) ** 2) + 1e-6)

    def stroke(self, cx, cy, half, bend, slope, thickness):
        """A brush line of constant thickness along y = cy + slope·dx + bend·(1 − 2 (dx/half)²)."""
        dx = self.x - cx
        inside = np.clip(dx, -half, half)
        curve = cy + slope * inside + bend * (1 - 2 * (inside / half) ** 2)
        steepness = slope - 4 * bend * inside / half**2
        across = (self.y - curve) / np.sqrt(1 + steepness**2)
        return np.sqrt((dx - inside) ** 2 + across**2) - thickness / 2

    def box(self, cx, cy, half_width, half_height, roundness):
        u = np.abs(self.x - cx) - half_width + roundness
        v = np.abs(self.y - cy) - half_height + roundness
        outside = np.sqrt(np.maximum(u, 0) ** 2 + np.maximum(v, 0) ** 2)
        return outside + np.minimum(np.maximum(u, v), 0) - roundness


def _portraits(y, identity, size):
    """[N, size, size] from y [N, 10] and identity [N, 12]."""
    columns = y.T[..., None, None]  # [10, N, 1, 1]
    glasses, beard, moustache, hat, bow_tie, smile, brows, hair, pose, light = columns
    (
        wide, tall, across, down, apart, eye_size, nose, mouth_width, skin, hair_tone, background,
        shirt,
    ) = identity.T[..., None, None]  # fmt: skip

    rx, ry = 0.50 + 0.045 * wide, 0.62 + 0.035 * tall
    cx, cy = 0.07 * across, 0.03 + 0.045 * down
    skin_tone = 0.84 + 0.09 * skin
    hair_tone = 0.20 + 0.15 * hair_tone
    ink = 0.06
    turn = 0.55 * pose  # radians; features sit on an ellipsoid and turn with it

    def place(longitude, lift=1.0):
        """Position across and foreshortening of a feature at a longitude of the head."""
        return cx + lift * rx * np.sin(longitude + turn), np.cos(longitude + turn)

    c = _Canvas(len(y), size, 0.47 + 0.10 * background)
    toward = np.clip((c.x - cx) / rx, -1.3, 1.3) * light
    shade = 1 + 0.30 * toward - 0.10 * np.abs(light)

    # behind the head: hair, neck and shoulders, ears
    hair_end = cy + 0.27 + 0.50 * hair
    back = cx - 0.06 * pose
    cap = np.maximum(c.ellipse(back, cy - 0.14, 1.20 * rx, ry), c.y - hair_end)
    half_length = np.maximum((hair_end - cy + 0.35) / 2, 0.05)
    locks = c.box(back, hair_end - half_length, 1.30 * rx, half_length, 0.12)
    c.paint(np.minimum(cap, locks), hair_tone * (0.9 + 0.25 * toward))
    c.paint(c.box(cx, 0.72, 0.17, 0.26, 0.05), skin_tone * 0.72)
    c.paint(c.ellipse(cx, 1.18, 0.80, 0.44), (0.76 + 0.18 * shirt) * (1 + 0.12 * toward))
    for side in (-1, 1):
        ear, _ = place(side * 1.72, 1.05)
        c.paint(c.ellipse(ear, cy + 0.02, 0.085, 0.12), skin_tone * shade * 0.86)

    # the head
    head = c.ellipse(cx, cy, rx, ry)
    c.paint(head, skin_tone * shade)
    middle, facing = place(0.0)

    # hair in front: above a line that turns with the head
    line = cy - 0.66 * ry + 0.34 * ry * ((c.x - middle) / rx) ** 2
    c.paint(np.maximum(head - 0.03, c.y - line), hair_tone * (0.95 + 0.3 * toward))

    # beard: below a line from ear to ear, with room for the mouth
    mouth_x, mouth_y = place(0.0, 1.04)[0], cy + 0.56 * ry
    half_mouth = (0.235 + 0.03 * mouth_width) * facing
    jaw = cy + 0.36 * ry - 0.20 * ry * np.abs((c.x - middle) / rx) ** 2
    whiskers = np.maximum(c.ellipse(cx, cy + 0.03, 1.02 * rx, 1.03 * ry), jaw - c.y)
    c.paint(whiskers, hair_tone * (0.95 + 0.3 * toward), beard)
    c.paint(c.ellipse(mouth_x, mouth_y, half_mouth + 0.06, 0.17), skin_tone * shade, beard)

    # mouth, nose, moustache
    c.paint(c.stroke(mouth_x, mouth_y, half_mouth, 0.10 * smile, 0.0, 0.080), 0.08)
    nose_x = place(0.0, 1.16)[0]
    c.paint(
        c.ellipse(nose_x, cy + 0.17 * ry, 0.055 + 0.015 * nose, 0.085 + 0.02 * nose),
        skin_tone * shade * 0.70,
    )
    for side in (-1, 1):
        lobe, fore = place(side * 0.17, 1.06)
        c.paint(
            c.stroke(lobe, cy + 0.335 * ry, 0.105 * fore, 0.02, 0.35 * side, 0.085),
            hair_tone * 0.9,
            moustache,
        )

    # eyes, brows, glasses
    eye_y = cy - 0.04 * ry
    size_of_eye = 1 + 0.15 * eye_size
    for side in (-1, 1):
        eye, fore = place(side * (0.44 + 0.05 * apart))
        c.paint(c.ellipse(eye, eye_y, 0.105 * size_of_eye * fore, 0.08 * size_of_eye), 0.99)
        c.paint(c.ellipse(eye + 0.02 * pose, eye_y, 0.062 * size_of_eye, 0.070 * size_of_eye), ink)
        c.paint(
            c.stroke(eye, eye_y - 0.245, 0.14 * fore, -0.012, -0.75 * side * brows, 0.080),
            0.10,
        )
        rim = np.abs(c.ellipse(eye, eye_y + 0.015, 0.185 * fore + 0.01, 0.165)) - 0.026
        c.paint(rim, ink, glasses)
    left, right = (place(side * (0.44 + 0.05 * apart))[0] for side in (-1, 1))
    bridge = np.abs(right - left) / 2 - 0.17 * facing
    c.paint(c.box((left + right) / 2, eye_y, np.maximum(bridge, 0.02), 0.025, 0.01), ink, glasses)

    # hat and bow tie
    brim_y = cy - 0.68 * ry
    dome = np.maximum(c.ellipse(cx, brim_y, 0.98 * rx, 0.45), c.y - brim_y)
    c.paint(dome, 0.17 + 0.10 * toward, hat)
    band = np.maximum(dome, np.abs(c.y - (brim_y - 0.09)) - 0.045)
    c.paint(band, 0.90 * (0.95 + 0.1 * toward), hat)
    c.paint(c.box(cx, brim_y, 1.34 * rx, 0.045, 0.04), 0.13 + 0.08 * toward, hat)
    tie_y = 0.855
    wing = np.abs(c.x - cx)
    c.paint(np.maximum(np.abs(c.y - tie_y) - 0.02 - 0.55 * wing, wing - 0.22), ink, bow_tie)
    return np.clip(c.picture, 0, 1)


# Photographs --------------------------------------------------------------------------------------


def from_file(path, *, attributes=None, group=None, image=True, shares=(0.7, 0.15, 0.15), seed=0):
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
        seed: int; decides the split.

    Returns:
        A `Dataset`; `labels` holds the file's attributes, all of them.

    Raises:
        FileNotFoundError: if the file is absent.
        ValueError: if the file is not of this form, or an attribute is unknown.

    Example:
        >>> data = from_file("cmu_faces_60x64_uint8.npz", group="person")  # doctest: +SKIP
        >>> data.image_shape, data.attribute_names[:2]  # doctest: +SKIP
        ((60, 64, 1), ('pose=forward', 'pose=left'))
    """
    arrays = _arrays(_find(path))
    x, table, names, code_names = _checked(arrays, path)
    for name in [*(attributes or ()), *([group] if group is not None else ())]:
        if name not in names:
            raise ValueError(
                f"{path} has no attribute {name!r}. Expected one of {', '.join(names)}."
            )
    wanted = [name for name in names if name != group] if attributes is None else attributes
    if not wanted:
        raise ValueError("No attribute is left for y. Name at least one in attributes=.")
    encoded = [_encode(name, table[:, names.index(name)], code_names.get(name)) for name in wanted]
    y = np.concatenate([columns for columns, _, _ in encoded], axis=1)
    column_names = tuple(n for _, names_of, _ in encoded for n in names_of)
    kinds = tuple(kind for columns, _, kind in encoded for _ in range(columns.shape[1]))
    groups = np.arange(len(x)) if group is None else table[:, names.index(group)]
    everything = Split(x if image else x.reshape(len(x), -1), y, table)
    parts = (
        Split(*(None if column is None else column[rows] for column in everything))
        for rows in _split(groups, shares, seed, group)
    )
    return Dataset(*parts, everything, Path(path).stem, x.shape[1:], column_names, kinds)


def cmu(**options):
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


def celeba(size=64, *, grey=False, image=True, num=None, data_dir=None, download=False):
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
        ImportError: if tensorflow-datasets is not installed.
        FileNotFoundError: if CelebA has not been prepared and may not be, or cannot be, downloaded.

    Example:
        >>> data = celeba(num=5000)  # doctest: +SKIP

    Source: Z. Liu et al. (2015), Deep learning face attributes in the wild.
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise ImportError(
            "CelebA is loaded through TensorFlow Datasets, which is not installed: "
            "pip install tensorflow-datasets. faces.drawn() needs nothing more."
        ) from error
    import tensorflow as tf

    def shrink(example):
        photograph = tf.image.resize_with_crop_or_pad(example["image"], 178, 178)
        photograph = tf.image.resize(photograph, (size, size), method="area")
        photograph = tf.image.rgb_to_grayscale(photograph) if grey else photograph
        return tf.cast(tf.round(photograph), tf.uint8), example["attributes"]

    def split(name):
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
    names = parts[0][1]
    shape = (size, size, 1 if grey else 3)
    splits = [part for part, _ in parts]
    return Dataset(*splits, None, "celeba", shape, names, (BINARY,) * len(names))


def _find(path):
    folder = os.environ.get("CVAE_TF_DATA")
    places = [Path(path)]
    if folder and not Path(path).is_absolute():
        places.append(Path(folder) / path)
    for place in places:
        if place.is_file():
            return place
    hint = "" if folder else ", or set the environment variable CVAE_TF_DATA to the folder it is in"
    raise FileNotFoundError(
        f"{path} was looked for at {', '.join(map(str, places))} and is not there. Give the path "
        f"of the array file{hint}."
    )


def _arrays(path):
    try:
        with np.load(path, allow_pickle=False) as file:
            if not hasattr(file, "files"):
                raise ValueError("it holds a single array")
            return {name: file[name] for name in file.files}
    except Exception as error:  # not a zip file, a pickle inside, a single array
        raise ValueError(
            f"{path} cannot be read as an .npz file without pickles ({error}). Write it with "
            "np.savez_compressed(path, x=…, attributes=…, attribute_names=…), all plain arrays."
        ) from error


def _checked(arrays, path):
    """(x float32 [N, H, W, C], attributes [N, A], names, {name: names of the codes})"""
    missing = [name for name in ("x", "attributes", "attribute_names") if name not in arrays]
    if missing:
        raise ValueError(
            f"{path} has the arrays {', '.join(sorted(arrays)) or 'none'}. Expected x, attributes "
            f"and attribute_names: {', '.join(missing)} is missing."
        )
    x, table, names = arrays["x"], arrays["attributes"], arrays["attribute_names"]
    if x.ndim not in (3, 4) or len(x) < 3:
        raise ValueError(
            f"x in {path} has shape {x.shape}. Expected [N, H, W] or [N, H, W, C], N ≥ 3."
        )
    if table.ndim != 2 or len(table) != len(x) or table.shape[1:] != names.shape:
        raise ValueError(
            f"In {path} x has shape {x.shape}, attributes {table.shape} and attribute_names "
            f"{names.shape}. Expected one row of attributes for each image and one name for each "
            "column."
        )
    if x.dtype == np.uint8:
        x = x / np.float32(255)
    elif not (np.issubdtype(x.dtype, np.floating) and x.min() >= 0 and x.max() <= 1):
        raise ValueError(
            f"x in {path} has dtype {x.dtype}. Expected uint8, or floats in [0, 1]: divide by the "
            "greatest value a pixel can have."
        )
    if table.dtype.kind not in "biuf" or not np.isfinite(table).all():
        raise ValueError(
            f"attributes in {path} has dtype {table.dtype}, or holds NaN. Expected finite numbers; "
            "give the names of codes in <attribute>_names."
        )
    names = [str(name) for name in names]
    code_names = {
        n: [str(c) for c in arrays[f"{n}_names"]] for n in names if f"{n}_names" in arrays
    }
    for name, codes in code_names.items():
        column = table[:, names.index(name)]
        if column.min() < 0 or column.max() >= len(codes) or (column != column.astype(int)).any():
            raise ValueError(
                f"The attribute {name} in {path} has values from {column.min()} to {column.max()}, "
                f"but {name}_names has {len(codes)} names. Expected codes 0 to {len(codes) - 1}."
            )
    x = x.astype(np.float32)
    return x.reshape(*x.shape[:3], -1), table, names, code_names


def _encode(name, values, codes):
    """(columns [N, k], their names, their kind) of one attribute."""
    if codes is not None and len(codes) != 2:
        one_hot = np.eye(len(codes), dtype=np.float32)[values.astype(int)]
        return one_hot, [f"{name}={code}" for code in codes], CATEGORY
    column = values.astype(np.float32)[:, None]
    if codes is not None or np.isin(values, (0, 1)).all():
        return column, [name if codes is None else f"{name}={codes[1]}"], BINARY
    low, high = column.min(), column.max()
    return (
        (2 * column - low - high) / max(high - low, np.finfo(np.float32).tiny),
        [name],
        CONTINUOUS,
    )


def _split(groups, shares, seed, group):
    """Three arrays of row numbers; rows of one group stay together."""
    if len(shares) != 3 or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
        raise ValueError(f"Received shares={shares}. Expected three positive numbers of sum 1.")
    distinct, member = np.unique(groups, return_inverse=True)
    if len(distinct) < 3:
        raise ValueError(f"{group} has {len(distinct)} different values. Expected 3 or more.")
    order = np.random.default_rng(seed).permutation(len(distinct))
    held_out = [max(1, round(share * len(distinct))) for share in shares[1:]]
    cuts = np.cumsum([len(distinct) - sum(held_out), held_out[0]])
    return [np.flatnonzero(np.isin(member, part)) for part in np.split(order, cuts)]


# Measuring ----------------------------------------------------------------------------------------


class Readout:
    """Reads attributes off pictures: a small convolutional network that has seen only real ones.

    It is trained on `data.train` alone, by a seed of its own. How well it reads real pictures it
    has not seen, `score(data.test.x, data.test.y)`, is the ceiling for pictures a model makes, and
    belongs beside every figure that it gives.

    Args:
        data: a `Dataset` of images or rows.
        epochs: int.
        seed: int.

    Example:
        >>> readout = Readout(drawn(6000))
        >>> readout.score(data.test.x, data.test.y)["glasses"]
        1.0
    """

    def __init__(self, data, *, epochs=20, seed=0):
        import keras
        import tensorflow as tf

        self.image_shape = data.image_shape
        self.attribute_names, self.kinds = data.attribute_names, data.kinds
        self.groups = _groups(self.attribute_names, self.kinds)
        seeds = iter(range(100 * seed, 100 * seed + 100))

        def start():
            return keras.initializers.GlorotUniform(seed=next(seeds))

        h = pixels = keras.Input(self.image_shape)
        for filters in (32, 64, 64):
            h = keras.layers.Conv2D(
                filters, 3, 2, padding="same", activation="relu", kernel_initializer=start()
            )(h)
        h = keras.layers.Flatten()(h)
        h = keras.layers.Dense(64, activation="relu", kernel_initializer=start())(h)
        raw = keras.layers.Dense(len(self.kinds), kernel_initializer=start())(h)
        self.network = keras.Model(pixels, [raw, h])
        reader = keras.Model(pixels, raw)

        x, y = self._images(data.train.x), data.train.y
        batches = tf.data.Dataset.from_tensor_slices((x, y)).cache()
        batches = batches.shuffle(len(x), seed=seed).batch(64, drop_remainder=len(x) >= 64)
        rate = keras.optimizers.schedules.CosineDecay(2e-3, epochs * len(batches))
        reader.compile(keras.optimizers.Adam(rate), loss=self._loss, jit_compile=False)
        reader.fit(batches.prefetch(2), epochs=epochs, shuffle=False, verbose=0)

    def _images(self, x):
        return np.asarray(x, np.float32).reshape(-1, *self.image_shape)

    def _outputs(self, x):
        """(raw [N, A], features [N, 64]), a thousand pictures at a time."""
        x = self._images(x)
        parts = [self.network(x[i : i + 1000], training=False) for i in range(0, len(x), 1000)]
        return tuple(np.concatenate(outputs) for outputs in zip(*parts, strict=True))

    def _loss(self, y, raw):
        """Σ over attributes: cross entropy of the discrete, twice squared error of the others."""
        import tensorflow as tf

        total = 0.0
        for kind, columns in self.groups.values():
            target, output = y[:, columns], raw[:, columns]
            if kind == CATEGORY:
                total += tf.nn.softmax_cross_entropy_with_logits(target, output)
            elif kind == BINARY:
                total += tf.nn.sigmoid_cross_entropy_with_logits(target, output)[:, 0]
            else:
                total += 2 * tf.square(target - output)[:, 0]
        return total

    def predict(self, x):
        """What it reads. Args: x: [N, …]. Returns: [N, A]: probabilities, or continuous values."""
        raw = self._outputs(x)[0].astype("float64")
        for kind, columns in self.groups.values():
            if kind == BINARY:
                raw[:, columns] = 1 / (1 + np.exp(-np.clip(raw[:, columns], -50, 50)))
            elif kind == CATEGORY:
                odds = np.exp(raw[:, columns] - raw[:, columns].max(1, keepdims=True))
                raw[:, columns] = odds / odds.sum(1, keepdims=True)
        return raw

    def features(self, x):
        """The numbers it reads from, [N, 64], for `frechet_distance`. Args: x: [N, …]."""
        return self._outputs(x)[1]

    def score(self, x, y):
        """How far pictures have the attributes y.

        Args:
            x: pictures [N, …].
            y: the attributes they should have, [N, A].

        Returns:
            dict from attribute to accuracy (binary, category) or R² = 1 − Σ(read − y)² / Σ(y − ȳ)²
            (continuous; at most 1, and 0 for what says nothing about y).
        """
        return score(self.predict(x), y, self.groups)


def score(read, y, groups):
    """`Readout.score` from what was read, [N, A]."""
    read, y = np.asarray(read), np.asarray(y, "float64")
    scores = {}
    for name, (kind, columns) in groups.items():
        guess, truth = read[:, columns], y[:, columns]
        if kind == CATEGORY:
            scores[name] = float((guess.argmax(1) == truth.argmax(1)).mean())
        elif kind == BINARY:
            scores[name] = float(((guess > 0.5) == (truth > 0.5)).mean())
        else:
            scores[name] = float(
                1 - ((guess - truth) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()
            )
    return scores


def _groups(names, kinds):
    """{attribute: (kind, slice of its columns)}; a one-hot group's columns are side by side."""
    groups = {}
    for column, (name, kind) in enumerate(zip(names, kinds, strict=True)):
        name = name.split("=")[0] if kind == CATEGORY else name
        first = groups[name][1].start if name in groups else column
        groups[name] = (kind, slice(first, column + 1))
    return groups


def frechet_distance(a, b):
    r"""The squared Fréchet distance of two sets of features, taken as Gaussians.

    |μ_a − μ_b|² + tr(C_a + C_b − 2 (C_a C_b)^½)

    Args:
        a, b: features [N, d], such as `Readout.features` gives; compare sets of one size.

    Returns:
        float ≥ 0, up to rounding.

    Source: M. Heusel et al. (2017), GANs trained by a two time-scale update rule, section 3.
    """
    a, b = np.asarray(a, "float64"), np.asarray(b, "float64")
    cov_a, cov_b = (np.atleast_2d(np.cov(f, rowvar=False)) for f in (a, b))
    roots = np.sqrt(np.clip(np.linalg.eigvals(cov_a @ cov_b).real, 0, None))
    return float(
        ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * roots.sum()
    )
