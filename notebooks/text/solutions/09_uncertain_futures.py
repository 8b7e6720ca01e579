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
# Seven tasks on lesson 09, sixteen points. In each, put your code in the place of the line that raises an error,
# then run the check below it: it prints your value beside the true one, or says what is wrong. No task needs
# another. NumPy is enough.

# %%
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
from scipy.fft import dct, idct
from scipy.stats import norm

from cvae_tf import exercises  # remembers what NumPy was like

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
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_kept(kept, seed):
    from scipy.fft import dct

    rng = np.random.default_rng(seed)

    def coefficients(motion):  # by waves of length one
        frames = np.arange(len(motion))
        waves = np.cos(np.pi * (frames[:, None] + 0.5) * frames / len(frames))
        return motion @ (waves / np.linalg.norm(waves, axis=0))

    def true(motion, k):
        first = coefficients(motion)[:k]
        return first @ first / (motion @ motion)

    def lengths(motion, k):
        return np.abs(coefficients(motion)[:k]).sum() / np.abs(coefficients(motion)).sum()

    def plain(motion, k):
        return np.sum(dct(motion)[:k] ** 2) / np.sum(dct(motion) ** 2)

    def share(start, end):
        return lambda motion, k: (
            np.sum(coefficients(motion)[start(k) : end(k)] ** 2) / (motion @ motion)
        )

    slips = {
        "Squared lengths add up in a rotation, lengths do not.": lengths,
        "That is the share that is lost.": lambda *c: 1 - true(*c),
        'Without norm="ortho" the transform is no rotation.': plain,
        "That is the share of the length. The squared length is asked for.": lambda *c: np.sqrt(
            true(*c)
        ),
        "That is the squared length itself, no share of it.": lambda m, k: true(m, k) * (m @ m),
        "You divide by the number of coefficients: a share of a sum is meant.": lambda m, k: (
            true(m, k) * len(m) / k
        ),
        "That is the k-th coefficient's share alone.": share(lambda k: k - 1, lambda k: k),
        "The first coefficient is left out.": share(lambda k: 1, lambda k: k),
        "One coefficient too many is kept.": share(lambda k: 0, lambda k: k + 1),
        "One coefficient too few is kept.": share(lambda k: 0, lambda k: k - 1),
        "The first k frames are not the first k coefficients.": lambda m, k: (
            m[:k] @ m[:k] / (m @ m)
        ),
        "The coefficients are added with their signs: square them.": lambda m, k: (
            sum(coefficients(m)[:k]) / sum(coefficients(m))
        ),
        "The mean is taken off in yours: it is the first coefficient, and belongs to the motion.": (
            lambda m, k: true(m - np.mean(m), k)
        ),
        "You sum first and square then.": lambda m, k: (
            sum(coefficients(m)[:k]) ** 2 / sum(coefficients(m)) ** 2
        ),
    }
    simpler = {
        "all coefficients are kept, k = T": lambda m, k: (m, len(m)),
        "one coefficient is kept, k = 1": lambda m, k: (m, 1),
        "the motion stands still": lambda m, k: (np.full_like(m, m[0]), k),
        "the motion has no mean": lambda m, k: (m - np.mean(m), k),
    }
    unchanged = {
        "the motion is twice as large": lambda m, k: (2 * m, k),
        "the motion is turned over": lambda m, k: (-m, k),
        "the motion runs backwards": lambda m, k: (m[::-1].copy(), k),
    }

    def a_case(T, k):
        return np.cumsum(rng.normal(size=T)) + rng.normal(), k

    motion, _ = a_case(9, 1)
    edges = {
        "all coefficients are kept": (motion, 9),
        "one coefficient is kept": (motion, 1),
        "the motion stands still": (np.full(7, 2.5), 3),
        "the motion has one frame": (np.array([1.7]), 1),
        "the motion has no mean": (motion - motion.mean(), 3),
        "the motion is tiny": (1e-6 * motion, 4),
    }
    cases = [a_case(*size) for size in ((30, 5), (20, 2), (12, 7), (8, 3), (15, 4))]
    _e.agree(
        "the share kept", kept, true, cases, slips=slips, edges=edges, simpler=simpler,
        unchanged=unchanged,
    )  # fmt: skip


