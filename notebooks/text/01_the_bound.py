# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1 · The bound
#
# A model with a hidden variable gives every image a probability, but this probability is an integral over all hidden
# values. How can you train on a number that you cannot compute, and how would you know that you have reached it?

# %% [markdown]
# **After this lesson you can**
#
# - derive $\log p(x) = \mathrm{KL} + \mathcal L$, and say why $\mathcal L$ is a lower bound;
# - compute both terms by hand, and say how many nats a wrong Gaussian $q$ costs;
# - point at the line of code behind each term;
# - train a linear variational autoencoder up to a known limit, and say what stops it there.
#
# **You need** probability densities, Bayes' rule, linear algebra and basic Keras. Teaching takes 44 min.
#
# | symbol | meaning |
# |---|---|
# | $x$; $z$ | what you observe, such as an image; the hidden or **latent variable** |
# | $p(z)$; $p(x \mid z)$ | the **prior**; the **likelihood**, the distribution of $x$ given $z$ |
# | $p(x)$ | the **evidence**: the probability (density) of $x$ under the model |
# | $p(z \mid x)$ | the **true posterior** |
# | $q(z \mid x)$ | your stand-in for it, the **approximate posterior** |
# | $\mathcal L$ | the evidence lower bound (ELBO), or *the bound* |
# | $\mathrm{KL}(q \,\Vert\, p)$ | the KL divergence, $\mathbb E_q[\log (q / p)]$ |
# | $\theta$; $\phi$ | the parameters of $p$; of $q$ |
# | $\mathcal N(m, s^2)$ | the Gaussian with mean $m$, standard deviation $s$ |
# | nat | the unit of a natural logarithm |

# %%
import inspect
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
import matplotlib.pyplot as plt
import numpy as np
from scipy.linalg import subspace_angles
from scipy.stats import norm
from sklearn.decomposition import PCA

from cvae_tf import VAE, datasets, networks, noise, plotting
from cvae_tf.distributions import Gaussian
from cvae_tf.estimators import SGVBB
from cvae_tf.oracle import LinearGaussian, ppca

blue, ink, purple = plotting.colour("VAE"), plotting.colour("baseline"), plotting.colour("KL")

# %% [markdown]
# ## The difficulty
#
# The model draws $z$ from the prior and then $x$ from the likelihood. You see only $x$. The evidence adds up all the
# ways in which $x$ can come about:
#
# $$ p(x) = \int p(z)\, p(x \mid z)\, dz $$
#
# Training should raise $\log p(x)$, but for most models nobody can compute this integral. Averaging $p(x \mid z)$ over
# draws from the prior is inefficient, because hardly any draw makes *this* $x$ probable. The true posterior
# $p(z \mid x) = p(x, z) / p(x)$ favours the few $z$ that do, but its denominator is the number that you cannot compute.
# The way out is a stand-in $q(z \mid x)$ that you *can* compute and draw from.

# %% [markdown]
# ### Two coins, by hand
#
# A bag holds two coins. Coin $z = 0$ shows heads with probability 1/4, and coin $z = 1$ with probability 3/4. Somebody
# draws one blindly, tosses it, and tells you only that $x$ is heads.
#
# | | $z = 0$ | $z = 1$ | sum (in place of the integral) |
# |---|---|---|---|
# | prior $p(z)$ | 1/2 | 1/2 | 1 |
# | likelihood $p(x \mid z)$ | 1/4 | 3/4 | |
# | joint $p(x, z) = p(z)\, p(x \mid z)$ | 1/8 | 3/8 | 1/2, the evidence $p(x)$ |
# | true posterior $p(x, z) / p(x)$ | 1/4 | 3/4 | 1 |
#
# **Check yourself.** What are the evidence and the true posterior if $x$ is tails?
#
# <details class="answer"><summary>Answer</summary>
#
# The joint probabilities are 3/8 and 1/8. The evidence is again 1/2. The true posterior is 3/4 and 1/4.
#
# </details>
#
# Practise: [exercise 1.3](exercises/01_the_bound/01_the_bound.ipynb).

# %% [markdown]
# ## The derivation
#
# $\log p(x)$ does not contain $z$, so its expectation under $q$ is $\log p(x)$ itself. Replace $p(x)$ by
# $p(x, z) / p(z \mid x)$, then multiply and divide by $q$:
#
# $$
# \begin{aligned}
# \log p(x) &= \mathbb E_{q(z \mid x)}\big[\log p(x)\big] \\
#           &= \mathbb E_{q(z \mid x)}\left[\log \frac{p(x, z)}{p(z \mid x)}\right] \\
#           &= \mathbb E_{q(z \mid x)}\left[\log \frac{q(z \mid x)}{p(z \mid x)} + \log \frac{p(x, z)}{q(z \mid x)}\right] \\
#           &= \mathrm{KL}\big(q(z \mid x) \,\|\, p(z \mid x)\big) + \mathcal L(\theta, \phi; x)
# \end{aligned}
# \tag{1.1}
# $$
#
# No step is an approximation: (1.1) holds for every $q$.

# %% [markdown]
# The KL divergence contains the true posterior, which you do not have. $\mathcal L$ contains only what you have. Split
# $p(x, z) = p(z)\, p(x \mid z)$ in it:
#
# $$
# \begin{aligned}
# \mathcal L(\theta, \phi; x) &= \mathbb E_{q(z \mid x)}\big[\log p(x, z) - \log q(z \mid x)\big] \\
#  &= \mathbb E_{q(z \mid x)}\big[\log p(z) - \log q(z \mid x)\big] + \mathbb E_{q(z \mid x)}\big[\log p(x \mid z)\big] \\
#  &= -\,\mathrm{KL}\big(q(z \mid x) \,\|\, p(z)\big) + \mathbb E_{q(z \mid x)}\big[\log p(x \mid z)\big]
# \end{aligned}
# \tag{1.2}
# $$
#
# - The **reconstruction** $\mathbb E_q[\log p(x \mid z)]$ is high if $q$ proposes $z$ that make $x$ probable.
# - The **divergence** $\mathrm{KL}(q \,\Vert\, p(z))$ is the price for a $q$ that differs from the prior.

