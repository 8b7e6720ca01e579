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
# Six tasks on lessons 04a and 04b, seventeen points. In each, put your code in the place of the line that raises an
# error, then run the check below it: it prints your value beside the true one, or says what is wrong. No task needs
# another, so begin where you like.

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

from cvae_tf import datasets, exercises, oracle
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
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_causes(predictions, beliefs, seed):
    rng = np.random.default_rng(seed)

    def worlds(p_z, p_y, table):  # each (z, y, x) with its probability
        for z, a in ((0, 1 - p_z), (1, p_z)):
            for y, b in ((0, 1 - p_y), (1, p_y)):
                for x, c in ((0, 1 - table[z][y]), (1, table[z][y])):
                    yield z, y, x, a * b * c

    def chance(case, event, given=lambda z, y, x: True):
        all_worlds = list(worlds(*case))
        kept = sum(p for *w, p in all_worlds if given(*w))
        return sum(p for *w, p in all_worlds if event(*w) and given(*w)) / kept

    def true(p_z, p_y, table, x):
        case, z_is_1 = (p_z, p_y, table), lambda z, y, e: z == 1
        return np.array([
            chance(case, z_is_1), chance(case, z_is_1, lambda z, y, e: e == x),
            chance(case, z_is_1, lambda z, y, e: e == x and y == 1),
        ])  # fmt: skip

    def three(second, third):  # functions of (case, x); None keeps the true one
        def values(p_z, p_y, table, x):
            answer, case = true(p_z, p_y, table, x), (p_z, p_y, table)
            for i, f in ((1, second), (2, third)):
                answer[i] = f(case, x) if f else answer[i]
            return answer

        return values

    def when(event, given):
        return lambda case, x: chance(
            case, lambda z, y, e: event(z, y, e, x), lambda z, y, e: given(z, y, e, x)
        )

    z1, y1 = (lambda z, y, e, x: z == 1), (lambda z, y, e, x: y == 1)
    seen = lambda z, y, e, x: e == x  # noqa: E731
    always = lambda z, y, e, x: True  # noqa: E731

    def both(*events):
        return lambda *w: all(event(*w) for event in events)

    slips = {
        "In yours z and y stay independent once x is seen: y = 1 says nothing more.": three(
            None, when(z1, seen)
        ),
        "Being told y says nothing about z before x is seen; but x is seen.": three(
            None, when(z1, y1)
        ),
        "x is seen, and changes what you believe of z: your second is the prior.": three(
            when(z1, always), None
        ),
        "That is p(x | z=1), and p(x | z=1, y=1). The question is turned round.": three(
            when(seen, z1), when(seen, both(z1, y1))
        ),
        "Those are joint probabilities, of all days. Divide by how often x (and y) is so.": three(
            when(both(z1, seen), always), when(both(z1, seen, y1), always)
        ),
        "Your second is a joint probability. Divide by how often x is so.": three(
            when(both(z1, seen), always), None
        ),
        "Your third is a joint probability. Divide by how often x and y are so.": three(
            None, when(both(z1, seen, y1), always)
        ),
        "You took x = 1 for what is seen.": lambda p_z, p_y, table, x: true(p_z, p_y, table, 1),
        "You took x = 0 for what is seen.": lambda p_z, p_y, table, x: true(p_z, p_y, table, 0),
        "You took the other x for what is seen.": lambda p_z, p_y, table, x: true(
            p_z, p_y, table, 1 - x
        ),
        "p(x, z=1, y=1) is to be divided by p(x, y=1), not by p(x).": three(
            None, when(both(z1, y1), seen)
        ),
        "Your third is told y = 0.": three(None, when(z1, lambda z, y, e, x: e == x and y == 0)),
        "z and y have changed places: the table has z in its rows.": (
            lambda p_z, p_y, table, x: true(p_z, p_y, table.T, x)
        ),
        "The priors of z and y have changed places.": lambda p_z, p_y, table, x: true(
            p_y, p_z, table, x
        ),
        "Your p_z is that of z = 0.": lambda p_z, p_y, table, x: true(1 - p_z, p_y, table, x),
        "Your p_y is that of y = 0.": lambda p_z, p_y, table, x: true(p_z, 1 - p_y, table, x),
        "Those are the probabilities of z = 0.": lambda *c: 1 - true(*c),
        "Your second and third are the probabilities of z = 0.": three(
            lambda case, x: 1 - true(*case, x)[1], lambda case, x: 1 - true(*case, x)[2]
        ),
        "Your second is the probability of z = 0.": three(
            lambda case, x: 1 - true(*case, x)[1], None
        ),
        "Your third is the probability of z = 0.": three(
            None, lambda case, x: 1 - true(*case, x)[2]
        ),
        "Your second is about y: p(y=1 | x).": three(when(y1, seen), None),
        "Your third is p(y=1 | x, z=1): z and y have changed places.": three(
            None, when(y1, both(z1, seen))
        ),
        "y counts as often as it is 1: you weigh y = 0 and y = 1 alike.": (
            lambda p_z, p_y, table, x: true(p_z, 0.5, table, x)
        ),
        "The prior of z is missing from your posterior.": lambda p_z, p_y, table, x: [
            p_z, *true(0.5, p_y, table, x)[1:]
        ],
    }  # fmt: skip
    simpler = {
        "x is 1": lambda p_z, p_y, table, x: (p_z, p_y, table, 1),
        "x is 0": lambda p_z, p_y, table, x: (p_z, p_y, table, 0),
        "z = 1 is as likely as z = 0": lambda p_z, p_y, table, x: (0.5, p_y, table, x),
        "y = 1 is as likely as y = 0": lambda p_z, p_y, table, x: (p_z, 0.5, table, x),
        "all four of these are ½": lambda p_z, p_y, table, x: (0.5, 0.5, 0 * table + 0.5, x),
        "z and y count alike in the table": lambda p_z, p_y, table, x: (
            p_z, p_y, (table + table.T) / 2, x
        ),
        "x does not depend on y": lambda p_z, p_y, table, x: (
            p_z, p_y, np.tile(table[:, :1], 2), x
        ),
        "x does not depend on z": lambda p_z, p_y, table, x: (
            p_z, p_y, np.tile(table[:1], (2, 1)), x
        ),
        "x depends on neither": lambda p_z, p_y, table, x: (p_z, p_y, 0 * table + 0.3, x),
        "z and y are as likely as each other, and count alike": lambda p_z, p_y, table, x: (
            p_z, p_z, (table + table.T) / 2, x
        ),
    }  # fmt: skip
    lawn, stairs = np.array([[0.0, 0.5], [0.8, 0.9]]), np.array([[1.0, 0.0], [0.0, 1.0]])
    named = {
        "wet lawn": (0.3, 0.4, lawn, 1), "dry lawn": (0.3, 0.4, lawn, 0),
        "light on the stairs": (0.3, 0.4, stairs, 1),
    }  # fmt: skip
    edges = {
        **{f"this is the {name}": case for name, case in named.items()},
        "a lock needs two keys, and is shut": (0.6, 0.2, np.array([[0.0, 0.0], [0.0, 1.0]]), 0),
        "x depends on neither": (0.6, 0.2, np.full((2, 2), 0.3), 1),
        "z = 1 is very rare": (1e-9, 0.3, np.array([[0.1, 0.2], [0.7, 0.9]]), 1),
        "y = 1 is very rare": (0.3, 1e-9, np.array([[0.1, 0.2], [0.7, 0.9]]), 0),
    }
    cases = [(*rng.uniform(0.05, 0.95, 2), rng.uniform(0.05, 0.95, (2, 2)), x % 2) for x in range(8)]
    _e.agree(
        "p(z=1), given x, given x and y=1", beliefs, true, cases, atol=1e-9, slips=slips,
        edges=edges, simpler=simpler,
    )  # fmt: skip
    guesses = predictions()
    for name, case in named.items():
        _, before, after = true(*case)
        guess = guesses.get(name) if isinstance(guesses, dict) else None
        _e.require(
            guess in ("less", "more", "same"),
            f'The prediction for "{name}" should be "less", "more" or "same".',
        )
        found = "same" if abs(after - before) < 1e-9 else "more" if after > before else "less"
        _e.require(
            guess == found,
            f'{name}: you predicted "{guess}", but z = 1 goes from {before:.3f} to {after:.3f}. '
            "Seeing x opens the path between z and y; what comes through depends on the table.",
        )
        print(f"{name}, as you predicted: {found}, from {before:.3f} to {after:.3f}")


