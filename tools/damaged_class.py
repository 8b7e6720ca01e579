"""A class as it hands in: honest, copied, cut off, endless. Grades it, and prints how that went.

    python tools/damaged_class.py          the figures of the lecturer's page

Each hand-in is damaged in another way, and known beforehand are its marks, what has to be mended,
and why what cannot be graded cannot. The tests grade the same class (tests/test_grading.py).
"""

from __future__ import annotations

import copy
import io
import json
import shutil
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from grading import NOTEBOOKS, Course, Limits, grade_class, prepare
from marks import report

LESSON = "01_the_bound"
MARKERS = ("### BEGIN SOLUTION", "### END SOLUTION")


@dataclass
class Case:
    """One student: what is handed in, and what has to come of it."""

    kind: str
    files: dict[str, bytes]
    lost: tuple[str, ...] = ()  # tasks without points
    mended: str = ""  # what has to be among what is said to be mended
    stopped: str = ""
    reason: str = ""  # why it cannot be graded
    late: bool = False
    student: str = field(default="", compare=False)


def solved(lesson: str = LESSON) -> nbformat.NotebookNode:
    """A students' copy with all answers right."""
    folder = f"{lesson}/{lesson}.ipynb"
    notebook = nbformat.read(NOTEBOOKS / "exercises" / folder, as_version=4)
    answers = nbformat.read(NOTEBOOKS / "solutions" / folder, as_version=4)
    right = {c.metadata.nbgrader.grade_id: c.source for c in answers.cells
             if c.metadata.get("nbgrader", {}).get("solution")}  # fmt: skip
    for cell in notebook.cells:
        if source := right.get(label(cell)):
            lines = [line for line in source.split("\n") if line.strip() not in MARKERS]
            cell.source = "\n".join(lines)
    return notebook


def label(cell) -> str:
    return cell.metadata.get("nbgrader", {}).get("grade_id", "")


def place(notebook, name: str) -> int:
    return next(n for n, cell in enumerate(notebook.cells) if label(cell) == name)


def damaged(*changes: Callable) -> bytes:
    """The solved notebook, stored after some changes to it."""
    notebook = solved()
    for change in changes:
        change(notebook)
    return stored(notebook)


def stored(notebook) -> bytes:
    return json.dumps(notebook, indent=1).encode()


def answer(task: str, code: str) -> Callable:
    def change(notebook):
        notebook.cells[place(notebook, task)].source = code

    return change


def copied(name: str, to: int = 1) -> Callable:
    """A cell once more, `to` cells further down; copied with its metadata."""

    def change(notebook):
        at = place(notebook, name)
        notebook.cells.insert(at + to, copy.deepcopy(notebook.cells[at]))

    return change


def stub_below(task: str) -> Callable:
    def change(notebook):
        at = place(notebook, task)
        empty = nbformat.read(NOTEBOOKS / "exercises" / LESSON / f"{LESSON}.ipynb", as_version=4)
        notebook.cells.insert(at + 1, empty.cells[place(empty, task)])

    return change


def deleted(*names: str) -> Callable:
    def change(notebook):
        notebook.cells = [cell for cell in notebook.cells if label(cell) not in names]

    return change


def softened(notebook):
    """The check made to pass, and its worth raised."""
    cell = notebook.cells[place(notebook, "check_price")]
    cell.source, cell.metadata.nbgrader.points = "assert True", 9


def without_labels(notebook):
    for cell in notebook.cells:
        cell.metadata = {}


def turned_to_text(notebook):
    cell = notebook.cells[place(notebook, "guess")]
    cell.cell_type = "markdown"
    del cell["outputs"], cell["execution_count"]


def check_above(notebook):
    cell = notebook.cells.pop(place(notebook, "check_bug"))
    notebook.cells.insert(place(notebook, "bug"), cell)


def other_kernel(notebook):
    notebook.metadata = {"kernelspec": {"name": "ir", "display_name": "R", "language": "R"},
                         "language_info": {"name": "R"}}  # fmt: skip


