"""Export to ONNX with tf2onnx."""

import contextlib
import importlib
import io
import logging
from pathlib import Path
from types import ModuleType

import keras
import numpy as np
import tensorflow as tf

from keras_faramtn.errors import InputError
from keras_faramtn.models import groups_of

_OPSET = 18


def write_onnx(model: keras.Model, path: Path) -> None:
    """Writes an inference model as an ONNX file of opset 18, with a dynamic batch size.

    Input and output have the names, shapes and value ranges of `write_saved_model`. The metadata
    entry `attributes` holds the names of the attributes in the order of the probabilities, one per
    line.

    Args:
        model: from `inference_model`.
        path: the file to write.

    Raises:
        InputError: tf2onnx is not installed.
    """
    tf2onnx = _import("tf2onnx")
    _, height, width, channels = model.input_shape
    images = tf.TensorSpec((None, height, width, channels), tf.float32, name="images")

    @tf.function(input_signature=[images])
    def serve(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": model(images, training=False)}

    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):
        content, _ = tf2onnx.convert.from_function(serve, input_signature=[images], opset=_OPSET)
    onnx = _import("onnx")
    onnx.helper.set_model_props(content, {"attributes": "\n".join(groups_of(model).attributes)})
    onnx.save(content, path)


def run_onnx(path: Path, images: np.ndarray) -> np.ndarray:
    """Runs an ONNX file with onnxruntime.

    Args:
        path: the file, from `write_onnx`.
        images: `(batch, height, width, 3)` in 0..255, RGB.

    Returns:
        Probabilities, float32 `(batch, attributes)`.

    Raises:
        InputError: onnxruntime is not installed.
    """
    session = _import("onnxruntime").InferenceSession(str(path))
    return session.run(["probabilities"], {"images": images.astype("float32")})[0]


def _import(package: str) -> ModuleType:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise InputError(
            f"ONNX needs the package {package}: pip install 'keras-faramtn[onnx]'."
        ) from error
