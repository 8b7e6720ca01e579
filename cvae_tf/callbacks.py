"""Which callbacks want to know of every batch, and one that notes where training begins."""

from __future__ import annotations

from typing import Any

import keras


class FirstStep(keras.callbacks.Callback):
    """Notes how many batches were seen when training begins: `value`."""

    def on_train_begin(self, logs: Any = None) -> None:
        self.value = int(self.model.batches_seen.numpy())


def sees_batches(callbacks: keras.callbacks.CallbackList, mode: str) -> bool:
    """Whether a callback wants to know of every batch: a user's, or Keras's own when it is told so.

    Args:
        callbacks: CallbackList.
        mode: "train", "test" or "predict".

    Returns:
        bool: True if a per-batch hook is overridden outside Keras, in `LambdaCallback`, or a file
        is written every so many batches.
    """
    hooks = [f"on_{mode}_batch_begin", f"on_{mode}_batch_end"]
    hooks += ["on_batch_begin", "on_batch_end"] if mode == "train" else []

    def sees(callback: Any) -> bool:
        if any(name in vars(callback) for name in hooks):  # LambdaCallback
            return True
        frequency = [getattr(callback, name, "epoch") for name in ("save_freq", "update_freq")]
        if any(each != "epoch" for each in frequency):
            return True
        owners = (next(c for c in type(callback).__mro__ if name in vars(c)) for name in hooks)
        return any(owner.__module__.split(".")[0] != "keras" for owner in owners)

    return any(sees(callback) for callback in callbacks.callbacks)
