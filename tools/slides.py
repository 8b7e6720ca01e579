"""One reveal.js deck per lesson, from the cells of the lesson and the outputs it has stored.

    python tools/slides.py           every lesson, into build/slides/
    python tools/slides.py 03        those whose names begin so

A deck is one file: reveal.js, MathJax and the figures are inside, so that it works from a stick,
with no network. Press S for the speaker notes, F for the full screen, ? for the other keys.
"""

from __future__ import annotations

import argparse
import sys
from importlib.metadata import distribution
from pathlib import Path

import nbformat
from jinja2 import DictLoader
from lessons import ROOT, lessons_in
from nbconvert import SlidesExporter
from site_pages import mathjax, title_and_question, without_instructions
from traitlets.config import Config

REVEAL = "sphinx_revealjs/_static/revealjs"
WIDTH, HEIGHT = 1280, 720

TEMPLATE = """
{%- extends 'reveal/index.html.j2' -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}
<script>
window.MathJax = {
  tex: {inlineMath: [["$", "$"], ["\\\\(", "\\\\)"]], processEscapes: true, tags: "none"},
  svg: {fontCache: "global"},
  options: {enableMenu: false}
};
</script>
<script>MATHJAX</script>
{%- endblock -%}
{%- block html_head_css -%}<style>STYLE</style>{%- endblock -%}
{%- block data_png scoped -%}
{%- set alt = output | get_metadata('alt', 'image/png') -%}
{{ super() if alt is none
   else super() | replace('<img ', '<img alt="' ~ (alt | escape_html) ~ '" ', 1) }}
{%- endblock -%}
{%- block footer_js -%}
<script>REVEAL</script>
<script>NOTES</script>
<script>START</script>
{%- endblock -%}
"""
# `.reveal.reveal`: before the theme, whose sheet comes later.
STYLE = """
.reveal.reveal { font-size: 25px; color: #222; }
.reveal.reveal .slides { text-align: left; }
.reveal.reveal h1 { font-size: 2em; }
.reveal.reveal h2 { font-size: 1.5em; }
.reveal.reveal h3 { font-size: 1.2em; }
.reveal.reveal h1, .reveal.reveal h2, .reveal.reveal h3 { text-transform: none; margin: 0 0 .5em; }
.reveal .jp-Cell, .reveal .jp-Cell * { overflow: visible !important; }
.reveal .jp-Cell { padding: 0; margin: 0 0 .4em; }
.reveal .jp-InputPrompt, .reveal .jp-OutputPrompt, .reveal .jp-Collapser { display: none; }
.reveal .jp-RenderedHTMLCommon { font-size: 1em; line-height: 1.4; padding: 0; width: 100%; }
.reveal .jp-RenderedHTMLCommon p, .reveal .jp-RenderedHTMLCommon li { font-size: 1em; }
.reveal.reveal pre { width: 100%; margin: 0; padding: 0; box-shadow: none; box-sizing: border-box;
                     font-size: 19px; line-height: 1.3; }
.reveal .highlight, .reveal .jp-OutputArea-output { margin: 0; }
.reveal .jp-RenderedImage img { display: block; margin: 0 auto; max-height: 580px;
                                max-width: 1200px; }
.reveal.reveal table { font-size: .8em; }
.reveal section { box-sizing: border-box; padding: 10px 0; }
.reveal aside.notes { display: none; }
"""
# What is larger than the slide is made smaller, once the equations have their size.
START = """
(async () => {
  await MathJax.startup.promise;
  const fit = slide => {
    if (!slide || slide.dataset.fitted || slide.querySelector("section")) return;
    const parts = [slide, ...slide.querySelectorAll("mjx-container, pre, table")];
    let zoom = 1;
    const fits = () => slide.scrollHeight * zoom <= HEIGHT - 20 &&
      Math.max(...parts.map(part => part.scrollWidth)) * zoom <= WIDTH + 1;
    while (!fits() && zoom > 0.4) slide.style.zoom = zoom = 0.97 * zoom;
    slide.dataset.fitted = "yes";
  };
  await Reveal.initialize({
    width: WIDTH, height: HEIGHT, margin: 0.04, center: false, hash: true, slideNumber: "c/t",
    transition: "none", controls: true, progress: true, plugins: [RevealNotes]
  });
  fit(Reveal.getCurrentSlide());
  Reveal.on("slidechanged", event => { fit(event.currentSlide); Reveal.layout(); });
  document.documentElement.dataset.ready = "yes";
})();
"""


