# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercises 3 · CVAE-1: a prior for every label
#
# Six tasks on lesson 03, sixteen points. In each, put your code in the place of the line that raises an error, then
# run the check below it: it prints your value beside the true one, or says what is wrong. No task needs another,
# so begin where you like.

# %%
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp
from scipy.stats import entropy, norm
from sklearn.naive_bayes import GaussianNB

from cvae_tf import datasets, exercises, oracle
from cvae_tf.oracle import LinearGaussian

# %% [markdown]
# ## 3.1 Estimator A, with y behind every bar (2 points)
#
# The lesson trains with estimator B. Write the other one, SGVB-A (2.2), for $\log p(x \mid y)$, with one draw for each
# image. The prior is a table as in the lesson: row $k$ of `m` and of `s` holds the means and the standard deviations of
# $p(z \mid y)$ for label $k$. No closed form is needed. (`norm` is imported.)


# %% tags=["task:draw"]
def sgvb_a(mu, sigma, y, m, s, log_likelihood, epsilon):
    """One draw of estimator A for each pair (x, y). Nats, [B].

    mu, sigma: [B, d], mean and standard deviation of q(z|x,y). y: [B, K], one-hot.
    m, s: [K, d], the table. log_likelihood: a function, z [B, d] → log p(x|y,z) [B], nats.
    epsilon: [B, d], the draw's noise, from N(0, I).
    """
    ### BEGIN SOLUTION
    z = mu + sigma * epsilon
    log_prior = norm.logpdf(z, y @ m, y @ s).sum(-1)
    return log_likelihood(z) + log_prior - norm.logpdf(z, mu, sigma).sum(-1)
    ### END SOLUTION


# %% tags=["check:draw:2"]
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_draw(sgvb_a, seed):
    from scipy.stats import norm

    rng = np.random.default_rng(seed)

    def three(mu, sigma, y, m, s, log_likelihood, epsilon, at=None):
        """log p(x|y,z), log p(z|y), log q(z|x,y), pair by pair; each [B]."""
        labels = [list(row).index(1) for row in y]
        z = mu + sigma * epsilon if at is None else at
        prior = [sum(norm.logpdf(*v) for v in zip(row, m[k], s[k], strict=True))
                 for row, k in zip(z, labels, strict=True)]  # fmt: skip
        q = [sum(norm.logpdf(*v) for v in zip(*rows, strict=True))
             for rows in zip(z, mu, sigma, strict=True)]  # fmt: skip
        return np.asarray(log_likelihood(z)), np.array(prior), np.array(q)

    def combined(mix):
        return lambda *case: mix(*three(*case))

    true = combined(lambda fit, prior, q: fit + prior - q)

    def with_case(change):  # the true value of another case
        return lambda *case: true(*change(*case))

    def z_for(f, g, h):  # each density at a z of its own
        def values(mu, sigma, y, m, s, log_likelihood, epsilon):
            case, z = (mu, sigma, y, m, s, log_likelihood, epsilon), mu + sigma * epsilon
            fit, prior, q = (
                three(*case, at=at(z, mu, epsilon))[i] for i, at in enumerate((f, g, h))
            )
            return fit + prior - q

        return values

    drawn, mean, noise = (lambda z, mu, e: z), (lambda z, mu, e: mu), (lambda z, mu, e: e)

    def first_dimension(density):
        return lambda *case: true(*case) + density(*case)

    slips = {
        "All labels have the prior N(0, I) in yours. The table holds one for each.": with_case(
            lambda mu, sigma, y, m, s, f, e: (mu, sigma, y, 0 * m, s**0, f, e)
        ),
        "The table holds standard deviations; you took them for variances.": with_case(
            lambda mu, sigma, y, m, s, f, e: (mu, sigma, y, m, np.sqrt(s), f, e)
        ),
        "You took the variances where standard deviations belong.": with_case(
            lambda mu, sigma, y, m, s, f, e: (mu, sigma, y, m, s**2, f, e)
        ),
        "Your prior has the label's mean and the scale 1: the table has scales, too.": with_case(
            lambda mu, sigma, y, m, s, f, e: (mu, sigma, y, m, s**0, f, e)
        ),
        "Your prior has the label's scale and the mean 0: the table has means, too.": with_case(
            lambda mu, sigma, y, m, s, f, e: (mu, sigma, y, 0 * m, s, f, e)
        ),
        "That is log p(x, z|y). What does the first line of (3.2) subtract?": combined(
            lambda fit, prior, q: fit + prior
        ),
        "The prior is missing: that is log p(x|y,z) − log q(z|x,y).": combined(
            lambda fit, prior, q: fit - q
        ),
        "The likelihood is missing.": combined(lambda fit, prior, q: prior - q),
        "The sign: the bound is log p(x, z|y) − log q(z|x,y).": combined(
            lambda fit, prior, q: q - fit - prior
        ),
        "log q(z|x,y) is subtracted, not added.": combined(lambda fit, prior, q: fit + prior + q),
        "log p(z|y) is added, not subtracted.": combined(lambda fit, prior, q: fit - prior - q),
        "Prior and q have changed places.": combined(lambda fit, prior, q: fit - prior + q),
        "You put q's mean into the prior. All three densities are taken at the draw.": z_for(
            drawn, mean, drawn
        ),
        "You put q's mean into the likelihood. All three densities are taken at the draw.": z_for(
            mean, drawn, drawn
        ),
        "You put q's mean into q. All three densities are taken at the draw.": z_for(
            drawn, drawn, mean
        ),
        "Your z is q's mean, whatever the noise: draw it.": z_for(mean, mean, mean),
        "Your z is the noise ε itself. A draw from q is made of it, μ and σ.": z_for(
            noise, noise, noise
        ),
        "Your z is drawn from the prior: draw it from q.": lambda *c: (
            lambda fit, prior, q: fit + prior - q
        )(*three(*c, at=c[2] @ c[3] + (c[2] @ c[4]) * c[6])),
        "Your z has the noise with a minus: z = μ + σ ε.": with_case(lambda *c: (*c[:-1], -c[-1])),
        "One number for the batch: each pair has its own.": lambda *c: np.sum(true(*c)),
        "One number for the batch, its mean: each pair has its own.": lambda *c: np.mean(true(*c)),
        "The densities of the dimensions of z add up; you average them.": lambda *c: (
            three(*c)[0] + (three(*c)[1] - three(*c)[2]) / c[0].shape[1]
        ),
        "log p(z|y) is a mean over the dimensions of z in yours, where it is a sum.": lambda *c: (
            true(*c) - three(*c)[1] * (1 - 1 / c[0].shape[1])
        ),
        "log q is a mean over the dimensions of z in yours, where it is a sum.": lambda *c: (
            true(*c) + three(*c)[2] * (1 - 1 / c[0].shape[1])
        ),
        "log p(z|y) is one number for the batch in yours: each pair has its own.": lambda *c: (
            true(*c) - three(*c)[1] + three(*c)[1].sum()
        ),
        "log q is one number for the batch in yours: each pair has its own.": lambda *c: (
            true(*c) + three(*c)[2] - three(*c)[2].sum()
        ),
        "Your z lies one σ off the mean, whatever the noise: z = μ + σ ε.": with_case(
            lambda *c: (*c[:-1], c[-1] ** 0)
        ),
        "The expectation of log q is subtracted in yours, where the draw's own belongs.": lambda *c: (
            three(*c)[0] + three(*c)[1] + norm.entropy(c[0], c[1]).sum(-1)
        ),
        "The divergence is in closed form in yours: that is estimator B.": lambda *c: (
            three(*c)[0] - 0.5 * np.sum(
                (c[1] / (c[2] @ c[4])) ** 2 + ((c[0] - c[2] @ c[3]) / (c[2] @ c[4])) ** 2 - 1
                - 2 * np.log(c[1] / (c[2] @ c[4])), -1)
        ),
    }  # fmt: skip
    terms = {
        "log p(x|y,z)": combined(lambda fit, prior, q: fit),
        "log p(z|y)": combined(lambda fit, prior, q: prior),
        "log q(z|x,y)": combined(lambda fit, prior, q: -q),
    }
    simpler = {
        "there is no noise, ε = 0": lambda *c: (*c[:-1], 0 * c[-1]),
        "σ is 1": lambda mu, sigma, *c: (mu, sigma**0, *c),
        "the prior's scales are 1": lambda mu, sigma, y, m, s, *c: (mu, sigma, y, m, s**0, *c),
        "the prior's means are 0": lambda mu, sigma, y, m, s, *c: (mu, sigma, y, 0 * m, s, *c),
        "all labels have the same prior": lambda mu, sigma, y, m, s, *c: (
            mu, sigma, y, 0 * m + m[0], 0 * s + s[0], *c
        ),
        "all labels have the prior N(0, I)": lambda mu, sigma, y, m, s, *c: (
            mu, sigma, y, 0 * m, s**0, *c
        ),
        "μ is 0": lambda mu, *c: (0 * mu, *c),
        "ε is 0 and the scales are 1": lambda mu, sigma, y, m, s, f, e: (
            mu, sigma**0, y, m, s**0, f, 0 * e
        ),
    }  # fmt: skip

    def a_case(B, K, d):
        W, x = rng.normal(size=(4, d)), rng.normal(size=(B, 4))
        q = rng.normal(size=(B, d)), rng.uniform(0.3, 1.2, (B, d))
        y = np.eye(K)[rng.integers(0, K, B)]
        table = 2 * rng.normal(size=(K, d)), rng.uniform(0.4, 2, (K, d))

        def log_likelihood(z):
            return norm.logpdf(x, z @ W.T, 0.6).sum(-1)

        return *q, y, *table, log_likelihood, rng.normal(size=(B, d))

    mu, sigma, y, m, s, f, e = a_case(4, 3, 2)
    edges = {
        "there is one pair": a_case(1, 3, 2),
        "z has one dimension": a_case(5, 3, 1),
        "pairs, labels and dimensions are equally many": a_case(3, 3, 3),
        "there is one label": a_case(4, 1, 2),
        "q is the prior": (y @ m, y @ s, y, m, s, f, e),
        "q is very narrow": (mu, 1e-6 * sigma, y, m, s, f, e),
    }
    sizes = ((5, 3, 2), (2, 5, 3), (7, 4, 4), (4, 2, 5))
    _e.agree(
        "A, draw by draw", sgvb_a, true, [a_case(*size) for size in sizes], unit="nats",
        slips=slips, terms=terms, edges=edges, simpler=simpler,
    )  # fmt: skip


