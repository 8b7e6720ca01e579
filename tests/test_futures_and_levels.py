"""The explorables of lessons 09 and 11: what they show against the library with their weights."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from explorable_models._lesson import definitions  # noqa: E402

FUTURES = "document.querySelector('[data-explore=futures]').explore"
LEVELS = "document.querySelector('[data-explore=levels]').explore"
MODELS = ("regressor", "mixture", "CVAE")


@pytest.fixture(scope="module")
def page(browser, explore_page):
    """A function that opens explore.html."""
    return lambda **look: browser.open(explore_page, **look)


def models_of(name):
    """The models with the weights of the page, and what else the page was told."""
    import explorables

    facts = explorables.stored(name)["facts"]
    return explorables.restored(name), facts


def test_a_lesson_s_definitions_are_taken_by_name():
    with pytest.raises(ValueError, match="does not define nothing_of_this_name"):
        definitions("11_where_this_leads", "Diffusion", "nothing_of_this_name")


def test_the_weights_are_light():
    numbers = 0
    for name in ("futures", "levels"):
        text = (ROOT / f"docs/_static/explore/weights_{name}.js").read_text(encoding="utf-8")
        numbers += sum(len(data) for data in re.findall(r'"data": "([^"]*)"', text))
    assert numbers * 3 / 4 < 2**20


# --- Futures -------------------------------------------------------------------------------------


def arms_of(scene):
    """The directions of a still's arms, as the page counts them: from right, clockwise."""
    ways = scene.modes[0][scene.probabilities[0] > 0]
    return np.round(np.arctan2(ways[:, 5], ways[:, 0]) / (2 * np.pi) * 8).astype(int) % 8


def drawn_by(models, scene, uniforms, normals):
    """Each model's draws of y from the page's noise, [200, 10]."""
    x, first, rest = scene.x, normals[:, :1, None].astype("float32"), normals[:, 1:]
    ways = scene.modes[0][scene.probabilities[0] > 0]
    mixture = models["mixture"].likelihood(x)
    weights = mixture.mixture_distribution.probs_parameter().numpy()[0]
    which = (np.cumsum(weights)[:-1] <= uniforms[:, None]).sum(1)
    parts = mixture.components_distribution
    regressor, decoded = models["regressor"].likelihood(x), models["CVAE"].likelihood(x, first)
    return {
        "truth": ways[(uniforms * len(ways)).astype(int)] + 0.2 * rest,
        "regressor": regressor.mean().numpy()[0] + regressor.stddev().numpy()[0] * rest,
        "mixture": parts.mean().numpy()[0][which] + parts.stddev().numpy()[0][which] * rest,
        "CVAE": decoded.mean().numpy()[:, 0] + decoded.stddev().numpy()[:, 0] * rest,
    }


def likelihoods(models, scene, y, epsilon):
    """log p(y|x) of each model, nats; the CVAE's by (5.8) and its bound, from the page's noise."""
    x, epsilon = scene.x, np.asarray(epsilon, "float32")[:, None, None]
    cvae = models["CVAE"]
    q = cvae.posterior(x, y)
    z = q.mean() + q.stddev() * epsilon
    weights = cvae.likelihood(x, z).log_prob(y) + cvae.prior().log_prob(z) - q.log_prob(z)
    bound = cvae.bound(x, y, noise=epsilon)
    return {
        "truth": scene.log_density(y)[0],
        "regressor": models["regressor"].bound(x, y).value.numpy()[0],
        "mixture": models["mixture"].bound(x, y).value.numpy()[0],
        "CVAE": logsumexp(weights.numpy()) - np.log(len(epsilon)),
        "bound": bound.value.numpy()[0],
        "kl": bound.kl.numpy()[0],
    }


