r"""log p(x) and log p(x|y) of MNIST's test images, measured as Burda et al. (2015) do.

    python benchmarks/likelihood.py                      rows with k = 1 and 5, 121 epochs each
    python benchmarks/likelihood.py --k 1 50 --stages 4  40 epochs each, an hour or more for k = 50
    python benchmarks/likelihood.py --stages 8 --batch 20 --device gpu  the paper's own schedule
    python benchmarks/likelihood.py --only CVAE-1 --k 1  one row; what is done is kept

Protocol, fixed before the first run: all 60,000 training images, pixels drawn anew at every step
(x ~ Bernoulli(grey value)); two tanh layers of 200 in every network, z of 50, the output's bias at
the mean pixels' logits; Adam (ε = 1e-4) at 1e-3 · 10^(−i/7) for 3^i epochs, i = 0 … stages − 1; no
early stopping, nothing chosen on test images. k = 1 is SGVB-B, k > 1 the importance-weighted bound
(2.6). Test: 10,000 images, one draw of the pixels, S = 5000 importance samples (2.6). CMMA has a
row with ten latents more, since its z must carry y as well (6.5).

A run that is killed and started again ends with the same numbers: the training is backed up at each
epoch's end, the test in parts of 500 images. Rows go to benchmarks/results/likelihood.json and .md.

Source: Y. Burda, R. Grosse, R. Salakhutdinov (2015), section 5 and appendix.
"""

import argparse
import json
import os
import shutil
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from cvae_tf import CMMA, CVAE1, CVAE2, VAE, datasets, networks, noise
from cvae_tf.distributions import Bernoulli
from cvae_tf.estimators import SGVBB, ImportanceWeighted

HERE = Path(__file__).resolve().parent
BACKUPS = HERE.parent / "build" / "likelihood"
HIDDEN, LATENT, PIXELS, CLASSES, PART = (200, 200), 50, 784, 10, 500
ROWS = {  # name: model, latents
    "VAE": (VAE, LATENT),
    "CVAE-1": (CVAE1, LATENT),
    "CVAE-2": (CVAE2, LATENT),
    "CMMA": (CMMA, LATENT),
    "CMMA, ten latents more": (CMMA, LATENT + CLASSES),
}
# −log p by others, (row, k) -> nats. Both tables were read in public copies.
PUBLISHED = {
    "Burda et al. 2015": {("VAE", 1): 86.76, ("VAE", 5): 85.54, ("VAE", 50): 84.78},
    "TF2 + TFP": {
        ("VAE", 1): 86.35,
        ("VAE", 5): 85.18,
        ("VAE", 50): 84.59,
        ("CVAE-1", 1): 82.32,
        ("CVAE-1", 5): 81.41,
        ("CVAE-1", 50): 80.78,
    },
}


def with_fresh_pixels(model_class):
    """The model whose factors see pixels drawn anew at every step, x ~ Bernoulli(grey value).

    A function of (seed, step, row), like all noise. Binary images are drawn as they are. It is what
    `datasets.fresh_batches` does for a stream, but inside the compiled program, where arrays stay.
    """

    class Fresh(model_class):
        def factors_see(self, x, *others, place):
            if place is None:
                return x, *others
            where = {"step": place.step, "first_row": place.first_row}
            key = noise.key(self.seed, f"{place.purpose}: pixels")
            u = noise.uniform(tf.shape(x)[0], PIXELS, key=key, **where)
            return tf.cast(u < x, x.dtype), *others

    return Fresh


def build(row, k, mean_pixels):
    """A new model of a row, not trained."""
    model_class, latent_dim = ROWS[row]
    keras.utils.set_random_seed(0)
    family = Bernoulli()
    sizes = {"x": PIXELS, "z": latent_dim} | ({} if model_class is VAE else {"y": CLASSES})
    nets = networks.mlps(model_class, hidden=HIDDEN, family=family, activation="tanh", **sizes)
    p = np.clip(mean_pixels, 1e-3, 1 - 1e-3)
    nets["likelihood_net"].layers[-1].bias.assign(np.log(p / (1 - p)))
    estimator = SGVBB() if k == 1 else ImportanceWeighted(k)
    model = with_fresh_pixels(model_class)(**nets, family=family, estimator=estimator, seed=0)
    model.compile(keras.optimizers.Adam(1e-3, epsilon=1e-4))
    return model


def rates(stages):
    """The learning rate of every epoch."""
    return [1e-3 * 10 ** (-i / 7) for i in range(stages) for _ in range(3**i)]


