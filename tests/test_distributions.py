"""Families against SciPy, and draws as functions of noise."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from requirements_of_a_model import check_limits
from scipy import special, stats
from scipy.special import logsumexp

from cvae_tf import VAE, distributions, networks, noise
from cvae_tf.distributions import (
    Categorical,
    Gaussian,
    MixtureOfGaussians,
    ObservedOnly,
    draw,
    from_noise,
    observe,
    tfd,
)


def random_mixture(seed, num_components=3, dim=1):
    rng = np.random.default_rng(seed)
    family = MixtureOfGaussians(num_components, dtype="float64")
    return family(rng.normal(size=(1, family.raw_size(dim))) * 1.5)


def test_draws_from_a_mixture_have_its_distribution():
    prior = random_mixture(3)
    z = draw(prior, 50_000, 1, 1, key=4, dtype="float64").numpy().ravel()
    probabilities = prior.mixture_distribution.probs_parameter().numpy()[0]
    parts = prior.components_distribution

    def cdf(values):
        means, scales = parts.mean().numpy()[0, :, 0], parts.stddev().numpy()[0, :, 0]
        return np.sum(probabilities * stats.norm.cdf(values[:, None], means, scales), 1)

    assert stats.kstest(z, cdf).pvalue > 1e-3


def test_a_given_scale_keeps_its_digits():
    family = Gaussian(0.1, dtype="float64")
    scale = family(tf.zeros([3, 2], "float64")).stddev()
    np.testing.assert_array_equal(scale, np.full([3, 2], 0.1))


def test_gaussian_scales():
    """The four sources of σ agree where they hold the same number."""
    raw = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    x = raw + 0.3
    expected = -0.5 * (0.3**2 / 0.5**2 + np.log(2 * np.pi * 0.5**2)) * 3
    for scale in ("shared", "per_dimension", 0.5):
        family = Gaussian(scale, initial_scale=0.5)
        np.testing.assert_allclose(family(raw).log_prob(x), expected, rtol=1e-5)
        assert len(family.trainable_variables) == (scale != 0.5)
    family = Gaussian("network")
    with_scale = np.concatenate([raw, np.full((5, 3), family.raw_from_scale(0.5))], 1)
    np.testing.assert_allclose(
        family(with_scale.astype("float32")).log_prob(x), expected, rtol=1e-5
    )


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


EVENTS = {"a vector": (4,), "a sequence": (5, 4), "a label map": (3, 2, 4)}


@pytest.mark.parametrize("name", EVENTS)
def test_categories_of_any_shape_have_one_log_probability_an_example(name):
    """One-hot sequences and label maps: log-probabilities add up over positions."""
    event, rng = EVENTS[name], np.random.default_rng(0)
    raw = rng.normal(size=(7, *event)).astype("float32")
    y = np.eye(4, dtype="float32")[rng.integers(0, 4, (7, *event[:-1]))]
    family = Categorical()
    family.build((None, *event))
    by_hand = np.sum(y * special.log_softmax(raw, -1), tuple(range(1, raw.ndim)))
    np.testing.assert_allclose(family(raw).log_prob(y), by_hand, rtol=1e-5)
    nets = networks.mlps(VAE, x=event, z=2, hidden=(4,), family=(mine := Categorical()))
    model = VAE(**nets, family=mine)
    model.compile(jit_compile=False)
    assert np.isfinite(model.fit(y, verbose=0).history["loss"]).all()
    assert model.bound(y).value.shape == model.log_likelihood(y, num_samples=3).shape == (7,)
    drawn = model.generate(6, sample=True)
    assert drawn.shape == (6, *event) and np.all(drawn.sum(-1) == 1)
    np.testing.assert_allclose(model.generate(6).sum(-1), 1, rtol=1e-5)
    with pytest.raises(ValueError, match="not one-hot"):
        model.bound(y * 0.5)


RULES = {  # a distribution of one number, and SciPy's
    "Normal": (lambda: one(tfd.Normal([1.0], 2.0)), stats.norm(1, 2)),
    "diagonal": (lambda: tfd.MultivariateNormalDiag([1.0], [2.0]), stats.norm(1, 2)),
    "triangular": (lambda: tfd.MultivariateNormalTriL([1.0], [[2.0]]), stats.norm(1, 2)),
    "Sample": (lambda: tfd.Sample(tfd.Laplace(1.0, 2.0), 1), stats.laplace(1, 2)),
    "LogNormal": (lambda: one(tfd.LogNormal([0.3], 0.5)), stats.lognorm(0.5, scale=np.exp(0.3))),
    "Laplace": (lambda: one(tfd.Laplace([1.0], 2.0)), stats.laplace(1, 2)),
    "Logistic": (lambda: one(tfd.Logistic([1.0], 2.0)), stats.logistic(1, 2)),
    "Uniform": (lambda: one(tfd.Uniform([-1.0], 3.0)), stats.uniform(-1, 4)),
    "Exponential": (lambda: one(tfd.Exponential([2.0])), stats.expon(scale=0.5)),
    "mixture": (
        lambda: tfd.MixtureSameFamily(
            tfd.Categorical(probs=[0.5, 0.5]), one(tfd.Normal([[1.0], [1.0]], 2.0))
        ),
        stats.norm(1, 2),
    ),
}


def one(distribution):
    return tfd.Independent(distribution, 1)


@pytest.mark.parametrize("name", RULES)
def test_draws_have_the_distribution_they_are_drawn_from(name):
    """Every prior was once sampled as a Gaussian of its mean and deviation."""
    make, reference = RULES[name]
    z = draw(make(), 4, 3000, 1, key=5).numpy()
    assert stats.kstest(z.ravel(), reference.cdf).pvalue > 1e-3
    few = draw(make(), 4, 5, 1, key=5, first_row=10)
    np.testing.assert_allclose(few, z[:, 10:15], rtol=1e-5, atol=1e-6)


def test_a_correlated_gaussian_is_drawn_correlated_with_a_batch_of_its_own():
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(3, 2)).astype("float32")
    scale = np.tril(rng.normal(size=(3, 2, 2))).astype("float32")
    epsilon = rng.normal(size=(5, 3, 2)).astype("float32")
    p = tfd.MultivariateNormalTriL(mean, scale)
    expected = mean + np.einsum("bij,lbj->lbi", scale, epsilon)
    drawn = distributions.from_noise(p, tf.constant(epsilon))
    np.testing.assert_allclose(drawn, expected, rtol=1e-4, atol=1e-5)
    alike = tfd.Sample(tfd.Normal(mean[:, 0], 2.0), 2)
    expected = mean[:, :1] + 2 * epsilon
    drawn = distributions.from_noise(alike, tf.constant(epsilon))
    np.testing.assert_allclose(drawn, expected, rtol=1e-5, atol=1e-6)


def test_the_rule_that_was_added_last_is_asked_first(monkeypatch):
    monkeypatch.setattr(distributions, "_RULES", list(distributions._RULES))
    epsilon = tf.constant([[[0.5]]])

    class Mine(tfd.Normal):
        pass

    assert float(distributions.from_noise(Mine(1.0, 2.0), epsilon)[0, 0, 0]) == 2.0
    distributions.drawn_by(Mine)(lambda distribution, epsilon, u: epsilon - 7)
    assert float(distributions.from_noise(Mine(1.0, 2.0), epsilon)[0, 0, 0]) == -6.5
    assert float(distributions.from_noise(tfd.Normal(1.0, 2.0), epsilon)[0, 0, 0]) == 2.0


def test_the_centre_is_the_mean_or_what_no_noise_gives():
    assert float(distributions.centre(tfd.Normal(3.0, 2.0))) == 3.0
    bent = tfd.TransformedDistribution(tfd.Normal(0.3, 2.0), tfp.bijectors.SinhArcsinh(0.2, 1.1))
    expected = bent.bijector.forward(0.3)
    np.testing.assert_allclose(distributions.centre(bent), expected, rtol=1e-6)


@pytest.mark.parametrize("scale", [np.float32(0.5), np.float64(0.5), np.array(0.5), 0.5])
def test_numbers_of_numpy_are_numbers(scale):
    np.testing.assert_array_equal(Gaussian(scale)(tf.zeros([2, 3])).stddev(), 0.5)


@pytest.mark.parametrize("scale", [0, -1, np.nan, np.inf, None, "big", True, [0.5]])
def test_what_is_no_scale_is_refused(scale):
    with pytest.raises((ValueError, TypeError), match="scale="):
        Gaussian(scale)


@pytest.mark.parametrize("event", [(1,), (6,), (7,), (48,), (784,), (4, 3, 2)], ids=str)
def test_the_sum_of_bits_is_the_sum_of_cross_entropies(event):
    """Also at logits where e^l is no number, for grey x, and with x shared by draws."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(3, 16, *event)) * 10.0 ** rng.integers(-3, 4, (3, 16, *event))
    x = rng.choice([0.0, 1.0, 0.3], (16, *event))
    each = x * logits - np.logaddexp(0, logits)
    axes = tuple(range(2, 2 + len(event)))
    for dtype, tolerance in (("float32", 2e-6), ("float64", 1e-14)):
        family = distributions.Bernoulli(dtype=dtype)
        family.build((None, *event))
        raw = tf.Variable(logits, dtype=dtype)
        with tf.GradientTape() as tape:
            log_p = family(raw).log_prob(tf.constant(x, dtype))
        scale = np.abs(each).sum(axes).max()
        close = {"rtol": 10 * tolerance, "atol": tolerance * scale}
        np.testing.assert_allclose(log_p, each.sum(axes), **close)
        slope = x - 1 / (1 + np.exp(-np.clip(logits, -500, 500)))
        np.testing.assert_allclose(tape.gradient(log_p, raw), slope, atol=10 * tolerance)


