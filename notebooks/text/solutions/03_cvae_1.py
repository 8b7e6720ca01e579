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

from cvae_tf import datasets, oracle
from cvae_tf.exercises import compare, require
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
def a_family(K, D, d, seed):
    """A VAE for every label: one likelihood's W and σ, but a prior and an offset of its own."""
    rng = np.random.default_rng(seed)
    W, _ = np.linalg.qr(rng.normal(size=(D, d)))  # orthogonal: the true posterior stands upright
    b, a, S = rng.normal(size=(K, D)), 2 * rng.normal(size=(K, d)), rng.uniform(0.2, 3, (K, d))
    return [LinearGaussian(W, b[k], 0.6, a=a[k], S=S[k]) for k in range(K)]


def check_draws(name, family, labels, seed):
    rng = np.random.default_rng(seed)
    one, K, B = family[0], len(family), len(labels)
    D, d = one.W.shape
    x, mu, sigma = rng.normal(size=(B, D)), rng.normal(size=(B, d)), rng.uniform(0.3, 1.2, (B, d))
    m, s = np.stack([v.a for v in family]), np.sqrt(np.stack([v.S for v in family]))
    offsets = np.stack([family[k].b for k in labels])

    def log_likelihood(z):
        return norm.logpdf(x, z @ one.W.T + offsets, one.sigma).sum(-1)

    def yours(mean, scale, epsilon):
        answer = sgvb_a(mean, scale, np.eye(K)[labels], m, s, log_likelihood, epsilon)
        require(
            np.shape(answer) == (B,), f"One value for each pair: [{B}], not {np.shape(answer)}."
        )
        return np.asarray(answer)

    def bounds(a, S):  # (3.2) in closed form, each pair by the VAE of its label
        rows = [
            LinearGaussian(one.W, family[k].b, one.sigma, a=a[k], S=S[k]).bound(*case)
            for k, case in zip(labels, zip(mu, sigma, x[:, None], strict=True), strict=True)
        ]
        return np.concatenate(rows)

    true = bounds(m, s**2)
    slips = {
        "All labels have the prior N(0, I) in yours. The table holds one for each.": bounds(
            0 * m, 1 + 0 * s
        ),
        "The table holds standard deviations; you took them for variances.": bounds(m, s),
        "You took the variances where standard deviations belong.": bounds(m, s**4),
        "That is E[log p(x, z|y)]. What does the first line of (3.2) subtract?": true
        - norm.entropy(mu, sigma).sum(-1),
        "You put q's mean into the prior. All three densities are taken at the draw.": true
        + 0.5 * np.sum((sigma / s[labels]) ** 2, -1),
        "The sign: the bound is log p(x, z|y) − log q(z|x,y).": -true,
    }
    draws = np.sqrt(d) * np.vstack([np.eye(d), -np.eye(d)])  # (1.5): exact for quadratics
    mean = np.mean([yours(mu, sigma, np.tile(draw, (B, 1))) for draw in draws], 0)
    compare(f"{name}, averaged over the noise (1.5)", mean, true, unit="nats", slips=slips)
    posteriors = [family[k].posterior(row[None]) for k, row in zip(labels, x, strict=True)]
    centre = np.concatenate([mean for mean, _ in posteriors])
    scale = np.sqrt(np.stack([np.diag(C) for _, C in posteriors]))
    single = yours(centre, scale, rng.normal(size=(B, d)))
    log_p = [family[k].log_evidence(row[None])[0] for k, row in zip(labels, x, strict=True)]
    slip = {
        "Right on average. But at the true posterior A has no noise, and yours has: evaluate all "
        "three densities at the draw.": single
    }
    compare("one draw at the true posterior", single, log_p, unit="nats", slips=slip)


check_draws("A", a_family(K=3, D=4, d=2, seed=0), [0, 2, 1, 2, 0], seed=1)
### BEGIN HIDDEN TESTS
check_draws("A elsewhere", a_family(K=5, D=6, d=3, seed=2), [4, 1], seed=3)
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
def measure(model, x, y, mean, scale):
    """The five numbers for one image, each by its own closed form; the article's by (1.5)."""
    d = len(scale)
    points = mean + scale * np.sqrt(d) * np.vstack([np.eye(d), -np.eye(d)])
    log_p_x = norm.logpdf(x, points @ model.W.T + model.V @ y[0] + model.b, model.sigma).sum(-1)
    prior = model.prior(y)
    log_ratio = norm.logpdf(points, mean, scale) - norm.logpdf(points, *prior)
    return {
        "log p": model.log_evidence(x, y)[0],
        "bound": model.bound(mean, scale, x, y)[0],
        "to prior": oracle.kl_diagonal(mean, scale, *prior)[0],
        "to posterior": model.kl_to_posterior(mean, scale, x, y)[0],
        "article": np.mean(log_ratio.sum(-1) - log_p_x),
    }


