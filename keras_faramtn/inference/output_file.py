"""Writes predictions to a CSV or JSON Lines file."""

import csv
import json
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TextIO

from keras_faramtn.atomic_files import unused_path
from keras_faramtn.errors import InputError
from keras_faramtn.inference.predictions import Prediction
from keras_faramtn.locks import output_lock

logger = logging.getLogger(__name__)

_WriteRow = Callable[[str, Mapping[str, float]], None]


def check_output_path(path: Path) -> None:
    """Checks that `write_predictions` can create the file, before any prediction is made.

    Raises:
        InputError: the file exists, is neither .csv nor .jsonl, or its folder doesn't exist.
    """
    if path.suffix not in _WRITERS:
        raise InputError(f"{path}: predictions are written to a {' or '.join(_WRITERS)} file.")
    _refuse_existing(path)
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}; create it first.")


def write_predictions(path: Path, predictions: Iterable[Prediction]) -> int:
    """Writes predictions to a file as they arrive.

    A .csv file has a header, `image` and the attributes, and one row per image. A .jsonl file has
    one object per line: `{"image": path, "probabilities": {attribute: number}}`. Until all
    predictions are written, the file is called `{name}.part`, or `{name}.part2` and so on if that
    already exists; after an error, the predictions made before it stay in that file.

    Args:
        path: the file to create.
        predictions: image files with their probabilities.

    Returns:
        The number of predictions.

    Raises:
        InputError: as in `check_output_path`; another process writes the file; or, for a .csv
            file, the images have predictions of different attributes.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "predictions.csv"
        ...     count = write_predictions(path, [(Path("face.jpg"), {"Smiling": 0.9})])
        ...     path.read_text().splitlines()
        ['image,Smiling', 'face.jpg,0.900000']
    """
    check_output_path(path)
    with output_lock(path):
        _refuse_existing(path)  # another process may have written it meanwhile
        unfinished = unused_path(path.with_name(f"{path.name}.part"))
        try:
            count = _write(unfinished, _WRITERS[path.suffix], predictions)
            _refuse_existing(path)
            unfinished.rename(path)
        except BaseException:
            if unfinished.exists() and unfinished.stat().st_size:
                logger.warning("The predictions made until then are in %s", unfinished)
            else:
                unfinished.unlink(missing_ok=True)
            raise
    return count


def _refuse_existing(path: Path) -> None:
    if os.path.lexists(path):
        raise InputError(f"{path}: it already exists; choose another name, or remove it.")


def _write(
    path: Path, writer: Callable[[TextIO], _WriteRow], predictions: Iterable[Prediction]
) -> int:
    count = 0
    # The bytes of an image's name may not be valid UTF-8.
    with path.open("x", encoding="utf-8", errors="surrogateescape", newline="") as file:
        write_row = writer(file)
        for count, (image, probabilities) in enumerate(predictions, start=1):  # noqa: B007
            write_row(str(image), probabilities)
            file.flush()
    return count


def _csv_writer(file: TextIO) -> _WriteRow:
    rows = csv.writer(file, lineterminator="\n")
    columns: list[str] = []

    def write_row(image: str, probabilities: Mapping[str, float]) -> None:
        if not columns:
            columns.extend(probabilities)
            rows.writerow(["image", *columns])
        if set(probabilities) != set(columns):
            raise InputError(
                f"{image}: its prediction has other attributes than that of the first image; "
                "predict all images with one model."
            )
        rows.writerow([image, *(f"{probabilities[name]:.6f}" for name in columns)])

    return write_row


def _json_lines_writer(file: TextIO) -> _WriteRow:
    def write_row(image: str, probabilities: Mapping[str, float]) -> None:
        rounded = {name: round(p, 6) for name, p in probabilities.items()}
        row = {"image": image, "probabilities": rounded}
        file.write(json.dumps(row, ensure_ascii=False) + "\n")

    return write_row


_WRITERS: dict[str, Callable[[TextIO], _WriteRow]] = {
    ".csv": _csv_writer,
    ".jsonl": _json_lines_writer,
}
