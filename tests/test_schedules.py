"""β as a function of the step: by hand, inside the compiled step, after loading and resuming."""

import keras
import numpy as np
import pytest
from requirements_of_a_model import check_limits, small_data, small_model

from cvae_tf import VAE, penalties, schedules
from cvae_tf.penalties import Beta


def values(schedule, steps):
    return np.array([float(schedule(step)) for step in steps])


def test_linear_by_hand():
    found = values(schedules.Linear(4, 2.0), range(7))
    np.testing.assert_allclose(found, [0, 0.5, 1, 1.5, 2, 2, 2])


def test_sigmoid_by_hand():
    steps = np.arange(0, 30)
    s = np.minimum(steps / 20, 1)
    raw = 1 / (1 + np.exp(-8.0 * (s - 0.5)))
    low, high = 1 / (1 + np.exp(4.0)), 1 / (1 + np.exp(-4.0))
    found = values(schedules.Sigmoid(20, 3.0, sharpness=8.0), steps)
    np.testing.assert_allclose(found, 3 * (raw - low) / (high - low), atol=1e-6)
    assert found[0] == 0 and found[20] == pytest.approx(3) and (np.diff(found) >= 0).all()


def test_cyclic_by_hand():
    """Three cycles of eight steps, the first half of each rising."""
    found = values(schedules.Cyclic(24, 2.0, cycles=3, rising=0.5), range(30))
    cycle = [0, 0.5, 1, 1.5, 2, 2, 2, 2]
    np.testing.assert_allclose(found, [*cycle, *cycle, *cycle, *[2] * 6], atol=1e-6)


def test_it_does_not_lose_steps_where_a_float_would():
    late = 2**24 + 1  # no float32, and the second step of a cycle of four
    assert float(schedules.Cyclic(2**25, cycles=2**23)(late)) == 0.5


class Watch(keras.callbacks.Callback):
    """The weight of the KL in each batch's loss, from what is logged."""

    def __init__(self):
        super().__init__()
        self.betas = []

    def on_train_batch_begin(self, batch, logs=None):
        self.model.reset_metrics()

    def on_train_batch_end(self, batch, logs=None):
        loss, reconstruction, kl = (float(logs[k]) for k in ("loss", "reconstruction", "kl"))
        self.betas.append((loss + reconstruction) / kl)


def half(step):
    return 0.5


@pytest.mark.parametrize(
    "schedule",
    [
        schedules.Linear(12),
        schedules.Sigmoid(12, sharpness=4.0),
        schedules.Cyclic(12, 2.0, cycles=2),
        keras.optimizers.schedules.PolynomialDecay(0.0, 10, 1.0),
        half,
    ],
    ids=["linear", "sigmoid", "cyclic", "Keras's", "a function"],
)
def test_every_batch_has_its_weight(schedule):
    """Also under XLA, and without a word of evaluation: what is logged is the plain bound."""
    watch = Watch()
    model = small_model(VAE, penalty=Beta(schedule))
    model.compile(keras.optimizers.SGD(1e-3), jit_compile=True)
    (x,) = small_data(VAE, num_rows=30)
    model.fit(x, batch_size=6, epochs=3, verbose=0, callbacks=[watch])
    np.testing.assert_allclose(watch.betas, values(schedule, range(15)), atol=2e-4)


def test_it_goes_on_where_it_was_after_loading(tmp_path):
    (x,) = small_data(VAE, num_rows=30)
    model = small_model(VAE, penalty=Beta(schedules.Linear(10)))
    model.compile(keras.optimizers.SGD(1e-3))
    model.fit(x, batch_size=6, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.penalty.schedule.get_config() == {"steps": 10, "final": 1.0}
    watch = Watch()
    loaded.fit(x, batch_size=6, verbose=0, callbacks=[watch])
    np.testing.assert_allclose(watch.betas, np.arange(5, 10) / 10, atol=2e-4)


def test_what_is_no_schedule_is_refused():
    for wrong in (
        lambda: schedules.Linear(0),
        lambda: schedules.Linear(4, -0.5),
        lambda: schedules.Cyclic(8, rising=0),
    ):
        with pytest.raises(ValueError, match="Expected"):
            wrong()
    with pytest.raises(ValueError, match="gives no number at step 0.*function of the step"):
        Beta(lambda step: "much")
    with pytest.raises(ValueError, match="gives no number at step 0"):
        Beta(schedules.Linear)
    with pytest.raises(ValueError, match=r"beta=-1\.0"):
        Beta(lambda step: -1.0)
    model = small_model(VAE, penalty=Beta(schedules.Linear(10)))
    model.compile()
    with pytest.raises(ValueError, match="no schedule"):
        model.fit(*small_data(VAE), verbose=0, callbacks=[penalties.WarmUp(4)])


LIMITS = {  # what uses it, what is refused, what is taken
    "steps": (schedules.Linear, [0, 2.5], [1]),
    "final": (lambda v: schedules.Linear(4, v), [-1e-9], [0.0, 1e-9]),
    "sharpness": (lambda v: schedules.Sigmoid(4, sharpness=v), [0, -1e-9], [1e-9]),
    "cycles": (lambda v: schedules.Cyclic(8, cycles=v), [0], [1]),
    "rising": (lambda v: schedules.Cyclic(8, rising=v), [0, 1.001], [1e-9, 1]),
}


@pytest.mark.parametrize("name", LIMITS)
def test_an_argument_out_of_range_is_refused(name):
    use, refused, taken = LIMITS[name]
    check_limits(use, name, refused, taken)


def test_beta_begins_at_the_value_of_step_0_and_is_saved_with_its_schedule():
    penalty = Beta(schedules.Cyclic(8, 2.0))
    assert penalty.initial_beta == 0 == float(penalty.beta)
    assert Beta(lambda step: 3.0 - step).initial_beta == 3
    again = Beta.from_config(penalty.get_config())
    assert again.schedule.get_config() == penalty.schedule.get_config()
    assert Beta.from_config(Beta(0.25).get_config()).initial_beta == 0.25
