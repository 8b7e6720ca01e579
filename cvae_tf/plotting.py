"""Figures of the course: one style, one colour for each model, axes with units.

Every function returns a Matplotlib `Figure`; `show(fig, alt)` puts it into a notebook with a text
that says what is to be seen for those who cannot see it. The look is in `look`, the graphs of
models in `graphs`; their names are here too. Matplotlib and IPython are imported where they are
used.
"""

from __future__ import annotations

import base64
import importlib.util
import io
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cvae_tf import checks, look
from cvae_tf.graphs import GraphEdges, directed_graph, graph_edges, graphical_model
from cvae_tf.look import (
    COLOURS,
    DASHED,
    DOTTED,
    INK,
    colour,
    label,
    legible,
    new_figure,
    style,
    written,
)
from cvae_tf.signatures import evaluate, parents

if importlib.util.find_spec("matplotlib") is None:  # said here, before anything is trained
    raise ImportError(
        "cvae_tf.plotting draws with Matplotlib, which is not installed. Install it with: "
        'pip install "cvae_tf[plot]"'
    )

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "COLOURS", "GraphEdges", "bound_curves", "colour", "density_with_gaussians", "directed_graph",
    "explore", "graph_edges", "graphical_model", "image_grid", "label_style_sweep",
    "latent_manifold", "latent_scatter", "line_chart", "sampled_futures", "show", "style",
    "written",
]

Gaussian = tuple[npt.ArrayLike, npt.ArrayLike]  # mean [2], standard deviation [2]


def show(fig: Figure, alt: str) -> None:
    """Displays a figure as PNG with its text alternative, and closes it.

    In a notebook the text goes into the output's metadata, {"image/png": {"alt": alt}}, from where
    it reaches the HTML page, and into the plain-text form of the output. Outside IPython the text
    alone is printed.

    Args:
        fig: a Matplotlib figure.
        alt: what is to be seen in it, in a sentence or two.

    Raises:
        TypeError, ValueError: if fig is no figure, or alt is empty.

    Example:
        >>> show(image_grid(np.zeros((4, 64))), "Four empty images.")
        Four empty images.
    """
    if not isinstance(alt, str) or not alt.strip():
        raise ValueError(f"Received {alt=}. Expected a sentence that says what is to be seen.")
    from matplotlib.figure import Figure

    checks.instance(fig, "fig", Figure, "a Matplotlib figure, such as image_grid(…) gives")
    shell = sys.modules.get("IPython") and sys.modules["IPython"].get_ipython()
    if shell:
        from IPython.display import publish_display_data

        png = io.BytesIO()
        with style():
            fig.savefig(png, format="png", metadata={"Software": None})
        data = {"image/png": base64.b64encode(png.getvalue()).decode("ascii"), "text/plain": alt}
        publish_display_data(data, metadata={"image/png": {"alt": alt}})
    else:
        print(alt)
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close(fig)


def explore(
    draw: Callable[..., Figure], *, alt: str, **sliders: tuple[float, float, float]
) -> None:
    """Shows `draw(**values)` under sliders where a reader can move them, and as a figure elsewhere.

    Sliders need a live kernel. The environment variable CVAE_TF_STATIC, which the commands that
    store and build set, asks for the figure at the sliders' first values: a page has no kernel.

    Args:
        draw: a function of one number per slider; returns a Matplotlib figure.
        alt: what is to be seen in the figure.
        **sliders: per argument of `draw`, (least, greatest, first value); whole numbers if all
            three are. A slider is named for its argument, `_` as a space.

    Raises:
        TypeError, ValueError: if draw is no function, or a slider is not three numbers in order.

    Example:
        >>> def draw(z1):
        ...     return image_grid(np.full((1, 64), z1))
        >>> explore(draw, alt="One grey image.", z1=(0.0, 1.0, 0.5))  # doctest: +SKIP
    """
    if not callable(draw):
        raise TypeError(f"Received {draw=}. Expected a function of the sliders' values.")
    for name, values in sliders.items():
        least, greatest, first = _several(values, f"slider {name}", 3)
        if not least <= first <= greatest:
            raise ValueError(f"Slider {name} begins at {first}. Expected {least} to {greatest}.")
    shell = sys.modules.get("IPython") and sys.modules["IPython"].get_ipython()
    if not shell or os.environ.get("CVAE_TF_STATIC"):
        show(draw(**{name: first for name, (_, _, first) in sliders.items()}), alt)
        return
    import ipywidgets
    from IPython.display import display

    def control(name: str, least: float, greatest: float, first: float) -> Any:
        whole = all(isinstance(value, int) for value in (least, greatest, first))
        kind = ipywidgets.IntSlider if whole else ipywidgets.FloatSlider
        ends = {"min": least, "max": greatest, "step": 1 if whole else (greatest - least) / 40}
        said = {"description": name.replace("_", " "), "style": {"description_width": "initial"}}
        return kind(value=first, **ends, **said, continuous_update=False)

    controls = {name: control(name, *values) for name, values in sliders.items()}
    picture = ipywidgets.interactive_output(lambda **values: show(draw(**values), alt), controls)
    display(ipywidgets.VBox([*controls.values(), picture]))


