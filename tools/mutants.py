r"""Which mistakes in the library would no test notice? One small change at a time, and its tests.

    python tools/mutants.py --sample 150 --seed 1
    python tools/mutants.py --module estimators --module noise --jobs 2

The changes are cosmic-ray's, and two of our own; which of them, and which tests, is said in
pyproject.toml, [tool.mutants]. Nothing on disk is changed: this process imports TensorFlow, runs
nothing on it, and forks a child for every mutant, which imports the changed source from memory and
runs pytest on the tests that reach the changed lines, those first that killed others. What was
killed stays killed while its module is the same, what survived while the tests are: after an
interruption the same command goes on. build/mutants.txt has the table and the survivors.
"""

import argparse
import gc
import hashlib
import importlib
import json
import os
import random
import sqlite3
import sys
import time
import tomllib
from collections import Counter
from pathlib import Path

from cosmic_ray.mutating import mutate_code
from mutant_child import Child, Mutated, Watch, run_pytest
from mutant_operators import difference, equivalents, mutants_of

OUTCOMES = ("killed", "survived", "timed out", "not compiled", "equivalent")


def digest(*texts):
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


class Session:
    """The library, its tests and what is known of both, in build/mutants.sqlite."""

    def __init__(self, root):
        self.root = root
        with open(root / "pyproject.toml", "rb") as file:
            self.config = tomllib.load(file)["tool"]["mutants"]
        self.package = self.config["package"]
        (root / "build").mkdir(exist_ok=True)
        self.store = sqlite3.connect(root / "build" / "mutants.sqlite", isolation_level=None)
        self.store.execute(
            "create table if not exists results (mutant primary key, tests, module, outcome, test)"
        )
        self.store.execute("create table if not exists baselines (key primary key, value)")
        self.known_equivalent = equivalents(root / "tools" / "mutants_equivalent.txt")
        self.sources = {
            path.stem: path.read_text(encoding="utf-8")
            for path in sorted((root / self.package).glob("*.py"))
        }

    def path(self, module):
        return self.root / self.package / f"{module}.py"

    def tests_of(self, module):
        """Its own file first, then those that the configuration names; those that there are."""
        more = self.config["tests"].get(module, []) + self.config["tests"].get("all", [])
        files = dict.fromkeys([f"tests/test_{module}.py", *more])
        return [name for name in files if (self.root / name).exists()]

    def baseline(self, files):
        """{"times": {test: seconds}, "reached": {module: {line: contexts}}}, and all tests pass."""
        texts = [p.read_text(encoding="utf-8") for p in sorted((self.root / "tests").glob("*.py"))]
        self.tests_key = digest(*texts)
        key = digest(self.tests_key, *self.sources.values(), *files)
        kept = self.store.execute("select value from baselines where key = ?", [key]).fetchone()
        if kept:
            return json.loads(kept[0])
        print(f"Running {len(files)} test files as they are ...", flush=True)

        def measured(folder):
            import coverage

            watched = coverage.Coverage(
                data_file=None, config_file=False, include=[f"{self.root / self.package}/*"]
            )
            watched.start()
            done = run_pytest(folder, files, Watch(coverage=watched))
            watched.stop()
            data = watched.get_data()
            done["reached"] = {
                name: data.contexts_by_lineno(str(self.path(name))) for name in self.sources
            }
            return done

        child = Child(measured, 3600)
        while (ended := child.ended()) is None:
            time.sleep(0.05)
        found, _, output = ended
        if not found or found["code"]:
            raise SystemExit(f"{output[-4000:]}\nThe tests fail as they are: mend them first.")
        self.store.execute("insert into baselines values (?, ?)", [key, json.dumps(found)])
        return self.baseline(files)

    def order(self, module, lines, baseline):
        """The tests that reach these lines, so many as there is time for.

        Those that kill often and quickly come first, and others than the module's own last.
        """
        reached = baseline["reached"][module]
        contexts = {c for n in range(lines[0], lines[1] + 1) for c in reached.get(str(n), ())}
        files = self.tests_of(module)
        names = [t for t in baseline["times"] if t.partition("::")[0] in files]
        if "" not in contexts:  # "": a line that import runs
            names = [t for t in names if contexts & {t, t.partition("::")[0]}]
        kills = "select test, count(*) from results where module = ? group by test"
        kills = dict(self.store.execute(kills, [module]))

        def cost(name):
            elsewhere = not name.startswith(f"tests/test_{module}.py")
            return (0.01 + baseline["times"][name] + elsewhere) / (1 + kills.get(name, 0))

        order, seconds = [], 0.0
        for name in sorted(names, key=cost):
            seconds += baseline["times"][name]
            if not order or seconds < self.config["seconds"]:
                order.append(name)
        return order

    def run(self, mutant, mutated, baseline):
        """A child at work on a mutant, or None where no test reaches it."""
        module, *_, lines = mutant
        order = self.order(module, lines, baseline)
        if not order:
            return None

        def tested(folder):
            name = f"{self.package}.{module}"
            sys.meta_path.insert(0, Mutated(name, self.path(module), mutated))
            files = dict.fromkeys(name.partition("::")[0] for name in order)
            return run_pytest(folder, list(files), Watch(order=order))

        usual = sum(baseline["times"][name] for name in order)
        more = self.config.get("seconds_more", 30)  # a busy machine, a compilation
        return Child(tested, self.config["timeout"] * usual + more)

    def all_mutants(self, modules):
        for module in modules:
            yield from mutants_of(module, self.sources[module], self.config["operators"])

    def key(self, mutant):
        return digest(self.sources[mutant[0]], mutant[1], str(mutant[2]))

    def kept(self, mutant):
        """What an earlier run found, where it still holds."""
        found = self.store.execute(
            "select outcome, test, tests from results where mutant = ?", [self.key(mutant)]
        ).fetchone()
        return found if found and (found[0] == "killed" or found[2] == self.tests_key) else None

    def keep(self, mutant, outcome, test=None):
        values = (self.key(mutant), self.tests_key, mutant[0], outcome, test)
        self.store.execute("insert or replace into results values (?, ?, ?, ?, ?)", values)
        print(f"{outcome:>12}  {mutant[0]}:{mutant[4]} {mutant[1]}  {test or ''}", flush=True)


