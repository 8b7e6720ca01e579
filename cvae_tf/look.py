"""The look of the course's figures: one style, one colour for each model, and their axes.

Matplotlib is imported where it is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from cvae_tf import checks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# After Okabe & Ito and Paul Tol: far apart for colour-blind eyes too, dark enough for a projector.
COLOURS = {
    "VAE": "#0072B2", "CVAE1": "#D55E00", "CVAE2": "#009E73", "CVAE3": "#CC79A7", "CMMA": "#E69F00",
    "GSNN": "#56B4E9", "M1": "#661100", "M2": "#332288", "baseline": "#595959",
}
# What a bound is made of has one colour each, through the whole course.
PARTS = {"prior": "#999933", "q": "#AA4499", "true posterior": "#117733", "KL": "#882255"}
SPARE = ("#111111", "#7F3F10", "#7C9A00", "#6A51A3")  # for names that are in neither list
CLASSES = (  # ten classes; the digit is written beside its points as well
    "#332288", "#E69F00", "#56B4E9", "#661100", "#009E73",
    "#D55E00", "#0072B2", "#111111", "#CC79A7", "#595959",
)
MARKERS = dict(zip(COLOURS, "os^DvPX*h", strict=True))
INK = "#222222"
DASHED: Any = (0, (3, 1.5))
DOTTED: Any = (0, (1, 1.2))

_STYLE: dict[str, Any] = {
    "figure.dpi": 100, "savefig.dpi": 110, "figure.facecolor": "white", "font.size": 15,
    "axes.titlesize": 17, "axes.labelsize": 16, "xtick.labelsize": 14, "ytick.labelsize": 14,
    "legend.fontsize": 14, "legend.frameon": False, "text.color": INK, "axes.labelcolor": INK,
    "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK, "axes.spines.top": False,
    "axes.spines.right": False, "axes.grid": False, "grid.color": "#DDDDDD", "lines.linewidth": 2.5,
    "lines.markersize": 8, "mathtext.fontset": "cm", "image.cmap": "gray_r",
    "image.interpolation": "nearest",
}


@contextmanager
def style() -> Iterator[None]:
    """Applies the course's look to figures made inside: large type, dark ink, quiet axes.

    Example:
        >>> with style():
        ...     import matplotlib
        ...     size = matplotlib.rcParams["font.size"]
        >>> size
        15.0
    """
    import matplotlib

    with matplotlib.rc_context(_STYLE):  # type: ignore[arg-type, unused-ignore]
        yield


def colour(name: str) -> str:
    """The colour of a model, or of a part of the bound, throughout the course.

    Args:
        name: a model's name as in `COLOURS` ("CVAE4" is "CMMA", "FutureCVAE" a CVAE-3); "prior",
            "q", "true posterior" or "KL"; any other text gets a spare colour.

    Returns:
        A colour as "#RRGGBB".

    Raises:
        TypeError: if the name is no text.

    Example:
        >>> colour("CVAE4") == colour("CMMA")
        True
    """
    checks.instance(name, "name", str, "a model's name")
    name = {"CVAE4": "CMMA", "FutureCVAE": "CVAE3"}.get(name, name)
    return known(name) or SPARE[sum(map(ord, name)) % len(SPARE)]


def known(name: str) -> str | None:
    """The colour that only this name has, if it has one."""
    return COLOURS.get(name) or PARTS.get(name)


def written(text: str) -> str:
    """A text with the models' names as prose has them: "CVAE1" is CVAE-1."""
    return re.sub(r"\bCVAE(?=\d)", "CVAE-", text)


def legible(shade: str) -> tuple[float, float, float]:
    """The same hue, darkened until text in it has contrast 4.5 on white (WCAG AA)."""
    from matplotlib.colors import to_rgb

    rgb = np.array(to_rgb(shade))
    while True:
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        if 1.05 / (linear @ [0.2126, 0.7152, 0.0722] + 0.05) >= 4.5:
            return tuple(rgb)
        rgb = rgb * 0.97


def label(ax: Axes, xlabel: str | None, ylabel: str | None, title: str | None) -> None:
    """Writes the texts of the axes, those that there are."""
    ax.set(xlabel=xlabel or ax.get_xlabel(), ylabel=ylabel or ax.get_ylabel())
    if title:
        ax.set_title(title, pad=10)
    ax.tick_params(labelsize=_STYLE["xtick.labelsize"])


def new_figure(size: tuple[float, float]) -> Figure:
    """An empty figure. Args: size: inches across and down."""
    from matplotlib.figure import Figure  # without pyplot: nothing is shown twice or stays open
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    pads = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12)  # inches
    return Figure(figsize=size, layout=pads, dpi=_STYLE["figure.dpi"])


def figure(ax: Axes | None, size: tuple[float, float]) -> tuple[Any, Any]:
    """The axes given and their figure, or new ones of a size in inches."""
    if ax is None:
        fig = new_figure(size)
        return fig, fig.add_subplot()
    from matplotlib.axes import Axes

    checks.instance(ax, "ax", Axes, "one Matplotlib axes, such as axes[0] of fig.subplots(1, 2)")
    return ax.figure, ax
