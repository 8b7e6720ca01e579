r"""Networks: built Keras models that know tensors and no probability.

`mlp` and `conv_…` make one network; `mlps` and `convs` read a model's factors — p(z|y), q(z|x,y), …
— and make one network for each, whose inputs are the names behind the conditioning bar. Any other
built Keras model will do as well.
"""

import inspect

import keras
import numpy as np
import tensorflow as tf

FACTORS = ("posterior", "prior", "likelihood")


def apply(net, *inputs):
    """A network's output at its inputs, whose leading sample axes are broadcast together.

    A network knows one batch axis. A likelihood meets z with a sample axis in front, [L, B, d],
    beside x or y without one, [B, D]: the axes are broadcast, folded into one for the network, and
    unfolded in its output.

    Args:
        net: built Keras model.
        *inputs: one array or tensor per network input, [..., B, *shape].

    Returns:
        Tensor [..., B, *net.output_shape[1:]].

    Example:
        >>> net = mlp([3, 2], (8,), 4)
        >>> apply(net, tf.zeros([5, 3]), tf.zeros([7, 5, 2])).shape
        TensorShape([7, 5, 4])
    """
    tensors = [tf.cast(tf.convert_to_tensor(value), net.compute_dtype) for value in inputs]
    event_ranks = [len(spec.shape) - 1 for spec in net.inputs]
    batch_ranks = [len(t.shape) - rank for t, rank in zip(tensors, event_ranks, strict=True)]
    if all(rank == 1 for rank in batch_ranks):
        return net(tensors if len(tensors) > 1 else tensors[0])

    shapes = [tf.shape(t) for t in tensors]
    batch = shapes[0][: batch_ranks[0]]
    for shape, rank in zip(shapes[1:], batch_ranks[1:], strict=True):
        batch = tf.broadcast_dynamic_shape(batch, shape[:rank])
    folded = []
    for tensor, shape, rank in zip(tensors, shapes, batch_ranks, strict=True):
        event = shape[rank:]
        whole = tf.broadcast_to(tensor, tf.concat([batch, event], 0))
        whole = tf.reshape(whole, tf.concat([[-1], event], 0))
        folded.append(tf.ensure_shape(whole, [None, *tensor.shape[rank:]]))
    output = net(folded if len(folded) > 1 else folded[0])
    unfolded = tf.reshape(output, tf.concat([batch, tf.shape(output)[1:]], 0))
    return tf.ensure_shape(unfolded, [None] * max(batch_ranks) + list(net.output_shape[1:]))


def convolves(net):
    """Whether a network, or one inside it, has a convolution. Args: net: Keras model."""
    kinds = tuple(
        kind for name, kind in vars(keras.layers).items() if "Conv" in name and "LSTM" not in name
    )
    return any(
        isinstance(layer, kinds) or (isinstance(layer, keras.Model) and convolves(layer))
        for layer in net.layers
    )


def _shape(size):
    return (size,) if isinstance(size, (int, np.integer)) else tuple(size)


def _inputs(sizes):
    """Input layers, named when `sizes` is a dict."""
    named = sizes.items() if isinstance(sizes, dict) else ((None, size) for size in sizes)
    dtype = keras.config.dtype_policy().variable_dtype
    return [keras.Input(_shape(size), name=name, dtype=dtype) for name, size in named]


def _flat(tensors):
    """Each tensor flattened to a vector, side by side."""
    flat = [t if len(t.shape) == 2 else keras.layers.Flatten()(t) for t in tensors]
    return flat[0] if len(flat) == 1 else keras.layers.Concatenate()(flat)


def mlp(inputs, hidden, outputs, *, activation="relu", dtype=None, name=None):
    """A multilayer perceptron of its inputs, flattened and side by side; the output is linear.

    Args:
        inputs: list of sizes or shapes, one per parent, or a dict {name: size}.
        hidden: tuple of layer widths; () gives an affine map.
        outputs: int or shape of the raw output.
        activation: Keras activation of the hidden layers.
        dtype: "float32" (default) or "float64" for exact checks.
        name: str or None.

    Returns:
        A built Functional model with one input per parent.

    Example:
        >>> mlp([64, 10], (128, 128), 4).output_shape
        (None, 4)
    """
    with _policy(dtype):
        parents = _inputs(inputs)
        h = _flat(parents)
        for width in hidden:
            h = keras.layers.Dense(width, activation=activation)(h)
        shape = _shape(outputs)
        raw = keras.layers.Dense(int(np.prod(shape)))(h)
        if len(shape) > 1:
            raw = keras.layers.Reshape(shape)(raw)
        return keras.Model(_as_given(parents), raw, name=name)


