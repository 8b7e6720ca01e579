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

from cvae_tf.exercises import compare, require

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
R = np.array([-20.0, -22.0, -21.0])
kl = np.array([[0.1, 2.0, 0.3, 0.0], [0.9, 1.0, 0.2, 0.1], [0.2, 3.0, 0.1, 0.2]])
groups = [[0, 2], [1], [3]]
# by hand: group means 0.6, 2.0, 0.1 nats; each group is charged 0.7 at least
slips = {
    "λ is what a group costs at least: the greater of the two counts.": -21 - (0.6 + 0.7 + 0.1),
    "Average over the batch before you compare with λ.": -21
    - np.mean([max(0.7, a) + max(0.7, b) + max(0.7, c)
               for a, b, c in [(0.4, 2.0, 0.0), (1.1, 1.0, 0.1), (0.3, 3.0, 0.2)]]),
    "Each dimension has a λ of its own here; the groups share one.": -21 - (0.7 + 2.0 + 0.7 + 0.7),
    "One λ for all of z: each group has one.": -21 - 2.7,
}  # fmt: skip
compare(
    "free bits", free_bits(R, kl, groups, 0.7), -21 - (0.7 + 2.0 + 0.7), unit="nats", slips=slips
)
### BEGIN HIDDEN TESTS
compare("with λ = 0", free_bits(R, kl, groups, 0.0), -21 - 2.7, unit="nats")
compare("one group", free_bits(R, kl, [[0, 1, 2, 3]], 3.0), -21 - 3.0, unit="nats")
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
expected = [0.25, 0.5, 0.75, 1, 1, 1, 0.25, 0.5, 0.75, 1, 1, 1, 0.25]
slips = {
    "In the first epoch β is 1/rise, not 0: with β = 0 the KL is free.": [0, 0.25, 0.5, 0.75, 1, 1]
    * 2
    + [0],
    "It comes back: in each cycle anew.": [0.25, 0.5, 0.75] + [1] * 10,
    "It rises for `rise` epochs, not for the whole cycle.": [(e % 6 + 1) / 6 for e in range(13)],
}
compare("β, epochs 0 to 12", [beta(epoch, 6, 4) for epoch in range(13)], expected, slips=slips)
### BEGIN HIDDEN TESTS
compare("β with rise = cycle", [beta(epoch, 2, 2) for epoch in range(5)], [0.5, 1, 0.5, 1, 0.5])
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
def entropies(q, p):
    """The same by entropies: H(z) − H(z|x), and the rest of the mean KL."""
    H = lambda row: -sum(a * np.log(a) for a in row)  # noqa: E731
    information = H(q.sum(0) / len(q)) - sum(H(row) for row in q) / len(q)
    mean_kl = np.mean([sum(a * np.log(a / b) for a, b in zip(row, p, strict=True)) for row in q])
    return information, mean_kl - information, mean_kl


rng = np.random.default_rng(0)
q, p = rng.dirichlet(np.full(5, 0.6), 8) + 1e-3, np.full(5, 0.2)
q = q / q.sum(1, keepdims=True)
information, rest, mean_kl = entropies(q, p)
between = np.exp(np.log(q).mean(0))
slips = {
    "The first part compares with the aggregate q(z), not with the prior.": (mean_kl, rest),
    "q(z) is the average of the rows, not their sum.": (
        information - np.log(8),
        8 * (rest + np.log(8)),
    ),
    "KL(p‖q(z)) is the other way round.": (
        information,
        sum(a * np.log(a / b) for a, b in zip(p, q.sum(0) / 8, strict=True)),
    ),
}
compare("the two parts", surgery(q, p), (information, rest), unit="nats", slips=slips)
### BEGIN HIDDEN TESTS
q, p = rng.dirichlet(np.ones(3), 4), np.array([0.5, 0.3, 0.2])
compare("the two parts elsewhere", surgery(q, p), entropies(q, p)[:2], unit="nats")
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
def pair_by_pair(a, b):
    k = lambda u, v: float(np.exp(-0.5 * np.linalg.norm(u - v) ** 2))  # noqa: E731
    within = [
        np.mean([k(s[i], s[j]) for i in range(len(s)) for j in range(len(s)) if i != j])
        for s in (a, b)
    ]
    return sum(within), np.mean([k(u, v) for u in a for v in b])


