r"""Which mistakes in the library would no test notice? One small change at a time, and its tests.

    python tools/mutants.py --sample 150 --seed 1
    python tools/mutants.py --module estimators --module noise --jobs 2

The changes are cosmic-ray's, and two of our own; which of them, and which tests, is said in
pyproject.toml, [tool.mutants]. Nothing on disk is changed: this process imports TensorFlow, runs
nothing on it, and forks a child for every mutant, which imports the changed source from memory and
runs pytest on the tests that reach the changed lines, those first that killed others. While a
module is the same, its killed mutants are not run again as long as there is the test that killed
them, and the others as long as no test has changed: after an interruption the same command goes
on. build/mutants.txt has the table and the survivors, build/mutants.sqlite all that is known.
"""

import argparse
import gc
import importlib
import os
import random
import sys
import time
from collections import Counter
from pathlib import Path

from cosmic_ray.mutating import mutate_code
from mutant_operators import difference
from mutant_session import Session

OUTCOMES = ("killed", "survived", "timed out", "not compiled", "equivalent")


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
                found, late, _ = ended
                mutant = running.pop(child)
                if late:
                    session.keep(mutant, "timed out")
                elif found and found["code"] == 0:
                    session.keep(mutant, "survived")
                else:  # a test failed, an import did, or the process died
                    session.keep(
                        mutant, "killed", (found or {}).get("failed") or "no end of pytest"
                    )
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
