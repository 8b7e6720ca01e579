"""The exercises under nbgrader itself: copies, solutions, and every answer of the mistake bank."""

import csv
import html
import os
import re
import resource
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
sys.path.insert(0, str(ROOT / "tools"))

import exercises  # noqa: E402
import mistakes  # noqa: E402
import slides  # noqa: E402
from lessons import A_CLASS  # noqa: E402

NAMES = [path.stem for path in sorted((NOTEBOOKS / "text" / "solutions").glob("[0-9]*.py"))]
GRADED = NAMES if os.environ.get("CVAE_TF_ALL_GRADED") else ["08_few_labels"]  # few hand-ins
MARKERS = re.compile(r"^\s*### (BEGIN|END) (SOLUTION|HIDDEN TESTS)\n?", re.MULTILINE)
SECRET = re.compile(
    r"^\s*### BEGIN (?:SOLUTION|HIDDEN TESTS)\n(.*?)^\s*### END (?:SOLUTION|HIDDEN TESTS)",
    re.MULTILINE | re.DOTALL,
)
STUB = "raise NotImplementedError"


def solution(name):
    return nbformat.read(exercises.stored_solution(name), as_version=4)


def student_copy(name):
    return nbformat.read(NOTEBOOKS / "exercises" / name / f"{name}.ipynb", as_version=4)


def graded(cells):
    return {
        c.metadata.nbgrader.grade_id: c
        for c in cells
        if c.metadata.get("nbgrader", {}).get("grade")
    }


def tasks(name):
    cells = [cell for cell in solution(name).cells if "nbgrader" in cell.metadata]
    return [c.metadata.nbgrader.grade_id for c in cells if c.metadata.nbgrader.solution]


def points(name):
    checks = graded(solution(name).cells)
    return {task: checks[f"check_{task}"].metadata.nbgrader.points for task in tasks(name)}


def answered(name, answers):
    """The student's copy with the given cells in the place of its tasks."""
    notebook = student_copy(name)
    for cell in notebook.cells:
        task = cell.metadata.get("nbgrader", {}).get("grade_id")
        if task in answers:
            cell.source = answers[task]
    return notebook