# %% [markdown]
# A KL divergence is never negative. The logarithm is concave, so Jensen's inequality gives
#
# $$ -\,\mathrm{KL}(q \,\|\, p) = \mathbb E_q\Big[\log \frac pq\Big] \le \log \mathbb E_q\Big[\frac pq\Big] = \log \int_{q > 0} p(z)\, dz \le \log 1 = 0, $$
#
# with equality only if $q = p$. Take the true posterior as $p$. Then (1.1) says
#
# $$ \mathcal L \le \log p(x), \qquad \log p(x) - \mathcal L = \mathrm{KL}\big(q(z \mid x) \,\|\, p(z \mid x)\big) \tag{1.3} $$
#
# So $\mathcal L$ is a lower bound on the log evidence, the **evidence lower bound** or **ELBO**. The gap is the KL from
# $q$ to the true posterior. Raise $\mathcal L$ by changing $\phi$ alone: $\log p(x)$ stays the same, so $q$ comes
# nearer to the true posterior. Raise it by changing $\theta$: $\log p(x)$ rises, or the gap shrinks, or both.
#
# **Check yourself.** The bound rose by one nat while $\theta$ and $\phi$ both changed. Did $\log p(x)$ rise?
#
# <details class="answer"><summary>Answer</summary>
#
# You cannot tell: the gap may have shrunk instead. From the bound alone you can be sure only if the new bound lies
# above the old $\log p(x)$.
#
# </details>

# %% [markdown]
# ## The coins again: both terms by hand
#
# Take three different $q$:
#
# | $q(0)$, $q(1)$ | reconstruction | divergence | $\mathcal L$ | KL to posterior | $\mathcal L + \mathrm{KL}$ |
# |---|---|---|---|---|---|
# | $\tfrac12, \tfrac12$ (prior) | $\tfrac12 \log \tfrac14 + \tfrac12 \log \tfrac34$ | $0$ | $\tfrac12 \log \tfrac3{16}$ | $\tfrac12 \log \tfrac43$ | $\tfrac12 \log \tfrac14 = \log \tfrac12$ |
# | $0, 1$ (certain) | $\log \tfrac34$ | $\log 2$ | $\log \tfrac38$ | $\log \tfrac43$ | $\log \tfrac12$ |
# | $\tfrac14, \tfrac34$ (posterior) | $\tfrac14 \log \tfrac14 + \tfrac34 \log \tfrac34$ | $\tfrac14 \log \tfrac12 + \tfrac34 \log \tfrac32$ | $\log \tfrac12$ | $0$ | $\log \tfrac12$ |
#
# Every row adds up to $\log p(x) = \log \tfrac12$, as (1.1) says. Only the true posterior closes the gap. The $q$ that
# is certain of coin 1 has the best reconstruction and yet the lowest bound, since $\tfrac38 < \sqrt{3/16} < \tfrac12$:
# its divergence is largest.
#
# **Check yourself.** Take the $q$ that is certain of the wrong coin: 1, 0. What are $\mathcal L$ and the KL?
#
# <details class="answer"><summary>Answer</summary>
#
# $\mathcal L = \log \tfrac14 - \log 2 = \log \tfrac18$ and $\mathrm{KL} = \log \big(1 / \tfrac14\big) = \log 4$. The
# sum is $\log \tfrac12$ again.
#
# </details>

# %% [markdown]
# ## A Gaussian model in closed form
#
# Now $z \sim \mathcal N(0, 1)$ and $x \mid z \sim \mathcal N(0.2\,z,\; 0.1^2)$, and you see $x = 0.2$. This model is
# linear-Gaussian: $z \sim \mathcal N(0, I)$ and $x \mid z \sim \mathcal N(Wz + b,\, \sigma^2 I)$. For such models the
# evidence and the true posterior have closed forms:
#
# $$
# \begin{aligned}
# p(x) &= \mathcal N\big(b,\; W W^\top + \sigma^2 I\big) \\
# p(z \mid x) &= \mathcal N\big(M^{-1} W^\top (x - b),\; \sigma^2 M^{-1}\big),
# \qquad M = W^\top W + \sigma^2 I
# \end{aligned}
# \tag{1.4}
# $$
#
# <details class="answer"><summary>Why (1.4) holds</summary>
#
# $x = Wz + b + \sigma \varepsilon$, with standard Gaussian noise $\varepsilon$ independent of $z$, is Gaussian with
# this mean and this covariance. As a function of $z$, $\log p(z) + \log p(x \mid z)$ is
# $-\tfrac12 z^\top z - \tfrac1{2\sigma^2} \lVert x - b - Wz \rVert^2$ plus a constant. It is quadratic, so the true
# posterior is Gaussian. The matrix of its quadratic part, $M / \sigma^2$, is the inverse covariance. Its gradient is
# zero where $M z = W^\top (x - b)$, at the mean.
#
# </details>
#
# `LinearGaussian` computes (1.4) with NumPy, here with $W = 0.2$, $b = 0$ and $\sigma = 0.1$.

# %% tags=["deck:toy"]
# NBVAL_CHECK_OUTPUT
toy = LinearGaussian(W=[[0.2]], b=[0.0], sigma=0.1)
seen = np.array([[0.2]])

(log_p,) = toy.log_evidence(seen)
centre, covariance = toy.posterior(seen)
m, s = centre.item(), np.sqrt(covariance.item())
print(f"log p(x)  = {log_p:.3f} nats")
print(f"p(z|x)    = N({m:.3f}, {s:.3f}²)")

# %% [markdown]
# $\log p(x)$ may be positive, because the density $p(x)$ may exceed one. Now take a Gaussian for $q$:

# %% tags=["deck:choices"]
choices = {  # of q: mean and scale
    "the posterior itself": (m, s),
    "one s to the right": (m + s, s),
    "half as wide": (m, s / 2),
    "twice as wide": (m, 2 * s),
    "the prior": (0.0, 1.0),
}

