r"""Semi-supervised learning: few labels, many images (Kingma, Mohamed, Rezende & Welling 2014).

    model      bounds                                q                    prior      likelihood
    M1         log p(x): a VAE                       q(z|x)               p(z)       p(x|z)
    M2         log p(x,y); unlabelled log p(x)       q(z|x,y), q(y|x)     p(z) p(y)  p(x|y,z)
    StackedM2  the same of z₁ ~ q(z₁|x) of an M1     q(z₂|z₁,y), q(y|z₁)  p(z₂) p(y) p(z₁|y,z₂)

Labels are integers, and −1 says that there is none.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from cvae_tf import checks, wiring
from cvae_tf import noise as noise_of
from cvae_tf.base import LatentVariableModel
from cvae_tf.distributions import Distribution, Tensor, choose, tfd
from cvae_tf.estimators import Bound, Factors
from cvae_tf.networks import apply

UNLABELLED = -1


class LabelledBound(NamedTuple):
    """A Bound, and what the accuracy is made of; all [B]."""

    value: Tensor
    reconstruction: Tensor
    kl: Tensor
    correct: Tensor
    labelled: Tensor

    @property
    def elbo(self) -> Tensor:
        return self.reconstruction - self.kl

    def terms(self) -> dict[str, Any]:
        return {**Bound(*self[:3]).terms(), "accuracy": (self.correct, self.labelled)}


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
            draws of y ~ q(y|x), with the score-function gradient for q(y|x): unbiased, and noisy.
        label_draws: int, how many draws; with two or more the mean of the others' L is each one's
            baseline, (8.5), which takes most of the noise away.
        family, estimator, seed: see `LatentVariableModel`.

    Raises:
        ValueError: for a network that does not fit, a negative alpha, impossible counts, a penalty,
            or label_draws > 1 beside the sum.

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
    further_factors = {"classifier": "y"}
    logged = ("elbo", "reconstruction", "kl", "accuracy")
    predicts_from = ("x",)

    def __init__(
        self,
        *,
        classifier_net: keras.Model,
        alpha: float = 0.1,
        num_examples: int | None = None,
        num_labelled: int | None = None,
        weight_prior: bool = False,
        sum_over_classes: bool = True,
        label_draws: int = 1,
        **kwargs: Any,
    ) -> None:
        if kwargs.get("penalty") is not None:
            raise ValueError(
                f"Received penalty={kwargs['penalty']!r}. {type(self).__name__} is trained on "
                "(8.3): leave penalty out, or override `objective`."
            )
        super().__init__(classifier_net=classifier_net, **kwargs)
        self.num_classes = self.shapes["y"][0]
        self._alpha = tf.Variable(0.0, trainable=False, dtype=tf.float64)
        self.alpha = alpha
        self.weight_prior = checks.flag(weight_prior, "weight_prior")
        self.sum_over_classes = checks.flag(sum_over_classes, "sum_over_classes")
        self.label_draws = checks.count(label_draws, "label_draws")
        if self.sum_over_classes and self.label_draws > 1:
            raise ValueError(
                f"Received label_draws={label_draws} beside sum_over_classes=True, which draws no "
                "label. Expected one of the two: leave label_draws out, or set "
                "sum_over_classes=False."
            )
        self._counts = tf.Variable([0.0, 0.0], trainable=False, dtype=tf.float64)  # N_l, N
        self.set_counts(num_labelled, num_examples)

    # Factors ----------------------------------------------------------------------------------

    def classifier(self, x: Tensor) -> Distribution:
        """q(y|x). Args: x [B, …]. Returns: tfd.Categorical, batch [B], over C classes."""
        return tfd.Categorical(logits=self.tensor(apply(self.classifier_net, x)))

    def prior(self) -> Distribution:
        """p(z) = N(0, I)."""
        return self.standard_normal()

    def posterior(self, x: Tensor, y: Tensor) -> Distribution:
        """q(z|x,y). Args: x [B, …], y [B] integers. Returns: distribution, event [d]."""
        return self.latent(apply(self.posterior_net, x, self._one_hot(y)))

    def likelihood(self, y: Tensor, z: Tensor) -> Distribution:
        """p(x|y,z). Args: y [B] integers, z [..., B, d]. Returns: distribution, batch [..., B]."""
        return self.family(apply(self.likelihood_net, self._one_hot(y), z))

    def log_label_prior(self, y: Tensor) -> Tensor:
        """log p(y) = −log C; NaN for the label −1. Args: y integers. Returns: nats, y's shape."""
        y = tf.convert_to_tensor(y)
        uniform = tf.constant(-np.log(self.num_classes), self.compute_dtype)
        return tf.where(y >= 0, uniform, tf.constant(np.nan, self.compute_dtype))

    def factors(self, x: Tensor, y: Tensor) -> Factors:
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

    def estimate(self, x: Tensor, y: Tensor, *, noise: Tensor) -> Bound:
        r"""L(x, y), (8.1), where y is a label, and U(x), (8.2), where it is −1.

        The sum over classes is exact, and all classes share an example's noise.
        """
        return self._estimate(x, y, noise, self._log_q(x))

    def _estimate(self, x: Tensor, y: Tensor, noise: Tensor, log_q: Tensor) -> Bound:
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

    def _sampled_bound(
        self, x: Tensor, y: Tensor, noise: Tensor, log_q: Tensor
    ) -> tuple[Bound, Tensor]:
        """(8.2) with draws of y for its sum: (Bound, surrogate with the gradient of (8.5))."""
        labelled, q = y >= 0, tf.exp(log_q)
        place = self.training_place(tf.shape(y)[0])
        u = noise_of.uniform(
            tf.shape(y)[0],
            self.label_draws,
            key=noise_of.key(self.seed, "classes"),
            step=place.step,
            first_row=place.first_row,
            dtype=self.compute_dtype,
        )
        drawn = tf.transpose(choose(q[:, None], u[..., None]))  # [K, B]
        found = [
            self.estimator(*self.factors(x, tf.where(labelled, y, drawn[k])), noise)
            for k in range(self.label_draws)
        ]
        each = Bound(*(tf.stack(part) for part in zip(*found, strict=True)))  # [K, B]
        nothing = tf.zeros_like(each.value)
        entropy = tf.where(labelled, nothing, -tf.reduce_sum(q * log_q, 1))
        latent_log_p = tf.where(labelled, nothing, self.log_label_prior(drawn))
        log_q_drawn = tf.transpose(tf.gather(log_q, tf.transpose(drawn), axis=1, batch_dims=1))
        score = tf.where(labelled, nothing, log_q_drawn - tf.stop_gradient(log_q_drawn))
        others = tf.reduce_sum(each.value, 0) - each.value
        baseline = others / max(1, self.label_draws - 1)  # of a single draw 0
        bound = Bound(
            each.value + entropy,
            each.reconstruction - latent_log_p,
            each.kl - entropy - latent_log_p,
        )
        value = bound.value + score * tf.stop_gradient(each.value - baseline)  # (8.5)
        return Bound(*(tf.reduce_mean(part, 0) for part in bound)), tf.reduce_mean(value, 0)

    def objective(self, x: Tensor, y: Tensor, *, noise: Tensor) -> tuple[Tensor, LabelledBound]:
        """What training minimises, (8.3) over −N, per example; see the class.

        Args:
            x: [B, …].
            y: [B] integers; −1 for unlabelled.
            noise: ε, [L, B, d].

        Returns:
            (loss [B] in nats, the bounds to be logged).
        """
        labelled, log_q = y >= 0, self._log_q(x)
        if self.sum_over_classes:
            bound = self._estimate(x, y, noise, log_q)
            value = bound.value
        else:
            bound, value = self._sampled_bound(x, y, noise, log_q)
        weight, alpha, num_examples = self._weights(labelled)
        log_q_y = tf.reduce_sum(self._one_hot(y) * log_q, 1)  # 0 where unlabelled
        losses = -weight * (value + alpha * log_q_y)  # (8.3)
        if self.weight_prior:
            log_p_w = [
                tf.reduce_sum(-0.5 * (tf.square(w) + np.log(2 * np.pi)))
                for w in map(tf.convert_to_tensor, self.trainable_variables)
            ]
            losses -= tf.add_n(log_p_w) / num_examples
        return losses, self._logged(bound, y, log_q)

    def _weights(self, labelled: Tensor) -> tuple[Tensor, Tensor, Tensor]:
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
        weights = tf.where(labelled, of_labelled, of_unlabelled)
        return self.tensor(weights), self.tensor(alpha), self.tensor(n)

    def evaluation_objective(
        self, x: Tensor, y: Tensor, *, noise: Tensor
    ) -> tuple[Tensor, LabelledBound]:
        """Minus the bound, without the weights of (8.3)."""
        log_q = self._log_q(x)
        bound = self._estimate(x, y, noise, log_q)
        return -bound.value, self._logged(bound, y, log_q)

    def _logged(self, bound: Bound, y: Tensor, log_q: Tensor) -> LabelledBound:
        correct = tf.argmax(log_q, 1, output_type=tf.int32) == y
        return LabelledBound(*bound, self.tensor(correct), self.tensor(y >= 0))

    # Using a trained model --------------------------------------------------------------------

    def predicted(self, given: Tensor) -> Tensor:
        """q(y|x), [B, C]."""
        return tf.exp(self._log_q(self._features(given)))

    def log_likelihood(self, x: Any, y: Any = None, **options: Any) -> np.ndarray:
        r"""log p(x, y) where y is a label, log p(x) = log Σ_y p(x, y) where it is −1, by S samples.

        Args:
            x: [N, …]; or one dict of both by name.
            y: [N], integers.
            **options: `num_samples`, `method`, `seed`, `batch_size` of the base.

        Returns:
            NumPy array [N], nats.
        """
        data = (x,) if y is None else (x, y)
        x, y = wiring.variables(self, self.data_names, data, "log_likelihood")
        unlabelled = y == UNLABELLED
        classes = range(self.num_classes) if unlabelled.any() else [0]
        of_class = super().log_likelihood
        values = [of_class(x, np.where(unlabelled, c, y), **options) for c in classes]
        return np.where(unlabelled, np.logaddexp.reduce(values, 0), values[0])

    def log_joint(self, x: Any, **options: Any) -> np.ndarray:
        """log p(x, y) of every class y. Args: as in `log_likelihood`. Returns: NumPy [N, C]."""
        (x,) = wiring.variables(self, ("x",), (x,), "log_joint")
        labels = [np.full(len(x), c) for c in range(self.num_classes)]
        return np.stack([self.log_likelihood(x, label, **options) for label in labels], 1)

    def classify(
        self, x: Any, *, method: str = "importance", num_samples: int = 100, seed: int = 0
    ) -> np.ndarray:
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
        num_samples, seed = checks.count(num_samples, "num_samples"), checks.seed(seed)
        if checks.choice(method, "method", ("importance", "classifier")) == "importance":
            return self.log_joint(x, num_samples=num_samples, seed=seed).argmax(1)
        return self._classes(x, "classify")

    def _classes(self, x: Any, where: str) -> np.ndarray:
        """argmax q(y|x), [N]."""
        (x,) = wiring.variables(self, ("x",), (x,), where)
        return self.predicted(self.tensor(x)).numpy().argmax(1)

    def style(self, x: Any, y: Any = None) -> np.ndarray:
        """What is in x beside its class: the mean of q(z|x,y).

        Args:
            x: [B, …].
            y: [B] integers; default, and where −1: argmax q(y|x).

        Returns:
            NumPy array [B, d].
        """
        guess = self._classes(x, "style")
        if y is not None:
            _, y = wiring.variables(self, self.data_names, (x, y), "style")
            guess = np.where(y == UNLABELLED, guess, y)
        return self.encode(x, guess)

    def style_transfer(self, x: Any, to: Any, y: Any = None) -> np.ndarray:
        """Each image's style in another class: the mean of p(x|to,z) at z = `style(x, y)`.

        Args:
            x: [B, …], whose style is taken.
            to: [B] integers, the classes wanted.
            y: [B] integers, the classes of x; default: argmax q(y|x).

        Returns:
            NumPy array [B, …].
        """
        return self.decode(self.style(x, y), to)

    def analogies(self, x: Any, y: Any = None) -> np.ndarray:
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
        z = self.style(x, y)
        every = [self.decode(z, np.full(len(z), c)) for c in range(self.num_classes)]
        return np.stack(every, 1)

    # Inside -------------------------------------------------------------------------------------

    def _one_hot(self, y: Tensor) -> Tensor:
        return tf.one_hot(tf.cast(y, tf.int32), self.num_classes, dtype=self.compute_dtype)

    def _log_q(self, x: Tensor) -> Tensor:
        """log q(y|x), [B, C]."""
        return tf.nn.log_softmax(self.classifier(x).logits)

    def _features(self, x: Tensor) -> Tensor:
        return self.factors_see(x, tf.zeros([tf.shape(x)[0]], tf.int32), place=None)[0]

    def before_training(self, batch: Any) -> None:
        """N and N_l are counted in arrays; a stream has to have said them."""
        if batch is not None:
            self.set_counts(np.sum(batch[1] >= 0), len(batch[1]))
        elif self.num_examples is None:
            raise ValueError(
                "fit received a stream, whose numbers of examples are unknown, but (8.3) weights "
                "by them. Expected both when the model is made: "
                f"{type(self).__name__}(…, num_examples=len(labels), "
                "num_labelled=(labels >= 0).sum())."
            )

    @property
    def alpha(self) -> float:
        """The 0.1 of (8.3), a float ≥ 0. A new value counts from the next step on."""
        return float(self._alpha.numpy())

    @alpha.setter
    def alpha(self, alpha: float) -> None:
        self._alpha.assign(checks.number(alpha, "alpha", least=0))

    def set_counts(self, num_labelled: int | None, num_examples: int | None) -> None:
        """Say how large the next stream's data set is: it weighs the terms of (8.3).

        Args:
            num_labelled, num_examples: ints N_l and N; None for both: the batch is the data set.

        Raises:
            ValueError: for one without the other, or impossible counts.
        """
        if num_labelled is None or num_examples is None:
            if num_labelled is not num_examples:
                raise ValueError(
                    f"Received num_examples={num_examples}, num_labelled={num_labelled}. Expected "
                    "both or neither."
                )
            self.num_examples = self.num_labelled = None
            n = n_l = 0  # (8.3) is then that of the batch
        else:
            n = checks.count(num_examples, "num_examples")
            n_l = checks.count(num_labelled, "num_labelled", least=0)
            if n_l > n:
                raise ValueError(
                    f"Received num_examples={n}, num_labelled={n_l}. Expected num_labelled ≤ "
                    "num_examples."
                )
            self.num_examples, self.num_labelled = n, n_l
        self._counts.assign([n_l, n])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "alpha": self.alpha,
            "num_examples": self.num_examples,
            "num_labelled": self.num_labelled,
            "weight_prior": self.weight_prior,
            "sum_over_classes": self.sum_over_classes,
            "label_draws": self.label_draws,
        }


def __getattr__(name: str) -> Any:
    """M1 and StackedM2 stand in rooms of their own, and are still found here."""
    if name == "M1":
        from cvae_tf.features import M1

        return M1
    if name == "StackedM2":
        from cvae_tf.stacked import StackedM2

        return StackedM2
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
