# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercises 6 · CVAE-4 (CMMA): the label acts through z alone
#
# Six tasks on lesson 06, seventeen points. In each, put your code in the place of the line that raises an error, then
# run the check below it: it prints your value beside the true one, or says what is wrong. No task needs another,
# so begin where you like. NumPy is enough for all of them. Beware: `S` holds *variances*, [d], and `s` standard
# deviations.

# %%
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
from scipy.optimize import minimize_scalar
from scipy.stats import norm
from sklearn.metrics import r2_score

from cvae_tf import exercises
from cvae_tf.oracle import LinearGaussian, kl_diagonal

# %% [markdown]
# ## 6.1 A chain for half of the description (3 points)
#
# The description of a face comes in two parts: `traits` (hat, beard, smile, …) and `light` (from which side it falls).
# Somebody thinks that traits belong in $z$, as in CMMA, while light falls on any face and is better told to the decoder
# directly, as in CVAE-2. So the graph is
#
# $$ \text{traits} \to z \to x \leftarrow \text{light}. $$
#
# Below is the bound of a CVAE-1 with its three networks, each called with its parents by name. These networks take
# any parents; what is not handed in counts as zero. Turn it into the bound of the model above, and write the
# function that generates. Before you strike out anything in $q$, write down the true posterior: what is it proportional to?


# %%
def cvae1_bound(nets, x, traits, light, epsilon):
    """(3.2) with one draw per example, nats, [N]. x: [N, D]; traits, light: [N, …]; epsilon: [N, d]."""
    mu, scale = nets["q"](x=x, traits=traits, light=light)
    m, s = nets["prior"](traits=traits, light=light)
    z = mu + scale * epsilon
    x_mean, sigma = nets["decoder"](traits=traits, light=light, z=z)
    return norm.logpdf(x, x_mean, sigma).sum(-1) - kl_diagonal(mu, scale, m, s)


# %% tags=["task:half"]
def half_chain_bound(nets, x, traits, light, epsilon):
    """The bound on log p(x | traits, light) of the graph above, one draw per example. Nats, [N].

    nets: {"q", "prior", "decoder"}, each a function of named parents that returns mean and scale;
    x: [N, D]; traits: [N, T]; light: [N, K]; epsilon: [N, d], from N(0, I).
    """
    ### BEGIN SOLUTION
    mu, scale = nets["q"](x=x, traits=traits, light=light)
    z = mu + scale * epsilon
    x_mean, sigma = nets["decoder"](light=light, z=z)
    divergence = kl_diagonal(mu, scale, *nets["prior"](traits=traits))
    return norm.logpdf(x, x_mean, sigma).sum(-1) - divergence
    ### END SOLUTION


def generate(nets, traits, light, epsilon):
    """The decoder's mean at a z drawn from the prior with the noise epsilon, [N, D]."""
    ### BEGIN SOLUTION
    m, s = nets["prior"](traits=traits)
    return nets["decoder"](light=light, z=m + s * epsilon)[0]
    ### END SOLUTION


