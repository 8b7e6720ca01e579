"""Graphs: those that the signatures of a model's factors state, and any other small one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cvae_tf import checks
from cvae_tf.look import DASHED, INK, colour, figure, legible, new_figure, style, written
from cvae_tf.signatures import factor, parents

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["GraphEdges", "directed_graph", "graph_edges", "graphical_model"]

Edge = tuple[str, str]


class GraphEdges(NamedTuple):
    """The two graphs of a model, as sets of (parent, child).

    Attributes:
        generative: edges of p: parents of z in the prior, and of what is predicted in the
            likelihood.
        inference: edges of q: parents of z in the posterior; none for a model whose q is its prior,
            such as the GSNN.
    """

    generative: set[Edge]
    inference: set[Edge]


def graph_edges(model: Any) -> GraphEdges:
    """Reads a model's graph off the signatures of its factors.

    The arguments of `prior` and `posterior` are the parents of z, those of `likelihood` the parents
    of what the model predicts: `model.observed`, or, where that is not stated, y if the likelihood
    sees x and else x.

    Args:
        model: a model or its class.

    Returns:
        `GraphEdges(generative, inference)`.

    Raises:
        ValueError: if it has no prior or no likelihood.

    Example:
        >>> class Chain:  # y → z → x
        ...     def prior(self, y): ...
        ...     def posterior(self, x, y): ...
        ...     def likelihood(self, z): ...
        >>> sorted(graph_edges(Chain).generative)
        [('y', 'z'), ('z', 'x')]
    """
    for name in ("likelihood", "prior"):
        if factor(model, name) is None:
            raise ValueError(
                f"Received {model!r}, which has no method {name}. Expected a model with prior, "
                "posterior and likelihood, whose arguments are the parents in its graph."
            )
    generative = {(parent, "z") for parent in parents(model.prior)}
    generative |= {(parent, _predicted(model)) for parent in parents(model.likelihood)}
    q = factor(model, "posterior")
    return GraphEdges(generative, {(parent, "z") for parent in parents(q)} if q else set())


@style()
def graphical_model(
    model: Any, *, title: str | None = None, ax: Axes | None = None
) -> Figure:
    """Draws the graphical model of a model, as the signatures of its factors state it.

    Solid arrows belong to the generative model p, dashed ones to the inference model q. Shaded
    nodes are observed. The plate says that there are N examples.

    Args:
        model: a model or its class, or a sequence of them to be drawn side by side.
        title: a text over the whole; for one model it takes the place of the class's name.
        ax: axes to draw in, for one model; default: a new figure.

    Returns:
        The figure.

    Raises:
        TypeError, ValueError: if there is no model, or an argument is none of those.

    Example:
        >>> fig = graphical_model([CVAE1, CVAE2, CVAE3, CMMA])  # doctest: +SKIP
    """
    from matplotlib.lines import Line2D

    models = list(model) if isinstance(model, (list, tuple)) else [model]
    if not models or (ax is not None and len(models) != 1):
        raise ValueError(f"Received {len(models)} models. Expected one; leave ax out for more.")
    if ax is None:
        ncols = min(2, len(models))  # of the legend
        fig = new_figure((3.5 * len(models) + 0.5, 6.04 - 0.28 * ncols))
        axes = fig.subplots(1, len(models), squeeze=False)[0]
        p = Line2D([], [], color=INK, lw=2.2, label="generative, $p$")
        q = Line2D([], [], color=INK, lw=2.2, ls=DASHED, label="inference, $q$")
        fig.legend(handles=[p, q], handlelength=2.6, loc="outside lower center", ncols=ncols)
    else:
        fig, axes = figure(ax, (0, 0))[0], [ax]
    for one, axis in zip(models, axes, strict=True):
        name = one.__name__ if inspect.isclass(one) else type(one).__name__
        heading = title if title and len(models) == 1 else written(name)
        _draw_graph(axis, one, heading, colour(name))
    if title and len(models) > 1:
        fig.suptitle(title)
    return fig


@style()
def directed_graph(
    centres: Mapping[str, tuple[float, float]], edges: Iterable[Edge], *,
    observed: Sequence[str] = (), title: str | None = None, ax: Axes | None = None,
) -> Figure:
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
        TypeError, ValueError: if an edge or `observed` names a node that has no place, or is
            none of those.

    Example:
        >>> places = {"z": (0, 2), "y": (2, 2), "x": (1, 0)}
        >>> fig = directed_graph(places, [("z", "x"), ("y", "x")], observed=("x",))
    """
    checks.instance(centres, "centres", Mapping, "{node: (across, up)}")
    places = checks.array(list(centres.values()), "centres", event=(2,), dtype="float64")
    several = (list, tuple, set, frozenset)
    checks.instance(observed, "observed", several, "a tuple of nodes, such as ('x',)")
    checks.instance(edges, "edges", several, "a list of pairs (parent, child)")
    for edge in edges:
        if not isinstance(edge, (list, tuple)) or len(edge) != 2:
            raise ValueError(f"Received the edge {edge!r}. Expected a pair (parent, child).")
    unknown = ({node for edge in edges for node in edge} | set(observed)) - set(centres)
    if unknown:
        raise ValueError(f"centres has no place for {sorted(unknown)}. Expected one for each node.")
    fig, ax = figure(ax, tuple(1.4 * np.ptp(places, axis=0) + 2.2))
    arrow = _nodes(ax, centres, observed)
    for parent, child in edges:
        arrow(parent, child, arrowstyle="-|>", color=INK, lw=2.2)
    (left, low), (right, high) = places.min(0) - 0.7, places.max(0) + 0.7
    ax.set(xlim=(left, right), ylim=(low, high), aspect="equal")
    ax.axis("off")
    if title:
        ax.set_title(title)
    return fig


