"""Train one model on two workers, here two processes on this machine that talk over loopback.

    python examples/two_workers.py                     # starts both, and waits
    python examples/two_workers.py --workers 1         # one process, for comparison

On real machines, start this file once on each with TF_CONFIG set by hand (docs/distributed.md);
nothing in the model changes. With the same global batches, two workers end where one does.
"""

import argparse
import json
import os
import socket
import subprocess
import sys

EPOCHS, GLOBAL_BATCH = 3, 64


def train(output):
    """What every worker runs; TF_CONFIG, if there is one, says who it is."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    is_worker = "TF_CONFIG" in os.environ
    # The strategy comes first: it connects the workers before TensorFlow does anything else.
    strategy = (
        tf.distribute.MultiWorkerMirroredStrategy() if is_worker else tf.distribute.get_strategy()
    )
    import keras
    import numpy as np

    from cvae_tf import CVAE1, datasets, distributions, networks

    keras.utils.set_random_seed(0)  # the same initial weights on every worker
    digits = datasets.digits(binarise="fixed")
    with strategy.scope():
        family = distributions.Bernoulli()
        nets = networks.mlps(CVAE1, x=64, y=10, z=2, hidden=(64,), family=family)
        model = CVAE1(**nets, family=family, seed=0)
        model.compile(keras.optimizers.Adam(1e-3))
    history = model.fit(
        digits.train.x, digits.train.y, batch_size=GLOBAL_BATCH, epochs=EPOCHS, verbose=0
    ).history
    task = json.loads(os.environ["TF_CONFIG"])["task"]["index"] if is_worker else 0
    print(f"worker {task}: elbo {history['elbo'][-1]:.4f} nats per image", flush=True)
    if output:
        weights = {f"w{i}": w.numpy() for i, w in enumerate(model.trainable_variables)}
        np.savez(f"{output}.{task}.npz", elbo=history["elbo"], **weights)


def free_ports(count):
    """Ports of this machine that nobody listens on, found by opening them all at once."""
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--output", help="prefix of .npz files with the final parameters")
    options = parser.parse_args()
    if options.workers == 1 or "TF_CONFIG" in os.environ:
        train(options.output)
        return 0
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(options.workers)]}
    workers = []
    for index in range(options.workers):
        config = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
        output = ["--output", options.output] if options.output else []
        workers.append(
            subprocess.Popen(
                [sys.executable, __file__, *output], env={**os.environ, "TF_CONFIG": config}
            )
        )
    return max(worker.wait() for worker in workers)


if __name__ == "__main__":
    sys.exit(main())
