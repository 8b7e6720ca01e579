# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercises 1 · The bound
#
# Five tasks on lesson 01, eleven points. In each, put your code in the place of the line that raises an error, then
# run the check below it: it prints your value beside the true one, or says what is wrong. No task needs another,
# so begin where you like.

# %%
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
from scipy.special import logsumexp
from scipy.stats import norm
from sklearn.decomposition import PCA

from cvae_tf import datasets, exercises
from cvae_tf.oracle import LinearGaussian

# %% [markdown]
# ## 1.1 The price of a wrong mean (2 points)
#
# Someone proposes $q(z \mid x) = \mathcal N(\mu, s^2)$ where the true posterior is $\mathcal N(m, s^2)$: the scale
# is right, and the mean is $t = (\mu - m) / s$ posterior standard deviations off. By how many nats does the bound
# (1.2) then fall short of $\log p(x)$? One formula holds for every model whose posterior is Gaussian.


# %% tags=["task:price"]
def price(t):
    """log p(x) − L for a mean that is t posterior standard deviations off. t: [N]. Nats, [N]."""
    ### BEGIN SOLUTION
    return t**2 / 2
    ### END SOLUTION


# %% tags=["check:price:2"]
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_price(price, seed):
    from cvae_tf.oracle import LinearGaussian

    rng = np.random.default_rng(seed)
    model = LinearGaussian([[rng.uniform(0.2, 2)]], [rng.normal()], rng.uniform(0.1, 1))
    x = rng.normal(size=(1, 1))
    centre, covariance = model.posterior(x)
    s = np.sqrt(covariance[0, 0])

    def true(t):  # by the closed-form bound of a model
        return np.array([(model.log_evidence(x) - model.bound(centre + k * s, s, x))[0] for k in t])

    slips = {
        "The bound falls short by a positive amount: look at the sign.": lambda t: -true(t),
        "Twice too much: look at the factor in the lesson's KL.": lambda t: 2 * true(t),
        "Half of it: look at the factor in the lesson's KL.": lambda t: true(t) / 2,
        "The distance enters the KL squared; yours is half the distance itself.": lambda t: t / 2,
        "The distance enters the KL squared; yours is the distance itself.": lambda t: t,
        "The distance enters the KL squared, and a distance to the left costs, too.": np.abs,
        "That is the root of the price.": lambda t: np.sqrt(true(t)),
        "One value for each t: you took their mean.": lambda t: np.mean(true(t)),
        "One value for each t: you took their sum.": lambda t: np.sum(true(t)),
    }
    simpler = {
        "t is 0": lambda t: (0 * t,),
        "t is 1": lambda t: (0 * t + 1,),
        "t is 2": lambda t: (0 * t + 2,),
        "t is positive": lambda t: (np.abs(t),),
    }
    edges = {
        "nothing is off, t = 0": (np.zeros(2),),
        "there is one t": (np.array([-1.3]),),
        "the mean is a thousand standard deviations off": (np.array([1e3, -1e3]),),
    }
    cases = [(rng.normal(0, 2, N),) for N in (3, 5, 2, 4)]
    _e.agree(
        "the price of a wrong mean", price, true, cases, atol=1e-5, unit="nats", slips=slips,
        edges=edges, simpler=simpler,
    )  # fmt: skip


_check_price(price, seed=0)
### BEGIN HIDDEN TESTS
_check_price(price, seed=100)
### END HIDDEN TESTS


# %% [markdown]
# ## 1.2 The bound of one number, in closed form (3 points)
#
# $z \sim \mathcal N(0, 1)$ and $x \mid z \sim \mathcal N(wz, \sigma^2)$; somebody takes $q = \mathcal N(\mu, s^2)$.
# Both terms of (1.2) can be written without a draw: the divergence is lesson 01's, and $\log p(x \mid z)$ is
# quadratic in $z$, so that you need $\mathbb E_q[(x - wz)^2]$. Write the bound.


