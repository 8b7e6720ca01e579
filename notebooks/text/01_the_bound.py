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
# A model with a hidden variable gives every image a probability, but that probability is an integral
# over everything that might have been hidden. How can you train on a number that you cannot compute,
# and how would you know that you have reached it?

# %% [markdown]
# **After this lesson you can**
#
# - derive $\log p(x) = \mathrm{KL} + \mathcal L$ line by line, and say why $\mathcal L$ is a bound;
# - say how many nats a wrong $q$ costs, before you compute it;
# - point at the line of code behind each term;
# - train a linear VAE on real digits up to a limit that is known beforehand, and say what stops it there.
#
# **You need** densities and expectations, the Gaussian, a little linear algebra, and Python with NumPy.

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

# %% [markdown] tags=["notes"]
# **Speaker, 2 min.** Ask who has trained a model by maximum likelihood, and what they would do if the likelihood
# were an integral. Leave the answers standing.

# %% [markdown]
# ## The difficulty
#
# Somebody draws a hidden $z$ from a **prior** $p(z)$ and then an image $x$ from a **likelihood** $p(x \mid z)$.
# You see only $x$. How probable was it? Every $z$ might have been the one:
#
# $$ p(x) = \int p(z)\, p(x \mid z)\, dz $$
#
# For most models nobody can do this integral. Nor is guessing a way out: of all the $z$ that the prior
# offers, hardly any explains *this* $x$. What you would like to have is the **true posterior**
# $p(z \mid x) = p(x, z) / p(x)$, which knows the few that do. But it has $p(x)$ below its bar.
#
# So take a stand-in: any distribution $q(z \mid x)$ that you *can* compute and draw from.

# %% [markdown] tags=["notes"]
# **Speaker, 4 min.** Draw the prior and the sliver of it that explains one image. Everything that follows is a way
# to look at the sliver.

# %% [markdown]
# ## The derivation
#
# Begin with the number you want. There is no $z$ in it, so its average over $q$ is itself. Bring in $z$ by
# $p(x, z) = p(x)\, p(z \mid x)$, then multiply and divide by $q$:
#
# $$
# \begin{aligned}
# \log p(x) &= \mathbb E_{q(z \mid x)}\big[\log p(x)\big]
#            = \mathbb E_{q(z \mid x)}\left[\log \frac{p(x, z)}{p(z \mid x)}\right]
#            = \mathbb E_{q(z \mid x)}\left[\log \frac{q(z \mid x)}{p(z \mid x)} + \log \frac{p(x, z)}{q(z \mid x)}\right] \\
#           &= \mathrm{KL}\big(q(z \mid x) \,\|\, p(z \mid x)\big) + \mathcal L(\theta, \phi; x)
# \end{aligned}
# \tag{1.1}
# $$
#
# $\theta$ are the parameters of $p$, and $\phi$ those of $q$. Nothing was approximated: (1.1) holds for every $q$.

# %% [markdown]
# The first part compares two densities of $z$ and contains the posterior that you don't have. The second part
# contains only what you have. Split $p(x, z) = p(z)\, p(x \mid z)$ in it:
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
# Read the last line as: explain $x$ well with the $z$ that $q$ proposes (**reconstruction**), and do not go
# further from the prior for that than it is worth (**divergence**).

# %% [markdown]
# A KL divergence between two densities is never negative. The logarithm is concave, so by Jensen's inequality
#
# $$ -\,\mathrm{KL}(q \,\|\, p) = \mathbb E_q\Big[\log \frac pq\Big] \le \log \mathbb E_q\Big[\frac pq\Big] = \log \int p(z)\, dz = \log 1 = 0, $$
#
# with equality only where $q = p$. Put $p(z \mid x)$ in the place of $p$, and (1.1) says
#
# $$ \mathcal L \le \log p(x), \qquad \log p(x) - \mathcal L = \mathrm{KL}\big(q(z \mid x) \,\|\, p(z \mid x)\big) \tag{1.3} $$
#
# $\mathcal L$ is a lower bound whose gap has a name. Raise it in $\phi$, and as $\log p(x)$ does not move,
# $q$ must come nearer to the true posterior. Raise it in $\theta$, and either $\log p(x)$ rises or the gap shrinks.

