"""The training values of an epoch, separated from its validation values."""

from typing import Any

import keras


class TrainingLogs(keras.callbacks.Callback):
    """Base of callbacks that read training values at the end of an epoch.

    Keras adds the validation's values to the same dict with the prefix `val_`. If the outputs are
    named `a` and `val_a`, the validation loss of `a` replaces the training loss of `val_a`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._in_epoch = False
        self._before_validation: dict[str, Any] | None = None

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._in_epoch = True
        self._before_validation = None

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        # Keras resets the model's metrics right after this.
        if self._in_epoch:
            self._before_validation = dict(self.model.get_metrics_result())

    def training_logs(self, logs: dict[str, Any] | None) -> dict[str, Any]:
        """The training values; call this in `on_epoch_end` with the `logs` that it receives."""
        self._in_epoch = False
        if self._before_validation is not None:
            return self._before_validation
        return logs or {}
