"""Saves the state of a training run to one file, and resumes from it after an interruption."""

import contextlib
import csv
import io
import json
import logging
import math
import zipfile
from pathlib import Path
from typing import Any

import keras

from keras_faramtn import keras_internals
from keras_faramtn.atomic_files import atomic_write, atomic_write_bytes
from keras_faramtn.differences import describe_differences
from keras_faramtn.errors import InputError, reason

CHECKPOINT_FILE = "checkpoint.keras"
HISTORY_FILE = "history.csv"

_STATE_MEMBER = "training_state.json"

logger = logging.getLogger(__name__)


class Checkpoint(keras.callbacks.Callback):
    """Saves the state of a training run to `CHECKPOINT_FILE`, and resumes from it.

    The file is a `.keras` file of the model and its optimizer after the last completed epoch
    (before the first, with the initial weights). It also contains the history and the states of
    `DynamicWeighting` and the random generators. The write is atomic: if the process is killed,
    the previous checkpoint remains.

    `keras.callbacks.BackupAndRestore` keeps neither the history nor the random generators' states,
    and overwrites its only file.

    Place it last in the list of callbacks, so that it saves complete logs. Once `restored` is true,
    the model has the weights of the training run; before that, `fit` has not restored them yet.

    Args:
        folder: an existing folder. `HISTORY_FILE` is written there too, in the format of
            `keras.callbacks.CSVLogger`. Both histories have NaN for what an epoch doesn't log, such
            as the validation loss between validations.
        run: identifies the training run, in JSON values; a checkpoint of a different run is
            rejected.
        new_optimizer_after: the number of completed epochs after which training continues with a
            new optimizer: from a checkpoint of that epoch, the optimizer's state is not restored.

    Raises:
        InputError: when training begins, if the folder's checkpoint can't be read, or belongs to a
            different training run or network.
        FloatingPointError: after a batch or at the end of an epoch, if the loss is NaN or infinite;
            the file is not changed.

    Example:
        >>> import tempfile
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> data = keras.ops.ones((4, 2)), keras.ops.ones((4, 1))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for epochs in (1, 3):
        ...         checkpoint = Checkpoint(Path(folder), run={"learning_rate": 0.01})
        ...         history = model.fit(*data, epochs=epochs, verbose=0, callbacks=[checkpoint])
        ...         print(len(history.epoch), checkpoint.epochs_done)
        1 1
        2 3
    """

    def __init__(
        self, folder: str | Path, run: dict[str, Any], new_optimizer_after: int | None = None
    ) -> None:
        super().__init__()
        self.folder = Path(folder)
        self.run = run
        self.new_optimizer_after = new_optimizer_after
        self.history: dict[str, list[float]] = {}
        self.epochs_done = 0
        self.restored = False

    def saved_epochs(self) -> int:
        """The number of completed epochs in the folder's checkpoint; 0 if there is none."""
        path = self.folder / CHECKPOINT_FILE
        return read_state(path)["epochs_done"] if path.exists() else 0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if (self.folder / CHECKPOINT_FILE).exists():
            self._restore(self.folder / CHECKPOINT_FILE)
            keras_internals.set_initial_epoch(self.model, self.epochs_done)
            logger.info(
                "Resuming after epoch %d of %d from %s",
                self.epochs_done,
                self.params["epochs"],
                self.folder / CHECKPOINT_FILE,
            )
        else:
            self._write()
        self.restored = True

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        loss = float((logs or {}).get("loss", 0.0))
        if not math.isfinite(loss):
            raise FloatingPointError(f"loss is {loss} in batch {batch + 1}.")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs = logs or {}
        for name in ("loss", "val_loss"):
            if not math.isfinite(logs.get(name, 0.0)):
                raise FloatingPointError(f"{name} is {logs[name]} after epoch {epoch + 1}.")
        rows = len(next(iter(self.history.values()), []))
        for name in sorted({*self.history, *logs}):
            values = self.history.setdefault(name, [math.nan] * rows)
            values.append(float(logs.get(name, math.nan)))
        self._write(epoch + 1)
        self.epochs_done = epoch + 1

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        keras_internals.set_initial_epoch(self.model, None)

    def _write(self, epochs_done: int = 0) -> None:
        state = {
            "run": self.run,
            "epochs_done": epochs_done,
            "history": self.history,
            "random_states": [
                keras.ops.convert_to_numpy(each).tolist()
                for each in keras_internals.random_generator_states(self.model)
            ],
        }

        def save(path: Path) -> None:
            self.model.save(path)
            with zipfile.ZipFile(path, "a") as archive:
                archive.writestr(_STATE_MEMBER, json.dumps(state))

        atomic_write(self.folder / CHECKPOINT_FILE, save)
        self._write_history()

    def _write_history(self) -> None:
        if not self.history:
            return
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(["epoch", *self.history])
        writer.writerows(
            [epoch, *row] for epoch, row in enumerate(zip(*self.history.values(), strict=True))
        )
        content, path = text.getvalue().encode(), self.folder / HISTORY_FILE
        if not path.is_file() or path.read_bytes() != content:
            atomic_write_bytes(path, content)

    def _restore(self, path: Path) -> None:
        state = read_state(path)
        different = describe_differences(state["run"], self.run)
        if different:
            raise InputError(
                f"{path}: this checkpoint belongs to another training run: {different}. Choose "
                "another folder with --to, or remove this one to start again."
            )
        new_optimizer = state["epochs_done"] == self.new_optimizer_after
        without = keras_internals.without_optimizer(self.model)
        try:
            with without if new_optimizer else contextlib.nullcontext():
                self.model.load_weights(path)
        except OSError as error:
            raise InputError(f"{path}: can't be read: {reason(error)}.") from error
        except (ValueError, KeyError) as error:
            raise InputError(
                f"{path}: this checkpoint belongs to another network; choose "
                f"another folder with --to. Keras reports: {reason(error)}."
            ) from error
        states = keras_internals.random_generator_states(self.model)
        for each, value in zip(states, state["random_states"], strict=True):
            each.assign(value)
        self.history, self.epochs_done = state["history"], state["epochs_done"]
        self._write_history()  # the process may have been killed before it wrote this file


def read_state(path: Path) -> dict[str, Any]:
    """Reads the training state in a checkpoint: `run`, `epochs_done`, `history` and more.

    Raises:
        InputError: if the file can't be read, or is not a checkpoint.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read(_STATE_MEMBER))
    except OSError as error:
        raise InputError(f"{path}: can't be read: {reason(error)}.") from error
    except (zipfile.BadZipFile, KeyError, json.JSONDecodeError) as error:
        raise InputError(
            f"{path}: can't be read as a checkpoint; remove it to start again."
        ) from error
