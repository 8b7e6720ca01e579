# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 4a · CVAE-2: one prior for all labels
#
# In CVAE-1 each label has a prior of its own, and the places of those priors mean nothing. What if all labels share one
# prior? Does the model lose anything, and why must $q$ still see the label?

# %% [markdown]
# **After this lesson you can**
#
# - derive CVAE-2's bound from CVAE-1's by one assumption;
# - turn any CVAE-1 into a CVAE-2 with the same bound;
# - explain why $q$ must see the label, and compute what hiding it costs;
# - write the training step by hand;
# - say what the best linear CVAE-2 reaches, and what no linear CVAE-2 can do.
#
# **You need** lesson 03 (the bound (3.2), its code, the closed forms (7.1) and (7.2)), and from lesson 02 the KL
# divergence (2.4) and the training step (2.5). **Time:** 37 min in class.
#
# **The name.** CVAE-2 is what most code calls “CVAE”. The numbers 1 to 4 are those of the Chinese article that the
# course follows ([references](../docs/references.md)).

# %% [markdown]
# | notation | what it is | in code |
# |---|---|---|
# | $x$, $y$, $z$ | image, label (one-hot), latent variable: the style | `x`, `y`, `z` |
# | $p(z)$ | the one prior, $\mathcal N(0, I)$ | `prior()` |
# | $p(x \mid y, z)$ | likelihood; its network is the **decoder** | `likelihood_net` |
# | $q(z \mid x, y)$ | approximate posterior; its network is the **encoder** | `posterior_net` |
# | $p(z \mid x, y)$ | true posterior | |
# | $\mathcal L$ | **evidence lower bound (ELBO)** on $\log p(x \mid y)$, nats per image | `bound`, `elbo` |
# | $m(y)$, $s(y)$ | mean and scale of CVAE-1's prior | `prior_net` |

# %% tags=["hide-input"]
import inspect
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from cvae_tf import CVAE1, CVAE2, datasets, networks, noise, oracle, plotting
from cvae_tf.distributions import Gaussian
from cvae_tf.evaluation import estimate

green, grey, ink = plotting.colour("CVAE2"), plotting.colour("baseline"), plotting.INK
of_prior, of_posterior = plotting.colour("prior"), plotting.colour("true posterior")

# %% [markdown]
# ## One assumption
#
# A person's handwriting has a style: slanted or upright, broad or narrow. Then somebody says which digit to write.
# Assume that the style does not depend on the digit:
#
# $$ p(z \mid y) = p(z) \tag{4.1} $$
#
# Nothing else changes. The image still depends on both, by $p(x \mid y, z)$. So the joint density is
# $p(x, z \mid y) = p(z)\, p(x \mid y, z)$. Put it into the first line of (3.2):
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
# The prior is $p(z) = \mathcal N(0, I)$ for every label, and it has nothing to learn. The gap is still that of (3.1),
# $\log p(x \mid y) - \mathcal L = \mathrm{KL}\big(q(z \mid x, y) \,\|\, p(z \mid x, y)\big)$, because (3.1) holds for
# any prior.
#
# The label has left the prior. It stays in the likelihood, because the image depends on it. It also stays in $q$. Below
# you see why.

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

# %% tags=["hide-input", "deck:graphs"]
fig = plotting.graphical_model([CVAE1, CVAE2])
plotting.show(
    fig,
    "Two graphs side by side. CVAE-1: solid arrows from y to z, from y to x and from z to x. CVAE-2: the same "
    "without the arrow from y to z. In both, dashed arrows lead from x and from y to z for q.",
)

# %% [markdown]
# *CVAE-2 has one solid arrow fewer, the one from $y$ to $z$. The dashed arrow from $y$ to $z$ belongs to $q$, and it
# stays.*
#
# **Check yourself.** How do you draw ten different digits in one style?
#
# <details class="answer"><summary>Answer</summary>
#
# Draw one $z$ from $p(z)$, and decode it with each of the ten labels. No label needs a $z$ of its own, because the
# prior is the same for all.
#
# </details>

