"""What earlier tests let through: each test here kills a mutant of the library that had survived.

Grouped by module; a docstring says what would go unnoticed without the test.
"""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from requirements_of_a_model import small_data, small_model
from scipy import stats
from scipy.special import logsumexp, xlogy

from cvae_tf import CVAE1, CVAE3, GSNN, M1, M2, VAE, diagnostics, evaluation, noise, penalties
from cvae_tf import training as training_loop
from cvae_tf.distributions import MixtureOfGaussians, tfd
from cvae_tf.estimators import SGVBA, SGVBB, Bound, ImportanceWeighted, SGVBMixture

# noise --------------------------------------------------------------------------------------------

KEYS = {
    (0, "training"): 7836435963939564850,
    (1, "training"): 6546422793480851878,
    (0, "log-likelihood"): 4453405484366162342,
    (123456789, "order 7"): 3836749654879897940,
}
WHERE = {"key": KEYS[0, "training"], "step": 3, "first_row": 2}
# u = (integer + ½)/2²³ or /2³², exactly.
INTEGERS = {
    "float32": [
        [3106960, 3089483, 5025999, 211490, 2288061],
        [7411493, 5740594, 6755378, 2225927, 7107669],
    ],
    "float64": [
        [1590763558, 1581815587, 2573311779, 108282955, 1171487383],
        [3794684620, 2939184140, 3458753798, 1139674795, 3639126965],
    ],
}


def test_keys_are_those_of_every_version():
    """Another digest, byte order or shift: every stored number of the lessons would change."""
    assert {arguments: noise.key(*arguments) for arguments in KEYS} == KEYS


@pytest.mark.parametrize(("dtype", "bits"), [("float32", 23), ("float64", 32)])
def test_uniform_numbers_are_those_of_every_version(dtype, bits):
    """Other bits kept, another counter, another layout of the table."""
    u = noise.uniform(2, 5, dtype=dtype, **WHERE).numpy()
    assert u.dtype == dtype
    np.testing.assert_array_equal(u * 2.0**bits - 0.5, INTEGERS[dtype])
    later = noise.uniform(1, 4, dtype=dtype, **{**WHERE, "first_row": 3}).numpy()
    # A row of five numbers takes two counts; one of four takes one, so it starts elsewhere.
    assert np.abs(later - u[1:, :4]).max() > 0.01


# The same for rows of four numbers.
INTEGERS_OF_FOUR = {
    "float32": [[5694872, 8167096, 1816995, 7751958], [4233612, 8316769, 4292305, 115476]],
    "float64": [
        [2915774670, 4181553327, 930301854, 3969002767],
        [2167609548, 4258186121, 2197660480, 59123827],
    ],
}


