# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercises 7 · One family
#
# Six tasks on lesson 07, fifteen points. In each, put your code in the place of the line that raises an error,
# then run the check below it: it prints your value beside the true one, or says what is wrong. No task needs
# another. NumPy is enough.

# %%
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
from scipy.integrate import quad
from scipy.special import logsumexp
from scipy.stats import norm

from cvae_tf import exercises  # remembers what NumPy was like

# %% [markdown]
# ## 7.1 Free bits for groups (3 points)
#
# (7.4) gives each dimension of $z$ its own $\lambda$. Its authors give it to *groups* of dimensions: what counts is each
# group's KL, summed over its dimensions and averaged over the batch. Return the objective that is to be maximised.


# %% tags=["task:groups"]
def free_bits(R, kl, groups, minimum):
    """R: [B]; kl: [B, d], nats; groups: lists of dimensions; minimum: λ, nats. A number, nats."""
    ### BEGIN SOLUTION
    paid = [max(minimum, kl[:, group].sum(1).mean()) for group in groups]
    return R.mean() - sum(paid)
    ### END SOLUTION


# %% tags=["check:groups:3"]
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_groups(free_bits, seed):
    rng = np.random.default_rng(seed)

    def cost(kl, groups, charge, within=sum):  # loops: each group's KL, averaged over the batch
        return sum(
            charge(sum(within([row[j] for j in group]) for row in kl) / len(kl)) for group in groups
        )

    def true(R, kl, groups, minimum):
        return sum(R) / len(R) - cost(kl, groups, lambda mean: max(mean, minimum))

    def with_cost(other):
        return lambda R, kl, groups, minimum: np.mean(R) - other(kl, groups, minimum)

    def image_by_image(kl, groups, minimum):
        return np.mean([cost(row[None], groups, lambda mean: max(mean, minimum)) for row in kl])

    def singles(kl, groups):
        return [[j] for group in groups for j in group]

    slips = {
        "λ is what a group costs at least: the greater of the two counts.": with_cost(
            lambda kl, groups, least: cost(kl, groups, lambda mean: min(mean, least))
        ),
        "Average over the batch before you compare with λ.": with_cost(image_by_image),
        "Each dimension has a λ of its own in yours; the dimensions of a group share one.": with_cost(
            lambda kl, groups, least: cost(kl, singles(kl, groups), lambda mean: max(mean, least))
        ),
        "λ has no part in yours, or there is one for all of z: each group has one.": with_cost(
            lambda kl, groups, least: max(np.mean(np.sum(kl, 1)), least)
        ),
        "Within a group the KL is summed over the dimensions; you took their mean.": with_cost(
            lambda kl, groups, least: cost(kl, groups, lambda m: max(m, least), np.mean)
        ),
        "Within a group the KL is summed over the dimensions; you took the greatest.": with_cost(
            lambda kl, groups, least: cost(kl, groups, lambda m: max(m, least), max)
        ),
        "The groups' costs add up; you took their mean.": with_cost(
            lambda kl, groups, least: cost(kl, groups, lambda m: max(m, least)) / len(groups)
        ),
        "You added the batch up, where the group's KL is averaged over it.": with_cost(
            lambda kl, groups, least: cost(kl, groups, lambda m: max(len(kl) * m, least))
        ),
        "λ is added to what the group costs: it is the least that the group costs.": with_cost(
            lambda kl, groups, least: cost(kl, groups, lambda m: m + least)
        ),
        "Below λ a group costs λ, not nothing.": with_cost(
            lambda kl, groups, least: cost(kl, groups, lambda m: m if m > least else 0.0)
        ),
        "λ is taken off what a group costs: it is the least that the group costs.": with_cost(
            lambda kl, groups, least: cost(kl, groups, lambda m: max(m - least, 0.0))
        ),
        "A group costs λ at least, and more where its KL is more.": with_cost(
            lambda kl, groups, least: least * len(groups)
        ),
        "The cost is subtracted from R: yours is R plus it.": lambda R, *c: (
            2 * np.mean(R) - true(R, *c)
        ),
        "That is to be minimised. The objective is to be maximised.": lambda *c: -true(*c),
        "R is averaged over the batch, not summed.": lambda R, *c: true(R, *c) + sum(R) - np.mean(R),
        "R is missing.": lambda R, *c: true(R, *c) - np.mean(R),
    }  # fmt: skip
    simpler = {
        "each group has one dimension": lambda R, kl, g, least: (
            R, kl, [[i] for i in range(kl.shape[1])], least
        ),
        "there is one group": lambda R, kl, g, least: (R, kl, [list(range(kl.shape[1]))], least),
        "λ is 0": lambda R, kl, g, least: (R, kl, g, 0.0),
        "every group is below λ": lambda R, kl, g, least: (R, kl, g, 100.0),
        "the batch is one image": lambda R, kl, g, least: (R[:1], kl[:1], g, least),
        "the KL is 0": lambda R, kl, g, least: (R, 0 * kl, g, least),
    }

    def a_case(B, sizes, minimum):
        d = sum(sizes)
        groups = [list(g) for g in np.split(rng.permutation(d), np.cumsum(sizes)[:-1])]
        kl = rng.exponential(1, (B, d)) * rng.uniform(0, 1.5, d)
        return rng.normal(-20, 2, B), kl, groups, minimum

    edges = {
        "λ is 0": a_case(3, (2, 1, 1), 0.0),
        "there is one group": a_case(3, (4,), 3.0),
        "the batch is one image": a_case(1, (2, 2), 0.7),
        "a group's KL is λ exactly": (np.zeros(2), np.full((2, 2), 0.5), [[0, 1]], 1.0),
        "all of z has collapsed": (np.ones(2), np.zeros((2, 3)), [[0, 2], [1]], 0.5),
    }
    sizes = ((3, (2, 1, 1), 0.7), (4, (3, 2), 1.5), (5, (1, 2, 3), 1.0), (2, (4, 1, 2), 1.2),
             (6, (2, 2, 2), 0.9), (4, (1, 5), 2.0), (3, (2, 4, 1), 1.6))  # fmt: skip
    _e.agree(
        "free bits", free_bits, true, [a_case(*size) for size in sizes], unit="nats",
        slips=slips, edges=edges, simpler=simpler,
    )  # fmt: skip


