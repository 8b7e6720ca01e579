r"""Semi-supervised learning: few labels, many images (Kingma, Mohamed, Rezende & Welling 2014).

    model      bounds                                q                    prior      likelihood
    M1         log p(x): a VAE                       q(z|x)               p(z)       p(x|z)
    M2         log p(x,y); unlabelled log p(x)       q(z|x,y), q(y|x)     p(z) p(y)  p(x|y,z)
    StackedM2  the same of z₁ ~ q(z₁|x) of an M1     q(z₂|z₁,y), q(y|z₁)  p(z₂) p(y) p(z₁|y,z₂)

Labels are integers, and −1 says that there is none.
"""

import copy
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from cvae_tf import checks, noise
from cvae_tf.base import LatentVariableModel, _place_in_global_batch
from cvae_tf.distributions import tfd
from cvae_tf.estimators import Bound, reparameterise
from cvae_tf.networks import apply
from cvae_tf.vae import VAE

UNLABELLED = -1
_ROWS_AT_ONCE = 4096


class _Logged(NamedTuple):
    """A Bound, and what the accuracy is made of; all [B]."""

    value: tf.Tensor
    reconstruction: tf.Tensor
    kl: tf.Tensor
    correct: tf.Tensor
    labelled: tf.Tensor

    @property
    def elbo(self):
        return self.reconstruction - self.kl


