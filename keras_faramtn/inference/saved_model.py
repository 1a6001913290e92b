"""Runs SavedModels with TensorFlow, without Keras."""

from pathlib import Path
from typing import Any

import numpy as np

from keras_faramtn.errors import InputError, reason
from keras_faramtn.inference.padding import pad_batch
from keras_faramtn.inference.predictor import Predictor
from keras_faramtn.inference.records import check_outputs, parse_record, read_labels_beside
from keras_faramtn.model_record import RECORD_FILE, ModelRecord
from keras_faramtn.plain_paths import plain_path

SAVED_MODEL_FILE = "saved_model.pb"
"""The file that makes a folder a SavedModel."""

RECORD_PATH = Path("assets.extra") / RECORD_FILE
"""The record's path in a SavedModel. TensorFlow ignores `assets.extra`."""

_SIGNATURES = ("serve_uint8", "serving_default")  # the first that exists is used
_OUTPUT = "probabilities"
_BATCH_SIZE = 64


def load_saved_model(folder: Path) -> Predictor:
    """Loads a SavedModel for prediction.

    It is one that `faramtn export` wrote; or its signature `serving_default` takes uint8 images
    `(batch, height, width, 3)` and has one output.

    Raises:
        InputError: the SavedModel is damaged, or has other signatures; or as in
            `read_saved_model_record`.
    """
    import tensorflow as tf

    record = read_saved_model_record(folder)
    try:
        with plain_path(folder) as path:
            loaded = tf.saved_model.load(path)
    except Exception as error:  # a damaged file raises almost any exception
        raise InputError(
            f"{folder}: not a SavedModel that TensorFlow can load: {reason(error)}; write one with "
            "`faramtn export`."
        ) from error
    name = next((name for name in _SIGNATURES if name in loaded.signatures), None)
    image, output = _only_tensors(folder, name and loaded.signatures[name])
    batch, height, width, _ = image.shape

    def predict(images: np.ndarray) -> np.ndarray:
        signature = loaded.signatures[name]  # `loaded` owns the variables
        padded = tf.constant(pad_batch(images, batch or len(images)))
        rows = signature(**{image.name: padded})[output].numpy()
        return rows[: len(images)].astype("float32")

    check_outputs(record, folder, predict(np.zeros((1, height, width, 3), "uint8")).shape[1])
    return Predictor(record, (height, width), predict, batch or _BATCH_SIZE)


def read_saved_model_record(folder: Path) -> ModelRecord:
    """The record at `RECORD_PATH` in a SavedModel.

    Without it, a `LABELS_FILE` in the folder or in its parent folder is read.

    Raises:
        InputError: there are no labels, or the record or the labels are damaged.
    """
    path = folder / RECORD_PATH
    if path.is_file():
        return parse_record(path.read_bytes(), path)
    return read_labels_beside(folder / SAVED_MODEL_FILE)


def _only_tensors(folder: Path, function: Any) -> tuple[Any, str]:
    """The input of a signature that takes images, and the name of its output."""
    if function is not None:
        inputs = list(function.structured_input_signature[1].values())
        outputs = function.structured_outputs
        output = _OUTPUT if _OUTPUT in outputs else min(outputs, default="")
        if (
            len(inputs) == 1
            and inputs[0].dtype == "uint8"
            and inputs[0].shape.rank == 4
            and None not in inputs[0].shape[1:]
            and inputs[0].shape[3] == 3
            and (output == _OUTPUT or len(outputs) == 1)
            and outputs[output].shape.rank == 2
        ):
            return inputs[0], output
    raise InputError(
        f"{folder}: its signature {_SIGNATURES[-1]} must take uint8 images, (batch, height, width, "
        "3), so that it is known how pixels are scaled, and return one vector of probabilities per "
        "image; export the model with `faramtn export`."
    )
