"""`metrics.json`: the scores of an evaluation, for programs."""

import importlib.metadata
import json
import platform
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from keras_faramtn.atomic_files import atomic_write_bytes
from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.evaluation.bootstrap import Interval, Intervals
from keras_faramtn.evaluation.scores import (
    SCORES,
    VARYING_RATES,
    AttributeScores,
    Means,
    Scores,
    group_means,
)
from keras_faramtn.evaluation.undefined import rounded

METRICS_FILE = "metrics.json"

SCHEMA_VERSION = 1
"""The version of the file's format. It changes when a program that reads the file must change."""

_PACKAGES = ("keras-faramtn", "keras", "tensorflow", "numpy", "scikit-learn")


def metrics(
    scores: Scores,
    intervals: Intervals,
    groups: AttributeGroups,
    *,
    data: str,
    split: str,
    model: str,
    chosen: np.ndarray | None = None,
    cross_fitted: Scores | None = None,
    subgroups: Mapping[str, Any] | None = None,
    calibration: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The content of `metrics.json`: JSON types only, no NaN.

    `metrics_schema` describes every field. Scores are fractions in 0..1 rounded to six decimals; a
    score that is not defined is null. Thresholds are not rounded, which could change predictions.

    Args:
        scores: from `score`.
        intervals: from `score_intervals`.
        groups: the groups of the scored attributes.
        data: name of the data set.
        split: name of the split, such as "test".
        model: name of the model, or of its file.
        chosen, cross_fitted: thresholds chosen on this split, `(k,)`, and the scores of
            `thresholds.cross_fitted`; None if none were chosen.
        subgroups: the part on error rates by subgroup; None if they were not computed.
        calibration: the part on fitted temperatures and thresholds; None if none were fitted.

    Example:
        >>> from keras_faramtn.evaluation.bootstrap import score_intervals
        >>> from keras_faramtn.evaluation.scores import score
        >>> groups = AttributeGroups({"mouth": ["Smiling"]}, ["Smiling"])
        >>> probabilities, labels = np.array([[0.9], [0.2]]), np.array([[1], [0]])
        >>> scores = score(probabilities, labels, groups.attributes)
        >>> intervals = score_intervals(scores, groups, probabilities, labels)
        >>> content = metrics(
        ...     scores, intervals, groups, data="faces", split="test", model="FARAMTN"
        ... )
        >>> content["means"]["accuracy"], content["attributes"]["Smiling"]["group"]
        (1.0, 'mouth')
    """
    group_of = {attribute: group for group, members in groups.items() for attribute in members}
    low, high = VARYING_RATES
    content: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "data": data,
        "split": split,
        "images": scores.images,
        "model": model,
        "majority_of": scores.majority_of,
        "means": {
            **_values(scores.mean),
            "attributes_in_accuracy": scores.mean.counts["accuracy"],
            "attributes_in_balanced_accuracy": scores.mean.counts["balanced_accuracy"],
            "attributes_in_precision": scores.mean.counts["precision"],
            "intervals": _intervals(intervals.mean),
        },
        "varying": {
            "positive_rate_from": low,
            "positive_rate_to": high,
            "attributes": scores.varying.counts["accuracy"],
            **_values(scores.varying),
            "gain": rounded(scores.varying.gain),
            "intervals": _intervals(intervals.varying),
        },
        "groups": {
            group: {
                "attributes": len(groups[group]),
                **_values(means),
                "intervals": _intervals(intervals.groups[group]),
            }
            for group, means in group_means(scores, groups).items()
        },
        "attributes": {
            each.attribute: {
                "group": group_of[each.attribute],
                "known": each.known,
                "threshold": each.threshold,
                "positive_rate": rounded(each.positive_rate),
                **_values(each),
                "intervals": _intervals(intervals.attributes[each.attribute]),
            }
            for each in scores.attributes
        },
        "bootstrap": {"resamples": intervals.resamples, "level": intervals.level},
    }
    if chosen is not None and cross_fitted is not None:
        content["chosen_thresholds"] = _chosen(groups, chosen, cross_fitted)
    if subgroups is not None:
        content["subgroups"] = subgroups
    if calibration is not None:
        content["calibration"] = calibration
    return content | {"versions": versions()}


def metrics_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of `metrics.json`, which describes every field.

    Example:
        >>> metrics_schema()["properties"]["images"]["type"]
        'integer'
    """
    return json.loads(files("keras_faramtn.evaluation").joinpath("metrics.schema.json").read_text())


def write_metrics(path: str | Path, content: Mapping[str, Any]) -> None:
    """Writes `metrics.json` atomically, replacing an older file.

    Args:
        path: the file.
        content: from `metrics`.

    Raises:
        InputError: if the file cannot be written.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    atomic_write_bytes(path, (text + "\n").encode())


def versions() -> dict[str, str]:
    """The versions of Python and of the installed packages that scores depend on."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def describe_versions(versions: Mapping[str, str]) -> str:
    """States in words what `versions` returned.

    Example:
        >>> describe_versions({"python": "3.11.7", "keras": "3.15.1"})
        'python 3.11.7, keras 3.15.1'
    """
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _chosen(
    groups: AttributeGroups, thresholds: np.ndarray, cross_fitted: Scores
) -> dict[str, Any]:
    return {
        "cross_fitted": {
            "accuracy": rounded(cross_fitted.mean.accuracy),
            "balanced_accuracy": rounded(cross_fitted.mean.balanced_accuracy),
        },
        "thresholds": {
            name: float(threshold)
            for name, threshold in zip(groups.attributes, thresholds, strict=True)
        },
    }


def _values(scores: AttributeScores | Means) -> dict[str, float | None]:
    return {name: rounded(getattr(scores, name)) for name in SCORES}


def _intervals(by_score: Mapping[str, Interval | None]) -> dict[str, list[float | None] | None]:
    return {
        name: None if ends is None else [rounded(end) for end in ends]
        for name, ends in by_score.items()
    }
