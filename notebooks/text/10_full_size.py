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
# So far a model was trained in seconds and fitted on a page. What changes when images grow, a run takes days instead of
# seconds, and one device is not enough? And what must not change?

# %% [markdown]
# **After this lesson you can**
#
# - put convolutional networks into a model without touching its derivation, and count what they cost;
# - say what has to stand beside a log-likelihood before anybody can compare it with another;
# - stop a run, resume it, and end with the very weights of a run that was never stopped;
# - train on several devices, and check that the result is that of one;
# - say beforehand how many hours a run will take.
#
# **You need** CVAE-2 (lesson 04), fresh and fixed binary pixels, the training step (2.5) and importance weights (2.6) (lesson
# 02), and the weight $\beta$ of (7.3) (lesson 07).

# %% [markdown]
# The first line that TensorFlow sees has to say how many devices there are. Here the processor is divided into two
# *logical* devices, so that everybody can run the part on several devices; until then only the first one works.

# %%
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
from sklearn.linear_model import LogisticRegression

from cvae_tf import CVAE2, datasets, networks, noise, plotting
from cvae_tf.distributions import Bernoulli
from cvae_tf.evaluation import estimate

# %% [markdown] tags=["notes"]
# **Speaker, 2 min.** Ask who has lost a run to a crash, and what they had saved. Come back to the answers in the
# section on stopped runs.

# %% [markdown]
# ## What does not change
#
# The model is CVAE-2, and its bound is lesson 04's, whatever the size of an image:
#
# $$
# \mathcal L(\theta, \phi; x, y) = -\,\mathrm{KL}\big(q(z \mid x, y) \,\|\, p(z)\big)
# + \mathbb E_{q(z \mid x, y)}\big[\log p(x \mid y, z)\big]
# \tag{4.2}
# $$
#
# Neither the equation nor the four lines of code say what a network looks like inside, or what shape $x$ has:

# %%
for factor in (CVAE2.prior, CVAE2.posterior, CVAE2.likelihood, CVAE2.factors):
    source = inspect.getsource(factor).splitlines()
    print("\n".join(line for line in source if '"""' not in line))

# %% [markdown]
# What changes is what stands behind `posterior_net` and `likelihood_net`. Until now that was a *dense* network: each unit is
# joined to every pixel. An image of 28×28 has 784 of them, and a dense network does not know which are neighbours.
#
# A **convolution** does. It has a few small *filters*, here of 3×3 weights, and slides each of them over the image: the
# same nine weights everywhere. What one filter finds is again an image, a *channel*. With a *stride* of 2 the filter
# moves two pixels at a time, and height and width are halved. So images now keep their shape, [height, width, channels],
# grey ones with one channel. A decoder goes the other way: *transposed* convolutions double the sides.

# %%
# NBVAL_CHECK_OUTPUT
def build(kind, image, z=8, filters=16, hidden=64, width=100):
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
# Read `posterior_net` from left to right: an image and a label come in; two convolutions with stride 2; their result as one
# long vector, 1568; the label's ten numbers beside it, 1578; a dense layer; a mean and a raw scale for each of eight $z_j$.
#
# **Predict before you look.** A filter has nine weights per channel, however large the image. So does a convolutional
# network have fewer parameters than a dense one, and stop growing with the image?

# %%
# NBVAL_CHECK_OUTPUT
print("pixels      dense 100-100   convolutional   of which in filters")
for side in (8, 28, 56):
    dense, convolutional = (build(kind, (side, side, 1))[0] for kind in ("dense", "convolutional"))
    count = [sum(net.count_params() for net in nets.values()) for nets in (dense, convolutional)]
    layers = [layer for net in convolutional.values() for layer in net.layers]
    filters = [layer for layer in layers if "Conv" in type(layer).__name__]
    inside = sum(layer.count_params() for layer in filters)
    print(f"{side:2} × {side:2}{count[0]:17,}{count[1]:16,}{inside:16,} ({inside / count[1]:.0%})")

# %% [markdown]
# Hardly. The filters are few (their number grows only because a larger image is halved more often), but the dense layers next
# to the last small image hold nearly everything, and they do grow. What a convolution buys is not size: it need not learn
# again at each place what a stroke looks like. Whether that pays on 8×8 pixels you will see.

