"""Error rates by subgroup of the images: for which faces does a model fail?"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from keras_faramtn.attributes import DEFAULT_THRESHOLD
from keras_faramtn.data.table import FaceTable, labels_as_text
from keras_faramtn.errors import InputError
from keras_faramtn.evaluation.bootstrap import RESAMPLES
from keras_faramtn.evaluation.gaps import Gap, gap
from keras_faramtn.evaluation.scores import check_predictions
from keras_faramtn.evaluation.subgroup_rates import (
    GAP_RATES,
    MIN_KNOWN,
    RATES,
    SubgroupImages,
    by_rate,
    resampled_rates,
    subgroup_images,
    subgroup_rates,
)
from keras_faramtn.evaluation.undefined import mean_of_defined, none_if_nan, rounded

MAX_SUBGROUPS = 20
"""The largest number of subgroups that a column may have."""


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
    - Chance makes calibration errors larger, by at most the error that a perfectly calibrated
      network has on these images. The interval is longer by this excess.
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
        InputError: the subgroups are those of other images, or as in `check_predictions`.

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
    check_predictions(probabilities, labels, attributes)
    if len(subgroups.members) != len(labels):
        raise InputError(
            f"there are {len(labels)} images, but subgroups of {len(subgroups.members)}; use the "
            "table of the predicted images."
        )
    columns = [column for column, name in enumerate(attributes) if name != subgroups.column]
    scored = tuple(attributes[column] for column in columns)
    probabilities = np.asarray(probabilities, "float64")
    predicted = (probabilities > thresholds)[:, columns]
    probabilities, labels = probabilities[:, columns], labels[:, columns]
    images = [
        subgroup_images(subgroups.members == row, probabilities, labels, predicted)
        for row in range(len(subgroups.names))
    ]
    large = np.array([len(each.rows) >= MIN_KNOWN for each in images])
    rates = subgroup_rates(images, len(labels))
    enough = by_rate([each.enough() for each in images])
    in_means = {rate: values[large].all(axis=0) for rate, values in enough.items()}
    means = {rate: mean_of_defined(values[:, in_means[rate]]) for rate, values in rates.items()}
    samples, mean_samples = resampled_rates(images, in_means, len(labels), resamples, progress)
    excess = {"calibration_error": np.array([each.chance_error() for each in images])}
    return SubgroupScores(
        column=subgroups.column,
        images=len(labels),
        unknown=int((subgroups.members < 0).sum()),
        resamples=resamples,
        subgroups=tuple(
            Subgroup(
                name=name,
                images=len(images[row].rows),
                small=not large[row],
                means={rate: none_if_nan(means[rate][row]) for rate in RATES},
                attributes=_rates_of_subgroup(images[row], scored, row, rates, enough),
            )
            for row, name in enumerate(subgroups.names)
        ),
        attributes=scored,
        excluded=tuple(name for name in attributes if name == subgroups.column),
        attributes_in_means={rate: int(in_means[rate].sum()) for rate in RATES},
        mean_gaps=_gaps(
            subgroups.names,
            {rate: large & np.isfinite(values) for rate, values in means.items()},
            means,
            mean_samples,
            {rate: mean_of_defined(values[:, in_means[rate]]) for rate, values in excess.items()},
        ),
        gaps={
            name: _gaps(
                subgroups.names,
                *(
                    {rate: values[..., column] for rate, values in each.items()}
                    for each in (enough, rates, samples, excess)
                ),
            )
            for column, name in enumerate(scored)
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


def _rates_of_subgroup(
    images: SubgroupImages,
    attributes: Sequence[str],
    row: int,
    rates: Mapping[str, np.ndarray],
    enough: Mapping[str, np.ndarray],
) -> dict[str, SubgroupRates]:
    """The rates of each attribute in the subgroup whose row in the arrays is given."""
    return {
        name: SubgroupRates(
            known=int(images.known[column]),
            positives=int(images.positives[column]),
            **{rate: none_if_nan(rates[rate][row, column]) for rate in RATES},
            too_few=tuple(rate for rate in RATES if not enough[rate][row, column]),
        )
        for column, name in enumerate(attributes)
    }


def _gaps(
    names: Sequence[str],
    compared: Mapping[str, np.ndarray],
    values: Mapping[str, np.ndarray],
    samples: Mapping[str, np.ndarray],
    excess: Mapping[str, np.ndarray],
) -> dict[str, Gap | None]:
    """By rate, the gap between the subgroups that are `compared`."""
    return {
        rate: gap(
            [name for name, each in zip(names, compared[rate], strict=True) if each],
            values[rate][compared[rate]],
            samples[rate][compared[rate]],
            excess[rate][compared[rate]] if rate in excess else None,
        )
        for rate in GAP_RATES
    }


def _json(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: rounded(value) if isinstance(value, float) else value
        for name, value in values.items()
    }


def _gaps_json(gaps: Mapping[str, Gap | None]) -> dict[str, Any]:
    return {rate: each and _json(asdict(each)) for rate, each in gaps.items()}
