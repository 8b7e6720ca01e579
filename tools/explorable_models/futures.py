"""Futures: the regressor, the mixture and the CVAE of lesson 09, on its stills."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import numpy as np
from scipy.stats import chi2

from cvae_tf import FutureCVAE, networks, tasks
from cvae_tf.baselines import Baseline
from cvae_tf.distributions import Gaussian, MixtureOfGaussians

COMPONENTS = 6
REACH = inspect.signature(tasks.futures).parameters["reach"].default  # pixels
EPOCHS = {"regressor": 10, "mixture": 30, "CVAE": 30}


def _make(kind: Any, family: Any, z: int = 0) -> Any:
    keras.utils.set_random_seed(0)
    nets = networks.mlps(kind, x=256, y=10, z=z, hidden=(128, 128), family=family)
    return kind(**nets, family=family, seed=0)


def build() -> dict[str, Any]:
    return {
        "regressor": _make(Baseline, Gaussian("shared", min_scale=0.01)),
        "mixture": _make(Baseline, MixtureOfGaussians(COMPONENTS)),
        "CVAE": _make(FutureCVAE, Gaussian("shared", min_scale=0.01), z=1),
    }


def train(models: dict[str, Any]) -> None:
    data = tasks.futures(16_000, seed=1)
    for name, epochs in EPOCHS.items():
        falling = keras.optimizers.schedules.CosineDecay(4e-3, epochs * 63)
        models[name].compile(keras.optimizers.Adam(falling), jit_compile=False)
        models[name].fit(data.x, data.y, batch_size=256, epochs=epochs, verbose=0)


def contents(models: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Numbers of the task, the models' learned σ, and how far from its way is off every way."""
    task = tasks.futures(1)
    raw = {name: np.zeros((1, 10), "float32") for name in ("regressor", "CVAE")}
    sigmas = {name: float(models[name].family(raw[name]).stddev()[0, 0]) for name in raw}
    facts = {
        "frames": tasks.FRAMES, "directions": tasks.DIRECTIONS, "side": task.image_shape[0],
        "reach": REACH, "sigma": task.sigma, "radius": task.sigma * chi2.ppf(0.999, df=10) ** 0.5,
        "sigmas": sigmas, "components": COMPONENTS, "least": models["mixture"].family.min_scale,
    }  # fmt: skip
    return facts, {}


def set_sigmas(models: dict[str, Any], sigmas: dict[str, float]) -> None:
    """Give the models the σ that the page has."""
    for name, sigma in sigmas.items():
        family = models[name].family
        family.raw_scale.assign(family.raw_from_scale(sigma))
