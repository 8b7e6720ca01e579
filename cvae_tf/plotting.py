"""Figures of the course: one style, one colour for each model, axes with units.

Every function returns a Matplotlib `Figure`; `show(fig, alt)` puts it into a notebook with a text
that says what is to be seen for those who cannot see it. The look is in `look`, the graphs of
models in `graphs`; their names are here too. Matplotlib and IPython are imported where they are
used.
"""

from __future__ import annotations

import base64
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
from cvae_tf.datasets import height_and_width
from cvae_tf.graphs import GraphEdges, directed_graph, graph_edges, graphical_model
from cvae_tf.look import COLOURS, colour, label, legible, new_figure, style
from cvae_tf.signatures import FACTORS, factor, parents

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "COLOURS", "GraphEdges", "bound_curves", "colour", "density_with_gaussians", "directed_graph",
    "explore", "graph_edges", "graphical_model", "image_grid", "label_style_sweep",
    "latent_manifold", "latent_scatter", "line_chart", "sampled_futures", "show", "style",
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
    """Shows `draw(**values)` as a figure, and with sliders where a reader can move them.

    The figure at the sliders' first values is shown in any case, so that a page or a stored
    notebook has one. Sliders follow where a kernel is live; set the environment variable
    CVAE_TF_STATIC, as the commands that store and build do, to leave them out.

    Args:
        draw: a function of one number per slider; returns a Matplotlib figure.
        alt: what is to be seen in the static figure.
        **sliders: per argument of `draw`, (least, greatest, first value); whole numbers if all
            three are.

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
    show(draw(**{name: first for name, (_, _, first) in sliders.items()}), alt)
    shell = sys.modules.get("IPython") and sys.modules["IPython"].get_ipython()
    if not shell or os.environ.get("CVAE_TF_STATIC"):
        return
    import ipywidgets
    from IPython.display import display

    def control(name: str, least: float, greatest: float, first: float) -> Any:
        whole = all(isinstance(value, int) for value in (least, greatest, first))
        kind = ipywidgets.IntSlider if whole else ipywidgets.FloatSlider
        ends = {"min": least, "max": greatest, "step": 1 if whole else (greatest - least) / 40}
        return kind(value=first, **ends, description=name, continuous_update=False)

    controls = {name: control(name, *values) for name, values in sliders.items()}
    picture = ipywidgets.interactive_output(lambda **values: show(draw(**values), alt), controls)
    display(ipywidgets.VBox([*controls.values(), picture]))


def image_grid(
    images: npt.ArrayLike, *, columns: int | None = None, row_labels: Sequence[Any] | None = None,
    column_labels: Sequence[Any] | None = None, captions: Sequence[Any] | None = None,
    image_shape: Sequence[int] | None = None, title: str | None = None,
    xlabel: str | None = None, ylabel: str | None = None,
    limits: tuple[float, float] = (0.0, 1.0), cmap: str = "gray_r", ax: Axes | None = None,
) -> Figure:
    """Shows images side by side.

    Args:
        images: [N, D], [N, H, W] or [N, H, W, 1], filled in row by row; or with one axis more in
            front, [rows, columns, ...], with `columns` left out and `image_shape` given where
            images are flat.
        columns: images in a row; default 10, or fewer where there are fewer images.
        row_labels, column_labels: texts along the left and the top.
        captions: one text over each image, such as its nats.
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
    cells, columns = _cells(images, columns, image_shape)
    rows, (height, width) = math.ceil(len(cells) / columns), cells.shape[1:]
    row_labels = _texts(row_labels, "row_labels", rows)
    column_labels = _texts(column_labels, "column_labels", columns)
    captions = _texts(captions, "captions", len(cells))
    paper, ink = _several(limits, "limits", 2)
    gap = max(1, round(height / 14))
    head = round(0.34 * height) if captions is not None else 0
    down, across = height + gap + head, width + gap
    canvas = np.full((rows * down + gap, columns * across + gap), np.nan)
    for index, cell in enumerate(cells):
        top, left = index // columns * down + gap + head, index % columns * across + gap
        canvas[top : top + height, left : left + width] = cell
    with style():
        size = 0.9 if max(rows, columns) <= 12 else 10.5 / max(rows, columns)
        room = (0.4 + (0.9 if row_labels is not None else 0.0), 0.3 + (0.6 if title else 0.0))
        fig, ax = look.figure(ax, (columns * size * across / down + room[0], rows * size + room[1]))
        ax.imshow(canvas, vmin=paper, vmax=ink, cmap=cmap)
        _frames(ax, columns, down, across, gap, head, len(cells))
        if captions is not None:
            for index, text in enumerate(captions):
                ax.text(
                    index % columns * across + gap + width / 2 - 0.5,
                    index // columns * down + gap + head - 0.5 - 0.04 * height,
                    text, ha="center", va="bottom", fontsize=12,
                )
        ax.set_xticks([c * across + gap + width / 2 - 0.5 for c in range(columns)])
        ax.set_yticks([r * down + gap + head + height / 2 - 0.5 for r in range(rows)])
        ax.set_xticklabels(column_labels or [""] * columns)
        ax.set_yticklabels(row_labels or [""] * rows)
        ax.xaxis.tick_top()
        ax.xaxis.set_label_position("top")
        label(ax, xlabel, ylabel, title)
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
    return fig