def _as_given(parents):
    return parents[0] if len(parents) == 1 else parents


class _policy:
    """Layers made inside have this dtype policy (the current one for None)."""

    def __init__(self, dtype):
        self.dtype = dtype

    def __enter__(self):
        self.before = keras.config.dtype_policy()
        if self.dtype is not None:
            keras.config.set_dtype_policy(self.dtype)

    def __exit__(self, *error):
        keras.config.set_dtype_policy(self.before)


def _strides(shape):
    """How often both sides can be halved and stay whole and at least 3 pixels; at most 3 times."""
    height, width = shape[:2]
    halvings = 0
    while halvings < 3 and height % 2 == 0 and width % 2 == 0 and min(height, width) >= 6:
        height, width, halvings = height // 2, width // 2, halvings + 1
    return halvings


def conv_encoder(inputs, filters, hidden, outputs, *, activation="relu", dtype=None, name=None):
    """A convolutional network from images (and vectors) to a vector: q(z|x), q(z|x,y), p(z|x).

    Images of one size are stacked as channels and halved by strided convolutions while their sides
    are even (8×8, 28×28 and 60×64 among them); vectors join after the last convolution.

    Args:
        inputs: list of sizes (int) or image shapes (H, W, C), or a dict {name: …}; at least one
            image.
        filters: int, channels after the first halving; doubled at each further one.
        hidden: int, width of the dense layer before the output.
        outputs: int, length of the raw output vector.
        activation, dtype, name: as in `mlp`.

    Returns:
        A built Functional model.

    Raises:
        ValueError: if no input is an image, or images differ in height or width.

    Example:
        >>> conv_encoder([(28, 28, 1), 10], 32, 128, 40).output_shape
        (None, 40)
    """
    with _policy(dtype):
        parents = _inputs(inputs)
        images = [p for p in parents if len(p.shape) == 4]
        vectors = [p for p in parents if len(p.shape) != 4]
        if len({image.shape[1:3] for image in images}) != 1:
            raise ValueError(
                f"Received inputs of shapes {[p.shape[1:] for p in parents]}. Expected at least "
                "one image (H, W, C), and all images of one height and width. For vectors alone, "
                "use networks.mlp."
            )
        h = images[0] if len(images) == 1 else keras.layers.Concatenate()(images)
        for _ in range(max(1, _strides(h.shape[1:]))):
            stride = 2 if h.shape[1] >= 6 else 1
            h = keras.layers.Conv2D(
                filters, 3, strides=stride, padding="same", activation=activation
            )(h)
            filters *= 2
        h = _flat([h, *vectors])
        h = keras.layers.Dense(hidden, activation=activation)(h)
        return keras.Model(_as_given(parents), keras.layers.Dense(outputs)(h), name=name)


def conv_decoder(inputs, filters, hidden, outputs, *, activation="relu", dtype=None, name=None):
    """A convolutional network to an image: p(x|z), p(x|y,z), and p(y|x,z) for an image y.

    Vectors become a small image, which is doubled by transposed convolutions to the size wanted; an
    image among the parents is halved on the way down and joined on the way up at each size (skip
    connections).

    Args:
        inputs: list of sizes (int) or image shapes (H, W, C), or a dict {name: …}.
        filters: int, channels before the last doubling; doubled at each one before.
        hidden: int, width of the dense layer after the inputs.
        outputs: image shape (H, W, C).
        activation, dtype, name: as in `mlp`.

    Returns:
        A built Functional model.

    Raises:
        ValueError: if `outputs` is no image shape.

    Example:
        >>> conv_decoder([10, 20], 32, 128, (28, 28, 1)).output_shape
        (None, 28, 28, 1)
    """
    if len(_shape(outputs)) != 3:
        raise ValueError(
            f"Received outputs={outputs!r}. Expected an image shape (H, W, C). For vectors, "
            f"use networks.mlp."
        )
    height, width, channels = outputs
    doublings = _strides(outputs)
    with _policy(dtype):
        parents = _inputs(inputs)
        images = [p for p in parents if len(p.shape) == 4]
        vectors = [p for p in parents if len(p.shape) != 4]
        skips, top = {}, []
        if images:
            h = images[0] if len(images) == 1 else keras.layers.Concatenate()(images)
            skips[h.shape[1]] = h
            for level in range(doublings):
                h = keras.layers.Conv2D(
                    filters * 2**level, 3, strides=2, padding="same", activation=activation
                )(h)
                skips[h.shape[1]] = h
            top = [h]
        h = keras.layers.Dense(hidden, activation=activation)(_flat([*top, *vectors]))
        small = (height >> doublings, width >> doublings, filters << max(doublings - 1, 0))
        h = keras.layers.Dense(int(np.prod(small)), activation=activation)(h)
        h = keras.layers.Reshape(small)(h)
        for level in reversed(range(doublings)):
            h = _join(h, skips)
            h = keras.layers.Conv2DTranspose(
                filters * 2 ** max(level - 1, 0),
                3,
                strides=2,
                padding="same",
                activation=activation,
            )(h)
        raw = keras.layers.Conv2D(channels, 3, padding="same")(_join(h, skips))
        return keras.Model(_as_given(parents), raw, name=name)


