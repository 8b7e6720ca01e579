r"""Networks: built Keras models that know tensors and no probability.

`apply` runs a network on inputs with sample axes, each layer on no more rows than it depends on.
`mlp` and `conv_…` make one network; `mlps` and `convs` read a model's factors — p(z|y), q(z|x,y), …
— and make one network for each, whose inputs are the names behind the conditioning bar. Any other
built Keras model will do as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from cvae_tf import checks, signatures
from cvae_tf.broadcasting import apply as apply
from cvae_tf.distributions import Family
from cvae_tf.signatures import FACTORS as FACTORS

Sizes = Sequence[Any] | dict[str, Any]


def _activation(activation: Any) -> Any:
    try:
        found = keras.activations.get(activation)
    except ValueError:
        found = None
    if found is None or isinstance(found, type):
        raise checks.WrongKind(
            f"Received activation={activation!r}. Expected the name of a Keras activation, such as "
            '"relu", or a function.'
        )
    return found


def convolves(net: keras.Model) -> bool:
    """Whether a network, or one inside it, has a convolution. Args: net: Keras model."""
    kinds = tuple(k for n, k in vars(keras.layers).items() if "Conv" in n and "LSTM" not in n)
    return any(
        isinstance(layer, kinds) or (isinstance(layer, keras.Model) and convolves(layer))
        for layer in net.layers
    )


def _shape(size: Any, name: str = "a size") -> tuple[int, ...]:
    """A size or shape as a tuple."""
    if isinstance(size, (list, tuple)) and len(size):
        return checks.sizes(size, name)
    return (checks.count(size, name),)


def _inputs(sizes: Sizes) -> list[Any]:
    """Input layers, named when `sizes` is a dict."""
    if not isinstance(sizes, (dict, list, tuple)) or not sizes:
        raise checks.WrongKind(
            f"Received inputs={sizes!r}. Expected a list with one size or shape for each parent, "
            "such as [64, 10], or a dict {name: size}."
        )
    named = sizes.items() if isinstance(sizes, dict) else ((None, size) for size in sizes)
    dtype = keras.config.dtype_policy().variable_dtype
    return [keras.Input(_shape(size), name=name, dtype=dtype) for name, size in named]


@keras.saving.register_keras_serializable("cvae_tf")
class Filled(keras.layers.Layer):
    """Zero where a value is missing (NaN), and beside each value whether it is there: [..., 2n].

    Example:
        >>> Filled()(tf.constant([[0.5, np.nan]])).numpy().tolist()
        [[0.5, 0.0, 1.0, 0.0]]
    """

    def call(self, values: Any) -> Any:
        seen = tf.logical_not(tf.math.is_nan(values))
        filled = tf.where(seen, values, tf.zeros_like(values))
        return tf.concat([filled, tf.cast(seen, values.dtype)], -1)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return (*input_shape[:-1], 2 * input_shape[-1])


def _filled(parents: list[Any], missing: str | None) -> list[Any]:
    return [Filled()(p) if missing is not None and p.name == missing else p for p in parents]


def _flat(tensors: list[Any]) -> Any:
    """Each tensor flattened to a vector, side by side."""
    flat = [t if len(t.shape) == 2 else keras.layers.Flatten()(t) for t in tensors]
    return flat[0] if len(flat) == 1 else keras.layers.Concatenate()(flat)


def mlp(
    inputs: Sizes, hidden: Sequence[int], outputs: Any, *, activation: Any = "relu",
    dtype: Any = None, name: str | None = None, missing: str | None = None,
) -> keras.Model:
    """A multilayer perceptron of its inputs, flattened and side by side; the output is linear.

    Args:
        inputs: list of sizes or shapes, one per parent, or a dict {name: size}.
        hidden: tuple of layer widths; () gives an affine map.
        outputs: int or shape of the raw output.
        activation: Keras activation of the hidden layers.
        dtype: "float32" or "float64", for exact checks; None is Keras's default.
        name: str or None.
        missing: name of the input in which NaN says that a value is missing, see `Filled`; or None.

    Returns:
        A built Functional model with one input per parent.

    Example:
        >>> mlp([64, 10], (128, 128), 4).output_shape
        (None, 4)
    """
    hidden, shape = checks.sizes(hidden, "hidden"), _shape(outputs, "outputs")
    activation = _activation(activation)
    with _policy(dtype):
        parents = _inputs(inputs)
        h = _flat(_filled(parents, missing))
        for width in hidden:
            h = keras.layers.Dense(width, activation=activation)(h)
        raw = keras.layers.Dense(int(np.prod(shape)))(h)
        if len(shape) > 1:
            raw = keras.layers.Reshape(shape)(raw)
        return keras.Model(_as_given(parents), raw, name=name)


def _as_given(parents: list[Any]) -> Any:
    return parents[0] if len(parents) == 1 else parents


class _policy:
    """Layers made inside have this dtype policy (the current one for None)."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype

    def __enter__(self) -> None:
        self.before = keras.config.dtype_policy()
        if self.dtype is not None:
            keras.config.set_dtype_policy(checks.policy(self.dtype))

    def __exit__(self, *error: Any) -> None:
        keras.config.set_dtype_policy(self.before)


