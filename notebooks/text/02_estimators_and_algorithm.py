# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 2 · The estimators and the algorithm
#
# The bound of lesson 01 is an average over draws from $q$, and $q$ is what you want to learn. How do you follow
# its gradient with a few random draws, how noisy is it, and how far below $\log p(x)$ does training end?

# %% [markdown]
# **After this lesson you can** (40 minutes as a lecture)
#
# - differentiate through a random draw, and say where that beats the score function;
# - choose between the two estimators of the bound;
# - write the training step by hand;
# - estimate $\log p(x)$ by importance weighting, and say why the bound falls short of it.
#
# **You need** lesson 01: the bound (1.2), its gap (1.3), the linear-Gaussian model (1.4).
#
# | symbol | meaning |
# |---|---|
# | $q_\phi(z \mid x)$ | Gaussian; its mean $\mu$ and scale $\sigma$ come from the **encoder**, a network of $x$ with parameters $\phi$ |
# | $p_\theta(x \mid z)$ | likelihood; its network is the **decoder**, with parameters $\theta$ |
# | $\log p(x)$ | the **evidence** of an image, in nats |
# | $\mathcal L$ | the bound, or **ELBO** (evidence lower bound) |
# | $L$, $K$, $S$ | draws per image: in an estimator, inside a logarithm, in a measurement |
# | $d$ | dimensions of $z$ |

# %%
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from matplotlib.colors import LinearSegmentedColormap
from scipy.stats import norm

from cvae_tf import VAE, datasets, distributions, estimators, evaluation, networks, oracle, plotting

# %% [markdown]
# ## A draw that can be differentiated
#
# The bound is $\mathcal L = \mathbb E_{q_\phi(z \mid x)}[f(z)]$ with $f(z) = \log p(x, z) - \log q_\phi(z \mid x)$.
# You want its gradient in $\phi$. But $\phi$ also decides which $z$ you draw. If you just average the gradient of $f$ over
# draws, you leave out how the draws would move.
#
# The remedy is **reparameterisation**. Draw noise $\varepsilon$ from a distribution without parameters, and
# compute $z$ by a function $g_\phi$ that contains the parameters ($\odot$ multiplies element by element):
#
# $$
# z = g_\phi(\varepsilon, x), \quad \varepsilon \sim p(\varepsilon);
# \qquad \text{Gaussian: } z = \mu + \sigma \odot \varepsilon, \quad \varepsilon \sim \mathcal N(0, I)
# \tag{2.1}
# $$
#
# Then $\mathbb E_q[f(z)] = \mathbb E_{p(\varepsilon)}[f(g_\phi(\varepsilon, x))]$. The noise does not depend on $\phi$, so
# you may now average the gradients of the draws. Each passes through $g_\phi$ to $\mu$ and $\sigma$.

# %% tags=["hide-input", "deck:draws"]
epsilon = np.random.default_rng(0).standard_normal(30)
with plotting.style():
    fig, axes = plt.subplots(1, 2, figsize=(12, 4), sharex=True, layout="constrained")
    for ax, (mu, sigma) in zip(axes, [(0.0, 1.0), (1.5, 0.4)], strict=True):
        z = mu + sigma * epsilon  # (2.1)
        ax.plot([epsilon, z], [0, 1], color="#999999", lw=1)
        ax.plot(epsilon, 0 * epsilon, "o", color="#222222")
        ax.plot(z, 0 * z + 1, "s", color=plotting.colour("q"))
        ax.set(yticks=[0, 1], yticklabels=[r"$\varepsilon$", r"$z$"], ylim=(-0.2, 1.2))
        ax.set(xlabel="value (prior standard deviations)", title=rf"$\mu = {mu}$, $\sigma = {sigma}$")
alt = (
    "Two panels. Thirty draws of epsilon on the lower line are joined to thirty values of z on the "
    "upper one. Left, mean 0 and scale 1: the lines are vertical. Right, mean 1.5 and scale 0.4: "
    "the lines converge to the right."
)
plotting.show(fig, alt)

# %% [markdown]
# *The same thirty draws of $\varepsilon$ (below), carried to two different $q$ (above).* When $\mu$ or $\sigma$ changes,
# every $z$ moves smoothly, with $\partial z / \partial \mu = 1$ and $\partial z / \partial \sigma = \varepsilon$.
#
# **Check yourself.** A colleague gives $\mu$ and $\sigma$ to NumPy's random generator, and differentiates
# $\log p(x, z)$ in $\mu$. What does she get?
#
# <details class="answer"><summary>Answer</summary>
#
# Zero: $\mu$ enters through $z$ only, and her $z$ is a plain number.
#
# </details>

# %% [markdown]
# ## Two estimators of the bound
#
# Equation (1.2) writes the bound in two ways, and each gives an estimator of the *SGVB* kind (stochastic gradient
# variational Bayes). Estimator A averages the whole integrand over $L$ draws:
#
# $$
# \widetilde{\mathcal L}^{A} = \frac1L \sum_{l=1}^{L}
# \big[\log p(x, z_l) - \log q(z_l \mid x)\big], \qquad z_l = g_\phi(\varepsilon_l, x)
# \tag{2.2}
# $$
#
# Estimator B computes the divergence by a formula, and averages only the reconstruction:
#
# $$
# \widetilde{\mathcal L}^{B} = -\,\mathrm{KL}\big(q(z \mid x) \,\|\, p(z)\big)
# + \frac1L \sum_{l=1}^{L} \log p(x \mid z_l)
# \tag{2.3}
# $$
#
# Both have the mean $\mathcal L$.

# %% [markdown]
# Compare them in the linear-Gaussian model of lesson 01, where everything is known. With one latent dimension and two
# pixels, its true posterior is $\mathcal N(m, s^2)$. The function returns what (2.2) and (2.3) average.

# %% tags=["deck:integrands"]
truth = oracle.LinearGaussian(W=[[1.0], [0.8]], b=[0.0, 0.0], sigma=1.0)
x = np.array([[1.2, -0.3]])
m, C = truth.posterior(x)
m, s = m[0], np.sqrt(np.diag(C))  # p(z|x) = N(m, s²)


def integrands(truth, mu, sigma, epsilon):
    """What (2.2) and (2.3) average, for the image x. epsilon: [L, d]. Returns A, B: [L], nats."""
    z = mu + sigma * epsilon  # (2.1)
    log_p_x_given_z = norm.logpdf(x, z @ truth.W.T + truth.b, truth.sigma).sum(-1)
    log_p_z, log_q = norm.logpdf(z).sum(-1), norm.logpdf(z, mu, sigma).sum(-1)
    A = log_p_x_given_z + log_p_z - log_q
    B = log_p_x_given_z - oracle.kl_diagonal(mu, sigma, 0.0, 1.0)
    return A, B


# %% [markdown]
# **Predict before you look.** Put $q$ exactly on the true posterior. B has replaced some random terms by a
# formula. Which estimator has the smaller variance?

