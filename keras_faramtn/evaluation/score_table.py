"""The scores of an evaluation as text for a terminal."""

from collections.abc import Mapping, Sequence

from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.counted import counted
from keras_faramtn.evaluation.bootstrap import Interval, Intervals
from keras_faramtn.evaluation.scores import SCORES, VARYING_RATES, Means, Scores
from keras_faramtn.evaluation.undefined import percent

_COLUMNS = {
    "positive_rate": ("rate", 6),
    "majority_accuracy": ("majority", 9),
    "accuracy": ("accuracy", 9),
    "balanced_accuracy": ("balanced", 9),
    "f1": ("F1", 6),
    "average_precision": ("AP", 6),
    "calibration_error": ("ECE", 6),
}
"""The scores in an attribute's row: the title and the width of their columns."""

_KNOWN_WIDTH = 7

_TITLES = {"f1": "F1", "roc_auc": "ROC AUC", "brier": "Brier score"}


def score_table(
    scores: Scores,
    groups: AttributeGroups,
    intervals: Intervals | None = None,
    cross_fitted: Scores | None = None,
) -> str:
    """The scores as text, at most 80 columns wide for CelebA's attributes.

    One row per attribute, by group; then the means of all scores, with their intervals, and a
    description of what they include. Scores are in percent; a score that is not defined is `-`.

    Args:
        scores: from `score`.
        groups: the groups of the scored attributes.
        intervals: from `score_intervals`; None to show none.
        cross_fitted: the scores of `thresholds.cross_fitted`, reported in an additional line.

    Example:
        >>> import numpy as np
        >>> from keras_faramtn.evaluation.scores import score
        >>> groups = AttributeGroups({"mouth": ["Smiling"]}, ["Smiling"])
        >>> scores = score(np.array([[0.9], [0.2]]), np.array([[1], [0]]), ["Smiling"])
        >>> score_table(scores, groups).splitlines()[2].split()
        ['Smiling', '2', '50.0', '50.0', '100.0', '100.0', '100.0', '100.0', '15.0']
    """
    by_name = {each.attribute: each for each in scores.attributes}
    width = max(len(name) for name in by_name) + 2
    head = [title.rjust(size) for title, size in _COLUMNS.values()]
    lines = ["".join([" " * width, "known".rjust(_KNOWN_WIDTH), *head])]
    for group, members in groups.items():
        lines.append(group)
        for name in members:
            cells = [
                percent(getattr(by_name[name], score)).rjust(size)
                for score, (_, size) in _COLUMNS.items()
            ]
            known = str(by_name[name].known).rjust(_KNOWN_WIDTH)
            lines.append("".join([f"  {name}".ljust(width), known, *cells]))
    varying, counts = scores.varying.counts["accuracy"], scores.mean.counts
    low, high = (f"{100 * rate:g}" for rate in VARYING_RATES)
    gain = "" if scores.varying.gain is None else f": {100 * scores.varying.gain:+.1f} points"
    if intervals is not None and varying:
        gain += _brackets(intervals.varying["gain"], sign="+")
    lines += [
        "",
        *_mean_rows(
            {"mean": scores.mean, "mean of varying": scores.varying},
            None if intervals is None else [intervals.mean, intervals.varying],
        ),
        "",
        f"Percent, on {counted(scores.images, 'image')}. Majority: the baseline that always "
        f"predicts the\nclass most frequent among the {scores.majority_of}.",
        "AP: average precision. ECE: expected calibration error.",
    ]
    if intervals is not None:
        lines.append(
            f"In brackets: {100 * intervals.level:g} % intervals, over {intervals.resamples:,} "
            "resamples of the images."
        )
    lines += [
        f"Mean accuracy is over {counts['accuracy']} of {len(by_name)} attributes, balanced "
        f"accuracy over {counts['balanced_accuracy']} that have\nboth yes and no labels, precision "
        f"over {counts['precision']} that are predicted for an image.",
        f"{varying} of {len(by_name)} attributes vary (rate {low} to {high} percent); gain in "
        f"accuracy there over\nthe majority-class baseline{gain}.",
    ]
    if cross_fitted is not None:
        lines.append(
            "With thresholds chosen for balanced accuracy on one half of the images and\nscored "
            f"on the other half: accuracy {percent(cross_fitted.mean.accuracy)}, balanced "
            f"{percent(cross_fitted.mean.balanced_accuracy)}."
        )
    return "\n".join(lines)


def _mean_rows(
    means: Mapping[str, Means], intervals: Sequence[Mapping[str, Interval | None]] | None
) -> list[str]:
    """A row for each score, with a column for each of `means`."""
    title = "".join(["".ljust(20), *(f"{name:<24}" for name in means)])
    rows = [title.rstrip()]
    for score in SCORES:
        cells = [_TITLES.get(score, score.replace("_", " ")).ljust(20)]
        for column, each in enumerate(means.values()):
            cell = percent(getattr(each, score)).rjust(5)
            if intervals is not None:
                cell += _brackets(intervals[column][score])
            cells.append(cell.ljust(24))
        rows.append("".join(cells).rstrip())
    return rows


def _brackets(interval: Interval | None, sign: str = "") -> str:
    if interval is None:
        return ""
    low, high = (f"{100 * end:{sign}.1f}" for end in interval)
    return f" [{low}, {high}]"