# %% tags=["check:half:3"]
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_half(half_chain_bound, generate, seed):
    from scipy.stats import norm

    rng = np.random.default_rng(seed)

    def affine(bias, scale, **weights):
        """A network without hidden layers: bias + Σ weights · parent, and a fixed scale."""

        def net(**parents):
            mean = bias + sum(value @ weights[name].T for name, value in parents.items())
            return mean, np.broadcast_to(scale, mean.shape)

        return net

    def kl(mu, scale, m, s):  # by quadrature, exact for quadratics
        nodes, weights = np.polynomial.hermite_e.hermegauss(5)
        z = mu[..., None] + scale[..., None] * nodes
        ratio = norm.logpdf(z, mu[..., None], scale[..., None]) - norm.logpdf(
            z, m[..., None], s[..., None]
        )
        return (ratio @ weights / weights.sum()).sum(-1)

    def value(
        nets, x, traits, light, epsilon, q=("x", "traits", "light"), prior=("traits",),
        decoder=("light", "z"), draw=lambda mu, s, e: mu + s * e, standard=False,
    ):  # fmt: skip
        """Reconstruction, divergence and picture of the graph with these arrows."""
        facts = {"x": x, "traits": traits, "light": light}
        mu, scale = nets["q"](**{name: facts[name] for name in q})
        m, s = nets["prior"](**{name: facts[name] for name in prior})
        if standard:
            m, s = 0 * m, s**0
        facts["z"] = draw(mu, scale, epsilon)
        mean, sigma = nets["decoder"](**{name: facts[name] for name in decoder})
        facts["z"] = draw(m, s, epsilon)
        picture = nets["decoder"](**{name: facts[name] for name in decoder})[0]
        return sum(norm.logpdf(x, mean, sigma).T), kl(mu, scale, m, s), picture

    def over_noise(f):  # the mean over the points (1.5), exact for quadratics
        def mean(nets, x, traits, light, epsilon):
            N, d = np.shape(epsilon)
            points = np.sqrt(d) * np.vstack([np.eye(d), -np.eye(d)])
            found = [f(nets, x, traits, light, np.tile(e, (N, 1))) for e in points]
            _e.require(
                all(v is not None for v in found), "No value. Does your function end in a return?"
            )
            return np.mean(found, 0)

        return mean

    def bound(mix=lambda fit, cost: fit - cost, **arrows):
        return lambda *case: (
            over_noise(lambda *c: mix(*value(*c, **arrows)[:2]))(*case), None
        )

    def picture(**arrows):
        return lambda *case: (None, value(*case, **arrows)[2])

    def true(*case):
        return bound()(*case)[0], value(*case)[2]

    everything = "traits", "light", "z"
    slips = {
        "The decoder still hears of the traits.": bound(decoder=everything),
        "The decoder does not hear of the light.": bound(decoder=("z",)),
        "The decoder hears of the traits, and not of the light: it is the other way round.": bound(
            decoder=("traits", "z")
        ),
        "The prior hears of the light: which arrows run into z?": bound(prior=("traits", "light")),
        "That is the CVAE-1 as it was.": bound(prior=("traits", "light"), decoder=everything),
        "That is CMMA: the light has to reach the decoder.": bound(
            prior=("traits", "light"), decoder=("z",)
        ),
        "The prior has lost the traits: that is CVAE-2's.": bound(prior=()),
        "The prior hears of the light, and not of the traits.": bound(prior=("light",)),
        "Traits and light have changed places.": bound(prior=("light",), decoder=("traits", "z")),
        "N(0, I) stands for the prior: that is CVAE-2's.": bound(standard=True),
        "Your q is blind to the traits. The true posterior holds the factor p(z | traits).": bound(
            q=("x", "light")
        ),
        "Your q is blind to the light. It has to know which part of x the light explains.": bound(
            q=("x", "traits")
        ),
        "Your q sees the picture alone.": bound(q=("x",)),
        "Your q does not see the picture.": bound(q=("traits", "light")),
        "The divergence is subtracted, not added.": bound(lambda fit, cost: fit + cost),
        "That is the reconstruction alone.": bound(lambda fit, cost: fit),
        "That is a loss: the bound with a minus.": bound(lambda fit, cost: cost - fit),
        "One number for the batch: each example has its own.": bound(
            lambda fit, cost: np.sum(fit - cost)
        ),
        "One number for the batch, its mean: each example has its own.": bound(
            lambda fit, cost: np.mean(fit - cost)
        ),
        "Your z is q's mean: draw it with ε.": bound(draw=lambda mu, s, e: mu),
        "Your z is ε itself: a draw from q is μ + σ ε.": bound(draw=lambda mu, s, e: e),
        "Your z is μ + ε: where is q's scale?": bound(draw=lambda mu, s, e: mu + e),
        "Your z has the noise times μ: μ + σ ε is meant.": bound(draw=lambda mu, s, e: s + mu * e),
        "The picture: the decoder still hears of the traits.": picture(decoder=everything),
        "The picture: the decoder does not hear of the light.": picture(decoder=("z",)),
        "The picture: the prior hears of the light.": picture(prior=("traits", "light")),
        "The picture: the prior has lost the traits.": picture(prior=()),
        "That is the picture of a CVAE-1.": picture(prior=("traits", "light"), decoder=everything),
        "z is drawn given the traits, not determined by them.": picture(draw=lambda m, s, e: m),
        "Draw with the prior's mean and scale, not from N(0, I).": picture(draw=lambda m, s, e: e),
        "The picture: where is the prior's scale?": picture(draw=lambda m, s, e: m + e),
        "The picture: where is the prior's mean?": picture(draw=lambda m, s, e: s * e),
        "The picture: the noise is subtracted.": picture(draw=lambda m, s, e: m - s * e),
        "The picture: the prior's mean and scale have changed places.": picture(
            draw=lambda m, s, e: s + m * e
        ),
        "The picture has q's z in it: a generated face has no face to start from.": lambda *c: (
            None, c[0]["decoder"](light=c[3], z=(lambda q: q[0] + q[1] * c[4])(
                c[0]["q"](x=c[1], traits=c[2], light=c[3])))[0]
        ),
        "Return the decoder's mean, an image for each row: yours has its scale, too.": lambda *c: (
            None, np.stack([value(*c)[2], 0 * value(*c)[2] + 0.8])
        ),
    }  # fmt: skip
    terms = {
        "the divergence": bound(lambda fit, cost: -cost),
        "the reconstruction": bound(lambda fit, cost: fit),
    }
    simpler = {
        "there is no noise, ε = 0": lambda *c: (*c[:-1], 0 * c[-1]),
        "the traits are 0": lambda nets, x, t, light, e: (nets, x, 0 * t, light, e),
        "the light is 0": lambda nets, x, t, light, e: (nets, x, t, 0 * light, e),
        "there is one example": lambda nets, *arrays: (nets, *(v[:1] for v in arrays)),
        "x is 0": lambda nets, x, *c: (nets, 0 * x, *c),
        "traits and light are 0": lambda nets, x, t, light, e: (nets, x, 0 * t, 0 * light, e),
        "there is no noise, and the traits are 0": lambda nets, x, t, light, e: (
            nets, x, 0 * t, light, 0 * e
        ),
    }  # fmt: skip

    def yours(nets, x, traits, light, epsilon):
        image = generate(nets, traits, light, epsilon)
        return over_noise(half_chain_bound)(nets, x, traits, light, epsilon), image

    def a_case(D, d, T, K, N):
        S, scale = rng.uniform(0.5, 1.5, d), rng.uniform(0.3, 0.9, d)
        weights = {name: 0.4 * rng.normal(size=(d, n)) for name, n in (("x", D), ("traits", T),
                                                                      ("light", K))}  # fmt: skip
        nets = {
            "q": affine(rng.normal(size=d), scale, **weights),
            "prior": affine(
                rng.normal(size=d), S, traits=rng.normal(size=(d, T)), light=rng.normal(size=(d, K))
            ),
            "decoder": affine(
                rng.normal(size=D), 0.8, z=rng.normal(size=(D, d)),
                traits=rng.normal(size=(D, T)), light=rng.normal(size=(D, K)),
            ),
        }  # fmt: skip
        return (nets, rng.normal(size=(N, D)), rng.normal(size=(N, T)), rng.normal(size=(N, K)),
                rng.normal(size=(N, d)))  # fmt: skip

    edges = {
        "there is no light: that is CMMA": a_case(4, 2, 4, 0, 3),
        "there are no traits": a_case(4, 2, 0, 3, 3),
        "there is one example": a_case(3, 2, 2, 3, 1),
        "z has one dimension": a_case(4, 1, 2, 2, 5),
        "all sizes are equal": a_case(3, 3, 3, 3, 3),
    }
    sizes = ((5, 2, 3, 2, 4), (3, 4, 1, 2, 5), (6, 3, 2, 4, 3), (4, 2, 5, 1, 6))
    _e.agree(
        "the chain", yours, true, [a_case(*size) for size in sizes],
        parts=("the bound, over all noise", "a picture"), slips=slips, terms=terms, edges=edges,
        simpler=simpler,
    )  # fmt: skip


_check_half(half_chain_bound, generate, seed=0)
### BEGIN HIDDEN TESTS
_check_half(half_chain_bound, generate, seed=100)
### END HIDDEN TESTS


# %% [markdown]
# ## 6.2 A chain in disguise (4 points)
#
# Every CMMA is a CVAE-1. Now the other direction. You are given a linear CVAE-1,
#
# $$ z \mid y \sim \mathcal N(Ay + a, S), \qquad x \mid y, z \sim \mathcal N(Wz + Vy + b, \sigma^2 I), $$
#
# with $V \neq 0$; the columns of $W$ are linearly independent. Keep $W$, $b$, $\sigma$, $a$ and $S$, drop $V$, and choose a new
# $A$ so that the resulting CMMA comes as near as it can: so that $\mathrm{KL}(p_1(x \mid y) \,\|\, p_4(x \mid y))$ is least for every $y$
# ($p_1$ the CVAE-1, $p_4$ the CMMA). What is this least KL, in nats? Where it is zero, the CVAE-1 was a chain in disguise.
#
# What you need: by (7.1) both have the covariance $\Sigma = W S W^\top + \sigma^2 I$, so that
# $\mathrm{KL} = \tfrac12 \delta^\top \Sigma^{-1} \delta$ with $\delta$ the difference of the means. Split $V y$ into what the columns of
# $W$ can make and a rest at right angles to all of them. What is $\Sigma^{-1}$ times this rest?


# %% tags=["task:disguise"]
def nearest_chain(model):
    """The nearest CMMA. model: a LinearGaussian with W [D, d], V [D, K], A [d, K] and the others.

    Make the new one by LinearGaussian(W, b, sigma, A=…, a=…, S=…), without V.
    """
    ### BEGIN SOLUTION
    T = np.linalg.pinv(model.W) @ model.V  # V = W T + a rest
    return LinearGaussian(model.W, model.b, model.sigma, A=model.A + T, a=model.a, S=model.S)
    ### END SOLUTION


def price_of_the_chain(model, y):
    """The least KL for each y. y: [N, K]. Nats, [N]."""
    ### BEGIN SOLUTION
    rest = model.V - model.W @ np.linalg.pinv(model.W) @ model.V
    return np.sum((y @ rest.T) ** 2, -1) / (2 * model.sigma**2)
    ### END SOLUTION


