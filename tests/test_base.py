"""The contract: what every model gives once its factors are written, by hand or against itself."""

import numpy as np
import pytest
import tensorflow as tf
from requirements_of_a_model import (
    MODELS,
    small_data,
    small_model,
)

from cvae_tf import CVAE1, GSNN, VAE, noise
from cvae_tf.estimators import (
    log_mean_exp,
    log_weights,
)


@pytest.mark.parametrize("model_class", [*MODELS, GSNN])
def test_generate_reconstruct_predict_have_the_observed_shape(model_class):
    model, data = small_model(model_class), small_data(model_class)
    model.compile()
    given = dict(zip(model.data_names, data, strict=True))
    condition = 5 if model_class is VAE else given["x" if model.observed == "y" else "y"][:5]
    shape = (5, *model.shapes[model.observed])
    images = model.generate(condition, seed=1)
    assert images.shape == shape and np.all((images >= 0) & (images <= 1))
    np.testing.assert_array_equal(images, model.generate(condition, seed=1))
    assert np.abs(images - model.generate(condition, seed=2)).max() > 0
    drawn = model.generate(condition, seed=1, sample=True)
    assert drawn.shape == shape and set(np.unique(drawn)) <= {0, 1}
    assert model.reconstruct(*(d[:5] for d in data)).shape == shape
    assert model.predict(data[0][:5] if model_class is VAE else condition, verbose=0).shape == shape


def test_predict_does_not_depend_on_the_batch():
    model, (_, y) = small_model(CVAE1), small_data(CVAE1)
    whole = model.predict(y, verbose=0)
    np.testing.assert_allclose(model.predict(y[7:9], verbose=0), whole[7:9], rtol=1e-5)


def test_log_likelihood_depends_on_neither_batches_nor_chunks_of_rows():
    model, data = small_model(CVAE1), small_data(CVAE1)
    values = model.log_likelihood(*data, num_samples=130)
    np.testing.assert_allclose(
        values, model.log_likelihood(*data, num_samples=130, batch_size=7), rtol=1e-5
    )
    by_hand = [model.log_likelihood(*(d[i : i + 1] for d in data), num_samples=130) for i in (0,)]
    np.testing.assert_allclose(values[:1], by_hand[0], rtol=1e-5)


def test_log_likelihood_counts_each_sample_once():
    """130 samples in two chunks are the mean of 130 weights, computed by hand."""
    model, data = small_model(VAE), small_data(VAE)
    values = model.log_likelihood(*data, num_samples=130, seed=3)
    key = noise.key(3, "log-likelihood")
    chunks = [noise.normal(65, len(data[0]), 2, key=key, step=step) for step in (0, 1)]
    log_w, _ = log_weights(*model.factors(tf.constant(data[0])), tf.concat(chunks, 0))
    np.testing.assert_allclose(values, log_mean_exp(log_w), rtol=1e-5)


@pytest.mark.parametrize(
    ("method", "sizes"), [("importance", (101,)), ("prior", (1, 100, 101, 250))]
)
def test_every_number_of_samples_is_counted_exactly(method, sizes):
    """Samples beyond S in the last chunk: log p would be too high by log(102/101), and so on.

    The decoder ignores z and q is the prior, so that every weight is p(x), whatever is drawn.
    """
    model, (x,) = small_model(VAE, hidden=()), small_data(VAE, num_rows=3)
    bias = np.linspace(-1, 2, 6)
    model.likelihood_net.layers[-1].set_weights([np.zeros((2, 6)), bias])
    raw = float(model.latent.raw_from_scale(1.0))
    model.posterior_net.layers[-1].set_weights([np.zeros((6, 4)), np.array([0, 0, raw, raw])])
    exact = x @ bias - np.logaddexp(0, bias).sum()
    for num_samples in sizes:
        values = model.log_likelihood(x, num_samples=num_samples, method=method)
        np.testing.assert_allclose(values, exact, rtol=1e-5, err_msg=f"S = {num_samples}")


def test_prediction_is_the_mean_of_a_hundred_draws():
    """Another number of draws in `predict`, or other noise: within Monte Carlo's error anyway."""
    model, (_, y) = small_model(CVAE1), small_data(CVAE1, num_rows=4)
    model.compile()
    prior = model.prior(tf.constant(y))
    epsilon = noise.normal(100, 1, 2, key=noise.key(0, "prediction"))
    z = prior.mean() + prior.stddev() * epsilon
    by_hand = np.mean(model.likelihood(tf.constant(y), z).mean(), 0)
    np.testing.assert_allclose(model.predict(y, verbose=0), by_hand, rtol=2e-5)