# %% tags=["hide-input", "deck:three"]
line = np.linspace(-2.8, 3.2, 401)
dashes = {"prior": ":", "true posterior": "-", "q": "--"}
with plotting.style():
    fig, axes = plt.subplots(1, 3, figsize=(15, 4.3), sharey=True, layout="constrained")
    for ax, name in zip(axes, ("one s to the right", "half as wide", "twice as wide"), strict=True):
        for part, pair in (("prior", (0, 1)), ("true posterior", (m, s)), ("q", choices[name])):
            curve = norm.pdf(line, *pair)
            ax.plot(line, curve, color=plotting.colour(part), ls=dashes[part], lw=3, label=part)
        ax.set(title=f"$q$: {name}", xlabel="$z$ (prior standard deviations)", ylim=(0, 1.9))
    axes[0].set_ylabel("density of $z$")
    axes[0].legend(loc="upper left")
plotting.show(
    fig,
    "Three panels, each with the broad prior around 0 and the narrower true posterior around 0.8. The dashed q has the "
    "posterior's shape but stands to its right, then is half as wide, then twice as wide.",
)

# %% [markdown]
# *The prior, the true posterior at $x = 0.2$, and three choices of $q$.*
#
# **Predict before you look.**
#
# 1. The scale of $q$ is right, but its mean is one posterior standard deviation off. How many nats does $\mathcal L$ lose?
# 2. The mean is right, but $q$ is half as wide as the posterior, or twice as wide. Which costs more?
# 3. $q$ is the prior. Is $\mathcal L$ still a bound? A useful one?

# %% tags=["hide-output", "deck:table"]
# NBVAL_CHECK_OUTPUT
print(f"{'q is':22}{'L':>8}{'KL':>8}{'L + KL':>9}   L + KL = log p(x) to 1e-12")
for name, (mean, scale) in choices.items():
    (L,) = toy.bound([[mean]], [[scale]], seen)
    (kl,) = toy.kl_to_posterior([[mean]], [[scale]], seen)
    print(f"{name:22}{L:8.3f}{abs(kl):8.3f}{L + kl:9.3f}   {abs(L + kl - log_p) < 1e-12}")

# %% [markdown]
# The table tests (1.1): `bound` adds the parts of (1.2), `kl_to_posterior` uses (1.4), and `log_evidence`
# does not use $q$.
#
# <details class="answer"><summary>Answer, and the formula behind it</summary>
#
# Let $\delta$ be the error of the mean in posterior standard deviations $s$, and $r$ the ratio of the scales. With
# $t = (z - m) / s$, $q$ makes $t \sim \mathcal N(\delta, r^2)$ and the posterior $t \sim \mathcal N(0, 1)$. The mean of
# $\log q - \log p$ under $q$ is
#
# $$ \mathrm{KL} = -\log r - \tfrac12 + \tfrac12 \mathbb E_q[t^2] = \tfrac12 \delta^2 + \tfrac12 (r^2 - 1 - \log r^2). $$
#
# For $m = 0$ and $s = 1$ this is the divergence of (1.2).
#
# 1. Half a nat.
# 2. Twice as wide costs more: $q$ then spreads over $z$ that make $x$ improbable.
# 3. The prior gives a valid bound and a poor one.
#
# </details>

# %% tags=["hide-input"]
shifts, ratios = np.linspace(-3, 3, 121), np.geomspace(0.1, 3.3, 121)
sweeps = {  # what is swept: (where, mean of q, scale of q)
    "mean of $q$: steps of $s$ from the posterior's": (shifts, m + s * shifts, s + 0 * shifts),
    "scale of $q$: multiples of the posterior's": (ratios, m + 0 * ratios, s * ratios),
}

# %% tags=["hide-input", "deck:sweep"]
with plotting.style():
    fig, axes = plt.subplots(1, 2, figsize=(13, 5), sharey=True, layout="constrained")
    for ax, (label, (where, mean, scale)) in zip(axes, sweeps.items(), strict=True):
        L = toy.bound(mean[:, None], scale[:, None], np.repeat(seen, len(where), axis=0))
        ax.axhline(log_p, color=ink)
        ax.plot(where, L, color=blue)
        ax.fill_between(where, L, log_p, color=purple, alpha=0.2, lw=0)
        ax.set(xlabel=label, ylim=(log_p - 4.7, log_p + 0.6))
        ax.text(where[L.argmax()], log_p - 2.6, r"$\mathcal{L}$, the bound", color=blue, ha="center")
        ax.text(where[-1], log_p - 0.2, "KL($q$ ‖ posterior)", color=purple, ha="right", va="top")
        ax.text(where[0], log_p + 0.15, r"$\log p(x)$: the ceiling", color=ink)
    axes[0].set_ylabel("nats")
plotting.show(
    fig,
    "Two panels. Under a level line, log p(x), the bound is a hill that touches the line in one point: left a "
    "parabola in the mean of q, right a lopsided hill in its scale. The shaded space between is the KL.",
)

# %% [markdown]
# *The bound against the mean (left) and the scale (right) of $q$; shaded: the KL.*
#
# **What to see.** The bound touches $\log p(x)$ only where $q$ is the true posterior. Elsewhere it lies lower by
# exactly the KL.
#
# **Check yourself.** How many nats does an error of $2s$ in the mean cost?
#
# <details class="answer"><summary>Answer</summary>
#
# Two nats: $\tfrac12 \cdot 2^2$. The cost grows with the square of the error.
#
# </details>
#
# Practise: [exercises 1.1, 1.2 and 1.4](exercises/01_the_bound/01_the_bound.ipynb).

# %% [markdown] tags=["fold"]
# ### A slip to avoid
#
# The first line of (1.2) is often written as $-\mathrm{KL}\big(q(z \mid x) \,\|\, p(x, z)\big)$. The expression itself
# is correct; calling it a KL divergence is not. A KL divergence compares two densities of $z$. As a function of $z$,
# $p(x, z)$ is not a density, because it integrates to $p(x)$ and not to one. Jensen's inequality then ends in
# $\log p(x)$ instead of $\log 1$, so the expression may be negative. What holds is
#
# $$ \mathbb E_q\big[\log q(z \mid x) - \log p(x, z)\big] = \mathrm{KL}\big(q(z \mid x) \,\|\, p(z \mid x)\big) - \log p(x) = -\mathcal L . $$
#
# Sums over a fine grid of $z$ show it:

