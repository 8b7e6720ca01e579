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

from cvae_tf import exercises, oracle
from cvae_tf.distributions import tfd
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
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_tilt(tilted_kl, seed):
    from cvae_tf import oracle

    rng = np.random.default_rng(seed)

    def true(mu, T):  # turned until it stands upright: a rotation leaves N(0, I) as it is
        variances, turn = np.linalg.eigh(T @ T.T)
        return oracle.kl_diagonal(turn.T @ mu, np.sqrt(variances), 0.0, 1.0)

    def a_case(d):
        tilt = np.tril(rng.normal(size=(d, d)), -1) + np.diag(rng.uniform(0.3, 2, d))
        return rng.normal(size=d), tilt

    def log_volume(T):
        return np.linalg.slogdet(T)[1]

    slips = {
        "T enters with its diagonal only. The tilt is in the other entries.": (
            lambda mu, T: true(mu, np.diag(np.diag(T)))
        ),
        "The covariance of q is T Tᵀ. You took T for it.": (
            lambda mu, T: true(mu, T) + (np.trace(T) - np.linalg.norm(T) ** 2) / 2
        ),
        "That is KL(N(0, I) ‖ q), the other way round.": (
            lambda mu, T: 0.5 * (np.linalg.norm(np.linalg.inv(T)) ** 2
                                 + np.linalg.norm(np.linalg.solve(T, mu)) ** 2 - len(mu))
            + log_volume(T)
        ),
        "The −1 in (2.4) is there once for every dimension.": (
            lambda mu, T: true(mu, T) + (len(mu) - 1) / 2
        ),
        "Look at the sign of the volume: a narrow q is far from the prior.": (
            lambda mu, T: true(mu, T) + 2 * log_volume(T)
        ),
        "Half of the logarithm of the volume is missing: it is log det T, not ½ log det T.": (
            lambda mu, T: true(mu, T) + log_volume(T) / 2
        ),
        "μ enters squared, as the sum of μ². You have the sum of μ.": (
            lambda mu, T: true(mu, T) + (np.sum(mu) - np.linalg.norm(mu) ** 2) / 2
        ),
    }  # fmt: skip
    terms = {
        "the square of q's mean": lambda mu, T: true(mu, T) - true(0 * mu, T),
        "the logarithm of the volume": lambda mu, T: -log_volume(T),
        "the dimensions' −d/2 (at q = N(0, I) a divergence is 0)": lambda mu, T: -len(mu) / 2,
        "the trace of the covariance": lambda mu, T: np.linalg.norm(T) ** 2 / 2,
    }
    edges = {
        "q is the prior itself": (np.zeros(3), np.eye(3)),
        "one scale is a thousandth and one a thousand": (np.ones(3), np.diag([1e-3, 1.0, 1e3])),
    }
    simpler = {
        "T is diagonal": lambda mu, T: (mu, np.diag(np.diag(T))),
        "μ is 0": lambda mu, T: (0 * mu, T),
        "the diagonal of T is 1": lambda mu, T: (mu, T / np.diag(T)[:, None]),
        "T is I": lambda mu, T: (mu, np.eye(len(mu))),
        "z has one dimension": lambda mu, T: (mu[:1], T[:1, :1]),
        "μ is 0 and T is diagonal": lambda mu, T: (0 * mu, np.diag(np.diag(T))),
    }
    _e.agree(
        "the KL of a tilted q", tilted_kl, true, [a_case(d) for d in (2, 4, 1, 3, 5, 2)],
        unit="nats", slips=slips, terms=terms, edges=edges, simpler=simpler,
    )


