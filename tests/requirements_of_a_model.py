"""What every model must satisfy, as functions that raise AssertionError.

The tests call them on the library's models; the mutants' tests call them on broken ones and expect
the error. So a check here is known to be able to fail.
"""

import json
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from cvae_tf import CMMA, CVAE1, CVAE2, CVAE3, GSNN, M2, VAE, StackedM2, networks, noise
from cvae_tf.distributions import Bernoulli, Categorical, Gaussian
from cvae_tf.oracle import LinearGaussian
from cvae_tf.signatures import parents

MODELS = (VAE, CVAE1, CVAE2, CVAE3, CMMA)

# Which inputs each term of the bound feels at fixed z, copied from the table of section 7.
GRAPH = {
    VAE: {"posterior": "x", "prior": "", "likelihood": "x"},
    CVAE1: {"posterior": "xy", "prior": "y", "likelihood": "xy"},
    CVAE2: {"posterior": "xy", "prior": "", "likelihood": "xy"},
    CVAE3: {"posterior": "xy", "prior": "x", "likelihood": "xy"},
    CMMA: {"posterior": "xy", "prior": "y", "likelihood": "x"},
    GSNN: {"posterior": "x", "prior": "x", "likelihood": "xy"},
}


def sizes(model_class, x=6, y=4, z=2):
    known = {"x": x, "y": y, "z": z}
    return {name: known[name] for name in (*parents(model_class.factors), "z")}


def small_model(
    model_class,
    *,
    hidden=(16,),
    family=None,
    activation="tanh",
    dtype=None,
    seed=0,
    x=6,
    y=4,
    z=2,
    **options,
):
    """A small model with random weights, reproducible."""
    keras.utils.set_random_seed(seed)
    if family is None:
        family = Categorical() if model_class.observed == "y" else Bernoulli()
    nets = networks.mlps(
        model_class,
        hidden=hidden,
        family=family,
        activation=activation,
        dtype=dtype,
        **sizes(model_class, x, y, z),
    )
    return model_class(**nets, family=family, seed=seed, **options)


def small_data(model_class, num_rows=50, x=6, y=4, seed=0):
    """Binary x and one-hot y, in the order of the model's data."""
    rng = np.random.default_rng(seed)
    given = {
        "x": rng.integers(0, 2, (num_rows, x)).astype("float32"),
        "y": np.eye(y, dtype="float32")[rng.integers(0, y, num_rows)],
    }
    return tuple(given[name] for name in parents(model_class.factors))


def linear_pair(
    model_class, *, base=None, dtype="float64", seed=0, estimator=None, near=False, x=64, y=10, z=8
):
    """A linear-Gaussian model of the library and the oracle with the same numbers.

    Its q is affine with random weights, in mean and in scale: not the posterior. With `near`, it
        has
    the posterior's mean and 1.2 times its marginal scales.

    Returns:
        (model, oracle, data in the model's order, data in the oracle's order: observed, given).
    """
    base = base or model_class
    name = base.__name__
    rng = np.random.default_rng(seed)
    truth = LinearGaussian.random(x, z, None if base is VAE else y, model=name, seed=seed)
    family = Gaussian(scale="shared", initial_scale=truth.sigma, dtype=dtype)
    model = small_model(
        model_class,
        hidden=(),
        family=family,
        dtype=dtype,
        seed=seed,
        x=x,
        y=y,
        z=z,
        estimator=estimator,
    )

    def affine(net, kernel, bias):
        net.layers[-1].set_weights([kernel.astype(dtype), bias.astype(dtype)])

    dense = model.posterior_net.layers[-1]
    affine(
        model.posterior_net,
        rng.normal(size=dense.kernel.shape) * 0.3 / np.sqrt(dense.kernel.shape[0]),
        rng.normal(size=dense.bias.shape) * 0.3,
    )
    if model.prior_net is not None:
        raw_scale = model.latent.raw_from_scale(np.sqrt(truth.S))
        affine(
            model.prior_net,
            np.concatenate([truth.A.T, np.zeros_like(truth.A.T)], 1),
            np.concatenate([truth.a, raw_scale]),
        )
    if near:
        _set_near_posterior(model, truth, base, affine, (x, y))
    columns = [] if truth.V is None else [truth.V.T]
    affine(model.likelihood_net, np.concatenate([*columns, truth.W.T]), truth.b)

    num_rows = 40
    given = None if base is VAE else rng.normal(size=(num_rows, x if base is CVAE3 else y))
    observed, _ = truth.sample(given, num_samples=num_rows if base is VAE else None, seed=seed + 1)
    if base is VAE:
        return model, truth, (observed,), (observed, None)
    data = (given, observed) if base is CVAE3 else (observed, given)
    return model, truth, data, (observed, given)


