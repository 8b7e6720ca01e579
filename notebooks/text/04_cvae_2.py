# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 4 · CVAE-2: style apart from label
#
# CVAE-1 gave every label a prior of its own, and where those priors lay turned out to mean nothing. What if the
# label may not touch the prior at all? Does $z$ then hold only what the label does not say, the hand that wrote it?
# And does the model lose anything?

# %% [markdown]
# **After this lesson you can**
#
# - derive CVAE-2's bound from CVAE-1's by one assumption, and say what the assumption is about;
# - say why $q$ must still see the label, and compute what it costs to hide it;
# - write one digit's hand in other digits, and measure how much of the hand comes along;
# - turn any CVAE-1 into a CVAE-2 with the same bound, and say why training may end elsewhere all the same;
# - test whether $z$ really knows nothing of the label.
#
# **You need** lesson 03 (the bound (3.2), its four lines of code, the closed forms (7.1) and (7.2)), and from
# lesson 02 the training step (2.5) and the estimate of $\log p$ (2.6).

# %%
import inspect
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.svm import SVC

from cvae_tf import CVAE1, CVAE2, datasets, diagnostics, networks, noise, oracle, plotting
from cvae_tf.distributions import Gaussian
from cvae_tf.evaluation import estimate, importance_weighted_curve
from cvae_tf.penalties import Beta, WarmUp

green, ink = plotting.colour("CVAE2"), plotting.colour("baseline")

# %% [markdown]
# ## One assumption
#
# A writer has a hand: slanted or upright, broad or narrow. Then somebody says which digit to write. Suppose that the
# hand does not depend on the digit:
#
# $$ p(z \mid y) = p(z) \tag{4.1} $$
#
# Nothing else changes. The image is still drawn by both, $p(x \mid y, z)$, so that the joint density loses one $y$:
# $p(x, z \mid y) = p(z \mid y)\, p(x \mid y, z) = p(z)\, p(x \mid y, z)$. Put that into the first line of (3.2):
#
# $$
# \begin{aligned}
# \mathcal L(\theta, \phi; x, y)
# &= \mathbb E_{q(z \mid x, y)}\big[\log p(x, z \mid y) - \log q(z \mid x, y)\big] \\
# &= \mathbb E_{q(z \mid x, y)}\big[\log p(z) - \log q(z \mid x, y)\big]
#  + \mathbb E_{q(z \mid x, y)}\big[\log p(x \mid y, z)\big] \\
# &= -\,\mathrm{KL}\big(q(z \mid x, y) \,\|\, p(z)\big) + \mathbb E_{q(z \mid x, y)}\big[\log p(x \mid y, z)\big]
# \end{aligned}
# \tag{4.2}
# $$

# %% [markdown]
# One prior for all labels, $p(z) = \mathcal N(0, I)$, with nothing to learn in it. The gap is still that of (3.1),
# $\log p(x \mid y) - \mathcal L = \mathrm{KL}\big(q(z \mid x, y) \,\|\, p(z \mid x, y)\big)$, since (3.1) never asked
# what the prior looks like.
#
# Look at where $y$ has gone, and where it has stayed. It left the prior. It stayed in the likelihood, or the label
# would have no say at all. And it stayed in $q$. Why there, if $z$ and $y$ have nothing to do with each other?

# %%
for factor in (CVAE2.prior, CVAE2.posterior, CVAE2.likelihood, CVAE2.factors):
    source = inspect.getsource(factor).splitlines()
    print("\n".join(line for line in source if '"""' not in line))

# %% [markdown]
# | in (4.2) | in the code |
# |---|---|
# | $p(z)$ | `self.prior()`: no argument, no network |
# | $q(z \mid x, y)$ | `self.posterior(x, y)` |
# | $\log p(x \mid y, z)$ | `lambda z: self.likelihood(y, z).log_prob(x)` |

# %% tags=["hide-input"]
fig = plotting.graphical_model([CVAE1, CVAE2])
plotting.show(
    fig,
    "Two graphs side by side. CVAE-1: solid arrows from y to z, from y to x and from z to x. CVAE-2: the same "
    "without the arrow from y to z. In both, dashed arrows lead from x and from y to z for q.",
)

# %% [markdown]
# *One solid arrow fewer, from $y$ to $z$. The dashed one between the same two stays.*

# %% [markdown] tags=["notes"]
# **Speaker, 4 min.** Let the class find the one y that disappears between (3.2) and (4.2). Then point at the dashed
# arrow from y to z and ask who would delete it. Do not answer yet.

# %% [markdown]
# ## Why q sees y: explaining away
#
# In the graph $z$ and $y$ meet in $x$: $z \to x \leftarrow y$. A node with two arrows coming in is a **collider**,
# and it has a rule of its own. As long as nobody looks at $x$, the path through it is closed: to know $y$ tells you
# nothing of $z$. As soon as $x$ is seen, the path is open, and the two depend on each other. (Reading
# (in)dependence off a graph like this is called **d-separation**.)
#
# You know the rule from life. The lawn is wet: rain, or the sprinkler? Two causes that do not know of each other.
# But you see the wet lawn, hear that the sprinkler was on, and rain becomes less likely. One cause has **explained
# away** the other.

# %% tags=["hide-input"]
places, arrows = {"z": (0, 2), "y": (2.4, 2), "x": (1.2, 0)}, [("z", "x"), ("y", "x")]
with plotting.style():
    fig = Figure(figsize=(12, 5), layout="constrained")
    axes = fig.subplots(1, 2)
titles = ("$x$ unseen: the path is closed", "$x$ seen: the path is open")
for ax, observed, title in zip(axes, ((), ("x",)), titles, strict=True):
    plotting.directed_graph(places, arrows, observed=observed, title=title, ax=ax)
axes[0].text(1.2, 2, "✕", ha="center", va="center", fontsize=26, color="#AA4499", family="DejaVu Sans")
axes[1].annotate("", (1.95, 2), (0.45, 2), arrowprops={"arrowstyle": "<->", "color": "#AA4499", "lw": 3})
formulas = (r"$p(z, y) = p(z)\,p(y)$", r"$p(z, y \mid x) \neq p(z \mid x)\,p(y \mid x)$")
for ax, formula in zip(axes, formulas, strict=True):
    ax.set_ylim(-1.25, 2.6)
    ax.text(1.2, -0.95, formula, ha="center", fontsize=19, color="#222222", math_fontfamily="cm")
plotting.show(
    fig,
    "Two panels with the same graph, arrows from z and from y down to x. Left x is white, and a cross stands "
    "between z and y. Right x is shaded, and a double arrow joins z and y.",
)

# %% [markdown]
# *The collider $z \to x \leftarrow y$. Shaded: seen.*
#
# **Predict before you look.** Make it numbers: $z \sim \mathcal N(0, 1)$ and $y \sim \mathcal N(0, 1)$, drawn
# separately, and $x = z + y + 0.5\,\varepsilon$. You see $x = 1$. What is the correlation of $z$ and $y$ now:
# positive, zero or negative?

# %%
# NBVAL_CHECK_OUTPUT
sigma = 0.5
covariance = np.array([[1, 0, 1], [0, 1, 1], [1, 1, 2 + sigma**2]])  # of (z, y, x)
before = covariance[:2, :2]
after = before - np.outer(covariance[:2, 2], covariance[2, :2]) / covariance[2, 2]  # given x


