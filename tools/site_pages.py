"""Lay the course together as a site and let Sphinx build it; it needs no network and no server.

    python tools/site_pages.py --output build/course

builds from the outputs that the notebooks have stored. `make course` runs the lessons first and
hands over what they gave just now.
"""

from __future__ import annotations

import argparse
import ast
import base64
import html
import json
import re
import shutil
import struct
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import family_map
import mistakes
import nbformat
from bs4 import BeautifulSoup
from lessons import PATTERN, ROOT, Run, begins_fold, is_folded, lessons_in, recipes_in
from PIL import Image, ImageChops, ImageStat

sys.path.append(str(ROOT / "docs" / "_ext"))
from course_links import TAG, anchor

MATHJAX = "sphinx-mathjax-offline/static/mathjax/tex-svg-full.js"
CITATION = re.compile(r"\((\d+\.\d+)\)")
DENSITY = 2  # pixels of a figure for one of the page

# Explorables (docs/_static/explore/NAME.js): in which lesson, and before which of its sections.
EXPLORABLES = {
    "bound": ("01", "## The equation and its line of code"),
    "estimators": ("02", "## The divergence in closed form"),
    "explaining": ("04a", "## What it costs to hide y from q"),
    "completion": ("05", "## Four models, one table"),
    "faces": ("06", "## Reconstruction against generation"),
    "five": ("07", "## Which model contains which"),
    "futures": ("09", "## Two more measures"),
    "levels": ("11", "## Four more models on the map"),
}


def mathjax() -> Path:
    """One file that holds the input, the output and the outlines of all glyphs."""
    return Path(distribution("sphinx-mathjax-offline").locate_file(MATHJAX))


def title_and_question(notebook) -> tuple[str, str]:
    """The first heading of a notebook, and the first paragraph under it, as Markdown."""
    text = "\n\n".join(c.source for c in notebook.cells[:3] if c.cell_type == "markdown")
    title, question = "Untitled", ""
    for block in re.split(r"\n\s*\n", text):
        block = block.strip()
        if match := re.match(r"#\s+(.+)", block):
            title = match[1].strip()
            block = block[match.end() :].strip()
        if block and not block.startswith(("#", "<", "|", "- ", "* ", "```", "$$", "!")):
            question = block
            break
    return title, question


def picture_of(notebook) -> tuple[bytes, str] | None:
    """The figure that stands for a notebook, and its text alternative.

    It is the first, unless a cell has the tag "thumbnail".
    """
    tagged = [c for c in notebook.cells if "thumbnail" in c.metadata.get("tags", [])]
    for cell in tagged or notebook.cells:
        for out in cell.get("outputs", []):
            if png := out.get("data", {}).get("image/png"):
                alt = out.get("metadata", {}).get("image/png", {}).get("alt", "")
                return base64.b64decode(png), alt
    return None


def for_reading(notebook) -> nbformat.NotebookNode:
    """A copy for the page: each figure with its text alternative."""
    page = nbformat.from_dict(notebook)
    without_instructions(page)
    page.cells = list(with_folds(page.cells))
    for cell in page.cells:
        if cell.cell_type == "markdown":
            cell.source = linked_as_on_the_site(cell.source).replace("](../docs/", "](../")
        pictures = [o for o in cell.get("outputs", []) if "image/png" in o.get("data", {})]
        alts = [o.metadata.get("image/png", {}).get("alt", "") for o in pictures]
        if any(alts):
            wide = max(size_of(base64.b64decode(o.data["image/png"]))[0] for o in pictures)
            shown = {"alt": " ".join(" ".join(alts).split()), "width": f"{wide // DENSITY}px"}
            cell.metadata["mystnb"] = {"image": shown}
    return page


def linked_as_on_the_site(text: str) -> str:
    """The links between notebooks, as they lie in the project, as they lie on the site."""
    text = re.sub(r"\]\(exercises/\w+/", "](../exercises/", text)
    return text.replace("](recipes/", "](../recipes/")