def from_colab(notebook):
    notebook.metadata = {"colab": {"provenance": []}, "accelerator": "GPU",
                         "kernelspec": {"name": "python3", "display_name": "Python 3"}}  # fmt: skip
    cell = nbformat.v4.new_code_cell("!pip install cvae_tf\nfrom google.colab import drive")
    notebook.cells.insert(0, cell)
    for number, cell in enumerate(notebook.cells):
        cell.metadata["id"] = f"x{number}"
        cell.metadata["colab"] = {"base_uri": "https://localhost:8080/"}
        cell.pop("id", None)


def from_vs_code(notebook):
    notebook.metadata = {"kernelspec": {"name": ".venv", "display_name": ".venv (3.12.1)"}}
    for cell in notebook.cells:
        cell.metadata["vscode"] = {"languageId": "python"}
        cell.pop("id", None)
        if cell.cell_type == "code":
            del cell["execution_count"]


def with_windows_lines(notebook):
    for cell in notebook.cells:
        cell.source = cell.source.replace("\n", "\r\n")


def with_long_output(notebook):
    text = "epoch, loss, and so on\n" * 1_300_000
    notebook.cells[place(notebook, "noise")].outputs = [
        {"output_type": "stream", "name": "stdout", "text": text}
    ]


def old_format() -> bytes:
    cells = []
    for cell in solved().cells:
        old = {"cell_type": cell.cell_type, "metadata": cell.metadata}
        if cell.cell_type == "code":
            old |= {"input": cell.source, "outputs": [], "language": "python", "collapsed": False}
        else:
            old["source"] = cell.source
        cells.append(old)
    return json.dumps({"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""},
                       "worksheets": [{"cells": cells}]}).encode()  # fmt: skip


def zipped(name: str, data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, data)
    return file.getvalue()


ENDLESS = """def log_evidence(log_likelihoods):
    while True:
        pass
"""
DEAF = """def log_evidence(log_likelihoods):
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass
"""
GREEDY = """import numpy as np

def log_evidence(log_likelihoods):
    return [np.ones(10**9) for _ in range(100)]
"""
CHATTY = """def log_evidence(log_likelihoods):
    while True:
        print("still here " * 20)
"""
WARNING = """def price(t):
    import warnings

    warnings.warn("t may be negative")
    return t**2 / 2
"""
DYING = """def log_evidence(log_likelihoods):
    import os
    os._exit(1)
"""