# %% tags=["fold"]
# NBVAL_CHECK_OUTPUT
z, dz = np.linspace(-10, 10, 20_001, retstep=True)
joint = norm.pdf(z, 0, 1) * norm.pdf(0.2, 0.2 * z, 0.1)  # p(x, z) at the x that was seen
q = norm.pdf(z, m, s)  # the true posterior: the q that a KL divergence would give 0

with np.errstate(divide="ignore", invalid="ignore"):
    integrand = np.where(q > 0, q * (np.log(q) - np.log(joint)), 0.0)
print(f"∫ q(z|x) dz                  = {q.sum() * dz:.6f}")
print(f"∫ p(x,z) dz                  = {joint.sum() * dz:.6f}    p(x) = {np.exp(log_p):.6f}")
print(f"E_q[log q(z|x) − log p(x,z)] = {integrand.sum() * dz:.6f}   −L   = {-log_p:.6f}")

# %% [markdown] tags=["fold"]
# The alleged divergence is negative. Named correctly, the expression gives (1.3).

# %% [markdown]
# ## The equation and its line of code
#
# A **variational autoencoder** (VAE) uses two networks. The **decoder** takes $z$ and returns $p(x \mid z)$. The
# **encoder** takes $x$ and returns $q(z \mid x)$. Raising $\mathcal L$ trains both together.
#
# The bound (1.2) needs $q(z \mid x)$, $p(z)$ and $\log p(x \mid z)$. In the library each is a method whose arguments
# are what stands behind the bar; `latent` and `family` turn a network's output into a distribution:

# %% tags=["deck:factors"]
for factor in (VAE.prior, VAE.posterior, VAE.likelihood, VAE.factors):
    source = inspect.getsource(factor).splitlines()
    print("\n".join(line for line in source if '"""' not in line))

# %% [markdown]
# | in (1.2) | in the code |
# |---|---|
# | $q(z \mid x)$ | `self.posterior(x)`: the encoder (`posterior_net`) gives a mean and a scale for every $z_j$ |
# | $p(z)$ | `self.prior()`: $\mathcal N(0, I)$ |
# | $\log p(x \mid z)$ | `lambda z: self.likelihood(z).log_prob(x)`: the decoder (`likelihood_net`) gives the mean of $x$ |
# | $-\mathrm{KL}(q \,\Vert\, p(z)) + \mathbb E_q[\log p(x \mid z)]$ | `model.bound(x)`, with `.value`, `.reconstruction`, `.kl`, in nats per example |
#
# $q$ is a *diagonal* Gaussian: given $x$, each $z_j$ has its own mean and scale and is independent of the others.

# %% tags=["hide-input", "deck:graph"]
fig = plotting.graphical_model(VAE)
plotting.show(
    fig,
    "The graph of the VAE: a solid arrow from the hidden z to the shaded, observed x for the model p, "
    "and a dashed arrow from x back to z for q.",
)

# %% [markdown]
# *The same as a graph. Solid: the model $p$. Dashed: $q$.*

# %% [markdown]
# **Check yourself.** Which probability would a method `likelihood(self, y, z)` stand for?
#
# <details class="answer"><summary>Answer</summary>
#
# $p(x \mid y, z)$: the distribution of $x$ given $z$ and also $y$, such as a label. Lesson 03 has it.
#
# </details>

# %% [markdown] tags=["fold"]
# ### Does the library compute this bound?
#
# The expectation in (1.2) is an average over draws $z = \mu + \sigma \odot \varepsilon$ with
# $\varepsilon \sim \mathcal N(0, I)$, and random draws give a random number. In a linear-Gaussian model every
# integrand is quadratic in $\varepsilon$. For a quadratic, $2d$ well-chosen points give exactly the average of
# infinitely many draws:
#
# $$
# \begin{gathered}
# \varepsilon \in \big\{ +\sqrt d\, e_j,\; -\sqrt d\, e_j \;:\; j = 1, \dots, d \big\} \\
# \frac{1}{2d} \sum_{\varepsilon} f(\varepsilon) = \mathbb E_{\mathcal N(0, I)}\big[f(\varepsilon)\big]
# \ \text{ for every quadratic } f
# \end{gathered}
# \tag{1.5}
# $$
#
# The unit vectors are $e_j$. The points have mean 0 and covariance $I$, and the average of a quadratic depends on
# nothing else. Hand them to `bound` as its noise.

# %% tags=["fold"]
# NBVAL_CHECK_OUTPUT
points = noise.cubature(8)[:, 0]  # [2d, d]
print("points:", points.shape)
print("mean 0:", np.allclose(points.mean(0), 0))
print("covariance I:", np.allclose(points.T @ points / len(points), np.eye(8)))

# %% [markdown] tags=["fold"]
# Take a VAE without hidden layers, in double precision, with the weights of a random linear-Gaussian model with 64
# pixels and 8 latents. Its $q$ is random too, so it is not the true posterior.

# %% tags=["fold"]
truth = LinearGaussian.random(64, 8, seed=0)
x_random, _ = truth.sample(num_samples=200, seed=1)
rng = np.random.default_rng(2)
A, c, scale = rng.normal(0, 0.1, (64, 8)), rng.normal(0, 1, 8), rng.uniform(0.1, 1, 8)

family = Gaussian(scale="shared", dtype="float64")
exact = VAE(
    posterior_net=networks.mlp([64], (), 16, dtype="float64"),  # affine: x → (μ, raw σ)
    likelihood_net=networks.mlp([8], (), 64, dtype="float64"),  # affine: z → mean of x
    family=family,
)
exact.likelihood_net.set_weights([truth.W.T, truth.b])
family.raw_scale.assign(family.raw_from_scale(truth.sigma))
raw_scale = exact.latent.raw_from_scale(scale)
exact.posterior_net.set_weights([np.hstack([A, np.zeros((64, 8))]), np.hstack([c, raw_scale])])