_check_causes(predictions, beliefs, seed=0)
### BEGIN HIDDEN TESTS
_check_causes(predictions, beliefs, seed=100)
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
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_blind(best_blind, seed):
    rng = np.random.default_rng(seed)

    def posteriors(p_z, p_y, log_likelihood):  # p(z|x,y) of each label, and p(y|x)
        joint = p_y[:, None] * p_z * np.exp(log_likelihood - np.max(log_likelihood))
        return joint / joint.sum(1, keepdims=True), joint.sum(1) / joint.sum()

    def cost(q, parts, weights):
        return sum(w * (q @ np.log(q / p)) for w, p in zip(weights, parts, strict=True))

    def best(parts, weights):  # the weighted geometric mean, made a distribution
        product = np.prod(parts ** np.reshape(weights, (-1, 1)), 0)
        q = product / product.sum()
        return q, cost(q, parts, weights)

    def true(*case):
        return best(*posteriors(*case))

    def even(K):
        return np.full(K, 1 / K)

    def mixed(*case):
        parts, weights = posteriors(*case)
        return weights @ parts, cost(weights @ parts, parts, weights)

    def q_only(f):
        return lambda *case: (f(*case, *posteriors(*case)), None)

    def cost_only(f):
        return lambda *case: (None, f(*case, *posteriors(*case)))

    slips = {
        "That is p(z|x), the average of the posteriors. KL(q‖p) averages their logarithms.": (
            lambda *case: (mixed(*case)[0], None)
        ),
        "The labels are not equally probable once x is seen.": q_only(
            lambda p_z, p_y, table, parts, w: best(parts, even(len(w)))[0]
        ),
        "x has been seen: weigh the labels by p(y|x), not by p(y).": q_only(
            lambda p_z, p_y, table, parts, w: best(parts, p_y)[0]
        ),
        "p(z) is missing: by Bayes' rule p(z|x,y) has a prior in it.": lambda p_z, p_y, table: (
            best(posteriors(even(len(p_z)), p_y, table)[0], posteriors(p_z, p_y, table)[1])[0], None
        ),
        "p(z) is missing, from the posteriors and from p(y|x).": lambda p_z, p_y, table: (
            true(even(len(p_z)), p_y, table)[0], None
        ),
        "p(y) is missing: p(y|x) has it in it.": lambda p_z, p_y, table: (
            true(p_z, even(len(p_y)), table)[0], None
        ),
        "That is the prior.": q_only(lambda p_z, p_y, table, parts, w: p_z),
        "Those are products of the posteriors: the weights belong into the exponents.": q_only(
            lambda p_z, p_y, table, parts, w: np.prod(parts, 0) / np.prod(parts, 0).sum()
        ),
        "That adds up to less than one: it is no distribution yet.": q_only(
            lambda p_z, p_y, table, parts, w: np.prod(parts ** w[:, None], 0)
        ),
        "Those are logarithms. q is asked for.": q_only(
            lambda p_z, p_y, table, parts, w: np.log(best(parts, w)[0])
        ),
        "That is the average of the logarithms, which is no distribution.": q_only(
            lambda p_z, p_y, table, parts, w: w @ np.log(parts)
        ),
        "That is the posterior of the likeliest label. The blind q serves all.": q_only(
            lambda p_z, p_y, table, parts, w: parts[w.argmax()]
        ),
        "A cost in nats that is below zero? No KL divergence is.": lambda *case: (
            None, -true(*case)[1]
        ),
        "That is what p(z|x) costs.": lambda *case: (None, mixed(*case)[1]),
        "The labels' costs are weighed alike: use p(y|x).": cost_only(
            lambda p_z, p_y, table, parts, w: cost(best(parts, w)[0], parts, even(len(w)))
        ),
        "That is the sum over the labels with equal weights.": cost_only(
            lambda p_z, p_y, table, parts, w: cost(best(parts, w)[0], parts, w**0)
        ),
        "The labels' costs are weighed by p(y). x has been seen.": cost_only(
            lambda p_z, p_y, table, parts, w: cost(best(parts, w)[0], parts, p_y)
        ),
        "The divergence is turned round: q stands first.": cost_only(
            lambda p_z, p_y, table, parts, w: sum(
                a * (p @ np.log(p / best(parts, w)[0])) for a, p in zip(w, parts, strict=True)
            )
        ),
        "That is the number that q was divided by: its logarithm, with a minus, is the cost.": (
            lambda *case: (None, np.exp(-true(*case)[1]))
        ),
    }  # fmt: skip
    simpler = {
        "there is one label": lambda p_z, p_y, t: (p_z, np.ones(1), t[:1]),
        "all labels are equally probable": lambda p_z, p_y, t: (p_z, even(len(p_y)), t),
        "all z have the same prior": lambda p_z, p_y, t: (even(len(p_z)), p_y, t),
        "all z explain x alike": lambda p_z, p_y, t: (p_z, p_y, np.tile(t[:, :1], len(p_z))),
        "all labels explain x alike": lambda p_z, p_y, t: (p_z, p_y, np.tile(t[:1], (len(p_y), 1))),
        "priors of z and y are even": lambda p_z, p_y, t: (even(len(p_z)), even(len(p_y)), t),
        "there are as many labels as states": lambda p_z, p_y, t: (
            p_z[: min(t.shape)] / p_z[: min(t.shape)].sum(),
            p_y[: min(t.shape)] / p_y[: min(t.shape)].sum(), t[: min(t.shape), : min(t.shape)],
        ),
        "nothing explains x better than anything else": lambda p_z, p_y, t: (p_z, p_y, 0 * t),
    }  # fmt: skip
    unchanged = {"all log-likelihoods rise by 3": lambda p_z, p_y, t: (p_z, p_y, t + 3)}

    def a_case(K, J):
        return (rng.dirichlet(np.full(J, 5.0)), rng.dirichlet(np.full(K, 5.0)),
                rng.normal(-6, 1.2, (K, J)))  # fmt: skip

    p_z, p_y, table = a_case(3, 4)
    edges = {
        "all of it lies 2,000 nats lower (exp(−2000) is zero on a computer)": (
            p_z, p_y, table - 2000
        ),
        "there is one label": (p_z, np.ones(1), table[:1]),
        "z has one state": (np.ones(1), p_y, table[:, :1]),
        "all labels have the same posterior": (p_z, p_y, np.tile(table[:1], (3, 1))),
        "labels and states are equally many": a_case(4, 4),
        "a label is very rare": (p_z, np.array([1 - 2e-9, 1e-9, 1e-9]), table),
    }
    with np.errstate(all="ignore"):
        _e.agree(
            "the best blind q", best_blind, true,
            [a_case(*size) for size in ((3, 5), (4, 3), (2, 6), (5, 4))], unit="nats",
            parts=("q", "its cost"), slips=slips, edges=edges, simpler=simpler,
            unchanged=unchanged,
        )  # fmt: skip
    print(f"p(z|x) in its place would cost {mixed(p_z, p_y, table)[1]:.3f} nats, the best q", end=" ")
    print(f"{true(p_z, p_y, table)[1]:.3f}.")


