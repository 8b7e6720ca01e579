"""What the exercises check with: your value beside the true one, and the slip it looks like."""

from __future__ import annotations

import builtins
import copy
import inspect
import itertools
import math
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.optimize
import scipy.special
import scipy.stats

from cvae_tf import checks

__all__ = ["WrongAnswer", "agree", "alone", "compare", "require"]

Case = tuple[Any, ...]
Parts = list[np.ndarray]


class WrongAnswer(AssertionError):
    """What a check raises. `sentence` says what is wrong, where the check knows it, or nothing."""

    def __init__(self, message: str, sentence: str = "", kind: str = "slip") -> None:
        super().__init__(message)
        self.sentence, self.kind = sentence, kind if sentence else ""


def alone(check: Callable[..., Any]) -> Callable[..., Any]:
    """A check that sees none of the notebook's names, and finds NumPy, SciPy and ours as they were.

    Args:
        check: a function; of what it has not defined or imported itself it gets `np` and `_e`, this
            module, and Python's own names.

    Returns:
        The same function, in which a notebook's `sum = 0` or `np = None` changes nothing.

    Example:
        >>> sum = 0
        >>> @alone
        ... def total(numbers):
        ...     return sum(numbers)
        >>> total([1, 2])
        3
    """
    _restore()
    names = {"__builtins__": builtins, "np": np, "_e": sys.modules[__name__]}
    clean = types.FunctionType(check.__code__, names, check.__name__, check.__defaults__)
    clean.__kwdefaults__ = check.__kwdefaults__
    return clean


def agree(
    name: str, yours: Callable[..., Any], true: Callable[..., Any], cases: Sequence[Case], *,
    atol: float = 1e-6, unit: str = "", parts: Sequence[str] = (),
    slips: Mapping[str, Callable[..., Any]] | None = None,
    terms: Mapping[str, Callable[..., Any]] | None = None,
    edges: Mapping[str, Case] | None = None,
    simpler: Mapping[str, Callable[..., Case]] | None = None,
    unchanged: Mapping[str, Callable[..., Case]] | None = None,
) -> None:
    """Compares a function with an independent one on many inputs, and says how yours differs.

    A sentence is said only where it is so on all inputs: where yours equals the slip, say.

    Args:
        name: what is compared, as the sentence's subject.
        yours: the answer, a function.
        true: the independent function of the same arguments.
        cases: tuples of arguments; random ones, three or more.
        atol: greatest absolute difference that passes, besides 1e-7 of the true value.
        unit: "nats", say; printed behind the numbers.
        parts: names of the numbers or arrays that both functions return, where they are several.
        slips: {sentence: what that mistake gives, a function of the arguments}. Where there are
            parts it returns one value for each, None where any will do.
        terms: {name: a term of the true value, a function of the arguments}: the check then knows
            a term that is missing, or counts twice, or has the other sign.
        edges: {"two weights are equal", say: a tuple of arguments}, inputs at an edge.
        simpler: {"μ is 0", say: a function of the arguments that gives simpler ones}: the check
            then knows that yours is right there, so that the mistake lies in what was left out.
        unchanged: {"all is moved alike", say: a function of the arguments that gives others with
            the same true value}: the check then knows that yours changes.

    Raises:
        AssertionError: if the answer is wrong on any of the inputs.

    Example:
        >>> agree("twice x", lambda x: x + x, lambda x: 2 * x, [(1.0,), (2.5,)])
        twice x: yours 2, true 2; on 2 inputs. Right.
    """
    everywhere: list[Any] = [*range(len(cases)), *(edges or {})]
    inputs: list[Case] = [*cases, *(edges or {}).values()]
    right = [_parts(true(*copy.deepcopy(c)), parts, "true") for c in inputs]
    found: list[Parts] = []
    for place, case in zip(everywhere, inputs, strict=True):
        try:
            answer = yours(*copy.deepcopy(case))
        except Exception as error:
            if isinstance(place, int):
                raise
            sentence = f"Where {place}, your function stops with {type(error).__name__}: {error}."
            raise WrongAnswer(f"{name}: {sentence}", sentence, "edge") from error
        found.append(_answer(name, answer, parts))
    off = [_off(a, b, atol) for a, b in zip(found, right, strict=True)]
    if not any(off):
        shown = [
            ", ".join(_first(np.where(np.abs(part) > 1e-6 * atol, part, 0)) for part in parts_of)
            for parts_of in (found[0], right[0])  # what is left of a 0 differs between machines
        ]
        unit = f" {unit}" if unit else ""
        print(f"{name}: yours {shown[0]}, true {shown[1]}{unit}; on {len(inputs)} inputs. Right.")
        return
    at = off.index(True)
    wrong = _difference(name, found[at], right[at], atol, unit, parts)
    usual = len(cases)
    if not any(off[:usual]):
        places = [place for place, wrong_there in zip(everywhere, off, strict=True) if wrong_there]
        sentence = f"Yours is right elsewhere, and wrong where {', and where '.join(places)}."
        raise WrongAnswer(f"{wrong} {sentence}", sentence, "edge")
    sentence, kind = _why(
        yours, true, list(cases), found[:usual], right[:usual], atol, parts,
        slips or {}, terms or {},
    )
    places = [(text, change, True) for text, change in (simpler or {}).items()]
    places += [(text, change, False) for text, change in (unchanged or {}).items()]
    for place, change, is_simpler in () if sentence else places:
        others = [change(*copy.deepcopy(c)) for c in cases]
        values = _values(yours, others, parts)
        if values is None:
            continue
        with np.errstate(all="ignore"):  # a check writes nothing to stderr
            expected = [_parts(true(*copy.deepcopy(c)), parts, "true") for c in others]
        if is_simpler and not _differ(values, expected, atol):
            sentence = f"Yours is right where {place}. What is different where it is not so?"
        elif not is_simpler and _differ(values, found[:usual], 1e-6) and not _differ(
            expected, right[:usual], 1e-6
        ):
            sentence = f"Yours changes if {place}, and the true value does not."
        if sentence:
            kind = "place"
            break
    raise WrongAnswer(f"{wrong} {sentence}".strip(), sentence, kind)


