"""Reads CelebA in the layouts of the official download, of torchvision and of Kaggle."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_faramtn.attributes import CELEBA_ATTRIBUTES, check_names
from keras_faramtn.data.readers.repeats import ImageFiles
from keras_faramtn.data.readers.rows import read_rows
from keras_faramtn.data.table import (
    SPLITS,
    UNKNOWN,
    FaceTable,
    Problem,
    labels_as_text,
    refuse_problems,
)
from keras_faramtn.errors import InputError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Layout:
    """The files of one variant of CelebA, as paths relative to its folder.

    Attributes:
        labels: the attribute file. In a `.txt` file the first line is the number of images and the
            second has the attribute names; a `.csv` file has one header line that begins with
            `image_id`.
        splits: the partition file, with a line `image split` for each image.
        images: possible folders of the images; the first that exists is used.
    """

    labels: str
    splits: str
    images: tuple[str, ...]


LAYOUTS: dict[str, Layout] = {
    "official": Layout(
        "Anno/list_attr_celeba.txt",
        "Eval/list_eval_partition.txt",
        ("Img/img_align_celeba",),
    ),
    "torchvision": Layout("list_attr_celeba.txt", "list_eval_partition.txt", ("img_align_celeba",)),
    "kaggle": Layout(
        "list_attr_celeba.csv",
        "list_eval_partition.csv",
        ("img_align_celeba/img_align_celeba", "img_align_celeba"),
    ),
}
"""The supported layouts. The first whose label file exists is read."""

_LABELS = {"1": 1, "-1": 0, "0": UNKNOWN}
_SPLIT_NUMBERS = {str(number): number for number in SPLITS.values()}


def read_celeba(
    folder: str | Path,
    attributes: Sequence[str] = CELEBA_ATTRIBUTES,
    *,
    skip_bad: bool = False,
) -> FaceTable:
    """Reads the labels and splits of a folder in one of CelebA's layouts (`LAYOUTS`).

    Labels in the file are 1 (present), -1 (absent) or 0 (unknown). If a file contains only 1 and
    0, then 0 is read as absent. The images are not opened; `check_images` does that.

    Args:
        folder: the folder of the data set.
        attributes: the attributes that the file must have, in any order; the table has this order.
            Others that the file has are in the table's `columns`.
        skip_bad: skip invalid rows, instead of raising an error.

    Returns:
        The table of the valid rows; what was skipped is in its `problems`.

    Raises:
        InputError: a folder or file is missing, is empty or is not a text file; the header lacks
            an attribute; there is no valid row; or, without `skip_bad`, the count is wrong, a row
            has the wrong number of columns or a value other than 1, -1 and 0, or an image is
            listed twice or has no valid split. The message names the file and the line.

    Example:
        >>> import tempfile
        >>> from keras_faramtn.synthetic.dataset import synthesize
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = synthesize(folder, 4, image_size=(64, 64), progress=False)
        ...     table = read_celeba(folder)
        >>> table.paths[0].name, table.labels.shape
        ('000001.jpg', (4, 40))
    """
    folder, attributes = Path(folder), check_names(attributes)
    layout = _recognise(folder)
    problems: list[Problem] = []
    splits = _read_splits(folder / layout.splits, problems)
    source = folder / layout.labels
    (header, names), rows = _header_and_rows(source, problems)
    columns = _columns(source, header, names, attributes)
    image_folder = _image_folder(folder, layout)

    images, labels, numbers, lines = [], [], [], []
    seen = ImageFiles()
    for line, (image, *values) in rows:
        message = _row_message(image, values, len(names), splits, layout)
        if message is None and not seen.add(image_folder / image):
            message = f"{image} is listed twice; keep one row."
        if message:
            problems.append(Problem(source, line, message))
            continue
        images.append(image)
        labels.append([_LABELS[value] for value in values])
        numbers.append(splits[image])
        lines.append(line)
    refuse_problems(problems, remaining=len(images), skip_bad=skip_bad)
    if not images:
        raise InputError(f"{source}: there is no valid row in this file.")
    resolved = _resolve_zeros(source, rows, np.array(labels, dtype="int8"))
    return FaceTable(
        attributes=attributes,
        paths=tuple(image_folder / image for image in images),
        labels=resolved[:, columns],
        splits=np.array(numbers, dtype="int8"),
        source=source,
        lines=np.array(lines),
        columns={
            name: labels_as_text(resolved[:, column])
            for column, name in enumerate(names)
            if column not in columns
        },
        problems=tuple(problems),
    )


def is_celeba(folder: Path) -> bool:
    """Whether the folder contains a label file of one of CelebA's layouts."""
    return any((folder / layout.labels).is_file() for layout in LAYOUTS.values())