@pytest.mark.parametrize(
    ("dtype", "bits", "tolerance"), [("float32", 23, 2e-6), ("float64", 32, 1e-9)]
)
def test_normal_numbers_are_those_of_every_version(dtype, bits, tolerance):
    """ε = Φ⁻¹(u), by SciPy, the draws of one example beside each other in its row of u."""
    integers = INTEGERS_OF_FOUR[dtype]
    u = noise.uniform(2, 4, dtype=dtype, **WHERE).numpy()
    np.testing.assert_array_equal(u * 2.0**bits - 0.5, integers)
    exact = stats.norm.ppf((np.array(integers) + 0.5) / 2.0**bits)
    epsilon = noise.normal(2, 2, 2, dtype=dtype, **WHERE).numpy()
    expected = exact.reshape(2, 2, 2).transpose(1, 0, 2)
    np.testing.assert_allclose(epsilon, expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(epsilon[0, 0], [0.46457392, 1.93645101], rtol=1e-6)


def test_noise_begins_at_step_0_and_row_0():
    """Other defaults: what is drawn without a step would be another step's."""
    where = {"key": 7, "step": 0, "first_row": 0, "dtype": "float32"}
    np.testing.assert_array_equal(noise.uniform(2, 3, key=7), noise.uniform(2, 3, **where))
    np.testing.assert_array_equal(noise.normal(2, 2, 3, key=7), noise.normal(2, 2, 3, **where))
    assert noise.cubature(2).dtype == "float64"


# training -----------------------------------------------------------------------------------------


def test_orders_of_the_data_are_those_of_every_version():
    """Another generator, key or step count: a resumed run would see the rows in another order."""
    epochs = [[0, 4, 7, 6, 5, 3, 2, 1], [1, 5, 2, 3, 6, 7, 0, 4]]
    orders = training_loop.orders(8, 3, shuffle=True, seed=5, first_step=0)
    assert [order.tolist() for order in itertools.islice(orders, 2)] == epochs
    resumed = training_loop.orders(8, 3, shuffle=True, seed=5, first_step=3)
    assert next(resumed).tolist() == epochs[1]


@pytest.mark.parametrize("num_batches", [1, 3])
def test_a_stream_of_unknown_length_ends(num_batches):
    """An exhausted iterator that ends nothing: `evaluate` would go on for ever."""
    model, (x,) = small_model(VAE), small_data(VAE, num_rows=5 * num_batches)
    model.compile(steps_per_execution=1)
    batches = tf.data.Dataset.from_generator(
        lambda: (x[first : first + 5] for first in range(0, len(x), 5)),
        output_signature=tf.TensorSpec([5, 6], tf.float32),
    )
    calls = []

    class NoMoreThanFive(keras.callbacks.Callback):
        def on_test_batch_begin(self, batch, logs=None):
            calls.append(batch)
            assert len(calls) < 6, "the stream has ended, and evaluate goes on"

    logs = model.evaluate(batches, verbose=0, return_dict=True, callbacks=[NoMoreThanFive()])
    np.testing.assert_allclose(logs["elbo"], np.mean(model.bound(x).elbo), rtol=1e-5)


# base ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "sizes"), [("importance", (101,)), ("prior", (1, 100, 101, 250))]
)
def test_every_number_of_samples_is_counted_exactly(method, sizes):
    """Samples beyond S in the last chunk: log p would be too high by log(102/101), and so on.

    The decoder ignores z and q is the prior, so that every weight is p(x), whatever is drawn.
    """
    model, (x,) = small_model(VAE, hidden=()), small_data(VAE, num_rows=3)
    bias = np.linspace(-1, 2, 6)
    model.likelihood_net.layers[-1].set_weights([np.zeros((2, 6)), bias])
    raw = float(model.latent.raw_from_scale(1.0))
    model.posterior_net.layers[-1].set_weights([np.zeros((6, 4)), np.array([0, 0, raw, raw])])
    exact = x @ bias - np.logaddexp(0, bias).sum()
    for num_samples in sizes:
        values = model.log_likelihood(x, num_samples=num_samples, method=method)
        np.testing.assert_allclose(values, exact, rtol=1e-5, err_msg=f"S = {num_samples}")


def test_prediction_is_the_mean_of_a_hundred_draws():
    """Another number of draws in `predict`, or other noise: within Monte Carlo's error anyway."""
    model, (_, y) = small_model(CVAE1), small_data(CVAE1, num_rows=4)
    model.compile()
    prior = model.prior(tf.constant(y))
    epsilon = noise.normal(100, 1, 2, key=noise.key(0, "prediction"))
    z = prior.mean() + prior.stddev() * epsilon
    by_hand = np.mean(model.likelihood(tf.constant(y), z).mean(), 0)
    np.testing.assert_allclose(model.predict(y, verbose=0), by_hand, rtol=2e-5)


# distributions ------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_components", [0, -1, 1.5, "3", None])
def test_a_mixture_needs_a_whole_number_of_components(num_components):
    """A mixture of no components, or of one and a half, refused only somewhere inside a network."""
    with pytest.raises((ValueError, TypeError), match="num_components"):
        MixtureOfGaussians(num_components)


def test_a_mixture_has_its_floor_under_every_scale():
    """σ = min_scale + softplus(raw): a floor that is left out, or taken away, shows in log p."""
    logits, means = np.array([0.3, -0.4]), np.array([[0.5, -1.0], [2.0, 0.1]])
    raw = np.array([[-40.0, 0.0], [1.0, -2.0]])
    family = MixtureOfGaussians(2, min_scale=0.5, dtype="float64")
    output = np.concatenate([logits, means.ravel(), raw.ravel()])[None]
    mixture = family(tf.constant(output))
    scales = 0.5 + np.logaddexp(0, raw)
    np.testing.assert_allclose(mixture.components_distribution.stddev()[0], scales, rtol=1e-12)
    z = np.array([[0.2, -0.7]])
    each = stats.norm.logpdf(z, means, scales).sum(1) + logits - logsumexp(logits)
    np.testing.assert_allclose(mixture.log_prob(z), [logsumexp(each)], rtol=1e-12)
    one = MixtureOfGaussians(1, dtype="float64")(tf.zeros([3, 5], "float64"))
    np.testing.assert_allclose(one.components_distribution.stddev(), 1e-4 + np.log(2), rtol=1e-12)