_check_draw(sgvb_a, seed=0)
### BEGIN HIDDEN TESTS
_check_draw(sgvb_a, seed=100)
### END HIDDEN TESTS


# %% [markdown]
# ## 3.2 Predict, then measure: a finer ruler (2 points)
#
# Somebody measures the same images in other units: every one of the $D$ numbers in $x$ is multiplied by $c$, say 16
# grey levels for 1. Everything of the model moves along, so that it says the same as before: $p(x \mid y, z)$ becomes the
# density of $cx$, while $q(z \mid x, y)$ and $p(z \mid y)$ give every image the $z$ that they gave it before. Only the
# ruler has changed. **By how many nats does each of these rise** (or fall, with a minus)?
#
# - `"log p"`: $\log p(x \mid y)$;
# - `"bound"`: $\mathcal L$ of (3.2);
# - `"to prior"`: $\mathrm{KL}\big(q(z \mid x, y) \,\|\, p(z \mid y)\big)$;
# - `"to posterior"`: $\mathrm{KL}\big(q(z \mid x, y) \,\|\, p(z \mid x, y)\big)$;
# - `"article"`: the expectation that the article calls a divergence,
#   $\mathbb E_q[\log q(z \mid x, y) - \log p(x, z \mid y)]$.


# %% tags=["task:ruler"]
def rises(c, D):
    """How far each of the five rises, nats per image, in a dictionary with the names above.

    c: a number > 0, the factor on x; D: how many numbers x has.
    """
    ### BEGIN SOLUTION
    thinner = D * np.log(c)  # the same probability on c^D times the volume
    return {
        "log p": -thinner,
        "bound": -thinner,
        "to prior": 0.0,
        "to posterior": 0.0,
        "article": thinner,
    }
    ### END SOLUTION


