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

from cvae_tf.exercises import compare, require
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
def affine(bias, scale, **weights):
    """A network without hidden layers: bias + Σ weights · parent, and a fixed scale."""

    def net(**parents):
        mean = bias + sum(value @ weights[name].T for name, value in parents.items())
        return mean, np.broadcast_to(scale, mean.shape)

    return net


def check_half(D, d, T, K, N, seed):
    rng = np.random.default_rng(seed)
    W, b, a = rng.normal(size=(D, d)), rng.normal(size=D), rng.normal(size=d)
    A, V = rng.normal(size=(d, T + K)), rng.normal(size=(D, T + K))  # more than the graph has
    S, sigma, scale = rng.uniform(0.3, 2, d), 0.8, rng.uniform(0.3, 0.9, d)
    B, c = 0.3 * rng.normal(size=(d, D + T + K)), rng.normal(size=d)
    x, y = rng.normal(size=(N, D)), rng.normal(size=(N, T + K))
    traits, light = y[:, :T], y[:, T:]
    nets = {
        "q": affine(c, scale, x=B[:, :D], traits=B[:, D : D + T], light=B[:, D + T :]),
        "prior": affine(a, np.sqrt(S), traits=A[:, :T], light=A[:, T:]),
        "decoder": affine(b, sigma, z=W, traits=V[:, :T], light=V[:, T:]),
    }
    by_trait = np.arange(T + K) < T

    def model(A=A * by_trait, V=V * ~by_trait, a=a, S=S):  # zeros where the graph has no arrow
        return LinearGaussian(W, b, sigma, V, A, a, S)

    def q_mean(x=x, traits=traits, light=light):
        return np.hstack([x, traits, light]) @ B.T + c

    log_p = model().log_evidence(x, y)  # (7.1)
    true = log_p - model().kl_to_posterior(q_mean(), scale, x, y)  # (3.1)
    slips = {
        "The decoder still hears of the traits.": model(V=V).bound(q_mean(), scale, x, y),
        "The decoder does not hear of the light.": model(V=0 * V).bound(q_mean(), scale, x, y),
        "The prior hears of the light: which arrows run into z?": model(A=A).bound(
            q_mean(), scale, x, y
        ),
        "That is the CVAE-1 as it was.": model(A=A, V=V).bound(q_mean(), scale, x, y),
        "The prior has lost the traits: that is CVAE-2's.": model(A=0 * A).bound(
            q_mean(), scale, x, y
        ),
        "N(0, I) stands for the prior: that is CVAE-2's.": model(0 * A, a=0 * a, S=S**0).bound(
            q_mean(), scale, x, y
        ),
        "Your q is blind to the traits. The true posterior holds the factor p(z | traits).": (
            model().bound(q_mean(traits=0 * traits), scale, x, y)
        ),
        "Your q is blind to the light. It has to know which part of x the light explains.": (
            model().bound(q_mean(light=0 * light), scale, x, y)
        ),
        "Your q sees the picture alone.": model().bound(
            q_mean(traits=0 * traits, light=0 * light), scale, x, y
        ),
    }
    points = np.sqrt(d) * np.vstack([np.eye(d), -np.eye(d)])  # (1.5)
    drawn = [half_chain_bound(nets, x, traits, light, np.tile(e, (N, 1))) for e in points]
    require(
        all(np.shape(values) == (N,) for values in drawn),
        f"One value for each example, [{N}]; yours has shape {np.shape(drawn[0])}.",
    )
    compare("the bound, over all noise", np.mean(drawn, 0), true, unit="nats", slips=slips)
    epsilon = rng.normal(size=(N, d))
    (centre, s), (wrong, _) = (m.prior(y) for m in (model(), model(A=A)))

    def picture(z, V):
        return z @ W.T + y @ V.T + b

    slips = {
        "The decoder still hears of the traits.": picture(centre + s * epsilon, V),
        "The prior hears of the light.": picture(wrong + s * epsilon, V * ~by_trait),
        "That is the picture of a CVAE-1.": picture(wrong + s * epsilon, V),
        "z is drawn given the traits, not determined by them.": picture(centre, V * ~by_trait),
        "Draw with the prior's mean and scale, not from N(0, I).": picture(epsilon, V * ~by_trait),
    }
    true = picture(centre + s * epsilon, V * ~by_trait)
    compare("a picture", generate(nets, traits, light, epsilon), true, slips=slips)


