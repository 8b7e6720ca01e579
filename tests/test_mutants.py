"""Broken models fail: each mistake that packages really contain is rejected by a check."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from requirements_of_a_model import (
    check_evaluate,
    check_gradient,
    check_graph,
    check_identity,
    check_noise_matters,
)

from cvae_tf import CVAE1
from cvae_tf.distributions import tfd
from cvae_tf.estimators import SGVBB, Bound, Estimator, reparameterise

pytestmark = pytest.mark.slow


class Mutant(Estimator):
    """SGVB-B in three pieces; each mutant breaks one."""

    def sample(self, q, noise):
        return reparameterise(q, noise)

    def kl(self, q, prior):
        return tfd.kl_divergence(q, prior)

    def combine(self, reconstruction, kl):
        return reconstruction - kl

    def __call__(self, q, prior, log_likelihood, noise):
        reconstruction = tf.reduce_mean(log_likelihood(self.sample(q, noise)), 0)
        kl = self.kl(q, prior)
        return Bound(self.combine(reconstruction, kl), reconstruction, kl)


class KLAveragedOverDimensions(Mutant):
    def kl(self, q, prior):
        return super().kl(q, prior) / q.event_shape[0]


class WrongSign(Mutant):
    def combine(self, reconstruction, kl):
        return reconstruction + kl


class KLReversed(Mutant):
    def kl(self, q, prior):
        return tfd.kl_divergence(prior, q)


class ScaleTakenForLogVariance(Mutant):
    def kl(self, q, prior):
        mistaken = tfd.Independent(tfd.Normal(q.mean(), tf.exp(q.stddev() / 2)), 1)
        return super().kl(mistaken, prior)


class VarianceTakenForScale(Mutant):
    def sample(self, q, noise):
        return q.mean() + q.variance() * noise


class MeanDecoded(Mutant):
    def sample(self, q, noise):
        return q.mean() + 0.0 * noise


class KLGradientCut(Mutant):
    def kl(self, q, prior):
        return tf.stop_gradient(super().kl(q, prior))


class SampleDetached(Mutant):
    def sample(self, q, noise):
        return tf.stop_gradient(super().sample(q, noise))


class DecoderIgnoresY(CVAE1):
    def likelihood(self, y, z):
        return super().likelihood(y * 0.0, z)


class PriorIgnoresY(CVAE1):
    def prior(self, y):
        return super().prior(y * 0.0)


class EncoderIgnoresY(CVAE1):
    def posterior(self, x, y):
        return super().posterior(x, y * 0.0)


class LastBatchOverWeighted(CVAE1):
    """The mean of batch means: a short batch counts as much as a full one."""

    def log(self, losses, bound, weights):
        one = Bound(*(tf.reduce_mean(term)[None] for term in bound))
        return super().log(tf.reduce_mean(losses)[None], one, None)


ESTIMATORS = {
    KLAveragedOverDimensions: check_identity,
    WrongSign: check_identity,
    KLReversed: check_identity,
    ScaleTakenForLogVariance: check_identity,
    VarianceTakenForScale: check_identity,
    MeanDecoded: check_identity,
    KLGradientCut: check_gradient,
    SampleDetached: check_gradient,
}


@pytest.mark.parametrize("mutant", ESTIMATORS)
def test_a_broken_estimator_is_rejected(mutant):
    with pytest.raises(AssertionError):
        ESTIMATORS[mutant](CVAE1, estimator=mutant())


@pytest.mark.parametrize("check", [check_identity, check_gradient])
@pytest.mark.parametrize("sound", [Mutant, SGVBB])
def test_the_unbroken_estimator_is_accepted(sound, check):
    check(CVAE1, estimator=sound())


def test_a_decoded_mean_is_rejected_by_its_stillness():
    class Still(CVAE1):
        def factors(self, x, y):
            q, p, log_likelihood = super().factors(x, y)
            return q, p, lambda z: log_likelihood(q.mean()[None] + 0 * z)

    with pytest.raises(AssertionError):
        check_noise_matters(Still)


@pytest.mark.parametrize("mutant", [DecoderIgnoresY, PriorIgnoresY, EncoderIgnoresY])
def test_a_model_that_ignores_y_is_rejected(mutant):
    with pytest.raises(AssertionError):
        check_graph(mutant, base=CVAE1)
    if mutant is not EncoderIgnoresY:  # a q that ignores y is a worse q, and its identity holds
        with pytest.raises(AssertionError):
            check_identity(mutant, base=CVAE1)


def test_an_over_weighted_last_batch_is_rejected():
    class InBatches(LastBatchOverWeighted):
        pass

    with pytest.raises(AssertionError):
        check_evaluate(InBatches)


@pytest.mark.parametrize("mutant", [KLGradientCut, SampleDetached, WrongSign])
def test_mutants_train_differently(mutant):
    """The mutation reaches `fit`: parameters after one step differ from the sound model's."""
    from requirements_of_a_model import small_data, small_model

    ends = []
    for estimator in (mutant(), SGVBB()):
        model = small_model(CVAE1, estimator=estimator)
        model.compile(keras.optimizers.SGD(0.1))
        model.fit(*small_data(CVAE1), batch_size=50, verbose=0)
        ends.append(np.concatenate([w.numpy().ravel() for w in model.trainable_variables]))
    assert np.abs(ends[0] - ends[1]).max() > 1e-4
