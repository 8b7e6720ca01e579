"""What the exercises check with: your value beside the true one, and the slip it looks like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from cvae_tf import checks

__all__ = ["compare", "require"]


def compare(
    name: str, yours: Any, true: npt.ArrayLike, *, atol: float = 1e-6, unit: str = "",
    slips: Mapping[str, npt.ArrayLike] | None = None,
) -> None:
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
        TypeError, ValueError: if the check itself is none: a true value that is not finite, say.

    Example:
        >>> compare("the KL", 1.5, 1.5, unit="nats")
        the KL: yours 1.5, true 1.5 nats. Right.
    """
    true, atol = _numbers(true, "true"), checks.number(atol, "atol", least=0)
    checks.instance(slips or {}, "slips", Mapping, "{sentence: value}")
    slips = {text: _numbers(value, f"slips[{text!r}]") for text, value in (slips or {}).items()}
    if yours is None:
        raise AssertionError(f"{name}: there is no value. Does your function end in a return?")
    try:
        yours = _numbers(yours, "yours", finite=False)
    except (TypeError, ValueError) as error:
        raise AssertionError(
            f"{name}: yours is a {type(yours).__name__}; expected numbers. {error}"
        ) from None
    unit, hint = f" {unit}" if unit else "", _slip(yours, slips, atol)
    if yours.shape != true.shape:
        wrong = f"yours has shape {yours.shape}; expected {true.shape}."
        hint = hint or "Over which axes is the sum?"
    elif not np.isfinite(yours).all():
        wrong = f"yours contains {_first(yours, ~np.isfinite(yours))}."
    elif (off := np.abs(yours - true) > atol).any():
        wrong = f"yours is {_first(yours, off)}, the true value is {_first(true, off)}{unit}."
    else:
        print(f"{name}: yours {_first(yours)}, true {_first(true)}{unit}. Right.")
        return
    raise AssertionError(f"{name}: {wrong} {hint}".strip())


def require(condition: npt.ArrayLike, otherwise: str) -> None:
    """Passes if the condition holds; else says what is wrong.

    Args:
        condition: True or False, or an array of them that all have to be True.
        otherwise: the sentence for the student.

    Raises:
        AssertionError: with that sentence.
        TypeError, ValueError: if the condition is no truth, such as a number or a generator.

    Example:
        >>> require(1 + 1 == 2, "Sums are off.")
    """
    condition = checks.array(condition, "condition", dtype=None)
    if condition.dtype != bool:
        raise TypeError(f"condition has dtype {condition.dtype}. Expected True or False.")
    if not condition.all():
        raise AssertionError(otherwise)


def _slip(yours: np.ndarray, slips: Mapping[str, Any], atol: float) -> str:
    for sentence, value in slips.items():
        if value.shape == yours.shape and np.allclose(value, yours, rtol=1e-6, atol=atol):
            return sentence
    return ""


def _numbers(values: Any, label: str, finite: bool = True) -> np.ndarray:
    return checks.array(values, label, dtype="float64", finite=finite)


def _first(values: Any, where: Any = None) -> str:  # the first, or the first that is amiss
    values = np.atleast_1d(values)
    value = values.ravel()[0] if where is None else values[np.atleast_1d(where)][0]
    return f"{value + 0.0:.4g}"  # + 0.0: no minus before a zero