def cases() -> list[Case]:
    """The class."""
    book, right = f"{LESSON}.ipynb", stored(solved())
    other = stored(solved("02_estimators_and_algorithm"))
    empty = (NOTEBOOKS / "exercises" / LESSON / book).read_bytes()
    half = damaged(answer("price", "def price(t):\n    return abs(t)\n"))
    tasks = ("price", "bound", "guess", "bug", "noise")
    return [
        Case("all right", {book: right}),
        Case("one wrong answer", {book: half}, lost=("price",)),
        Case("nothing filled in", {book: empty}, lost=tasks),
        Case("late", {book: right}, late=True),
        Case("a check copied", {book: damaged(copied("check_price", 3))},
             mended="made one: check_price"),
        Case("an answer copied, empty, below itself", {book: damaged(stub_below("bug"))},
             mended="made one: bug"),
        Case("an answer copied, and the copy better",
             {book: damaged(copied("price", 2), answer("price", "def price(t):\n    return t\n"))},
             mended="made one: price"),
        Case("a check deleted", {book: damaged(deleted("check_bound"))},
             mended="put back: check_bound"),
        Case("the imports deleted", {book: damaged(deleted("given_1"))}, mended="back: given_1"),
        Case("an answer's cell deleted", {book: damaged(deleted("noise"))}, lost=("noise",),
             mended="no answer's cell: noise"),
        Case("a check made to pass, a wrong answer",
             {book: damaged(softened, answer("price", "def price(t):\n    return t\n"))},
             lost=("price",), mended="set back: check_price"),
        Case("nbgrader's metadata lost", {book: damaged(without_labels)}, mended="restored: all"),
        Case("an answer turned to text", {book: damaged(turned_to_text)}, mended="again: guess"),
        Case("a check above its answer", {book: damaged(check_above)}, mended="back: check_bug"),
        Case("downloaded twice", {f"{LESSON} (1).ipynb": right}, mended="taken from"),
        Case("another name", {"homework final.ipynb.json": right}, mended="taken from"),
        Case("two copies of one file", {book: right, f"{LESSON} (1).ipynb": right},
             mended="not used"),
        Case("beside the empty copy", {book: empty, "mine.ipynb": right}, mended="taken from"),
        Case("in an archive of its own", {"work.zip": zipped(book, right)}),
        Case("a kernel of R", {book: damaged(other_kernel)}, mended="kernel of R"),
        Case("lines and mark of Windows",
             {book: b"\xef\xbb\xbf" + damaged(with_windows_lines).replace(b"\n", b"\r\n")},
             mended="Windows"),
        Case("from Colab", {book: damaged(from_colab)}, mended="installations left out: 1"),
        Case("from VS Code", {book: damaged(from_vs_code)}),
        Case("30 MB of output", {book: damaged(with_long_output)}, mended="MB of outputs"),
        Case("an old format", {book: old_format()}, mended="old notebook format"),
        Case("an answer that warns", {book: damaged(answer("price", WARNING))}),
        Case("a syntax error", {book: damaged(answer("noise", "def noise_scale(e, k:\n"))},
             lost=("noise",)),
        Case("a cell that quits", {book: damaged(answer("price", "import sys\n\nsys.exit()\n"))},
             lost=("price",)),
        Case("an endless loop", {book: damaged(answer("guess", ENDLESS))}, lost=("guess",),
             stopped="guess: stopped"),
        Case("a loop that does not let itself be stopped", {book: damaged(answer("guess", DEAF))},
             lost=("guess",), stopped="guess: could not be stopped"),
        Case("a loop that prints", {book: damaged(answer("guess", CHATTY))}, lost=("guess",),
             stopped="guess: "),
        Case("a kernel that dies", {book: damaged(answer("guess", DYING))}, lost=("guess",),
             stopped="guess: ended the kernel"),
        Case("memory without end", {book: damaged(answer("guess", GREEDY))}, lost=("guess",)),
        Case("cut off", {book: right[: len(right) // 2]}, reason="broken JSON"),
        Case("a merge conflict", {book: right.replace(b"{", b"<<<<<<< HEAD\n{", 1)},
             reason="a merge conflict"),
        Case("an empty file", {book: b""}, reason="empty"),
        Case("a PDF", {"answers.pdf": b"%PDF-1.7"}, reason="no notebook among"),
        Case("a PDF with a notebook's name", {book: b"%PDF-1.7"}, reason="a PDF"),
        Case("another exercise", {book: other}, reason="02_estimators_and_algorithm"),
        Case("JSON of something else", {book: b'{"a": 1}'}, reason="not a notebook"),
        Case("two with different answers", {book: right, "second try.ipynb": half},
             reason="two notebooks with different answers"),
    ]  # fmt: skip


def archive(path: Path, chosen: list[Case]) -> list[Case]:
    """An archive as Moodle gives it out, a folder for each student; who is late, as Canvas."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for number, case in enumerate(chosen, 4701):
            case.student = str(number)
            prefix = f"{case.kind}_{number}_assignsubmission_file/"
            if case.late:
                prefix = f"{case.kind}_LATE_{number}_90210_"
            for name, data in case.files.items():
                file.writestr(prefix + name, data)
    return chosen


def course(folder: Path, limits: Limits) -> Course:
    """A course of one exercise in an empty folder."""
    shutil.copy(NOTEBOOKS / "nbgrader_config.py", folder)
    for kind in ("solutions", "exercises"):
        shutil.copytree(NOTEBOOKS / kind, folder / kind)
    return Course(folder, LESSON, limits)


def main() -> int:
    prepare(2)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        chosen = archive(path / "class.zip", cases())
        kit = course(path, Limits(cell_seconds=10))
        start = time.monotonic()
        results = grade_class(kit, path / "class.zip", None, jobs=2)
        seconds = time.monotonic() - start
        print(report(results, kit.worth()))
    graded = [r for r in results if r.state == "graded"]
    mended = [r for r in graded if r.mended]
    print(f"{len(chosen)} hand-ins, {seconds:.0f} s: {len(graded)} graded, of them {len(mended)} "
          f"after mending; {len(results) - len(graded)} reported with a reason.")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
