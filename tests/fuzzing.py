r"""Other people's calls: odd and valid arguments for every public entry, and a verdict on each.

A call is a line of Python, made from a table of entries (`ENTRIES`). An argument is an `Arg`: its
code, the code of the same thing in its plainest form, and whether the library's contract allows it.
So a failure prints itself, and is seen again with

    >>> from fuzzing import *
    >>> run("bound_of(model('CVAE1'), X, nan(Y))")

(tests/ on the path). `judge` says of a call what became of it:

    result    right: finite, of the documented shape, and equal to the plain form's
    clear     refused by a `raise` of the library, in its dialect
    obscure   an error from further down
    …         anything else is a failure, see `FAILURES`
"""

# ruff: noqa: F401  # the lines use the names that are imported

import ast
import contextlib
import faulthandler
import functools
import io
import itertools
import linecache
import math
import re
import signal
import traceback
import warnings
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from hypothesis import strategies as st

import cvae_tf
from cvae_tf import (
    CMMA,
    CVAE1,
    CVAE2,
    CVAE3,
    GSNN,
    M1,
    M2,
    VAE,
    Baseline,
    FutureCVAE,
    StackedM2,
    baselines,
    datasets,
    diagnostics,
    distributions,
    editing,
    estimators,
    evaluation,
    exercises,
    faces,
    futures,
    networks,
    noise,
    oracle,
    penalties,
    tasks,
)
from cvae_tf.distributions import Bernoulli, Categorical, Gaussian, MixtureOfGaussians
from cvae_tf.estimators import SGVBA, SGVBB, ImportanceWeighted, SGVBMixture
from cvae_tf.networks import mlps
from cvae_tf.penalties import MMD, Beta, FreeBits

PACKAGE = str(Path(cvae_tf.__file__).parent)
DEADLINE = 30  # seconds for one call

VALID, OPEN, INVALID = "valid", "open", "invalid"  # open: to be refused clearly or done rightly

FAILURES = (
    "silent and wrong",
    "NaN without a word",
    "wrong result",
    "valid, but refused",
    "refused too late",
    "hang",
)


# Data, models and streams: the names that lines may use -------------------------------------------

_rng = np.random.default_rng(0)
X = _rng.integers(0, 2, (12, 6)).astype("float32")
X[0], X[1] = [1, 1, 1, 1, 1, 0], 0
Y = np.eye(3, dtype="float32")[np.arange(12) % 3]
R = (_rng.integers(-8, 9, (12, 6)) / 4).astype("float32")  # exact in 16 bits
V = (_rng.integers(-8, 9, (12, 3)) / 4).astype("float32")
L = np.array([0, 1, 2, -1, 0, 1, 2, -1, -1, 2, 1, 0], "int32")
C = np.arange(12, dtype="int32") % 3
W = (1 + np.arange(12) % 4 / 4).astype("float32")
Z1 = (_rng.integers(-8, 9, (12, 2)) / 4).astype("float32")
S = _rng.random((5, 12, 3)).astype("float32")
IMAGES = np.tile(X[:, :4], (1, 4))  # [12, 16], 4 × 4 pixels


def frozen(a):
    """A copy that cannot be written to."""
    a = np.array(a)
    a.flags.writeable = False
    return a


def strided(a):
    """The same numbers, not side by side in memory."""
    wide = np.zeros((2 * a.shape[0], *a.shape[1:]), a.dtype)
    wide[::2] = a
    return wide[::2]


def _spoiled(a, value, dtype="float32"):
    a = np.array(a, dtype)
    a[(0,) * a.ndim] = value
    return a


def nan(a):
    return _spoiled(a, np.nan)


def inf(a):
    return _spoiled(a, np.inf)


def huge(a):
    """Finite in float64, infinite in float32."""
    return _spoiled(a, 1e300, "float64")


def masked(a):
    mask = np.zeros(np.shape(a), bool)
    mask[(0,) * np.ndim(a)] = True
    return np.ma.masked_array(a, mask)


def longer(a):
    return np.concatenate([a, a])


def ragged_list(a):
    return [row[: 1 + i % 2] for i, row in enumerate(longer(a).tolist())]


def ragged(a):
    return tf.ragged.constant(ragged_list(a))


def csr(a):
    from scipy.sparse import csr_matrix

    return csr_matrix(a)


def bfloat16(a):
    return np.asarray(tf.cast(a, tf.bfloat16))


class Torchlike:
    """What a tensor of another library shows."""

    def __init__(self, a):
        self._a = np.asarray(a)
        self.shape, self.dtype = self._a.shape, self._a.dtype

    def __array__(self, dtype=None, copy=None):
        return self._a if dtype is None else self._a.astype(dtype)

    def __len__(self):
        return len(self._a)

    def __getitem__(self, rows):
        return Torchlike(self._a[rows])

    def numpy(self):
        return self._a


def frame(a):
    import pandas

    return pandas.DataFrame(np.asarray(a))


def torch_tensor(a):
    import torch

    return torch.tensor(np.asarray(a))


def _has(module):
    try:
        __import__(module)
    except ImportError:
        return False
    return True


SIZES = {"x": 6, "y": 3, "z": 2}


def nets(model_class, family=None, *, hidden=(5,), prior_family=None, **changes):
    """Tiny networks, with some of them changed, as a constructor's arguments."""
    usual = Categorical() if model_class.observed == "y" else Bernoulli()
    if family is None:
        family = Gaussian() if model_class is FutureCVAE else usual
    sizes = {**SIZES, "z": 0 if model_class is Baseline else 2}
    if model_class is VAE:
        del sizes["y"]
    if prior_family is not None:
        changes.setdefault("prior_family", prior_family)
    made = mlps(model_class, hidden=hidden, family=family, prior_family=prior_family, **sizes)
    return {**made, "family": family, **changes}


def features():
    """A VAE of its own: a StackedM2 freezes it."""
    keras.utils.set_random_seed(1)
    return VAE(**nets(VAE))


def stacked(**changes):
    """A StackedM2 on the features of a fixed VAE."""
    family = Gaussian("network")
    made = mlps(M2, x=2, y=3, z=2, hidden=(5,), family=family)
    options = {"features": features(), **made, "family": family, **changes}
    return StackedM2(**options)


class Made(NamedTuple):
    """How a model of the fuzz is made, and what it is trained on."""

    make: object
    data: tuple  # names of the plain arrays
    kinds: tuple  # of `ARRAYS`, one for each


MODELS = {
    "VAE": Made(lambda: VAE(**nets(VAE)), ("X",), ("binary",)),
    "VAE, Gaussian": Made(lambda: VAE(**nets(VAE, Gaussian("network"))), ("R",), ("real",)),
    "VAE, Beta": Made(lambda: VAE(**nets(VAE), penalty=Beta(2.0)), ("X",), ("binary",)),
    "VAE, MMD": Made(lambda: VAE(**nets(VAE), penalty=MMD(2.0)), ("X",), ("binary",)),
    "CVAE1": Made(lambda: CVAE1(**nets(CVAE1)), ("X", "Y"), ("binary", "given")),
    "CVAE1, weighted": Made(
        lambda: CVAE1(**nets(CVAE1), estimator=ImportanceWeighted(3)),
        ("X", "Y"),
        ("binary", "given"),
    ),
    "CVAE2": Made(
        lambda: CVAE2(**nets(CVAE2), estimator=SGVBA(2)), ("X", "Y"), ("binary", "given")
    ),
    "CMMA": Made(lambda: CMMA(**nets(CMMA)), ("X", "Y"), ("binary", "given")),
    "CMMA, mixture": Made(
        lambda: CMMA(**nets(CMMA, prior_family=MixtureOfGaussians(2)), estimator=SGVBMixture()),
        ("X", "Y"),
        ("binary", "given"),
    ),
    "CVAE3": Made(lambda: CVAE3(**nets(CVAE3)), ("X", "Y"), ("given", "onehot")),
    "CVAE3, hybrid": Made(
        lambda: CVAE3(**nets(CVAE3), alpha=0.5), ("X", "Y"), ("given", "onehot")
    ),
    "GSNN": Made(lambda: GSNN(**nets(GSNN)), ("X", "Y"), ("given", "onehot")),
    "FutureCVAE": Made(
        lambda: FutureCVAE(**nets(FutureCVAE, Gaussian())), ("X", "V"), ("given", "real")
    ),
    "Baseline": Made(lambda: Baseline(**nets(Baseline)), ("X", "Y"), ("given", "onehot")),
    "M2": Made(lambda: M2(**nets(M2)), ("X", "L"), ("binary", "labels")),
    "M2, counted": Made(
        lambda: M2(**nets(M2), num_examples=12, num_labelled=9), ("X", "L"), ("binary", "labels")
    ),
    "StackedM2": Made(stacked, ("X", "L"), ("binary", "labels")),
}

_kept = {}  # name: (model, its optimiser, its first weights, its counts)
_last = {}  # the kept model that the line being run has used last, and its name
_history = {}  # name: the lines that a kept model has seen
_line = [""]


def model(name):
    """A compiled model of `MODELS`, kept from call to call, with its first weights at step 0."""
    if name not in _kept or _kept[name][0].optimizer is not _kept[name][1]:  # a line compiled it
        keras.utils.set_random_seed(0)
        made = MODELS[name].make()
        made.compile(keras.optimizers.Adam(0.01), jit_compile=False)
        counts = [getattr(made, each, None) for each in ("num_labelled", "num_examples")]
        _kept[name] = made, made.optimizer, made.get_weights(), counts
        _history[name] = []
    made, _, weights, counts = _kept[name]
    made.restart(weights)
    if hasattr(made, "set_counts"):
        made.set_counts(*counts)  # `fit` has set them to its arrays'
    made.reset_metrics()
    if _line[0] not in _history[name][-1:]:
        _history[name].append(_line[0])
    _last.update(model=made, name=name)
    keras.utils.set_random_seed(0)
    return made


def forget():
    """Makes all models anew at their next use."""
    _kept.clear()
    _history.clear()


def plain(name, num_rows=12):
    """A model's plain data, repeated to `num_rows` rows."""
    rows = np.arange(num_rows) % 12
    return tuple(globals()[array][rows] for array in MODELS[name].data)


def batches(name, sizes, *, weighted=False, spoil=None):
    """Batches of consecutive rows; number `spoil` has values that no model takes."""
    ends = np.cumsum([0, *sizes])
    data = plain(name, max(int(ends[-1]), 1))
    for number, (first, last) in enumerate(itertools.pairwise(ends)):
        rows = slice(int(first), int(last))
        batch = [a[rows] for a in data]
        if number == spoil:
            batch[0] = nan(batch[0])
        yield (*batch, W[np.arange(first, last) % 12]) if weighted else tuple(batch)


def stream(name, sizes, length="known", *, only=None, **options):
    """A tf.data.Dataset of `batches`: of known, unknown or infinite length."""
    arrays = [globals()[array] for array in MODELS[name].data]
    if options.get("weighted"):
        arrays.append(W)
    signature = tuple(tf.TensorSpec([None, *a.shape[1:]], a.dtype) for a in arrays)
    made = tf.data.Dataset.from_generator(
        lambda: batches(name, sizes, **options), output_signature=signature
    )
    if only is not None:
        made = made.map(lambda *batch: batch[only])
    if length == "known":
        return made.apply(tf.data.experimental.assert_cardinality(len(sizes)))
    return made.repeat() if length == "infinite" else made


def generator(name, sizes, *, endless=False, **options):
    """The same from a Python generator."""
    while True:
        yield from batches(name, sizes, **options)
        if not endless:
            return


class Sequence(keras.utils.PyDataset):
    """The same as Keras's own kind of data set."""

    def __init__(self, name, sizes):
        super().__init__()
        self.batches = list(batches(name, sizes))

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]


