# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercises 2 · The estimators and the algorithm
#
# Six tasks on lesson 02, sixteen points. In each, put your code in the place of the line that raises an error, then
# run the check below it: it prints your value beside the true one, or says what is wrong. No task needs another,
# so begin where you like.

# %%
import itertools
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
import tensorflow as tf
from scipy.optimize import minimize
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm

from cvae_tf import oracle
from cvae_tf.distributions import tfd
from cvae_tf.exercises import compare, require
from cvae_tf.oracle import LinearGaussian

# %% [markdown]
# ## 2.1 A tilted q (2 points)
#
# Lesson 02 ends with true posteriors that no upright ellipse covers. So let $q$ tilt: put a lower triangular matrix
# $T$ with a positive diagonal in the place of the scales in (2.1),
#
# $$ z = \mu + T \varepsilon, \quad \varepsilon \sim \mathcal N(0, I), \qquad \text{so that } q = \mathcal N(\mu,\, T T^\top). $$
#
# Estimator B needs $\mathrm{KL}(q \,\|\, \mathcal N(0, I))$. (2.4) is for upright Gaussians. Go back to what it stands
# for, $\mathbb E_q[\log q - \log p]$: you need $\mathbb E_q[z^\top z]$, and the factor $\det T$ by which $T$ scales volumes. No
# draws, and no inverse.


# %% tags=["task:tilt"]
def tilted_kl(mu, T):
    """KL(N(mu, T Tᵀ) ‖ N(0, I)). mu: [d]; T: [d, d], lower triangular, diagonal > 0. A number, nats."""
    ### BEGIN SOLUTION
    second_moments = np.sum(T**2) + np.sum(mu**2)
    return 0.5 * (second_moments - len(mu)) - np.log(np.diag(T)).sum()
    ### END SOLUTION


# %% tags=["check:tilt:2"]
def kl_by_sums(centre, covariance):
    """E_q[log q − log p] by summing over a fine grid of two-dimensional z."""
    spread = np.sqrt(np.diag(covariance))
    sides = [c + s * np.linspace(-9, 9, 301) for c, s in zip(centre, spread, strict=True)]
    grid = np.stack(np.meshgrid(*sides, indexing="ij"), -1)
    cell = np.prod([side[1] - side[0] for side in sides])
    log_q = multivariate_normal(centre, covariance).logpdf(grid)
    return np.sum(np.exp(log_q) * (log_q - norm.logpdf(grid).sum(-1))) * cell


centre, tilt = np.array([0.5, -1.0]), np.array([[0.8, 0.0], [0.9, 0.5]])
true, log_volume = kl_by_sums(centre, tilt @ tilt.T), np.log(0.8 * 0.5)
slips = {
    "T enters with its diagonal only. The tilt is in the other entries.": true - 0.9**2 / 2,
    "The covariance of q is T Tᵀ. You took T for it.": true
    + (np.trace(tilt) - np.sum(tilt**2)) / 2,
    "The −1 in (2.4) is there once for every dimension.": true + 1 / 2,
    "At q = N(0, I) a divergence is 0, and yours is not. Count the dimensions.": true + 2 / 2,
    "Half of the logarithm of the volume is missing: it is log det T, not ½ log det T.": true
    + log_volume / 2,
    "Look at the sign of the volume: a narrow q is far from the prior.": true + 2 * log_volume,
}
compare("the KL of a tilted q", tilted_kl(centre, tilt), true, unit="nats", slips=slips)
### BEGIN HIDDEN TESTS
rng = np.random.default_rng(0)  # turned until it stands upright: a rotation leaves N(0, I) as it is
centre, tilt = rng.normal(size=4), np.tril(rng.normal(size=(4, 4)), -1) + np.diag([0.3, 1.4, 2, 1])
variances, turn = np.linalg.eigh(tilt @ tilt.T)
true = oracle.kl_diagonal(turn.T @ centre, np.sqrt(variances), 0.0, 1.0)
compare("the KL in four dimensions", tilted_kl(centre, tilt), true, unit="nats")
### END HIDDEN TESTS