_check_kept(kept, seed=0)
### BEGIN HIDDEN TESTS
_check_kept(kept, seed=100)
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
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_blur(nats_of_one_gaussian, seed):
    from scipy.stats import norm

    rng = np.random.default_rng(seed)
    nodes, weights = np.polynomial.hermite_e.hermegauss(7)  # exact for quadratics
    weights = weights / weights.sum()

    def mean(rho, sigma, f):  # of f(y) over the two futures and the noise
        right, left = (weights @ f(end + sigma * nodes) for end in (1, -1))
        return rho * right + (1 - rho) * left

    def moments(rho, sigma):
        m = mean(rho, sigma, lambda y: y)
        return m, np.sqrt(mean(rho, sigma, lambda y: (y - m) ** 2))

    def nats(m, scale):  # of the Gaussian with this mean and scale
        return lambda rho, sigma: -mean(rho, sigma, lambda y: norm.logpdf(y, *(
            f(rho, sigma) for f in (m, scale))))

    def centre(rho, sigma):
        return moments(rho, sigma)[0]

    def scale(rho, sigma):
        return moments(rho, sigma)[1]

    true = nats(centre, scale)

    def entropy(variance):
        return lambda rho, sigma: 0.5 * np.log(2 * np.pi * np.e * variance(rho, sigma))

    slips = {
        "σ is the noise around each end. The spread of the ends is variance as well.": entropy(
            lambda rho, sigma: sigma**2
        ),
        "A variance and a standard deviation are mixed up: the logarithm has the variance.": entropy(
            scale
        ),
        "The mean is not in the middle unless ρ is ½.": nats(
            lambda rho, sigma: 0.0, lambda rho, sigma: np.sqrt(sigma**2 + 1)
        ),
        "In expectation the squared error over 2v is ½, and that counts too.": lambda *c: (
            true(*c) - 0.5
        ),
        "σ stands where σ² belongs.": entropy(
            lambda rho, sigma: scale(rho, sigma) ** 2 - sigma**2 + sigma
        ),
        "The ends lie 2 apart: their variance is 4 ρ (1 − ρ).": entropy(
            lambda rho, sigma: sigma**2 + rho * (1 - rho)
        ),
        "The ends lie 2 apart, and distances are squared: their variance is 4 ρ (1 − ρ).": entropy(
            lambda rho, sigma: sigma**2 + 2 * rho * (1 - rho)
        ),
        "That is log p itself. The negative log-likelihood is asked for.": lambda *c: -true(*c),
        "That is the Gaussian of one end alone.": nats(
            lambda rho, sigma: 1.0, lambda rho, sigma: sigma
        ),
        "The noise around each end is missing.": entropy(lambda rho, sigma: 4 * rho * (1 - rho)),
        "2π is missing from the Gaussian's normaliser.": lambda *c: true(*c) - np.log(2 * np.pi) / 2,
        "That is the variance. The nats of its Gaussian are asked for.": lambda *c: scale(*c) ** 2,
        "Those are bits; the course counts in nats.": lambda *c: true(*c) / np.log(2),
    }
    simpler = {
        "ρ is ½": lambda rho, sigma: (0.5, sigma),
        "there is one future, ρ = 1": lambda rho, sigma: (1.0, sigma),
        "there is one future, ρ = 0": lambda rho, sigma: (0.0, sigma),
        "σ is 1": lambda rho, sigma: (rho, 1.0),
        "σ is 1 and there is one future": lambda rho, sigma: (1.0, 1.0),
        "there is next to no noise": lambda rho, sigma: (rho, 1e-9),
        "the variance is 1": lambda rho, sigma: (rho, abs(2 * rho - 1)),
    }
    unchanged = {"right and left change places": lambda rho, sigma: (1 - rho, sigma)}
    edges = {
        "the junction is fair": (0.5, 0.1),
        "nobody goes left": (1.0, 0.3),
        "nobody goes right": (0.0, 0.3),
        "hardly anybody goes right": (1e-9, 0.3),
        "the noise is large": (0.3, 50.0),
        "the noise is small": (0.3, 1e-4),
    }
    cases = [(rng.uniform(0.05, 0.95), rng.uniform(0.05, 1.5)) for _ in range(8)]
    with np.errstate(all="ignore"):
        _e.agree(
            "nats of the Gaussian", nats_of_one_gaussian, true, cases, unit="nats", slips=slips,
            edges=edges, simpler=simpler, unchanged=unchanged,
        )  # fmt: skip


