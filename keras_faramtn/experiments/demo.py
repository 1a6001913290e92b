"""The command `faramtn demo`: every step of the package once, on synthetic faces."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

from keras_faramtn.atomic_files import new_folder
from keras_faramtn.data.check import check_data
from keras_faramtn.evaluation.evaluate import CONTACT_SHEET_FILE, evaluate_split
from keras_faramtn.evaluation.metrics_file import METRICS_FILE
from keras_faramtn.experiments.recipe import Recipe, read_recipe
from keras_faramtn.experiments.run import TRAINING_CURVE_FILE, train_model
from keras_faramtn.export.export_model_file import export_model_file
from keras_faramtn.inference.image_files import predict_files
from keras_faramtn.keras_files import MODEL_FILE
from keras_faramtn.optimizers import MUON_SUPPORTED
from keras_faramtn.synthetic.dataset import synthesize

logger = logging.getLogger(__name__)


def demo(folder: Path, count: int, show: Callable[[Path, dict[str, float]], None]) -> None:
    """Draws faces, trains the demo recipe on them, evaluates on the test split, exports, predicts.

    Args:
        folder: a new or empty folder for the results.
        count: the number of faces to draw.
        show: called with the path and the probabilities of each of three test images.

    Raises:
        InputError: if the folder is not empty.
    """
    started = time.perf_counter()
    with new_folder(folder):
        _run(folder, count, show)
    files = f"{MODEL_FILE}, {METRICS_FILE}, {TRAINING_CURVE_FILE}, {CONTACT_SHEET_FILE}"
    minutes = (time.perf_counter() - started) / 60
    logger.info("Done in %.1f minutes. %s and export/ are in %s/", minutes, files, folder)


def _run(folder: Path, count: int, show: Callable[[Path, dict[str, float]], None]) -> None:
    faces = folder / "faces"
    logger.info("1/5 Drawing %s synthetic faces", f"{count:,}")
    synthesize(faces, count)
    logger.info("2/5 Training on them")
    recipe = _demo_recipe()
    table = check_data(faces)
    model = train_model(recipe, table, folder)
    logger.info("3/5 Evaluating on the test split")
    evaluate_split(
        model,
        table,
        "test",
        folder,
        data=f"{count:,} synthetic faces",
        name=model.name,
        training=table.split("train"),
    )
    logger.info("4/5 Exporting for phones")
    export_model_file(
        folder / MODEL_FILE, folder / "export", formats=["tflite_float32"], images=faces
    )
    logger.info("5/5 Predicting three test images with the exported file")
    [exported] = (folder / "export").glob("tflite/*.tflite")
    for image, probabilities in predict_files(exported, table.split("test").paths[:3]):
        show(image, probabilities)


def _demo_recipe() -> Recipe:
    recipe, _ = read_recipe("demo")
    if MUON_SUPPORTED:
        return recipe
    logger.info("Muon needs Keras 3.13 or later: training with AdamW, which reaches lower scores.")
    training = recipe.training.model_copy(update={"optimizer": "adamw", "learning_rate": 0.004})
    return recipe.model_copy(update={"training": training})
