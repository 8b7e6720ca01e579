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

from cvae_tf import exercises  # remembers what NumPy was like

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
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_rules(two_answers, seed):
    from scipy.special import softmax

    rng = np.random.default_rng(seed)

    def a_decoder(d, C, scale):
        A, a, B = rng.normal(size=(d, 8)), rng.normal(size=8), rng.normal(size=(8, C))
        return lambda z: scale * np.tanh(2 * z @ A + a) @ B + 5.0

    def a_case(d, C, S, scale):
        m, s = rng.normal(size=d), rng.uniform(0.2, 2.5, d)
        return a_decoder(d, C, scale), m, s, rng.normal(size=(S, d))

    def by_plug_in(logits, m, s, epsilon):
        return np.argmax(logits(np.array([m]))[0])

    def by_draws(logits, z):
        total = 0.0
        for row in logits(z):
            total = total + np.exp(row - np.logaddexp.reduce(row))
        return np.argmax(total)

    def true(logits, m, s, epsilon):
        return by_plug_in(logits, m, s, epsilon), by_draws(logits, m + s * epsilon)

    def second(rule):  # another rule for the second answer
        return lambda f, m, s, e: (None, rule(f(m + s * e)))

    def drawn(z):  # other draws for it
        return lambda f, m, s, e: (None, by_draws(f, z(m, s, e)))

    slips = {
        "Your first is (5.6)'s answer. (5.5) decodes one z, the mean of the prior.": lambda *c: (
            true(*c)[1], None
        ),
        "E[z|x] is known: it is m. You took the mean of the draws for it.": lambda f, m, s, e: (
            by_plug_in(f, (m + s * e).mean(0), s, e), None
        ),
        "Your first decodes one of the draws. (5.5) decodes m.": lambda f, m, s, e: (
            by_plug_in(f, m + s * e[0], s, e), None
        ),
        "Your first decodes s, the standard deviation. (5.5) decodes m.": lambda f, m, s, e: (
            by_plug_in(f, s, s, e), None
        ),
        "Your first takes the least logit: the answer is the label with the greatest.": (
            lambda f, m, s, e: (np.argmin(f(m[None])[0]), None)
        ),
        "Your second is (5.5)'s answer. (5.6) decodes every draw.": lambda *c: (
            None, true(*c)[0]
        ),
        "You let the draws vote. (5.6) averages what they say, sure or not.": second(
            lambda rows: np.bincount(rows.argmax(1)).argmax()
        ),
        "You averaged logits, or log-probabilities. (5.6) averages probabilities.": second(
            lambda rows: rows.mean(0).argmax()
        ),
        "Your softmax runs over the draws. For each draw it runs over the labels.": second(
            lambda rows: softmax(rows, 0).mean(0).argmax()
        ),
        "Your softmax runs over draws and labels at once, or only exponentials are averaged. For "
        "each draw it runs over the labels.": (
            second(lambda rows: softmax(rows).mean(0).argmax())
        ),
        "The draw that is surest decides in yours. (5.6) averages over all draws.": second(
            lambda rows: softmax(rows, -1).max(0).argmax()
        ),
        "The label least often given: the greatest average is asked for.": second(
            lambda rows: softmax(rows, -1).mean(0).argmin()
        ),
        "You look at one draw. (5.6) averages over all.": second(lambda rows: rows[0].argmax()),
        "s is a standard deviation, no variance: you squared it.": drawn(
            lambda m, s, e: m + s**2 * e
        ),
        "s is a standard deviation, no variance: you took its root.": drawn(
            lambda m, s, e: m + np.sqrt(s) * e
        ),
        "Your draws have the standard deviation 1. Where is s?": drawn(lambda m, s, e: m + e),
        "Your draws lie around 0. Where is m?": drawn(lambda m, s, e: s * e),
        "You decode ε. The draws of z are made from it.": drawn(lambda m, s, e: e),
        "Each dimension has its own s: you took the first for all.": drawn(
            lambda m, s, e: m + s[0] * e
        ),
        "Each dimension has its own s: you took their mean for all.": drawn(
            lambda m, s, e: m + s.mean() * e
        ),
        "m and s have changed places.": drawn(lambda m, s, e: s + m * e),
        "You divide ε by s. A wide prior spreads its draws.": drawn(lambda m, s, e: m + e / s),
    }  # fmt: skip
    sizes = [(d, C, S, scale) for d in (1, 2, 3) for C in (3, 5) for S in (5, 40)
             for scale in (0.5, 2.0, 6.0)]  # fmt: skip
    cases = [a_case(*size) for size in 3 * sizes]
    decoder, m, s, epsilon = a_case(2, 4, 30, 2.0)
    edges = {
        "all logits are 2,000 higher, which changes no probability": (
            lambda z: decoder(z) + 2000, m, s, epsilon
        ),
        "there is one draw": (decoder, m, s, epsilon[:1]),
        "the prior is narrow": (decoder, m, 1e-9 * s, epsilon),
        "one dimension of z is wide and one narrow": (
            lambda z: 20 * np.stack([-z[:, 1] - 0.1, 0 * z[:, 1], z[:, 1] - 0.1], -1),
            np.array([-3.0, 0.04]), np.array([0.1, 2.0]), rng.normal(0.05, 1, (500, 2)),
        ),
        "the wide dimension is one that the decoder does not look at": (
            lambda z: 20 * np.stack([-z[:, 1] - 0.1, 0 * z[:, 1], z[:, 1] - 0.1], -1),
            np.array([-3.0, 0.04]), np.array([5.0, 0.001]), epsilon,
        ),
    }  # fmt: skip
    simpler = {
        "z has one dimension": lambda f, m, s, e: (
            lambda z: f(np.tile(z, (1, len(m)))), m[:1], s[:1], e[:, :1]
        ),
        "s is 1": lambda f, m, s, e: (f, m, np.ones_like(s), e),
        "m is 0": lambda f, m, s, e: (f, 0 * m, s, e),
        "there is one draw": lambda f, m, s, e: (f, m, s, e[:1]),
    }  # fmt: skip
    _e.agree(
        "the answers", two_answers, true, cases, parts=("by (5.5)", "by (5.6)"), slips=slips,
        edges=edges, simpler=simpler,
    )  # fmt: skip
    apart = sum(np.not_equal(*true(*case)) for case in cases)
    print(f"The two rules answer differently for {apart} of {len(cases)} decoders.")


