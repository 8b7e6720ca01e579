# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercises 11 · Where this leads
#
# Six tasks on lesson 11, seventeen points. In each, put your code in the place of the line that raises an error, then
# run the check below it: it prints your value beside the true one, or says what is wrong. No task needs another. NumPy
# is enough, and nothing is trained.

# %%
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import norm

from cvae_tf import exercises  # remembers what NumPy was like

# %% [markdown]
# ## 11.1 Is this the true z? (2 points)
#
# iVAE finds the true $z$ up to the order of its coordinates and a change of each. So compare what was found with the
# truth like this: match every found coordinate with a true one, no true one twice, such that the mean of the
# correlations' absolute values is as large as it can be. This largest mean is the mean correlation coefficient. The
# lesson's function does it for two latents; write it for $k$. (`linear_sum_assignment` of SciPy is imported. It finds
# the best matching, if you tell it what "best" means.)


# %% tags=["task:mcc"]
def mean_correlation(found, z):
    """found, z: [N, k], a row for each example. Returns a number between 0 and 1."""
    ### BEGIN SOLUTION
    k = z.shape[1]
    alike = np.abs(np.corrcoef(found, z, rowvar=False)[:k, k:])
    return alike[linear_sum_assignment(alike, maximize=True)].mean()
    ### END SOLUTION


# %% tags=["check:mcc:2"]
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_mcc(mean_correlation, seed):
    import itertools

    rng = np.random.default_rng(seed)

    def correlations(found, z):  # [k, k], signed
        found, z = found - found.mean(0), z - z.mean(0)
        covariance = np.array([[a @ b for b in z.T] for a in found.T])
        return covariance / np.sqrt(np.outer((found**2).sum(0), (z**2).sum(0)))

    def matched(c, chosen, shown=None):  # the mean of `shown` at the matching of c that is chosen
        k = range(len(c))
        orders = list(itertools.permutations(k))
        order = chosen(orders, key=lambda o: sum(c[i, o[i]] for i in k))
        return np.mean([(c if shown is None else shown)[i, order[i]] for i in k])

    def true(found, z):
        return matched(np.abs(correlations(found, z)), max)

    def linear(found, z):  # multiple correlation: any linear map of all that was found
        columns = np.column_stack([found, np.ones(len(found))])
        fitted = columns @ np.linalg.lstsq(columns, z, rcond=None)[0]
        return np.mean(np.sqrt(fitted.var(0) / z.var(0)))

    def of(reduce):
        return lambda found, z: reduce(np.abs(correlations(found, z)))

    slips = {
        "A coordinate may be found with its sign turned: take the absolute values first.": (
            lambda *c: matched(correlations(*c), max)
        ),
        "Take the absolute values before the matching, not after it.": lambda *c: matched(
            correlations(*c), max, np.abs(correlations(*c))
        ),
        "The order is not known: you match the first with the first, the second with the second.": (
            of(lambda c: np.trace(c) / len(c))
        ),
        "That is the worst matching: `linear_sum_assignment` looks for the least sum unless told.": of(
            lambda c: matched(c, min)
        ),
        "In yours two found coordinates may claim the same true one.": of(lambda c: c.max(1).mean()),
        "In yours a found coordinate may serve for two true ones.": of(lambda c: c.max(0).mean()),
        "You average over all pairs; only those that are matched count.": of(np.mean),
        "That is the one best pair. Every coordinate counts.": of(np.max),
        "Those are squared correlations.": lambda *c: matched(correlations(*c) ** 2, max),
        "That is the sum over the coordinates. The mean is asked for.": lambda found, z: (
            true(found, z) * z.shape[1]
        ),
        "You allow any linear map of what was found: that asks less than a matching does.": linear,
        "You make the worst pair of the matching as good as can be, and return it. The mean is "
        "meant, in both places.": of(
            lambda c: max(min(c[i, o[i]] for i in range(len(c)))
                          for o in itertools.permutations(range(len(c))))
        ),
    }  # fmt: skip
    simpler = {
        "there is one latent": lambda found, z: (found[:, :1], z[:, :1]),
        "what was found is the truth": lambda found, z: (z, z),
        "the coordinates are in order and their signs right": lambda found, z: (z + 0.01 * found, z),
        "there are two latents": lambda found, z: (found[:, :2], z[:, :2]),
    }
    unchanged = {
        "a found coordinate has the other sign": lambda found, z: (
            found * np.where(np.arange(found.shape[1]) == 0, -1, 1), z
        ),
        "the found coordinates come in another order": lambda found, z: (found[:, ::-1], z),
        "what was found is measured in other units": lambda found, z: (5 * found, z),
        "what was found is moved": lambda found, z: (found + 3, z),
    }  # fmt: skip

    def a_case(N, k, noise):  # each found coordinate: another true one, mixed with the rest
        z = rng.normal(size=(N, k)) * rng.uniform(0.5, 2, k) + rng.normal(size=k)
        mixed = rng.normal(size=(k, k)) + 2 * rng.choice([-1, 1], k) * np.eye(k)[rng.permutation(k)]
        return z @ mixed + noise * rng.normal(size=(N, k)), z

    _, z = a_case(40, 3, 0)
    quarter = np.array([[1.0, -1.0], [1.0, 1.0]])
    edges = {
        "there is one latent": a_case(30, 1, 1.0),
        "what was found is the truth": (z, z),
        "the signs are turned": (-z, z),
        "the order is turned": (z[:, ::-1] * np.array([1.0, -2.0, 3.0]), z),
        "what was found is turned by 45 degrees": (z[:, :2] @ quarter, z[:, :2]),
        "two found coordinates are the same": (z[:, [0, 0, 1]] + 0.0, z),
        "there are as many examples as latents and one": (rng.normal(size=(4, 3)), z[:4]),
        "what was found is far from 0": (1e3 + z @ rng.normal(size=(3, 3)), z),
    }
    sizes = ((50, 4, 1.0), (30, 3, 0.5), (20, 5, 2.0), (60, 2, 1.0), (25, 3, 0.1), (40, 4, 3.0))
    _e.agree(
        "the MCC", mean_correlation, true, [a_case(*size) for size in sizes], slips=slips,
        edges=edges, simpler=simpler, unchanged=unchanged,
    )  # fmt: skip


