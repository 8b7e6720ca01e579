# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How do I condition on continuous attributes, or on several labels at once?
#
# The condition y may be any vector of numbers. Scale a continuous attribute to about [−1, 1], write a binary one as 0
# or 1, and put them side by side. Several labels at once are a vector of zeros and ones, not a one-hot vector. No layer
# and no argument changes: `y=10` in `networks.mlps` is the number of columns. Check afterwards with a classifier or a
# regression, trained on real images, that generated images have what was asked for.

# %%
import keras
import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score

from cvae_tf import CVAE1, distributions, faces, networks, plotting

keras.utils.set_random_seed(0)

# %% [markdown]
# ## Data
#
# Drawn faces of 24 × 24 pixels with ten attributes, five binary and five continuous. The attributes are independent, so
# that each can be read and set alone.

# %%
# NBVAL_CHECK_OUTPUT
data = faces.drawn(6000, size=24, image=False)
train, test = data.train, data.test
print(train.x.shape, train.y.shape)
for name, column in zip(faces.ATTRIBUTES, train.y.T, strict=True):
    print(f"{name:10} {faces.ATTRIBUTES[name]:10} from {column.min():.0f} to {column.max():.0f}")

# %%
family = distributions.Gaussian(scale=0.1)
nets = networks.mlps(CVAE1, x=576, y=10, z=12, hidden=(256, 256), family=family)
model = CVAE1(**nets, family=family, seed=0)
model.compile(keras.optimizers.Adam(1e-3))
history = model.fit(train.x, train.y, batch_size=50, epochs=30, verbose=0)

# %% [markdown]
# ## Has a generated face what was asked for?
#
# Ridge regression of scikit-learn learns the ten attributes from the pixels of real faces. It reads them from real test
# faces, which is the most that can be hoped for, and from faces that the model generates for the same attributes.

# %%
reader = RidgeCV(np.logspace(-3, 3, 7)).fit(train.x, train.y)
real, generated = reader.predict(test.x), reader.predict(model.generate(test.y))
for name, asked, on_real, on_generated in zip(faces.ATTRIBUTES, test.y.T, real.T, generated.T, strict=True):
    scores = r2_score(asked, on_real), r2_score(asked, on_generated)
    print(f"{name:10} R² read from real faces {scores[0]:.2f}, from generated ones {scores[1]:.2f}")
    assert scores[1] > scores[0] - 0.1

# %% [markdown]
# Generated faces are read about as well as real ones, and in some attributes better. That does not make them better
# faces. `generate` gives the
# likelihood's mean, in which the accidents of a real face are averaged away.
#
# ## One attribute at a time
#
# Take a real face and change what is said of it. The prior of `CVAE1` depends on y, so keep $u = (z - m(y)) / s(y)$ and
# move the attribute. For `CVAE2` keep z itself.

# %%
def sweep(name, values, face=200):
    x, y = test.x[[face]], test.y[[face]]
    before = model.prior(y)
    u = (model.encode(x, y) - before.mean()) / before.stddev()
    y = np.repeat(y, len(values), 0)
    y[:, list(faces.ATTRIBUTES).index(name)] = values
    after = model.prior(y)
    return model.decode(after.mean() + after.stddev() * u, y)


steps = np.linspace(-1, 1, 7)
rows = {"smile": steps, "hair": steps, "pose": steps, "light": steps, "hat": (steps + 1) / 2}
images = np.stack([sweep(name, values) for name, values in rows.items()])

# %% tags=["hide-input"]
fig = plotting.image_grid(
    images, image_shape=(24, 24), row_labels=list(rows), cmap="gray",
    column_labels=["lowest", "", "", "middle", "", "", "highest"],
)  # fmt: skip
plotting.show(
    fig,
    "Five rows of seven small grey faces. From left to right the mouth changes slightly, hair grows, the head turns, the "
    "light changes slightly, and a hat appears. The rest of the face stays much the same, except in the turned heads.",
)

# %% [markdown]
# *One face of the test set, changed in one attribute at a time. In the last row the hat goes from 0 to 1 through values
# that no training face had.*
#
# The smile and the light hardly show on this face, although the regression finds them over all faces. The turned heads
# are rough.

# %% [markdown]
# ## When this is the wrong tool
#
# - **Attributes that come together in the data.** If everyone with a beard is old, the model cannot know what a beard
#   alone looks like. Look at the correlations of y before you trust a sweep.
# - **Values outside the range of training.** The networks extrapolate, and nothing warns you.
# - **An angle or a month.** 359° and 1° are neighbours. Give the sine and the cosine.
# - **A category with many values** as one number: the order would mean something. Use one-hot columns.
# - **Attributes that are unknown for some images.** These factors need all of them.
