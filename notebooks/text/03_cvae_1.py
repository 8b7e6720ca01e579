# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3 · CVAE-1: a prior for every label
#
# A VAE draws digits, but you cannot choose which one. How do you ask for a 7? What becomes of the bound when a label is
# known, and how many nats is the label worth?

# %% [markdown]
# **After this lesson you can**
#
# - derive the bound on $\log p(x \mid y)$, and name an expression that is wrongly called a KL divergence;
# - read a model's graph off its code, and write its training step by hand;
# - generate digits on demand, and measure whether the model obeys;
# - say what a map of conditional priors cannot show;
# - say how many nats a label is worth at most.
#
# **You need** lessons 01 and 02. **Time:** 41 min in class.
#
# **The models' numbers,** 1 to 4, are those of the Chinese article that the course follows
# ([references](../docs/references.md)). What most code calls “CVAE” is CVAE-2, in the next lesson.

# %% [markdown]
# | notation | what it is | in code |
# |---|---|---|
# | $x$, $y$, $z$ | image, label, latent variable | `x`, `y`, `z` |
# | $p(z \mid y)$ | conditional prior, mean $m(y)$, scale $s(y)$ | `prior_net` |
# | $p(x \mid y, z)$ | likelihood; its network is the **decoder** | `likelihood_net` |
# | $q(z \mid x, y)$ | approximate posterior; its network is the **encoder** | `posterior_net` |
# | $p(z \mid x, y)$ | true posterior | |
# | $\mathcal L$ | **evidence lower bound (ELBO)**, nats per image | `bound`, `elbo` |

# %% tags=["hide-input"]
import inspect
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
import numpy as np
import tensorflow as tf
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from cvae_tf import CVAE1, VAE, datasets, evaluation, networks, noise, oracle, plotting
from cvae_tf.distributions import Bernoulli, Gaussian, tfd

of_prior, of_posterior = plotting.colour("prior"), plotting.colour("true posterior")
ink = plotting.colour("baseline")

# %% [markdown]
# ## What is given, and what is explained
#
# Each image $x$ now comes with a **label** $y$. The label is given; the model explains the image, by $p(x \mid y)$.
#
# As a number, the label 3 would lie between 2 and 4. So $y$ is **one-hot**, as in lesson 00. A matrix times this vector
# is one of the matrix's columns, so each label has numbers of its own.

# %% tags=["deck:one_hot"]
# NBVAL_CHECK_OUTPUT
grey, fixed = datasets.digits(seed=0), datasets.digits(binarise="fixed", seed=0)  # as in lesson 02
print("test images", fixed.test.x.shape, "labels", fixed.test.y.shape)
for label, y in zip(fixed.test.labels[:3], fixed.test.y, strict=False):
    print(f"label {label}: y =", y.astype(int))

# %% [markdown]
# The latent variable $z$ now has a **conditional prior** $p(z \mid y)$, and the likelihood depends on the label as
# well. Together they give the **conditional evidence**
#
# $$ p(x \mid y) = \int p(z \mid y)\, p(x \mid y, z)\, \mathrm dz $$
#
# For one fixed label, this is the model of lesson 01. All labels share the networks.
#
# **Check yourself.** Can this model tell you how frequent a label is?
#
# <details class="answer"><summary>Answer</summary>
#
# No. It has no factor $p(y)$, because $y$ is always given. To draw a random digit, you have to choose $y$ yourself.
#
# </details>

# %% [markdown]
# ## The derivation
#
# Repeat lesson 01 with $y$ given in every density. $\log p(x \mid y)$ does not depend on $z$, so it equals its own
# expectation under any $q(z \mid x, y)$. Put in $p(x \mid y) = p(x, z \mid y) / p(z \mid x, y)$, then multiply and
# divide by $q$:
#
# $$
# \begin{aligned}
# \log p(x \mid y) &= \mathbb E_{q(z \mid x, y)}\left[\log \frac{p(x, z \mid y)}{p(z \mid x, y)}\right]
#  = \mathbb E_{q(z \mid x, y)}\left[\log \frac{q(z \mid x, y)}{p(z \mid x, y)}
#    + \log \frac{p(x, z \mid y)}{q(z \mid x, y)}\right] \\
#  &= \mathrm{KL}\big(q(z \mid x, y) \,\|\, p(z \mid x, y)\big) + \mathcal L(\theta, \phi; x, y)
# \end{aligned}
# \tag{3.1}
# $$
#
# $\mathcal L$ is the expectation of the last logarithm. The image and the label both say something about $z$, so $q$
# reads both. A KL divergence is never negative, so $\mathcal L \le \log p(x \mid y)$, with equality where $q$ is the
# true posterior.

# %% [markdown]
# The bound $\mathcal L$ needs only the model's two factors, $p(x, z \mid y) = p(z \mid y)\, p(x \mid y, z)$, and $q$:
#
# $$
# \begin{aligned}
# \mathcal L(\theta, \phi; x, y)
# &= \mathbb E_{q(z \mid x, y)}\big[\log p(x, z \mid y) - \log q(z \mid x, y)\big] \\
# &= \mathbb E_{q(z \mid x, y)}\big[\log p(z \mid y) - \log q(z \mid x, y)\big]
#  + \mathbb E_{q(z \mid x, y)}\big[\log p(x \mid y, z)\big] \\
# &= -\,\mathrm{KL}\big(q(z \mid x, y) \,\|\, p(z \mid y)\big)
#  + \mathbb E_{q(z \mid x, y)}\big[\log p(x \mid y, z)\big]
# \end{aligned}
# \tag{3.2}
# $$
#
# The last line has the two terms of (1.2): stay near the prior, and reconstruct $x$. One thing is new: the prior is
# learned. So the KL term pulls $q$ towards the prior, and the prior towards $q$.
#
# **Check yourself.** You raise $\mathcal L$ in $\phi$, the parameters of $q$. Does $\log p(x \mid y)$ rise?
#
# <details class="answer"><summary>Answer</summary>
#
# No, because $\log p(x \mid y)$ does not contain $\phi$. By (3.1) the KL divergence falls: $q$ comes nearer to the true
# posterior.
#
# </details>

