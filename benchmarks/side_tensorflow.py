"""The TensorFlow sides: the library through `fit`, plain Keras, and the matrix products alone.

python benchmarks/side_tensorflow.py SIDE ROW
"""

import json
import os
import sys
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras
import numpy as np
import setting
import tensorflow as tf

from cvae_tf import CVAE1, VAE, networks
from cvae_tf.distributions import Bernoulli


def model_of(row):
    x, y, hidden, z, *_ = setting.row(row)
    family = Bernoulli()
    keras.utils.set_random_seed(0)
    if "convolutional" in row:
        nets = networks.convs(VAE, x=(28, 28, 1), z=z, filters=hidden, hidden=128, family=family)
        return VAE(**nets, family=family)
    if setting.is_m2(row):
        from cvae_tf.semi_supervised import M2

        sizes = setting.factors(row)
        model = M2(
            classifier_net=networks.mlp([x], hidden, y),
            posterior_net=networks.mlp([x, y], hidden, 2 * z),
            likelihood_net=networks.mlp([y, z], hidden, x),
            family=family,
        )
        for name, shape in sizes.items():
            _assign(getattr(model, f"{name}_net"), setting.weights(shape))
        return model
    model_class = CVAE1 if y else VAE
    sizes = {"x": x, "z": z} | ({"y": y} if y else {})
    model = model_class(
        **networks.mlps(model_class, hidden=hidden, family=family, **sizes), family=family
    )
    for name, shape in setting.factors(row).items():
        _assign(getattr(model, f"{name}_net"), setting.weights(shape))
    return model


def _assign(net, layers):
    net.set_weights([array for layer in layers for array in layer])


def arrays_of(row):
    x, y, labels = setting.data(row)
    if setting.is_m2(row):
        return x, np.where(np.arange(len(x)) % 10 == 0, labels, -1).astype("int32")
    if "convolutional" in row:
        return (x.reshape(-1, 28, 28, 1),)
    return (x, y) if setting.row(row)[1] else (x,)