def _image(shape: Any) -> None:
    """Refuse (C, H, W)."""
    if shape[0] <= 4 < shape[2]:
        raise ValueError(
            f"Received an image shape {tuple(shape)}. Expected (H, W, C), and this looks like "
            "(C, H, W): move the channels to the end, x.transpose(0, 2, 3, 1)."
        )


def _sides(shape: Any) -> list[tuple[int, int]]:
    """(height, width) after each halving, the image's own first; at most three.

    Even sides are halved while they stay at least 3 pixels, odd ones rounded up from 16 pixels on.
    """
    height, width = shape[:2]
    sides = [(height, width)]
    while len(sides) < 4:
        is_even, least = height % 2 == width % 2 == 0, min(height, width)
        if not (least >= 16 or (is_even and least >= 6)):
            break
        height, width = -(-height // 2), -(-width // 2)
        sides.append((height, width))
    return sides


def conv_encoder(
    inputs: Sizes, filters: int, hidden: int, outputs: Any, *, activation: Any = "relu",
    dtype: Any = None, name: str | None = None, missing: str | None = None,
) -> keras.Model:
    """A convolutional network from images (and vectors) to a vector: q(z|x), q(z|x,y), p(z|x).

    Images of one size are stacked as channels and halved by strided convolutions, at most three
    times; odd sides are rounded up. Vectors join after the last convolution.

    Args:
        inputs: list of sizes (int) or image shapes (H, W, C), or a dict {name: …}; at least one
            image.
        filters: int, channels after the first halving; doubled at each further one.
        hidden: int, width of the dense layer before the output.
        outputs: int, length of the raw output vector.
        activation, dtype, name, missing: as in `mlp`.

    Returns:
        A built Functional model.

    Raises:
        ValueError: if no input is an image, or images differ in height or width.

    Example:
        >>> conv_encoder([(28, 28, 1), 10], 32, 128, 40).output_shape
        (None, 40)
    """
    filters, hidden = checks.count(filters, "filters"), checks.count(hidden, "hidden")
    activation = _activation(activation)
    outputs = checks.count(outputs, "outputs")
    with _policy(dtype):
        parents = _inputs(inputs)
        given = _filled(parents, missing)
        images = [p for p in given if len(p.shape) == 4]
        vectors = [p for p in given if len(p.shape) != 4]
        for image in parents:
            if len(image.shape) == 4:
                _image(image.shape[1:])
        if len({image.shape[1:3] for image in images}) != 1:
            raise ValueError(
                f"Received inputs of shapes {[p.shape[1:] for p in parents]}. Expected images "
                "(H, W, C) of one height and width. For vectors alone, use networks.mlp."
            )
        h = images[0] if len(images) == 1 else keras.layers.Concatenate()(images)
        halvings = len(_sides(h.shape[1:])) - 1
        for _ in range(max(1, halvings)):
            stride = 2 if halvings or h.shape[1] >= 6 else 1
            conv = keras.layers.Conv2D(filters, 3, stride, padding="same", activation=activation)
            h = conv(h)
            filters *= 2
        h = _flat([h, *vectors])
        h = keras.layers.Dense(hidden, activation=activation)(h)
        return keras.Model(_as_given(parents), keras.layers.Dense(outputs)(h), name=name)


def conv_decoder(
    inputs: Sizes, filters: int, hidden: int, outputs: Any, *, activation: Any = "relu",
    dtype: Any = None, name: str | None = None, missing: str | None = None,
) -> keras.Model:
    """A convolutional network to an image: p(x|z), p(x|y,z), and p(y|x,z) for an image y.

    Vectors become a small image, which is doubled by transposed convolutions to the size wanted
    (and cut where a side is odd); an image among the parents is halved on the way down and joined
    on the way up at each size (skip connections).

    Args:
        inputs: list of sizes (int) or image shapes (H, W, C), or a dict {name: …}.
        filters: int, channels before the last doubling; doubled at each one before.
        hidden: int, width of the dense layer after the inputs.
        outputs: image shape (H, W, C).
        activation, dtype, name, missing: as in `mlp`.

    Returns:
        A built Functional model.

    Raises:
        ValueError: if `outputs` is no image shape.

    Example:
        >>> conv_decoder([10, 20], 32, 128, (28, 28, 1)).output_shape
        (None, 28, 28, 1)
    """
    filters, hidden = checks.count(filters, "filters"), checks.count(hidden, "hidden")
    activation = _activation(activation)
    if len(_shape(outputs, "outputs")) != 3:
        raise ValueError(
            f"Received outputs={outputs!r}. Expected an image shape (H, W, C). For vectors, use "
            "networks.mlp."
        )
    _image(outputs)
    *_, channels = outputs
    sides = _sides(outputs)
    doublings = len(sides) - 1
    with _policy(dtype):
        parents = _inputs(inputs)
        given = _filled(parents, missing)
        images = [p for p in given if len(p.shape) == 4]
        vectors = [p for p in given if len(p.shape) != 4]
        skips, top = {}, []
        same = {"padding": "same", "activation": activation}
        if images:
            h = images[0] if len(images) == 1 else keras.layers.Concatenate()(images)
            skips[h.shape[1:3]] = h
            for level in range(doublings):
                h = keras.layers.Conv2D(filters * 2**level, 3, 2, **same)(h)
                skips[h.shape[1:3]] = h
            top = [h]
        h = keras.layers.Dense(hidden, activation=activation)(_flat([*top, *vectors]))
        small = (*sides[-1], filters << max(doublings - 1, 0))
        h = keras.layers.Dense(int(np.prod(small)), activation=activation)(h)
        h = keras.layers.Reshape(small)(h)
        for level in reversed(range(doublings)):
            width = filters * 2 ** max(level - 1, 0)
            h = keras.layers.Conv2DTranspose(width, 3, 2, **same)(_join(h, skips))
            over = [(0, now - want) for now, want in zip(h.shape[1:3], sides[level], strict=True)]
            h = keras.layers.Cropping2D(over)(h) if any(map(any, over)) else h
        raw = keras.layers.Conv2D(channels, 3, padding="same")(_join(h, skips))
        return keras.Model(_as_given(parents), raw, name=name)


def _join(h: Any, skips: dict[Any, Any]) -> Any:
    skip = skips.get(h.shape[1:3])
    return h if skip is None else keras.layers.Concatenate()([h, skip])


def _factor_shapes(
    model_class: Any, sizes: dict[str, Any], family: Any, prior_family: Any
) -> dict[str, tuple[dict[str, tuple[int, ...]], tuple[int, ...]]]:
    """{net name: (parents' shapes, raw output's shape)} read off a model's factors."""
    kind = "distributions.Bernoulli() or distributions.Gaussian()"
    checks.instance(family, "family", Family, f"a likelihood family, such as {kind}")
    if prior_family is not None:
        checks.instance(prior_family, "prior_family", Family, "a family of distributions over z")
    graph = signatures.graph(model_class)
    if not graph:
        raise checks.WrongKind(
            f"Received model_class={model_class!r}. Expected a model's class, such as CVAE1."
        )
    needed = {parent for parents in graph.values() for parent in parents} | {model_class.observed}
    if set(sizes) - {"z"} != needed - {"z"} or ("z" in needed and "z" not in sizes):
        raise ValueError(
            f"Received sizes for {sorted(sizes)}. The factors of {model_class.__name__} need "
            f"{sorted(needed)}. Expected one size for each, such as z=2."
        )
    shapes = {name: _shape(sizes[name], name) for name in needed - {"z"}}
    latent = checks.count(sizes["z"], "z") if "z" in needed else 0  # latent dimensions
    shapes["z"] = (latent,)
    *leading, last = shapes[model_class.observed]
    raw = {
        "posterior": (2 * latent,),
        "prior": (prior_family.raw_size(latent) if prior_family else 2 * latent,),
        "likelihood": (*leading, family.raw_size(last)),
        **{name: shapes[over] for name, over in model_class.further_factors.items()},
    }
    return {
        f"{factor}_net": ({name: shapes[name] for name in parents}, raw[factor])
        for factor, parents in graph.items()
        if parents
    }


def mlps(
    model_class: Any, *, hidden: Sequence[int], family: Family, prior_family: Family | None = None,
    activation: Any = "relu", dtype: Any = None, **sizes: Any,
) -> dict[str, keras.Model]:
    """One `mlp` for each factor of a model, its inputs the factor's parents.

    Args:
        model_class: VAE, CVAE1, CVAE2, CVAE3, CMMA, …
        hidden: tuple of layer widths; () makes every factor linear.
        family: the likelihood's family, which says how many raw numbers a dimension takes.
        prior_family: the prior's family, where it is not a Gaussian.
        activation, dtype: as in `mlp`.
        **sizes: size or shape of x, and of y where the model has it; z, an int: how many latents.

    Returns:
        dict of built networks, to be passed to the model's constructor.

    Raises:
        ValueError: if a variable's size is missing or superfluous.

    Example:
        >>> sorted(mlps(CVAE1, x=64, y=10, z=2, hidden=(128,), family=Bernoulli()))
        ['likelihood_net', 'posterior_net', 'prior_net']
    """
    factors = _factor_shapes(model_class, sizes, family, prior_family)
    missing = model_class.observed if family.allows_missing else None
    options = {"activation": activation, "dtype": dtype, "missing": missing}
    return {
        name: mlp(parents, hidden, raw, name=name, **options)
        for name, (parents, raw) in factors.items()
    }


def convs(
    model_class: Any, *, filters: int, hidden: int, family: Family,
    prior_family: Family | None = None, activation: Any = "relu", dtype: Any = None, **sizes: Any,
) -> dict[str, keras.Model]:
    """One convolutional network for each factor that has an image in it, an `mlp` for the others.

    Args:
        model_class: VAE, CVAE1, CVAE2, CVAE3, CMMA, …
        filters: int, as in `conv_encoder` and `conv_decoder`.
        hidden: int, width of the dense layers.
        family, prior_family, activation, dtype, **sizes: as in `mlps`; images as shapes (H, W, C).

    Returns:
        dict of built networks, to be passed to the model's constructor.

    Raises:
        ValueError: if no size is that of an image.

    Example:
        >>> sorted(convs(VAE, x=(28, 28, 1), z=20, filters=32, hidden=128, family=Bernoulli()))
        ['likelihood_net', 'posterior_net']
    """
    factors = _factor_shapes(model_class, sizes, family, prior_family)
    shapes = {s for parents, raw in factors.values() for s in (*parents.values(), raw)}
    if not any(len(shape) == 3 for shape in shapes):
        raise ValueError(
            f"Received sizes {sizes}, and none of them is an image. Expected a shape (H, W, C), "
            "such as x=(28, 28, 1); for vectors use networks.mlps."
        )
    missing = model_class.observed if family.allows_missing else None
    options = {"activation": activation, "dtype": dtype, "missing": missing}
    nets = {}
    for name, (parents, raw) in factors.items():
        if len(raw) == 3:
            nets[name] = conv_decoder(parents, filters, hidden, raw, name=name, **options)
        elif any(len(shape) == 3 for shape in parents.values()):
            nets[name] = conv_encoder(
                parents, filters, hidden, int(np.prod(raw)), name=name, **options
            )
        else:
            nets[name] = mlp(parents, (hidden,), raw, name=name, **options)
    return nets
