"""M1, M2 and the two stacked, against sums written out, closed forms and hand-computed weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from requirements_of_a_model import (
    check_limits,
    in_a_fresh_process,
    linear_pair,
    small_model,
    stacked,
    weights,
)
from requirements_of_a_model import labelled_data as data
from scipy import stats
from scipy.special import log_softmax, logsumexp

from cvae_tf import CVAE2, M2, VAE, StackedM2, base, datasets, networks, noise
from cvae_tf.distributions import Bernoulli
from cvae_tf.estimators import SGVBA, SGVBB, ImportanceWeighted
from cvae_tf.penalties import Beta

C = 4
UNSEEN = np.full(12, -1)


# The bounds -----------------------------------------------------------------------------------


def dense(net, *inputs):
    """The forward pass of a tanh MLP in NumPy."""
    h = np.concatenate(inputs, -1)
    layers = [layer for layer in net.layers if isinstance(layer, keras.layers.Dense)]
    for number, layer in enumerate(layers):
        kernel, bias = (w.astype("float64") for w in layer.get_weights())
        h = h @ kernel + bias
        h = np.tanh(h) if number < len(layers) - 1 else h
    return h


def labelled_bound(model, x, c, epsilon):
    """(8.1) of the class c for each x, in NumPy."""
    one_hot = np.repeat(np.eye(C)[[c]], len(x), 0)
    mean, raw = np.split(dense(model.posterior_net, x, one_hot), 2, -1)
    scale = 1e-4 + np.log1p(np.exp(raw))
    logits = dense(model.likelihood_net, one_hot, mean + scale * epsilon)
    log_p_x = np.sum(x * logits - np.logaddexp(0, logits), -1)
    kl = 0.5 * np.sum(scale**2 + mean**2 - 1 - 2 * np.log(scale), -1)
    return log_p_x + np.log(1 / C) - kl


def test_the_bounds_are_the_sums_of_8_1_and_8_2():
    """Both kinds in one batch, in NumPy, with SGVB-B's noise given."""
    model, (x, y) = small_model(M2), data(12, labelled=5)
    epsilon = np.random.default_rng(1).normal(size=(1, 12, 2)).astype("float32")
    each = np.stack([labelled_bound(model, x, c, epsilon[0]) for c in range(C)], 1)
    log_q = log_softmax(dense(model.classifier_net, x), 1)
    unlabelled = np.sum(np.exp(log_q) * (each - log_q), 1)
    expected = np.where(y >= 0, each[np.arange(12), y], unlabelled)
    bound = model.bound(x, y, noise=epsilon)
    np.testing.assert_allclose(bound.value, expected, rtol=1e-5)
    np.testing.assert_allclose(bound.elbo, bound.value, rtol=1e-5)
    np.testing.assert_allclose(
        bound.value[:5], model.estimator(*model.factors(x[:5], y[:5]), epsilon[:, :5]).value, 1e-5
    )
    assert np.isnan(model.estimator(*model.factors(x, y), epsilon).value.numpy()[5:]).all()


@pytest.mark.parametrize("estimator", [None, SGVBA()], ids=["SGVB-B", "SGVB-A"])
def test_the_gaps_are_those_of_8_1_and_8_2(estimator):
    """Linear-Gaussian: log p(x) = U + KL(q(y|x)‖p(y|x)) + Σ_y q(y|x) KL(q(z|x,y)‖p(z|x,y))."""
    model, truth, _, _ = linear_pair(M2, base=CVAE2, x=8, y=C, z=3, estimator=estimator)
    y = np.arange(40) % C
    x, _ = truth.sample(np.eye(C)[y], seed=5)
    log_p_xy, kl_z = np.zeros((2, 40, C))
    for c in range(C):
        given = np.repeat(np.eye(C)[[c]], 40, 0)
        q = model.posterior(x, np.full(40, c))
        kl_z[:, c] = truth.kl_to_posterior(q.mean().numpy(), q.stddev().numpy(), x, given)
        log_p_xy[:, c] = np.log(1 / C) + truth.log_evidence(x, given)  # (7.1)
    log_p_x = logsumexp(log_p_xy, 1)
    log_q = np.log(model.classifier(x).probs_parameter())
    gap = np.sum(np.exp(log_q) * (log_q - (log_p_xy - log_p_x[:, None]) + kl_z), 1)
    cubature = noise.cubature(3)
    unlabelled = model.bound(x, np.full(40, -1), noise=cubature).value
    assert gap.min() > 0.1
    np.testing.assert_allclose(unlabelled + gap, log_p_x, rtol=1e-9)
    own = np.arange(40), y
    labelled = model.bound(x, y, noise=cubature).value
    np.testing.assert_allclose(labelled + kl_z[own], log_p_xy[own], rtol=1e-9)


