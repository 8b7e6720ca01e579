# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 10 · Full size
#
# So far most models trained in seconds, on few pixels. What changes when images and runs grow? What must not change,
# and what may you say about the result?

# %% [markdown]
# **After this lesson you can**
#
# - put convolutional networks into a model, and count what they cost;
# - say what must stand beside a log-likelihood before anybody can compare it;
# - tell whether a network learns pixels by heart;
# - resume a stopped run, and end with the weights of a run that was never stopped;
# - estimate how many hours a run will take.
#
# **You need** CVAE-2 (lesson 04a), binary pixels, the training step (2.5) and (2.6) (lesson 02), and the weight $\beta$ of
# (7.3) (lesson 07). **Time:** 37 min in class, plus
# [exercises 10](exercises/10_full_size/10_full_size.ipynb).

# %% [markdown]
# | notation | what it is | in code |
# |---|---|---|
# | $x$ | image, [height, width, channels] | `x` |
# | $y$, $z$ | one-hot label, latent variable | `y`, `z` |
# | $q(z \mid x, y)$ | approximate posterior; its network is the **encoder** | `posterior_net` |
# | $p(x \mid y, z)$ | likelihood; its network is the **decoder** | `likelihood_net` |
# | $\mathcal L$ | **evidence lower bound (ELBO)**, nats per image | `bound`, `elbo` |
#
# The next cell divides the processor into two *logical* devices, for the fold on several devices. TensorFlow must know
# them before it does anything else.

# %% tags=["hide-input"]
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import tensorflow as tf

processor = tf.config.list_physical_devices("CPU")[0]
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(processor, two)
tf.get_logger().setLevel("ERROR")  # several models and devices make it talk

import contextlib
import inspect
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
from matplotlib.figure import Figure

from cvae_tf import CVAE2, datasets, networks, noise, plotting
from cvae_tf.distributions import Bernoulli
from cvae_tf.evaluation import estimate

# %% [markdown]
# ## What does not change
#
# The model is CVAE-2. Its ELBO is that of lesson 04a for images of every size:
#
# $$
# \mathcal L(\theta, \phi; x, y) = -\,\mathrm{KL}\big(q(z \mid x, y) \,\|\, p(z)\big)
# + \mathbb E_{q(z \mid x, y)}\big[\log p(x \mid y, z)\big]
# \tag{4.2}
# $$
#
# Neither (4.2) nor its code says what a network looks like inside, or what shape $x$ has:

# %% tags=["deck:factors"]
for factor in (CVAE2.prior, CVAE2.posterior, CVAE2.likelihood, CVAE2.factors):
    source = inspect.getsource(factor).splitlines()
    print("\n".join(line for line in source if '"""' not in line))

# %% [markdown]
# Only the encoder and the decoder change. Until now their layers were *dense*: every unit is joined to every input. A dense
# layer does not know which pixels are neighbours.
#
# A **convolution** does. It slides a few small *filters*, here of 3 × 3 weights per channel, over the image. What one
# filter finds is again an image, a *channel*. With a *stride* of 2 a filter moves two pixels at a time, which halves
# height and width. In the decoder, *transposed* convolutions double them.

# %% tags=["deck:build"]
# NBVAL_CHECK_OUTPUT
def build(kind, image, z=8, filters=16, hidden=64, width=118):
    """Networks for q(z|x,y) and p(x|y,z), and the family of the likelihood."""
    size = dict(x=image, y=10, z=z, family=Bernoulli())
    if kind == "dense":
        return networks.mlps(CVAE2, hidden=(width, width), **size), size["family"]
    return networks.convs(CVAE2, filters=filters, hidden=hidden, **size), size["family"]


nets, _ = build("convolutional", (28, 28, 1))
for name, net in nets.items():
    layers = [layer for layer in net.layers if not isinstance(layer, keras.layers.InputLayer)]
    given, steps = (
        ["×".join(map(str, tensor.shape[1:])) for tensor in tensors]
        for tensors in (net.inputs, [layer.output for layer in layers])
    )
    print(f"{name:15} {' and '.join(given)}: {' → '.join(steps)}")

# %% [markdown]
# Read `posterior_net` from left to right. Two convolutions make a small image of 32 channels. It becomes one long vector,
# and the label's ten numbers join it. After a dense layer come a mean and a raw scale for each of eight $z_j$.
#
# **Predict before you look.** A filter has nine weights per channel, however large the image. Do convolutional networks
# therefore have fewer parameters than dense ones? Do they stop growing with the image?

# %% tags=["hide-output", "deck:params"]
# NBVAL_CHECK_OUTPUT
print("pixels      dense 118-118   convolutional   of which in filters")
for side in (8, 28, 56):
    dense, convolutional = (build(kind, (side, side, 1))[0] for kind in ("dense", "convolutional"))
    count = [sum(net.count_params() for net in nets.values()) for nets in (dense, convolutional)]
    layers = [layer for net in convolutional.values() for layer in net.layers]
    filters = [layer for layer in layers if "Conv" in type(layer).__name__]
    inside = sum(layer.count_params() for layer in filters)
    print(f"{side:2} × {side:2}{count[0]:17,}{count[1]:16,}{inside:16,} ({inside / count[1]:.0%})")

