"""Figures of the course: one style, one colour for each model, axes with units.

Every function returns a Matplotlib `Figure`; `show(fig, alt)` puts it into a notebook with a text
that says what is to be seen for those who cannot see it. Matplotlib and IPython are imported where
they are used.
"""

from __future__ import annotations

import base64
import inspect
import io
import math
import os
import sys
from collections.abc import Mapping
from contextlib import contextmanager
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

__all__ = [
    "COLOURS",
    "GraphEdges",
    "bound_curves",
    "colour",
    "density_with_gaussians",
    "directed_graph",
    "explore",
    "graph_edges",
    "graphical_model",
    "image_grid",
    "label_style_sweep",
    "latent_manifold",
    "latent_scatter",
    "line_chart",
    "sampled_futures",
    "show",
    "style",
]

# After Okabe & Ito and Paul Tol: far apart for colour-blind eyes too, dark enough for a projector.
COLOURS = {
    "VAE": "#0072B2",
    "CVAE1": "#D55E00",
    "CVAE2": "#009E73",
    "CVAE3": "#CC79A7",
    "CMMA": "#E69F00",
    "GSNN": "#56B4E9",
    "M1": "#661100",
    "M2": "#332288",
    "baseline": "#595959",
}
_SPARE = ("#117733", "#AA4499", "#999933", "#882255")  # for names that are not in the list
_CLASSES = (  # ten classes; the digit is written beside its points as well
    "#332288", "#E69F00", "#56B4E9", "#661100", "#009E73",
    "#D55E00", "#0072B2", "#111111", "#CC79A7", "#595959",
)  # fmt: skip
_MARKERS = dict(zip(COLOURS, "os^DvPX*h", strict=True))
_INK = "#222222"

_STYLE = {
    "figure.dpi": 100,
    "savefig.dpi": 110,
    "figure.facecolor": "white",
    "font.size": 15,
    "axes.titlesize": 17,
    "axes.labelsize": 16,
    "xtick.labelsize": 14,
    "ytick.labelsize": 14,
    "legend.fontsize": 14,
    "legend.frameon": False,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "grid.color": "#DDDDDD",
    "lines.linewidth": 2.5,
    "lines.markersize": 8,
    "mathtext.fontset": "cm",
    "image.cmap": "gray_r",
    "image.interpolation": "nearest",
}


@contextmanager
def style():
    """Applies the course's look to figures made inside: large type, dark ink, quiet axes.

    Example:
        >>> with style():
        ...     import matplotlib
        ...     size = matplotlib.rcParams["font.size"]
        >>> size
        15.0
    """
    import matplotlib

    with matplotlib.rc_context(_STYLE):
        yield


def colour(name):
    """The colour of a model throughout the course.

    Args:
        name: a model's name as in `COLOURS` ("CVAE4" is "CMMA", "FutureCVAE" a CVAE-3), or any
            other text, which gets a spare colour.

    Returns:
        A colour as "#RRGGBB".

    Example:
        >>> colour("CVAE4") == colour("CMMA")
        True
    """
    name = {"CVAE4": "CMMA", "FutureCVAE": "CVAE3"}.get(name, name)
    return COLOURS.get(name) or _SPARE[sum(map(ord, name)) % len(_SPARE)]


def show(fig, alt):
    """Displays a figure as PNG with its text alternative, and closes it.

    In a notebook the text goes into the output's metadata, {"image/png": {"alt": alt}}, from where
    it reaches the HTML page, and into the plain-text form of the output. Outside IPython the text
    alone is printed.

    Args:
        fig: a Matplotlib figure.
        alt: what is to be seen in it, in a sentence or two.

    Raises:
        ValueError: if alt is empty.

    Example:
        >>> show(image_grid(np.zeros((4, 64))), "Four empty images.")
        Four empty images.
    """
    if not isinstance(alt, str) or not alt.strip():
        raise ValueError(f"alt is {alt!r}; expected a sentence that says what is to be seen.")
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


