r"""The measuring instrument: which attributes a picture has, read by a network of its own.

"The face has the attributes that were asked for" is measured by a `Readout`, which has learned the
attributes from real pictures alone, and scores what a model makes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cvae_tf import checks
from cvae_tf.datasets import BINARY, CATEGORY, CONTINUOUS, Dataset

__all__ = ["Readout", "attribute_groups", "frechet_distance", "score"]

Groups = Mapping[str, tuple[str, slice]]


class Readout:
    """Reads attributes off pictures: a small convolutional network that has seen only real ones.

    It is trained on `data.train` alone, by a seed of its own. How well it reads real pictures it
    has not seen, `score(data.test.x, data.test.y)`, is what to hold a model's pictures against, and
    belongs beside every figure that it gives.

    Args:
        data: a `Dataset` of images or rows.
        epochs: int.
        seed: int ≥ 0.

    Attributes:
        groups: {attribute: (kind, slice of its columns)}.

    Raises:
        TypeError, ValueError: if an argument is none of those; so too the methods.

    Example:
        >>> data = drawn(6000)
        >>> readout = Readout(data)
        >>> readout.score(data.test.x, data.test.y)["glasses"]
        1.0
    """

    def __init__(self, data: Dataset, *, epochs: int = 20, seed: int = 0) -> None:
        import keras
        import tensorflow as tf

        checks.instance(data, "data", Dataset, "a Dataset, such as faces.drawn() gives")
        epochs, seed = checks.count(epochs, "epochs"), checks.count(seed, "seed", 0)
        self.image_shape = data.image_shape
        self.attribute_names, self.kinds = data.attribute_names, data.kinds
        self.groups = attribute_groups(self.attribute_names, self.kinds)
        seeds = iter(range(100 * seed, 100 * seed + 100))

        def layer(kind: Any, *args: Any, **options: Any) -> Any:
            start = keras.initializers.GlorotUniform(seed=next(seeds))
            return kind(*args, kernel_initializer=start, **options)

        h = pixels = keras.Input(self.image_shape)
        for filters in (32, 64, 64):
            h = layer(keras.layers.Conv2D, filters, 3, 2, padding="same", activation="relu")(h)
        h = layer(keras.layers.Dense, 64, activation="relu")(keras.layers.Flatten()(h))
        raw = layer(keras.layers.Dense, len(self.kinds))(h)
        self.network = keras.Model(pixels, [raw, h])
        reader = keras.Model(pixels, raw)

        x, y = self._images(data.train.x), data.train.y
        batches = tf.data.Dataset.from_tensor_slices((x, y)).cache()
        batches = batches.shuffle(len(x), seed=seed).batch(64, drop_remainder=len(x) >= 64)
        rate = keras.optimizers.schedules.CosineDecay(2e-3, epochs * len(batches))
        reader.compile(keras.optimizers.Adam(rate), loss=self._loss, jit_compile=False)
        reader.fit(batches.prefetch(2), epochs=epochs, shuffle=False, verbose=0)

    def _images(self, x: Any) -> np.ndarray:
        x = checks.array(x, "x")
        height, width, channels = self.image_shape
        rows = (height * width * channels,)
        if x.shape[1:] not in (self.image_shape, rows, (height, width)[: 2 * (channels == 1)]):
            raise ValueError(
                f"x has shape {x.shape}. Expected pictures {checks.rows_of(self.image_shape)}, or "
                f"rows {checks.rows_of(rows)}, as this read-out was trained on."
            )
        if np.abs(x).max() > 10:  # beyond what any model's noise adds
            raise ValueError(
                f"x holds values from {x.min()} to {x.max()}. Expected pixels in [0, 1], or what a "
                "model makes of them: divide by the greatest value a pixel can have."
            )
        return x.reshape(-1, *self.image_shape)

    def _outputs(self, x: Any) -> tuple[np.ndarray, ...]:
        """(raw [N, A], features [N, 64]), a thousand pictures at a time."""
        x = self._images(x)
        parts = [self.network(x[i : i + 1000], training=False) for i in range(0, len(x), 1000)]
        return tuple(np.concatenate(outputs) for outputs in zip(*parts, strict=True))

    def _loss(self, y: Any, raw: Any) -> Any:
        """Σ over attributes: cross entropy of the discrete, twice squared error of the others."""
        import tensorflow as tf

        total = 0.0
        for kind, columns in self.groups.values():
            target, output = y[:, columns], raw[:, columns]
            if kind == CATEGORY:
                total += tf.nn.softmax_cross_entropy_with_logits(target, output)
            elif kind == BINARY:
                total += tf.nn.sigmoid_cross_entropy_with_logits(target, output)[:, 0]
            else:
                total += 2 * tf.square(target - output)[:, 0]
        return total

    def predict(self, x: npt.ArrayLike) -> np.ndarray:
        """What it reads. Args: x: [N, …]. Returns: [N, A]: probabilities, or continuous values."""
        from scipy.special import expit, softmax

        raw = self._outputs(x)[0].astype("float64")
        for kind, columns in self.groups.values():
            if kind == BINARY:
                raw[:, columns] = expit(raw[:, columns])
            elif kind == CATEGORY:
                raw[:, columns] = softmax(raw[:, columns], axis=1)
        return raw

    def features(self, x: npt.ArrayLike) -> np.ndarray:
        """The numbers it reads from, [N, 64], for `frechet_distance`. Args: x: [N, …]."""
        return self._outputs(x)[1]

    def score(self, x: npt.ArrayLike, y: npt.ArrayLike) -> dict[str, float]:
        """How far pictures have the attributes y.

        Args:
            x: pictures [N, …].
            y: the attributes they should have, [N, A].

        Returns:
            dict from attribute to accuracy (binary, category) or R² = 1 − Σ(read − y)² / Σ(y − ȳ)²
            (continuous; at most 1, and 0 for what says nothing about y; NaN where all y are equal,
            and there is nothing to tell apart).
        """
        return score(self.predict(x), y, self.groups)


def score(read: npt.ArrayLike, y: npt.ArrayLike, groups: Groups) -> dict[str, float]:
    """`Readout.score` from what was read.

    Args:
        read: [N, A], as `Readout.predict` gives it.
        y: the attributes that were to be read, [N, A].
        groups: as `attribute_groups` gives them.

    Returns:
        dict from attribute to accuracy or R², as in `Readout.score`.

    Raises:
        TypeError, ValueError: if the arrays do not go together, or hold what is no number.

    Example:
        >>> score([[0.9], [0.2]], [[1], [1]], attribute_groups(["hat"], ["binary"]))
        {'hat': 0.5}
    """
    groups = checks.instance(groups, "groups", Mapping, "what attribute_groups gives")
    width = (max((columns.stop for _, columns in groups.values()), default=0),)
    read = checks.array(read, "read", event=width, dtype="float64")
    y = checks.array(y, "y", event=width, dtype="float64")
    checks.same_length({"read": read, "y": y}, "score")
    scores = {}
    for name, (kind, columns) in groups.items():
        guess, truth = read[:, columns], y[:, columns]
        if kind == CONTINUOUS:
            spread = ((truth - truth.mean()) ** 2).sum()
            scores[name] = float(1 - ((guess - truth) ** 2).sum() / spread if spread else np.nan)
        elif kind == BINARY:
            scores[name] = float(((guess > 0.5) == (truth > 0.5)).mean())
        else:
            scores[name] = float((guess.argmax(1) == truth.argmax(1)).mean())
    return scores


def attribute_groups(names: Sequence[str], kinds: Sequence[str]) -> dict[str, tuple[str, slice]]:
    """The columns of y that belong to each attribute; a one-hot group's are side by side.

    Args:
        names, kinds: of y's columns, as `Dataset` has them.

    Returns:
        {attribute: (kind, slice of its columns)}.

    Raises:
        ValueError: if a kind is unknown, or there are not as many kinds as names.

    Example:
        >>> attribute_groups(("eye=a", "eye=b", "hat"), ("category", "category", "binary"))["hat"]
        ('binary', slice(2, 3, None))
    """
    if not 0 < len(names) == len(kinds):
        raise ValueError(f"Received names={names} and kinds={kinds}. Expected one kind per name.")
    for kind in kinds:
        checks.choice(kind, "kind", (BINARY, CONTINUOUS, CATEGORY))
    groups: dict[str, tuple[str, slice]] = {}
    for column, (name, kind) in enumerate(zip(names, kinds, strict=True)):
        name = name.split("=")[0] if kind == CATEGORY else name
        first = groups[name][1].start if name in groups else column
        groups[name] = (kind, slice(first, column + 1))
    return groups


def frechet_distance(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    r"""The squared Fréchet distance of two sets of features, taken as Gaussians.

    |μ_a − μ_b|² + tr(C_a + C_b − 2 (C_a C_b)^½)

    Args:
        a, b: features [N, d], N ≥ 2, such as `Readout.features` gives; compare sets of one size.

    Returns:
        float ≥ 0, up to rounding.

    Raises:
        TypeError, ValueError: if the features are not two such arrays.

    Example:
        >>> frechet_distance([[0.0], [2.0]], [[3.0], [5.0]])
        9.0

    Source: M. Heusel et al. (2017), GANs trained by a two time-scale update rule, section 3.
    """
    a = checks.array(a, "a", ndim=2, dtype="float64")
    b = checks.array(b, "b", event=a.shape[1:], dtype="float64")
    if min(len(a), len(b)) < 2:
        raise ValueError(f"Received {len(a)} and {len(b)} rows. Expected 2 or more of each.")
    cov_a, cov_b = (np.atleast_2d(np.cov(f, rowvar=False)) for f in (a, b))
    roots = np.sqrt(np.clip(np.linalg.eigvals(cov_a @ cov_b).real, 0, None))
    return float(
        ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * roots.sum()
    )
