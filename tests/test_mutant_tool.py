"""The mutation tester on a toy library: it sees a test that looks, and one that does not."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("cosmic_ray")
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

pytestmark = pytest.mark.slow

LIBRARY = '''"""A toy."""

__version__ = 1


def area(width: int | None, height):
    """Of a rectangle."""
    if width < 0:
        raise ValueError(f"{width + 1}")
    return width * height


def doubled(x):
    return 2 * x


def unseen(x):
    return x - 3
'''
TESTS = """
from toy import shapes

def test_area():
    assert shapes.area(2, 3) == 6

def test_doubled():
    assert shapes.doubled(2) > 0
"""
PROJECT = """
[tool.mutants]
package = "toy"
modules = ["shapes"]
seconds = 30
timeout = 5
operators = [
    "core/ReplaceBinaryOperator_Mul_Div", "core/ReplaceBinaryOperator_Sub_Add",
    "core/ReplaceBinaryOperator_Add_Sub", "core/ReplaceComparisonOperator_Lt_LtE",
    "core/ReplaceBinaryOperator_BitOr_BitAnd", "core/NumberReplacer", "own/*",
]
[tool.mutants.tests]
"""


@pytest.fixture
def toy(tmp_path):
    for name, text in {
        "toy/__init__.py": "",
        "toy/shapes.py": LIBRARY,
        "tests/test_shapes.py": TESTS,
        "pyproject.toml": PROJECT,
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def command(*arguments):
    return [sys.executable, str(ROOT / "tools" / "mutants.py"), *arguments]


def run(folder, *arguments):
    done = subprocess.run(command(*arguments), cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, (folder / "build" / "mutants.txt").read_text()


def row(text):
    names, values = text.splitlines()[:2]
    names = names.replace("timed out", "late").replace("not compiled", "bad")
    names = names.replace("not run", "waiting").split()
    return dict(zip(names[1:], map(int, values.split()[1:]), strict=True))


def test_a_mutant_is_killed_and_a_survivor_is_reported(toy):
    output, text = run(toy)
    assert "killed  shapes:10 core/ReplaceBinaryOperator_Mul_Div" in output
    assert "- return 2 * x\n+ return 2 / x" in text, "2 / 2 > 0 as well"
    assert "toy/shapes.py:14 core/ReplaceBinaryOperator_Mul_Div:" in text
    assert "toy/shapes.py:18 core/ReplaceBinaryOperator_Sub_Add: (no test reaches it)" in text
    for passed_over in (":3 ", ":6 ", ":9 "):  # the version, an annotation, a message
        assert f"toy/shapes.py{passed_over}" not in text and f"shapes{passed_over}" not in output
    counts = row(text)
    assert counts["killed"] > 2 and counts["survived"] > 2 and counts["waiting"] == 0
    assert (toy / "toy" / "shapes.py").read_text() == LIBRARY, "nothing on disk is changed"

    # The same again: nothing is run anew. With a sharper test: only what had survived.
    output, again = run(toy)
    assert "killed  shapes" not in output and again == text
    tests = toy / "tests" / "test_shapes.py"
    tests.write_text(tests.read_text() + "    assert shapes.doubled(3) == 6\n")
    output, text = run(toy)
    assert "killed  shapes:14" in output and "shapes:10" not in output.split("module")[0]
    assert "return 2 / x" not in text


def test_equivalent_mutants_are_taken_out_with_a_count(toy):
    (toy / "tools").mkdir()
    (toy / "tools" / "mutants_equivalent.txt").write_text(
        "# A header.\n\nshapes core/ReplaceBinaryOperator_Mul_Div\n- return 2 * x\n+ return 2 / x\n"
        "nobody doubles anything but 1\n\nshapes core/NumberReplacer\n- if width < 0:\n"
        "+ if width < 1:\na width is no fraction\n"
    )
    _, text = run(toy)
    assert "return 2 / x" not in text and "width < 1:" not in text
    assert row(text)["equivalent"] == 2


def test_a_killed_run_is_taken_up(toy):
    """SIGKILL after the first mutants: the rest is run, what was found is kept."""
    first = subprocess.Popen(command(), cwd=toy, stdout=subprocess.PIPE, text=True)
    seen = 0
    while seen < 2:
        seen += "killed  " in first.stdout.readline()
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    time.sleep(1)  # a child that was at work
    output, text = run(toy, "--jobs", "2")
    counts = row(text)
    assert counts["waiting"] == 0 and counts["killed"] > 2
    assert output.count("killed  shapes") <= counts["killed"] - 2


def test_a_mutant_that_hangs_is_timed_out(toy):
    """A loop without an end, in a time of its own."""
    (toy / "toy" / "shapes.py").write_text(
        "def count(n):\n    i = 0\n    while i < n:\n        i += 1\n    return i\n"
    )
    (toy / "tests" / "test_shapes.py").write_text(
        "from toy import shapes\n\ndef test_count():\n    assert shapes.count(3) == 3\n"
    )
    project = toy / "pyproject.toml"
    text = project.read_text().replace("seconds = 30", "seconds = 30\nseconds_more = 2")
    project.write_text(text.replace('"own/*",', '"own/*", "core/AddNot",'))
    _, text = run(toy)
    assert row(text)["late"] == 1 and "+ i += 0" in text


def test_own_operators_do_what_their_examples_say():
    from cosmic_ray.mutating import mutate_code
    from mutant_operators import OWN

    for operator in OWN.values():
        for example in operator.examples():
            mutated = mutate_code(example.pre_mutation_code, operator(), example.occurrence)
            assert mutated == example.post_mutation_code
