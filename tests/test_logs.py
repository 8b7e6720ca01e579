"""Running means of the loss and the terms, against NumPy on all examples at once."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from cvae_tf.logs import TermMeans


@pytest.mark.parametrize("weighted", [False, True])
def test_means_over_batches_are_those_over_all_examples(weighted):
    """The loss per example; terms per weight; accuracy over the examples that have a label."""
    rng = np.random.default_rng(0)
    loss, elbo, correct = rng.normal(size=(3, 10)).astype("float32")
    labelled = np.array([1, 0, 1, 1, 0, 0, 1, 1, 1, 0], "float32")
    w = rng.uniform(size=10).astype("float32")
    means = TermMeans(("elbo", "accuracy"))
    for _ in range(2):
        means.reset_state()
        for rows in (slice(0, 4), slice(4, 8), slice(8, 10)):
            terms = {"elbo": elbo[rows], "accuracy": (correct[rows], labelled[rows])}
            count = tf.constant(len(elbo[rows]), tf.float32)
            means.update_state(loss[rows].mean(), count, terms, w[rows] if weighted else None)
    own = w if weighted else np.ones(10)
    found = means.result()
    assert list(found) == ["loss", "elbo", "accuracy"]
    np.testing.assert_allclose(found["loss"], loss.mean(), rtol=1e-5)
    np.testing.assert_allclose(found["elbo"], np.average(elbo, weights=own), rtol=1e-5)
    expected = np.average(correct, weights=own * labelled)
    np.testing.assert_allclose(found["accuracy"], expected, rtol=1e-5)


def test_without_examples_means_are_zero_and_not_nan():
    means = TermMeans(("accuracy",))
    nothing = (tf.ones([3]), tf.zeros([3]))
    means.update_state(tf.constant(2.0), tf.constant(3.0), {"accuracy": nothing})
    assert {name: float(value) for name, value in means.result().items()} == {
        "loss": 2.0,
        "accuracy": 0.0,
    }


def test_term_means_are_saved_with_a_model():
    config = keras.saving.serialize_keras_object(TermMeans(("elbo", "kl")))
    again = keras.saving.deserialize_keras_object(config)
    assert again.terms == ("elbo", "kl") and again.sums.shape == (2, 3)
