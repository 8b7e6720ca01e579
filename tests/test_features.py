"""M1 as a scikit-learn transformer: clones, pipelines, searches, and what it keeps."""

import keras
import numpy as np
import pytest
from requirements_of_a_model import check_limits, small_data, small_model, weights
from requirements_of_a_model import labelled_data as data
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from cvae_tf import CVAE1, M1, VAE, networks
from cvae_tf.distributions import Bernoulli

C = 4


def make_vae():
    keras.utils.set_random_seed(3)
    vae = VAE(**networks.mlps(VAE, x=6, z=3, hidden=(8,), family=Bernoulli()))
    vae.compile(keras.optimizers.Adam(0.01), jit_compile=False)
    return vae


def labelled(num_rows=60):
    x, _ = data(num_rows)
    return x, (x[:, 0] + x[:, 1] > 1).astype(int)


def test_m1_in_a_pipeline():
    x, labels = labelled()
    pipeline = make_pipeline(M1(make_vae, epochs=2), LogisticRegression())
    pipeline.fit(x, labels)
    m1 = pipeline[0]
    q = m1.vae_.posterior(x)
    np.testing.assert_allclose(m1.transform(x), q.mean(), rtol=1e-5)
    expected = LogisticRegression().fit(m1.transform(x), labels).predict(m1.transform(x))
    np.testing.assert_array_equal(pipeline.predict(x), expected)
    other = clone(pipeline)
    assert other[0] is not m1 and not hasattr(other[0], "vae_")
    np.testing.assert_allclose(
        other.fit(x, labels).predict_proba(x), pipeline.predict_proba(x), rtol=1e-4
    )
    names = pipeline[:1].get_feature_names_out()
    assert list(names) == ["z0", "z1", "z2"] and pipeline[:1].transform(x).shape == (60, 3)
    assert m1.n_features_in_ == 6


def test_m1_has_parameters_as_scikit_learn_wants_them():
    """`__init__` stores, `fit` checks and returns self; get_params gives what was given."""
    m1 = M1(make_vae, epochs=3, min_std=0.1)
    assert m1.get_params() == {
        "vae": make_vae,
        "epochs": 3,
        "batch_size": 100,
        "learning_rate": 1e-3,
        "min_std": 0.1,
    }
    assert m1.set_params(epochs=0, min_std=0.0) is m1 and m1.epochs == 0
    assert clone(m1).get_params() == m1.get_params()
    assert not any(name.endswith("_") and not name.startswith("_") for name in vars(m1))
    x, labels = labelled()
    assert m1.fit(x, labels) is m1
    np.testing.assert_array_equal(M1(make_vae, epochs=0).fit_transform(x), m1.transform(x))
    pipeline = make_pipeline(M1(make_vae), LogisticRegression())
    assert pipeline.set_params(m1__epochs=1)[0].epochs == 1
    with pytest.raises(ValueError, match="Valid parameters are.*epochs.*vae"):
        m1.set_params(depth=3)
    assert "epochs=0" in repr(m1)


def test_m1_in_a_search():
    """Every candidate trains a VAE of its own; the best is trained again on all rows."""
    x, labels = labelled()
    pipeline = make_pipeline(M1(make_vae), LogisticRegression())
    grid = {"m1__epochs": [0, 1], "logisticregression__C": [0.1, 10.0]}
    search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(x, labels)
    assert len(search.cv_results_["params"]) == 4
    assert search.predict(x).shape == (60,) and 0.4 < search.score(x, labels) <= 1
    assert pipeline[0].epochs == 50 and not hasattr(pipeline[0], "vae_")


def test_a_clone_of_a_given_vae_leaves_it_alone():
    x, _ = labelled()
    vae = make_vae()
    before = weights(vae)
    given = clone(M1(vae, epochs=1))
    assert given.vae is not vae
    given.fit(x)
    np.testing.assert_array_equal(weights(vae), before)
    assert np.abs(weights(given.vae_) - before).max() > 0


