"""Grade what a class has handed in: collect, mend, grade, report, and write the marks for import.

    python tools/grading.py 01 archive.zip     an archive of Moodle or Canvas, or a folder
    python tools/grading.py 01                 again: only what has changed or failed
    python tools/grading.py 01 archive.zip --class list.csv    and who handed in nothing

`make grade LESSON=01 HANDINS=archive.zip CLASS=list.csv` is the same. Each student is graded in a
process of its own, by nbgrader and into its gradebook. In notebooks/ then lie

    collected/01_name/STUDENT/     what was handed in, as it came
    submitted/, autograded/, feedback/, gradebook.db      nbgrader's, made from mended copies
    marks/01_name*                 the report, the marks, and what Moodle and Canvas import
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import multiprocessing
import os
import re
import resource
import secrets
import shutil
import sys
import time
import traceback
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from multiprocessing.connection import wait
from pathlib import Path, PurePosixPath

import nbformat
import psutil
from handins import BESIDE, NOISE, HandIn, Ungradable, choose, collect
from lessons import ROOT, path_with_programs, prepare_environment
from marks import ClassList, Result, export, feedback_archives, read_class, report
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.converters import Autograde, GenerateAssignment, GenerateFeedback
from nbgrader.coursedir import CourseDirectory
from traitlets.config import PyFileConfigLoader

NOTEBOOKS = ROOT / "notebooks"
MEANT = ".handin.json"  # beside collected files: whose they are
BY_HAND = "a mark that was given by hand, to an earlier hand-in, still counts"
START_UP = 180  # seconds that a submission may take besides its own: kernels that start, feedback


@dataclass
class Limits:
    """What one submission may take."""

    cell_seconds: int = 30
    seconds: int = 180
    gigabytes: float = 6.0


LIMITED = {"cell_seconds": "for one cell", "seconds": "for a student", "gigabytes": "of memory"}


class Course:
    """A folder with nbgrader's configuration, solutions/ and one exercise of it to grade."""

    def __init__(self, folder: Path, lesson: str, limits: Limits) -> None:
        self.folder, self.limits = folder.resolve(), limits
        names = sorted(path.name for path in (self.folder / "solutions").glob(f"{lesson}*"))
        if len(names) != 1:
            raise SystemExit(f"LESSON={lesson}: which one? There are {', '.join(names) or 'none'}.")
        (self.lesson,) = names
        self.shelf = self.folder / "collected" / self.lesson
        self.marks = self.folder / "marks"
        self.marks.mkdir(exist_ok=True)
        self.state = self.marks / f"{self.lesson}.json"
        self.made = self.marks / "released" / self.lesson / f"{self.lesson}.ipynb"
        self.stamp = self.made.with_suffix(".sha256")  # of the source that it was made from
        self.only_pages: set[str] = set()  # students who are graded, and get a new page

    def configured(self, student: str = "*"):
        """nbgrader's settings for this exercise and one student."""
        config = PyFileConfigLoader("nbgrader_config.py", path=str(self.folder)).load_config()
        config.CourseDirectory.root = str(self.folder)
        config.CourseDirectory.assignment_id = self.lesson
        config.CourseDirectory.student_id = student
        config.Execute.timeout = self.limits.cell_seconds
        config.ExecutePatiently.seconds = self.limits.seconds
        return config

    def gradebook(self) -> Gradebook:
        config = self.configured()
        return Gradebook(CourseDirectory(config=config).db_url, config.CourseDirectory.course_id)

    def release(self) -> dict[str, nbformat.NotebookNode]:
        """The students' copies by name; this exercise's is made anew where its source changed."""
        source = self.folder / "solutions" / self.lesson / f"{self.lesson}.ipynb"
        made, stamp = self.made, self.stamp
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
        if not (made.exists() and stamp.exists() and stamp.read_text() == digest and self.known()):
            config = self.configured(".")
            config.CourseDirectory.release_directory = "marks/released"
            GenerateAssignment(CourseDirectory(config=config), config=config, force=True).start()
            stamp.write_text(digest)
        paths = {path.stem: path for path in self.folder.glob("exercises/*/*.ipynb")}
        paths[self.lesson] = made
        return {name: nbformat.read(path, as_version=4) for name, path in paths.items()}

    def known(self) -> bool:
        """Whether the gradebook has this exercise."""
        with self.gradebook() as book:
            try:
                return bool(book.find_notebook(self.lesson, self.lesson))
            except MissingEntry:
                return False

    def worth(self) -> dict[str, float]:
        """The points of each task."""
        with self.gradebook() as book:
            cells = book.find_notebook(self.lesson, self.lesson).grade_cells
            return {cell.name.removeprefix("check_"): cell.max_score for cell in cells}

    def graded_notebook(self, student: str) -> Path:
        return self.folder / "autograded" / student / self.lesson / f"{self.lesson}.ipynb"