def test_log_likelihoods_and_the_generative_classifier():
    """log p(x,y), log p(x) and argmax_y p(x|y)p(y) against (7.1), with q near the posterior."""
    model, truth, _, _ = linear_pair(M2, base=CVAE2, near=True, x=3, y=3, z=2)
    y = np.arange(30) % 3
    x, _ = truth.sample(np.eye(3)[y], seed=5)
    exact = np.stack([truth.log_evidence(x, np.eye(3)[[c] * 30]) for c in range(3)], 1) - np.log(3)
    mixed = np.where(y == 1, -1, y)
    expected = np.where(mixed < 0, logsumexp(exact, 1), exact[np.arange(30), y])
    np.testing.assert_allclose(model.log_likelihood(x, mixed, num_samples=4000), expected, atol=0.1)
    clear = np.diff(np.sort(exact, 1), axis=1)[:, -1] > 0.3
    assert 10 < clear.sum()
    classes = model.classify(x, num_samples=1000)
    np.testing.assert_array_equal(classes[clear], exact.argmax(1)[clear])
    np.testing.assert_array_equal(
        model.classify(x, method="classifier"), model.classifier(x).logits.numpy().argmax(1)
    )
    assert (classes != model.classify(x, method="classifier")).any()


# The objective --------------------------------------------------------------------------------


def test_weights_of_8_3_on_a_minibatch():
    """N = 100, N_l = 20; M_l = 2, M_u = 3: labelled terms weigh 20/2, unlabelled 80/3, over N."""
    model = small_model(M2, num_examples=100, num_labelled=20, alpha=0.1, weight_prior=True)
    x, _ = data(5)
    y = np.array([-1, 2, -1, 0, -1])
    epsilon = model.evaluation_noise(5)
    losses, logged = model.objective(x, y, noise=epsilon)
    bound = model.bound(x, y, noise=epsilon).value.numpy()
    log_q = log_softmax(dense(model.classifier_net, x), 1)[[1, 3], [2, 0]]
    prior = -0.5 * np.sum(weights(model) ** 2 + np.log(2 * np.pi))
    # (8.3): α = 0.1·100 = 10, a mean over labelled examples, here over the two of the batch.
    j = 10 * bound[[1, 3]].sum() + 80 / 3 * bound[[0, 2, 4]].sum() + 10 * log_q.mean()
    np.testing.assert_allclose(np.mean(losses), -(j + prior) / 100, rtol=1e-5)
    np.testing.assert_allclose(logged.elbo, bound, rtol=1e-5)  # the plain bounds are logged


def test_a_batch_that_is_the_data_set_has_8_3_over_n():
    """And so has, in the mean, every split of it into batches of the same proportion."""
    x, y = data(20, labelled=5)
    model = small_model(M2, alpha=0.3, num_examples=20, num_labelled=5)
    epsilon = model.evaluation_noise(20)
    bound = model.bound(x, y, noise=epsilon).value.numpy()
    log_q = log_softmax(dense(model.classifier_net, x), 1)[np.arange(5), y[:5]]
    expected = -(bound.sum() + 0.3 * 20 * log_q.mean()) / 20
    np.testing.assert_allclose(np.mean(model.objective(x, y, noise=epsilon)[0]), expected, 1e-5)
    uncounted = small_model(M2, alpha=0.3)
    np.testing.assert_allclose(np.mean(uncounted.objective(x, y, noise=epsilon)[0]), expected, 1e-5)
    parts = [np.r_[i, 5 + 3 * i : 8 + 3 * i] for i in range(5)]
    losses = [
        np.mean(model.objective(x[rows], y[rows], noise=tf.gather(epsilon, rows, axis=1))[0])
        for rows in parts
    ]
    np.testing.assert_allclose(np.mean(losses), expected, rtol=1e-5)


def test_the_sampled_sum_has_the_exact_gradient_in_the_mean():
    """`sum_over_classes=False`: 80,000 draws of y, within 5 standard errors of (8.2)'s; (8.5)."""
    x, epsilon = data()[0][:1], np.zeros((1, 1, 2), "float32")
    exact = small_model(M2, alpha=0.0)

    def gradient(model, times=1):
        bias = model.classifier_net.trainable_variables[-1].value
        with tf.GradientTape() as tape:
            y = np.full(times, -1)
            losses, _ = model.objective(np.repeat(x, times, 0), y, noise=epsilon)
            loss = tf.reduce_mean(losses)
        return tape.gradient(loss, bias).numpy()

    expected, errors = gradient(exact), {}
    for count in (1, 2, 3):
        sampled = small_model(M2, alpha=0.0, sum_over_classes=False, label_draws=count)
        sampled.compile()
        np.testing.assert_array_equal(weights(exact), weights(sampled))
        draws = []
        for step in range(40):
            sampled.batches_seen.assign(step)
            draws.append(gradient(sampled, times=2000))
        error = errors[count] = np.std(draws, 0, ddof=1) / np.sqrt(40)
        assert np.all(np.abs(np.mean(draws, 0) - expected) < 5 * error)
        assert np.all(error < 0.25 * np.abs(expected).max())
    # A baseline gains much more than the second draw does.
    assert np.linalg.norm(errors[2]) < 0.3 * np.linalg.norm(errors[1])
    assert np.linalg.norm(errors[3]) < np.linalg.norm(errors[2])


