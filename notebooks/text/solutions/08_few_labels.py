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
# Six tasks on lesson 08, fourteen points. In each, put your code in the place of the line that raises an error,
# then run the check below it: it prints your value beside the true one, or says what is wrong. No task needs
# another. NumPy is enough; labels are integers, and −1 stands for "not known".

# %%
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
from scipy.special import log_softmax, logsumexp
from sklearn.linear_model import LogisticRegression

from cvae_tf import datasets
from cvae_tf.exercises import compare, require

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
def class_by_class(logits, L):
    """Σ_y q L and H(q), one image and one class at a time."""
    means, entropies = [], []
    for row, bounds in zip(logits, L, strict=True):
        q = [1 / sum(np.exp(other - own) for other in row) for own in row]
        means.append(sum(p * b for p, b in zip(q, bounds, strict=True)))
        entropies.append(-sum(p * np.log(p) for p in q))
    return np.array(means), np.array(entropies)


rng = np.random.default_rng(0)
logits, L = rng.normal(0, 2, (4, 10)), rng.normal(-20, 3, (4, 10))
mean, entropy = class_by_class(logits, L)
slips = {
    "The entropy of q(y|x) is missing.": mean,
    "The entropy enters with a plus: −Σ q log q is H.": mean - entropy,
    "Weigh each class by q(y|x); this takes all alike.": L.mean(-1) + entropy,
    "This is log Σ q exp(L): a logarithm of a mean, and not (8.2).": logsumexp(
        log_softmax(logits, -1) + L, -1
    ),
}
compare("U", unlabelled(logits, L), mean + entropy, unit="nats", slips=slips)
sure = np.array([[800.0, 0.0, -800.0]])
found = np.asarray(unlabelled(sure, np.array([[-3.0, -4.0, -5.0]])), "float64")
require(
    np.isfinite(found), "0 · log 0 became nan: take the logarithm of q from the logits, not of q."
)
compare("U where q is sure", found, [-3.0], unit="nats")
### BEGIN HIDDEN TESTS
logits, L = rng.normal(0, 1, (3, 4)), rng.normal(-5, 1, (3, 4))
compare("U of four classes", unlabelled(logits, L), np.add(*class_by_class(logits, L)), unit="nats")
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
labels = np.array([3, -1, -1, 0, -1, -1, -1, 9, -1, -1])
each = [50 / 3 if label in range(10) else 1147 / 7 for label in labels]
slips = {
    "That is the same weight for all: it lets the minibatch's mix decide.": [1197 / 10] * 10,
    "Turned over: a weight says for how many images of the data one of the batch stands.": [
        1 / w for w in each
    ],
    "The label 0 is a label: unknown is −1.": [
        50 / 2 if label > 0 else 1147 / 8 for label in labels
    ],
}
compare("w", weights(labels, 50, 1147), each, slips=slips)
### BEGIN HIDDEN TESTS
compare("w of two", weights(np.array([-1, 7]), 10, 30), [30.0, 10.0])
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
rng = np.random.default_rng(1)
log_q = log_softmax(rng.normal(0, 1, (12, 4)), -1)
labels = np.array([2, -1, 0, -1, -1, 3, -1, -1, -1, 1, -1, -1])
picked = np.array([log_q[0, 2], log_q[2, 0], log_q[5, 3], log_q[9, 1]])
slips = {
    "A mean over the labelled images is asked for, not their sum.": 1.2 * picked.sum(),
    "The mean is over the labelled images alone.": 1.2 * picked.sum() / 12,
    "Label −1 picks the last class in Python: unlabelled images have no log q(y|x).": 1.2
    * np.mean(log_q[np.arange(12), labels]),
    "α grows with the data: 0.1 times the number of images.": 0.1 * picked.mean(),
}
compare("the α-term", alpha_term(log_q, labels), 1.2 * picked.mean(), unit="nats", slips=slips)
### BEGIN HIDDEN TESTS
compare("with one label", alpha_term(log_q[:3], np.array([-1, -1, 2])), 0.3 * log_q[2, 2])
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
def fixed_case(seed):
    rng = np.random.default_rng(seed)
    log_p_xy, missing = rng.normal(-30, 2, 5), rng.uniform(0.1, 2, 5)
    return log_p_xy, log_p_xy - missing, rng.dirichlet(np.ones(5)), missing


