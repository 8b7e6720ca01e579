r"""Faces from attributes: are CMMA's truer to what was asked for than those of CVAE-1 and CVAE-2?

    python benchmarks/faces.py           drawn faces; results/faces.md and .json beside this file
    python benchmarks/faces.py --resume  keep the seeds that are done
    python benchmarks/faces.py --cmu     real photographs, where CVAE_TF_DATA says they are

Protocol, fixed after a `--quick` run and two changes for time alone (faces, epochs), before any
full result: 12,000 drawn faces of 32×32 (8,000 train; 2,000 validate, not
used; 2,000 test), attributes independent, one data set for all. The models have the same
hidden layers, likelihood, optimiser, batches and number of steps; nothing is
selected. A seed decides a model's initial weights, noise and order of the data; each is compared
with the others seed by seed.

Equal latents are not equal room, (6.5): CMMA has to hold the ten attributes in z, beside the twelve
numbers of identity, and the other two need not. So CMMA comes twice: with as many latents as they
have, and with one more for each attribute ("CMMA+"). That row and the second judge came after the
first table had been seen; no setting of the first three models was changed.

The likelihood is a Gaussian with one learned σ and a floor of 0.02 (5 of 255 grey levels): drawings
have no noise, so without a floor the density, and the log-likelihood with it, would grow for ever
with the last bits of precision.

The attributes of what the models make are read by a network that was trained on the real training
draws alone; its score on real test draws is the ceiling. Is a model perhaps only good at pleasing
that network? A second judge of another kind, scikit-learn's perceptron without convolutions, reads
the same faces, with a ceiling of its own. An edit changes one attribute of a test
face (a binary one is flipped, a continuous one set to −0.8 times its sign) and leaves the others;
since faces are drawn, the right answer is known: the same identity with the new attributes.

The photographs (`--cmu`) are 624 of 20 people, halved to 30×32; what is asked for is pose,
expression and open eyes or sunglasses. A seed splits the people: 14 train, 3 validate (not used), 3
test. The settings were written down before the first run, a `--quick` one of two seeds.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import keras
import numpy as np
from scipy import stats
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cvae_tf import CMMA, CVAE1, CVAE2, distributions, editing, faces, networks
from cvae_tf.readout import attribute_groups, score

RESULTS = Path(__file__).parent / "results"
MODELS = {"CMMA": CMMA, "CVAE1": CVAE1, "CVAE2": CVAE2, "CMMA+": CMMA}
PAIRS = (("CMMA", "CVAE1"), ("CMMA", "CVAE2"), ("CMMA+", "CVAE1"), ("CMMA+", "CVAE2"))
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
    "second judge's epochs": 40,
}
CMU = SETTINGS | {
    "faces": 624,
    "size": [30, 32],
    "hidden": [200, 200],
    "latent_dim": 16,
    "batch_size": 32,
    "epochs": 150,
    "min_scale": 0.03,
    "read-out epochs": 60,
    "second judge's epochs": 200,
}
QUICK = {"faces": 1200, "epochs": 5, "log-likelihood samples": 20, "read-out epochs": 5,
         "second judge's epochs": 5}  # fmt: skip
EDITS = {"transport": editing.transport, "re-encode": editing.reencode}


class SecondJudge:
    """Reads attributes with a perceptron of scikit-learn's, which no convolution helps."""

    def __init__(self, data, *, epochs):
        self.groups = attribute_groups(data.attribute_names, data.kinds)
        self.reader = make_pipeline(
            StandardScaler(with_std=False),
            MLPRegressor(
                hidden_layer_sizes=(300,), alpha=1e-3, max_iter=epochs, random_state=0, tol=0.0
            ),
        )
        with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
            self.reader.fit(data.train.x.reshape(len(data.train.x), -1), data.train.y)

    def score(self, x, y):
        """{attribute: accuracy or R²}, as `Readout.score`."""
        return score(self.reader.predict(x.reshape(len(x), -1)), y, self.groups)


