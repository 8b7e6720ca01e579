"""Photographs and their attributes, from files and through TensorFlow Datasets."""

import sys

import numpy as np
import pytest

from cvae_tf import CMMA, distributions, editing, networks
from cvae_tf.photographs import celeba, cmu, from_file


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
    data = from_file(path, attributes=("eyes", "pose"))
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
    again = from_file(path, attributes=("eyes", "pose"))
    np.testing.assert_array_equal(again.test.x, data.test.x)
    other = from_file(path, image=False, seed=1)
    assert other.test.x.shape == (6, 30) and np.any(other.test.y[:, -1:] != data.test.y[:, :1])


def test_no_person_is_in_two_splits(tmp_path):
    data = from_file(array_file(tmp_path / "f.npz"), group="person")
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
    data = from_file(path, attributes=["pose", "eyes"])
    assert data.kinds == ("continuous", "binary") and data.attribute_names == ("pose", "eyes")
    assert data.all.y[:, 0].min() == -1 and data.all.y[:, 0].max() == 1
    assert data.all.x.shape == (40, 4, 4, 3) and data.all.x.dtype == np.float32


@pytest.mark.parametrize(
    "changes, options, message",
    [
        ({"attributes": None}, {}, "attributes is missing"),
        ({"x": np.zeros((39, 6, 5), np.uint8)}, {}, "different numbers of examples"),
        ({"x": np.zeros((40, 30), np.uint8)}, {}, r"Expected \[N, H, W\]"),
        ({"x": np.full((40, 6, 5), 2.0)}, {}, "divide by the greatest"),
        ({"x": np.full((40, 6, 5), np.nan)}, {}, "NaN"),
        ({"x": np.zeros((40, 0, 5))}, {}, "empty"),
        ({"attributes": np.full((40, 3), np.nan)}, {}, "finite"),
        ({"attributes": np.full((40, 3), "up")}, {}, "Expected numbers"),
        ({"attributes": np.full((40, 3), 3)}, {}, "pose_names has 3 names"),
        ({"attributes": np.array([[None] * 3] * 40)}, {}, "without pickles"),
        ({}, {"attributes": ["hat"]}, "attribute.*='hat'.*\"pose\""),
        ({}, {"group": "family"}, "attribute.*='family'.*\"person\""),
        ({}, {"group": "eyes"}, "2 different values"),
        ({}, {"shares": (0.5, 0.5, 0.5)}, "sum 1"),
        ({}, {"shares": (0.5, 0.5)}, "three positive"),
        ({}, {"shares": (1.5, -0.25, -0.25)}, "three positive"),
        ({}, {"shares": (np.nan, 0.5, 0.5)}, "NaN"),
        ({}, {"shares": 0.7}, "three positive"),
        ({}, {"shares": (0.001, 0.5, 0.499)}, "nothing to train on: 20 and 20 of 40 rows"),
        ({}, {"shares": (0.1, 0.45, 0.45), "group": "person"}, "4 and 4 of 8 persons"),
        ({}, {"attributes": []}, "no attribute is left"),
        ({}, {"attributes": ["eyes", "eyes"]}, "comes twice"),
        ({}, {"attributes": "eyes"}, "attributes='eyes'.*a list"),
        ({}, {"image": 1}, "image=1.*True or False"),
        ({}, {"seed": -1}, "seed=-1"),
        ({}, {"seed": 0.5}, "seed=0.5"),
    ],
)
def test_from_file_refuses(tmp_path, changes, options, message):
    path = array_file(tmp_path / "f.npz", **changes)
    with pytest.raises((TypeError, ValueError), match=message):
        from_file(path, **options)


def test_from_file_says_where_it_looked(tmp_path, monkeypatch):
    monkeypatch.delenv("CVAE_TF_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match="set the environment variable CVAE_TF_DATA"):
        cmu()
    monkeypatch.setenv("CVAE_TF_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="cmu_faces_60x64_uint8.npz"):
        cmu()
    array_file(tmp_path / "f.npz")
    assert len(from_file("f.npz").all.x) == 40
    (tmp_path / "text.npz").write_text("no array")
    np.save(tmp_path / "single.npy", np.zeros(3))
    for name in ("text.npz", "single.npy"):
        with pytest.raises(ValueError, match="cannot be read"):
            from_file(name)


def test_the_cmu_faces_where_present():
    try:
        data = cmu(seed=0)
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
    everyone = cmu(group=None)
    assert everyone.all.y.shape == (624, 29)
    family = distributions.Gaussian("shared", initial_scale=0.3, min_scale=0.02)
    nets = networks.convs(CMMA, x=data.image_shape, y=9, z=4, filters=4, hidden=16, family=family)
    model = CMMA(**nets, family=family)
    model.compile(jit_compile=False)
    history = model.fit(data.train.x, data.train.y, batch_size=64, epochs=2, verbose=0).history
    assert history["elbo"][1] > history["elbo"][0]
    y_new = data.test.y[::-1]
    assert editing.transport(model, data.test.x, data.test.y, y_new).shape == data.test.x.shape


@pytest.mark.parametrize(
    "options",
    [{"size": 0}, {"size": 64.0}, {"num": 0}, {"num": "all"}, {"grey": 1}, {"image": None}],
)
def test_celeba_refuses_before_it_loads(options):
    with pytest.raises((TypeError, ValueError), match=f"{next(iter(options))}=.*Expected"):
        celeba(**options)


def test_a_path_is_a_path():
    with pytest.raises(TypeError, match="path=5.*the path of"):
        from_file(5)


def test_celeba_needs_tensorflow_datasets(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(ImportError, match="pip install tensorflow-datasets"):
        celeba()


def test_celeba_on_mocked_data(tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets", reason="tensorflow-datasets is not installed")
    with pytest.raises(FileNotFoundError, match="download=True"):
        celeba(data_dir=str(tmp_path))
    with tfds.testing.mock_data(num_examples=8):
        data = celeba(size=32, num=5)
        grey = celeba(size=32, grey=True, image=False)
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
