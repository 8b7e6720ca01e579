# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercises 8 · Few labels
#
# Seven tasks on lesson 08, seventeen points. In each, put your code in the place of the line that raises an error,
# then run the check below it: it prints your value beside the true one, or says what is wrong. No task needs
# another. NumPy is enough; labels are integers, and −1 stands for "not known".

# %%
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
from scipy.special import log_softmax, logsumexp
from sklearn.linear_model import LogisticRegression

from cvae_tf import datasets, exercises

# %% [markdown]
# ## 8.1 The sum over classes (3 points)
#
# A network gives `logits`, ten numbers per image whose softmax is $q(y \mid x)$; a labelled bound
# $\mathcal L(x, y)$, (8.1), is known for each of the classes. Return the unlabelled bound $\mathcal U(x)$ of (8.2), with
# the sum over the classes exact. Logits may be as far apart as ±800. (`log_softmax` is imported.)


# %% tags=["task:unlabelled"]
def unlabelled(logits, L):
    """U(x) of (8.2). logits, L: [B, C], L in nats. Returns [B], nats."""
    ### BEGIN SOLUTION
    log_q = log_softmax(logits, -1)
    return np.einsum("bc,bc->b", np.exp(log_q), L - log_q)
    ### END SOLUTION


# %% tags=["check:unlabelled:3"]
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_unlabelled(unlabelled, seed):
    rng = np.random.default_rng(seed)

    def log_q(logits):
        return [[v - np.logaddexp.reduce(row) for v in row] for row in logits]

    def sums(logits, each):  # one image and one class at a time
        return np.array([sum(each(*pair) for pair in zip(*rows, strict=True)) for rows in logits])

    def mean(logits, L):
        return sums(zip(log_q(logits), L, strict=True), lambda q, b: np.exp(q) * b)

    def entropy(logits, L):
        return sums(zip(log_q(logits), strict=True), lambda q: -np.exp(q) * q)

    def true(logits, L):
        return mean(logits, L) + entropy(logits, L)

    def inside(logits, L):  # log Σ q exp(L)
        return [np.logaddexp.reduce(np.add(*rows)) for rows in zip(log_q(logits), L, strict=True)]

    slips = {
        "The entropy of q(y|x) is missing.": mean,
        "That is the entropy alone.": entropy,
        "The entropy enters with a plus: −Σ q log q is H.": lambda *c: mean(*c) - entropy(*c),
        "Weigh each class by q(y|x); this takes all alike.": lambda logits, L: (
            L.mean(-1) + entropy(logits, L)
        ),
        "The classes' bounds are averaged under q(y|x), not added up.": lambda logits, L: (
            L.sum(-1) + entropy(logits, L)
        ),
        "This is log Σ q exp(L): a logarithm of a mean, and not (8.2).": inside,
        "Logits are no probabilities until the softmax has made them so.": lambda logits, L: (
            (logits * (L - logits)).sum(-1)
        ),
        "exp(logits) does not add up to one: the normaliser is missing.": lambda logits, L: (
            (np.exp(logits) * (L - logits)).sum(-1)
        ),
        "The classes' terms are averaged: (8.2) has their sum.": lambda *c: (
            true(*c) / c[0].shape[1]
        ),
        "One number for the batch: each image has its own.": lambda *c: true(*c).sum(),
        "One number for the batch, its mean: each image has its own.": lambda *c: true(*c).mean(),
        "Your softmax runs over the images of the batch. It runs over the classes.": (
            lambda logits, L: np.sum(np.exp(np.transpose(log_q(logits.T)))
                                     * (L - np.transpose(log_q(logits.T))), -1)
        ),
        "That is the bound of the likeliest class. (8.2) averages over all.": lambda logits, L: (
            L[np.arange(len(L)), logits.argmax(-1)]
        ),
        "The terms are weighed by log q, where q is meant.": lambda logits, L: (
            np.sum(log_q(logits) * (L - log_q(logits)), -1)
        ),
    }  # fmt: skip
    terms = {"the entropy of q(y|x)": entropy, "the mean of the bounds": mean}
    simpler = {
        "q takes all classes alike": lambda logits, L: (0 * logits, L),
        "all bounds are alike": lambda logits, L: (logits, np.full_like(L, L[0, 0])),
        "all bounds are 0": lambda logits, L: (logits, 0 * L),
        "there is one image": lambda logits, L: (logits[:1], L[:1]),
        "there are two classes": lambda logits, L: (logits[:, :2], L[:, :2]),
        "there is one class": lambda logits, L: (logits[:, :1], L[:, :1]),
    }
    unchanged = {"all logits of an image rise by 3": lambda logits, L: (logits + 3, L)}

    def a_case(B, C, spread=1.5):
        return rng.normal(0, spread, (B, C)), rng.normal(-20, 3, (B, C))

    edges = {
        "the logits are 800, 0 and −800 (0 · log 0 is 0: take the logarithm of q from them)": (
            np.array([[800.0, 0.0, -800.0]]), np.array([[-3.0, -4.0, -5.0]])
        ),
        "all logits are 800": (np.full((2, 3), 800.0), a_case(2, 3)[1]),
        "q takes all classes alike": (np.zeros((2, 4)), a_case(2, 4)[1]),
        "there is one image": a_case(1, 10),
        "there is one class": a_case(3, 1),
        "images and classes are equally many": a_case(4, 4),
        "the bounds lie a thousand nats apart": (np.zeros((1, 2)), np.array([[-5.0, -1005.0]])),
    }  # fmt: skip
    sizes = ((4, 10), (3, 4), (6, 2), (2, 7), (5, 3))
    with np.errstate(all="ignore"):
        _e.agree(
            "U", unlabelled, true, [a_case(*size) for size in sizes], unit="nats", slips=slips,
            terms=terms, edges=edges, simpler=simpler, unchanged=unchanged,
        )  # fmt: skip


