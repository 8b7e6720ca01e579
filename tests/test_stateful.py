"""Sequences of public calls: the default path against stepping one by one, and against arithmetic.

A machine draws calls (fit, evaluate, predict, compile, save, …) and performs each on two equal
models: A compiled by default (many steps in a call, perhaps XLA), B step by step, mostly in plain
Python. After every call the two agree in steps, rows, logs and parameters; and the steps are those
of Keras's rules, which `Stream`, `Arrays` and `plan` say in a few lines of their own.

A failure prints the sequence that shows it. Environment variables:

    CVAE_TF_SEQUENCES=300         how many sequences the slow test draws (50)
    CVAE_TF_SEQUENCE_SEED=1       other sequences (0)
    CVAE_TF_SHRINK=1              look for the shortest failing sequence (minutes)
    CVAE_TF_RULES=fit_arrays,…    only these rules
    CVAE_TF_WITHOUT_RULES=…       all but these rules
"""

import itertools
import os
import shutil
import tempfile
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from requirements_of_a_model import in_a_fresh_process

from cvae_tf import CVAE1, CVAE3, VAE, estimators, networks, penalties
from cvae_tf.distributions import Bernoulli, Categorical

X, Y, Z = 5, 3, 2
TERMS = ["loss", "elbo", "reconstruction", "kl"]
ROWS = 210
RTOL = 1e-4

# Data: one table, of which every call takes rows from the first on -----------------------------

_rng = np.random.default_rng(0)
TABLE = {
    "x": _rng.integers(0, 2, (ROWS, X)).astype("float32"),
    "y": np.eye(Y, dtype="float32")[_rng.integers(0, Y, ROWS)],
    "w": _rng.choice([0.5, 1.0, 2.0], ROWS).astype("float32"),
}
BITS = 2 ** np.arange(X)
CODES = (TABLE["x"] @ BITS).astype("int64")  # a row's number, 0 to 31: what of it was seen


def rows_of(names, first, last):
    return tuple(TABLE[name][first:last] for name in names)


# Models that count what passes through their steps ---------------------------------------------


class Counting:
    """Counts, in variables, the batches and rows of every step; a subclass's own `train_step`.

    seen: [batches, rows, sum of the rows' codes, a number that depends on the rows' order].
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seen = tf.Variable(tf.zeros([4], tf.int64), trainable=False)
        self.tested = tf.Variable(tf.zeros([4], tf.int64), trainable=False)

    def train_step(self, data):
        _count(self.seen, data)
        return super().train_step(data)

    def test_step(self, data):
        _count(self.tested, data)
        return super().test_step(data)


def _count(seen, data):
    x = data[0] if isinstance(data, tuple | list) else data
    codes = tf.linalg.matvec(tf.cast(x, "float64"), tf.constant(BITS, "float64"))
    codes = tf.cast(codes, tf.int64)
    place = tf.range(1, tf.shape(codes, out_type=tf.int64)[0] + 1, dtype=tf.int64)
    batches, rows, total, order = tf.unstack(tf.convert_to_tensor(seen))
    order = tf.math.floormod(order * 31 + tf.reduce_sum(codes * place), 1_000_003)
    rows += tf.shape(codes, out_type=tf.int64)[0]
    seen.assign(tf.stack([batches + 1, rows, total + tf.reduce_sum(codes), order]))


@keras.saving.register_keras_serializable("stateful")
class CountingVAE(Counting, VAE):
    pass


@keras.saving.register_keras_serializable("stateful")
class CountingCVAE1(Counting, CVAE1):
    pass


@keras.saving.register_keras_serializable("stateful")
class CountingCVAE3(Counting, CVAE3):
    pass


KINDS = {
    "VAE": VAE,
    "CVAE1": CVAE1,
    "CVAE3": CVAE3,
    "CountingVAE": CountingVAE,
    "CountingCVAE1": CountingCVAE1,
    "CountingCVAE3": CountingCVAE3,
}


def new_model(kind, dtype):
    """A small model, the same at every call; mostly float64, so that rounding stays rounding."""
    keras.utils.set_random_seed(1)
    model_class = KINDS[kind]
    base = next(c for c in (VAE, CVAE1, CVAE3) if issubclass(model_class, c))
    family = (Categorical if base is CVAE3 else Bernoulli)(dtype=dtype)
    sizes = {"x": X, "z": Z} if base is VAE else {"x": X, "y": Y, "z": Z}
    nets = networks.mlps(
        base, hidden=(4,), family=family, activation="tanh", dtype=dtype, **sizes
    )
    options = {"alpha": 0.7} if base is CVAE3 else {}
    return model_class(**nets, family=family, **options)


def new_optimizer(name, learning_rate, accumulation=None):
    make = {
        "sgd": keras.optimizers.SGD,
        "momentum": lambda rate, **kwargs: keras.optimizers.SGD(rate, momentum=0.9, **kwargs),
        "adam": keras.optimizers.Adam,
    }[name]
    return make(learning_rate, gradient_accumulation_steps=accumulation)


def number(value):
    return int(keras.ops.convert_to_numpy(value))


NETS = ("posterior_net", "prior_net", "likelihood_net")


def parameters(model):
    """{network: its parameters}: of the networks that the model has now."""
    nets = {name: getattr(model, name) for name in NETS}
    return {
        name: np.concatenate([w.ravel() for w in net.get_weights()])
        for name, net in nets.items()
        if net is not None
    }


def terms(model, data, weights=None):
    """What `evaluate` must log, by the model's own objective in plain Python, in one batch.

    None where a penalty looks at the batch as a whole.
    """
    tensors = [model.tensor(d) for d in data]
    losses, bound = model.objective(*tensors, noise=model.evaluation_noise(len(data[0])))
    w = np.ones(len(data[0])) if weights is None else weights
    parts = (bound.elbo, bound.reconstruction, bound.kl)
    means = [np.sum(w * np.asarray(part)) / np.sum(w) for part in parts]
    return dict(zip(TERMS, [np.mean(w * np.asarray(losses)), *means], strict=True))


# Keras's arithmetic ----------------------------------------------------------------------------


class Arrays:
    """Batch sizes of `fit` on arrays: the short batch at the end; with steps_per_epoch, on and on.

    With steps_per_epoch the rows go on where they were, and so every epoch has exactly so many
    steps. (Keras itself stops an epoch of arrays at its last row, with a warning.)
    """

    def __init__(self, num_rows, batch_size, steps_per_epoch=None):
        self.sizes = [min(batch_size, num_rows - i) for i in range(0, num_rows, batch_size)]
        self.steps_per_epoch = steps_per_epoch
        self.endless = itertools.cycle(self.sizes)

    def epoch(self):
        if self.steps_per_epoch is None:
            return iter(self.sizes)
        return itertools.islice(self.endless, self.steps_per_epoch)


class Stream:
    """Batch sizes of `fit` on a stream, epoch by epoch: `keras.src.trainers.epoch_iterator`.

    Without steps_per_epoch each epoch reads the whole stream. With it the stream is read on from
    epoch to epoch; where it ends, the epoch ends too, and the next begins it again. Keras notices
    the end of a stream of unknown length only in an epoch that then has no step; we have none such.

    Args:
        sizes: list of batch sizes.
        length: "known", "unknown" or "infinite".
        steps_per_epoch: int or None.
        empty_epochs: bool, whether it may have an epoch without a step, as Keras may.
    """

    def __init__(self, sizes, length, steps_per_epoch=None, empty_epochs=False):
        self.empty_epochs = empty_epochs
        self.sizes, self.endless = sizes, length == "infinite"
        self.num_batches = len(sizes) if length == "known" else None
        self.steps_per_epoch, self.iterator, self.steps_seen = steps_per_epoch, None, 0

    def _begin(self):
        self.iterator = itertools.cycle(self.sizes) if self.endless else iter(self.sizes)
        self.steps_seen = 0

    def _is_read(self):
        return self.num_batches is not None and self.steps_seen >= self.num_batches

    def epoch(self):
        if self.iterator is None or self.steps_per_epoch is None:
            self._begin()
        if not self.empty_epochs and self.steps_seen == len(self.sizes) and not self.endless:
            self._begin()
        for _ in itertools.islice(itertools.count(), self.steps_per_epoch):
            if self._is_read():
                break
            self.steps_seen += 1
            size = next(self.iterator, None)
            if size is None:  # ran out of data: known from now on, the failed step included
                self.num_batches = self.num_batches or self.steps_seen
                self.iterator = None
                return
            yield size
        if self._is_read():
            self._begin()


def plan(feed, epochs, initial_epoch=0, stop_after=None, stop_epoch=None, interrupt=None):
    """The batch sizes of every epoch that is run.

    Args:
        interrupt: (epoch, batch, "begin" or "end").
    """
    run = []
    for epoch in range(initial_epoch, epochs):
        run.append([])
        for batch, size in enumerate(feed.epoch()):
            if interrupt == (epoch, batch, "begin"):
                return run
            run[-1].append(size)
            if interrupt == (epoch, batch, "end"):
                return run
            if stop_after is not None and sum(map(len, run)) >= stop_after:
                return run
        if stop_epoch == epoch:
            return run
    return run


# Streams of every kind -------------------------------------------------------------------------

LENGTHS = {
    "dataset": "known",
    "filtered": "unknown",
    "changing": "unknown",
    "repeated": "infinite",
    "generator": "unknown",
    "endless generator": "infinite",
    "py_dataset": "known",
}


class Batches(keras.utils.PyDataset):
    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]


def new_stream(kind, names, sizes):
    """A stream of batches of these sizes, from the table's first row on."""
    ends = np.cumsum(sizes)
    batches = [rows_of(names, end - size, end) for end, size in zip(ends, sizes, strict=True)]
    if kind == "py_dataset":
        return Batches(batches)
    if kind == "generator":
        return (batch for batch in batches)
    if kind == "endless generator":
        return (batch for batch in itertools.cycle(batches))
    if kind == "changing":
        signature = tuple(tf.TensorSpec([None, *TABLE[n].shape[1:]], "float32") for n in names)
        return tf.data.Dataset.from_generator(lambda: iter(batches), output_signature=signature)
    dataset = tf.data.Dataset.from_tensor_slices(rows_of(names, 0, ends[-1])).batch(sizes[0])
    if kind == "filtered":
        return dataset.filter(lambda *_: True)
    return dataset.repeat() if kind == "repeated" else dataset


