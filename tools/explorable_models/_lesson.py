"""What a lesson defines, without running the lesson."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

TWINS = Path(__file__).resolve().parents[2] / "notebooks" / "text"


def definitions(lesson: str, *names: str) -> dict[str, Any]:
    """Globals of a lesson's text twin: what it imports, its functions and classes of these names.

    What the lesson computes beside them, and a function reads, is to be put in by the caller.

    Example:
        >>> definitions("11_where_this_leads", "alpha")["alpha"](0.0).numpy().round(2)
        np.float32(0.71)
    """
    tree = ast.parse((TWINS / f"{lesson}.py").read_text(encoding="utf-8"))
    kept = [
        node
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom) or getattr(node, "name", None) in names
    ]
    if missing := set(names) - {getattr(node, "name", None) for node in kept}:
        raise ValueError(f"{lesson} does not define {', '.join(sorted(missing))}.")
    found: dict[str, Any] = {"__name__": lesson}
    exec(compile(ast.Module(kept, []), f"{lesson}.py", "exec"), found)
    return found