log_p_xy, L, q, missing = fixed_case(0)
whole = np.log(np.exp(log_p_xy).sum()) - sum(p * (b - np.log(p)) for p, b in zip(q, L, strict=True))
encoder = sum(p * m for p, m in zip(q, missing, strict=True))
truth = np.exp(log_p_xy) / np.exp(log_p_xy).sum()
slips = {
    "Each class's gap counts as often as q takes the class.": (
        whole - encoder,
        missing.mean(),
    ),
    "The true posterior p(y|x) is not at hand in training: q weighs the classes.": (
        whole - encoder,
        truth @ missing,
    ),
    "KL(q‖p), not KL(p‖q): the expectation is under q.": (
        sum(t * np.log(t / p) for t, p in zip(truth, q, strict=True)),
        encoder,
    ),
}
compare("the two parts", gap(log_p_xy, L, q), (whole - encoder, encoder), unit="nats", slips=slips)
### BEGIN HIDDEN TESTS
log_p_xy, L, q, missing = fixed_case(1)
parts = gap(log_p_xy, L, q)
whole = np.log(np.exp(log_p_xy).sum()) - sum(p * (b - np.log(p)) for p, b in zip(q, L, strict=True))
compare("the whole", np.sum(parts), whole, unit="nats")
compare("the encoder's", parts[1], q @ missing, unit="nats")
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
def true_gradient(logits, f, step=1e-5):
    """By differences of the exact sum."""
    sums = lambda at: np.exp(at - logsumexp(at)) @ f  # noqa: E731
    return np.array(
        [(sums(logits + e) - sums(logits - e)) / (2 * step) for e in step * np.eye(len(f))]
    )


logits, f = np.array([0.3, -1.0, 1.2, 0.0]), np.array([-9.0, -7.5, -10.0, -8.0])
q = np.exp(logits - logsumexp(logits))
one_of_each = np.asarray(score_gradient(logits, f, np.arange(4)), "float64")
require(
    one_of_each.shape == (4, 4),
    f"Expected one gradient of four logits per draw, [4, 4]; got {one_of_each.shape}.",
)
slips = {
    "∇ log q(y) is not one-hot(y): the softmax's normaliser moves with every logit.": q * f,
    "The sign is turned: you go down where you want to go up.": -true_gradient(logits, f),
}
compare("its mean over q", q @ one_of_each, true_gradient(logits, f), atol=1e-6, slips=slips)
noise = np.sqrt(q @ (one_of_each - true_gradient(logits, f)) ** 2)
print(
    "its standard deviation",
    noise.round(2),
    "beside the gradient",
    true_gradient(logits, f).round(2),
)
### BEGIN HIDDEN TESTS
logits, f = np.array([1.0, -0.5]), np.array([2.0, 5.0])
q = np.exp(logits - logsumexp(logits))
both = np.asarray(score_gradient(logits, f, np.array([0, 1, 1])), "float64")
compare("two classes", q @ both[:2], true_gradient(logits, f), atol=1e-6)
compare("the same class twice", both[1], both[2])
### END HIDDEN TESTS


# %% [markdown]
# ## 8.6 Find the bug: too good to be true (2 points)
#
# Someone reports 95 % with five labels per class. Their program is below. `labels` holds −1 where the label is hidden;
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
given = (digits.train.x, hidden, digits.train.labels, digits.test.x, digits.test.labels)
fifty = LogisticRegression(max_iter=300).fit(digits.train.x[chosen], digits.train.labels[chosen])
with np.errstate(all="ignore"):
    found = honest(*given)
leaked = LogisticRegression(max_iter=300).fit(digits.train.x, digits.train.labels)
slips = {
    "The hidden labels still reach the classifier.": leaked.score(given[3], given[4]),
    "You measure on images it was trained with.": fifty.score(digits.train.x, digits.train.labels),
    "Measured on the labelled images it was fitted to.": 1.0,
}
compare("accuracy", found, fifty.score(given[3], given[4]), atol=1e-3, slips=slips)
scrambled = np.random.default_rng(0).permutation(digits.train.labels)
compare(
    "with the hidden labels scrambled", honest(*given[:2], scrambled, *given[3:]), found, atol=1e-3
)
### BEGIN HIDDEN TESTS
fewer = np.where(np.arange(len(hidden)) % 2 == 0, hidden, -1)
kept = np.flatnonzero(fewer >= 0)
fitted = LogisticRegression(max_iter=300).fit(digits.train.x[kept], fewer[kept])
found = honest(digits.train.x, fewer, digits.train.labels, *given[3:])
compare("with fewer labels", found, fitted.score(*given[3:]), atol=1e-3)
### END HIDDEN TESTS
