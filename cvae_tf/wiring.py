"""What networks, data and parts owe a model, read off its factors' signatures.

`checks` knows values; this file knows what a model is: which networks it needs, which shapes they
must agree on, which data it is trained on, and that estimator, penalty, prior and q go together.
"""

from __future__ import annotations

import warnings
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from cvae_tf import checks, noise, signatures
from cvae_tf.distributions import (
    Bernoulli,
    Categorical,
    Family,
    Gaussian,
    MixtureOfGaussians,
    centre,
    draw,
    is_diagonal_gaussian,
    tfd,
)
from cvae_tf.estimators import SGVBB, Estimator, ImportanceWeighted, SGVBMixture, reparameterise
from cvae_tf.penalties import MMD, FreeBits, Penalty

# Networks -----------------------------------------------------------------------------------------


def check_networks(model_class: type, nets: dict[str, Any], family: Any) -> None:
    """Check that there is one built network for each factor with parents, and none besides.

    Args:
        model_class: the class of the model under construction.
        nets: dict {"posterior_net": …, "prior_net": …, "likelihood_net": …}, None where absent.
        family: the likelihood's family.

    Raises:
        TypeError: if a network is missing, or it or the family is of the wrong kind.
        ValueError: if a network is superfluous or unbuilt, or has other inputs than parents, or
            another dtype.
    """
    name, graph = model_class.__name__, signatures.graph(model_class)
    for key, net in nets.items():
        factor = key.removesuffix("_net")
        needed = graph.get(factor, ())
        if not needed and net is not None:
            raise ValueError(
                f"Received a {key}, but the {factor} of {name} has no parents and so needs no "
                f"network. Leave {key} out."
            )
        if needed:
            _check_network(name, key, factor, needed, net)
    checks.instance(
        family, "family", Family,
        "a likelihood family, such as distributions.Bernoulli() or distributions.Gaussian()",
    )
    _warn_of_activation(nets["likelihood_net"], "likelihood_net", type(family).__name__)
    for key, net in nets.items():
        if net is not None and key != "likelihood_net":
            further = key.removesuffix("_net") not in signatures.FACTORS
            _warn_of_activation(net, key, "Categorical" if further else "Gaussian")
    dtypes = {network_dtype(net) for net in nets.values() if net is not None}
    if len(dtypes | {family.variable_dtype}) > 1:
        every = sorted(dtypes | {family.variable_dtype})
        raise ValueError(
            f"The networks and the family have the dtypes {every}. Expected one: pass the same "
            "dtype= to the networks and to the family."
        )


def network_dtype(net: keras.Model) -> str:
    """The dtype to compute in beside a network: its variables say, a loaded policy may not."""
    weights = net.weights
    return noise.working_dtype(weights[0].dtype if weights else net.variable_dtype)


def has_policy(net: keras.Model, policy: str) -> bool:
    """Whether a layer of a network has this dtype policy; a loaded network's own may not say."""
    return any(
        has_policy(layer, policy)
        if isinstance(layer, keras.Model)
        else layer.dtype_policy.name == policy
        for layer in net.layers
    )


def _check_network(name: str, key: str, factor: str, needed: tuple[str, ...], net: Any) -> None:
    parents = ", ".join(needed)
    if not isinstance(net, keras.Model):
        raise TypeError(
            f"Received {key}={net!r}. Expected a built Keras model of [{parents}], such as "
            f"networks.mlp or networks.mlps({name}, …) makes."
        )
    if not net.built or not getattr(net, "inputs", None):
        raise ValueError(
            f"{key} is not built: its input shapes are unknown. Expected a Functional model, or a "
            "Sequential one that begins with keras.Input(shape)."
        )
    if len(net.inputs) != len(needed):
        raise ValueError(
            f"{key} has {len(net.inputs)} input(s). Expected one for each parent of the {factor} "
            f"of {name}, [{parents}], in this order."
        )
    if len(net.outputs) != 1:
        raise ValueError(
            f"{key} has {len(net.outputs)} outputs. Expected one, the raw numbers of its "
            "distribution: a mean and a raw scale for each dimension go side by side, such as "
            "keras.layers.Concatenate()([mean, raw_scale])."
        )


