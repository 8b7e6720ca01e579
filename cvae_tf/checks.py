"""The one boundary: what came, what was expected, how to fix it; before anything moves.

The public entries of the package pass their arguments through here, in one dialect. Nothing in
this file knows of a model: `wiring` holds what networks and data owe to one.
"""

from __future__ import annotations

import importlib
import math
import numbers
import operator
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

Shape = tuple[int, ...]


class WrongKind(TypeError, ValueError):
    """An argument of a kind that cannot serve: whoever catches either error catches this one."""


def count(value: Any, name: str, least: int = 1, most: int | None = None) -> int:
    """A whole number, NumPy's too.

    Args:
        value: what came.
        name: str, the argument's name.
        least, most: ints; the range allowed, ends included (None: no end).

    Returns:
        The Python int.

    Raises:
        TypeError, ValueError: if it is none, or out of range.

    Example:
        >>> count(np.int64(3), "num_samples")
        3
    """
    value = _scalar(value)
    expected = _range("an integer", least, most)
    if not _is_a(numbers.Integral, value):
        real = isinstance(value, numbers.Real) and math.isfinite(value)
        hint = f" Write {int(value)}." if real and value == int(value) else ""
        raise WrongKind(f"Received {name}={value!r}. Expected {expected}.{hint}")
    if value < least or (most is not None and value > most):
        raise ValueError(f"Received {name}={value!r}. Expected {expected}.")
    return int(value)


def optional_count(value: Any, name: str, least: int = 1) -> int | None:
    """A count, or None."""
    return None if value is None else count(value, name, least)


def number(
    value: Any, name: str, *, least: float | None = None, above: float | None = None,
    most: float | None = None, below: float | None = None,
) -> float:
    """A finite real number, NumPy's too, in a range.

    Args:
        value: what came.
        name: str, the argument's name.
        least, most: floats, ends that are included.
        above, below: floats, ends that are not.

    Returns:
        The Python float.

    Raises:
        TypeError, ValueError: if it is none, or out of range.

    Example:
        >>> number(np.float32(0.5), "alpha", least=0, most=1)
        0.5
    """
    value = _scalar(value)
    ends: dict[Any, Any] = {("≥", operator.ge): least, (">", operator.gt): above}
    ends |= {("≤", operator.le): most, ("<", operator.lt): below}
    ends = {compared: end for compared, end in ends.items() if end is not None}
    wanted = " and ".join(f"{sign} {end:g}" for (sign, _), end in ends.items())
    expected = f"a finite number {wanted}".rstrip()
    if not _is_a(numbers.Real, value):
        raise WrongKind(f"Received {name}={value!r}. Expected {expected}.")
    if not (math.isfinite(value) and all(holds(value, end) for (_, holds), end in ends.items())):
        raise ValueError(f"Received {name}={value!r}. Expected {expected}.")
    return float(value)


def seed(value: Any, name: str = "seed") -> int:
    """A seed: any integer of at most 64 bits. Returns: the Python int."""
    return count(value, name, least=-(2**63), most=2**63 - 1)


def flag(value: Any, name: str) -> bool:
    """True or False, NumPy's too. Returns: the Python bool."""
    if not isinstance(value, (bool, np.bool_)):
        raise WrongKind(f"Received {name}={value!r}. Expected True or False.")
    return bool(value)


def choice(value: Any, name: str, options: Sequence[str]) -> str:
    """One of several words. Returns: it."""
    if not (isinstance(value, str) and value in options):
        *words, last = (f'"{option}"' for option in options)
        expected = f"{', '.join(words)} or {last}" if words else last
        raise ValueError(f"Received {name}={value!r}. Expected {expected}.")
    return value


def instance(value: Any, name: str, kind: type | tuple[type, ...], expected: str) -> Any:
    """An object of a class. Args: expected: str, such as "a trained baselines.Baseline"."""
    if not isinstance(value, kind):
        hint = ""
        if isinstance(value, type) and issubclass(value, kind):
            hint = f" This is the class: write {value.__name__}(…)."
        raise WrongKind(f"Received {name}={_short(value)}. Expected {expected}.{hint}")
    return value