_check_blind(best_blind, seed=0)
### BEGIN HIDDEN TESTS
_check_blind(best_blind, seed=100)
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
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_absorb(absorbed_decoder, absorbed_posterior, seed):
    rng = np.random.default_rng(seed)

    def each(y):
        return [list(row).index(1) for row in y]

    def solved(T, v):
        return np.linalg.solve(T, v)

    def yours(m, T, decode, y, mu, sigma, u):
        decoder = absorbed_decoder(m, T, decode)
        _e.require(callable(decoder), "Return a function of (y, u).")
        answer = absorbed_posterior(m, T, y, mu, sigma)
        _e.require(
            answer is not None and len(answer) == 2, "Return two things: mean and covariance."
        )
        return decoder(y, u), *answer

    def at(place):  # the decoder at another z, a function of (T, m, u) of the pair's label
        def values(m, T, decode, y, mu, sigma, u):
            z = np.array([place(T[k], m[k], v) for k, v in zip(each(y), u, strict=True)])
            return decode(y, z), None, None

        return values

    def mean(f):  # of q', a function of (T, m, μ)
        return lambda m, T, decode, y, mu, sigma, u: (
            None, np.array([f(T[k], m[k], v) for k, v in zip(each(y), mu, strict=True)]), None
        )

    def covariance(f):  # of q', a function of (T⁻¹, σ)
        return lambda m, T, decode, y, mu, sigma, u: (
            None, None,
            np.array([f(np.linalg.inv(T[k]), s) for k, s in zip(each(y), sigma, strict=True)]),
        )

    def true(*case):  # by the points (1.5) of q, moved one by one
        m, T, decode, y, mu, sigma, u = case
        d = len(m[0])
        points = [mu + sigma * np.sqrt(d) * side for side in [*np.eye(d), *-np.eye(d)]]
        moved = np.array([
            [solved(T[k], z - m[k]) for k, z in zip(each(y), row, strict=True)] for row in points
        ])  # fmt: skip
        off = moved - moved.mean(0)
        decoded = at(lambda T, m, u: m + T @ u)(*case)[0]
        return decoded, moved.mean(0), np.einsum("sni,snj->nij", off, off) / (2 * d)

    diagonal = lambda T: np.diag(np.diag(T))  # noqa: E731
    slips = {
        "Your decoder takes u for z.": at(lambda T, m, u: u),
        "u is stretched and tilted, but not moved to the label's mean.": at(lambda T, m, u: T @ u),
        "u is moved to the label's mean, but neither stretched nor tilted.": at(
            lambda T, m, u: m + u
        ),
        "The tilt is lost: T has entries off its diagonal.": at(
            lambda T, m, u: m + diagonal(T) @ u
        ),
        "T is transposed: N(0, T Tᵀ) is what T u has, not Tᵀu.": at(lambda T, m, u: m + T.T @ u),
        "That goes from z to u. The decoder is given u and needs z.": at(
            lambda T, m, u: solved(T, u - m)
        ),
        "T is undone in your decoder: z = m + T u.": at(lambda T, m, u: m + solved(T, u)),
        "The label's mean is subtracted in your decoder.": at(lambda T, m, u: T @ u - m),
        "T stretches the label's mean as well in your decoder.": at(lambda T, m, u: T @ (u + m)),
        "u is subtracted in your decoder.": at(lambda T, m, u: m - T @ u),
        "Your decoder does not look at u.": at(lambda T, m, u: m),
        "q' is still at q's place, measured in z.": mean(lambda T, m, v: v),
        "q' is moved, but neither shrunk nor tilted.": mean(lambda T, m, v: v - m),
        "The prior's mean is to be taken off first.": mean(lambda T, m, v: solved(T, v)),
        "The prior's mean is taken off after the tilt is undone: take it off first.": mean(
            lambda T, m, v: solved(T, v) - m
        ),
        "The prior's mean is added, where it is to be taken off.": mean(
            lambda T, m, v: solved(T, v + m)
        ),
        "That is what the diagonal of T gives the mean. The tilt is lost.": mean(
            lambda T, m, v: (v - m) / np.diag(T)
        ),
        "Tᵀ stands where T belongs.": mean(lambda T, m, v: solved(T.T, v - m)),
        "That goes from u to z. q is given in z.": mean(lambda T, m, v: m + T @ v),
        "T is applied, where it is to be undone.": mean(lambda T, m, v: T @ (v - m)),
        "The sign: m − μ where μ − m belongs.": mean(lambda T, m, v: solved(T, m - v)),
        "q has a covariance in z. In u it is another.": covariance(lambda R, s: np.diag(s**2)),
        "σ holds standard deviations; a covariance has their squares.": covariance(
            lambda R, s: R @ np.diag(s) @ R.T
        ),
        "σ counts to the fourth power: it holds standard deviations.": covariance(
            lambda R, s: R @ np.diag(s**4) @ R.T
        ),
        "What stands on the right of the covariance is transposed.": covariance(
            lambda R, s: R @ np.diag(s**2) @ R
        ),
        "The transposed matrix stands on the wrong side.": covariance(
            lambda R, s: R.T @ np.diag(s**2) @ R
        ),
        "σ stretches the rows in yours. z's dimensions are the columns of T⁻¹.": covariance(
            lambda R, s: (s[:, None] * R) @ (s[:, None] * R).T
        ),
        "That is its diagonal only. In u the axes of q are tilted.": covariance(
            lambda R, s: np.diag(np.diag(R @ np.diag(s**2) @ R.T))
        ),
        "That is what the diagonal of T gives. The tilt is lost.": covariance(
            lambda R, s: np.diag((np.diag(R) * s) ** 2)
        ),
        "That is a square root of the covariance.": covariance(lambda R, s: R * s),
        "That is how T looks in u: q's own width σ is missing.": covariance(lambda R, s: R @ R.T),
        "T is applied to q's covariance, where it is to be undone.": covariance(
            lambda R, s: np.linalg.inv(R) @ np.diag(s**2) @ np.linalg.inv(R).T
        ),
    }  # fmt: skip
    simpler = {
        "nothing is tilted, T is diagonal": lambda m, T, *c: (m, T * np.eye(len(m[0])), *c),
        "T is I": lambda m, T, *c: (m, 0 * T + np.eye(len(m[0])), *c),
        "m is 0": lambda m, *c: (0 * m, *c),
        "σ is 1": lambda m, T, f, y, mu, sigma, u: (m, T, f, y, mu, sigma**0, u),
        "u is 0": lambda *c: (*c[:-1], 0 * c[-1]),
        "there is one pair": lambda m, T, f, y, mu, sigma, u: (
            m, T, lambda y, z: f(np.tile(y, (1, 1)), z), y[:1], mu[:1], sigma[:1], u[:1]
        ),
        "all labels have one prior": lambda m, T, *c: (0 * m + m[0], 0 * T + T[0], *c),
        "all σ are equal": lambda m, T, f, y, mu, sigma, u: (m, T, f, y, mu, 0 * sigma + 0.5, u),
        "T is I and m is 0": lambda m, T, *c: (0 * m, 0 * T + np.eye(len(m[0])), *c),
        "T is diagonal and σ is 1": lambda m, T, f, y, mu, sigma, u: (
            m, T * np.eye(len(m[0])), f, y, mu, sigma**0, u
        ),
    }  # fmt: skip

    def a_case(K, d, D, N):
        A, B = rng.normal(size=(d, D)), rng.normal(size=(K, D))
        T = np.tril(rng.normal(size=(K, d, d)), -1) + rng.uniform(0.4, 2, (K, 1, d)) * np.eye(d)
        y = np.eye(K)[rng.integers(0, K, N)]
        q = rng.normal(size=(N, d)), rng.uniform(0.3, 1.2, (N, d))

        def decode(y, z):
            return np.tanh(z @ A) + y @ B

        return 2 * rng.normal(size=(K, d)), T, decode, y, *q, rng.normal(size=(N, d))

    m, T, decode, y, mu, sigma, u = a_case(3, 2, 4, 5)
    edges = {
        "there is one pair": a_case(3, 2, 4, 1),
        "z has one dimension": a_case(3, 1, 2, 4),
        "there is one label": a_case(1, 2, 3, 4),
        "pairs, labels and dimensions are equally many": a_case(3, 3, 3, 3),
        "q is the prior": (m, 0 * T + np.eye(2), decode, y, y @ m, sigma**0, u),
        "T is very uneven": (m, 0 * T + np.array([[1e-3, 0], [3, 1e3]]), decode, y, mu, sigma, u),
    }
    sizes = ((3, 2, 4, 6), (5, 4, 3, 7), (2, 3, 5, 4))
    _e.agree(
        "the CVAE-2 in u", yours, true, [a_case(*size) for size in sizes], slips=slips,
        parts=("the decoder at u", "the mean of q'", "the covariance of q'"), edges=edges,
        simpler=simpler,
    )  # fmt: skip