def test_the_sum_of_bits_has_the_gradients_of_its_formula():
    """In x as well, and a second time."""
    rng = np.random.default_rng(0)
    family = distributions.Bernoulli(dtype="float64")
    family.build((None, 6))
    x, raw = (tf.Variable(rng.uniform(size=s), dtype="float64") for s in ((5, 6), (3, 5, 6)))
    with tf.GradientTape(persistent=True) as outer:
        with tf.GradientTape(persistent=True) as tape:
            mine = family(raw).log_prob(x) ** 2
            theirs = tf.reduce_sum(x * raw - tf.math.softplus(raw), -1) ** 2
        first = [tape.gradient(value, [x, raw]) for value in (mine, theirs)]
        norms = [tf.add_n([tf.reduce_sum(g**2) for g in each]) for each in first]
    second = [outer.gradient(norm, [x, raw]) for norm in norms]
    both = zip(first[0] + second[0], first[1] + second[1], strict=True)
    for one, other in both:
        np.testing.assert_allclose(one, other, rtol=1e-9)


def test_an_observed_only_family_is_made_again_from_its_config():
    family = ObservedOnly(Gaussian("per_dimension", min_scale=0.25))
    config = keras.saving.serialize_keras_object(family)
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is ObservedOnly and again.family.min_scale == 0.25