def _resolve_zeros(
    source: Path, rows: list[tuple[int, list[str]]], labels: np.ndarray
) -> np.ndarray:
    """The labels; in a file that contains only 1 and 0, 0 is read as absent."""
    if not (labels == UNKNOWN).any() or not (labels == 1).any():
        return labels
    if any("-1" in values for _, values in rows):  # rows that are skipped too
        return labels
    logger.info(f"{source}: no label is -1, so 0 is read as absent, not as unknown.")
    return np.where(labels == UNKNOWN, np.int8(0), labels)


def _recognise(folder: Path) -> Layout:
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder; specify the folder of the data set.")
    for layout in LAYOUTS.values():
        if (folder / layout.labels).is_file():
            if not (folder / layout.splits).is_file():
                raise InputError(
                    f"{folder / layout.splits}: the partition file is missing; it must have a line "
                    "'image split' for each image, where split is 0 (train), 1 (validation) or 2 "
                    "(test)."
                )
            return layout
    looked_for = ", ".join(layout.labels for layout in LAYOUTS.values())
    raise InputError(
        f"{folder}: this is not a data set in one of CelebA's layouts; looked for {looked_for}."
    )


def _image_folder(folder: Path, layout: Layout) -> Path:
    for name in layout.images:
        if (folder / name).is_dir():
            return folder / name
    raise InputError(
        f"{folder / layout.images[0]}: the folder of the images is missing; unpack "
        "img_align_celeba.zip there."
    )


def _header_and_rows(
    path: Path, problems: list[Problem]
) -> tuple[tuple[int, list[str]], list[tuple[int, list[str]]]]:
    """The line number and the attribute names of the header, and the rows below it."""
    rows = read_rows(path)
    if path.suffix == ".csv":
        line, header = rows[0]
        if header[0] != "image_id":
            raise InputError(
                f"{path}, line {line}: the header must begin with image_id, not with {header[0]!r}."
            )
        return (line, header[1:]), rows[1:]
    if len(rows) < 2 or len(rows[0][1]) != 1 or not re.fullmatch("[0-9]{1,18}", rows[0][1][0]):
        raise InputError(
            f"{path}, line 1: the first line must be the number of images, and the second "
            "the names of the attributes."
        )
    count = int(rows[0][1][0])
    if count != len(rows) - 2:
        message = f"the count is {count}, but the file has {len(rows) - 2} rows; correct the count."
        problems.append(Problem(path, 1, message))
    return rows[1], rows[2:]


def _columns(path: Path, line: int, names: list[str], attributes: Sequence[str]) -> list[int]:
    missing = [attribute for attribute in attributes if attribute not in names]
    if missing or len(set(names)) != len(names):
        others = [name for name in names if name not in attributes]
        found = f"missing: {', '.join(missing)}" if missing else "one is repeated"
        if missing and others:
            found += f"; unknown: {', '.join(others)}"
        raise InputError(
            f"{path}, line {line}: the header must have each of the {len(attributes)} attributes "
            f"exactly once; {found}."
        )
    return [names.index(attribute) for attribute in attributes]


def _read_splits(path: Path, problems: list[Problem]) -> dict[str, int]:
    rows = read_rows(path)
    if rows[0][1][0] == "image_id":
        rows = rows[1:]
    splits: dict[str, int] = {}
    for line, row in rows:
        if len(row) != 2 or row[1] not in _SPLIT_NUMBERS:
            message = f"expected an image name and 0, 1 or 2; got {' '.join(row)!r}."
            problems.append(Problem(path, line, message))
        elif row[0] in splits:
            message = f"{row[0]} is listed twice; keep one row."
            problems.append(Problem(path, line, message))
        else:
            splits[row[0]] = _SPLIT_NUMBERS[row[1]]
    return splits


def _row_message(
    image: str,
    values: list[str],
    columns: int,
    splits: dict[str, int],
    layout: Layout,
) -> str | None:
    if len(values) != columns:
        return f"{image} has {len(values)} values, but there are {columns} attributes."
    if not _LABELS.keys() >= set(values):
        wrong = next(value for value in values if value not in _LABELS)
        return f"{image} has the value {wrong!r}; a label is 1, -1 or 0 (unknown)."
    if image not in splits:
        return f"{image} has no split in {layout.splits}; add a line for it."
    return None