check_half(D=5, d=2, T=3, K=2, N=4, seed=0)
### BEGIN HIDDEN TESTS
check_half(D=3, d=3, T=1, K=1, N=5, seed=1)
check_half(D=4, d=2, T=4, K=0, N=3, seed=2)  # no light: CMMA
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
def kl_of_pictures(one, other, y):
    """KL(p₁(x|y) ‖ p₄(x|y)), nats, [N]: the mean of log p₁ − log p₄ over (1.5)'s points."""
    (D, d), N = one.W.shape, len(y)
    points = np.sqrt(D + d) * np.vstack([np.eye(D + d), -np.eye(D + d)])
    centre, s = one.prior(y)
    means = [
        (centre + s * e[:d]) @ one.W.T + y @ one.V.T + one.b + one.sigma * e[d:] for e in points
    ]
    logs = [one.log_evidence(x, y) - other.log_evidence(x, y) for x in means]
    return np.mean(logs, 0).reshape(N)


def check_disguise(D, d, K, N, hidden, seed):
    rng = np.random.default_rng(seed)
    W, A = rng.normal(size=(D, d)), rng.normal(size=(d, K))
    T, S, sigma = rng.normal(size=(d, K)), rng.uniform(0.3, 3, d), rng.uniform(0.5, 1.5)
    V = W @ T if hidden else rng.normal(size=(D, K))
    rest = dict(b=rng.normal(size=D), sigma=sigma, a=rng.normal(size=d), S=S)
    model, y = LinearGaussian(W, V=V, A=A, **rest), rng.normal(size=(N, K))
    # δᵀΣ⁻¹δ is a sum of squares once Σ has become I; least squares then finds all its minima
    whiten = np.linalg.inv(np.linalg.cholesky((W * S) @ W.T + sigma**2 * np.eye(D)))
    moves = np.linalg.lstsq(whiten @ W, whiten @ V, rcond=None)[0]
    left = y @ (whiten @ (V - W @ moves)).T
    least = (left**2).sum(-1) / 2

    def chain(A):
        return LinearGaussian(W, A=A, **rest)

    yours, means = nearest_chain(model), y @ (A + moves).T + rest["a"]
    require(isinstance(yours, LinearGaussian), "Return a LinearGaussian.")
    require(yours.V is None or np.all(yours.V == 0), "A CMMA has no V.")
    require(yours.A is not None and yours.a is not None, "A or a is missing.")
    slips = {
        "V is dropped, and nothing in z makes up for it.": chain(A).prior(y)[0],
        "A was there already: y moves z by A as well.": chain(moves).prior(y)[0],
        "V was added to the mean of x: which sign brings it back?": chain(A - moves).prior(y)[0],
        "Wᵀ is no inverse of W unless its columns are orthonormal.": chain(A + W.T @ V).prior(y)[0],
    }
    name = "the disguised one's" if hidden else "the nearest chain's"
    compare(f"{name} mean of z", yours.prior(y)[0], means, slips=slips)
    least = np.round(least, 9)
    compare(f"{name} KL", np.round(kl_of_pictures(model, yours, y), 9), least, unit="nats")
    dropped, straight = kl_of_pictures(model, chain(A), y), np.sum((y @ V.T) ** 2, -1)
    slips = {
        "That is the price of dropping V. z can make up for a part of it.": dropped,
        "All of V y counts in yours. z can make up for a part of it.": straight / (2 * sigma**2),
        "KL has σ² where you have σ.": least * sigma,
        "Half of that: look at the factor in the exponent.": 2 * least,
        "Distances are squared; nats are distances in units of σ.": 2 * sigma**2 * least,
        "Divided by 2σ² it would be in nats. Yours is a half of a squared distance.": least
        * sigma**2,
    }
    price = price_of_the_chain(model, y)
    require(price is not None, "price_of_the_chain returns nothing.")
    compare(f"{name} price", np.round(price, 9), least, unit="nats", slips=slips)
    print(
        f"Dropping V alone would cost {dropped.mean():.2f} nats on average, not {least.mean():.2f}."
    )