# %% [markdown]
# ## Does the model lose anything?
#
# CVAE-1's prior is learned, and CVAE-2's is fixed. It looks as if CVAE-1 could express more distributions
# $p(x \mid y)$. It cannot, if the decoder may be any function.
#
# Take any CVAE-1, with prior $\mathcal N\big(m(y), s(y)^2\big)$ and $q = \mathcal N(\mu, \sigma^2)$. Measure $z$ from
# the prior of its label, in units of that prior:
#
# $$ z = m(y) + s(y) \odot u . $$
#
# Then $u \sim \mathcal N(0, I)$ for every $y$, so (4.1) holds for $u$. This change of variables gives a new decoder and
# a new encoder:
#
# - The decoder computes $z$ first: $p'(x \mid y, u) = p\big(x \mid y,\, m(y) + s(y) \odot u\big)$. It can, because it
#   sees $y$.
# - The encoder states $u$: $q'(u \mid x, y) = \mathcal N\big((\mu - m)/s,\; (\sigma/s)^2\big)$.
#
# The result is a CVAE-2.

# %% [markdown]
# The bound of this CVAE-2 equals the bound of the CVAE-1, term by term:
#
# - **KL divergence.** The formula (2.4) contains $\mu, m, \sigma, s$ only in the ratios $(\mu - m)/s$ and $\sigma/s$. These
#   ratios are the mean and the scale of $q'$, so the KL divergence is the same number.
# - **Reconstruction.** With the same noise $\varepsilon$,
#   $m + s \odot \big(\tfrac{\mu - m}{s} + \tfrac{\sigma}{s} \odot \varepsilon\big) = \mu + \sigma \odot \varepsilon$. So
#   the decoder gets the same $z$, and makes the same image.
#
# The code does the same to a model. The algebra holds for any weights, so random weights in double precision test it.

# %% tags=["deck:absorb"]
def in_two(raw):
    return raw[:, :8], 1e-4 + keras.ops.softplus(raw[:, 8:])  # mean and scale


def absorb(model):
    """The CVAE-2 that a CVAE-1 is: z = m(y) + s(y) ⊙ u."""
    x, y, u = (keras.Input((size,), dtype="float64") for size in (64, 10, 8))
    m, s = in_two(model.prior_net(y))
    mu, sigma = in_two(model.posterior_net([x, y]))
    raw = keras.ops.log(keras.ops.expm1(sigma / s - 1e-4))  # softplus gives σ/s
    of_u = keras.ops.concatenate([(mu - m) / s, raw], -1)
    posterior_net = keras.Model([x, y], of_u)
    likelihood_net = keras.Model([y, u], model.likelihood_net([y, m + s * u]))
    family = Gaussian(scale="shared")
    same = CVAE2(posterior_net=posterior_net, likelihood_net=likelihood_net, family=family)
    family.raw_scale.assign(model.family.raw_scale)
    return same

# %%
keras.utils.set_random_seed(0)
digits = datasets.digits(seed=0)
train, validation, test = digits[:3]
keras.config.set_dtype_policy("float64")
family = Gaussian(scale="shared")
nets = networks.mlps(CVAE1, x=64, y=10, z=8, hidden=(64, 64), family=family, dtype="float64")
nets["prior_net"] = networks.mlp({"y": 10}, (), 16, dtype="float64")  # lesson 03's table of m(y), s(y)
given = CVAE1(**nets, family=family)
shapes = [w.shape for w in given.prior_net.get_weights()]
given.prior_net.set_weights([np.random.default_rng(0).normal(size=shape) for shape in shapes])
same = absorb(given)
keras.config.set_dtype_policy("float32")

# %% tags=["deck:same"]
# NBVAL_CHECK_OUTPUT
exact_noise = noise.normal(8, 300, 8, key=1, dtype="float64")
as_1, as_2 = (m.bound(test.x, test.y, noise=exact_noise) for m in (given, same))
print("classes:", type(given).__name__, "and", type(same).__name__)
for term in ("kl", "reconstruction", "value"):
    apart = np.abs(getattr(as_1, term) / getattr(as_2, term) - 1).max()
    print(f"{term:15} the same for all 300 test images, relative error below 1e-9: {apart < 1e-9}")
    assert apart < 1e-9
