"""The decks: notebooks/decks/NN_name.md, with what the executed lesson shows, as reveal.js slides.

    python tools/slides.py           every deck, into build/slides/, and its PDF for handing out
    python tools/slides.py 03        those whose names begin so

A deck is one file: reveal.js, MathJax, figures and explorables are inside, so that it works from a
stick, with no network. Press S for the speaker notes, F for the full screen, ? for the other keys.
How a deck is written is said in CONTRIBUTING.md, "Write a deck".
"""

from __future__ import annotations

import argparse
import ast
import base64
import html
import io
import re
import sys
import textwrap
from dataclasses import dataclass, field
from importlib.metadata import distribution
from pathlib import Path

import nbformat
from lessons import ROOT
from markdown_it import MarkdownIt
from mdit_py_plugins.attrs import attrs_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin
from PIL import Image, ImageChops
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer
from site_pages import mathjax, scripts_of

DECKS = ROOT / "notebooks" / "decks"
EXPLORE = ROOT / "docs" / "_static" / "explore"
PARTS = Path(__file__).resolve().parent / "deck"  # the look, and what sets the page in motion
REVEAL = "sphinx_revealjs/_static/revealjs"
FONTS = {"regular": (400, "normal"), "semibold": (600, "normal"), "italic": (400, "italic")}
LONGEST_CODE = 10  # lines, those apart that are blank
SHORT = 18  # letters: choices up to this stand side by side
READY = (  # equations and slides are laid out, and explorables have computed what they show
    "document.documentElement.dataset.ready === 'yes' && "
    "[...document.querySelectorAll('.explore')].every(box => box.explore?.ready ?? true)"
)
LARGEST = 1.5  # times its size in pixels: a figure drawn larger is a blur

QUOTED = r'"(?:[^"\\]|\\.)*"'
BLOCK = re.compile(
    rf"\{{\{{(step|columns|\||end|figure|code|printed|vote|explore)((?:\s(?:{QUOTED}|.)*?)?)\}}\}}$"
)
NUMBER = re.compile(rf"\{{\{{number\s+(\S+)\s+({QUOTED})\s*\}}\}}")
NOTE = re.compile(r"Note: (?:(\d+(?:\.5)?) min\. )?")


class DeckError(ValueError):
    """What is wrong in a deck, with the deck and the slide."""


# --- The format ----------------------------------------------------------------------------------


@dataclass
class Slide:
    """One slide as it is written: its headline, the lines below it, what the speaker says."""

    number: int
    headline: str
    lines: list[str] = field(default_factory=list)
    notes: str = ""
    minutes: float = 0.0


def read(text: str) -> list[Slide]:
    """The slides of a deck. The first has the title "# …", every other one a headline "## …"."""
    slides: list[Slide] = []
    for line in text.strip().splitlines():
        mark, _, headline = line.partition(" ")
        if mark in ("#", "##") and headline.strip():
            if (mark == "#") != (not slides):
                raise DeckError(f'the deck has one title, "# …", and it comes first: {line}')
            slides.append(Slide(len(slides) + 1, headline.strip()))
        elif not slides:
            raise DeckError(f'a deck begins with its title, "# …", not with: {line}')
        else:
            slides[-1].lines.append(line)
    for slide in slides:
        take_notes(slide)
    return slides


def take_notes(slide: Slide) -> None:
    """Move what the speaker says, with its minutes, out of the slide's lines."""
    starts = [i for i, line in enumerate(slide.lines) if line.startswith("Note:")]
    if not starts:
        return
    found = NOTE.match(slide.lines[starts[0]])
    if found is None or len(starts) > 1:
        raise DeckError(
            f'slide {slide.number}, {slide.headline}: one "Note: …" or "Note: 3 min. …" is expected'
        )
    slide.minutes = float(found[1] or 0)
    spoken = slide.lines[starts[0] :]
    slide.notes = "\n".join([spoken[0][found.end() :], *spoken[1:]]).strip()
    slide.lines = slide.lines[: starts[0]]


def unquoted(text: str) -> str:
    return text[1:-1].replace(r"\"", '"') if text.startswith('"') else text


