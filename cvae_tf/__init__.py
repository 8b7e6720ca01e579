"""Conditional variational autoencoders, one derivation per class: VAE, CVAE-1 to CVAE-4 (CMMA)."""

import importlib

from cvae_tf import distributions, estimators, networks, noise, penalties
from cvae_tf.baselines import Baseline
from cvae_tf.conditional import CMMA, CVAE1, CVAE2, CVAE3, CVAE4, GSNN
from cvae_tf.futures import FutureCVAE
from cvae_tf.semi_supervised import M1, M2, StackedM2
from cvae_tf.vae import VAE

__version__ = "0.1.0"

_LAZY = ("datasets", "diagnostics", "editing", "evaluation", "faces", "oracle", "plotting", "tasks")

__all__ = [
    "Baseline",
    "CMMA",
    "CVAE1",
    "CVAE2",
    "CVAE3",
    "CVAE4",
    "FutureCVAE",
    "GSNN",
    "M1",
    "M2",
    "StackedM2",
    "VAE",
    "distributions",
    "estimators",
    "networks",
    "noise",
    "penalties",
    *_LAZY,
]


def __getattr__(name):
    if name in _LAZY:
        return importlib.import_module(f"cvae_tf.{name}")
    raise AttributeError(f"module 'cvae_tf' has no attribute {name!r}")