# %% tags=["hide-output", "deck:at_posterior"]
# NBVAL_CHECK_OUTPUT
epsilon = np.random.default_rng(0).standard_normal((1000, 1))
A, B = integrands(truth, m, s, epsilon)
print(f"log p(x)           {truth.log_evidence(x)[0]:.4f} nats")
for name, values in (("A", A), ("B", B)):
    print(f"{name}: mean {values.mean():.4f}, standard deviation {values.std():.4f} nats")
assert A.std() < 1e-12 < 0.1 < B.std()

# %% [markdown]
# <details class="answer"><summary>Answer</summary>
#
# A. Its variance is zero. By Bayes' rule $\log p(x, z) - \log p(z \mid x) = \log p(x)$ for every $z$, so A's integrand
# is constant there. In A, the noise of $\log p(z) - \log q$ cancels that of $\log p(x \mid z)$. B has removed
# the former, so the latter stays.
#
# </details>
#
# Now move $q$ away from the true posterior: first its mean, then its scale. A weighted sum over eight fixed
# values of $\varepsilon$ (Gauss–Hermite quadrature) gives the variances exactly.

# %%
nodes, weights = np.polynomial.hermite_e.hermegauss(8)
weights = weights / weights.sum()  # E[f(ε)] = Σ weights · f(nodes), exact up to degree 15


def variance(values):
    """Over ε, exactly. values: [8, ...]."""
    return np.tensordot(weights, (values - np.tensordot(weights, values, 1)) ** 2, 1)


shifts, factors = np.linspace(-3, 3, 61), np.geomspace(0.1, 3, 61)
shifted = [[variance(v) for v in integrands(truth, m + t * s, s, nodes[:, None])] for t in shifts]
scaled = [[variance(v) for v in integrands(truth, m, c * s, nodes[:, None])] for c in factors]

# %% tags=["hide-input", "deck:variances"]
names, unit = ("SGVB-A", "SGVB-B"), "variance of one draw (nats²)"
with plotting.style():
    fig, axes = plt.subplots(1, 2, figsize=(14, 5.2), layout="constrained")
plotting.line_chart(
    shifts, dict(zip(names, np.transpose(shifted), strict=True)), ax=axes[0], ylabel=unit,
    xlabel="mean of q: distance from the true one (in its σ)", title="mean moved",
)  # fmt: skip
plotting.line_chart(
    factors, dict(zip(names, np.transpose(scaled), strict=True)), ax=axes[1], ylabel=unit,
    xlabel="σ of q / true σ (log scale)", xscale="log", yscale="log", title="scale changed (log scale)",
)  # fmt: skip
axes[1].set_ylim(1e-3, 1e2)
alt = (
    "Two panels of variances. Left, against the shift of q's mean: A is a parabola that touches zero "
    "at no shift; B stays above zero there but grows more slowly. Right, against q's relative scale: "
    "A dips to zero at 1; B is lower for narrow and for wide q."
)
plotting.show(fig, alt)

# %% [markdown]
# *Near the true posterior A has the smaller variance. Farther away B has it.*
#
# Kingma & Welling (2013) say that B typically has the smaller variance. That depends on the decoder. In this model B has it
# for 94 % of randomly chosen $q$, but with a tenth of the noise on $x$ for 33 % only (fold below). The library uses B
# by default.
#
# **Check yourself.** If the KL divergence to your prior has no formula, which estimator can you use?
#
# <details class="answer"><summary>Answer</summary>
#
# A. It needs only $\log p(x \mid z)$, $\log p(z)$ and $\log q(z \mid x)$ at the draws.
#
# </details>
#
# Practice: [exercise 2.2](exercises/02_estimators_and_algorithm/02_estimators_and_algorithm.ipynb).

# %% [markdown] tags=["fold"]
# ### How often does B have the smaller variance?
#
# Four hundred $q$ are drawn at random, the mean within three true standard deviations, the scale within a factor of three.
# The decoders go from vague (much noise on $x$) to sharp.

# %% tags=["fold", "deck:calmer"]
# NBVAL_CHECK_OUTPUT
rng = np.random.default_rng(1)
moves = np.stack([rng.uniform(-3, 3, 400), 3 ** rng.uniform(-1, 1, 400)], -1)
for noise in (2.0, 1.0, 0.5, 0.1):
    decoder = oracle.LinearGaussian(truth.W, truth.b, noise)
    centre, C = decoder.posterior(x)
    scale = np.sqrt(C[0])
    pairs = [integrands(decoder, centre[0] + t * scale, c * scale, nodes[:, None]) for t, c in moves]
    calmer = np.mean([variance(B) < variance(A) for A, B in pairs])
    print(f"noise on x {noise:3.1f}, true posterior's σ {scale[0]:.2f}: B calmer for {calmer:4.0%}")

# %% [markdown] tags=["fold"]
# The sharper the decoder, the more of the noise comes from $\log p(x \mid z)$. B keeps all of this noise; in A the
# other terms cancel a part of it.

# %% [markdown]
# ## The score function, and its price
#
# A second way to the gradient, the *score function* estimator (or REINFORCE), leaves the draw alone and differentiates the
# density of $q$. With $f$ as above, and since $\nabla q = q\, \nabla \log q$,
#
# $$
# \begin{aligned}
# &\nabla_\phi\, \mathbb E_q[f(z)] = \mathbb E_q\big[f(z)\, \nabla_\phi \log q(z \mid x)\big], \\
# &\text{because } \mathbb E_q[\nabla_\phi f(z)] = -\,\mathbb E_q[\nabla_\phi \log q(z \mid x)] = 0 .
# \end{aligned}
# $$
#
# $\nabla_\phi \log q$ is called the *score*. Since its mean is zero, you may subtract a constant from $f$,
# a *baseline*, without changing the mean of the estimate. Estimators that differentiate through (2.1) are called *pathwise*.
# The code has two of each kind. All four have the same mean.

# %% tags=["deck:gradients"]
def gradients(truth, x, mu, sigma, epsilon):
    """∇_μ of the bound by four estimators. epsilon: [L, d]. Returns {name: [L, d]}."""
    z = mu + sigma * epsilon
    residual = x - truth.b - z @ truth.W.T
    slope = residual @ truth.W / truth.sigma**2  # ∇_z log p(x|z)
    f = norm.logpdf(residual, 0.0, truth.sigma).sum(-1)
    f = f + norm.logpdf(z).sum(-1) - norm.logpdf(z, mu, sigma).sum(-1)
    score = epsilon / sigma  # ∇_μ log q(z)
    return {
        "score function": f[:, None] * score,
        "score function, baseline": (f - truth.bound(mu, sigma, x))[:, None] * score,
        "pathwise, A": slope - z,  # ∇_z log p(x, z): through (2.1), log q(z) does not feel μ
        "pathwise, B": slope - mu,
    }


# %% [markdown]
# **Predict before you look.** The score function estimator uses the *value* of $f$, but not its slope. What happens to its
# noise when $z$ has 32 dimensions instead of one?
#
# Left: the small model. (Another unit of $x$ would move the plain score function's curve.) Right: one digit under the best
# linear-Gaussian model with $d$ latent dimensions. There $q$ has the true scales, but its mean is off by $t$ of them in
# every dimension. The ratio, variance over squared gradient length, is the number of draws that make noise and signal
# equal.