_check_mcc(mean_correlation, seed=0)
### BEGIN HIDDEN TESTS
_check_mcc(mean_correlation, seed=100)
### END HIDDEN TESTS


# %% [markdown]
# ## 11.2 What two levels cost (3 points)
#
# Take (11.2) with one number on each level, without $y$, and all Gaussian:
#
# $$ q(z_2 \mid x) = \mathcal N(m, s^2), \quad q(z_1 \mid z_2, x) = \mathcal N(a z_2 + b,\, r^2), \qquad
# p(z_2) = \mathcal N(0, 1), \quad p(z_1 \mid z_2) = \mathcal N(c z_2 + d,\, t^2) . $$
#
# Return both KL terms of (11.2), as closed forms: that of the upper level, and that of the lower level, which has an
# expectation under $q(z_2 \mid x)$ in front. You need $\mathbb E[u^2] = \mathbb E[u]^2 + \operatorname{Var}[u]$.


# %% tags=["task:levels"]
def two_levels(m, s, a, b, r, c, d, t):
    """Eight numbers; s, r and t are standard deviations. Returns (upper, lower), nats."""
    ### BEGIN SOLUTION
    upper = 0.5 * (s**2 + m**2 - 1) - np.log(s)
    apart = ((a - c) * m + b - d) ** 2 + ((a - c) * s) ** 2
    return upper, 0.5 * ((r**2 + apart) / t**2 - 1) + np.log(t / r)
    ### END SOLUTION


# %% tags=["check:levels:3"]
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_levels(two_levels, seed):
    from scipy.stats import norm

    rng = np.random.default_rng(seed)
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)  # exact for quadratics
    weights = weights / weights.sum()

    def mean(f, centre, scale):  # of f under N(centre, scale²)
        return sum(w * f(centre + scale * node) for w, node in zip(weights, nodes, strict=True))

    def kl(one, scale, other, width):  # N(one, scale²) against N(other, width²), by quadrature
        return mean(lambda z: norm.logpdf(z, one, scale) - norm.logpdf(z, other, width), one, scale)

    def upper(m, s):
        return kl(m, s, 0, 1)

    def lower(m, s, a, b, r, c, d, t):
        return mean(lambda z2: kl(a * z2 + b, r, c * z2 + d, t), m, s)

    def true(m, s, *rest):
        return upper(m, s), lower(m, s, *rest)

    def other_lower(f):  # a slip in the second part; the first may be anything
        return lambda *case: (None, f(*case))

    def other_upper(f):
        return lambda m, s, *rest: (f(m, s), None)

    slips = {
        "In yours z₂ stands at its mean in the lower level; its spread counts too.": other_lower(
            lambda m, s, *rest: lower(m, 0, *rest)
        ),
        "In the lower level z₂ comes from q(z₂|x), in yours it comes from p(z₂).": other_lower(
            lambda m, s, *rest: lower(0, 1, *rest)
        ),
        "In yours z₂ is 0 in the lower level.": other_lower(lambda m, s, *rest: lower(0, 0, *rest)),
        "The lower level is compared with p(z₁|z₂). You take p(z₁), without z₂.": other_lower(
            lambda m, s, a, b, r, c, d, t: lower(m, s, a, b, r, 0, d, np.hypot(c, t))
        ),
        "You compare q(z₁|x) with p(z₁): the lower level's KL divergence is given z₂, on both sides.": (
            other_lower(lambda m, s, a, b, r, c, d, t: kl(
                a * m + b, np.hypot(a * s, r), d, np.hypot(c, t)))
        ),
        "The lower level's KL divergence is the other way round (q comes first), or r and t have "
        "changed places.": other_lower(
            lambda m, s, a, b, r, c, d, t: lower(m, s, c, d, t, a, b, r)
        ),
        "The upper level's KL divergence is the other way round: q comes first.": other_upper(
            lambda m, s: kl(0, 1, m, s)
        ),
        "s is a standard deviation; you took it for a variance.": lambda m, s, *rest: true(
            m, np.sqrt(s), *rest
        ),
        "s is a standard deviation; you took it for a variance in the upper level.": other_upper(
            lambda m, s: upper(m, np.sqrt(s))
        ),
        "s is a standard deviation; you took it for a variance in the lower level.": other_lower(
            lambda m, s, *rest: lower(m, np.sqrt(s), *rest)
        ),
        "r and t are standard deviations; you took them for variances.": other_lower(
            lambda m, s, a, b, r, c, d, t: lower(m, s, a, b, np.sqrt(r), c, d, np.sqrt(t))
        ),
        "The spread of z₂ meets the difference of the slopes, not the slope of q alone.": other_lower(
            lambda m, s, a, b, r, c, d, t: lower(m, 0, a, b, r, c, d, t) + (a * s / t) ** 2 / 2
        ),
        "That is both terms added, in the place of the lower level's.": other_lower(
            lambda *case: sum(true(*case))
        ),
        "Those are the terms as they stand in the bound, with a minus: return the KL divergences.": (
            lambda *case: tuple(-v for v in true(*case))
        ),
    }  # fmt: skip
    terms = {
        "the spread of z₂": lambda m, s, a, b, r, c, d, t: (None, ((a - c) * s / t) ** 2 / 2),
        "the squared distance of the two means": lambda m, s, a, b, r, c, d, t: (
            None, (((a - c) * m + b - d) / t) ** 2 / 2
        ),
        "r²/2t²": lambda m, s, a, b, r, c, d, t: (None, (r / t) ** 2 / 2),
        "log t": lambda m, s, a, b, r, c, d, t: (None, np.log(t)),
        "−log r": lambda m, s, a, b, r, c, d, t: (None, -np.log(r)),
        "m²/2": lambda m, s, *rest: (m**2 / 2, None),
        "s²/2": lambda m, s, *rest: (s**2 / 2, None),
        "−log s": lambda m, s, *rest: (-np.log(s), None),
        "the −½": lambda *case: (-0.5, -0.5),
    }  # fmt: skip
    simpler = {
        "the slopes a and c are equal": lambda m, s, a, b, r, c, d, t: (m, s, a, b, r, a, d, t),
        "m is 0": lambda m, s, *rest: (0.0, s, *rest),
        "s is 1": lambda m, s, *rest: (m, 1.0, *rest),
        "r is t": lambda m, s, a, b, r, c, d, t: (m, s, a, b, t, c, d, t),
        "r and t are 1": lambda m, s, a, b, r, c, d, t: (m, s, a, b, 1.0, c, d, 1.0),
        "t is 1": lambda m, s, a, b, r, c, d, t: (m, s, a, b, r, c, d, 1.0),
        "b and d are equal": lambda m, s, a, b, r, c, d, t: (m, s, a, b, r, c, b, t),
        "b and d are 0": lambda m, s, a, b, r, c, d, t: (m, s, a, 0.0, r, c, 0.0, t),
        "the lower level does not see z₂": lambda m, s, a, b, r, c, d, t: (m, s, 0.0, b, r, 0.0, d, t),
        "q is the prior on both levels": lambda m, s, a, b, r, c, d, t: (
            0.0, 1.0, a, b, r, a, b, r
        ),
    }  # fmt: skip
    unchanged = {
        "b and d rise by the same": lambda m, s, a, b, r, c, d, t: (m, s, a, b + 2, r, c, d + 2, t),
        "a and c rise by the same": lambda m, s, a, b, r, c, d, t: (m, s, a + 1, b, r, c + 1, d, t),
        "the lower level is measured in other units": lambda m, s, *rest: (
            m, s, *(3 * v for v in rest)
        ),
    }  # fmt: skip

    def a_case():
        m, a, b, c, d = rng.normal(0, 1.5, 5)
        s, r, t = rng.uniform(0.3, 2, 3)
        return m, s, a, b, r, c, d, t

    m, s, a, b, r, c, d, t = a_case()
    edges = {
        "q is the prior on both levels": (0.0, 1.0, a, b, r, a, b, r),
        "the slopes are equal": (m, s, a, b, r, a, d, t),
        "the lower level does not see z₂": (m, s, 0.0, b, r, 0.0, d, t),
        "q(z₂|x) is very narrow": (m, 1e-6, a, b, r, c, d, t),
        "q(z₁|z₂,x) is very narrow": (m, s, a, b, 1e-6, c, d, t),
        "p(z₁|z₂) is narrow": (m, s, a, b, r, c, d, 0.01),
        "the means meet at m": (m, s, a, (c - a) * m + d, r, c, d, t),
    }
    _e.agree(
        "the two terms", two_levels, true, [a_case() for _ in range(8)], atol=1e-6, unit="nats",
        parts=("upper", "lower"), slips=slips, terms=terms, edges=edges, simpler=simpler,
        unchanged=unchanged,
    )  # fmt: skip