def arguments(text: str) -> list[str]:
    """The words of a directive; what stands in quotation marks is one."""
    return re.findall(rf"{QUOTED}|\S+", text)


def after(words: list[str], *names: str) -> dict[str, list[str]]:
    """{name: what follows it}, up to the next name; what comes first is at ""."""
    found: dict[str, list[str]] = {"": []}
    name = ""
    for word in words:
        if word in names:
            name = word
            found[name] = []
        else:
            found[name].append(unquoted(word))
    return found


# --- What comes from the lesson and the library --------------------------------------------------


class Lesson:
    """The cells of an executed lesson that a deck can name: those with a tag "deck:NAME"."""

    def __init__(self, notebook):
        self.cells = {}
        for cell in notebook.cells:
            for tag in cell.metadata.get("tags", []):
                if tag.startswith("deck:"):
                    if tag in self.cells:
                        raise DeckError(f"two cells of the lesson have the tag {tag}")
                    self.cells[tag] = cell

    def cell(self, name: str):
        if (tag := f"deck:{name}") not in self.cells:
            there = ", ".join(sorted(tag[5:] for tag in self.cells)) or "none"
            raise DeckError(f"no cell of the lesson has the tag {tag}; there are: {there}")
        return self.cells[tag]

    def printed(self, name: str) -> str:
        parts = []
        for output in self.cell(name).get("outputs", []):
            parts.append(output.get("text", "") or output.get("data", {}).get("text/plain", ""))
        return "\n".join(parts)

    def number(self, name: str, pattern: str) -> str:
        """What the one group of a regular expression finds in what a cell printed."""
        found = re.search(pattern, self.printed(name), flags=re.M)
        if found is None or found.re.groups != 1:
            raise DeckError(f"{{{{number {name}}}}}: no match with one group for {pattern}")
        return re.sub(r"^-(?=[\d.])", "−", found[1])

    def figure(self, name: str, which: int = 1) -> tuple[Image.Image, str]:
        """A figure of a cell without its white rim, and its text alternative."""
        pictures = [o for o in self.cell(name).outputs if "image/png" in o.get("data", {})]
        if len(pictures) < which:
            raise DeckError(f"{{{{figure {name}}}}}: figure {which} of {len(pictures)}")
        output = pictures[which - 1]
        alt = output.metadata.get("image/png", {}).get("alt", "").strip()
        if not alt:
            raise DeckError(f"{{{{figure {name}}}}}: the figure has no text alternative")
        png = base64.b64decode(output.data["image/png"])
        return trimmed(Image.open(io.BytesIO(png)).convert("RGB")), " ".join(alt.split())


def trimmed(picture: Image.Image) -> Image.Image:
    white = Image.new("RGB", picture.size, "white")
    return picture.crop(ImageChops.difference(picture, white).getbbox())


def source_of(name: str) -> str:
    """The source of a library object, "cvae_tf.conditional:CVAE1.prior", without its docstring."""
    module, _, qualified = name.partition(":")
    path = ROOT / f"{module.replace('.', '/')}.py"
    if not path.exists():
        raise DeckError(f"no module {module}")
    text = path.read_text(encoding="utf-8")
    node = ast.parse(text)
    for part in qualified.split("."):
        named = [each for each in node.body if getattr(each, "name", None) == part]
        if not named:
            raise DeckError(f"no {part} in {name}")
        node = named[0]
    lines = text.splitlines()
    first = node.body[0]
    kept = range(node.lineno, node.end_lineno + 1)
    if ast.get_docstring(node) is not None:
        kept = [n for n in kept if not first.lineno <= n <= first.end_lineno]
    return "\n".join(lines[n - 1] for n in kept)