def correlation(C):
    return C[0, 1] / np.sqrt(C[0, 0] * C[1, 1])


for name, C in (("before x is seen", before), ("after x is seen ", after)):
    print(f"{name}   cov(z, y) = {C[0, 1]:6.3f}   correlation {correlation(C):6.3f}   var z = {C[0, 0]:.3f}")

# %% [markdown]
# Strongly negative, whatever $x$ was: a large $y$ leaves less for $z$ to explain. Now give the same model to lesson
# 03's closed form. With (4.1) it has $A = 0$, $a = 0$ and $S = I$, and (7.2) becomes
#
# $$ p(z \mid x, y) = \mathcal N\big(C\, W^\top (x - Vy - b) / \sigma^2,\; C\big), \qquad
# C = \big(I + W^\top W / \sigma^2\big)^{-1} . $$
#
# Read it aloud: *take off what the label has already explained, $Vy$; what is left over is the style's.* The prior
# does not contain $y$, and the posterior does.

# %%
# NBVAL_CHECK_OUTPUT
toy = oracle.LinearGaussian(W=[[1.0]], b=[0.0], sigma=sigma, V=[[1.0]])
at = np.array([[-1.0], [0.0], [1.0]])
mean, C = toy.posterior(np.ones((3, 1)), at)  # (7.2) at x = 1
for y, m in zip(at.ravel(), mean.ravel(), strict=True):
    print(f"y = {y:4.1f}: p(z | x = 1, y) = N({abs(m):.1f}, {np.sqrt(C.item()):.3f}²)")
slope = np.diff(mean.ravel())
print("slope in y as from the covariances:", np.allclose(slope, after[0, 1] / after[1, 1], 0, 1e-12))
print("variance as from the covariances:  ", np.allclose(C, after[0, 0] - after[0, 1] ** 2 / after[1, 1]))

# %% tags=["hide-input"]
side = np.linspace(-2.6, 2.6, 201)
points = np.stack(np.meshgrid(side, side), -1)  # (y, z) on the page
given_x = covariance[:2, 2] / covariance[2, 2]  # the mean of (z, y) given x = 1
panels = (("before $x$ is seen", np.zeros(2), before), ("given $x = 1$", given_x, after))
with plotting.style():
    fig = Figure(figsize=(12.5, 5.8), layout="constrained")
    axes = fig.subplots(1, 2, sharey=True)
    for ax, (title, centre, C2) in zip(axes, panels, strict=True):
        off = points[..., ::-1] - centre
        density = np.exp(-0.5 * np.einsum("...i,ij,...j", off, np.linalg.inv(C2), off))
        ax.contourf(side, side, density, levels=np.linspace(0.05, 1, 8), cmap="Greys")
        line = centre[0] + C2[0, 1] / C2[1, 1] * (side - centre[1])
        ax.plot(side, line, color=green, label="mean of $z$ given " + ("$y$" if ax is axes[0] else "$x, y$"))
        ax.set(title=title, xlabel="$y$", xlim=(-2.6, 2.6), ylim=(-2.6, 2.6), aspect="equal")
        ax.legend(loc="lower left")
    axes[1].plot(at.ravel(), mean.ravel(), "o", color=green, ms=11)
    axes[0].set_ylabel("$z$ (prior standard deviations)")
plotting.show(
    fig,
    "Densities of z and y. Left, before x is seen: a round cloud, and the mean of z given y is a level line. Right, "
    "given x = 1: a narrow cloud tilted downwards, and the mean of z falls steeply as y grows; three dots on the line.",
)

# %% [markdown]
# *Left: independent. Right: the same pair once $x$ is known; dots, the three means printed above.*
#
# **What to see.** A $q$ that does not see $y$ has one Gaussian for the whole right-hand picture. The true posterior
# has one for every $y$, narrower, and sliding along the line.

# %% [markdown] tags=["notes"]
# **Speaker, 5 min.** Lawn, rain and sprinkler first; vote on the sign of the correlation; then the numbers. Now
# come back to the dashed arrow of the first figure.

# %% [markdown]
# ### What it costs to hide y from q
#
# Let the true posterior have mean $\mu(x, y)$ and covariance $C$, and let $q(z \mid x)$ have the same covariance,
# which is the best it can have, and a mean $\hat\mu(x)$ that must do without $y$. Between Gaussians of one
# covariance only the distance of the means is left of the divergence:
#
# $$ \mathrm{KL}\big(q(z \mid x) \,\|\, p(z \mid x, y)\big)
#  = \tfrac12\, \big(\hat \mu(x) - \mu(x, y)\big)^\top C^{-1} \big(\hat \mu(x) - \mu(x, y)\big) , $$
#
# least on average where $\hat \mu(x)$ is the best guess of $\mu(x, y)$ from $x$ alone. In the small model that is
# $\tfrac12 \operatorname{var}(\mu \mid x) / C$. On the real digits take the best linear CVAE-2 there is, which has a
# closed form as PCA has (more of it below), and for $\hat \mu$ the best *linear* guess. **Predict before you look:**
# nothing, half a nat, or five?

# %%
# NBVAL_CHECK_OUTPUT
x_all, y_all = (a.astype("float64") for a in datasets.digits().all[:2])
best = oracle.ppca(x_all, 8, y=y_all)  # maximum likelihood, 8 latents
m, C8 = best.posterior(x_all, y_all)  # [1797, 8]; C8 is diagonal
with_one = np.column_stack([x_all, np.ones(len(x_all))])
guess = with_one @ np.linalg.lstsq(with_one, m, rcond=None)[0]

scale = np.sqrt(np.diag(C8))
hidden = best.bound(m, scale, x_all, y_all) - best.bound(guess, scale, x_all, y_all)
print(f"small model:            {0.5 * slope[0] ** 2 * after[1, 1] / C.item():.3f} nats")
print("digits, linear CVAE-2: ", estimate(hidden))
print("= the formula:", np.allclose(hidden, 0.5 * ((guess - m) ** 2 / scale**2).sum(1), 0, 1e-9))

# %% [markdown]
# That is the bound's loss image by image, with the same $p$ and so the same $\log p(x \mid y)$; the ± is over
# images. The whole of it is gap. A network that bends may recognise the digit in $x$ and so find out the label by
# itself; how much that helps is measured further down. In this linear model a $q$ that cannot tell the label from $x$
# does without it only where $W^\top V y$ is the same for every label: where the labels' ink and the style's do not
# overlap.

# %% [markdown] tags=["notes"]
# **Speaker, 3 min.** Collect guesses in nats. Ask when the loss is zero: no overlap of Vy with the columns of W, or
# a label that x gives away.

# %% [markdown]
# ## Does the library compute this bound?
#
# As in lessons 01 and 03: a linear CVAE-2 in double precision with random weights and a random $q$, the noise of
# (1.5), and the identity (3.1) against (7.1) and (7.2).

# %%
truth = oracle.LinearGaussian.random(64, 8, 10, model="CVAE2", seed=0)
rng = np.random.default_rng(2)
y_random = np.eye(10)[rng.integers(0, 10, 200)]
x_random, _ = truth.sample(y_random, seed=1)