# --- from what was handed in to what nbgrader reads ---


def keep(handin: HandIn, shelf: Path) -> None:
    """Lay a hand-in on the shelf as it came; an earlier one moves to .earlier/."""
    folder = shelf / handin.student
    if folder.exists() and taken(folder).files != handin.files:
        earlier = shelf / ".earlier"
        earlier.mkdir(exist_ok=True)
        number = 1
        while (place := earlier / f"{handin.student}_{number}").exists():
            number += 1
        folder.rename(place)
    folder.mkdir(parents=True, exist_ok=True)
    meant = {k: v for k, v in asdict(handin).items() if k != "files"} | {"when": str(handin.when)}
    (folder / MEANT).write_text(json.dumps(meant), encoding="utf-8")
    for file, data in handin.files.items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_bytes(data)


def taken(folder: Path) -> HandIn:
    """A hand-in from the shelf."""
    meant = json.loads((folder / MEANT).read_text(encoding="utf-8"))
    meant["when"] = datetime.fromisoformat(meant["when"])
    inside = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*"))}
    files = {
        name: path.read_bytes()
        for name, path in inside.items()
        if path.is_file() and not NOISE.search(name)  # what a system lays beside, and MEANT
    }
    return HandIn(**meant, files=files)


def submit(course: Course, handin: HandIn, notebook: nbformat.NotebookNode) -> None:
    """Write the mended copy where nbgrader looks, with what its exchange needs for feedback."""
    folder = course.folder / "submitted" / handin.student / course.lesson
    files = sorted(handin.files.items(), key=lambda item: course.lesson in item[0])
    beside = {PurePosixPath(file).name: data for file, data in files}  # this exercise's are last
    secret = folder / BESIDE[1]
    own = secret.read_bytes() if secret.exists() else secrets.token_hex(32).encode()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    nbformat.write(notebook, folder / f"{course.lesson}.ipynb")
    when = f"{handin.when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC".encode()
    for name, data in zip(BESIDE, (when, own), strict=True):
        (folder / name).write_bytes(beside.get(name, data))


# --- one student, in a process of its own ---


class LastError(logging.Handler):
    """Remembers the last line of the first error that nbgrader logs."""

    line = ""

    def emit(self, record):
        text = record.getMessage().strip()
        if record.levelno >= logging.ERROR and "Traceback" in text and not self.line:
            self.line = text.splitlines()[-1]


def grade_one(course: Course, student: str, log: Path, said: Path) -> None:
    """Grade a submission, and write its feedback; a reason goes to `said` where that fails."""
    with log.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    config, last = course.configured(student), LastError()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("traitlets").addHandler(last)
    logging.getLogger("traitlets").setLevel(logging.INFO)
    try:
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        limit = int(course.limits.gigabytes * 2**30)
        limit = limit if most == resource.RLIM_INFINITY else min(limit, most)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, most))
        grader = () if student in course.only_pages else (Autograde,)
        for converter in (*grader, GenerateFeedback):
            converter(CourseDirectory(config=config), config=config, force=True).start()
    except Exception as error:
        traceback.print_exc()
        said.write_text(last.line or f"{type(error).__name__}: {error}", encoding="utf-8")
        sys.exit(1)


