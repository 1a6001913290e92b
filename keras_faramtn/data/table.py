"""The table of faces: image paths, labels and splits. Readers return it, pipelines take it."""

import dataclasses
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from keras_faramtn.errors import InputError

UNKNOWN = -1
"""The label of an attribute that is not annotated in an image."""

SPLITS: dict[str, int] = {"train": 0, "validation": 1, "test": 2}
"""The splits of a data set and their numbers in CelebA's `list_eval_partition.txt`."""

SHOWN_PROBLEMS = 5
"""The number of problems that are listed; the others are counted."""


@dataclass(frozen=True)
class Problem:
    """A problem with one row of a label file, or with the row's image.

    Attributes:
        file: the label or partition file.
        line: the number of the line, from 1.
        message: what is wrong, and the remedy.
        unit: `line`, or `row` for a file without lines, such as a MATLAB file.
    """

    file: Path
    line: int
    message: str
    unit: str = "line"

    def __str__(self) -> str:
        return f"{self.file}, {self.unit} {self.line}: {self.message}"


@dataclass(frozen=True)
class DecodedImages:
    """The pixels of some images.

    Attributes:
        pixels: uint8 `(any number, height, width, 3)`, RGB.
        rows: int `(n,)`: the pixels of the n images are `pixels[rows]`. Tables of single splits
            share `pixels`.
    """

    pixels: np.ndarray
    rows: np.ndarray


@dataclass(frozen=True)
class FaceTable:
    """Images, labels and splits of a data set: one row for each image.

    Attributes:
        attributes: the names of the k columns of `labels`.
        paths: the n image paths.
        labels: int8 `(n, k)`: 1 present, 0 absent, -1 unknown. After `distil_labels` float32, with
            values between 0 and 1.
        splits: int8 `(n,)`: 0 train, 1 validation, 2 test.
        source: the label file.
        lines: int `(n,)`: the line of each row in the label file, from 1.
        unit: what `lines` counts: `line`, or `row` for a file without lines.
        columns: the other columns of the label file, by name: for each `(n,)` text (an array of
            `str` objects), empty where unknown.
        problems: the skipped rows and images, and why they were skipped.
        decoded: the pixels of the images, after `decode_images`.

    Example:
        >>> table = FaceTable(
        ...     attributes=("Smiling",),
        ...     paths=(Path("a.jpg"), Path("b.jpg")),
        ...     labels=np.array([[1], [0]], "int8"),
        ...     splits=np.array([0, 2], "int8"),
        ...     source=Path("attributes.csv"),
        ...     lines=np.array([2, 3]),
        ... )
        >>> len(table), [path.name for path in table.split("test").paths]
        (2, ['b.jpg'])
    """

    attributes: tuple[str, ...]
    paths: tuple[Path, ...]
    labels: np.ndarray
    splits: np.ndarray
    source: Path
    lines: np.ndarray
    unit: str = "line"
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    decoded: DecodedImages | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def digest(self) -> str:
        """A hash of the file names and the labels, 16 hexadecimal digits, to identify the data."""
        content = hashlib.sha256(self.labels.tobytes())
        for path in self.paths:
            content.update(os.fsencode(path.name) + b"\n")
        return content.hexdigest()[:16]

    def take(self, rows: Any) -> "FaceTable":
        """The rows selected by a slice, a boolean mask or an integer array, in its order."""
        chosen = np.arange(len(self))[rows]
        decoded = self.decoded
        return dataclasses.replace(
            self,
            decoded=decoded and DecodedImages(decoded.pixels, decoded.rows[chosen]),
            paths=tuple(self.paths[row] for row in chosen),
            labels=self.labels[chosen],
            splits=self.splits[chosen],
            lines=self.lines[chosen],
            columns={name: values[chosen] for name, values in self.columns.items()},
        )

    def split(self, name: str) -> "FaceTable":
        """The rows of one split.

        Args:
            name: `train`, `validation` or `test`.

        Raises:
            InputError: the split is unknown or has no rows.
        """
        if name not in SPLITS:
            raise InputError(f"there is no split {name!r}; choose one of {', '.join(SPLITS)}.")
        rows = self.splits == SPLITS[name]
        if not rows.any():
            raise InputError(f"{self.source}: the {name} split has no images; assign images to it.")
        return self.take(rows)


def labels_as_text(labels: np.ndarray) -> np.ndarray:
    """Labels as they are in the `columns` of a table.

    Args:
        labels: int, any shape: 1 present, 0 absent, -1 unknown.

    Returns:
        An array of `str` objects of the same shape: "1", "0" or "".

    Example:
        >>> labels_as_text(np.array([1, 0, -1])).tolist()
        ['1', '0', '']
    """
    return np.array(["0", "1", ""], object)[labels]  # -1 is the last


def refuse_problems(problems: Sequence[Problem], *, remaining: int, skip_bad: bool) -> None:
    """Refuses invalid rows and images, unless they are skipped and others remain.

    Args:
        problems: what is invalid.
        remaining: the number of valid rows.
        skip_bad: the rows with problems are skipped.

    Raises:
        InputError: it lists the first problems and counts the others.
    """
    if not problems or (skip_bad and remaining):
        return
    shown = [str(problem) for problem in problems[:SHOWN_PROBLEMS]]
    hidden = len(problems) - len(shown)
    if hidden:
        shown.append(f"... and {hidden} more.")
    remedy = "or use --skip-bad to skip them." if remaining else "because no valid row is left."
    raise InputError("\n".join([*shown, f"Correct them, {remedy}"]))
