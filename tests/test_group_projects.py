"""The projects for groups: briefs add up, data are what they say, sketches are measured."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm

ROOT = Path(__file__).resolve().parent.parent
PROJECTS = ROOT / "notebooks" / "projects"
sys.path[:0] = [str(ROOT / "tools"), str(PROJECTS)]

import reading  # noqa: E402

import data  # noqa: E402

BRIEFS = sorted(PROJECTS.glob("*.md"))
HOURS = {"five": 5, "six": 6, "seven": 7, "eight": 8}
CLOSE = {"rtol": 0.25, "atol": 0.3}  # trained anew on a machine that rounds in its own way


def sketch(brief):
    """The lecturer's page of a project, its code, and what that printed."""
    text = (PROJECTS / "sketches" / brief.name).read_text(encoding="utf-8")
    (printed,) = re.findall(r"^```text\n(.*?)^```", text, re.M | re.S)
    return text, (PROJECTS / "sketches" / f"{brief.stem}.py"), printed


def test_there_is_one_project_for_each_part_of_the_course():
    assert [brief.stem[0] for brief in BRIEFS] == ["1", "2", "3"]
    texts = [brief.read_text(encoding="utf-8") for brief in BRIEFS]
    spans = [re.search(r"After lessons (\d\d) (?:and|to) (\d\d)", text) for text in texts]
    assert [span.groups() for span in spans] == [("01", "02"), ("03", "07"), ("08", "11")]


@pytest.mark.parametrize("brief", BRIEFS, ids=lambda path: path.stem)
def test_a_brief_says_what_a_group_needs(brief):
    text = brief.read_text(encoding="utf-8")
    headings = re.findall(r"^## ([\w ]+)", text, re.M)
    sections = ["The data", "Milestones", "What to hand in", "Traps", "Rubric"]
    assert [heading.strip() for heading in headings] == sections
    minutes = sum(int(m) for m in re.findall(r"^\d\. .*\((\d+) min\)", text, re.M))
    hours = HOURS[re.search(r"about (\w+) hours", text)[1]]
    assert abs(minutes - 60 * hours) <= 30, f"{minutes} minutes in {hours} hours"
    criteria = re.findall(r"^\| \*\*.+?\*\* \|(.*)\|$", text.partition("## Rubric")[2], re.M)
    assert all(row.count("|") == 2 for row in criteria)
    assert 4 * len(criteria) == int(re.search(r"## Rubric \((\d+) points\)", text)[1])
    assert not [s for s in reading.sentences_of(text) if len(s.split()) > reading.LONGEST]


@pytest.mark.parametrize("brief", BRIEFS, ids=lambda path: path.stem)
def test_a_sketch_says_what_its_code_printed_and_the_brief_does_not(brief):
    text, code, printed = sketch(brief)
    prose = text.replace(printed, "")
    source = code.read_text("utf-8") + brief.read_text("utf-8")
    output = nbformat.v4.new_output("stream", text=printed)
    code_cell = nbformat.v4.new_code_cell(source, outputs=[output])
    page = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(prose), code_cell])
    assert reading.read(page).unshown == []
    results = set(re.findall(r"\d+\.\d\d\b", printed))
    assert results and not results & set(re.findall(r"\d+\.\d\d\b", brief.read_text("utf-8")))


def test_the_lecturer_is_told_of_every_project():
    page = (ROOT / "docs" / "lecturer.md").read_text(encoding="utf-8")
    for brief in BRIEFS:
        assert f"projects/{brief.name}" in page


@pytest.mark.parametrize("brief", BRIEFS[1:], ids=lambda path: path.stem)
def test_the_lines_that_a_group_starts_with_run(brief, monkeypatch):
    (start,) = re.findall(r"^```python\n(.*?)^```", brief.read_text("utf-8"), re.M | re.S)
    all_balls = data.balls
    monkeypatch.setattr(data, "balls", lambda num, seed: all_balls(5, seed))  # fast
    names = {}
    exec(compile(start, brief.name, "exec"), names)
    (found,) = [v for k, v in names.items() if k in ("ceiling", "truth")]
    assert len(found)


