# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercises 5 · CVAE-3: prediction with more than one right answer
#
# Six tasks on lesson 05, sixteen points. In each, put your code in the place of the line that raises an error, then
# run the check below it: it prints your value beside the true one, or says what is wrong. No task needs another,
# so begin where you like. NumPy is enough. In most tasks $x$ is fixed and $z$ takes one of a few values, so that every
# expectation is a sum: `prior` then holds $p(z \mid x)$ and `q` holds $q(z \mid x, y)$, one number for each $z$.

# %%
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
from scipy.optimize import linprog
from scipy.special import logsumexp, softmax, xlogy
from scipy.stats import entropy, norm
from sklearn.metrics import mutual_info_score

from cvae_tf.exercises import compare, require

# %% [markdown]
# ## 5.1 One decoder, two answers (2 points)
#
# A decoder gives *logits*: numbers whose softmax is $p(y \mid x, z)$, one for each of $C$ labels. The prior is
# $z \mid x \sim \mathcal N(m, s^2)$ in each dimension. Return the label that the plug-in rule (5.5) answers, and the one that the Monte Carlo
# rule (5.6) answers with the draws made from `epsilon`. (`softmax` and `logsumexp` are imported.)


# %% tags=["task:rules"]
def two_answers(logits, m, s, epsilon):
    """(answer by (5.5), answer by (5.6)): two integers, 0 to C − 1.

    logits: a function, z [S, d] → [S, C], not normalised. m, s: [d], mean and standard deviation
    of p(z|x). epsilon: [S, d], from N(0, I).
    """
    ### BEGIN SOLUTION
    at_mean = logits(m[None])[0]
    average = softmax(logits(m + s * epsilon), axis=-1).mean(0)
    return int(at_mean.argmax()), int(average.argmax())
    ### END SOLUTION


# %% tags=["check:rules:2"]
def in_three_regions(z):
    """Logits by where z₀ lies: left of 0.9, between, or right of 1.05."""
    rows = np.log([[2, 53, 41, 1, 3], [97, 1e-28, 1e-28, 1e-28, 3], [2, 1, 41, 53, 3]])
    return (rows + [[7], [0], [0]])[np.searchsorted([0.9, 1.05], z[:, 0])]


def check_answers(name, case, true, slips):
    answers = two_answers(*case)
    require(np.shape(answers) == (2,), "Return two labels: by (5.5), then by (5.6).")
    for rule, yours, label in zip(("(5.5)", "(5.6)"), answers, true, strict=True):
        compare(f"{name}, the answer by {rule}", yours, label, slips=slips.get(rule))


left, middle, right = np.diff(norm.cdf([-np.inf, -0.1, 0.05, np.inf]))  # how often, if m = s = 1
chances = (2 * (left + right) + 97 * middle, 53 * left + right, 41 * (left + right))
by_plug_in, by_draws = 0, int(np.argmax(chances))  # m itself lies in the middle
m, s = np.ones(1), np.ones(1)
even = norm.ppf((np.arange(4000) + 0.5) / 4000)[:, None]  # draws that fill N(0, 1) evenly
slips = {
    "(5.5)": {
        "That is (5.6)'s answer: (5.5) decodes one z, the mean of the prior.": by_draws,
    },
    "(5.6)": {
        "That is (5.5)'s answer: (5.6) decodes every draw.": by_plug_in,
        "You let the draws vote. (5.6) averages what they say, sure or not.": 3,
        "You averaged logits or log-probabilities. (5.6) averages probabilities.": 4,
        "Logits are not probabilities until the softmax has made them sum to one.": 1,
    },
}
check_answers("4000 draws", (in_three_regions, m, s, even), (by_plug_in, by_draws), slips)
one_side = {
    "(5.5)": {"E[z|x] is known: it is m. You took the mean of the draws for it.": 3},
    "(5.6)": {"s is a standard deviation, no variance.": 0},
}
few = in_three_regions, m, 0.3 * s, np.array([[0.4], [0.5], [0.6]])
check_answers("three draws, to the right", few, (0, 3), one_side)
no_width = {"(5.6)": {"This prior is narrow. Are the draws of z, or still of ε?": by_draws}}
check_answers("a narrow prior", (in_three_regions, m, 0.01 * s, even), (0, 0), no_width)