# %% [markdown]
# ## A slip set right
#
# The article writes the first line of (3.2) as $-\mathrm{KL}\big(q(z \mid x, y) \,\|\, p(x, z \mid y)\big)$. That is
# not a KL divergence. A KL divergence compares two densities in $z$, but $p(x, z \mid y)$ integrates over $z$ to
# $p(x \mid y)$ and not to one. What is meant is an expectation. By (3.1) it is
#
# $$ \mathbb E_q\big[\log q(z \mid x, y) - \log p(x, z \mid y)\big]
#  = \mathrm{KL}\big(q(z \mid x, y) \,\|\, p(z \mid x, y)\big) - \log p(x \mid y) . $$
#
# Can it be negative? Take a **linear-Gaussian** model, with $z \mid y \sim \mathcal N(Ay + a, S)$, $S$ diagonal, and
# $x \mid y, z \sim \mathcal N(Wz + Vy + b, \sigma^2 I)$. Its evidence and true posterior have closed forms:
#
# $$
# p(x \mid y) = \mathcal N\big(W(Ay + a) + Vy + b,\; W S W^\top + \sigma^2 I\big)
# \tag{7.1}
# $$
#
# $$
# \begin{gathered}
# p(z \mid x, y) = \mathcal N\big(C\,[\,S^{-1}(Ay + a) + W^\top (x - Vy - b) / \sigma^2\,],\; C\big), \\
# C = \big(S^{-1} + W^\top W / \sigma^2\big)^{-1}
# \end{gathered}
# \tag{7.2}
# $$
#
# Lesson 07 derives (7.1) and (7.2). The code below checks them against sums over a grid of $z$. With $y = 0$, $a = 0$
# and $S = I$ they are (1.4).

# %% [markdown]
# In the example, $z$ and $x$ are one number each, and there are two labels. The prior is $\mathcal N(-0.5, 0.5^2)$ for
# label 1 and $\mathcal N(1.5, 0.5^2)$ for label 2. The likelihood is $\mathcal N(0.2\,z, 0.1^2)$ for label 1 and
# $\mathcal N(0.2\,z - 0.1, 0.1^2)$ for label 2. You observe $x = 0.2$.

# %%
toy = oracle.LinearGaussian(
    W=[[0.2]], b=[0.0], sigma=0.1, V=[[0.0, -0.1]], A=[[-0.5, 1.5]], a=[0.0], S=[0.5**2]
)
seen, labels = np.array([[0.2]]), np.eye(2)
z, dz = np.linspace(-8, 8, 20_001, retstep=True)


def densities(y, mean, scale):
    """p(z|y), p(x,z|y) at the x that was seen, and q = N(mean, scale²), on the grid of z."""
    prior = norm.pdf(z, toy.A @ y, 0.5)
    return prior, prior * norm.pdf(0.2, 0.2 * z + toy.V @ y, 0.1), norm.pdf(z, mean, scale)


# %% tags=["hide-input", "deck:slip"]
with plotting.style():
    fig = Figure(figsize=(9, 4.8), layout="constrained")
    axes = fig.subplots(1, 2, sharey=True)
    for ax, y in zip(axes, labels, strict=True):
        centre, C = toy.posterior(seen, y[None])
        prior, joint, posterior = densities(y, centre.item(), C.item() ** 0.5)
        ax.plot(z, prior, color=of_prior, label=r"prior $p(z \mid y)$")
        ax.plot(z, joint, color=ink, lw=1.5)
        ax.fill_between(z, joint, color=ink, alpha=0.25, lw=0, label=r"$p(x{=}0.2,\, z \mid y)$")
        ax.plot(z, posterior, color=of_posterior, ls=(0, (3, 1.5)), label="true posterior")
        ax.set(xlim=(-2.5, 3.5), xlabel="$z$", title=f"label {y.argmax() + 1}: "
               f"shaded area {joint.sum() * dz:.3f}")  # fmt: skip
    axes[0].set_ylabel("density")
    axes[0].legend(loc="upper right")
plotting.show(
    fig,
    "Two panels over z. Left, the first label: prior around -0.5, a small shaded hump for the joint, a posterior "
    "shifted to the right of the prior. Right, the second label: prior around 1.5, a shaded hump far larger than "
    "the prior, and a posterior of the same shape as the hump but lower.",
)

# %% [markdown]
# *The shaded area is $p(x \mid y)$; as a density of $x$, it may exceed 1. Divided by this area, the shaded curve is the
# posterior.*
#
# **Predict before you look.** For each label, let $q$ be the true posterior, and then the prior. In which of the four
# cases is the article's “divergence” negative?

# %% tags=["hide-output", "deck:slip_table"]
# NBVAL_CHECK_OUTPUT
print("label  q          ∫p(x,z|y)dz   “KL(q‖p(x,z|y))”   KL(q‖p(z|x,y))   −log p(x|y)   sum right")
for k, y in enumerate(labels):
    (log_p,) = toy.log_evidence(seen, y[None])  # (7.1)
    (m,), C = toy.posterior(seen, y[None])  # (7.2)
    for name, mean, scale in (("posterior", m, C[0] ** 0.5), ("prior", toy.A @ y, 0.5)):
        _, joint, q = densities(y, mean, scale)
        with np.errstate(divide="ignore", invalid="ignore"):
            article = np.where(q > 0, q * (np.log(q) - np.log(joint)), 0.0).sum() * dz
        (kl,) = toy.kl_to_posterior(mean, scale, seen, y[None])
        adds_up = abs(article - (kl - log_p)) < 1e-9
        assert adds_up and abs(joint.sum() * dz - np.exp(log_p)) < 1e-9
        print(f"{k + 1:5}  {name:9}{joint.sum() * dz:13.4f}{article:19.4f}{abs(kl):17.4f}"
              f"{-log_p:14.4f}   {adds_up}")  # fmt: skip

# %% [markdown]
# <details class="answer"><summary>Answer</summary>
#
# In both cases of label 2. There $\log p(x \mid y)$ is positive, and larger than the KL divergence to the true
# posterior. That divergence is never negative, and it is zero where $q$ is the true posterior.
#
# </details>
#
# The expression itself is correct: it is $-\mathcal L$. Calling it a KL divergence is not. What makes $\mathcal L$ a
# bound is that the KL divergence in (3.1) cannot be negative.
#
# **Check yourself.** If the article's expression is zero, is $q$ the true posterior?
#
# <details class="answer"><summary>Answer</summary>
#
# Not in general. The expression is zero where the KL divergence to the true posterior equals $\log p(x \mid y)$.
# [Exercise 3.2](exercises/03_cvae_1/03_cvae_1.ipynb) asks what a change of units does to it.
#
# </details>

