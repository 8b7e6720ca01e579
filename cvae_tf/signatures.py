"""The signature is the graph: a factor's arguments are its parents, and this file reads them.

A parent is a positional argument without a default; `self`, options with defaults and keyword-only
arguments are not in the graph. Networks, checks, figures and models all read graphs through here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

FACTORS = ("posterior", "prior", "likelihood")


def parents(function: Callable[..., Any]) -> tuple[str, ...]:
    """Names of a factor's parents in the graphical model.

    Args:
        function: a model's factor method, bound or taken from the class.

    Returns:
        tuple of str, in the order of the arguments.

    Example:
        >>> parents(CVAE1.likelihood)
        ('y', 'z')
    """
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return tuple(
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if name != "self" and parameter.kind in positional and parameter.default is parameter.empty
    )


def factor(model: Any, name: str) -> Callable[..., Any] | None:
    """The factor method of a model (or of its class), None where it has none."""
    method = getattr(model, name, None)
    return method if callable(method) else None


def graph(model: Any) -> dict[str, tuple[str, ...]]:
    """Every factor of a model (or of its class) with its parents.

    Returns:
        dict such as {"posterior": ("x", "y"), "prior": (), "likelihood": ("y", "z")}; with the
        further factors that the class declares.
    """
    names = (*FACTORS, *getattr(model, "further_factors", {}))
    methods = {name: factor(model, name) for name in names}
    return {name: parents(method) for name, method in methods.items() if method is not None}


def evaluate(model: Any, name: str, variables: dict[str, Any]) -> Any:
    """A factor's distribution, its parents looked up by name among the variables."""
    method = getattr(model, name)
    return method(*(variables[parent] for parent in parents(method)))