# %% tags=["check:ruler:2"]
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_ruler(rises, seed):
    from scipy.stats import norm

    from cvae_tf import oracle
    from cvae_tf.oracle import LinearGaussian

    rng = np.random.default_rng(seed)
    names = ("log p", "bound", "to prior", "to posterior", "article")

    def measure(model, x, y, mean, scale):
        """The five numbers for one image, each by its own closed form; the article's by (1.5)."""
        d = len(scale)
        points = mean + scale * np.sqrt(d) * np.vstack([np.eye(d), -np.eye(d)])
        log_p_x = norm.logpdf(x, points @ model.W.T + model.V @ y[0] + model.b, model.sigma).sum(-1)
        prior = model.prior(y)
        log_ratio = norm.logpdf(points, mean, scale) - norm.logpdf(points, *prior)
        return np.array([
            model.log_evidence(x, y)[0], model.bound(mean, scale, x, y)[0],
            oracle.kl_diagonal(mean, scale, *prior)[0],
            model.kl_to_posterior(mean, scale, x, y)[0], np.mean(log_ratio.sum(-1) - log_p_x),
        ])  # fmt: skip

    def true(c, D):
        old = LinearGaussian.random(D, 2, 3, model="CVAE1", seed=seed)
        new = LinearGaussian(c * old.W, c * old.b, c * old.sigma, c * old.V, old.A, old.a, old.S)
        y, q = np.eye(3)[:1], (np.array([0.3, -0.8]), np.array([0.5, 0.9]))
        x, _ = old.sample(y, seed=seed)
        return list(measure(new, c * x, y, *q) - measure(old, x, y, *q))

    def yours(c, D):
        answer = rises(c, D)
        _e.require(
            isinstance(answer, dict) and set(answer) == set(names),
            f"Return a dictionary with the keys {', '.join(map(repr, names))}.",
        )
        return [answer[name] for name in names]

    def part(i, value):  # a value for one of the five
        return lambda c, D: [value(c, D) if j == i else None for j in range(5)]

    slips = {}
    for i, name in enumerate(names):
        if name in ("to prior", "to posterior"):
            same = f"{name}: both densities in it are of z, and z was not measured anew."
            slips[same] = part(i, lambda c, D: D * np.log(c))
            slips[same + " Nor does it fall."] = part(i, lambda c, D: -D * np.log(c))
            slips[same + " Nor is it another number of z's dimensions."] = part(
                i, lambda c, D: np.log(c)
            )
            continue
        slips |= {
            f"{name}: there is a density of x in it. What becomes of the volume around an image?": (
                part(i, lambda c, D: 0.0)
            ),
            f"{name}: x has D numbers, and each is on the new ruler.": part(
                i, lambda c, D, i=i: true(c, D)[i] / D
            ),
            f"{name}: right but for the sign: is a density per smaller unit larger or smaller?": part(
                i, lambda c, D, i=i: -true(c, D)[i]
            ),
            f"{name}: twice too much: x is measured anew once, and its numbers grow c-fold.": part(
                i, lambda c, D, i=i: 2 * true(c, D)[i]
            ),
            f"{name}: the logarithm is missing.": part(
                i, lambda c, D, i=i: D * c if true(c, D)[i] * np.log(c) > 0 else -D * c
            ),
            f"{name}: D powers of c make D times its logarithm.": part(
                i, lambda c, D, i=i: c**D if true(c, D)[i] * np.log(c) > 0 else -(c**D)
            ),
            f"{name}: x has D numbers, and no more depends on D.": part(
                i, lambda c, D, i=i: np.log(c) if true(c, D)[i] * np.log(c) < 0 else -np.log(c)
            ),
        }
    simpler = {
        "the ruler is the old one, c = 1": lambda c, D: (1.0, D),
        "x is one number": lambda c, D: (c, 1),
        "c is e": lambda c, D: (np.e, D),
    }
    edges = {
        "the ruler is the old one, c = 1": (1.0, 3),
        "x is one number": (3.0, 1),
        "the new unit is larger, c < 1": (0.5, 3),
        "c is a million": (1e6, 2),
    }
    cases = [(16.0, 4)] + [(float(np.exp(rng.normal())), int(D)) for D in rng.integers(2, 9, 6)]
    _e.agree(
        "the rises", yours, true, cases, unit="nats", parts=names, slips=slips, edges=edges,
        simpler=simpler,
    )  # fmt: skip
    print("A log p(x|y) that comes without the unit of x compares with nothing.")


_check_ruler(rises, seed=0)
### BEGIN HIDDEN TESTS
_check_ruler(rises, seed=100)
### END HIDDEN TESTS


# %% [markdown]
# ## 3.3 The best table (3 points)
#
# In (3.2) the prior moves towards $q$. Where does it end? Hold $q$ and the likelihood as they are. You have
# $\mu$ and $\sigma$ of $q(z \mid x, y)$ for all $N$ training pairs, and their labels. Find the table of prior means and
# scales for which **the mean of the bound over the training set is greatest**. It has a closed form: put (2.4)
# in, take the derivatives in $m$ and in $s^2$, and set them to zero, one label at a time.


# %% tags=["task:table"]
def best_table(mu, sigma, labels, K):
    """(m, s): the best means and standard deviations of p(z|y), each [K, d], a row for each label.

    mu, sigma: [N, d], mean and standard deviation of q for each pair; labels: [N], 0 … K − 1.
    """
    ### BEGIN SOLUTION
    m, s = [], []
    for k in range(K):
        own, width = mu[labels == k], sigma[labels == k]
        m.append(own.mean(0))
        s.append(np.sqrt(np.mean(width**2 + (own - m[-1]) ** 2, 0)))
    return np.array(m), np.array(s)
    ### END SOLUTION