def check_ruler(c, D, seed):
    old = LinearGaussian.random(D, 2, 3, model="CVAE1", seed=seed)
    new = LinearGaussian(c * old.W, c * old.b, c * old.sigma, c * old.V, old.A, old.a, old.S)
    y, q = np.eye(3)[:1], (np.array([0.3, -0.8]), np.array([0.5, 0.9]))
    x, _ = old.sample(y, seed=seed)
    before, after = measure(old, x, y, *q), measure(new, c * x, y, *q)
    yours = rises(c, D)
    require(
        isinstance(yours, dict) and set(yours) == set(before),
        f"Return a dictionary with the keys {', '.join(map(repr, before))}.",
    )
    for name, value in before.items():
        true = after[name] - value
        slips = {
            "There is a density of x in it. What becomes of the volume around an image?": 0.0,
            "x has D numbers, and each is on the new ruler.": true / D,
            "Right but for the sign: is a density per smaller unit larger or smaller?": -true,
            "Twice too much: x is measured anew once, and its numbers grow c-fold.": 2 * true,
        }
        if abs(true) < 1e-9:
            true, slips = 0.0, {}  # to the last digit: before and after agree
            same = "Both densities in it are of z, and z was not measured anew."
            slips = {same: yours[name]} if yours[name] else {}
        compare(f"c = {c:g}, {name}", yours[name], true, unit="nats", slips=slips)


check_ruler(c=16.0, D=4, seed=0)
print("A log p(x|y) that comes without the unit of x compares with nothing.")
### BEGIN HIDDEN TESTS
check_ruler(c=0.5, D=3, seed=1)
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
def descend(mu, sigma):
    """The prior of least mean KL from the given q's, by descent. Mean and scale, each [d]."""
    d = mu.shape[1]

    def mean_kl(v):
        return oracle.kl_diagonal(mu, sigma, v[:d], np.exp(v[d:])).mean()

    found = minimize(mean_kl, np.zeros(2 * d), method="BFGS", jac="3-point", tol=1e-9).x
    return found[:d], np.exp(found[d:])


def check_table(name, sizes, d, seed):
    rng, K = np.random.default_rng(seed), len(sizes)
    labels = rng.permutation(np.repeat(np.arange(K), sizes))
    mu = rng.normal(0, 2, (K, d))[labels] + rng.normal(0, 0.8, (len(labels), d))
    sigma = rng.uniform(0.2, 1.3, (len(labels), d))
    groups = [(mu[labels == k], sigma[labels == k]) for k in range(K)]
    true_m, true_s = np.stack([descend(*group) for group in groups], 1)
    same_m, same_s = ([v] * K for v in descend(mu, sigma))
    yours = best_table(mu, sigma, labels, K)
    require(yours is not None and len(yours) == 2, "Return two tables: the means, the scales.")
    slips = {
        "That is the best prior for all labels together. Each label has one of its own.": same_m,
        "A mean, not a sum.": true_m * np.reshape(sizes, (K, 1)),
        "Those are the means of the standard normal prior of a VAE.": 0 * true_m,
    }
    compare(f"{name}: the means", yours[0], true_m, atol=1e-5, slips=slips)
    slips = {
        "That is the variance. The table holds standard deviations.": true_s**2,
        "That is how far the means of q lie apart. But each q has a width as well.": [
            mean.std(0) for mean, _ in groups
        ],
        "That is the typical width of q. But the q's of a label lie in different places.": [
            np.sqrt(np.mean(width**2, 0)) for _, width in groups
        ],
        "That is the mean width of q. But the q's of a label lie in different places.": [
            width.mean(0) for _, width in groups
        ],
        "That is the best prior for all labels together. Each label has one of its own.": same_s,
    }
    compare(f"{name}: the scales", yours[1], true_s, atol=1e-5, slips=slips)


