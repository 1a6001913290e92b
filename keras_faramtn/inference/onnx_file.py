"""Runs ONNX files with onnxruntime, without TensorFlow or Keras."""

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from keras_faramtn.errors import InputError, reason
from keras_faramtn.inference.padding import pad_batch
from keras_faramtn.inference.predictor import Predictor
from keras_faramtn.inference.records import check_outputs, parse_record, read_labels_beside
from keras_faramtn.model_record import RECORD_FILE, ModelRecord
from keras_faramtn.threads import available_cores

PIXEL_FORMAT, PIXEL_RANGE = "Image.BitmapPixelFormat", "Image.NominalPixelRange"
"""Entries of an ONNX file's metadata that describe its image input, from the ONNX standard
(docs/MetadataProps.md)."""

_CHANNEL_ORDERS = {"Rgb8": slice(None), "Bgr8": slice(None, None, -1)}
_BYTE_RANGE = "NominalRange_0_255"  # the only one of a uint8 input
_RANGES = {  # mean and standard deviation of pixels in 0..255
    _BYTE_RANGE: (0.0, 1.0),
    "Normalized_0_1": (0.0, 255.0),
    "Normalized_1_1": (127.5, 127.5),
}
_TYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(uint8)": "uint8"}
_FLOAT_TYPES = {"tensor(float)", "tensor(float16)", "tensor(double)"}
_IMAGES_PER_CORE = 8  # of a batch: larger ones don't fit into the processor's caches
_ERRORS_ONLY = 3  # a severity of onnxruntime's log


def load_onnx(path: Path) -> Predictor:
    """Loads an ONNX file for prediction on the processor.

    Its input is float or uint8, `(batch, height, width, 3)` or `(batch, 3, height, width)`. The
    metadata entries `PIXEL_FORMAT`, `Rgb8` or `Bgr8`, and `PIXEL_RANGE`, `NominalRange_0_255`,
    `Normalized_0_1` or `Normalized_1_1`, state how pixels become its values.

    Raises:
        InputError: onnxruntime is not installed; the file is missing, is not an ONNX file, has
            other inputs or outputs, or doesn't state how pixels become values; or as in
            `read_onnx_record`.
    """
    session = _session(path)
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1:
        raise InputError(
            f"{path}: the model must have one input and one output, but it has {len(inputs)} and "
            f"{len(outputs)}; export it with `faramtn export`."
        )
    if outputs[0].type not in _FLOAT_TYPES:
        raise InputError(
            f"{path}: the output {outputs[0].name} is {outputs[0].type}; it must be a tensor of "
            "floats, the probabilities. Export the model with `faramtn export`."
        )
    image_size, channels_first = _image_shape(path, inputs[0])
    mean, std, order = _pixel_values(path, session.get_modelmeta().custom_metadata_map, inputs[0])
    dtype = _TYPES[inputs[0].type]
    fixed = inputs[0].shape[0] if isinstance(inputs[0].shape[0], int) else None

    def predict(images: np.ndarray) -> np.ndarray:
        pixels = pad_batch(images, fixed or len(images))[..., order].astype("float32")
        values = ((pixels - mean) / std).astype(dtype)
        if channels_first:
            values = np.moveaxis(values, 3, 1)
        try:
            [rows] = session.run(None, {inputs[0].name: np.ascontiguousarray(values)})
        except Exception as error:  # onnxruntime's exceptions have no common base
            raise InputError(f"{path}: onnxruntime can't run it: {reason(error)}.") from error
        return rows.reshape(len(pixels), -1)[: len(images)].astype("float32")

    record = _record(path, session)
    check_outputs(record, path, predict(np.zeros((1, *image_size, 3), "uint8")).shape[1])
    return Predictor(record, image_size, predict, fixed or _IMAGES_PER_CORE * available_cores())


def read_onnx_record(path: Path) -> ModelRecord:
    """The record in the metadata entry `RECORD_FILE` of an ONNX file.

    Without it, a `LABELS_FILE` in the folder of the file or in its parent folder is read.

    Raises:
        InputError: there are no labels, or the record or the labels are damaged.
    """
    return _record(path, _session(path))


def import_onnx_package(package: str) -> ModuleType:
    """Imports an optional package of the extra `onnx`.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise InputError(
            f"ONNX needs the package {package}: pip install 'keras-faramtn[onnx]'."
        ) from error


def _session(path: Path) -> Any:
    onnxruntime = import_onnx_package("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = available_cores()
    options.log_severity_level = _ERRORS_ONLY
    # Waiting threads would keep the cores busy while others decode the next images.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no common base
        raise InputError(
            f"{path}: not an ONNX file that onnxruntime can run; write one with `faramtn export`."
        ) from error


def _record(path: Path, session: Any) -> ModelRecord:
    content = session.get_modelmeta().custom_metadata_map.get(RECORD_FILE)
    if content is not None:
        return parse_record(content.encode(), path)
    return read_labels_beside(path)


def _image_shape(path: Path, image: Any) -> tuple[tuple[int, int], bool]:
    """Height and width of the input, and whether the channels precede them."""
    shape = image.shape
    if image.type in _TYPES and len(shape) == 4 and (shape[1] == 3) != (shape[3] == 3):
        channels_first = shape[1] == 3
        height, width = shape[2:] if channels_first else shape[1:3]
        if isinstance(height, int) and isinstance(width, int):
            return (height, width), channels_first
    raise InputError(
        f"{path}: the input {image.name} is {image.type} {shape}; it must be float or uint8, with "
        "a fixed height and width, and 3 channels last or first. Export the model with `faramtn "
        "export`."
    )


def _pixel_values(path: Path, metadata: dict[str, str], image: Any) -> tuple[float, float, slice]:
    """Mean and standard deviation of pixels, and the order of the channels."""
    range_ = metadata.get(PIXEL_RANGE)
    ranges = _RANGES
    if image.type == "tensor(uint8)":
        ranges = {_BYTE_RANGE: _RANGES[_BYTE_RANGE]}
        range_ = range_ or _BYTE_RANGE
    order = metadata.get(PIXEL_FORMAT)
    if range_ not in ranges or order not in _CHANNEL_ORDERS:
        raise InputError(
            f"{path}: it doesn't state how pixels become values of its input: the metadata entry "
            f"{PIXEL_FORMAT} must be {' or '.join(_CHANNEL_ORDERS)}, and {PIXEL_RANGE} "
            f"{' or '.join(ranges)}. Add them, or export the model with `faramtn export`."
        )
    return *ranges[range_], _CHANNEL_ORDERS[order]