# %%
digits = datasets.digits().all.x.astype("float64")


def noise_to_signal(d, t, num_draws=20_000):
    fitted = oracle.ppca(digits, d)
    mean, C = fitted.posterior(digits[:1])
    scale = np.sqrt(np.diag(C))
    epsilon = np.random.default_rng(d).standard_normal((num_draws, d))
    found = gradients(fitted, digits[:1], mean[0] + t * scale, scale, epsilon)
    return {k: (g * scale).var(0).sum() / (d * t**2) for k, g in found.items()}  # in units of σ: length² is d t²


dimensions, errors_of_q = (1, 8, 32), 2.0 ** np.arange(-4, 2)
ratios = {d: [noise_to_signal(d, t) for t in errors_of_q] for d in dimensions}
exact = [gradients(truth, x, m + t * s, s, nodes[:, None]) for t in shifts]
means = np.array([[weights @ g[:, 0] for g in found.values()] for found in exact])
assert np.allclose(means, means[:, :1])  # four estimators, one mean

# %% tags=["hide-input", "hide-output", "deck:ratios"]
kinds = list(exact[0])
of = {d: {k: np.array([ratio[k] for ratio in ratios[d]]) for k in kinds} for d in dimensions}
with plotting.style():
    fig, axes = plt.subplots(1, 2, figsize=(15, 6), layout="constrained")
plotting.line_chart(
    shifts, {k: [variance(found[k])[0] for found in exact] for k in kinds}, yscale="log", ax=axes[0],
    xlabel="mean of q − true mean (true σ)", ylabel="variance of one draw", title="small model, d = 1",
)  # fmt: skip
axes[0].set_ylim(0.1, 1e4)
_, brown, olive, violet = (line.lines[0].get_color() for line in axes[0].containers)
with plotting.style():
    ax = axes[1]
    for d in dimensions:
        ax.plot(errors_of_q, of[d][kinds[1]], "s--", color=brown)
        ax.text(2.2, of[d][kinds[1]][-1], f"d = {d}", color=brown, va="center", fontsize=14)
    ax.plot(errors_of_q, of[32][kinds[2]], "^:", color=olive)
    ax.plot(errors_of_q, of[32][kinds[3]], "D-.", color=violet)
    ax.text(0.085, 400, "pathwise, any d", color=violet, va="center")
    ax.text(2.0, 48, "score function, baseline", color=brown, va="center", ha="right")
    ax.set(xscale="log", yscale="log", title="a digit", xlim=(0.055, 3.2), ylim=(0.15, 600))
    ax.set(xlabel="t: error of q's mean, in every dimension (true σ)", ylabel="variance / squared length")
    ax.set_xticks(errors_of_q, ["1/16", "1/8", "1/4", "1/2", "1", "2"])
    ax.set_yticks([1, 10, 100], ["1", "10", "100"])
    ax.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
    ax.grid(axis="y")
alt = (
    "Two panels with logarithmic variances. Left: the pathwise variances do not change with the shift of q; that of the "
    "score function with a baseline dips to zero at no shift and rises above them on either side; that of the plain one lies "
    "far above. Right, against the error t: the pathwise ratios fall as one over t squared; those of the score function "
    "are level lines, the higher the more dimensions there are."
)
plotting.show(fig, alt)

# %% tags=["hide-input", "hide-output", "deck:ratio_table"]
print("variance / squared length          " + "".join(f"{f't = {t:g}':>12}" for t in errors_of_q[2:]))
for k, d in ((kinds[1], 1), (kinds[1], 8), (kinds[1], 32), (kinds[2], 32), (kinds[3], 32)):
    print(f"{k:26}d = {d:<5}" + "".join(f"{value:12.1f}" for value in of[d][k][2:]))
    expected = d + 1 if k == kinds[1] else 1 / errors_of_q**2
    assert k == kinds[3] or np.allclose(of[d][k], expected, rtol=0.1)
for d in dimensions:
    print(f"1/√(d + 1) with d = {d:<2}: {1 / np.sqrt(d + 1):.2f}")
with_baseline, of_A = (np.array([variance(found[k])[0] for found in exact]) for k in kinds[1:3])
print(f"small model: the score function with a baseline is quieter than pathwise A up to t = "
      f"{abs(shifts[with_baseline < of_A]).max():.1f}")  # fmt: skip

# %% [markdown]
# <details class="answer"><summary>Answer</summary>
#
# With a baseline the ratio grows like $d + 1$: from 2.0 at $d = 1$ to 32.8 at $d = 32$. Every dimension adds noise to $f$,
# and each coordinate's gradient is multiplied by all of $f$. (With the true scales, $f$ is a constant minus
# $t \sum_j \varepsilon_j$.) The pathwise ratios do not grow with $d$.
#
# Pathwise A's ratio is $1/t^2$: seeing a small error of $q$ takes many draws. So the score function with a baseline is
# the quieter one for $t < 1/\sqrt{d + 1}$. That is up to 0.71 in one dimension, but only up to 0.17 in 32.
#
# </details>
#
# Training can use one draw per image, $L = 1$, because each step also averages over a minibatch (Kingma & Welling 2013 took
# $M = 100$).
#
# **Check yourself.** If $z$ is one of ten classes, which estimators still work?
#
# <details class="answer"><summary>Answer</summary>
#
# The score function ones, which need no slope of $f$. Lesson 08 comes back to this.
#
# </details>

# %% [markdown]
# ## The divergence in closed form
#
# Between diagonal Gaussians with means $\mu, m$ and standard deviations $\sigma, s$, B's divergence is
#
# $$
# \mathrm{KL}\big(\mathcal N(\mu, \sigma^2) \,\|\, \mathcal N(m, s^2)\big)
# = \frac12 \sum_j \left[ \frac{\sigma_j^2}{s_j^2} + \frac{(\mu_j - m_j)^2}{s_j^2} - 1
# + \log s_j^2 - \log \sigma_j^2 \right]
# \tag{2.4}
# $$
#
# It is a sum over the dimensions of $z$; a mean would be $d$ times too small.
#
# If you estimate the divergence from draws instead, its gradient has to pass through $z$. The second fold below shows a bug
# that cuts this path.
#
# **Check yourself.** In two dimensions, what is the divergence from $q = \mathcal N((1, 1), I)$ to $\mathcal N(0, I)$?
#
# <details class="answer"><summary>Answer</summary>
#
# One nat. Each dimension contributes $\tfrac12(1 + 1 - 1 + 0 - 0) = \tfrac12$.
#
# </details>

# %% [markdown] tags=["fold"]
# ### Does the formula agree with draws?
#
# The formula stands for $\mathbb E_q[\log q - \log p]$, here an average ± its standard error.

