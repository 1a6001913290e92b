"""Error rates by subgroup of the images: for whom does a model fail?"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse

from keras_faramtn.attributes import DEFAULT_THRESHOLD
from keras_faramtn.data.table import FaceTable, labels_as_text
from keras_faramtn.errors import InputError
from keras_faramtn.evaluation.bootstrap import RESAMPLES, mean_of_defined, resample_blocks
from keras_faramtn.evaluation.calibration_error import BINS, probability_bins
from keras_faramtn.evaluation.gaps import Gap, gap

GAP_RATES = ("true_positive_rate", "false_positive_rate", "accuracy", "calibration_error")
"""The rates that are compared between subgroups."""

RATES = ("positive_rate", "accuracy", "balanced_accuracy", *GAP_RATES[:2], "calibration_error")
"""The rates of a subgroup."""

MAX_SUBGROUPS = 20
"""The largest number of subgroups that a column may have."""

MIN_KNOWN, MIN_OF_CLASS = 30, 10
"""Rates of fewer images, or of fewer images of the class that they are about, are not compared."""

_DIGITS = 6


@dataclass(frozen=True)
class Subgroups:
    """A division of n images into subgroups.

    Attributes:
        column: the attribute or column of the data set by which the images are divided.
        names: the subgroups: "yes" and "no" of an attribute, or the values of a column, sorted.
            Every one has an image.
        members: int `(n,)`: the position of each image's subgroup in `names`; -1 unknown.
    """

    column: str
    names: tuple[str, ...]
    members: np.ndarray


@dataclass(frozen=True)
class SubgroupRates:
    """The rates of one attribute in one subgroup, over the images whose label is known.

    Rates are in 0..1, and None where there is no image to compute them from.

    Attributes:
        known: the number of known labels.
        positives: the number of yes labels.
        positive_rate: fraction of the known labels that are yes.
        accuracy: fraction of the known labels that are predicted correctly.
        balanced_accuracy: mean of the true positive rate and of the true negative rate.
        true_positive_rate: fraction of the yes labels that are predicted as yes.
        false_positive_rate: fraction of the no labels that are predicted as yes.
        calibration_error: as `expected_calibration_error`. Chance makes it larger in a subgroup
            of fewer images.
        too_few: the rates that are not compared with other subgroups, because fewer than
            `MIN_KNOWN` labels are known, or fewer than `MIN_OF_CLASS` are yes or no.
    """

    known: int
    positives: int
    positive_rate: float | None
    accuracy: float | None
    balanced_accuracy: float | None
    true_positive_rate: float | None
    false_positive_rate: float | None
    calibration_error: float | None
    too_few: tuple[str, ...]


@dataclass(frozen=True)
class Subgroup:
    """The rates in one subgroup.

    Attributes:
        name: the subgroup.
        images: the number of its images.
        small: whether these are fewer than `MIN_KNOWN`; no rate is compared.
        means: by rate (`RATES`), the mean over attributes, see `SubgroupScores`; None if not
            defined.
        attributes: the rates of each scored attribute, by name.
    """

    name: str
    images: int
    small: bool
    means: Mapping[str, float | None]
    attributes: Mapping[str, SubgroupRates]


@dataclass(frozen=True)
class SubgroupScores:
    """The rates of all attributes in all subgroups of a column, and their gaps.

    Means are over the same attributes in all subgroups, so that they can be compared: those with
    enough images in each subgroup that is not small. (In a small subgroup, those of them for which
    the rate is defined.)

    Attributes:
        column: the attribute or column by which the images are divided.
        images: the number of images, those of unknown subgroup included.
        unknown: the number of images of unknown subgroup, which are in no rate.
        resamples: the number of resamples for the intervals.
        subgroups: one entry for each subgroup, in the order of `Subgroups.names`.
        attributes: the names of the scored attributes.
        excluded: attributes that are not scored: that by which the images are divided.
        attributes_in_means: by rate (`RATES`), the number of attributes in its means.
        mean_gaps: by rate (`GAP_RATES`), the gap of the means; None unless two subgroups have
            enough images.
        gaps: by attribute and rate (`GAP_RATES`); None as in `mean_gaps`.
    """

    column: str
    images: int
    unknown: int
    resamples: int
    subgroups: tuple[Subgroup, ...]
    attributes: tuple[str, ...]
    excluded: tuple[str, ...]
    attributes_in_means: Mapping[str, int]
    mean_gaps: Mapping[str, Gap | None]
    gaps: Mapping[str, Mapping[str, Gap | None]]


def subgroups_of(table: FaceTable, column: str) -> Subgroups:
    """Divides the images of a table by one of its attributes or of its other columns.

    Args:
        table: the images.
        column: an attribute, with the subgroups "yes" and "no"; or one of `table.columns`, with a
            subgroup for each value. A column that contains only 1 and 0 counts as an attribute.

    Raises:
        InputError: the table has no such column; no image has a known value; there are more than
            `MAX_SUBGROUPS` values; or one contains control characters.

    Example:
        >>> from pathlib import Path
        >>> table = FaceTable(
        ...     attributes=("Smiling",),
        ...     paths=(Path("a.jpg"), Path("b.jpg"), Path("c.jpg")),
        ...     labels=np.array([[1], [0], [-1]], "int8"),
        ...     splits=np.zeros(3, "int8"),
        ...     source=Path("attributes.csv"),
        ...     lines=np.array([2, 3, 4]),
        ... )
        >>> subgroups = subgroups_of(table, "Smiling")
        >>> subgroups.names, subgroups.members.tolist()
        (('yes', 'no'), [0, 1, -1])
    """
    if column in table.attributes:
        texts = labels_as_text(table.labels[:, table.attributes.index(column)])
    elif column in table.columns:
        texts = table.columns[column]
    else:
        raise InputError(
            f"{table.source}: there is no column {column!r} for subgroups; choose one of "
            f"{', '.join([*table.attributes, *table.columns])}."
        )
    values = sorted(set(texts) - {""}, reverse=set(texts) <= {"1", "0", ""})  # yes before no
    if not values:
        raise InputError(
            f"{table.source}: {column} is unknown in all {len(table):,} images of the split; fill "
            "in the column, or choose another one for subgroups."
        )
    if len(values) > MAX_SUBGROUPS:
        raise InputError(
            f"{table.source}: {column} has {len(values):,} different values, such as "
            f"{', '.join(values[:3])}; for subgroups it may have at most {MAX_SUBGROUPS}. Combine "
            "values, such as ages into decades."
        )
    odd = [value for value in values if not value.isprintable()]
    if odd:
        raise InputError(
            f"{table.source}: {column} has the value {odd[0]!r}; for subgroups, write values "
            "without line breaks and control characters."
        )
    position = {value: row for row, value in enumerate(values)}
    names = {"1": "yes", "0": "no"} if position.keys() <= {"1", "0"} else {}
    return Subgroups(
        column,
        tuple(names.get(value, value) for value in values),
        np.array([position.get(text, -1) for text in texts]),
    )


def subgroup_scores(
    probabilities: np.ndarray,
    labels: np.ndarray,
    attributes: Sequence[str],
    subgroups: Subgroups,
    thresholds: float | np.ndarray = DEFAULT_THRESHOLD,
    *,
    resamples: int = RESAMPLES,
    progress: Callable[[Sequence[int]], Iterable[int]] = iter,
) -> SubgroupScores:
    """The rates of each attribute in each subgroup, and the gaps between subgroups.

    The intervals are over resamples of the images of all subgroups (bootstrap), at a level of 95 %:

    - Each resample adds to both outcomes of a rate, such as found and missed for the true positive
      rate, a random number of images, drawn from the Gamma distribution of shape 1/2. Otherwise a
      rate of 0 or 1 would have no variation at all. With one rate this is Jeffreys's interval
      (Brown, Cai and DasGupta, Statistical Science, 2001). The means have no need of it.
    - Chance makes calibration errors larger, by at most what a perfectly calibrated network has on
      these images. The interval is longer by this bias.
    - `gap` forms the interval, for all pairs of subgroups at once.

    Args:
        probabilities: `(n, k)` in 0..1.
        labels: `(n, k)`: 1 yes, 0 no, -1 unknown.
        attributes: the k names. That by which the images are divided is excluded.
        subgroups: the subgroup of each image, from `subgroups_of`.
        thresholds: an attribute is predicted if its probability is above its threshold; one for
            all attributes, or `(k,)`.
        resamples: the number of resamples of the images.
        progress: wraps the iteration over blocks of resamples, as `tqdm.tqdm` does.

    Returns:
        `SubgroupScores`. Its `subgroups` have the rates of each attribute and their means, and its
        `gaps` and `mean_gaps` the differences between subgroups.

    Raises:
        InputError: the subgroups are those of other images.

    Example:
        >>> probabilities = np.array([[0.9], [0.3], [0.8], [0.6]])
        >>> labels = np.array([[1], [1], [1], [0]])
        >>> subgroups = Subgroups("age", ("old", "young"), np.array([0, 0, 1, 1]))
        >>> scores = subgroup_scores(probabilities, labels, ["Smiling"], subgroups)
        >>> [each.attributes["Smiling"].true_positive_rate for each in scores.subgroups]
        [0.5, 1.0]
        >>> scores.subgroups[0].small, scores.gaps["Smiling"]["true_positive_rate"]
        (True, None)
    """
    kept = [column for column, name in enumerate(attributes) if name != subgroups.column]
    if len(subgroups.members) != len(labels):
        raise InputError(
            f"there are {len(labels)} images, but subgroups of {len(subgroups.members)}; use the "
            "table of the predicted images."
        )
    names = tuple(attributes[column] for column in kept)
    predicted = (probabilities > thresholds)[:, kept]
    members = [
        _members(rows, probabilities[:, kept], labels[:, kept], predicted)
        for rows in (subgroups.members == np.arange(len(subgroups.names))[:, np.newaxis])
    ]
    large = np.array([len(each.rows) >= MIN_KNOWN for each in members])
    everyone = np.ones((1, len(labels)), "float32")
    rates = _by_rate([_rates(*_sums(each, everyone)) for each in members])  # (subgroups, 1, k)
    rates = {rate: values[:, 0] for rate, values in rates.items()}
    enough = _by_rate([_enough(each) for each in members])
    in_means = {rate: values[large].all(axis=0) for rate, values in enough.items()}
    means = {rate: mean_of_defined(values[:, in_means[rate]]) for rate, values in rates.items()}
    samples, mean_samples = _resampled(members, in_means, len(labels), resamples, progress)
    bias = np.array([_calibration_bias(each) for each in members])

    def gap_between(
        rate: str, compared: np.ndarray, values: np.ndarray, samples: np.ndarray, bias: np.ndarray
    ) -> Gap | None:
        who = [name for name, each in zip(subgroups.names, compared, strict=True) if each]
        biased = bias[compared] if rate == "calibration_error" else None
        return gap(who, values[compared], samples[compared], biased)

    return SubgroupScores(
        column=subgroups.column,
        images=len(labels),
        unknown=int((subgroups.members < 0).sum()),
        resamples=resamples,
        subgroups=tuple(
            Subgroup(
                name=name,
                images=len(members[row].rows),
                small=not large[row],
                means={rate: _defined(means[rate][row]) for rate in RATES},
                attributes={
                    attribute: SubgroupRates(
                        known=int(members[row].known[column]),
                        positives=int(members[row].positives[column]),
                        **{rate: _defined(rates[rate][row, column]) for rate in RATES},
                        too_few=tuple(rate for rate in RATES if not enough[rate][row, column]),
                    )
                    for column, attribute in enumerate(names)
                },
            )
            for row, name in enumerate(subgroups.names)
        ),
        attributes=names,
        excluded=tuple(name for name in attributes if name == subgroups.column),
        attributes_in_means={rate: int(in_means[rate].sum()) for rate in RATES},
        mean_gaps={
            rate: gap_between(
                rate,
                large & np.isfinite(means[rate]),
                means[rate],
                mean_samples[rate],
                mean_of_defined(bias[:, in_means[rate]]),
            )
            for rate in GAP_RATES
        },
        gaps={
            attribute: {
                rate: gap_between(
                    rate,
                    enough[rate][:, column],
                    rates[rate][:, column],
                    samples[rate][:, :, column],
                    bias[:, column],
                )
                for rate in GAP_RATES
            }
            for column, attribute in enumerate(names)
        },
    )


def subgroups_content(scores: Sequence[SubgroupScores]) -> dict[str, Any]:
    """The part `subgroups` of `metrics.json`: by column; JSON types only, no NaN.

    Rates are rounded to six decimals; a rate or gap that is not defined is null.

    Args:
        scores: one entry for each column.
    """
    return {
        each.column: {
            "images": each.images,
            "unknown": each.unknown,
            "resamples": each.resamples,
            "excluded": list(each.excluded),
            "attributes_in_means": dict(each.attributes_in_means),
            "subgroups": {
                subgroup.name: {
                    "images": subgroup.images,
                    "small": subgroup.small,
                    "means": _json(subgroup.means),
                    "attributes": {
                        name: _json(asdict(rates)) for name, rates in subgroup.attributes.items()
                    },
                }
                for subgroup in each.subgroups
            },
            "mean_gaps": _gaps_json(each.mean_gaps),
            "gaps": {name: _gaps_json(gaps) for name, gaps in each.gaps.items()},
        }
        for each in scores
    }


class _Members(NamedTuple):
    """What is needed of the m images of a subgroup to compute the rates of k attributes."""

    rows: np.ndarray  # (m,) their positions among all images
    known: np.ndarray  # (k,) numbers of labels
    positives: np.ndarray  # (k,)
    indicators: np.ndarray  # (m, 4 k) 0 or 1: positive, negative, true positive, false positive
    errors: scipy.sparse.csr_array  # (BINS k, m): probability minus label, in its bin
    variances: np.ndarray  # (BINS, k): of the errors of a perfectly calibrated network


def _members(
    rows: np.ndarray, probabilities: np.ndarray, labels: np.ndarray, predicted: np.ndarray
) -> _Members:
    rows = np.flatnonzero(rows)
    probabilities, labels = probabilities[rows].astype("float64"), labels[rows]
    positive, negative, known = labels == 1, labels == 0, labels >= 0
    indicators = (positive, negative, positive & predicted[rows], negative & predicted[rows])
    image, column = np.nonzero(known)
    found = probabilities[image, column]
    cells = probability_bins(found) + BINS * column
    shape = (BINS * labels.shape[1], len(rows))
    errors = scipy.sparse.csr_array((found - labels[image, column], (cells, image)), shape)
    variances = np.bincount(cells, found * (1 - found), shape[0]).reshape(-1, BINS).T
    return _Members(
        rows,
        known.sum(axis=0),
        positive.sum(axis=0),
        np.concatenate(indicators, axis=1).astype("float32"),
        errors,
        variances,
    )


def _enough(members: _Members) -> dict[str, np.ndarray]:
    """For each rate `(k,)`: whether it may be compared with other subgroups."""
    known = members.known >= MIN_KNOWN
    positives = members.positives >= MIN_OF_CLASS
    negatives = members.known - members.positives >= MIN_OF_CLASS
    return {
        "positive_rate": known,
        "accuracy": known,
        "balanced_accuracy": known & positives & negatives,
        "true_positive_rate": known & positives,
        "false_positive_rate": known & negatives,
        "calibration_error": known & positives & negatives,
    }


def _sums(members: _Members, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums over the subgroup's images, each counted as often as `counts` `(b, n)` has it.

    Returns:
        `(4, b, k)`: positives, negatives, true and false positives; and `(b, k)`, the sum over the
        bins of the absolute sum of errors.
    """
    counts = counts[:, members.rows]
    numbers = (counts @ members.indicators).astype("float64")
    errors = np.abs(members.errors @ counts.T).reshape(-1, BINS, len(counts)).sum(axis=1).T
    return np.stack(np.split(numbers, 4, axis=1)), errors