# %% tags=["check:table:3"]
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_table(best_table, seed):
    rng = np.random.default_rng(seed)

    def moments(mu, sigma):  # of the mixture of the q's, each by its points one σ off
        points = np.concatenate([mu + sigma, mu - sigma])
        return points.mean(0), np.sqrt(((points - points.mean(0)) ** 2).mean(0))

    def true(mu, sigma, labels, K):
        groups = [moments(mu[labels == k], sigma[labels == k]) for k in range(K)]
        return tuple(np.stack(column) for column in zip(*groups, strict=True))

    def by_label(means, scales):  # functions of a label's (μ, σ); None where any will do
        def values(mu, sigma, labels, K):
            groups = [(mu[labels == k], sigma[labels == k]) for k in range(K)]
            return [f and np.array([f(*group) for group in groups]) for f in (means, scales)]

        return values

    def of_all(mu, sigma, labels, K):
        return [np.tile(v, (K, 1)) for v in moments(mu, sigma)]

    slips = {
        "That is the best prior for all labels together. Each label has one of its own.": of_all,
        "Those are the means for all labels together. Each label has its own.": lambda *c: (
            of_all(*c)[0], None
        ),
        "Those are the scales for all labels together. Each label has its own.": lambda *c: (
            None, of_all(*c)[1]
        ),
        "A mean, not a sum.": by_label(lambda mu, sigma: mu.sum(0), None),
        "Those are the means of the standard normal prior of a VAE.": by_label(
            lambda mu, sigma: 0 * mu[0], None
        ),
        "Those are the medians. The derivative in m gives the mean.": by_label(
            lambda mu, sigma: np.median(mu, 0), None
        ),
        "The means are weighed by 1/σ² in yours. In (2.4) each μ counts alike.": by_label(
            lambda mu, sigma: np.average(mu, 0, sigma**-2.0), None
        ),
        "That is the first image's μ for each label.": by_label(lambda mu, sigma: mu[0], None),
        "That is the variance. The table holds standard deviations.": by_label(
            None, lambda mu, sigma: moments(mu, sigma)[1] ** 2
        ),
        "That is how far the means of q lie apart. But each q has a width as well.": by_label(
            None, lambda mu, sigma: mu.std(0)
        ),
        "That is the typical width of q. But the q's of a label lie in different places.": by_label(
            None, lambda mu, sigma: np.sqrt(np.mean(sigma**2, 0))
        ),
        "That is the mean width of q. But the q's of a label lie in different places.": by_label(
            None, lambda mu, sigma: sigma.mean(0)
        ),
        "Variances add up; you add the standard deviations.": by_label(
            None, lambda mu, sigma: sigma.mean(0) + mu.std(0)
        ),
        "The width of q is averaged squared; you squared its average.": by_label(
            None, lambda mu, sigma: np.hypot(sigma.mean(0), mu.std(0))
        ),
        "σ stands where σ² belongs.": by_label(
            None, lambda mu, sigma: np.sqrt(sigma.mean(0) + mu.var(0))
        ),
        "The places of the q's count squared; you took how far they lie apart as it is.": by_label(
            None, lambda mu, sigma: np.sqrt(np.mean(sigma**2, 0) + mu.std(0))
        ),
        "The squares are summed over the images in yours: take their mean.": by_label(
            None, lambda mu, sigma: moments(mu, sigma)[1] * np.sqrt(len(mu))
        ),
        "Measured from 0, not from the label's mean.": by_label(
            None, lambda mu, sigma: np.sqrt(np.mean(sigma**2 + mu**2, 0))
        ),
        "N − 1 stands for N: the derivative of (2.4) gives N.": by_label(
            None, lambda mu, sigma: np.sqrt(np.mean(sigma**2, 0) + mu.var(0, ddof=1))
        ),
        "The dimensions of z are averaged in yours: each has its own scale.": by_label(
            None, lambda mu, sigma: 0 * mu[0] + np.sqrt(np.mean(moments(mu, sigma)[1] ** 2))
        ),
        "The scales of the standard normal prior of a VAE are 1, the best ones are not.": by_label(
            None, lambda mu, sigma: 1 + 0 * mu[0]
        ),
        "The width of q is subtracted in yours: both variances add up.": by_label(
            None, lambda mu, sigma: np.sqrt(np.abs(mu.var(0) - np.mean(sigma**2, 0)))
        ),
    }  # fmt: skip
    simpler = {
        "all q's of a label are alike": lambda mu, sigma, k, K: (mu[k], sigma[k], k, K),
        "all q's of a label lie in one place": lambda mu, sigma, k, K: (mu[k], sigma, k, K),
        "all q's are very narrow": lambda mu, sigma, k, K: (mu, 1e-12 * sigma, k, K),
        "all σ are 1": lambda mu, sigma, k, K: (mu, sigma**0, k, K),
        "z has one dimension": lambda mu, sigma, k, K: (mu[:, :1], sigma[:, :1], k, K),
        "all σ are 1 and all means 0": lambda mu, sigma, k, K: (0 * mu, sigma**0, k, K),
        "each label has one image": lambda mu, sigma, k, K: (mu[:K], sigma[:K], np.arange(K), K),
    }
    unchanged = {
        "the images come in another order": lambda mu, sigma, k, K: (
            mu[::-1], sigma[::-1], k[::-1], K
        ),
        "every image comes twice": lambda mu, sigma, k, K: (
            np.tile(mu, (2, 1)), np.tile(sigma, (2, 1)), np.tile(k, 2), K
        ),
    }  # fmt: skip

    def a_case(sizes, d):
        K = len(sizes)
        labels = rng.permutation(np.repeat(np.arange(K), sizes))
        mu = rng.normal(0, 2, (K, d))[labels] + rng.normal(0, 0.8, (len(labels), d))
        return mu, rng.uniform(0.2, 1.3, (len(labels), d)), labels, K

    edges = {
        "a label has one image": a_case((1, 6, 3), 2),
        "each label has one image": a_case((1, 1, 1), 2),
        "there is one label": a_case((7,), 3),
        "z has one dimension": a_case((4, 5), 1),
        "one label is far more frequent": a_case((2, 90), 2),
        "images, labels and dimensions are equally many": a_case((1, 1, 1), 3),
    }
    sizes = (((10, 6, 8), 2), ((5, 9, 2, 14), 3), ((4, 7), 4), ((3, 3, 5, 6, 4), 2))
    _e.agree(
        "the best table", best_table, true, [a_case(*size) for size in sizes], slips=slips,
        parts=("the means", "the scales"), edges=edges, simpler=simpler, unchanged=unchanged,
    )  # fmt: skip


_check_table(best_table, seed=0)
### BEGIN HIDDEN TESTS
_check_table(best_table, seed=100)
### END HIDDEN TESTS


# %% [markdown]
# ## 3.4 Move the priors, keep the model (3 points)
#
# The lesson moved every label's $z$ to $z' = t(y) + c(y)\, z$ by wrapping the model's factors. Do it to the *weights* of
# a linear-Gaussian CVAE-1, with $z \mid y \sim \mathcal N(Ay + a, S)$ and
# $x \mid y, z \sim \mathcal N(Wz + Vy + b, \sigma^2 I)$. Given a matrix $T$ and a vector $c > 0$, move to
#
# $$ z' = T y + c \odot z $$
#
# and return a `LinearGaussian` whose hidden variable is $z'$, and which gives every pair $(x, y)$ the $\log p(x \mid y)$
# that it had. So `W`, `V`, `A`, `a`, `S` may change, and `b` and `sigma` too if they must. Beware: `S` holds
# *variances*, [d].


# %% tags=["task:move"]
def move(model, T, c):
    """The same model of x given y, its hidden variable now z' = Ty + c ⊙ z. A LinearGaussian.

    model: a LinearGaussian with W [D, d], b [D], sigma, V [D, K], A [d, K], a [d] and S [d];
    T: [d, K]; c: [d], all > 0. Make the new one by LinearGaussian(W, b, sigma, V, A, a, S).
    """
    ### BEGIN SOLUTION
    W = model.W / c  # divides column j by c_j
    V = model.V - W @ T
    A = c[:, None] * model.A + T
    return LinearGaussian(W, model.b, model.sigma, V, A, c * model.a, c**2 * model.S)
    ### END SOLUTION