@style()
def image_grid(
    images: npt.ArrayLike, *, columns: int | None = None, row_labels: Sequence[Any] | None = None,
    column_labels: Sequence[Any] | None = None, image_shape: Sequence[int] | None = None,
    title: str | None = None, xlabel: str | None = None, ylabel: str | None = None,
    limits: tuple[float, float] = (0.0, 1.0), cmap: str = "gray_r", ax: Axes | None = None,
) -> Figure:
    """Shows images side by side.

    Args:
        images: [N, D], [N, H, W] or [N, H, W, 1], filled in row by row; or with one axis more in
            front, [rows, columns, ...], with `columns` left out and `image_shape` given where
            images are flat.
        columns: images in a row; default 10, or fewer where there are fewer images.
        row_labels, column_labels: texts along the left and the top.
        image_shape: (H, W) or (H, W, 1) of flat images; default: square.
        title, xlabel, ylabel: texts of the axes.
        limits: the values shown as paper and as ink.
        cmap: "gray_r" shows ink dark on paper; "gray" suits photographs.
        ax: axes to draw in; default: a new figure.

    Returns:
        The figure.

    Raises:
        TypeError, ValueError: if the images' shape is not one of those, or a list of texts has
            another length.

    Example:
        >>> fig = image_grid(np.random.default_rng(0).random((20, 64)), columns=5)
    """
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    cells, columns = _cells(images, columns, image_shape)
    rows, (height, width) = math.ceil(len(cells) / columns), cells.shape[1:]
    row_labels = _texts(row_labels, "row_labels", rows)
    column_labels = _texts(column_labels, "column_labels", columns)
    paper, ink = _several(limits, "limits", 2)
    gap = max(1, round(height / 14))
    tops = gap + (height + gap) * np.arange(rows)
    lefts = gap + (width + gap) * np.arange(columns)
    places = [(top, left) for top in tops for left in lefts][: len(cells)]
    canvas = np.full((tops[-1] + height + gap, lefts[-1] + width + gap), np.nan)
    for (top, left), cell in zip(places, cells, strict=True):
        canvas[top : top + height, left : left + width] = cell
    size = 0.9 if max(rows, columns) <= 12 else 10.5 / max(rows, columns)
    across = columns * size * (width + gap) / (height + gap)
    room = (0.4 + (0.9 if row_labels is not None else 0.0), 0.3 + (0.6 if title else 0.0))
    fig, ax = look.figure(ax, (across + room[0], rows * size + room[1]))
    ax.imshow(canvas, vmin=paper, vmax=ink, cmap=cmap)
    frames = [Rectangle((left - 0.5, top - 0.5), width, height) for top, left in places]
    ax.add_collection(PatchCollection(frames, fc="none", ec="#BBBBBB", lw=0.6))
    ax.set_xticks(lefts + (width - 1) / 2, column_labels or [""] * columns)
    ax.set_yticks(tops + (height - 1) / 2, row_labels or [""] * rows)
    ax.xaxis.tick_top()
    ax.xaxis.set_label_position("top")
    label(ax, xlabel, ylabel, title)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return fig


