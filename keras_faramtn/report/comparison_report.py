"""The content of a page about a comparison of networks."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from keras_faramtn.callbacks.history_file import read_history
from keras_faramtn.counted import counted
from keras_faramtn.errors import InputError, reason
from keras_faramtn.evaluation.machine import describe_machine
from keras_faramtn.evaluation.metrics_file import describe_versions
from keras_faramtn.evaluation.paired_comparison import (
    COMPARED_SCORES,
    IMAGES_AND_SEEDS,
    excludes_zero,
    interval_over,
)
from keras_faramtn.experiments.compare import COMPARISON_FILE, RUNS_FOLDER
from keras_faramtn.json_files import read_json
from keras_faramtn.report.convergence_section import convergence_section
from keras_faramtn.report.model_report import LIMITS
from keras_faramtn.report.page import text
from keras_faramtn.report.tracks import axis_of
from keras_faramtn.report.training_curves import small_multiples

logger = logging.getLogger(__name__)

# key in the history, title, whether it is a fraction
_CURVES = (
    ("loss", "Training loss", False),
    ("val_loss", "Validation loss", False),
    ("val_balanced_accuracy", "Balanced accuracy on the validation split", True),
)


def comparison_content(folder: Path) -> dict[str, Any]:
    """The variables of the template `comparison`, but for those that describe the page itself.

    Args:
        folder: the folder of `faramtn compare`; only `comparison.json` has to be there. Training
            curves are drawn if it contains the runs too.

    Raises:
        InputError: a file can't be read, or has another content.
    """
    path = folder / COMPARISON_FILE
    comparison = read_json(path)
    try:
        content = _content(comparison)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        problem = f"{error} is missing" if isinstance(error, KeyError) else reason(error)
        raise InputError(
            f"{path}: this file is not a result of `faramtn compare`: {problem}."
        ) from error
    histories = {name: _mean_history(folder, name) for name in comparison["networks"]}
    curves = _curves({name: each for name, each in histories.items() if each})
    sections = [
        ("scores", "Scores"),
        ("differences", "Differences"),
        ("cost", "Cost"),
        ("attributes", "Balanced accuracy by attribute"),
        *([("training", "Training")] if curves else []),
        *([("convergence", "Convergence of the groups")] if content["convergence"] else []),
        ("recipe", "Recipe"),
        ("made", "How this report was made"),
    ]
    return content | {"curves": curves, "sections": sections}


def _content(comparison: Mapping[str, Any]) -> dict[str, Any]:
    networks, seeds = comparison["networks"], comparison["seeds"]
    return {
        "title": f"Comparison of {len(networks)} networks",
        "subtitle": f"Scored on {counted(comparison['images'], 'image')} of "
        f"{comparison['data']}, {comparison['split']} split; "
        f"{counted(len(seeds), 'seed')} for each network",
        "comparison": comparison,
        "scores": [(key, text(key)) for key in COMPARED_SCORES],
        "score_rows": _score_rows(networks),
        "differences": [
            _differences(other, comparison["differences"][other])
            for other in comparison["differences"]
        ],
        "over_seeds": interval_over(comparison) == IMAGES_AND_SEEDS,
        "largest_cost": {
            key: max(each[key] for each in networks.values())
            for key in ("parameters", "train_step_ms")
        },
        "attribute_rows": _attribute_rows(comparison),
        # Files of networks without groups, and older ones, do not have it.
        "convergence": convergence_section(comparison["convergence"])
        if "convergence" in comparison
        else None,
        "recipe": yaml.safe_dump(comparison["recipe"], sort_keys=False, allow_unicode=True),
        "made": [
            ("Command of the comparison", comparison["command"]),
            (
                "Software of the comparison",
                describe_versions(comparison["versions"]),
            ),
            ("Computer of the comparison", describe_machine(comparison["machine"])),
        ],
        "limits": LIMITS,
    }


def _score_rows(networks: Mapping[str, Any]) -> list[dict[str, Any]]:
    best = {
        key: max((each[key]["mean"] or 0.0 for each in networks.values()), default=0.0)
        for key in COMPARED_SCORES
    }
    return [
        {
            "name": name,
            "scores": [
                {**each[key], "best": each[key]["mean"] == best[key]} for key in COMPARED_SCORES
            ],
        }
        for name, each in networks.items()
    ]


def _differences(other: str, by_name: Mapping[str, Any]) -> dict[str, Any]:
    shown = [each[key] for each in by_name.values() for key in COMPARED_SCORES]
    ends = [each[end] for each in shown for end in ("low", "high", "mean")]
    ends += [value for each in shown for value in each["by_seed"]]
    axis = axis_of(ends, always=[0.0], intervals=4)
    return {
        "other": other,
        "axis": axis,
        "rows": [
            {
                "name": name,
                "cells": [_difference(each[key], axis) for key in COMPARED_SCORES],
            }
            for name, each in by_name.items()
        ],
    }


def _difference(each: Mapping[str, Any], axis: Any) -> dict[str, Any]:
    defined = each["mean"] is not None and each["low"] is not None
    significant = defined and excludes_zero(each)
    kind = "none" if not significant else "" if each["mean"] > 0 else "worse"
    ends = (each["low"], each["high"]) if defined else None
    seeds = each["by_seed"] if len(each["by_seed"]) > 1 else ()
    return {
        **each,
        "kind": kind,
        "track": axis.track(each["mean"] if defined else None, ends, seeds),
    }


def _attribute_rows(comparison: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Balanced accuracy of each network, and by how much the best exceeds the worst."""
    rows = []
    for name, each in comparison["attributes"].items():
        values = each["balanced_accuracy"]
        defined = [value for value in values.values() if value is not None]
        rows.append(
            {
                "name": name,
                "rate": each["positive_rate"],
                "values": [values[network] for network in comparison["networks"]],
                "best": max(defined, default=None),
                "range": max(defined) - min(defined) if defined else None,
            }
        )
    return sorted(rows, key=lambda row: -(row["range"] or 0.0))


def _mean_history(folder: Path, network: str) -> dict[str, list[float]]:
    """The history of a network, its mean over the seeds; empty if it is missing or damaged."""
    runs = sorted((folder / RUNS_FOLDER / network).glob("seed_*/"))
    try:
        histories = [each for run in runs if (each := read_history(run))]
    except InputError as error:
        logger.warning("%s The training curves leave out %s.", error, network)
        return {}
    if not histories:
        return {}
    epochs = min(len(next(iter(each.values()))) for each in histories)
    return {
        key: np.mean([each[key][:epochs] for each in histories], axis=0).tolist()
        for key in histories[0]
        if all(key in each for each in histories)
    }


def _curves(histories: Mapping[str, Mapping[str, list[float]]]) -> list[dict[str, Any]]:
    return [
        {
            "title": title,
            "figures": small_multiples(
                {name: each[key] for name, each in histories.items() if key in each},
                key,
                title,
                percent=fraction,
            ),
        }
        for key, title, fraction in _CURVES
        if any(key in each for each in histories.values())
    ]
