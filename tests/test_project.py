"""What holds the project together: equation numbers, notebooks and their twins, pins, imports.

Each checker is a function that returns what it finds wrong, and is itself shown to find it.
"""

from __future__ import annotations

import ast
import io
import json
import re
import subprocess
import sys
import tokenize
import tomllib
from collections import Counter
from importlib import metadata
from pathlib import Path

import nbformat
import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import reading  # noqa: E402

LIBRARY = sorted((ROOT / "cvae_tf").glob("**/*.py"))
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").glob("**/*.md"), *(ROOT / "data").glob("*.md")]
)
LESSONS = sorted((ROOT / "notebooks").glob("[0-9][0-9]*_*.ipynb"))
RECIPES = sorted((ROOT / "notebooks" / "recipes").glob("*.ipynb"))
NOTEBOOKS = sorted(
    path
    for path in (ROOT / "notebooks").glob("**/*.ipynb")
    if ".ipynb_checkpoints" not in path.parts
)
EQUATIONS = ROOT / "docs" / "equations.md"


def named(paths):
    return {"argvalues": paths, "ids": [str(path.relative_to(ROOT)) for path in paths]}


# --- Equations -----------------------------------------------------------------------------------

# (2.3), and lists such as (2.2, 2.3) or (5.5)-(5.6). Not a call's argument, f(1.5), and no number
# with a leading or trailing zero, (0.5) or (2.0): sections and equations are counted from 1.
NUMBER = r"(?:1[01]|[1-9])\.[1-9]\d?"
CITATION = re.compile(rf"(?<![\w)\]}}])\(({NUMBER}(?:\s*(?:,|;|–|-|and|to)\s*{NUMBER})*)\)")
TAG = re.compile(r"\\tag\{([^}]*)\}")


def citations(text: str) -> list[str]:
    """The equation numbers that a text cites."""
    return [n for group in CITATION.findall(text) for n in re.findall(r"\d+\.\d+", group)]


def without_code(markdown: str) -> str:
    """Markdown without fenced and inline code, and without doctest lines."""
    markdown = re.sub(r"^(\s*)(```|~~~).*?^\s*\2", "", markdown, flags=re.M | re.S)
    markdown = re.sub(r"`[^`\n]+`", "", markdown)
    return re.sub(r"^\s*(>>>|\.\.\.) .*$", "", markdown, flags=re.M)


def prose(source: str) -> str:
    """The docstrings and comments of Python source: citations stand there, tuples elsewhere."""
    parts = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            parts.append(without_code(ast.get_docstring(node) or ""))
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            parts.append(token.string)
    return "\n".join(parts)


def lesson_prose(notebook) -> str:
    """The text cells of a notebook, and the comments and docstrings of its code."""
    parts = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(without_code(cell.source))
        elif cell.cell_type == "code":
            parts.append(prose(re.sub(r"^(\s*)[%!]", r"\1# %", cell.source, flags=re.M)))
    return "\n".join(parts)


def text_of(path: Path) -> str:
    if path.suffix == ".py":
        return prose(path.read_text(encoding="utf-8"))
    if path.suffix == ".ipynb":
        return lesson_prose(nbformat.read(path, as_version=4))
    return without_code(path.read_text(encoding="utf-8"))


def tags() -> list[str]:
    return TAG.findall(EQUATIONS.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "text, cited",
    [
        ("the bound (1.2), and (5.5)–(5.6)", ["1.2", "5.5", "5.6"]),
        ("as (2.2, 2.3) or (5.7; 5.8) say", ["2.2", "2.3", "5.7", "5.8"]),
        ("a bogus citation (4.17)", ["4.17"]),
        ("f(1.5), a step of (0.5), a weight (2.0), a factor (1.43 nats)", []),
    ],
)
def test_citations_are_recognised(text, cited):
    assert citations(text) == cited


def test_only_prose_is_searched():
    source = '"""Bound (1.1).\n\n>>> g((1.7))\n"""\nx = (1.5)  # by (1.3)\ny = "(1.9)"\n'
    assert citations(prose(source)) == ["1.1", "1.3"]
    assert citations(without_code("see (1.1)\n```\n(1.6)\n```\nand `(1.7)`")) == ["1.1"]


