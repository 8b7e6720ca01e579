"""What was compiled goes with what it was compiled from, and an optimiser with its variables."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from regression import BATCHES, FEEDS, START, ManyOwn, PlainOwn, made, weights
from requirements_of_a_model import small_data, small_model

from cvae_tf import CVAE3, GSNN, M2, VAE, networks, penalties
from cvae_tf.distributions import Bernoulli, Gaussian
from cvae_tf.estimators import SGVBA, SGVBB, ImportanceWeighted
from cvae_tf.programs import same_state, traced_state

# How often a step is traced ----------------------------------------------------------------------

TRACES = []


class Counted(VAE):
    """A VAE that notes when its step is traced, and that has settings of many kinds."""

    def __init__(self, **options):
        super().__init__(**options)
        self.factor = 0.5
        self.nested = {"a": [1.0, [2.0, "b"]]}
        self.table = np.arange(3.0)

    def train_step(self, data):
        TRACES.append(1)
        return super().train_step(data)


def counted(penalty=None):
    TRACES.clear()
    family = Bernoulli()
    nets = networks.mlps(VAE, x=6, z=2, hidden=(4,), family=family)
    parts = [keras.Input((6,)), keras.layers.Dense(4), keras.layers.Dropout(0.1)]
    nets["posterior_net"] = keras.Sequential([*parts, keras.layers.Dense(4)])
    penalty = penalties.MMD(1.0) if penalty is None else penalty
    model = Counted(**nets, family=family, penalty=penalty, estimator=SGVBB(1))
    model.compile(keras.optimizers.Adam(0.01), jit_compile=False)
    return model


def fit(model, **options):
    model.fit(*small_data(VAE, num_rows=16), batch_size=8, verbose=0, **options)


def _set(path, value):
    def change(model):
        *parts, name = path.split(".")
        for part in parts:
            model = getattr(model, part)
        setattr(model, name, value() if callable(value) else value)

    return change


def _layer(index, name, value):
    return lambda model: setattr(model.posterior_net.layers[index], name, value)


def _new_decoder():
    return networks.mlp([2], (4,), 6)


CHANGES = {
    "float attribute": _set("factor", 0.25),
    "new attribute": _set("other", 1),
    "nested list": lambda model: model.nested["a"][1].__setitem__(0, 3.0),
    "a longer list": lambda model: model.nested["a"].append(3.0),
    "NumPy array in place": lambda model: model.table.__setitem__(1, 7.0),
    "rate of a layer": _layer(1, "rate", 0.5),
    "activation of a layer": _layer(0, "activation", keras.activations.relu),
    "regulariser of outputs": _layer(0, "activity_regularizer", keras.regularizers.L2(1.0)),
    "layer.trainable": _layer(0, "trainable", False),
    "net.trainable": _set("likelihood_net.trainable", False),
    "replaced network": _set("likelihood_net", _new_decoder),
    "penalty.weight": _set("penalty.weight", 3.0),
    "another penalty": _set("penalty", lambda: penalties.Beta(2.0)),
    "no penalty": _set("penalty", None),
    "estimator.num_samples": _set("estimator.num_samples", 3),
    "another estimator": _set("estimator", lambda: SGVBB(1)),
    "optimizer.clipnorm": _set("optimizer.clipnorm", 1.0),
    "optimizer.beta_1": _set("optimizer.beta_1", 0.5),
    "min_scale": _set("latent.min_scale", 0.1),
    "seed": _set("seed", 5),
}


def test_a_change_of_what_was_traced_is_seen_in_its_state():
    model = counted()
    for name, change in CHANGES.items():
        before = traced_state(model, model.optimizer)
        change(model)
        assert not same_state(traced_state(model, model.optimizer), before), name


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANGES)
def test_after_a_change_of_what_was_traced_the_next_call_traces_anew(name):
    model = counted()
    fit(model)
    traced = len(TRACES)
    assert traced
    CHANGES[name](model)
    fit(model)
    assert len(TRACES) > traced


def _validated(model):
    fit(model, validation_data=small_data(VAE, num_rows=5))


NO_CHANGES = {
    "nothing": lambda model: None,
    "evaluate": lambda model: model.evaluate(*small_data(VAE), verbose=0),
    "predict": lambda model: model.predict(*small_data(VAE), verbose=0),
    "log_likelihood": lambda model: model.log_likelihood(*small_data(VAE), num_samples=3),
    "generate": lambda model: model.generate(3),
    "more epochs": lambda model: fit(model, epochs=2),
    "validation": _validated,
    "callbacks": lambda model: fit(model, callbacks=[keras.callbacks.EarlyStopping("loss")]),
    "history": lambda model: model.history.history.clear(),
    "learning rate": _set("optimizer.learning_rate", 0.5),
    "stopped": _set("stop_training", True),
    "weights": lambda model: model.set_weights([w + 1 for w in model.get_weights()]),
    "restart": lambda model: model.restart(model.get_weights()),
    "the same value": _set("factor", 0.5),
    "saved": lambda model: model.get_config(),
    "metrics": lambda model: model.reset_metrics(),
    "train_on_batch of this size": lambda m: m.train_on_batch(*small_data(VAE, num_rows=8)),
}


def test_what_is_no_change_compiles_nothing_again():
    model = counted()
    fit(model)
    model.train_on_batch(*small_data(VAE, num_rows=8))
    traced = len(TRACES)
    for name, use in NO_CHANGES.items():
        use(model)
        fit(model)
        assert len(TRACES) == traced, name


def test_what_is_a_variable_acts_without_compiling_again():
    """A penalty's β and an M2's α and counts."""
    model = counted(penalties.Beta(1.0))
    fit(model)
    traced = len(TRACES)
    fit(model, callbacks=[penalties.WarmUp(2)])
    assert len(TRACES) == traced and float(model.penalty.beta) == 0.5

    m2 = small_model(M2)
    m2.compile(jit_compile=False)
    x, y = np.zeros((8, 6), "float32"), np.arange(8) % 4
    m2.fit(x, y, verbose=0)
    before = traced_state(m2, m2.optimizer)
    m2.alpha = 0.7
    assert same_state(traced_state(m2, m2.optimizer), before)


def test_programs_are_counted():
    """One for whole batches, one more for each length of a short one, and again after `compile`."""
    model = counted()
    for options, traced in (
        ({}, 1),
        ({"epochs": 3}, 1),
        ({"num_rows": 19}, 2),
        ({"num_rows": 20}, 2),
    ):
        num_rows = options.pop("num_rows", 16)
        model.fit(*small_data(VAE, num_rows=num_rows), batch_size=8, verbose=0, **options)
        assert len(TRACES) == traced, (num_rows, options)
    for optimizer, traced in ((keras.optimizers.Adam(0.01), 3), (model.optimizer, 4)):
        model.compile(optimizer, jit_compile=False)
        fit(model)
        assert len(TRACES) == traced


# What a new setting does --------------------------------------------------------------------------


SETTINGS = {
    "alpha": _set("alpha", 0.2),
    "alpha of a single bound": _set("alpha", 1.0),
    "penalty": _set("penalty", lambda: penalties.Beta(5.0)),
    "another penalty": _set("penalty", lambda: penalties.MMD(30.0)),
    "its weight": _set("penalty.weight", 3.0),
    "no penalty": _set("penalty", None),
    "estimator": _set("estimator", lambda: SGVBA(2)),
    "its draws": _set("estimator.num_samples", 7),
    "another estimator": _set("estimator", lambda: ImportanceWeighted(5)),
    "network": _set("likelihood_net", lambda: networks.mlp([6, 2], (4,), 4)),
    "seed": _set("seed", 5),
}


def test_a_new_setting_is_that_of_the_next_fit():
    """Its loss is that of the objective as it is now, computed in Python; not as it was."""
    model, data = small_model(CVAE3, alpha=0.5), small_data(CVAE3, num_rows=8)
    model.compile(keras.optimizers.SGD(0.0), jit_compile=False)

    def objective():
        losses, _ = model.objective(*data, noise=model.training_noise(8))
        return float(tf.reduce_mean(losses))

    def trained():
        return model.fit(*data, shuffle=False, verbose=0).history["loss"][0]

    trained()
    for name, change in SETTINGS.items():
        before = objective()
        change(model)
        now = objective()
        assert abs(now - before) > 1e-3, name
        assert trained() == pytest.approx(now, rel=1e-5), name


def test_a_replaced_network_is_what_evaluate_predict_and_log_likelihood_use():
    model, other, data = small_model(GSNN), small_model(GSNN, seed=1), small_data(GSNN)
    other.seed = model.seed
    for m in (model, other):
        m.suits_xla = lambda: False  # which takes time
    other.prior_net.set_weights(model.prior_net.get_weights())

    def uses(m):
        m.compile(jit_compile=False)
        return [
            m.evaluate(*data, verbose=0),
            m.predict(data[0], verbose=0),
            m.log_likelihood(*data, num_samples=3),
        ]

    before, expected = uses(model), uses(other)
    model.compile = lambda **_: None  # what follows has to see for itself
    model.likelihood_net = other.likelihood_net
    for found, old, new in zip(uses(model), before, expected, strict=True):
        assert np.abs(np.subtract(found, old)).max() > 1e-3
        np.testing.assert_allclose(found, new, rtol=1e-5)


def moved(model):
    """Which networks a fit moves."""
    before = {name: net.get_weights() for name, net in model.nets.items() if net}
    fit(model)
    now = {name: model.nets[name].get_weights() for name in before}
    return {
        name
        for name, old in before.items()
        if any(np.abs(a - b).max() > 0 for a, b in zip(old, now[name], strict=True))
    }


def test_what_is_frozen_stays_and_what_is_unfrozen_moves_at_the_next_fit():
    model, both = counted(penalty=penalties.Beta()), {"posterior_net", "likelihood_net"}
    model.likelihood_net.trainable = False
    model.compile(keras.optimizers.Adam(0.01), jit_compile=False)  # it knows one network
    assert moved(model) == {"posterior_net"}
    model.likelihood_net.trainable = True
    assert moved(model) == both
    model.posterior_net.trainable = False
    assert moved(model) == {"likelihood_net"}
    model.trainable = False
    assert moved(model) == set()
    model.trainable = True
    assert moved(model) == both


# The optimiser and its variables ------------------------------------------------------------------


def named(inputs, outputs, name):
    x = keras.Input((inputs,))
    return keras.Model(x, keras.layers.Dense(outputs, name=name)(x))


def slots(optimizer, net):
    """What an optimiser keeps of a network's kernel: its variables of that shape."""
    return [v.numpy() for v in optimizer.variables if v.shape == net.trainable_variables[0].shape]