_check_unlabelled(unlabelled, seed=0)
### BEGIN HIDDEN TESTS
_check_unlabelled(unlabelled, seed=100)
### END HIDDEN TESTS


# %% [markdown]
# ## 8.2 A minibatch that stands for all (2 points)
#
# The data hold `N_l` labelled and `N_u` unlabelled images; a minibatch brings some of each. Return a weight for each
# image of the minibatch such that $\sum_i w_i\, b_i$ is an unbiased estimate of the sum of the bounds $b$ over *all*
# the data, whatever the minibatch's mix.


# %% tags=["task:weights"]
def weights(labels, N_l, N_u):
    """The factors of (8.3). labels: [M], −1 where unlabelled; both kinds occur. Returns [M]."""
    ### BEGIN SOLUTION
    known = labels >= 0
    return np.where(known, N_l / known.sum(), N_u / (~known).sum())
    ### END SOLUTION


# %% tags=["check:weights:2"]
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_weights(weights, seed):
    rng = np.random.default_rng(seed)

    def count(labels):
        return sum(1 for label in labels if label != -1)

    def true(labels, N_l, N_u):
        M_l = count(labels)
        return [N_u / (len(labels) - M_l) if k == -1 else N_l / M_l for k in labels]

    def by_kind(labelled, unlabelled):  # functions of (N_l, N_u, M_l, M_u)
        def values(labels, N_l, N_u):
            M_l = count(labels)
            numbers = N_l, N_u, M_l, len(labels) - M_l
            return [unlabelled(*numbers) if k == -1 else labelled(*numbers) for k in labels]

        return values

    slips = {
        "That is the same weight for all: it lets the minibatch's mix decide.": by_kind(
            lambda Nl, Nu, Ml, Mu: (Nl + Nu) / (Ml + Mu), lambda Nl, Nu, Ml, Mu: (Nl + Nu) / (Ml + Mu)
        ),
        "Turned over: a weight says for how many images of the data one of the batch stands.": by_kind(
            lambda Nl, Nu, Ml, Mu: Ml / Nl, lambda Nl, Nu, Ml, Mu: Mu / Nu
        ),
        "The label 0 is a label: unknown is −1.": lambda labels, N_l, N_u: np.where(
            labels > 0, N_l / max(np.sum(labels > 0), 1), N_u / np.sum(labels <= 0)
        ),
        "Labelled and unlabelled have changed places.": by_kind(
            lambda Nl, Nu, Ml, Mu: Nu / Mu, lambda Nl, Nu, Ml, Mu: Nl / Ml
        ),
        "N_l and N_u have changed places.": by_kind(
            lambda Nl, Nu, Ml, Mu: Nu / Ml, lambda Nl, Nu, Ml, Mu: Nl / Mu
        ),
        "The numbers of the minibatch have changed places.": by_kind(
            lambda Nl, Nu, Ml, Mu: Nl / Mu, lambda Nl, Nu, Ml, Mu: Nu / Ml
        ),
        "Both kinds are divided by the whole minibatch: each has its own number in it.": by_kind(
            lambda Nl, Nu, Ml, Mu: Nl / (Ml + Mu), lambda Nl, Nu, Ml, Mu: Nu / (Ml + Mu)
        ),
        "Those are numbers of all images; divide by how many of them the minibatch brings.": by_kind(
            lambda Nl, Nu, Ml, Mu: Nl, lambda Nl, Nu, Ml, Mu: Nu
        ),
        "Turned over for the labelled images, N_l / M_l upside down.": by_kind(
            lambda Nl, Nu, Ml, Mu: Ml / Nl, lambda Nl, Nu, Ml, Mu: Nu / Mu
        ),
        "Turned over for the unlabelled images, N_u / M_u upside down.": by_kind(
            lambda Nl, Nu, Ml, Mu: Nl / Ml, lambda Nl, Nu, Ml, Mu: Mu / Nu
        ),
        "N_l is divided by the labelled share of the minibatch: divide by their number.": by_kind(
            lambda Nl, Nu, Ml, Mu: Nl / Ml * (Ml + Mu), lambda Nl, Nu, Ml, Mu: Nu / Mu
        ),
        "N_u is divided by the unlabelled share of the minibatch: divide by their number.": by_kind(
            lambda Nl, Nu, Ml, Mu: Nl / Ml, lambda Nl, Nu, Ml, Mu: Nu / Mu * (Ml + Mu)
        ),
        "Divided by the shares of the minibatch: divide by how many there are of each kind.": by_kind(
            lambda Nl, Nu, Ml, Mu: Nl / Ml * (Ml + Mu), lambda Nl, Nu, Ml, Mu: Nu / Mu * (Ml + Mu)
        ),
        "The labelled images weigh M_l in yours: each stands for N_l / M_l.": by_kind(
            lambda Nl, Nu, Ml, Mu: Ml, lambda Nl, Nu, Ml, Mu: Nu / Mu
        ),
        "The unlabelled images weigh M_u in yours: each stands for N_u / M_u.": by_kind(
            lambda Nl, Nu, Ml, Mu: Nl / Ml, lambda Nl, Nu, Ml, Mu: Mu
        ),
        "That gives a mean over all data. The sum over them is asked for.": by_kind(
            lambda Nl, Nu, Ml, Mu: Nl / Ml / (Nl + Nu), lambda Nl, Nu, Ml, Mu: Nu / Mu / (Nl + Nu)
        ),
        "That averages within the minibatch: N_l and N_u are missing.": by_kind(
            lambda Nl, Nu, Ml, Mu: 1 / Ml, lambda Nl, Nu, Ml, Mu: 1 / Mu
        ),
    }  # fmt: skip
    simpler = {
        "as many are labelled as not, in the data and in the minibatch": lambda k, N_l, N_u: (
            np.array([2, -1]), N_l, N_l
        ),
        "no label is 0": lambda k, N_l, N_u: (np.where(k == 0, 1, k), N_l, N_u),
        "one image of each kind is in the minibatch": lambda k, N_l, N_u: (
            np.array([-1, 3]), N_l, N_u
        ),
        "N_l and N_u are equal": lambda k, N_l, N_u: (k, N_l, N_l),
        "no label is 0 or 1": lambda k, N_l, N_u: (np.where(k >= 0, k + 2, k), N_l, N_u),
    }  # fmt: skip

    def a_case(M_l, M_u, N_l, N_u):
        known = rng.integers(0, 3, M_l)
        known[0] = 0
        return rng.permutation(np.concatenate([known, np.full(M_u, -1)])), N_l, N_u

    edges = {
        "one image of each kind is in the minibatch": (np.array([-1, 7]), 10, 30),
        "all labels are 0": (np.array([0, -1, 0, -1, -1]), 20, 90),
        "one of many is labelled": a_case(1, 20, 10, 5000),
        "one of many is not labelled": a_case(20, 1, 300, 7),
        "the minibatch is all there is": a_case(3, 5, 3, 5),
    }
    sizes = ((3, 7, 50, 1147), (5, 2, 100, 900), (4, 6, 10, 30), (8, 3, 77, 500), (2, 2, 12, 9))
    _e.agree(
        "w", weights, true, [a_case(*size) for size in sizes], slips=slips, edges=edges,
        simpler=simpler,
    )  # fmt: skip