@style()
def latent_scatter(
    z: npt.ArrayLike, labels: npt.ArrayLike | None = None, *, title: str | None = None,
    unit: str = "prior standard deviations", prior: bool = False,
    priors: Mapping[int, Gaussian] | None = None, ax: Axes | None = None,
) -> Figure:
    """Draws examples where their latents lie, coloured by label, each class named near its median.

    Args:
        z: latents of two dimensions, such as the means of q, [N, 2].
        labels: integers, [N], or None for one colour.
        title: a text over the axes.
        unit: what a step of 1 along an axis is.
        prior: whether to draw the circle that holds 95 % of N(0, I).
        priors: {label: (mean [2], standard deviation [2])} of p(z|y): for each label the ellipse
            that holds 95 % of its Gaussian, in the label's colour.
        ax: axes to draw in; default: a new figure.

    Returns:
        The figure.

    Raises:
        TypeError, ValueError: if z is not [N, 2], or labels have another length or are no integers.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> fig = latent_scatter(rng.standard_normal((50, 2)), rng.integers(0, 3, 50))
    """
    from matplotlib.patheffects import withStroke

    z = checks.array(z, "z", dtype="float64")
    if z.ndim != 2 or z.shape[1] != 2:
        raise ValueError(f"z is {z.shape}. Expected [N, 2]: choose two columns, z[:, [0, 1]].")
    ellipses = {each: _gaussian(pair, f"priors[{each}]") for each, pair in (priors or {}).items()}
    shades, classes = np.full(len(z), COLOURS["VAE"]), np.array([])
    if labels is not None:
        labels = checks.array(labels, "labels", event=(), dtype=None)
        checks.same_length({"z": z, "labels": labels}, "latent_scatter")
        if labels.dtype.kind not in "iu":
            raise TypeError(f"labels has dtype {labels.dtype}. Expected integers: number them.")
        shades, classes = _class_colour(labels), np.unique(labels)
    checks.flag(prior, "prior")
    fig, ax = look.figure(ax, (8.0, 7.2))
    radius = math.sqrt(-2 * math.log(0.05))  # a 2-d normal leaves this circle with p = 0.05
    for each, (mean, scale) in ellipses.items():
        _ellipse(ax, mean, radius * scale, lw=2.2, ec=_class_colour(each), zorder=3)
    if prior:
        _ellipse(ax, (0, 0), radius * np.ones(2), ls=(0, (4, 3)), lw=1.5, ec=INK, zorder=3)
        ax.annotate(
            "95 % of the prior", (0.71 * radius, 0.71 * radius), xytext=(4, 4),
            textcoords="offset points", fontsize=14, zorder=4, annotation_clip=False,
            path_effects=[withStroke(linewidth=4, foreground="white")],
        )
    order = np.random.default_rng(0).permutation(len(z))  # no class lies over another
    ax.scatter(*z[order].T, s=18, c=shades[order], alpha=0.6, linewidths=0)
    medians = np.array([np.median(z[labels == c], axis=0) for c in classes])
    for c, place in zip(classes, _apart(medians, 0.07 * np.ptp(z, axis=0).max()), strict=True):
        ax.text(
            *place, str(c), color=legible(_class_colour(c)),
            fontsize=24, fontweight="bold", ha="center", va="center", zorder=5,
            path_effects=[withStroke(linewidth=5, foreground="white")],
        )
    ax.set_aspect("equal", adjustable="datalim")
    label(ax, f"$z_1$ ({unit})", f"$z_2$ ({unit})", title)
    return fig


def _apart(places: npt.NDArray[Any], least: float) -> npt.NDArray[Any]:
    """Places, [C, 2]; those closer than `least` have moved away from each other."""
    for _ in range(200):
        away = places[:, None] - places
        distance = np.linalg.norm(away, axis=-1)
        push = np.clip(least / np.maximum(distance, 1e-9) - 1, 0, 1)
        np.fill_diagonal(push, 0)
        places = places + (away * push[..., None]).sum(1) / 2
    return places