# %% [markdown] tags=["notes"]
# **Speaker, 8 min.** On the board, line by line; let the class say why each line holds. Stop at (1.3): what moves if
# you raise the bound in φ, what if in θ?

# %% [markdown]
# ## A small model in which you can see everything
#
# One hidden number and one observed number: $z \sim \mathcal N(0, 1)$, $x \mid z \sim \mathcal N(0.2\,z,\; 0.1^2)$, and you
# have seen $x = 0.2$. Gaussians all the way, so the integral *can* be done, and so can the posterior:
#
# $$
# p(x) = \mathcal N\big(b,\; W W^\top + \sigma^2 I\big), \qquad
# p(z \mid x) = \mathcal N\big(M^{-1} W^\top (x - b),\; \sigma^2 M^{-1}\big), \qquad
# M = W^\top W + \sigma^2 I
# \tag{1.4}
# $$
#
# with $x \mid z \sim \mathcal N(Wz + b,\, \sigma^2 I)$ in general. `LinearGaussian` writes these formulas in NumPy, in double precision.

# %%
# NBVAL_CHECK_OUTPUT
toy = LinearGaussian(W=[[0.2]], b=[0.0], sigma=0.1)
seen = np.array([[0.2]])

(log_p,) = toy.log_evidence(seen)
centre, covariance = toy.posterior(seen)
m, s = centre.item(), np.sqrt(covariance.item())
print(f"log p(x)  = {log_p:.3f} nats")
print(f"p(z|x)    = N({m:.3f}, {s:.3f}²)")

# %% [markdown]
# **Predict before you look.** Take for $q$ a Gaussian.
#
# 1. Its scale is right, but its mean is one posterior standard deviation off. How many nats does $\mathcal L$ lose?
# 2. Its mean is right, but it is half as wide as it should be, or twice as wide. Which of the two costs more?
# 3. You do not know the posterior, so you take the prior. Is that a bound? A useful one?

# %%
# NBVAL_CHECK_OUTPUT
choices = {
    "the posterior itself": (m, s),
    "one s to the right": (m + s, s),
    "half as wide": (m, s / 2),
    "twice as wide": (m, 2 * s),
    "the prior": (0.0, 1.0),
}
print(f"{'q is':22}{'L':>8}{'KL':>8}{'L + KL':>9}   L + KL = log p(x) to 1e-12")
for name, (mean, scale) in choices.items():
    (L,) = toy.bound([[mean]], [[scale]], seen)
    (kl,) = toy.kl_to_posterior([[mean]], [[scale]], seen)
    print(f"{name:22}{L:8.3f}{abs(kl):8.3f}{L + kl:9.3f}   {abs(L + kl - log_p) < 1e-12}")

# %% [markdown]
# The last column is (1.1), and it is no tautology: `bound` adds up the two terms of (1.2), `kl_to_posterior`
# compares $q$ with the posterior of (1.4), and `log_evidence` knows no $q$ at all.
#
# With $\delta$ the error of the mean in posterior standard deviations and $r$ the ratio of the scales,
# $\mathrm{KL} = \tfrac12 \delta^2 + \tfrac12 (r^2 - 1 - \log r^2)$. One standard deviation costs half a nat. Too wide costs more than
# too narrow: $q$ then spreads over $z$ that do not explain $x$. The prior is as valid a $q$ as any, and a poor one.

# %%
shifts, ratios = np.linspace(-3, 3, 121), np.geomspace(0.1, 3.3, 121)
sweeps = {  # what is swept: (where, mean of q, scale of q)
    "mean of $q$: steps of $s$ from the posterior's": (shifts, m + s * shifts, s + 0 * shifts),
    "scale of $q$: multiples of the posterior's": (ratios, m + 0 * ratios, s * ratios),
}

