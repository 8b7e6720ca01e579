"""What the exercises check with: right, wrong, and checks that are themselves wrong."""

import importlib

import numpy as np
import pytest

from cvae_tf import exercises
from cvae_tf.exercises import compare, require


def test_right_answers_pass_and_say_so(capsys):
    compare("the KL", [1.0, 2.0], np.array([1, 2]), unit="nats")
    assert capsys.readouterr().out == "the KL: yours 1, true 1 nats. Right.\n"
    compare("the KL", np.float32(1.5), 1.5000001)
    require(np.array([True, True]), "never said")


@pytest.mark.parametrize(
    ("yours", "true", "message"),
    [
        (None, 1.0, "no value"),
        ("one", 1.0, "yours is a str"),
        (np.nan, 1.0, "contains nan"),
        ([1.0, [2.0]], 1.0, "yours is a list"),
        (np.ma.masked_equal([1.0, 2.0], 2.0), [1.0, 2.0], "masked"),
        (1.0 + 1.0j, 1.0, "yours is a complex"),
        ([1.0, 1.0], 1.0, "Over which axes"),
        (-1.0, 1.0, "The sign is turned."),
        (1.1, 1.0, "yours is 1.1, the true value is 1"),
    ],
)
def test_wrong_answers_are_told_apart(yours, true, message):
    with pytest.raises(AssertionError, match=message):
        compare("L", yours, true, slips={"The sign is turned.": -np.asarray(true)})


@pytest.mark.parametrize(
    "check",
    [
        lambda: compare("L", 1.0, np.nan),
        lambda: compare("L", 1.0, None),
        lambda: compare("L", [], []),
        lambda: compare("L", 1.0, 2.0, atol=np.nan),
        lambda: compare("L", 1.0, 2.0, atol=-1),
        lambda: compare("L", 1.0, 2.0, slips={"Half of it.": np.inf}),
        lambda: compare("L", 1.0, 2.0, slips=["Half of it."]),
        lambda: require(np.nan, "NaN is no truth."),
        lambda: require((x > 1 for x in (0, 0)), "A generator is no truth."),
        lambda: require("yes", "A word is no truth."),
        lambda: require([], "All of none."),
    ],
)
def test_a_check_that_cannot_tell_is_refused(check):
    with pytest.raises((TypeError, ValueError)):
        check()


def test_require_says_the_sentence():
    for condition in (False, np.array([True, False])):
        with pytest.raises(AssertionError, match="Sums are off."):
            require(condition, "Sums are off.")


def kl(mu, sigma):
    return 0.5 * np.sum(mu**2 + sigma**2 - 1) - np.sum(np.log(sigma))


def told(yours, true=kl, **more):
    """What is said of an answer to a divergence, on random inputs."""
    rng = np.random.default_rng(0)
    cases = [(rng.normal(size=d), rng.uniform(0.3, 2, d)) for d in (2, 3, 1, 4)]
    more = {
        "slips": {"σ is no variance.": lambda mu, sigma: kl(mu, np.sqrt(sigma))},
        "terms": {"the mean's square": lambda mu, sigma: np.sum(mu**2) / 2,
                  "log σ": lambda mu, sigma: -np.sum(np.log(sigma))},
        "edges": {"q is very narrow": (np.ones(2), np.full(2, 1e-200))},
        "simpler": {"σ is 1": lambda mu, sigma: (mu, sigma**0)},
        "unchanged": {"μ is turned over": lambda mu, sigma: (-mu, sigma)},
    } | more  # fmt: skip
    with pytest.raises(AssertionError) as found, np.errstate(all="ignore"):
        exercises.agree("the KL", yours, true, cases, unit="nats", **more)
    assert found.value.sentence in str(found.value)
    return found.value.sentence


@pytest.mark.parametrize(
    ("yours", "sentence"),
    [
        (lambda mu, sigma: kl(mu, np.sqrt(sigma)), "σ is no variance."),
        (lambda mu, sigma: kl(0 * mu, sigma), "In yours the mean's square is missing."),
        (lambda mu, sigma: kl(mu, sigma) + mu @ mu / 2, "In yours the mean's square counts twice."),
        (
            lambda mu, sigma: kl(mu, sigma) + 2 * np.log(sigma).sum(),
            "In yours log σ has the other sign.",
        ),
        (lambda mu, sigma: -kl(mu, sigma), "That is minus the true value"),
        (lambda mu, sigma: kl(mu, sigma) / 3, "That is 0.3333 times the true value"),
        (lambda mu, sigma: kl(mu, sigma) + 0.5, "Yours is off by 0.5"),
        (lambda mu, sigma: np.exp(kl(mu, sigma)), "That is the exponential"),
        (lambda mu, sigma: kl(mu, sigma) + np.sin(mu @ mu) * np.log(sigma[0]), "where σ is 1"),
        (lambda mu, sigma: kl(mu, sigma) + mu[0] ** 3, "Yours changes if μ is turned over"),
        (lambda mu, sigma: np.sum(sigma**3), "Yours does not depend on `mu`"),
        (lambda mu, sigma: kl(mu, sigma) if sigma[0] > 1e-100 else np.inf, "where q is very n"),
        (lambda mu, sigma: mu + kl(mu, sigma), "Expected a number: an axis is left over."),
        (lambda mu, sigma: None, "no value"),
        (lambda mu, sigma: "one", "expected numbers"),
        (lambda mu, sigma: 7.0, "Yours is 7 whatever is put in."),
        (lambda mu, sigma: kl(mu, sigma) * (1 + 0.1 * np.sin(np.sum(sigma**3))), ""),
    ],
)
def test_a_function_is_told_how_it_differs(yours, sentence):
    found = told(yours)
    assert sentence in found and bool(sentence) == bool(found)


