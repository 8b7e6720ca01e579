r"""A network at inputs whose sample axes differ; what depends on one of them is computed once.

A likelihood meets z [L, B, d] beside x or y [B, D]; a sum over classes meets y [C, 1, K] beside x
[B, D]. Each layer runs on the rows of what it depends on. An affine layer of several parents side
by side is a sum of affine maps, [x, y]·W + b = x·W_x + y·W_y + b, so not even the first layer
sees x once per class, or y once per draw of z.
"""

from __future__ import annotations

import functools
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from cvae_tf import checks
from cvae_tf.keras_private import has_graph, through_graph


def apply(net: keras.Model, *inputs: Any) -> tf.Tensor:
    """A network's output at its inputs, whose leading sample axes are broadcast together.

    In training, rows that agree in all that a layer depends on share its Dropout.

    Args:
        net: built Keras model.
        *inputs: one array or tensor per network input, [..., B, *shape].

    Returns:
        Tensor [..., B, *net.output_shape[1:]].

    Raises:
        ValueError: if the number of inputs is not the network's, their rows do not go together, or
            a NaN or infinity in an array (not in a tensor) comes out again, when called eagerly.

    Example:
        >>> net = mlp([3, 2], (8,), 4)
        >>> apply(net, tf.zeros([5, 3]), tf.zeros([7, 5, 2])).shape
        TensorShape([7, 5, 4])
    """
    if len(inputs) != len(net.inputs):
        raise ValueError(
            f"Received {len(inputs)} input(s) for {net.name!r}. Expected {len(net.inputs)}."
        )
    numbers = [_numbers(value, net) for value in inputs]
    tensors = [
        tf.cast(tf.convert_to_tensor(value), spec.dtype)
        for value, spec in zip(numbers, net.inputs, strict=True)
    ]
    given = [_Spread(len(s.shape) - 1, t) for t, s in zip(tensors, net.inputs, strict=True)]
    shapes = [t.shape[: len(t.shape) - g.event_rank] for t, g in zip(tensors, given, strict=True)]
    whole = _together(net, shapes, tensors)
    repeats = any([1] * (len(whole) - len(s)) + s.as_list() != whole for s in shapes)

    def at_once(*tensors: tf.Tensor) -> tf.Tensor:
        return net(list(tensors) if len(tensors) > 1 else tensors[0])

    if repeats and has_graph(net):
        output = through_graph(net, given, _on_own_rows).broadcast(_batch(given))
    elif len(whole) == 1 and not repeats:
        output = at_once(*tensors)
    else:
        output = _on_own_rows(at_once, *given).broadcast(_batch(given))
    nan = any(isinstance(v, np.ndarray) and not np.isfinite(v).all() for v in numbers)
    if nan and tf.executing_eagerly() and not np.isfinite(output).all():
        raise ValueError(
            f"The network {net.name!r} made NaN or infinities of inputs that hold some. Expected "
            "finite numbers, or a network that begins with networks.Filled."
        )
    return output


def _numbers(value: Any, net: keras.Model) -> Any:
    """A tensor or a variable, of either kind, as it is; else an array."""
    is_tensor = tf.is_tensor(value) or isinstance(value, keras.Variable)
    return value if is_tensor else checks.dense(value, f"an input of the network {net.name!r}")


def _together(net: keras.Model, shapes: list[tf.TensorShape], tensors: list[tf.Tensor]) -> Any:
    """The batch axes that all share, None where they are not known yet."""
    try:
        return functools.reduce(tf.broadcast_static_shape, shapes).as_list()
    except ValueError:
        raise ValueError(
            f"Received inputs of shapes {[tuple(t.shape) for t in tensors]} for the network "
            f"{net.name!r}. Expected one number of rows, [B, …], or sample axes that broadcast."
        ) from None


