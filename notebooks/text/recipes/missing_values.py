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
import matplotlib.pyplot as plt
import numpy as np
from scipy.special import logsumexp
from scipy.stats import norm
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
guesses = {
    "column means": SimpleImputer().fit(train).transform(test),
    "IterativeImputer": IterativeImputer(max_iter=50, tol=0.05, random_state=0).fit(train).transform(test),
    "this model": model.reconstruct(test),
    "the truth's": best,
}
error = {name: np.sqrt(np.mean((guess - x_test)[hidden] ** 2)) for name, guess in guesses.items()}
print({name: round(float(value), 3) for name, value in error.items()})
behind = evaluation.estimate(model.log_likelihood(test, num_samples=500) - log_p)
print("log p(x_O) − truth:", behind)
assert error["the truth's"] < error["this model"] < error["IterativeImputer"]
assert -0.4 < behind.mean < 3 * behind.standard_error

# %% [markdown]
# Scikit-learn's imputer is a chain of linear regressions and cannot bend. The model bends, and stays behind the truth:
# one encoder has to serve every pattern of holes.
#
# ## Error bars
#
# One guess for a hole looks surer than it is. Draw z from q, then x from the likelihood, many times. The 5 % and 95 %
# quantiles of the draws should hold nine of ten true values. They hold fewer here: a Gaussian q is narrower than the true
# posterior of a row with many holes, so the error bars are a little too short.

# %%
z = [model.tensor(model.encode(test, sample=True, seed=s)) for s in range(200)]
draws = np.stack([model.likelihood(each).sample(seed=s) for s, each in enumerate(z)])
low, high = np.quantile(draws, [0.05, 0.95], 0)
coverage = np.mean((low < x_test) & (x_test < high), where=hidden)
print(f"the 90 % intervals hold {coverage:.1%} of the missing values")
assert 0.8 < coverage < 0.95

# %% tags=["hide-input"]
shown = np.argwhere(hidden)[:40]
true = x_test[tuple(shown.T)]
order = np.argsort(true)
middle, bars = model.reconstruct(test)[tuple(shown.T)], np.stack([low, high])[:, shown[:, 0], shown[:, 1]]
fig, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
ax.vlines(range(40), *bars[:, order], color="C0", alpha=0.5, label="90 % of the draws")
ax.plot(middle[order], "o", color="C0", markersize=4, label="filled in")
ax.plot(true[order], "_", color="black", markersize=9, label="true value")
ax.set(xlabel="forty missing values, by their true value", ylabel="x")
ax.legend(frameon=False)
plotting.show(
    fig,
    "Forty vertical bars with a dot each, from low to high. Short black strokes, the true values, lie inside nearly all "
    "bars. The dots follow the strokes with errors of up to half a bar.",
)

# %% [markdown]
# *Missing values of test rows: filled in, with 90 % intervals, and true.*

# %% [markdown]
# ## When this is the wrong tool
#
# - **Values that are missing because of what they are**, such as high incomes. The likelihood above assumes that they
#   are missing at random given what is seen. No model of x alone can mend that.
# - **A linear table.** There `IterativeImputer` is better and quicker. The model pays where columns depend on each other
#   in bends, or are not Gaussian.
# - **Holes in the condition y.** They are refused. Model y too, with a VAE of both.
# - **Very few rows without holes in common.** Two columns that are never seen together say nothing about each other.