check_disguise(D=5, d=2, K=3, N=4, hidden=True, seed=0)
check_disguise(D=5, d=2, K=3, N=4, hidden=False, seed=1)
### BEGIN HIDDEN TESTS
check_disguise(D=6, d=4, K=2, N=3, hidden=False, seed=2)
check_disguise(D=3, d=1, K=4, N=3, hidden=True, seed=3)
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
def same_place(z, m, s, m_new, s_new):
    """The point with as much of the new prior below it as z has of the old one."""
    return norm.ppf(norm.cdf(z, m, s), m_new, s_new)


def check_carried(N, d, seed):
    rng = np.random.default_rng(seed)
    m, m_new = rng.normal(size=(2, N, d))
    s, s_new = rng.uniform(0.4, 2.5, (2, N, d))
    mu, sigma = m + s * rng.uniform(-1.5, 1.5, (N, d)), s * rng.uniform(0.1, 0.7, (N, d))
    low, high = (same_place(mu + side * sigma, m, s, m_new, s_new) for side in (-1, 1))
    mean, scale = (low + high) / 2, (high - low) / 2
    yours = carried(mu, sigma, m, s, m_new, s_new)
    require(yours is not None and len(yours) == 2, "Return two arrays: mean, standard deviation.")
    slips = {
        "The step from mean to mean is right, but places are measured in the priors' scales.": m_new
        + mu
        - m,
        "The ratio of the scales is upside down.": m_new + (mu - m) * s / s_new,
        "That is the step from m. Where does it end?": mean - m_new,
        "μ has moved by the ratio; but a place is counted from the old prior's mean.": m_new
        + mu * s_new / s,
    }
    compare("mean of z'", yours[0], mean, slips=slips)
    slips = {
        "σ has stayed as it was. The whole of q is stretched.": sigma,
        "The ratio of the scales is upside down.": sigma * s / s_new,
        "That is the variance.": scale**2,
        "A standard deviation goes with the ratio, not with its square.": scale * s_new / s,
        "That is the new prior's scale: q has seen the face, and is narrower.": s_new,
    }
    compare("standard deviation of z'", yours[1], scale, slips=slips)
    there = kl_diagonal(*yours, m_new, s_new)
    back = carried(*yours, m_new, s_new, m, s)
    compare("there and back: the mean", back[0], mu)
    compare("there and back: the standard deviation", back[1], sigma)
    return kl_diagonal(mu, sigma, m, s), there


before, after = check_carried(N=3, d=2, seed=0)
for old, new in zip(before, after, strict=True):
    print(f"q is {old:.3f} nats from the old prior; transported, {new:.3f} nats from the new one.")
### BEGIN HIDDEN TESTS
check_carried(N=2, d=5, seed=1)
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
def by_rounds(W, S, sigma, z, m_new, n):
    """The same round by round, each posterior by (7.2)."""
    D, d = W.shape
    model = LinearGaussian(W, np.zeros(D), sigma, A=np.eye(d), a=np.zeros(d), S=S)
    for _ in range(n):
        z = model.posterior((W @ z)[None], m_new[None])[0][0]
    return z


def check_repeated(D, d, n, seed):
    rng = np.random.default_rng(seed)
    W, S, sigma = 0.6 * rng.normal(size=(D, d)), rng.uniform(0.3, 3, d), 1.3
    z, m_new = rng.normal(size=(2, d))
    given = z, m_new
    true = by_rounds(W, S, sigma, *given, n)
    first = by_rounds(W, S, sigma, *given, 1) - z
    held = np.stack([by_rounds(W, S, sigma, e, np.zeros(d), 1) for e in np.eye(d)], 1)  # I − R
    moved = np.eye(d) - held
    slips = {
        "That is one round. The next one begins with the z that this one found.": z + first,
        "Each round's step is smaller than the one before: the way left has shrunk.": z + n * first,
        "That is one round too many.": by_rounds(W, S, sigma, *given, n + 1),
        "R is the part that a round moves. What is left of the way is I − R of it.": m_new
        + np.linalg.matrix_power(moved, n) @ (z - m_new),
        "Rows and columns are swapped: which of C and S⁻¹ meets the step first?": m_new
        + np.linalg.matrix_power(held.T, n) @ (z - m_new),
        "What shrinks is the way from z to m', not z itself.": np.linalg.matrix_power(held, n) @ z,
        "S holds variances already: they are not to be squared.": by_rounds(
            W, S**2, sigma, *given, n
        ),
        "(7.2) has σ², not σ.": by_rounds(W, S, np.sqrt(sigma), *given, n),
        "A prior N(m', I) is not this one. Here its variances are S.": by_rounds(
            W, S**0, sigma, *given, n
        ),
    }
    yours = repeated(W, S, sigma, *given, n)
    compare(f"z after {n} rounds", yours, true, slips=slips)