def _nodes(ax: Axes, centres: Mapping[str, Any], observed: Any) -> Callable[..., None]:
    """Draws circles with names in them; returns what draws an arrow from one to another."""
    from matplotlib.patches import Circle, FancyArrowPatch

    nodes = {}
    for node, centre in centres.items():
        shade = "#CFCFCF" if node in observed else "white"
        nodes[node] = Circle(centre, 0.38, fc=shade, ec=INK, lw=2.2, zorder=3)
        ax.add_patch(nodes[node])
        ax.text(*centre, f"${node}$", ha="center", va="center_baseline", fontsize=25, zorder=4)

    def arrow(parent: str, child: str, bend: float = 0.0, **look: Any) -> None:
        ends = {"patchA": nodes[parent], "patchB": nodes[child], "shrinkA": 2, "shrinkB": 2}
        look |= {"connectionstyle": f"arc3,rad={bend}", "mutation_scale": 22, "zorder": 2}
        ax.add_patch(FancyArrowPatch(centres[parent], centres[child], **ends, **look))

    return arrow


def _draw_graph(ax: Axes, model: Any, heading: str, shade: str) -> None:
    from matplotlib.patches import FancyBboxPatch

    edges, predicted = graph_edges(model), _predicted(model)
    given = "x" if predicted == "y" else "y"
    nodes = {node for edge in edges.generative | edges.inference for node in edge}
    across = 2.0 if given in nodes else 1.0
    centres = {"z": (across, 2.0), predicted: (across, 0.0)}
    centres |= {given: (0.0, 2.0)} if given in nodes else {}
    if nodes - set(centres):
        unknown = sorted(nodes - set(centres))
        raise ValueError(f"The factors of {heading} take {unknown}. Expected x, y and z: rename.")
    looks: dict[str, Any] = dict(fc="none", ec="#888888", lw=1.6, zorder=0)
    round_box = "round,pad=0,rounding_size=0.18"
    ax.add_patch(FancyBboxPatch((-0.72, -0.78), 3.44, 3.5, boxstyle=round_box, **looks))
    ax.text(-0.58, -0.64, "$N$", ha="left", va="bottom", fontsize=19, color="#555555")
    arrow = _nodes(ax, centres, set(centres) - {"z"})
    for parent, child in sorted(edges.generative):
        arrow(parent, child, arrowstyle="-|>", color=INK, lw=2.2)
    for parent, child in sorted(edges.inference):
        bend = 0.42 if parent == predicted else -0.42  # round the outside of the triangle
        arrow(parent, child, bend, arrowstyle="->", color=shade, lw=2.4, ls=DASHED)
    prior = _density("p", "z", parents(model.prior))
    likelihood = _density("p", predicted, parents(model.likelihood))
    q = _density("q", "z", [parent for parent, _ in edges.inference])
    if not edges.inference:
        q = f"q = {prior}" if hasattr(model, "factors") else r"\mathrm{no}\ q"
    ax.text(1.0, -0.98, f"${prior}\\;{likelihood}$", ha="center", va="top", fontsize=19)
    ax.text(1.0, -1.42, f"${q}$", ha="center", va="top", fontsize=19, color=legible(shade))
    ax.set_title(heading, color=legible(shade), fontweight="bold", fontsize=20)
    ax.set(xlim=(-0.85, 2.85), ylim=(-1.85, 2.85), aspect="equal")
    ax.axis("off")


def _density(letter: str, child: str, parents: Iterable[str]) -> str:
    bar = r" \mid " if parents else ""
    return f"{letter}({child}{bar}{', '.join(sorted(parents))})"


def _predicted(model: Any) -> str:
    stated = getattr(model, "observed", None)
    if stated in ("x", "y"):
        return stated
    return "y" if "x" in parents(model.likelihood) else "x"