def fitted(made, *data, **options):
    """What a fit leaves behind: its logs, steps and weights, and the plain data's bound."""
    history = made.fit(*data, verbose=0, **options).history
    left = {
        "history": history,
        "steps": int(made.optimizer.iterations),
        "weights": [w.numpy() for w in made.trainable_variables[:4]],
    }
    if _last["name"] != "StackedM2":
        bound = made.bound(*plain(_last["name"])).elbo
        left["elbo"] = float(np.mean(bound))
    return left


def evaluated(made, *data, **options):
    return made.evaluate(*data, verbose=0, return_dict=True, **options)


def predicted(made, x, **options):
    return made.predict(x, verbose=0, **options)


def bound_of(made, *data, **options):
    return made.bound(*data, **options)


def used(made):
    """What a new model gives on plain data, so that what it is made of has to work."""
    name = next(n for n, m in MODELS.items() if type(made).__name__ == n.split(",")[0])
    data = plain(name)
    if isinstance(made, StackedM2):
        data = (X, L)
    if name == "FutureCVAE" and not isinstance(made.family, Gaussian):
        data = (X, Y)
    bound = made.bound(*data)
    made.compile(jit_compile=False, steps_per_execution=1)
    return bound


def applied(net):
    """A network's output at ones, and how many weights it has."""
    ones = [np.ones((2, *t.shape[1:]), "float32") for t in net.inputs]
    return networks.apply(net, *ones).shape, net.count_params()


def explained(family, size=2, values=None):
    """A family's log-density of ones."""
    raw = tf.zeros([3, family.raw_size(size)], family.compute_dtype)
    distribution = family(raw)
    values = tf.ones(distribution.event_shape) if values is None else values
    if isinstance(family, Categorical):
        values = tf.one_hot(0, size)
    return distribution.log_prob(tf.cast(values, family.compute_dtype))


def penalised(penalty):
    """The loss of one batch under a penalty."""
    made = VAE(**nets(VAE), penalty=penalty)
    epsilon = np.zeros((1 + penalty.num_draws, 12, 2), "float32")
    return made.objective(made.tensor(X), noise=made.tensor(epsilon))[0]


def warmed(callback):
    made = model("VAE, Beta")
    return fitted(made, X, batch_size=12, callbacks=[callback])


def corrupted(layer):
    net = baselines.corrupted(networks.mlp([6], (5,), 2), layer)
    return net(X, training=True)


def said(function, *arguments, **options):
    """What a function prints."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        function(*arguments, **options)
    return out.getvalue()


def last_layer(model_class, activation):
    """Networks whose likelihood ends in an activation, as tutorials' decoders do."""
    made = nets(model_class)
    size = 3 if model_class.observed == "y" else 6
    old = made["likelihood_net"]
    raw = keras.layers.Dense(size, activation=activation, name="decoded")(old.layers[-2].output)
    return {**made, "likelihood_net": keras.Model(old.inputs, raw)}


def two_outputs():
    """A Keras tutorial's encoder: [mean, log_var]."""
    x = keras.Input((6,))
    h = keras.layers.Dense(5)(x)
    return keras.Model(x, [keras.layers.Dense(2)(h), keras.layers.Dense(2)(h)])


# Arguments ----------------------------------------------------------------------------------------


class Arg(NamedTuple):
    """An argument's code, the code of its plainest form, and what the contract says of it."""

    code: str
    clean: str
    status: str


def good(code):
    return Arg(code, code, VALID)


def same(code, clean):
    """Another form of a valid argument."""
    return Arg(code, clean, VALID)


def bad(code):
    return Arg(code, code, INVALID)


def either(code, clean=None):
    return Arg(code, clean or code, OPEN)


class Slot(NamedTuple):
    """Strategies for one argument: as a careful user gives it, and as others do."""

    usual: st.SearchStrategy
    odd: st.SearchStrategy


def choice(usual, odd=()):
    usual = [good(u) if isinstance(u, str) else u for u in usual]
    odd = [bad(o) if isinstance(o, str) else o for o in odd]
    return Slot(st.sampled_from(usual or odd), st.sampled_from(odd or usual))


def count(*usual, least=1, none=False):
    """A whole number ≥ least; `none`: None is allowed."""
    last = usual[-1] if usual[-1] != "None" else usual[0]
    forms = [same(f"np.{kind}({last})", last) for kind in ("int64", "int32", "uint8")]
    forms += [either(f"np.array({last})", last), either(f"tf.constant({last})", last)]
    wrong = [f"{last}.0", f"{last}.5", "True", f"'{last}'", f"np.float32({last})", "float('nan')"]
    wrong += [f"[{last}]", "3j", "object()", "np.bool_(True)", "-math.inf"]
    if not none:
        wrong.append("None")
    below = st.integers(-3, least - 1).map(lambda number: bad(str(number)))
    return Slot(
        st.sampled_from([good(u) for u in usual]),
        st.one_of(below, st.sampled_from(forms), st.sampled_from([bad(w) for w in wrong])),
    )


def more(slot, *odd):
    """A slot with a few more odd arguments."""
    return Slot(slot.usual, st.one_of(slot.odd, st.sampled_from(list(map(bad, odd)))))


def seed():
    forms = [same("np.int64(7)", "7"), same("np.uint32(7)", "7"), same("np.int8(7)", "7")]
    forms += [either("-1"), either("2**40"), either("2**70")]
    wrong = ["7.0", "1.5", "True", "'7'", "None", "[7]", "float('nan')", "np.float64(7)", "7j"]
    large = st.integers(0, 2**31 - 1).map(lambda number: good(str(number)))
    return Slot(
        st.sampled_from([good("0"), good("7")]),
        st.one_of(st.sampled_from(forms), large, st.sampled_from([bad(w) for w in wrong])),
    )


def number(*usual, least=None, above=None, most=None):
    """A real number, in a range if one is said."""
    last = usual[-1]
    forms = [
        same(f"np.float32({last})", last),
        same(f"np.float64({last})", last),
        same(f"np.float16({last})", last),
        either(f"np.array({last})", last),
        either(f"tf.constant({last})", last),
        either("True"),
    ]
    wrong = [f"'{last}'", "None", "float('nan')", f"[{last}]", "1j", "object()"]
    wrong += ["-math.inf"] if least is not None or above is not None else []
    wrong += [repr(least - 0.5), repr(least - 1)] if least is not None else []
    wrong += [repr(above), repr(above - 0.5)] if above is not None else []
    wrong += [repr(most + 0.5), repr(most + 1)] if most is not None else []
    return choice(usual, [*forms, *wrong])


def flag(*usual):
    return choice(usual, [either("1"), either("np.bool_(True)"), either("'no'"), either("None")])


# Forms of an array {a}: code, the plain form, status; {a} is float32 but for labels.
_SAME = [
    "{a}.astype('float64')", "{a}.tolist()", "list({a})", "tuple({a})",
    "tuple(map(tuple, {a}.tolist()))", "tf.constant({a})", "tf.constant({a}, 'float64')",
    "tf.Variable({a})", "np.asfortranarray({a})", "frozen({a})", "strided({a})",
    "{a}[::-1][::-1]", "{a}.astype('>f4')", "{a}.astype('float16')",
]  # fmt: skip
_SAME += ["frame({a})"] if _has("pandas") else []
_SAME += ["torch_tensor({a})"] if _has("torch") else []
_OPEN = [
    "{a}.astype('longdouble')", "tf.cast({a}, 'bfloat16')", "bfloat16({a})",
    "np.ma.masked_array({a})", "Torchlike({a})", "np.asmatrix({a})", "memoryview({a})",
]  # fmt: skip
_WRONG = [
    "masked({a})", "{a}.astype(object)", "{a}.astype(str)", "{a}.astype(int).astype('M8[s]')",
    "{a}.astype(int).astype('m8[s]')", "{a}.astype(complex)", "ragged({a})", "ragged_list({a})",
    "tf.sparse.from_dense({a})", "csr({a})", "nan({a})", "inf({a})", "huge({a})", "-huge({a})",
    "{a}.T", "{a}[0]", "{a}[None]", "{a}[..., None]", "{a}[:, :-1]", "{a}[:0]", "{a}.ravel()",
    "None", "'x'", "3.0", "dict(w={a})", "object()", "iter({a})", "[]", "{a}.tobytes()", "len",
    "np.full_like({a}, np.nan)", "tf.constant({a}.astype(str))",
]  # fmt: skip
_WHOLE = [
    "{a}.astype('int64')", "{a}.astype('uint8')", "{a}.astype(bool)", "{a}.astype(int).tolist()",
    "tf.constant({a}, 'int32')", "tf.constant({a} > 0)", "{a}.astype('int8')",
]  # fmt: skip

ARRAYS = {
    "binary": [
        *(same(code, "{a}") for code in _SAME + _WHOLE),
        good("0.5 * {a}"),
        *map(bad, ["255 * {a}", "-{a}", "2 * {a} - 1", "(255 * {a}).astype('uint8')", "16 * {a}"]),
    ],
    "given": [
        *(same(code, "{a}") for code in _SAME + _WHOLE),
        *(good(code) for code in ("255 * {a}", "-{a}", "0.5 * {a}", "({a} > 0) * 1.0")),
        bad("{a}.argmax(1)"),
    ],
    "onehot": [
        *(same(code, "{a}") for code in _SAME + _WHOLE),
        *map(bad, ["{a}.argmax(1)", "1 - {a}", "0.5 * {a}", "0 * {a}", "255 * {a}", "-{a}"]),
        *map(bad, ["{a}.argmax(1)[:, None]", "{a}.argmax(1).tolist()", "np.ones_like({a})"]),
    ],
    "real": [
        *(same(code, "{a}") for code in _SAME),
        *(good(code) for code in ("255 * {a}", "-{a}")),
        same("({a} > 0)", "({a} > 0) * 1.0"),
    ],
}
for _forms in ARRAYS.values():
    _forms += [either(code, "{a}") for code in _OPEN] + [bad(code) for code in _WRONG]

ARRAYS["labels"] = [
    *(same(f"{{a}}.astype('{kind}')", "{a}") for kind in ("int64", "int16", "int8")),
    *(same(code, "{a}") for code in ("{a}.tolist()", "tuple({a}.tolist())", "tf.constant({a})")),
    *(same(code, "{a}") for code in ("list({a})", "frozen({a})", "strided({a})")),
    same("abs({a}).astype('uint8')", "abs({a})"),
    either("np.ma.masked_array({a})", "{a}"),
    either("Torchlike({a})", "{a}"),
    *map(bad, [
        "{a} + 3", "{a} - 5", "np.eye(3)[{a}]", "{a}[:, None]", "{a}.astype(bool)",
        "{a}.astype('float32')", "{a}.astype(object)", "{a}.astype(str)", "{a}[:0]", "None",
        "nan({a})", "masked({a})", "{a}.astype('int64') + 2**32", "{a}.astype(complex)",
        "{a}.astype('M8[s]')", "0", "'cat'", "{a}[None]", "dict(y={a})", "[]", "inf({a})",
        "{a} + 0.5", "huge({a})", "np.full({a}.shape, 2**63, 'uint64')", "iter({a})", "len",
    ]),
]  # fmt: skip
# Classes wanted: −1 is none of them.
ARRAYS["classes"] = [
    *(arg for arg in ARRAYS["labels"] if "- 5" not in arg.code),
    bad("{a} - 1"),
]
ARRAYS["weights"] = [
    *(same(f"{{a}}{form}", "{a}") for form in (".astype('float64')", ".tolist()")),
    *(same(code, "{a}") for code in ("tf.constant({a})", "frozen({a})", "tuple({a}.tolist())")),
    same("{a} > 1", "({a} > 1) * 1.0"),
    either("0 * {a}"),
    either("Torchlike({a})", "{a}"),
    *map(bad, [
        "-{a}", "{a} - 1.5", "nan({a})", "inf({a})", "huge({a})", "{a}[:, None]", "1.0", "'auto'",
        "{a}.astype(str)", "{a}.astype(complex)", "masked({a})", "{a}[:0]", "dict(w={a})",
        "{a}.astype(object)", "np.ones((len({a}), 6))", "len",
    ]),
]  # fmt: skip
# What NumPy code takes: 1e300 is a number to float64, and it does without 16 bits.
ARRAYS["numbers"], ARRAYS["reals"] = (
    [arg for arg in ARRAYS[kind] if "huge" not in arg.code and "bfloat16" not in arg.code]
    for kind in ("given", "real")
)