_check_weights(weights, seed=0)
### BEGIN HIDDEN TESTS
_check_weights(weights, seed=100)
### END HIDDEN TESTS


# %% [markdown]
# ## 8.3 The α-term (2 points)
#
# (8.3) adds $\alpha \cdot \frac{1}{N_l} \sum_l \log q(y_l \mid x_l)$ with $\alpha = 0.1\,(N_l + N_u)$. Given `log_q` for *all* images
# and classes, return that number.


# %% tags=["task:alpha"]
def alpha_term(log_q, labels):
    """The last term of (8.3). log_q: [N, C], nats; labels: [N], −1 where unlabelled. A number."""
    ### BEGIN SOLUTION
    rows = np.flatnonzero(labels >= 0)
    return 0.1 * len(labels) * log_q[rows, labels[rows]].mean()
    ### END SOLUTION


# %% tags=["check:alpha:2"]
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_alpha(alpha_term, seed):
    rng = np.random.default_rng(seed)

    def picked(log_q, labels):
        return [row[k] for row, k in zip(log_q, labels, strict=True) if k != -1]

    def true(log_q, labels):
        own = picked(log_q, labels)
        return 0.1 * len(labels) * sum(own) / len(own)

    def all_rows(log_q, labels):  # −1 picks the last class
        return [row[k] for row, k in zip(log_q, labels, strict=True)]

    slips = {
        "A mean over the labelled images is asked for, not their sum.": lambda q, k: (
            0.1 * len(k) * sum(picked(q, k))
        ),
        "That is 0.1 times a plain sum, as if you divided by all images where the labelled ones "
        "are meant, or as if α had N_l in it, not N_l + N_u.": lambda q, k: 0.1 * sum(picked(q, k)),
        "Label −1 picks the last class in Python: unlabelled images have no log q(y|x).": (
            lambda q, k: 0.1 * len(k) * np.mean(all_rows(q, k))
        ),
        "Label −1 picks the last class in Python, and its value is in your sum.": lambda q, k: (
            0.1 * len(k) * sum(all_rows(q, k)) / len(picked(q, k))
        ),
        "α grows with the data: 0.1 times the number of images.": lambda q, k: (
            0.1 * np.mean(picked(q, k))
        ),
        "α grows with all the data: you took the unlabelled images alone.": lambda q, k: (
            0.1 * (len(k) - len(picked(q, k))) * np.mean(picked(q, k))
        ),
        "The factor 0.1 is missing.": lambda q, k: len(k) * np.mean(picked(q, k)),
        "That is the mean of log q alone: α is missing.": lambda q, k: np.mean(picked(q, k)),
        "That is a loss: the term with a minus.": lambda q, k: -true(q, k),
        "The logarithm is to be averaged, not q itself.": lambda q, k: (
            0.1 * len(k) * np.mean(np.exp(picked(q, k)))
        ),
        "The label 0 is a label: unknown is −1.": lambda q, k: (
            0.1 * len(k) * np.mean([row[j] for row, j in zip(q, k, strict=True) if j > 0] or [0])
        ),
        "That is the likeliest class's log q. The image's own label is meant.": lambda q, k: (
            0.1 * len(k) * np.mean(q[k >= 0].max(1))
        ),
        "All classes' log q are in your mean. The image's own label is meant.": lambda q, k: (
            0.1 * len(k) * np.mean(q[k >= 0])
        ),
    }  # fmt: skip
    simpler = {
        "all images are labelled": lambda q, k: (q, np.where(k < 0, 1, k)),
        "one image is labelled": lambda q, k: (q, np.where(np.arange(len(k)) == 0, 1, -1)),
        "there are ten images": lambda q, k: (q[:10], k[:10]),
        "all labels are the last class": lambda q, k: (
            q, np.where(k < 0, k, q.shape[1] - 1)
        ),
        "no label is 0": lambda q, k: (q, np.where(k == 0, 1, k)),
        "q takes all classes alike": lambda q, k: (np.full_like(q, -np.log(q.shape[1])), k),
        "the labelled images come first": lambda q, k: (
            q[np.argsort(k < 0, kind="stable")], k[np.argsort(k < 0, kind="stable")]
        ),
    }  # fmt: skip

    def a_case(N, C, M_l):
        logits = rng.normal(0, 1, (N, C))
        known = rng.integers(0, C, M_l)
        known[:1] = 0
        labels = rng.permutation(np.concatenate([known, np.full(N - M_l, -1)]))
        return logits - np.logaddexp.reduce(logits, 1, keepdims=True), labels

    sure = np.log([[1 - 1e-300, 1e-300], [0.5, 0.5], [0.2, 0.8]])
    edges = {
        "one image is labelled": a_case(3, 4, 1),
        "all images are labelled": a_case(5, 3, 5),
        "all labels are 0": (a_case(4, 3, 1)[0], np.array([0, -1, 0, -1])),
        "all labels are the last class": (a_case(4, 3, 1)[0], np.array([2, -1, 2, -1])),
        "q is nearly sure of another class": (sure, np.array([1, -1, 0])),
        "there are as many classes as images": a_case(4, 4, 2),
    }
    sizes = ((12, 4, 4), (9, 10, 3), (20, 3, 11), (7, 5, 2), (15, 2, 6))
    _e.agree(
        "the α-term", alpha_term, true, [a_case(*size) for size in sizes], unit="nats",
        slips=slips, edges=edges, simpler=simpler,
    )  # fmt: skip


