"""What Keras keeps private and this package touches, each under a name of ours.

`tests/test_keras_private.py` says of each what is relied on; with a new Keras look here first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras


class PrivateModel(keras.Model):
    """A `keras.Model` with names for what it keeps to itself."""

    def restored_epoch(self, initial_epoch: int) -> int:
        """Where training begins: a callback such as BackupAndRestore may have said."""
        return self._initial_epoch or initial_epoch

    def forget_restored_epoch(self) -> None:
        """What an earlier `fit` was told does not hold for the next one."""
        self._initial_epoch = None

    def is_validated(self, epoch: int, validation_freq: Any) -> bool:
        """Whether validation follows this epoch."""
        return self._should_eval(epoch, validation_freq)

    def logs_of(self, logs: Any) -> dict[str, Any]:
        """The metrics' results where a step has logged those, else what it has logged."""
        return dict(self._get_metrics_result_or_logs(logs))

    def accept_layers(self) -> None:
        """Keras locks a built model against new layers."""
        self._tracker.unlock()

    def let_go(self, layer: keras.Layer) -> None:
        """Keras would go on training a layer that has been replaced."""
        self._tracker.untrack(layer)

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Keras would average a batch over the replicas to learn shapes."""
        if not self.built:
            super()._maybe_symbolic_build(iterator, data_batch)


def has_graph(net: keras.Model) -> bool:
    """Whether a network is a graph of layers."""
    return hasattr(net, "_run_through_graph")


def through_graph(net: keras.Model, inputs: list[Any], call: Callable[..., Any]) -> Any:
    """The output of a graph of layers, each of them called by `call(layer, *args, **kwargs)`."""

    def inherits_training(layer: Any, *args: Any, training: Any = None, **kwargs: Any) -> Any:
        return call(layer, *args, **kwargs)  # the graph was made in inference

    return net._run_through_graph(inputs, call_fn=inherits_training)


def parts_of(layer: keras.Layer) -> list[Any]:
    """The layers that a layer holds."""
    return layer._layers


def become(optimizer: Any, other: Any) -> None:
    """Make an optimiser what another of its class is; whoever holds it goes on holding it."""
    new = dict(vars(other))
    if inner := new.pop("inner_optimizer", None):  # of one that scales losses
        become(optimizer.inner_optimizer, inner)
    vars(optimizer).update(new)
