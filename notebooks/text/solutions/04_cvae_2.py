# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercises 4 · CVAE-2: style apart from label
#
# Six tasks on lesson 04, seventeen points. In each, put your code in the place of the line that raises an error, then
# run the check below it: it prints your value beside the true one, or says what is wrong. No task needs another,
# so begin where you like.

# %%
import itertools
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax
from scipy.stats import norm
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis

from cvae_tf import datasets, oracle
from cvae_tf.exercises import compare, require
from cvae_tf.oracle import LinearGaussian

# %% [markdown]
# ## 4.1 Predict, then compute: does it always explain away? (2 points)
#
# Two causes, $z$ and $y$, each 0 or 1 and drawn separately; one effect $x$, 0 or 1. `table[z, y]` is the probability of
# $x = 1$. You see $x$, and then somebody tells you that $y = 1$. Does $z = 1$ become `"less"` likely than it was before you
# were told, `"more"` likely, or is it the `"same"`? **Predict** it for the three cases below; $x$ is what is seen in each.
#
# Then write the enumeration that finds out: the probability of $z = 1$ before anything is seen, given $x$, and given
# $x$ and $y = 1$.

# %%
lawn = np.array([[0.0, 0.5], [0.8, 0.9]])  # z: rain, y: the sprinkler; x: the lawn is wet
stairs = np.array([[1.0, 0.0], [0.0, 1.0]])  # two switches; x: the light is on, if they stand alike
cases = {"wet lawn": (lawn, 1), "dry lawn": (lawn, 0), "light on the stairs": (stairs, 1)}


# %% tags=["task:causes"]
def predictions():
    """What y = 1 does to z = 1 once x is seen: "less", "more" or "same" for each of the cases."""
    ### BEGIN SOLUTION
    # a dry lawn: 1 − table is a product, 0.2^z · 0.5^y, so that x = 0 joins nothing
    return {"wet lawn": "less", "dry lawn": "same", "light on the stairs": "more"}
    ### END SOLUTION


def beliefs(p_z, p_y, table, x):
    """p(z=1), p(z=1 | x) and p(z=1 | x, y=1). [3].

    p_z, p_y: numbers, the probabilities of z = 1 and of y = 1; table: [2, 2], p(x=1 | z, y) at
    [z, y]; x: 0 or 1, what is seen.
    """
    ### BEGIN SOLUTION
    joint = np.outer([1 - p_z, p_z], [1 - p_y, p_y]) * (table if x == 1 else 1 - table)  # [z, y]
    seen = joint / joint.sum()
    return np.array([p_z, seen[1].sum(), seen[1, 1] / seen[:, 1].sum()])
    ### END SOLUTION


# %% tags=["check:causes:2"]
def by_counting(p_z, p_y, table, x):
    """The same three, by counting 1,000 days on which every tenth happens just as often."""
    tenths = np.array(list(itertools.product(range(10), repeat=3))) + 0.5
    z, y = tenths[:, 0] < 10 * p_z, tenths[:, 1] < 10 * p_y
    on = tenths[:, 2] < 10 * table[z.astype(int), y.astype(int)]
    kept = on == x
    three = np.array([z.mean(), z[kept].mean(), z[kept & y].mean()])
    slips = {
        "In yours z and y stay independent once x is seen: y = 1 says nothing more.": [
            *three[:2],
            three[1],
        ],
        "That is p(x | z=1), and p(x | z=1, y=1). The question is turned round.": [
            three[0],
            kept[z].mean(),
            kept[z & y].mean(),
        ],
        "Those are joint probabilities, of all days. Divide by how often x (and y) is so.": [
            three[0],
            (z & kept).mean(),
            (z & kept & y).mean(),
        ],
        "You took x = 1 for what is seen.": [three[0], z[on].mean(), z[on & y].mean()],
        "p(x, z=1, y=1) is to be divided by p(x, y=1), not by p(x).": [
            *three[:2],
            (z & y)[kept].mean(),
        ],
    }
    return three, slips


def check_beliefs(name, *case):
    three, slips = by_counting(*case)
    compare(name, beliefs(*case), three, slips=slips)
    return three