_ROWS = {"": 12, "[:5]": 5, "[:1]": 1}


def arrays(kind, name, rows="", *, paired=False, none=False):
    """One array. Args: kind: of `ARRAYS`; name: of the plain one; rows: "[:5]" for fewer; paired:
    whether another array goes with it; none: whether None is allowed."""

    def filled(arg):
        array = name + rows
        return Arg(arg.code.format(a=array), arg.clean.format(a=array), arg.status)

    forms = [arg for arg in ARRAYS[kind] if not (none and arg.code == "None")]
    if paired:
        forms = [*forms, *map(bad, ["longer({a})", "{a}[:-1]", "{a}[[0, 0, 0, 0]]"] * 2)]
    forms = list(map(filled, forms))
    usual = [good(name + rows)] + ([good("None")] if none else [])
    return Slot(st.sampled_from(usual), st.sampled_from(forms))


def epsilons(rows, dim=2):
    n = _ROWS[rows]
    return choice(
        ["None", f"np.full((3, {n}, {dim}), 0.25, 'float32')", f"noise.cubature({dim})"],
        [
            same(f"np.full((3, {n}, {dim}), 0.25)", f"np.full((3, {n}, {dim}), 0.25, 'float32')"),
            same(f"np.full((3, {n}, {dim}), 0.25).tolist()", f"np.full((3, {n}, {dim}), 0.25)"),
            same(f"np.zeros((1, {n}, {dim}), int)", f"np.zeros((1, {n}, {dim}))"),
            f"np.zeros(({n}, {dim}))",
            f"np.zeros((1, {n + 1}, {dim}))",
            f"np.zeros((1, {n}, {dim + 1}))",
            f"np.zeros((1, {n}, 1))",
            f"np.zeros((0, {n}, {dim}))",
            f"np.zeros((1, 1, {n}, {dim}))",
            f"np.zeros({dim})",
            f"np.full((1, {n}, {dim}), np.nan)",
            f"np.full((1, {n}, {dim}), 1e300)",
            f"np.zeros((1, {n}, {dim})).astype(str)",
            f"np.zeros((1, {n}, {dim}), complex)",
            "0",
            "'fixed'",
            "True",
        ],
    )


# Entries ------------------------------------------------------------------------------------------


class Call(NamedTuple):
    """One call: the entry it is of, and its arguments by name."""

    entry: "Entry"
    args: dict

    def __repr__(self):
        return self.code

    @property
    def code(self):
        return self.entry.call.format(**{name: arg.code for name, arg in self.args.items()})

    @property
    def clean(self):
        return self.entry.call.format(**{name: arg.clean for name, arg in self.args.items()})

    @property
    def status(self):
        found = {arg.status for arg in self.args.values()}
        own = next(status for status in (INVALID, OPEN, VALID) if status in found | {VALID})
        return self.entry.status(self, own)

    def value(self, name):
        """The plain form of an argument."""
        return eval(self.args[name].clean, globals())


class Entry(NamedTuple):
    """A public entry: a call with {names}, a slot for each, and a contract.

    `status(call, status)` may change what the arguments' own statuses say; `check(call, result)`
    returns what is wrong with a result, or None; `late(call)`: what must not have happened when the
    call is refused; `words(call)`: what a warning has to name.
    """

    call: str
    slots: dict
    check: object = lambda call, result: None
    status: object = lambda call, status: status
    late: object = lambda call: None
    words: object = lambda call: ()


ENTRIES = {}  # {name: entries of one kind, among which a draw chooses}


def add(kind, *entries):
    ENTRIES.setdefault(kind, []).extend(entries)


def data_slots(name, rows="", *, only=None):
    """{x: …, y: …} of a model's data."""
    made = MODELS[name]
    found = {}
    for variable, array, kind in zip("xy", made.data, made.kinds, strict=False):
        found[variable] = arrays(kind, array, rows, paired=len(made.data) > 1 and only is None)
    return found if only is None else {only: found[only]}


def listed(slots):
    return ", ".join(f"{{{name}}}" for name in slots)


def num_rows(call, name="x"):
    return len(call.value(name))


# Bounds and what goes with them

def _check_bound(call, bound):
    n = num_rows(call)
    shapes = {tuple(part.shape) for part in bound}
    if shapes != {(n,)}:
        return f"shapes {shapes}, expected ({n},)"
    if np.abs(bound.elbo - (bound.reconstruction - bound.kl)).max() > 1e-4:
        return "elbo is not reconstruction − kl"
    if (np.asarray(bound.kl) < -1e-4).any() and "weighted" not in call.code:
        if not any(word in call.code for word in ("CVAE2", "noise=")):
            return "a negative KL"


_BOUND = [name for name in MODELS if name not in ("StackedM2", "M2, counted", "VAE, MMD")]
for _name in _BOUND:
    for _rows in _ROWS:
        _data = data_slots(_name, _rows)
        add(
            "bound",
            Entry(
                f"bound_of(model({_name!r}), {listed(_data)}, noise={{noise}})",
                {**_data, "noise": epsilons(_rows, 0 if _name == "Baseline" else 2)},
                _check_bound,
                # twice as many rows of both, and noise of one row or none: data like any other
                lambda call, status: OPEN if call.code.count("longer(") == 2 else status,
            )
            if _name != "Baseline"
            else Entry(f"bound_of(model({_name!r}), {listed(_data)})", _data, _check_bound),
        )
    _few, _many = MODELS[_name].data[:-1], (*MODELS[_name].data, "W")
    add(
        "arity",
        *(
            Entry(f"model({_name!r}).{_method}({{data}})", {"data": choice(_args, _args)})
            for _method in ("bound", "reconstruct", "log_likelihood")
            for _args in [[bad(", ".join(_few)), bad(", ".join(_many))]]
        ),
    )


def _check_rows(call, result):
    if len(result) != num_rows(call):
        return f"{len(result)} rows, expected {num_rows(call)}"


def _status_alone(call, status):
    """x without y may have any number of rows."""
    return OPEN if call.args["y"].code == "None" else status


for _name in ("VAE", "VAE, Gaussian", "CVAE1", "CMMA, mixture", "CVAE3", "GSNN", "Baseline", "M2"):
    _data = data_slots(_name)
    add(
        "log_likelihood",
        Entry(
            f"model({_name!r}).log_likelihood({listed(_data)}, num_samples={{num}}, "
            "method={method}, seed={seed}, batch_size={batch_size})",
            {
                **_data,
                "num": count("3"),
                "method": choice(
                    ["'importance'", "'prior'"] if _name != "M2" else ["'importance'"],
                    ["'exact'", "None", "0", "'Importance'"],
                ),
                "seed": seed(),
                "batch_size": count("None", "5", none=True),
            },
            _check_rows,
        ),
    )
for _name in ("VAE", "VAE, Gaussian", "CVAE1", "CVAE2", "CMMA", "CVAE3", "GSNN", "FutureCVAE"):
    for _rows in _ROWS:
        _data = data_slots(_name, _rows)
        add(
            "reconstruct",
            Entry(f"model({_name!r}).reconstruct({listed(_data)})", _data, _check_rows),
        )


def _check_generated(call, result):
    given = call.value("given")
    if isinstance(given, dict):  # by its name
        (given,) = given.values()
    n = given if np.ndim(given) == 0 else len(given)
    if len(result) != n:
        return f"{len(result)} rows, expected {n}"
    if "Gaussian" not in call.code and "Future" not in call.code and "Stacked" not in call.code:
        if result.min() < 0 or result.max() > 1:
            return "means outside [0, 1]"


_GIVEN = {
    "VAE": count("3", "1", least=0),
    "VAE, Gaussian": count("3", least=0),
    **{name: arrays("given", "Y") for name in ("CVAE1", "CVAE2", "CMMA", "CMMA, mixture")},
    **{name: arrays("given", "X") for name in ("CVAE3", "GSNN", "FutureCVAE", "Baseline")},
    "M2": arrays("classes", "C"),
    "StackedM2": arrays("classes", "C"),
}
for _name, _slot in _GIVEN.items():
    add(
        "generate",
        Entry(
            f"model({_name!r}).generate({{given}}, seed={{seed}}, sample={{sample}})",
            {"given": _slot, "seed": seed(), "sample": flag("False", "True")},
            _check_generated,
            lambda call, status: OPEN if "dict(y=C)" in call.code else status,
        ),
    )
    _given = _slot if _name not in ("VAE", "VAE, Gaussian", "M2", "StackedM2") else arrays(
        "real" if _name == "VAE, Gaussian" else "binary", "R" if _name == "VAE, Gaussian" else "X"
    )  # fmt: skip
    add(
        "predict",
        Entry(
            f"predicted(model({_name!r}), {{x}}, batch_size={{batch_size}}, steps={{steps}})",
            {
                "x": _given,
                "batch_size": count("None", "5", none=True),
                "steps": count("None", "2", "1", none=True),
            },
            lambda call, result: _check_predicted(call, result),
            lambda call, status: _status_steps(call, status),
        ),
        Entry(f"model({_name!r}).predict_on_batch({{x}})", {"x": _given}, _check_rows),
    )


def _check_predicted(call, result):
    size, steps = call.value("batch_size") or 32, call.value("steps")
    n = num_rows(call)
    expected = n if steps is None else min(n, steps * size)
    if len(result) != expected:
        return f"{len(result)} rows, expected {expected}"


for _name in ("CVAE3", "GSNN"):
    add(
        "predictive",
        Entry(
            f"model({_name!r}).predictive({{x}}, method={{method}}, num_samples={{num}}, "
            "seed={seed})",
            {
                "x": arrays("given", "X"),
                "method": choice(["'monte_carlo'", "'plug_in'"], ["'exact'", "None"]),
                "num": count("3"),
                "seed": seed(),
            },
            _check_rows,
        ),
    )
add("predictive", Entry("model('Baseline').predictive({x})", {"x": arrays("given", "X")}))

# M2's own
_x, _labels, _classes = (
    arrays("binary", "X", paired=True),
    arrays("labels", "L", paired=True, none=True),
    arrays("classes", "C", paired=True),
)
for _name in ("M2", "StackedM2"):
    add(
        "semi-supervised",
        Entry(f"model({_name!r}).style({{x}}, {{y}})", {"x": _x, "y": _labels}, _check_rows,
              _status_alone),
        Entry(f"model({_name!r}).analogies({{x}}, {{y}})", {"x": _x, "y": _labels}, _check_rows,
              _status_alone),
        Entry(
            f"model({_name!r}).style_transfer({{x}}, {{to}}, {{y}})",
            {"x": _x, "to": _classes, "y": _labels},
            _check_rows,
        ),
        Entry(
            f"model({_name!r}).classify({{x}}, method={{method}}, num_samples={{num}}, "
            "seed={seed})",
            {
                "x": arrays("binary", "X"),
                "method": choice(["'importance'", "'classifier'"], ["'exact'", "None"]),
                "num": count("3"),
                "seed": seed(),
            },
            _check_rows,
        ),
        Entry(
            f"model({_name!r}).log_joint({{x}}, num_samples={{num}}, seed={{seed}})",
            {"x": arrays("binary", "X"), "num": count("3"), "seed": seed()},
            _check_rows,
        ),
    )


def m1(**options):
    made = M1(model("VAE"), **{"epochs": 1, "batch_size": 12, **options})
    made.fit(X)
    return made


