"""Run every lesson top to bottom and write the executed lessons as pages that need no network.

    python tools/course.py --jobs 2 --output build/course

The notebooks in the checkout are read, never written: what the pages show was computed just now.
A lesson that fails is named with its cell and its error, the others still finish, and the command
ends with status 1.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import html
import re
import shutil
import sys
import time
from importlib.metadata import distribution
from os.path import relpath
from pathlib import Path

import nbformat
from jinja2 import DictLoader
from lessons import PATTERN, ROOT, Run, execute, execute_all, prepare_environment
from nbconvert import HTMLExporter
from nbconvert.filters.markdown import markdown2html

# One file that holds the input, the output and the outlines of all glyphs: a browser takes it from
# a folder on disk as well as from a server.
MATHJAX_FILE = "sphinx-mathjax-offline/static/mathjax/tex-svg-full.js"
MATHJAX = """
<script>
window.MathJax = {
  tex: {inlineMath: [["$", "$"], ["\\\\(", "\\\\)"]], processEscapes: true, tags: "none"},
  svg: {fontCache: "global"},
  options: {enableMenu: false}
};
</script>
<script defer src="mathjax.js"></script>
"""
# nbconvert's page with MathJax from beside it, without the scripts that it would fetch from
# elsewhere, and with the alt text that a picture's metadata carry.
TEMPLATE = """
{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js_requirejs -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}MATHJAX{%- endblock -%}
{%- block body_header -%}
{{ super() }}
<style>.jp-MarkdownOutput, .jp-RenderedMarkdown { overflow: visible !important; }</style>
<nav style="max-width: 60rem; margin: 1rem auto 0; font-family: sans-serif">
<a href="index.html">All lessons</a></nav>
{%- endblock -%}
{%- block data_png scoped -%}
{%- set alt = output | get_metadata('alt', 'image/png') -%}
{{ super() if alt is none
   else super() | replace('<img ', '<img alt="' ~ (alt | escape_html) ~ '" ', 1) }}
{%- endblock -%}
"""
INDEX = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Conditional variational autoencoders: the lessons</title>
<style>
body {{ max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222;
       font: 1rem/1.55 system-ui, sans-serif; }}
ol {{ list-style: none; padding: 0; }}
li {{ display: grid; grid-template-columns: 15rem 1fr; gap: 1.5rem; align-items: start;
     padding: 1.5rem 0; border-top: 1px solid #ccc; }}
li img {{ width: 100%; height: auto; border: 1px solid #ddd; background: #fff; }}
h2 {{ margin: 0; font-size: 1.25rem; }}
a {{ color: #005a8f; }}
.time {{ color: #555; font-size: .9rem; }}
.failed {{ color: #a30000; }}
@media (max-width: 40rem) {{ li {{ grid-template-columns: 1fr; }} }}
</style>
{mathjax}
</head>
<body>
<h1>Conditional variational autoencoders</h1>
<p>{summary}</p>
<ol>
{entries}
</ol>
</body>
</html>
"""
ENTRY = """<li>
<div>{thumbnail}</div>
<div>
<h2><a href="{name}.html">{title}</a></h2>
{question}
<p class="time">{state}</p>
</div>
</li>"""


def spell(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:2d} s" if minutes else f"{rest} s"


def title_and_question(run: Run) -> tuple[str, str]:
    """The first heading of the lesson, and the first paragraph under it, as Markdown."""
    text = "\n\n".join(c.source for c in run.notebook.cells[:3] if c.cell_type == "markdown")
    title, question = run.name, ""
    for block in re.split(r"\n\s*\n", text):
        block = block.strip()
        if match := re.match(r"#\s+(.+)", block):
            title = match[1].strip()
            block = block[match.end() :].strip()
        if block and not block.startswith(("#", "<", "|", "- ", "* ", "```", "$$", "!")):
            question = block
            break
    return title, question


def thumbnail(run: Run, output: Path) -> str:
    """Write the lesson's first picture beside its page; return the tag that shows it."""
    for cell in run.notebook.cells:
        for out in cell.get("outputs", []):
            if png := out.get("data", {}).get("image/png"):
                picture = output / f"{run.name}.png"
                picture.write_bytes(base64.b64decode(png))
                alt = out.get("metadata", {}).get("image/png", {}).get("alt", "")
                return f'<img src="{picture.name}" alt="{html.escape(alt)}">'
    return ""


