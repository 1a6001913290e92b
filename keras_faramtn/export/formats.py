"""The formats that a network can be exported to."""

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from keras_faramtn.errors import InputError
from keras_faramtn.export.keras_files import run_keras_files, write_keras_files
from keras_faramtn.export.onnx import run_onnx, write_onnx
from keras_faramtn.export.saved_model import run_saved_model, write_serving_model
from keras_faramtn.export.tflite import (
    run_tflite,
    write_tflite,
    write_tflite_float16,
    write_tflite_int8,
)
from keras_faramtn.keras_files import WEIGHTS_FILE


@dataclass(frozen=True)
class Format:
    """A format of exported files.

    Attributes:
        path: relative to the export's folder; `{name}` stands for the model's name.
        write: writes an inference model, or a network if `network`, to a path; takes calibration
            images too if `calibrated`.
        run: runs the file at a path on images `(n, height, width, 3)` in 0..255; returns
            probabilities `(n, attributes)`.
        tolerance: the largest allowed difference of a probability from the trained model's.
        min_decision_agreement: the smallest allowed fraction of equal yes/no decisions.
        calibrated: whether `write` takes calibration images.
        network: whether `write` takes the network that was trained, whose outputs are logits.
        packages: optional packages that it needs, by their import names.
        extra: the extra of this package that installs them.
    """

    path: str
    write: Callable[..., None]
    run: Callable[[Path, np.ndarray], np.ndarray]
    tolerance: float
    min_decision_agreement: float = 0.0
    calibrated: bool = False
    network: bool = False
    packages: tuple[str, ...] = ()
    extra: str = ""

    @property
    def mobile(self) -> bool:
        """Whether the file is for phones, so that latency and GPU support are measured."""
        return self.path.endswith(".tflite")


FORMATS: dict[str, Format] = {
    "saved_model": Format(
        *("saved_model/1", write_serving_model, run_saved_model, 1e-4),
        packages=("tensorflow_serving",),
        extra="serving",
    ),
    "tflite_float32": Format("tflite/{name}_float32.tflite", write_tflite, run_tflite, 1e-4),
    "tflite_float16": Format(
        "tflite/{name}_float16.tflite", write_tflite_float16, run_tflite, 2e-2
    ),
    "tflite_int8": Format(
        *("tflite/{name}_int8.tflite", write_tflite_int8, run_tflite, 0.5),
        min_decision_agreement=0.95,
        calibrated=True,
    ),
    "onnx": Format(
        *("onnx/{name}.onnx", write_onnx, run_onnx, 1e-4),
        packages=("tf2onnx", "onnx", "onnxruntime"),
        extra="onnx",
    ),
    "keras": Format(WEIGHTS_FILE, write_keras_files, run_keras_files, 1e-4, network=True),
}
"""All formats by name. The tolerances allow for a different order of summation and for float16's
11 significant bits; a wrong conversion differs by orders of magnitude more. With 8-bit integers,
single probabilities may change a lot, so the equality of decisions is checked instead."""


def check_formats(formats: Sequence[str]) -> None:
    """Checks that all formats exist and that what they need is installed and configured.

    Raises:
        InputError: an unknown format, no format at all, a missing package, or a backend of Keras
            other than TensorFlow.
    """
    if keras.config.backend() != "tensorflow":
        raise InputError(
            f"exporting needs Keras's TensorFlow backend, but the backend is "
            f"{keras.config.backend()}; set KERAS_BACKEND=tensorflow, or export the saved model "
            "with `faramtn export`."
        )
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise InputError(
            f"there is no format {', '.join(unknown) or '(none given)'}; choose from "
            f"{', '.join(FORMATS)}."
        )
    missing = sorted(
        {
            FORMATS[name].extra
            for name in formats
            if not all(importlib.util.find_spec(package) for package in FORMATS[name].packages)
        }
    )
    if missing:
        raise InputError(
            f"the formats {', '.join(formats)} need more packages: "
            f"pip install 'keras-faramtn[{','.join(missing)}]'; or choose others with --format."
        )
