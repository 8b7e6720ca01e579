"""FutureCVAE against its closed form and its graph, and what is done with many draws of it."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from requirements_of_a_model import (
    check_evaluate,
    check_gradient,
    felt,
    small_data,
    small_model,
)

from cvae_tf import GSNN, FutureCVAE, noise, oracle
from cvae_tf.distributions import Gaussian
from cvae_tf.futures import clusters, draws, least_distance


def future_pair(dtype="float64"):
    """A linear FutureCVAE and the oracle of CVAE-2's row with x and y in each other's place."""
    truth = oracle.LinearGaussian.random(5, 2, 3, model="CVAE2", seed=0)  # predicts 5 from 3
    model = small_model(
        FutureCVAE, hidden=(), family=Gaussian("shared", initial_scale=truth.sigma, dtype=dtype),
        x=3, y=5, z=2, dtype=dtype,
    )  # fmt: skip
    kernel = np.concatenate([truth.V.T, truth.W.T])
    model.likelihood_net.layers[-1].set_weights([kernel, truth.b])
    x = np.random.default_rng(1).normal(size=(40, 3))
    y, _ = truth.sample(x, seed=2)
    return model, truth, x, y


def test_future_cvae_log_evidence_is_bound_plus_gap():
    """(9.1) against (7.1) and (7.2), to float precision, with the noise of (1.5)."""
    model, truth, x, y = future_pair()
    bound = model.bound(x, y, noise=noise.cubature(2))
    q = model.posterior(tf.constant(x), tf.constant(y))
    gap = truth.kl_to_posterior(q.mean().numpy(), q.stddev().numpy(), y, x)
    assert gap.min() > 0.1
    exact = truth.log_evidence(y, x)
    np.testing.assert_allclose(bound.value.numpy() + gap, exact, rtol=1e-9)


def test_future_cvae_graph_gradient_and_evaluation():
    model, data = small_model(FutureCVAE), small_data(FutureCVAE)
    z = np.random.default_rng(1).normal(size=(50, 2)).astype("float32")
    assert felt(model, data, z) == {"posterior": "xy", "prior": "", "likelihood": "xy"}
    check_gradient(FutureCVAE)
    check_evaluate(FutureCVAE)


def test_draws_have_the_model_s_distribution():
    """Mean and covariance of the linear model's draws, (7.1); the first draws stay the first."""
    model, truth, x, _ = future_pair("float32")
    samples = draws(model, x[:3].astype("float32"), 4000, seed=1)
    assert samples.shape == (4000, 3, 5)
    mean = x[:3] @ truth.V.T + truth.b
    covariance = truth.W @ truth.W.T + truth.sigma**2 * np.eye(5)
    error = np.sqrt(np.diag(covariance) / 4000)
    assert np.all(np.abs(samples.mean(0) - mean) < 5 * error)
    for i in range(3):
        found = np.cov(samples[:, i].T)
        scale = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
        assert np.all(np.abs(found - covariance) < 5 * np.sqrt(2 / 4000) * scale)
    np.testing.assert_array_equal(draws(model, x[:3].astype("float32"), 7, seed=1), samples[:7])


def test_every_draw_is_one_of_its_own():
    """For every still and every go: no go repeats the noise of another, no still that of the next.

    The mean of y is a function of z alone, as the stills are alike.
    """
    model, *_ = future_pair("float32")
    x = np.ones((3, 3), "float32")
    samples = draws(model, x, 90, rows_at_once=60, sample=False)
    assert len(np.unique(samples.reshape(-1, 5), axis=0)) == 3 * 90
    drawn = draws(model, x, 90, rows_at_once=60, sample=True)
    spread = (drawn - samples).std() / float(model.likelihood(x, x[:, :2]).stddev()[0, 0])
    assert abs(spread - 1) < 5 / np.sqrt(2 * samples.size)
    assert np.abs(samples - draws(model, x, 90, rows_at_once=60, sample=False, seed=1)).min() > 0


def test_one_number_is_no_rows_to_draw_for():
    with pytest.raises(ValueError, match="Received x=3.0 .in draws., one number"):
        draws(small_model(FutureCVAE), 3.0, 3)


def test_draws_are_of_any_model_that_predicts_y():
    model, (x, _) = small_model(GSNN), small_data(GSNN)
    assert draws(model, x[:4], 7).shape == (7, 4, 4)
    with pytest.raises(ValueError, match="num_samples=0"):
        draws(model, x, 0)


def test_a_short_training_raises_the_bound_and_z_holds_what_x_does_not_tell():
    """y is ±x by a coin: the bound of new data rises, and the draws go both ways."""
    rng = np.random.default_rng(0)
    x = np.ones((96, 2), "float32")
    y = (rng.choice([-1, 1], 96)[:, None] * np.ones(2)).astype("float32")
    model = small_model(FutureCVAE, x=2, y=2, z=1, family=Gaussian(0.3))
    model.compile(keras.optimizers.Adam(0.03), jit_compile=False)
    before = model.evaluate(x[64:], y[64:], return_dict=True, verbose=0)["elbo"]
    model.fit(x[:64], y[:64], batch_size=16, epochs=40, verbose=0)
    after = model.evaluate(x[64:], y[64:], return_dict=True, verbose=0)["elbo"]
    assert after > before + 1
    ways = draws(model, x[:1], 200, sample=False)[:, 0]
    assert 0.2 < (ways[:, 0] > 0).mean() < 0.8


def test_least_distance_is_the_smallest_so_far():
    rng = np.random.default_rng(0)
    samples, y = rng.normal(size=(20, 7, 3)), rng.normal(size=(7, 3))
    found = least_distance(samples, y, (1, 5, 20))
    for size, values in found.items():
        by_hand = [min(np.linalg.norm(samples[s, n] - y[n]) for s in range(size)) for n in range(7)]
        np.testing.assert_allclose(values, by_hand)
    with pytest.raises(ValueError, match="from 1 to 20"):
        least_distance(samples, y, (1, 21))


def test_clusters_find_what_is_there():
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 0], [9, 0], [0, 9]])
    label = np.repeat([0, 1, 2], [500, 300, 200])
    found, shares = clusters(centres[label] + 0.1 * rng.normal(size=(1000, 2)), 3)
    np.testing.assert_allclose(shares, [0.5, 0.3, 0.2])
    np.testing.assert_allclose(found, centres, atol=0.05)


def test_sizes_and_seeds_are_asked_for():
    with pytest.raises(ValueError, match=r"sizes=\(\)"):
        least_distance(np.zeros((3, 2, 2)), np.zeros((2, 2)), ())
    with pytest.raises(ValueError, match="seed=nan"):
        clusters(np.random.default_rng(0).normal(size=(20, 2)), 2, seed=float("nan"))
