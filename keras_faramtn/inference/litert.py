"""Runs TFLite files with LiteRT, without TensorFlow or Keras."""

import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from keras_faramtn.errors import InputError, reason
from keras_faramtn.inference.predictor import Predictor
from keras_faramtn.inference.records import (
    LABELS_FILE,
    check_outputs,
    parse_labels,
    parse_record,
    read_labels_beside,
)
from keras_faramtn.inference.tflite_metadata import Metadata, read_metadata
from keras_faramtn.model_record import RECORD_FILE, ModelRecord
from keras_faramtn.threads import available_cores

_IMAGES_PER_CORE = 8  # of a batch: few enough that a progress bar moves steadily

# An integer input whose largest value is below this can't stand for a pixel in 0..255.
_MIN_PIXEL_RANGE = 64

_INPUT_TYPES = {"float32", "float16", "uint8", "int8", "int16"}


def load_tflite(path: Path) -> Predictor:
    """Loads a TFLite file for prediction.

    Raises:
        InputError: as in `LiteRTModel` and `read_tflite_record`; or there is another number of
            labels than of outputs.
    """
    model = LiteRTModel(path)
    record = read_tflite_record(path)
    check_outputs(record, path, model.outputs)
    batch_size = _IMAGES_PER_CORE * available_cores()
    return Predictor(record, model.image_size, model.predict_batch, batch_size)


def read_tflite_record(path: Path) -> ModelRecord:
    """The record in the archive that is appended to a TFLite file.

    Without a record, the archive's labels are read, and without these, a `LABELS_FILE` in the
    folder of the file or in its parent folder.

    Raises:
        InputError: there are no labels, or the record or the labels are damaged.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
                if RECORD_FILE in names:
                    return parse_record(archive.read(RECORD_FILE), path)
                labels_file = read_metadata(path).labels_file or LABELS_FILE
                if labels_file in names:
                    return parse_labels(archive.read(labels_file), path)
    except InputError:
        raise
    except Exception as error:  # damaged archives raise almost any exception
        raise InputError(
            f"{path}: the archive with the names of the attributes is damaged: "
            f"{reason(error)}; export the file again."
        ) from error
    return read_labels_beside(path)


class LiteRTModel:
    """A loaded TFLite file with one image as input and one vector of probabilities as output.

    It may be used by several threads at once.

    Args:
        path: the file.

    Attributes:
        image_size: height and width in pixels of the images that it takes.
        outputs: the number of probabilities.

    Raises:
        InputError: the file is missing, is not a TFLite file, or has other inputs or outputs; or
            it doesn't state how pixels are scaled for its input.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = path = Path(path)
        self._local = threading.local()  # an interpreter can only be used by one thread
        if not path.is_file():
            raise InputError(f"{path}: no such model file; specify a .tflite file.")
        try:
            interpreter = self._interpreter()
        except (ValueError, RuntimeError) as error:
            raise InputError(
                f"{path}: not a TFLite file that LiteRT can run; write one with `faramtn export`."
            ) from error
        self._input, self._output = _only_tensors(path, interpreter)
        self._mean, self._std = _normalization(path, self._input, read_metadata(path))
        _, height, width, _ = map(int, self._input["shape"])
        self.image_size = (height, width)
        self.outputs = int(self._output["shape"][-1])
        self._pool = ThreadPoolExecutor(available_cores())

    def predict(self, image: np.ndarray) -> np.ndarray:
        """Predicts the attributes of one image.

        Args:
            image: `(height, width, 3)` in 0..255, RGB, of `image_size`.

        Returns:
            Probabilities, float32 `(outputs,)` in 0..1.
        """
        interpreter = self._interpreter()
        values = (image[None].astype("float32") - self._mean) / self._std
        interpreter.set_tensor(self._input["index"], _quantize(values, self._input))
        interpreter.invoke()
        output = interpreter.get_tensor(self._output["index"]).reshape(-1)
        return _dequantize(output, self._output)

    def predict_batch(self, images: np.ndarray) -> np.ndarray:
        """Predicts the attributes of several images, one on each core at a time.

        Args:
            images: `(n, height, width, 3)` in 0..255, RGB, of `image_size`; at least one.

        Returns:
            Probabilities, float32 `(n, outputs)` in 0..1.
        """
        if len(images) == 1:  # without loading the file again in another thread
            return self.predict(images[0])[None]
        return np.stack(list(self._pool.map(self.predict, images)))

    def _interpreter(self) -> Any:
        from ai_edge_litert.interpreter import Interpreter

        if not hasattr(self._local, "interpreter"):
            interpreter = Interpreter(model_path=str(self._path), num_threads=1)
            interpreter.allocate_tensors()
            self._local.interpreter = interpreter
        return self._local.interpreter