def explore(draw, *, alt, **sliders):
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
        ValueError: if a first value lies outside its slider.

    Example:
        >>> def draw(z1):
        ...     return image_grid(np.full((1, 64), z1))
        >>> explore(draw, alt="One grey image.", z1=(0.0, 1.0, 0.5))  # doctest: +SKIP
    """
    for name, (least, greatest, first) in sliders.items():
        if not least <= first <= greatest:
            raise ValueError(
                f"Slider {name} begins at {first}, outside {least} to {greatest}. Give (least, "
                "greatest, first value)."
            )
    show(draw(**{name: first for name, (_, _, first) in sliders.items()}), alt)
    shell = sys.modules.get("IPython") and sys.modules["IPython"].get_ipython()
    if not shell or os.environ.get("CVAE_TF_STATIC"):
        return
    import ipywidgets
    from IPython.display import display

    def control(name, least, greatest, first):
        whole = all(isinstance(value, int) for value in (least, greatest, first))
        kind = ipywidgets.IntSlider if whole else ipywidgets.FloatSlider
        step = 1 if whole else (greatest - least) / 40
        return kind(
            value=first, min=least, max=greatest, step=step, description=name,
            continuous_update=False,
        )  # fmt: skip

    controls = {name: control(name, *values) for name, values in sliders.items()}
    picture = ipywidgets.interactive_output(lambda **values: show(draw(**values), alt), controls)
    display(ipywidgets.VBox([*controls.values(), picture]))


def image_grid(
    images, *, columns=None, row_labels=None, column_labels=None, captions=None,
    image_shape=None, title=None, xlabel=None, ylabel=None, limits=(0.0, 1.0), cmap="gray_r",
    ax=None,
):  # fmt: skip
    """Shows images side by side.

    Args:
        images: [N, D], [N, H, W] or [N, H, W, 1], filled in row by row; or with one axis more in
            front, [rows, columns, ...], with `columns` left out and `image_shape` given where
            images are flat.
        columns: images in a row; default 10, or fewer where there are fewer images.
        row_labels, column_labels: texts along the left and the top.
        captions: one text over each image, such as its nats.
        image_shape: (H, W) of flat images; default: square.
        title, xlabel, ylabel: texts of the axes.
        limits: the values shown as paper and as ink.
        cmap: "gray_r" shows ink dark on paper; "gray" suits photographs.
        ax: axes to draw in; default: a new figure.

    Returns:
        The figure.

    Raises:
        ValueError: if the images' shape is not one of those.

    Example:
        >>> fig = image_grid(np.random.default_rng(0).random((20, 64)), columns=5)
    """
    cells, columns = _cells(images, columns, image_shape)
    rows, (height, width) = math.ceil(len(cells) / columns), cells.shape[1:]
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
        fig, ax = _figure(ax, (columns * size * across / down + room[0], rows * size + room[1]))
        ax.imshow(canvas, vmin=limits[0], vmax=limits[1], cmap=cmap)
        _frames(ax, rows, columns, down, across, gap, head, len(cells))
        if captions is not None:
            for index, text in enumerate(captions):
                ax.text(
                    index % columns * across + gap + width / 2 - 0.5,
                    index // columns * down + gap + head - 0.5 - 0.04 * height,
                    text, ha="center", va="bottom", fontsize=12,
                )  # fmt: skip
        ax.set_xticks([c * across + gap + width / 2 - 0.5 for c in range(columns)])
        ax.set_yticks([r * down + gap + head + height / 2 - 0.5 for r in range(rows)])
        ax.set_xticklabels([""] * columns if column_labels is None else list(column_labels))
        ax.set_yticklabels([""] * rows if row_labels is None else list(row_labels))
        ax.xaxis.tick_top()
        ax.xaxis.set_label_position("top")
        _labels(ax, xlabel, ylabel, title)
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
    return fig


def latent_scatter(
    z,
    labels=None,
    *,
    names=None,
    title=None,
    unit="prior standard deviations",
    prior=False,
    priors=None,
    ax=None,
):
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
        ValueError: if z is not [N, 2] or labels have another length.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> fig = latent_scatter(rng.standard_normal((50, 2)), rng.integers(0, 3, 50))
    """
    z = np.asarray(z)
    if z.ndim != 2 or z.shape[1] != 2:
        raise ValueError(
            f"z has shape {z.shape}; expected [N, 2]: choose two columns, z[:, [0, 1]]."
        )
    if labels is not None and len(labels) != len(z):
        raise ValueError(
            f"labels have length {len(labels)} and z has {len(z)} rows; give one for each."
        )
    with style():
        from matplotlib.patches import Circle, Ellipse
        from matplotlib.patheffects import withStroke

        fig, ax = _figure(ax, (8.0, 7.2))
        radius = math.sqrt(-2 * math.log(0.05))  # a 2-d normal leaves this circle with p = 0.05
        for label, (mean, scale) in (priors or {}).items():
            shade = _CLASSES[int(label) % len(_CLASSES)]
            size = 2 * radius * np.asarray(scale)
            ax.add_patch(Ellipse(mean, *size, fill=False, lw=2.2, ec=shade, zorder=3))
        if prior:
            ax.add_patch(
                Circle((0, 0), radius, fill=False, ls=(0, (4, 3)), lw=1.5, ec=_INK, zorder=3)
            )
            ax.annotate(
                "95 % of the prior", (0.71 * radius, 0.71 * radius), xytext=(4, 4),
                textcoords="offset points", ha="left", va="bottom", fontsize=14, zorder=4,
                annotation_clip=False,
            )  # fmt: skip
        if labels is None:
            ax.scatter(*z.T, s=18, color=COLOURS["VAE"], alpha=0.6, linewidths=0)
        else:
            labels = np.asarray(labels)
            classes = np.unique(labels)
            order = np.random.default_rng(0).permutation(
                len(z)
            )  # so that no class lies over another
            shades = np.array([_CLASSES[int(c) % len(_CLASSES)] for c in labels])
            ax.scatter(*z[order].T, s=18, c=shades[order], alpha=0.6, linewidths=0)
            for number, c in enumerate(classes):
                ax.text(
                    *np.median(z[labels == c], axis=0), str(c if names is None else names[number]),
                    color=_legible(_CLASSES[int(c) % len(_CLASSES)]), zorder=5,
                    fontsize=24, fontweight="bold", ha="center", va="center",
                    path_effects=[withStroke(linewidth=5, foreground="white")],
                )  # fmt: skip
        ax.set_aspect("equal", adjustable="datalim")
        _labels(ax, f"$z_1$ ({unit})", f"$z_2$ ({unit})", title)
    return fig