def latent_scatter(
    z: npt.ArrayLike, labels: npt.ArrayLike | None = None, *, names: Sequence[Any] | None = None,
    title: str | None = None, unit: str = "prior standard deviations", prior: bool = False,
    priors: Mapping[int, Gaussian] | None = None, ax: Axes | None = None,
) -> Figure:
    """Draws examples where their latents lie, coloured by label, each class named at its median.

    Args:
        z: latents of two dimensions, such as the means of q, [N, 2].
        labels: integers, [N], or None for one colour.
        names: the names of the classes; default: the numbers.
        title: a text over the axes.
        unit: what a step of 1 along an axis is.
        prior: whether to draw the circle that holds 95 % of N(0, I).
        priors: {label: (mean [2], standard deviation [2])} of p(z|y): for each label the ellipse
            that holds 95 % of its Gaussian, in the label's colour.
        ax: axes to draw in; default: a new figure.

    Returns:
        The figure.

    Raises:
        TypeError, ValueError: if z is not [N, 2], labels have another length or are no integers, or
            names are not one for each class.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> fig = latent_scatter(rng.standard_normal((50, 2)), rng.integers(0, 3, 50))
    """
    z = checks.array(z, "z", dtype="float64")
    if z.ndim != 2 or z.shape[1] != 2:
        raise ValueError(f"z is {z.shape}. Expected [N, 2]: choose two columns, z[:, [0, 1]].")
    ellipses = {each: _gaussian(pair, f"priors[{each}]") for each, pair in (priors or {}).items()}
    if labels is not None:
        labels = checks.array(labels, "labels", event=(), dtype=None)
        checks.same_length({"z": z, "labels": labels}, "latent_scatter")
        if labels.dtype.kind not in "iu":
            raise TypeError(f"labels has dtype {labels.dtype}. Expected integers, [N].")
        classes = np.unique(labels)
        names_of = _texts(names, "names", len(classes)) or classes
    checks.flag(prior, "prior")
    with style():
        from matplotlib.patches import Circle, Ellipse
        from matplotlib.patheffects import withStroke

        fig, ax = look.figure(ax, (8.0, 7.2))
        radius = math.sqrt(-2 * math.log(0.05))  # a 2-d normal leaves this circle with p = 0.05
        for each, (mean, scale) in ellipses.items():
            shade = look.CLASSES[int(each) % len(look.CLASSES)]
            size = 2 * radius * scale
            ax.add_patch(Ellipse(tuple(mean), *size, fill=False, lw=2.2, ec=shade, zorder=3))
        if prior:
            ax.add_patch(
                Circle((0, 0), radius, fill=False, ls=(0, (4, 3)), lw=1.5, ec=look.INK, zorder=3)
            )
            ax.annotate(
                "95 % of the prior", (0.71 * radius, 0.71 * radius), xytext=(4, 4),
                textcoords="offset points", ha="left", va="bottom", fontsize=14, zorder=4,
                annotation_clip=False,
            )
        if labels is None:
            ax.scatter(z[:, 0], z[:, 1], s=18, color=COLOURS["VAE"], alpha=0.6, linewidths=0)
        else:
            order = np.random.default_rng(0).permutation(len(z))  # no class lies over another
            shades = np.array([look.CLASSES[int(c) % len(look.CLASSES)] for c in labels])
            ax.scatter(z[order, 0], z[order, 1], s=18, c=shades[order], alpha=0.6, linewidths=0)
            for name, c in zip(names_of, classes, strict=True):
                middle = np.median(z[labels == c], axis=0)
                ax.text(
                    float(middle[0]), float(middle[1]), str(name),
                    color=legible(look.CLASSES[int(c) % len(look.CLASSES)]), zorder=5,
                    fontsize=24, fontweight="bold", ha="center", va="center",
                    path_effects=[withStroke(linewidth=5, foreground="white")],
                )
        ax.set_aspect("equal", adjustable="datalim")
        label(ax, f"$z_1$ ({unit})", f"$z_2$ ({unit})", title)
    return fig