# %% [markdown]
# ## The signature is the graph
#
# The form of (3.2) follows from the parents of each variable:

# %% tags=["hide-input", "deck:graph"]
fig = plotting.graphical_model(CVAE1)
plotting.show(
    fig,
    "The graph of CVAE-1: solid arrows from the shaded y to the hidden z, from y to the shaded x and from z to x; "
    "dashed arrows from x and from y to z for q.",
)

# %% [markdown]
# The figure was drawn from the library's signatures below: the arguments of a factor are its parents.

# %%
for factor in (CVAE1.prior, CVAE1.posterior, CVAE1.likelihood, CVAE1.factors):
    source = inspect.getsource(factor).splitlines()
    print("\n".join(line for line in source if '"""' not in line))

# %% [markdown]
# | in (3.2) | in the code |
# |---|---|
# | $q(z \mid x, y)$ | `self.posterior(x, y)` |
# | $p(z \mid y)$ | `self.prior(y)` |
# | $\log p(x \mid y, z)$ | `lambda z: self.likelihood(y, z).log_prob(x)` |
#
# The rest is the code of lesson 02. Remove an argument, and you have another model.
#
# **Check yourself.** Which argument would you remove so that all labels share one prior?
#
# <details class="answer"><summary>Answer</summary>
#
# The `y` of `prior`. With that prior held at $\mathcal N(0, I)$, you have CVAE-2, the model of the next lesson.
#
# </details>

# %% [markdown] tags=["fold"]
# ### Does the library compute this bound?
#
# In a linear-Gaussian CVAE-1, (7.1) and (7.2) give two of the three terms of (3.1). So the library's own bound can be
# checked. The label moves the mean of $x$ in two ways: through $z$, by $WAy$, and directly, by $Vy$. A bound that lost
# one of them would fail the check.
#
# The networks below are affine and in double precision. With the noise (1.5), every expectation is exact. The weights
# of $q$ are random. At the true posterior the KL divergence would be zero, and half of (3.1) would go untested.

# %% tags=["fold"]
truth = oracle.LinearGaussian.random(64, 8, 10, model="CVAE1", seed=0)
rng = np.random.default_rng(2)
y_random = np.eye(10)[rng.integers(0, 10, 200)]
x_random, _ = truth.sample(y_random, seed=1)

family = Gaussian(scale="shared", dtype="float64")
nets = networks.mlps(CVAE1, x=64, y=10, z=8, hidden=(), family=family, dtype="float64")
exact = CVAE1(**nets, family=family)
family.raw_scale.assign(family.raw_from_scale(truth.sigma))
exact.likelihood_net.set_weights([np.vstack([truth.V.T, truth.W.T]), truth.b])  # [y, z] → x
B, c, scale = rng.normal(0, 0.1, (74, 8)), rng.normal(0, 1, 8), rng.uniform(0.1, 1, 8)
raw, raw_s = (exact.latent.raw_from_scale(value) for value in (scale, np.sqrt(truth.S)))
exact.prior_net.set_weights([np.hstack([truth.A.T, np.zeros((10, 8))]), np.append(truth.a, raw_s)])
exact.posterior_net.set_weights([np.hstack([B, np.zeros((74, 8))]), np.append(c, raw)])  # random q

# %% tags=["fold"]
# NBVAL_CHECK_OUTPUT
bound = exact.bound(x_random, y_random, noise=noise.cubature(8))
L, kl_prior = bound.value.numpy(), bound.kl.numpy()
mean = np.hstack([x_random, y_random]) @ B + c
log_p = truth.log_evidence(x_random, y_random)  # (7.1)
gap = truth.kl_to_posterior(mean, scale, x_random, y_random)  # with (7.2)
closed = truth.bound(mean, scale, x_random, y_random)  # (3.2), each expectation by its formula
divergence = oracle.kl_diagonal(mean, scale, *truth.prior(y_random))  # (2.4)

checks = {
    "bound + KL(q‖p(z|x,y)) = log p(x|y)": np.allclose(L + gap, log_p, 0, 1e-9),
    "bound = the closed form of (3.2)": np.allclose(L, closed, 0, 1e-9),
    "KL(q‖p(z|y)) = (2.4)": np.allclose(kl_prior, divergence, 0, 1e-9),
    "bound < log p(x|y), all 200": bool((L < log_p).all()),
}
for claim, holds in checks.items():
    print(f"{claim:37}{holds}")
assert all(checks.values())

# %% [markdown] tags=["fold"]
# All four statements hold: the equalities to $10^{-9}$ nats, for each of the 200 pairs.

# %% [markdown]
# ## The training step, by hand
#
# The step of lesson 02 changes in three ways. The label goes into each network, the prior has its own network, and the
# KL is (2.4) between two learned Gaussians.

# %% tags=["deck:step"]
class ByHand(CVAE1):
    def train_step(self, data):
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)  # [M, 64], [M, 10]
        epsilon = self.training_noise(tf.shape(x)[0])[0]  # [M, d], one draw per example
        with tf.GradientTape() as tape:
            mu, raw = tf.split(self.posterior_net([x, y]), 2, axis=-1)  # q(z|x,y)
            m, raw_prior = tf.split(self.prior_net(y), 2, axis=-1)  # p(z|y)
            sigma, s = 1e-4 + tf.nn.softplus(raw), 1e-4 + tf.nn.softplus(raw_prior)
            z = mu + sigma * epsilon  # (2.1)
            ratio = sigma**2 / s**2
            kl = ratio + ((mu - m) / s) ** 2 - 1 - tf.math.log(ratio)
            kl = 0.5 * tf.reduce_sum(kl, -1)  # (2.4)
            logits = self.likelihood_net([y, z])  # p(x|y,z), Bernoulli
            log_likelihood = tf.reduce_sum(x * logits - tf.nn.softplus(logits), -1)
            loss = -tf.reduce_mean(-kl + log_likelihood)  # (3.2), and (2.5) over N
        variables = self.trainable_variables
        gradient = tape.gradient(loss, variables)
        self.optimizer.apply_gradients(zip(gradient, variables, strict=True))
        return {"elbo": -loss}


