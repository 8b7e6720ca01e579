"""Conditional variational autoencoders, one derivation per class: VAE, CVAE-1 to CVAE-4 (CMMA)."""

from __future__ import annotations

import importlib
from typing import Any

from cvae_tf import startup as startup  # first

# isort: split
from cvae_tf import distributions, estimators, networks, noise, penalties, schedules
from cvae_tf.baselines import Baseline
from cvae_tf.conditional import CMMA, CVAE1, CVAE2, CVAE3, CVAE4, GSNN
from cvae_tf.futures import FutureCVAE
from cvae_tf.semi_supervised import M2
from cvae_tf.stacked import StackedM2
from cvae_tf.vae import VAE

__version__ = "0.1.0"

# What is imported when it is first asked for: matplotlib and scikit-learn take their time.
_LAZY = (
    "datasets", "diagnostics", "editing", "evaluation", "faces", "graphs", "oracle",
    "photographs", "plotting", "readout", "tasks",
)

__all__ = [
    "Baseline", "CMMA", "CVAE1", "CVAE2", "CVAE3", "CVAE4", "FutureCVAE", "GSNN", "M1", "M2",
    "StackedM2", "VAE", "distributions", "estimators", "networks", "noise", "penalties",
    "schedules", *_LAZY,
]


def __getattr__(name: str) -> Any:
    if name == "M1":
        return importlib.import_module("cvae_tf.features").M1
    if name in _LAZY:
        return importlib.import_module(f"cvae_tf.{name}")
    raise AttributeError(f"module 'cvae_tf' has no attribute {name!r}")
