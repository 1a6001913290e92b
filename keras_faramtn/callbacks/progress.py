"""Mean scores in the logs, and a short progress bar, for networks with many groups."""

import logging
import os
import sys
from typing import Any

import keras
import numpy as np

from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.callbacks.training_logs import TrainingLogs

logger = logging.getLogger(__name__)

_SCORES = ("accuracy", "balanced_accuracy")


class MeanScores(TrainingLogs):
    """Adds the means over all attributes to the logs of each epoch.

    From the groups' `{group}_accuracy` and `{group}_balanced_accuracy`, the metrics of `objective`,
    it computes `accuracy`, `balanced_accuracy` and their `val_` forms. Each group is weighted by
    the number of its attributes; groups with an undefined score are skipped. Place it before
    callbacks that read the logs.

    Args:
        groups: the groups that the model predicts.

    Example:
        >>> groups = AttributeGroups({"a": ["x", "y"], "b": ["z"]}, attributes=["x", "y", "z"])
        >>> logs = {"a_accuracy": 0.9, "b_accuracy": 0.6}
        >>> MeanScores(groups).on_epoch_end(0, logs)
        >>> round(logs["accuracy"], 3)
        0.8
    """

    def __init__(self, groups: AttributeGroups) -> None:
        super().__init__()
        self.sizes = {group: len(groups[group]) for group in groups}

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs = {} if logs is None else logs
        for prefix, values in (("", self.training_logs(logs)), ("val_", logs)):
            for score in _SCORES:
                names = [f"{prefix}{group}_{score}" for group in self.sizes]
                if all(name in values for name in names):
                    scores = [float(values[name]) for name in names]
                    logs[prefix + score] = _mean(scores, [*self.sizes.values()])


def _mean(scores: list[float], sizes: list[int]) -> float:
    # A group's balanced accuracy is NaN if none of its attributes has labels of both classes.
    defined = np.isfinite(scores)
    if not defined.any():
        return float("nan")
    return float(np.average(np.array(scores)[defined], weights=np.array(sizes)[defined]))


class ShortProgressBar(keras.callbacks.ProgbarLogger):
    """Keras's progress bar with the loss only; logs a line of mean scores after each epoch.

    A network with eight groups logs about fifty numbers; Keras's own bar prints them all.
    If standard output is not a terminal, or the environment variable `NO_COLOR` is set, there is no
    bar, and the line contains the epoch and the losses too. Place it after `MeanScores`.

    Example:
        >>> callbacks = [MeanScores(AttributeGroups({"a": ["x"]}, ["x"])), ShortProgressBar()]
        >>> # model.fit(dataset, callbacks=callbacks)
    """

    def __init__(self) -> None:
        super().__init__()
        self._has_bar = _can_show_bar()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self._has_bar:
            super().on_epoch_begin(epoch, logs)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self._has_bar:
            super().on_train_batch_end(batch, _only(logs, ("loss",)))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        line = _scores_line(logs or {})
        if self._has_bar:
            super().on_epoch_end(epoch, _only(logs, ("loss", "val_loss")))
            logger.info("  %s", line)
        else:
            losses = _losses_line(logs or {})
            logger.info("Epoch %d/%d: %s | %s", epoch + 1, self.epochs, losses, line)


def _can_show_bar() -> bool:
    """Whether the output understands the control characters of Keras's bar."""
    if os.environ.get("NO_COLOR"):
        return False
    return sys.stdout.isatty() or "ipykernel" in sys.modules


def _only(logs: dict[str, Any] | None, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in (logs or {}).items() if name in names}


def _losses_line(logs: dict[str, Any]) -> str:
    names = {"loss": "loss", "val_loss": "validation loss"}
    return ", ".join(f"{names[name]} {logs[name]:.4f}" for name in names if name in logs)


def _scores_line(logs: dict[str, Any]) -> str:
    parts = []
    for title, prefix in (("train", ""), ("validation", "val_")):
        if f"{prefix}accuracy" in logs:
            accuracy, balanced = (100 * logs[prefix + score] for score in _SCORES)
            parts.append(f"{title}: accuracy {accuracy:.2f} %, balanced {balanced:.2f} %")
    weights = [
        f"{name.removeprefix('dws_')} {weight:.2f}"
        for name, weight in logs.items()
        if name.startswith("dws_")
    ]
    if weights:
        parts.append(f"DWS: {', '.join(weights)}")
    return " | ".join(parts)