# %% tags=["task:bound"]
def bound(x, mu, s, w, sigma):
    """L of (1.2) in closed form. All arguments are numbers. Nats."""
    ### BEGIN SOLUTION
    squares = (x - w * mu) ** 2 + (w * s) ** 2
    reconstruction = -0.5 * np.log(2 * np.pi * sigma**2) - squares / (2 * sigma**2)
    divergence = 0.5 * (s**2 + mu**2 - 1) - np.log(s)
    return reconstruction - divergence
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

    def explained(x, mu, s, w, sigma):
        return weights @ norm.logpdf(x, w * (mu + s * nodes), sigma)

    def divergence(x, mu, s, w, sigma):
        z = mu + s * nodes
        return weights @ (norm.logpdf(z, mu, s) - norm.logpdf(z))

    def true(x, mu, s, w, sigma):
        return explained(x, mu, s, w, sigma) - divergence(x, mu, s, w, sigma)

    def with_sigma(x, mu, s, w, sigma):  # σ in the place of σ²
        return true(x, mu, s, w, np.sqrt(sigma))

    slips = {
        "The divergence is subtracted, not added.": lambda *c: explained(*c) + divergence(*c),
        "You put z at q's mean. But q has a width, and E[(x − wz)²] feels it.": (
            lambda x, mu, s, w, sigma: norm.logpdf(x, w * mu, sigma)
            - divergence(x, mu, s, w, sigma)
        ),
        "This is the reconstruction alone.": explained,
        "This is the divergence alone.": divergence,
        "This is the divergence alone, with a minus.": lambda *c: -divergence(*c),
        "That is a loss: the bound with a minus.": lambda *c: -true(*c),
        "σ stands where σ² belongs.": with_sigma,
        "σ² stands where σ belongs.": lambda x, mu, s, w, sigma: true(x, mu, s, w, sigma**2),
        "s stands where s² belongs, in both terms.": lambda x, mu, s, w, sigma: true(
            x, mu, np.sqrt(s), w, sigma
        ),
        "In the reconstruction s stands where s² belongs.": lambda x, mu, s, w, sigma: (
            explained(x, mu, np.sqrt(s), w, sigma) - divergence(x, mu, s, w, sigma)
        ),
        "In the divergence s stands where s² belongs.": lambda x, mu, s, w, sigma: (
            explained(x, mu, s, w, sigma) - divergence(x, mu, np.sqrt(s), w, sigma)
        ),
        "The divergence is turned round: KL(q ‖ p(z)) is meant.": lambda x, mu, s, w, sigma: (
            explained(x, mu, s, w, sigma) - 0.5 * ((1 + mu**2) / s**2 - 1) - np.log(s)
        ),
        "That is log p(x), not the bound.": lambda x, mu, s, w, sigma: (
            norm.logpdf(x, 0, np.sqrt(w**2 + sigma**2))
        ),
        "z has the prior's width in your reconstruction. It is drawn from q.": (
            lambda x, mu, s, w, sigma: explained(x, mu, 1.0, w, sigma)
            - divergence(x, mu, s, w, sigma)
        ),
        "x is explained by z, whose weight is w: where is w?": lambda x, mu, s, w, sigma: (
            true(x, mu, s, 1.0, sigma)
        ),
    }
    terms = {
        "the width of q in the reconstruction, w²s²/2σ²,": lambda x, mu, s, w, sigma: (
            -((w * s) ** 2) / (2 * sigma**2)
        ),
        "the distance of x from wμ": lambda x, mu, s, w, sigma: -((x - w * mu) ** 2) / (2 * sigma**2),
        "log σ": lambda x, mu, s, w, sigma: -np.log(sigma),
        "½ log 2π": lambda *c: -np.log(2 * np.pi) / 2,
        "q's mean in the divergence": lambda x, mu, s, w, sigma: -(mu**2) / 2,
        "q's variance in the divergence": lambda x, mu, s, w, sigma: -(s**2) / 2,
        "the divergence's ½ (at q = N(0, 1) it is 0)": lambda *c: 0.5,
        "log s": lambda x, mu, s, w, sigma: np.log(s),
        "the divergence": lambda *c: -divergence(*c),
    }
    simpler = {
        "σ is 1": lambda x, mu, s, w, sigma: (x, mu, s, w, 1.0),
        "w is 0": lambda x, mu, s, w, sigma: (x, mu, s, 0.0, sigma),
        "w is 1": lambda x, mu, s, w, sigma: (x, mu, s, 1.0, sigma),
        "μ is 0": lambda x, mu, s, w, sigma: (x, 0.0, s, w, sigma),
        "s is 1": lambda x, mu, s, w, sigma: (x, mu, 1.0, w, sigma),
        "x is 0": lambda x, mu, s, w, sigma: (0.0, mu, s, w, sigma),
        "x is wμ": lambda x, mu, s, w, sigma: (w * mu, mu, s, w, sigma),
        "q is the prior": lambda x, mu, s, w, sigma: (x, 0.0, 1.0, w, sigma),
        "σ and w are 1": lambda x, mu, s, w, sigma: (x, mu, s, 1.0, 1.0),
        "s and σ are 1": lambda x, mu, s, w, sigma: (x, mu, 1.0, w, 1.0),
        "s is 1 and x is wμ": lambda x, mu, s, w, sigma: (w * mu, mu, 1.0, w, sigma),
    }

    def a_case():
        return (*rng.normal(size=2), rng.uniform(0.3, 1.6), rng.normal() + 0.3, rng.uniform(0.3, 1.5))

    edges = {
        "q is the prior": (0.3, 0.0, 1.0, 0.8, 0.5),
        "q is very narrow": (0.3, 0.2, 1e-6, 0.8, 0.5),
        "the noise is very small": (0.3, 0.2, 0.1, 0.8, 1e-2),
        "x does not depend on z, w = 0": (0.3, 0.2, 0.7, 0.0, 0.5),
        "w is negative": (0.7, -0.2, 0.7, -1.2, 0.5),
    }
    _e.agree(
        "L", bound, true, [a_case() for _ in range(12)], unit="nats", slips=slips, terms=terms,
        edges=edges, simpler=simpler,
    )  # fmt: skip