# %% [markdown]
# <details class="answer"><summary>Answer</summary>
#
# They have fewer at 8 × 8 pixels, and at 56 × 56: 456,353 against 776,760. At 28 × 28 the numbers are alike, because the dense layers
# were made 118 units wide for that. The convolutional networks grow too: their dense layers next to the smallest image
# hold nearly all parameters. The filters hold only 5 to 11 %.
#
# </details>
#
# A convolution need not learn anew at each place what a stroke looks like.
#
# The term $\log p(x \mid y, z)$ is a *sum* over height, width and channels. Many losses take the mean over the pixels
# instead. Such a loss is (7.3) with another $\beta$.
#
# **Check yourself.** A loss is “mean over pixels + KL”, on grey images of 8 × 8 pixels. Which $\beta$ does it stand for?
#
# <details class="answer"><summary>Answer</summary>
#
# $\beta = 64$, the number of pixels. The loss is $1/64$ of “sum over pixels + 64 KL”.
#
# </details>

# %% [markdown] tags=["fold"]
# ### Does the library sum over the pixels?
#
# Here is (4.2) by hand, beside the library's bound. The reconstruction sums over the axes 1, 2 and 3: height, width,
# channels.

# %% tags=["fold"]
# NBVAL_CHECK_OUTPUT
nets, family = build("convolutional", (28, 28, 1))
model = CVAE2(**nets, family=family)
x = tf.constant(np.random.default_rng(0).integers(0, 2, (5, 28, 28, 1)), tf.float32)
y = tf.eye(5, 10)
epsilon = noise.normal(1, 5, 8, key=0)

mu, raw = tf.split(nets["posterior_net"]([x, y]), 2, axis=-1)
sigma = 1e-4 + tf.nn.softplus(raw)
kl = 0.5 * tf.reduce_sum(sigma**2 + mu**2 - 1 - tf.math.log(sigma**2), -1)  # (2.4) with N(0, I)
logits = nets["likelihood_net"]([y, mu + sigma * epsilon[0]])  # [5, 28, 28, 1]
reconstruction = tf.reduce_sum(x * logits - tf.nn.softplus(logits), axis=[1, 2, 3])
value = model.bound(x, y, noise=epsilon).value
agree = np.allclose(-kl + reconstruction, value, rtol=1e-5, atol=0)
print("−KL + reconstruction is the library's bound:", agree)
assert agree

# %% [markdown]
# ## Data: which pixels, which images
#
# Lesson 02 drew binary pixels: a grey value is the probability of ink. A **stream** draws new pixels in each *epoch*, that
# is, in each pass over the data. The draw is a function of the seed and the epoch. *Fixed* binarisation draws once for
# all. The images are those of lesson 00, a part of MNIST.

# %% tags=["deck:stream"]
grey, fixed = datasets.mnist_10k(image=True), datasets.mnist_10k(image=True, binarise="fixed")
image, epochs, latent = grey.train.x.shape[1:], 12, 8
validation = fixed.validation.x[:300], fixed.validation.y[:300]
test = x_test, y_test = fixed.test.x[:300], fixed.test.y[:300]


def new_stream(x=grey.train.x, y=grey.train.y, first_epoch=0):
    """New pixels at every pass, from grey values; binary ones stay as they are."""
    return datasets.fresh_batches(x, y, batch_size=100, seed=0, first_epoch=first_epoch)


print(f"images of {image}; an epoch: {len(new_stream())} batches of 100")

# %% tags=["hide-input", "deck:pixels"]
pick = np.argsort(grey.train.labels[:500], kind="stable")[25::50][:8]
draws = [datasets.binarise(grey.train.x[pick], seed=seed) for seed in (1, 2, 3)]
rows = np.stack([grey.train.x[pick], *draws, grey.train.x[pick] > 0.5])
fig = plotting.image_grid(
    rows.reshape(5, 8, -1), image_shape=image[:2], row_labels=["grey", *["a draw"] * 3, "above ½"]
)
alt = (
    "Five rows of eight digits: grey; three draws in black and white, which differ in the pixels at "
    "the edges of strokes; and the grey values cut at one half, with clean edges."
)
plotting.show(fig, alt)

# %% [markdown]
# *Top: grey values. Then three draws of each image. Last: cut at one half.*
#
# The draws differ at the edges of strokes, where the ink fades. These pixels are chance, so they cost nats whoever predicts
# them. Pixels cut at one half contain no such chance.
#
# Training images serve the gradient, validation images every decision on the way, such as when to stop. Test images serve
# only the numbers at the end.
#
# **Check yourself.** You report the network with the best test bound of ten. What is wrong with this bound?
#
# <details class="answer"><summary>Answer</summary>
#
# The choice has used the test images. The best of ten is partly luck, so on average this bound is too high.
#
# </details>

