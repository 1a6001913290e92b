"""The content of a page about one model: its scores, its mistakes, and what it looks at."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.evaluation.calibration_error import reliability_curve
from keras_faramtn.evaluation.gaps import Gap
from keras_faramtn.evaluation.subgroups import SubgroupScores
from keras_faramtn.report.cooccurrence import correlations, largest_differences
from keras_faramtn.report.curves import precision_recall, reliability
from keras_faramtn.report.label_noise import LabelSuspects, label_suspects
from keras_faramtn.report.looks_at import (
    mean_attention,
    occluded_faces,
)
from keras_faramtn.report.mistakes import SHOWN, Case, spread, worst_mistakes
from keras_faramtn.report.page import percent, text
from keras_faramtn.report.thumbnails import exact_image, thumbnail
from keras_faramtn.report.tracks import axis_of
from keras_faramtn.report.training_curves import (
    PANELS,
    small_multiples,
    training_panels,
    weights_by_group,
)

# key in metrics.json, title, whether the majority-class baseline has one to compare with
_TILES = (
    ("accuracy", "Mean accuracy"),
    ("balanced_accuracy", "Mean balanced accuracy"),
    ("average_precision", "Mean average precision"),
    ("roc_auc", "Mean area under the ROC curve"),
    ("f1", "Mean F1"),
    ("calibration_error", "Mean calibration error"),
)

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

_RATES = (
    ("accuracy", "accuracy"),
    ("balanced_accuracy", "balanced accuracy"),
    ("true_positive_rate", "true positive rate"),
    ("false_positive_rate", "false positive rate"),
    ("calibration_error", "calibration error"),
)

_KINDS = ((0, "Predicted, but labelled no"), (1, "Missed, but labelled yes"))

_NAMED = 3  # strongest and weakest attributes
_PAIRS = 8
_HEAT = 40  # attributes
_GAPS = 12

_CHOSEN_ON = {
    "train": "The model was trained on these images: the scores do not state how it does on "
    "others.",
    "validation": "The validation split serves to choose recipes, epochs and thresholds, so expect "
    "slightly lower scores on other images. The scores to publish are those of the test split.",
}

LIMITS = (
    "Labels such as Attractive or Young record the judgement of annotators, and a network "
    "reproduces the biases of its labels. Its error rates differ between groups of people. Do not "
    "use its predictions to decide about people. CelebA and LFWA, and networks trained on them, "
    "are for non-commercial research only. Images on this page are subject to the terms of their "
    "data set; pass it on only to those who may see them."
)


@dataclass(frozen=True)
class ScoredModel:
    """A model with its predictions for n labelled images.

    Attributes:
        metrics: the content of its `metrics.json`.
        groups: its groups and k attributes.
        paths: of the n images.
        probabilities: `(n, k)` in 0..1.
        labels: `(n, k)`: 1 yes, 0 no, -1 unknown.
        thresholds: `(k,)`.
        history: of its training, as `read_history` returns it; empty if unknown.
        subgroups: the rates by subgroup, one entry for each column.
        network: the network, if it is one of this package.
    """

    metrics: Mapping[str, Any]
    groups: AttributeGroups
    paths: Sequence[Path]
    probabilities: np.ndarray
    labels: np.ndarray
    thresholds: np.ndarray
    history: Mapping[str, Sequence[float]]
    subgroups: Sequence[SubgroupScores] = ()
    network: keras.Model | None = None


def model_content(
    model: ScoredModel, progress: Callable[[Iterable], Iterable] = iter
) -> dict[str, Any]:
    """The variables of the template `model`, but for those that describe model and page.

    Args:
        model: the model and its predictions.
        progress: wraps the iteration over the sections, as `tqdm.tqdm` does.
    """
    split = model.metrics["split"]
    content: dict[str, Any] = {
        "attributes": model.groups.attributes,
        "notices": [_CHOSEN_ON[split]] if split in _CHOSEN_ON else [],
        "trained_on": split == "train",
        "resamples": model.metrics["bootstrap"]["resamples"],
        "columns": _COLUMNS,
        "limits": LIMITS,
    }
    for describe in progress(_SECTIONS):
        content |= describe(model)
    return content | {"sections": _headings(content)}


def _headings(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The keys and headings of the sections, in their order on the page."""
    sections = [
        ("summary", "Summary"),
        ("attributes", "Scores by attribute"),
        ("curves", "Precision, recall and calibration"),
    ]
    if content["training"]:
        sections.append(("training", "Training"))
    if content["cooccurrence"]:
        sections.append(("cooccurrence", "Attributes that occur together"))
    sections += [
        (each["key"], f"Subgroups by {text(each['scores'].column)}")
        for each in content["subgroup_sections"]
    ]
    return [
        *sections,
        ("mistakes", "The worst mistakes"),
        ("labels", "Labels in doubt"),
        ("looks_at", "What it looks at"),
        ("made", "How this report was made"),
    ]