guesses = predictions()
for name, case in cases.items():
    _, before, after = check_beliefs(name, 0.3, 0.4, *case)
    guess = guesses.get(name) if isinstance(guesses, dict) else None
    require(
        guess in ("less", "more", "same"),
        f'The prediction for "{name}" should be "less", "more" or "same".',
    )
    found = "same" if abs(after - before) < 1e-9 else "more" if after > before else "less"
    require(
        guess == found,
        f'{name}: you predicted "{guess}", but z = 1 goes from {before:.3f} to {after:.3f}. Seeing x '
        "opens the path between z and y; what comes through depends on the table.",
    )
    print(f"    as you predicted: {found}, from {before:.3f} to {after:.3f}")
### BEGIN HIDDEN TESTS
check_beliefs("a lock with two keys, shut", 0.6, 0.2, np.array([[0.0, 0.0], [0.0, 1.0]]), 0)
check_beliefs("a noisy table", 0.7, 0.9, np.array([[0.3, 0.6], [0.1, 0.8]]), 1)
### END HIDDEN TESTS


# %% [markdown]
# ## 4.2 The best that a blind q can do (3 points)
#
# Here $z$ has $J$ states, so nothing stops $q$ from having any shape, and a $q(z \mid x, y)$ that sees the label
# closes the gap. Now hide the label. For one image $x$, which $q(z \mid x)$ makes the bound (4.2) best *on average over
# the labels that this $x$ may have*, $y \sim p(y \mid x)$? And what does it cost, in nats? That is, minimise
#
# $$ \sum_y p(y \mid x)\; \mathrm{KL}\big(q(z \mid x) \,\|\, p(z \mid x, y)\big) . $$
#
# It is not $p(z \mid x)$. Pull the sum over $y$ inside the expectation over $q$, and look at what stands in the place of
# the second density: it is none, as it does not add up to one (lesson 03 had such a case). The likelihoods may
# lie at −2,000 nats. (`logsumexp` and `softmax` are imported.)


# %% tags=["task:blind"]
def best_blind(p_z, p_y, log_likelihood):
    """(q, cost): the best q(z|x), [J], and the least average KL, a number in nats.

    p_z: [J], the prior; p_y: [K], the labels' probabilities; log_likelihood: [K, J], log p(x|y,z)
    of this x for each y and z, nats.
    """
    ### BEGIN SOLUTION
    log_p_xz = np.log(p_z) + log_likelihood  # given y: [K, J]
    log_p_x = logsumexp(log_p_xz, axis=1)
    p_y_given_x = softmax(np.log(p_y) + log_p_x)
    average = p_y_given_x @ (log_p_xz - log_p_x[:, None])  # of log p(z|x,y), [J]
    log_total = logsumexp(average)
    return np.exp(average - log_total), -log_total
    ### END SOLUTION


# %% tags=["check:blind:3"]
def descend(weights, posteriors):
    """The q of least average KL from the given posteriors, by descent. (q, cost)."""

    def cost(logits):
        q = softmax(logits)
        return sum(w * (q @ np.log(q / p)) for w, p in zip(weights, posteriors, strict=True))

    found = minimize(cost, np.zeros(posteriors.shape[1]), method="BFGS", jac="3-point", tol=1e-9)
    return softmax(found.x), found.fun


