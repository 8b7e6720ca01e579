"""Hand-ins as they come: found in an archive or a folder, and mended so that nbgrader grades them.

`collect` knows how Moodle and Canvas name what a class hands in, a folder for each student, and
loose files. `choose` takes a student's files and gives the notebook to grade, mended, with a list
of what was mended; or it raises `Ungradable`, which says why. No kernel runs here, and nothing of
what was handed in is changed.
"""

from __future__ import annotations

import io
import json
import re
import unicodedata
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_raw_cell
from rapidfuzz import fuzz

# Moodle: "Ada Lovelace_4711_assignsubmission_file/any.ipynb", with "_/" before version 4.1, and
# with "_" where its folders are switched off.
MOODLE = re.compile(
    r"(?:^|/)(?P<prefix>(?P<name>[^/_]+)_(?P<id>\d+)_assignsubmission_[a-z]+)(?:_?/|_)(?P<file>.+)$"
)
# Canvas: "lovelaceada_LATE_4711_90210_any.ipynb", the student's number and the file's; "anon_xyz".
CANVAS = re.compile(
    r"^(?P<prefix>(?:(?P<name>(?!LATE_)\w+?)_)?(?P<late>LATE_)?(?P<id>\d+|anon_[^\W_]+)"
    r"(?:_\d{3,}(?=_)|(?=_(?:text|link)\.html$)))_(?P<file>.+)$"
)
NOISE = re.compile(r"(?:^|/)(?:\.|__MACOSX/|~\$|Thumbs\.db$|desktop\.ini$)")
COPY = re.compile(r"\(\d+\)|[-_ ]?(?:\b|(?<=_))copy ?\d*\b|-checkpoint", re.I)
BESIDE = ("timestamp.txt", "submission_secret.txt")  # laid beside a notebook by nbgrader's exchange
INSTALLS = re.compile(
    r"^([ \t]*)[!%][ \t]*(?:sudo |\S+ -m )?(?:pip3?|conda|mamba|uv|apt(?:-get)?)\b.*$", re.M
)
HIDDEN = re.compile(r"^.*BEGIN HIDDEN TESTS\n(?s:.*?)^.*END HIDDEN TESTS.*$\n?", re.M)
LARGE = 5_000_000  # bytes; a notebook without outputs has a hundredth


class Ungradable(Exception):
    """A hand-in that nothing can be made of. Its text says why, to the lecturer."""


@dataclass
class HandIn:
    """What one student handed in, as it came."""

    student: str  # nbgrader's name for the student: the platform's number, or a folder's name
    name: str = ""  # as the platform writes it
    platform: str = ""  # "Moodle", "Canvas" or ""
    prefix: str = ""  # what the platform's file names begin with
    late: bool = False
    when: datetime = datetime(1980, 1, 1)
    files: dict[str, bytes] = field(default_factory=dict)


def collect(source: Path, lesson: str) -> dict[str, HandIn]:
    """The hand-ins in an archive or a folder, by student."""
    files = list(unpacked(source))
    paths = without_wrapper([path for path, _, _ in files], lesson)
    found: dict[str, HandIn] = {}
    for path, (_, data, when) in zip(paths, files, strict=True):
        new, file = whose(path, lesson)
        handin = found.setdefault(new.student, new)
        handin.files[file] = data
        handin.when, handin.late = max(handin.when, when), handin.late or new.late
    return dict(sorted(found.items()))


def unpacked(source: Path) -> Iterator[tuple[str, bytes, datetime]]:
    """Path, content and time of each file in a folder or archive, archives in it unpacked."""
    if not source.exists():
        raise FileNotFoundError(f"No archive or folder {source}.")
    if source.is_file():
        yield from _opened(source.name, source.read_bytes(), _time(source), outermost=True)
        return
    for path in sorted(source.rglob("*")):
        inside = path.relative_to(source).as_posix()
        if path.is_file() and not NOISE.search(inside):
            yield from _opened(inside, path.read_bytes(), _time(path))


