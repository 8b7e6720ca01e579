"""A sampler that needs TensorFlow alone gives the numbers of `generate`, in a fresh process."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from requirements_of_a_model import small_data, small_model

from cvae_tf import CMMA, CVAE1, CVAE3, M2, VAE, StackedM2, exporting, networks
from cvae_tf.baselines import Baseline
from cvae_tf.distributions import Bernoulli, Gaussian, MixtureOfGaussians

C = np.array([0, 1, 2, 3, 1], "int32")


def stacked():
    vae, family = small_model(VAE, z=3), Gaussian("network")
    nets = networks.mlps(M2, x=2, y=4, z=2, hidden=(5,), family=family)
    return StackedM2(features=vae, kept=[0, 2], **nets, family=family)


def images():
    family = Bernoulli()
    nets = networks.convs(CVAE1, x=(8, 8, 1), y=4, z=2, filters=2, hidden=5, family=family)
    return CVAE1(**nets, family=family)


def mixture():
    keras.utils.set_random_seed(0)
    family, prior = Bernoulli(), MixtureOfGaussians(3)
    nets = networks.mlps(CMMA, x=6, y=4, z=2, hidden=(5,), family=family, prior_family=prior)
    from cvae_tf.estimators import SGVBA

    return CMMA(**nets, family=family, prior_family=prior, estimator=SGVBA())


y = small_data(CVAE1)[1][:5]
MODELS = {
    "VAE": (lambda: small_model(VAE), 5),
    "CVAE1": (lambda: small_model(CVAE1), y),
    "CVAE3": (lambda: small_model(CVAE3), small_data(CVAE3)[0][:5]),
    "images": (images, y),
    "mixture": (mixture, y),
    "M2": (lambda: small_model(M2), C),
    "StackedM2": (stacked, C),
}
LOADER = """
import sys
import numpy as np, tensorflow as tf
folder, names = sys.argv[1], sys.argv[2:]
for name in names:
    given = np.load(f"{folder}/{name}.npy")
    given = int(given) if given.ndim == 0 else given
    loaded = tf.saved_model.load(f"{folder}/{name}")
    later = given - 2 if isinstance(given, int) else given[2:]
    np.savez(
        f"{folder}/{name}.npz", mean=loaded.generate(given, 0), draw=loaded.sample(given, 0),
        later=loaded.generate(later, 2),
    )
assert not any(m.startswith(("cvae_tf", "tensorflow_probability")) for m in sys.modules)
"""


def test_in_a_process_without_this_package_the_numbers_are_the_same(tmp_path):
    made = {name: make() for name, (make, _) in MODELS.items()}
    for name, model in made.items():
        model.export_sampler(tmp_path / name, seed=3)
        np.save(tmp_path / f"{name}.npy", MODELS[name][1])
    command = [sys.executable, "-c", LOADER, str(tmp_path), *MODELS]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-800:]
    for name, model in made.items():
        given, found = MODELS[name][1], np.load(tmp_path / f"{name}.npz")
        mean = model.generate(given, seed=3)
        np.testing.assert_allclose(found["mean"], mean, atol=2e-6, err_msg=name)
        np.testing.assert_allclose(found["later"], mean[2:], atol=2e-6, err_msg=name)
        draw = model.generate(given, seed=3, sample=True)
        assert np.isclose(found["draw"], draw, atol=2e-5).mean() > 0.98, name  # a threshold's edge


def test_what_has_no_sampler_is_refused(tmp_path):
    family = Bernoulli()
    nets = networks.mlps(Baseline, x=6, y=4, hidden=(5,), family=family)
    with pytest.raises(ValueError, match="Baseline has no prior.*Expected"):
        exporting.export_sampler(Baseline(**nets, family=family), tmp_path / "none")
    with pytest.raises(ValueError, match="seed='3'"):
        small_model(VAE).export_sampler(tmp_path / "none", seed="3")
    assert not (tmp_path / "none").exists()


def test_without_a_rule_for_the_likelihood_there_is_the_mean_alone(tmp_path):
    from tensorflow_probability import distributions as tfd

    @keras.saving.register_keras_serializable("test_exporting")
    class Counts(Bernoulli):
        def call(self, raw):
            return self.independent(tfd.Poisson(log_rate=raw))

    model = small_model(VAE, family=Counts())
    model.export_sampler(tmp_path / "counts")
    loaded = tf.saved_model.load(str(tmp_path / "counts"))
    np.testing.assert_allclose(loaded.generate(5, 0), model.generate(5), rtol=1e-5)
    assert not hasattr(loaded, "sample")