# %% tags=["check:disguise:4"]
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_disguise(nearest_chain, price_of_the_chain, seed):
    from cvae_tf.oracle import LinearGaussian

    rng = np.random.default_rng(seed)

    def covariance(model):
        return (model.W * model.S) @ model.W.T + model.sigma**2 * np.eye(len(model.W))

    def step(model):
        """How y moves z at best, and what is left of V. δᵀΣ⁻¹δ is a sum of squares once Σ is I."""
        whiten = np.linalg.inv(np.linalg.cholesky(covariance(model)))
        moves = np.linalg.lstsq(whiten @ model.W, whiten @ model.V, rcond=None)[0]
        return moves, whiten @ (model.V - model.W @ moves)

    def yours(model, y):
        chain = nearest_chain(model)
        _e.require(isinstance(chain, LinearGaussian), "Return a LinearGaussian.")
        _e.require(chain.V is None or np.all(chain.V == 0), "A CMMA has no V.")
        given = [getattr(chain, name) is not None for name in ("A", "a", "S")]
        _e.require(all(given), "A, a or S is missing.")
        kept = [np.allclose(getattr(chain, n), getattr(model, n)) for n in ("W", "b", "sigma", "S")]
        _e.require(all(kept), "W, b, σ and S are to be kept.")
        price = price_of_the_chain(model, y)
        _e.require(price is not None, "price_of_the_chain returns nothing.")
        return chain.prior(y)[0], price

    def true(model, y):
        moves, left = step(model)
        return y @ (model.A + moves).T + model.a, ((y @ left.T) ** 2).sum(-1) / 2

    def mean(f):  # f(model, moves): the new A
        return lambda model, y: (y @ f(model, step(model)[0]).T + model.a, None)

    def price(f):  # f(model, y, true price)
        return lambda model, y: (None, f(model, y, true(model, y)[1]))

    def squares(v):
        return np.linalg.norm(v, axis=-1) ** 2

    def dropped(model, y, least):
        return squares(y @ np.linalg.solve(np.linalg.cholesky(covariance(model)), model.V).T) / 2

    slips = {
        "V is dropped, and nothing in z makes up for it.": mean(lambda model, moves: model.A),
        "A was there already: y moves z by A as well.": mean(lambda model, moves: moves),
        "V was added to the mean of x: which sign brings it back?": mean(
            lambda model, moves: model.A - moves
        ),
        "A has the other sign in yours.": mean(lambda model, moves: moves - model.A),
        "Wᵀ is no inverse of W unless its columns are orthonormal.": mean(
            lambda model, moves: model.A + model.W.T @ model.V
        ),
        "a is missing from the new prior.": lambda model, y: (
            true(model, y)[0] - model.a, None
        ),
        "S weighs what z makes up for in yours: V y is W T y and a rest, whatever S is.": mean(
            lambda model, moves: model.A + (moves.T * model.S).T
        ),
        "That is the price of dropping V. z can make up for a part of it.": price(dropped),
        "All of V y counts in yours. z can make up for a part of it.": price(
            lambda model, y, least: squares(y @ model.V.T) / (2 * model.sigma**2)
        ),
        "KL has σ² where you have σ.": price(lambda model, y, least: least * model.sigma),
        "KL has σ² where you have σ⁴.": price(lambda model, y, least: least / model.sigma**2),
        "Half of that: look at the factor in the exponent.": price(
            lambda model, y, least: 2 * least
        ),
        "Yours is the squared distance: divide it by 2σ².": price(
            lambda model, y, least: 2 * model.sigma**2 * least
        ),
        "Yours is half the squared distance: divide it by σ².": price(
            lambda model, y, least: least * model.sigma**2
        ),
        "One number for all rows of y: each has its own.": price(
            lambda model, y, least: np.sum(least)
        ),
        "One number for all rows of y, their mean: each has its own.": price(
            lambda model, y, least: np.mean(least)
        ),
        "The pixels' squares are averaged in yours: add them up.": price(
            lambda model, y, least: least / len(model.W)
        ),
        "That is the part that z makes up for. The rest is what costs.": price(
            lambda model, y, least: (squares(y @ model.V.T) / (2 * model.sigma**2)) - least
        ),
        "The rest is added up before it is squared.": price(
            lambda model, y, least: np.sum(y @ (model.V - model.W @ step(model)[0]).T, -1) ** 2
            / (2 * model.sigma**2)
        ),
        "The rest is not squared in yours.": price(
            lambda model, y, least: np.sum(y @ (model.V - model.W @ step(model)[0]).T, -1)
            / (2 * model.sigma**2)
        ),
    }  # fmt: skip

    def changed(model, **facts):
        return LinearGaussian(**(dict(W=model.W, b=model.b, sigma=model.sigma, V=model.V, A=model.A,
                                      a=model.a, S=model.S) | facts))  # fmt: skip

    simpler = {
        "V is 0": lambda model, y: (changed(model, V=0 * model.V), y),
        "the CVAE-1 is a chain in disguise": lambda model, y: (
            changed(model, V=model.W @ step(model)[0]), y
        ),
        "σ is 1": lambda model, y: (changed(model, sigma=1.0), y),
        "A is 0": lambda model, y: (changed(model, A=0 * model.A), y),
        "a is 0": lambda model, y: (changed(model, a=0 * model.a), y),
        "z cannot make up for anything of V": lambda model, y: (
            changed(model, V=model.V - model.W @ step(model)[0]), y
        ),
        "the columns of W are orthonormal": lambda model, y: (
            changed(model, W=np.linalg.qr(model.W)[0]), y
        ),
        "there is one row of y": lambda model, y: (model, y[:1]),
        "σ is 1 and the columns of W are orthonormal": lambda model, y: (
            changed(model, sigma=1.0, W=np.linalg.qr(model.W)[0]), y
        ),
    }  # fmt: skip

    def a_case(D, d, K, N, hidden=False):
        W = rng.normal(size=(D, d))
        V = W @ rng.normal(size=(d, K)) if hidden else rng.normal(size=(D, K))
        model = LinearGaussian(
            W, rng.normal(size=D), rng.uniform(0.5, 1.5), V, rng.normal(size=(d, K)),
            rng.normal(size=d), rng.uniform(0.3, 3, d),
        )  # fmt: skip
        return model, rng.normal(size=(N, K))

    model, y = a_case(5, 2, 3, 4)
    edges = {
        "the CVAE-1 is a chain in disguise": a_case(5, 2, 3, 4, hidden=True),
        "V is 0": (changed(model, V=0 * model.V), y),
        "z has as many dimensions as x": a_case(3, 3, 2, 4),
        "z has one dimension": a_case(4, 1, 2, 3),
        "there is one row of y": (model, y[:1]),
        "z cannot make up for anything of V": (
            changed(model, V=model.V - model.W @ step(model)[0]), y
        ),
    }  # fmt: skip
    sizes = ((5, 2, 3, 4), (6, 4, 2, 3), (4, 1, 5, 6), (7, 3, 4, 5))
    _e.agree(
        "the nearest chain", yours, true, [a_case(*size) for size in sizes], atol=1e-7,
        parts=("the mean of z", "the price in nats"), slips=slips, edges=edges, simpler=simpler,
    )  # fmt: skip
    least = true(model, y)[1].mean()
    print(f"Dropping V alone would cost {dropped(model, y, 0).mean():.2f} nats, not {least:.2f}.")


_check_disguise(nearest_chain, price_of_the_chain, seed=0)
### BEGIN HIDDEN TESTS
_check_disguise(nearest_chain, price_of_the_chain, seed=100)
### END HIDDEN TESTS


# %% [markdown]
# ## 6.3 Transport the whole of q (2 points)
#
# The lesson transports one point, the mean of $q$. Transport *all* of $q = \mathcal N(\mu, \sigma^2)$ from the prior
# $\mathcal N(m, s^2)$ to the prior $\mathcal N(m', s'^2)$: if $z \sim q$, then $z'$ of (6.3) is Gaussian again. Return its
# mean and its standard deviation.
#
# **Predict, too:** $q$ was some nats away from its prior. Is the transported $q$ nearer to the new prior, further away, or
# neither? The check prints both.