# %% tags=["hide-input"]
with plotting.style():
    fig, axes = plt.subplots(1, 2, figsize=(13, 5), sharey=True, layout="constrained")
    for ax, (label, (where, mean, scale)) in zip(axes, sweeps.items(), strict=True):
        L = toy.bound(mean[:, None], scale[:, None], np.repeat(seen, len(where), axis=0))
        ax.axhline(log_p, color=ink)
        ax.plot(where, L, color=blue)
        ax.fill_between(where, L, log_p, color=blue, alpha=0.18, lw=0)
        ax.set(xlabel=label, ylim=(log_p - 4.7, log_p + 0.6))
        ax.text(where[L.argmax()], log_p - 2.6, r"$\mathcal{L}$, the bound", color=blue, ha="center")
        ax.text(where[-1], log_p - 0.2, "KL($q$ ‖ posterior)", color=blue, ha="right", va="top")
        ax.text(where[0], log_p + 0.15, r"$\log p(x)$: the ceiling", color=ink)
    axes[0].set_ylabel("nats")
plotting.show(
    fig,
    "Two panels. Under a level line, log p(x), the bound is a hill that touches the line in one point: left a "
    "parabola in the mean of q, right a lopsided hill in its scale. The shaded space between is the KL.",
)

# %% [markdown]
# *The bound $\mathcal L$ while the mean (left) or the scale (right) of $q$ is swept; shaded, the gap.*
#
# **What to see.** The hill touches the ceiling in one place, where $q$ is the posterior, and what is missing
# elsewhere is the shaded KL, no more and no less.

# %% [markdown]
# ### A slip to avoid
#
# The first line of (1.2) is often written as $-\mathrm{KL}\big(q(z \mid x) \,\|\, p(x, z)\big)$. It looks right and is wrong.
# A KL divergence compares two *densities of $z$*, and $p(x, z)$ as a function of $z$ is none:
# it integrates to $p(x)$, not to one. So Jensen's inequality above ends in $\log p(x)$ in the place of $\log 1$, and
# nothing keeps the expression from being negative. What is meant is
#
# $$ \mathbb E_q\big[\log q(z \mid x) - \log p(x, z)\big] = \mathrm{KL}\big(q(z \mid x) \,\|\, p(z \mid x)\big) - \log p(x) = -\mathcal L . $$
#
# Sums over a fine grid of $z$ show it, with none of the formulas used so far:

# %%
# NBVAL_CHECK_OUTPUT
z, dz = np.linspace(-10, 10, 20_001, retstep=True)
joint = norm.pdf(z, 0, 1) * norm.pdf(0.2, 0.2 * z, 0.1)  # p(x, z) at the x that was seen
q = norm.pdf(z, m, s)  # the true posterior: the q that a KL divergence would give 0

with np.errstate(divide="ignore", invalid="ignore"):
    integrand = np.where(q > 0, q * (np.log(q) - np.log(joint)), 0.0)
print(f"∫ q(z|x) dz                  = {q.sum() * dz:.6f}")
print(f"∫ p(x,z) dz                  = {joint.sum() * dz:.6f}    p(x) = {np.exp(log_p):.6f}")
print(f"E_q[log q(z|x) − log p(x,z)] = {integrand.sum() * dz:.6f}   −L   = {-log_p:.6f}")

# %% [markdown]
# The "divergence" comes out negative. The equation is saved by its minus sign and its name is not: only
# with the name set right does (1.3) follow.

# %% [markdown] tags=["notes"]
# **Speaker, 8 min.** Take votes on the three predictions before the table. Most say that too narrow and too wide
# cost the same.

# %% [markdown]
# ## The equation and its line of code
#
# The bound (1.2) needs three things: $q(z \mid x)$, $p(z)$ and $\log p(x \mid z)$. A model of this library is those
# three, written as methods whose arguments are what stands behind the bar:

# %%
for factor in (VAE.prior, VAE.posterior, VAE.likelihood, VAE.factors):
    source = inspect.getsource(factor).splitlines()
    print("\n".join(line for line in source if '"""' not in line))