# %% [markdown]
# One thing has to be watched when $x$ gets a shape: $\log p(x \mid y, z)$ is a *sum* over height, width and channels. Here is
# (4.2) by hand for a convolutional model, beside the library's:

# %%
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
# Take a mean over the pixels instead, as many losses do by default, and you have divided the reconstruction by 64 here, by
# 784 on MNIST. That is (7.3) with $\beta = 64$ or $\beta = 784$: the same code, and with every size another objective.

# %% [markdown] tags=["notes"]
# **Speaker, 5 min.** Draw one filter and slide it. Vote on the parameters before the table. Then the mean over pixels: ask what
# β it amounts to at 64×64 in colour.

# %% [markdown]
# ## Data: which pixels, which images
#
# Lesson 02 made binary pixels by drawing: a grey value is the probability of ink. Its training set held twenty draws of
# each image. At full size you would not store them. A **stream** draws when a batch is asked for, so that no epoch sees the
# same pixels again; the draw is a function of (seed, epoch). *Fixed* binarisation draws once and for all.
#
# If the MNIST file is on this machine, the lesson takes 20,000 images of it, and some minutes; if not, the digits that come with
# the course. Everything below runs on both. The outputs stored here are those of the digits, and so are the margins of the
# assertions. (`datasets.mnist()` fetches the file, 11 MB, once.)

# %%
if datasets.has_mnist():
    source, few, copies, epochs, latent = datasets.mnist, 20_000, 1, 4, 20
else:
    source, few, copies, epochs, latent = datasets.digits, None, 10, 8, 8
grey, fixed = source(image=True), source(image=True, binarise="fixed")
image, on_digits = grey.train.x.shape[1:], grey.name == "digits"
whole = len(grey.train.x[:few]) * copies // 64 * 64  # whole batches, for one program instead of two
x_grey, y_train, x_fixed = (
    np.concatenate([values[:few]] * copies)[:whole]
    for values in (grey.train.x, grey.train.y, fixed.train.x)
)
validation = fixed.validation.x[:300], fixed.validation.y[:300]
test = x_test, y_test = fixed.test.x[:300], fixed.test.y[:300]

stream = datasets.fresh_batches(x_grey, y_train, batch_size=64, seed=0)
print(f"{grey.name}, images of {image}; an epoch: {copies} pass(es), {len(stream)} batches of 64")

# %% tags=["hide-input"]
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
# *Top: grey values. Then three draws of each image: they differ where ink fades. Last: cut at one half.* The middle of a stroke
# is sure, its edge is chance, and chance costs nats whoever predicts it. The last row has no chance in it at all.
#
# The splits are disjoint: training images for the gradient, validation images for every decision on the way (when to
# stop, which network), test images for the numbers at the end and for nothing else. On MNIST 50,000, 10,000 and 10,000.

# %% [markdown] tags=["notes"]
# **Speaker, 4 min.** Point at one edge pixel and follow it down the rows. Ask which of the rows is easiest to predict; the
# answer comes back as a number.

# %% [markdown]
# ## Training a convolutional CVAE-2
#
# `fit` takes the stream as it takes arrays. An epoch here is ten passes over the digits, each with draws of its own, so that
# what Keras does at an epoch's end (validation, logs) counts a tenth. The step size falls along a cosine.

# %%
def make(kind="convolutional", strategy=None, seed=0):
    """A CVAE-2 for these images; one seed, one set of initial weights."""
    keras.utils.set_random_seed(seed)
    with strategy.scope() if strategy else contextlib.nullcontext():
        nets, family = build(kind, image, z=latent)
        return CVAE2(**nets, family=family, seed=seed)


def train(model, stream):
    rate = keras.optimizers.schedules.CosineDecay(3e-3, epochs * len(stream))
    model.compile(keras.optimizers.Adam(rate))
    return model.fit(stream, epochs=epochs, validation_data=validation, verbose=0).history


cvae = make()
fresh = train(cvae, stream)
for name in ("elbo", "val_elbo"):
    step = fresh[name][-1] - fresh[name][-2]
    print(f"{name:8} {fresh[name][-1]:7.2f} nats, of which the last epoch {step:+.2f}")