# %% tags=["fold"]
# NBVAL_CHECK_OUTPUT
bound = exact.bound(x_random, noise=noise.cubature(8))
value, kl_prior = bound.value.numpy(), bound.kl.numpy()
mean = x_random @ A + c
gap = truth.kl_to_posterior(mean, scale, x_random)

print("the library's bound = the closed form:", np.allclose(value, truth.bound(mean, scale, x_random), 0, 1e-9))
print("bound + KL = log p(x):                ", np.allclose(value + gap, truth.log_evidence(x_random), 0, 1e-9))
print("bound < log p(x) for all 200 x:       ", bool((value < truth.log_evidence(x_random)).all()))
print("bound = −divergence + reconstruction: ", np.allclose(value, bound.reconstruction.numpy() - kl_prior, 0, 1e-9))

# %% [markdown] tags=["fold"]
# Every equality holds to $10^{-9}$ nats for every $x$. A wrong sign, or a mean over pixels in the place of a sum, would
# break (1.1) here.

# %% [markdown]
# ## Real digits, and a limit that is known beforehand
#
# The data are 1,797 handwritten digits of 8 × 8 pixels, grey values divided by 16. The model is a *linear* VAE, whose
# networks have no hidden layers. It has 8 latents and one learned $\sigma$ for all pixels:
# $x \mid z \sim \mathcal N(Wz + b,\, \sigma^2 I)$.
#
# By (1.4) its $p(x)$ is a Gaussian. Tipping and Bishop (1999) showed which such model has the maximum likelihood:
# *probabilistic PCA* (principal component analysis). So scikit-learn's `PCA(8).fit(X).score(X)` is the greatest mean
# $\log p(x)$ that any such model can have (to within 0.00001 nats). The bound never exceeds $\log p(x)$. Hence **no
# training can bring the bound above this score**.

# %% tags=["deck:limit"]
# NBVAL_CHECK_OUTPUT
x = datasets.digits().all.x
score = PCA(8).fit(x.astype("float64")).score(x.astype("float64"))
optimum = ppca(x, 8)  # Tipping & Bishop's closed form
print("images, pixels:", x.shape)
print(f"scikit-learn's score, k = 8:       {score:7.3f} nats per image")
limits = {k: ppca(x, k).log_evidence(x).mean() for k in (1, 4, 8)}
for k, limit in limits.items():
    print(f"the closed form's optimum, k = {k}:  {limit:7.3f}")

# %% [markdown]
# **Predict before you look.** The VAE knows nothing of PCA and starts from random weights. Will its bound end above, at or below the score for 8 components? If below: because of $p$ or of $q$?
#
# The bound is the model's own loss, so `compile` needs only an optimiser. `Gaussian(scale="shared")` has one learned
# $\sigma$. `SGVBB` estimates the bound from four draws of $z$ per image (lesson 02).

# %% tags=["deck:model"]
EPOCHS, BATCH = 800, 599  # 1,797 = 3 × 599: three batches an epoch
keras.utils.set_random_seed(0)
family = Gaussian(scale="shared")
nets = networks.mlps(VAE, x=64, z=8, hidden=(), family=family)
model = VAE(**nets, family=family, estimator=SGVBB(num_samples=4), seed=0)

falling = keras.optimizers.schedules.CosineDecay(2e-2, decay_steps=3 * EPOCHS)
model.compile(keras.optimizers.Adam(falling))
print({name: net.count_params() for name, net in nets.items()})

# %% [markdown]
# A callback notes $W$, $b$, $\sigma$ and the $q$ of every image. From these, (1.4) gives $\log p(x)$ and the gap.

# %%
def as_linear_gaussian(model):
    """The model's p in closed form."""
    kernel, b = model.likelihood_net.get_weights()
    sigma = model.likelihood(np.zeros((1, 8))).stddev().numpy()[0, 0]
    return LinearGaussian(kernel.T, b, sigma)


notes, milestones = [], np.unique(np.geomspace(1, EPOCHS, 60).round())


def note(epoch, logs):
    if epoch + 1 in milestones:
        q = model.posterior(x)
        notes.append((epoch + 1, as_linear_gaussian(model), q.mean().numpy(), q.stddev().numpy()))


watch = keras.callbacks.LambdaCallback(on_epoch_end=note)
history = model.fit(x, batch_size=BATCH, epochs=EPOCHS, callbacks=[watch], verbose=0)

# %% tags=["hide-output", "deck:training"]
epochs = np.array([epoch for epoch, *_ in notes])
log_ps = np.array([p.log_evidence(x).mean() for _, p, _, _ in notes])
bounds = np.array([p.bound(mean, scale, x).mean() for _, p, mean, scale in notes])
kls = np.array([p.kl_to_posterior(mean, scale, x).mean() for _, p, mean, scale in notes])

print(f"{'epoch':>6}{'bound':>10}{'log p(x)':>10}{'KL':>8}{'score':>9}   nats per image")
for i in [*range(0, len(notes) - 1, 6), -1]:
    print(f"{epochs[i]:6}{bounds[i]:10.3f}{log_ps[i]:10.3f}{kls[i]:8.3f}{score:9.3f}")

# %% [markdown]
# <details class="answer"><summary>Answer</summary>
#
# The bound ends below the score, at 14.195 against 14.210, for both reasons. $\log p(x)$ is 14.203, so 0.007 nats are
# missing in $p$. The KL is 0.007 nats, missing in $q$.
#
# </details>

# %% tags=["hide-input", "deck:curve"]
with plotting.style():
    fig, (left, right) = plt.subplots(1, 2, figsize=(14, 5.2), layout="constrained")
    for k, limit in limits.items():
        left.axhline(limit, color=ink, lw=2, ls=(0, (1, 1.2)))
        left.text(1, limit + 1, f"PCA's score, {k} component{'s' * (k > 1)}", color=ink, fontsize=13)
    left.plot(epochs, bounds, color=blue)
    left.text(7, -55, r"$\mathcal{L}$, the bound", color=blue, fontsize=18)
    left.set(xscale="log", xlabel="epoch", ylabel="nats per image", ylim=(-70, 22))
    right.plot(epochs, score - bounds, color=blue, label=r"score $-\;\mathcal{L}$: all that is missing")
    right.plot(epochs, score - log_ps, color=ink, ls="--", label=r"score $-\;\log p(x)$: missing in $p$")
    right.plot(epochs, kls, color=purple, ls=":", label=r"$\log p(x) - \mathcal{L}$: missing in $q$, the KL")
    right.axhspan(1e-3, 0.05, color="#EEEEEE", zorder=0)
    right.set(xscale="log", yscale="log", ylim=(1e-3, 150), xlabel="epoch", ylabel="nats per image")
    right.legend(loc="lower left", fontsize=13)
