"""Evaluates a model on one split of a data set and writes the report."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from keras_faramtn.atomic_files import atomic_folder, check_folder
from keras_faramtn.attributes import DEFAULT_THRESHOLD
from keras_faramtn.data.check import check_data
from keras_faramtn.data.images import load_image
from keras_faramtn.data.pipeline import EVALUATION_BATCH_SIZE, make_dataset
from keras_faramtn.data.table import SPLITS, FaceTable
from keras_faramtn.errors import InputError
from keras_faramtn.evaluation import plots, report
from keras_faramtn.evaluation.predictions_file import PREDICTIONS_FILE, write_predictions
from keras_faramtn.evaluation.scores import Scores, positive_rates, predict_probabilities, score
from keras_faramtn.evaluation.thresholds import choose_thresholds, cross_fitted, read_thresholds
from keras_faramtn.models import groups_of, inference_model, load_model
from keras_faramtn.models.record import record_of

METRICS_FILE = "metrics.json"
CONTACT_SHEET_FILE = "contact_sheet.png"

_CONTACT_SHEET_FACES = 12

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Evaluation:
    """The predictions of a model on n labelled images, and their scores.

    Attributes:
        scores: the scores of all attributes and their means.
        probabilities: `(n, k)` float32 in 0..1, columns in canonical order.
        labels: `(n, k)` int8: 1 yes, 0 no, -1 unknown.
    """

    scores: Scores
    probabilities: np.ndarray
    labels: np.ndarray


def evaluate_model(
    model: keras.Model,
    table: FaceTable,
    *,
    training_rates: np.ndarray | None = None,
    thresholds: float | np.ndarray = DEFAULT_THRESHOLD,
    progress: Callable[[Iterable], Iterable] = iter,
) -> Evaluation:
    """Predicts the images of a table and scores the predictions. Writes and prints nothing.

    Args:
        model: a network of this package.
        table: the images and labels, such as `read_dataset(folder).split("test")`.
        training_rates: the positive rates of the attributes in training, for the majority-class
            baseline, as in `score`.
        thresholds: an attribute is predicted if its probability is above its threshold; one for
            all attributes, or `(k,)`.
        progress: wraps the iteration over the batches, as `tqdm.tqdm` does.

    Raises:
        InputError: as in `make_dataset` and `score`.

    Example:
        >>> import tempfile
        >>> from keras_faramtn import MultiLabel, read_dataset
        >>> from keras_faramtn.synthetic.dataset import synthesize
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     table = read_dataset(synthesize(f"{folder}/faces", 4, image_size=(32, 32)))
        ...     model = MultiLabel("mobilenetv3_small", table.attributes, (32, 32, 3))
        ...     evaluation = evaluate_model(model, table)
        >>> evaluation.probabilities.shape, 0 <= evaluation.scores.mean_accuracy <= 1
        ((4, 40), True)
    """
    groups = groups_of(model)
    dataset = make_dataset(table, groups, model.input_shape[1:3], EVALUATION_BATCH_SIZE)
    probabilities, labels = predict_probabilities(inference_model(model), dataset, groups, progress)
    scores = score(probabilities, labels, groups.attributes, thresholds, training_rates)
    return Evaluation(scores, probabilities, labels)


def evaluate_split(
    model: keras.Model,
    table: FaceTable,
    split: str,
    folder: Path,
    *,
    data: str,
    training: FaceTable | None = None,
    thresholds: float | np.ndarray = DEFAULT_THRESHOLD,
) -> Evaluation:
    """Evaluates a model on one split, logs the table of scores and writes the report.

    On the validation split it also chooses thresholds for balanced accuracy, and reports the scores
    that such thresholds achieve on images that they were not chosen on.

    Args:
        model, thresholds: as in `evaluate_model`.
        table: all splits of the data.
        split: `train`, `validation` or `test`.
        folder: an existing folder, for `METRICS_FILE`, `CONTACT_SHEET_FILE` and
            `PREDICTIONS_FILE`.
        data: name of the data set in the report.
        training: the images that the model was trained on, for the majority-class baseline.

    Raises:
        InputError: if the split has no images; or as in `evaluate_model`.
    """
    groups, images = groups_of(model), table.split(split)
    evaluation = evaluate_model(
        model,
        images,
        training_rates=None if training is None else positive_rates(training.labels),
        thresholds=thresholds,
        progress=lambda batches: tqdm(batches, desc="Evaluating", unit=" batch", disable=None),
    )
    probabilities, labels = evaluation.probabilities, evaluation.labels
    chosen = on_other_half = None
    if split == "validation" and len(labels) > 1:
        chosen = choose_thresholds(probabilities, labels)
        on_other_half = cross_fitted(probabilities, labels, groups.attributes)
    size = model.input_shape[1:3]
    plots.contact_sheet(
        np.stack([load_image(path, size) for path in images.paths[:_CONTACT_SHEET_FACES]]),
        probabilities[:_CONTACT_SHEET_FACES],
        labels[:_CONTACT_SHEET_FACES],
        groups.attributes,
        folder / CONTACT_SHEET_FILE,
        thresholds,
    )
    write_predictions(folder / PREDICTIONS_FILE, probabilities, images, training)
    # Written last: this file marks a run as finished.
    report.write_metrics(
        folder / METRICS_FILE,
        report.metrics(
            evaluation.scores,
            groups,
            data=data,
            split=split,
            model=model.name,
            chosen=chosen,
            cross_fitted=on_other_half,
        ),
    )
    logger.info(report.table(evaluation.scores, groups, on_other_half))
    return evaluation


def evaluate_file(
    model_file: Path,
    data: Path,
    split: str,
    folder: Path,
    *,
    thresholds: Path | None = None,
    skip_bad: bool = False,
) -> None:
    """The command `faramtn evaluate`: evaluates a model file on one split of a data set.

    Args:
        model_file: a `.keras` file of this package.
        data: the data set, as `read_dataset` takes it.
        split: `train`, `validation` or `test`.
        folder: a new or empty folder for the report, written with `atomic_folder`.
        thresholds: the `metrics.json` of a training run, for its chosen thresholds; None for those
            that the model records, or 0.5.
        skip_bad: skip rows and images that cannot be used.

    Raises:
        InputError: if the model, the data, the split, the thresholds or the folder is unusable.
    """
    if split not in SPLITS:
        raise InputError(f"unknown split {split!r}; choose one of {', '.join(SPLITS)}.")
    check_folder(folder)
    model = load_model(model_file)
    attributes = groups_of(model).attributes
    values: float | np.ndarray = DEFAULT_THRESHOLD
    recorded = record_of(model).thresholds
    if thresholds:
        values = read_thresholds(thresholds, attributes)
    elif recorded is not None:
        values = np.array(recorded)
    with atomic_folder(folder) as report_folder:
        table = check_data(data, attributes, skip_bad=skip_bad)
        name = data.resolve().name
        evaluate_split(model, table, split, report_folder, data=name, thresholds=values)
    logger.info("%s and %s are in %s/", METRICS_FILE, CONTACT_SHEET_FILE, folder)