# %% tags=["task:carry"]
def carried(mu, sigma, m, s, m_new, s_new):
    """Mean and standard deviation of z' (6.3) for z ~ N(mu, sigma²). All arguments [N, d]."""
    ### BEGIN SOLUTION
    ratio = s_new / s
    return m_new + ratio * (mu - m), ratio * sigma
    ### END SOLUTION


# %% tags=["check:carry:2"]
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_carry(carried, seed):
    from scipy.stats import norm

    from cvae_tf.oracle import kl_diagonal

    rng = np.random.default_rng(seed)

    def same_place(z, m, s, m_new, s_new):
        """The point with as much of the new prior below it as z has of the old one."""
        return norm.isf(norm.sf(z, m, s), m_new, s_new)

    def true(mu, sigma, *priors):
        low, high = (same_place(mu + side * sigma, *priors) for side in (-1, 1))
        return (low + high) / 2, (high - low) / 2

    def mean(f):
        return lambda *case: (f(*case), None)

    def scale(f):
        return lambda *case: (None, f(*case))

    slips = {
        "The step from mean to mean is right, but places are measured in the priors' scales.": mean(
            lambda mu, sigma, m, s, m2, s2: m2 + mu - m
        ),
        "The ratio of the scales is upside down in the mean.": mean(
            lambda mu, sigma, m, s, m2, s2: m2 + (mu - m) * s / s2
        ),
        "That is the step from m. Where does it end?": mean(
            lambda mu, sigma, m, s, m2, s2: (mu - m) * s2 / s
        ),
        "μ has moved by the ratio; but a place is counted from the old prior's mean.": mean(
            lambda mu, sigma, m, s, m2, s2: m2 + mu * s2 / s
        ),
        "That is the new prior's mean: q's own place in the old one is lost.": mean(
            lambda mu, sigma, m, s, m2, s2: m2
        ),
        "q has stayed where it was.": mean(lambda mu, sigma, m, s, m2, s2: mu),
        "The place is counted from the new prior's mean: it lay in the old one.": mean(
            lambda mu, sigma, m, s, m2, s2: m2 + (mu - m2) * s2 / s
        ),
        "The place ends at the old prior's mean: it is to end at the new one.": mean(
            lambda mu, sigma, m, s, m2, s2: m + (mu - m) * s2 / s
        ),
        "The place is mirrored: it lies on the other side of the new mean.": mean(
            lambda mu, sigma, m, s, m2, s2: m2 - (mu - m) * s2 / s
        ),
        "The place is measured in q's scale: it lay in the old prior's.": mean(
            lambda mu, sigma, m, s, m2, s2: m2 + (mu - m) * s2 / sigma
        ),
        "Variances stand in the ratio: places are measured in standard deviations.": mean(
            lambda mu, sigma, m, s, m2, s2: m2 + (mu - m) * (s2 / s) ** 2
        ),
        "σ has stayed as it was. The whole of q is stretched.": scale(
            lambda mu, sigma, m, s, m2, s2: sigma
        ),
        "The ratio of the scales is upside down.": scale(
            lambda mu, sigma, m, s, m2, s2: sigma * s / s2
        ),
        "That is the variance.": scale(lambda *c: true(*c)[1] ** 2),
        "A standard deviation goes with the ratio, not with its square.": scale(
            lambda mu, sigma, m, s, m2, s2: sigma * (s2 / s) ** 2
        ),
        "A standard deviation goes with the ratio, not with its root.": scale(
            lambda mu, sigma, m, s, m2, s2: sigma * np.sqrt(s2 / s)
        ),
        "That is the new prior's scale: q has seen the face, and is narrower.": scale(
            lambda mu, sigma, m, s, m2, s2: s2
        ),
        "That is the ratio of the priors' scales alone.": scale(
            lambda mu, sigma, m, s, m2, s2: s2 / s
        ),
        "σ is only multiplied by the new scale, and not divided by the old.": scale(
            lambda mu, sigma, m, s, m2, s2: sigma * s2
        ),
        "σ is only divided by the old scale, and not multiplied by the new.": scale(
            lambda mu, sigma, m, s, m2, s2: sigma / s
        ),
        "A width is not moved: the new prior's mean has no part in it.": scale(
            lambda mu, sigma, m, s, m2, s2: m2 + sigma * s2 / s
        ),
    }
    terms = {
        "the new prior's mean": lambda mu, sigma, m, s, m2, s2: (m2, None),
        "the old prior's mean, stretched,": lambda mu, sigma, m, s, m2, s2: (-m * s2 / s, None),
        "q's mean, stretched,": lambda mu, sigma, m, s, m2, s2: (mu * s2 / s, None),
    }
    simpler = {
        "the scales are equal": lambda mu, sigma, m, s, m2, s2: (mu, sigma, m, s, m2, s),
        "both priors are one": lambda mu, sigma, m, s, m2, s2: (mu, sigma, m, s, m, s),
        "q lies at the old prior's mean": lambda mu, sigma, m, s, m2, s2: (m, sigma, m, s, m2, s2),
        "the old prior is N(0, 1)": lambda mu, sigma, m, s, m2, s2: (mu, sigma, 0 * m, s**0, m2, s2),
        "the new prior is N(0, 1)": lambda mu, sigma, m, s, m2, s2: (
            mu, sigma, m, s, 0 * m2, s2**0
        ),
        "the old mean is 0": lambda mu, sigma, m, s, m2, s2: (mu, sigma, 0 * m, s, m2, s2),
        "the new mean is 0": lambda mu, sigma, m, s, m2, s2: (mu, sigma, m, s, 0 * m2, s2),
        "all scales are 1": lambda mu, sigma, m, s, m2, s2: (mu, sigma**0, m, s**0, m2, s2**0),
        "both means are 0": lambda mu, sigma, m, s, m2, s2: (mu, sigma, 0 * m, s, 0 * m2, s2),
    }  # fmt: skip

    def a_case(N, d):
        m, m_new = rng.normal(size=(2, N, d))
        s, s_new = rng.uniform(0.4, 2.5, (2, N, d))
        return m + s * rng.uniform(-1.5, 1.5, (N, d)), s * rng.uniform(0.1, 0.7, (N, d)), m, s, m_new, s_new

    mu, sigma, m, s, m_new, s_new = a_case(3, 2)
    edges = {
        "both priors are one": (mu, sigma, m, s, m, s),
        "q is the old prior": (m, s, m, s, m_new, s_new),
        "there is one example": a_case(1, 3),
        "z has one dimension": a_case(4, 1),
        "the new prior is a thousand times as narrow": (mu, sigma, m, s, m_new, 1e-3 * s_new),
    }
    sizes = ((3, 2), (2, 5), (4, 3), (5, 4))
    _e.agree(
        "z'", carried, true, [a_case(*size) for size in sizes], atol=1e-7,
        parts=("mean", "standard deviation"), slips=slips, terms=terms, edges=edges,
        simpler=simpler,
    )  # fmt: skip
    there = kl_diagonal(*true(mu, sigma, m, s, m_new, s_new), m_new, s_new)
    for old, new in zip(kl_diagonal(mu, sigma, m, s), there, strict=True):
        print(f"q is {old:.3f} nats from the old prior; transported, {new:.3f} nats from the new one.")


_check_carry(carried, seed=0)
### BEGIN HIDDEN TESTS
_check_carry(carried, seed=100)
### END HIDDEN TESTS