_check_bound(bound, seed=0)
### BEGIN HIDDEN TESTS
_check_bound(bound, seed=100)
### END HIDDEN TESTS


# %% [markdown]
# ## 1.3 Guessing at the integral (2 points)
#
# The plain way to $\log p(x) = \log \int p(z)\, p(x \mid z)\, dz$: draw $S$ values from the prior and average
# $p(x \mid z_s)$. You are given $\log p(x \mid z_s)$ for each draw, and some may be as low as −2,000 nats, or −∞. Return
# the estimate of $\log p(x)$. (`logsumexp` is imported.)


# %% tags=["task:guess"]
def log_evidence(log_likelihoods):
    """The logarithm of the average likelihood. log_likelihoods: [S], nats. A number, nats."""
    ### BEGIN SOLUTION
    return logsumexp(log_likelihoods) - np.log(len(log_likelihoods))
    ### END SOLUTION


# %% tags=["check:guess:2"]
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_guess(log_evidence, seed):
    import math

    rng = np.random.default_rng(seed)

    def true(values):  # the greatest taken out, one draw after the other
        top = max(values)
        if top == -math.inf:
            return top
        return top + math.log(sum(math.exp(v - top) for v in values) / len(values))

    slips = {
        "A mean of logarithms lies below the logarithm of the mean.": np.mean,
        "Too high by log S: an average divides by the number of draws.": lambda v: (
            true(v) + math.log(len(v))
        ),
        "log S is added. An average divides by S.": lambda v: true(v) + 2 * math.log(len(v)),
        "S is subtracted from a logarithm: subtract log S.": lambda v: (
            true(v) + math.log(len(v)) - len(v)
        ),
        "That is the average likelihood. Its logarithm is asked for.": lambda v: math.exp(true(v)),
        "A sum of logarithms is the logarithm of a product.": np.sum,
        "That is the best draw. All of them are averaged.": np.max,
        "The logarithm of the sum is divided by S: the sum itself is to be divided.": lambda v: (
            (true(v) + math.log(len(v))) / len(v)
        ),
        "One number for all draws.": lambda v: v - math.log(len(v)),
    }
    simpler = {
        "there is one draw": lambda v: (v[:1],),
        "all draws are alike": lambda v: (np.full_like(v, v[0]),),
        "all likelihoods are 1": lambda v: (0 * v,),
    }
    cases = [(rng.normal(-2, 1.5, S),) for S in (3, 50, 7, 400, 5)]
    edges = {
        "all of it lies 2,000 nats lower": (cases[0][0] - 2000,),
        "the likelihoods lie a thousand nats apart": (np.array([-1000.0, -1001.0, -3000.0]),),
        "there is one draw": (np.array([-7.5]),),
        "all draws are alike": (np.full(4, -3.0),),
        "a likelihood is zero, its logarithm −∞": (np.array([-3.0, -np.inf, -2.0]),),
        "the densities are large": (np.array([900.0, 905.0]),),
    }
    with np.errstate(all="ignore"):
        _e.agree(
            "log p(x)", log_evidence, true, cases, unit="nats", slips=slips, edges=edges,
            simpler=simpler,
        )  # fmt: skip


