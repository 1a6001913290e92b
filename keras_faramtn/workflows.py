"""What the commands do, from data to files: each step of the package called in its turn."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from keras_faramtn.data.check import check_data
from keras_faramtn.data.faces import FaceTable
from keras_faramtn.data.pipeline import epoch_variable, make_dataset
from keras_faramtn.data.synthetic import draw_faces, synthesize
from keras_faramtn.errors import InputError
from keras_faramtn.evaluation import plots, report
from keras_faramtn.evaluation.scores import Scores, positive_rates, predict_probabilities, score
from keras_faramtn.export.parity import Parity
from keras_faramtn.export.tree import FORMATS, export_model
from keras_faramtn.models import groups_of, inference_model, load_model
from keras_faramtn.predict import find_pictures, load_picture, predict_files
from keras_faramtn.training.checkpoints import differences, write_whole
from keras_faramtn.training.recipe import Recipe, read_recipe, refuse_missing_files, write_recipe
from keras_faramtn.training.trainer import MODEL_FILE, build_model, train

_RECIPE_FILE = "recipe.yaml"
_METRICS_FILE = "metrics.json"
_SHEET_FACES = 12
_PARITY_FACES = 32
_EVALUATION_BATCH = 64


def train_recipe(
    name_or_path: str | Path, data: str | Path | None, folder: Path, *, skip_bad: bool = False
) -> None:
    """Trains a recipe and leaves model, recipe, history, scores and pictures in `folder`.

    Called again after it was stopped, it goes on from the last completed epoch.

    Args:
        name_or_path: a recipe, as `read_recipe` takes.
        data: the data set's folder; None where the recipe names it.
        folder: where to; it must not exist, be empty, or hold an unfinished run of the recipe.
        skip_bad: go on without rows and pictures that can't be used.

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
    table = check_data(source, skip_bad=skip_bad)
    _train(recipe, table, folder)
    evaluate(
        folder / MODEL_FILE,
        table,
        "validation",
        data=Path(source).name,
        folder=folder,
        training_rates=positive_rates(table.part("train").labels),
    )
    print(f"{MODEL_FILE}, metrics.json, training_curve.png and contact_sheet.png are in {folder}/")


def _open_run(recipe: Recipe, folder: Path) -> None:
    """Makes the folder of a run, or finds there an unfinished one of the same recipe."""
    if not (folder / _RECIPE_FILE).is_file():
        make_new_folder(folder)
        return
    earlier, _ = read_recipe(folder / _RECIPE_FILE)
    if earlier != recipe:
        different = differences(earlier.model_dump(mode="json"), recipe.model_dump(mode="json"))
        raise InputError(
            f"{folder}: it holds a run of another recipe: {different}. Choose another folder with "
            "--to, or remove it."
        )
    if (folder / _METRICS_FILE).exists():
        raise InputError(
            f"{folder}: this run is finished. To train anew, choose another folder with --to, or "
            "remove it."
        )


def _train(recipe: Recipe, table: FaceTable, folder: Path) -> None:
    model = build_model(recipe)
    groups = groups_of(model)
    settings, epoch = recipe.training, epoch_variable()
    training = make_dataset(
        table.part("train"),
        groups,
        recipe.data.image_size,
        settings.batch_size,
        shuffle=True,
        augment=recipe.data.augment,
        seed=settings.seed,
        epoch=epoch,
    )
    validation = make_dataset(
        table.part("validation"), groups, recipe.data.image_size, _EVALUATION_BATCH
    )
    print(f"{model.name}: {model.count_params():,} parameters, {len(groups)} groups")
    write_whole(folder / _RECIPE_FILE, lambda path: write_recipe(recipe, path))
    history = train(model, recipe, training, validation, folder, epoch=epoch)
    plots.training_curve(history, folder / "training_curve.png")


def evaluate(
    model_file: Path,
    table: FaceTable,
    part: str,
    *,
    data: str,
    folder: Path,
    training_rates: np.ndarray | None = None,
) -> Scores:
    """Scores a model on one part of the data; prints the table of all scores.

    Args:
        model_file: a `.keras` file.
        table: the data.
        part: `train`, `validation` or `test`.
        data: what the data is called in the report.
        folder: where `metrics.json` and `contact_sheet.png` are written.
        training_rates: the attributes' positive rates in training, for the majority baseline.

    Raises:
        InputError: anything wrong with the model or the part.
    """
    model = load_model(model_file)
    groups, inference = groups_of(model), inference_model(model)
    chosen = table.part(part)
    dataset = make_dataset(chosen, groups, model.input_shape[1:3], _EVALUATION_BATCH)
    probabilities, labels = predict_probabilities(
        inference, dataset, groups, lambda batches: tqdm(batches, desc="Evaluating", unit=" batch")
    )
    scores = score(probabilities, labels, groups.attributes, training_rates=training_rates)
    print(report.table(scores, groups))
    report.write_metrics(
        folder / _METRICS_FILE,
        report.metrics(scores, groups, data=data, part=part, model=model.name),
    )
    faces = next(iter(dataset))[0].numpy()[:_SHEET_FACES]
    count = len(faces)
    plots.contact_sheet(
        faces,
        probabilities[:count],
        labels[:count],
        groups.attributes,
        folder / "contact_sheet.png",
    )
    return scores