# %% tags=["check:move:3"]
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_move(move, seed):
    from cvae_tf.oracle import LinearGaussian

    rng = np.random.default_rng(seed)
    parts = ("mean of p(z'|y)", "scale of p(z'|y)", "log p(x|y)", "the bound (3.2) of q, moved along")

    def told(model):  # pairs (x, y) and hidden variables
        y = np.resize(np.eye(model.V.shape[1]), (6, model.V.shape[1]))
        return *model.sample(y, seed=seed)[::-1], y

    def facts(old, T, c, new):
        z, x, y = told(old)
        q = z + 0.4, np.full((1, len(c)), 0.7)
        there = new.bound(y @ T.T + c * q[0], c * q[1], x, y)
        return *new.prior(y), new.log_evidence(x, y), there

    def yours(model, T, c):
        new = move(model, T, c)
        _e.require(isinstance(new, LinearGaussian), "Return a LinearGaussian.")
        _e.require(all(M is not None for M in (new.V, new.A, new.S)), "V, A or S is missing.")
        return facts(model, T, c, new)

    def true(model, T, c):  # the prior's points one standard deviation off, moved; the old log p
        z, x, y = told(model)
        centre, width = model.prior(y)
        ends = np.stack([y @ T.T + c * (centre + side * width) for side in (-1, 1)])
        bound = model.bound(z + 0.4, np.full((1, len(c)), 0.7), x, y)
        return ends.mean(0), ends.std(0)[0], model.log_evidence(x, y), bound

    def mean(change):
        def values(model, T, c):
            y = told(model)[2]
            return change(model, y, T, c), None, None, None

        return values

    def scale(change):
        return lambda model, T, c: (None, change(model.S, c), None, None)

    def weights(change):  # other weights in the likelihood, the prior moved as it should be
        def values(model, T, c):
            z, x, y = told(model)
            A, S = c[:, None] * model.A + T, c**2 * model.S
            W, V = change(model.W, model.V, T, c)
            new = LinearGaussian(W, model.b, model.sigma, V, A, c * model.a, S)
            return None, None, new.log_evidence(x, y), None

        return values

    slips = {
        "T y is missing from the prior.": mean(lambda m, y, T, c: c * (y @ m.A.T + m.a)),
        "z' = Ty + c ⊙ z stretches a as well.": mean(lambda m, y, T, c: c * (y @ m.A.T) + m.a + y @ T.T),
        "z' = Ty + c ⊙ z stretches A y as well.": mean(
            lambda m, y, T, c: y @ m.A.T + c * m.a + y @ T.T
        ),
        "z' = Ty + c ⊙ z stretches A y and a; you moved them only.": mean(
            lambda m, y, T, c: y @ m.A.T + m.a + y @ T.T
        ),
        "T y is stretched in yours: first z is stretched, then it is moved.": mean(
            lambda m, y, T, c: c * (y @ m.A.T + m.a + y @ T.T)
        ),
        "The prior's mean is still that of z.": mean(lambda m, y, T, c: y @ m.A.T + m.a),
        "T y is subtracted in your prior.": mean(
            lambda m, y, T, c: c * (y @ m.A.T + m.a) - y @ T.T
        ),
        "Your prior is shrunk by c, where z' is stretched.": mean(
            lambda m, y, T, c: (y @ m.A.T + m.a) / c + y @ T.T
        ),
        "A y is gone from your prior: T y comes on top of it.": mean(
            lambda m, y, T, c: c * m.a + y @ T.T
        ),
        "a is gone from your prior.": mean(lambda m, y, T, c: c * (y @ m.A.T) + y @ T.T),
        "S holds variances: what does a factor c on z do to a variance?": scale(
            lambda S, c: np.sqrt(c * S)
        ),
        "S holds variances; you gave it standard deviations.": scale(
            lambda S, c: np.sqrt(c * np.sqrt(S))
        ),
        "The prior's scale is still that of z.": scale(lambda S, c: np.sqrt(S)),
        "The prior's scale is divided by c, where z' is stretched.": scale(
            lambda S, c: np.sqrt(S) / c
        ),
        "S holds variances: its own values are not to be squared.": scale(lambda S, c: c * S),
        "Your S has c to the fourth power.": scale(lambda S, c: c**2 * np.sqrt(S)),
        "The old S is gone: c² stands alone.": scale(lambda S, c: c),
        "The prior has moved, and the likelihood takes z' for z.": weights(
            lambda W, V, T, c: (W, V)
        ),
        "The likelihood undoes c, but not T y.": weights(lambda W, V, T, c: (W / c, V)),
        "The likelihood undoes T y, but not c.": weights(lambda W, V, T, c: (W, V - W @ T)),
        "The likelihood undoes T y with the old W: z' is already c times as large.": weights(
            lambda W, V, T, c: (W / c, V - W @ T)
        ),
        "V moves the wrong way: look at the sign.": weights(
            lambda W, V, T, c: (W / c, V + (W / c) @ T)
        ),
        "V is gone: W T comes off it.": weights(lambda W, V, T, c: (W / c, -(W / c) @ T)),
        "W is multiplied by c, where it is to undo c.": weights(
            lambda W, V, T, c: (W * c, V - (W * c) @ T)
        ),
        "W is divided by c²: z' has c once.": weights(
            lambda W, V, T, c: (W / c**2, V - (W / c**2) @ T)
        ),
    }  # fmt: skip
    simpler = {
        "nothing is moved, T = 0": lambda m, T, c: (m, 0 * T, c),
        "nothing is stretched, c = 1": lambda m, T, c: (m, T, c**0),
        "all c are equal": lambda m, T, c: (m, T, 0 * c + c[0]),
        "T = 0 and c = 1": lambda m, T, c: (m, 0 * T, c**0),
        "a is 0": lambda m, T, c: (
            LinearGaussian(m.W, m.b, m.sigma, m.V, m.A, 0 * m.a, m.S), T, c
        ),
        "S is 1": lambda m, T, c: (
            LinearGaussian(m.W, m.b, m.sigma, m.V, m.A, m.a, m.S**0), T, c
        ),
        "W is 0": lambda m, T, c: (
            LinearGaussian(0 * m.W, m.b, m.sigma, m.V, m.A, m.a, m.S), T, c
        ),
        "z has one dimension": lambda m, T, c: (
            LinearGaussian(m.W[:, :1], m.b, m.sigma, m.V, m.A[:1], m.a[:1], m.S[:1]), T[:1], c[:1]
        ),
        "S is 1 and c = 1": lambda m, T, c: (
            LinearGaussian(m.W, m.b, m.sigma, m.V, m.A, m.a, m.S**0), T, c**0
        ),
    }  # fmt: skip

    def a_case(D, d, K):
        old = LinearGaussian.random(
            D, d, K, model="CVAE1", sigma_squared_min=0.3, seed=int(rng.integers(1000))
        )
        return old, 3 * rng.normal(size=(d, K)), rng.uniform(0.3, 3, d)

    old, T, c = a_case(4, 2, 3)
    edges = {
        "nothing is moved, T = 0": (old, 0 * T, c),
        "nothing is stretched, c = 1": (old, T, c**0),
        "z has one dimension": a_case(4, 1, 3),
        "z has more dimensions than x": a_case(2, 5, 3),
        "y has one number": a_case(4, 2, 1),
        "x, y and z have equally many dimensions": a_case(3, 3, 3),
        "c is very uneven": (old, T, np.array([1e-3, 1e3])),
    }
    sizes = ((5, 2, 3), (3, 4, 6), (6, 3, 2), (4, 2, 5))
    _e.agree(
        "the moved model", yours, true, [a_case(*size) for size in sizes], unit="", parts=parts,
        slips=slips, edges=edges, simpler=simpler,
    )  # fmt: skip