# %% [markdown]
# ## Training a convolutional CVAE-2
#
# `fit` takes a stream as it takes arrays. The step size falls to zero along a cosine.

# %% tags=["deck:train"]
def make(kind="convolutional", strategy=None, seed=0):
    """A CVAE-2 for these images; one seed, one set of initial weights."""
    keras.utils.set_random_seed(seed)
    with strategy.scope() if strategy else contextlib.nullcontext():
        nets, family = build(kind, image, z=latent)
        return CVAE2(**nets, family=family, seed=seed)


def train(model, epochs=epochs):
    stream = new_stream()
    rate = keras.optimizers.schedules.CosineDecay(3e-3, epochs * len(stream))
    model.compile(keras.optimizers.Adam(rate))
    begun = time.perf_counter()
    history = model.fit(stream, epochs=epochs, validation_data=validation, verbose=0).history
    return history | {"seconds": time.perf_counter() - begun}


cvae = make()
fresh = train(cvae)
for name in ("elbo", "val_elbo"):
    step = fresh[name][-1] - fresh[name][-2]
    print(f"{name:8} {fresh[name][-1]:7.2f} nats, of which the last epoch {step:+.2f}")

# %% tags=["hide-input", "deck:sheet"]
labels = np.arange(10)
sheet = cvae.generate(np.tile(np.eye(10), (6, 1)), seed=2).reshape(6, 10, -1)
real = grey.test.x[[np.flatnonzero(grey.test.labels == k)[0] for k in labels]].reshape(10, -1)
fig = plotting.image_grid(
    np.concatenate([real[None], sheet]), image_shape=image[:2], column_labels=labels,
    xlabel="the label asked for", row_labels=["real", *["generated"] * 6],
)  # fmt: skip
alt = (
    "Seven rows of ten digits from 0 to 9: a row of real test images and six rows of generated ones, "
    "many of them the digit of their column, others blurred or another digit."
)
plotting.show(fig, alt)

# %% [markdown]
# *Top: one real test image of each digit. Below: the mean of $p(x \mid y, z)$ for new $z$. After so few epochs many
# are no digit yet, or another one.*
#
# **Predict before you look.** You train a dense CVAE-2 with about as many parameters on the same stream, for as many epochs.
# Which model has the higher $\log p(x \mid y)$? And if the dense one gets three times the epochs? Importance weights measure it:
#
# $$
# \mathcal L_K = \mathbb E_{z_1, \dots, z_K \sim q}\left[
# \log \frac1K \sum_{k=1}^{K} \frac{p(x, z_k)}{q(z_k \mid x)} \right],
# \qquad \mathcal L_1 = \mathcal L, \quad \mathcal L_K \le \mathcal L_{K+1} \le \log p(x)
# \tag{2.6}
# $$
#
# Here every density is also given $y$. The number of draws is called $S$ where it measures and does not train. The
# baseline “pixels, no z” gives each pixel of a label its own probability.

# %%
dense, longer = make("dense"), make("dense")
fresh_dense, long_dense = train(dense), train(longer, epochs=3 * epochs)
share = np.stack([fixed.train.x[fixed.train.labels == k].mean(0) for k in labels])
share = share.clip(1e-3, 1 - 1e-3)[fixed.test.labels[:300]]  # each pixel of a label by itself
log_p = {
    "convolutional": cvae.log_likelihood(*test, num_samples=200),
    "dense": dense.log_likelihood(*test, num_samples=200),
    "dense, 3 × epochs": longer.log_likelihood(*test, num_samples=200),
    "pixels, no z": np.log(np.where(x_test == 1, share, 1 - share)).sum((1, 2, 3)),
}

# %% tags=["hide-output", "deck:race"]
print("log p(x|y), 300 test images, fixed draw, S = 200      convolutional ahead by")
for name, nats in log_p.items():
    ahead = estimate(log_p["convolutional"] - nats)
    paired = f"{ahead.mean:12.2f} ± {ahead.standard_error:.2f}" if ahead.mean else ""
    print(f"    {name:18}{estimate(nats)}{paired}")
took = [run["seconds"] / fresh["seconds"] for run in (fresh_dense, long_dense)]
print("seconds of training, convolutional 1: dense", ", 3 × epochs ".join(f"{share:.2f}" for share in took))
assert ahead.mean > 20

# %% [markdown]
# <details class="answer"><summary>Answer</summary>
#
# For as many epochs the convolutional one, by 4.10 ± 0.71 nats. With three times the epochs the dense one, by
# 11.81 ± 0.68 nats, and it still takes less time. So “the better network” depends on what is held equal: epochs or time.
# Only the dense one was trained longer, and this is one seed. Both beat the baseline without $z$.
#
# </details>
#
# **Check yourself.** A difference is three times its standard error over images. Why may the next training run reverse it?
#
# <details class="answer"><summary>Answer</summary>
#
# This error covers only the choice of test images. Initial weights and training noise change with the seed.
#
# </details>