def _summary(model: ScoredModel) -> dict[str, Any]:
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
        "calibration_error": "the lower, the better",
    }
    return notes.get(key, "")


def _by_attribute(model: ScoredModel) -> dict[str, Any]:
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


def _curves(model: ScoredModel) -> dict[str, Any]:
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


def _training(model: ScoredModel) -> dict[str, Any]:
    history = model.history
    if not history:
        return {"training": None}
    weights = weights_by_group(history)
    keys = [key for name, _, _ in PANELS for key in (name, f"val_{name}") if key in history]
    shown = {key: history[key] for key in keys}
    shown |= {f"weight of {group}": values for group, values in weights.items()}
    training = {
        "panels": training_panels(history),
        "weights": small_multiples(weights, "dws", "Weight of the loss"),
        "headings": [key.replace("val_", "validation ") for key in shown],
        "rows": list(zip(*shown.values(), strict=True)),
    }
    return {"training": training}


def _cooccurrence(model: ScoredModel) -> dict[str, Any]:
    if len(model.groups.attributes) < 2:
        return {"cooccurrence": None}
    predicted, known = model.probabilities > model.thresholds, model.labels >= 0
    often, rarely = largest_differences(predicted, model.labels, _PAIRS)
    of_labels = correlations(model.labels == 1, known)
    of_predictions = correlations(predicted, known)
    position = {name: column for column, name in enumerate(model.groups.attributes)}
    in_groups = [position[name] for members in model.groups.values() for name in members]
    difference = np.nan_to_num(np.abs(of_predictions - of_labels)).max(axis=0)
    drawn = set(np.argsort(-difference, kind="stable")[:_HEAT].tolist())
    order = [column for column in in_groups if column in drawn]
    square = np.ix_(order, order)
    values = np.where(np.tri(len(order), dtype=bool), of_labels[square], of_predictions[square])
    np.fill_diagonal(values, np.nan)
    cooccurrence = {
        "often": often,
        "rarely": rarely,
        "omitted": len(in_groups) - len(order),
        "heat": {
            "names": [model.groups.attributes[column] for column in order],
            "image": exact_image(_heat_pixels(values)),
        },
    }
    return {"cooccurrence": cooccurrence}


def _heat_pixels(values: np.ndarray) -> np.ndarray:
    """Correlations as colours: orange above 0, blue below, transparent at 0; NaN is grey."""
    orange, blue, grey = (213, 94, 0), (0, 114, 178), (128, 128, 128)
    pixels = np.empty((*values.shape, 4), "uint8")
    pixels[..., :3] = np.where((values > 0)[..., np.newaxis], orange, blue)
    # Most correlations are small; the power makes them visible.
    pixels[..., 3] = 255 * np.abs(np.nan_to_num(values)) ** 0.7
    pixels[np.isnan(values)] = (*grey, 90)
    return pixels


def _subgroups(model: ScoredModel) -> dict[str, Any]:
    sections = [
        _subgroup_section(scores, f"subgroups_{number}")
        for number, scores in enumerate(model.subgroups, 1)
    ]
    return {"subgroup_sections": sections}


