"""A table of paths and their labels: what every reader returns and every pipeline takes."""

import dataclasses
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_faramtn.errors import InputError

UNKNOWN = -1
"""The label of an attribute of which nobody said whether the image shows it."""

SPLITS: dict[str, int] = {"train": 0, "validation": 1, "test": 2}
"""The splits of a data set, by the numbers of CelebA's `list_eval_partition.txt`."""

_SHOWN_PROBLEMS = 5


@dataclass(frozen=True)
class FaceTable:
    """Images, labels and splits, a row an image.

    Attributes:
        attributes: k names, the columns of `labels`.
        paths: n paths.
        labels: `(n, k)` int8: 1 has it, 0 has it not, -1 unknown; float32, with values between, of
            a table that `distil_labels` returns.
        splits: `(n,)` int8: 0 train, 1 validation, 2 test.
        source: the file that the labels come from.
        lines: `(n,)` int: the line of each row in it, from 1.
        unit: what `lines` counts: `line`, or `row` in a file that has no lines.
    """

    attributes: tuple[str, ...]
    paths: tuple[Path, ...]
    labels: np.ndarray
    splits: np.ndarray
    source: Path
    lines: np.ndarray
    unit: str = "line"

    def __len__(self) -> int:
        return len(self.paths)

    def digest(self) -> str:
        """A hash of the paths' names and the labels, which tells one data set from another."""
        content = hashlib.sha256(self.labels.tobytes())
        for path in self.paths:
            content.update(os.fsencode(path.name) + b"\n")
        return content.hexdigest()[:16]

    def take(self, rows: Any) -> "FaceTable":
        """The rows that a NumPy index or mask over the n rows picks, in its order."""
        chosen = np.arange(len(self))[rows]
        return dataclasses.replace(
            self,
            paths=tuple(self.paths[row] for row in chosen),
            labels=self.labels[chosen],
            splits=self.splits[chosen],
            lines=self.lines[chosen],
        )

    def split(self, name: str) -> "FaceTable":
        """The rows of one split.

        Args:
            name: `train`, `validation` or `test`.

        Raises:
            InputError: an unknown split, or one without rows.
        """
        if name not in SPLITS:
            raise InputError(f"there is no split {name!r}; choose one of {', '.join(SPLITS)}.")
        rows = self.splits == SPLITS[name]
        if not rows.any():
            raise InputError(
                f"{self.source}: the {name} split has no images; give some of them that split."
            )
        return self.take(rows)


@dataclass(frozen=True)
class Problem:
    """Something wrong with one line of a file, or with the image it names.

    Attributes:
        file: the label or partition file.
        line: its line, from 1.
        message: what is wrong, and the remedy.
        unit: `row` where the file has no lines.
    """

    file: Path
    line: int
    message: str
    unit: str = "line"

    def __str__(self) -> str:
        return f"{self.file}, {self.unit} {self.line}: {self.message}"


def refuse(problems: Sequence[Problem]) -> None:
    """Raises an InputError that shows the first problems and counts them, if there are any."""
    if not problems:
        return
    shown = [str(problem) for problem in problems[:_SHOWN_PROBLEMS]]
    hidden = len(problems) - len(shown)
    if hidden:
        shown.append(f"... and {hidden} more.")
    raise InputError("\n".join([*shown, "Correct them, or go on without them: --skip-bad."]))