plotting.show(
    fig,
    "Left: the bound climbs steeply over the first fifty epochs to the line of PCA's score for 8 components and "
    "runs along it to the end. Right, on logarithmic axes: what is missing falls from tens of nats to about a "
    "hundredth, part of it in p and part in q.",
)

# %% [markdown]
# *Left: the bound during training. Right: its distance from the score of 8 components, in two parts; grey: below 0.05
# nats.*
#
# **What to see.** The bound nears the score and stays below it. The last tenths of a nat are missing partly in $p$,
# whose $\log p(x)$ is below the score, and partly in $q$, whose KL is not zero. Both parts still shrink at the end.
#
# **Check yourself.** Your program reports an exact bound above the score. What do you conclude?
#
# <details class="answer"><summary>Answer</summary>
#
# The program has a bug: $\mathcal L \le \log p(x) \le$ score. Only an estimate from random draws may lie above, by
# chance.
#
# </details>
#
# Practise: [exercise 1.5](exercises/01_the_bound/01_the_bound.ipynb).

# %% [markdown] tags=["fold"]
# ### The library's own bound at the end of training
#
# The table computed the bound with NumPy. The library's own bound, with the noise of (1.5), agrees with the limit:

# %% tags=["fold"]
# The library's own bound, with the noise of (1.5). The score is the optimum; 0.05 nats is what training may leave.
final = model.bound(x, noise=noise.cubature(8)).value.numpy().astype("float64").mean()
print(f"PCA's score {score:.4f}, the VAE's bound {final:.4f}: {score - final:.4f} nats per image below")
assert score - 0.05 < final < score + 0.001

# %% tags=["fold"]
# NBVAL_CHECK_OUTPUT
ceiling = limits[8]
print("bound + KL = log p(x) at every epoch noted:", np.allclose(bounds + kls, log_ps, 0, 1e-9))
print("the bound never above log p(x):            ", bool((bounds <= log_ps).all()))
print("log p(x) never above its ceiling:          ", bool((log_ps <= ceiling).all()))

# %% [markdown]
# ## Why do the columns of W become orthogonal?
#
# $\log p(x)$ depends on $W$ only through $W W^\top$. If a rotation $R$ turns the latent space, $W R$ gives the same
# $p(x)$. So $\log p(x)$ cannot say *which* 8 directions are the latents. The bound can, because $q$ is diagonal.
#
# By (1.4) the true posterior has the inverse covariance $P = I + W^\top W / \sigma^2$. The best *diagonal* $q$ has the
# right mean and the scales $1/\sqrt{P_{jj}}$. Its gap is
#
# $$ \min_{q \text{ diagonal}} \mathrm{KL}\big(q \,\|\, p(z \mid x)\big) = \frac12 \Big( \sum_j \log P_{jj} - \log \det P \Big) \;\ge\; 0, $$
#
# zero only if $P$ is diagonal (Hadamard's inequality), so only if the columns of $W$ are orthogonal. Hence the bound
# favours orthogonal columns.
#
# <details class="answer"><summary>Why these scales</summary>
#
# With the right mean and scales $s_j$ the KL is
# $\tfrac12 \big( \sum_j (P_{jj} s_j^2 - 1 - \log s_j^2) - \log \det P \big)$. Each term of the sum is least at
# $s_j^2 = 1 / P_{jj}$.
#
# </details>

# %% tags=["deck:gap"]
def least_gap(p):
    """min KL(q ‖ p(z|x)) over diagonal q: nats, the same for every x."""
    P = np.eye(p.W.shape[1]) + p.W.T @ p.W / p.sigma**2
    return 0.5 * (np.log(np.diag(P)).sum() - np.linalg.slogdet(P)[1])


def cosines(W):
    """|cos| of the angle between every two columns: WᵀW with its diagonal made 1."""
    unit = W / np.linalg.norm(W, axis=0)
    return np.abs(unit.T @ unit)


largest = np.array([(cosines(p.W) - np.eye(8)).max() for _, p, _, _ in notes])
gaps = np.array([least_gap(p) for _, p, _, _ in notes])
shown = [0, int(gaps.argmax()), len(notes) - 1]
for i in shown:
    print(f"epoch {epochs[i]:3}: largest |cos| between columns {largest[i]:.3f}, least gap {gaps[i]:.4f} nats")
assert largest[-1] < 0.15 and gaps[-1] < 0.02

# %% tags=["hide-input", "deck:angles"]
with plotting.style():
    fig, axes = plt.subplots(
        1, 4, figsize=(15, 4.1), width_ratios=(1, 1, 1, 1.5), layout="constrained"
    )
    for ax, i in zip(axes, shown, strict=False):
        picture = ax.imshow(cosines(notes[i][1].W), vmin=0, vmax=1, cmap="Blues")
        ax.set(title=f"epoch {epochs[i]}", xlabel="column of $W$", xticks=[], yticks=[])
    fig.colorbar(picture, ax=axes[:3], shrink=0.75, label="|cos| of the angle")
    axes[3].plot(epochs, gaps, color=purple)
    axes[3].set(xscale="log", yscale="log", xlabel="epoch", ylabel="nats", title="least gap of a diagonal $q$")
plotting.show(
    fig,
    "Three 8 by 8 tables of |cos| between the columns of W: pale but mottled off the diagonal at the first epoch, "
    "dark spots off the diagonal a few epochs later, and at the end white but for the diagonal. Beside them the "
    "least gap of a diagonal q rises at first and then falls, in leaps, by a factor of more than fifty.",
)