def _warn_of_activation(net: keras.Model, key: str, family: str) -> None:
    layers = [layer for layer in net.layers if not isinstance(layer, keras.layers.Reshape)]
    last = layers[-1] if layers else net
    if isinstance(last, keras.Model):
        return _warn_of_activation(last, key, family)
    activation = getattr(last, "activation", None)
    kinds = (keras.layers.Softmax, keras.layers.ReLU, keras.layers.LeakyReLU, keras.layers.ELU)
    if isinstance(last, kinds):
        activation = type(last).__name__
    name = getattr(activation, "__name__", activation)
    if name not in (None, "linear"):
        warnings.warn(
            f"The last layer of {key}, {last.name!r}, has the activation {name}. Expected none: "
            f"{family} takes raw numbers and does the rest itself (logits for Bernoulli and "
            "Categorical, a mean and a raw scale for Gaussian). Leave the activation out.",
            stacklevel=2,
        )


def variable_shapes(model: Any) -> dict[str, tuple[int, ...]]:
    """The event shape of every variable, read off the networks, which must agree; builds families.

    Returns:
        dict such as {"x": (64,), "y": (10,), "z": (2,)}.

    Raises:
        ValueError: if two networks disagree.
    """
    found: dict[str, tuple[tuple[int, ...], str]] = {}

    def note(variable: str, shape: Any, where: str) -> None:
        shape = tuple(shape)
        before = found.setdefault(variable, (shape, where))
        if before[0] != shape:
            raise ValueError(
                f"The networks disagree about {variable}: its shape is {before[0]} for "
                f"{before[1]}, but {shape} for {where}. Expected one. "
                + (
                    "A network that makes q(z|·) or p(z|·) has 2 outputs per latent dimension, a "
                    "mean and a raw scale."
                    if variable == "z"
                    else "Make the networks with one size for it."
                )
            )

    for factor, parents in signatures.graph(model).items():
        key = f"{factor}_net"
        net = model.nets.get(key)
        if net is None:
            continue
        for variable, spec in zip(parents, net.inputs, strict=True):
            note(variable, spec.shape[1:], f"{key}'s input")
        if factor == "likelihood":
            note(model.observed, model.family.event_shape, f"{key}'s output")
        elif factor in model.further_factors:
            note(model.further_factors[factor], net.output_shape[1:], f"{key}'s output")
        else:
            made_by = model.prior_family if factor == "prior" else model.latent
            checks.instance(made_by, "prior_family", Family, "a family of distributions over z")
            if len(net.output_shape) != 2:
                raise ValueError(
                    f"{key} has output shape {net.output_shape}. Expected (None, 2 × latent "
                    "dimensions): a mean and a raw scale for each."
                )
            if not made_by.built:
                made_by.build(net.output_shape)
            note("z", (made_by.event_size(net.output_shape[1]),), f"{key}'s output")
    return {variable: shape for variable, (shape, _) in found.items()}


# Parts --------------------------------------------------------------------------------------------


