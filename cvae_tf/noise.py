r"""Noise as a function: the same (seed, step, row) always gives the same ε.

A model's random numbers come from one counter-based generator (Philox, Salmon et al. 2011). Its key
is the seed; its counter is (row, step). Nothing is remembered between calls, so a run can be
replayed, validation cannot disturb training, and a row's noise depends neither on the batch it came
in nor on the device that asks. (The orders of rows, and the data sets, are drawn by NumPy.)
"""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from cvae_tf import checks

_PHILOX = 1
_NUMBERS_PER_COUNT = 4


class Place(NamedTuple):
    """Where noise is wanted: what for, at which step, from which row of the data on."""

    purpose: str
    step: Any = 0
    first_row: Any = 0


def _float(dtype: Any) -> str:
    name = getattr(dtype, "name", getattr(dtype, "__name__", dtype))  # np.float32 among them
    return checks.choice(name, "dtype", ("float32", "float64"))


def working_dtype(dtype: Any) -> str:
    """float32, or better: in which ε, densities, KL and sums are computed whatever the policy.

    Args:
        dtype: the name of a dtype; in 16 bits erfinv reaches ±1, and a sum over pixels its end.

    Returns:
        "float64" for that, "float32" for all others.
    """
    return "float64" if tf.as_dtype(dtype) == tf.float64 else "float32"


def key(seed: int, purpose: str) -> int:
    """A 63-bit generator key for one purpose ("training", "evaluation", …) of one seed.

    Args:
        seed: int.
        purpose: str; different purposes give independent streams.

    Returns:
        A Python int in [0, 2⁶³).

    Example:
        >>> key(0, "training") == key(0, "training") != key(0, "evaluation")
        True
    """
    digest = hashlib.blake2b(f"{purpose}/{checks.seed(seed)}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def uniform(
    num_rows: Any, num_columns: int, *, key: Any, step: Any = 0, first_row: Any = 0,
    dtype: str = "float32",
) -> tf.Tensor:
    r"""Uniform numbers in the open interval (0, 1), one row of the table per example.

    Row r, counted from `first_row`, is a function of (key, step, r) alone, and of how many fours
    the columns take. Inside and outside of XLA the numbers are the same bits.

    Args:
        num_rows: int or scalar tensor.
        num_columns: int.
        key: int from `key`, or a scalar int64 tensor.
        step: int or scalar integer tensor, ≥ 0.
        first_row: int or scalar integer tensor, ≥ 0.
        dtype: "float32" or "float64".

    Returns:
        Tensor [num_rows, num_columns].

    Raises:
        ValueError, TypeError: for a count that is too small, or another dtype.

    Source: J. K. Salmon et al. (2011), Parallel random numbers: as easy as 1, 2, 3.
    """
    dtype = _float(dtype)
    num_columns = checks.count(num_columns, "num_columns", least=0)
    if not tf.is_tensor(key):
        checks.count(key, "key", 0, 2**63 - 1)
    places = (("num_rows", num_rows, 1), ("step", step, 0), ("first_row", first_row, 0))
    for name, value, least in places:
        if not tf.is_tensor(value):
            checks.count(value, name, least)
    counts_per_row = -(-num_columns // _NUMBERS_PER_COUNT)
    first_count = tf.cast(first_row, tf.uint64) * tf.constant(counts_per_row, tf.uint64)
    bits = tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=tf.stack([num_rows, counts_per_row * _NUMBERS_PER_COUNT]),
        key=tf.reshape(tf.cast(key, tf.uint64), [1]),
        counter=tf.stack([first_count, tf.cast(step, tf.uint64)]), alg=_PHILOX, dtype=tf.uint32,
    )[:, :num_columns]
    kept = (
        23 if tf.as_dtype(dtype) == tf.float32 else 32
    )  # so that integer + ½ is exact and 0 < u < 1
    integers = tf.bitwise.right_shift(bits, tf.constant(32 - kept, tf.uint32))
    return (tf.cast(integers, dtype) + 0.5) * 2.0**-kept


def normal(
    num_samples: int, num_rows: Any, dim: int, *, key: Any, step: Any = 0, first_row: Any = 0,
    dtype: str = "float32",
) -> tf.Tensor:
    r"""Standard normal noise ε ~ N(0, I) for the reparameterisation z = μ + σ ⊙ ε, (2.1).

    Args:
        num_samples: int L, draws per example.
        num_rows: int or scalar tensor B, examples.
        dim: int d, latent dimensions.
        key, step, first_row, dtype: see `uniform`.

    Returns:
        Tensor [L, B, d].

    Example:
        >>> normal(1, 3, 2, key=key(0, "training")).shape
        TensorShape([1, 3, 2])
    """
    num_samples = checks.count(num_samples, "num_samples")
    dim = checks.count(dim, "dim", least=0)
    u = uniform(num_rows, num_samples * dim, key=key, step=step, first_row=first_row, dtype=dtype)
    epsilon = tf.cast(np.sqrt(2.0), dtype) * tf.math.erfinv(2.0 * u - 1.0)
    return tf.transpose(tf.reshape(epsilon, [num_rows, num_samples, dim]), [1, 0, 2])


def normal_at(
    place: Place, seed: int, num_samples: int, num_rows: Any, dim: int, dtype: str = "float32"
) -> tf.Tensor:
    """ε of (seed, place), [L, B, d]. Args: place: a `Place`; the others as in `normal`."""
    where = {"step": place.step, "first_row": place.first_row, "dtype": dtype}
    return normal(num_samples, num_rows, dim, key=key(seed, place.purpose), **where)


def cubature(dim: int, dtype: str = "float64") -> np.ndarray:
    r"""The 2d points ±√d·e_j, whose mean replaces E_{N(0,I)} exactly for quadratics, (1.5).

    Args:
        dim: int d, latent dimensions.
        dtype: "float32" or "float64".

    Returns:
        NumPy array [2d, 1, d]: noise for `bound(..., noise=)`, shared by all examples.

    Example:
        >>> cubature(1).ravel().tolist()
        [1.0, -1.0]

    Source: A. H. Stroud (1971), the third-degree rule; I. Arasaratnam and S. Haykin (2009).
    """
    dim = checks.count(dim, "dim")
    dtype = _float(dtype)
    points = np.sqrt(dim) * np.concatenate([np.eye(dim), -np.eye(dim)])  # (1.5)
    return points[:, None, :].astype(dtype)