# %% [markdown]
# *Left: the angles between the columns of $W$. Right: the least gap.*
#
# **What to see.** The columns soon lean further towards each other. Then they turn apart.
# Trained on $\log p(x)$ alone, they stay oblique (first fold below).
#
# **Check yourself.** Does this gap depend on the image?
#
# <details class="answer"><summary>Answer</summary>
#
# It does not: $P$ contains $W$ and $\sigma$, but not $x$.
#
# </details>

# %% [markdown] tags=["fold"]
# ### Does the evidence alone turn the columns?
#
# EM (Tipping and Bishop 1999) raises $\log p(x)$ with the exact posterior, without a diagonal $q$. It starts from
# the VAE's weights at the worst epoch above.

# %% tags=["fold"]
# NBVAL_CHECK_OUTPUT
p, S = notes[shown[1]][1], np.cov(x.T.astype("float64"), bias=True)
p = LinearGaussian(p.W, x.mean(0), p.sigma)
for _ in range(500):
    SW = S @ p.W
    inner = np.linalg.inv(p.W.T @ p.W + p.sigma**2 * np.eye(8))  # 1 / M, (1.4)
    W = SW @ np.linalg.inv(p.sigma**2 * np.eye(8) + inner @ p.W.T @ SW)
    p = LinearGaussian(W, p.b, np.sqrt(np.trace(S - SW @ inner @ W.T) / 64))
print(f"EM: log p(x) {p.log_evidence(x).mean():.3f}, score {score:.3f}")
print(f"least gap above 0.1 nats still: {least_gap(p) > 0.1}; the VAE's: {gaps[-1] > 0.1}")
assert least_gap(p) > 10 * gaps[-1]

# %% tags=["fold"]
print(f"least gap after EM {least_gap(p):.2f} nats, largest |cos| {(cosines(p.W) - np.eye(8)).max():.2f}")

# %% [markdown] tags=["fold"]
# EM reaches the score with oblique columns. So the diagonal $q$ turned them.

# %% [markdown] tags=["fold"]
# ### What the eight directions look like

# %% tags=["fold"]
p = notes[-1][1]
order = np.argsort(-np.linalg.norm(p.W, axis=0))
W = p.W[:, order]
alike = (W / np.linalg.norm(W, axis=0)).T @ (optimum.W / np.linalg.norm(optimum.W, axis=0))
W = W * np.sign(alike[np.arange(8), np.abs(alike).argmax(1)])  # the sign of a latent is arbitrary

angles = np.degrees(subspace_angles(W, optimum.W))
print(f"between the space of W and that of the first 8 principal components: at most {angles.max():.1f}°")
print("strength ‖W_j‖, VAE:", np.linalg.norm(W, axis=0).round(2))
print("strength ‖W_j‖, PCA:", np.linalg.norm(optimum.W, axis=0).round(2))
print("|cos| of W_j to the component most alike:", np.abs(alike).max(1).round(2))
assert angles.max() < 5  # degrees

# %% tags=["fold", "hide-input"]
fig = plotting.image_grid(
    np.stack([W.T, optimum.W.T]),
    image_shape=(8, 8),
    row_labels=["VAE", "PCA"],
    column_labels=[f"$z_{j + 1}$" for j in range(8)],
    limits=(-0.25, 0.25),
    cmap="PuOr",
)
plotting.show(
    fig,
    "Two rows of eight 8 by 8 patterns in two colours for less and more ink. The columns of the VAE's W above look "
    "like the principal components below, mostly one to one; some neighbours of like strength are mixed.",
)

# %% [markdown] tags=["fold"]
# *What one unit of $z_j$ adds to the ink (violet more, orange less), strongest first.*
#
# **What to see.** The space is that of PCA to within 0.8°. Each column resembles one principal component, but none
# equals it. Where two components have similar strengths, a mixture is nearly as good.

# %% [markdown]
# ## What eight numbers can draw

# %% tags=["hide-input", "deck:drawn"]
drawn = model.generate(10, seed=0)
fig = plotting.image_grid(
    np.stack([x[:10], model.reconstruct(x[:10]), drawn, model.generate(10, seed=0, sample=True)]),
    image_shape=(8, 8),
    row_labels=["digits", "through $z$", "mean, new $z$", "draw, new $z$"],
)
plotting.show(
    fig,
    "Four rows of ten images: digits from 0 to 9; the same digits rebuilt from 8 numbers each, blurred, some "
    "no longer readable; images from random z, few of them clear digits; the same with grain.",
)

# %% [markdown]
# *From the top: digits; the decoder's mean at $q$'s mean, and at a $z$ from the prior; an $x$ drawn there.*
#
# **What to see.** Eight numbers keep the outline of the 0, the 1 and the 3, but not of the 4, the 8 and the 9. A new $z$
# seldom gives a clear digit.
#
# **Check yourself.** Would longer training turn the new images into digits?
#
# <details class="answer"><summary>Answer</summary>
#
# Hardly: the bound is within 0.05 nats of the best. To a linear model all digits are one Gaussian cloud.
#
# </details>

# %% [markdown]
# ## Where this breaks: the posterior is not diagonal
#
# Rotate the latent space of the optimum, probabilistic PCA. $p(x)$ stays the same.
#
# **Predict before you look.** How much does the best bound of a diagonal $q$ lose: nothing, a hundredth or half a nat?
# Open both outputs.

# %% tags=["hide-output", "deck:rotations"]
# NBVAL_CHECK_OUTPUT
def best_diagonal_bound(p):
    mean, _ = p.posterior(x)
    precision = np.eye(8) + p.W.T @ p.W / p.sigma**2
    return p.bound(mean, 1 / np.sqrt(np.diag(precision)), x).mean()


print(f"{'rotation':10}{'log p(x)':>10}{'best bound':>12}{'lost':>8}   lost = ½(Σ log P_jj − log det P)")
for seed in (None, 0, 1, 2, 3):
    R = np.eye(8) if seed is None else np.linalg.qr(np.random.default_rng(seed).normal(size=(8, 8)))[0]
    turned = LinearGaussian(optimum.W @ R, optimum.b, optimum.sigma)
    top, best = turned.log_evidence(x).mean(), best_diagonal_bound(turned)
    label = "none" if seed is None else f"random {seed}"
    same = abs(top - best - least_gap(turned)) < 1e-9
    print(f"{label:10}{top:10.3f}{best:12.3f}{abs(top - best):8.3f}   {same}")