_check_blur(nats_of_one_gaussian, seed=0)
### BEGIN HIDDEN TESTS
_check_blur(nats_of_one_gaussian, seed=100)
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
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_bound(bound, seed):
    from scipy.stats import norm

    rng = np.random.default_rng(seed)
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)  # exact for quadratics
    weights = weights / weights.sum()

    def log_p(y, f, sigma, *rest):  # [L, B, D]
        return norm.logpdf(y, f, sigma)

    def cost(y, f, sigma, mu, s):  # [B, d], each dimension by quadrature
        z = mu[..., None] + s[..., None] * nodes
        return (norm.logpdf(z, mu[..., None], s[..., None]) - norm.logpdf(z)) @ weights

    def true(*case):
        L = len(case[1])
        fit = sum(np.sum(draw, -1) for draw in log_p(*case)) / L
        return fit - np.sum(cost(*case), -1)

    def with_fit(reduce):
        return lambda *case: reduce(log_p(*case)) - np.sum(cost(*case), -1)

    def with_cost(reduce):
        return lambda *case: true(*case) + np.sum(cost(*case), -1) - reduce(cost(*case))

    slips = {
        "The coefficients' log-densities add up; you average them.": with_fit(
            lambda p: p.mean((0, 2))
        ),
        "The draws are averaged, not summed.": with_fit(lambda p: p.sum((0, 2))),
        "The draws are summed and the coefficients averaged: it is the other way round.": with_fit(
            lambda p: p.sum(0).mean(-1)
        ),
        "The draws are averaged as densities in yours. (9.1) averages the logarithms.": with_fit(
            lambda p: np.logaddexp.reduce(p.sum(-1), 0) - np.log(len(p))
        ),
        "You use the first draw alone.": with_fit(lambda p: p[0].sum(-1)),
        "The reconstruction is one number for the batch in yours; each example has its own.": (
            with_fit(lambda p: p.sum((1, 2)).mean())
        ),
        "The divergence adds up over the dimensions of z.": with_cost(lambda k: k.mean(-1)),
        "The divergence is subtracted.": with_cost(lambda k: -k.sum(-1)),
        "The divergence is one number for the batch in yours; each example has its own.": with_cost(
            np.sum
        ),
        "The divergence is averaged over the batch in yours; each example has its own.": with_cost(
            lambda k: k.sum(-1).mean()
        ),
        "That is the reconstruction alone.": with_cost(lambda k: 0.0),
        "σ is a standard deviation; you took it for a variance.": lambda y, f, sigma, mu, s: true(
            y, f, np.sqrt(sigma), mu, s
        ),
        "s is a standard deviation; you took it for a variance.": lambda y, f, sigma, mu, s: true(
            y, f, sigma, mu, np.sqrt(s)
        ),
        "log σ stands once for every coefficient.": lambda y, f, sigma, mu, s: (
            true(y, f, sigma, mu, s) + (y.shape[-1] - 1) * np.log(sigma)
        ),
        "½ log 2π stands once for every coefficient.": lambda y, *rest: (
            true(y, *rest) + (y.shape[-1] - 1) * np.log(2 * np.pi) / 2
        ),
        "One number for the batch: each example has its own.": lambda *c: true(*c).mean(),
        "One number for the batch, its sum: each example has its own.": lambda *c: true(*c).sum(),
        "That is a loss: the bound with a minus.": lambda *c: -true(*c),
    }
    terms = {
        "the divergence": lambda *c: -np.sum(cost(*c), -1),
        "the reconstruction": lambda *c: log_p(*c).sum(-1).mean(0),
        "the squared error": lambda y, f, sigma, mu, s: -np.mean(
            np.linalg.norm((y - f) / sigma, axis=-1) ** 2, 0
        ) / 2,
        "log σ": lambda y, f, sigma, mu, s: np.full(len(y), -y.shape[-1] * np.log(sigma)),
        "½ log 2π": lambda y, *rest: np.full(len(y), -y.shape[-1] * np.log(2 * np.pi) / 2),
        "q's mean in the divergence": lambda y, f, sigma, mu, s: -np.sum(mu**2, -1) / 2,
        "q's variance in the divergence": lambda y, f, sigma, mu, s: (
            -np.linalg.norm(s, axis=-1) ** 2 / 2
        ),
        "the −1 of each dimension": lambda y, f, sigma, mu, s: np.full(len(y), mu.shape[1] / 2),
        "log s": lambda y, f, sigma, mu, s: np.log(np.prod(s, -1)),
    }  # fmt: skip
    simpler = {
        "there is one draw": lambda y, f, sigma, mu, s: (y, f[:1], sigma, mu, s),
        "z has one dimension": lambda y, f, sigma, mu, s: (y, f, sigma, mu[:, :1], s[:, :1]),
        "there is one coefficient": lambda y, f, sigma, mu, s: (y[:, :1], f[..., :1], sigma, mu, s),
        "σ is 1": lambda y, f, sigma, mu, s: (y, f, 1.0, mu, s),
        "q is the prior": lambda y, f, sigma, mu, s: (y, f, sigma, 0 * mu, s**0),
        "s is 1": lambda y, f, sigma, mu, s: (y, f, sigma, mu, s**0),
        "the decoder is right": lambda y, f, sigma, mu, s: (y, np.tile(y, (len(f), 1, 1)), sigma, mu, s),
        "the batch is one example": lambda y, f, sigma, mu, s: (
            y[:1], f[:, :1], sigma, mu[:1], s[:1]
        ),
        "σ is 1 and q is the prior": lambda y, f, sigma, mu, s: (y, f, 1.0, 0 * mu, s**0),
        "σ is 1 and the decoder is right": lambda y, f, sigma, mu, s: (
            y, np.tile(y, (len(f), 1, 1)), 1.0, mu, s
        ),
    }  # fmt: skip

    def a_case(L, B, D, d):
        q = rng.normal(size=(B, d)), rng.uniform(0.3, 1.7, (B, d))
        return rng.normal(size=(B, D)), rng.normal(size=(L, B, D)), rng.uniform(0.3, 1.5), *q

    y, f, _, mu, s = a_case(2, 3, 4, 2)
    edges = {
        "there is one draw": a_case(1, 2, 3, 1),
        "the batch is one example": a_case(4, 1, 3, 2),
        "z has one dimension": a_case(2, 3, 5, 1),
        "there is one coefficient": a_case(2, 3, 1, 2),
        "draws, examples, coefficients and dimensions are equally many": a_case(3, 3, 3, 3),
        "q is the prior": (y, f, 0.6, 0 * mu, s**0),
        "σ is very small": (y, f, 1e-2, mu, s),
        "q is very narrow": (y, f, 0.6, mu, 1e-6 * s),
    }
    sizes = ((3, 4, 6, 2), (2, 3, 5, 4), (5, 2, 3, 3), (4, 6, 2, 5))
    _e.agree(
        "the bound", bound, true, [a_case(*size) for size in sizes], atol=1e-5, unit="nats",
        slips=slips, terms=terms, edges=edges, simpler=simpler,
    )  # fmt: skip


