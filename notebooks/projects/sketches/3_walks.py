"""What a group finds in project 3. Prints the figures of its sketch; three minutes on two cores."""

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
import numpy as np

from cvae_tf import Baseline, FutureCVAE, evaluation, networks, schedules
from cvae_tf.distributions import Categorical
from cvae_tf.futures import draws
from cvae_tf.penalties import Beta

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from data import SEEN, WALKS, future_log_p, walks

x_test, y_test = walks(500, seed=1)
truth, independent = future_log_p(x_test, y_test)
print("−log p(y|x), 500 test sequences: truth", evaluation.estimate(-truth))
print("    best model of independent steps:  ", evaluation.estimate(-independent))
print("    short of the truth by             ", evaluation.estimate(truth - independent))


def trained(kind, rows, latent=0, warm_up=0, seed=0):
    keras.utils.set_random_seed(seed)
    family, steps = Categorical(), 2400
    nets = networks.mlps(kind, x=8, y=(10, 4), z=latent, hidden=(64, 64), family=family)
    penalty = {"penalty": Beta(schedules.Linear(warm_up))} if warm_up else {}
    model = kind(**nets, family=family, seed=seed, **penalty)
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(3e-3, steps)))
    x, y = walks(rows, seed=0)
    model.fit(x, y, batch_size=100, epochs=steps * 100 // rows, verbose=0)
    return model


def follows(model):
    """Of 50 futures for each sequence, the likeliest symbol at each step: the share that are a walk,
    and the mean number of different walks among them."""
    futures = draws(model, x_test, 50, sample=False).argmax(-1)  # [50, 500, 10]
    is_walk = (futures[:, :, None] == WALKS[:, SEEN:]).all(-1)  # [50, 500, walks]
    return is_walk.any(-1).mean(), is_walk.any(0).sum(-1).mean()


print("rows   model                      short of the truth           draws that walk, different ones   KL")
for rows in (4000, 400):
    for name, kind, options in (
        ("independent steps", Baseline, {}),
        ("CVAE, 2 latents", FutureCVAE, {"latent": 2}),
        ("CVAE, 2 latents, warm-up", FutureCVAE, {"latent": 2, "warm_up": 1200}),
    ):
        for seed in (0, 1):
            model = trained(kind, rows, seed=seed, **options)
            bound = model.bound(x_test, y_test)
            log_p = model.log_likelihood(x_test, y_test, num_samples=500) if options else bound.value
            short = evaluation.estimate(truth - np.asarray(log_p))
            walk, different = follows(model)
            print(f"{rows:<7}{name:26} {short!s:>27}{walk:14.0%}{different:14.1f}{np.mean(bound.kl):16.2f}")
