"""A training's state in one file, from which it goes on after it was stopped."""

import csv
import json
import logging
import math
import zipfile
from pathlib import Path
from typing import Any

import keras

from keras_faramtn.atomic_files import atomic_write
from keras_faramtn.callbacks.dynamic_weighting import DynamicWeighting
from keras_faramtn.differences import describe_differences
from keras_faramtn.errors import InputError

CHECKPOINT_FILE = "checkpoint.keras"
HISTORY_FILE = "history.csv"

_STATE_MEMBER = "training_state.json"

logger = logging.getLogger(__name__)


class Checkpoint(keras.callbacks.Callback):
    """Keeps the state of a training in `CHECKPOINT_FILE` of its folder, and goes on from it.

    The file is a `.keras` file of the model and its optimizer as of the last completed epoch
    (before the first, of the initial weights), with the history, DWS and random generators' states
    beside them. It is written aside and then renamed, so that there is never half a checkpoint:
    where the process is killed, the one before stands.

    `keras.callbacks.BackupAndRestore` keeps neither history nor the state of other callbacks, and
    writes over its only file.

    Place it last, so that the logs that it keeps are complete. From `began` on, the model is as the
    training has it; before, `fit` has still to restore it.

    Args:
        folder: an existing folder. `HISTORY_FILE` is written there too, as
            `keras.callbacks.CSVLogger` would.
        run: what identifies the training, as JSON can hold it; a checkpoint of another is refused.
        weighting: the training's DWS, where it has one.

    Raises:
        InputError: as the training begins, the folder's checkpoint can't be read, or is of another
            training or network.
        FloatingPointError: at the end of an epoch, a loss is NaN or infinite; the file stays as
            it was.
    """

    def __init__(
        self, folder: Path, run: dict[str, Any], weighting: DynamicWeighting | None = None
    ) -> None:
        super().__init__()
        self.folder = folder
        self.run = run
        self.weighting = weighting
        self.history: dict[str, list[float]] = {}
        self.epochs_done = 0
        self.began = False

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if (self.folder / CHECKPOINT_FILE).exists():
            self._restore(self.folder / CHECKPOINT_FILE)
            # Keras's own place for it, as `BackupAndRestore` uses it.
            self.model._initial_epoch = self.epochs_done
            logger.info(
                "Resuming after epoch %d of %d from %s",
                self.epochs_done,
                self.params["epochs"],
                self.folder / CHECKPOINT_FILE,
            )
        else:
            self._write()
        self.began = True

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs = logs or {}
        for name in ("loss", "val_loss"):
            if not math.isfinite(logs.get(name, 0.0)):
                raise FloatingPointError(f"{name} is {logs[name]} after epoch {epoch + 1}.")
        for name in sorted(logs):
            self.history.setdefault(name, []).append(float(logs[name]))
        self._write(epoch + 1)
        self.epochs_done = epoch + 1

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self.model._initial_epoch = None

    def _write(self, epochs_done: int = 0) -> None:
        state = {
            "run": self.run,
            "epochs_done": epochs_done,
            "history": self.history,
            "weighting": self.weighting.state() if self.weighting else None,
            "seeds": [keras.ops.convert_to_numpy(seed).tolist() for seed in _seeds(self.model)],
        }

        def save(path: Path) -> None:
            self.model.save(path)
            with zipfile.ZipFile(path, "a") as archive:
                archive.writestr(_STATE_MEMBER, json.dumps(state))

        atomic_write(self.folder / CHECKPOINT_FILE, save)
        if self.history:
            atomic_write(self.folder / HISTORY_FILE, self._write_history)

    def _write_history(self, path: Path) -> None:
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["epoch", *self.history])
            writer.writerows(
                [epoch, *row] for epoch, row in enumerate(zip(*self.history.values(), strict=True))
            )

    def _restore(self, path: Path) -> None:
        state = read_state(path)
        different = describe_differences(state["run"], self.run)
        if different:
            raise InputError(
                f"{path}: this checkpoint belongs to another training: {different}. Choose another "
                "folder with --to, or remove this one to start again."
            )
        try:
            self.model.load_weights(path)
        except (ValueError, OSError, KeyError) as error:
            raise InputError(
                f"{path}: this checkpoint is of another network than the recipe's; choose another "
                f"folder with --to. Keras says: {str(error).splitlines()[0]}"
            ) from error
        for seed, value in zip(_seeds(self.model), state["seeds"], strict=True):
            seed.assign(value)
        if self.weighting:
            self.weighting.restore(state["weighting"])
        self.history, self.epochs_done = state["history"], state["epochs_done"]


def read_state(path: Path) -> dict[str, Any]:
    """What a checkpoint holds beside the model: `run`, `epochs_done`, `history` and more.

    Raises:
        InputError: the file can't be read, or is no checkpoint.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read(_STATE_MEMBER))
    except (OSError, zipfile.BadZipFile, KeyError, json.JSONDecodeError) as error:
        raise InputError(
            f"{path}: this is no checkpoint that can be read; remove it to start anew."
        ) from error


def _seeds(model: keras.Model) -> list[keras.Variable]:
    """The states of the random generators of dropout and the like, which are no weights."""
    weights = {id(weight) for weight in model.weights}
    return [v for v in model.non_trainable_variables if id(v) not in weights]