_check_move(move, seed=0)
### BEGIN HIDDEN TESTS
_check_move(move, seed=100)
### END HIDDEN TESTS


# %% [markdown]
# ## 3.5 What is a label worth, if some are rare? (3 points)
#
# The lesson's limit, $\log 10$ nats, was for ten labels that are equally frequent. Now label $k$ has the probability $p_k$,
# and they differ. You are given $\log p(x \mid y)$ of every image under *every* label; it may lie at −2,000 nats.
#
# - `worth`: $\log p(x \mid y) - \log p(x)$ of each image, with its own label $y$ and
#   $p(x) = \sum_y p(y)\, p(x \mid y)$;
# - `ceilings`: the most that this can be, first for one image of each label, then for the *mean* over images that come with
#   the labels' probabilities. Repeat the lesson's argument, one term of a sum is no more than the sum, with the $p_k$.
#
# **Predict, too:** can the worth of a single image be negative? Can it exceed the mean's ceiling? The check
# counts. (`logsumexp` is imported.)


# %% tags=["task:worth"]
def worth(table, labels, p):
    """log p(x|y) − log p(x) of each image, nats, [N].

    table: [N, K], log p(x|k) for each image and label, nats; labels: [N], the images' own,
    0 … K − 1; p: [K], the labels' probabilities, all > 0.
    """
    ### BEGIN SOLUTION
    log_p_x = logsumexp(table + np.log(p), axis=1)
    return table[np.arange(len(labels)), labels] - log_p_x
    ### END SOLUTION


def ceilings(p):
    """The most for one image of each label, [K], and the most for the mean, a number. Nats.

    p: [K], the labels' probabilities, all > 0.
    """
    ### BEGIN SOLUTION
    for_one = -np.log(p)
    return for_one, p @ for_one
    ### END SOLUTION