def check_blind(name, K, J, seed):
    rng = np.random.default_rng(seed)
    p_z, p_y = rng.dirichlet(np.full(J, 5.0)), rng.dirichlet(np.full(K, 5.0))
    table = rng.normal(-6, 2, (K, J))
    joint = p_y[:, None] * p_z * np.exp(table)  # p(y, x, z) at this x
    posteriors = joint / joint.sum(1, keepdims=True)
    weights = joint.sum(1) / joint.sum()
    flat = np.exp(table) / np.exp(table).sum(1, keepdims=True)
    true, least = descend(weights, posteriors)
    mixed = weights @ posteriors
    wasted = sum(w * (mixed @ np.log(mixed / p)) for w, p in zip(weights, posteriors, strict=True))
    yours = best_blind(p_z, p_y, table)
    require(yours is not None and len(yours) == 2, "Return two things: q, [J], and its cost.")
    require(
        np.shape(yours[0]) == (J,) and np.isclose(np.sum(yours[0]), 1),
        f"q is a distribution over {J} states: it must add up to one.",
    )
    slips = {
        "That is p(z|x), the average of the posteriors. KL(q‖p) averages their logarithms.": mixed,
        "The labels are not equally probable once x is seen.": descend(np.ones(K) / K, posteriors)[
            0
        ],
        "x has been seen: weigh the labels by p(y|x), not by p(y).": descend(p_y, posteriors)[0],
        "p(z) is missing: by Bayes' rule p(z|x,y) has a prior in it.": descend(weights, flat)[0],
        "That is the prior.": p_z,
        "Those are products of the posteriors: the weights belong into the exponents.": (
            softmax(np.log(posteriors).sum(0))
        ),
    }
    compare(f"{name}: q", yours[0], true, atol=2e-5, slips=slips)
    slips = {
        "A cost in nats that is below zero? No KL divergence is.": -least,
        "That is what p(z|x) costs.": wasted,
        "That is the sum over the labels with equal weights.": sum(
            true @ np.log(true / p) for p in posteriors
        ),
    }
    compare(f"{name}: its cost", yours[1], least, unit="nats", slips=slips)
    lower = best_blind(p_z, p_y, table - 2000)
    require(
        np.isfinite(lower[0]) & np.isfinite(lower[1]),
        "exp(−2000) is zero on a computer: stay with logarithms throughout.",
    )
    compare(f"{name}: its cost, all 2,000 nats lower", lower[1], least, unit="nats")
    return wasted


wasted = check_blind("three labels, five states", K=3, J=5, seed=0)
print(f"p(z|x) in its place would cost {wasted:.3f} nats.")
### BEGIN HIDDEN TESTS
check_blind("four labels, three states", K=4, J=3, seed=1)
### END HIDDEN TESTS


# %% [markdown]
# ## 4.3 A tilted prior (3 points)
#
# The lesson turned any CVAE-1 with *diagonal* priors into a CVAE-2. Now the priors are tilted: label $k$ has
# $p(z \mid y) = \mathcal N(m_k,\; T_k T_k^\top)$, with a lower triangular $T_k$ whose diagonal is positive. Posterior
# $q(z \mid x, y) = \mathcal N(\mu, \operatorname{diag} \sigma^2)$ and decoder stand as before. Find $u$, independent of
# $y$ with $p(u) = \mathcal N(0, I)$, and write down the CVAE-2 in $u$: its decoder, and its posterior $q'(u \mid x, y)$,
# which need not stay diagonal. The bound must not change by a nat.


# %% tags=["task:absorb"]
def absorbed_decoder(m, T, decode):
    """The CVAE-2's decoder: a function of (y, u), [N, K] and [N, d], with decode's values.

    m: [K, d], T: [K, d, d], a row for each label; decode: a function, y [N, K] one-hot and
    z [N, d] → [N, D].
    """

    ### BEGIN SOLUTION
    def decode_u(y, u):
        return decode(y, y @ m + np.einsum("nk,kij,nj->ni", y, T, u))

    return decode_u
    ### END SOLUTION


def absorbed_posterior(m, T, y, mu, sigma):
    """Mean, [N, d], and covariance, [N, d, d], of q'(u|x,y).

    y: [N, K], one-hot; mu, sigma: [N, d], mean and standard deviation of q(z|x,y).
    """
    ### BEGIN SOLUTION
    inverse = np.linalg.inv(np.einsum("nk,kij->nij", y, T))
    mean = np.einsum("nij,nj->ni", inverse, mu - y @ m)
    root = inverse * sigma[:, None, :]  # column j times σ_j
    return mean, root @ root.transpose(0, 2, 1)
    ### END SOLUTION


# %% tags=["check:absorb:3"]
def kl_full(mean, covariance, centre, tilt):
    """KL(N(mean, covariance) ‖ N(centre, tilt tiltᵀ)), nats."""
    C, off = tilt @ tilt.T, mean - centre
    squares = np.trace(np.linalg.solve(C, covariance)) + off @ np.linalg.solve(C, off) - len(mean)
    return 0.5 * (squares + np.linalg.slogdet(C)[1] - np.linalg.slogdet(covariance)[1])