def _subgroup_section(scores: SubgroupScores, key: str) -> dict[str, Any]:
    titles = dict(_RATES)
    means = [
        ("mean of the attributes", titles[rate], gap)
        for rate, gap in scores.mean_gaps.items()
        if gap is not None
    ]
    found = [
        (name, titles[rate], gap)
        for name, gaps in scores.gaps.items()
        for rate, gap in gaps.items()
        if gap is not None and gap.excludes_zero
    ]
    found = sorted(found, key=lambda each: -abs(each[2].value))[:_GAPS]
    ends = [end for _, _, gap in (*means, *found) for end in (gap.low, gap.high)]
    axis = axis_of(ends, always=[0.0], intervals=4)

    def row(attribute: str, rate: str, gap: Gap) -> dict[str, Any]:
        track = axis.track(gap.value, (gap.low, gap.high))
        return {"attribute": attribute, "rate": rate, "gap": gap, "track": track}

    return {
        "key": key,
        "scores": scores,
        "rates": _RATES,
        "axis": axis,
        "means": [row(*each) for each in means],
        "gaps": [row(*each) for each in found],
    }


def _mistakes_and_suspects(model: ScoredModel) -> dict[str, Any]:
    mistakes = {
        label: worst_mistakes(model.probabilities, model.labels, model.thresholds, label=label)
        for label, _ in _KINDS
    }
    kinds = [
        {"heading": heading, "cards": [_card(model, case) for case in mistakes[label]]}
        for label, heading in _KINDS
    ]
    shown = {(case.row, case.column) for cases in mistakes.values() for case in cases}
    return {"mistakes": kinds, "suspects": _suspects(model, shown)}


def _card(model: ScoredModel, case: Case) -> dict[str, Any]:
    path = model.paths[case.row]
    return {
        "image": thumbnail(path),
        "file": path.name,
        "attribute": model.groups.attributes[case.column],
        "label": "yes" if model.labels[case.row, case.column] == 1 else "no",
        "probability": float(model.probabilities[case.row, case.column]),
    }


def _suspects(model: ScoredModel, mistakes: set[tuple[int, int]]) -> dict[str, Any] | None:
    """The labels in doubt; None if cleanlab is not installed.

    Args:
        model: the model and its predictions.
        mistakes: the rows and columns of mistakes that are shown already.
    """
    try:
        found = label_suspects(model.probabilities, model.labels)
    except ModuleNotFoundError:
        return None
    in_doubt = {(int(row), each.column) for each in found for row in each.rows}
    cases = spread((_cases(each, model, mistakes) for each in found), SHOWN)
    return {
        "above": len(in_doubt & mistakes),
        "mistakes": len(mistakes),
        "total": len(in_doubt),
        "known": sum(each.known for each in found),
        "cards": [_card(model, case) for case in cases],
        "rows": [
            {
                "name": model.groups.attributes[each.column],
                "known": each.known,
                "count": len(each.rows),
                "yes": int((model.labels[each.rows, each.column] == 1).sum()),
            }
            for each in sorted(found, key=lambda each: -len(each.rows) / each.known)
            if len(each.rows)
        ],
    }


def _cases(suspects: LabelSuspects, model: ScoredModel, shown: set[tuple[int, int]]) -> list[Case]:
    """The suspects that are not shown yet, by how little the model believes the label."""
    column = suspects.column
    return [
        Case(
            int(row),
            column,
            float(abs(model.labels[row, column] - model.probabilities[row, column])),
        )
        for row in suspects.rows
        if (int(row), column) not in shown
    ]


def _looks_at(model: ScoredModel) -> dict[str, Any]:
    if model.network is None:
        return {"looks_at": None}
    attention = mean_attention(model.network, model.paths)
    faces = occluded_faces(
        model.network,
        model.paths,
        model.probabilities,
        model.labels,
        model.groups.attributes,
        _most_typical(model),
    )
    rows = zip(attention.maps, attention.to_groups, strict=True) if attention else ()
    return {"looks_at": {"attention": attention, "faces": faces, "rows": list(rows)}}


def _most_typical(model: ScoredModel) -> list[str]:
    """The attribute of each group with the highest balanced accuracy, the highest first."""
    scores = model.metrics["attributes"]

    def balanced(name: str) -> float:
        return scores[name]["balanced_accuracy"] or 0.0

    return sorted((max(members, key=balanced) for members in model.groups.values()), key=balanced)[
        ::-1
    ]


_SECTIONS: tuple[Callable[[ScoredModel], dict[str, Any]], ...] = (
    _summary,
    _by_attribute,
    _curves,
    _training,
    _cooccurrence,
    _subgroups,
    _mistakes_and_suspects,
    _looks_at,
)
"""What computes the template's variables, section by section."""