family = Gaussian(scale="shared", dtype="float64")
nets = networks.mlps(CVAE2, x=64, y=10, z=8, hidden=(), family=family, dtype="float64")
exact = CVAE2(**nets, family=family)
family.raw_scale.assign(family.raw_from_scale(truth.sigma))
exact.likelihood_net.set_weights([np.vstack([truth.V.T, truth.W.T]), truth.b])  # [y, z] → x
B, c, scale = rng.normal(0, 0.1, (74, 8)), rng.normal(0, 1, 8), rng.uniform(0.1, 1, 8)
raw_scale = exact.latent.raw_from_scale(scale)
exact.posterior_net.set_weights([np.hstack([B, np.zeros((74, 8))]), np.hstack([c, raw_scale])])

# %%
# NBVAL_CHECK_OUTPUT
bound = exact.bound(x_random, y_random, noise=noise.cubature(8))
mean = np.hstack([x_random, y_random]) @ B + c
gap = truth.kl_to_posterior(mean, scale, x_random, y_random)  # with (7.2)
log_p = truth.log_evidence(x_random, y_random)  # (7.1)
checks = {
    "bound + KL(q‖p(z|x,y)) = log p(x|y)": np.abs(bound.value + gap - log_p).max(),
    "KL(q‖p(z)) = (2.4) with N(0, I)": np.abs(bound.kl - oracle.kl_diagonal(mean, scale, 0, 1)).max(),
    "bound = −KL + reconstruction": np.abs(bound.value + bound.kl - bound.reconstruction).max(),
}
for claim, error in checks.items():
    print(f"{claim:37} to 1e-9 nats, 200 pairs: {error < 1e-9}")
    assert error < 1e-9

# %% [markdown]
# ### The training step, by hand
#
# Lesson 03's step without the prior's network: the KL is (2.4) with $m = 0$ and $s = 1$. The images are grey this
# time, as in lesson 01, and the likelihood a Gaussian with one learned $\sigma$ for all pixels, $\log p(x \mid y,
# z) = \sum_i \big[-\tfrac12 (x_i - \mu_i)^2 / \sigma^2 - \log \sigma - \tfrac12 \log 2\pi\big]$.

# %%
class ByHand(CVAE2):
    def train_step(self, data):
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)  # [M, 64], [M, 10]
        epsilon = self.training_noise(tf.shape(x)[0])[0]  # [M, d]
        with tf.GradientTape() as tape:
            mu, raw = tf.split(self.posterior_net([x, y]), 2, axis=-1)  # q(z|x,y)
            sigma = 1e-4 + tf.nn.softplus(raw)
            z = mu + sigma * epsilon  # (2.1)
            kl = 0.5 * tf.reduce_sum(sigma**2 + mu**2 - 1 - tf.math.log(sigma**2), -1)  # to p(z)
            sigma_x = 1e-4 + tf.nn.softplus(self.family.raw_scale.value)
            error = (x - self.likelihood_net([y, z])) / sigma_x  # p(x|y,z)
            terms = -0.5 * error**2 - tf.math.log(sigma_x) - 0.5 * np.log(2 * np.pi)
            loss = -tf.reduce_mean(-kl + tf.reduce_sum(terms, -1))  # (4.2), and (2.5) over N
        variables = self.trainable_variables
        gradient = tape.gradient(loss, variables)
        self.optimizer.apply_gradients(zip(gradient, variables, strict=True))
        return {"elbo": -loss}


# %% [markdown]
# 1,197 training images are few, and nets of this size learn them by heart. So the training set holds each twenty
# times, with a little Gaussian noise, 0.05 on a scale where the file's own grey step is 1/16 = 0.0625. Validation
# and test images stay as they are.

# %%
digits = datasets.digits(seed=0)
train, validation, test = digits[:3]
jitter = np.random.default_rng(0).standard_normal((20 * len(train.x), 64), dtype="float32")
x_train = np.tile(train.x, (20, 1)) + 0.05 * jitter
y_train = np.tile(train.y, (20, 1))


def make(model_class, seed=0, **options):
    """A model of the grey digits with 8 latents; one seed, one set of initial weights."""
    keras.utils.set_random_seed(seed)
    family = Gaussian(scale="shared", initial_scale=0.3)
    nets = networks.mlps(model_class, x=64, y=10, z=8, hidden=(64, 64), family=family)
    if model_class is CVAE1:
        nets["prior_net"] = networks.mlp({"y": 10}, (), 16)  # lesson 03's table: m(y) and raw s(y)
    return model_class(**nets, family=family, **options)


# %%
# NBVAL_CHECK_OUTPUT
models = library, yours = make(CVAE2), make(ByHand)
before_step = library.get_weights()
for model in models:
    model.compile(keras.optimizers.SGD(1e-4), run_eagerly=True)
for steps in (1, 2):
    for model in models:
        model.fit(x_train[:128], y_train[:128], batch_size=128, epochs=steps, verbose=0)
    after_step = library.get_weights()
    for ours, hand in zip(after_step, yours.get_weights(), strict=True):
        np.testing.assert_allclose(hand, ours, rtol=0, atol=1e-6)
    moved = max(np.abs(a - b).max() for a, b in zip(before_step, after_step, strict=True)) > 1e-4
    print(f"after {int(yours.optimizer.iterations)}: parameters moved: {moved}, and agree")
    before_step = after_step

# %% [markdown] tags=["notes"]
# **Speaker, 4 min.** Show the step beside lesson 03's: which line is shorter, which is gone? Then: why plain
# gradient descent for this check? Adam would hide half of the possible mistakes.

# %% [markdown]
# ## A limit on the real digits
#
# Lesson 01 had PCA's score as a ceiling for the linear VAE. A linear CVAE-2, $x \mid y, z \sim \mathcal N(Wz + Vy +
# b,\, \sigma^2 I)$, has one too. By (7.1), $p(x \mid y) = \mathcal N(Vy + b,\; W W^\top + \sigma^2 I)$: a
# regression of $x$ on $y$ whose residuals follow probabilistic PCA. For one-hot labels the best $Vy + b$ is the
# mean image of the label, by least squares, and then the **PCA score of the residuals** is the greatest mean of
# $\log p(x \mid y)$. No training can bring the bound above it.
#
# **Predict before you look.** One $W$ for all labels: does it find 8 patterns of *style*?

# %%
# NBVAL_CHECK_OUTPUT
limit = oracle.residual_pca_score(x_all, y_all, 8)
print(f"PCA's score, 8 components, no label (lesson 01):  {oracle.pca_score(x_all, 8):7.3f} nats per image")
print(f"the same of the residuals, label known:           {limit:7.3f}")
print(f"the closed form's optimum used above:             {best.log_evidence(x_all, y_all).mean():7.3f}")

# %%
keras.utils.set_random_seed(0)
family = Gaussian(scale="shared", initial_scale=0.3)
linear = CVAE2(**networks.mlps(CVAE2, x=64, y=10, z=8, hidden=(), family=family), family=family)
rate = keras.optimizers.schedules.CosineDecay(0.03, 30 * 130)
linear.compile(keras.optimizers.Adam(rate, beta_2=0.99))
ten_times = np.tile(x_all, (10, 1)), np.tile(y_all, (10, 1))  # ten passes, called one epoch
climb = linear.fit(*ten_times, batch_size=599, epochs=130, verbose=0).history["elbo"]
reached = linear.bound(x_all, y_all, noise=noise.cubature(8)).value.numpy().mean()
print(f"score of the residuals {limit:.3f}, linear CVAE-2's bound {reached:.3f}: "
      f"{limit - reached:.3f} nats per image below")  # fmt: skip