def latent_manifold(
    model, *, x=None, y=None, size=15, dimensions=(0, 1), image_shape=None, title=None,
    cmap="gray_r", ax=None,
):  # fmt: skip
    """Decodes a grid over two latent dimensions whose cells hold equal mass of the prior.

    The grid is u = Φ⁻¹((i + ½)/size) on each axis, the other dimensions 0, and z = m + s·u with the
    prior's mean m and
    scale s: for a conditional prior the same u means the same place in every p(z|y). The mean of
    the likelihood is shown.

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
        ValueError: if the model is conditional and its condition is missing.

    Example:
        >>> fig = latent_manifold(model, y=np.eye(10)[3])  # doctest: +SKIP

    Source: Kingma & Welling (2014), appendix A.
    """
    steps = [NormalDist().inv_cdf((i + 0.5) / size) for i in range(size)]
    u = np.zeros((size * size, model.latent_dim), np.float32)
    u[:, dimensions[0]] = np.tile(steps, size)
    u[:, dimensions[1]] = np.repeat(steps[::-1], size)  # upwards
    images = _decode(model, u, x=x, y=y)
    symbol = "z" if not _parents(model, "prior") else "u"
    ticks = [
        "" if i % 2 != size // 2 % 2 else f"{step:.1f}".replace("-", "−")
        for i, step in enumerate(steps)
    ]
    ticks = [text.replace("−0.0", "0.0") for text in ticks]
    names = [f"${symbol}_{{{d + 1}}}$ (prior standard deviations)" for d in dimensions]
    fig = image_grid(
        images, columns=size, column_labels=ticks, row_labels=ticks[::-1], image_shape=image_shape,
        title=title, xlabel=names[0], ylabel=names[1], cmap=cmap, ax=ax,
    )  # fmt: skip
    axes = ax if ax is not None else fig.axes[0]
    axes.xaxis.tick_bottom()
    axes.xaxis.set_label_position("bottom")
    axes.tick_params(length=0)
    return fig


def label_style_sweep(
    model, y=None, *, num_styles=6, styles=None, seed=0, label_names=None,
    image_shape=None, title=None, cmap="gray_r", ax=None,
):  # fmt: skip
    """Generates from every label in every style: a row shares its style z, a column its label y.

    A style is u ~ N(0, I), the same for all models of one latent dimension; z = m(y) + s(y)·u with
    the prior's mean and scale. The mean of the likelihood is shown.

    Args:
        model: a model that generates x from y: CVAE1, CVAE2 or CMMA.
        y: the labels to run through, [C, m]; default: every one-hot label.
        num_styles: rows.
        styles: u itself, [num_styles, d], in place of random ones.
        seed: an integer; decides the styles.
        label_names: texts over the columns; default 0, 1, 2, …
        image_shape, title, cmap, ax: as in `image_grid`.

    Returns:
        The figure.

    Example:
        >>> fig = label_style_sweep(model)  # doctest: +SKIP
    """
    y = np.eye(model.shapes["y"][-1]) if y is None else np.asarray(y)
    if styles is None:
        styles = np.random.default_rng(seed).standard_normal((num_styles, model.latent_dim))
    images = _decode(model, np.repeat(styles, len(y), axis=0), y=np.tile(y, (len(styles), 1)))
    return image_grid(
        images, columns=len(y), image_shape=image_shape, title=title, cmap=cmap, ax=ax,
        column_labels=range(len(y)) if label_names is None else label_names,
        row_labels=[rf"$u^{{({i + 1})}}$" for i in range(len(styles))],
        xlabel="label $y$", ylabel="style (a draw of $u$)",
    )  # fmt: skip


