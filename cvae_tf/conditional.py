r"""The four conditional VAEs, and GSNN, on one page: read down the signatures, and compare.

    model     bounds       q(z|·) sees   prior sees   likelihood sees
    CVAE-1    log p(x|y)   x, y          y            y, z
    CVAE-2    log p(x|y)   x, y          –            y, z
    CVAE-3    log p(y|x)   x, y          x            x, z
    CMMA      log p(x|y)   x, y          y            z
    GSNN      log p(y|x)   x             x            x, z

A factor's arguments are its parents in the graphical model; `factors` says which q, which prior and
which likelihood make the bound  −KL(q ‖ prior) + E_q[log likelihood].
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from cvae_tf import checks, signatures
from cvae_tf.base import LatentVariableModel
from cvae_tf.distributions import Distribution, MixtureOfGaussians, Tensor
from cvae_tf.estimators import Bound, Factors
from cvae_tf.networks import apply


@keras.saving.register_keras_serializable("cvae_tf")
class CVAE1(LatentVariableModel):
    r"""p(x, z|y) = p(z|y) p(x|y,z): log p(x|y) ≥ −KL(q(z|x,y) ‖ p(z|y)) + E_q[log p(x|y,z)], (3.2).

    Args:
        posterior_net: network of [x, y], output [B, 2d].
        prior_net: network of y, output [B, 2d].
        likelihood_net: network of [y, z], raw output of `family`.
        family, estimator, seed: see `LatentVariableModel`.

    Example:
        >>> family = Bernoulli()
        >>> nets = mlps(CVAE1, x=64, y=10, z=2, hidden=(128, 128), family=family)
        >>> model = CVAE1(**nets, family=family)
        >>> model.compile()
        >>> history = model.fit(x, y, batch_size=64, epochs=10)

    Source: the derivation follows Kingma & Welling (2013) with y behind every bar, (3.1).
    """

    def prior(self, y: Tensor) -> Distribution:
        """p(z|y). Args: y [B, K]. Returns: distribution, batch [B], event [d]."""
        return self.prior_family(apply(self.prior_net, y))

    def posterior(self, x: Tensor, y: Tensor) -> Distribution:
        """q(z|x,y). Args: x [B, D], y [B, K]. Returns: distribution, batch [B], event [d]."""
        return self.latent(apply(self.posterior_net, x, y))

    def likelihood(self, y: Tensor, z: Tensor) -> Distribution:
        """p(x|y,z). Args: y [B, K], z [..., B, d]. Returns: distribution, batch [..., B]."""
        return self.family(apply(self.likelihood_net, y, z))

    def factors(self, x: Tensor, y: Tensor) -> Factors:
        """(3.2)"""
        return self.posterior(x, y), self.prior(y), lambda z: self.likelihood(y, z).log_prob(x)


@keras.saving.register_keras_serializable("cvae_tf")
class CVAE2(LatentVariableModel):
    r"""p(x, z|y) = p(z) p(x|y,z): log p(x|y) ≥ −KL(q(z|x,y) ‖ p(z)) + E_q[log p(x|y,z)], (4.2).

    z and y are independent a priori, (4.1); q sees y all the same, because once x is seen z and y
    explain it together.

    Args:
        posterior_net: network of [x, y], output [B, 2d].
        likelihood_net: network of [y, z], raw output of `family`.
        family, estimator, seed: see `LatentVariableModel`.

    Example:
        >>> nets = mlps(CVAE2, x=64, y=10, z=2, hidden=(128, 128), family=family)
        >>> model = CVAE2(**nets, family=family)

    Source: Kingma et al. (2014), equation 6 without the label's prior.
    """

    def prior(self) -> Distribution:
        """p(z) = N(0, I), (4.1)."""
        return self.standard_normal()

    def posterior(self, x: Tensor, y: Tensor) -> Distribution:
        """q(z|x,y). Args: x [B, D], y [B, K]. Returns: distribution, batch [B], event [d]."""
        return self.latent(apply(self.posterior_net, x, y))

    def likelihood(self, y: Tensor, z: Tensor) -> Distribution:
        """p(x|y,z). Args: y [B, K], z [..., B, d]. Returns: distribution, batch [..., B]."""
        return self.family(apply(self.likelihood_net, y, z))

    def factors(self, x: Tensor, y: Tensor) -> Factors:
        """(4.2)"""
        return self.posterior(x, y), self.prior(), lambda z: self.likelihood(y, z).log_prob(x)


@keras.saving.register_keras_serializable("cvae_tf")
class CVAE3(LatentVariableModel):
    r"""p(y, z|x) = p(z|x) p(y|x,z): log p(y|x) ≥ −KL(q(z|x,y) ‖ p(z|x)) + E_q[log p(y|x,z)], (5.2).

    Predicts y from x. With `alpha` below one it is trained on the hybrid objective (5.4), α·L_CVAE
    + (1−α)·L_GSNN, whose second term (5.3) draws z from the prior, as prediction does. The logged
    ELBO is always (5.2).

    Args:
        posterior_net: network of [x, y], output [B, 2d].
        prior_net: network of x, output [B, 2d].
        likelihood_net: network of [x, z], raw output of `family`, which explains y.
        alpha: float in [0, 1].
        family, estimator, seed: see `LatentVariableModel`.

    Raises:
        ValueError: if alpha is outside [0, 1], where the hybrid is no bound; or below one beside a
            mixture prior, from which no draw is differentiable.

    Example:
        >>> family = Categorical()
        >>> nets = mlps(CVAE3, x=64, y=10, z=2, hidden=(128,), family=family)
        >>> model = CVAE3(**nets, family=family)
        >>> model.predictive(x).argmax(-1)          # (5.6)

    Source: Sohn, Lee & Yan (2015), equations 4 and 9.
    """

    observed = "y"

    def __init__(self, *, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = alpha

    @property
    def alpha(self) -> float:
        """The α of (5.4), from 0 to 1. A new value counts from the next call on."""
        return self._alpha

    @alpha.setter
    def alpha(self, alpha: float) -> None:
        alpha = checks.number(alpha, "alpha", least=0, most=1)  # else it is no bound
        if alpha < 1 and isinstance(self.prior_family, MixtureOfGaussians):
            raise ValueError(
                f"Received alpha={alpha} beside a mixture prior, and (5.3) needs draws from the "
                "prior through which gradients flow. Expected alpha=1, or a Gaussian prior."
            )
        self._alpha = alpha

    def prior(self, x: Tensor) -> Distribution:
        """p(z|x). Args: x [B, D]. Returns: distribution, batch [B], event [d]."""
        return self.prior_family(apply(self.prior_net, x))

    def posterior(self, x: Tensor, y: Tensor) -> Distribution:
        """q(z|x,y). Args: x [B, D], y [B, K]. Returns: distribution, batch [B], event [d]."""
        return self.latent(apply(self.posterior_net, x, y))

    def likelihood(self, x: Tensor, z: Tensor) -> Distribution:
        """p(y|x,z). Args: x [B, D], z [..., B, d]. Returns: distribution, batch [..., B]."""
        return self.family(apply(self.likelihood_net, x, z))

    def factors(self, x: Tensor, y: Tensor) -> Factors:
        """(5.2)"""
        return self.posterior(x, y), self.prior(x), lambda z: self.likelihood(x, z).log_prob(y)

    def objective(self, x: Tensor, y: Tensor, *, noise: Tensor) -> tuple[Tensor, Bound]:
        """Minus the hybrid (5.4). Args, Returns: as in the base."""
        q, p, log_likelihood = self.factors(x, y)
        epsilon = noise[: self.num_samples]
        cvae = self.estimator(q, p, log_likelihood, epsilon)  # (5.2)
        if self.alpha == 1:
            return self.penalised(cvae, q, p, noise), cvae
        gsnn = self.estimator(p, p, log_likelihood, epsilon)  # (5.3)
        loss = self.alpha * self.penalised(cvae, q, p, noise)
        return loss - (1 - self.alpha) * gsnn.value, cvae  # (5.4)

    def predictive(
        self, x: Any, *, method: str = "monte_carlo", num_samples: int = 100, seed: int = 0
    ) -> np.ndarray:
        r"""The predictive distribution's mean (for classes: the probabilities) by one of two rules.

        method="monte_carlo", (5.6): (1/S) Σ_s p(y|x,z_s), z_s ~ p(z|x);
        method="plug_in", (5.5): p(y|x,z*), z* = E[z|x]. They are two predictors, not one and its
        approximation.

        Args:
            x: [B, …].
            method: "monte_carlo" or "plug_in".
            num_samples: int S, for Monte Carlo.
            seed: int.

        Returns:
            NumPy array [B, …] of y's shape.

        Raises:
            ValueError: for another method, or an x of the wrong kind.

        Source: Sohn, Lee & Yan (2015), section 4.1.
        """
        return _predictive(self, x, method, num_samples, seed)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alpha": self.alpha}


@keras.saving.register_keras_serializable("cvae_tf")
class CMMA(LatentVariableModel):
    r"""p(x, z|y) = p(z|y) p(x|z): log p(x|y) ≥ −KL(q(z|x,y) ‖ p(z|y)) + E_q[log p(x|z)], (6.2).

    CVAE-4, the conditional multimodal autoencoder: y acts on x only through z, (6.1); z is drawn
    given y.

    Args:
        posterior_net: network of [x, y], output [B, 2d].
        prior_net: network of y, output [B, 2d].
        likelihood_net: network of z alone, raw output of `family`.
        family, estimator, seed: see `LatentVariableModel`.

    Example:
        >>> nets = mlps(CMMA, x=64, y=10, z=2, hidden=(128, 128), family=family)
        >>> model = CMMA(**nets, family=family)

    Source: Pandey & Dukkipati (2016).
    """

    def prior(self, y: Tensor) -> Distribution:
        """p(z|y). Args: y [B, K]. Returns: distribution, batch [B], event [d]."""
        return self.prior_family(apply(self.prior_net, y))

    def posterior(self, x: Tensor, y: Tensor) -> Distribution:
        """q(z|x,y). Args: x [B, D], y [B, K]. Returns: distribution, batch [B], event [d]."""
        return self.latent(apply(self.posterior_net, x, y))

    def likelihood(self, z: Tensor) -> Distribution:
        """p(x|z), (6.1). Args: z [..., B, d]. Returns: distribution, batch [..., B]."""
        return self.family(apply(self.likelihood_net, z))

    def factors(self, x: Tensor, y: Tensor) -> Factors:
        """(6.2)"""
        return self.posterior(x, y), self.prior(y), lambda z: self.likelihood(z).log_prob(x)


CVAE4 = CMMA


@keras.saving.register_keras_serializable("cvae_tf")
class GSNN(LatentVariableModel):
    r"""CVAE-3's graph with q := p(z|x): log p(y|x) ≥ E_{p(z|x)}[log p(y|x,z)], (5.3).

    The Gaussian stochastic neural network: CVAE-3's graph, no recognition network, a KL of zero.

    Args:
        prior_net: network of x, output [B, 2d].
        likelihood_net: network of [x, z], raw output of `family`, which explains y.
        family, estimator, seed: see `LatentVariableModel`.

    Example:
        >>> nets = mlps(GSNN, x=64, y=10, z=2, hidden=(128,), family=family)
        >>> model = GSNN(**nets, family=family)

    Source: Sohn, Lee & Yan (2015), equation 8.
    """

    observed = "y"

    def prior(self, x: Tensor) -> Distribution:
        """p(z|x). Args: x [B, D]. Returns: distribution, batch [B], event [d]."""
        return self.prior_family(apply(self.prior_net, x))

    def likelihood(self, x: Tensor, z: Tensor) -> Distribution:
        """p(y|x,z). Args: x [B, D], z [..., B, d]. Returns: distribution, batch [..., B]."""
        return self.family(apply(self.likelihood_net, x, z))

    def factors(self, x: Tensor, y: Tensor) -> Factors:
        """(5.3)"""
        p = self.prior(x)
        return p, p, lambda z: self.likelihood(x, z).log_prob(y)

    def predictive(
        self, x: Any, *, method: str = "monte_carlo", num_samples: int = 100, seed: int = 0
    ) -> np.ndarray:
        """The predictive mean by (5.6) or (5.5); see `CVAE3.predictive`."""
        return _predictive(self, x, method, num_samples, seed)


def _predictive(
    model: LatentVariableModel, x: Any, method: str, num_samples: int, seed: int
) -> np.ndarray:
    checks.choice(method, "method", ("monte_carlo", "plug_in"))
    num_samples, seed = checks.count(num_samples, "num_samples"), checks.seed(seed)
    given = model.condition(x, "predictive")
    if method == "monte_carlo":
        return model.mean_over_prior(given, num_samples, seed).numpy()  # (5.6)
    given["z"] = signatures.evaluate(model, "prior", given).mean()  # (5.5)
    return signatures.evaluate(model, "likelihood", given).mean().numpy()
