"""Links between the pages: "(3.2)" to its equation, "lesson 03", exercises, words and API names.

The pages are written without them. What is cited in a text, a table or a docstring becomes a link
here, once Sphinx has read all pages; code, formulas, headings and what is a link stay as they are.
tools/site_pages.py leaves in places.json which lessons show an equation and which line has it.
"""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform

TAG = re.compile(r"\\tag\{(\d+\.\d+)\}")
MATH = re.compile(r"\$\$(.+?)\$\$", re.S)
CITED = re.compile(
    r"(?<![\w)\]}])\([1-9]\d?\.[1-9]\d?(?:\s*(?:,|;|–|-|and|to)\s*[1-9]\d?\.[1-9]\d?)*\)"
)
NUMBERED = re.compile(
    r"\b([Ll]essons?|[Ee]xercises?)\s((?:\d\d?\.\d\d?|\d\d[ab]?)"
    r"(?:(?:,\s(?:and\s)?|\sand\s|\sto\s|–)(?:\d\d?\.\d\d?|\d\d[ab]?))*)\b"
)
NUMBER = re.compile(r"\d\d?\.\d\d?|\d\d[ab]?")
EQUATIONS, GLOSSARY = "equations", "glossary"
LEFT_ALONE = (
    nodes.reference, nodes.literal, nodes.literal_block, nodes.math, nodes.math_block, nodes.title,
    nodes.raw, nodes.comment, nodes.image, addnodes.desc_signature, addnodes.toctree,
    addnodes.pending_xref,
)  # fmt: skip


def anchor(tag: str) -> str:
    return "eq-" + tag.replace(".", "-")


def equations_in(markdown: str) -> dict[str, str]:
    """{tag: its TeX without the tag}."""
    found = {}
    for body in MATH.findall(markdown):
        if tag := TAG.search(body):
            found[tag[1]] = TAG.sub("", body).strip()
    return found


def words_in(markdown: str) -> dict[str, str]:
    """{English word: its meaning}, of the table under "Words"."""
    table = markdown.partition("\n## Words\n")[2]
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \| (.+) \|$", table, flags=re.M)
    return {
        word.strip(): re.sub(r"\$([^$]*)\$", lambda m: plain(m[1]), meaning)
        for names, meaning in rows
        for word in names.split(", ")
        if names != "English"
    }


def plain(tex: str) -> str:
    """A short formula as text, for where none can be typeset."""
    for command, text in ((r"\mathcal L", "L"), (r"\mid", "|"), (r"\log", "log"), (r"\,", "")):
        tex = tex.replace(command, text)
    return re.sub(r"\s+", " ", tex.replace("{", "").replace("}", "").replace("\\", ""))


class NumberedEquations(SphinxTransform):
    """Each equation with a tag can be pointed at; those of the list are entries of the index."""

    default_priority = 300

    def apply(self, **kwargs):
        for node in list(self.document.findall(nodes.math_block)):
            if tag := TAG.search(node.astext()):
                node["ids"].append(anchor(tag[1]))
                if self.env.docname == EQUATIONS:
                    entry = ("single", f"({tag[1]})", anchor(tag[1]), "main", None)
                    index = addnodes.index(entries=[entry])
                    node.parent.insert(node.parent.index(node), index)
        if self.env.docname == GLOSSARY:
            for entry in self.document.findall(nodes.entry):
                row = entry.parent
                if row.index(entry) == 0 and row.parent.tagname == "tbody":
                    row["ids"] += [
                        word_anchor(word)
                        for word in entry.astext().split(", ")
                        if word in self.app.course_words
                    ]


def word_anchor(word: str) -> str:
    return "word-" + re.sub(r"\W+", "-", word.lower())


def start(app):
    """Read the lists once; a page that is built alone has what it needs."""
    source = Path(app.srcdir)
    app.course_equations = equations_in((source / "equations.md").read_text(encoding="utf-8"))
    app.course_words = words_in((source / "glossary.md").read_text(encoding="utf-8"))
    places = source / "places.json"
    app.course_places = json.loads(places.read_text(encoding="utf-8")) if places.exists() else {}
    pages = {"lesson": {}, "exercise": {}}
    for kind, folder in (("lesson", "lessons"), ("exercise", "exercises")):
        for path in sorted((source / folder).glob("*.ipynb")):
            number = path.stem.partition("_")[0]
            pages[kind].setdefault(number, f"{folder}/{path.stem}")
            pages[kind].setdefault(number[:2], f"{folder}/{path.stem}")  # 04: the first of 04a, 04b
    app.course_pages = pages
    app.course_names = None
    script = "window.EQUATIONS = " + json.dumps(app.course_equations, ensure_ascii=False) + ";\n"
    (source / "_static").mkdir(exist_ok=True)
    (source / "_static" / "equations.js").write_text(script, encoding="utf-8")


def link(text: str, uri: str, name: str, **attributes) -> nodes.reference:
    return nodes.reference(text, text, refuri=uri, internal=True, classes=[name], **attributes)


