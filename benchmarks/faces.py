r"""Faces from attributes: are CMMA's truer to what was asked for than those of CVAE-1 and CVAE-2?

`python benchmarks/faces.py` writes results/faces.md and results/faces.json beside this file.

Protocol, fixed after a `--quick` run and two changes for time alone (faces, epochs), before any
full result: 12,000 drawn faces of 32×32 (8,000 train; 2,000 validate, not
used; 2,000 test), attributes independent, one data set for all. The three models have the same
hidden layers, latent dimensions, likelihood, optimiser, batches and number of steps; nothing is
selected. A seed decides a model's initial weights, noise and order of the data; each is compared
with the others seed by seed.

Equal latents are not equal room, (6.5): CMMA has to hold the ten attributes in z, beside the twelve
numbers of identity, and the other two need not. Lesson 06 shows what ten more latents give it.

The likelihood is a Gaussian with one learned σ and a floor of 0.02 (5 of 255 grey levels): drawings
have no noise, so without a floor the density, and the log-likelihood with it, would grow for ever
with the last bits of precision.

The attributes of what the models make are read by a network that was trained on the real training
draws alone; its score on real test draws is the ceiling. An edit changes one attribute of a test
face (a binary one is flipped, a continuous one set to −0.8 times its sign) and leaves the others;
since faces are drawn, the right answer is known: the same identity with the new attributes.
"""

import argparse
import json
import time
from pathlib import Path

import keras
import numpy as np
from scipy import stats

from cvae_tf import CMMA, CVAE1, CVAE2, distributions, editing, faces, networks

RESULTS = Path(__file__).parent / "results"
MODELS = {"CMMA": CMMA, "CVAE1": CVAE1, "CVAE2": CVAE2}
SETTINGS = {
    "faces": 12000,
    "size": 32,
    "data seed": 0,
    "hidden": [400, 400],
    "latent_dim": 24,
    "batch_size": 100,
    "epochs": 50,
    "learning rate": 1e-3,
    "min_scale": 0.02,
    "log-likelihood samples": 300,
    "log-likelihood rows": 500,
    "read-out epochs": 20,
}
QUICK = {"faces": 1200, "epochs": 5, "log-likelihood samples": 20, "read-out epochs": 5}
EDITS = {"transport": editing.transport, "re-encode": editing.reencode}


