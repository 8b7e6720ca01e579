"""Figures: texts for those who cannot see, axes with units, and what is refused."""

import importlib
import importlib.util
import subprocess
import sys

import numpy as np
import pytest

from cvae_tf import VAE, plotting


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
    for alt in (" ", None, 3):
        with pytest.raises(ValueError, match="sentence"):
            plotting.show(fig, alt)
    with pytest.raises(TypeError, match="a Matplotlib figure"):
        plotting.show("figure", "An empty square.")


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
    assert {"CVAE-1", "CMMA", "PCA"} <= {text.get_text() for text in ax.texts}
    with pytest.raises(ValueError, match="'elbo'"):
        plotting.bound_curves({"VAE": {"loss": [1.0]}})


def test_scatter_names_each_class_near_its_median():
    z = np.array([[0, 0], [1, 0], [2, 0], [5, 5]], float)
    fig = plotting.latent_scatter(z, [3, 3, 3, 7])
    ax = fig.axes[0]
    assert {t.get_text(): t.get_position() for t in ax.texts} == {"3": (1, 0), "7": (5, 5)}
    assert "prior standard deviations" in ax.get_xlabel() and "$z_2$" in ax.get_ylabel()
    with pytest.raises(ValueError, match="choose two columns"):
        plotting.latent_scatter(np.zeros((4, 3)))


def test_names_of_crowded_classes_move_apart_and_others_stay():
    z = np.array([[0.0, 0.0], [0.1, 0.0], [0.0, 0.1], [10.0, 10.0]])
    ax = plotting.latent_scatter(z, [0, 1, 2, 3]).axes[0]
    places = np.array([t.get_position() for t in ax.texts])
    apart = np.linalg.norm(places[:, None] - places, axis=-1)[np.triu_indices(4, 1)]
    assert apart.min() > 0.99 * 0.07 * 10  # of what the points span
    np.testing.assert_array_equal(places[3], z[3])
    np.testing.assert_allclose(places[:3].mean(0), z[:3].mean(0), atol=1e-9)


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


def test_sliders_move_the_figure_where_there_is_a_kernel(monkeypatch):
    """In a live kernel: widgets that reach the drawing function, and no picture beside theirs."""
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
    assert len(shown) == 2 and isinstance(box.children[-1], ipywidgets.Output)  # one, in the box
    z1, label = box.children[:2]
    assert isinstance(z1, ipywidgets.FloatSlider) and isinstance(label, ipywidgets.IntSlider)
    z1.value = -1.5
    assert drawn[-1] == (-1.5, 7)
    with pytest.raises(ValueError, match="begins at 4"):
        plotting.explore(draw, alt="a digit", z1=(-3.0, 3.0, 4.0))


G = np.zeros((4, 16))
Z = np.zeros((4, 2))
BUMP = (np.arange(3.0), np.arange(4.0), np.ones((4, 3)))
STILLS = (np.zeros((2, 64)), np.zeros((6, 2, 10)), np.zeros((2, 2)))


def chart(x=(1, 2), series=None, **options):
    series = {"A": [1.0, 2.0]} if series is None else series
    return plotting.line_chart(x, series, xlabel="x", ylabel="y", **options)


def test_eight_lines_look_different():
    drawn = chart(series={f"series {i}": [i, i] for i in range(8)}).axes[0].containers
    lines = [each.lines[0] for each in drawn]
    assert len({line.get_marker() for line in lines}) == 8
    assert len({(line.get_color(), str(line._unscaled_dash_pattern)) for line in lines}) == 8


def manifold(model=None, **options):
    y = [0, 0, 1] if "y" not in options else options.pop("y")
    return plotting.latent_manifold(Pixels() if model is None else model, y=y, **options)