def check_factors(model: Any) -> None:
    """Try a model on one row of zeros: q and prior can be drawn, estimator and penalty serve them.

    Raises:
        TypeError: if a part is of the wrong kind, or no rule draws the prior or q from noise.
        ValueError: if the prior has no closed-form KL where one is needed.
    """
    if not hasattr(model, "estimator"):
        return
    name = type(model).__name__
    estimator, penalty, prior_family = model.estimator, model.penalty, model.prior_family
    checks.instance(estimator, "estimator", Estimator, "an estimator, such as estimators.SGVBB()")
    if penalty is not None:
        checks.instance(penalty, "penalty", Penalty, "a penalty, such as penalties.Beta(4.0)")
        if isinstance(estimator, ImportanceWeighted):
            raise ValueError(
                "Received a penalty and the ImportanceWeighted estimator. Expected SGVBA or SGVBB "
                "with it: a penalty weights the terms of the plain bound."
            )
    richer = not isinstance(prior_family, Gaussian)
    if richer and (model.prior_net is None or signatures.factor(model, "posterior") is None):
        raise ValueError(
            f"Received prior_family={prior_family!r}, but {name} has no prior network beside its "
            "posterior. Expected none: leave prior_family out, or use CVAE1, CVAE3 or CMMA."
        )
    if isinstance(prior_family, Bernoulli | Categorical):
        raise ValueError(
            f"Received prior_family={prior_family!r}, a family of counts, beside a Gaussian q. "
            "Expected one of densities over z, such as MixtureOfGaussians(3)."
        )
    data = [
        tf.zeros([1, *(() if v in model.integer_variables else model.shapes[v])], dtype)
        for v in model.data_names
        for dtype in ["int32" if v in model.integer_variables else model.compute_dtype]
    ]
    q, prior, log_likelihood = model.factors(*data)
    d = model.latent_dim
    epsilon = tf.zeros([max(1, estimator.num_samples), 1, d], model.compute_dtype)
    reparameterise(q, epsilon)
    draw(prior, 1, 1, d, key=0, dtype=model.compute_dtype)
    if model.family.allows_missing:
        _check_filled(model, data)
    closed_form = isinstance(estimator, SGVBB) or isinstance(penalty, FreeBits)
    if isinstance(estimator, SGVBMixture) and not isinstance(prior, tfd.MixtureSameFamily):
        raise ValueError(
            f"Received SGVBMixture beside a prior that is a {type(prior).__name__}. Expected a "
            f"mixture prior (prior_family={MixtureOfGaussians.__name__}(…)): use SGVBB or SGVBA."
        )
    if closed_form:
        closed_form_kl(
            q, prior,
            "estimators.SGVBA(), which needs none (or, for a mixture, SGVBMixture(), the bound "
            "(10.1)), and no FreeBits",
        )  # fmt: skip
    if isinstance(penalty, FreeBits | MMD) and not is_diagonal_gaussian(prior):
        raise ValueError(
            f"Received penalty={type(penalty).__name__} beside a prior that is a "
            f"{type(prior).__name__}, of no single mean and scale. Expected a diagonal Gaussian "
            "prior, or another penalty."
        )


def closed_form_kl(q: Any, prior: Any, expected: str) -> tf.Tensor:
    """KL(q ‖ prior). Raises: ValueError: if it has no closed form; what was expected is said."""
    try:
        return tfd.kl_divergence(q, prior)
    except NotImplementedError:
        raise ValueError(
            f"The prior, a {type(prior).__name__}, has no closed-form KL from q, a "
            f"{type(q).__name__}. Expected {expected}."
        ) from None


def _check_filled(model: Any, data: list[tf.Tensor]) -> None:
    """q of a row of which nothing is seen is finite."""
    variables = dict(zip(model.data_names, data, strict=True))
    variables[model.observed] += np.nan
    q, _, _ = model.factors(*variables.values())
    if not np.isfinite(centre(q)).all():
        raise ValueError(
            f"q is NaN where {model.observed} is missing, as its network is not told what is. "
            "Expected one that begins with networks.Filled(): networks.mlps(…, family=…) with "
            "this family puts it there."
        )


# Data ---------------------------------------------------------------------------------------------


def by_name(model: Any, names: tuple[str, ...], x: Any, y: Any, where: str) -> tuple[Any, ...]:
    """The variables, in order, however they came: x and y, a tuple or list of them, or a dict.

    Args:
        model: a WiredModel.
        names: the variables wanted.
        x, y: as Keras's fit takes them.
        where: str for messages.

    Raises:
        ValueError: if one is missing or there is one too many.
    """
    if isinstance(x, dict):
        given = dict(x) if y is None else {**x, names[-1]: y}
        if set(given) != set(names):
            raise ValueError(
                f"Received the variables {sorted(map(str, given))} (in {where}). "
                f"{type(model).__name__} expects {_wanted(names)}. Expected these keys, no others."
            )
        return tuple(given[name] for name in names)
    several = isinstance(x, (tuple, list)) and _are_variables(model, names, x, y)
    values = (*x,) if several else (() if x is None else (x,))
    values = values if y is None else (*values, y)
    if len(values) < len(names):
        missing = names[len(values)]
        raise ValueError(
            f"{missing} is missing (in {where}). {type(model).__name__} is trained on "
            f"{_wanted(model.data_names)}. Expected {_wanted(names)} here: call fit"
            f"{_wanted(names)}, or let the dataset give such tuples."
        )
    if len(values) > len(names):
        models = "" if model.conditions else " models p(x) and has no y: it"
        raise ValueError(
            f"Received {len(values)} variables (in {where}). {type(model).__name__}{models} "
            f"expects {_wanted(names)}. Leave the others out, or use a conditional model, such "
            "as CVAE1."
        )
    return values


