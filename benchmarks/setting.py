"""What every side of the speed comparison shares: data, initial weights, sizes. NumPy alone.

A worker is a process for one side of one row. It prepares itself, says "ready", and then answers
each line "go" with the seconds one round took, so that the driver can let the sides take turns.
"""

import json
import os
import resource
import sys
import time

import numpy as np

ROWS = {
    # name: x, y, hidden, latent, batch, examples, epochs per round
    "VAE, digits": (64, 0, (128, 128), 2, 64, 1797, 20),
    "CVAE-1, digits": (64, 10, (128, 128), 2, 64, 1797, 20),
    "VAE, MNIST size": (784, 0, (500, 500), 20, 128, 6464, 1),
    "CVAE-1, MNIST size": (784, 10, (500, 500), 20, 128, 6464, 1),
    "VAE, convolutional 28×28": (784, 0, 32, 20, 128, 1344, 1),
    "M2, sum over 10 classes": (784, 10, (500,), 50, 100, 2050, 1),
}
DEVICE = os.environ.get("CVAE_TF_DEVICE", "cpu")
LEARNING_RATE = 1e-3
MIN_SCALE = 1e-4
CLASSES = 10
M2_ALPHA = 0.1
EVALUATION = {"x": 784, "hidden": (500, 500), "latent": 20, "examples": 64, "samples": 5000}


def row(name):
    """(x, y, hidden, latent, batch, examples, epochs) of a row, or of one written as JSON."""
    return ROWS[name] if name in ROWS else tuple(json.loads(name)["row"])


def is_m2(name):
    return name.startswith("M2") or "M2" in name


def data(row_name):
    """Binary images (each a noisy copy of its class's prototype), one-hot classes, labels."""
    size, y, _, _, _, num_rows, _ = row(row_name)
    classes = y or CLASSES
    rng = np.random.default_rng(0)
    prototypes = rng.uniform(size=(classes, size)) < 0.3
    labels = rng.integers(0, classes, num_rows)
    flips = rng.uniform(size=(num_rows, size)) < 0.1
    x = (prototypes[labels] ^ flips).astype("float32")
    return x, np.eye(classes, dtype="float32")[labels], labels


def factors(row_name):
    """{net: layer sizes} of the row's multilayer perceptrons."""
    x, y, hidden, z, *_ = row(row_name)
    if is_m2(row_name):
        return {
            "classifier": (x, *hidden, y),
            "posterior": (x + y, *hidden, 2 * z),
            "likelihood": (y + z, *hidden, x),
        }
    nets = {"posterior": (x + y, *hidden, 2 * z), "likelihood": (y + z, *hidden, x)}
    if y:
        nets["prior"] = (y, *hidden, 2 * z)
    return nets


def weights(sizes, seed=0):
    """Glorot-uniform kernels and zero biases, the same on every side."""
    rng = np.random.default_rng(seed)
    layers = []
    for fan_in, fan_out in zip(sizes[:-1], sizes[1:], strict=True):
        limit = np.sqrt(6 / (fan_in + fan_out))
        kernel = rng.uniform(-limit, limit, (fan_in, fan_out)).astype("float32")
        layers.append((kernel, np.zeros(fan_out, "float32")))
    return layers


def serve(prepare):
    """Prepare, say so, then time a round for each "go"; at "loss", say the last training loss.

    Args:
        prepare: function that returns (round, loss): `round()` trains for the row's epochs and
            returns the number of steps, `loss()` the mean loss of the last round's last epoch.
    """
    begin = time.perf_counter()
    play, loss = prepare()
    play()  # compiles what is compiled
    print(json.dumps({"ready": time.perf_counter() - begin}), flush=True)
    for line in sys.stdin:
        if line.strip() == "go":
            start = time.perf_counter()
            steps = play()
            print(
                json.dumps({"seconds_per_step": (time.perf_counter() - start) / steps}), flush=True
            )
        elif line.strip() == "loss":
            print(json.dumps({"loss": float(loss())}), flush=True)
        elif line.strip() == "memory":
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(json.dumps({"peak_megabytes": peak}), flush=True)
        else:
            break
