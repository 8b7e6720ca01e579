# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How do I model sequences of different lengths?
#
# Bring all sequences to the length of the longest, and fill up with NaN. With `distributions.ObservedOnly` around the
# family those steps drop out of the likelihood, so a short sequence has the log-likelihood of its own steps alone. Write
# encoder and decoder with Keras's recurrent layers. The encoder begins with `networks.Filled`, which turns NaN into
# zeros, and `Masking`, which lets the recurrent layer stop there.

# %%
import keras
import numpy as np
from keras import layers
from scipy.special import log_softmax

from cvae_tf import VAE, distributions, evaluation, networks, penalties, plotting, schedules

keras.utils.set_random_seed(0)
STEPS, SYMBOLS, LATENT = 12, 4, 4

# %% [markdown]
# ## Sequences
#
# Each sequence walks round four symbols, forwards or backwards, at one of two speeds, from a symbol of its own. One step
# in twenty is any symbol. Lengths are from 5 to 12 steps.

# %%
# NBVAL_CHECK_OUTPUT
rng, rows = np.random.default_rng(0), 2500
lengths, start = rng.integers(5, STEPS + 1, rows), rng.integers(0, SYMBOLS, rows)
speed = rng.choice([-1, -0.5, 0.5, 1], rows)
symbols = (start[:, None] + np.floor(speed[:, None] * np.arange(STEPS))).astype(int) % SYMBOLS
wrong = rng.uniform(size=symbols.shape) < 0.05
symbols[wrong] = rng.integers(0, SYMBOLS, wrong.sum())
x = np.eye(SYMBOLS, dtype="float32")[symbols]
x[np.arange(STEPS) >= lengths[:, None]] = np.nan
train, test = x[:2000], x[2000:]
print(x.shape, [f"{np.isnan(each[:, 0]).sum()} steps missing" for each in x[:3]])

# %% [markdown]
# ## The model
#
# Given z the steps are independent, so z has to say where the sequence starts and how it walks. A recurrent decoder takes
# a while to listen to z. Without the schedule, which weights the KL less in the first 500 of 600 steps, the posterior
# collapsed here, and the model knew no more than how often each symbol occurs.

# %%
sequence, z = keras.Input((STEPS, SYMBOLS)), keras.Input((LATENT,))
read = layers.GRU(48)(layers.Masking()(networks.Filled()(sequence)))
written = layers.GRU(48, return_sequences=True)(layers.RepeatVector(STEPS)(z))
model = VAE(
    posterior_net=keras.Model(sequence, layers.Dense(2 * LATENT)(read)),
    likelihood_net=keras.Model(z, layers.Dense(SYMBOLS)(written)),
    family=distributions.ObservedOnly(distributions.Categorical()),
    penalty=penalties.Beta(schedules.Linear(500)),
)
model.compile(keras.optimizers.Adam(5e-3), jit_compile=False)
history = model.fit(train, batch_size=100, epochs=30, verbose=0)

# %% [markdown]
# ## Is the padding really left out?
#
# The sum over the steps of each sequence, written by hand with its length, must be the model's number.

# %%
code = model.encode(test)
by_hand = log_softmax(model.likelihood_net(code).numpy(), -1)
by_hand = np.array([(each * one)[:n].sum() for each, one, n in zip(by_hand, test, lengths[2000:], strict=True)])
np.testing.assert_allclose(model.likelihood(model.tensor(code)).log_prob(test), by_hand, rtol=1e-4)
print("log p(x|z), first three:", np.round(by_hand[:3], 2))

# %% [markdown]
# ## What z is worth
#
# Beside it stands what one can say without z: how often each symbol occurs at each step. The simplest rival that looks
# at the order is a chain, in which each symbol depends on the one before.

# %%
often = np.nanmean(train, 0)
without = np.nansum(test * np.log(often), (1, 2))
pairs = np.einsum("nti,ntj->ij", np.nan_to_num(train[:, :-1]), np.nan_to_num(train[:, 1:])) + 1
chain = np.nansum(test[:, 0] * np.log(often[0]), -1)
then = np.log(pairs / pairs.sum(1, keepdims=True))
chain += np.einsum("nti,ntj,ij->n", *map(np.nan_to_num, (test[:, :-1], test[:, 1:])), then)
log_p = model.log_likelihood(test, num_samples=500)
for name, rival in {"symbols at each step": without, "chain": chain}.items():
    gain = evaluation.estimate(log_p - rival)
    print(f"log p − {name}: {gain}")
    assert gain.mean > 3 * gain.standard_error

# %% tags=["hide-input"]
by_length = {n: lengths[2000:] == n for n in range(5, STEPS + 1)}
curves = {
    name: [values[rows].mean() for rows in by_length.values()]
    for name, values in {"this model": log_p, "chain": chain, "symbols at each step": without}.items()
}
fig = plotting.line_chart(list(by_length), curves, xlabel="length of the sequence", ylabel="log p (nats)")
plotting.show(
    fig,
    "Three falling lines of log p against the length. The line of symbols at each step falls fastest, the chain's less, "
    "and this model's least: each further step costs it little.",
)

# %% [markdown]
# *Log-likelihood of test sequences by their length, nats per sequence.* A step costs the model little once z is known.

# %% [markdown]
# ## When this is the wrong tool
#
# - **The length matters.** It is given here, not modelled: `generate` writes all twelve steps. Add a symbol for the end,
#   and let it stand after the last step.
# - **Text and other long sequences.** Independent steps given one z are a strong assumption. An autoregressive model
#   predicts better; as a decoder it tends to ignore z, see the recipe on collapse.
# - **Real-valued series on a grid of time with gaps.** The same family serves, around a Gaussian. For gaps of uneven
#   length give the times as a condition.