# %% [markdown]
# ## 6.4 Ask again, and again (2 points)
#
# By (6.6), re-encoding with the *exact* posterior of a linear CMMA edits only a part of the way, because $z'$ still has to
# explain the old picture. Somebody repeats it. Take the linear CMMA, (7.2) with $V = 0$ and $b = 0$, and let
# $q(z \mid x, y)$ *be* the true posterior, for every pair. One round decodes the present $z$ to the mean picture $x = W z$,
# and re-encodes this picture with $y'$: the new $z$ is the mean of $q(z \mid x, y')$. Where is $z$ after $n$ rounds? Write
# $m' = A y' + a$ for the mean of the new prior.
#
# **Predict, too:** where does $z$ end after very many rounds? Two faces began with two different $z$. How do they
# differ in the end? The check prints both.


# %% tags=["task:again"]
def repeated(W, S, sigma, z, m_new, n):
    """z after n rounds of decoding and re-encoding with y'. [d].

    W: [D, d]; S: [d], the prior's variances; sigma: a number; z: [d], before the first round;
    m_new: [d], the mean of p(z|y'); n: an integer, 0 or more.
    """
    ### BEGIN SOLUTION
    precision = np.diag(1 / S) + W.T @ W / sigma**2
    held = np.linalg.solve(precision, W.T @ W / sigma**2)  # what the picture holds, I − R
    return m_new + np.linalg.matrix_power(held, n) @ (z - m_new)
    ### END SOLUTION


# %% tags=["check:again:2"]
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_again(repeated, seed):
    from cvae_tf.oracle import LinearGaussian

    rng = np.random.default_rng(seed)

    def true(W, S, sigma, z, m_new, n):  # round by round, each posterior by (7.2)
        D, d = W.shape
        model = LinearGaussian(W, np.zeros(D), sigma, A=np.eye(d), a=np.zeros(d), S=S)
        for _ in range(n):
            z = model.posterior((W @ z)[None], m_new[None])[0][0]
        return z

    def held(W, S, sigma):  # I − R, column by column
        d = len(S)
        return np.stack([true(W, S, sigma, e, np.zeros(d), 1) for e in np.eye(d)], 1)

    def power(matrix, n):
        return np.linalg.matrix_power(matrix, n)

    def way(f):  # another matrix on the way from m' to z
        return lambda W, S, sigma, z, m, n: m + f(held(W, S, sigma), n) @ (z - m)

    def as_if(change):
        return lambda *case: true(*change(*case))

    slips = {
        "That is one round. The next one begins with the z that this one found: decode it.": way(
            lambda H, n: H
        ),
        "Each round's step is smaller than the one before: the way left has shrunk.": (
            lambda W, S, sigma, z, m, n: z + n * (true(W, S, sigma, z, m, 1) - z)
        ),
        "That is one round too many.": way(lambda H, n: power(H, n + 1)),
        "That is one round too few.": way(lambda H, n: power(H, max(n - 1, 0))),
        "R is the part that a round moves. What is left of the way is I − R of it.": way(
            lambda H, n: power(np.eye(len(H)) - H, n)
        ),
        "Rows and columns are swapped: which of C and S⁻¹ meets the step first?": way(
            lambda H, n: power(H.T, n)
        ),
        "The matrix is raised entry by entry: n rounds are n matrix products.": way(
            lambda H, n: H**n
        ),
        "n rounds are n products of the matrix, not n times it.": way(lambda H, n: n * H),
        "What shrinks is the way from z to m', not z itself.": lambda W, S, sigma, z, m, n: (
            power(held(W, S, sigma), n) @ z
        ),
        "What shrinks is z in yours, and m' comes on top: it is the way from m' to z that shrinks.": (
            lambda W, S, sigma, z, m, n: m + power(held(W, S, sigma), n) @ z
        ),
        "The way that is left is counted from m': add m'.": lambda W, S, sigma, z, m, n: (
            power(held(W, S, sigma), n) @ (z - m)
        ),
        "The way is turned round: it goes from m' to z.": lambda W, S, sigma, z, m, n: (
            m + power(held(W, S, sigma), n) @ (m - z)
        ),
        "z has not moved.": lambda W, S, sigma, z, m, n: z,
        "That is m' itself, where z comes only after very many rounds.": (
            lambda W, S, sigma, z, m, n: m
        ),
        "S holds variances already: they are not to be squared.": as_if(
            lambda W, S, *c: (W, S**2, *c)
        ),
        "S holds variances: its roots are not what (7.2) has.": as_if(
            lambda W, S, *c: (W, np.sqrt(S), *c)
        ),
        "The prior's precision is 1 / S, not S.": as_if(lambda W, S, *c: (W, 1 / S, *c)),
        "(7.2) has σ², not σ.": as_if(lambda W, S, sigma, *c: (W, S, np.sqrt(sigma), *c)),
        "(7.2) has σ², not σ⁴.": as_if(lambda W, S, sigma, *c: (W, S, sigma**2, *c)),
        "WᵀW is divided by σ² in (7.2); σ has no part in yours.": as_if(
            lambda W, S, sigma, *c: (W, S, 1.0, *c)
        ),
        "WᵀW is divided by σ² in (7.2); you multiply.": as_if(
            lambda W, S, sigma, *c: (W, S, 1 / sigma, *c)
        ),
        "A prior N(m', I) is not this one. Here its variances are S.": as_if(
            lambda W, S, *c: (W, S**0, *c)
        ),
        "z and m' have changed places.": as_if(lambda W, S, sigma, z, m, n: (W, S, sigma, m, z, n)),
    }
    simpler = {
        "there is one round": lambda *c: (*c[:-1], 1),
        "there is no round": lambda *c: (*c[:-1], 0),
        "m' is 0": lambda W, S, sigma, z, m, n: (W, S, sigma, z, 0 * m, n),
        "z is 0": lambda W, S, sigma, z, m, n: (W, S, sigma, 0 * z, m, n),
        "z is m' already": lambda W, S, sigma, z, m, n: (W, S, sigma, m, m, n),
        "S is 1": lambda W, S, *c: (W, S**0, *c),
        "σ is 1": lambda W, S, sigma, *c: (W, S, 1.0, *c),
        "all variances of the prior are equal": lambda W, S, *c: (W, 0 * S + 1.7, *c),
        "the picture shows nothing, W = 0": lambda W, *c: (0 * W, *c),
        "z has one dimension": lambda W, S, sigma, z, m, n: (
            W[:, :1], S[:1], sigma, z[:1], m[:1], n
        ),
        "z has one dimension, S and σ are 1": lambda W, S, sigma, z, m, n: (
            W[:, :1], S[:1] ** 0, 1.0, z[:1], m[:1], n
        ),
        "S and σ are 1": lambda W, S, sigma, *c: (W, S**0, 1.0, *c),
        "W is I and S and σ are 1": lambda W, S, sigma, *c: (np.eye(len(S)), S**0, 1.0, *c),
        "there are as many pixels as latents": lambda W, S, sigma, z, m, n: (
            W[: len(S), : len(W)], S[: len(W)], sigma, z[: len(W)], m[: len(W)], n
        ),
    }  # fmt: skip

    def a_case(D, d, n):
        W, S = 0.6 * rng.normal(size=(D, d)), rng.uniform(0.3, 3, d)
        return W, S, rng.uniform(0.6, 1.6), *rng.normal(size=(2, d)), n

    W, S, sigma, z, m_new, _ = a_case(4, 2, 1)
    edges = {
        "there is no round": (W, S, sigma, z, m_new, 0),
        "there is one round": (W, S, sigma, z, m_new, 1),
        "there are a thousand rounds": (W, S, sigma, z, m_new, 1000),
        "z is m' already": (W, S, sigma, m_new, m_new, 3),
        "z has one dimension": a_case(3, 1, 4),
        "x is one number": a_case(1, 3, 2),
        "there are as many pixels as latents": a_case(3, 3, 3),
        "the picture shows nothing, W = 0": (0 * W, S, sigma, z, m_new, 2),
        "z is seen sharply": (W, S, 1e-2, z, m_new, 5),
        "the prior's variances are very uneven": (W, np.array([1e-4, 1e2]), sigma, z, m_new, 3),
    }
    sizes = ((4, 2, 3), (3, 5, 4), (6, 3, 2), (5, 4, 7), (4, 3, 5))
    _e.agree(
        "z after n rounds", repeated, true, [a_case(*size) for size in sizes], slips=slips,
        edges=edges, simpler=simpler,
    )  # fmt: skip
    W, S, m_new = np.array([[1.0, 0.5], [0.2, 1.0], [0.4, -0.6]]), np.ones(2), np.array([1.0, -1.0])
    for n in (0, 1, 10, 100):
        ends = np.array([true(W, S, 0.7, np.array(z), m_new, n) for z in ((-1, 0.5), (0.3, 1.2))])
        to_m, apart = np.linalg.norm(ends - m_new, axis=1).mean(), np.linalg.norm(ends[0] - ends[1])
        print(f"{n:4} rounds: {to_m:.3f} from m' on average, and {apart:.3f} from one another")
    print("All end in m', whatever the face was. Transport keeps what sets them apart.")


