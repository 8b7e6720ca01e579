"""Open JupyterLab on a copy of the notebooks, so that running and saving them leaves the originals.

    python tools/lab.py              lab/ is made, or brought up to date, and JupyterLab opens on it
    python tools/lab.py --edit       on the originals, in notebooks/: saving one writes its twin

A notebook in lab/ that you have changed stays as you left it; the others follow their originals.
Formgrader works on the course itself, notebooks/. What stands after `--` goes to JupyterLab.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

from lessons import PROGRAMS, ROOT, path_with_programs

NOTEBOOKS, LAB = ROOT / "notebooks", ROOT / "lab"
FOLDERS = ("", "recipes", "exercises/*", "solutions/*")
COPIED = ".copied.json"  # {a notebook's place: the digest of what was copied}


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def refresh(lab: Path = LAB, notebooks: Path = NOTEBOOKS) -> list[str]:
    """Bring the copies up to date. Returns: those that were changed by hand, and so left alone."""
    lab.mkdir(exist_ok=True)
    known = lab / COPIED
    copied = json.loads(known.read_text(encoding="utf-8")) if known.exists() else {}
    left = []
    for folder in FOLDERS:
        for original in sorted(notebooks.glob(f"{folder}/*.ipynb".lstrip("/"))):
            place = original.relative_to(notebooks).as_posix()
            copy, now = lab / place, digest(original)
            if copy.exists() and digest(copy) not in (copied.get(place), now):
                if copied.get(place) != now:
                    left.append(place)
                continue
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(original, copy)
            copied[place] = now
    known.write_text(json.dumps(copied, indent=1), encoding="utf-8")
    return left


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--edit", action="store_true", help="open the originals")
    parser.add_argument("more", nargs="*", help="arguments for JupyterLab, after --")
    options = parser.parse_args()
    if not options.edit:
        for place in refresh():
            print(f"lab/{place}: yours; its original is newer (delete yours to get it)")
        print(f"Your copies are in {LAB}: save what you like, the course stays as it is.")
    os.chdir(NOTEBOOKS)  # where nbgrader's configuration lies
    os.environ["PATH"] = path_with_programs()
    first = "notebooks" if options.edit else "lab"
    settings = [f"--ServerApp.root_dir={ROOT}", f"--LabApp.default_url=/lab/tree/{first}"]
    os.execv(PROGRAMS / "jupyter", ["jupyter", "lab", *settings, *options.more])


if __name__ == "__main__":
    sys.exit(main())