def _wanted(names: tuple[str, ...]) -> str:
    return f"({', '.join(names)})"


def _are_variables(model: Any, names: tuple[str, ...], x: Any, y: Any) -> bool:
    """Whether a list holds variables [N, …] and not rows."""
    shapes: list[Any] = [getattr(value, "shape", None) for value in x]
    if any(shape is None for shape in shapes) or not shapes:
        return False
    ranks = [len(model.data_shapes[name]) + 1 for name in names]
    ranks = [1 if n in model.integer_variables else r for n, r in zip(names, ranks, strict=True)]
    own = [len(shape) for shape in shapes]
    wanted = ranks if y is None else ranks[:-1]
    return own == wanted or (len(own) > 1 and len({tuple(s) for s in shapes}) > 1)


def packed(
    names: tuple[str, ...], arrays: tuple[Any, ...], sample_weight: Any, where: str
) -> tuple[Any, ...]:
    """Checked arrays as a batch: (x,), (x, y), (x, y, weights); of three variables, ({…},)."""
    if sample_weight is not None:
        label = f"sample_weight (in {where})"
        sample_weight = checks.array(sample_weight, label, ndim=1)
        if np.min(sample_weight) < 0:
            raise ValueError(
                f"{label} has negative values, down to {np.min(sample_weight):g}. Expected weights "
                "≥ 0: with a negative one the objective is no bound."
            )
        checks.same_length({names[0]: arrays[0], "sample_weight": sample_weight}, where)
    if len(names) > 2:
        first: tuple[Any, ...] = (dict(zip(names, arrays, strict=True)),)
    else:
        first = arrays
    if sample_weight is None:
        return first
    return (*first, *(None,) * (2 - len(first)), sample_weight)


def variables(
    model: Any, names: tuple[str, ...], data: Any, where: str, least: int = -1
) -> tuple[Any, ...]:
    """Each variable, checked, as an array; tensors inside a `tf.function` pass unseen.

    Raises:
        ValueError, TypeError: with what came, what was expected and how to fix it.
    """
    if len(data) == 1 and isinstance(data[0], dict):
        data = by_name(model, names, data[0], None, where)
    if len(data) != len(names):
        raise ValueError(
            f"Received {len(data)} array(s) (in {where}). {type(model).__name__} expects "
            f"{_wanted(names)}."
        )
    arrays = tuple(
        values if is_symbolic(values) else model.check_variable(name, values, where, least)
        for name, values in zip(names, data, strict=True)
    )
    if not any(map(is_symbolic, arrays)):
        checks.same_length(dict(zip(names, arrays, strict=True)), where)
    return arrays


def is_symbolic(values: Any) -> bool:
    """Whether these are a tensor without values yet, inside a `tf.function`."""
    return isinstance(values, tf.Tensor) and not hasattr(values, "numpy")


def variable(model: Any, name: str, values: Any, where: str, least: int = -1) -> np.ndarray:
    """One variable's values: shape, numbers, and what the likelihood can explain.

    Args:
        model: a WiredModel.
        name: such as "x" or "y".
        values: array-like [N, …].
        where: str for the message, such as "fit" or "validation_data".
        least: int, the least label that is allowed; −1 allows "unknown".

    Returns:
        NumPy array.

    Raises:
        ValueError, TypeError: with what came, what was expected and how to fix it.
    """
    label, expected = f"{name} (in {where})", model.shapes[name]
    array = checks.dense(values, label)
    if name in model.integer_variables:
        return labels(array, expected[-1], label, least)
    if array.ndim == 0 or len(array) == 0:
        raise ValueError(
            f"{label} is empty: its shape is {array.shape}. Expected {checks.rows_of(expected)} "
            "with N ≥ 1: check the selection that made it."
        )
    if array.shape[1:] != expected:
        raise ValueError(
            f"{label} has shape {array.shape}. {type(model).__name__} expects "
            f"{checks.rows_of(expected)}." + _shape_advice(name, array, expected)
        )
    may_miss = name == model.observed and model.family.allows_missing
    array = checks.array(array, label, dtype=model.compute_dtype, finite=not may_miss)
    if name == model.observed:
        model.family.check(array, label)
    return array