class _Spread:
    """Tensors [*batch, *event] side by side on the last axis; each has batch axes of its own."""

    def __init__(self, event_rank: int, *parts: tf.Tensor) -> None:
        self.event_rank, self.parts = event_rank, parts

    def broadcast(self, batch: tf.Tensor) -> tf.Tensor:
        """One tensor, with these batch axes."""
        wholes = [_with_batch(part, self.event_rank, batch) for part in self.parts]
        return tf.concat(wholes, -1)


def _with_batch(tensor: tf.Tensor, event_rank: int, batch: tf.Tensor) -> tf.Tensor:
    first = len(tensor.shape) - event_rank
    whole = tf.broadcast_to(tensor, tf.concat([batch, tf.shape(tensor)[first:]], 0))
    return tf.ensure_shape(whole, [None] * batch.shape[0] + tensor.shape[first:])


def _batch(spreads: list[_Spread]) -> tf.Tensor:
    """The batch axes of several, broadcast together."""
    shapes = [
        tf.shape(part)[: len(part.shape) - each.event_rank]
        for each in spreads
        for part in each.parts
    ]
    return functools.reduce(tf.broadcast_dynamic_shape, shapes)


def _folded(tensor: tf.Tensor, batch_rank: int) -> tf.Tensor:
    """[*batch, *event] as [rows, *event]."""
    flat = tf.reshape(tensor, tf.concat([[-1], tf.shape(tensor)[batch_rank:]], 0))
    return tf.ensure_shape(flat, [None, *tensor.shape[batch_rank:]])


def _unfolded(tensor: tf.Tensor, batch: tf.Tensor) -> tf.Tensor:
    """[rows, *event] as [*batch, *event]."""
    whole = tf.reshape(tensor, tf.concat([batch, tf.shape(tensor)[1:]], 0))
    return tf.ensure_shape(whole, [None] * batch.shape[0] + tensor.shape[1:])


def _on_own_rows(layer: Any, *args: Any, **kwargs: Any) -> Any:
    """A layer on the rows of what it is given, and no more."""
    given = [each for each in tf.nest.flatten((args, kwargs)) if isinstance(each, _Spread)]
    masks = tf.nest.flatten(kwargs.get("mask"))  # a network would not hand them on to its layers
    masked = any(mask is not None for mask in masks)
    if isinstance(layer, keras.Model) and has_graph(layer) and not masked:
        return through_graph(layer, given, _on_own_rows)
    if isinstance(layer, keras.layers.Concatenate) and all(g.event_rank == 1 for g in given):
        return _Spread(1, *(part for each in given for part in each.parts))
    if type(layer) is keras.layers.Dense and len(given[0].parts) > 1 and _is_affine(layer):
        return _Spread(1, _sum_of_maps(layer, given[0].parts))
    batch = _batch(given)

    def fold(value: Any) -> Any:
        if not isinstance(value, _Spread):
            return value
        return _folded(value.broadcast(batch), batch.shape[0])

    def unfold(output: tf.Tensor) -> _Spread:
        return _Spread(len(output.shape) - 1, _unfolded(output, batch))

    args, kwargs = tf.nest.map_structure(fold, (args, kwargs))
    return tf.nest.map_structure(unfold, layer(*args, **kwargs))


def _is_affine(layer: keras.layers.Dense) -> bool:
    return layer.quantization_mode is None and layer.activity_regularizer is None


def _sum_of_maps(layer: keras.layers.Dense, parts: tuple[tf.Tensor, ...]) -> tf.Tensor:
    """activation(Σ_i t_i·W_i + b), W_i the kernel's rows for part i."""
    dtype = layer.compute_dtype
    kernels = tf.split(tf.cast(layer.kernel, dtype), [part.shape[-1] for part in parts], 0)
    maps = []
    for part, kernel in zip(parts, kernels, strict=True):
        rows = _folded(tf.cast(part, dtype), len(part.shape) - 1)
        maps.append(_unfolded(rows @ kernel, tf.shape(part)[:-1]))
    maps.sort(key=lambda each: len(each.shape))  # small with small first
    total = functools.reduce(tf.add, maps)
    if layer.use_bias:
        total += tf.cast(layer.bias, dtype)
    return layer.activation(total)
