"""Reads a CSV file of custom attributes for a folder of images."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_faramtn.attributes import check_names
from keras_faramtn.data.readers.repeats import ImageFiles
from keras_faramtn.data.readers.rows import read_rows
from keras_faramtn.data.readers.splits import assign_splits
from keras_faramtn.data.table import SPLITS, UNKNOWN, FaceTable, Problem, refuse_problems
from keras_faramtn.errors import InputError

FILE_NAME = "attributes.csv"
"""The name of the file, where its folder is given."""

IMAGE_FOLDER = "images"
"""The name of the folder of images next to the file."""

_IMAGE, _SPLIT, _PERSON = "image", "split", "person"  # the columns that are not attributes
_LABELS = {"1": 1, "0": 0, "": UNKNOWN}

logger = logging.getLogger(__name__)


def is_csv_table(source: Path) -> bool:
    """Whether `source` is a `.csv` file, or a folder that contains `attributes.csv`."""
    return _file(source).is_file()


def read_csv_table(
    source: str | Path, attributes: Sequence[str] | None = None, *, skip_bad: bool = False
) -> FaceTable:
    r"""Reads a CSV file of custom attributes.

        image,split,person,Happy,Wearing_Scarf
        0001.jpg,train,anna,1,0
        berta/0002.png,test,berta,,1

    The first line names the columns, in any order:

    - `image`: a path relative to the folder `images` next to the file if that exists, else to the
      file's own folder.
    - `split` (optional): `train`, `validation` or `test`. Without this column a tenth of the images
      is assigned to `test` and a tenth to `validation`; the assignment is reproducible.
    - `person` (optional): who is in the image. If splits are assigned, each person is in only one.
    - Each other column is an attribute: 1 present, 0 absent, empty unknown. A column with other
      values only, such as `20-29`, is not an attribute. If `attributes` are given, the columns that
      are not among them may contain any text.

    Args:
        source: the file, or a folder that contains `attributes.csv`.
        attributes: the attributes to read, in the table's order; other columns are in the table's
            `columns`. None for all attributes, in the file's order.
        skip_bad: skip invalid rows, instead of raising an error.

    Returns:
        The table of the valid rows; what was skipped is in its `problems`.

    Raises:
        InputError: the file is missing, is empty or is not a text file; the header lacks `image` or
            an attribute, or repeats a name; a label is -1, which means "absent" in some files and
            "unknown" in others; there is no valid row; or, without `skip_bad`, a row has the wrong
            number of columns, another invalid label or an unknown split, or an image is listed
            twice. The message names the file and the line.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "attributes.csv"
        ...     _ = file.write_text("image,split,Happy\na.jpg,train,1\nb.jpg,test,\n")
        ...     table = read_csv_table(file)
        >>> table.attributes, table.labels.tolist(), table.splits.tolist()
        (('Happy',), [[1], [-1]], [0, 2])
    """
    file = _file(Path(source))
    attributes = None if attributes is None else check_names(attributes)
    if not file.is_file():
        raise InputError(f"{file}: there is no such file; specify a .csv file of attributes.")
    (line, header), *rows = read_rows(file)
    header = [name.strip() for name in header]
    _refuse_header(file, line, header)
    if attributes is None:
        attributes = _attribute_columns(file, header, [values for _, values in rows])
    _refuse_attributes(file, line, header, attributes)

    valid: list[tuple[int, dict[str, str]]] = []
    problems: list[Problem] = []
    images = file.parent / IMAGE_FOLDER
    folder = images if images.is_dir() else file.parent
    seen = ImageFiles()
    for line, values in rows:
        row = dict(zip(header, (value.strip() for value in values), strict=False))
        message = _row_message(file, line, row, len(values), header, attributes)
        if message is None and not seen.add(folder / row[_IMAGE]):
            message = f"{row[_IMAGE]} is listed twice; keep one row."
        if message:
            problems.append(Problem(file, line, message))
            continue
        valid.append((line, row))
    refuse_problems(problems, remaining=len(valid), skip_bad=skip_bad)
    if not valid:
        raise InputError(f"{file}: there is no valid row in this file.")
    return FaceTable(
        attributes=attributes,
        paths=tuple(folder / row[_IMAGE] for _, row in valid),
        labels=np.array([[_LABELS[row[name]] for name in attributes] for _, row in valid], "int8"),
        splits=_splits([row for _, row in valid]),
        source=file,
        lines=np.array([line for line, _ in valid]),
        columns={
            name: np.array([row[name] for _, row in valid], object)
            for name in header
            if name and name not in (_IMAGE, _SPLIT, _PERSON, *attributes)
        },
        problems=tuple(problems),
    )


def _file(source: Path) -> Path:
    return source if source.suffix.lower() == ".csv" else source / FILE_NAME


def _attribute_columns(
    file: Path, header: Sequence[str], rows: Sequence[Sequence[str]]
) -> tuple[str, ...]:
    """The columns with labels: those with a 1, 0 or -1, or without any value."""
    attributes: list[str] = []
    others: list[str] = []
    for column, name in enumerate(header):
        if name in (_IMAGE, _SPLIT, _PERSON):
            continue
        values = {row[column].strip() for row in rows if column < len(row)} - {""}
        text = name and values and not values & {"1", "0", "-1"}
        (others if text else attributes).append(name)
    if others and not attributes:
        raise InputError(
            f"{file}: no column has labels; an attribute needs a column with 1 (present), 0 "
            f"(absent) or empty (unknown). The columns with other values only: {', '.join(others)}."
        )
    if others:
        logger.info(
            f"{file}: not read as attributes, because no value is 1 or 0: {', '.join(others)}."
        )
    return tuple(attributes)


def _splits(rows: Sequence[dict[str, str]]) -> np.ndarray:
    if _SPLIT in rows[0]:
        return np.array([SPLITS[row[_SPLIT]] for row in rows], "int8")
    # Each image of an unknown person counts as a different person.
    return assign_splits([row.get(_PERSON) or f"{_IMAGE} {row[_IMAGE]}" for row in rows])


def _refuse_header(file: Path, line: int, header: list[str]) -> None:
    repeated = sorted({name for name in header if header.count(name) > 1})
    if _IMAGE not in header:
        raise InputError(
            f"{file}, line {line}: there is no column {_IMAGE!r}; the first line must name the "
            f"columns, separated by commas, but it is {','.join(header)!r}."
        )
    if repeated:
        names = ", ".join(name or "(empty)" for name in repeated)
        raise InputError(f"{file}, line {line}: there are two columns {names}; keep one of each.")


def _refuse_attributes(file: Path, line: int, header: list[str], attributes: Sequence[str]) -> None:
    missing = [name for name in attributes if name not in header]
    if missing:
        raise InputError(
            f"{file}, line {line}: there is no column {', '.join(missing)}; the columns are "
            f"{', '.join(header)}. Add what is missing, or use a model or recipe (model.groups) "
            "with attributes that the file has."
        )
    if not attributes or not all(name.isprintable() and name for name in attributes):
        raise InputError(
            f"{file}, line {line}: each attribute needs a column with its name, without line "
            f"breaks; the columns are {', '.join(map(repr, header))}."
        )


def _row_message(
    file: Path,
    line: int,
    row: dict[str, str],
    columns: int,
    header: list[str],
    attributes: Sequence[str],
) -> str | None:
    if columns != len(header):
        return f"the row has {columns} values, but there are {len(header)} columns."
    image = row[_IMAGE]
    if not image:
        return f"the row has no {_IMAGE}; add its path."
    if row.get(_SPLIT, "train") not in SPLITS:
        return f"{image} has the split {row[_SPLIT]!r}; a split is one of {', '.join(SPLITS)}."
    for name in attributes:
        # An error even with skip_bad, which would skip every row with an absent attribute.
        if row[name] == "-1":
            raise InputError(
                f"{file}, line {line}: {name} is -1, which means absent in some files and unknown "
                "in others; write 1 for present, 0 for absent, and leave unknown labels empty."
            )
        if row[name] not in _LABELS:
            return (
                f"{image} has the value {row[name]!r} for {name}; a label is 1 (present), 0 "
                "(absent) or empty (unknown)."
            )
    return None