_check_rules(two_answers, seed=0)
### BEGIN HIDDEN TESTS
_check_rules(two_answers, seed=100)
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
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_gsnn(gsnn, seed):
    from scipy.optimize import linprog
    from scipy.stats import entropy

    rng = np.random.default_rng(seed)

    def a_table(Z, Y):
        p_z, p_y = rng.dirichlet(np.full(Z, 3.0)), rng.dirichlet(np.full(Y, 3.0))
        return p_z, rng.dirichlet(np.ones(Y), Z) * 0.98 + 0.02 / Y, p_y

    def sums(prior, likelihood, answers):
        """Averages over y of the bound, log p(y|x), KL(p(z|x,y)‖p(z|x)); one answer at a time."""
        bound = log_p = reverse = 0.0
        for frequency, column in zip(answers, likelihood.T, strict=True):
            p = sum(a * b for a, b in zip(prior, column, strict=True))  # p(y|x)
            bound += frequency * sum(a * np.log(b) for a, b in zip(prior, column, strict=True))
            log_p += frequency * np.log(p)
            reverse += frequency * entropy(prior * column / p, prior)
        return bound, log_p, reverse

    def true(prior, likelihood, answers):
        bound, log_p, _ = sums(prior, likelihood, answers)
        costs = [-np.average(np.log(row), weights=answers) for row in likelihood]
        best = linprog(costs, A_eq=[np.ones(len(prior))], b_eq=[1.0])  # over all priors
        return bound, log_p - bound, -best.fun

    def alike(prior, likelihood, answers):
        return true(prior, likelihood, np.full(len(answers), 1 / len(answers)))

    slips = {
        "That is log p(y|x): the average over z stands inside the logarithm in yours.": (
            lambda *c: (sums(*c)[1], None, None)
        ),
        "An average over the answers: weigh each by how often it occurs. You take all alike.": (
            lambda *c: (alike(*c)[0], None, None)
        ),
        "An average over the answers, not their plain sum.": lambda *c: (
            alike(*c)[0] * len(c[2]), None, None
        ),
        "The prior weighs the z in the bound; you take all z alike.": lambda *c: (
            sums(np.full(len(c[0]), 1 / len(c[0])), *c[1:])[0], None, None
        ),
        "The bound is a sum over z, weighed by the prior; you add up all z.": lambda *c: (
            sums(np.ones(len(c[0])), *c[1:])[0], None, None
        ),
        "The other way round: in (5.3) the prior stands first in the divergence.": lambda *c: (
            None, sums(*c)[2], None
        ),
        "A gap is not negative: look at the sign.": lambda *c: (None, -true(*c)[1], None),
        "Your gap takes all answers alike, however often they occur.": lambda *c: (
            None, alike(*c)[1], None
        ),
        "Your gap is the plain sum over the answers.": lambda *c: (
            None, alike(*c)[1] * len(c[2]), None
        ),
        "That is log p(y|x), not its distance from the bound.": lambda *c: (
            None, sums(*c)[1], None
        ),
        "Your posterior is not divided by p(y|x): it has to add up to one.": lambda *c: (
            None, -sums(*c)[0], None
        ),
        "Each answer has its own best z in yours. The prior does not know which answer it will be: "
        "one choice for all of them.": lambda p, f, a: (None, None, np.log(f.max(0)) @ a),
        "Not the best z for the likeliest answer: the best for the average over the answers.": (
            lambda p, f, a: (None, None, np.log(f[f[:, a.argmax()].argmax()]) @ a)
        ),
        "No decoder can say more than this, but the likelihood is given: choose among its rows.": (
            lambda p, f, a: (None, None, a @ np.log(a))
        ),
        "That is the bound with all z alike.": lambda p, f, a: (
            None, None, np.log(f).mean(0) @ a
        ),
        "That is the worst z. The greatest bound is asked for.": lambda p, f, a: (
            None, None, np.min(np.log(f) @ a)
        ),
        "That is the greatest bound if all answers are equally frequent.": lambda *c: (
            None, None, alike(*c)[2]
        ),
        "That is the bound of the given prior once more.": lambda *c: (
            None, None, true(*c)[0]
        ),
        "You weigh the z by the prior, and may choose it.": lambda p, f, a: (
            None, None, np.max(p * (np.log(f) @ a))
        ),
    }  # fmt: skip
    simpler = {
        "all answers are equally frequent": lambda p, f, a: (p, f, np.full(len(a), 1 / len(a))),
        "the prior takes all z alike": lambda p, f, a: (np.full(len(p), 1 / len(p)), f, a),
        "there are as many z as answers": lambda p, f, a: (
            p[: min(f.shape)] / p[: min(f.shape)].sum(),
            f[: min(f.shape), : min(f.shape)] / f[: min(f.shape), : min(f.shape)].sum(
                1, keepdims=True
            ),
            a[: min(f.shape)] / a[: min(f.shape)].sum(),
        ),
        "all z have the same likelihood": lambda p, f, a: (p, np.tile(f[:1], (len(p), 1)), a),
        "there is one z": lambda p, f, a: (np.ones(1), f[:1], a),
        "there is one answer": lambda p, f, a: (p, f[:, :1], np.ones(1)),
    }  # fmt: skip
    sure = np.array([[0.96, 0.04], [0.04, 0.96], [0.5, 0.5]])  # of one, of the other, of neither
    blur = np.array([0.45, 0.45, 0.1]), sure, np.array([0.5, 0.5])
    edges = {
        "no z is sure of both answers, and one is sure of neither": blur,
        "there is one z": a_table(1, 3),
        "two z say the same": (np.array([0.2, 0.3, 0.5]), sure[[0, 0, 2]], np.array([0.3, 0.7])),
        "one answer hardly ever occurs": (*a_table(3, 2)[:2], np.array([1 - 1e-9, 1e-9])),
        "a likelihood is as low as exp(−200)": (
            blur[0], np.array([[1.0, 1e-87], [0.5, 0.5], [0.9, 0.1]]), np.array([0.4, 0.6])
        ),
    }  # fmt: skip
    sizes = ((3, 4), (5, 3), (2, 2), (4, 6), (6, 2))
    _e.agree(
        "the three numbers", gsnn, true, [a_table(*size) for size in sizes], unit="nats",
        parts=("bound", "gap", "greatest bound"), slips=slips, edges=edges, simpler=simpler,
    )  # fmt: skip
    print("With two answers as often as each other, the best prior of three z chooses the one that")
    print("is sure of neither: a blur, and no noise.")


