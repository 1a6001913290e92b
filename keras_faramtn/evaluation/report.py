"""The report of an evaluation: `metrics.json` for programs, a table for people."""

import importlib.metadata
import json
import platform
from pathlib import Path
from typing import Any

import numpy as np

from keras_faramtn.atomic_files import atomic_write_bytes
from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.evaluation.scores import VARYING_RATES, AttributeScores, Scores

_DIGITS = 6
_PACKAGES = ("keras-faramtn", "keras", "tensorflow", "numpy", "scikit-learn")


def metrics(
    scores: Scores,
    groups: AttributeGroups,
    *,
    data: str,
    split: str,
    model: str,
    chosen: np.ndarray | None = None,
    cross_fitted: Scores | None = None,
) -> dict[str, Any]:
    """The content of `metrics.json`: JSON types only, no NaN.

    Scores are fractions in 0..1 rounded to six decimals; a score that is not defined is null.

    Args:
        scores: from `score`.
        groups: the groups of the scored attributes.
        data: name of the data set.
        split: name of the split, such as "test".
        model: name of the model.
        chosen, cross_fitted: thresholds chosen on this split, `(k,)`, and the scores of
            `thresholds.cross_fitted`; None if none were chosen.

    Returns:
        A dict with the keys `data`, `split`, `images`, `model`, `majority_of`, `means`,
        `varying`, `attributes` (by name, in canonical order), `versions`, and, if thresholds were
        chosen, `chosen_thresholds`: the accuracy and balanced accuracy of `cross_fitted`, and
        `thresholds` by attribute.

    Example:
        >>> from keras_faramtn.evaluation.scores import score
        >>> groups = AttributeGroups({"mouth": ["Smiling"]}, ["Smiling"])
        >>> scores = score(np.array([[0.9], [0.2]]), np.array([[1], [0]]), ["Smiling"])
        >>> content = metrics(scores, groups, data="faces", split="test", model="FARAMTN")
        >>> content["means"]["accuracy"], content["attributes"]["Smiling"]["group"]
        (1.0, 'mouth')
    """
    group_of = {attribute: group for group, members in groups.items() for attribute in members}
    content = {
        "data": data,
        "split": split,
        "images": scores.images,
        "model": model,
        "majority_of": scores.majority_of,
        "means": {
            "accuracy": _rounded(scores.mean_accuracy),
            "balanced_accuracy": _rounded(scores.mean_balanced_accuracy),
            "average_precision": _rounded(scores.mean_average_precision),
            "majority_accuracy": _rounded(scores.mean_majority_accuracy),
            "attributes_in_accuracy": scores.in_accuracy,
            "attributes_in_balanced_accuracy": scores.in_balanced,
        },
        "varying": {
            "positive_rate_from": VARYING_RATES[0],
            "positive_rate_to": VARYING_RATES[1],
            "attributes": scores.in_varying,
            "accuracy": _rounded(scores.varying_accuracy),
            "balanced_accuracy": _rounded(scores.varying_balanced_accuracy),
            "average_precision": _rounded(scores.varying_average_precision),
            "majority_accuracy": _rounded(scores.varying_majority_accuracy),
            "gain": _rounded(scores.varying_gain),
        },
        "attributes": {
            each.attribute: {
                "group": group_of[each.attribute],
                "known": each.known,
                "threshold": _rounded(each.threshold),
                "positive_rate": _rounded(each.positive_rate),
                "majority_accuracy": _rounded(each.majority_accuracy),
                "accuracy": _rounded(each.accuracy),
                "balanced_accuracy": _rounded(each.balanced_accuracy),
                "average_precision": _rounded(each.average_precision),
            }
            for each in scores.attributes
        },
        "versions": versions(),
    }
    if chosen is not None and cross_fitted is not None:
        content["chosen_thresholds"] = _chosen(groups, chosen, cross_fitted)
    return content


