"""Parts of a data set that comes without them: the same ones each time, no person in two."""

import hashlib
from collections import Counter
from collections.abc import Sequence

import numpy as np

from keras_faramtn.data.faces import PARTS

_SHARE = 0.1


def deal_parts(people: Sequence[str]) -> np.ndarray:
    """Deals rows to the parts: a tenth to test, a tenth to validation, the rest to train.

    Args:
        people: who each of n rows shows; pictures of one person stay together. Where that isn't
            known, a different name for each row.

    Returns:
        `(n,)` int8, numbers of `PARTS`. They depend on the names alone, not on the rows' order.
    """
    parts = np.full(len(people), PARTS["train"], "int8")
    wanted = _tenth(len(people))
    for part in ("test", "validation"):
        left = np.flatnonzero(parts == PARTS["train"])
        parts[left[_draw([people[row] for row in left], wanted)]] = PARTS[part]
    return parts


def hold_out(people: Sequence[str]) -> np.ndarray:
    """A tenth of the rows, chosen by the names alone; pictures of one person stay together.

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
    pictures = Counter(people)
    room = wanted
    drawn = set()
    for person in sorted(pictures, key=lambda name: hashlib.sha256(name.encode()).digest()):
        if pictures[person] <= room:
            drawn.add(person)
            room -= pictures[person]
    return np.array([person in drawn for person in people], dtype=bool)