_check_tilt(tilted_kl, seed=0)
### BEGIN HIDDEN TESTS
_check_tilt(tilted_kl, seed=100)
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
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_mirror(varies_more, variances_of_two_draws, seed):
    from scipy.stats import norm

    from cvae_tf.oracle import LinearGaussian

    small, seen = LinearGaussian([[0.7], [1.1]], [0.0, 0.0], 0.8), np.array([[1.0, 0.4]])
    rng = np.random.default_rng(seed)

    def sgvb_a(shift, factor):
        (centre,), covariance = small.posterior(seen)
        s = np.sqrt(covariance.item())
        mu, sigma = centre + shift * s, factor * s

        def f(epsilon):
            z = mu + sigma * epsilon
            log_p = norm.logpdf(seen, np.outer(z, small.W), small.sigma).sum(-1)
            return log_p + norm.logpdf(z) - norm.logpdf(z, mu, sigma)

        return f

    def exact(f):
        """Of two fresh and two mirrored draws, by Gauss–Hermite quadrature."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(60)
        weights = weights / weights.sum()
        centred = f(nodes) - weights @ f(nodes)
        return np.array(
            [weights @ centred**2 / 2, weights @ ((centred + centred[::-1]) / 2) ** 2]
        )  # the nodes are symmetric

    def polynomial(a, b, c):
        return lambda epsilon: a + b * epsilon + c * epsilon**2

    def wave(a, phase):
        return lambda epsilon: a * np.sin(2 * epsilon + phase)

    cases = [(sgvb_a(1.5, 1.0),), (sgvb_a(0.0, 1.5),), (sgvb_a(-0.8, 1.3),)]
    cases += [(polynomial(*rng.normal(size=3)),) for _ in range(4)]
    cases += [(wave(rng.uniform(1, 3), phase),) for phase in rng.uniform(0, 3, 4)]

    def measured(f, unit=True):  # beside the greater of the true variances
        values = variances_of_two_draws(f, np.random.default_rng(seed).standard_normal(100_000))
        _e.require(np.shape(values) == (2,), "Return two numbers: the fresh variance, the mirrored.")
        return list(np.asarray(values, "float64") / exact(f).max())

    def true(f):
        return list(exact(f) / exact(f).max())

    slips = {
        "Those are standard deviations, in nats. A variance is the square.": (
            lambda f: list(np.sqrt(exact(f)) / exact(f).max())
        ),
        "First the fresh variance, then the mirrored one.": lambda f: true(f)[::-1],
        "An average of two is half of their sum: you have the sum, twice.": (
            lambda f: [4 * v for v in true(f)]
        ),
        "An average of two is half of their sum: your fresh draws are only added.": (
            lambda f: [4 * true(f)[0], None]
        ),
        "An average of two is half of their sum: your mirrored draws are only added.": (
            lambda f: [None, 4 * true(f)[1]]
        ),
        "Your first is the variance of one draw. The average of two fresh ones varies less.": (
            lambda f: [2 * true(f)[0], None]
        ),
        "Your second is what two fresh draws have. The two of a mirrored pair are not independent.": (
            lambda f: [None, true(f)[0]]
        ),
        "Your second is the variance of one draw: where does −ε come in?": (
            lambda f: [None, 2 * true(f)[0]]
        ),
        "Your second is what two mirrored draws have, halved: they are averaged once.": (
            lambda f: [None, true(f)[1] / 2]
        ),
        "Your second is the variance of the pair's sum, halved. Half of a sum has a quarter of it.": (
            lambda f: [None, 2 * true(f)[1]]
        ),
        "Your second is half the variance of the difference of the pair, not of its average.": (
            lambda f: [None, 2 * (true(f)[0] * 2 - true(f)[1])]
        ),
        "Your second has f(ε) − f(−ε): the values of the pair are averaged, not subtracted.": (
            lambda f: [None, true(f)[0] * 2 - true(f)[1]]
        ),
        "Your first is what the mirrored draws have. Fresh ones come from other entries of ε.": (
            lambda f: [true(f)[1], None]
        ),
    }
    _e.agree(
        "measured variances, beside the greater", measured, true, cases, atol=0.1,
        parts=("fresh", "mirrored"), slips=slips,
    )  # fmt: skip
    guesses = varies_more()
    for name, q in {"moved": (1.5, 1.0), "wide": (0.0, 1.5)}.items():
        fresh, mirrored = np.round(exact(sgvb_a(*q)), 9)
        _e.require(
            isinstance(guesses, dict) and guesses.get(name) in ("fresh", "mirrored", "neither"),
            f'The prediction for "{name}" should be "fresh", "mirrored" or "neither".',
        )
        _e.require(
            guesses[name] == ("fresh" if fresh > mirrored else "mirrored"),
            f'{name}: you predicted "{guesses[name]}", but fresh draws give {fresh:.3g} nats² and '
            f"mirrored ones {mirrored:.3g}. What is f(ε) + f(−ε) if f is odd, and what if it is even?",
        )
        print(f"{name}: fresh {fresh:.3f}, mirrored {mirrored:.3f} nats², as you predicted.")


_check_mirror(varies_more, variances_of_two_draws, seed=0)
### BEGIN HIDDEN TESTS
_check_mirror(varies_more, variances_of_two_draws, seed=100)
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
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_shrink(mended, seed):
    import tensorflow as tf
    from scipy.stats import norm
    from tensorflow_probability import distributions as tfd

    from cvae_tf.oracle import LinearGaussian

    rng = np.random.default_rng(seed)

    def densities(W, x):
        def log_joint(z):
            log_p_x_given_z = tfd.Normal(z @ tf.transpose(tf.constant(W)), 0.5).log_prob(x)
            log_p_z = tfd.Normal(tf.zeros([], "float64"), 1.0).log_prob(z)
            return tf.reduce_sum(log_p_x_given_z, -1) + tf.reduce_sum(log_p_z, -1)

        return log_joint

    def values_and_slopes(W, x, mu, sigma, epsilon):
        mu, sigma, epsilon = (tf.constant(v, "float64") for v in (mu, sigma, epsilon))
        with tf.GradientTape() as tape:
            tape.watch([mu, sigma])
            values = mended(densities(W, x), mu, sigma, epsilon)
            _e.require(values is not None, "There is no value. Does your function end in a return?")
            values = tf.convert_to_tensor(values)
            shape = tuple(values.shape)
            _e.require(
                shape == (len(epsilon),), f"One value for each draw: [{len(epsilon)}], not {shape}."
            )
            mean = tf.reduce_mean(values)
        slopes = tape.gradient(mean, [mu, sigma], unconnected_gradients="zero")
        return values.numpy(), np.concatenate(slopes)

    def yours(W, x, mu, sigma, epsilon):
        d = len(mu)
        points = np.sqrt(d) * np.vstack([np.eye(d), -np.eye(d)])  # (1.5): exact for quadratics
        values, _ = values_and_slopes(W, x, mu, sigma, epsilon)
        return values, values_and_slopes(W, x, mu, sigma, points)[1]

    def joint_and_q(W, x, mu, sigma, epsilon):
        z = mu + sigma * epsilon
        joint = norm.logpdf(x, z @ W.T, 0.5).sum(-1) + norm.logpdf(z).sum(-1)
        return joint, norm.logpdf(z, mu, sigma).sum(-1)

    def bound_slopes(W, x, mu, sigma, h=1e-5):
        """The closed-form bound's slopes in (μ, σ), by differences. [2d]."""
        model, at = LinearGaussian(W, np.zeros(len(W)), 0.5), np.concatenate([mu, sigma])
        sides = [[at + sign * h * e for e in np.eye(len(at))] for sign in (1, -1)]
        up, down = ([model.bound(*np.split(v, 2), x)[0] for v in side] for side in sides)
        return np.subtract(up, down) / (2 * h)

    def true(W, x, mu, sigma, epsilon):
        joint, q = joint_and_q(W, x, mu, sigma, epsilon)
        return joint - q, bound_slopes(W, x, mu, sigma)

    def a_case(D, d):
        W, _ = np.linalg.qr(rng.normal(size=(D, d)))  # orthogonal columns: an upright posterior
        W = W * rng.uniform(0.5, 1.5, d)
        noise = rng.normal(size=(d + 3, d))
        return W, rng.normal(size=(1, D)), rng.normal(size=d), rng.uniform(0.4, 1.3, d), noise

    def with_q(change):
        def values(*case):
            joint, q = joint_and_q(*case)
            return change(joint, q, len(case[2])), None

        return values

    no_q = "Each draw's value has its own log q: you took one number for all draws."
    slips = {
        "The sign: the bound is log p(x, z) − log q(z|x).": with_q(lambda joint, q, d: q - joint),
        "log q is added. The bound is log p(x, z) − log q(z|x).": with_q(lambda j, q, d: j + q),
        "log q is missing: that is log p(x, z) alone.": with_q(lambda j, q, d: j),
        no_q: with_q(lambda j, q, d: j - q.mean()),
        "Each draw's value has its own log q: you subtracted the sum over all draws.": with_q(
            lambda j, q, d: j - q.sum()
        ),
        "log q is a sum over the dimensions of z, and yours is a mean.": with_q(
            lambda j, q, d: j - q / d
        ),
        "Both parameters are deaf: the draw itself must keep its path to μ and σ.": lambda *c: (
            None, np.zeros(2 * len(c[2]))
        ),
        "Right for μ; but σ is not told that a wide q has a large entropy. Through which thread "
        "does it hear of that?": lambda *c: (
            None, true(*c)[1] - np.concatenate([np.zeros(len(c[2])), 1 / c[3]])
        ),
        "The draw is detached, so that log p(x, z) tells neither μ nor σ anything.": lambda *c: (
            None, np.concatenate([np.zeros(len(c[2])), 1 / c[3]])
        ),
        "μ is deaf: the draw must keep its path to it.": lambda *c: (
            None, true(*c)[1] * (np.arange(2 * len(c[2])) >= len(c[2]))
        ),
        "σ is deaf: the draw must keep its path to it.": lambda *c: (
            None, true(*c)[1] * (np.arange(2 * len(c[2])) < len(c[2]))
        ),
    }  # fmt: skip
    cases = [a_case(*size) for size in ((3, 2), (2, 1), (5, 3), (4, 2))]
    _e.agree(
        "SGVB-A", yours, true, cases, atol=2e-5, slips=slips,
        parts=("its value for each draw", "the gradient of their mean in (μ, σ)"),
    )  # fmt: skip
    for W, x, *_ in cases:
        centre, covariance = LinearGaussian(W, np.zeros(len(W)), 0.5).posterior(x)
        for draw in rng.standard_normal((3, 1, len(centre[0]))):
            at_posterior = centre[0], np.sqrt(np.diag(covariance)), draw
            _, gradient = values_and_slopes(W, x, *at_posterior)
            _e.require(
                np.abs(gradient) < 1e-9,
                "The mean is right, but a single draw at the true posterior still has a gradient. "
                "Which part of it has mean zero, and could be cut?",
            )