def work(session, mutants, jobs):
    """Runs what is not known yet, `jobs` at a time."""
    files = dict.fromkeys(f for m in {m[0]: 0 for m in mutants} for f in session.tests_of(m))
    baseline = session.baseline(list(files))
    waiting, running = [m for m in mutants if not session.kept(m)], {}
    while waiting or running:
        while waiting and len(running) < jobs:
            mutant = waiting.pop(0)
            before = session.sources[mutant[0]]
            mutated = mutate_code(before, mutant[3], mutant[2])
            try:
                compile(mutated, "", "exec", dont_inherit=True)
            except (SyntaxError, ValueError):
                session.keep(mutant, "not compiled")
                continue
            if (mutant[0], mutant[1], *difference(before, mutated)) in session.known_equivalent:
                session.keep(mutant, "equivalent")
            elif child := session.run(mutant, mutated, baseline):
                running[child] = mutant
            else:
                session.keep(mutant, "survived", "no test reaches it")
        for child in list(running):
            if (ended := child.ended()) is not None:
                found, late, output = ended
                mutant = running.pop(child)
                if late:
                    session.keep(mutant, "timed out")
                elif found and found["code"] == 0:
                    session.keep(mutant, "survived")
                else:  # a test failed, an import did, or the process died
                    session.keep(mutant, "killed", found and found["failed"])
        time.sleep(0.01)


def report(session, mutants):
    """The table and the survivors, as text."""
    found = [(m, *(session.kept(m) or ("not run", None, None))[:2]) for m in mutants]
    counts = Counter((m[0], outcome) for m, outcome, _ in found)
    lines = ["".join(f"{name:>14}" for name in ("module", *OUTCOMES, "not run"))]
    for module in dict.fromkeys(m[0] for m in mutants):
        row = [counts[module, outcome] for outcome in (*OUTCOMES, "not run")]
        lines.append(f"{module:>14}" + "".join(f"{n:>14}" for n in row))
    for mutant, outcome, test in found:
        if outcome in ("survived", "timed out"):
            before = session.sources[mutant[0]]
            place = session.path(mutant[0]).relative_to(session.root)
            why = f" ({test or outcome})" if test or outcome != "survived" else ""
            lines += ["", f"{place}:{mutant[4]} {mutant[1]}:{why}"]
            lines += difference(before, mutate_code(before, mutant[3], mutant[2]))
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--module", action="append", help="one of the library's, such as noise")
    parser.add_argument("--sample", type=int, help="so many mutants, drawn by chance")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    session = Session(Path.cwd())
    known = [m for m in session.config["modules"] if m in session.sources]
    if unknown := set(options.module or ()) - set(session.sources):
        parser.error(f"no module {', '.join(sorted(unknown))} in {session.package}")
    mutants = list(session.all_mutants(options.module or known))
    if options.sample and options.sample < len(mutants):
        mutants = random.Random(options.seed).sample(mutants, options.sample)
        mutants.sort(key=lambda m: (m[0], m[4]))
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # they take longer than most tests
    sys.path[:0] = [str(session.root), str(session.root / "tests")]
    for name in session.config.get("preload", ()):
        importlib.import_module(name)  # once, here, and not in every child
    gc.freeze()  # children's collections pass all of it over: half of a short test's time
    began = time.monotonic()
    try:
        work(session, mutants, options.jobs)
    finally:
        text = report(session, mutants)
        (session.root / "build" / "mutants.txt").write_text(text, encoding="utf-8")
        print(f"\n{text}\n{(time.monotonic() - began) / 60:.1f} minutes; build/mutants.txt")


if __name__ == "__main__":
    main()
