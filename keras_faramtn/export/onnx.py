"""Export to ONNX with tf2onnx."""

import contextlib
import io
import logging
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_faramtn.inference.onnx_file import (
    PIXEL_FORMAT,
    PIXEL_RANGE,
    import_onnx_package,
    load_onnx,
)
from keras_faramtn.model_record import RECORD_FILE, record_to_json
from keras_faramtn.models.record import record_of

_OPSET = 18
_PIXELS = {
    PIXEL_FORMAT: "Rgb8",
    PIXEL_RANGE: "NominalRange_0_255",
    "Image.ColorSpaceGamma": "SRGB",
}


def write_onnx(model: keras.Model, path: Path) -> None:
    """Writes an inference model as an ONNX file of opset 18, with a dynamic batch size.

    Input and output have the names, shapes and value ranges of `write_saved_model`. The metadata
    entry `model.json` holds the record of the model, see `record_to_json`; the entries of the ONNX
    standard for images state that the input is RGB in 0..255.

    Args:
        model: from `inference_model`.
        path: the file to write.

    Raises:
        InputError: tf2onnx is not installed.
    """
    tf2onnx = import_onnx_package("tf2onnx")
    _, height, width, channels = model.input_shape
    images = tf.TensorSpec((None, height, width, channels), tf.float32, name="images")

    @tf.function(input_signature=[images])
    def serve(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": model(images, training=False)}

    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):
        content, _ = tf2onnx.convert.from_function(
            serve,
            input_signature=[images],
            opset=_OPSET,
            custom_op_handlers={"Erfc": (_write_erfc, [])},
        )
    _keep_constants(content, serve.get_concrete_function())
    onnx = import_onnx_package("onnx")
    properties = {RECORD_FILE: record_to_json(record_of(model)), **_PIXELS}
    onnx.helper.set_model_props(content, properties)
    onnx.save(content, path)


def _keep_constants(content: Any, function: Any) -> None:
    """Stores tensors that layers contain, as DINOv3's do; tf2onnx makes inputs of them."""
    onnx = import_onnx_package("onnx")
    values = function.captured_inputs
    names = [tensor.name for tensor in function.inputs[len(function.inputs) - len(values) :]]
    constants = {
        name: onnx.numpy_helper.from_array(value.numpy(), name)
        for name, value in zip(names, values, strict=True)
        if value.dtype != tf.resource
    }
    inputs = [each for each in content.graph.input if each.name not in constants]
    del content.graph.input[:]
    content.graph.input.extend(inputs)
    content.graph.initializer.extend(constants.values())


def _write_erfc(context: Any, node: Any, name: str, arguments: list[Any]) -> None:
    """Writes erfc(x), of the exact GELU of transformers, as 1 - erf(x); tf2onnx doesn't know it."""
    [x], shapes, dtypes = node.input, node.output_shapes, node.output_dtypes
    context.remove_node(node.name)
    erf = context.make_node("Erf", [x]).output[0]
    one = context.make_const(f"{name}/one", np.float32(1)).output[0]
    context.make_node(
        "Sub", [one, erf], outputs=node.output, name=name, shapes=shapes, dtypes=dtypes
    )


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
    return load_onnx(path).predict(images)