_check_shrink(mended, seed=0)
### BEGIN HIDDEN TESTS
_check_shrink(mended, seed=100)
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
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_step(step, seed):
    from scipy.stats import norm

    rng = np.random.default_rng(seed)

    def total(w, a, x, epsilon, s):  # estimator_b's sum, term by term
        z = a * x + s * epsilon
        fit, cost = norm.logpdf(x, w * z, 1.0), 0.5 * (s**2 + (a * x) ** 2 - 1 - np.log(s**2))
        return fit.sum() - cost.sum()

    def slopes(w, a, *rest):
        """∂/∂w and ∂/∂a of the batch's sum by differences, exact here: it is quadratic in each."""
        by_w = total(w + 0.5, a, *rest) - total(w - 0.5, a, *rest)
        return np.array([by_w, total(w, a + 0.5, *rest) - total(w, a - 0.5, *rest)])

    def moved(factor):  # (w, a) after a step of `factor` times the batch's slopes
        def at(w, a, x, epsilon, s, N, rate):
            return list(
                np.array([w, a]) + rate * factor(N, len(x)) * slopes(w, a, x, epsilon, s)
            )

        return at

    true = moved(lambda N, M: N / M)

    def pull(w, a, x, epsilon, s, N, rate):  # of the divergence, on a
        return 0.0, -rate * N / len(x) * np.sum(a * x**2)

    def by_path(w, a, x, epsilon, s, N, rate):  # of the reconstruction on a, through z
        after = true(w, a, x, epsilon, s, N, rate)
        return 0.0, after[1] - a - pull(w, a, x, epsilon, s, N, rate)[1]

    def late(w, a, x, epsilon, s, N, rate):
        after = true(w, a, x, epsilon, s, N, rate)[0]
        return after, true(after, a, x, epsilon, s, N, rate)[1]

    def early(w, a, x, epsilon, s, N, rate):
        after = true(w, a, x, epsilon, s, N, rate)[1]
        return true(w, after, x, epsilon, s, N, rate)[0], after

    def a_case(M, N):
        w, a = rng.normal(size=2)
        return w, a, 1.5 * rng.standard_normal(M), rng.standard_normal(M), rng.uniform(0.2, 1), N, 0.01

    slips = {
        "That is downhill. The bound is to be raised.": moved(lambda N, M: -N / M),
        "That is the minibatch's sum. (2.5) counts each image for N / M images.": moved(
            lambda N, M: 1
        ),
        "N / M is upside down: each image of the minibatch stands for N / M of all.": moved(
            lambda N, M: M / N
        ),
        "That is the mean per example, 1 / N of (2.5).": moved(lambda N, M: 1 / M),
        "N / M of the mean is M times too little: (2.5) has a sum.": moved(lambda N, M: N / M / M),
        "N times the sum: (2.5) has N / M in front of the minibatch's sum.": moved(lambda N, M: N),
        "Those are the gradients themselves. Return w and a after the step.": lambda *c: [
            (after - before) / c[6] for after, before in zip(true(*c), c[:2], strict=True)
        ],
        "Those are the changes. Return w and a after the step.": lambda *c: [
            after - before for after, before in zip(true(*c), c[:2], strict=True)
        ],
        "Both gradients belong to the w before the step.": late,
        "Both gradients belong to the a before the step.": early,
        "`rate` is missing: the step is `rate` times the gradient.": lambda w, a, x, e, s, N, r: (
            true(w, a, x, e, s, N, 1.0)
        ),
        "a has not heard of ε: z is ax + sε, not ax, in its gradient.": lambda w, a, x, e, s, N, r: (
            None, true(w, a, x, 0 * e, s, N, r)[1]
        ),
        "w has not heard of ε: z is ax + sε, not ax, in its gradient.": lambda w, a, x, e, s, N, r: (
            true(w, a, x, 0 * e, s, N, r)[0], None
        ),
        "w has stayed where it was.": lambda *c: (c[0], None),
        "a has stayed where it was.": lambda *c: (None, c[1]),
    }  # fmt: skip
    terms = {
        "the divergence": pull,
        "the reconstruction, which reaches a through z,": by_path,
        "w's gradient": lambda *c: (true(*c)[0] - c[0], 0.0),
        "what x has to say, Σ xz,": lambda w, a, x, e, s, N, r: (
            r * N / len(x) * np.sum(x * (a * x + s * e)), 0.0
        ),
        "Σ wx²,": lambda w, a, x, e, s, N, r: (
            0.0, r * N / len(x) * np.sum(w * x**2)
        ),
    }  # fmt: skip
    simpler = {
        "the minibatch is all there is, N = M": lambda w, a, x, e, s, N, r: (
            w, a, x, e, s, len(x), r
        ),
        "there is no noise, ε = 0": lambda w, a, x, e, s, N, r: (w, a, x, 0 * e, s, N, r),
        "s is 1": lambda w, a, x, e, s, N, r: (w, a, x, e, 1.0, N, r),
        "w is 0": lambda w, a, x, e, s, N, r: (0.0, a, x, e, s, N, r),
        "a is 0": lambda w, a, x, e, s, N, r: (w, 0.0, x, e, s, N, r),
        "w and a are 1": lambda w, a, x, e, s, N, r: (1.0, 1.0, x, e, s, N, r),
        "the minibatch is one image": lambda w, a, x, e, s, N, r: (w, a, x[:1], e[:1], s, N, r),
        "the minibatch is one image of one": lambda w, a, x, e, s, N, r: (
            w, a, x[:1], e[:1], s, 1, r
        ),
        "w is 0 and ε = 0": lambda w, a, x, e, s, N, r: (0.0, a, x, 0 * e, s, N, r),
    }  # fmt: skip
    edges = {
        "the minibatch is all there is": a_case(3, 3),
        "the minibatch is one image": a_case(1, 50),
    }
    sizes = ((5, 40), (3, 1000), (4, 7), (2, 90), (6, 30))
    _e.agree(
        "(w, a) after a step", step, true, [a_case(*size) for size in sizes], parts=("w", "a"),
        slips=slips, terms=terms, simpler=simpler, edges=edges,
    )  # fmt: skip


