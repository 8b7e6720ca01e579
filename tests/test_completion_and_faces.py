"""Completion and Faces: each number and pixel against Keras; mouse, finger and keys."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.special import logsumexp

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import explorables  # noqa: E402
from explorable_models import completion  # noqa: E402
from explorable_models import faces as portraits  # noqa: E402

from cvae_tf import datasets, editing, faces  # noqa: E402

NATS, PIXELS = 1e-2, 1e-3
ERROR = 5e-4  # of a root mean square that is shown with three decimals


# --- What is stored ------------------------------------------------------------------------------


def test_the_weights_are_light():
    stored = [explorables.stored(name)["arrays"].values() for name in ("completion", "faces")]
    assert sum(values.nbytes for arrays in stored for values in arrays if values.ndim) < 1.5e6


def test_the_digits_are_test_images_and_the_faces_on_the_sliders_steps():
    digits, test = explorables.stored("completion"), datasets.mnist_10k().test
    rows, kept = (x.astype("uint8") for x in (test.x > 0.5, digits["arrays"]["digits"]))
    labels = {row.tobytes(): label for row, label in zip(rows, test.labels, strict=True)}
    found = [labels[row.tobytes()] for row in kept]
    assert found == digits["facts"]["labels"] and set(found) == set(range(10))
    facts = explorables.stored("faces")["facts"]
    assert facts == json.loads(json.dumps(portraits.contents({})[0])), "make explorables ARGS=faces"
    y = np.array([one["y"] for one in facts["faces"]])
    np.testing.assert_allclose(10 * y, np.round(10 * y), atol=1e-9)


def test_each_pixel_is_either_given_or_predicted():
    rng = np.random.default_rng(0)
    seen = completion.masks(2000, rng)
    digits = (rng.random(seen.shape) < 0.3).astype("float32")
    x, y = completion.cut(digits, seen)
    assert (np.isnan(y) == seen).all() and (x[~seen] == 0.5).all()
    np.testing.assert_array_equal(np.where(seen, x, y), digits)
    share = seen.mean(1)
    assert 0.4 < share.mean() < 0.6 and (share == 0).any() and share.std() > 0.2
    assert (completion.Blank()(y).numpy() == np.where(seen, 0, digits)).all()


# --- In the browser ------------------------------------------------------------------------------


def state_of(name):
    return f"document.querySelector('[data-explore={name}]').explore"


def text_of(page, name, part):
    """What stands on the page, with the next frame's numbers."""
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return page.evaluate(f"document.querySelector('[data-explore={name}] {part}').textContent")


def numbers_in(text):
    return [float(each.replace("−", "-")) for each in re.findall(r"−?\d+\.\d+", text)]


# --- Completion ----------------------------------------------------------------------------------

DIGIT = "[data-explore=completion] canvas[tabindex]"


@pytest.fixture(scope="module")
def completers():
    return explorables.restored("completion")


def by_keras(models, digit, seen, epsilon):
    """(regressor's mean and log p, CVAE-3's draws, their mean, (5.8)) with the page's noise."""
    x, y = completion.cut(digit[None], seen[None])
    baseline, cvae = models["baseline"], models["CVAE3"]
    prior, q = cvae.prior(x), cvae.posterior(x, y)
    half = len(epsilon) // 2

    def whole(mean):
        return np.where(seen, digit, mean)

    z = prior.mean() + prior.stddev() * epsilon[:half]  # [S, d]
    draws = whole(cvae.decode(z, np.repeat(x, half, 0)))
    z = q.mean() + q.stddev() * epsilon[half:, None]  # [S, 1, d]
    weights = cvae.likelihood(x, z).log_prob(y) + prior.log_prob(z) - q.log_prob(z)  # (5.8)
    log_p = logsumexp(weights.numpy().astype("float64")) - np.log(half)
    regressor = whole(baseline.generate(x)[0]), baseline.bound(x, y).value.numpy()[0]
    return *regressor, draws, draws.mean(0), log_p


