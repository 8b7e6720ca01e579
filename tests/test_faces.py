"""Drawn faces, photographs, the read-out, and editing."""

import sys
import time

import keras
import numpy as np
import pytest
from requirements_of_a_model import linear_pair, small_data, small_model

from cvae_tf import CMMA, CVAE1, CVAE2, CVAE3, VAE, distributions, editing, faces, networks

NAMES = list(faces.ATTRIBUTES)
KINDS = np.array(list(faces.ATTRIBUTES.values()))
EDITABLE = (CVAE1, CVAE2, CMMA)


# Drawn faces


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
        (lambda: faces.drawn(3), "at least 6"),
        (lambda: faces.drawn(10, size=8), "at least 16"),
        (lambda: faces.draw(np.zeros((2, 9))), "glasses, beard"),
        (lambda: faces.draw(np.zeros((2, 10)), np.zeros((3, 12))), r"Expected \(2, 12\)"),
    ],
)
def test_draw_refuses(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# The read-out


@pytest.fixture(scope="module")
def data():
    return faces.drawn(6000)


@pytest.fixture(scope="module")
def readout(data):
    return faces.Readout(data)


def test_the_readout_reads_real_draws(data, readout):
    """Measured with 4,000 training draws: all accuracies ≥ 0.998, smile 0.89 the lowest R²."""
    scores = readout.score(data.test.x, data.test.y)
    print({name: round(value, 3) for name, value in scores.items()})
    for name, kind in faces.ATTRIBUTES.items():
        assert scores[name] > (0.95 if kind == "binary" else 0.8), (name, scores[name])


def test_the_readout_sees_what_is_wrong(data, readout):
    """Attributes of other faces are matched by chance only: one half, and R² below zero."""
    wrong = np.roll(data.test.y, 1, axis=0)
    for name, value in readout.score(data.test.x, wrong).items():
        if faces.ATTRIBUTES[name] == "binary":
            assert abs(value - 0.5) < 5 * 0.5 / np.sqrt(len(wrong))
        else:
            assert value < -0.5
    shown = readout.features(data.test.x)
    same = faces.frechet_distance(readout.features(data.train.x[:1000]), shown)
    y = data.test.y.copy()
    y[:, NAMES.index("glasses")] = 1
    everyone_with_glasses = readout.features(faces.draw(y, data.test.identity))
    assert faces.frechet_distance(everyone_with_glasses, shown) > 10 * same


def test_the_readout_is_deterministic_and_takes_rows():
    images, rows = faces.drawn(60), faces.drawn(60, image=False)
    one, other = (faces.Readout(data, epochs=1, seed=2) for data in (images, rows))
    read = one.predict(images.test.x)
    np.testing.assert_allclose(other.predict(rows.test.x), read, atol=1e-5)
    assert np.ptp(read, axis=0).min() > 0


def test_scores_by_hand():
    names, kinds = ("a=x", "a=y", "a=z", "b", "c"), ("category",) * 3 + ("binary", "continuous")
    y = np.array([[1, 0, 0, 1, 0.0], [0, 1, 0, 0, 1.0], [0, 0, 1, 1, 2.0]])
    read = np.array([[0.5, 0.3, 0.2, 0.6, 1.0], [0.5, 0.3, 0.2, 0.6, 1.0], [0, 0, 1, 0.4, 1.0]])
    assert faces.score(read, y, faces._groups(names, kinds)) == pytest.approx(
        {"a": 2 / 3, "b": 1 / 3, "c": 0.0}
    )


def test_frechet_distance_of_gaussians():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(500, 3))
    assert abs(faces.frechet_distance(a, a)) < 1e-9
    assert faces.frechet_distance(a, a + [3, 0, 4]) == pytest.approx(25)
    assert faces.frechet_distance(a, 3 * a - 2 * a.mean(0)) == pytest.approx(
        4 * np.trace(np.cov(a, rowvar=False))
    )


# Editing


def _affine(net):
    kernel, bias = net.layers[-1].get_weights()
    return lambda *parents: np.concatenate(parents, -1) @ kernel + bias


