r"""The contract: a model says what its factors are; the bound, its training and its use follow.

`train_step` is AEVB (2.5): draw noise, reparameterise, estimate the bound, follow its gradient. The
derivation — which variables stand behind which conditioning bar — is each model's `factors`, and
nothing here depends on it. How steps run at speed is `training`'s affair, what networks and data
must be `wired`'s and `wiring`'s, and how noise becomes a draw `distributions`'.
"""

from __future__ import annotations

import abc
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from cvae_tf import checks, estimators, noise, signatures, wiring
from cvae_tf.batches import in_parts
from cvae_tf.compiling import counter
from cvae_tf.distributions import Bernoulli, Gaussian, centre, draw, observe, standard_normal, tfd
from cvae_tf.exporting import export_sampler
from cvae_tf.logs import TermMeans
from cvae_tf.noise import Place
from cvae_tf.training import place_in_global_batch
from cvae_tf.wired import WiredModel

_ROWS_PER_CHUNK = 1600  # of z, in one call: what bounds the memory


class BoundModel(WiredModel):
    """A model trained on a lower bound of a log-likelihood, one number per example.

    Implement `estimate`, the bound, and `predicted`; `LatentVariableModel` makes both of factors.

    Args:
        *args, **kwargs: of `WiredModel`.

    Attributes:
        logged: class attribute, names of what is logged beside the loss.
    """

    logged: tuple[str, ...] = ("elbo", "reconstruction", "kl")
    num_samples = 1

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._terms = TermMeans(self.logged)
        self._rows_seen = counter()

    @abc.abstractmethod
    def estimate(self, *data: Any, noise: tf.Tensor) -> estimators.Bound:
        """The bound per example. Args: data as the factors see them; ε [L, B, d]."""

    def objective(self, *data: Any, noise: tf.Tensor) -> tuple[tf.Tensor, estimators.Bound]:
        """What training minimises, (loss [B] in nats, Bound to be logged): minus the bound."""
        bound = self.estimate(*data, noise=noise)
        return -bound.value, bound

    def evaluation_objective(self, *data: Any, noise: tf.Tensor) -> tuple[tf.Tensor, Any]:
        """What `evaluate` reports: here, the objective."""
        return self.objective(*data, noise=noise)

    def bound(self, *data: Any, noise: Any = None) -> estimators.Bound:
        r"""The chosen estimator of the bound, per example.

        Args:
            *data: x or (x, y), [B, …]; or one dict of them by name.
            noise: ε, [L, B, d] or [L, 1, d]; default: the fixed noise of evaluation. With
                `noise.cubature(d)` the bound of a linear-Gaussian model is exact, (1.5).

        Returns:
            Bound(value, reconstruction, kl), each [B], nats.

        Raises:
            ValueError, TypeError: for data or noise that do not fit.

        Example:
            >>> model.bound(x, y).value.shape
            TensorShape([64])
        """
        data = self.given(*data, where="bound")
        if noise is None:
            noise = self.evaluation_noise(len(data[0]))[: self.num_samples]
        else:
            noise = wiring.noise_for(self, noise, data[0])
        return self.estimate(*data, noise=noise)

    # Noise --------------------------------------------------------------------------------------

    def training_noise(self, batch_size: Any) -> tf.Tensor:
        """The noise of the present step: ε of (seed, batches seen, position in the global batch).

        Args: batch_size: int or scalar tensor B, examples on this replica. Returns: ε, [L, B, d];
        where a penalty draws too, its samples follow.
        """
        return self.noise_at(self.training_place(batch_size), batch_size)

    def evaluation_noise(self, batch_size: Any, first_row: Any = 0) -> tf.Tensor:
        """The fixed noise of evaluation: ε of (seed, position in the data), [L, B, d]."""
        return self.noise_at(Place("evaluation", 0, first_row), batch_size)

    def noise_at(self, place: Place, batch_size: Any) -> tf.Tensor:
        """ε of (seed, place), [L, B, d]."""
        size = self.num_samples, batch_size, self.latent_dim
        return noise.normal_at(place, self.seed, *size, self.compute_dtype)

    def training_place(self, batch_size: Any) -> Place:
        """Where the present step's noise is: (seed's purpose, batches seen, first row)."""
        first_row, _ = place_in_global_batch(batch_size)
        return Place("training", tf.identity(self.batches_seen), first_row)

    # AEVB ---------------------------------------------------------------------------------------

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        r"""One step of AEVB, (2.5): the gradient of the mean bound of a minibatch, and an update.

        The mean over examples is optimised, Σ_i w_i ℓ_i / B, not the sum (N/M)·Σ_i ℓ_i of the
        paper; a constant factor, which Adam does not see but for its ε.
        """
        data, weights = self.unpack(data)
        batch_size = tf.shape(data[0])[0]
        data = self.factors_see(*data, place=self.training_place(batch_size))
        epsilon = self.training_noise(batch_size)  # ε ~ N(0, I), [L, B, d]
        with tf.GradientTape() as tape:
            losses, bound = self(data, epsilon, training=True)  # z = g(ε, x); −L̃, and its terms
            loss = self.optimizer.scale_loss(self.mean_loss(losses, weights))
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)  # (2.5)
        self.batches_seen.assign_add(1)
        return self.log(losses, bound, weights)

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """The bound of one batch with evaluation's fixed noise."""
        data, weights = self.unpack(data)
        first_row, global_size = place_in_global_batch(tf.shape(data[0])[0])
        start = tf.identity(self._rows_seen)
        place = Place("evaluation", 0, start + tf.cast(first_row, tf.int64))
        epsilon = self.noise_at(place, tf.shape(data[0])[0])
        losses, bound = self(self.factors_see(*data, place=place), epsilon, training=False)
        self._rows_seen.assign(start + tf.cast(global_size, tf.int64))
        return self.log(losses, bound, weights)

    def predict_step(self, data: Any) -> Any:
        """`predicted` of a batch's first part."""
        given, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        return self.predicted(given)

    @abc.abstractmethod
    def predicted(self, given: Any) -> tf.Tensor:
        """What `predict` and `model(…)` give. Args: given: tensor, or a dict of them."""

    def call(self, data: Any, noise: Any = None, training: Any = None) -> Any:
        """The objective, as networks in training see it; without noise, what `predict` gives."""
        if noise is None:
            return self.predicted(data)
        return (self.objective if training else self.evaluation_objective)(*data, noise=noise)

    def mean_loss(self, losses: tf.Tensor, weights: Any) -> tf.Tensor:
        """Σ w ℓ / B over the global batch, and the networks' losses: this replica's share."""
        _, global_size = place_in_global_batch(tf.shape(losses)[0])
        weighted = losses if weights is None else losses * weights
        loss = tf.reduce_sum(weighted) / tf.cast(global_size, losses.dtype)
        if self.losses:
            loss += tf.add_n(self.losses) / tf.distribute.get_strategy().num_replicas_in_sync
        return loss

    def log(self, losses: tf.Tensor, bound: Any, weights: Any) -> dict[str, tf.Tensor]:
        """Take a batch into the running means, and give them."""
        count = tf.cast(tf.shape(losses)[0], losses.dtype)
        mean_loss = tf.reduce_mean(losses if weights is None else losses * weights)
        if self.losses:
            mean_loss += tf.add_n(self.losses)
        self._terms.update_state(mean_loss, count, bound.terms(), weights)
        logs = self.get_metrics_result()
        if self.distribute_strategy.num_replicas_in_sync == 1:
            return logs
        return {name: tf.reshape(v, [1]) for name, v in logs.items()}  # Keras joins end to end

    @property
    def metrics(self) -> list[Any]:
        """The running means that are logged, in nats per example."""
        return [self._terms]

    @property
    def metrics_names(self) -> list[str]:
        return ["loss", *self.logged]

    def reset_metrics(self) -> None:
        super().reset_metrics()
        self._rows_seen.assign(0)


