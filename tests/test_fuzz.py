"""Other people's calls, drawn at random: each is done rightly or refused in a sentence.

    pytest -m slow tests/test_fuzz.py                        300 draws
    CVAE_TF_FUZZ=3000 pytest -m slow tests/test_fuzz.py      more, as `make test-long` does
    CVAE_TF_FUZZ_SEED=1 …                                    other draws; the default is 0

The table of entries and arguments is `fuzzing.ENTRIES`. A failure is printed as a line of Python:
`from fuzzing import *`, with tests/ on the path, and the line shows it again.
"""

import collections
import os
import time

import numpy as np
import pytest

hypothesis = pytest.importorskip("hypothesis")
st = hypothesis.strategies

import fuzzing  # noqa: E402
from fuzzing import (  # noqa: E402
    ENTRIES,
    FAILURES,
    INVALID,
    OPEN,
    VALID,
    Call,
    Entry,
    Verdict,
    bad,
    calls,
    either,
    good,
    judge,
    reproduced,
    same,
)

DRAWS = int(os.environ.get("CVAE_TF_FUZZ", "300"))
SEED = int(os.environ.get("CVAE_TF_FUZZ_SEED", "0"))
MOST_OBSCURE = 0.02  # of the draws

QUIET = {
    "database": None,
    "deadline": None,
    "phases": (hypothesis.Phase.generate,),
    "suppress_health_check": list(hypothesis.HealthCheck),
}


def verdicts_of(num_draws, seed):
    """Draws calls and judges them; nothing stops at a failure."""
    found = []

    @hypothesis.seed(seed)
    @hypothesis.settings(max_examples=num_draws, **QUIET)
    @hypothesis.given(calls())
    def draw(call):
        verdict = judge(call)
        if verdict.kind in FAILURES or verdict.detail.startswith("(valid)"):
            verdict = reproduced(call, verdict)
        found.append(verdict)

    draw()
    return found


def report(verdicts):
    """How many of each kind; every failure, and what was obscure, with its line."""
    kinds = collections.Counter(v.kind for v in verdicts)
    lines = [", ".join(f"{kind}: {count}" for kind, count in kinds.most_common())]
    for kind in (*FAILURES, "obscure"):
        these = {v.line: v for v in verdicts if v.kind == kind}
        lines += [f"\n{kind} ({kinds[kind]}):"] if these else []
        lines += [f"    {line}\n        {v.detail}" for line, v in these.items()]
    return "\n".join(lines)


@pytest.mark.slow
def test_any_call_is_done_rightly_or_refused_in_a_sentence():
    started = time.perf_counter()
    verdicts = verdicts_of(DRAWS, SEED)
    seconds = time.perf_counter() - started
    text = f"{len(verdicts)} draws in {seconds:.0f} s; {report(verdicts)}"
    print(text)
    failures = [v for v in verdicts if v.kind in FAILURES]
    obscure = [v for v in verdicts if v.kind == "obscure"]
    assert not failures, text
    assert len(obscure) <= MOST_OBSCURE * len(verdicts), text


@pytest.mark.slow
@pytest.mark.parametrize("kind", ENTRIES)
def test_a_careful_call_of_every_kind_is_done_rightly(kind):
    """The first draws of each kind with nothing odd in them: the table itself is right."""
    found = []

    @hypothesis.seed(0)
    @hypothesis.settings(max_examples=6, **QUIET)
    @hypothesis.given(st.sampled_from(ENTRIES[kind]), st.data())
    def draw(entry, data):
        call = Call(entry, {name: data.draw(slot.usual) for name, slot in entry.slots.items()})
        if call.status == VALID:
            found.append(judge(call))

    draw()
    assert all(v.kind == "result" for v in found), report(found)


# The judge itself ---------------------------------------------------------------------------------


def _verdict(code, arg, **contract):
    return judge(Call(Entry(code, {"a": True}, **contract), {"a": arg}))


