# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How do I find out whether the posterior has collapsed, and does cyclic annealing help?
#
# Look before you treat. `diagnostics.kl_per_dimension` shows which latent dimensions carry something, and
# `diagnostics.use` says how many nats the reconstruction loses when the codes of two examples are exchanged. If most
# dimensions have a KL near zero, weight the KL less at the beginning of training: a `Beta` penalty whose β is a function
# of the step, from `schedules`. On the digits cyclic annealing wakes several dimensions and raises $\log p(x)$. A plain
# linear warm-up raises it as much.

# %%
import keras
import numpy as np

from cvae_tf import (
    VAE,
    datasets,
    diagnostics,
    distributions,
    evaluation,
    networks,
    plotting,
    schedules,
)
from cvae_tf.penalties import Beta

# %%
# NBVAL_CHECK_OUTPUT
digits = datasets.digits(binarise="fixed")
x_train, x_test = digits.train.x, digits.test.x
print(x_train.shape, x_test.shape)

# %% [markdown]
# ## The schedule
#
# In each of four cycles β rises from 0 to 1 during the first half, and stays at 1 during the second (Fu et al. 2019).
# The linear warm-up rises once, during the first third. β is a function of the step, computed inside the compiled step,
# so a resumed run goes on where it was. Any function of the step would do, Keras's own schedules among them. The last
# steps must have β = 1. Otherwise the model that you keep was trained on something else than the bound.

# %%
STEPS = 60 * -(-len(x_train) // 64)  # epochs × batches
print([round(float(schedules.Cyclic(STEPS, cycles=4)(step)), 2) for step in range(0, STEPS // 2, STEPS // 16)])


def trained(beta=1.0):
    keras.utils.set_random_seed(0)
    family = distributions.Bernoulli()
    nets = networks.mlps(VAE, x=64, z=16, hidden=(128, 128), family=family)
    model = VAE(**nets, family=family, penalty=Beta(beta), seed=0)
    model.compile(keras.optimizers.Adam(1e-3), jit_compile=False)  # short: XLA would compile for longer
    model.fit(x_train, batch_size=64, epochs=60, verbose=0)
    return model


# %% [markdown]
# ## The diagnosis
#
# 16 latent dimensions, trained on the plain bound. The closed form of the KL, written out, must give the same numbers.

# %%
plain = trained()
kl = diagnostics.kl_per_dimension(plain, x_test)
q = plain.posterior(x_test)
mean, variance = q.mean().numpy(), q.variance().numpy()
by_hand = 0.5 * (mean**2 + variance - 1 - np.log(variance))
np.testing.assert_allclose(kl, by_hand.mean(0), rtol=1e-3, atol=1e-5)  # float32
print("KL of each dimension, nats:", np.round(np.sort(kl)[::-1], 2))
print(f"dimensions above 0.1 nats: {(kl > 0.1).sum()} of 16")
print(f"active units, variance of the mean above 0.01: {diagnostics.active_units(plain, x_test).count}")
print(f"exchanging z costs {diagnostics.use(plain, x_test).z}")

# %% [markdown]
# $z$ is in use, since exchanging it costs many nats. But most dimensions say next to nothing. The usual count of active
# units does not show it: its threshold of 0.01 is very low for a posterior this wide. Look at the KL itself.
#
# ## The treatment

# %%
models = {
    "plain bound": plain,
    "warm-up": trained(schedules.Linear(STEPS // 3)),
    "cyclic": trained(schedules.Cyclic(STEPS, cycles=4)),
}
kl_of = {name: diagnostics.kl_per_dimension(model, x_test) for name, model in models.items()}
log_p = {name: model.log_likelihood(x_test, num_samples=500) for name, model in models.items()}
epsilon = np.random.default_rng(0).normal(size=(200, 1, 16))  # 200 draws for each image
for name, model in models.items():
    bound, used = model.bound(x_test, noise=epsilon), diagnostics.use(model, x_test).z
    gain = evaluation.estimate(log_p[name] - log_p["plain bound"])
    print(f"{name:11} {(kl_of[name] > 0.1).sum():2} dimensions above 0.1, KL {kl_of[name].sum():.1f}, z is worth "
          f"{used.mean:.1f}, bound {np.mean(bound.value):.2f}, log p − plain = {gain}")  # fmt: skip
    np.testing.assert_allclose(np.mean(bound.kl), kl_of[name].sum(), rtol=1e-4)
    assert name == "plain bound" or gain.mean > 3 * gain.standard_error
assert abs(np.mean(log_p["cyclic"] - log_p["warm-up"])) < 0.15  # three seeds gave 0.00 to 0.03

# %% tags=["hide-input"]
ordered = {name: np.sort(kl)[::-1] for name, kl in kl_of.items()}
fig = plotting.line_chart(range(1, 17), ordered, xlabel="latent dimension, busiest first", ylabel="KL (nats)")
plotting.show(
    fig,
    "Three falling curves of KL against the number of the latent dimension. With the plain bound four dimensions stand "
    "out and the rest lie near zero. Warm-up and cyclic annealing fall more slowly: more dimensions are in use.",
)

# %% [markdown]
# *KL of each dimension on the test images, nats.*
#
# Both schedules wake dimensions, and $\log p(x)$ of the test images rises by about as much under both. Cyclic annealing
# has a higher KL than one warm-up, and no better $\log p$: its extra restarts do not show here. The bound rises by 0.18
# nats after the warm-up and by 0.25 after cyclic annealing: no more than $\log p$, as more dimensions in use may make the
# true posterior harder to match. These are single runs with one seed. Run several before you believe a difference of a
# tenth of a nat.

# %% [markdown]
# ## When this is the wrong tool
#
# - **The data need only few dimensions.** Then idle ones are right, and nothing is lost. Only $\log p$ can tell: if no
#   schedule raises it, there was nothing that they could wake.
# - **A decoder that needs no z**, such as an autoregressive one. Schedules delay its collapse. Weaken the decoder, or
#   demand a KL with `penalties.FreeBits`.
# - **q is too narrow or too slow**, and not the schedule. `evaluation.gap` separates the two.
