r"""The abstract base: a model says what its factors are; everything else is here, once.

`train_step` is AEVB (2.5): draw noise, reparameterise, estimate the bound, follow its gradient. The
derivation — which variables stand behind which conditioning bar — is each model's `factors`, and
nothing here depends on it.
"""

import abc
import functools

import keras
import numpy as np
import tensorflow as tf

from cvae_tf import checks, noise, training
from cvae_tf.distributions import Bernoulli, Gaussian, draw, standard_normal
from cvae_tf.estimators import SGVBB
from cvae_tf.networks import convolves

EVALUATION_BATCH = 1024  # evaluation's numbers do not depend on its batch size
_SAMPLES_PER_CHUNK = 100
_ROWS_PER_CHUNK = 6400


@keras.saving.register_keras_serializable("cvae_tf")
class TermMeans(keras.metrics.Metric):
    """Running means of the loss and of the plain bound's terms, in one variable: nats per example.

    The loss is averaged over examples, Σwℓ/B; the terms over weights, Σwℓ/Σw, as Keras does.
    """

    def __init__(self, name="terms", **kwargs):
        super().__init__(name=name, **kwargs)
        self.sums = self.add_variable(shape=(6,), initializer="zeros", name="sums")

    def update_state(self, mean_loss, count, bound, weights=None):
        """Args: mean_loss, count: scalars; bound: Bound, each [B]; weights: [B] or None."""
        terms = tf.stack([bound.elbo, bound.reconstruction, bound.kl, tf.ones_like(bound.kl)])
        weighted = terms if weights is None else terms * weights
        update = tf.concat([[mean_loss * count, count], tf.reduce_sum(weighted, 1)], 0)
        self.sums.assign_add(tf.cast(update, self.dtype))

    def result(self):
        loss, count, elbo, reconstruction, kl, weight = tf.unstack(tf.convert_to_tensor(self.sums))
        return {
            "loss": tf.math.divide_no_nan(loss, count),
            "elbo": tf.math.divide_no_nan(elbo, weight),
            "reconstruction": tf.math.divide_no_nan(reconstruction, weight),
            "kl": tf.math.divide_no_nan(kl, weight),
        }