# %%
labels = np.arange(10)
sheet = cvae.generate(np.tile(np.eye(10), (6, 1)), seed=2).reshape(6, 10, -1)
real = grey.test.x[[np.flatnonzero(grey.test.labels == k)[0] for k in labels]].reshape(10, -1)
fig = plotting.image_grid(
    np.concatenate([real[None], sheet]), image_shape=image[:2], column_labels=labels,
    xlabel="the label asked for", row_labels=["real", *["generated"] * 6],
)  # fmt: skip
alt = (
    "Seven rows of ten digits from 0 to 9: a row of real test images and six rows of generated ones, "
    "each the digit of its column, written in different ways."
)
plotting.show(fig, alt)

# %%
reader = LogisticRegression(max_iter=500)
reader.fit(fixed.train.x[:1197].reshape(1197, -1), fixed.train.labels[:1197])
wanted = np.repeat(labels, 50)
drawn = cvae.generate(np.eye(10)[wanted], seed=0, sample=True).reshape(500, -1)
of_real = estimate(reader.predict(x_test.reshape(300, -1)) == fixed.test.labels[:300])
of_drawn = estimate(reader.predict(drawn) == wanted)
for name, e in (("300 real test images", of_real), ("500 generated, binary draws", of_drawn)):
    print(f"a logistic regression reads {name:28}{e.mean:6.1%} ± {e.standard_error:.1%}")
assert of_drawn.mean > 0.75 or not on_digits  # six seeds gave 85–87 %

# %% [markdown]
# *Top: one real test image of each digit. Below: the mean of $p(x \mid y, z)$ for new $z$.* The label is obeyed, by your eye and,
# on the digits, by a reader trained on real images. (After so few steps on MNIST it reads some six in ten.)

# %% [markdown]
# **Predict before you look.** A dense CVAE-2 on the same stream, with as many parameters (37,680 against 38,609 on the
# digits). Which has the higher $\log p(x \mid y)$? It is measured by
#
# $$
# \mathcal L_K = \mathbb E_{z_1, \dots, z_K \sim q}\left[
# \log \frac1K \sum_{k=1}^{K} \frac{p(x, z_k)}{q(z_k \mid x)} \right],
# \qquad \mathcal L_1 = \mathcal L, \quad \mathcal L_K \le \mathcal L_{K+1} \le \log p(x)
# \tag{2.6}
# $$
#
# with $y$ behind every bar, and with $S$ draws, as they measure and do not train.

# %%
dense = make("dense")
fresh_dense = train(dense, datasets.fresh_batches(x_grey, y_train, batch_size=64, seed=0))
share = np.stack([fixed.train.x[fixed.train.labels == k].mean(0) for k in labels])
share = share.clip(1e-3, 1 - 1e-3)[fixed.test.labels[:300]]  # each pixel of a label by itself
log_p = {
    "convolutional": cvae.log_likelihood(*test, num_samples=200),
    "dense": dense.log_likelihood(*test, num_samples=200),
    "pixels, no z": np.log(np.where(x_test == 1, share, 1 - share)).sum((1, 2, 3)),
}

# %%
print("log p(x|y), 300 test images, fixed draw, S = 200    convolutional ahead by")
for name, nats in log_p.items():
    ahead = estimate(log_p["convolutional"] - nats)
    paired = f"{ahead.mean:12.2f} ± {ahead.standard_error:.2f}" if ahead.mean else ""
    print(f"    {name:16}{estimate(nats)}{paired}")
assert ahead.mean > 1  # six seeds gave 1.5–1.6 against the pixels

# %% [markdown]
# On the digits convolutions gain nothing worth the name. The ± is over images; over six seeds the difference came out
# between −0.16 and +0.25 nats, with mean 0.06 ± 0.07, so that a single run could have told you either. The digits are centred
# and a pixel means something of its own: a dense network can afford to learn every place for itself.
#
# With 28×28 pixels that takes longer. The same cell takes MNIST where its file is there; in both short runs that were made
# with it the convolutional model was ahead, and longer runs may bring the two nearer. It is the size of the image that
# makes a convolution worth it, not its name.

# %% [markdown] tags=["notes"]
# **Speaker, 5 min.** Let them vote before the last cell. Whoever says "convolutional, of course" is asked for the reason, and
# whether it holds for 64 pixels.

# %% [markdown]
# ## One model, many numbers
#
# You have one trained model, and it will not change any more. **Predict before you look:** by how many nats can you move
# "its log-likelihood" by choices that a report often leaves out?

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

