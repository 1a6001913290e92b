"""Reads the history of a training run, which `Checkpoint` writes."""

import csv
from pathlib import Path

from keras_faramtn.callbacks.checkpoint import HISTORY_FILE
from keras_faramtn.errors import InputError, reason


def read_history(folder: Path) -> dict[str, list[float]]:
    """The history of a training run, one number for each epoch; empty if there is none.

    Raises:
        InputError: the file can't be read, or is damaged; the message names the remedy.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / HISTORY_FILE).write_text("epoch,loss\\n0,0.7\\n1,0.5\\n")
        ...     read_history(Path(folder))
        {'loss': [0.7, 0.5]}
    """
    path = folder / HISTORY_FILE
    if not path.exists():
        return {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
        if any(None in row for row in rows):
            raise ValueError("a line has more values than the first one has names")
        names = [name for name in (rows[0] if rows else {}) if name != "epoch"]
        return {name: [float(row[name]) for row in rows] for name in names}
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise damaged_history(folder, f"can't be read: {reason(error)}") from error


def damaged_history(folder: Path, problem: str) -> InputError:
    """The exception for a damaged history, with the remedy.

    Args:
        folder: of the training run.
        problem: what is wrong, after "this history".

    Example:
        >>> print(damaged_history(Path("run"), "is empty"))
        run/history.csv: this history is empty. Restore the file from a copy, or remove run/ and ...
    """
    return InputError(
        f"{folder / HISTORY_FILE}: this history {problem}. Restore the file from a copy, or remove "
        f"{folder}/ and train this run again."
    )
