"""A plain regression, for the tests of the loop: no probability in here.

Each model exists twice, on `ManyStepModel` and on `keras.Model`, so that the two can be compared.
"""

import keras
import numpy as np
import tensorflow as tf

from cvae_tf.training import ManyStepModel

N, SIZE, D = 53, 8, 3
BATCHES = -(-N // SIZE)
_rng = np.random.default_rng(0)
X = _rng.normal(size=(N, D)).astype("float32")
Y = (X @ np.array([[1.0], [-2.0], [0.5]]) + 0.3).astype("float32")
W = _rng.uniform(0.5, 2, N).astype("float32")
START = [np.full((D, 1), 0.1, "float32"), np.zeros(1, "float32")]


class Standard:
    """y = xA + b under Keras's own `train_step`, `test_step` and `predict_step`."""

    own_step = False

    def __init__(self, **options):
        super().__init__(**options)
        self.dense = keras.layers.Dense(1, name="dense")
        self.dense.build((None, D))
        self.dense.set_weights(START)
        self.built = True

    def call(self, x):
        return self.dense(x)


class Own(Standard):
    """The same by steps written out; the loss is Σwℓ/B, as Keras's is."""

    own_step = True

    def __init__(self, **options):
        super().__init__(**options)
        self.mean = keras.metrics.Mean("loss")

    def loss_of(self, data):
        x, y, w = keras.utils.unpack_x_y_sample_weight(data)
        losses = tf.reduce_mean((self.dense(x) - y) ** 2, -1)
        return tf.reduce_mean(losses if w is None else losses * w), tf.shape(x)[0]

    def train_step(self, data):
        with tf.GradientTape() as tape:
            loss, count = self.loss_of(data)
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        self.mean.update_state(loss, count)
        return self.get_metrics_result()

    def test_step(self, data):
        self.mean.update_state(*self.loss_of(data))
        return self.get_metrics_result()

    def predict_step(self, data):
        return self.dense(keras.utils.unpack_x_y_sample_weight(data)[0])

    @property
    def metrics(self):
        return [self.mean]


class ManyStandard(Standard, ManyStepModel):
    pass


class ManyOwn(Own, ManyStepModel):
    pass


class PlainStandard(Standard, keras.Model):
    pass


class PlainOwn(Own, keras.Model):
    pass


def made(kind, **options):
    model = kind()
    loss = {} if model.own_step else {"loss": "mse"}
    model.compile(keras.optimizers.Adam(0.05), jit_compile=False, **loss, **options)
    return model


def weights(model):
    return np.concatenate([w.ravel() for w in model.get_weights()])


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return BATCHES

    def __getitem__(self, index):
        rows = slice(index * SIZE, (index + 1) * SIZE)
        return X[rows], Y[rows]


def generator(endless=False):
    while True:
        for index in range(BATCHES):
            yield Batches()[index]
        if not endless:
            return


def dataset():
    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(SIZE)


FEEDS = {
    "arrays": lambda: {"x": X, "y": Y, "batch_size": SIZE, "shuffle": False, "epochs": 3},
    "arrays, weights": lambda: {**FEEDS["arrays"](), "sample_weight": W},
    "tensors": lambda: {**FEEDS["arrays"](), "x": tf.constant(X), "y": tf.constant(Y)},
    "tf.data": lambda: {"x": dataset(), "epochs": 3},
    "tf.data, unknown length": lambda: {"x": dataset().filter(lambda *_: True), "epochs": 3},
    "tf.data, endless": lambda: {"x": dataset().repeat(), "epochs": 3, "steps_per_epoch": 5},
    "tf.data, fewer steps": lambda: {"x": dataset(), "epochs": 2, "steps_per_epoch": 3},
    "generator": lambda: {"x": generator(), "epochs": 1},
    "generator, endless": lambda: {"x": generator(True), "epochs": 3, "steps_per_epoch": 9},
    "PyDataset": lambda: {"x": Batches(), "epochs": 3, "shuffle": False},
    "PyDataset, 3 workers": lambda: {"x": Batches(workers=3), "epochs": 3, "shuffle": False},
}