# estimators ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", [SGVBA, SGVBB, SGVBMixture, ImportanceWeighted])
@pytest.mark.parametrize("num_samples", [0, -3, 1.5, "2"])
def test_an_estimator_needs_a_whole_number_of_draws(estimator, num_samples):
    """The mean over no draws, NaN, where one was asked for; half a draw."""
    with pytest.raises((ValueError, TypeError), match="num_samples"):
        estimator(num_samples)


def test_estimators_draw_as_often_as_they_say():
    """Another default: twice the time for every step, and other numbers in every lesson."""
    assert [e().num_samples for e in (SGVBA, SGVBB, SGVBMixture, ImportanceWeighted)] == [
        1,
        1,
        1,
        5,
    ]
    assert SGVBB(1).num_samples == 1


PARTS = [
    *(SGVBA(2), SGVBB(3), SGVBMixture(2), ImportanceWeighted(4)),
    *(penalties.Beta(0.5), penalties.FreeBits(0.25), penalties.MMD(3.0)),
]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: type(part).__name__)
def test_parts_of_a_model_are_found_again_by_their_registered_name(part):
    """An estimator or a penalty that saves, and loads only where somebody has imported it."""
    config = keras.saving.serialize_keras_object(part)
    assert config["registered_name"] == f"cvae_tf>{type(part).__name__}"
    config = {**config, "module": None}  # as in another process
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is type(part)
    unnamed = [{k: v for k, v in p.get_config().items() if k != "name"} for p in (part, again)]
    assert unnamed[0] == unnamed[1]


# penalties ----------------------------------------------------------------------------------------


def gaussian(mean, scale):
    return tfd.Independent(tfd.Normal(tf.constant(mean), tf.constant(scale)), 1)


def squared_mmd(a, b):
    """The unbiased estimate with the kernel 2d/(2d + ‖·‖²), in NumPy."""

    def kernel(a, b):
        return 1 / (1 + ((a[:, None] - b) ** 2).sum(-1) / (2 * a.shape[1]))

    off = ~np.eye(len(a), dtype=bool)
    return kernel(a, a)[off].mean() + kernel(b, b)[off].mean() - 2 * kernel(a, b).mean()


def test_mmd_draws_from_both_distributions_as_they_are():
    """The prior's mean or scale left out of its draws: no matter for N(0, I), wrong for p(z|y)."""
    rng = np.random.default_rng(0)
    means, scales = rng.normal(size=(2, 9, 3)), rng.uniform(0.3, 2, size=(2, 9, 3))
    epsilon, terms = rng.normal(size=(2, 9, 3)), rng.normal(size=(3, 9))
    penalty = penalties.MMD(2.5, dtype="float64")
    q, prior = (gaussian(*both) for both in zip(means, scales, strict=True))
    loss = penalty(Bound(*map(tf.constant, terms)), q, prior, tf.constant(epsilon))
    expected = -terms[0] + 2.5 * squared_mmd(*(means + scales * epsilon))
    np.testing.assert_allclose(loss, expected, rtol=1e-12)


def test_warm_up_takes_one_epoch_and_no_less():
    """A warm-up that is over at once refused, or one of no epochs taken: division by zero."""
    assert penalties.WarmUp(1).epochs == 1
    with pytest.raises(ValueError, match="epochs=0"):
        penalties.WarmUp(0)


# diagnostics --------------------------------------------------------------------------------------


def far_prior(model_class=CVAE1, **options):
    """A model whose prior has a mean and a scale of its own, both far from N(0, 1)'s."""
    model = small_model(model_class, hidden=(), **options)
    rng = np.random.default_rng(7)
    kernel, bias = model.prior_net.layers[-1].get_weights()
    bias = np.array([1.0, -2.0, *model.latent.raw_from_scale([0.4, 2.5])])
    model.prior_net.layers[-1].set_weights([0.8 * rng.normal(size=kernel.shape), bias])
    return model