_check_levels(two_levels, seed=0)
### BEGIN HIDDEN TESTS
_check_levels(two_levels, seed=100)
### END HIDDEN TESTS


# %% [markdown]
# ## 11.3 One step back (3 points)
#
# The lesson's chain keeps $\alpha_t^2 + \sigma_t^2 = 1$. Others do not, so write the step back for *any* chain. Two
# neighbouring levels are $q(z_s \mid x) = \mathcal N(\alpha_s x, \sigma_s^2 I)$ and
# $q(z_t \mid x) = \mathcal N(\alpha_t x, \sigma_t^2 I)$, and $z_t$ comes from $z_s$ alone:
# $z_t = (\alpha_t / \alpha_s)\, z_s + \text{Gaussian noise}$. How much noise this step adds, you can tell from the two
# variances. Return the mean and the variance of $q(z_s \mid z_t, x)$. You need Bayes' rule for Gaussians: precisions
# add up.


# %% tags=["task:back"]
def step_back(x, z, alpha_s, sigma_s, alpha_t, sigma_t):
    """x, z = z_t: [N, D]; four numbers. Returns the mean of q(z_s|z_t, x), [N, D], and its variance.

    alpha_s and both sigmas are positive, alpha_t may be 0; the variance is one number, as all
    coordinates have it.
    """
    ### BEGIN SOLUTION
    a = alpha_t / alpha_s
    added = sigma_t**2 - (a * sigma_s) ** 2
    variance = 1 / (1 / sigma_s**2 + a**2 / added)
    return variance * (alpha_s * x / sigma_s**2 + a * z / added), variance
    ### END SOLUTION