# %%
print("one model, 300 images (S = 100     nats per image     minus the first, image by image")
print("where nothing is said)")
for name, nats in numbers.items():
    e, d = estimate(nats), estimate(nats - reference)
    paired = "" if name == "training images" else f"{d.mean:+10.2f} ± {d.standard_error:.2f}"
    print(f"{name:28}{e.mean:14.2f} ± {e.standard_error:.2f}{paired}")
moved = {name: nats.mean() - reference.mean() for name, nats in numbers.items()}
# six seeds gave 4.0–4.1 and −0.28…−0.13
assert moved["pixels cut at one half"] > 2 and moved["… S = 1, the bound"] < 0

# %% tags=["hide-input"]
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
    "Seven points with error bars, one for each way to measure. Those for other S and another draw lie near the dashed "
    "line of the first; pixels cut at one half lies nats to the right of it.",
)

# %% [markdown]
# *One model. Dashed: test images, a fixed draw, $S = 200$.* Cutting the pixels at one half gains nats, as the chance at the edges
# is gone: easier images, not a better model. For grey values in $(0, 1)$ the same formula is no probability of anything, as
# its values do not add up to one over all images. $S = 1$ loses the gap. So beside such a number belong: **estimator and $S$,
# binarisation, split, and an error bar with what it is over.**

# %% [markdown]
# With these four, numbers can be held against each other. MNIST, 10,000 test images, pixels drawn at random (in training anew
# each time), $S = 5000$, negative log-likelihoods in nats; $k$ draws in training; layers of 200 units, 3,280 epochs:
#
# | what is measured | source | trained on (1.2), $k$ = 1 / 5 / 50 | trained on (2.6), $k$ = 1 / 5 / 50 |
# |---|---|---|---|
# | $-\log p(x)$ | Burda et al. 2015, the paper's table | 86.76 / 86.47 / 86.35 | 86.76 / 85.54 / 84.78 |
# | $-\log p(x)$ | a replication, repository nbip/IWAE | 86.35 / 86.10 / 86.06 | 86.35 / 85.18 / 84.59 |
# | $-\log p(x \mid y)$, CVAE-1 | the same replication | – | 82.32 / 81.41 / 80.78 |
#
# These are quoted, not measured here: read in public copies of the paper and of the replication's summary and code; neither
# gives an error bar. $z$ has 50 dimensions in the paper and 100 in the replication, so that even here two rows differ in more
# than the run. In the last row the label is given: lesson 03 says how many nats that can be worth.

# %% [markdown] tags=["notes"]
# **Speaker, 5 min.** Collect the guesses, then the dots. Ask which of the seven numbers a careless paper would print. In the
# table: which rows may be compared, and which not?

# %% [markdown]
# ## When to stop
#
# Fresh pixels every epoch, or one draw kept for good? Dense networks, the same images, number of steps and schedule; only the
# pixels differ. **Predict before you look:** which of the two has the higher training bound, and which the higher validation bound?
#
# `EarlyStopping` watches the validation bound and puts the best weights back. It may stop the run too; here its patience is as
# long as the run, so that you see what comes. (A binary pixel is a probability of 0 or 1. So the same stream, fed with one draw
# instead of grey values, repeats it in the very order of before. `restart` goes back to step 0 and compiles nothing again.)

# %%
keep_best = keras.callbacks.EarlyStopping(
    "val_elbo", mode="max", patience=epochs, restore_best_weights=True
)
one_draw = datasets.fresh_batches(x_fixed, y_train, batch_size=64, seed=0)
dense.restart(make("dense").get_weights())
kept = dense.fit(
    one_draw, epochs=epochs, validation_data=validation, callbacks=[keep_best], verbose=0
).history

# %%
best = int(np.argmax(kept["val_elbo"]))
held_out = kept["val_elbo"]
print(f"one draw, validation: {held_out[best]:.2f} nats in its best epoch, {best + 1} of {epochs},")
print(f"and {held_out[-1]:.2f} in the last")
excess = {}
for name, run in (("fresh draws", fresh_dense), ("one draw", kept)):
    excess[name] = run["elbo"][-1] - run["val_elbo"][-1]
    print(f"{name:12} training − validation, last epoch: {excess[name]:5.2f} nats")
