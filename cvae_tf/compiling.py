"""A Keras model that knows what it compiled from, and an optimiser that knows its variables.

A program, an optimiser's state and the count of batches are what outlives a call. Here each says
what it goes with, and is dropped, extended or set back when that changes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from cvae_tf import checks
from cvae_tf.keras_private import PrivateModel, become
from cvae_tf.programs import Program, Programs


def counter() -> tf.Variable:
    """A count that all replicas share, outside the model's weights."""
    shared = tf.VariableAggregation.ONLY_FIRST_REPLICA
    return tf.Variable(0, trainable=False, dtype=tf.int64, aggregation=shared)


class CompiledModel(PrivateModel):
    """A `keras.Model` whose compiled programs never outlive what they were compiled from.

    That is its settings, parts and variables. What a function of yours closes over is not watched:
    after changing it, compile again.

    Attributes:
        batches_seen: int64 variable, batches trained on since `compile` or `restart`; saved and
            loaded with the weights.
    """

    optimizer: Any

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.batches_seen = counter()
        self.programs = Programs()

    def on_change(self) -> None:
        """Called when something changed that programs were compiled from."""

    def suits_xla(self) -> bool:
        """Whether XLA compiles by default."""
        return True

    def compile(
        self,
        optimizer: Any = "adam",
        *,
        run_eagerly: bool = False,
        steps_per_execution: Any = "auto",
        jit_compile: Any = "auto",
        **options: Any,
    ) -> None:
        """As `keras.Model.compile`.

        Args:
            optimizer: Keras optimiser or its name.
            run_eagerly: bool; True steps through Python, for debugging.
            steps_per_execution: "auto" runs many steps per compiled call; an int, that many (1:
                step by step).
            jit_compile: "auto" or bool; whether XLA compiles the steps ("auto": where it can and
                pays).
            **options: Keras's others.
        """
        if steps_per_execution != "auto":
            steps_per_execution = checks.count(steps_per_execution, "steps_per_execution")
        compiled = not run_eagerly and not self._is_distributed
        before = getattr(self, "optimizer", None)
        self.programs.forget(compiled, steps_per_execution, jit_compile)
        automatic = compiled and self.suits_xla() if jit_compile == "auto" else jit_compile
        super().compile(
            optimizer=optimizer,
            run_eagerly=run_eagerly,
            steps_per_execution=1 if steps_per_execution == "auto" else steps_per_execution,
            jit_compile=automatic,
            **options,
        )
        with self.distribute_strategy.scope():
            self.optimizer.build(self.trainable_variables)  # so that its state is saved and loaded
        if self.optimizer is before:
            return  # it goes on, and learns of a replaced network at the next fit
        self.programs.optimised = list(self.trainable_variables)
        if not int(tf.convert_to_tensor(self.optimizer.iterations)):  # of all replicas alike
            self.batches_seen.assign(0)

    def get_compile_config(self) -> dict[str, Any]:
        config = super().get_compile_config()
        if config:
            config["steps_per_execution"] = self.programs.steps_per_execution
            config["jit_compile"] = self.programs.jit_compile
        return config

    def compile_from_config(self, config: dict[str, Any]) -> None:
        self.compile(**keras.saving.deserialize_keras_object(config))

    def restart(self, weights: list[np.ndarray]) -> None:
        """Go back to the first step of training, from these weights; nothing is compiled again.

        For the same model on other data or from other initial weights: an optimiser as new (at the
        present learning rate), step 0, and with it the first step's noise and order.

        Args:
            weights: list of arrays, as `get_weights()` of this model or of its like gives.

        Raises:
            TypeError, ValueError: if they are not the model's in number and shape, or not finite;
                nothing has moved then.

        Example:
            >>> start = model.get_weights()
            >>> for seed in range(3):
            ...     model.restart(start)
            ...     model.fit(x[subset[seed]], epochs=10)
        """
        self._require_compiled("restart")
        checks.instance(weights, "weights", (list, tuple), "a list, such as get_weights() gives")
        shapes = [tuple(each.shape) for each in self.weights]
        found = [
            checks.array(w, f"weights[{i}]", dtype="float64", empty=True).shape
            for i, w in enumerate(weights)
        ]
        if found != shapes:
            raise ValueError(
                f"Received weights of shapes {found}. Expected {shapes}, as get_weights() of this "
                f"{type(self).__name__} gives."
            )
        self.set_weights(weights)
        new = type(self.optimizer).from_config(self.optimizer.get_config())
        new.build(self.programs.optimised)
        for variable, start in zip(self.optimizer.variables, new.variables, strict=True):
            variable.assign(start)
        self.batches_seen.assign(0)

    def program(self, name: str, function: Callable[..., Any], jit_compile: bool = False) -> Any:
        """`function` compiled; kept under this name while nothing changes that it was made from."""
        if self.run_eagerly:
            return function
        optional = self.programs.may_leave_xla_out
        return self.programs.get(name, lambda: Program(function, jit_compile, optional))

    def refresh(self) -> None:
        """Drop what was compiled from something that has changed since."""
        self.programs.refresh(self, self.on_change)

    def know_all_variables(self) -> None:
        """An optimiser that knows a replaced or unfrozen network's variables; the rest is kept.

        Beside what is kept for variables of a new or lost one's name, which begins anew.
        """
        wanted, known = self.trainable_variables, self.programs.optimised
        new = [v for v in wanted if not any(v is k for k in known)]
        if not new:
            return
        lost = [k for k in known if not any(k is v for v in wanted)]
        others = tuple(f"{v.path.replace('/', '_')}_" for v in new + lost)
        before: dict[str, list[Any]] = {}
        for variable in self.optimizer.variables:
            before.setdefault(variable.path, []).append(variable)
        optimizer = type(self.optimizer).from_config(self.optimizer.get_config())
        optimizer.build(wanted)
        for variable in optimizer.variables:
            is_others = variable.path.rpartition("/")[2].startswith(others)
            if variable.path in before and not is_others:
                variable.assign(before[variable.path].pop(0))  # the first of its name
        become(self.optimizer, optimizer)
        self.programs.optimised = list(wanted)
        self.refresh()

    @property
    def _is_distributed(self) -> bool:
        return self.distribute_strategy.num_replicas_in_sync > 1

    def _require_compiled(self, method: str) -> None:
        if not self.compiled:
            raise ValueError(
                f"Received a call of {method}() before compile(). Expected an optimiser: call "
                "compile(), or compile(optimizer=…), first."
            )

    def __setattr__(self, name: str, value: Any) -> None:
        old = self.__dict__.get(name)
        replaces = isinstance(old, keras.Layer) and old is not value
        if replaces and isinstance(value, keras.Layer):
            self.accept_layers()
        super().__setattr__(name, value)
        if replaces and not any(held is old for held in vars(self).values()):
            self.let_go(old)

    def save_own_variables(self, store: Any) -> None:
        super().save_own_variables(store)
        store["batches_seen"] = self.batches_seen.numpy()

    def load_own_variables(self, store: Any) -> None:
        own = {key: store[key] for key in store.keys()}
        self.batches_seen.assign(int(np.asarray(own.pop("batches_seen", 0))))
        super().load_own_variables(own)
