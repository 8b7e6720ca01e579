"""Figures: the graph that the signatures state, texts for those who cannot see, axes with units."""

import itertools
import subprocess
import sys

import numpy as np
import pytest

from cvae_tf import CMMA, CVAE1, CVAE2, CVAE3, GSNN, VAE, plotting


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
    edges = plotting.graph_edges(model)
    assert edges.generative == {tuple(edge) for edge in generative}
    assert edges.inference == {tuple(edge) for edge in inference}


@pytest.mark.parametrize("model", [VAE, CVAE2, CVAE3, CMMA, GSNN])
def test_the_drawing_has_exactly_those_arrows(model):
    """Arrows are read back from the picture: by the nodes they join, and solid or dashed."""
    from matplotlib.patches import Circle, FancyArrowPatch

    ax = plotting.graphical_model(model).axes[0]
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
    edges = plotting.graph_edges(model)
    assert drawn == {True: edges.generative, False: edges.inference}
    shaded = {name for circle, name in names.items() if circle.get_facecolor()[:3] != (1, 1, 1)}
    assert shaded == set(names.values()) - {"z"}
    assert ax.get_title() == model.__name__


def test_a_directed_graph_has_the_arrows_and_shades_it_is_told():
    from matplotlib.patches import Circle, FancyArrowPatch

    places = {"z": (0, 2), "y": (2, 2), "x": (1, 0)}
    edges = [("z", "x"), ("y", "x")]
    ax = plotting.directed_graph(places, edges, observed=("x",)).axes[0]
    circles = [c for c in ax.patches if isinstance(c, Circle)]
    names = {c: n for c in circles for n, place in places.items() if c.center == place}
    arrows = [a for a in ax.patches if isinstance(a, FancyArrowPatch)]
    assert [(names[a.patchA], names[a.patchB]) for a in arrows] == edges
    assert [n for c, n in names.items() if c.get_facecolor()[:3] != (1, 1, 1)] == ["x"]
    assert {t.get_text() for t in ax.texts} == {"$x$", "$y$", "$z$"}
    with pytest.raises(ValueError, match="no place for .'w'"):
        plotting.directed_graph(places, [("w", "x")])


def test_a_graph_without_inference_says_so():
    """A GSNN's q is its prior; a generator of which nobody infers z has none."""

    class Generator:
        observed = "x"

        def prior(self): ...

        def likelihood(self, y, z): ...

    def below(model):
        return {text.get_text() for text in plotting.graphical_model(model).axes[0].texts}

    assert r"$\mathrm{no}\ q$" in below(Generator) and r"$q = p(z \mid x)$" in below(GSNN)


def test_a_model_without_factors_is_refused():
    with pytest.raises(ValueError, match="no method likelihood"):
        plotting.graphical_model(object())