def check_absorb(name, K, d, D, N, seed):
    rng = np.random.default_rng(seed)
    m, A, B = 2 * rng.normal(size=(K, d)), rng.normal(size=(d, D)), rng.normal(size=(K, D))
    T = np.tril(rng.normal(size=(K, d, d)), -1) + rng.uniform(0.4, 2, (K, 1, d)) * np.eye(d)
    labels = rng.integers(0, K, N)
    y, mu, sigma = np.eye(K)[labels], rng.normal(size=(N, d)), rng.uniform(0.3, 1.2, (N, d))

    def decode(y, z):
        return np.tanh(z @ A) + y @ B

    sides = np.sqrt(d) * np.vstack([np.eye(d), -np.eye(d)])[:, None]  # (1.5), [2d, 1, d]
    points = mu + sigma * sides
    moved = np.array(
        [
            [np.linalg.solve(T[k], z - m[k]) for k, z in zip(labels, row, strict=True)]
            for row in points
        ]
    )
    u, z = moved[0], points[0]
    decoder = absorbed_decoder(m, T, decode)
    require(callable(decoder), "Return a function of (y, u).")
    tilted = [T[k] @ v for k, v in zip(labels, u, strict=True)]
    slips = {
        "Your decoder takes u for z.": decode(y, u),
        "u is stretched and tilted, but not moved to the label's mean.": decode(y, tilted),
        "u is moved to the label's mean, but neither stretched nor tilted.": decode(
            y, u + m[labels]
        ),
        "The tilt is lost: T has entries off its diagonal.": decode(
            y, m[labels] + [np.diag(T[k]) * v for k, v in zip(labels, u, strict=True)]
        ),
        "T is transposed: N(0, T Tᵀ) is what T u has, not Tᵀu.": decode(
            y, m[labels] + [T[k].T @ v for k, v in zip(labels, u, strict=True)]
        ),
        "That goes from z to u. The decoder is given u and needs z.": decode(
            y, [np.linalg.solve(T[k], v - m[k]) for k, v in zip(labels, u, strict=True)]
        ),
    }
    compare(f"{name}: the decoder at u", decoder(y, u), decode(y, z), slips=slips)

    true_mean = moved.mean(0)
    off = moved - true_mean
    true_covariance = np.einsum("sni,snj->nij", off, off) / (2 * d)
    yours = absorbed_posterior(m, T, y, mu, sigma)
    require(yours is not None and len(yours) == 2, "Return two things: mean and covariance.")
    slips = {
        "q' is still at q's place, measured in z.": mu,
        "q' is moved, but neither shrunk nor tilted.": mu - m[labels],
        "The prior's mean is to be taken off first.": [
            np.linalg.solve(T[k], v) for k, v in zip(labels, mu, strict=True)
        ],
        "That is what the diagonal of T gives. The tilt is lost.": [
            (v - m[k]) / np.diag(T[k]) for k, v in zip(labels, mu, strict=True)
        ],
        "Tᵀ stands where T belongs.": [
            np.linalg.solve(T[k].T, v - m[k]) for k, v in zip(labels, mu, strict=True)
        ],
        "That goes from u to z. q is given in z.": [
            m[k] + T[k] @ v for k, v in zip(labels, mu, strict=True)
        ],
    }
    compare(f"{name}: the mean of q'", yours[0], true_mean, slips=slips)
    square = np.array([np.diag(s**2) for s in sigma])
    slips = {
        "q has a covariance in z. In u it is another.": square,
        "σ holds standard deviations; a covariance has their squares.": [
            np.linalg.inv(T[k]) @ np.diag(s) @ np.linalg.inv(T[k]).T
            for k, s in zip(labels, sigma, strict=True)
        ],
        "What stands on the right of the covariance is transposed.": [
            np.linalg.inv(T[k]) @ C @ np.linalg.inv(T[k])
            for k, C in zip(labels, square, strict=True)
        ],
        "That is its diagonal only. In u the axes of q are tilted.": true_covariance * np.eye(d),
        "That is what the diagonal of T gives. The tilt is lost.": [
            C / np.outer(np.diag(T[k]), np.diag(T[k])) for k, C in zip(labels, square, strict=True)
        ],
    }
    compare(f"{name}: the covariance of q'", yours[1], true_covariance, slips=slips)
    kl = [kl_full(*pair, m[k], T[k]) for k, *pair in zip(labels, mu, square, strict=True)]
    now = [kl_full(*pair, np.zeros(d), np.eye(d)) for pair in zip(*yours, strict=True)]
    compare(f"{name}: the bound's KL, before and after", now, kl, unit="nats")


