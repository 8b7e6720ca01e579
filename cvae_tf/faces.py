r"""Faces and what is known of them: drawn ones, whose every attribute is exact, and photographs.

`drawn` makes a set of small grey portraits with independent attributes, so that "the face has the
attributes that were asked for" can be *measured*: a `Readout` learns the attributes from real
draws, and scores what a model makes. A draw is a function of its attributes y and of an identity
(face width, hair tone, position, …) that no attribute tells, so even an edited face has a right
answer: the same identity drawn with other attributes (`draw`).

Photographs with attributes are read by `photographs`, whose functions, like those of `readout`, go
by their names here too. Light is 1, dark is 0 (`plotting.image_grid(..., cmap="gray")`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cvae_tf import checks
from cvae_tf.datasets import BINARY, CONTINUOUS, Dataset, Split
from cvae_tf.photographs import celeba, cmu, from_file
from cvae_tf.readout import Readout, frechet_distance, score

__all__ = [
    "ATTRIBUTES", "IDENTITY", "Dataset", "Readout", "Split", "celeba", "cmu", "draw", "drawn",
    "frechet_distance", "from_file", "score",
]

ATTRIBUTES = {
    "glasses": BINARY, "beard": BINARY, "moustache": BINARY, "hat": BINARY, "bow tie": BINARY,
    "smile": CONTINUOUS,  # −1 a frown, +1 a smile
    "brows": CONTINUOUS,  # −1 worried, +1 angry
    "hair": CONTINUOUS,  # −1 cropped, +1 down to the shoulders
    "pose": CONTINUOUS,  # −1 turned to the picture's left, +1 to its right
    "light": CONTINUOUS,  # −1 from the picture's left, +1 from its right
}
"""The drawn faces' attributes, in the order of y's columns, and their kinds."""

IDENTITY = (
    "face width", "face height", "position across", "position down", "eye distance", "eye size",
    "nose", "mouth width", "skin", "hair tone", "background", "shirt",
)
"""What varies besides, uniformly in [−1, 1]: one column of `Split.identity` for each."""

_FACES_PER_CHUNK = 64  # 64 faces of 32×32 pixels in float32 stay in the processor's cache


def drawn(num: int = 6000, *, size: int = 32, image: bool = True, seed: int = 0) -> Dataset:
    """Draws `num` faces with independent attributes; two thirds train, a sixth each for the rest.

    Binary attributes are fair coins, continuous ones and the identity uniform in [−1, 1], all
    independent. Face i is a function of (seed, i), so a larger set begins with the smaller one.

    Args:
        num: int ≥ 6, number of faces.
        size: int ≥ 16, height and width in pixels; 32 or 48 halve well.
        image: True for x [N, size, size, 1], False for rows [N, size²].
        seed: int ≥ 0.

    Returns:
        A `Dataset` with len(ATTRIBUTES) columns in y.

    Raises:
        TypeError, ValueError: if an argument is none of those.

    Example:
        >>> data = drawn(600)
        >>> data.train.x.shape, data.train.y.shape
        ((400, 32, 32, 1), (400, 10))
    """
    num, size = checks.count(num, "num", 6), checks.count(size, "size", 16)
    image, seed = checks.flag(image, "image"), checks.count(seed, "seed", 0)
    u = np.random.default_rng(seed).random((num, len(ATTRIBUTES) + len(IDENTITY)))
    y, identity = np.split(2 * u - 1, [len(ATTRIBUTES)], axis=1)
    coins = np.array(list(ATTRIBUTES.values())) == BINARY
    y, identity = np.where(coins, y > 0, y).astype("float32"), identity.astype("float32")
    x = draw(y, identity, size=size)
    everything = Split(x if image else x.reshape(num, -1), y, y, identity)
    first, last = 2 * num // 3, 2 * num // 3 + num // 6
    rows = slice(0, first), slice(first, last), slice(last, num)
    about = "drawn faces", (size, size, 1), tuple(ATTRIBUTES), tuple(ATTRIBUTES.values())
    train, validation, test = map(everything.take, rows)
    return Dataset(train, validation, test, everything, *about)


def draw(y: npt.ArrayLike, identity: npt.ArrayLike | None = None, *, size: int = 32) -> np.ndarray:
    """Draws the faces with given attributes and identities.

    Args:
        y: [N, 10], columns as in `ATTRIBUTES`; binary ones may lie between 0 and 1 (faint).
        identity: [N, 12] in [−1, 1], columns as in `IDENTITY`, or [12] for all; None: the average.
        size: int ≥ 16, pixels.

    Returns:
        float32 [N, size, size, 1] in [0, 1].

    Raises:
        TypeError, ValueError: if a shape is another.

    Example:
        >>> draw(np.zeros((1, 10)), size=48).shape
        (1, 48, 48, 1)
    """
    size = checks.count(size, "size", 16)
    y = checks.array(y, f"y ({', '.join(ATTRIBUTES)})", event=(len(ATTRIBUTES),))
    identity = np.zeros(len(IDENTITY)) if identity is None else identity
    identity = np.atleast_2d(checks.array(identity, "identity"))
    if identity.shape not in ((1, len(IDENTITY)), (len(y), len(IDENTITY))):
        raise ValueError(f"identity is {identity.shape}. Expected ({len(y)}, {len(IDENTITY)}).")
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

    def __init__(self, num: int, size: int, tone: Any) -> None:
        centres = ((np.arange(size) + 0.5) / size * 2 - 1).astype(np.float32)
        self.x, self.y = centres[None, None, :], centres[None, :, None]
        self.softness = 2.0 / size
        self.picture = np.broadcast_to(tone, (num, size, size)).astype(np.float32)

    def paint(self, distance: Any, tone: Any, opacity: Any = 1.0) -> None:
        coverage = np.clip(0.5 - distance / self.softness, 0, 1) * opacity
        self.picture += coverage * (tone - self.picture)

    def ellipse(self, cx: Any, cy: Any, rx: Any, ry: Any) -> Any:
        """Signed distance, first order at the edge: 2k(k − 1)/|∇k²|, k = |(x/rx, y/ry)|."""
        u, v = (self.x - cx) / rx, (self.y - cy) / ry
        k = np.sqrt(u * u + v * v) + 1e-6
        return k * (k - 1) / (np.sqrt((u / rx) ** 2 + (v / ry) ** 2) + 1e-6)

    def stroke(self, cx: Any, cy: Any, half: Any, bend: Any, slope: Any, thickness: Any) -> Any:
        """A brush line of constant thickness along y = cy + slope·dx + bend·(1 − 2 (dx/half)²)."""
        dx = self.x - cx
        inside = np.clip(dx, -half, half)
        curve = cy + slope * inside + bend * (1 - 2 * (inside / half) ** 2)
        steepness = slope - 4 * bend * inside / half**2
        across = (self.y - curve) / np.sqrt(1 + steepness**2)
        return np.sqrt((dx - inside) ** 2 + across**2) - thickness / 2

    def box(self, cx: Any, cy: Any, half_width: Any, half_height: Any, roundness: float) -> Any:
        u = np.abs(self.x - cx) - half_width + roundness
        v = np.abs(self.y - cy) - half_height + roundness
        outside = np.sqrt(np.maximum(u, 0) ** 2 + np.maximum(v, 0) ** 2)
        return outside + np.minimum(np.maximum(u, v), 0) - roundness


def _portraits(y: np.ndarray, identity: np.ndarray, size: int) -> np.ndarray:
    """[N, size, size] from y [N, 10] and identity [N, 12]."""
    glasses, beard, moustache, hat, bow_tie, smile, brows, hair, pose, light = y.T[..., None, None]
    wide, tall, across, down, apart, eye_size = identity.T[:6, :, None, None]  # each [N, 1, 1]
    nose, mouth_width, skin, hair_tone, background, shirt = identity.T[6:, :, None, None]

    rx, ry = 0.50 + 0.045 * wide, 0.62 + 0.035 * tall
    cx, cy = 0.07 * across, 0.03 + 0.045 * down
    skin_tone = 0.84 + 0.09 * skin
    hair_tone = 0.20 + 0.15 * hair_tone
    ink = 0.06
    turn = 0.55 * pose  # radians; features sit on an ellipsoid and turn with it

    def place(longitude: Any, lift: float = 1.0) -> tuple[Any, Any]:
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
    tip = c.ellipse(nose_x, cy + 0.17 * ry, 0.055 + 0.015 * nose, 0.085 + 0.02 * nose)
    c.paint(tip, skin_tone * shade * 0.70)
    for side in (-1, 1):
        lobe, fore = place(side * 0.17, 1.06)
        wing = c.stroke(lobe, cy + 0.335 * ry, 0.105 * fore, 0.02, 0.35 * side, 0.085)
        c.paint(wing, hair_tone * 0.9, moustache)

    # eyes, brows, glasses
    eye_y = cy - 0.04 * ry
    size_of_eye = 1 + 0.15 * eye_size
    for side in (-1, 1):
        eye, fore = place(side * (0.44 + 0.05 * apart))
        c.paint(c.ellipse(eye, eye_y, 0.105 * size_of_eye * fore, 0.08 * size_of_eye), 0.99)
        c.paint(c.ellipse(eye + 0.02 * pose, eye_y, 0.062 * size_of_eye, 0.070 * size_of_eye), ink)
        brow = c.stroke(eye, eye_y - 0.245, 0.14 * fore, -0.012, -0.75 * side * brows, 0.080)
        c.paint(brow, 0.10)
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
    wing = np.abs(c.x - cx)
    c.paint(np.maximum(np.abs(c.y - 0.855) - 0.02 - 0.55 * wing, wing - 0.22), ink, bow_tie)
    return np.clip(c.picture, 0, 1)
