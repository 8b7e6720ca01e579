# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercises 9 · Uncertain futures
#
# Six tasks on lesson 09, thirteen points. In each, put your code in the place of the line that raises an error,
# then run the check below it: it prints your value beside the true one, or says what is wrong. No task needs
# another. NumPy is enough.

# %%
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
from scipy.fft import dct, idct
from scipy.stats import norm

from cvae_tf.exercises import compare, require

# %% [markdown]
# ## 9.1 How much of a motion five numbers keep (2 points)
#
# A motion of $T$ frames along one axis is described by its first $k$ cosine coefficients. The transform with
# `norm="ortho"` is a rotation, so it keeps squared lengths. Return the share of the motion's squared length that
# the first $k$ coefficients keep. (`dct` and `idct` of SciPy are imported.)


# %% tags=["task:kept"]
def kept(motion, k):
    """motion: [T] pixels. Returns a number between 0 and 1."""
    ### BEGIN SOLUTION
    coefficients = dct(motion, norm="ortho")
    return np.sum(coefficients[:k] ** 2) / np.sum(coefficients**2)
    ### END SOLUTION


# %% tags=["check:kept:2"]
def by_rebuilding(motion, k):
    """Through the motion that is rebuilt from k coefficients."""
    frames = np.arange(len(motion))
    waves = np.cos(np.pi * (frames[:, None] + 0.5) * np.arange(k) / len(frames))
    waves = waves / np.linalg.norm(waves, axis=0)
    rebuilt = waves @ (waves.T @ motion)
    return rebuilt @ rebuilt / (motion @ motion), np.abs(waves.T @ motion).sum()


time = np.linspace(0, 1, 30)
motion = 6 * time**2 - 2 * time + 0.5 * np.sin(9 * time)
share, lengths = by_rebuilding(motion, 5)
every = by_rebuilding(motion, 30)[1]
slips = {
    "Squared lengths add up in a rotation, lengths do not.": lengths / every,
    "That is the share that is lost.": 1 - share,
    'Without norm="ortho" the transform is no rotation.': np.sum(dct(motion)[:5] ** 2)
    / np.sum(dct(motion) ** 2),
}
compare("kept by five", kept(motion, 5), share, slips=slips)
### BEGIN HIDDEN TESTS
other = np.cumsum(np.random.default_rng(0).normal(size=20))
compare("kept by two of another motion", kept(other, 2), by_rebuilding(other, 2)[0])
### END HIDDEN TESTS


# %% [markdown]
# ## 9.2 What one Gaussian makes of two futures (3 points)
#
# A ball goes right, to $+1$, with probability $\rho$ and left, to $-1$, otherwise; around each end there is noise of
# standard deviation $\sigma$. A regressor describes all that by one Gaussian with the mean and the variance of $y$, which is the
# best one. Return its expected negative log-likelihood, $-\mathbb E[\log \mathcal N(y; m, v)]$.


# %% tags=["task:blur"]
def nats_of_one_gaussian(rho, sigma):
    """Numbers. Returns nats per example."""
    ### BEGIN SOLUTION
    variance = sigma**2 + 4 * rho * (1 - rho)
    return 0.5 * np.log(2 * np.pi * np.e * variance)
    ### END SOLUTION


# %% tags=["check:blur:3"]
def on_a_grid(rho, sigma):
    """The expectation over a fine grid of y, and the moments of y on it."""
    y = np.linspace(-1 - 10 * sigma, 1 + 10 * sigma, 200_001)
    p = (rho * norm.pdf(y, 1, sigma) + (1 - rho) * norm.pdf(y, -1, sigma)) * (y[1] - y[0])
    m = p @ y
    scale = np.sqrt(p @ (y - m) ** 2)
    return lambda mean, sd: -(p @ norm.logpdf(y, mean, sd)), m, scale


nats, m, scale = on_a_grid(0.7, 0.2)
slips = {
    "σ is the noise around each end. The spread of the ends is variance as well.": 0.5
    * np.log(2 * np.pi * np.e * 0.2**2),
    "A variance and a standard deviation are mixed up.": 0.5 * np.log(2 * np.pi * np.e * scale),
    "The mean is not in the middle unless ρ is ½.": nats(0.0, np.sqrt(0.2**2 + 1)),
    "In expectation the squared error over 2v is ½, and that counts too.": 0.5
    * np.log(2 * np.pi * scale**2),
}
compare(
    "nats of the Gaussian", nats_of_one_gaussian(0.7, 0.2), nats(m, scale), unit="nats", slips=slips
)
### BEGIN HIDDEN TESTS
nats, m, scale = on_a_grid(0.5, 0.1)
compare("for a fair junction", nats_of_one_gaussian(0.5, 0.1), nats(m, scale), unit="nats")
### END HIDDEN TESTS


