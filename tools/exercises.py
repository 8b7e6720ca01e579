"""Make the exercises from their sources: the solutions as notebooks, and the students' copies.

    python tools/exercises.py           every exercise
    python tools/exercises.py 01 02     those whose names begin so

What an author edits is notebooks/text/solutions/NN_name.py. From it come notebooks/solutions/,
run, with outputs and what nbgrader needs to know; and from that nbgrader itself makes
notebooks/exercises/, without solutions and hidden tests. A cell's tag says what it is:

    tags=["task:kl"]        a solution cell, between its markers BEGIN SOLUTION and END SOLUTION
    tags=["check:kl:2"]     the check of that task, worth two points; hidden tests between markers;
                            folded until it is clicked
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
from lessons import (
    PROGRAMS,
    ROOT,
    Run,
    execute,
    execute_all,
    path_with_programs,
    prepare_environment,
)
from sync import folded, read_twin, store

NOTEBOOKS = ROOT / "notebooks"
TWINS = NOTEBOOKS / "text" / "solutions"
CONFIG = NOTEBOOKS / "nbgrader_config.py"


def for_nbgrader(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Write nbgrader's metadata into the cells, in place, from their tags.

    Plain code cells (imports, data) are locked: grading runs them as they were handed out.
    """
    for number, cell in enumerate(notebook.cells):
        kind, *rest = next(
            (tag for tag in cell.metadata.get("tags", []) if ":" in tag), "given"
        ).split(":")
        facts = {"schema_version": 3, "task": False, "grade": False, "solution": False}
        if kind == "task":
            (task,) = rest
            facts |= {"grade_id": task, "solution": True, "locked": False}
        elif kind == "check":
            task, points = rest
            facts |= {"grade_id": f"check_{task}", "grade": True, "locked": True}
            facts["points"] = int(points)
            cell.metadata["tags"] = [*cell.metadata["tags"], "hide-input"]  # folded on the pages
            cell.metadata.update(folded(cell))  # and in JupyterLab
        elif cell.cell_type == "code":
            facts |= {"grade_id": f"given_{number}", "locked": True}
        else:
            continue
        cell.metadata["nbgrader"] = facts
    return notebook


def solution(twin: Path) -> nbformat.NotebookNode:
    """The notebook with solutions that a source stands for, not yet run."""
    return for_nbgrader(read_twin(twin))


def stored_solution(name: str) -> Path:
    return NOTEBOOKS / "solutions" / name / f"{name}.ipynb"


def release(names: list[str], solutions: Path, destination: Path) -> None:
    """Let nbgrader make the students' copies of `names` in `destination`."""
    with tempfile.TemporaryDirectory() as course:
        shutil.copy(CONFIG, course)
        for name in names:
            shutil.copytree(solutions / name, Path(course) / "solutions" / name)
        nbgrader(course, "generate_assignment", *names)
        for name in names:
            shutil.rmtree(destination / name, ignore_errors=True)
            shutil.copytree(Path(course) / "exercises" / name, destination / name)
            for path in (destination / name).iterdir():
                path.chmod(0o644)


def nbgrader(course, command: str, *names: str, extra: tuple[str, ...] = ()) -> str:
    """Run an nbgrader command on the course in a folder; return what it printed."""
    environment = {**os.environ, "HOME": str(course), "PATH": path_with_programs()}
    printed = []
    for name in names or ("",):
        done = subprocess.run(
            [PROGRAMS / "nbgrader", command, *([name] if name else []), *extra],
            cwd=course,
            env=environment,
            capture_output=True,
            text=True,
        )
        printed.append(done.stdout + done.stderr)
        if done.returncode:
            raise RuntimeError(f"nbgrader {command} {name} failed:\n{printed[-1]}")
    return "".join(printed)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="beginnings of names, such as 01 (default: all)")
    parser.add_argument("--jobs", type=int, default=2, help="notebooks at a time (default: 2)")
    parser.add_argument(
        "--timeout", type=float, default=120, help="seconds that one cell may take (default: 120)"
    )
    options = parser.parse_args()
    twins = sorted(TWINS.glob("[0-9][0-9]_*.py"))
    if options.names:
        twins = [twin for twin in twins if twin.stem.startswith(tuple(options.names))]
    if not twins:
        print(f"No exercise NN_name.py to make in {TWINS}.", file=sys.stderr)
        return 1

    def finished(run: Run) -> None:
        if run.failure:
            print(f"{run.name}: not stored; stopped at {run.failure}", file=sys.stderr, flush=True)
        else:
            path = stored_solution(run.name)
            path.parent.mkdir(parents=True, exist_ok=True)
            store(run, path)
            print(f"{run.name}: solution stored, {run.seconds:.0f} s", flush=True)

    prepare_environment(options.jobs)
    tasks = [execute(twin.stem, solution(twin), NOTEBOOKS, options.timeout) for twin in twins]
    runs = asyncio.run(execute_all(tasks, options.jobs, finished))
    good = [run.name for run in runs if not run.failure]
    if good:
        release(good, NOTEBOOKS / "solutions", NOTEBOOKS / "exercises")
        print(f"Students' copies made: {', '.join(good)}", flush=True)
    return 0 if len(good) == len(runs) else 1


if __name__ == "__main__":
    sys.exit(main())