@pytest.mark.slow
def test_the_futures_are_the_models(page):
    from cvae_tf import tasks

    models, facts = models_of("futures")
    page, rng = page(), np.random.default_rng(0)
    assert facts["reach"] == 5.5 and facts["sigma"] == 0.2
    for number, arms in enumerate((2, 3, 1, 4)):
        scene = tasks.futures(1, seed=number, ways=(arms,))
        given = {"arms": arms_of(scene).tolist(), "start": scene.start[0].tolist()}
        for end in ([2.0, -1.5], rng.uniform(-5, 5, 2).tolist()):
            page.evaluate(f"{FUTURES}.set({{...{given}, end: {end}, seed: {number + 1}}})")
            shown = page.evaluate(
                f"(e => ({{x: [...e.seen.x], ways: e.seen.ways, mean: [...e.seen.mean], now: e.now,"
                f" drawn: e.drawn, noise: e.noise, forY: e.forY}}))({FUTURES})"
            )
            np.testing.assert_allclose(shown["x"], scene.x[0], atol=1e-5)
            np.testing.assert_allclose(shown["ways"], scene.modes[0][:arms], atol=1e-6)
            mean = models["regressor"].predictive(scene.x)[0]
            np.testing.assert_allclose(shown["mean"], mean, atol=1e-3)
            frames = (np.arange(30) / 29)[:, None] ** 2
            y = tasks.coefficients(frames * np.array(end)).astype("float32")[None]
            wanted = likelihoods(models, scene, y, shown["forY"])
            for name, nats in wanted.items():
                assert abs(shown["now"][name] - nats) < 1e-2, (name, arms, end)
            rows = page.evaluate(
                "[...document.querySelectorAll('[data-explore=futures] table tr')]"
                ".map(r => [...r.cells].map(c => c.textContent))"
            )
            read = {name: float(log_p.replace("−", "-")) for name, log_p, _ in rows[1:]}
            assert abs(read["CVAE, bound (9.1)"] - wanted["bound"]) < 0.016
            assert all(abs(read[name] - wanted[name]) < 0.016 for name in ("truth", *MODELS))
        lead = page.evaluate(
            "document.querySelector('[data-explore=futures] .explore-sum').textContent"
        )
        read = [float(n.replace("−", "-")) for n in re.findall(r"−?\d+\.\d\d", lead)]
        told = [scene.distance(mean[None])[0], scene.log_density(mean[None])[0]]
        np.testing.assert_allclose(read, told[: len(read)], atol=0.016)
        assert ("Nobody" in lead) == (told[0] > facts["radius"])
        noise = {key: np.array(value) for key, value in shown["noise"].items()}
        for name, paths in drawn_by(models, scene, **noise).items():
            own = shown["drawn"][name]
            np.testing.assert_allclose(own["paths"], paths, atol=1e-3, err_msg=name)
            off = scene.distance(paths[:, None])[:, 0] > facts["radius"]
            way = scene.nearest_way(paths[:, None])[:, 0]
            shares = [np.mean((way == w) & ~off) for w in range(arms)]
            found = [own["off"], *own["shares"]]
            np.testing.assert_allclose(found, [off.mean(), *shares], atol=0.006)
    drawn = page.evaluate(f"{FUTURES}.drawn.CVAE.paths.map({FUTURES}.path)")
    by_library = tasks.trajectories(np.array(shown["drawn"]["CVAE"]["paths"]))
    np.testing.assert_allclose(drawn, by_library, atol=1e-3)