def excerpt(text: str, start: list[str], end: list[str], without: list[str]) -> list[str]:
    """The lines from the first with one text to the next with another, those with a third apart."""
    lines = text.splitlines()
    if start:
        first = next((i for i, line in enumerate(lines) if start[0] in line), None)
        if first is None:
            raise DeckError(f'no line with "{start[0]}"')
        lines = lines[first:]
    if end:
        last = next((i for i, line in enumerate(lines) if i and end[0] in line), None)
        if last is None:
            raise DeckError(f'no later line with "{end[0]}"')
        lines = lines[: last + 1]
    lines = [line for line in lines if not any(text in line for text in without)]
    lines = [re.sub(r"\s*# fmt: skip$", "", x) for x in lines if not x.startswith("# NBVAL_")]
    lines = textwrap.dedent("\n".join(lines)).strip("\n").splitlines()
    if sum(bool(line.strip()) for line in lines) > LONGEST_CODE:
        raise DeckError(f'{len(lines)} lines, more than {LONGEST_CODE}: say "from" and "to"')
    return lines


# --- Slides as HTML ------------------------------------------------------------------------------


def steps_in_math(tex: str, next_step) -> str:
    """Mark the rows of an aligned derivation that come after a {{step}}."""
    shown, *later = tex.split("{{step}}")
    for part in later:
        body, end, tail = part.partition(r"\end{aligned}")
        step = next_step()
        rows = [row for row in pieces(body, r"\\") if row.strip()]
        rows = [marked(row, step) for row in rows]
        shown = r" \\ ".join([re.sub(r"\\\\\s*$", "", shown), *rows]) + end + tail
    return shown


def marked(row: str, step: int) -> str:
    """A row whose cells appear with a step; "{}" keeps the space before a sign at their head."""
    first, *others = (cell.strip() for cell in pieces(row, "&"))
    cells = [first, *("{}" + cell for cell in others)]
    return " & ".join(rf"\class{{fragment at-{step}}}{{{cell}}}" if cell else "" for cell in cells)


def pieces(text: str, mark: str) -> list[str]:
    """What stands between marks, those in braces and in environments apart."""
    found, depth, last, i = [], 0, 0, 0
    while i < len(text):
        if text.startswith(mark, i) and depth == 0 and (mark != "&" or text[i - 1 : i] != "\\"):
            found.append(text[last:i])
            i = last = i + len(mark)
            continue
        if text.startswith(("\\begin", "\\left"), i) and not text.startswith("\\leftarrow", i):
            depth += 1
        elif text.startswith(("\\end", "\\right"), i) and not text.startswith("\\rightarrow", i):
            depth -= 1
        elif text[i] == "{":
            depth += 1
        elif text[i] == "}":
            depth -= 1
        i += 2 if text[i] == "\\" else 1
    return [*found, text[last:]]