images = [m.generate(np.eye(10, dtype="float32"), seed=0) for m in (given, same)]
print("generated images the same, to 1e-9:", np.allclose(*images, rtol=0, atol=1e-9))

# %% [markdown]
# The other direction is shorter. A CVAE-2 is a CVAE-1 whose prior network gives $m = 0$ and $s = 1$ for every label. So
# with Gaussian priors **CVAE-1 and CVAE-2 are the same model in principle**. In practice, networks have a size, and
# training ends somewhere. Lesson 04b measures what that makes of the two.
#
# **Check yourself.** Where does this argument use that the decoder sees $y$?
#
# <details class="answer"><summary>Answer</summary>
#
# In $p'(x \mid y, u)$: the decoder must compute $m(y)$ and $s(y)$. A decoder without $y$, as in lesson 06, cannot.
# Priors of another form are the subject of [exercise 4.3](exercises/04_cvae_2/04_cvae_2.ipynb).
#
# </details>

# %% [markdown]
# ## Why q sees y: explaining away
#
# In the graph, the arrows from $z$ and from $y$ meet in $x$: $z \to x \leftarrow y$. A node with two incoming arrows is
# called a **collider**. While $x$ is unseen, the path through the collider is closed, so $y$ tells you nothing about
# $z$. Once $x$ is seen, the path is open, and $z$ and $y$ depend on each other. Reading independence off a graph in
# this way is called **d-separation** (Pearl 1988).
#
# Here is an everyday example. The lawn is wet, either from rain or from the sprinkler. The two causes are independent.
# But if you see the wet lawn and hear that the sprinkler was on, rain becomes less likely. The sprinkler has
# **explained away** the rain.

# %% tags=["hide-input", "deck:collider"]
places, arrows = {"z": (0, 2), "y": (2.4, 2), "x": (1.2, 0)}, [("z", "x"), ("y", "x")]
with plotting.style():
    fig = Figure(figsize=(9, 4.6), layout="constrained")
    axes = fig.subplots(1, 2)
titles = ("$x$ unseen: path closed", "$x$ seen: path open")
for ax, observed, title in zip(axes, ((), ("x",)), titles, strict=True):
    plotting.directed_graph(places, arrows, observed=observed, title=title, ax=ax)
axes[0].text(1.2, 2, "✕", ha="center", va="center", fontsize=28, color=ink, family="DejaVu Sans")
axes[1].annotate("", (1.95, 2), (0.45, 2), arrowprops={"arrowstyle": "<->", "color": ink, "lw": 3})
formulas = (r"$p(z, y) = p(z)\,p(y)$", r"$p(z, y \mid x) \neq p(z \mid x)\,p(y \mid x)$")
for ax, formula in zip(axes, formulas, strict=True):
    ax.set_ylim(-1.25, 2.6)
    ax.text(1.2, -0.95, formula, ha="center", fontsize=19, color=ink, math_fontfamily="cm")
plotting.show(
    fig,
    "Two panels with the same graph, arrows from z and from y down to x. Left x is white, and a cross stands "
    "between z and y. Right x is shaded, and a double arrow joins z and y.",
)

# %% [markdown]
# *The collider $z \to x \leftarrow y$. A shaded node is seen.*
#
# **Predict before you look.** Draw $z \sim \mathcal N(0, 1)$ and $y \sim \mathcal N(0, 1)$ independently, and let
# $x = z + y + 0.5\,\varepsilon$. You see $x = 1$. Is the correlation of $z$ and $y$ now positive, zero or negative?