def test_the_noise_of_a_quantile_stays_inside_its_range():
    """At ε = ±9 float32's distribution function is 0 or 1, where a quantile is infinite."""
    ends = tf.constant([[[-9.0]], [[9.0]]])
    gumbel = tfd.Gumbel(tf.zeros([1, 1]), 1.0)
    drawn = from_noise(tfd.Independent(gumbel, 1), ends).numpy()
    assert np.isfinite(drawn).all() and drawn[0] < -2.5 < 9 < drawn[1]


def test_rows_that_tfp_draws_are_the_same_wherever_a_call_begins():
    """No rule draws a Dirichlet: each row has a seed of its own, of its number."""
    rates = np.random.default_rng(0).uniform(1, 3, (5, 3)).astype("float32")
    make = lambda rows: tfd.Dirichlet(rates[rows])  # noqa: E731
    whole = observe(make(slice(None)), (2, 5), (3,), True, seed=4)
    part = observe(make(slice(2, None)), (2, 3), (3,), True, seed=4, first_row=2)
    np.testing.assert_array_equal(part, whole[:, 2:])
    assert len(np.unique(whole.numpy().round(5), axis=1)[0]) == 5


def test_the_draws_of_a_mixture_are_pinned():
    """Which component a row draws comes from a stream of its own, key + 1."""
    mixture = MixtureOfGaussians(2)(tf.constant([[0.0, 0.0, -9.0, 9.0, -9.0, -9.0]]))
    drawn = draw(mixture, 8, 1, 1, key=3).numpy().ravel()
    u = noise.uniform(1, 8, key=4).numpy().ravel()
    np.testing.assert_array_equal(drawn > 0, u > 0.5)
    assert 0 < (drawn > 0).sum() < 8


def test_an_event_has_one_dimension_at_least():
    """A mixture of three takes 3 · (1 + 2d) raw numbers: three would be of d = 0."""
    family = MixtureOfGaussians(3)
    assert family.event_size(9) == 1
    with pytest.raises(ValueError, match="takes 9, 15"):
        family.event_size(3)