class Writer:
    """Writes the slides of one deck; counts the steps of the slide that it is at."""

    def __init__(self, lesson: Lesson):
        self.lesson, self.steps, self.explorables = lesson, 0, []
        self.markdown = MarkdownIt("commonmark").enable("table").use(attrs_plugin, spans=True)
        self.markdown.use(dollarmath_plugin, renderer=self.math)

    def next_step(self) -> int:
        self.steps += 1
        return self.steps - 1

    def math(self, tex: str, options: dict) -> str:
        left, right = (r"\[", r"\]") if options["display_mode"] else (r"\(", r"\)")
        return left + html.escape(steps_in_math(tex, self.next_step)) + right

    def numbers(self, text: str) -> str:
        return NUMBER.sub(lambda m: self.lesson.number(m[1], unquoted(m[2])), text)

    def inline(self, text: str) -> str:
        return self.markdown.renderInline(self.numbers(text))

    def text(self, lines: list[str]) -> str:
        text = self.numbers("\n".join(lines))
        if found := re.search(r"\{\{(?!step\}\})[a-z|].*", text):
            raise DeckError(f"not understood: {found[0]}")
        page = self.markdown.render(text)
        return re.sub(r"<p><em>((?:(?!</em>).)*)</em></p>", r'<p class="caption">\1</p>', page)

    def slide(self, slide: Slide) -> str:
        """A slide as a section, with the speaker's notes and the seconds they take."""
        self.steps = 0
        try:
            kind = "h1" if slide.number == 1 else "h2"
            parts = [f"<{kind}>{self.inline(slide.headline)}</{kind}>"]
            parts.append(f'<div class="body">{self.blocks(slide.lines)}</div>')
            if slide.notes:
                said = f"**{slide.minutes:g} min.** " if slide.minutes else ""
                parts.append(f'<aside class="notes">{self.text([said + slide.notes])}</aside>')
        except (ValueError, re.error) as error:
            raise DeckError(f"slide {slide.number}, {slide.headline}: {error}") from error
        title = ' class="title"' if slide.number == 1 else ""
        timing = f' data-timing="{60 * slide.minutes:.0f}"'
        return f"<section{title}{timing}>\n" + "\n".join(parts) + "\n</section>"

    def blocks(self, lines: list[str]) -> str:
        """Text and directives in their order; what follows a {{step}} appears with it."""
        groups: list[list[str]] = [[]]
        steps, text, at, waiting = [], [], 0, list(lines)

        def flush():
            if any(line.strip() for line in text):
                groups[-1].append(self.text(text))
            text.clear()

        inside = ""  # of $$ or ```: what stands there is no directive
        while at < len(waiting):
            line = waiting[at]
            at += 1
            fence = "$$" if line.strip().startswith("$$") or inside == "$$" else "```"
            if fence in line and (not inside or inside == fence):
                inside = fence if line.count(fence) % 2 != bool(inside) else ""
            found = None if inside else BLOCK.match(line.strip())
            if found is None:
                text.append(line)
                continue
            flush()
            name, words = found[1], found[2].strip()
            if name == "step":
                groups.append([])
                steps.append(self.next_step())
            elif name == "columns":
                ends = [i for i in range(at, len(waiting)) if waiting[i].strip() == "{{end}}"]
                if not ends:
                    raise DeckError("{{columns}} without {{end}}")
                groups[-1].append(self.columns(words, waiting[at : ends[0]]))
                at = ends[0] + 1
            elif name in ("|", "end"):
                raise DeckError(f"{{{{{name}}}}} without {{{{columns}}}}")
            else:
                groups[-1].append(getattr(self, f"write_{name}")(words))
        if inside:
            raise DeckError(f"{inside} is opened and not closed")
        flush()
        first, *later = ("\n".join(group) for group in groups)
        return first + "".join(
            f'<div class="fragment step{grows(part)}" data-fragment-index="{step}">{part}</div>'
            for step, part in zip(steps, later, strict=True)
        )

    def columns(self, widths: str, lines: list[str]) -> str:
        """Columns side by side; `widths` such as 2:1, or equal."""
        parts: list[list[str]] = [[]]
        for line in lines:
            if line.strip() == "{{|}}":
                parts.append([])
            else:
                parts[-1].append(line)
        shares = widths.split(":") if widths else ["1"] * len(parts)
        if len(shares) != len(parts) or len(parts) < 2:
            raise DeckError(f"{len(parts)} columns, and widths for {len(shares)}")
        tracks = " ".join(f"minmax(0, {share}fr)" for share in shares)
        written = [self.blocks(part) for part in parts]
        made = "".join(f'<div class="column">{part}</div>' for part in written)
        grow = grows(made)
        return f'<div class="columns{grow}" style="grid-template-columns: {tracks}">{made}</div>'

    def write_figure(self, words: str) -> str:
        """{{figure NAME 2 x 0 0.5 y 0 1}}: its second figure, the left half."""
        said = after(arguments(words), "x", "y")
        name, *which = said[""]
        picture, alt = self.lesson.figure(name, int(which[0]) if which else 1)
        (left, right), (top, bottom) = (map(float, said.get(a, (0, 1))) for a in "xy")
        if "x" in said or "y" in said:
            w, h = picture.size
            picture = trimmed(picture.crop((int(left * w), int(top * h), int(right * w),
                                            int(bottom * h))))  # fmt: skip
        png = io.BytesIO()
        picture.save(png, format="png")
        data, (w, h) = base64.b64encode(png.getvalue()).decode("ascii"), picture.size
        size = f"max-width: {LARGEST * w:.0f}px; max-height: {LARGEST * h:.0f}px"
        return (  # figures one below the other share the height as their shapes ask for
            f'<figure style="flex-grow: {100 * h / w:.0f}"><img alt="{html.escape(alt)}" '
            f'style="{size}" src="data:image/png;base64,{data}"></figure>'
        )

    def write_code(self, words: str) -> str:
        """{{code NAME from "…" to "…" without "…" lit "…" "…"}}."""
        said = after(arguments(words), "from", "to", "without", "lit")
        (name,) = said[""]
        text = source_of(name) if ":" in name else self.lesson.cell(name).source
        lit = said.get("lit", [])
        lines = excerpt(text, *(said.get(key, []) for key in ("from", "to", "without")))
        lexer, formatter = PythonLexer(stripnl=False), HtmlFormatter(nowrap=True)
        coloured = highlight("\n".join(lines), lexer, formatter)
        return listing("code", lines, coloured.rstrip("\n").split("\n"), lit)

    def write_printed(self, words: str) -> str:
        """{{printed NAME from "…" to "…" lit "…"}}: lines that the cell printed."""
        said = after(arguments(words), "from", "to", "without", "lit")
        (name,) = said[""]
        lines = excerpt(
            self.lesson.printed(name), *(said.get(key, []) for key in ("from", "to", "without"))
        )
        return listing("printed", lines, [html.escape(line) for line in lines], said.get("lit", []))

    def write_vote(self, words: str) -> str:
        """{{vote first | second | third}}: choices with large letters, for a show of hands."""
        choices = self.numbers(words).split(" | ")
        if not 2 <= len(choices) <= 6:
            raise DeckError("{{vote}} has two to six choices, with | between them")
        options = [self.inline(choice.strip()) for choice in choices]
        short = " short" if len(choices) < 4 and max(map(len, choices)) <= SHORT else ""
        items = "".join(
            f'<li><span class="letter">{letter}</span><span>{option}</span></li>'
            for letter, option in zip("ABCDEF"[: len(options)], options, strict=True)
        )
        return f'<ol class="vote{short}">{items}</ol>'

    def write_explore(self, words: str) -> str:
        """{{explore NAME}}; {{explore NAME beside}}: what one sets stands beside the picture."""
        name, _, layout = words.partition(" ")
        if layout not in ("", "beside"):
            raise DeckError(f"{{{{explore {name}}}}}: not understood: {layout}")
        if not (EXPLORE / f"{name}.js").exists():
            raise DeckError(f"{{{{explore {name}}}}}: no docs/_static/explore/{name}.js")
        self.explorables.append(name)
        box = f"explore {layout}".strip()
        return f'<div class="{box}" data-explore="{name}" data-prevent-swipe></div>'


