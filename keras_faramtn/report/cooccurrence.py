"""Which attributes occur together, in the labels and in the predictions."""

from dataclasses import dataclass

import numpy as np

from keras_faramtn.evaluation.bootstrap import interval, resample_counts

_RESAMPLES = 500


@dataclass(frozen=True)
class Pair:
    """Two attributes whose co-occurrence differs between predictions and labels.

    Attributes:
        columns: of the two attributes.
        labels, predictions: the correlation (phi) of the two, in -1..1.
        interval: the 95 % bootstrap interval of the difference, predictions minus labels.
    """

    columns: tuple[int, int]
    labels: float
    predictions: float
    interval: tuple[float, float]

    @property
    def difference(self) -> float:
        """Predictions minus labels: above 0, the two are predicted together too often."""
        return self.predictions - self.labels


def correlations(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The correlation of each pair of yes/no variables, phi, over the images that know both.

    Args:
        values: bool `(n, k)`.
        known: bool `(n, k)`; other values are ignored.

    Returns:
        `(k, k)` float64 in -1..1; NaN where one of the two does not vary.

    Example:
        >>> values = np.array([[1, 1], [1, 1], [0, 0], [0, 1]], bool)
        >>> phi = correlations(values, np.ones_like(values))
        >>> round(float(phi[0, 1]), 4)
        0.5774
    """
    seen = known.astype("float32")  # exact for counts of images
    yes = values * seen
    both, first, count = yes.T @ yes, yes.T @ seen, seen.T @ seen
    return _phi(both, first, first.T, count)


def largest_differences(
    predicted: np.ndarray, labels: np.ndarray, count: int
) -> tuple[list[Pair], list[Pair]]:
    """The pairs that are predicted together too often, and those too rarely, largest first.

    Args:
        predicted: bool `(n, k)`.
        labels: `(n, k)`: 1 yes, 0 no, -1 unknown.
        count: the largest number of pairs in each of the two lists.

    Returns:
        Pairs whose interval excludes zero.
    """
    known = labels >= 0
    of_labels, of_predictions = correlations(labels == 1, known), correlations(predicted, known)
    difference = of_predictions - of_labels
    first, second = np.triu_indices(len(difference), 1)
    values = difference[first, second]
    order = [i for i in np.argsort(values, kind="stable") if not np.isnan(values[i])]
    chosen = list(dict.fromkeys([*order[:count], *order[::-1][:count]]))
    columns = np.column_stack([first, second])[chosen]
    samples = _resampled(predicted, labels, columns)
    pairs = [
        Pair(
            (int(a), int(b)),
            float(of_labels[a, b]),
            float(of_predictions[a, b]),
            interval(sample),
        )
        for (a, b), sample in zip(columns, samples, strict=True)
    ]
    often = [pair for pair in pairs if pair.interval[0] > 0]
    rarely = [pair for pair in pairs if pair.interval[1] < 0]
    return (
        sorted(often, key=lambda pair: -pair.difference)[:count],
        sorted(rarely, key=lambda pair: pair.difference)[:count],
    )


def _resampled(predicted: np.ndarray, labels: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The difference of the correlations of each pair, `(pairs, resamples)`."""
    counts = resample_counts(len(labels), _RESAMPLES)
    a, b = columns[:, 0], columns[:, 1]
    seen = (labels[:, a] >= 0) & (labels[:, b] >= 0)

    def phi(values: np.ndarray) -> np.ndarray:
        first, second = values[:, a] & seen, values[:, b] & seen
        masks = (first & second, first, second, seen)
        return _phi(*(counts @ mask.astype("float32") for mask in masks))

    return (phi(predicted) - phi(labels == 1)).T


def _phi(both: np.ndarray, first: np.ndarray, second: np.ndarray, count: np.ndarray) -> np.ndarray:
    """The correlation from the numbers of images: with both, the first, the second, and all."""
    both, first, second, count = (
        np.asarray(each, "float64") for each in (both, first, second, count)
    )
    variance = first * (count - first) * second * (count - second)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(variance > 0, (both * count - first * second) / np.sqrt(variance), np.nan)
