"""Noise is a function: of key, step and row; the same in and out of the compiler."""

import numpy as np
import pytest
import tensorflow as tf
from requirements_of_a_model import check_limits
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


KEYS = {
    (0, "training"): 7836435963939564850,
    (1, "training"): 6546422793480851878,
    (0, "log-likelihood"): 4453405484366162342,
    (123456789, "order 7"): 3836749654879897940,
}


WHERE = {"key": KEYS[0, "training"], "step": 3, "first_row": 2}


# u = (integer + ½)/2²³ or /2³², exactly.
INTEGERS = {
    "float32": [
        [3106960, 3089483, 5025999, 211490, 2288061],
        [7411493, 5740594, 6755378, 2225927, 7107669],
    ],
    "float64": [
        [1590763558, 1581815587, 2573311779, 108282955, 1171487383],
        [3794684620, 2939184140, 3458753798, 1139674795, 3639126965],
    ],
}


def test_keys_are_those_of_every_version():
    """Another digest, byte order or shift: every stored number of the lessons would change."""
    assert {arguments: noise.key(*arguments) for arguments in KEYS} == KEYS


@pytest.mark.parametrize(("dtype", "bits"), [("float32", 23), ("float64", 32)])
def test_uniform_numbers_are_those_of_every_version(dtype, bits):
    """Other bits kept, another counter, another layout of the table."""
    u = noise.uniform(2, 5, dtype=dtype, **WHERE).numpy()
    assert u.dtype == dtype
    np.testing.assert_array_equal(u * 2.0**bits - 0.5, INTEGERS[dtype])
    later = noise.uniform(1, 4, dtype=dtype, **{**WHERE, "first_row": 3}).numpy()
    # A row of five numbers takes two counts; one of four takes one, so it starts elsewhere.
    assert np.abs(later - u[1:, :4]).max() > 0.01


# The same for rows of four numbers.
INTEGERS_OF_FOUR = {
    "float32": [[5694872, 8167096, 1816995, 7751958], [4233612, 8316769, 4292305, 115476]],
    "float64": [
        [2915774670, 4181553327, 930301854, 3969002767],
        [2167609548, 4258186121, 2197660480, 59123827],
    ],
}


@pytest.mark.parametrize(
    ("dtype", "bits", "tolerance"), [("float32", 23, 2e-6), ("float64", 32, 1e-9)]
)
def test_normal_numbers_are_those_of_every_version(dtype, bits, tolerance):
    """ε = Φ⁻¹(u), by SciPy, the draws of one example beside each other in its row of u."""
    integers = INTEGERS_OF_FOUR[dtype]
    u = noise.uniform(2, 4, dtype=dtype, **WHERE).numpy()
    np.testing.assert_array_equal(u * 2.0**bits - 0.5, integers)
    exact = stats.norm.ppf((np.array(integers) + 0.5) / 2.0**bits)
    epsilon = noise.normal(2, 2, 2, dtype=dtype, **WHERE).numpy()
    expected = exact.reshape(2, 2, 2).transpose(1, 0, 2)
    np.testing.assert_allclose(epsilon, expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(epsilon[0, 0], [0.46457392, 1.93645101], rtol=1e-6)


def test_noise_begins_at_step_0_and_row_0():
    """Other defaults: what is drawn without a step would be another step's."""
    where = {"key": 7, "step": 0, "first_row": 0, "dtype": "float32"}
    np.testing.assert_array_equal(noise.uniform(2, 3, key=7), noise.uniform(2, 3, **where))
    np.testing.assert_array_equal(noise.normal(2, 2, 3, key=7), noise.normal(2, 2, 3, **where))
    assert noise.cubature(2).dtype == "float64"


@pytest.mark.parametrize("dtype", [np.float32, np.dtype("float32"), tf.float32, "float32"])
def test_a_dtype_is_known_by_all_its_names(dtype):
    assert noise.cubature(2, dtype).dtype == np.float32
    assert noise.uniform(2, 2, key=1, dtype=dtype).dtype == tf.float32
    with pytest.raises(ValueError, match="dtype='float31'. Expected"):
        noise.cubature(2, "float31")


LIMITS = {  # what uses it, what is refused, what is taken
    "num_rows": (lambda v: noise.uniform(v, 1, key=1), [0, 1.5], [1]),
    "num_columns": (lambda v: noise.uniform(1, v, key=1), [-1, 1.5], [0]),
    "key": (lambda v: noise.uniform(1, 1, key=v), [-1, 2**63], [0, 2**63 - 1]),
    "step": (lambda v: noise.uniform(1, 1, key=1, step=v), [-1, 0.5], [0]),
    "first_row": (lambda v: noise.uniform(1, 1, key=1, first_row=v), [-1, 0.5], [0]),
    "num_samples": (lambda v: noise.normal(v, 1, 1, key=1), [0], [1]),
    "dim": (lambda v: noise.normal(1, 1, v, key=1), [-1], [0, 1]),
}


@pytest.mark.parametrize("name", LIMITS)
def test_an_address_out_of_range_is_refused(name):
    use, refused, taken = LIMITS[name]
    check_limits(use, name, refused, taken)


def test_a_key_may_be_a_tensor_without_a_value_yet():
    traced = tf.function(lambda key: noise.uniform(2, 3, key=key))
    np.testing.assert_array_equal(traced(tf.constant(7, tf.int64)), noise.uniform(2, 3, key=7))


@pytest.mark.parametrize(
    ("dtype", "working"),
    [(tf.float64, "float64"), *((d, "float32") for d in ("float32", "bfloat16", tf.int32))],
)
def test_the_working_dtype_is_float32_or_better(dtype, working):
    assert noise.working_dtype(dtype) == working


def test_no_columns_are_an_empty_table():
    assert noise.uniform(3, 0, key=1).shape == (3, 0)
