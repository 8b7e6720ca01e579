r"""M2 against its own classifier, the three-row ablation, and M1, M1+M2, with few labels on digits.

    python benchmarks/semi_supervised.py            # 5 draws, writes benchmarks/results/
    python benchmarks/semi_supervised.py --quick    # 2 draws of a tenth of the steps, prints only

Protocol, the same for every row, and not changed after a `--quick` run that came first (200 steps,
2 draws; it scored on the test split, with M2 below the classifier): the digits' train split (1,197
images, one fixed binarisation), 5 labels per class drawn at random (draw s: seed s), all other
labels hidden; batches of 100, 20 of them labelled; Adam at 1e-3, 2,000 steps, no early stopping,
nothing chosen by results; one hidden layer of 128 softplus units in every network, z of 16.
"Classifier" is M2's q(y|x) trained on the same labelled batches by cross-entropy alone. Accuracy is
on the 300 test images, whose labels nothing has seen. Differences are paired by draw.
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from cvae_tf import M1, M2, VAE, StackedM2, datasets, networks
from cvae_tf.distributions import Bernoulli, Gaussian

PER_CLASS, BATCH, LABELLED, STEPS, RATE = 5, 100, 20, 2000, 1e-3
HIDDEN, LATENT, ACTIVATION = (128,), 16, "softplus"
RESULTS = Path(__file__).parent / "results"
ROWS = {
    "classifier": "classifier alone, on the labels",
    "summed, α": "M2, y summed, with α",
    "summed, no α": "M2, y summed, without α",
    "sampled, no α": "M2, y sampled (score function), without α",
    "summed, α, p(x|y)": "M2, y summed, with α; argmax of p(y) times p(x given y), 100 samples",
    "M1": "M1 features, logistic regression",
    "M1+M2": "M1+M2 stacked",
}
ABLATION = {
    "summed, α": {},
    "summed, no α": {"alpha": 0.0},
    "sampled, no α": {"alpha": 0.0, "sum_over_classes": False},
}


def nets_of(model_class, seed, x, family, **sizes):
    keras.utils.set_random_seed(seed)
    shapes = {"x": x, "z": LATENT, **sizes}
    return networks.mlps(model_class, hidden=HIDDEN, family=family, activation=ACTIVATION, **shapes)


def batches(x, labels, seed):
    return datasets.mixed_batches(
        x, labels, batch_size=BATCH, labelled_per_batch=LABELLED, seed=seed
    )


def trained(model, x, labels, seed, steps):
    model.compile(keras.optimizers.Adam(RATE))
    stream = batches(x, labels, seed)
    model.fit(stream.repeat(), steps_per_epoch=steps, verbose=0)
    return model


def classifier(x, labels, seed, steps):
    """The same network, initialised as M2's, on the labelled rows of the same batches."""
    net = nets_of(M2, seed, 64, Bernoulli(), y=10)["classifier_net"]
    net.compile(
        keras.optimizers.Adam(RATE),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=True,
    )
    stream = batches(x, labels, seed).map(lambda x, y: (x[:LABELLED], y[:LABELLED]))
    net.fit(stream.repeat(), steps_per_epoch=steps, shuffle=False, verbose=0)
    return net


def one_draw(digits, seed, steps, rows):
    """Test accuracy of every row, for one draw of the labels."""
    (x, _, truth), test = digits.train, digits.test
    labels = datasets.labelled_subset(truth, per_class=PER_CLASS, seed=seed)
    counts = {"num_examples": len(x), "num_labelled": int((labels >= 0).sum())}

    def accuracy(predicted):
        return float(np.mean(predicted == test.labels))

    found = {}
    if "classifier" in rows:
        net = classifier(x, labels, seed, steps)
        found["classifier"] = accuracy(net.predict(test.x, verbose=0).argmax(1))
    for row, options in ABLATION.items():
        if row not in rows:
            continue
        family = Bernoulli()
        nets = nets_of(M2, seed, 64, family, y=10)
        model = M2(**nets, family=family, seed=seed, **counts, **options)
        trained(model, x, labels, seed, steps)
        found[row] = accuracy(model.predict(test.x, verbose=0).argmax(1))
        if row == "summed, α" and "summed, α, p(x|y)" in rows:
            found["summed, α, p(x|y)"] = accuracy(model.classify(test.x, num_samples=100))
    if {"M1", "M1+M2"} & set(rows):
        from sklearn.linear_model import LogisticRegression

        family = Bernoulli()
        vae = VAE(**nets_of(VAE, seed, 64, family), family=family, seed=seed)
        epochs = max(1, round(steps * BATCH / len(x)))
        m1 = M1(vae, epochs=epochs, batch_size=BATCH, learning_rate=RATE, min_std=0.1).fit(x)
        seen = labels >= 0
        logistic = LogisticRegression(max_iter=1000).fit(m1.transform(x[seen]), labels[seen])
        found["M1"] = accuracy(logistic.predict(m1.transform(test.x)))
        family = Gaussian("network")
        nets = nets_of(M2, seed, m1.num_features, family, y=10)
        stack = StackedM2(features=m1, **nets, family=family, seed=seed, **counts)
        trained(stack, x, labels, seed, steps)
        found["M1+M2"] = accuracy(stack.predict(test.x, verbose=0).argmax(1))
    return found


