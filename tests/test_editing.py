"""Editing: the equations by hand, no change for no change, and what is refused."""

import numpy as np
import pytest
from requirements_of_a_model import linear_pair, small_data, small_model

from cvae_tf import CMMA, CVAE1, CVAE2, CVAE3, VAE, editing

EDITABLE = (CVAE1, CVAE2, CMMA)


def _affine(net):
    kernel, bias = net.layers[-1].get_weights()
    return lambda *parents: np.concatenate(parents, -1) @ kernel + bias


@pytest.mark.parametrize("model_class", EDITABLE)
def test_edits_of_a_linear_model_by_hand(model_class):
    """(6.3), (6.4) in float64 against matrix products; the prior's scale depends on y too."""
    model, _, (x, y), _ = linear_pair(model_class)
    if model.prior_net is not None:
        kernel, bias = model.prior_net.layers[-1].get_weights()
        kernel[:, 8:] = np.random.default_rng(3).normal(size=kernel[:, 8:].shape)
        model.prior_net.layers[-1].set_weights([kernel, bias])
    y_new = np.random.default_rng(4).normal(size=y.shape)

    def moments(y):
        if model.prior_net is None:
            return 0.0, 1.0
        mean, raw = np.split(_affine(model.prior_net)(y), 2, axis=-1)
        return mean, 1e-4 + np.log1p(np.exp(raw))

    def decode(z):
        parents = (z,) if model_class is CMMA else (y_new, z)
        return _affine(model.likelihood_net)(*parents)

    (m, s), (m_new, s_new) = moments(y), moments(y_new)
    z = _affine(model.posterior_net)(x, y)[:, :8]
    transported = decode(m_new + s_new * (z - m) / s)
    np.testing.assert_allclose(editing.transport(model, x, y, y_new), transported, rtol=1e-9)
    reencoded = decode(_affine(model.posterior_net)(x, y_new)[:, :8])
    np.testing.assert_allclose(editing.reencode(model, x, y, y_new), reencoded, rtol=1e-9)
    assert np.abs(transported - model.reconstruct(x, y)).max() > 0.1
    assert np.abs(transported - reencoded).max() > 0.1


@pytest.mark.parametrize("model_class", EDITABLE)
def test_no_change_is_the_reconstruction_to_the_last_bit(model_class):
    model = small_model(model_class)
    x, y = small_data(model_class)
    reconstruction = model.reconstruct(x, y)
    np.testing.assert_array_equal(editing.transport(model, x, y, y), reconstruction)
    np.testing.assert_array_equal(editing.reencode(model, x, y, y), reconstruction)


def test_a_drawn_edit_is_a_function_of_its_seed():
    model = small_model(CMMA)
    x, y = small_data(CMMA)
    one, again, other = (
        editing.reencode(model, x, y, y[::-1], sample=True, seed=seed) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 1e-3


@pytest.mark.parametrize("edit", [editing.transport, editing.reencode])
def test_editing_refuses(edit):
    model = small_model(CMMA)
    x, y = small_data(CMMA)
    with pytest.raises(ValueError, match=r"one-hot|\(N, 4\)"):
        edit(model, x, y, y.argmax(1))
    with pytest.raises(ValueError, match="'x': 50, 'y_new': 3"):
        edit(model, x, y, y[:3])
    with pytest.raises(ValueError, match="y_new"):
        edit(model, x, y, np.full_like(y, np.nan))
    for other in (VAE, CVAE3):
        with pytest.raises(ValueError, match=f"{other.__name__}.*Expected a model of"):
            edit(small_model(other), x, y, y)