@pytest.mark.parametrize("names", [("big_hidden", "hidden"), ("encoder", "decoder")])
def test_an_optimiser_learns_of_new_variables_and_stays_the_one_it_was(names):
    """Its momenta, its exclusions, and whoever holds it; a learning rate set through that acts."""
    nets = {"posterior_net": named(6, 4, names[0]), "likelihood_net": named(2, 6, names[1])}
    model, (x,) = VAE(**nets), small_data(VAE, num_rows=8)
    model.likelihood_net.trainable = False
    optimizer = keras.optimizers.AdamW(0.01, weight_decay=0.1)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    model.compile(optimizer, jit_compile=False)
    model.fit(x, epochs=2, verbose=0)
    before, steps = slots(optimizer, model.posterior_net), int(optimizer.iterations)
    assert len(before) == 2 and all(np.abs(slot).min() > 0 for slot in before)
    model.likelihood_net.trainable = True
    model.know_all_variables()
    assert model.optimizer is optimizer and int(optimizer.iterations) == steps
    for one, other in zip(before, slots(optimizer, model.posterior_net), strict=True):
        np.testing.assert_array_equal(one, other)
    assert [np.abs(slot).max() for slot in slots(optimizer, model.likelihood_net)] == [0, 0]
    biases = [v for v in model.trainable_variables if v.name == "bias"]
    assert len(biases) == 2 and not any(map(optimizer._use_weight_decay, biases))
    optimizer.learning_rate = 0.0
    start = model.get_weights()
    model.fit(x, verbose=0)
    for one, other in zip(start, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_networks_of_equal_names_keep_each_its_own_momenta():
    nets = {"posterior_net": named(6, 4, "dense"), "likelihood_net": named(2, 6, "dense")}
    model, (x,) = VAE(**nets, family=Gaussian("shared")), small_data(VAE, num_rows=8)
    model.family.trainable = False
    model.compile(keras.optimizers.Adam(0.01), jit_compile=False)
    model.fit(x, verbose=0)
    before = [slots(model.optimizer, net) for net in nets.values()]
    model.family.trainable = True
    model.know_all_variables()
    for old, net in zip(before, nets.values(), strict=True):
        np.testing.assert_array_equal(old, slots(model.optimizer, net))


def test_batches_seen_are_saved_and_loaded_and_may_be_missing(tmp_path):
    model, other = made(ManyOwn), made(ManyOwn)
    model.fit(**FEEDS["arrays"](), verbose=0)
    model.save_weights(tmp_path / "ours.weights.h5")
    other.load_weights(tmp_path / "ours.weights.h5")
    assert int(other.batches_seen) == int(other.optimizer.iterations) == 3 * BATCHES
    np.testing.assert_array_equal(weights(other), weights(model))
    plain = PlainOwn()
    plain.set_weights([w + 1 for w in plain.get_weights()])
    plain.save_weights(tmp_path / "plain.weights.h5")  # as Keras writes it: no batches_seen
    other.load_weights(tmp_path / "plain.weights.h5")
    assert int(other.batches_seen) == 0
    np.testing.assert_array_equal(weights(other), weights(plain))


def test_restart_is_a_new_model():
    used, new = made(ManyOwn), made(ManyOwn)
    used.fit(**FEEDS["arrays"](), verbose=0)
    used.restart(START)
    options = FEEDS["arrays"]() | {"verbose": 0, "shuffle": True}
    assert used.fit(**options).history == new.fit(**options).history
    np.testing.assert_array_equal(weights(used), weights(new))
    assert int(used.batches_seen) == 3 * BATCHES


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weights: [np.nan * w for w in weights], r"weights.0. has NaN"),
        (lambda weights: weights[:-1], "weights of shapes.*as get_weights"),
        (lambda weights: [w.T[..., None] for w in weights], "weights of shapes.*as get_weights"),
        (lambda weights: [], "weights of shapes"),
        (lambda weights: np.concatenate([w.ravel() for w in weights]), "Expected a list"),
    ],
)
def test_restart_refuses_weights_that_cannot_be_its(change, message):
    model = made(ManyOwn)
    model.fit(**FEEDS["arrays"](), verbose=0)
    before = weights(model)
    with pytest.raises((TypeError, ValueError), match=message):
        model.restart(change(model.get_weights()))
    np.testing.assert_array_equal(weights(model), before)
    assert int(model.batches_seen) == 3 * BATCHES