# %% [markdown]
# The data are those of lesson 02: twenty binary drawings of each training image. The prior's network has no hidden
# layer: it is a table of two means and two raw scales for each label.

# %%
x_train = datasets.binarise(np.tile(grey.train.x, (20, 1)), seed=0)
y_train = np.tile(grey.train.y, (20, 1))
x_test, y_test, label_test = fixed.test


def make(model_class, pixels=64, width=128, seed=0):
    """A model of binary digits with two latents; one seed, one set of initial weights."""
    keras.utils.set_random_seed(seed)
    family, conditional = Bernoulli(), issubclass(model_class, CVAE1)
    sizes = {"x": pixels, "y": 10, "z": 2} if conditional else {"x": pixels, "z": 2}
    nets = networks.mlps(model_class, **sizes, hidden=(width, width), family=family)
    if conditional:
        nets["prior_net"] = networks.mlp({"y": 10}, (), 4)  # the table
    return model_class(**nets, family=family, seed=seed)


# %% [markdown]
# Is your step the library's? Both models get the same weights and noise. Plain gradient descent does not hide a wrong
# factor.

# %% tags=["deck:same_step"]
# NBVAL_CHECK_OUTPUT
models = library, yours = make(CVAE1), make(ByHand)
before = library.get_weights()
for model in models:
    model.compile(keras.optimizers.SGD(1e-2))
for steps in (1, 19):
    for model in models:
        model.fit(x_train[:128], y_train[:128], batch_size=128, epochs=steps, verbose=0)
    after = library.get_weights()
    for ours, hand in zip(after, yours.get_weights(), strict=True):
        np.testing.assert_allclose(hand, ours, rtol=0, atol=1e-6)
    moved = [bool((abs(a - b) > 0).any()) for a, b in zip(before, after, strict=True)]
    done = int(yours.optimizer.iterations)
    print(f"after {done:2d} steps: {sum(moved)} of {len(moved)} arrays moved, and all agree")
    before = after

# %% [markdown]
# It is: after 1 and after 20 steps, all weights agree to $10^{-6}$.
#
# **Check yourself.** Which term of the loss gives the prior's mean $m$ a gradient?
#
# <details class="answer"><summary>Answer</summary>
#
# Only the KL. The likelihood sees $z = \mu + \sigma \odot \varepsilon$, the reparameterisation (2.1) of $q$, and $m$ is
# not in it. [Exercise 3.1](exercises/03_cvae_1/03_cvae_1.ipynb) asks for the other estimator.
#
# </details>

# %% [markdown]
# ### Train it on the digits
#
# Beside CVAE-1, train a VAE with the same images, widths, two latents and seed, but no label.

# %% tags=["hide-input"]
def train(model, *data, validation, epochs=25, batch_size=128):
    steps = epochs * -(-len(data[0]) // batch_size)
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(3e-3, steps)))
    return model.fit(
        *data, batch_size=batch_size, epochs=epochs, validation_data=validation, verbose=0
    ).history


cvae, vae = make(CVAE1), make(VAE)
histories = {
    "CVAE1": train(cvae, x_train, y_train, validation=fixed.validation[:2]),
    "VAE": train(vae, x_train, validation=fixed.validation[:1]),
}

# %% tags=["hide-input", "deck:curves"]
plotting.show(
    plotting.bound_curves(histories, ylabel="bound (nats per image)", ylim=(-28, -18)),
    "Bounds of training and validation images over 25 epochs: both models rise and flatten, CVAE-1 several nats "
    "above the VAE.",
)

# %% [markdown]
# *CVAE-1 bounds $\log p(x \mid y)$, the VAE $\log p(x)$: these are different quantities.*

# %% tags=["hide-input"]
for name, history in histories.items():
    for quantity in ("elbo", "val_elbo"):
        curve = history[quantity]
        last = curve[-1] - curve[-6]
        print(f"{plotting.written(name):7}{quantity:9}{curve[-1]:8.2f} nats, in the last five epochs {last:+.2f}")
        assert abs(last) < 0.2  # flat; five seeds gave 0.00–0.07
kl = histories["CVAE1"]["val_kl"][-1]
print(f"CVAE-1 KL(q‖p(z|y)), validation: {kl:.2f} nats")
assert 1.4 < kl < 2.0  # five seeds gave 1.64–1.70

# %% [markdown]
# ## Ten priors
#
# The VAE's $z$ had to say which digit an image shows. CVAE-1 has a prior for every label. For the pictures,
# both models are trained on lesson 00's 28 × 28 pixels, where handwriting shows, again with two latents.

# %% tags=["hide-input"]
large, large_grey = datasets.mnist_10k(binarise="fixed", seed=0), datasets.mnist_10k(seed=0)
writer, plain = (make(kind, pixels=784, width=256) for kind in (CVAE1, VAE))
train(writer, *large.train[:2], validation=large.validation[:2], epochs=20)
train(plain, large.train.x, validation=large.validation[:1], epochs=20)
x_large, y_large, label_large = large.test
for name, model, data in (("CVAE-1", writer, (x_large, y_large)), ("VAE", plain, (x_large,))):
    print(f"{name:7} bound, 28 × 28, test: {evaluation.estimate(model.bound(*data).value)}")

# %% [markdown]
# **Predict before you look.** Will the ten priors lie apart, like islands in the plane, or on top of each other? Who
# needs to read the label from $z$?

# %% tags=["hide-input", "hide-output", "deck:spread"]
labels, one_hot = np.arange(10), np.eye(10, dtype="float32")
prior = writer.prior(one_hot)  # all of it: ten rows
m_large, s_large = prior.mean().numpy(), prior.stddev().numpy()
means = writer.posterior(x_large, y_large).mean().numpy()
between, within = m_large.std(0), np.sqrt((s_large**2).mean(0))
print("spread of the ten prior means:", between.round(2), " typical prior scale:", within.round(2))
assert between.max() < 0.7 * within.min()

# %% tags=["hide-input", "hide-output", "deck:priors"]
with plotting.style():
    fig = Figure(figsize=(9, 5.2), layout="constrained")
    left, right = fig.subplots(1, 2)