JUDGED = {
    "result": ("np.sum({a})", same("[1, 2]", "np.array([1, 2])"), {}),
    "clear": ("noise_refused({a})", bad("0"), {}),
    "obscure": ("np.reshape(X, {a})", bad("7"), {}),
    "silent and wrong": ("np.sum({a})", bad("[1, 2]"), {}),
    "NaN without a word": ("np.sum({a})", either("[np.nan]"), {}),
    "wrong result": ("np.sum({a})", same("[1, 2]", "[1, 3]"), {}),
    "valid, but refused": ("noise_refused({a})", good("0"), {}),
    "hang": ("np.sum({a} + [__import__('time').sleep(9)])", good("[1]"), {}),
}


@pytest.mark.parametrize("kind", JUDGED)
def test_the_judge(kind, monkeypatch):
    """Each kind of verdict is given where it is due."""
    from cvae_tf.estimators import SGVBA

    monkeypatch.setattr(fuzzing, "noise_refused", SGVBA, raising=False)  # refuses 0
    monkeypatch.setattr(fuzzing, "DEADLINE", 1)
    code, arg, contract = JUDGED[kind]
    assert _verdict(code, arg, **contract).kind == kind


def test_the_judge_asks_the_entry():
    check = {"check": lambda call, result: "too much" if result > 2 else None}
    assert _verdict("np.sum({a})", good("[1, 2]"), **check) == Verdict(
        "wrong result", "too much", "np.sum([1, 2])"
    )
    assert _verdict("np.sum({a})", good("[1, 1]"), **check).kind == "result"


def test_a_warning_in_a_sentence_is_a_word():
    line = "[{a}, __import__('warnings').warn('Received a NaN. Expected none.')]"
    assert _verdict(line, bad("np.nan")).kind == "result"


def test_a_failure_that_earlier_calls_left_behind_is_shown_with_them(monkeypatch):
    def spoil():
        fuzzing.model("VAE").spoilt = True

    def drifting(a):
        spoilt = getattr(fuzzing.model("VAE"), "spoilt", False)
        return np.sum(a) + 1.0 * (spoilt and isinstance(a, np.ndarray))

    monkeypatch.setattr(fuzzing, "spoil", spoil, raising=False)
    monkeypatch.setattr(fuzzing, "drifting", drifting, raising=False)
    call = Call(Entry("drifting({a})", {"a": True}), {"a": same("np.array([1, 2])", "[1, 2]")})
    assert judge(call).kind == "result"
    fuzzing.forget()
    for before in ["spoil()", "drifting([1, 1])"]:
        fuzzing.run(before)
    verdict = judge(call)
    found = reproduced(call, verdict)
    fuzzing.forget()
    assert verdict.kind == found.kind == "wrong result" and "not seen" not in found.detail
    assert found.line.startswith("run('spoil()'); run('drifting([1, 1])'); run('drifting(np.")


def test_a_line_that_compiles_a_kept_model_leaves_nothing_to_the_next():
    fuzzing.forget()
    fitted = "fitted(model('VAE'), X, batch_size=12)"
    before = fuzzing.run(fitted).result
    assert fuzzing.run("model('VAE').compile('sgd', jit_compile=False)").error is None
    after = fuzzing.run(fitted).result
    assert before["elbo"] == after["elbo"] and before["steps"] == after["steps"] == 1


def test_a_status_is_the_worst_of_its_arguments():
    entry = Entry("{a}{b}", {})
    for statuses, expected in {
        (VALID, VALID): VALID,
        (VALID, OPEN): OPEN,
        (OPEN, INVALID): INVALID,
    }.items():
        args = {n: fuzzing.Arg("", "", s) for n, s in zip("ab", statuses, strict=True)}
        assert Call(entry, args).status == expected


def test_every_line_is_python():
    """300 draws, not run."""

    @hypothesis.seed(SEED)
    @hypothesis.settings(max_examples=300, **QUIET)
    @hypothesis.given(calls())
    def draw(call):
        fuzzing.parsed(call.code)
        fuzzing.parsed(call.clean)

    draw()


def test_plain_data_are_plain():
    assert set(np.unique(fuzzing.X)) == {0, 1} and (fuzzing.L.min(), fuzzing.L.max()) == (-1, 2)