def _only_tensors(path: Path, interpreter: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The input and the output of a model that has one of each, for one image of a known size."""
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    if len(inputs) == len(outputs) == 1:
        image, scores = inputs[0], outputs[0]
        fixed = [size for size in image["shape_signature"][1:] if size > 0]
        if (
            len(image["shape"]) == 4
            and len(fixed) == 3
            and image["shape"][0] == 1
            and image["shape"][3] == 3
            and np.dtype(image["dtype"]).name in _INPUT_TYPES
            and len(scores["shape"]) > 0
            and np.prod(scores["shape"]) == scores["shape"][-1] > 0
        ):
            if not np.issubdtype(scores["dtype"], np.floating) and not scores["quantization"][0]:
                raise InputError(
                    f"{path}: its output is integers without a scale, so they can't be turned into "
                    "probabilities; export the model with `faramtn export`."
                )
            return image, scores
    raise InputError(
        f"{path}: the model must have one image as input, (1, height, width, 3), and one vector of "
        "probabilities as output; export it with `faramtn export`."
    )


def _normalization(
    path: Path, tensor: dict[str, Any], metadata: Metadata
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the model's input, float32."""
    limits = _value_limits(tensor)
    if metadata.mean is None or metadata.std is None:
        if limits is None or limits[1] < _MIN_PIXEL_RANGE:
            raise InputError(
                f"{path}: it doesn't state how pixels are scaled for its input; add TFLite "
                "metadata with the mean and the standard deviation, or export the model with "
                "`faramtn export`."
            )
        return np.zeros(1, "float32"), np.ones(1, "float32")
    mean, std = np.array(metadata.mean, "float32"), np.array(metadata.std, "float32")
    valid = {len(mean), len(std)} <= {1, 3} and np.isfinite([*mean, *std]).all() and (std > 0).all()
    if not valid or not _mostly_inside((0 - mean) / std, (255 - mean) / std, limits):
        raise InputError(
            f"{path}: its metadata state mean {list(metadata.mean)} and standard deviation "
            f"{list(metadata.std)} of pixels, which can't be those of its input."
        )
    return mean, std


def _value_limits(tensor: dict[str, Any]) -> tuple[float, float] | None:
    """The smallest and the largest number that an integer input stands for; None for floats."""
    if np.issubdtype(tensor["dtype"], np.floating):
        return None
    scale, zero = tensor["quantization"]
    limits = np.iinfo(tensor["dtype"])
    return (limits.min - zero) * (scale or 1.0), (limits.max - zero) * (scale or 1.0)


def _mostly_inside(low: np.ndarray, high: np.ndarray, limits: tuple[float, float] | None) -> bool:
    """Whether an input can represent most of the values from `low` to `high`."""
    if limits is None:
        return True
    represented = np.minimum(high, limits[1]) - np.maximum(low, limits[0])
    return bool((represented > 0.5 * (high - low)).all())


def _quantize(values: np.ndarray, tensor: dict[str, Any]) -> np.ndarray:
    if np.issubdtype(tensor["dtype"], np.floating):
        return values.astype(tensor["dtype"])
    scale, zero = tensor["quantization"]
    limits = np.iinfo(tensor["dtype"])
    steps = np.round(values / (scale or 1.0)) + zero
    return np.clip(steps, limits.min, limits.max).astype(tensor["dtype"])


def _dequantize(values: np.ndarray, tensor: dict[str, Any]) -> np.ndarray:
    if np.issubdtype(tensor["dtype"], np.floating):
        return values.astype("float32")
    scale, zero = tensor["quantization"]
    return (values.astype("float32") - zero) * np.float32(scale)
