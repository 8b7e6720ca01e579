"""The one reader of signatures: a factor's arguments are its parents in the graphical model."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

FACTORS = ("posterior", "prior", "likelihood")


def parents(function: Callable[..., Any]) -> tuple[str, ...]:
    """Names of a factor's positional arguments without a default: its parents.

    Args:
        function: a factor's method, bound or taken from the class.

    Returns:
        The names in order, without self.

    Example:
        >>> parents(lambda y, z, temperature=1.0: ...)
        ('y', 'z')
    """
    return tuple(
        p.name
        for p in inspect.signature(function).parameters.values()
        if p.name != "self"
        and p.default is p.empty
        and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    )


def factor(model: Any, name: str) -> Callable[..., Any] | None:
    """The method of a factor, or None where a model (or its class) has none."""
    method = getattr(model, name, None)
    return method if callable(method) else None