def bound_curves(
    history, *, quantity="elbo", name="VAE", validation=True, limits=None, ylim=None,
    ylabel="bound (nats per example)", title=None, ax=None,
):  # fmt: skip
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
        ValueError: if the quantity is not in a history.

    Example:
        >>> fig = bound_curves({"VAE": [10.0, 14.0, 15.0], "CVAE2": [12.0, 17.0, 18.0]})
    """
    logs = getattr(history, "history", history)
    single = not isinstance(logs, Mapping) or quantity in logs
    runs = {name: logs} if single else dict(logs)
    curves = {name: _curve(name, run, quantity) for name, run in runs.items()}
    with style():
        fig, ax = _figure(ax, (9.5, 5.6))
        ax.grid(axis="y")
        ends, dashed = [], False
        for name, (training, held_out) in curves.items():
            shade = colour(name)
            epochs = np.arange(1, len(training) + 1)
            mark = dict(marker=_MARKERS.get(name, "o"), markevery=[len(epochs) - 1])
            ax.plot(epochs, training, color=shade, **mark)
            ends.append((training[-1], name, shade))
            if validation and held_out is not None:
                ax.plot(epochs, held_out, color=shade, ls=(0, (3, 1.5)), lw=2)
                dashed = True
        for text, nats in (limits or {}).items():
            ax.axhline(nats, color=COLOURS["baseline"], lw=2, ls=(0, (1, 1.2)), zorder=1)
            ends.append((nats, text, COLOURS["baseline"]))
        shown = [c for pair in curves.values() for c in pair if c is not None]
        ax.set_ylim(*(_range(shown, limits) if ylim is None else ylim))
        length = max(len(c) for c in shown)
        ax.set_xlim(1 if length > 1 else 0.5, length + (0.02 * length if length > 1 else 0.5))
        ax.xaxis.get_major_locator().set_params(integer=True)
        _end_labels(ax, ends)
        if dashed:
            ax.plot([], [], color=_INK, label="training")
            ax.plot([], [], color=_INK, ls=(0, (3, 1.5)), lw=2, label="validation")
            ax.legend(loc="lower right")
        _labels(ax, "epoch", ylabel, title)
    return fig


def line_chart(
    x, series, *, errors=None, xlabel, ylabel, xscale="linear", yscale="linear", limits=None,
    title=None, ax=None,
):  # fmt: skip
    """Draws several quantities against one, each with its own colour, dash and marker.

    Args:
        x: the values along the axis, [n].
        series: {name: values [n]}; a model's name takes the model's colour.
        errors: {name: standard errors [n]} for some or all of them.
        xlabel, ylabel, title: texts, with units.
        xscale, yscale: "linear" or "log".
        limits: {text: value}: horizontal lines to compare with.
        ax: axes to draw in; default: a new figure.

    Returns:
        The figure.

    Example:
        >>> fig = line_chart([1, 2, 4], {"A": [3, 2, 1]}, xlabel="draws", ylabel="variance")
    """
    dashes = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)))
    with style():
        fig, ax = _figure(ax, (9.5, 5.6))
        ax.set(xscale=xscale, yscale=yscale)
        ax.grid(axis="y")
        for number, (name, values) in enumerate(series.items()):
            look = dict(
                color=COLOURS.get(name, _SPARE[number % len(_SPARE)]), label=name,
                ls=dashes[number % len(dashes)], marker="os^D"[number % 4],
                markevery=max(1, len(x) // 12),
            )  # fmt: skip
            if errors and name in errors:
                ax.errorbar(x, values, yerr=errors[name], capsize=4, **look)
            else:
                ax.plot(x, values, **look)
        for text, value in (limits or {}).items():
            ax.axhline(value, color=COLOURS["baseline"], lw=2, ls=(0, (1, 1.2)), label=text)
        for axis, scale in ((ax.xaxis, xscale), (ax.yaxis, yscale)):
            if scale == "log":
                _plain_log_ticks(axis)
        if xscale == "log" and len(x) <= 12:
            ax.set_xticks(x, [f"{value:g}" for value in x])
        ax.legend()
        _labels(ax, xlabel, ylabel, title)
    return fig


def _plain_log_ticks(axis):  # 0.1, 1, 10, and between them where that leaves few
    from matplotlib.ticker import LogLocator, NullFormatter

    low, high = sorted(axis.get_data_interval())
    narrow = high < 300 * max(low, 1e-30)
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if narrow else (1,)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def density_with_gaussians(
    first, second, density, gaussians, *, legend=True, margin=3.0, title=None, ax=None
):
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

    Example:
        >>> side = np.linspace(-3, 3, 61)
        >>> bump = np.exp(-0.5 * (side[:, None] ** 2 + side**2))
        >>> fig = density_with_gaussians(side, side, bump, {"q": ((0, 0), (1, 1))})
    """
    first, second, density = np.asarray(first), np.asarray(second), np.asarray(density)
    mass = density / density.sum()
    with style():
        from matplotlib.patches import Ellipse

        fig, ax = _figure(ax, (6.4, 6.0))
        ax.imshow(
            density, origin="lower", extent=(first[0], first[-1], second[0], second[-1]),
            cmap="Greys", interpolation="bilinear",
        )  # fmt: skip
        for number, (name, (mean, scale)) in enumerate(gaussians.items()):
            ax.add_patch(
                Ellipse(
                    np.asarray(mean), *(4 * np.asarray(scale)), fill=False, lw=2.5, label=name,
                    ec=("#D55E00", "#0072B2", *_SPARE)[number],
                    ls=(0, (3, 1.5)) if not number else "-",
                )
            )  # fmt: skip
        centre = (mass.sum(0) @ first, mass.sum(1) @ second)
        spread = (mass.sum(0) @ (first - centre[0]) ** 2, mass.sum(1) @ (second - centre[1]) ** 2)
        reach = [abs(np.subtract(m, centre)) + 2.2 * np.asarray(s) for m, s in gaussians.values()]
        half = max(margin * math.sqrt(max(spread)), np.max(reach, initial=0.0))
        ax.set(xlim=(centre[0] - half, centre[0] + half), ylim=(centre[1] - half, centre[1] + half))
        if legend:
            ax.legend(loc="upper right")
        unit = "prior standard deviations"
        _labels(ax, f"$z_1$ ({unit})", f"$z_2$ ({unit})", title)
    return fig