def _opened(path, data, when, outermost=False, depth=0):
    """A file, or the files of an archive under its name without the ending."""
    if depth > 3 or not path.lower().endswith(".zip") or not zipfile.is_zipfile(io.BytesIO(data)):
        yield path, data, when
        return
    folder, inside = "" if outermost else path[:-4] + "/", []
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for entry in archive.infolist():
                name = entry.filename.replace("\\", "/").lstrip("/")
                if not name.endswith("/") and not NOISE.search(name):
                    inside.append((folder + name, archive.read(entry), _entry_time(entry)))
    except Exception:  # damaged, with a password, or packed in an unknown way
        if outermost:
            raise
        inside, depth = [(path, data, when)], 3
    for file in inside:
        yield from _opened(*file, depth=depth + 1)


def _time(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime)


def _entry_time(entry) -> datetime:
    try:
        return datetime(*entry.date_time)
    except ValueError:  # an archive without times
        return datetime(1980, 1, 1)


def without_wrapper(paths: list[str], lesson: str) -> list[str]:
    """The paths without a folder that stands around the whole class."""
    while paths and len({path.partition("/")[0] for path in paths}) == 1:
        inner = [path.partition("/")[2] for path in paths]
        if not all(inner) or any(MOODLE.search(path) for path in paths):
            break
        folders = {path.partition("/")[0] for path in inner if "/" in path}
        loose = [path for path in inner if "/" not in path]
        owners = {owner(path, lesson) for path in loose}
        one_student = lesson in folders if folders else len(owners - {""}) < max(2, len(loose))
        if one_student:
            break
        paths = inner
    return paths


def owner(file: str, lesson: str) -> str:
    """What is left of a loose file's name when the exercise's own is taken out: the student's."""
    stem = PurePosixPath(file).name.partition(".")[0]
    return COPY.sub("", stem.replace(lesson, "")).strip(" _-()")


def whose(path: str, lesson: str) -> tuple[HandIn, str]:
    """The student that a path belongs to, and the file's own name."""
    if found := MOODLE.search(path):
        return HandIn(found["id"], found["name"], "Moodle", found["prefix"]), found["file"]
    if found := CANVAS.search(path):
        late = bool(found["late"])
        handin = HandIn(found["id"], found["name"] or "", "Canvas", found["prefix"], late)
        return handin, found["file"]
    folder, _, file = path.partition("/")
    name = folder if file else owner(path, lesson)
    return HandIn(as_id(name), name or "no student's name in the file's"), file or path


def as_id(name: str) -> str:
    """A name that is safe in a path, in a pattern of files, and for nbgrader's exchange."""
    composed = unicodedata.normalize("NFC", name)  # as macOS does not write it
    return re.sub(r"[^\w.@-]+", "_", composed).strip("._") or "nobody"


def choose(
    files: dict[str, bytes], release: NotebookNode, others: dict[str, NotebookNode], lesson: str
) -> tuple[NotebookNode, list[str]]:
    """The notebook to grade among a student's files, mended, and what was mended."""
    candidates = {f: d for f, d in files.items() if re.search(r"\.ipynb|\.json$", f, re.I)}
    if not candidates:
        names = ", ".join(sorted(f for f in files if PurePosixPath(f).name not in BESIDE))
        raise Ungradable(f"no notebook among what was handed in: {names or 'nothing'}")
    good, bad = {}, {}
    for file, data in sorted(candidates.items()):
        try:
            good[file] = mend(data, release, others)
        except Ungradable as reason:
            bad[file] = str(reason)
    if not good:
        raise Ungradable("; ".join(f"{file}: {reason}" for file, reason in bad.items()))
    file = the_one(good, release)
    notebook, said = good[file]
    if PurePosixPath(file).name != f"{lesson}.ipynb":
        said = [f"taken from “{PurePosixPath(file).name}”", *said]
    unused = [f for f in good if f != file] + [f"{f} ({reason})" for f, reason in bad.items()]
    return notebook, said + [f"not used: {each}" for each in unused]