_check_step(step, seed=0)
### BEGIN HIDDEN TESTS
_check_step(step, seed=100)
### END HIDDEN TESTS


# %% [markdown]
# ## 2.5 All the groups of K (2 points)
#
# The lesson cuts 256 weights into groups of $K$ side by side. That wastes some: any $K$ different draws of the $S$
# are a group as good. With $S$ small you can afford **all of them**. Estimate $\mathcal L_K$ (2.6) as the average
# over every group of $K$ different draws, each group counted once; `itertools.combinations(range(S), K)` lists
# them. You are given $\log w_k = \log p(x, z_k) - \log q(z_k \mid x)$, which may lie at −2,000 nats, or be −∞
# for a draw that cannot have made $x$. (`logsumexp` is imported.)


# %% tags=["task:groups"]
def bound_of_groups(log_w, K):
    """L_K (2.6), averaged over all groups of K of the draws. log_w: [S], S ≤ 12. A number, nats."""
    ### BEGIN SOLUTION
    groups = np.array(list(itertools.combinations(log_w, K)))
    return np.mean(logsumexp(groups, axis=1) - np.log(K))
    ### END SOLUTION


# %% tags=["check:groups:2"]
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_groups(bound_of_groups, seed):
    import itertools
    import math

    rng = np.random.default_rng(seed)

    def over(choose, K, log_w):  # the mean over groups of positions of the logarithm of the mean
        groups = list(choose(range(len(log_w)), K))
        logs = [np.logaddexp.reduce([log_w[i] for i in g]) - math.log(K) for g in groups]
        return sum(logs) / len(logs)

    def true(log_w, K):
        return over(itertools.combinations, K, log_w)

    def with_itself(log_w, K):
        return over(lambda r, k: itertools.product(r, repeat=k), K, log_w)

    def side_by_side(log_w, K):
        return over(lambda r, k: zip(*[iter(r)] * k, strict=False), K, log_w)

    def all_inside(log_w, K):
        return np.logaddexp.reduce(log_w) - math.log(len(log_w))

    slips = {
        "Too high by log K: (2.6) has an average of K weights in the logarithm.": (
            lambda log_w, K: true(log_w, K) + math.log(K)
        ),
        "Too low by log K: the average inside the logarithm is taken twice.": (
            lambda log_w, K: true(log_w, K) - math.log(K)
        ),
        "A mean of logarithms is L_1. In (2.6) the K weights are averaged first.": (
            lambda log_w, K: np.mean(log_w)
        ),
        "That averages all draws inside the logarithm. Inside are K; the groups are averaged "
        "outside.": all_inside,
        "Every group takes K different draws: no draw stands beside itself.": with_itself,
        "Those are the groups side by side. All groups of K are asked for.": side_by_side,
        "An average over the groups, not their sum.": (
            lambda log_w, K: true(log_w, K) * math.comb(len(log_w), K)
        ),
        "Inside the logarithm are all groups' weights: average the groups outside.": (
            lambda log_w, K: all_inside(log_w, K) + math.log(math.comb(len(log_w), K))
        ),
        "The group's greatest weight is no average of its weights.": lambda log_w, K: np.mean(
            [max(g) for g in itertools.combinations(log_w, K)]
        ),
        "That is the sum of each group's logarithms.": lambda log_w, K: K * np.mean(log_w),
        "One value for all groups: their average.": lambda log_w, K: [
            np.logaddexp.reduce(g) - math.log(K) for g in itertools.combinations(log_w, K)
        ],
        "One value for all groups: their average.  Nor is anything averaged inside.": (
            lambda log_w, K: [np.logaddexp.reduce(g) for g in itertools.combinations(log_w, K)]
        ),
        "You divide by the number of draws, S, where the group has K.": lambda log_w, K: (
            true(log_w, K) + math.log(K) - math.log(len(log_w))
        ),
        "The logarithm of K is left out of the logarithm: subtract log K, not K.": (
            lambda log_w, K: true(log_w, K) + math.log(K) - K
        ),
        "log K is added. An average of K divides by K.": (
            lambda log_w, K: true(log_w, K) + 2 * math.log(K)
        ),
    }  # fmt: skip
    simpler = {
        "K is 1": lambda log_w, K: (log_w, 1),
        "all draws make one group, K = S": lambda log_w, K: (log_w, len(log_w)),
        "all weights are 1": lambda log_w, K: (0 * log_w, K),
    }
    cases = [(rng.normal(-3, 2, S), K) for S, K in ((3, 2), (5, 3), (6, 2), (4, 4), (7, 5), (4, 1))]
    far = rng.permutation([0.0, -1000.0, -1001.0, -3000.0])
    edges = {
        "two draws have the same weight": (np.log([1.0, 1.0, 4.0]), 2),
        "all weights are alike": (np.zeros(4), 3),
        "all of it lies 2,000 nats lower": (cases[0][0] - 2000, 2),
        "the weights lie a thousand nats apart": (far, 2),
        "the weights lie a thousand nats apart, K = 3": (far, 3),
        "one weight is zero, its logarithm −∞": (np.array([-1.0, -np.inf, -2.0]), 2),
        "there is one draw": (np.array([-3.5]), 1),
        "all draws make one group": (rng.normal(size=5), 5),
    }
    with np.errstate(divide="ignore"):
        _e.agree(
            "L_K", bound_of_groups, true, cases, unit="nats", slips=slips, edges=edges,
            simpler=simpler,
        )  # fmt: skip