class LatentVariableModel(keras.Model, abc.ABC):
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
        seed: int; with the optimiser's step it determines all noise and the order of the data.
        **kwargs: Keras's own, such as `name`.

    Raises:
        ValueError, TypeError: if networks are unbuilt or missing, or do not fit each other.

    Source: Kingma & Welling (2013), algorithm 1.
    """

    observed = "x"
    integer_variables = ()  # those that are labels, −1 for unknown, where networks see them one-hot

    def __init__(
        self,
        *,
        likelihood_net,
        posterior_net=None,
        prior_net=None,
        family=None,
        prior_family=None,
        estimator=None,
        penalty=None,
        seed=0,
        **kwargs,
    ):
        family = Bernoulli() if family is None else family
        nets = {
            "posterior_net": posterior_net,
            "prior_net": prior_net,
            "likelihood_net": likelihood_net,
        }
        checks.check_networks(type(self), nets, family)
        kwargs.setdefault("dtype", likelihood_net.dtype_policy)
        super().__init__(**kwargs)
        self.posterior_net, self.prior_net, self.likelihood_net = nets.values()
        self.family = family
        if not family.built:
            family.build(likelihood_net.output_shape)
        self.latent = Gaussian(scale="network", dtype=self.dtype_policy, name="latent")
        self.prior_family = self.latent if prior_family is None else prior_family
        for net, made_by in ((posterior_net, self.latent), (prior_net, self.prior_family)):
            if net is not None and not made_by.built:
                made_by.build(net.output_shape)
        self.shapes = checks.variable_shapes(self, nets, family, self.prior_family)
        self.latent_dim = self.shapes.get("z", (0,))[0]  # 0: nothing is latent
        self.estimator = SGVBB() if estimator is None else estimator
        self.penalty = penalty
        checks.check_compatible(self)
        self.seed = int(seed)
        self.data_names = checks.parents(self.factors)
        self._terms = TermMeans()
        self._rows_seen = tf.Variable(
            0,
            trainable=False,
            dtype=tf.int64,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )
        self._blocks = None
        self._compiled_program = None
        self.built = True

    # What a model implements ------------------------------------------------------------------

    @abc.abstractmethod
    def factors(self, *data):
        """The three things a bound is made of.

        Args:
            *data: the variables the model is trained on, x or (x, y), [B, …].

        Returns:
            (q, prior, log_likelihood): two distributions over z, and a function from z [L, B, d] to
            the log-density of what is observed, [L, B], nats.
        """

    # What follows from the factors ------------------------------------------------------------

    def standard_normal(self):
        """The prior p(z) = N(0, I) of a model whose prior has no parents."""
        return standard_normal(self.latent_dim, self.compute_dtype)

    def bound(self, *data, noise=None):
        r"""The chosen estimator of the bound, per example.

        Args:
            *data: x or (x, y), [B, …].
            noise: ε, [L, B, d] or [L, 1, d]; default: the fixed noise of evaluation. With
                `noise.cubature(d)` the bound of a linear-Gaussian model is exact, (1.5).

        Returns:
            Bound(value, reconstruction, kl), each [B], nats.

        Example:
            >>> model.bound(x, y).value.shape
            TensorShape([64])
        """
        data = self._tensors(data)
        noise = self.evaluation_noise(len(data[0])) if noise is None else self.tensor(noise)
        return self.estimator(*self.factors(*data), noise)

    def objective(self, *data, noise):
        """What training minimises, per example: minus the bound, (7.3)–(7.5) with a penalty.

        Override it for another objective.

        Args:
            *data: x or (x, y), [B, …].
            noise: ε, [L, B, d]; where the penalty draws too, its samples follow.

        Returns:
            (loss [B] in nats, Bound whose plain ELBO is logged).
        """
        q, prior, log_likelihood = self.factors(*data)
        bound = self.estimator(q, prior, log_likelihood, noise[: self.estimator.num_samples])
        return self.penalised(bound, q, prior, noise), bound

    def penalised(self, bound, q, prior, noise):
        """Minus the bound, or what the penalty makes of its terms, [B]."""
        if self.penalty is None:
            return -bound.value
        return self.penalty(bound, q, prior, noise[self.estimator.num_samples :])

    def call(self, data, noise, training=None):
        """The objective inside Keras's call context, so that the networks know they train."""
        return self.objective(*data, noise=noise)

    # Noise ------------------------------------------------------------------------------------

    def training_noise(self, batch_size):
        """The noise of the present step: ε of (seed, step, position in the global batch).

        Args:
            batch_size: int or scalar tensor B, examples on this replica.

        Returns:
            ε, [L, B, d].
        """
        first_row, _ = _place_in_global_batch(batch_size)
        return self._noise(batch_size, "training", self.optimizer.iterations, first_row)

    def evaluation_noise(self, batch_size, first_row=0):
        """The fixed noise of evaluation: ε of (seed, position in the data), [L, B, d]."""
        return self._noise(batch_size, "evaluation", 0, first_row)

    def _noise(self, batch_size, purpose, step, first_row, num_samples=None):
        return noise.normal(
            self.estimator.num_samples if num_samples is None else num_samples,
            batch_size,
            self.latent_dim,
            key=noise.key(self.seed, purpose),
            step=step,
            first_row=first_row,
            dtype=self.compute_dtype,
        )

    def _noise_with_penalty(self, epsilon, purpose, step, first_row):
        """ε of the estimator, followed by the penalty's own."""
        if self.penalty is None or not self.penalty.num_draws:
            return epsilon
        own = self._noise(
            tf.shape(epsilon)[1], f"{purpose}: penalty", step, first_row, self.penalty.num_draws
        )
        return tf.concat([epsilon, own], 0)

    # AEVB -------------------------------------------------------------------------------------

    def train_step(self, data):
        r"""One step of AEVB, (2.5): the gradient of the mean bound of a minibatch, and an update.

        The mean over examples is optimised, Σ_i w_i ℓ_i / B, not the sum (N/M)·Σ_i ℓ_i of the
        paper; a constant factor, which Adam does not see but for its ε.
        """
        *data, weights = self._unpack(data)
        batch_size = tf.shape(data[0])[0]
        first_row, _ = _place_in_global_batch(batch_size)
        epsilon = self._noise_with_penalty(
            self.training_noise(batch_size), "training", self.optimizer.iterations, first_row
        )
        with tf.GradientTape() as tape:
            losses, bound = self(tuple(data), epsilon, training=True)
            loss = self._mean_loss(losses, weights)
            scaled = self.optimizer.scale_loss(loss)
        variables = self.trainable_variables
        self.optimizer.apply_gradients(
            zip(tape.gradient(scaled, variables), variables, strict=True)
        )
        return self._log(losses, bound, weights)

    def test_step(self, data):
        """The bound of one batch with evaluation's fixed noise."""
        *data, weights = self._unpack(data)
        batch_size = tf.shape(data[0])[0]
        first_row, global_size = _place_in_global_batch(batch_size)
        start = tf.identity(self._rows_seen)
        first_row = start + tf.cast(first_row, tf.int64)
        epsilon = self._noise_with_penalty(
            self.evaluation_noise(batch_size, first_row), "evaluation", 0, first_row
        )
        losses, bound = self(tuple(data), epsilon, training=False)
        self._rows_seen.assign(start + tf.cast(global_size, tf.int64))
        return self._log(losses, bound, weights)

    def predict_step(self, data):
        """The mean of p(observed | given); for a model without conditions, the reconstruction."""
        given, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        return self._predict(self.tensor(given))

    def _predict(self, given):
        return self.mean_over_prior(given, num_samples=100)

    def _mean_loss(self, losses, weights):
        """Σ w ℓ / B over the global batch, and the networks' losses: this replica's share."""
        _, global_size = _place_in_global_batch(tf.shape(losses)[0])
        weighted = losses if weights is None else losses * weights
        loss = tf.reduce_sum(weighted) / tf.cast(global_size, losses.dtype)
        if self.losses:
            loss += tf.add_n(self.losses) / tf.distribute.get_strategy().num_replicas_in_sync
        return loss

    def _log(self, losses, bound, weights):
        count = tf.cast(tf.shape(losses)[0], losses.dtype)
        mean_loss = tf.reduce_mean(losses if weights is None else losses * weights)
        if self.losses:
            mean_loss += tf.add_n(self.losses)
        self._terms.update_state(mean_loss, count, bound, weights)
        return self._logs()

    def _logs(self):
        """The running means; as vectors of one where Keras joins the replicas' logs end to end."""
        logs = self.get_metrics_result()
        if not self._is_distributed:
            return logs
        return {name: tf.reshape(value, [1]) for name, value in logs.items()}

    @property
    def metrics(self):
        """The running means that are logged, in nats per example."""
        return [self._terms]

    def reset_metrics(self):
        super().reset_metrics()
        self._rows_seen.assign(0)

    # Using a trained model --------------------------------------------------------------------

    def log_likelihood(self, *data, num_samples=1000, method="importance", seed=0, batch_size=None):
        r"""log p(observed | given) of every example, by S samples.

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

        Source: Burda et al. (2015), section 5; Sohn et al. (2015), section 4.3.
        """
        if method not in ("importance", "prior"):
            raise ValueError(f'Received method={method!r}. Expected "importance" or "prior".')
        self._check(data, "log_likelihood")
        data = [np.asarray(d) for d in data]
        num_chunks = -(-num_samples // _SAMPLES_PER_CHUNK)
        per_chunk = -(-num_samples // num_chunks)
        num_rows = len(data[0])
        batch_size = min(num_rows, batch_size or max(1, _ROWS_PER_CHUNK // per_chunk))
        purpose_key = tf.constant(noise.key(seed, "log-likelihood"), tf.int64)
        values = []
        for first in range(0, num_rows, batch_size):
            batch = [d[first : first + batch_size] for d in data]
            missing = batch_size - len(batch[0])
            padded = [np.concatenate([b, np.repeat(b[-1:], missing, 0)]) for b in batch]
            value = self._log_likelihood_program(
                self._tensors(padded),
                purpose_key,
                tf.constant(first, tf.int64),
                tf.constant(num_samples),
                per_chunk,
                method == "importance",
            )
            values.append(value.numpy()[: batch_size - missing])
        return np.concatenate(values)

    @functools.cached_property
    def _log_likelihood_program(self):
        return tf.function(self._log_likelihood, jit_compile=self._suits_xla, autograph=False)

    def _log_likelihood(self, data, key, first_row, num_samples, per_chunk, importance):
        posterior, prior, log_likelihood = self.factors(*data)
        q = posterior if importance else prior
        num_rows = data[0].shape[0]

        def add_chunk(chunk, total):
            z = draw(
                q,
                per_chunk,
                num_rows,
                self.latent_dim,
                key=key,
                step=chunk,
                first_row=first_row,
                dtype=self.compute_dtype,
            )
            log_w = log_likelihood(z)
            if importance:
                log_w += prior.log_prob(z) - q.log_prob(z)
            counted = chunk * per_chunk + tf.range(per_chunk) < num_samples
            log_w = tf.where(counted[:, None], log_w, -np.inf)
            return chunk + 1, tf.reduce_logsumexp(tf.concat([log_w, total[None]], 0), 0)

        nothing = tf.fill([num_rows], tf.constant(-np.inf, self.compute_dtype))
        _, total = tf.while_loop(
            lambda chunk, _: chunk * per_chunk < num_samples, add_chunk, [0, nothing]
        )
        return total - tf.math.log(tf.cast(num_samples, total.dtype))

    def generate(self, given, *, seed=0, sample=False):
        """New observations: z ~ p(z|·), then the mean of p(observed | z, ·), or a draw from it.

        Args:
            given: the condition, [B, …]; for a model without one, the number of observations.
            seed: int.
            sample: bool; False gives the likelihood's mean (what papers show), True a draw from it.

        Returns:
            NumPy array [B, …] of what the model observes.
        """
        condition = self._condition_name()
        if condition is None:
            num_rows, variables = int(given), {}
        else:
            checks.check_values(self, condition, np.asarray(given), "generate")
            num_rows, variables = len(given), {condition: self.tensor(given)}
        variables["z"] = draw(
            self._factor("prior", variables),
            1,
            num_rows,
            self.latent_dim,
            key=noise.key(seed, "generation"),
            dtype=self.compute_dtype,
        )[0]
        p = self._factor("likelihood", variables)
        if sample:
            return p.sample(seed=[seed, num_rows]).numpy()
        return p.mean().numpy()

    def reconstruct(self, *data):
        """The mean of p(observed | z, ·) at z = the mean of q.

        Args:
            *data: x or (x, y), [B, …].

        Returns:
            NumPy array [B, …] of what the model observes.
        """
        self._check(data, "reconstruct")
        data = self._tensors(data)
        variables = dict(zip(self.data_names, data, strict=True))
        variables["z"] = self.factors(*data)[0].mean()
        return self._factor("likelihood", variables).mean().numpy()

    def _condition_name(self):
        return next((name for name in self.data_names if name != self.observed), None)

    def _factor(self, factor, variables):
        """The factor's distribution, its parents looked up by name."""
        method = getattr(self, factor)
        return method(*[variables[name] for name in checks.parents(method)])

    def mean_over_prior(self, given, num_samples, seed=0):
        """(1/S) Σ_s E[observed | z_s, given], z_s ~ p(z|given), one set of ε for all examples."""
        variables = {self._condition_name(): given}
        z = draw(
            self._factor("prior", variables),
            num_samples,
            1,
            self.latent_dim,
            key=noise.key(seed, "prediction"),
            dtype=self.compute_dtype,
        )
        shape = tf.concat([[num_samples], tf.shape(given)[:1], [self.latent_dim]], 0)
        variables["z"] = tf.broadcast_to(z, shape)
        return tf.reduce_mean(self._factor("likelihood", variables).mean(), 0)

    # Keras: compile, fit, evaluate, saving ------------------------------------------------------

    def compile(
        self,
        optimizer="adam",
        *,
        run_eagerly=False,
        steps_per_execution="auto",
        jit_compile="auto",
        auto_scale_loss=True,
        **refused,
    ):
        """Choose the optimiser. The loss is the model's own bound.

        Args:
            optimizer: Keras optimiser or its name.
            run_eagerly: bool; True steps through Python, for debugging.
            steps_per_execution: "auto" runs many steps per compiled call; an int, that many (1:
                step by step).
            jit_compile: "auto" or bool; whether XLA compiles the steps ("auto": yes, unless
                distributed, or convolutional without a GPU).
            auto_scale_loss: as in Keras.

        Raises:
            ValueError: for `loss=` and other arguments that have no meaning here.
        """
        refused = {name: value for name, value in refused.items() if value is not None}
        if refused:
            raise ValueError(
                f"Received {', '.join(refused)}. {type(self).__name__} is trained on its own "
                "bound: compile(optimizer=…) is enough. For another objective override "
                "`objective`, for other logs use callbacks."
            )
        compiled = not run_eagerly and not self._is_distributed
        self._steps_one_by_one = not compiled or steps_per_execution == 1
        self._steps_are_automatic = steps_per_execution == "auto"
        if self._steps_are_automatic:
            steps_per_execution = training.STEPS_PER_CALL if compiled else 1
        super().compile(
            optimizer=optimizer,
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
            jit_compile=compiled and self._suits_xla if jit_compile == "auto" else jit_compile,
            auto_scale_loss=auto_scale_loss,
        )
        with self.distribute_strategy.scope():
            self.optimizer.build(self.trainable_variables)  # so that its state is saved and loaded

    def restart(self, weights):
        """Go back to the first step of training, from these weights; nothing is compiled again.

        For the same model on other data or from other initial weights: an optimiser as new (at the
        present learning rate), step 0, and with it the first step's noise.

        Args:
            weights: list of arrays, as `get_weights()` of this model or of its like gives.

        Example:
            >>> start = model.get_weights()
            >>> for seed in range(3):
            ...     model.restart(start)
            ...     model.fit(x[subset[seed]], epochs=10)
        """
        self._assert_compiled("restart")
        self.set_weights(weights)
        new = type(self.optimizer).from_config(self.optimizer.get_config())
        new.build(self.trainable_variables)
        for variable, start in zip(self.optimizer.variables, new.variables, strict=True):
            variable.assign(start)

    @property
    def _suits_xla(self):
        """False for convolutions on a CPU: XLA's are some thirty times slower there."""
        return bool(tf.config.list_physical_devices("GPU")) or not convolves(self)

    @property
    def _is_distributed(self):
        return self.distribute_strategy.num_replicas_in_sync > 1

    def get_compile_config(self):
        config = super().get_compile_config()
        if config and self._steps_are_automatic:
            config["steps_per_execution"] = "auto"
        return config

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        validation_split=0.0,
        validation_data=None,
        shuffle=True,
        class_weight=None,
        sample_weight=None,
        initial_epoch=0,
        steps_per_epoch=None,
        validation_steps=None,
        validation_batch_size=None,
        validation_freq=1,
    ):
        """Train by AEVB, (2.5). Arguments, callbacks and result are those of `keras.Model.fit`.

        Arrays are checked as a whole before training, datasets batch by batch. On arrays the order
        of the data is a function of (seed, step), and validation uses a fixed noise of its own.

        Args:
            x, y: arrays, or a tf.data.Dataset (or generator) of batches `x`, `(x, y)` or `(x, y,
                sample_weight)`.
            batch_size: int, default 32.
            class_weight: refused; use sample_weight.

        Returns:
            keras.callbacks.History: loss, elbo, reconstruction, kl (and val_…), nats per example.

        Raises:
            ValueError: for bad data, before it is used.
        """
        self._assert_compiled("fit")
        if class_weight is not None:
            raise ValueError(
                "Received class_weight. Expected sample_weight, one weight per example."
            )
        if _is_array(validation_data):
            validation_data = (validation_data,)
        if isinstance(validation_data, tuple | list) and _is_array(validation_data[0]):
            xv, yv, wv = keras.utils.unpack_x_y_sample_weight(validation_data)
            validation_data = self._arrays(xv, yv, wv, "validation_data")
            validation_batch_size = validation_batch_size or EVALUATION_BATCH
        options = {
            "epochs": epochs,
            "verbose": verbose,
            "callbacks": callbacks,
            "initial_epoch": initial_epoch,
            "validation_steps": validation_steps,
            "validation_batch_size": validation_batch_size,
            "validation_freq": validation_freq,
        }
        if not _is_array(x):
            if y is not None or sample_weight is not None or validation_split:
                raise ValueError(
                    "Received y, sample_weight or validation_split beside a dataset. Expected them "
                    "inside it: batches of (x, y) or (x, y, sample_weight), and validation_data=…."
                )
            return self._fit_stream(
                x, steps_per_epoch, {**options, "validation_data": validation_data}, batch_size
            )
        arrays = self._arrays(x, y, sample_weight, "fit")
        if validation_split and validation_data is None:
            arrays, validation_data = _split(arrays, validation_split)
            options["validation_batch_size"] = validation_batch_size or EVALUATION_BATCH
        options["validation_data"] = validation_data
        return self._fit_arrays(arrays, batch_size or 32, shuffle, steps_per_epoch, options)

    def _fit_stream(self, dataset, steps_per_epoch, options, batch_size=None):
        if self._steps_are_automatic and not self._steps_one_by_one:
            known = steps_per_epoch or _cardinality(dataset)
            self.steps_per_execution = training.steps_per_call(known or training.STEPS_PER_CALL)
        return super().fit(
            dataset,
            shuffle=False,
            steps_per_epoch=steps_per_epoch,
            batch_size=batch_size,
            **options,
        )

    def _fit_arrays(self, arrays, batch_size, shuffle, steps_per_epoch, options):
        while arrays[-1] is None:
            arrays = arrays[:-1]  # (x, None, None) is (x,) to Keras
        tensors = tuple(None if a is None else tf.convert_to_tensor(a) for a in arrays)
        num_batches = -(-len(arrays[0]) // batch_size)
        in_blocks = not self._steps_one_by_one and steps_per_epoch is None
        if in_blocks and self._steps_are_automatic:
            self.steps_per_execution = training.steps_per_call(num_batches)
        first_step = training.FirstStep()  # a callback before it may restore the optimiser
        callbacks = options.pop("callbacks")
        if not isinstance(callbacks, keras.callbacks.CallbackList):
            callbacks = [*tf.nest.flatten(callbacks or []), first_step]
        else:
            callbacks.append(first_step)
        where = {"shuffle": shuffle, "seed": self.seed}
        if in_blocks:
            num_steps = self.steps_per_execution
            self._blocks = (
                tensors,
                lambda: training.blocks(
                    len(arrays[0]), batch_size, num_steps, first_step=first_step.value, **where
                ),
            )
            dataset = tf.data.Dataset.range(1).repeat()  # Keras counts its steps on it
        else:
            dataset = self._dataset(tensors, batch_size, first_step, where)
        self.train_function = None
        try:
            return super().fit(
                dataset,
                shuffle=False,  # the order is that of `training.orders`
                steps_per_epoch=steps_per_epoch or num_batches,
                callbacks=callbacks,
                **options,
            )
        finally:
            self._blocks = None
            self.train_function = None

    def _dataset(self, tensors, batch_size, first_step, where):
        """The same batches as a tf.data.Dataset, for Keras's own loop."""
        num_rows = tensors[0].shape[0]
        dataset = tf.data.Dataset.from_generator(
            lambda: training.batches(num_rows, batch_size, first_step=first_step.value, **where),
            output_signature=tf.TensorSpec([None], tf.int32),
        )
        options = tf.data.Options()  # on several workers, each takes its part of every batch
        shard = tf.data.experimental.AutoShardPolicy.DATA
        options.experimental_distribute.auto_shard_policy = shard
        return dataset.map(lambda rows: training.rows_of(tensors, rows)).with_options(options)

    def evaluate(
        self, x=None, y=None, batch_size=None, verbose="auto", sample_weight=None, **kwargs
    ):
        """The mean bound and its terms on a data set; as `keras.Model.evaluate`.

        The noise is fixed, so the number is the same at every call and for every `batch_size`, and
        equals the mean of `bound(x, y)`.
        """
        self._assert_compiled("evaluate")
        if _is_array(x) and not kwargs.get("_use_cached_eval_dataset"):
            x, y, sample_weight = self._arrays(x, y, sample_weight, "evaluate")
            batch_size = batch_size or EVALUATION_BATCH
        return super().evaluate(
            x, y, batch_size=batch_size, verbose=verbose, sample_weight=sample_weight, **kwargs
        )

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Keras would average a batch over the replicas to learn shapes; the model is built."""

    def make_train_function(self, force=False):
        """Keras's hook for the loop's body: `train_step`, many steps in one compiled call."""
        if self.train_function is not None and not force:
            return
        if self._is_distributed:
            super().make_train_function(force)
        elif self._steps_one_by_one:
            self.train_function = self._one_by_one(self.train_step, self.jit_compile)
        elif self._blocks is not None:
            self.train_function = training.on_blocks(self._program(), *self._blocks)
        else:
            self.train_function = training.on_batches(
                self._program(), self.steps_per_execution, self._check_batch
            )

    def _program(self):
        """The compiled `train_step`; kept, so that a second fit does not compile again."""
        parts = (self.optimizer, self.jit_compile, *map(id, self.trainable_variables))
        if self._compiled_program is None or self._compiled_program[0] != parts:
            self._compiled_program = parts, training.ManySteps(self.train_step, self.jit_compile)
        return self._compiled_program[1]

    def make_test_function(self, force=False):
        """Keras's hook: `test_step`, compiled."""
        if self.test_function is not None and not force:
            return
        if self._is_distributed:
            super().make_test_function(force)
        else:
            self.test_function = self._one_by_one(self.test_step)

    def make_predict_function(self, force=False):
        """Keras's hook: `predict_step`, compiled."""
        if self.predict_function is not None and not force:
            return
        if self._is_distributed:
            super().make_predict_function(force)
        else:
            step = self._function(self.predict_step)
            self.predict_function = lambda batches: tf.concat([step(b) for b in batches], 0)

    def _function(self, step, jit_compile=False):
        if self.run_eagerly:
            return step
        return tf.function(step, jit_compile=jit_compile, reduce_retracing=True, autograph=False)

    def _one_by_one(self, step, jit_compile=False):
        return training.one_by_one(
            self._function(step, jit_compile), self.steps_per_execution, self._check_batch
        )

    def get_config(self):
        config = super().get_config()
        parts = (
            *("posterior_net", "prior_net", "likelihood_net"),
            *("family", "prior_family", "estimator", "penalty"),
        )
        for name in parts:
            part = getattr(self, name)
            if part is not None and not (name == "prior_family" and part is self.latent):
                config[name] = keras.saving.serialize_keras_object(part)
        return {**config, "seed": self.seed}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = {
            name: keras.saving.deserialize_keras_object(value, custom_objects=custom_objects)
            if isinstance(value, dict) and "class_name" in value
            else value
            for name, value in config.items()
        }
        return cls(**config)

    # The boundary -----------------------------------------------------------------------------

    def tensor(self, values):
        return tf.cast(tf.convert_to_tensor(values), self.compute_dtype)

    def _tensors(self, data):
        return tuple(self.tensor(values) for values in data)

    def _unpack(self, data):
        x, y, weights = keras.utils.unpack_x_y_sample_weight(data)
        variables = {"x": x, "y": y}
        weights = None if weights is None else self.tensor(weights)
        return *self._tensors(variables[name] for name in self.data_names), weights

    def _check(self, data, where):
        if len(data) != len(self.data_names):
            raise ValueError(
                f"Received {len(data)} array(s) (in {where}). {type(self).__name__} expects "
                f"({', '.join(self.data_names)})."
            )
        variables = dict(zip(self.data_names, map(_array, data), strict=True))
        checks.check_data(self, variables.get("x"), variables.get("y"), None, where)

    def _check_batch(self, batch):
        checks.check_data(
            self, *keras.utils.unpack_x_y_sample_weight(batch), "a batch of the dataset"
        )

    def _arrays(self, x, y, sample_weight, where):
        x, y, sample_weight = (None if a is None else _array(a) for a in (x, y, sample_weight))
        checks.check_data(self, x, y, sample_weight, where)
        return tuple(
            None if a is None else a.astype(keras.config.floatx(), copy=False)
            for a in (x, y, sample_weight)
        )

    def _assert_compiled(self, method):
        if not self.compiled:
            raise ValueError(
                f"{method}() needs an optimiser: call compile(), or compile(optimizer=…), first."
            )


def _array(values):
    return values.numpy() if hasattr(values, "numpy") else np.asarray(values)


def _is_array(values):
    return isinstance(values, (np.ndarray, list)) or tf.is_tensor(values) or hasattr(values, "iloc")


def _cardinality(dataset):
    if not isinstance(dataset, tf.data.Dataset):
        return None
    known = int(dataset.cardinality())
    return known if known > 0 else None


def _split(arrays, fraction):
    """The last `fraction` of the rows held out, as Keras does it."""
    first = int(len(arrays[0]) * (1 - fraction))
    if not 0 < first < len(arrays[0]):
        raise ValueError(
            f"Received validation_split={fraction} with {len(arrays[0])} examples. Expected a "
            "fraction that leaves at least one example on each side."
        )
    return (
        tuple(None if a is None else a[:first] for a in arrays),
        tuple(None if a is None else a[first:] for a in arrays),
    )


def _place_in_global_batch(batch_size):
    """(position of this replica's first example in the global batch, the global batch's size)."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return 0, batch_size
    sizes = context.all_gather(tf.reshape(batch_size, [1]), axis=0)
    return tf.cumsum(sizes, exclusive=True)[context.replica_id_in_sync_group], tf.reduce_sum(sizes)
