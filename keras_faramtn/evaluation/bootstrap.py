"""Scores under resampling of the images: how much would they vary with different faces?

A resample of n images with replacement is a count for each image. All scores here take such counts
as weights, so a thousand resamples of every network are a few matrix products, and two networks
scored with the same counts are compared image by image.
"""

import numpy as np

from keras_faramtn.attributes import DEFAULT_THRESHOLD

SCORES = ("accuracy", "balanced_accuracy", "average_precision")
"""The scores that `weighted_scores` returns, each a mean over the attributes."""

_CHUNK = 1 << 22  # weights processed at a time: the largest temporary array has about 30 MB


def resample_counts(images: int, resamples: int, seed: int = 0) -> np.ndarray:
    """Draws resamples of the images: how often each image occurs in each resample.

    Args:
        images: n, the number of images, and the number drawn with replacement.
        resamples: the number of resamples.
        seed: the seed of the random draw.

    Returns:
        `(resamples, n)` float32 integers; each row sums to n.

    Example:
        >>> counts = resample_counts(images=5, resamples=3)
        >>> counts.shape, counts.sum(axis=1).tolist()
        ((3, 5), [5.0, 5.0, 5.0])
    """
    rng = np.random.default_rng(seed)
    counts = np.empty((resamples, images), "float32")
    for row in counts:
        row[:] = np.bincount(rng.integers(0, images, images), minlength=images)
    return counts


def weighted_scores(
    probabilities: np.ndarray,
    labels: np.ndarray,
    counts: np.ndarray,
    threshold: float = DEFAULT_THRESHOLD,
) -> dict[str, np.ndarray]:
    """Mean accuracy, balanced accuracy and average precision for each row of counts.

    With all counts equal to one they are the means that `score` returns. An attribute without a
    known label in a resample (for balanced accuracy and average precision: without both a yes and a
    no label) is excluded from that resample's mean.

    Args:
        probabilities: `(seeds, n, k)` in 0..1: predictions of networks that differ in their seed.
        labels: `(n, k)`: 1 yes, 0 no, -1 unknown.
        counts: `(resamples, n)`, the weight of each image, as returned by `resample_counts`.
        threshold: an attribute is predicted if its probability is above it.

    Returns:
        For each of `SCORES`, `(resamples,)` float64, the mean over the seeds; NaN where the score
        is not defined for any attribute.

    Example:
        >>> probabilities = np.array([[[0.9], [0.8], [0.1]]])
        >>> labels = np.array([[1], [0], [0]])
        >>> scores = weighted_scores(probabilities, labels, np.array([[1, 1, 1], [2, 0, 1]]))
        >>> scores["balanced_accuracy"].tolist()
        [0.75, 1.0]
    """
    # Sums of zeros and ones are exact in float32 up to 2**24, and float32 products are fastest.
    positive, negative = (labels == 1).astype("float32"), (labels == 0).astype("float32")
    predicted_positive = (probabilities > threshold).sum(axis=0).astype("float32")
    predicted_negative = len(probabilities) - predicted_positive
    chunks = []
    step = max(1, _CHUNK // max(1, counts.shape[1]))
    for first in range(0, len(counts), step):
        chunk = counts[first : first + step].astype("float32", copy=False)
        true_positives, true_negatives, positives, negatives = (
            (chunk @ each).astype("float64")
            for each in (
                predicted_positive * positive,
                predicted_negative * negative,
                positive,
                negative,
            )
        )
        seeds = len(probabilities)
        accuracy = _ratio(true_positives + true_negatives, seeds * (positives + negatives))
        positive_recall = _ratio(true_positives, seeds * positives)
        negative_recall = _ratio(true_negatives, seeds * negatives)
        balanced_accuracy = (positive_recall + negative_recall) / 2
        precision = np.mean(
            [_average_precisions(each, labels, chunk) for each in probabilities], axis=0
        )
        chunks.append([_mean_of_defined(each) for each in (accuracy, balanced_accuracy, precision)])
    return dict(zip(SCORES, np.concatenate(chunks, axis=1), strict=True))


def interval(samples: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The percentile interval of the bootstrap.

    Args:
        samples: a statistic's value in each resample; NaN values (not defined) are ignored.
        level: the fraction of the resamples inside the interval.

    Returns:
        The lower and upper end; NaN if no sample is defined.

    Example:
        >>> low, high = interval(np.arange(1001))
        >>> round(low), round(high)
        (25, 975)
    """
    defined = samples[np.isfinite(samples)]
    if not len(defined):
        return np.nan, np.nan
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _average_precisions(
    probabilities: np.ndarray, labels: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    """`(resamples, k)`: scikit-learn's average precision with the counts as sample weights."""
    by_image = np.ascontiguousarray(counts.T)  # (n, resamples): sums run over the first axis
    precisions = np.full((len(counts), labels.shape[1]), np.nan)
    for column in range(labels.shape[1]):
        known = np.flatnonzero(labels[:, column] >= 0)
        order = known[np.argsort(-probabilities[known, column], kind="stable")]
        positives = np.flatnonzero(labels[order, column] == 1)
        if not len(positives):
            continue
        weights = by_image[order]
        hits = np.cumsum(weights[positives], axis=0)
        retrieved = np.cumsum(weights, axis=0)
        # The precision where a positive is retrieved; equal probabilities are retrieved together.
        falling = -probabilities[order, column]
        ends = np.searchsorted(falling, falling[positives], side="right") - 1
        precision = hits[np.searchsorted(positives, ends, side="right") - 1] / np.maximum(
            retrieved[ends], 1
        )
        total = np.einsum("ij,ij->j", weights[positives], precision, dtype="float64")
        both = (hits[-1] > 0) & (hits[-1] < retrieved[-1])
        precisions[both, column] = total[both] / hits[-1][both]
    return precisions


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    undefined = np.full(numerator.shape, np.nan)
    return np.divide(numerator, denominator, out=undefined, where=denominator > 0)


def _mean_of_defined(by_attribute: np.ndarray) -> np.ndarray:
    defined = np.isfinite(by_attribute)
    return _ratio(np.where(defined, by_attribute, 0).sum(axis=1), defined.sum(axis=1).astype(float))
