"""Parts of a data set that comes without them: the same ones each time, no person in two."""

import hashlib
from collections import Counter
from collections.abc import Sequence

import numpy as np

from keras_faramtn.data.table import SPLITS

_SHARE = 0.1


def assign_splits(people: Sequence[str]) -> np.ndarray:
    """Deals rows to the splits: a tenth to test, a tenth to validation, the rest to train.

    Args:
        people: who each of n rows shows; images of one person stay together. Where that isn't
            known, a different name for each row.

    Returns:
        `(n,)` int8, numbers of `SPLITS`. They depend on the names alone, not on the rows' order.
    """
    splits = np.full(len(people), SPLITS["train"], "int8")
    wanted = _tenth(len(people))
    for split in ("test", "validation"):
        left = np.flatnonzero(splits == SPLITS["train"])
        splits[left[_draw([people[row] for row in left], wanted)]] = SPLITS[split]
    return splits


def hold_out(people: Sequence[str]) -> np.ndarray:
    """A tenth of the rows, chosen by the names alone; images of one person stay together.

    Args:
        people: who each of n rows shows.

    Returns:
        `(n,)` bool.
    """
    return _draw(people, _tenth(len(people)))


def _tenth(rows: int) -> int:
    return max(1, round(_SHARE * rows)) if rows >= 3 else 0


def _draw(people: Sequence[str], wanted: int) -> np.ndarray:
    """Whole persons, in the order of a hash of their names, as long as they fit into `wanted`."""
    images = Counter(people)
    room = wanted
    drawn = set()
    for person in sorted(images, key=lambda name: hashlib.sha256(name.encode()).digest()):
        if images[person] <= room:
            drawn.add(person)
            room -= images[person]
    return np.array([person in drawn for person in people], dtype=bool)
