"""What the benchmarks build on: drawn pixels, the schedule, tables of what was stored."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from cvae_tf.noise import Place

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture(scope="module")
def likelihood():
    spec = importlib.util.spec_from_file_location("likelihood", BENCHMARKS / "likelihood.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pixels_are_drawn_anew_at_every_step_and_binary_ones_stay(likelihood):
    rng = np.random.default_rng(0)
    grey = rng.uniform(size=(200, 784)).astype("float32")
    y = np.eye(10, dtype="float32")[rng.integers(0, 10, 200)]
    model = likelihood.build("CVAE-1", 1, grey.mean(0))
    first, second = (
        model.factors_see(tf.constant(grey), tf.constant(y), place=Place("training", step))[0]
        for step in (0, 1)
    )
    assert set(np.unique(first)) == {0.0, 1.0}
    assert 0.3 < np.mean(first != second) < 0.37  # E 2p(1 − p) over p uniform: a third
    # each image by itself: its share of ink is its mean grey value, within 5 standard errors
    error = np.sqrt((grey * (1 - grey)).sum(1)) / 784
    assert (abs(np.mean(first, 1) - grey.mean(1)) < 5 * error).all()
    part = model.factors_see(tf.constant(grey[50:]), y[50:], place=Place("training", 0, 50))[0]
    np.testing.assert_array_equal(part, first[50:])  # of the row, not of the batch
    same = model.factors_see(first, y, place=Place("training", 7))[0]
    np.testing.assert_array_equal(same, first)
    biases = model.likelihood_net.layers[-1].bias.numpy()
    np.testing.assert_allclose(tf.sigmoid(biases), grey.mean(0), rtol=1e-4)


def test_the_schedule_is_that_of_the_paper(likelihood):
    rates = likelihood.rates(8)
    assert len(rates) == 3280
    assert rates[0] == 1e-3
    np.testing.assert_allclose([rates[1], rates[-1]], [10 ** (-3 - 1 / 7), 1e-4])


def test_a_row_replaces_its_like_and_gains_are_of_one_schedule(likelihood, tmp_path):
    row = {
        "row": "VAE", "k": 1, "of": "log p(x)", "latent_dim": 50, "batch": 100, "epochs": 4,
        "whole schedule": 4, "steps": 80, "minutes of training": 1, "nll": 90.0,
        "standard error": 0.2, "test images": 10_000, "samples": 5000, "device": "cpu",
    }  # fmt: skip
    path = tmp_path / "likelihood.json"
    likelihood.store(path, row | {"nll": 95.0})
    assert "What k > 1 gains" not in likelihood.store(path, row)
    text = likelihood.store(path, row | {"k": 5, "nll": 88.5})
    assert "95.00" not in text
    assert "| VAE, z of 50 | 5 | 100, 4 | 1.50 | 1.22 (Burda et al. 2015)" in text
    stopped = row | {"k": 50, "nll": 87.0, "epochs": 2}  # of other lengths: no gain is told
    text = likelihood.store(path, stopped)
    assert "2 of 4" in text
    assert "| VAE, z of 50 | 50 |" not in text.partition("What k > 1 gains")[2]