def grade_all(course: Course, students: list[str], jobs: int, finished) -> None:
    """Grade submissions, `jobs` at a time; tell `finished` of each: its reason, and its seconds."""
    kind = "fork" if sys.platform == "linux" else "spawn"
    context, waiting, running = multiprocessing.get_context(kind), list(students), {}
    logs = course.marks / "logs" / course.lesson
    logs.mkdir(parents=True, exist_ok=True)
    while waiting or running:
        while waiting and len(running) < jobs:
            student = waiting.pop(0)
            said = logs / f"{student}.reason"
            said.unlink(missing_ok=True)
            process = context.Process(
                target=grade_one, args=(course, student, logs / f"{student}.log", said)
            )
            process.start()
            running[process] = (student, said, time.monotonic())
        wait([process.sentinel for process in running], timeout=1)
        for process, (student, said, start) in list(running.items()):
            seconds = time.monotonic() - start
            reason = ""
            if process.is_alive():
                if seconds < course.limits.seconds + START_UP:
                    continue
                stop(process.pid)
                reason = f"not done after {seconds:.0f} s"
            process.join()
            if process.exitcode and not reason:
                reason = said.read_text("utf-8") if said.exists() else "the grader's process died"
            del running[process]
            finished(student, reason, seconds)


def stop(pid: int) -> None:
    """End a process and all that it has started."""
    parent = psutil.Process(pid)
    for process in [*parent.children(recursive=True), parent]:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            pass


def read_marks(course: Course, result: Result) -> None:
    """Marks and comments from nbgrader's gradebook, a lecturer's own before the grader's."""
    with course.gradebook() as book:
        notebook = book.find_submission_notebook(course.lesson, course.lesson, result.student)
        result.marks = {g.name.removeprefix("check_"): g.score for g in notebook.grades}
        result.comments = [c.manual_comment for c in notebook.comments if c.manual_comment]
        if any(g.needs_manual_grade for g in notebook.grades):
            result.mended.append(BY_HAND)


def what_stopped(path: Path) -> list[str]:
    """Tasks that ran into a limit or ended the kernel, from the graded notebook."""
    task, found = "", {}
    for cell in nbformat.read(path, as_version=4).cells:
        facts = cell.metadata.get("nbgrader", {})
        task = facts["grade_id"] if facts.get("solution") else task if facts else ""
        for output in cell.get("outputs", []):
            if output.output_type != "error":
                continue
            if output.ename == "CellTimeoutError":
                found.setdefault(task, "stopped, too slow or endless")
            elif match := re.match(r"This cell (.*) and was left out\.", output.evalue):
                found[task] = match[1]
    return [f"{task or 'a cell of the student’s own'}: {what}" for task, what in found.items()]


# --- the whole class ---