# %% tags=["check:back:3"]
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_back(step_back, seed):
    rng = np.random.default_rng(seed)

    def true(x, z, alpha_s, sigma_s, alpha_t, sigma_t):  # by conditioning (z_s, z_t) on z_t
        shared = alpha_t / alpha_s * sigma_s**2  # their covariance, given x
        gain = shared / sigma_t**2
        return alpha_s * x + gain * (z - alpha_t * x), sigma_s**2 - gain * shared

    def from_noise(x, z, alpha_s, sigma_s, a, added):  # Bayes' rule with a and the noise added
        precision = 1 / sigma_s**2 + a**2 / added
        return (alpha_s * x / sigma_s**2 + a * z / added) / precision, 1 / precision

    def with_a(change):
        def value(x, z, alpha_s, sigma_s, alpha_t, sigma_t):
            a = change(alpha_s, alpha_t)
            return from_noise(x, z, alpha_s, sigma_s, a, sigma_t**2 - a**2 * sigma_s**2)

        return value

    def with_added(change):
        def value(x, z, alpha_s, sigma_s, alpha_t, sigma_t):
            a = alpha_t / alpha_s
            return from_noise(x, z, alpha_s, sigma_s, a, change(a, sigma_s, sigma_t))

        return value

    def other_mean(f):
        return lambda *case: (f(*case), None)

    def other_variance(f):
        return lambda *case: (None, f(*case))

    slips = {
        "That is q(z_s|x): what z_t tells is left out.": lambda x, z, alpha_s, sigma_s, *rest: (
            alpha_s * x, sigma_s**2
        ),
        "Your mean is that of q(z_s|x): what z_t tells is left out.": other_mean(
            lambda x, z, alpha_s, *rest: alpha_s * x
        ),
        "Your mean undoes the step and forgets x: z_t alone does not know it.": other_mean(
            lambda x, z, alpha_s, sigma_s, alpha_t, sigma_t: alpha_s / alpha_t * z
        ),
        "Your mean is z_t itself.": other_mean(lambda x, z, *rest: z),
        "Your variance is that of q(z_s|x): knowing z_t makes it smaller.": other_variance(
            lambda x, z, alpha_s, sigma_s, *rest: sigma_s**2
        ),
        "Your variance is that of the step forward, q(z_t|z_s).": other_variance(
            lambda x, z, alpha_s, sigma_s, alpha_t, sigma_t: (
                sigma_t**2 - (alpha_t / alpha_s * sigma_s) ** 2
            )
        ),
        "Your second value is the standard deviation. The variance is asked for.": other_variance(
            lambda *case: np.sqrt(true(*case)[1])
        ),
        "Your second value is the precision. The variance is its inverse.": other_variance(
            lambda *case: 1 / true(*case)[1]
        ),
        "The step multiplies by α_t / α_s; you turned the fraction over.": with_a(
            lambda alpha_s, alpha_t: alpha_s / alpha_t
        ),
        "The step multiplies z_s by α_t / α_s; you multiply by α_t.": with_a(
            lambda alpha_s, alpha_t: alpha_t
        ),
        "The step multiplies z_s by α_t / α_s; yours does not.": with_a(lambda alpha_s, alpha_t: 1.0),
        "The noise that the step adds is 1 − (α_t/α_s)² only where α² + σ² is 1.": with_added(
            lambda a, sigma_s, sigma_t: 1 - a**2
        ),
        "The step scales the old noise too: it adds σ_t² − (α_t/α_s)² σ_s².": with_added(
            lambda a, sigma_s, sigma_t: sigma_t**2 - sigma_s**2
        ),
        "σ_t² is all the noise in z_t. The step adds a part of it.": with_added(
            lambda a, sigma_s, sigma_t: sigma_t**2
        ),
        "Standard deviations do not subtract, variances do.": with_added(
            lambda a, sigma_s, sigma_t: (sigma_t - a * sigma_s) ** 2
        ),
        "Variances are (α_t/α_s)² times as large after the step; you multiply by α_t/α_s.": with_added(
            lambda a, sigma_s, sigma_t: sigma_t**2 - a * sigma_s**2
        ),
        "Your mean is the sum of precisions times values: divide by the precision.": other_mean(
            lambda *case: true(*case)[0] / true(*case)[1]
        ),
        "In your mean x stands without α_s: z_s lies around α_s x.": other_mean(
            lambda x, z, alpha_s, *rest: true(x / alpha_s, z, alpha_s, *rest)[0]
        ),
        "The two levels have changed places.": lambda x, z, alpha_s, sigma_s, alpha_t, sigma_t: true(
            x, z, alpha_t, sigma_t, alpha_s, sigma_s
        ),
        "x and z have changed places.": lambda x, z, *rest: true(z, x, *rest),
        "x and z have changed places in your mean.": other_mean(
            lambda x, z, *rest: true(z, x, *rest)[0]
        ),
    }  # fmt: skip
    terms = {
        "the part of x": lambda *case: (true(case[0], 0 * case[1], *case[2:])[0], None),
        "the part of z_t": lambda *case: (true(0 * case[0], *case[1:])[0], None),
    }
    simpler = {
        "α² + σ² is 1 on both levels": lambda x, z, *rest: (x, z, 0.8, 0.6, 0.6, 0.8),
        "α_s and α_t are 1": lambda x, z, alpha_s, sigma_s, alpha_t, sigma_t: (
            x, z, 1.0, sigma_s, 1.0, sigma_s + sigma_t
        ),
        "α_s and α_t are equal": lambda x, z, alpha_s, sigma_s, alpha_t, sigma_t: (
            x, z, alpha_s, sigma_s, alpha_s, sigma_s + sigma_t
        ),
        "α_s is 1": lambda x, z, alpha_s, sigma_s, alpha_t, sigma_t: (
            x, z, 1.0, sigma_s, alpha_t / alpha_s, sigma_t
        ),
        "σ_s is 1": lambda x, z, alpha_s, sigma_s, alpha_t, sigma_t: (
            x, z, alpha_s, 1.0, alpha_t, sigma_t / sigma_s
        ),
        "x is 0": lambda x, z, *rest: (0 * x, z, *rest),
        "z is 0": lambda x, z, *rest: (x, 0 * z, *rest),
        "α_t is 0": lambda x, z, alpha_s, sigma_s, alpha_t, sigma_t: (
            x, z, alpha_s, sigma_s, 0.0, sigma_t
        ),
    }  # fmt: skip

    def a_case(N, D):
        alpha_s, sigma_s = rng.uniform(0.4, 1.3, 2)
        alpha_t = alpha_s * rng.uniform(0.3, 1.2)
        sigma_t = np.hypot(alpha_t / alpha_s * sigma_s, rng.uniform(0.2, 1.2))
        return rng.normal(size=(N, D)), rng.normal(size=(N, D)), alpha_s, sigma_s, alpha_t, sigma_t

    x, z, alpha_s, sigma_s, alpha_t, sigma_t = a_case(3, 2)
    edges = {
        "α² + σ² is 1": (x, z, 0.8, 0.6, 0.28, 0.96),
        "α is 1 on both levels": (x, z, 1.0, 0.5, 1.0, 2.0),
        "z_t is pure noise": (x, z, alpha_s, sigma_s, 0.0, 1.0),
        "the step is very small": (x, z, 0.8, 0.6, 0.8, 0.601),
        "the finer level is nearly x": (x, z, 1.0, 1e-3, 0.8, 0.6),
        "the step adds much noise": (x, z, 0.9, 0.5, 0.7, 100.0),
        "there is one number": (x[:1, :1], z[:1, :1], alpha_s, sigma_s, alpha_t, sigma_t),
        "rows and coordinates are equally many": a_case(2, 2),
    }
    def numbers(case):  # NumPy's, which divide by 0 without stopping
        return tuple(np.float64(v) if isinstance(v, float) else v for v in case)

    sizes = ((4, 3), (2, 5), (3, 2), (5, 4), (1, 3), (6, 1))
    with np.errstate(all="ignore"):
        _e.agree(
            "the step back", step_back, true, [numbers(a_case(*size)) for size in sizes],
            parts=("the mean", "the variance"), slips=slips, terms=terms,
            edges={place: numbers(case) for place, case in edges.items()}, simpler=simpler,
        )  # fmt: skip