check_absorb("three labels", K=3, d=2, D=4, N=6, seed=0)
### BEGIN HIDDEN TESTS
check_absorb("five labels", K=5, d=4, D=3, N=7, seed=1)
### END HIDDEN TESTS


# %% [markdown]
# ## 4.4 How many latents can live? (3 points)
#
# In the lesson's linear CVAE-2 $\sigma$ was learned. Many programs fix it. With $\sigma$ *given*,
# $x \mid y, z \sim \mathcal N(Wz + Vy + b, \sigma^2 I)$ and $k$ latents: what is the greatest mean of $\log p(x \mid y)$ over
# the data, and how many columns of the best $W$ are not zero? The others are latents that have collapsed for good, and no
# warm-up revives them.
#
# What you need: the best $Vy + b$ is the mean image of each label, as in the lesson. In the direction of an eigenvector of
# the residuals' covariance, the data have the variance $\lambda$ and the model some variance $\ell$, which makes
# $-\tfrac12 \big(\log 2\pi\ell + \lambda / \ell\big)$ nats. The model may choose $\ell$ in $k$ directions, within what
# $WW^\top + \sigma^2 I$ allows (7.1); in the others $\ell = \sigma^2$.


# %% tags=["task:ceiling"]
def ceiling(x, labels, k, sigma):
    """(nats, alive): the greatest mean of log p(x|y), nats per image; the columns of W in use.

    x: [N, D]; labels: [N], integers, some of them perhaps absent; k: latents, k < D; sigma: σ > 0.
    """
    ### BEGIN SOLUTION
    residuals = np.array(x, "float64")
    for label in np.unique(labels):
        residuals[labels == label] -= x[labels == label].mean(0)
    eigenvalues = np.linalg.eigvalsh(residuals.T @ residuals / len(x))[::-1]  # λ, largest first
    model = np.full_like(eigenvalues, sigma**2)
    model[:k] = np.maximum(eigenvalues[:k], sigma**2)
    nats = -0.5 * np.sum(np.log(2 * np.pi * model) + eigenvalues / model)
    return nats, np.sum(model > sigma**2)
    ### END SOLUTION


# %% tags=["check:ceiling:3"]
def climb(x, y, k, sigma):
    """The best linear CVAE-2 with this σ by ascent. (nats, columns of W in use.)"""
    D, K = x.shape[1], y.shape[1]

    def unpack(v):
        return v[: D * k].reshape(D, k), v[D * k :].reshape(D, K)

    def loss(v):
        W, V = unpack(v)
        return -LinearGaussian(W, np.zeros(D), sigma, V=V).log_evidence(x, y).mean()

    start = np.random.default_rng(0).normal(0, 0.5, D * (k + K))
    found = minimize(loss, start, method="BFGS", options={"gtol": 1e-6})
    return -found.fun, np.sum(np.linalg.svd(unpack(found.x)[0])[1] > 0.05)


def hands(N, K, spread, seed):
    """Images of K labels, turned at random; `spread` holds the scales of the hand. [N, D]."""
    rng, D = np.random.default_rng(seed), len(spread)
    labels = np.arange(N) % K
    turn, _ = np.linalg.qr(rng.normal(size=(D, D)))
    hand = rng.normal(size=(N, D)) * spread
    return (2 * rng.normal(size=(K, D))[labels] + hand) @ turn, labels


