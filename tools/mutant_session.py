"""What is known of the library, its tests and its mutants: sources, baseline, results, on disk."""

import hashlib
import json
import sqlite3
import sys
import time
import tomllib

from mutant_child import Child, Mutated, Watch, run_pytest
from mutant_operators import equivalents, mutants_of


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

        tests = sorted((root / "tests").glob("*.py"))
        self.tests_key = digest(*(path.read_text(encoding="utf-8") for path in tests))
        self.times = {}  # of the tests that pass on the library as it is

    def path(self, module):
        return self.root / self.package / f"{module}.py"

    def tests_of(self, module):
        """Its own file first, then those that the configuration names; those that there are."""
        more = self.config["tests"].get(module, []) + self.config["tests"].get("all", [])
        files = dict.fromkeys([f"tests/test_{module}.py", *more])
        return [name for name in files if (self.root / name).exists()]

    def baseline(self, files):
        """{"times": {test: seconds}, "reached": {module: {line: contexts}}}, and all tests pass."""
        key = digest(self.tests_key, *self.sources.values(), *files)
        kept = self.store.execute("select value from baselines where key = ?", [key]).fetchone()
        if kept:
            found = json.loads(kept[0])
            self.times = found["times"]
            return found
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
        holds = found and (found[2] == self.tests_key or found[1] in self.times)
        return found if holds else None

    def keep(self, mutant, outcome, test=None):
        values = (self.key(mutant), self.tests_key, mutant[0], outcome, test)
        self.store.execute("insert or replace into results values (?, ?, ?, ?, ?)", values)
        print(f"{outcome:>12}  {mutant[0]}:{mutant[4]} {mutant[1]}  {test or ''}", flush=True)