# %% [markdown]
# ## 2.2 Predict, then measure: mirrored draws (3 points)
#
# An old trick makes two draws out of one: use $\varepsilon$ and $-\varepsilon$. Both are draws from $\mathcal N(0, 1)$,
# so the average of the two values is as unbiased as that of two fresh draws. Does it vary less? Take SGVB-A (2.2) with
# $L = 2$ on the small model below, for two $q$:
#
# - `moved`: the true posterior's scale, but the mean one posterior standard deviation and a half off;
# - `wide`: the true posterior's mean, but half as wide again.
#
# **First predict**, for each $q$, which estimate varies more: the one from two `"fresh"` draws, or the one from two
# `"mirrored"` draws; or `"neither"`. Then write the function that
# measures both variances, for whatever $f$ it is given.

# %%
small = LinearGaussian(W=[[0.7], [1.1]], b=[0.0, 0.0], sigma=0.8)
seen = np.array([[1.0, 0.4]])


def sgvb_a(shift, factor):
    """A's integrand as a function of ε: [S] → [S], nats. q = N(m + shift · s, (factor · s)²)."""
    centre, covariance = small.posterior(seen)
    s = np.sqrt(covariance[0, 0])
    mu, sigma = centre[0, 0] + shift * s, factor * s

    def f(epsilon):
        z = mu + sigma * epsilon
        log_p_x_given_z = norm.logpdf(seen, z[:, None] @ small.W.T, small.sigma).sum(-1)
        return log_p_x_given_z + norm.logpdf(z) - norm.logpdf(z, mu, sigma)

    return f


# %% tags=["task:mirror"]
def varies_more():
    """Your prediction: {"moved": …, "wide": …}, each "fresh", "mirrored" or "neither"."""
    ### BEGIN SOLUTION
    return {"moved": "fresh", "wide": "mirrored"}
    ### END SOLUTION


def variances_of_two_draws(f, epsilon):
    """Measured variances of the average of two values of f: (from fresh draws, from mirrored ones).

    f: a function [S] → [S], nats. epsilon: [S], draws from N(0, 1), S even. Two numbers, nats².
    """
    ### BEGIN SOLUTION
    one, other = f(epsilon).reshape(2, -1)
    fresh = (one + other) / 2
    mirrored = (f(epsilon) + f(-epsilon)) / 2
    return fresh.var(), mirrored.var()
    ### END SOLUTION