_check_guess(log_evidence, seed=0)
### BEGIN HIDDEN TESTS
_check_guess(log_evidence, seed=100)
### END HIDDEN TESTS


# %% [markdown]
# ## 1.4 Find the bug (2 points)
#
# A program prints what follows as "the ELBO", and its users are delighted with the values. `mu` and `sigma` are
# $q$'s, the prior is $\mathcal N(0, I)$, and `log_likelihood` is $\log p(x \mid z)$, pixel by pixel, at one draw
# from $q$. It is no bound on $\log p(x)$. Write it so that it is (1.2) on average over the draws.


# %%
def delighted(log_likelihood, mu, sigma):
    """log_likelihood: [B, D]; mu, sigma: [B, d]. One value per image, [B]."""
    reconstruction = log_likelihood.mean(-1)
    divergence = 0.5 * (sigma**2 + mu**2 - 1 - np.log(sigma**2)).mean(-1)
    return reconstruction - divergence


# %% tags=["task:bug"]
def mended(log_likelihood, mu, sigma):
    """As above, but an estimate of a bound on log p(x), in nats per image, [B]."""
    ### BEGIN SOLUTION
    reconstruction = log_likelihood.sum(-1)
    divergence = 0.5 * (sigma**2 + mu**2 - 1 - np.log(sigma**2)).sum(-1)
    return reconstruction - divergence
    ### END SOLUTION