add(
    "semi-supervised",
    Entry("m1().transform({x})", {"x": arrays("binary", "X")}, _check_rows),
    Entry("M1({vae}, epochs=1, batch_size=12).fit_transform({x})", {
        "vae": choice(["model('VAE')", "lambda: model('VAE')"],
                      ["VAE", "'VAE'", "None", "model('CVAE1')", "lambda: 0"]),
        "x": arrays("binary", "X"),
    }, _check_rows),
    Entry("m1(epochs={epochs}, batch_size={size}, min_std={std}).transform(X)", {
        "epochs": count("1", least=0), "size": count("12"), "std": number("0.0", least=0),
    }),
    Entry("m1().sample_features({x}, {noise})", {
        "x": arrays("binary", "X", paired=True),
        "noise": choice(["np.zeros((12, 2))", "np.zeros((3, 12, 2))"],
                        ["np.zeros((12, 3))", "np.zeros(2)", "np.zeros((3, 1, 12, 2))", "0", "None",
                         "np.full((12, 2), np.nan)", "np.zeros((12, 2)).astype(str)"]),
    }),
    Entry("stacked(kept={kept}).features_of(X)", {
        "kept": choice(["None", "[0, 1]"],
                       [same("np.array([0, 1])", "[0, 1]"),
                        either("np.array([True, True])", "None"),
                        same("range(2)", "[0, 1]"), same("(1, 0)", "[1, 0]"), "[0]", "[0, 2]",
                        "[-1, 5]", "2", "[0.0, 1.0]", "'01'", "[0, 0, 1]", "[0, 0]", "[]"]),
    }),
    Entry("stacked(features={features})", {
        "features": choice(["features()"], ["M1(features())", "VAE", "None", "'vae'",
                                            "model('CVAE1')", "features().posterior_net"]),
    }),
)  # fmt: skip


# Training and evaluation

def _status_steps(call, status):
    """More steps than there are batches may be refused."""
    if status != VALID or not call.value("steps"):
        return status
    size = call.value("batch_size") or 32
    return VALID if call.value("steps") * size < num_rows(call) + size else OPEN


def _check_evaluated(call, result):
    name = _last["name"]
    if set(result) < {"loss", "elbo", "reconstruction", "kl"}:
        return f"logs are {sorted(result)}"
    if name == "StackedM2":
        return None
    n, steps = num_rows(call), call.value("steps")
    size = call.value("batch_size") or n  # the default is larger
    n = n if steps is None else min(n, steps * size)
    data = [call.value("x")] + ([call.value("y")] if "y" in call.args else [])
    elbo = np.asarray(_last["model"].bound(*data).elbo)[:n]
    weights = call.value("weights")
    weights = None if weights is None else np.asarray(weights, "float64")[:n]
    if weights is not None and not weights.sum():
        return None
    return _differ(result["elbo"], np.average(elbo, weights=weights), "elbo and the mean of bound")


def _check_stepped(call, result):
    return None if np.all(np.isfinite(list(result.values()))) else "not finite"


_FIT = ("VAE", "VAE, Gaussian", "VAE, MMD", "CVAE1", "CVAE3, hybrid", "M2", "StackedM2")
for _name in (*_FIT, "CVAE1, weighted", "CMMA, mixture", "GSNN", "FutureCVAE", "Baseline"):
    for _rows in ("", "", "[:5]", "[:1]"):
        _data = data_slots(_name, _rows)
        add(
            "evaluate",
            Entry(
                f"evaluated(model({_name!r}), {listed(_data)}, batch_size={{batch_size}}, "
                "steps={steps}, sample_weight={weights})",
                {
                    **_data,
                    "batch_size": count("None", "5", none=True),
                    "steps": count("None", "2", none=True),
                    "weights": arrays("weights", "W", _rows, paired=True, none=True),
                },
                _check_evaluated,
                _status_steps,
            ),
        )
    _data = data_slots(_name)
    add(
        "on_batch",
        *(
            Entry(
                f"model({_name!r}).{_method}({listed(_data)}, sample_weight={{weights}}, "
                "return_dict=True)",
                {**_data, "weights": arrays("weights", "W", paired=True, none=True)},
                _check_stepped,
                late=lambda call: _moved(),
            )
            for _method in ("train_on_batch", "test_on_batch")
        ),
    )


def epochs():
    """Of fit; 0 of them leave a model as it is."""
    slot = count("1", "2", least=0)
    return Slot(slot.usual, st.one_of(slot.odd, st.just(good("0"))))


def _late(call):
    return None if "spoil=" in call.code else _moved()


def _moved():
    return "after a step" if _last and int(_last["model"].optimizer.iterations) else None


def _steps(call, n):
    split = call.value("split") if "split" in call.args else 0
    n = int(n * (1 - split)) if call.value("validation") is None else n
    per_epoch = call.value("steps") or math.ceil(n / (call.value("batch_size") or 32))
    return max(call.value("epochs") - call.value("first"), 0) * per_epoch


def _check_fitted(call, result):
    history, name = result["history"], _last["name"]
    expected = _steps(call, num_rows(call))
    if result["steps"] != expected:
        return f"{result['steps']} steps, expected {expected}"
    epochs = max(call.value("epochs") - call.value("first"), 0)
    lengths = {len(values) for values in history.values()}
    if lengths - {epochs}:
        return f"logs of {lengths} epochs, expected {epochs}"
    if not epochs:
        return None
    keys = {"loss", "elbo", "reconstruction", "kl"}
    validated = call.value("validation") is not None or call.value("split")
    keys |= {f"val_{key}" for key in keys} if validated else set()
    if not keys <= set(history):
        return f"no logs of {sorted(keys - set(history))}"
    whole = call.args["validation"].clean in (_pair(name), f"({_pair(name)})")
    if whole and call.value("validation_steps") is None and "elbo" in result:
        return _differ(history["val_elbo"][-1], result["elbo"], "val_elbo and the mean of bound")


def _status_fitted(call, status):
    if status == INVALID and "spoil=" in call.code and call.value("validation_steps") == 1:
        return OPEN  # the bad batch is not met
    if status == VALID and call.value("epochs") <= call.value("first"):
        return OPEN
    return status


def _pair(name):
    return ", ".join(MODELS[name].data)


def validation(name):
    data = MODELS[name].data
    pair = f"({', '.join(data)},)"
    lists = "(" + "".join(f"{a}.tolist(), " for a in data) + ")"
    tensors = "(" + "".join(f"tf.constant({a}), " for a in data) + ")"
    spoiled = [
        f"(nan({data[0]}), {', '.join(data[1:])})", f"({data[0]}[:, :-1], {', '.join(data[1:])})",
        f"({data[0]}[:0], {', '.join(data[1:])})", "'x'", "3", "()", "[]", "True",
        f"({', '.join(data)}, -W)" if len(data) > 1 else "(X, None, -W)",
        "(X, Y, W, W)", f"stream({name!r}, [])", f"stream({name!r}, [4, 4], spoil=1)",
    ]  # fmt: skip
    if len(data) > 1:
        spoiled += [data[0], f"({data[0]}, None)", f"({data[0]}, {data[1]}[:5])", f"({data[0]},)"]
    usual = ["None", pair] if len(data) > 1 else ["None", f"({data[0]},)"]
    more = [either(f"[{', '.join(data)}]", pair), good(f"stream({name!r}, [4, 4, 4])")]
    if name == "StackedM2":
        more.pop()
    return choice(usual, [*more, same(lists, pair), same(tensors, pair), *spoiled])


for _name in _FIT:
    for _rows in ("", "", "[:5]", "[:1]"):
        _data = data_slots(_name, _rows)
        add(
            "fit",
            Entry(
                f"fitted(model({_name!r}), {listed(_data)}, batch_size={{batch_size}}, "
                "epochs={epochs}, initial_epoch={first}, steps_per_epoch={steps}, "
                "sample_weight={weights}, validation_data={validation}, "
                "validation_steps={validation_steps}, validation_split={split}, "
                "shuffle={shuffle})",
                {
                    **_data,
                    "batch_size": count("None", "4", "5", none=True),
                    "epochs": epochs(),
                    "first": Slot(
                        st.just(good("0")),
                        st.one_of(
                            st.sampled_from([good("1"), same("np.int64(1)", "1")]),
                            st.sampled_from([bad("-1"), bad("0.5"), bad("'0'"), bad("None")]),
                        ),
                    ),
                    "steps": count("None", "None", "5", "2", none=True),
                    "weights": arrays("weights", "W", _rows, paired=True, none=True),
                    "validation": validation(_name),
                    "validation_steps": count("None", "1", none=True),
                    "split": choice(
                        ["0.0"],
                        [
                            good("0.25" if _rows != "[:1]" else "0.0"),
                            either("0.999"),  # as validation_data overrides it
                            *("1.0", "-0.5", "1.5", "'0.2'", "float('nan')", "2"),
                        ],
                    ),
                    "shuffle": flag("True", "False"),
                },
                _check_fitted,
                _status_fitted,
                late=_late,
            ),
        )

# Streams: {data} is what the stream is, and the model's name and sizes stand in it.
_SIZES = {"[4, 4, 4]": 3, "[4, 4, 2, 5]": 4, "[5]": 1, "[1, 2]": 2, "[3] * 70": 70}


def streams(name):
    usual = [f"stream({name!r}, {sizes})" for sizes in _SIZES]
    usual += [f"stream({name!r}, {sizes}, 'unknown')" for sizes in _SIZES]
    odd = [good(f"stream({name!r}, [4, 4], 'infinite')")]
    odd += [good(f"generator({name!r}, [4, 4, 2])"), good(f"Sequence({name!r}, [4, 4, 2])")]
    odd += [good(f"stream({name!r}, [4, 4], weighted=True)")] if len(MODELS[name].data) > 1 else []
    wrong = [f"stream({name!r}, [])", f"stream({name!r}, [], 'unknown')",
             f"generator({name!r}, [])",
             f"stream({name!r}, [4, 4, 4], spoil=0)", f"stream({name!r}, [4, 4], spoil=1)",
             f"Sequence({name!r}, [])", "'digits'", "None", "len", "object()",
             f"stream({name!r}, [4, 0, 4])"]  # fmt: skip
    if len(MODELS[name].data) > 1:
        wrong += [f"stream({name!r}, [4, 4], only=0)", f"stream({name!r}, [4, 4], only=1)"]
    return choice(usual, [*odd, *wrong])


def _length(call):
    """How many batches a stream has; None: no end."""
    code = call.args["data"].code
    if "infinite" in code or "endless" in code:
        return None
    return len(eval(re.search(r"\[[\d, ]*\](?: \* \d+)?", code)[0]))


def _status_stream(call, status):
    is_bad = any(each in call.code for each in ("spoil=", "only=", ", []", "[4, 0, 4]"))
    if status == INVALID and is_bad and ", epochs=0" in call.code:
        return OPEN  # the bad batch is not met
    if status != VALID:
        return status
    length, steps = _length(call), call.value("steps")
    if length is None and not steps:
        return INVALID
    if length is None:
        length = math.inf
    epochs = call.value("epochs") if "epochs" in call.args else 1
    if not epochs:
        return OPEN
    if (steps and steps * epochs > length) or ("generator" in call.code and epochs > 1):
        return OPEN
    return VALID


def _check_fitted_stream(call, result):
    length, steps, epochs = _length(call), call.value("steps"), call.value("epochs")
    expected = epochs * (steps or length) if epochs else 0
    if call.status == OPEN:
        return None if result["steps"] <= expected else f"{result['steps']} > {expected} steps"
    if result["steps"] != expected:
        return f"{result['steps']} steps, expected {expected}"


def _check_evaluated_stream(call, result):
    length, steps = _length(call), call.value("steps")
    sizes = eval(re.search(r"\[[\d, ]*\](?: \* \d+)?", call.args["data"].code)[0])
    if call.status == OPEN:
        return None
    name, total = _last["name"], sum(sizes)
    sizes = (sizes * 9)[: steps or length]
    n = sum(sizes)
    again = np.arange(n) % (total if "infinite" in call.code else n)
    elbo = np.asarray(_last["model"].bound(*(a[again] for a in plain(name, n))).elbo)
    weights = W[np.arange(n) % 12] if "weighted=True" in call.code else None
    return _differ(result["elbo"], np.average(elbo, weights=weights), "elbo and the mean of bound")


