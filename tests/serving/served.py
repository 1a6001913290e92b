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

from keras_faramtn.export.tree import export_model
from keras_faramtn.models import FARAMTN, inference_model

SIZE = (64, 48)


def build():
    keras.utils.set_random_seed(0)
    model = FARAMTN("mobilenetv3_small", input_shape=(*SIZE, 3))
    rng = np.random.default_rng(0)
    # Initial weights answer 0.5 to everything: any server would agree.
    model.set_weights(
        [
            np.abs(w) + 0.3 * rng.random(w.shape) if w.min() >= 0 else 2 * w
            for w in model.get_weights()
        ]
    )
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