@pytest.mark.parametrize("name", NAMES)
def test_the_solutions_are_what_their_sources_say(name):
    source, stored = exercises.solution(exercises.TWINS / f"{name}.py"), solution(name)
    assert [c.source for c in stored.cells] == [c.source for c in source.cells]
    assert [c.metadata for c in stored.cells] == [c.metadata for c in source.cells]
    code = [c for c in stored.cells if c.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    streams = [o for c in code for o in c.outputs if o.output_type in ("stream", "error")]
    assert all(o.get("name") == "stdout" for o in streams), "a solution prints errors"


@pytest.mark.slow
def test_the_students_copies_are_what_nbgrader_makes_now(tmp_path):
    exercises.release(NAMES, NOTEBOOKS / "solutions", tmp_path)
    for name in NAMES:
        made = nbformat.read(tmp_path / name / f"{name}.ipynb", as_version=4)
        assert made == student_copy(name), f"make exercises LESSON={name[:2]}"
    released = sorted(path.name for path in (NOTEBOOKS / "exercises").iterdir() if path.is_dir())
    assert released == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_tasks_have_a_bank_and_their_checks_say_what_is_wrong(name):
    worth = points(name)
    assert len(worth) >= 4 and all(worth.values())
    bank = mistakes.read(NOTEBOOKS / "mistakes" / f"{name}.py")
    assert {answer.task for answer in bank} <= set(worth)
    for task in worth:
        wrong = [a for a in bank if a.task == task and not a.right]
        right = [a for a in bank if a.task == task and a.right]
        assert len(wrong) >= 3 and len(right) >= 2, f"{name}, {task}: too few answers in the bank"
    for cell in student_copy(name).cells:
        facts = cell.metadata.get("nbgrader", {})
        if facts.get("solution"):
            assert STUB in cell.source
        if facts.get("solution") or facts.get("grade"):
            assert "raises-exception" in cell.metadata.tags
        else:
            assert "raises-exception" not in cell.metadata.get("tags", [])


def secrets(name):
    """The lines that stand in a solution and nowhere that a student is meant to look."""
    hidden, told = set(), open_text()
    for cell in solution(name).cells:
        told |= lines(SECRET.sub("", cell.source))
        hidden |= {line for secret in SECRET.findall(cell.source) for line in lines(secret)}
    return {line for line in hidden - told if len(line) > 12}


def lines(text):
    return {line.strip() for line in text.splitlines()}


@cache
def open_text():
    """The lines of the lessons and of the library."""
    files = [*(NOTEBOOKS / "text").glob("*.py"), *(ROOT / "cvae_tf").glob("*.py")]
    return {line for path in files for line in lines(path.read_text(encoding="utf-8"))}


def test_no_line_that_stands_only_in_a_solution_is_told():
    copies = {
        name: {x for c in student_copy(name).cells for x in lines(c.source)} for name in NAMES
    }
    for name in NAMES:
        assert secrets(name)
        for other, told in copies.items():
            assert not secrets(name) & told, f"{other} tells a line of the solutions of {name}"


@pytest.mark.slow
def test_neither_the_site_nor_the_decks_tell_a_line_of_the_solutions(site):
    pages = {path.name: path.read_text("utf-8") for path in site.glob("**/*.html")}
    for path in slides.decks_in(slides.DECKS):
        text = path.read_text(encoding="utf-8")
        pages[f"deck of {path.stem}"] = slides.deck(text, slides.lesson_of(path))
    assert len(pages) > 40
    told = {name: lines(as_read(page)) for name, page in pages.items()}
    assert any("def price(t):" in x for x in told["01_the_bound.html"]), "the search finds code"
    for exercise in NAMES:
        for name, found in told.items():
            assert not secrets(exercise) & found, f"{name} tells a line of {exercise}'s solutions"


def as_read(page):
    """The text of a page, without its markup and scripts."""
    page = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
    return html.unescape(re.sub(r"<[^>]+>", "", page))


@pytest.mark.parametrize("name", NAMES)
def test_no_solution_is_copied_from_a_lesson_or_the_library(name):
    files = [*(NOTEBOOKS / "text").glob("*.py"), *(ROOT / "cvae_tf").glob("*.py")]
    books = ["".join(path.read_text(encoding="utf-8").split()) for path in files]
    for cell in solution(name).cells:
        for secret in SECRET.findall(cell.source):
            if cell.metadata.nbgrader.solution and len("".join(secret.split())) > 60:
                assert not any("".join(secret.split()) in book for book in books), secret


@pytest.mark.slow
@pytest.mark.parametrize("name", GRADED)
def test_the_grader_gives_every_answer_its_points(name, tmp_path):
    """The copy nothing, the solution all, a mistake all but the points of its own task.

    One exercise by nbgrader here, all of them in make test-long; the checks themselves meet every
    answer of the bank in the sample of wrong solutions below.
    """
    worth = points(name)
    bank = mistakes.read(NOTEBOOKS / "mistakes" / f"{name}.py")
    solved = {
        c.metadata.nbgrader.grade_id: MARKERS.sub("", c.source)
        for c in solution(name).cells
        if c.metadata.get("nbgrader", {}).get("solution")
    }
    handed_in = {"nothing": {}, "solution": solved}
    expected = {"nothing": dict.fromkeys(worth, 0), "solution": worth}
    for number, answers in enumerate(mistakes.submissions(bank, list(worth))):
        student = f"student{number}"
        handed_in[student] = solved | {task: a.code for task, a in answers.items()}
        lost = {task for task, a in answers.items() if not a.right}
        expected[student] = {task: 0 if task in lost else p for task, p in worth.items()}
    assert {a for s in mistakes.submissions(bank, list(worth)) for a in s.values()} == set(bank)

    marks, seconds = grade(name, handed_in, tmp_path)
    for student, right in expected.items():
        answers = mistakes.submissions(bank, list(worth))
        about = answers[int(student.removeprefix("student"))] if student[-1].isdigit() else {}
        for task, due in right.items():
            assert marks[student][task] == due, (
                f"{name}, {student}, task {task}: {marks[student][task]} of {worth[task]} points, "
                f"expected {due}; answer: {about.get(task, student)}"
            )
    each, fresh = seconds / len(handed_in), seconds_to_import()
    assert each < 4 * fresh, f"{each:.0f} s a submission, of which the library takes {fresh:.0f}"


@cache
def seconds_to_import():
    """Of this machine's processor, for a fresh process that imports the library."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", "import cvae_tf"], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def grade(name, handed_in, course):
    """nbgrader's marks, {student: {task: points}}, and the processor's seconds for grading."""
    from nbgrader.api import Gradebook

    shutil.copy(NOTEBOOKS / "nbgrader_config.py", course)
    shutil.copytree(NOTEBOOKS / "solutions" / name, course / "solutions" / name)
    exercises.nbgrader(course, "generate_assignment", name)
    for student, answers in handed_in.items():
        folder = course / "submitted" / student / name
        folder.mkdir(parents=True)
        nbformat.write(answered(name, answers), folder / f"{name}.ipynb")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    exercises.nbgrader(course, "autograde", name)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    with Gradebook(f"sqlite:///{course}/gradebook.db") as book:
        marks = {}
        for student in handed_in:
            grades = book.find_submission_notebook(name, name, student).grades
            marks[student] = {g.name.removeprefix("check_"): g.score for g in grades}
    return marks, seconds


HOLE = '''
# %%
import math

# %% tags=["task:area"]
def area(w, h):
    ### BEGIN SOLUTION
    return w * h
    ### END SOLUTION


# %% tags=["check:area:1"]
assert area(2, 2) == 4, "two by two"
### BEGIN HIDDEN TESTS
assert area(2, 4) == 8, "two by four"
### END HIDDEN TESTS
'''


def test_a_hole_in_a_check_is_found(tmp_path, monkeypatch):
    """w + h passes where both are 2: right to the visible check, and not to the hidden one."""
    pytest.importorskip("cosmic_ray")
    import solution_mutants

    monkeypatch.setattr(solution_mutants, "BANK", tmp_path)
    (tmp_path / "toy.py").write_text("# %% right area: the other way round\ndef area(w, h):\n"
                                     "    return h * w\n")  # fmt: skip

    def outcomes(source):
        twin = tmp_path / "twin" / "toy.py"
        twin.parent.mkdir(exist_ok=True)
        twin.write_text(source)
        operators = ["core/ReplaceBinaryOperator_*", "own/*"]
        found = solution_mutants.examine(twin, operators, seconds=60)
        assert [outcome for _, kind, _, outcome, *_ in found if kind in ("solution", "right")] == [
            "survived", "survived"
        ]  # fmt: skip
        return {code.splitlines()[-1].split("return ")[-1]: outcome for _, kind, code, outcome, *_
                in found if kind not in ("solution", "right")}  # fmt: skip

    before = {kind: set() for kind in solution_mutants.OUTCOMES}
    for line, outcome in outcomes(HOLE).items():
        before[outcome].add(line)
    assert before["hidden only"] and before["visible"] and not before["survived"]
    unhidden = HOLE.replace("assert area(2, 4) == 8", "assert True")
    assert "survived" in outcomes(unhidden).values()
    mended = HOLE.replace("area(2, 2) == 4", "area(2, 4) == 8 and area(5, 3) == 15")
    assert set(outcomes(mended).values()) == {"visible"}


@pytest.mark.slow
def test_a_sample_of_wrong_solutions_loses_its_points_and_is_told_why(tmp_path):
    """All of them: make test-long."""
    pytest.importorskip("cosmic_ray")
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "solution_mutants.py", "--sample", "0.05", "--seed", "1",
         "--seconds", "150", "--output", tmp_path / "report.txt"],  # a busy machine is no mistake
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr + (tmp_path / "report.txt").read_text()
    (share,) = re.findall(r"^all .* (\d+)%$", done.stdout, re.M)
    assert int(share) >= 70


@pytest.mark.slow
def test_the_lecturers_commands_work_as_printed(tmp_path):
    """Every command on the page, in its order: hand out, grade, the same with the exchange."""
    page = (ROOT / "docs" / "lecturer.md").read_text(encoding="utf-8")
    script = "\n".join(re.findall(r"^```bash\n(.*?)^```", page, flags=re.M | re.S))
    copied = shutil.ignore_patterns(".ipynb_checkpoints", "__pycache__", *A_CLASS)
    for name in ("notebooks", "tools", "cvae_tf", "data"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=copied)
    for pattern in ("Makefile", "LICENSE*", "*.t*", "PACKAGE.md"):
        for path in ROOT.glob(pattern):
            shutil.copy(path, tmp_path)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    as_it_is = 'make() { command make -o .venv/.ready "$@"; }\n'
    ours = ("ARGS", "MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS")  # of the make that runs the tests
    outside = {name: value for name, value in os.environ.items() if name not in ours}
    done = subprocess.run(
        ["bash", "-e", "-c", as_it_is + script],
        cwd=tmp_path,
        env={**outside, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with (tmp_path / "notebooks" / "marks" / "01_the_bound.csv").open(newline="") as file:
        marks = {row["student"]: row for row in csv.DictReader(file)}
    assert marks["ada"]["total"] == f"{sum(points('01_the_bound').values()):g}"
    assert marks["ben"]["total"] == "0" and "(1).ipynb" in marks["ben"]["mended"]
    printed = done.stdout.partition("Nothing handed in")[2]
    assert printed.startswith(": 1\n  eve: -"), done.stdout
    for student in ("ada", "ben"):
        feedback = tmp_path / "notebooks" / "feedback" / student / "01_the_bound"
        assert "The price of a wrong mean" in (feedback / "01_the_bound.html").read_text()
    (fetched,) = (tmp_path / "build" / "student").glob("01_the_bound/feedback/*/*.html")
    assert "The price of a wrong mean" in fetched.read_text(encoding="utf-8")