def _shape_advice(name: str, array: np.ndarray, expected: tuple[int, ...]) -> str:
    if array.shape[1:] in ((), (1,)) and array.dtype.kind in "iu":
        return (
            f" These look like integer labels: make them one-hot with "
            f"keras.utils.to_categorical({name}, {expected[-1]})."
        )
    if int(np.prod(array.shape[1:])) == int(np.prod(expected)):
        wanted = ", ".join(map(str, (-1, *expected)))
        return f" The number of values fits: use {name}.reshape(({wanted}))."
    return " Check the data, or make the networks for this shape."


def labels(array: np.ndarray, num_classes: int, label: str, least: int = -1) -> np.ndarray:
    """Integer labels [N]: −1 for unlabelled where `least` allows it, or 0 to C − 1.

    Raises:
        ValueError: with what came, what was expected and how to fix it.
    """
    expected = f"integers [N] from −1 (unlabelled) to {num_classes - 1}"
    if array.ndim != 1 or len(array) == 0:
        raise ValueError(
            f"{label} has shape {array.shape}. Expected labels, {expected}."
            + (" From one-hot rows: y.argmax(1)." if array.shape[1:] == (num_classes,) else "")
        )
    if array.dtype.kind not in "iu":
        raise ValueError(
            f"{label} has dtype {array.dtype}. Expected labels, {expected}: y.astype(int), and −1 "
            "where a label is missing."
        )
    low, high = int(np.min(array)), int(np.max(array))
    if low < -1 or high >= num_classes:
        raise ValueError(f"{label} has labels from {low} to {high}. Expected {expected}.")
    if low < least:
        raise ValueError(
            f"{label} has the label −1. Expected classes, 0 to {num_classes - 1}: say which class "
            "each one is to be of."
        )
    return array.astype("int32")


def latents(model: Any, z: Any, beside: dict[str, Any]) -> tf.Tensor:
    """z as a tensor [..., N, d], N the rows of each condition beside it.

    Raises: ValueError: for another shape.
    """
    array = checks.array(z, "z (in decode)", dtype=model.compute_dtype)
    if array.ndim < 2 or array.shape[-1] != model.latent_dim:
        raise ValueError(f"Received z of shape {array.shape}. Expected (…, N, {model.latent_dim}).")
    for name, values in beside.items():
        if len(values) != array.shape[-2]:
            raise ValueError(
                f"Received z of shape {array.shape} beside {len(values)} rows of {name}. Expected "
                "one row for each z, on its last axis but one."
            )
    return model.tensor(array)


def noise_for(model: Any, values: Any, rows: Any) -> tf.Tensor:
    """ε for a bound: [L, B, d], or [L, 1, d] for all examples.

    Raises: ValueError: for another shape.
    """
    if is_symbolic(values):
        return model.tensor(values)
    array = checks.array(values, "noise", dtype=model.compute_dtype, empty=model.latent_dim == 0)
    allowed = {1} if is_symbolic(rows) else {1, int(rows.shape[0])}
    known = is_symbolic(rows) or (array.ndim == 3 and array.shape[1] in allowed)
    if array.ndim != 3 or array.shape[2] != model.latent_dim or not known:
        raise ValueError(
            f"Received noise of shape {array.shape}. Expected (L, B, d) or (L, 1, d) with B = "
            f"{'the rows' if is_symbolic(rows) else int(rows.shape[0])}, d = {model.latent_dim}, "
            "such as model.evaluation_noise(B) gives."
        )
    return model.tensor(array)
