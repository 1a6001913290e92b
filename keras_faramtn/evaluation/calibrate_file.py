"""The command `faramtn calibrate`: calibrates a model file on one split of a data set."""

import contextlib
import functools
import itertools
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from scipy.special import expit
from tqdm import tqdm

from keras_faramtn.atomic_files import atomic_folder, atomic_write_bytes, check_folder
from keras_faramtn.data.check import check_data
from keras_faramtn.data.images import load_image
from keras_faramtn.data.table import SPLITS, FaceTable
from keras_faramtn.errors import InputError
from keras_faramtn.evaluation.bootstrap import score_intervals
from keras_faramtn.evaluation.calibration import (
    FIGURES,
    TEMPERATURE_BOUNDS,
    Calibration,
    Predictions,
    calibrated,
    cross_calibrated,
    fit_calibration,
    measure,
)
from keras_faramtn.evaluation.calibration_plot import calibration_figure
from keras_faramtn.evaluation.calibration_summary import calibration_summary, measured_images
from keras_faramtn.evaluation.metrics_file import METRICS_FILE, metrics, versions, write_metrics
from keras_faramtn.evaluation.scores import score
from keras_faramtn.evaluation.thresholds import MAXIMISABLE
from keras_faramtn.evaluation.undefined import mean_of_defined, none_if_nan
from keras_faramtn.keras_files import MODEL_FILE
from keras_faramtn.models import groups_of, load_model
from keras_faramtn.models.heads import heads_of
from keras_faramtn.models.record import apply_temperatures, record_of, set_thresholds
from keras_faramtn.threads import map_ahead

CALIBRATION_FILE = "calibration.json"
CALIBRATION_FIGURE_FILE = "calibration.png"

SCHEMA_VERSION = 1
"""The version of the format of `CALIBRATION_FILE`."""

# For each split that is fitted on, those whose images can show the result, the best one first. The
# network was trained on the images of `train`.
_OTHER_SPLITS = {"train": ("test", "validation"), "validation": ("test",), "test": ()}

_BATCH_SIZE = 64

_EXPORTED = (".tflite", ".onnx")

logger = logging.getLogger(__name__)