_check_back(step_back, seed=0)
### BEGIN HIDDEN TESTS
_check_back(step_back, seed=100)
### END HIDDEN TESTS


# %% [markdown]
# ## 11.4 One level stands for all (3 points)
#
# Training does not compute all $T - 1$ steps of (11.3). It draws one level $t$ from $2, \dots, T$ for each example,
# with probability $\pi_t$, and lets it stand for the sum. The network guesses the noise $\varepsilon$ in
# $z_t = \alpha_t x + \sigma_t \varepsilon$. With its guess $\hat\varepsilon$ the guess of $x$ is
# $\hat x = (z_t - \sigma_t \hat\varepsilon) / \alpha_t$: put that into (11.4). Return for each example an estimate of
# $\sum_{t=2}^{T} \mathrm{KL}_t$ that is right on average over $t$, whatever the probabilities are.


# %% tags=["task:level"]
def one_for_all(snr, pi, t, epsilon, guess):
    """An unbiased estimate of the sum over the levels 2, …, T for each example. Returns [B], nats.

    snr: [T + 1], snr[t] is SNR(t), falling; snr[0] is that of x itself and is never needed.
    pi: [T + 1], the probability of each level, 0 for the levels 0 and 1.
    t: [B] whole numbers from 2 to T, the levels drawn; epsilon, guess: [B, D], the noise in z_t and its guess.
    """
    ### BEGIN SOLUTION
    weight = 0.5 * (snr[t - 1] / snr[t] - 1) / pi[t]
    return weight * np.sum((epsilon - guess) ** 2, -1)
    ### END SOLUTION


# %% tags=["check:level:3"]
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_level(one_for_all, seed):
    rng = np.random.default_rng(seed)

    def kl(snr, level, epsilon, guess):  # of one example, from the two Gaussians themselves
        alpha, sigma = (np.sqrt(f / (1 + snr[[level - 1, level]])) for f in (
            snr[[level - 1, level]], 1.0))
        a = alpha[1] / alpha[0]
        gain = a * sigma[0] ** 2 / sigma[1] ** 2  # what z_t tells of z_{t−1}
        variance = sigma[0] ** 2 - gain * a * sigma[0] ** 2
        of_x = alpha[0] - gain * alpha[1]  # by how much the mean moves with x
        apart = of_x * sigma[1] / alpha[1] * (guess - epsilon)  # x = (z_t − σ ε) / α
        return sum(v**2 for v in apart) / (2 * variance)

    def costs(snr, pi, t, epsilon, guess):
        rows = zip(t, epsilon, guess, strict=True)
        return np.array([kl(snr, *row) for row in rows])

    def true(snr, pi, t, *rest):
        return costs(snr, pi, t, *rest) / [pi[level] for level in t]

    def error(epsilon, guess):
        return np.array([v @ v for v in epsilon - guess])

    def with_weight(weight):
        return lambda snr, pi, t, epsilon, guess: weight(snr, t) * error(epsilon, guess) / pi[t]

    slips = {
        "That is one level's cost. It stands for all of them: divide by how likely it was drawn.": costs,
        "The number of levels makes up for the draw only where all levels are equally likely.": (
            lambda snr, *rest: costs(snr, *rest) * (len(snr) - 2)
        ),
        "T makes up for the draw neither for equally likely levels, of which there are T − 1, nor here.": (
            lambda snr, *rest: costs(snr, *rest) * (len(snr) - 1)
        ),
        "Divide by the level's probability: the rarer it is, the more its turn must count.": (
            lambda snr, pi, t, *rest: costs(snr, pi, t, *rest) * pi[t]
        ),
        "SNR(t−1) − SNR(t) belongs to an error in x. The error in ε has the ratio, less 1.": with_weight(
            lambda snr, t: 0.5 * (snr[t - 1] - snr[t])
        ),
        "The ratio is upside down: SNR(t−1) is the larger one.": with_weight(
            lambda snr, t: 0.5 * (snr[t] / snr[t - 1] - 1)
        ),
        "The ratio is upside down, and its sign turned.": with_weight(
            lambda snr, t: 0.5 * (1 - snr[t] / snr[t - 1])
        ),
        "The −1 is missing.": with_weight(lambda snr, t: 0.5 * snr[t - 1] / snr[t]),
        "The factor ½ is missing.": lambda *case: 2 * true(*case),
        "All levels weigh alike in yours, as in Ho et al.'s simple loss: that is no bound.": with_weight(
            lambda snr, t: np.ones(len(t))
        ),
        "All levels weigh alike in yours, but for the ½: that is no bound.": with_weight(
            lambda snr, t: np.full(len(t), 0.5)
        ),
        "The plain squared error: neither the level's weight nor its probability is in it.": (
            lambda snr, pi, t, *rest: error(*rest)
        ),
        "The squared error adds up over the coordinates; you average.": lambda *case: (
            true(*case) / case[3].shape[1]
        ),
        "One number for the batch, its mean: each example has its own.": lambda *c: true(*c).mean(),
        "One number for the batch, its sum: each example has its own.": lambda *c: true(*c).sum(),
        "The error is not squared.": lambda snr, pi, t, epsilon, guess: (
            true(snr, pi, t, epsilon, guess) / np.sqrt(error(epsilon, guess))
        ),
        "That is the sum of the differences, squared: square first.": (
            lambda snr, pi, t, epsilon, guess: true(snr, pi, t, epsilon, guess)
            * (epsilon - guess).sum(-1) ** 2 / error(epsilon, guess)
        ),
        "In yours the guess is added to the noise: the difference is the error.": (
            lambda snr, pi, t, epsilon, guess: true(snr, pi, t, epsilon, -guess)
        ),
        "The error is that of a guess of nothing: `guess` is not in it.": (
            lambda snr, pi, t, epsilon, guess: true(snr, pi, t, epsilon, 0 * guess)
        ),
        "`epsilon` is not in your error.": lambda snr, pi, t, epsilon, guess: true(
            snr, pi, t, 0 * epsilon, guess
        ),
        "Off by one: your weight belongs to the level before, t − 1.": with_weight(
            lambda snr, t: 0.5 * (snr[t - 2] / snr[t - 1] - 1)
        ),
        "Off by one: you took the probability of the level before.": lambda snr, pi, t, *rest: (
            costs(snr, pi, t, *rest) / pi[t - 1]
        ),
        "The logarithm of the ratio is near the ratio less 1 for small steps only.": with_weight(
            lambda snr, t: 0.5 * np.log(snr[t - 1] / snr[t])
        ),
    }
    simpler = {
        "all levels are equally likely": lambda snr, pi, *rest: (
            snr, np.where(pi > 0, 1 / np.sum(pi > 0), 0), *rest
        ),
        "all levels have probability 1": lambda snr, pi, *rest: (snr, np.where(pi > 0, 1.0, 0), *rest),
        "x has one coordinate": lambda snr, pi, t, epsilon, guess: (
            snr, pi, t, epsilon[:, :1], guess[:, :1]
        ),
        "there is one example": lambda snr, pi, t, epsilon, guess: (
            snr, pi, t[:1], epsilon[:1], guess[:1]
        ),
        "each step halves the SNR": lambda snr, *rest: (2.0 ** -np.arange(len(snr)), *rest),
        "each SNR is 1 less than the one before": lambda snr, *rest: (
            np.arange(len(snr), 0.0, -1), *rest
        ),
        "the guess is 0": lambda snr, pi, t, epsilon, guess: (snr, pi, t, epsilon, 0 * guess),
        "the guess is right": lambda snr, pi, t, epsilon, guess: (snr, pi, t, epsilon, epsilon),
    }  # fmt: skip
    unchanged = {
        "all SNR are three times as large": lambda snr, *rest: (3 * snr, *rest),
        "noise and guess are moved alike": lambda snr, pi, t, epsilon, guess: (
            snr, pi, t, epsilon + 1, guess + 1
        ),
        "the SNR of x itself is another": lambda snr, *rest: (
            np.where(np.arange(len(snr)) == 0, 7 * snr, snr), *rest
        ),
    }  # fmt: skip

    def a_case(T, B, D, t=None):
        snr = np.exp(np.sort(rng.uniform(-3, 3, T + 1))[::-1])
        pi = np.concatenate([[0, 0], rng.dirichlet(np.full(T - 1, 3.0))])
        t = rng.integers(2, T + 1, B) if t is None else np.asarray(t)
        return snr, pi, t, rng.normal(size=(B, D)), rng.normal(size=(B, D))

    snr, pi, t, epsilon, guess = a_case(6, 3, 4)
    edges = {
        "the first and the last level are drawn": a_case(5, 2, 3, [2, 5]),
        "there are two levels, and one step": a_case(2, 3, 2, [2, 2, 2]),
        "all levels are equally likely": (snr, np.where(pi > 0, 0.2, 0), t, epsilon, guess),
        "the guess is right": (snr, pi, t, epsilon, epsilon),
        "x has one coordinate": (snr, pi, t, epsilon[:, :1], guess[:, :1]),
        "there is one example": (snr, pi, t[:1], epsilon[:1], guess[:1]),
        "the SNR of x itself is infinite": (np.append(np.inf, snr[1:]), pi, t, epsilon, guess),
        "the SNR falls by a factor of a million": (10.0 ** -(6 * np.arange(7) - 18), pi, t, epsilon, guess),
        "examples, coordinates and levels are equally many": a_case(4, 4, 4),
    }
    sizes = ((10, 5, 3), (6, 4, 2), (20, 7, 4), (4, 3, 5), (8, 6, 2))
    with np.errstate(all="ignore"):
        _e.agree(
            "the estimate", one_for_all, true, [a_case(*size) for size in sizes], unit="nats",
            slips=slips, edges=edges, simpler=simpler, unchanged=unchanged,
        )  # fmt: skip


