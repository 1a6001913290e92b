"""Commands on small data, for tests that kill them or run them twice at the same time."""

import contextlib
import os
import sys
from pathlib import Path

import yaml
from small_network import GROUPS, in_place_of_faramtn

from keras_faramtn.errors import InputError
from keras_faramtn.experiments.run import train_recipe
from keras_faramtn.export.exporter import export_model
from keras_faramtn.inference.image_files import predict_files
from keras_faramtn.inference.output_file import write_predictions
from keras_faramtn.models import load_model
from keras_faramtn.synthetic.dataset import synthesize
from keras_faramtn.synthetic.faces import draw_faces

FACES = 24
EPOCHS = 3
_SIZE = (32, 32)
_REPOSITORY = Path(__file__).parents[1]
_TFLITE = _REPOSITORY / "saved_models/small_synthetic/tflite/faramtn_float32.tflite"
_IMAGES = sorted((_REPOSITORY / "saved_models/faces").glob("*.jpg"))
PREDICTIONS = 20 * len(_IMAGES)


def run_synthesize(target):
    synthesize(target, FACES, image_size=(64, 48), progress=False)


def run_predict(target):
    write_predictions(Path(target), predict_files(_TFLITE, _IMAGES * 20))


def run_train(target):
    recipe = Path(target).with_name("mine.yaml")
    data = Path(target).with_name("faces")
    with in_place_of_faramtn():
        train_recipe(recipe, data, Path(target))


def run_export(target, force=False):
    model = load_model(Path(target).with_name("model.keras"))
    faces = draw_faces(1, _SIZE)
    export_model(model, target, faces, ["tflite_float16"], force=force)


def run_replace(target):
    run_export(target, force=True)


def prepare(folder):
    """Writes what `run_train` and `run_export` read."""
    synthesize(folder / "faces", 40, image_size=_SIZE, progress=False)
    recipe = {
        "data": {"image_size": list(_SIZE)},
        "model": {"backbone": "mobilenetv3_small", "groups": GROUPS},
        "training": {"epochs": EPOCHS, "batch_size": 8},
    }
    (folder / "mine.yaml").write_text(yaml.safe_dump(recipe))


def run(command, target):
    """Runs a command without output; exits with 1 and its message in a file if it is refused."""
    with (
        Path(os.devnull).open("w") as devnull,
        contextlib.redirect_stderr(devnull),
        contextlib.redirect_stdout(devnull),
    ):
        try:
            globals()[f"run_{command}"](target)
        except InputError as error:
            Path(target).with_name(f"refused_{os.getpid()}.txt").write_text(str(error))
            sys.exit(1)
