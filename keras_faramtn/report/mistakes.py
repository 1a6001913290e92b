"""The worst mistakes of a model: confident predictions that contradict the label."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.special import logit

SHOWN = 24
"""The number of mistakes of each kind, and of suspected labels, that a page shows."""


@dataclass(frozen=True)
class Case:
    """One prediction of one attribute in one image.

    Attributes:
        row: of the image.
        column: of the attribute.
        badness: the larger, the earlier it is shown.
    """

    row: int
    column: int
    badness: float


def worst_mistakes(
    probabilities: np.ndarray,
    labels: np.ndarray,
    thresholds: np.ndarray,
    *,
    label: int,
    limit: int = SHOWN,
) -> list[Case]:
    """The most confident wrong predictions, spread over attributes and images (`spread`).

    A prediction is the more confident, the further the logit of its probability is from that of
    the threshold.

    Args:
        probabilities: `(n, k)` in 0..1.
        labels: `(n, k)`: 1 yes, 0 no, -1 unknown.
        thresholds: `(k,)`; an attribute is predicted if its probability is above its threshold.
        label: 0 for false positives, 1 for false negatives.
        limit: the largest number of mistakes.

    Example:
        >>> probabilities = np.array([[0.9, 0.2], [0.8, 0.6], [0.7, 0.4]])
        >>> labels = np.array([[0, 0], [0, 0], [-1, 1]])
        >>> mistakes = worst_mistakes(probabilities, labels, np.full(2, 0.5), label=0)
        >>> [(mistake.row, mistake.column) for mistake in mistakes]
        [(0, 0), (1, 1)]
    """
    predicted = probabilities > thresholds
    wrong = (labels == label) & (predicted != (label == 1))
    margins = np.abs(_logits(probabilities) - _logits(thresholds))
    return spread(
        (
            [Case(int(row), column, float(margins[row, column])) for row in rows]
            for column, rows in _worst_rows(wrong, margins, limit)
        ),
        limit,
    )


def spread(by_attribute: Iterable[list[Case]], limit: int) -> list[Case]:
    """Chooses cases so that no attribute dominates, and each image occurs once.

    Every attribute has its first case chosen before any has its second, the worst first.

    Args:
        by_attribute: the cases of each attribute, the worst first.
        limit: the largest number of cases.

    Example:
        >>> smiling = [Case(0, 0, 9.0), Case(1, 0, 8.0)]
        >>> young = [Case(0, 1, 3.0), Case(2, 1, 2.0)]
        >>> [(case.row, case.column) for case in spread([smiling, young], limit=2)]
        [(0, 0), (2, 1)]
    """
    waiting = [list(cases) for cases in by_attribute]
    chosen: list[Case] = []
    seen: set[int] = set()
    while len(chosen) < limit and any(waiting):
        for cases in sorted(filter(None, waiting), key=lambda cases: -cases[0].badness):
            while cases and cases[0].row in seen:
                cases.pop(0)
            if cases and len(chosen) < limit:
                chosen.append(cases.pop(0))
                seen.add(chosen[-1].row)
    return chosen


def _worst_rows(
    wrong: np.ndarray, margins: np.ndarray, limit: int
) -> Iterable[tuple[int, list[int]]]:
    """For each attribute the rows of its worst mistakes, more than are shown of all attributes."""
    for column in range(wrong.shape[1]):
        rows = np.flatnonzero(wrong[:, column])
        order = np.argsort(-margins[rows, column], kind="stable")
        yield column, rows[order][: 4 * limit].tolist()


def _logits(probabilities: np.ndarray) -> np.ndarray:
    return logit(np.clip(probabilities.astype("float64"), 1e-7, 1 - 1e-7))