def sizes(value: Any, name: str, least: int = 1) -> tuple[int, ...]:
    """A tuple of counts, such as layer widths. Returns: tuple of Python ints."""
    if isinstance(value, (str, bytes, dict)) or not isinstance(value, Iterable):
        hint = f" Write {name}=({value},)." if isinstance(value, numbers.Integral) else ""
        raise WrongKind(f"Received {name}={value!r}. Expected a tuple of integers ≥ {least}.{hint}")
    return tuple(count(each, f"a number of {name}", least) for each in value)


def policy(dtype: Any) -> Any:
    """A Keras dtype policy; the current one for None."""
    if dtype is None or isinstance(dtype, (dict, keras.dtype_policies.DTypePolicy)):
        return keras.dtype_policies.get(dtype or keras.config.dtype_policy())
    known = ("float32", "float64", "mixed_bfloat16", "mixed_float16", "bfloat16", "float16")
    return keras.dtype_policies.get(choice(dtype, "dtype", known))


def array(
    values: Any, label: str, *, event: Shape | None = None, ndim: int | None = None,
    dtype: Any = "float32", finite: bool = True, empty: bool = False,
) -> np.ndarray:
    """Numbers as a NumPy array of one dtype, checked after the cast.

    Args:
        values: array, tensor, list or DataFrame.
        label: str for the message, such as "x (in fit)".
        event: tuple, the shape of one row: values must be [N, *event]; None: any.
        ndim: int, the number of axes; None: any.
        dtype: NumPy dtype of the result; None keeps it.
        finite: bool; refuse NaN and infinities.
        empty: bool; whether there may be no row.

    Returns:
        NumPy array.

    Raises:
        TypeError, ValueError: if there are no such numbers.

    Example:
        >>> array([[0, 1]], "x", event=(2,)).dtype
        dtype('float32')
    """
    result = dense(values, label)
    if event is not None and (result.ndim == 0 or tuple(result.shape[1:]) != tuple(event)):
        raise ValueError(f"{label} has shape {result.shape}. Expected {rows_of(event)}.")
    if ndim is not None and result.ndim != ndim:
        raise ValueError(f"{label} has shape {result.shape}. Expected {ndim} axes.")
    if not empty and result.size == 0:
        raise ValueError(
            f"{label} is empty: its shape is {result.shape}. Expected at least one row: check the "
            "selection that made it."
        )
    if dtype is not None:
        with np.errstate(over="ignore", invalid="ignore"):
            cast = result.astype(dtype, copy=False)
        if finite and np.issubdtype(cast.dtype, np.floating):
            check_finite(result, label, cast)
        return cast
    if finite:
        check_finite(result, label)
    return result


def dense(values: Any, label: str) -> np.ndarray:
    """Any kind of rectangular numbers as a NumPy array, of the dtype they have.

    Raises: TypeError, ValueError: for ragged, sparse, masked, complex, object, text and time data.
    """
    if isinstance(values, (tf.RaggedTensor, tf.SparseTensor)) or hasattr(values, "toarray"):
        raise WrongKind(
            f"{label} is a {type(values).__name__}. Expected a dense array, such as .to_tensor(), "
            ".toarray() or tf.sparse.to_dense(…) gives."
        )
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise ValueError(
            f"{label} is a masked array: {int(np.ma.getmaskarray(values).sum())} values are "
            "masked. Expected none, as the mask would be lost: fill it (values.filled(…)) or drop "
            "the rows."
        )
    if values is None or isinstance(values, (str, bytes, dict, set)) or callable(values):
        raise WrongKind(f"{label} is {_short(values)}. Expected an array of numbers.")
    try:
        if hasattr(values, "detach"):  # torch
            values = values.detach().cpu()
        is_table = hasattr(values, "iloc") and values.ndim == 2
        kinds = [getattr(t, "kind", "O") for t in values.dtypes] if is_table else []
        if kinds and all(k in "buif" for k in kinds):  # perhaps some columns whole, others not
            same = len(set(values.dtypes)) == 1 and isinstance(values.dtypes.iloc[0], np.dtype)
            values = values.to_numpy(None if same else "float64", na_value=np.nan)
        result = np.asarray(values)
    except Exception as error:
        raise WrongKind(
            f"{label} is no rectangular array of numbers ({_short(values)}: {error}). Expected one "
            "array whose rows have one shape: np.stack(list of equal arrays)."
        ) from None
    kind = result.dtype
    if kind.kind == "O" and hasattr(values, "to_numpy"):  # a table of mixed columns
        raise WrongKind(
            f"{label} has columns that are not all numbers. Expected numbers: encode text and "
            "categories first (pandas.get_dummies), and impute what is missing."
        )
    if kind.kind not in "buif" and str(kind) not in ("bfloat16",):
        raise WrongKind(f"{label} has dtype {kind}. Expected numbers.")
    return result