# %% tags=["hide-output", "deck:thousand"]
# NBVAL_CHECK_OUTPUT
rng = np.random.default_rng(0)
rotations = [np.linalg.qr(rng.normal(size=(8, 8)))[0] for _ in range(1000)]
losses = [least_gap(LinearGaussian(optimum.W @ R, optimum.b, optimum.sigma)) for R in rotations]
print(f"1,000 random rotations lose {np.mean(losses):.2f} nats on average ({min(losses):.2f} to {max(losses):.2f})")

# %% [markdown]
# <details class="answer"><summary>Answer</summary>
#
# Nearly half a nat: 0.42 on average. The latents are now correlated in the true posterior.
#
# </details>
#
# A linear model can turn $W$ until the true posterior is diagonal. With a decoder that is not linear this is in general
# impossible. Then a gap stays, and the bound may trade some of $\log p(x)$ for a true posterior that $q$ can follow.
# Lesson 02 measures this gap.
#
# **Check yourself.** You rotate by 90 degrees in the plane of $z_1$ and $z_8$. What is lost?
#
# <details class="answer"><summary>Answer</summary>
#
# Nothing: the two latents swap, one with its sign changed, and the columns stay orthogonal.
#
# </details>

# %% [markdown] tags=["fold"]
# ### One rotation, by every angle
#
# Only $z_1$ and $z_8$ are rotated into each other.

# %% tags=["fold"]
degrees, best = np.linspace(0, 180, 91), []
for angle in np.radians(degrees):
    R = np.eye(8)
    R[np.ix_([0, 7], [0, 7])] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    best.append(ceiling - least_gap(LinearGaussian(optimum.W @ R, optimum.b, optimum.sigma)))

# %% tags=["fold", "hide-input"]
with plotting.style():
    fig, ax = plt.subplots(figsize=(9, 4.6), layout="constrained")
    ax.axhline(ceiling, color=ink)
    ax.plot(degrees, best, color=blue)
    ax.fill_between(degrees, best, ceiling, color=purple, alpha=0.2, lw=0)
    ax.text(2, ceiling + 0.015, r"$\log p(x)$, the same for every angle", color=ink)
    ax.text(45, ceiling - 0.28, r"best $\mathcal{L}$ of a diagonal $q$", color=blue, ha="center")
    ax.set(xlabel="rotation of $z_1$ and $z_8$ (degrees)", ylabel="nats per image", xticks=range(0, 181, 45))
    ax.set_ylim(ceiling - 0.32, ceiling + 0.06)
plotting.show(
    fig,
    "A level line, log p(x). Under it the best bound of a diagonal q touches the line at 0, 90 and 180 degrees and "
    "sags by a fifth of a nat and more halfway between.",
)

# %% [markdown]
# ## Where this breaks: what is a nat worth?
#
# A pixel lies in $[0, 1]$, but a Gaussian does not know this. And $p(x)$ is a *density* here, a probability per unit of
# ink, so $\log p(x)$ changes with the unit.

# %% tags=["deck:unit"]
# NBVAL_CHECK_OUTPUT
spread = np.sqrt((optimum.W**2).sum(1) + optimum.sigma**2)  # of each pixel under p(x), (1.4)
outside = norm.cdf(0, optimum.b, spread) + norm.sf(1, optimum.b, spread)
images, _ = optimum.sample(num_samples=10_000, seed=0)
possible = ((images >= 0) & (images <= 1)).all(1)
in_sixteenths = PCA(8).fit(16.0 * x.astype("float64")).score(16.0 * x.astype("float64"))

print(f"mass outside [0, 1], mean over the pixels: {outside.mean():.1%}")
print(f"pixels that are blank in every image:      {(x.max(0) == 0).sum()}, outside there: {outside[x.max(0) == 0].mean():.1%}")
print(f"possible images among 10,000 draws:        {possible.sum()}")
print(f"the score if a pixel counts 0 to 16:       {in_sixteenths:.3f}  (= {score:.3f} − 64 log 16: "
      f"{abs(in_sixteenths - score + 64 * np.log(16)) < 1e-6})")

# %% [markdown]
# Even the optimum is a wrong model: none of its 10,000 draws is a possible image. The bound never says that a model is
# good. Compare two numbers in nats only if they are densities in the same unit.
#
# **Check yourself.** A colleague counts pixels from 0 to 16, and her bound is below yours. Is her model worse?
#
# <details class="answer"><summary>Answer</summary>
#
# You cannot tell yet: first add $64 \log 16$ to her number. Then both are densities in the same unit.
#
# </details>

# %% [markdown]
# ## What you saw
#
# - $\log p(x) = \mathrm{KL} + \mathcal L$ for every $q$, and $\mathcal L$ reaches $\log p(x)$ only if $q$ is the true
#   posterior.
# - A linear VAE, told nothing of PCA, came within 0.05 nats of PCA's score.
# - In the linear model a diagonal $q$ can close the gap only if the columns of $W$ are orthogonal, and training made them nearly so.
#
# How do you differentiate an average over random draws of $z$? [Lesson 02](02_estimators_and_algorithm.ipynb) answers
# this.

# %% [markdown]
# ## References
#
# - D. P. Kingma and M. Welling (2013), *Auto-encoding variational Bayes*, section 2 and appendix B.
# - M. E. Tipping and C. M. Bishop (1999), *Probabilistic principal component analysis*, J. R. Statist. Soc. B 61(3).
# - J. Lucas, G. Tucker, R. Grosse and M. Norouzi (2019), *Don't blame the ELBO! A linear VAE perspective on posterior collapse*:
#   the linear VAE's optimum and its orthogonal columns.
# - E. Alpaydin and C. Kaynak (1998), *Optical recognition of handwritten digits* (UCI): the images.