def calibrate_file(
    model_file: str | Path,
    data: Path,
    folder: Path,
    *,
    split: str = "validation",
    maximise: str | None = None,
    skip_bad: bool = False,
) -> None:
    """Fits temperatures, and thresholds if asked to, and writes the calibrated model.

    What they achieve is measured on images that they were not fitted on: those of the test split
    (of the validation split, if they were fitted on the train split and there is no test split), or
    if there are none, on one half of the split with what is fitted on the other half, and vice
    versa.

    Args:
        model_file: what `load_model` takes. It stays as it is.
        data: the data set, as `read_dataset` takes it.
        folder: a new or empty folder, written with `atomic_folder`: `MODEL_FILE`;
            `CALIBRATION_FILE`, see `calibration_content`; `CALIBRATION_FIGURE_FILE`; and
            `METRICS_FILE` with the scores of the calibrated model, on the same images.
        split: the split to fit on: `train`, `validation` or `test`.
        maximise: what the thresholds maximise, as in `choose_thresholds`; None to predict the same
            attributes as before.
        skip_bad: skip rows and images that cannot be used.

    Raises:
        InputError: the model, the data, the split or the folder is unusable, or no attribute has
            both yes and no labels.
    """
    if split not in SPLITS:
        raise InputError(f"unknown split {split!r}; choose one of {', '.join(SPLITS)}.")
    if maximise is not None and maximise not in MAXIMISABLE:
        raise InputError(f"can't maximise {maximise!r}; choose one of {', '.join(MAXIMISABLE)}.")
    if str(model_file).endswith(_EXPORTED) or "://" in str(model_file).removeprefix("hf://"):
        raise InputError(
            f"{model_file}: temperatures change the weights, which can't be changed there; "
            "calibrate the .keras file, and export it again."
        )
    check_folder(folder)
    model = load_model(model_file)
    groups = groups_of(model)
    with atomic_folder(folder) as new_folder:
        table = check_data(data, groups.attributes, skip_bad=skip_bad)
        fitted = table.split(split)
        _refuse_constant(fitted, split)
        predictions = _predict(model, fitted, split)
        calibration = fit_calibration(predictions.logits, fitted.labels, maximise)
        held_out_split = _held_out_split(table, split)
        if held_out_split is None:
            held_out, before = fitted, predictions
            after = cross_calibrated(before, fitted.labels, maximise)
        else:
            held_out = table.split(held_out_split)
            before = _predict(model, held_out, held_out_split)
            after = calibrated(before, calibration)
        figures = {
            "before": measure(before, held_out.labels, groups.attributes),
            "after": measure(after, held_out.labels, groups.attributes),
        }
        content = calibration_content(
            groups.attributes,
            calibration,
            fitted_on={"split": split, "images": len(fitted)},
            measured_on={
                "split": held_out_split or split,
                "images": len(held_out),
                "cross_fitted": held_out_split is None,
            },
            **figures,
            fitted_labels=fitted.labels,
            maximise=maximise,
            data=data.resolve().name,
            model=Path(model_file).name,
        )
        apply_temperatures(model, calibration.temperatures.tolist())
        if calibration.thresholds is not None:
            set_thresholds(model, calibration.thresholds.tolist())
        model.save(new_folder / MODEL_FILE)
        calibration_figure(
            {"before": before.probabilities, "after": after.probabilities},
            held_out.labels,
            {when: each["calibration_error"] for when, each in figures.items()},
            groups.attributes,
            new_folder / CALIBRATION_FIGURE_FILE,
            measured_images(content),
        )
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        atomic_write_bytes(new_folder / CALIBRATION_FILE, text.encode())
        # The model predicts these, also where `after` is cross-fitted.
        _write_metrics(new_folder, model, calibrated(before, calibration), held_out, content)
    logger.info(calibration_summary(content))
    files = f"{MODEL_FILE}, {CALIBRATION_FILE}, {CALIBRATION_FIGURE_FILE} and {METRICS_FILE}"
    logger.info("%s are in %s/", files, folder)


def calibration_content(
    attributes: Sequence[str],
    calibration: Calibration,
    *,
    fitted_on: Mapping[str, Any],
    measured_on: Mapping[str, Any],
    before: Mapping[str, np.ndarray],
    after: Mapping[str, np.ndarray],
    fitted_labels: np.ndarray,
    maximise: str | None,
    data: str,
    model: str,
) -> dict[str, Any]:
    """The content of `CALIBRATION_FILE`: JSON types only, null where a figure is not defined.

    Returns:
        `schema_version`; `model` and `data`, their names; `fitted_on` with `split` and `images`;
        `measured_on` with the same and `cross_fitted`; `maximise`; `before` and `after`, the mean
        of each of `FIGURES` over the attributes; `attributes`, by name: the number of `known`
        labels that the fit used, the `temperature`, `note` (null, or why it tells little), the
        `threshold` (null if none was chosen), and `before` and `after`; and `versions`.
    """
    yes, known = (fitted_labels > 0).sum(axis=0), (fitted_labels >= 0).sum(axis=0)
    thresholds = calibration.thresholds
    by_attribute = {
        name: {
            "known": int(known[column]),
            "temperature": float(calibration.temperatures[column]),
            "note": _note(calibration.temperatures[column], int(yes[column]), int(known[column])),
            "threshold": None if thresholds is None else float(thresholds[column]),
            "before": {figure: none_if_nan(before[figure][column]) for figure in FIGURES},
            "after": {figure: none_if_nan(after[figure][column]) for figure in FIGURES},
        }
        for column, name in enumerate(attributes)
    }
    return {
        "schema_version": SCHEMA_VERSION,
        "model": model,
        "data": data,
        "fitted_on": dict(fitted_on),
        "measured_on": dict(measured_on),
        "maximise": maximise,
        "before": _means(before),
        "after": _means(after),
        "attributes": by_attribute,
        "versions": versions(),
    }


