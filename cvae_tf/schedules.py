r"""Weights of the KL as functions of the step, (7.6), for `penalties.Beta`.

Each is a Keras schedule, like one of a learning rate: it is computed inside the compiled step, and
saved with the model. Keras's own, and any function of the step that
TensorFlow can compute (`tf.where`, not `if`), do as well.
"""

from __future__ import annotations

import abc
from typing import Any

import keras
import tensorflow as tf

from cvae_tf import checks


class Schedule(keras.optimizers.schedules.LearningRateSchedule, abc.ABC):
    r"""β_t = final · r(t / steps), with r rising from 0 to 1 and staying there.

    Args:
        steps: int T, training steps (batches) until β has its final value.
        final: float ≥ 0.
    """

    def __init__(self, steps: int, final: float = 1.0) -> None:
        self.steps = checks.count(steps, "steps")
        self.final = checks.number(final, "final", least=0)

    @abc.abstractmethod
    def rise(self, progress: tf.Tensor) -> tf.Tensor:
        """r, from 0 to 1. Args: progress: t / steps ≥ 0."""

    def __call__(self, step: Any) -> tf.Tensor:
        """β of a step. Args: step: int or scalar tensor t, batches seen before. Returns: scalar."""
        progress = tf.cast(step, tf.float64) / self.steps
        return tf.cast(self.final * self.rise(progress), tf.float32)

    def get_config(self) -> dict[str, Any]:
        return {"steps": self.steps, "final": self.final}


@keras.saving.register_keras_serializable("cvae_tf")
class Linear(Schedule):
    """r(s) = min(1, s), (7.6).

    Example:
        >>> penalty = Beta(Linear(1000))
        >>> float(Linear(1000)(250))
        0.25

    Source: Sønderby et al. (2016), warm-up.
    """

    def rise(self, progress: tf.Tensor) -> tf.Tensor:
        return tf.minimum(progress, 1.0)


@keras.saving.register_keras_serializable("cvae_tf")
class Sigmoid(Schedule):
    r"""r(s) = 1 / (1 + exp(−sharpness·(s − ½))), (7.6), shifted and scaled to r(0) = 0, r(1) = 1.

    Args:
        steps, final: as in `Schedule`.
        sharpness: float > 0; the greater, the more sudden in the middle.

    Source: Bowman et al. (2016), section 3.1.
    """

    def __init__(self, steps: int, final: float = 1.0, *, sharpness: float = 10.0) -> None:
        super().__init__(steps, final)
        self.sharpness = checks.number(sharpness, "sharpness", above=0)

    def rise(self, progress: tf.Tensor) -> tf.Tensor:
        at = tf.stack([tf.minimum(progress, 1.0), tf.zeros([], "float64"), tf.ones([], "float64")])
        value, low, high = tf.unstack(tf.sigmoid(self.sharpness * (at - 0.5)))
        return (value - low) / (high - low)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "sharpness": self.sharpness}


@keras.saving.register_keras_serializable("cvae_tf")
class Cyclic(Schedule):
    r"""r rises linearly over the first part of each cycle and rests at 1 for the others, (7.6).

    Args:
        steps, final: as in `Schedule`; after `steps` β stays at its final value.
        cycles: int M, equal cycles within `steps`.
        rising: float in (0, 1], the part R of a cycle in which β rises.

    Source: Fu et al. (2019); M = 4 and R = ½ are theirs.
    """

    def __init__(
        self, steps: int, final: float = 1.0, *, cycles: int = 4, rising: float = 0.5
    ) -> None:
        super().__init__(steps, final)
        self.cycles = checks.count(cycles, "cycles")
        self.rising = checks.number(rising, "rising", above=0, most=1)

    def rise(self, progress: tf.Tensor) -> tf.Tensor:
        within = tf.math.floormod(progress * self.cycles, 1.0)
        value = tf.minimum(within / self.rising, 1.0)  # (7.6)
        return tf.where(progress < 1, value, tf.ones_like(value))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "cycles": self.cycles, "rising": self.rising}