# %% [markdown]
# ## 9.3 The bound, for a batch and several draws (3 points)
#
# Write the estimate of (9.1). The decoder's means `f` at $L$ draws are given; the likelihood is
# $\mathcal N(y; f, \sigma^2 I)$ over all coefficients, $q$ is $\mathcal N(\mu, s^2)$, the prior $\mathcal N(0, I)$.


# %% tags=["task:bound"]
def bound(y, f, sigma, mu, s):
    """y: [B, D]; f: [L, B, D]; sigma: a number; mu, s: [B, d]. Returns [B], nats."""
    ### BEGIN SOLUTION
    log_p = -0.5 * ((y - f) / sigma) ** 2 - np.log(sigma) - 0.5 * np.log(2 * np.pi)
    divergence = 0.5 * (s**2 + mu**2 - 1) - np.log(s)
    return log_p.sum(-1).mean(0) - divergence.sum(-1)
    ### END SOLUTION


# %% tags=["check:bound:3"]
def the_terms(y, f, sigma, mu, s):
    """By SciPy's densities and, for the divergence, a grid."""
    log_p = norm.logpdf(y, f, sigma)
    grid = np.linspace(-9, 9, 4001)[:, None, None] * s + mu
    density = norm.pdf(grid, mu, s) * (18 / 4000) * s
    divergence = (density * (norm.logpdf(grid, mu, s) - norm.logpdf(grid))).sum(0)
    return log_p, divergence


def a_case(seed, L=3, B=4, D=6, d=2):
    rng = np.random.default_rng(seed)
    f = rng.normal(size=(L, B, D))
    return rng.normal(size=(B, D)), f, 0.6, rng.normal(size=(B, d)), rng.uniform(0.3, 1.2, (B, d))


case = a_case(0)
log_p, divergence = the_terms(*case)
slips = {
    "The coefficients' log-densities add up; you average them.": log_p.mean((0, 2))
    - divergence.sum(-1),
    "The divergence adds up over the dimensions of z.": log_p.sum(-1).mean(0) - divergence.mean(-1),
    "The divergence is subtracted.": log_p.sum(-1).mean(0) + divergence.sum(-1),
    "The draws are averaged, not summed.": log_p.sum((0, 2)) - divergence.sum(-1),
}
true = log_p.sum(-1).mean(0) - divergence.sum(-1)
compare("the bound", bound(*case), true, unit="nats", slips=slips)
### BEGIN HIDDEN TESTS
case = a_case(1, L=1, B=2, D=3, d=1)
log_p, divergence = the_terms(*case)
compare("the bound of one draw", bound(*case), log_p[0].sum(-1) - divergence[:, 0], unit="nats")
### END HIDDEN TESTS


# %% [markdown]
# ## 9.4 The least distance (2 points)
#
# For each example, take the Euclidean distance from what happened to the *nearest* of the first $S$ draws; then average
# over the examples. Return that for each $S$ in `sizes`.


# %% tags=["task:least"]
def least(draws, truth, sizes):
    """draws: [S_max, N, D]; truth: [N, D]. Returns one distance per size, pixels."""
    ### BEGIN SOLUTION
    distances = np.linalg.norm(draws - truth, axis=-1)
    return np.array([distances[:S].min(0).mean() for S in sizes])
    ### END SOLUTION


# %% tags=["check:least:2"]
rng = np.random.default_rng(2)
draws, truth, sizes = rng.normal(size=(20, 5, 3)), rng.normal(size=(5, 3)), [1, 4, 20]
each = [
    [sum((a - b) ** 2 for a, b in zip(draw[n], truth[n], strict=True)) ** 0.5 for draw in draws]
    for n in range(5)
]
slips = {
    "Average over the examples after the minimum: one draw need not be the nearest for all.": [
        min(np.mean([row[k] for row in each]) for k in range(S)) for S in sizes
    ],
    "Pixels are asked for, not squared pixels.": [
        np.mean([min(row[:S]) ** 2 for row in each]) for S in sizes
    ],
    "The nearest of the draws is asked for, not their average distance.": [
        np.mean([np.mean(row[:S]) for row in each]) for S in sizes
    ],
}
true = [np.mean([min(row[:S]) for row in each]) for S in sizes]
compare("the least distances", least(draws, truth, sizes), true, unit="pixels", slips=slips)
### BEGIN HIDDEN TESTS
near = np.zeros((3, 2, 2)) + np.array([3.0, 1.0, 2.0])[:, None, None]
found = least(near, np.zeros((2, 2)), [1, 2, 3])
compare("on a line", found, np.sqrt(2) * np.array([3, 1, 1]))
### END HIDDEN TESTS