# %% [markdown]
# | in (1.2) | in the code |
# |---|---|
# | $q(z \mid x)$ | `self.posterior(x)`: a network of $x$ gives a mean and a scale for every $z_j$ |
# | $p(z)$ | `self.prior()`: $\mathcal N(0, I)$ |
# | $\log p(x \mid z)$ | `lambda z: self.likelihood(z).log_prob(x)`: a network of $z$ gives the mean of $x$ |
# | $-\mathrm{KL}(q \,\Vert\, p(z)) + \mathbb E_q[\log p(x \mid z)]$ | `model.bound(x)`, with `.value`, `.reconstruction` and `.kl`, each in nats per example |
#
# $q$ is a *diagonal* Gaussian: each $z_j$ has a mean and a scale of its own and no correlation with the others.
# Keep this in mind; it decides where the training below comes to rest.

# %%
fig = plotting.graphical_model(VAE)
plotting.show(
    fig,
    "The graph of the VAE: a solid arrow from the hidden z to the shaded, observed x for the model p, "
    "and a dashed arrow from x back to z for q.",
)

# %% [markdown]
# *The same as a graph. Solid: how $x$ comes about. Dashed: how $q$ guesses $z$ back.*

# %% [markdown] tags=["notes"]
# **Speaker, 3 min.** Read the signatures aloud as the arrows of the graph.

# %% [markdown]
# ## Does the library compute this bound?
#
# The expectation in (1.2) is an average over draws $z = \mu + \sigma \odot \varepsilon$ with $\varepsilon \sim \mathcal N(0, I)$, and random
# draws give a random number. In a linear-Gaussian model, though, every integrand is quadratic in $\varepsilon$, and for
# quadratics $2d$ well-chosen points average to exactly what infinitely many draws would:
#
# $$
# \varepsilon \in \big\{ +\sqrt d\, e_j,\; -\sqrt d\, e_j \;:\; j = 1, \dots, d \big\},
# \qquad
# \frac{1}{2d} \sum_{\varepsilon} f(\varepsilon) = \mathbb E_{\mathcal N(0, I)}\big[f(\varepsilon)\big]
# \ \text{ for every quadratic } f
# \tag{1.5}
# $$
#
# They have mean 0 and covariance $I$, which is all that a quadratic asks. Hand them to `bound` as its noise.

# %%
# NBVAL_CHECK_OUTPUT
points = noise.cubature(8)[:, 0]  # [2d, d]
print("points:", points.shape)
print("mean 0:", np.allclose(points.mean(0), 0))
print("covariance I:", np.allclose(points.T @ points / len(points), np.eye(8)))

# %% [markdown]
# Now a VAE without hidden layers, in double precision, whose weights are those of a random linear-Gaussian
# model with 64 pixels and 8 latents; its $q$ is random too, and so certainly not the posterior.

# %%
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

# %%
# NBVAL_CHECK_OUTPUT
bound = exact.bound(x_random, noise=noise.cubature(8))
value, kl_prior = bound.value.numpy(), bound.kl.numpy()
mean = x_random @ A + c
gap = truth.kl_to_posterior(mean, scale, x_random)

print("the library's bound = the closed form:", np.allclose(value, truth.bound(mean, scale, x_random), 0, 1e-9))
print("bound + KL = log p(x):                ", np.allclose(value + gap, truth.log_evidence(x_random), 0, 1e-9))
print("bound < log p(x) for all 200 x:       ", bool((value < truth.log_evidence(x_random)).all()))
print("bound = −divergence + reconstruction: ", np.allclose(value, bound.reconstruction.numpy() - kl_prior, 0, 1e-9))

# %% [markdown]
# Every line holds to $10^{-9}$ nats for every single $x$. A wrong sign, a mean over pixels where a sum
# belongs, a standard deviation taken for a variance: any of these would break (1.1) here.

# %% [markdown] tags=["notes"]
# **Speaker, 4 min.** The point is not the trick but the habit: a bound that cannot be checked will be wrong.

