"""Faces (lesson 06): a CMMA of the drawn faces, to generate with and to edit by (6.3) and (6.4)."""

from __future__ import annotations

import keras

from cvae_tf import faces, networks
from cvae_tf.conditional import CMMA
from cvae_tf.distributions import Gaussian

SIDE, LATENTS = 24, 26
EPOCHS, BATCH = 80, 100
FACES = 36_000  # drawn; two thirds of them train


def build() -> dict:
    keras.utils.set_random_seed(0)
    family = Gaussian(scale="shared", initial_scale=0.2, min_scale=0.02)
    sizes = {"x": SIDE * SIDE, "y": len(faces.ATTRIBUTES), "z": LATENTS}
    nets = networks.mlps(CMMA, **sizes, hidden=(128, 128), family=family, activation="swish")
    return {"CMMA": CMMA(**nets, family=family, seed=0)}


def train(models: dict) -> None:
    model, data = models["CMMA"], faces.drawn(FACES, size=SIDE, image=False, seed=0).train
    *weights, _ = model.likelihood_net.get_weights()
    model.likelihood_net.set_weights([*weights, data.x.mean(0)])  # begun at the mean face
    steps = EPOCHS * -(-len(data.x) // BATCH)
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, steps)))
    model.fit(data.x, data.y, batch_size=BATCH, epochs=EPOCHS, verbose=0)


def contents(models: dict) -> tuple[dict, dict]:
    """Faces that the model has not seen: attributes on the sliders' steps, and identities."""
    test = faces.drawn(60, size=SIDE, image=False, seed=1).test
    return {
        "attributes": list(faces.ATTRIBUTES),
        "binary": [kind == "binary" for kind in faces.ATTRIBUTES.values()],
        "faces": [
            {"y": y.round(1).tolist(), "identity": identity.round(2).tolist()}
            for y, identity in zip(
                test.y.astype("float64"), test.identity.astype("float64"), strict=True
            )
        ],
    }, {}
