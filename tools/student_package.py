"""What students get: one archive with exercises, library, data and pins, and no answers.

    python tools/student_package.py        build/cvae-exercises.zip

`make students` is the same. tests/test_grading.py looks through it for lines of the solutions.
"""

from __future__ import annotations

import argparse
import sys
import zipfile
from pathlib import Path

import nbformat
from lessons import ROOT

NAME = "cvae-exercises"
FILES = {
    "cvae_tf/py.typed": "cvae_tf/py.typed",
    "pyproject.toml": "pyproject.toml",
    "PACKAGE.md": "PACKAGE.md",
    "LICENSE": "LICENSE",
    "LICENSE-lessons": "LICENSE-lessons",
    "requirements.txt": "constraints.txt",
}
README = """# Exercises on conditional variational autoencoders

Set up, once, with Python 3.11 (3.12 and 3.13 are allowed for); a few minutes, and the network:

    python3.11 -m venv .venv
    .venv/bin/pip install -c constraints.txt -e ".[plot]" jupyterlab ipywidgets

Then, without the network:

    .venv/bin/jupyter lab exercises

Open an exercise, put your code in the place of the line that raises an error, and run the check
below it: it prints your value beside the true one, or says what is wrong.

Before you hand in: run all cells once more from the top (Kernel, Restart and Run All), save, and
hand in the one .ipynb file under its own name. Leave the checks where they are and as they are.

On Windows take the Windows Subsystem for Linux; nothing else has been tried there.
"""


def contents() -> dict[str, Path]:
    """The files of the package, and where each lies in the project."""
    found = {inside: ROOT / path for path, inside in FILES.items()}
    for pattern in ("cvae_tf/*.py", "data/*.npz", "data/README.md"):
        found |= {path.relative_to(ROOT).as_posix(): path for path in sorted(ROOT.glob(pattern))}
    for folder in sorted((ROOT / "notebooks" / "exercises").glob("[0-9][0-9]_*")):
        path = folder / f"{folder.name}.ipynb"
        refuse_answers(path)
        found[f"exercises/{folder.name}/{path.name}"] = path
    return found


def refuse_answers(path: Path) -> None:
    """Raises where somebody has worked in a students' copy."""
    for cell in nbformat.read(path, as_version=4).cells:
        facts = cell.metadata.get("nbgrader", {})
        if facts.get("solution") and "raise NotImplementedError" not in cell.source:
            raise SystemExit(f"{path}: {facts['grade_id']} is answered. `git restore` it first.")


def write(archive: Path) -> int:
    """Make the archive, all in one folder of it. Returns: how many files."""
    found = contents()
    archive.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(f"{NAME}/README.md", README)
        for inside, path in found.items():
            file.write(path, f"{NAME}/{inside}")
    return len(found) + 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive", nargs="?", type=Path, default=ROOT / "build" / f"{NAME}.zip")
    archive = parser.parse_args().archive
    number = write(archive)
    size = archive.stat().st_size / 1e6
    print(f"{archive}: {number} files, {size:.1f} MB. See README.md in it.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