class Linker:
    """The links of one page."""

    def __init__(self, app, page: str):
        self.app, self.page = app, page
        self.words = {}
        reads = ("lessons/", "recipes/", "exercises/")
        if page.startswith(reads) or page in ("distributed", "lecturer"):
            self.words = dict(app.course_words)
        self.uri = lambda target: app.builder.get_relative_uri(page, target)

    def pieces(self, text: str) -> list[nodes.Node]:
        """A text as pieces, the citations and numbers among them links."""
        spans = []
        for found in CITED.finditer(text):
            numbers = list(re.finditer(r"\d+\.\d+", found[0]))
            for number in numbers:
                if number[0] in self.app.course_equations:
                    alone = len(numbers) == 1
                    a, b = (0, len(found[0])) if alone else number.span()
                    to = self.uri(EQUATIONS) + "#" + anchor(number[0])
                    spans.append((found.start() + a, found.start() + b, to, "eq", {}))
        for found in NUMBERED.finditer(text):
            kind = found[1].lower().rstrip("s")
            first = True
            for number in NUMBER.finditer(found[2]):
                page = self.app.course_pages[kind].get(number[0].partition(".")[0].zfill(2))
                page = self.app.course_pages[kind].get(number[0], page)
                start = found.start() if first and not found[1].endswith("s") else (
                    found.start(2) + number.start())  # fmt: skip
                first = False
                if page and page != self.page and ("." in number[0] or kind == "lesson"
                                                   or len(number[0]) == 2):  # fmt: skip
                    end = found.start(2) + number.end()
                    spans.append((start, end, self.uri(page), kind, {}))
        for word in sorted(self.words, key=len, reverse=True):
            pattern = rf"(?<![\w(-]){re.escape(word)}s?(?![\w)-])"
            if found := re.search(pattern, text, flags=0 if word.isupper() else re.I):
                if not any(a < found.end() and found.start() < b for a, b, *_ in spans):
                    to = self.uri(GLOSSARY) + "#" + word_anchor(word)
                    spans.append((*found.span(), to, "word", {"reftitle": self.words.pop(word)}))
        pieces, at = [], 0
        for a, b, to, name, more in sorted(spans, key=lambda span: span[:2]):
            if a < at:
                continue
            if a > at:
                pieces.append(nodes.Text(text[at:a]))
            pieces.append(link(text[a:b], to, name, **more))
            at = b
        return [*pieces, nodes.Text(text[at:])] if pieces and at < len(text) else pieces

    def of_api(self, text: str) -> str | None:
        """Where a name in code leads: CVAE1, networks.mlps, model.bound, SGVBB()."""
        name = re.match(r"(?:cvae_tf\.)?([A-Za-z_]\w*(?:\.\w+)*)(\(.*\))?$", text.strip(), re.S)
        if not name:
            return None
        if name[1].islower() and "." not in name[1] and not name[2]:
            return None  # `gap` may be anything; `gap(…)` and `evaluation.gap` are the function
        found = names_of(self.app).get(name[1])
        return found and self.uri(found[0]) + "#" + found[1]


def names_of(app) -> dict[str, tuple[str, str]]:
    """{a name as a text has it: (page, anchor)} of what the library's pages describe."""
    if app.course_names is None:
        names, twice = {}, set()
        for full, entry in app.env.domaindata["py"]["objects"].items():
            parts = full.split(".")
            short = {".".join(parts[1:]), ".".join(parts[2:])} - {""}
            if parts[1:2] == ["base"] and "LatentVariableModel" in parts:
                short |= {"model." + parts[-1]}
            if entry.objtype in ("attribute", "module", "data", "property"):
                short = set()
            for name in short:
                if name in names and names[name] != (entry.docname, entry.node_id):
                    twice.add(name)
                names[name] = (entry.docname, entry.node_id)
        app.course_names = {n: to for n, to in names.items() if n not in twice}
    return app.course_names


def add_links(app, doctree, page):
    if app.builder.format != "html" or page in ("genindex", "search"):
        return
    linker = Linker(app, page)
    for node in list(doctree.findall(nodes.Text)):
        parents, up = [], node.parent
        while up is not None:
            parents.append(up)
            up = up.parent
        if any(isinstance(parent, LEFT_ALONE) for parent in parents):
            continue
        if pieces := linker.pieces(node.astext()):
            node.parent.replace(node, pieces)
    for node in list(doctree.findall(nodes.literal)):
        if isinstance(node.parent, nodes.reference | nodes.title) or page.startswith("api/"):
            continue
        if to := linker.of_api(node.astext()):
            wrapped = nodes.reference("", "", node.deepcopy(), refuri=to, internal=True,
                                      classes=["api"])  # fmt: skip
            node.parent.replace(node, wrapped)
    if page == EQUATIONS:
        for node in list(doctree.findall(nodes.math_block)):
            if (tag := TAG.search(node.astext())) and tag[1] in app.course_places:
                text = whence(app.course_places[tag[1]], tag[1])
                if text:
                    raw = nodes.raw("", text, format="html")
                    node.parent.insert(node.parent.index(node) + 1, raw)


def whence(place: dict, tag: str) -> str:
    """Under an equation of the list: the lessons that show it, the line of code that has it."""
    parts = [
        f'<a href="{html.escape(page)}.html#{anchor(tag)}">lesson {number}</a>'
        for number, page in place.get("lessons", [])
    ]
    said = ["In " + ", ".join(parts)] if parts else []
    for name, page, code in place.get("code", [])[:1]:
        line = f": <code>{html.escape(code)}</code>" if code else ""
        said.append(f'in the code <a href="{html.escape(page)}">{html.escape(name)}</a>{line}')
    text = "; ".join(said)
    return f'<p class="whence">{text[:1].upper()}{text[1:]}</p>' if text else ""


def setup(app):
    app.connect("builder-inited", start, priority=100)
    app.add_transform(NumberedEquations)
    app.connect("doctree-resolved", add_links, priority=400)
    app.add_js_file("equations.js", loading_method="defer")
    app.add_js_file("tips.js", loading_method="defer")
    return {"parallel_read_safe": False, "parallel_write_safe": False}