def test_hidden_labels_do_not_matter():
    """Permute the true labels of the unlabelled rows: the same training, bit for bit."""
    rng = np.random.default_rng(0)
    x, _ = data()
    truth = rng.integers(0, C, 53)
    kept = datasets.labelled_subset(truth, per_class=3, seed=0)
    permuted = truth.copy()
    permuted[kept < 0] = rng.permutation(truth[kept < 0])
    assert (permuted != truth).any()
    results = []
    for labels in (truth, permuted):
        model = small_model(M2)
        model.compile(keras.optimizers.Adam(0.01), jit_compile=False)
        history = model.fit(x, np.where(kept < 0, -1, labels), epochs=2, verbose=0).history
        results.append((history, weights(model)))
    assert results[0][0] == results[1][0]
    np.testing.assert_array_equal(results[0][1], results[1][1])


# Training, saving, use ------------------------------------------------------------------------


def fitted(model, epochs=3, **options):
    model.compile(keras.optimizers.Adam(0.01), **options)
    history = model.fit(*data(), epochs=epochs, batch_size=8, verbose=0).history
    return model, history


@pytest.mark.slow
@pytest.mark.parametrize("make", [lambda: small_model(M2), stacked], ids=["M2", "stacked"])
def test_the_fast_path_is_the_stepwise_path(make):
    keras.utils.set_random_seed(0)
    fast, history = fitted(make(), jit_compile=make is not stacked)
    keras.utils.set_random_seed(0)
    slow, slow_history = fitted(make(), steps_per_execution=1, jit_compile=False)
    assert (fast.num_examples, fast.num_labelled) == (53, 15)
    difference = np.abs(weights(fast) - weights(slow)).max() / np.abs(weights(slow)).max()
    assert difference < 1e-4
    assert set(history) == {"loss", "elbo", "reconstruction", "kl", "accuracy"}
    for name, values in history.items():
        np.testing.assert_allclose(values, slow_history[name], rtol=1e-4, atol=1e-5)


def test_evaluate_and_predict():
    model, (x, y) = small_model(M2), data()
    model.compile()
    logs = model.evaluate(x, y, batch_size=10, return_dict=True, verbose=0)
    bound = model.bound(x, y)
    q = model.predict(x, verbose=0)
    np.testing.assert_allclose(q, model.classifier(x).probs_parameter(), rtol=1e-5)
    expected = {
        "loss": -np.mean(bound.value),
        "elbo": np.mean(bound.value),
        "reconstruction": np.mean(bound.reconstruction),
        "kl": np.mean(bound.kl),
        "accuracy": np.mean(q.argmax(1)[y >= 0] == y[y >= 0]),
    }
    assert set(logs) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(logs[name], value, rtol=1e-5, err_msg=name)
    bound = small_model(M2, estimator=ImportanceWeighted(5)).bound(x, y)
    assert np.all(bound.value.numpy() > bound.elbo.numpy() - 1e-4)


def test_mixed_batches_train_and_say_what_they_need():
    x, y = data()
    stream = datasets.mixed_batches(x, y, batch_size=10, labelled_per_batch=4)
    model = small_model(M2)
    model.compile(jit_compile=False)
    with pytest.raises(ValueError, match="num_examples=len"):
        model.fit(stream, verbose=0)
    model = small_model(M2, num_examples=53, num_labelled=15)
    model.compile(jit_compile=False)
    history = model.fit(stream, epochs=2, validation_data=(x, y), verbose=0).history
    assert history["loss"][1] < history["loss"][0] and "val_accuracy" in history


def test_restart_and_new_settings_act_on_the_compiled_program():
    """Weights, optimiser, step, alpha and counts of a used model: the history of a fresh one."""
    x, y = data()
    stream = datasets.mixed_batches(x, y, batch_size=10, labelled_per_batch=4)
    batches = [(a.numpy(), b.numpy()) for a, b in stream]

    def run(model):
        given = tf.data.Dataset.from_generator(
            lambda: iter(batches), output_signature=stream.element_spec
        )
        return model.fit(given, steps_per_epoch=5, epochs=2, verbose=0).history, weights(model)

    fresh = small_model(M2, num_examples=53, num_labelled=15, alpha=0.7)
    start = fresh.get_weights()
    fresh.compile(keras.optimizers.Adam(0.01))
    expected = run(fresh)
    used = small_model(M2, num_examples=20, num_labelled=10, alpha=0.0)
    used.compile(keras.optimizers.Adam(0.01))
    used.set_weights([w + 1 for w in start])
    other = run(used)
    used.restart(start)
    used.alpha = 0.7
    used.set_counts(15, 53)
    assert run(used)[0] == expected[0] != other[0]
    np.testing.assert_array_equal(weights(used), expected[1])
    assert used.get_config()["alpha"] == 0.7
    with pytest.raises(ValueError, match="≥ 0"):
        used.alpha = -1


