"""Shared by all tests: a quiet TensorFlow, fixed seeds, the digits, and a browser."""

import os
import shutil
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")

import keras
import pytest

ROOT = Path(__file__).resolve().parent.parent


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
    sys.path.insert(0, str(ROOT / "tools"))
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