_check_level(one_for_all, seed=0)
### BEGIN HIDDEN TESTS
_check_level(one_for_all, seed=100)
### END HIDDEN TESTS


# %% [markdown]
# ## 11.5 What guidance asks for (3 points)
#
# The best guess is $\hat x = (z + \sigma_t^2\, \nabla_z \log p(z)) / \alpha_t$; the gradient is called the score. So
# (11.6) mixes the scores of $z_t$ given $y$ and without. Mixed like this for $x$ itself,
# $(1 + w)\, \nabla \log p(x \mid y) - w\, \nabla \log p(x)$ is the score of a density in $x$ which is proportional to
#
# $$ p(x \mid y)^{1 + w} \big/\, p(x)^{w} . $$
#
# Let $p(x \mid y) = \mathcal N(m, s^2)$ and let $p(x)$ be Gaussian too, $\mathcal N(M, S^2)$ with $S \ge s$. Return the
# mean and the standard deviation of that density. **Predict before you compute:** is it narrower than $p(x \mid y)$? On
# which side of $m$, seen from $M$, does its mean lie? (A guided chain mixes the densities of the noisy $z$ in this
# way at every level, which is not the same as to mix those of $x$.)


# %% tags=["task:tilt"]
def tilted(m, s, M, S, w):
    """Five numbers; s, S: standard deviations, S ≥ s; w ≥ −1. Returns (mean, standard deviation)."""
    ### BEGIN SOLUTION
    precision = (1 + w) / s**2 - w / S**2
    return ((1 + w) * m / s**2 - w * M / S**2) / precision, 1 / np.sqrt(precision)
    ### END SOLUTION