### BEGIN HIDDEN TESTS
def at_a_junction(z):  # left, straight on, right, by the second coordinate
    return 20 * np.stack([-z[:, 1] - 0.1, 0 * z[:, 1], z[:, 1] - 0.1], -1)


plane = np.random.default_rng(0).standard_normal((2000, 2))
wide = np.array([-3.0, 0.04]), np.array([0.1, 2.0])  # Φ: 47 % left, 49 % right
plane[:, 1] = even[::2, 0]
check_answers("a junction", (at_a_junction, *wide, plane), (1, 2), {})
narrow = np.array([-3.0, 0.04]), np.array([5.0, 0.001])  # always straight on
check_answers("no choice", (at_a_junction, *narrow, plane), (1, 1), {})
### END HIDDEN TESTS


# %% [markdown]
# ## 5.2 What the GSNN would like best (3 points)
#
# One $x$, several answers $y$ that occur with known frequencies, and a $z$ that takes one of $Z$ values. Return three
# numbers, each an average over the answers:
#
# 1. the bound $\mathcal L_{\mathrm{GSNN}}$ of (5.3),
# 2. its gap, as the KL divergence on the right of (5.3),
# 3. the greatest value that 1. can take, if you may choose the prior $p(z \mid x)$ freely, but not the likelihood.


# %% tags=["task:gsnn"]
def gsnn(prior, likelihood, answers):
    """(average bound, average gap, greatest average bound of any prior). Nats, three numbers.

    prior: [Z], p(z|x). likelihood: [Z, Y], p(y|x,z), each row sums to 1. answers: [Y], how often
    each y occurs with this x. All entries are > 0.
    """
    ### BEGIN SOLUTION
    scores = np.log(likelihood) @ answers  # of each z, averaged over the answers: [Z]
    joint = prior[:, None] * likelihood
    posterior = joint / joint.sum(0)  # p(z|x,y): [Z, Y]
    gaps = prior @ (np.log(prior)[:, None] - np.log(posterior))
    return prior @ scores, gaps @ answers, scores.max()
    ### END SOLUTION


# %% tags=["check:gsnn:3"]
def a_table(Z, Y, seed):
    rng = np.random.default_rng(seed)
    p_z, p_y = rng.dirichlet(np.full(Z, 3.0)), rng.dirichlet(np.full(Y, 3.0))
    return p_z, rng.dirichlet(np.ones(Y), Z), p_y


def one_answer_at_a_time(prior, likelihood, answers):
    """Averages over y of the bound, log p(y|x), KL(p(z|x,y)‖p(z|x)); and the best prior's bound."""
    bound = log_p = reverse = 0.0
    for frequency, column in zip(answers, likelihood.T, strict=True):
        p = sum(a * b for a, b in zip(prior, column, strict=True))  # p(y|x)
        bound += frequency * sum(a * np.log(b) for a, b in zip(prior, column, strict=True))
        log_p += frequency * np.log(p)
        reverse += frequency * entropy(prior * column / p, prior)
    costs = [-np.average(np.log(row), weights=answers) for row in likelihood]
    best = linprog(costs, A_eq=[np.ones(len(prior))], b_eq=[1.0])  # over all priors
    return bound, log_p, reverse, -best.fun


