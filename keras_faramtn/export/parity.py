"""Parity: the difference between an exported file's predictions and the trained model's."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_faramtn.attributes import DEFAULT_THRESHOLD


@dataclass(frozen=True)
class Parity:
    """The difference between an exported file's probabilities and the trained model's.

    Attributes:
        images: the number of images compared.
        max_difference: the largest absolute difference of a probability.
        mean_difference: the mean absolute difference.
        decision_agreement: the fraction of equal yes/no decisions at the model's thresholds, over
            all attributes of all images.
        tolerance: the largest `max_difference` that passes.
        min_decision_agreement: the smallest `decision_agreement` that passes.
    """

    images: int
    max_difference: float
    mean_difference: float
    decision_agreement: float
    tolerance: float
    min_decision_agreement: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether difference and agreement are within their bounds. NaN never passes."""
        return (
            self.max_difference <= self.tolerance
            and self.decision_agreement >= self.min_decision_agreement
        )


def measure_parity(
    expected: np.ndarray,
    actual: np.ndarray,
    tolerance: float,
    min_decision_agreement: float = 0.0,
    thresholds: float | Sequence[float] = DEFAULT_THRESHOLD,
) -> Parity:
    """Compares the probabilities of an exported file with those of the trained model.

    Example:
        >>> import numpy as np
        >>> expected, actual = np.array([[0.25, 0.75]]), np.array([[0.25, 0.875]])
        >>> parity = measure_parity(expected, actual, tolerance=0.01)
        >>> parity.max_difference, parity.decision_agreement, parity.passed
        (0.125, 1.0, False)

    Args:
        expected, actual: floats `(images, attributes)` in 0..1, for the same images.
        tolerance: the largest difference that passes.
        min_decision_agreement: the smallest fraction of equal decisions that passes.
        thresholds: an attribute is predicted if its probability is above its threshold; one for
            all attributes, or one for each.

    Returns:
        The comparison. NaN on either side, or a different shape, counts as an infinite difference.
    """
    bounds = {"tolerance": tolerance, "min_decision_agreement": min_decision_agreement}
    if expected.shape != actual.shape:
        return Parity(len(expected), float("inf"), float("inf"), 0.0, **bounds)
    difference = np.abs(expected.astype("float64") - actual.astype("float64"))
    difference = np.where(np.isnan(difference), np.inf, difference)
    limits = np.asarray(thresholds)
    agreement = np.mean((expected > limits) == (actual > limits))
    return Parity(
        images=len(expected),
        max_difference=float(difference.max()),
        mean_difference=float(difference.mean()),
        decision_agreement=float(agreement),
        **bounds,
    )