def test_each_equation_has_one_tag():
    found = tags()
    assert found, f"no \\tag{{c.k}} in {EQUATIONS.name}"
    assert [tag for tag, n in Counter(found).items() if n > 1] == []
    for section, numbers in _by_section(found).items():
        assert numbers == list(range(1, len(numbers) + 1)), f"section {section} skips or swaps"


def _by_section(found):
    sections = {}
    for tag in found:
        section, number = tag.split(".")
        sections.setdefault(int(section), []).append(int(number))
    return sections


@pytest.mark.parametrize("path", **named(LIBRARY + DOCUMENTS + NOTEBOOKS))
def test_each_citation_has_its_tag(path):
    missing = sorted(set(citations(text_of(path))) - set(tags()))
    assert missing == [], f"{path.name} cites what {EQUATIONS.name} does not have"


def test_a_bogus_citation_is_found():
    assert set(citations("by the bound (1.2) and the lemma (12.1), (3.9)")) - set(tags()) == {"3.9"}


@pytest.mark.parametrize("path", **named(NOTEBOOKS))
def test_each_tag_of_a_lesson_is_the_course_s(path):
    notebook = nbformat.read(path, as_version=4)
    used = [
        tag
        for cell in notebook.cells
        if cell.cell_type == "markdown"
        for tag in TAG.findall(cell.source)
    ]
    assert sorted(set(used) - set(tags())) == []
    assert [tag for tag, n in Counter(used).items() if n > 1] == [], "MathJax refuses a second one"


# --- Notebooks -----------------------------------------------------------------------------------

HOME = re.compile(r"(?<![\w.:/<-])(/(?:home|root|tmp|usr|var|opt|Users|mnt|work|private)/[\w.]+)")


def is_blank_copy(path: Path) -> bool:
    """A student's copy of an exercise is meant to be run by the student."""
    return "exercises" in path.parts


def cell_faults(notebook) -> list[str]:
    """What a reader should not find in a stored notebook."""
    faults = []
    for number, cell in enumerate(notebook.cells, start=1):
        if HOME.search(cell.source):
            faults.append(f"cell {number}: a path of one machine in the source")
        if cell.cell_type != "code" or not cell.source.strip():
            continue
        if cell.execution_count is None:
            faults.append(f"cell {number}: never executed, so nbval compares nothing")
        expected_error = "raises-exception" in cell.metadata.get("tags", [])
        for output in cell.outputs:
            if output.output_type == "error" and not expected_error:
                faults.append(f"cell {number}: stores the error {output.ename}")
            if output.get("name") == "stderr":
                faults.append(f"cell {number}: shows stderr: {output.text[:60]!r}")
            text = output.get("text", "") + str(output.get("data", {}).get("text/plain", ""))
            if output.output_type != "error" and HOME.search(text):
                faults.append(f"cell {number}: a path of one machine in the output")
            if re.search(r" at 0x[0-9a-f]{6,}", text):
                faults.append(f"cell {number}: an address that changes from run to run")
            for kind in output.get("data", {}):
                if kind.startswith("image/"):
                    alt = output.metadata.get(kind, {}).get("alt", "")
                    if len(alt.split()) < 3:
                        faults.append(f"cell {number}: a picture without an alt text")
    return faults


def test_there_are_lessons():
    numbers = [int(path.name[:2]) for path in LESSONS]
    found = sorted(set(numbers))
    assert found and found == list(range(found[0], found[-1] + 1)), "in order, without a hole"
    for number in found:  # 04a, 04b: parts of one lesson
        its = [path.stem.partition("_")[0] for path in LESSONS if int(path.name[:2]) == number]
        parts = [name[2:] for name in its]
        assert parts in ([""], list("ab"), list("abc"))


@pytest.mark.parametrize("path", **named([p for p in NOTEBOOKS if not is_blank_copy(p)]))
def test_stored_notebook_is_fit_to_read(path):
    assert cell_faults(nbformat.read(path, as_version=4)) == []


def test_faults_are_found():
    code = nbformat.v4.new_code_cell
    out = nbformat.v4.new_output
    picture = {"image/png": "", "text/plain": "<Figure>"}
    notebook = nbformat.v4.new_notebook(
        cells=[
            code("1"),
            code("2", execution_count=1, outputs=[out("stream", name="stderr", text="W0000")]),
            code(
                "3", execution_count=2, outputs=[out("error", ename="E", evalue="", traceback=[])]
            ),
            code("4", execution_count=3, outputs=[out("display_data", picture)]),
            code("open('/home/someone/x.npz')", execution_count=4),
            code(
                "5",
                execution_count=5,
                outputs=[
                    out(
                        "display_data",
                        picture,
                        metadata={"image/png": {"alt": "A bound that rises to its limit"}},
                    )
                ],
            ),
        ]
    )
    found = [int(re.match(r"cell (\d)", fault)[1]) for fault in cell_faults(notebook)]
    assert found == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("path", **named(LESSONS))