# %% tags=["fold"]
# NBVAL_CHECK_OUTPUT
def kl(mu, sigma, m, s):
    terms = sigma**2 / s**2 + (mu - m) ** 2 / s**2 - 1 + np.log(s**2) - np.log(sigma**2)
    return 0.5 * terms.sum(-1)  # (2.4)


rng = np.random.default_rng(2)
print(" d   closed form   100,000 draws (nats)")
for d in (1, 2, 8):
    (mu_q, mu_p), (sd_q, sd_p) = rng.normal(size=(2, d)), rng.uniform(0.5, 1.5, (2, d))
    z = mu_q + sd_q * rng.standard_normal((100_000, d))
    log_ratio = (norm.logpdf(z, mu_q, sd_q) - norm.logpdf(z, mu_p, sd_p)).sum(-1)
    sampled, closed = evaluation.estimate(log_ratio), kl(mu_q, sd_q, mu_p, sd_p)
    print(f"{d:2d}{closed:14.4f}   {sampled.mean:.4f} ± {sampled.standard_error:.4f}")
    assert abs(closed - sampled.mean) < 4 * sampled.standard_error

# %% [markdown] tags=["fold"]
# ### A bug that trains: the detached z
#
# Someone estimates $\log q(z \mid x) - \log p(z)$ with `z` *detached* from the gradient. The printed value is right.
# With $z$ held fixed, $\log p(z)$ does not depend on $\phi$. Only $\nabla_\phi \log q(z \mid x)$ at a draw from $q$ is
# left, and its mean is $\int \nabla_\phi\, q\, \mathrm dz = \nabla_\phi \int q\, \mathrm dz = \nabla_\phi 1 = 0$.
#
# Detaching $\phi$ inside $\log q$ instead, while $z$ keeps its path, drops only that zero-mean part, so it is unbiased
# (Roeder et al. 2017).

# %% tags=["fold"]
def kl_gradient(kind, mean=1.5, scale=0.6, num_draws=20_000):
    """∇ of the sampled KL(q ‖ N(0, 1)) with respect to μ and σ: [L, 2]."""
    cut, normal = tf.stop_gradient, distributions.tfd.Normal
    epsilon = np.random.default_rng(3).standard_normal(num_draws)
    mu, sigma = tf.fill([num_draws], np.float64(mean)), tf.fill([num_draws], np.float64(scale))
    with tf.GradientTape() as tape:
        tape.watch([mu, sigma])
        z = mu + sigma * epsilon  # (2.1)
        z = cut(z) if kind == "z detached" else z
        q = normal(cut(mu), cut(sigma)) if kind == "φ detached in log q" else normal(mu, sigma)
        value = q.log_prob(z) - normal(np.float64(0), np.float64(1)).log_prob(z)
        if kind == "closed form":
            value = 0.5 * (sigma**2 + mu**2 - 1 - tf.math.log(sigma**2))  # (2.4)
    return np.stack(tape.gradient(value, [mu, sigma]), -1)


# %% tags=["fold"]
# NBVAL_CHECK_OUTPUT
print("                            ∂KL/∂μ             ∂KL/∂σ")
for where, mean, scale in (("far from the prior", 1.5, 0.6), ("at the prior", 0.0, 1.0)):
    print(f"q {where}: N({mean}, {scale}²)")
    for kind in ("closed form", "nothing detached", "φ detached in log q", "z detached"):
        by_mu, by_sigma = (evaluation.estimate(g) for g in kl_gradient(kind, mean, scale).T)
        row = "".join(f"{e.mean + 0.0:9.3f} ± {e.standard_error:.3f} " for e in (by_mu, by_sigma))
        print(f"{kind:22s}{row}")
        expected = (0.0, 0.0) if kind == "z detached" else (mean, scale - 1 / scale)
        for e, value in zip((by_mu, by_sigma), expected, strict=True):
            assert abs(e.mean - value) < 4 * e.standard_error + 1e-9

# %% [markdown] tags=["fold"]
# With $z$ detached, the mean gradient is zero within its error: on average the encoder is told nothing about the prior.
# Detaching $\phi$ keeps the mean. Far from the prior it is noisier than detaching nothing. Where $q$ equals the prior it has
# no noise, because $\log q - \log p$ is flat in $z$. That is Roeder et al.'s (2017) argument: the noise vanishes
# where $q$ is right. Practice: [exercise 2.3](exercises/02_estimators_and_algorithm/02_estimators_and_algorithm.ipynb).

# %% [markdown]
# ## The algorithm
#
# Auto-encoding variational Bayes (AEVB) repeats one step until convergence: take $M$ of the $N$ images, draw noise for each,
# and follow with any first-order method the gradient of
#
# $$
# \frac NM \sum_{i=1}^{M} \widetilde{\mathcal L}\big(\theta, \phi; x_i, \varepsilon_i\big)
# \tag{2.5}
# $$
#
# This estimate is unbiased for the bound of the whole data set. The code follows $1/N$ of it, the mean per image, so that
# the step size need not depend on $N$.

# %% [markdown]
# Here is the training step by hand. `posterior_net` is the encoder; `softplus` makes its $\sigma$ positive. `likelihood_net`
# is the decoder. For each binary pixel it gives a *logit*, whose sigmoid is the probability of ink.

# %% tags=["deck:step"]
class ByHand(VAE):
    def train_step(self, data):
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)  # [M, 64]
        epsilon = self.training_noise(tf.shape(x)[0])[0]  # [M, d], one draw per example
        with tf.GradientTape() as tape:
            mu, raw = tf.split(self.posterior_net(x), 2, axis=-1)
            sigma = 1e-4 + tf.nn.softplus(raw)
            z = mu + sigma * epsilon  # (2.1)
            kl = 0.5 * tf.reduce_sum(sigma**2 + mu**2 - 1 - tf.math.log(sigma**2), -1)  # (2.4)
            logits = self.likelihood_net(z)
            log_likelihood = tf.reduce_sum(x * logits - tf.nn.softplus(logits), -1)  # Bernoulli
            loss = -tf.reduce_mean(-kl + log_likelihood)  # (2.3), and (2.5) over N
        variables = self.trainable_variables
        gradient = tape.gradient(loss, variables)
        self.optimizer.apply_gradients(zip(gradient, variables, strict=True))
        return {"elbo": -loss}


# %% [markdown]
# The data are the 8×8 digits. A Bernoulli likelihood holds for *binary* pixels only, so a grey value is read as the
# probability of ink. Training uses twenty binary drawings of each image, so that the model learns the grey value;
# validation and test use one each.

# %% tags=["deck:data"]
# NBVAL_CHECK_OUTPUT
grey, fixed = datasets.digits(seed=0), datasets.digits(binarise="fixed", seed=0)  # one split
x_train = datasets.binarise(np.tile(grey.train.x, (20, 1)), seed=0)
x_validation, x_test = fixed.validation.x, fixed.test.x
print("training", x_train.shape, "validation", x_validation.shape, "test", x_test.shape)
print("values", np.unique(x_train))