plotting.latent_scatter(
    plain.posterior(x_large).mean().numpy(), label_large, prior=True, ax=left, title="VAE", unit="prior s.d."
)
plotting.latent_scatter(
    means, label_large, priors={k: (m_large[k], s_large[k]) for k in labels}, title="CVAE-1", ax=right,
    unit="units of $z$",
)  # fmt: skip
left.texts[0].set_visible(False)  # the caption says it
left.patches[0].set(edgecolor=of_prior, linewidth=3)
for ax in (left, right):
    ax.collections[0].set(sizes=[7], alpha=0.5)
    ax.set_aspect("equal", adjustable="box")
    ax.set(xlim=(-4.4, 4.4), ylim=(-4.4, 4.4))
for text in left.texts[1:]:
    text.set_fontsize(20)
for k, text in zip(labels, right.texts, strict=True):  # each name on the rim of its ellipse
    turn = 2 * np.pi * k / 10
    text.set_position(m_large[k] + 2.45 * s_large[k] * [np.cos(turn), np.sin(turn)])
plotting.show(
    fig,
    "Left, the VAE's latent means: patches by digit, some overlapping, many of the 0s and 1s outside the circle of its "
    "prior. Right, those of CVAE-1: most colours mixed around the middle, and ten ellipses, one for each label's prior, largely overlapping.",
)

# %% [markdown]
# *Points: means of $q$ for test images, coloured by digit. The circle holds 95 % of the VAE's prior, each ellipse 95 % of
# one label's.*
#
# <details class="answer"><summary>Answer</summary>
#
# The priors lie largely on top of each other. The decoder is told the label, so $z$ need not repeat it, and no term of
# (3.2) asks the priors to part. (Nothing keeps the priors together either: in lesson 04b they end further apart.)
#
# </details>
#
# What is left for $z$ is what the label does not say: how *this* 7 is written.

# %% tags=["hide-input", "deck:styles"]
with plotting.style():
    fig = Figure(figsize=(9, 5.1), layout="constrained")
    axes = fig.subplots(1, 2)
for ax, k in zip(axes, (2, 7), strict=True):
    plotting.latent_manifold(writer, y=one_hot[k], size=5, ax=ax, title=f"told: a {k}")
    ax.set(xlabel="$u_1$ (prior s.d.)", ylabel="$u_2$ (prior s.d.)")
plotting.show(
    fig,
    "Two maps of five by five digits of 28 by 28 pixels, all twos on the left and all sevens on the right. Along the "
    "axes the slant and the shape of the digit change smoothly.",
)

# %% [markdown]
# *Means of $p(x \mid y, z)$ at $z = m(y) + s(y) \odot u$.*
#
# ### What the map cannot show
#
# Now give each label a place $t(y)$ and a size $c(y) > 0$ of your choice: $z' = t(y) + c(y)\, z$. The prior and $q$
# move. The decoder, which is told $y$, undoes the move. **Predict before you look:** what happens to the bound?

# %%
angles = labels * np.pi / 5
places = 12 * np.stack([np.cos(angles), np.sin(angles)], 1)  # on a circle
sizes = np.random.default_rng(0).uniform(0.3, 0.9, (10, 1))


def rearranged(x, y):
    """(3.2)'s three factors, every label's z moved to t(y) + c(y)·z."""
    q, p, log_likelihood = writer.factors(*map(writer.tensor, (x, y)))
    t, c = writer.tensor(y @ places), writer.tensor(y @ sizes)

    def moved(g):
        return tfd.Independent(tfd.Normal(t + c * g.mean(), c * g.stddev()), 1)

    return moved(q), moved(p), lambda z: log_likelihood((z - t) / c)


# %% tags=["hide-output", "deck:moved"]
# NBVAL_CHECK_OUTPUT
some = x_large[:300], y_large[:300]
epsilon = writer.evaluation_noise(300)
here = writer.bound(*some, noise=epsilon)
there = writer.estimator(*rearranged(*some), epsilon)
for term in ("reconstruction", "kl", "value"):
    apart = np.abs(getattr(there, term) - getattr(here, term)).max()
    print(f"{term:15} the same for 300 test images, to 0.01 nats: {apart < 1e-2}")
    assert apart < 1e-2  # float32

# %% [markdown]
# <details class="answer"><summary>Answer</summary>
#
# Nothing happens to the bound or to its two terms, for any of 300 test images, to 0.01 nats.
#
# </details>

# %% tags=["hide-input", "deck:islands"]
with plotting.style():
    fig = Figure(figsize=(8.2, 7.2), layout="constrained")
    ax = fig.subplots()
t, c = places[label_large], sizes[label_large]
plotting.latent_scatter(
    t + c * means, label_large, title="the same model, rearranged", ax=ax,
    priors={k: (places[k] + sizes[k] * m_large[k], sizes[k] * s_large[k]) for k in labels},
)  # fmt: skip
ax.set(xlabel="$z'_1$ (units of $z'$)", ylabel="$z'_2$ (units of $z'$)")
for k, text in zip(labels, ax.texts, strict=True):  # beside its island, on the inner side
    text.set_position(places[k] + sizes[k] * m_large[k] - (2.5 * sizes[k] * s_large[k] + 0.9) * places[k] / np.hypot(*places[k]))
plotting.show(
    fig,
    "Ten separate islands on a circle, one colour and one ellipse each, some large and some small.",
)

# %% [markdown]
# The islands look tidy, but the model of the digits is the same. So the data do not decide where a label's prior lies
# or how large it is, as long as the decoder can undo the move. Read such a map only *within* a label, in units of its
# prior.
#
# **Check yourself.** Could a VAE's decoder undo such a move?
#
# <details class="answer"><summary>Answer</summary>
#
# No. The move depends on the label, and a VAE's decoder is not told the label.
# [Exercise 3.4](exercises/03_cvae_1/03_cvae_1.ipynb) moves the priors by the weights of a linear model; exercise 3.3
# finds the best table of priors.
#
# </details>

# %% [markdown]
# ## Digits on demand
#
# Choose $y$, draw $z \sim p(z \mid y)$, and decode:

# %%
wanted = np.tile(labels, 5)
sheet = writer.generate(one_hot[wanted], seed=0).reshape(5, 10, 784)  # means of p(x|y,z)
real = large_grey.test.x[[np.flatnonzero(label_large == k)[0] for k in labels]]