_check_bound(bound, seed=0)
### BEGIN HIDDEN TESTS
_check_bound(bound, seed=100)
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
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_least(least, seed):
    import math

    rng = np.random.default_rng(seed)

    def over(draws, truth, sizes, each):  # each(distances of an example's first S draws)
        def value(n, S):
            return each([math.dist(draw[n], truth[n]) for draw in draws[:S]])

        return [sum(value(n, S) for n in range(len(truth))) / len(truth) for S in sizes]

    def true(draws, truth, sizes):
        return over(draws, truth, sizes, min)

    def one_for_all(draws, truth, sizes):
        means = [over(draw[None], truth, [1], min)[0] for draw in draws]
        return [min(means[:S]) for S in sizes]

    slips = {
        "Average over the examples after the minimum: one draw need not be the nearest for all.": (
            one_for_all
        ),
        "Pixels are asked for, not squared pixels.": lambda *c: over(*c, lambda v: min(v) ** 2),
        "The nearest of the draws is asked for, not their average distance.": lambda *c: over(
            *c, lambda v: sum(v) / len(v)
        ),
        "The nearest of the draws is asked for, not the farthest.": lambda *c: over(*c, max),
        "You add the examples' distances up: average over them.": lambda *c: [
            v * len(c[1]) for v in true(*c)
        ],
        "One distance for each size, averaged over the sizes in yours.": lambda *c: np.mean(true(*c)),
        "You take the S-th draw alone. The nearest of the first S is asked for.": lambda *c: over(
            *c, lambda v: v[-1]
        ),
        "You take all draws for each size: the first S of them are meant.": lambda d, t, sizes: (
            true(d, t, [len(d)] * len(sizes))
        ),
        "You take the last S draws: the first S of them are meant.": lambda d, t, sizes: [
            true(d[-S:], t, [S])[0] for S in sizes
        ],
        "One draw too many for each size.": lambda d, t, sizes: true(d, t, [S + 1 for S in sizes]),
        "That is the distance for the luckiest example. Average over the examples.": (
            lambda d, t, sizes: [
                min(true(d[:, [n]], t[[n]], [S])[0] for n in range(len(t))) for S in sizes
            ]
        ),
        "Those are the greatest differences of a coordinate, not Euclidean distances.": (
            lambda d, t, sizes: [np.abs(d[:S] - t).max(-1).min(0).mean() for S in sizes]
        ),
        "Those are sums of differences, not Euclidean distances.": lambda d, t, sizes: [
            np.abs(d[:S] - t).sum(-1).min(0).mean() for S in sizes
        ],
        "The coordinates are averaged in yours: a Euclidean distance has their sum.": (
            lambda d, t, sizes: [
                np.sqrt(((d[:S] - t) ** 2).mean(-1)).min(0).mean() for S in sizes
            ]
        ),
        "The mean draw is compared with what happened. Each draw is to be compared.": (
            lambda d, t, sizes: [
                np.mean([math.dist(*pair) for pair in zip(d[:S].mean(0), t, strict=True)])
                for S in sizes
            ]
        ),
        "What happened is missing: those are the draws' own lengths.": lambda d, t, sizes: true(
            d, 0 * t, sizes
        ),
        "The draws are added to what happened: take the difference.": lambda d, t, sizes: true(
            d, -t, sizes
        ),
    }
    simpler = {
        "there is one example": lambda d, t, sizes: (d[:, :1], t[:1], sizes),
        "each size is 1": lambda d, t, sizes: (d, t, [1] * len(sizes)),
        "each size is all draws": lambda d, t, sizes: (d, t, [len(d)] * len(sizes)),
        "a future is one number": lambda d, t, sizes: (d[..., :1], t[:, :1], sizes),
        "what happened is 0": lambda d, t, sizes: (d, 0 * t, sizes),
        "there is one draw": lambda d, t, sizes: (d[:1], t, [1] * len(sizes)),
        "all distances are 1": lambda d, t, sizes: (
            np.tile(t + np.eye(t.shape[1])[0], (len(d), 1, 1)), t, sizes
        ),
        "all examples and draws are alike": lambda d, t, sizes: (
            np.tile(d[:1, :1], (len(d), len(t), 1)), np.tile(t[:1], (len(t), 1)), sizes
        ),
    }  # fmt: skip
    unchanged = {
        "draws and what happened are moved alike": lambda d, t, sizes: (d + 1, t + 1, sizes),
        "the examples come in another order": lambda d, t, sizes: (d[:, ::-1], t[::-1], sizes),
    }

    def a_case(S, N, D, sizes):
        return rng.normal(size=(S, N, D)), rng.normal(size=(N, D)), sizes

    draws, truth, _ = a_case(6, 3, 2, [])
    edges = {
        "there is one draw": (draws[:1], truth, [1]),
        "there is one example": (draws[:, :1], truth[:1], [1, 3, 6]),
        "a future is one number": (draws[..., :1], truth[:, :1], [2, 5]),
        "the sizes come in another order, and twice": (draws, truth, [6, 1, 3, 3]),
        "two draws are equally near": (np.tile(draws[:2], (3, 1, 1)), truth, [2, 6]),
        "a draw hits": (np.concatenate([draws, truth[None]]), truth, [1, 7]),
        "draws, examples and coordinates are equally many": a_case(3, 3, 3, [1, 2, 3]),
    }
    cases = [a_case(20, 5, 3, [1, 4, 19]), a_case(9, 4, 2, [2, 8]), a_case(7, 6, 4, [1, 3, 5, 6]),
             a_case(12, 2, 5, [3, 11]), a_case(8, 7, 2, [2, 4, 6])]  # fmt: skip
    _e.agree(
        "the least distances", least, true, cases, unit="pixels", slips=slips, edges=edges,
        simpler=simpler, unchanged=unchanged,
    )  # fmt: skip