# %% tags=["hide-output", "deck:correlation"]
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
# <details class="answer"><summary>Answer</summary>
#
# Negative: the correlation is −0.800, whatever value $x$ has. A large $y$ leaves less of $x$ for $z$ to explain.
#
# </details>
#
# Now apply lesson 03's closed form to the linear-Gaussian CVAE-2, where $x \mid y, z \sim \mathcal N(Wz + Vy + b,
# \sigma^2 I)$. By (4.1) it has $A = 0$, $a = 0$ and $S = I$, and (7.2) becomes
#
# $$ p(z \mid x, y) = \mathcal N\big(C\, W^\top (x - Vy - b) / \sigma^2,\; C\big), \qquad
# C = \big(I + W^\top W / \sigma^2\big)^{-1} . $$
#
# In words: subtract $Vy + b$, which the label explains, from the image. The style explains the rest. So the prior does
# not contain $y$, and the true posterior does.

# %% tags=["hide-input"]
# NBVAL_CHECK_OUTPUT
toy = oracle.LinearGaussian(W=[[1.0]], b=[0.0], sigma=sigma, V=[[1.0]])
at = np.array([[-1.0], [0.0], [1.0]])
mean, C = toy.posterior(np.ones((3, 1)), at)  # (7.2) at x = 1
for y, m in zip(at.ravel(), mean.ravel(), strict=True):
    print(f"y = {y:4.1f}: p(z | x = 1, y) = N({abs(m):.1f}, {np.sqrt(C.item()):.3f}²)")
slope = np.diff(mean.ravel())
print("slope in y as from the covariances:", np.allclose(slope, after[0, 1] / after[1, 1], 0, 1e-12))
print("variance as from the covariances:  ", np.allclose(C, after[0, 0] - after[0, 1] ** 2 / after[1, 1]))

# %% tags=["hide-input", "deck:densities"]
side = np.linspace(-2.6, 2.6, 201)
points = np.stack(np.meshgrid(side, side), -1)  # (y, z) on the page
given_x = covariance[:2, 2] / covariance[2, 2]  # the mean of (z, y) given x = 1
panels = (
    ("before $x$ is seen", np.zeros(2), before, of_prior, "mean of $p(z)$"),
    ("given $x = 1$", given_x, after, of_posterior, r"mean of $p(z \mid x, y)$"),
)
with plotting.style():
    fig = Figure(figsize=(9, 5), layout="constrained")
    axes = fig.subplots(1, 2, sharey=True)
    for ax, (title, centre, C2, shade, name) in zip(axes, panels, strict=True):
        off = points[..., ::-1] - centre
        density = np.exp(-0.5 * np.einsum("...i,ij,...j", off, np.linalg.inv(C2), off))
        ax.contourf(side, side, density, levels=np.linspace(0.05, 1, 8), cmap="Greys", alpha=0.7)
        line = centre[0] + C2[0, 1] / C2[1, 1] * (side - centre[1])
        ax.plot(side, line, color=shade, lw=3.5, label=name)
        ax.set(title=title, xlabel="$y$", xlim=(-2.6, 2.6), ylim=(-2.6, 2.6), aspect="equal")
        ax.legend(loc="lower left")
    axes[1].plot(at.ravel(), mean.ravel(), "o", color=of_posterior, ms=12)
    axes[0].set_ylabel("$z$ (prior s.d.)")
plotting.show(
    fig,
    "Densities of z and y. Left, before x is seen: a round cloud, and the mean of z given y is a level line. Right, "
    "given x = 1: a narrow cloud tilted downwards, and the mean of z falls steeply as y grows; three dots on the line.",
)

# %% [markdown]
# *Left: $z$ and $y$ are independent. Right: the same pair, given $x = 1$. The dots are the three means printed above.*
#
# A $q$ that does not see $y$ has one Gaussian for the whole right-hand picture. The true posterior has one for each
# $y$: it is narrower, and its mean follows the line.
#
# **Check yourself.** For which likelihood would $q$ not need the label?
#
# <details class="answer"><summary>Answer</summary>
#
# For one in which $z$ and $y$ act on separate parts of the image that do not disturb each other. Then $x$ does not make
# them dependent. [Exercise 4.1](exercises/04_cvae_2/04_cvae_2.ipynb) asks whether causes always explain each other
# away.
#
# </details>

