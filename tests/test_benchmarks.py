"""What the benchmarks build on: drawn pixels, the schedule, tables of what was stored."""

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import tensorflow as tf

from cvae_tf import M2, datasets, faces
from cvae_tf.distributions import Bernoulli
from cvae_tf.noise import Place

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


def module_of(name):
    """A file of benchmarks/ as a module."""
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def likelihood():
    return module_of("likelihood")


def test_pixels_are_drawn_anew_at_every_step_and_binary_ones_stay(likelihood):
    rng = np.random.default_rng(0)
    grey = rng.uniform(size=(200, 784)).astype("float32")
    y = np.eye(10, dtype="float32")[rng.integers(0, 10, 200)]
    model = likelihood.build("CVAE-1", 1, grey.mean(0))
    first, second = (
        model.factors_see(tf.constant(grey), tf.constant(y), place=Place("training", step))[0]
        for step in (0, 1)
    )
    assert set(np.unique(first)) == {0.0, 1.0}
    assert 0.3 < np.mean(first != second) < 0.37  # E 2p(1 − p) over p uniform: a third
    # each image by itself: its share of ink is its mean grey value, within 5 standard errors
    error = np.sqrt((grey * (1 - grey)).sum(1)) / 784
    assert (abs(np.mean(first, 1) - grey.mean(1)) < 5 * error).all()
    part = model.factors_see(tf.constant(grey[50:]), y[50:], place=Place("training", 0, 50))[0]
    np.testing.assert_array_equal(part, first[50:])  # of the row, not of the batch
    same = model.factors_see(first, y, place=Place("training", 7))[0]
    np.testing.assert_array_equal(same, first)
    biases = model.likelihood_net.layers[-1].bias.numpy()
    np.testing.assert_allclose(tf.sigmoid(biases), grey.mean(0), rtol=1e-4)


def test_the_schedule_is_that_of_the_paper(likelihood):
    rates = likelihood.rates(8)
    assert len(rates) == 3280
    assert rates[0] == 1e-3
    np.testing.assert_allclose([rates[1], rates[-1]], [10 ** (-3 - 1 / 7), 1e-4])


def test_a_row_replaces_its_like_and_gains_are_of_one_schedule(likelihood, tmp_path):
    row = {
        "row": "VAE", "k": 1, "of": "log p(x)", "latent_dim": 50, "batch": 100, "epochs": 4,
        "whole schedule": 4, "steps": 80, "minutes of training": 1, "nll": 90.0,
        "standard error": 0.2, "test images": 10_000, "samples": 5000, "device": "cpu",
    }  # fmt: skip
    path = tmp_path / "likelihood.json"
    likelihood.store(path, row | {"nll": 95.0})
    assert "What k > 1 gains" not in likelihood.store(path, row)
    text = likelihood.store(path, row | {"k": 5, "nll": 88.5})
    assert "95.00" not in text
    assert "| VAE | 50 | 5 | 100, 4 | 1.50 | 1.22 | 1.17 |" in text
    assert "| VAE | 50 | 5 | 4 | 88.50 ± 0.20 | 85.54 | 85.18 |" in text
    stopped = row | {"k": 50, "nll": 87.0, "epochs": 2}  # of other lengths: no gain is told
    text = likelihood.store(path, stopped)
    assert "2 of 4" in text
    assert "| VAE | 50 | 50 |" not in text.partition("What k > 1 gains")[2]


# Few labels --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def semi_supervised():
    return module_of("semi_supervised")


def digits_of_28(num, seed=0):
    """Grey images of MNIST's size, no digits, and a class for each."""
    rng = np.random.default_rng(seed)
    truth = np.arange(num) % 10
    x = rng.uniform(size=(10, 784))[truth] * rng.uniform(0.5, 1, (num, 784))
    return datasets.Split(x.astype("float32"), np.eye(10, dtype="float32")[truth], truth)


