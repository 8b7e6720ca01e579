"""Run lessons and recipes from their text twins and store them as notebooks, outputs and all.

    python tools/sync.py              every lesson and every recipe
    python tools/sync.py 01 counts    those whose names begin so

The twin notebooks/text/NN_name.py is what an author edits; notebooks/NN_name.ipynb is what it
gives. A recipe has its twin in notebooks/text/recipes/ and its notebook in notebooks/recipes/.
Nothing that changes from run to run (identifiers, times, versions) is stored, so that a difference
in a notebook is a difference in the lesson.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import sys
from collections import Counter
from os.path import relpath
from pathlib import Path

import jupytext
import nbformat
from lessons import (
    RECIPES,
    ROOT,
    Run,
    begins_fold,
    execute,
    execute_all,
    prepare_environment,
)

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
LANGUAGE = {
    "name": "python",
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "pygments_lexer": "ipython3",
}


def sources(notebook) -> list[tuple[str, str]]:
    return [(cell.cell_type, cell.source.strip()) for cell in notebook.cells]


def read_twin(twin: Path) -> nbformat.NotebookNode:
    """The notebook that a text twin stands for, each cell named by what it says."""
    notebook = jupytext.read(twin)
    seen = Counter()
    for cell in notebook.cells:
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
        seen[digest] += 1
        cell["id"] = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
        cell["metadata"] = {k: v for k, v in cell.metadata.items() if k == "tags"} | folded(cell)
    notebook["metadata"] = {"kernelspec": KERNEL, "language_info": LANGUAGE}
    notebook["nbformat"], notebook["nbformat_minor"] = 4, 5
    return nbformat.from_dict(notebook)


def folded(cell) -> dict:
    """What JupyterLab reads: a drawing's code, the answer to a prediction, a fold: closed."""
    tags = cell.metadata.get("tags", [])
    if cell.cell_type == "markdown":
        return {"jp-MarkdownHeadingCollapsed": True} if begins_fold(cell) else {}
    hidden = {"source_hidden": "hide-input", "outputs_hidden": "hide-output"}
    hidden = {name: True for name, tag in hidden.items() if tag in tags}
    return {"jupyter": hidden} if hidden else {}


def edited_in_notebook(twin: Path, stored: Path) -> bool:
    """Whether storing the twin's cells would overwrite younger ones."""
    if not stored.exists() or stored.stat().st_mtime <= twin.stat().st_mtime:
        return False
    return sources(nbformat.read(stored, as_version=4)) != sources(jupytext.read(twin))


def twins_in(notebooks: Path) -> dict[Path, Path]:
    """{text twin: the notebook that it gives}, lessons first."""
    text = notebooks / "text"
    twins = [*sorted(text.glob("[0-9][0-9]*_*.py")), *sorted((text / RECIPES).glob("*.py"))]
    return {twin: notebooks / twin.relative_to(text).with_suffix(".ipynb") for twin in twins}


def store(run: Run, stored: Path) -> None:
    run.notebook["metadata"] = {"kernelspec": KERNEL, "language_info": LANGUAGE}
    for cell in run.notebook.cells:
        for output in cell.get("outputs", []):
            output.pop("transient", None)
    nbformat.validate(run.notebook)
    nbformat.write(run.notebook, stored)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="beginnings of names, such as 01 (default: all)")
    parser.add_argument(
        "--notebooks",
        type=Path,
        default=ROOT / "notebooks",
        help="folder of the notebooks; the twins lie in its text/",
    )
    parser.add_argument("--jobs", type=int, default=2, help="lessons at a time (default: 2)")
    parser.add_argument(
        "--timeout", type=float, default=600, help="seconds that one cell may take (default: 600)"
    )
    options = parser.parse_args()

    twins = twins_in(options.notebooks)
    if options.names:
        twins = {
            t: stored for t, stored in twins.items() if t.stem.startswith(tuple(options.names))
        }
    if not twins:
        print(
            f"No text twin NN_name.py or {RECIPES}/name.py to run in {options.notebooks / 'text'}"
            + (f" that begins with {' or '.join(options.names)}." if options.names else "."),
            file=sys.stderr,
        )
        return 1
    for twin, stored in twins.items():
        if edited_in_notebook(twin, stored):
            print(
                f"{stored.name} was edited after its twin. Bring the edits over first:\n"
                f"  .venv/bin/jupytext --to py:percent --output {relpath(twin)} {relpath(stored)}\n"
                "or, to drop them, `touch` the twin.",
                file=sys.stderr,
            )
            return 1

    places = {twin.stem: stored for twin, stored in twins.items()}

    def finished(run: Run) -> None:
        if run.failure:
            print(f"{run.name}: not stored; stopped at {run.failure}", file=sys.stderr, flush=True)
        else:
            store(run, places[run.name])
            print(f"{run.name}: stored, {run.seconds:.0f} s", flush=True)

    prepare_environment(options.jobs)
    for stored in places.values():
        stored.parent.mkdir(exist_ok=True)
    tasks = [
        execute(twin.stem, read_twin(twin), stored.parent, options.timeout)
        for twin, stored in twins.items()
    ]
    runs = asyncio.run(execute_all(tasks, options.jobs, finished))
    return 1 if any(run.failure for run in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
