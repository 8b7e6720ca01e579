# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 7 · One family
#
# Five models, and five derivations that looked alike. Is it one model with switches? Which of them contains which, what
# does each switch cost in nats, and what do people change when they add a "penalty" to the bound?

# %% [markdown]
# **After this lesson you can**
#
# - write down any model of the course from one table, and read the table off the code;
# - say which model contains which, and prove it by setting weights to zero;
# - derive the closed form that serves all rows, and check every bound against it in one loop;
# - take a trained model's bound apart: the gap, the divergence, the use of $z$ and of $y$, latent by latent;
# - say what $\beta$, warm-up, free bits and MMD do to each of these parts, and when they leave a bound behind.
#
# **You need** lessons 03 to 06 (the four conditional models), lesson 01's exact noise (1.5), and lesson 02's weights (2.6) and
# ledger (2.7).

# %%
import inspect
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from scipy.special import logsumexp
from scipy.stats import norm

from cvae_tf import CMMA, CVAE1, CVAE2, CVAE3, VAE, datasets, diagnostics, networks, noise, plotting
from cvae_tf.distributions import Bernoulli, Categorical, Gaussian, tfd
from cvae_tf.estimators import SGVBB, SGVBMixture, mixture_kl_bound
from cvae_tf.evaluation import estimate, importance_weighted_curve
from cvae_tf.oracle import LinearGaussian, kl_diagonal
from cvae_tf.penalties import MMD, Beta, FreeBits, WarmUp

ROWS = {kind.__name__: kind for kind in (VAE, CVAE1, CVAE2, CVAE3, CMMA)}
ink = plotting.colour("baseline")


def pm(values, digits=2):
    """Mean ± standard error, as text."""
    e = estimate(values)
    return f"{e.mean:.{digits}f} ± {e.standard_error:.{digits}f}"


# %% [markdown]
# ## The switchboard
#
# Call what is explained $o$ and what is given $c$. Every derivation so far was this one: $\log p(o \mid c)$ holds no $z$, so
# average it over any $q$, bring in $z$ by $p(o, z \mid c) = p(o \mid c)\, p(z \mid o, c)$, multiply and divide by $q$:
#
# $$
# \begin{aligned}
# \log p(o \mid c) &= \mathbb E_q\left[\log \frac{q(z \mid \cdot)}{p(z \mid o, c)}\right]
#   + \mathbb E_q\left[\log \frac{p(o, z \mid c)}{q(z \mid \cdot)}\right] \\
#  &= \mathrm{KL}\big(q(z \mid \cdot) \,\|\, p(z \mid o, c)\big)
#   \;-\; \mathrm{KL}\big(q(z \mid \cdot) \,\|\, p(z \mid \cdot)\big) + \mathbb E_q\big[\log p(o \mid \cdot, z)\big]
# \end{aligned}
# $$
#
# Three dots are left open: who stands behind the bar of $q$, of the prior, of the likelihood. A model is a way to fill them.
# Nothing else in (1.2), (3.2), (4.2), (5.2), (6.2) differs.

# %% [markdown]
# In the code the three dots are the arguments of three methods. So let the code fill in the table:


# %%
# NBVAL_CHECK_OUTPUT
def sees(method):
    """What stands behind the bar of a factor: its arguments."""
    return ", ".join(list(inspect.signature(method).parameters)[1:]) or "nothing"


print("model    bounds      q(z|·) sees   prior sees   likelihood sees")
for name, kind in ROWS.items():
    o = kind.observed
    c = "".join(f"|{v}" for v in sees(kind.factors).split(", ") if v != o)
    print(f"{name:8} {f'log p({o}{c})':11} {sees(kind.posterior):13} {sees(kind.prior):12} "
          f"{sees(kind.likelihood)}")  # fmt: skip

# %% tags=["hide-input"]
plotting.show(
    plotting.graphical_model(list(ROWS.values())),
    "Five graphs in a row. VAE: z to x. CVAE-1: y to z, y to x, z to x. CVAE-2: y to x and z to x. CVAE-3: x to z, x to y, "
    "z to y. CMMA: y to z, z to x. Dashed arrows for q come from all observed nodes to z.",
)

# %% [markdown]
# *The same table as graphs. Solid: $p$, dashed: $q$. Each conditional model keeps or drops two solid arrows, from what is given
# to $z$ and from what is given to what is explained; $q$ sees all there is.*
#
# CVAE-3 is CVAE-1's graph with the letters $x$ and $y$ exchanged. It bounds $\log p(y \mid x)$, a quantity of its own. No
# number of it may stand in one column with the other rows' $\log p(x \mid y)$; further down you see which comparison is fair.

# %% [markdown] tags=["notes"]
# **Speaker, 4 min.** Print the table with empty cells and let the class fill it in from memory. Ask for a row that nobody has
# written: prior sees y, likelihood sees y, q does not.

# %% [markdown]
# ## Who contains whom
#
# Take a big model and set the weights of an arrow to zero: what is left is the smaller model. So, with networks of equal power,
#
# - **VAE ⊂ CVAE-2, VAE ⊂ CMMA**: ignore $y$, and $p(x \mid y) = p(x)$ for every $y$;
# - **CMMA ⊂ CVAE-1**: the likelihood ignores $y$; **CVAE-2 ⊂ CVAE-1**: the prior ignores it;
# - **CVAE-1 = CVAE-2** as sets: by $z = m(y) + s(y) \odot u$ (lesson 04) each CVAE-1 is a CVAE-2 with the same bound.
#
# The last line is a change of variables and not a zero. In the linear case it reads $V' = V + WA$, $b' = b + Wa$, $W' = W
# S^{1/2}$, in the notation of (7.1), which follows in a minute.

# %% tags=["hide-input"]
with plotting.style():
    fig = Figure(figsize=(12, 4.6), layout="constrained")
    ax = fig.subplots()
    sets = (
        ("CVAE1", (3.6, 0), 7.0, 3.9),
        ("CMMA", (2.7, -0.35), 4.4, 2.5),
        ("VAE", (2.0, -0.55), 2.2, 1.3),
    )
    for name, centre, width, height in sets + (("CVAE3", (9.6, 0), 3.6, 3.0),):
        shade = plotting.colour(name)
        ax.add_patch(Ellipse(centre, width, height, fc=shade, alpha=0.22, lw=0))
        ax.add_patch(Ellipse(centre, width, height, fill=False, ec=shade, lw=2.5))
    for text, place in (("CVAE-1 = CVAE-2", (4.3, 1.35)), ("CMMA", (3.3, 0.45)), ("VAE", (2.0, -0.55)), ("CVAE-3", (9.6, 0.15)),
                        ("$\\log p(x \\mid y)$", (3.6, 2.2)), ("$\\log p(y \\mid x)$", (9.6, 2.2))):  # fmt: skip
        ax.text(*place, text, ha="center", va="center", fontsize=19)
    ax.set(xlim=(-0.2, 11.6), ylim=(-2.1, 2.6), aspect="equal")
    ax.axis("off")
plotting.show(
    fig,
    "Nested ovals: VAE inside CMMA inside the oval of CVAE-1, which is also that of CVAE-2; over it log p(x|y). Apart from them "
    "an oval for CVAE-3, over it log p(y|x).",
)

# %% [markdown]
# *The distributions $p(x \mid y)$ that each model can make, networks of equal power. CVAE-3 makes distributions of $y$.*
#
# Is CMMA's oval truly smaller? For linear networks, yes: lesson 06 had a gap of many nats. For networks without limit,
# hardly. Recall lesson 03's second map: any CVAE-1 can be moved, label by label, onto **islands** that do not touch, at no cost.
# On islands $z$ itself tells the label, so a strong enough decoder of $z$ alone can do what CVAE-1's does. You will be able to
# see whether a trained CMMA takes this road.

# %% [markdown] tags=["notes"]
# **Speaker, 4 min.** Let them order the ovals first. Then the islands: an inclusion of models with unlimited networks says little,
# one with given networks says something.