# %% tags=["check:worth:3"]
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_worth(worth, ceilings, seed):
    import math

    from scipy.stats import entropy
    from sklearn.naive_bayes import GaussianNB

    from cvae_tf import datasets

    rng = np.random.default_rng(seed)

    def own(table, labels):
        return np.array([row[k] for row, k in zip(table, labels, strict=True)])

    def log_p_x(table, p):  # label by label
        total = np.full(len(table), -np.inf)
        for column, share in zip(table.T, p, strict=True):
            total = np.logaddexp(total, column + math.log(share))
        return total

    def true(table, labels, p):
        return own(table, labels) - log_p_x(table, p)

    def flat(p):
        return np.full(len(p), 1 / len(p))

    slips = {
        "In yours all labels are equally frequent.": lambda t, k, p: true(t, k, flat(p)),
        "In p(x) every label counts with its probability.": lambda t, k, p: (
            own(t, k) - log_p_x(t, np.ones(len(p)))
        ),
        "That is log p(y|x). The fraction has p(x|y) on top, not p(x, y).": lambda t, k, p: (
            true(t, k, p) + np.log(p)[k]
        ),
        "p(y) is on top with a minus in yours.": lambda t, k, p: true(t, k, p) - np.log(p)[k],
        "That is log p(x) − log p(x|y).": lambda *c: -true(*c),
        "A mean of logarithms is not the logarithm of a mean: add up probabilities.": (
            lambda t, k, p: own(t, k) - t @ p
        ),
        "A plain mean of logarithms is no log p(x).": lambda t, k, p: own(t, k) - t.mean(1),
        "One value for each image: the mean comes later.": lambda *c: true(*c).mean(),
        "One value for each image, not their sum.": lambda *c: true(*c).sum(),
        "That is log p(x|y) itself.": lambda t, k, p: own(t, k),
        "That is −log p(x): log p(x|y) of the own label is missing.": lambda t, k, p: (
            -log_p_x(t, p)
        ),
        "That is the best label's worth. Take the image's own.": lambda t, k, p: (
            t.max(1) - log_p_x(t, p)
        ),
        "p itself is added to a logarithm: add log p.": lambda t, k, p: (
            own(t, k) - np.logaddexp.reduce(t + p, 1)
        ),
        "log p is subtracted from the table: p(x, y) is p(y) p(x|y).": lambda t, k, p: (
            own(t, k) - np.logaddexp.reduce(t - np.log(p), 1)
        ),
        "Every image has all labels' worth in yours: take the own one.": lambda t, k, p: (
            t - log_p_x(t, p)[:, None]
        ),
    }  # fmt: skip
    simpler = {
        "all labels are equally frequent": lambda t, k, p: (t, k, flat(p)),
        "all labels explain x equally": lambda t, k, p: (0 * t - 5, k, p),
        "there is one label": lambda t, k, p: (t[:, :1], 0 * k, np.ones(1)),
        "there is one image": lambda t, k, p: (t[:1], k[:1], p),
        "all images have the label 0": lambda t, k, p: (t, 0 * k, p),
        "there are as many images as labels": lambda t, k, p: (
            t[: len(p)], k[: len(p)], p
        ),
    }  # fmt: skip

    def a_case(N, K):
        return rng.normal(-6, 2, (N, K)), rng.integers(0, K, N), rng.dirichlet(np.full(K, 1.5))

    table, labels, p = a_case(6, 4)
    edges = {
        "all of it lies 2,000 nats lower (exp(−2000) is zero on a computer)": (
            table - 2000, labels, p
        ),
        "the labels lie a thousand nats apart": (np.array([[-5.0, -1005.0]] * 2), np.array([0, 1]),
                                                 np.array([0.3, 0.7])),
        "there is one label": (table[:, :1], 0 * labels, np.ones(1)),
        "there is one image": (table[:1], labels[:1], p),
        "a label is very rare": (table[:, :2], labels % 2, np.array([1 - 1e-9, 1e-9])),
        "images and labels are equally many": a_case(4, 4),
        "an image is impossible under another label": (
            np.array([[-3.0, -np.inf]]), np.array([0]), np.array([0.5, 0.5])
        ),
    }  # fmt: skip
    sizes = ((8, 3), (5, 6), (12, 4), (7, 2))
    with np.errstate(all="ignore"):
        _e.agree(
            "what each label is worth", worth, true, [a_case(*size) for size in sizes],
            unit="nats", slips=slips, edges=edges, simpler=simpler,
        )  # fmt: skip

    def most(p):  # for one image of each label, and for the mean
        return [-math.log(v) for v in p], entropy(p)

    slips = {
        "That holds for labels that are equally frequent.": lambda p: (
            0 * p + np.log(len(p)), None
        ),
        "That is the same for all labels. Which label surprises you most?": lambda p: (
            0 * p + entropy(p), None
        ),
        "A worth of that many nats would be negative for certain.": lambda p: (np.log(p), None),
        "Those are the parts of a mean. How high can one image of the label get?": lambda p: (
            -p * np.log(p), None
        ),
        "Those are bits; the course counts in nats.": lambda p: (-np.log2(p), None),
        "One image of each label: [K], not the greatest of them.": lambda p: (
            -np.log(min(p)), None
        ),
        "The other labels' probability is no measure of this label's surprise.": lambda p: (
            -np.log1p(-p), None
        ),
        "The mean's: that holds for labels that are equally frequent.": lambda p: (
            None, np.log(len(p))
        ),
        "The mean's: frequent labels count more often in a mean.": lambda p: (
            None, np.mean(-np.log(p))
        ),
        "The mean's: that is the sum over the labels, without their probabilities.": lambda p: (
            None, sum(-np.log(p))
        ),
        "The mean's: that is the most for one image, of the rarest label.": lambda p: (
            None, -np.log(min(p))
        ),
        "The mean's: those are bits; the course counts in nats.": lambda p: (
            None, entropy(p, base=2)
        ),
        "The mean's: the sign.": lambda p: (None, -entropy(p)),
        "The mean's: its terms are averaged once more; p_k weighs them already.": lambda p: (
            None, entropy(p) / len(p)
        ),
        "The mean's: one number, the sum of these terms.": lambda p: (None, -p * np.log(p)),
        "Both are those of equally frequent labels.": lambda p: (
            0 * p + np.log(len(p)), np.log(len(p))
        ),
    }  # fmt: skip
    edges = {
        "all labels are equally frequent": (np.full(4, 0.25),),
        "a label is very rare": (np.array([1 - 1e-9, 1e-9]),),
        "there are two labels": (np.array([0.3, 0.7]),),
        "there is one label": (np.ones(1),),
    }
    simpler = {"all labels are equally frequent": lambda p: (flat(p),)}
    _e.agree(
        "the most", ceilings, most, [(rng.dirichlet(np.full(K, 1.5)),) for K in (3, 5, 4, 7)],
        unit="nats", parts=("for one image of each label", "for the mean"), slips=slips,
        edges=edges, simpler=simpler,
    )  # fmt: skip

    digits, kept = datasets.digits().all, {3: 120, 5: 45, 9: 15}  # a Gaussian for each pixel
    rows = [np.flatnonzero(digits.labels == k)[:count] for k, count in kept.items()]
    labels = np.repeat(np.arange(3), list(kept.values()))
    x, p = digits.x[np.concatenate(rows)][:, [18, 21, 42, 45]].astype("float64"), flat(labels)
    p = np.bincount(labels) / len(labels)
    bayes = GaussianNB(priors=p, var_smoothing=0.05).fit(x, labels)
    values = own(bayes.predict_log_proba(x), labels) - np.log(p)[labels]
    print(f"{len(x)} digits, 120, 45 and 15 of a kind; the mean worth is {values.mean():.2f} of at")
    print(f"most {entropy(p):.2f} nats. Above that ceiling: {np.sum(values > entropy(p))} images, all")
    print(f"of the rarer labels. Below zero: {np.sum(values < 0)}, more probable without their label.")


_check_worth(worth, ceilings, seed=0)
### BEGIN HIDDEN TESTS
_check_worth(worth, ceilings, seed=100)
### END HIDDEN TESTS


# %% [markdown]
# ## 3.6 Find the bug: the reader that never errs (3 points)
#
# Somebody reads images by Bayes' rule: the bound (3.2) under each of the $K$ labels stands in for $\log p(x \mid y)$,
# and the label with the largest one is read. On 500 images, of four labels that are equally frequent, the program below is never
# wrong. Yet the four kinds of images overlap so much that the best reader there can be gets less than two thirds of them
# right. Mend it.


# %%
class Islands:
    """A CVAE-1 of two pixels, one z and four labels, whose priors lie far apart. y is one-hot."""

    model = LinearGaussian(
        W=[[1.0], [0.5]], b=[0.0, 0.0], sigma=0.5, a=[0.0], S=[0.8],
        A=[[-9.0, -3.0, 3.0, 9.0]], V=[[8.0, 4.0, -3.0, -8.0], [5.2, 1.8, -1.8, -3.7]],
    )  # fmt: skip

    def q(self, x, y):
        """Mean and standard deviation of q(z|x,y), both [N, 1]. x: [N, 2]; y: [N, 4]."""
        mean, covariance = self.model.posterior(x, y)
        return mean, np.full_like(mean, 1.2 * np.sqrt(covariance[0, 0]))  # somewhat too wide

    def bound(self, x, y, mean, scale):
        """(3.2) for q = N(mean, scale²), nats, [N]."""
        return self.model.bound(mean, scale, x, y)


def never_errs(cvae, x, y):
    """Scores of all labels, [N, K], nats. x: [N, 2], the images; y: [N, K], what they are."""
    K = y.shape[1]
    mean, scale = cvae.q(x, y)
    scores = [cvae.bound(x, np.tile(np.eye(K)[k], (len(x), 1)), mean, scale) for k in range(K)]
    return np.stack(scores, axis=1)


# %% tags=["task:reader"]
def mended(cvae, x, y):
    """As above: the bound (3.2) of each image under each label, [N, K], nats."""
    ### BEGIN SOLUTION
    N, K = y.shape
    scores = np.empty((N, K))
    for k in range(K):
        told = np.tile(np.eye(K)[k], (N, 1))
        scores[:, k] = cvae.bound(x, told, *cvae.q(x, told))
    return scores
    ### END SOLUTION