def test_the_patients_are_split_and_standardised_by_the_training_rows():
    parts = data.patients()
    assert [part.shape for part in parts] == [(282, 8), (60, 8), (100, 8)]
    np.testing.assert_allclose(parts[0].mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(parts[0].std(0), 1, atol=1e-5)
    assert all(np.abs(part.mean(0)).max() > 0.01 for part in parts[1:]), "by their own rows"
    assert len(np.unique(np.concatenate(parts), axis=0)) == 442


def test_the_balls_ceiling_is_the_integral_over_places():
    """Draws from the true posterior's neighbourhood, weighed: another way to the same integral."""
    some, draws = data.balls(4, seed=3), 1500
    rng, colour = np.random.default_rng(0), some.y.argmax(1)
    low = np.stack([data.HIGHEST[colour], np.full(4, 0.25)], 1)
    width = np.array([data.REACH, 0.5])
    drawn = some.place + 0.02 * rng.standard_normal((draws, 4, 2))
    log_q = norm.logpdf(drawn, some.place, 0.02).sum(-1)
    inside = ((drawn >= low) & (drawn <= low + width)).all(-1)
    log_p = np.full(log_q.shape, -np.inf)
    for i in range(4):
        clean = data.picture(drawn[:, i], np.full(draws, colour[i]))
        log_x = norm.logpdf(some.x[i], clean, data.NOISE).sum((1, 2, 3))
        log_p[:, i] = log_x - np.log(width.prod())
    estimate = logsumexp(np.where(inside, log_p - log_q, -np.inf), 0) - np.log(draws)
    np.testing.assert_allclose(data.true_log_p(some), estimate, atol=0.3)  # five standard errors


def test_place_and_colour_are_read_off_a_ball():
    some = data.balls(200, seed=4)
    off = data.SIDE * (data.seen_place(some.x) - some.place)
    assert np.abs(off).mean() < 1 and (data.seen_colour(some.x) == some.y.argmax(1)).mean() > 0.95


def test_the_forecast_of_the_truth_sums_over_the_walks():
    x, y = data.walks(40, seed=5)
    truth, independent = data.future_log_p(x, y)
    symbols = np.concatenate([x.reshape(40, 2, 4), y], 1).argmax(-1)
    right = {True: 0.8 + 0.2 / 4, False: 0.2 / 4}

    def p(row, steps):  # of the symbols at these steps, one walk at a time
        each = [[right[bool(row[t] == walk[t])] for t in steps] for walk in data.WALKS]
        return np.prod(each, axis=1).mean()

    for row, ours, steps in zip(symbols, truth, independent, strict=True):
        assert np.isclose(np.exp(ours), p(row, range(12)) / p(row, range(2)), rtol=1e-9)
        alone = [p(row, [0, 1, t]) / p(row, range(2)) for t in range(2, 12)]
        assert np.isclose(np.exp(steps), np.prod(alone), rtol=1e-9)
    assert len(np.unique(data.WALKS, axis=0)) == 16


@pytest.mark.slow
@pytest.mark.skipif(
    "CVAE_TF_ALL_SKETCHES" not in os.environ, reason="minutes each: in make test-long"
)
@pytest.mark.parametrize("brief", BRIEFS, ids=lambda path: path.stem)
def test_a_sketch_s_numbers_are_measured(brief):
    _, code, printed = sketch(brief)
    path = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, code], capture_output=True, text=True, env=path)
    assert done.returncode == 0, done.stderr
    now, then = done.stdout.splitlines(), printed.splitlines()
    number = re.compile(r"-?\d+(?:\.\d+)?")
    assert [number.sub("", x).split() for x in now] == [number.sub("", x).split() for x in then]
    for here, there in zip(now, then, strict=True):
        a, b = (np.array(number.findall(line), float) for line in (here, there))
        np.testing.assert_allclose(a, b, **CLOSE, err_msg=here)