# %% [markdown]
# ## One closed form for all rows
#
# Let all networks be affine and all densities Gaussian: $z = Ay + a + S^{1/2} u$ and $x = Wz + Vy + b + \sigma\varepsilon$, with
# $S$ diagonal and $u, \varepsilon$ standard and independent. Put the first into the second. A sum of independent Gaussians is
# Gaussian; its mean and its covariance add up:
#
# $$
# p(x \mid y) = \mathcal N\big(W(Ay + a) + Vy + b,\; W S W^\top + \sigma^2 I\big)
# \tag{7.1}
# $$

# %% [markdown]
# The posterior is the joint as a function of $z$. Collect in $\log p(z \mid y) + \log p(x \mid y, z)$ what is quadratic and what
# is linear in $z$:
#
# $$
# -\tfrac12\, z^\top \underbrace{\big(S^{-1} + W^\top W / \sigma^2\big)}_{C^{-1}} z
#  + z^\top \underbrace{\big[\,S^{-1}(Ay + a) + W^\top (x - Vy - b) / \sigma^2\,\big]}_{C^{-1} \cdot \text{mean}} + \text{const}
# $$
#
# A Gaussian with precision $C^{-1}$ and mean $m$ has $-\tfrac12 z^\top C^{-1} z + z^\top C^{-1} m$. Compare:
#
# $$
# p(z \mid x, y) = \mathcal N\big(C\,[\,S^{-1}(Ay + a) + W^\top (x - Vy - b) / \sigma^2\,],\; C\big),
# \qquad C = \big(S^{-1} + W^\top W / \sigma^2\big)^{-1}
# \tag{7.2}
# $$

# %% [markdown]
# The rows are zeros in it. VAE: no $y$, $S = I$. CVAE-1: nothing zero. CVAE-2: $A = 0$, $a = 0$, $S = I$. CMMA: $V = 0$. CVAE-3:
# exchange $x$ and $y$. One function makes the library's model of any row with the closed form's weights, in double precision,
# and a $q$ with random ones:

# %%
SIZES = {"x": 12, "y": 7, "z": 4}


def linear(kind, seed=0, **options):
    """A linear model with the weights of a random closed form, that closed form, and a random q."""
    rng = np.random.default_rng(seed)
    sizes = {k: v for k, v in SIZES.items() if kind is not VAE or k != "y"}
    y_dim = None if kind is VAE else 7
    truth = LinearGaussian.random(12, 4, y_dim, model=kind.__name__, seed=seed)
    family = Gaussian(scale="shared", initial_scale=truth.sigma, dtype="float64")
    nets = networks.mlps(kind, **sizes, hidden=(), family=family, dtype="float64")
    model = kind(**nets, family=family, estimator=SGVBB(num_samples=8), **options)
    given = [] if truth.V is None else [truth.V.T]
    nets["likelihood_net"].set_weights([np.vstack([*given, truth.W.T]), truth.b])
    if "prior_net" in nets:
        raw_s = model.latent.raw_from_scale(np.sqrt(truth.S))
        nets["prior_net"].set_weights(
            [np.hstack([truth.A.T, 0 * truth.A.T]), np.append(truth.a, raw_s)]
        )
    nets["posterior_net"].set_weights(
        [rng.normal(0, 0.08, w.shape) for w in nets["posterior_net"].get_weights()]
    )
    return model, truth


# %%
def draw(kind, truth):
    """200 draws of the closed form: in the model's order, and as (explained, given)."""
    if kind is VAE:
        x, _ = truth.sample(num_samples=200, seed=2)
        return (x,), (x, None)
    c = np.random.default_rng(1).normal(size=(200, SIZES["x" if kind is CVAE3 else "y"]))
    o, _ = truth.sample(c, seed=2)
    return (c, o) if kind is CVAE3 else (o, c), (o, c)


def identity(kind):
    """log p, L, KL(q ‖ posterior) of 200 draws; L is the library's, the rest NumPy."""
    model, truth = linear(kind)
    data, pair = draw(kind, truth)
    bound = model.bound(*data, noise=noise.cubature(4))  # (1.5): exact
    q = model.factors(*map(model.tensor, data))[0]
    kl = truth.kl_to_posterior(q.mean().numpy(), q.stddev().numpy(), *pair)  # with (7.2)
    return truth.log_evidence(*pair), bound.value.numpy(), kl  # (7.1)


# %% [markdown]
# **Predict before you look.** $q$ is random and knows nothing. In which rows does $\log p = \mathcal L + \mathrm{KL}(q \,\|\,
# \text{posterior})$ hold all the same?

# %%
# NBVAL_CHECK_OUTPUT
print("nats, mean of 200     log p        L       KL   L + KL = log p, each to 1e-9")
for name, kind in ROWS.items():
    log_p, L, kl = identity(kind)
    holds = np.allclose(L + kl, log_p, rtol=1e-11, atol=1e-9) and (L < log_p).all()
    bounded = f"p({kind.observed}|·)" if kind is not VAE else "p(x)"
    print(f"{name:7}{bounded:10}{log_p.mean():10.3f}{L.mean():9.3f}{kl.mean():9.3f}   {holds}")
    assert holds

# %% [markdown]
# In all of them, for every example. Five bounds, one check: drop a term of one of them, a $y$ from one factor, average a KL over
# dimensions, and its row breaks. That $q$ is random is the point. The identity holds for *every* $q$; a poor one moves nats from
# $\mathcal L$ to the KL and changes nothing else.
#
# Now the inclusions, by the same means. Copy the smaller model's weights into the bigger one, and put zeros where it has an arrow more:


# %% tags=["skip"]
def embed(small, kind):
    """`small` as a member of `kind`: its weights, and zeros for the arrows that it lacks."""
    big, _ = linear(kind)
    big.family.raw_scale.assign(small.family.raw_scale)
    for factor in ("posterior", "prior", "likelihood"):
        net, old = (getattr(m, f"{factor}_net") for m in (big, small))
        if net is None:
            continue
        has, had = (sees(getattr(type(m), factor)).split(", ") for m in (big, small))
        kernel, bias = (old.get_weights() if old is not None else
                        [np.zeros((0, 8)), np.repeat([0, big.latent.raw_from_scale(1.0)], 4)])  # fmt: skip
        cuts = np.cumsum([SIZES.get(v, 0) for v in had])[:-1]
        rows = dict(zip(had, np.split(kernel, cuts), strict=True))
        nothing = np.zeros((1, kernel.shape[1]))
        blocks = [rows.get(v, nothing) + np.zeros((SIZES[v], 1)) for v in has]
        net.set_weights([np.vstack(blocks), bias])
    return big


# %%
# NBVAL_CHECK_OUTPUT
pairs = ("VAE CVAE2", "VAE CMMA", "CVAE2 CVAE1", "CMMA CVAE1", "VAE CVAE1")
any_y = np.random.default_rng(3).normal(size=(200, 7))
for inner, outer in (pair.split() for pair in pairs):
    small, truth = linear(ROWS[inner])
    data, _ = draw(ROWS[inner], truth)
    L = small.bound(*data, noise=noise.cubature(4)).value
    if inner == "VAE":
        data = (*data, any_y)
    L_big = embed(small, ROWS[outer]).bound(*data, noise=noise.cubature(4)).value
    same = np.allclose(L, L_big, 0, 1e-9)
    print(f"{inner:5} inside {outer:5}: the same bound for 200 examples: {same}")
    assert same

# %%
# NBVAL_CHECK_OUTPUT
_, one = linear(CVAE1)
b, V = one.b + one.W @ one.a, one.V + one.W @ one.A
two = LinearGaussian(one.W * np.sqrt(one.S), b, one.sigma, V=V)  # a CVAE-2
_, pair = draw(CVAE1, one)
same = np.allclose(one.log_evidence(*pair), two.log_evidence(*pair), 0, 1e-9)
print("CVAE1 as a CVAE2: the same log p(x|y) for 200 examples:", same)
assert same