_check_again(repeated, seed=0)
### BEGIN HIDDEN TESTS
_check_again(repeated, seed=100)
### END HIDDEN TESTS


# %% [markdown]
# ## 6.5 Reconstruction, generation, and a slip that seems to pay (3 points)
#
# A linear CMMA, $z \mid y \sim \mathcal N(Ay + a, S)$ and $x \mid z \sim \mathcal N(Wz + b, \sigma^2 I)$, is the truth itself: the faces
# come from it, and $q$ is its true posterior. Somebody compares each face $x$ with a picture $\hat x = W \hat z + b$ by the squared
# error $\lVert x - \hat x \rVert^2$, summed over the $D$ pixels. What is its expectation if
#
# 1. $\hat z$ is drawn from $q(z \mid x, y)$, a reconstruction;
# 2. $\hat z$ is drawn from $p(z \mid y)$, a generated face;
# 3. $\hat z$ is *determined* by $y$, $\hat z = Ay + a$, the slip of the lesson?
#
# For the first you need no matrix inverse: given $x$ and $y$, the true $z$ and a draw from the true posterior have
# one distribution. So what is the distribution of $x - W \hat z - b$?


# %% tags=["task:errors"]
def expected_errors(W, S, sigma):
    """E‖x − x̂‖² of the three: (reconstructed, generated, determined). Units of x², summed.

    W: [D, d]; S: [d], the prior's variances; sigma: a number. Returns three numbers.
    """
    ### BEGIN SOLUTION
    pixel_noise = len(W) * sigma**2
    spread = np.sum(W**2 * S)  # the trace of W S Wᵀ
    return pixel_noise, pixel_noise + 2 * spread, pixel_noise + spread
    ### END SOLUTION