@keras.saving.register_keras_serializable("cvae_tf")
class M2(LatentVariableModel):
    r"""p(x, y, z) = p(y) p(z) p(x|y,z), with y seen for some x and latent for the others.

        labelled:   log p(x,y) ≥ L(x,y) = E_q[log p(x|y,z)] + log p(y) − KL(q(z|x,y) ‖ p(z)), (8.1)
        unlabelled: log p(x) ≥ U(x) = Σ_y q(y|x) L(x,y) + H(q(y|x)).                          (8.2)

    p(y) is uniform. Training maximises (8.3), divided by N: a minibatch of M_l labelled and M_u
    unlabelled examples, M = M_l + M_u, has the loss

        −(1/N) [ (N_l/M_l) Σ_l (L + alpha·(N/N_l) log q(y_l|x_l)) + (N_u/M_u) Σ_u U ],

    a mean over its examples with the weights (M/N)(N_l/M_l) and (M/N)(N_u/M_u); for the whole data
    set in one batch it is −J/N. Where a batch has no example of one kind, that kind's term is
    missing; `datasets.mixed_batches` gives every batch both. `fit` counts N and N_l in arrays; for
    a stream, say them.

    The logs hold the bound of each example, L or U, without weights or α: `elbo` = `reconstruction`
    − `kl`. Where y is latent its divergence from p(y) is part of `kl`; where it is seen log p(y) is
    part of `reconstruction`. `accuracy` is that of argmax q(y|x) on the labelled examples, 0 where
    there are none. In `evaluate` the loss is minus the mean bound.

    Args:
        classifier_net: network of x, output [B, C], the logits of q(y|x).
        posterior_net: network of [x, y], y one-hot, output [B, 2d].
        likelihood_net: network of [y, z], y one-hot, raw output of `family`.
        alpha: float ≥ 0, the 0.1 of (8.3); 0 leaves the α-term out.
        num_examples, num_labelled: ints N and N_l of the data set, for training on a stream.
        weight_prior: bool; adds −log N(w; 0, 1)/N over all weights w to the loss.
        sum_over_classes: bool; False, for ablations only, replaces the sum of (8.2) in training by
            one y ~ q(y|x), with the score-function gradient for q(y|x): unbiased, and noisy.
        family, estimator, seed: see `LatentVariableModel`.

    Raises:
        ValueError: for a network that does not fit, a negative alpha, impossible counts, or a
            penalty.

    Example:
        >>> nets = mlps(M2, x=64, y=10, z=16, hidden=(128,), family=family)
        >>> model = M2(**nets, family=family)
        >>> model.compile()
        >>> labels = datasets.labelled_subset(digits.train.labels, per_class=5, seed=0)
        >>> history = model.fit(digits.train.x, labels, batch_size=100, epochs=50)
        >>> model.predict(digits.test.x).argmax(1)

    Source: Kingma, Mohamed, Rezende & Welling (2014), equations 6 to 9.
    """

    integer_variables = ("y",)

    def __init__(
        self,
        *,
        classifier_net,
        alpha=0.1,
        num_examples=None,
        num_labelled=None,
        weight_prior=False,
        sum_over_classes=True,
        **kwargs,
    ):
        if kwargs.get("penalty") is not None:
            raise ValueError(
                f"Received penalty={kwargs['penalty']!r}. {type(self).__name__} is trained on "
                "(8.3): leave penalty out, or override `objective`."
            )
        super().__init__(**kwargs)
        self.classifier_net = classifier_net
        self.num_classes = self.shapes["y"][0]
        self._check_classifier()
        self._alpha = tf.Variable(0.0, trainable=False, dtype=tf.float64)
        self.alpha = alpha
        self.weight_prior = bool(weight_prior)
        self.sum_over_classes = bool(sum_over_classes)
        self._counts = tf.Variable([0.0, 0.0], trainable=False, dtype=tf.float64)  # N_l, N
        self.set_counts(num_labelled, num_examples)
        self._accuracy_mean = keras.metrics.Mean(name="accuracy")

    # Factors ----------------------------------------------------------------------------------

    def classifier(self, x):
        """q(y|x). Args: x [B, …]. Returns: tfd.Categorical, batch [B], over C classes."""
        return tfd.Categorical(logits=apply(self.classifier_net, x))

    def prior(self):
        """p(z) = N(0, I)."""
        return self.standard_normal()

    def posterior(self, x, y):
        """q(z|x,y). Args: x [B, …], y [B] integers. Returns: distribution, event [d]."""
        return self.latent(apply(self.posterior_net, x, self._one_hot(y)))

    def likelihood(self, y, z):
        """p(x|y,z). Args: y [B] integers, z [..., B, d]. Returns: distribution, batch [..., B]."""
        return self.family(apply(self.likelihood_net, self._one_hot(y), z))

    def log_label_prior(self, y):
        """log p(y) = −log C; NaN for the label −1. Args: y integers. Returns: nats, y's shape."""
        y = tf.convert_to_tensor(y)
        uniform = tf.constant(-np.log(self.num_classes), self.compute_dtype)
        return tf.where(y >= 0, uniform, tf.constant(np.nan, self.compute_dtype))

    def factors(self, x, y):
        """(8.1): q(z|x,y), p(z), log p(x,y|z) = log p(x|y,z) + log p(y); NaN for the label −1.

        x and y broadcast: y [C, 1] beside x [B, …] gives the factors of every class, batch [C, B].
        """
        log_p_y = self.log_label_prior(y)
        return (
            self.posterior(x, y),
            self.prior(),
            lambda z: self.likelihood(y, z).log_prob(x) + log_p_y,
        )

    # The bounds and the objective -------------------------------------------------------------

    def bound(self, x, y, *, noise=None):
        r"""L(x, y), (8.1), where y is a label, and U(x), (8.2), where it is −1.

        The sum over classes is exact, and all classes share an example's noise.

        Args:
            x: [B, …].
            y: [B], integers; −1 for unlabelled.
            noise: ε, [L, B, d] or [L, 1, d]; default: the fixed noise of evaluation.

        Returns:
            Bound(value, reconstruction, kl), each [B], nats.
        """
        x, y = self._tensors((x, y))
        noise = self.evaluation_noise(len(x)) if noise is None else self.tensor(noise)
        return self._bound(x, self._integers(y), noise, self._log_q(x))

    def _bound(self, x, y, noise, log_q):
        classes = tf.range(self.num_classes)[:, None]  # [C, 1]
        each = self.estimator(*self.factors(x, classes), noise[:, None])  # L(x, y) of all y: [C, B]
        log_q, log_p = tf.transpose(log_q), self.log_label_prior(classes)
        labelled, label = y >= 0, tf.one_hot(y, self.num_classes, axis=0, dtype=log_q.dtype)
        weight = tf.where(labelled, label, tf.exp(log_q))  # q(y|x), or all on the label: [C, B]
        nothing = tf.zeros_like(log_q)
        latent_log_q = tf.where(labelled, nothing, log_q)
        latent_log_p = tf.where(labelled, nothing, log_p)
        return Bound(
            tf.reduce_sum(weight * (each.value - latent_log_q), 0),  # (8.2); (8.1) if labelled
            tf.reduce_sum(weight * (each.reconstruction - latent_log_p), 0),
            tf.reduce_sum(weight * (each.kl + latent_log_q - latent_log_p), 0),
        )

    def _sampled_bound(self, x, y, noise, log_q):
        """(8.2) with one y ~ q(y|x) for its sum: (Bound, surrogate with the score's gradient)."""
        labelled, q = y >= 0, tf.exp(log_q)
        u = self._class_noise(tf.shape(y)[0])
        drawn = tf.reduce_sum(tf.cast(u > tf.cumsum(q, axis=-1)[:, :-1], tf.int32), -1)
        each = self.estimator(*self.factors(x, tf.where(labelled, y, drawn)), noise)
        nothing = tf.zeros_like(each.value)
        entropy = tf.where(labelled, nothing, -tf.reduce_sum(q * log_q, -1))
        latent_log_p = tf.where(labelled, nothing, self.log_label_prior(drawn))
        log_q_drawn = tf.gather(log_q, drawn, axis=1, batch_dims=1)
        score = tf.where(labelled, nothing, log_q_drawn - tf.stop_gradient(log_q_drawn))
        bound = Bound(
            each.value + entropy,
            each.reconstruction - latent_log_p,
            each.kl - entropy - latent_log_p,
        )
        return bound, bound.value + score * tf.stop_gradient(each.value)

    def _class_noise(self, batch_size):
        """u of (seed, step, position in the global batch), uniform, [B, 1]."""
        return noise.uniform(
            batch_size,
            1,
            key=noise.key(self.seed, "classes"),
            step=self.optimizer.iterations,
            first_row=_place_in_global_batch(batch_size)[0],
            dtype=self.compute_dtype,
        )

    def objective(self, x, y, *, noise):
        """What training minimises, (8.3) over −N, per example; see the class.

        Args:
            x, y: as in `bound`.
            noise: ε, [L, B, d].

        Returns:
            (loss [B] in nats, the bounds to be logged).
        """
        y, log_q = self._integers(y), self._log_q(x)
        labelled = y >= 0
        if self.sum_over_classes:
            bound = self._bound(x, y, noise, log_q)
            value = bound.value
        else:
            bound, value = self._sampled_bound(x, y, noise, log_q)
        weight, alpha, num_examples = self._weights(labelled)
        log_q_y = tf.reduce_sum(self._one_hot(y) * log_q, -1)  # 0 where unlabelled
        losses = -weight * (value + alpha * log_q_y)
        if self.weight_prior:
            log_p_w = [
                tf.reduce_sum(-0.5 * (tf.square(w) + np.log(2 * np.pi)))
                for w in map(tf.convert_to_tensor, self.trainable_variables)
            ]
            losses -= tf.add_n(log_p_w) / num_examples
        return losses, self._logged(bound, y, log_q)

    def _weights(self, labelled):
        """(weight of each example [B], the factor of log q(y|x) in (8.3), N).

        M and M_l are those of the batch at hand: under `tf.distribute`, of the replica's part.
        """
        m = tf.cast(tf.size(labelled), tf.float64)
        m_l = tf.reduce_sum(tf.cast(labelled, tf.float64))
        known = self._counts[1] > 0  # or else this batch is the data set
        n_l, n = tf.where(known, self._counts[0], m_l), tf.where(known, self._counts[1], m)
        of_labelled = m / n * tf.math.divide_no_nan(n_l, m_l)
        of_unlabelled = m / n * tf.math.divide_no_nan(n - n_l, m - m_l)
        alpha = self._alpha * tf.math.divide_no_nan(n, n_l)
        return self._tensors((tf.where(labelled, of_labelled, of_unlabelled), alpha, n))

    def call(self, data, noise, training=None):
        """(8.3) in training, and minus the bound in evaluation, within Keras's call context."""
        if training:
            return self.objective(*data, noise=noise)
        x, y = data
        y, log_q = self._integers(y), self._log_q(x)
        bound = self._bound(x, y, noise, log_q)
        return -bound.value, self._logged(bound, y, log_q)

    def _logged(self, bound, y, log_q):
        correct = tf.argmax(log_q, -1, output_type=tf.int32) == y
        return _Logged(*bound, *self._tensors((correct, y >= 0)))

    def _log(self, losses, bound, weights):
        counted = bound.labelled if weights is None else bound.labelled * weights
        self._accuracy_mean.update_state(bound.correct, sample_weight=counted)
        return super()._log(losses, bound, weights)

    @property
    def metrics(self):
        """The running means that are logged: nats per example, and the accuracy."""
        return [*super().metrics, self._accuracy_mean]

    # Using a trained model --------------------------------------------------------------------

    def _predict(self, given):
        return tf.exp(self._log_q(given))

    def log_likelihood(self, x, y, **options):
        r"""log p(x, y) where y is a label, log p(x) = log Σ_y p(x, y) where it is −1, by S samples.

        Args:
            x: [N, …].
            y: [N], integers.
            **options: `num_samples`, `method`, `seed`, `batch_size` of the base.

        Returns:
            NumPy array [N], nats.
        """
        self._check((x, y), "log_likelihood")
        y = np.asarray(y)
        unlabelled = y == UNLABELLED
        classes = range(self.num_classes) if unlabelled.any() else [0]
        values = [
            super(M2, self).log_likelihood(x, np.where(unlabelled, c, y), **options)
            for c in classes
        ]
        return np.where(unlabelled, np.logaddexp.reduce(values, 0), values[0])

    def log_joint(self, x, **options):
        """log p(x, y) of every class y. Args: as in `log_likelihood`. Returns: NumPy [N, C]."""
        x = self._observed(x, "log_joint")
        labels = [np.full(len(x), c) for c in range(self.num_classes)]
        joint = super().log_likelihood
        return np.stack([joint(x, label, **options) for label in labels], 1)

    def classify(self, x, *, method="importance", num_samples=100, seed=0):
        r"""The most probable class, by the generative model or by q(y|x).

        method="importance": argmax_y p(x|y) p(y), each p(x|y) by importance sampling, as in (5.8);
        method="classifier": argmax_y q(y|x), which is `predict(x).argmax(1)`.

        Args:
            x: [N, …].
            method: "importance" or "classifier".
            num_samples: int S, for importance sampling.
            seed: int.

        Returns:
            NumPy array [N], integers.

        Raises:
            ValueError: for another method, or an x of the wrong kind.
        """
        if method == "importance":
            return self.log_joint(x, num_samples=num_samples, seed=seed).argmax(1)
        if method == "classifier":
            return self._log_q(self.tensor(self._observed(x, "classify"))).numpy().argmax(1)
        raise ValueError(f'Received method={method!r}. Expected "importance" or "classifier".')

    def style(self, x, y=None):
        """What is in x beside its class: the mean of q(z|x,y).

        Args:
            x: [B, …].
            y: [B] integers; default, and where −1: argmax q(y|x).

        Returns:
            NumPy array [B, d].
        """
        x = self._observed(x, "style")
        guess = self._log_q(self.tensor(x)).numpy().argmax(1)
        if y is not None:
            checks.check_values(self, "y", np.asarray(y), "style")
            guess = np.where(np.asarray(y) == UNLABELLED, guess, y)
        return self.posterior(self.tensor(x), guess).mean().numpy()

    def style_transfer(self, x, to, y=None):
        """Each image's style in another class: the mean of p(x|to,z) at z = `style(x, y)`.

        Args:
            x: [B, …], whose style is taken.
            to: [B] integers, the classes wanted.
            y: [B] integers, the classes of x; default: argmax q(y|x).

        Returns:
            NumPy array [B, …].
        """
        self._check_given(to, "style_transfer")
        z = self.tensor(self.style(x, y))
        return self._decoded(self.likelihood(tf.constant(to), z).mean().numpy())

    def analogies(self, x, y=None):
        """Each image's style in every class: z is inferred from it, then y is swept.

        Args:
            x: [B, …].
            y: [B] integers, the classes of x; default: argmax q(y|x).

        Returns:
            NumPy array [B, C, …]: one row per image, one column per class.

        Example:
            >>> model.analogies(x[:5]).shape
            (5, 10, 64)
        """
        z = self.tensor(self.style(x, y))
        means = self.likelihood(tf.range(self.num_classes), z[:, None]).mean().numpy()
        return self._decoded(means.reshape(-1, *means.shape[2:])).reshape(
            *means.shape[:2], *self._data_shape()
        )

    def generate(self, given, *, seed=0, sample=False):
        """New images of given classes: z ~ p(z), then the mean of p(x|y,z), or a draw from it.

        Args:
            given: [B], integers.
            seed: int.
            sample: bool; True draws from the likelihood.

        Returns:
            NumPy array [B, …].
        """
        self._check_given(given, "generate")
        return self._decoded(super().generate(given, seed=seed, sample=sample))

    # The boundary -----------------------------------------------------------------------------

    def _observed(self, x, where):
        """x, checked, as the factors know it."""
        checks.check_values(self, "x", np.asarray(x), where)
        return np.asarray(x)

    def _decoded(self, x):
        return x

    def _data_shape(self):
        return self.shapes["x"]

    def _check_given(self, y, where):
        checks.check_values(self, "y", np.asarray(y), where)
        if np.min(y) < 0:
            raise ValueError(
                f"y (in {where}) has the label −1. Expected classes, 0 to {self.num_classes - 1}: "
                "say which class each image is to be of."
            )

    def _check_classifier(self):
        net = self.classifier_net
        if not isinstance(net, keras.Model) or not getattr(net, "inputs", None):
            raise TypeError(
                f"Received classifier_net={net!r}. Expected a built Keras model of x, such as "
                "networks.mlps(M2, …) makes."
            )
        shapes = [spec.shape[1:] for spec in net.inputs], net.output_shape[1:]
        if shapes != ([self.shapes["x"]], self.shapes["y"]):
            raise ValueError(
                f"classifier_net has inputs of shapes {shapes[0]} and an output of {shapes[1]}. "
                f"Expected one input {self.shapes['x']}, x, and an output {self.shapes['y']}, a "
                "logit for each class."
            )

    def _integers(self, y):
        return tf.cast(y, tf.int32)

    def _one_hot(self, y):
        return tf.one_hot(self._integers(y), self.num_classes, dtype=self.compute_dtype)

    def _log_q(self, x):
        """log q(y|x), [B, C]."""
        return tf.nn.log_softmax(self.classifier(x).logits)

    def _arrays(self, x, y, sample_weight, where):
        labels = y
        x, y, sample_weight = super()._arrays(x, y, sample_weight, where)
        return x, np.asarray(labels).astype("int32"), sample_weight

    def _fit_arrays(self, arrays, *args, **kwargs):
        self.set_counts(np.sum(arrays[1] >= 0), len(arrays[1]))
        return super()._fit_arrays(arrays, *args, **kwargs)

    def _fit_stream(self, *args, **kwargs):
        if self.num_examples is None:
            raise ValueError(
                "fit received a stream, whose numbers of examples are unknown, but (8.3) weights "
                "by them. Give the model both when you make it: "
                f"{type(self).__name__}(…, num_examples=len(labels), "
                "num_labelled=(labels >= 0).sum())."
            )
        return super()._fit_stream(*args, **kwargs)

    @property
    def alpha(self):
        """The 0.1 of (8.3), a float ≥ 0. A new value counts from the next step on."""
        return float(self._alpha.numpy())

    @alpha.setter
    def alpha(self, alpha):
        if not alpha >= 0:
            raise ValueError(f"Received alpha={alpha}. Expected a number ≥ 0.")
        self._alpha.assign(alpha)

    def set_counts(self, num_labelled, num_examples):
        """Say how large the next stream's data set is: it weighs the terms of (8.3).

        Args:
            num_labelled, num_examples: ints N_l and N; None for both: the batch is the data set.

        Raises:
            ValueError: for one without the other, or impossible counts.
        """
        if (num_labelled is None) != (num_examples is None) or (
            num_examples is not None and not 0 <= num_labelled <= num_examples > 0
        ):
            raise ValueError(
                f"Received num_examples={num_examples}, num_labelled={num_labelled}. Expected both "
                "or neither, num_examples ≥ 1 and 0 ≤ num_labelled ≤ num_examples."
            )
        known = num_examples is not None
        self.num_examples = int(num_examples) if known else None
        self.num_labelled = int(num_labelled) if known else None
        self._counts.assign([float(self.num_labelled or 0), float(self.num_examples or 0)])

    def get_config(self):
        return {
            **super().get_config(),
            "classifier_net": keras.saving.serialize_keras_object(self.classifier_net),
            "alpha": self.alpha,
            "num_examples": self.num_examples,
            "num_labelled": self.num_labelled,
            "weight_prior": self.weight_prior,
            "sum_over_classes": self.sum_over_classes,
        }