_check_absorb(absorbed_decoder, absorbed_posterior, seed=0)
### BEGIN HIDDEN TESTS
_check_absorb(absorbed_decoder, absorbed_posterior, seed=100)
### END HIDDEN TESTS


# %% [markdown]
# ## 4.4 How many latents can live? (3 points)
#
# In the lesson's linear CVAE-2 $\sigma$ was learned. Many programs fix it. With $\sigma$ *given*,
# $x \mid y, z \sim \mathcal N(Wz + Vy + b, \sigma^2 I)$ and $k$ latents: what is the greatest mean of $\log p(x \mid y)$ over
# the data, and how many columns of the best $W$ are not zero, turned so that its columns are orthogonal? The others are
# latents that have collapsed for good, and no warm-up revives them.
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
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_ceiling(ceiling, seed):
    from cvae_tf import datasets, oracle
    from cvae_tf.oracle import LinearGaussian

    rng = np.random.default_rng(seed)

    def centred(x, labels):
        means = {k: x[labels == k].mean(0) for k in set(labels.tolist())}
        return x - np.array([means[k] for k in labels.tolist()])

    def modelled(rest, k, sigma, length=None):
        """The best W by the residuals' singular vectors, and the mean of log p under it."""
        _, values, turn = np.linalg.svd(rest, full_matrices=False)
        variances = np.pad(values**2 / len(rest), (0, rest.shape[1]))[: rest.shape[1]]
        turn = np.vstack([turn, np.zeros((rest.shape[1], rest.shape[1]))])[: rest.shape[1]]
        spread = np.sqrt(np.maximum(variances - sigma**2, 0)) if length is None else length(variances)
        W = (turn[:k] * spread[:k, None]).T
        model = LinearGaussian(W, np.zeros(rest.shape[1]), sigma)
        return model.log_evidence(rest).mean(), variances, np.sum(np.any(W != 0, 0))

    def true(x, labels, k, sigma):
        nats, _, alive = modelled(centred(x, labels), k, sigma)
        return nats, alive

    def nats(f):
        return lambda *case: (f(*case), None)

    def alive(f):
        def values(x, labels, k, sigma):
            return None, f(modelled(centred(x, labels), k, sigma)[1], k, sigma)

        return values

    def of_variances(f):  # nats by a formula in the residuals' variances λ
        def values(x, labels, k, sigma):
            v = modelled(centred(x, labels), k, sigma)[1]
            model = f(v, np.arange(len(v)) < k, sigma)
            return -0.5 * np.sum(np.log(2 * np.pi * model) + v / model), None

        return values

    slips = {
        "σ is given, not learned: this is the score with the best σ.": nats(
            lambda x, labels, k, sigma: oracle.ppca(centred(x, labels), k)
            .log_evidence(centred(x, labels)).mean()
        ),
        "That is the VAE's: the mean image of each label is to be taken off, not of all.": (
            lambda x, labels, k, sigma: (modelled(x - x.mean(0), k, sigma)[0], None)
        ),
        "No mean is taken off in yours: the best V y + b is the mean image of each label.": (
            lambda x, labels, k, sigma: (modelled(x, k, sigma)[0], None)
        ),
        "WWᵀ + σ²I has more variance than the data in the kept directions: by how much is W too "
        "long?": nats(
            lambda x, labels, k, sigma: modelled(centred(x, labels), k, sigma, np.sqrt)[0]
        ),
        "The mean over the images is asked for, not the sum.": nats(
            lambda x, *c: true(x, *c)[0] * len(x)
        ),
        "The sign: log p is asked for.": nats(lambda *c: -true(*c)[0]),
        "No W, V and b give that much: ℓ is σ² at least, and yours is λ where λ is less.": (
            of_variances(lambda v, kept, sigma: np.where(kept, v, sigma**2))
        ),
        "No W, V and b give that much: in all but k directions ℓ is σ².": of_variances(
            lambda v, kept, sigma: np.maximum(v, sigma**2)
        ),
        "ℓ is a variance: σ² where the direction is not kept, and you have σ.": of_variances(
            lambda v, kept, sigma: np.where(kept, np.maximum(v, sigma**2), sigma)
        ),
        "λ is compared with σ, where σ² belongs.": of_variances(
            lambda v, kept, sigma: np.where(kept, np.maximum(v, sigma), sigma**2)
        ),
        "ℓ is the smaller of λ and σ² in yours: it is the greater.": of_variances(
            lambda v, kept, sigma: np.where(kept, np.minimum(v, sigma**2), sigma**2)
        ),
        "Nothing is explained in yours: ℓ is σ² in every direction.": of_variances(
            lambda v, kept, sigma: 0 * v + sigma**2
        ),
        "Your kept directions are the smallest, not the largest.": of_variances(
            lambda v, kept, sigma: np.where(kept[::-1], np.maximum(v, sigma**2), sigma**2)
        ),
        "The covariance is divided by N − 1 in yours: the greatest mean needs N.": nats(
            lambda x, labels, k, sigma: of_sample(centred(x, labels), k, sigma)
        ),
        "All of them? What would ℓ have to be where λ is below σ²?": alive(lambda v, k, sigma: k),
        "A latent lives where λ is above σ², and there are k latents.": alive(
            lambda v, k, sigma: np.sum(v > sigma**2)
        ),
        "λ is a variance: it is compared with σ², not with σ.": alive(
            lambda v, k, sigma: np.sum(v[:k] > sigma)
        ),
        "Those are the latents that have collapsed.": alive(
            lambda v, k, sigma: np.sum(v[:k] <= sigma**2)
        ),
        "All directions are counted in yours.": alive(lambda v, k, sigma: len(v)),
        "σ is squared once: λ is compared with σ² and yours with σ⁴.": alive(
            lambda v, k, sigma: np.sum(v[:k] > sigma**4)
        ),
    }  # fmt: skip

    def of_sample(rest, k, sigma):
        v = modelled(rest, k, sigma)[1] * len(rest) / (len(rest) - 1)
        model = np.where(np.arange(len(v)) < k, np.maximum(v, sigma**2), sigma**2)
        return -0.5 * np.sum(np.log(2 * np.pi * model) + v / model)

    def in_nats(f):
        def term(x, labels, k, sigma):
            v = modelled(centred(x, labels), k, sigma)[1]
            model = np.where(np.arange(len(v)) < k, np.maximum(v, sigma**2), sigma**2)
            return -0.5 * np.sum(f(v, model)), 0.0

        return term

    terms = {
        "log 2π": in_nats(lambda v, model: 0 * v + np.log(2 * np.pi)),
        "log ℓ": in_nats(lambda v, model: np.log(model)),
        "λ / ℓ": in_nats(lambda v, model: v / model),
    }
    simpler = {
        "σ is 1": lambda x, labels, k, sigma: (x, labels, k, 1.0),
        "there is one label": lambda x, labels, k, sigma: (x, 0 * labels, k, sigma),
        "there is one label, and the images have mean 0": lambda x, labels, k, sigma: (
            x - x.mean(0), 0 * labels, k, sigma
        ),
        "nothing lives": lambda x, labels, k, sigma: (x, labels, k, 30.0),
        "everything lives": lambda x, labels, k, sigma: (x, labels, k, 0.01),
        "σ is 1 and nothing lives": lambda x, labels, k, sigma: (0.01 * x, labels, k, 1.0),
        "each label's mean is 0": lambda x, labels, k, sigma: (
            centred(x, labels), labels, k, sigma
        ),
        "there is one latent": lambda x, labels, k, sigma: (x, labels, 1, sigma),
        "all images of a label are alike": lambda x, labels, k, sigma: (
            x - centred(x, labels), labels, k, sigma
        ),
    }  # fmt: skip
    unchanged = {
        "all images are moved alike": lambda x, labels, k, sigma: (x + 3, labels, k, sigma),
        "the labels have other numbers": lambda x, labels, k, sigma: (x, 2 * labels + 1, k, sigma),
        "every image comes twice": lambda x, labels, k, sigma: (
            np.tile(x, (2, 1)), np.tile(labels, 2), k, sigma
        ),
    }  # fmt: skip

    def a_case(N, K, spread, k, sigma):
        """Images of K labels, turned at random; `spread` holds the scales of the hand."""
        D = len(spread)
        labels = rng.permutation(np.arange(N) % K)
        turn, _ = np.linalg.qr(rng.normal(size=(D, D)))
        hand = rng.normal(size=(N, D)) * spread
        return (2 * rng.normal(size=(K, D))[labels] + hand) @ turn, labels, k, sigma

    x, labels, *_ = a_case(50, 2, [2.5, 0.5, 0.2, 0.1], 2, 1.1)
    digits = datasets.digits().all
    x_all, y_all = digits.x.astype("float64"), digits.y.astype("float64")
    edges = {
        "only the labels 1 and 3 occur": (x, 2 * labels + 1, 2, 1.1),
        "nothing lives": a_case(40, 2, [0.6, 0.5, 0.4], 2, 1.5),
        "everything lives": a_case(40, 2, [3.0, 2.0, 1.0], 2, 0.1),
        "there is one label": (x, 0 * labels, 2, 0.4),
        "a label has one image": (x, np.where(np.arange(50) == 7, 9, labels), 1, 0.4),
        "the data are the digits": (x_all, digits.labels, 8, oracle.ppca(x_all, 8, y=y_all).sigma),
    }
    cases = [
        a_case(60, 3, [3.0, 2.0, 0.5, 0.3, 0.2], 3, 1.0), a_case(60, 3, [3, 2, 1, 0.6, 0.2], 2, 0.5),
        a_case(45, 4, [2.0, 1.5, 1.2, 0.4], 3, 1.3), a_case(50, 2, [2.5, 1.6, 1.1, 0.9, 0.3], 4, 1.2),
        a_case(70, 5, [1.5, 0.8, 0.75, 0.7, 0.3, 0.1], 4, 0.72),
    ]  # fmt: skip
    _e.agree(
        "the ceiling", ceiling, true, cases, atol=1e-5, unit="nats per image",
        parts=("nats", "latents that live"), slips=slips, terms=terms, edges=edges,
        simpler=simpler, unchanged=unchanged,
    )  # fmt: skip
    for fixed in (0.3, 0.5, 1.0):
        living = true(x_all, digits.labels, 8, fixed)[1]
        print(f"the digits, 8 latents, σ fixed at {fixed}: {living} live")


