"""The five models against their closed forms and their graphs."""

import numpy as np
import pytest
import tensorflow as tf
from requirements_of_a_model import (
    GRAPH,
    MODELS,
    check_evaluate,
    check_gradient,
    check_graph,
    check_identity,
    check_noise_matters,
    linear_pair,
)

from cvae_tf import noise
from cvae_tf.estimators import SGVBA, SGVBB, log_weights


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("model_class", MODELS)
@pytest.mark.parametrize("estimator", [SGVBA(), SGVBB()], ids=["SGVB-A", "SGVB-B"])
def test_log_evidence_is_bound_plus_gap(model_class, estimator, seed):
    """(1.1), (3.1), (5.1): the identity in float64, for both estimators."""
    check_identity(model_class, estimator=estimator, seed=seed)


@pytest.mark.parametrize("model_class", MODELS)
def test_log_evidence_is_bound_plus_gap_in_float32(model_class):
    check_identity(model_class, dtype="float32", tolerance=1e-4)


@pytest.mark.parametrize("model_class", GRAPH)
def test_gradients_follow_the_graph(model_class):
    check_graph(model_class)


@pytest.mark.parametrize("model_class", GRAPH)
def test_gradient_is_the_difference_quotient(model_class):
    check_gradient(model_class)


@pytest.mark.parametrize("model_class", GRAPH)
def test_evaluate_is_the_mean_bound(model_class):
    check_evaluate(model_class)


@pytest.mark.parametrize("model_class", MODELS)
def test_a_sample_is_decoded(model_class):
    check_noise_matters(model_class)


@pytest.mark.parametrize("model_class", MODELS)
def test_log_likelihood_is_the_closed_form(model_class):
    """(2.6), (5.8) by importance, (5.7) from the prior: within 5 standard errors of (7.1)."""
    model, truth, data, oracle_data = linear_pair(model_class, near=True, x=3, y=3, z=2)
    exact = truth.log_evidence(*oracle_data)
    for method, num_samples in (("importance", 20_000), ("prior", 20_000)):
        estimate = model.log_likelihood(*data, num_samples=num_samples, method=method)
        weights = _weights(model, data, method)
        error = np.std(weights / weights.mean(0), axis=0) / np.sqrt(num_samples)
        assert np.all(np.abs(estimate - exact) < 5 * error + 1e-3), method


def _weights(model, data, method):
    q, prior, log_likelihood = model.factors(*(tf.constant(d) for d in data))
    epsilon = noise.normal(20_000, len(data[0]), model.latent_dim, key=5, dtype="float64")
    q = q if method == "importance" else prior
    log_w, _ = log_weights(q, prior, log_likelihood, epsilon)
    return np.exp(log_w - tf.reduce_max(log_w, 0))