def test_active_units_are_measured_from_the_prior():
    """The prior's mean not taken away, its scale forgotten, a threshold that is met counted."""
    model, data = far_prior(), small_data(CVAE1)
    q, p = model.posterior(*map(tf.constant, data)), model.prior(tf.constant(data[1]))
    distance = (q.mean().numpy() - p.mean().numpy()) / p.stddev().numpy()
    variance = np.mean((distance - distance.mean(0)) ** 2, 0)
    units = diagnostics.active_units(model, *data)
    np.testing.assert_allclose(units.variance, variance, rtol=1e-5)
    at, above = units.variance.min(), units.variance.max()
    assert at < above
    np.testing.assert_array_equal(
        diagnostics.active_units(model, *data, threshold=at).active, units.variance > at
    )
    assert diagnostics.active_units(model, *data, threshold=above).count == 0
    nothing = diagnostics.active_units(far_prior(GSNN), *data)  # q is the prior
    np.testing.assert_array_equal(nothing.variance, 0)
    assert nothing.count == 0


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("model_class", [CVAE1, CVAE3])
def test_use_exchanges_two_examples(model_class, seed):
    """A shuffle that leaves an example in its place; a z moved without its prior, or on it only.

    With two examples there is one exchange: all is written out, with latents moved along the prior.
    """
    model, data = far_prior(model_class), [d[[0, 3]] for d in small_data(model_class)]
    names = model.data_names
    given = dict(zip(names, data, strict=True))
    observed, condition = model.observed, "xy".replace(model.observed, "")
    assert np.any(given[condition][0] != given[condition][1])
    epsilon = noise.normal(16, 2, 2, key=noise.key(seed, "diagnostics: use")).numpy()
    q, p, _ = model.factors(*map(tf.constant, data))
    mean, scale, m, s = (t.numpy() for t in (q.mean(), q.stddev(), p.mean(), p.stddev()))
    z = mean + scale * epsilon
    moved = m + s * ((z - m) / s)[:, ::-1]

    def log_p(z):
        probabilities = model.likelihood(tf.constant(given[condition]), z).mean().numpy()
        value = xlogy(given[observed], probabilities)
        if observed == "x":  # Bernoulli; y is categorical
            value = value + xlogy(1 - given[observed], 1 - probabilities)
        return value.sum(-1)

    drop = np.mean(log_p(z) - log_p(moved), 0)
    use = diagnostics.use(model, *data, seed=seed)
    np.testing.assert_allclose(use.z.mean, drop.mean(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(use.z.standard_error, drop.std(ddof=1) / np.sqrt(2), rtol=1e-4)
    wrong = [d if name == observed else d[::-1] for name, d in zip(names, data, strict=True)]
    right, other = (model.bound(*d, noise=epsilon).elbo.numpy() for d in (data, wrong))
    np.testing.assert_allclose(use.given.mean, np.mean(right - other), rtol=1e-4, atol=1e-5)


def test_use_leaves_no_example_in_its_place():
    """With q = p for all and a decoder that reads z off, an example in its place has no drop."""
    model = small_model(VAE, hidden=(), x=6, z=6)
    raw = float(model.latent.raw_from_scale(0.01))
    model.posterior_net.layers[-1].set_weights(
        [np.concatenate([np.eye(6), np.zeros((6, 6))], 1), np.r_[np.zeros(6), np.full(6, raw)]]
    )
    model.likelihood_net.layers[-1].set_weights([20 * np.eye(6), np.full(6, -10.0)])
    for seed in range(5):
        use = diagnostics.use(model, np.eye(6, dtype="float32"), seed=seed)
        assert use.z.mean == pytest.approx(20, abs=0.2)  # two pixels wrong, 10 nats each
        assert use.z.standard_error < 0.2


# evaluation ---------------------------------------------------------------------------------------


def test_the_gap_reports_bounds_on_the_same_noise_sixteen_times_as_much():
    """Fewer draws, or other ones for the best q than for the network's: more error, no word."""
    model, data = small_model(CVAE1), small_data(CVAE1, num_rows=6)
    gap = evaluation.gap(model, *data, steps=3, noise_samples=2, num_samples=40, seed=5)
    epsilon = noise.normal(32, 6, 2, key=noise.key(5, "gap: reporting"))
    np.testing.assert_allclose(gap.bound, model.bound(*data, noise=epsilon).value, rtol=1e-5)
    _, prior, log_likelihood = model.factors(*map(tf.constant, data))
    best = SGVBB()(gaussian(gap.best_mean, gap.best_scale), prior, log_likelihood, epsilon)
    np.testing.assert_allclose(gap.best_bound, best.value, rtol=1e-5)
    log_p = model.log_likelihood(*data, num_samples=40, seed=5)
    np.testing.assert_allclose(gap.log_likelihood, log_p, rtol=1e-6)


# semi_supervised ----------------------------------------------------------------------------------


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
    with pytest.raises(ValueError, match="num_examples"):
        model.set_counts(*counts)
    assert (model.num_labelled, model.num_examples) == (2, 9)


@pytest.mark.parametrize("counts", [(0, 1), (1, 1), (0, 5), (5, 5), (None, None)], ids=str)
def test_counts_at_their_limits_are_taken(counts):
    """A data set of one example, without labels or with nothing but labels, refused."""
    model = small_model(M2)
    model.set_counts(*counts)
    assert (model.num_labelled, model.num_examples) == counts


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