check_table("three labels", sizes=(10, 6, 8), d=2, seed=0)
### BEGIN HIDDEN TESTS
check_table("four labels", sizes=(5, 9, 2, 14), d=3, seed=1)
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
def check_move(D, d, K, seed):
    rng = np.random.default_rng(seed)
    old = LinearGaussian.random(D, d, K, model="CVAE1", sigma_squared_min=0.3, seed=seed)
    T, c = 3 * rng.normal(size=(d, K)), rng.uniform(0.3, 3, d)
    y = np.eye(K)[rng.integers(0, K, 6)]
    x, z = old.sample(y, seed=seed)
    new = move(old, T, c)
    require(isinstance(new, LinearGaussian), "Return a LinearGaussian.")
    require(all(M is not None for M in (new.V, new.A, new.S)), "V, A or S is missing.")

    centre, width = old.prior(y)  # move the points one standard deviation off on either side
    ends = np.stack([y @ T.T + c * (centre + side * width) for side in (-1, 1)])
    mean, scale = ends.mean(0), ends.std(0)[0]
    slips = {
        "T y is missing from the prior.": mean - y @ T.T,
        "z' = Ty + c ⊙ z stretches a as well.": mean - c * old.a + old.a,
        "z' = Ty + c ⊙ z stretches A y as well.": mean - c * (y @ old.A.T) + y @ old.A.T,
        "T y is stretched in yours: first z is stretched, then it is moved.": mean
        + (c - 1) * (y @ T.T),
    }
    compare("mean of p(z'|y)", new.prior(y)[0], mean, slips=slips)
    slips = {
        "S holds variances: what does a factor c on z do to a variance?": scale / np.sqrt(c),
        "S holds variances; you gave it standard deviations.": np.sqrt(scale),
        "The prior's scale is still that of z.": width,
    }
    compare("scale of p(z'|y)", new.prior(y)[1], scale, slips=slips)

    log_p = old.log_evidence(x, y)

    def with_these(W, V):  # your prior, other weights in the likelihood
        return LinearGaussian(W, old.b, old.sigma, V, new.A, new.a, new.S).log_evidence(x, y)

    slips = {
        "The prior has moved, and the likelihood takes z' for z.": with_these(old.W, old.V),
        "The likelihood undoes c, but not T y.": with_these(new.W, old.V),
        "The likelihood undoes T y, but not c.": with_these(old.W, new.V),
    }
    if np.allclose(with_these(new.W, 2 * old.V - new.V), log_p):  # what you did to V, undone twice
        slips["V moves the wrong way: look at the sign."] = new.log_evidence(x, y)
    compare("log p(x|y)", new.log_evidence(x, y), log_p, unit="nats", slips=slips)
    q = z + 0.4, np.full((1, d), 0.7)
    bound, there = old.bound(*q, x, y), new.bound(y @ T.T + c * q[0], c * q[1], x, y)
    compare("the bound (3.2) of q, moved along", there, bound, unit="nats")


check_move(D=5, d=2, K=3, seed=0)
### BEGIN HIDDEN TESTS
check_move(D=3, d=4, K=6, seed=1)
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
digits = datasets.digits().all  # a Gaussian for each pixel of each label, four pixels of 64


def check_worth(kept, pixels, extra=0.0):
    """Against scikit-learn's p(y|x). kept: {digit: how many of its images}."""
    rows = [np.flatnonzero(digits.labels == k)[:count] for k, count in kept.items()]
    labels = np.repeat(np.arange(len(kept)), list(kept.values()))
    x = digits.x[np.concatenate(rows)][:, pixels].astype("float64")
    p = np.bincount(labels) / len(labels)
    bayes, even = (
        GaussianNB(priors=priors, var_smoothing=0.05).fit(x, labels)
        for priors in (p, 0 * p + 1 / len(p))
    )
    own = np.arange(len(x)), labels
    table = bayes.predict_joint_log_proba(x) - np.log(p)
    log_posterior = bayes.predict_log_proba(x)[own]
    true = log_posterior - np.log(p)[labels]  # by Bayes' rule
    flat = even.predict_log_proba(x)[own] + np.log(len(p))
    yours = worth(table + extra, labels, p)
    name = "what each label is worth" + (", all of it 2,000 nats lower" if extra else "")
    require(
        np.isfinite(yours), "exp(−2000) is zero on a computer: stay with logarithms throughout."
    )
    slips = {
        "In yours all labels are equally frequent.": flat,
        "In p(x) every label counts with its probability.": flat - np.log(len(p)),
        "That is log p(y|x). The fraction has p(x|y) on top, not p(x, y).": log_posterior,
        "That is log p(x) − log p(x|y).": -true,
        "A mean of logarithms is not the logarithm of a mean: add up probabilities.": (
            table[own] - table @ p
        ),
        "One value for each image: the mean comes later.": true.mean(),
    }
    compare(name, yours, true, unit="nats", slips=slips)
    return true, labels, p