difference = estimate(log_p["dense"] - dense.log_likelihood(*test, num_samples=200))
pair = f"{difference.mean:.2f} ± {difference.standard_error:.2f}"
print(f"test, S = 200: fresh draws ahead by {pair} nats per image")
# six seeds gave 0.80–1.00 against 0.02–0.18, and 0.09–0.29
if on_digits:
    assert excess["one draw"] > excess["fresh draws"] + 0.3 and difference.mean > -0.05

# %% tags=["hide-input"]
fig = plotting.bound_curves(
    {"fresh draws": fresh_dense, "one draw": kept}, ylabel="bound (nats per image)",
    ylim=(min(kept["val_elbo"]) - 0.2, max(kept["elbo"]) + 0.2),
)  # fmt: skip
plotting.show(
    fig,
    "Two pairs of curves against epochs. With one draw the training bound climbs far above its validation bound, which "
    "flattens early; with fresh draws both climb together and end above that validation bound.",
)

# %% [markdown]
# *Solid: training; dashed: validation.* With one draw the training bound looks better and the model is worse: in its many passes
# over the digits it learns by heart which of the fading pixels were ink. Fresh draws remove the reason, as the same pixel does not come again.
#
# Early stopping had little or nothing to pick here (first line). A step size that falls to zero holds the weights where they are, so
# the validation bound flattens and does not fall. And a schedule is best at its end, where early stopping may not let it
# come. Use the one or the other: a schedule where you know how long you can wait, early stopping with a constant step size
# where you don't.

# %% [markdown] tags=["notes"]
# **Speaker, 4 min.** Both predictions by hands. Then: would you have noticed it from the training curve alone?

# %% [markdown]
# ## A run that stops
#
# Days of training end sooner or later in a crash. What would you have to save so that the resumed run is *the same* run? The
# weights; the optimiser's state, as Adam remembers; the step, for the schedule; and whatever is random: the order of the
# images and the noise $\varepsilon$. In this library both are functions of the seed and of how many batches the model has
# seen. That number lies with the weights in every file, so nothing else has to be saved.
#
# `BackupAndRestore` saves at the end of every epoch and, if it finds something saved, goes on from there. Train three epochs of
# 72 steps. Pull the plug in the middle of the second. Then start the same script again. **Predict:** by how much do the weights
# differ from those of a run that nobody stopped?

# %%
class PowerCut(keras.callbacks.Callback):
    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations) >= self.step:
            raise RuntimeError(f"power cut at step {int(self.model.optimizer.iterations)}")


# %%
part = fixed.train.x[:1152], fixed.train.y[:1152]


def script(*callbacks, make=lambda: make("dense")):
    """The whole script: new networks, new optimiser, fit. Returns the model."""
    model = make()
    model.compile(keras.optimizers.Adam(1e-3), jit_compile=False)  # few steps: not worth XLA
    model.fit(*part, batch_size=16, epochs=3, callbacks=list(callbacks), verbose=0)
    return model


def apart(model, other):
    """The largest difference of any two weights."""
    pairs = zip(model.get_weights(), other.get_weights(), strict=True)
    return max(np.abs(a - b).max() for a, b in pairs)


# %%
# NBVAL_CHECK_OUTPUT
with tempfile.TemporaryDirectory() as folder:
    whole = script()
    try:
        script(keras.callbacks.BackupAndRestore(folder), PowerCut(100))
    except RuntimeError as error:
        print(error)
    resumed = script(keras.callbacks.BackupAndRestore(folder))
print("steps in all:", int(whole.optimizer.iterations), int(resumed.optimizer.iterations))
print("epochs run after the cut:", [epoch + 1 for epoch in resumed.history.epoch])
print("largest difference of any weight:", apart(whole, resumed))
assert apart(whole, resumed) == 0.0

# %% tags=["hide-input"]
with plotting.style():
    fig = Figure(figsize=(12, 3.4), layout="constrained")
    ax = fig.subplots()
    for row, (first, last) in enumerate([(0, 216), (0, 100), (72, 216)]):
        ax.barh(-row, last - first, left=first, height=0.5, color=ink if row == 0 else green)
    ax.plot(100, -1, "X", color="#AA4499", ms=16)
    arrow = {"arrowstyle": "-|>", "color": "#222222", "lw": 2}
    ax.annotate("", (72, -1.75), (72, -1.25), arrowprops=arrow)
    ax.text(70, -1.5, "saved at the end of epoch 1", ha="right", va="center")
    ax.set_yticks([0, -1, -2], ["never stopped", "cut", "resumed"])
    ax.set(xlabel="training step (a tick: the end of an epoch)", xlim=(0, 221), ylim=(-2.4, 0.4))
    ax.set_xticks(range(0, 217, 72))