# %% tags=["check:reader:3"]
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_reader(mended, seed):
    from types import SimpleNamespace

    from cvae_tf.oracle import LinearGaussian

    rng = np.random.default_rng(seed)

    def cvae_of(model, wide):
        """A CVAE-1 whose q is `wide` times as wide as the posterior."""

        def q(x, y):
            mean, covariance = model.posterior(x, y)
            return mean, np.tile(wide * np.sqrt(np.diag(covariance)), (len(mean), 1))

        def bound(x, y, mean, scale):
            return model.bound(mean, scale, x, y)

        return SimpleNamespace(model=model, q=q, bound=bound, wide=wide)

    def islands(D, d, K, wide):
        """One whose priors lie far apart."""
        W, _ = np.linalg.qr(rng.normal(size=(D, d)))  # orthogonal: the posterior stands upright
        return cvae_of(LinearGaussian(
            W, rng.normal(size=D), 0.5, V=4 * rng.normal(size=(D, K)),
            A=5 * rng.normal(size=(d, K)), a=rng.normal(size=d), S=rng.uniform(0.4, 1.5, d),
        ), wide)  # fmt: skip

    def told(cvae, x):  # each label's pairs (x, y)
        K = cvae.model.V.shape[1]
        return [(x, np.tile(np.eye(K)[k], (len(x), 1))) for k in range(K)]

    def log_p(cvae, x, y):
        return np.stack([cvae.model.log_evidence(*pair) for pair in told(cvae, x)], 1)

    def true(cvae, x, y):  # (3.1): q is as much too wide everywhere, so the gap is the same
        d = cvae.model.W.shape[1]
        return log_p(cvae, x, y) - d * 0.5 * (cvae.wide**2 - 1 - np.log(cvae.wide**2))

    def leak(cvae, x, y):  # the program as it was
        q = cvae.q(x, y)
        return np.stack([cvae.bound(*pair, *q) for pair in told(cvae, x)], 1)

    def with_q(asked):  # q is asked with another y
        def values(cvae, x, y):
            return np.stack([cvae.bound(*p, *cvae.q(x, asked(p[1]))) for p in told(cvae, x)], 1)

        return values

    slips = {
        "The same scores as before: what does the program know that a reader must not?": leak,
        "Scores are nats for each image and label; whoever reads takes the largest later.": (
            lambda *c: true(*c).argmax(1)
        ),
        "Those are probabilities of labels, not bounds.": lambda *c: np.exp(
            log_p(*c) - np.logaddexp.reduce(log_p(*c), 1, keepdims=True)
        ),
        "Those are logarithms of probabilities of labels, not bounds.": lambda *c: (
            log_p(*c) - np.logaddexp.reduce(log_p(*c), 1, keepdims=True)
        ),
        "q was asked with an equal share of each label, and has never met such a y.": with_q(
            lambda y: np.full_like(y, 1 / y.shape[1])
        ),
        "q was asked with no label at all, y = 0, and has never met such a y.": with_q(
            lambda y: 0 * y
        ),
        "q was asked with all labels at once, and has never met such a y.": with_q(lambda y: y**0),
        "q was asked with the first label for every label.": with_q(
            lambda y: np.tile(np.eye(y.shape[1])[0], (len(y), 1))
        ),
        "That takes the prior for q: a bound, and a poor one. q has seen the image.": (
            lambda cvae, x, y: np.stack(
                [cvae.model.bound(*cvae.model.prior(p[1]), *p) for p in told(cvae, x)], 1
            )
        ),
        "That is log p(x|y) itself. Nice, but few models give it away; use q and the bound.": log_p,
        "One column for each label: yours has a row for each.": lambda *c: true(*c).T,
        "q is asked with the new label, and the bound is taken under the one handed in.": (
            lambda cvae, x, y: np.stack(
                [cvae.bound(x, y, *cvae.q(*p)) for p in told(cvae, x)], 1
            )
        ),
        "The bound under the label handed in, in every column.": lambda cvae, x, y: np.tile(
            cvae.bound(x, y, *cvae.q(x, y))[:, None], y.shape[1]
        ),
        "The bound under the own label alone: all labels are to be scored.": lambda cvae, x, y: (
            cvae.bound(x, y, *cvae.q(x, y))
        ),
        "That is minus the bound: a reader takes the largest.": lambda *c: -true(*c),
    }  # fmt: skip

    def a_case(N, D, d, K, wide=1.2):
        cvae = islands(D, d, K, wide)
        y = np.eye(K)[rng.integers(0, K, N)]
        return cvae, cvae.model.sample(y, seed=seed)[0], y

    def other(cvae, x, y):
        return cvae, x, y[:, ::-1].copy()

    simpler = {
        "all labels handed in are the first": lambda cvae, x, y: (
            cvae, x, np.tile(np.eye(y.shape[1])[0], (len(x), 1))
        ),
        "there is one image": lambda cvae, x, y: (cvae, x[:1], y[:1]),
        "there are as many images as labels": lambda cvae, x, y: (
            cvae, x[: y.shape[1]], y[: y.shape[1]]
        ),
    }  # fmt: skip
    first = a_case(9, 2, 1, 4)
    edges = {
        "other labels are handed in": other(*first),
        "there is one image": a_case(1, 3, 2, 3),
        "there are as many images as labels": a_case(4, 3, 2, 4),
        "there are two labels": a_case(5, 2, 1, 2),
        "q is the true posterior": a_case(6, 3, 2, 3, wide=1.0),
        "q is far too narrow": a_case(6, 3, 2, 3, wide=0.1),
    }
    sizes = ((7, 3, 2, 5), (12, 4, 1, 3), (6, 5, 3, 4))
    _e.agree(
        "the scores", mended, true, [first, *(a_case(*size) for size in sizes)], atol=1e-5,
        unit="nats", slips=slips, edges=edges, simpler=simpler,
        unchanged={"other labels are handed in": other},
    )  # fmt: skip
    given = LinearGaussian(  # the four kinds of images of the text
        W=[[1.0], [0.5]], b=[0.0, 0.0], sigma=0.5, a=[0.0], S=[0.8],
        A=[[-9.0, -3.0, 3.0, 9.0]], V=[[8.0, 4.0, -3.0, -8.0], [5.2, 1.8, -1.8, -3.7]],
    )  # fmt: skip
    y = np.eye(4)[rng.integers(0, 4, 500)]
    many = cvae_of(given, 1.2), given.sample(y, seed=seed)[0], y
    for name, scores in {"before": leak(*many), "now": true(*many)}.items():
        print(f"read rightly {name:7}{np.mean(scores.argmax(1) == many[2].argmax(1)):6.1%}")


_check_reader(mended, seed=0)
### BEGIN HIDDEN TESTS
_check_reader(mended, seed=100)
### END HIDDEN TESTS
