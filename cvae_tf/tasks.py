r"""Prediction tasks whose y has several right answers: parts of images, and moving objects.

`completion` turns any set of images into "from these pixels, predict the others". `futures` draws
still scenes with an object that may leave in two or three ways, and what it then did; the true
distribution is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cvae_tf import checks
from cvae_tf.datasets import Split

FRAMES = 30  # of a trajectory
COEFFICIENTS = 5  # of its cosine transform that are predicted, per axis
DIRECTIONS = 8  # compass points that an arm may have


# Completion ----------------------------------------------------------------------------------


def _seen(observed: Any, height: int, width: int) -> np.ndarray:
    """Which pixels are seen, [H, W]."""
    rows, columns = np.mgrid[:height, :width]
    lower, left = rows >= height // 2, columns < width // 2
    known: dict[Any, np.ndarray] = {1: lower & left, 2: left, 3: lower | left}
    known |= {"upper half": ~lower, "column": columns == width // 2}
    if isinstance(observed, (str, int, np.integer)) and observed is not True and observed in known:
        return known[observed]
    if not np.ndim(observed):
        raise ValueError(
            f"Received {observed=}. Expected 1, 2 or 3 (quadrants), "
            '"upper half", "column", or a boolean mask of the image\'s height and width.'
        )
    mask = checks.array(observed, "observed", dtype=None)
    if mask.shape != (height, width) or not np.isin(mask, (0, 1)).all():
        raise ValueError(
            f"Received observed {mask.shape}. Expected one boolean a pixel, {height} × {width}."
        )
    if mask.all() or not mask.any():
        raise ValueError("Received a mask with all pixels seen, or none. Expected some of both.")
    return mask.astype(bool)


class Completion(NamedTuple):
    """Images cut in two: what is seen, and what is to be predicted.

    Attributes:
        x: what is seen: the images, flat [N, D] or [N, H, W, C] as they came, with `unseen` in the
            pixels that are not seen; with the mask, if asked for, as D more values or one more
            channel.
        y: the other pixels alone, [N, K], row by row.
        seen: which pixels are seen, boolean [H, W].
        channels: channels of an image, C.
        flat: whether the images came flat.
    """

    x: np.ndarray
    y: np.ndarray
    seen: np.ndarray
    channels: int
    flat: bool

    def together(self, x: npt.ArrayLike, y: npt.ArrayLike) -> np.ndarray:
        """The images that x and y make, the inverse of the cut.

        Args:
            x: what is seen, [N, …], or a single [1, …].
            y: the other pixels (true, predicted or drawn), [..., N, K].

        Returns:
            Images [..., N, D] or [..., N, H, W, C], as they came.

        Raises:
            TypeError, ValueError: if x or y is none of those.

        Example:
            >>> task = completion(images, observed=2)
            >>> bool((task.together(task.x, task.y) == images).all())
            True
        """
        x, y = checks.array(x, "x", dtype=None), checks.array(y, "y", dtype=None)
        size, event = self.seen.size, self.x.shape[1:]
        plain = (size * self.channels,) if self.flat else (*self.seen.shape, self.channels)
        if x.shape[1:] not in (event, plain) or y.ndim < 2 or y.shape[-1] != self.y.shape[1]:
            raise ValueError(
                f"x has shape {x.shape} and y {y.shape}. Expected {checks.rows_of(event)} and "
                f"(…, N, {self.y.shape[1]}), as in this task."
            )
        if len({len(x), y.shape[-2], 1}) > 2:
            raise ValueError(f"x has {len(x)} rows and y {y.shape[-2]}. Expected as many, or one.")
        pixels = x[:, : size * self.channels] if self.flat else x[..., : self.channels]
        pixels = pixels.reshape(len(x), size, self.channels)
        rows = max(len(x), y.shape[-2])
        whole = np.broadcast_to(pixels, (*y.shape[:-2], rows, *pixels.shape[1:]))
        whole = whole.astype(np.result_type(x, y))  # a copy
        whole[..., ~self.seen.ravel(), :] = y.reshape(*y.shape[:-1], -1, self.channels)
        return whole.reshape(*whole.shape[:-2], *plain)


def completion(
    images: npt.ArrayLike | Split, observed: int | str | npt.ArrayLike = 1, *,
    unseen: float = 0.5, mask: bool = False, image_shape: Sequence[int] | None = None,
) -> Completion:
    """The task "given these pixels, predict the others", from any set of images.

    `observed`, for images of H × W pixels halved at H // 2 and W // 2:

    - 1, 2, 3: quadrants: the lower left; the left half; all but the upper right;
    - "upper half": the rows above H // 2;
    - "column": the one column W // 2;
    - a boolean mask [H, W].

    Args:
        images: [N, D], [N, H, W, C], or a `datasets.Split`, whose x is taken.
        observed: what is seen, as above.
        unseen: float, what stands in x for a pixel that is not seen. For pixels of 0 and 1 the
            default ½ is neither.
        mask: whether x says as well which pixels are seen, 1 or 0: of use where one network learns
            several tasks.
        image_shape: (H, W) of flat images; default: square.

    Returns:
        A `Completion`: x, y, and `together(x, y)`, which is the image again.

    Raises:
        TypeError, ValueError: if the images or `observed` are none of those.

    Example:
        >>> task = completion(datasets.digits("fixed").train, observed=1)
        >>> task.x.shape, task.y.shape
        ((1197, 64), (1197, 48))

    Source: Sohn, Lee & Yan (2015), section 5.1 (quadrants); Doersch (2016), section 4 (column).
    """
    images = checks.array(images.x if isinstance(images, Split) else images, "images")
    unseen, mask = checks.number(unseen, "unseen"), checks.flag(mask, "mask")
    flat = images.ndim == 2
    height, width, channels = checks.height_width_channels(images.shape[1:], image_shape)
    seen = _seen(observed, height, width)
    pixels, there = images.reshape(len(images), -1, channels), seen.reshape(1, -1, 1)
    y = pixels[:, ~seen.ravel()].reshape(len(images), -1)
    x = np.where(there, pixels, np.float32(unseen))
    if mask:
        told = np.broadcast_to(there, (len(images), seen.size, 1)).astype(np.float32)
        x = np.concatenate([x, told], 1 if flat else 2)
    x = x.reshape(len(images), -1) if flat else x.reshape(len(images), height, width, -1)
    return Completion(x, y, seen, channels, flat)


# Moving objects ------------------------------------------------------------------------------


def coefficients(trajectories: npt.ArrayLike) -> np.ndarray:
    r"""The first cosine coefficients of trajectories, per axis: c_k = DCT-II(y)_k / √T.

    The transform is orthonormal, so Σ_k c_k² is at most the mean of y_t² over the T frames, and a
    coefficient is measured in pixels.

    Args:
        trajectories: displacements from the start, [..., T, 2] pixels: right, down; T ≥ 5.

    Returns:
        [..., 10]: 5 of the horizontal axis, then 5 of the vertical.

    Raises:
        TypeError, ValueError: if there are no such displacements.

    Example:
        >>> coefficients(np.ones((30, 2))).round(9).tolist()[::5]
        [1.0, 1.0]
    """
    from scipy.fft import dct

    trajectories = checks.array(trajectories, "trajectories", dtype="float64")
    if trajectories.shape[-1:] != (2,) or trajectories[..., 0].shape[-1:] < (COEFFICIENTS,):
        raise ValueError(f"trajectories is {trajectories.shape}. Expected [..., T, 2], T ≥ 5.")
    spectrum = dct(trajectories, axis=-2, norm="ortho") / np.sqrt(trajectories.shape[-2])
    kept = spectrum[..., :COEFFICIENTS, :].swapaxes(-1, -2)
    return kept.reshape(*kept.shape[:-2], -1)


def trajectories(coefficients: npt.ArrayLike, frames: int = FRAMES) -> np.ndarray:
    """The trajectories that have these coefficients and no higher ones.

    Args:
        coefficients: [..., 10], pixels.
        frames: int T ≥ 5.

    Returns:
        Displacements from the start, [..., T, 2] pixels: right, down.

    Raises:
        TypeError, ValueError: if there are no such coefficients.

    Example:
        >>> trajectories(np.zeros((7, 10))).shape
        (7, 30, 2)
    """
    from scipy.fft import idct

    c, frames = _motions(coefficients, "coefficients"), checks.count(frames, "frames", COEFFICIENTS)
    spectrum = np.zeros((*c.shape[:-1], frames, 2))
    spectrum[..., :COEFFICIENTS, :] = c.reshape(*c.shape[:-1], 2, COEFFICIENTS).swapaxes(-1, -2)
    return idct(spectrum * np.sqrt(frames), axis=-2, norm="ortho")


def _motions(y: Any, label: str, num: int | None = None) -> np.ndarray:  # [..., 10], [..., N, 10]
    y = checks.array(y, label, dtype="float64")
    expected = (2 * COEFFICIENTS,) if num is None else (num, 2 * COEFFICIENTS)
    if y.shape[-len(expected) :] != expected:
        raise ValueError(f"{label} has shape {y.shape}. Expected [..., {str(expected)[1:-1]}].")
    return y


class Futures(NamedTuple):
    r"""Still scenes, what happened next, and what could have.

    p(y|x) = Σ_w π_w N(y; m_w, σ²I): the object takes one of the ways at random, (9.1)'s target.

    Attributes:
        x: stills, flat images in [0, 1], [N, H·W].
        y: the motion's coefficients, [N, 10], pixels.
        start: where the object is, column and row, [N, 2] pixels.
        modes: m_w, the coefficients of each way, [N, 3, 10] (4 where a junction may have 4 arms); a
            way that is not there repeats the first.
        probabilities: π_w, [N, 3]; 0 for a way that is not there.
        way: which way it took, int [N].
        sigma: σ, pixels.
        image_shape: (H, W).
    """

    x: np.ndarray
    y: np.ndarray
    start: np.ndarray
    modes: np.ndarray
    probabilities: np.ndarray
    way: np.ndarray
    sigma: float
    image_shape: tuple[int, int]

    def take(self, rows: slice | npt.ArrayLike) -> Futures:
        """Some of the scenes. Args: rows: indices, booleans [N] or a slice. Returns: Futures."""
        if not isinstance(rows, slice):
            rows = checks.array(rows, "rows", ndim=1, dtype=None)
        fields = ("x", "y", "start", "modes", "probabilities", "way")
        return self._replace(**{name: getattr(self, name)[rows] for name in fields})

    def log_density(self, y: npt.ArrayLike | None = None) -> np.ndarray:
        """The true log p(y|x): in the mean over the truth's draws no model can be above it.

        Args:
            y: [N, 10]; default: what happened.

        Returns:
            nats per example, [N].

        Raises:
            TypeError, ValueError: if y is none of these scenes'; so too the methods below.
        """
        from scipy.special import logsumexp
        from scipy.stats import norm

        y = checks.array(self.y if y is None else y, "y", ndim=2, dtype=None)
        y = _motions(y, "y", len(self.y))[:, None]
        log_normal = norm.logpdf(y, self.modes, self.sigma).sum(-1)  # [N, 3]
        return logsumexp(log_normal, axis=-1, b=self.probabilities)

    def nearest_way(self, y: npt.ArrayLike) -> np.ndarray:
        """The way whose coefficients are nearest. Args: y [..., N, 10]. Returns: int [..., N]."""
        return self._squares(y).argmin(-1)

    def distance(self, y: npt.ArrayLike) -> np.ndarray:
        """Distance of y to the nearest way, pixels. Args: y [..., N, 10]. Returns: [..., N]."""
        return np.sqrt(self._squares(y).min(-1))

    def _squares(self, y: Any) -> np.ndarray:  # to each way, [..., N, W]; infinite if not there
        squares = ((_motions(y, "y", len(self.y))[..., None, :] - self.modes) ** 2).sum(-1)
        return np.where(self.probabilities > 0, squares, np.inf)

    def shares(self, samples: npt.ArrayLike) -> np.ndarray:
        """How often draws go each way. Args: samples [S, N, 10]. Returns: [N, 3], rows sum to 1."""
        way = self.nearest_way(checks.array(samples, "samples", ndim=3, dtype=None))
        return np.stack([(way == w).mean(0) for w in range(self.modes.shape[1])], -1)


def futures(
    num: int, seed: int = 0, *, image_shape: Sequence[int] = (16, 16), sigma: float = 0.2,
    reach: float = 5.5, ways: Sequence[int] = (2, 3),
) -> Futures:
    """Draws still scenes with a ball at a junction of two or three arms, and how it then moved.

    The arms are in the picture, so the still tells the ways; which of them the ball takes it does
    not tell: each is equally likely. The ball starts from rest and speeds up to the arm's end in 30
    frames. y is that path's first 5 cosine coefficients per axis, plus normal noise σ in each.

    Args:
        num: int N.
        seed: int ≥ 0; the same seed gives the same scenes.
        image_shape: (H, W) pixels, or (H, W, 1).
        sigma: float σ > 0, pixels.
        reach: float > 0, length of an arm, pixels.
        ways: how many arms a junction may have, equally often: ints from 1 (a dead end) to 4 (a
            crossroads), for scenes unlike the usual ones.

    Returns:
        `Futures`.

    Raises:
        TypeError, ValueError: if the picture is too small for the arms, or an argument is none of
            those.

    Example:
        >>> scenes = futures(500, seed=0)
        >>> scenes.x.shape, scenes.y.shape
        ((500, 256), (500, 10))

    Source: after Walker, Doersch, Gupta & Hebert (2016), An uncertain future, section 4.
    """
    num, seed = checks.count(num, "num"), checks.count(seed, "seed", 0)
    height, width = image_shape = checks.height_and_width(image_shape)
    sigma, reach = checks.number(sigma, "sigma", above=0), checks.number(reach, "reach", above=0)
    jitter = 1.0  # pixels that the junction may lie off the centre
    if min(height, width) < 2 * (reach + jitter) + 2:
        raise ValueError(
            f"Received image_shape={image_shape} and reach={reach}. Expected at least "
            f"{2 * (reach + jitter) + 2:g} pixels each way: take a larger picture or shorter arms."
        )
    ways = checks.sizes(ways, "ways")
    if not ways or max(ways) > 4:
        raise ValueError(f"Received ways={ways}. Expected numbers of arms from 1 to 4.")
    rng = np.random.default_rng(seed)
    angles = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    compass = np.stack([np.cos(angles), np.sin(angles)], -1)  # [8, 2]
    most = max(3, *ways)
    crossings = {n: _crossings(n, most) for n in ways}

    num_ways = np.array(ways)[rng.integers(0, len(ways), num)]
    start = (np.array([width, height]) - 1) / 2 + rng.uniform(-jitter, jitter, (num, 2))
    pick = rng.random(num)
    kinds = [crossings[n] for n in num_ways]
    arms = np.stack([kind[int(p * len(kind))] for kind, p in zip(kinds, pick, strict=True)])
    there = np.arange(most) < num_ways[:, None]
    probabilities = there / num_ways[:, None]

    path = reach * (np.arange(FRAMES) / (FRAMES - 1)) ** 2  # pixels along the arm, [T]
    modes = coefficients(path[:, None] * compass[:, None, :])[arms]  # [N, 3, 10], or 4 ways
    way = (rng.random(num) * num_ways).astype(int)
    y = modes[np.arange(num), way] + sigma * rng.standard_normal((num, modes.shape[-1]))
    x = _stills(start, compass[arms], reach, image_shape)
    return Futures(x, y.astype(np.float32), start, modes, probabilities, way, sigma, image_shape)


def _crossings(num: int, most: int) -> np.ndarray:
    """Sets of `num` directions at least a right angle apart, [K, most]: the first fills them up."""
    apart = range(DIRECTIONS // 4, 3 * DIRECTIONS // 4 + 1)  # steps from one direction to another
    sets = [
        chosen
        for chosen in combinations(range(DIRECTIONS), num)
        if all(b - a in apart for a, b in combinations(chosen, 2))
    ]
    return np.array([chosen + chosen[:1] * (most - num) for chosen in sets])


def _stills(start: Any, directions: np.ndarray, reach: float, image_shape: Any) -> np.ndarray:
    """Arms in grey, the ball in black, edges one pixel soft. [N, H·W] in [0, 1]."""
    height, width = image_shape
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack([columns, rows], -1).reshape(1, -1, 2)  # [1, H·W, 2]
    offset = pixels - start[:, None]
    ball = np.clip(2.0 - np.linalg.norm(offset, axis=-1), 0, 1)
    arms = np.zeros_like(ball)
    for w in range(directions.shape[1]):
        along = offset @ directions[:, w, :, None]  # [N, H·W, 1]
        nearest = np.clip(along, 0, reach) * directions[:, w, None]
        arms = np.maximum(arms, np.clip(1.3 - np.linalg.norm(offset - nearest, axis=-1), 0, 1))
    return np.maximum(ball, 0.45 * arms).astype(np.float32)