_check_least(least, seed=0)
### BEGIN HIDDEN TESTS
_check_least(least, seed=100)
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
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_forecast(forecast, seed):
    rng = np.random.default_rng(seed)

    def true(x, y, noise):  # x + z, and z is the noise: the prior is N(0, I)
        return np.stack([[x[n] + z for n, z in enumerate(draw)] for draw in noise])

    slips = {
        "y still gets in, by way of q: that is the prophet as it was.": lambda x, y, noise: (
            y + 0.1 * noise
        ),
        "y still gets in: by way of q's mean, or because you decode at y. Only x is known.": (
            lambda x, y, noise: y + noise
        ),
        "That is q's mean, decoded: what has not happened yet.": lambda x, y, noise: (
            np.tile(y, (len(noise), 1, 1))
        ),
        "The mean of z is one future, again and again: draw z.": lambda x, y, noise: (
            np.tile(x, (len(noise), 1, 1))
        ),
        "One draw is asked for each row of the noise; yours is one future without noise.": (
            lambda x, y, noise: x
        ),
        "q's scale is not the prior's.": lambda x, y, noise: x + 0.1 * noise,
        "Those are draws of z, not yet decoded.": lambda x, y, noise: noise,
        "The mean over the draws is one future; return them all.": lambda x, y, noise: (
            x + noise.mean(0)
        ),
        "All examples have one noise in yours.": lambda x, y, noise: x + noise[:, :1],
        "z is subtracted in yours.": lambda x, y, noise: x - noise,
    }
    simpler = {
        "y is x": lambda x, y, noise: (x, x, noise),
        "the noise is 0": lambda x, y, noise: (x, y, 0 * noise),
        "x is 0": lambda x, y, noise: (0 * x, y, noise),
    }
    unchanged = {"another future happens": lambda x, y, noise: (x, y + 5, noise)}

    def a_case(S, N, d):
        return rng.normal(size=(N, d)), rng.normal(size=(N, d)), rng.normal(size=(S, N, d))

    x, y, noise = a_case(3, 4, 2)
    edges = {
        "there is one draw": (x, y, noise[:1]),
        "there is one example": (x[:1], y[:1], noise[:, :1]),
        "the future is far away": (x, 1e6 + y, noise),
    }
    sizes = ((50, 4, 2), (3, 5, 1), (7, 2, 3), (4, 4, 4))
    _e.agree(
        "the draws", forecast, true, [a_case(*size) for size in sizes], slips=slips, edges=edges,
        simpler=simpler, unchanged=unchanged,
    )  # fmt: skip