def test_single_batches_are_weighted_by_the_counts_that_were_said():
    """(8.3) of the whole data set, as on a stream, not of the batch; where none was said, of it."""
    x, y = data()
    said = small_model(M2, num_examples=530, num_labelled=20)
    unsaid = small_model(M2)
    for model, counts in ((said, (530, 20)), (unsaid, (None, None))):
        model.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
        losses, _ = model.objective(x, y.astype("int32"), noise=model.training_noise(len(x)))
        loss = model.train_on_batch(x, y)[0]
        np.testing.assert_allclose(loss, np.mean(losses), rtol=1e-5)
        assert (model.num_examples, model.num_labelled) == counts


@pytest.mark.parametrize("use", ["encode", "reconstruct"])
def test_an_unknown_class_is_no_class_to_infer_z_with(use):
    """A one-hot vector of zeros would be: q(z|x, no class at all)."""
    x, y = data()
    with pytest.raises(ValueError, match="has the label −1.*Expected classes"):
        getattr(small_model(M2), use)(x, y)


def test_generate_style_and_analogies():
    model, (x, y) = small_model(M2), data(8, labelled=8)
    images = model.generate(y)
    np.testing.assert_array_equal(images, model.generate(y))
    assert images.shape == x.shape and np.abs(images - model.generate(y, seed=1)).max() > 0
    z = model.style(x, y)
    np.testing.assert_allclose(z, model.posterior(x, y).mean())
    grid = model.analogies(x, y)
    assert grid.shape == (8, C, 6)
    for c in range(C):
        swept = model.likelihood(np.full(8, c), z).mean()
        np.testing.assert_allclose(grid[:, c], swept, rtol=1e-5)
        np.testing.assert_allclose(model.style_transfer(x, np.full(8, c), y), swept, rtol=1e-5)
    guess = model.predict(x, verbose=0).argmax(1)
    np.testing.assert_allclose(model.analogies(x), model.analogies(x, guess))
    np.testing.assert_allclose(model.style(x, np.full(8, -1)), model.style(x))


BAD_LABELS = {
    "below": (np.full(12, -2), "from -2 to -2.*−1 \\(unlabelled\\) to 3"),
    "above": (np.full(12, C), "from 4 to 4"),
    "floats": (np.zeros(12), "dtype float64.*astype"),
    "one-hot": (np.eye(C)[np.zeros(12, int)], r"shape \(12, 4\).*argmax"),
    "unpaired": (np.zeros(11, int), "different numbers"),
}


@pytest.mark.parametrize("name", BAD_LABELS)
@pytest.mark.parametrize("make", [lambda: small_model(M2), stacked], ids=["M2", "stacked"])
def test_bad_labels_are_refused(name, make):
    (labels, message), (x, _), model = BAD_LABELS[name], data(12), make()
    model.compile(jit_compile=False)
    for use in (
        lambda: model.fit(x, labels, verbose=0),
        lambda: model.evaluate(x, labels, verbose=0),
        lambda: model.fit(x, UNSEEN, validation_data=(x, labels), verbose=0),
    ):
        with pytest.raises(ValueError, match=f"(?s){message}"):
            use()
    if name != "unpaired":
        stream = tf.data.Dataset.from_tensor_slices((x, labels)).batch(6)
        with pytest.raises(ValueError, match="(?s)labels|integers"):
            model.set_counts(3, 12)
            model.fit(stream, verbose=0)
    if name in ("below", "above"):
        with pytest.raises(ValueError, match=message):
            model.generate(labels)


