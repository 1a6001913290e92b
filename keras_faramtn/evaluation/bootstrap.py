"""Scores under resampling of the images: how much would they vary with different faces?

A resample of n images with replacement is a count for each image. All scores here take such counts
as weights, so a thousand resamples of a network are a few matrix products, and two networks scored
with the same counts are compared image by image.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.evaluation.calibration_error import BINS, probability_bins
from keras_faramtn.evaluation.scores import SCORES, Scores, majority_classes
from keras_faramtn.evaluation.undefined import mean_of_defined, ratio

RESAMPLES = 1000
"""The number of resamples of the images."""

LEVEL = 0.95
"""The fraction of the resamples inside an interval."""

_BLOCK = 1 << 22  # weights processed at a time: the largest temporary arrays have about 16 MB

_BIASED = ("calibration_error", "average_precision")  # the scores that repeated images make larger

Interval = tuple[float, float]
"""The lower and the upper end."""


@dataclass(frozen=True)
class Intervals:
    """The bootstrap intervals of an evaluation's scores.

    The keys of each mapping by score are those of `SCORES`; None for a score that isn't defined.

    Attributes:
        mean: the intervals of the means over all attributes, by score.
        varying: those over the attributes that vary, by score, and that of the `gain`.
        groups: for each group those of the means over its attributes, by score.
        attributes: for each attribute those of its scores.
        resamples: the number of resamples.
        level: the fraction of the resamples inside an interval.
    """

    mean: Mapping[str, Interval | None]
    varying: Mapping[str, Interval | None]
    groups: Mapping[str, Mapping[str, Interval | None]]
    attributes: Mapping[str, Mapping[str, Interval | None]]
    resamples: int = RESAMPLES
    level: float = LEVEL


def score_intervals(
    scores: Scores,
    groups: AttributeGroups,
    probabilities: np.ndarray,
    labels: np.ndarray,
    training_rates: Sequence[float] | np.ndarray | None = None,
    *,
    resamples: int = RESAMPLES,
    progress: Callable[[Sequence[int]], Iterable[int]] = iter,
) -> Intervals:
    """The 95 % percentile intervals of all scores, over resamples of the images.

    A mean in a resample is over the attributes for which the score is defined there. The thresholds
    and the predictions of the majority-class baseline are those of the evaluation in all resamples.
    Resampling repeats images. This makes the fraction of positive images in each bin noisier and
    the calibration error larger, and a repeated positive image of high rank makes the average
    precision larger. The intervals of these scores are therefore shifted by the difference between
    the score and its mean over the resamples.

    Args:
        scores: what `score` returned for the other arguments.
        groups: the groups of the scored attributes.
        probabilities, labels, training_rates: as in `score`.
        resamples: the number of resamples.
        progress: wraps the iteration over blocks of resamples, as `tqdm.tqdm` does.

    Example:
        >>> from keras_faramtn.evaluation.scores import score
        >>> groups = AttributeGroups({"mouth": ["Smiling"]}, ["Smiling"])
        >>> probabilities = np.array([[0.9], [0.8], [0.7], [0.4]])
        >>> labels = np.array([[1], [1], [0], [1]])
        >>> scores = score(probabilities, labels, groups.attributes)
        >>> intervals = score_intervals(scores, groups, probabilities, labels)
        >>> intervals.mean["accuracy"]
        (0.0, 1.0)
    """
    names = [each.attribute for each in scores.attributes]
    samples = weighted_scores(
        probabilities,
        labels,
        resample_blocks(len(labels), resamples, progress=progress),
        thresholds=[each.threshold for each in scores.attributes],
        majority=majority_classes(labels, names, training_rates),
    )
    for name in _BIASED:
        own = [getattr(each, name) for each in scores.attributes]
        samples[name] = _unbiased(samples[name], own)
    varying = [column for column, each in enumerate(scores.attributes) if each.varies]
    return Intervals(
        mean=_mean_intervals(samples, range(len(names))),
        varying=_mean_intervals(samples, varying) | {"gain": _gain_interval(samples, varying)},
        groups={group: _mean_intervals(samples, groups.positions(group)) for group in groups},
        attributes={name: _mean_intervals(samples, [column]) for column, name in enumerate(names)},
        resamples=resamples,
    )


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
    return np.concatenate(list(resample_blocks(images, resamples, seed)))


def resample_blocks(
    images: int,
    resamples: int,
    seed: int = 0,
    progress: Callable[[Sequence[int]], Iterable[int]] = iter,
) -> Iterator[np.ndarray]:
    """Draws the resamples of `resample_counts` block by block, so that they need little memory.

    Args:
        images, resamples, seed: as in `resample_counts`.
        progress: wraps the iteration over the blocks, as `tqdm.tqdm` does.

    Yields:
        float32 `(some resamples, images)`.
    """
    rng = np.random.default_rng(seed)
    size = max(1, _BLOCK // max(1, images))
    for first in progress(range(0, resamples, size)):
        block = np.empty((min(size, resamples - first), images), "float32")
        for row in block:
            row[:] = np.bincount(rng.integers(0, images, images), minlength=images)
        yield block


def weighted_scores(
    probabilities: np.ndarray,
    labels: np.ndarray,
    counts: Iterable[np.ndarray],
    thresholds: float | Sequence[float] | np.ndarray,
    majority: np.ndarray | bool = False,
    scores: Sequence[str] = SCORES,
) -> dict[str, np.ndarray]:
    """The scores of each attribute for each row of counts.

    With all counts equal to one they are those that `score` returns.

    Args:
        probabilities: `(n, k)` in 0..1.
        labels: `(n, k)`: 1 yes, 0 no, -1 unknown.
        counts: blocks `(some resamples, n)`, the weight of each image in each resample, as
            `resample_blocks` yields them; or a list of one array.
        thresholds: an attribute is predicted if its probability is above its threshold; one for
            all attributes, or k.
        majority: what the majority-class baseline predicts, for `majority_accuracy`; one for all
            attributes, or k.
        scores: the names of the scores, some of `SCORES`.

    Returns:
        For each of `scores`, `(resamples, k)` float64; NaN where the score is not defined.

    Example:
        >>> probabilities, labels = np.array([[0.9], [0.8], [0.1]]), np.array([[1], [0], [0]])
        >>> counts = np.array([[1, 1, 1], [2, 0, 1]])
        >>> found = weighted_scores(probabilities, labels, [counts], 0.5, scores=["accuracy"])
        >>> found["accuracy"].round(3).tolist()
        [[0.667], [1.0]]
    """
    data = _prepare(np.asarray(probabilities, "float64"), labels, np.asarray(thresholds))
    blocks = [_score_block(data, np.asarray(each, "float32"), majority, scores) for each in counts]
    return {name: np.concatenate([block[name] for block in blocks]) for name in scores}


def interval(samples: np.ndarray, level: float = LEVEL) -> Interval:
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


def _mean_intervals(
    samples: Mapping[str, np.ndarray], columns: Sequence[int]
) -> dict[str, Interval | None]:
    return {
        name: _interval_or_none(mean_of_defined(values[:, columns]))
        for name, values in samples.items()
    }


def _gain_interval(samples: Mapping[str, np.ndarray], columns: Sequence[int]) -> Interval | None:
    gains = samples["accuracy"] - samples["majority_accuracy"]
    return _interval_or_none(mean_of_defined(gains[:, columns]))


def _interval_or_none(samples: np.ndarray) -> Interval | None:
    low, high = interval(samples)
    return None if np.isnan(low) else (low, high)


def _unbiased(samples: np.ndarray, values: Sequence[float | None]) -> np.ndarray:
    """`(resamples, k)` samples, shifted so that their means are the k values, and within 0..1."""
    wanted = np.array(values, "float64")  # None becomes NaN
    return np.clip(samples - (mean_of_defined(samples.T) - wanted), 0, 1)


@dataclass(frozen=True)
class _Prepared:
    """What is the same in all resamples; matrices have a row for each image, 0 if unknown."""

    positive: np.ndarray
    negative: np.ndarray
    predicted: np.ndarray
    squared_errors: np.ndarray
    bin_errors: Any  # sparse (attributes * bins, images): label minus probability
    rankings: list["_Ranking"]


@dataclass(frozen=True)
class _Ranking:
    """The images of one attribute, sorted by falling probability, in steps.

    A step ends with images of equal probability among which there are positive ones. Each matrix
    is sparse, (steps, images), and sums weights.
    """

    positive: Any  # the positive images of a step
    negative: Any  # the negative images of a step
    tied: Any  # those negative images of a step that have the probability of the positive ones


def _prepare(probabilities: np.ndarray, labels: np.ndarray, thresholds: np.ndarray) -> _Prepared:
    positive, negative = labels == 1, labels == 0
    errors = np.where(labels >= 0, positive - probabilities, 0)
    # Sums of zeros and ones are exact in float32 up to 2**24, and float32 products are fastest.
    return _Prepared(
        positive=positive.astype("float32"),
        negative=negative.astype("float32"),
        predicted=(probabilities > thresholds).astype("float32"),
        squared_errors=(errors**2).astype("float32"),
        bin_errors=_bin_errors(probabilities, errors.astype("float32")),
        rankings=[_rank(*columns) for columns in zip(probabilities.T, labels.T, strict=True)],
    )


def _bin_errors(probabilities: np.ndarray, errors: np.ndarray) -> Any:
    from scipy import sparse

    images, attributes = probabilities.shape
    rows = probability_bins(probabilities) + BINS * np.arange(attributes)
    columns = np.broadcast_to(np.arange(images)[:, None], rows.shape)
    return sparse.csr_array(
        (errors.ravel(), (rows.ravel(), columns.ravel())), (attributes * BINS, images)
    )


def _rank(probabilities: np.ndarray, labels: np.ndarray) -> _Ranking:
    known = np.flatnonzero(labels >= 0)
    order = known[np.argsort(-probabilities[known], kind="stable")]
    falling, positive = -probabilities[order], labels[order] == 1
    values = np.unique(falling[positive])  # one for each step
    steps = np.searchsorted(values, falling)
    inside = steps < len(values)  # below the last positive image nothing matters
    tied = np.zeros(len(order), bool)
    tied[inside] = falling[inside] == values[steps[inside]]
    return _Ranking(
        *(
            _summing(steps[chosen], order[chosen], (len(values), len(labels)))
            for chosen in (positive, inside & ~positive, inside & ~positive & tied)
        )
    )


def _summing(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> Any:
    from scipy import sparse

    return sparse.csr_array((np.ones(len(rows), "float32"), (rows, columns)), shape)


def _score_block(
    data: _Prepared, counts: np.ndarray, majority: np.ndarray | bool, scores: Sequence[str]
) -> dict[str, np.ndarray]:
    """For each of `scores` `(resamples, k)`."""
    positives, negatives, true_positives, false_positives = (
        (counts @ each).astype("float64")
        for each in (
            data.positive,
            data.negative,
            data.predicted * data.positive,
            data.predicted * data.negative,
        )
    )
    known = positives + negatives
    predicted = true_positives + false_positives
    recall = ratio(true_positives, positives)
    functions: dict[str, Callable[[], np.ndarray]] = {
        "accuracy": lambda: ratio(true_positives + negatives - false_positives, known),
        "majority_accuracy": lambda: ratio(np.where(majority, positives, negatives), known),
        "balanced_accuracy": lambda: (recall + ratio(negatives - false_positives, negatives)) / 2,
        "precision": lambda: ratio(true_positives, predicted),
        "recall": lambda: recall,
        "f1": lambda: ratio(2 * true_positives, predicted + positives),
        "brier": lambda: ratio((counts @ data.squared_errors).astype("float64"), known),
    }
    by_image = np.ascontiguousarray(counts.T)  # (n, resamples), for the sparse products
    if "calibration_error" in scores:
        errors = np.abs(data.bin_errors @ by_image, dtype="float64")
        by_bin = errors.reshape(len(data.rankings), BINS, len(counts))
        functions["calibration_error"] = lambda: ratio(by_bin.sum(axis=1).T, known)
    if "average_precision" in scores or "roc_auc" in scores:
        areas = np.array([_areas(each, by_image) for each in data.rankings])
        undefined = (positives == 0) | (negatives == 0)
        functions["average_precision"] = lambda: np.where(
            undefined, np.nan, ratio(areas[:, 0].T, positives)
        )
        functions["roc_auc"] = lambda: 1 - ratio(areas[:, 1].T, positives * negatives)
    return {name: functions[name]() for name in scores}


def _areas(ranking: _Ranking, by_image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The areas above and below the curves, before division by the numbers of images.

    Returns:
        `(resamples,)` each: the sum over the positive images of the precision where they are
        retrieved, and the number of pairs of a positive image and a negative one with a higher
        probability, of which pairs with equal probabilities count half.
    """
    positive = ranking.positive @ by_image
    hits = np.cumsum(positive, axis=0)
    false_alarms = np.cumsum(ranking.negative @ by_image, axis=0)
    precision = hits / np.maximum(hits + false_alarms, 1)
    if ranking.tied.nnz:
        false_alarms -= (ranking.tied @ by_image) / 2
    return (
        np.einsum("ij,ij->j", positive, precision, dtype="float64"),
        np.einsum("ij,ij->j", positive, false_alarms, dtype="float64"),
    )