class GraphEdges(NamedTuple):
    """The two graphs of a model, as sets of (parent, child).

    Attributes:
        generative: edges of p: parents of z in the prior, and of what is predicted in the
            likelihood.
        inference: edges of q: parents of z in the posterior; none for a model whose q is its prior,
            such as the GSNN.
    """

    generative: set
    inference: set


def graph_edges(model):
    """Reads a model's graph off the signatures of its factors.

    The arguments of `prior` and `posterior` are the parents of z, those of `likelihood` the parents
    of what the model
    predicts: `model.observed`, or, where that is not stated, y if the likelihood sees x and else x.

    Args:
        model: a model or its class.

    Returns:
        `GraphEdges(generative, inference)`.

    Example:
        >>> class Chain:  # y → z → x
        ...     def prior(self, y): ...
        ...     def posterior(self, x, y): ...
        ...     def likelihood(self, z): ...
        >>> sorted(graph_edges(Chain).generative)
        [('y', 'z'), ('z', 'x')]
    """
    predicted = _predicted(model)
    generative = {(parent, "z") for parent in _parents(model, "prior")}
    generative |= {(parent, predicted) for parent in _parents(model, "likelihood")}
    has_q = callable(getattr(model, "posterior", None))
    inference = {(parent, "z") for parent in _parents(model, "posterior")} if has_q else set()
    return GraphEdges(generative, inference)


