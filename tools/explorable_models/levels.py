"""Noise levels: lesson 11's diffusion model, of points with a known truth and of digits."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from sklearn.svm import SVC

from cvae_tf import datasets, networks
from cvae_tf.distributions import Gaussian

from ._lesson import definitions

PARTS = (
    "gaussian", "FromNetworks", "alpha", "sigma", "q", "back", "uniform", "Diffusion", "sample",
    "components", "pixels", "apart", "coverage",
)  # fmt: skip
LESSON = definitions("11_where_this_leads", *PARTS)
LEVELS, ENDS = 50, {"points": 5.0, "digits": 6.0}
WEIGHTS = (0.0, 0.5, 1.0, 3.0)  # of guidance, at which the digits are measured

SCALE = 0.24  # of a clump of points
RADII, TURNS = np.array([0.45, 1.25, 2.05]), np.array([0.0, 0.25, 0.5])  # of an arm's three clumps
ANGLES = np.pi * (0.5 + 2 / 3 * np.arange(3))[:, None] + TURNS
CLUMPS = (RADII[..., None] * np.stack([np.cos(ANGLES), np.sin(ANGLES)], -1)).round(3)  # [y, 3, 2]


def points(num: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Points x [num, 2] and one-hot labels y [num, 3]."""
    rng = np.random.default_rng(seed)
    label, clump = rng.integers(0, 3, (2, num))
    x = CLUMPS[label, clump] + SCALE * rng.standard_normal((num, 2))
    return x.astype("float32"), np.eye(3, dtype="float32")[label]


def set_up_digits() -> Any:
    """The digits; the lesson's functions get their 48 components to work with."""
    data = datasets.mnist_10k()
    centre = data.train.x.mean(0)
    _, spread, axes = np.linalg.svd(data.train.x - centre, full_matrices=False)
    axes = axes[:48] / np.sqrt((spread[:48] ** 2).mean() / len(data.train.x))
    LESSON.update(data=data, centre=centre, axes=axes)
    LESSON["x_test"] = LESSON["components"](data.test.x)
    return data


def build() -> dict[str, Any]:
    keras.utils.set_random_seed(0)
    sizes = {"points": (3, 2, (48, 48, 48)), "digits": (10, 48, (256, 256, 256))}
    models = {}
    for name, (labels, size, hidden) in sizes.items():
        inputs = {"y": labels, "level": 1, "z": size}
        net = networks.mlp(inputs, hidden, size, activation="swish")
        model = LESSON["Diffusion"](likelihood_net=net, family=Gaussian(1.0), seed=0)
        model.T, model.end = LEVELS, ENDS[name]
        models[name] = model
    return models


def train(models: dict[str, Any]) -> None:
    data = set_up_digits().train
    examples = {
        "points": (*points(20_000, seed=1), 4e-3, 250),
        "digits": (LESSON["components"](data.x), data.y, 2e-3, 100),
    }
    for name, (x, y, rate, batch_size) in examples.items():
        falling = keras.optimizers.schedules.CosineDecay(rate, 60 * (len(x) // batch_size))
        models[name].compile(keras.optimizers.Adam(falling))
        models[name].fit(x, y, batch_size=batch_size, epochs=60, verbose=0)


def contents(models: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    data = set_up_digits()
    facts = {
        "levels": LEVELS,
        "points": {"end": ENDS["points"], "clumps": CLUMPS.tolist(), "scale": SCALE},
        "digits": {"end": ENDS["digits"], "measured": measured(models["digits"], data)},
    }
    first = [np.flatnonzero(data.test.labels == k)[0] for k in range(10)]
    arrays = {
        "pictures": (np.linalg.pinv(LESSON["axes"]).T, "float16"),  # of the components, [48, 784]
        "centre": (LESSON["centre"], "float16"),
        "real": (LESSON["x_test"][first], "float16"),  # a test image of each label
    }
    return facts, arrays


def measured(model: Any, data: Any) -> dict[str, list[float]]:
    """As in the lesson: share read as the label, and coverage, of 1,000 images each."""
    LESSON.update(diffusion=model, asked=np.repeat(np.arange(10), 100))
    asked, x_train = LESSON["asked"], LESSON["components"](data.train.x)
    reader = SVC(C=10).fit(x_train, data.train.labels)
    some = np.concatenate([np.flatnonzero(data.train.labels == k)[:100] for k in range(10)])
    found = {"real": (reader.score(LESSON["x_test"], data.test.labels), x_train[some])}
    for w in WEIGHTS:
        images = LESSON["pixels"](LESSON["sample"](np.eye(10, dtype="float32")[asked], w))
        x = LESSON["components"](np.clip(images, 0, 1))
        found[f"w = {w:g}"] = ((reader.predict(x) == asked).mean(), x)
    return {
        name: [round(float(right), 3), round(float(LESSON["coverage"](x)), 3)]
        for name, (right, x) in found.items()
    }