def test_other_bad_input_is_refused():
    model, (x, _) = small_model(M2), data(12)
    with pytest.raises(ValueError, match="label −1"):
        model.generate(UNSEEN)
    with pytest.raises(ValueError, match='"importance" or "classifier"'):
        model.classify(x, method="both")
    with pytest.raises(ValueError, match="expects"):
        model.classify(x[:, :5])
    for unused in ({"seed": 7.0}, {"num_samples": 0}):  # by the classifier, and still no number
        with pytest.raises((TypeError, ValueError), match=next(iter(unused))):
            model.classify(x, method="classifier", **unused)
    for options, message in {
        "penalty": ({"penalty": Beta(2.0)}, "leave penalty out"),
        "alpha": ({"alpha": -1}, "≥ 0"),
        "counts": ({"num_examples": 5, "num_labelled": 6}, "num_labelled=6.*num_labelled ≤"),
        "half": ({"num_examples": 5}, "both or neither"),
        "draws": ({"label_draws": 2}, "label_draws=2 beside sum_over_classes"),
        "classifier": (
            {"classifier_net": networks.mlp([6], (), 3)},
            r"disagree about y.*classifier_net",
        ),
    }.values():
        nets = networks.mlps(M2, x=6, y=C, z=2, hidden=(), family=Bernoulli())
        with pytest.raises(ValueError, match=f"(?s){message}"):
            M2(**{**nets, **options})
    with pytest.raises(TypeError, match="fitted M1 or a VAE"):
        StackedM2(features=model, **nets)
    with pytest.raises(ValueError, match="x=3"):
        StackedM2(features=small_model(VAE, z=3), **nets)


FRESH = """
import json, os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras, numpy as np
import cvae_tf
report = {}
for name in sys.argv[2:]:
    model = keras.saving.load_model(f"{sys.argv[1]}/{name}.keras")
    with np.load(f"{sys.argv[1]}/data.npz") as file:
        x, y = file["x"], file["y"]
    report[name] = {
        "before": model.evaluate(x, y, return_dict=True, verbose=0),
        "predict": model.predict(x, verbose=0).tolist(),
        "history": model.fit(x, y, batch_size=8, verbose=0).history,
        "config": [model.alpha, model.num_examples, model.num_labelled, model.weight_prior],
    }
print("REPORT" + json.dumps(report))
"""


@pytest.mark.slow
def test_saved_models_go_on_in_a_fresh_process(tmp_path):
    x, y = data()
    np.savez(tmp_path / "data.npz", x=x, y=y)
    models = {"m2": small_model(M2, alpha=0.2, weight_prior=True), "stack": stacked(alpha=0.2)}
    models["stack"].features.compile()
    expected = {}
    for name, model in models.items():
        fitted(model, epochs=2, steps_per_execution=1, jit_compile=False)
        model.save(tmp_path / f"{name}.keras")
        expected[name] = {
            "before": model.evaluate(x, y, return_dict=True, verbose=0),
            "predict": model.predict(x, verbose=0).tolist(),
            "history": model.fit(x, y, batch_size=8, verbose=0).history,
        }
    report = in_a_fresh_process(FRESH, tmp_path, *models)
    assert report["m2"]["config"] == [0.2, 53, 15, True]
    for name, numbers in expected.items():
        np.testing.assert_allclose(report[name]["predict"], numbers["predict"], rtol=1e-5)
        for part in ("before", "history"):
            for key, value in numbers[part].items():
                np.testing.assert_allclose(report[name][part][key], value, rtol=1e-5, atol=1e-6)


# M1, and M1+M2 --------------------------------------------------------------------------------


# Labelled subsets and mixed minibatches -------------------------------------------------------


def test_labelled_subset():
    labels = np.repeat(np.arange(3), [10, 20, 30])
    kept = datasets.labelled_subset(labels, per_class=5, seed=1)
    assert kept.dtype == np.int32
    assert np.bincount(kept[kept >= 0]).tolist() == [5, 5, 5]
    np.testing.assert_array_equal(kept[kept >= 0], labels[kept >= 0])
    np.testing.assert_array_equal(kept, datasets.labelled_subset(labels, per_class=5, seed=1))
    assert (kept != datasets.labelled_subset(labels, per_class=5, seed=2)).any()
    for bad, per_class in ((labels, 11), (labels, 0), (np.eye(3), 1), (labels - 1, 1)):
        with pytest.raises(ValueError, match="[Ee]xpected"):
            datasets.labelled_subset(bad, per_class)


def test_mixed_batches():
    """The stated ratio, each unlabelled row in an epoch, and the order of (seed, epoch)."""
    x = np.arange(53, dtype="float32")[:, None]
    y = np.where(np.arange(53) < 7, np.arange(53) % C, -1)
    stream = datasets.mixed_batches(x, y, batch_size=10, labelled_per_batch=3, seed=1)
    epochs = [[(a.numpy(), b.numpy()) for a, b in stream] for _ in range(2)]
    for batches in epochs:
        assert len(batches) == stream.cardinality() == 7  # ⌈46/7⌉
        assert all((labels >= 0).sum() == 3 and len(labels) == 10 for _, labels in batches)
        rows = np.concatenate([a[:, 0] for a, _ in batches]).astype(int)
        np.testing.assert_array_equal(np.concatenate([b for _, b in batches]), y[rows])
        times = np.bincount(rows, minlength=53)
        assert times[:7].tolist() == [3] * 7 and set(times[7:]) == {1, 2}
    assert (epochs[0][0][0] != epochs[1][0][0]).any()
    later = datasets.mixed_batches(x, y, batch_size=10, labelled_per_batch=3, seed=1, first_epoch=1)
    for (a, _), (b, _) in zip(later, epochs[1], strict=True):
        np.testing.assert_array_equal(a, b)
    for labels, per_batch in ((y, 0), (y, 10), (np.zeros(53, int), 3), (y[:5], 3)):
        with pytest.raises(ValueError, match="[Ee]xpected"):
            datasets.mixed_batches(x, labels, batch_size=10, labelled_per_batch=per_batch)