@pytest.mark.parametrize("model_class", EDITABLE)
def test_edits_of_a_linear_model_by_hand(model_class):
    """(6.3), (6.4) in float64 against matrix products; the prior's scale depends on y too."""
    model, _, (x, y), _ = linear_pair(model_class)
    if model.prior_net is not None:
        kernel, bias = model.prior_net.layers[-1].get_weights()
        kernel[:, 8:] = np.random.default_rng(3).normal(size=kernel[:, 8:].shape)
        model.prior_net.layers[-1].set_weights([kernel, bias])
    y_new = np.random.default_rng(4).normal(size=y.shape)

    def moments(y):
        if model.prior_net is None:
            return 0.0, 1.0
        mean, raw = np.split(_affine(model.prior_net)(y), 2, axis=-1)
        return mean, 1e-4 + np.log1p(np.exp(raw))

    def decode(z):
        parents = (z,) if model_class is CMMA else (y_new, z)
        return _affine(model.likelihood_net)(*parents)

    (m, s), (m_new, s_new) = moments(y), moments(y_new)
    z = _affine(model.posterior_net)(x, y)[:, :8]
    transported = decode(m_new + s_new * (z - m) / s)
    np.testing.assert_allclose(editing.transport(model, x, y, y_new), transported, rtol=1e-9)
    reencoded = decode(_affine(model.posterior_net)(x, y_new)[:, :8])
    np.testing.assert_allclose(editing.reencode(model, x, y, y_new), reencoded, rtol=1e-9)
    assert np.abs(transported - model.reconstruct(x, y)).max() > 0.1
    assert np.abs(transported - reencoded).max() > 0.1


@pytest.mark.parametrize("model_class", EDITABLE)
def test_no_change_is_the_reconstruction_to_the_last_bit(model_class):
    model = small_model(model_class)
    x, y = small_data(model_class)
    reconstruction = model.reconstruct(x, y)
    np.testing.assert_array_equal(editing.transport(model, x, y, y), reconstruction)
    np.testing.assert_array_equal(editing.reencode(model, x, y, y), reconstruction)