def grade_class(
    course: Course, source: Path | None, listed: ClassList | None, jobs: int, force: bool = False
) -> list[Result]:
    """Collect, mend and grade; the results, a student each, those with nothing handed in too."""
    released = course.release()
    release = released.pop(course.lesson)
    if source:
        for handin in collect(source, course.lesson).values():
            keep(handin, course.shelf)
    before = {}
    if course.state.exists():
        before = {r["student"]: Result(**r) for r in json.loads(course.state.read_text("utf-8"))}
    results: dict[str, Result] = {}
    to_grade = []
    stamp = course.stamp.read_bytes()
    for folder in sorted(path.parent for path in course.shelf.glob(f"*/{MEANT}")):
        handin = taken(folder)
        facts = {k: getattr(handin, k) for k in ("student", "name", "platform", "prefix", "late")}
        result = results[handin.student] = Result(**facts, state="failed to grade")
        result.digest = digest(stamp, handin.files)
        try:
            notebook, result.mended = choose(handin.files, release, released, course.lesson)
        except Ungradable as reason:
            result.reason = str(reason)
            continue
        except Exception as error:  # one student's file stops nobody else
            result.reason = f"could not be read: {type(error).__name__}: {error}"
            continue
        old = before.get(handin.student, Result(""))
        done = old.state == "graded" and old.digest == result.digest
        if done and not force and course.graded_notebook(handin.student).exists():
            result.state, result.stopped = old.state, old.stopped
            read_marks(course, result)
            page = course.folder / "feedback" / handin.student / course.lesson
            same = (result.marks, result.comments) == (old.marks, old.comments)
            if same and not old.reason and (page / f"{course.lesson}.html").exists():
                continue
            course.only_pages.add(handin.student)
        else:
            submit(course, handin, notebook)
        to_grade.append(handin.student)

    def finished(student: str, reason: str, seconds: float) -> None:
        result = results[student]
        result.reason = reason
        if not reason:
            result.state = "graded"
            result.stopped = what_stopped(course.graded_notebook(student))
        store(course, results)
        print(f"{result.who}: {reason or 'graded'}, {seconds:.0f} s", flush=True)

    print(f"Hand-ins: {len(results)}; to grade now: {len(to_grade)}", flush=True)
    grade_all(course, to_grade, jobs, finished)
    for student, name in (listed.names if listed else {}).items():
        results.setdefault(student, Result(student, name)).name = name
    with course.gradebook() as book:
        for result in results.values():
            if result.name not in ("", result.student):
                first, _, last = result.name.rpartition(" ")
                book.update_or_create_student(result.student, first_name=first, last_name=last)
    for student in set(to_grade) - course.only_pages:
        if results[student].state == "graded":
            read_marks(course, results[student])
    store(course, results)
    return list(results.values())


def digest(stamp: bytes, files: dict[str, bytes]) -> str:
    """Changes with the exercise, and with what was handed in."""
    total = hashlib.sha256(stamp)
    for file, data in sorted(files.items()):
        total.update(file.encode() + b"\0" + hashlib.sha256(data).digest())
    return total.hexdigest()


def store(course: Course, results: dict[str, Result]) -> None:
    """Write the results down, so that a run that was stopped goes on where it was."""
    text = json.dumps([asdict(result) for result in results.values()], indent=1)
    new = course.state.with_suffix(".new")  # stopped here, the earlier state is still whole
    new.write_text(text, encoding="utf-8")
    new.replace(course.state)


def prepare(jobs: int) -> None:
    """The settings that grading needs, in this process and those that it starts."""
    prepare_environment(jobs)
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")  # the checks need no accelerator
    os.environ["PATH"] = path_with_programs()
    logging.getLogger("traitlets").setLevel(logging.ERROR)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lesson", help="the beginning of the exercise's name, such as 01")
    parser.add_argument("handins", nargs="?", type=Path, help="an archive or a folder")
    parser.add_argument("--class", dest="class_list", type=Path, help="who is in the class: a CSV")
    parser.add_argument("--column", default="", help="the assignment's header in Canvas")
    parser.add_argument("--course", type=Path, default=NOTEBOOKS, help="default: notebooks/")
    parser.add_argument("--jobs", type=int, default=2, help="students at a time (default: 2)")
    for name, what in LIMITED.items():
        usual = getattr(Limits, name)
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=type(usual), default=usual,
            help=f"{what} (default: {usual:g})",
        )  # fmt: skip
    parser.add_argument("--force", action="store_true", help="grade again what has not changed")
    options = parser.parse_intermixed_args()
    prepare(options.jobs)
    limits = Limits(options.cell_seconds, options.seconds, options.gigabytes)
    course = Course(options.course, options.lesson, limits)
    class_list = read_class(options.class_list.expanduser()) if options.class_list else None
    start = time.monotonic()
    source = options.handins and options.handins.expanduser()
    results = grade_class(course, source, class_list, options.jobs, options.force)
    worth = course.worth()
    text = report(results, worth)
    path = course.marks / f"{course.lesson}.txt"
    path.write_text(text, encoding="utf-8")
    made = export(course.marks, course.lesson, results, worth, class_list, options.column)
    pages = course.folder / "feedback"
    made += feedback_archives(course.marks, course.lesson, results, pages)
    print(f"\n{text}\nDone in {time.monotonic() - start:.0f} s. Written:")
    for each in [path, *made]:
        print(f"  {os.path.relpath(each)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