LIMITS = {  # the argument, what uses it, what is refused, what is taken
    "scale": ("scale", Gaussian, [0, -1e-9, 1e-300, 1e39], [1e-9]),
    "min_scale": ("min_scale", lambda v: Gaussian(min_scale=v), [-1e-9], [0, 0.5]),
    "min_scale of a mixture": (
        "min_scale", lambda v: MixtureOfGaussians(2, min_scale=v), [-1e-9], [0, 2.0]
    ),
    "initial_scale": (
        "initial_scale", lambda v: Gaussian(initial_scale=v, min_scale=0.5), [0.5, 1e39], [0.501]
    ),
    "num_components": ("num_components", MixtureOfGaussians, [0], [1]),
}  # fmt: skip


@pytest.mark.parametrize("name", LIMITS)
def test_an_argument_out_of_range_is_refused(name):
    argument, use, refused, taken = LIMITS[name]
    check_limits(use, argument, refused, taken)


def test_a_learned_scale_begins_where_it_was_told_under_a_name_of_its_own():
    for scale, shape in (("shared", ()), ("per_dimension", (3,))):
        family = Gaussian(scale, initial_scale=0.7, min_scale=0.2)
        deviation = family(tf.zeros([2, 3])).stddev()
        np.testing.assert_allclose(deviation, np.full((2, 3), 0.7), rtol=1e-6)
        assert family.raw_scale.shape == shape and family.raw_scale.name == "raw_scale"
        family.raw_scale.assign(np.full(shape, -50.0))
        np.testing.assert_allclose(family(tf.zeros([2, 3])).stddev(), 0.2, rtol=1e-6)
    raw = np.concatenate([np.ones((2, 3, 2)), -50 * np.ones((2, 3, 2))], -1)
    wide = Gaussian("network", min_scale=0.25)(tf.constant(raw, "float32"))
    np.testing.assert_allclose(wide.stddev(), np.full((2, 3, 2), 0.25), rtol=1e-6)
    np.testing.assert_allclose(wide.mean(), np.ones((2, 3, 2)))
    assert Gaussian().min_scale == 1e-4 and Gaussian().initial_scale == 1


EXPLAINED = {  # of a family, what it can explain and what it cannot
    "Bernoulli": (distributions.Bernoulli(), [[0, 1], [0.5, 0]], [[[-1e-3, 1]], [[0, 1.001]]]),
    "Categorical": (
        Categorical(),
        [[0, 1, 0], [1, 0, 0]],
        [[[0, 0, 0]], [[1, 1, 0]], [[0.5, 0.5, 0]], [[2, -1, 0]], [[0, 0, 1], [0, 0, 2]]],
    ),
    "parts": (
        ObservedOnly(distributions.Bernoulli()),
        [[np.nan, np.nan], [0, np.nan]],
        [[[np.nan, 2]], [[np.inf, 0]]],
    ),
    "parts, all missing": (ObservedOnly(Categorical()), [[np.nan, np.nan]], [[[np.nan, 1]]]),
}


@pytest.mark.parametrize("name", EXPLAINED)
def test_what_a_family_can_explain(name):
    family, good, bad = EXPLAINED[name]
    family.check(np.array(good, "float32"), "x")
    for values in bad:
        with pytest.raises(ValueError, match=r"^x has .*[Ee]xpected"):
            family.check(np.array(values, "float32"), "x")


def test_a_parts_mean_stands_in_only_where_it_counts_nothing():
    """Images of which a channel is missing: a sum over what is there, on all axes of the event."""
    rng = np.random.default_rng(0)
    family = ObservedOnly(Gaussian(0.5))
    family.build((None, 2, 3))
    raw, x = rng.normal(size=(2, 4, 5, 2, 3))
    x = np.where(rng.uniform(size=x.shape) < 0.4, np.nan, x)
    each = stats.norm.logpdf(x, raw, 0.5)
    log_p = family(tf.constant(raw, "float32")).log_prob(tf.constant(x, "float32"))
    np.testing.assert_allclose(log_p, np.nansum(each, (-2, -1)), rtol=1e-4, atol=1e-4)


def test_phi_is_clipped_half_a_step_inside_of_0_and_1():
    epsilon = np.array([-40.0, -1.0, 0.0, 0.7, 40.0])
    for dtype, tolerance in (("float32", 1e-6), ("float64", 1e-12)):
        u = distributions._uniform(tf.constant(epsilon, dtype)).numpy()
        half = np.finfo(dtype).eps / 2
        np.testing.assert_allclose(u[1:4], stats.norm.cdf(epsilon[1:4]), rtol=tolerance)
        assert u[0] == half and u[-1] == 1 - half and u.dtype == dtype