_check_forecast(forecast, seed=0)
### BEGIN HIDDEN TESTS
_check_forecast(forecast, seed=100)
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
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_rare(draws_needed, seed):
    import math

    rng = np.random.default_rng(seed)

    def true(rho, sure):  # one draw after the other
        missed, S = 1.0, 0
        while missed > 1 - sure + 1e-14:
            missed, S = missed * (1 - rho), S + 1
        return S

    def ratio(rho, sure):
        return math.log(1 - sure) / math.log(1 - rho)

    slips = {
        "1/ρ is the expected wait; by then 37 % have still seen nothing if the way is rare.": (
            lambda rho, sure: math.ceil(1 / rho)
        ),
        "1/ρ is the expected wait, rounded.": lambda rho, sure: round(1 / rho),
        "1/ρ is the expected wait, and no whole number.": lambda rho, sure: 1 / rho,
        "One too few (if you round, round up).": lambda rho, sure: math.floor(ratio(rho, sure)),
        "Round up: to the nearest number may be one too few.": lambda rho, sure: round(
            ratio(rho, sure)
        ),
        "One too many.": lambda rho, sure: true(rho, sure) + 1,
        "That is no whole number: round up.": ratio,
        "That is sure/ρ: the chances of several draws do not add up, they may all miss.": (
            lambda rho, sure: math.ceil(sure / rho)
        ),
        "The fraction is upside down, or the hits stand in it: the draws that miss count, (1 − ρ) "
        "to the S-th.": (
            lambda rho, sure: math.ceil(math.log(sure) / math.log(rho))
        ),
        "`sure` stands where 1 − sure belongs.": lambda rho, sure: math.ceil(
            math.log(sure) / math.log(1 - rho)
        ),
        "ρ stands where 1 − ρ belongs.": lambda rho, sure: math.ceil(
            math.log(1 - sure) / math.log(rho)
        ),
        "For small ρ only is log(1 − ρ) close to −ρ.": lambda rho, sure: math.ceil(
            -math.log(1 - sure) / rho
        ),
        "Look at the sign.": lambda rho, sure: -true(rho, sure),
    }
    simpler = {
        "ρ is ½": lambda rho, sure: (0.5, sure),
        "`sure` is ½": lambda rho, sure: (rho, 0.5),
        "`sure` is ρ": lambda rho, sure: (rho, rho),
        "one draw is enough": lambda rho, sure: (rho, rho / 2),
    }
    edges = {
        "one draw is enough": (0.5, 0.4),
        "it comes out even": (0.5, 0.75),
        "one draw is just enough": (0.3, 0.3),
        "the way is very rare": (0.002, 0.99),
        "the way is nearly certain": (0.999, 0.9999),
        "it should be all but certain": (0.3, 1 - 1e-9),
        "little is asked for": (0.01, 0.05),
    }
    cases = [(rng.uniform(0.01, 0.7), rng.uniform(0.3, 0.999)) for _ in range(60)]
    with np.errstate(all="ignore"):
        _e.agree(
            "S", draws_needed, true, [(0.05, 0.95), *cases], slips=slips, edges=edges,
            simpler=simpler,
        )  # fmt: skip
    hits = np.random.default_rng(4).random((20_000, true(0.05, 0.95))) < 0.05
    print(f"ρ = 0.05, 95 %: {true(0.05, 0.95)} draws; measured: {hits.any(1).mean():.3f} of 20,000")
    print("trials saw the way.")


_check_rare(draws_needed, seed=0)
### BEGIN HIDDEN TESTS
_check_rare(draws_needed, seed=100)
### END HIDDEN TESTS


# %% [markdown]
# ## 9.7 The likelihood of the fair rival (3 points)
#
# A mixture density network outputs for each $x$ the logits of $K$ weights (their softmax is $\pi$), and means and scales of $K$
# Gaussians with independent coordinates. Return its log-density (9.2) of each $y$. A weight may be zero (a logit of $-\infty$), and what
# happened may lie so far from every mean that its density is less than the smallest floating-point number. Other logits
# may be as large as ±800.


