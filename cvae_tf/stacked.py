r"""M1+M2: an M2 of the features that an M1 has learned, drawn anew at every step, (8.4)."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from cvae_tf import checks, wiring
from cvae_tf.distributions import Tensor, centre
from cvae_tf.estimators import reparameterise
from cvae_tf.noise import Place, normal_at
from cvae_tf.semi_supervised import M2
from cvae_tf.vae import VAE


@keras.saving.register_keras_serializable("cvae_tf")
class StackedM2(M2):
    r"""M1+M2: p(y) p(z₂) p(z₁|y,z₂) p(x|z₁), p(z₁|·) Gaussian, (8.4).

    An M2 whose observed variable is the feature z₁ of an M1 that is trained before and stays as it
    is. In training every step draws z₁ ~ q(z₁|x) anew; `evaluate` uses one fixed draw; `predict`
    and what shows pictures use the mean of q(z₁|x).

    Images x go in and come out everywhere; only the factors see z₁ (`factors_see`), and the logged
    nats and those of `bound` and `log_likelihood` are of z₁, not of an image: of the draw that
    evaluation's fixed noise makes.

    Args:
        features: a fitted `M1`, or a trained `VAE`; it is frozen (`trainable = False`).
        kept: latent dimensions of the VAE that are features; default: those that M1 keeps, or all.
        **kwargs: as for `M2`; the networks' x is z₁, and `family` a Gaussian.

    Raises:
        ValueError, TypeError: if the features are not an M1's or do not fit the networks.

    Example:
        >>> m1 = M1(vae, epochs=100).fit(x)
        >>> family = Gaussian("network")
        >>> nets = mlps(M2, x=m1.num_features, y=10, z=16, hidden=(128,), family=family)
        >>> model = StackedM2(features=m1, **nets, family=family)

    Source: Kingma, Mohamed, Rezende & Welling (2014), section 2, "stacked".
    """

    def __init__(self, *, features: Any, kept: Any = None, **kwargs: Any) -> None:
        from cvae_tf.features import M1  # brings scikit-learn along

        if isinstance(features, M1):
            features.check_fitted()
            kept = features.kept_ if kept is None else kept
            features = features.vae_
        checks.instance(features, "features", VAE, "a fitted M1 or a VAE")
        super().__init__(**kwargs)
        self.kept = _dimensions(kept, features.latent_dim)
        if self.shapes["x"] != (len(self.kept),):
            raise ValueError(
                f"The networks take an x of shape {self.shapes['x']}, and the features have "
                f"{(len(self.kept),)}. Expected one: make the networks with x={len(self.kept)}."
            )
        features.trainable = False
        self.features = features

    def factors_see(self, x: Tensor, y: Tensor, *, place: Place | None) -> tuple[Tensor, Tensor]:
        """z₁, drawn from q(z₁|x) at this place of the noise, or its mean; and y."""
        x, noise = self.features.tensor(x), None
        if place is not None:
            place = place._replace(purpose=f"{place.purpose}: features")
            size = 1, tf.shape(x)[0], self.features.latent_dim
            noise = normal_at(place, self.seed, *size, self.features.compute_dtype)[0]
        return self._feature(x, noise), y

    def _feature(self, x: Tensor, noise: Any) -> Tensor:
        q = self.features.posterior(x)
        z = centre(q) if noise is None else reparameterise(q, self.features.tensor(noise))
        return self.tensor(tf.gather(z, self.kept, axis=-1))  # z₁ of (8.4)

    def features_of(self, x: Any, noise: Any = None) -> Tensor:
        """z₁: the mean of q(z₁|x), or the draw that the noise says.

        Args:
            x: [B, …], images.
            noise: ε, [B, d₁] or None.

        Returns:
            Tensor [B, number of features].
        """
        return self._feature(self.features.given(x, where="features_of")[0], noise)

    def shown(self, observation: Tensor) -> Tensor:
        """The image of z₁: the mean of p(x|z₁)."""
        places = tf.one_hot(self.kept, self.features.latent_dim, dtype=observation.dtype)
        z = tf.tensordot(observation, places, 1)  # a dropped feature has mean 0
        return centre(self.features.likelihood(z))

    @property
    def data_shapes(self) -> dict[str, tuple[int, ...]]:
        return {**super().data_shapes, "x": self.features.shapes["x"]}

    def check_variable(self, name: str, values: Any, where: str, least: int = -1) -> Any:
        of = self.features if name == "x" else self
        return wiring.variable(of, name, values, where, least)

    def get_config(self) -> dict[str, Any]:
        features = keras.saving.serialize_keras_object(self.features)
        return {**super().get_config(), "features": features, "kept": self.kept}


def _dimensions(kept: Any, latent_dim: int) -> list[int]:
    """The latent dimensions that are features, of a mask or of indices."""
    if kept is None:
        return list(range(latent_dim))
    kept = checks.array(kept, "kept", ndim=1, dtype=None)
    if kept.dtype == bool:
        if len(kept) != latent_dim:
            raise ValueError(
                f"Received a mask kept of {len(kept)} entries. Expected one for each of the "
                f"{latent_dim} latent dimensions."
            )
        return np.flatnonzero(kept).tolist()
    if len(set(kept.tolist())) < len(kept):
        raise ValueError(f"Received kept={kept.tolist()}. Expected each dimension once.")
    return [checks.count(k, "a dimension in kept", 0, latent_dim - 1) for k in kept]