# %% [markdown]
# ## What it costs to hide y from q
#
# Let the true posterior have mean $\mu(x, y)$ and covariance $C$. Give $q(z \mid x)$ the same covariance, the best it
# can have, and a mean $\hat\mu(x)$ that does not use $y$. Between Gaussians of the same covariance, the KL divergence
# depends only on the means:
#
# $$ \mathrm{KL}\big(q(z \mid x) \,\|\, p(z \mid x, y)\big)
#  = \tfrac12\, \big(\hat \mu(x) - \mu(x, y)\big)^\top C^{-1} \big(\hat \mu(x) - \mu(x, y)\big) $$
#
# On average it is least if $\hat\mu(x)$ is the best guess of $\mu(x, y)$ from $x$ alone. In the small model, the
# average is then $\tfrac12 \operatorname{var}(\mu \mid x) / C$.
#
# For the real digits, take the best linear CVAE-2. It has a closed form, which the section on the limit explains. For
# $\hat\mu$ take the best *linear* guess. **Predict before you look:** does hiding $y$ cost nothing, half a nat, or five
# nats per image?

# %% tags=["hide-output", "deck:hidden"]
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
# <details class="answer"><summary>Answer</summary>
#
# More than five: 5.52 ± 0.12 nats per image, where ± is the standard error over images.
#
# </details>
#
# Only $q$ has changed. The model $p$ and $\log p(x \mid y)$ are the same, so the whole loss is gap. A network with
# hidden layers may recognise the digit in $x$, and so lose less. Lesson 04b trains one.
#
# **Check yourself.** In the linear model, and with an $x$ that does not give the label away, when does hiding $y$ cost
# nothing?
#
# <details class="answer"><summary>Answer</summary>
#
# If $W^\top V y$ is the same for every label: the ink of the label and the ink of the style do not overlap. In
# [exercise 4.2](exercises/04_cvae_2/04_cvae_2.ipynb) you find the best $q$ that does not see $y$.
#
# </details>

# %% [markdown] tags=["fold"]
# ### Does the library compute this bound?
#
# In a linear-Gaussian CVAE-2, (7.1) and (7.2) give two terms of (3.1). The networks below are affine and in double
# precision, with random weights and a random $q$. With the noise (1.5), every expectation is exact.

# %% tags=["fold"]
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

# %% tags=["fold"]
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
# ## The training step, by hand
#
# The step is lesson 03's without the prior's network. The KL divergence is (2.4) with $m = 0$ and $s = 1$. The images
# are grey here, as in lesson 01. The likelihood is a Gaussian with one learned $\sigma$ for all pixels, and $\mu_i$ is
# the decoder's output for pixel $i$:
#
# $$ \log p(x \mid y, z) = \sum_i \big[-\tfrac12 (x_i - \mu_i)^2 / \sigma^2 - \log \sigma - \tfrac12 \log 2\pi\big] $$

# %% tags=["deck:step"]
class ByHand(CVAE2):
    def train_step(self, data):
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)  # [M, 64], [M, 10]
        epsilon = self.training_noise(tf.shape(x)[0])[0]  # [M, d]
        with tf.GradientTape() as tape:
            mu, raw = tf.split(self.posterior_net([x, y]), 2, axis=-1)  # q(z|x,y)
            sigma = 1e-4 + tf.nn.softplus(raw)
            z = mu + sigma * epsilon  # (2.1)
            kl = 0.5 * tf.reduce_sum(sigma**2 + mu**2 - 1 - tf.math.log(sigma**2), -1)
            sigma_x = 1e-4 + tf.nn.softplus(self.family.raw_scale.value)
            error = (x - self.likelihood_net([y, z])) / sigma_x  # p(x|y,z)
            terms = -0.5 * error**2 - tf.math.log(sigma_x) - 0.5 * np.log(2 * np.pi)
            loss = -tf.reduce_mean(-kl + tf.reduce_sum(terms, -1))  # (4.2), and (2.5) over N
        variables = self.trainable_variables
        gradient = tape.gradient(loss, variables)
        self.optimizer.apply_gradients(zip(gradient, variables, strict=True))
        return {"elbo": -loss}