def slide_type(cell, before) -> str:
    """What a cell is in the deck: "slide", "subslide", "-" (goes on), "notes" or "skip".

    A heading opens a slide; every other cell is one beneath it. What says in italics what is to be
    seen in the figure above stays with it. The tags "notes" and "skip" speak for themselves, and
    what is folded ("fold") is for reading alone.
    """
    tags = cell.metadata.get("tags", [])
    if "notes" in tags or "skip" in tags or "fold" in tags:
        return "notes" if "notes" in tags else "skip"
    source = cell.source.lstrip()
    if cell.cell_type == "code":
        return "skip" if source.startswith(("import ", "from ")) else "subslide"
    if source.startswith(("# ", "## ")):
        return "slide"
    below_a_figure = before is not None and before.cell_type == "code"
    short = len(source) < 300 and source.startswith("*") and not source.startswith("**")
    return "-" if below_a_figure and short else "subslide"


def mark(notebook) -> nbformat.NotebookNode:
    """Write the slide types into the cells' metadata, in place, for JupyterLab and nbconvert."""
    before = None
    for cell in notebook.cells:
        cell.metadata["slideshow"] = {"slide_type": slide_type(cell, before)}
        if cell.metadata["slideshow"]["slide_type"] != "notes":
            before = cell
    return notebook


def file_of(package: str, path: str) -> str:
    return Path(distribution(package).locate_file(path)).read_text(encoding="utf-8")


def deck(notebook) -> str:
    """The deck of an executed lesson, one page of HTML."""
    start = START.replace("WIDTH", str(WIDTH)).replace("HEIGHT", str(HEIGHT))
    parts = {
        "MATHJAX": mathjax().read_text(encoding="utf-8"),
        "STYLE": STYLE,
        "REVEAL": file_of("sphinx-revealjs", f"{REVEAL}/dist/reveal.js"),
        "NOTES": file_of("sphinx-revealjs", f"{REVEAL}/plugin/notes/notes.js"),
        "START": start,
    }
    # A cell that only draws shows its figure; its code is in the lesson.
    config = Config()
    config.SlidesExporter.reveal_theme = "white"
    config.TagRemovePreprocessor.enabled = True
    config.TagRemovePreprocessor.remove_input_tags = {"hide-input"}
    exporter = SlidesExporter(
        config=config,
        extra_loaders=[DictLoader({"deck.html.j2": TEMPLATE})],
        template_file="deck.html.j2",
    )
    notebook = mark(nbformat.from_dict(notebook))
    notebook.metadata["title"], _ = title_and_question(notebook)
    without_instructions(notebook)
    page, _ = exporter.from_notebook_node(notebook)
    for name in ("dist/reveal.css", "dist/theme/white.css"):
        link = page[page.rindex("<link", 0, page.index(name)) :]
        link = link[: link.index(">") + 1]
        page = page.replace(link, f"<style>{stylesheet(name)}</style>")
    for name, text in parts.items():
        page = page.replace(f">{name}<", f">{text.replace('</script', '<' + chr(92) + '/script')}<")
    return page


def stylesheet(name: str) -> str:
    """A style sheet of reveal.js without what it would fetch: the theme's web fonts."""
    text = file_of("sphinx-revealjs", f"{REVEAL}/{name}")
    return "\n".join(line for line in text.splitlines() if "@import" not in line)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="beginnings of names, such as 01 (default: all)")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "slides")
    options = parser.parse_args()
    paths = lessons_in(ROOT / "notebooks")
    if options.names:
        paths = [path for path in paths if path.stem.startswith(tuple(options.names))]
    if not paths:
        print("No lessons named NN_name.ipynb in notebooks/.", file=sys.stderr)
        return 1
    options.output.mkdir(parents=True, exist_ok=True)
    for path in paths:
        page = deck(nbformat.read(path, as_version=4))
        target = options.output / f"{path.stem}.html"
        target.write_text(page, encoding="utf-8")
        print(f"{target}: {page.count('<section')} sections", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
