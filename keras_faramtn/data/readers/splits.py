"""Splits for a data set without official ones: reproducible, with each person in one split."""

import hashlib
from collections import Counter
from collections.abc import Sequence

import numpy as np

from keras_faramtn.data.table import SPLITS

_FRACTION = 0.1  # of the rows, for validation and for test


def assign_splits(people: Sequence[str]) -> np.ndarray:
    """Assigns rows to splits: a tenth each to test and validation, the others to train.

    Args:
        people: the person in each of the n rows; all rows of a person get the same split. If the
            person is unknown, use a name that is unique to the row.

    Returns:
        int8 `(n,)`, numbers as in `SPLITS`. They depend only on the names, not on the row order.

    Example:
        >>> assign_splits([f"person {number}" for number in range(10)]).tolist()
        [0, 0, 0, 2, 0, 0, 0, 0, 0, 1]
    """
    splits = np.full(len(people), SPLITS["train"], "int8")
    wanted = _tenth(len(people))
    for split in ("test", "validation"):
        remaining = np.flatnonzero(splits == SPLITS["train"])
        chosen = _choose([people[row] for row in remaining.tolist()], wanted)
        splits[remaining[chosen]] = SPLITS[split]
    return splits


def hold_out(people: Sequence[str]) -> np.ndarray:
    """Chooses a tenth of the rows; all rows of a person are chosen, or none.

    Args:
        people: the person in each of the n rows.

    Returns:
        bool `(n,)`. It depends only on the names, not on the row order.

    Example:
        >>> hold_out([f"person {number}" for number in range(20)]).sum()
        np.int64(2)
    """
    return _choose(people, _tenth(len(people)))


def _tenth(rows: int) -> int:
    return max(1, round(_FRACTION * rows)) if rows >= 3 else 0


def _choose(people: Sequence[str], wanted: int) -> np.ndarray:
    """Chooses people in the order of a hash of their names, while their rows fit in `wanted`."""
    rows_of = Counter(people)
    room = wanted
    chosen = set()
    for person in sorted(rows_of, key=lambda name: hashlib.sha256(name.encode()).digest()):
        if rows_of[person] <= room:
            chosen.add(person)
            room -= rows_of[person]
    return np.array([person in chosen for person in people], dtype=bool)