# %% [markdown]
# ## 9.5 Find the bug: a prophet (1 point)
#
# A program forecasts with hardly any error. `encode` is $q$'s mean and scale, `decode` the likelihood's mean, `noise` is
# standard Gaussian, `[S, N, d]`. Write `forecast` so that it does what can be done when the future has not happened yet. The prior is
# $\mathcal N(0, I)$.


# %%
def encode(x, y):
    return y - x, 0.1


def decode(x, z):
    return x + z


def prophet(x, y, noise):
    """x, y: [N, d]. Returns draws of the future, [S, N, d]."""
    mu, s = encode(x, y)
    return decode(x, mu + s * noise)


# %% tags=["task:forecast"]
def forecast(x, y, noise):
    """As above, from what is known before the future has happened."""
    ### BEGIN SOLUTION
    return decode(x, noise)
    ### END SOLUTION


# %% tags=["check:forecast:1"]
rng = np.random.default_rng(3)
x, y, noise = rng.normal(size=(4, 2)), rng.normal(size=(4, 2)), rng.normal(size=(500, 4, 2))
found = np.asarray(forecast(x, y, noise), "float64")
require(found.shape == (500, 4, 2), f"Expected draws of shape (500, 4, 2); got {found.shape}.")
elsewhere = np.asarray(forecast(x, y[::-1] + 5, noise), "float64")
require(
    np.allclose(found, elsewhere),
    "Another future, and your forecast changes: y still gets in, by way of q.",
)
slips = {
    "The mean of z is one future, again and again: draw z.": 0.0,
    "q's scale is not the prior's.": 0.1,
}
compare("spread of the draws", found.std(0).mean(), noise.std(0).mean(), slips=slips, atol=1e-6)
### BEGIN HIDDEN TESTS
compare("the draws", forecast(x[:1], y[:1], noise[:3, :1]), x[:1] + noise[:3, :1])
### END HIDDEN TESTS


# %% [markdown]
# ## 9.6 Predict, then measure: how many draws for a rare way? (2 points)
#
# A way is taken with probability $\rho$. How many independent draws from a perfect model do you need until one of them
# takes it with probability at least `sure`? Predict the number for $\rho = 0.05$ and 95 % before you compute it. Return
# the least such whole number.


# %% tags=["task:rare"]
def draws_needed(rho, sure):
    """Numbers in (0, 1). Returns a whole number."""
    ### BEGIN SOLUTION
    return int(np.ceil(np.log(1 - sure) / np.log(1 - rho)))
    ### END SOLUTION


# %% tags=["check:rare:2"]
def by_counting(rho, sure):
    missed, S = 1.0, 0
    while missed > 1 - sure:
        missed, S = missed * (1 - rho), S + 1
    return S


slips = {
    "1/ρ is the expected wait; by then 37 % have still seen nothing.": 20,
    "One too few: round up.": by_counting(0.05, 0.95) - 1,
    "That is sure/ρ: the chances of several draws do not add up, they may all miss.": 19,
    "The draws that miss count: (1 − ρ) to the S-th.": round(np.log(0.05) / np.log(0.05)),
}
compare("S for ρ = 0.05, 95 %", draws_needed(0.05, 0.95), by_counting(0.05, 0.95), slips=slips)
hits = np.random.default_rng(4).random((20_000, by_counting(0.05, 0.95))) < 0.05
print(f"measured: {hits.any(1).mean():.3f} of 20,000 trials saw the way")
### BEGIN HIDDEN TESTS
compare("S for ρ = 0.3, 99 %", draws_needed(0.3, 0.99), by_counting(0.3, 0.99))
compare("S for ρ = 0.5, 50 %", draws_needed(0.5, 0.4), 1)
### END HIDDEN TESTS