for _name in ("VAE", "CVAE1", "CVAE3, hybrid", "M2, counted", "VAE, MMD"):
    add(
        "fit a stream",
        Entry(
            f"fitted(model({_name!r}), {{data}}, epochs={{epochs}}, steps_per_epoch={{steps}})",
            {
                "data": streams(_name),
                "epochs": epochs(),
                "steps": count("None", "None", "2", none=True),
            },
            _check_fitted_stream,
            _status_stream,
        ),
    )
    add(
        "evaluate a stream",
        Entry(
            f"evaluated(model({_name!r}), {{data}}, steps={{steps}})",
            {"data": streams(_name), "steps": count("None", "None", "2", "3", none=True)},
            _check_evaluated_stream,
            _status_stream,
        ),
    )


for _function in ("fitted", "evaluated"):
    add(
        "fit a stream",
        Entry(
            f"{_function}(model('CVAE1'), {{data}}, steps{'_per_epoch' * (_function == 'fitted')}"
            "={steps})",
            {
                "data": choice(["generator('CVAE1', [4, 4], endless=True)"]),
                "steps": count("2", "3", none=True),
            },
            lambda call, result: None
            if result.get("steps", call.value("steps")) == call.value("steps")
            else f"{result['steps']} steps, expected {call.value('steps')}",
        ),
    )


# What is done with a model

for _name in ("VAE", "VAE, Gaussian", "CVAE1", "CVAE3", "CVAE2", "M2"):
    _data = data_slots(_name)
    if _name == "M2":
        _data["y"] = arrays("classes", "C", paired=True)
    _in = f"model({_name!r}), {listed(_data)}"
    add(
        "diagnostics",
        Entry(f"diagnostics.kl_per_dimension({_in})", _data),
        Entry(
            f"diagnostics.active_units({_in}, threshold={{threshold}})",
            {**_data, "threshold": number("0.01", least=0)},
        ),
        Entry(
            f"diagnostics.surgery({_in}, num_samples={{num}}, seed={{seed}})",
            {**_data, "num": count("2"), "seed": seed()},
        ),
    )
    if _name != "M2":
        add(
            "diagnostics",
            Entry(
                f"diagnostics.use({_in}, num_samples={{num}}, seed={{seed}})",
                {**_data, "num": count("2"), "seed": seed()},
            ),
            Entry(
                f"diagnostics.ledger({_in}, num_importance_samples={{num}}, seed=0, "
                "num_samples=3, steps=1, noise_samples=1)",
                {**_data, "num": count("4")},
            ),
        )
    add(
        "evaluation",
        Entry(
            f"evaluation.log_likelihood({_in}, num_samples={{num}}, seed={{seed}})",
            {**_data, "num": count("3"), "seed": seed()},
        ),
        Entry(
            f"evaluation.importance_weighted_curve({_in}, sizes={{sizes}}, seed={{seed}})",
            {
                **_data,
                "sizes": choice(
                    ["(1, 2, 4)", "(3,)"],
                    [
                        same("[1, 2, 4]", "(1, 2, 4)"),
                        same("np.array([1, 2, 4])", "(1, 2, 4)"),
                        same("(np.int64(1), np.int64(2))", "(1, 2)"),
                        *("()", "(2, 3)", "(0, 2)", "(-1, 2)", "4", "None", "(1.0, 2.0)"),
                        *("'124'", "(4, 2)", "(True, 2)"),
                    ],
                ),
                "seed": seed(),
            },
        ),
    )
    if _name in ("VAE", "CVAE1", "CVAE3"):
        add(
            "evaluation",
            Entry(
                f"evaluation.gap({_in}, num_samples={{num}}, steps={{steps}}, "
                "learning_rate={rate}, noise_samples={noise}, seed={seed})",
                {
                    **_data,
                    "num": count("3"),
                    "steps": count("2", "1"),
                    "rate": number("0.03", above=0),
                    "noise": count("1"),
                    "seed": seed(),
                },
            ),
        )
add(
    "evaluation",
    Entry("evaluation.estimate({values})", {
        "values": choice(["W", "W.tolist()"], [
            same("tf.constant(W)", "W"), same("frozen(W)", "W"), same("tuple(W)", "W"),
            "nan(W)", "[]", "W.astype(str)", "None", "3.0", "X", "masked(W)", "'x'", "1j * W",
        ]),
    }),
)  # fmt: skip

for _name in ("CMMA", "CVAE1", "CVAE2"):
    _data = {**data_slots(_name), "new": arrays("given", "Y[::-1]", paired=True)}
    add(
        "editing",
        Entry(f"editing.transport(model({_name!r}), {listed(_data)})", _data, _check_rows),
        Entry(
            f"editing.reencode(model({_name!r}), {listed(_data)}, sample={{sample}}, "
            "seed={seed})",
            {**_data, "sample": flag("False", "True"), "seed": seed()},
            _check_rows,
        ),
    )
_NO_MODEL = ["VAE", "None", "'CMMA'", "X", "len", "model('CMMA').posterior_net"]
add(
    "no model",
    *(
        Entry(f"{function}({{model}}, X, Y{rest})", {"model": choice(_NO_MODEL, _NO_MODEL)},
              status=lambda call, status: INVALID)
        for function, rest in {
            "editing.transport": ", Y", "editing.reencode": ", Y", "evaluation.gap": "",
            "evaluation.log_likelihood": "", "diagnostics.use": "", "diagnostics.surgery": "",
            "diagnostics.kl_per_dimension": "", "diagnostics.active_units": "",
            "evaluation.importance_weighted_curve": "",
        }.items()
    ),
    Entry("editing.transport({model}, X, Y, Y)", {"model": choice(
        ["model('CMMA')"], ["model('VAE')", "model('CVAE3')", "model('CMMA, mixture')"])}),
)  # fmt: skip


# Making models

_FAMILIES = {
    "x": choice(["Bernoulli()", "Gaussian('network')", "Gaussian()", "Gaussian(0.5)"],
                ["'bernoulli'", "Bernoulli", "Gaussian", "keras.losses.BinaryCrossentropy()",
                 "keras.layers.Dense(3)", "0", "len", "distributions.tfd.Bernoulli(0.5)"]),
    "y": choice(["Categorical()", "Bernoulli()", "Gaussian('shared')"],
                ["'categorical'", "Categorical", "keras.layers.Softmax()", "0"]),
}  # fmt: skip
_ESTIMATORS = choice(
    ["SGVBB()", "SGVBA(2)", "ImportanceWeighted(3)", "None"],
    ["SGVBB", "'SGVBB'", "0", "SGVBMixture()", "Beta(1.0)", "lambda *a: a"],
)
_PENALTIES = choice(
    ["None", "Beta(2.0)", "FreeBits(0.1)", "MMD(1.0)"],
    ["Beta", "'beta'", "2.0", "SGVBB()", "lambda *a: 0", "penalties.WarmUp(2)"],
)


def _activation_words(call):
    family = "Categorical" if re.search("CVAE3|GSNN|Future", call.code) else "Bernoulli"
    return ("decoded", family) if "last_layer" in call.code else ()


def _status_made(call, status):
    weighted = "ImportanceWeighted" in call.code and "penalty=None" not in call.code
    return INVALID if weighted else status


for _class in ("VAE", "CVAE1", "CVAE2", "CMMA", "CVAE3", "GSNN", "FutureCVAE"):
    _observed = getattr(cvae_tf, _class).observed
    add(
        "constructor",
        Entry(
            f"used({_class}(**nets({_class}, {{family}}), estimator={{estimator}}, "
            "penalty={penalty}, seed={seed}))",
            {
                "family": _FAMILIES[_observed],
                "estimator": _ESTIMATORS,
                "penalty": _PENALTIES,
                "seed": seed(),
            },
            status=_status_made,
        ),
        Entry(
            f"used({_class}(**{{nets}}))",
            {
                "nets": choice(
                    [f"nets({_class})", f"nets({_class}, hidden=())"],
                    [
                        f"last_layer({_class}, 'sigmoid')",
                        f"last_layer({_class}, 'softmax')",
                        f"last_layer({_class}, 'relu')",
                        f"nets({_class}, hidden=5)",
                        f"nets({_class}, hidden=5.0)",
                        f"nets({_class}, hidden='5')",
                        f"nets({_class}, hidden=(0,))",
                        f"nets({_class}, hidden=(5.0,))",
                        f"nets({_class}, hidden=None)",
                        f"nets({_class}, likelihood_net=None)",
                        f"nets({_class}, likelihood_net=keras.Sequential([keras.layers.Dense(6)]))",
                        f"nets({_class}, likelihood_net=keras.layers.Dense(6))",
                        f"nets({_class}, likelihood_net=lambda z: z)",
                        f"nets({_class}, likelihood_net='mlp')",
                        f"nets({_class}, likelihood_net=networks.mlp([2], (), 7))",
                        f"nets({_class}, nonsense=3)",
                        f"nets({_class}, family=None)['family']",
                        same(f"nets({_class}, hidden=[5])", f"nets({_class})"),
                        same(f"nets({_class}, hidden=(np.int64(5),))", f"nets({_class})"),
                    ],
                )
            },
            words=_activation_words,
        ),
    )
add(
    "constructor",
    Entry("used(VAE(**nets(VAE, posterior_net={net})))", {"net": choice(
        ["networks.mlp([6], (), 4)", "networks.mlp({'x': 6}, (3, 3), 4, activation='tanh')"],
        ["two_outputs()", "networks.mlp([6], (), 5)", "networks.mlp([5], (), 4)",
         "networks.mlp([6, 3], (), 4)", "networks.mlp([6], (), (2, 2))", "None",
         "keras.Sequential()",
         "networks.mlp([6], (), 4, dtype='float64')", "keras.Sequential([keras.layers.Dense(4)])",
         "keras.Sequential([keras.Input((6,)), keras.layers.Dense(4, 'relu')])", "VAE", "'dense'"],
    )}),
    Entry("used(CVAE3(**nets(CVAE3), alpha={alpha}))",
          {"alpha": number("1.0", "0.5", least=0, most=1)}),
    Entry("used(M2(**nets(M2), alpha={alpha}, num_examples={n}, num_labelled={l}))", {
        "alpha": number("0.1", least=0),
        "n": choice(["12"], [same("np.int64(12)", "12"), "-1", "0", "12.5", "'12'", "None", "2",
                            "True", "float('nan')"]),
        "l": choice(["9"], [same("np.int64(9)", "9"), "-1", "13", "2.5", "'9'", "None"]),
    }, status=lambda call, status: VALID if "num_examples=None, num_labelled=None" in call.code
        and call.args["alpha"].status == VALID else status),
    Entry("used(M2(**nets(M2, classifier_net={net})))",
          {"net": choice(["networks.mlp([6], (), 3)"],
                         ["None", "networks.mlp([6], (), 4)", "networks.mlp([5], (), 3)", "'mlp'",
                          "keras.Sequential([keras.layers.Dense(3)])",
                          "networks.mlp([6, 3], (), 3)",
                          "keras.Sequential([keras.Input((6,)), keras.layers.Dense(3, 'softmax')])",
                          ])}),
    Entry("used(CMMA(**nets(CMMA, prior_family={prior}), estimator={estimator}))", {
        "prior": choice(["MixtureOfGaussians(2)", "MixtureOfGaussians(1)"],
                        ["'mixture'", "MixtureOfGaussians", "Bernoulli()", "2",
                         "Categorical()"]),
        "estimator": choice(["SGVBA()", "SGVBMixture()", "ImportanceWeighted(2)"],
                            ["SGVBB()", "None", "SGVBA"]),
    }),
    Entry("used(CMMA(**nets(CMMA), estimator=SGVBMixture({num})))", {"num": count("1")},
          status=lambda call, status: INVALID),
    Entry("used(CMMA(**nets(CMMA, prior_family=MixtureOfGaussians(2)), estimator=SGVBA(), "
          "penalty={penalty}))",
          {"penalty": choice(["None", "Beta(2.0)"], ["FreeBits(0.1)", "MMD(1.0)"])}),
    Entry("model('VAE').compile({optimizer}, jit_compile={jit}, steps_per_execution={steps})", {
        "optimizer": choice(["'adam'", "keras.optimizers.SGD(0.1)"],
                            ["'adaam'", "0.001", "keras.optimizers.SGD", "None", "'adam', 'mse'"]),
        "jit": choice(["False", "'auto'"], ["'yes'", "2"]),
        "steps": count("1", "3"),
    }, status=lambda call, status: OPEN if status == INVALID else status),
    Entry("model('VAE').compile({option})", {"option": choice(
        [], ["loss='mse'", "metrics=['mse']", "loss_weights=[1]", "nonsense=3",
             "weighted_metrics=['mse']"])}),
    Entry("model('VAE').restart({weights})", {"weights": choice(
        ["model('VAE').get_weights()"],
        ["[]", "None", "model('CVAE1').get_weights()", "0", "'weights'",
         "[nan(w) if w.ndim else w for w in model('VAE').get_weights()]"])}),
)  # fmt: skip