_check_gsnn(gsnn, seed=0)
### BEGIN HIDDEN TESTS
_check_gsnn(gsnn, seed=100)
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
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_mix(hybrid_and_mixture, seed):
    from scipy.stats import entropy

    rng = np.random.default_rng(seed)

    def blend(alpha, a, b):
        return sum(share * part for share, part in zip((alpha, 1 - alpha), (a, b), strict=True))

    def below(r, prior, likelihood):  # by the gap: log p(y|x) less KL(r ‖ p(z|x,y))
        p = sum(a * b for a, b in zip(prior, likelihood, strict=True))
        return np.log(p) - sum(
            a * np.log(a * p / (b * c)) for a, b, c in zip(r, prior, likelihood, strict=True)
        )

    def true(alpha, q, prior, likelihood):
        given = prior, likelihood
        hybrid = blend(alpha, below(q, *given), below(prior, *given))
        return hybrid, below(blend(alpha, q, prior), *given)

    def other(alpha, q, prior, likelihood):
        return true(1 - alpha, q, prior, likelihood)

    def r_pays(alpha, q, prior, likelihood):
        return entropy(blend(alpha, q, prior), prior)

    def q_pays(alpha, q, prior, likelihood):
        return alpha * entropy(q, prior)

    slips = {
        "α and 1 − α have changed places in both numbers.": other,
        "α belongs to the bound with q, and 1 − α to the GSNN's.": lambda *c: (other(*c)[0], None),
        "The bound with q has a divergence from the prior to pay.": lambda *c: (
            true(*c)[0] + q_pays(*c), None
        ),
        "The divergence enters (5.2) with a minus.": lambda *c: (
            true(*c)[0] + 2 * q_pays(*c), None
        ),
        "The divergence of q is to be weighed by α, as its bound is.": lambda *c: (
            true(*c)[0] + q_pays(*c) - entropy(c[1], c[2]), None
        ),
        "The GSNN draws from the prior; both of your terms draw from q.": lambda a, q, p, f: (
            true(a, q, p, f)[0] + (1 - a) * (q - p) @ np.log(f), None
        ),
        "You have q's bound twice: the hybrid mixes it with the GSNN's.": lambda a, q, p, f: (
            below(q, p, f), None
        ),
        "That is the GSNN's bound alone.": lambda a, q, p, f: (below(p, p, f), None),
        "KL(q‖p(z|x)), not the other way round.": lambda a, q, p, f: (
            true(a, q, p, f)[0] + a * (entropy(q, p) - entropy(p, q)), None
        ),
        "That is the bound with r. The hybrid mixes two numbers.": lambda *c: (true(*c)[1], None),
        "The two bounds are added with α and α.": lambda a, q, p, f: (
            a * (below(q, p, f) + below(p, p, f)), None
        ),
        "That is the hybrid again. What r pays is KL(r‖p(z|x)), and not α KL(q‖p(z|x)).": (
            lambda *c: (None, true(*c)[0])
        ),
        "r has a divergence from the prior to pay, too.": lambda *c: (
            None, true(*c)[1] + r_pays(*c)
        ),
        "The divergence of r enters with a minus.": lambda *c: (
            None, true(*c)[1] + 2 * r_pays(*c)
        ),
        "α is q's share of r, and 1 − α the prior's.": lambda *c: (None, other(*c)[1]),
        "q's divergence stands where r's belongs.": lambda a, q, p, f: (
            None, true(a, q, p, f)[1] + r_pays(a, q, p, f) - entropy(q, p)
        ),
        "Your r is q. It is a mixture of q and the prior.": lambda a, q, p, f: (
            None, below(q, p, f)
        ),
        "Your r is the prior. It is a mixture of q and the prior.": lambda a, q, p, f: (
            None, below(p, p, f)
        ),
    }  # fmt: skip
    terms = {
        "what the prior's logarithm adds": lambda a, q, p, f: (
            blend(a, q, p) @ np.log(p), blend(a, q, p) @ np.log(p)
        ),
        "the likelihood": lambda a, q, p, f: (blend(a, q, p) @ np.log(f),) * 2,
        "q's bound": lambda a, q, p, f: (a * below(q, p, f), 0.0),
        "the GSNN's bound": lambda a, q, p, f: ((1 - a) * below(p, p, f), 0.0),
        "the entropy of r": lambda a, q, p, f: (0.0, entropy(blend(a, q, p))),
        "the entropies of q and of the prior": lambda a, q, p, f: (
            a * entropy(q) + (1 - a) * entropy(p), 0.0
        ),
    }  # fmt: skip
    simpler = {
        "q is the prior": lambda a, q, p, f: (a, p, p, f),
        "α is ½": lambda a, q, p, f: (0.5, q, p, f),
        "all z explain y equally": lambda a, q, p, f: (a, q, p, np.full(len(f), 0.5)),
        "the likelihood is 1": lambda a, q, p, f: (a, q, p, np.ones(len(f))),
        "the prior takes all z alike": lambda a, q, p, f: (a, q, np.full(len(p), 1 / len(p)), f),
        "α is nearly 1": lambda a, q, p, f: (1 - 1e-12, q, p, f),
        "α is nearly 0": lambda a, q, p, f: (1e-12, q, p, f),
    }

    def a_case(Z, alpha):
        return alpha, rng.dirichlet(np.ones(Z)), rng.dirichlet(np.ones(Z)), rng.random(Z) + 1e-3

    _, q, prior, likelihood = a_case(4, 0.5)
    edges = {
        "q is the prior": (0.4, prior, prior, likelihood),
        "z has one value": (0.4, np.ones(1), np.ones(1), np.array([0.3])),
        "α is very small": (1e-9, q, prior, likelihood),
        "the likelihood is as low as exp(−400)": (0.3, q, prior, 1e-174 * likelihood),
        "q hardly ever takes one value": (0.6, np.array([1e-30, 1.0]), prior[:2] / sum(prior[:2]),
                                          likelihood[:2]),
    }  # fmt: skip
    cases = [a_case(Z, a) for Z, a in ((6, 0.3), (3, 0.8), (4, 0.55), (5, 0.1), (2, 0.9), (7, 0.4))]
    _e.agree(
        "the two bounds", hybrid_and_mixture, true, cases, unit="nats", slips=slips, terms=terms,
        parts=("the hybrid", "with r"), edges=edges, simpler=simpler,
    )  # fmt: skip
    higher = ", ".join(f"{b - a:.3f}" for a, b in (true(*case) for case in cases))
    print(f"The bound with r is the higher, here by {higher} nats, and is never lower: r leaves")
    print("open which of the two was drawn from, so it has more entropy than q and the prior on")
    print("average.")