# %% tags=["check:mirror:3"]
def exact_variances(f):
    """Of two fresh and two mirrored draws, by Gauss–Hermite quadrature; and the kurtosis of f."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    weights = weights / weights.sum()
    centred = f(nodes) - weights @ f(nodes)
    one = weights @ centred**2
    mirrored = weights @ ((centred + centred[::-1]) / 2) ** 2  # the nodes are symmetric
    return np.array([one / 2, mirrored]), weights @ centred**4 / one**2


def check_variances(name, f, S=100_000):
    """To five standard errors of a variance from S / 2 pairs."""
    measured = variances_of_two_draws(f, np.random.default_rng(0).standard_normal(S))
    require(np.shape(measured) == (2,), "Return two numbers: the fresh variance, the mirrored one.")
    both, kurtosis = exact_variances(f)
    others = {
        "fresh": "That is what mirrored draws have: first the fresh variance, then the mirrored one.",
        "mirrored": "That is what fresh draws have. The two of a mirrored pair are not independent.",
    }
    error = 5 * np.sqrt((kurtosis - 1) / (S / 2))
    for kind, yours, true in zip(("fresh", "mirrored"), measured, both, strict=True):
        slips = {
            "That is the standard deviation, in nats. The variance is its square.": np.sqrt(true),
            "An average of two is half of their sum.": 4 * true,
            "The variance of one draw? The average of two fresh ones varies less.": 2 * true,
            others[kind]: both.sum() - true,
        }
        label, atol = f"{name}: the variance from two {kind} draws", error * both.max()
        compare(label, np.round(yours, 9), np.round(true, 9), atol=atol, unit="nats²", slips=slips)


guesses = varies_more()
for name, q in {"moved": (1.5, 1.0), "wide": (0.0, 1.5)}.items():
    check_variances(name, sgvb_a(*q))
    fresh, mirrored = np.round(exact_variances(sgvb_a(*q))[0], 9)
    require(
        isinstance(guesses, dict) and guesses.get(name) in ("fresh", "mirrored", "neither"),
        f'The prediction for "{name}" should be "fresh", "mirrored" or "neither".',
    )
    require(
        guesses[name] == ("fresh" if fresh > mirrored else "mirrored"),
        f'{name}: you predicted "{guesses[name]}", but fresh draws give {fresh:.3g} nats² and '
        f"mirrored ones {mirrored:.3g}. What is f(ε) + f(−ε) if f is odd, and what if it is even?",
    )
    print(f"{name}: as you predicted.")
### BEGIN HIDDEN TESTS
check_variances("moved and wide", sgvb_a(-0.8, 1.3))
check_variances("a sine and a constant", lambda epsilon: np.sin(epsilon) + 3)
check_variances("a cosine", lambda epsilon: 2 * np.cos(epsilon))
### END HIDDEN TESTS


# %% [markdown]
# ## 2.3 Find the bug: the posterior that shrinks (2 points)
#
# Somebody has read that a gradient may be detached in $\log q$ (Roeder et al. 2017) and writes SGVB-A (2.2) as below.
# The values printed are right. In training, though, every $\sigma$ runs to zero, and the encoder ends as a
# plain function of the image. Mend it so that it is what was meant:
#
# - the gradient in $\mu$ and $\sigma$ has the bound's gradient for its mean, and
# - at the true posterior it has no noise at all: it is zero for every single draw.


# %%
def shrinking(log_joint, mu, sigma, epsilon):
    """SGVB-A's values. log_joint: z [L, d] → log p(x, z) [L]; mu, sigma: [d]; epsilon: [L, d]."""
    z = mu + sigma * epsilon
    log_q = tf.reduce_sum(tfd.Normal(mu, sigma).log_prob(z), -1)
    return log_joint(z) - tf.stop_gradient(log_q)


# %% tags=["task:shrink"]
def mended(log_joint, mu, sigma, epsilon):
    """As above: one value for each draw, [L], nats. Everything is a float64 tensor."""
    ### BEGIN SOLUTION
    z = mu + sigma * epsilon
    q = tfd.Normal(tf.stop_gradient(mu), tf.stop_gradient(sigma))
    return log_joint(z) - tf.reduce_sum(q.log_prob(z), -1)
    ### END SOLUTION


# %% tags=["check:shrink:2"]
def values_and_gradients(W, x, mu, sigma, epsilon):
    """Of the mended estimator on a linear-Gaussian model: [L] and, for their mean, [2d]."""

    def log_joint(z):
        log_p_x_given_z = tfd.Normal(z @ tf.transpose(tf.constant(W)), 0.5).log_prob(x)
        log_p_z = tfd.Normal(tf.zeros([], "float64"), 1.0).log_prob(z)
        return tf.reduce_sum(log_p_x_given_z, -1) + tf.reduce_sum(log_p_z, -1)

    mu, sigma, epsilon = (tf.constant(v, "float64") for v in (mu, sigma, epsilon))
    with tf.GradientTape() as tape:
        tape.watch([mu, sigma])
        values = tf.convert_to_tensor(mended(log_joint, mu, sigma, epsilon))
        mean = tf.reduce_mean(values)
    gradients = tape.gradient(mean, [mu, sigma], unconnected_gradients="zero")
    return values.numpy(), np.concatenate(gradients)


def gradient_of_bound(model, x, mu, sigma, h=1e-5):
    """The closed-form bound's slopes in (μ, σ), by differences. [2d]."""
    at = np.concatenate([mu, sigma])
    sides = [[at + sign * h * e for e in np.eye(len(at))] for sign in (1, -1)]
    up, down = ([model.bound(*np.split(v, 2), x)[0] for v in side] for side in sides)
    return np.subtract(up, down) / (2 * h)


