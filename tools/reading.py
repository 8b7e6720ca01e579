"""What a lesson asks of its reader, counted, and the numbers in its prose that nothing computes.

    python tools/reading.py           a table of all lessons, and what is beyond the limits
    python tools/reading.py 03        those whose names begin so

The main path is what neither the tag "fold" nor <details> folds away. A word is a word: a formula
between dollar signs is one, a display equation none. A number in the prose has to come, rounded,
from an output or from the code (its comments do not count) of its own lesson; a paragraph that
names a paper with its year may quote one.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass, field
from decimal import Decimal

import nbformat
from lessons import ROOT, is_folded, lessons_in

WORDS, FOLDED_WORDS, CODE_LINES, LONGEST = 1800, 800, 220, 40  # LONGEST: words of a sentence
DETAILS = re.compile(r"<details.*?</details>", re.S)
DISPLAY, INLINE = re.compile(r"\$\$.*?\$\$", re.S), re.compile(r"\$[^$]+\$")
CODE, LINK = re.compile(r"`[^`]*`"), re.compile(r"\]\([^)]*\)")
# Not a quantity: an equation (2.3), a lesson's or an exercise's number, a year, a figure of a name.
NAMED = re.compile(
    r"\(\d+\.\d+[a-z]?\)|[Ll]essons? \d+[ab]?(?:(?:,| and|–) ?\d+[ab]?)*|[Ee]xercises? \d+\.\d+|"
    r"[Ss]ection \d[\d.]*|§ ?\d+|\b(?:19|20)\d\d\b|\bCVAE-\d|\b\d+:\d+|[A-Za-z]+\d+\b|[Pp]age \d+|"
    r"\barXiv[: ][\d.]+|^\s*\d+\. |\d+ min"
)
QUOTED = re.compile(r"\b(?:19|20)\d\d\b")  # a paper's year
NUMBER = re.compile(r"(?<![\w.])(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?(?![\w.]*\d)")


@dataclass
class Reading:
    """What one lesson asks of its reader."""

    words: int = 0
    folded_words: int = 0
    code_lines: int = 0
    long_sentences: list[str] = field(default_factory=list)
    unshown: list[str] = field(default_factory=list)
    open_folds: list[str] = field(default_factory=list)

    def faults(self) -> list[str]:
        """In a sentence each, what is beyond the limits."""
        limits = (
            (self.words, WORDS, "words on the main path"),
            (self.folded_words, FOLDED_WORDS, "folded words"),
            (self.code_lines, CODE_LINES, "visible lines of code"),
        )
        faults = [f"{n} {what}, more than {most}" for n, most, what in limits if n > most]
        faults += [f"a fold that no heading begins, or ends: {f}" for f in self.open_folds]
        faults += [f"a sentence of more than {LONGEST} words: {s}" for s in self.long_sentences]
        return faults + [f"a number that the lesson does not show: {n}" for n in self.unshown]


def words_of(text: str) -> list[str]:
    """The words of a text cell; an inline formula is one, a display equation none."""
    plain = INLINE.sub("X", DISPLAY.sub(" ", LINK.sub("]", CODE.sub("X", text))))
    return [word for word in plain.split() if re.search(r"\w", word)]


def sentences_of(text: str) -> list[str]:
    """The sentences of a text cell, items of lists and cells of tables apart."""
    plain = INLINE.sub("X", DISPLAY.sub(". ", LINK.sub("]", CODE.sub("X", text))))
    blocks = re.split(r"\n\s*\n|\n\s*[-*|] |\n\s*\d+\. |\|", plain)
    return [s for block in blocks for s in re.split(r"(?<=[.:;?!])[\s*]+", " ".join(block.split()))]


def shown_by(cell) -> set[str]:
    """The numbers in a code cell, its comments apart, and in all that it prints."""
    parts = [re.sub(r"#.*", "", cell.source)]
    for output in cell.outputs:
        parts += [output.get("text", ""), str(output.get("data", {}).get("text/plain", ""))]
    text = re.sub(r"(?<=\d)[,_](?=\d{3})", "", "\n".join(parts))
    return set(re.findall(r"\d+(?:\.\d+)?(?:e-?\d+)?", text))


def numbers_in(text: str) -> list[str]:
    """The quantities that a text states in digits: of two figures or more, or with a decimal."""
    plain = NAMED.sub(" ", LINK.sub("]", CODE.sub(" ", DISPLAY.sub(" ", text))))
    plain = plain.replace("{,}", ",").replace("−", "-")
    found = [whole.replace(",", "") + (part or "") for whole, part in NUMBER.findall(plain)]
    return [n for n in found if "." in n or len(n) > 1]


def is_shown(number: str, shown: set[str]) -> bool:
    """Whether a number, or its hundredth where it is a share in per cent, rounds from one shown.

    One that is shown with fewer digits says nothing: an integer 2 is no 2.00.
    """
    stated = Decimal(number)
    step = Decimal(1).scaleb(stated.as_tuple().exponent)
    all_of = [m for n in map(Decimal, shown) for m in (n, n.scaleb(2))]  # and in per cent
    fine = [m for m in all_of if m.as_tuple().exponent <= step.adjusted()]
    return any(abs(n - stated) * 2 <= step for n in fine)


def read(notebook) -> Reading:
    """Counts a lesson, and looks for each number of its prose in its code and its outputs."""
    reading, texts, shown = Reading(), [], {"100"}  # per cent
    inside_fold = False
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        is_heading = cell.cell_type == "markdown" and cell.source.startswith(("## ", "### "))
        if is_folded(cell) != inside_fold and not is_heading:  # JupyterLab folds up to a heading
            reading.open_folds.append(cell.source[:40])
        inside_fold = is_folded(cell)
        if cell.cell_type == "code":
            if not (is_folded(cell) or "hide-input" in tags):
                lines = [line for line in cell.source.splitlines() if line.strip()]
                reading.code_lines += len([x for x in lines if not x.startswith("# NBVAL_")])
            shown |= shown_by(cell)
            continue
        texts.append(cell.source)
        inside = " ".join(DETAILS.findall(cell.source))
        main = DETAILS.sub(" ", cell.source)
        reading.folded_words += len(words_of(cell.source if is_folded(cell) else inside))
        if not is_folded(cell) and not main.startswith("## References"):
            reading.words += len(words_of(main))
        if not main.startswith("## References"):
            long = [s for s in sentences_of(main) if len(s.split()) > LONGEST]
            reading.long_sentences += long
    for text in texts:
        for block in [] if text.startswith("## References") else re.split(r"\n\s*\n", text):
            if not QUOTED.search(block):
                reading.unshown += [n for n in numbers_in(block) if not is_shown(n, shown)]
    return reading


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="beginnings of names, such as 01 (default: all)")
    options = parser.parse_args()
    faults = {}
    print(f"{'lesson':32}{'words':>7}{'folded':>8}{'lines of code':>15}")
    for path in lessons_in(ROOT / "notebooks"):
        if not path.stem.startswith(tuple(options.names or [""])):
            continue
        found = read(nbformat.read(path, as_version=4))
        print(f"{path.stem:32}{found.words:7}{found.folded_words:8}{found.code_lines:15}")
        faults[path.stem] = found.faults()
    for name, each in faults.items():
        for fault in each:
            print(f"{name}: {fault}")
    return 1 if any(faults.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
