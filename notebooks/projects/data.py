"""The data of the projects: `from data import patients` in this folder."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.ndimage import uniform_filter
from scipy.special import expit, logsumexp
from scipy.stats import norm

# --- Project 1 -----------------------------------------------------------------------------------


def patients(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """442 patients, as in the recipe `table`: training 282, validation 60, test 100 rows of 8 columns.

    All columns are continuous; each has mean 0 and variance 1 over the training rows.
    """
    from sklearn.datasets import load_diabetes

    table = load_diabetes(as_frame=True, scaled=False).frame
    x = table[["bmi", "bp", "s1", "s2", "s3", "s5", "s6", "target"]].to_numpy()
    train, validation, test = np.split(np.random.default_rng(seed).permutation(x), [282, 342])
    return tuple(
        ((part - train.mean(0)) / train.std(0)).astype("float32")
        for part in (train, validation, test)
    )


# --- Project 2 -----------------------------------------------------------------------------------

COLOURS = np.array([[0.9, 0.2, 0.1], [0.1, 0.7, 0.3], [0.2, 0.4, 1.0], [1.0, 0.8, 0.1]])
HIGHEST = np.array([0.25, 0.35, 0.45, 0.55])  # where the balls of a colour may begin, from above
REACH, NOISE, SIDE, GROUND = 0.3, 0.2, 16, 0.1


class Balls(NamedTuple):
    """x: images [N, 16, 16, 3]; y: one-hot colour [N, 4]; place: down and across, from 0 to 1, [N, 2]."""

    x: np.ndarray
    y: np.ndarray
    place: np.ndarray


def balls(num: int, seed: int) -> Balls:
    """Images of one ball each, after the recipe `own_images`: four colours, another height for each.

    Down, a ball lies between HIGHEST[colour] and HIGHEST[colour] + 0.3; across, between 0.25 and
    0.75. Gaussian noise with the standard deviation 0.2 lies on all pixels.
    """
    rng = np.random.default_rng(seed)
    colour = rng.integers(0, 4, num)
    down, across = HIGHEST[colour] + REACH * rng.random(num), rng.uniform(0.25, 0.75, num)
    clean = picture(np.stack([down, across], 1), colour)
    x = clean + NOISE * rng.standard_normal(clean.shape)
    return Balls(x.astype("float32"), np.eye(4, dtype="float32")[colour], np.stack([down, across], 1))


def picture(place: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """Balls without noise: place [..., 2], colour [...] from 0 to 3. Returns [..., 16, 16, 3]."""
    at = (np.arange(SIDE) + 0.5) / SIDE
    squares = (at[:, None] - place[..., :1, None]) ** 2 + (at - place[..., 1:, None]) ** 2
    inside = expit((0.17 - np.sqrt(squares)) * 2 * SIDE)[..., None]  # a soft edge, a pixel wide
    return GROUND + inside * (COLOURS[colour][..., None, None, :] - GROUND)


def true_log_p(data: Balls, step: float = 0.004, reach: int = 15) -> np.ndarray:
    """log p(x|y) of the truth, nats, [N]: a sum over a fine grid of places round the true one."""
    steps, out = step * np.arange(-reach, reach + 1), []
    grid = np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2)
    for x, colour, place in zip(data.x, data.y.argmax(1), data.place, strict=True):
        near = place + grid
        low, high = [HIGHEST[colour], 0.25], [HIGHEST[colour] + REACH, 0.75]
        allowed = ((near >= low) & (near <= high)).all(1)
        clean = picture(near[allowed], np.full(allowed.sum(), colour))
        log_p = norm.logpdf(x, clean, NOISE).sum((1, 2, 3))
        out.append(logsumexp(log_p) + np.log(step**2 / (REACH * 0.5)))
    return np.array(out)


def seen_place(images: np.ndarray) -> np.ndarray:
    """Down and across of what stands out from the ground, from 0 to 1. images: [N, 16, 16, 3]."""
    weight = _standing_out(images)
    weight = weight / weight.sum((1, 2), keepdims=True).clip(1e-9)
    at = (np.arange(SIDE) + 0.5) / SIDE
    return np.stack([(weight.sum(2) * at).sum(1), (weight.sum(1) * at).sum(1)], 1)


def seen_colour(images: np.ndarray) -> np.ndarray:
    """The nearest of the four colours, 0 to 3, to the brightest part. images: [N, 16, 16, 3]."""
    weight = _standing_out(images)[..., None] ** 2
    mean = (weight * images).sum((1, 2)) / weight.sum((1, 2)).clip(1e-9)
    return np.linalg.norm(mean[:, None] - COLOURS, axis=-1).argmin(1)


def _standing_out(images: np.ndarray) -> np.ndarray:  # [N, 16, 16], 0 where nothing does
    smooth = uniform_filter(np.asarray(images, "float64"), (0, 3, 3, 0), mode="nearest")
    return (np.abs(smooth - GROUND).sum(-1) - 0.35).clip(0)


# --- Project 3 -----------------------------------------------------------------------------------

SYMBOLS, STEPS, SEEN, WRONG = 4, 12, 2, 0.2
SPEED, START = np.repeat([-1, -0.5, 0.5, 1], SYMBOLS), np.tile(np.arange(SYMBOLS), 4)
WALKS = (START[:, None] + np.floor(SPEED[:, None] * np.arange(STEPS))).astype(int) % SYMBOLS


def walks(num: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The sequences of the recipe `sequences`, all of length 12, one-hot.

    Returns: what is seen, x [N, 8], the first two symbols; what comes, y [N, 10, 4].
    """
    rng = np.random.default_rng(seed)
    any_symbol, walk = rng.integers(0, SYMBOLS, (num, STEPS)), rng.integers(0, len(WALKS), num)
    symbols = np.where(rng.random((num, STEPS)) < WRONG, any_symbol, WALKS[walk])
    one_hot = np.eye(SYMBOLS, dtype="float32")[symbols]
    return one_hot[:, :SEEN].reshape(num, -1), one_hot[:, SEEN:]


def future_log_p(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log p(y|x), nats, [N] each: of the truth, and of the best model whose steps are independent."""
    right, other = np.log(1 - WRONG + WRONG / SYMBOLS), np.log(WRONG / SYMBOLS)
    symbols = np.concatenate([x.reshape(len(x), SEEN, SYMBOLS), y], 1).argmax(-1)
    each = np.where(symbols[:, None] == WALKS, right, other)  # [N, walks, steps]
    log_walk = each[..., :SEEN].sum(-1)
    log_walk = log_walk - logsumexp(log_walk, 1, keepdims=True)  # p(walk|x)
    truth = logsumexp(log_walk + each[..., SEEN:].sum(-1), 1)
    return truth, logsumexp(log_walk[..., None] + each[..., SEEN:], 1).sum(1)