def ours(row):
    *_, batch, num_rows, epochs = setting.row(row)
    model, arrays = model_of(row), arrays_of(row)
    model.compile(keras.optimizers.Adam(setting.LEARNING_RATE))
    losses = []

    def play():
        history = model.fit(*arrays, batch_size=batch, epochs=epochs, verbose=0)
        losses[:] = history.history["loss"]
        return epochs * -(-num_rows // batch)

    return play, lambda: losses[-1]


def plain_keras(row):
    """The same networks under a `train_step` written as Keras's guide shows, default flags."""
    source = model_of(row)
    *_, batch, num_rows, epochs = setting.row(row)

    class Plain(keras.Model):
        def __init__(self):
            super().__init__()
            nets = (source.posterior_net, source.prior_net, source.likelihood_net)
            self.nets = [net for net in nets if net]
            self.seeds = keras.random.SeedGenerator(0)
            self.tracker = keras.metrics.Mean(name="loss")

        def call(self, inputs):
            return inputs

        def train_step(self, data):
            x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
            with tf.GradientTape() as tape:
                q = source.posterior_net([x, y] if y is not None else x, training=True)
                mean, raw = tf.split(q, 2, -1)
                scale = setting.MIN_SCALE + tf.nn.softplus(raw)
                z = mean + scale * keras.random.normal(tf.shape(mean), seed=self.seeds)
                if y is None:
                    prior_mean, prior_scale = 0.0, 1.0
                else:
                    prior_mean, raw = tf.split(source.prior_net(y, training=True), 2, -1)
                    prior_scale = setting.MIN_SCALE + tf.nn.softplus(raw)
                logits = source.likelihood_net([y, z] if y is not None else z, training=True)
                entropies = tf.nn.sigmoid_cross_entropy_with_logits(labels=x, logits=logits)
                kl = (
                    tf.math.log(prior_scale / scale)
                    + (scale**2 + (mean - prior_mean) ** 2) / (2 * prior_scale**2)
                    - 0.5
                )
                entropies = tf.reshape(entropies, [tf.shape(x)[0], -1])
                loss = tf.reduce_mean(tf.reduce_sum(entropies, -1) + tf.reduce_sum(kl, -1))
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply(gradients, self.trainable_variables)
            self.tracker.update_state(loss, sample_weight=tf.shape(x)[0])
            return {"loss": self.tracker.result()}

        @property
        def metrics(self):
            return [self.tracker]

    model, arrays, losses = Plain(), arrays_of(row), []
    model.compile(keras.optimizers.Adam(setting.LEARNING_RATE))

    def play():
        history = model.fit(*arrays, batch_size=batch, epochs=epochs, verbose=0)
        losses[:] = history.history["loss"]
        return epochs * -(-num_rows // batch)

    return play, lambda: losses[-1]


def products(row):
    """The floor: a step's matrix products (forward, and two backward) and nothing else."""
    *_, batch, num_rows, epochs = setting.row(row)
    repeats = setting.CLASSES if setting.is_m2(row) else 1
    shapes = [
        (batch * (1 if name == "classifier" else repeats), fan_in, fan_out)
        for name, sizes in setting.factors(row).items()
        for fan_in, fan_out in zip(sizes[:-1], sizes[1:], strict=True)
    ]
    inputs = [
        (tf.random.normal([b, i]), tf.random.normal([i, o]), tf.random.normal([b, o]))
        for b, i, o in shapes
    ]
    steps = epochs * -(-num_rows // batch)

    @tf.function(jit_compile=False, autograph=False)
    def run():
        # One dependency from step to step keeps the products from being hoisted out of the loop.
        def body(step, carry):
            total = tf.zeros([])
            for h, kernel, gradient in inputs:
                out = tf.matmul(h + carry, kernel)
                back = tf.matmul(gradient, kernel, transpose_b=True)
                update = tf.matmul(h, gradient + carry, transpose_a=True)
                total += out[0, 0] + back[0, 0] + update[0, 0]
            return step + 1, total * 0.0

        return tf.while_loop(lambda step, _: step < steps, body, [0, tf.zeros([])])[1]

    def play():
        run().numpy()  # waits for the device
        return steps

    return play, lambda: float("nan")


def _evaluation_model():
    s = setting.EVALUATION
    family = Bernoulli()
    nets = networks.mlps(VAE, x=s["x"], z=s["latent"], hidden=s["hidden"], family=family)
    return VAE(**nets, family=family)


def evaluate(_):
    """Importance-weighted log-likelihood, (2.6); a "step" is one sample of one example."""
    s, model = setting.EVALUATION, _evaluation_model()
    x = (np.random.default_rng(0).uniform(size=(s["examples"], s["x"])) < 0.5).astype("float32")

    def play():
        model.log_likelihood(x, num_samples=s["samples"])
        return s["examples"] * s["samples"]

    return play, lambda: float("nan")


def evaluate_products(_):
    """The decoder's matrix products for as many samples, in chunks of the same size."""
    s = setting.EVALUATION
    sizes = (s["latent"], *s["hidden"], s["x"])
    rows = 6400
    chunks = s["examples"] * s["samples"] // rows
    kernels = [tf.constant(kernel) for kernel, _ in setting.weights(sizes)]
    z = tf.random.normal([rows, s["latent"]])

    @tf.function(autograph=False)
    def run():
        def body(step, carry):
            h = z + carry
            for kernel in kernels:
                h = tf.matmul(h, kernel)
            return step + 1, h[0, 0] * 0.0

        return tf.while_loop(lambda step, _: step < chunks, body, [0, tf.zeros([])])[1]

    def play():
        run().numpy()  # waits for the device
        return chunks * rows

    return play, lambda: float("nan")


def grow_examples(_):
    """Streaming from a file that is never in memory: FixedLengthRecordDataset, 784 bytes a row."""
    path, num_rows = os.environ["CVAE_TF_STREAM"], int(os.environ["CVAE_TF_STREAM_ROWS"])
    model = model_of(json.dumps({"row": [784, 0, [32], 2, 2048, 0, 1]}))
    model.compile(keras.optimizers.Adam(setting.LEARNING_RATE))
    dataset = tf.data.FixedLengthRecordDataset(path, 784).batch(2048, drop_remainder=True)
    dataset = dataset.map(lambda rows: tf.cast(tf.io.decode_raw(rows, tf.uint8), tf.float32) / 255)
    losses = []

    def play():
        losses[:] = model.fit(dataset.prefetch(2), verbose=0).history["loss"]
        return num_rows // 2048

    return play, lambda: losses[-1]


def grow_samples(row):
    """`log_likelihood` with the number of samples in the row's name; a step is one sample."""
    num_samples, model = json.loads(row)["samples"], _evaluation_model()
    x = (np.random.default_rng(0).uniform(size=(8, 784)) < 0.5).astype("float32")

    def play():
        model.log_likelihood(x, num_samples=num_samples)
        return 8 * num_samples

    return play, lambda: float("nan")


def first_step():
    """Seconds from the call of `fit` to the end of the first call of the compiled program.

    The row's epoch of 29 steps is one call. A hook of `on_train_batch_end` would make it 29.
    """
    row = "VAE, digits"
    model, arrays = model_of(row), arrays_of(row)
    model.compile(keras.optimizers.Adam(setting.LEARNING_RATE))
    moments = []
    callback = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: moments.append(time.perf_counter())
    )
    start = time.perf_counter()
    model.fit(*arrays, batch_size=64, epochs=1, verbose=0, callbacks=[callback])
    print(json.dumps({"seconds": moments[0] - start}), flush=True)


SIDES = {
    "grow examples": grow_examples,
    "grow samples": grow_samples,
    "ours": ours,
    "Keras, plain": plain_keras,
    "matrix products": products,
    "evaluate, ours": evaluate,
    "evaluate, matrix products": evaluate_products,
}

if __name__ == "__main__":
    if setting.DEVICE == "gpu" and not tf.config.list_physical_devices("GPU"):
        raise RuntimeError("TensorFlow finds no GPU.")
    if sys.argv[1] == "first step":
        first_step()
    else:
        side, row = sys.argv[1:]
        setting.serve(lambda: SIDES[side](row))