def _values(yours: Callable[..., Any], cases: Sequence[Case], parts: Sequence[str]) -> Any:
    """What yours gives for each case, or None if it stops at one."""
    try:
        with np.errstate(all="ignore"):
            return [_answer("", yours(*copy.deepcopy(case)), parts) for case in cases]
    except Exception:
        return None


def _differ(one: Sequence[Parts], other: Sequence[Parts], atol: float) -> bool:
    return any(_off(a, b, atol) for a, b in zip(one, other, strict=True))


def _parts(value: Any, parts: Sequence[str], label: str) -> Parts:
    return [_numbers(v, label, finite=False) for v in (value if parts else [value])]


def _answer(name: str, answer: Any, parts: Sequence[str]) -> Parts:
    if answer is None:
        text = "there is no value. Does your function end in a return?"
        raise WrongAnswer(f"{name}: {text}", text, "form")
    try:
        several = len(answer)
    except TypeError:  # a number, an array without axes
        several = 0
    if parts and several != len(parts):
        text = f"Return {len(parts)} things: {', '.join(parts)}."
        raise WrongAnswer(f"{name}: {text}", text, "form")
    try:
        return _parts(answer, parts, "yours")
    except (TypeError, ValueError) as error:
        text = f"yours is a {type(answer).__name__}; expected numbers. {error}"
        raise WrongAnswer(f"{name}: {text}", text, "form") from None


def _close(a: np.ndarray, b: np.ndarray, atol: float) -> Any:
    return np.isclose(a, b, rtol=1e-7, atol=atol)  # an infinity is close to itself alone


def _off(yours: Parts, true: Parts, atol: float) -> bool:
    return any(
        a.shape != b.shape or not _close(a, b, atol).all()
        for a, b in zip(yours, true, strict=True)
    )


def _difference(
    name: str, yours: Parts, true: Parts, atol: float, unit: str, parts: Sequence[str]
) -> str:
    which = next(i for i, pair in enumerate(zip(yours, true, strict=True))
                 if _off([pair[0]], [pair[1]], atol))
    a, b = yours[which], true[which]
    name = f"{name}: {parts[which]}" if parts else name
    if a.shape != b.shape:
        return f"{name}: yours has shape {a.shape}; expected {b.shape}."
    off, unit = ~_close(a, b, atol), f" {unit}" if unit else ""
    return f"{name}: yours is {_first(a, off)}, the true value is {_first(b, off)}{unit}."


def _why(
    yours: Any, true: Any, cases: list[Case], found: list[Parts], right: list[Parts],
    atol: float, parts: Sequence[str], slips: Mapping[str, Any], terms: Mapping[str, Any],
) -> tuple[str, str]:
    """The sentence that is true of yours on all cases, and its kind; ("", "") if none is known."""
    with np.errstate(all="ignore"):
        for sentence, slip in slips.items():
            values = [slip(*copy.deepcopy(case)) for case in cases]
            if _is_slip(values, found, right, atol, parts):
                return sentence, "slip"
        which = next(i for i in range(len(right[0]))
                     if any(_off([a[i]], [b[i]], atol) for a, b in zip(found, right, strict=True)))
        pairs = [(a[which], b[which]) for a, b in zip(found, right, strict=True)]
        of = f" in {parts[which]}" if parts else ""
        for a, b in pairs:
            if a.shape != b.shape:
                return _about_shapes(a, b), "shape"
        if sentence := _constant(pairs):
            return sentence, "number"
        if sentence := _about_terms(terms, pairs, cases, which, of, bool(parts), atol):
            return sentence, "term"
        if sentence := _about_numbers(pairs, atol):
            return sentence, "number"
        if len(parts) > 1 and all(a.shape == b.shape for a, b in zip(found[0], right[0],
                                                                      strict=True)):
            for order in itertools.permutations(range(len(parts))):
                if order != tuple(range(len(parts))) and all(
                    not _off([a[i] for i in order], b, atol)
                    for a, b in zip(found, right, strict=True)
                ):
                    return f"In another order, please: {', '.join(parts)}.", "number"
        if sentence := _about_arguments(yours, true, cases, found, right, atol, parts, which, of):
            return sentence, "argument"
    return "", ""


