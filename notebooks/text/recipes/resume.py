# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How do I resume a run that was stopped, and how do I train on several devices?
#
# Give `fit` the callback `keras.callbacks.BackupAndRestore(folder)` and start the same script again after a stop. The
# run goes on where it was, with the same order of the data and the same noise, and ends at the same weights. For
# several devices make and compile the model in the scope of a `tf.distribute` strategy. `batch_size` is the global
# batch, and the weights are again the same but for rounding.

# %%
import contextlib
import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]  # two virtual devices, in place of two GPUs
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
tf.get_logger().setLevel("ERROR")  # the strategy reports what it does
folder = Path(tempfile.mkdtemp())

# %% [markdown]
# ## A script
#
# The run is a file, so that another process can start it. `make` and `train` are what your own script would hold.

# %%
SCRIPT = '''import keras
from cvae_tf import CVAE1, datasets, distributions, networks

digits = datasets.digits(binarise="fixed")
held_out = digits.validation.x, digits.validation.y

def make(seed):
    keras.utils.set_random_seed(seed)  # of the initial weights
    family = distributions.Bernoulli()
    nets = networks.mlps(CVAE1, x=64, y=10, z=2, hidden=(64,), family=family)
    model = CVAE1(**nets, family=family, seed=0)
    model.compile(keras.optimizers.Adam(2e-3), jit_compile=False)
    return model

def train(model, *callbacks):
    options = {"batch_size": 100, "epochs": 8, "callbacks": list(callbacks), "verbose": 0}
    return model.fit(digits.train.x, digits.train.y, validation_data=held_out, **options).history'''
(folder / "run.py").write_text(SCRIPT)
sys.path.insert(0, str(folder))
import run

# %% [markdown]
# ## The run that nobody stops
#
# `ModelCheckpoint` keeps the best epoch as a `.keras` file, which is loaded and used like the model itself.

# %%
whole = run.make(seed=0)
best = keras.callbacks.ModelCheckpoint(folder / "best.keras", monitor="val_elbo", mode="max", save_best_only=True)
history = run.train(whole, best)
loaded = keras.saving.load_model(folder / "best.keras")
elbo = loaded.evaluate(*run.held_out, verbose=0, return_dict=True)["elbo"]
np.testing.assert_allclose(elbo, max(history["val_elbo"]), rtol=1e-6)
print(f"loaded from the file: {elbo:.4f} nats per image, best epoch of the run: {max(history['val_elbo']):.4f}")

# %% [markdown]
# ## Stopped in the middle, resumed in a new process
#
# The stop is an exception at the beginning of the sixth epoch. A kill does the same, since the backup is written at the
# end of each epoch. The new process begins with other initial weights. The backup replaces them.

# %%
def stop(epoch, logs):
    if epoch == 5:
        raise KeyboardInterrupt


RESUME = '''import keras, run
model = run.make(seed=1)
run.train(model, keras.callbacks.BackupAndRestore("backup"))
model.save("resumed.keras")'''
backup = keras.callbacks.BackupAndRestore(folder / "backup")
with contextlib.suppress(KeyboardInterrupt):
    run.train(run.make(seed=0), backup, keras.callbacks.LambdaCallback(on_epoch_begin=stop))
subprocess.run([sys.executable, "-c", RESUME], cwd=folder, check=True, capture_output=True)
resumed = keras.saving.load_model(folder / "resumed.keras")


# %%
# NBVAL_CHECK_OUTPUT
def furthest(model):  # the largest difference of a weight from the run that nobody stopped
    pairs = zip(whole.weights, model.weights, strict=True)
    return max(np.abs(a.numpy() - b.numpy()).max() for a, b in pairs)


assert furthest(resumed) < 1e-5  # 0 where both processes use as many threads
assert furthest(run.make(seed=0)) > 0.1  # a model that was not trained is far away
print(len(whole.weights), "arrays of weights, all equal to those of the run that nobody stopped")

# %% [markdown]
# ## Two devices
#
# Each step splits its 100 rows between two devices and adds up the gradients. The noise of a row depends on its place
# in the global batch, so each row has the noise that it had on one device.

# %%
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])  # without arguments: all GPUs
with strategy.scope():
    two = run.make(seed=0)
history = run.train(two)

# %%
# NBVAL_CHECK_OUTPUT
assert furthest(two) < 1e-4  # 96 steps, each with float32's rounding in another order
print(strategy.num_replicas_in_sync, "replicas end at the weights of one")

# %% [markdown]
# Both comparisons are with the weights of a run of its own, so they would show
# a lost batch, another order of the data, or noise that is shared between the devices.

# %% [markdown]
# ## When this is the wrong tool
#
# - **A stop within a long epoch.** The interrupted epoch is done again from its beginning. `save_freq=1000` saves every
#   1,000 batches, and training is slower, because a step then returns to Python.
# - **Networks with random layers of their own** (Dropout, GaussianNoise). Keras does not save their state, so a resumed
#   run differs from one that was not stopped.
# - **A small model on several devices.** Keras steps one by one there, and the devices wait for each other. On one
#   device `fit` runs many steps in one call. Measure before you move.
# - **Several machines.** The strategy is another one: see *More than one device, more than one machine* in the
#   reference.
