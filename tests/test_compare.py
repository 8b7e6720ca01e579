"""What the exercises check with: right, wrong, and checks that are themselves wrong."""

import numpy as np
import pytest

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
