r"""Which wrong answers would no check notice? Every solution to the exercises, changed once.

    python tools/solution_mutants.py                  every exercise
    python tools/solution_mutants.py 02 05 --task tilt
    python tools/solution_mutants.py --sample 0.05 --seed 1

A mutant is a task's solution with one small change: cosmic-ray's operators and those of
tools/mutants.py, and the slips of a class (sum for mean, another axis, arguments that change
places, a function or a root left out). Each runs against the task's own check, without nbgrader, in
a process forked for it; so does the mistake bank. A check that is met must be met in its hidden
part, too. Told is how many of the wrong answers get a sentence that says what is wrong, and
build/solution_mutants.txt has all that got none. Mutants that compute the same are known from
tools/solution_mutants_equivalent.txt, each with its reason.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import itertools
import os
import random
import re
import sys
import time
import tomllib
import traceback
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import mistakes
from cosmic_ray.mutating import mutate_code
from lessons import ROOT
from mutant_child import Child
from mutant_operators import difference, equivalents, mutants_of
from sync import read_twin

TWINS = ROOT / "notebooks" / "text" / "solutions"
BANK = ROOT / "notebooks" / "mistakes"
EQUIVALENT = ROOT / "tools" / "solution_mutants_equivalent.txt"
HIDDEN = re.compile(r"^### BEGIN HIDDEN TESTS\n(.*?)^### END HIDDEN TESTS", re.M | re.S)
OUTCOMES = ("visible", "hidden only", "survived", "equivalent")
TWINS_OF = {  # names that are taken for each other
    "sum": "mean", "mean": "sum", "max": "min", "min": "max", "argmax": "argmin",
    "var": "std", "std": "var", "ceil": "floor", "maximum": "minimum", "minimum": "maximum",
    "argmin": "argmax", "combinations": "permutations", "average": "sum", "any": "all",
    "all": "any",
}  # fmt: skip
WRAPPERS = {"sqrt", "exp", "log", "abs", "diag", "inv", "pinv", "softmax", "log_softmax", "int"}


@dataclass
class Task:
    """A task of an exercise: its cells, and the bank's answers."""

    exercise: str
    name: str
    solution: str
    visible: str
    hidden: str
    answers: list = field(default_factory=list)


def tasks_of(twin: Path):
    """The given cells of an exercise, and its tasks."""
    given, cells, tasks = [], {}, []
    for cell in read_twin(twin).cells:
        if cell.cell_type != "code":
            continue
        tag = next((t for t in cell.metadata.get("tags", []) if ":" in t), "")
        if tag.startswith("task:"):
            cells[tag.split(":")[1]] = cell.source
        elif tag.startswith("check:"):
            name = tag.split(":")[1]
            hidden = "".join(HIDDEN.findall(cell.source))
            task = Task(twin.stem, name, cells[name], HIDDEN.sub("", cell.source), hidden)
            tasks.append(task)
        else:
            given.append(cell.source)
    bank = mistakes.read(BANK / twin.name)
    for task in tasks:
        task.answers = [answer for answer in bank if answer.task == task.name]
    return given, tasks


# --- The changes ---------------------------------------------------------------------------------


def slips_at(node, names):
    """What a student might write in the place of this piece of code: (kind, new code)."""
    new = copy.deepcopy
    if isinstance(node, ast.Attribute) and node.attr in TWINS_OF:
        yield "twin", ast.Attribute(new(node.value), TWINS_OF[node.attr], ast.Load())
    if isinstance(node, ast.Attribute) and node.attr == "T":
        yield "not transposed", new(node.value)
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        if node.id in ("max", "min", "any", "all"):
            yield "twin", ast.Name(TWINS_OF[node.id], ast.Load())
        if node.id in names:  # another argument of the same function
            other = names[(names.index(node.id) + 1) % len(names)]
            if other != node.id:
                yield "other argument", ast.Name(other, ast.Load())
    if isinstance(node, ast.Call):
        called = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if called in WRAPPERS and node.args:
            yield "unwrapped", new(node.args[0])
        commutes = called in ("max", "min", "maximum", "minimum", "outer")
        for i in range(0 if commutes else len(node.args) - 1):
            changed = new(node)
            changed.args[i : i + 2] = changed.args[i + 1], changed.args[i]
            yield "arguments swapped", changed
        reduced = called in ("sum", "mean", "max", "min", "var", "std", "prod", "logsumexp")
        if reduced and isinstance(node.func, ast.Attribute):
            if node.args and not isinstance(node.func.value, ast.Name | ast.Attribute):
                yield "all axes", ast.Call(new(node.func), [], [])
            elif len(node.args) == 1 and isinstance(node.args[0], ast.Constant):
                yield "all axes", ast.Call(new(node.func), [], [])
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult | ast.Div | ast.Sub):
        yield "operands swapped", ast.BinOp(new(node.right), node.op, new(node.left))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
        yield "not matrices", ast.BinOp(new(node.left), ast.Mult(), new(node.right))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        yield "no power", new(node.left)
    if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
        changed = new(node)
        changed.value.elts = changed.value.elts[::-1]
        yield "order", changed
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        yield "no index", new(node.value)
        text = ast.unparse(node.slice)
        if index := {"(:, None)": "None", "None": ":, None"}.get(text):
            changed = ast.parse(f"x[{index}]", mode="eval").body
            changed.value = new(node.value)
            yield "broadcast", changed
    if isinstance(node, ast.UnaryOp):
        yield "no sign", new(node.operand)
    if isinstance(node, ast.Call | ast.Name) and isinstance(getattr(node, "ctx", ast.Load()),
                                                          ast.Load):
        called = getattr(getattr(node, "func", None), "attr", "")
        if called == "stop_gradient":
            yield "not detached", new(node.args[0])