_check_alpha(alpha_term, seed=0)
### BEGIN HIDDEN TESTS
_check_alpha(alpha_term, seed=100)
### END HIDDEN TESTS


# %% [markdown]
# ## 8.4 What an unlabelled bound misses (2 points)
#
# For one image you know the truth, $\log p(x, y)$ for every class, beside $\mathcal L(x, y)$ and $q(y \mid x)$. Of the gap
# $\log p(x) - \mathcal U(x)$, how many nats are the *classifier's* fault, and how many the fault of $q(z \mid x, y)$?


# %% tags=["task:gap"]
def gap(log_p_xy, L, q):
    """The two parts of (8.2)'s gap. All [C]. Returns (the classifier's, the encoder's), nats."""
    ### BEGIN SOLUTION
    log_p_y = log_p_xy - logsumexp(log_p_xy)
    return q @ (np.log(q) - log_p_y), q @ (log_p_xy - L)
    ### END SOLUTION


# %% tags=["check:gap:2"]
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_gap(gap, seed):
    rng = np.random.default_rng(seed)

    def total(log_p_xy):
        return np.logaddexp.reduce(log_p_xy)

    def weighed(q, values):
        return sum(p * v for p, v in zip(q, values, strict=True))

    def true(log_p_xy, L, q):  # the whole gap by (8.2), and what is missing class by class
        encoder = weighed(q, [a - b for a, b in zip(log_p_xy, L, strict=True)])
        whole = total(log_p_xy) - weighed(q, [b - np.log(p) for b, p in zip(L, q, strict=True)])
        return whole - encoder, encoder

    def truth(log_p_xy):
        return [np.exp(v - total(log_p_xy)) for v in log_p_xy]

    slips = {
        "First the classifier's part, then the encoder's.": lambda *c: true(*c)[::-1],
        "Each class's gap counts as often as q takes the class; you take all alike.": (
            lambda p, L, q: (None, np.mean(p - L))
        ),
        "Each class's gap counts as often as q takes the class; you add them up.": (
            lambda p, L, q: (None, sum(p - L))
        ),
        "The true posterior p(y|x) is not at hand in training: q weighs the classes.": (
            lambda p, L, q: (None, weighed(truth(p), p - L))
        ),
        "KL(q‖p), not KL(p‖q): the expectation is under q.": lambda p, L, q: (
            weighed(truth(p), np.log(truth(p)) - np.log(q)), None
        ),
        "log p(x, y) does not sum to one over the classes. You need log p(y|x).": lambda p, L, q: (
            true(p, L, q)[0] - total(p), None
        ),
        "The first number is the whole gap. Split it.": lambda *c: (sum(true(*c)), None),
        "The second number is the whole gap. Split it.": lambda *c: (None, sum(true(*c))),
        "A gap is not negative: look at the sign of the first.": lambda *c: (-true(*c)[0], None),
        "A gap is not negative: look at the sign of the second.": lambda *c: (None, -true(*c)[1]),
        "The bound stands where log p(x, y) belongs, in the classifier's part.": lambda p, L, q: (
            true(L, L, q)[0], None
        ),
        "That is the entropy of q. It is compared with the true p(y|x).": lambda p, L, q: (
            -weighed(q, np.log(q)), None
        ),
        "The classes are averaged with equal weights in the classifier's part.": lambda p, L, q: (
            np.mean(np.log(q) - np.log(truth(p))), None
        ),
        "The classes are added up without weights in the classifier's part.": lambda p, L, q: (
            sum(np.log(q) - np.log(truth(p))), None
        ),
    }  # fmt: skip
    terms = {
        "log p(x)": lambda p, L, q: (total(p), 0.0),
        "q's entropy": lambda p, L, q: (weighed(q, np.log(q)), 0.0),
        "the mean of log p(x, y)": lambda p, L, q: (-weighed(q, p), weighed(q, p)),
        "the mean of the bounds": lambda p, L, q: (0.0, -weighed(q, L)),
        "the other part": lambda *c: true(*c)[::-1],
    }
    simpler = {
        "q is the true p(y|x)": lambda p, L, q: (p, L, np.array(truth(p))),
        "q takes all classes alike": lambda p, L, q: (p, L, np.full(len(q), 1 / len(q))),
        "the bounds are tight": lambda p, L, q: (p, p.copy(), q),
        "log p(x) is 0": lambda p, L, q: (p - total(p), L - total(p), q),
        "every class misses the same": lambda p, L, q: (p, p - 0.7, q),
        "there is one class": lambda p, L, q: (p[:1], L[:1], np.ones(1)),
    }

    def a_case(C):
        log_p_xy = rng.normal(-30, 2, C)
        return log_p_xy, log_p_xy - rng.uniform(0.1, 2, C), rng.dirichlet(np.full(C, 2.0))

    log_p_xy, L, q = a_case(4)
    edges = {
        "everything lies 2,000 nats lower": (log_p_xy - 2000, L - 2000, q),
        "q is the true p(y|x)": (log_p_xy, L, np.array(truth(log_p_xy))),
        "the bounds are tight": (log_p_xy, log_p_xy.copy(), q),
        "there is one class": (log_p_xy[:1], L[:1], np.ones(1)),
        "one class is as good as out of the question": (
            np.array([-5.0, -400.0]), np.array([-6.0, -401.0]), np.array([0.9, 0.1])
        ),
    }  # fmt: skip
    with np.errstate(all="ignore"):
        _e.agree(
            "the two parts", gap, true, [a_case(C) for C in (5, 3, 10, 4, 2)], unit="nats",
            parts=("the classifier's", "the encoder's"), slips=slips, terms=terms, edges=edges,
            simpler=simpler,
        )  # fmt: skip