def build(name, data, settings, seed):
    """A model, not trained."""
    model_class, latent_dim = MODELS[name], settings["latent_dim"]
    keras.utils.set_random_seed(seed)
    family = distributions.Gaussian("shared", initial_scale=0.2, min_scale=settings["min_scale"])
    x, y = data.train.x, data.train.y
    nets = networks.mlps(
        model_class,
        x=x.shape[1],
        y=y.shape[1],
        z=latent_dim + y.shape[1] if name == "CMMA+" else latent_dim,
        hidden=tuple(settings["hidden"]),
        family=family,
    )
    return model_class(**nets, family=family, seed=seed)


def trained(name, data, settings, seed):
    """The model after `fit`, and the seconds it took."""
    model, x, y = build(name, data, settings, seed), data.train.x, data.train.y
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
    groups = attribute_groups(data.attribute_names, data.kinds)
    return {
        f"{prefix}, {kind}": float(
            np.mean(
                [scores[name] for name, (k, _) in groups.items() if k == kind and name != without]
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


def measured(model, data, readout, second, settings):
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
        scores = second.score(made, test.y)
        result |= {f"second judge, {way}: {name}": value for name, value in scores.items()}
        result |= averages(scores, data, f"second judge, {way}: mean")
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


def ceilings(data, readout, second):
    """What the read-out says of real test faces, and what doing nothing counts as."""
    test = data.test
    scores = readout.score(test.x, test.y)
    result = {f"real: {name}": value for name, value in scores.items()}
    result |= averages(scores, data, "real: mean")
    scores = second.score(test.x, test.y)
    result |= {f"second judge, real: {name}": value for name, value in scores.items()}
    result |= averages(scores, data, "second judge, real: mean")
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


def spread(numbers):
    """Mean and standard error; NaN of a single number."""
    error = np.std(numbers, ddof=1) / np.sqrt(len(numbers)) if len(numbers) > 1 else np.nan
    return float(np.mean(numbers)), float(error)


def table(runs, real, settings):
    """The Markdown text."""
    seeds = sorted(runs, key=int)
    count = len(seeds)
    critical = stats.t.ppf(0.975, count - 1) if count > 1 else np.inf

    def values(model, key):
        return np.array([runs[seed][model][key] for seed in seeds])

    def row(label, key, ceiling, digits=3):
        cells = ["{:.{d}f} ± {:.{d}f}".format(*spread(values(m, key)), d=digits) for m in MODELS]
        for one, other in PAIRS:
            mean, error = spread(values(one, key) - values(other, key))
            clear = abs(mean) > critical * error
            cells.append(f"{mean:+.{digits}f} ± {error:.{digits}f}{' *' if clear else ''}")
        shown = f"{real[ceiling]:.{digits}f}" if ceiling in real else "–"
        return f"| {label} | {shown} | " + " | ".join(cells) + " |"

    def section(title, text, rows, reference="real faces"):
        names = " | ".join(MODELS)
        pairs = " | ".join(f"{one} − {other}" for one, other in PAIRS)
        head = f"| | {reference} | {names} | {pairs} |"
        columns = 2 + len(MODELS) + len(PAIRS)
        return [f"\n## {title}\n", text + "\n", head, "|---" * columns + "|", *rows]

    def verdict(way, one, other):
        """How many of the ten attributes are clearly above or below another model's."""
        spreads = [
            spread(values(one, f"{way}{name}") - values(other, f"{way}{name}"))
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
    lines.append(
        "\nCMMA+ is CMMA with ten latents more, one for each attribute. Of the ten attributes, by "
        "that limit,"
    )
    for way, key in (
        ("generated", "generated: "),
        ("generated, by the second judge", "second judge, generated: "),
        ("edited by transport", "transport: reached, "),
        ("edited by re-encoding", "re-encode: reached, "),
    ):
        for one in ("CMMA", "CMMA+"):
            against = "; ".join(verdict(key, one, other) for other in ("CVAE1", "CVAE2"))
            lines.append(f"- {way}, {one} is {against}.")
    room = [
        (*spread(values("CMMA+", key) - values("CMMA", key)), digits, of_what)
        for key, digits, of_what in (
            ("log-likelihood, test", 1, "nats of log p(x|y)"),
            ("generated: mean, continuous", 3, "in the mean R² of generated faces"),
        )
    ]
    gains = (f"{mean:.{n}f} ± {error:.{n}f} {of_what}" for mean, error, n, of_what in room)
    lines.append(f"- CMMA+ gains on CMMA {', and '.join(gains)}.")
    lines += section(
        "Attributes of generated faces",
        "z from the prior, the mean of the likelihood decoded, y from the test split. Accuracy for "
        "glasses to bow tie, R² for smile to light, by the read-out.",
        [row(n, f"generated: {n}", f"real: {n}") for n in names + means]
        + [row("Fréchet distance", "generated: Fréchet distance", "real: Fréchet distance")],
    )
    lines += section(
        "The same by a second judge",
        "A perceptron of scikit-learn's on the pixels, which shares nothing with the read-out but "
        "the faces it has learned from.",
        [
            row(f"{way}, {n}", f"second judge, {way}: {n}", f"second judge, real: {n}")
            for way, some in (("generated", names + means), ("reconstructed", means))
            for n in some
        ],
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


def photographs(settings, seed):
    """CMU's photographs at half their size, as rows; the people are split by the seed."""
    data = faces.cmu(attributes=["pose", "expression", "eyes"], seed=seed)

    def halved(part):
        height, width = settings["size"]
        x = part.x.reshape(len(part.x), height, 2, width, 2).mean((2, 4), dtype="float32")
        return faces.Split(x.reshape(len(x), -1), part.y, part.labels)

    splits = {s: halved(getattr(data, s)) for s in ("train", "validation", "test")}
    return data._replace(**splits, all=None, image_shape=(*settings["size"], 1))


def of_photographs(seed, settings):
    """What is stored of a seed: {model or "real": {number: value}}."""
    data = photographs(settings, seed)
    judges = {
        "read-out": faces.Readout(data, epochs=settings["read-out epochs"]),
        "second judge": SecondJudge(data, epochs=settings["second judge's epochs"]),
    }
    test = data.test

    def judged(x):
        return {
            f"{judge}, {name}": value
            for judge, reader in judges.items()
            for name, value in reader.score(x, test.y).items()
        }

    run = {"real": judged(test.x) | {"people": len(np.unique(test.labels[:, 0]))}}
    run["real"]["faces"] = len(test.x)
    for name in MODELS:
        model, seconds = trained(name, data, settings, seed)
        logs = model.evaluate(test.x, test.y, return_dict=True, verbose=0)
        log_p = model.log_likelihood(
            test.x, test.y, num_samples=settings["log-likelihood samples"]
        ).mean()
        run[name] = {
            f"generated: {k}": v for k, v in judged(model.generate(test.y, seed=1)).items()
        }
        run[name] |= {
            f"reconstructed: {k}": v for k, v in judged(model.reconstruct(test.x, test.y)).items()
        }
        run[name] |= {"log p(x|y)": log_p, "bound": logs["elbo"], "seconds": seconds}
    return {name: {k: float(v) for k, v in found.items()} for name, found in run.items()}


def table_of_photographs(runs, settings):
    """The Markdown text."""
    seeds = sorted(runs, key=int)

    def values(of, key):
        return np.array([runs[seed][of][key] for seed in seeds])

    def row(label, key, digits=3, real=None):
        found = [values("real", real)] if real else []
        found += [values(model, key) for model in MODELS]
        found += [values(one, key) - values(other, key) for one, other in PAIRS]
        cells = ["{:.{d}f} ± {:.{d}f}".format(*spread(numbers), d=digits) for numbers in found]
        return f"| {label} | " + " | ".join(cells if real else ["–", *cells]) + " |"

    photos = [runs[s]["real"]["faces"] for s in seeds]
    pairs = " | ".join(f"{one} − {other}" for one, other in PAIRS)
    lines = [
        "# Photographs from attributes: CMMA, CVAE-1 and CVAE-2 on CMU's faces",
        "",
        f"Mean ± standard error over {len(seeds)} splits of the 20 people (seeds "
        f"{', '.join(seeds)}), each with weights and judges of its own; differences are paired by "
        f"split. Test: {min(photos):.0f} to {max(photos):.0f} photographs of three people nobody "
        "has been trained on. Accuracy of pose (4), expression (4), eyes (2), by two judges that "
        "have learned from the same training photographs. What they read on real test photographs "
        "is no ceiling: those people are new to them, and a model's faces are like those it has "
        "seen. log p(x|y): importance sampling, (2.6), a lower bound in expectation, "
        f"{settings['log-likelihood samples']} samples. CMMA+ has one latent more for each column "
        "of y. Settings: " + ", ".join(f"{k} {v}" for k, v in settings.items()) + ".",
        "",
        "Written by `python benchmarks/faces.py --cmu`, whose docstring is the protocol. "
        "CMU Face Images: T. Mitchell, UCI KDD archive.",
        "",
        f"| | real photographs | {' | '.join(MODELS)} | {pairs} |",
        "|---" * (2 + len(MODELS) + len(PAIRS)) + "|",
    ]
    for judge in ("read-out", "second judge"):
        for way in ("generated", "reconstructed"):
            for name in ("pose", "expression", "eyes=sunglasses"):
                key = f"{judge}, {name}"
                lines.append(row(f"{way}: {name} ({judge})", f"{way}: {key}", real=key))
    lines += [row("log p(x\\|y), nats", "log p(x|y)", 1), row("bound, nats", "bound", 1)]
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


def store(stem, settings, runs, real=None):
    """Write the JSON and the table, of photographs where nothing is known of drawn faces."""
    report = {"settings": settings, **({"real": real} if real else {}), "runs": runs}
    text = table(runs, real, settings) if real else table_of_photographs(runs, settings)
    record = json.dumps(report, indent=1, ensure_ascii=False)
    stem.with_suffix(".json").write_text(record + "\n", "utf-8")
    stem.with_suffix(".md").write_text(text, "utf-8")
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0")
    parser.add_argument("--quick", action="store_true", help="a minute, to see that it runs")
    parser.add_argument(
        "--epochs", type=int, help="another budget; its tables say so in their name"
    )
    parser.add_argument("--resume", action="store_true", help="keep the seeds already in the JSON")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the tables")
    parser.add_argument("--cmu", action="store_true", help="photographs, where they are")
    parser.add_argument("--figure", type=Path, help="also draw examples of the last seed here")
    options = parser.parse_args()
    settings = (CMU if options.cmu else SETTINGS) | (QUICK if options.quick else {})
    name = ("faces_cmu" if options.cmu else "faces") + ("-quick" if options.quick else "")
    if options.epochs:
        settings |= {"epochs": options.epochs}
        name += f"-{options.epochs}-epochs"
    options.output.mkdir(parents=True, exist_ok=True)
    stem = options.output / name
    before = {}
    if options.resume and stem.with_suffix(".json").exists():
        before = json.loads(stem.with_suffix(".json").read_text("utf-8"))
    runs = before["runs"] if before.get("settings") == settings else {}
    real = before.get("real")
    missing = [str(seed) for seed in range(options.seeds) if str(seed) not in runs]
    if not missing:  # nothing to do but the text
        store(stem, settings, runs, real)
        return
    if options.cmu:
        for seed in missing:
            runs[seed] = of_photographs(int(seed), settings)
            print(store(stem, settings, runs), flush=True)
        return

    data = faces.drawn(
        settings["faces"], size=settings["size"], image=False, seed=settings["data seed"]
    )
    readout = faces.Readout(data, epochs=settings["read-out epochs"])
    second = SecondJudge(data, epochs=settings["second judge's epochs"])
    real = ceilings(data, readout, second)
    for seed in missing:
        run, models = {}, {}
        for name in MODELS:
            models[name], seconds = trained(name, data, settings, int(seed))
            run[name] = measured(models[name], data, readout, second, settings)
            run[name] |= {"seconds": seconds, "parameters": models[name].count_params()}
            print(f"seed {seed} {name}: {seconds:.0f} s of training", flush=True)
        runs[seed] = run
        store(stem, settings, runs, real)
        if options.figure:
            picture(models, data, options.figure)
    print(f"{stem.with_suffix('.md')}: {len(runs)} seeds")


if __name__ == "__main__":
    main()