# Parts of models

_SIZE = choice(["4", "(2, 2)"], [
    same("np.int64(4)", "4"), same("[2, 2]", "(2, 2)"), either("(4,)", "4"), "0", "-1", "2.0",
    "'4'", "None", "True", "(2, -1)", "(2.0,)", "(None,)", "()", "{}", "object()",
])  # fmt: skip
_HIDDEN = choice(["(5,)", "()", "(4, 3)"], [
    same("[5]", "(5,)"), same("np.array([5])", "(5,)"), same("(np.int32(5),)", "(5,)"), "5", "5.0",
    "'5'", "None", "(0,)", "(-2,)", "(5.0,)", "('a',)", "(None,)", "(True,)", "((5,),)",
])  # fmt: skip
_ACTIVATION = choice(["'relu'", "'tanh'"], [
    same("keras.activations.relu", "'relu'"), same("tf.nn.relu", "'relu'"), good("None"), "'relau'",
    "3", either("keras.layers.ReLU()", "'relu'"), "keras.layers.ReLU", "['relu']",
])  # fmt: skip
_DTYPE = choice(["None", "'float32'"], [good("'float64'"), "'float31'", "64", "'int32'", "len"])
_IMAGE = choice(["(8, 8, 1)", "(6, 4, 2)"], [
    same("[8, 8, 1]", "(8, 8, 1)"), "(8, 8)", "8", "(8, 8, 0)", "(0, 8, 1)", "(8.0, 8.0, 1)",
    "None", "'8x8'", "(8, 8, 1, 1)", "(-8, 8, 1)", "(None, None, 1)",
])  # fmt: skip
add(
    "networks",
    Entry("applied(networks.mlp({inputs}, {hidden}, {outputs}, activation={activation}, "
          "dtype={dtype}))", {
        "inputs": choice(["[6]", "[6, 3]", "{'x': 6, 'y': (2, 2)}"], [
            same("(6, 3)", "[6, 3]"), same("[np.int64(6)]", "[6]"), same("[(6,)]", "[6]"),
            "6", "[]", "None", "[0]", "[-1]", "[6.0]", "'6'", "['6']", "[None]", "[True]", "{}",
            "[(None,)]",
        ]),
        "hidden": _HIDDEN, "outputs": _SIZE, "activation": _ACTIVATION, "dtype": _DTYPE,
    }),
    *(Entry(f"applied(networks.{function}({{inputs}}, {{filters}}, {{hidden}}, {outputs}, "
            "activation={activation}, dtype={dtype}))", {
        "inputs": inputs, "filters": count("2"), "hidden": count("5"), "outputs": shape,
        "activation": _ACTIVATION, "dtype": _DTYPE})
      for function, inputs, outputs, shape in [
        ("conv_encoder", choice(["[(8, 8, 1)]", "[(8, 8, 1), 3]"], [
            "[3]", "[(8, 8)]", "[(8, 8, 1), (4, 4, 1)]", "(8, 8, 1)", "[]", "None", "'image'",
            "[(8, 8, 0)]", "[(8.0, 8, 1)]", "8"]), "{outputs}", count("4")),
        ("conv_decoder", choice(["[2]", "[2, (8, 8, 1)]"], [
            "2", "[]", "None", "[0]", "['2']", either("[(5, 7, 1)]")]), "{outputs}", choice(
            ["(8, 8, 1)"], ["(8, 8)", "8", "None", "(8, 8, 0)", "(8.0, 8, 1)", "'8x8'", "(0, 8, 1)",
                            "(8, 8, 1, 1)", same("[8, 8, 1]", "(8, 8, 1)")])),
      ]),
    Entry("{{name: applied(net) for name, net in networks.convs(VAE, x={image}, z={z}, "
          "filters={filters}, hidden={hidden}, family=Bernoulli()).items()}}",
          {"image": _IMAGE, "z": count("2"), "filters": count("2"), "hidden": count("5")}),
    Entry("{{name: applied(net) for name, net in mlps({model}, {sizes}, hidden={hidden}, "
          "family={family}, prior_family={prior}).items()}}", {
        "model": choice(["CVAE1", "CMMA"], ["VAE", "None", "'CVAE1'", "Bernoulli",
                                           "model('CVAE1')"]),
        "sizes": choice(["x=6, y=3, z=2", "x=(3, 2), y=3, z=2"], [
            same("x=np.int64(6), y=3, z=np.int32(2)", "x=6, y=3, z=2"),
            same("x=[6], y=(3,), z=2", "x=6, y=3, z=2"), "x=6, y=3, z=(2,)",
            "x=6, z=2", "x=6, y=3", "x=6, y=3, z=2, t=1", "x=6, y=3, z=2.0", "x=6.0, y=3, z=2",
            "x=0, y=3, z=2", "x=6, y=-3, z=2", "x=6, y=3, z=None", "x='6', y=3, z=2",
            "x=6, y=3, z=(2, 2)", "x=True, y=3, z=2", "x=(None,), y=3, z=2", "x=(), y=3, z=2",
        ]),
        "hidden": _HIDDEN,
        "family": choice(["Bernoulli()", "Gaussian('network')"],
                         ["'bernoulli'", "Bernoulli", "None", "0"]),
        "prior": choice(["None", "MixtureOfGaussians(2)"],
                        ["'mixture'", "MixtureOfGaussians", "2"]),
    }, status=lambda call, status: OPEN if "model('CVAE1')" in call.code and status == INVALID
        else status),
    Entry("networks.apply(networks.mlp([6, 3], (), 2), {x}, {y})", {
        "x": arrays("numbers", "X", paired=True), "y": arrays("numbers", "Y", paired=True)},
        status=lambda call, status: VALID if call.code.count("longer(") == 2
        else _status_free(call, status)),
)  # fmt: skip


def _status_gaussian(call, status):
    if status != VALID:
        return status
    return VALID if call.value("initial") > call.value("least") else INVALID


add(
    "families",
    Entry("explained(Gaussian({scale}, initial_scale={initial}, min_scale={least}))", {
        "scale": choice(["'shared'", "'per_dimension'", "'network'", "0.5"], [
            same("np.float32(0.5)", "0.5"), same("np.float64(0.5)", "0.5"), good("2"), "0", "-1.0",
            "'Shared'", "None", "True", "float('nan')", "float('inf')", "[0.5]", "1j", "1e300",
            "'0.5'", "object()", "1e-300",
        ]),
        "initial": more(number("1.0", "0.5", above=0), "math.inf", "1e300"),
        "least": number("1e-4", "0.0", "0.25", least=0),
    }, status=_status_gaussian),
    Entry("explained(MixtureOfGaussians({num}, min_scale={least}))",
          {"num": count("2", "1"), "least": number("1e-4", "0.25", least=0)}),
    Entry("explained(Bernoulli(dtype={dtype}))", {"dtype": choice(
        ["None", "'float32'"], [good("'float64'"), "'float31'", "64", "len"])}),
    Entry("explained({family}, {size})", {
        "family": choice(["Bernoulli()", "Categorical()", "Gaussian('network')"]),
        "size": choice(["3", "1"])}),
)  # fmt: skip
add(
    "parts",
    *(
        Entry(f"{name}({{num}}).num_samples", {"num": count("1", "3")})
        for name in ("SGVBA", "SGVBB", "SGVBMixture", "ImportanceWeighted")
    ),
    Entry("penalised(Beta({beta}))", {"beta": number("2.0", "0.5", least=0)}),
    Entry("penalised(FreeBits({minimum}))", {"minimum": number("0.5", least=0)}),
    Entry("penalised(MMD({weight}))", {"weight": number("0.5", least=0)}),
    Entry("warmed(penalties.WarmUp({epochs}, {final}))",
          {"epochs": count("2"), "final": number("0.5", "1.0", least=0)}),
    Entry("penalties.mmd({z}, {other})", {
        "z": choice(["tf.constant(Z1)"], ["tf.constant(Z1[:1])", "tf.constant(Z1[0])", "None",
                                          "tf.constant(nan(Z1))"]),
        "other": choice(["tf.constant(Z1[::-1])"], ["tf.constant(V)", "'z'"])}),
    Entry("corrupted(baselines.Flips({rate}, {seed}))",
          {"rate": more(number("0.5", least=0), "1.0", "1.5"), "seed": seed()}),
    Entry("corrupted(baselines.Blocks({rate}, {size}, {shape}, {value}))", {
        "rate": number("0.5", least=0), "size": count("1", "2"),
        "shape": choice(["(2, 3)", "(3, 2)"], [same("[2, 3]", "(2, 3)"), "(2, 2)", "(0, 6)", "6",
                                              "(2.0, 3.0)", "'2x3'", "None", "(-2, -3)"]),
        "value": number("0.5")}),
    Entry("baselines.corrupted(networks.mlp([6, 3], (), 2), {layer}, position={position})"
          "([X, Y])", {
        "layer": choice(["baselines.Flips(0.5)", "keras.layers.Dropout(0.5)"],
                        ["baselines.Flips", "'flips'", "None", "0.5"]),
        "position": more(count("0", "1", least=0), "2")}),
    Entry("applied(baselines.with_first_guess({net}, {baseline}))", {
        "net": choice(["networks.mlp([6, 3], (), 4)", "networks.mlp([6, 3, 2], (), 4)"],
                      ["networks.mlp([6], (), 4)", "networks.mlp([3, 6], (), 4)", "None", "'net'",
                       "keras.Sequential([keras.layers.Dense(4)])"]),
        "baseline": choice(["model('Baseline')"], ["model('VAE')", "Baseline", "None",
                                                  "model('Baseline').likelihood_net"])}),
)  # fmt: skip

add(
    "noise",
    Entry("noise.key({seed}, {purpose})", {
        "seed": seed(),
        "purpose": choice(["'training'", "''"], list(map(either, ["3", "None", "b'x'"])))}),
    Entry("noise.normal({num}, {rows}, {dim}, key=noise.key(0, 'x'), step={step}, "
          "first_row={first}, dtype={dtype})", {
        "num": count("1", "2"), "rows": count("3"), "dim": count("2", "1", least=0),
        "step": count("0", "5", least=0), "first": count("0", "3", least=0),
        "dtype": choice(["'float32'", "'float64'"], ["'float31'", "None", "'int32'", "64"])}),
    Entry("noise.uniform({rows}, {columns}, key={key}, step={step})", {
        "rows": count("3"), "columns": count("2", least=0), "step": count("0", "5", least=0),
        "key": choice(["noise.key(0, 'x')", "7"],
                      [either("-1"), "'key'", "None", "1.5", "2**64"])}),
    Entry("noise.cubature({dim}, {dtype})", {
        "dim": count("2", "1"), "dtype": choice(["'float64'", "'float32'"],
                                                ["'int32'", "None", "'float31'"])}),
)  # fmt: skip