@keras.saving.register_keras_serializable("cvae_tf")
class StackedM2(M2):
    r"""M1+M2: p(y) p(z₂) p(z₁|y,z₂) p(x|z₁), p(z₁|·) Gaussian, (8.4).

    An M2 whose observed variable is the feature z₁ of an M1 that is trained before and stays as it
    is. In training every step draws z₁ ~ q(z₁|x) anew; `evaluate` uses one fixed draw; `predict`,
    `classify` and the analogies use the mean of q(z₁|x).

    Images x go into `fit`, `evaluate`, `predict`, `classify`, `log_joint`, `style`,
    `style_transfer` and `analogies`, and come out of these and of `generate`. The factors, `bound`,
    `log_likelihood` and `reconstruct` are M2's: their x is z₁, as `features_of(x)` gives it. The
    logged nats are those of z₁, not of an image.

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

    Source: Kingma, Mohamed, Rezende & Welling (2014), section 2.1, "stacked".
    """

    def __init__(self, *, features, kept=None, **kwargs):
        if isinstance(features, M1):
            features._check_fitted()
            kept = features.kept_ if kept is None else kept
            features = features.vae_
        if not isinstance(features, VAE):
            raise TypeError(f"Received features={features!r}. Expected a fitted M1 or a VAE.")
        super().__init__(**kwargs)
        kept = range(features.latent_dim) if kept is None else kept
        self.kept = [int(dimension) for dimension in kept]
        if self.shapes["x"] != (len(self.kept),):
            raise ValueError(
                f"The networks take an x of shape {self.shapes['x']}, and the features have "
                f"{(len(self.kept),)}. Make the networks with x={len(self.kept)}."
            )
        features.trainable = False
        self.features = features

    def features_of(self, x, noise=None):
        """z₁: the mean of q(z₁|x), or the draw that the noise says.

        Args:
            x: [B, …], images.
            noise: ε, [B, d₁] or None.

        Returns:
            Tensor [B, number of features].
        """
        q = self.features.posterior(self.features.tensor(x))
        z = q.mean() if noise is None else reparameterise(q, noise)
        return self.tensor(tf.gather(z, self.kept, axis=-1))

    def _feature_noise(self, batch_size, purpose, step, first_row):
        return noise.normal(
            1,
            batch_size,
            self.features.latent_dim,
            key=noise.key(self.seed, f"{purpose}: features"),
            step=step,
            first_row=first_row,
            dtype=self.features.compute_dtype,
        )[0]

    def train_step(self, data):
        """M2's step on features drawn anew."""
        x, y, weights = keras.utils.unpack_x_y_sample_weight(data)
        first_row, _ = _place_in_global_batch(tf.shape(x)[0])
        epsilon = self._feature_noise(
            tf.shape(x)[0], "training", self.optimizer.iterations, first_row
        )
        return super().train_step((self.features_of(x, epsilon), y, weights))

    def test_step(self, data):
        """M2's step on features drawn by evaluation's fixed noise."""
        x, y, weights = keras.utils.unpack_x_y_sample_weight(data)
        first_row, _ = _place_in_global_batch(tf.shape(x)[0])
        first_row = self._rows_seen + tf.cast(first_row, tf.int64)
        epsilon = self._feature_noise(tf.shape(x)[0], "evaluation", 0, first_row)
        return super().test_step((self.features_of(x, epsilon), y, weights))

    def predict_step(self, data):
        """q(y|z₁) at the mean of q(z₁|x)."""
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        return self._predict(self.features_of(x))

    def _observed(self, x, where):
        checks.check_values(self.features, "x", np.asarray(x), where)
        return self.features_of(x).numpy()

    def _decoded(self, x):
        z = np.zeros((len(x), self.features.latent_dim), x.dtype)  # a dropped feature has mean 0
        z[:, self.kept] = x
        return self.features.likelihood(self.features.tensor(z)).mean().numpy()

    def _data_shape(self):
        return self.features.shapes["x"]

    def _arrays(self, x, y, sample_weight, where):
        self._check_images(x, y, sample_weight, where)
        weights = None if sample_weight is None else np.asarray(sample_weight, "float32")
        x = np.asarray(x, keras.config.floatx())
        return x, np.asarray(y).astype("int32"), weights

    def _check_batch(self, batch):
        data = keras.utils.unpack_x_y_sample_weight(batch)
        self._check_images(*data, "a batch of the dataset")

    def _check_images(self, x, y, sample_weight, where):
        if x is not None:
            x = np.asarray(x)
            checks.check_values(self.features, "x", x, where)
            x = np.zeros((len(x), *self.shapes["x"]), "float32")  # stands for its features
        y, sample_weight = (None if a is None else np.asarray(a) for a in (y, sample_weight))
        checks.check_data(self, x, y, sample_weight, where)

    def get_config(self):
        features = keras.saving.serialize_keras_object(self.features)
        return {**super().get_config(), "features": features, "kept": self.kept}