def _set_near_posterior(model, truth, base, affine, dims):
    """Read the affine map (observed, given) → posterior mean off the oracle, and give it to q."""
    observed_dim, given_dim = dims[::-1] if base is CVAE3 else dims
    if base is VAE:
        given_dim = 0
    origin = np.zeros((1, observed_dim)), None if base is VAE else np.zeros((1, given_dim))
    bias, covariance = truth.posterior(*origin)
    observed = np.concatenate([np.eye(observed_dim), np.zeros((given_dim, observed_dim))])
    given = np.concatenate([np.zeros((observed_dim, given_dim)), np.eye(given_dim)])
    kernel = truth.posterior(observed, None if base is VAE else given)[0] - bias
    if base is CVAE3:  # q's network sees [x, y] = [given, observed]
        kernel = np.concatenate([kernel[observed_dim:], kernel[:observed_dim]])
    raw_scale = model.latent.raw_from_scale(1.2 * np.sqrt(np.diag(covariance)))
    affine(
        model.posterior_net,
        np.concatenate([kernel, np.zeros_like(kernel)], 1),
        np.concatenate([bias[0], raw_scale]),
    )


def in_a_fresh_process(code, *arguments):
    """The JSON that `code` prints after REPORT, in a new Python where a warning is an error."""
    process = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    return json.loads(process.stdout.split("REPORT")[1])


def check_identity(
    model_class, *, base=None, dtype="float64", tolerance=1e-9, seed=0, estimator=None
):
    """log p = L + KL(q ‖ posterior) on the model's own bound, with the noise of (1.5)."""
    model, truth, data, oracle_data = linear_pair(
        model_class, base=base, dtype=dtype, seed=seed, estimator=estimator
    )
    bound = model.bound(*data, noise=noise.cubature(model.latent_dim, dtype))
    q = model.factors(*(tf.constant(d, dtype) for d in data))[0]
    mean, scale = (np.asarray(a, "float64") for a in (q.mean(), q.stddev()))
    gap = truth.kl_to_posterior(mean, scale, *oracle_data)
    log_evidence = truth.log_evidence(*oracle_data)
    assert gap.min() > 0.1, "q must differ from the posterior, or the check is empty"
    scale_of_numbers = np.maximum(1, np.abs(bound.reconstruction))
    error = np.abs(bound.value.numpy() + gap - log_evidence) / scale_of_numbers
    assert error.max() < tolerance, f"log p ≠ L + KL: relative error {error.max():.2g}"
    closed = truth.bound(mean, scale, *oracle_data)
    error = np.abs(bound.elbo.numpy() - closed) / scale_of_numbers
    assert error.max() < tolerance, f"the ELBO is not the closed form's: {error.max():.2g}"


def felt(model, data, z):
    """Which inputs each term of the bound feels at fixed z: {factor: names}."""
    data = [tf.constant(d) for d in data]
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(data)
        q, prior, log_likelihood = model.factors(*data)
        terms = {
            "posterior": q.log_prob(z),
            "prior": prior.log_prob(z),
            "likelihood": log_likelihood(z[None])[0],
        }
    found = {}
    for factor, term in terms.items():
        gradients = tape.gradient(term, data, unconnected_gradients="zero")
        found[factor] = "".join(
            name
            for name, gradient in zip(model.data_names, gradients, strict=True)
            if np.abs(gradient).max() > 0
        )
    return found