# %% tags=["hide-input", "thumbnail", "deck:drawn"]
with plotting.style():
    fig = Figure(figsize=(9, 5.9), layout="constrained")
    ax = fig.subplots()
plotting.image_grid(
    np.concatenate([real[None], sheet]), image_shape=(28, 28), column_labels=labels, ax=ax,
    xlabel="the label asked for", row_labels=["real", *["drawn"] * 5],
)  # fmt: skip
plotting.show(
    fig,
    "Six rows of ten digits from 0 to 9: a row of real test images and five rows of generated ones, the digit of the "
    "column written in different ways. A few, such as a 1 and a 2, are smeared.",
)

# %% [markdown]
# *Top row: real test images. Below: the mean of $p(x \mid y, z)$, with a new $z$ for each image.*
#
# Are they the digits you asked for? A **reader** judges 1,000 images, a support vector machine trained on real grey ones.
# CVAE-1's rival has no $z$: it always draws the mean training image of the label. **Predict before you look:** for which
# of the two is the reader right more often?

# %% tags=["hide-output", "deck:judge"]
reader = SVC().fit(large_grey.train.x, large_grey.train.labels)
asked = np.repeat(labels, 100)
of_label = np.stack([large_grey.train.x[large_grey.train.labels == k].mean(0) for k in labels])


def judge(name, images, asked):
    """Share of images read as asked, ± standard error; pixel variance within a label, summed."""
    e = evaluation.estimate(reader.predict(images) == asked)
    varied = np.mean([images[asked == k].var(0).sum() for k in labels])
    print(f"{name:26}{e.mean:6.1%} ± {e.standard_error:.1%}{varied:12.1f}")
    return e.mean, varied


print("                          read as asked   variance within a label")
real_read, real_varied = judge("real test images", large_grey.test.x[:1000], label_large[:1000])
cvae_read, cvae_varied = judge("CVAE-1", writer.generate(one_hot[asked], seed=0), asked)
mean_read, mean_varied = judge("mean image of the label", of_label[asked], asked)
print(f"CVAE-1's variance is {cvae_varied / real_varied:.0%} of that of real images")
assert cvae_read > 0.9 and mean_read == 1 and 0.2 < cvae_varied / real_varied < 0.8

# %% [markdown]
# <details class="answer"><summary>Answer</summary>
#
# For the model without $z$. The reader is right for 98.1 % of CVAE-1's images, and for all mean images. It is right for
# 95.3 % of the real ones. (Lesson 04b explains the smears.)
#
# </details>
#
# The model mostly draws the digit you ask for. The reader does not care whether these digits vary: within a label, CVAE-1's
# means have 30 % of the real images' pixel variance.
#
# **Check yourself.** Which other number would expose the model without $z$?
#
# <details class="answer"><summary>Answer</summary>
#
# $\log p(x \mid y)$, which you measure next. A test image differs from the mean image, and gets a low probability.
#
# </details>

# %% [markdown]
# ## log p(x|y)
#
# From here on you measure, on the small images again. Importance weighting works as before (2.6): draw
# $z_s \sim q(z \mid x, y)$, average $p(z_s \mid y)\, p(x \mid y, z_s) / q(z_s \mid x, y)$, and take the logarithm.
#
# With two latents, a sum over a grid can check the estimate. Put $z = m(y) + s(y)\, u$; then the evidence integral runs
# over $u \sim \mathcal N(0, I)$ and needs no $q$. The grid gives $\log p(x \mid y)$ for *all ten* labels of every
# image.

# %%
prior = cvae.prior(one_hot)  # of the small images
m, s = prior.mean().numpy(), prior.stddev().numpy()
side = np.linspace(-6, 6, 121, dtype="float32")
u = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)  # [14641, 2]


def log_joint(x, k):
    """log p(x,u|y) for label k: [N, 14641], nats; u in units of the prior of k."""
    y = np.tile(np.eye(10, dtype="float32")[k], (len(u), 1))
    logits = cvae.likelihood_net([y, m[k] + s[k] * u]).numpy()
    log_likelihood = x @ logits.T - np.logaddexp(0, logits).sum(-1)
    return log_likelihood + norm.logpdf(u).sum(-1).astype("float32")


cell = 2 * np.log(side[1] - side[0])
by_grid = np.stack([tf.reduce_logsumexp(log_joint(x_test, k), 1) + cell for k in labels], 1)
own = np.eye(10, dtype=bool)[label_test]  # [300, 10]: the pairs that are right
right = by_grid[own]  # log p(x|y), y the image's own label: [300]

# %% [markdown]
# The baseline is naive Bayes: independent pixels given the label, no $z$.

# %% tags=["deck:measured"]
share = np.stack([x_train[y_train[:, k] == 1].mean(0) for k in labels]).clip(1e-3, 1 - 1e-3)
alone = x_test @ np.log(share).T + (1 - x_test) @ np.log1p(-share).T  # [300, 10]
bound = cvae.bound(x_test, y_test).value.numpy()
weighted = cvae.log_likelihood(x_test, y_test, num_samples=1000)
print("log p(x|y), independent pixels of a label  ", evaluation.estimate(alone[own]))
print("CVAE-1, the bound (3.2), one draw          ", evaluation.estimate(bound))
print("CVAE-1, log p(x|y), S = 1000 draws of q    ", evaluation.estimate(weighted))
print("CVAE-1, log p(x|y), the grid               ", evaluation.estimate(right))
print("and image by image (nats)")
lower = {"S = 1000": weighted, "the bound": bound, "independent pixels": alone[own]}
short = {name: evaluation.estimate(right - values) for name, values in lower.items()}
for name, e in short.items():
    print(f"    grid − {name:20}{e.mean:6.3f} ± {e.standard_error:.3f}")
off, lost, gain = (e.mean for e in short.values())
# three seeds gave 0.00, 0.08–0.24 and 1.86–1.98
assert abs(off) < 0.02 and -0.1 < lost < 0.5 and gain > 1.5

