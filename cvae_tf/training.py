r"""A Keras model that trains by many steps in one compiled call; no probability in here.

At notebook size the time of a step goes into dispatch, not arithmetic. So `fit` hands a compiled
program the arrays and a block of row numbers (or stacked batches of a stream), and the program runs
the model's `train_step` on one batch after the other without coming back to Python. Nothing else
changes: callbacks, logs and progress bars see the same steps, and the numbers are those of stepping
one by one. How many steps a call runs is decided when it runs.
"""

from __future__ import annotations

import warnings
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from cvae_tf import checks
from cvae_tf.batches import EVALUATION_BATCH, Rows, Stream, is_stream, unpack
from cvae_tf.batches import orders as orders
from cvae_tf.callbacks import FirstStep, sees_batches
from cvae_tf.compiling import CompiledModel
from cvae_tf.programs import Batch, ManySteps, leaves, tensors


class ManyStepModel(CompiledModel):
    """A `keras.Model` whose `fit` runs many training steps in one compiled call.

    Subclasses write `train_step`, `test_step` and `predict_step` as for `keras.Model`; `fit`,
    `evaluate`, `predict` and the like keep Keras's arguments and meaning. On arrays the order of
    the rows is a function of (seed, batches seen), and `steps_per_epoch` may go beyond them: the
    next order begins.

    Args:
        seed: int, of the order of the rows.
        **kwargs: Keras's own, such as `name`.
    """

    optimizer: Any

    def __init__(self, *, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = checks.seed(seed)

    # What a subclass may say --------------------------------------------------------------------

    def batch_of(self, x: Any, y: Any, sample_weight: Any, where: str) -> Batch:
        """Arrays as `train_step` is to see them, (x,), (x, y) or (x, y, sample_weight); checked.

        Called once for whole arrays and once for each batch of a stream, on the host, before it is
        used. Raise ValueError or TypeError for what cannot be used.
        """
        given = {"x": x, "y": y, "sample_weight": sample_weight}
        arrays = [
            None if values is None else tf.nest.map_structure(floats, values)
            for values in given.values()
        ]
        named = {f"{i}": leaf for i, leaf in enumerate(leaves(arrays))}
        checks.same_length(named, where)
        while arrays[-1] is None:
            arrays.pop()
        return tuple(arrays)

    def inputs_of(self, x: Any, where: str, y: Any = None) -> Batch:
        """The same for what `predict` is given; y: what else a stream's batch has."""
        return self.batch_of(x, None, None, where)

    def before_training(self, batch: Batch | None) -> None:
        """Called when `fit` begins, with the whole arrays, or None for a stream."""

    # fit, evaluate, predict -----------------------------------------------------------------------

    def fit(
        self, x: Any = None, y: Any = None, batch_size: int | None = None, epochs: int = 1,
        verbose: Any = "auto", callbacks: Any = None, validation_split: float = 0.0,
        validation_data: Any = None, shuffle: bool = True, class_weight: Any = None,
        sample_weight: Any = None, initial_epoch: int = 0, steps_per_epoch: int | None = None,
        validation_steps: int | None = None, validation_batch_size: int | None = None,
        validation_freq: Any = 1,
    ) -> keras.callbacks.History:
        """Train. Arguments, callbacks and result are those of `keras.Model.fit`.

        Arrays are checked as a whole before training, validation data too; streams batch by batch.

        Args:
            x, y: arrays, or in x a stream of batches: a tf.data.Dataset, a PyDataset, a generator
                or another iterable. One that can be gone through only once ends with its data.
            batch_size: int, default 32.
            steps_per_epoch: int; default: once through the data. An endless stream needs it.
            class_weight: refused; use sample_weight.

        Returns:
            keras.callbacks.History.

        Raises:
            ValueError, TypeError: for bad data, before it is used.
        """
        self._require_compiled("fit")
        if class_weight is not None:
            raise ValueError(
                f"Received class_weight={class_weight!r}. Expected sample_weight, one weight per "
                "example."
            )
        epochs = checks.count(epochs, "epochs", least=0)
        initial_epoch = checks.count(initial_epoch, "initial_epoch", least=0)
        fraction = checks.number(validation_split, "validation_split", least=0, below=1)
        if isinstance(validation_freq, (list, tuple, set)):
            validation_freq = list(checks.sizes(validation_freq, "validation_freq"))
        else:
            validation_freq = checks.count(validation_freq, "validation_freq")
        validation_steps = checks.optional_count(validation_steps, "validation_steps")
        validation_batch_size = checks.optional_count(
            validation_batch_size, "validation_batch_size"
        )
        size = 32 if batch_size is None else batch_size
        data = self._data(x, y, sample_weight, size, steps_per_epoch, "fit")
        if fraction and validation_data is None:
            data, held_out = data.split(fraction, validation_batch_size, validation_steps)
        else:
            held_out = self._validation(validation_data, validation_batch_size, validation_steps)
        self.before_training(data.arrays)
        options = {
            "epochs": epochs,
            "verbose": verbose,
            "callbacks": callbacks,
            "initial_epoch": initial_epoch,
            "validation_freq": validation_freq,
        }
        if self._is_distributed:
            return self._fit_by_keras(data, held_out, shuffle, options)
        return self._fit(data, held_out, shuffle, **options)

    def _fit(
        self, data: Any, held_out: Any, shuffle: bool, *, epochs: int, verbose: Any,
        callbacks: Any, initial_epoch: int, validation_freq: Any,
    ) -> keras.callbacks.History:
        self.refresh()
        self.know_all_variables()
        callbacks = self._callbacks(callbacks, verbose, epochs, data.steps, add_history=True)
        most = 1 if sees_batches(callbacks, "train") else self.programs.steps_per_call
        self.stop_training = False
        self.forget_restored_epoch()
        callbacks.on_train_begin()  # a callback may restore weights, optimiser and batches_seen
        blocks = data.training(self._steps(), shuffle, self.seed, int(self.batches_seen.numpy()))
        logs: Any = {}
        for epoch in range(self.restored_epoch(initial_epoch), epochs):
            self.reset_metrics()
            callbacks.on_epoch_begin(epoch)
            done = 0
            for size, run in blocks.epoch(most):
                callbacks.on_train_batch_begin(done)
                logs = run()
                done += size
                callbacks.on_train_batch_end(done - 1, logs)
                if self.stop_training:
                    break
            if not done:
                self._no_data(epoch, initial_epoch)
                break
            epoch_logs = self.logs_of(logs)
            if held_out is not None and self.is_validated(epoch, validation_freq):
                found = self._evaluate(held_out, callbacks)
                epoch_logs.update({f"val_{name}": value for name, value in found.items()})
            callbacks.on_epoch_end(epoch, epoch_logs)
            logs = epoch_logs
            if self.stop_training:
                break
        if epochs > initial_epoch:
            self.optimizer.finalize_variable_values(self.trainable_weights)
        callbacks.on_train_end(logs=logs)
        return self.history

    def evaluate(
        self, x: Any = None, y: Any = None, batch_size: int | None = None, verbose: Any = "auto",
        sample_weight: Any = None, steps: int | None = None, callbacks: Any = None,
        return_dict: bool = False, _use_cached_eval_dataset: bool = False,
    ) -> Any:
        """The mean loss and metrics on a data set; as `keras.Model.evaluate`."""
        self._require_compiled("evaluate")
        if self._is_distributed:
            if not _use_cached_eval_dataset:
                x = self._data(x, y, sample_weight, batch_size, steps, "evaluate").for_keras()
            return super().evaluate(
                x,
                verbose=verbose,
                steps=steps,
                callbacks=callbacks,
                return_dict=return_dict,
                _use_cached_eval_dataset=_use_cached_eval_dataset,
            )
        data = self._data(x, y, sample_weight, batch_size, steps, "evaluate")
        self.refresh()
        callbacks = self._callbacks(callbacks, verbose, 1, data.steps)
        logs = self._evaluate(data, callbacks)
        return logs if return_dict else listed(logs)

    def _evaluate(self, data: Any, callbacks: Any) -> dict[str, float]:
        step = self.program("test", self.test_step)
        self.stop_evaluating = False
        callbacks.on_test_begin()
        self.reset_metrics()
        logs: Any = None
        for index, batch in enumerate(data.in_order()):
            callbacks.on_test_batch_begin(index)
            logs = step(batch)
            callbacks.on_test_batch_end(index, logs)
            if self.stop_evaluating:
                break
        if logs is None:
            raise ValueError(f"{data.label} is empty. Expected at least one batch.")
        logs = {name: float(v) for name, v in self.logs_of(logs).items()}
        callbacks.on_test_end(logs)
        return logs

    def predict(
        self, x: Any, batch_size: int | None = None, verbose: Any = "auto",
        steps: int | None = None, callbacks: Any = None,
    ) -> Any:
        """What `predict_step` gives for every example; as `keras.Model.predict`."""
        data = self._data(x, None, None, batch_size, steps, "predict")
        if self._is_distributed:
            return super().predict(
                data.for_keras(), verbose=verbose, steps=steps, callbacks=callbacks
            )
        self.refresh()
        step = self.program("predict", self.predict_step)
        callbacks = self._callbacks(callbacks, verbose, 1, data.steps)
        self.stop_predicting = False
        callbacks.on_predict_begin()
        outputs: list[Any] = []
        for index, batch in enumerate(data.in_order()):
            callbacks.on_predict_batch_begin(index)
            outputs.append(step(batch))
            callbacks.on_predict_batch_end(index, {"outputs": outputs[-1]})
            if self.stop_predicting:
                break
        if not outputs:
            raise ValueError(f"{data.label} is empty. Expected at least one batch.")
        callbacks.on_predict_end()
        return tf.nest.map_structure(lambda *parts: np.concatenate(parts), *outputs)

    def train_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """One `train_step`; as `keras.Model.train_on_batch`."""
        self._require_compiled("train_on_batch")
        if class_weight is not None:
            raise ValueError("Received class_weight. Expected sample_weight, one per example.")
        batch = tensors(self.batch_of(x, y, sample_weight, "train_on_batch"))
        self.refresh()
        self.know_all_variables()
        self.reset_metrics()
        logs = floats_of(self._steps().one(batch))
        return logs if return_dict else listed(logs)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """One `test_step`; as `keras.Model.test_on_batch`."""
        self._require_compiled("test_on_batch")
        batch = tensors(self.batch_of(x, y, sample_weight, "test_on_batch"))
        self.refresh()
        self.reset_metrics()
        logs = floats_of(self.program("test", self.test_step)(batch))
        return logs if return_dict else listed(logs)

    def predict_on_batch(self, x: Any) -> Any:
        """One `predict_step`; as `keras.Model.predict_on_batch`."""
        batch = tensors(self.inputs_of(x, "predict"))
        self.refresh()
        return tf.nest.map_structure(
            lambda t: t.numpy(), self.program("predict", self.predict_step)(batch)
        )

    # Inside -------------------------------------------------------------------------------------

    def _steps(self) -> ManySteps:
        """The compiled `train_step`; kept, so that a second fit does not compile again."""

        def step(batch: Batch) -> dict[str, tf.Tensor]:
            before = tf.identity(self.batches_seen)
            logs = self.train_step(batch)
            self.batches_seen.assign(before + 1)  # whatever step a subclass has written
            return logs

        jit_compile = not self.run_eagerly and bool(self.jit_compile)
        optional = self.programs.may_leave_xla_out
        return self.programs.get(
            "train", lambda: ManySteps(step, jit_compile, optional, self.run_eagerly)
        )

    def _data(
        self, x: Any, y: Any, sample_weight: Any, batch_size: Any, steps: Any, where: str
    ) -> Any:
        if steps is not None:
            steps = checks.count(steps, "steps_per_epoch" if where == "fit" else "steps")
        predicts = where == "predict"
        if not is_stream(x):
            given = self.inputs_of(x, where) if predicts else None
            arrays = given or self.batch_of(x, y, sample_weight, where)
            size = (
                EVALUATION_BATCH if batch_size is None else checks.count(batch_size, "batch_size")
            )
            return Rows(arrays, size, steps, where)
        if y is not None or sample_weight is not None:
            raise ValueError(
                f"Received y or sample_weight beside a dataset (in {where}). Expected them inside "
                "it: batches of (x, y) or (x, y, sample_weight)."
            )

        def check(batch: Any) -> Batch:
            label, (x, y, weights) = f"a batch of the stream, {where}", unpack(batch)
            if predicts:
                return tensors(self.inputs_of(x, label, y))
            return tensors(self.batch_of(x, y, weights, label))

        return Stream(x, steps, check, where)

    def _validation(self, data: Any, batch_size: Any, steps: Any) -> Any:
        if data is None:
            return None
        if is_stream(data):
            stream = self._data(data, None, None, batch_size, steps, "validation_data")
            stream.check_first()
            return stream
        return self._data(*unpack(data), batch_size, steps, "validation_data")

    def _callbacks(
        self, callbacks: Any, verbose: Any, epochs: int, steps: Any, add_history: bool = False
    ) -> keras.callbacks.CallbackList:
        if isinstance(callbacks, keras.callbacks.CallbackList):
            return callbacks
        return keras.callbacks.CallbackList(
            tf.nest.flatten(callbacks or []),
            add_history=add_history,
            add_progbar=verbose != 0,
            verbose=verbose,
            epochs=epochs,
            steps=steps,
            model=self,
        )

    def _no_data(self, epoch: int, initial_epoch: int) -> None:
        if epoch == initial_epoch:
            raise ValueError("The stream (in fit) is empty. Expected at least one batch.")
        warnings.warn(
            f"The stream has no data for epoch {epoch + 1}: it can be gone through only once. "
            "Training ends here; pass a tf.data.Dataset, a PyDataset or a list of batches.",
            stacklevel=4,  # where fit is called
        )

    def _fit_by_keras(
        self, data: Any, held_out: Any, shuffle: bool, options: dict[str, Any]
    ) -> keras.callbacks.History:
        """On several replicas Keras's own loop runs, step by step."""
        first_step = FirstStep()  # a callback before it may restore the optimiser
        given = options.pop("callbacks")
        options["callbacks"] = [*tf.nest.flatten(given or []), first_step]
        return super().fit(
            data.for_keras(lambda: first_step.value, shuffle, self.seed),
            shuffle=False,
            steps_per_epoch=data.steps,
            validation_data=None if held_out is None else held_out.for_keras(),
            validation_steps=None if held_out is None else held_out.steps,
            **options,
        )


def floats(values: Any) -> np.ndarray:
    array = np.asarray(values)
    return array.astype(keras.config.floatx()) if array.dtype.kind == "f" else array


def floats_of(logs: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in logs.items()}


def listed(logs: dict[str, float]) -> Any:
    values = list(logs.values())
    return values if len(values) != 1 else values[0]


def place_in_global_batch(batch_size: Any) -> tuple[Any, Any]:
    """(position of this replica's first example in the global batch, the global batch's size)."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return 0, batch_size
    sizes = context.all_gather(tf.reshape(batch_size, [1]), axis=0)
    return tf.cumsum(sizes, exclusive=True)[context.replica_id_in_sync_group], tf.reduce_sum(sizes)