plotting.show(
    fig,
    "Three bars over training steps: the run never stopped from 0 to 216; the run that was cut from 0 to a cross at 100; the "
    "resumed run from 72, where the last epoch before the cut had ended, to 216.",
)

# %% [markdown]
# *What ran when.* Not nearly the same: the same, bit for bit. The steps between are lost, and run again with the same
# images in the same order and the same $\varepsilon$.

# %% [markdown]
# **And a stream?** It draws pixels by (seed, epoch), and counts its epochs itself, from 0. A `.keras` file holds the model, the
# optimiser and the step; the stream is not in it. Save after every epoch, load what epoch 2 left, and go on to epoch 4, once
# with a new stream as it comes, once with one that is told where it is.

# %%
# NBVAL_CHECK_OUTPUT
def pixels_from(epoch):
    data = grey.train.x[:1152], grey.train.y[:1152]
    return datasets.fresh_batches(*data, batch_size=64, seed=0, first_epoch=epoch)


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
    print(f"stream from epoch {first}: the same weights: {apart(model, whole) == 0.0}")
assert apart(same[0], whole) > 1e-4 and apart(same[1], whole) == 0.0

# %%
astray = estimate(same[0].bound(*test).value.numpy() - whole.bound(*test).value.numpy())
print(f"stream from epoch 0: weights differ by up to {apart(same[0], whole):.3f},")
print(f"the test bound by {astray.mean:+.3f} ± {astray.standard_error:.3f} nats per image")

# %% [markdown]
# Without `first_epoch` the run sees the pixels of epochs 1 and 2 twice and those of 3 and 4 never. No error, and hardly a
# difference in the bound: only that the run cannot be reproduced. Over hundreds of epochs with a crash a day, it would see its
# first pixels over and over: fixed binarisation by accident.

# %% [markdown] tags=["notes"]
# **Speaker, 5 min.** Ask for the list of what to save before showing it; the order of the data is what most forget. Then: what
# in *your* last project was random and saved nowhere?

# %% [markdown]
# ## More than one device
#
# **Data parallelism**: every device holds a copy (a *replica*) of the weights and takes a part of each batch. The gradients are
# added up, and each replica takes the same step. Two things go wrong easily. If each replica averages over its own part, the
# sum is twice the gradient; (2.5) wants the mean over the *global* batch. And if each draws noise from the same seed, the
# second half of the batch gets the $\varepsilon$ of the first. Here $\varepsilon$ belongs to a place in the global batch:

# %%
# NBVAL_CHECK_OUTPUT
key = noise.key(0, "training")
of_all = noise.normal(1, 8, 2, key=key, step=5)[0]  # 8 rows, one device
of_second = noise.normal(1, 4, 2, key=key, step=5, first_row=4)[0]  # rows 4 to 7, the second device
print("the second device's noise is that of rows 4 to 7:", np.array_equal(of_all[4:], of_second))
print("and not that of rows 0 to 3:", not np.array_equal(of_all[:4], of_second))

# %% [markdown]
# Now the two devices of the first cell. A `MirroredStrategy` does the copying and adding; make and compile the model in its
# scope, and the rest is as ever. `batch_size` is the global batch.

# %%
# NBVAL_CHECK_OUTPUT
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
one, two, start = make("dense"), make("dense", strategy), make("dense")
for model, scope in ((one, contextlib.nullcontext()), (two, strategy.scope())):
    with scope:
        model.compile(keras.optimizers.Adam(1e-3), jit_compile=False)
    model.fit(*part, batch_size=64, epochs=2, verbose=0)
print("replicas:", two.distribute_strategy.num_replicas_in_sync)
print("one device moved a weight by more than 0.01: ", apart(one, start) > 0.01)
print("two devices end elsewhere by less than 0.0001:", apart(one, two) < 1e-4)
assert apart(one, two) < 1e-4 < 0.01 < apart(one, start)  # 1e-7 to 1e-5 and 0.04 were seen

# %%
print(f"training moved some weight by {apart(one, start):.3f}")
print(f"largest difference between one device and two: {apart(one, two):.1e}")

