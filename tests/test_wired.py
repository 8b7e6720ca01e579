"""Between Keras's loop and a model's bound: networks taken in, exchanged, and saved by name."""

import keras
import numpy as np
import pandas
import pytest
import tensorflow as tf
from requirements_of_a_model import GRAPH, small_data, small_model

from cvae_tf import CMMA, CVAE1, CVAE3, M2, VAE, networks
from cvae_tf.distributions import Bernoulli, Gaussian
from cvae_tf.estimators import SGVBA
from cvae_tf.signatures import parents
from cvae_tf.wired import WiredModel


@pytest.mark.parametrize("model_class", [*GRAPH, M2])
def test_names_and_shapes_are_read_off_factors_and_networks(model_class):
    model = small_model(model_class, family=Bernoulli())
    assert model.data_names == parents(model_class.factors)
    assert model.conditions == tuple(n for n in model.data_names if n != model.observed)
    known = {"x": (6,), "y": (4,), "z": (2,)}
    assert model.shapes == {name: known[name] for name in (*model.data_names, "z")}
    assert set(model.data_shapes) == set(model.data_names) and model.latent_dim == 2
    wanted = ("x",) if model_class is M2 else model.conditions or ("x",)
    assert model.predicts_from == wanted
    assert model.built


def test_a_model_is_tried_when_it_is_made_and_a_subclass_too():
    """A factor that cannot be computed fails at construction, not in the first fit."""

    class Broken(VAE):
        def likelihood(self, z):
            raise RuntimeError("not written yet")

    class BrokenPrior(VAE):
        def prior(self):
            return "N(0, 1)"

    small_model(Broken)  # log p(x|z) is not needed before there are data
    with pytest.raises((TypeError, ValueError, AttributeError)):
        small_model(BrokenPrior)
    with pytest.raises(TypeError, match="abstract"):
        WiredModel({}, Bernoulli())


REFUSED = ("loss", "metrics", "loss_weights", "weighted_metrics")


@pytest.mark.parametrize("name", REFUSED)
def test_compile_takes_an_optimiser_and_says_what_else_is_not_needed(name):
    model = small_model(VAE)
    with pytest.raises(ValueError, match=f"{name}.*own bound"):
        model.compile(**{name: ["mse"]})
    model.compile(**{name: None})
    for optimizer in ("adam", "sgd", keras.optimizers.Adam(0.1)):
        model.compile(optimizer)
        assert model.compiled
    with pytest.raises(ValueError):
        model.compile("adamm")


def test_a_replaced_network_is_checked_and_trains():
    model, (x,) = small_model(VAE), small_data(VAE)
    model.compile(keras.optimizers.Adam(0.01), jit_compile=False)
    model.fit(x, verbose=0)
    model.likelihood_net = networks.mlp([3], (), 6)
    with pytest.raises(ValueError):
        model.fit(x, verbose=0)
    new = networks.mlp([2], (5,), 6)
    model.likelihood_net = new
    before = new.get_weights()
    model.fit(x, verbose=0)
    assert np.abs(new.get_weights()[0] - before[0]).max() > 0
    assert model.nets["likelihood_net"] is new


def test_unpack_gives_the_variables_and_the_weights():
    model, (x, y) = small_model(CVAE1), small_data(CVAE1, num_rows=5)
    w = np.arange(5, dtype="float64")
    for batch in ((x, y, w), ({"y": y, "x": x}, None, w)):
        values, weights = model.unpack(tuple(batch))
        np.testing.assert_array_equal(values[0], x)
        np.testing.assert_array_equal(values[1], y)
        assert weights.dtype == tf.float32
    assert model.unpack((x, y))[1] is None


@pytest.mark.parametrize("model_class", [VAE, CVAE3])
def test_a_config_holds_every_part_and_makes_the_same_model(model_class):
    model = small_model(model_class, seed=5)
    config = model.get_config()
    assert {name for name, net in model.nets.items() if net} < set(config) and config["seed"] == 5
    again = model_class.from_config(config)
    again.set_weights(model.get_weights())
    data = small_data(model_class)
    np.testing.assert_allclose(again.bound(*data).value, model.bound(*data).value, rtol=1e-6)
    assert again.shapes == model.shapes


def test_xla_suits_dense_networks_and_convolutions_only_on_a_gpu():
    has_gpu = bool(tf.config.list_physical_devices("GPU"))
    family = Bernoulli()
    nets = networks.convs(VAE, x=(8, 8, 1), z=2, filters=2, hidden=4, family=family)
    assert VAE(**nets, family=family).suits_xla() == has_gpu
    assert small_model(VAE).suits_xla()


REPLACED = {
    "one output for six": ("likelihood_net", lambda: networks.mlp([2], (), 1), "shape .1,., and"),
    "another latent": ("likelihood_net", lambda: networks.mlp([3], (), 6), "disagree about z"),
    "another condition": ("prior_net", lambda: networks.mlp([5], (), 4), "disagree about y"),
    "a family of two numbers": ("family", lambda: Gaussian("network"), "disagree about x"),
    "a penalty by its name": ("penalty", lambda: "beta", "Expected a penalty"),
    "an estimator's class": ("estimator", lambda: SGVBA, "This is the class"),
}


