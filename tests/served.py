"""A small network, exported for TensorFlow Serving, for tests and to run a real server with.

`PYTHONPATH=tests python tests/served.py FOLDER` writes the export to FOLDER.
"""

import atexit
import functools
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from sensitive_network import sensitive_network

from keras_faramtn.export.exporter import export_model
from keras_faramtn.models import inference_model
from keras_faramtn.models.record import set_thresholds

SIZE = (64, 48)
THRESHOLDS = (0.0,) * 20 + (1.0,) * 20


def faces(count=5):
    return np.random.default_rng(1).integers(0, 256, (count, *SIZE, 3), dtype="uint8")


def export(folder):
    """Exports the network, with thresholds, as a SavedModel; returns its inference model."""
    model = sensitive_network(SIZE)
    set_thresholds(model, THRESHOLDS)
    export_model(model, folder, faces(), ["saved_model"])
    return inference_model(model)


@functools.cache
def exported_once():
    """The export's folder and the inference model, created once per test run."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    return folder / "export", export(folder / "export")


if __name__ == "__main__":
    export(sys.argv[1])