# %% tags=["check:tilt:3"]
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_tilt(tilted, seed):
    from scipy.stats import norm

    rng = np.random.default_rng(seed)

    def peak(log_density, at, step):  # mean and scale of a Gaussian, from three of its values
        low, middle, high = (log_density(at + k * step) for k in (-1, 0, 1))
        curve = (2 * middle - low - high) / step**2
        return at + (high - low) / (2 * step * curve), 1 / np.sqrt(curve)

    def with_powers(powers):  # of p(x|y) and of p(x)
        def value(m, s, M, S, w):
            one, other = powers(w)
            return peak(lambda x: one * norm.logpdf(x, m, s) + other * norm.logpdf(x, M, S), m, s)

        return value

    true = with_powers(lambda w: (1 + w, -w))

    def other_mean(f):
        return lambda *case: (f(*case), None)

    def other_scale(f):
        return lambda *case: (None, f(*case))

    slips = {
        "Scores mix, not means and scales: a score is (mean − x) / variance.": lambda m, s, M, S, w: (
            (1 + w) * m - w * M, (1 + w) * s - w * S
        ),
        "(1 + w) m − w M is right in general only where s = S: in a score each mean is divided by its variance.": (
            other_mean(lambda m, s, M, S, w: (1 + w) * m - w * M)
        ),
        "The scale does change: where S > s, guidance makes the density narrower.": other_scale(
            lambda m, s, *rest: s
        ),
        "Standard deviations do not mix, precisions do.": other_scale(
            lambda m, s, M, S, w: (1 + w) * s - w * S
        ),
        "A precision is one over a variance; you took one over a standard deviation.": (
            lambda m, s, M, S, w: true(m, np.sqrt(s), M, np.sqrt(S), w)
        ),
        "The power of p(x|y) is 1 + w: with w alone, w = 0 would forget the label.": with_powers(
            lambda w: (w, 1 - w)
        ),
        "The power of p(x|y) is 1 + w; yours is w.": with_powers(lambda w: (w, -w)),
        "p(x) divides: its power is −w.": with_powers(lambda w: (1 + w, w)),
        "p(x|y) and p(x) have changed places.": with_powers(lambda w: (-w, 1 + w)),
        "p(x) is left out.": with_powers(lambda w: (1 + w, 0)),
        "The power of p(x|y) is 1 + w; yours is 1.": with_powers(lambda w: (1, -w)),
        "Your second value is the variance. The standard deviation is asked for.": other_scale(
            lambda *case: true(*case)[1] ** 2
        ),
        "Your second value is the precision. The standard deviation is asked for.": other_scale(
            lambda *case: true(*case)[1] ** -2
        ),
        "Your second value is the root of the precision. Turn it over.": other_scale(
            lambda *case: 1 / true(*case)[1]
        ),
        "Your mean is not yet divided by the precision.": other_mean(
            lambda *case: true(*case)[0] / true(*case)[1] ** 2
        ),
        "Your mean is multiplied by the precision: divide.": other_mean(
            lambda *case: true(*case)[0] / true(*case)[1] ** 4
        ),
        "Your mean is M moved towards m, and not far enough: that is between the two.": other_mean(
            lambda m, s, M, S, w: (m + w * M) / (1 + w)
        ),
        "s and S have changed places.": lambda m, s, M, S, w: true(m, S, M, s, w),
        "m and M have changed places.": lambda m, s, M, S, w: true(M, s, m, S, w),
        "The mean does move: away from M.": other_mean(lambda m, *rest: m),
    }  # fmt: skip
    simpler = {
        "w is 0": lambda m, s, M, S, w: (m, s, M, S, 0.0),
        "w is −1": lambda m, s, M, S, w: (m, s, M, S, -1.0),
        "w is 1": lambda m, s, M, S, w: (m, s, M, S, 1.0),
        "s and S are equal": lambda m, s, M, S, w: (m, S, M, S, w),
        "s and S are 1": lambda m, s, M, S, w: (m, 1.0, M, 1.0, w),
        "M is 0": lambda m, s, M, S, w: (m, s, 0.0, S, w),
        "m and M are 0": lambda m, s, M, S, w: (0.0, s, 0.0, S, w),
        "m and M are equal": lambda m, s, M, S, w: (m, s, m, S, w),
        "p(x) is nearly flat": lambda m, s, M, S, w: (m, s, M, 1e9, w),
    }

    def a_case():
        s = rng.uniform(0.3, 1.5)
        return rng.normal(), s, rng.normal(0, 2), s + rng.uniform(0.1, 2), rng.uniform(0.2, 4)

    m, s, M, S, w = a_case()
    edges = {
        "w is 0: that is p(x|y)": (m, s, M, S, 0.0),
        "w is −1: that is p(x)": (m, s, M, S, -1.0),
        "w lies between −1 and 0": (m, s, M, S, -0.4),
        "s and S are equal": (m, S, M, S, w),
        "m and M are equal": (m, s, m, S, w),
        "p(x) is very wide": (m, s, M, 1e5, w),
        "w is very large": (m, s, M, S, 1e4),
        "p(x|y) is very narrow": (m, 1e-4, M, S, w),
    }
    def numbers(case):  # NumPy's, whose roots of negative numbers are not complex
        return tuple(np.float64(v) for v in case)

    with np.errstate(all="ignore"):
        _e.agree(
            "the density", tilted, true, [numbers(a_case()) for _ in range(8)], atol=1e-6,
            parts=("mean", "standard deviation"), slips=slips,
            edges={place: numbers(case) for place, case in edges.items()}, simpler=simpler,
        )  # fmt: skip
    shown = ", ".join(f"w = {w}: {true(1.0, 0.7, 0.0, 1.2, w)[0]:.2f} ± {true(1.0, 0.7, 0.0, 1.2, w)[1]:.2f}"
                      for w in (0, 1, 3))  # fmt: skip
    print(f"m = 1, s = 0.7, M = 0, S = 1.2 gives {shown}.")


_check_tilt(tilted, seed=0)
### BEGIN HIDDEN TESTS
_check_tilt(tilted, seed=100)
### END HIDDEN TESTS


# %% [markdown]
# ## 11.6 Find the bugs: a chain that draws too wide (3 points)
#
# The program below draws from a diffusion model: it begins with noise and goes back level by level, with
# $p(z_{t-1} \mid z_t) = q(z_{t-1} \mid z_t, \hat x)$ as in (11.4) and $\alpha_t^2 + \sigma_t^2 = 1$. For data from
# $\mathcal N(0, 1)$ the best guess is $\hat x = \alpha_t z_t$, and with many small steps every $z_t$ should then have a
# variance close to 1. The program's draws vary more. There are three bugs in the loop. Mend it.


# %%
def alpha(level):
    """level: log SNR."""
    return (1 + np.exp(-level)) ** -0.5


def sigma(level):
    return (1 + np.exp(level)) ** -0.5


def too_wide(guess, levels, noise):
    """Draws of z_1, [N, D]. guess(level, z): x̂ for the z of a level, both [N, D].

    levels: [T], log SNR(1), …, log SNR(T), falling; noise: [T, N, D] standard normal numbers, the
    last for z_T and each once.
    """
    z = noise[-1]
    for t in range(len(levels) - 1, 0, -1):
        level, finer = levels[t], levels[t - 1]
        x_hat = guess(finer, z)
        kept = np.exp(level - finer)  # SNR(t) / SNR(t − 1)
        mean = kept * alpha(finer) / alpha(level) * z + (1 - kept) * alpha(finer) * x_hat
        z = mean + sigma(finer) * noise[t]
    return z


