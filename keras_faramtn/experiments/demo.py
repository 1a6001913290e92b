"""`faramtn demo`: every step of the package once, on synthetic faces."""

import time
from collections.abc import Callable
from pathlib import Path

from keras_faramtn.atomic_files import make_empty_folder
from keras_faramtn.data.check import check_data
from keras_faramtn.evaluation.evaluate import evaluate
from keras_faramtn.evaluation.scores import positive_rates
from keras_faramtn.experiments.recipe import read_recipe
from keras_faramtn.experiments.run import _train
from keras_faramtn.experiments.trainer import MODEL_FILE
from keras_faramtn.export.export_file import export_file
from keras_faramtn.inference.predictor import predict_files
from keras_faramtn.models import load_model
from keras_faramtn.synthetic.dataset import synthesize


def demo(folder: Path, count: int, show: Callable[[Path, dict[str, float]], None]) -> None:
    """Draws faces, trains the demo recipe on them, evaluates on unseen ones, exports, predicts.

    Args:
        folder: where to; it must not exist, or be empty.
        count: how many faces to draw.
        show: is given each of three images with its probabilities.

    Raises:
        InputError: the folder is in use.
    """
    started = time.perf_counter()
    make_empty_folder(folder)
    faces = folder / "faces"
    print(f"1/5 Drawing {count:,} faces")
    synthesize(faces, count)
    print("2/5 Training on them")
    recipe, _ = read_recipe("demo")
    table = check_data(faces)
    _train(recipe, table, folder)
    print("3/5 Evaluating on faces that it has not seen")
    rates = positive_rates(table.split("train").labels)
    evaluate(
        load_model(folder / MODEL_FILE),
        table,
        "test",
        data=f"{count:,} synthetic faces",
        folder=folder,
        training_rates=rates,
    )
    print("4/5 Exporting for phones")
    export_file(folder / MODEL_FILE, folder / "export", formats=["tflite_float32"], faces=faces)
    print("5/5 Predicting three unseen faces with the exported file")
    [exported] = (folder / "export").glob("tflite/*.tflite")
    for image, probabilities in predict_files(exported, table.split("test").paths[:3]):
        show(image, probabilities)
    minutes = (time.perf_counter() - started) / 60
    print(
        f"Done in {minutes:.1f} minutes. In {folder}/ are {MODEL_FILE}, metrics.json, "
        "training_curve.png, contact_sheet.png and export/."
    )