# Data, tasks, faces, the oracle, exercises

_FREE = ("argmax(1)", ".T", "[:, :-1]", "[..., None]", "[None]", "[0]", ".ravel()")


def _status_free(call, status):
    """For functions of arrays of more than one shape: another shape may be refused."""
    shaped = any(arg.code.endswith(_FREE) for arg in call.args.values())
    return OPEN if shaped or ">" in call.code and status == VALID else status


_VEC = arrays("reals", "R")
_K = more(count("2"), "6", "9")
_ALL_K = more(count("2", "6"), "9")  # PCA's score is defined with all components too
_ORACLE = "oracle.LinearGaussian.random(6, 2, 3, model='CVAE1', seed=0)"
_XY = {"x": arrays("reals", "R", paired=True), "y": arrays("numbers", "Y", paired=True)}
_MEAN = choice(["Z1", "np.zeros(2)"], [
    same("Z1.tolist()", "Z1"), same("tf.constant(Z1)", "Z1"), "np.zeros(3)", "nan(Z1)", "None",
    "'mean'", "Z1[:5]", "Z1.astype(str)", "1j * Z1", "Z1[None]"])  # fmt: skip
_SCALE = choice(["np.ones(2)", "np.full((12, 2), 0.5)"], [
    "np.zeros(2)", "-np.ones(2)", "np.array([1, np.nan])", "None", "'one'", "np.ones(3)",
    "np.array([1, np.inf])", same("[1, 1]", "np.ones(2)"), either("1.0", "np.ones(2)"),
])  # fmt: skip
_SCALES = choice(["np.ones(2)", "np.full((12, 2), 0.5)"], [
    "np.zeros(2)", "-np.ones(2)", "np.array([1, np.nan])", "None", "'one'", "np.ones(3)"])
add(
    "oracle",
    Entry("oracle.LinearGaussian.random({x}, {z}, {y}, model={model}, sigma_squared_min={least}, "
          "seed={seed}).W", {
        "x": count("4"), "z": count("2"), "y": count("3"),
        "model": choice(["'CVAE1'", "'CMMA'", "'CVAE3'"], ["'VAE'", "'cvae1'", "None", "CVAE1"]),
        "least": number("0.01", "0.5", above=0), "seed": seed()}),
    Entry("oracle.LinearGaussian({W}, {b}, {sigma}, S={S}).log_evidence({x})", {
        "W": choice(["np.ones((6, 2))"], [
            same("np.ones((6, 2)).tolist()", "np.ones((6, 2))"), "np.ones(6)",
            "nan(np.ones((6, 2)))", "None", "'W'", "1j * np.ones((6, 2))", "np.ones((0, 2))",
            "np.ones((6, 2)).astype(str)"]),
        "b": choice(["np.zeros(6)"], ["np.zeros(5)", "None", "0.0", "nan(np.zeros(6))", "'b'"]),
        "sigma": number("0.5", "1.0", above=0),
        "S": choice(["None", "[1, 2]"], ["[1]", "[0, 1]", "[-1, 1]", "[1, np.nan]", "1.0", "'S'"]),
        "x": _VEC}),
    Entry(f"{_ORACLE}.log_evidence({{x}}, {{y}})", _XY),
    Entry(f"{_ORACLE}.posterior({{x}}, {{y}})", _XY),
    Entry(f"{_ORACLE}.bound({{mean}}, {{scale}}, {{x}}, {{y}})",
          {**_XY, "mean": _MEAN, "scale": _SCALE}),
    Entry(f"{_ORACLE}.kl_to_posterior({{mean}}, {{scale}}, {{x}}, {{y}})",
          {**_XY, "mean": _MEAN, "scale": _SCALE}),
    Entry(f"{_ORACLE}.sample({{y}}, num_samples={{num}}, seed={{seed}})", {
        "y": arrays("numbers", "Y"), "num": choice(["None"], ["3", "0", "'3'"]), "seed": seed()}),
    Entry("oracle.LinearGaussian.random(6, 2, seed=0).sample(num_samples={num}, seed={seed})",
          {"num": count("3"), "seed": seed()}),
    Entry("oracle.ppca({x}, {k}).log_evidence(R)", {"x": _VEC, "k": _K},
          status=_status_free),
    Entry("oracle.ppca({x}, 2, {y}).log_evidence(R, Y)", _XY,
          status=_status_free),
    Entry("oracle.cmma({x}, {k}, {y}, steps={steps}).log_evidence(R, Y)",
          {**_XY, "k": _K, "steps": count("3")},
          status=_status_free),
    Entry("oracle.pca_score({x}, {k})", {"x": _VEC, "k": _ALL_K}, status=_status_free),
    Entry("oracle.residual_pca_score({x}, {y}, {k})", {**_XY, "k": _ALL_K}, status=_status_free),
    Entry("oracle.kl_diagonal({mean}, {scale}, 0.0, 1.0)", {"mean": _MEAN, "scale": _SCALES},
          status=lambda call, status: OPEN if "Z1[:5]" in call.code or "np.zeros(3)" in call.code
          or "np.ones(3)" in call.code or "Z1[None]" in call.code else status),
)  # fmt: skip

_GREY = arrays("binary", "IMAGES")
add(
    "tasks",
    Entry("tuple(tasks.completion({images}, {observed}, unseen={unseen}, mask={mask}, "
          "image_shape={shape}))[:2]", {
        "images": arrays("numbers", "IMAGES"),
        "observed": choice(["1", "3", "'upper half'", "'column'"], [
            "0", "4", "'left'", "None", same("np.int64(2)", "2"), "2.5", "True",
            "np.ones((4, 4), bool)", "np.zeros((4, 4), bool)", "np.ones((3, 4), bool)", "[1, 2]",
            good("np.eye(4, dtype=bool)"), either("np.eye(4)", "np.eye(4, dtype=bool)"),
            "np.full((4, 4), np.nan)"]),
        "unseen": number("0.5", "0.0"),
        "mask": flag("False", "True"),
        "shape": choice(["None", "(2, 8)"], [same("[2, 8]", "(2, 8)"), "(3, 5)", "16", "(-2, -8)",
                                            "'2x8'", "(2.0, 8.0)", "(0, 0)"])}),
    Entry("tuple(tasks.futures({num}, {seed}, image_shape={shape}, sigma={sigma}, reach={reach}, "
          "ways={ways}))[:6]", {
        "num": count("3"), "seed": seed(),
        "shape": choice(["(16, 16)"], [same("[16, 16]", "(16, 16)"), "(4, 4)", "16", "None",
                                      "(16.0, 16.0)", "'16'", same("(16, 16, 1)", "(16, 16)"),
                                      "(-16, 16)", "(16, 16, 3)"]),
        "sigma": number("0.2", "0.5", above=0), "reach": number("5.5", "5.0", above=0),
        "ways": choice(["(2, 3)", "(4,)"], [
            same("[2, 3]", "(2, 3)"), "()", "(0,)", "(5,)", "2", "(2.5,)", "'23'", "None",
            "(True,)", same("np.array([2, 3])", "(2, 3)"), "(float('nan'),)"])}),
    Entry("tasks.coefficients({t})", {"t": choice(["np.ones((3, 30, 2))"], [
        same("np.ones((3, 30, 2)).tolist()", "np.ones((3, 30, 2))"), "np.ones((3, 30))", "None",
        "np.ones((3, 30, 3))", "np.full((3, 30, 2), np.nan)", "'t'", "np.ones((3, 2, 2))",
        "np.ones((3, 0, 2))", "1j * np.ones((3, 30, 2))", "np.ones(2)"])}),
    Entry("tasks.trajectories({c}, {frames})", {
        "c": choice(["np.ones((3, 10))"], [
            same("np.ones((3, 10)).tolist()", "np.ones((3, 10))"), "np.ones((3, 9))", "None",
            "np.full((3, 10), np.nan)", "'c'", "np.ones(())", "1j * np.ones(10)"]),
        "frames": count("30", "8", least=5)}),
    Entry("tasks.futures(4).log_density({y})", {"y": choice(["np.ones((4, 10))", "None"], [
        same("np.ones((4, 10)).tolist()", "np.ones((4, 10))"), "np.ones((3, 10))",
        "np.ones((4, 9))", "np.full((4, 10), np.nan)", "'y'", "np.ones(10)",
        "1j * np.ones((4, 10))", "np.ones((4, 1))"])}),
    Entry("futures.draws(model({m}), {x}, {num}, seed={seed}, sample={sample}, "
          "rows_at_once={rows})", {
        "m": choice(["'FutureCVAE'", "'Baseline'"], ["'VAE'", "'CVAE1'", "'M2'"]),
        "x": arrays("given", "X"), "num": count("3"), "seed": seed(),
        "sample": flag("True", "False"), "rows": count("100", "30")}),
    Entry("futures.least_distance({samples}, {y}, {sizes})", {
        "samples": choice(["S"], [same("S.tolist()", "S"), same("tf.constant(S)", "S"), "S[0]",
                                  "nan(S)", "None", "S[:0]", "S[:, :5]", "S.astype(str)"]),
        "y": choice(["V"], [same("V.tolist()", "V"), "V[:5]", "V[:, :2]", "nan(V)", "None",
                            "V.astype(str)", "V[0]"]),
        "sizes": choice(["(1, 5)", "[2]"], ["()", "(0,)", "(6,)", "3", "(1.5,)", "'12'", "None",
                                            same("np.array([1, 5])", "(1, 5)"), "(True,)"])}),
    Entry("futures.clusters({samples}, {num}, seed={seed})", {
        "samples": choice(["S[:, 0]"], [same("S[:, 0].tolist()", "S[:, 0]"), "S", "nan(S[:, 0])",
                                        "None", "S[:0, 0]", "'s'", "S[0, 0]"]),
        "num": more(count("2"), "6"),
        "seed": seed()}),
)  # fmt: skip


def taken(made, num=2):
    """The first batches of a stream, and how many it has."""
    return int(made.cardinality()), list(itertools.islice(made.as_numpy_iterator(), num))


add(
    "datasets",
    Entry("datasets.digits({binarise}, {image}, {seed}).test[:2]", {
        "binarise": choice(["None", "'fixed'"], ["'fresh'", "True", "'Fixed'", "0.5", "1"]),
        "image": flag("False", "True"), "seed": seed()}),
    Entry("datasets.binarise({x}, {seed})", {"x": arrays("binary", "X"), "seed": seed()},
          status=_status_free),
    Entry("taken(datasets.fresh_batches({x}, {y}, batch_size={size}, seed={seed}, "
          "shuffle={shuffle}, first_epoch={first}))", {
        "x": arrays("binary", "X", paired=True),
        "y": arrays("given", "Y", paired=True, none=True),
        "size": count("5"), "seed": seed(), "shuffle": flag("True", "False"),
        "first": count("0", "2", least=0)}, status=_status_free),
    Entry("datasets.labelled_subset({labels}, {per}, {seed})", {
        "labels": choice(["C"], [
            same("C.tolist()", "C"), same("C.astype('int64')", "C"), same("tf.constant(C)", "C"),
            "Y", "C - 1", "C.astype(float)", "C.astype(bool)", "[]", "None", "C.astype(str)",
            "C[:, None]", "C.astype('int64') + 2**32", "masked(C)", "'labels'"]),
        "per": more(count("2"), "9"),
        "seed": seed()}),
    Entry("taken(datasets.mixed_batches({x}, {labels}, batch_size={size}, "
          "labelled_per_batch={labelled}, seed={seed}, first_epoch={first}))", {
        "x": arrays("given", "X", paired=True), "labels": arrays("labels", "L", paired=True),
        "size": count("5", least=3),
        "labelled": more(count("2"), "5"),
        "seed": seed(), "first": count("0", "2", least=0)},
        status=lambda call, status: OPEN if status == INVALID and any(
            part in call.code for part in ("L + 3", "L - 5")) else
            INVALID if "abs(L)" in call.code else _status_free(call, status)),
)  # fmt: skip
_FACES = choice(["np.zeros((2, 10))"], [
    same("np.zeros((2, 10)).tolist()", "np.zeros((2, 10))"), "np.zeros(10)", "np.zeros((2, 9))",
    "np.full((2, 10), np.nan)", "None", "'smile'", "np.full((2, 10), 1e300)", "np.zeros((0, 10))",
    same("np.zeros((2, 10), int)", "np.zeros((2, 10))"), "1j * np.ones((2, 10))",
    "np.full((2, 10), np.inf)", "np.zeros((2, 10)).astype(str)"])  # fmt: skip
