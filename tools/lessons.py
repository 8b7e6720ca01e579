"""Run notebooks, each in a kernel of its own, a few at a time: what course.py and sync.py share."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = Path(sys.executable).parent
# What a class at work leaves in notebooks/.
A_CLASS = (
    "collected", "submitted", "autograded", "feedback", "marks", "inbox", "gradebook.db*",
)  # fmt: skip
PATTERN = "[0-9][0-9]*_*.ipynb"  # 04a and 04b are lessons
RECIPES = "recipes"  # their folder, among the notebooks and among the text twins
ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Failure:
    """Where a lesson stopped, and why."""

    cell: int  # counted from 1, text cells included, as a reader scrolls past them
    first_line: str
    error: str

    def __str__(self):
        return f"cell {self.cell} ({self.first_line}): {self.error}"


@dataclass
class Run:
    """One lesson, executed: the notebook with its new outputs, its time, and what went wrong."""

    name: str
    notebook: nbformat.NotebookNode
    seconds: float = 0.0
    failure: Failure | None = None


def lessons_in(notebooks: Path) -> list[Path]:
    """The lessons of a folder of notebooks, in their order."""
    return sorted(notebooks.glob(PATTERN))


def recipes_in(notebooks: Path) -> list[Path]:
    """The recipes beside them."""
    return sorted((notebooks / RECIPES).glob("*.ipynb"))


def is_folded(cell) -> bool:
    """Whether a cell goes deeper than the main path."""
    return "fold" in cell.metadata.get("tags", [])


def begins_fold(cell) -> bool:
    """Whether a cell is the heading over cells that are folded away with it."""
    return is_folded(cell) and cell.cell_type == "markdown" and cell.source.startswith("### ")


def cores() -> int:
    """The cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def path_with_programs() -> str:
    """The PATH with this environment's programs first: nbgrader looks there for alembic."""
    return f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"


def prepare_environment(jobs: int) -> None:
    """Kernels inherit this: a quiet TensorFlow, no display, and a fair part of the cores each."""
    threads = str(max(1, cores() // jobs))
    defaults = {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "GRPC_VERBOSITY": "ERROR",
        "KERAS_BACKEND": "tensorflow",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "JUPYTER_PLATFORM_DIRS": "1",
        "CVAE_TF_STATIC": "1",  # no sliders where nobody can move them
        "TF_NUM_INTRAOP_THREADS": threads,
        "TF_NUM_INTEROP_THREADS": threads,
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    # Not `agg`: with it, a figure that is a cell's last value would leave no picture.
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"


def first_line(source: str) -> str:
    """The first line of a cell that says something, shortened."""
    lines = [line.strip() for line in source.splitlines() if line.strip()]
    spoken = [line for line in lines if not line.startswith("# NBVAL_")]
    line = (spoken or lines or [""])[0]
    return line if len(line) <= 70 else line[:67] + "..."


def last_line(file) -> str:
    """The last line of an open binary file that is not empty."""
    file.seek(0)
    lines = [line.strip() for line in file.read().decode(errors="replace").splitlines()]
    return next((line for line in reversed(lines) if line), "none")


async def execute(
    name: str,
    notebook: nbformat.NotebookNode,
    folder: Path,
    timeout: float,
    progress: Callable[[str, int, int], None] = lambda name, cell, cells: None,
) -> Run:
    """Execute `notebook` in place, in `folder`, and say where it stopped if it did."""
    run = Run(name, notebook)
    at = 0

    def on_cell_start(cell, cell_index):
        nonlocal at
        at = cell_index
        progress(name, cell_index + 1, len(notebook.cells))

    client = NotebookClient(
        notebook,
        timeout=timeout,
        startup_timeout=180,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        coalesce_streams=True,
        on_cell_start=on_cell_start,
        # What TensorFlow's C++ writes to the terminal on import is not the lesson's output.
        extra_arguments=["--IPKernelApp.capture_fd_output=False"],
    )
    start = time.monotonic()
    error = None
    chatter = tempfile.TemporaryFile()
    try:
        await client.async_execute(stderr=chatter)
    except CellExecutionError as caught:
        error = f"{caught.ename}: {ANSI.sub('', caught.evalue)}".strip()
    except CellTimeoutError:
        error = f"still running after {timeout:g} s (--timeout)"
    except DeadKernelError:
        error = f"the kernel died; its last words: {last_line(chatter)}"
    except Exception as caught:  # no kernel at all, say: the other lessons still run
        error = f"{type(caught).__name__}: {caught}"
    chatter.close()
    run.seconds = time.monotonic() - start
    if error is not None:
        source = notebook.cells[at].source if notebook.cells else ""
        run.failure = Failure(at + 1, first_line(source), error)
    return run


async def execute_all(tasks, jobs: int, finished: Callable[[Run], None]) -> list[Run]:
    """Await `tasks` (calls of `execute`), `jobs` at a time, and tell `finished` of each."""
    slots = asyncio.Semaphore(jobs)

    async def one(task):
        async with slots:
            run = await task
        finished(run)
        return run

    return await asyncio.gather(*(one(task) for task in tasks))