def check_gsnn(name, prior, likelihood, answers):
    yours = gsnn(prior, likelihood, answers)
    require(np.shape(yours) == (3,), "Return three numbers: the bound, the gap, the best bound.")
    bound, log_p, reverse, best = one_answer_at_a_time(prior, likelihood, answers)
    slips = {
        "That is log p(y|x): the average over z stands inside the logarithm in yours.": log_p,
        "An average over the answers: weigh each by how often it occurs.": prior
        @ np.log(likelihood).mean(1),
        "An average over the answers, not their plain sum.": prior @ np.log(likelihood).sum(1),
    }
    compare(f"{name}: bound", yours[0], bound, unit="nats", slips=slips)
    slips = {
        "The other way round: in (5.3) the prior stands first in the divergence.": reverse,
        "A gap is not negative: look at the sign.": bound - log_p,
    }
    compare(f"{name}: gap", yours[1], log_p - bound, unit="nats", slips=slips)
    slips = {
        "Each answer has its own best z in yours. The prior does not know which answer it will be: "
        "one choice for all of them.": np.log(likelihood.max(0)) @ answers,
        "Not the best z for the likeliest answer: the best for the average over the answers.": (
            np.log(likelihood[likelihood[:, answers.argmax()].argmax()]) @ answers
        ),
        "No decoder can say more than this, but the likelihood is given: choose among its rows.": (
            answers @ np.log(answers)
        ),
        "That is the bound with all z alike.": np.log(likelihood).mean(0) @ answers,
    }
    compare(f"{name}: greatest bound", yours[2], best, unit="nats", slips=slips)


check_gsnn("three z, four answers", *a_table(3, 4, seed=1))
half = np.array([0.5, 0.5])
sure = np.array([[0.96, 0.04], [0.04, 0.96], [0.5, 0.5]])  # of one, of the other, of neither
check_gsnn("two answers, as often", np.array([0.45, 0.45, 0.1]), sure, half)
print("The best prior chooses the z that is sure of neither: a blur, and no noise.")
### BEGIN HIDDEN TESTS
for seed in (0, 2, 3):
    check_gsnn("another table", *a_table(5, 3, seed))
### END HIDDEN TESTS


# %% [markdown]
# ## 5.3 Mix the bounds, or what they draw from? (2 points)
#
# The hybrid (5.4) is $\alpha$ of one bound and $1 - \alpha$ of another. Both are (5.2): once with $q(z \mid x, y)$, once with the
# prior in its place. You could mix one step earlier. Toss a coin, and draw $z$ from $q$ with probability $\alpha$,
# else from the prior: then $z$ comes from the distribution
#
# $$ r(z) = \alpha\, q(z \mid x, y) + (1 - \alpha)\, p(z \mid x), $$
#
# and (5.2) holds for $r$ as well. For one pair $(x, y)$ return both: the hybrid, and the bound (5.2) with $r$. Before you
# run the check: which is the higher, and is it always?


# %% tags=["task:mix"]
def hybrid_and_mixture(alpha, q, prior, likelihood):
    """(the hybrid (5.4), the bound (5.2) with r in the place of q). Nats, two numbers.

    alpha: 0 < α < 1. q, prior: [Z], q(z|x,y) and p(z|x), entries > 0. likelihood: [Z], p(y|x,z).
    """
    ### BEGIN SOLUTION

    def bound(r):
        return r @ (np.log(prior * likelihood) - np.log(r))

    mixture = alpha * q + (1 - alpha) * prior
    return alpha * bound(q) + (1 - alpha) * bound(prior), bound(mixture)
    ### END SOLUTION