def grows(part: str) -> str:
    """What holds a figure or an explorable takes all the height that is left."""
    return " grows" if "<figure" in part or "data-explore=" in part else ""


def listing(kind: str, lines: list[str], written: list[str], lit: list[str]) -> str:
    """Lines of code or of output, those lit that hold one of the texts `lit`."""
    for text in lit:
        if not any(text in line for line in lines):
            raise DeckError(f'lit "{text}": in no line that is shown')
    made = []
    for line, shown in zip(lines, written, strict=True):
        state = (" lit" if any(text in line for text in lit) else " dim") if lit else ""
        hanging = len(line) - len(line.lstrip()) + 4  # where a long line goes on
        made.append(f'<span class="line{state}" style="--in: {hanging}ch">{shown or " "}</span>')
    return f'<pre class="{kind}" tabindex="-1">{"".join(made)}</pre>'


# --- The page ------------------------------------------------------------------------------------


def file_of(package: str, path: str) -> Path:
    return Path(distribution(package).locate_file(path))


def text_of(package: str, path: str) -> str:
    return file_of(package, path).read_text(encoding="utf-8")


def fonts() -> str:
    """Source Sans Pro (SIL Open Font License), so that a deck is set alike on every machine."""
    faces = []
    for name, (weight, slope) in FONTS.items():
        path = f"{REVEAL}/dist/theme/fonts/source-sans-pro/source-sans-pro-{name}.woff"
        data = base64.b64encode(file_of("sphinx-revealjs", path).read_bytes()).decode("ascii")
        faces.append(
            f"@font-face {{ font-family: 'Source Sans Pro'; font-weight: {weight}; font-style: "
            f"{slope}; src: url(data:font/woff;base64,{data}) format('woff'); }}"
        )
    return "\n".join(faces)


