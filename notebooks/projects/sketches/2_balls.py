"""What a group finds in project 2. Prints the figures of its sketch; four minutes on two cores."""

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
import numpy as np
from sklearn.linear_model import LogisticRegression

from cvae_tf import CMMA, CVAE1, CVAE2, editing, evaluation, networks, schedules
from cvae_tf.distributions import Gaussian
from cvae_tf.penalties import Beta

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from data import HIGHEST, NOISE, SIDE, balls, seen_colour, seen_place, true_log_p

train, test = balls(4000, seed=0), balls(400, seed=1)
truth = true_log_p(test)
print("truth, log p(x|y), 400 test images:", evaluation.estimate(truth))
yellow = np.eye(4, dtype="float32")[np.full(400, 3)]
red = test.y[:, 0] == 1


def trained(kind, latent, seed=0, epochs=40):
    keras.utils.set_random_seed(seed)
    family = Gaussian(NOISE)
    nets = networks.mlps(
        kind, x=(SIDE, SIDE, 3), y=4, z=latent, hidden=(256, 128), family=family, activation="swish"
    )
    model = kind(**nets, family=family, seed=seed, penalty=Beta(schedules.Linear(600)))
    rate = keras.optimizers.schedules.CosineDecay(2e-3, epochs * 40)
    model.compile(keras.optimizers.Adam(rate))
    model.fit(train.x, train.y, batch_size=100, epochs=epochs, verbose=0)
    return model


def moved(images):
    """Share of yellow ones among edited red balls; by how many pixels they lie lower than before."""
    lower = SIDE * (seen_place(images)[red, 0] - test.place[red, 0])
    return (seen_colour(images)[red] == 3).mean(), lower.mean()


print(f"red balls lie higher than yellow ones by {SIDE * (HIGHEST[3] - HIGHEST[0]):.1f} px on average")
print("                 behind the truth             colour    red to yellow, z kept     by transport")
print("model, z, seed   (S = 500)                    from z    yellow   lower (px)       yellow   lower (px)")
kinds = ("CVAE-1", CVAE1, 2), ("CVAE-2", CVAE2, 2), ("CMMA", CMMA, 2), ("CMMA", CMMA, 6)
for name, kind, latent in kinds:
    for seed in (0, 1):
        model = trained(kind, latent, seed)
        behind = evaluation.estimate(truth - model.log_likelihood(test.x, test.y, num_samples=500))
        codes = [model.encode(*data[:2]) for data in (train, test)]
        reader = LogisticRegression(max_iter=2000).fit(codes[0], train.y.argmax(1))
        read = reader.score(codes[1], test.y.argmax(1))
        kept = moved(model.decode(codes[1], yellow))
        carried = moved(editing.transport(model, test.x, test.y, yellow))
        print(f"{name}, {latent}, {seed:<6}{behind!s:>28}{read:10.0%}{kept[0]:11.0%}{kept[1]:10.1f}"
              f"{carried[0]:17.0%}{carried[1]:10.1f}")  # fmt: skip
own = moved(model.reconstruct(test.x, test.y))
print(f"reconstructions of the red balls, last model: yellow {own[0]:.0%}, lower by {own[1]:.1f} px")