# %% [markdown]
# To rounding: a sum in another order. Not the same bits, as above. With real devices, `MirroredStrategy()` takes all there
# are on the machine; several machines are described in the documentation (`docs/distributed.md`), and
# `examples/two_workers.py` runs two on one.

# %% [markdown] tags=["notes"]
# **Speaker, 5 min.** Draw a batch of eight on the board and cut it in two. Ask what the class would test; "both replicas end up
# equal" proves nothing, as they would with the same wrong noise too.

# %% [markdown]
# ## Speed
#
# Small steps are slow for another reason than large ones: between two steps Python has to call TensorFlow. `fit` here runs many
# steps in one compiled program. Beside it the plain loop, compiled as well, but called once per batch. Both take
# turns, and the faster of two rounds counts, after one that compiles. The pixels are random, as time does not depend on what they show.

# %%
def compare(side, batch, steps, **size):
    """Milliseconds per step of a dense CVAE-2: (fit, plain loop)."""
    nets, family = build("dense", (side, side, 1), **size)
    model = CVAE2(**nets, family=family)
    model.compile(keras.optimizers.Adam(1e-3))
    x = np.random.default_rng(0).integers(0, 2, (steps * batch, side, side, 1)).astype("float32")
    y = np.resize(np.eye(10, dtype="float32"), (steps * batch, 10))
    step = tf.function(model.train_step)
    times = []
    for _ in range(3):
        times.append(time.perf_counter())
        model.fit(x, y, batch_size=batch, verbose=0)
        times.append(time.perf_counter())
        for first in range(0, len(x), batch):
            step((x[first : first + batch], y[first : first + batch]))
    rounds = np.diff([*times, time.perf_counter()]).reshape(3, 2)
    return 1000 / steps * rounds[1:].min(0)


# %%
speed = {
    "8 × 8, 100-100, batch 64": compare(8, 64, 100),
    "28 × 28, 500-500, batch 128": compare(28, 128, 24, width=500, z=20),
}
print("ms per step                              fit     loop    fit ÷ loop")
for name, (fit, loop) in speed.items():
    print(f"{name:36}{fit:8.2f}{loop:9.2f}{fit / loop:12.2f}")
small, large = speed.values()
assert small[0] < small[1]

# %% [markdown]
# On small steps the loop's time is mostly waiting, and `fit` saves it; at full size arithmetic takes over, and there is less to
# save. Times are those of this run on this machine. Quiet measurements with other libraries beside them are in
# `benchmarks/results/speed.md`.
#
# Convolutions are a case of their own, there too. On a processor without a GPU the convolutions of XLA, the compiler behind `fit`,
# are slow. So a model that has some is trained without XLA there, unless you say `jit_compile=True`.

# %% [markdown] tags=["notes"]
# **Speaker, 3 min.** Ask where the milliseconds of a step at 8×8 go. Then what a faster processor would change in either row.

# %% [markdown]
# ## A recipe for a real run
#
# Settings to start from at the size of MNIST. None is claimed to be the best.
#
# | what | setting |
# |---|---|
# | data | 50,000 / 10,000 / 10,000; `fresh_batches` for training, one fixed draw for validation |
# | networks | dense 784-500-500 and back, or convolutions with 32 filters; $z$ of 20 dimensions |
# | noise | one draw per image in training (estimator B), a stated seed |
# | optimiser | Adam, batch 128, step size 0.001 falling to 0 along a cosine |
# | length | 100 epochs for a first answer, 500 for a number to report |
# | safety | `BackupAndRestore` on arrays; on a stream `ModelCheckpoint` and `first_epoch` |
# | at the end | test images once, $S = 5000$, mean ± error over images; better: over three seeds as well |

