# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How do I train on rows with missing values, and fill them in with error bars?
#
# Write NaN where a value is missing, as pandas and scikit-learn do, and put the family into
# `distributions.ObservedOnly`. A missing value drops out of the likelihood, and the bound is one on the log-likelihood
# of what was observed. The networks of `networks.mlps` are told what is missing. `reconstruct` fills it in. Several
# draws of z, and of x given z, say how sure that is.

# %%
import keras
import numpy as np
from matplotlib.figure import Figure
from scipy.special import logsumexp
from scipy.stats import norm
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, SimpleImputer

from cvae_tf import VAE, distributions, evaluation, networks, plotting

keras.utils.set_random_seed(0)

# %% [markdown]
# ## A table with holes
#
# Eight columns are bent functions of two hidden variables, with noise. A third of the values is missing, whatever they
# are. With two hidden variables the best guess of each hole, and the log-likelihood of what is seen, are sums over a grid.

# %%
# NBVAL_CHECK_OUTPUT
rng, sigma = np.random.default_rng(0), 0.15
W, b = rng.normal(size=(2, 8)), rng.uniform(-1, 1, 8)
bent = lambda z: np.tanh(2 * (z @ W + b))  # noqa: E731
whole = bent(rng.normal(size=(3000, 2))) + sigma * rng.normal(size=(3000, 8))
holes = rng.uniform(size=whole.shape) < 1 / 3
table = np.where(holes, np.nan, whole)
train, test, x_test, hidden = table[:2500], table[2500:], whole[2500:], holes[2500:]
print(f"{np.isnan(train).mean():.1%} missing; rows without a hole: {(~np.isnan(train)).all(1).sum()} of {len(train)}")

# %% [markdown]
# ## Training
#
# Nothing else changes. Infinite values are refused as ever, and so is NaN in a condition.

# %%
family = distributions.ObservedOnly(distributions.Gaussian("per_dimension"))
nets = networks.mlps(VAE, x=8, z=2, hidden=(128, 64), family=family)
model = VAE(**nets, family=family, seed=0)
model.compile(keras.optimizers.Adam(2e-3))
history = model.fit(train, batch_size=100, epochs=150, verbose=0)

# %% [markdown]
# ## Against what is known
#
# For each point z of a grid: the probability of what is seen of each row, and from it that of z.

# %%
grid = np.stack(np.meshgrid(*2 * [np.linspace(-4, 4, 81)]), -1).reshape(-1, 2)
seen = np.nansum(norm.logpdf(test[:, None], bent(grid), sigma), -1)  # log p(x_O|z), [rows, points]
joint = seen + norm.logpdf(grid).sum(-1) + 2 * np.log(0.1)  # and the area of a cell
log_p = logsumexp(joint, 1)
best = np.exp(joint - log_p[:, None]) @ bent(grid)
trees = ExtraTreesRegressor(20, random_state=0)
imputers = {
    "column means": SimpleImputer(),
    "chained regressions": IterativeImputer(max_iter=50, tol=0.05, random_state=0),
    "chained trees": IterativeImputer(trees, max_iter=3, tol=1.0, random_state=0),
}
guesses = {name: imputer.fit(train).transform(test) for name, imputer in imputers.items()}
guesses |= {"this model": model.reconstruct(test), "the truth's": best}
error = {name: np.sqrt(np.mean((guess - x_test)[hidden] ** 2)) for name, guess in guesses.items()}
print({name: round(float(value), 3) for name, value in error.items()})
behind = evaluation.estimate(model.log_likelihood(test, num_samples=500) - log_p)
print("log p(x_O) − truth:", behind)
assert error["the truth's"] < error["this model"] < error["chained regressions"]
assert -0.4 < behind.mean < 3 * behind.standard_error

# %% [markdown]
# Scikit-learn's `IterativeImputer` predicts each column from the others, by linear regression unless told otherwise. Lines
# cannot follow the bends. Trees can, and come close to the model. The model has a density besides, so it can say how sure
# it is.
#
# ## Error bars
#
# One guess for a hole looks surer than it is. Draw z from q, then x from the likelihood, many times. The 5 % and 95 %
# quantiles of the draws should hold nine of ten true values. The intervals of the truth, from the same grid, show how many
# they can hold.

# %%
z = [model.tensor(model.encode(test, sample=True, seed=s)) for s in range(200)]
draws = np.stack([model.likelihood(each).sample(seed=s) for s, each in enumerate(z)])
low, high = np.quantile(draws, [0.05, 0.95], 0)
posterior = np.exp(joint - log_p[:, None]).cumsum(1)
points = [(posterior < u).sum(1).clip(max=len(grid) - 1) for u in np.random.default_rng(1).uniform(size=(200, len(test), 1))]
of_truth = np.quantile(bent(grid[np.array(points)]) + sigma * np.random.default_rng(2).normal(size=draws.shape), [0.05, 0.95], 0)
held = {name: np.mean((a < x_test) & (x_test < b), where=hidden) for name, (a, b) in {"this model": (low, high), "truth": of_truth}.items()}
print({name: f"{share:.1%} of the missing values are inside" for name, share in held.items()})
assert 0.8 < held["this model"] < 0.95 and 0.87 < held["truth"] < 0.93

# %% tags=["hide-input"]
shown = tuple(np.argwhere(hidden)[:40].T)
order = np.argsort(x_test[shown])
with plotting.style():
    fig = Figure(figsize=(10, 5), layout="constrained")
    ax = fig.subplots()
    ax.vlines(range(40), *np.stack([low[shown], high[shown]])[:, order], color="C0", alpha=0.5, lw=3, label="90 % of the draws")
    ax.plot(guesses["this model"][shown][order], "o", color="C0", label="filled in")
    ax.plot(x_test[shown][order], "_", color="black", markersize=12, markeredgewidth=2, label="true value")
    ax.set(xlabel="forty missing values, in the order of the true value", ylabel="x")
    fig.legend(loc="outside upper center", ncols=3)
plotting.show(
    fig,
    "Forty vertical bars with a dot each, from low to high. Of the short black strokes, the true values, most "
    "lie inside their bar and several outside. Some bars reach from the lowest values to the highest: there the row says little.",
)

# %% [markdown]
# *Missing values of test rows: filled in, with 90 % intervals, and true.* The model's intervals hold fewer values than
# the truth's, so it is a little surer than it should be.

# %% [markdown]
# ## When this is the wrong tool
#
# - **Values that are missing because of what they are**, such as high incomes. The likelihood above assumes that they
#   are missing at random given what is seen. No model of x alone can mend that.
# - **A linear table.** There chained regressions should do as well. The model pays where columns depend on each other
#   in bends, or are not Gaussian.
# - **Holes in the condition y.** They are refused. Model y too, with a VAE of both.
# - **Very few rows without holes in common.** Two columns that are never seen together say nothing about each other.
