"""What the commands do, from data to files: each step of the package called in its turn."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from tqdm import tqdm

from keras_faramtn.data.cache import cache_folder
from keras_faramtn.data.check import check_data
from keras_faramtn.data.faces import PARTS, FaceTable
from keras_faramtn.data.pipeline import EVALUATION_BATCH, epoch_variable, make_dataset
from keras_faramtn.data.synthetic import draw_faces, synthesize
from keras_faramtn.errors import InputError
from keras_faramtn.evaluation import plots, report
from keras_faramtn.evaluation.scores import Scores, positive_rates, predict_probabilities, score
from keras_faramtn.evaluation.thresholds import choose_thresholds, cross_fitted
from keras_faramtn.export.exported_file import ExportedFile
from keras_faramtn.export.gpu import describe
from keras_faramtn.export.tree import FORMATS, export_model
from keras_faramtn.files import make_new_folder, write_whole
from keras_faramtn.models import groups_of, inference_model, load_model
from keras_faramtn.predict import find_pictures, load_picture, predict_files
from keras_faramtn.thresholds import DEFAULT_THRESHOLD, read_thresholds
from keras_faramtn.training.checkpoints import differences
from keras_faramtn.training.datasets import training_dataset
from keras_faramtn.training.recipe import Recipe, read_recipe, refuse_missing_files, write_recipe
from keras_faramtn.training.trainer import MODEL_FILE, build_model, train

METRICS_FILE = "metrics.json"
_RECIPE_FILE = "recipe.yaml"
_SHEET_FACES = 12
_PARITY_FACES = 64
_CALIBRATION_FACES = 256


def train_recipe(
    name_or_path: str | Path, data: str | Path | None, folder: Path, *, skip_bad: bool = False
) -> None:
    """Trains a recipe and leaves model, recipe, history, scores and pictures in `folder`.

    Called again after it was stopped, it goes on from the last completed epoch.

    Args:
        name_or_path: a recipe, as `read_recipe` takes.
        data: the data set's folder or file; None where the recipe names it.
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
    table = check_data(source, recipe.model.attribute_groups().attributes, skip_bad=skip_bad)
    _train(recipe, table, folder)
    evaluate(
        load_model(folder / MODEL_FILE),
        table,
        "validation",
        data=Path(source).resolve().name,
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
        table.part("validation"), groups, recipe.data.image_size, EVALUATION_BATCH, cache=cache
    )
    print(f"{model.name}: {model.count_params():,} parameters, {len(groups)} groups")
    write_whole(folder / _RECIPE_FILE, lambda path: write_recipe(recipe, path))
    history = train(model, recipe, training, validation, folder, epoch=epoch, data=data)
    plots.training_curve(history, folder / "training_curve.png")


def evaluate(
    model: keras.Model,
    table: FaceTable,
    part: str,
    *,
    data: str,
    folder: Path,
    training_rates: np.ndarray | None = None,
    thresholds: float | np.ndarray = DEFAULT_THRESHOLD,
) -> Scores:
    """Scores a model on one part of the data; prints the table of all scores.

    On the validation part it chooses the attributes' thresholds for balanced accuracy besides, and
    says what they achieve on pictures that they were not chosen on.

    Args:
        model: a network of this package.
        table: the data.
        part: `train`, `validation` or `test`.
        data: what the data is called in the report.
        folder: where `metrics.json` and `contact_sheet.png` are written.
        training_rates: the attributes' positive rates in training, for the majority baseline.
        thresholds: a probability above it says yes; one for all attributes, or `(k,)`.

    Raises:
        InputError: the part has no pictures.
    """
    groups, inference = groups_of(model), inference_model(model)
    dataset = make_dataset(table.part(part), groups, model.input_shape[1:3], EVALUATION_BATCH)
    probabilities, labels = predict_probabilities(
        inference, dataset, groups, lambda batches: tqdm(batches, desc="Evaluating", unit=" batch")
    )
    scores = score(
        probabilities, labels, groups.attributes, thresholds, training_rates=training_rates
    )
    chosen = unseen = None
    if part == "validation" and len(labels) > 1:
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
            part=part,
            model=model.name,
            chosen=chosen,
            cross_fitted=unseen,
        ),
    )
    return scores