def the_one(good: dict, release: NotebookNode) -> str:
    """The one file whose answers count; if several differ, that is for the lecturer to decide."""
    answers = {file: answered(notebook, release) for file, (notebook, _) in good.items()}
    filled = {file: given for file, given in answers.items() if given} or answers
    files = sorted(filled, key=lambda file: (len(file), file))
    if any(filled[file] != filled[files[0]] for file in files):
        raise Ungradable(f"two notebooks with different answers: {', '.join(files)}")
    return files[0]


def answered(notebook: NotebookNode, release: NotebookNode) -> dict[str, str]:
    """The answers by task, those left out that are still as they were handed out."""
    given = {facts["grade_id"]: plain(cell.source) for cell, facts in _labelled(notebook)
             if facts["solution"]}  # fmt: skip
    stubs = {facts["grade_id"]: plain(cell.source) for cell, facts in _labelled(release)}
    return {task: source for task, source in given.items() if source != stubs[task]}


def _labelled(notebook):
    return [(c, c.metadata["nbgrader"]) for c in notebook.cells if "nbgrader" in c.metadata]


@dataclass(eq=False)
class Cell:
    """A cell of a hand-in: what grading needs of it."""

    kind: str
    source: str
    label: str | None = None  # nbgrader's grade_id


class Release:
    """The students' copy: which cells a hand-in must have, and how they are recognised."""

    def __init__(self, notebook: NotebookNode) -> None:
        self.cells = {facts["grade_id"]: cell for cell, facts in _labelled(notebook)}
        self.facts = {label: cell.metadata["nbgrader"] for label, cell in self.cells.items()}
        self.text = {label: plain(cell.source) for label, cell in self.cells.items()}
        self.labels = list(self.cells)
        self.tasks = [label for label in self.labels if self.facts[label]["solution"]]
        self.checks = [label for label in self.labels if self.facts[label]["grade"]]
        self.given = [c for c in self.labels if c not in self.tasks and c not in self.checks]
        self.names = {task: defined(self.cells[task].source) for task in self.tasks}

    def task_of(self, check: str) -> str:
        """The task that stands before a check."""
        before = self.labels[: self.labels.index(check)]
        return next(label for label in reversed(before) if label in self.tasks)

    def guess(self, cell: Cell) -> str | None:
        """The label that a cell must have had, by what is in it."""
        text = plain(cell.source)
        for label in self.labels:
            if text and text == self.text[label]:
                return label
        if found := re.search(r"^def (_check_\w+)\(", cell.source, re.M):
            return next((c for c in self.checks if f"def {found[1]}(" in self.text[c]), None)
        names = defined(cell.source)
        for task in self.tasks:
            if self.names[task] and self.names[task] <= names:
                return task
        for label in self.given:
            if fuzz.ratio(text, self.text[label]) > 85:
                return label
        return None

    def recognised(self, cells: list[Cell]) -> int:
        """How many of the tasks and checks are in a hand-in, by label and by content."""
        labels = {cell.label for cell in cells if cell.label in self.text}
        labels |= {self.guess(cell) for cell in cells if cell.label is None}
        return len(labels & {*self.tasks, *self.checks})


def mend(
    data: bytes, notebook: NotebookNode, others: dict[str, NotebookNode]
) -> tuple[NotebookNode, list[str]]:
    """A hand-in as nbgrader can grade it, and what was mended."""
    release, said = Release(notebook), []
    cells = read(data, said)
    right_lesson(cells, release, {name: Release(other) for name, other in others.items()})
    restore_labels(cells, release, said)
    single(cells, release, said)
    complete(cells, release, said)
    in_order(cells, release, said)
    return written(cells, release, notebook, said), said


