"""M1+M2: features drawn anew at every step, images in and images out."""

import keras
import numpy as np
import pytest
from requirements_of_a_model import labelled_data as data
from requirements_of_a_model import small_model, weights

from cvae_tf import M1, M2, VAE, StackedM2, networks, noise
from cvae_tf.distributions import Gaussian

C = 4


def test_the_stack_draws_features_anew_at_every_step():
    """Seen by M2's step: a frozen M1, other features at each step, the same ones in evaluation."""
    seen = []

    class Recorder(StackedM2):
        def objective(self, x, y, *, noise):
            seen.append(x.numpy())
            return super().objective(x, y, noise=noise)

    x, y = data(8)
    vae = small_model(VAE, z=3, seed=2)
    m1 = M1(vae, epochs=0).fit(x)
    m1.kept_ = np.array([0, 2])  # as if a dimension had collapsed
    family = Gaussian("network")
    nets = networks.mlps(M2, x=2, y=C, z=2, hidden=(16,), family=family)
    model = Recorder(features=m1, **nets, family=family)
    model.compile(run_eagerly=True)
    before = weights(vae) if vae.trainable_variables else [w.numpy() for w in vae.weights]
    model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    for old, new in zip(before, vae.weights, strict=True):
        np.testing.assert_array_equal(old, new)
    assert len(seen) == 2 and np.abs(seen[0] - seen[1]).min() > 0
    q, epsilon = vae.posterior(x), noise.key(0, "training: features")
    for step in range(2):
        drawn = q.mean() + q.stddev() * noise.normal(1, 8, 3, key=epsilon, step=step)[0]
        np.testing.assert_allclose(seen[step], drawn.numpy()[:, [0, 2]], rtol=1e-5)
    logs = [model.evaluate(x, y, batch_size=b, return_dict=True, verbose=0) for b in (8, 3)]
    for name, value in logs[0].items():
        np.testing.assert_allclose(logs[1][name], value, rtol=1e-5)
    z = q.mean().numpy()[:, [0, 2]]
    expected = keras.ops.softmax(model.classifier_net(z))
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-5)
    assert model.generate(y[:4]).shape == (4, 6)
    assert model.analogies(x).shape == (8, C, 6)
    assert model.classify(x, num_samples=5).shape == (8,)


def test_a_mask_of_features_is_a_mask():
    """[True, False, True] was read as the indices 1, 0, 1."""
    vae, family = small_model(VAE, z=3, seed=2), Gaussian("network")
    nets = networks.mlps(M2, x=2, y=C, z=2, hidden=(), family=family)

    def of(kept):
        return StackedM2(features=vae, kept=kept, **nets, family=family)

    for kept in ([True, False, True], np.array([1, 0, 1], bool), [0, 2], np.array([0, 2])):
        model = of(kept)
        assert list(model.kept) == [0, 2]
        np.testing.assert_allclose(
            model.features_of(data()[0]), vae.encode(data()[0])[:, [0, 2]], rtol=1e-5
        )
    for kept, message in (
        ([True, False], "mask kept of 2 entries.*3 latent"),
        ([0, 3], "kept=3"),
        ([-1, 0], "kept=-1"),
        ([0.5, 1.0], "0.5"),
    ):
        with pytest.raises((ValueError, TypeError), match=f"(?s){message}"):
            of(kept)


def test_what_is_no_feature_extractor_is_refused():
    family = Gaussian("network")
    nets = networks.mlps(M2, x=3, y=C, z=2, hidden=(), family=family)
    for features, message in (
        (small_model(M2), "fitted M1 or a VAE"),
        (M1(lambda: small_model(VAE)), "not been fitted"),
        (small_model(VAE, z=2), "x=2"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            StackedM2(features=features, **nets, family=family)


def test_what_the_stack_shows_is_the_image_of_the_features_in_their_places():
    vae, family = small_model(VAE, z=3), Gaussian("network")
    nets = networks.mlps(M2, x=2, y=C, z=2, hidden=(5,), family=family)
    model = StackedM2(features=vae, kept=[0, 2], **nets, family=family)
    features = np.random.default_rng(0).normal(size=(4, 5, 2)).astype("float32")
    z = np.stack([features[..., 0], 0 * features[..., 0], features[..., 1]], -1)
    np.testing.assert_allclose(model.shown(model.tensor(features)), vae.decode(z), rtol=1e-5)
