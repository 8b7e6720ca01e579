"""`make lab`, in a browser: what is opened, run and saved leaves the course as it is."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import lab  # noqa: E402
from browser import BROWSER, Browser  # noqa: E402
from lessons import A_CLASS  # noqa: E402

SLIDERS = """import numpy as np
from cvae_tf import plotting
def draw(hair, light_from_left):
    return plotting.image_grid(np.full((2, 64), hair * light_from_left))
ends = (0.0, 1.0, 0.5)
plotting.explore(draw, alt="Two grey images.", hair=ends, light_from_left=ends)
"""


# --- The copies ----------------------------------------------------------------------------------


def test_a_copy_follows_its_original_until_it_is_changed(tmp_path):
    originals, copies = tmp_path / "notebooks", tmp_path / "lab"
    (originals / "recipes").mkdir(parents=True)
    lesson, recipe = originals / "01_a.ipynb", originals / "recipes" / "b.ipynb"
    lesson.write_text("one")
    recipe.write_text("one")
    assert lab.refresh(copies, originals) == []
    assert (copies / "01_a.ipynb").read_text() == "one"

    (copies / "recipes" / "b.ipynb").write_text("mine")
    assert lab.refresh(copies, originals) == []  # changed, and its original is as it was
    lesson.write_text("two")
    recipe.write_text("two")
    for _ in range(2):
        assert lab.refresh(copies, originals) == ["recipes/b.ipynb"]
        assert (copies / "01_a.ipynb").read_text() == "two"
        assert (copies / "recipes" / "b.ipynb").read_text() == "mine"
    (copies / "recipes" / "b.ipynb").unlink()
    assert lab.refresh(copies, originals) == []
    assert (copies / "recipes" / "b.ipynb").read_text() == "two"


# --- In the browser ------------------------------------------------------------------------------


def content(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A copy of the project with JupyterLab on it, as `make lab` starts it: (folder, address)."""
    if BROWSER is None:
        pytest.skip("no Chromium on this machine to open JupyterLab in")
    project = tmp_path_factory.mktemp("project")
    for name in ("tools", "data", "cvae_tf"):
        shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(
        ROOT / "notebooks", project / "notebooks",
        ignore=shutil.ignore_patterns(*A_CLASS),
    )  # fmt: skip
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    names = "HOME JUPYTER_CONFIG_DIR JUPYTER_DATA_DIR JUPYTER_RUNTIME_DIR IPYTHONDIR".split()
    home = {name: str(project / "home" / name) for name in names}
    environment = {**os.environ, **home, "PYTHONPATH": str(project), "JUPYTER_PLATFORM_DIRS": "1"}
    environment.pop("CVAE_TF_STATIC", None)
    more = ["--no-browser", f"--port={port}", "--ServerApp.token=", "--allow-root",
            "--LabApp.expose_app_in_browser=True"]  # fmt: skip
    server = subprocess.Popen(
        [sys.executable, "tools/lab.py", "--", *more], cwd=project, env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        for _ in range(600):
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        else:
            pytest.fail("JupyterLab does not answer")
        yield project, f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def opened(page, place: str) -> None:
    """Open a notebook of the running JupyterLab, and wait for its kernel."""
    page.wait_for("!!window.jupyterapp?.shell", 60)
    page.evaluate(
        "jupyterapp.restored.then(() => jupyterapp.commands.execute('docmanager:open', "
        f"{{path: '{place}'}})).then(it => {{ window.it = it; return it.context.ready; }})"
        ".then(() => it.sessionContext.ready).then(() => it.sessionContext.session.kernel.info)"
        ".then(() => 1)"
    )


@pytest.mark.slow
def test_formgrader_lists_the_course(served):
    project, address = served
    with Browser(local=True) as browser:
        page = browser.open(f"{address}/formgrader")
        names = sorted(path.parent.name for path in project.glob("notebooks/solutions/*/*.ipynb"))
        page.wait_for(f"document.body.innerText.includes('{names[-1]}')", 60)
        text = page.evaluate("document.body.innerText")
        assert [name for name in names if name not in text] == []


@pytest.mark.slow
def test_sliders_move_the_one_figure_and_saving_leaves_the_course(served):
    project, address = served
    before = content(project / "notebooks")
    (project / "lab").mkdir(exist_ok=True)
    cell = nbformat.v4.new_code_cell(SLIDERS)
    notebook = nbformat.v4.new_notebook(cells=[cell])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, project / "lab" / "sliders.ipynb")
    with Browser(local=True) as browser:
        page = browser.open(f"{address}/lab?reset")
        opened(page, "lab/sliders.ipynb")
        page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells').then(() => 1)")
        page.wait_for("!!document.querySelector('.noUi-handle') && "
                      "!!document.querySelector('.jp-OutputArea img')", 120)  # fmt: skip
        assert page.evaluate("document.querySelectorAll('.jp-OutputArea img').length") == 1
        assert page.evaluate(
            "[...document.querySelectorAll('.widget-label')].map(label => label.textContent)"
        ) == ["hair", "light from left"]

        waits = []
        for _ in range(5):
            page.evaluate(
                "window.shown = () => document.querySelector('.jp-OutputArea img')?.src;"
                "window.old = shown(); window.began = performance.now(); window.took = null;"
                "new MutationObserver((_, watch) => { if (shown() && shown() !== old) {"
                "  took = performance.now() - began; watch.disconnect(); } })"
                ".observe(document.body, {subtree: true, childList: true, attributes: true});"
                "document.querySelector('.noUi-handle').focus(); 1"
            )
            page.key("ArrowRight")
            page.wait_for("took !== null", 20)
            waits.append(page.evaluate("took"))
        print(f"a slider is followed within {sorted(waits)[2]:.0f} ms (median of five)")

        for place in ("01_the_bound", "exercises/01_the_bound/01_the_bound", "recipes/table"):
            opened(page, f"lab/{place}.ipynb")
            page.evaluate("it.context.save().then(() => 1)")
    assert content(project / "notebooks") == before
