"""The site of the course, for Sphinx. tools/site_pages.py lays the pages together and calls it."""

import re

from docutils import nodes

project = "Conditional variational autoencoders"
author = "the authors of cvae_tf"
html_title = "Conditional variational autoencoders"
language = "en"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
exclude_patterns = ["**.ipynb_checkpoints"]

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
autodoc_typehints = "none"
autodoc_inherit_docstrings = False  # Keras's own docstrings stay with Keras
napoleon_use_ivar = True
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Source", "returns_style"), ("Sources", "returns_style")]
add_module_names = False

html_theme = "sphinx_book_theme"
html_static_path = ["_static"]
html_css_files = ["course.css"]
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_show_sourcelink = False
html_context = {"default_mode": "light"}
html_theme_options = {
    "use_download_button": False,
    "use_fullscreen_button": True,
    "show_toc_level": 2,
    "home_page_in_toc": True,
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
        written.append(line if literal else escaped(line))
    lines[:] = written


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
