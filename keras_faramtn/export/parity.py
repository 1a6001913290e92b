"""Whether an exported file gives what the trained model gives, number by number."""

from dataclasses import dataclass

import numpy as np

from keras_faramtn.attributes import DEFAULT_THRESHOLD


@dataclass(frozen=True)
class Parity:
    """How near an exported file's probabilities are to the trained model's.

    Attributes:
        images: the number of images compared.
        largest: the largest difference of two probabilities.
        mean: the mean difference.
        agreement: the share of yes/no decisions, of all attributes of all images, that are alike.
        tolerance: the largest difference that passes.
        min_agreement: the smallest agreement that passes.
    """

    images: int
    largest: float
    mean: float
    agreement: float
    tolerance: float
    min_agreement: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether difference and agreement are within their bounds; NaN never is."""
        return self.largest <= self.tolerance and self.agreement >= self.min_agreement


def compare(
    expected: np.ndarray, actual: np.ndarray, tolerance: float, min_agreement: float = 0.0
) -> Parity:
    """Compares the probabilities of an exported file with those of the trained model.

    Args:
        expected, actual: `(images, attributes)` in 0..1, of the same images.
        tolerance: the largest difference that passes.
        min_agreement: the smallest share of equal decisions that passes.

    Returns:
        The comparison. A NaN on either side, or another shape, is an infinite difference.
    """
    if expected.shape != actual.shape:
        return Parity(len(expected), float("inf"), float("inf"), 0.0, tolerance, min_agreement)
    difference = np.abs(expected.astype("float64") - actual.astype("float64"))
    difference = np.where(np.isnan(difference), np.inf, difference)
    agreement = np.mean((expected > DEFAULT_THRESHOLD) == (actual > DEFAULT_THRESHOLD))
    return Parity(
        images=len(expected),
        largest=float(difference.max()),
        mean=float(difference.mean()),
        agreement=float(agreement),
        tolerance=tolerance,
        min_agreement=min_agreement,
    )