def test_lesson_checks_itself(path):
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    compared = [
        cell
        for cell in code
        if re.search(r"^\s*#+\s*NBVAL_CHECK_OUTPUT\s*$", cell.source, flags=re.M)
        or "nbval-check-output" in cell.metadata.get("tags", [])
    ]
    assert compared, "no cell says NBVAL_CHECK_OUTPUT: nbval compares nothing"
    assert all(cell.outputs for cell in compared), "NBVAL_CHECK_OUTPUT on a cell without output"
    assert any(re.search(r"^\s*assert\b|\.assert_\w+\(", c.source, flags=re.M) for c in code)


@pytest.mark.parametrize("path", **named(LESSONS))
def test_lesson_is_short_and_each_of_its_numbers_is_computed(path):
    assert reading.read(nbformat.read(path, as_version=4)).faults() == []


def lesson(*cells):
    text, code = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell
    made = [text(c) if isinstance(c, str) else code(c[0], outputs=list(c[1:])) for c in cells]
    return nbformat.v4.new_notebook(cells=made)


def test_a_reading_counts_words_lines_and_folds():
    stream = nbformat.v4.new_output("stream", text="bound -31.256 nats, 83.7%\n")
    notebook = lesson(
        "# One\n\nThe bound $a + b$ is low.\n\n$$a = b$$\n\n<details><summary>Why</summary>\n\n"
        "Since `x` is.\n\n</details>",
        ("# NBVAL_CHECK_OUTPUT\nx = 1\n\nprint(x)", stream),
        ("hidden = 1",),
        "### Deeper\n\nThree more words.",
    )
    for cell, tag in zip(notebook.cells[2:], ("hide-input", "fold"), strict=True):
        cell.metadata["tags"] = [tag]
    found = reading.read(notebook)
    assert (found.words, found.folded_words, found.code_lines) == (6, 4 + 5, 2)
    assert found.faults() == []


@pytest.mark.parametrize(
    ("text", "stale"),
    [
        ("It is 31.26 nats short.", []),
        ("It is 31.3 nats short, and 83.7 % are inside.", []),
        ("It is 31.27 nats short.", ["31.27"]),
        ("It is 8000.00 nats short.", ["8000.00"]),
        ("It is 0.3 nats short, in 2 of 3 runs.", ["0.3"]),
        ("A share of 84.7 % is inside.", ["84.7"]),
        ("Of 8,000 images 1,200 remain.", ["1200"]),
        ("By (2.3) and lesson 04, exercise 4.12, CVAE-1 has 2 layers.", []),
        ("Burda et al. (2015) report 86.76.", []),
        ("It was 0.25 in the comment.", ["0.25"]),
        ("$K = 500$ draws", ["500"]),
    ],
)
def test_a_stale_number_is_found(text, stale):
    stream = nbformat.v4.new_output("stream", text="bound -31.256 nats, share 0.837\n")
    assert reading.read(lesson(text, ("n = 8_000  # 0.25", stream))).unshown == stale


def test_a_fold_begins_and_ends_with_a_heading():
    notebook = lesson("# One", "No heading.", ("check = 1",), "Plain text.", "## Two")
    for cell in notebook.cells[1:3]:
        cell.metadata["tags"] = ["fold"]
    assert reading.read(notebook).open_folds == ["No heading.", "Plain text."]


def test_long_sentences_and_lessons_are_faults():
    long = "One word and " * 14 + "an end."
    faults = reading.read(lesson(long, "Short. " * 1800, ("x = 1\n" * 221,))).faults()
    assert [fault.split()[0] for fault in faults] == ["1844", "221", "a"]


CODE_LINES, CLOSING = 60, "## When this is the wrong tool"