# %% [markdown]
# ## Real digits, and a limit that nobody wrote for us
#
# The data: 1,797 handwritten digits of 8 × 8 pixels, the grey value divided by 16. The model: a linear VAE with
# 8 latents and one learned $\sigma$ for all pixels, $x \mid z \sim \mathcal N(Wz + b,\, \sigma^2 I)$.
#
# By (1.4) this model's $p(x)$ is a Gaussian, and its maximum likelihood has been known since Tipping and Bishop
# (1999): it is *probabilistic PCA*. scikit-learn's `PCA(8).fit(X).score(X)` is the greatest mean $\log p(x)$ that
# any such model can have (but for 0.00001 nats: it divides by $N - 1$). As a bound cannot lie above $\log p(x)$, **no training can bring the bound above this score**.

# %%
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
# **Predict before you look.** The VAE is told nothing of eigenvectors. It starts from random weights, sees a few
# random draws of $z$ at a time, and follows the gradient of (1.2). Will its bound end above, at or below the score
# for 8 components? If below: because of $p$, or because of $q$?
#
# Training is Keras's `fit`. The bound is the model's own loss, so `compile` takes an optimiser and nothing else.
# (`SGVBB` is how the bound is estimated from draws, four per image here: the subject of lesson 02.)

# %%
EPOCHS, BATCH = 800, 599  # 1,797 = 3 × 599: three batches an epoch
keras.utils.set_random_seed(0)
family = Gaussian(scale="shared")
nets = networks.mlps(VAE, x=64, z=8, hidden=(), family=family)
model = VAE(**nets, family=family, estimator=SGVBB(num_samples=4), seed=0)

falling = keras.optimizers.schedules.CosineDecay(2e-2, decay_steps=3 * EPOCHS)
model.compile(keras.optimizers.Adam(falling))
print({name: net.count_params() for name, net in nets.items()})

# %% [markdown]
# While it trains, note down what the weights amount to: the linear-Gaussian model that $W$, $b$, $\sigma$ make, and
# the $q$ of every image. Then (1.4) tells at any epoch where the ceiling is and how far below it the bound lies.

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

# %%
epochs = np.array([epoch for epoch, *_ in notes])
log_ps = np.array([p.log_evidence(x).mean() for _, p, _, _ in notes])
bounds = np.array([p.bound(mean, scale, x).mean() for _, p, mean, scale in notes])
kls = np.array([p.kl_to_posterior(mean, scale, x).mean() for _, p, mean, scale in notes])

print(f"{'epoch':>6}{'bound':>10}{'log p(x)':>10}{'KL':>8}{'score':>9}   nats per image")
for i in [*range(0, len(notes) - 1, 6), -1]:
    print(f"{epochs[i]:6}{bounds[i]:10.3f}{log_ps[i]:10.3f}{kls[i]:8.3f}{score:9.3f}")

# %% tags=["hide-input"]
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
# *Left: the bound during training, and ceilings for 1, 4 and 8 components. Right: what is missing to the
# ceiling of 8 and its two parts; grey, less than 0.05 nats.*
#
# **What to see.** The bound passes the lower ceilings, meets its own and stays under it. The last tenths of a nat are
# missing on both sides of (1.1): $p$ is not yet the best, and $q$ not yet its posterior. As the learning rate falls, both parts close.

# %%
# The library's own bound, with the noise of (1.5). The score is the optimum; 0.05 nats is what training may leave.
final = model.bound(x, noise=noise.cubature(8)).value.numpy().astype("float64").mean()
print(f"PCA's score {score:.4f}, the VAE's bound {final:.4f}: {score - final:.4f} nats per image below")
assert score - 0.05 < final < score + 0.001

# %%
# NBVAL_CHECK_OUTPUT
ceiling = limits[8]
print("bound + KL = log p(x) at every epoch noted:", np.allclose(bounds + kls, log_ps, 0, 1e-9))
print("the bound never above log p(x):            ", bool((bounds <= log_ps).all()))
print("log p(x) never above its ceiling:          ", bool((log_ps <= ceiling).all()))

# %% [markdown] tags=["notes"]
# **Speaker, 6 min.** Ask for a guess before the curve: how near to PCA does gradient descent come?