def latent_manifold(
    model: Any, *, x: npt.ArrayLike | None = None, y: npt.ArrayLike | None = None, size: int = 15,
    dimensions: tuple[int, int] = (0, 1), image_shape: Sequence[int] | None = None,
    title: str | None = None, cmap: str = "gray_r", ax: Axes | None = None,
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
        image_shape: (H, W) of flat images; default: square.
        title, cmap, ax: as in `image_grid`.

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
    u[:, dimensions[0]] = np.tile(steps, size)
    u[:, dimensions[1]] = np.repeat(steps[::-1], size)  # upwards
    images = _decode(model, u, x=x, y=y)
    symbol = "u" if parents(model.prior) else "z"
    ticks = [f"{step:.1f}".replace("-", "−").replace("−0.0", "0.0") for step in steps]
    ticks = [text if i % 2 == size // 2 % 2 else "" for i, text in enumerate(ticks)]
    names = [f"${symbol}_{{{d + 1}}}$ (prior standard deviations)" for d in dimensions]
    fig = image_grid(
        images, columns=size, column_labels=ticks, row_labels=ticks[::-1], image_shape=image_shape,
        title=title, xlabel=names[0], ylabel=names[1], cmap=cmap, ax=ax,
    )
    axes = ax if ax is not None else fig.axes[0]
    axes.xaxis.tick_bottom()
    axes.xaxis.set_label_position("bottom")
    axes.tick_params(length=0)
    return fig


def label_style_sweep(
    model: Any, y: npt.ArrayLike | None = None, *, num_styles: int = 6,
    styles: npt.ArrayLike | None = None, seed: int = 0, label_names: Sequence[Any] | None = None,
    image_shape: Sequence[int] | None = None, title: str | None = None, cmap: str = "gray_r",
    ax: Axes | None = None,
) -> Figure:
    """Generates from every label in every style: a row shares its style z, a column its label y.

    A style is u ~ N(0, I), the same for all models of one latent dimension; z = m(y) + s(y)·u with
    the prior's mean and scale. The mean of the likelihood is shown.

    Args:
        model: a model that generates x from y: CVAE1, CVAE2 or CMMA.
        y: the labels to run through, [C, m]; default: every one-hot label.
        num_styles: rows.
        styles: u itself, [num_styles, d], in place of random ones.
        seed: an integer ≥ 0; decides the styles.
        label_names: texts over the columns; default 0, 1, 2, …
        image_shape, title, cmap, ax: as in `image_grid`.

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
    if styles is None:
        num_styles, seed = checks.count(num_styles, "num_styles"), checks.count(seed, "seed", 0)
        styles = np.random.default_rng(seed).standard_normal((num_styles, model.latent_dim))
    styles = checks.array(styles, "styles", event=(model.latent_dim,), dtype="float64")
    images = _decode(model, np.repeat(styles, len(y), axis=0), y=np.tile(y, (len(styles), 1)))
    return image_grid(
        images, columns=len(y), image_shape=image_shape, title=title, cmap=cmap, ax=ax,
        column_labels=_texts(label_names, "label_names", len(y)) or range(len(y)),
        row_labels=[rf"$u^{{({i + 1})}}$" for i in range(len(styles))],
        xlabel="label $y$", ylabel="style (a draw of $u$)",
    )


def bound_curves(
    history: Any, *, quantity: str = "elbo", name: str = "VAE", validation: bool = True,
    limits: Mapping[str, float] | None = None, ylim: tuple[float, float] | None = None,
    ylabel: str = "bound (nats per example)", title: str | None = None, ax: Axes | None = None,
) -> Figure:
    """Draws the bound against epochs, one colour for each model, validation dashed.

    Args:
        history: what `fit` returned, or its dictionary of logs; or {name: history, logs or plain
            values} for several.
        quantity: the log to draw; "val_" + quantity is the validation curve.
        name: the model's name where `history` is a single one.
        validation: whether to draw the validation curve where there is one.
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
    single = not isinstance(logs, Mapping) or quantity in logs
    runs = {name: logs} if single else dict(logs)
    curves = {name: _curve(name, run, quantity) for name, run in runs.items()}
    limits = _limits(limits)
    checks.flag(validation, "validation")
    with style():
        fig, ax = look.figure(ax, (9.5, 5.6))
        ax.grid(axis="y")
        ends, dashed = [], False
        for name, (training, held_out) in curves.items():
            shade = colour(name)
            epochs = np.arange(1, len(training) + 1)
            marker, last = look.MARKERS.get(name, "o"), [len(epochs) - 1]
            ax.plot(epochs, training, color=shade, marker=marker, markevery=last)
            ends.append((training[np.isfinite(training)][-1], name, shade))
            if validation and held_out is not None:
                ax.plot(epochs, held_out, color=shade, ls=(0, (3, 1.5)), lw=2)
                dashed = True
        for text, nats in limits.items():
            ax.axhline(nats, color=COLOURS["baseline"], lw=2, ls=(0, (1, 1.2)), zorder=1)
            ends.append((nats, text, COLOURS["baseline"]))
        shown = [c for pair in curves.values() for c in pair if c is not None]
        ax.set_ylim(*(_range(shown, limits) if ylim is None else _several(ylim, "ylim", 2)))
        length = max(len(c) for c in shown)
        ax.set_xlim(1 if length > 1 else 0.5, length + (0.02 * length if length > 1 else 0.5))
        ax.locator_params(axis="x", integer=True)
        _endlabel(ax, ends)
        if dashed:
            ax.plot([], [], color=look.INK, label="training")
            ax.plot([], [], color=look.INK, ls=(0, (3, 1.5)), lw=2, label="validation")
            ax.legend(loc="lower right")
        label(ax, "epoch", ylabel, title)
    return fig


def line_chart(
    x: npt.ArrayLike, series: Mapping[str, npt.ArrayLike], *,
    errors: Mapping[str, npt.ArrayLike] | None = None, xlabel: str, ylabel: str,
    xscale: str = "linear", yscale: str = "linear", limits: Mapping[str, float] | None = None,
    title: str | None = None, ax: Axes | None = None,
) -> Figure:
    """Draws several quantities against one, each with its own colour, dash and marker.

    Args:
        x: the values along the axis, [n].
        series: {name: values [n]}; a model's name takes the model's colour. NaN leaves a gap.
        errors: {name: standard errors [n]} for some or all of them.
        xlabel, ylabel, title: texts, with units.
        xscale, yscale: "linear" or "log".
        limits: {text: value}: horizontal lines to compare with.
        ax: axes to draw in; default: a new figure.

    Returns:
        The figure.

    Raises:
        TypeError, ValueError: if a series has another length than x, or is none.

    Example:
        >>> fig = line_chart([1, 2, 4], {"A": [3, 2, 1]}, xlabel="draws", ylabel="variance")
    """
    x = checks.array(list(x) if isinstance(x, range) else x, "x", event=(), dtype=None)
    checks.instance(series, "series", Mapping, "{name: values}")
    series = {name: _along(x, values, f"series[{name!r}]") for name, values in series.items()}
    given = {name: values for name, values in (errors or {}).items() if name in series}
    errors = {name: _along(x, values, f"errors[{name!r}]") for name, values in given.items()}
    for scale, name in ((xscale, "xscale"), (yscale, "yscale")):
        checks.choice(scale, name, ("linear", "log"))
    limits = _limits(limits)
    dashes = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)))
    with style():
        fig, ax = look.figure(ax, (9.5, 5.6))
        ax.set(xscale=xscale, yscale=yscale)
        ax.grid(axis="y")
        for number, (name, values) in enumerate(series.items()):
            looks: dict[str, Any] = dict(
                color=COLOURS.get(name, look.SPARE[number % len(look.SPARE)]), label=name,
                ls=dashes[number % len(dashes)], marker="os^D"[number % 4],
                markevery=max(1, len(x) // 12),
            )
            if name in errors:
                ax.errorbar(x, values, yerr=errors[name], capsize=4, **looks)
            else:
                ax.plot(x, values, **looks)
        for text, value in limits.items():
            ax.axhline(value, color=COLOURS["baseline"], lw=2, ls=(0, (1, 1.2)), label=text)
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


def density_with_gaussians(
    first: npt.ArrayLike, second: npt.ArrayLike, density: npt.ArrayLike,
    gaussians: Mapping[str, Gaussian], *, legend: bool = True, margin: float = 3.0,
    title: str | None = None, ax: Axes | None = None,
) -> Figure:
    """Shades a density over two latent dimensions, with the ellipses of diagonal Gaussians on it.

    Args:
        first, second: the grid's values along z₁ [n] and z₂ [m].
        density: its values, [m, n].
        gaussians: {name: (mean [2], standard deviation [2])}; an ellipse shows two of them, the
            first dashed.
        legend: whether to name the ellipses.
        margin: least half width of what is shown, in standard deviations of the density.
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
    margin, legend = checks.number(margin, "margin", above=0), checks.flag(legend, "legend")
    mass = density / density.sum()
    with style():
        from matplotlib.patches import Ellipse

        fig, ax = look.figure(ax, (6.4, 6.0))
        ax.imshow(
            density, origin="lower", extent=(first[0], first[-1], second[0], second[-1]),
            cmap="Greys", interpolation="bilinear",
        )
        for number, (name, (mean, scale)) in enumerate(ellipses.items()):
            looks: dict[str, Any] = dict(lw=2.5, ls="-" if number else (0, (3, 1.5)), label=name)
            shade = ("#D55E00", "#0072B2", *look.SPARE)[number % 6]
            ax.add_patch(Ellipse(tuple(mean), *(4 * scale), fill=False, ec=shade, **looks))
        centre = (mass.sum(0) @ first, mass.sum(1) @ second)
        spread = (mass.sum(0) @ (first - centre[0]) ** 2, mass.sum(1) @ (second - centre[1]) ** 2)
        reach = [abs(m - centre) + 2.2 * s for m, s in ellipses.values()]
        half = max(margin * math.sqrt(max(spread)), np.max(reach, initial=0.0))
        ax.set(xlim=(centre[0] - half, centre[0] + half), ylim=(centre[1] - half, centre[1] + half))
        if legend:
            ax.legend(loc="upper right")
        unit = "prior standard deviations"
        label(ax, f"$z_1$ ({unit})", f"$z_2$ ({unit})", title)
    return fig


def sampled_futures(
    stills: npt.ArrayLike, samples: npt.ArrayLike, starts: npt.ArrayLike, *,
    truth: npt.ArrayLike | None = None, num_clusters: int = 10,
    image_shape: Sequence[int] | None = None, titles: Sequence[Any] | None = None,
    columns: int = 4, shade: str | None = None,
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
        titles: one text for each still.
        columns: stills in a row.
        shade: the colour of the paths; default: CVAE-3's.

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

    cells, columns = _cells(stills, columns, image_shape)
    columns, event = min(columns, len(cells)), (2 * tasks.COEFFICIENTS,)
    samples = checks.array(samples, "samples", event=(len(cells), *event), dtype="float64")
    beside = {"stills": cells, "starts": checks.array(starts, "starts", event=(2,))}
    if truth is not None:
        beside["truth"] = checks.array(truth, "truth", event=event)
    checks.same_length(beside, "sampled_futures")
    num_clusters = checks.count(num_clusters, "num_clusters", 1, len(samples))
    titles = _texts(titles, "titles", len(cells))
    shade = COLOURS["CVAE3"] if shade is None else shade
    rows = math.ceil(len(cells) / columns)
    with style():
        from matplotlib.lines import Line2D
        from matplotlib.patheffects import Normal, withStroke

        fig = new_figure((3.1 * columns, 3.2 * rows + (0.5 if titles is None else 0.9)))
        axes = fig.subplots(rows, columns, squeeze=False).ravel()
        for ax in axes[len(cells) :]:
            ax.axis("off")
        for i, (ax, cell) in enumerate(zip(axes, cells, strict=False)):
            height, width = cell.shape
            ax.imshow(cell, cmap="gray_r", vmin=0, vmax=1.6)  # lighter than the paths over it
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set(visible=True, color="#BBBBBB", linewidth=0.8)
            ax.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
            centres, shares = futures.clusters(samples[:, i], num_clusters)
            for centre, share in reversed(list(zip(centres, shares, strict=True))):
                path = beside["starts"][i] + tasks.trajectories(centre)
                rim = [withStroke(linewidth=1.8 + 24 * share, foreground="white"), Normal()]
                looks: dict[str, Any] = dict(lw=0.6 + 24 * share, solid_capstyle="round")
                ax.plot(*path.T, color=shade, path_effects=rim, **looks)
            if truth is not None:
                path = beside["starts"][i] + tasks.trajectories(beside["truth"][i])
                ax.plot(*path.T, color=look.INK, lw=2.0, ls=(0, (2, 1.3)), zorder=5)
                ax.plot(*path[-1], marker="o", color=look.INK, ms=7, zorder=5)
            if titles is not None:
                ax.set_title(titles[i])
        handles = [Line2D([], [], color=shade, lw=5, label="sampled futures (width: share)")]
        if truth is not None:
            dashed: dict[str, Any] = dict(color=look.INK, lw=2, ls=(0, (2, 1.3)), marker="o", ms=7)
            handles.append(Line2D([], [], **dashed, label="what happened"))
        fig.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return fig


def _decode(model: Any, u: np.ndarray, **given: Any) -> np.ndarray:
    """The likelihood's mean at z = m + s·u; the condition is broadcast over the rows of u."""
    import tensorflow as tf

    dtype = getattr(model, "compute_dtype", "float32")
    needed = {*parents(model.prior), *parents(model.likelihood)} - {"z"}
    missing = sorted(name for name in needed if given.get(name) is None)
    if missing:
        raise ValueError(f"{type(model).__name__} is conditional: pass {missing[0]}=…, one row.")
    rows = {}
    for name in needed:
        value, event = checks.array(given[name], name), tuple(model.shapes[name])
        value = checks.array(value[None] if value.shape == event else value, name, event=event)
        if len(value) not in (1, len(u)):
            raise ValueError(f"{name} has {len(value)} rows. Expected one, for all of the figure.")
        rows[name] = np.broadcast_to(value, (len(u), *value.shape[1:]))
    means = []
    for start in range(0, len(u), 512):
        part = {name: tf.cast(value[start : start + 512], dtype) for name, value in rows.items()}
        prior = model.prior(*(part[name] for name in parents(model.prior)))
        part["z"] = prior.mean() + prior.stddev() * tf.cast(u[start : start + 512], dtype)
        likelihood = model.likelihood(*(part[name] for name in parents(model.likelihood)))
        means.append(np.asarray(likelihood.mean()))
    return np.concatenate(means)


def _check_model(model: Any) -> None:
    there = all(factor(model, name) for name in FACTORS if name != "posterior")
    if isinstance(model, type) or not (there and hasattr(model, "latent_dim")):
        raise TypeError(f"Received {model=}. Expected a built model with a z, such as CVAE1(…).")


def _texts(values: Any, name: str, num: int) -> Any:  # a list of so many, or None
    if values is None:
        return None
    values = list(values) if np.iterable(values) else [values]
    if len(values) != num:
        raise ValueError(f"Received {len(values)} {name}: {values}. Expected {num}, one for each.")
    return values


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
    columns = None if columns is None else checks.count(columns, "columns")
    if image_shape is not None:
        height, width = height_and_width(image_shape)
        size = height * width
        if images.size % size or images.ndim < 2:
            raise ValueError(f"images are {images.shape}. Expected {height} × {width} pixels.")
        tail = 1 if images.shape[-1] == size else 2 if images.shape[-1] != 1 else 3
        images = images.reshape(*images.shape[: images.ndim - tail], height, width)
    else:
        if images.ndim in (4, 5) and images.shape[-1] == 1:
            images = images[..., 0]
        if images.ndim == 2:
            side = math.isqrt(images.shape[1])
            if side * side != images.shape[1]:
                raise ValueError(f"{images.shape[1]} pixels are no square: give image_shape.")
            images = images.reshape(-1, side, side)
    if images.ndim == 4:  # [rows, columns, H, W]
        columns = images.shape[1]
        images = images.reshape(-1, *images.shape[2:])
    if images.ndim != 3:
        raise ValueError(
            f"images have shape {images.shape}. Expected [N, D], [N, H, W], [N, H, W, 1] or "
            "[rows, columns, H, W]."
        )
    return images, columns or min(10, len(images))


def _frames(
    ax: Axes, columns: int, down: int, across: int, gap: int, head: int, count: int
) -> None:
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    width, height = across - gap, down - gap - head
    left, top = gap - 0.5, gap + head - 0.5
    places = [(i % columns * across + left, i // columns * down + top) for i in range(count)]
    frames = [Rectangle(place, width, height) for place in places]
    ax.add_collection(PatchCollection(frames, facecolor="none", edgecolor="#BBBBBB", linewidth=0.6))


def _curve(name: str, run: Any, quantity: str) -> Any:  # training, and validation or None
    logs = getattr(run, "history", run)
    if isinstance(logs, Mapping) and quantity not in logs:
        raise ValueError(f"The history of {name} has {sorted(logs)}. Expected {quantity!r} too.")
    both, where = (logs, None), f"{quantity} of {name}"
    if isinstance(logs, Mapping):
        both = logs[quantity], logs.get(f"val_{quantity}")
    options: dict[str, Any] = {"event": (), "dtype": "float64", "finite": False}
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
    low, high = ax.get_ylim()
    least = 0.072 * (high - low)
    ends = sorted(ends)
    groups = []  # [centre, how many]: names that touch form a block round the mean of their lines
    for nats, *_ in ends:
        groups.append([min(max(nats, low), high), 1])
        while len(groups) > 1:
            (below, others), (centre, count) = groups[-2:]
            if centre - below >= least * (count + others) / 2:
                break
            whole = count + others
            groups[-2:] = [[(centre * count + below * others) / whole, whole]]
    places = [centre + least * (i - (n - 1) / 2) for centre, n in groups for i in range(n)]
    for place, (_, text, shade) in zip(places, ends, strict=True):
        ax.annotate(
            text, (1.0, place), xycoords=ax.get_yaxis_transform(), xytext=(8, 0),
            textcoords="offset points", color=legible(shade), va="center", fontweight="bold",
            fontsize=15, annotation_clip=False,
        )