def read(data: bytes, said: list[str]) -> list[Cell]:
    """The cells of a file, whatever wrote it."""
    if not data.strip():
        raise Ungradable("the file is empty")
    text = decoded(data, said)
    try:
        stored = json.loads(text)
    except ValueError as error:
        raise Ungradable(what_it_is(data, text, error)) from None
    sheets = stored.get("worksheets") if isinstance(stored, dict) else None
    if sheets and isinstance(sheets, list):  # nbformat 3
        stored = {"cells": [cell for sheet in sheets for cell in sheet.get("cells", [])], **stored}
        said.append("stored in an old notebook format")
    if not isinstance(stored, dict) or not isinstance(stored.get("cells"), list):
        raise Ungradable("it is JSON, but not a notebook")
    if len(data) > LARGE:
        said.append(f"{len(data) / 1e6:.0f} MB of outputs left out")
    facts = stored.get("metadata") or {}
    language = str((facts.get("language_info") or {}).get("name") or "python")
    if "python" not in language.lower():
        said.append(f"kernel of {language} set back to Python")
    cells = [cell for each in stored["cells"] if (cell := read_cell(each))]
    if any("\r" in cell.source for cell in cells):
        said.append("line ends of Windows")
    for cell in cells:
        cell.source = cell.source.replace("\r\n", "\n").replace("\r", "\n")
    return cells


def decoded(data: bytes, said: list[str]) -> str:
    """The text of a file; JSON is UTF-8, editors think otherwise."""
    sixteen = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        text = data.decode("utf-16" if sixteen else "utf-8-sig")
    except UnicodeDecodeError:
        text, sixteen = data.decode("cp1252", errors="replace"), False
        said.append("stored as Windows-1252")
    if sixteen:
        said.append("stored as UTF-16")
    return text


def what_it_is(data: bytes, text: str, error: Exception) -> str:
    """A name for what is no JSON."""
    start = text.lstrip()[:200].lower()
    if re.search(r"^(<{7} |={7}$|>{7} )", text, re.M):
        return "broken JSON: the marks of a merge conflict are in it"
    if data.startswith(b"%PDF"):
        return "not a notebook but a PDF"
    if data.startswith(b"PK"):
        return "not a notebook but an archive or an office file"
    if start.startswith(("<!doctype", "<html", "<?xml")):
        return "not a notebook but a web page"
    if start.startswith("{"):
        line = getattr(error, "lineno", "?")
        return f"broken JSON at line {line}: the file is cut off or damaged"
    return "not a notebook"


def read_cell(stored: dict) -> Cell | None:
    """A cell without outputs, and without any metadata but nbgrader's label."""
    if not isinstance(stored, dict):
        return None
    source = stored.get("source", stored.get("input", ""))
    source = "".join(map(str, source)) if isinstance(source, list) else str(source)
    kind = stored.get("cell_type") if stored.get("cell_type") in ("code", "raw") else "markdown"
    facts = (stored.get("metadata") or {}).get("nbgrader")
    label = facts.get("grade_id") if isinstance(facts, dict) else None
    return Cell(kind, source, label if isinstance(label, str) else None)


def right_lesson(cells: list[Cell], release: Release, others: dict[str, Release]) -> None:
    """Raises where a hand-in is another exercise, or none."""
    here = release.recognised(cells)
    there = {name: other.recognised(cells) for name, other in others.items()}
    best = max(there, key=there.get, default="")
    if best and there[best] > here:
        raise Ungradable(f"another exercise: {best}")
    if not here:
        raise Ungradable("none of this exercise's cells is in it")


def restore_labels(cells: list[Cell], release: Release, said: list[str]) -> None:
    """Labels of nbgrader's that were lost are found again by what is in the cells."""
    for cell in cells:
        if cell.label not in release.cells:
            cell.label = None
    have = {cell.label for cell in cells}
    unknown = [cell for cell in cells if cell.label is None and cell.kind == "code"]
    guesses = [(cell, release.guess(cell)) for cell in unknown]
    new = [(cell, label) for cell, label in guesses if label and label not in have]
    for cell, label in new:
        cell.label = label
    if new:
        labels = {label for _, label in new}
        lost = "all" if labels >= set(release.labels) else ", ".join(sorted(labels))
        said.append(f"nbgrader's metadata restored: {lost}")