def _is_slip(
    values: list[Any], found: list[Parts], right: list[Parts], atol: float, parts: Sequence[str]
) -> bool:
    told = False
    for value, a, b in zip(values, found, right, strict=True):
        for v, mine, theirs in zip(value if parts else [value], a, b, strict=True):
            if v is None:
                continue
            v = np.asarray(v, "float64")
            if v.shape != mine.shape or not _close(mine, v, atol).all():
                return False
            told |= v.shape != theirs.shape or not _close(v, theirs, atol).all()
    return told


def _about_shapes(a: np.ndarray, b: np.ndarray) -> str:
    if a.ndim < b.ndim:
        return f"Expected one value for each, {list(b.shape)}: an axis is gone."
    if a.ndim > b.ndim:
        return f"Expected {'a number' if b.ndim == 0 else list(b.shape)}: an axis is left over."
    return f"Expected {list(b.shape)}: the axes have other lengths."


def _about_terms(
    terms: Mapping[str, Any], pairs: list[tuple[np.ndarray, np.ndarray]], cases: list[Case],
    which: int, of: str, several: bool, atol: float,
) -> str:
    """Yours − true as multiples of one term, of two or of three."""
    y = np.concatenate([np.ravel(a - b) for a, b in pairs])
    if not np.isfinite(y).all():
        return ""
    columns = {}
    for name, term in terms.items():
        values = [term(*copy.deepcopy(case)) for case in cases]
        values = [v[which] if several and isinstance(v, tuple) else v for v in values]
        if any(v is None for v in values):
            continue
        column = np.concatenate([
            np.ravel(np.broadcast_to(v, b.shape)) for v, (_, b) in zip(values, pairs, strict=True)
        ])
        if np.isfinite(column).all() and np.abs(column).max() > atol:
            columns[name] = column
    for number in (1, 2, 3):
        found = []
        for chosen in itertools.combinations(columns, number):
            X = np.stack([columns[c] for c in chosen], 1)
            if len(y) < 2 * number + 1:
                continue
            c, _, rank, _ = np.linalg.lstsq(X, y, rcond=1e-9)
            close = np.abs(X @ c - y) <= atol + 1e-6 * np.abs(y).max()
            nice = np.abs(12 * c - np.round(12 * c)) < 1e-4
            if close.all() and rank == number and (number == 1 or nice.all()):
                found.append((sum(c > 0), [_about_term(*p) for p in zip(chosen, c, strict=True)]))
        if found:  # rather what is missing than what is too much
            text = ", and ".join(min(found, key=lambda each: each[0])[1])
            return f"In yours {text}{of}."
    return ""


def _about_term(name: str, c: float) -> str:
    known = {-1.0: "is missing", -2.0: "has the other sign", 1.0: "counts twice",
             -0.5: "counts half"}
    for value, says in known.items():
        if abs(c - value) < 1e-5:
            return f"{name} {says}"
    return f"{name} counts {1 + c:.3g} times"


def _constant(pairs: list[tuple[np.ndarray, np.ndarray]]) -> str:
    a, b = (np.concatenate([np.ravel(p[i]) for p in pairs]) for i in (0, 1))
    if len(a) < 3 or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return ""
    if np.ptp(b) > 1e-3 * np.abs(b).max() and np.ptp(a) <= 1e-9 * (1 + np.abs(a).max()):
        return f"Yours is {_first(a)} whatever is put in."
    return ""


