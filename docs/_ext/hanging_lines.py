"""Long lines of code that hang where they do not fit, instead of leaving the column.

Each becomes a span that knows its indentation; course.css wraps it, six columns further in, where
no line of Python begins.
"""

import html
import re

from pygments.formatters import HtmlFormatter
from sphinx.highlighting import PygmentsBridge

SHORT = 35  # characters: fits on a telephone


class HangingLines(HtmlFormatter):
    """Pygments' lines in HTML, the long ones each in a span."""

    def wrap(self, source):
        return super().wrap(self.hung(source))

    @staticmethod
    def hung(source):
        for is_code, line in source:
            text = html.unescape(re.sub("<[^>]*>", "", line)).rstrip()
            if is_code and len(text) > SHORT:
                indent = len(text) - len(text.lstrip())
                style = f" style=--in:{indent}" if indent else ""
                line = f"<span class=long{style}>{line.rstrip()}</span>\n"
            yield is_code, line


def setup(app):
    PygmentsBridge.html_formatter = HangingLines
    return {"parallel_read_safe": True}
