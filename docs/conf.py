"""The site of the course, for Sphinx. tools/site_pages.py lays the pages together and calls it."""

import html
import inspect
import json
import re
import sys
from pathlib import Path

from docutils import nodes

sys.path.insert(0, str(Path(__file__).parent / "_ext"))
import course_links

project = "Conditional variational autoencoders"
author = "The cvae_tf authors"
html_title = "Conditional variational autoencoders"
language = "en"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "course_links",
    "search_words",
]
exclude_patterns = ["**.ipynb_checkpoints", "_ext", "_extra"]

# The notebooks come executed; what they show is what was computed.
nb_execution_mode = "off"
nb_merge_streams = True
myst_enable_extensions = ["amsmath", "attrs_block", "attrs_inline", "colon_fence", "dollarmath"]
myst_heading_anchors = 3
myst_dmath_double_inline = True
suppress_warnings = ["mystnb.unknown_mime_type", "misc.highlighting_failure"]

# MathJax lies beside the pages, one file with all glyphs: no network, and no server either.
mathjax_path = "mathjax.js"
mathjax3_config = {
    "tex": {"tags": "none", "processEscapes": True},
    "svg": {"fontCache": "global"},
    "options": {"enableMenu": False},
}

autodoc_member_order = "bysource"
toc_object_entries_show_parents = "hide"
autodoc_typehints = "none"
autodoc_inherit_docstrings = False  # Keras's own docstrings stay with Keras
napoleon_use_ivar = True
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Source", "returns_style"), ("Sources", "returns_style")]
add_module_names = False

html_theme = "sphinx_book_theme"
html_static_path = ["_static"]
html_extra_path = ["_extra"]  # explore.html, and the notebooks to download
html_css_files = ["course.css", "explore/explore.css"]
html_favicon = "_static/favicon.svg"
html_last_updated_fmt = "%d %B %Y"
html_domain_indices = False  # api/index lists the modules, by subject
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_show_sourcelink = False
html_context = {"default_mode": "auto"}
html_theme_options = {
    "use_download_button": False,
    "use_fullscreen_button": True,
    "show_toc_level": 2,
    "home_page_in_toc": True,
    "navbar_persistent": [],
    "footer_content_items": ["last-updated.html"],
}


def in_its_own_words(app, what, name, obj, options, lines):
    """Docstrings here are text, not reStructuredText: bars, stars and arrows mean themselves.

    An indented block under a paragraph (a table, a formula, code) stays as it was typed.
    """
    written, above, literal = [], "", False
    for line in lines:
        if line.startswith("    ") and written and not written[-1].strip():
            if not literal and not re.fullmatch(r"[A-Z]\w+:", above):
                literal = True
                written += ["::", ""]
        elif line.strip() and not line.startswith(" "):
            literal, above = False, line.strip()
        if continues(line, written, literal):
            line = line.strip()
        written.append(line if literal else escaped(line))
    lines[:] = written if what == "module" else with_equations(app, written)


def continues(line, written, literal):
    """Whether a line, though indented, goes on with the sentence above: it would make a heading."""
    above = written[-1] if written else ""
    goes_on = line.startswith("    ") and above.strip() and not above.startswith(" ")
    return goes_on and not literal and not re.fullmatch(r"[A-Z]\w+:|::|([-*]|\d+\.) .*", above)


def with_equations(app, lines):
    """Under a docstring's first paragraph, typeset, the equations that it cites."""
    end = lines.index("") if "" in lines else len(lines)
    tags = dict.fromkeys(re.findall(r"\d+\.\d+", " ".join(
        group for line in lines[:end] for group in course_links.CITED.findall(line))))
    math = []
    for tag in tags:
        if tex := app.course_equations.get(tag):
            math += ["", ".. math::", "", *("   " + line for line in tex.splitlines()), ""]
    return [*lines[:end], *math, *lines[end:]]


def real_signature(app, what, name, obj, options, signature, returns):
    """A model is called as its constructor says; Keras's `__new__` takes anything."""
    if what != "class" or signature != "(*args, **kwargs)":
        return None
    parameters = list(inspect.signature(obj.__init__).parameters.values())[1:]
    bare = [each.replace(annotation=inspect.Parameter.empty) for each in parameters]
    return str(inspect.Signature(bare)), returns


def described(app, page, template, context, doctree):
    """What a link to the page shows elsewhere: title, description, picture."""
    if page == "search":
        app.add_js_file("texts.js")
        app.add_js_file("from_disk.js")
    source = Path(app.srcdir) / "descriptions.json"
    texts = json.loads(source.read_text(encoding="utf-8")) if source.exists() else {}
    text = texts.get(page) or texts.get("index", "")
    up = "../" * page.count("/")
    title = re.sub("<[^>]*>", "", context.get("title", "")) or project
    given = {"og:title": title, "og:type": "article", "og:description": text,
             "og:image": f"{up}_static/social.png", "twitter:card": "summary_large_image"}
    tags = [f'<meta name="description" content="{html.escape(text)}"/>']
    tags += [f'<meta property="{k}" content="{html.escape(v)}"/>' for k, v in given.items()]
    context["metatags"] = context.get("metatags", "") + "\n".join(tags)


def escaped(line):
    if line.lstrip().startswith((">>>", "...", ":", "..")) or not line.strip():
        return line
    code = line.split("`")  # every second piece is code
    plain = [re.sub(r"[*|\\]|_(?!\w)", r"\\\g<0>", piece) for piece in code[::2]]
    code[::2] = plain
    return "``".join(code)


def as_written(app, doctree, page):
    """Display equations go to MathJax as they stand: Sphinx's `split` around them forbids tags."""
    for node in doctree.findall(nodes.math_block):
        if not (node.get("no-wrap") or node.get("nowrap")):
            tex = node.astext()
            node["no-wrap"] = node["nowrap"] = True
            node.children = [nodes.Text(rf"\[{tex}\]")]


def setup(app):
    app.connect("doctree-resolved", as_written)
    # Before napoleon (priority 500), which makes fields of Args, Returns and the rest.
    app.connect("autodoc-process-docstring", in_its_own_words, priority=400)
    app.connect("autodoc-process-signature", real_signature)
    app.connect("html-page-context", described)
