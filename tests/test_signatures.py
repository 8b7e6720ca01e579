"""The signature is the graph: which arguments are parents, and what is done with them."""

import pytest
from requirements_of_a_model import small_data, small_model

from cvae_tf import CMMA, CVAE1, CVAE2, CVAE3, GSNN, M2, VAE, graphs, networks, signatures
from cvae_tf.baselines import Baseline
from cvae_tf.distributions import Bernoulli
from cvae_tf.networks import apply


def _of(*arguments):
    """A method with these arguments."""
    scope = {}
    exec(f"def f({', '.join(('self', *arguments))}): pass", scope)
    return scope["f"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), ()),
        (("x",), ("x",)),
        (("y", "z"), ("y", "z")),
        (("z", "y"), ("z", "y")),
        (("x", "/", "z"), ("x", "z")),
        (("z", "temperature=1.0"), ("z",)),
        (("z", "*", "temperature"), ("z",)),
        (("z", "*others"), ("z",)),
        (("z", "**options"), ("z",)),
        (("z", "a=None", "*", "b", "c=2", "**d"), ("z",)),
    ],
    ids=str,
)
def test_a_parent_is_a_positional_argument_without_a_default(arguments, expected):
    method = _of(*arguments)
    assert signatures.parents(method) == expected
    bound = type("Thing", (), {"f": method})().f
    assert signatures.parents(bound) == expected


GRAPHS = {
    VAE: (("x",), (), ("z",)),
    CVAE1: (("x", "y"), ("y",), ("y", "z")),
    CVAE2: (("x", "y"), (), ("y", "z")),
    CVAE3: (("x", "y"), ("x",), ("x", "z")),
    CMMA: (("x", "y"), ("y",), ("z",)),
    GSNN: (None, ("x",), ("x", "z")),
    M2: (("x", "y"), (), ("y", "z")),
    Baseline: (None, None, ("x",)),
}


@pytest.mark.parametrize("model_class", GRAPHS)
def test_graphs_of_the_models_are_the_articles(model_class):
    named = dict(zip(signatures.FACTORS, GRAPHS[model_class], strict=True))
    expected = {name: parents for name, parents in named.items() if parents is not None}
    if model_class is M2:
        expected["classifier"] = ("x",)
    assert signatures.graph(model_class) == expected
    model = small_model(model_class, family=Bernoulli())
    assert signatures.graph(model) == expected
    assert signatures.factor(model, "no such factor") is None


def test_a_likelihood_with_an_option_is_built_used_and_drawn():
    """`temperature` is no parent: no network input, no data, no node of the graph."""

    class Warm(CVAE1):
        def likelihood(self, y, z, temperature=1.0):
            return self.family(apply(self.likelihood_net, y, z) / temperature)

    family = Bernoulli()
    nets = networks.mlps(Warm, x=6, y=4, z=2, hidden=(4,), family=family)
    model = Warm(**nets, family=family)
    x, y = small_data(CVAE1, num_rows=4)
    assert model.generate(y).shape == model.reconstruct(x, y).shape == x.shape
    assert signatures.graph(model) == signatures.graph(CVAE1)
    assert graphs.graph_edges(Warm) == graphs.graph_edges(CVAE1)


def test_a_factor_is_evaluated_at_variables_found_by_name():
    class Thing:
        def likelihood(self, y, z, scale=10):
            return y + scale * z

    variables = {"x": 1, "z": 2, "y": 3}
    assert signatures.evaluate(Thing(), "likelihood", variables) == 23
    with pytest.raises(KeyError):
        signatures.evaluate(Thing(), "likelihood", {"z": 2})