check_repeated(D=4, d=2, n=3, seed=0)
W, S, m_new = np.array([[1.0, 0.5], [0.2, 1.0], [0.4, -0.6]]), np.ones(2), np.array([1.0, -1.0])
faces = np.array([[-1.0, 0.5], [0.3, 1.2]])
for n in (0, 1, 10, 100):
    ends = np.array([np.asarray(repeated(W, S, 0.7, z, m_new, n), "float64") for z in faces])
    true = np.array([by_rounds(W, S, 0.7, z, m_new, n) for z in faces])
    compare(f"two faces after {n} rounds", ends, true)
    to_m, apart = np.linalg.norm(true - m_new, axis=1).mean(), np.linalg.norm(true[0] - true[1])
    print(f"{n:4} rounds: {to_m:.3f} from m' on average, and {apart:.3f} from one another")
print("All end in m', whatever the face was. Transport keeps what sets them apart.")
### BEGIN HIDDEN TESTS
check_repeated(D=3, d=5, n=4, seed=1)
check_repeated(D=5, d=3, n=0, seed=2)
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
def true_errors(W, S, sigma, mean_of_q=False):
    """Each expectation over the noise of z, of x and of ẑ, exactly, by (1.5)."""
    D, d = W.shape
    model = LinearGaussian(W, np.zeros(D), sigma, A=np.zeros((d, 1)), a=np.zeros(d), S=S)
    n = D + 2 * d
    points = np.sqrt(n) * np.vstack([np.eye(n), -np.eye(n)])
    z, fresh = points[:, :d] * np.sqrt(S), points[:, d : 2 * d]
    x = z @ W.T + sigma * points[:, 2 * d :]
    centre, C = model.posterior(x, np.zeros((2 * n, 1)))
    again = centre + (0 if mean_of_q else 1) * fresh @ np.linalg.cholesky(C).T
    errors = [x - guess @ W.T for guess in (again, fresh * np.sqrt(S), 0 * z)]
    return np.array([(e**2).sum(-1).mean() for e in errors])


def check_errors(D, d, sigma, seed):
    rng = np.random.default_rng(seed)
    W, S = rng.normal(size=(D, d)), rng.uniform(0.3, 3, d)
    true, at_mean = true_errors(W, S, sigma), true_errors(W, S, sigma, mean_of_q=True)[0]
    reconstructed, generated, determined = true
    slips = {
        "Those are errors per pixel. Sum over the pixels.": true / D,
        "S holds variances already: they are not to be squared.": true_errors(W, S**2, sigma),
        "S holds variances: they are what is needed, not their roots.": true_errors(
            W, S**0.5, sigma
        ),
        "Each pixel has noise of its own: D of them.": true - (D - 1) * sigma**2,
        "The face x has noise, too; yours has none.": true - D * sigma**2,
        "The last two are swapped.": true[[0, 2, 1]],
        "That is the first for q's mean, not for a draw from q.": [at_mean, generated, determined],
        "The first: you added q's width to the noise. But q's mean errs by less than the noise.": [
            2 * reconstructed - at_mean,
            generated,
            determined,
        ],
        "The second: the face's z and the drawn one are two draws, and differ by both spreads.": [
            reconstructed,
            determined,
            determined,
        ],
        "x and ẑ are two draws: count the spread of each of them, the face's own as well.": [
            reconstructed,
            determined,
            reconstructed,
        ],
        "The third: ẑ does not vary, but the face's own z does.": [
            reconstructed,
            generated,
            reconstructed,
        ],
    }
    yours = expected_errors(W, S, sigma)
    compare("(reconstructed, generated, determined)", yours, true, slips=slips)
    return W, S, sigma


def mean_log_p(W, S, sigma, tau, factor):
    """E log p(x|y) under the truth, of a model with noise tau and the prior's variances · factor."""
    D, d = W.shape
    points = np.sqrt(D + d) * np.vstack([np.eye(D + d), -np.eye(D + d)])
    x = points[:, :d] * np.sqrt(S) @ W.T + sigma * points[:, d:]
    return LinearGaussian(W, np.zeros(D), tau, S=S * factor).log_evidence(x).mean()


