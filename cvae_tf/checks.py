"""Checks of what comes in, before it is used: what came, what was expected, how to fix it."""

import inspect

import keras
import numpy as np
import tensorflow as tf

from cvae_tf.distributions import Family, Gaussian, check_finite
from cvae_tf.estimators import SGVBB, Estimator, ImportanceWeighted
from cvae_tf.networks import FACTORS
from cvae_tf.penalties import MMD, FreeBits, Penalty


def parents(method):
    """Names of a factor method's arguments: its parents in the graphical model."""
    return tuple(name for name in inspect.signature(method).parameters if name != "self")


def check_networks(model_class, nets, family):
    """Check that there is one built network for each factor with parents, and none besides.

    Args:
        model_class: the class of the model under construction.
        nets: dict {"posterior_net": …, "prior_net": …, "likelihood_net": …}, None where absent.
        family: the likelihood's family.

    Raises:
        TypeError: if a network or the family is of the wrong kind.
        ValueError: if a network is missing, superfluous or unbuilt, or has other inputs than
            parents.
    """
    name = model_class.__name__
    for factor in FACTORS:
        net, method = nets[f"{factor}_net"], getattr(model_class, factor, None)
        needed = parents(method) if method else ()
        if not needed and net is not None:
            raise ValueError(
                f"Received a {factor}_net, but the {factor} of {name} has no parents and so needs "
                f"no network. Leave {factor}_net out."
            )
        if not needed:
            continue
        if not isinstance(net, keras.Model):
            raise TypeError(
                f"Received {factor}_net={net!r}. {name} expects a built Keras model of "
                f"[{', '.join(needed)}], such as networks.mlp or networks.mlps({name}, …) makes."
            )
        if not net.built or not getattr(net, "inputs", None):
            raise ValueError(
                f"{factor}_net is not built: its input shapes are unknown. Make it a Functional "
                "model, or begin the Sequential one with keras.Input(shape)."
            )
        if len(net.inputs) != len(needed):
            raise ValueError(
                f"{factor}_net has {len(net.inputs)} input(s). The {factor} of {name} has the "
                f"parents [{', '.join(needed)}]: give the network one input for each, in this "
                "order."
            )
    if not isinstance(family, Family):
        raise TypeError(
            f"Received family={family!r}. Expected a likelihood family, such as "
            "distributions.Bernoulli() or distributions.Gaussian()."
        )
    dtypes = {net.variable_dtype for net in nets.values() if net is not None} | {
        family.variable_dtype
    }
    if len(dtypes) > 1:
        raise ValueError(
            f"The networks and the family have the dtypes {sorted(dtypes)}. Expected one: pass the "
            "same dtype= to the networks and to the family."
        )


def variable_shapes(model, nets, family, prior_family):
    """The event shape of every variable, read off the networks, which must agree.

    Returns:
        dict such as {"x": (64,), "y": (10,), "z": (2,)}.

    Raises:
        ValueError: if two networks disagree.
    """
    found = {}

    def note(variable, shape, where):
        shape = tuple(shape)
        before = found.setdefault(variable, (shape, where))
        if before[0] != shape:
            raise ValueError(
                f"The networks disagree about {variable}: its shape is {before[0]} for "
                f"{before[1]}, but {shape} for {where}. "
                + (
                    "A network that makes q(z|·) or p(z|·) has 2 outputs per latent dimension, a "
                    "mean and a raw scale."
                    if variable == "z"
                    else "Make the networks with one size for it."
                )
            )

    for factor in FACTORS:
        net = nets[f"{factor}_net"]
        if net is None:
            continue
        for variable, spec in zip(parents(getattr(model, factor)), net.inputs, strict=True):
            note(variable, spec.shape[1:], f"{factor}_net's input")
        if factor == "likelihood":
            note(model.observed, family.event_shape, f"{factor}_net's output")
        else:
            made_by = prior_family if factor == "prior" else model.latent
            if len(net.output_shape) != 2:
                raise ValueError(
                    f"{factor}_net has output shape {net.output_shape}. Expected (None, 2 × latent "
                    "dimensions): a mean and a raw scale for each."
                )
            note("z", (made_by.event_size(net.output_shape[1]),), f"{factor}_net's output")
    return {variable: shape for variable, (shape, _) in found.items()}


def check_compatible(model):
    """Check that the estimator and the penalty can work with the model's prior.

    Raises:
        TypeError: if a part is of the wrong kind.
        ValueError: if the prior has no closed-form KL where one is needed.
    """
    if not isinstance(model.estimator, Estimator):
        raise TypeError(
            f"Received estimator={model.estimator!r}. Expected an estimator, such as "
            f"estimators.SGVBB()."
        )
    if model.penalty is not None and not isinstance(model.penalty, Penalty):
        raise TypeError(
            f"Received penalty={model.penalty!r}. Expected a penalty, such as penalties.Beta(4.0)."
        )
    if isinstance(model.penalty, Penalty) and isinstance(model.estimator, ImportanceWeighted):
        raise ValueError(
            "Received a penalty and the ImportanceWeighted estimator. A penalty weights the terms "
            "of the plain bound: use SGVBA or SGVBB with it."
        )
    if isinstance(model.prior_family, Gaussian):
        return
    if model.prior_net is None or getattr(model, "posterior", None) is None:
        raise ValueError(
            f"Received prior_family={model.prior_family!r}, but {type(model).__name__} has no "
            "prior network beside its posterior. Leave prior_family out, or use CVAE1, CVAE3 or "
            "CMMA."
        )
    if isinstance(model.estimator, SGVBB) or isinstance(model.penalty, FreeBits | MMD):
        raise ValueError(
            "A mixture prior has no closed-form KL and no single mean. Use estimators.SGVBA(), "
            "which needs none, or estimators.SGVBMixture(), the bound (10.1), and no FreeBits "
            "or MMD."
        )


