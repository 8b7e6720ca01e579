"""What is logged: running means over the examples seen."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("cvae_tf")
class TermMeans(keras.metrics.Metric):
    """Running means of the loss and of what is logged beside it, in one variable.

    The loss is averaged over examples, Σwℓ/B; the terms over weights, Σwℓ/Σw, as Keras does.
    """

    def __init__(self, terms: tuple[str, ...], name: str = "terms", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.terms = tuple(terms)
        self.sums = self.add_variable(shape=(2, len(terms) + 1), initializer="zeros", name="sums")

    def update_state(
        self, mean_loss: Any, count: Any, terms: dict[str, Any], weights: Any = None
    ) -> None:
        """Args: mean_loss, count: scalars; terms: of `Bound.terms`; weights: [B] or None."""
        pairs = [terms[name] for name in self.terms]
        values = tf.stack([p[0] if isinstance(p, tuple) else p for p in pairs])
        if weights is None and not any(isinstance(p, tuple) for p in pairs):
            sums = tf.stack([tf.reduce_sum(values, -1), tf.fill([len(pairs)], count)])
        else:
            own = tf.stack([p[1] if isinstance(p, tuple) else tf.ones_like(p) for p in pairs])
            own *= 1.0 if weights is None else weights
            sums = tf.reduce_sum(tf.stack([values * own, own]), -1)
        loss = tf.stack([mean_loss * count, count])[:, None]
        self.sums.assign_add(tf.cast(tf.concat([loss, sums], 1), self.dtype))

    def result(self) -> dict[str, tf.Tensor]:
        sums = tf.convert_to_tensor(self.sums)
        means = tf.unstack(tf.math.divide_no_nan(sums[0], sums[1]))
        return dict(zip(("loss", *self.terms), means, strict=True))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "terms": self.terms}