def copy_mathjax(output: Path) -> None:
    """Lay MathJax beside the pages; the package sphinx-mathjax-offline brings it."""
    source = distribution("sphinx-mathjax-offline").locate_file(MATHJAX_FILE)
    shutil.copyfile(source, output / "mathjax.js")


def write_page(run: Run, output: Path) -> None:
    exporter = HTMLExporter(
        extra_loaders=[DictLoader({"lesson.html.j2": TEMPLATE.replace("MATHJAX", MATHJAX)})],
        template_file="lesson.html.j2",
    )
    title, _ = title_and_question(run)
    run.notebook.metadata["title"] = title
    page, _ = exporter.from_notebook_node(run.notebook, {"metadata": {"name": run.name}})
    (output / f"{run.name}.html").write_text(page, encoding="utf-8")


def write_index(runs: list[Run], output: Path, seconds: float) -> None:
    entries = []
    for run in runs:
        title, question = title_and_question(run)
        state = f"ran in {spell(run.seconds)}"
        if run.failure:
            state = f'<span class="failed">stopped at {html.escape(str(run.failure))}</span>'
        entries.append(
            ENTRY.format(
                name=run.name,
                title=html.escape(title),
                question=markdown2html(question),
                thumbnail=thumbnail(run, output),
                state=state,
            )
        )
    lessons = "one lesson" if len(runs) == 1 else f"{len(runs)} lessons"
    summary = f"{lessons[0].upper()}{lessons[1:]}, run from top to bottom in {spell(seconds)}."
    page = INDEX.format(mathjax=MATHJAX, summary=summary, entries="\n".join(entries))
    (output / "index.html").write_text(page, encoding="utf-8")


class Progress:
    """One line per lesson when it ends; on a terminal, a line below them that says who is where."""

    def __init__(self, total: int, width: int):
        self.total, self.width = total, width
        self.done, self.running = 0, {}
        self.live = sys.stdout.isatty()

    def cell(self, name: str, cell: int, cells: int) -> None:
        self.running[name] = f"{name} {cell}/{cells}"
        if self.live:
            line = "running: " + ", ".join(self.running.values())
            columns = shutil.get_terminal_size().columns - 1
            print("\r\x1b[K" + line[:columns], end="", flush=True)

    def finished(self, run: Run) -> None:
        self.running.pop(run.name, None)
        self.done += 1
        start = "\r\x1b[K" if self.live else ""
        word = "FAILED" if run.failure else "ok"
        line = f"[{self.done}/{self.total}] {run.name:<{self.width}}  {spell(run.seconds):>12}"
        print(f"{start}{line}  {word}", flush=True)
        if run.failure:
            print(f"      at {run.failure}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "notebooks",
        nargs="?",
        type=Path,
        default=ROOT / "notebooks",
        help="folder with the lessons NN_name.ipynb (default: notebooks/)",
    )
    parser.add_argument("--jobs", type=int, default=2, help="lessons at a time (default: 2)")
    parser.add_argument(
        "--output",
        type=Path,
        default=ROOT / "build" / "course",
        help="folder for the pages (default: build/course)",
    )
    parser.add_argument(
        "--timeout", type=float, default=600, help="seconds that one cell may take (default: 600)"
    )
    options = parser.parse_args()
    if options.jobs < 1:
        parser.error(f"--jobs is the number of lessons at a time, at least 1; got {options.jobs}")

    paths = sorted(options.notebooks.glob(PATTERN))
    if not paths:
        print(f"No lessons named NN_name.ipynb in {options.notebooks}.", file=sys.stderr)
        return 1
    prepare_environment(options.jobs)
    options.output.mkdir(parents=True, exist_ok=True)
    print(f"Running {len(paths)} lessons, {options.jobs} at a time ...", flush=True)

    progress = Progress(len(paths), max(len(path.stem) for path in paths))
    start = time.monotonic()
    tasks = [
        execute(
            path.stem,
            nbformat.read(path, as_version=4),
            path.parent,
            options.timeout,
            progress.cell,
        )
        for path in paths
    ]
    runs = asyncio.run(execute_all(tasks, options.jobs, progress.finished))

    copy_mathjax(options.output)
    for run in runs:
        write_page(run, options.output)
    write_index(runs, options.output, time.monotonic() - start)

    failed = [run for run in runs if run.failure]
    print(f"The pages: {relpath(options.output / 'index.html')}")
    if failed:
        print(f"{len(failed)} of {len(runs)} lessons failed:", file=sys.stderr)
        for run in failed:
            print(f"  {run.name}: {run.failure}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