def check_ceiling(name, x, labels, k, sigma):
    y = np.eye(labels.max() + 1)[np.unique(labels, return_inverse=True)[1]]
    y = y[:, y.any(0)]
    nats, alive = climb(x, y, k, sigma)
    residuals = x - y @ np.linalg.lstsq(y, x, rcond=None)[0]
    pca = PCA(k).fit(residuals)
    too_long = pca.components_.T * pca.singular_values_ / len(x) ** 0.5
    on_top = LinearGaussian(too_long, 0 * x[0], sigma)
    yours = ceiling(x, labels, k, sigma)
    require(yours is not None and len(yours) == 2, "Return two numbers: nats, and how many live.")
    slips = {
        "σ is given, not learned: this is the score with the best σ.": (
            oracle.ppca(x, k, y=y).log_evidence(x, y).mean()
        ),
        "That is the VAE's: the mean image of each label is to be taken off, not of all.": (
            climb(x, y.sum(1, keepdims=True), k, sigma)[0]
        ),
        "WWᵀ + σ²I has more variance than the data in the kept directions: by how much is W too "
        "long?": on_top.log_evidence(residuals).mean(),
        "The mean over the images is asked for, not the sum.": nats * len(x),
        "The sign: log p is asked for.": -nats,
    }
    if np.ndim(yours[0]) == 0 and yours[0] > nats + 1e-5:
        slips[
            "No W, V and b give that much. In every direction the model's variance is σ² at least, and "
            "other than σ² in k directions at most."
        ] = yours[0]
    compare(f"{name}: nats", yours[0], nats, atol=1e-5, unit="nats per image", slips=slips)
    slips = {
        "All of them? What would ℓ have to be where λ is below σ²?": k,
        "A latent lives where λ is above σ², and there are k latents.": np.sum(
            np.linalg.svd(residuals)[1] ** 2 / len(x) > sigma**2
        ),
    }
    compare(f"{name}: latents that live", yours[1], alive, slips=slips)


check_ceiling("σ = 1", *hands(60, 3, [3.0, 2.0, 0.5, 0.3, 0.2], seed=0), k=3, sigma=1.0)
check_ceiling("σ = 0.5", *hands(60, 3, [3.0, 2.0, 1.0, 0.6, 0.2], seed=0), k=2, sigma=0.5)
digits = datasets.digits().all
x_all, y_all = digits.x.astype("float64"), digits.y.astype("float64")
best = oracle.ppca(x_all, 8, y=y_all)
nats, score = (
    ceiling(x_all, digits.labels, 8, best.sigma)[0],
    best.log_evidence(x_all, y_all).mean(),
)
compare("the digits, σ as learned: nats", nats, score, unit="nats per image")
for fixed in (0.3, 0.5, 1.0):
    print(
        f"the digits, 8 latents, σ fixed at {fixed}: {ceiling(x_all, digits.labels, 8, fixed)[1]} live"
    )
### BEGIN HIDDEN TESTS
x, labels = hands(50, 2, [2.5, 0.5, 0.2, 0.1], seed=2)
check_ceiling("labels 1 and 3 only, σ = 1.1", x, 2 * labels + 1, k=2, sigma=1.1)
check_ceiling("nothing lives", *hands(40, 2, [0.6, 0.5, 0.4], seed=3), k=2, sigma=1.5)
### END HIDDEN TESTS


# %% [markdown]
# ## 4.5 Predict, then compute: may a reader look at q's means? (3 points)
#
# A CVAE-2 in which nothing is wrong: the data come from the model, and there is one hidden number, $z \sim \mathcal N(0, 1)$ for
# every label. Only, some labels show the hand clearly and others hardly: $x \mid y, z \sim \mathcal N(w_y z, \sigma^2 I)$ with
# one pattern $w_y$ for each label. $q$ has the true posterior's mean, and its standard deviation times a factor $c$.
#
# **Predict**, for $c = 1$, where $q$ is the true posterior: over all images of one label, pool the *means* of $q$, or one
# *draw* of $q$ from each image. Does the pool's spread differ from label to label, so that a reader could profit? Then compute
# the variances of both pools, for any $c$.


# %% tags=["task:pools"]
def spread_differs():
    """For c = 1, does the pool's variance depend on the label? True or False for each pool."""
    ### BEGIN SOLUTION
    return {"means": True, "draws": False}
    ### END SOLUTION


