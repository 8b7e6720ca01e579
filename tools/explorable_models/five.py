"""Five models of the same digits, two latents each: how they are trained, what the page is told.

The pixels are those of the bundled 28 × 28 digits, cut at ½: black or white, so that a bound is one
on a log-probability. CVAE-3 predicts the lower half of a digit, its y, from the upper half, its x.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import Any

import keras
import numpy as np

from cvae_tf import CMMA, CVAE1, CVAE2, CVAE3, VAE, datasets, look, networks, signatures
from cvae_tf.distributions import Bernoulli

KINDS = {kind.__name__: kind for kind in (VAE, CVAE1, CVAE2, CMMA, CVAE3)}
LESSONS = {"VAE": "01", "CVAE1": "03", "CVAE2": "04a", "CMMA": "06", "CVAE3": "05"}
SEED, HIDDEN, EPOCHS, BATCH, RATE = 0, (64, 128), 100, 100, 2e-3
ACTIVATION = "tanh"  # bounded, so that z keeps a scale that one can draw
SIDE, CLASSES, LATENTS = 28, 10, 2
HALF = SIDE * SIDE // 2
POINTS = 5  # of the Gauss-Hermite rule, along each latent
PRESETS = 3  # test images of each class


def cut(split: datasets.Split) -> datasets.Split:
    """The same rows, pixels above ½ black."""
    return datasets.Split((split.x > 0.5).astype("float32"), split.y, split.labels)


def data_for(name: str, x: Any, y: Any) -> tuple[Any, ...]:
    """What a model is given of an image and its label."""
    return {"VAE": (x,), "CVAE3": (x[:, :HALF], x[:, HALF:])}.get(name, (x, y))


def build() -> dict[str, Any]:
    """The five, untrained."""
    models = {}
    for name, kind in KINDS.items():
        keras.utils.set_random_seed(SEED)
        sizes = {"VAE": {"x": SIDE**2}, "CVAE3": {"x": HALF, "y": HALF}}
        size = sizes.get(name, {"x": SIDE**2, "y": CLASSES})
        family = Bernoulli()
        nets = networks.mlps(
            kind, **size, z=LATENTS, hidden=HIDDEN, family=family, activation=ACTIVATION
        )
        models[name] = kind(**nets, family=family, seed=SEED)
    return models


def train(models: dict[str, Any]) -> None:
    """Adam along a cosine, the weights of the epoch that is best on validation images."""
    data = datasets.mnist_10k()
    rows, held_out = cut(data.train), cut(data.validation)
    steps = EPOCHS * len(rows.x) // BATCH
    for name, model in models.items():
        rate = keras.optimizers.schedules.CosineDecay(RATE, steps)
        model.compile(optimizer=keras.optimizers.Adam(rate))
        best = keras.callbacks.EarlyStopping(
            "val_elbo", mode="max", patience=EPOCHS, restore_best_weights=True
        )
        model.fit(
            *data_for(name, rows.x, rows.y), batch_size=BATCH, epochs=EPOCHS, verbose=0,
            validation_data=data_for(name, held_out.x, held_out.y), callbacks=[best],
        )  # fmt: skip


def one_line(method: Any) -> str:
    """A method without docstring and annotations, on one line."""
    text = textwrap.dedent(inspect.getsource(method))
    tree = ast.parse(text).body[0]
    names = ", ".join(argument.arg for argument in tree.args.args)
    return f"def {tree.name}({names}): {ast.get_source_segment(text, tree.body[-1])}"


def described(kind: type) -> dict[str, Any]:
    """What differs between the five, read off the library's code."""
    parts = ("prior", "posterior", "likelihood", "factors")
    given = [name for name in signatures.parents(kind.factors) if name != kind.observed]
    return {
        "name": look.written(kind.__name__),
        "lesson": LESSONS[kind.__name__],
        "equation": inspect.getdoc(kind.factors).strip("()"),
        "observed": kind.observed,
        "given": given,
        "parents": {part: list(signatures.parents(getattr(kind, part))) for part in parts[:3]},
        "code": {part: one_line(getattr(kind, part)) for part in parts},
    }


def rule() -> tuple[np.ndarray, np.ndarray]:
    """Points and weights of the Gauss-Hermite rule for means under N(0, 1)."""
    points, weights = np.polynomial.hermite_e.hermegauss(POINTS)
    return points, weights / weights.sum()


def by_rule(model: Any, data: Any) -> tuple[np.ndarray, np.ndarray]:
    """(reconstruction, KL) of each example, nats, the expectation under q by the rule."""
    points, weights = rule()
    epsilon = np.stack(np.meshgrid(points, points, indexing="ij"), -1).reshape(-1, 1, LATENTS)
    q, prior, log_likelihood = model.factors(*map(model.tensor, data))
    each = log_likelihood(q.mean() + q.stddev() * epsilon.astype("float32"))  # [25, B]
    return np.outer(weights, weights).ravel() @ each.numpy(), q.kl_divergence(prior).numpy()


def facts() -> dict[str, Any]:
    """What is so before any training."""
    points, weights = rule()
    return {
        "data": "mnist_10k, pixels above 1/2",
        "seed": SEED,
        "epochs": EPOCHS,
        "hidden": list(HIDDEN),
        "activation": ACTIVATION,
        "side": SIDE,
        "classes": CLASSES,
        "latents": LATENTS,
        "half": HALF,
        "rule": {"points": points.tolist(), "weights": weights.tolist()},
        "models": {name: described(kind) for name, kind in KINDS.items()},
    }


def contents(models: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Facts and arrays for the page: test images to choose from, and where q puts all of them."""
    test = cut(datasets.mnist_10k().test)
    chosen = [np.flatnonzero(test.labels == c)[k] for k in range(PRESETS) for c in range(CLASSES)]
    arrays = {
        "labels": (test.labels, "uint8"),
        "presets": (test.x[chosen], "bits"),
        "preset_labels": (test.labels[chosen], "uint8"),
    }
    views, bounds = {}, {}
    for name, model in models.items():
        data = data_for(name, test.x, test.y)
        q, _, _ = model.factors(*map(model.tensor, data))
        means = q.mean().numpy()
        arrays[f"{name}.means"] = (means, "float16")
        views[name] = view_of(means)
        terms = [by_rule(model, [v[i : i + 100] for v in data]) for i in range(0, len(means), 100)]
        bounds[name] = float(np.mean([r - kl for r, kl in terms]))
    trained_on = len(datasets.mnist_10k().train.x)
    more = {"views": views, "test_bounds": bounds, "images": [trained_on, len(test.x)]}
    return facts() | more, arrays


def view_of(means: np.ndarray) -> dict[str, Any]:
    """The square of the map that most means lie in: its centre, and half its side."""
    low, high = np.quantile(means, [0.02, 0.98], axis=0)
    half = max(3.0, 1.2 * np.max(high - low) / 2)
    return {"centre": ((low + high) / 2).round(2).tolist(), "half": float(np.round(half, 2))}