add(
    "faces",
    Entry("faces.drawn({num}, size={size}, image={image}, seed={seed}).all[:2]", {
        "num": count("6", "7", least=6), "size": count("16", least=16),
        "image": flag("True", "False"), "seed": seed()}),
    Entry("faces.draw({y}, {identity}, size={size})", {
        "y": _FACES,
        "identity": choice(["None", "np.zeros(12)", "np.zeros((2, 12))"],
                           ["np.zeros((3, 12))", "np.zeros(11)", "nan(np.zeros(12))", "'me'", "0"]),
        "size": count("16", least=16)}),
    Entry("faces.frechet_distance({a}, {b})", {
        "a": choice(["R", "R[:7]"], [
            same("R.tolist()", "R"), "nan(R)", "None", "R[:1]", "R[:0]", "R[0]", "R[None]", "'a'",
            "R.astype(str)", "1j * R", "inf(R)"]),
        "b": choice(["R[::-1] + 1"], ["V", "R.astype(object)", same("(R[::-1] + 1).tolist()",
                                                                  "R[::-1] + 1")])}),
    Entry("faces.score({read}, {y}, {{'a': ('binary', slice(0, 1)), "
          "'b': ('continuous', slice(1, 2))}})", {
        "read": choice(["R[:, :2]"], ["nan(R[:, :2])", "R[:5, :2]", "None", "R[:, :1]", "'r'",
                                      same("R[:, :2].tolist()", "R[:, :2]"), "R[:0, :2]"]),
        "y": choice(["Y[:, :2]"], [same("Y[:, :2].tolist()", "Y[:, :2]"), "nan(Y[:, :2])", "None",
                                   "Y[:0, :2]", "Y[:, 0]", "'y'"])}),
)  # fmt: skip
add(
    "exercises",
    Entry("said(exercises.compare, {name}, {yours}, {true}, atol={atol}, slips={slips})", {
        "name": choice(["'the KL'"], [either("''"), either("3"), either("None")]),
        "yours": choice(["1.5"], [
            same("np.float32(1.5)", "1.5"), same("tf.constant(1.5)", "1.5"), same("np.array(1.5)",
            "1.5"), "None", "'one'", "2.5", "float('nan')", "[1.5, 1.5]", "object()", "1j",
            "{'a': 1.5}", "[]", "float('inf')", "len"]),
        "true": choice(["1.5"], ["float('nan')", "None", "'x'", "[1.5]", "float('inf')"]),
        "atol": number("1e-6", "0.5", least=0),
        "slips": choice(["None", "{'You forgot the ½.': 3.0}"], [
            "3.0", "'slip'", either("{'a': None}"), either("{'a': 'b'}"), either("{}", "None")])}),
)  # fmt: skip

# How often each kind is drawn.
WEIGHTS = {
    **dict.fromkeys(("fit", "bound", "evaluate"), 4),
    **dict.fromkeys(("fit a stream", "generate", "diagnostics", "evaluation", "constructor"), 3),
    **dict.fromkeys(("evaluate a stream", "on_batch", "predict", "networks", "parts"), 2),
    **dict.fromkeys(("log_likelihood", "semi-supervised", "tasks", "oracle", "datasets"), 2),
}


@st.composite
def calls(draw):
    """A call of a public entry: none, one or two of its arguments odd."""
    kinds = [kind for kind in ENTRIES for _ in range(WEIGHTS.get(kind, 1))]
    entry = draw(st.sampled_from(ENTRIES[draw(st.sampled_from(kinds))]))
    how_many = min(draw(st.sampled_from([1, 0, 1, 1, 2])), len(entry.slots))
    odd = draw(st.permutations(list(entry.slots)))[:how_many]
    return Call(
        entry,
        {name: draw(slot.odd if name in odd else slot.usual) for name, slot in entry.slots.items()},
    )


# The verdict --------------------------------------------------------------------------------------


class Hang(BaseException):
    """A call took longer than `DEADLINE`."""


class Outcome(NamedTuple):
    """What a call did: its result and the result's numbers, or its error; and its warnings."""

    result: object
    numbers: list
    error: BaseException | None
    words: list


class Verdict(NamedTuple):
    kind: str
    detail: str
    line: str


@contextlib.contextmanager
def deadline(seconds):
    """Hang after so many seconds; where even Python stands still, the stacks and the end."""

    def stop(*_):
        raise Hang

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    faulthandler.dump_traceback_later(2 * seconds, exit=True)
    try:
        yield
    finally:
        signal.alarm(0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, before)


def leaves(result):
    """All numbers and words of a result, in order."""
    if isinstance(result, dict):
        return [leaf for key in sorted(result, key=str) for leaf in [key, *leaves(result[key])]]
    if isinstance(result, (list, tuple)):
        return [leaf for part in result for leaf in leaves(part)]
    if result is None or isinstance(result, (str, keras.layers.Layer)):
        return [result if isinstance(result, str) else ""]
    array = np.asarray(result)
    return [array.astype("float64") if array.dtype.kind in "biuf" else array]


def run(line):
    """Runs a line of Python as the fuzz does. Returns: Outcome."""
    _line[0] = line
    _last.clear()
    keras.utils.set_random_seed(0)
    result = error = None
    numbers = []
    with (
        warnings.catch_warnings(record=True) as caught,
        contextlib.redirect_stdout(io.StringIO()),
        np.errstate(all="ignore"),
        deadline(DEADLINE),
    ):
        warnings.simplefilter("always")
        keras.config.disable_traceback_filtering()
        try:
            result = eval(line, globals())
            numbers = leaves(result)
        except (Exception, Hang) as found:
            error = found
    words = [str(w.message) for w in caught if issubclass(w.category, UserWarning)]
    return Outcome(result, numbers, error, words)


DIALECT = re.compile(
    r"[Ee]xpect|[Rr]eceived|[Gg]ive |[Uu]se |[Cc]all |[Mm]ake |[Ll]eave |[Tt]ake |is missing|"
    r"ran out of data|has not been fitted|there is no value|No latent dimension|are off"
)
# Python's own sentence about a call's arguments, where the call is the line itself.
SIGNATURE = re.compile(
    r"missing \d+ required|takes .* positional|unexpected keyword|multiple values"
)


def is_clear(error):
    """Whether an error is a sentence of the library's own, or Python's about the call itself."""
    frames = traceback.extract_tb(error.__traceback__)
    last = frames[-1]
    if last.filename == "<string>" or last.filename == __file__:
        return isinstance(error, TypeError) and bool(SIGNATURE.search(str(error)))
    own = isinstance(error, (TypeError, ValueError, AssertionError, FileNotFoundError))
    own = own or type(error).__module__.startswith("cvae_tf")
    if not (own and last.filename.startswith(PACKAGE) and DIALECT.search(str(error))):
        return False
    return "raise" in linecache.getline(last.filename, last.lineno)


def is_word(warning, names=()):
    """Whether a warning is a sentence for the user: not Keras's about its own structures."""
    own = not re.search(r"structure of `inputs`|[Kk]eras|tf\.function", warning)
    return own and len(warning.split()) > 4 and all(name in warning for name in names)


def _differ(a, b, what, tolerance=1e-4):
    a, b = np.asarray(a, "float64"), np.asarray(b, "float64")
    if a.shape != b.shape:
        return f"{what}: shapes {a.shape} and {b.shape}"
    if not np.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True):
        return f"{what}: they differ by {np.nanmax(np.abs(a - b)):.3g}"


def _unequal(numbers, others):
    if len(numbers) != len(others):
        return f"{len(numbers)} parts, expected {len(others)}"
    for one, other in zip(numbers, others, strict=True):
        if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
            if one.dtype.kind == other.dtype.kind == "f":
                difference = _differ(one, other, "result and the plain form's", 1e-3)
                if difference:
                    return difference
                continue
            if one.shape != other.shape or not np.array_equal(one, other):
                return "result and the plain form's are not the same"
        elif isinstance(one, np.ndarray) or isinstance(other, np.ndarray) or one != other:
            return "result and the plain form's are of different kinds"


@functools.lru_cache(4096)
def _plain_numbers(line):
    outcome = run(line)
    return outcome.numbers if outcome.error is None else outcome.error


def _sentence(error):
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:150] if lines else ''}"


def checked(call, result):
    """What the entry's check says is wrong; a result that it cannot read is wrong too."""
    with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
        try:
            return call.entry.check(call, result)
        except Exception as error:
            return f"the check of the result fails: {_sentence(error)}"


def judge(call):
    """What became of a call. Returns: Verdict."""
    line, status = call.code, call.status
    outcome = run(line)
    if isinstance(outcome.error, Hang):
        forget()
        return Verdict("hang", f"more than {DEADLINE} s", line)
    if outcome.error is not None:
        if not is_clear(outcome.error):
            return Verdict("obscure", f"({status}) {_sentence(outcome.error)}", line)
        if status == VALID:
            return Verdict("valid, but refused", _sentence(outcome.error), line)
        late = call.entry.late(call) if "model(" in line else None
        if late and status == INVALID:
            return Verdict("refused too late", f"{late}: {_sentence(outcome.error)}", line)
        return Verdict("clear", _sentence(outcome.error), line)
    if any(is_word(word, call.entry.words(call)) for word in outcome.words):
        return Verdict("result", outcome.words[0], line)
    floats = [n for n in outcome.numbers if isinstance(n, np.ndarray) and n.dtype.kind == "f"]
    if not all(np.isfinite(n).all() for n in floats):
        return Verdict("NaN without a word", f"({status})", line)
    if status == INVALID:
        return Verdict("silent and wrong", "", line)
    wrong = checked(call, outcome.result)
    if wrong is None and call.clean != line:
        expected = _plain_numbers(call.clean)
        if isinstance(expected, BaseException):
            wrong = f"the plain form {call.clean} fails: {_sentence(expected)}"
        else:
            wrong = _unequal(outcome.numbers, expected)
    return Verdict("result", "", line) if wrong is None else Verdict("wrong result", wrong, line)


def reproduced(call, verdict):
    """A failure again with new models: the verdict, with the lines before it that it takes."""
    if verdict.kind == "hang":
        return verdict
    kept, histories = dict(_kept), dict(_history)
    seen = list(_history.get(_last.get("name"), []))  # `m1(…)`, `stacked(…)` keep one inside, too
    while seen and seen[-1] in (call.code, call.clean):
        seen.pop()
    try:
        for before in [[], seen[-1:], seen]:
            forget()
            for line in before:
                run(line)
            again = judge(call)
            if again.kind == verdict.kind:
                lines = " ".join(f"run({one!r});" for one in [*before, again.line])
                return again._replace(line=lines.rstrip(";"))
    finally:
        forget()
        _kept.update(kept)
        _history.update(histories)
    return verdict._replace(detail=f"{verdict.detail} (not seen again)")


def parsed(line):
    """The line, if it is Python."""
    ast.parse(line, mode="eval")
    return line
