"""Scores a model on one split of a data set, and writes the report."""

from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from keras_faramtn.atomic_files import make_empty_folder
from keras_faramtn.attributes import DEFAULT_THRESHOLD
from keras_faramtn.data.check import check_data
from keras_faramtn.data.pipeline import EVALUATION_BATCH_SIZE, make_dataset
from keras_faramtn.data.table import SPLITS, FaceTable
from keras_faramtn.errors import InputError
from keras_faramtn.evaluation import plots, report
from keras_faramtn.evaluation.scores import Scores, predict_probabilities, score
from keras_faramtn.evaluation.thresholds import choose_thresholds, cross_fitted, read_thresholds
from keras_faramtn.models import groups_of, inference_model, load_model

METRICS_FILE = "metrics.json"


_SHEET_FACES = 12


def evaluate(
    model: keras.Model,
    table: FaceTable,
    split: str,
    *,
    data: str,
    folder: Path,
    training_rates: np.ndarray | None = None,
    thresholds: float | np.ndarray = DEFAULT_THRESHOLD,
) -> Scores:
    """Scores a model on one split of the data; prints the table of all scores.

    On the validation split it chooses the attributes' thresholds for balanced accuracy besides, and
    says what they achieve on images that they were not chosen on.

    Args:
        model: a network of this package.
        table: the data.
        split: `train`, `validation` or `test`.
        data: what the data is called in the report.
        folder: where `metrics.json` and `contact_sheet.png` are written.
        training_rates: the attributes' positive rates in training, for the majority baseline.
        thresholds: a probability above it says yes; one for all attributes, or `(k,)`.

    Raises:
        InputError: the split has no images.
    """
    groups, inference = groups_of(model), inference_model(model)
    dataset = make_dataset(
        table.split(split), groups, model.input_shape[1:3], EVALUATION_BATCH_SIZE
    )
    probabilities, labels = predict_probabilities(
        inference, dataset, groups, lambda batches: tqdm(batches, desc="Evaluating", unit=" batch")
    )
    scores = score(
        probabilities, labels, groups.attributes, thresholds, training_rates=training_rates
    )
    chosen = unseen = None
    if split == "validation" and len(labels) > 1:
        chosen = choose_thresholds(probabilities, labels)
        unseen = cross_fitted(probabilities, labels, groups.attributes)
    print(report.table(scores, groups, unseen))
    faces = next(iter(dataset))[0].numpy()[:_SHEET_FACES]
    count = len(faces)
    plots.contact_sheet(
        faces,
        probabilities[:count],
        labels[:count],
        groups.attributes,
        folder / "contact_sheet.png",
        thresholds,
    )
    # Last: it is what says that a run is finished.
    report.write_metrics(
        folder / METRICS_FILE,
        report.metrics(
            scores,
            groups,
            data=data,
            split=split,
            model=model.name,
            chosen=chosen,
            cross_fitted=unseen,
        ),
    )
    return scores


def evaluate_file(
    model_file: Path,
    data: Path,
    split: str,
    folder: Path,
    *,
    thresholds: Path | None = None,
    skip_bad: bool = False,
) -> None:
    """Scores a model file on one split of a data set; the arguments are those of the command.

    Raises:
        InputError: anything wrong with the model, the data or the split.
    """
    if split not in SPLITS:
        raise InputError(f"there is no split {split!r}; choose one of {', '.join(SPLITS)}.")
    model = load_model(model_file)
    attributes = groups_of(model).attributes
    answering = read_thresholds(thresholds, attributes) if thresholds else DEFAULT_THRESHOLD
    make_empty_folder(folder)
    table = check_data(data, attributes, skip_bad=skip_bad)
    evaluate(model, table, split, data=data.resolve().name, folder=folder, thresholds=answering)
    print(f"metrics.json and contact_sheet.png are in {folder}/")