def test_nothing_is_said_that_holds_for_some_of_the_inputs_only():
    """A slip is named where yours equals it on every input, not where it happens to once."""

    def sometimes(mu, sigma):
        return kl(mu, np.sqrt(sigma)) if len(mu) > 1 else kl(mu, sigma) + np.sin(mu[0])

    assert "no variance" not in told(sometimes)
    assert "missing" not in told(lambda mu, sigma: kl(mu * (len(mu) < 3), sigma))


def test_all_edges_that_are_missed_are_named():
    def yours(x):
        return x + (x in (0, 1))

    edges = {"x is 0": (0.0,), "x is 1": (1.0,), "x is large": (1e9,)}
    with pytest.raises(AssertionError, match="wrong where x is 0, and where x is 1[.]"):
        exercises.agree("x", yours, lambda x: x, [(2.0,), (3.0,)], edges=edges)


def test_parts_are_compared_one_by_one_and_their_order():
    def two(x):
        return x + 1, x**2

    def said(yours):
        with pytest.raises(AssertionError) as found:
            exercises.agree("two", yours, two, [(1.5,), (-2.0,), (3.7,)], parts=("sum", "square"))
        return str(found.value)

    assert "In another order, please: sum, square." in said(lambda x: two(x)[::-1])
    assert "two: square: yours is" in said(lambda x: (x + 1, x))
    assert "Return 2 things: sum, square." in said(lambda x: x)


def test_an_answer_that_spoils_its_arguments_or_stops_is_no_trouble(capsys):
    def spoils(values):
        values.sort()
        values += 1
        return values.sum()

    cases = [(np.array([3.0, 1.0]),), (np.array([2.0]),)]
    exercises.agree("the sum", spoils, lambda values: values.sum() + len(values), cases)
    assert "on 2 inputs. Right." in capsys.readouterr().out
    with pytest.raises(AssertionError, match="Where there is nothing, your function stops with"):
        exercises.agree("the first", lambda v: v[0], lambda v: 1.0 if len(v) == 0 else v[0],
                        cases, edges={"there is nothing": (np.empty(0),)})  # fmt: skip


def test_a_check_alone_sees_no_name_of_the_notebook_and_finds_numpy_as_it_was():
    notebook = {"_e": exercises, "sum": 0, "np": None, "range": list}
    exec(
        "@_e.alone\ndef check(x):\n    return sum(range(3)) + np.abs(x) + len(np.zeros(2))",
        notebook,
    )
    assert notebook["check"](-2.0) == 7.0
    genuine = np.abs, len, exercises.agree
    try:
        np.abs, exercises.agree = (lambda x: 0.0), (lambda *args, **keywords: None)
        exec("import builtins\nbuiltins.len = lambda x: 5", {})
        fresh = importlib.reload(exercises)
        assert fresh.alone(lambda x: np.abs(x) + len([1]))(-2.0) == 3.0
        assert np.abs is genuine[0] and fresh.agree.__name__ == "agree"
    finally:
        np.abs = genuine[0]
        exec("import builtins\nbuiltins.len = given", {"given": genuine[1]})


def test_an_infinity_is_right_only_where_the_true_value_is_the_same_one():
    def true(x):
        return -np.inf if x < 0 else x

    exercises.agree("the limit", true, true, [(1.0,), (-1.0,), (2.0,)])
    for wrong in (5.0, np.inf, np.nan):
        with pytest.raises(AssertionError, match="the limit: yours is"):
            exercises.agree(
                "the limit", lambda x, wrong=wrong: wrong if x < 0 else x, true,
                [(1.0,), (-1.0,), (2.0,)],
            )  # fmt: skip


def test_one_number_in_the_place_of_several_is_told_so():
    for one in (3.0, np.array(3.0)):
        with pytest.raises(AssertionError, match="Return 2 things: sum, square"):
            exercises.agree(
                "two", lambda x, one=one: one, lambda x: (x, x * x), [(1.5,), (2.0,)],
                parts=("sum", "square"),
            )  # fmt: skip


def test_nothing_is_said_of_places_where_yours_stops():
    def stops(x):
        if x == 0:
            raise ZeroDivisionError
        return x**2 + np.sin(x)

    places = {"x is 0": lambda x: (0.0,)}
    for where in ("simpler", "unchanged"):
        with pytest.raises(AssertionError) as found:
            cases = [(0.5,), (1.3,), (2.1,)]
            exercises.agree("f", stops, lambda x: 0 * x, cases, **{where: places})
        assert "x is 0" not in str(found.value)


def test_what_is_left_of_a_zero_is_printed_as_zero(capsys):
    """It differs between machines, and the outputs of the solutions are compared."""
    exercises.agree("pair", lambda x: (x, 3e-31), lambda x: (x, 1e-31), [(2.0,)], parts=("a", "b"))
    assert capsys.readouterr().out == "pair: yours 2, 0, true 2, 0; on 1 inputs. Right.\n"
