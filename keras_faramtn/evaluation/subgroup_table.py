"""The scores of subgroups as text for a terminal."""

import textwrap

from keras_faramtn.counted import counted
from keras_faramtn.evaluation.gaps import Gap
from keras_faramtn.evaluation.subgroup_rates import MIN_KNOWN, MIN_OF_CLASS
from keras_faramtn.evaluation.subgroups import Subgroup, SubgroupScores
from keras_faramtn.evaluation.undefined import percent

SHOWN_GAPS = 10
"""The number of gaps of single attributes that are listed."""

_TITLES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced",
    "true_positive_rate": "TPR",
    "false_positive_rate": "FPR",
    "calibration_error": "ECE",
}
_NAME_WIDTH, _SHORT_NAME_WIDTH = 22, 10


def subgroup_table(scores: SubgroupScores) -> str:
    """The means by subgroup, and the largest gaps, at most 80 columns for CelebA's attributes.

    Rates are in percent; one that is not defined is `-`.

    Args:
        scores: from `subgroup_scores`.

    Example:
        >>> import numpy as np
        >>> from keras_faramtn.evaluation.subgroups import Subgroups, subgroup_scores
        >>> probabilities = np.array([[0.9], [0.3], [0.8], [0.6]])
        >>> labels = np.array([[1], [1], [1], [0]])
        >>> subgroups = Subgroups("age", ("old", "young"), np.array([0, 0, 1, 1]))
        >>> scores = subgroup_scores(probabilities, labels, ["Smiling"], subgroups)
        >>> subgroup_table(scores).splitlines()[2].split()
        ['old', '(small)', '2', '50.0', '-', '50.0', '-', '40.0']
    """
    unknown = f", {scores.unknown:,} of them unknown" if scores.unknown else ""
    excluded = "".join(f" {name} itself is not scored." for name in scores.excluded)
    counts = [scores.attributes_in_means[rate] for rate in _TITLES]
    lines = [
        f"Subgroups by {scores.column}: {counted(scores.images, 'image')}{unknown}.{excluded}",
        _row("", "images", tuple(_TITLES.values())),
        *(_subgroup_row(subgroup) for subgroup in scores.subgroups),
        _row("attributes", "", tuple(map(str, counts))),
        _caption(all_small=all(subgroup.small for subgroup in scores.subgroups)),
    ]
    mean_gaps = [("mean", rate, gap) for rate, gap in scores.mean_gaps.items() if gap is not None]
    gaps = [
        (attribute, rate, gap)
        for attribute, by_rate in scores.gaps.items()
        for rate, gap in by_rate.items()
        if gap is not None
    ]
    if not gaps:
        why = "No two subgroups have enough images to be compared."
        return "\n".join([*lines, why if scores.attributes else "No other attribute is predicted."])
    clear = [each for each in gaps if each[2].excludes_zero]
    clear.sort(key=lambda each: -abs(each[2].value))
    shown = clear[:SHOWN_GAPS]
    width = max(len(name) for name in ("mean", *(each[0] for each in shown))) + 1
    if mean_gaps:
        lines += ["", "Gaps of the means in percentage points, with 95 % intervals:"]
        lines += [_gap_row(*each, width) for each in mean_gaps]
    lines += [
        "",
        f"{len(clear)} of {len(gaps)} gaps of single attributes have an interval that excludes "
        "zero.\nEven without any true gap, about 1 in 20 would."
        + (f" The {len(shown)} largest:" if shown else ""),
        *(_gap_row(*each, width) for each in shown),
    ]
    return "\n".join(lines)


def _caption(*, all_small: bool) -> str:
    which = (
        "for which they are defined."
        if all_small
        else f"that have enough images in each subgroup ({MIN_KNOWN}, and {MIN_OF_CLASS} of the "
        "class that a rate is about)."
    )
    return textwrap.fill(
        f"Means in percent over the attributes {which} TPR, FPR: true and false positive rate. "
        "ECE: expected calibration error, larger if images are few.",
        80,
    )


def _subgroup_row(subgroup: Subgroup) -> str:
    mark = " (small)" if subgroup.small else ""
    name = _short(subgroup.name, _NAME_WIDTH - len(mark)) + mark
    return _row(name, f"{subgroup.images:,}", tuple(percent(subgroup.means[r]) for r in _TITLES))


def _row(name: str, images: str, cells: tuple[str, ...]) -> str:
    return f"{name:<{_NAME_WIDTH}}{images:>8}" + "".join(f"{cell:>10}" for cell in cells)


def _gap_row(attribute: str, rate: str, gap: Gap, width: int) -> str:
    value, low, high = (f"{100 * each:+.1f}" for each in (gap.value, gap.low, gap.high))
    names = f"{_short(gap.of, _SHORT_NAME_WIDTH)} minus {_short(gap.minus, _SHORT_NAME_WIDTH)}"
    return f"{attribute:<{width}}{_TITLES[rate]:<9}{value:>6} {f'[{low}, {high}]':<16} {names}"


def _short(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
