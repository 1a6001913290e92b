"""Evaluates a model on one split of a data set and writes its scores."""

import functools
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from keras_faramtn.atomic_files import atomic_folder, check_folder
from keras_faramtn.data.check import check_data
from keras_faramtn.data.images import load_image
from keras_faramtn.data.table import SPLITS, FaceTable
from keras_faramtn.errors import InputError
from keras_faramtn.evaluation import plots
from keras_faramtn.evaluation.bootstrap import score_intervals
from keras_faramtn.evaluation.metrics_file import METRICS_FILE, metrics, write_metrics
from keras_faramtn.evaluation.predictions_file import PREDICTIONS_FILE, write_predictions
from keras_faramtn.evaluation.score_table import score_table
from keras_faramtn.evaluation.scores import Scores, positive_rates, score
from keras_faramtn.evaluation.subgroup_table import subgroup_table
from keras_faramtn.evaluation.subgroups import subgroup_scores, subgroups_content, subgroups_of
from keras_faramtn.evaluation.thresholds import choose_thresholds, cross_fitted, read_thresholds
from keras_faramtn.inference.batching import predict_items
from keras_faramtn.inference.keras_file import predictor_of
from keras_faramtn.inference.loading import load_predictor
from keras_faramtn.inference.predictor import Predictor
from keras_faramtn.keras_files import MODEL_FILE