def make(model_class, seed=0, pixels=64, width=128):
    """A model of the digits; one seed, one set of initial weights, whatever the class."""
    keras.utils.set_random_seed(seed)
    family = distributions.Bernoulli()
    nets = networks.mlps(VAE, x=pixels, z=2, hidden=(width, width), family=family)
    return model_class(**nets, family=family, estimator=estimators.SGVBB(num_samples=1), seed=seed)


# %% [markdown]
# **Check yourself.** What changes in plain gradient descent if you follow (2.5) itself and not the mean?
#
# <details class="answer"><summary>Answer</summary>
#
# Every step is $N$ times as long.
#
# </details>
#
# Practice: [exercise 2.4](exercises/02_estimators_and_algorithm/02_estimators_and_algorithm.ipynb).

# %% [markdown] tags=["fold"]
# ### Is this the library's own step?
#
# Two models begin with the same weights and get the same noise. One takes the library's steps, the other yours. They use
# plain gradient descent, because Adam would hide most of a wrong factor on the loss.
#
# The library's `VAE` lists its factors. The arguments of each are its parents in the graph:
#
# ```python
# def prior(self):         return self.standard_normal()                      # p(z)
# def posterior(self, x):  return self.latent(apply(self.posterior_net, x))   # q(z|x)
# def likelihood(self, z): return self.family(apply(self.likelihood_net, z))  # p(x|z)
# def factors(self, x):                                                       # (1.2)
#     return self.posterior(x), self.prior(), lambda z: self.likelihood(z).log_prob(x)
# ```

# %% tags=["fold"]
# NBVAL_CHECK_OUTPUT
models = library, yours = make(VAE), make(ByHand)
start = before = library.get_weights()
for model in models:
    model.compile(keras.optimizers.SGD(1e-2))
for steps in (1, 19):
    for model in models:
        model.fit(x_train[:128], batch_size=128, epochs=steps, verbose=0)  # an epoch is a step
    after = library.get_weights()
    for ours, hand in zip(after, yours.get_weights(), strict=True):
        np.testing.assert_allclose(hand, ours, rtol=0, atol=1e-6)
    moved = max(np.abs(a - b).max() for a, b in zip(before, after, strict=True)) > 1e-3
    print(f"after {int(yours.optimizer.iterations):2d}: parameters moved: {moved}, and agree")
    before = after

# %% [markdown] tags=["fold"]
# All parameters agree: the library's step is yours, plus metrics and sample weights. A step that does nothing moves
# no weight:

# %% tags=["fold"]
# NBVAL_CHECK_OUTPUT
step = {"train_step": lambda self, data: {"elbo": tf.constant(0.0)}}
still = make(type("Still", (VAE,), step))
still.compile()
still.fit(x_train[:128], batch_size=32, verbose=0)
print("moved:", any((a != b).any() for a, b in zip(start, still.get_weights(), strict=True)))

# %% [markdown]
# ## A VAE of the digits
#
# Two latent dimensions let you look at all of $z$. The decoder is not linear, so neither $\log p(x)$ nor
# the true posterior has a formula.

# %% tags=["deck:curves"]
def train(model, x=x_train, held_out=x_validation, epochs=25, batch_size=128):
    steps = epochs * -(-len(x) // batch_size)
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(3e-3, steps)))
    return model.fit(
        x, batch_size=batch_size, epochs=epochs, validation_data=(held_out,), verbose=0
    ).history


vae = make(VAE)
history = train(vae)
plotting.show(
    plotting.bound_curves(history, ylabel="bound (nats per image)"),
    "The bounds of training and validation images rise steeply, then slowly, and are flat at the end.",
)

# %% [markdown]
# Both curves are nearly flat at the end. Compare the bound with $\log p(x)$ of a model without $z$, in which pixels are
# independent:

# %% tags=["hide-input", "deck:gain"]
pixel = np.clip(x_train.mean(0), 1e-4, 1 - 1e-4)  # the baseline: each pixel by itself, no z
alone = (np.log(pixel) * x_test + np.log1p(-pixel) * (1 - x_test)).sum(-1)
bound = vae.bound(x_test).value.numpy()
gain = evaluation.estimate(bound - alone)
for name in ("elbo", "val_elbo"):
    curve = history[name]
    print(f"{name:8s} {curve[-1]:.2f} nats, of which the last five epochs {curve[-1] - curve[-6]:+.2f}")
    assert abs(curve[-1] - curve[-6]) < 0.2  # flat; six seeds gave 0.00–0.07
print("test, bound                          ", evaluation.estimate(bound))
print("test, independent pixels: log p(x)   ", evaluation.estimate(alone))
print(f"gain of the VAE, image by image        {gain.mean:.2f} ± {gain.standard_error:.2f} nats")
assert gain.mean > 2.5  # six seeds gave 3.0–3.2

# %% [markdown]
# The bound is higher by 3.10 ± 0.23 nats per test image. What has $z$ come to mean? To see it, train the same kind of
# model on the 28 × 28 pixels of lesson 00.

# %%
mnist, mnist_grey = datasets.mnist_10k(binarise="fixed"), datasets.mnist_10k()
sharp = make(VAE, pixels=784, width=256)
train(sharp, mnist.train.x, mnist.validation.x, epochs=30)
means = sharp.posterior(mnist.test.x).mean().numpy()

# %% tags=["hide-input", "deck:map"]
fig = plotting.latent_scatter(means, mnist.test.labels, prior=True, title="means of q(z|x), 2,000 test images")
alt = (
    "A scatter plot of the latent means, coloured by digit: 0 and 1 form patches of their own; 3, 5 and 8 overlap, "
    "and so do 2 and 6, and 4, 7 and 9. Most points, but not all of the 0, the 1 and the 7, lie inside the circle that holds 95 percent of the prior."
)
plotting.show(fig, alt)

# %% [markdown]
# *Images that look alike lie together. The model never saw the labels that colour this map.* Now decode a grid of $z$,
# whose cells all hold the same mass of the prior.

# %% tags=["hide-input", "thumbnail", "deck:manifold"]
plotting.show(
    plotting.latent_manifold(sharp, size=15, title="mean of p(x|z)"),
    "A 15 by 15 grid of decoded images; neighbours change gradually from one digit into another.",
)

# %% tags=["hide-input", "deck:samples"]
rows = [np.flatnonzero(mnist.test.labels == k)[0] for k in range(10)]
samples = sharp.generate(20, seed=0).reshape(2, 10, 784)
shown = [*samples, mnist_grey.test.x[rows], mnist.test.x[rows], sharp.reconstruct(mnist.test.x[rows])]
names = ["sample", "sample", "grey", "binary x", "rebuilt"]
fig = plotting.image_grid(np.stack(shown), image_shape=(28, 28), row_labels=names)
alt = (
    "Five rows of ten images: two rows of samples, some of them between two digits; ten "
    "test images in grey, the same drawn in black and white, and their smoother reconstructions, some of another digit."
)
plotting.show(fig, alt)

# %% [markdown]
# *Two rows of samples (means of $p(x \mid z)$ at $z \sim p(z)$), then ten test images: grey, binary, rebuilt.* Some
# samples stand between two digits, and some reconstructions show another digit.
#
# **Check yourself.** Why are samples of a black and white model grey?
#
# <details class="answer"><summary>Answer</summary>
#
# They show the probability of ink at each pixel. A draw of $x$ would be black and white.
#
# </details>