def _rates(numbers: np.ndarray, errors: np.ndarray) -> dict[str, np.ndarray]:
    """Each of `RATES` `(b, k)` from `_sums`; NaN where not defined."""
    positives, negatives, true_positives, false_positives = numbers
    known = positives + negatives
    found = _ratio(true_positives, positives)
    false = _ratio(false_positives, negatives)
    return {
        "positive_rate": _ratio(positives, known),
        "accuracy": _ratio(true_positives + negatives - false_positives, known),
        "balanced_accuracy": (found + 1 - false) / 2,
        "true_positive_rate": found,
        "false_positive_rate": false,
        "calibration_error": _ratio(errors, known),
    }


def _resampled(
    members: Sequence[_Members],
    in_means: Mapping[str, np.ndarray],
    images: int,
    resamples: int,
    progress: Callable[[Sequence[int]], Iterable[int]],
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Each of `GAP_RATES` in each resample: `(subgroups, resamples, k)`, and the means over k."""
    rng = np.random.default_rng(0)
    samples, means = [], []
    for counts in resample_blocks(images, resamples, progress=progress):
        sums = [_sums(each, counts) for each in members]
        rates = _by_rate([_rates(*each) for each in sums])
        means.append(
            {rate: mean_of_defined(rates[rate][..., in_means[rate]]) for rate in GAP_RATES}
        )
        smoothed = _by_rate(
            [_rates(_with_pseudo_images(each, rng), errors) for each, errors in sums]
        )
        smoothed["calibration_error"] = rates["calibration_error"]
        samples.append(smoothed)
    return _joined(samples), _joined(means)


def _joined(blocks: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {rate: np.concatenate([each[rate] for each in blocks], axis=1) for rate in GAP_RATES}


def _with_pseudo_images(numbers: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """`numbers` of `_sums` with a random number of images added to each of the four outcomes."""
    found, missed, false, rejected = rng.gamma(0.5, size=numbers.shape)
    return numbers + np.stack([found + missed, false + rejected, found, false])


def _calibration_bias(members: _Members) -> np.ndarray:
    """`(k,)`: the calibration error to expect of a perfectly calibrated network.

    The sum of its errors in a bin is nearly normal; the mean absolute value is the square root of
    2 / pi times the standard deviation.
    """
    expected = np.sqrt(2 / np.pi * members.variances).sum(axis=0)
    return _ratio(expected, members.known.astype(float))


def _by_rate(by_subgroup: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {rate: np.stack([each[rate] for each in by_subgroup]) for rate in by_subgroup[0]}


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    undefined = np.full(numerator.shape, np.nan)
    return np.divide(numerator, denominator, out=undefined, where=denominator > 0)


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _json(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: round(value, _DIGITS) if isinstance(value, float) else value
        for name, value in values.items()
    }


def _gaps_json(gaps: Mapping[str, Gap | None]) -> dict[str, Any]:
    return {rate: each and _json(asdict(each)) for rate, each in gaps.items()}