# %% tags=["check:bug:2"]
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_bug(mended, seed):
    from scipy.stats import norm

    rng = np.random.default_rng(seed)
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)  # exact for quadratics
    weights = weights / weights.sum()

    def fit(log_likelihood):
        return np.array([sum(row) for row in log_likelihood])

    def cost(mu, sigma):  # image by image and dimension by dimension
        z = mu[..., None] + sigma[..., None] * nodes
        ratio = norm.logpdf(z, mu[..., None], sigma[..., None]) - norm.logpdf(z)
        return np.array([sum(row) for row in ratio @ weights])

    def true(log_likelihood, mu, sigma):
        return fit(log_likelihood) - cost(mu, sigma)

    def d(mu):
        return mu.shape[1]

    slips = {
        "The divergence is still an average over the dimensions of z.": lambda p, mu, sigma: (
            fit(p) - cost(mu, sigma) / d(mu)
        ),
        "The reconstruction is still an average over the pixels.": lambda p, mu, sigma: (
            fit(p) / p.shape[1] - cost(mu, sigma)
        ),
        "Both are still averages: over the pixels, and over the dimensions of z.": (
            lambda p, mu, sigma: fit(p) / p.shape[1] - cost(mu, sigma) / d(mu)
        ),
        "That is one number for the batch; the bound is per image.": lambda *c: true(*c).sum(),
        "One number for the batch: average over images in the training step only.": (
            lambda *c: true(*c).mean()
        ),
        "The divergence is one number for the batch in yours; each image has its own.": (
            lambda p, mu, sigma: fit(p) - cost(mu, sigma).sum()
        ),
        "The divergence is averaged over the batch in yours; each image has its own.": (
            lambda p, mu, sigma: fit(p) - cost(mu, sigma).mean()
        ),
        "The reconstruction is one number for the batch in yours; each image has its own.": (
            lambda p, mu, sigma: np.sum(p) - cost(mu, sigma)
        ),
        "You multiplied the whole by the number of pixels: each term has its own sum.": (
            lambda p, mu, sigma: fit(p) - cost(mu, sigma) / d(mu) * p.shape[1]
        ),
        "The divergence is subtracted.": lambda p, mu, sigma: fit(p) + cost(mu, sigma),
        "σ stands where σ² belongs.": lambda p, mu, sigma: fit(p) - cost(mu, np.sqrt(sigma)),
        "That is the reconstruction alone.": lambda p, mu, sigma: fit(p),
    }
    terms = {
        "the divergence": lambda p, mu, sigma: -cost(mu, sigma),
        "the reconstruction": lambda p, mu, sigma: fit(p),
        "q's mean in the divergence": lambda p, mu, sigma: -np.sum(mu**2, 1) / 2,
        "q's variance in the divergence": lambda p, mu, sigma: -np.linalg.norm(sigma, axis=1) ** 2 / 2,
        "the −1 of each dimension": lambda p, mu, sigma: np.full(len(mu), d(mu) / 2),
        "log σ": lambda p, mu, sigma: np.log(np.prod(sigma, 1)),
    }
    simpler = {
        "z has one dimension": lambda p, mu, sigma: (p, mu[:, :1], sigma[:, :1]),
        "there is one pixel": lambda p, mu, sigma: (p[:, :1], mu, sigma),
        "there is one image": lambda p, mu, sigma: (p[:1], mu[:1], sigma[:1]),
        "q is the prior": lambda p, mu, sigma: (p, 0 * mu, sigma**0),
        "σ is 1": lambda p, mu, sigma: (p, mu, sigma**0),
        "μ is 0": lambda p, mu, sigma: (p, 0 * mu, sigma),
    }

    def a_case(B, D, d):
        return rng.normal(-1, 0.3, (B, D)), rng.normal(size=(B, d)), rng.uniform(0.3, 1.7, (B, d))

    edges = {
        "there is one image": a_case(1, 5, 2),
        "z has one dimension": a_case(3, 5, 1),
        "there is one pixel": a_case(3, 1, 2),
        "images, pixels and dimensions are equally many": a_case(3, 3, 3),
        "q is the prior": (rng.normal(size=(2, 3)), np.zeros((2, 2)), np.ones((2, 2))),
        "a dimension of q is very narrow": (rng.normal(size=(1, 3)), np.ones((1, 2)),
                                            np.array([[1e-6, 0.5]])),
    }  # fmt: skip
    sizes = ((4, 6, 3), (3, 5, 2), (2, 7, 4), (5, 2, 3), (6, 4, 2))
    _e.agree(
        "L", mended, true, [a_case(*size) for size in sizes], unit="nats", slips=slips,
        terms=terms, edges=edges, simpler=simpler,
    )  # fmt: skip


_check_bug(mended, seed=0)
### BEGIN HIDDEN TESTS
_check_bug(mended, seed=100)
### END HIDDEN TESTS


# %% [markdown]
# ## 1.5 What is left over (2 points)
#
# At the maximum of the likelihood, a linear-Gaussian model with $k$ latent dimensions explains the $k$ largest
# eigenvalues $\lambda_1 \ge \dots \ge \lambda_D$ of the data's covariance; the variance in the other directions
# becomes noise, *spread evenly over them*. Return the standard deviation $\sigma$ of that noise.