# %% [markdown] tags=["fold"]
# ### The detached z in training
#
# The same model gets the bug of the earlier fold. Both rows show the fifth epoch. The second run ends there, with a
# decayed learning rate.

# %% tags=["fold"]
class Detached(VAE):
    def objective(self, x, *, noise):
        q, p, log_likelihood = self.factors(x)
        z = estimators.reparameterise(q, noise)
        held = tf.stop_gradient(z)
        kl = q.log_prob(held) - p.log_prob(held)  # the right value, the wrong gradient
        return tf.reduce_mean(kl - log_likelihood(z), 0), self.bound(x, noise=noise)


cut = train(make(Detached), epochs=5)
print("validation, epoch 5   reconstruction       KL    bound (nats per image)")
for name, run in (("z attached", history), ("z detached", cut)):
    terms = [run[f"val_{term}"][4] for term in ("reconstruction", "kl", "elbo")]
    print(f"{name:22s}" + "{:14.2f}{:9.2f}{:9.2f}".format(*terms))
# six seeds gave: KL 7–103 against 2.3–2.7, bound −127…−30 against −24
assert cut["val_kl"][4] > 2 * history["val_kl"][4]
assert cut["val_elbo"][4] < history["val_elbo"][4] - 2

# %% [markdown] tags=["fold"]
# Nothing holds the KL down: it is 14.86 nats, not 2.67. The reconstruction has not even gained.

# %% [markdown]
# ## From the bound to log p(x)
#
# To judge a *model* you want $\log p(x)$ itself. With $K$ draws *inside* the logarithm the bound is tighter (Burda et al.
# 2015):
#
# $$
# \mathcal L_K = \mathbb E_{z_1, \dots, z_K \sim q}\left[
# \log \frac1K \sum_{k=1}^{K} \frac{p(x, z_k)}{q(z_k \mid x)} \right],
# \qquad \mathcal L_1 = \mathcal L, \quad \mathcal L_K \le \mathcal L_{K+1} \le \log p(x)
# \tag{2.6}
# $$
#
# The fraction is the *importance weight* of $z_k$. Its mean under $q$ is $\int p(x, z)\, \mathrm dz = p(x)$. The logarithm
# is concave, so by Jensen's inequality $\mathcal L_K$ lies below $\log p(x)$. An average of more weights varies less, so
# less is lost.

# %% [markdown] tags=["fold"]
# ### Do the library's three estimators follow their equations?
#
# The library and the equations get the same eight draws.

# %% tags=["fold"]
# NBVAL_CHECK_OUTPUT
q, p, log_likelihood = vae.factors(x_test)
mu, sigma = q.mean().numpy(), q.stddev().numpy()
epsilon = np.random.default_rng(3).standard_normal((8, len(x_test), 2)).astype("float32")
z = mu + sigma * epsilon
log_p_x_given_z = log_likelihood(z).numpy().astype("float64")
log_w = log_p_x_given_z + norm.logpdf(z).sum(-1) - norm.logpdf(z, mu, sigma).sum(-1)
by_hand = {
    "SGVBA": log_w.mean(0),  # (2.2)
    "SGVBB": log_p_x_given_z.mean(0) - kl(mu, sigma, 0.0, 1.0),  # (2.3)
    "ImportanceWeighted": np.log(np.exp(log_w).mean(0)),  # (2.6)
}
for name, values in by_hand.items():
    own = getattr(estimators, name)(8)(q, p, log_likelihood, epsilon).value
    print(f"{name:20s}agrees for each of {len(x_test)} images:", np.allclose(own, values, 0, 1e-3))
    assert np.allclose(own, values, rtol=0, atol=1e-3)  # nats, in float32

# %% [markdown]
# ### More draws, a higher bound
#
# **Predict before you look.** Take 256 draws per image, and cut the *same* weights into groups of $K$. Does the estimate of
# $\mathcal L_K$ rise with $K$ on average over the images, or for each of the 300?

# %% tags=["hide-output", "deck:rises"]
# NBVAL_CHECK_OUTPUT
curve = evaluation.importance_weighted_curve(vae, x_test, sizes=(1, 2, 4, 8, 16, 32, 64, 128, 256))
sizes, values = list(curve), np.stack(list(curve.values()))  # [9], [9, 300]
rises = np.diff(values, axis=0)
print(f"{rises.size} steps, none of them down:", bool((rises > -1e-4).all()))
assert (rises > -1e-4).all()  # 1e-4 nats: float32's rounding, nothing else

# %% [markdown]
# <details class="answer"><summary>Answer</summary>
#
# For each of them. Every group is two smaller ones put together, and Jensen's inequality holds for any set of weights.
#
# </details>
#
# In two dimensions a sum over a fine grid of $z$ gives
# $\int p(x \mid z)\, p(z)\, \mathrm dz$, with no $q$ and no draws.

# %% tags=["deck:grid"]
side = np.linspace(-5, 5, 301)
grid = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)  # [90601, 2]


def log_likelihoods(z):
    """log p(x|z) of every test image at every z: [300, len(z)], nats."""
    logits = vae.likelihood_net(tf.cast(z, tf.float32)).numpy()
    return x_test @ logits.T - np.logaddexp(0, logits).sum(-1)


log_joint = log_likelihoods(grid) + norm.logpdf(grid).sum(-1).astype("float32")
by_grid = tf.reduce_logsumexp(log_joint, 1).numpy() + 2 * np.log(side[1] - side[0])
coarse = log_joint.reshape(-1, 301, 301)[:, ::2, ::2]  # a quarter of the points will do as well
coarse = tf.reduce_logsumexp(coarse, [1, 2]).numpy() + 2 * np.log(side[2] - side[0])
assert abs((coarse - by_grid).mean()) < 1e-3

# %% tags=["deck:truth"]
log_p = vae.log_likelihood(x_test, num_samples=5000)
print("log p(x), by the grid        ", evaluation.estimate(by_grid))
print("log p(x), (2.6) with S = 5000", evaluation.estimate(log_p))
off = evaluation.estimate(log_p - by_grid)
print(f"difference, image by image    {off.mean:+.4f} ± {off.standard_error:.4f} nats")
short = np.sort(by_grid - log_p)[::-1]
print(f"of which the worst ten images {-short[:10].sum() / 300:+.4f}")
assert -0.1 < off.mean < 0.02  # six seeds gave −0.02

# %% [markdown]
# With $S = 5000$ the estimate (2.6) lies 0.02 ± 0.01 nats below the grid. The worst ten of the 300 images account for the
# whole difference.

# %% tags=["hide-input", "deck:climb"]
missing = [evaluation.estimate(by_grid - value) for value in values]
errors = [e.standard_error for e in missing]
with plotting.style():
    fig, axes = plt.subplots(1, 2, figsize=(14, 5.2), layout="constrained")