def test_the_sampled_bound_is_that_of_a_class_with_the_entropy():
    """L(x, y) left out of the sampled (8.2): the score's gradient alone would still be unbiased."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, (40, 6)).astype("float32")
    y = np.where(np.arange(40) < 8, np.arange(40) % 4, -1)
    model = small_model(M2, alpha=0.0, sum_over_classes=False)
    model.compile()
    epsilon = model.evaluation_noise(40)
    losses, logged = model.objective(x, y, noise=epsilon)
    each = [model.bound(x, np.full(40, c), noise=epsilon) for c in range(4)]
    q = model.classifier(x).probs_parameter().numpy()
    entropy = stats.entropy(q, axis=1)
    of_class = np.stack([bound.value.numpy() for bound in each], 1)
    expected = np.where(y[:, None] >= 0, of_class, of_class + entropy[:, None])
    assert np.diff(np.sort(expected, 1), axis=1).min() > 2e-4, "classes must tell themselves apart"
    distance = np.abs(expected + losses.numpy()[:, None])  # one batch, no counts: all weights 1
    drawn = distance.argmin(1)
    assert distance.min(1).max() < 1e-4
    np.testing.assert_array_equal(drawn[:8], y[:8])
    assert set(drawn[8:]) == set(range(4))
    # The terms that are logged: log p(y) is part of the KL where y is latent.
    latent = (y < 0).astype("float32")
    rows = np.arange(40)
    kl, reconstruction = (
        np.stack([getattr(bound, name).numpy() for bound in each], 1)[rows, drawn]
        for name in ("kl", "reconstruction")
    )
    np.testing.assert_allclose(logged.kl, kl + latent * (np.log(4) - entropy), rtol=1e-4)
    np.testing.assert_allclose(
        logged.reconstruction, reconstruction + latent * np.log(4), rtol=1e-4
    )


@pytest.mark.parametrize(
    "counts", [(-1, 5), (6, 5), (0, 0), (-1, 0), (3, None), (None, 3)], ids=str
)
def test_counts_that_cannot_be_are_refused(counts):
    """More labels than examples, fewer than none, or no examples, taken as weights of (8.3)."""
    model = small_model(M2, num_labelled=2, num_examples=9)
    with pytest.raises(ValueError, match="num_(examples|labelled)"):
        model.set_counts(*counts)
    assert (model.num_labelled, model.num_examples) == (2, 9)


@pytest.mark.parametrize("counts", [(0, 1), (1, 1), (0, 5), (5, 5), (None, None)], ids=str)
def test_counts_at_their_limits_are_taken(counts):
    """A data set of one example, without labels or with nothing but labels, refused."""
    model = small_model(M2)
    model.set_counts(*counts)
    assert (model.num_labelled, model.num_examples) == counts


def test_labels_beyond_32_bits_do_not_wrap():
    labels = np.array([0, 1, 2**32, 2**32 + 1])
    with pytest.raises(ValueError, match="[Ee]xpected"):
        datasets.labelled_subset(labels, per_class=1)


def test_a_data_set_without_labels_is_as_large_as_was_said():
    """N counts in the weight of log p(w) where N_l is 0 too."""
    x, _ = data(12)
    losses = []
    for n in (100, 1000):
        model = small_model(M2, weight_prior=True, num_examples=n, num_labelled=0)
        epsilon = model.evaluation_noise(12)
        losses.append(model.objective(x, np.full(12, -1), noise=epsilon)[0].numpy())
    plain = small_model(M2, num_examples=100, num_labelled=0)
    bound = plain.objective(x, np.full(12, -1), noise=epsilon)[0].numpy()
    np.testing.assert_allclose(losses[0] - bound, 10 * (losses[1] - bound), rtol=1e-3)


# By hand, in NumPy ----------------------------------------------------------------------------


def terms_by_hand(model, x, epsilon):
    """(reconstruction, KL, log q(y|x)) of every class, the first two [L, B, C]."""
    log_q = log_softmax(dense(model.classifier_net, x), 1)
    kl, log_p = np.zeros((2, *epsilon.shape[:2], C))
    for c in range(C):
        one_hot = np.repeat(np.eye(C)[[c]], len(x), 0)
        mean, raw = np.split(dense(model.posterior_net, x, one_hot), 2, -1)
        scale = 1e-4 + np.log1p(np.exp(raw))
        kl[..., c] = 0.5 * np.sum(scale**2 + mean**2 - 1 - 2 * np.log(scale), -1)
        for draw, each in enumerate(epsilon):
            logits = dense(model.likelihood_net, one_hot, mean + scale * each)
            log_p[draw, :, c] = np.sum(x * logits - np.logaddexp(0, logits), -1)
    return log_p.mean(0), kl.mean(0), log_q


def test_every_term_of_the_bounds_and_the_weights_of_8_3_by_hand():
    """Where y is seen log p(y) is part of the reconstruction, where it is latent of the KL."""
    model = small_model(M2, estimator=SGVBB(3), num_examples=200, num_labelled=30, alpha=0.4)
    (x, y), rng = data(12, labelled=5), np.random.default_rng(1)
    epsilon = rng.normal(size=(3, 12, 2)).astype("float32")
    log_p, kl, log_q = terms_by_hand(model, x, epsilon)
    seen, rows, q = y >= 0, np.arange(12), np.exp(log_q)
    reconstruction = np.where(seen, log_p[rows, y] - np.log(C), (q * log_p).sum(1))
    divergence = np.where(seen, kl[rows, y], (q * (kl + log_q + np.log(C))).sum(1))
    losses, logged = model.objective(x, y, noise=epsilon)
    np.testing.assert_allclose(logged.reconstruction, reconstruction, rtol=1e-4)
    np.testing.assert_allclose(logged.kl, divergence, rtol=1e-4)
    np.testing.assert_allclose(logged.value, reconstruction - divergence, rtol=1e-4)
    np.testing.assert_array_equal(logged.labelled, seen)
    np.testing.assert_array_equal(logged.correct, log_q.argmax(1) == y)
    terms = logged.terms()
    np.testing.assert_allclose(terms["elbo"], reconstruction - divergence, rtol=1e-4)
    assert terms["accuracy"] == (logged.correct, logged.labelled)
    weight = np.where(seen, (12 / 200) * (30 / 5), (12 / 200) * (170 / 7))
    alpha = np.where(seen, 0.4 * 200 / 30 * log_q[rows, y], 0)
    expected = -weight * (reconstruction - divergence + alpha)
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    evaluated, again = model.evaluation_objective(x, y, noise=epsilon)
    np.testing.assert_allclose(evaluated, divergence - reconstruction, rtol=1e-4)
    np.testing.assert_allclose(again.kl, logged.kl)


@pytest.mark.parametrize("draws", [1, 2, 3])
def test_the_sampled_bound_and_its_gradient_by_hand(draws, monkeypatch):
    """(8.2) by draws of y, their noise, the entropy's gradient, and the baseline of (8.5)."""
    options = {"dtype": "float64", "family": Bernoulli(dtype="float64"), "alpha": 0.0}
    model = small_model(M2, sum_over_classes=False, label_draws=draws, **options)
    model.batches_seen.assign(6)
    monkeypatch.setattr(base, "place_in_global_batch", lambda size: (4, size))  # of a replica
    x, y = data(10, labelled=3)
    x, epsilon = x.astype("float64"), np.random.default_rng(1).normal(size=(1, 10, 2))
    log_p, kl, log_q = terms_by_hand(model, x, epsilon)
    q, seen, rows = np.exp(log_q), y >= 0, np.arange(10)[:, None]
    where = {"step": 6, "first_row": 4, "dtype": "float64"}
    u = noise.uniform(10, draws, key=noise.key(0, "classes"), **where).numpy()
    drawn = (u[:, :, None] > np.cumsum(q, 1)[:, None, :-1]).sum(-1)  # [B, K]
    labels = np.where(seen[:, None], y[:, None], drawn)
    entropy = np.where(seen, 0, -(q * log_q).sum(1))
    each = (log_p - np.log(C) - kl)[rows, labels]
    bias = model.classifier_net.trainable_variables[-1].value
    with tf.GradientTape() as tape:
        losses, logged = model.objective(x, y, noise=epsilon)
        total = tf.reduce_sum(losses)
    weight = np.where(seen, 3 / 10 * 10 / 3, 1)  # no counts: the batch is the data set
    np.testing.assert_allclose(losses, -weight * (each.mean(1) + entropy), rtol=1e-4)
    latent = np.where(seen, 0, np.log(C))
    reconstruction = (log_p - np.log(C))[rows, labels].mean(1) + latent
    np.testing.assert_allclose(logged.reconstruction, reconstruction, rtol=1e-4)
    np.testing.assert_allclose(logged.kl, kl[rows, labels].mean(1) + latent - entropy, rtol=1e-4)
    np.testing.assert_allclose(logged.value, each.mean(1) + entropy, rtol=1e-4)
    baseline = (each.sum(1, keepdims=True) - each) / max(1, draws - 1)
    score = ((each - baseline)[..., None] * (np.eye(C)[drawn] - q[:, None])).mean(1)
    of_entropy = -q * (log_q + entropy[:, None])
    expected = -np.sum((score + of_entropy)[~seen], 0)
    np.testing.assert_allclose(tape.gradient(total, bias), expected, rtol=1e-3, atol=1e-4)