def check_ceilings(p):
    """Against images that show their label without a doubt, in the table of log p(x|k)."""
    K = len(p)
    sure = GaussianNB(priors=p).fit(np.repeat(1e6 * np.eye(K), 2, 0), np.repeat(range(K), 2))
    most = np.diag(sure.predict_log_proba(1e6 * np.eye(K))) - np.log(p)
    yours = ceilings(p)
    require(yours is not None and len(yours) == 2, "Return two things: [K] and a number.")
    slips = {
        "That holds for labels that are equally frequent.": 0 * p + np.log(K),
        "That is the same for all labels. Which label surprises you most?": 0 * p + entropy(p),
        "A worth of that many nats would be negative for certain.": -most,
        "Those are the parts of a mean. How high can one image of the label get?": most * p,
        "Those are bits; the course counts in nats.": most / np.log(2),
    }
    compare("the most for one image of each label", yours[0], most, unit="nats", slips=slips)
    slips = {
        "That holds for labels that are equally frequent.": np.log(K),
        "Frequent labels count more often in a mean.": most.mean(),
        "That is the most for one image, of the rarest label.": most.max(),
        "Those are bits; the course counts in nats.": entropy(p, base=2),
        "The sign.": -entropy(p),
    }
    compare("the most for the mean", yours[1], entropy(p), unit="nats", slips=slips)


true, labels, p = check_worth({3: 120, 5: 45, 9: 15}, [18, 21, 42, 45])
check_worth({3: 120, 5: 45, 9: 15}, [18, 21, 42, 45], extra=-2000)
check_ceilings(p)
print(f"{len(true)} images; the mean worth is {true.mean():.2f} of at most {entropy(p):.2f} nats.")
print(f"Above that ceiling: {np.sum(true > entropy(p))} images, all of the rarer labels.")
print(f"Below zero: {np.sum(true < 0)} images, more probable without their label than with it.")
### BEGIN HIDDEN TESTS
_, _, p = check_worth({3: 20, 0: 90, 7: 30, 9: 60}, [10, 21, 35, 50, 58])
check_ceilings(p)
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
def check_reader(N, seed):
    cvae, told = Islands(), np.eye(4)
    truth = cvae.model
    labels = np.random.default_rng(seed).integers(0, 4, N)
    x, _ = truth.sample(told[labels], seed=seed)
    columns = [(x, np.tile(told[k], (N, 1))) for k in range(4)]
    log_p = np.stack([truth.log_evidence(*pair) for pair in columns], 1)
    centre, covariance = truth.posterior(*columns[0])
    gap = truth.kl_to_posterior(centre, 1.2 * np.sqrt(covariance[0, 0]), *columns[0])[0]
    true = log_p - gap  # (3.1): the same gap for every pair, as q is as much too wide everywhere
    quarters = cvae.q(x, np.full((N, 4), 0.25))
    leak, yours = never_errs(cvae, x, told[labels]), mended(cvae, x, told[labels])
    slips = {
        "The same scores as before: what does the program know that a reader must not?": leak,
        "Scores are nats for each image and label; whoever reads takes the largest later.": (
            true.argmax(1)
        ),
        "Those are probabilities of labels, not bounds.": np.exp(
            log_p - np.logaddexp.reduce(log_p, 1, keepdims=True)
        ),
        "q was asked with a quarter of each label, and has never met such a y.": np.stack(
            [truth.bound(*quarters, *pair) for pair in columns], 1
        ),
        "That takes the prior for q: a bound, and a poor one. q has seen the image.": np.stack(
            [truth.bound(*truth.prior(pair[1]), *pair) for pair in columns], 1
        ),
        "That is log p(x|y) itself. Nice, but few models give it away; use q and the bound.": log_p,
    }
    compare("the scores", yours, true, unit="nats", slips=slips)
    wrong = mended(cvae, x, told[(labels + 1) % 4])
    compare("the same, with other labels handed in", wrong, true, unit="nats")
    if N < 500:
        return
    hits = {"before": leak, "now": yours, "by log p(x|y)": log_p}
    for name, scores in hits.items():
        print(f"read rightly {name:14}{np.mean(np.argmax(scores, 1) == labels):6.1%}")


check_reader(N=500, seed=0)
### BEGIN HIDDEN TESTS
check_reader(N=60, seed=1)
### END HIDDEN TESTS