# %% [markdown]
# On average, the estimate is 0.001 nats below the grid. CVAE-1 is $1.88 \pm 0.19$ nats ahead of the baseline: the worth
# of two latents.
#
# **Check yourself.** The standard error of the grid's row is 0.25 nats, that of “grid − the bound” only 0.074. Why?
#
# <details class="answer"><summary>Answer</summary>
#
# $\log p(x \mid y)$ differs by several nats between images. Images that are hard for one are hard for the other, and
# what they share cancels in the difference.
#
# </details>

# %% [markdown]
# ## What is a label worth?
#
# Build a model without labels from CVAE-1 itself: $p(x) = \sum_y p(y)\, p(x \mid y)$. The ten labels are equally
# frequent, so $p(y) = \tfrac1{10}$. One term is at most the whole sum: $p(x) \ge \tfrac1{10}\, p(x \mid y)$. So, for
# every image,
#
# $$ \log p(x \mid y) - \log p(x) \le \log 10 = 2.30 \text{ nats} . $$
#
# **Predict before you look.** How far is CVAE-1's $\log p(x \mid y)$ above the *VAE's* $\log p(x)$: less than 2.30
# nats, or more?

# %% tags=["hide-output", "deck:worth"]
log_10 = np.log(10)
summed = tf.reduce_logsumexp(by_grid, 1).numpy() - log_10  # log p(x) of CVAE-1 and a fair die
without = vae.log_likelihood(x_test, num_samples=1000)
steps = {
    "VAE → CVAE-1: log p(x|y) − log p(x)": right - without,
    "  of which VAE → Σ_y p(y) p(x|y)": summed - without,
    "  and then the label": right - summed,
}
worth = {name: evaluation.estimate(nats) for name, nats in steps.items()}
for name, e in worth.items():
    print(f"{name:38}{e.mean:6.2f} ± {e.standard_error:.2f} nats per image")
total, mixture, label_worth = worth.values()
# five seeds gave 3.00–3.10, 1.02–1.10 and 1.98–2.00
assert total.mean > 2.6 and mixture.mean > 0.7 and 1.8 < label_worth.mean < log_10

# %% tags=["deck:limit"]
# NBVAL_CHECK_OUTPUT
print(f"log 10 = {log_10:.4f} nats")
print("never worth more than that, in 300 images:", bool((right - summed <= log_10 + 1e-3).all()))

# %% [markdown]
# <details class="answer"><summary>Answer</summary>
#
# More: $3.04 \pm 0.14$ nats. This does not break the limit, because the VAE's $p(x)$ is not the $p(x)$ of CVAE-1. A VAE
# with more latents would change the first two rows, and not the last.
#
# </details>
#
# The last row is the worth of the label: $1.99 \pm 0.05$ nats, below the limit. The middle row compares two models of
# *unlabelled* images: the mixture of ten labels is $1.04 \pm 0.12$ nats ahead of the VAE. The first row is their sum,
# so it overstates what the label is worth.
#
# **Check yourself.** For which image is the label worth exactly $\log 10$?
#
# <details class="answer"><summary>Answer</summary>
#
# For an image that has probability zero under the nine wrong labels. (If the model were the truth, the mean worth would
# estimate the **mutual information** of image and label.) [Exercise 3.5](exercises/03_cvae_1/03_cvae_1.ipynb) asks for
# the limit when some labels are rare.
#
# </details>

# %% [markdown]
# ## Reading by Bayes' rule
#
# A model of $p(x \mid y)$ is also a classifier, since $p(y \mid x) \propto p(y)\, p(x \mid y)$. It reads the label with
# the largest $p(x \mid y)$ when all labels are equally frequent.

# %% tags=["deck:readers"]
label_train = y_train.argmax(1)
rivals = {
    "logistic regression": LogisticRegression(max_iter=500).fit(x_train, label_train),
    "support vector machine": SVC().fit(x_train[:6000], label_train[:6000]),  # 5 of 20 drawings
}
answers = {name: rival.predict(x_test) for name, rival in rivals.items()} | {
    "Bayes, independent pixels": alone.argmax(1),
    "Bayes, CVAE-1": by_grid.argmax(1),
}
correct = {name: answer == label_test for name, answer in answers.items()}
for name, hits in correct.items():
    e, d = evaluation.estimate(hits), evaluation.estimate(correct["Bayes, CVAE-1"] * 1.0 - hits)
    paired = f",   CVAE-1 ahead by {d.mean:5.1%} ± {d.standard_error:.1%}"
    print(f"{name:27}{e.mean:6.1%} ± {e.standard_error:.1%}{paired if 'CVAE' not in name else ''}")
# three seeds gave 90–91 %, ahead by 5–6 %, 0–1 % and 9 %
assert correct["Bayes, CVAE-1"].mean() > 0.87
assert correct["Bayes, CVAE-1"].mean() > correct["Bayes, independent pixels"].mean() + 0.05

# %% tags=["hide-input", "deck:wrong_label"]
table = np.stack([(by_grid - right[:, None])[label_test == k].mean(0) for k in labels])
with plotting.style():
    fig = Figure(figsize=(8.6, 7), layout="constrained")
    ax = fig.subplots()
    picture = ax.imshow(table, cmap="Oranges_r", vmin=-30, vmax=0)
    for (i, j), nats in np.ndenumerate(table):
        ax.text(j, i, f"−{-nats:.0f}" if i != j else "0", ha="center", va="center", fontsize=16,
                color="white" if nats < -21 else "black")  # fmt: skip
    ax.set(xlabel="label $y'$ that the model is told", ylabel="the image's own label $y$")
    ax.set(xticks=labels, yticks=labels)
    fig.colorbar(picture, extend="min", label=r"mean of $\log p(x \mid y') - \log p(x \mid y)$ (nats)")
plotting.show(
    fig,
    "A 10 by 10 table of numbers and colours: zero on the diagonal; elsewhere negative, from about five nats for "
    "digits that look alike, such as 3 and 8, to more than thirty for those that do not.",
)

# %% [markdown]
# *Mean cost of a wrong label, by digit.*
#
# On average, every wrong label costs nats, and fewest where digits look alike, such as 8 or 9 for a 3. Unlike its two
# rivals, CVAE-1 was never trained to tell labels apart. Yet it is ahead of the logistic regression, by $5.3 \pm 1.8$
# percentage points, and level with the support vector machine ($0.3 \pm 1.5$), which was fitted to 5 of the 20 drawings and not
# tuned.
#
# **Check yourself.** How must the rule change if some labels are rare?
#
# <details class="answer"><summary>Answer</summary>
#
# It must compare $p(y)\, p(x \mid y)$ instead of $p(x \mid y)$. In [exercise 3.6](exercises/03_cvae_1/03_cvae_1.ipynb)
# you find a bug in a reader by Bayes' rule.
#
# </details>