W, S, sigma = check_errors(D=6, d=2, sigma=0.5, seed=0)
best = minimize_scalar(
    lambda tau: -mean_log_p(W, S, sigma, tau, 1e-12), bounds=(0.1, 9), method="bounded"
)
for name, error in zip(
    ("reconstructed", "generated", "determined"), true_errors(W, S, sigma), strict=True
):
    print(f"{name:14}{error:6.2f}")
print("By squared error the slip beats the true model's own faces: it always shows the average.")
print(f"By log p(x|y) it loses {mean_log_p(W, S, sigma, sigma, 1) + best.fun:.2f} nats.")
### BEGIN HIDDEN TESTS
check_errors(D=3, d=4, sigma=1.7, seed=1)
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
def painted(N, K, seed):
    rng = np.random.default_rng(seed)
    asked = rng.uniform(-1, 1, (N, K)) * np.linspace(1, 0.8, K)
    hard = 0.15 * rng.normal(size=(N, 1))  # for any model
    a = asked + hard + 0.15 * rng.normal(size=(N, K))
    b = 0.5 * (asked + hard) + 0.2 + 0.05 * rng.normal(size=(N, K))
    return a, b, asked


def leave_one_out(values):
    """The jackknife's standard error of a mean."""
    N = len(values)
    means = np.array([np.delete(values, i).mean() for i in range(N)])
    return np.sqrt((N - 1) / N * np.sum((means - means.mean()) ** 2))


def check_timid(N, K, seed):
    a, b, asked = painted(N, K, seed)
    scores = [r2_score(asked, read) for read in (a, b)]
    yours = mended(a, b, asked)
    require(
        yours is not None and len(yours) == 2, "Return two numbers: difference, standard error."
    )
    fits = [[np.corrcoef(r[:, k], asked[:, k])[0, 1] ** 2 for k in range(K)] for r in (a, b)]
    flattered, unpaired = (
        np.mean(fits[0]) - np.mean(fits[1]),
        np.sqrt(np.mean(a.var(0) + b.var(0)) / N),
    )
    own = [r2_score(asked, read, multioutput="variance_weighted") for read in (a, b)]
    by_read = [1 - np.mean((r - asked) ** 2 / r.var(0)) for r in (a, b)]
    squares = [np.mean((r - asked) ** 2) for r in (a, b)]
    slips = {
        "A squared correlation forgives half a smile and a turned face: it fits a line first.": (
            flattered
        ),
        "That is B − A.": scores[1] - scores[0],
        "Measured against the spread of what was read, a timid model counts for less or more than "
        "it should. The baseline draws the mean of what is asked.": by_read[0] - by_read[1],
        "Each attribute has its own variance, and its own R²; then the average.": own[0] - own[1],
        "Those are squared errors, not yet parts of a variance.": squares[1] - squares[0],
    }
    ahead = scores[0] - scores[1]  # the tolerances let pass a variance with N − 1 in place of N
    compare("R² of A − R² of B", yours[0], ahead, atol=2 * abs(ahead) / N, slips=slips)
    one = np.array([[r2_score(asked, np.where(np.arange(N)[:, None] == i, read, asked))
                     for i in range(N)] for read in (a, b)])  # fmt: skip
    each = N * (one[0] - one[1])  # what description i adds to the difference
    true = leave_one_out(each)
    many = ((b - asked) ** 2 - (a - asked) ** 2) / asked.var(0)
    parts = [leave_one_out(N * scores) for scores in one]
    slips = {
        "The two models saw the same descriptions: take the difference first, then its error.": (
            np.hypot(*parts)
        ),
        "The error of the old program: it measures how much the attributes vary.": unpaired,
        "The readings of one face are not independent: N descriptions, not N·K.": many.std()
        / np.sqrt(many.size),
        "That is the spread of single descriptions. A mean varies less.": each.std(),
        "That is a variance.": true**2,
    }
    compare("its standard error", yours[1], true, atol=2 * true / N, slips=slips)
    print(f"R² of A {scores[0]:.2f}, of B {scores[1]:.2f}. The old program's difference:", end=" ")
    print(f"{flattered:.2f} ± {unpaired:.2f}; mended {ahead:.2f} ± {true:.2f}.")


check_timid(N=200, K=5, seed=0)
### BEGIN HIDDEN TESTS
check_timid(N=60, K=3, seed=1)
### END HIDDEN TESTS