def evaluate_file(
    model_file: Path,
    data: Path,
    part: str,
    folder: Path,
    *,
    thresholds: Path | None = None,
    skip_bad: bool = False,
) -> None:
    """Scores a model file on one part of a data set; the arguments are those of the command.

    Raises:
        InputError: anything wrong with the model, the data or the part.
    """
    if part not in PARTS:
        raise InputError(f"there is no part {part!r}; choose one of {', '.join(PARTS)}.")
    model = load_model(model_file)
    attributes = groups_of(model).attributes
    answering = read_thresholds(thresholds, attributes) if thresholds else DEFAULT_THRESHOLD
    make_new_folder(folder)
    table = check_data(data, attributes, skip_bad=skip_bad)
    evaluate(model, table, part, data=data.resolve().name, folder=folder, thresholds=answering)
    print(f"metrics.json and contact_sheet.png are in {folder}/")


def export(
    model_file: Path,
    folder: Path,
    *,
    formats: Sequence[str] | None = None,
    faces: Path | None = None,
    calibrate: Path | None = None,
    force: bool = False,
) -> None:
    """Exports a model file, and prints how each exported file compares with it.

    Args:
        model_file: a `.keras` file; the scores of a `metrics.json` beside it go into the card.
        folder: where to.
        formats: keys of `FORMATS`; None for all.
        faces: a picture or a folder of pictures to compare on; None for synthetic faces.
        calibrate: a folder of pictures from which the 8 bit file takes its ranges, best those of
            training; None for `faces`, or synthetic faces.
        force: replace an existing folder.

    Raises:
        InputError: as `export_model`.
    """
    metrics = _read_metrics(model_file.with_name(METRICS_FILE))
    model = load_model(model_file)
    formats = formats or tuple(FORMATS)
    image_size = model.input_shape[1:3]
    pictures, source = _pictures(faces, _PARITY_FACES, image_size, seed=0)
    print(f"Comparing on {source}.")
    sources, calibration = (source, source), None
    if any(FORMATS[each].calibrated for each in formats if each in FORMATS):
        place = calibrate or faces
        calibration, source = _pictures(place, _CALIBRATION_FACES, image_size, seed=1)
        sources = (sources[0], source)
        print(f"Calibrating 8 bits on {source}.")
        if place is None:
            print("  Real pictures like those of training give better ranges: --calibrate FOLDER.")
    export_model(
        model,
        folder,
        pictures,
        formats,
        calibration=calibration,
        sources=sources,
        metrics=metrics,
        force=force,
        progress=_exporting,
        report=_print_exported,
    )
    print(f"All files equal the model within their tolerance. They are in {folder}/")


def _pictures(
    place: Path | None, count: int, image_size: tuple[int, int], seed: int
) -> tuple[np.ndarray, str]:
    """At most `count` pictures of a place, drawn at random, and in words what they are."""
    if place is None:
        return draw_faces(count, image_size, seed), f"{count} synthetic faces"
    found = find_pictures([place])
    chosen = np.random.default_rng(seed).permutation(len(found))[:count]
    pictures = np.stack([load_picture(found[each], image_size) for each in sorted(chosen)])
    return pictures, f"{len(chosen)} of the {len(found):,} pictures of {place.resolve().name}"


def _read_metrics(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
        return metrics if {"data", "part", "pictures", "means"} <= set(metrics) else None
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: this is no JSON ({error}); correct or remove it.") from error


def _exporting(formats: Sequence[str]) -> Iterator[str]:
    with tqdm(formats, unit=" file", leave=False) as bar:
        for each in bar:
            bar.set_description(f"Exporting {each}")
            yield each


def _print_exported(name: str, file: ExportedFile) -> None:
    parity = file.parity
    lines = [
        f"  {name:<16}{file.size / 1e6:7.2f} MB  largest difference {parity.largest:.1e}, mean "
        f"{parity.mean:.1e}, {100 * parity.agreement:.2f} % of decisions alike"
        f"{'' if parity.passed else '  FAILED'}"
    ]
    if file.gpu is not None:
        lines.append(f"{'':18}{file.milliseconds:.1f} ms on one thread; {describe(file.gpu)}")
    tqdm.write("\n".join(lines))


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
        load_model(folder / MODEL_FILE),
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