# %% tags=["check:mix:2"]
def check_mix(name, alpha, Z, seed):
    rng = np.random.default_rng(seed)
    q, prior, likelihood = rng.dirichlet(np.ones(Z)), rng.dirichlet(np.ones(Z)), rng.random(Z)
    yours = hybrid_and_mixture(alpha, q, prior, likelihood)
    require(np.shape(yours) == (2,), "Return two numbers: the hybrid, then the mixture's bound.")
    log_p = np.log(sum(p * f for p, f in zip(prior, likelihood, strict=True)))
    posterior = prior * likelihood / np.exp(log_p)

    def below(r):  # by the gap: log p(y|x) less the divergence from the true posterior
        return log_p - entropy(r, posterior)

    def blend(a, b):
        return sum(share * part for share, part in zip((alpha, 1 - alpha), (a, b), strict=True))

    hybrid, mixed = blend(below(q), below(prior)), below(blend(q, prior))
    slips = {
        "α belongs to the bound with q, and 1 − α to the GSNN's.": blend(below(prior), below(q)),
        "The bound with q has a divergence from the prior to pay.": hybrid
        + alpha * entropy(q, prior),
        "The GSNN draws from the prior; both of your terms draw from q.": hybrid
        + (1 - alpha) * (below(q) + entropy(q, prior) - below(prior)),
        "The divergence enters (5.2) with a minus.": hybrid + 2 * alpha * entropy(q, prior),
        "KL(q‖p(z|x)), not the other way round.": hybrid
        + alpha * (entropy(q, prior) - entropy(prior, q)),
        "That is the bound with r. The hybrid mixes two numbers.": mixed,
    }
    compare(f"{name}: the hybrid", yours[0], hybrid, unit="nats", slips=slips)
    paid = entropy(blend(q, prior), prior)
    slips = {
        "That is the hybrid again. What r pays is KL(r‖p(z|x)), and not α KL(q‖p(z|x)).": hybrid,
        "r has a divergence from the prior to pay, too.": mixed + paid,
        "α is q's share of r, and 1 − α the prior's.": below(
            (1 - alpha) * q + alpha * prior,
        ),
    }
    compare(f"{name}: with r", yours[1], mixed, unit="nats", slips=slips)
    return mixed - hybrid


differences = [check_mix("six z, α = 0.3", 0.3, 6, seed=0)]
differences += [check_mix("three z, α = 0.8", 0.8, 3, seed=5)]
higher = " and ".join(f"{difference:.3f}" for difference in differences)
print(f"The bound with r is the higher, here by {higher} nats, and is never lower: r leaves open")
print("which of the two was drawn from, so it has more entropy than q and the prior on average.")
### BEGIN HIDDEN TESTS
for seed in (2, 3, 4):
    check_mix("elsewhere", 0.55, 4, seed)
### END HIDDEN TESTS


# %% [markdown]
# ## 5.4 How many nats a blur must lose (4 points)
#
# For one $x$, let $y$ be one of $K$ whole patterns of $n$ black-and-white pixels, each with a known probability. The
# regressor states one probability of ink for every pixel, and its $p(y \mid x)$ is their product. It may choose these
# $n$ numbers as well as anybody can. By how many nats does its $\log p(y \mid x)$ still fall short of the true one,
# averaged over the patterns?
#
# First find the best numbers, then subtract two averages. Some pixels may be ink in every pattern, or in none.
# (`xlogy(a, b)` is $a \log b$, and 0 where $a = 0$.) The lesson's two pixels lose $\log 2$. A CVAE-3 whose $z$ says which
# pattern it is loses nothing.


# %% tags=["task:blur"]
def nats_lost(patterns, weights):
    """Average of log p(y|x) by the truth, minus that by the best product of pixels. A number, nats.

    patterns: [K, n], 0 or 1, no two rows alike. weights: [K], their probabilities, > 0.
    """
    ### BEGIN SOLUTION
    ink = weights @ patterns  # the best numbers: how often each pixel is ink
    paper = weights @ (1 - patterns)
    stated = xlogy(ink, ink) + xlogy(paper, paper)  # average log-probability of each pixel
    return xlogy(weights, weights).sum() - stated.sum()
    ### END SOLUTION


# %% tags=["check:blur:4"]
def by_counting(patterns, sixteenths):
    """What each pixel shares with those before it, summed: from a list of sixteen images."""
    images = np.repeat(patterns, sixteenths, axis=0)
    before = [["".join(map(str, image[:i])) for image in images] for i in range(images.shape[1])]
    return sum(mutual_info_score(a, b) for a, b in zip(before, images.T, strict=True))


