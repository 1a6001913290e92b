"""Writes predictions to a CSV or JSON Lines file."""

import csv
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from keras_faramtn.atomic_files import unused_path
from keras_faramtn.errors import InputError, reason
from keras_faramtn.inference.photographs import PhotographPrediction
from keras_faramtn.inference.predictions import Prediction
from keras_faramtn.locks import output_lock

logger = logging.getLogger(__name__)

_Fields = Mapping[str, str | float | None]
_Probabilities = Mapping[str, float | None]
_Row = tuple[_Fields, _Probabilities]
"""What identifies a prediction, `image` first, and its probabilities by attribute."""

_WriteRow = Callable[[_Fields, _Probabilities], None]

_FACE_NUMBERS = ("face", "left", "top", "right", "bottom", "score")


def check_output_path(path: Path) -> None:
    """Checks that `write_predictions` can create the file, before any prediction is made.

    Raises:
        InputError: the file exists, is neither .csv nor .jsonl, or its folder doesn't exist.
    """
    if path.suffix.lower() not in _WRITERS:
        raise InputError(f"{path}: predictions are written to a {' or '.join(_WRITERS)} file.")
    _refuse_existing(path)
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}; create it first.")


def write_predictions(path: Path, predictions: Iterable[Prediction]) -> int:
    """Writes predictions of face crops to a file as they arrive.

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
            file, the images have predictions of different attributes, or one of the attributes
            has the name of another column.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "predictions.csv"
        ...     count = write_predictions(path, [(Path("face.jpg"), {"Smiling": 0.9})])
        ...     path.read_text().splitlines()
        ['image,Smiling', 'face.jpg,0.900000']
    """
    rows = (({"image": str(image)}, probabilities) for image, probabilities in predictions)
    return _write_rows(path, rows)


def write_photograph_predictions(
    path: Path, predictions: Iterable[PhotographPrediction], attributes: Sequence[str]
) -> int:
    """Writes predictions of the faces in photographs to a file as they arrive.

    Rows and objects are those of `write_predictions`, one per face, with these columns or keys
    after `image`: `face`, the number of the face in its photograph from 1, largest face first;
    `left`, `top`, `right` and `bottom` of its box in pixels of the upright photograph; and the
    detector's `score` in 0..1. A photograph without a face has one row in which all of these and
    the probabilities are empty, or null.

    Args:
        path: the file to create.
        predictions: the photographs with their faces.
        attributes: the attributes that the model predicts.

    Returns:
        The number of predictions, which is that of the faces.

    Raises:
        InputError: as in `write_predictions`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "predictions.csv"
        ...     landscape = PhotographPrediction(Path("landscape.jpg"), ())
        ...     count = write_photograph_predictions(path, [landscape], ["Smiling"])
        ...     path.read_text().splitlines()
        ['image,face,left,top,right,bottom,score,Smiling', 'landscape.jpg,,,,,,,']
    """
    return _write_rows(path, _face_rows(predictions, attributes))


def _face_rows(
    predictions: Iterable[PhotographPrediction], attributes: Sequence[str]
) -> Iterator[_Row]:
    for photograph in predictions:
        image = {"image": str(photograph.path)}
        for each in photograph.faces:
            box = (round(side, 1) for side in each.face.box)
            numbers = (each.index, *box, round(each.face.score, 4))
            yield image | dict(zip(_FACE_NUMBERS, numbers, strict=True)), each.probabilities
        if not photograph.faces:
            yield image | dict.fromkeys(_FACE_NUMBERS), dict.fromkeys(attributes)


def _write_rows(path: Path, rows: Iterable[_Row]) -> int:
    check_output_path(path)
    with output_lock(path):
        _refuse_existing(path)  # another process may have written it meanwhile
        unfinished = unused_path(path.with_name(f"{path.name}.part"))
        try:
            count = _write(unfinished, _WRITERS[path.suffix.lower()], rows)
            _refuse_existing(path)
            unfinished.rename(path)
        except BaseException as error:
            if unfinished.exists() and unfinished.stat().st_size:
                logger.warning("The predictions made until then are in %s", unfinished)
            else:
                unfinished.unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise InputError(f"{path}: it can't be written: {reason(error)}.") from error
            raise
    return count


def _refuse_existing(path: Path) -> None:
    if os.path.lexists(path):
        raise InputError(f"{path}: it already exists; choose another name, or remove it.")


def _write(path: Path, writer: Callable[[TextIO], _WriteRow], rows: Iterable[_Row]) -> int:
    count = 0
    # The bytes of an image's name may not be valid UTF-8.
    with path.open("x", encoding="utf-8", errors="surrogateescape", newline="") as file:
        write_row = writer(file)
        for fields, probabilities in rows:
            write_row(fields, probabilities)
            file.flush()
            count += None not in probabilities.values()
    return count


def _csv_writer(file: TextIO) -> _WriteRow:
    rows = csv.writer(file, lineterminator="\n")
    columns: list[str] = []

    def write_row(fields: _Fields, probabilities: _Probabilities) -> None:
        if not columns:
            columns.extend(probabilities)
            _refuse_equal_columns(fields, columns)
            rows.writerow([*fields, *columns])
        if set(probabilities) != set(columns):
            raise InputError(
                f"{fields['image']}: its prediction has other attributes than that of the first "
                "image; predict all images with one model."
            )
        numbers = (probabilities[name] for name in columns)
        cells = ("" if number is None else f"{number:.6f}" for number in numbers)
        rows.writerow([*fields.values(), *cells])

    return write_row


def _refuse_equal_columns(fields: Iterable[str], attributes: Sequence[str]) -> None:
    for name in fields:
        if name in attributes:
            raise InputError(
                f"the attribute {name!r} has the name of another column of a .csv file; write a "
                ".jsonl file."
            )


def _json_lines_writer(file: TextIO) -> _WriteRow:
    def write_row(fields: _Fields, probabilities: _Probabilities) -> None:
        rounded = {name: None if p is None else round(p, 6) for name, p in probabilities.items()}
        file.write(json.dumps({**fields, "probabilities": rounded}, ensure_ascii=False) + "\n")

    return write_row


_WRITERS: dict[str, Callable[[TextIO], _WriteRow]] = {
    ".csv": _csv_writer,
    ".jsonl": _json_lines_writer,
}
