"""Precision-recall and calibration curves, as paths in a square of 100 by 100."""

from dataclasses import dataclass

import numpy as np

from keras_faramtn.evaluation.calibration_error import reliability_curve

_POINTS = 60  # of a precision-recall curve; more would not be seen


@dataclass(frozen=True)
class Point:
    """A point of a curve in percent of the two axes, from the lower left corner.

    Attributes:
        x, y: in 0..100.
        radius: of its dot.
    """

    x: float
    y: float
    radius: float = 1.6


@dataclass(frozen=True)
class Curve:
    """A curve through points.

    Attributes:
        points: from left to right.
        marked: the points to draw as dots.
        level: the height of a horizontal line to compare with, or None.
        joined: whether a line joins the points.
    """

    points: tuple[Point, ...]
    marked: tuple[Point, ...] = ()
    level: float | None = None
    joined: bool = True

    @property
    def path(self) -> str:
        """The curve as the `d` of an SVG path, whose y axis points down."""
        return "M" + "L".join(f"{point.x:.4g} {100 - point.y:.4g}" for point in self.points)


def precision_recall(
    probabilities: np.ndarray, positive: np.ndarray, threshold: float
) -> Curve | None:
    """The precision-recall curve of one attribute; its dot is at the threshold.

    Args:
        probabilities: `(n,)` in 0..1.
        positive: bool `(n,)`.
        threshold: the attribute is predicted if its probability is above it.

    Returns:
        None if the labels are all equal.

    Example:
        >>> curve = precision_recall(np.array([0.9, 0.2]), np.array([True, False]), 0.5)
        >>> curve.path, curve.level
        ('M0 0L100 0L100 50', 50.0)
    """
    from sklearn.metrics import precision_recall_curve

    if not len(positive) or positive.all() or not positive.any():
        return None
    precision, recall, _ = precision_recall_curve(positive, probabilities)
    chosen = np.unique(np.linspace(0, len(recall) - 1, _POINTS).round().astype(int))[::-1]
    predicted = probabilities > threshold
    marked: tuple[Point, ...] = ()
    if predicted.any():
        correct = float((predicted & positive).sum())
        marked = (Point(100 * correct / positive.sum(), 100 * correct / predicted.sum(), 2.6),)
    return Curve(
        tuple(Point(100 * float(recall[i]), 100 * float(precision[i])) for i in chosen),
        marked,
        100 * float(positive.mean()),
    )


def reliability(probabilities: np.ndarray, positive: np.ndarray, *, joined: bool) -> Curve | None:
    """The calibration curve: the fraction of positive labels by mean predicted probability.

    The area of a dot is proportional to the number of predictions in its bin.

    Args:
        probabilities: `(n,)` in 0..1.
        positive: bool `(n,)`.
        joined: whether a line joins the points; of few images it would show chance only.

    Returns:
        None if there is no label.
    """
    if not len(positive):
        return None
    predicted, fraction, count = reliability_curve(probabilities, positive)
    radii = 0.8 + 3.2 * np.sqrt(count / count.max())
    points = tuple(
        Point(100 * float(x), 100 * float(y), round(float(radius), 2))
        for x, y, radius in zip(predicted, fraction, radii, strict=True)
    )
    return Curve(points, points, joined=joined)
