"""What networks, data and parts owe a model: data by name in every form, and the sentences."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from requirements_of_a_model import small_data, small_model

from cvae_tf import CMMA, CVAE1, CVAE2, CVAE3, M2, VAE, diagnostics, evaluation, networks, wiring
from cvae_tf.base import LatentVariableModel
from cvae_tf.distributions import Bernoulli, Categorical, Gaussian
from cvae_tf.estimators import SGVBA
from cvae_tf.networks import apply

X, Y = small_data(CVAE1, num_rows=12)
T = np.eye(3, dtype="float32")[np.arange(12) % 3]


# Data by name -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def models():
    every = {"VAE": VAE, "CVAE1": CVAE1, "CVAE3": CVAE3, "M2": M2}
    return {name: small_model(kind, family=Bernoulli()) for name, kind in every.items()}


FORMS = {  # model, x, y as fit takes them, and what is meant
    "x": ("VAE", X, None, (X,)),
    "(x,)": ("VAE", (X,), None, (X,)),
    "[x]": ("VAE", [X], None, (X,)),
    "{x}": ("VAE", {"x": X}, None, (X,)),
    "rows of x": ("VAE", X.tolist(), None, (X,)),
    "rows of x, arrays": ("VAE", list(X), None, (X,)),
    "x, y": ("CVAE1", X, Y, (X, Y)),
    "(x, y)": ("CVAE1", (X, Y), None, (X, Y)),
    "[x, y]": ("CVAE1", [X, Y], None, (X, Y)),
    "{x, y}": ("CVAE1", {"x": X, "y": Y}, None, (X, Y)),
    "{y, x}": ("CVAE1", {"y": Y, "x": X}, None, (X, Y)),
    "{x}, y": ("CVAE1", {"x": X}, Y, (X, Y)),
    "[x], y": ("CVAE1", [X], Y, (X, Y)),
    "rows of x, y": ("CVAE1", X.tolist(), Y, (X, Y)),
    "rows of both": ("CVAE1", X.tolist(), Y.tolist(), (X, Y)),
    "row arrays of x, y": ("CVAE1", list(X), list(Y), (X, Y)),
    "two rows of x, y": ("CVAE1", list(X[:2]), Y[:2], (X[:2], Y[:2])),
    "x, y of CVAE-3": ("CVAE3", X, Y, (X, Y)),
    "tensors": ("CVAE1", [tf.constant(X), tf.constant(Y)], None, (X, Y)),
    "labels": ("M2", X, Y.argmax(1), (X, Y.argmax(1))),
    "[x, labels]": ("M2", [X, Y.argmax(1)], None, (X, Y.argmax(1))),
}


@pytest.mark.parametrize("name", FORMS)
def test_data_are_found_in_every_form(models, name):
    kind, x, y, expected = FORMS[name]
    batch = models[kind].batch_of(x, y, None, "fit")
    assert len(batch) == len(expected)
    for found, wanted in zip(batch, expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    "batch",
    [(X, Y), ((X, Y),), [X, Y], {"x": X, "y": Y}, ({"x": X, "y": Y},), ({"x": X}, Y)],
    ids=["(x, y)", "((x, y),)", "[x, y]", "{}", "({},)", "({x}, y)"],
)
def test_streams_and_validation_data_come_in_every_form(models, batch):
    model, plain = models["CVAE1"], small_model(CVAE1)
    expected = plain_logs(plain)
    model.compile(jit_compile=False)
    tensors = tf.nest.map_structure(tf.constant, tuple(batch) if type(batch) is list else batch)
    dataset = tf.data.Dataset.from_tensors(tensors)
    for logs in (
        model.evaluate(dataset, return_dict=True, verbose=0),
        model.evaluate(iter([batch]), return_dict=True, verbose=0),
    ):
        assert logs == pytest.approx(expected, rel=1e-5)
    model.compile(keras.optimizers.SGD(0.0), jit_compile=False)
    history = model.fit(X, Y, validation_data=batch, verbose=0).history
    assert history["val_elbo"][0] == pytest.approx(expected["elbo"], rel=1e-5)


def plain_logs(model):
    model.compile(jit_compile=False)
    return model.evaluate(X, Y, return_dict=True, verbose=0)


WRONG = {
    "y missing": ("CVAE1", X, None, r"y is missing.*fit\(x, y\)"),
    "y missing in a dict": ("CVAE1", {"x": X}, None, r"variables \['x'\].*\(x, y\)"),
    "another key": ("VAE", {"image": X}, None, r"\['image'\].*\(x\)"),
    "a key too many": ("VAE", {"x": X, "y": Y}, None, r"\['x', 'y'\].*\(x\)"),
    "y too many": ("VAE", X, Y, "has no y"),
    "x and y too many": ("VAE", [X, Y], None, "has no y"),
    "three": ("CVAE1", [X, Y], T, "3 variables"),
    "ragged rows": ("VAE", [[0, 1], [0, 1, 0]], None, "no rectangular array"),
    "ragged": ("VAE", tf.ragged.constant([[0.0], [0.0, 1.0]]), None, "RaggedTensor.*dense"),
    "sparse": ("VAE", tf.sparse.from_dense(X), None, "SparseTensor.*dense"),
    "masked": ("VAE", np.ma.masked_less(X, 0.5), None, "masked array.*filled"),
    "objects": ("VAE", X.astype(object).astype(str).astype(object), None, "dtype object"),
    "dates": ("VAE", X.astype("int64").astype("datetime64[s]"), None, "dtype datetime64"),
    "complex": ("VAE", X.astype("complex64"), None, "dtype complex64"),
    "a string": ("VAE", "x.npy", None, "x.npy.*Expected an array"),
    "swapped": ("CVAE1", Y, X, r"shape \(12, 4\).*\(N, 6\)"),
    "grey": ("VAE", 255 * X, None, r"outside \[0, 1\]"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_not_the_models_data_is_refused_in_a_sentence(models, name):
    kind, x, y, message = WRONG[name]
    with pytest.raises((ValueError, TypeError), match=f"(?s){message}"):
        models[kind].batch_of(x, y, None, "fit")


ARITY = {
    "bound": lambda m: m.bound(X),
    "bound of three": lambda m: m.bound(X, Y, T),
    "log_likelihood": lambda m: m.log_likelihood(X),
    "encode": lambda m: m.encode(X),
    "reconstruct": lambda m: m.reconstruct(X, Y, T),
}


@pytest.mark.parametrize("name", ARITY)
def test_wrong_arity_says_which_variables(models, name):
    with pytest.raises(ValueError, match=r"Received \d array\(s\).*CVAE1 expects \(x, y\)"):
        ARITY[name](models["CVAE1"])


WEIGHTS = {
    "negative": (np.r_[-1.0, np.ones(11)], "negative values, down to -1"),
    "NaN": (np.r_[np.nan, np.ones(11)], "NaN"),
    "too few": (np.ones(5), "different numbers"),
    "two axes": (np.ones((12, 2)), "Expected 1 axes"),
    "words": (np.array(["a"] * 12), "dtype"),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_that_weigh_nothing_are_refused(models, name):
    """With a negative weight the objective is no bound, and rises without end."""
    weights, message = WEIGHTS[name]
    with pytest.raises((ValueError, TypeError), match=f"sample_weight.*{message}|{message}"):
        models["CVAE1"].batch_of(X, Y, weights, "fit")


LABELS = {
    "negative": (np.full(12, -2), "from -2 to -2"),
    "above": (np.full(12, 4), "from 4 to 4"),
    "wrapped": (np.full(12, 2**32), f"from {2**32} to {2**32}"),
    "floats": (np.zeros(12), "dtype float64"),
    "one-hot": (Y, r"argmax\(1\)"),
    "none": (np.zeros(0, int), "shape"),
}


@pytest.mark.parametrize("name", LABELS)
@pytest.mark.parametrize("use", ["bound", "log_likelihood", "style"])
def test_labels_are_checked_everywhere(models, name, use):
    """`bound(x, [4])` of four classes was 0.0: a perfect bound."""
    labels, message = LABELS[name]
    with pytest.raises(ValueError, match=f"(?s){message}"):
        getattr(models["M2"], use)(X, labels)


# Three variables --------------------------------------------------------------------------------


@keras.saving.register_keras_serializable("wiring")
class Three(LatentVariableModel):
    """p(x, z|y, t) = p(z|y) p(x|y, t, z)."""

    def prior(self, y):
        return self.latent(apply(self.prior_net, y))

    def posterior(self, x, y, t):
        return self.latent(apply(self.posterior_net, x, y, t))

    def likelihood(self, y, t, z):
        return self.family(apply(self.likelihood_net, y, t, z))

    def factors(self, x, y, t):
        return (
            self.posterior(x, y, t),
            self.prior(y),
            lambda z: self.likelihood(y, t, z).log_prob(x),
        )


def three(seed=0):
    keras.utils.set_random_seed(seed)
    family = Bernoulli()
    sizes = {"x": 6, "y": 4, "t": 3, "z": 2}
    model = Three(**networks.mlps(Three, hidden=(8,), family=family, **sizes), family=family)
    model.compile(keras.optimizers.Adam(0.02), jit_compile=False)
    return model


NAMED = {"x": X, "y": Y, "t": T}
OTHER_FORMS = {
    "a tuple": lambda: {"x": (X, Y, T)},
    "a list": lambda: {"x": [X, Y, T]},
    "a dict and the last": lambda: {"x": {"x": X, "y": Y}, "y": T},
    "a stream of dicts": lambda: {"x": tf.data.Dataset.from_tensor_slices(NAMED).batch(12)},
    "a stream of tuples in tuples": lambda: {
        "x": tf.data.Dataset.from_tensor_slices(((X, Y, T),)).batch(12)
    },
}


@pytest.mark.parametrize("form", OTHER_FORMS)
def test_three_variables_train_alike_in_every_form(form):
    one, other = three(), three()
    options = {"epochs": 2, "shuffle": False, "verbose": 0}
    expected = one.fit(NAMED, **options).history
    found = other.fit(**OTHER_FORMS[form](), **options).history
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-5)
    assert expected["loss"][1] != expected["loss"][0]


def test_three_variables_are_evaluated_used_saved_and_loaded(tmp_path):
    model, w = three(), np.linspace(0, 2, 12).astype("float32")
    history = model.fit(
        NAMED, sample_weight=w, validation_data=(NAMED, None, w), epochs=2, verbose=0
    ).history
    logs = model.evaluate(NAMED, sample_weight=w, return_dict=True, verbose=0)
    bound = model.bound(X, Y, T)
    np.testing.assert_allclose(logs["elbo"], np.sum(w * bound.elbo) / w.sum(), rtol=1e-5)
    np.testing.assert_allclose(history["val_elbo"][-1], logs["elbo"], rtol=1e-5)
    assert model.conditions == ("y", "t")
    given = {"t": T, "y": Y}
    images = model.generate(given)
    np.testing.assert_array_equal(images, model.generate((Y, T)))
    np.testing.assert_array_equal(model.predict(given, verbose=0), model.predict((Y, T), verbose=0))
    assert model.decode(model.encode(X, Y, T), given).shape == X.shape
    log_p = model.log_likelihood(X, Y, T, num_samples=5)
    assert log_p.shape == (12,)
    np.testing.assert_array_equal(model.log_likelihood(NAMED, num_samples=5), log_p)
    np.testing.assert_array_equal(model.bound(NAMED).value, bound.value)
    np.testing.assert_array_equal(model.encode(NAMED), model.encode(X, Y, T))
    curve = evaluation.importance_weighted_curve(model, NAMED, sizes=(1, 4))
    for size, values in evaluation.importance_weighted_curve(model, X, Y, T, sizes=(1, 4)).items():
        np.testing.assert_array_equal(curve[size], values)
    assert diagnostics.use(model, NAMED) == diagnostics.use(model, X, Y, T)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(loaded.bound(X, Y, T).value, bound.value, rtol=1e-5)
    np.testing.assert_allclose(loaded.generate(given), images, rtol=1e-5)
    for wrong in (Y, {"y": Y}, (Y,), (Y, T, X)):
        with pytest.raises((ValueError, TypeError), match=r"\(y, t\)"):
            model.generate(wrong)


# Networks and parts -----------------------------------------------------------------------------


def nets(model_class=VAE, family=None, **changes):
    family = Bernoulli() if family is None else family
    sizes = {"x": 6, "z": 2} if model_class is VAE else {"x": 6, "y": 4, "z": 2}
    made = networks.mlps(model_class, hidden=(4,), family=family, **sizes)
    return {**made, "family": family, **changes}


def sequential(*layers, size=6):
    return keras.Sequential([keras.Input((size,)), *layers])


def two_outputs():
    inputs = keras.Input((6,))
    return keras.Model(inputs, [keras.layers.Dense(2)(inputs), keras.layers.Dense(2)(inputs)])


def _mlps(**changes):
    options = {"x": 6, "z": 2, "hidden": (4,), "family": Bernoulli(), **changes}
    return lambda: networks.mlps(VAE, **options)


def _convs(**changes):
    options = {"x": (8, 8, 1), "z": 2, "filters": 2, "hidden": 4, "family": Bernoulli(), **changes}
    return lambda: networks.convs(VAE, **options)


SENTENCES = {
    "two outputs": (lambda: VAE(**nets(posterior_net=two_outputs())), "2 outputs.*side by side"),
    "a mean alone": (
        lambda: VAE(**nets(posterior_net=networks.mlp([6], (), 2))),
        r"disagree about z.*\(1,\).*\(2,\).*2 outputs per latent",
    ),
    "an image as q": (
        lambda: VAE(**nets(posterior_net=networks.mlp([6], (), (2, 2)))),
        r"output shape \(None, 2, 2\).*2 × latent",
    ),
    "inputs too few": (
        lambda: CVAE1(**nets(CVAE1, posterior_net=networks.mlp([6], (), 4))),
        r"1 input\(s\).*\[x, y\], in this order",
    ),
    "inputs in the wrong order": (
        lambda: CVAE1(**nets(CVAE1, posterior_net=networks.mlp([4, 6], (), 4))),
        "disagree about",
    ),
    "a network too many": (
        lambda: CVAE2(**nets(CVAE2, prior_net=networks.mlp([4], (), 4))),
        "Leave prior_net out",
    ),
    "no network": (lambda: CMMA(**nets(CMMA, prior_net=None)), "prior_net=None.*built Keras"),
    "a class": (
        lambda: VAE(**nets(family=Bernoulli(), posterior_net=keras.Model)),
        "posterior_net",
    ),
    "family in words": (lambda: VAE(**{**nets(), "family": "bernoulli"}), "family='bernoulli'"),
    "family's class": (lambda: VAE(**{**nets(), "family": Bernoulli}), r"write Bernoulli\(…\)"),
    "estimator's class": (
        lambda: VAE(**nets(estimator=SGVBA)),
        r"write SGVBA\(…\)",
    ),
    "mlps, family in words": (_mlps(family="bernoulli"), "family='bernoulli'"),
    "mlps, family's class": (_mlps(family=Bernoulli), r"write Bernoulli\(…\)"),
    "z is no integer": (_mlps(z=2.0), r"z=2\.0.*Write 2"),
    "z is nothing": (_mlps(z=0), "z=0"),
    "z negative": (_mlps(z=-1), "z=-1"),
    "z in words": (_mlps(z="2"), "z='2'"),
    "hidden is a number": (_mlps(hidden=64), r"hidden=64.*hidden=\(64,\)"),
    "z is a list": (_mlps(z=[2]), r"z=\[2\]"),
    "x is nothing": (_mlps(x=0), "x=0"),
    "activation's class": (_mlps(activation=keras.layers.ReLU), "name of a Keras activation"),
    "a scale beyond the dtype": (
        lambda: Gaussian("network", initial_scale=1e300), r"initial_scale=1e\+300"
    ),
    "no such argument": (
        lambda: VAE(**nets(nonsense=3)), "Received nonsense.*arguments of VAE"
    ),
    "no optimiser": (lambda: VAE(**nets()).compile(None), "optimizer=None.*Keras optimiser"),
    "hidden has a fraction": (_mlps(hidden=(64.5,)), r"64\.5"),
    "no y": (_mlps(y=4), "need \\['x', 'z'\\]"),
    "convs without channels": (_convs(x=(28, 28)), r"none of them is an image.*\(H, W, C\)"),
    "convs of vectors": (_convs(x=64), r"none of them is an image"),
    "channels first": (_convs(x=(3, 32, 32)), r"\(3, 32, 32\).*transpose\(0, 2, 3, 1\)"),
    "one channel first": (_convs(x=(1, 28, 28)), r"\(C, H, W\)"),
    "dtypes": (lambda: VAE(**nets(family=None) | {"family": Gaussian(dtype="float64")}), "dtypes"),
    "seed": (lambda: VAE(**nets(seed="0")), "seed='0'"),
    "half a seed": (lambda: VAE(**nets(seed=0.5)), "seed=0.5"),
    "a family too many": (
        lambda: VAE(**nets(prior_family=Categorical())),
        "no prior network",
    ),
}


@pytest.mark.parametrize("name", SENTENCES)
def test_what_cannot_be_a_model_is_refused_in_a_sentence(name):
    make, message = SENTENCES[name]
    with pytest.raises((ValueError, TypeError), match=f"(?s){message}"):
        make()


D = keras.layers.Dense
ACTIVATED = {  # network, key, what is said (None: nothing)
    "sigmoid": (
        lambda: sequential(D(6, activation="sigmoid"), size=2),
        "likelihood_net",
        "sigmoid",
    ),
    "softmax": (
        lambda: sequential(D(6, activation="softmax"), size=2),
        "likelihood_net",
        "softmax",
    ),
    "a layer": (
        lambda: sequential(D(6), keras.layers.Activation("tanh"), size=2),
        "likelihood_net",
        "tanh",
    ),
    "Softmax()": (
        lambda: sequential(D(6), keras.layers.Softmax(), size=2),
        "likelihood_net",
        "Softmax",
    ),
    "relu in q": (lambda: sequential(D(4, activation="relu")), "posterior_net", "relu"),
    "inside": (
        lambda: sequential(sequential(D(6, activation="sigmoid"), size=2), size=2),
        "likelihood_net",
        "sigmoid",
    ),
    "before a shape": (
        lambda: sequential(D(6, activation="sigmoid"), keras.layers.Reshape((6,)), size=2),
        "likelihood_net",
        "sigmoid",
    ),
    "linear": (lambda: sequential(D(6, activation="linear"), size=2), "likelihood_net", None),
    "none": (lambda: sequential(D(6), size=2), "likelihood_net", None),
    "hidden": (lambda: sequential(D(3, activation="relu"), D(6), size=2), "likelihood_net", None),
}


@pytest.mark.parametrize("name", ACTIVATED)
def test_an_activation_at_the_end_is_warned_of(name):
    """Every Keras tutorial has one; taken for raw numbers it cost 18 nats, without a word."""
    make, key, said = ACTIVATED[name]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        VAE(**nets(**{key: make()}))
    messages = [str(w.message) for w in caught if "last layer" in str(w.message)]
    if said is None:
        assert not messages
    else:
        (message,) = messages
        assert said in message and key in message and "Leave the activation out" in message


# Noise, and what passes unseen ------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(12, 2), (1, 12, 3), (1, 5, 2), (2,), (1, 12, 2, 1), (0, 12, 2)])
def test_noise_of_another_shape_is_refused(models, shape):
    with pytest.raises(ValueError, match="noise"):
        models["CVAE1"].bound(X, Y, noise=np.zeros(shape))


def test_noise_is_for_every_example_or_for_all(models):
    model, epsilon = models["CVAE1"], np.random.default_rng(0).normal(size=(3, 1, 2))
    shared, each = (model.bound(X, Y, noise=e).value for e in (epsilon, epsilon.repeat(12, 1)))
    np.testing.assert_allclose(shared, each, rtol=1e-6)


def test_tensors_without_values_pass(models):
    """Inside a tf.function there is nothing to look at; outside the same tensor is looked at."""
    model = models["CVAE1"]
    inside = tf.function(lambda x, y: model.bound(x, y).value)(tf.constant(X), tf.constant(Y))
    np.testing.assert_allclose(inside, model.bound(X, Y).value, rtol=1e-5)
    assert not wiring.is_symbolic(tf.constant(X)) and not wiring.is_symbolic(X)
    with pytest.raises(ValueError, match="outside"):
        model.bound(tf.constant(X * 7), Y)