@pytest.mark.parametrize("compile_again", [False, True])
@pytest.mark.parametrize("name", REPLACED)
def test_a_part_that_does_not_fit_is_refused_before_anything_moves(name, compile_again):
    """One number in the place of six would be broadcast: a bound of another model."""
    part, make, message = REPLACED[name]
    model, data = small_model(CMMA), small_data(CMMA)
    model.compile(keras.optimizers.Adam(0.1), run_eagerly=True)
    if not compile_again:
        model.fit(*data, verbose=0)
    setattr(model, part, make())
    if compile_again:
        model.compile(keras.optimizers.Adam(0.1), run_eagerly=True)
    before = [w.numpy() for w in model.trainable_variables]
    for use in (model.fit, model.evaluate, lambda *_, **__: model.predict(data[1], verbose=0)):
        with pytest.raises((ValueError, TypeError), match=message):
            use(*data, verbose=0)
    for old, now in zip(before, model.trainable_variables, strict=True):
        np.testing.assert_array_equal(old, now)


def test_networks_of_other_shapes_ask_for_a_new_model():
    model, data = small_model(CVAE3), small_data(CVAE3)
    model.compile(run_eagerly=True)
    others = small_model(CVAE3, y=5)
    for name, net in others.nets.items():
        setattr(model, name, net)
    model.family = others.family
    with pytest.raises(ValueError, match="make a new model"):
        model.fit(*data, verbose=0)


def test_a_family_of_another_model_is_refused_where_it_does_not_fit():
    family = Gaussian("per_dimension")
    small_model(CVAE3, family=family)
    with pytest.raises(ValueError, match="a new family"):
        small_model(CVAE3, family=family, y=1)


def test_a_replaced_family_learns_its_scale():
    model, (x,) = small_model(VAE, family=Gaussian("shared")), small_data(VAE)
    model.compile(keras.optimizers.Adam(0.1), jit_compile=False)
    model.fit(x, verbose=0)
    model.family = Gaussian("shared", initial_scale=2.0)
    model.fit(x, verbose=0)
    start = model.family.raw_from_scale(2.0)
    assert abs(float(tf.convert_to_tensor(model.family.raw_scale)) - start) > 0.05


def test_predict_takes_from_a_stream_of_all_data_what_it_predicts_from():
    """y of (x, y) for a model of p(x|y), though x is as wide and comes first."""
    model, (x, y) = small_model(CMMA, x=4), small_data(CMMA, x=4)
    stream = tf.data.Dataset.from_tensor_slices((x, y)).batch(8)
    expected = model.predict(y, verbose=0)
    np.testing.assert_allclose(model.predict(stream, verbose=0), expected, rtol=1e-5)
    alone = stream.map(lambda x, y: y)
    np.testing.assert_allclose(model.predict(alone, verbose=0), expected, rtol=1e-5)
    other = small_model(CVAE3)
    x, y = small_data(CVAE3)
    stream = tf.data.Dataset.from_tensor_slices((x, y)).batch(8)
    expected = other.predict(x, verbose=0)
    np.testing.assert_allclose(other.predict(stream, verbose=0), expected, rtol=1e-5)


def test_a_table_of_pandas_is_its_numbers():
    """Also with columns of several kinds; what is no number is refused, and what is missing."""
    numbers = np.random.default_rng(0).normal(size=(20, 3)).round(2).astype("float32")
    numbers[:, 1], numbers[:, 2] = numbers[:, 1].round(), numbers[:, 2] > 0
    table = pandas.DataFrame(numbers, columns=["height", "rooms", "sold"], index=range(5, 25))
    mixed = table.astype({"height": "float64", "rooms": "Int64", "sold": "bool"})
    family = Gaussian(1.0)
    model = VAE(**networks.mlps(VAE, x=3, z=1, hidden=(4,), family=family), family=family)
    model.compile("sgd", jit_compile=False)
    model.fit(mixed, epochs=1, verbose=0, validation_data=table)
    expected = model.bound(numbers).value
    nullable = pandas.DataFrame(numbers).astype("Float64")  # all columns of one kind, none NumPy's
    for same in (table, mixed, {"x": mixed}, nullable):
        np.testing.assert_array_equal(model.bound(same).value, expected)
    predicted = model.predict(numbers, verbose=0)
    np.testing.assert_array_equal(model.predict(mixed, verbose=0), predicted)
    lacking = mixed.astype({"rooms": "object"})
    lacking.loc[7, "rooms"] = None
    for bad, message in (
        (table.assign(rooms="two"), "not all numbers"),
        (table.assign(rooms=pandas.Categorical(["two"] * 20)), "not all numbers"),
        (lacking.astype({"rooms": "Int64"}), "NaN or infinite"),
        (table["rooms"], r"shape \(20,\)"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            model.fit(bad, verbose=0)