def _about_numbers(pairs: list[tuple[np.ndarray, np.ndarray]], atol: float) -> str:
    """The sign, a factor, a power, a constant: the same everywhere."""
    a, b = (np.concatenate([np.ravel(p[i]) for p in pairs]) for i in (0, 1))
    if not np.isfinite(b).all() or len(a) < 3:
        return ""
    if not np.isfinite(a).all():
        return f"Yours contains {_first(a, ~np.isfinite(a))}."
    if _close(a, -b, atol).all():
        return "That is minus the true value: look at the sign."
    if (factor := _same(a, b)) is not None:
        return f"That is {factor:.4g} times the true value, whatever is put in: look for a factor."
    if np.ptp(b) > 1e-3 * np.abs(b).max() and _close(a - b, np.full_like(a, (a - b)[0]),
                                                     10 * atol).all():
        return f"Yours is off by {(a - b)[0]:.4g}, whatever is put in: a constant is wrong."
    powers = {"square": b**2, "root": np.sqrt(b), "inverse": 1 / b, "logarithm": np.log(b),
              "exponential": np.exp(b)}
    for power, values in powers.items():
        if not np.isfinite(values).all():
            continue
        if _close(a, values, atol).all():
            return f"That is the {power} of the true value."
        if power in ("square", "root", "inverse") and (factor := _same(a, values)) is not None:
            return f"That is {factor:.4g} times the {power} of the true value."
    same_size = [p for p in pairs if p[0].ndim == 2 and p[0].shape == p[0].T.shape]
    if same_size and len(same_size) == len(pairs) and all(_close(x.T, z, atol).all()
                                                          for x, z in pairs):
        return "Rows and columns are swapped: that is the transposed matrix."
    if all(x.size > 1 and _close(np.sort(x.ravel()), np.sort(z.ravel()), atol).all()
           for x, z in pairs):
        return "Those are the right numbers in another order."
    return ""


def _same(a: np.ndarray, b: np.ndarray) -> float | None:
    """The factor between two arrays, if it is one."""
    if np.abs(b).max() == 0 or b @ b == 0:
        return None
    factor = float(a @ b / (b @ b))
    near = np.abs(a - factor * b) <= 1e-7 * np.abs(a).max()
    return factor if near.all() and abs(factor - 1) > 1e-6 and abs(factor) > 1e-12 else None


def _about_arguments(
    yours: Any, true: Any, cases: list[Case], found: list[Parts], right: list[Parts], atol: float,
    parts: Sequence[str], which: int, of: str,
) -> str:
    """An argument that the true value depends on, and yours does not."""
    try:
        names = list(inspect.signature(true).parameters)
    except (TypeError, ValueError):
        return ""
    for j, name in enumerate(names):
        still = 0
        for case, mine, theirs in zip(cases, found, right, strict=True):
            if j >= len(case) or (other := _other(case[j])) is None:
                continue
            changed = (*case[:j], other, *case[j + 1 :])
            try:
                now = _parts(true(*copy.deepcopy(changed)), parts, "true")[which]
                mine_now = _answer("", yours(*copy.deepcopy(changed)), parts)[which]
            except Exception:
                continue
            if now.shape != theirs[which].shape or _close(now, theirs[which], atol).all():
                continue
            before = mine[which]
            if mine_now.shape != before.shape or not _close(mine_now, before, 1e-12).all():
                break
            still += 1
        else:
            if still > 1:
                return f"Yours does not depend on `{name}`{of}, and the true value does."
    return ""


def _other(value: Any) -> Any:
    """Another value of the kind, each entry changed; probabilities still add up to one."""
    if not isinstance(value, (float, np.ndarray)) or np.asarray(value).dtype.kind != "f":
        return None
    values = np.asarray(value)
    changed = values * np.linspace(0.8, 1.25, values.size).reshape(values.shape)
    if values.ndim and values.size and np.allclose(values.sum(-1), 1):
        changed = changed / changed.sum(-1, keepdims=True)
    return changed if isinstance(value, np.ndarray) else float(changed)


def _snapshot() -> list[tuple[Any, dict[str, Any]]]:
    """What a cell of one's own could overwrite by accident, as it is now."""
    from cvae_tf import linear_gaussian, oracle

    modules: list[Any] = [
        builtins, math, itertools, copy, inspect, np, np.linalg, np.random, scipy.special,
        scipy.stats, scipy.optimize, checks, oracle, linear_gaussian,
        linear_gaussian.LinearGaussian, scipy.stats.norm, scipy.stats.multivariate_normal,
    ]
    return [(each, dict(vars(each))) for each in modules]


def _restore() -> None:
    for each, names in _AS_THEY_WERE:
        now = vars(each)
        for name, value in names.items():
            if now.get(name) is not value and not (name.startswith("_") and each is builtins):
                try:
                    setattr(each, name, value)
                except (AttributeError, TypeError):
                    continue
        if not isinstance(each, types.ModuleType):
            for name in set(now) - set(names):
                delattr(each, name)


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
    (yours,) = _answer(name, yours, ())
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
    raise WrongAnswer(f"{name}: {wrong} {hint}".strip(), hint)


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
        raise WrongAnswer(otherwise, otherwise)


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


if "_AS_THEY_WERE" not in globals():  # a reload, which every check begins with, keeps the first
    _AS_THEY_WERE = _snapshot()
