"""Which callbacks need every batch: a table of Keras's, the library's and users' own."""

import keras
import pytest
from requirements_of_a_model import small_data, small_model

from cvae_tf import VAE, penalties
from cvae_tf.callbacks import FirstStep, sees_batches


def _own(*hooks):
    body = {name: lambda self, batch, logs=None: None for name in hooks}
    return type("Own", (keras.callbacks.Callback,), body)


def _instance():
    callback = keras.callbacks.Callback()
    callback.on_train_batch_end = lambda batch, logs=None: None
    return callback


def _nothing(*_):
    pass


K = keras.callbacks
CASES = {  # callback, whether it sees batches of (train, test)
    "none": (lambda: [], (False, False)),
    "EarlyStopping": (lambda: K.EarlyStopping("loss"), (False, False)),
    "ReduceLROnPlateau": (lambda: K.ReduceLROnPlateau("loss"), (False, False)),
    "TerminateOnNaN": (K.TerminateOnNaN, (False, False)),
    "CSVLogger": (lambda: K.CSVLogger("log.csv"), (False, False)),
    "LearningRateScheduler": (lambda: K.LearningRateScheduler(_nothing), (False, False)),
    "ModelCheckpoint": (lambda: K.ModelCheckpoint("m.keras"), (False, False)),
    "ModelCheckpoint of batches": (lambda: K.ModelCheckpoint("m.keras", save_freq=3), (True, True)),
    "BackupAndRestore": (lambda: K.BackupAndRestore("b"), (False, False)),
    "BackupAndRestore of batches": (lambda: K.BackupAndRestore("b", save_freq=3), (True, True)),
    "TensorBoard": (lambda: K.TensorBoard("t"), (False, False)),
    "TensorBoard of batches": (lambda: K.TensorBoard("t", update_freq="batch"), (True, True)),
    "TensorBoard of every third": (lambda: K.TensorBoard("t", update_freq=3), (True, True)),
    "WarmUp": (lambda: penalties.WarmUp(3), (False, False)),
    "Lambda, epochs": (lambda: K.LambdaCallback(on_epoch_end=_nothing), (False, False)),
    "Lambda, batches": (lambda: K.LambdaCallback(on_train_batch_end=_nothing), (True, False)),
    "own, epochs": (_own("on_epoch_end"), (False, False)),
    "own, begin": (_own("on_train_batch_begin"), (True, False)),
    "own, end": (_own("on_train_batch_end"), (True, False)),
    "own, old name": (_own("on_batch_end"), (True, False)),
    "own, test": (_own("on_test_batch_end"), (False, True)),
    "own, inherited": (lambda: type("Heir", (_own("on_train_batch_end"),), {})(), (True, False)),
    "own, of Keras's": (
        lambda: type("Mine", (_own("on_train_batch_end"), K.EarlyStopping), {})(),
        (True, False),
    ),
    "an instance's": (_instance, (True, False)),
}


@pytest.mark.parametrize("name", CASES)
def test_which_callbacks_see_every_batch(name):
    make, expected = CASES[name]
    callback = make()
    every = callback if isinstance(callback, list) else [K.EarlyStopping("loss"), callback]
    listed = keras.callbacks.CallbackList(every, add_history=True, add_progbar=True)
    assert (sees_batches(listed, "train"), sees_batches(listed, "test")) == expected


def test_first_step_notes_where_training_begins():
    model, (x,) = small_model(VAE), small_data(VAE)
    model.compile(jit_compile=False)
    first = FirstStep()
    for expected in (0, 5):
        model.fit(x, batch_size=10, verbose=0, callbacks=[first])
        assert first.value == expected
