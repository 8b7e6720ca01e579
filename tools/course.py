"""Run lessons and recipes top to bottom and build the course from what they gave: a site to read.

    python tools/course.py --jobs 2 --output build/course

The notebooks in the checkout are read, never written: what the pages show was computed just now.
One that fails is named with its cell and its error, the others still finish, and the command
ends with status 1.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import time
from os.path import relpath
from pathlib import Path

import nbformat
from lessons import (
    ROOT,
    Run,
    execute,
    execute_all,
    lessons_in,
    prepare_environment,
    recipes_in,
)
from site_pages import build


def spell(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:2d} s" if minutes else f"{rest} s"


def counted(number: int, word: str) -> str:
    return f"{number} {word}" + ("s" if number != 1 else "")


class Progress:
    """One line per notebook when it ends; on a terminal, one below them says who is where."""

    def __init__(self, total: int, width: int):
        self.total, self.width = total, width
        self.done, self.running = 0, {}
        self.live = sys.stdout.isatty()

    def cell(self, name: str, cell: int, cells: int) -> None:
        self.running[name] = f"{name} {cell}/{cells}"
        if self.live:
            line = "running: " + ", ".join(self.running.values())
            columns = shutil.get_terminal_size().columns - 1
            print("\r\x1b[K" + line[:columns], end="", flush=True)

    def finished(self, run: Run) -> None:
        self.running.pop(run.name, None)
        self.done += 1
        start = "\r\x1b[K" if self.live else ""
        word = "FAILED" if run.failure else "ok"
        line = f"[{self.done}/{self.total}] {run.name:<{self.width}}  {spell(run.seconds):>12}"
        print(f"{start}{line}  {word}", flush=True)
        if run.failure:
            print(f"      at {run.failure}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "notebooks",
        nargs="?",
        type=Path,
        default=ROOT / "notebooks",
        help="folder with the lessons NN_name.ipynb and with recipes/ (default: notebooks/)",
    )
    parser.add_argument("--jobs", type=int, default=2, help="lessons at a time (default: 2)")
    parser.add_argument(
        "--output",
        type=Path,
        default=ROOT / "build" / "course",
        help="folder for the pages (default: build/course)",
    )
    parser.add_argument(
        "--timeout", type=float, default=600, help="seconds that one cell may take (default: 600)"
    )
    options = parser.parse_args()
    if options.jobs < 1:
        parser.error(f"--jobs is the number of lessons at a time, at least 1; got {options.jobs}")

    lessons, recipes = lessons_in(options.notebooks), recipes_in(options.notebooks)
    paths = [*lessons, *recipes]
    if not lessons:
        print(f"No lessons named NN_name.ipynb in {options.notebooks}.", file=sys.stderr)
        return 1
    prepare_environment(options.jobs)
    what = counted(len(lessons), "lesson") + (
        f", {counted(len(recipes), 'recipe')}" if recipes else ""
    )
    print(f"Running {what}, {options.jobs} at a time ...", flush=True)

    progress = Progress(len(paths), max(len(path.stem) for path in paths))
    start = time.monotonic()
    tasks = [
        execute(
            path.stem,
            nbformat.read(path, as_version=4),
            path.parent,
            options.timeout,
            progress.cell,
        )
        for path in paths
    ]
    runs = asyncio.run(execute_all(tasks, options.jobs, progress.finished))

    summary = f"{what}, run from top to bottom in {spell(time.monotonic() - start)}."
    print("Building the site ...", flush=True)
    build(runs[: len(lessons)], options.output, summary, runs[len(lessons) :])

    failed = [run for run in runs if run.failure]
    print(f"The pages: {relpath(options.output / 'index.html')}")
    if failed:
        print(f"{len(failed)} of {len(runs)} failed:", file=sys.stderr)
        for run in failed:
            print(f"  {run.name}: {run.failure}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