def _even(size, num_rows):
    return [min(size, num_rows - i) for i in range(0, num_rows, size)]


SIZES = {
    "one": [4],
    "short last": _even(3, 7),
    "full": _even(4, 12),
    "many": _even(3, 200),
    "uneven": [4, 4, 1, 3, 3, 3, 4],
    "uneven, many": [*[3] * 30, 1, *[3] * 37, 2],
}
EVEN = (*("short last", "full", "one") * 4, "many")


@st.composite
def streams(draw, kinds):
    kind = draw(st.sampled_from(kinds))
    even = kind in ("dataset", "filtered", "repeated")
    return kind, SIZES[draw(st.sampled_from(EVEN if even else [*EVEN, *SIZES]))]


# Callbacks -------------------------------------------------------------------------------------


class Epochs(keras.callbacks.Callback):
    """No hook of batches, so that nothing asks for single steps: the step at each epoch's end."""

    def __init__(self):
        super().__init__()
        self.begun, self.steps = [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.begun.append(epoch)

    def on_epoch_end(self, epoch, logs=None):
        self.steps.append(number(self.model.optimizer._iterations))


class Watch(keras.callbacks.Callback):
    """Every hook of a batch: its number and logs."""

    def __init__(self):
        super().__init__()
        self.begins, self.ends, self.logs = [], [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.begins.append([])
        self.ends.append([])

    def on_train_batch_begin(self, batch, logs=None):
        self.begins[-1].append(batch)

    def on_train_batch_end(self, batch, logs=None):
        self.ends[-1].append(batch)
        self.logs.append({name: float(value) for name, value in logs.items()})


class StopAfter(keras.callbacks.Callback):
    def __init__(self, steps):
        super().__init__()
        self.left = steps

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left <= 0:
            self.model.stop_training = True


class StopAtEpoch(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.epoch:
            self.model.stop_training = True


class Interrupt(keras.callbacks.Callback):
    """Raises in the middle of an epoch, before or after a batch."""

    def __init__(self, error, epoch, batch, where):
        super().__init__()
        self.error, self.place, self.epoch = error, (epoch, batch, where), None

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def _raise(self, batch, where):
        if (self.epoch, batch, where) == self.place:
            raise self.error("interrupted")

    def on_train_batch_begin(self, batch, logs=None):
        self._raise(batch, "begin")

    def on_train_batch_end(self, batch, logs=None):
        self._raise(batch, "end")


class InterruptEpoch(keras.callbacks.Callback):
    """Raises at an epoch's end, and has no hook of batches."""

    def on_epoch_end(self, epoch, logs=None):
        raise KeyboardInterrupt("interrupted")


class RaiseBeta(keras.callbacks.Callback):
    """β up by a twentieth per batch, as schedules of other packages do."""

    def __init__(self):
        super().__init__()
        self.batches = 0

    def on_train_batch_begin(self, batch, logs=None):
        self.batches += 1
        self.model.penalty.beta.assign(self.batches / 20)


# The machine -----------------------------------------------------------------------------------


def _names(variable):
    return [name for name in os.environ.get(variable, "").split(",") if name]


def call(**strategies):
    """A rule that the environment can switch off by its name."""

    def decorate(function):
        name = function.__name__
        return precondition(lambda self: _is_on(name))(rule(**strategies)(function))

    return decorate


def _is_on(name):
    only = _names("CVAE_TF_RULES")
    return name not in _names("CVAE_TF_WITHOUT_RULES") and (not only or name in only)


def often(usual, *rare):
    """Mostly the first."""
    return st.sampled_from([usual] * 3 + list(rare))


num_rows = st.sampled_from([7, 12, 4, 1] * 4 + [130, 200])
few_rows = st.sampled_from([7, 12, 4, 1])
batch_sizes = st.sampled_from([4, 3])
booleans = st.booleans()


class Machine(RuleBasedStateMachine):
    """Two models, A by the default path and B step by step, and what must be true of both."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())

    def teardown(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        keras.backend.clear_session()

    @initialize(
        kind=st.sampled_from(list(KINDS)),
        dtype=st.sampled_from(["float64", "float32", "float64"]),
        optimizer=st.sampled_from(["sgd", "momentum", "adam"]),
        jit_compile=st.sampled_from([False] * 6 + ["auto"]),
        eager=st.sampled_from([True, True, True, False]),
    )
    def begin(self, kind, dtype, optimizer, jit_compile, eager):
        self.dtype = dtype
        self.a, self.b = new_model(kind, dtype), new_model(kind, dtype)
        optimizer = self._suits(optimizer)
        self.names = self.a.data_names
        self.b_options = (
            {"run_eagerly": True} if eager else {"steps_per_execution": 1, "jit_compile": False}
        )
        self.accumulation, self.applied = None, 0
        self.a.compile(new_optimizer(optimizer, 0.05), jit_compile=jit_compile)
        self.b.compile(new_optimizer(optimizer, 0.05), **self.b_options)
        self.steps_per_execution = "auto"
        self.frozen, self.known = set(), set(self._nets())
        self.seen, self.tested = np.zeros(3, int), np.zeros(3, int)
        self.stored = None

    def _suits(self, optimizer):
        """Adam and momentum make much of rounding: not in float32."""
        return "sgd" if self.dtype == "float32" else optimizer

    # What must be true after every call --------------------------------------------------------

    def models(self):
        return {"A": self.a, "B": self.b}

    def _nets(self):
        return [name for name in NETS if getattr(self.a, name) is not None]

    def _trainable(self):
        return set(self._nets()) - self.frozen

    @invariant()
    def steps_rows_and_parameters_agree(self):
        if not hasattr(self, "a"):
            return
        applied = self.applied // (self.accumulation or 1)
        for name, model in self.models().items():
            assert number(model.optimizer.iterations) == applied, f"steps of {name}"
            if isinstance(model, Counting):
                assert list(model.seen.numpy()[:3]) == list(self.seen), f"{name}: seen in training"
                assert list(model.tested.numpy()[:3]) == list(self.tested), f"{name}: tested"
        if isinstance(self.a, Counting):
            assert self.a.seen.numpy()[3] == self.b.seen.numpy()[3], "the order of the rows"
        ours, theirs = parameters(self.a), parameters(self.b)
        for name, values in ours.items():
            assert np.isfinite(values).all(), name
            scale = np.abs(theirs[name]).max()
            assert np.abs(values - theirs[name]).max() <= RTOL * scale, f"A and B differ in {name}"

    def _same_logs(self, ours, theirs, what):
        assert list(ours) == list(theirs), what
        for name, value in ours.items():
            np.testing.assert_allclose(
                value, theirs[name], rtol=RTOL, atol=1e-5, err_msg=f"{what}: {name}"
            )

    def _is_expected(self, logs, num_rows, weighted, what, batches=2):
        """Against the objective in plain Python."""
        if isinstance(self.a.penalty, penalties.FreeBits) and batches > 1:
            return  # its loss depends on the batches
        weights = TABLE["w"][:num_rows] if weighted else None
        expected = terms(self.a, rows_of(self.names, 0, num_rows), weights)
        self._same_logs({name: logs[name] for name in TERMS}, expected, what)

    def _names_with(self, weighted):
        return (*self.names, "w") if weighted and len(self.names) == 2 else self.names

    def _note(self, sizes, counter):
        """Adds batches of the table's first rows to a counter."""
        codes = CODES[: sum(sizes)].sum()
        counter += np.array([len(sizes), sum(sizes), codes])

    # fit ---------------------------------------------------------------------------------------

    def _fit(self, data, feed, *, hooks=False, extra=list, validated=None, error=None, **options):
        """One `fit` on A and on B, against the plan.

        Args:
            data: function to fit's first arguments, a dict.
            feed: Arrays or Stream.
            hooks: bool, whether A too is watched batch by batch.
            extra: function to more callbacks.
            validated: the batches of the validation, sizes, or None.
            error: exception that ends the fit, or None.
            **options: plan's and fit's own.
        """
        ends = ("stop_after", "stop_epoch", "interrupt")
        planned = {name: options.pop(name, None) for name in ends}
        epochs, initial = options.get("epochs", 1), options.get("initial_epoch", 0)
        run = plan(feed, epochs, initial, **planned)
        if error is None and not all(run):
            return {}  # Keras logs an epoch without a step; nobody means it
        before = {name: parameters(model) for name, model in self.models().items()}
        start, frozen = self.applied, self.frozen
        histories, watches = {}, {}
        for name, model in self.models().items():
            epochs_seen, watch = Epochs(), Watch()
            watched = [epochs_seen, *([watch] if hooks or name == "B" else []), *extra()]
            arguments = {**data(), **options, "verbose": 0, "callbacks": watched}
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # "ran out of data" is Keras's word for it
                if error is not None:
                    with pytest.raises(error, match="interrupted"):
                        model.fit(**arguments)
                else:
                    histories[name] = model.fit(**arguments)
            watches[name] = epochs_seen, watch
        steps = [len(sizes) for sizes in run]
        self.applied += sum(steps)
        self._count_rows(feed, run, options.get("shuffle", False), validated, histories)
        for name, (epochs_seen, watch) in watches.items():
            assert epochs_seen.begun == list(range(initial, initial + len(run))), name
            expected = [start + total for total in np.cumsum(steps)]
            finished = epochs_seen.steps
            assert finished == expected[: len(finished)], f"steps at each epoch's end, {name}"
            if hooks or name == "B":
                self._check_watch(watch, run, name, planned["interrupt"])
        if hooks and error is None:
            for ours, theirs in zip(watches["A"][1].logs, watches["B"][1].logs, strict=True):
                self._same_logs(ours, theirs, "a batch's logs")
        for name, model in self.models().items():
            if sum(steps) >= (self.accumulation or 1):
                self._check_moved(before[name], parameters(model), frozen, name)
        if histories:
            self._check_histories(histories, run, initial, options)
        return histories

    def _count_rows(self, feed, run, shuffle, validated, histories):
        """The counters' numbers: batches, rows, and the codes of the rows where they are known."""
        sizes = [size for epoch in run for size in epoch]
        whole = all(epoch == feed.sizes for epoch in run)
        self.seen[:2] += [len(sizes), sum(sizes)]
        if whole:
            self.seen[2] += len(run) * CODES[: sum(feed.sizes)].sum()
        elif isinstance(self.b, Counting):  # a part of an epoch: which rows is B's to say
            self.seen[2] = self.b.seen.numpy()[2]
        if validated and histories:
            times = len(histories["B"].history.get("val_loss", []))
            for _ in range(times):
                self._note(validated, self.tested)

    def _check_watch(self, watch, run, name, interrupt):
        for epoch, sizes in enumerate(run):
            numbers = list(range(len(sizes)))
            # An exception at a batch's end comes after or before this callback's own hook, and a
            # stream of unknown length begins a batch that does not come.
            assert watch.ends[epoch] == numbers, f"batches that ended, {name}"
            begun = watch.begins[epoch]
            assert begun in (numbers, [*numbers, len(numbers)]), f"batches that began, {name}"

    def _check_moved(self, before, after, frozen, name):
        for net, values in before.items():
            if net == "prior_net" and isinstance(self.a.penalty, penalties.FreeBits):
                continue  # no gradient where the KL is free
            moved = np.abs(values - after[net]).max() > 0
            assert moved == (net not in frozen), f"{net} of {name}: moved={moved}"

    def _check_histories(self, histories, run, initial, options):
        frequency = options.get("validation_freq", 1)
        for history in histories.values():
            assert history.epoch == list(range(initial, initial + len(run)))
            for key, values in history.history.items():
                number_of_values = (
                    sum((epoch + 1) % frequency == 0 for epoch in history.epoch)
                    if key.startswith("val_")
                    else len(run)
                )
                assert len(values) == number_of_values, key
                assert all(type(value) is float for value in values), f"History's {key}"
        ours, theirs = (histories[name].history for name in "AB")
        if run:
            assert {key for key in ours if not key.startswith("val_")} == set(TERMS)
        self._same_logs(
            dict(sorted(ours.items())), dict(sorted(theirs.items())), "History of fit"
        )

    def _arrays(self, num_rows, weighted=False, **options):
        data = rows_of(self.names, 0, num_rows)
        arguments = dict(zip("xy", data, strict=False), **options)
        if weighted:
            arguments["sample_weight"] = TABLE["w"][:num_rows]
        return lambda: dict(arguments)

    @call(
        n=num_rows,
        batch_size=batch_sizes,
        epochs=often(1, 2, 3),
        initial_epoch=often(0, 1),
        shuffle=booleans,
        weighted=often(False, True),
    )
    def fit_arrays(self, n, batch_size, epochs, initial_epoch, shuffle, weighted):
        data = self._arrays(n, weighted, batch_size=batch_size)
        self._fit(
            data,
            Arrays(n, batch_size),
            epochs=epochs,
            initial_epoch=initial_epoch,
            shuffle=shuffle,
        )

    @call(
        n=few_rows,
        batch_size=batch_sizes,
        epochs=often(2, 1),
        steps=st.sampled_from([2, 1, 3, 5, 65]),
        shuffle=booleans,
    )
    def fit_arrays_steps_per_epoch(self, n, batch_size, epochs, steps, shuffle):
        self._fit(
            self._arrays(n, batch_size=batch_size),
            Arrays(n, batch_size, steps),
            epochs=epochs,
            steps_per_epoch=steps,
            shuffle=shuffle,
        )

    @call(
        n=few_rows,
        batch_size=batch_sizes,
        epochs=often(1, 2, 3),
        validation_rows=st.sampled_from([7, 1, 12, 130]),
        validation_batch_size=st.sampled_from([4, 3]),
        validation_steps=st.sampled_from([None, None, 1, 2, 50]),
        validation_freq=often(1, 2),
        form=st.sampled_from(["arrays", "weighted", "dataset", "repeated", "py_dataset"]),
    )
    def fit_with_validation(
        self,
        n,
        batch_size,
        epochs,
        validation_rows,
        validation_batch_size,
        validation_steps,
        validation_freq,
        form,
    ):
        sizes = _even(validation_batch_size, validation_rows)
        options = {"validation_freq": validation_freq}
        if form == "repeated":
            validation_steps = validation_steps or 2
        if validation_steps is not None:
            options["validation_steps"] = validation_steps
        weighted = form == "weighted" and len(self.names) == 2
        names = self._names_with(weighted)
        if form in ("arrays", "weighted"):
            options["validation_batch_size"] = validation_batch_size

        def data():
            arguments = self._arrays(n, batch_size=batch_size)()
            if form in ("arrays", "weighted"):
                return {**arguments, "validation_data": rows_of(names, 0, validation_rows)}
            return {**arguments, "validation_data": new_stream(form, names, sizes)}

        endless = form == "repeated"
        taken = itertools.cycle(sizes) if endless else sizes
        taken = list(itertools.islice(taken, validation_steps))
        if endless and len(taken) > len(sizes):
            return  # the objective in plain Python is of one pass
        histories = self._fit(
            data, Arrays(n, batch_size), epochs=epochs, validated=taken, **options
        )
        # A stream that was not gone through to its end goes on in the next validation, as Keras's
        # own loop does: what the last one saw is then not the first rows.
        goes_on = form not in ("arrays", "weighted") and sum(taken) < validation_rows
        if goes_on and histories:
            ends = np.cumsum(sizes)[:-1]
            batches = [batch.sum() for batch in np.split(CODES[:validation_rows], ends)]
            times, first = epochs // validation_freq, sum(batches[: len(taken)])  # noted each time
            self.tested[2] += np.resize(batches, times * len(taken)).sum() - times * first
        if epochs % validation_freq == 0 and not (goes_on and epochs > validation_freq):
            for name, history in histories.items():
                last = {term: history.history[f"val_{term}"][-1] for term in TERMS}
                what = f"the last validation of {name}"
                self._is_expected(last, sum(taken), weighted, what, len(taken))

    @call(n=st.sampled_from([7, 12]), batch_size=batch_sizes, share=st.sampled_from([0.25, 0.5]))
    def fit_with_validation_split(self, n, batch_size, share):
        kept = int(np.floor(n * (1 - share)))
        feed = Arrays(kept, batch_size)
        data = self._arrays(n, batch_size=batch_size, validation_split=share)
        tested = self.b.tested.numpy()[:3] if isinstance(self.b, Counting) else None
        histories = self._fit(data, feed)
        if tested is not None:
            self.tested = self.b.tested.numpy()[:3].astype(int)
            assert self.tested[1] - tested[1] == n - kept
        for model in self.models().values():
            loss = terms(model, [d[kept:] for d in rows_of(self.names, 0, n)])["elbo"]
            np.testing.assert_allclose(histories["A"].history["val_elbo"][-1], loss, rtol=RTOL)

    @call(
        stream=streams(["dataset", "filtered", "changing", "py_dataset"]),
        epochs=often(1, 2, 3),
        weighted=often(False, True),
    )
    def fit_stream(self, stream, epochs, weighted):
        kind, sizes = stream
        names = self._names_with(weighted)
        self._fit(
            lambda: {"x": new_stream(kind, names, sizes), "shuffle": False},
            Stream(sizes, LENGTHS[kind]),
            epochs=epochs,
        )

    @call(stream=streams(["generator"]))
    def fit_generator(self, stream):
        kind, sizes = stream
        self._fit(lambda: {"x": new_stream(kind, self.names, sizes)}, Stream(sizes, "unknown"))

    @precondition(lambda self: self.steps_per_execution != 3)  # Keras rounds up to threes
    @call(
        stream=streams(list(LENGTHS)),
        epochs=often(2, 3),
        steps=st.sampled_from([2, 1, 3, 5, 65]),
    )
    def fit_stream_steps_per_epoch(self, stream, epochs, steps):
        kind, sizes = stream
        # A generator cannot begin again.
        if kind == "generator" and epochs * steps > len(sizes):
            return
        self._fit(
            lambda: {"x": new_stream(kind, self.names, sizes), "shuffle": False},
            Stream(sizes, LENGTHS[kind], steps),
            epochs=epochs,
            steps_per_epoch=steps,
        )

    @precondition(lambda self: self.steps_per_execution != 3)
    @call(kind=st.sampled_from(["repeated", "endless generator"]), after=st.sampled_from([2, 5]))
    def fit_endless_stream(self, kind, after):
        """Without steps_per_epoch: refused, or until a callback stops it, as in Keras."""
        sizes = SIZES["short last"]
        try:
            self.a.fit(
                new_stream(kind, self.names, sizes), verbose=0, callbacks=[StopAfter(after)]
            )
        except ValueError:
            with pytest.raises(ValueError):
                self.b.fit(
                    new_stream(kind, self.names, sizes), verbose=0, callbacks=[StopAfter(after)]
                )
            return
        self.b.fit(new_stream(kind, self.names, sizes), verbose=0, callbacks=[StopAfter(after)])
        taken = list(itertools.islice(itertools.cycle(sizes), after))
        self.applied += after
        self.seen[:2] += [after, sum(taken)]
        if isinstance(self.b, Counting):
            self.seen[2] = self.b.seen.numpy()[2]

    # fit with callbacks ------------------------------------------------------------------------

    @precondition(lambda self: self.steps_per_execution != 3)
    @call(n=num_rows, batch_size=batch_sizes, epochs=often(1, 2), streamed=often(False, True))
    def fit_with_a_callback_of_batches(self, n, batch_size, epochs, streamed):
        if streamed:
            sizes = _even(batch_size, n)
            self._fit(
                lambda: {"x": new_stream("filtered", self.names, sizes)},
                Stream(sizes, "unknown"),
                epochs=epochs,
                hooks=True,
            )
        else:
            data = self._arrays(n, batch_size=batch_size)
            self._fit(data, Arrays(n, batch_size), epochs=epochs, hooks=True, shuffle=True)

    @precondition(lambda self: self.steps_per_execution != 3)
    @call(n=num_rows, batch_size=batch_sizes, epochs=often(1, 2))
    def fit_with_beta_raised_per_batch(self, n, batch_size, epochs):
        for model in self.models().values():
            model.estimator = estimators.SGVBB()
            model.penalty = penalties.Beta(0.0)
        data = self._arrays(n, batch_size=batch_size)
        self._fit(data, Arrays(n, batch_size), epochs=epochs, extra=lambda: [RaiseBeta()])
        batches = epochs * -(-n // batch_size)
        for name, model in self.models().items():
            beta = float(keras.ops.convert_to_numpy(model.penalty.beta))
            np.testing.assert_allclose(beta, batches / 20, rtol=1e-6, err_msg=name)

    @precondition(lambda self: self.steps_per_execution != 3)
    @call(
        n=num_rows,
        batch_size=batch_sizes,
        after=st.sampled_from([2, 1, 4, 9]),
        validated=booleans,
    )
    def fit_stopped_after_batches(self, n, batch_size, after, validated):
        """The epoch's validation and end still come, then the fit ends."""
        options = {"validation_data": rows_of(self.names, 0, 4)} if validated else {}
        data = self._arrays(n, batch_size=batch_size, **options)
        self._fit(
            data,
            Arrays(n, batch_size),
            epochs=3,
            stop_after=after,
            extra=lambda: [StopAfter(after)],
            validated=[4] if validated else None,
        )

    @call(n=num_rows, batch_size=batch_sizes, epoch=st.sampled_from([0, 1]))
    def fit_stopped_at_an_epoch(self, n, batch_size, epoch):
        data = self._arrays(n, batch_size=batch_size)
        feed = Arrays(n, batch_size)
        self._fit(data, feed, epochs=3, stop_epoch=epoch, extra=lambda: [StopAtEpoch(epoch)])

    @precondition(lambda self: self.steps_per_execution != 3)
    @call(
        n=st.sampled_from([12, 7, 130]),
        batch_size=batch_sizes,
        epoch=st.sampled_from([0, 1]),
        batch=st.sampled_from([1, 0, 2]),
        where=st.sampled_from(["end", "begin"]),
        error=st.sampled_from([KeyboardInterrupt, RuntimeError]),
        streamed=booleans,
    )
    def fit_interrupted(self, n, batch_size, epoch, batch, where, error, streamed):
        sizes = _even(batch_size, n)
        batch = min(batch, len(sizes) - 1)
        self._fit(
            (lambda: {"x": new_stream("dataset", self.names, sizes)})
            if streamed
            else self._arrays(n, batch_size=batch_size),
            Stream(sizes, "known") if streamed else Arrays(n, batch_size),
            epochs=2,
            interrupt=(epoch, batch, where),
            error=error,
            extra=lambda: [Interrupt(error, epoch, batch, where)],
        )

    @call(n=num_rows, batch_size=batch_sizes)
    def fit_interrupted_at_an_epochs_end(self, n, batch_size):
        self._fit(
            self._arrays(n, batch_size=batch_size),
            Arrays(n, batch_size),
            error=KeyboardInterrupt,
            extra=lambda: [InterruptEpoch()],
        )

    # evaluate, predict, one batch --------------------------------------------------------------

    def _evaluate(self, arguments, sizes, weighted=False, **options):
        logs = {}
        for name, model in self.models().items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                logs[name] = model.evaluate(
                    **arguments(), **options, return_dict=True, verbose=0
                )
            assert set(logs[name]) == set(TERMS)
            assert all(type(value) is float for value in logs[name].values())
            self._is_expected(logs[name], sum(sizes), weighted, f"evaluate of {name}", len(sizes))
        self._same_logs(logs["A"], logs["B"], "evaluate")
        self._note(sizes, self.tested)
        return logs

    @call(n=num_rows, batch_size=st.sampled_from([4, 3, None]), weighted=often(False, True))
    def evaluate_arrays(self, n, batch_size, weighted):
        sizes = [n] if batch_size is None else _even(batch_size, n)
        self._evaluate(self._arrays(n, weighted, batch_size=batch_size), sizes, weighted)

    @call(n=few_rows)
    def logs_as_a_list(self, n):
        """The loss first, in the order of `metrics_names`."""
        arguments = self._arrays(n)
        logs = self._evaluate(arguments, [n])
        for name, model in self.models().items():
            assert model.metrics_names == TERMS, f"metrics_names of {name}"
            values = model.evaluate(**arguments(), verbose=0)
            assert list(values) == [logs[name][term] for term in TERMS], name
            assert len(model.test_on_batch(**arguments())) == len(TERMS)
            assert model.train_on_batch(**arguments())[0] == pytest.approx(
                float(model.get_metrics_result()["loss"]), rel=1e-5
            )
        self._note([n], self.tested)
        self._note([n], self.tested)
        self._note([n], self.seen)
        self.applied += 1

    @call(n=st.sampled_from([12, 7, 12, 7, 200]), batch_size=batch_sizes, steps=often(2, 1, 3, 65))
    def evaluate_steps(self, n, batch_size, steps):
        sizes = _even(batch_size, n)[:steps]
        self._evaluate(self._arrays(n, batch_size=batch_size), sizes, steps=steps)

    @call(stream=streams(list(LENGTHS)), steps=st.sampled_from([None, 2, 1, 5, 65]))
    def evaluate_stream(self, stream, steps):
        kind, sizes = stream
        endless = LENGTHS[kind] == "infinite"
        if endless:  # the objective in plain Python is of one pass
            steps = min(steps or 2, len(sizes))
        taken = sizes[:steps]
        options = {} if steps is None else {"steps": steps}
        self._evaluate(lambda: {"x": new_stream(kind, self.names, sizes)}, taken, **options)

    def _predict(self, arguments, num_rows, **options):
        outputs = {}
        given = TABLE[self._given()][:num_rows]
        for name, model in self.models().items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                outputs[name] = model.predict(**arguments(), **options, verbose=0)
            assert len(outputs[name]) == num_rows, f"rows predicted by {name}"
            tensor = model.tensor(given)
            expected = (
                model.reconstruct(given)
                if len(self.names) == 1
                else model.mean_over_prior(tensor, num_samples=100)
            )
            np.testing.assert_allclose(outputs[name], expected, rtol=RTOL, err_msg=name)
        np.testing.assert_allclose(outputs["A"], outputs["B"], rtol=RTOL)

    def _given(self):
        return next((name for name in self.names if name != self.a.observed), "x")

    @call(n=num_rows, batch_size=st.sampled_from([4, 3, None]))
    def predict_arrays(self, n, batch_size):
        given = TABLE[self._given()][:n]
        self._predict(lambda: {"x": given, "batch_size": batch_size}, n)

    @call(n=st.sampled_from([12, 7, 12, 7, 200]), batch_size=batch_sizes, steps=often(2, 1, 3, 65))
    def predict_steps(self, n, batch_size, steps):
        given = TABLE[self._given()][:n]
        taken = sum(_even(batch_size, n)[:steps])
        self._predict(lambda: {"x": given, "batch_size": batch_size}, taken, steps=steps)

    @call(stream=streams(list(LENGTHS)), steps=st.sampled_from([None, 2, 1, 65]))
    def predict_stream(self, stream, steps):
        kind, sizes = stream
        endless = LENGTHS[kind] == "infinite"
        if endless:
            steps = min(steps or 2, len(sizes))
        options = {} if steps is None else {"steps": steps}
        names = (self._given(),)
        self._predict(
            lambda: {"x": new_stream(kind, names, sizes)}, sum(sizes[:steps]), **options
        )

    @call(n=st.sampled_from([4, 3, 1, 7]), weighted=often(False, True))
    def train_on_batch(self, n, weighted):
        arguments = self._arrays(n, weighted)()
        logs = {
            name: model.train_on_batch(**arguments, return_dict=True)
            for name, model in self.models().items()
        }
        self._note([n], self.seen)
        self.applied += 1
        self._same_batch_logs(logs)

    @call(n=st.sampled_from([4, 3, 1, 7]), weighted=often(False, True))
    def test_on_batch(self, n, weighted):
        arguments = self._arrays(n, weighted)()
        logs = {
            name: model.test_on_batch(**arguments, return_dict=True)
            for name, model in self.models().items()
        }
        self._note([n], self.tested)
        for values in self._same_batch_logs(logs).values():
            self._is_expected(values, n, weighted, "test_on_batch", 1)

    def _same_batch_logs(self, logs):
        assert set(logs["A"]) == set(TERMS)
        self._same_logs(dict(sorted(logs["A"].items())), dict(sorted(logs["B"].items())), "a batch")
        return logs

    @call(n=st.sampled_from([4, 3, 1, 7]))
    def predict_on_batch(self, n):
        given = TABLE[self._given()][:n]
        ours, theirs = (model.predict_on_batch(given) for model in self.models().values())
        assert len(ours) == n
        np.testing.assert_allclose(ours, theirs, rtol=RTOL)

    # compile, restart, save --------------------------------------------------------------------

    @call(
        optimizer=st.sampled_from(["sgd", "momentum", "adam"]),
        learning_rate=st.sampled_from([0.05, 0.02]),
        accumulation=often(None, 2),
        options=st.sampled_from(
            [
                {"jit_compile": False},
                {"jit_compile": False},
                {"jit_compile": False, "steps_per_execution": 1},
                {"jit_compile": False, "steps_per_execution": 3},
                {"run_eagerly": True},
                {},
            ]
        ),
    )
    def compile_anew(self, optimizer, learning_rate, accumulation, options):
        optimizer = self._suits(optimizer)
        self.a.compile(new_optimizer(optimizer, learning_rate, accumulation), **options)
        self.b.compile(new_optimizer(optimizer, learning_rate, accumulation), **self.b_options)
        self.accumulation, self.applied = accumulation, 0
        self.steps_per_execution = options.get("steps_per_execution", "auto")
        self.known = self._trainable()

    @call()
    def compile_with_the_same_optimizer(self):
        """Keras keeps the optimiser and its state: the steps go on."""
        self.a.compile(self.a.optimizer, jit_compile=False)
        self.b.compile(self.b.optimizer, **self.b_options)
        self.steps_per_execution = "auto"

    @call(learning_rate=st.sampled_from([0.1, 0.01]))
    def set_the_learning_rate(self, learning_rate):
        for model in self.models().values():
            model.optimizer.learning_rate = learning_rate

    @call()
    def restart(self):
        for model in self.models().values():
            model.restart([weight * 0.9 for weight in model.get_weights()])
        self.applied = 0

    def _can_be_stored(self):
        """Keras gives a loaded optimiser the variables that are trainable now, no others."""
        return self._trainable() == self.known

    @precondition(lambda self: self.dtype == "float32")
    @call(which=st.sampled_from(["A", "B", "AB"]))
    def save_and_load(self, which):
        self._save_and_load(which)

    @precondition(lambda self: self.dtype == "float64")
    @call(which=st.sampled_from(["A", "B", "AB"]))
    def save_and_load_float64(self, which):
        self._save_and_load(which)

    def _save_and_load(self, which):
        """Where only one is loaded, the other is what it must go on like."""
        if not self._can_be_stored():
            return
        for name, model in self.models().items():
            if name in which:
                path = self.folder / f"{name}.keras"
                model.save(path)
                loaded = keras.saving.load_model(path)
                assert number(loaded.optimizer._iterations) == self.applied
                if isinstance(model, Counting):
                    loaded.seen.assign(model.seen)
                    loaded.tested.assign(model.tested)
                setattr(self, name.lower(), loaded)

    @call()
    def save_weights(self):
        if not self._can_be_stored():
            return
        for name, model in self.models().items():
            model.save_weights(self.folder / f"{name}.weights.h5")
        self.stored = self._parts()
        self.stored_steps = self.applied

    def _parts(self):
        """What a file of weights fits: the optimiser's kind, the penalty's, the very networks."""
        optimizer = self.a.optimizer
        kind = type(optimizer).__name__, len(optimizer.variables), self.accumulation
        nets = [id(getattr(self.a, net)) for net in self._nets()]
        return kind, type(self.a.penalty).__name__, nets

    @call()
    def load_weights(self):
        """Each loads the other's file: parameters, the optimiser's state, its steps."""
        if self.stored != self._parts() or not self._can_be_stored():
            return
        for name, model in self.models().items():
            model.load_weights(self.folder / f"{'B' if name == 'A' else 'A'}.weights.h5")
        self.applied = self.stored_steps

    # Parts of a model, changed after compile ---------------------------------------------------

    @call(penalty=st.sampled_from([("Beta", 4.0), ("Beta", 0.2), ("FreeBits", 0.5), None]))
    def set_the_penalty(self, penalty):
        if isinstance(self.a.estimator, estimators.ImportanceWeighted):
            return  # the two are refused together
        for model in self.models().values():
            model.penalty = None if penalty is None else getattr(penalties, penalty[0])(penalty[1])

    @call(
        estimator=st.sampled_from(
            [("SGVBA", 1), ("SGVBB", 1), ("SGVBB", 3), ("SGVBA", 2), ("ImportanceWeighted", 4)]
        )
    )
    def set_the_estimator(self, estimator):
        name, num_samples = estimator
        if name == "ImportanceWeighted" and self.a.penalty is not None:
            return
        for model in self.models().values():
            model.estimator = getattr(estimators, name)(num_samples)

    @precondition(lambda self: isinstance(self.a, CVAE3))
    @call(alpha=st.sampled_from([1.0, 0.0, 0.3]))
    def set_alpha(self, alpha):
        if alpha == 0.0:
            alpha = 0.1  # at 0 the posterior would stand still
        for model in self.models().values():
            model.alpha = alpha

    @call(net=st.sampled_from(["posterior_net", "likelihood_net"]))
    def freeze_or_unfreeze(self, net):
        others = {"posterior_net", "likelihood_net"} - {net}
        if net not in self.frozen and others & self.frozen:
            return
        for model in self.models().values():
            getattr(model, net).trainable = net in self.frozen
        self.frozen = self.frozen ^ {net}

    @call(net=st.sampled_from(["likelihood_net", "posterior_net"]), number=st.integers(0, 3))
    def replace_a_network(self, net, number):
        """Another of the same shape. The optimiser's steps go on."""
        for model in self.models().values():
            rng = np.random.default_rng(number)
            new = keras.models.clone_model(getattr(model, net))
            for layer in new.layers:  # a clone of a frozen network hands `trainable` on to none
                layer.trainable = True
            new.set_weights([rng.normal(size=w.shape) * 0.3 for w in new.get_weights()])
            setattr(model, net, new)
        self.frozen = self.frozen - {net}
        self.known = self.known | {"replaced"}  # until the next compile


def run_machine(num_sequences, first_seed=0, calls=8):
    number = int(os.environ.get("CVAE_TF_SEQUENCE_SEED", 0)) * 1000 + first_seed
    drawn = settings(
        max_examples=num_sequences,
        stateful_step_count=calls,
        deadline=None,
        database=None,
        phases=[Phase.generate, *([Phase.shrink] if os.environ.get("CVAE_TF_SHRINK") else [])],
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    run_state_machine_as_test(seed(number)(Machine), settings=drawn)


def test_a_dozen_sequences():
    run_machine(12, calls=6)


CHANGES = {
    "penalty": ("set_the_penalty", {"penalty": ("Beta", 4.0)}),
    "free bits": ("set_the_penalty", {"penalty": ("FreeBits", 0.5)}),
    "estimator": ("set_the_estimator", {"estimator": ("ImportanceWeighted", 4)}),
    "alpha": ("set_alpha", {"alpha": 0.3}),
    "frozen": ("freeze_or_unfreeze", {"net": "posterior_net"}),
    "replaced": ("replace_a_network", {"net": "likelihood_net", "number": 0}),
    "learning rate": ("set_the_learning_rate", {"learning_rate": 0.1}),
    "same optimiser": ("compile_with_the_same_optimizer", {}),
}


@pytest.mark.slow
@pytest.mark.parametrize("streamed", [False, True], ids=["arrays", "stream"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_takes_effect_at_the_next_call(change, streamed):
    """The sequences that every change needs: before it, everything has been used."""
    machine = Machine()
    machine.begin(
        kind="CVAE3", dtype="float64", optimizer="momentum", jit_compile=False, eager=True
    )

    def use():
        if streamed:
            machine.fit_stream(stream=("dataset", SIZES["full"]), epochs=1, weighted=False)
        else:
            machine.fit_arrays(
                n=12, batch_size=4, epochs=1, initial_epoch=0, shuffle=True, weighted=False
            )
        machine.steps_rows_and_parameters_agree()
        machine.train_on_batch(n=4, weighted=False)
        machine.evaluate_arrays(n=4, batch_size=4, weighted=False)
        machine.predict_arrays(n=4, batch_size=4)
        machine.steps_rows_and_parameters_agree()

    name, arguments = CHANGES[change]
    try:
        use()
        getattr(machine, name)(**arguments)
        use()
        if change == "frozen":  # and back, past a compile that did not see the network
            machine.compile_anew(
                optimizer="momentum",
                learning_rate=0.05,
                accumulation=None,
                options={"jit_compile": False},
            )
            use()
            getattr(machine, name)(**arguments)
            use()
    finally:
        machine.teardown()


SEQUENCES = int(os.environ.get("CVAE_TF_SEQUENCES", 8))
PART = 25


@pytest.mark.slow
@pytest.mark.parametrize("part", range(-(-SEQUENCES // PART)))
def test_many_sequences(part):
    run_machine(min(PART, SEQUENCES - part * PART), first_seed=1 + part)


# The arithmetic itself, against plain Keras ----------------------------------------------------


class Plain(keras.Model):
    """A Keras model that does nothing but note the sizes of its batches."""

    def __init__(self):
        super().__init__()
        self.sizes = []

    def train_step(self, data):
        self.sizes[-1].append(len(data[0]))
        return {"loss": tf.constant(0.0)}


class NewEpoch(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.model.sizes.append([])


@pytest.mark.slow
@pytest.mark.parametrize("kind", LENGTHS)
def test_the_arithmetic_of_streams_is_that_of_plain_keras(kind):
    for name, steps in itertools.product(("short last", "one", "uneven"), (None, 1, 2, 3, 5, 9)):
        sizes = SIZES[name]
        epochs = 1 if kind == "generator" else 5
        if kind == "generator" and (steps or 0) > len(sizes):
            continue
        if LENGTHS[kind] == "infinite" and steps is None:
            continue
        if kind in ("dataset", "filtered", "repeated") and name == "uneven":
            continue
        model = Plain()
        model.compile(run_eagerly=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(
                new_stream(kind, ("x", "y"), sizes),
                epochs=epochs,
                steps_per_epoch=steps,
                shuffle=False,
                verbose=0,
                callbacks=[NewEpoch()],
            )
        assert model.sizes == plan(Stream(sizes, LENGTHS[kind], steps, True), epochs), (name, steps)


# What is not a matter of sequences -------------------------------------------------------------


def _recurrent_vae():
    keras.utils.set_random_seed(1)
    x, z = keras.Input((4, 3)), keras.Input((Z,))
    hidden = keras.layers.GRU(5, return_sequences=True)(keras.layers.RepeatVector(4)(z))
    family = Bernoulli()
    return VAE(
        posterior_net=keras.Model(x, keras.layers.Dense(2 * Z)(keras.layers.GRU(5)(x))),
        likelihood_net=keras.Model(z, keras.layers.Dense(3)(hidden)),
        family=family,
    )


def test_recurrent_networks_under_the_default_compile():
    x = np.random.default_rng(0).integers(0, 2, (7, 4, 3)).astype("float32")
    logs, weights = [], []
    for options in ({}, {"run_eagerly": True}):
        model = _recurrent_vae()
        model.compile(keras.optimizers.SGD(0.05), **options)
        model.fit(x, batch_size=3, epochs=2, verbose=0)
        assert number(model.optimizer.iterations) == 6
        assert model.predict(x, verbose=0).shape == x.shape
        logs.append(model.evaluate(x, return_dict=True, verbose=0))
        weights.append(parameters(model))
    for name in TERMS:
        np.testing.assert_allclose(logs[0][name], logs[1][name], rtol=RTOL)
    for name, values in weights[0].items():
        np.testing.assert_allclose(values, weights[1][name], rtol=RTOL, atol=1e-5)


CHECK_NUMERICS = """
import json
import numpy as np, tensorflow as tf
tf.debugging.enable_check_numerics()
from cvae_tf import VAE, networks
from cvae_tf.distributions import Bernoulli
family = Bernoulli()
model = VAE(**networks.mlps(VAE, x=5, z=2, hidden=(4,), family=family), family=family)
model.compile()
x = np.random.default_rng(0).integers(0, 2, (7, 5)).astype("float32")
history = model.fit(x, batch_size=3, epochs=2, verbose=0).history
print("REPORT" + json.dumps([history, model.evaluate(x, return_dict=True, verbose=0)]))
"""


@pytest.mark.slow
def test_check_numerics_of_tensorflow():
    history, logs = in_a_fresh_process(CHECK_NUMERICS)
    assert len(history["loss"]) == 2
    assert np.isfinite([*history["loss"], *logs.values()]).all()


OPTIMIZERS = (
    *("sgd", "adam", "adafactor", "rmsprop", "adamw", "adadelta", "adagrad", "adamax"),
    *("nadam", "ftrl", "lion", "lamb", "muon"),
)


def _named(name):
    return keras.optimizers.Lamb() if name == "lamb" else name  # Keras knows it as a class only


@pytest.mark.parametrize(
    "name",
    [
        name if name in ("adafactor", "muon") else pytest.param(name, marks=pytest.mark.slow)
        for name in OPTIMIZERS
    ],
)
def test_every_optimizer_that_trains_a_keras_model_trains_ours(name):
    x = TABLE["x"][:8]
    plain = keras.Sequential([keras.Input((X,)), keras.layers.Dense(4), keras.layers.Dense(X)])
    try:
        plain.compile(_named(name), loss="mse", jit_compile=False)
        plain.fit(x, x, batch_size=4, verbose=0)
    except Exception as error:
        pytest.skip(f"plain Keras: {error}")
    model = new_model("VAE", "float32")
    before = parameters(model)
    model.compile(_named(name))
    history = model.fit(x, batch_size=4, verbose=0).history
    assert number(model.optimizer.iterations) == 2
    for net, values in parameters(model).items():
        assert np.isfinite(values).all()
        assert np.abs(values - before[net]).max() > 0
    assert np.isfinite(history["loss"]).all()


class Recording(VAE):
    """Notes the noise of every step, in plain Python."""

    def objective(self, x, *, noise):
        self.noted.append(np.asarray(noise))
        return super().objective(x, noise=noise)


def _recording():
    keras.utils.set_random_seed(1)
    family = Bernoulli()
    nets = networks.mlps(VAE, x=X, z=Z, hidden=(4,), family=family)
    model = Recording(**nets, family=family)
    model.noted = []
    return model


def _noise_of_a_fit(model):
    del model.noted[:]
    model.fit(TABLE["x"][:12], batch_size=3, verbose=0)
    return np.stack(model.noted)


def test_noise_is_of_the_batches_seen_and_not_of_the_optimisers_steps():
    """No two batches share it where gradients are accumulated, and they are those of each step."""
    drawn = []
    for steps in (None, 2):
        model = _recording()
        optimizer = keras.optimizers.SGD(0.01, gradient_accumulation_steps=steps)
        model.compile(optimizer, run_eagerly=True)
        drawn.append(_noise_of_a_fit(model))
    for batches in drawn:
        assert len(batches) == 4
        for one, other in itertools.combinations(batches, 2):
            assert np.abs(one - other).min() > 0
    np.testing.assert_array_equal(*drawn)


def test_noise_begins_again_with_a_new_optimiser_and_at_a_restart_and_else_goes_on():
    model = _recording()
    model.compile(keras.optimizers.SGD(0.01), run_eagerly=True)
    first, second = _noise_of_a_fit(model), _noise_of_a_fit(model)
    assert np.abs(first - second).max() > 0
    model.restart(model.get_weights())
    np.testing.assert_array_equal(_noise_of_a_fit(model), first)
    model.compile(keras.optimizers.SGD(0.01), run_eagerly=True)
    np.testing.assert_array_equal(_noise_of_a_fit(model), first)


def test_a_model_with_nothing_to_train():
    """As in Keras: the fit runs, logs, and moves nothing."""
    model = new_model("CVAE1", "float32")
    model.compile(keras.optimizers.SGD(0.1), jit_compile=False)
    before = parameters(model)
    model.trainable = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras's word for it
        history = model.fit(*rows_of("xy", 0, 7), batch_size=3, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all() and len(history["loss"]) == 2
    for net, values in parameters(model).items():
        np.testing.assert_array_equal(values, before[net])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_model_of_either_precision_is_loaded_as_it_was(dtype, tmp_path):
    model = new_model("CVAE1", dtype)
    model.compile(keras.optimizers.SGD(0.1), jit_compile=False)
    model.fit(*rows_of("xy", 0, 7), batch_size=3, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.variable_dtype == dtype
    for net, values in parameters(model).items():
        np.testing.assert_array_equal(values, parameters(loaded)[net])
