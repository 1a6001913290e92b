"""ONNX, by tf2onnx."""

import contextlib
import io
import logging
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_faramtn.errors import InputError
from keras_faramtn.models import groups_of

_OPSET = 18


def write_onnx(model: keras.Model, path: Path) -> None:
    """Writes an inference model as an ONNX file of opset 18, with any batch size.

    Args:
        model: from `inference_model`.
        path: the file. Names, shapes and value ranges of input and output are those of
            `write_saved_model`. Its metadata has the key `attributes`: their names in the order of
            the probabilities, a line each.

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
    """Runs an ONNX file in onnxruntime, as `run_saved_model` runs a SavedModel.

    Raises:
        InputError: onnxruntime is not installed.
    """
    session = _import("onnxruntime").InferenceSession(str(path))
    return session.run(["probabilities"], {"images": images.astype("float32")})[0]


def _import(package: str):  # noqa: ANN202
    import importlib

    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise InputError(
            f"ONNX needs the package {package}: pip install 'keras-faramtn[onnx]'."
        ) from error