def test_a_gaussian_s_draw_is_not_clipped():
    for p in (tfd.Normal(1.0, 2.0), tfd.MultivariateNormalDiag([1.0], [2.0])):
        assert float(from_noise(p, tf.constant([[[12.0]]]))[0, 0, 0]) == 25


def test_a_choice_at_the_edge_is_the_lower_category():
    """u = ½ where the categories meet: one convention, for every version."""
    zero = tf.zeros([1, 1, 2])
    assert from_noise(tfd.Bernoulli(probs=[0.5, 0.6]), zero)[0, 0].numpy().tolist() == [0, 1]
    found = from_noise(tfd.OneHotCategorical(probs=[[0.5, 0.5]]), zero)
    assert found.numpy().tolist() == [[[1, 0]]]


@pytest.mark.parametrize("batch", [(5,), (3, 5)])
def test_categories_are_drawn_by_the_first_number_of_their_noise(batch):
    rng = np.random.default_rng(0)
    probabilities, epsilon = rng.dirichlet(np.ones(4), size=batch), rng.normal(size=(3, 5, 4))
    categories = tfd.OneHotCategorical(probs=tf.constant(probabilities))
    drawn = from_noise(categories, tf.constant(epsilon)).numpy()
    u = stats.norm.cdf(epsilon[..., :1])
    chosen = (u > np.cumsum(probabilities, -1)[..., :-1]).sum(-1)
    np.testing.assert_array_equal(drawn, np.eye(4)[chosen])
    assert drawn.dtype == "float64" and len(set(chosen.ravel())) > 2


def test_a_mixture_of_batches_is_drawn_by_hand():
    rng = np.random.default_rng(0)
    family = MixtureOfGaussians(3, dtype="float64")
    mixture = family(tf.constant(rng.normal(size=(5, family.raw_size(2)))))
    drawn = draw(mixture, 4, 5, 2, key=8, dtype="float64").numpy()
    epsilon = noise.normal(4, 5, 2, key=8, dtype="float64").numpy()
    u = noise.uniform(5, 4, key=9, dtype="float64").numpy().T
    weights = mixture.mixture_distribution.probs_parameter().numpy()
    chosen = (u[..., None] > np.cumsum(weights, -1)[:, :-1]).sum(-1)  # [L, B]
    parts = mixture.components_distribution
    mean, scale = parts.mean().numpy(), parts.stddev().numpy()
    rows = np.arange(5)
    np.testing.assert_allclose(drawn, mean[rows, chosen] + scale[rows, chosen] * epsilon)
    with pytest.raises(TypeError, match="Received a mixture as q"):
        from_noise(mixture, tf.constant(epsilon))


def test_a_sample_of_matrices_is_drawn_along_its_own_axes():
    """tfd.Sample of several event axes: each number of the event has the batch's parameters."""
    rng = np.random.default_rng(0)
    mean, epsilon = rng.normal(size=5), rng.normal(size=(4, 5, 2, 3))
    drawn = from_noise(tfd.Sample(tfd.Normal(mean, 0.5), (2, 3)), tf.constant(epsilon))
    np.testing.assert_allclose(drawn, mean[:, None, None] + 0.5 * epsilon)


def test_a_rule_may_replace_any_other(monkeypatch):
    monkeypatch.setattr(distributions, "_RULES", list(distributions._RULES))
    for distribution in (random_mixture(0), tfd.Normal(0.0, 1.0), tfd.Laplace(0.0, 1.0)):
        distributions.drawn_by(type(distribution))(lambda p, epsilon, u: "mine")
        assert from_noise(distribution, None) == "mine"


def test_what_no_rule_draws_is_refused():
    joint = tfd.JointDistributionSequential([tfd.Normal(0.0, 1.0), tfd.Normal(0.0, 1.0)])
    for odd in (tfd.Dirichlet(tf.ones([3])), tfd.VonMises(0.0, 1.0), joint):
        with pytest.raises(TypeError, match=f"Received a {type(odd).__name__}, and no rule"):
            from_noise(odd, tf.zeros([1, 1, 3]))