def test_a_relaxed_label_is_the_sum_where_q_is_certain_or_y_unseen(semi_supervised):
    family = Bernoulli()
    nets = semi_supervised.nets_of(M2, 0, (8,), family, x=784, z=3, y=10)
    nets["likelihood_net"].set_weights([5 * w for w in nets["likelihood_net"].get_weights()])
    data, noise = digits_of_28(20), tf.random.stateless_normal([1, 20, 3], [1, 2])
    labels = tf.constant(np.where(np.arange(20) % 2, data.labels, -1), tf.int32)
    last = nets["classifier_net"].layers[-1]
    kernel = last.get_weights()[0]

    def bounds():
        for model_class in (M2, semi_supervised.Relaxed):
            of = {"family": family, "sum_over_classes": model_class is M2, "seed": 0}
            yield model_class(**nets, **of).objective(tf.constant(data.x), labels, noise=noise)

    last.set_weights([0 * kernel, 50.0 * np.eye(10)[4]])  # q(y|x) is all on the class 4
    for exact, relaxed in zip(*([each, *bound[:3]] for each, bound in bounds()), strict=True):
        np.testing.assert_allclose(relaxed, exact, rtol=1e-5)
    last.set_weights([0 * kernel, np.zeros(10)])
    (_, exact), (losses, relaxed) = bounds()
    np.testing.assert_allclose(relaxed.elbo[1::2], exact.elbo[1::2], rtol=1e-5)  # with a label
    assert (np.abs(relaxed.elbo - exact.elbo)[::2] > 0.1).all()
    np.testing.assert_allclose(-losses[::2], relaxed.elbo[::2], rtol=1e-5)
    last.set_weights([10 * kernel, np.zeros(10)])
    for name, of_y in {"likelihood_net": slice(10), "posterior_net": slice(784, None)}.items():
        first = next(layer for layer in nets[name].layers if layer.weights)
        weights, bias = first.get_weights()
        weights[of_y] = 0  # no network sees y: a label is as good as another, relaxed or not
        first.set_weights([weights, bias])
    for exact, relaxed in zip(*([each, *bound[:3]] for each, bound in bounds()), strict=True):
        np.testing.assert_allclose(relaxed, exact, rtol=1e-5)


def test_the_stream_goes_on_where_it_was(semi_supervised):
    data = digits_of_28(400)
    labels = datasets.labelled_subset(data.labels, per_class=2, seed=0)

    def drawn(first, count):
        stream, per_pass = semi_supervised.mnist_stream(data.x, labels, "summed, α", 3, first)
        return per_pass, list(stream.take(count * per_pass).as_numpy_iterator())

    per_pass, whole = drawn(0, 3)
    assert per_pass == 5  # 380 unlabelled, 80 a batch: the last one is filled up
    _, later = drawn(1, 2)
    for (x, y), (x_later, y_later) in zip(whole[per_pass:], later, strict=True):
        np.testing.assert_array_equal(x, x_later)
        np.testing.assert_array_equal(y, y_later)
        assert set(np.unique(x)) <= {0.0, 1.0} and (y[:20] >= 0).all() and (y[20:] < 0).all()
    mean = np.mean([x.mean() for x, _ in whole])
    assert abs(mean - data.x.mean()) < 0.01
    only = semi_supervised.mnist_stream(data.x, labels, "classifier", 3, 0)[0]
    x, y = next(iter(only))
    np.testing.assert_array_equal(x, whole[0][0][:20])
    np.testing.assert_array_equal(y, whole[0][1][:20])


@pytest.mark.slow
@pytest.mark.parametrize("row", ["classifier", "summed, α", "relaxed, α = 10"])
def test_a_killed_run_ends_with_the_same_numbers(semi_supervised, tmp_path, row):
    part = digits_of_28(400)
    data = SimpleNamespace(train=part, validation=digits_of_28(100, 1), test=digits_of_28(100, 2))

    def run(folder, updates):
        how = {"device": "cpu", "rate": 1e-3, "anew": False}
        options = SimpleNamespace(updates=updates, backups=folder, **how)
        return semi_supervised.run(row, 50, 0, data, None, options)

    whole = run(tmp_path / "whole", 15)
    first = run(tmp_path / "parts", 5)
    assert [len(found["curve"]) for found in (whole, first)] == [3, 1]
    folder = next((tmp_path / "parts").iterdir())
    (folder / "told.json.part").write_text("{")  # what a kill at the wrong moment leaves behind
    (folder / "2.keras").write_bytes(b"half of a file")
    assert run(tmp_path / "parts", 15)["curve"] == whole["curve"]
    assert len(list(folder.glob("*.keras"))) == 1