def latent_manifold(
    model: Any, *, x: npt.ArrayLike | None = None, y: npt.ArrayLike | None = None, size: int = 15,
    dimensions: tuple[int, int] = (0, 1), **options: Any,
) -> Figure:
    """Decodes a grid over two latent dimensions whose cells hold equal mass of the prior.

    The grid is u = Φ⁻¹((i + ½)/size) on each axis, the other dimensions 0, and z = m + s·u with the
    prior's mean m and scale s: for a conditional prior the same u means the same place in every
    p(z|y). The mean of the likelihood is shown.

    Args:
        model: a model with `prior`, `likelihood`, `latent_dim` and `shapes`.
        x, y: the one thing that the model is given, where it is given anything: [D] or [1, D].
        size: images along each axis.
        dimensions: the two latent dimensions that vary, from 0.
        **options: of `image_grid`, such as title, image_shape, cmap and ax.

    Returns:
        The figure.

    Raises:
        TypeError, ValueError: if it is no model with two such dimensions, or its condition is
            missing.

    Example:
        >>> fig = latent_manifold(model, y=np.eye(10)[3])  # doctest: +SKIP

    Source: Kingma & Welling (2014), appendix A.
    """
    _check_model(model)
    size, pair = checks.count(size, "size"), checks.sizes(dimensions, "dimensions", 0)
    if len(pair) != 2 or len(set(pair)) < 2 or max(pair) >= model.latent_dim:
        raise ValueError(
            f"Received dimensions={dimensions}. Expected two different ones of the model's "
            f"{model.latent_dim}, from 0."
        )
    steps = [NormalDist().inv_cdf((i + 0.5) / size) for i in range(size)]
    u = np.zeros((size * size, model.latent_dim), np.float32)
    u[:, pair[0]], u[:, pair[1]] = np.tile(steps, size), np.repeat(steps[::-1], size)  # upwards
    symbol = "u" if parents(model.prior) else "z"
    ticks = [f"{step:.1f}".replace("-", "−").replace("−0.0", "0.0") for step in steps]
    ticks = [text if i % 2 == size // 2 % 2 else "" for i, text in enumerate(ticks)]
    names = [f"${symbol}_{{{d + 1}}}$ (prior standard deviations)" for d in pair]
    texts: dict[str, Any] = {"column_labels": ticks, "row_labels": ticks[::-1]}
    texts |= {"xlabel": names[0], "ylabel": names[1]}
    fig = image_grid(_decode(model, u, x=x, y=y), columns=size, **(texts | options))
    axis = (options.get("ax") or fig.axes[0]).xaxis
    axis.tick_bottom()
    axis.set_label_position("bottom")
    return fig


def label_style_sweep(
    model: Any, y: npt.ArrayLike | None = None, *, num_styles: int = 6, seed: int = 0,
    **options: Any,
) -> Figure:
    """Generates from every label in every style: a row shares its style z, a column its label y.

    A style is u ~ N(0, I), the same for all models of one latent dimension; z = m(y) + s(y)·u with
    the prior's mean and scale. The mean of the likelihood is shown.

    Args:
        model: a model that generates x from y: CVAE1, CVAE2 or CMMA.
        y: the labels to run through, [C, m]; default: every one-hot label.
        num_styles: rows.
        seed: an integer ≥ 0; decides the styles.
        **options: of `image_grid`, such as title, image_shape, cmap and ax; column_labels are 0, 1,
            2, … unless given.

    Returns:
        The figure.

    Raises:
        TypeError, ValueError: if it is no model of x given y, or an argument is none of those.

    Example:
        >>> fig = label_style_sweep(model)  # doctest: +SKIP
    """
    _check_model(model)
    if "y" not in {*parents(model.prior), *parents(model.likelihood)}:
        raise ValueError(
            f"{type(model).__name__} does not generate from y. Expected a model of p(x|y), as CMMA."
        )
    y = np.eye(model.shapes["y"][-1]) if y is None else checks.array(y, "y", ndim=2)
    num_styles, seed = checks.count(num_styles, "num_styles"), checks.count(seed, "seed", 0)
    styles = np.random.default_rng(seed).standard_normal((num_styles, model.latent_dim))
    images = _decode(model, np.repeat(styles, len(y), axis=0), y=np.tile(y, (num_styles, 1)))
    rows = [rf"$u^{{({i + 1})}}$" for i in range(num_styles)]
    texts: dict[str, Any] = {"column_labels": range(len(y)), "row_labels": rows}
    texts |= {"xlabel": "label $y$", "ylabel": "style (a draw of $u$)"}
    return image_grid(images, columns=len(y), **(texts | options))


@style()
def bound_curves(
    history: Any, *, quantity: str = "elbo", name: str = "VAE",
    limits: Mapping[str, float] | None = None, ylim: tuple[float, float] | None = None,
    ylabel: str = "bound (nats per example)", title: str | None = None, ax: Axes | None = None,
) -> Figure:
    """Draws the bound against epochs, one colour for each model, validation dashed.

    Args:
        history: what `fit` returned, or its dictionary of logs; or {name: history, logs or plain
            values} for several.
        quantity: the log to draw; "val_" + quantity is the validation curve.
        name: the model's name where `history` is a single one.
        limits: {text: nats}: horizontal lines to compare with, such as PCA's score or a baseline's.
        ylim: (lowest, highest) nats shown; default: without the first steep rise.
        ylabel, title: texts of the axes.
        ax: axes to draw in; default: a new figure.

    Returns:
        The figure.

    Raises:
        TypeError, ValueError: if the quantity is not in a history, or a history is none.

    Example:
        >>> fig = bound_curves({"VAE": [10.0, 14.0, 15.0], "CVAE2": [12.0, 17.0, 18.0]})
    """
    logs = getattr(history, "history", history)
    runs = dict(logs) if isinstance(logs, Mapping) and quantity not in logs else {name: logs}
    curves = {name: _curve(name, run, quantity) for name, run in runs.items()}
    limits = _limits(limits)
    fig, ax = look.figure(ax, (9.5, 5.6))
    ax.grid(axis="y")
    ends = [(nats, text, COLOURS["baseline"]) for text, nats in limits.items()]
    for nats in limits.values():
        ax.axhline(nats, color=COLOURS["baseline"], lw=2, ls=DOTTED, zorder=1)
    for name, (training, held_out) in curves.items():
        shade, epochs = colour(name), np.arange(1, len(training) + 1)
        ax.plot(epochs, training, color=shade, marker=look.MARKERS.get(name, "o"), markevery=[-1])
        ends.append((training[np.isfinite(training)][-1], written(name), shade))
        if held_out is not None:
            ax.plot(epochs, held_out, color=shade, ls=DASHED, lw=2)
    shown = [c for pair in curves.values() for c in pair if c is not None]
    ax.set_ylim(*(_range(shown, limits) if ylim is None else _several(ylim, "ylim", 2)))
    length = max(len(c) for c in shown)
    ax.set_xlim(1 if length > 1 else 0.5, length + (0.02 * length if length > 1 else 0.5))
    ax.locator_params(axis="x", integer=True)
    _endlabel(ax, ends)
    if len(shown) > len(curves):
        ax.plot([], [], color=INK, label="training")
        ax.plot([], [], color=INK, ls=DASHED, lw=2, label="validation")
        ax.legend(loc="lower right")
    label(ax, "epoch", ylabel, title)
    return fig


@style()
def line_chart(
    x: npt.ArrayLike, series: Mapping[str, npt.ArrayLike], *,
    errors: Mapping[str, npt.ArrayLike] | None = None, xlabel: str, ylabel: str,
    xscale: str = "linear", yscale: str = "linear", limits: Mapping[str, float] | None = None,
    title: str | None = None, ax: Axes | None = None,
) -> Figure:
    """Draws several quantities against one, each with its own colour, dash and marker.

    Args:
        x: the values along the axis, [n].
        series: {name: values [n]}; names that `colour` knows keep theirs. NaN leaves a gap.
        errors: {name: standard errors [n]} for some or all of them.
        xlabel, ylabel, title: texts, with units.
        xscale, yscale: "linear" or "log".
        limits: {text: value}: horizontal lines to compare with.
        ax: axes to draw in; default: a new figure.

    Returns:
        The figure.

    Raises:
        TypeError, ValueError: if a series has another length than x, or is none, or if there are
            errors of what is no series.

    Example:
        >>> fig = line_chart([1, 2, 4], {"A": [3, 2, 1]}, xlabel="draws", ylabel="variance")
    """
    x = checks.array(list(x) if isinstance(x, range) else x, "x", event=(), dtype=None)
    checks.instance(series, "series", Mapping, "{name: values}")
    series = {name: _along(x, values, f"series[{name!r}]") for name, values in series.items()}
    errors = {k: _along(x, e, f"errors[{k!r}]") for k, e in (errors or {}).items()}
    if strangers := [*(errors.keys() - series.keys())]:
        raise ValueError(f"Received errors of {strangers}. Expected some of {[*series]}.")
    for scale, name in ((xscale, "xscale"), (yscale, "yscale")):
        checks.choice(scale, name, ("linear", "log"))
    limits = _limits(limits)
    dashes = "-", (0, (4, 1.5)), DOTTED, (0, (6, 1.5, 1, 1.5))
    fig, ax = look.figure(ax, (9.5, 5.6))
    ax.set(xscale=xscale, yscale=yscale)
    ax.grid(axis="y")
    for number, (name, values) in enumerate(series.items()):
        ax.errorbar(
            x, values, yerr=errors.get(name), capsize=4, label=written(name),
            color=look.known(name) or look.SPARE[number % 4], ls=dashes[(number + number // 4) % 4],
            marker="os^DvP*X"[number % 8], markevery=max(1, len(x) // 12),
        )
    for text, value in limits.items():
        ax.axhline(value, color=COLOURS["baseline"], lw=2, ls=DOTTED, label=text)
    for axis, scale in ((ax.xaxis, xscale), (ax.yaxis, yscale)):
        if scale == "log":
            _plain_log_ticks(axis)
    if xscale == "log" and len(x) <= 12:
        ax.set_xticks(x, [f"{value:g}" for value in x])
    ax.legend()
    label(ax, xlabel, ylabel, title)
    return fig


def _plain_log_ticks(axis: Any) -> None:  # 0.1, 1, 10, and between them where that leaves few
    from matplotlib.ticker import LogLocator, NullFormatter

    low, high = sorted(axis.get_data_interval())
    narrow = high < 300 * max(low, 1e-30)
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if narrow else (1,)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


@style()
def density_with_gaussians(
    first: npt.ArrayLike, second: npt.ArrayLike, density: npt.ArrayLike,
    gaussians: Mapping[str, Gaussian], *, legend: bool = True, title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Shades a density over two latent dimensions, with the ellipses of diagonal Gaussians on it.

    Args:
        first, second: the grid's values along z₁ [n] and z₂ [m].
        density: its values, [m, n].
        gaussians: {name: (mean [2], standard deviation [2])}; an ellipse shows two of them, the
            first dashed.
        legend: whether to name the ellipses.
        title: a text over the axes.
        ax: axes to draw in; default: a new figure.

    Returns:
        The figure.

    Raises:
        TypeError, ValueError: if the density is none on that grid, or a Gaussian is none.

    Example:
        >>> side = np.linspace(-3, 3, 61)
        >>> bump = np.exp(-0.5 * (side[:, None] ** 2 + side**2))
        >>> fig = density_with_gaussians(side, side, bump, {"q": ((0, 0), (1, 1))})
    """
    first = checks.array(first, "first", event=(), dtype="float64")
    second = checks.array(second, "second", event=(), dtype="float64")
    density = checks.array(density, "density", ndim=2, dtype="float64")
    if density.shape != (len(second), len(first)) or density.min() < 0 or density.sum() == 0:
        raise ValueError(
            f"density has shape {density.shape} and values from {density.min():g}. Expected "
            f"[{len(second)}, {len(first)}], one row for each value of second, ≥ 0 and not all 0."
        )
    checks.instance(gaussians, "gaussians", Mapping, "{name: (mean, standard deviation)}")
    ellipses = {name: _gaussian(pair, f"gaussians[{name!r}]") for name, pair in gaussians.items()}
    legend, mass = checks.flag(legend, "legend"), density / density.sum()
    fig, ax = look.figure(ax, (6.4, 6.0))
    ax.imshow(
        density, origin="lower", extent=(first[0], first[-1], second[0], second[-1]),
        cmap="Greys", interpolation="bilinear",
    )
    for number, (name, (mean, scale)) in enumerate(ellipses.items()):
        shade, dash = look.known(name) or look.SPARE[number % 4], "-" if number else DASHED
        _ellipse(ax, mean, 2 * scale, label=name, lw=2.5, ec=shade, ls=dash)
    centre = (mass.sum(0) @ first, mass.sum(1) @ second)
    spread = (mass.sum(0) @ (first - centre[0]) ** 2, mass.sum(1) @ (second - centre[1]) ** 2)
    reach = [abs(m - centre) + 2.2 * s for m, s in ellipses.values()]
    half = max(3.0 * math.sqrt(max(spread)), np.max(reach, initial=0.0))
    ax.set(xlim=(centre[0] - half, centre[0] + half), ylim=(centre[1] - half, centre[1] + half))
    if legend:
        ax.legend(loc="upper right")
    unit = "prior standard deviations"
    label(ax, f"$z_1$ ({unit})", f"$z_2$ ({unit})", title)
    return fig


@style()
def sampled_futures(
    stills: npt.ArrayLike, samples: npt.ArrayLike, starts: npt.ArrayLike, *,
    truth: npt.ArrayLike | None = None, num_clusters: int = 10,
    image_shape: Sequence[int] | None = None,
) -> Figure:
    """Draws sampled motions over the stills they start from, gathered into a few by k-means.

    Each cluster's mean path is a line; its width says how many of the draws it stands for. What
    happened is dashed.

    Args:
        stills: flat images, [N, H·W].
        samples: draws of y, the coefficients of `tasks.futures`, [S, N, 10].
        starts: where the object is, column and row, [N, 2] pixels.
        truth: what happened, [N, 10], or None.
        num_clusters: clusters of each still's draws, at most S.
        image_shape: (H, W); default: square.

    Returns:
        The figure.

    Raises:
        TypeError, ValueError: if the number of stills, samples and starts differ, or an argument is
            none of those.

    Example:
        >>> samples = futures.draws(model, scenes.x[:4], 800)  # doctest: +SKIP
        >>> fig = sampled_futures(scenes.x[:4], samples, scenes.start[:4])  # doctest: +SKIP

    Source: Walker et al. (2016), figure 5.
    """
    from cvae_tf import futures, tasks

    (cells, _), event = _cells(stills, None, image_shape), (2 * tasks.COEFFICIENTS,)
    samples = checks.array(samples, "samples", event=(len(cells), *event), dtype="float64")
    beside = {"stills": cells, "starts": checks.array(starts, "starts", event=(2,))}
    if truth is not None:
        beside["truth"] = checks.array(truth, "truth", event=event)
    checks.same_length(beside, "sampled_futures")
    num_clusters = checks.count(num_clusters, "num_clusters", 1, len(samples))
    columns, shade = min(4, len(cells)), COLOURS["CVAE3"]
    rows = math.ceil(len(cells) / columns)
    happened: dict[str, Any] = dict(color=INK, lw=2, ls=(0, (2, 1.3)), marker="o", ms=7)
    from matplotlib.lines import Line2D
    from matplotlib.patheffects import Normal, withStroke

    fig = new_figure((3.1 * columns, 3.2 * rows + 0.5))
    for i, cell in enumerate(cells):
        ax = fig.add_subplot(rows, columns, i + 1)
        ax.imshow(cell, cmap="gray_r", vmin=0, vmax=1.6)  # lighter than the paths over it
        ax.set(xticks=[], yticks=[], autoscale_on=False)
        ax.spines[:].set(visible=True, color="#BBBBBB", linewidth=0.8)
        centres, shares = futures.clusters(samples[:, i], num_clusters)
        for centre, share in reversed(list(zip(centres, shares, strict=True))):
            path = beside["starts"][i] + tasks.trajectories(centre)
            rim = [withStroke(linewidth=1.8 + 24 * share, foreground="white"), Normal()]
            looks: dict[str, Any] = dict(lw=0.6 + 24 * share, solid_capstyle="round")
            ax.plot(*path.T, color=shade, path_effects=rim, **looks)
        if truth is not None:
            path = beside["starts"][i] + tasks.trajectories(beside["truth"][i])
            ax.plot(*path.T, **happened, markevery=[-1], zorder=5)
    handles = [Line2D([], [], color=shade, lw=5, label="sampled futures (width: share)")]
    if truth is not None:
        handles.append(Line2D([], [], **happened, label="what happened"))
    fig.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return fig


def _class_colour(number: Any) -> Any:  # of one class, or of an array of them
    return np.array(look.CLASSES)[np.asarray(number, int) % len(look.CLASSES)]


def _ellipse(ax: Axes, mean: Any, radii: np.ndarray, **looks: Any) -> None:
    from matplotlib.patches import Ellipse

    ax.add_patch(Ellipse(tuple(mean), *(2 * radii), fill=False, **looks))


def _decode(model: Any, u: np.ndarray, **given: Any) -> np.ndarray:
    """The likelihood's mean at z = m + s·u; the condition is broadcast over the rows of u."""
    import tensorflow as tf

    dtype = getattr(model, "compute_dtype", "float32")
    variables = {}
    for name in {*parents(model.prior), *parents(model.likelihood)} - {"z"}:
        if given.get(name) is None:
            raise ValueError(f"{type(model).__name__} is conditional: pass {name}=…, one row.")
        value, event = checks.array(given[name], name), tuple(model.shapes[name])
        value = checks.array(value[None] if value.shape == event else value, name, event=event)
        if len(value) not in (1, len(u)):
            raise ValueError(f"{name} has {len(value)} rows. Expected one, for all of the figure.")
        variables[name] = tf.cast(np.broadcast_to(value, (len(u), *event)), dtype)
    prior = evaluate(model, "prior", variables)
    variables["z"] = prior.mean() + prior.stddev() * tf.cast(u, dtype)
    return np.asarray(evaluate(model, "likelihood", variables).mean())


def _check_model(model: Any) -> None:
    needed = ("prior", "likelihood", "latent_dim", "shapes")
    if isinstance(model, type) or not all(hasattr(model, name) for name in needed):
        raise TypeError(f"Received {model=}. Expected a built model with a z, such as CVAE1(…).")


def _texts(values: Any, name: str, num: int) -> Any:  # a list of so many, or None
    if values is None:
        return None
    values = list(values) if np.iterable(values) else [values]
    if len(values) != num:
        raise ValueError(f"Received {len(values)} {name}: {values}. Expected {num}, one for each.")
    return [written(value) if isinstance(value, str) else value for value in values]


def _several(values: Any, name: str, num: int) -> Any:  # a few numbers, as they are
    if checks.array(values, name, ndim=1, dtype=None).shape != (num,):
        raise ValueError(f"Received {name}={values!r}. Expected {num} numbers.")
    return values


def _gaussian(pair: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    mean, scale = checks.array(pair, name, dtype="float64", event=(2,))[:2]
    if len(pair) != 2 or scale.min() <= 0:
        raise ValueError(f"Received {name}={pair}. Expected mean [2], standard deviation [2] > 0.")
    return mean, scale


def _limits(limits: Any) -> dict[str, float]:
    limits = checks.instance(limits or {}, "limits", Mapping, "{text: value}")
    return {text: checks.number(value, f"limits[{text!r}]") for text, value in limits.items()}


def _along(x: Any, values: Any, name: str) -> np.ndarray:  # values [n] for x [n]; NaN leaves a gap
    values = checks.array(values, name, event=(), dtype="float64", finite=False)
    checks.same_length({"x": x, name: values}, "line_chart")
    return values


def _cells(images: Any, columns: Any, image_shape: Any) -> Any:  # [N, H, W], number of columns
    images = checks.array(images, "images")
    columns = checks.optional_count(columns, "columns")
    if images.ndim in (4, 5) and images.shape[-1] == 1:
        images = images[..., 0]
    if images.ndim == 2 or image_shape is not None:
        side = math.isqrt(images.shape[-1]) if images.ndim else 0
        shape = (side, side) if image_shape is None else checks.height_and_width(image_shape)
        if images.shape[-1:] == (math.prod(shape),):
            images = images.reshape(*images.shape[:-1], *shape)
        if images.shape[-2:] != shape:
            raise ValueError(
                f"images have shape {images.shape}. Expected {shape[0]} × {shape[1]} pixels each: "
                "give image_shape=(height, width), theirs."
            )
    if images.ndim == 4:  # [rows, columns, H, W]
        columns = images.shape[1]
        images = images.reshape(-1, *images.shape[2:])
    if images.ndim != 3:
        raise ValueError(
            f"images have shape {images.shape}. Expected [N, D], [N, H, W], [N, H, W, 1] or "
            "[rows, columns, H, W]."
        )
    return images, columns or min(10, len(images))


def _curve(name: str, run: Any, quantity: str) -> Any:  # training, and validation or None
    logs, where = getattr(run, "history", run), f"{quantity} of {name}"
    logs = logs if isinstance(logs, Mapping) else {quantity: logs}
    if quantity not in logs:
        raise ValueError(f"Received {quantity=}. Expected a log of {name}: one of {sorted(logs)}.")
    options: dict[str, Any] = {"event": (), "dtype": "float64", "finite": False}
    both = logs[quantity], logs.get(f"val_{quantity}")
    curves = [None if each is None else checks.array(each, where, **options) for each in both]
    if not all(np.isfinite(curve).any() for curve in curves if curve is not None):
        raise ValueError(f"{where} has no finite value. Expected a curve to draw.")
    return curves


def _range(curves: Any, limits: Any) -> Any:  # all limits, the curves without their first tenth
    tails = np.concatenate([c[min(len(c) // 10, len(c) - 1) :] for c in curves])
    values = np.concatenate([tails, list(limits.values())])
    values = values[np.isfinite(values)]
    margin = 0.06 * (values.max() - values.min()) or 1.0
    return values.min() - margin, values.max() + margin


def _endlabel(ax: Axes, ends: Any) -> None:  # names at the right edge, moved apart
    from sklearn.isotonic import isotonic_regression

    ends, (low, high) = sorted(ends), ax.get_ylim()
    steps = 0.072 * (high - low) * np.arange(len(ends))
    lines = np.clip([nats for nats, *_ in ends], low, high)
    places = isotonic_regression(lines - steps) + steps  # nearest to the lines, a step apart
    for place, (_, text, shade) in zip(places, ends, strict=True):
        ax.annotate(
            text, (1.0, place), xycoords=ax.get_yaxis_transform(), xytext=(8, 0),
            textcoords="offset points", color=legible(shade), va="center", fontweight="bold",
            fontsize=15, annotation_clip=False,
        )
