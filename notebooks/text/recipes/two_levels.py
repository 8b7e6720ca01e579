# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How do I build a hierarchy, with two levels of z?
#
# Keep one vector z and let its prior have the two levels. With $z = (z_2, z_1)$ the prior is $p(z_2)\, p(z_1 \mid
# z_2)$, both Gaussian, and the mean and scale of $z_1$ come from a network of $z_2$. As a distribution that is one
# coupling layer, TFP's `RealNVP`, applied to a standard normal. The likelihood network looks at $z_1$ alone. There is
# no closed-form KL, so train with `estimator=SGVBA()`.

# %%
import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import stats

from cvae_tf import VAE, distributions, estimators, evaluation, networks, plotting

tfd, tfb = tfp.distributions, tfp.bijectors
keras.utils.set_random_seed(0)

# %% [markdown]
# ## The model
#
# `top` is the number of dimensions of $z_2$. The coupling gives $z_2 = \varepsilon_2$ and
# $z_1 = m(z_2) + s(z_2) \odot \varepsilon_1$.

# %%
@keras.saving.register_keras_serializable("recipes")
class TwoLevels(VAE):
    def __init__(self, *, top, **kwargs):
        super().__init__(**kwargs)
        self.top = top
        outputs, dtype = 2 * (self.latent_dim - top), self.compute_dtype
        self.level_net = networks.mlp([top], (32,), outputs, activation="tanh", dtype=dtype)

    def prior(self):
        def shift_and_log_scale(z2, output_units):
            return tf.split(networks.apply(self.level_net, z2), 2, -1)

        coupling = tfb.RealNVP(num_masked=self.top, shift_and_log_scale_fn=shift_and_log_scale)
        return tfd.TransformedDistribution(self.standard_normal(), coupling)

    def get_config(self):
        return {**super().get_config(), "top": self.top}


# %% [markdown]
# ## Data with two levels
#
# $z_2$ is normal, $z_1$ is pushed to one of two sides by $z_2$, and x is six linear functions of $z_1$ with noise. The
# true $\log p(x)$ is a sum over a grid of $z_2$ and then of $z_1$. The same sums serve for the trained model.

# %%
# NBVAL_CHECK_OUTPUT
rng = np.random.default_rng(0)
z2 = rng.normal(size=(2500, 1))
z1 = 1.5 * np.tanh(4 * z2) + 0.25 * rng.normal(size=z2.shape)
weights = rng.normal(size=(1, 6))
x_train, x_test = np.split((z1 @ weights + 0.5 * rng.normal(size=(2500, 6))).astype("float32"), [2000])
grid = np.linspace(-7, 7, 561, dtype="float32")[:, None]


def integral(log_p):  # over the grid, along the first axis
    return np.logaddexp.reduce(np.float64(log_p), 0) + np.log(grid[1, 0] - grid[0, 0])


def log_prior(m, s):  # of (z2, z1) on the grid, from SciPy
    return stats.norm.logpdf(grid) + stats.norm.logpdf(grid.T, m, s)


given_z1 = stats.norm.logpdf(x_test, (grid * weights)[:, None], 0.5).sum(-1)
truth = integral(integral(log_prior(1.5 * np.tanh(4 * grid), 0.25))[:, None] + given_z1)
print(f"true log p of the test rows: {truth.mean():.2f} nats on average")

# %% [markdown]
# ## One level and two
#
# The likelihood network takes the whole z and uses a slice of it. It is linear, so that only the prior can push $z_1$
# to two sides.

# %%
def trained(model_class, **top):
    keras.utils.set_random_seed(0)
    dim, family = sum(top.values()) + 1, distributions.Gaussian(0.5)
    z = keras.Input((dim,))
    likelihood_net = keras.Model(z, networks.mlp([1], (), 6)(z[:, -1:]))
    nets = {"posterior_net": networks.mlp([6], (32,), 2 * dim), "likelihood_net": likelihood_net}
    model = model_class(**nets, family=family, estimator=estimators.SGVBA(), seed=0, **top)
    model.compile(keras.optimizers.Adam(5e-3), jit_compile=False)
    model.fit(x_train, batch_size=50, epochs=40, verbose=0)
    return model


one, two = trained(VAE), trained(TwoLevels, top=1)
gaps = [evaluation.estimate(model.log_likelihood(x_test) - truth) for model in (one, two)]
print(f"log p − truth: one level {gaps[0]}, two levels {gaps[1]}")
assert gaps[1].mean > gaps[0].mean + 0.15

# %% [markdown]
# ## Check it
#
# The prior's density against SciPy, and $\log p$ by importance sampling against the sum over both levels.

# %%
m, log_s = np.split(two.level_net(grid).numpy(), 2, -1)
pairs = np.stack(np.meshgrid(grid, grid, indexing="ij"), -1)  # (z2, z1)
np.testing.assert_allclose(two.prior().log_prob(pairs), log_prior(m, np.exp(log_s)), atol=1e-2, rtol=1e-4)
given_z1 = two.factors(x_test)[2](np.concatenate([0 * grid, grid], -1)[:, None])
exact = integral(integral(log_prior(m, np.exp(log_s)))[:, None] + given_z1)
print(f"by sampling {two.log_likelihood(x_test).mean():.3f}, by quadrature {exact.mean():.3f} nats")
assert abs(two.log_likelihood(x_test).mean() - exact.mean()) < 0.05  # 1,000 draws for each of 500 rows

# %% tags=["hide-input"]
from matplotlib.figure import Figure

with plotting.style():
    fig = Figure(figsize=(8, 5), layout="constrained")
    ax = fig.subplots()
    ax.scatter(*two.encode(x_train, sample=True).T, s=8, color="#888888", label="draws of q")
    ax.plot(grid, m, color=plotting.colour("VAE"), label="$m(z_2)$")
    ax.set(xlabel="$z_2$, the upper level", ylabel="$z_1$, which the likelihood sees", xlim=(-3, 3))
    ax.legend()
plotting.show(
    fig,
    "Grey dots in two clouds, low and high in z one, one at negative and one at positive z two. A blue curve, the mean of "
    "z one given z two, lies flat in one cloud, rises through zero, and lies flat in the other.",
)

# %% [markdown]
# *Codes of the training rows on both levels, and the mean that the upper level gives to the lower one.*
#
# The second level takes up most of the difference from the truth. It does not take up all of it. A likely reason: q is one Gaussian with
# independent dimensions, and here the true posterior couples the two levels.

# %% [markdown]
# ## When this is the wrong tool
#
# - **The likelihood network is flexible.** It can bend a single normal z by itself, and the upper level often goes
#   unused. Plot $m(z_2)$: if it is flat, the level says nothing. [The recipe on collapse](collapse.ipynb)
#   tells what to try.
# - **You want a better prior and no hierarchy.** VampPrior or a flow is easier to train:
#   [the recipe on priors](own_prior.ipynb).
# - **Images in high quality.** Hierarchies that work there have dozens of levels and a q that runs from the top down
#   (ladder VAE, NVAE). This one has a q with independent dimensions.
# - **The upper level is a known label.** Then it is a condition, or `M2` where it is known for some rows.
