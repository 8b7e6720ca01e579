"""The decks: what is in them, that they need nothing else, and that a browser gets to their end."""

import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import site_pages  # noqa: E402
import slides  # noqa: E402
import sync  # noqa: E402
from browser import BROWSER  # noqa: E402

LESSONS = sorted((ROOT / "notebooks").glob("[0-9][0-9]*_*.ipynb"))

# Presses "next" to the end, then writes what it met into the page.
WALK = """
<script>
window.faults = [];
addEventListener("error", event => faults.push(String(event.message)), true);
addEventListener("load", async () => {
  while (!document.documentElement.dataset.ready) await new Promise(done => setTimeout(done, 50));
  let seen = 1;
  for (; !Reveal.isLastSlide() && seen < 500; seen++) {
    Reveal.next();
    const slide = Reveal.getCurrentSlide(), box = slide.getBoundingClientRect();
    if (box.bottom > innerHeight + 4) faults.push("too tall: " + slide.innerText.slice(0, 40));
    if (parseFloat(slide.style.zoom || 1) < 0.5)
      faults.push("too small: " + slide.innerText.slice(0, 40));
  }
  const count = what => document.querySelectorAll(what).length;
  document.body.innerHTML = "<pre>RESULT" + JSON.stringify({
    seen, total: Reveal.getTotalSlides(), faults, equations: count("mjx-container"),
    misset: count("[data-mjx-error], mjx-merror"), pictures: document.images.length,
    without_alt: [...document.images].filter(image => !image.alt).length
  }) + "END</pre>";
});
</script>
"""


def cell(kind, source, *tags):
    make = nbformat.v4.new_code_cell if kind == "code" else nbformat.v4.new_markdown_cell
    return make(source, metadata={"tags": list(tags)})


def test_each_cell_knows_its_place_in_the_deck():
    cells = [
        cell("markdown", "# 1 · A lesson\n\nWhy?"),
        cell("code", "import numpy as np"),
        cell("markdown", "## A section"),
        cell("code", "draw()", "hide-input"),
        cell("markdown", "*What is to be seen.*"),
        cell("markdown", "**Predict before you look.** Which?"),
        cell("code", "long_check()", "skip"),
        cell("markdown", "**Speaker, 4 min.** Ask.", "notes"),
    ]
    notebook = slides.mark(nbformat.v4.new_notebook(cells=cells))
    kinds = [c.metadata.slideshow.slide_type for c in notebook.cells]
    assert kinds == ["slide", "skip", "slide", "subslide", "-", "subslide", "skip", "notes"]


def test_a_deck_holds_what_it_needs_and_hides_what_draws():
    figure = nbformat.v4.new_output(
        "display_data", {"image/png": "iVBORw0KGgo="}, metadata={"image/png": {"alt": "A curve"}}
    )
    drawing = cell("code", "secret_of_the_plot()", "hide-input")
    drawing.outputs = [figure]
    shown = cell("code", "# NBVAL_CHECK_OUTPUT\nprint(shown)")
    notes = cell("markdown", "**Speaker, 4 min.** Ask them.", "notes")
    cells = [cell("markdown", "# 1 · A lesson"), shown, drawing, notes]
    page = slides.deck(nbformat.v4.new_notebook(cells=cells))
    assert "secret_of_the_plot" not in page and "NBVAL" not in page
    assert 'alt="A curve"' in page and "Speaker, 4 min" in page
    own = page[: page.index("<script>")] + page[page.index("<body") :]  # not MathJax's sources
    own = re.sub(r"<script>.*?</script>", "", own, flags=re.S)
    assert re.findall(r"""<(?:script|link|img)\b[^>]*(?:src|href)=["'](?!data:)""", own) == []
    assert "@import" not in page and "MathJax" in page and "RevealNotes" in page


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine to present the decks in")
@pytest.mark.parametrize("path", LESSONS, ids=[path.stem for path in LESSONS])
def test_a_browser_without_network_gets_to_the_last_slide(path, tmp_path):
    page = slides.deck(nbformat.read(path, as_version=4))
    deck = tmp_path / "deck.html"
    deck.write_text(page.replace("</head>", WALK + "</head>", 1), encoding="utf-8")
    done = subprocess.run(
        [
            BROWSER, "--headless", "--no-sandbox", "--disable-gpu",
            "--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--window-size=1280,720", "--virtual-time-budget=60000", "--dump-dom", deck.as_uri(),
        ],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    found = re.search(r"RESULT(\{.*\})END", done.stdout)
    assert found, done.stderr[-2000:]
    result = json.loads(found[1])
    assert result["seen"] == result["total"] >= 15
    assert result["faults"] == [] and result["misset"] == 0 and result["without_alt"] == 0
    assert result["equations"] > 5 and result["pictures"] >= 2


def test_a_fold_opens_on_the_page_and_is_left_out_of_the_deck():
    text, code = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell
    tagged = {"metadata": {"tags": ["fold"]}}
    cells = [text("# One"), text("### Does it agree?\n\nIt does.", **tagged)]
    cells += [code("check = 1", execution_count=1, **tagged), text("### Two", **tagged)]
    notebook = nbformat.v4.new_notebook(cells=[*cells, text("## Three")])
    page = [cell.source for cell in site_pages.for_reading(notebook).cells]
    opened = "<details class='fold'><summary>{}</summary>"
    assert page == [
        *("# One", opened.format("Does it agree?"), "It does.", "check = 1", "</details>"),
        *(opened.format("Two"), "</details>", "## Three"),
    ]
    marked = slides.mark(notebook)
    kinds = [cell.metadata.slideshow.slide_type for cell in marked.cells]
    assert kinds == ["slide", "skip", "skip", "skip", "slide"]


def test_jupyterlab_begins_with_folds_drawings_and_answers_closed(tmp_path):
    twin = tmp_path / "01_one.py"
    twin.write_text(
        '# %% [markdown] tags=["fold"]\n# ### Deeper\n\n# %% tags=["fold"]\n1\n\n'
        '# %% tags=["hide-input"]\n2\n\n# %% tags=["hide-output"]\n3\n\n# %%\n4\n'
    )
    cells = sync.read_twin(twin).cells
    assert cells[0].metadata["jp-MarkdownHeadingCollapsed"]
    hidden = [dict(cell.metadata.get("jupyter", {})) for cell in cells]
    assert hidden == [{}, {}, {"source_hidden": True}, {"outputs_hidden": True}, {}]