# %% [markdown]
# One step of plain gradient descent, and then two more, should move the parameters of the library's model and of yours
# in the same way.

# %% tags=["hide-input"]
def make(model_class):
    """A model of the grey digits with 8 latents; the same initial weights each time."""
    keras.utils.set_random_seed(0)
    family = Gaussian(scale="shared", initial_scale=0.3)
    nets = networks.mlps(model_class, x=64, y=10, z=8, hidden=(64, 64), family=family)
    return model_class(**nets, family=family)


models = library, yours = make(CVAE2), make(ByHand)
before_step = library.get_weights()
for model in models:
    model.compile(keras.optimizers.SGD(1e-4), run_eagerly=True)

# %% tags=["deck:same_step"]
# NBVAL_CHECK_OUTPUT
for steps in (1, 2):
    for model in models:
        model.fit(train.x[:128], train.y[:128], batch_size=128, epochs=steps, verbose=0)
    after_step = library.get_weights()
    for ours, hand in zip(after_step, yours.get_weights(), strict=True):
        np.testing.assert_allclose(hand, ours, rtol=0, atol=1e-6)
    moved = max(np.abs(a - b).max() for a, b in zip(before_step, after_step, strict=True)) > 1e-4
    print(f"after {int(yours.optimizer.iterations)}: parameters moved: {moved}, and agree")
    before_step = after_step

# %% [markdown]
# **Check yourself.** In which two lines of the step do the networks read $y$? Why does the line of the KL divergence not contain it?
#
# <details class="answer"><summary>Answer</summary>
#
# The line of the encoder and the line of the decoder. The prior is $\mathcal N(0, I)$ for every label, so the KL
# divergence needs only $\mu$ and $\sigma$ of $q$.
#
# </details>

# %% [markdown]
# ## A limit on the real digits
#
# In lesson 01, the score of principal component analysis (PCA) was a ceiling for the linear VAE. The linear CVAE-2 has
# a ceiling too. By (7.1),
#
# $$ p(x \mid y) = \mathcal N(Vy + b,\; W W^\top + \sigma^2 I) $$
#
# This is a regression of $x$ on $y$ whose residuals follow probabilistic PCA (Tipping and Bishop 1999). For one-hot
# labels, the best $Vy + b$ is the mean image of the label. The **PCA score of the residuals** is then the greatest mean
# of $\log p(x \mid y)$ for any weights. So no training can bring the bound above it.
#
# **Predict before you look.** By how many nats does the known label raise the score?

# %% tags=["hide-output", "deck:ceiling"]
# NBVAL_CHECK_OUTPUT
limit, unlabelled = oracle.residual_pca_score(x_all, y_all, 8), oracle.pca_score(x_all, 8)
print(f"PCA's score, 8 components, no label (lesson 01):  {unlabelled:7.3f} nats per image")
print(f"the same of the residuals, label known:           {limit:7.3f}")
print(f"the closed form's optimum used above:             {best.log_evidence(x_all, y_all).mean():7.3f}")
print(f"difference of the first two:                      {limit - unlabelled:7.3f}")

# %% tags=["hide-input", "deck:linear"]
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
assert limit - 0.08 < reached < limit + 0.001  # eight seeds ended 0.010 to 0.040 nats below

# %% tags=["hide-input", "deck:climb"]
with plotting.style():
    fig = Figure(figsize=(8.5, 3.8), layout="constrained")
    ax = fig.subplots()
    ax.axhline(limit, color=grey, ls=plotting.DOTTED)
    ax.text(10, limit + 0.5, "PCA score of the residuals", color=grey)
    ax.plot(10 * np.arange(1, 131), climb, color=green)
    ax.set(xscale="log", ylim=(-5, 27), xlabel="passes over the data", ylabel="bound (nats per image)")
    ax.set_xticks([10, 100, 1000], ["10", "100", "1,000"])
