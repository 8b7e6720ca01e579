"""The VAE: its bound by hand, what its factors see, a step of training, and what it predicts."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from requirements_of_a_model import felt, linear_pair, small_data, small_model

from cvae_tf import VAE, noise
from cvae_tf.distributions import Bernoulli


def test_its_bound_is_that_of_the_linear_model_for_a_q_that_is_not_the_posterior():
    """(1.2) against (7.1) and (7.2), in float64, and its two terms by hand, (1.3) and (1.5)."""
    model, truth, (x,), _ = linear_pair(VAE, x=5, z=2)
    q = model.posterior(tf.constant(x))
    mean, scale = q.mean().numpy(), q.stddev().numpy()
    bound = model.bound(x, noise=noise.cubature(2))
    gap = truth.kl_to_posterior(mean, scale, x)
    assert gap.min() > 0.1
    np.testing.assert_allclose(bound.value + gap, truth.log_evidence(x), rtol=1e-9)
    kl = 0.5 * (mean**2 + scale**2 - 1 - 2 * np.log(scale)).sum(-1)
    np.testing.assert_allclose(bound.kl, kl, rtol=1e-9)
    error = ((x - mean @ truth.W.T - truth.b) ** 2).sum(-1) + scale**2 @ (truth.W**2).sum(0)
    log_p = -0.5 * error / truth.sigma**2 - 2.5 * np.log(2 * np.pi * truth.sigma**2)
    np.testing.assert_allclose(bound.reconstruction, log_p, rtol=1e-9)


def test_x_is_behind_q_and_nothing_is_behind_the_prior():
    model, (x,) = small_model(VAE), small_data(VAE)
    z = np.random.default_rng(1).normal(size=(50, 2)).astype("float32")
    assert felt(model, (x,), z) == {"posterior": "x", "prior": "", "likelihood": "x"}
    prior = model.prior()
    np.testing.assert_array_equal(prior.mean(), [0, 0])
    np.testing.assert_array_equal(prior.stddev(), [1, 1])
    assert model.likelihood(z[None]).batch_shape == (1, 50)
    assert (model.data_names, model.conditions, model.predicts_from) == (("x",), (), ("x",))


def test_a_step_follows_the_gradient_of_the_bound():
    """One step of gradient descent, by the difference of the bound that it should make."""
    model = small_model(VAE, dtype="float64", family=Bernoulli(dtype="float64"))
    (x,) = small_data(VAE)
    model.compile(keras.optimizers.SGD(1e-4), run_eagerly=True)
    epsilon, variables = model.training_noise(len(x)), model.trainable_variables
    with tf.GradientTape() as tape:
        before = tf.reduce_mean(model.bound(x, noise=epsilon).value)
    slope = sum(np.sum(np.square(g)) for g in tape.gradient(before, variables))
    loss = model.train_on_batch(x)[0]
    assert loss == pytest.approx(-float(before), rel=1e-6)
    gained = tf.reduce_mean(model.bound(x, noise=epsilon).value) - before
    assert float(gained) == pytest.approx(1e-4 * slope, rel=1e-2)


def test_a_few_epochs_raise_the_bound_of_other_data():
    model, (x,) = small_model(VAE), small_data(VAE, num_rows=64)
    model.compile(keras.optimizers.Adam(0.01), jit_compile=False)
    x[:, 3:] = x[:, :3]  # something to learn
    before = model.evaluate(x[32:], return_dict=True, verbose=0)["elbo"]
    history = model.fit(x[:32], batch_size=8, epochs=30, verbose=0).history
    assert history["elbo"][-1] > history["elbo"][0]
    assert model.evaluate(x[32:], return_dict=True, verbose=0)["elbo"] > before + 0.1


def test_it_predicts_the_reconstruction_at_the_mean():
    """By hand, through the networks: no noise, and the same as `reconstruct`."""
    model, (x,) = small_model(VAE), small_data(VAE)
    mean = model.posterior_net(x)[:, :2]
    expected = 1 / (1 + np.exp(-model.likelihood_net(mean)))
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-5)
    np.testing.assert_allclose(model.reconstruct(x), expected, rtol=1e-5)
    np.testing.assert_allclose(model(x), expected, rtol=1e-5)