def entry(row, seed, *errors):
    """What is stored of a run at 100 labels with these test errors."""
    curve = [[1000 * (i + 1), e, e] for i, e in enumerate(errors)]
    rest = {"labels": 100, "device": "cpu", "seconds": 60.0, "rate": 1e-3}
    return {"row": row, "seed": seed, "curve": curve, **rest}


def test_what_still_falls_is_marked_and_draws_are_paired(semi_supervised):
    flat = [entry("classifier", s, 25.0, 22.0 + s, 22.0 + s, 22.0 + s) for s in range(3)]
    falls = [entry("summed, α", s, 30.0, 20.0 + s, 19.0, 18.0 + s) for s in range(3)]
    noisy = [entry("summed, no α", s, 80.0, 70.0, 60.0, (40.0, 75.0, 80.0)[s]) for s in range(3)]
    back = [entry("summed, no α", s, 50.0, 60.0, 58.0, 55.0 + s) for s in range(3)]
    told = [semi_supervised.is_falling(some) for some in (flat, falls, noisy, falls[:1], back)]
    assert told == [False, True, False, True, False]
    text = semi_supervised.mnist_table([*flat, *falls, *noisy])
    assert "| 4,000 | 19.00 ± 0.58, falling | 18.00, 19.00, 20.00 | -4.0 ± 0.0 |" in text
    assert "11.97 ± 1.71 (paper)" in text
    assert "| M2, y summed, with α | 30.00 | 21.00 |" in text  # after 1,000 and 2,000 updates


def test_draws_of_different_lengths_are_not_averaged_at_their_ends(semi_supervised):
    short = [entry("summed, α", s, 30.0, 20.0 + s) for s in (0, 2)]
    longer = entry("summed, α", 1, 30.0, 21.0, 5.0, 4.0)
    text = semi_supervised.mnist_table([short[0], longer, short[1]])
    assert "| 2,000 | 21.00 ± 0.58, falling | 20.00, 21.00, 22.00 | – |" in text
    assert "| 4,000 | 4.00, falling | 4.00 | – |" in text
    minutes = [line.rsplit("|", 2)[1] for line in text.splitlines() if "000 | 21.00" in line]
    assert minutes == [" 1, cpu "]  # (60 + 30 + 60) s / 3


@pytest.mark.parametrize(
    ("firsts", "top"), [((20.0,), 24), ((90.0,) * 3, 100), ((20.0, 40.0), 1.2 * (30 + 10))]
)
def test_a_figure_is_as_high_as_its_curves_and_their_bars(semi_supervised, firsts, top):
    entries = [entry("classifier", seed, first, 9.0) for seed, first in enumerate(firsts)]
    axes = semi_supervised.figure(entries, 100).axes[0]
    assert axes.get_ylim() == pytest.approx((0, top))
    assert ("one draw" in axes.get_title()) == (len(firsts) == 1)


def test_a_figure_of_a_long_row_has_the_ends_of_all(semi_supervised):
    short = entry("classifier", 0, *np.linspace(30.0, 20.0, 19))
    long = entry("summed, α", 0, *np.linspace(30.0, 10.0, 80))
    axes = semi_supervised.figure([short, long], 100).axes[0]
    assert axes.get_xscale() == "log"
    ends = {}
    for line in axes.get_lines():
        x, y = (np.asarray(v, float) for v in line.get_data())
        if len(x) > 2 and np.isfinite(y).any():
            ends[x[np.isfinite(y)][-1]] = y[np.isfinite(y)][-1]
    assert ends == {19_000: 20.0, 80_000: 10.0}


# Faces, and all tables ---------------------------------------------------------------------------


@pytest.mark.slow
def test_the_second_judge_reads_what_it_has_learned_and_no_more():
    benchmark, data = module_of("faces"), faces.drawn(600, size=16, image=False, seed=0)
    judge = benchmark.SecondJudge(data, epochs=200)
    learned, new = (judge.score(part.x, part.y) for part in (data.train, data.test))
    assert list(learned) == list(data.attribute_names)
    assert min(learned.values()) > 0.95 and new["hat"] > 0.9 and new["pose"] > 0.8
    nobody = judge.score(np.zeros_like(data.test.x), data.test.y)  # R² of a constant is at most 0
    assert max(nobody[name] for name in ("smile", "pose", "light")) <= 0
    assert benchmark.averages(new, data, "mean").keys() == {"mean, binary", "mean, continuous"}


