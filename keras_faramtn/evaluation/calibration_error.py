"""How far predicted probabilities are from the fraction of images that have the attribute."""

import numpy as np

BINS = 15
"""The number of bins, as in Guo et al."""

_EDGES = np.linspace(0, 1, BINS + 1)


def expected_calibration_error(probabilities: np.ndarray, positive: np.ndarray) -> float:
    """The expected calibration error of the probability of the positive class.

    Images are sorted into bins by their probability. The error is the mean over all images of the
    absolute difference between the mean probability and the fraction of positive images of their
    bin (Guo et al., ICML 2017, equation 3, for the probability of "yes" instead of that of the
    predicted class). The bins have equal width, as there, so that networks, subgroups and
    resamples of images have the same bins; bins with equal numbers of images would depend on the
    predictions. With few images, chance alone makes the error larger than 0.

    Args:
        probabilities: `(n,)` in 0..1.
        positive: `(n,)`, boolean or 0 and 1.

    Returns:
        The error in 0..1; NaN if there is no image.

    Example:
        >>> expected_calibration_error(np.array([0.75, 0.75, 0.75, 0.75]), np.array([1, 1, 1, 0]))
        0.0
        >>> expected_calibration_error(np.array([1.0, 1.0]), np.array([1, 0]))
        0.5
    """
    predicted, fractions, counts = reliability_curve(probabilities, positive)
    if not len(counts):
        return float("nan")
    return float(np.average(np.abs(fractions - predicted), weights=counts))


def reliability_curve(
    probabilities: np.ndarray, positive: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predicted and actual frequency, by bin of the probability.

    Args:
        probabilities, positive: as in `expected_calibration_error`.

    Returns:
        For each bin that isn't empty, in ascending order: the mean probability and the fraction of
        positive images, float64 in 0..1, and the number of images, int.

    Example:
        >>> predicted, fractions, counts = reliability_curve(
        ...     np.array([0.25, 0.25, 0.75]), np.array([0, 1, 1])
        ... )
        >>> predicted.tolist(), fractions.tolist(), counts.tolist()
        ([0.25, 0.75], [0.5, 1.0], [2, 1])
    """
    probabilities = np.asarray(probabilities, "float64")
    bins = probability_bins(probabilities)
    counts = np.bincount(bins, minlength=BINS)
    filled = counts > 0
    sums = [
        np.bincount(bins, np.asarray(values, "float64"), BINS)[filled]
        for values in (probabilities, positive)
    ]
    return sums[0] / counts[filled], sums[1] / counts[filled], counts[filled]


def probability_bins(probabilities: np.ndarray) -> np.ndarray:
    """The bin of each probability, 0..`BINS - 1`; a bin includes its upper end, as in Guo et al.

    Example:
        >>> probability_bins(np.array([0.0, 0.1, 1.0])).tolist()
        [0, 1, 14]
    """
    return np.searchsorted(_EDGES[1:-1], np.asarray(probabilities, "float64"))