assert limit - 0.06 < reached < limit + 0.001  # eight runs ended 0.007 to 0.031 nats below

# %% tags=["hide-input"]
W = linear.likelihood_net.get_weights()[0][10:]  # the rows after the label's: [8, 64]
W = W[np.argsort(-np.linalg.norm(W, axis=1))]
with plotting.style():
    fig = Figure(figsize=(14, 5), layout="constrained")
    left, right = fig.subplots(1, 2, width_ratios=(1, 1.25))
    left.axhline(limit, color=ink, ls=(0, (1, 1.2)))
    left.text(10, limit + 0.4, "PCA score of the residuals", color=ink)
    left.plot(10 * np.arange(1, 131), climb, color=green)
    left.set(xscale="log", ylim=(-5, 26), xlabel="passes over the data", ylabel="bound (nats per image)")
names = [f"$z_{j + 1}$" for j in range(8)]
plotting.image_grid(
    np.concatenate([W, -W]).reshape(2, 8, 64), image_shape=(8, 8), ax=right, column_labels=names, cmap="PuOr",
    limits=(-0.25, 0.25), row_labels=["+", "−"],
)  # fmt: skip
plotting.show(
    fig,
    "Left: the bound climbs to a dotted line, the PCA score of the residuals, and runs along it. Right: two rows of "
    "eight patterns of more and less ink, edges and bars, the second row with opposite signs.",
)

# %% [markdown]
# *Left: the bound in training. Right: what one unit of $z_j$ adds (violet) and takes away (orange), and its
# opposite.*
#
# **What to see.** The ceiling is reached, not passed. The patterns shift ink sideways and up and down: what the
# label's mean image does not say. But one pattern serves all ten labels; a slant that depends on the digit needs a
# network that bends.

# %% [markdown] tags=["notes"]
# **Speaker, 2 min.** Ask why the two scores differ by more than log 10 (lesson 03): one Gaussian cloud is a poor
# model of ten digits, so most of the difference is the linear VAE's shortfall.

# %% [markdown]
# ## Train it on the digits
#
# Now with hidden layers. `Beta()` puts a weight $\beta$ on the divergence; at $\beta = 1$, where it stays for now,
# the objective is the bound (4.2) and nothing else. `restart` takes the model back to its first step from given
# weights and compiles nothing anew.

# %%
EPOCHS, BATCH = 10, 126  # 190 batches an epoch, all full
start = {}  # initial weights by class and seed