def test_show_attaches_the_alt_text_in_ipython():
    """In a process of its own: IPython, once started, does not leave."""
    code = (
        "import base64, numpy as np\n"
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "from IPython.utils.capture import capture_output\n"
        "from cvae_tf import plotting\n"
        "InteractiveShell.instance()\n"
        "with capture_output() as captured:\n"
        "    plotting.show(plotting.image_grid(np.zeros((2, 64))), 'Two blank images.')\n"
        "[output] = captured.outputs\n"
        "assert output.metadata == {'image/png': {'alt': 'Two blank images.'}}, output.metadata\n"
        "assert base64.b64decode(output.data['image/png'])[:4] == b'\\x89PNG'\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_show_outside_ipython_prints_the_text_and_closes(capsys):
    from matplotlib import pyplot

    fig, _ = pyplot.subplots()
    plotting.show(fig, "An empty square.")
    assert capsys.readouterr().out == "An empty square.\n"
    assert fig.number not in pyplot.get_fignums()
    with pytest.raises(ValueError, match="sentence"):
        plotting.show(fig, " ")


def test_image_grid_puts_each_image_in_its_place():
    images = np.arange(6)[:, None, None] / 10 * np.ones((6, 4, 7))
    fig = plotting.image_grid(images, columns=3, row_labels="ab", column_labels="xyz")
    ax = fig.axes[0]
    canvas = np.asarray(ax.images[0].get_array())
    columns, rows = ax.get_xticks().astype(int), ax.get_yticks().astype(int)
    np.testing.assert_allclose(canvas[np.ix_(rows, columns)], [[0, 0.1, 0.2], [0.3, 0.4, 0.5]])
    assert [t.get_text() for t in ax.get_xticklabels()] == list("xyz")
    flat = plotting.image_grid(images.reshape(2, 3, 28), image_shape=(4, 7))
    np.testing.assert_array_equal(flat.axes[0].images[0].get_array(), canvas)
    with pytest.raises(ValueError, match="image_shape"):
        plotting.image_grid(np.zeros((2, 28)))


class Pixels:
    """A model whose picture states what it was decoded from: pixels u₁, u₂, the label, 0."""

    latent_dim = 2
    shapes = {"x": (4,), "y": (3,), "z": (2,)}

    def _normal(self, mean, scale):
        import tensorflow_probability as tfp

        return tfp.distributions.MultivariateNormalDiag(mean, scale)

    def prior(self, y):  # mean 10 · label, scale 2
        import tensorflow as tf

        label = tf.argmax(y, axis=-1, output_type=tf.int32)
        mean = 10.0 * tf.cast(label, tf.float32)[:, None] * tf.ones(2)
        return self._normal(mean, 2 * tf.ones(2))

    def posterior(self, x, y): ...

    def likelihood(self, y, z):
        import tensorflow as tf

        label = tf.cast(tf.argmax(y, axis=-1), tf.float32)[:, None]
        u = (z - 10.0 * label) / 2.0
        return self._normal(tf.concat([u, label, 0 * label], axis=-1), tf.ones(4))


def pixels(fig, index):  # pixel `index` of every 2×2 image, by row and column
    ax = fig.axes[0]
    row, column = divmod(index, 2)
    # A tick lies half-way between the two pixels of an image.
    rows = np.floor(ax.get_yticks()).astype(int) + row
    columns = np.floor(ax.get_xticks()).astype(int) + column
    return np.asarray(ax.images[0].get_array())[np.ix_(rows, columns)]


def test_manifold_steps_through_the_quantiles_of_the_prior():
    from scipy.stats import norm

    fig = plotting.latent_manifold(Pixels(), y=[0, 0, 1], size=5)
    steps = norm.ppf([0.1, 0.3, 0.5, 0.7, 0.9])
    np.testing.assert_allclose(pixels(fig, 0), np.tile(steps, (5, 1)), atol=1e-5)
    np.testing.assert_allclose(pixels(fig, 1), np.tile(steps[::-1, None], (1, 5)), atol=1e-5)
    np.testing.assert_allclose(pixels(fig, 2), 2)
    assert "prior standard deviations" in fig.axes[0].get_xlabel()
    with pytest.raises(ValueError, match="pass y="):
        plotting.latent_manifold(Pixels())


def test_sweep_keeps_the_style_in_a_row_and_the_label_in_a_column():
    fig = plotting.label_style_sweep(Pixels(), num_styles=4, seed=1)
    u = np.random.default_rng(1).standard_normal((4, 2))
    for index in (0, 1):
        expected = np.tile(u[:, index, None], (1, 3))
        np.testing.assert_allclose(pixels(fig, index), expected, atol=1e-5)
    np.testing.assert_allclose(pixels(fig, 2), np.tile([0, 1, 2], (4, 1)))


def test_bound_curves_are_dashed_for_validation_and_keep_each_models_colour():
    runs = {
        "CVAE1": {"elbo": [1.0, 2.0, 3.0], "val_elbo": [0.5, 1.5, 2.5]},
        "CMMA": [0.0, 1.0, 1.5],
    }
    fig = plotting.bound_curves(runs, limits={"PCA": 4.0})
    ax = fig.axes[0]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "bound (nats per example)")
    lines = [line for line in ax.lines if len(line.get_xdata()) == 3]
    assert [line.get_color() for line in lines] == [
        plotting.colour(name) for name in ("CVAE1", "CVAE1", "CMMA")
    ]
    assert [line.get_linestyle() for line in lines] == ["-", "--", "-"]
    np.testing.assert_array_equal(lines[1].get_ydata(), [0.5, 1.5, 2.5])
    assert {"CVAE1", "CMMA", "PCA"} <= {text.get_text() for text in ax.texts}
    with pytest.raises(ValueError, match="'elbo'"):
        plotting.bound_curves({"VAE": {"loss": [1.0]}})