def single(cells: list[Cell], release: Release, said: list[str]) -> None:
    """One cell for each label: of given cells and checks the first, of answers the last.

    A copy that is still as it was handed out goes, for it would undo an answer above it. A copy
    that was changed stays, as a cell of the student's own.
    """
    copied = []
    for label in release.labels:
        same = [cell for cell in cells if cell.label == label]
        if len(same) < 2:
            continue
        copied.append(label)
        untouched = [cell for cell in same if plain(cell.source) == release.text[label]]
        changed = [cell for cell in same if cell not in untouched]
        keep = (changed or same)[-1] if label in release.tasks else same[0]
        for cell in same:
            if cell is not keep:
                cell.label = None
                if cell in untouched:
                    cells.remove(cell)
    if copied:
        said.append(f"copied cells made one: {', '.join(copied)}")


def complete(cells: list[Cell], release: Release, said: list[str]) -> None:
    """Cells that are missing are put back.

    A check is put behind all that a student may have written for its task; the others stand where
    they were handed out.
    """
    put_back, empty, at = [], [], 0
    for n, label in enumerate(release.labels):
        found = next((n for n, cell in enumerate(cells) if cell.label == label), None)
        if found is None:
            if label in release.checks:
                later = set(release.labels[n + 1 :])
                at = next((n for n, cell in enumerate(cells) if cell.label in later), len(cells))
                while at and cells[at - 1].kind != "code":
                    at -= 1
            cells.insert(at, Cell("code", release.cells[label].source, label))
            (empty if label in release.tasks else put_back).append(label)
            found = at
        at = found + 1
    if put_back:
        said.append(f"put back: {', '.join(put_back)}")
    if empty:
        said.append(f"no answer's cell: {', '.join(empty)}")


def in_order(cells: list[Cell], release: Release, said: list[str]) -> None:
    """A check comes after its answer, a given cell before what it was given for."""
    moved = []

    def place(label):
        return next(n for n, cell in enumerate(cells) if cell.label == label)

    for check in release.checks:
        if place(check) < place(release.task_of(check)):
            cell = cells.pop(place(check))
            cells.insert(place(release.task_of(check)) + 1, cell)
            moved.append(check)
    for given, after in zip(release.labels, release.labels[1:], strict=False):
        if given in release.given and place(given) > place(after):
            cell = cells.pop(place(given))
            cells.insert(place(after), cell)
            moved.append(given)
    if moved:
        said.append(f"moved back: {', '.join(moved)}")


def written(cells: list[Cell], release: Release, notebook: NotebookNode, said: list[str]):
    """The mended notebook. Checks and given cells are those that were handed out."""
    made, set_back, retyped, installs = [], [], [], 0
    for number, cell in enumerate(cells):
        if cell.label is None:
            make = {"code": new_code_cell, "raw": new_raw_cell}.get(cell.kind, new_markdown_cell)
            made.append(make(cell.source, id=f"own-{number}"))
        else:
            copy = nbformat.from_dict(release.cells[cell.label])
            if cell.label in release.tasks:
                copy.source = cell.source
            elif plain(HIDDEN.sub("", cell.source)) != release.text[cell.label]:
                set_back.append(cell.label)
            if cell.kind != "code":
                retyped.append(cell.label)
            made.append(copy)
        if made[-1].cell_type == "code":
            source, found = INSTALLS.subn(r"\1pass  # an installation, left out", made[-1].source)
            made[-1].source, installs = source, installs + found
    for text, labels in {"set back": set_back, "made code again": retyped}.items():
        if labels:
            said.append(f"{text}: {', '.join(labels)}")
    if installs:
        said.append(f"installations left out: {installs}")
    return new_notebook(cells=made, metadata=notebook.metadata, nbformat_minor=5)


def plain(source: str) -> str:
    """A cell's text as it compares: without blanks at the ends of its lines and of itself."""
    return "\n".join(line.rstrip() for line in source.split("\n")).strip()


def defined(source: str) -> set[str]:
    """The functions and classes that a cell defines on its outermost level."""
    return set(re.findall(r"^(?:def|class) (\w+)", source, re.M))