def recipe_faults(notebook) -> list[str]:
    """What a recipe owes its reader: a question, its answer, short code, a check, a warning."""
    faults = []
    text = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    title, _, answer = (text or [""])[0].partition("\n")
    if not re.fullmatch(r"# How do I .+\?", title):
        faults.append("the title is no question: # How do I …?")
    if len(answer.split()) < 20:
        faults.append("the first cell does not answer")
    if not text or not text[-1].startswith(CLOSING):
        faults.append(f"the last cell is not {CLOSING!r}")
    folded = [c.source for c in notebook.cells if "hide-input" in c.metadata.get("tags", [])]
    lines = [line for cell in code if cell not in folded for line in cell.splitlines()]
    lines = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if len(lines) > CODE_LINES:
        faults.append(f"{len(lines)} lines of code, more than {CODE_LINES}")
    if not any(re.search(r"^\s*assert\b|\.assert_\w+\(", each, flags=re.M) for each in code):
        faults.append("it checks nothing")
    if not any("# NBVAL_CHECK_OUTPUT" in each for each in code):
        faults.append("no output is compared: NBVAL_CHECK_OUTPUT")
    return faults


@pytest.mark.parametrize("path", **named(RECIPES))
def test_recipe_answers_checks_and_warns(path):
    assert recipe_faults(nbformat.read(path, as_version=4)) == []


def test_a_recipe_s_faults_are_found():
    text, code = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell
    bare = nbformat.v4.new_notebook(cells=[text("# Counts\n\nThey count."), code("x = 1\n" * 61)])
    assert len(recipe_faults(bare)) == 6
    asked = text("# How do I count?\n\n" + "With a family of your own. " * 5)
    check = code("# NBVAL_CHECK_OUTPUT\nassert 1 + 1 == 2\nprint(2)")
    sound = nbformat.v4.new_notebook(cells=[asked, check, text(f"{CLOSING}\n\nNever.")])
    assert recipe_faults(sound) == []


def twin_of(path: Path) -> Path:
    notebooks = ROOT / "notebooks"
    return notebooks / "text" / path.relative_to(notebooks).with_suffix(".py")


@pytest.mark.parametrize("path", **named(LESSONS + RECIPES))
def test_text_twin_agrees_cell_for_cell(path):
    import jupytext

    twin = twin_of(path)
    assert twin.exists(), f"{twin.relative_to(ROOT)} is missing: `make notebooks` starts from it"
    stored, text = nbformat.read(path, as_version=4), jupytext.read(twin)

    def contents(notebook):
        return [
            (cell.cell_type, cell.source.strip(), sorted(cell.metadata.get("tags", [])))
            for cell in notebook.cells
        ]

    for number, (a, b) in enumerate(zip(contents(stored), contents(text), strict=False), start=1):
        assert a == b, f"cell {number} differs"
    assert len(stored.cells) == len(text.cells)


def test_each_text_twin_has_its_notebook():
    text = ROOT / "notebooks" / "text"
    twins = sorted([*text.glob("*.py"), *(text / "recipes").glob("*.py")])
    assert {twin_of(path) for path in LESSONS + RECIPES} == set(twins)


# --- Pins ----------------------------------------------------------------------------------------


def pins() -> dict[str, Requirement]:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    found = [Requirement(line) for line in lines]
    return {canonicalize_name(requirement.name): requirement for requirement in found}


def ranges() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    return [Requirement(line) for lines in lists for line in lines]


def test_every_pin_is_exact():
    for requirement in pins().values():
        operators = [specifier.operator for specifier in requirement.specifier]
        assert operators == ["=="] and requirement.url is None, str(requirement)
        assert "*" not in str(requirement.specifier)


def test_one_tensorflow():
    distributions = {
        name
        for name in pins()
        if re.fullmatch(
            r"(tensorflow|tf-nightly|intel-tensorflow)"
            r"(-(cpu|gpu|intel|macos|metal|rocm|cpu-aws))?",
            name,
        )
    }
    assert distributions == {"tensorflow"}


def test_requirements_name_packages_only():
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert "pip-compile" in text.split("absl-py")[0], "the header says how the file is made"
    for forbidden in (
        "://",
        "--index-url",
        "--extra-index-url",
        "--find-links",
        "--trusted-host",
        " @ ",
        "/",
    ):
        assert forbidden not in text, forbidden


@pytest.mark.parametrize("requirement", ranges(), ids=str)
def test_range_admits_the_pin(requirement):
    pin = pins().get(canonicalize_name(requirement.name))
    assert pin is not None, "not compiled into requirements.txt: `make requirements`"
    (specifier,) = pin.specifier
    assert requirement.specifier.contains(specifier.version, prereleases=True)