plotting.line_chart(
    sizes, {"$L_K$": values.mean(1)}, errors={"$L_K$": errors}, xscale="log", ax=axes[0],
    limits={"log p(x)": by_grid.mean()}, xlabel="K (log scale)", ylabel="nats per image",
)  # fmt: skip
plotting.line_chart(
    sizes, {"log p(x) − $L_K$": [e.mean for e in missing]}, errors={"log p(x) − $L_K$": errors}, ax=axes[1],
    xscale="log", yscale="log", xlabel="K (log scale)", ylabel="nats per image (log scale)",
)  # fmt: skip
alt = (
    "Left: L_K rises with K from 1 to 256 and flattens a little below the dotted line of log p(x). "
    "Right, both axes logarithmic: what is missing to log p(x) falls, ever more slowly."
)
plotting.show(fig, alt)

# %% tags=["deck:short"]
for K, e in list(zip(sizes, missing, strict=True))[::2]:
    print(f"K = {K:3d}: {e.mean:7.4f} ± {e.standard_error:.4f} nats short of log p(x)")
# six seeds gave 0.44–0.51 at K = 1, 0.02–0.06 at K = 256
assert missing[0].mean > 0.2 and missing[-1].mean < 0.25 * missing[0].mean

# %% [markdown]
# *$\mathcal L_K$ climbs towards the grid's $\log p(x)$.* The bound itself, $K = 1$, is 0.47 nats short; $K = 256$ is 0.06
# nats short. The error bars are those of this difference.
#
# **Check yourself.** The $\mathcal L_{64}$ of one model is 0.2 nats above the $\mathcal L_1$ of another. Is the first model
# better?
#
# <details class="answer"><summary>Answer</summary>
#
# You cannot tell. Here the same model is 0.47 nats short with $K = 1$ and 0.08 with $K = 64$.
#
# </details>
#
# Practice: [exercise 2.5](exercises/02_estimators_and_algorithm/02_estimators_and_algorithm.ipynb).

# %% [markdown]
# ## What the bound misses, and why
#
# By (1.3) the bound misses $\mathrm{KL}(q \,\|\, p(z \mid x))$. This gap has two causes. The diagonal Gaussians may not
# contain the true posterior. And the encoder is *amortised*: one network serves all images, and may miss the best Gaussian
# of an image. To separate the causes, optimise $\mu$ and $\sigma$ for each image alone, and call the result $q^\star$:
#
# $$
# \log p(x) - \mathcal L[q]
# = \underbrace{\log p(x) - \mathcal L[q^\star]}_{\text{approximation: the family is too small}}
# + \underbrace{\mathcal L[q^\star] - \mathcal L[q]}_{\text{amortisation: the network misses } q^\star}
# \tag{2.7}
# $$
#
# The second part is the **amortisation gap** (Cremer et al. 2018). A posterior can have several modes, so each search has
# four starts, and the best counts.

# %% tags=["deck:gap"]
gap = evaluation.gap(vae, x_test[:100], steps=200, num_samples=100)  # log p(x): the grid's
lost = {
    "approximation": by_grid[:100] - gap.best_bound,
    "amortisation": gap.amortisation,
}
lost["whole gap"] = lost["approximation"] + lost["amortisation"]
ledger = {name: evaluation.estimate(nats) for name, nats in lost.items()}
for name, e in ledger.items():
    share = e.mean / ledger["whole gap"].mean
    print(f"{name:14s}{e.mean:7.3f} ± {e.standard_error:.3f} nats per image, {share:4.0%}")
medians = {name: np.median(nats) for name, nats in lost.items()}
print("median:", ", ".join(f"{name} {nats:.3f}" for name, nats in medians.items()))
network_more = (lost["amortisation"] > lost["approximation"]).mean()
print(f"amortisation is the larger part for {network_more:.0%} of the images")
# six seeds gave means 0.08–0.12 and 0.25–0.30, medians 0.06–0.09 and 0.07–0.10, shares 49–71 %
assert all(e.mean > 3 * e.standard_error for e in ledger.values())

# %% tags=["hide-input", "deck:dots"]
least, most = 0.01, 12  # nats; what is lost is estimated, and may come out at or below zero
with plotting.style():
    fig, ax = plt.subplots(figsize=(8.6, 7.6), layout="constrained")
    ax.plot([least, most], [least, most], color="#999999", lw=1.5)
    dots = [np.clip(lost[name], least, None) for name in ("approximation", "amortisation")]
    ax.plot(*dots, "o", color=plotting.colour("q"), alpha=0.6, clip_on=False)
    means = [ledger[name].mean for name in ("approximation", "amortisation")]
    errors = [ledger[name].standard_error for name in ("approximation", "amortisation")]
    ax.errorbar(*means, errors[1], errors[0], fmt="D", color="#222222", ms=10, capsize=5)
    ax.annotate("mean", means, (18, 10), textcoords="offset points", bbox={"fc": "white", "ec": "none", "pad": 1})
    ax.set(xscale="log", yscale="log", xlim=(least, most), ylim=(least, most), aspect="equal")
    ax.set(xlabel="approximation (nats): the family", ylabel="amortisation (nats): the network")
    ax.set_xticks([0.01, 0.1, 1, 10], ["≤ 0.01", "0.1", "1", "10"])
    ax.set_yticks([0.1, 1, 10], ["0.1", "1", "10"])
    ax.text(0.013, 6.5, "the network costs more")
    ax.text(0.75, 0.013, "the family costs more")
alt = (
    "A dot for each of 100 test images on two logarithmic axes, approximation across and amortisation up, with the "
    "diagonal where both are equal. The dots lie on both sides of it; one lies far above, at six nats of amortisation. "
    "A diamond marks the mean, above the diagonal."
)
plotting.show(fig, alt)

# %% [markdown]
# *One dot for each of 100 test images.* On average amortisation is the larger part, 0.249 ± 0.067 against
# 0.115 ± 0.013 nats. For a typical image the two are alike: the medians are 0.088 and 0.086. The excess comes from a few
# images, one of which loses six nats by amortisation.
#
# **Predict before you look.** Which shape of the true posterior makes every diagonal Gaussian fail? What do you see where
# only the network fails?

# %% tags=["hide-input", "hide-output", "deck:shapes"]
family, network = lost["approximation"], lost["amortisation"]
picks = np.argmax(family - abs(network)), np.argmax(network - family), np.argmin(abs(family + network))
q = vae.posterior(x_test[:100])
shades = LinearSegmentedColormap.from_list("true posterior", ["white", plotting.colour("true posterior")])
with plotting.style():
    fig, axes = plt.subplots(1, 3, figsize=(14, 5.2), layout="constrained")
for ax, i, name in zip(axes, picks, ("approximation", "amortisation", "small gap"), strict=True):
    plotting.density_with_gaussians(
        side, side, np.exp(log_joint[i] - by_grid[i]).reshape(301, 301), ax=ax, legend=i == picks[0],
        gaussians={"q": (q.mean()[i], q.stddev()[i]), "q*": (gap.best_mean[i], gap.best_scale[i])},
        title=f"{name}: {family[i]:.2f} + {network[i]:.2f}".replace("-", "−"),
    )  # fmt: skip
    ax.images[0].set_cmap(shades)