def found_ink(patterns, sixteenths):
    """The share of ink in each pixel, where it is neither 0 nor 1."""
    shares = np.repeat(patterns, sixteenths, axis=0).mean(0)
    return shares[(shares > 0) & (shares < 1)]


def check_blur(name, patterns, sixteenths):
    patterns, sixteenths = np.array(patterns), np.array(sixteenths)
    with np.errstate(all="ignore"):
        found = nats_lost(patterns, sixteenths / 16)
    lost, n = by_counting(patterns, sixteenths), patterns.shape[1]
    spread = entropy(sixteenths)  # of the patterns
    slips = {
        "That is all that the regressor pays. Subtract what the true p(y|x) pays.": lost + spread,
        "That is what the true p(y|x) pays on average. How much does the regressor pay?": spread,
        "With ½ for every pixel. But the regressor may choose, pixel by pixel.": n * np.log(2)
        - spread,
        "The probabilities of pixels multiply, so their logarithms add up: no mean over pixels.": (
            lost / n
        ),
        "The pixels' average instead of their sum, for what the regressor states.": (lost + spread)
        / n
        - spread,
        "Turned round: the truth scores higher than the blur.": -lost,
        "Only ink is counted. Paper is an outcome too.": lost
        - sum(entropy([p, 1 - p]) + p * np.log(p) for p in found_ink(patterns, sixteenths)),
        "The patterns are not equally frequent here.": by_counting(patterns, 0 * sixteenths + 1),
    }
    unfit = found is not None and np.any(np.isnan(found))
    require(not unfit, "Yours is nan: 0 · log 0 counts as 0 here, and xlogy knows it.")
    compare(name, found, lost, unit="nats", slips=slips)


check_blur("three patterns", [[1, 1, 0], [0, 1, 1], [1, 0, 0]], [10, 4, 2])
check_blur("two that differ in two pixels of six", 1 - np.eye(6, dtype=int)[:2], [12, 4])
print("Two patterns that are complements of each other, on more and more pixels, half and half:")
for n in (2, 8, 48):
    print(f"  {n:2} pixels: {by_counting(np.array([[0] * n, [1] * n]), [8, 8]):5.2f} nats lost")
### BEGIN HIDDEN TESTS
check_blur("two pixels", [[0, 0], [0, 1], [1, 0], [1, 1]], [3, 2, 9, 2])
check_blur("one pattern", [[0, 1, 1]], [16])
check_blur("five patterns", np.eye(5, dtype=int), [1, 2, 3, 4, 6])
### END HIDDEN TESTS


# %% [markdown]
# ## 5.5 Find the bug: a score for the rest of the image (2 points)
#
# Somebody's decoder states a probability of ink for *every* pixel of the image, seen or not. They draw $S$ times
# $z_s \sim p(z \mid x)$ and print what follows as (5.7), where $y$ is the part that is not seen. Averaged over the test
# images the values come out where the regressor's are, and they conclude that $z$ buys nothing. Mend it. It
# should work for 48 pixels, and for a million.


# %%
def reported(p, image, seen):
    """p: [S, D], probability of ink, by draw; image: [D], 0 or 1; seen: [D] booleans. Nats."""
    ink = p.mean(0)
    return np.sum(np.where(image == 1, np.log(ink), np.log(1 - ink)))


# %% tags=["task:rest"]
def mended(p, image, seen):
    """As above, but (5.7) for the pixels that are not seen. A number, nats."""
    ### BEGIN SOLUTION
    pixels = np.where(image == 1, np.log(p), np.log(1 - p))[:, ~seen]
    whole = pixels.sum(1)  # log p(y|x,z_s): [S]
    return logsumexp(whole) - np.log(len(p))
    ### END SOLUTION


# %% tags=["check:rest:2"]
def by_products(p, image, pixels):
    """Mean over the draws of the product over the pixels: no logarithm until the end."""
    chances = [np.prod([row[i] if image[i] else 1 - row[i] for i in pixels]) for row in p]
    return np.log(sum(chances) / len(chances)), np.mean(np.log(chances))