def pools(w, sigma, c):
    """(variance of q's means, variance of q's draws) over the images of each label, each [K].

    w: [K, D], the patterns; sigma: σ; c: q's standard deviation over the true posterior's.
    """
    ### BEGIN SOLUTION
    C = 1 / (1 + np.sum(w**2, axis=1) / sigma**2)  # (7.2): the posterior's variance
    of_means = 1 - C  # the rest of the prior's variance, 1 = E[C] + var(mean)
    return of_means, of_means + c**2 * C
    ### END SOLUTION


# %% tags=["check:pools:3"]
def by_moments(w, sigma):
    """Variance of the posterior's mean over the images of a label, and the posterior's, [2, K]."""
    both = []
    for pattern in w:
        model = LinearGaussian(pattern[:, None], 0 * pattern, sigma)
        gain, C = model.posterior(np.eye(len(pattern)))  # the mean is linear in x
        of_x = np.outer(pattern, pattern) + sigma**2 * np.eye(len(pattern))
        both.append([(gain.T @ of_x @ gain).item(), C.item()])
    return np.transpose(both)


def check_pools(name, w, sigma, c):
    of_means, C = by_moments(w, sigma)
    yours = pools(w, sigma, c)
    require(yours is not None and len(yours) == 2, "Return two arrays: of means, of draws.")
    slips = {
        "That is the posterior's own variance. How far do its means lie apart?": C,
        "That is the variance of the draws.": of_means + c**2 * C,
        "That is a standard deviation.": np.sqrt(of_means),
        "The means do not spread as the prior does: q shrinks them.": np.ones(len(w)),
        "The means are shrunk, and so is the noise that they take from x.": of_means**2,
    }
    compare(f"{name}: variance of the means", yours[0], of_means, slips=slips)
    slips = {
        "That is the width of q alone. Each draw has a mean of its own.": c**2 * C,
        "c is a factor on the standard deviation.": of_means + c * C,
        "That holds for c = 1 only.": np.ones(len(w)),
        "Those are the means. A draw has q's own width on top.": of_means,
    }
    compare(f"{name}: variance of the draws", yours[1], of_means + c**2 * C, slips=slips)


clear = np.array(
    [[0.1, 0.1, 0.0], [0.5, -0.4, 0.3], [2.0, 1.0, -2.0]]
)  # three labels, three pixels
check_pools("c = 1.5", clear, 0.8, 1.5)
check_pools("c = 1", clear, 0.8, 1.0)
answer, of_means, of_draws = spread_differs(), *pools(clear, 0.8, 1.0)
for name, pool in (("means", of_means), ("draws", of_draws)):
    guess = answer.get(name) if isinstance(answer, dict) else None
    require(guess in (True, False), f'The prediction for "{name}" should be True or False.')
    differs = np.ptp(pool) > 1e-9
    require(
        guess == differs,
        f"{name}: you predicted {guess}, but the variances of the three labels are "
        f"{', '.join(f'{v:.2f}' for v in pool)}.",
    )
rng, labels = np.random.default_rng(0), np.arange(6000) % 3
x = clear[labels] * rng.standard_normal((6000, 1)) + 0.8 * rng.standard_normal((6000, 3))
C = by_moments(clear, 0.8)[1][labels]
means = C * np.sum(clear[labels] * x, 1) / 0.8**2
for name, z in (("means", means), ("draws", means + np.sqrt(C) * rng.standard_normal(6000))):
    read = QuadraticDiscriminantAnalysis().fit(z[:3000, None], labels[:3000])
    right = read.score(z[3000:, None], labels[3000:])
    print(f"label read from {name} of q: {right:.0%} (guessing: 33%)")
### BEGIN HIDDEN TESTS
check_pools("c = 0.5", np.random.default_rng(1).normal(size=(4, 5)), 1.7, 0.5)
check_pools("c = 0", np.random.default_rng(2).normal(size=(2, 1)), 0.3, 0.0)
### END HIDDEN TESTS