# %% tags=["task:mixture"]
def log_mixture(y, logits, mu, sigma):
    """y: [B, D]; logits: [B, K]; mu, sigma: [B, K, D]. Returns log p(y|x), [B], nats."""
    ### BEGIN SOLUTION
    log_p = norm.logpdf(y[:, None], mu, sigma).sum(-1) + logits
    return np.logaddexp.reduce(log_p, axis=1) - np.logaddexp.reduce(logits, axis=1)
    ### END SOLUTION


# %% tags=["check:mixture:3"]
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_mixture(log_mixture, seed):
    import math

    rng = np.random.default_rng(seed)

    def log_sum(values):
        top = max(values)
        return top + math.log(math.fsum(math.exp(v - top) for v in values))

    def log_weights(logits):
        return np.array([[v - log_sum(row) for v in row] for row in logits])

    def log_normals(y, mu, sigma):  # [B, K, D]
        u = (np.asarray(y)[:, None] - mu) / sigma
        return -(u**2) / 2 - np.log(sigma) - math.log(2 * math.pi) / 2

    def components(y, mu, sigma):  # [B, K]
        return np.array([[math.fsum(v) for v in each] for each in log_normals(y, mu, sigma)])

    def mixed(log_pi, log_p):
        return np.array([log_sum(list(row)) for row in log_pi + log_p])

    def true(y, logits, mu, sigma):
        return mixed(log_weights(logits), components(y, mu, sigma))

    def with_weights(f):
        return lambda y, logits, mu, sigma: mixed(f(logits), components(y, mu, sigma))

    def with_components(f):
        return lambda y, logits, mu, sigma: mixed(log_weights(logits), f(y, mu, sigma))

    def weighed(power):  # Σ π · log-density
        return lambda y, logits, mu, sigma: (
            np.exp(log_weights(logits)) ** power * components(y, mu, sigma)
        ).sum(1)

    slips = {
        "In yours each coordinate picks a component of its own. One component gives all of y.": (
            lambda y, logits, mu, sigma: np.sum([
                mixed(log_weights(logits), log_normals(y, mu, sigma)[..., d])
                for d in range(y.shape[1])
            ], 0)
        ),
        "That is the mean of the log-densities. (9.2) averages the densities, then comes the log.": (
            weighed(1)
        ),
        "The log-densities of all components are added up: that is their product.": weighed(0),
        "The logits are no logarithms of weights yet: the softmax's normaliser is missing.": (
            with_weights(lambda logits: logits)
        ),
        "The weights are added to the log-densities: add their logarithms.": with_weights(
            lambda logits: np.exp(log_weights(logits))
        ),
        "Your softmax runs over the batch. It runs over the components.": with_weights(
            lambda logits: log_weights(logits.T).T
        ),
        "The weights are missing.": with_weights(lambda logits: 0 * logits),
        "Every component weighs 1/K in yours.": with_weights(
            lambda logits: 0 * logits - np.log(logits.shape[1])
        ),
        "The weights count twice.": with_weights(lambda logits: 2 * log_weights(logits)),
        "The weights count once for every coordinate.": lambda y, logits, mu, sigma: mixed(
            y.shape[1] * log_weights(logits), components(y, mu, sigma)
        ),
        "That is the best component alone; the others count, too.": lambda y, logits, mu, sigma: (
            (log_weights(logits) + components(y, mu, sigma)).max(1)
        ),
        "That is the component with the largest weight alone.": lambda y, logits, mu, sigma: (
            components(y, mu, sigma)[np.arange(len(y)), logits.argmax(1)]
        ),
        "The coordinates' log-densities add up; you average them.": with_components(
            lambda y, mu, sigma: components(y, mu, sigma) / y.shape[1]
        ),
        "σ is a standard deviation; you took it for a variance.": with_components(
            lambda y, mu, sigma: components(y, mu, np.sqrt(sigma))
        ),
        "σ is the standard deviation; you squared it and used that as one.": with_components(
            lambda y, mu, sigma: components(y, mu, sigma**2)
        ),
        "The normaliser log σ is missing.": with_components(
            lambda y, mu, sigma: components(y, mu, sigma) + np.log(sigma).sum(-1)
        ),
        "log σ stands once for every coordinate.": with_components(
            lambda y, mu, sigma: components(y, mu, sigma) + np.log(sigma)[..., 1:].sum(-1)
        ),
        "½ log 2π stands once for every coordinate.": lambda y, *rest: (
            true(y, *rest) + (y.shape[1] - 1) * math.log(2 * math.pi) / 2
        ),
        "½ log 2π is missing, once for every coordinate.": lambda y, *rest: (
            true(y, *rest) + y.shape[1] * math.log(2 * math.pi) / 2
        ),
        "That is the log-density of one Gaussian with the mixture's mean scale and mean place.": (
            lambda y, logits, mu, sigma: components(y, *(
                np.einsum("bk,bkd->bd", np.exp(log_weights(logits)), v)[:, None] for v in (mu, sigma)
            ))[:, 0]
        ),
        "That is the density. Its logarithm is asked for.": lambda *c: np.exp(true(*c)),
        "That is a loss: log p with a minus.": lambda *c: -true(*c),
        "One number for the batch, its mean: each example has its own.": lambda *c: true(*c).mean(),
        "One number for the batch, its sum: each example has its own.": lambda *c: true(*c).sum(),
        "Those are the components' log-densities, not yet mixed.": lambda y, logits, mu, sigma: (
            components(y, mu, sigma)
        ),
        "Those are the components' log-densities with their weights, not yet added up.": (
            lambda y, logits, mu, sigma: log_weights(logits) + components(y, mu, sigma)
        ),
    }  # fmt: skip
    simpler = {
        "there is one component": lambda y, logits, mu, sigma: (
            y, logits[:, :1], mu[:, :1], sigma[:, :1]
        ),
        "y has one coordinate": lambda y, logits, mu, sigma: (
            y[:, :1], logits, mu[..., :1], sigma[..., :1]
        ),
        "all logits are 0": lambda y, logits, mu, sigma: (y, 0 * logits, mu, sigma),
        "the logits are logarithms of weights that add up to 1": lambda y, logits, mu, sigma: (
            y, log_weights(logits), mu, sigma
        ),
        "all components are alike": lambda y, logits, mu, sigma: (
            y, logits, 0 * mu + mu[:, :1], 0 * sigma + sigma[:, :1]
        ),
        "σ is 1": lambda y, logits, mu, sigma: (y, logits, mu, sigma**0),
        "the batch is one example": lambda y, logits, mu, sigma: (
            y[:1], logits[:1], mu[:1], sigma[:1]
        ),
        "there is one component, one coordinate, and σ is 1": lambda y, logits, mu, sigma: (
            y[:, :1], logits[:, :1], mu[:, :1, :1], sigma[:, :1, :1] ** 0
        ),
        "all means are 0": lambda y, logits, mu, sigma: (y, logits, 0 * mu, sigma),
    }  # fmt: skip
    unchanged = {
        "all logits of an example rise by 3": lambda y, logits, *rest: (y, logits + 3, *rest),
        "y and the means are moved alike": lambda y, logits, mu, sigma: (y + 1, logits, mu + 1, sigma),
        "the components come in another order": lambda y, logits, mu, sigma: (
            y, logits[:, ::-1], mu[:, ::-1], sigma[:, ::-1]
        ),
    }  # fmt: skip

    def a_case(B, K, D):
        return (rng.normal(size=(B, D)), rng.normal(0, 1.5, (B, K)), rng.normal(size=(B, K, D)),
                rng.uniform(0.4, 1.6, (B, K, D)))  # fmt: skip

    y, logits, mu, sigma = a_case(2, 3, 4)
    none = np.where(np.arange(3) == 1, -np.inf, logits)
    edges = {
        "there is one component": a_case(3, 1, 2),
        "y has one coordinate": a_case(2, 4, 1),
        "the batch is one example": a_case(1, 3, 2),
        "examples, components and coordinates are equally many": a_case(3, 3, 3),
        "two components are alike": (y, logits, mu[:, [0, 0, 1]], sigma[:, [0, 0, 1]]),
        "a weight is zero, its logit −∞": (y, none, mu, sigma),
        "the logits are 800, 0 and −800": (y, np.array([[800.0, 0, -800], [0, -800, 800]]), mu, sigma),
        "y is very far from every mean": (y + 1e3, logits, mu, sigma),
        "the components are very narrow": (y, logits, mu, 1e-4 * sigma),
        "y lies on a mean, and the components are very narrow": (mu[:, 0], logits, mu, 1e-9 * sigma),
    }  # fmt: skip
    sizes = ((4, 3, 2), (2, 5, 3), (5, 2, 4), (3, 4, 5))
    with np.errstate(all="ignore"):
        _e.agree(
            "log p", log_mixture, true, [a_case(*size) for size in sizes], unit="nats", slips=slips,
            edges=edges, simpler=simpler, unchanged=unchanged,
        )  # fmt: skip


_check_mixture(log_mixture, seed=0)
### BEGIN HIDDEN TESTS
_check_mixture(log_mixture, seed=100)
### END HIDDEN TESTS