# %%
steps = -(-50_000 // 128)
hours = steps * large[0] / 1000 / 3600
print(f"one epoch: {steps} steps of {large[0]:.1f} ms = {3600 * hours:.1f} s = {hours:.4f} hours")
for number in (100, 500, 3280):
    print(f"{number:5} epochs: {number * hours:5.2f} hours")

# %% [markdown]
# (3,280 epochs are those of the table above, where batches of 20 images make six times as many steps.) For convolutions compare
# the rows for 28×28 in `benchmarks/results/speed.md`.
#
# The pixels of a fresh stream are drawn while the last batch is being trained on, but not for nothing: reckon with some more.
# Before you start such a run, run it once with 1 % of the data, cut it, and resume it.

# %% [markdown] tags=["notes"]
# **Speaker, 2 min.** Take the printed hours and ask what they would do differently if it were ten times as many.

# %% [markdown]
# ## Where this breaks
#
# **More devices, larger batches, fewer steps.** A batch of 64 leaves eight devices eight images each, and they wait for each
# other. So people give each device 64. The epochs then take an eighth of the steps. **Predict:** after the same two epochs,
# is a batch of 512 as good? And with eight times the step size, as is often advised?

# %%
print("batch   step size   steps   validation bound after 2 epochs")
ends = {}
for batch, rate in ((64, 1e-3), (512, 1e-3), (512, 8e-3)):
    model = make("dense")
    model.compile(keras.optimizers.Adam(rate), jit_compile=False)
    model.fit(x_fixed[:10_240], y_train[:10_240], batch_size=batch, epochs=2, verbose=0)
    ends[batch, rate] = nats = model.bound(*validation).value.numpy()
    behind = estimate(ends[64, 1e-3] - nats)
    paired = f"   behind by {behind.mean:.2f} ± {behind.standard_error:.2f}" if behind.mean else ""
    print(f"{batch:5}{rate:12.3f}{int(model.optimizer.iterations):8}    {estimate(nats)}{paired}")
lost = estimate(ends[64, 1e-3] - ends[512, 1e-3]).mean
assert lost > 2 and behind.mean < 0.5 * lost or not on_digits  # six seeds: 5.8–6.4, then 0.4–0.6

# %% [markdown]
# The gradient of 512 images is less noisy, but not worth eight steps. A larger step size makes good most of it here. That you
# have to try out, at every size of batch anew. Two devices give the result of one (above) only for the same *global* batch.

# %% [markdown]
# **Randomness that is in no file.** Exact resumption rests on everything random being a function of the step. `Dropout`,
# which sets inputs to zero at random, is not: Keras keeps its counter in the layer. **Predict** what the power cut does now.

# %%
def with_dropout():
    keras.utils.set_random_seed(0)
    nets, family = build("dense", image, z=latent)
    x, y = inputs = [keras.Input(image), keras.Input((10,))]
    noisy = nets["posterior_net"]([keras.layers.Dropout(0.2)(x), y])
    nets["posterior_net"] = keras.Model(inputs, noisy)
    return CVAE2(**nets, family=family)


with tempfile.TemporaryDirectory() as folder:
    whole = script(make=with_dropout)
    with contextlib.suppress(RuntimeError):
        script(keras.callbacks.BackupAndRestore(folder), PowerCut(100), make=with_dropout)
    resumed = script(keras.callbacks.BackupAndRestore(folder), make=with_dropout)
print(f"with Dropout: largest difference of any weight {apart(whole, resumed):.4f}")
assert apart(whole, resumed) > 1e-4

# %% [markdown]
# The resumed run is a good run, but another one. If exact resumption matters, leave such layers out.

# %% [markdown] tags=["notes"]
# **Speaker, 3 min.** Eight devices for eight times the price: what did the class expect to get for it?

# %% [markdown]
# ## What you saw
#
# - The derivation and the four lines of factors did not change with the images; the networks did. Nearly all parameters of a
#   convolutional network were in its dense layers.
# - On 8×8 pixels convolutions and dense layers came out alike, within the error.
# - One model had many "log-likelihoods". Estimator, $S$, binarisation, split and error bar belong beside each.
# - With one fixed draw of the pixels a model learned the draw by heart; with fresh ones it did not.
# - A run that was cut and resumed ended with the same bits, a stream only when told its epoch, a `Dropout` layer not at all.
# - Two devices ended where one did, to rounding, for the same global batch.
# - Small steps cost dispatch, large ones arithmetic.

# %% [markdown]
# ## References
#
# - Y. Burda, R. Grosse and R. Salakhutdinov (2015), *Importance weighted autoencoders*: (2.6), the table, fresh binarisation.
# - The replication quoted: github.com/nbip/IWAE, summary table.
# - Y. LeCun, C. Cortes and C. J. C. Burges, *The MNIST database of handwritten digits*.
# - E. Alpaydin and C. Kaynak (1998), *Optical recognition of handwritten digits* (UCI): the images.
# - Y. LeCun et al. (1989), *Backpropagation applied to handwritten zip code recognition*: convolutions for digits.