plotting.show(
    fig, "The bound climbs with the passes over the data to a dotted line, the PCA score of the residuals, and stops there."
)

# %% tags=["hide-input", "deck:patterns"]
weights = linear.likelihood_net.get_weights()
V_net, W, b_net = weights[0][:10], weights[0][10:], weights[1]  # rows of y [10, 64], of z [8, 64]
W = W[np.argsort(-np.linalg.norm(W, axis=1))]
ends = {(k, sign): V_net[k] + b_net + 2 * sign * W for k in (0, 3) for sign in (1, -1)}
with plotting.style():
    fig = Figure(figsize=(9, 6), layout="constrained")
    top, below = fig.subplots(2, 1, height_ratios=(1, 3.6))
plotting.image_grid(
    W[None], image_shape=(8, 8), ax=top, cmap="PuOr", limits=(-0.25, 0.25), row_labels=["pattern"],
    column_labels=[f"$z_{j + 1}$" for j in range(8)],
)  # fmt: skip
plotting.image_grid(
    np.stack(list(ends.values())), image_shape=(8, 8), ax=below,
    row_labels=[f"a {k}, {'+' if sign > 0 else '−'}2" for k, sign in ends],
)  # fmt: skip
plotting.show(
    fig,
    "Eight columns, one per latent. On top a pattern of more and less ink. Below the mean image of the label 0 and of the "
    "label 3 with the latent at plus 2 and at minus 2: strokes shift sideways, up or down, or change their width.",
)

# %% [markdown]
# *Top: what one unit of $z_j$ adds (violet) and takes away (orange). Below: the decoder's image for two labels, with
# $z_j = 2$ and $z_j = -2$, and the other latents at zero.*
#
# <details class="answer"><summary>Answer</summary>
#
# By 8.946 nats. The label itself can be worth $\log 10$ at most (lesson 03), which is less than half of that. So most of
# the gain comes from a better fit: ten Gaussians, one around each mean image, fit the digits better than one Gaussian
# fits them all.
#
# </details>
#
# Training reaches the ceiling and does not pass it. A pattern moves ink in the same places for every label, whatever
# strokes the digit has there: a linear decoder adds the pattern to the label's mean image.
#
# **Check yourself.** The same linear decoder gets a prior with a mean $m(y)$ per label, and scale one. Does the ceiling
# rise?
#
# <details class="answer"><summary>Answer</summary>
#
# No. The mean image becomes $W m(y) + Vy + b$, and $V$ can absorb $W m(y)$. The evidence is the same.
#
# </details>

# %% [markdown]
# ## Where this breaks: a decoder that cannot multiply
#
# “CVAE-1 and CVAE-2 are the same model” needs a decoder that can compute $m(y) + s(y) \odot u$. A linear decoder can
# add $m(y)$, but it cannot multiply $u$ by $s(y)$. So give each label its own prior scales in the linear model. Keep
# $W$, $V$, $b$ and $\sigma$ of the best linear CVAE-2, and set
#
# $$ x \mid y \sim \mathcal N\big(Vy + b,\; W \operatorname{diag}(s(y)^2)\, W^\top + \sigma^2 I\big) . $$
#
# The columns of $W$ are orthogonal, so the best $s_j(y)^2$ has a closed form. It is the variance of the label's
# residuals along column $j$, minus $\sigma^2$, over the squared length of the column. **Predict before you look:** does
# this linear CVAE-1 pass the ceiling of the linear CVAE-2?