_check_gap(gap, seed=0)
### BEGIN HIDDEN TESTS
_check_gap(gap, seed=100)
### END HIDDEN TESTS


# %% [markdown]
# ## 8.5 One class drawn instead of ten summed (3 points)
#
# Without the sum, one draws $y \sim q(y \mid x)$ and follows the score function of lesson 02. With
# $q = \mathrm{softmax}(\text{logits})$ and $f(y)$ what is averaged, write for each drawn class an estimate of
# $\nabla_{\text{logits}}\, \mathbb E_q[f(y)]$, without a baseline. You need $\nabla_{\text{logits}} \log q(y)$.


# %% tags=["task:score"]
def score_gradient(logits, f, drawn):
    """One estimate per draw. logits, f: [C]; drawn: [S] integers. Returns [S, C]."""
    ### BEGIN SOLUTION
    score = np.eye(len(logits))[drawn] - np.exp(log_softmax(logits))
    return f[drawn][:, None] * score
    ### END SOLUTION


# %% tags=["check:score:3"]
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_score(score_gradient, seed):
    rng = np.random.default_rng(seed)

    def log_q(logits, k):
        return logits[k] - np.logaddexp.reduce(logits)

    def score(logits, k, h=1e-5):  # ∇ log q(k) by differences
        steps = h * np.eye(len(logits))
        return np.array([(log_q(logits + e, k) - log_q(logits - e, k)) / (2 * h) for e in steps])

    def true(logits, f, drawn):
        return np.array([f[k] * score(logits, k) for k in drawn])

    def q(logits):
        return np.exp(logits - np.logaddexp.reduce(logits))

    def one_hot(logits, drawn):
        return np.eye(len(logits))[drawn]

    slips = {
        "∇ log q(y) is not one-hot(y): the softmax's normaliser moves with every logit.": (
            lambda logits, f, drawn: f[drawn][:, None] * one_hot(logits, drawn)
        ),
        "The sign is turned: you go down where you want to go up.": lambda *c: -true(*c),
        "Those are the scores. Each is weighed by its own f(y).": lambda logits, f, drawn: true(
            logits, np.ones(len(f)), drawn
        ),
        "f of the drawn class weighs each draw: you took f of each logit's class.": (
            lambda logits, f, drawn: f * true(logits, np.ones(len(f)), drawn)
        ),
        "You averaged over the draws: one estimate per draw is asked for.": lambda *c: (
            true(*c).mean(0)
        ),
        "You added the draws up: one estimate per draw is asked for.": lambda *c: true(*c).sum(0),
        "A baseline is subtracted, the mean of f over the draws. None was asked for.": (
            lambda logits, f, drawn: true(logits, f, drawn)
            - np.mean(f[drawn]) * true(logits, np.ones(len(f)), drawn)
        ),
        "A baseline is subtracted, the mean of f under q. None was asked for.": (
            lambda logits, f, drawn: true(logits, f - q(logits) @ f, drawn)
        ),
        "You divide by q: that is the gradient in the probabilities, not in the logits.": (
            lambda logits, f, drawn: f[drawn][:, None] * one_hot(logits, drawn)
            / q(logits)[drawn][:, None]
        ),
        "The score has q in it, not the logits themselves.": lambda logits, f, drawn: (
            f[drawn][:, None] * (one_hot(logits, drawn) - logits)
        ),
        "The score has q in it, not log q.": lambda logits, f, drawn: (
            f[drawn][:, None]
            * (one_hot(logits, drawn) - (logits - np.logaddexp.reduce(logits)))
        ),
        "exp(logits) is not q until it adds up to one.": lambda logits, f, drawn: (
            f[drawn][:, None] * (one_hot(logits, drawn) - np.exp(logits))
        ),
        "That is the exact gradient, in every row. Write the estimate of each draw.": (
            lambda logits, f, drawn: np.tile(q(logits) * (f - q(logits) @ f), (len(drawn), 1))
        ),
        "Each draw is weighed by its probability, too: it was drawn from q already.": (
            lambda logits, f, drawn: q(logits)[drawn][:, None] * true(logits, f, drawn)
        ),
    }  # fmt: skip
    terms = {
        "f at the drawn class's own logit": lambda logits, f, drawn: (
            f[drawn][:, None] * one_hot(logits, drawn)
        ),
        "the part of the normaliser, −f(y) q,": lambda logits, f, drawn: (
            -f[drawn][:, None] * q(logits)
        ),
    }
    simpler = {
        "f is 1": lambda logits, f, drawn: (logits, f**0, drawn),
        "all logits are alike": lambda logits, f, drawn: (0 * logits, f, drawn),
        "q is nearly sure": lambda logits, f, drawn: (
            np.where(np.arange(len(f)) == 0, 60.0, 0.0), f, drawn
        ),
        "there are as many draws as classes": lambda logits, f, drawn: (
            logits, f, np.resize(drawn, len(f))
        ),
        "there is one draw": lambda logits, f, drawn: (logits, f, drawn[:1]),
        "each class is drawn once": lambda logits, f, drawn: (logits, f, np.arange(len(f))),
    }
    unchanged = {"all logits rise by 3": lambda logits, f, drawn: (logits + 3, f, drawn)}

    def a_case(C, S):
        return rng.normal(size=C), rng.normal(-8, 1.5, C), rng.integers(0, C, S)

    edges = {
        "there is one draw": a_case(4, 1),
        "the same class is drawn twice": (*a_case(3, 1)[:2], np.array([1, 1])),
        "there are as many draws as classes": a_case(4, 4),
        "there are two classes": a_case(2, 5),
        "all logits are 30": (np.full(3, 30.0), rng.normal(size=3), np.array([0, 2])),
        "the logits lie far apart": (np.array([30.0, 0.0]), np.array([2.0, 3.0]), np.array([0, 1])),
    }
    cases = [a_case(*size) for size in ((4, 6), (3, 9), (5, 2), (10, 7), (2, 3))]
    with np.errstate(all="ignore"):
        _e.agree(
            "the gradients, draw by draw", score_gradient, true, cases, atol=1e-6, slips=slips,
            terms=terms, edges=edges, simpler=simpler, unchanged=unchanged,
        )  # fmt: skip
    logits, f = np.array([0.3, -1.0, 1.2, 0.0]), np.array([-9.0, -7.5, -10.0, -8.0])
    each = true(logits, f, np.arange(4))
    mean = q(logits) @ each
    noise = np.sqrt(q(logits) @ (each - mean) ** 2)
    print("standard deviation of one draw", noise.round(2), "beside the gradient", mean.round(2))


