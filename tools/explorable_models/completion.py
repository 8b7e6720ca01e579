"""Completion (lesson 05): a regressor and a CVAE-3 that complete a digit from any part of it.

x is the digit with ½ where it is covered, y the digit with NaN where it is seen, so that the bound
is one on log p(what is covered | what is seen).
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from cvae_tf import CVAE3, datasets, networks
from cvae_tf.baselines import Baseline
from cvae_tf.distributions import Bernoulli, ObservedOnly

SIDE, LATENTS = 28, 16
EPOCHS, BATCH = 100, 100


@keras.saving.register_keras_serializable("explorables")
class Blank(keras.layers.Layer):
    """Zero where a value is missing (NaN). Which ones are, x says."""

    def call(self, values):
        return tf.where(tf.math.is_nan(values), tf.zeros_like(values), values)


def posterior_net(size: int) -> keras.Model:
    """q(z|x,y), as `networks.mlp` makes it, but for the layer that y passes first."""
    x, y = (keras.Input((size,), name=name) for name in "xy")
    h = keras.layers.Concatenate()([x, Blank()(y)])
    h = keras.layers.Dense(72, activation="swish")(h)
    return keras.Model([x, y], keras.layers.Dense(2 * LATENTS)(h))


def build() -> dict:
    keras.utils.set_random_seed(0)
    size, family = SIDE * SIDE, [ObservedOnly(Bernoulli()) for _ in range(2)]

    def net(inputs, hidden, outputs):
        return networks.mlp(inputs, hidden, outputs, activation="swish")

    nets = {
        "prior_net": net({"x": size}, (96,), 2 * LATENTS),
        "posterior_net": posterior_net(size),
        "likelihood_net": net({"x": size, "z": LATENTS}, (96, 96), size),
    }
    regressor = net({"x": size}, (96, 96), size)
    return {
        "baseline": Baseline(likelihood_net=regressor, family=family[0], seed=0),
        "CVAE3": CVAE3(**nets, family=family[1], seed=0),
    }


# --- Data ----------------------------------------------------------------------------------------


def black_and_white(grey: np.ndarray) -> np.ndarray:
    return (grey > 0.5).astype("float32")


def shifted(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each digit moved by at most one pixel each way."""
    images, moves = x.reshape(-1, SIDE, SIDE), rng.integers(-1, 2, (len(x), 2))
    return np.stack([np.roll(i, m, (0, 1)) for i, m in zip(images, moves, strict=True)]).reshape(
        x.shape
    )


def masks(num: int, rng: np.random.Generator) -> np.ndarray:
    """Which pixels are seen, [num, 784]: a half-plane, or up to three boxes or all but them."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    one = (num, 1, 1)
    angle = rng.uniform(0, 2 * np.pi, one)
    upright = np.round(angle / (np.pi / 2)) * np.pi / 2
    angle = np.where(rng.random(one) < 0.5, angle, upright)
    middle = (SIDE - 1) / 2
    across = (columns - middle) * np.cos(angle) + (rows - middle) * np.sin(angle)
    half_plane = across > rng.uniform(-11, 11, one)

    boxes = np.zeros((num, SIDE, SIDE), bool)
    for chance in (1, 0.5, 0.5):
        (top, left), (bottom, right) = np.sort(rng.integers(0, SIDE + 1, (2, 2, *one)), axis=0)
        box = (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)
        boxes |= box & (rng.random(one) < chance)
    boxes ^= rng.random(one) < 0.5

    seen = np.where(rng.random(one) < 0.5, half_plane, boxes)
    seen &= rng.random(one) > 0.04  # now and then nothing at all
    return seen.reshape(num, -1)


def cut(digits: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is given, x, and what is to be predicted, y."""
    x, y = np.where(seen, digits, 0.5), np.where(seen, np.nan, digits)
    return x.astype("float32"), y.astype("float32")


# --- Training ------------------------------------------------------------------------------------


def train(models: dict) -> None:
    grey = datasets.mnist_10k(seed=0).train.x
    steps = EPOCHS * -(-len(grey) // BATCH)
    for model in models.values():
        falling = keras.optimizers.schedules.CosineDecay(2e-3, steps)
        model.compile(keras.optimizers.Adam(falling), jit_compile=False)
        rng = np.random.default_rng(1)
        for _ in range(EPOCHS):  # other parts, and digits a pixel aside, in each epoch
            digits = shifted(black_and_white(grey), rng)
            x, y = cut(digits, masks(len(digits), rng))
            model.fit(x, y, batch_size=BATCH, epochs=1, verbose=0)


def contents(models: dict) -> tuple[dict, dict]:
    """Two test digits of each class."""
    test = datasets.mnist_10k(seed=0).test
    rows = [row for k in range(10) for row in np.flatnonzero(test.labels == k)[2:4]]
    digits = black_and_white(test.x[rows])
    return {"labels": test.labels[rows].tolist()}, {"digits": (digits, "bits")}
