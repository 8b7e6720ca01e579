"""The variational autoencoder: the bound on log p(x)."""

from __future__ import annotations

import keras

from cvae_tf.base import LatentVariableModel
from cvae_tf.distributions import Distribution, Tensor, centre
from cvae_tf.estimators import Factors
from cvae_tf.networks import apply


@keras.saving.register_keras_serializable("cvae_tf")
class VAE(LatentVariableModel):
    r"""p(x, z) = p(z) p(x|z): log p(x) ≥ −KL(q(z|x) ‖ p(z)) + E_q[log p(x|z)], (1.2).

    Args:
        posterior_net: network of x, output [B, 2d].
        likelihood_net: network of z, raw output of `family`.
        family, estimator, seed: see `LatentVariableModel`.

    Example:
        >>> family = Bernoulli()
        >>> model = VAE(**mlps(VAE, x=64, z=2, hidden=(128, 128), family=family), family=family)
        >>> model.compile()
        >>> history = model.fit(x, batch_size=64, epochs=10)

    Source: Kingma & Welling (2013), equation 3.
    """

    def prior(self) -> Distribution:
        """p(z) = N(0, I)."""
        return self.standard_normal()

    def posterior(self, x: Tensor) -> Distribution:
        """q(z|x). Args: x [B, D]. Returns: distribution, batch [B], event [d]."""
        return self.latent(apply(self.posterior_net, x))

    def likelihood(self, z: Tensor) -> Distribution:
        """p(x|z). Args: z [..., B, d]. Returns: distribution, batch [..., B], event x's."""
        return self.family(apply(self.likelihood_net, z))

    def factors(self, x: Tensor) -> Factors:
        """(1.2)"""
        return self.posterior(x), self.prior(), lambda z: self.likelihood(z).log_prob(x)

    def predicted(self, given: Tensor) -> Tensor:
        """The reconstruction at the mean of q(z|x)."""
        return self.likelihood(centre(self.posterior(given))).mean()
