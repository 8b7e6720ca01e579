# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How do I condition on several things, such as an image and a table?
#
# Give the factors one argument for each part, and name them. The library reads the names. The networks get one input
# for each parent, in the order of the arguments, and `fit` takes a dictionary of arrays by name. Nothing else changes.
# The example predicts a curve y from an image and three numbers, with two named conditions.

# %%
import keras
import numpy as np
from scipy import stats
from sklearn.linear_model import Ridge

from cvae_tf import datasets, distributions, evaluation, networks
from cvae_tf.base import LatentVariableModel
from cvae_tf.networks import apply

keras.utils.set_random_seed(0)


# %% [markdown]
# ## The model
#
# A CVAE-3 with two conditions: $p(y, z \mid \text{image}, \text{table})$. `observed` names the variable that the
# likelihood explains. The other arguments of `factors` are the conditions.

# %%
@keras.saving.register_keras_serializable("recipes")
class FromParts(LatentVariableModel):
    observed = "y"

    def prior(self, image, table):
        return self.prior_family(apply(self.prior_net, image, table))

    def posterior(self, image, table, y):
        return self.latent(apply(self.posterior_net, image, table, y))

    def likelihood(self, image, table, z):
        return self.family(apply(self.likelihood_net, image, table, z))

    def factors(self, image, table, y):
        q, p = self.posterior(image, table, y), self.prior(image, table)
        return q, p, lambda z: self.likelihood(image, table, z).log_prob(y)


# %% [markdown]
# ## Data, drawn so that the truth is known
#
# The image is a digit, the table three numbers t, and y six numbers: $y = a_{\text{digit}} + B_{\text{parity}}\, t +
# s\,b + \text{noise}$. What the table says depends on whether the digit is even. s is a hidden standard normal number.
# So $p(y \mid \text{digit}, \text{table})$ is a Gaussian with covariance $\sigma^2 I + b b^\top$.

# %%
# NBVAL_CHECK_OUTPUT
rng = np.random.default_rng(0)
digits = datasets.digits(image=True)
image = np.concatenate([digits.train.x, digits.test.x])
label = np.concatenate([digits.train.labels, digits.test.labels])
table = rng.normal(size=(len(image), 3))
a, B, b = rng.normal(size=(10, 6)), rng.normal(size=(2, 3, 6)), rng.normal(size=6)
mean = a[label] + np.einsum("nt,nty->ny", table, B[label % 2])
y = mean + rng.normal(size=(len(image), 1)) * b + 0.7 * rng.normal(size=mean.shape)
data = {"image": image, "table": table, "y": y}
train = {name: values[:-300] for name, values in data.items()}
test = {name: values[-300:] for name, values in data.items()}
print({name: values.shape for name, values in train.items()})

# %%
family = distributions.Gaussian(scale="per_dimension", initial_scale=0.7)
nets = networks.convs(FromParts, image=(8, 8, 1), table=3, y=6, z=2, filters=16, hidden=64, family=family)
model = FromParts(**nets, family=family, seed=0)
model.compile(keras.optimizers.Adam(3e-3))
history = model.fit(train, batch_size=50, epochs=25, validation_data=test, verbose=0)

# %% [markdown]
# ## Check it
#
# Two densities to compare with. The truth knows the digit, so no model of pixels can be above it. Ridge regression of
# scikit-learn with a Gaussian of its residuals' covariance is what one would do without a latent variable. Then one
# part of the condition at a time is exchanged between rows: what that costs is what the part is worth.

# %%
def columns(data):
    return np.column_stack([data["image"].reshape(-1, 64), data["table"]])


log_p = model.log_likelihood(*test.values(), num_samples=500)
truth = stats.multivariate_normal(cov=0.49 * np.eye(6) + np.outer(b, b)).logpdf(test["y"] - mean[-300:])
ridge = Ridge().fit(columns(train), train["y"])
residuals, new = (d["y"] - ridge.predict(columns(d)) for d in (train, test))
by_ridge = stats.multivariate_normal(cov=np.cov(residuals.T)).logpdf(new)
gap, gain = evaluation.estimate(log_p - truth), evaluation.estimate(log_p - by_ridge)
print("model − truth:", gap)
print("model − ridge:", gain)
assert gap.mean < 3 * gap.standard_error and gain.mean > 3 * gain.standard_error
for part in ("image", "table"):
    other = {**test, part: np.roll(test[part], 1, axis=0)}
    cost = evaluation.estimate(log_p - model.log_likelihood(*other.values(), num_samples=500))
    print(f"{part} of another row costs {cost}")
    assert cost.mean > 1

# %% [markdown]
# `generate` and `predict` take the conditions in a dictionary too. A draw for each row, and the mean of the library's
# predictions against the true mean:

# %%
given = {name: test[name] for name in ("image", "table")}
drawn, predicted = model.generate(given, sample=True), model.predict(given, verbose=0)
error = np.sqrt(np.mean((predicted - mean[-300:]) ** 2))
by_ridge = np.sqrt(np.mean((ridge.predict(columns(test)) - mean[-300:]) ** 2))
print(drawn.shape, f"error of the mean: model {error:.2f}, ridge {by_ridge:.2f}")

# %% [markdown]
# The model uses both parts, and it is ahead of the ridge regression, which cannot let the table's effect depend on the
# image. It stays behind the truth. The truth knows the digit, and the model has to learn to read it from
# these few images.
#
# `bound`, `log_likelihood` and `encode` take the variables one after the other, in the order of the arguments of
# `factors`. `fit`, `evaluate`, `generate` and `predict` take dictionaries.

# %% [markdown]
# ## When this is the wrong tool
#
# - **A part is missing in some rows.** These factors need all of them.
# - **One part alone decides.** Exchange it as above. If that costs nothing, leave the part out.
# - **The parts are large and few rows are given.** A network of raw pixels has much to learn. Features of a network
#   that others have trained are a vector, and go into the table.
# - **y is one number.** A regression of its mean and variance needs no latent variable.