def _predict(model: keras.Model, table: FaceTable, split: str) -> Predictions:
    """The logits, and the attributes predicted at the thresholds that the model records.

    Float32 probabilities would be 0 or 1 where the network is certain.
    """
    groups, heads = groups_of(model), heads_of(model)
    network = keras.Model(model.inputs[0], [head.output for head in heads])
    logits = np.empty((len(table), len(groups.attributes)))
    # Decoded as in `evaluate_model`, so that `faramtn evaluate` gives the same scores.
    load = functools.partial(load_image, image_size=model.input_shape[1:3])
    starts = range(0, len(table), _BATCH_SIZE)
    with contextlib.closing(map_ahead(load, table.paths, limit=_BATCH_SIZE)) as images:
        for start in tqdm(starts, desc=f"Predicting {split}", unit=" batch", disable=None):
            batch = np.stack(list(itertools.islice(images, _BATCH_SIZE)))
            outputs = network.predict_on_batch(batch)
            for head, values in zip(heads, keras.tree.flatten(outputs), strict=True):
                logits[start : start + len(batch), list(head.positions)] = values
    if not np.isfinite(logits).all():
        row, column = np.argwhere(~np.isfinite(logits))[0]
        raise InputError(
            f"{table.paths[row]}: the logit of {groups.attributes[column]} is "
            f"{logits[row, column]}; the network's weights are not finite: its training has "
            "diverged."
        )
    return Predictions(logits, expit(logits) > record_of(model).decision_thresholds)


def _held_out_split(table: FaceTable, split: str) -> str | None:
    filled = (name for name in _OTHER_SPLITS[split] if (table.splits == SPLITS[name]).any())
    return next(filled, None)


def _refuse_constant(table: FaceTable, split: str) -> None:
    if not ((table.labels > 0).any(axis=0) & (table.labels == 0).any(axis=0)).any():
        raise InputError(
            f"{table.source}: no attribute has both yes and no labels in the {split} split, so "
            "nothing can be fitted; choose another split, or more images."
        )


def _note(temperature: float, yes: int, known: int) -> str | None:
    if yes in (0, known):
        return "not fitted: all known labels are equal" if known else "not fitted: no known label"
    return _AT_BOUNDS.get(temperature)


_AT_BOUNDS = {
    TEMPERATURE_BOUNDS[0]: "the lowest: the logits separate the labels, or are close to 0",
    TEMPERATURE_BOUNDS[1]: "the highest: the logits say nothing about the labels, or the contrary",
}


def _means(figures: Mapping[str, np.ndarray]) -> dict[str, float | None]:
    return {figure: none_if_nan(float(mean_of_defined(figures[figure]))) for figure in FIGURES}


def _write_metrics(
    folder: Path,
    model: keras.Model,
    predictions: Predictions,
    table: FaceTable,
    content: Mapping[str, Any],
) -> None:
    record = record_of(model)
    groups = record.groups
    probabilities = predictions.probabilities
    scores = score(probabilities, table.labels, groups.attributes, record.decision_thresholds)
    intervals = score_intervals(
        scores,
        groups,
        probabilities,
        table.labels,
        progress=functools.partial(tqdm, desc="Resampling", unit=" block", disable=None),
    )
    write_metrics(
        folder / METRICS_FILE,
        metrics(
            scores,
            intervals,
            groups,
            data=content["data"],
            split=content["measured_on"]["split"],
            model=MODEL_FILE,
            calibration={
                "fitted_on": content["fitted_on"],
                "fitted_on_the_evaluated_images": content["measured_on"]["cross_fitted"],
                "maximise": content["maximise"],
                "held_out": {
                    **content["measured_on"],
                    "before": content["before"],
                    "after": content["after"],
                },
            },
        ),
    )