# %% [markdown]
# ## One model, many numbers
#
# The trained model does not change any more. **Predict before you look:** by how many nats can you move “its
# log-likelihood”, by choices that a report often leaves out?

# %%
def measure(x, y=y_test, num_samples=100):
    return cvae.log_likelihood(x.astype("float32"), y, num_samples=num_samples)


grey_test, reference = grey.test.x[:300], log_p["convolutional"]
numbers = {
    "test, fixed draw, S = 200": reference,
    "… S = 10": measure(x_test, num_samples=10),
    "… S = 1, the bound": cvae.bound(*test).value.numpy(),
    "another draw of the pixels": measure(datasets.binarise(grey_test, seed=1)),
    "pixels cut at one half": measure(grey_test > 0.5),
    "grey values, not binary": measure(grey_test),
    "training images": measure(fixed.train.x[:300], fixed.train.y[:300]),
}

# %% tags=["hide-output", "deck:measures"]
print("one model, 300 images (S = 100     nats per image     minus the first, image by image")
print("where nothing is said)")
for name, nats in numbers.items():
    e, d = estimate(nats), estimate(nats - reference)
    paired = "" if name == "training images" else f"{d.mean:+10.2f} ± {d.standard_error:.2f}"
    print(f"{name:28}{e.mean:14.2f} ± {e.standard_error:.2f}{paired}")
moved = {name: nats.mean() - reference.mean() for name, nats in numbers.items()}
assert moved["pixels cut at one half"] > 5 and moved["… S = 1, the bound"] < 0

# %% tags=["hide-input", "hide-output", "deck:dots"]
shown = {name: estimate(nats) for name, nats in numbers.items()}
green, ink = plotting.colour("CVAE2"), plotting.colour("baseline")
with plotting.style():
    fig = Figure(figsize=(12, 5), layout="constrained")
    ax = fig.subplots()
    for row, e in enumerate(shown.values()):
        ax.errorbar(e.mean, -row, xerr=e.standard_error, fmt="o", color=green if row == 0 else ink,
                    capsize=5, ms=11 if row == 0 else 8)  # fmt: skip
    ax.axvline(reference.mean(), color=green, lw=1.5, ls=(0, (2, 2)))
    ax.set_yticks(-np.arange(len(shown)), list(shown))
    ax.set_xlabel("“log p(x|y)” of one and the same model (nats per image)")
plotting.show(
    fig,
    "Seven points with error bars, one for each way to measure. Those for S = 10, another draw, grey values and "
    "training images lie near the dashed line of the first; S = 1 lies nats to the left of it, pixels cut at one half to the right.",
)

# %% [markdown]
# <details class="answer"><summary>Answer</summary>
#
# *Dashed: test images, a fixed draw, $S = 200$.*
#
# Pixels cut at one half gain 6.22 ± 0.40 nats. These images are easier, because the chance at the edges is gone. The model
# is no better. With $S = 1$ you get the bound, here 4.56 ± 0.26 nats lower. Training images have −118.59 ± 2.05 nats, test
# images −117.65 ± 2.02: between so few images no difference shows.
#
# For grey values between 0 and 1 the formula gives no probability: its values do not add up to one over all images.
#
# </details>
#
# So beside each such number belong **the estimator and $S$, the binarisation, the split, and an error bar with what it is
# over.**
#
# **Check yourself.** May you compare one paper's $\log p(x)$ with another's $\log p(x \mid y)$ of the same images?
#
# <details class="answer"><summary>Answer</summary>
#
# No. The second model is given the label.
#
# </details>
#
# [What has been reproduced](../docs/reproduced.md) puts published numbers beside this library's, with those settings.

# %% [markdown]
# ## When to stop
#
# You can draw fresh pixels in every epoch, or keep one draw for good. The longer dense run has seen fresh draws. `restart` takes
# it back to its first weights, then it trains on one draw. (A stream repeats pixels that are already binary.) **Predict
# before you look:** in which run is the training bound further above the validation bound?
#
# `EarlyStopping` puts back the weights of the best validation bound. Its patience is the whole run here, so it ends nothing.

# %%
keep_best = keras.callbacks.EarlyStopping(
    "val_elbo", mode="max", patience=3 * epochs, restore_best_weights=True
)
longer.restart(make("dense").get_weights())
kept = longer.fit(
    new_stream(fixed.train.x), epochs=3 * epochs, validation_data=validation, callbacks=[keep_best], verbose=0
).history

