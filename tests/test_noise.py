"""Noise is a function: of key, step and row; the same in and out of the compiler."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from cvae_tf import noise


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_same_numbers_in_and_out_of_xla(dtype):
    def draw(step, first_row):
        return noise.normal(
            3, 17, 5, key=noise.key(1, "t"), step=step, first_row=first_row, dtype=dtype
        )

    eager = draw(tf.constant(4, tf.int64), tf.constant(9, tf.int64))
    for jit_compile in (False, True):
        compiled = tf.function(draw, jit_compile=jit_compile)
        np.testing.assert_allclose(
            compiled(tf.constant(4, tf.int64), tf.constant(9, tf.int64)),
            eager,
            rtol=1e-5,
            atol=1e-6,
        )


def test_rows_do_not_depend_on_their_batch():
    whole = noise.normal(2, 10, 3, key=7, step=1)
    for first, last in ((0, 4), (4, 10), (9, 10)):
        part = noise.normal(2, last - first, 3, key=7, step=1, first_row=first)
        np.testing.assert_allclose(part, whole[:, first:last], rtol=1e-6)  # to the last bit or two


def test_keys_steps_and_rows_give_different_standard_normals():
    draws = [noise.normal(1, 5000, 4, key=k, step=s) for k in (1, 2) for s in (0, 1)]
    flat = np.array([d.numpy().ravel() for d in draws])
    assert np.abs(np.corrcoef(flat) - np.eye(4)).max() < 5 / np.sqrt(20_000)
    for row in flat:
        assert stats.kstest(row, "norm").pvalue > 1e-4
    within = flat[0].reshape(5000, 4)
    assert np.abs(np.corrcoef(within.T) - np.eye(4)).max() < 5 / np.sqrt(5000)
    assert np.isfinite(flat).all()


def test_cubature_is_exact_for_quadratics():
    """(1.5): E[εᵀQε + cᵀε + k] = tr Q + k."""
    rng = np.random.default_rng(0)
    quadratic, linear = rng.normal(size=(5, 5)), rng.normal(size=5)
    points = noise.cubature(5)[:, 0]
    values = np.einsum("ni,ij,nj->n", points, quadratic, points) + points @ linear + 3
    assert points.shape == (10, 5)
    np.testing.assert_allclose(values.mean(), np.trace(quadratic) + 3, rtol=1e-12)