def check_values(model, name, values, where):
    """Check one variable's values [N, …]: shape, finiteness, and what the likelihood can explain.

    Args:
        model: a LatentVariableModel.
        name: "x" or "y".
        values: NumPy array or tensor.
        where: str for the message, such as "fit" or "validation_data".

    Raises:
        ValueError: with what came, what was expected and how to fix it.
    """
    label, shape = f"{name} (in {where})", tuple(values.shape)
    expected = model.shapes[name]
    if name in model.integer_variables:
        return check_labels(values, expected[-1], label)
    if not shape or shape[0] == 0:
        raise ValueError(
            f"{label} is empty: its shape is {shape}. Expected (N, "
            f"{', '.join(map(str, expected))}) with N ≥ 1: check the selection that made it."
        )
    if shape[1:] != expected:
        raise ValueError(
            f"{label} has shape {shape}. {type(model).__name__} expects "
            f"(N, {', '.join(map(str, expected))})."
            + _shape_advice(name, shape, values.dtype, expected)
        )
    if not (tf.as_dtype(values.dtype).is_floating or tf.as_dtype(values.dtype).is_integer):
        if tf.as_dtype(values.dtype) != tf.bool:
            raise ValueError(f"{label} has dtype {values.dtype}. Expected numbers.")
    if name == model.observed:
        model.family.check(values, label)
    else:
        check_finite(values, label)


def check_labels(values, num_classes, label):
    """Check integer labels [N]: −1 for unlabelled, or 0 to C − 1.

    Args:
        values: NumPy array or tensor.
        num_classes: int C.
        label: str for the message.

    Raises:
        ValueError: with what came, what was expected and how to fix it.
    """
    shape, expected = tuple(values.shape), f"integers [N] from −1 (unlabelled) to {num_classes - 1}"
    if len(shape) != 1 or shape[0] == 0:
        raise ValueError(
            f"{label} has shape {shape}. Expected labels, {expected}."
            + (" From one-hot rows: y.argmax(1)." if shape[1:] == (num_classes,) else "")
        )
    if not tf.as_dtype(values.dtype).is_integer:
        raise ValueError(
            f"{label} has dtype {tf.as_dtype(values.dtype).name}. Expected labels, {expected}: "
            "y.astype(int), and −1 where a label is missing."
        )
    low, high = int(np.min(values)), int(np.max(values))
    if low < -1 or high >= num_classes:
        raise ValueError(f"{label} has labels from {low} to {high}. Expected {expected}.")


def _shape_advice(name, shape, dtype, expected):
    if shape[1:] in ((), (1,)) and tf.as_dtype(dtype).is_integer:
        return (
            f" These look like integer labels: make them one-hot with "
            f"keras.utils.to_categorical({name}, {expected[-1]})."
        )
    if int(np.prod(shape[1:])) == int(np.prod(expected)):
        wanted = ", ".join(map(str, (-1, *expected)))
        return f" The number of values fits: use {name}.reshape(({wanted}))."
    return " Check the data, or make the networks for this shape."


def check_data(model, x, y, sample_weight, where):
    """Check one data set, or one batch of it, as a whole.

    Args:
        model: a LatentVariableModel.
        x, y: arrays or tensors [N, …]; y is None for a model without one.
        sample_weight: array [N] or None.
        where: str for the message.

    Raises:
        ValueError: with what came, what was expected and how to fix it.
    """
    names = model.data_names
    given = {"x": x, "y": y}
    for name, values in given.items():
        if name in names and values is None:
            raise ValueError(
                f"{name} is missing (in {where}). {type(model).__name__} is trained on "
                f"({', '.join(names)}): call fit({', '.join(names)}), or let the dataset give "
                f"such tuples."
            )
        if name not in names and values is not None:
            raise ValueError(
                f"Received {name} (in {where}), but {type(model).__name__} models p(x) and has no "
                f"{name}. Leave it out, or use a conditional model such as CVAE1."
            )
    for name in names:
        check_values(model, name, given[name], where)
    lengths = {name: int(given[name].shape[0]) for name in names}
    if sample_weight is not None:
        if len(sample_weight.shape) != 1:
            raise ValueError(
                f"sample_weight (in {where}) has shape {tuple(sample_weight.shape)}. Expected (N,)."
            )
        lengths["sample_weight"] = int(sample_weight.shape[0])
        check_finite(sample_weight, f"sample_weight (in {where})")
    if len(set(lengths.values())) > 1:
        raise ValueError(
            f"The arrays (in {where}) have different numbers of examples: {lengths}. Expected one "
            "number: pair the arrays before fitting."
        )
