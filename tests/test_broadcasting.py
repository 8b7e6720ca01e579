"""Sample axes: the numbers of repeating every row, from less arithmetic."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from cvae_tf import CVAE3, broadcasting, networks
from cvae_tf.distributions import Bernoulli

L = keras.layers


def repeated(net, *inputs):
    """Every input repeated to all sample axes, and one batch axis for the network: an oracle."""
    ranks = [np.ndim(v) - len(s.shape) + 1 for v, s in zip(inputs, net.inputs, strict=True)]
    shapes = [np.shape(v)[:r] for v, r in zip(inputs, ranks, strict=True)]
    batch = np.broadcast_shapes(*shapes)
    rows = [
        np.broadcast_to(v, batch + np.shape(v)[r:]).reshape(-1, *np.shape(v)[r:])
        for v, r in zip(inputs, ranks, strict=True)
    ]
    tensors = [tf.constant(r, s.dtype) for r, s in zip(rows, net.inputs, strict=True)]
    output = net(tensors if len(tensors) > 1 else tensors[0])
    return np.reshape(output, batch + output.shape[1:])


def _functional(build, *sizes):
    inputs = [keras.Input(size if isinstance(size, tuple) else (size,)) for size in sizes]
    return keras.Model(inputs, build(*inputs))


def _skip(x, z):
    h = L.Dense(5, activation="tanh")(L.Concatenate()([x, z]))
    return L.Dense(2)(L.Concatenate()([h, x, z]))


def _nested(x, z):
    inner = networks.mlp([3, 2], (4,), 3)
    return L.Dense(2)(L.Concatenate()([inner([x, z]), L.Dense(3)(x)]))


def _kernels_of_all_kinds(x, z):
    h = L.Dense(4, use_bias=False)(L.Concatenate()([L.Dense(3)(x), z]))
    h = L.LayerNormalization()(h)
    h = L.Add()([h, L.Dense(4)(x)])
    return L.Activation("softplus")(L.Concatenate()([h, L.Concatenate()([x, z])]))


def _masked_and_nested(s, z):
    inner = _functional(lambda s: L.GRU(4)(s), (6, 2))
    return L.Dense(2)(L.Concatenate()([inner(L.Masking()(s)), z]))


def _steps(s, z):
    return L.Dense(2)(L.Concatenate()([L.Flatten()(L.Dense(3, activation="tanh")(s)), z]))


def _joined_on_another_axis(s, z):
    return L.Dense(2)(L.Flatten()(L.Concatenate(axis=1)([s, L.Reshape((1, 2))(L.Dense(2)(z))])))


NETS = {
    "mlp": (lambda: networks.mlp([3, 2], (8,), (4, 5, 1), activation="tanh"), [3, 2]),
    "affine": (lambda: networks.mlp([3, 2], (), 4), [3, 2]),
    "three parents": (lambda: networks.mlp([3, 2, (2, 2)], (8, 8), 4), [3, 2, (2, 2)]),
    "skip": (lambda: _functional(_skip, 3, 2), [3, 2]),
    "nested": (lambda: _functional(_nested, 3, 2), [3, 2]),
    "all kinds": (lambda: _functional(_kernels_of_all_kinds, 3, 2), [3, 2]),
    "convolutions": (lambda: networks.conv_encoder([(8, 8, 1), 3], 2, 5, 4), [(8, 8, 1), 3]),
    "to an image": (lambda: networks.conv_decoder([(8, 8, 1), 3], 2, 5, (8, 8, 1)), [(8, 8, 1), 3]),
    "recurrent": (
        lambda: _functional(
            lambda s, z: L.Dense(2)(L.Concatenate()([L.GRU(4)(s), z])), (6, 2), 3
        ),
        [(6, 2), 3],
    ),
    "masked": (
        lambda: _functional(
            lambda s, z: L.Dense(2)(L.Concatenate()([L.GRU(4)(L.Masking()(s)), z])), (6, 2), 3
        ),
        [(6, 2), 3],
    ),
    "masked, nested": (lambda: _functional(_masked_and_nested, (6, 2), 3), [(6, 2), 3]),
    "a layer on each step": (lambda: _functional(_steps, (6, 2), 3), [(6, 2), 3]),
    "steps in a row": (lambda: _functional(_joined_on_another_axis, (6, 2), 3), [(6, 2), 3]),
    "z left out": (lambda: _functional(lambda x, z: L.Dense(2)(x), 3, 2), [3, 2]),
    "one input": (lambda: networks.mlp([3], (8,), 4), [3]),
}
# Batch axes of the inputs, in turn.
AXES = [[(6,), (7, 6)], [(7, 1), (6,)], [(5, 1, 1), (7, 6)], [(6,), (7, 1)], [(7, 6), (1, 6)]]
AXES += [[(1, 6), (6,)], [(6,), (6,)], [(1,), (7, 6)], [(1,), (6,)]]


def _inputs(sizes, axes, dtype="float32"):
    rng = np.random.default_rng(0)
    shapes = [size if isinstance(size, tuple) else (size,) for size in sizes]
    axes = [axes[i % 2] for i in range(len(sizes))]
    drawn = [rng.normal(size=(*a, *s)) for a, s in zip(axes, shapes, strict=True)]
    for values, size in zip(drawn, sizes, strict=True):
        if np.ndim(size) and len(size) == 2:  # steps that Masking skips
            values[..., 3:, :] *= values[..., :1, :1] > 0
    return [values.astype(dtype) for values in drawn]


@pytest.mark.parametrize("name", NETS)
def test_it_is_the_repeated_network(name):
    make, sizes = NETS[name]
    net = make()
    for axes in AXES:
        inputs = _inputs(sizes, axes)
        output = networks.apply(net, *inputs)
        np.testing.assert_allclose(output, repeated(net, *inputs), rtol=1e-5, atol=1e-6)


def test_traced_with_unknown_rows_it_keeps_what_is_known_of_the_shape():
    net = networks.mlp([3, 2], (8,), (4, 5, 1))
    y, z = _inputs([3, 2], [(6,), (7, 6)])

    @tf.function(
        input_signature=[tf.TensorSpec([None, 3]), tf.TensorSpec([None, None, 2])], jit_compile=True
    )
    def traced(y, z):
        output = networks.apply(net, y, z)
        assert output.shape.as_list() == [None, None, 4, 5, 1]
        return output

    np.testing.assert_allclose(traced(y, z), repeated(net, y, z), rtol=1e-5, atol=1e-6)


def test_gradients_are_those_of_the_repeated_network():
    net = networks.mlp([3, 2], (8, 8), 4, activation="tanh", dtype="float64")
    y, z = map(tf.constant, _inputs([3, 2], [(6,), (7, 6)], "float64"))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([y, z])
        mine = tf.reduce_sum(networks.apply(net, y, z) ** 3)
        rows = [tf.reshape(tf.broadcast_to(y, [7, 6, 3]), [-1, 3]), tf.reshape(z, [-1, 2])]
        theirs = tf.reduce_sum(net(rows) ** 3)
    sources = [y, z, *net.trainable_variables]
    gradients = tape.gradient(mine, sources), tape.gradient(theirs, sources)
    for one, other in zip(*gradients, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


def _multiplications(function):
    """Multiplications in the matrix products and convolutions of a trace."""
    graph = tf.function(function).get_concrete_function().graph
    total = 0
    for operation in graph.get_operations():
        factors = [tensor.shape.as_list() for tensor in operation.inputs]
        if operation.type == "MatMul":
            total += factors[0][0] * factors[0][1] * factors[1][1]
        elif operation.type == "Conv2D":
            height, width, channels, filters = factors[1]
            total += np.prod(operation.outputs[0].shape.as_list()) * height * width * channels
    return total


def test_what_depends_on_one_input_is_computed_once():
    """x [B, 784] beside ten classes: the first layer costs one part in ten of what it did."""
    net = networks.mlp([784, 10], (500,), 2)
    x, y = tf.zeros([20, 784]), tf.one_hot(tf.range(10), 10)[:, None]
    products = _multiplications(lambda: networks.apply(net, x, y))
    assert products == 20 * 784 * 500 + 10 * 10 * 500 + 10 * 20 * 500 * 2


def test_an_image_is_convolved_once_for_all_draws_of_z():
    """Also where it is joined again on the way up: only the way up is of each draw."""
    family = Bernoulli()
    nets = networks.convs(CVAE3, x=(8, 8, 1), y=(8, 8, 1), z=2, filters=4, hidden=8, family=family)
    x, net = tf.zeros([3, 8, 8, 1]), nets["likelihood_net"]
    two, three = (
        _multiplications(lambda s=s: networks.apply(net, x, tf.zeros([s, 3, 2]))) for s in (2, 3)
    )
    convolutions = [layer for layer in net.layers if type(layer) is L.Conv2D][:-1]
    pixels = [3 * np.prod(layer.output.shape[1:3]) for layer in convolutions]
    down = sum(n * np.prod(c.kernel.shape) for n, c in zip(pixels, convolutions, strict=True))
    dense = next(layer for layer in net.layers if type(layer) is L.Dense)
    assert two - 2 * (three - two) == down + 3 * (dense.kernel.shape[0] - 2) * 8


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float64"])
def test_the_policy_s_dtypes_are_kept(policy):
    net = networks.mlp([3, 2], (8,), 4, dtype=policy)
    y, z = _inputs([3, 2], [(6,), (7, 6)], net.inputs[0].dtype)
    output = networks.apply(net, y, z)
    assert output.dtype == net([y, z[0]]).dtype
    close = {"rtol": 0.05, "atol": 0.05} if policy == "mixed_bfloat16" else {"rtol": 1e-12}
    wanted = np.stack([tf.cast(net([y, each]), "float64") for each in z])
    np.testing.assert_allclose(tf.cast(output, "float64"), wanted, **close)


def test_a_layer_that_is_more_than_affine_is_left_to_itself():
    """Its regulariser of activities is met; an adapter's kernel is the sum of both."""
    regularised = L.Dense(4, activity_regularizer="l2")
    net = _functional(lambda y, z: regularised(L.Concatenate()([y, z])), 3, 2)
    inputs = _inputs([3, 2], [(6,), (7, 6)])
    networks.apply(net, *inputs)
    assert len(net.losses) == 1
    net = networks.mlp([3, 2], (), 4)
    net.layers[-1].enable_lora(1)
    net.layers[-1].lora_kernel_b.assign(tf.ones([1, 4]))
    np.testing.assert_allclose(
        networks.apply(net, *inputs), repeated(net, *inputs), rtol=1e-5, atol=1e-6
    )