# %% tags=["check:errors:3"]
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_errors(expected_errors, seed):
    from scipy.optimize import minimize_scalar

    from cvae_tf.oracle import LinearGaussian

    rng = np.random.default_rng(seed)

    def errors(W, S, sigma, mean_of_q=False):
        """Each expectation over the noise of z, of x and of ẑ, exactly, by (1.5)."""
        D, d = W.shape
        model = LinearGaussian(W, np.zeros(D), sigma, A=np.zeros((d, 1)), a=np.zeros(d), S=S)
        n = D + 2 * d
        points = np.sqrt(n) * np.vstack([np.eye(n), -np.eye(n)])
        z, fresh = points[:, :d] * np.sqrt(S), points[:, d : 2 * d]
        x = z @ W.T + sigma * points[:, 2 * d :]
        centre, C = model.posterior(x, np.zeros((2 * n, 1)))
        again = centre + (0 if mean_of_q else 1) * fresh @ np.linalg.cholesky(C).T
        shown = [x - guess @ W.T for guess in (again, fresh * np.sqrt(S), 0 * z)]
        return [(e**2).sum(-1).mean() for e in shown]

    true = errors

    def changed(f):  # the three, from the three true ones and the case
        return lambda W, S, sigma: f(*errors(W, S, sigma), W, S, sigma)

    def at_mean(W, S, sigma):
        return errors(W, S, sigma, mean_of_q=True)[0]

    def as_if(change):
        return lambda W, S, sigma: errors(*change(W, S, sigma))

    slips = {
        "Those are errors per pixel. Sum over the pixels.": changed(
            lambda r, g, d, W, S, sigma: [r / len(W), g / len(W), d / len(W)]
        ),
        "S holds variances already: they are not to be squared.": as_if(
            lambda W, S, sigma: (W, S**2, sigma)
        ),
        "S holds variances: they are what is needed, not their roots.": as_if(
            lambda W, S, sigma: (W, S**0.5, sigma)
        ),
        "S has no part in yours.": as_if(lambda W, S, sigma: (W, S**0, sigma)),
        "You divide by S.": as_if(lambda W, S, sigma: (W, 1 / S, sigma)),
        "σ stands where σ² belongs.": as_if(lambda W, S, sigma: (W, S, np.sqrt(sigma))),
        "σ is a standard deviation: its square is the noise, not its fourth power.": as_if(
            lambda W, S, sigma: (W, S, sigma**2)
        ),
        "Each pixel has noise of its own: D of them.": changed(
            lambda r, g, d, W, S, sigma: [v - (len(W) - 1) * sigma**2 for v in (r, g, d)]
        ),
        "The noise is that of the D pixels: you counted the d latents.": changed(
            lambda r, g, d, W, S, sigma: [v + (len(S) - len(W)) * sigma**2 for v in (r, g, d)]
        ),
        "The face x has noise, too; yours has none.": changed(
            lambda r, g, d, W, S, sigma: [v - len(W) * sigma**2 for v in (r, g, d)]
        ),
        "The last two are swapped.": changed(lambda r, g, d, *c: [r, d, g]),
        "The first two are swapped.": changed(lambda r, g, d, *c: [g, r, d]),
        "They come in the other order in yours.": changed(lambda r, g, d, *c: [d, g, r]),
        "That is the first for q's mean, not for a draw from q.": lambda *c: [
            at_mean(*c), *errors(*c)[1:]
        ],
        "The first: you added q's width to the noise. But q's mean errs by less than the noise.": (
            lambda *c: [2 * errors(*c)[0] - at_mean(*c), *errors(*c)[1:]]
        ),
        "The second: the face's z and the drawn one are two draws, and differ by both spreads.": (
            changed(lambda r, g, d, *c: [r, d, d])
        ),
        "x and ẑ are two draws: count the spread of each of them, the face's own as well.": changed(
            lambda r, g, d, *c: [r, d, r]
        ),
        "The third: ẑ does not vary, but the face's own z does.": changed(
            lambda r, g, d, *c: [r, g, r]
        ),
        "The second: the variance of a difference is the sum of two, not twice the root.": changed(
            lambda r, g, d, *c: [r, r + np.sqrt(2) * (d - r), d]
        ),
        "The second: the noise of x counts once. ẑ's picture is its mean, without noise.": changed(
            lambda r, g, d, *c: [r, g + r, d]
        ),
        "The first: both the face and its reconstruction are drawn, but the noise counts once.": (
            changed(lambda r, g, d, *c: [2 * r, g, d])
        ),
        "The first: a draw from the true posterior is no exact copy.": changed(
            lambda r, g, d, *c: [0.0, g, d]
        ),
        "The trace of W S Wᵀ has the squares of all entries of W: you added them up first.": (
            lambda W, S, sigma: [
                errors(W, S, sigma)[0] + n * np.sum(W, 0) ** 2 @ S for n in (0, 2, 1)
            ]
        ),
        "W is not squared in yours.": lambda W, S, sigma: [
            errors(W, S, sigma)[0] + n * np.sum(W, 0) @ S for n in (0, 2, 1)
        ],
    }  # fmt: skip
    names = "reconstructed", "generated", "determined"

    def spread(W, S, sigma):
        r, _, d = errors(W, S, sigma)
        return d - r

    terms = {
        "the noise of the pixels": lambda W, S, sigma: (len(W) * sigma**2,) * 3,
        "the spread of z in the picture": lambda *c: (spread(*c),) * 3,
    }
    simpler = {
        "σ is 1": lambda W, S, sigma: (W, S, 1.0),
        "S is 1": lambda W, S, sigma: (W, S**0, sigma),
        "there is one pixel": lambda W, S, sigma: (W[:1], S, sigma),
        "z has one dimension": lambda W, S, sigma: (W[:, :1], S[:1], sigma),
        "W is 0": lambda W, S, sigma: (0 * W, S, sigma),
        "there is one pixel, and one latent": lambda W, S, sigma: (W[:1, :1], S[:1], sigma),
        "the noise is next to nothing": lambda W, S, sigma: (W, S, 1e-7),
        "S and σ are 1": lambda W, S, sigma: (W, S**0, 1.0),
        "all variances are 1 and W is I": lambda W, S, sigma: (np.eye(len(S)), S**0, 1.0),
        "there are as many pixels as latents": lambda W, S, sigma: (
            W[: len(S), : len(W)], S[: len(W)], sigma
        ),
    }  # fmt: skip

    def a_case(D, d):
        return rng.normal(size=(D, d)), rng.uniform(0.3, 3, d), rng.uniform(0.4, 1.8)

    W, S, sigma = a_case(4, 2)
    edges = {
        "x is one number": a_case(1, 3),
        "z has one dimension": a_case(5, 1),
        "there are as many pixels as latents": a_case(3, 3),
        "x does not depend on z, W = 0": (0 * W, S, sigma),
        "the noise is very small": (W, S, 1e-3),
        "the prior's variances are very uneven": (W, np.array([1e-4, 1e3]), sigma),
    }
    cases = [a_case(*size) for size in ((6, 2), (3, 4), (5, 3), (4, 6), (7, 2))]
    _e.agree(
        "E‖x − x̂‖²", expected_errors, true, cases, parts=names, slips=slips, terms=terms,
        edges=edges, simpler=simpler,
    )  # fmt: skip

    def mean_log_p(tau, factor):
        """E log p(x|y) under the truth, of a model with noise tau and the prior's variances · factor."""
        D, d = W.shape
        points = np.sqrt(D + d) * np.vstack([np.eye(D + d), -np.eye(D + d)])
        x = points[:, :d] * np.sqrt(S) @ W.T + sigma * points[:, d:]
        return LinearGaussian(W, np.zeros(D), tau, S=S * factor).log_evidence(x).mean()

    best = minimize_scalar(lambda tau: -mean_log_p(tau, 1e-12), bounds=(0.1, 9), method="bounded")
    for name, error in zip(names, errors(W, S, sigma), strict=True):
        print(f"{name:14}{error:6.2f}")
    print("By squared error the slip beats the true model's own faces: it always shows the average.")
    print(f"By log p(x|y) it loses {mean_log_p(sigma, 1) + best.fun:.2f} nats.")


_check_errors(expected_errors, seed=0)
### BEGIN HIDDEN TESTS
_check_errors(expected_errors, seed=100)
### END HIDDEN TESTS


# %% [markdown]
# ## 6.6 Find the bugs: the timid painter (3 points)
#
# Two models have drawn faces from the same $N$ descriptions, and a reader has read five continuous attributes off
# them. The program below compares their fidelity. Model B is timid: a description that asks for a broad smile gets half of
# one, and every face looks a little to the right. Yet the program prefers B, if anything. Mend both
# numbers:
#
# - the difference of the two $R^2$, each averaged over the attributes: $R^2$ as the lesson defines it, so that always drawing
#   the mean of what is asked for would give zero;
# - its standard error over descriptions. Both models were given the *same* descriptions, and some are hard for both.


# %%
def verdict(read_a, read_b, asked):
    """(fidelity of A − fidelity of B, its standard error). All arguments [N, K]."""
    columns = range(asked.shape[1])
    a, b = (
        np.array([np.corrcoef(read[:, k], asked[:, k])[0, 1] ** 2 for k in columns])
        for read in (read_a, read_b)
    )
    error = np.sqrt(read_a.var(0).mean() + read_b.var(0).mean()) / np.sqrt(len(asked))
    return a.mean() - b.mean(), error


# %% tags=["task:timid"]
def mended(read_a, read_b, asked):
    """As above: (difference of R², A − B; its paired standard error). Two numbers."""
    ### BEGIN SOLUTION
    worse = ((read_b - asked) ** 2 - (read_a - asked) ** 2) / asked.var(0)
    ahead = worse.mean(1)  # one value per description
    return ahead.mean(), ahead.std(ddof=1) / np.sqrt(len(ahead))
    ### END SOLUTION


# %% tags=["check:timid:3"]
import importlib

from cvae_tf import exercises as _e

_e = importlib.reload(_e)  # nothing that a cell defines reaches a check