_check_groups(bound_of_groups, seed=0)
### BEGIN HIDDEN TESTS
_check_groups(bound_of_groups, seed=100)
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
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_fault(faults, seed):
    from scipy.optimize import minimize_scalar

    rng = np.random.default_rng(seed)

    def kl(P, delta, scales):  # from N(m + δ, diag scales²) to N(m, P⁻¹), by eigenvalues
        root = np.linalg.cholesky(P).T * scales  # of the covariance seen from the posterior
        squares = np.linalg.svd(root, compute_uv=False) ** 2
        return 0.5 * np.sum(squares - 1 - np.log(squares)) + 0.5 * sum(
            P[i, j] * delta[i] * delta[j] for i in range(len(P)) for j in range(len(P))
        )

    def split(P, delta, s, least):
        whole = kl(P, delta, np.full(len(P), s))
        return least, whole - least

    def true(P, delta, s):  # the best round q by search
        d = len(P)
        found = minimize_scalar(
            lambda v: kl(P, np.zeros(d), np.full(d, np.exp(v))), bounds=(-12, 12),
            method="bounded", options={"xatol": 1e-9},
        )  # fmt: skip
        return split(P, delta, s, found.fun)

    def with_scales(scales):
        return lambda P, delta, s: split(P, delta, s, kl(P, 0 * delta, scales(P, s)))

    def whole(P, delta, s):
        return sum(true(P, delta, s))

    def squares_of(form):  # another number in the place of δᵀPδ
        return lambda P, delta, s: (
            None, true(P, delta, s)[1] + 0.5 * (form(P, delta) - delta @ P @ delta)
        )  # fmt: skip

    def turned(P, delta, s):
        C = np.linalg.inv(P)
        return 0.5 * (np.trace(C) / s**2 + delta @ delta / s**2 - len(P)
                      - np.linalg.slogdet(C)[1] + 2 * len(P) * np.log(s))  # fmt: skip

    slips = {
        "First approximation, then amortisation.": lambda *c: true(*c)[::-1],
        "The second number is still the whole gap. (2.7) splits it.": lambda *c: (None, whole(*c)),
        "The first number is the whole gap. (2.7) splits it.": lambda *c: (whole(*c), None),
        "That is what an upright q* leaves. This family is smaller.": with_scales(
            lambda P, s: 1 / np.sqrt(np.diag(P))
        ),
        "The spread of the true posterior is not the best s: where that is not in the family, q* is "
        "narrower. Take the derivative of the gap in s.": with_scales(
            lambda P, s: np.full(len(P), np.sqrt(np.trace(np.linalg.inv(P)) / len(P)))
        ),
        "q* may choose its scale as well as its mean.": with_scales(
            lambda P, s: np.full(len(P), s)
        ),
        "s is a standard deviation. The gap has the variance, s².": lambda P, delta, s: (
            None, kl(P, delta, np.full(len(P), np.sqrt(s))) - true(P, delta, s)[0]
        ),
        "δᵀPδ has all entries of P: yours adds P's rows up, times δ².": squares_of(
            lambda P, delta: np.sum(P @ delta**2)
        ),
        "δᵀPδ has all entries of P: yours has its diagonal alone.": squares_of(
            lambda P, delta: np.diag(P) @ delta**2
        ),
        "δᵀPδ weighs the error by P: yours has δᵀδ.": squares_of(lambda P, delta: delta @ delta),
        "δᵀPδ weighs the error by P once. You have P twice.": squares_of(
            lambda P, delta: delta @ P @ P @ delta
        ),
        "P is the precision: yours takes it for the covariance.": lambda P, delta, s: true(
            np.linalg.inv(P), delta, s
        ),
        "That is the divergence turned round. The gap is KL(q ‖ p(z|x)).": lambda P, delta, s: (
            None, turned(P, delta, s) - true(P, delta, s)[0]
        ),
    }  # fmt: skip
    terms = {
        "the error of the mean, δᵀPδ/2,": lambda P, delta, s: (0.0, delta @ P @ delta / 2),
        "the volume of the true posterior, log det P,": lambda P, delta, s: (
            -np.linalg.slogdet(P)[1] / 2, -np.linalg.slogdet(P)[1] / 2
        ),
        "−d/2": lambda P, delta, s: (-len(P) / 2, -len(P) / 2),
        "the volume of q, −d log s,": lambda P, delta, s: (0.0, -len(P) * np.log(s)),
        "the trace, s² tr P / 2,": lambda P, delta, s: (0.0, s**2 * np.trace(P) / 2),
        "the volume of q*": lambda P, delta, s: (
            -len(P) / 2 * np.log(len(P) / np.trace(P)), len(P) / 2 * np.log(len(P) / np.trace(P))
        ),
    }  # fmt: skip
    simpler = {
        "δ is 0": lambda P, delta, s: (P, 0 * delta, s),
        "P is a number times I": lambda P, delta, s: (
            np.eye(len(P)) * np.trace(P), delta, s
        ),
        "P is I": lambda P, delta, s: (np.eye(len(P)), delta, s),
        "P is diagonal": lambda P, delta, s: (np.diag(np.diag(P)), delta, s),
        "z has one dimension": lambda P, delta, s: (P[:1, :1], delta[:1], s),
        "s is 1": lambda P, delta, s: (P, delta, 1.0),
        "P is I and s is 1": lambda P, delta, s: (np.eye(len(P)), delta, 1.0),
        "P is I and δ is 0": lambda P, delta, s: (np.eye(len(P)), 0 * delta, s),
    }  # fmt: skip

    def a_case(d):
        A = rng.normal(size=(d, d + 2))
        return A @ A.T / d + 0.2 * np.eye(d), rng.normal(size=d), rng.uniform(0.2, 1.5)

    P, delta, _ = a_case(3)
    edges = {
        "z has one dimension": a_case(1),
        "the mean is right, δ = 0": (P, 0 * delta, 0.7),
        "the true posterior is round": (2.5 * np.eye(3), delta, 0.7),
        "q is the best of its family": (P, 0 * delta, np.sqrt(3 / np.trace(P))),
        "s is very small": (P, delta, 1e-3),
    }
    _e.agree(
        "faults", faults, true, [a_case(d) for d in (3, 2, 5, 4, 3)], unit="nats",
        parts=("approximation", "amortisation"), slips=slips, terms=terms, simpler=simpler,
        edges=edges,
    )  # fmt: skip


_check_fault(faults, seed=0)
### BEGIN HIDDEN TESTS
_check_fault(faults, seed=100)
### END HIDDEN TESTS