if TYPE_CHECKING:
    import keras

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
        thresholds: `(k,)` float64 in 0..1: an attribute is predicted if its probability is above
            its threshold.
    """

    scores: Scores
    probabilities: np.ndarray
    labels: np.ndarray
    thresholds: np.ndarray


def evaluate_model(
    model: "keras.Model | Predictor | str | Path",
    table: FaceTable,
    *,
    training_rates: np.ndarray | None = None,
    thresholds: float | np.ndarray | None = None,
    progress: Callable[[Iterable], Iterable] = iter,
) -> Evaluation:
    """Predicts the images of a table and scores the predictions. Writes and prints nothing.

    Args:
        model: a network of this package, a loaded model for prediction, or a file or server as
            `load_predictor` takes it.
        table: the images and labels, such as `read_dataset(folder).split("test")`; other
            attributes than the model's are ignored. Pixels from `decode_images` are used if they
            have the size that the model takes.
        training_rates: the positive rates of the model's attributes in training, for the
            majority-class baseline, as in `score`.
        thresholds: an attribute is predicted if its probability is above its threshold; one for
            all attributes, or `(k,)`; None for those that the model records, or 0.5.
        progress: wraps the iteration over the predicted images, as `tqdm.tqdm` does.

    Raises:
        InputError: the model or an image can't be used, there is no image, the table lacks an
            attribute of the model, the model predicts numbers that aren't probabilities, or as in
            `score`.

    Example:
        >>> import tempfile
        >>> from keras_faramtn import MultiLabel, read_dataset
        >>> from keras_faramtn.synthetic.dataset import synthesize
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     table = read_dataset(synthesize(f"{folder}/faces", 4, image_size=(32, 32)))
        ...     model = MultiLabel("mobilenetv3_small", table.attributes, (32, 32, 3))
        ...     evaluation = evaluate_model(model, table)
        >>> evaluation.probabilities.shape, 0 <= evaluation.scores.mean.accuracy <= 1
        ((4, 40), True)
    """
    predictor = _as_predictor(model)
    table = _with_attributes(table, predictor.attributes)
    if thresholds is None:
        thresholds = np.array(predictor.record.decision_thresholds)
    probabilities = _predict(predictor, table, progress)
    scores = score(probabilities, table.labels, table.attributes, thresholds, training_rates)
    used = np.array([each.threshold for each in scores.attributes])
    return Evaluation(scores, probabilities, table.labels, used)


def evaluate_split(
    model: "keras.Model | Predictor",
    table: FaceTable,
    split: str,
    folder: Path,
    *,
    data: str,
    name: str,
    training: FaceTable | None = None,
    thresholds: float | np.ndarray | None = None,
    by: Sequence[str] = (),
) -> Evaluation:
    """Evaluates a model on one split, logs the table of scores and writes them.

    On the validation split it also chooses thresholds for balanced accuracy, and reports the scores
    that such thresholds achieve on images that they were not chosen on.

    Args:
        model, thresholds: as in `evaluate_model`.
        table: all splits of the data.
        split: `train`, `validation` or `test`.
        folder: an existing folder, for `METRICS_FILE`, `CONTACT_SHEET_FILE` and
            `PREDICTIONS_FILE`.
        data: name of the data set in `METRICS_FILE`.
        name: name of the model there.
        training: the images that the model was trained on, for the majority-class baseline.
        by: attributes or columns of the table, to compare the error rates of subgroups.

    Raises:
        InputError: if the split has no images; or as in `evaluate_model` and `subgroups_of`.
    """
    predictor = _as_predictor(model)
    groups = predictor.record.groups
    images = table.split(split)
    divisions = [subgroups_of(images, column) for column in dict.fromkeys(by)]
    images = _with_attributes(images, groups.attributes)
    rates = None
    if training is not None:
        training = _with_attributes(training, groups.attributes)
        rates = positive_rates(training.labels)
    evaluation = evaluate_model(
        predictor,
        images,
        training_rates=rates,
        thresholds=thresholds,
        progress=functools.partial(
            tqdm, total=len(images), desc="Evaluating", unit=" images", disable=None
        ),
    )
    probabilities, labels = evaluation.probabilities, evaluation.labels
    chosen = on_other_half = None
    if split == "validation" and len(labels) > 1:
        chosen = choose_thresholds(probabilities, labels)
        on_other_half = cross_fitted(probabilities, labels, groups.attributes)
    intervals = score_intervals(
        evaluation.scores,
        groups,
        probabilities,
        labels,
        rates,
        progress=functools.partial(tqdm, desc="Resampling", unit=" block", disable=None),
    )
    by_subgroup = [
        subgroup_scores(
            probabilities,
            labels,
            groups.attributes,
            division,
            evaluation.thresholds,
            progress=functools.partial(
                tqdm, desc="Resampling subgroups", unit=" block", disable=None
            ),
        )
        for division in divisions
    ]
    plots.contact_sheet(
        np.stack(
            [load_image(path, predictor.image_size) for path in images.paths[:_CONTACT_SHEET_FACES]]
        ),
        probabilities[:_CONTACT_SHEET_FACES],
        labels[:_CONTACT_SHEET_FACES],
        groups.attributes,
        folder / CONTACT_SHEET_FILE,
        evaluation.thresholds,
    )
    write_predictions(folder / PREDICTIONS_FILE, probabilities, images, training)
    # Written last: this file marks a run as finished.
    write_metrics(
        folder / METRICS_FILE,
        metrics(
            evaluation.scores,
            intervals,
            groups,
            data=data,
            split=split,
            model=name,
            chosen=chosen,
            cross_fitted=on_other_half,
            subgroups=subgroups_content(by_subgroup) if by_subgroup else None,
        ),
    )
    logger.info(score_table(evaluation.scores, groups, intervals, on_other_half))
    for each in by_subgroup:
        logger.info("\n" + subgroup_table(each))
    return evaluation


def evaluate_file(
    model: str | Path,
    data: Path,
    split: str,
    folder: Path | None = None,
    *,
    thresholds: Path | None = None,
    by: Sequence[str] = (),
    skip_bad: bool = False,
) -> None:
    """The command `faramtn evaluate`: evaluates a model file on one split of a data set.

    Args:
        model: a file or a server, as for `load_predictor`.
        data: the data set, as `read_dataset` takes it.
        split: `train`, `validation` or `test`.
        folder: a new or empty folder for the scores, written with `atomic_folder`; None for
            `evaluation_SPLIT` next to the model's file, or in the current folder if the model isn't
            a file on this computer.
        thresholds: the `metrics.json` of a training run, for its chosen thresholds; None for those
            that the model records, or 0.5.
        by: as in `evaluate_split`; the model need not predict these attributes.
        skip_bad: skip rows and images that cannot be used.

    Raises:
        InputError: if the model, the data, the split, the thresholds or the folder is unusable.
        ServerError: the server does not respond in time, or serves another model.
    """
    if split not in SPLITS:
        raise InputError(f"unknown split {split!r}; choose one of {', '.join(SPLITS)}.")
    remote = "://" in str(model)
    if folder is None:
        folder = (Path() if remote else _folder_of(Path(model))) / f"evaluation_{split}"
    check_folder(folder)
    predictor = load_predictor(model)
    values = None if thresholds is None else read_thresholds(thresholds, predictor.attributes)
    with atomic_folder(folder) as new_folder:
        table = check_data(data, predictor.attributes, skip_bad=skip_bad)
        evaluate_split(
            predictor,
            table,
            split,
            new_folder,
            data=data.resolve().name,
            name=str(model) if remote else Path(model).resolve().name,
            thresholds=values,
            by=by,
        )
    files = f"{METRICS_FILE}, {PREDICTIONS_FILE} and {CONTACT_SHEET_FILE}"
    logger.info("%s are in %s/", files, folder)


def _folder_of(model: Path) -> Path:
    """The folder that a model's file or folder is in; of a training run, the run's."""
    return model if (model / MODEL_FILE).is_file() else model.parent


def _as_predictor(model: "keras.Model | Predictor | str | Path") -> Predictor:
    if isinstance(model, Predictor):
        return model
    return load_predictor(model) if isinstance(model, str | Path) else predictor_of(model)


def _with_attributes(table: FaceTable, attributes: tuple[str, ...]) -> FaceTable:
    """The table with these attributes only, in this order."""
    if table.attributes == attributes:
        return table
    missing = [name for name in attributes if name not in table.attributes]
    if missing:
        raise InputError(
            f"{table.source}: there are no labels for {', '.join(missing)}, which the model "
            "predicts; choose data with these attributes, or another model."
        )
    columns = [table.attributes.index(name) for name in attributes]
    return replace(table, attributes=attributes, labels=table.labels[:, columns])


def _predict(
    predictor: Predictor, table: FaceTable, progress: Callable[[Iterable], Iterable]
) -> np.ndarray:
    """The probabilities of all images, float32 `(n, k)`."""
    decoded = table.decoded
    if decoded is not None and decoded.pixels.shape[1:3] == predictor.image_size:
        pixels, row_of = decoded.pixels, dict(zip(table.paths, decoded.rows, strict=True))

        def load(path: Path) -> tuple[None, np.ndarray]:
            return None, pixels[row_of[path]][None]
    else:

        def load(path: Path) -> tuple[None, np.ndarray]:
            return None, load_image(path, predictor.image_size)[None]

    probabilities = np.empty((len(table), len(predictor.attributes)), "float32")
    predictions = progress(predict_items(predictor, table.paths, load))
    for row, (_, error, rows) in enumerate(predictions):
        if error is not None:
            raise error
        probabilities[row] = rows[0]
    return probabilities