class UntilTheHour(keras.callbacks.Callback):
    """Ends the training when its time is over, and shows how far it is."""

    def __init__(self, label, epochs, hours, path):
        super().__init__()
        self.bar, self.end = tqdm(total=epochs, desc=label, unit="epoch"), hours * 3600
        self.path = path  # what is there is of a run that was stopped
        told = json.loads(path.read_text()) if path.exists() else {"epochs": 0, "seconds": 0.0}
        self.epochs_done, self.seconds = told["epochs"], told["seconds"]

    def on_epoch_begin(self, epoch, logs=None):
        self.began = time.monotonic()
        self.bar.update(epoch - self.bar.n)

    def on_epoch_end(self, epoch, logs=None):
        self.seconds += time.monotonic() - self.began
        self.epochs_done = epoch + 1
        told = {"epochs": self.epochs_done, "seconds": self.seconds}
        self.path.write_text(json.dumps(told))
        self.bar.update(1)
        self.bar.set_postfix(elbo=f"{float(logs['elbo']):.2f}")
        self.model.stop_training |= self.is_over

    @property
    def is_over(self):
        return self.epochs_done == self.bar.total or self.seconds > self.end


def trained(model, arrays, options, folder, label):
    """Fit by the stages, from where a killed run was. Returns: epochs done, seconds they took."""
    schedule = rates(options.stages)
    clock = UntilTheHour(label, len(schedule), options.hours, folder / "clock.json")
    callbacks = [
        keras.callbacks.LearningRateScheduler(lambda epoch, _: schedule[epoch]),
        clock,  # before the backup: an epoch that is only counted is run again, none is left out
        keras.callbacks.BackupAndRestore(
            folder / "training", delete_checkpoint=False, double_checkpoint=True
        ),
    ]
    # Where the time is over, the last backup is what a fit of no further epoch restores.
    epochs = clock.epochs_done if clock.is_over else len(schedule)
    how = {"batch_size": options.batch, "epochs": epochs, "verbose": 0}
    model.fit(*arrays, **how, callbacks=callbacks)
    clock.bar.close()
    return clock.epochs_done, clock.seconds


def measured(model, arrays, num_samples, folder, label):
    """log p of every test image, [N], in parts that are kept."""
    found = []
    for first in tqdm(range(0, len(arrays[0]), PART), desc=label, unit=f"{PART} images"):
        path = folder / f"test-{num_samples}-{first}.npy"
        if not path.exists():
            part = [a[first : first + PART] for a in arrays]
            np.save(path, model.log_likelihood(*part, num_samples=num_samples, seed=first))
        found.append(np.load(path))
    return np.concatenate(found)


