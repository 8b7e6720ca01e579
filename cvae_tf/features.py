r"""M1: a VAE's latent as features, for any scikit-learn classifier (Kingma et al. 2014)."""

from __future__ import annotations

import copy
from typing import Any

import keras
import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from cvae_tf import checks, wiring
from cvae_tf.estimators import reparameterise
from cvae_tf.vae import VAE


class M1(TransformerMixin, BaseEstimator):
    r"""A VAE's latent as features: x ↦ E_q[z|x], for any scikit-learn classifier.

    A scikit-learn transformer: it works in pipelines and searches, and can be cloned. Unlabelled
    rows help too: fit it on all x, and the classifier
    on the features of those with labels.

    Args:
        vae: a function without arguments that makes a `VAE`, called at every fit; or a `VAE`, which
            `fit` trains on from where it stands (epochs=0: uses as it is).
        epochs, batch_size: of the VAE's `fit`.
        learning_rate: Adam's, for a VAE that is not compiled.
        min_std: float; keep only dimensions whose posterior mean has a standard deviation above it
            over the data of `fit` (the authors: 0.1); 0 keeps all.

    Attributes:
        vae_: the trained VAE.
        kept_: the dimensions kept, NumPy integers.
        history_: dict of the VAE's logs.

    Example:
        >>> pipeline = make_pipeline(M1(make_vae, epochs=50), LogisticRegression())
        >>> pipeline.fit(x, labels).score(x_test, labels_test)

    Source: Kingma, Mohamed, Rezende & Welling (2014), section 2, M1.
    """

    def __init__(
        self, vae: Any, *, epochs: int = 50, batch_size: int = 100, learning_rate: float = 1e-3,
        min_std: float = 0.0,
    ) -> None:
        self.vae = vae
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.min_std = min_std

    def fit(self, X: Any, y: Any = None) -> M1:
        """Train the VAE on all rows. Args: X [N, …]; y: not used. Returns: self."""
        is_vae = isinstance(self.vae, (keras.Model, type)) or not callable(self.vae)
        vae = self.vae if is_vae else self.vae()
        checks.instance(vae, "vae", VAE, "a VAE, or a function that makes one")
        min_std = checks.number(self.min_std, "min_std", least=0)
        epochs = checks.count(self.epochs, "epochs", least=0)
        batch_size = checks.count(self.batch_size, "batch_size")
        if not vae.compiled:
            rate = checks.number(self.learning_rate, "learning_rate", above=0)
            vae.compile(keras.optimizers.Adam(rate))
        X = wiring.variable(vae, "x", X, "fit")
        self.history_ = vae.fit(X, epochs=epochs, batch_size=batch_size, verbose=0).history
        self.vae_ = vae
        self.kept_ = np.arange(vae.latent_dim)
        if min_std:
            self.kept_ = np.flatnonzero(self.transform(X).std(0) > min_std)
            if not len(self.kept_):
                raise ValueError(
                    f"No latent dimension's mean has a standard deviation above {min_std}: the "
                    "posterior has collapsed. Train longer, or lower min_std."
                )
        self.n_features_in_ = X.shape[1]
        return self

    @property
    def num_features(self) -> int:
        """How many features `transform` gives."""
        self.check_fitted()
        return len(self.kept_)

    def transform(self, X: Any) -> np.ndarray:
        """The mean of q(z|x). Args: X [N, …]. Returns: NumPy array [N, number of features]."""
        self.check_fitted()
        X = wiring.variable(self.vae_, "x", X, "transform")
        return self.vae_.encode(X)[:, self.kept_]

    def sample_features(self, X: Any, noise: Any) -> np.ndarray:
        """Features drawn from the posterior, z = μ + σ ⊙ ε, (2.1): new ones for new noise.

        Args:
            X: [N, …].
            noise: ε, [N, d] or [L, N, d], d the VAE's latent dimensions.

        Returns:
            NumPy array [N, number of features] or [L, N, number of features].
        """
        self.check_fitted()
        X = wiring.variable(self.vae_, "x", X, "sample_features")
        noise = checks.array(noise, "noise", dtype=self.vae_.compute_dtype)
        if noise.shape[-2:] != (len(X), self.vae_.latent_dim) or noise.ndim > 3:
            raise ValueError(
                f"Received noise of shape {noise.shape}. Expected (N, d) or (L, N, d) = "
                f"(…, {len(X)}, {self.vae_.latent_dim}), such as noise.normal(…) gives."
            )
        q = self.vae_.posterior(self.vae_.tensor(X))
        return reparameterise(q, self.vae_.tensor(noise)).numpy()[..., self.kept_]

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the features: z0, z1, …"""
        self.check_fitted()
        return np.array([f"z{dimension}" for dimension in self.kept_], dtype=object)

    def check_fitted(self) -> None:
        """Raise ValueError before `fit`."""
        message = "This %(name)s has not been fitted. Expected a call of fit(X) first."
        check_is_fitted(self, "vae_", msg=message)

    def __sklearn_clone__(self) -> M1:
        parameters = self.get_params(deep=False)
        if isinstance(self.vae, keras.Model):
            parameters["vae"] = copy.deepcopy(self.vae)
        return type(self)(**parameters)