class LatentVariableModel(BoundModel):
    r"""A model with a latent z, trained on a lower bound of the log-likelihood of what it observes.

    Implement the factors — `prior`, `posterior`, `likelihood`, each a method whose arguments are
    its parents — and `factors`, which puts them together; inherit the rest:

        log p ≥ L = E_q[log p(observed | z, …)] − KL(q(z|…) ‖ p(z|…))

    Args:
        posterior_net, prior_net, likelihood_net: built Keras models, one for each factor that has
            parents; their inputs are the parents, in the order of the factor's arguments.
        family: the likelihood's family (default `Bernoulli()`); one instance per model.
        prior_family: the prior's family, for one richer than a Gaussian (`MixtureOfGaussians`).
        estimator: which estimator of the bound training uses (default `SGVBB()`).
        penalty: a weighting of the bound's terms for training, (7.3)–(7.5), from `penalties`; the
            plain ELBO is logged all the same.
        seed: int; with the number of batches seen it determines all noise and the order of rows.
        **kwargs: Keras's own, such as `name`.

    Raises:
        ValueError, TypeError: if networks are unbuilt or missing, or do not fit each other.

    Source: Kingma & Welling (2013), algorithm 1.
    """

    def __init__(
        self, *, likelihood_net: keras.Model, posterior_net: keras.Model | None = None,
        prior_net: keras.Model | None = None, family: Any = None, prior_family: Any = None,
        estimator: Any = None, penalty: Any = None, seed: int = 0, **kwargs: Any,
    ) -> None:
        nets = {"posterior_net": posterior_net, "prior_net": prior_net}
        nets["likelihood_net"] = likelihood_net
        super().__init__(nets, Bernoulli() if family is None else family, seed=seed, **kwargs)
        self.latent = Gaussian(scale="network", dtype=self.compute_dtype, name="latent")
        self.prior_family = self.latent if prior_family is None else prior_family
        self.shapes = wiring.variable_shapes(self)
        self.latent_dim = self.shapes["z"][0]
        self.estimator = estimators.SGVBB() if estimator is None else estimator
        self.penalty = penalty

    def standard_normal(self) -> tfd.Distribution:
        """The prior p(z) = N(0, I) of a model whose prior has no parents."""
        return standard_normal(self.latent_dim, self.compute_dtype)

    @property
    def num_samples(self) -> int:
        """L, the draws of z per example in the bound."""
        return self.estimator.num_samples

    @abc.abstractmethod
    def factors(self, *data: Any) -> Any:
        """The three things a bound is made of.

        Args:
            *data: the variables the model is trained on, x or (x, y), [B, …].

        Returns:
            (q, prior, log_likelihood): two distributions over z, and a function from z [L, B, d] to
            the log-density of what is observed, [L, B], nats.
        """

    def estimate(self, *data: Any, noise: tf.Tensor) -> estimators.Bound:
        q, prior, log_likelihood = self.factors(*data)
        return self.estimator(q, prior, log_likelihood, noise)

    def objective(self, *data: Any, noise: tf.Tensor) -> tuple[tf.Tensor, estimators.Bound]:
        """Minus the bound, per example; (7.3)–(7.6) with a penalty. Override it for another.

        Args:
            *data: x or (x, y), [B, …].
            noise: ε, [L, B, d]; where the penalty draws too, its samples follow.

        Returns:
            (loss [B] in nats, Bound whose plain ELBO is logged).
        """
        q, prior, log_likelihood = self.factors(*data)
        bound = self.estimator(q, prior, log_likelihood, noise[: self.num_samples])
        return self.penalised(bound, q, prior, noise), bound

    def penalised(self, bound: Any, q: Any, prior: Any, noise: tf.Tensor) -> tf.Tensor:
        """Minus the bound, or what the penalty makes of its terms, [B]."""
        if self.penalty is None:
            return -bound.value
        step = tf.identity(self.batches_seen)
        return self.penalty(bound, q, prior, noise[self.num_samples :], step)

    def noise_at(self, place: Place, batch_size: Any) -> tf.Tensor:
        """ε of the estimator, followed by the penalty's own, which has a key of its own."""
        epsilon = super().noise_at(place, batch_size)
        if self.penalty is None or not self.penalty.num_draws:
            return epsilon
        place = place._replace(purpose=f"{place.purpose}: penalty")
        size = self.penalty.num_draws, batch_size, self.latent_dim
        own = noise.normal_at(place, self.seed, *size, self.compute_dtype)
        return tf.concat([epsilon, own], 0)

    # Using a trained model ----------------------------------------------------------------------

    def encode(self, *data: Any, sample: bool = False, seed: int = 0) -> np.ndarray:
        """z of what is observed, NumPy array [N, d]: the mean of q, or a draw from it.

        Args:
            *data: x or (x, y), [N, …].
            sample, seed: bool and int; True draws z ~ q.
        """
        seed = checks.seed(seed)
        arrays = wiring.variables(self, self.data_names, data, "encode", least=0)
        q, _, _ = self.factors(*self.factors_see(*self._tensors(arrays), place=None))
        if not checks.flag(sample, "sample"):
            return centre(q).numpy()
        return self._draw(q, len(arrays[0]), seed, "encoding").numpy()

    def decode(self, z: Any, given: Any = None) -> np.ndarray:
        """The mean of p(observed | z, ·).

        Args:
            z: [..., N, d].
            given: the condition, [N, …] (of several conditions: a dict or tuple of them); where the
                likelihood sees none it may be left out.

        Returns:
            NumPy array [..., N, …] of what the model observes.
        """
        sees = set(signatures.parents(self.likelihood)) & set(self.conditions)
        variables = {} if given is None and not sees else self.condition(given, "decode")
        variables["z"] = wiring.latents(self, z, {name: variables[name] for name in sees})
        return self.shown(centre(signatures.evaluate(self, "likelihood", variables))).numpy()

    def reconstruct(self, *data: Any) -> np.ndarray:
        """The mean of p(observed | z, ·) at z = the mean of q.

        Args:
            *data: x or (x, y), [B, …].

        Returns:
            NumPy array [B, …] of what the model observes.
        """
        arrays = wiring.variables(self, self.data_names, data, "reconstruct", least=0)
        data = self.factors_see(*self._tensors(arrays), place=None)
        variables = dict(zip(self.data_names, data, strict=True), z=centre(self.factors(*data)[0]))
        return self.shown(centre(signatures.evaluate(self, "likelihood", variables))).numpy()

    def generate(
        self, given: Any, *, num_samples: int | None = None, seed: int = 0, sample: bool = False
    ) -> np.ndarray:
        """New observations: z ~ p(z|·), then the mean of p(observed | z, ·), or a draw from it.

        Args:
            given: the condition, [B, …] (of several conditions: a dict or tuple of them); for a
                model without one, the number of observations.
            num_samples: int S, draws of z for each row; None: one, without an axis of its own.
            seed: int; another one gives other draws.
            sample: bool; False gives the likelihood's mean (what papers show), True a draw from it.

        Returns:
            NumPy array [B, …] or [S, B, …] of what the model observes.
        """
        if self.conditions:
            variables = self.condition(given, "generate")
            num_rows = len(next(iter(variables.values())))
        else:
            num_rows, variables = checks.count(given, "the number of observations"), {}
        size = checks.optional_count(num_samples, "num_samples"), num_rows
        return self.generated(variables, size, seed=seed, sample=sample).numpy()

    def export_sampler(self, path: Any, *, seed: int = 0) -> None:
        """Write `generate` as a SavedModel that needs TensorFlow alone; see `exporting`."""
        export_sampler(self, path, seed)

    def generated(
        self, variables: dict[str, Any], size: Any, *, seed: int, sample: bool, first_row: Any = 0
    ) -> tf.Tensor:
        """`generate` of checked tensors; size: (S, B), and the noise's first row is `first_row`."""
        prior = signatures.evaluate(self, "prior", variables)
        z = self._draw(prior, size[1], seed, "generation", size[0], first_row)
        p = signatures.evaluate(self, "likelihood", {**variables, "z": z})
        return self.shown(observe(p, size, self.shapes[self.observed], sample, seed, first_row))

    def predicted(self, given: Any) -> tf.Tensor:
        """The mean of p(observed | given), estimated by 100 draws of z ~ p(z|given)."""
        return self.mean_over_prior(given, num_samples=100)

    def mean_over_prior(self, given: Any, num_samples: int, seed: int = 0) -> tf.Tensor:
        """(1/S) Σ_s E[observed | z_s, given], z_s ~ p(z|given), one set of ε for all examples."""
        variables = dict(given) if isinstance(given, dict) else {self.conditions[0]: given}
        rows = tf.shape(next(iter(variables.values())))[:1]
        prior = signatures.evaluate(self, "prior", variables)
        z = self._draw(prior, 1, seed, "prediction", num_samples)
        shape = tf.concat([[num_samples], rows, [self.latent_dim]], 0)
        variables["z"] = tf.broadcast_to(z, shape)
        return tf.reduce_mean(centre(signatures.evaluate(self, "likelihood", variables)), 0)

    def _draw(
        self, p: Any, num_rows: Any, seed: int, purpose: str, num: Any = None, first_row: Any = 0
    ) -> tf.Tensor:
        key = noise.key(seed, purpose)
        where = {"key": key, "first_row": first_row, "dtype": self.compute_dtype}
        z = draw(p, 1 if num is None else num, num_rows, self.latent_dim, **where)
        return z[0] if num is None else z

    def log_likelihood(
        self, *data: Any, num_samples: int = 1000, method: str = "importance", seed: int = 0,
        batch_size: int | None = None,
    ) -> np.ndarray:
        r"""log p(observed | given) of every example, by S samples: `estimators.log_likelihood`.

        method="importance", (2.6) and (5.8): log (1/S) Σ_s p(x|z_s) p(z_s|·)/q(z_s|x,·), z_s ~ q;
        method="prior", (5.7): log (1/S) Σ_s p(x|z_s), z_s ~ p(z|·).
        Both are lower bounds in expectation, and rise with S to log p. Memory does not grow with S
        or N.

        Args:
            *data: x or (x, y), [N, …].
            num_samples: int S.
            method: "importance" or "prior".
            seed: int.
            batch_size: int, examples at once; the numbers do not depend on it.

        Returns:
            NumPy array [N], nats.

        Raises:
            ValueError: if the data or the method is not of the model's kind.

        Example:
            >>> model.log_likelihood(x, y, num_samples=5000).mean()

        Source: Burda et al. (2015), section 5; Sohn et al. (2015), section 4.1.
        """
        checks.choice(method, "method", ("importance", "prior"))
        num_samples = checks.count(num_samples, "num_samples")
        key = tf.constant(noise.key(seed, "log-likelihood"), tf.int64)
        arrays = wiring.variables(self, self.data_names, data, "log_likelihood")
        chunk = estimators.draws_per_chunk(num_samples)
        size = _ROWS_PER_CHUNK // chunk if batch_size is None else batch_size  # of ≤ 100 draws
        size = min(len(arrays[0]), checks.count(size, "batch_size"))

        def of_batch(batch: Any, first_row: Any, count: Any, key: Any) -> tf.Tensor:
            place = Place("evaluation", 0, first_row)
            q, prior, log_likelihood = self.factors(*self.factors_see(*batch, place=place))
            where = {"key": key, "first_row": first_row, "dtype": self.compute_dtype}
            how = {"num_samples": count, "per_chunk": chunk, "num_rows": size, **where}
            drawn_from = q if method == "importance" else prior
            return estimators.log_likelihood(
                drawn_from, prior, log_likelihood, latent_dim=self.latent_dim, **how
            )

        self.refresh()
        name = f"log-likelihood by {method}, {size} rows, {chunk} draws at once"
        program = self.program(name, of_batch, jit_compile=self.suits_xla())
        values = [
            program(self._tensors(part), tf.constant(first), tf.constant(num_samples), key)
            for first, part in in_parts(arrays, size)
        ]
        return np.concatenate(values)[: len(arrays[0])]
