"""What is observed only, (7.7): against closed forms, and as a user would use it."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from requirements_of_a_model import in_a_fresh_process, linear_pair, sizes
from scipy import stats

from cvae_tf import CMMA, CVAE1, CVAE2, CVAE3, M2, VAE, networks, noise
from cvae_tf.distributions import Bernoulli, Categorical, Gaussian, ObservedOnly
from cvae_tf.signatures import parents

MODELS = [VAE, CVAE1, CVAE2, CVAE3, CMMA]


def with_holes(values, seed=0, rate=0.4):
    """Some values missing, in a few patterns; nothing of the first row."""
    rng = np.random.default_rng(seed)
    patterns = rng.uniform(size=(6, *values.shape[1:])) < rate
    holes = patterns[rng.integers(0, 6, len(values))]
    holes[0] = True
    return np.where(holes, np.nan, values)


def linear_with_holes(model_class, dtype="float64"):
    """(model, oracle, data, data in the oracle's order), a part of what is observed missing."""
    full, truth, data, (observed, given) = linear_pair(model_class, x=7, y=4, z=3)
    family = ObservedOnly(Gaussian(scale="shared", initial_scale=truth.sigma, dtype=dtype))
    nets = networks.mlps(
        model_class, hidden=(), family=family, dtype=dtype, **sizes(model_class, 7, 4, 3)
    )
    model = model_class(**nets, family=family)
    for name in ("likelihood_net", "prior_net"):
        if getattr(full, name) is not None:
            getattr(model, name).set_weights(getattr(full, name).get_weights())
    dense = model.posterior_net.layers[-1]
    rng = np.random.default_rng(1)
    dense.set_weights([0.2 * rng.normal(size=w.shape) for w in dense.get_weights()])
    observed = with_holes(observed)
    pairs = zip(model.data_names, data, strict=True)
    data = tuple(observed if name == model.observed else each for name, each in pairs)
    return model, truth, data, (observed, given)


def by_pattern(function, observed, given):
    """A function of (seen, x_O, y) for the rows of each pattern of what is seen."""
    result, seen = np.zeros(len(observed)), ~np.isnan(observed)
    for pattern in np.unique(seen, axis=0):
        rows = (seen == pattern).all(1)
        if pattern.any():
            y = None if given is None else given[rows]
            result[rows] = function(pattern, rows, observed[rows][:, pattern], y)
    return result


@pytest.mark.parametrize("model_class", MODELS)
def test_the_bound_is_that_of_what_is_seen(model_class):
    """Exact, by (1.5), for a q that is not the posterior; of a row unseen it is −KL."""
    model, truth, data, (observed, given) = linear_with_holes(model_class)
    q, prior, _ = model.factors(*data)
    mean, scale = q.mean().numpy(), q.stddev().numpy()
    bound = model.bound(*data, noise=noise.cubature(3))

    def exact(pattern, rows, x, y):
        return truth.seeing(pattern).bound(mean[rows], scale[rows], x, y)

    expected = by_pattern(exact, observed, given)
    np.testing.assert_allclose(bound.value[1:], expected[1:], rtol=1e-9)
    assert float(bound.reconstruction[0]) == 0
    assert float(bound.value[0]) == pytest.approx(-float(q.kl_divergence(prior)[0]))


def test_the_oracle_is_the_gaussian_of_the_rows_that_are_seen():
    _, truth, _, (observed, given) = linear_pair(CVAE1, x=7, y=4, z=3)
    seen = np.array([True, False, True, True, False, False, True])
    covariance = (truth.W * truth.S) @ truth.W.T + truth.sigma**2 * np.eye(7)
    for x, y in zip(observed[:5], given[:5], strict=True):
        mean = truth.W @ (truth.A @ y + truth.a) + truth.V @ y + truth.b
        part = stats.multivariate_normal(mean[seen], covariance[np.ix_(seen, seen)])
        found = truth.seeing(seen).log_evidence(x[None, seen], y[None])
        np.testing.assert_allclose(found, part.logpdf(x[seen]))


@pytest.mark.parametrize("model_class", [VAE, CVAE3])
def test_the_log_likelihood_is_that_of_what_is_seen(model_class):
    model, truth, data, (observed, given) = linear_with_holes(model_class)

    def exact(pattern, rows, x, y):
        return truth.seeing(pattern).log_evidence(x, y)

    expected = by_pattern(exact, observed, given)[1:]
    found = model.log_likelihood(*data, num_samples=50_000, method="prior")[1:]
    assert np.abs(found - expected).mean() < 0.1
    assert np.all(model.bound(*data, noise=noise.cubature(3)).value[1:] < expected)


def test_what_is_missing_gives_no_gradient():
    """The raw output of a missing pixel is free: its gradient is 0, whatever it is."""
    family = ObservedOnly(Bernoulli())
    family.build((None, 3))
    raw = tf.Variable([[500.0, -500.0, 0.3]])
    with tf.GradientTape() as tape:
        log_p = family(raw).log_prob(tf.constant([[np.nan, 0.0, 1.0]]))
    gradient = tape.gradient(log_p, raw).numpy()
    np.testing.assert_allclose(gradient, [[0, 0, 1 - 1 / (1 + np.exp(-0.3))]], atol=1e-6)
    assert float(log_p[0]) == pytest.approx(-np.log1p(np.exp(-0.3)))


def test_sequences_that_are_padded():
    """Of one-hot vectors a whole one is missing; its log-probability is left out."""
    family = ObservedOnly(Categorical())
    family.build((None, 4, 3))
    raw = np.random.default_rng(0).normal(size=(2, 4, 3)).astype("float32")
    y = np.eye(3, dtype="float32")[np.array([[0, 1, 2, 0], [2, 2, 1, 0]])]
    y[0, 2:] = np.nan
    family.check(y, "y")
    log_softmax = raw - np.log(np.exp(raw).sum(-1, keepdims=True))
    each = np.where(np.isnan(y), 0, y * log_softmax).sum(-1)
    np.testing.assert_allclose(family(raw).log_prob(y), each.sum(-1), rtol=1e-5)
    y[0, 1, 1] = np.nan
    with pytest.raises(ValueError, match="a part is NaN.*all of a vector"):
        family.check(y, "y")


def make(model_class=CVAE1, hidden=(16,), dtype=None, **shapes):
    keras.utils.set_random_seed(0)
    family = ObservedOnly(Categorical() if model_class.observed == "y" else Bernoulli())
    shapes = {**sizes(model_class), **shapes}
    nets = networks.mlps(model_class, hidden=hidden, family=family, dtype=dtype, **shapes)
    return model_class(**nets, family=family)


def data_of(model_class, rows=50):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, (rows, 6)).astype("float32")
    y = np.eye(4, dtype="float32")[rng.integers(0, 4, rows)]
    if model_class.observed == "y":
        y[::3] = np.nan
    else:
        x = with_holes(x).astype("float32")
    given = {"x": x, "y": y.argmax(1) if model_class is M2 else y}
    return tuple(given[name] for name in parents(model_class.factors))