def check_finite(values: np.ndarray, label: str, cast: np.ndarray | None = None) -> None:
    """Raise ValueError unless all is finite, in its own dtype and in the one it is cast to."""
    seen = values if cast is None else cast
    if seen.size and not np.isfinite(_extremes(seen)).all():
        if cast is not None and values.size and np.isfinite(_extremes(values)).all():
            raise ValueError(
                f"{label} has values too large for {cast.dtype}: they span "
                f"[{np.min(values):g}, {np.max(values):g}]. Expected numbers that it can hold: "
                "scale them first."
            )
        raise ValueError(
            f"{label} has NaN or infinite values. Expected finite numbers: remove or impute them."
        )


def height_and_width(image_shape: Any) -> tuple[int, int]:
    """(H, W) of an image shape. Args: image_shape: (H, W), or (H, W, 1)."""
    shape = sizes(image_shape, "image_shape")
    if len(shape) == 2 or (len(shape) == 3 and shape[2] == 1):
        return shape[0], shape[1]
    raise ValueError(f"Received image_shape={image_shape}. Expected (height, width) in pixels.")


def height_width_channels(event: tuple[int, ...], image_shape: Any = None) -> tuple[int, int, int]:
    """(H, W, C) of images, each flat, [H·W], or [H, W, C].

    Args:
        event: the shape of one.
        image_shape: (H, W) of flat ones; None: square.

    Raises:
        ValueError: if they are no such images.
    """
    if len(event) not in (1, 3):
        raise ValueError(
            f"Received images of shape {event} each. Expected flat ones [N, D] or [N, H, W, C], "
            "N ≥ 1: for [N, H, W] use images[..., None]."
        )
    side = math.isqrt(event[0])
    height, width, channels = event if len(event) == 3 else (side, side, 1)
    if image_shape is not None:
        height, width = height_and_width(image_shape)
    if event not in ((height * width,), (height, width, channels)):
        raise ValueError(
            f"Received images of shape {event} each, not {height} × {width} pixels. Give "
            "image_shape=(height, width), theirs."
        )
    return height, width, channels


def same_length(arrays: dict[str, Any], where: str) -> int:
    """Check that arrays have one number of rows. Returns: it."""
    lengths = {name: int(each.shape[0]) for name, each in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(
            f"The arrays (in {where}) have different numbers of examples: {lengths}. Expected one "
            "number: pair the arrays first."
        )
    return next(iter(lengths.values()))


def rows_of(event: Shape) -> str:
    """The shape of rows in words. Example: (N, 64)."""
    return "(N,)" if not event else f"(N, {', '.join(map(str, event))})"


def _extremes(values: np.ndarray) -> np.ndarray:
    return np.array([np.min(values), np.max(values)], "float64")


def _scalar(value: Any) -> Any:
    """A NumPy or TensorFlow scalar as a Python number; all else as it is."""
    if isinstance(value, (np.generic, np.ndarray)) or tf.is_tensor(value):
        try:
            as_array = np.asarray(value)
        except Exception:  # symbolic
            return value
        if as_array.ndim == 0 and as_array.dtype.kind in "buif":
            return as_array.item()
    return value


def _is_a(kind: type, value: Any) -> bool:  # a truth value is no number
    return isinstance(value, kind) and not isinstance(value, (bool, np.bool_))


def _range(kind: str, least: float, most: float | None) -> str:
    return f"{kind} ≥ {least}" if most is None else f"{kind} from {least} to {most}"


def _short(value: Any) -> str:
    text = value.__name__ if isinstance(value, type) else repr(value)
    return text if len(text) <= 80 else f"a {type(value).__name__}"


def __getattr__(name: str) -> Any:
    """What stood here in the first edition: it warns, for one version."""
    moved = {"parents": "signatures", "check_networks": "wiring", "variable_shapes": "wiring"}
    if name in moved:
        new = f"cvae_tf.{moved[name]}"
        warnings.warn(f"checks.{name} is {new}.{name} now.", DeprecationWarning, stacklevel=2)
        return getattr(importlib.import_module(new), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