_check_mix(hybrid_and_mixture, seed=0)
### BEGIN HIDDEN TESTS
_check_mix(hybrid_and_mixture, seed=100)
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
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_blur(nats_lost, seed):
    from scipy.stats import entropy
    from sklearn.metrics import mutual_info_score

    rng = np.random.default_rng(seed)

    def true(patterns, weights):
        """What each pixel shares with those before it, summed: from a list of sixteen images."""
        images = np.repeat(patterns, np.rint(16 * weights).astype(int), axis=0)
        before = [["".join(map(str, image[:i])) for image in images] for i in range(images.shape[1])]
        return sum(mutual_info_score(a, b) for a, b in zip(before, images.T, strict=True))

    def a_case(K, n):
        rows = rng.permutation(2**n)[:K]
        sixteenths = 1 + rng.multinomial(16 - K, rng.dirichlet(np.ones(K)))
        return np.array([[row >> i & 1 for i in range(n)] for row in rows]), sixteenths / 16

    def paid(patterns, weights):  # by the regressor
        return true(patterns, weights) + entropy(weights)

    def even(patterns, weights):
        ink = patterns.mean(0)
        return -sum(w * np.log(np.where(row, ink, 1 - ink) + 1e-300).sum()
                    for w, row in zip(weights, patterns, strict=True))  # fmt: skip

    def ink_only(patterns, weights):
        ink = np.average(patterns, axis=0, weights=weights)
        return -sum(p * np.log(p) for p in ink if p > 0)

    slips = {
        "That is all that the regressor pays. Subtract what the true p(y|x) pays.": paid,
        "That is what the true p(y|x) pays on average. How much does the regressor pay?": (
            lambda p, w: entropy(w)
        ),
        "With ½ for every pixel. But the regressor may choose, pixel by pixel.": (
            lambda p, w: p.shape[1] * np.log(2) - entropy(w)
        ),
        "The probabilities of pixels multiply, so their logarithms add up: no mean over pixels.": (
            lambda p, w: true(p, w) / p.shape[1]
        ),
        "The pixels' average instead of their sum, for what the regressor states.": (
            lambda p, w: paid(p, w) / p.shape[1] - entropy(w)
        ),
        "Turned round: the truth scores higher than the blur.": lambda p, w: -true(p, w),
        "Added, not subtracted: what the truth pays is taken off.": (
            lambda p, w: true(p, w) + 2 * entropy(w)
        ),
        "Only ink is counted. Paper is an outcome too.": lambda p, w: ink_only(p, w) - entropy(w),
        "Only paper is counted. Ink is an outcome too.": (
            lambda p, w: ink_only(1 - p, w) - entropy(w)
        ),
        "The patterns are not equally frequent: the best numbers weigh them.": (
            lambda p, w: even(p, w) - entropy(w)
        ),
        "The patterns are not equally frequent, neither for the regressor nor for the truth.": (
            lambda p, w: sum(entropy([i, 1 - i]) for i in p.mean(0)) - np.log(len(p))
        ),
        "The true log p(y|x) is averaged with the patterns' weights: you took all alike.": (
            lambda p, w: paid(p, w) + np.log(w).mean()
        ),
        "The true log p(y|x) is averaged over the patterns, not summed.": (
            lambda p, w: paid(p, w) + np.log(w).sum()
        ),
        "Those are bits; the course counts in nats.": lambda p, w: true(p, w) / np.log(2),
    }  # fmt: skip
    terms = {
        "what the truth pays": lambda p, w: -entropy(w),
        "what the regressor pays": paid,
        "what it pays for ink": ink_only,
        "what it pays for paper": lambda p, w: ink_only(1 - p, w),
    }
    simpler = {
        "the patterns are equally frequent": lambda p, w: (p[:2], np.array([0.5, 0.5])),
        "there is one pattern": lambda p, w: (p[:1], np.ones(1)),
        "there are two patterns": lambda p, w: (p[:2], np.array([0.25, 0.75])),
    }
    edges = {
        "a pixel is ink in every pattern": (np.array([[1, 0], [1, 1]]), np.array([0.75, 0.25])),
        "a pixel is ink in no pattern": (np.array([[0, 0], [0, 1]]), np.array([0.75, 0.25])),
        "there is one pattern": (np.array([[0, 1, 1]]), np.ones(1)),
        "there is one pixel": (np.array([[0], [1]]), np.array([0.125, 0.875])),
        "the patterns are complements, on 48 pixels": (
            np.array([[0] * 48, [1] * 48]), np.array([0.5, 0.5])
        ),
        "the pixels are independent": (
            np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([3, 3, 1, 1]) / 8
        ),
    }  # fmt: skip
    cases = [a_case(*size) for size in ((3, 3), (2, 6), (4, 2), (5, 4), (7, 3), (6, 5))]
    # in random cases every pixel varies; where one does not is an edge
    cases = [(p[:, np.ptp(p, axis=0) > 0], w) for p, w in cases]
    with np.errstate(all="ignore"):
        _e.agree(
            "nats lost", nats_lost, true, cases, unit="nats", slips=slips, terms=terms,
            edges=edges, simpler=simpler,
        )  # fmt: skip
    print("Two patterns that are complements of each other, on more and more pixels, half and half:")
    for n in (2, 8, 48):
        lost = true(np.array([[0] * n, [1] * n]), np.array([0.5, 0.5]))
        print(f"  {n:2} pixels: {lost:5.2f} nats lost")