def test_what_a_step_differentiates_is_the_networks_weights():
    model, (x, y) = small_model(M2), data(12)
    with tf.GradientTape() as tape:
        model.objective(x, y, noise=model.evaluation_noise(12))
    own = {v.value.ref() for v in model.trainable_variables}
    assert {v.ref() for v in tape.watched_variables()} == own


def test_fit_counts_and_a_data_set_of_one_is_said():
    x, y = data(12, labelled=6)
    assert (y == 0).any()
    model = small_model(M2)
    model.compile(run_eagerly=True)
    model.fit(x, y, batch_size=12, sample_weight=np.ones(12), verbose=0)
    assert (model.num_examples, model.num_labelled) == (12, 6)
    epsilon, only = model.evaluation_noise(2), np.array([-1, -1])
    plain = -model.bound(x[:2], only, noise=epsilon).value
    model.set_counts(0, 1)  # a data set of one example, in a batch of two: 2/1 · 1/2 each
    np.testing.assert_allclose(model.objective(x[:2], only, noise=epsilon)[0], plain, rtol=1e-5)
    model.set_counts(0, 100)
    np.testing.assert_allclose(model.objective(x[:2], only, noise=epsilon)[0], plain, rtol=1e-5)
    both = np.array([-1, 2])
    of_both = -model.bound(x[:2], both, noise=epsilon).value
    model.set_counts(1, 1)  # its label is known: an example without one weighs nothing
    losses = model.objective(x[:2], both, noise=epsilon)[0]
    log_q = log_softmax(dense(model.classifier_net, x[:2]), 1)[1, 2]
    np.testing.assert_allclose(losses, [0, 2 * (of_both[1] - 0.1 * log_q)], rtol=1e-4, atol=1e-6)
    model.set_counts(None, None)
    losses = model.objective(x[:2], both, noise=epsilon)[0]
    np.testing.assert_allclose(losses, of_both - [0, 0.1 * 2 * log_q], rtol=1e-4)