def check_rest(name, S, D, seed):
    rng = np.random.default_rng(seed)
    p, image = rng.uniform(0.05, 0.95, (S, D)), rng.integers(0, 2, D)
    seen = rng.permutation(np.arange(D) < D // 4)
    rest = np.flatnonzero(np.logical_not(seen))
    (true, of_logarithms), (with_seen, _) = (
        by_products(p, image, pixels) for pixels in (rest, range(D))
    )
    blurred = sum(by_products(p, image, [i])[0] for i in rest)
    slips = {
        "The pixels that are seen are still scored. They are no part of y.": with_seen,
        "The draws are still averaged pixel by pixel: that is a blur. A draw explains all of y or "
        "it does not: the product over the pixels comes first.": blurred,
        "You score what is seen: y is the rest.": by_products(p, image, np.flatnonzero(seen))[0],
        "A mean of logarithms is the GSNN's bound (5.3). (5.7) has the mean inside.": of_logarithms,
        "A sum over the draws, where (5.7) has a mean: too high by log S.": true + np.log(S),
        "A mean over the pixels is no log-likelihood.": true / len(rest),
    }
    compare(name, mended(p, image, seen), true, unit="nats", slips=slips)


check_rest("log p(y|x), eight pixels, five draws", S=5, D=8, seed=0)
with np.errstate(divide="ignore"):
    many = mended(np.tile([[0.1], [0.2]], 4000), np.ones(4000), np.arange(4000) < 1000)
true = 3000 * np.log(0.2) - np.log(2)  # of the two draws, the second explains all of it
require(
    np.isfinite(many), "A product of 3,000 probabilities is zero on a computer: add logarithms."
)
compare("of 4000 pixels", many, true, unit="nats")
### BEGIN HIDDEN TESTS
check_rest("twelve pixels", S=3, D=12, seed=1)
check_rest("one draw", S=1, D=8, seed=2)
### END HIDDEN TESTS


# %% [markdown]
# ## 5.6 Predict, then compute: which draws vary less? (3 points)
#
# In the lesson (5.8) needed far fewer draws than (5.7). Is that so for every $q$? What is averaged in the logarithm are
# *weights*, one for each draw; their mean is $p(y \mid x)$ in both formulas. What counts is how much a weight varies, relative to that
# mean. Below are three cases with four values of $z$ each:
#
# - `careful`: two $z$ explain $y$; $q$ prefers them, but keeps something for the others;
# - `hasty`: the same $y$, but $q$ is nearly sure of *one* of the two;
# - `idle`: no $z$ explains $y$ better than another, as with the label; and $q$ has not yet become the prior.
#
# **First predict** for each case which weights vary less, `"prior"` (5.7) or `"q"` (5.8). Then write the function
# that computes how much they vary: no draws are needed, as a mean over draws of $z$ is here a sum over four values.

# %%
prior = np.full(4, 0.25)
two_explain, all_explain = np.array([0.8, 0.8, 0.05, 0.01]), np.full(4, 0.3)
cases = {  # p(y|x,z) and q(z|x,y)
    "careful": (two_explain, np.array([0.4, 0.4, 0.1, 0.1])),
    "hasty": (two_explain, np.array([0.94, 0.02, 0.02, 0.02])),
    "idle": (all_explain, np.array([0.4, 0.3, 0.2, 0.1])),
}


# %% tags=["task:weights"]
def varies_less():
    """Your prediction: {"careful": …, "hasty": …, "idle": …}, each "prior" or "q"."""
    ### BEGIN SOLUTION
    return {"careful": "q", "hasty": "prior", "idle": "prior"}
    ### END SOLUTION


def relative_variance(prior, likelihood, source):
    """Variance of one weight, divided by the square of its mean p(y|x), if z ~ source. A number.

    prior: [Z], p(z|x). likelihood: [Z], p(y|x,z). source: [Z], the distribution that z is drawn
    from, entries > 0: q(z|x,y) for (5.8); with the prior itself the weight becomes that of (5.7).
    """
    ### BEGIN SOLUTION
    weight = likelihood * prior / source
    mean = source @ weight
    return source @ (weight - mean) ** 2 / mean**2
    ### END SOLUTION


# %% tags=["check:weights:3"]
def spread_by_posterior(prior, likelihood, source):
    """The same by way of p(z|x,y): a weight is p(y|x) · p(z|x,y) / source. And p(y|x)."""
    p = sum(a * b for a, b in zip(prior, likelihood, strict=True))
    posterior = [a * b / p for a, b in zip(prior, likelihood, strict=True)]
    return sum(a * a / b for a, b in zip(posterior, source, strict=True)) - 1, p


def check_spread(name, prior, likelihood, source):
    true, p = spread_by_posterior(prior, likelihood, source)
    no_prior = np.ones(len(prior)), likelihood, source
    logs = np.log(likelihood) + np.log(prior) - np.log(source)
    slips = {
        "Relative to the mean: divide by its square.": true * p**2,
        "Divide by the square of the mean, not by the mean: the unit must go.": true * p,
        "That is the mean square. The variance is less by the square of the mean.": true + 1,
        "That is the relative standard deviation. The variance is its square.": np.sqrt(true),
        "The weight varies, not its logarithm.": np.average(logs**2, weights=source)
        - np.average(logs, weights=source) ** 2,
        "(5.8) has the prior above the bar.": spread_by_posterior(*no_prior)[0],
        "The z are drawn from the source, so not all of them are equally frequent.": (
            np.var(np.exp(logs)) / np.mean(np.exp(logs)) ** 2
        ),
        "The weights that correct for the source are missing.": np.average(
            likelihood**2, weights=source
        )
        / np.average(likelihood, weights=source) ** 2
        - 1,
    }
    compare(name, relative_variance(prior, likelihood, source), true, slips=slips)


p_z = np.array([0.1, 0.2, 0.3, 0.4])
first = p_z, np.array([0.9, 0.2, 0.1, 0.3])
check_spread("a first case, z from q", *first, np.array([0.4, 0.2, 0.1, 0.3]))
check_spread("the same, z from the prior", *first, p_z)
guesses = varies_less()
require(isinstance(guesses, dict), "The prediction is a dictionary with three entries.")
uniform = np.full(4, 0.25)
for name, (likelihood, q) in {
    "careful": ([0.8, 0.8, 0.05, 0.01], [0.4, 0.4, 0.1, 0.1]),
    "hasty": ([0.8, 0.8, 0.05, 0.01], [0.94, 0.02, 0.02, 0.02]),
    "idle": ([0.3] * 4, [0.4, 0.3, 0.2, 0.1]),
}.items():
    spreads = {
        source: spread_by_posterior(uniform, likelihood, table)[0]
        for source, table in {"prior": uniform, "q": q}.items()
    }
    check_spread(f"{name}, z from q", uniform, np.array(likelihood), np.array(q))
    require(
        guesses.get(name) in ("prior", "q"),
        f'The prediction for "{name}" should be "prior" or "q".',
    )
    require(
        guesses[name] == min(spreads, key=spreads.get),
        f'{name}: you predicted "{guesses[name]}". But drawn from the prior a weight has a relative '
        f"variance of {abs(spreads['prior']):.2f}, and from q {spreads['q']:.2f}. How large is a "
        "weight where q hardly ever goes, though z explains y?",
    )
    print(f"{name}: as you predicted.")
### BEGIN HIDDEN TESTS
rng = np.random.default_rng(0)
for Z in (3, 7):
    table = rng.dirichlet(np.ones(Z)), rng.random(Z), rng.dirichlet(np.ones(Z))
    check_spread("elsewhere", *table)
    check_spread("elsewhere, from the prior", *table[:2], table[0])
### END HIDDEN TESTS