# %% tags=["hide-output", "deck:stopping"]
best = int(np.argmax(kept["val_elbo"]))
held_out = kept["val_elbo"]
print(f"one draw, validation: {held_out[best]:.2f} nats in its best epoch, {best + 1} of {3 * epochs},")
print(f"and {held_out[-1]:.2f} in the last")
excess = {}
for name, run in (("fresh draws", long_dense), ("one draw", kept)):
    excess[name] = run["elbo"][-1] - run["val_elbo"][-1]
    print(f"{name:12} training − validation, last epoch: {excess[name]:5.2f} nats")
difference = estimate(log_p["dense, 3 × epochs"] - longer.log_likelihood(*test, num_samples=200))
pair = f"{difference.mean:.2f} ± {difference.standard_error:.2f}"
print(f"test, S = 200: fresh draws ahead by {pair} nats per image")
assert excess["one draw"] > excess["fresh draws"]

# %% tags=["hide-input", "hide-output", "deck:curves"]
fig = plotting.bound_curves(
    {"fresh draws": long_dense, "one draw": kept}, ylabel="bound (nats per image)",
    ylim=(kept["val_elbo"][3], max(kept["elbo"] + long_dense["elbo"]) + 1),
)  # fmt: skip
plotting.show(
    fig,
    "Two pairs of curves against epochs, all rising and flattening. With one draw the training bound ends higher, and the "
    "validation bound lower, than with fresh draws.",
)

# %% [markdown]
# <details class="answer"><summary>Answer</summary>
#
# *Solid: training. Dashed: validation.*
#
# At the end, the training bound is 9.17 nats above validation with one draw, and 5.34 with fresh draws. Both runs know their
# training images. The run on one draw has also learned by heart which of the fading pixels were ink. On test images fresh
# draws are 0.78 ± 0.29 nats ahead (one run each).
#
# Early stopping had nothing to choose, as the last epoch was the best.
#
# </details>
#
# Take a falling step size if you know how long you can wait, because early stopping may end it too soon. If you do not
# know, take early stopping with a constant step size.
#
# **Check yourself.** Can the training curve alone tell you that a network learns pixels by heart?
#
# <details class="answer"><summary>Answer</summary>
#
# No. You need its distance from the validation curve.
#
# </details>

# %% [markdown]
# ## A run that stops
#
# A long run may end in a crash. The resumed run is *the same* run only if it gets back
#
# - the weights;
# - the optimiser's state, because Adam remembers past gradients;
# - the step, because the step size may depend on it;
# - whatever is random: the order of the images, and the noise $\varepsilon$.
#
# In this library, order and noise are functions of the seed and of the number of batches seen, which is saved with the
# weights.
#
# `BackupAndRestore` saves at the end of every epoch. Start the same script again, and the run goes on from there.

# %% tags=["hide-input"]
class Watch(keras.callbacks.Callback):
    """Notes the weights after every fourth step, and may cut the power."""

    def __init__(self, trail, cut=None, steps_before=0):
        super().__init__()
        self.trail, self.cut, self.steps_before = trail, cut, steps_before

    def on_train_batch_end(self, batch, logs=None):
        step = int(self.model.optimizer.iterations) + self.steps_before
        if step % 4 == 0:
            self.trail[step] = self.model.get_weights()
        if step == self.cut:
            raise RuntimeError(f"power cut at step {step}")


def apart(one, other):
    """The largest difference of any two weights."""
    return max(np.abs(a - b).max() for a, b in zip(one, other, strict=True))


# %% tags=["deck:script"]
part = fixed.train.x[:1152], fixed.train.y[:1152]  # 72 batches of 16


def script(*callbacks, make=lambda: make("dense")):
    """The whole script: new networks, new optimiser, fit. Returns the model."""
    model = make()
    model.compile(keras.optimizers.Adam(1e-3), jit_compile=False)  # few steps: not worth XLA
    model.fit(*part, batch_size=16, epochs=3, callbacks=list(callbacks), verbose=0)
    return model


def stopped_and_resumed(**options):
    """Three trails, {step: weights}: never stopped, cut in the second epoch, resumed."""
    whole, cut, resumed = {}, {}, {}
    script(Watch(whole), **options)
    with tempfile.TemporaryDirectory() as folder:
        backup = keras.callbacks.BackupAndRestore
        with contextlib.suppress(RuntimeError):
            script(backup(folder), Watch(cut, cut=100), **options)
        script(backup(folder), Watch(resumed), **options)
    return whole, cut, resumed


whole, cut, resumed = stopped_and_resumed()

# %% [markdown]
# Two other runs go on after the cut. The first loads the weights of epoch 1 and nothing else. The second restores
# everything, but has `Dropout`, which sets inputs to zero at random. Keras keeps the counter of this randomness in the layer,
# and does not save it.

# %%
weights_only, model = {}, make("dense")
model.compile(keras.optimizers.Adam(1e-3), jit_compile=False)
model.set_weights(whole[72])
watch = Watch(weights_only, steps_before=72)
model.fit(*part, batch_size=16, initial_epoch=1, epochs=3, callbacks=[watch], verbose=0)


