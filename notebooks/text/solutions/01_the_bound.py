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

from cvae_tf import datasets
from cvae_tf.exercises import compare, require
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
def true_price(model, x, t):
    centre, covariance = model.posterior(x)
    s = np.sqrt(covariance[0, 0])
    return np.array([model.log_evidence(x) - model.bound(centre + k * s, s, x) for k in t])[:, 0]


toy, t = LinearGaussian(W=[[0.2]], b=[0.0], sigma=0.1), np.array([1.0, -2.0, 3.0])
gap = true_price(toy, np.array([[0.2]]), t)
slips = {
    "The bound falls short by a positive amount: look at the sign.": -gap,
    "Twice too much: look at the factor in (2.4).": 2 * gap,
    "The distance enters (2.4) squared.": np.sqrt(gap / 2),
}
compare("the price of t = 1, −2, 3", price(t), gap, unit="nats", slips=slips)
### BEGIN HIDDEN TESTS
wide, t = LinearGaussian(W=[[2.0]], b=[0.3], sigma=0.7), np.array([0.4, -1.7])
gap = true_price(wide, np.array([[1.1]]), t)
compare("the price of t = 0.4, −1.7 in another model", price(t), gap, unit="nats")
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
def two_terms(x, mu, s, w, sigma):
    """Reconstruction and divergence by summing over a fine grid of z."""
    z = mu + s * np.linspace(-10, 10, 20_001)
    q = norm.pdf(z, mu, s) * (z[1] - z[0])
    return q @ norm.logpdf(x, w * z, sigma), q @ (norm.logpdf(z, mu, s) - norm.logpdf(z))


case = dict(x=0.7, mu=0.5, s=0.6, w=1.5, sigma=0.4)
explained, divergence = two_terms(**case)
at_the_mean = two_terms(0.7, 0.5, 1e-9, 1.5, 0.4)[0]
slips = {
    "The divergence is subtracted, not added.": explained + divergence,
    "You put z at q's mean. But q has a width, and E[(x − wz)²] feels it.": at_the_mean - divergence,
    "This is the reconstruction alone.": explained,
}
compare("L", bound(**case), explained - divergence, unit="nats", slips=slips)
### BEGIN HIDDEN TESTS
case = dict(x=-1.2, mu=-0.3, s=1.4, w=0.8, sigma=0.9)
explained, divergence = two_terms(**case)
compare("L elsewhere", bound(**case), explained - divergence, unit="nats")
### END HIDDEN TESTS


# %% [markdown]
# ## 1.3 Guessing at the integral (2 points)
#
# The plain way to $\log p(x) = \log \int p(z)\, p(x \mid z)\, dz$: draw $S$ values from the prior and average
# $p(x \mid z_s)$. You are given $\log p(x \mid z_s)$ for each draw, and some may be as low as −2,000 nats. Return
# the estimate of $\log p(x)$. (`logsumexp` is imported.)


# %% tags=["task:guess"]
def log_evidence(log_likelihoods):
    """The logarithm of the average likelihood. log_likelihoods: [S], nats. A number, nats."""
    ### BEGIN SOLUTION
    return logsumexp(log_likelihoods) - np.log(len(log_likelihoods))
    ### END SOLUTION


# %% tags=["check:guess:2"]
z = np.random.default_rng(0).standard_normal(5000)
drawn = norm.logpdf(0.2, 0.2 * z, 0.1)
density = np.exp(drawn)  # none of these is too small for a computer
slips = {
    "A mean of logarithms lies below the logarithm of the mean.": drawn.mean(),
    "Too high by log S: an average divides by the number of draws.": np.log(density.sum()),
}
true = np.log(density.mean())
compare("log p(x)", log_evidence(drawn), true, unit="nats", slips=slips)
with np.errstate(divide="ignore"):
    lower = log_evidence(drawn - 2000)
require(np.isfinite(lower), "exp(−2000) is zero on a computer: stay with logarithms throughout.")
compare("the same, 2,000 nats lower", lower, true - 2000, unit="nats")
### BEGIN HIDDEN TESTS
few = np.array([-1000.0, -1001.0, -3000.0])
compare("three draws", log_evidence(few), -1000 + np.log((1 + np.exp(-1)) / 3), unit="nats")
### END HIDDEN TESTS


# %% [markdown]
# ## 1.4 Find the bug (2 points)
#
# A program prints what follows as "the ELBO", and its users are delighted with the values. `mu` and `sigma` are
# $q$'s, the prior is $\mathcal N(0, I)$, and `log_likelihood` is $\log p(x \mid z)$, pixel by pixel, at one draw
# from $q$. It is no bound on $\log p(x)$. Write it so that it is (1.2).


# %%
def delighted(log_likelihood, mu, sigma):
    """log_likelihood: [B, D]; mu, sigma: [B, d]. One value per image, [B]."""
    reconstruction = log_likelihood.mean(-1)
    divergence = 0.5 * (sigma**2 + mu**2 - 1 - np.log(sigma**2)).mean(-1)
    return reconstruction - divergence


# %% tags=["task:bug"]
def mended(log_likelihood, mu, sigma):
    """As above, but a bound on log p(x), in nats per image, [B]."""
    ### BEGIN SOLUTION
    reconstruction = log_likelihood.sum(-1)
    divergence = 0.5 * (sigma**2 + mu**2 - 1 - np.log(sigma**2)).sum(-1)
    return reconstruction - divergence
    ### END SOLUTION


# %% tags=["check:bug:2"]
def a_case(B, D, d, seed):
    rng = np.random.default_rng(seed)
    return rng.normal(-1, 0.3, (B, D)), rng.normal(size=(B, d)), rng.uniform(0.3, 1.2, (B, d))


def checked(log_likelihood, mu, sigma):
    """Image by image and dimension by dimension, with task 1.2's grid."""
    pairs = [
        [two_terms(0, m, s, 0, 1)[1] for m, s in zip(*row, strict=True)]
        for row in zip(mu, sigma, strict=True)
    ]
    return np.array([sum(row) for row in log_likelihood]), np.array([sum(row) for row in pairs])


case = a_case(B=4, D=6, d=3, seed=0)
explained, divergence = checked(*case)
slips = {
    "The divergence is still an average over the dimensions of z.": explained - divergence / 3,
    "The reconstruction is still an average over the pixels.": explained / 6 - divergence,
    "That is one number for the batch; the bound is per image.": (explained - divergence).sum(),
    "One number for the batch: average over images in the training step only.": np.mean(
        explained - divergence
    ),
}
compare("L", mended(*case), explained - divergence, unit="nats", slips=slips)
### BEGIN HIDDEN TESTS
case = a_case(B=3, D=5, d=2, seed=1)
compare("L of other images", mended(*case), np.subtract(*checked(*case)), unit="nats")
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
images = datasets.digits().all.x.astype("float64")
eigenvalues = np.clip(np.linalg.eigvalsh(np.cov(images.T))[::-1], 0, None)
variance = PCA(5).fit(images).noise_variance_
slips = {
    "That is the variance, σ². σ is asked for.": variance,
    "Spread evenly: each of the other directions gets its share.": np.sqrt(variance * 59),
    "The kept directions' variance is not noise.": np.sqrt(np.trace(np.cov(images.T)) / 64),
}
compare("σ of the digits at k = 5", noise_scale(eigenvalues, 5), np.sqrt(variance), slips=slips)
### BEGIN HIDDEN TESTS
compare("σ at k = 2 of 4", noise_scale(np.array([9.0, 4.0, 3.0, 1.0]), 2), np.sqrt(2.0))
### END HIDDEN TESTS