def check_mended(W, x, mu, sigma):
    model, d = LinearGaussian(W, np.zeros(len(W)), 0.5), len(mu)
    points = np.sqrt(d) * np.vstack([np.eye(d), -np.eye(d)])  # (1.5): exact for quadratics
    values, gradient = values_and_gradients(W, x, mu, sigma, points)
    require(values.shape == (2 * d,), f"One value for each draw: [{2 * d}], not {values.shape}.")
    bound = model.bound(mu, sigma, x)[0]
    slips = {"The sign: the bound is log p(x, z) − log q(z|x).": -bound}
    compare("SGVB-A's mean", values.mean(), bound, unit="nats", slips=slips)
    true, none = gradient_of_bound(model, x, mu, sigma), np.zeros(d)
    slips = {
        "Both parameters are deaf: the draw itself must keep its path to μ and σ.": 0 * true,
        "Right for μ; but σ is not told that a wide q has a large entropy. Through which thread "
        "does it hear of that?": true - np.concatenate([none, 1 / sigma]),
    }
    compare("mean gradient in (μ, σ)", gradient, true, atol=1e-5, slips=slips)
    centre, covariance = model.posterior(x)
    for draw in np.random.default_rng(0).standard_normal((3, 1, d)):
        at_posterior = centre[0], np.sqrt(np.diag(covariance)), draw
        _, gradient = values_and_gradients(W, x, *at_posterior)
        require(
            np.abs(gradient) < 1e-9,
            "The mean is right, but a single draw at the true posterior still has a gradient. Which "
            "part of it has mean zero, and could be cut?",
        )


upright = np.array([[1.0, 0.5], [-0.5, 1.0], [0.0, 0.0]])  # orthogonal columns
check_mended(upright, np.array([[0.4, -1.0, 0.3]]), np.array([0.5, -0.2]), np.array([0.6, 0.9]))
### BEGIN HIDDEN TESTS
check_mended(np.array([[1.3], [-0.4]]), np.array([[0.9, 0.1]]), np.array([-0.7]), np.array([1.2]))
### END HIDDEN TESTS


# %% [markdown]
# ## 2.4 One step of the algorithm, by hand (3 points)
#
# The smallest autoencoder: $z \sim \mathcal N(0, 1)$ and $x \mid z \sim \mathcal N(wz, 1)$, with the encoder
# $q(z \mid x) = \mathcal N(ax, s^2)$ whose scale $s$ is fixed. Every image is one number. `estimator_b` gives
# (2.3) with one draw for each image. Take **one step of gradient ascent on (2.5)**, the estimate of the bound of all
# $N$ images from the minibatch's $M$: return $w$ and $a$ after it. (2.5) as it stands, not the mean per example.


# %%
def estimator_b(w, a, x, epsilon, s):
    """SGVB-B of each image, L = 1. w, a, s: numbers; x, epsilon: [M]. Nats, [M]."""
    z = a * x + s * epsilon
    divergence = 0.5 * (s**2 + (a * x) ** 2 - 1 - np.log(s**2))
    return norm.logpdf(x, w * z, 1.0) - divergence


# %% tags=["task:step"]
def step(w, a, x, epsilon, s, N, rate):
    """(w, a) after one step of length `rate` times the gradient of (2.5).

    w, a, s: numbers; x, epsilon: [M], the minibatch and its noise; N: images in all.
    """
    ### BEGIN SOLUTION
    z = a * x + s * epsilon
    residual = x - w * z
    slope_w = residual * z
    slope_a = residual * w * x - a * x**2  # through z = ax + sε, and the divergence's own
    scale = rate * N / len(x)
    return w + scale * slope_w.sum(), a + scale * slope_a.sum()
    ### END SOLUTION


# %% tags=["check:step:3"]
def slopes(w, a, *rest):
    """∂/∂w and ∂/∂a of the batch's sum by differences, exact here: it is quadratic in each."""
    by_w = estimator_b(w + 0.5, a, *rest) - estimator_b(w - 0.5, a, *rest)
    by_a = estimator_b(w, a + 0.5, *rest) - estimator_b(w, a - 0.5, *rest)
    return np.array([by_w.sum(), by_a.sum()])