# %% [markdown]
# ## Why do the columns of W become orthogonal?
#
# $\log p(x)$ depends on $W$ through $W W^\top$ alone. Turn the latent space by any rotation $R$: $W R$ gives the same
# $p(x)$, so $\log p(x)$ cannot say *which* 8 directions of its plane are the latents. The bound can.
# The true posterior has precision $P = I + W^\top W / \sigma^2$, and the best that a *diagonal* $q$ can do is to have the right mean
# and the scales $1/\sqrt{P_{jj}}$. That leaves
#
# $$ \min_{q \text{ diagonal}} \mathrm{KL}\big(q \,\|\, p(z \mid x)\big) = \frac12 \Big( \sum_j \log P_{jj} - \log \det P \Big) \;\ge\; 0, $$
#
# zero only where $P$ is diagonal (Hadamard's inequality), that is, where the columns of $W$ are orthogonal.
# So raising the bound turns the latent axes until each hidden cause can be guessed separately.

# %%
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

# %% tags=["hide-input"]
with plotting.style():
    fig, axes = plt.subplots(
        1, 4, figsize=(15, 4.1), width_ratios=(1, 1, 1, 1.5), layout="constrained"
    )
    for ax, i in zip(axes, shown, strict=False):
        picture = ax.imshow(cosines(notes[i][1].W), vmin=0, vmax=1, cmap="Blues")
        ax.set(title=f"epoch {epochs[i]}", xlabel="column of $W$", xticks=[], yticks=[])
    fig.colorbar(picture, ax=axes[:3], shrink=0.75, label="|cos| of the angle")
    axes[3].plot(epochs, gaps, color=blue)
    axes[3].set(xscale="log", yscale="log", xlabel="epoch", ylabel="nats", title="least gap of a diagonal $q$")
plotting.show(
    fig,
    "Three 8 by 8 tables of |cos| between the columns of W: pale but mottled off the diagonal at the first epoch, "
    "dark spots off the diagonal a few epochs later, and at the end white but for the diagonal. Beside them the "
    "least gap of a diagonal q rises at first and then falls, in leaps, by two orders of magnitude.",
)

# %% [markdown]
# *Left: the angles between the columns of $W$. Right: the nats that no diagonal $q$ could win back.*
#
# **What to see.** Random columns start nearly orthogonal and lean towards each other while they grow; then the bound
# pulls them apart. Nothing in the loss mentions orthogonality. What a $W$ turned at random would lose is computed
# further down. It is far more than is left here at the end.

# %% [markdown] tags=["notes"]
# **Speaker, 3 min.** Only the conclusion; the algebra is for reading at home.

# %% [markdown]
# ## What the eight directions look like

# %%
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

# %% tags=["hide-input"]
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

# %% [markdown]
# *What one unit of $z_j$ adds to the ink (violet more, orange less), strongest first.*
#
# **What to see.** The space is that of PCA. Each pattern resembles one principal component, up to sign and order, and
# none equals it: the |cos| printed above is below 1. Where the strengths of two components are close, a mixture of
# them is nearly as good and the columns stay nearly orthogonal, so the bound hardly says which mixture it prefers.

# %% tags=["hide-input"]
drawn = model.generate(10, seed=0)
fig = plotting.image_grid(
    np.stack([x[:10], model.reconstruct(x[:10]), drawn, model.generate(10, seed=0, sample=True)]),
    image_shape=(8, 8),
    row_labels=["digits", "through $z$", "mean, new $z$", "draw, new $z$"],
)
plotting.show(
    fig,
    "Four rows of ten images: digits from 0 to 9; the same digits rebuilt from 8 numbers each, blurred, "
    "most of them readable; images from random z, some like digits, some between two; the same with grain.",
)

# %% [markdown]
# *Eight numbers per digit, and new images from the prior (ink below 0 and above 1 cut off).*
#
# **What to see.** Eight numbers keep the outline of a digit, and lose an 8 or a 9. A new $z$ gives now a digit, now
# something between two. That is no failure of training, which has reached the best there is: to a linear model
# all digits are one Gaussian cloud, and much of the cloud is no digit. Lesson 02 bends the decoder.

# %% [markdown] tags=["notes"]
# **Speaker, 2 min.** Eigenvectors against columns: the same pictures up to sign, and no one asked for it.