# %% [markdown]
# ## 4.6 Find the bugs: one writer, several digits (3 points)
#
# One writer has sent $n$ images with their labels. All were written in one hand $z \sim \mathcal N(0, I)$, each by a linear
# CVAE-2's $p(x \mid y, z)$, independently given $z$. Write for this writer a label that was not among them: the program below
# returns the image's mean. Its users complain of two things. The new digit has something of the old ones in it. And the hand
# stays pale, even with a thousand images of the writer, when nothing about $z$ should be in doubt. Mend both. Decode
# the mean of $p(z \mid x_1, y_1, \dots, x_n, y_n)$.


# %%
def pale(model, x, y, y_new):
    """The writer's hand, writing y_new, [D]. x: [n, D]; y: [n, K]; y_new: [K].

    model: a LinearGaussian with W [D, d], V [D, K], b [D], sigma; A, a = 0 and S = I, as (4.1) says.
    """
    asked = np.tile(y_new, (len(x), 1))
    means, _ = model.posterior(x, asked)  # (7.2), image by image: [n, d]
    return model.W @ means.mean(0) + model.V @ y_new + model.b


# %% tags=["task:writer"]
def mended(model, x, y, y_new):
    """As above, with the hand that all n images together speak for. [D]."""
    ### BEGIN SOLUTION
    left_over = x - y @ model.V.T - model.b  # what each image's own label does not explain
    overlap = model.W.T @ model.W
    precision = np.eye(len(overlap)) + len(x) * overlap / model.sigma**2  # the prior counts once
    hand = np.linalg.solve(precision, left_over.sum(0) @ model.W / model.sigma**2)
    return model.W @ hand + model.V @ y_new + model.b
    ### END SOLUTION


# %% tags=["check:writer:3"]
def check_writer(name, n, D, d, K, seed):
    model = LinearGaussian.random(D, d, K, model="CVAE2", sigma_squared_min=1.0, seed=seed)
    rng = np.random.default_rng(seed)
    own, y_new = np.eye(K)[rng.integers(0, K - 1, n)], np.eye(K)[K - 1]
    z = rng.normal(size=d)
    x = z @ model.W.T + own @ model.V.T + model.b + model.sigma * rng.normal(size=(n, D))

    def write(hand):
        return model.W @ hand + model.V @ y_new + model.b

    def together(told):  # where log p(z) + Σ log p(x|y,z) is greatest: a Gaussian's mean
        rest = x - told @ model.V.T - model.b

        def loss(z):
            return -norm.logpdf(z).sum() - norm.logpdf(rest, model.W @ z, model.sigma).sum()

        return write(minimize(loss, np.zeros(d), method="BFGS", jac="3-point", tol=1e-9).x)

    asked = np.tile(y_new, (n, 1))
    alone, _ = model.posterior(x, own)
    true = together(own)
    no_prior = np.linalg.lstsq(model.W, (x - own @ model.V.T - model.b).mean(0), rcond=None)[0]
    slips = {
        "As it was. Which label is q told, and of which image?": pale(model, x, own, y_new),
        "The hand is no longer pale, but q is told the new label for old images.": together(asked),
        "The old digits are gone. But each of the n posteriors has the prior in it, and their mean "
        "has it n times as strongly as it should be.": write(alone.mean(0)),
        "A sum of n means grows for ever as images come in. With more images there is more to say, "
        "but also more certainty.": write(alone.sum(0)),
        "That is least squares: the prior is not in it at all. It counts once.": write(no_prior),
        "That is the hand of one image. There are others.": write(alone[0]),
        "The right hand, without the new label.": true - model.V @ y_new,
    }
    compare(name, mended(model, x, own, y_new), true, atol=1e-5, slips=slips)
    return [np.linalg.norm(write(z) - page) for page in (pale(model, x, own, y_new), true)]


check_writer("three images", n=3, D=6, d=2, K=4, seed=0)
before, after = check_writer("a thousand images", n=1000, D=6, d=2, K=4, seed=1)
print(f"off the writer's own by {before:.2f} before, by {after:.2f} now")
### BEGIN HIDDEN TESTS
check_writer("one image", n=1, D=4, d=3, K=3, seed=2)
_ = check_writer("seven images", n=7, D=3, d=3, K=5, seed=3)
### END HIDDEN TESTS