def check_step(name, w, a, s, M, N, rate, seed):
    rng = np.random.default_rng(seed)
    x, epsilon = 1.5 * rng.standard_normal(M), rng.standard_normal(M)
    before, total = np.array([w, a]), rate * slopes(w, a, x, epsilon, s)
    true = before + N / M * total
    prior = np.array([0.0, rate * np.sum(a * x**2)])  # what the divergence pulls
    late = rate * slopes(true[0], a, x, epsilon, s)
    slips = {
        "That is downhill. The bound is to be raised.": before - N / M * total,
        "That is the minibatch's sum. (2.5) counts each image for N / M images.": before + total,
        "That is the mean per example, 1 / N of (2.5).": before + total / M,
        "N / M of the mean is M times too little: (2.5) has a sum.": before + N / M * total / M,
        "a's own gradient lacks the divergence.": true + N / M * prior,
        "a hears of the divergence only. The reconstruction reaches it through z.": np.array(
            [true[0], a - N / M * prior[1]]
        ),
        "Both gradients belong to the w before the step.": np.array([true[0], a + N / M * late[1]]),
    }
    compare(name, step(w, a, x, epsilon, s, N, rate), true, slips=slips)


check_step("(w, a) after a step", w=0.8, a=0.3, s=0.7, M=5, N=40, rate=0.01, seed=0)
### BEGIN HIDDEN TESTS
check_step("(w, a) elsewhere", w=-0.5, a=0.9, s=0.2, M=3, N=1000, rate=0.002, seed=1)
### END HIDDEN TESTS


# %% [markdown]
# ## 2.5 All the groups of K (2 points)
#
# The lesson cuts 256 weights into groups of $K$ side by side. That wastes some: any $K$ different draws of the $S$
# are a group as good. With $S$ small you can afford **all of them**. Estimate $\mathcal L_K$ (2.6) as the average
# over every group of $K$ different draws, each group counted once; `itertools.combinations(range(S), K)` lists
# them. You are given $\log w_k = \log p(x, z_k) - \log q(z_k \mid x)$, which may lie at −2,000 nats.
# (`logsumexp` is imported.)


# %% tags=["task:groups"]
def bound_of_groups(log_w, K):
    """L_K (2.6), averaged over all groups of K of the draws. log_w: [S], S ≤ 12. A number, nats."""
    ### BEGIN SOLUTION
    groups = np.array(list(itertools.combinations(log_w, K)))
    return np.mean(logsumexp(groups, axis=1) - np.log(K))
    ### END SOLUTION


# %% tags=["check:groups:2"]
weights = np.log([1.0, 3.0, 5.0])  # their pairs have the means 2, 3 and 4
pairs = np.log(24) / 3
slips = {
    "Too high by log K: (2.6) has an average of K weights in the logarithm.": pairs + np.log(2),
    "A mean of logarithms is L_1. In (2.6) the K weights are averaged first.": np.log(15) / 3,
    "That averages all draws inside the logarithm. Inside are K; the groups are averaged outside.": (
        np.log(3)
    ),
    "Every group takes K different draws: no draw stands beside itself.": (
        2 * np.log(24) + np.log(15)
    )
    / 9,
    "An average over the groups, not their sum.": np.log(24),
}
compare("L_2 of the weights 1, 3, 5", bound_of_groups(weights, 2), pairs, unit="nats", slips=slips)
compare("L_1", bound_of_groups(weights, 1), np.log(15) / 3, unit="nats")
with np.errstate(divide="ignore"):
    lower = bound_of_groups(weights - 2000, 2)
require(np.isfinite(lower), "exp(−2000) is zero on a computer: stay with logarithms throughout.")
compare("L_2, all of it 2,000 nats lower", lower, pairs - 2000, unit="nats")
### BEGIN HIDDEN TESTS
weights = np.log(
    [7.0, 1.0, 5.0, 3.0]
)  # means: of pairs 2, 3, 4, 4, 5, 6; of threes 3, 11/3, 13/3, 5
compare("L_2 of four", bound_of_groups(weights, 2), np.log(2880) / 6, unit="nats")
compare("L_3 of four", bound_of_groups(weights, 3), np.log(715 / 3) / 4, unit="nats")
compare("L_4 of four", bound_of_groups(weights, 4), np.log(4), unit="nats")
compare("three twins", bound_of_groups(np.zeros(3), 2), 0.0, unit="nats")
### END HIDDEN TESTS