def test_dropout_is_on_in_training_and_off_elsewhere():
    def build(x, z):
        return L.Dense(2)(L.Concatenate()([L.Dropout(0.5)(x), z]))

    class Step(keras.Model):
        def call(self, inputs, training=None):
            return networks.apply(net, *inputs)

    net = _functional(build, 3, 2)
    inputs = [tf.constant(v) for v in _inputs([3, 2], [(6,), (7, 6)])]
    np.testing.assert_allclose(Step()(inputs), repeated(net, *inputs), rtol=1e-5, atol=1e-6)
    assert np.abs(Step()(inputs, training=True) - repeated(net, *inputs)).max() > 0.01


def test_batch_normalisation_sees_the_statistics_of_all_rows():
    make = lambda: _functional(  # noqa: E731
        lambda x, z: L.Dense(2)(L.Concatenate()([L.BatchNormalization()(x), z])), 3, 2
    )
    mine, theirs = make(), make()
    theirs.set_weights(mine.get_weights())
    x, z = _inputs([3, 2], [(6,), (7, 6)])

    class Step(keras.Model):
        def call(self, inputs, training=None):
            return networks.apply(mine, *inputs)

    rows = [tf.constant(np.tile(x, (7, 1))), tf.constant(z.reshape(-1, 2))]
    outputs = Step()([x, z], training=True), theirs(rows, training=True)
    np.testing.assert_allclose(outputs[0], np.reshape(outputs[1], (7, 6, 2)), rtol=1e-5, atol=1e-6)
    for one, other in zip(mine.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_without_a_graph_a_network_is_called_as_a_whole():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = L.Dense(2)

        def call(self, inputs):
            return self.dense(tf.concat(inputs, -1))

    class Whole(Own):
        inputs = [keras.Input((3,)), keras.Input((2,))]
        output_shape = (None, 2)

    class OfOne(Own):
        inputs = [keras.Input((3,))]
        output_shape = (None, 2)

        def call(self, x):
            return self.dense(x)  # and not of a list of one

    inputs = _inputs([3, 2], [(6,), (7, 6)])
    net = Whole()
    np.testing.assert_allclose(
        broadcasting.apply(net, *inputs), repeated(net, *inputs), rtol=1e-5, atol=1e-6
    )
    few = [inputs[0][:1], inputs[1][0]]
    np.testing.assert_allclose(
        broadcasting.apply(net, *few), repeated(net, *few), rtol=1e-5, atol=1e-6
    )
    net = OfOne()
    for x in (inputs[0], np.stack([inputs[0], -inputs[0]])):
        np.testing.assert_allclose(
            broadcasting.apply(net, x), repeated(net, x), rtol=1e-5, atol=1e-6
        )


def _products(function):
    graph = tf.function(function).get_concrete_function().graph
    return [operation.type for operation in graph.get_operations()].count("MatMul")


@pytest.mark.parametrize(
    ("axes", "products"),
    [
        ([(6,), (6,)], 2),
        ([(6,), (1, 6)], 2),
        ([(7, 6), (7, 6)], 2),
        ([(6,), (7, 6)], 3),
        ([(6,), (2, 6)], 3),
        ([(1,), (6,)], 3),
    ],
)
def test_a_network_is_taken_apart_only_where_something_repeats(axes, products):
    """One draw of z beside x shares nothing: a product for each layer, and no sum of two."""
    net, inputs = networks.mlp([3, 2], (8,), 4), _inputs([3, 2], axes)
    assert _products(lambda: networks.apply(net, *map(tf.constant, inputs))) == products


def test_a_quantised_layer_is_left_to_itself():
    net, inputs = networks.mlp([3, 2], (8,), 4), _inputs([3, 2], [(6,), (7, 6)])
    net.quantize("int8")
    np.testing.assert_allclose(
        networks.apply(net, *inputs), repeated(net, *inputs), rtol=1e-4, atol=1e-4
    )


def test_a_variable_of_either_kind_is_no_array():
    """The gradient in it is kept, and its NaN is its own affair."""
    net = networks.mlp([3, 2], (8,), 4)
    x, z = _inputs([3, 2], [(6,), (7, 6)])
    gradients = []
    for variable in (tf.Variable(x), keras.Variable(x)):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(networks.apply(net, variable, z) ** 2)
        source = variable if isinstance(variable, tf.Variable) else variable.value
        gradients.append(tape.gradient(total, source).numpy())
    np.testing.assert_allclose(*gradients, rtol=1e-6)
    assert np.abs(gradients[0]).min() > 0
    for nan in (tf.constant(x * np.nan), tf.Variable(x * np.nan), keras.Variable(x * np.nan)):
        assert np.isnan(networks.apply(net, nan, z)).all()


def test_what_does_not_go_together_is_refused():
    net = networks.mlp([3, 2], (8,), 4)
    with pytest.raises(ValueError, match=r"1 input\(s\).*Expected 2"):
        networks.apply(net, np.zeros((6, 3)))
    with pytest.raises(ValueError, match=r"\(6, 3\), \(7, 5, 2\).*one number of rows"):
        networks.apply(net, np.zeros((6, 3)), np.zeros((7, 5, 2)))


@pytest.mark.parametrize("axes", AXES[:2])
def test_nan_that_comes_out_again_is_refused_and_what_is_filled_is_not(axes):
    net = networks.mlp([3, 2], (8,), 4)
    x, z = _inputs([3, 2], axes)
    x[..., 0] = np.nan
    with pytest.raises(ValueError, match="made NaN.*Filled"):
        networks.apply(net, x, z)
    filled = _functional(lambda x, z: net([L.Dense(3)(networks.Filled()(x)), z]), 3, 2)
    assert np.isfinite(networks.apply(filled, x, z)).all()


def test_nan_is_refused_in_arrays_alone_and_only_where_it_can_be_seen():
    net = networks.mlp([3, 2], (8,), 4)
    x, z = _inputs([3, 2], [(6,), (7, 6)])
    assert np.isnan(tf.function(lambda: networks.apply(net, x * np.nan, z))()).all()
    whole = networks.apply(net, np.ones((6, 3), "int32"), z)  # whole numbers are finite
    np.testing.assert_allclose(whole, repeated(net, np.ones((6, 3)), z), rtol=1e-5, atol=1e-6)
    net.layers[-1].bias.assign(np.full(4, np.nan))  # the network's own NaN is not the inputs'
    assert np.isnan(networks.apply(net, x, z)).all()
