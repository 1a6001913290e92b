"""CelebA as people have it on disk: the official folder, torchvision's, and Kaggle's."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_faramtn.attributes import CELEBA_ATTRIBUTES
from keras_faramtn.data.readers.rows import read_rows
from keras_faramtn.data.table import SPLITS, UNKNOWN, FaceTable, Problem, refuse
from keras_faramtn.errors import InputError


@dataclass(frozen=True)
class Layout:
    """Where one variant of CelebA keeps its files, relative to its folder.

    Attributes:
        labels: the attribute file. As `.txt` its first line is the count, its second the names; as
            `.csv` it has one header line that begins with `image_id`.
        splits: the partition file, `name split` a line.
        images: folders that may hold the images; the first that exists counts.
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
"""The known variants, the first found is read."""

_LABELS = {"1": 1, "-1": 0, "0": UNKNOWN}
_SPLIT_NUMBERS = {str(number): number for number in SPLITS.values()}


def read_celeba(
    folder: str | Path,
    attributes: Sequence[str] = CELEBA_ATTRIBUTES,
    *,
    skip_bad: bool = False,
) -> tuple[FaceTable, list[Problem]]:
    """Reads labels and splits of a folder in one of CelebA's layouts (`LAYOUTS`).

    Labels are 1, -1 or 0 in the file: has it, has it not, unknown. The images themselves are
    not opened; `check_images` does that.

    Args:
        folder: the data set's folder.
        attributes: the names that the file must have, in any order; the table has this order.
        skip_bad: leave out rows that can't be used, instead of refusing the file.

    Returns:
        The table, and the problems of the rows left out (none without `skip_bad`).

    Raises:
        InputError: a missing folder or file, one that is empty or no text, a header with other
            attributes, no usable row; and without `skip_bad` a wrong count, a row with the wrong
            number of columns, a value other than 1, -1 or 0, an image listed twice, without a
            split or with an unknown one. The message names file and line.
    """
    folder = Path(folder)
    layout = _recognise(folder)
    problems: list[Problem] = []
    splits = _read_splits(folder / layout.splits, problems)
    source = folder / layout.labels
    (header, names), rows = _header_and_rows(source, problems)
    columns = _columns(source, header, names, attributes)
    image_folder = _image_folder(folder, layout)

    images, labels, numbers, lines = [], [], [], []
    seen: set[str] = set()
    for line, (image, *values) in rows:
        message = _row_message(image, values, len(names), seen, splits, layout)
        if message:
            problems.append(Problem(source, line, message))
            continue
        seen.add(image)
        images.append(image)
        labels.append([_LABELS[value] for value in values])
        numbers.append(splits[image])
        lines.append(line)
    if not skip_bad:
        refuse(problems)
    if not images:
        raise InputError(f"{source}: there is no usable row in this file.")
    table = FaceTable(
        attributes=tuple(attributes),
        paths=tuple(image_folder / image for image in images),
        labels=np.array(labels, dtype="int8")[:, columns],
        splits=np.array(numbers, dtype="int8"),
        source=source,
        lines=np.array(lines),
    )
    return table, problems


def is_celeba(place: Path) -> bool:
    """Whether there is a label file of one of CelebA's layouts in the folder."""
    return any((place / layout.labels).is_file() for layout in LAYOUTS.values())


def _recognise(folder: Path) -> Layout:
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder; give the folder of the data set.")
    for layout in LAYOUTS.values():
        if (folder / layout.labels).is_file():
            if not (folder / layout.splits).is_file():
                raise InputError(
                    f"{folder / layout.splits}: the partition file is missing; it has a line "
                    "'image split' for each image, with split 0 (train), 1 (validation) or 2 "
                    "(test)."
                )
            return layout
    looked_for = ", ".join(layout.labels for layout in LAYOUTS.values())
    raise InputError(
        f"{folder}: this is no data set in a layout of CelebA; looked for {looked_for}."
    )


def _image_folder(folder: Path, layout: Layout) -> Path:
    for place in layout.images:
        if (folder / place).is_dir():
            return folder / place
    raise InputError(
        f"{folder / layout.images[0]}: the folder of the images is missing; unpack "
        "img_align_celeba.zip there."
    )


def _header_and_rows(
    path: Path, problems: list[Problem]
) -> tuple[tuple[int, list[str]], list[tuple[int, list[str]]]]:
    """The header's line and attribute names, and the rows below it."""
    rows = read_rows(path)
    if path.suffix == ".csv":
        line, header = rows[0]
        if header[0] != "image_id":
            raise InputError(
                f"{path}, line {line}: the header must begin with image_id; it begins with "
                f"{header[0]!r}."
            )
        return (line, header[1:]), rows[1:]
    if len(rows) < 2 or len(rows[0][1]) != 1 or not rows[0][1][0].isdecimal():
        raise InputError(
            f"{path}, line 1: the first line must be the number of images, the second the "
            "names of the attributes."
        )
    count = int(rows[0][1][0])
    if count != len(rows) - 2:
        message = f"the count is {count}, but the file has {len(rows) - 2} rows; correct the count."
        problems.append(Problem(path, 1, message))
    return rows[1], rows[2:]


def _columns(path: Path, line: int, names: list[str], attributes: Sequence[str]) -> list[int]:
    missing = [attribute for attribute in attributes if attribute not in names]
    unknown = [name for name in names if name not in attributes]
    if missing or unknown or len(set(names)) != len(names):
        splits = [
            *([f"missing: {', '.join(missing)}"] if missing else []),
            *([f"unknown: {', '.join(unknown)}"] if unknown else []),
        ]
        raise InputError(
            f"{path}, line {line}: the header must have each of the {len(attributes)} attributes "
            f"once; {'; '.join(splits) or 'one is there twice'}."
        )
    return [names.index(attribute) for attribute in attributes]


def _read_splits(path: Path, problems: list[Problem]) -> dict[str, int]:
    rows = read_rows(path)
    if rows[0][1][0] == "image_id":
        rows = rows[1:]
    splits: dict[str, int] = {}
    for line, row in rows:
        if len(row) != 2 or row[1] not in _SPLIT_NUMBERS:
            message = f"expected an image and 0, 1 or 2; got {' '.join(row)!r}."
            problems.append(Problem(path, line, message))
        elif row[0] in splits:
            message = f"{row[0]} is listed a second time; keep one row."
            problems.append(Problem(path, line, message))
        else:
            splits[row[0]] = _SPLIT_NUMBERS[row[1]]
    return splits


def _row_message(
    image: str,
    values: list[str],
    columns: int,
    seen: set[str],
    splits: dict[str, int],
    layout: Layout,
) -> str | None:
    if len(values) != columns:
        return f"{image} has {len(values)} values, but there are {columns} attributes."
    if not _LABELS.keys() >= set(values):
        wrong = next(value for value in values if value not in _LABELS)
        return f"{image} has the value {wrong!r}; a label is 1, -1 or 0 (unknown)."
    if image in seen:
        return f"{image} is listed a second time; keep one row."
    if image not in splits:
        return f"{image} has no split in {layout.splits}; add a line for it."
    return None