def test_a_drawn_edit_is_a_function_of_its_seed():
    model = small_model(CMMA)
    x, y = small_data(CMMA)
    one, again, other = (
        editing.reencode(model, x, y, y[::-1], sample=True, seed=seed) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 1e-3


@pytest.mark.parametrize("edit", [editing.transport, editing.reencode])
def test_editing_refuses(edit):
    model = small_model(CMMA)
    x, y = small_data(CMMA)
    with pytest.raises(ValueError, match=r"one-hot|\(N, 4\)"):
        edit(model, x, y, y.argmax(1))
    with pytest.raises(ValueError, match="50 pictures and 3"):
        edit(model, x, y, y[:3])
    with pytest.raises(ValueError, match="y_new"):
        edit(model, x, y, np.full_like(y, np.nan))
    for other in (VAE, CVAE3):
        with pytest.raises(ValueError, match=f"{other.__name__}.*Expected a model of"):
            edit(small_model(other), x, y, y)


# Photographs


def array_file(path, **changes):
    rng = np.random.default_rng(0)
    arrays = {
        "x": rng.integers(0, 256, (40, 6, 5), dtype=np.uint8),
        "attributes": np.stack(
            [np.arange(40) % 8, rng.integers(0, 3, 40), rng.integers(0, 2, 40)], axis=1
        ),
        "attribute_names": np.array(["person", "pose", "eyes"]),
        "person_names": np.array(list("abcdefgh")),
        "pose_names": np.array(["left", "right", "up"]),
        "eyes_names": np.array(["open", "sunglasses"]),
    }
    arrays |= changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def test_a_file_becomes_attributes(tmp_path):
    path = array_file(tmp_path / "f.npz")
    data = faces.from_file(path, attributes=("eyes", "pose"))
    assert data.attribute_names == ("eyes=sunglasses", "pose=left", "pose=right", "pose=up")
    assert data.kinds == ("binary", "category", "category", "category")
    assert data.image_shape == (6, 5, 1) and data.all.x.shape == (40, 6, 5, 1)
    with np.load(path) as file:
        np.testing.assert_array_equal(np.round(data.all.x[..., 0] * 255), file["x"])
        np.testing.assert_array_equal(data.all.labels, file["attributes"])
    np.testing.assert_array_equal(data.all.y[:, 0], data.all.labels[:, 2])
    np.testing.assert_array_equal(data.all.y[:, 1:].argmax(1), data.all.labels[:, 1])
    assert [len(p.x) for p in (data.train, data.validation, data.test)] == [28, 6, 6]
    rows = np.concatenate([p.x.reshape(-1, 30) for p in (data.train, data.validation, data.test)])
    assert len(np.unique(np.round(255 * rows), axis=0)) == 40
    again = faces.from_file(path, attributes=("eyes", "pose"))
    np.testing.assert_array_equal(again.test.x, data.test.x)
    other = faces.from_file(path, image=False, seed=1)
    assert other.test.x.shape == (6, 30) and np.any(other.test.y[:, -1:] != data.test.y[:, :1])


def test_no_person_is_in_two_splits(tmp_path):
    data = faces.from_file(array_file(tmp_path / "f.npz"), group="person")
    people = [set(p.labels[:, 0]) for p in (data.train, data.validation, data.test)]
    assert [len(p) for p in people] == [6, 1, 1] and len(set.union(*people)) == 8
    assert not any(name.startswith("person") for name in data.attribute_names)


def test_floats_and_colours(tmp_path):
    rng = np.random.default_rng(1)
    path = array_file(
        tmp_path / "f.npz",
        x=rng.random((40, 4, 4, 3)),
        attributes=np.stack([np.arange(40) % 8, rng.normal(size=40), np.arange(40) % 2], 1),
        pose_names=None,
        eyes_names=None,
    )
    data = faces.from_file(path, attributes=["pose", "eyes"])
    assert data.kinds == ("continuous", "binary") and data.attribute_names == ("pose", "eyes")
    assert data.all.y[:, 0].min() == -1 and data.all.y[:, 0].max() == 1
    assert data.all.x.shape == (40, 4, 4, 3) and data.all.x.dtype == np.float32


@pytest.mark.parametrize(
    "changes, options, message",
    [
        ({"attributes": None}, {}, "attributes is missing"),
        ({"x": np.zeros((39, 6, 5), np.uint8)}, {}, "one row of attributes for each image"),
        ({"x": np.zeros((40, 30), np.uint8)}, {}, r"Expected \[N, H, W\]"),
        ({"x": np.full((40, 6, 5), 2.0)}, {}, "divide by the greatest"),
        ({"attributes": np.full((40, 3), np.nan)}, {}, "finite"),
        ({"attributes": np.full((40, 3), 3)}, {}, "pose_names has 3 names"),
        ({"attributes": np.array([[None] * 3] * 40)}, {}, "without pickles"),
        ({}, {"attributes": ["hat"]}, "no attribute 'hat'"),
        ({}, {"group": "family"}, "no attribute 'family'"),
        ({}, {"group": "eyes"}, "2 different values"),
        ({}, {"shares": (0.5, 0.5, 0.5)}, "sum 1"),
        ({}, {"attributes": []}, "No attribute"),
    ],
)
def test_from_file_refuses(tmp_path, changes, options, message):
    path = array_file(tmp_path / "f.npz", **changes)
    with pytest.raises(ValueError, match=message):
        faces.from_file(path, **options)


def test_from_file_says_where_it_looked(tmp_path, monkeypatch):
    monkeypatch.delenv("CVAE_TF_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match="set the environment variable CVAE_TF_DATA"):
        faces.cmu()
    monkeypatch.setenv("CVAE_TF_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="cmu_faces_60x64_uint8.npz"):
        faces.cmu()
    array_file(tmp_path / "f.npz")
    assert len(faces.from_file("f.npz").all.x) == 40
    (tmp_path / "text.npz").write_text("no array")
    np.save(tmp_path / "single.npy", np.zeros(3))
    for name in ("text.npz", "single.npy"):
        with pytest.raises(ValueError, match="cannot be read"):
            faces.from_file(name)


def test_the_cmu_faces_where_present():
    try:
        data = faces.cmu(seed=0)
    except FileNotFoundError as error:
        pytest.skip(f"the CMU faces are not there: {error}")
    assert data.all.x.shape == (624, 60, 64, 1) and data.image_shape == (60, 64, 1)
    assert data.attribute_names == (
        *(f"pose={p}" for p in ("forward", "left", "right", "up")),
        *(f"expression={e}" for e in ("angry", "happy", "neutral", "sad")),
        "eyes=sunglasses",
    )
    people = [set(p.labels[:, 0]) for p in (data.train, data.validation, data.test)]
    assert [len(p) for p in people] == [14, 3, 3] and len(set.union(*people)) == 20
    everyone = faces.cmu(group=None)
    assert everyone.all.y.shape == (624, 29)
    family = distributions.Gaussian("shared", initial_scale=0.3, min_scale=0.02)
    nets = networks.convs(CMMA, x=data.image_shape, y=9, z=4, filters=4, hidden=16, family=family)
    model = CMMA(**nets, family=family)
    model.compile(jit_compile=False)
    history = model.fit(data.train.x, data.train.y, batch_size=64, epochs=2, verbose=0).history
    assert history["elbo"][1] > history["elbo"][0]
    y_new = data.test.y[::-1]
    assert editing.transport(model, data.test.x, data.test.y, y_new).shape == data.test.x.shape


def test_celeba_needs_tensorflow_datasets(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(ImportError, match="pip install tensorflow-datasets"):
        faces.celeba()


def test_celeba_on_mocked_data(tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets", reason="tensorflow-datasets is not installed")
    with pytest.raises(FileNotFoundError, match="download=True"):
        faces.celeba(data_dir=str(tmp_path))
    with tfds.testing.mock_data(num_examples=8):
        data = faces.celeba(size=32, num=5)
        grey = faces.celeba(size=32, grey=True, image=False)
    assert data.train.x.shape == (5, 32, 32, 3) and data.train.x.dtype == np.float32
    assert 0 <= data.train.x.min() and data.train.x.max() <= 1 and np.ptp(data.train.x) > 0
    assert len(data.attribute_names) == 40 == data.train.y.shape[1]
    assert {"Eyeglasses", "Smiling"} < set(data.attribute_names) and set(data.kinds) == {"binary"}
    assert np.isin(data.test.y, (0, 1)).all()
    assert grey.validation.x.shape == (8, 32 * 32) and grey.image_shape == (32, 32, 1)
    with tfds.testing.mock_data(num_examples=8):
        row = next(iter(tfds.load("celeb_a", split="train").as_numpy_iterator()))
    np.testing.assert_array_equal(
        data.train.y[0], [row["attributes"][name] for name in data.attribute_names]
    )


@pytest.mark.slow
def test_cmma_learns_the_attributes(data, readout):
    """Generated from attributes, the faces have them, as far as the read-out can tell."""
    keras.utils.set_random_seed(0)
    train, test = data.train, data.test
    family = distributions.Gaussian("shared", initial_scale=0.2, min_scale=0.02)
    flat = train.x.reshape(len(train.x), -1)
    nets = networks.mlps(CMMA, x=1024, y=10, z=24, hidden=(400, 400), family=family)
    model = CMMA(**nets, family=family)
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-3, 6000)))
    model.fit(flat, train.y, batch_size=100, epochs=150, verbose=0)
    scores = readout.score(model.generate(test.y), test.y)
    print({name: round(value, 3) for name, value in scores.items()})
    for name in ("glasses", "beard", "hat", "bow tie"):
        assert scores[name] > 0.9, name
    for name in ("pose", "light"):
        assert scores[name] > 0.5, name