rng = np.random.default_rng(1)
a, b = rng.normal(size=(5, 2)), rng.normal(0.5, 1, (7, 2))
within, across = pair_by_pair(a, b)
slips = {
    "Each point is compared with itself: that bias is always upwards.": (
        np.mean([np.exp(-0.5 * ((u - v) ** 2).sum()) for u in a for v in a])
        + np.mean([np.exp(-0.5 * ((u - v) ** 2).sum()) for u in b for v in b])
        - 2 * across
    ),
    "The pairs across count twice.": within - across,
    "The pairs across are subtracted.": within + 2 * across,
}
compare("MMD²", mmd_squared(a, b), within - 2 * across, slips=slips)
### BEGIN HIDDEN TESTS
within, across = pair_by_pair(a[:, :1], b[:3, :1])
compare("MMD² in one dimension", mmd_squared(a[:, :1], b[:3, :1]), within - 2 * across)
### END HIDDEN TESTS


# %% [markdown]
# ## 7.5 Two ceilings for one divergence (2 points)
#
# The prior is a mixture $\sum_k \pi_k\, p_k$, and $\mathrm{KL}(q \,\|\, p_k)$ is known for each part. (10.1) is one upper
# bound of the KL from the mixture; the convexity of $-\log$ gives another, simpler one. Predict which is the lower, then return
# both: first (10.1), then the simple one.


# %% tags=["task:ceilings"]
def ceilings(pi, kl):
    """pi: [K], sums to 1; kl: [K], nats. Returns two numbers, nats."""
    ### BEGIN SOLUTION
    return -logsumexp(-kl, b=pi), pi @ kl
    ### END SOLUTION


# %% tags=["check:ceilings:2"]
pi, means = np.array([0.8, 0.2]), np.array([-1.0, 2.0])
kl = np.array(
    [(0.3 - m) ** 2 / 2 + 0.5 * (0.49 - 1 - np.log(0.49)) for m in means]
)  # q = N(0.3, 0.7²)
log_mixture = lambda z: np.log(pi @ norm.pdf(z, means, 1))  # noqa: E731
kl_itself = quad(
    lambda z: norm.pdf(z, 0.3, 0.7) * (norm.logpdf(z, 0.3, 0.7) - log_mixture(z)), -6, 6
)[0]
lower = -np.log(0.8 / np.exp(kl[0]) + 0.2 / np.exp(kl[1]))
upper = 0.8 * kl[0] + 0.2 * kl[1]
slips = {
    "A minus is missing: the divergences stand in the exponent with a minus, and before the logarithm too.": (
        np.log(0.8 * np.exp(kl[0]) + 0.2 * np.exp(kl[1])),
        upper,
    ),
    "The parts weigh π_k, not alike.": (-np.log(np.exp(-kl).mean()), kl.mean()),
    "In the other order, please: (10.1) first.": (upper, lower),
}
found = ceilings(pi, kl)
compare("the two ceilings", found, (lower, upper), unit="nats", slips=slips)
require(kl_itself <= found[0] + 1e-9, "A ceiling below the divergence itself is none.")
print(f"the divergence itself {kl_itself:.4f} nats")
### BEGIN HIDDEN TESTS
far = ceilings(np.array([0.5, 0.5]), np.array([1.0, 2000.0]))
compare("with a part far away", far, (1 + np.log(2), 1000.5), unit="nats")
### END HIDDEN TESTS


# %% [markdown]
# ## 7.6 Find the bug: a label that is not used? (2 points)
#
# `L[i, k]` is the bound of image $i$ told the label $k$. To measure the use of $y$, someone compares each image's bound
# under its own label with the mean over *all* ten labels, and is surprised how little it drops. Write `use_of_y`: the mean drop
# when the label is replaced by one of the nine *wrong* ones, each as likely.


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
def by_loops(L, labels):
    drops = [
        np.mean([row[own] - row[k] for k in range(len(row)) if k != own])
        for row, own in zip(L, labels, strict=True)
    ]
    return np.mean(drops)


rng = np.random.default_rng(2)
L, labels = rng.normal(-20, 2, (30, 10)), rng.integers(0, 10, 30)
L[np.arange(30), labels] += 3
drop = by_loops(L, labels)
slips = {
    "The best label is not always the image's own.": np.mean(L.max(1) - (L.sum(1) - L.max(1)) / 9),
    "The mean still contains the right label.": 0.9 * drop,
    "The label is still not used: best against mean of all.": np.mean(L.max(1) - L.mean(1)),
}
compare("use of y", use_of_y(L, labels), drop, unit="nats", slips=slips)
### BEGIN HIDDEN TESTS
compare("with three labels", use_of_y(L[:, :3], labels % 3), by_loops(L[:, :3], labels % 3))
### END HIDDEN TESTS
