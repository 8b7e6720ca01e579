r"""Uncertain futures: a CVAE with prior N(0, I) against regressors, where the truth is known.

    python benchmarks/futures.py
    python benchmarks/futures.py --seeds 1 --figure futures.png

Stills of `tasks.futures`: 4,000 to train, 500 to validate, 500 to test. FutureCVAE (9.1), and two
deterministic regressors of the same width under a Gaussian: one σ for all (as the CVAE has), and a
σ for each still and dimension from the network. Same optimiser and early stopping for all.

- negative log-likelihood of the test motions, nats: the CVAE by importance sampling (5.8), the
  regressors and the truth exactly; differences paired by example;
- least Euclidean distance over S draws, S = 1 … 800, pixels; draws include the likelihood's noise,
  except for the regressor's mean, which is one guess whatever S;
- how far the shares of the draws that go each way are from the true probabilities.

Writes benchmarks/results/futures.md and .json.

Source: Walker, Doersch, Gupta & Hebert (2016), section 4.
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from cvae_tf import networks, tasks
from cvae_tf.baselines import Baseline
from cvae_tf.distributions import Gaussian
from cvae_tf.futures import FutureCVAE, draws, least_distance

SETTINGS = {
    "num_train": 4000,
    "num_validation": 500,
    "num_test": 500,
    "hidden": (128, 128),
    "latent_dim": 2,
    "learning_rate": 2e-3,
    "batch_size": 64,
    "epochs": 150,
    "patience": 25,
    "num_samples": 2000,
}
SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 400, 800)
MODELS = {  # name: class and the source of σ
    "FutureCVAE": (FutureCVAE, "shared"),
    "regressor, one σ": (Baseline, "shared"),
    "regressor, σ(x)": (Baseline, "network"),
}


def scenes(settings, seed):
    """Training, validation and test scenes; seeds never overlap."""
    parts = ("train", "validation", "test")
    return [
        tasks.futures(settings[f"num_{part}"], seed=10 * seed + i) for i, part in enumerate(parts)
    ]


def trained(name, training, validation, settings, seed):
    """One of MODELS, fitted with early stopping on its own validation loss."""
    model_class, scale = MODELS[name]
    keras.utils.set_random_seed(seed)
    family = Gaussian(scale, min_scale=0.01)
    nets = networks.mlps(
        model_class,
        x=training.x.shape[1],
        y=training.y.shape[1],
        z=0 if model_class is Baseline else settings["latent_dim"],
        hidden=settings["hidden"],
        family=family,
    )
    model = model_class(**nets, family=family, seed=seed)
    model.compile(keras.optimizers.Adam(settings["learning_rate"]))
    stop = keras.callbacks.EarlyStopping(
        "val_loss", patience=settings["patience"], restore_best_weights=True
    )
    model.fit(
        training.x,
        training.y,
        batch_size=settings["batch_size"],
        epochs=settings["epochs"],
        validation_data=(validation.x, validation.y),
        callbacks=[stop],
        verbose=0,
    )
    return model


def run(settings, seed, sizes=SIZES):
    """Train and measure all of MODELS on one seed.

    Returns:
        (log-likelihoods {name: [N]}, distances {name: {S: [N]}}, share errors {name: float},
        FutureCVAE, test scenes).
    """
    training, validation, test = scenes(settings, seed)
    log_p, distance, share_error, cvae = {"truth": test.log_density()}, {}, {}, None
    for name in MODELS:
        model = trained(name, training, validation, settings, seed)
        log_p[name] = model.log_likelihood(test.x, test.y, num_samples=settings["num_samples"])
        samples = draws(model, test.x, max(sizes), seed=seed)
        distance[f"{name}, draws"] = least_distance(samples, test.y, sizes)
        share_error[name] = float(np.abs(test.shares(samples) - test.probabilities).mean())
        if isinstance(model, FutureCVAE):
            cvae = model
        else:
            mean = model.predictive(test.x)[None]
            one = least_distance(mean, test.y, [1])[1]
            distance[f"{name}, mean"] = {size: one for size in sizes}
    return log_p, distance, share_error, cvae, test


def paired(one, other):
    """Mean and standard error of the difference over examples."""
    d = np.asarray(one, "float64") - other
    return float(d.mean()), float(d.std(ddof=1) / np.sqrt(len(d)))


def report_of(runs, settings, seeds):
    """Numbers of all seeds: means over seeds, standard errors over examples and over seeds."""
    names = list(runs[0][0])
    report = {
        "settings": json.loads(json.dumps(settings)),
        "seeds": seeds,
        "negative_log_likelihood": {
            n: {
                "mean": float(-np.mean([r[0][n].mean() for r in runs])),
                "by_seed": [float(-r[0][n].mean()) for r in runs],
            }
            for n in names
        },
        "gain_over": {
            n: [paired(r[0]["FutureCVAE"], r[0][n]) for r in runs]
            for n in names
            if n != "FutureCVAE"
        },
        "least_distance": {
            n: {str(s): float(np.mean([r[1][n][s].mean() for r in runs])) for s in runs[0][1][n]}
            for n in runs[0][1]
        },
        "share_error": {n: float(np.mean([r[2][n] for r in runs])) for n in runs[0][2]},
    }
    return report


def table(report):
    settings = report["settings"]
    lines = [
        "# Uncertain futures: trajectories of a ball at a junction of two or three arms",
        "",
        f"Test split, N = {settings['num_test']}; seeds {report['seeds']} (scenes, order, weights)."
        f" The CVAE's log-likelihood by importance sampling, S = {settings['num_samples']}; "
        "regressors and truth exactly. Targets: 10 cosine coefficients, pixels.",
        "",
        f"Settings: `{json.dumps(settings)}`.",
        "",
        "| model | −log p(y\\|x), nats | FutureCVAE's gain, per seed (paired, ± standard error) "
        "| error of the ways' shares |",
        "|---|---|---|---|",
    ]
    for name, value in report["negative_log_likelihood"].items():
        gains = report["gain_over"].get(name)
        shown = "–" if gains is None else ", ".join(f"{m:+.2f} ± {e:.2f}" for m, e in gains)
        share = report["share_error"].get(name)
        share = "–" if share is None else f"{share:.3f}"
        lines.append(f"| {name} | {value['mean']:.2f} | {shown} | {share} |")
    sizes = list(next(iter(report["least_distance"].values())))
    lines += [
        "",
        "Least Euclidean distance over S draws, pixels (mean over test examples and seeds); the "
        "regressor's mean is one guess whatever S:",
        "",
        "| S | " + " | ".join(sizes) + " |",
        "|---|" + "---|" * len(sizes),
    ]
    for name, values in report["least_distance"].items():
        lines.append(f"| {name} | " + " | ".join(f"{values[s]:.2f}" for s in sizes) + " |")
    return "\n".join([*lines, ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--quick", action="store_true", help="few epochs: does it run at all")
    parser.add_argument("--figure", type=Path, help="write a picture of sampled futures here")
    arguments = parser.parse_args()
    settings = dict(SETTINGS)
    if arguments.quick:
        settings.update(num_train=500, epochs=3, num_samples=100)
    start = time.perf_counter()
    seeds, runs = list(range(arguments.seeds)), []
    for seed in seeds:
        runs.append(run(settings, seed))
        report = report_of(runs, settings, seeds[: seed + 1])
        print(f"{time.perf_counter() - start:.0f} s\n{table(report)}", flush=True)
    results = Path(__file__).resolve().parent / "results"
    results.mkdir(exist_ok=True)
    path = results / ("futures_quick.json" if arguments.quick else "futures.json")
    path.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    path.with_suffix(".md").write_text(table(report))
    if arguments.figure:
        from cvae_tf import plotting

        _, _, _, cvae, test = runs[0]
        four = test.take(slice(4))
        fig = plotting.sampled_futures(
            four.x, draws(cvae, four.x, 800), four.start, truth=four.y, image_shape=four.image_shape
        )
        with plotting.style():
            fig.savefig(arguments.figure)


if __name__ == "__main__":
    main()