@pytest.mark.parametrize("model_class", [*MODELS, M2])
def test_it_trains_and_is_used_like_any_other(model_class, tmp_path):
    """Short last batch, validation, one row, every use; nothing is NaN."""
    model, data = make(model_class), data_of(model_class)
    model.compile(keras.optimizers.Adam(0.01))
    history = model.fit(*data, batch_size=8, epochs=4, verbose=0, validation_split=0.2).history
    assert all(np.isfinite(values).all() for values in history.values())
    assert history["loss"][-1] < history["loss"][0]
    assert np.isfinite(model.evaluate(*(d[1:2] for d in data), verbose=0)).all()
    filled = model.reconstruct(*data)
    observed = data[model.data_names.index(model.observed)]
    assert np.isfinite(filled).all() and filled.shape == observed.shape
    assert np.isfinite(model.encode(*data)).all()
    assert np.isfinite(model.log_likelihood(*data, num_samples=5)).all()


def test_it_is_the_plain_model_where_nothing_is_missing():
    model, (x, y) = make(CVAE1, hidden=()), data_of(CVAE1)
    x = np.nan_to_num(x)
    family = Bernoulli()
    plain = CVAE1(**networks.mlps(CVAE1, hidden=(), family=family, **sizes(CVAE1)), family=family)
    for name in ("likelihood_net", "prior_net"):
        getattr(plain, name).set_weights(getattr(model, name).get_weights())
    kernel, bias = model.posterior_net.get_weights()
    plain.posterior_net.set_weights(
        [np.concatenate([kernel[:6], kernel[12:]]), bias + kernel[6:12].sum(0)]
    )
    for one, other in zip(model.bound(x, y), plain.bound(x, y), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_saved_and_loaded_in_a_fresh_process(tmp_path):
    model, (x, y) = make(), data_of(CVAE1)
    model.compile()
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "data.npz", x=x, y=y)
    code = """
import json, sys
import keras, numpy as np, cvae_tf
data, model = np.load(sys.argv[1]), keras.saving.load_model(sys.argv[2])
print("REPORT", json.dumps(np.asarray(model.bound(data["x"], data["y"]).value).tolist()))
"""
    found = in_a_fresh_process(code, tmp_path / "data.npz", tmp_path / "model.keras")
    np.testing.assert_allclose(found, model.bound(x, y).value, rtol=1e-6)


def test_images_and_mixed_precision():
    family = ObservedOnly(Bernoulli())
    for dtype in (None, "mixed_bfloat16"):
        nets = networks.convs(
            CVAE1, x=(8, 8, 1), y=4, z=2, filters=2, hidden=5, family=family, dtype=dtype
        )
        model = CVAE1(**nets, family=family)
        x = with_holes(np.random.default_rng(0).integers(0, 2, (20, 8, 8, 1)).astype("float32"))
        y = np.eye(4)[np.arange(20) % 4]
        model.compile()
        history = model.fit(x, y, batch_size=8, verbose=0).history
        assert np.isfinite(history["loss"]).all()
        assert np.isfinite(model.reconstruct(x, y)).all()
        family = ObservedOnly(Bernoulli())


def test_what_cannot_be_is_refused_in_a_sentence():
    model, (x, y) = make(), data_of(CVAE1)
    model.compile()
    for wrong, message in [
        ((x, np.where(y > 0, np.nan, y)), "y .*NaN"),  # the condition is no likelihood's affair
        ((np.where(np.isnan(x), np.inf, x), y), "infinite"),
        ((3 * x, y), r"outside \[0, 1\]"),
    ]:
        with pytest.raises(ValueError, match=message):
            model.fit(*wrong, verbose=0)
    with pytest.raises(TypeError, match=r"write Bernoulli\(…\)"):
        ObservedOnly(Bernoulli)
    family = ObservedOnly(Bernoulli())
    plain = networks.mlps(CVAE1, hidden=(4,), family=Bernoulli(), **sizes(CVAE1))
    with pytest.raises(ValueError, match=r"q is NaN where x is missing.*networks\.Filled"):
        CVAE1(**plain, family=family)
