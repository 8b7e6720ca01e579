"""Graphs: the one that the signatures state, and its drawing."""

import pytest

from cvae_tf import CMMA, CVAE1, CVAE2, CVAE3, GSNN, VAE, graphs, plotting, signatures


class Chain:  # y → z → x
    def prior(self, y): ...
    def posterior(self, x, y): ...
    def likelihood(self, z): ...


class Fork:  # z → x ← y
    def prior(self): ...
    def posterior(self, x, y, training=None): ...
    def likelihood(self, y, z, *, temperature=1.0): ...


class Swapped(Fork):  # x → z → y ← x
    def prior(self, x): ...
    def likelihood(self, x, z): ...


@pytest.mark.parametrize(
    ("model", "generative", "inference"),
    [
        (Chain, {"yz", "zx"}, {"xz", "yz"}),
        (Fork(), {"zx", "yx"}, {"xz", "yz"}),
        (Swapped, {"xz", "zy", "xy"}, {"xz", "yz"}),
        (VAE, {"zx"}, {"xz"}),
        (CVAE1, {"yz", "zx", "yx"}, {"xz", "yz"}),
        (CVAE2, {"zx", "yx"}, {"xz", "yz"}),
        (CVAE3, {"xz", "zy", "xy"}, {"xz", "yz"}),
        (GSNN, {"xz", "zy", "xy"}, set()),
        (CMMA, {"yz", "zx"}, {"xz", "yz"}),
    ],
)
def test_the_graph_is_read_off_the_signatures(model, generative, inference):
    edges = graphs.graph_edges(model)
    assert edges.generative == {tuple(edge) for edge in generative}
    assert edges.inference == {tuple(edge) for edge in inference}


@pytest.mark.parametrize("model", [VAE, CVAE2, CVAE3, CMMA, GSNN])
def test_the_drawing_has_exactly_those_arrows(model):
    """Arrows are read back from the picture: by the nodes they join, and solid or dashed."""
    from matplotlib.patches import Circle, FancyArrowPatch

    ax = graphs.graphical_model(model).axes[0]
    places = {
        text.get_position(): text.get_text().strip("$")
        for text in ax.texts
        if text.get_text() in ("$x$", "$y$", "$z$")
    }
    names = {c: places[c.center] for c in ax.patches if isinstance(c, Circle)}
    drawn = {True: set(), False: set()}
    for arrow in ax.patches:
        if isinstance(arrow, FancyArrowPatch):
            edge = (names[arrow.patchA], names[arrow.patchB])
            drawn[arrow.get_linestyle() in ("-", "solid")].add(edge)
    edges = graphs.graph_edges(model)
    assert drawn == {True: edges.generative, False: edges.inference}
    shaded = {name for circle, name in names.items() if circle.get_facecolor()[:3] != (1, 1, 1)}
    assert shaded == set(names.values()) - {"z"}
    assert ax.get_title() == model.__name__.replace("CVAE", "CVAE-")


def test_a_directed_graph_has_the_arrows_and_shades_it_is_told():
    from matplotlib.patches import Circle, FancyArrowPatch

    places = {"z": (0, 2), "y": (2, 2), "x": (1, 0)}
    edges = [("z", "x"), ("y", "x")]
    ax = graphs.directed_graph(places, edges, observed=("x",)).axes[0]
    circles = [c for c in ax.patches if isinstance(c, Circle)]
    names = {c: n for c in circles for n, place in places.items() if c.center == place}
    arrows = [a for a in ax.patches if isinstance(a, FancyArrowPatch)]
    assert [(names[a.patchA], names[a.patchB]) for a in arrows] == edges
    assert [n for c, n in names.items() if c.get_facecolor()[:3] != (1, 1, 1)] == ["x"]
    assert {t.get_text() for t in ax.texts} == {"$x$", "$y$", "$z$"}


def test_a_graph_without_inference_says_so():
    """A GSNN's q is its prior; a generator of which nobody infers z has none."""

    class Generator:
        observed = "x"

        def prior(self): ...

        def likelihood(self, y, z): ...

    def below(model):
        return {text.get_text() for text in graphs.graphical_model(model).axes[0].texts}

    assert r"$\mathrm{no}\ q$" in below(Generator) and r"$q = p(z \mid x)$" in below(GSNN)


def test_the_old_names_answer():
    for name in ("GraphEdges", "directed_graph", "graph_edges", "graphical_model"):
        assert getattr(plotting, name) is getattr(graphs, name)


def test_parents_are_positional_and_without_a_default():
    assert (
        signatures.parents(Fork.likelihood) == signatures.parents(Fork().likelihood) == ("y", "z")
    )
    assert signatures.factor(Chain, "prior") is Chain.prior
    assert signatures.factor(object(), "prior") is None


class Weather:  # a factor with an argument that is none of x, y, z
    def prior(self): ...
    def likelihood(self, weather, z): ...


PLACES = {"z": (0, 2), "x": (1, 0)}
REFUSED = {
    "an object": (lambda: graphs.graphical_model(object()), "no method likelihood"),
    "a name": (lambda: graphs.graph_edges("CVAE1"), "'CVAE1', which has no method"),
    "no model": (lambda: graphs.graphical_model([]), "0 models"),
    "two on one": (lambda: graphs.graphical_model([VAE, CMMA], ax=object()), "leave ax out"),
    "no axes": (lambda: graphs.graphical_model(VAE, ax="left"), "one Matplotlib axes"),
    "a fourth variable": (lambda: graphs.graphical_model(Weather), "weather.*Expected x, y and z"),
    "no place": (lambda: graphs.directed_graph(PLACES, [("w", "x")]), "no place for .'w'"),
    "no place to shade": (lambda: graphs.directed_graph(PLACES, [], observed=("y",)), "'y'"),
    "a text to shade": (lambda: graphs.directed_graph(PLACES, [], observed="x"), "tuple of nodes"),
    "three in an edge": (lambda: graphs.directed_graph(PLACES, [("z", "x", "y")]), "a pair"),
    "no edge": (lambda: graphs.directed_graph(PLACES, [3]), "the edge 3"),
    "one coordinate": (lambda: graphs.directed_graph({"z": (0,)}, []), r"Expected \(N, 2\)"),
    "no nodes": (lambda: graphs.directed_graph({}, []), r"Expected \(N, 2\)"),
    "a list of nodes": (lambda: graphs.directed_graph(["z"], []), "node: .across, up."),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused(case):
    call, message = REFUSED[case]
    with pytest.raises((TypeError, ValueError), match=message):
        call()