class M1:
    r"""A VAE's latent as features: x ↦ E_q[z|x], for any scikit-learn classifier.

    A scikit-learn transformer: it works in pipelines and searches, can be cloned, and leaves
    scikit-learn to those who use it. Unlabelled rows help too: fit it on all x, and the classifier
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

    Source: Kingma, Mohamed, Rezende & Welling (2014), section 2.1, M1.
    """

    _parameters = ("vae", "epochs", "batch_size", "learning_rate", "min_std")

    def __init__(self, vae, *, epochs=50, batch_size=100, learning_rate=1e-3, min_std=0.0):
        self.vae = vae
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.min_std = min_std

    def fit(self, X, y=None):
        """Train the VAE on all rows. Args: X [N, …]; y: not used. Returns: self."""
        vae = self.vae if isinstance(self.vae, LatentVariableModel) else self.vae()
        if not isinstance(vae, VAE):
            raise TypeError(f"Received vae={vae!r}. Expected a VAE or a function that makes one.")
        if not vae.compiled:
            vae.compile(keras.optimizers.Adam(self.learning_rate))
        X = np.asarray(X)
        checks.check_values(vae, "x", X, "fit")
        self.history_ = vae.fit(
            X, epochs=self.epochs, batch_size=self.batch_size, verbose=0
        ).history
        self.vae_ = vae
        self.kept_ = np.arange(vae.latent_dim)
        if self.min_std:
            self.kept_ = np.flatnonzero(self.transform(X).std(0) > self.min_std)
            if not len(self.kept_):
                raise ValueError(
                    f"No latent dimension's mean has a standard deviation above {self.min_std}: "
                    "the posterior has collapsed. Train longer, or lower min_std."
                )
        self.n_features_in_ = X.shape[1]
        return self

    @property
    def num_features(self):
        """How many features `transform` gives."""
        self._check_fitted()
        return len(self.kept_)

    def transform(self, X):
        """The mean of q(z|x). Args: X [N, …]. Returns: NumPy array [N, number of features]."""
        return self._posterior(X, lambda q, _: q.mean().numpy(), "transform")

    def fit_transform(self, X, y=None):
        """`fit`, then `transform`."""
        return self.fit(X, y).transform(X)

    def sample_features(self, X, noise):
        """Features drawn from the posterior, z = μ + σ ⊙ ε, (2.1): new ones for new noise.

        Args:
            X: [N, …].
            noise: ε, [N, d] or [L, N, d], d the VAE's latent dimensions.

        Returns:
            NumPy array [N, number of features] or [L, N, number of features].
        """
        noise = np.asarray(noise)
        self._check_fitted()
        if noise.shape[-2:] != (len(X), self.vae_.latent_dim) or noise.ndim > 3:
            raise ValueError(
                f"noise has shape {noise.shape}. Expected (N, d) or (L, N, d) = (…, {len(X)}, "
                f"{self.vae_.latent_dim}), such as noise.normal(…) gives."
            )
        return self._posterior(
            X,
            lambda q, rows: reparameterise(q, self.vae_.tensor(noise[..., rows, :])).numpy(),
            "sample_features",
        )

    def _posterior(self, X, function, where):
        self._check_fitted()
        X = np.asarray(X)
        checks.check_values(self.vae_, "x", X, where)
        parts = []
        for first in range(0, len(X), _ROWS_AT_ONCE):
            rows = slice(first, first + _ROWS_AT_ONCE)
            q = self.vae_.posterior(self.vae_.tensor(X[rows]))
            parts.append(function(q, rows)[..., self.kept_])
        return np.concatenate(parts, -2)

    def get_feature_names_out(self, input_features=None):
        """Names of the features: z0, z1, …"""
        self._check_fitted()
        return np.array([f"z{dimension}" for dimension in self.kept_], dtype=object)

    # What scikit-learn asks of a transformer

    def get_params(self, deep=True):
        """The constructor's arguments."""
        return {name: getattr(self, name) for name in self._parameters}

    def set_params(self, **parameters):
        """Change constructor arguments. Returns: self."""
        unknown = set(parameters) - set(self._parameters)
        if unknown:
            raise ValueError(
                f"Received {sorted(unknown)}. M1 has the parameters {', '.join(self._parameters)}."
            )
        for name, value in parameters.items():
            setattr(self, name, value)
        return self

    def __sklearn_is_fitted__(self):
        return hasattr(self, "vae_")

    def __sklearn_tags__(self):
        from sklearn.utils import Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type="transformer",
            target_tags=TargetTags(required=False),
            transformer_tags=TransformerTags(),
        )

    def __sklearn_clone__(self):
        parameters = self.get_params()
        if isinstance(self.vae, keras.Model):
            parameters["vae"] = copy.deepcopy(self.vae)
        return type(self)(**parameters)

    def __repr__(self):
        return f"M1({', '.join(f'{name}={getattr(self, name)!r}' for name in self._parameters)})"

    def _check_fitted(self):
        if not self.__sklearn_is_fitted__():
            raise ValueError("This M1 has not been fitted. Call fit(X) first.")
