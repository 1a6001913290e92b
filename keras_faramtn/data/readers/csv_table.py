"""Attributes of one's own: any CSV file of labels for any folder of images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_faramtn.data.readers.rows import read_rows
from keras_faramtn.data.readers.splits import assign_splits
from keras_faramtn.data.table import SPLITS, UNKNOWN, FaceTable, Problem, refuse
from keras_faramtn.errors import InputError

OWN_FILE = "attributes.csv"
"""The name of the file where a folder is given, not the file itself."""

_IMAGE, _PART, _PERSON = "image", "split", "person"
_IMAGES = "images"
_LABELS = {"1": 1, "0": 0, "": UNKNOWN}


def is_csv_table(place: Path) -> bool:
    """Whether `place` is a `.csv` file, or a folder with an `attributes.csv`."""
    return _file(place).is_file()


def read_csv_table(
    place: str | Path, attributes: Sequence[str] | None = None, *, skip_bad: bool = False
) -> tuple[FaceTable, list[Problem]]:
    """Reads a CSV file of attributes of one's own.

        image,split,person,Happy,Wearing_Scarf
        0001.jpg,train,anna,1,0
        berta/0002.png,test,berta,,1

    The first line names the columns, in any order. `image` is a path, relative to the folder
    `images` beside the file if there is one, else to the file's own folder. `split` may be left
    out: a tenth of the images is then for test and a tenth for validation, always the same ones.
    `person` may be left out; with it no person is in two of the splits so dealt. Each other column
    is an attribute: 1 yes, 0 no, empty unknown.

    Args:
        place: the file, or a folder with an `attributes.csv`.
        attributes: those to read, in the table's order; other columns are not looked at. None for
            all, in the file's order.
        skip_bad: leave out rows that can't be used, instead of refusing the file.

    Returns:
        The table, and the problems of the rows left out (none without `skip_bad`).

    Raises:
        InputError: no such file, an empty one, or one that is no text; a header without `image`,
            with a name twice, or without one of the attributes; a label -1, which some files write
            for no and others for unknown; no usable row; and without `skip_bad` a row with the
            wrong number of columns, another value, an unknown split, or an image listed twice. The
            message names file and line.
    """
    source = _file(Path(place))
    if not source.is_file():
        raise InputError(f"{source}: there is no such file; give a .csv file of attributes.")
    (line, header), *rows = read_rows(source)
    header = [name.strip() for name in header]
    _refuse_header(source, line, header)
    if attributes is None:
        attributes = [name for name in header if name not in (_IMAGE, _PART, _PERSON)]
    _refuse_attributes(source, line, header, attributes)

    folder = source.parent
    if (folder / _IMAGES).is_dir():
        folder /= _IMAGES
    good: list[tuple[int, dict[str, str]]] = []
    problems: list[Problem] = []
    seen: set[str] = set()
    for line, values in rows:
        row = dict(zip(header, (value.strip() for value in values), strict=False))
        message = _row_message(source, line, row, len(values), header, attributes, seen)
        if message:
            problems.append(Problem(source, line, message))
            continue
        seen.add(row[_IMAGE])
        good.append((line, row))
    if not skip_bad:
        refuse(problems)
    if not good:
        raise InputError(f"{source}: there is no usable row in this file.")
    table = FaceTable(
        attributes=tuple(attributes),
        paths=tuple(folder / row[_IMAGE] for _, row in good),
        labels=np.array([[_LABELS[row[name]] for name in attributes] for _, row in good], "int8"),
        splits=_splits([row for _, row in good]),
        source=source,
        lines=np.array([line for line, _ in good]),
    )
    return table, problems


def _file(place: Path) -> Path:
    return place if place.suffix.lower() == ".csv" else place / OWN_FILE


def _splits(rows: Sequence[dict[str, str]]) -> np.ndarray:
    if _PART in rows[0]:
        return np.array([SPLITS[row[_PART]] for row in rows], "int8")
    # An image of whom nobody said who it shows is a person of its own.
    return assign_splits([row.get(_PERSON) or f"{_IMAGE} {row[_IMAGE]}" for row in rows])


def _refuse_header(source: Path, line: int, header: list[str]) -> None:
    repeated = sorted({name for name in header if header.count(name) > 1})
    if _IMAGE not in header:
        raise InputError(
            f"{source}, line {line}: there is no column {_IMAGE!r}; the first line must name the "
            f"columns, separated by commas, but it is {','.join(header)!r}."
        )
    if repeated:
        names = ", ".join(name or "one without a name" for name in repeated)
        raise InputError(f"{source}, line {line}: there are two columns {names}; keep one of each.")


def _refuse_attributes(
    source: Path, line: int, header: list[str], attributes: Sequence[str]
) -> None:
    missing = [name for name in attributes if name not in header]
    if missing:
        raise InputError(
            f"{source}, line {line}: there is no column {', '.join(missing)}; the columns are "
            f"{', '.join(header)}. Add it, or name the file's own attributes in the recipe's "
            "model.groups."
        )
    if not attributes or "" in attributes:
        raise InputError(
            f"{source}, line {line}: each attribute needs a column with its name; the columns are "
            f"{', '.join(header)}."
        )


def _row_message(
    source: Path,
    line: int,
    row: dict[str, str],
    columns: int,
    header: list[str],
    attributes: Sequence[str],
    seen: set[str],
) -> str | None:
    if columns != len(header):
        return f"the row has {columns} values, but there are {len(header)} columns."
    image = row[_IMAGE]
    if not image:
        return f"the row has no {_IMAGE}; give its path."
    if image in seen:
        return f"{image} is listed a second time; keep one row."
    if row.get(_PART, "train") not in SPLITS:
        return f"{image} has the split {row[_PART]!r}; a split is one of {', '.join(SPLITS)}."
    for name in attributes:
        # Taken for a bad row and left out, all that is not yes would go, unnoticed.
        if row[name] == "-1":
            raise InputError(
                f"{source}, line {line}: {name} is -1, which some files write for no and others "
                "for unknown; write 1 for yes, 0 for no, and leave unknown ones empty."
            )
        if row[name] not in _LABELS:
            return (
                f"{image} has the value {row[name]!r} for {name}; a label is 1 (yes), 0 (no) or "
                "empty (unknown)."
            )
    return None
