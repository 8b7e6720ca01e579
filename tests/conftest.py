"""Shared by all tests: a quiet TensorFlow, fixed seeds, the digits, a browser, and the site."""

import os
import shutil
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")

import keras
import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))


@pytest.fixture(autouse=True)
def _fixed_seed():
    keras.utils.set_random_seed(0)


@pytest.fixture(scope="session")
def digits():
    from cvae_tf import datasets

    return datasets.digits()


@pytest.fixture(scope="module")
def browser():
    """Chromium without a network (tools/browser.py), where there is one."""
    from browser import BROWSER, Browser

    if BROWSER is None:
        pytest.skip("no Chromium on this machine")
    with Browser() as one:
        yield one


@pytest.fixture(scope="module")
def explore_page(tmp_path_factory):
    """explore.html beside its scripts, as on the site."""
    folder = tmp_path_factory.mktemp("explore")
    shutil.copy(ROOT / "docs" / "_extra" / "explore.html", folder)
    shutil.copytree(ROOT / "docs" / "_static", folder / "_static")
    return folder / "explore.html"


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The site from what is stored; of several workers the first builds it, and the others wait."""
    if given := os.environ.get("CVAE_TF_SITE"):  # one that is built already
        return Path(given).resolve()
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, ended = shared / "course", shared / "course-ended"
    try:
        folder.mkdir()
    except FileExistsError:
        while not ended.exists():
            time.sleep(1)
        return folder / "site"
    try:
        import site_pages
        from lessons import Run, lessons_in, recipes_in

        notebooks = ROOT / "notebooks"
        runs, recipes = (
            [Run(path.stem, nbformat.read(path, as_version=4)) for path in paths]
            for paths in (lessons_in(notebooks), recipes_in(notebooks))
        )
        site_pages.build(runs, folder / "site", "As stored.", recipes)
    finally:
        ended.touch()
    return folder / "site"