@_e.alone
def _check_timid(mended, seed):
    rng = np.random.default_rng(seed)

    def each(a, b, asked):  # what each description adds to the difference, attribute by attribute
        spread = np.mean((asked - np.mean(asked, 0)) ** 2, 0)
        return ((b - asked) ** 2 - (a - asked) ** 2) / spread

    def leave_one_out(values):
        """The jackknife's standard error of a mean."""
        N = len(values)
        means = (np.sum(values) - values) / (N - 1)
        return np.sqrt((N - 1) / N * np.sum((means - means.mean()) ** 2))

    def exact(a, b, asked):
        ahead = each(a, b, asked).mean(1)
        return [ahead.mean(), leave_one_out(ahead)]

    def share(values, case):  # of the true numbers: N − 1 in place of N changes it by 1 in N
        return [v if v is None else v / abs(t) for v, t in zip(values, exact(*case), strict=True)]

    def yours(*case):
        values = mended(*case)
        _e.require(
            values is not None and np.shape(values) == (2,),
            "Return two numbers: difference, standard error.",
        )
        return share(values, case)

    def true(*case):
        return share(exact(*case), case)

    def first(f):
        return lambda *case: share([f(*case), None], case)

    def second(f):
        return lambda *case: share([None, f(*case)], case)

    def correlations(read, asked):
        return [np.corrcoef(*pair)[0, 1] for pair in zip(read.T, asked.T, strict=True)]

    def loss(read, asked):
        return (read - asked) ** 2

    def flattered(a, b, asked):
        return np.mean(np.square(correlations(a, asked))) - np.mean(
            np.square(correlations(b, asked))
        )

    def of_one(read, asked):  # what each description adds to one model's R²
        return -(loss(read, asked) / asked.var(0)).mean(1)

    slips = {
        "A squared correlation forgives half a smile and a turned face: it fits a line first.": (
            first(flattered)
        ),
        "A correlation forgives half a smile and a turned face: it fits a line first.": first(
            lambda a, b, asked: np.mean(correlations(a, asked)) - np.mean(correlations(b, asked))
        ),
        "That is B − A.": first(lambda *c: -exact(*c)[0]),
        "Measured against the spread of what was read, a timid model counts for less or more than "
        "it should. The baseline draws the mean of what is asked.": first(
            lambda a, b, asked: np.mean(loss(b, asked) / b.var(0)) - np.mean(loss(a, asked) / a.var(0))
        ),
        "Each attribute has its own variance, and its own R²; then the average.": first(
            lambda a, b, asked: np.sum(loss(b, asked) - loss(a, asked))
            / np.sum((asked - asked.mean(0)) ** 2)
        ),
        "Those are squared errors, not yet parts of a variance.": first(
            lambda a, b, asked: np.mean(loss(b, asked) - loss(a, asked))
        ),
        "A spread is a standard deviation in yours; R² has the variance.": first(
            lambda a, b, asked: np.mean((loss(b, asked) - loss(a, asked)) / asked.std(0))
        ),
        "The attributes' R² are averaged; you added them up.": first(
            lambda a, b, asked: each(a, b, asked).mean(0).sum()
        ),
        "That is R² of A alone.": first(lambda a, b, asked: 1 + of_one(a, asked).mean()),
        "That is R² of B alone.": first(lambda a, b, asked: 1 + of_one(b, asked).mean()),
        "The two are added up: the difference is asked for.": first(
            lambda a, b, asked: 2 + of_one(a, asked).mean() + of_one(b, asked).mean()
        ),
        "The errors are not squared in yours.": first(
            lambda a, b, asked: np.mean(((b - asked) - (a - asked)) / asked.var(0))
        ),
        "Absolute errors stand where squared ones belong.": first(
            lambda a, b, asked: np.mean((np.abs(b - asked) - np.abs(a - asked)) / asked.var(0))
        ),
        "You divide by asked's mean square: R² has its variance.": first(
            lambda a, b, asked: np.mean((loss(b, asked) - loss(a, asked)) / np.mean(asked**2, 0))
        ),
        "The two models saw the same descriptions: take the difference first, then its error.": (
            second(
                lambda a, b, asked: np.hypot(*(leave_one_out(of_one(v, asked)) for v in (a, b)))
            )
        ),
        "The error of the old program: it measures how much the attributes vary.": second(
            lambda a, b, asked: np.sqrt(np.mean(a.var(0) + b.var(0)) / len(a))
        ),
        "The readings of one face are not independent: N descriptions, not N·K.": second(
            lambda *c: each(*c).std() / np.sqrt(each(*c).size)
        ),
        "That is the spread of single descriptions. A mean varies less.": second(
            lambda *c: each(*c).mean(1).std()
        ),
        "That is a variance.": second(lambda *c: exact(*c)[1] ** 2),
        "That is the variance of single descriptions.": second(lambda *c: each(*c).mean(1).var()),
        "A mean of N varies by 1 / √N of the spread: you divided by N.": second(
            lambda *c: each(*c).mean(1).std() / len(c[0])
        ),
        "You divide by √K: there are N descriptions.": second(
            lambda *c: each(*c).mean(1).std() / np.sqrt(c[0].shape[1])
        ),
        "The error over attributes: it is asked for over descriptions.": second(
            lambda *c: each(*c).mean(0).std(ddof=1) / np.sqrt(c[0].shape[1])
        ),
        "Each attribute has an error of its own in yours, and they are averaged: average the "
        "attributes first.": second(
            lambda *c: np.mean(each(*c).std(0)) / np.sqrt(len(c[0]))
        ),
        "The attributes' sum stands where their average belongs.": second(
            lambda *c: leave_one_out(each(*c).sum(1))
        ),
        "The standard error is multiplied by √N in yours.": second(
            lambda *c: each(*c).mean(1).std() * np.sqrt(len(c[0]))
        ),
    }  # fmt: skip
    simpler = {
        "there is one attribute": lambda a, b, asked: (a[:, :1], b[:, :1], asked[:, :1]),
        "the attributes have variance 1": lambda a, b, asked: tuple(
            v / asked.std(0) for v in (a, b, asked)
        ),
        "A is perfect": lambda a, b, asked: (asked, b, asked),
        "B is perfect": lambda a, b, asked: (a, asked, asked),
        "the attributes have mean 0": lambda a, b, asked: tuple(
            v - asked.mean(0) for v in (a, b, asked)
        ),
        "all attributes are alike": lambda a, b, asked: tuple(
            np.tile(v[:, :1], v.shape[1]) for v in (a, b, asked)
        ),
        "there is one attribute, of variance 1": lambda a, b, asked: tuple(
            v[:, :1] / asked[:, :1].std(0) for v in (a, b, asked)
        ),
    }  # fmt: skip
    unchanged = {
        "all is moved alike": lambda a, b, asked: (a + 1, b + 1, asked + 1),
        "all is measured in another unit": lambda a, b, asked: (3 * a, 3 * b, 3 * asked),
        "the descriptions come in another order": lambda a, b, asked: (
            a[::-1], b[::-1], asked[::-1]
        ),
    }  # fmt: skip

    def a_case(N, K, timid=0.5):
        asked = rng.uniform(-1, 1, (N, K)) * np.linspace(1.3, 0.5, K) + rng.normal(size=K)
        hard = 0.15 * rng.normal(size=(N, 1))  # for any model
        a = asked + hard + 0.15 * rng.normal(size=(N, K))
        middle = asked.mean(0)
        b = middle + timid * (asked + hard - middle) + 0.2 + 0.05 * rng.normal(size=(N, K))
        return a, b, asked

    a, b, asked = a_case(200, 5)
    edges = {
        "there is one attribute": a_case(150, 1),
        "A is perfect": (asked, b, asked),
        "B always draws the mean of what is asked": (a, 0 * b + asked.mean(0), asked),
        "B is the better": (b, a, asked),
        "one attribute hardly varies": (
            a * np.array([1, 1, 1, 1, 1e-3]), b * np.array([1, 1, 1, 1, 1e-3]),
            asked * np.array([1, 1, 1, 1, 1e-3]),
        ),
    }  # fmt: skip
    cases = [(a, b, asked), a_case(150, 3), a_case(300, 4, 0.7), a_case(180, 2, 0.3)]
    _e.agree(
        "beside the true numbers", yours, true, cases, atol=0.01,
        parts=("the difference", "its standard error"), slips=slips, edges=edges,
        simpler=simpler, unchanged=unchanged,
    )  # fmt: skip
    old = np.sqrt(np.mean(a.var(0) + b.var(0)) / len(a))
    print(f"The old program's difference: {flattered(a, b, asked):.2f} ± {old:.2f};", end=" ")
    print("mended {:.2f} ± {:.2f}.".format(*exact(a, b, asked)))


_check_timid(mended, seed=0)
### BEGIN HIDDEN TESTS
_check_timid(mended, seed=100)
### END HIDDEN TESTS