def mean_and_error(values):
    values = np.asarray(values, "float64")
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))


def table(draws, steps):
    """(Markdown, dict) of the rows, with paired differences from the classifier."""
    rows = [row for row in ROWS if row in draws[0]]
    lines = [
        "# Semi-supervised digits: test accuracy with 5 labels per class",
        "",
        f"Digits (8×8), train split 1,197 with 50 labels, 300 test images, fixed binarisation; "
        f"{len(draws)} draws of the labels (seeds 0 to {len(draws) - 1}); {steps} steps of Adam "
        f"({RATE:g}), batches of {BATCH} with {LABELLED} labelled, one hidden layer of {HIDDEN[0]} "
        f"softplus units, z of {LATENT}, alpha 0.1, one sample of z. A quick run (200 "
        "steps, 2 draws) came first; no setting was changed after it. Mean ± standard error over "
        "draws; differences are paired by draw.",
        "",
        "| | accuracy % | minus classifier, points | per draw |",
        "|---|---|---|---|",
    ]
    summary = {}
    for row in rows:
        values = [100 * draw[row] for draw in draws]
        mean, error = mean_and_error(values)
        difference = mean_and_error(np.subtract(values, [100 * d["classifier"] for d in draws]))
        summary[row] = {
            "accuracy": mean,
            "standard_error": error,
            "difference": difference[0],
            "difference_standard_error": difference[1],
        }
        shown = "–" if row == "classifier" else f"{difference[0]:+.1f} ± {difference[1]:.1f}"
        per_draw = ", ".join(f"{value:.1f}" for value in values)
        lines.append(f"| {ROWS[row]} | {mean:.1f} ± {error:.1f} | {shown} | {per_draw} |")
    return "\n".join(lines) + "\n", summary


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="draws of the labels, 2 or more")
    parser.add_argument("--quick", action="store_true", help="2 draws, a tenth of the steps")
    options = parser.parse_args()
    num_draws, steps = (2, STEPS // 10) if options.quick else (options.seeds, STEPS)
    digits = datasets.digits(binarise="fixed")
    draws, start = [], time.monotonic()
    for seed in range(num_draws):
        draws.append(one_draw(digits, seed, steps, list(ROWS)))
        keras.backend.clear_session()
        print(f"draw {seed}, {time.monotonic() - start:.0f} s:", draws[-1], flush=True)
        if len(draws) > 1:
            text = store(draws, steps, write=not options.quick)
    print(text)


def store(draws, steps, write):
    """Write the table of the draws so far; returns it as Markdown."""
    text, summary = table(draws, steps)
    if write:
        settings = {
            "per_class": PER_CLASS,
            "batch_size": BATCH,
            "labelled_per_batch": LABELLED,
            "steps": steps,
            "learning_rate": RATE,
            "hidden": HIDDEN,
            "latent_dim": LATENT,
            "activation": ACTIVATION,
            "num_test": 300,
            "binarise": "fixed",
        }
        stored = {"settings": settings, "rows": summary, "draws": draws}
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "semi_supervised.md").write_text(text)
        (RESULTS / "semi_supervised.json").write_text(
            json.dumps(stored, indent=1, ensure_ascii=False) + "\n"
        )
    return text


if __name__ == "__main__":
    main()