class At(ast.NodeTransformer):
    """Puts new code in the place of one node."""

    def __init__(self, node, code):
        self.node, self.code = node, code

    def visit(self, node):
        return self.code if node is self.node else self.generic_visit(node)


def changes(source, patterns):
    """(operator, changed source) for each change inside the solution's markers, no two alike."""
    inside, lines = False, set()
    for number, line in enumerate(source.splitlines(), 1):
        if line.strip().startswith("### BEGIN SOLUTION"):
            inside = True
        elif line.strip().startswith("### END SOLUTION"):
            inside = False
        elif inside:
            lines.add(number)
    seen = {ast.dump(ast.parse(source))}

    def fresh(changed):
        try:
            compile(changed, "", "exec", dont_inherit=True)
            dump = ast.dump(ast.parse(changed))
        except (SyntaxError, ValueError):
            return False
        return not (dump in seen or seen.add(dump))

    for _, name, occurrence, operator, line, _ in mutants_of("task", source, patterns):
        if line in lines:
            changed = mutate_code(source, operator, occurrence)
            if changed is not None and fresh(changed):
                yield name, changed
    tree = ast.parse(source)
    for function in tree.body:
        is_function = isinstance(function, ast.FunctionDef)
        names = [a.arg for a in function.args.args] if is_function else []
        for number, node in enumerate(ast.walk(function)):
            if getattr(node, "lineno", 0) in lines:
                for kind, code in slips_at(node, names):
                    twin = copy.deepcopy(function)  # walked in the same order
                    there = next(itertools.islice(ast.walk(twin), number, None))
                    body = [At(there, code).visit(twin) if f is function else f for f in tree.body]
                    changed = ast.unparse(ast.fix_missing_locations(ast.Module(body, [])))
                    if fresh(changed):
                        yield f"slip/{kind.replace(' ', '-')}", changed


# --- Running -------------------------------------------------------------------------------------


def graded(task, code, namespace):
    """In a child: the answer, the visible check, the hidden one. What the first failure says."""
    names = dict(namespace)
    try:
        exec(compile(code, f"<{task.name}>", "exec", dont_inherit=True), names)
    except Exception as error:
        return "visible", "crash", f"{type(error).__name__}: {error}"
    for part, check in (("visible", task.visible), ("hidden only", task.hidden)):
        try:
            exec(compile(check, f"<check of {task.name}>", "exec", dont_inherit=True), names)
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
            if not hasattr(error, "kind"):
                stopped = "crash" if f"<{task.name}>" in files else "crash of the check"
                return part, stopped, text
            return part, error.kind, text
    return "survived", "", ""


def in_silence(task, code, namespace, _folder):
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        return graded(task, code, namespace)


def grade_all(jobs, seconds, processes):
    """[(task, operator, code, namespace)] → their results, `processes` at a time."""
    waiting, running, found = list(enumerate(jobs)), {}, {}
    while waiting or running:
        while waiting and len(running) < processes:
            number, (task, _, code, namespace) = waiting.pop(0)
            running[number] = Child(partial(in_silence, task, code, namespace), seconds)
        for number, child in list(running.items()):
            if (ended := child.ended()) is not None:
                told, late, _ = ended
                found[number] = told or ("visible", "crash", "took too long" if late else "died")
                del running[number]
        time.sleep(0.002)
    return [found[number] for number in range(len(jobs))]