@pytest.mark.slow
def test_the_future_follows_mouse_finger_and_keys(page):
    def place(one, what):
        x, y, *_ = one.box("[data-explore=futures] canvas")
        left, up = one.evaluate(f"{FUTURES}.place().{what}")
        return x + left, y + up

    one = page()
    one.evaluate(f"{FUTURES}.set({{arms: [5, 7], start: [7.5, 8.5], end: [-2, -2]}})")
    one.drag(place(one, "end"), place(one, "moved([0, -3])"))
    np.testing.assert_allclose(one.evaluate(f"{FUTURES}.state.end"), [0, -3], atol=0.1)
    one.key("ArrowRight")
    np.testing.assert_allclose(one.evaluate(f"{FUTURES}.state.end"), [0.25, -3], atol=0.1)
    one.drag(place(one, "tips[1]"), place(one, "moved([5, 0])"))
    assert one.evaluate(f"{FUTURES}.state.arms") == [5, 0]
    one.drag(place(one, "ball"), place(one, "at([8.1, 7.9])"))
    np.testing.assert_allclose(one.evaluate(f"{FUTURES}.state.start"), [8.1, 7.9], atol=0.1)
    lead = one.evaluate("document.querySelector('[data-explore=futures] .explore-sum').textContent")
    assert "Nobody takes it" in lead and one.said == []
    one = page(width=390, touch=True)
    one.swipe(place(one, "end"), place(one, "moved([3, -1])"))
    np.testing.assert_allclose(one.evaluate(f"{FUTURES}.state.end"), [3, -1], atol=0.1)
    assert one.said == []
    each = one.evaluate(
        f"(() => {{ const t = performance.now(); for (let i = 0; i < 20; i++)"
        f" {FUTURES}.set({{end: [i / 5, 1]}}); return (performance.now() - t) / 20; }})()"
    )
    print(f"{each:.1f} ms for a frame; thirty a second are 33 ms each, on a quiet machine")
    assert each < 10 * 33


# --- Noise levels --------------------------------------------------------------------------------


def walk(model, labels, w, epsilon):
    """All levels of the walks as the lesson's `sample` has them, z_T first, the mean of x last."""
    from explorable_models import levels

    back, alpha = levels.LESSON["back"], levels.LESSON["alpha"]
    model.w, y = w, np.eye(model.likelihood_net.inputs[0].shape[1], dtype="float32")[labels]
    line = np.linspace(model.end, -model.end, model.T, dtype="float32")
    line = np.repeat(line[:, None, None], len(labels), 1)
    at = [epsilon[-1]]
    for t in range(model.T - 1, 0, -1):
        p = back(line[t], line[t - 1], at[-1], model.guess(y, line[t], at[-1]))
        at.append((p.mean() + p.stddev() * epsilon[t - 1]).numpy())
    return np.array([*at, at[-1] / alpha(model.end).numpy()])


def terms(model, x, labels, w, epsilon):
    """The bound and each level's KL, means over the examples, from the page's noise."""
    import tensorflow as tf
    from explorable_models import levels

    from cvae_tf.distributions import tfd

    steps, lesson = model.T - 1, levels.LESSON
    model.w, y = w, np.eye(model.likelihood_net.inputs[0].shape[1], dtype="float32")[labels]
    place = norm.ppf((np.arange(steps) + 0.5) / steps)  # each step of the chain once
    beside = np.zeros((steps, len(x), 2), "float32")
    beside[..., 0] = place[:, None]
    bound = model.bound(x, y, noise=np.concatenate([epsilon, beside], -1))
    line = np.linspace(model.end, -model.end, model.T, dtype="float32")
    kl = []
    for t in range(1, model.T):
        level, finer = (tf.fill([len(x), 1], line[i]) for i in (t, t - 1))
        z = lesson["alpha"](level) * x + lesson["sigma"](level) * epsilon[t - 1]
        kl.append(tfd.kl_divergence(*model.factors(x, y)(level, finer, z)).numpy().mean())
    return bound.value.numpy().mean(), np.array(kl)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("world", "label", "w"), [("points", 0, 2.0), ("points", 2, 0.5), ("digits", 0, 1.0)]
)
def test_the_walks_and_the_bound_are_the_model_s(page, world, label, w):
    models, _ = models_of("levels")
    page = page()
    page.evaluate(f"{LEVELS}.set({{world: '{world}', label: {label}, w: {w}, seed: 5}})")
    page.wait_for(f"{LEVELS}.ready", seconds=90)
    shown = page.evaluate(
        f"(e => ({{...e.shown, noise: e.noise, x: e.known.x, epsilon: e.known.epsilon,"
        f" bounds: [e.known.bound({w}), e.known.bound(0)], kl: e.known.kl({w})}}))({LEVELS})"
    )
    epsilon = np.array(shown["noise"], "float32")
    labels = np.full(len(epsilon[0]), label) if world == "points" else np.arange(10)
    for name, weight in (("plain", 0.0), ("guided", w)):
        wanted = walk(models[world], labels, weight, epsilon)
        np.testing.assert_allclose(shown[name], wanted, atol=1e-3, err_msg=name)
    x, epsilon = np.array(shown["x"], "float32"), np.array(shown["epsilon"], "float32")
    labels = np.full(len(x), label) if world == "points" else np.arange(10)
    for weight, found in zip((0.0, w), reversed(shown["bounds"]), strict=True):
        bound, kl = terms(models[world], x, labels, weight, epsilon)
        assert abs(found - bound) < 1e-2
    np.testing.assert_allclose(shown["kl"], kl, atol=1e-2)
    text = page.evaluate(
        "document.querySelector('[data-explore=levels] .explore-halves p').textContent"
    )
    read = [float(n.replace("−", "-")) for n in re.findall(r"−?\d+\.\d\d", text)]
    wanted = [shown["bounds"][0], shown["bounds"][1] - shown["bounds"][0]]
    limit = w**2 * np.log(3 if world == "points" else 10)
    np.testing.assert_allclose([read[0], *read[-2:]], [*wanted, limit], atol=0.0051)