axes[1].set_ylim(axes[1].get_ylim()[0], axes[1].get_ylim()[1] + 0.5)  # its second patch, whole
alt = (
    "Three true posteriors as green densities, each with the ellipse of the network's q, dashed, and "
    "of the image's best Gaussian, solid. Left: the density has two patches; q covers one, q* spans both "
    "and the space between. Middle: a faint and a dense patch; q lies between, q* on the dense one. Right: both cover it."
)
plotting.show(fig, alt)

# %% [markdown]
# <details class="answer"><summary>Answer</summary>
#
# Green is the true posterior of one image; the ellipses are two standard deviations. Titles give approximation
# + amortisation in nats, estimated from draws, so a small gap may come out negative. A tilted, bent or divided posterior is
# out of reach for every upright ellipse (left); only a richer family helps. Where $q^\star$ lies on the posterior and $q$
# beside it (middle), a better encoder would help.
#
# </details>
#
# **Check yourself.** With the decoder fixed, which part can a larger encoder shrink?
#
# <details class="answer"><summary>Answer</summary>
#
# The amortisation gap. Neither $\log p(x)$ nor $q^\star$ depends on the encoder.
#
# </details>
#
# Practice: [exercises 2.1 and 2.6](exercises/02_estimators_and_algorithm/02_estimators_and_algorithm.ipynb).

# %% [markdown]
# ## Where this breaks
#
# **A tight $\mathcal L_K$ does not mean a good $q$.** Replace the encoder by one that ignores the image, $q := p(z)$. Its
# weights are just $p(x \mid z)$. Predict before you look: how far below $\log p(x)$ are its $\mathcal L_1$ and its
# $\mathcal L_{5000}$?

# %% tags=["hide-output", "deck:blind"]
log_w = log_likelihoods(np.random.default_rng(4).standard_normal((5000, 2)))  # [300, 5000]
blind = log_w.mean(1), tf.reduce_logsumexp(log_w, 1).numpy() - np.log(5000)
print("nats from log p(x):        K = 1               K = 5000")
for name, pair in (("the encoder's q", (values[0], log_p)), ("blind, q := p(z)", blind)):
    one, many = (evaluation.estimate(value - by_grid) for value in pair)
    print(
        f"{name:18s}{one.mean:10.3f} ± {one.standard_error:.3f}"
        f"{many.mean:12.4f} ± {many.standard_error:.4f}"
    )
# the blind q; six seeds gave −14…−13 and −0.02…0.01
assert one.mean < -10 and many.mean > -0.1

# %% [markdown]
# <details class="answer"><summary>Answer</summary>
#
# Its bound is 13.1 nats short. Yet its $\mathcal L_{5000}$ is as near to $\log p(x)$ as the encoder's, within the errors.
#
# </details>
#
# So a tight $\mathcal L_K$ says nothing about the encoder. It says nothing about the model either, since a large enough
# $K$ makes the bound of any model tight. What speaks for a model is a *high* $\mathcal L_K$.
#
# **In many dimensions the estimate fails without a warning.** Linear-Gaussian models of the digits have a known $\log
# p(x)$. Estimate it by (2.6) with draws from the prior, and from a $q$ in the right place but half as wide again as the
# true posterior. Predict before you look: how far off is each in 32 dimensions, and how large an error does the spread of
# its weights *report*?

# %%
def importance(fitted, x, mu, sigma, epsilon):
    """log p(x) by (2.6), and the standard error that the weights themselves suggest. Nats."""
    z = mu + sigma * epsilon
    log_w = norm.logpdf(x, z @ fitted.W.T + fitted.b, fitted.sigma).sum(-1)
    log_w = log_w + norm.logpdf(z).sum(-1) - norm.logpdf(z, mu, sigma).sum(-1)
    w = np.exp(log_w - log_w.max())
    return log_w.max() + np.log(w.mean()), w.std() / w.mean() / np.sqrt(len(w))


# %% tags=["hide-input", "hide-output", "deck:warning"]
print(" d   q            log p − estimate (30 images)   error reported")
for d in (2, 8, 32):
    fitted, images, off = oracle.ppca(digits, d), digits[:30], {}
    (centres, C), truths = fitted.posterior(images), fitted.log_evidence(images)
    rng = np.random.default_rng(d)
    for name, k, scale in (("prior", 0.0, 1.0), ("1.5 × σ", 1.0, 1.5 * np.sqrt(np.diag(C)))):
        noise = rng.standard_normal((30, 5000, d))
        rows = zip(images, k * centres, noise, strict=True)
        found = np.array([importance(fitted, x, mu, scale, epsilon) for x, mu, epsilon in rows])
        e = off[name] = evaluation.estimate(truths - found[:, 0])
        print(f"{d:2d}   {name:8s}{e.mean:12.3f} ± {e.standard_error:.3f}{np.median(found[:, 1]):24.2f}")
assert off["prior"].mean > 50 and off["1.5 × σ"].mean < 2  # d = 32, printed last

# %% [markdown]
# <details class="answer"><summary>Answer</summary>
#
# In two dimensions the prior will do. In 32 it is 181 nats too low, and reports an error of 1. The wide $q$ is still
# close.
#
# </details>
#
# A good $q$ is what makes the estimate trustworthy. Report $S$ and where the draws came from, and check that the estimate no
# longer rises when you double $S$.
#
# **Check yourself.** Why is a reported error of 1 an alarm?
#
# <details class="answer"><summary>Answer</summary>
#
# It is the most that the formula gives: one weight holds nearly all of the sum. It cannot see weights never drawn.
#
# </details>

# %% [markdown]
# ## What you saw
#
# - The noise of the pathwise gradient, relative to its length, does not grow with the latent dimensions. That of the score
#   function does.
# - Estimator A has variance zero at the true posterior. Elsewhere it depends on the decoder whether A or B is less noisy.
# - $\mathcal L_K$ rises with $K$ for every image, towards the grid's $\log p(x)$. On average, the bound missed more by
#   amortisation than by the family of $q$, owing to a few images.

# %% [markdown]
# ## References
#
# - D. P. Kingma, M. Welling, *Auto-Encoding Variational Bayes*, 2013: (2.1)–(2.5).
# - D. J. Rezende, S. Mohamed, D. Wierstra, *Stochastic Backpropagation and Approximate Inference in Deep Generative
#   Models*, 2014: the same idea, at the same time.
# - R. J. Williams, *Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement Learning*, 1992:
#   the score function.
# - Y. Burda, R. Grosse, R. Salakhutdinov, *Importance Weighted Autoencoders*, 2015: (2.6).
# - G. Roeder, Y. Wu, D. Duvenaud, *Sticking the Landing*, 2017: detaching $\phi$ in $\log q$.
# - C. Cremer, X. Li, D. Duvenaud, *Inference Suboptimality in Variational Autoencoders*, 2018: (2.7).
