"""Beyond one device: replicas, workers, a run that is killed; in processes of their own."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parent.parent


def run(code_or_file, *arguments, expect=0, timeout=300):
    command = [code_or_file] if str(code_or_file).endswith(".py") else ["-c", code_or_file]
    done = subprocess.run(
        [sys.executable, *map(str, command), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.returncode == expect, done.stderr[-3000:]
    return done.stdout


REPLICAS = """
import contextlib, json
import numpy as np, keras, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from requirements_of_a_model import small_data, small_model
from cvae_tf import CVAE1, penalties

def train(strategy):
    noises = []
    class Recorder(CVAE1):
        def training_noise(self, batch_size):
            noise = super().training_noise(batch_size)
            tf.py_function(lambda n: noises.append(n.numpy()[0]), [noise], [])
            return noise
    with strategy.scope() if strategy else contextlib.nullcontext():
        model = small_model(Recorder, penalty=penalties.Beta(0.7))
        model.compile(keras.optimizers.Adam(0.01), jit_compile=False)
    data = small_data(CVAE1, num_rows=53)
    weights = np.linspace(0.5, 1.5, 53)
    history = model.fit(*data, sample_weight=weights, batch_size=8, epochs=2, verbose=0,
                        validation_data=small_data(CVAE1, seed=4)).history
    logs = model.evaluate(*data, return_dict=True, verbose=0)
    return model, history, logs, noises

one, history, logs, noises = train(None)
two, history2, logs2, noises2 = train(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
flat = [np.concatenate([np.ravel(w) for w in m.get_weights()]) for m in (one, two)]
rows = np.concatenate(noises)
print("REPORT" + json.dumps({
    "parameters": float(np.abs(flat[0] - flat[1]).max()),
    "history": [history, history2],
    "logs": [logs, logs2],
    "steps": [int(one.optimizer.iterations.numpy()), int(two.optimizer.iterations.numpy())],
    "noise of one": sorted(rows[:, 0].tolist()),
    "noise of two": sorted(np.concatenate(noises2)[:, 0].tolist()),
    "sizes": [len(n) for n in noises2],
}))
"""


def test_two_replicas_end_where_one_process_does():
    """Different noise on each, the same global batches: parameters to 1e-4, logs of the whole."""
    report = json.loads(run(REPLICAS).split("REPORT")[1])
    assert report["parameters"] < 1e-4
    assert report["steps"] == [14, 14]
    for one, two in (report["history"], report["logs"]):
        assert set(one) == set(two)
        for name in one:
            np.testing.assert_allclose(one[name], two[name], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(report["noise of one"], report["noise of two"], atol=1e-5)
    assert len(set(np.round(report["noise of two"], 6))) > 100, "replicas repeat one another"
    assert max(report["sizes"]) == 4


def test_two_workers_on_loopback_end_where_one_does(tmp_path):
    example = ROOT / "examples" / "two_workers.py"
    run(example, "--workers", 1, "--output", tmp_path / "one")
    run(example, "--workers", 2, "--output", tmp_path / "two")
    one = np.load(tmp_path / "one.0.npz")
    for worker in (0, 1):
        other = np.load(tmp_path / f"two.{worker}.npz")
        for name in one.files:
            np.testing.assert_allclose(other[name], one[name], rtol=1e-4, atol=1e-4)


KILLED = """
import os, signal, sys
import numpy as np, keras
from requirements_of_a_model import small_data, small_model
from cvae_tf import CVAE1

folder, kill_at = sys.argv[1], int(sys.argv[2])
model = small_model(CVAE1)
model.compile(keras.optimizers.Adam(0.01), steps_per_execution=2, jit_compile=False)

class Kill(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations.numpy()) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

history = model.fit(
    *small_data(CVAE1, num_rows=53), batch_size=8, epochs=5, verbose=0,
    validation_data=small_data(CVAE1, seed=4),
    callbacks=[keras.callbacks.BackupAndRestore(folder + "/backup"), Kill()],
).history
np.savez(folder + "/end.npz", *[w.numpy() for w in model.trainable_variables], elbo=history["elbo"])
"""


def test_a_killed_run_ends_with_the_uninterrupted_runs_parameters(tmp_path):
    """SIGKILL in the middle of the third epoch (7 steps each), then the same script again."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        folder.mkdir()
    run(KILLED, whole, -1)
    run(KILLED, broken, 18, expect=-signal.SIGKILL)
    assert not (broken / "end.npz").exists()
    run(KILLED, broken, -1)
    one, two = np.load(whole / "end.npz"), np.load(broken / "end.npz")
    for name in one.files:
        if name != "elbo":
            np.testing.assert_allclose(one[name], two[name], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(one["elbo"][2:], two["elbo"], rtol=1e-5)