def size_of(png: bytes) -> tuple[int, int]:
    """The width and height of a PNG, from its first chunk."""
    return struct.unpack(">II", png[16:24]) if len(png) >= 24 else (2, 2)


def with_folds(cells) -> Iterator[nbformat.NotebookNode]:
    """The cells, those of a fold inside an HTML element that opens with a click on its heading."""
    is_open = False
    for cell in cells:
        if is_open and (begins_fold(cell) or not is_folded(cell)):
            yield text_cell("</details>")
            is_open = False
        if begins_fold(cell):
            heading, _, rest = cell.source.partition("\n")
            title = re.sub(r"`([^`]*)`", r"<code>\1</code>", html.escape(heading[4:].strip()))
            yield text_cell(f"<details class='fold'><summary>{title}</summary>")
            is_open = True
            cell.source = rest.strip()
            if not cell.source:
                continue
        yield cell
    if is_open:
        yield text_cell("</details>")


def text_cell(source: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_markdown_cell(source)


def without_instructions(notebook) -> None:
    """Take out, in place, the lines that speak to nbval and not to a reader."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            lines = cell.source.splitlines()
            cell.source = "\n".join(x for x in lines if not x.startswith("# NBVAL_"))


# --- Pages that are written from what the project says elsewhere ---------------------------------


SENTENCE = (
    "What a variational autoencoder is trained on, and what becomes of it when something is known "
    "beside the image: a course and a library on the four models that all go by the name "
    "*conditional VAE*, in lessons that compute what they claim."
)
WAYS = """<div class="ways">
<div><p class="way">Read</p><p>Begin with <a href="{first}.html">{first_title}</a>, or with
<a href="{second}.html">{second_title}</a>. Each lesson begins with a question.</p></div>
<div><p class="way">Run</p><p>Every lesson is a notebook to download; it runs where
<code>pip install .</code> has installed the project. <code>make lab</code> sets that up and opens
copies of them all; <a href="#how-do-i">short notebooks</a> take your own data.</p></div>
<div><p class="way">Teach</p><p>Slides, speaker notes, and exercises that say what is wrong:
<a href="lecturer.html">for the lecturer</a>.</p></div>
</div>"""


def index(runs: list[Run], summary: str, source: Path, recipes: list[Run]) -> str:
    """The first page: what this is, a picture that moves, the family, ways in, the lessons."""
    pictures = source / "pictures"
    pictures.mkdir()
    cards = [card(run, pictures) for run in runs]
    lessons = "\n".join(f"lessons/{run.name}" for run in runs)
    exercises = "\n".join(
        f"exercises/{path.stem}" for path in sorted((source / "exercises").glob(PATTERN))
    )
    questions = "\n".join(
        f"- [{title_and_question(run.notebook)[0]}](recipes/{run.name}.ipynb)"
        + (f" stopped at {run.failure}" if run.failure else "")
        for run in recipes
    )
    trees = {
        "Lessons": lessons,
        "How do I ...?": "\n".join(f"recipes/{run.name}" for run in recipes),
        "Exercises": exercises,
        "Projects for groups": "\n".join(
            f"projects/{path.stem}" for path in sorted((source / "projects").glob("*.md"))
        ),
        "Reference": "\n".join(
            ["equations", "equation_index", "glossary", "api/index", "references", "reproduced"]
            + ["distributed"]
        ),
        "For the lecturer": "lecturer",
    }
    toctrees = "\n".join(
        f"```{{toctree}}\n:hidden:\n:maxdepth: 1\n:caption: {caption}\n\n{entries}\n```\n"
        for caption, entries in trees.items()
        if entries
    )
    named = [(f"lessons/{run.name}", title_and_question(run.notebook)[0]) for run in runs]
    first, second = named[0], named[min(1, len(named) - 1)]
    ways = WAYS.format(
        first=first[0], first_title=html.escape(first[1]), second=second[0],
        second_title=html.escape(second[1]),
    )  # fmt: skip
    lesson_of = {name.partition("/")[2].partition("_")[0]: f"{name}.html" for name, _ in named}
    parts = [
        "# Conditional variational autoencoders",
        f"::::{{container}} lead\n{SENTENCE}\n::::",
        explorable("bound", ""),
        "## One family",
        "All the models have one bound, and differ in who stands behind which bar. "
        "Each box leads to its lesson.",
        family_map.svg(lesson_of),
        "## Three ways in",
        ways,
        "## The lessons",
        "::::::{container} cards\n" + "\n\n".join(cards) + "\n::::::",
        f"## How do I ...?\n\n{questions}" if questions else "",
        summary,
        toctrees,
    ]
    return "\n\n".join(part for part in parts if part)


def card(run: Run, pictures: Path) -> str:
    """A lesson on the first page: picture, title, question, minutes."""
    title, question = title_and_question(run.notebook)
    parts = [
        "::::{container} card",
        f":::{{container}} title\n[{title}](lessons/{run.name}.ipynb)\n:::",
    ]
    if found := picture_of(run.notebook):
        png, alt = found
        (pictures / f"{run.name}.png").write_bytes(png)
        alt = re.sub(r"[\[\]]", "", " ".join(alt.split()))
        picture = f"![{alt}](pictures/{run.name}.png)"
        parts.append(f":::{{container}} picture\n{picture}\n:::")
    if question:
        parts.append(f":::{{container}} question\n{question}\n:::")
    state = f"stopped at {run.failure}" if run.failure else length(run)
    parts.append(f":::{{container}} time\n{state}\n:::\n::::")
    return "\n".join(parts)


def scripts_of(name: str) -> list[str]:
    """The scripts of an explorable, in their order; one with networks brings their weights."""
    weights = f"weights_{name}"
    has_weights = (ROOT / "docs" / "_static" / "explore" / f"{weights}.js").exists()
    return ["core", *(["nets", weights] if has_weights else []), name]


def explorable(name: str, up: str) -> str:
    """The place of an explorable on a page, and its scripts; `up` leads to the site's root."""
    scripts = "".join(
        f'<script defer src="{up}_static/explore/{file}.js"></script>' for file in scripts_of(name)
    )
    return (
        f'<div class="explore" data-explore="{name}"><noscript>Here is something to drag; it needs '
        f"JavaScript.</noscript></div>{scripts}"
    )


def with_explorables(page, number: str) -> None:
    """Put a lesson's explorables into its page, before the section they belong to."""
    for name, (lesson, heading) in EXPLORABLES.items():
        if lesson == number:
            sources = [cell.source for cell in page.cells]
            starts = [
                i
                for start in (heading, "## What you saw")
                for i, source in enumerate(sources)
                if source.startswith(start)
            ]
            at = starts[0] if starts else len(sources)
            alone = f'<p><a href="../explore.html#{name}">On a page of its own, and wider</a></p>'
            page.cells.insert(at, text_cell(explorable(name, "../") + alone))


def beside(page: str, exercises: Path, output: Path) -> str:
    """What there is beside a page, "lessons/01_one": the notebook, its exercises, its deck."""
    folder, _, name = page.partition("/")
    number = name.partition("_")[0]
    links = [f'<a href="../downloads/{page}.ipynb" download>Download the notebook</a>']
    if folder == "lessons":
        for path in sorted(exercises.glob(PATTERN)):
            if path.stem.partition("_")[0] in (number, number[:2]):
                links.append(f'<a href="../exercises/{path.stem}.html">Exercises</a>')
        if (output.parent / "slides" / f"{name}.html").exists():
            links.append(f'<a href="../../slides/{name}.html">Slides</a>')
    return '<div class="lesson-links">' + " ".join(links) + "</div>"


def to_download(notebook) -> nbformat.NotebookNode:
    """A notebook to run: its cells, without the outputs that it will make anew."""
    copy = nbformat.from_dict(notebook)
    for cell in copy.cells:
        if cell.cell_type == "markdown":  # a page of the site lies two folders up
            text = linked_as_on_the_site(cell.source)
            cell.source = re.sub(r"\]\(\.\./docs/(\w+)\.md", r"](../../\1.html", text)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return copy


def descriptions(runs: list[tuple[str, Run]]) -> dict[str, str]:
    """What a page is about, in one sentence, for whoever is sent a link."""
    found = {"index": SENTENCE.replace("*", "")}
    for folder, run in runs:
        _, question = title_and_question(run.notebook)
        found[f"{folder}/{run.name}"] = " ".join(re.sub(r"[$`*\\]", "", question).split())[:300]
    return found


def length(run: Run) -> str:
    """How long a lesson is: to read, and to run."""
    aside = {"hide-input", "fold"}  # what the page folds away
    words = sum(
        len(c.source.split())
        for c in run.notebook.cells
        if not aside & set(c.metadata.get("tags", []))
    )
    reading = max(5, 5 * round(words / 90 / 5))  # mathematics and code read slowly
    ran = f", ran in {run.seconds:.0f} s" if run.seconds else ""
    return f"about {reading} minutes to read{ran}"


def lessons_that_show(notebooks: dict[str, nbformat.NotebookNode]) -> dict[str, list]:
    """{tag: [(lesson's number, its name)]}."""
    shown = defaultdict(list)
    for name, notebook in notebooks.items():
        texts = [c.source for c in notebook.cells if c.cell_type == "markdown"]
        for tag in dict.fromkeys(tag for text in texts for tag in TAG.findall(text)):
            shown[tag].append((name.partition("_")[0], name))
    return shown


def places(notebooks: dict[str, nbformat.NotebookNode]) -> dict[str, dict]:
    """{tag: the lessons that show the equation, and the code that has it}, for its entry."""
    shown, implemented = lessons_that_show(notebooks), code_that_cites()
    return {
        tag: {
            "lessons": [(number, f"lessons/{name}") for number, name in shown.get(tag, [])],
            "code": implemented.get(tag, []),
        }
        for tag in {*shown, *implemented}
    }


def equation_index(found: dict[str, dict]) -> str:
    """Each equation with the lessons that show it and the lines of code that name it."""
    rows = []
    for tag in TAG.findall((ROOT / "docs" / "equations.md").read_text(encoding="utf-8")):
        place = found.get(tag, {"lessons": [], "code": []})
        lessons = ", ".join(
            f'<a href="{page}.html#{anchor(tag)}">{number}</a>' for number, page in place["lessons"]
        )
        code = "<br>".join(
            f'<a href="{page}">{name}</a>'.replace("__", "\\_\\_") + (f": `{line}`" if line else "")
            for name, page, line in place["code"]
        ).replace("|", "\\|")
        rows.append(f"| ({tag}) | {lessons or '–'} | {code or '–'} |")
    return (
        "# Index of equations\n\nThe lessons that show an equation of [the list](equations.md), "
        "and the lines of code that name it. The names lead to the source.\n\n"
        "| equation | lessons | code |\n|---|---|---|\n" + "\n".join(rows) + "\n"
    )


def code_that_cites(most: int = 3) -> dict[str, list[tuple[str, str, str]]]:
    """Per equation at most `most` places in the library: (name, page, the line of code there)."""
    places = defaultdict(list)
    rank = {name: i for i, name in enumerate(" ".join(SUBJECTS.values()).split())}  # models first
    files = [path for path in sorted((ROOT / "cvae_tf").glob("*.py")) if path.stem != "__init__"]
    for path in sorted(files, key=lambda path: rank.get(path.stem, len(rank))):
        text = path.read_text(encoding="utf-8")
        lines = text.splitlines()
        for qualified, node in definitions(ast.parse(text)):
            docstring = ast.get_docstring(node) or ""
            name, page = f"{path.stem}.{qualified}", f"_modules/cvae_tf/{path.stem}.html#line-"
            first = node.body[1].lineno if docstring and len(node.body) > 1 else node.body[0].lineno
            for line in range(first, node.end_lineno + 1):
                for tag in CITATION.findall(lines[line - 1].partition("#")[2]):
                    at = line if lines[line - 1].partition("#")[0].strip() else line + 1
                    code = lines[at - 1].partition("#")[0].strip()
                    if not code.endswith(":"):  # a condition computes nothing
                        places[tag].append((0, name, f"{page}{at}", code))
            if isinstance(node, ast.FunctionDef):
                for tag in dict.fromkeys(CITATION.findall(docstring)):
                    returned = [n for n in ast.walk(node) if isinstance(n, ast.Return) and n.value]
                    if returned:
                        code = ast.unparse(returned[-1])
                        code = code if len(code) < 110 else ""
                        places[tag].append((1, name, f"{page}{returned[-1].lineno}", code))
    index = {}
    for tag, found in places.items():
        best = {}
        for _, name, page, code in sorted(found, key=lambda place: place[0]):
            best.setdefault(name, (name, page, code))
        index[tag] = list(best.values())[:most]
    return index


def definitions(tree, prefix=""):
    """The innermost functions and the classes of a module, with their qualified names."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield from definitions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef):
            yield prefix + node.name, node


# The library's pages by subject; a module that none of them names comes last.
SUBJECTS = {
    "Models": "vae conditional baselines futures semi_supervised stacked features",
    "What models are made of": "distributions estimators networks noise penalties schedules",
    "Data and tasks": "datasets faces photographs tasks",
    "Measuring and using a trained model": "evaluation diagnostics readout editing exporting",
    "What bounds are held against": "linear_gaussian oracle",
    "Figures and exercises": "plotting graphs look exercises",
    "Underneath: the contract and the compiled loop": "base wired wiring signatures training "
    "compiling keras_private programs batches callbacks logs checks broadcasting startup",
}


def by_subject(modules: list[str]) -> dict[str, list[str]]:
    """{subject: its modules}."""
    found = {subject: names.split() for subject, names in SUBJECTS.items()}
    named = {name for names in found.values() for name in names}
    found["Others"] = [module for module in modules if module not in named]
    return {subject: names for subject, names in found.items() if names}


def write_api(folder: Path) -> None:
    """One page for each module of the library, and a list of them by subject."""
    folder.mkdir()
    modules = [p.stem for p in sorted((ROOT / "cvae_tf").glob("*.py")) if p.stem != "__init__"]
    parts = ["# The library\n\nOne page for each file of `cvae_tf`, by subject.\n"]
    for subject, names in by_subject(modules).items():
        parts.append(f"## {subject}\n")
        for module in names:
            source = (ROOT / "cvae_tf" / f"{module}.py").read_text(encoding="utf-8")
            first = ast.get_docstring(ast.parse(source)).splitlines()[0]
            parts.append(f"- [`cvae_tf.{module}`]({module}.md): {first}")
            (folder / f"{module}.md").write_text(
                f"# cvae_tf.{module}\n\n```{{eval-rst}}\n.. automodule:: cvae_tf.{module}\n```\n",
                encoding="utf-8",
            )
        parts.append("\n```{toctree}\n:hidden:\n\n" + "\n".join(names) + "\n```\n")
    (folder / "index.md").write_text("\n".join(parts), encoding="utf-8")


def with_tables(page: Path) -> None:
    """Put tables and figures of benchmarks/results/ where the page names them."""
    results = ROOT / "benchmarks" / "results"

    def table(found: re.Match[str]) -> str:
        text = (results / f"{found[1]}.md").read_text(encoding="utf-8")
        body = text.partition("\n")[2].replace(" ± ", "\u00a0±\u00a0")  # without its title
        return re.sub(r"^#", "##", body, flags=re.MULTILINE)

    def figure(found: re.Match[str]) -> str:
        shutil.copy(results / found[1], page.parent / "_static")
        return f"![{' '.join(found[2].split())}](_static/{found[1]})"

    text = page.read_text(encoding="utf-8")
    text = re.sub(r"<!-- table: (\w+) -->", table, text)
    text = re.sub(r"<!-- figure: (\S+) (.*?) -->", figure, text, flags=re.DOTALL)
    page.write_text(text, encoding="utf-8")


def misconceptions() -> str:
    """What the mistake bank knows, by exercise and task."""
    parts = []
    for path in sorted((ROOT / "notebooks" / "mistakes").glob("[0-9][0-9]_*.py")):
        says = defaultdict(list)
        for answer in mistakes.read(path):
            if not answer.right:
                says[answer.task].append(answer.says)
        parts.append(f"### {path.stem.replace('_', ' ')}\n")
        parts += [f"- `{task}`: {'; '.join(found)}." for task, found in says.items()]
        parts.append("")
    return "\n".join(parts)


# --- Building ------------------------------------------------------------------------------------


def build(runs: list[Run], output: Path, summary: str, recipes: list[Run]) -> None:
    """Write the site of these lessons and recipes to `output`; tell on stderr what Sphinx warns of.

    Raises:
        RuntimeError: with Sphinx's words, if it could not.
    """
    source = output.parent / f"{output.name}-source"
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(ROOT / "docs", source)
    (source / "_static").mkdir(exist_ok=True)
    shutil.copyfile(mathjax(), source / "_static" / "mathjax.js")
    exercises = [
        Run(path.stem, nbformat.read(path, as_version=4))
        for path in sorted((ROOT / "notebooks" / "exercises").glob(f"*/{PATTERN}"))
    ]
    kinds = {"exercises": exercises, "lessons": runs, "recipes": recipes}
    for folder, each in kinds.items():
        (source / folder).mkdir()
        downloads = source / "_extra" / "downloads" / folder
        downloads.mkdir(parents=True)
        for run in each:
            page = for_reading(run.notebook)
            if folder == "lessons":
                with_explorables(page, run.name.partition("_")[0])
            links = beside(f"{folder}/{run.name}", source / "exercises", output)
            page.cells.insert(1, text_cell(links))
            nbformat.write(page, source / folder / f"{run.name}.ipynb")
            nbformat.write(to_download(run.notebook), downloads / f"{run.name}.ipynb")
    projects = ROOT / "notebooks" / "projects"  # briefs and data; their sketches are the lecturer's
    (source / "projects").mkdir()
    for path in (*projects.glob("*.md"), projects / "data.py"):
        shutil.copy(path, source / "projects")
    page = source / "lecturer.md"  # as it lies in the project, and as it lies on the site
    text = page.read_text("utf-8").replace("](../notebooks/projects/", "](projects/")
    page.write_text(text, "utf-8")
    write_api(source / "api")
    with_tables(source / "reproduced.md")
    notebooks = {run.name: run.notebook for run in runs}
    found = places(notebooks)
    (source / "equation_index.md").write_text(equation_index(found), encoding="utf-8")
    for name, data in {
        "places.json": found,
        "descriptions.json": descriptions(
            [*(("lessons", run) for run in runs), *(("recipes", run) for run in recipes)]
        ),
    }.items():
        (source / name).write_text(json.dumps(data), encoding="utf-8")
    (source / "misconceptions.txt").write_text(misconceptions(), encoding="utf-8")
    (source / "index.md").write_text(index(runs, summary, source, recipes), encoding="utf-8")

    shutil.rmtree(output, ignore_errors=True)
    command = ["-b", "html", "-q", "-d", str(source / ".doctrees")]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *command, str(source), str(output)],
        capture_output=True,
        text=True,
    )
    said = [
        x
        for x in done.stderr.splitlines()
        if re.search(r": (WARNING|ERROR|CRITICAL): |^\w*Error", x)
    ]
    if done.returncode:
        raise RuntimeError("Sphinx could not build the site:\n" + "\n".join(said or [done.stderr]))
    for line in said:
        print(line, file=sys.stderr)
    for pattern in ("**/*.map", "*webpack-macros.html"):  # for those who mend the theme
        for path in (output / "_static").glob(pattern):
            path.unlink()
    shutil.rmtree(output / "_static" / "locales", ignore_errors=True)
    with_fewer_colours(output / "_images")
    write_texts(output)
    mark_lines(output, {page for each in found.values() for _, page, _ in each["code"]})


def with_fewer_colours(folder: Path) -> None:
    """Store each figure with 256 colours, half as large, where that changes it invisibly.

    Invisibly: by less than a third of a level in 255, on average over the pixels.
    """
    for path in folder.glob("*.png"):
        figure = Image.open(path).convert("RGB")
        fewer = figure.quantize(256, dither=Image.Dither.NONE)
        difference = ImageStat.Stat(ImageChops.difference(figure, fewer.convert("RGB")))
        if max(difference.mean) < 0.3:
            fewer.save(path)


def mark_lines(output: Path, addresses: set[str]) -> None:
    """Give the lines of the library's source that are pointed at, "…html#line-7", their anchors."""
    wanted = defaultdict(set)
    for address in addresses:
        file, _, line = address.partition("#line-")
        wanted[output / file].add(int(line))
    for path, numbers in wanted.items():
        if not path.exists():
            continue
        source = (ROOT / "cvae_tf" / f"{path.stem}.py").read_text(encoding="utf-8").splitlines()
        lines = path.read_text(encoding="utf-8").split("\n")
        shown = [html.unescape(re.sub("<[^>]*>", "", x)).removeprefix("[docs]") for x in lines]
        for number in numbers:  # Sphinx adds lines of its own: the same text, as often before
            text = source[number - 1]
            same = [i for i, line in enumerate(shown) if line == text]
            before = source[: number - 1].count(text)
            if before < len(same):
                at = same[before]
                lines[at] = f'<span id="line-{number}"></span>{lines[at]}'
        path.write_text("\n".join(lines), encoding="utf-8")


def without_tex(formula: str) -> str:
    """A formula as plain text, to be quoted in a line: names of commands go, letters stay."""
    text = formula.replace(r"\mid", "|").replace(r"\log", "log")
    text = re.sub(r"\\(?:tag\{[^}]*\}|begin\{\w+\}|end\{\w+\}|[A-Za-z]+|.)", " ", text)
    return re.sub(r"[{}&$]", "", text)


def write_texts(output: Path) -> None:
    """What the search quotes from each page where the site lies on a disk: _static/texts.js."""
    texts = {}
    for path in sorted(output.glob("**/*.html")):
        name = path.relative_to(output).with_suffix("").as_posix()
        if name.startswith("_modules/"):
            continue
        page = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        if article := page.find("article"):
            for formula in article.select(".math"):
                formula.string = without_tex(formula.get_text())
            texts[name] = " ".join(article.get_text(" ").split())
    script = "window.TEXTS = " + json.dumps(texts, ensure_ascii=False) + ";\n"
    (output / "_static" / "texts.js").write_text(script, encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "course")
    options = parser.parse_args()
    runs, recipes = (
        [Run(path.stem, nbformat.read(path, as_version=4)) for path in paths]
        for paths in (lessons_in(ROOT / "notebooks"), recipes_in(ROOT / "notebooks"))
    )
    build(runs, options.output, "From the stored outputs of the lessons.", recipes)
    print(f"The site: {options.output / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
