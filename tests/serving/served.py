"""A small network, exported for TensorFlow Serving: for the tests, and for a server to be tested.

`python tests/serving/served.py FOLDER` leaves the export in FOLDER.
"""

import atexit
import functools
import shutil
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
from mutated import encode

from keras_faramtn.data.pipeline import decode_and_resize
from keras_faramtn.export.tree import export_model
from keras_faramtn.models import FARAMTN, inference_model

SIZE = (64, 48)


def build():
    """A network that answers each picture differently, as a trained one does.

    Initial weights answer 0.5 to all pictures; with random statistics in the batch normalisations
    the answers are others, but the same for all pictures, and no test would see a wrong pixel.
    """
    keras.utils.set_random_seed(0)
    model = FARAMTN("mobilenetv3_small", input_shape=(*SIZE, 3))
    normalizations = [
        layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)
    ]
    momentum = normalizations[0].momentum
    for layer in normalizations:
        layer.momentum = 0.0  # takes on the statistics of the next batch
    pixels = [decode_and_resize(encode("PNG", seed=seed), SIZE) for seed in range(64)]
    model(np.stack(pixels).astype("float32"), training=True)
    for layer in normalizations:
        layer.momentum = momentum
    return model


def faces(count=5):
    return np.random.default_rng(1).integers(0, 256, (count, *SIZE, 3), dtype="uint8")


def export(folder):
    """Exports the network as a SavedModel; returns its inference model."""
    model = build()
    export_model(model, folder, faces(), ["saved_model"])
    return inference_model(model)


@functools.cache
def exported_once():
    """The export's folder and the inference model, made once in a run of the tests."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    return folder / "export", export(folder / "export")


if __name__ == "__main__":
    export(sys.argv[1])