_check_score(score_gradient, seed=0)
### BEGIN HIDDEN TESTS
_check_score(score_gradient, seed=100)
### END HIDDEN TESTS


# %% [markdown]
# ## 8.6 Find the bug: too good to be true (2 points)
#
# Someone reports 97 % with five labels per class. Their program is below. `labels` holds −1 where the label is hidden;
# `truth` holds all labels, which nobody has in such a task. Write `honest` so that it returns the test accuracy of the same
# classifier under the rules of the game.


# %%
digits = datasets.digits(seed=0)
hidden = np.full(len(digits.train.labels), -1)
chosen = np.concatenate([np.flatnonzero(digits.train.labels == k)[:5] for k in range(10)])
hidden[chosen] = digits.train.labels[chosen]


def reported(x, labels, truth, x_test, y_test):
    """x: [N, D]; labels, truth: [N]. Returns the accuracy on the test images."""
    labels = np.where(labels >= 0, labels, truth)
    return LogisticRegression(max_iter=300).fit(x, labels).score(x_test, y_test)


# %% tags=["task:leak"]
def honest(x, labels, truth, x_test, y_test):
    """As above, by the rules."""
    ### BEGIN SOLUTION
    known = labels >= 0
    classifier = LogisticRegression(max_iter=300).fit(x[known], labels[known])
    return classifier.score(x_test, y_test)
    ### END SOLUTION


