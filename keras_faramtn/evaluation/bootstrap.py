"""Scores under resampling of the images: how far would they differ on other faces?

A resample of n images with replacement is a count for each image. All scores here take such
counts as weights, so a thousand resamples of all networks are a few matrix products, and two
networks seen through the same counts are compared image by image.
"""

import numpy as np

from keras_faramtn.attributes import DEFAULT_THRESHOLD

SCORES = ("accuracy", "balanced_accuracy", "average_precision")
"""The scores that `weighted_scores` gives, each a mean over the attributes."""

_CHUNK = 1 << 22  # weights handled at a time: the largest temporary array has some 30 MB


def resample_counts(images: int, resamples: int, seed: int = 0) -> np.ndarray:
    """How often each image is drawn, in each of several resamples.

    Args:
        images: n, how many there are, and how many are drawn with replacement.
        resamples: how many times.
        seed: of the draw.

    Returns:
        `(resamples, n)` float32, whole numbers; each row sums to n.
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

    With counts of one they are the means that `score` gives. An attribute of which a resample
    has no known label (for the last two scores: not both a yes and a no) is left out of its mean.

    Args:
        probabilities: `(seeds, n, k)` in 0..1: what networks that differ in their seed say.
        labels: `(n, k)`: 1 yes, 0 no, -1 unknown.
        counts: `(resamples, n)`, how often each image counts, as `resample_counts` gives it.
        threshold: a probability above it says yes.

    Returns:
        From each of `SCORES` to `(resamples,)` float64, its mean over the seeds; NaN where no
        attribute has the score.
    """
    # 0/1 sums up to 2**24 are exact in float32, the fastest product there is.
    yes, no = (labels == 1).astype("float32"), (labels == 0).astype("float32")
    said_yes = (probabilities > threshold).sum(axis=0).astype("float32")
    said_no = len(probabilities) - said_yes
    parts = []
    step = max(1, _CHUNK // max(1, counts.shape[1]))
    for first in range(0, len(counts), step):
        chunk = counts[first : first + step].astype("float32", copy=False)
        right_yes, right_no, all_yes, all_no = (
            (chunk @ each).astype("float64") for each in (said_yes * yes, said_no * no, yes, no)
        )
        seeds = len(probabilities)
        accuracy = _ratio(right_yes + right_no, seeds * (all_yes + all_no))
        recalls = _ratio(right_yes, seeds * all_yes), _ratio(right_no, seeds * all_no)
        precision = np.mean(
            [_average_precisions(each, labels, chunk) for each in probabilities], axis=0
        )
        parts.append([_mean_of_defined(s) for s in (accuracy, sum(recalls) / 2, precision)])
    return dict(zip(SCORES, np.concatenate(parts, axis=1), strict=True))


def interval(samples: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The bootstrap's percentile interval.

    Args:
        samples: a statistic in each resample; NaN, where it isn't defined, is left out.
        level: the share of the resamples that the interval holds.

    Returns:
        Its ends; NaN where no sample is defined.
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
    by_image = np.ascontiguousarray(counts.T)  # sums run down the images, a resample a lane
    precisions = np.full((len(counts), labels.shape[1]), np.nan)
    for column in range(labels.shape[1]):
        known = np.flatnonzero(labels[:, column] >= 0)
        order = known[np.argsort(-probabilities[known, column], kind="stable")]
        yes = np.flatnonzero(labels[order, column] == 1)
        if not len(yes):
            continue
        weights = by_image[order]
        hits = np.cumsum(weights[yes], axis=0)
        answered = np.cumsum(weights, axis=0)
        # The precision where a yes is found; images of one probability are found together.
        falling = -probabilities[order, column]
        ends = np.searchsorted(falling, falling[yes], side="right") - 1
        precision = hits[np.searchsorted(yes, ends, side="right") - 1] / np.maximum(
            answered[ends], 1
        )
        summed = np.einsum("ij,ij->j", weights[yes], precision, dtype="float64")
        both = (hits[-1] > 0) & (hits[-1] < answered[-1])
        precisions[both, column] = summed[both] / hits[-1][both]
    return precisions


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)


def _mean_of_defined(by_attribute: np.ndarray) -> np.ndarray:
    defined = np.isfinite(by_attribute)
    return _ratio(np.where(defined, by_attribute, 0).sum(axis=1), defined.sum(axis=1).astype(float))
