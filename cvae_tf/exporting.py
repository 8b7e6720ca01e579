"""A trained model's `generate` for processes without this package: a SavedModel of TensorFlow's."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from cvae_tf import checks, signatures


def export_sampler(model: Any, path: Any, seed: int = 0) -> None:
    """Write what `model.generate(…, seed=seed)` does as a SavedModel.

    It has two functions, `generate` (the likelihood's mean at z ~ p(z|·)) and, where a rule says
    how the likelihood is drawn from noise, `sample` (a draw from it). Their arguments are the
    conditions, in the model's order, [B, …] (for a model without one, B, an int32 scalar), and
    `first_row`, an int64 scalar: 0 gives the numbers of `model.generate`, and B, 2B, … go on with
    other draws. They return [B, …].

    Args:
        model: a model with a prior.
        path: folder to be written.
        seed: int, of all draws.

    Raises:
        ValueError: if the model has nothing to draw z from.

    Example:
        >>> model.export_sampler("sampler")
        >>> tf.saved_model.load("sampler").generate(y, 0)  # in any process with TensorFlow
    """
    seed = checks.seed(seed)
    if signatures.factor(model, "prior") is None:
        raise ValueError(
            f"{type(model).__name__} has no prior to draw z from. Expected a model with a latent "
            "z: of a baseline, export what `predict` gives with model.export(path)."
        )
    names = model.conditions
    signature = [
        tf.TensorSpec([None], "int32", name)
        if name in model.integer_variables
        else tf.TensorSpec([None, *model.shapes[name]], model.compute_dtype, name)
        for name in names
    ] or [tf.TensorSpec([], "int32", "num_rows")]
    signature.append(tf.TensorSpec([], "int64", "first_row"))

    def endpoint(sample: bool) -> Any:
        def draws(*arguments: tf.Tensor) -> tf.Tensor:
            *given, first_row = arguments
            num_rows = tf.shape(given[0])[0] if names else given[0]
            variables = dict(zip(names, given, strict=False))
            size = None, num_rows
            return model.generated(variables, size, seed=seed, sample=sample, first_row=first_row)

        return draws

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("generate", endpoint(False), signature)
    try:
        tf.function(endpoint(True), input_signature=signature).get_concrete_function()
    except TypeError:  # no rule draws this likelihood from noise
        pass
    else:
        archive.add_endpoint("sample", endpoint(True), signature)
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("WARNING")  # TensorFlow tells where it has written files
    try:
        archive.write_out(path, verbose=False)
    finally:
        logger.setLevel(level)