_check_blur(nats_lost, seed=0)
### BEGIN HIDDEN TESTS
_check_blur(nats_lost, seed=100)
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
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_rest(mended, seed):
    import math

    rng = np.random.default_rng(seed)

    def logs(p, image, pixels):  # log p(y|x, z) of each draw
        return [sum(math.log(row[i] if image[i] else 1 - row[i]) for i in pixels) for row in p]

    def over(p, image, pixels):  # the logarithm of the mean over the draws
        found = logs(p, image, pixels)
        return np.logaddexp.reduce(found) - math.log(len(found)) if len(found) else 0.0

    def rest(seen):
        return [i for i, s in enumerate(seen) if not s]

    def true(p, image, seen):
        return over(p, image, rest(seen))

    def turned(p, image, seen):  # ink taken for paper
        return true(1 - p, image, seen)

    slips = {
        "The pixels that are seen are still scored. They are no part of y.": lambda p, im, seen: (
            over(p, im, range(len(im)))
        ),
        "The draws are still averaged pixel by pixel: that is a blur. A draw explains all of y or "
        "it does not: the product over the pixels comes first.": lambda p, im, seen: sum(
            over(p, im, [i]) for i in rest(seen)
        ),
        "That is the program as it was: it averages pixel by pixel, and scores what is seen.": (
            lambda p, im, seen: sum(over(p, im, [i]) for i in range(len(im)))
        ),
        "You score what is seen: y is the rest.": lambda p, im, seen: over(
            p, im, rest(np.logical_not(seen))
        ),
        "A mean of logarithms is the GSNN's bound (5.3). (5.7) has the mean inside.": (
            lambda p, im, seen: np.mean(logs(p, im, rest(seen)))
        ),
        "A sum over the draws, where (5.7) has a mean: too high by log S.": lambda p, im, seen: (
            true(p, im, seen) + math.log(len(p))
        ),
        "log S is added. A mean over S draws divides by S.": lambda p, im, seen: (
            true(p, im, seen) + 2 * math.log(len(p))
        ),
        "S itself is subtracted from a logarithm: subtract log S.": lambda p, im, seen: (
            true(p, im, seen) + math.log(len(p)) - len(p)
        ),
        "A mean over the pixels is no log-likelihood.": lambda p, im, seen: (
            true(p, im, seen) / len(rest(seen))
        ),
        "A draw's log-likelihood is the sum over its pixels; you took their mean.": (
            lambda p, im, seen: np.logaddexp.reduce(
                np.array(logs(p, im, rest(seen))) / len(rest(seen))
            ) - math.log(len(p))
        ),
        "p is the probability of ink, image = 1: you took it for that of paper.": turned,
        "Sum over the pixels first, then average the draws: you went over the draws first.": (
            lambda p, im, seen: np.logaddexp.reduce(
                [sum(logs(p, im, [i])) for i in rest(seen)]
            ) - math.log(len(p))
        ),
        "You divide by the number of pixels, where there are S draws.": lambda p, im, seen: (
            true(p, im, seen) + math.log(len(p)) - math.log(len(im))
        ),
        "That is the best draw. (5.7) has the mean of all.": lambda p, im, seen: max(
            logs(p, im, rest(seen))
        ),
        "Paper is an outcome too: you score ink alone.": lambda p, im, seen: over(
            p, im, [i for i in rest(seen) if im[i]]
        ),
    }  # fmt: skip
    simpler = {
        "there is one draw": lambda p, im, seen: (p[:1], im, seen),
        "nothing is seen": lambda p, im, seen: (p, im, np.zeros(len(im), bool)),
        "one pixel is not seen": lambda p, im, seen: (p, im, np.arange(len(im)) > 0),
        "all pixels are ink": lambda p, im, seen: (p, np.ones_like(im), seen),
        "all draws say the same": lambda p, im, seen: (np.tile(p[:1], (len(p), 1)), im, seen),
        "all draws say the same and nothing is seen": lambda p, im, seen: (
            np.tile(p[:1], (len(p), 1)), im, np.zeros(len(im), bool)
        ),
    }  # fmt: skip

    def a_case(S, D, seen):
        p, image = rng.uniform(0.05, 0.95, (S, D)), rng.integers(0, 2, D)
        return p, image, rng.permutation(np.arange(D) < seen)

    edges = {
        "a product of 3,000 probabilities is zero on a computer": (
            np.tile([[0.1], [0.2]], 4000), np.ones(4000), np.arange(4000) < 1000
        ),
        "there is one draw": a_case(1, 8, 2),
        "nothing is seen": a_case(4, 5, 0),
        "all but one pixel are seen": a_case(4, 5, 4),
    }  # fmt: skip
    cases = [a_case(*size) for size in ((5, 8, 2), (3, 12, 3), (7, 6, 4), (4, 9, 5), (2, 7, 1))]
    with np.errstate(divide="ignore"):
        _e.agree(
            "log p(y|x)", mended, true, cases, unit="nats", slips=slips, edges=edges,
            simpler=simpler,
        )  # fmt: skip