REFUSED = {
    "words for images": (lambda: plotting.image_grid("images"), "images is 'images'"),
    "NaN in images": (lambda: plotting.image_grid(G * np.nan), "NaN"),
    "no images": (lambda: plotting.image_grid(G[:0]), "empty"),
    "images of two sizes": (lambda: plotting.image_grid([[0.0], [0.0, 1.0]]), "rectangular"),
    "one flat image": (lambda: plotting.image_grid(G[0]), "Expected .N, D"),
    "no columns": (lambda: plotting.image_grid(G, columns=0), "columns=0"),
    "half a column": (lambda: plotting.image_grid(G, columns=2.5), "columns=2.5"),
    "one side": (lambda: plotting.image_grid(G, image_shape=4), "image_shape=4"),
    "three sides": (lambda: plotting.image_grid(G, image_shape=(2, 2, 4)), "image_shape"),
    "other sides": (lambda: plotting.image_grid(G, image_shape=(3, 5)), "3 × 5"),
    "too few columns named": (lambda: plotting.image_grid(G, column_labels="a"), "1 column_labels"),
    "too many rows named": (lambda: plotting.image_grid(G, row_labels="ab"), "2 row_labels"),
    "three limits": (lambda: plotting.image_grid(G, limits=(0, 1, 2)), "Expected 2 numbers"),
    "a name for axes": (lambda: plotting.image_grid(G, ax="left"), "one Matplotlib axes"),
    "flat latents": (lambda: plotting.latent_scatter(Z[:, 0]), "choose two columns"),
    "NaN latents": (lambda: plotting.latent_scatter(Z * np.nan), "z has NaN"),
    "labels of others": (lambda: plotting.latent_scatter(Z, [1, 2]), "different numbers"),
    "names for labels": (lambda: plotting.latent_scatter(Z, list("abcd")), "Expected numbers"),
    "floats for labels": (lambda: plotting.latent_scatter(Z, np.ones(4)), "dtype float64"),
    "a prior without width": (
        lambda: plotting.latent_scatter(Z, priors={0: ((0, 0), (1, 0))}), "priors.0."
    ),
    "a name for a model": (lambda: manifold("VAE"), "model='VAE'.*built model"),
    "a class for a model": (lambda: manifold(VAE), "built model"),
    "no y": (lambda: manifold(y=None), "pass y="),
    "y of other classes": (lambda: manifold(y=[0, 1]), r"Expected \(N, 3\)"),
    "NaN in y": (lambda: manifold(y=[0, 0, np.nan]), "y has NaN"),
    "too many y": (lambda: manifold(y=np.eye(3)), "y has 3 rows"),
    "no size": (lambda: manifold(size=0), "size=0"),
    "a third dimension": (lambda: manifold(dimensions=(0, 2)), "the model's 2"),
    "one dimension twice": (lambda: manifold(dimensions=(1, 1)), "two different"),
    "a model without y": (
        lambda: plotting.label_style_sweep(type("V", (Pixels,), NO_Y)()), "does not generate from y"
    ),
    "no styles": (lambda: plotting.label_style_sweep(Pixels(), num_styles=0), "num_styles=0"),
    "labels as integers": (lambda: plotting.label_style_sweep(Pixels(), [0, 1]), "2 axes"),
    "too few label names": (
        lambda: plotting.label_style_sweep(Pixels(), column_labels=["a"]), "1 column_labels"
    ),
    "an empty curve": (lambda: plotting.bound_curves({"VAE": []}), "empty"),
    "a curve of NaN": (lambda: plotting.bound_curves({"VAE": [np.nan]}), "no finite value"),
    "a number for a history": (lambda: plotting.bound_curves(3.0), r"shape \(\)"),
    "words for a history": (lambda: plotting.bound_curves("elbo"), "elbo of VAE is 'elbo'"),
    "words for a limit": (
        lambda: plotting.bound_curves([1.0, 2.0], limits={"PCA": "4"}), "limits.'PCA'.='4'"
    ),
    "one end of the axis": (lambda: plotting.bound_curves([1.0], ylim=(0,)), "2 numbers"),
    "a series of others": (lambda: chart(series={"A": [1.0]}), "different numbers"),
    "no names for series": (lambda: chart(series=[[1.0, 2.0]]), "{name: values}"),
    "words in a series": (lambda: chart(series={"A": ["1", "2"]}), "Expected numbers"),
    "NaN along the axis": (lambda: chart(x=[1, np.nan]), "x has NaN"),
    "a third scale": (lambda: chart(xscale="sqrt"), "xscale='sqrt'.*\"log\""),
    "errors of others": (lambda: chart(errors={"A": [1.0]}), "different numbers"),
    "errors of no series": (lambda: chart(errors={"a": [1.0, 2.0]}), r"errors of \['a'\].*'A'"),
    "a turned density": (
        lambda: plotting.density_with_gaussians(*BUMP[:2], BUMP[2].T, {}), r"Expected \[4, 3\]"
    ),
    "no density": (
        lambda: plotting.density_with_gaussians(*BUMP[:2], 0 * BUMP[2], {}), "not all 0"
    ),
    "a Gaussian alone": (
        lambda: plotting.density_with_gaussians(*BUMP, ((0, 0), (1, 1))), "{name: "
    ),
    "a Gaussian of 3": (
        lambda: plotting.density_with_gaussians(*BUMP, {"q": ((0, 0, 0), (1, 1, 1))}), "N, 2"
    ),
    "draws of one still": (
        lambda: plotting.sampled_futures(STILLS[0], STILLS[1][:, :1], STILLS[2]), r"\(N, 2, 10\)"
    ),
    "more clusters than draws": (
        lambda: plotting.sampled_futures(*STILLS, num_clusters=7), "num_clusters=7.*from 1 to 6"
    ),
    "one start": (lambda: plotting.sampled_futures(*STILLS[:2], [[0.0, 0.0]]), "different numbers"),
    "NaN in the truth": (
        lambda: plotting.sampled_futures(*STILLS, truth=np.full((2, 10), np.nan)), "truth has NaN"
    ),
    "no function": (lambda: plotting.explore(3, alt="A digit."), "draw=3"),
    "two ends of a slider": (
        lambda: plotting.explore(lambda z: None, alt="A digit.", z=(0, 1)), "3 numbers"
    ),
}  # fmt: skip
NO_Y = {"prior": lambda self: None, "likelihood": lambda self, z: None}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused(case):
    call, message = REFUSED[case]
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def test_numpy_s_numbers_lists_and_data_shapes_will_do():
    fig = plotting.image_grid(G.tolist(), columns=np.int64(2), image_shape=np.array([4, 4, 1]))
    assert len(fig.axes[0].get_xticks()) == 2
    ax = chart(range(1, 3), {"A": [1.0, np.nan]}).axes[0]
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [1.0, np.nan])
    assert plotting.bound_curves([np.nan, 2.0, 3.0, np.nan]).axes


def test_a_missing_matplotlib_is_said_before_anything_is_trained(monkeypatch):
    real = importlib.util.find_spec
    absent = {"matplotlib": None}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: absent.get(name, real(name)))
    monkeypatch.delitem(sys.modules, "cvae_tf.plotting", raising=False)
    with pytest.raises(ImportError, match=r'pip install "cvae_tf\[plot\]"'):
        importlib.import_module("cvae_tf.plotting")