LIMITS = {  # what is refused, what is taken
    "alpha": ([-1e-9], [0, 1e-9]),
    "label_draws": ([0, 1.5], [1, 2]),
    "weight_prior": ([1, None], [True]),
    "sum_over_classes": ([1, None], [False]),
}


@pytest.mark.parametrize("name", LIMITS)
def test_an_argument_out_of_range_is_refused(name):
    use = lambda v: small_model(M2, **{"sum_over_classes": False, name: v})  # noqa: E731
    check_limits(use, name, *LIMITS[name])
    plain = small_model(M2).get_config()
    assert plain["alpha"] == 0.1 and plain["label_draws"] == 1
    small_model(M2, label_draws=1)


def test_the_log_joint_is_of_each_class_and_all_options_reach_it():
    model, (x, y) = small_model(M2), data(6, labelled=6)
    joint = model.log_joint(x, num_samples=7, seed=3)
    for c in range(C):
        of_class = model.log_likelihood(x, np.full(6, c), num_samples=7, seed=3)
        np.testing.assert_allclose(joint[:, c], of_class, rtol=1e-6)
    np.testing.assert_allclose(
        model.log_likelihood(x, y, num_samples=7, seed=3), joint[np.arange(6), y], rtol=1e-5
    )
    hidden = model.log_likelihood(x, np.full(6, -1), num_samples=7, seed=3)
    np.testing.assert_allclose(hidden, logsumexp(joint, 1), rtol=1e-5)
    again = model.log_likelihood({"x": x, "y": y}, num_samples=7, seed=3)
    np.testing.assert_allclose(again, joint[np.arange(6), y], rtol=1e-5)
    np.testing.assert_array_equal(model.classify(x, num_samples=7, seed=3), joint.argmax(1))
    np.testing.assert_array_equal(
        model.classify(x), model.log_joint(x, num_samples=100, seed=0).argmax(1)
    )
    check_limits(lambda v: model.classify(x, num_samples=v), "num_samples", [0], [1])


def test_the_label_prior_of_a_label_and_of_none():
    model = small_model(M2)
    np.testing.assert_allclose(
        model.log_label_prior([0, 3, -1]), [-np.log(4), -np.log(4), np.nan], rtol=1e-6
    )


def test_the_other_rooms_are_found_through_this_one():
    from cvae_tf import semi_supervised

    assert semi_supervised.M1.__name__ == "M1" and semi_supervised.StackedM2 is StackedM2
    with pytest.raises(AttributeError, match="has no attribute 'M3'"):
        semi_supervised.M3  # noqa: B018