# %% [markdown]
# ## 2.6 Whose fault? (4 points)
#
# An encoder saves outputs: it gives every image a mean $\mu$, but one number $s$ for all $d$ scales, so that its family is
# $q = \mathcal N(\mu, s^2 I)$, round instead of upright. The true posterior of an image is $\mathcal N(m, P^{-1})$ with the
# precision matrix $P$. Split the gap by (2.7), where $q^\star$ is the best of *this* family: return approximation and
# amortisation.
#
# What you need: for $\delta = \mu - m$,
# $\mathbb E_q\big[(z - m)^\top P\, (z - m)\big] = \delta^\top P\, \delta + s^2 \operatorname{tr} P$. Write the gap (1.3) as a function of
# $\delta$ and $s$, and find where it is least.


# %% tags=["task:fault"]
def faults(P, delta, s):
    """(approximation, amortisation) of q = N(m + delta, s² I) against N(m, P⁻¹). Nats, two numbers.

    P: [d, d], the precision of the true posterior; delta: [d], the error of q's mean; s > 0.
    """
    ### BEGIN SOLUTION
    d = len(delta)

    def gap(delta, variance):
        squares = delta @ P @ delta + variance * np.trace(P)
        return 0.5 * (squares - d - np.linalg.slogdet(P)[1] - d * np.log(variance))

    least = gap(np.zeros(d), d / np.trace(P))
    return least, gap(delta, s**2) - least
    ### END SOLUTION


# %% tags=["check:fault:4"]
def true_faults(model, x, mu, s):
    """(2.7) by climbing the closed-form bound over all round q."""
    d = len(mu)
    climbed = minimize(lambda v: -model.bound(v[:d], np.exp(v[d]), x)[0], np.zeros(d + 1), tol=1e-9)
    best, bound = -climbed.fun, model.bound(mu, np.full(d, s), x)[0]
    return np.array([model.log_evidence(x)[0] - best, best - bound])


def check_faults(name, D, d, off, s, seed):
    model = LinearGaussian.random(D, d, sigma_squared_min=0.3, seed=seed)
    x, _ = model.sample(num_samples=1, seed=seed + 1)
    centre, covariance = model.posterior(x)
    P, mu = np.linalg.inv(covariance), centre[0] + off
    true = true_faults(model, x, mu, s)

    def with_scale(scale):  # the split if this were the best scale
        least = model.kl_to_posterior(centre, np.full((1, d), scale), x)[0]
        return np.array([least, true.sum() - least])

    upright = model.kl_to_posterior(centre, 1 / np.sqrt(np.diag(P)), x)[0]
    marginal = np.sqrt(np.trace(covariance) / d)
    slips = {
        "First approximation, then amortisation.": true[::-1],
        "The second number is still the whole gap. (2.7) splits it.": true + [0, true[0]],
        "That is what an upright q* leaves. This family is smaller.": [
            upright,
            true.sum() - upright,
        ],
        "The spread of the true posterior is not the best s: where q is not in the family, q* is "
        "narrower. Take the derivative of the gap in s.": with_scale(marginal),
        "q* may choose its scale as well as its mean.": with_scale(s),
        "s is a standard deviation. The gap has the variance, s².": [
            true[0],
            model.kl_to_posterior([mu], np.full((1, d), np.sqrt(s)), x)[0] - true[0],
        ],
    }
    compare(name, faults(P, np.full(d, off), s), true, atol=1e-5, unit="nats", slips=slips)


check_faults("(approximation, amortisation)", D=6, d=3, off=0.2, s=0.5, seed=0)
### BEGIN HIDDEN TESTS
check_faults("the same in another model", D=9, d=5, off=-0.4, s=1.1, seed=3)
### END HIDDEN TESTS