REFUSED = {
    "not fitted": (lambda x: M1(make_vae).transform(x), "not been fitted"),
    "no features yet": (lambda x: M1(make_vae).num_features, "not been fitted"),
    "no VAE": (lambda x: M1("vae").fit(x), "vae='vae'"),
    "a class": (lambda x: M1(VAE).fit(x), "vae=VAE.*This is the class"),
    "another model": (lambda x: M1(lambda: small_model(CVAE1)).fit(x), "Expected a VAE"),
    "epochs": (lambda x: M1(make_vae, epochs=-1).fit(x), "epochs=-1"),
    "batch size": (lambda x: M1(make_vae, batch_size=0).fit(x), "batch_size=0"),
    "threshold": (lambda x: M1(make_vae, min_std=-1).fit(x), "min_std=-1"),
    "rate": (lambda x: M1(lambda: small_model(VAE), learning_rate=0).fit(x), "learning_rate=0"),
    "other width": (lambda x: M1(make_vae, epochs=0).fit(x[:, :5]), r"expects \(N, 6\)"),
    "NaN": (lambda x: M1(make_vae, epochs=0).fit(x * np.nan), "NaN"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_m1_refuses_in_sentences(name):
    use, message = REFUSED[name]
    with pytest.raises((ValueError, TypeError), match=f"(?s){message}"):
        use(labelled()[0])


def test_m1_samples_its_posterior_and_takes_a_given_vae():
    x, _ = data(20)
    vae = make_vae()
    before = weights(vae)
    m1 = M1(vae, epochs=0).fit(x)
    np.testing.assert_array_equal(weights(m1.vae_), before)
    epsilon = np.random.default_rng(0).normal(size=(2, 20, 3)).astype("float32")
    q = vae.posterior(x)
    np.testing.assert_allclose(m1.sample_features(x, epsilon), q.mean() + q.stddev() * epsilon)
    np.testing.assert_allclose(m1.sample_features(x, epsilon[0]), m1.sample_features(x, epsilon)[0])
    with pytest.raises(ValueError, match=r"Expected \(N, d\)"):
        m1.sample_features(x, epsilon[:, :3])
    std = m1.transform(x).std(0)
    few = M1(vae, epochs=0, min_std=float(np.sort(std)[0])).fit(x)
    assert few.num_features == 2
    np.testing.assert_array_equal(few.transform(x), m1.transform(x)[:, few.kept_])


def test_m1_keeps_what_varies_and_says_so_where_nothing_does():
    """Features of no dimensions handed on, to fail in somebody else's code."""
    vae, (x,) = small_model(VAE, z=3), small_data(VAE)
    spread = M1(vae, epochs=0).fit(x).transform(x).std(0)
    threshold = float(np.sort(spread)[:2].mean())
    kept = M1(vae, epochs=0, min_std=threshold).fit(x)
    np.testing.assert_array_equal(kept.kept_, np.flatnonzero(spread > threshold))
    assert kept.num_features == kept.transform(x).shape[1] == 2
    with pytest.raises(ValueError, match="No latent dimension.*collapsed"):
        M1(vae, epochs=0, min_std=float(spread.max()) + 1).fit(x)


def test_m1_trains_by_the_batch_size_and_the_rate_that_it_was_told_without_a_word(capsys):
    x, _ = labelled()
    vae = small_model(VAE)
    m1 = M1(vae, epochs=2, batch_size=20, learning_rate=0.25).fit(x)
    assert int(vae.optimizer.iterations) == 6 and float(vae.optimizer.learning_rate) == 0.25
    assert len(m1.history_["loss"]) == 2
    assert capsys.readouterr().out == ""


LIMITS = {  # what uses it, what is refused, what is taken
    "epochs": (lambda v: M1(make_vae, epochs=v).fit(labelled()[0]), [-1, 0.5], [0]),
    "batch_size": (
        lambda v: M1(make_vae, epochs=0, batch_size=v).fit(labelled()[0]),
        [0, None],
        [1],
    ),
    "min_std": (
        lambda v: M1(make_vae, epochs=0, min_std=v).fit(labelled()[0]),
        [-1e-9],
        [0, 1e-9],
    ),
    "learning_rate": (
        lambda v: M1(lambda: small_model(VAE), epochs=0, learning_rate=v).fit(labelled()[0]),
        [0],
        [1e-9],
    ),
}


@pytest.mark.parametrize("name", LIMITS)
def test_an_argument_out_of_range_is_refused(name):
    use, refused, taken = LIMITS[name]
    check_limits(use, name, refused, taken)


def test_m1_s_samples_have_the_vae_s_dtype_and_shape():
    vae = small_model(VAE, z=3, dtype="float64", family=Bernoulli(dtype="float64"))
    x, _ = data(20)
    m1 = M1(vae, epochs=0).fit(x)
    epsilon, q = np.random.default_rng(0).normal(size=(2, 20, 3)), vae.posterior(x.astype(float))
    drawn = m1.sample_features(x, epsilon)
    np.testing.assert_allclose(drawn, q.mean() + q.stddev() * epsilon, rtol=1e-12)
    with pytest.raises(ValueError, match=r"\(1, 2, 20, 3\). Expected \(N, d\)"):
        m1.sample_features(x, epsilon[None])
    assert m1.get_feature_names_out().dtype == object


def test_m1_is_cloned_with_its_own_parameters_alone():
    """A maker with parameters of its own: they are not M1's."""

    class Maker:
        def __call__(self):
            return make_vae()

        def get_params(self, deep=True):
            return {"width": 8}

    assert set(clone(M1(Maker())).get_params(deep=False)) == set(M1(make_vae).get_params())


def test_a_refused_argument_leaves_the_given_vae_as_it_was():
    vae = small_model(VAE)
    for bad in ({"epochs": -1}, {"batch_size": 0}, {"min_std": -1.0}):
        with pytest.raises(ValueError):
            M1(vae, **bad).fit(labelled()[0])
        assert not vae.compiled
