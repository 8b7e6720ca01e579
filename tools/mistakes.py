"""The mistake bank: answers to the exercises as students give them, wrong and right.

notebooks/mistakes/NN_name.py holds them, one cell each, under a line that says what it is:

    # %% mistake kl: averages over the dimensions, where a divergence is their sum
    # %% right kl: written with einsum

The tests put them all to the checks, `make test-long` through nbgrader; the lecturer's page lists
the misconceptions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

HEADER = re.compile(r"^# %% (mistake|right) (\w+): (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Answer:
    """An answer to one task: the whole cell, and what it shows."""

    right: bool
    task: str
    says: str
    code: str


def read(path: Path) -> list[Answer]:
    """The answers in a file of the bank, in order."""
    _, *parts = HEADER.split(path.read_text(encoding="utf-8"))
    return [
        Answer(kind == "right", task, says.strip(), code.strip() + "\n")
        for kind, task, says, code in zip(*[iter(parts)] * 4, strict=True)
    ]


def submissions(answers: list[Answer], tasks: list[str]) -> list[dict[str, Answer]]:
    """Answers gathered into as few submissions as show each mistake beside right answers.

    Each submission answers every second task wrongly and the tasks between rightly, so that a
    mistake that also cost another task its points would be seen. Every answer of the bank is in
    one of them at least.
    """
    wrong = {t: [a for a in answers if a.task == t and not a.right] for t in tasks}
    right = {t: [a for a in answers if a.task == t and a.right] for t in tasks}
    handed_in = []
    for parity in (0, 1):
        rounds = zip_longest(
            *(wrong[t] if i % 2 == parity else right[t] for i, t in enumerate(tasks))
        )
        for answered in rounds:
            chosen = {}
            for i, (task, answer) in enumerate(zip(tasks, answered, strict=True)):
                if answer is None and i % 2 != parity and right[task]:
                    answer = right[task][0]
                if answer is not None:
                    chosen[task] = answer
            handed_in.append(chosen)
    return handed_in
