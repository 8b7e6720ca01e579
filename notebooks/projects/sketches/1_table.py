"""What a group finds in project 1. Prints the figures of its sketch; two minutes on two cores."""

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
import numpy as np
from scipy.stats import multivariate_normal
from sklearn.decomposition import PCA

from cvae_tf import VAE, evaluation, networks
from cvae_tf.distributions import Gaussian

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from data import patients

train, validation, test = patients()


def make(hidden, seed):
    keras.utils.set_random_seed(seed)
    family = Gaussian("shared")
    nets = networks.mlps(VAE, x=8, z=2, hidden=hidden, family=family, activation="tanh")
    return VAE(**nets, family=family, seed=seed)


def trained(hidden, seed, epochs, **options):
    model = make(hidden, seed)
    rate = keras.optimizers.schedules.CosineDecay(5e-3, epochs * 6)
    model.compile(keras.optimizers.Adam(rate))
    model.fit(train, batch_size=47, epochs=epochs, verbose=0, **options)
    return model


def keep_best():
    return keras.callbacks.EarlyStopping(
        "val_elbo", mode="max", patience=10_000, restore_best_weights=True
    )


pca = PCA(2).fit(train)
gaussian = multivariate_normal(train.mean(0), np.cov(train.T, bias=True))
exact = pca.score_samples(test)
print("PCA, two components, test:          ", evaluation.estimate(exact))
print("Gaussian with full covariance, test:", evaluation.estimate(gaussian.logpdf(test)))
apart = evaluation.estimate(gaussian.logpdf(test) - exact)
print("    ahead of PCA by                 ", apart)

linear = trained((), 0, 800)
on_train = linear.log_likelihood(train, num_samples=1000).mean() - pca.score(train)
print(f"linear VAE − PCA, training rows:      {on_train:.3f} nats")
print("linear VAE − PCA, test:             ", evaluation.estimate(linear.log_likelihood(test) - exact))

print("nonlinear VAE − PCA, test: best of 300 epochs by validation, and after 300 epochs")
models = []
for seed in range(3):
    pair = []
    for callbacks in ([keep_best()], []):
        options = {"validation_data": (validation,), "callbacks": callbacks}
        models.append(trained((32,), seed, 300, **options))
        log_p = models[-1].log_likelihood(test, num_samples=1000)
        pair.append(evaluation.estimate(log_p - exact))
    print(f"    seed {seed}: {pair[0]}, {pair[1]}")

kept = models[-2]  # the last seed, best by validation
curve = evaluation.importance_weighted_curve(kept, test, sizes=(1, 10, 100, 1000))
print("L_K, test:", ", ".join(f"K = {K}: {value.mean():.3f}" for K, value in curve.items()))
gap = evaluation.gap(kept, test, num_samples=1000)
for name in ("approximation", "amortisation"):
    print(f"{name:13} {evaluation.estimate(getattr(gap, name))}")