# --- The package ---------------------------------------------------------------------------------

IMPORT = """
import builtins, json, sys
plain, asked = builtins.__import__, []

def watched(name, globals=None, *rest, **more):
    if (globals or {}).get("__name__", "").partition(".")[0] == "cvae_tf":
        asked.append(name.partition(".")[0])
    return plain(name, globals, *rest, **more)

builtins.__import__ = watched
import cvae_tf
print(json.dumps(sorted(set(asked))))
"""


def test_import_asks_for_nothing_that_only_lessons_use():
    """Keras itself may load scikit-learn where it is installed; the question is what we ask for."""
    done = subprocess.run([sys.executable, "-c", IMPORT], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    asked = set(json.loads(done.stdout.splitlines()[-1]))
    assert asked & {"matplotlib", "sklearn", "daft", "IPython", "ipywidgets", "pandas"} == set()


def unannotated(source: str) -> list[str]:
    """Public functions and methods with a parameter, or a return value, of no stated type."""
    found = []

    def walk(node, inside=""):
        for one in node.body:
            if isinstance(one, ast.ClassDef) and not one.name.startswith("_"):
                walk(one, f"{inside}{one.name}.")
            if not isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if one.name.startswith("_") and not one.name.endswith("__"):
                continue
            a = one.args
            given = [*a.posonlyargs, *a.args, *a.kwonlyargs, *filter(None, (a.vararg, a.kwarg))]
            bound = inside and "staticmethod" not in map(ast.unparse, one.decorator_list)
            bare = [arg for arg in given[1 if bound else 0 :] if arg.annotation is None]
            if bare or one.returns is None:
                found.append(inside + one.name)

    walk(ast.parse(source))
    return found


@pytest.mark.parametrize("path", **named(LIBRARY))
def test_signatures_state_their_types(path):
    assert unannotated(path.read_text(encoding="utf-8")) == []


def test_a_missing_type_is_found():
    source = """
def f(x: int, *rest) -> int: ...
def g(x: int, *rest: int): ...
def _own(x): ...
class A:
    def __init__(self, x): ...
    def _own(self, x): ...
    def h(self, x: int) -> int:
        def inner(y): ...
"""
    assert unannotated(source) == ["f", "g", "A.__init__"]


def test_types_ship():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert (ROOT / "cvae_tf" / "py.typed").exists()
    assert "py.typed" in project["tool"]["setuptools"]["package-data"]["cvae_tf"]


def test_the_package_says_who_what_and_since_when():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["authors"] and project["readme"] == "PACKAGE.md"
    pythons = {c.rpartition(" ")[2] for c in project["classifiers"] if "Python :: 3." in c}
    admitted = SpecifierSet(project["requires-python"])
    assert pythons == {f"3.{n}" for n in range(20) if f"3.{n}.0" in admitted}
    version = project["version"]
    assert f"\n## {version}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f'__version__ = "{version}"' in (ROOT / "cvae_tf" / "__init__.py").read_text("utf-8")


def test_what_pypi_shows_renders_there():
    """No path of the checkout, no formula in dollars; and the README's ten lines."""
    shown, readme = (
        (ROOT / name).read_text(encoding="utf-8") for name in ("PACKAGE.md", "README.md")
    )
    assert re.findall(r"\]\((?!https?://)[^)]*\)", shown) == [] and "$" not in shown
    code = re.search(r"## Ten lines\n\n(```python.*?```)", readme, flags=re.S)[1]
    assert code in shown


# --- The course builder --------------------------------------------------------------------------


def test_the_site_names_each_file_of_the_library_under_one_subject():
    sys.path.insert(0, str(ROOT / "tools"))
    from site_pages import SUBJECTS

    listed = [name for names in SUBJECTS.values() for name in names.split()]
    assert sorted(listed) == sorted(p.stem for p in LIBRARY if p.stem != "__init__")


def build_course(folder: Path, notebooks: dict[str, list]) -> subprocess.CompletedProcess:
    lessons = folder / "lessons"
    (lessons / "recipes").mkdir(parents=True)
    for name, cells in notebooks.items():
        nbformat.write(nbformat.v4.new_notebook(cells=cells), lessons / f"{name}.ipynb")
    return subprocess.run(
        [
            sys.executable,
            str(ROOT / "tools" / "course.py"),
            str(lessons),
            "--output",
            str(folder / "pages"),
            "--timeout",
            "60",
        ],
        capture_output=True,
        text=True,
    )


def fetched(folder: Path) -> list[str]:
    """Whatever pages and style sheets would ask the network for."""
    outside = re.compile(
        r"""<(?:script|link|img|iframe)\b[^>]*(?:src|href)=["'](?:https?:)?//[^"']+"""
        r"""|url\(["']?https?:[^)]+|@import [^;]*https?:[^;]+"""
    )
    files = [*folder.glob("**/*.html"), *folder.glob("**/*.css")]
    assert files
    return [found for path in files for found in outside.findall(path.read_text(encoding="utf-8"))]


@pytest.mark.slow
def test_course_says_which_cell_fails(tmp_path):
    text, code = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell
    done = build_course(
        tmp_path,
        {
            "01_sound": [text("# Sound\n\nDoes $1 + 1$ make two?"), code("print(1 + 1)")],
            "02_broken": [text("# Broken"), code("x = 0"), code("\ny = 1 / x\nz = 2"), code("y")],
        },
    )
    assert done.returncode == 1
    assert "02_broken: cell 3 (y = 1 / x): ZeroDivisionError: division by zero" in done.stderr
    assert re.search(r"01_sound .* ok", done.stdout), "the others still finish"
    assert "stopped at cell 3" in (tmp_path / "pages" / "index.html").read_text()


@pytest.mark.slow
def test_course_pages_need_no_network(tmp_path):
    text, code = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell
    show = (
        "from base64 import b64decode\n"
        "from IPython.display import display\n"
        "pixel = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABpfZF"
        "QAAAAABJRU5ErkJggg=='\n"
        "display({'image/png': pixel}, raw=True,"
        " metadata={'image/png': {'alt': 'One pixel, alone'}})"
    )
    cells = [text("# Tagged\n\nWhat is $x$?\n\n$$x = 1 \\tag{1.1}$$"), code(show)]
    recipe = [text("# How do I count?\n\nOn your fingers."), code("print(7 + 3)")]
    done = build_course(tmp_path, {"01_tagged": cells, "recipes/fingers": recipe})
    assert done.returncode == 0 and not done.stderr, done.stderr
    pages = tmp_path / "pages"
    assert (pages / "_static" / "mathjax.js").stat().st_size > 1e6
    assert fetched(pages) == []
    first = (pages / "index.html").read_text(encoding="utf-8")
    lesson = (pages / "lessons" / "01_tagged.html").read_text(encoding="utf-8")
    assert "What is" in first and r"\(x\)" in first and 'alt="One pixel, alone"' in first
    assert 'alt="One pixel, alone"' in lesson and r"\tag{1.1}" in lesson
    assert "How do I count?" in first, "recipes are listed by their question"
    assert "10" in (pages / "recipes" / "fingers.html").read_text(encoding="utf-8")
    assert (pages / "api" / "conditional.html").exists() and (pages / "search.html").exists()
    implemented = (pages / "equation_index.html").read_text(encoding="utf-8")
    assert re.search(r"\(4\.2\).*?CVAE2\.factors", implemented, flags=re.S)
    stored = nbformat.read(tmp_path / "lessons" / "01_tagged.ipynb", as_version=4)
    assert stored.cells[1].outputs == [], "the notebook itself is left alone"


def test_every_pin_installs_on_every_python_that_is_promised():
    """3.11.2 is Debian's; a pin compiled with a later one may ask for more."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and line[0] not in "# -"]
    here = [pin.name for pin in pins if pin.marker is None or pin.marker.evaluate()]
    asked = {name: metadata.metadata(name)["Requires-Python"] or "" for name in here}
    assert len(asked) > 100
    for python in ("3.11.0", "3.12.0", "3.13.0"):
        wrong = [f"{n} {asks}" for n, asks in asked.items() if python not in SpecifierSet(asks)]
        assert not wrong, f"not for Python {python}: {wrong}"


def test_the_readme_lists_every_recipe():
    readme = (ROOT / "README.md").read_text("utf-8")
    listed = re.findall(r"^\| \[(\w+)\]\(notebooks/recipes/\1\.ipynb\)", readme, flags=re.M)
    assert sorted(listed) == [path.stem for path in RECIPES]