_check_rest(mended, seed=0)
### BEGIN HIDDEN TESTS
_check_rest(mended, seed=100)
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
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_weights(varies_less, relative_variance, seed):
    rng = np.random.default_rng(seed)

    def p_of_y(prior, likelihood):
        return sum(a * b for a, b in zip(prior, likelihood, strict=True))

    def true(prior, likelihood, source):  # a weight is p(y|x) · p(z|x,y) / source
        p = p_of_y(prior, likelihood)
        posterior = [a * b / p for a, b in zip(prior, likelihood, strict=True)]
        return sum(a * a / b for a, b in zip(posterior, source, strict=True)) - 1

    def spread(values, source):  # relative variance of any weights
        mean = np.average(values, weights=source)
        return np.average((values - mean) ** 2, weights=source) / mean**2

    def logs(p, f, source):
        w = np.log(f) + np.log(p) - np.log(source)
        return np.average(w**2, weights=source) - np.average(w, weights=source) ** 2

    slips = {
        "Relative to the mean: divide by its square.": lambda p, f, q: (
            true(p, f, q) * p_of_y(p, f) ** 2
        ),
        "Divide by the square of the mean, not by the mean: the unit must go.": lambda p, f, q: (
            true(p, f, q) * p_of_y(p, f)
        ),
        "That is the mean square. The variance is less by the square of the mean.": (
            lambda p, f, q: true(p, f, q) + 1
        ),
        "That is the relative standard deviation. The variance is its square.": (
            lambda p, f, q: np.sqrt(true(p, f, q))
        ),
        "The weight varies, not its logarithm.": logs,
        "(5.8) has the prior above the bar.": lambda p, f, q: spread(f / q, q),
        "The z are drawn from the source, so not all of them are equally frequent.": (
            lambda p, f, q: spread(f * p / q, np.ones(len(q)))
        ),
        "The z are drawn from the source; you weigh them by the prior.": (
            lambda p, f, q: spread(f * p / q, p)
        ),
        "The weights that correct for the source are missing.": lambda p, f, q: spread(f, q),
        "(5.8) divides by the source; you multiply by it.": lambda p, f, q: spread(f * p * q, q),
        "The source is below the bar and the prior above it: yours is upside down.": (
            lambda p, f, q: spread(f * q / p, q)
        ),
        "The likelihood is missing from the weight.": lambda p, f, q: spread(p / q, q),
    }
    simpler = {
        "the source is the prior": lambda p, f, q: (p, f, p),
        "all z explain y equally": lambda p, f, q: (p, np.full(len(f), 0.3), q),
        "the source takes all z alike": lambda p, f, q: (p, f, np.full(len(q), 1 / len(q))),
        "p(y|x) is 1": lambda p, f, q: (p, f / p_of_y(p, f), q),
        "prior and source take all z alike": lambda p, f, q: (
            np.full(len(q), 1 / len(q)), f, np.full(len(q), 1 / len(q))
        ),
    }  # fmt: skip

    def a_case(Z):
        return rng.dirichlet(np.ones(Z)), rng.random(Z) + 0.01, rng.dirichlet(np.full(Z, 2.0))

    prior, likelihood, source = a_case(4)
    edges = {
        "the source is the prior, as in (5.7)": (prior, likelihood, prior),
        "the source is the true posterior": (
            prior, likelihood, prior * likelihood / p_of_y(prior, likelihood)
        ),
        "z has one value": (np.ones(1), np.array([0.2]), np.ones(1)),
        "y is very improbable": (prior, 1e-60 * likelihood, source),
        "the source hardly ever goes where y is explained": (
            np.array([0.5, 0.5]), np.array([0.9, 0.001]), np.array([1e-6, 1 - 1e-6])
        ),
    }  # fmt: skip
    _e.agree(
        "relative variance", relative_variance, true, [a_case(Z) for Z in (4, 3, 7, 2, 5)],
        slips=slips, edges=edges, simpler=simpler,
    )  # fmt: skip
    guesses = varies_less()
    _e.require(isinstance(guesses, dict), "The prediction is a dictionary with three entries.")
    uniform = np.full(4, 0.25)
    for name, (f, q) in {
        "careful": ([0.8, 0.8, 0.05, 0.01], [0.4, 0.4, 0.1, 0.1]),
        "hasty": ([0.8, 0.8, 0.05, 0.01], [0.94, 0.02, 0.02, 0.02]),
        "idle": ([0.3] * 4, [0.4, 0.3, 0.2, 0.1]),
    }.items():
        by = {"prior": true(uniform, f, uniform), "q": true(uniform, f, q)}
        _e.require(
            guesses.get(name) in ("prior", "q"),
            f'The prediction for "{name}" should be "prior" or "q".',
        )
        _e.require(
            guesses[name] == min(by, key=by.get),
            f'{name}: you predicted "{guesses[name]}". But drawn from the prior a weight has a '
            f"relative variance of {abs(by['prior']):.2f}, and from q {by['q']:.2f}. How large is a "
            "weight where q hardly ever goes, though z explains y?",
        )
        print(f"{name}: {abs(by['prior']):.2f} from the prior, {by['q']:.2f} from q; as you predicted.")


_check_weights(varies_less, relative_variance, seed=0)
### BEGIN HIDDEN TESTS
_check_weights(varies_less, relative_variance, seed=100)
### END HIDDEN TESTS
