"""Factories: one input per parent, sample axes folded and unfolded, the course's image sizes."""

import numpy as np
import pytest
import tensorflow as tf
from requirements_of_a_model import GRAPH

from cvae_tf import CVAE1, CVAE3, GSNN, VAE, networks
from cvae_tf.distributions import Bernoulli, Gaussian
from cvae_tf.signatures import parents


@pytest.mark.parametrize("model_class", GRAPH)
def test_inputs_read_like_the_conditioning_bar(model_class):
    sizes = {name: 5 + i for i, name in enumerate(sorted({*parents(model_class.factors), "z"}))}
    nets = networks.mlps(model_class, hidden=(7,), family=Gaussian("network"), **sizes)
    for name, net in nets.items():
        wanted = parents(getattr(model_class, name.removesuffix("_net")))
        assert tuple(tensor.name for tensor in net.inputs) == wanted
        assert [tensor.shape[1] for tensor in net.inputs] == [sizes[parent] for parent in wanted]
        assert (
            net.output_shape[1]
            == 2 * sizes[model_class.observed if name == "likelihood_net" else "z"]
        )


SHAPES = [(8, 8, 1), (28, 28, 1), (60, 64, 1), (32, 32, 3), (45, 38, 3), (19, 16, 1), (5, 7, 1)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("model_class", [VAE, CVAE1, CVAE3, GSNN])
def test_convolutional_networks_fit_the_image(model_class, shape):
    """For an image given by a label, and for an image given by an image."""
    sizes = {"x": shape, "z": 3}
    if "y" in parents(model_class.factors):
        sizes["y"] = 10 if model_class is CVAE1 else shape
    family = Bernoulli()
    nets = networks.convs(model_class, filters=4, hidden=8, family=family, **sizes)
    model = model_class(**nets, family=family)
    rng = np.random.default_rng(0)
    data = [
        rng.uniform(size=(2, *np.atleast_1d(sizes[name]))).astype("float32")
        for name in model.data_names
    ]
    assert networks.convolves(model)
    bound = model.bound(*data)
    assert bound.value.shape == (2,) and np.isfinite(bound.value).all()
    assert model.shapes[model.observed] == shape


def test_a_size_that_does_not_halve_costs_about_what_its_neighbour_does():
    """218 × 178, as CelebA's photographs are, beside 224 × 176."""
    family = Bernoulli()
    odd, even = (
        networks.convs(CVAE1, x=(*size, 3), y=4, z=8, filters=8, hidden=16, family=family)
        for size in ((218, 178), (224, 176))
    )
    for name in ("posterior_net", "likelihood_net"):
        ratio = odd[name].count_params() / even[name].count_params()
        assert 0.5 < ratio < 1.2, (name, ratio)


@pytest.mark.parametrize(
    "shape, small", [((28, 28, 1), (7, 7)), ((60, 64, 1), (15, 16)), ((8, 8, 1), (4, 4))]
)
def test_the_course_s_images_are_halved_as_ever(shape, small):
    net = networks.conv_encoder([shape], 4, 8, 2)
    assert net.layers[-4].output.shape[1:3] == small


def test_an_image_of_another_shape_is_not_joined_on_the_way_up():
    """A skip connection needs both sides: (8, 4) beside (8, 8) has one of them alike."""
    net = networks.conv_decoder([(8, 4, 1), 3], 2, 5, (8, 8, 1))
    assert net.output_shape == (None, 8, 8, 1)


def test_xla_is_not_used_for_convolutions_on_a_cpu():
    """XLA's are many times slower than TensorFlow's own; dense networks do profit."""
    family = Bernoulli()
    nets = networks.convs(VAE, x=(8, 8, 1), z=2, filters=4, hidden=8, family=family)
    model = VAE(**nets, family=family)
    model.compile()
    has_gpu = bool(tf.config.list_physical_devices("GPU"))
    assert model.jit_compile == has_gpu
    x = np.random.default_rng(0).uniform(size=(20, 8, 8, 1)).astype("float32")
    history = model.fit(x, batch_size=8, epochs=2, verbose=0).history
    assert history["loss"][1] < history["loss"][0]
    assert model.log_likelihood(x, num_samples=20).shape == (20,)
    dense_family = Bernoulli()
    dense = VAE(**networks.mlps(VAE, x=6, z=2, hidden=(), family=dense_family), family=dense_family)
    dense.compile()
    assert not networks.convolves(dense) and dense.jit_compile