def test_room_for_y_is_a_latent_for_each_attribute():
    benchmark, data = module_of("faces"), faces.drawn(60, size=16, image=False, seed=0)
    settings = benchmark.SETTINGS | {"hidden": [8], "latent_dim": 3}
    sizes = {n: benchmark.build(n, data, settings, 0).latent_dim for n in ("CMMA", "CMMA+")}
    assert sizes == {"CMMA": 3, "CMMA+": 13}


def test_what_room_for_y_brings_is_paired_by_seed(tmp_path):
    stored = json.loads((BENCHMARKS / "results" / "faces.json").read_text("utf-8"))
    for seed, gain in zip(stored["runs"], (1.0, 2.0, 6.0), strict=True):
        one, more = (stored["runs"][seed][name] for name in ("CMMA", "CMMA+"))
        more["log-likelihood, test"] = one["log-likelihood, test"] + gain
        more["generated: mean, continuous"] = one["generated: mean, continuous"] - 0.25
    text = module_of("faces").store(tmp_path / "faces", **stored)
    assert "CMMA 3.0 ± 1.5 nats of log p(x|y), and -0.250 ± 0.000 in the mean R²" in text


def made_again(name, stored, folder):
    """The Markdown that a benchmark makes of its JSON."""
    if name.startswith("faces"):
        return module_of("faces").store(folder / name, **stored)
    if name.startswith("completion"):
        return module_of("completion").table(stored)
    if name == "semi_supervised":
        return module_of(name).table(stored["draws"], stored["settings"]["steps"])[0]
    if name == "semi_supervised_mnist":
        return module_of("semi_supervised").mnist_table(stored)
    if name == "speed":
        return module_of(name).as_markdown(stored)
    return module_of(name).table(stored)


RESULTS = sorted((BENCHMARKS / "results").glob("*.json"))


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_each_table_is_made_of_the_numbers_beside_it(path, tmp_path):
    stored = json.loads(path.read_text("utf-8"))
    assert path.with_suffix(".md").read_text("utf-8") == made_again(path.stem, stored, tmp_path)


PICTURES = sorted((BENCHMARKS / "results").glob("*.png"))


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_a_figure_is_sharp_in_the_widest_column(path):
    assert plt.imread(path).shape[1] >= 1.9 * 864  # CSS pixels of the column in a window of 1,920


