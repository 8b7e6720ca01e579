"""The look of figures: colours that are told apart by every eye, one for each model; quiet axes."""

import itertools

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

import cvae_tf
from cvae_tf import look


def luminance(colour):
    """Relative luminance of sRGB (WCAG 2)."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def contrast(colour):
    """With white."""
    return 1.05 / (luminance(colour) + 0.05)


def test_every_model_has_a_colour_and_a_marker_of_its_own():
    names = ("VAE", "CVAE1", "CVAE2", "CVAE3", "CMMA", "GSNN", "M1", "M2")
    assert all(hasattr(cvae_tf, name) for name in names)
    assert set(look.COLOURS) == set(look.MARKERS) == {*names, "baseline"}
    for table in (look.COLOURS, look.MARKERS):
        assert len(set(table.values())) == len(table)
    assert [look.colour(name) for name in names] == [look.COLOURS[name] for name in names]
    assert look.colour("CVAE4") == look.colour("CMMA")
    assert look.colour("FutureCVAE") == look.colour("CVAE3")
    assert look.colour("PCA") == look.colour("PCA") and look.colour("PCA") in look.SPARE
    assert not set(look.SPARE) & {*look.COLOURS.values(), *look.PARTS.values()}
    assert look.colour("q") == look.PARTS["q"] != look.colour("prior") == look.PARTS["prior"]
    with pytest.raises(TypeError, match="name=3"):
        look.colour(3)


def test_names_are_written_as_prose_has_them():
    assert look.written("CVAE1, warm-up") == "CVAE-1, warm-up"
    assert look.written("FutureCVAE and CMMA") == "FutureCVAE and CMMA"


def test_ten_classes_have_ten_colours():
    assert len(look.CLASSES) == len(set(look.CLASSES)) == 10


# What eyes without one kind of cone see, in linear RGB (Machado, Oliveira & Fernandes 2009).
SIGHT = {
    "full": np.eye(3),
    "no L cones": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "no M cones": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "no S cones": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}


@pytest.mark.parametrize("shades", ["COLOURS", "PARTS", "SPARE"])
@pytest.mark.parametrize("sight", SIGHT)
def test_colours_are_apart_for_every_eye(sight, shades):
    """Distance in CIELAB; 2.3 is just noticeable side by side, 15 is plain across a room."""
    shades = getattr(look, shades)
    rgb = np.array([to_rgb(c) for c in (shades.values() if isinstance(shades, dict) else shades)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.transpose(SIGHT[sight]), 0, 1)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = seen @ np.transpose(to_xyz) / [0.9505, 1, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    lab = np.stack(
        [116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1
    )
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(lab, 2)) > 15


def test_text_in_any_of_the_colours_is_legible_and_of_the_same_hue():
    """Contrast 4.5 on white, not darker than needed, and the channels in one proportion."""
    named = (*look.COLOURS.values(), *look.PARTS.values())
    for shade in (*named, *look.SPARE, *look.CLASSES, look.INK, "#FFFF00"):
        dark = look.legible(shade)
        assert contrast(dark) >= 4.5
        if contrast(shade) >= 4.5:
            assert dark == to_rgb(shade)
        else:
            assert contrast(dark) < 4.8
            np.testing.assert_allclose(np.cross(dark, to_rgb(shade)), 0, atol=1e-12)


def test_the_style_holds_inside_and_not_after_even_if_something_fails():
    before = dict(matplotlib.rcParams)
    with pytest.raises(RuntimeError), look.style():
        assert matplotlib.rcParams["font.size"] >= 14 and not matplotlib.rcParams["axes.grid"]
        raise RuntimeError
    assert dict(matplotlib.rcParams) == before


def test_axes_are_new_or_those_given():
    fig, ax = look.figure(None, (3.0, 2.0))
    assert ax.figure is fig and fig.get_size_inches().tolist() == [3, 2]
    assert look.figure(ax, (9.0, 9.0)) == (fig, ax)
    from matplotlib import pyplot

    assert not pyplot.get_fignums(), "a figure of pyplot would be shown twice"
    for wrong in ("left", fig, [ax], Figure):
        with pytest.raises(TypeError, match="one Matplotlib axes"):
            look.figure(wrong, (3.0, 2.0))


def test_what_there_is_to_say_stands_on_the_axes():
    _, ax = look.figure(None, (3.0, 2.0))
    look.label(ax, "epoch", "nats", "The bound")
    look.label(ax, None, "", None)
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("epoch", "nats", "The bound")
    assert ax.xaxis.get_tick_params()["labelsize"] >= 14