def check_graph(model_class, base=None):
    """Each term's gradient is exactly zero where the graph says so, and non-zero elsewhere."""
    model = small_model(model_class)
    data = small_data(model_class)
    z = np.random.default_rng(1).normal(size=(len(data[0]), model.latent_dim)).astype("float32")
    assert felt(model, data, z) == GRAPH[base or model_class]


def check_gradient(model_class, estimator=None):
    """The gradient in every parameter, along a random direction, is the difference quotient."""
    model = small_model(
        model_class, dtype="float64", family=Gaussian(0.7, dtype="float64"), estimator=estimator
    )
    data = [d.astype("float64") for d in small_data(model_class)]
    epsilon = np.random.default_rng(2).normal(size=(3, len(data[0]), model.latent_dim))
    variables = model.trainable_variables

    def value():
        return tf.reduce_mean(model.bound(*data, noise=epsilon).value)

    with tf.GradientTape() as tape:
        mean = value()
    gradients = tape.gradient(mean, variables)
    rng = np.random.default_rng(3)
    for variable, gradient in zip(variables, gradients, strict=True):
        direction = rng.normal(size=variable.shape)
        centre, step = variable.numpy(), 1e-6
        variable.assign(centre + step * direction)
        above = float(value())
        variable.assign(centre - step * direction)
        below = float(value())
        variable.assign(centre)
        quotient = (above - below) / (2 * step)
        slope = 0.0 if gradient is None else float(np.sum(gradient * direction))
        assert abs(slope - quotient) < 1e-6 * max(1, abs(quotient)), (
            f"{variable.path}: gradient {slope:.6f}, difference quotient {quotient:.6f}"
        )


def check_evaluate(model_class, **options):
    """`evaluate` is the mean of the per-example bound, also when the last batch is short."""
    model = small_model(model_class, **options)
    model.compile()
    data = small_data(model_class, num_rows=23)
    logs = model.evaluate(*data, batch_size=10, return_dict=True, verbose=0)
    bound = model.bound(*data)
    for name, values in {
        "elbo": bound.elbo,
        "reconstruction": bound.reconstruction,
        "kl": bound.kl,
        "loss": -bound.value,
    }.items():
        np.testing.assert_allclose(logs[name], np.mean(values), rtol=2e-6, err_msg=name)


def check_noise_matters(model_class):
    """The decoded z is a sample: the reconstruction term moves with the noise."""
    model = small_model(model_class)
    data = small_data(model_class)
    shape = (1, len(data[0]), model.latent_dim)
    rng = np.random.default_rng(4)
    one, other = (model.bound(*data, noise=rng.normal(size=shape)) for _ in range(2))
    assert np.abs(one.reconstruction - other.reconstruction).min() > 0


def labelled_data(num_rows=53, seed=0, labelled=15):
    """Binary x, and labels of which all but the first few are hidden."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 2, (num_rows, 6)).astype("float32")
    labels = rng.integers(0, 4, num_rows)
    labels[:4] = np.arange(4)
    return x, np.where(np.arange(num_rows) < labelled, labels, -1)


def weights(model):
    return np.concatenate([w.numpy().ravel() for w in model.trainable_variables])


def stacked(**options):
    vae = small_model(VAE, z=3, seed=2)
    family = Gaussian("network")
    nets = networks.mlps(M2, x=3, y=4, z=2, hidden=(16,), family=family)
    return StackedM2(features=vae, **nets, family=family, **options)


def check_limits(use, name, refused, taken):
    """Values just outside of an argument's range are refused by its name, those just inside not."""
    for value in refused:
        with pytest.raises((ValueError, TypeError), match=re.escape(f"Received {name}={value!r}.")):
            use(value)
    for value in taken:
        use(value)