# %% tags=["check:leak:2"]
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_leak(honest, seed):
    from sklearn.linear_model import LogisticRegression

    from cvae_tf import datasets

    rng = np.random.default_rng(seed)

    def fitted(x, labels):
        return LogisticRegression(max_iter=300).fit(x, labels)

    def true(x, labels, truth, x_test, y_test):
        known = [i for i, k in enumerate(labels) if k != -1]
        return np.mean(fitted(x[known], labels[known]).predict(x_test) == y_test)

    def a_case(K, D, each, spread=2.0):
        centres = rng.normal(size=(K, D))
        truth, y_test = rng.permutation(np.arange(30 * K) % K), rng.integers(0, K, 200)
        x, x_test = (centres[k] + spread * rng.normal(size=(len(k), D)) for k in (truth, y_test))
        labels = np.full(len(truth), -1)
        for k, n in enumerate(np.broadcast_to(each, K)):
            chosen = np.flatnonzero(truth == k)[:n]
            labels[chosen] = k
        return x, labels, truth, x_test, y_test

    def filled(x, labels, truth, x_test, y_test):
        return fitted(x, np.where(labels >= 0, labels, truth)).score(x_test, y_test)

    def fifth(x, labels, truth, x_test, y_test):
        return fitted(x, labels).score(x_test, y_test)

    slips = {
        "The hidden labels still reach the classifier.": filled,
        "It is trained on the truth of all images.": lambda x, k, t, xt, yt: (
            fitted(x, t).score(xt, yt)
        ),
        "You took −1 for a class of its own: those images have no label to learn from.": fifth,
        "You measure on all training images, by their truth. The test images are meant.": (
            lambda x, k, t, xt, yt: fitted(x[k >= 0], k[k >= 0]).score(x, t)
        ),
        "Measured on the labelled images it was fitted to.": lambda x, k, t, xt, yt: (
            fitted(x[k >= 0], k[k >= 0]).score(x[k >= 0], k[k >= 0])
        ),
        "The label 0 is a label: unknown is −1.": lambda x, k, t, xt, yt: (
            fitted(x[k > 0], k[k > 0]).score(xt, yt) if len(set(k[k > 0])) > 1 else np.nan
        ),
        "Fitted to the test images: they are there to measure on.": lambda x, k, t, xt, yt: (
            fitted(xt, yt).score(xt, yt)
        ),
        "Trained on the images whose labels are hidden, by their truth.": (
            lambda x, k, t, xt, yt: fitted(x[k < 0], t[k < 0]).score(xt, yt)
        ),
        "That is the share of errors. The accuracy is asked for.": lambda *c: 1 - true(*c),
    }
    simpler = {
        "all labels are known": lambda x, k, t, xt, yt: (x, t, t, xt, yt),
        "no label is 0": lambda x, k, t, xt, yt: (x, np.where(k >= 0, k + 1, k), t + 1, xt, yt + 1),
    }
    x, labels, truth, x_test, y_test = a_case(3, 4, 5)
    digits = datasets.digits(seed=0)
    hidden = np.full(len(digits.train.labels), -1)
    chosen = [np.flatnonzero(digits.train.labels == k)[:5] for k in range(10)]
    hidden[np.concatenate(chosen)] = digits.train.labels[np.concatenate(chosen)]
    edges = {
        "the hidden labels are scrambled": (
            x, labels, np.where(labels >= 0, truth, rng.permutation(truth)), x_test, y_test
        ),
        "some classes have one label each and some have many": a_case(4, 3, [1, 1, 20, 9]),
        "all labels are known": (x, truth, truth, x_test, y_test),
        "the data are the digits": (
            digits.train.x, hidden, digits.train.labels, digits.test.x, digits.test.labels
        ),
    }  # fmt: skip
    sizes = ((3, 4, 5), (2, 5, 6), (5, 3, 4), (4, 6, 8), (3, 2, 3))
    with np.errstate(all="ignore"):
        _e.agree(
            "accuracy", honest, true, [a_case(*size) for size in sizes], atol=1e-3, slips=slips,
            edges=edges, simpler=simpler,
        )  # fmt: skip
    print(f"the digits: {true(*edges['the data are the digits']):.0%} with fifty labels", end="; ")
    print(f"{filled(*edges['the data are the digits']):.0%} had been reported.")


_check_leak(honest, seed=0)
### BEGIN HIDDEN TESTS
_check_leak(honest, seed=100)
### END HIDDEN TESTS


# %% [markdown]
# ## 8.7 Each draw is the others' baseline (3 points)
#
# (8.5) has two drawn labels, each the baseline of the other. Draw $S \ge 2$ labels, and average the estimate in (8.5) over all pairs of
# two different draws, for $\nabla_{\text{logits}}\, \mathbb E_q[f(y)]$ with $q = \mathrm{softmax}(\text{logits})$. You can do without a loop over
# the pairs: what is the baseline of one draw? (Look at what has become of $q$ in the end.) Logits may be as large as ±800.


# %% tags=["task:pairs"]
def paired_gradient(logits, f, drawn):
    """The average of (8.5) over all pairs of draws. logits, f: [C]; drawn: [S] integers. Returns [C]."""
    ### BEGIN SOLUTION
    values = f[drawn]
    others = (values.sum() - values) / (len(drawn) - 1)
    return (values - others) @ np.eye(len(logits))[drawn] / len(drawn)
    ### END SOLUTION


