r"""Changing what is known of a given picture: the same picture with other attributes.

Two ways, both of one sentence: `transport` (6.3) keeps where z lies relative to its prior,
`reencode` (6.4) asks q what z would be had the picture the new attributes. Both decode with the new
attributes wherever the likelihood sees them.

| model | transport (6.3) | re-encode (6.4) |
|---|---|---|
| CMMA | z moves with the prior, which is all that y does | z' still explains the old x, (6.6) |
| CVAE-1 | z moves with the prior, and the likelihood sees y' | the same |
| CVAE-2 | the prior has no parents: z' = z, and the likelihood sees y' | the same |
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cvae_tf import checks, signatures, wiring
from cvae_tf.base import LatentVariableModel
from cvae_tf.distributions import Distribution, centre
from cvae_tf.evaluation import diagonal_gaussian


def transport(model: LatentVariableModel, x: Any, y: Any, y_new: Any) -> np.ndarray:
    r"""Edit by transport of z: z' = m(y') + s(y') ⊙ (z − m(y)) / s(y), (6.3).

    z is the mean of q(z|x,y); m and s are the prior's means and scales. With y' = y it is
    `model.reconstruct(x, y)`, to the last bit.

    Args:
        model: CMMA, CVAE1, CVAE2, or another model of log p(x|y) whose prior is a diagonal
            Gaussian.
        x: [B, …].
        y: what is known of x, [B, …].
        y_new: what is wanted, y', of y's shape.

    Returns:
        NumPy array [B, …], the mean of p(x|z', ·) with y' in place of y.

    Raises:
        ValueError: if the arrays do not fit the model or each other, or the model has no y to edit.

    Example:
        >>> transport(model, x, y, y_new).shape == x.shape
        True

    Source: after Pandey & Dukkipati (2016), section on modifying attributes.
    """
    x, y, y_new = _checked(model, x, y, y_new, "transport")
    before, after = (_prior(model, values) for values in (y, y_new))
    z = centre(model.factors(*model.given(x, y, where="transport"))[0])
    ratio = after.stddev() / before.stddev()
    z_new = ratio * z + (after.mean() - ratio * before.mean())  # exactly z where y' = y
    return model.decode(z_new, y_new)


def reencode(
    model: LatentVariableModel, x: Any, y: Any, y_new: Any, *, sample: bool = False, seed: int = 0,
) -> np.ndarray:
    r"""Edit by encoding x with the new attributes: z' ~ q(z|x,y'), then decode, (6.4).

    z' has to explain the old x too: where y acts through z alone, even the exact posterior edits
    only a part of the way, (6.6). With y' = y it is `model.reconstruct(x, y)`.

    Args:
        model, x, y, y_new: as in `transport`; y is only checked.
        sample: False decodes the mean of q(z|x,y'), True a draw from it.
        seed: int, for the draw.

    Returns:
        NumPy array [B, …], the mean of p(x|z', ·) with y' in place of y.

    Raises:
        ValueError: as in `transport`.

    Example:
        >>> reencode(model, x, y, y_new).shape == x.shape
        True

    Source: after Pandey & Dukkipati (2016), section on modifying attributes.
    """
    x, _, y_new = _checked(model, x, y, y_new, "reencode")
    return model.decode(model.encode(x, y_new, sample=sample, seed=seed), y_new)


def _prior(model: LatentVariableModel, y: np.ndarray) -> Distribution:
    prior = signatures.evaluate(model, "prior", model.condition(y, "transport"))
    return diagonal_gaussian(prior, f"prior of {type(model).__name__}", "transport")


def _checked(model: Any, x: Any, y: Any, y_new: Any, where: str) -> tuple[np.ndarray, ...]:
    checks.instance(model, "model", LatentVariableModel, "a model, such as CMMA, CVAE1 or CVAE2")
    if tuple(model.data_names) != ("x", "y") or model.observed != "x":
        given = " and ".join(model.conditions) or "nothing"
        raise ValueError(
            f"{where} received a {type(model).__name__}, which models {model.observed} given "
            f"{given}. Expected a model of p(x|y), such as CMMA, CVAE1 or CVAE2."
        )
    x, y = wiring.variables(model, model.data_names, (x, y), where)
    y_new = model.check_variable("y", y_new, f"{where}: y_new")
    checks.same_length({"x": x, "y_new": y_new}, where)
    return x, y, y_new