def _join(h, skips):
    skip = skips.get(h.shape[1])
    return h if skip is None else keras.layers.Concatenate()([h, skip])


def _factor_shapes(model_class, shapes, family, prior_family):
    """{net name: (parents' shapes, raw output's shape)} read off a model's factors."""
    (latent_dim,), (*leading, last) = shapes["z"], shapes[model_class.observed]
    raw = {
        "posterior": (2 * latent_dim,),
        "prior": (prior_family.raw_size(latent_dim) if prior_family else 2 * latent_dim,),
        "likelihood": (*leading, family.raw_size(last)),
    }
    factors = {}
    for factor in FACTORS:
        method = getattr(model_class, factor, None)
        parents = list(inspect.signature(method).parameters)[1:] if method else []
        if parents:
            factors[f"{factor}_net"] = ({name: shapes[name] for name in parents}, raw[factor])
    if hasattr(model_class, "classifier"):  # q(y|x)
        factors["classifier_net"] = ({"x": shapes["x"]}, shapes["y"])
    return factors


def _check_sizes(model_class, sizes):
    named = {
        parent
        for factor in FACTORS
        if getattr(model_class, factor, None)
        for parent in list(inspect.signature(getattr(model_class, factor)).parameters)[1:]
    } | {model_class.observed, "z"}
    if set(sizes) != named:
        raise ValueError(
            f"Received sizes for {sorted(sizes)}. The factors of {model_class.__name__} need "
            f"{sorted(named)}: pass one size for each, such as z=2."
        )
    return {name: _shape(size) for name, size in sizes.items()}


def mlps(model_class, *, hidden, family, prior_family=None, activation="relu", dtype=None, **sizes):
    """One `mlp` for each factor of a model, its inputs the factor's parents.

    Args:
        model_class: VAE, CVAE1, CVAE2, CVAE3, CMMA, …
        hidden: tuple of layer widths; () makes every factor linear.
        family: the likelihood's family, which says how many raw numbers a dimension takes.
        prior_family: the prior's family, where it is not a Gaussian.
        activation, dtype: as in `mlp`.
        **sizes: size or shape of each variable: x, z, and y where the model has it.

    Returns:
        dict of built networks, to be passed to the model's constructor.

    Raises:
        ValueError: if a variable's size is missing or superfluous.

    Example:
        >>> sorted(mlps(CVAE1, x=64, y=10, z=2, hidden=(128,), family=Bernoulli()))
        ['likelihood_net', 'posterior_net', 'prior_net']
    """
    shapes = _check_sizes(model_class, sizes)
    return {
        name: mlp(parents, hidden, raw, activation=activation, dtype=dtype, name=name)
        for name, (parents, raw) in _factor_shapes(
            model_class, shapes, family, prior_family
        ).items()
    }


def convs(
    model_class,
    *,
    filters,
    hidden,
    family,
    prior_family=None,
    activation="relu",
    dtype=None,
    **sizes,
):
    """One convolutional network for each factor that has an image in it, an `mlp` for the others.

    Args:
        model_class: VAE, CVAE1, CVAE2, CVAE3, CMMA, …
        filters: int, channels of the first convolution.
        hidden: int, width of the dense layers.
        family, prior_family, activation, dtype, **sizes: as in `mlps`; images as shapes (H, W, C).

    Returns:
        dict of built networks, to be passed to the model's constructor.

    Example:
        >>> sorted(convs(VAE, x=(28, 28, 1), z=20, filters=32, hidden=128, family=Bernoulli()))
        ['likelihood_net', 'posterior_net']
    """
    shapes = _check_sizes(model_class, sizes)
    options = {"activation": activation, "dtype": dtype}
    nets = {}
    for name, (parents, raw) in _factor_shapes(model_class, shapes, family, prior_family).items():
        if len(raw) == 3:
            nets[name] = conv_decoder(parents, filters, hidden, raw, name=name, **options)
        elif any(len(shape) == 3 for shape in parents.values()):
            nets[name] = conv_encoder(
                parents, filters, hidden, int(np.prod(raw)), name=name, **options
            )
        else:
            nets[name] = mlp(parents, (hidden,), raw, name=name, **options)
    return nets
