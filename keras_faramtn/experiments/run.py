"""What the commands do, from data to files: each step of the package called in its turn."""

from pathlib import Path

from keras_faramtn.atomic_files import atomic_write, make_empty_folder
from keras_faramtn.callbacks.checkpoint import differences
from keras_faramtn.data.cache import cache_folder
from keras_faramtn.data.check import check_data
from keras_faramtn.data.pipeline import EVALUATION_BATCH_SIZE, epoch_variable, make_dataset
from keras_faramtn.data.table import FaceTable
from keras_faramtn.errors import InputError
from keras_faramtn.evaluation import plots
from keras_faramtn.evaluation.evaluate import METRICS_FILE, evaluate
from keras_faramtn.evaluation.scores import positive_rates
from keras_faramtn.experiments.datasets import training_dataset
from keras_faramtn.experiments.recipe import Recipe, read_recipe, refuse_missing_files, write_recipe
from keras_faramtn.experiments.trainer import MODEL_FILE, build_model, train
from keras_faramtn.models import groups_of, load_model

_RECIPE_FILE = "recipe.yaml"


def train_recipe(
    name_or_path: str | Path, data: str | Path | None, folder: Path, *, skip_bad: bool = False
) -> None:
    """Trains a recipe and leaves model, recipe, history, scores and images in `folder`.

    Called again after it was stopped, it goes on from the last completed epoch.

    Args:
        name_or_path: a recipe, as `read_recipe` takes.
        data: the data set's folder or file; None where the recipe names it.
        folder: where to; it must not exist, be empty, or hold an unfinished run of the recipe.
        skip_bad: go on without rows and images that can't be used.

    Raises:
        InputError: anything wrong with the arguments or the data.
        FloatingPointError: training diverged.
        KeyboardInterrupt: Ctrl-C; the model as reached is in `folder`.
    """
    recipe, path = read_recipe(name_or_path)
    refuse_missing_files(recipe, path)
    source = data or recipe.data.folder
    if source is None:
        raise InputError(f"{path}: data.folder is not set; set it, or give --data FOLDER.")
    _open_run(recipe, folder)
    table = check_data(source, recipe.model.attribute_groups().attributes, skip_bad=skip_bad)
    _train(recipe, table, folder)
    evaluate(
        load_model(folder / MODEL_FILE),
        table,
        "validation",
        data=Path(source).resolve().name,
        folder=folder,
        training_rates=positive_rates(table.split("train").labels),
    )
    print(f"{MODEL_FILE}, metrics.json, training_curve.png and contact_sheet.png are in {folder}/")


def _open_run(recipe: Recipe, folder: Path) -> None:
    """Makes the folder of a run, or finds there an unfinished one of the same recipe."""
    if not (folder / _RECIPE_FILE).is_file():
        make_empty_folder(folder)
        return
    earlier, _ = read_recipe(folder / _RECIPE_FILE)
    if earlier != recipe:
        different = differences(earlier.model_dump(mode="json"), recipe.model_dump(mode="json"))
        raise InputError(
            f"{folder}: it holds a run of another recipe: {different}. Choose another folder with "
            "--to, or remove it."
        )
    if (folder / METRICS_FILE).exists():
        raise InputError(
            f"{folder}: this run is finished. To train anew, choose another folder with --to, or "
            "remove it."
        )


def _train(recipe: Recipe, table: FaceTable, folder: Path) -> None:
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
    print(f"{model.name}: {model.count_params():,} parameters, {len(groups)} groups")
    atomic_write(folder / _RECIPE_FILE, lambda path: write_recipe(recipe, path))
    history = train(model, recipe, training, validation, folder, epoch=epoch, data=data)
    plots.training_curve(history, folder / "training_curve.png")
