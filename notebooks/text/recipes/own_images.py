# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How do I train on my own images, in colour and of odd sizes?
#
# Let Keras read the folder. `keras.utils.image_dataset_from_directory` decodes the files, brings them to one size and
# gives batches with values from 0 to 255. Divide by 255 and hand the dataset to `fit`. Any height and width will do: the
# convolutional networks halve the sides and round up. For RGB values use a Gaussian likelihood. A Bernoulli likelihood
# is for pixels that are black or white.

# %%
import tempfile
from pathlib import Path

import keras
import numpy as np
from scipy import stats
from sklearn.decomposition import PCA

from cvae_tf import VAE, distributions, networks, plotting

keras.utils.set_random_seed(0)
SIZE = (25, 17)  # height, width

# %% [markdown]
# ## A folder of images
#
# This cell stands for your folder. It draws 600 balls in four colours at different places and writes them as PNG files.
# The first file has the size that the model will see, 25 × 17 pixels. The others are from 23 × 15 to 37 × 25 pixels.

# %%
folder, rng = Path(tempfile.mkdtemp()), np.random.default_rng(0)
COLOURS = [[0.9, 0.2, 0.1], [0.1, 0.7, 0.3], [0.2, 0.4, 1.0], [1.0, 0.8, 0.1]]


def ball(height, width):
    down, across = np.mgrid[:height, :width] / [[[height]], [[width]]]
    colour, (v, u) = rng.choice(COLOURS), rng.uniform(0.2, 0.8, 2)
    inside = (down - v) ** 2 + (0.75 * (across - u)) ** 2 < 0.03
    return np.where(inside[..., None], colour, 0.1)


drawn = [ball(*SIZE)] + [ball(*rng.integers([23, 15], [38, 26])) for _ in range(599)]
for number, image in enumerate(drawn):
    keras.utils.save_img(folder / f"{number:03}.png", np.rint(255 * image), scale=False)

# %% [markdown]
# ## Read it
#
# `labels=None`, because a VAE has no condition. With one subfolder for each class, `label_mode="categorical"` gives
# batches `(x, y)`, and every conditional model of the library takes them as they are. `crop_to_aspect_ratio` cuts where
# the default would stretch. `cache` keeps what was decoded, so that only the first epoch reads files.

# %%
# NBVAL_CHECK_OUTPUT
options = {"labels": None, "image_size": SIZE, "crop_to_aspect_ratio": True, "verbose": False}
files = keras.utils.image_dataset_from_directory(folder, batch_size=20, shuffle=False, **options)
files = files.map(lambda x: x / 255).cache()
test, train = files.take(5), files.skip(5).shuffle(25, seed=0)  # 100 and 500 images
x_test = np.concatenate(list(test))
print(x_test.shape, x_test.dtype, f"values from {x_test.min():.2f} to {x_test.max():.2f}")
np.testing.assert_allclose(x_test[0], drawn[0], atol=0.5 / 255 + 1e-6)  # a PNG rounds to 1/255

# %% [markdown]
# The assertion compares with the picture as it was drawn. Rows, columns and channels are in the order in which they
# were, and the only difference is the rounding of a PNG file.
#
# ## Train
#
# `scale=0.1` says how exact a value has to be, a tenth of the range. `scale="shared"` would learn it.

# %%
family = distributions.Gaussian(scale=0.1)
nets = networks.convs(VAE, x=(*SIZE, 3), z=6, filters=8, hidden=64, family=family)
model = VAE(**nets, family=family, seed=0)
model.compile(keras.optimizers.Adam(3e-3))
history = model.fit(train, epochs=40, validation_data=test, verbose=0).history

# %% [markdown]
# ## Check it
#
# The first check recomputes the log-density of the test images with SciPy, from the network's mean. The second one
# compares the reconstructions with those of scikit-learn's PCA, which is given as many numbers for an image as the
# model is.

# %%
q, _, log_likelihood = model.factors(x_test)
z = q.mean()[None]
by_hand = stats.norm.logpdf(x_test, model.decode(q.mean()), 0.1).sum((1, 2, 3))
np.testing.assert_allclose(log_likelihood(z)[0], by_hand, rtol=1e-4)  # float32, 1275 terms

x_train = np.concatenate(list(train)).reshape(500, -1)
pca = PCA(6).fit(x_train)
by_pca = pca.inverse_transform(pca.transform(x_test.reshape(100, -1))).reshape(x_test.shape)
errors = {name: np.sqrt(np.mean((guess - x_test) ** 2)) for name, guess in {
    "mean image": x_train.mean(0).reshape(x_test[0].shape), "PCA, 6": by_pca, "VAE, 6": model.reconstruct(x_test),
}.items()}  # fmt: skip
print("root mean squared error:", ", ".join(f"{name} {error:.3f}" for name, error in errors.items()))
assert errors["VAE, 6"] < 0.9 * errors["PCA, 6"] < 0.9 * errors["mean image"]

# %% tags=["hide-input"]
from matplotlib.figure import Figure

rows = {"test": x_test, "VAE": model.reconstruct(x_test), "PCA": by_pca, "generated": model.generate(10)}
with plotting.style():
    fig = Figure(figsize=(10, 6.4), layout="constrained")
    for axes, (name, images) in zip(fig.subplots(4, 10), rows.items(), strict=True):
        axes[0].set_ylabel(name)
        for ax, image in zip(axes, images[:10], strict=True):
            ax.imshow(np.clip(image, 0, 1))
            ax.set(xticks=[], yticks=[])
plotting.show(
    fig,
    "Four rows of ten small colour images. Test images show one coloured ball each on a dark ground. The VAE's rows show "
    "balls at the same places, mostly in the same colours, with soft edges. PCA's are smeared over the image and mix the "
    "colours. Of the generated images some show one ball, others a faint or a double one, or only scraps.",
)

# %% [markdown]
# *Ten test images, what the VAE and PCA make of six numbers for each, and ten new images.*
#
# The VAE's reconstructions are sharper than PCA's, because the place of a ball is not a linear function of the pixels.
# The generated images are worse than the reconstructions. Between the codes of 500 images there are regions of the
# prior for which the network has seen no example.

# %% [markdown]
# ## When this is the wrong tool
#
# - **Photographs in which details matter.** A Gaussian likelihood averages what z does not tell, and the edges blur, as
#   they do above. Larger networks reduce that, and a diffusion model is made for it.
# - **Log-likelihoods that are to be compared between papers.** The files hold 256 levels, and a density at such points
#   has no limit from above. Add uniform noise of one level to the pixels, and say that you did.
# - **A few dozen images.** Take features of a network that others have trained, and a linear model on top.
# - **Objects of very different shape in one folder.** Cropping may cut the object off. Look at a batch first.