@pytest.mark.slow
def test_completions_are_those_of_keras(browser, explore_page, completers):
    page = browser.open(explore_page)
    digits = explorables.stored("completion")["arrays"]["digits"].astype("float32")
    rng = np.random.default_rng(3)
    seen = [*completion.masks(6, rng), np.zeros(784, bool), completion.masks(1, rng)[0]]
    seen[-1][:] = True
    seen[-1][400] = False  # one pixel to predict
    for k, each in enumerate(seen):
        digit = digits[2 * k]
        asked = {"pixels": digit.astype(int).tolist(), "seen": each.astype(int).tolist(), "seed": k}
        shown = page.evaluate(
            f"""(({{epsilon, regressor, cvae, covered}}) => ({{
              covered, regressor, cvae, epsilon: epsilon.map(e => [...e]),
              mean: [...regressor.mean], average: [...cvae.mean], draws: cvae.draws.map(d => [...d])
            }}))(Explore.known.completion.numbers({json.dumps(asked)}))"""
        )
        epsilon = np.array(shown["epsilon"], "float32")
        mean, log_p, draws, average, cvae_log_p = by_keras(completers, digit, each, epsilon)
        np.testing.assert_allclose(shown["mean"], mean, atol=PIXELS)
        np.testing.assert_allclose(shown["draws"], draws[:6], atol=PIXELS)
        np.testing.assert_allclose(shown["average"], average, atol=PIXELS)
        assert abs(shown["regressor"]["logP"] - log_p) < NATS
        assert abs(shown["cvae"]["logP"] - cvae_log_p) < NATS
        assert shown["covered"] == (~each).sum()
        assert abs(epsilon.mean()) < 4 / epsilon.size**0.5 and abs(epsilon.std() - 1) < 0.05
    assert page.said == []


@pytest.mark.slow
def test_the_cover_follows_mouse_finger_and_keys(browser, explore_page):
    state = state_of("completion")
    count = f"{state}.state.seen.reduce((a, b) => a + b, 0)"
    page = browser.open(explore_page)
    x, y, wide, tall = page.box(DIGIT)
    assert abs(wide - tall) < 1 and page.evaluate(count) == 14 * 28
    page.drag((x + 0.2 * wide, y + 0.8 * tall), (x + 0.8 * wide, y + 0.8 * tall))
    seen = np.reshape(page.evaluate(f"[...{state}.state.seen]"), (28, 28))
    assert seen[:14].all() and seen[22, 6:22].all() and not seen[26].any()
    wide_of = "document.querySelector('[data-explore=completion] button').offsetWidth"
    unpressed = page.evaluate(wide_of)
    page.evaluate(f"{state}.set({{preset: 'upper', brush: 'cover'}})")
    assert page.evaluate(wide_of) == unpressed, "else the digit moves under the finger"
    page.drag((x + 0.5 * wide, y + 0.3 * tall), (x + 0.5 * wide, y + 0.3 * tall))
    assert np.reshape(page.evaluate(f"[...{state}.state.seen]"), (28, 28))[8, 14] == 0
    page.evaluate(f"{state}.set({{brush: 'uncover'}})")
    before = page.evaluate(count)
    for _ in range(4):
        page.key("ArrowDown")
    assert page.evaluate(count) == before, "the arrows alone move the brush"
    page.key(" ")
    assert page.evaluate(count) > before
    before = page.evaluate(count)
    page.key("ArrowLeft", shift=True)
    assert page.evaluate(count) > before
    shown = numbers_in(text_of(page, "completion", ".explore-sum"))
    now = page.evaluate(f"[{state}.now.regressor.logP, {state}.now.cvae.logP]")
    np.testing.assert_allclose(shown, now, atol=NATS)
    page.evaluate(f"{state}.set({{seen: new Uint8Array(784).fill(1)}})")
    assert "nothing is left" in text_of(page, "completion", ".explore-sum")
    page.evaluate(f"{state}.set({{seen: new Uint8Array(784)}})")
    work = page.evaluate(
        f"""(() => {{
          const {{seen, seed}} = {state}.state, pixels = new Uint8Array(784).fill(1, 300, 400);
          const asked = {{pixels, seen, seed}}, one = Explore.known.completion.numbers;
          return Math.min(...Array.from({{length: 20}}, () => {{
            const start = performance.now();
            one(asked);
            return performance.now() - start;
          }}));
        }})()"""
    )
    print(f"{work:.1f} ms for a frame; thirty a second are 33 ms each, on a quiet machine")
    assert work < 10 * 33
    assert page.said == []

    page = browser.open(explore_page, width=390, touch=True)
    x, y, wide, tall = page.box(DIGIT)
    page.swipe((x + 0.3 * wide, y + 0.6 * tall), (x + 0.5 * wide, y + 0.9 * tall))
    seen = np.reshape(page.evaluate(f"[...{state}.state.seen]"), (28, 28))
    assert seen[21, 11] and not seen[27, 27]
    assert page.said == []