# %% tags=["task:chain"]
def mended(guess, levels, noise):
    """As above, without the three bugs: z_1, [N, D], with noise[t − 1] for the step to levels[t − 1]."""
    ### BEGIN SOLUTION
    z = noise[-1]
    for t in range(len(levels) - 1, 0, -1):
        level, finer = levels[t], levels[t - 1]
        x_hat = guess(level, z)
        kept = np.exp(level - finer)
        mean = kept * alpha(finer) / alpha(level) * z + (1 - kept) * alpha(finer) * x_hat
        z = mean + sigma(finer) * np.sqrt(1 - kept) * noise[t - 1]
    return z
    ### END SOLUTION


# %% tags=["check:chain:3"]
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_chain(mended, seed):
    import itertools

    rng = np.random.default_rng(seed)

    def backwards(guess, levels, noise, asked=0, wide=False, reused=0, quiet=False, last=0):
        """By Bayes' rule with precisions. asked: which of (level, finer) the guess is told."""
        T, z = len(levels), noise[-1]
        for t in reversed(range(1 + last, T)):
            snr = np.exp(levels[[t, t - 1]])
            alpha, sigma = np.sqrt(snr / (1 + snr)), np.sqrt(1 / (1 + snr))
            x_hat = guess(levels[[t, t - 1]][asked], z)
            a = alpha[0] / alpha[1]
            added = sigma[0] ** 2 - (a * sigma[1]) ** 2  # the variance of the step forward
            precision = 1 / sigma[1] ** 2 + a**2 / added
            mean = (alpha[1] * x_hat / sigma[1] ** 2 + a * z / added) / precision
            scale = sigma[1] if wide is True else wide or 1 / np.sqrt(precision)
            scale = np.sqrt(added) if wide == "forward" else scale
            scale = 1 / precision if wide == "variance" else scale
            z = mean + (0 if quiet else scale * noise[t - 1 + reused])
        return z

    def true(guess, levels, noise):
        return backwards(guess, levels, noise)

    bugs = {
        "the guess is asked at the next level, with the z of this one": {"asked": 1},
        "the noise has the scale of q(z|x), and not that of q(z|z_t, x)": {"wide": True},
        "the first step uses the noise that z_T is made of": {"reused": 1},
    }
    slips = {}
    for number in (3, 2, 1):
        for left in itertools.combinations(bugs, number):
            options = {k: v for bug in left for k, v in bugs[bug].items()}
            text = "All three are left." if number == 3 else f"Still there: {', and '.join(left)}."
            slips[text] = lambda *c, options=options: backwards(*c, **options)
    slips |= {
        "No noise is added on the way: that is one mean after the other.": lambda *c: backwards(
            *c, quiet=True
        ),
        "A variance stands where the scale belongs.": lambda *c: backwards(*c, wide="variance"),
        "The noise has the scale of the step forward.": lambda *c: backwards(*c, wide="forward"),
        "The noise has the scale 1.": lambda *c: backwards(*c, wide=1.0),
        "The chain ends one step too early.": lambda *c: backwards(*c, last=1),
        "That is the guess of x at the end. z₁ is asked for.": lambda guess, levels, noise: guess(
            levels[0], true(guess, levels, noise)
        ),
        "z_T is returned: nothing was done.": lambda guess, levels, noise: noise[-1],
    }
    simpler = {
        "the noise is 0 but for z_T": lambda guess, levels, noise: (
            guess, levels, np.concatenate([0 * noise[:-1], noise[-1:]])
        ),
        "the guess is 0": lambda guess, levels, noise: (lambda level, z: 0 * z, levels, noise),
        "the guess does not see the level": lambda guess, levels, noise: (
            lambda level, z: np.tanh(z), levels, noise
        ),
        "there is one step": lambda guess, levels, noise: (guess, levels[:2], noise[:2]),
        "all noise is the same": lambda guess, levels, noise: (
            guess, levels, np.broadcast_to(noise[-1:], noise.shape).copy()
        ),
    }  # fmt: skip

    def a_case(T, N, D):
        W, b = rng.normal(size=(D, D)), rng.normal(size=D)

        def guess(level, z):
            return np.tanh(z @ W + b * level)

        return guess, np.sort(rng.uniform(-3, 3, T))[::-1].copy(), rng.normal(size=(T, N, D))

    guess, _, noise = a_case(5, 3, 2)
    edges = {
        "there is one level, and no step": (guess, np.array([1.0]), noise[:1]),
        "there is one step": (guess, np.array([2.0, -1.0]), noise[:2]),
        "there is one number": (lambda level, z: np.sin(z + level), np.array([3.0, 0, -3]), noise[:3, :1, :1]),
        "the steps are very large": (guess, np.linspace(16, -16, 5), noise),
        "the steps are very small": (guess, np.linspace(0.001, -0.001, 5), noise),
        "the best guess of N(0, 1) is made": (
            lambda level, z: z / np.sqrt(1 + np.exp(-level)), np.linspace(4, -4, 5), noise
        ),
    }  # fmt: skip
    sizes = ((4, 5, 3), (6, 2, 2), (3, 4, 1), (8, 3, 4), (5, 6, 2))
    with np.errstate(all="ignore"):
        _e.agree(
            "the draws", mended, true, [a_case(*size) for size in sizes], slips=slips, edges=edges,
            simpler=simpler,
        )  # fmt: skip
    guess, levels = edges["the best guess of N(0, 1) is made"][0], np.linspace(4, -4, 200)
    noise = np.random.default_rng(seed).normal(size=(200, 10_000, 1))
    before = backwards(guess, levels, noise, asked=1, wide=True, reused=1)
    print(f"Variance of z₁ for N(0, 1), 200 levels: {true(guess, levels, noise).var():.1f}, before {before.var():.1f}.")


_check_chain(mended, seed=0)
### BEGIN HIDDEN TESTS
_check_chain(mended, seed=100)
### END HIDDEN TESTS