# %% [markdown]
# ## Where this breaks: a label that q has never met
#
# The table came from the grid, without $q$. The bound would have asked $q$ about wrong pairs of image and label, which
# it never met in training. **Predict before you look:** is the gap $\log p(x \mid y') - \mathcal L$ as small as for the
# right label?

# %% tags=["hide-output", "deck:gap"]
by_bound, by_weights, q_at = np.empty((300, 10)), np.empty((300, 10)), []
for k in labels:
    pair = x_test, np.tile(np.eye(10)[k], (300, 1))
    by_bound[:, k] = cvae.bound(*pair, noise=noise.normal(64, 300, 2, key=k)).value
    by_weights[:, k] = cvae.log_likelihood(*pair, num_samples=100)
    q_at.append(cvae.posterior(*pair))

print("nats, mean of 300 test images       right label    the nine wrong ones")
rows = {"log p(x|y), grid": by_grid, "grid − L_100": by_grid - by_weights}
rows |= {"grid − bound (64 draws)": by_grid - by_bound}
for name, values in rows.items():
    per_image = values[own], (values * ~own).sum(1) / 9
    at = right_label, wrong_labels = [evaluation.estimate(nats) for nats in per_image]
    print(f"{name:27}" + "".join(f"{e.mean:12.3f} ± {e.standard_error:.3f}" for e in at))
print(f"    its worst pair         {values[own].max():12.3f}{values[~own].max():20.3f}")
assert wrong_labels.mean > 4 * right_label.mean  # five seeds gave 0.14–0.16 and 1.3–1.6

# %% tags=["hide-input"]
gap = np.where(own, -np.inf, by_grid - by_bound)
row, wrong = np.unravel_index(gap.argmax(), gap.shape)
pair = label_test[row], wrong
grids = {k: log_joint(x_test[row : row + 1], k)[0] - by_grid[row, k] for k in pair}

# %% tags=["hide-input", "hide-output", "deck:worst_pair"]
greens = LinearSegmentedColormap.from_list("true posterior", ["white", of_posterior])
with plotting.style():
    fig = Figure(figsize=(10, 4.6), layout="constrained")
    axes = fig.subplots(1, 3, width_ratios=(0.6, 1, 1))
plotting.image_grid(x_test[row][None], ax=axes[0], title=f"a {label_test[row]}")
for ax, (k, values) in zip(axes[1:], grids.items(), strict=True):
    mean, scale = q_at[k].mean().numpy()[row], q_at[k].stddev().numpy()[row]
    lost = max(0.0, (by_grid - by_bound)[row, k])
    plotting.density_with_gaussians(
        side, side, np.exp(values).reshape(121, 121), {"q": ((mean - m[k]) / s[k], scale / s[k])},
        ax=ax, title=f"told: a {k}; gap {lost:.1f}", legend=ax is axes[1],
    )  # fmt: skip
    ax.images[0].set_cmap(greens)
    ax.set(xlabel="$u_1$ (prior s.d.)", ylabel="$u_2$ (prior s.d.)")
plotting.show(
    fig,
    "Left a binary digit. Middle, with its own label: the ellipse of q lies on the shaded true posterior. Right, with "
    "a wrong label: the ellipse lies beside the shaded posterior.",
)

# %% [markdown]
# *Shaded: true posterior. Dashed: two standard deviations of $q$. Right: the wrong pair with the largest gap.*
#
# <details class="answer"><summary>Answer</summary>
#
# No. The mean gap is 0.149 nats for the right label and 1.346 nats for the wrong ones. For the worst pair it is 18.6
# nats.
#
# </details>
#
# The true posterior is as well defined for the wrong label, but $q$ lies beside it: the encoder was never trained on
# such pairs. In the figure, a Gaussian in the right place would come much nearer, so this gap is largely an
# **amortisation gap** (2.7). Lesson 06 asks $q$ for such pairs.
#
# **Check yourself.** Is the decoder to blame for the loose bound?
#
# <details class="answer"><summary>Answer</summary>
#
# No. Grid and bound share prior and decoder. Only the bound uses $q$.
#
# </details>

# %% [markdown] tags=["fold"]
# ### Does the loose bound spoil the classifier?
#
# Read the test images by the bound instead of the grid:

# %% tags=["fold"]
by_each = [(v.argmax(1) == label_test) * 1.0 for v in (by_grid, by_bound)]
e = evaluation.estimate(by_each[1] - by_each[0])
print(f"read by the grid {by_each[0].mean():.1%}, by the bound {by_each[1].mean():.1%}, "
      f"difference {e.mean:+.1%} ± {e.standard_error:.1%}")  # fmt: skip
assert abs(e.mean) < 0.03  # five seeds gave −0.3 to +0.7 %

# %% [markdown] tags=["fold"]
# Here the loose bound does little harm. A wrong label usually loses many more nats than the gap.

# %% [markdown]
# ## What you saw
#
# - The bound of CVAE-1 is that of lesson 01 with $y$ given in every density.
# - The ten priors lay largely on top of each other, and could be moved at no cost.
# - CVAE-1 draws the digit you ask for, and its label is worth at most $\log 10$ nats.
#
# Why learn places that mean nothing? Lesson 04a takes the label out of the prior. First, try
# [exercises 3](exercises/03_cvae_1/03_cvae_1.ipynb).

# %% [markdown]
# ## References
#
# - D. P. Kingma and M. Welling (2013), *Auto-encoding variational Bayes*: the bound and its estimators.
# - K. Sohn, H. Lee and X. Yan (2015), *Learning structured output representation using deep conditional generative models*:
#   conditional priors, there for predicting $y$ from $x$ (lesson 05).
# - Y. Burda, R. Grosse and R. Salakhutdinov (2015), *Importance weighted autoencoders*: the estimate of $\log p$.
# - E. Alpaydin and C. Kaynak (1998), *Optical recognition of handwritten digits* (UCI): the images.
