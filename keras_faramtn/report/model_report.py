"""The content of a page about one model, section by section."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from keras_faramtn.evaluation.convergence import LEVELS
from keras_faramtn.report.convergence_section import convergence_section
from keras_faramtn.report.cooccurrence import correlations, largest_differences
from keras_faramtn.report.face_sections import looks_at, mistakes_and_suspects
from keras_faramtn.report.page import text
from keras_faramtn.report.score_sections import by_attribute, curves, summary
from keras_faramtn.report.scored_model import ScoredModel
from keras_faramtn.report.subgroup_sections import subgroups
from keras_faramtn.report.thumbnails import exact_image
from keras_faramtn.report.training_curves import (
    PANELS,
    small_multiples,
    training_panels,
    weights_by_group,
)

_PAIRS = 8  # predicted together too often, and as many too rarely
_HEAT = 40  # attributes in the map of correlations

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
    "are for non-commercial research only."
)

_IMAGE_TERMS = (
    "Images on this page are subject to the terms of their data set; pass it on only to those who "
    "may see them."
)


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
        "limits": f"{LIMITS} {_IMAGE_TERMS}",
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


def _training(model: ScoredModel) -> dict[str, Any]:
    history = model.history
    if not history:
        return {"training": None}
    weights = weights_by_group(history)
    keys = [key for name, _, _ in PANELS for key in (name, f"val_{name}") if key in history]
    scores = {key.replace("val_", "validation "): history[key] for key in keys}
    tables: list[tuple[str, Mapping[str, Sequence[float]]]] = [
        ("Losses, and scores from 0 to 1, by epoch", scores)
    ]
    if weights:
        tables.append(("Weights of the groups' losses by epoch", weights))
    training = {
        "panels": training_panels(history),
        "convergence": model.convergence
        and convergence_section({"levels": LEVELS, "networks": {"": model.convergence}}),
        "weights": small_multiples(weights, "dws", "Weight of the loss"),
        "tables": [
            {
                "caption": caption,
                "headings": list(by_name),
                "rows": list(zip(*by_name.values(), strict=True)),
            }
            for caption, by_name in tables
        ],
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


_SECTIONS: tuple[Callable[[ScoredModel], dict[str, Any]], ...] = (
    summary,
    by_attribute,
    curves,
    _training,
    _cooccurrence,
    subgroups,
    mistakes_and_suspects,
    looks_at,
)
"""What computes the template's variables, section by section."""