def with_dropout():
    keras.utils.set_random_seed(0)
    nets, family = build("dense", image, z=latent)
    x, y = inputs = [keras.Input(image), keras.Input((10,))]
    noisy = nets["posterior_net"]([keras.layers.Dropout(0.2)(x), y])
    nets["posterior_net"] = keras.Model(inputs, noisy)
    return CVAE2(**nets, family=family)


dropout, _, dropout_resumed = stopped_and_resumed(make=with_dropout)

# %% [markdown]
# **Predict before you look.** By how much do the weights of the three resumed runs differ at the end from those of a run that
# nobody stopped?

# %% tags=["hide-output", "deck:resumed"]
# NBVAL_CHECK_OUTPUT
print("steps noted, first and last: cut", [min(cut), max(cut)], "resumed", [min(resumed), max(resumed)])
print("resumed, largest difference of any weight:", max(apart(resumed[step], whole[step]) for step in resumed))
assert apart(resumed[216], whole[216]) == 0.0

# %% tags=["hide-input", "hide-output", "deck:trails"]
green, brown, violet = plotting.colour("CVAE2"), "#7F3F10", "#6A51A3"
runs = {  # the trail, its own uninterrupted run, colour, marker
    "everything restored": (resumed, whole, green, "s-"),
    "weights only": (weights_only, whole, brown, "^--"),
    "everything, but Dropout": (dropout_resumed, dropout, violet, "D:"),
}
ends = {name: apart(trail[216], own[216]) for name, (trail, own, *_) in runs.items()}
with plotting.style():
    fig = Figure(figsize=(12.5, 5), layout="constrained")
    ax = fig.subplots()
    for name, (trail, own, shade, form) in runs.items():
        differences = [apart(trail[step], own[step]) for step in trail]
        ax.plot(list(trail), differences, form, color=shade, ms=6, markevery=3)
        ax.text(219, max(ends[name], 0.002), name, color=shade, va="center")
    ax.plot(list(cut), [apart(cut[step], whole[step]) for step in cut], color="#222222", lw=5, solid_capstyle="butt")
    ax.plot(100, 0, "X", color="#222222", ms=15, clip_on=False)
    ax.annotate("power cut", (100, 0), (40, 0.35 * max(ends.values())), ha="center",
                arrowprops={"arrowstyle": "-|>", "color": "#222222"})  # fmt: skip
    ax.set(xlabel="training step (a tick: the end of an epoch)", xlim=(0, 285), xticks=range(0, 217, 72))
    ax.set(ylabel="largest difference\nof any weight", ylim=(-0.002, None))
plotting.show(
    fig,
    "The difference to the uninterrupted run against the training step. The cut run lies at zero up to its end at step 100. "
    "Resumed from step 72, the run with everything restored stays at zero to the last step 216. The run with "
    "weights only and the run with Dropout leave zero at once and end far above.",
)
for name, end in ends.items():
    print(f"{name:24}at the end {end:.4f}")
print(f"training itself moved some weight by {apart(whole[216], make('dense').get_weights()):.4f}")
assert min(ends["weights only"], ends["everything, but Dropout"]) > 1e-3

# %% [markdown]
# <details class="answer"><summary>Answer</summary>
#
# With everything restored, not at all: the weights agree bit for bit. The steps between 72 and 100 run again, with the same
# images and the same $\varepsilon$. With the weights alone they end up to 0.0949 apart, with `Dropout` up to 0.0863. If you need
# exact resumption, leave such layers out.
#
# </details>
#
# A stream counts its own epochs, and no file holds this count. When you resume, pass it `first_epoch`.
#
# **Check yourself.** Why does the library save the number of batches seen, and no $\varepsilon$?
#
# <details class="answer"><summary>Answer</summary>
#
# $\varepsilon$ is a function of the seed and this number, so it can be drawn again.
#
# </details>

# %% [markdown] tags=["fold"]
# ### A stream must be told its epoch
#
# Load what epoch 2 left, and go on to epoch 4: once with a new stream, and once with a stream that is told its epoch.

# %% tags=["fold", "deck:epoch"]
# NBVAL_CHECK_OUTPUT
def pixels_from(epoch):
    return new_stream(grey.train.x[:1200], grey.train.y[:1200], first_epoch=epoch)


with tempfile.TemporaryDirectory() as folder:
    whole = make("dense")
    whole.compile(keras.optimizers.Adam(1e-3), jit_compile=False)
    save = keras.callbacks.ModelCheckpoint(Path(folder) / "{epoch}.keras")
    whole.fit(pixels_from(0), epochs=4, callbacks=[save], verbose=0)
    last = keras.saving.load_model(Path(folder) / "4.keras")
    same = [keras.saving.load_model(Path(folder) / "2.keras") for _ in range(2)]