@pytest.mark.slow
def test_the_truth_of_the_points_is_right(page):
    """The best guess against a sum over a grid, densities and shares against SciPy and NumPy."""
    import explorables

    facts = explorables.stored("levels")["facts"]["points"]
    clumps, scale = np.array(facts["clumps"]), facts["scale"]
    page = page()
    world = "Explore.known.levels.points(Explore.loaded('levels'))"
    side = np.linspace(-4.5, 4.5, 451)
    grid = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)

    def log_true(x, of):
        return logsumexp([norm.logpdf(x, c, scale).sum(-1) for c in of], 0) - np.log(len(of))

    for level, z, label in ((2.0, [0.3, 0.8], 0), (-1.0, [-0.7, 0.2], 1), (0.5, [0.1, 0.0], None)):
        of = clumps.reshape(-1, 2) if label is None else clumps[label]
        a, s = np.sqrt(1 / (1 + np.exp([-level, level])))
        weight = log_true(grid, of) + norm.logpdf(np.array(z), a * grid, s).sum(-1)
        weight = np.exp(weight - weight.max())
        wanted = weight @ grid / weight.sum()
        name = "null" if label is None else label
        found = page.evaluate(f"{world}.bestGuess({level}, {z}, {name})")
        np.testing.assert_allclose(found, wanted, atol=1e-6)
    x = np.array(page.evaluate(f"{world}.draw(1, 3000, 3)"))
    every = np.stack([log_true(x, of) for of in clumps], 1)
    found = page.evaluate(f"{world}.draw(1, 50, 3).map(x => {world}.logTrue(x, 1))")
    np.testing.assert_allclose(found, every[:50, 1], atol=1e-6)
    wide = 1.3 * x  # some off all clumps
    judged = page.evaluate(f"{world}.judge({wide.tolist()}, 1)")
    from_each = np.linalg.norm(wide[:, None] - clumps.reshape(-1, 2), axis=-1)
    off = from_each.min(1) > scale * np.sqrt(2 * np.log(1000))
    nearest = np.where(off, -1, from_each.argmin(1))
    shares = [np.mean(nearest == k) for k in (3, 4, 5)]
    every = np.stack([log_true(wide, of) for of in clumps], 1)
    read = np.mean(every[:, 1] - logsumexp(every, 1) > np.log(0.5))
    np.testing.assert_allclose(judged["clumps"], shares, atol=1e-9)
    np.testing.assert_allclose([judged["off"], judged["read"]], [off.mean(), read], atol=1e-9)
    np.testing.assert_allclose(judged["other"], 1 - off.mean() - sum(shares), atol=1e-9)
    table = page.evaluate(
        f"""(async e => {{ while (!e.ready) await new Promise(done => setTimeout(done, 20));
          const rows = document.querySelectorAll('[data-explore=levels] table tr');
          return [{world}.judge(e.shown.guided.at(-1), 0),
                  [...rows].map(row => row.lastChild.textContent)]; }})({LEVELS})"""
    )
    judged, column = table
    wanted = [*judged["clumps"], judged["other"], judged["off"], judged["read"]]
    assert [int(c.split()[0]) for c in column[1:]] == [int(100 * v + 0.5) for v in wanted]