def run(row, k, options, data):
    """One row, trained and measured: what is stored of it."""
    model_class, latent_dim = ROWS[row]
    schedule = f"{options.stages} stages, batch {options.batch}"
    folder = options.backups / f"{row}, k = {k}, {schedule}".replace(" ", "-")
    if options.anew:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    path, length = folder / "trained.json", len(rates(options.stages))
    told = json.loads(path.read_text()) if path.exists() else {"epochs": 0, "seconds": 0.0}
    both = [np.concatenate([data.train[i], data.validation[i]]) for i in range(2)]
    test = [datasets.binarise(data.test.x, seed=0), data.test.y]
    if model_class is VAE:
        both, test = both[:1], test[:1]
    both, test = [a[: options.images] for a in both], [a[: options.test_images] for a in test]
    model = build(row, k, both[0].mean(0))
    if told["epochs"] < length and told["seconds"] <= 3600 * options.hours:
        epochs, seconds = trained(model, both, options, folder, f"{row}, k = {k}")
        model.save_weights(folder / "model.weights.h5")
        for measurement in folder.glob("test-*.npy"):  # of a shorter training
            measurement.unlink()
        told = {"epochs": epochs, "seconds": seconds, "device": options.device}
        path.write_text(json.dumps(told))
    model.load_weights(folder / "model.weights.h5")
    log_p = measured(model, test, options.samples, folder, "test").astype("float64")
    return {
        "row": row,
        "k": k,
        "of": "log p(x)" if model_class is VAE else "log p(x given y)",
        "latent_dim": latent_dim,
        "batch": options.batch,
        "epochs": told["epochs"],
        "whole schedule": length,
        "steps": told["epochs"] * -(-len(both[0]) // options.batch),
        "minutes of training": round(told["seconds"] / 60, 1),
        "nll": -log_p.mean(),
        "standard error": log_p.std(ddof=1) / np.sqrt(len(log_p)),
        "test images": len(log_p),
        "samples": options.samples,
        "device": told["device"],
        "cores": len(os.sched_getaffinity(0)),
    }


def line(cells):
    """A line of a table in Markdown."""
    return "| " + " | ".join(map(str, cells)) + " |"


def head(*names):
    """Its first two lines."""
    return line(names), "|" + "---|" * len(names)


def table(rows):
    """All rows, ours beside the others', in Markdown."""
    more = ("updates", "batch", "S, images", "minutes, on")
    lines = [
        "# Log-likelihood of MNIST's test images",
        "",
        "Negative log-likelihood in nats, of x alone for the VAE and of x given its label for the "
        "others; mean ± standard error over the test images, one draw of their pixels. Importance "
        "sampling, (2.6). Trained on 60,000 images whose pixels are drawn anew at every step; two "
        "tanh layers of 200; Adam at 1e-3 · 10^(−i/7) for 3^i epochs, stage after stage. k = 1 is "
        "the plain bound, k > 1 the importance-weighted one. Seed 0. 'TF2 + TFP' is a "
        "public replication, with z of 100. `benchmarks/likelihood.py` makes a row; its first "
        "lines have the protocol.",
        "",
        *head("model", "z", "k", "epochs", "ours", *PUBLISHED, *more),
    ]
    for r in rows:
        epochs = f"{r['epochs']}"
        if r["epochs"] < r["whole schedule"]:
            epochs += f" of {r['whole schedule']}"
        cells = [
            *(r["row"].partition(",")[0], r["latent_dim"], r["k"], epochs),
            f"{r['nll']:.2f} ± {r['standard error']:.2f}",
            *(theirs.get((r["row"], r["k"]), "–") for theirs in PUBLISHED.values()),
            f"{r['steps']:,}",
            r["batch"],
            f"{r['samples']:,}, {r['test images']:,}",
            f"{r['minutes of training']:g}, {'one core' if r.get('cores') == 1 else r['device']}",
        ]
        lines.append(line(cells))
    gains = gained(rows)
    if gains:
        lines += ["", "What k > 1 gains on k = 1 of the same schedule, nats:", ""]
        lines += [*head("model", "z", "k", "batch, epochs", "ours", *PUBLISHED), *gains]
    return "\n".join([*lines, ""])


def gained(rows):
    """Lines of the table of gains, where both rows of a schedule are there."""

    def of(r, k):
        same = ("row", "batch", "whole schedule", "samples", "test images")
        return next((o for o in rows if o["k"] == k and all(o[n] == r[n] for n in same)), None)

    lines = []
    for r in rows:
        plain = of(r, 1)
        if r["k"] == 1 or plain is None or plain["epochs"] != r["epochs"]:
            continue
        cells = [r["row"].partition(",")[0], r["latent_dim"], r["k"]]
        cells += [f"{r['batch']}, {r['epochs']}", f"{plain['nll'] - r['nll']:.2f}"]
        for theirs in PUBLISHED.values():
            known = (r["row"], r["k"]) in theirs
            cells += [f"{theirs[r['row'], 1] - theirs[r['row'], r['k']]:.2f}" if known else "–"]
        lines.append(line(cells))
    return lines


def store(path, row):
    """Put a row into the report, in the place of one of the same setting, and write the table."""
    rows = json.loads(path.read_text()) if path.exists() else []
    same = ("row", "k", "batch", "whole schedule", "samples", "test images", "device")
    rows = [r for r in rows if any(r[n] != row[n] for n in same)] + [row]
    rows.sort(key=lambda r: (list(ROWS).index(r["row"]), r["k"], r["whole schedule"]))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    path.with_suffix(".md").write_text(table(rows))
    return table(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=ROWS, default=list(ROWS), metavar="MODEL")
    parser.add_argument("--k", nargs="+", type=int, default=[1, 5])
    parser.add_argument("--stages", type=int, default=5, help="5: 121 epochs; the paper's: 8")
    parser.add_argument("--batch", type=int, default=100, help="the paper's: 20")
    parser.add_argument("--hours", type=float, default=2.0, help="of training, for each row")
    parser.add_argument("--samples", type=int, default=5000, help="S")
    parser.add_argument("--device", choices=["cpu", "gpu"], default="cpu")
    parser.add_argument("--anew", action="store_true", help="forget what was trained before")
    parser.add_argument("--quick", action="store_true", help="does it run at all; stores nothing")
    options = parser.parse_args()
    options.images = options.test_images = None
    path, options.backups = HERE / "results" / "likelihood.json", BACKUPS
    if options.quick:
        options.stages, options.samples, options.images, options.test_images = 2, 100, 2000, 600
        path, options.backups = BACKUPS / "quick.json", BACKUPS / "quick"
    if options.device == "gpu" and not tf.config.list_physical_devices("GPU"):
        parser.error("--device gpu: TensorFlow finds no GPU. Expected one, or --device cpu.")
    if options.device == "cpu":
        tf.config.set_visible_devices([], "GPU")
    if not datasets.has_mnist():
        print("MNIST is not here; Keras downloads it once (11 MB).")
    data = datasets.mnist()
    text = ""
    for k in options.k:
        for row in options.only:
            text = store(path, run(row, k, options, data))
            keras.backend.clear_session()
            print(text, flush=True)


if __name__ == "__main__":
    main()