def test_scatter_names_each_class_at_its_median():
    z = np.array([[0, 0], [1, 0], [2, 0], [5, 5]], float)
    fig = plotting.latent_scatter(z, [3, 3, 3, 7])
    ax = fig.axes[0]
    assert {t.get_text(): t.get_position() for t in ax.texts} == {"3": (1, 0), "7": (5, 5)}
    assert "prior standard deviations" in ax.get_xlabel() and "$z_2$" in ax.get_ylabel()
    with pytest.raises(ValueError, match="choose two columns"):
        plotting.latent_scatter(np.zeros((4, 3)))


def test_each_label_s_ellipse_holds_95_percent_of_its_prior():
    from matplotlib.patches import Ellipse

    priors = {3: ((1.0, -2.0), (0.5, 2.0)), 7: ((0.0, 4.0), (1.5, 0.25))}
    fig = plotting.latent_scatter(np.zeros((2, 2)), [3, 7], priors=priors)
    ellipses = [p for p in fig.axes[0].patches if isinstance(p, Ellipse)]
    assert len(ellipses) == 2 and len({e.get_edgecolor() for e in ellipses}) == 2
    draws = np.random.default_rng(0).standard_normal((40_000, 2))
    for ellipse, (mean, scale) in zip(ellipses, priors.values(), strict=True):
        half = np.array([ellipse.width, ellipse.height]) / 2
        z = np.array(mean) + draws * scale
        inside = (((z - ellipse.get_center()) / half) ** 2).sum(1) <= 1
        assert abs(inside.mean() - 0.95) < 0.005  # four and a half standard errors


# What eyes without one kind of cone see, in linear RGB (Machado, Oliveira & Fernandes 2009).
SIGHT = {
    "full": np.eye(3),
    "no L cones": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "no M cones": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "no S cones": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}


@pytest.mark.parametrize("sight", SIGHT)
def test_model_colours_are_apart_for_every_eye(sight):
    """Distance in CIELAB; 2.3 is just noticeable side by side, 15 is plain across a room."""
    from matplotlib.colors import to_rgb

    rgb = np.array([to_rgb(c) for c in plotting.COLOURS.values()])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.transpose(SIGHT[sight]), 0, 1)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = seen @ np.transpose(to_xyz) / [0.9505, 1, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    lab = np.stack(
        [116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1
    )
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(lab, 2)) > 15


def test_sliders_move_the_figure_and_leave_a_static_one(monkeypatch):
    """In a live kernel: the static picture, then widgets that reach the drawing function."""
    import ipywidgets

    drawn, shown = [], []
    monkeypatch.setattr(plotting, "show", lambda fig, alt: shown.append((fig, alt)))
    displayed = []
    monkeypatch.setattr("IPython.display.display", displayed.append)
    monkeypatch.setattr("IPython.get_ipython", lambda: object())

    def draw(z1, label):
        drawn.append((z1, label))
        return (z1, label)

    monkeypatch.setenv("CVAE_TF_STATIC", "1")
    plotting.explore(draw, alt="a digit", z1=(-3.0, 3.0, 0.5), label=(0, 9, 7))
    assert shown == [((0.5, 7), "a digit")] and not displayed

    monkeypatch.delenv("CVAE_TF_STATIC")
    plotting.explore(draw, alt="a digit", z1=(-3.0, 3.0, 0.5), label=(0, 9, 7))
    (box,) = displayed
    z1, label = box.children[:2]
    assert isinstance(z1, ipywidgets.FloatSlider) and isinstance(label, ipywidgets.IntSlider)
    z1.value = -1.5
    assert drawn[-1] == (-1.5, 7)
    with pytest.raises(ValueError, match="begins at 4"):
        plotting.explore(draw, alt="a digit", z1=(-3.0, 3.0, 4.0))
