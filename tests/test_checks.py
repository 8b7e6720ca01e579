"""Bad input is refused before it is used: what came, what was expected, how to fix it."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from requirements_of_a_model import small_data, small_model

from cvae_tf import CMMA, CVAE1, CVAE2, CVAE3, GSNN, VAE, networks
from cvae_tf.distributions import Bernoulli, Categorical, Gaussian
from cvae_tf.estimators import SGVBA


@pytest.fixture(scope="module")
def model():
    made = small_model(CVAE1)
    made.compile()
    return made


X, Y = small_data(CVAE1, num_rows=8)


def _with(array, value):
    changed = array.copy()
    changed[3, 1] = value
    return changed


BAD_DATA = {
    "labels for one-hot": ((X, Y.argmax(1)), "integer labels.*to_categorical"),
    "column of labels": ((X, Y.argmax(1)[:, None]), "integer labels.*to_categorical"),
    "other width": ((X[:, :5], Y), r"shape \(8, 5\).*expects \(N, 6\)"),
    "image for vector": ((X.reshape(8, 3, 2), Y), r"reshape\(\(-1, 6\)\)"),
    "above one": ((_with(X, 16), Y), r"outside \[0, 1\].*Gaussian"),
    "below zero": ((_with(X, -1), Y), r"outside \[0, 1\]"),
    "NaN in x": ((_with(X, np.nan), Y), "NaN"),
    "NaN in y": ((X, _with(Y, np.nan)), "NaN or infinite.*impute"),
    "empty": ((X[:0], Y[:0]), "empty"),
    "unpaired": ((X, Y[:5]), "different numbers of examples.*pair"),
    "y missing": ((X,), "y is missing.*fit\\(x, y\\)"),
    "strings": ((X.astype(str), Y), "dtype.*Expected numbers"),
}


@pytest.mark.parametrize("name", BAD_DATA)
def test_bad_arrays_are_refused_before_training(model, name):
    data, message = BAD_DATA[name]
    before = [w.numpy() for w in model.weights]
    with pytest.raises(ValueError, match=f"(?s){message}"):
        model.fit(*data, verbose=0)
    with pytest.raises(ValueError, match=f"(?s){message}"):
        model.fit(X, Y, validation_data=data if len(data) > 1 else (data[0], None), verbose=0)
    with pytest.raises(ValueError, match=f"(?s){message}"):
        model.evaluate(*data, verbose=0)
    for old, new in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("options", [{}, {"steps_per_execution": 1}], ids=["fast", "stepwise"])
@pytest.mark.parametrize("bad_batch", [0, 2])
def test_bad_batches_are_refused_on_the_host(bad_batch, options):
    """At the first batch before any step, at a later one before it is used."""
    model = small_model(CVAE1)
    model.compile(jit_compile=True, **options)
    before = [w.numpy() for w in model.trainable_variables]
    batches = [(X, Y)] * 4
    batches[bad_batch] = (_with(X, 7), Y)
    dataset = tf.data.Dataset.from_generator(
        lambda: iter(batches),
        output_signature=tuple(tf.TensorSpec((None, *a.shape[1:]), tf.float32) for a in (X, Y)),
    )
    with pytest.raises(ValueError, match=r"outside \[0, 1\]"):
        model.fit(dataset, verbose=0)
    if bad_batch == 0 or not options:
        for old, new in zip(before, model.trainable_variables, strict=True):
            np.testing.assert_array_equal(old, new)


def _nets(model_class, **changes):
    family = changes.pop("family", Bernoulli())
    sizes = {"x": 6, "z": 2} if model_class is VAE else {"x": 6, "y": 4, "z": 2}
    return {
        **networks.mlps(model_class, hidden=(4,), family=family, **sizes),
        "family": family,
        **changes,
    }


BAD_MODELS = {
    "unbuilt": (
        lambda: VAE(**_nets(VAE, posterior_net=keras.Sequential([keras.layers.Dense(4)]))),
        "not built.*Functional",
    ),
    "a layer": (
        lambda: VAE(**_nets(VAE, posterior_net=keras.layers.Dense(4))),
        "built Keras model",
    ),
    "latent sizes": (
        lambda: CVAE1(**_nets(CVAE1, prior_net=networks.mlp([4], (), 6))),
        r"disagree about z.*\(2,\).*\(3,\)",
    ),
    "odd latent output": (
        lambda: CVAE1(**_nets(CVAE1, prior_net=networks.mlp([4], (), 5))),
        "takes 2, 4",
    ),
    "sizes of y": (
        lambda: CVAE1(**_nets(CVAE1, prior_net=networks.mlp([5], (), 4))),
        "disagree about y",
    ),
    "superfluous prior": (
        lambda: CVAE2(**_nets(CVAE2, prior_net=networks.mlp([4], (), 4))),
        "has no parents.*Leave prior_net out",
    ),
    "missing prior": (lambda: CMMA(**_nets(CMMA, prior_net=None)), "built Keras model of"),
    "wrong parents": (
        lambda: CMMA(**_nets(CMMA, likelihood_net=networks.mlp([4, 2], (), 6))),
        r"2 input.*\[z\]",
    ),
    "no family": (
        lambda: (
            VAE(**_nets(VAE), **{"family": "bernoulli"})
            if False
            else VAE(**{**_nets(VAE), "family": "bernoulli"})
        ),
        "family='bernoulli'",
    ),
    "odd Gaussian output": (
        lambda: VAE(
            **_nets(VAE, likelihood_net=networks.mlp([2], (), 7), family=Gaussian("network"))
        ),
        "takes 2, 4",
    ),
    "dtypes": (
        lambda: VAE(**_nets(VAE, family=Gaussian(dtype="float64"))),
        "dtypes.*float32.*float64",
    ),
    "alpha": (lambda: CVAE3(**_nets(CVAE3, family=Categorical()), alpha=1.5), "alpha=1.5"),
    "samples": (lambda: SGVBA(0), "num_samples=0"),
    "scale": (lambda: Gaussian("tiny"), "scale='tiny'"),
    "sizes": (lambda: networks.mlps(CVAE1, x=6, z=2, hidden=(), family=Bernoulli()), "y"),
    "no image": (lambda: networks.conv_encoder([5], 8, 8, 4), "networks.mlp"),
    "no image out": (lambda: networks.conv_decoder([5], 8, 8, 4), "networks.mlp"),
}


@pytest.mark.parametrize("name", BAD_MODELS)
def test_bad_models_are_refused(name):
    make, message = BAD_MODELS[name]
    with pytest.raises((ValueError, TypeError), match=f"(?s){message}"):
        make()


def test_one_family_serves_one_model():
    family = Bernoulli()
    VAE(**_nets(VAE, family=family))
    nets = networks.mlps(VAE, x=7, z=2, hidden=(), family=family)
    with pytest.raises(ValueError, match=r"shape \(7,\).*events of shape \(6,\).*a new family"):
        VAE(**nets, family=family)


def test_what_compile_refuses(model):
    with pytest.raises(ValueError, match="own bound"):
        model.compile(loss="mse")
    with pytest.raises(ValueError, match="metrics"):
        model.compile(metrics=["mae"])


def test_uncompiled_and_misdirected_calls(model):
    fresh = small_model(VAE)
    with pytest.raises(ValueError, match="compile"):
        fresh.fit(X, verbose=0)
    fresh.compile()
    with pytest.raises(ValueError, match="has no y"):
        fresh.fit(X, Y, verbose=0)
    with pytest.raises(ValueError, match="sample_weight"):
        model.fit(X, Y, class_weight={0: 1.0}, verbose=0)
    with pytest.raises(ValueError, match="sample_weight.*different numbers|different numbers"):
        model.fit(X, Y, sample_weight=np.ones(3), verbose=0)
    with pytest.raises(ValueError, match="beside a dataset"):
        model.fit(tf.data.Dataset.from_tensors((X, Y)), Y, verbose=0)
    with pytest.raises(ValueError, match="validation_split=0.99"):
        model.fit(X, Y, validation_split=0.99, verbose=0)
    with pytest.raises(ValueError, match='"importance" or "prior"'):
        model.log_likelihood(X, Y, method="elbo")
    with pytest.raises(ValueError, match=r"expects \(x, y\)"):
        model.log_likelihood(X)
    cvae3 = small_model(CVAE3)
    with pytest.raises(ValueError, match='"monte_carlo" or "plug_in"'):
        cvae3.predictive(X, method="mean")
    with pytest.raises(ValueError, match="not one-hot"):
        cvae3.bound if False else cvae3.log_likelihood(X, Y * 0.5)
    with pytest.raises(ValueError, match=r"expects \(N, 4\)"):
        model.generate(Y[:, :3])
    assert GSNN.observed == "y"