@pytest.mark.parametrize("num_samples", [None, 3])
def test_observations_are_pinned(num_samples):
    """A threshold on noise of a key of their own; where no rule says how, a seed for each row."""
    p = np.random.default_rng(0).uniform(size=(5, 3))
    bits = tfd.Independent(tfd.Bernoulli(probs=tf.constant(p), dtype="float64"), 1)
    size, number = (num_samples, 5), num_samples or 1
    key = noise.key(7, "observation")
    epsilon = noise.normal(number, 5, 3, key=key, first_row=2, dtype="float64").numpy()
    drawn, expected = observe(bits, size, (3,), True, 7, 2), stats.norm.cdf(epsilon) < p
    np.testing.assert_array_equal(drawn, expected if num_samples else expected[0])
    mean = observe(bits, size, (3,), False, 7)
    np.testing.assert_allclose(mean, p if num_samples is None else np.tile(p, (3, 1, 1)))
    dirichlet = tfd.Dirichlet(tf.constant(5 * p, "float32"))
    drawn = observe(dirichlet, size, (3,), True, 7, 2)
    each = [dirichlet[r].sample([number], seed=[key % 2**31, 2 + r]) for r in range(5)]
    expected = np.stack(each, 1)
    np.testing.assert_array_equal(drawn, expected if num_samples else expected[0])


def test_the_centre_of_what_has_no_mean_has_as_many_rows_as_were_asked_for():
    shift = tfp.bijectors.SinhArcsinh(0.2, 1.1)
    bent = tfd.TransformedDistribution(tfd.Independent(tfd.Normal([0.3, 0.1], 2.0), 1), shift)
    expected = shift.forward([0.3, 0.1]).numpy()
    np.testing.assert_allclose(distributions.centre(bent), expected, rtol=1e-6)
    np.testing.assert_allclose(distributions.centre(bent, 4), np.tile(expected, (4, 1)), rtol=1e-6)


def test_a_diagonal_gaussian_is_one_of_independent_normals():
    normal = tfd.Normal(tf.zeros([2]), 1.0)
    assert distributions.is_diagonal_gaussian(tfd.Independent(normal, 1))
    assert not distributions.is_diagonal_gaussian(normal)
    assert not distributions.is_diagonal_gaussian(tfd.Independent(tfd.Laplace([0.0], 1.0), 1))
    assert not distributions.is_diagonal_gaussian(tfd.Sample(tfd.Normal(0.0, 1.0), 2))
    standard = distributions.standard_normal(3, "float64")
    assert standard.batch_shape == () and standard.event_shape == (3,)
    z = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_allclose(standard.log_prob(z), stats.norm.logpdf(z).sum(-1), rtol=1e-12)


@pytest.mark.parametrize("policy", ["float32", "float64", "mixed_bfloat16", "bfloat16"])
def test_a_family_computes_in_float32_or_better(policy):
    wanted = "float64" if policy == "float64" else "float32"
    made = [distributions.Bernoulli(dtype=policy), Gaussian(dtype=policy)]
    made.append(ObservedOnly(distributions.Bernoulli(dtype=policy)))
    assert {family.compute_dtype for family in made} == {wanted}
    for family in (distributions.Bernoulli(dtype=policy), Categorical(dtype=policy)):
        assert family(tf.zeros([2, 3], wanted)).dtype == wanted
    assert ObservedOnly(made[0], dtype="float64").compute_dtype == "float64"


FAMILIES = [
    (
        Gaussian("per_dimension", initial_scale=0.5, min_scale=0.01),
        {"scale": "per_dimension", "initial_scale": 0.5, "min_scale": 0.01},
    ),
    (Gaussian(0.3), {"scale": 0.3}),
    (MixtureOfGaussians(3, min_scale=0.2), {"num_components": 3, "min_scale": 0.2}),
]


@pytest.mark.parametrize(("family", "config"), FAMILIES)
def test_a_family_is_made_again_from_its_config(family, config):
    again = type(family).from_config(family.get_config())
    for made in (family, again):
        assert {name: getattr(made, name) for name in config} == config
        assert made.params_per_dim == 1 and made.part_rank == 0 and not made.allows_missing
    assert Gaussian("network").params_per_dim == 2 and Categorical.part_rank == 1
    parts = ObservedOnly(Gaussian("network"))
    assert parts.params_per_dim == 2 and parts.part_rank == 0 and parts.allows_missing
    assert parts.raw_size(3) == 6 and parts.event_size(6) == 3


def test_a_mixture_has_the_batch_axes_of_its_raw_output():
    family = MixtureOfGaussians(2, dtype="float64")
    raw = np.random.default_rng(0).normal(size=(4, 5, family.raw_size(3)))
    whole = family(raw)
    assert whole.batch_shape == (4, 5) and whole.event_shape == (3,)
    z = np.random.default_rng(1).normal(size=(4, 5, 3))
    for i in range(4):
        np.testing.assert_allclose(family(raw[i]).log_prob(z[i]), whole.log_prob(z)[i])