_check_ceiling(ceiling, seed=0)
### BEGIN HIDDEN TESTS
_check_ceiling(ceiling, seed=100)
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
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_pools(spread_differs, pools, seed):
    from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis

    from cvae_tf.oracle import LinearGaussian

    rng = np.random.default_rng(seed)

    def by_moments(w, sigma):
        """Variance of the posterior's mean over the images of a label, and the posterior's, [2, K]."""
        both = []
        for pattern in w:
            model = LinearGaussian(pattern[:, None], 0 * pattern, sigma)
            gain, C = model.posterior(np.eye(len(pattern)))  # the mean is linear in x
            of_x = np.outer(pattern, pattern) + sigma**2 * np.eye(len(pattern))
            both.append([(gain.T @ of_x @ gain).item(), C.item()])
        return np.transpose(both)

    def true(w, sigma, c):
        of_means, C = by_moments(w, sigma)
        return of_means, of_means + C * c * c  # a draw has q's own width as well

    def first(f):  # a function of (variance of the means, C)
        return lambda w, sigma, c: (f(*by_moments(w, sigma)), None)

    def second(f):
        return lambda w, sigma, c: (None, f(*by_moments(w, sigma), c))

    def with_case(change):
        return lambda *case: true(*change(*case))

    slips = {
        "That is the posterior's own variance. How far do its means lie apart?": first(
            lambda v, C: C
        ),
        "That is a standard deviation.": first(lambda v, C: np.sqrt(v)),
        "The means do not spread as the prior does: q shrinks them.": first(lambda v, C: v**0),
        "The noise of x is left out: it moves the means, too.": first(lambda v, C: v * (1 - C)),
        "The posterior's variance is added, where it is what the means lack.": first(
            lambda v, C: 1 + C
        ),
        "One value for each label: you took their mean.": lambda *c: (true(*c)[0].mean(), None),
        "In the other order, please: of the means first.": lambda *c: true(*c)[::-1],
        "That is the width of q alone. Each draw has a mean of its own.": second(
            lambda v, C, c: c**2 * C
        ),
        "c is a factor on the standard deviation.": second(lambda v, C, c: v + c * C),
        "c is squared once: it is a factor on the standard deviation.": second(
            lambda v, C, c: v + c**4 * C
        ),
        "That holds for c = 1 only.": second(lambda v, C, c: v**0),
        "Those are the means. A draw has q's own width on top.": second(lambda v, C, c: v),
        "Variances add up; you added standard deviations.": second(
            lambda v, C, c: (np.sqrt(v) + c * np.sqrt(C)) ** 2
        ),
        "q's own width is a variance, C. You added its root.": second(
            lambda v, C, c: v + c * np.sqrt(C)
        ),
        "c stretches q's own width, not the pool of the means.": second(
            lambda v, C, c: c**2 * (v + C)
        ),
        "q's width is subtracted from the pool: it comes on top.": second(
            lambda v, C, c: v - c**2 * C
        ),
        "σ stands where σ² belongs.": with_case(lambda w, sigma, c: (w, np.sqrt(sigma), c)),
        "σ⁴ stands where σ² belongs.": with_case(lambda w, sigma, c: (w, sigma**2, c)),
        "σ has no part in yours.": with_case(lambda w, sigma, c: (w, 1.0, c)),
        "The pixels' squares add up; you took their mean.": with_case(
            lambda w, sigma, c: (w / np.sqrt(w.shape[1]), sigma, c)
        ),
        "All labels have one pattern in yours, their sum of squares over all.": with_case(
            lambda w, sigma, c: (np.full((len(w), 1), np.linalg.norm(w)), sigma, c)
        ),
    }  # fmt: skip
    simpler = {
        "c is 1": lambda w, sigma, c: (w, sigma, 1.0),
        "c is 0": lambda w, sigma, c: (w, sigma, 0.0),
        "σ is 1": lambda w, sigma, c: (w, 1.0, c),
        "x shows nothing, w = 0": lambda w, sigma, c: (0 * w, sigma, c),
        "x is one number": lambda w, sigma, c: (w[:, :1], sigma, c),
        "all labels have one pattern": lambda w, sigma, c: (0 * w + w[0], sigma, c),
        "there is one label": lambda w, sigma, c: (w[:1], sigma, c),
        "c and σ are 1": lambda w, sigma, c: (w, 1.0, 1.0),
        "each pattern is as strong as the noise": lambda w, sigma, c: (
            sigma * w / np.linalg.norm(w, axis=1, keepdims=True), sigma, c
        ),
        "c is 1 and x shows nothing": lambda w, sigma, c: (0 * w, sigma, 1.0),
    }  # fmt: skip

    def a_case(K, D):
        return rng.normal(size=(K, D)), rng.uniform(0.4, 1.8), rng.uniform(0.3, 2)

    w = a_case(3, 4)[0]
    edges = {
        "c is 1": (w, 0.8, 1.0),
        "c is 0: each draw is the mean": (w, 0.8, 0.0),
        "x is one number": a_case(2, 1),
        "there is one label": a_case(1, 3),
        "labels and pixels are equally many": a_case(3, 3),
        "one label shows nothing": (w * [[0], [1], [1]], 0.7, 1.3),
        "the noise is very small": (w, 1e-3, 1.5),
        "the noise is very large": (w, 1e3, 1.5),
    }
    sizes = ((3, 5), (4, 2), (2, 6), (5, 3))
    _e.agree(
        "variances", pools, true, [a_case(*size) for size in sizes],
        parts=("of the means", "of the draws"), slips=slips, edges=edges, simpler=simpler,
    )  # fmt: skip
    clear = np.array([[0.1, 0.1, 0.0], [0.5, -0.4, 0.3], [2.0, 1.0, -2.0]])
    answer = spread_differs()
    for name, pool in zip(("means", "draws"), true(clear, 0.8, 1.0), strict=True):
        guess = answer.get(name) if isinstance(answer, dict) else None
        _e.require(guess in (True, False), f'The prediction for "{name}" should be True or False.')
        _e.require(
            guess == (np.ptp(pool) > 1e-9),
            f"{name}: you predicted {guess}, but the variances of three labels are "
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


_check_pools(spread_differs, pools, seed=0)
### BEGIN HIDDEN TESTS
_check_pools(spread_differs, pools, seed=100)
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
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_writer(mended, seed):
    from cvae_tf.oracle import LinearGaussian

    rng = np.random.default_rng(seed)

    def write(model, hand, y_new):
        return model.W @ hand + model.V @ y_new + model.b

    def together(model, x, y, sigma=None, prior=1.0):
        """The mean of p(z|all images): least squares, the prior as one more observation of z."""
        sigma, d = sigma or model.sigma, model.W.shape[1]
        rest = x - y @ model.V.T - model.b
        rows = np.vstack([np.tile(model.W / sigma, (len(x), 1)), np.sqrt(prior) * np.eye(d)])
        seen = np.concatenate([np.ravel(rest) / sigma, np.zeros(d)])
        return np.linalg.lstsq(rows, seen, rcond=None)[0]

    def hand(f):  # another hand, a function of the case
        return lambda model, x, y, y_new: write(model, f(model, x, y, y_new), y_new)

    true = hand(lambda model, x, y, y_new: together(model, x, y))

    def asked(x, y_new):
        return np.tile(y_new, (len(x), 1))

    def alone(model, x, y):
        return model.posterior(x, y)[0]

    def without(model, **changes):
        facts = dict(W=model.W, b=model.b, sigma=model.sigma, V=model.V, A=model.A, a=model.a,
                     S=model.S) | changes  # fmt: skip
        return LinearGaussian(**facts)

    slips = {
        "As it was. Which label is q told, and of which image?": hand(
            lambda model, x, y, new: alone(model, x, asked(x, new)).mean(0)
        ),
        "The hand is no longer pale, but q is told the new label for old images.": hand(
            lambda model, x, y, new: together(model, x, asked(x, new))
        ),
        "The old digits are gone. But each of the n posteriors has the prior in it, and their mean "
        "has it n times as strongly as it should be.": hand(
            lambda model, x, y, new: alone(model, x, y).mean(0)
        ),
        "Your precision holds one image's evidence, and the rest that of all: a sum of n means grows for "
        "ever as images come in. With more images there is more to say, but also more certainty.": hand(lambda model, x, y, new: alone(model, x, y).sum(0)),
        "That is least squares: the prior is not in it at all. It counts once.": hand(
            lambda model, x, y, new: together(model, x, y, prior=0.0)
        ),
        "That is the hand of one image. There are others.": hand(
            lambda model, x, y, new: alone(model, x, y)[0]
        ),
        "The right hand, without the new label.": lambda model, x, y, new: (
            true(model, x, y, new) - model.V @ new
        ),
        "The right hand, without b.": lambda model, *c: true(model, *c) - model.b,
        "That is the hand. Return the image that it writes.": lambda model, x, y, new: (
            together(model, x, y)
        ),
        "No hand is in yours: that is the new label's mean image.": hand(
            lambda model, x, y, new: np.zeros(model.W.shape[1])
        ),
        "What the labels explain is not taken off the images: V y is missing.": hand(
            lambda model, x, y, new: together(model, x, 0 * y)
        ),
        "b is not taken off the images.": hand(
            lambda model, x, y, new: together(without(model, b=0 * model.b), x, y)
        ),
        "σ stands where σ² belongs.": hand(
            lambda model, x, y, new: together(model, x, y, sigma=np.sqrt(model.sigma))
        ),
        "σ has no part in yours.": hand(
            lambda model, x, y, new: together(model, x, y, sigma=1.0)
        ),
        "n is in your precision, but the images' evidence is averaged, not added.": hand(
            lambda model, x, y, new: together(model, x, y) / len(x)
        ),
        "V y and b are added to the images: they are to be taken off.": hand(
            lambda model, x, y, new: together(
                without(model, V=-model.V, b=-model.b), x, y)
        ),
        "The new label's mean image is subtracted in yours.": lambda model, x, y, new: (
            true(model, x, y, new) - 2 * model.V @ new
        ),
        "The hand writes with a minus in yours.": hand(
            lambda model, x, y, new: -together(model, x, y)
        ),
    }  # fmt: skip
    simpler = {
        "σ is 1": lambda model, *c: (without(model, sigma=1.0), *c),
        "there is one image": lambda model, x, y, new: (model, x[:1], y[:1], new),
        "V is 0": lambda model, *c: (without(model, V=0 * model.V), *c),
        "b is 0": lambda model, *c: (without(model, b=0 * model.b), *c),
        "z has one dimension": lambda model, *c: (
            without(model, W=model.W[:, :1]), *c  # A, a and S are CVAE-2's: 0, 0 and I
        ),
        "the columns of W are orthonormal": lambda model, *c: (
            without(model, W=np.linalg.qr(model.W)[0]), *c
        ),
        "b and V are 0": lambda model, *c: (without(model, V=0 * model.V, b=0 * model.b), *c),
        "there is one image and σ is 1": lambda model, x, y, new: (
            without(model, sigma=1.0), x[:1], y[:1], new
        ),
        "W is 0": lambda model, *c: (without(model, W=0 * model.W), *c),
        "the images show nothing of the hand": lambda model, x, y, new: (
            model, y @ model.V.T + model.b, y, new
        ),
    }  # fmt: skip

    def a_case(n, D, d, K):
        model = LinearGaussian.random(
            D, d, K, model="CVAE2", sigma_squared_min=1.0, seed=int(rng.integers(1000))
        )
        y = np.eye(K)[rng.integers(0, max(K - 1, 1), n)]
        noise = model.sigma * rng.normal(size=(n, D))
        x = rng.normal(size=d) @ model.W.T + y @ model.V.T + model.b + noise
        return model, x, y, np.eye(K)[K - 1]

    many = a_case(1000, 6, 2, 4)
    edges = {
        "there is one image": a_case(1, 4, 3, 3),
        "there are a thousand images": many,
        "z has one dimension": a_case(5, 4, 1, 3),
        "images, pixels, labels and dimensions are equally many": a_case(3, 3, 3, 3),
        "the new label is among the old ones": (*many[:2], many[2], many[2][0]),
        "z has as many dimensions as x": a_case(7, 3, 3, 5),
    }
    sizes = ((3, 6, 2, 4), (7, 5, 3, 5), (4, 8, 4, 3), (12, 4, 2, 6))
    _e.agree(
        "the new image", mended, true, [a_case(*size) for size in sizes], atol=1e-5, slips=slips,
        edges=edges, simpler=simpler,
    )  # fmt: skip
    model, x, y, new = many
    pale = write(model, alone(model, x, asked(x, new)).mean(0), new)
    print(f"a thousand images: the old page is off by {np.linalg.norm(pale - true(*many)):.2f}")


_check_writer(mended, seed=0)
### BEGIN HIDDEN TESTS
_check_writer(mended, seed=100)
### END HIDDEN TESTS