@pytest.mark.slow
def test_a_digit_of_the_walk_is_its_components(page):
    import explorables

    arrays = explorables.stored("levels")["arrays"]
    page = page()
    world = "Explore.known.levels.digits(Explore.loaded('levels'))"
    shown = page.evaluate(f"(w => w.real.map(z => [...w.picture(z, 0.7)]))({world})")
    parts = {key: arrays[key].astype("float64") for key in ("real", "pictures", "centre")}
    wanted = np.clip(parts["real"] @ parts["pictures"] + 0.7 * parts["centre"], 0, 1)
    np.testing.assert_allclose(shown, wanted, atol=1e-3)


@pytest.mark.slow
def test_the_table_of_digits_is_measured(page, monkeypatch):
    from explorable_models import levels

    models, facts = models_of("levels")
    monkeypatch.setattr(levels, "WEIGHTS", (3.0,))
    found, stored = levels.measured(models["digits"], levels.set_up_digits()), facts["digits"]
    assert set(found) == {"real", "w = 3"}
    for name, values in found.items():
        np.testing.assert_allclose(values, stored["measured"][name], atol=0.006)
    page = page()
    page.evaluate(f"{LEVELS}.set({{world: 'digits'}})")
    page.wait_for(f"{LEVELS}.ready", seconds=90)
    rows = page.evaluate(
        "[...document.querySelectorAll('[data-explore=levels] table tr')]"
        ".map(row => [...row.cells].map(cell => cell.textContent))"
    )
    read = {name: [int(c.split()[0]) for c in cells] for name, *cells in rows[1:]}
    assert read == {k: [int(100 * v + 0.5) for v in vs] for k, vs in stored["measured"].items()}


@pytest.mark.slow
def test_the_levels_follow_mouse_finger_and_keys(page):
    def box(one):
        one.wait_for(f"{LEVELS}.ready")
        x, y, wide, tall = one.box("[data-explore=levels] canvas")
        return x, y + tall / 2, wide

    one = page()
    x, y, wide = box(one)
    one.drag((x + 0.2 * wide, y), (x + 0.6 * wide, y))
    assert one.evaluate(f"{LEVELS}.state.step") == 30
    one.key("ArrowLeft")
    one.key("ArrowUp")
    assert one.evaluate(f"{LEVELS}.state.step") == 29
    assert abs(one.evaluate(f"{LEVELS}.state.w") - 2.1) < 1e-9
    one.evaluate(
        "[...document.querySelectorAll('[data-explore=levels] button')]"
        ".find(b => b.textContent === 'walk back').click()"
    )
    one.wait_for(f"{LEVELS}.state.step < 25")
    one.wait_for(f"{LEVELS}.state.step === 50", seconds=20)
    assert one.said == []
    one = page(width=390, touch=True)
    x, y, wide = box(one)
    one.swipe((x + 0.9 * wide, y), (x + 0.4 * wide, y + 2))
    assert one.evaluate(f"{LEVELS}.state.step") == 20 and one.said == []