# %% tags=["hide-output", "deck:scales"]
# NBVAL_CHECK_OUTPUT
label_all, lengths = y_all.argmax(1), np.sqrt((best.W**2).sum(0))
along = (x_all - y_all @ best.V.T - best.b) @ best.W / lengths  # residuals along each column [1797, 8]
log_p, s = np.empty(len(x_all)), np.empty((10, 8))
for k in range(10):
    own = label_all == k
    s[k] = np.sqrt(np.maximum((along[own] ** 2).mean(0) - best.sigma**2, 1e-6)) / lengths
    one = oracle.LinearGaussian(
        W=best.W, b=best.b, sigma=best.sigma, V=best.V, A=np.zeros((8, 10)), a=np.zeros(8), S=s[k] ** 2
    )
    log_p[own] = one.log_evidence(x_all[own], y_all[own])  # (7.1)
passed = log_p.mean() - limit
print(f"ceiling of the linear CVAE-2:              {limit:.3f} nats per image")
print(f"linear CVAE-1, the same W, scales by label: {log_p.mean():.3f}, {passed:+.3f} nats")
assert passed > 0.5

# %% tags=["hide-input", "deck:scale_table"]
with plotting.style():
    fig = Figure(figsize=(8.8, 6), layout="constrained")
    ax = fig.subplots()
    order = np.argsort(-lengths)
    picture = ax.imshow(s[:, order], cmap="PuOr", vmin=0, vmax=2, aspect="auto")
    for (i, j), value in np.ndenumerate(s[:, order]):
        ax.text(j, i, f"{value:.1f}", ha="center", va="center", fontsize=15,
                color="white" if abs(value - 1) > 0.5 else "black")  # fmt: skip
    ax.set(xlabel="latent, longest column of $W$ first", ylabel="label $y$", yticks=range(10))
    ax.set_xticks(range(8), [f"$z_{j + 1}$" for j in range(8)])
    fig.colorbar(picture, label="prior scale $s_j(y)$; CVAE-2 has 1 everywhere")
plotting.show(
    fig,
    "A table of ten labels by eight latents with the prior scales: most are between 0.5 and 1.5; a few labels use "
    "single latents twice as much, or hardly at all.",
)

# %% [markdown]
# *How much each label uses each latent of the closed form. (The trained model above has latents of its own.)*
#
# <details class="answer"><summary>Answer</summary>
#
# Yes, by 0.580 nats per image, although only $s(y)$ was fitted anew. So the linear CVAE-1 is the richer model.
#
# </details>
#
# A label uses some latents more than other labels do. CVAE-1 says so in its prior. CVAE-2 must say so in its decoder,
# and a linear decoder cannot. The change of variables is not wrong, but the new decoder has to be in the family. Hidden
# layers can multiply approximately, at the price of units and training.
#
# **Check yourself.** Which assumption of the last sections costs nats here: (4.1), or the linear decoder?
#
# <details class="answer"><summary>Answer</summary>
#
# Only the two together cost nats. With a decoder that can multiply, (4.1) costs nothing, by the change of variables.
#
# </details>

# %% [markdown]
# ## What you saw
#
# - The assumption (4.1) takes $y$ out of the prior and gives the bound (4.2). The label stays in the decoder and in $q$.
# - Once $x$ is seen, $z$ and $y$ explain each other away. In the linear CVAE-2, hiding $y$ from a linear $q$ cost more than five
#   nats.
# - CVAE-1 and CVAE-2 are the same model if the decoder can absorb $m(y)$ and $s(y)$. A linear decoder cannot absorb
#   $s(y)$.
#
# Do the two still end alike when they are trained, and does $z$ hold style alone? [Lesson
# 04b](04b_style_and_label.ipynb) measures it. First, try the first three of [exercises
# 4](exercises/04_cvae_2/04_cvae_2.ipynb).

# %% [markdown]
# ## References
#
# - D. P. Kingma, D. J. Rezende, S. Mohamed and M. Welling (2014), *Semi-supervised learning with deep generative
#   models*: this model is the labelled half of their M2 (lesson 08).
# - J. Pearl (1988), *Probabilistic reasoning in intelligent systems*: d-separation, explaining away.
# - M. E. Tipping and C. M. Bishop (1999), *Probabilistic principal component analysis*: the limit of the linear
#   model.
# - E. Alpaydin and C. Kaynak (1998), *Optical recognition of handwritten digits* (UCI): the images.