def quoted(page):
    """Phrases of "What has been reproduced", made of the stored numbers."""
    results = {path.stem: json.loads(path.read_text("utf-8")) for path in RESULTS}
    nll = {(r["row"], r["k"], r["epochs"]): r["nll"] for r in results["likelihood"]}
    burda = {k: module_of("likelihood").PUBLISHED["Burda et al. 2015"]["VAE", k] for k in (1, 5)}
    yield f"{nll['VAE', 1, 121] - burda[1]:.1f} nats short for k = 1"
    yield f"k = 5 gains {nll['VAE', 1, 121] - nll['VAE', 5, 121]:.2f} nats on the VAE"
    yield f"still {nll['VAE', 5, 121] - burda[5]:.1f} nats behind the paper"
    for row, words in (("VAE", "{:.1f} nats on the VAE"), ("CVAE-2", "{:.1f} on CVAE-2")):
        yield words.format(nll[row, 1, 40] - nll[row, 50, 40])
    ahead = [nll[row, 50, 40] - nll["CVAE-1", 50, 40] for row in ("CMMA", "CVAE-2")]
    yield "{:.1f} ahead of CMMA and {:.1f} ahead of CVAE-2".format(*ahead)

    errors = {}
    for e in results["semi_supervised_mnist"]:
        errors.setdefault((e["row"], e["labels"]), []).append(e["curve"][-1][2])
    mean = {key: np.mean(some) for key, some in errors.items()}
    m2, both = "summed, α = 10", "M1+M2"
    yield f"100 labels: M2 {mean[m2, 100]:.1f} %, M1+M2 {mean[both, 100]:.1f} %"
    yield f"1,000: {mean[m2, 1000]:.1f} % and {mean[both, 1000]:.1f} %"
    mean_and_error = module_of("semi_supervised").mean_and_error
    ends = "ends at {:.1f} ± {:.1f} %, level with the paper's 11.97"
    yield ends.format(*mean_and_error(errors[m2, 100]))
    assert abs(mean[m2, 100] - 11.97) < 1.71
    ahead = mean_and_error(np.subtract(errors[m2, 100], errors[both, 100]))
    yield "{:.1f} ± {:.1f} points, paired by draw".format(*ahead)
    yield f"{mean[both, 100] - 3.33:.1f} points behind the paper"
    yield f"take {mean['classifier', 100] - mean['classifier', 1000]:.0f} points off the classifier"
    yield f"leaves M2 at {mean['summed, α', 100]:.0f} %"

    tasks = results["completion_mnist"]["tasks"]
    for row, model, estimator in (
        ("| baseline |", "baseline", "exact"),
        ("| GSNN, MC |", "GSNN", "prior"),
        ("| CVAE, MC |", "CVAE-3", "prior"),
        ("| CVAE, IS |", "CVAE-3", "importance"),
    ):
        line = next(line for line in page.splitlines() if line.startswith(row))
        paper = [float(cell) for cell in line.split("|")[2:-1:2]]
        ours = [
            np.mean([s["negative_log_likelihood"][model][estimator] for s in tasks[n].values()])
            for n in "123"
        ]
        cells = (f"{theirs:.2f} | {our:.2f}" for theirs, our in zip(paper, ours, strict=True))
        yield f"{row} {' | '.join(cells)} |"
    behind = [our - theirs for theirs, our in zip(paper, ours, strict=True)]
    yield f"{behind[1]:.1f} and {behind[0]:.1f} nats behind on two and one"


def test_the_page_quotes_what_is_stored():
    page = (BENCHMARKS.parent / "docs" / "reproduced.md").read_text("utf-8")
    text = " ".join(page.split())
    missing = [phrase for phrase in quoted(page) if phrase not in text]
    assert not missing


# Completion --------------------------------------------------------------------------------------


def test_only_sizes_that_were_measured_have_a_column():
    benchmark = module_of("completion")
    stored = json.loads((BENCHMARKS / "results" / "completion_mnist.json").read_text("utf-8"))
    first = next(iter(stored["tasks"]["1"].values()))
    assert "10000" not in first["convergence"]
    assert "| S = 1000 |\n" in benchmark.table(stored)
    first["convergence"]["10000"] = {"importance": -67.125}
    assert "| S = 1000 | S = 10000 |\n" in benchmark.table(stored)


@pytest.mark.slow
def test_a_completed_model_is_not_trained_again(tmp_path, monkeypatch):
    benchmark, digits = module_of("completion"), datasets.digits("fixed", seed=0)
    few = {s: getattr(digits, s).take(slice(40)) for s in ("train", "validation", "test")}
    monkeypatch.setattr(benchmark, "CONVERGENCE", (1, 5))
    settings = benchmark.DIGITS | {"hidden": (8,), "epochs": 1, "num_samples": 5}
    how = {"models": ("baseline", "CVAE-3"), "converge": True, "folder": tmp_path}
    first = benchmark.run(digits._replace(**few), 1, 0, settings, **how)
    assert {m: set(v) for m, v in first[0].items()} == {
        "baseline": {"exact"}, "CVAE-3": {"importance", "prior"}
    }  # fmt: skip
    assert first[2][5]["importance"] == pytest.approx(first[0]["CVAE-3"]["importance"].mean())
    monkeypatch.setattr(benchmark, "train", lambda *_: pytest.fail("it is kept"))
    (tmp_path / "hybrid.part.npz").write_bytes(b"what a kill leaves behind")
    again = benchmark.run(digits._replace(**few), 1, 0, settings, **how)
    np.testing.assert_equal(again, first)
    with pytest.raises(pytest.fail.Exception, match="kept"):  # what is kept is of other settings
        benchmark.run(digits._replace(**few), 1, 0, settings | {"latent_dim": 4}, **how)
    (tmp_path / "baseline.npz").unlink()
    with pytest.raises(pytest.fail.Exception, match="kept"):
        benchmark.run(digits._replace(**few), 1, 0, settings, **how)
