"""What a person sees, and what the history holds, while a network of many groups trains."""

from typing import Any

import keras
import numpy as np

from keras_faramtn.attributes import AttributeGroups

_SCORES = ("accuracy", "balanced_accuracy")


class MeanScores(keras.callbacks.Callback):
    """Adds the means over all attributes to the logs of each epoch.

    From the groups' `{group}_accuracy` and `{group}_balanced_accuracy`, as `objective` has them
    counted, it makes `accuracy`, `balanced_accuracy` and their `val_` forms: each group counts by
    the number of its attributes; one whose score isn't defined is left out. Place it before
    callbacks that read the logs.

    Args:
        groups: the groups that the model predicts.
    """

    def __init__(self, groups: AttributeGroups) -> None:
        super().__init__()
        self.sizes = {group: len(groups[group]) for group in groups}

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs = {} if logs is None else logs
        for score in [prefix + score for prefix in ("", "val_") for score in _SCORES]:
            prefix = "val_" if score.startswith("val_") else ""
            names = [f"{prefix}{group}_{score.removeprefix('val_')}" for group in self.sizes]
            if all(name in logs for name in names):
                logs[score] = _mean([logs[name] for name in names], [*self.sizes.values()])


def _mean(scores: list[float], sizes: list[int]) -> float:
    # NaN is the score of a group of which no attribute has both a yes and a no.
    defined = np.isfinite(scores)
    if not defined.any():
        return float("nan")
    return float(np.average(np.array(scores)[defined], weights=np.array(sizes)[defined]))


class ShortProgressBar(keras.callbacks.ProgbarLogger):
    """Keras's progress bar with the loss only, and a line of mean scores after each epoch.

    A network of eight groups has some fifty numbers in its logs; Keras's own bar prints them all.
    """

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        super().on_train_batch_end(batch, _only(logs, ("loss",)))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        super().on_epoch_end(epoch, _only(logs, ("loss", "val_loss")))
        print(_epoch_line(logs or {}), flush=True)


def _only(logs: dict[str, Any] | None, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in (logs or {}).items() if name in names}


def _epoch_line(logs: dict[str, Any]) -> str:
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
    return "  " + " | ".join(parts)
