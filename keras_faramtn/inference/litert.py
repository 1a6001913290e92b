"""Runs TFLite files with LiteRT, without TensorFlow or Keras."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from keras_faramtn.errors import InputError
from keras_faramtn.inference.cores import available_cores


class LiteRTModel:
    """A loaded TFLite file with one image as input and one vector of probabilities as output.

    It may be used by several threads at once.

    Args:
        path: the file.

    Attributes:
        image_size: height and width in pixels of the images that it takes.
        outputs: the number of probabilities.

    Raises:
        InputError: the file is missing, is not a TFLite file, or has other inputs or outputs.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = path = Path(path)
        self._local = threading.local()  # an interpreter can only be used by one thread
        self._pool = ThreadPoolExecutor(available_cores())
        if not path.is_file():
            raise InputError(f"{path}: no such model file; specify a .tflite file.")
        try:
            interpreter = self._interpreter()
        except (ValueError, RuntimeError) as error:
            raise InputError(
                f"{path}: not a TFLite file that LiteRT can run; write one with `faramtn export`."
            ) from error
        inputs = interpreter.get_input_details()
        outputs = interpreter.get_output_details()
        if (
            len(inputs) != 1
            or len(outputs) != 1
            or len(inputs[0]["shape"]) != 4
            or inputs[0]["shape"][0] != 1
            or inputs[0]["shape"][3] != 3
        ):
            raise InputError(
                f"{path}: the model must have one image as input and one vector of probabilities "
                "as output; export it with `faramtn export`."
            )
        self._input, self._output = inputs[0], outputs[0]
        _, height, width, _ = map(int, self._input["shape"])
        self.image_size = (height, width)
        self.outputs = int(self._output["shape"][-1])

    def predict(self, image: np.ndarray) -> np.ndarray:
        """Predicts the attributes of one image.

        Args:
            image: `(height, width, 3)` in 0..255, RGB, of `image_size`.

        Returns:
            Probabilities, float32 `(outputs,)` in 0..1.
        """
        interpreter = self._interpreter()
        interpreter.set_tensor(self._input["index"], _quantize(image[None], self._input))
        interpreter.invoke()
        return _dequantize(interpreter.get_tensor(self._output["index"])[0], self._output)

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


def _quantize(values: np.ndarray, tensor: dict[str, Any]) -> np.ndarray:
    if np.issubdtype(tensor["dtype"], np.floating):
        return values.astype(tensor["dtype"])
    scale, zero = tensor["quantization"]
    limits = np.iinfo(tensor["dtype"])
    steps = np.round(values.astype("float32") / (scale or 1.0)) + zero
    return np.clip(steps, limits.min, limits.max).astype(tensor["dtype"])


def _dequantize(values: np.ndarray, tensor: dict[str, Any]) -> np.ndarray:
    if np.issubdtype(tensor["dtype"], np.floating):
        return values
    scale, zero = tensor["quantization"]
    return (values.astype("float32") - zero) * np.float32(scale)