def write_metrics(path: str | Path, content: dict[str, Any]) -> None:
    """Writes `metrics.json` atomically, replacing an older file.

    Args:
        path: the file.
        content: from `metrics`.

    Raises:
        InputError: if the file cannot be written.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    atomic_write_bytes(path, (text + "\n").encode())


def table(scores: Scores, groups: AttributeGroups, cross_fitted: Scores | None = None) -> str:
    """The scores as text for a terminal, at most 80 columns wide for CelebA's attributes.

    One row per attribute, by group; then the means and a description of what they include. Scores
    are in percent; a score that is not defined is `-`.

    Args:
        scores: from `score`.
        groups: the groups of the scored attributes.
        cross_fitted: the scores of `thresholds.cross_fitted`, reported in an additional line.

    Example:
        >>> from keras_faramtn.evaluation.scores import score
        >>> groups = AttributeGroups({"mouth": ["Smiling"]}, ["Smiling"])
        >>> scores = score(np.array([[0.9], [0.2]]), np.array([[1], [0]]), ["Smiling"])
        >>> table(scores, groups).splitlines()[2].split()
        ['Smiling', '2', '50.0', '50.0', '100.0', '100.0', '100.0']
    """
    by_name = {each.attribute: each for each in scores.attributes}
    width = max(len(name) for name in (*by_name, "mean of varying")) + 2
    head = ("known", "rate", "majority", "accuracy", "balanced", "avg. prec.")
    lines = [_row("", width, head)]
    for group, members in groups.items():
        lines.append(group)
        lines += [_row(f"  {name}", width, _cells(by_name[name])) for name in members]
    means = (
        scores.mean_majority_accuracy,
        scores.mean_accuracy,
        scores.mean_balanced_accuracy,
        scores.mean_average_precision,
    )
    varying = (
        scores.varying_majority_accuracy,
        scores.varying_accuracy,
        scores.varying_balanced_accuracy,
        scores.varying_average_precision,
    )
    mean_row = _row("mean", width, ("", "", *map(_percent, means)))
    low, high = (f"{100 * rate:g}" for rate in VARYING_RATES)
    gain = "" if scores.varying_gain is None else f": {100 * scores.varying_gain:+.1f} points"
    lines += [
        "-" * len(mean_row),
        mean_row,
        _row("mean of varying", width, ("", "", *map(_percent, varying))),
        "",
        f"Percent, on {scores.images} images. Majority: the baseline that always predicts the "
        f"class\nmost frequent among the {scores.majority_of}.",
        f"Mean accuracy is over {scores.in_accuracy} of {len(by_name)} attributes, mean balanced "
        f"accuracy and average\nprecision over the {scores.in_balanced} that have both yes and "
        "no labels.",
        f"{scores.in_varying} attributes vary (rate {low} to {high} percent); gain in accuracy "
        f"there over the\nmajority-class baseline{gain}.",
    ]
    if cross_fitted is not None:
        lines.append(
            "With thresholds chosen for balanced accuracy on one half of the images and\nscored "
            f"on the other half: accuracy {_percent(cross_fitted.mean_accuracy)}, balanced "
            f"{_percent(cross_fitted.mean_balanced_accuracy)}."
        )
    return "\n".join(lines)


def versions() -> dict[str, str]:
    """The versions of Python and of the installed packages that scores depend on."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _chosen(
    groups: AttributeGroups, thresholds: np.ndarray, cross_fitted: Scores
) -> dict[str, Any]:
    return {
        "cross_fitted": {
            "accuracy": _rounded(cross_fitted.mean_accuracy),
            "balanced_accuracy": _rounded(cross_fitted.mean_balanced_accuracy),
        },
        "thresholds": {
            name: _rounded(float(threshold))
            for name, threshold in zip(groups.attributes, thresholds, strict=True)
        },
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _cells(each: AttributeScores) -> tuple[str, ...]:
    scores = (
        each.positive_rate,
        each.majority_accuracy,
        each.accuracy,
        each.balanced_accuracy,
        each.average_precision,
    )
    return (str(each.known), *map(_percent, scores))


def _row(name: str, width: int, cells: tuple[str, ...]) -> str:
    known, rate, *rest = cells
    row = f"{name:<{width}}{known:>7}{rate:>7}" + "".join(f"{cell:>11}" for cell in rest)
    return row.rstrip()