def trained(model_class, data, settings, seed):
    """The model after `fit`, and the seconds it took."""
    keras.utils.set_random_seed(seed)
    family = distributions.Gaussian("shared", initial_scale=0.2, min_scale=settings["min_scale"])
    x, y = data.train.x, data.train.y
    nets = networks.mlps(
        model_class,
        x=x.shape[1],
        y=y.shape[1],
        z=settings["latent_dim"],
        hidden=tuple(settings["hidden"]),
        family=family,
    )
    model = model_class(**nets, family=family, seed=seed)
    steps = settings["epochs"] * -(-len(x) // settings["batch_size"])
    rate = keras.optimizers.schedules.CosineDecay(settings["learning rate"], steps)
    model.compile(keras.optimizers.Adam(rate))
    start = time.time()
    model.fit(x, y, batch_size=settings["batch_size"], epochs=settings["epochs"], verbose=0)
    return model, time.time() - start


def changed(y, column, kind):
    """The attributes with one of them changed."""
    y = y.copy()
    y[:, column] = 1 - y[:, column] if kind == "binary" else np.where(y[:, column] > 0, -0.8, 0.8)
    return y


def rmse(a, b):
    """Root of the mean squared error over pixels and faces, in grey values (white is 1)."""
    return float(np.sqrt(np.mean((a.reshape(len(a), -1) - b.reshape(len(b), -1)) ** 2)))


def averages(scores, data, prefix, without=None):
    """{prefix + kind: the mean score of the attributes of each kind}"""
    return {
        f"{prefix}, {kind}": float(
            np.mean(
                [
                    scores[name]
                    for name, k in zip(data.attribute_names, data.kinds, strict=True)
                    if k == kind and name != without
                ]
            )
        )
        for kind in ("binary", "continuous")
    }


def editing_scores(data, readout, edit):
    """Scores of a way to edit, a function of (x, y, y_new), over all attributes in turn."""
    test = data.test
    reached, kept, errors = {}, [], []
    for column, (name, kind) in enumerate(zip(data.attribute_names, data.kinds, strict=True)):
        y_new = changed(test.y, column, kind)
        edited = edit(test.x, test.y, y_new)
        scores = readout.score(edited, y_new)
        reached[name] = scores[name]
        kept.append(averages(scores, data, "others kept", without=name))
        errors.append(rmse(edited, faces.draw(y_new, test.identity, size=data.image_shape[0])))
    result = {f"reached, {name}": value for name, value in reached.items()}
    result |= averages(reached, data, "reached")
    result |= {key: float(np.mean([k[key] for k in kept])) for key in kept[0]}
    return result | {"distance to the true edit": float(np.mean(errors))}


def measured(model, data, readout, settings):
    """Every number of one trained model, as a flat dict."""
    train, test = data.train, data.test
    rows = slice(settings["log-likelihood rows"])
    generated = model.generate(test.y, seed=1)
    reconstructed = model.reconstruct(test.x, test.y)
    real = readout.features(test.x)
    result = {}
    for split, part in (("train", train), ("test", test)):
        logs = model.evaluate(part.x, part.y, return_dict=True, verbose=0)
        result |= {f"bound, {split}": logs["elbo"], f"kl, {split}": logs["kl"]}
    result["log-likelihood, test"] = float(
        model.log_likelihood(
            test.x[rows], test.y[rows], num_samples=settings["log-likelihood samples"]
        ).mean()
    )
    result["σ"] = float(np.mean(model.likelihood(*_parents(model, test)).stddev()))
    for way, made in (("generated", generated), ("reconstructed", reconstructed)):
        scores = readout.score(made, test.y)
        result |= {f"{way}: {name}": value for name, value in scores.items()}
        result |= averages(scores, data, f"{way}: mean")
        result[f"{way}: Fréchet distance"] = faces.frechet_distance(readout.features(made), real)
    result["reconstructed: distance"] = rmse(reconstructed, test.x)
    ways = {way: _bound_to(edit, model) for way, edit in EDITS.items()}
    ways["anew"] = lambda x, y, y_new: model.generate(y_new, seed=1)
    for way, edit in ways.items():
        scores = editing_scores(data, readout, edit)
        result |= {f"{way}: {key}": value for key, value in scores.items()}
    return {key: float(value) for key, value in result.items()}


def _bound_to(edit, model):
    return lambda x, y, y_new: edit(model, x, y, y_new)


def _parents(model, part):
    z = np.zeros((1, model.latent_dim), "float32")
    return (z,) if isinstance(model, CMMA) else (part.y[:1], z)


def ceilings(data, readout):
    """What the read-out says of real test faces, and what doing nothing counts as."""
    test = data.test
    scores = readout.score(test.x, test.y)
    result = {f"real: {name}": value for name, value in scores.items()}
    result |= averages(scores, data, "real: mean")
    count = len(test.x)
    result["real: Fréchet distance"] = faces.frechet_distance(
        readout.features(data.train.x[:count]), readout.features(test.x)
    )
    true = editing_scores(
        data, readout, lambda x, y, y_new: faces.draw(y_new, test.identity, size=_size(data))
    )
    idle = editing_scores(data, readout, lambda x, y, y_new: x)
    for way, found in (("true edit", true), ("no edit", idle)):
        result |= {f"{way}: {key}": value for key, value in found.items()}
    return result


def _size(data):
    return data.image_shape[0]


def table(runs, real, settings):
    """The Markdown text."""
    seeds = sorted(runs, key=int)
    count = len(seeds)
    critical = stats.t.ppf(0.975, count - 1) if count > 1 else np.inf

    def values(model, key):
        return np.array([runs[seed][model][key] for seed in seeds])

    def spread(numbers):
        error = numbers.std(ddof=1) / np.sqrt(count) if count > 1 else np.nan
        return float(numbers.mean()), float(error)

    def row(label, key, ceiling, digits=3):
        cells = ["{:.{d}f} ± {:.{d}f}".format(*spread(values(m, key)), d=digits) for m in MODELS]
        for other in ("CVAE1", "CVAE2"):
            mean, error = spread(values("CMMA", key) - values(other, key))
            clear = abs(mean) > critical * error
            cells.append(f"{mean:+.{digits}f} ± {error:.{digits}f}{' *' if clear else ''}")
        shown = f"{real[ceiling]:.{digits}f}" if ceiling in real else "–"
        return f"| {label} | {shown} | " + " | ".join(cells) + " |"

    def section(title, text, rows, reference="real faces"):
        names = " | ".join(MODELS)
        head = f"| | {reference} | {names} | CMMA − CVAE1 | CMMA − CVAE2 |"
        return [f"\n## {title}\n", text + "\n", head, "|---" * 7 + "|", *rows]

    def verdict(way, other):
        """How many of the ten attributes are clearly above or below another model's."""
        spreads = [
            spread(values("CMMA", f"{way}{name}") - values(other, f"{way}{name}"))
            for name in faces.ATTRIBUTES
        ]
        clear = [mean for mean, error in spreads if abs(mean) > critical * error]
        above = sum(mean > 0 for mean in clear)
        return (
            f"above {other} in {above}, below in {len(clear) - above}, not separated in "
            f"{len(spreads) - len(clear)}"
        )

    names = list(faces.ATTRIBUTES)
    means = [f"mean, {kind}" for kind in ("binary", "continuous")]
    lines = ["# Faces from attributes: CMMA, CVAE-1 and CVAE-2 on the drawn faces\n"]
    lines.append(
        f"Mean ± standard error over {count} seeds ({', '.join(seeds)}); differences are paired by "
        f"seed, and * marks those beyond Student's 95 % limit for {count - 1} degrees of freedom "
        f"({critical:.2f} standard errors), one row at a time, with no correction for their "
        f"number. Test split: {settings['faces'] // 6:,} faces. "
        "Settings: " + ", ".join(f"{k} {v}" for k, v in settings.items()) + ". "
        "Written by `python benchmarks/faces.py`, whose docstring is the protocol."
    )
    lines.append("\nOf the ten attributes, CMMA is by that limit")
    for way, key in (
        ("generated", "generated: "),
        ("edited by transport", "transport: reached, "),
        ("edited by re-encoding", "re-encode: reached, "),
    ):
        lines.append(f"- {way}: {verdict(key, 'CVAE1')}; {verdict(key, 'CVAE2')}.")
    lines += section(
        "Attributes of generated faces",
        "z from the prior, the mean of the likelihood decoded, y from the test split. Accuracy for "
        "glasses to bow tie, R² for smile to light, by the read-out.",
        [row(n, f"generated: {n}", f"real: {n}") for n in names + means]
        + [row("Fréchet distance", "generated: Fréchet distance", "real: Fréchet distance")],
    )
    lines += section(
        "Attributes of reconstructed faces",
        "z from q. What the generated ones fall short of these is the mismatch of training and "
        "use. The Fréchet distance is that of the read-out's features to those of the test faces; "
        "for real faces, that of as many training faces. Distances between pictures are root mean "
        "squared differences of grey values, white being 1.",
        [row(n, f"reconstructed: {n}", f"real: {n}") for n in names + means]
        + [
            row("Fréchet distance", "reconstructed: Fréchet distance", "real: Fréchet distance"),
            row("distance to the face", "reconstructed: distance", "", 4),
        ],
    )
    samples = settings["log-likelihood samples"]
    lines += section(
        "Likelihood, nats per face",
        f"log p(x|y) by importance sampling, (2.6), {samples} samples, on the first "
        f"{settings['log-likelihood rows']} test faces: a lower bound in expectation. The plain "
        "ELBO and its KL, one sample, on all faces of the split. σ is the likelihood's.",
        [
            row("log p(x\\|y), test", "log-likelihood, test", "", 1),
            *(
                row(f"{what}, {s}", f"{what}, {s}", "", 1)
                for what in ("bound", "kl")
                for s in ("train", "test")
            ),
            row("σ", "σ", "", 4),
        ],
    )
    kept = [
        "reached, binary", "reached, continuous", "others kept, binary",
        "others kept, continuous",
    ]  # fmt: skip
    for way, text in (
        ("transport", "z moved with the prior, (6.3)."),
        ("re-encode", "z from q(z|x,y'), (6.4)."),
        ("anew", "No edit: a new face is generated with y', so nothing ties it to the identity."),
    ):
        lines += section(
            f"Editing: {way}",
            text + " “Reached”: accuracy or R² of the attribute that was changed, against its new "
            "value; “others kept”: of the nine others. The last row is the distance to the same "
            "identity drawn with the new attributes"
            f" (no edit at all: {real['no edit: distance to the true edit']:.4f}).",
            [
                *(row(k, f"{way}: {k}", f"true edit: {k}") for k in kept),
                *(row(f"reached, {n}", f"{way}: reached, {n}", f"true edit: reached, {n}")
                  for n in names),
                row("distance to the true edit", f"{way}: distance to the true edit",
                    "true edit: distance to the true edit", 4),
            ],
            reference="true edit",
        )  # fmt: skip
    return "\n".join(lines) + "\n"


def picture(models, data, path):
    """Six test faces: real, reconstructed, generated, and edited both ways, for each model."""
    from cvae_tf import plotting

    test, rows = data.test, slice(12)
    x, y = test.x[rows], test.y[rows]
    y_new = changed(changed(y, 0, "binary"), 5, "continuous")
    shown = {"real": x, "true edit": faces.draw(y_new, test.identity[rows], size=_size(data))}
    for name, model in models.items():
        shown[f"{name} reconstructs"] = model.reconstruct(x, y)
        shown[f"{name} generates"] = model.generate(y, seed=1)
        shown[f"{name} transports"] = editing.transport(model, x, y, y_new)
        shown[f"{name} re-encodes"] = editing.reencode(model, x, y, y_new)
    images = np.stack([v.reshape(len(x), -1) for v in shown.values()])
    figure = plotting.image_grid(
        images, image_shape=data.image_shape[:2], row_labels=list(shown), cmap="gray"
    )
    figure.savefig(path, dpi=110, bbox_inches="tight")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0")
    parser.add_argument("--quick", action="store_true", help="a minute, to see that it runs")
    parser.add_argument(
        "--epochs", type=int, help="another budget; its tables say so in their name"
    )
    parser.add_argument("--resume", action="store_true", help="keep the seeds already in the JSON")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the tables")
    parser.add_argument("--figure", type=Path, help="also draw examples of the last seed here")
    options = parser.parse_args()
    settings = SETTINGS | (QUICK if options.quick else {})
    name = "faces-quick" if options.quick else "faces"
    if options.epochs:
        settings |= {"epochs": options.epochs}
        name += f"-{options.epochs}-epochs"
    options.output.mkdir(parents=True, exist_ok=True)
    stem = options.output / name
    before = {}
    if options.resume and stem.with_suffix(".json").exists():
        before = json.loads(stem.with_suffix(".json").read_text("utf-8"))
    runs = before["runs"] if before.get("settings") == settings else {}
    if set(runs) >= {str(seed) for seed in range(options.seeds)}:  # nothing to do but the text
        stem.with_suffix(".md").write_text(table(runs, before["real"], settings), "utf-8")
        return

    data = faces.drawn(
        settings["faces"], size=settings["size"], image=False, seed=settings["data seed"]
    )
    readout = faces.Readout(data, epochs=settings["read-out epochs"])
    real = ceilings(data, readout)
    for seed in range(options.seeds):
        if str(seed) in runs:
            continue
        run, models = {}, {}
        for name, model_class in MODELS.items():
            models[name], seconds = trained(model_class, data, settings, seed)
            run[name] = measured(models[name], data, readout, settings)
            run[name] |= {"seconds": seconds, "parameters": models[name].count_params()}
            print(f"seed {seed} {name}: {seconds:.0f} s of training", flush=True)
        runs[str(seed)] = run
        record = {"settings": settings, "real": real, "runs": runs}
        stem.with_suffix(".json").write_text(
            json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf-8"
        )
        stem.with_suffix(".md").write_text(table(runs, real, settings), "utf-8")
        if options.figure:
            picture(models, data, options.figure)
    print(f"{stem.with_suffix('.md')}: {len(runs)} seeds")


if __name__ == "__main__":
    main()