print("loaded: the same bound:", np.array_equal(last.bound(*test).value, whole.bound(*test).value))
done = int(same[0].optimizer.iterations) // len(pixels_from(0))  # the step knows the epoch
print("epochs done:", done)
for model, first in zip(same, (0, done), strict=True):
    model.fit(pixels_from(first), initial_epoch=done, epochs=4, verbose=0)
    print(f"stream from epoch {first}: the same weights: {apart(model.get_weights(), whole.get_weights()) == 0.0}")
off = apart(same[0].get_weights(), whole.get_weights())
assert off > 1e-4 and apart(same[1].get_weights(), whole.get_weights()) == 0.0

# %% tags=["fold", "deck:astray"]
astray = estimate(same[0].bound(*test).value.numpy() - whole.bound(*test).value.numpy())
print(f"stream from epoch 0: weights differ by up to {off:.3f},")
print(f"the test bound by {astray.mean:+.3f} ± {astray.standard_error:.3f} nats per image")

# %% [markdown] tags=["fold"]
# Without `first_epoch` the run sees the pixels of epochs 1 and 2 twice, and those of epochs 3 and 4 never. Nothing fails,
# and the bound changes by little more than its standard error: −0.243 ± 0.178 nats. But the run is another run.

# %% [markdown] tags=["fold"]
# ### More than one device
#
# In **data parallelism** every device holds a copy of the weights, a *replica*, and takes a part of each batch. The
# gradients are added up, and every replica takes the same step.
#
# Two mistakes are easy. If each of two replicas averages over its own part, the sum is twice the gradient. By (2.5) the
# average goes over the *global* batch. If both draw noise from the same seed, the second half of the batch gets the
# $\varepsilon$ of the first. In this library $\varepsilon$ belongs to a place in the global batch:

# %% tags=["fold"]
# NBVAL_CHECK_OUTPUT
key = noise.key(0, "training")
of_all = noise.normal(1, 8, 2, key=key, step=5)[0]  # 8 rows, one device
of_second = noise.normal(1, 4, 2, key=key, step=5, first_row=4)[0]  # rows 4 to 7, the second device
print("the second device's noise is that of rows 4 to 7:", np.array_equal(of_all[4:], of_second))
print("and not that of rows 0 to 3:", not np.array_equal(of_all[:4], of_second))

# %% [markdown] tags=["fold"]
# `MirroredStrategy` copies the weights and adds up the gradients. You make and compile the model in its scope.

# %% tags=["fold"]
# NBVAL_CHECK_OUTPUT
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
one, two, start = make("dense"), make("dense", strategy), make("dense").get_weights()
for model, scope in ((one, contextlib.nullcontext()), (two, strategy.scope())):
    with scope:  # plain gradient descent: Adam's step would be the same with twice the gradient
        model.compile(keras.optimizers.SGD(1e-3), jit_compile=False)
    model.fit(*part, batch_size=64, epochs=2, verbose=0)  # the global batch
one_end, two_end = one.get_weights(), two.get_weights()
print("replicas:", two.distribute_strategy.num_replicas_in_sync)
print("one device moved a weight by more than 0.01: ", apart(one_end, start) > 0.01)
print("two devices end elsewhere by less than 0.0001:", apart(one_end, two_end) < 1e-4)
assert apart(one_end, two_end) < 1e-4 < 0.01 < apart(one_end, start)

# %% tags=["fold", "deck:devices"]
print(f"training moved some weight by {apart(one_end, start):.3f}")
print(f"largest difference between one device and two: {apart(one_end, two_end):.1e}")

# %% [markdown] tags=["fold"]
# The two runs differ by rounding only: two devices add up in another order. That both replicas end with equal weights would
# prove nothing: they would with twice the gradient, too. For several machines, see
# [the documentation](../docs/distributed.md).

# %% [markdown]
# ## What a long run costs
#
# Between two steps Python has to call TensorFlow. `fit` avoids most of these calls: it runs many steps in one
# program, compiled by XLA. The plain loop is compiled too, but called once per batch.

# %% tags=["hide-input"]
def compare(kind, side, steps, **size):
    """Milliseconds per step of a CVAE-2 with batches of 100: (fit, plain loop)."""
    nets, family = build(kind, (side, side, 1), **size)
    model = CVAE2(**nets, family=family)
    model.compile(keras.optimizers.Adam(1e-3))
    x = np.random.default_rng(0).integers(0, 2, (steps * 100, side, side, 1)).astype("float32")
    y = np.resize(np.eye(10, dtype="float32"), (steps * 100, 10))
    step = tf.function(model.train_step)
    times = []
    for _ in range(3):
        times.append(time.perf_counter())
        model.fit(x, y, batch_size=100, verbose=0)
        times.append(time.perf_counter())
        for first in range(0, len(x), 100):
            step((x[first : first + 100], y[first : first + 100]))
    rounds = np.diff([*times, time.perf_counter()]).reshape(3, 2)
    return 1000 / steps * rounds[1:].min(0)