# %% [markdown]
# ## Where this breaks: the posterior is not diagonal
#
# Take the optimum itself and rotate its latent space. $p(x)$ stays the same to the last digit. What becomes of
# the best bound that any diagonal $q$ can give?
#
# **Predict before you look.** None, a hundredth, or half a nat?

# %%
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

# %%
# NBVAL_CHECK_OUTPUT
rng = np.random.default_rng(0)
rotations = [np.linalg.qr(rng.normal(size=(8, 8)))[0] for _ in range(1000)]
losses = [least_gap(LinearGaussian(optimum.W @ R, optimum.b, optimum.sigma)) for R in rotations]
print(f"1,000 random rotations lose {np.mean(losses):.2f} nats on average ({min(losses):.2f} to {max(losses):.2f})")

# %%
degrees, best = np.linspace(0, 180, 91), []
for angle in np.radians(degrees):
    R = np.eye(8)
    R[np.ix_([0, 7], [0, 7])] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    best.append(ceiling - least_gap(LinearGaussian(optimum.W @ R, optimum.b, optimum.sigma)))

# %% tags=["hide-input"]
with plotting.style():
    fig, ax = plt.subplots(figsize=(9, 4.6), layout="constrained")
    ax.axhline(ceiling, color=ink)
    ax.plot(degrees, best, color=blue)
    ax.fill_between(degrees, best, ceiling, color=blue, alpha=0.18, lw=0)
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
# *The first and the last latent of the optimum turned into each other.*
#
# **What to see.** The same model of the data, and the bound sags wherever its latents are correlated in the
# posterior. Here training escapes by turning $W$ back, at no cost. With a decoder that is not linear
# there is in general no such way out: then the gap stays, and the bound trades some of $\log p(x)$ for a posterior that its
# $q$ can follow. Lesson 02 measures that gap.

# %% [markdown] tags=["notes"]
# **Speaker, 3 min.** Turn W by hand: the likelihood does not move, the bound falls.

# %% [markdown]
# ## Where this breaks: what is a nat worth?
#
# A pixel lies in $[0, 1]$; a Gaussian does not know it. And $\log p(x)$ of continuous pixels is the log of a *density*,
# a probability per unit of ink, so it can be positive, and it changes with the unit.

# %%
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
# The limit was reached and the model is still wrong: not one of its draws is a possible image. A bound tells you how
# good *this* model can get, and never that the model is good. And two numbers in nats may be compared only if they
# are densities in the same unit: these say nothing against a model of black and white pixels, whose log-probabilities
# are never positive.

# %% [markdown] tags=["notes"]
# **Speaker, 1 min.** Units of x. One sentence will do.

# %% [markdown]
# ## What you saw
#
# - $\log p(x) = \mathrm{KL} + \mathcal L$ for every $q$, checked to $10^{-12}$ by hand and to $10^{-9}$ on the library's own bound.
# - $\mathcal L$ touches $\log p(x)$ where $q$ is the posterior, and lies lower by exactly the KL elsewhere: half a nat for one
#   standard deviation of error.
# - $\mathbb E_q[\log q(z \mid x) - \log p(x, z)]$ is no KL divergence: it came out negative.
# - A linear VAE on the digits, told nothing of PCA, climbed to PCA's score and stopped within 0.05 nats of it.
# - It had to turn its latents to get there: only with orthogonal columns of $W$ can a diagonal $q$ close the gap.
#
# Still open: training cannot use the noise of (1.5), because nothing is quadratic once the networks bend. How do you
# average over random draws *and* differentiate the average? That is lesson 02.

# %% [markdown]
# ## References
#
# - D. P. Kingma and M. Welling (2013), *Auto-encoding variational Bayes*, section 2 and appendix B.
# - M. E. Tipping and C. M. Bishop (1999), *Probabilistic principal component analysis*, J. R. Statist. Soc. B 61(3).
# - J. Lucas, G. Tucker, R. Grosse and M. Norouzi (2019), *Don't blame the ELBO! A linear VAE perspective on posterior collapse*:
#   the linear VAE's optimum and its orthogonal columns.
# - E. Alpaydin and C. Kaynak (1998), *Optical recognition of handwritten digits* (UCI): the images.