_check_groups(free_bits, seed=0)
### BEGIN HIDDEN TESTS
_check_groups(free_bits, seed=100)
### END HIDDEN TESTS


# %% [markdown]
# ## 7.2 A warm-up that comes back (2 points)
#
# Instead of raising $\beta$ once, some raise it again and again: in each cycle of `cycle` epochs it rises linearly from
# `1/rise` in the cycle's first epoch to 1 in its `rise`-th, and stays at 1 until the cycle ends. Epochs are counted
# from 0. Return $\beta$.


# %% tags=["task:cycle"]
def beta(epoch, cycle, rise):
    """Whole numbers, rise ≤ cycle. A number in (0, 1]."""
    ### BEGIN SOLUTION
    return min(1.0, (epoch % cycle + 1) / rise)
    ### END SOLUTION


# %% tags=["check:cycle:2"]
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_cycle(beta, seed):
    rng = np.random.default_rng(seed)

    def true(epoch, cycle, rise):  # epoch by epoch, as the text says it
        place = 1
        for _ in range(epoch):
            place = 1 if place == cycle else place + 1
        return place / rise if place < rise else 1.0

    slips = {
        "In the first epoch β is 1/rise, not 0: with β = 0 the KL is free.": lambda e, c, r: (
            min(1.0, (e % c) / r)
        ),
        "It comes back: in each cycle anew. Yours rises once.": lambda e, c, r: (
            min(1.0, (e + 1) / r)
        ),
        "It rises for `rise` epochs, not for the whole cycle.": lambda e, c, r: (e % c + 1) / c,
        "It starts again every `rise` epochs in yours: it is to stay at 1 until the cycle ends.": (
            lambda e, c, r: (e % r + 1) / r
        ),
        "It reaches 1 in the `rise`-th epoch of the cycle; yours rises from 0 to 1 between the first "
        "and that one.": lambda e, c, r: min(1.0, (e % c) / max(r - 1, 1)),
        "It rises on above 1.": lambda e, c, r: (e % c + 1) / r,
        "It reaches 1 an epoch too early.": lambda e, c, r: min(1.0, (e % c + 2) / r),
        "It is 1 only once it has passed 1: the smaller of the two counts.": lambda e, c, r: (
            max(1.0, (e % c + 1) / r)
        ),
        "Yours falls: it is to rise.": lambda e, c, r: max(1 - (e % c) / r, 0.0),
        "Yours is 1 in every epoch.": lambda e, c, r: 1.0,
        "A cycle is one epoch longer in yours.": lambda e, c, r: min(1.0, (e % (c + 1) + 1) / r),
        "A cycle is one epoch shorter in yours.": lambda e, c, r: (
            min(1.0, (e % max(c - 1, 1) + 1) / r)
        ),
        "Yours counts whole cycles, where the epoch within the cycle is needed.": lambda e, c, r: (
            min(1.0, (e // c + 1) / r)
        ),
        "Epochs are counted from 0: your cycles begin an epoch late.": lambda e, c, r: (
            min(1.0, ((e - 1) % c + 1) / r)
        ),
        "Epochs are counted from 0: your cycles begin an epoch early.": lambda e, c, r: (
            min(1.0, ((e + 1) % c + 1) / r)
        ),
    }  # fmt: skip
    simpler = {
        "rise is the whole cycle": lambda e, c, r: (e, c, c),
        "rise is 1": lambda e, c, r: (e, c, 1),
        "the first cycle is not over": lambda e, c, r: (e % c, c, r),
        "β still rises": lambda e, c, r: (e // c * c + e % c % r, c, r),
        "a cycle begins": lambda e, c, r: (e // c * c, c, r),
        "β has reached 1": lambda e, c, r: (e // c * c + c - 1, c, r),
    }
    cases = []
    for _ in range(60):
        cycle = int(rng.integers(2, 9))
        cases.append((int(rng.integers(0, 40)), cycle, int(rng.integers(2, cycle + 1))))
    edges = {
        "the first epoch begins": (0, 6, 4),
        "the last epoch of a cycle ends": (11, 6, 4),
        "it rises for the whole cycle": (7, 4, 4),
        "it rises for one epoch, rise = 1": (6, 6, 1),
        "a cycle has one epoch": (3, 1, 1),
        "the training is long": (100_003, 7, 5),
        "it stays at 1 for one epoch": (4, 5, 4),
    }
    _e.agree("β", beta, true, cases, slips=slips, edges=edges, simpler=simpler)
    print("cycle = 6, rise = 4:", *(f"{true(epoch, 6, 4):.2f}" for epoch in range(13)))


_check_cycle(beta, seed=0)
### BEGIN HIDDEN TESTS
_check_cycle(beta, seed=100)
### END HIDDEN TESTS


# %% [markdown]
# ## 7.3 Surgery on a table (3 points)
#
# Let $z$ be one of $K$ codes, so that every sum of (2.8) can be done: row $i$ of `q` is $q(z \mid x_i)$. Return the two parts of
# the mean KL, the information $I_q(x; z)$ and $\mathrm{KL}(q(z) \,\|\, p(z))$.


# %% tags=["task:surgery"]
def surgery(q, p):
    """q: [N, K], rows sum to 1, all positive; p: [K]. Returns two numbers, nats."""
    ### BEGIN SOLUTION
    aggregate = q.mean(0)
    information = (q * np.log(q / aggregate)).sum(1).mean()
    return information, aggregate @ np.log(aggregate / p)
    ### END SOLUTION


# %% tags=["check:surgery:3"]
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_surgery(surgery, seed):
    rng = np.random.default_rng(seed)

    def H(row):
        return -sum(a * np.log(a) for a in row)

    def KL(row, other):
        return sum(a * np.log(a / b) for a, b in zip(row, other, strict=True))

    def aggregate(q):
        return [sum(column) / len(q) for column in q.T]

    def mean_kl(q, p):
        return sum(KL(row, p) for row in q) / len(q)

    def true(q, p):  # by entropies: H(z) − H(z|x), and the rest of the mean KL
        information = H(aggregate(q)) - sum(H(row) for row in q) / len(q)
        return information, mean_kl(q, p) - information

    def between(q, p):
        return np.exp(np.log(q).mean(0))

    slips = {
        "The first part compares with the aggregate q(z), not with the prior.": lambda q, p: (
            mean_kl(q, p), None
        ),
        "In the other order, please: first the information, then KL(q(z)‖p(z)).": lambda q, p: (
            true(q, p)[::-1]
        ),
        "q(z) is the average of the rows, not their sum.": lambda q, p: (
            true(q, p)[0] - np.log(len(q)), len(q) * (true(q, p)[1] + np.log(len(q)))
        ),
        "q(z) is the average of the probabilities; you averaged their logarithms.": lambda q, p: (
            np.mean([KL(row, between(q, p)) for row in q]), None
        ),
        "In your second, q(z) is the average of the logarithms, not of the probabilities.": (
            lambda q, p: (None, aggregate(q) @ np.log(between(q, p) / p))
        ),
        "KL(p‖q(z)) is the other way round.": lambda q, p: (None, KL(p, aggregate(q))),
        "Your information has the divergences the other way round: q(z|x) stands first.": (
            lambda q, p: (np.mean([KL(aggregate(q), row) for row in q]), None)
        ),
        "The information is an average over the rows; you took their sum.": lambda q, p: (
            true(q, p)[0] * len(q), None
        ),
        "A divergence is a sum over the codes; you took their mean.": lambda q, p: (
            true(q, p)[0] / len(p), None
        ),
        "One value for all rows: their average.": lambda q, p: (
            [KL(row, aggregate(q)) for row in q], None
        ),
        "That is the mean KL from the prior, the sum of the two parts.": lambda q, p: (
            None, mean_kl(q, p)
        ),
        "That is the entropy of q(z). The information is less by the entropy of the rows.": (
            lambda q, p: (H(aggregate(q)), None)
        ),
        "The information is an entropy of q(z) less one of q(z|x); yours is turned round.": (
            lambda q, p: (-true(q, p)[0], None)
        ),
    }  # fmt: skip
    terms = {
        "the entropy of q(z)": lambda q, p: (H(aggregate(q)), -H(aggregate(q))),
        "the mean entropy of the rows": lambda q, p: (-np.mean([H(row) for row in q]), 0.0),
        "the prior's logarithm": lambda q, p: (0.0, -np.dot(aggregate(q), np.log(p))),
        "the information": lambda q, p: (0.0, true(q, p)[0]),
    }
    simpler = {
        "all rows are alike": lambda q, p: (np.tile(q[:1], (len(q), 1)), p),
        "the prior takes all codes alike": lambda q, p: (q, np.full(len(p), 1 / len(p))),
        "q(z) is the prior": lambda q, p: (q, np.array(aggregate(q))),
        "there is one row": lambda q, p: (q[:1], p),
        "there are as many rows as codes": lambda q, p: (
            q[: min(q.shape), : min(q.shape)]
            / q[: min(q.shape), : min(q.shape)].sum(1, keepdims=True),
            p[: min(q.shape)] / p[: min(q.shape)].sum(),
        ),
    }

    def a_case(N, K):
        q = rng.dirichlet(np.full(K, 0.6), N) + 1e-3
        return q / q.sum(1, keepdims=True), rng.dirichlet(np.full(K, 3.0))

    q, p = a_case(5, 4)
    edges = {
        "all rows are alike": (np.tile(q[:1], (3, 1)), p),
        "q(z) is the prior": (q, q.mean(0)),
        "there is one row": (q[:1], p),
        "there are as many rows as codes": a_case(4, 4),
        "a row is nearly sure": (np.array([[1 - 1e-12, 1e-12], [0.3, 0.7]]), np.array([0.5, 0.5])),
        "the prior hardly allows a code": (q, np.array([1e-30, 0.2, 0.3, 0.5])),
    }
    sizes = ((8, 5), (4, 3), (3, 6), (6, 2), (5, 4))
    _e.agree(
        "the two parts", surgery, true, [a_case(*size) for size in sizes], unit="nats",
        parts=("information", "KL(q(z)‖p(z))"), slips=slips, terms=terms, edges=edges,
        simpler=simpler,
    )  # fmt: skip


_check_surgery(surgery, seed=0)
### BEGIN HIDDEN TESTS
_check_surgery(surgery, seed=100)
### END HIDDEN TESTS


# %% [markdown]
# ## 7.4 A distance between clouds (3 points)
#
# (7.5) needs $\mathrm{MMD}^2$ of two samples. Write the *unbiased* estimate with the kernel $k(a, b) = \exp(-\|a - b\|^2 / 2)$: no
# point is compared with itself.


# %% tags=["task:mmd"]
def mmd_squared(a, b):
    """a: [M, d]; b: [N, d]. A number; it may be negative."""
    ### BEGIN SOLUTION
    k = lambda u, v: np.exp(-((u[:, None] - v[None]) ** 2).sum(-1) / 2)  # noqa: E731
    M, N = len(a), len(b)
    within_a = (k(a, a).sum() - M) / (M * (M - 1))
    within_b = (k(b, b).sum() - N) / (N * (N - 1))
    return within_a + within_b - 2 * k(a, b).mean()
    ### END SOLUTION


# %% tags=["check:mmd:3"]
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_mmd(mmd_squared, seed):
    import itertools
    import math

    rng = np.random.default_rng(seed)

    def k(u, v, power=2, factor=0.5):
        return math.exp(-factor * math.dist(u, v) ** power)

    def mean(values):
        values = list(values)
        return sum(values) / len(values)

    def within(s, k=k):  # pair by pair
        return mean(k(u, v) for u, v in itertools.permutations(s, 2))

    def across(a, b, k=k):
        return mean(k(u, v) for u, v in itertools.product(a, b))

    def true(a, b, k=k):
        return within(a, k) + within(b, k) - 2 * across(a, b, k)

    def kernel(other):
        return lambda a, b: true(a, b, other)

    def biased(a, b):
        return across(a, a) + across(b, b) - 2 * across(a, b)

    def over_all(a, b):  # the diagonal left out of the sum, not of the number
        M, N = len(a), len(b)
        return within(a) * (M - 1) / M + within(b) * (N - 1) / N - 2 * across(a, b)

    def not_left_out(a, b):  # the diagonal left out of the number, not of the sum
        return true(a, b) + 1 / (len(a) - 1) + 1 / (len(b) - 1)

    slips = {
        "Each point is compared with itself: that bias is always upwards.": biased,
        "No point is compared with itself, so there are M(M − 1) pairs, not M².": over_all,
        "You divide by M(M − 1), but the points' pairs with themselves are still in the sum.": (
            not_left_out
        ),
        "The pairs of a's points with themselves are still in the sum.": lambda a, b: (
            true(a, b) + 1 / (len(a) - 1)
        ),
        "The pairs of b's points with themselves are still in the sum.": lambda a, b: (
            true(a, b) + 1 / (len(b) - 1)
        ),
        "The kernel has ½ in the exponent; yours has not.": kernel(lambda u, v: k(u, v, 2, 1)),
        "The kernel has the squared distance; yours has the distance.": kernel(
            lambda u, v: k(u, v, 1, 0.5)
        ),
        "The kernel has ½‖a − b‖²; yours has ‖a − b‖.": kernel(lambda u, v: k(u, v, 1, 1)),
        "The kernel is missing: those are squared distances.": kernel(
            lambda u, v: math.dist(u, v) ** 2
        ),
        "The exponent has lost its minus.": kernel(lambda u, v: k(u, v, 2, -0.5)),
        "The squared distance is a sum over the dimensions; yours is a mean.": kernel(
            lambda u, v: k(u, v, 2, 0.5 / len(u))
        ),
        "That compares the means of the clouds alone.": lambda a, b: (
            math.dist(a.mean(0), b.mean(0)) ** 2
        ),
        "MMD² itself is asked for, not its root.": lambda a, b: math.sqrt(max(true(a, b), 0)),
    }
    terms = {
        "the pairs within a": lambda a, b: within(a),
        "the pairs within b": lambda a, b: within(b),
        "the pairs across, subtracted twice,": lambda a, b: -2 * across(a, b),
    }
    simpler = {
        "M = N": lambda a, b: (a[: min(len(a), len(b))], b[: min(len(a), len(b))]),
        "both clouds have two points": lambda a, b: (a[:2], b[:2]),
        "a has two points": lambda a, b: (a[:2], b),
        "b has two points": lambda a, b: (a, b[:2]),
        "all points are one": lambda a, b: (np.tile(a[:1], (len(a), 1)), np.tile(a[:1], (len(b), 1))),
        "the points have one dimension": lambda a, b: (a[:, :1], b[:, :1]),
        "all points of a are one": lambda a, b: (np.tile(a[:1], (len(a), 1)), b),
        "all points of b are one": lambda a, b: (a, np.tile(b[:1], (len(b), 1))),
    }

    def a_case(M, N, d):
        return rng.normal(size=(M, d)), rng.normal(0.5, 1, (N, d))

    a, b = a_case(4, 6, 2)
    edges = {
        "both clouds are the same": (a, a),
        "a point occurs twice": (a[[0, 0, 1, 2]], b),
        "each cloud has two points": (a[:2], b[:2]),
        "the clouds lie far apart": (a, b + 1e4),
        "the points have one dimension": (a[:, :1], b[:, :1]),
    }
    sizes = ((5, 7, 2), (6, 3, 1), (4, 9, 3), (8, 5, 4), (3, 4, 2))
    turn, _ = np.linalg.qr(rng.normal(size=(9, 9)))
    unchanged = {
        "both clouds are moved alike": lambda a, b: (a + 1, b + 1),
        "both clouds are turned alike": lambda a, b: (
            np.pad(a, ((0, 0), (0, 9 - a.shape[1]))) @ turn,
            np.pad(b, ((0, 0), (0, 9 - b.shape[1]))) @ turn,
        ),
        "the clouds change places": lambda a, b: (b, a),
        "the points of a come in another order": lambda a, b: (a[::-1], b),
        "the points of b come in another order": lambda a, b: (a, b[::-1]),
        "both clouds lie in a space of more dimensions": lambda a, b: (
            np.pad(a, ((0, 0), (0, 2))), np.pad(b, ((0, 0), (0, 2)))
        ),
    }
    _e.agree(
        "MMD²", mmd_squared, true, [a_case(*size) for size in sizes], slips=slips, terms=terms,
        edges=edges, simpler=simpler, unchanged=unchanged,
    )  # fmt: skip


_check_mmd(mmd_squared, seed=0)
### BEGIN HIDDEN TESTS
_check_mmd(mmd_squared, seed=100)
### END HIDDEN TESTS


# %% [markdown]
# ## 7.5 Two ceilings for one divergence (2 points)
#
# The prior is a mixture $\sum_k \pi_k\, p_k$, and $\mathrm{KL}(q \,\|\, p_k)$ is known for each part. (10.1) is one upper
# bound of the KL from the mixture; the convexity of $-\log$ gives another, simpler one. **First predict** which of the two is
# the lower, `"(10.1)"` or `"simple"`. Then return both: first (10.1), then the simple one.


# %% tags=["task:ceilings"]
def lower_one():
    """Your prediction of the lower ceiling: "(10.1)" or "simple"."""
    ### BEGIN SOLUTION
    return "(10.1)"
    ### END SOLUTION


def ceilings(pi, kl):
    """pi: [K], sums to 1; kl: [K], nats. Returns two numbers, nats."""
    ### BEGIN SOLUTION
    return -logsumexp(-kl, b=pi), pi @ kl
    ### END SOLUTION


# %% tags=["check:ceilings:2"]
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_ceilings(ceilings, lower_one, seed):
    import math

    rng = np.random.default_rng(seed)

    def true(pi, kl):
        weighed = [math.log(w) - k for w, k in zip(pi, kl, strict=True)]
        return -np.logaddexp.reduce(weighed), sum(w * k for w, k in zip(pi, kl, strict=True))

    def alike(pi, kl):
        return true(np.full(len(pi), 1 / len(pi)), kl)

    def upwards(pi, kl):
        return np.logaddexp.reduce([math.log(w) + k for w, k in zip(pi, kl, strict=True)])

    slips = {
        "In the other order, please: (10.1) first.": lambda *c: true(*c)[::-1],
        "A minus is missing: the divergences stand in the exponent with a minus, and before the "
        "logarithm too.": lambda *c: (upwards(*c), None),
        "The divergences stand in the exponent with a minus.": lambda *c: (-upwards(*c), None),
        "A minus is missing before the logarithm.": lambda *c: (-true(*c)[0], None),
        "The parts weigh π_k, not alike, in both ceilings.": alike,
        "In (10.1) the parts weigh π_k, not alike.": lambda *c: (alike(*c)[0], None),
        "In (10.1) the weights π_k are missing.": lambda pi, kl: (
            -np.logaddexp.reduce(-kl), None
        ),
        "In the simple ceiling the parts weigh π_k, not alike.": lambda *c: (None, alike(*c)[1]),
        "In the simple ceiling the weights π_k are missing.": lambda pi, kl: (None, sum(kl)),
        "The least divergence is a ceiling only if the whole mixture were that part.": (
            lambda pi, kl: (min(kl), None)
        ),
        "The greatest divergence is a ceiling, but not one of these two.": lambda pi, kl: (
            None, max(kl)
        ),
        "That is one ceiling twice.": lambda *c: (true(*c)[0], true(*c)[0]),
        "That is the simple ceiling twice.": lambda *c: (true(*c)[1], true(*c)[1]),
    }  # fmt: skip
    simpler = {
        "all parts weigh the same": lambda pi, kl: (np.full(len(pi), 1 / len(pi)), kl),
        "all divergences are alike": lambda pi, kl: (pi, np.full(len(kl), kl[0])),
        "the mixture has one part": lambda pi, kl: (np.ones(1), kl[:1]),
        "all divergences are 0": lambda pi, kl: (pi, 0 * kl),
    }

    def a_case(K):
        return rng.dirichlet(np.full(K, 2.0)), rng.exponential(2, K)

    pi, kl = a_case(3)
    edges = {
        "a part lies 2,000 nats away": (np.array([0.5, 0.5]), np.array([1.0, 2000.0])),
        "all parts lie 2,000 nats away": (pi, kl + 2000),
        "the mixture has one part": (np.ones(1), np.array([0.7])),
        "all divergences are alike": (pi, np.full(3, 1.3)),
        "q is one of the parts": (pi, np.array([0.0, 1.0, 3.0])),
        "a part weighs next to nothing": (np.array([1 - 1e-12, 1e-12]), np.array([3.0, 0.5])),
    }
    with np.errstate(all="ignore"):
        _e.agree(
            "the two ceilings", ceilings, true, [a_case(K) for K in (2, 4, 3, 6, 5)], unit="nats",
            parts=("(10.1)", "the simple one"), slips=slips, edges=edges, simpler=simpler,
        )  # fmt: skip
    guess = lower_one()
    _e.require(
        guess in ("(10.1)", "simple"), 'The prediction should be "(10.1)" or "simple".'
    )
    first, second = true(*a_case(3))
    _e.require(
        guess == "(10.1)",
        f'You predicted "{guess}", but for one mixture (10.1) gives {first:.3f} nats and the simple '
        f"one {second:.3f}. Which is the greater, the logarithm of a mean or the mean of logarithms?",
    )
    print(f"One mixture: (10.1) {first:.3f}, simple {second:.3f} nats; as you predicted.")


_check_ceilings(ceilings, lower_one, seed=0)
### BEGIN HIDDEN TESTS
_check_ceilings(ceilings, lower_one, seed=100)
### END HIDDEN TESTS


# %% [markdown]
# ## 7.6 Find the bug: a label that is not used? (2 points)
#
# `L[i, k]` is the bound of image $i$ told the label $k$. To measure the use of $y$, someone takes each image's greatest
# bound for the one under its own label, compares it with the mean over *all* ten labels, and takes the drop for the use
# of $y$. Write `use_of_y`: the mean drop when an image's own label is replaced by one of the nine *wrong* ones, each as
# likely.


# %%
def surprised(L, labels):
    """L: [N, C], nats; labels: [N]. A number, nats."""
    return np.mean(L.max(1) - L.mean(1))


# %% tags=["task:use"]
def use_of_y(L, labels):
    """As above, own label against wrong ones."""
    ### BEGIN SOLUTION
    own = L[np.arange(len(L)), labels]
    wrong = (L.sum(1) - own) / (L.shape[1] - 1)
    return np.mean(own - wrong)
    ### END SOLUTION


# %% tags=["check:use:2"]
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_use(use_of_y, seed):
    rng = np.random.default_rng(seed)

    def over(L, labels, drop):
        return sum(drop(list(row), own) for row, own in zip(L, labels, strict=True)) / len(L)

    def others(row, own):
        return row[:own] + row[own + 1 :]

    def mean(values):
        return sum(values) / len(values)

    def true(L, labels):
        return over(L, labels, lambda row, own: row[own] - mean(others(row, own)))

    def drops(drop):
        return lambda L, labels: over(L, labels, drop)

    slips = {
        "The best label is not always the image's own.": drops(
            lambda row, own: max(row) - (sum(row) - max(row)) / (len(row) - 1)
        ),
        "The mean still contains the right label.": drops(lambda row, own: row[own] - mean(row)),
        "The label is still not used: best against mean of all.": drops(
            lambda row, own: max(row) - mean(row)
        ),
        "The best label's bound, where the image's own is meant.": drops(
            lambda row, own: max(row) - mean(others(row, own))
        ),
        "The sign: a drop is the own label's bound less that of the wrong ones.": lambda *c: (
            -true(*c)
        ),
        "That is the best of the wrong labels. Each of them is as likely.": drops(
            lambda row, own: row[own] - max(others(row, own))
        ),
        "That is the worst of the wrong labels. Each of them is as likely.": drops(
            lambda row, own: row[own] - min(others(row, own))
        ),
        "Whole columns: one entry of each row is meant.": lambda L, labels: (
            np.mean(L[:, labels]) - np.mean(L)
        ),
        "Whole columns, less the wrong labels: one entry of each row is meant.": lambda L, labels: (
            np.mean(L[:, labels]) - (np.sum(L) - over(L, labels, lambda r, o: r[o]) * len(L))
            / (L.shape[1] - 1) / len(L)
        ),
        "That is the bound under the wrong labels. By how much is it lower?": drops(
            lambda row, own: mean(others(row, own))
        ),
        "That is the bound under the own label. By how much is it higher?": drops(
            lambda row, own: row[own]
        ),
        "The wrong labels' bounds are averaged, not summed.": drops(
            lambda row, own: row[own] - sum(others(row, own))
        ),
        "The mean over the images is asked for, not the sum.": lambda L, labels: (
            true(L, labels) * len(L)
        ),
        "There are C − 1 wrong labels; you divided by C.": drops(
            lambda row, own: row[own] - sum(others(row, own)) / len(row)
        ),
        "There are C − 1 wrong labels, but your sum still has the right one in it.": drops(
            lambda row, own: row[own] - sum(row) / (len(row) - 1)
        ),
        "One value for all images: their mean.": lambda L, labels: [
            row[own] - mean(others(list(row), own)) for row, own in zip(L, labels, strict=True)
        ],
    }  # fmt: skip
    terms = {
        "the own label's bound": drops(lambda row, own: row[own]),
        "the mean over the wrong labels": drops(lambda row, own: -mean(others(row, own))),
    }
    simpler = {
        "there are two labels": lambda L, labels: (L[:, :2], labels % 2),
        "there is one image": lambda L, labels: (L[:1], labels[:1]),
        "all labels are 0": lambda L, labels: (L, 0 * labels),
        "all bounds are alike": lambda L, labels: (np.full_like(L, -20.0), labels),
        "there are as many images as labels": lambda L, labels: (
            np.tile(L, (L.shape[1], 1))[: L.shape[1]], np.tile(labels, L.shape[1])[: L.shape[1]]
        ),
        "the wrong labels' bounds are 0": lambda L, labels: (
            np.where(np.arange(L.shape[1]) == labels[:, None], L, 0.0), labels
        ),
    }  # fmt: skip

    def a_case(N, C):
        L, labels = rng.normal(-20, 2, (N, C)), rng.integers(0, C, N)
        L[np.arange(N), labels] += 2
        return L, labels

    L, labels = a_case(6, 4)
    edges = {
        "there are two labels": a_case(5, 2),
        "there is one image": a_case(1, 10),
        "all images have one label": (L, np.full(6, 3)),
        "the own label is the worst": (L, L.argmin(1)),
        "two labels have the same bound": (np.round(L / 4), labels),
        "the bounds lie near −10⁶": (L - 1e6, labels),
    }
    sizes = ((30, 10), (7, 3), (5, 5), (12, 4), (4, 6))
    _e.agree(
        "use of y", use_of_y, true, [a_case(*size) for size in sizes], unit="nats", slips=slips,
        terms=terms, edges=edges, simpler=simpler,
    )  # fmt: skip


_check_use(use_of_y, seed=0)
### BEGIN HIDDEN TESTS
_check_use(use_of_y, seed=100)
### END HIDDEN TESTS