def evaluate_file(
    model_file: Path, data: Path, part: str, folder: Path, *, skip_bad: bool = False
) -> None:
    """Scores a model file on one part of a folder; the arguments are those of the command.

    Raises:
        InputError: anything wrong with the model, the data or the part.
    """
    make_new_folder(folder)
    table = check_data(data, skip_bad=skip_bad)
    evaluate(model_file, table, part, data=data.name, folder=folder)
    print(f"metrics.json and contact_sheet.png are in {folder}/")


def export(
    model_file: Path,
    folder: Path,
    *,
    formats: Sequence[str] | None = None,
    faces: Path | None = None,
    force: bool = False,
) -> None:
    """Exports a model file, and prints how each exported file compares with it.

    Args:
        model_file: a `.keras` file.
        folder: where to.
        formats: keys of `FORMATS`; None for all.
        faces: a picture or a folder of pictures to compare on; None for synthetic faces.
        force: replace an existing folder.

    Raises:
        InputError: as `export_model`.
    """
    model = load_model(model_file)
    image_size = model.input_shape[1:3]
    if faces is None:
        pictures = draw_faces(_PARITY_FACES, image_size)
    else:
        found = find_pictures([faces])[:_PARITY_FACES]
        pictures = np.stack([load_picture(picture, image_size) for picture in found])
    print(f"Comparing on {len(pictures)} {'synthetic faces' if faces is None else 'pictures'}:")
    export_model(
        model, folder, pictures, formats or tuple(FORMATS), force=force, report=_print_parity
    )
    print(f"All files equal the model within their tolerance. They are in {folder}/")


def _print_parity(name: str, parity: Parity, size: int) -> None:
    print(
        f"  {name:<16}{size / 1e6:7.2f} MB  largest difference {parity.largest:.1e}, mean "
        f"{parity.mean:.1e}, {100 * parity.agreement:.2f} % of decisions alike"
        f"{'' if parity.passed else '  FAILED'}",
        flush=True,
    )


def demo(folder: Path, count: int, show: Callable[[Path, dict[str, float]], None]) -> None:
    """Draws faces, trains the demo recipe on them, evaluates on unseen ones, exports, predicts.

    Args:
        folder: where to; it must not exist, or be empty.
        count: how many faces to draw.
        show: is given each of three pictures with its probabilities.

    Raises:
        InputError: the folder is in use.
    """
    started = time.perf_counter()
    make_new_folder(folder)
    faces = folder / "faces"
    print(f"1/5 Drawing {count:,} faces")
    synthesize(faces, count)
    print("2/5 Training on them")
    recipe, _ = read_recipe("demo")
    table = check_data(faces)
    _train(recipe, table, folder)
    print("3/5 Evaluating on faces that it has not seen")
    rates = positive_rates(table.part("train").labels)
    evaluate(
        folder / MODEL_FILE,
        table,
        "test",
        data=f"{count:,} synthetic faces",
        folder=folder,
        training_rates=rates,
    )
    print("4/5 Exporting for phones")
    export(folder / MODEL_FILE, folder / "export", formats=["tflite_float32"], faces=faces)
    print("5/5 Predicting three unseen faces with the exported file")
    [exported] = (folder / "export").glob("tflite/*.tflite")
    for picture, probabilities in predict_files(exported, table.part("test").pictures[:3]):
        show(picture, probabilities)
    minutes = (time.perf_counter() - started) / 60
    print(
        f"Done in {minutes:.1f} minutes. In {folder}/ are {MODEL_FILE}, metrics.json, "
        "training_curve.png, contact_sheet.png and export/."
    )


def make_new_folder(folder: Path) -> None:
    """Makes the folder of a run.

    Raises:
        InputError: it has something in it already, or can't be made.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: it exists already; choose another with --to, or remove it.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: can't be made: {error.strerror}.") from error
