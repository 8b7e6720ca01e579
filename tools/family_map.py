"""The map of the family for the first page: five graphs, and what leads from one to the other.

    python tools/family_map.py

photographs it for README and for whoever is sent a link, with Chromium: docs/_static/social.png.
"""

from __future__ import annotations

import html
import tempfile
from pathlib import Path

# name, colour (cvae_tf.look.COLOURS), lesson, corner, what it bounds, arrows from and to
MODELS = [
    ("VAE", "#0072B2", "01", (10, 10), "log p(x)", ["zx"]),
    ("CVAE-1", "#D55E00", "03", (330, 10), "log p(x|y)", ["yz", "yx", "zx"]),
    ("CVAE-2", "#009E73", "04a", (650, 10), "log p(x|y)", ["yx", "zx"]),
    ("CVAE-3", "#CC79A7", "05", (10, 250), "log p(y|x)", ["xz", "xy", "zy"]),
    ("CVAE-4 (CMMA)", "#E69F00", "06", (650, 250), "log p(x|y)", ["yz", "zx"]),
]
WIDTH, HEIGHT = 190, 170
STEPS = [  # from, to, two lines above the arrow
    ((200, 95), (330, 95), ("y is given", "everywhere")),
    ((520, 95), (650, 95), ("the prior", "without y")),
    ((345, 180), (200, 300), ("x and y change places",)),
    ((505, 180), (650, 300), ("the likelihood without y",)),
]
NODES = {"y": (48, 72), "z": (142, 72), "x": (95, 128)}
RADIUS = 17


def arrow(start: tuple[float, float], end: tuple[float, float], cut: float = 0.0) -> str:
    """A line with a head, `cut` short of both its ends."""
    (a, b), (c, d) = start, end
    length = ((c - a) ** 2 + (d - b) ** 2) ** 0.5
    dx, dy = (c - a) / length, (d - b) / length
    return (
        f'<line x1="{a + cut * dx:.1f}" y1="{b + cut * dy:.1f}" x2="{c - (cut + 3) * dx:.1f}" '
        f'y2="{d - (cut + 3) * dy:.1f}" stroke="currentColor" stroke-width="1.8" '
        'marker-end="url(#head)"/>'
    )


def box(name, colour, lesson, corner, bounds, arrows, lesson_of) -> str:
    """One model: its graph in a frame, a link to its lesson if there is one."""
    x, y = corner
    parts = [
        f'<rect class="box" width="{WIDTH}" height="{HEIGHT}" rx="10" fill="none" '
        f'stroke="{colour}" stroke-width="2"/>',
        f'<text x="95" y="26" font-weight="bold">{html.escape(name)}</text>',
        f'<text x="95" y="163" font-size="14">bounds {html.escape(bounds)}</text>',
    ]
    parts += [arrow(NODES[a], NODES[b], RADIUS) for a, b in arrows]
    for letter, (cx, cy) in NODES.items():
        if not any(letter in pair for pair in arrows):
            continue
        fill = "none" if letter == "z" else colour
        parts.append(
            f'<circle cx="{cx}" cy="{cy}" r="{RADIUS}" fill="{fill}" fill-opacity=".22" '
            f'stroke="currentColor"/><text x="{cx}" y="{cy + 6}" font-style="italic">'
            f"{letter}</text>"
        )
    body = f'<g transform="translate({x} {y})">{"".join(parts)}</g>'
    others = [page for number, page in lesson_of.items() if number[:2] == lesson[:2]]
    to = lesson_of.get(lesson, *others[:1])
    title = f"<title>{html.escape(name)}, lesson {lesson}</title>"
    return f'<a href="{to}">{title}{body}</a>' if to else body


def svg(lesson_of: dict[str, str]) -> str:
    """The map as inline SVG. Args: lesson_of: {a lesson's number: its page}."""
    parts = [box(*model, lesson_of) for model in MODELS]
    for start, end, lines in STEPS:
        parts.append(arrow(start, end))
        if start[1] == end[1]:
            x, y = (start[0] + end[0]) / 2, start[1] - 8 - 18 * (len(lines) - 1)
            anchor = "middle"
        elif end[0] > start[0]:
            x, y, anchor = end[0] - 50, end[1] - 24, "end"
        else:
            x, y, anchor = end[0] + 50, end[1] - 24, "start"
        for i, line in enumerate(lines):
            at = f'x="{x}" y="{y + 18 * i}" font-size="14" text-anchor="{anchor}"'
            parts.append(f"<text {at}>{line}</text>")
    return (
        '<div class="family explore-scroll"><svg viewBox="0 0 850 430" role="group" '
        'aria-label="Five models and what leads from one to the other" font-size="17" '
        'text-anchor="middle" font-family="inherit" fill="currentColor"><defs><marker id="head" '
        'viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8Z"/></marker></defs>' + "".join(parts) + "</svg></div>"
    )


CARD = """<!doctype html><meta charset="utf-8"><style>
body { margin: 0; width: 1200px; height: 630px; background: #fff; color: #222;
       font-family: "DejaVu Sans", system-ui, sans-serif;
       display: grid; align-content: space-evenly; }
h1 { font-size: 46px; margin: 0 60px; } p { font-size: 24px; margin: 12px 60px 0; color: #444; }
svg { display: block; width: 860px; margin: 0 auto; }
</style><div><h1>Conditional variational autoencoders</h1>
<p>One bound, five models, equation by equation: a course and a library</p></div>"""


def photograph(to: Path) -> None:
    """The map under the course's title, 1200 by 630 pixels."""
    from browser import Browser

    with tempfile.TemporaryDirectory() as folder, Browser() as browser:
        page = Path(folder) / "card.html"
        page.write_text(CARD + svg({}), encoding="utf-8")
        browser.open(page, width=1200, height=630).picture(to)


if __name__ == "__main__":
    photograph(Path(__file__).resolve().parent.parent / "docs" / "_static" / "social.png")
