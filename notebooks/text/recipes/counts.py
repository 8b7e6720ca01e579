# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How do I write a likelihood of my own, such as one for counts?
#
# Derive a class from `distributions.Family`. Its `call` turns the network's raw output into a TFP distribution, and
# `check` refuses data that the distribution cannot explain. A Poisson likelihood takes six lines. A negative binomial
# one has a learned dispersion and takes seven. Everything else works as with the families of the library: networks,
# training, `log_likelihood`, saving.

# %%
import keras
import numpy as np
import tensorflow_probability as tfp
from scipy import stats

from cvae_tf import VAE, distributions, evaluation, networks

tfd = tfp.distributions
keras.utils.set_random_seed(0)

# %% [markdown]
# ## The families
#
# The raw output of the network is the logarithm of the mean. The negative binomial has the variance $\mu + \mu^2 / r$.
# Its $r$ is one number for each column, which the family learns. `register_keras_serializable` lets a saved model find
# the class again.

# %%
@keras.saving.register_keras_serializable("recipes")
class Poisson(distributions.Family):
    def call(self, raw):
        return tfd.Independent(tfd.Poisson(log_rate=raw), 1)

    def check(self, values, name):
        if np.any((values < 0) | (values != np.round(values))):
            raise ValueError(f"{name} has values that are no counts. Expected 0, 1, 2, …")


@keras.saving.register_keras_serializable("recipes")
class NegativeBinomial(Poisson):
    def build(self, raw_shape):
        super().build(raw_shape)
        self.log_r = self.add_weight(shape=self.event_shape, initializer="zeros", name="log_r")

    def call(self, raw):
        r, logits = keras.ops.exp(self.log_r), raw - self.log_r  # μ = r · exp(logits)
        return tfd.Independent(tfd.NegativeBinomial(r, logits=logits), 1)


# %% [markdown]
# ## Against SciPy
#
# SciPy counts failures where TFP counts successes, so its `p` is $r / (r + \mu)$.

# %%
# NBVAL_CHECK_OUTPUT
log_pmf = {
    "Poisson": lambda x, mu, r: stats.poisson.logpmf(x, mu),
    "NegativeBinomial": lambda x, mu, r: stats.nbinom.logpmf(x, r, r / (r + mu)),
}
rng = np.random.default_rng(0)
raw, x = rng.normal(1, 1, (5, 8)).astype("float32"), rng.poisson(3, (5, 8)).astype("float32")
for family in (Poisson(), NegativeBinomial()):
    family.build((None, 8))
    by_scipy = log_pmf[type(family).__name__](x, np.exp(raw), r=1).sum(1)  # r starts at 1
    np.testing.assert_allclose(family(raw).log_prob(x), by_scipy, rtol=1e-5)  # float32
    print(f"{type(family).__name__:16} {family(raw).log_prob(x)[0]:.3f} nats, SciPy {by_scipy[0]:.3f}")

# %% [markdown]
# ## On data
#
# 3,000 rows hold eight counts each. Their means depend on one hidden number, $\log \mu_i = a_i + b_i z$. One table is
# Poisson given z. The other one has more variance, $r = 2$. Because z is one number, the log-likelihood of the truth is
# an integral over a grid, and no model can be better on average than it.
#
# $q$ sees $\log(1 + x)$: counts of very different size are hard on a network. That is one layer in front of it.

# %%
a, b = rng.normal(1, 0.5, 8), rng.normal(0, 0.6, 8)
mean = np.exp(a + b * rng.normal(size=(3000, 1)))
rates = {"Poisson": mean, "NegativeBinomial": mean * rng.gamma(2, 1 / 2, mean.shape)}


def truth(kind, x):
    """log p(x) of the process that drew the data, by a sum over z."""
    z = np.linspace(-6, 6, 401)[:, None]
    log_p = log_pmf[kind](x, np.exp(a + b * z[..., None]), r=2).sum(-1) + stats.norm.logpdf(z)
    return np.logaddexp.reduce(log_p, 0) + np.log(12 / 400)


def trained(family, x):
    nets = networks.mlps(VAE, x=8, z=1, hidden=(32,), family=family)
    counts = keras.Input((8,))
    nets["posterior_net"] = keras.Model(counts, nets["posterior_net"](keras.ops.log1p(counts)))
    model = VAE(**nets, family=family, seed=0)
    model.compile(keras.optimizers.Adam(5e-3), jit_compile=False)  # short runs: XLA would compile for longer
    model.fit(x, batch_size=100, epochs=30, verbose=0)
    return model


# %%
for kind, rate in rates.items():
    x_train, x_test = np.split(rng.poisson(rate), [2500])
    for family in (Poisson(), NegativeBinomial()):
        model, name = trained(family, x_train), type(family).__name__
        gap = evaluation.estimate(model.log_likelihood(x_test) - truth(kind, x_test))
        print(f"{kind:16} data, {name:16} model: log p − truth = {gap}")
        assert gap.mean < 3 * gap.standard_error  # nothing beats the truth
        assert (gap.mean > -0.1) == (name == kind)  # and only the right family comes near it
print("learned r, true value 2:", np.round(np.exp(model.family.log_r), 1))

# %% [markdown]
# On each table the family that drew it comes within a few hundredths of a nat of the truth. The Poisson model loses
# more than a nat per row on the table with more variance. The negative binomial also loses on Poisson data, but little.
# It contains the Poisson only as the limit of a large r, which it would have to learn. The first learned r is further
# from the true value than the others, and the bound hardly feels it.

# %% [markdown]
# ## When this is the wrong tool
#
# - **Counts out of a known total**, such as 13 of 16: use `tfd.Binomial`. The columns of one row that share a total are
#   a multinomial.
# - **Counts with many more zeros than both families allow.** Mix the family with a point at zero, and check it against
#   SciPy in the same way.
# - **Counts in the thousands.** A Gaussian for the logarithm is easier to train and says nearly the same.
# - **One column and a few conditions.** A generalised linear model has standard errors, and a VAE has none.
# - **Many draws.** TFP gives these families no quantile function, so `generate(sample=True)` draws row by row and
#   is slow. The mean, which is the default, needs no draw.