# %% [markdown] tags=["notes"]
# **Speaker, 5 min.** Complete the square on the board; the class reads C off. Then ask for a bug that the loop would not find: one in
# both the library and the oracle, which is why the oracle has no TensorFlow in it.

# %% [markdown]
# ## One budget
#
# Now real digits, black and white as in lesson 03: ten drawings of each training image, one of each test image. The same
# hidden layers, 8 latents, steps, batches, rate and noise for all; three sets of initial weights each. The likelihoods are
# Bernoulli per pixel, but for CVAE-3, whose $y$ is the label.

# %%
grey, fixed = datasets.digits(seed=0), datasets.digits(binarise="fixed", seed=0)
x_train = datasets.binarise(np.tile(grey.train.x, (10, 1)), seed=0)
y_train = np.tile(grey.train.y, (10, 1))
x_test, y_test, label_test = fixed.test
EPOCHS, BATCH, SEEDS = 8, 126, range(3)  # 95 batches an epoch, all full
# Nine seeds in the comments below are 0–2, 3–5 and 6–8, six are the first two of each, three the first.


# %%
def make(kind, seed=0, **options):
    keras.utils.set_random_seed(seed)
    family = Categorical() if kind is CVAE3 else Bernoulli()
    sizes = {"x": 64, "z": 8} | ({} if kind is VAE else {"y": 10})
    nets = networks.mlps(kind, **sizes, hidden=(64, 64), family=family)
    if kind in (CVAE1, CMMA):
        nets["prior_net"] = networks.mlp({"y": 10}, (), 16)  # lesson 03's table: m(y) and raw s(y)
    return kind(**nets, family=family, **options)