# %% tags=["check:pairs:3"]
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_pairs(paired_gradient, seed):
    import itertools

    rng = np.random.default_rng(seed)

    def q(logits):
        return np.exp(logits - np.logaddexp.reduce(logits))

    def score(logits, k):  # ∇ log q(k)
        return np.array([float(j == k) for j in range(len(logits))]) - q(logits)

    def pair(logits, f, one, other):
        return 0.5 * (f[one] - f[other]) * (score(logits, one) - score(logits, other))

    def over(choose):  # the mean of (8.5) over the pairs chosen from all
        def value(logits, f, drawn):
            chosen = choose(list(itertools.combinations(drawn, 2)))
            return np.mean([pair(logits, f, *each) for each in chosen] or [0 * logits], 0)

        return value

    true = over(lambda pairs: pairs)

    def by_baseline(baseline, scores=score):  # (f − baseline) · score, mean over the draws
        def value(logits, f, drawn):
            each = [(f[k] - baseline(logits, f, drawn)) * scores(logits, k) for k in drawn]
            return np.mean(each, 0)

        return value

    def one_hot(logits, k):
        return np.eye(len(logits))[k]

    def mean_drawn(logits, f, drawn):
        return f[drawn].mean()

    def expected(logits, f, drawn):
        return q(logits) @ f

    def without(*c):
        return 0.0

    slips = {
        "Each draw is paired with itself in yours, or is in its own baseline: that is (S − 1)/S of "
        "the estimate, and biased.": by_baseline(mean_drawn),
        "There is no baseline: that is the average of exercise 8.5's estimates.": by_baseline(without),
        "There is no baseline, and the softmax's normaliser does not move.": by_baseline(
            without, one_hot
        ),
        "Your baseline is E f under q. It is right on average, but (8.5) takes the other draws.": (
            by_baseline(expected)
        ),
        "Your baseline is E f under q, and the softmax's normaliser does not move.": by_baseline(
            expected, one_hot
        ),
        "Your baseline is the mean of f over all classes.": by_baseline(lambda logits, f, d: f.mean()),
        "Your baseline is the sum over the other draws: take their mean.": lambda logits, f, drawn: (
            np.mean([(2 * f[k] - f[drawn].sum()) * score(logits, k) for k in drawn], 0)
        ),
        "Your baseline is the sum over the other draws, and the softmax's normaliser does not move.": (
            lambda logits, f, drawn: np.mean(
                [(2 * f[k] - f[drawn].sum()) * one_hot(logits, k) for k in drawn], 0)
        ),
        "Yours is twice the average: the factor ½ of (8.5) is missing, or each pair counts "
        "twice.": lambda *c: 2 * true(*c),
        "You add the pairs up: average them.": lambda logits, f, drawn: (
            true(logits, f, drawn) * len(drawn) * (len(drawn) - 1) / 2
        ),
        "You add up over the draws: average.": lambda logits, f, drawn: (
            true(logits, f, drawn) * len(drawn)
        ),
        "Yours is (S − 1)/2S of the average: the pairs' sum is divided by S², or a ½ is too much "
        "and a draw in its own baseline.": lambda logits, f, drawn: (
            true(logits, f, drawn) * (len(drawn) - 1) / len(drawn) / 2
        ),
        "The sum over the draws is divided by the number of classes.": lambda logits, f, drawn: (
            true(logits, f, drawn) * len(drawn) / len(logits)
        ),
        "You use the first two draws alone.": over(lambda pairs: pairs[:1]),
        "You leave out pairs whose draws are the same label. They count, as 0.": over(
            lambda pairs: [each for each in pairs if each[0] != each[1]]
        ),
        "The sign is turned: you go down where you want to go up.": lambda *c: -true(*c),
        "That is the exact gradient. The estimate from the draws is asked for.": lambda logits, f, d: (
            q(logits) * (f - q(logits) @ f)
        ),
    }  # fmt: skip
    simpler = {
        "there are two draws": lambda logits, f, drawn: (logits, f, drawn[[0, -1]]),
        "there are two classes": lambda logits, f, drawn: (logits[:2], f[:2], drawn % 2),
        "all draws are different labels": lambda logits, f, drawn: (
            logits, f, np.arange(len(logits))
        ),
        "all draws are the same label": lambda logits, f, drawn: (logits, f, 0 * drawn),
        "f is the same for all labels": lambda logits, f, drawn: (logits, 0 * f + f[0], drawn),
        "q takes all labels alike": lambda logits, f, drawn: (0 * logits, f, drawn),
    }  # fmt: skip
    unchanged = {
        "f rises by 3 for every label": lambda logits, f, drawn: (logits, f + 3, drawn),
        "q is another, with the same draws": lambda logits, f, drawn: (2 * logits + 1, f, drawn),
        "the draws come in another order": lambda logits, f, drawn: (logits, f, drawn[::-1]),
    }

    def a_case(C, S):
        return rng.normal(0, 1.5, C), rng.normal(-20, 3, C), rng.integers(0, C, S)

    logits, f, drawn = a_case(4, 6)
    edges = {
        "there are two draws": (logits, f, np.array([2, 0])),
        "all draws are the same label": (logits, f, np.array([1, 1, 1])),
        "f is the same for all labels": (logits, 0 * f - 7.0, drawn),
        "there are two classes": a_case(2, 5),
        "labels and draws are equally many": a_case(4, 4),
        "a label is never drawn": (logits, f, np.array([0, 1, 1, 3, 0])),
        "the logits are 800, 0 and −800": (np.array([800.0, 0, -800]), f[:3], np.array([0, 0, 1])),
        "f lies a thousand nats down": (logits, f - 1000, drawn),
    }
    sizes = ((10, 20), (4, 5), (3, 7), (6, 4), (5, 12))
    with np.errstate(all="ignore"):
        _e.agree(
            "the estimate", paired_gradient, true, [a_case(*size) for size in sizes], unit="nats",
            slips=slips, edges=edges, simpler=simpler, unchanged=unchanged,
        )  # fmt: skip


_check_pairs(paired_gradient, seed=0)
### BEGIN HIDDEN TESTS
_check_pairs(paired_gradient, seed=100)
### END HIDDEN TESTS
