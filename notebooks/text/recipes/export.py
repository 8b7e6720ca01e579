# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How do I use a trained model where this package is not installed?
#
# Call `model.export_sampler(path)`. It writes a SavedModel of TensorFlow's with two functions: `generate`, the mean of
# $p(x \mid y, z)$ at a z from the prior, and `sample`, a draw. A process that has TensorFlow alone loads it and gets the
# same numbers as `model.generate`. For the networks themselves Keras's own `export` will do.

# %%
import importlib.util
import logging
import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np

from cvae_tf import CVAE1, datasets, distributions, networks, plotting

logging.getLogger("tensorflow").setLevel("ERROR")  # Keras's export tells where it has written files
digits = datasets.digits(binarise="fixed")
keras.utils.set_random_seed(0)

# %% [markdown]
# ## Train and export
#
# The seed of all draws goes into the file. Rows of one call differ, as their noise is that of their row. The argument
# `first_row` says with which row to begin.

# %%
family = distributions.Bernoulli()
nets = networks.mlps(CVAE1, x=64, y=10, z=4, hidden=(128,), family=family)
model = CVAE1(**nets, family=family)
model.compile(keras.optimizers.Adam(2e-3), jit_compile=False)
history = model.fit(digits.train.x, digits.train.y, batch_size=64, epochs=25, verbose=0)
folder = Path(tempfile.mkdtemp())
model.export_sampler(folder / "sampler", seed=7)

# %% [markdown]
# ## In a process with TensorFlow alone
#
# The program asks for two of each digit, and for two more that continue the noise.

# %%
# NBVAL_CHECK_OUTPUT
program = """
import sys
import numpy as np, tensorflow as tf
sampler = tf.saved_model.load(sys.argv[1])
y = np.repeat(np.eye(10, dtype="float32"), 2, 0)
np.savez(sys.argv[2], now=sampler.generate(y, 0), later=sampler.generate(y, len(y)), drawn=sampler.sample(y, 0))
print("cvae_tf" in sys.modules, "tensorflow_probability" in sys.modules)
"""
command = [sys.executable, "-c", program, str(folder / "sampler"), str(folder / "images.npz")]
print("imported there:", subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip())

# %%
images = np.load(folder / "images.npz")
y = np.repeat(np.eye(10, dtype="float32"), 2, 0)
np.testing.assert_allclose(images["now"], model.generate(y, seed=7), atol=1e-5)
again = model.generate(np.concatenate([y, y]), seed=7)[20:]
np.testing.assert_allclose(images["later"], again, atol=1e-5)
assert np.mean(images["drawn"] == model.generate(y, seed=7, sample=True)) > 0.99  # a threshold may be met on either side
print("largest difference:", np.abs(images["now"] - model.generate(y, seed=7)).max())

# %% tags=["hide-input"]
fig = plotting.image_grid(np.concatenate([images["now"][::2], images["now"][1::2], images["later"][::2]]), columns=10)
plotting.show(
    fig,
    "Three rows of the ten digits, in grey. The digits of a column are the same and differ in slant, width and weight.",
)

# %% [markdown]
# *From the other process: two draws of z for each digit, and a third that continues the noise.*
#
# ## A network by itself
#
# Where only the decoder is wanted, say for the browser or a phone, export that. It has no noise in it: z comes in. The
# formats `onnx` and others are there where their libraries are installed.

# %%
decoder, z = model.likelihood_net, np.zeros((1, 4), "float32")
decoder.export(folder / "decoder", verbose=False)
logits = keras.layers.TFSMLayer(folder / "decoder", call_endpoint="serve")([y[:1], z])
np.testing.assert_allclose(1 / (1 + np.exp(-logits)), model.decode(z, y[:1]), atol=1e-5)
if importlib.util.find_spec("tf2onnx") and importlib.util.find_spec("onnx"):
    decoder.export(folder / "decoder.onnx", format="onnx", verbose=False)

# %% [markdown]
# ## When this is the wrong tool
#
# - **To go on with training, or to evaluate,** save `model.save("model.keras")` and load it where this package is
#   installed. A SavedModel has no bound.
# - **A seed of one's own for each user.** The seed is fixed in the file. Export several, or begin each user at a
#   `first_row` of their own, which may be any 64-bit number.
# - **A likelihood of your own that no rule draws from noise,** such as counts. Then the file has `generate` and no
#   `sample`; see `distributions.drawn_by`.
