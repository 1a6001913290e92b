"""The rates of subgroups, of all their images and in each resample."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import scipy.sparse

from keras_faramtn.evaluation.bootstrap import resample_blocks
from keras_faramtn.evaluation.calibration_error import BINS, probability_bins
from keras_faramtn.evaluation.undefined import mean_of_defined, ratio

GAP_RATES = ("true_positive_rate", "false_positive_rate", "accuracy", "calibration_error")
"""The rates that are compared between subgroups."""

RATES = ("positive_rate", "accuracy", "balanced_accuracy", *GAP_RATES[:2], "calibration_error")
"""The rates of a subgroup."""

MIN_KNOWN, MIN_OF_CLASS = 30, 10
"""Rates of fewer images, or of fewer images of the class that they are about, are not compared."""


class SubgroupImages(NamedTuple):
    """What is needed of the m images of a subgroup to compute the rates of k attributes.

    Attributes:
        rows: `(m,)`: their positions among all images.
        known, positives: `(k,)`: the numbers of known labels and of yes labels.
        indicators: `(m, 4 k)`, 0 or 1: positive, negative, true positive, false positive.
        errors: sparse `(BINS k, m)`: probability minus label, in the bin of the probability.
        variances: `(BINS, k)`: of the sums of these errors, for a perfectly calibrated network.
    """

    rows: np.ndarray
    known: np.ndarray
    positives: np.ndarray
    indicators: np.ndarray
    errors: scipy.sparse.csr_array
    variances: np.ndarray

    def enough(self) -> dict[str, np.ndarray]:
        """For each of `RATES` `(k,)`: whether it may be compared with other subgroups."""
        known = self.known >= MIN_KNOWN
        positives = known & (self.positives >= MIN_OF_CLASS)
        negatives = known & (self.known - self.positives >= MIN_OF_CLASS)
        return {
            "positive_rate": known,
            "accuracy": known,
            "balanced_accuracy": positives & negatives,
            "true_positive_rate": positives,
            "false_positive_rate": negatives,
            "calibration_error": positives & negatives,
        }

    def chance_error(self) -> np.ndarray:
        """`(k,)`: the calibration error to expect of a perfectly calibrated network.

        The sum of its errors in a bin is nearly normal; the mean absolute value is the square root
        of 2 / pi times the standard deviation.
        """
        expected = np.sqrt(2 / np.pi * self.variances).sum(axis=0)
        return ratio(expected, self.known.astype("float64"))


def subgroup_images(
    members: np.ndarray, probabilities: np.ndarray, labels: np.ndarray, predicted: np.ndarray
) -> SubgroupImages:
    """The images of one subgroup.

    Args:
        members: bool `(n,)`: whether each image is in the subgroup.
        probabilities: float64 `(n, k)` in 0..1.
        labels: `(n, k)`: 1 yes, 0 no, -1 unknown.
        predicted: bool `(n, k)`.
    """
    rows = np.flatnonzero(members)
    probabilities, labels, predicted = probabilities[rows], labels[rows], predicted[rows]
    positive, negative, known = labels == 1, labels == 0, labels >= 0
    indicators = (positive, negative, positive & predicted, negative & predicted)
    image, column = np.nonzero(known)
    found = probabilities[image, column]
    cells = probability_bins(found) + BINS * column
    shape = (BINS * labels.shape[1], len(rows))
    errors = scipy.sparse.csr_array((found - labels[image, column], (cells, image)), shape)
    variances = np.bincount(cells, found * (1 - found), shape[0]).reshape(-1, BINS).T
    return SubgroupImages(
        rows,
        known.sum(axis=0),
        positive.sum(axis=0),
        np.concatenate(indicators, axis=1).astype("float32"),
        errors,
        variances,
    )


def subgroup_rates(subgroups: Sequence[SubgroupImages], images: int) -> dict[str, np.ndarray]:
    """Each of `RATES` `(subgroups, k)`, NaN where not defined; `images` is n."""
    once = np.ones((1, images), "float32")
    rates = by_rate([_rates(*_sums(each, once)) for each in subgroups])
    return {rate: values[:, 0] for rate, values in rates.items()}


def resampled_rates(
    subgroups: Sequence[SubgroupImages],
    in_means: Mapping[str, np.ndarray],
    images: int,
    resamples: int,
    progress: Callable[[Sequence[int]], Iterable[int]],
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The rates in each resample of the images, as `subgroup_scores` describes it.

    Args:
        subgroups: their images.
        in_means: by rate bool `(k,)`: the attributes that its means are over.
        images: n, the number of images.
        resamples: the number of resamples.
        progress: wraps the iteration over blocks of resamples.

    Returns:
        Each of `GAP_RATES` `(subgroups, resamples, k)`, and their means `(subgroups, resamples)`.
    """
    rng = np.random.default_rng(0)
    samples, means = [], []
    for counts in resample_blocks(images, resamples, progress=progress):
        sums = [_sums(each, counts) for each in subgroups]
        rates = by_rate([_rates(*each) for each in sums])
        means.append(
            {rate: mean_of_defined(rates[rate][..., in_means[rate]]) for rate in GAP_RATES}
        )
        smoothed = by_rate(
            [_rates(_with_pseudo_images(each, rng), errors) for each, errors in sums]
        )
        samples.append(smoothed | {"calibration_error": rates["calibration_error"]})
    return _joined(samples), _joined(means)


def by_rate(by_subgroup: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """For each rate an array whose first axis is the subgroups."""
    return {rate: np.stack([each[rate] for each in by_subgroup]) for rate in by_subgroup[0]}


def _sums(images: SubgroupImages, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums over the subgroup's images, each counted as often as `counts` `(b, n)` has it.

    Returns:
        `(4, b, k)`: positives, negatives, true and false positives; and `(b, k)`, the sum over the
        bins of the absolute sum of errors.
    """
    counts = counts[:, images.rows]
    numbers = (counts @ images.indicators).astype("float64")
    errors = np.abs(images.errors @ counts.T).reshape(-1, BINS, len(counts)).sum(axis=1).T
    return np.stack(np.split(numbers, 4, axis=1)), errors


def _rates(numbers: np.ndarray, errors: np.ndarray) -> dict[str, np.ndarray]:
    """Each of `RATES` `(b, k)` from `_sums`; NaN where not defined."""
    positives, negatives, true_positives, false_positives = numbers
    known = positives + negatives
    true_positive_rate = ratio(true_positives, positives)
    false_positive_rate = ratio(false_positives, negatives)
    return {
        "positive_rate": ratio(positives, known),
        "accuracy": ratio(true_positives + negatives - false_positives, known),
        "balanced_accuracy": (true_positive_rate + 1 - false_positive_rate) / 2,
        "true_positive_rate": true_positive_rate,
        "false_positive_rate": false_positive_rate,
        "calibration_error": ratio(errors, known),
    }


def _with_pseudo_images(numbers: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """`numbers` of `_sums` with a random number of images added to each of the four outcomes."""
    found, missed, false, rejected = rng.gamma(0.5, size=numbers.shape)
    return numbers + np.stack([found + missed, false + rejected, found, false])


def _joined(blocks: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {rate: np.concatenate([each[rate] for each in blocks], axis=1) for rate in GAP_RATES}
