"""Mixture priors against a numerical integral; penalties by hand; the plain ELBO in the logs."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from requirements_of_a_model import check_limits, small_data, small_model

from cvae_tf import CMMA, CVAE3, VAE, Baseline, noise, penalties
from cvae_tf.distributions import tfd
from cvae_tf.estimators import SGVBB, Bound, ImportanceWeighted


def _loss_and_logs(penalty, model_class=VAE, **options):
    model = small_model(model_class, penalty=penalty, **options)
    model.compile()
    data = small_data(model_class)
    logs = model.evaluate(*data, return_dict=True, verbose=0)
    return model, data, logs


@pytest.mark.parametrize("model_class", [VAE, CVAE3, CMMA])
def test_penalties_by_hand_and_the_plain_elbo_in_the_logs(model_class):
    """(7.3)–(7.5): the loss is the weighted objective, `elbo` what it is without."""
    plain, data, plain_logs = _loss_and_logs(None, model_class)
    bound = plain.bound(*data)
    q, prior, _ = plain.factors(*map(tf.constant, data))
    kl_j = np.asarray(
        np.log(prior.stddev() / q.stddev())
        + (q.variance() + (q.mean() - prior.mean()) ** 2) / (2 * prior.variance())
        - 0.5
    )
    expected = {
        penalties.Beta(1.0): -np.mean(bound.value),
        penalties.Beta(4.0): -np.mean(bound.reconstruction - 4 * bound.kl),
        penalties.FreeBits(0.0): -np.mean(bound.value),
        penalties.FreeBits(0.3): -np.mean(bound.reconstruction)
        + np.maximum(kl_j.mean(0), 0.3).sum(),
        penalties.MMD(0.0): -np.mean(bound.value),
    }
    for penalty, loss in expected.items():
        model, _, logs = _loss_and_logs(penalty, model_class)
        np.testing.assert_allclose(logs["loss"], loss, rtol=1e-5)
        for name in ("elbo", "reconstruction", "kl"):
            np.testing.assert_allclose(logs[name], plain_logs[name], rtol=1e-6)
        np.testing.assert_allclose(model.bound(*data).value, bound.value, rtol=1e-6)


def test_mmd_is_the_double_sum_and_sees_a_difference():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(40, 2)), rng.normal(size=(40, 2)) + 2

    def kernel(u, v):
        return 4 / (4 + np.sum((u - v) ** 2))

    pairs = [(i, j) for i in range(40) for j in range(40)]
    by_hand = (
        np.mean([kernel(a[i], a[j]) for i, j in pairs if i != j])
        + np.mean([kernel(b[i], b[j]) for i, j in pairs if i != j])
        - 2 * np.mean([kernel(a[i], b[j]) for i, j in pairs])
    )
    np.testing.assert_allclose(penalties.mmd(a, b), by_hand, rtol=1e-9)
    same = [
        float(penalties.mmd(rng.normal(size=(40, 2)), rng.normal(size=(40, 2)))) for _ in range(60)
    ]
    assert abs(np.mean(same)) < 4 * np.std(same) / np.sqrt(60), "unbiased: zero on average"
    assert by_hand > 10 * np.std(same)


@pytest.mark.parametrize("shapes", [((4,), (4,)), ((4, 2), (4, 3)), ((2, 4, 1), (2, 4, 1))])
def test_mmd_refuses_draws_that_are_no_rows_of_one_size(shapes):
    with pytest.raises(ValueError, match="[Ee]xpected"):
        penalties.mmd(*map(np.zeros, shapes))


@pytest.mark.parametrize("kind", [np.array, tf.constant])
def test_mmd_refuses_nan(kind):
    z = np.zeros((4, 2), "float32")
    with pytest.raises(ValueError, match="a sample has NaN"):
        penalties.mmd(kind(z + [0, np.nan]), z)


def test_mmd_weights_act_with_noise_of_their_own():
    _, _, plain = _loss_and_logs(penalties.MMD(0.0))
    model, data, logs = _loss_and_logs(penalties.MMD(10.0))
    own = noise.normal(2, 50, 2, key=noise.key(0, "evaluation: penalty"))
    q = model.posterior(*data)
    value = penalties.mmd(q.mean() + q.stddev() * own[0], own[1])
    np.testing.assert_allclose(logs["loss"] - plain["loss"], 10 * value, rtol=1e-3)


def test_warm_up_raises_beta_and_is_saved(tmp_path):
    model = small_model(VAE, penalty=penalties.Beta(0.0))
    model.compile(jit_compile=False)
    seen = []
    watch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append((float(model.penalty.beta), logs))
    )
    model.fit(
        *small_data(VAE), epochs=5, batch_size=10, verbose=0, callbacks=[penalties.WarmUp(4), watch]
    )
    np.testing.assert_allclose([beta for beta, _ in seen], [0.25, 0.5, 0.75, 1, 1])
    for beta, logs in seen:
        np.testing.assert_allclose(
            logs["loss"], -(logs["reconstruction"] - beta * logs["kl"]), rtol=1e-5
        )
        np.testing.assert_allclose(logs["elbo"], logs["reconstruction"] - logs["kl"], rtol=1e-5)
    model.save(tmp_path / "model.keras")
    assert float(keras.saving.load_model(tmp_path / "model.keras").penalty.beta) == 1
    plain = small_model(VAE)
    plain.compile()
    with pytest.raises(ValueError, match="WarmUp found penalty=None"):
        plain.fit(*small_data(VAE), verbose=0, callbacks=[penalties.WarmUp(4)])
    baseline = small_model(Baseline)
    baseline.compile()
    with pytest.raises(ValueError, match="WarmUp found penalty=None"):
        baseline.fit(*small_data(Baseline), verbose=0, callbacks=[penalties.WarmUp(4)])


def test_penalties_refuse_what_they_cannot_weight():
    with pytest.raises(ValueError, match="beta=-1"):
        penalties.Beta(-1)
    with pytest.raises(ValueError, match="ImportanceWeighted"):
        small_model(VAE, penalty=penalties.Beta(), estimator=ImportanceWeighted(3))
    with pytest.raises(TypeError, match="penalty='beta'"):
        small_model(VAE, penalty="beta")
    with pytest.raises(TypeError, match="estimator='A'"):
        small_model(VAE, estimator="A")
    assert isinstance(small_model(VAE).estimator, SGVBB)


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
    with pytest.raises(TypeError, match="epochs=2.5"):
        penalties.WarmUp(2.5)


@pytest.mark.parametrize("rows", [1, 9, 17])
def test_mmd_of_a_last_batch_of_one_row_is_nothing_and_not_nan(rows):
    """One row has no pair: divided by B − 1 = 0, it made all weights NaN."""
    model = small_model(VAE, penalty=penalties.MMD(10.0))
    model.compile(jit_compile=False)
    history = model.fit(*small_data(VAE, num_rows=rows), batch_size=8, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert all(np.isfinite(w).all() for w in model.get_weights())
    one = np.ones((1, 2))
    assert float(penalties.mmd(one, one + 3)) == 0


def test_a_penalty_asks_for_nothing_unless_it_says_so():
    assert penalties.Penalty.num_draws == 0 and not penalties.Penalty.sees_step
    assert penalties.FreeBits(0.1).num_draws == 0 and penalties.MMD(1.0).num_draws == 2


LIMITS = {  # what uses it, what is refused, what is taken
    "beta": (penalties.Beta, [-1e-9], [0.0, 1e-9]),
    "final": (lambda v: penalties.WarmUp(1, final=v), [-1e-9], [0.0, 1e-9]),
    "minimum": (penalties.FreeBits, [-1e-9], [0.0, 1e-9]),
    "weight": (penalties.MMD, [-1e-9], [0.0, 1e-9]),
}


@pytest.mark.parametrize("name", LIMITS)
def test_an_argument_out_of_range_is_refused(name):
    use, refused, taken = LIMITS[name]
    check_limits(use, name, refused, taken)


def test_a_penalty_is_built_and_only_beta_has_a_weight_which_does_not_train():
    """Unbuilt, Keras warns when it is saved; a β that trains goes to where the loss is least."""
    parts = penalties.Beta(2.0), penalties.FreeBits(0.1), penalties.MMD(1.0)
    assert all(part.built and not part.trainable_weights for part in parts)
    assert [w.name for part in parts for w in part.weights] == ["beta"]


def test_a_penalty_of_the_step_stands_at_step_0_where_none_is_given():
    penalty, bound = penalties.Beta(lambda step: 3.0 + step), Bound(*map(tf.constant, [0.0, 5, 2]))
    assert float(penalty(bound, None, None, None)) == -(5 - 3 * 2)
    assert float(penalty(bound, None, None, None, 4)) == -(5 - 7 * 2)


def test_warm_up_ends_at_the_beta_that_it_was_told():
    model = small_model(VAE, penalty=penalties.Beta(0.0))
    warm_up, seen = penalties.WarmUp(4, final=3.0), []
    warm_up.set_model(model)
    for epoch in range(6):
        warm_up.on_epoch_begin(epoch)
        seen.append(float(model.penalty.beta))
    assert seen == [0.75, 1.5, 2.25, 3, 3, 3]


def test_mmd_of_two_rows_of_whole_numbers_and_inside_a_trace():
    """Two rows have one pair; whole numbers are numbers; a tensor without values is no NaN."""
    a, b = np.array([[0, 1], [3, -1]]), np.array([[2, 2], [0, 5]])
    expected = squared_mmd(a, b)
    np.testing.assert_allclose(penalties.mmd(a, b), expected, rtol=1e-6)
    traced = tf.function(penalties.mmd)
    np.testing.assert_allclose(traced(*map(tf.constant, (a / 1, b / 1))), expected, rtol=1e-12)
    with pytest.raises(ValueError, match=r"one shape, \[B, d\]"):
        penalties.mmd(np.zeros((4, 2)), np.zeros((4, 3)))
    with pytest.raises(ValueError, match=r"one shape, \[B, d\]"):
        penalties.mmd(np.zeros(4), np.zeros(4))