def test_compile_with_a_used_optimiser_goes_on_and_with_a_new_one_begins():
    model = made(ManyOwn)
    model.fit(**FEEDS["arrays"](), verbose=0)
    model.compile(model.optimizer, jit_compile=False)
    assert int(model.batches_seen) == 3 * BATCHES
    model.compile(keras.optimizers.Adam(), jit_compile=False)
    assert int(model.batches_seen) == 0
    model.compile(keras.optimizers.Adam(gradient_accumulation_steps=50), jit_compile=False)
    model.fit(**FEEDS["arrays"](), verbose=0)
    model.compile(model.optimizer, jit_compile=False)
    assert int(model.optimizer.iterations) == 0 and int(model.batches_seen) == 3 * BATCHES


def test_a_replaced_network_is_trained_after_compile_with_the_same_optimiser():
    model = made(ManyOwn)
    model.fit(**FEEDS["arrays"](), verbose=0)
    new = keras.layers.Dense(1)
    new.build([None, model.dense.kernel.shape[0]])
    model.dense = new
    model.compile(model.optimizer, jit_compile=False)
    before = model.dense.get_weights()[0]
    model.fit(**FEEDS["arrays"](), verbose=0)
    assert np.abs(model.dense.get_weights()[0] - before).max() > 0
    assert int(model.optimizer.iterations) == 6 * BATCHES


def test_a_layer_that_is_held_twice_stays_when_one_name_is_given_to_another():
    model = made(ManyOwn)
    model.again = model.dense
    model.again = keras.layers.Dense(1)
    assert model.dense in model.layers


