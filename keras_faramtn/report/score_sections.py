"""The sections of a page about a model that show its scores and curves."""

from collections.abc import Mapping
from typing import Any

from keras_faramtn.evaluation.calibration_error import reliability_curve
from keras_faramtn.report.curves import precision_recall, reliability
from keras_faramtn.report.page import percent
from keras_faramtn.report.scored_model import ScoredModel
from keras_faramtn.report.tracks import axis_of

# key in metrics.json, title
_TILES = (
    ("accuracy", "Mean accuracy"),
    ("balanced_accuracy", "Mean balanced accuracy"),
    ("average_precision", "Mean average precision"),
    ("roc_auc", "Mean area under the ROC curve"),
    ("f1", "Mean F1"),
    ("calibration_error", "Mean calibration error"),
)

# key in metrics.json, heading
_COLUMNS = (
    ("positive_rate", "rate"),
    ("majority_accuracy", "baseline"),
    ("accuracy", "accuracy"),
    ("balanced_accuracy", "balanced"),
    ("precision", "precision"),
    ("recall", "recall"),
    ("f1", "F1"),
    ("average_precision", "average precision"),
    ("roc_auc", "ROC AUC"),
    ("calibration_error", "calibration error"),
    ("brier", "Brier score"),
)

_NAMED = 3  # strongest and weakest attributes


def summary(model: ScoredModel) -> dict[str, Any]:
    """The variables of the section with the means, and the strongest and weakest attributes."""
    means, scores = model.metrics["means"], model.metrics["attributes"]
    ranked = sorted(
        (name for name in scores if scores[name]["balanced_accuracy"] is not None),
        key=lambda name: -scores[name]["balanced_accuracy"],
    )
    named = [{"name": name, "value": scores[name]["balanced_accuracy"]} for name in ranked]
    few = min(_NAMED, len(named) // 2)
    return {
        "tiles": [
            {
                "label": label,
                "value": means[key],
                "interval": means["intervals"][key],
                "note": _tile_note(key, means),
            }
            for key, label in _TILES
        ],
        "strongest": named[:few],
        "weakest": named[::-1][:few],
        "undefined": [
            name
            for name, each in scores.items()
            if each["known"] and each["balanced_accuracy"] is None
        ],
        "without_labels": [name for name, each in scores.items() if not each["known"]],
    }


def _tile_note(key: str, means: Mapping[str, Any]) -> str:
    notes = {
        "accuracy": f"majority-class baseline {percent(means['majority_accuracy'])}",
        "balanced_accuracy": "constant prediction 50\N{NO-BREAK SPACE}%",
        "roc_auc": "guessing 50\N{NO-BREAK SPACE}%",
        "calibration_error": "lower is better",
    }
    return notes.get(key, "")


def by_attribute(model: ScoredModel) -> dict[str, Any]:
    """The variables of the section with the scores of groups and attributes."""
    scores, groups = model.metrics["attributes"], model.metrics["groups"]
    everything = [*scores.values(), *groups.values()]
    ends = [end for each in everything for end in each["intervals"]["balanced_accuracy"] or ()]
    axis = axis_of([*ends, *(each["balanced_accuracy"] for each in everything)], always=(0.5, 1.0))

    def track(each: Mapping[str, Any]) -> Any:
        return axis.track(each["balanced_accuracy"], each["intervals"]["balanced_accuracy"])

    def order(name: str) -> tuple[bool, float]:
        value = scores[name]["balanced_accuracy"]
        return value is None, -(value or 0)

    return {
        "axis": axis,
        "columns": _COLUMNS,
        "groups": [
            {
                "name": group,
                "means": groups[group],
                "track": track(groups[group]),
                "rows": [
                    {"name": name, "scores": scores[name], "track": track(scores[name])}
                    for name in sorted(members, key=order)
                ],
            }
            for group, members in model.groups.items()
        ],
    }


def curves(model: ScoredModel) -> dict[str, Any]:
    """The variables of the section with precision-recall and calibration curves."""
    columns = {name: column for column, name in enumerate(model.groups.attributes)}
    scores = model.metrics["attributes"]
    sections = []
    for group, members in model.groups.items():
        figures = []
        for name in members:
            column = columns[name]
            known = model.labels[:, column] >= 0
            if not known.any():
                continue
            probabilities = model.probabilities[known, column]
            positive = model.labels[known, column] == 1
            figures.append(
                {
                    "name": name,
                    "key": f"curve{column}",
                    "scores": scores[name],
                    "precision": precision_recall(
                        probabilities, positive, float(model.thresholds[column])
                    ),
                    "reliability": reliability(probabilities, positive, joined=False),
                    "description": _curve_description(scores[name]),
                }
            )
        if figures:
            sections.append({"name": group, "figures": figures})
    return {"curves": sections, "overall": _overall(model)}


def _curve_description(scores: Mapping[str, Any]) -> str:
    return (
        f"At the threshold, precision is {percent(scores['precision'])} and recall "
        f"{percent(scores['recall'])}. The average precision is "
        f"{percent(scores['average_precision'])}; guessing has {percent(scores['positive_rate'])}."
    )


def _overall(model: ScoredModel) -> dict[str, Any] | None:
    known = model.labels >= 0
    probabilities, positive = model.probabilities[known], model.labels[known] == 1
    curve = reliability(probabilities, positive, joined=True)
    if curve is None:
        return None
    rows = zip(*reliability_curve(probabilities, positive), strict=True)
    return {
        "curve": curve,
        "rows": [
            {"predicted": float(predicted), "actual": float(actual), "count": int(count)}
            for predicted, actual, count in rows
        ],
    }