def ready(kind, penalty=None, xla=False):
    """A compiled model. XLA's compilation takes seconds: it pays where there will be many runs."""
    model = make(kind, penalty=penalty)
    rate = keras.optimizers.schedules.CosineDecay(4e-3, EPOCHS * len(x_train) // BATCH)
    model.compile(keras.optimizers.Adam(rate), jit_compile=xla)
    return model


# %%
# NBVAL_CHECK_OUTPUT
print(
    "parameters  " + "".join(f"{part:>12}" for part in ("posterior", "prior", "likelihood", "all"))
)
for name, kind in ROWS.items():
    model = make(kind)
    nets = [getattr(model, f"{part}_net") for part in ("posterior", "prior", "likelihood")]
    counts = [0 if net is None else net.count_params() for net in nets]
    print(f"{name:12}" + "".join(f"{count:12,}" for count in [*counts, sum(counts)]))

# %% [markdown]
# Equal budgets are never quite equal: each arrow brings its weights. Here the $y$ in $q$ and in the likelihood brings 640 each, and a
# conditional prior 176, of some nineteen thousand. CVAE-3's prior reads an image and so is a whole network.


# %%
def given(model, x, y):
    """What the model takes: (x,) or (x, y)."""
    return (x, y)[: len(model.data_names)]


def fit(model, seed, **options):
    """From the first step, with the initial weights of `seed`; nothing is compiled again."""
    model.restart(make(type(model), seed, penalty=model.penalty).get_weights())
    data = given(model, x_train, y_train)
    return model.fit(*data, batch_size=BATCH, epochs=EPOCHS, verbose=0, **options).history


# %%
epsilon = noise.normal(64, 300, 8, key=0)  # the same 64 draws per test image for every model
runs, kept, histories = {}, {}, {}


def measure(name, model, seed):
    """Bound and its terms (64 draws) and log p (2.6), S = 512, of the 300 test images: nats."""
    data = given(model, x_test, y_test)
    bound = model.bound(*data, noise=epsilon)
    terms = {"bound": bound.elbo, "R": bound.reconstruction, "KL": bound.kl + np.zeros(300)}
    runs[name, seed] = {k: np.asarray(v) for k, v in terms.items()}
    runs[name, seed]["log p"] = importance_weighted_curve(model, *data, sizes=(512,))[512]
    kept[name, seed] = model.get_weights()


# %%
models = {name: ready(kind) for name, kind in ROWS.items() if kind is not VAE}
models = {"VAE": ready(VAE, Beta(), xla=True), **models}
for name, model in models.items():
    for seed in SEEDS if name != "CVAE3" else (0,):
        history = fit(model, seed)
        measure(name, model, seed)
        if seed == 0:
            histories[name] = history


def restored(name, seed=0):
    models[name].set_weights(kept[name, seed])
    return models[name]


# %% [markdown]
# (`Beta()` stands at $\beta = 1$ here, where it changes nothing. It is used further down.)

# %% tags=["hide-input"]
plotting.show(
    plotting.bound_curves(
        {k: v for k, v in histories.items() if k != "CVAE3"},
        ylabel="bound, training (nats per image)",
    ),
    "Four training bounds over eight epochs, all flattening: VAE a few nats below CVAE-1, CVAE-2 and CMMA, which lie close together.",
)

# %% [markdown]
# *Seed 0. Three bound $\log p(x \mid y)$, the VAE $\log p(x)$; CVAE-3 has no place on this axis.*

# %%
for name, history in histories.items():
    last = history["elbo"][-1] - history["elbo"][-3]
    print(
        f"{name:6} training bound {history['elbo'][-1]:7.2f} nats, in the last two epochs {last:+.2f}"
    )
    assert abs(last) < 0.25  # three seeds gave 0.02–0.15

# %% tags=["hide-input"]
u = np.random.default_rng(5).standard_normal((10, 8)).astype("float32")
pages = []
for name in ("VAE", "CVAE1", "CVAE2", "CMMA"):
    model = restored(name)
    p = model.factors(*map(model.tensor, given(model, x_test[:10], np.eye(10, dtype="float32"))))[1]
    z = p.mean() + p.stddev() * u
    pages.append(model.decode(z, np.eye(10) if model.conditions else None))
plotting.show(
    plotting.image_grid(np.stack(pages), image_shape=(8, 8), row_labels=["VAE", "CVAE1", "CVAE2", "CMMA"], column_labels=range(10)),
    "Four rows of ten generated digits. The VAE's are whatever came, some between two digits; in the rows of CVAE-1, CVAE-2 and "
    "CMMA each is the digit of its column.",
)  # fmt: skip

# %% [markdown]
# *Means of the likelihood at $z = m + s \odot u$, one $u$ for each column. The VAE was not asked for a digit.*

# %% [markdown] tags=["notes"]
# **Speaker, 3 min.** Ask what "the same budget" should mean: weights, steps, or seconds? Point at the counts.

# %% [markdown]
# ## What may be compared with what
#
# Three questions, three columns: how probable is $x$ given $y$; how probable is $x$; how probable is $y$ given $x$? A conditional
# model answers all three if you add how probable labels are, here $p(y) = \tfrac1{10}$, since
#
# $$ p(x) = \sum_y p(y)\, p(x \mid y), \qquad p(y \mid x) = \frac{p(y)\, p(x \mid y)}{p(x)} . $$
#
# The VAE answers the second only, CVAE-3 the third only. **Predict before you look:** CVAE-3 was trained to predict labels. Who gives the
# true label of a test image more probability: it, or CVAE-1 by Bayes' rule?


# %%
def all_labels(name):
    """log p(x|y) of the 300 test images for all ten labels, S = 200: [300, 10], nats."""
    model, columns = restored(name), np.eye(10, dtype="float32")
    pairs = ((x_test, np.tile(column, (300, 1))) for column in columns)
    return np.stack([importance_weighted_curve(model, *p, sizes=(200,))[200] for p in pairs], 1)


answers = {
    "VAE": {"log p(x)": runs["VAE", 0]["log p"]},
    "CVAE3": {"log p(y|x)": runs["CVAE3", 0]["log p"]},
}
for name in ("CVAE1", "CVAE2", "CMMA"):
    table = all_labels(name)
    own, summed = table[np.arange(300), label_test], logsumexp(table, axis=1)
    answers[name] = {"log p(x|y)": own, "log p(x)": summed - np.log(10), "log p(y|x)": own - summed}

# %%
questions = ("log p(x|y)", "log p(x)", "log p(y|x)")
print("300 test images, seed 0, S = 200 (VAE, CVAE3: 512), nats")
print(" " * 6 + "".join(f"{q:>18}" for q in questions))
for name in ROWS:
    found = [answers[name].get(q) for q in questions]
    print(f"{name:6}" + "".join(f"{'–' if v is None else pm(v):>18}" for v in found))

paired = {}
print("paired by image:")
for row in ("log p(x) CVAE1 VAE", "log p(x) CMMA VAE", "log p(y|x) CVAE3 CVAE1"):
    q, first, second = row.rsplit(" ", 2)
    paired[first, second] = answers[first][q] - answers[second][q]
    print(f"    {q:11} {first} − {second:6}{pm(paired[first, second])}")
# three seeds gave 1.1–1.4 and 0.04–0.10
assert paired["CVAE1", "VAE"].mean() > 0.3 and abs(paired["CVAE3", "CVAE1"].mean()) < 0.2

# %% [markdown]
# Only within a column may you subtract. In the middle column all models of $x$ meet, and no label is needed to use them: there the
# conditional models beat the VAE as models of *unlabelled* digits. They had labels in training; but is that why? The VAE
# also lets latents die, as you will see, and the comparison is made again when they are kept alive. In the last column a model of
# images, read by Bayes' rule, meets one that was trained to read. Had you expected more of the one that was trained for it? With its error,
# the difference is near nothing.

# %% [markdown] tags=["notes"]
# **Speaker, 4 min.** Draw three columns and let the class say which model has an entry in which. Most claims of "model A beats
# model B" in papers subtract across columns.

# %% [markdown]
# ## Three arrows, in nats
#
# Left column, three models of the same quantity. By the inclusions CMMA can at best tie with CVAE-1, and CVAE-2 is its equal.
# **Predict before you look:** by how much does CMMA fall short here, where labels can be laid out on islands in 8 dimensions? And
# CVAE-2?


# %%
def compare(first, second, quantity="log p", seeds=SEEDS):
    """first − second, paired by image: by seed, each ± over 300 images; mean, ± over the seeds."""
    differences = [runs[first, s][quantity] - runs[second, s][quantity] for s in seeds]
    by_seed, mean = "   ".join(map(pm, differences)), [d.mean() for d in differences]
    print(f"{first + ' − ' + second:16}{quantity:6} {by_seed}   mean {pm(mean)}")
    return np.mean(mean)


print("nats per test image, seeds 0 to 2, log p(x|y) with S = 512, the bound with 64 draws")
for other in ("CVAE2", "CMMA"):
    for quantity in ("log p", "bound"):
        ahead = compare("CVAE1", other, quantity)
        assert abs(ahead) < 0.8  # nine seeds, one by one: 0.06 to 0.64

# %% [markdown]
# Fractions of a nat, where the linear models of lesson 06 were many nats apart with few latents. Bending decoders, and room in
# $z$, take most of the price off the missing arrow. Where CVAE-2 falls behind, that is no property of the family but
# of the training, as in lesson 04; you will find the cause in its latents.

# %% [markdown] tags=["notes"]
# **Speaker, 2 min.** Three seeds: enough to see the sign, not to print three digits. Ask what the two error bars mean, over images and
# over seeds.

# %% [markdown]
# ## The gap, model by model
#
# Lesson 02's ledger (2.7): $\log p - \mathcal L$ is approximation, what no diagonal Gaussian could close, plus amortisation, what
# the network misses of the best one. **Predict:** whose true posterior is the hardest for a diagonal Gaussian?

# %%
books = {}
print("100 test images, seed 0, nats")
print("                 gap   approximation    amortisation   recovered, K = 64")
for name in ROWS:
    data = given(models[name], x_test[:100], y_test[:100])
    books[name] = diagnostics.ledger(restored(name), *data, steps=150, num_samples=1000)
    print(f"{name:5}" + "".join(f"{e.mean:8.3f} ± {e.standard_error:.3f}" for e in books[name]))
# three seeds gave 0.28–0.30, 0.19–0.21, 0.004–0.005
assert books["VAE"].gap.mean > books["CVAE2"].gap.mean > books["CVAE3"].gap.mean

# %% tags=["hide-input"]
with plotting.style():
    fig = Figure(figsize=(12, 4.4), layout="constrained")
    ax = fig.subplots()
    for row, (name, book) in enumerate(books.items()):
        shade, left = plotting.colour(name), 0.0
        for part, hatch in ((book.approximation, ""), (book.amortisation, "///")):
            ax.barh(
                row, part.mean, left=left, height=0.6, color=shade, hatch=hatch, edgecolor="white"
            )
            left += part.mean
        ax.errorbar(left, row, xerr=book.gap.standard_error, color="#222222", capsize=5)
    ax.barh(0, 0, color=ink, label="approximation")
    ax.barh(0, 0, color=ink, hatch="///", edgecolor="white", label="amortisation")
    ax.set(
        yticks=range(5),
        yticklabels=list(books),
        ylim=(4.6, -0.6),
        xlabel="log p − bound (nats per image, 100 test images)",
    )
    ax.legend(loc="center right", bbox_to_anchor=(1, 0.31))
plotting.show(
    fig,
    "Five horizontal bars of two parts each, plain for approximation and hatched for amortisation. Those of the VAE and of CMMA are long, "
    "that of CVAE-2 is shorter, and CVAE-3's is nearly nothing.",
)

# %% [markdown]
# *Plain: approximation. Hatched: amortisation. Error bar: of the whole gap, over images.*
#
# **What to see.** The more a model's $z$ has to say, the more its $q$ misses: the VAE's $z$ tells everything, CMMA's the label
# too; those of CVAE-1 and CVAE-2 less. CVAE-3's gap is nothing, because its $z$ says nothing about a label (lesson 05), and a posterior equal to the prior
# is easy to hit.

# %% [markdown] tags=["notes"]
# **Speaker, 2 min.** Ask why telling y to the likelihood makes the posterior of z simpler: less for z to say.

# %% [markdown]
# ## ELBO surgery: what the divergence pays for
#
# Average the bound's divergence over the $N$ examples and cut it once. Let $q(z) = \frac1N \sum_i q(z \mid x_i)$, the aggregate
# posterior of lesson 06:
#
# $$
# \begin{aligned}
# \frac1N \sum_{i} \mathrm{KL}\big(q(z \mid x_i) \,\|\, p(z)\big)
# &= \frac1N \sum_i \mathbb E_{q(z \mid x_i)}\left[\log \frac{q(z \mid x_i)}{q(z)} + \log \frac{q(z)}{p(z)}\right] \\
# &= I_q(x; z) + \mathrm{KL}\big(q(z) \,\|\, p(z)\big)
# \end{aligned}
# \tag{2.8}
# $$
#
# $I_q$ is the **information** that $z$ carries about which example it came from: worth paying for. The **marginal KL** is the price of an
# aggregate that does not fill the prior: decoders are never trained where the prior has mass and $q(z)$ has none.

# %% [markdown]
# With a conditional prior there is a third part. Put $p(z) = \frac1N \sum_i p(z \mid y_i)$ between:
#
# $$ \log \frac{q(z \mid x_i, y_i)}{p(z \mid y_i)} = \log \frac{q(z \mid x_i, y_i)}{q(z)} + \log \frac{q(z)}{p(z)}
#  - \log \frac{p(z \mid y_i)}{p(z)} . $$
#
# What the label has already told about $z$ need not be paid. With ten equally frequent labels $p(z) \ge \tfrac1{10}\, p(z \mid y)$, so
# this discount is at most $\log 10 = 2.30$ nats. **Predict before you look:** which model takes it in full?

# %%
SHOWN, parts = ("VAE", "CVAE1", "CVAE2", "CMMA"), {}
x_once, y_once = x_train[:1197], y_train[:1197]  # each training image once
print("1,197 training images, nats, mean of seeds 0 to 2 ± over seeds")
print("              KL =  information +  marginal KL −     discount")
for name in SHOWN:
    data = given(models[name], x_once, y_once)
    cuts = [diagnostics.surgery(restored(name, s), *data, num_samples=2) for s in SEEDS]
    for cut in cuts:
        assert abs(cut.kl - sum(cut[1:])) < 1e-4 and -cut.prior_information < np.log(10) + 0.02
    parts[name] = np.array(cuts) * [1, 1, 1, -1] + 0.0  # [seeds, 4]
    print(f"{name:6}" + "".join(f"{pm(values):>15}" for values in parts[name].T))
# nine seeds, three by three, gave a discount of 2.1 for CMMA and 0.5–0.6 for CVAE-1
assert parts["CMMA"].mean(0)[3] > 2 > 1.3 > parts["CVAE1"].mean(0)[3]

# %% tags=["hide-input"]
with plotting.style():
    fig = Figure(figsize=(12, 4.6), layout="constrained")
    ax = fig.subplots()
    for row, name in enumerate(SHOWN):
        (kl, information, marginal, discount), shade = parts[name].mean(0), plotting.colour(name)
        ax.barh(row, information, height=0.55, color=shade)
        ax.barh(
            row, marginal, left=information, height=0.55, color=shade, hatch="xx", edgecolor="white"
        )
        ax.barh(row + 0.36, -discount, left=information + marginal, height=0.14, color=ink)
        ax.plot([kl, kl], [row - 0.3, row + 0.43], color="#222222", lw=3)
    ax.barh(0, 0, color="#BBBBBB", label="information $I_q$")
    ax.barh(0, 0, color="#BBBBBB", hatch="xx", edgecolor="white", label="marginal KL")
    ax.barh(0, 0, color=ink, label="discount")
    ax.plot([], [], color="#222222", lw=3, label="KL: what the bound pays")
    ax.set(
        yticks=range(4),
        yticklabels=SHOWN,
        ylim=(3.8, -0.6),
        xlabel="nats per image",
        xlim=(0, None),
    )
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plotting.show(
    fig,
    "Four bars, information and marginal KL end to end; a thin grey bar goes back from the end to a black mark, the KL that is paid. "
    "CMMA has the longest bar and the longest way back; CVAE-2's is short, without a way back.",
)

# %% [markdown]
# *Coloured bar: what $z$ carries, and the hatched price of a prior not filled. Grey: the discount. Black mark: the divergence.*
#
# **What to see.** CMMA's $z$ carries the most, since the label too must go through it, and gets nearly $\log 10$ back: its ten
# priors hardly overlap. It has moved to the islands that no one asked of it, as its decoder can learn the label from nowhere else. CVAE-1's
# priors need not part and hardly do (lesson 03). The VAE must carry the digit as well, and gets no discount.

# %% [markdown] tags=["notes"]
# **Speaker, 4 min.** Cut the KL on the board. Ask where the label is, in each of the four models: in z and paid, in z and for nothing, or
# not in z at all.

# %% [markdown]
# ## Use of z, use of y
#
# Exchange the latents of test images, and see how many nats of reconstruction are lost: use of $z$. (For a conditional model $z$ is moved
# along the prior, as in (6.3).) Exchange what is given, and see how many nats of the bound are lost: use of $y$; of $x$ in CVAE-3.

# %%
uses = {}
print("lost when exchanged, nats per test image ± over 300 images, seed 0")
print("                    z     what is given")
for name in ROWS:
    data = given(models[name], x_test, y_test)
    uses[name] = diagnostics.use(restored(name), *data)
    found = [e for e in uses[name] if e is not None]
    print(f"{name:6}" + "".join(f"{e.mean:11.2f} ± {e.standard_error:.2f}" for e in found))
# three seeds gave 3.0–13.6 for z (CVAE-3: 0.00), and 7–12 for what is given
assert abs(uses["CVAE3"].z.mean) < 0.1 and uses["CVAE3"].given.mean > 3
assert min(uses[name].z.mean for name in SHOWN) > 2 and uses["VAE"].given is None

# %% tags=["hide-input"]
with plotting.style():
    fig = Figure(figsize=(12, 4.6), layout="constrained")
    ax = fig.subplots()
    for row, (name, use) in enumerate(uses.items()):
        for shift, e, hatch in ((-0.18, use.z, ""), (0.18, use.given, "..")):
            if e is not None:
                ax.barh(row + shift, e.mean, xerr=e.standard_error, height=0.34, color=plotting.colour(name), hatch=hatch,
                        edgecolor="white", capsize=4)  # fmt: skip
    ax.barh(0, 0, color=ink, label="$z$ exchanged: reconstruction lost")
    ax.barh(0, 0, color=ink, hatch="..", edgecolor="white", label="the given exchanged: bound lost")
    ax.set(yticks=range(5), yticklabels=list(uses), ylim=(4.6, -0.6), xlabel="nats per image")
    ax.legend(loc="lower right")
plotting.show(
    fig,
    "For each model two bars. The VAE loses most when z is exchanged and has no second bar. CVAE-1, CVAE-2 and CMMA lose nats by both. CVAE-3 "
    "loses nothing by z and several nats by x.",
)

# %% [markdown]
# *Error bars over images. CVAE-3's nats are nats of a label; do not compare their length with the others'.*
#
# **What to see.** Every arrow from what is given is in use. CVAE-3's $z$ is not: for a label it is right to collapse.

# %% [markdown]
# ## Latent by latent
#
# The divergence (2.4) is a sum over dimensions. **Predict:** eight latents for each model; how many has each put to work?

# %%
profile, at_work = {}, {}
for name in SHOWN:
    data = given(models[name], x_test, y_test)
    kls, active = [], []
    for seed in SEEDS:
        model = restored(name, seed)
        kls.append(np.sort(diagnostics.kl_per_dimension(model, *data))[::-1])
        active.append(diagnostics.active_units(model, *data, threshold=0.05).count)
    profile[name], at_work[name] = np.mean(kls, 0), active
    row = " ".join(f"{kl:.2f}" for kl in profile[name])
    print(f"{name:6} KL of its latents, busiest first: {row}   active, by seed: {active}")
# nine seeds gave 8 active latents for CMMA and 2–6 for CVAE-2
assert np.mean(at_work["CMMA"]) > np.mean(at_work["CVAE2"]) + 1

# %% tags=["hide-input"]
fig = plotting.line_chart(
    range(1, 9), profile, xlabel="latent, busiest first", ylabel="KL$_j$ (nats per image)", title="mean of three seeds, test images",
)  # fmt: skip
plotting.show(
    fig,
    "Four falling curves over eight latents. The VAE's first few latents carry most and the last ones nothing; CVAE-2's curve reaches zero "
    "earliest; CMMA's is flat and stays above zero to the last latent.",
)

# %% [markdown]
# *(A latent is counted as active here when the mean of its $q$ varies over the images by more than 0.05 squared prior standard deviations.)*
#
# **What to see.** CMMA uses nearly all, having most to say. CVAE-2 has let several die: where it falls short of its equal, CVAE-1,
# this is where. Nothing in (4.2) asks for that: at the beginning of training, $z$ is mere noise to the decoder, and the cheapest way to lower
# the KL is to switch it off. Which is what penalties are about.

# %% [markdown] tags=["notes"]
# **Speaker, 3 min.** Ask for the two ways in which a latent can die: because it has nothing to say, or because it was silenced before it had
# learned to speak. Which would you like to cure?

# %% [markdown]
# ## Penalties
#
# Write $R$ for the reconstruction, so that $\mathcal L = R - \mathrm{KL}$. The literature weighs and mends these two terms. Each of the four
# in a line:
#
# **β.** Raise $R$ while the KL stays below a budget $c$: the Lagrangian is $R - \beta\,(\mathrm{KL} - c)$, and $\beta c$ is a constant.
# **Warm-up** lets $\beta$ rise from near 0 to 1 in the first epochs, and ends with the bound.
#
# $$
# R - \beta \cdot \mathrm{KL}
# \tag{7.3}
# $$

# %% [markdown]
# **Free bits.** A latent that is below $\lambda$ nats, on average over the minibatch, pays $\lambda$ all the same: nothing is saved by switching it off.
#
# $$
# R - \sum_j \max\big(\lambda,\; \overline{\mathrm{KL}_j}\,\big)
# \tag{7.4}
# $$

# %% [markdown]
# **MMD.** Of the two parts of (2.8) only the marginal KL does harm, so punish that alone, by a distance that draws suffice for. Take a
# kernel $k$ and compare the mean similarity within two sets of draws and between them:
# $\mathrm{MMD}^2 = \mathbb E\,k(z, z_\ast) + \mathbb E\,k(\zeta, \zeta_\ast) - 2\,\mathbb E\,k(z, \zeta)$, $z, z_\ast$ from $q(z)$ and $\zeta,
# \zeta_\ast$ from $p(z)$, the **maximum mean discrepancy**. The library's kernel is $k(a, b) = C / (C + \|a - b\|^2)$, $C = 2d$.
#
# $$
# \mathcal L - \lambda \cdot \mathrm{MMD}^2\big(q(z),\, p(z)\big)
# \tag{7.5}
# $$
#
# **Which of them are still bounds?** $\beta > 1$, the floor of (7.4) and $\lambda\,\mathrm{MMD}^2 \ge 0$ only take off: the value stays below
# $\mathcal L$, a bound and a looser one. But $\beta < 1$ *adds* $(1 - \beta)\, \mathrm{KL}$. Where $q$ is the posterior, $\mathcal L = \log p$, and the objective lies
# above $\log p$. So the plain bound is always logged beside the loss, and evaluation never sees a penalty.

# %% [markdown]
# ### By hand
#
# The linear CVAE-1 again. $R$ and each $\mathrm{KL}_j$ have formulas; every objective is a sum of terms. Leave a term out, and it is another
# number: by how much, at least?


# %%
def kernel(a, b):
    return 8 / (8 + ((a[:, None] - b[None]) ** 2).sum(-1))  # C = 2d = 8


def terms_by_hand(which, q, prior, R, epsilon):
    """The loss's terms, mean of the examples, in NumPy: {name: nats}."""
    (mu, sigma), (m, s) = q, prior
    kl = 0.5 * ((sigma / s) ** 2 + ((mu - m) / s) ** 2 - 1 - 2 * np.log(sigma / s)).mean(0)  # (2.4)
    if which == "β = ¼":
        return {"−R": -R, "β KL": 0.25 * kl.sum()}  # (7.3)
    if which == "free bits":
        return {"−R": -R, "KL": kl.sum(), "floor": np.maximum(floor - kl, 0).sum()}  # (7.4)
    z, zeta = mu + sigma * epsilon[0], m + s * epsilon[1]
    two = ~np.eye(len(z), dtype=bool)  # pairs of two different draws
    own, other = [kernel(a, a)[two].mean() for a in (z, zeta)], kernel(z, zeta).mean()
    return {"−R": -R, "KL": kl.sum(), "λk(z,z*)": 20 * own[0], "λk(ζ,ζ*)": 20 * own[1],
            "−2λk(z,ζ)": -40 * other}  # (7.5)  # fmt: skip


# %%
plain, truth = linear(CVAE1)
data, _ = draw(CVAE1, truth)
q = plain.factors(*map(plain.tensor, data))[0]
q, prior = (q.mean().numpy(), q.stddev().numpy()), truth.prior(data[1])
R = (truth.bound(*q, *data) + kl_diagonal(*q, *prior)).mean()  # by formula
floor = float(np.median(diagnostics.kl_per_dimension(plain, *data)))  # two of four lie below it
points = np.broadcast_to(noise.cubature(4), (8, 200, 4))
own_draws = np.random.default_rng(4).standard_normal((2, 200, 4))  # MMD's

# %%
# NBVAL_CHECK_OUTPUT
penalties = {"β = ¼": Beta(0.25), "free bits": FreeBits(floor), "MMD": MMD(20.0)}
elbo = plain.bound(*data, noise=points).elbo
print("           library = by hand   plain bound logged   leaving one term out changes it by")
for which, penalty in penalties.items():
    model, _ = linear(CVAE1, penalty=penalty)
    loss, logged = model.objective(*data, noise=model.tensor(np.concatenate([points, own_draws])))
    terms = terms_by_hand(which, q, prior, R, own_draws)
    same = abs(np.mean(loss) - sum(terms.values())) < 1e-9
    plain_logged = np.allclose(logged.elbo, elbo, 0, 1e-9)
    changes = ", ".join(f"{name}: {abs(value):.2f}" for name, value in terms.items())
    print(f"{which:11}{same!s:20}{plain_logged!s:21}{changes}")
    assert same and plain_logged and min(map(abs, terms.values())) > 0.5

# %%
# NBVAL_CHECK_OUTPUT
rising, betas = WarmUp(4), []
rising.set_model(linear(CVAE1, penalty=Beta(0.0))[0])
for epoch in range(6):
    rising.on_epoch_begin(epoch)
    betas.append(float(rising.model.penalty.beta))
print("β in epochs 1 to 6, warm-up of four:", *betas)
assert betas == [0.25, 0.5, 0.75, 1, 1, 1]

# %% [markdown] tags=["notes"]
# **Speaker, 3 min.** For each of the four ask first: which part of the surgery does it mean to change? And is it still a bound?

# %% [markdown]
# ### In training
#
# The VAE again, which left latents unused: each penalty with two sets of initial weights, everything else as before. **Predict before you look**,
# for each: $R$, KL, number of active latents, and $\log p(x)$: up or down?

# %%
models["VAE"].set_weights(kept["VAE", 0])
PAIR, vae = (0, 1), models["VAE"]
for beta in (4.0, 0.25):
    for seed in PAIR:
        vae.penalty.beta.assign(beta)
        fit(vae, seed)
        measure(f"β = {beta:g}", vae, seed)
for seed in PAIR:
    fit(vae, seed, callbacks=[WarmUp(EPOCHS // 2)])
    measure("warm-up", vae, seed)
models |= {"β = 4": vae, "β = 0.25": vae, "warm-up": vae}
for name, penalty in (("free bits", FreeBits(0.25)), ("MMD", MMD(30.0))):
    models[name] = ready(VAE, penalty)
    for seed in PAIR:
        fit(models[name], seed)
        measure(name, models[name], seed)

# %%
PENALISED, rows = ("VAE", "β = 4", "β = 0.25", "warm-up", "free bits", "MMD"), {}
print("300 test images, mean of seeds 0 and 1, nats (marginal KL: training images)")
print("                  R       KL        L    log p   active   marginal KL   R − β KL > log p")
for name in PENALISED:
    seen = [runs[name, s] for s in PAIR]
    row = {q: np.mean([run[q] for run in seen]) for q in ("R", "KL", "bound", "log p")}
    active, marginal = [], []
    for seed in PAIR:
        model = restored(name, seed)
        active.append(diagnostics.active_units(model, x_test, threshold=0.05).count)
        marginal.append(diagnostics.surgery(model, x_once, num_samples=2).marginal_kl)
    beta = {"β = 4": 4, "β = 0.25": 0.25}.get(name, 1)
    above = row["R"] - beta * row["KL"] > row["log p"]
    marginal = round(np.mean(marginal), 2) + 0.0
    rows[name] = row | {"active": np.mean(active), "marginal": marginal, "above": above}
    numbers = "".join(f"{value:9.2f}" for value in row.values())
    label = "plain, β = 1" if name == "VAE" else name
    print(f"{label:12}{numbers}   {active!s:9}{marginal:8.2f}         {above}")

# %%
print("against the plain bound, paired by image:")
gains = {}
for name in PENALISED[1:]:
    gains[name] = compare(name, "VAE", "log p", PAIR)
    compare(name, "VAE", "bound", PAIR)
plain, high, low = (rows[name] for name in ("VAE", "β = 4", "β = 0.25"))
# six seeds, log p against plain: β = 4 −3.1…−2.6, warm-up 0.4–0.9, free bits 0.2–0.9, MMD −1.1…−0.1
assert high["active"] == 0 and high["KL"] < 0.1 and gains["β = 4"] < -1
assert low["above"] and not plain["above"] and low["bound"] < plain["bound"] - 1
assert gains["warm-up"] > 0.1 and rows["warm-up"]["active"] > plain["active"]
assert gains["free bits"] > 0 and rows["free bits"]["active"] >= 7
assert rows["MMD"]["marginal"] < plain["marginal"] + 0.02 and gains["MMD"] < 0.1
print("log p(x) of the conditional models (seed 0, plain bound) minus that of the VAE")
for name in ("CVAE1", "CVAE2", "CMMA"):
    ahead_of = [answers[name]["log p(x)"] - runs[kind, 0]["log p"] for kind in ("VAE", "warm-up")]
    print(f"{name:6} VAE plain {pm(ahead_of[0])}   VAE warmed up {pm(ahead_of[1])}")

# %% tags=["hide-input"]
with plotting.style():
    fig = Figure(figsize=(12, 6), layout="constrained")
    ax = fig.subplots()
    kl = np.array([0, 13.0])
    for level in (-28, -26, -24, -22):
        ax.plot(kl, level + kl, color="#BBBBBB", lw=1.2, zorder=0)
        ax.text(
            12.9,
            level + 12.5,
            f"L = {level}".replace("-", "−"),
            color=ink,
            fontsize=13,
            ha="right",
            rotation=22,
        )
    spots = {"VAE": (12, -20), "β = 4": (14, 6), "β = 0.25": (-12, 10)}
    spots |= {"warm-up": (14, -16), "free bits": (-12, 10), "MMD": (2, -24)}
    for name, marker in zip(PENALISED, "os^Dv*", strict=True):
        for s in PAIR:
            point = runs[name, s]["KL"].mean(), runs[name, s]["R"].mean()
            ax.plot(
                *point,
                marker,
                ms=12,
                color=plotting.colour("VAE") if name == "VAE" else ink,
                alpha=0.8,
            )
        text = "plain" if name == "VAE" else name
        ax.annotate(
            text,
            point,
            xytext=spots[name],
            textcoords="offset points",
            ha="right" if spots[name][0] < 0 else "left",
        )
    ax.set(xlabel="KL (nats per test image)", ylabel="$R$ (nats per test image)", xlim=(-0.6, 13))
plotting.show(
    fig,
    "R against KL for six ways of training, two seeds each. Beta 4 sits at KL zero and the lowest R, plain and MMD at two to three nats, warm-up and "
    "free bits near four, beta one quarter far to the right with the highest R but on a lower line of constant L.",
)

# %% [markdown]
# *Each mark a trained VAE. Along a grey line the plain bound $R - \mathrm{KL}$ is the same; higher lines are better.*
#
# **What to see.** $\beta$ moves the model along the trade of $R$ against KL. At $\beta = 4$ no latent saves four nats of $R$ for each nat that it costs,
# and all die: the VAE is one mean image. At $\beta = \tfrac14$ all are busy, $R$ is fine, the plain bound is worse, and the loss claims more than $\log
# p(x)$. Warm-up and free bits wake the sleepers at a small price in KL, and $\log p(x)$ rises. Against the warmed-up VAE a third or less is left of the conditional models' lead as models of unlabelled
# digits. Most of it was the VAE's dead latents, and not the labels.
#
# MMD had little to punish: for these two seeds the marginal KL stays where it was (for four further ones it fell by 0.03 to 0.11 nats). And the easiest way to
# bring $q(z)$ to $p(z)$ is to say less with $z$: the KL falls, and $\log p(x)$ with it. Its authors use it with the KL weighed down; with the full bound, as in (7.5), and at this $\lambda$, these numbers show no gain. And what warm-up and free bits win costs
# them a marginal KL that is larger than the plain model's.

# %% [markdown] tags=["notes"]
# **Speaker, 4 min.** Cover the marks and let the class place the six names in the plane. Then: which of these runs would you report, and which
# number of it? Never the loss.

# %% [markdown]
# ## A mixture for a prior
#
# CMMA without its label is a VAE with another prior. Do not know $y$, draw it: $z \sim p(z) = \sum_y \tfrac1{10}\, p(z \mid y)$, a **mixture** of ten
# Gaussians, then $x \sim p(x \mid z)$. To bound $\log p(x)$ you need $\mathrm{KL}(q \,\|\, \sum_k \pi_k p_k)$, for which no closed form is known. Draws from $q$
# estimate it without bias. Or bound it: for any weights $r_k \ge 0$ with sum 1, Jensen's inequality gives
#
# $$ \log \sum_k \pi_k p_k(z) = \log \sum_k r_k \frac{\pi_k p_k(z)}{r_k} \ge \sum_k r_k \log \frac{\pi_k p_k(z)}{r_k}
# \;\Rightarrow\; \mathrm{KL}\Big(q \,\Big\|\, \sum_k \pi_k p_k\Big) \le \sum_k r_k \Big[\mathrm{KL}(q \,\|\, p_k) + \log \frac{r_k}{\pi_k}\Big] , $$
#
# least for $r_k \propto \pi_k\, e^{-\mathrm{KL}(q \| p_k)}$, where it is
#
# $$
# \mathrm{KL}\Big(q \,\Big\|\, \sum_k \pi_k\, p_k\Big)
# \le -\log \sum_k \pi_k \exp\big(-\mathrm{KL}(q \,\|\, p_k)\big)
# \tag{10.1}
# $$
#
# An *upper* bound of what is subtracted: $R$ minus it is still a lower bound of $\log p(x)$, and looser.

# %% [markdown]
# First where a grid knows the truth: $q = \mathcal N(0, 1)$, two components $\mathcal N(\pm t, 1)$. **Predict:** for which $t$ is (10.1) exact?

# %%
# NBVAL_CHECK_OUTPUT
z, dz = np.linspace(-12, 12, 24_001, retstep=True)
q = norm.pdf(z)
t = np.linspace(0, 4, 9)
exact = [
    (q * (norm.logpdf(z) - np.logaddexp(norm.logpdf(z, -a), norm.logpdf(z, a)) + np.log(2))).sum()
    * dz
    for a in t
]
upper = t**2 / 2  # both KL(q‖p_k) are t²/2, and so is (10.1)
print("t       " + "".join(f"{a:8.1f}" for a in t))
for name, values in (("KL", exact), ("(10.1)", upper), ("excess", upper - exact)):
    print(f"{name:8}" + "".join(f"{abs(v):8.3f}" for v in values))
assert (upper - exact > -1e-9).all()

# %% [markdown]
# Exact where the two are one, and looser the further $q$ sits *between* components. Now CMMA and CVAE-1, on real images and their ten priors:


# %%
def divergences(name):
    """KL(q ‖ mixture of the ten priors) of 300 test images: by 500 draws, its error, (10.1)."""
    model = restored(name)
    q, _, log_likelihood = model.factors(*map(model.tensor, (x_test, y_test)))
    ten = model.prior(np.eye(10, dtype="float32"))
    parts = tfd.Independent(tfd.Normal(ten.mean() + tf.zeros([300, 1, 1]), ten.stddev()), 1)
    mixture = tfd.MixtureSameFamily(tfd.Categorical(logits=tf.zeros([300, 10])), parts)
    z = q.mean() + q.stddev() * noise.normal(500, 300, 8, key=1)
    by_draws = (q.log_prob(z) - mixture.log_prob(z)).numpy()  # [500, 300]
    mu, sigma, m, s = (v.numpy()[:, None] for v in (q.mean(), q.stddev(), ten.mean(), ten.stddev()))
    each = kl_diagonal(mu, sigma, m[:, 0], s[:, 0])  # KL(q‖p_k), [300, 10], by (2.4)
    by_hand = -logsumexp(-each - np.log(10), axis=1)  # (10.1)
    library = SGVBMixture()(q, mixture, log_likelihood, epsilon)
    assert (
        np.abs(library.kl - by_hand).max() < 1e-3
        and np.abs(mixture_kl_bound(q, mixture) - by_hand).max() < 1e-3
    )
    assert np.abs(library.value - (runs[name, 0]["R"] - by_hand)).max() < 1e-2
    return by_draws.mean(0), by_draws.std(0) / 500**0.5, by_hand


# %%
excess = {}
print("300 test images, seed 0, nats")
print("       KL, 500 draws         (10.1)    (10.1) − KL   its least, in errors of the draws")
for name in ("CMMA", "CVAE1"):
    by_draws, error, by_bound = divergences(name)
    excess[name] = by_bound - by_draws
    least = (excess[name] / error).min()
    assert least > -6  # of 300; three seeds gave −3…+2
    row = "".join(f"{pm(v, 3):>16}" for v in (by_draws, by_bound, excess[name]))
    print(f"{name:6}{row}{least:12.1f}")
    if name == "CMMA":
        L_mixture = runs[name, 0]["R"] - by_draws  # a bound on log p(x)
ahead = L_mixture - runs["VAE", 0]["bound"]
print(f"bound on log p(x), CMMA with its mixture − VAE with N(0, I): {pm(ahead)}")
print(f"                                         − the VAE, warmed up:   {pm(L_mixture - runs['warm-up', 0]['bound'])}")
# three seeds gave 0.14–0.17 and 0.25–0.35
assert excess["CVAE1"].mean() > excess["CMMA"].mean() > -0.01

# %% [markdown]
# The sign is as (10.1) says, up to the noise of the draws. On CMMA's islands a $q$ lies in one component, mostly, and the bound costs little; CVAE-1's
# ten priors overlap, $q$ lies between them, and it costs twice as much. The last two lines compare bounds on the *same* $\log p(x)$. The lead over the plain VAE is about what warm-up alone
# gives the VAE, so it is no merit of the mixture. Here $q$ was told the label that the
# mixture does not know, which is allowed (any $q$ is) but could not be done for an image without one.

# %% [markdown] tags=["notes"]
# **Speaker, 3 min.** Two mistakes to provoke: "an upper bound, so the ELBO is no longer a lower bound", and "so a mixture prior is useless". Ask for t
# from the audience.

# %% [markdown]
# ## Where this breaks: information has a ceiling
#
# (2.8) is exact for the $N$ examples that define $q(z)$. But $z$ cannot tell more than which of $N$ examples it came from: $I_q \le \log N$, whatever the
# KL is. **Predict before you look:** measure one and the same VAE with 10, 40, 150, 600 and 1,197 images. What happens to its marginal KL?

# %%
counts = (10, 40, 150, 600, 1197)
measured = {}
for name in ("VAE", "β = 0.25"):
    model = restored(name)
    measured[name] = [diagnostics.surgery(model, x_once[:n], num_samples=4) for n in counts]
print("nats, seed 0        N = " + "".join(f"{n:8,}" for n in counts))
print(f"{'log N':24}" + "".join(f"{np.log(n):8.2f}" for n in counts))
for name, cuts in measured.items():
    for part in ("kl", "information", "marginal_kl"):
        print(
            f"{'plain' if name == 'VAE' else name:10}{part:14}"
            + "".join(f"{getattr(cut, part):8.2f}" for cut in cuts)
        )
falls = measured["VAE"][0].marginal_kl - measured["VAE"][-1].marginal_kl
assert falls > 0.5 and measured["β = 0.25"][-1].information > np.log(1197) - 0.3

# %% tags=["hide-input"]
fig = plotting.line_chart(
    counts, {name.replace("VAE", "plain VAE"): [cut.marginal_kl for cut in cuts] for name, cuts in measured.items()}, xscale="log",
    xlabel="images that make up $q(z)$ (log scale)", ylabel="marginal KL (nats)", title="one model each, measured with more images",
)  # fmt: skip
plotting.show(
    fig,
    "Two falling curves of the marginal KL against the number of images. The plain VAE's flattens near zero; that of beta one quarter is still "
    "falling steeply at 1,197 images.",
)

# %% [markdown]
# *The same models, the same $q$; only the number of images in the average differs.*
#
# **What to see.** With few images, $z$ tells them all apart, $I_q$ sticks at $\log N$, and the rest of the KL is booked as "marginal": a hole in the prior that is
# none. For the plain VAE 1,197 images are enough, as $I_q$ stays well below $\log N$. For $\beta = \tfrac14$ they are not: its marginal KL in the table above is mostly an
# artefact of $N$. Before you believe a surgery, compare $I_q$ with $\log N$.

# %% [markdown] tags=["notes"]
# **Speaker, 2 min.** Ask how many images you would need for β = ¼: about e to the KL, tens of thousands, in an N² computation.

# %% [markdown]
# ## What you saw
#
# - One derivation, three open bars. The table was read off the signatures, and one closed form, (7.1) and (7.2), gave $\log p = \mathcal L + \mathrm{KL}$ to
#   $10^{-9}$ nats for all five rows.
# - VAE ⊂ CMMA ⊂ CVAE-1 = CVAE-2, by zeros and by a change of variables. With bending decoders and room in $z$ the missing arrow cost fractions of a nat.
# - Numbers may be subtracted within $\log p(x \mid y)$, within $\log p(x)$, within $\log p(y \mid x)$, and not across.
# - The surgery showed where the label is: in CMMA's $z$ and nearly free of charge, as its priors are islands; in CVAE-1 and CVAE-2 the likelihood is told.
# - CVAE-2 and the VAE let latents die; warm-up and free bits kept them alive and raised $\log p(x)$ of the VAE. $\beta = 4$ killed all of them, $\beta = \tfrac14$ was no bound, and
#   MMD gained nothing.
# - A mixture prior has an upper bound (10.1) for its KL; it is tight where $q$ sits in one component.
# - The information in a surgery ends at $\log N$; what lies above is booked on the wrong line.
#
# Still open: what if most labels are missing? Lesson 08 makes $y$ a latent variable that is sometimes seen.

# %% [markdown]
# ## References
#
# - K. Sohn, H. Lee and X. Yan (2015); G. Pandey and A. Dukkipati (2016); D. P. Kingma and M. Welling (2013): the rows of the table (lessons 01 to 06).
# - M. D. Hoffman and M. J. Johnson (2016), *ELBO surgery*: (2.8).
# - C. Cremer, X. Li and D. Duvenaud (2018), *Inference suboptimality in variational autoencoders*: the ledger (2.7).
# - I. Higgins et al. (2017), *β-VAE*; S. R. Bowman et al. (2016), *Generating sentences from a continuous space*: (7.3) and warm-up.
# - D. P. Kingma et al. (2016), *Improving variational inference with inverse autoregressive flow*: free bits (7.4).
# - A. Gretton et al. (2012), *A kernel two-sample test*; S. Zhao, J. Song and S. Ermon (2019), *InfoVAE*: (7.5).
# - J. R. Hershey and P. A. Olsen (2007), *Approximating the Kullback Leibler divergence between Gaussian mixture models*: (10.1).
# - Y. Burda, R. Grosse and R. Salakhutdinov (2015), *Importance weighted autoencoders*: the estimate of $\log p$, active units.
# - E. Alpaydin and C. Kaynak (1998), *Optical recognition of handwritten digits* (UCI): the images.