def style() -> str:
    """reveal.js's own sheet, the explorables', the colours of code, and the look of the decks."""
    sheets = [
        text_of("sphinx-revealjs", f"{REVEAL}/dist/reveal.css"),
        (EXPLORE / "explore.css").read_text(encoding="utf-8"),
        HtmlFormatter(style="a11y-high-contrast-light").get_style_defs(".code"),
        (PARTS / "deck.css").read_text(encoding="utf-8"),
    ]
    return fonts() + "\n" + "\n".join(sheets)


def scripts(explorables: list[str]) -> list[str]:
    """MathJax and how it is set up, reveal.js with the speaker's view, explorables, the start."""
    files = dict.fromkeys(file for name in explorables for file in scripts_of(name))
    return [
        (PARTS / "mathjax.js").read_text(encoding="utf-8"),
        mathjax().read_text(encoding="utf-8"),
        text_of("sphinx-revealjs", f"{REVEAL}/dist/reveal.js"),
        text_of("sphinx-revealjs", f"{REVEAL}/plugin/notes/notes.js"),
        *((EXPLORE / f"{file}.js").read_text(encoding="utf-8") for file in files),
        (PARTS / "start.js").read_text(encoding="utf-8"),
    ]


def deck(text: str, notebook) -> str:
    """A deck, one page of HTML, from its text and the executed lesson."""
    writer = Writer(Lesson(notebook))
    slides = read(text)
    sections = "\n".join(writer.slide(slide) for slide in slides)
    closed = (script.replace("</script", r"<\/script") for script in scripts(writer.explorables))
    return (
        '<!DOCTYPE html>\n<html lang="en" data-theme="light">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(slides[0].headline)}</title>\n<style>{style()}</style>\n</head>\n"
        f'<body>\n<div class="reveal"><div class="slides">\n{sections}\n</div></div>\n'
        + "\n".join(f"<script>{script}</script>" for script in closed)
        + "\n</body>\n</html>\n"
    )


def decks_in(folder: Path) -> list[Path]:
    return sorted(folder.glob("[0-9][0-9]*_*.md"))


def lesson_of(path: Path):
    """The executed lesson that a deck belongs to."""
    return nbformat.read(path.parent.parent / f"{path.stem}.ipynb", as_version=4)


def print_pdf(browser, page: Path, target: Path) -> None:
    """A page for each slide, and one for its notes."""
    query = "?print-pdf&showNotes=separate-page&pdfSeparateFragments=false"
    opened = browser.open(page.resolve().as_uri() + query, width=1280, height=720)
    opened.wait_for(READY)
    opened.evaluate("new Promise(done => setTimeout(done, 500))")  # canvases paint when they show
    made = opened.call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)
    target.write_bytes(base64.b64decode(made["data"]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="beginnings of names, such as 01 (default: all)")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "slides")
    options = parser.parse_args()
    paths = decks_in(DECKS)
    if options.names:
        paths = [path for path in paths if path.stem.startswith(tuple(options.names))]
    if not paths:
        print("No decks named NN_name.md in notebooks/decks/.", file=sys.stderr)
        return 1
    options.output.mkdir(parents=True, exist_ok=True)
    pages = []
    for path in paths:
        try:
            page = deck(path.read_text(encoding="utf-8"), lesson_of(path))
        except DeckError as error:
            print(f"{path.name}, {error}", file=sys.stderr)
            return 1
        pages.append(options.output / f"{path.stem}.html")
        pages[-1].write_text(page, encoding="utf-8")
        print(f"{pages[-1]}: {page.count('<section')} slides", flush=True)
    return print_all(pages)


def print_all(pages: list[Path]) -> int:
    """The PDF of each deck, where there is a browser to print it."""
    from browser import BROWSER, NAMES, Browser

    if BROWSER is None:
        for page in pages:  # an older one is of an older deck
            page.with_suffix(".pdf").unlink(missing_ok=True)
        print(f"No PDFs: none of {', '.join(NAMES)} is on this machine to print them.")
        return 0
    with Browser() as browser:
        for page in pages:
            print_pdf(browser, page, page.with_suffix(".pdf"))
            print(page.with_suffix(".pdf"), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