def ready(model_class):
    model = make(model_class, penalty=Beta())
    rate = keras.optimizers.schedules.CosineDecay(3e-3, EPOCHS * len(x_train) // BATCH)
    model.compile(keras.optimizers.Adam(rate))
    return model


def fit(model, seed, **options):
    kind = type(model), seed
    if kind not in start:
        start[kind] = make(*kind, penalty=Beta()).get_weights()
    model.restart(start[kind])
    return model.fit(x_train, y_train, batch_size=BATCH, epochs=EPOCHS, verbose=0, **options)


cvae2 = ready(CVAE2)
history = fit(cvae2, seed=0, validation_data=validation[:2])

# %% tags=["hide-input"]
plotting.show(
    plotting.bound_curves(history, name="CVAE2", ylabel="bound (nats per image)"),
    "Bounds of training and validation images over 10 epochs: both rise steeply, then slowly, and flatten.",
)

# %%
per_label = oracle.ppca(train.x, 8, y=train.y)  # the linear optimum, fitted to the training images
curve = importance_weighted_curve(cvae2, test.x, test.y, sizes=(1, 256))  # (2.6), draws of q
log_p = curve[256]
linear_log_p = per_label.log_evidence(test.x, test.y)
gain = estimate(log_p - linear_log_p)
print("test, linear CVAE-2 at its optimum: log p(x|y)", estimate(linear_log_p))
print("test, CVAE-2, K = 256:              log p(x|y)", estimate(log_p))
print(f"gain, image by image                           {gain.mean:.2f} ± {gain.standard_error:.2f} nats")
for name in ("elbo", "val_elbo"):
    rise = history.history[name][-1] - history.history[name][-2]
    print(f"{name:9} in the last epoch {rise:+.2f} nats")
    assert abs(rise) < 0.3  # flat
assert gain.mean > 5  # 18 runs gave 8 to 16

# %% [markdown]
# The curves have flattened. ($\log p$ of a density of grey values, as in lesson 01: compare it with these rows, not
# with lesson 03's binary images.) Bending is worth many nats on images that neither has seen.

# %% [markdown]
# ## Style × label
#
# **Predict before you look.** One $z \sim p(z)$ for each row, one label for each column. What stays the same along
# a row?

# %% tags=["hide-input", "thumbnail"]
plotting.show(
    plotting.label_style_sweep(cvae2, num_styles=8, seed=2),
    "Eight rows of ten generated digits. Each column is one digit from 0 to 9; within a row the digits share slant, "
    "width and weight of stroke, and the rows differ in them.",
)

# %% [markdown]
# *Means of $p(x \mid y, z)$. Down a column the label stays, along a row the hand. (Here $z = u$; the letter $u$
# will be of use.)*
#
# **What to see.** Nobody told the model what a slant is. Slant, width and boldness are what is left to say once the
# label has been said, and what one $z$ can say for all labels at once.
#
# Now move one latent and keep the others. Where a kernel runs, sliders set three more of them.

# %%
# the four latents whose mean under q moves most from image to image, busiest first
active = np.argsort(-diagnostics.active_units(cvae2, test.x, test.y).variance)[:4]


def sweep(a=0.0, b=0.0, c=0.0):
    """Rows: the busiest latent from −2 to 2. The next three as the sliders say, the rest 0."""
    z = np.zeros((5, 8), "float32")
    z[:, active] = np.column_stack([np.linspace(-2, 2, 5), *np.tile([[a], [b], [c]], 5)])
    images = cvae2.likelihood(np.tile(np.eye(10), (5, 1)), np.repeat(z, 10, axis=0)).mean().numpy()
    return plotting.image_grid(
        images, columns=10, column_labels=range(10), row_labels=["−2", "−1", "0", "1", "2"],
        xlabel="label $y$", ylabel="the busiest latent (prior s.d.)",
    )  # fmt: skip


plotting.explore(
    sweep, a=(-2.0, 2.0, 0.0), b=(-2.0, 2.0, 0.0), c=(-2.0, 2.0, 0.0),
    alt="Five rows of ten digits: one latent goes from -2 to 2 down the rows, and all ten digits change with it "
    "in a like way.",
)  # fmt: skip

# %% [markdown]
# *The busiest latent, from two prior standard deviations below its mean to two above, for every label.*

# %% [markdown] tags=["notes"]
# **Speaker, 4 min.** Cover the row labels and let the class name what a row has in common. With a kernel: move the
# sliders, ask for the name of each.

# %% [markdown]
# ## Analogies: this hand, another digit
#
# Take a real image with its label, read off its style, $z = $ the mean of $q(z \mid x, y)$, and decode it with
# another label. Under (4.1) this needs no correction of $z$: the style's place does not depend on the label.

# %%
def rewrite(model, x, y, y_new):
    """The hand of (x, y), writing y_new: the mean of p(x|y',z), z the mean of q(z|x,y)."""
    z = model.posterior(x, y).mean()
    return model.likelihood(y_new, z).mean().numpy()


everyone = np.eye(10, dtype="float32")
rows = [np.flatnonzero(test.labels == k)[i] for k, i in ((0, 3), (1, 2), (2, 5), (4, 0), (6, 1), (7, 4), (9, 6))]
table = [rewrite(cvae2, test.x[[i] * 10], test.y[[i] * 10], everyone) for i in rows]
again = cvae2.reconstruct(test.x[rows], test.y[rows])

# %% tags=["hide-input"]
fig = plotting.image_grid(
    np.concatenate([test.x[rows][:, None], again[:, None], np.stack(table)], axis=1), image_shape=(8, 8),
    column_labels=["real", "own", *range(10)], xlabel="decoded with its own label, then with each label",
)  # fmt: skip
plotting.show(
    fig,
    "Seven rows. In each a real test digit, its reconstruction, and the ten digits from 0 to 9 written in a like "
    "hand: slanted where the first is slanted, bold where it is bold.",
)

# %% [markdown]
# *A test image, what the model makes of it with its own label, and the same $z$ with all ten labels.*
#
# Does it hold beyond seven rows? Two measures, on all 300 test images with each of the nine other labels. Is it the
# digit asked for? A reader trained on real digits says. Is it the same hand? Compare the **slant**, by how many
# pixels the stroke moves sideways per pixel of height, of the real image and of its rewritten ones; the mean of
# each label is taken off, since a 7 leans by itself.

# %%
reader = SVC().fit(train.x, train.labels)  # a support vector machine


def slant(images):
    """Sideways shift of the ink per pixel of height, by least squares over the pixels. [N]"""
    ink = np.clip(images, 0, None) / np.clip(images, 0, None).sum(1, keepdims=True)
    up, across = -np.repeat(np.arange(8.0), 8), np.tile(np.arange(8.0), 8)
    du, da = up - (ink @ up)[:, None], across - (ink @ across)[:, None]
    return (ink * du * da).sum(1) / (ink * du**2).sum(1)


def within(values, labels):
    return values - np.array([values[labels == k].mean() for k in range(10)])[labels]


# %%
right, leaning = [], []
for step in range(1, 10):
    wanted = (test.labels + step) % 10
    images = rewrite(cvae2, test.x, test.y, everyone[wanted])
    right.append(reader.predict(images) == wanted)
    leaning.append(within(slant(images), test.labels))
hits = estimate(np.mean(right, 0))
own, others = within(slant(test.x), test.labels), np.mean(leaning, 0)
r = np.corrcoef(own, others)[0, 1]
shuffled = np.corrcoef(own, np.random.default_rng(0).permutation(others))[0, 1]
print(f"reader on real test images:               {reader.score(test.x, test.labels):6.1%}")
print(f"reader on rewritten ones, label asked:    {hits.mean:6.1%} ± {hits.standard_error:.1%} "
      "(300 images, 9 labels each)")  # fmt: skip
print(f"slant, real against rewritten:            r = {r:.2f} ± {(1 - r**2) / 300**0.5:.2f}")
print(f"slant, another image's rewritten:         r = {shuffled:.2f}")
assert hits.mean > 0.93 and r > 0.5  # six runs gave 97 to 99 %, and r = 0.70 to 0.84

# %% [markdown]
# The digit is the one that was asked for, and much of the slant comes along. So $z$ carries style over from label
# to label, to a degree that you can state. No loss asked for it: (4.2) rewards explaining $x$, and with one decoder
# and one prior for all labels it pays to use a latent for the same thing everywhere.

# %% [markdown] tags=["notes"]
# **Speaker, 4 min.** Ask what would count as evidence that style was kept, before showing the slant. Why must each
# label's mean be taken off first?

# %% [markdown]
# ## CVAE-1 against CVAE-2
#
# CVAE-1 has everything that CVAE-2 has, and a prior that learns. Same widths, same data, same order, same noise;
# four seeds, a seed being a set of initial weights. **Predict before you look:** who has the higher $\log p(x \mid
# y)$ on test images, and by how much?

# %%
SEEDS, runs, kept = range(4), {}, {}


def measure(name, model, **options):
    """Train from each seed; on the test images log p(x|y) by (2.6), K = 256, and the bound, K = 1."""
    for seed in SEEDS:
        fit(model, seed, **options)
        curve = importance_weighted_curve(model, test.x, test.y, sizes=(1, 256))
        runs[name, seed] = {"bound": curve[1], "log p(x|y)": curve[256]}
        kept[name, seed] = model.get_weights()


cvae1 = ready(CVAE1)
measure("CVAE-1", cvae1)
measure("CVAE-2", cvae2)

# %%
def compare(first, second, quantity="log p(x|y)"):
    """first − second: by seed, each ± over images; then the mean over the seeds, ± over seeds."""
    differences = [runs[first, s][quantity] - runs[second, s][quantity] for s in SEEDS]
    row = "  ".join(f"{e.mean:+5.2f} ± {e.standard_error:.2f}" for e in map(estimate, differences))
    mean = estimate([d.mean() for d in differences])
    print(f"{quantity:11} {row}   mean {mean.mean:+.2f} ± {mean.standard_error:.2f}")
    return mean


for name in ("CVAE-1", "CVAE-2"):
    print(f"{name}, log p(x|y) by seed: ", *(f"{runs[name, s]['log p(x|y)'].mean():6.2f}" for s in SEEDS))
print("\nCVAE-1 − CVAE-2, nats per test image, paired by image, seeds 0 to 3:")
ahead = compare("CVAE-1", "CVAE-2")
compare("CVAE-1", "CVAE-2", "bound")
assert ahead.mean > 0.5  # 18 runs, one by one, gave 0.8 to 7.7

# %% [markdown]
# CVAE-1 is ahead, and by very different amounts: the seed decides how much, and four seeds leave the mean a wide
# error. Is CVAE-1 the richer family, then? Before you conclude, do some algebra.

# %% [markdown] tags=["notes"]
# **Speaker, 2 min.** Let them conclude that the conditional prior is worth some nats. Write the conclusion on the
# board. It will be crossed out in five minutes.

# %% [markdown]
# ## They are the same model
#
# Take any CVAE-1, with prior $\mathcal N\big(m(y), s(y)^2\big)$ and $q = \mathcal N(\mu, \sigma^2)$. Measure $z$
# from its label's prior, in that prior's units, as lesson 03 advised:
#
# $$ z = m(y) + s(y) \odot u . $$
#
# Then $u \sim \mathcal N(0, I)$ whatever $y$ is, so that (4.1) holds for $u$. The likelihood *absorbs* $m$ and $s$,
# $p'(x \mid y, u) = p\big(x \mid y,\, m(y) + s(y) \odot u\big)$, and it may, because it sees $y$. The posterior
# moves along, $q'(u \mid x, y) = \mathcal N\big((\mu - m)/s,\; (\sigma/s)^2\big)$. That is a CVAE-2. Its bound:
#
# - The KL: (2.4) holds $\mu, m, \sigma, s$ in the ratios $(\mu - m)/s$ and $\sigma/s$ alone. Those are mean and
#   scale of $q'$: the same number.
# - The reconstruction: with the same $\varepsilon$, $m + s \odot \big(\tfrac{\mu - m}{s} + \tfrac{\sigma}{s} \odot
#   \varepsilon\big) = \mu + \sigma \odot \varepsilon$. The same $z$, the same image.

# %%
def in_two(raw):
    return raw[:, :8], 1e-4 + keras.ops.softplus(raw[:, 8:])  # mean and scale


def absorb(model):
    """The CVAE-2 that a CVAE-1 is: z = m(y) + s(y) ⊙ u."""
    x, y, u = (keras.Input((size,), dtype="float64") for size in (64, 10, 8))
    (m, s), (mu, sigma) = in_two(model.prior_net(y)), in_two(model.posterior_net([x, y]))
    raw = keras.ops.log(keras.ops.expm1(sigma / s - 1e-4))  # so that softplus gives σ/s
    posterior_net = keras.Model([x, y], keras.ops.concatenate([(mu - m) / s, raw], -1))
    likelihood_net = keras.Model([y, u], model.likelihood_net([y, m + s * u]))
    family = Gaussian(scale="shared")
    same = CVAE2(posterior_net=posterior_net, likelihood_net=likelihood_net, family=family)
    family.raw_scale.assign(model.family.raw_scale)
    return same


# %% [markdown]
# Take the CVAE-1 just trained (its weights, in a double-precision copy), absorb, and give both the same noise. The
# result is an ordinary `CVAE2` of the library, with an ordinary prior and two networks.

# %%
keras.config.set_dtype_policy("float64")
family = Gaussian(scale="shared")
nets = networks.mlps(CVAE1, x=64, y=10, z=8, hidden=(64, 64), family=family, dtype="float64")
nets["prior_net"] = networks.mlp({"y": 10}, (), 16, dtype="float64")
trained = CVAE1(**nets, family=family, penalty=Beta())
trained.set_weights(kept["CVAE-1", 0])
same = absorb(trained)
keras.config.set_dtype_policy("float32")

# %%
# NBVAL_CHECK_OUTPUT
exact_noise = noise.normal(8, 300, 8, key=1, dtype="float64")
as_1, as_2 = (m.bound(test.x, test.y, noise=exact_noise) for m in (trained, same))
print("classes:", type(trained).__name__, "and", type(same).__name__)
for term in ("kl", "reconstruction", "value"):
    apart = np.abs(getattr(as_1, term) - getattr(as_2, term)).max()
    print(f"{term:15} the same for all 300 test images, to 1e-9 nats: {apart < 1e-9}")
    assert apart < 1e-9  # seen: 1e-13
images = [m.generate(everyone, seed=0) for m in (trained, same)]
print("generated images the same, to 1e-9:", np.allclose(*images, rtol=0, atol=1e-9))

# %% [markdown]
# The other way is shorter: a CVAE-2 is a CVAE-1 whose prior network has learned to give $m = 0$, $s = 1$. So each
# family contains the other: with Gaussian priors **CVAE-1 and CVAE-2 are the same model in principle**, for any
# $y$. Then the nats above do not come from what CVAE-1 can express. What is left is what networks of this size can
# hold, and where training ends.

# %% [markdown] tags=["notes"]
# **Speaker, 4 min.** Do the KL on the board: (2.4) has only ratios. Cross out the conclusion of the last section.
# Ask: so where do the nats come from?

# %% [markdown]
# ### Where the nats come from
#
# Look at what each latent does. A latent is **active** if the mean of its $q$ moves from image to image, in units
# of its prior; one that does not move says nothing of the image, and its $q$ has **collapsed** onto the prior. A
# collapsed latent costs no divergence, and early in training, when the decoder cannot use it yet, that is the cheap
# thing to do. **Warm-up** keeps the price down until then: the weight $\beta$ of the divergence rises from near 0
# to 1 over the first 5 of the 10 epochs, (7.3). After that the objective is the bound again.

# %%
measure("CVAE-1, warm-up", cvae1, callbacks=[WarmUp(5)])
measure("CVAE-2, warm-up", cvae2, callbacks=[WarmUp(5)])


def restored(name, seed=0):
    model = {"CVAE-1": cvae1, "CVAE-2": cvae2}.get(name[:6]) or blind
    model.set_weights(kept[name, seed])
    return model


names = ("CVAE-1", "CVAE-2", "CVAE-1, warm-up", "CVAE-2, warm-up")
movement = {}
for name in names:
    units = [diagnostics.active_units(restored(name, s), *test[:2]) for s in SEEDS]
    movement[name] = np.mean([np.sort(unit.variance)[::-1] for unit in units], 0)
    nats = estimate([runs[name, s]["log p(x|y)"].mean() for s in SEEDS])
    print(f"{name:16} active latents by seed {[unit.count for unit in units]}   log p(x|y) {nats.mean:.2f} "
          f"± {nats.standard_error:.2f}")  # fmt: skip

# %%
print("nats per test image, paired by image; by seed ± over images, mean ± over seeds\n")
print("CVAE-1 − CVAE-2, both with warm-up")
level = compare("CVAE-1, warm-up", "CVAE-2, warm-up")
compare("CVAE-1, warm-up", "CVAE-2, warm-up", "bound")
print("what warm-up gives CVAE-1")
compare("CVAE-1, warm-up", "CVAE-1")
print("what warm-up gives CVAE-2")
helped = compare("CVAE-2, warm-up", "CVAE-2")
assert abs(level.mean) < 1.5 and helped.mean > 0.5
# log p, 18 runs one by one: warm-up against warm-up −0.5 to 1.7 (15 above zero), for CVAE-2 1.0 to 6.5

# %% tags=["hide-input"]
with plotting.style():
    fig = Figure(figsize=(12, 4.8), layout="constrained")
    axes = fig.subplots(1, 2, sharey=True)
    for ax, title, pair in ((axes[0], "the plain bound", names[:2]), (axes[1], "with warm-up", names[2:])):
        for shift, name in zip((-0.2, 0.2), pair, strict=True):
            shade = plotting.colour(name[:6].replace("-", ""))
            ax.bar(np.arange(1, 9) + shift, movement[name], width=0.38, color=shade, label=name[:6])
        ax.set(title=title, xlabel="latent, busiest first", xticks=range(1, 9))
    axes[0].set_ylabel("variance of $q$'s mean\n(prior variances)")
    axes[0].legend(loc="upper right")
plotting.show(
    fig,
    "Two bar charts over eight latents. With the plain bound CVAE-1's bars stay high nearly to the last, CVAE-2's "
    "fall to zero after the first few. With warm-up all sixteen bars are high.",
)

# %% [markdown]
# *How much each latent tells of the test images; mean over four seeds.*
#
# **What to see.** Under the plain bound CVAE-2 lets more of its latents die. Keep them alive, and most of its nats
# come back: what was missing was a matter of training, not of the family. A smaller lead is left, printed above with
# its error, and it is CVAE-1's with most seeds. By the algebra it too must come from training or from the size of the
# networks. The model with the learned prior is no richer; it seems to be easier to train.

# %% [markdown] tags=["notes"]
# **Speaker, 4 min.** Ask what is wrong with papers that compare two models by one training run each. Then ask
# whether four seeds are enough for the last row.

# %% [markdown]
# ### And a q that is not told y
#
# Back to the dashed arrow. The model without it is two lines: the signature is the graph. It trains with warm-up
# too, so that dead latents do not blur the answer. (`q(z|x)` may bend now, and find out the digit by itself.)

# %%
class Blind(CVAE2):
    def posterior(self, x):
        return self.latent(networks.apply(self.posterior_net, x))  # q(z|x)

    def factors(self, x, y):
        return self.posterior(x), self.prior(), lambda z: self.likelihood(y, z).log_prob(x)


blind = ready(Blind)
measure("blind", blind, callbacks=[WarmUp(5)])
print("CVAE-2 − the same with q blind to y, nats per test image:")
cost = compare("CVAE-2, warm-up", "blind", "bound")
compare("CVAE-2, warm-up", "blind")
assert cost.mean > 0.3  # 18 runs, one by one: bound 0.2 to 2.2, log p −0.1 to 2.1

# %% [markdown]
# It costs nats. The number cannot be held against the linear model's above, where $p$ stayed as it was: here $p$ was
# trained anew, and adapted to a $q$ that cannot explain away. The second row shows what that did: part of the loss is in
# $\log p$ itself, not in the gap. You will see below what that did to $z$.

# %% [markdown] tags=["notes"]
# **Speaker, 2 min.** For which data would the cost be zero? Where x gives y away. Where would it be large? Where x
# leaves y open, as in the small model.

# %% [markdown]
# ## Is z independent of y?
#
# (4.1) says so of the *prior*. But the $z$ of real images come from $q(z \mid x, y)$, and their pool over all
# images with one label, the **aggregate posterior** $q(z \mid y)$, need not be $p(z)$: the bound only pulls that
# way. Were $q$ the true posterior and the data the model's own, the pools would be equal, and no reader could tell
# the label from a *draw* of $z$. (From $q$'s mean it might: the means of two equal pools may spread differently where
# the widths of $q$ do. So draws are the test, and means are shown beside them because papers plot those.)
#
# So let readers try, on the 600 images that no model was trained on (each reader learns on four fifths of them and
# reads the rest, five times over). A guess is right in one of ten. One reader sees differences of *place* only
# (logistic regression); one fits a Gaussian to each label, and so sees *spread* and *tilt* too (quadratic
# discriminant). **Predict before you look:** CVAE-2's $z$, CVAE-1's $z$, and CVAE-1's $u = (z - m(y))/s(y)$: which of
# them gives the label away?

# %%
x_held, y_held = np.concatenate([validation.x, test.x]), np.concatenate([validation.y, test.y])
label_held = np.concatenate([validation.labels, test.labels])
readers = {
    "place": LogisticRegression(max_iter=1000),
    "place and spread": QuadraticDiscriminantAnalysis(reg_param=0.01),
}


def styles(name, model):
    """{what: (means of q, draws of q)} for the 600 images."""
    q, p, _ = model.factors(*map(model.tensor, (x_held, y_held)))
    draws = q.mean() + q.stddev() * noise.normal(1, 600, 8, key=2)[0]
    views = {f"{name}: z": (q.mean(), draws)}
    if isinstance(model, CVAE1):
        views[f"{name}: u"] = [(z - p.mean()) / p.stddev() for z in (q.mean(), draws)]
    return views


# %%
leaks = {}
for name in ("CVAE-1", "CVAE-2", "CVAE-1, warm-up", "CVAE-2, warm-up", "blind"):
    for view, (means, draws) in styles(name, restored(name)).items():  # seed 0
        for kind, z in (("means", means.numpy()), ("draws", draws.numpy())):
            for sees, one in readers.items():
                found = cross_val_predict(one, z, label_held, cv=5) == label_held
                leaks[view, kind, sees] = estimate(found)
columns = [(kind, sees) for kind in ("means", "draws") for sees in readers]
print(f"{'label read from':22}" + "".join(f"{', '.join(column):>25}" for column in columns))
for view in dict.fromkeys(v for v, *_ in leaks):
    row = [leaks[view, *column] for column in columns]
    print(f"{view:22}" + "".join(f"{f'{e.mean:.1%} ± {e.standard_error:.1%}':>25}" for e in row))

# %%
# Four seeds gave, from draws, place / place and spread: CVAE-1 z 43–56 / 52–71 %, u 11–13 / 19–25 %;
# CVAE-2 11–14 / 17–25 %, with warm-up 19–25 / 44–52 %; blind, with warm-up 57–61 / 70–74 %
for sees in readers:
    assert leaks["CVAE-1: z", "draws", sees].mean > leaks["CVAE-2: z", "draws", sees].mean + 0.15
    assert leaks["blind: z", "draws", sees].mean > leaks["CVAE-2, warm-up: z", "draws", sees].mean + 0.08
assert leaks["CVAE-2, warm-up: z", "draws", "place and spread"].mean > 0.25  # not independent
assert leaks["CVAE-2: z", "draws", "place"].mean < 0.25

# %% tags=["hide-input"]
views = list(dict.fromkeys(v for v, *_ in leaks))
with plotting.style():
    fig = Figure(figsize=(13, 5.6), layout="constrained")
    axes = fig.subplots(1, 2, sharey=True)
    shades = [ink if v == "blind: z" else plotting.colour(v[:6].replace("-", "")) for v in views]
    for ax, kind in zip(axes, ("means", "draws"), strict=True):
        for shift, sees, hatch in ((-0.19, "place", ""), (0.19, "place and spread", "///")):
            values = [leaks[v, kind, sees] for v in views]
            ax.barh(
                np.arange(len(views)) + shift, [100 * e.mean for e in values], height=0.36, color=shades, hatch=hatch,
                edgecolor="white", xerr=[100 * e.standard_error for e in values], capsize=3,
            )  # fmt: skip
        ax.axvline(10, color="#222222", ls=(0, (1, 1.2)))
        ax.text(11, -0.62, "guessing", fontsize=13, va="center")
        ax.set(title=f"from {kind} of $q$", xlabel="label read correctly (%)", xlim=(0, 100))
        ax.set_ylim(len(views) - 0.4, -0.9)
    axes[0].set_yticks(range(len(views)), views)
plotting.show(
    fig,
    "Two bar charts with error bars, share of labels read from z. CVAE-1's z gives the label away in most cases; its "
    "u and the z of CVAE-2 lie near guessing for the reader of place and well above it for the reader of place and "
    "spread; the blind model's z gives away about as much as CVAE-1's.",
)

# %% [markdown]
# *Plain bars: a reader of place. Hatched: a reader of place and spread. Dotted: guessing.*
#
# **What to see.** On the right: CVAE-1's $z$ tells the label, because here its priors ended in ten places. (In lesson 03,
# with two latents and binary pixels, they lay on top of each other. No term of the bound decides it.) Its $u$ tells far less, on
# the level of CVAE-2's $z$ under the plain bound. With warm-up, which gave the better $\log p$, CVAE-2's $z$ is plainly
# **not** independent of $y$: what a reader of place hardly finds, a reader of spread does. And the $z$ of the blind
# $q$, which could not take the label's share off, tells most of it. The means, on the left, would exaggerate.

# %% [markdown] tags=["notes"]
# **Speaker, 4 min.** Everyone expects 10 %. Ask where the information sits if a linear reader finds so little: ask
# for a label whose hands differ less than others'.

# %% [markdown]
# ## Where this breaks: a style that no 1 was ever written in
#
# (4.1) promises every hand for every digit, and `generate` takes it at its word: it draws the style from $p(z)$. For
# each label fit a Gaussian to the styles of that label's training images, the hands it was really written in. Draw
# 500 styles from the prior and sort them: the fifth that is likeliest under that Gaussian, and the fifth that is
# least likely. Count also how many lie outside the region that holds 99 % of the label's own styles: 1 % of them, if
# the two agreed. (For CVAE-1 the style is $u$, so the prior is the same.)
#
# **Predict before you look.** CVAE-2 gained nats by warm-up. What does the reader make of the two fifths?

# %%
fresh = np.random.default_rng(4).standard_normal((500, 8)).astype("float32")  # u ~ N(0, I)


def styles_of(model, x, y, draws):
    """Draws of q in units of the prior, u = (z − m)/s; for CVAE-2 that is z. [draws, N, 8]"""
    q, p, _ = model.factors(*map(model.tensor, (x, y)))
    z = q.mean() + q.stddev() * noise.normal(draws, len(x), 8, key=3)
    return ((z - p.mean()) / p.stddev()).numpy()


def written(model, styles, k):
    """Label k in 500 fresh styles, likeliest first; share of styles outside 99 % of its own."""
    own = styles[:, train.labels == k].reshape(-1, 8)
    centre, precision = own.mean(0), np.linalg.inv(np.cov(own.T))
    own, d = (np.einsum("ni,ij,nj->n", u - centre, precision, u - centre) for u in (own, fresh))
    y = model.tensor(everyone[[k] * 500])
    _, p, _ = model.factors(np.zeros((500, 64), "float32"), y)
    z = p.mean() + p.stddev() * fresh[np.argsort(d)]
    return model.likelihood(y, z).mean().numpy(), np.mean(d > np.quantile(own, 0.99))


# %%
rows = ("likeliest fifth, read as the label", "least likely fifth", "share of styles outside 99 % of own")


def holes(name, seed):
    """The three rows for each label, [3, 10], and the ten sheets of images."""
    model = restored(name, seed)
    styles = styles_of(model, train.x, train.y, draws=20)
    sheets, outside = zip(*[written(model, styles, k) for k in range(10)], strict=True)
    read = [[np.mean(reader.predict(sheets[k][part]) == k) for k in range(10)]
            for part in (slice(0, 100), slice(-100, None))]  # fmt: skip
    return np.array([*read, outside]), sheets


found = {name: [holes(name, s)[0] for s in SEEDS] for name in ("CVAE-2", "CVAE-2, warm-up", "CVAE-1, warm-up")}
print(f"{'mean over labels; ± over four seeds':36}" + "".join(f"{name:>20}" for name in found))
for i, row in enumerate(rows):
    over_seeds = [estimate([f[i].mean() for f in by_seed]) for by_seed in found.values()]
    print(f"{row:36}" + "".join(f"{f'{e.mean:.1%} ± {e.standard_error:.1%}':>20}" for e in over_seeds))

# %%
by_label, sheets = holes("CVAE-2, warm-up", 0)
print(f"{'CVAE-2, warm-up, seed 0; label':36}" + "".join(f"{k:6}" for k in range(10)))
for row, values in zip(rows, by_label, strict=True):
    print(f"{row:36}" + "".join(f"{value:6.0%}" for value in values))
near, far, outside = np.mean([f.mean(1) for f in found["CVAE-2, warm-up"]], 0)
# means over four seeds: each limit is three of the errors printed above away, or more
assert near > 0.93 and far < near - 0.04 and outside > 0.2
assert far < np.mean([f[1].mean() for f in found["CVAE-1, warm-up"]]) - 0.03

# %% tags=["hide-input"]
worst = int(by_label[1].argmin())
images, pick = sheets[worst], np.linspace(0, 99, 10).astype(int)
fig = plotting.image_grid(
    np.stack([train.x[train.labels == worst][:10], images[pick], images[400 + pick]]), image_shape=(8, 8),
    row_labels=["real", "likeliest", "least likely"], title=f"the label that suffers most: {worst}",
)  # fmt: skip
plotting.show(
    fig,
    "Three rows of ten images of one digit: real ones; generated in the styles that the digit was written in, "
    "readable; generated in styles that it was never written in, most of them smeared.",
)

# %% [markdown]
# *CVAE-2 with warm-up: real images, and styles from the same $p(z)$, likeliest and least likely for this label.*
#
# **What to see.** The styles were drawn as (4.1) prescribes, but no image of this label ever came with such a $z$.
# There the likelihood was never trained, and it extrapolates. $\log p(x \mid y)$ of real images hardly sees it, since
# real images do not lie there: of the two CVAE-2s the one with the better $\log p$ has the larger holes.
#
# The assumption is not to blame. CVAE-1's $u$ obeys (4.1) as well, with the same prior, and has far smaller holes,
# perhaps because its $m(y)$ and $s(y)$ can move a label's styles onto the prior by themselves, where CVAE-2's two
# networks must do so together. By the change of variables there *is* a CVAE-2 like that. Training did not end there.

# %% [markdown] tags=["notes"]
# **Speaker, 2 min.** Ask which number of this lesson would have warned you: not log p, but the readers of the last
# section.

# %% [markdown]
# ## What you saw
#
# - (4.1) takes one $y$ out of (3.2), and (4.2) is left; a linear CVAE-2 gave $\log p(x \mid y) = \mathcal L +
#   \mathrm{KL}$ to $10^{-9}$ nats.
# - $z$ and $y$ are independent until $x$ is seen; then they explain each other away, and a $q$ that is not told $y$
#   loses nats.
# - On the digits a linear CVAE-2 reached the PCA score of the residuals; with hidden layers it wrote one hand in
#   ten digits, slant and all.
# - CVAE-1 and CVAE-2 are the same model: $z = m(y) + s(y) \odot u$, with bounds equal to the last digit. CVAE-1 was
#   ahead under the plain bound, as CVAE-2 had let latents die; with warm-up most of the lead was gone.
# - $z$ was not independent of $y$ in the aggregate, and styles that a label never had gave images that were not
#   that label's.
#
# Still open: here $y$ is given and $x$ is explained. Lesson 05 turns the arrow round and predicts $y$ from $x$.

# %% [markdown]
# ## References
#
# - D. P. Kingma, D. J. Rezende, S. Mohamed and M. Welling (2014), *Semi-supervised learning with deep generative
#   models*: this model is the labelled half of their M2 (lesson 08), analogies included.
# - J. Pearl (1988), *Probabilistic reasoning in intelligent systems*: d-separation, explaining away.
# - M. E. Tipping and C. M. Bishop (1999), *Probabilistic principal component analysis*: the limit of the linear
#   model.
# - S. R. Bowman, L. Vilnis, O. Vinyals, A. M. Dai, R. Jozefowicz and S. Bengio (2016), *Generating sentences from a
#   continuous space*: collapse, and warm-up.
# - M. D. Hoffman and M. J. Johnson (2016), *ELBO surgery*: the aggregate posterior and what the bound makes of it.
# - E. Alpaydin and C. Kaynak (1998), *Optical recognition of handwritten digits* (UCI): the images.