# %% tags=["deck:speed"]
speed = {
    "8 × 8, dense": compare("dense", 8, 100),
    "28 × 28, dense": compare("dense", 28, 50),
    "28 × 28, convolutional": compare("convolutional", 28, 20),
}
print("ms per step                fit     loop    fit ÷ loop")
for name, (fit, loop) in speed.items():
    print(f"{name:22}{fit:8.2f}{loop:9.2f}{fit / loop:12.2f}")
for name in list(speed)[1:]:
    hours = 600 * speed[name][0] / 1000 / 3600  # 60,000 images, 600 steps
    print(f"{name}, 60,000 images: {3600 * hours:.1f} s an epoch; 500 epochs {500 * hours:.2f} hours, "
          f"3280 epochs {3280 * hours:.1f} hours")  # fmt: skip
assert speed["8 × 8, dense"][0] < speed["8 × 8, dense"][1]

# %% [markdown]
# In this run `fit` takes 0.49 of the loop's time on the smallest step, whose loop half waits for Python. On the
# convolutional one it takes 0.98, as arithmetic takes over. (Burda et al., 2015, train for 3,280 epochs, with smaller batches.)
#
# Before a long run, train on 1 % of the data, cut this run, and resume it. You can start from these settings, which may not be
# the best:
#
# | what | setting |
# |---|---|
# | data | `fresh_batches` for training, one fixed draw for validation |
# | optimiser | Adam, step size 0.001 or 0.003, falling to 0 along a cosine |
# | safety | `BackupAndRestore` on arrays; on a stream `ModelCheckpoint` and `first_epoch` |
# | at the end | test images once, mean ± error over images |
#
# **Check yourself.** A new processor halves the time of arithmetic. Which row gains most from it?
#
# <details class="answer"><summary>Answer</summary>
#
# The convolutional one, because most of its time is arithmetic.
#
# </details>

# %% [markdown]
# ## Where this breaks
#
# People often give each of eight devices a full batch of 64 images. An epoch then has an eighth of the steps. **Predict
# before you look:** after the same two epochs, is a batch of 512 as good? Is it as good with eight times the step
# size, as is often advised?

# %% tags=["hide-output", "deck:batch"]
print("batch   step size   steps   validation bound after 2 epochs")
ends = {}
for batch, rate in ((64, 1e-3), (512, 1e-3), (512, 8e-3)):
    model = make("dense")
    model.compile(keras.optimizers.Adam(rate), jit_compile=False)
    model.fit(fixed.train.x[:6656], fixed.train.y[:6656], batch_size=batch, epochs=2, verbose=0)
    ends[batch, rate] = nats = model.bound(*validation).value.numpy()
    behind = estimate(ends[64, 1e-3] - nats)
    paired = f"   behind by {behind.mean:.2f} ± {behind.standard_error:.2f}" if behind.mean else ""
    print(f"{batch:5}{rate:12.3f}{int(model.optimizer.iterations):8}    {estimate(nats)}{paired}")
lost = estimate(ends[64, 1e-3] - ends[512, 1e-3]).mean
assert lost > 5 and behind.mean < 0.7 * lost

# %% [markdown]
# <details class="answer"><summary>Answer</summary>
#
# No. After the same two epochs the batch of 512 is 65.91 ± 1.67 nats behind, since it took an eighth of the steps. Eight times
# the step size helps, and still leaves it 24.73 ± 0.98 nats behind.
#
# </details>
#
# Two devices give the result of one only for the same *global* batch.
#
# **Check yourself.** Is one step over 512 images worth eight steps over 64 images?
#
# <details class="answer"><summary>Answer</summary>
#
# Not with the same step size: see the second row. Its gradient is less noisy, but it is one step.
#
# </details>

# %% [markdown]
# ## What you saw
#
# - The ELBO did not change with the networks. Which network was ahead changed with what was held equal, epochs or time.
# - One model had many “log-likelihoods”. Fresh pixels kept a model from learning one draw by heart.
# - A resumed run ended with the same bits, but not with its weights alone, `Dropout`, or a stream at the wrong epoch.
#
# **Where this leads.** Ten lessons changed what is given, what is explained, the networks and the size. The bound followed
# each time from the graph. Nearly always $z$ had a single layer. [Lesson 11](11_where_this_leads.ipynb) stacks
# layers. With two of them you get a richer prior and a richer $q$. With many, and a $q$ that is fixed and not
# learned, the same bound trains a diffusion model. To go on with your own data, open `own_images` and `resume` in
# `notebooks/recipes`.

# %% [markdown]
# ## References
#
# - Y. Burda, R. Grosse and R. Salakhutdinov (2015), *Importance weighted autoencoders*: (2.6), fresh binarisation.
# - Y. LeCun, C. Cortes and C. J. C. Burges, *The MNIST database of handwritten digits*.
# - Y. LeCun et al. (1989), *Backpropagation applied to handwritten zip code recognition*: convolutions for digits.