# --- Faces ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_page_draws_the_faces_of_the_library(browser, explore_page):
    page = browser.open(explore_page)
    rng = np.random.default_rng(0)
    y, identity = rng.uniform(-1, 1, (40, 10)), rng.uniform(-1, 1, (40, 12))
    y[:, :5] = rng.random((40, 5)) < 0.5
    drawn = page.evaluate(
        f"{json.dumps(y.tolist())}.map((y, i) => "
        f"[...Explore.known.faces.draw(y, {json.dumps(identity.tolist())}[i])])"
    )
    np.testing.assert_allclose(drawn, faces.draw(y, identity, size=24).reshape(40, -1), atol=1e-4)


@pytest.mark.slow
def test_the_edits_are_those_of_keras(browser, explore_page):
    page, model = browser.open(explore_page), explorables.restored("faces")["CMMA"]
    rng = np.random.default_rng(1)
    for k, face in enumerate(explorables.stored("faces")["facts"]["faces"][:6]):
        y, identity = (np.array([face[key]], "float32") for key in ("y", "identity"))
        y_new = y.copy()
        for column in rng.choice(10, k, replace=False):  # from none to five attributes
            y_new[:, column] = 1 - y[:, column] if column < 5 else rng.uniform(-1, 1)
        asked = {"y": y[0].tolist(), "y_new": y_new[0].tolist(), **{"identity": face["identity"]}}
        shown = page.evaluate(
            f"""(shown => ({{...shown, epsilon: [...shown.epsilon], pictures: Object.fromEntries(
              Object.entries(shown.pictures).map(([name, p]) => [name, [...p]]))}}))
              (Explore.known.faces.numbers({json.dumps(asked | {"seed": k})}))"""
        )
        x, truth = (faces.draw(v, identity, size=24).reshape(1, -1) for v in (y, y_new))
        prior, q, q_new = model.prior(y_new), model.posterior(x, y), model.posterior(x, y_new)
        z = prior.mean() + prior.stddev() * np.array(shown["epsilon"], "float32")
        pictures = {
            "face": x,
            "truth": truth,
            "rebuilt": model.reconstruct(x, y),
            "transport": editing.transport(model, x, y, y_new),
            "reencode": editing.reencode(model, x, y, y_new),
            "generated": model.decode(z, y_new),
        }
        for name, picture in pictures.items():
            np.testing.assert_allclose(shown["pictures"][name], picture[0], atol=PIXELS)
        for name, error in shown["errors"].items():
            wanted = np.sqrt(((pictures[name] - truth) ** 2).mean())
            np.testing.assert_allclose(error, wanted, atol=ERROR)
        if not k:
            assert shown["along"] is None
            continue
        old, start = model.prior(y), q.mean().numpy()
        moved = prior.mean() + prior.stddev() * (start - old.mean()) / old.stddev()  # (6.3)
        t, r = ((v - start) / old.stddev().numpy() for v in (moved.numpy(), q_new.mean().numpy()))
        np.testing.assert_allclose(shown["along"], (t * r).sum() / (t * t).sum(), atol=NATS)
    assert page.said == []


@pytest.mark.slow
def test_a_description_is_changed_by_mouse_finger_and_keys(browser, explore_page):
    state = state_of("faces")
    asked = f"{state}.state.y_new"

    def tap(page, selector, finger=False):
        x, y, wide, tall = page.box(selector)
        point = x + wide / 2, y + tall / 2
        (page.swipe if finger else page.drag)(point, point)

    page = browser.open(explore_page)
    toggle = "[data-explore=faces] .explore-head button"
    before = page.evaluate(asked)
    for wanted in (1 - before[0], before[0], 1 - before[0]):
        tap(page, toggle)
        assert page.evaluate(asked)[0] == wanted
    page.evaluate("document.querySelector('[data-explore=faces] input').focus()")
    page.key("ArrowRight")
    after = page.evaluate(asked)
    assert abs(after[5] - before[5] - 0.1) < 1e-9 or before[5] == 1
    shown = page.evaluate(
        "Array.from(document.querySelectorAll('[data-explore=faces] .explore-caption'),"
        " each => each.textContent)"
    )
    errors = page.evaluate(f"{state}.now.errors")
    for name, said in (("face", shown[0]), ("transport", shown[2]), ("reencode", shown[3])):
        assert abs(numbers_in(said)[-1] - errors[name]) <= ERROR
    share = float(re.search(r"(−?\d+) %", text_of(page, "faces", ".explore-sum"))[1])
    assert abs(share - 100 * page.evaluate(f"{state}.now.along")) <= 0.5
    page.evaluate(f"{state}.set({{y_new: {json.dumps(before)}}})")
    assert page.said == []

    page = browser.open(explore_page, width=390, touch=True)
    tap(page, toggle, finger=True)
    page.wait_for(f"{asked}[0] === {1 - before[0]}")
    assert page.said == []
