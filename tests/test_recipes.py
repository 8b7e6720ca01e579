"""The classes that the recipes write, under what a user's data do to them.

A recipe is run, and compared with its stored outputs, by nbval. Here its classes meet one row, a
short last batch, NaN, values that they cannot explain, saving, and 16-bit networks.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from cvae_tf import VAE, distributions, estimators, networks

TWINS = Path(__file__).resolve().parent.parent / "notebooks" / "text" / "recipes"
RNG = np.random.default_rng(0)


def written_in(recipe, name):
    """A class of a recipe: its cells are run up to the one that defines it, and that one."""
    cells = (TWINS / f"{recipe}.py").read_text(encoding="utf-8").split("# %%")
    found = {}
    for cell in cells[1:]:
        if not cell.startswith(" [markdown]"):
            exec(cell.partition("\n")[2], found)
        if name in found:
            return found[name]
    raise KeyError(name)


def with_family(name, size):
    family = written_in(*CLASSES[name])()
    return VAE(**networks.mlps(VAE, x=size, z=2, hidden=(8,), family=family), family=family)


def with_prior(name, **options):
    family = distributions.Gaussian(0.5)
    nets = networks.mlps(VAE, x=6, z=2, hidden=(8,), family=family)
    model_class = written_in(*CLASSES[name])
    return model_class(**nets, family=family, estimator=estimators.SGVBA(), **options)


def rows_of_a_table(num):
    one_hot = np.eye(3)[RNG.integers(0, 3, num)]
    return np.column_stack([RNG.normal(size=(num, 8)), RNG.integers(0, 2, num), one_hot])


COUNTS, ROWS = RNG.poisson(3, (10, 8)), RNG.normal(size=(10, 6))
CLASSES = {
    "Poisson": ("counts", "Poisson"),
    "NegativeBinomial": ("counts", "NegativeBinomial"),
    "Columns": ("table", "Columns"),
    "VampPrior": ("own_prior", "VampPrior"),
    "FlowPrior": ("own_prior", "FlowPrior"),
    "TwoLevels": ("two_levels", "TwoLevels"),
}
MODELS = {
    "Poisson": (lambda: with_family("Poisson", 8), COUNTS),
    "NegativeBinomial": (lambda: with_family("NegativeBinomial", 8), COUNTS),
    "Columns": (lambda: with_family("Columns", 12), rows_of_a_table(10)),
    "VampPrior": (lambda: with_prior("VampPrior"), ROWS),
    "FlowPrior": (lambda: with_prior("FlowPrior"), ROWS),
    "TwoLevels": (lambda: with_prior("TwoLevels", top=1), ROWS),
}


@pytest.fixture(scope="module", params=MODELS)
def model_and_data(request):
    keras.utils.set_random_seed(0)
    make, x = MODELS[request.param]
    model = make()
    model.compile(jit_compile=False)
    return model, x.astype("float32")


@pytest.mark.slow
def test_one_row_and_a_short_last_batch(model_and_data):
    model, x = model_and_data
    for rows, size in ((x[:1], 1), (x, 4)):
        history = model.fit(rows, batch_size=size, verbose=0).history
        assert np.isfinite(history["loss"]).all()
    np.testing.assert_allclose(model.log_likelihood(x)[:1], model.log_likelihood(x[:1]), rtol=1e-4)
    assert model.generate(2, sample=True).shape == (2, x.shape[1])


def test_nan_is_refused(model_and_data):
    model, x = model_and_data
    with pytest.raises(ValueError, match="NaN"):
        model.fit(np.where(np.arange(x.size).reshape(x.shape) == 3, np.nan, x), verbose=0)


def test_it_is_saved_and_loaded(model_and_data, tmp_path):
    model, x = model_and_data
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.bound(x).value, model.bound(x).value, rtol=1e-5)


_ELSEWHERE = """
import json, sys
import keras, numpy as np
from test_recipes import CLASSES, written_in

found = {}
for name, where in CLASSES.items():
    written_in(*where)
    model = keras.saving.load_model(f"{sys.argv[1]}/{name}.keras")
    data = np.load(f"{sys.argv[1]}/{name}.npy")
    model.compile(jit_compile=False)
    found[name] = model.bound(data).value.numpy().tolist()
    model.fit(data, verbose=0)
print(json.dumps(found))
"""


@pytest.mark.slow
def test_a_fresh_process_loads_them_all_and_trains_on(tmp_path):
    expected = {}
    for name, (make, x) in MODELS.items():
        model, x = make(), x.astype("float32")
        model.compile(jit_compile=False)
        model.fit(x, verbose=0)
        model.save(tmp_path / f"{name}.keras")
        np.save(tmp_path / f"{name}.npy", x)
        expected[name] = model.bound(x).value
    here = Path(__file__).resolve().parent
    done = subprocess.run(
        [sys.executable, "-c", _ELSEWHERE, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(here), str(here.parent)])},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("name", MODELS)
def test_sixteen_bit_networks(name, policy):
    make, x = MODELS[name]
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = make()
        model.compile(jit_compile=False)
        assert np.isfinite(model.fit(x, verbose=0).history["loss"]).all()
        assert np.isfinite(model.log_likelihood(x, num_samples=20)).all()
    finally:
        keras.config.set_dtype_policy(before)


@pytest.mark.parametrize(
    "name, spoil, message",
    [
        ("Poisson", lambda x: -x, "no counts"),
        ("NegativeBinomial", lambda x: x + 0.5, "no counts"),
        ("Columns", lambda x: np.column_stack([x[:, :-1], 0 * x[:, -1] + 1]), "one-hot"),
        ("Columns", lambda x: np.column_stack([x[:, :8], 7 + x[:, 8], x[:, 9:]]), "outside"),
    ],
)
def test_values_that_a_likelihood_cannot_explain_are_refused(name, spoil, message):
    make, x = MODELS[name]
    model = make()
    model.compile(jit_compile=False)
    with pytest.raises(ValueError, match=message):
        model.fit(spoil(x), verbose=0)
