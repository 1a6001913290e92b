"""Trains the network of a recipe on a data set and evaluates it; writes all results to a folder."""

import logging
from pathlib import Path

import keras

from keras_faramtn.atomic_files import atomic_write
from keras_faramtn.data.cache import cache_folder
from keras_faramtn.data.check import check_data
from keras_faramtn.data.pipeline import EVALUATION_BATCH_SIZE, epoch_variable, make_dataset
from keras_faramtn.data.table import FaceTable
from keras_faramtn.differences import describe_differences
from keras_faramtn.errors import InputError
from keras_faramtn.evaluation import plots
from keras_faramtn.evaluation.evaluate import CONTACT_SHEET_FILE, evaluate_split
from keras_faramtn.evaluation.metrics_file import METRICS_FILE
from keras_faramtn.evaluation.predictions_file import PREDICTIONS_FILE
from keras_faramtn.experiments.datasets import training_dataset, training_framing
from keras_faramtn.experiments.recipe import Recipe, read_recipe, refuse_missing_files, write_recipe
from keras_faramtn.experiments.trainer import build_model, fit_model
from keras_faramtn.keras_files import MODEL_FILE
from keras_faramtn.models import groups_of, load_model
from keras_faramtn.models.record import set_framing
from keras_faramtn.ownership import owned_folder

TRAINING_CURVE_FILE = "training_curve.png"

RECIPE_FILE = "recipe.yaml"
_KIND = "training run"

logger = logging.getLogger(__name__)


def train_recipe(
    name_or_path: str | Path, data: str | Path | None, folder: Path, *, skip_bad: bool = False
) -> None:
    """The command `faramtn train`: trains a network and evaluates it on the validation split.

    Writes model, recipe, history, scores and figures to `folder`. After an interruption, the same
    call resumes from the last completed epoch.

    Args:
        name_or_path: a recipe, as in `read_recipe`.
        data: the data set's folder or file; None if the recipe names it.
        folder: a new or empty folder, or one in which this function started the same run.
        skip_bad: skip rows and images that cannot be used.

    Raises:
        InputError: if the recipe, the data or the folder is unusable.
        FloatingPointError: if training diverges.
        KeyboardInterrupt: after Ctrl-C; the current model is in `folder`.

    Example:
        >>> import contextlib
        >>> import io
        >>> from tempfile import TemporaryDirectory
        >>> from keras_faramtn import synthesize
        >>> recipe = (
        ...     "data: {image_size: [32, 32]}\\n"
        ...     "model: {backbone: mobilenetv3_small}\\n"
        ...     "training: {epochs: 1, batch_size: 8}\\n"
        ... )
        >>> with TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        ...     data = synthesize(Path(folder) / "faces", 20, image_size=(32, 32), progress=False)
        ...     _ = (Path(folder) / "tiny.yaml").write_text(recipe)
        ...     train_recipe(Path(folder) / "tiny.yaml", data, Path(folder) / "run")
        ...     files = sorted(file.name for file in (Path(folder) / "run").iterdir())
        >>> "model.keras" in files, "metrics.json" in files
        (True, True)
    """
    recipe, path = read_recipe(name_or_path)
    refuse_missing_files(recipe, path)
    source = data or recipe.data.folder
    if source is None:
        raise InputError(f"{path}: data.folder is not set; set it or pass --data FOLDER.")
    with owned_folder(folder, _KIND):
        _refuse_other_run(recipe, folder)
        table = check_data(source, recipe.model.attribute_groups().attributes, skip_bad=skip_bad)
        _train_and_evaluate(recipe, table, folder, Path(source).resolve().name)


def train_table(recipe: Recipe, table: FaceTable, folder: Path, *, data: str) -> None:
    """Like `train_recipe`, but with a recipe and data that are already checked.

    Args:
        recipe: the experiment.
        table: the data, with a train and a validation split, as `check_data` returns it.
        folder: as in `train_recipe`.
        data: name of the data set in the report.

    Raises:
        InputError, FloatingPointError, KeyboardInterrupt: as in `train_recipe`.
    """
    with owned_folder(folder, _KIND):
        _refuse_other_run(recipe, folder)
        _train_and_evaluate(recipe, table, folder, data)


def _train_and_evaluate(recipe: Recipe, table: FaceTable, folder: Path, data: str) -> None:
    model = train_model(recipe, table, folder)
    evaluate_split(
        model,
        table,
        "validation",
        folder,
        data=data,
        name=model.name,
        training=table.split("train"),
    )
    figures = f"{TRAINING_CURVE_FILE} and {CONTACT_SHEET_FILE}"
    files = f"{MODEL_FILE}, {METRICS_FILE}, {PREDICTIONS_FILE}, {figures}"
    logger.info("%s are in %s/", files, folder)


def train_model(recipe: Recipe, table: FaceTable, folder: Path) -> keras.Model:
    """Trains the network of a recipe on a data set.

    Args:
        recipe: the experiment.
        table: the data, with a train and a validation split.
        folder: an existing folder for the recipe, the model, the history, the training curve
            and the checkpoint; training resumes from a checkpoint that is already there.

    Returns:
        The trained model, as loaded from `MODEL_FILE`.

    Raises:
        InputError, FloatingPointError, KeyboardInterrupt: as in `fit_model`.
    """
    model = build_model(recipe)
    groups = groups_of(model)
    epoch, cache = epoch_variable(), cache_folder(recipe.data.cache)
    training, data = training_dataset(recipe, table, groups, epoch)
    validation = make_dataset(
        table.split("validation"),
        groups,
        recipe.data.image_size,
        EVALUATION_BATCH_SIZE,
        cache=cache,
    )
    logger.info(
        "%s: %s parameters, %d groups", model.name, f"{model.count_params():,}", len(groups)
    )
    set_framing(model, training_framing(recipe, table))
    if not (folder / RECIPE_FILE).exists():  # it may have comments that the user has added
        atomic_write(folder / RECIPE_FILE, lambda path: write_recipe(recipe, path))
    history = fit_model(model, recipe, training, validation, folder, epoch=epoch, data=data)
    plots.training_curve(history, folder / TRAINING_CURVE_FILE)
    return load_model(folder / MODEL_FILE)


def _refuse_other_run(recipe: Recipe, folder: Path) -> None:
    """Checks that an earlier run in the folder is of the same recipe and unfinished."""
    if not (folder / RECIPE_FILE).is_file():
        return
    earlier, _ = read_recipe(folder / RECIPE_FILE)
    different = describe_differences(earlier.identity(), recipe.identity())
    if different:
        raise InputError(
            f"{folder}: this folder contains a run of another recipe: {different}. Choose another "
            "folder with --to, or remove it."
        )
    if (folder / METRICS_FILE).exists():
        raise InputError(
            f"{folder}: this run is finished. To train again, choose another folder with --to, or "
            "remove it."
        )