# %% tags=["task:noise"]
def noise_scale(eigenvalues, k):
    """σ of the best model (1.4). eigenvalues: [D], largest first; k < D. A number."""
    ### BEGIN SOLUTION
    return np.sqrt(np.mean(eigenvalues[k:]))
    ### END SOLUTION


# %% tags=["check:noise:2"]
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_noise(noise_scale, seed):
    from sklearn.decomposition import PCA

    from cvae_tf import datasets

    rng = np.random.default_rng(seed)

    def true(eigenvalues, k):  # scikit-learn's, from points on the axes with this covariance
        N = 2 * len(eigenvalues)
        arms = np.diag(np.sqrt(np.asarray(eigenvalues) * (N - 1) / 2))
        return np.sqrt(PCA(k, svd_solver="full").fit(np.vstack([arms, -arms])).noise_variance_)

    slips = {
        "That is the variance, σ². σ is asked for.": lambda e, k: true(e, k) ** 2,
        "Spread evenly: each of the other directions gets its share. You took the sum.": (
            lambda e, k: true(e, k) * np.sqrt(len(e) - k)
        ),
        "Spread evenly over the other directions: you divided by all D.": lambda e, k: (
            true(e, k) * np.sqrt((len(e) - k) / len(e))
        ),
        "The kept directions' variance is not noise: yours is the mean over all.": lambda e, k: (
            np.sqrt(sum(e) / len(e))
        ),
        "Those are the kept directions. Noise is what is left over.": lambda e, k: (
            np.sqrt(sum(e[:k]) / k)
        ),
        "Variances are averaged, then the root is taken: you averaged the roots.": lambda e, k: (
            np.mean([v**0.5 for v in e[k:]])
        ),
        "That is the first direction left over. Noise is spread evenly over all of them.": (
            lambda e, k: np.sqrt(e[k])
        ),
        "That is the last direction. Noise is spread evenly over all that are left over.": (
            lambda e, k: np.sqrt(e[-1])
        ),
        "That is the last direction that was kept.": lambda e, k: np.sqrt(e[k - 1]),
        "One direction too few is left over: the k largest are kept, λ_1 to λ_k.": lambda e, k: (
            np.sqrt(np.mean(e[k + 1 :])) if k + 1 < len(e) else np.nan
        ),
        "One direction too many is left over: λ_k is kept, too.": lambda e, k: (
            np.sqrt(np.mean(e[k - 1 :]))
        ),
        "One value for each direction: they share one σ.": lambda e, k: np.sqrt(e[k:]),
    }
    simpler = {
        "all eigenvalues are 1": lambda e, k: (np.ones_like(e), k),
        "all eigenvalues are alike": lambda e, k: (np.full_like(e, e[0]), k),
        "one direction is left over": lambda e, k: (e, len(e) - 1),
        "the eigenvalues left over are alike": lambda e, k: (
            np.where(np.arange(len(e)) < k, e, e[-1]), k
        ),
    }

    def a_case(D, k):
        return np.sort(rng.exponential(2, D) + 0.1)[::-1].copy(), k

    digits = datasets.digits().all.x.astype("float64")
    edges = {
        "one direction is left over": a_case(5, 4),
        "one direction is kept": a_case(6, 1),
        "all eigenvalues are alike": (np.full(4, 2.0), 2),
        "some directions have no variance": (np.array([4.0, 1.0, 0.5, 0.0, 0.0]), 2),
        "the data are the digits": (
            np.clip(np.linalg.eigvalsh(np.cov(digits.T))[::-1], 0, None), 5
        ),
        "the eigenvalues are very small": (1e-8 * a_case(5, 2)[0], 2),
    }
    sizes = ((6, 2), (8, 3), (5, 1), (7, 5), (10, 4))
    _e.agree(
        "σ", noise_scale, true, [a_case(*size) for size in sizes], atol=1e-9, slips=slips,
        edges=edges, simpler=simpler,
    )  # fmt: skip


_check_noise(noise_scale, seed=0)
### BEGIN HIDDEN TESTS
_check_noise(noise_scale, seed=100)
### END HIDDEN TESTS