def namespace_of(given):
    """What the locked cells of an exercise define."""
    names = {"__name__": "__main__"}
    for source in given:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            exec(compile(source, "<given>", "exec", dont_inherit=True), names)
    return names


def examine(twin, patterns, *, only=None, share=1.0, seed=0, seconds=20, processes=2):
    """An exercise's mutants and bank: [(task, operator or bank, code, outcome, kind, text)]."""
    given, tasks = tasks_of(twin)
    namespace = namespace_of(given)
    jobs = []
    for task in tasks:
        if only and task.name not in only:
            continue
        jobs.append((task, "solution", task.solution, namespace))
        jobs += [(task, "right" if a.right else "bank", a.code, namespace) for a in task.answers]
        mutants = list(changes(task.solution, patterns))
        if share < 1:
            chance = random.Random(f"{seed} {task.exercise} {task.name}")
            mutants = [m for m in mutants if chance.random() < share]
        jobs += [(task, operator, code, namespace) for operator, code in mutants]
    results = grade_all(jobs, seconds, processes)
    return [(*job[:3], *result) for job, result in zip(jobs, results, strict=True)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="beginnings of names, such as 01 (default: all)")
    parser.add_argument("--task", action="append", help="this task only")
    parser.add_argument("--sample", type=float, default=1.0, help="this share of the mutants")
    parser.add_argument("--seed", type=int, default=0, help="which")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time (default: 2)")
    parser.add_argument("--seconds", type=float, default=30, help="for one answer (default: 30)")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "solution_mutants.txt")
    options = parser.parse_args()
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["mutants"]
    twins = sorted(TWINS.glob("[0-9][0-9]_*.py"))
    twins = [t for t in twins if not options.names or t.stem.startswith(tuple(options.names))]
    known, report, faults = equivalents(EQUIVALENT), [], 0
    totals = Counter()
    print(f"{'exercise and task':22}{'wrong':>7}{'hidden':>8}{'passed':>8}{'equal':>7}"
          f"{'stopped':>9}{'slip':>6}{'other':>7}{'none':>6}{'told':>7}")
    for twin in twins:
        rows = {}
        for task, operator, code, outcome, kind, text in examine(
            twin, settings["operators"], only=options.task, share=options.sample,
            seed=options.seed, seconds=options.seconds, processes=options.jobs,
        ):  # fmt: skip
            row = rows.setdefault(task.name, Counter())
            before = ast.unparse(ast.parse(task.solution))
            changed = difference(before, ast.unparse(ast.parse(code)))
            head = f"{twin.stem[:2]}.{task.name} {operator}"
            right = operator in ("solution", "right")
            if right:
                if outcome != "survived":
                    faults += 1
                    report.append((0, f"{head}\nA RIGHT ANSWER FAILS: {text}\n{code}"))
                continue
            if outcome == "survived" and (*head.split(), *changed) in known:
                row["equivalent"] += 1
                continue
            row[outcome] += 1
            if outcome != "visible":
                faults += 1
                shown = code if operator == "bank" else "\n".join(changed)
                report.append((1, f"{head}\n{shown}\n{outcome.upper()} {text}"))
            if kind == "crash of the check":
                faults += 1
                report.append((0, f"{head}\nTHE CHECK STOPS: {text}\n{code}"))
            if outcome != "survived":
                row["crash" if "crash" in kind else "slip" if kind in ("slip", "term") else
                    "other" if kind else "none"] += 1
                if not kind:
                    shown = code if operator == "bank" else "\n".join(changed)
                    report.append((2, f"{head}\n{shown}\n{text}"))
        for name, row in rows.items():
            totals += row
            _line(f"{twin.stem[:2]}.{name}", row)
        sys.stdout.flush()
    _line("all", totals)
    options.output.parent.mkdir(exist_ok=True)
    report = [text for _, text in sorted(report, key=lambda pair: pair[0])]
    options.output.write_text("\n\n".join(report) + "\n", encoding="utf-8")
    print(f"{totals['hidden only']} are right to the visible check and wrong to the hidden one; "
          f"{totals['survived']} pass both and are not known to be equal.")
    return 1 if faults else 0


def _line(name, row):
    wrong = row["visible"] + row["hidden only"] + row["survived"]
    answers = row["slip"] + row["other"] + row["none"]
    share = f"{(row['slip'] + row['other']) / answers:.0%}" if answers else "-"
    print(f"{name:22}{wrong:7}{row['hidden only']:8}{row['survived']:8}{row['equivalent']:7}"
          f"{row['crash']:9}{row['slip']:6}{row['other']:7}{row['none']:6}{share:>7}")


if __name__ == "__main__":
    sys.exit(main())
