"""Drawn faces: every attribute, and nothing else, does what it says."""

import time

import numpy as np
import pytest

from cvae_tf import datasets, faces, photographs, readout

NAMES = list(faces.ATTRIBUTES)
KINDS = np.array(list(faces.ATTRIBUTES.values()))


def test_a_draw_is_a_function_of_seed_and_position():
    some, again, more = faces.drawn(30, seed=3), faces.drawn(30, seed=3), faces.drawn(90, seed=3)
    for column in ("x", "y", "identity"):
        np.testing.assert_array_equal(getattr(some.all, column), getattr(again.all, column))
        np.testing.assert_array_equal(getattr(some.all, column), getattr(more.all, column)[:30])
    assert np.abs(some.all.x - faces.drawn(30, seed=4).all.x).mean() > 0.05
    np.testing.assert_array_equal(faces.draw(some.test.y, some.test.identity), some.test.x)


def test_splits_types_and_ranges():
    data = faces.drawn(100, size=48)
    assert [len(part.x) for part in (data.train, data.validation, data.test)] == [66, 16, 18]
    joined = np.concatenate([data.train.x, data.validation.x, data.test.x])
    np.testing.assert_array_equal(joined, data.all.x)
    assert data.all.x.shape == (100, 48, 48, 1) and data.image_shape == (48, 48, 1)
    assert data.all.x.dtype == data.all.y.dtype == np.float32
    assert data.all.x.min() >= 0 and data.all.x.max() <= 1
    assert data.attribute_names == tuple(NAMES) and data.kinds == tuple(KINDS)
    rows = faces.drawn(100, size=48, image=False)
    np.testing.assert_array_equal(rows.all.x, data.all.x.reshape(100, -1))


def test_attributes_and_identity_are_independent():
    """All correlations, means and variances within 5 standard errors of what is stated."""
    num = 4000
    everything = faces.drawn(num, size=16).all
    columns = np.concatenate([everything.y, everything.identity], axis=1)
    correlations = np.corrcoef(columns, rowvar=False) - np.eye(columns.shape[1])
    assert np.abs(correlations).max() < 5 / np.sqrt(num)
    binary = np.r_[KINDS == "binary", np.zeros(len(faces.IDENTITY), bool)]
    assert np.isin(columns[:, binary], (0, 1)).all()
    assert np.abs(columns[:, binary].mean(0) - 0.5).max() < 5 * 0.5 / np.sqrt(num)
    rest = columns[:, ~binary]
    assert np.abs(rest).max() <= 1
    assert np.abs(rest.mean(0)).max() < 5 * np.sqrt(1 / 3) / np.sqrt(num)
    assert np.abs((rest**2).mean(0) - 1 / 3).max() < 5 * np.sqrt(4 / 45) / np.sqrt(num)


def test_thousands_are_drawn_in_seconds():
    start = time.process_time()
    faces.drawn(4000)
    assert time.process_time() - start < 5


# The rows and columns of the frame of 32 where an attribute may change a face, and how much at
# least the strongest pixel changes in every single face (measured on 4,000, and a little less).
REGIONS = {
    "glasses": (slice(12, 21), slice(5, 27), 0.4),
    "beard": (slice(14, 29), slice(5, 26), 0.3),
    "moustache": (slice(16, 22), slice(7, 25), 0.25),
    "hat": (slice(1, 12), slice(3, 29), 0.3),
    "bow tie": (slice(27, 32), slice(11, 21), 0.5),
    "smile": (slice(17, 27), slice(6, 26), 0.4),
    "brows": (slice(9, 16), slice(5, 27), 0.4),
    "hair": (slice(11, 30), slice(2, 30), 0.06),
    "pose": (slice(3, 30), slice(2, 30), 0.5),
    "light": (slice(1, 32), slice(2, 30), 0.15),
}


@pytest.mark.parametrize("name", NAMES)
def test_an_attribute_changes_its_region_and_nothing_else(name):
    """One attribute is turned over, all others and the identity are as they were."""
    everything = faces.drawn(400, seed=5).all
    y = everything.y.copy()
    column = NAMES.index(name)
    if KINDS[column] == "binary":
        y[:, column] = 1 - y[:, column]
    else:
        y[:, column] = np.where(y[:, column] > 0, -0.9, 0.9)
    change = np.abs(faces.draw(y, everything.identity) - everything.x)[..., 0]
    rows, columns, least = REGIONS[name]
    outside = np.ones((32, 32), bool)
    outside[rows, columns] = False
    touched = np.argwhere(change.max(0) > 1e-6)
    assert change[:, outside].max(initial=0) < 1e-6, (touched.min(0), touched.max(0))
    assert change.max((1, 2)).min() > least, change.max((1, 2)).min()


def test_pose_and_light_do_what_they_say():
    """Light from the right brightens the right; a head turned to the right shows its nose there."""
    y = np.zeros((2, 10), "float32")
    y[:, NAMES.index("light")] = -1, 1
    lit = faces.draw(y)[..., 0]
    np.testing.assert_allclose(lit[0], lit[1, :, ::-1], atol=1e-5)
    face = lit[:, 14:22, :]
    assert face[1, :, 20:24].mean() - face[1, :, 8:12].mean() > 0.2
    y = np.zeros((2, 10), "float32")
    y[:, NAMES.index("pose")] = -1, 1
    turned = faces.draw(y)[..., 0]
    np.testing.assert_allclose(turned[0], turned[1, :, ::-1], atol=1e-5)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: faces.drawn(3), "num=3.*≥ 6"),
        (lambda: faces.drawn(10.0), "num=10.0.*Write 10"),
        (lambda: faces.drawn(10, size=8), "size=8.*≥ 16"),
        (lambda: faces.drawn(10, image="yes"), "image='yes'.*True or False"),
        (lambda: faces.drawn(10, seed=-1), "seed=-1"),
        (lambda: faces.draw(np.zeros((2, 9))), "glasses, beard.*Expected .N, 10"),
        (lambda: faces.draw(np.full((2, 10), np.nan)), "NaN"),
        (lambda: faces.draw([["hat"] * 10]), "Expected numbers"),
        (lambda: faces.draw(np.zeros((0, 10))), "empty"),
        (lambda: faces.draw(np.zeros((2, 10)), np.zeros((3, 12))), r"Expected \(2, 12\)"),
        (lambda: faces.draw(np.zeros((2, 10)), np.full(12, np.inf)), "infinite"),
        (lambda: faces.draw(np.zeros((2, 10)), size=True), "size=True"),
    ],
)
def test_bad_input_is_refused(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


def test_numpy_s_integers_and_one_identity_for_all_will_do():
    data = faces.drawn(np.int64(6), size=np.int32(16), image=np.True_, seed=np.uint8(0))
    assert data.all.x.shape == (6, 16, 16, 1)
    y = data.all.y[:2]
    np.testing.assert_array_equal(faces.draw(y, np.zeros(12)), faces.draw(y, np.zeros((1, 12))))


def test_what_has_moved_still_answers_to_its_old_name():
    assert faces.Split is datasets.Split and faces.Dataset is datasets.Dataset
    for name in ("from_file", "cmu", "celeba"):
        assert getattr(faces, name) is getattr(photographs, name)
    for name in ("Readout", "score", "frechet_distance"):
        assert getattr(faces, name) is getattr(readout, name)
