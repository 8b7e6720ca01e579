"""What the exercises check with: your value beside the true one, and the slip it looks like."""

from __future__ import annotations

import numpy as np

__all__ = ["compare", "require"]


def compare(name, yours, true, *, atol=1e-6, unit="", slips=None):
    """Compares an answer with the true value and says in a sentence what is wrong.

    Args:
        name: what is compared, as the sentence's subject.
        yours: the answer: a number, an array or a tensor.
        true: the true value, same shape.
        atol: greatest absolute difference that passes, in the unit of `true`.
        unit: "nats", say; printed behind the numbers.
        slips: {sentence: the value that this mistake gives}. The sentence of the first that `yours`
            equals is added to the message.

    Raises:
        AssertionError: if the answer is missing, not a number, of another shape or off.

    Example:
        >>> compare("the KL", 1.5, 1.5, unit="nats")
        the KL: yours 1.5, true 1.5 nats. Right.
    """
    if yours is None:
        raise AssertionError(f"{name}: there is no value. Does your function end in a return?")
    try:
        yours = np.asarray(yours, "float64")
    except (TypeError, ValueError):
        raise AssertionError(
            f"{name}: yours is a {type(yours).__name__}; expected numbers."
        ) from None
    true = np.asarray(true, "float64")
    unit = f" {unit}" if unit else ""
    hint = _slip(yours, slips, atol)
    if yours.shape != true.shape:
        raise AssertionError(
            f"{name}: yours has shape {yours.shape}; expected {true.shape}."
            + (f" {hint}" if hint else " Over which axes is the sum?")
        )
    if not np.isfinite(yours).all():
        raise AssertionError(
            f"{name}: yours contains {_first(yours, ~np.isfinite(yours))}. {hint}".strip()
        )
    off = np.abs(yours - true) > atol
    if off.any():
        raise AssertionError(
            f"{name}: yours is {_first(yours, off)}, the true value is "
            f"{_first(true, off)}{unit}. {hint}".strip()
        )
    print(f"{name}: yours {_first(yours)}, true {_first(true)}{unit}. Right.")


def require(condition, otherwise):
    """Passes if the condition holds; else says what is wrong.

    Args:
        condition: a truth.
        otherwise: the sentence for the student.

    Raises:
        AssertionError: with that sentence.

    Example:
        >>> require(1 + 1 == 2, "Sums are off.")
    """
    if not np.all(condition):
        raise AssertionError(otherwise)


def _slip(yours, slips, atol):
    for sentence, value in (slips or {}).items():
        value = np.asarray(value, "float64")
        if value.shape == yours.shape and np.allclose(value, yours, rtol=1e-6, atol=atol):
            return sentence
    return ""


def _first(values, where=None):  # the first value, or the first where something is the matter
    values = np.atleast_1d(values)
    value = values.ravel()[0] if where is None else values[np.atleast_1d(where)][0]
    return f"{value + 0.0:.4g}"  # + 0.0: no minus before a zero