def graphical_model(model, *, name=None, title=None, factors=True, columns=None, ax=None):
    """Draws the graphical model of a model, as the signatures of its factors state it.

    Solid arrows belong to the generative model p, dashed ones to the inference model q. Shaded
    nodes are observed. The plate says that there are N examples.

    Args:
        model: a model or its class, or a sequence of them to be drawn side by side.
        name: the name to write; default: the class's.
        title: a text over the whole; for one model it takes the place of the name.
        factors: whether to write the factors below.
        columns: how many models stand in a row; default: all of them.
        ax: axes to draw in, for one model; default: a new figure.

    Returns:
        The figure.

    Example:
        >>> fig = graphical_model([CVAE1, CVAE2, CVAE3, CMMA])  # doctest: +SKIP
    """
    models = list(model) if isinstance(model, (list, tuple)) else [model]
    if ax is not None and len(models) != 1:
        raise ValueError(
            f"{len(models)} models came with one ax; leave ax out to draw them in a row."
        )
    with style():
        from matplotlib.lines import Line2D

        if ax is None:
            columns = columns or len(models)
            rows, legend_rows = -(-len(models) // columns), 1 if columns > 1 else 2
            height = rows * (4.8 if factors else 4.2) + 0.28 * legend_rows
            fig = _new_figure((3.5 * columns + 0.5, height + (0.6 if title and rows > 1 else 0.4)))
            axes = fig.subplots(rows, columns, squeeze=False).ravel()
            for spare in axes[len(models) :]:
                spare.axis("off")
        else:
            fig, axes = ax.figure, [ax]
        for one, axis in zip(models, axes, strict=False):
            label = name or (one.__name__ if inspect.isclass(one) else type(one).__name__)
            heading = title if title and len(models) == 1 else label
            _draw_graph(axis, one, graph_edges(one), heading, colour(label), factors)
        if len(models) > 1 and title:
            fig.suptitle(title)
        if ax is None:
            fig.legend(
                handles=[
                    Line2D([], [], color=_INK, lw=2.2, label="generative, $p$"),
                    Line2D([], [], color=_INK, lw=2.2, ls=(0, (3, 1.6)), label="inference, $q$"),
                ],
                loc="outside lower center", ncols=2 // legend_rows, handlelength=2.6,
            )  # fmt: skip
    return fig


def directed_graph(centres, edges, *, observed=(), title=None, ax=None):
    """Draws any small directed graph, such as a collider or another paper's model.

    `graphical_model` reads a model's graph off its factors; this one draws what it is told.

    Args:
        centres: {node: (across, up)}; the node's name is written in mathematical type. Two units
            between neighbours look right.
        edges: pairs (parent, child).
        observed: the nodes that are shaded.
        title: a text over the graph.
        ax: axes to draw in; default: a new figure.

    Returns:
        The figure.

    Raises:
        ValueError: if an edge or `observed` names a node that has no place.

    Example:
        >>> places = {"z": (0, 2), "y": (2, 2), "x": (1, 0)}
        >>> fig = directed_graph(places, [("z", "x"), ("y", "x")], observed=("x",))
    """
    unknown = ({node for edge in edges for node in edge} | set(observed)) - set(centres)
    if unknown:
        raise ValueError(f"centres has no place for {sorted(unknown)}; give one for each node.")
    with style():
        from matplotlib.patches import Circle, FancyArrowPatch

        across, up = np.array(list(centres.values()), float).T
        fig, ax = _figure(ax, (1.4 * np.ptp(across) + 2.2, 1.4 * np.ptp(up) + 2.2))
        nodes = {}
        for node, centre in centres.items():
            shade = "#CFCFCF" if node in observed else "white"
            nodes[node] = Circle(centre, 0.38, fc=shade, ec=_INK, lw=2.2, zorder=3)
            ax.add_patch(nodes[node])
            ax.text(*centre, f"${node}$", ha="center", va="center_baseline", fontsize=25, zorder=4)
        for parent, child in edges:
            ax.add_patch(
                FancyArrowPatch(
                    centres[parent], centres[child], patchA=nodes[parent], patchB=nodes[child],
                    shrinkA=2, shrinkB=2, arrowstyle="-|>", mutation_scale=22, lw=2.2, color=_INK,
                    zorder=2,
                )
            )  # fmt: skip
        ax.set(
            xlim=(across.min() - 0.7, across.max() + 0.7), ylim=(up.min() - 0.7, up.max() + 0.7),
            aspect="equal",
        )  # fmt: skip
        ax.axis("off")
        if title:
            ax.set_title(title)
    return fig


def _draw_graph(ax, model, edges, heading, shade, factors):
    from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch

    predicted = _predicted(model)
    given = "x" if predicted == "y" else "y"
    centres = {"z": (2.0, 2.0), predicted: (2.0, 0.0)}
    if any(given in edge for edge in edges.generative | edges.inference):
        centres[given] = (0.0, 2.0)
    else:
        centres = {"z": (1.0, 2.0), predicted: (1.0, 0.0)}
    unknown = {node for edge in edges.generative | edges.inference for node in edge} - set(centres)
    if unknown:
        raise ValueError(
            f"the factors' arguments include {sorted(unknown)}; expected only x, y and z."
        )
    ax.add_patch(
        FancyBboxPatch(
            (-0.72, -0.78), 3.44, 3.5, boxstyle="round,pad=0,rounding_size=0.18",
            fc="none", ec="#888888", lw=1.6, zorder=0,
        )
    )  # fmt: skip
    ax.text(-0.58, -0.64, "$N$", ha="left", va="bottom", fontsize=19, color="#555555")
    nodes = {}
    for node, centre in centres.items():
        observed = node != "z"
        nodes[node] = Circle(
            centre, 0.38, fc="#CFCFCF" if observed else "white", ec=_INK, lw=2.2, zorder=3
        )
        ax.add_patch(nodes[node])
        ax.text(*centre, f"${node}$", ha="center", va="center_baseline", fontsize=25, zorder=4)

    def arrow(parent, child, bend, **look):
        ax.add_patch(
            FancyArrowPatch(
                centres[parent], centres[child], patchA=nodes[parent], patchB=nodes[child],
                shrinkA=2, shrinkB=2, connectionstyle=f"arc3,rad={bend}", mutation_scale=22,
                zorder=2, **look,
            )
        )  # fmt: skip

    for parent, child in sorted(edges.generative):
        arrow(parent, child, 0.0, arrowstyle="-|>", color=_INK, lw=2.2)
    for parent, child in sorted(edges.inference):
        bend = 0.42 if parent == predicted else -0.42  # round the outside of the triangle
        arrow(parent, child, bend, arrowstyle="->", color=shade, lw=2.4, ls=(0, (3, 1.6)))
    if factors:
        p = [
            _density("p", "z", _parents(model, "prior")),
            _density("p", predicted, _parents(model, "likelihood")),
        ]
        q = _density("q", "z", [parent for parent, _ in edges.inference])
        if not edges.inference:
            q = f"q = {p[0]}" if hasattr(model, "factors") else r"\mathrm{no}\ q"
        ax.text(1.0, -0.98, f"${p[0]}\\;{p[1]}$", ha="center", va="top", fontsize=19)
        ax.text(1.0, -1.42, f"${q}$", ha="center", va="top", fontsize=19, color=_legible(shade))
    ax.set_title(heading, color=_legible(shade), fontweight="bold", fontsize=20)
    ax.set(xlim=(-0.85, 2.85), ylim=(-1.85 if factors else -0.9, 2.85), aspect="equal")
    ax.axis("off")


def _density(letter, child, parents):
    bar = r" \mid " if parents else ""
    return f"{letter}({child}{bar}{', '.join(sorted(parents))})"


def _parents(model, factor):
    method = getattr(model, factor, None)
    if not callable(method):
        raise ValueError(
            f"{model!r} has no method {factor}; expected a model with prior, posterior and "
            "likelihood, whose arguments are the parents in its graph."
        )
    parameters = inspect.signature(method).parameters.values()
    return [
        p.name
        for p in parameters
        if p.name != "self"
        and p.default is p.empty
        and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]


def _predicted(model):
    stated = getattr(model, "observed", None)
    if stated in ("x", "y"):
        return stated
    return "y" if "x" in _parents(model, "likelihood") else "x"


def _decode(model, u, **given):
    """The likelihood's mean at z = m + s·u; the condition is broadcast over the rows of u."""
    import tensorflow as tf

    dtype = getattr(model, "compute_dtype", "float32")
    needed = {p for p in (*_parents(model, "prior"), *_parents(model, "likelihood"))} - {"z"}
    missing = sorted(name for name in needed if given.get(name) is None)
    if missing:
        raise ValueError(
            f"{type(model).__name__} is given {missing[0]}; pass {missing[0]}=..., one row of it."
        )
    rows = {}
    for name in needed:
        value = np.asarray(given[name])
        value = value[None] if value.ndim == len(model.shapes[name]) else value
        rows[name] = np.broadcast_to(value, (len(u), *value.shape[1:]))
    means = []
    for start in range(0, len(u), 512):
        part = {name: tf.cast(value[start : start + 512], dtype) for name, value in rows.items()}
        prior = model.prior(*(part[name] for name in _parents(model, "prior")))
        part["z"] = prior.mean() + prior.stddev() * tf.cast(u[start : start + 512], dtype)
        likelihood = model.likelihood(*(part[name] for name in _parents(model, "likelihood")))
        means.append(np.asarray(likelihood.mean()))
    return np.concatenate(means)


def _cells(images, columns, image_shape):  # [N, H, W] and the number of columns
    images = np.asarray(images, np.float32)
    if image_shape is not None:
        size = math.prod(image_shape)
        if images.size % size or images.ndim < 2:
            raise ValueError(
                f"images have shape {images.shape}; expected images of {image_shape} pixels."
            )
        tail = 1 if images.shape[-1] == size else 2 if images.shape[-1] != 1 else 3
        lead = images.shape[: images.ndim - tail]
        images = images.reshape(*lead, *image_shape)
    else:
        if images.ndim in (4, 5) and images.shape[-1] == 1:
            images = images[..., 0]
        if images.ndim == 2:
            side = math.isqrt(images.shape[1])
            if side * side != images.shape[1]:
                raise ValueError(
                    f"images have shape {images.shape}, and {images.shape[1]} pixels are no "
                    "square; give image_shape=(height, width)."
                )
            images = images.reshape(-1, side, side)
    if images.ndim == 4:  # [rows, columns, H, W]
        columns = images.shape[1]
        images = images.reshape(-1, *images.shape[2:])
    if images.ndim != 3 or len(images) == 0:
        raise ValueError(
            f"images have shape {images.shape}; expected [N, D], [N, H, W], [N, H, W, 1] or "
            "[rows, columns, H, W]."
        )
    return images, columns or min(10, len(images))


def _frames(ax, rows, columns, down, across, gap, head, count):  # a hairline round each image
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    width, height = across - gap, down - gap - head
    frames = [
        Rectangle(
            (i % columns * across + gap - 0.5, i // columns * down + gap + head - 0.5),
            width,
            height,
        )
        for i in range(count)
    ]
    ax.add_collection(PatchCollection(frames, facecolor="none", edgecolor="#BBBBBB", linewidth=0.6))


def _curve(name, run, quantity):  # training values and validation values or None
    logs = getattr(run, "history", run)
    if not isinstance(logs, Mapping):
        return np.asarray(logs, float), None
    if quantity not in logs:
        raise ValueError(
            f"the history of {name} has {sorted(logs)}; expected {quantity!r} among them."
        )
    held_out = logs.get(f"val_{quantity}")
    return np.asarray(logs[quantity], float), None if held_out is None else np.asarray(
        held_out, float
    )


def _range(curves, limits):  # of the axis: all limits, and the curves without their first tenth
    tails = np.concatenate([c[min(len(c) // 10, len(c) - 1) :] for c in curves])
    values = np.concatenate([tails, list((limits or {}).values())])
    values = values[np.isfinite(values)]
    margin = 0.06 * (values.max() - values.min()) or 1.0
    return values.min() - margin, values.max() + margin


def _end_labels(ax, ends):  # names at the right edge, moved apart where they would overlap
    low, high = ax.get_ylim()
    least = 0.072 * (high - low)
    ends = sorted(ends)
    groups = []  # [centre, how many]: names that touch form a block round the mean of their lines
    for nats, *_ in ends:
        groups.append([min(max(nats, low), high), 1])
        while (
            len(groups) > 1
            and groups[-1][0] - groups[-2][0] < least * (groups[-1][1] + groups[-2][1]) / 2
        ):
            (centre, count), (below, others) = groups.pop(), groups.pop()
            groups.append([(centre * count + below * others) / (count + others), count + others])
    places = [
        centre + least * (i - (count - 1) / 2) for centre, count in groups for i in range(count)
    ]
    for place, (_, text, shade) in zip(places, ends, strict=True):
        ax.annotate(
            text, (1.0, place), xycoords=ax.get_yaxis_transform(), xytext=(8, 0),
            textcoords="offset points", color=_legible(shade), va="center", fontweight="bold",
            fontsize=15, annotation_clip=False,
        )  # fmt: skip


def _legible(shade):  # the same hue, darkened until text in it has contrast 4.5 on white (WCAG AA)
    from matplotlib.colors import to_rgb

    rgb = np.array(to_rgb(shade))
    while True:
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        if 1.05 / (linear @ [0.2126, 0.7152, 0.0722] + 0.05) >= 4.5:
            return tuple(rgb)
        rgb = rgb * 0.97


def _labels(ax, xlabel, ylabel, title):
    for text, setter in ((xlabel, ax.set_xlabel), (ylabel, ax.set_ylabel)):
        if text:
            setter(text)
    if title:
        ax.set_title(title, pad=10)
    ax.tick_params(labelsize=_STYLE["xtick.labelsize"])


def _new_figure(size):  # without pyplot: nothing is shown twice, nothing stays open
    from matplotlib.figure import Figure

    fig = Figure(figsize=size, layout="constrained", dpi=_STYLE["figure.dpi"])
    fig.get_layout_engine().set(w_pad=0.12, h_pad=0.12)  # inches
    return fig


def _figure(ax, size):
    if ax is not None:
        return ax.figure, ax
    fig = _new_figure(size)
    return fig, fig.add_subplot()


def sampled_futures(
    stills, samples, starts, *, truth=None, num_clusters=10, image_shape=None, titles=None,
    columns=4, shade=None,
):  # fmt: skip
    """Draws sampled motions over the stills they start from, gathered into a few by k-means.

    Each cluster's mean path is a line; its width says how many of the draws it stands for. What
    happened is dashed.

    Args:
        stills: flat images, [N, H·W].
        samples: draws of y, the coefficients of `tasks.futures`, [S, N, 10].
        starts: where the object is, column and row, [N, 2] pixels.
        truth: what happened, [N, 10], or None.
        num_clusters: clusters of each still's draws.
        image_shape: (H, W); default: square.
        titles: one text for each still.
        columns: stills in a row.
        shade: the colour of the paths; default: CVAE-3's.

    Returns:
        The figure.

    Raises:
        ValueError: if the number of stills, samples and starts differ.

    Example:
        >>> samples = futures.draws(model, scenes.x[:4], 800)  # doctest: +SKIP
        >>> fig = sampled_futures(scenes.x[:4], samples, scenes.start[:4])  # doctest: +SKIP

    Source: Walker et al. (2016), figure 5.
    """
    from cvae_tf import futures, tasks

    samples, starts = np.asarray(samples), np.asarray(starts)
    cells, columns = _cells(stills, columns, image_shape)
    columns = min(columns, len(cells))
    if not len(cells) == samples.shape[1] == len(starts):
        raise ValueError(
            f"{len(cells)} stills, samples of shape {samples.shape} and {len(starts)} starts came; "
            "expected [S, N, 10] and [N, 2] for N stills."
        )
    shade = COLOURS["CVAE3"] if shade is None else shade
    rows = math.ceil(len(cells) / columns)
    with style():
        from matplotlib.lines import Line2D
        from matplotlib.patheffects import Normal, withStroke

        fig = _new_figure((3.1 * columns, 3.2 * rows + (0.5 if titles is None else 0.9)))
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
                path = starts[i] + tasks.trajectories(centre)
                ax.plot(
                    *path.T, color=shade, lw=0.6 + 24 * share, solid_capstyle="round",
                    path_effects=[withStroke(linewidth=1.8 + 24 * share, foreground="white"),
                                  Normal()],
                )  # fmt: skip
            if truth is not None:
                path = starts[i] + tasks.trajectories(truth[i])
                ax.plot(*path.T, color=_INK, lw=2.0, ls=(0, (2, 1.3)), zorder=5)
                ax.plot(*path[-1], marker="o", color=_INK, ms=7, zorder=5)
            if titles is not None:
                ax.set_title(titles[i])
        handles = [Line2D([], [], color=shade, lw=5, label="sampled futures (width: share)")]
        if truth is not None:
            handles.append(
                Line2D([], [], color=_INK, lw=2, ls=(0, (2, 1.3)), marker="o", ms=7,
                       label="what happened")
            )  # fmt: skip
        fig.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return fig
