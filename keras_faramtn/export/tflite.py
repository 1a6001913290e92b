"""Export to TFLite, which LiteRT runs on phones."""

import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_faramtn.export.saved_model import write_saved_model
from keras_faramtn.export.tflite_metadata import add_metadata
from keras_faramtn.inference.litert import LiteRTModel
from keras_faramtn.models.record import record_of
from keras_faramtn.plain_paths import plain_temporary_folder

_DESCRIPTION = "Face attribute recognition by keras-faramtn: the probability of each attribute."
_WARM_UP, _RUNS = 3, 15


def write_tflite(model: keras.Model, path: Path) -> None:
    """Writes an inference model as a float32 TFLite file.

    Its input is `images`, float32 `(1, height, width, 3)`, RGB in 0..255; its output is
    `probabilities`, float32 `(1, attributes)` in 0..1. The file contains metadata, the labels and
    the record of the model, see `add_metadata`. The batch size is fixed to 1, which GPU delegates
    require.

    Args:
        model: from `inference_model`.
        path: the file to write.
    """
    _write(model, path, lambda converter: None)


def write_tflite_float16(model: keras.Model, path: Path) -> None:
    """Like `write_tflite`, with float16 weights: half the size, and the precision of phone GPUs."""

    def use_float16(converter: tf.lite.TFLiteConverter) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]

    _write(model, path, use_float16)


def write_tflite_int8(model: keras.Model, path: Path, images: Iterable[np.ndarray]) -> None:
    """Like `write_tflite`, with 8-bit integer weights and activations.

    Input and output stay float32, so an app can swap one file for another.

    Args:
        model, path: as in `write_tflite`.
        images: calibration images like those that the network will see, each
            `(height, width, 3)` in 0..255; they determine the quantization ranges.
    """

    def quantize(converter: tf.lite.TFLiteConverter) -> None:
        def samples() -> Iterator[dict[str, np.ndarray]]:
            for image in images:
                yield {"images": image[None].astype("float32")}

        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = samples
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]

    _write(model, path, quantize)


def run_tflite(path: Path, images: np.ndarray) -> np.ndarray:
    """Runs a TFLite file with LiteRT.

    Args:
        path: the file.
        images: `(batch, height, width, 3)` in 0..255, RGB.

    Returns:
        Probabilities, float32 `(batch, attributes)`.
    """
    return LiteRTModel(path).predict_batch(images)


def measure_latency(path: Path, image: np.ndarray) -> float:
    """The median time in milliseconds that LiteRT needs for one image on this computer's CPU.

    Args:
        path: the TFLite file.
        image: `(height, width, 3)` in 0..255, RGB.
    """
    model = LiteRTModel(path)
    seconds = []
    for _ in range(_WARM_UP + _RUNS):
        started = time.perf_counter()
        model.predict(image)
        seconds.append(time.perf_counter() - started)
    return 1000 * float(np.median(seconds[_WARM_UP:]))


def _write(
    model: keras.Model, path: Path, prepare: Callable[[tf.lite.TFLiteConverter], None]
) -> None:
    with plain_temporary_folder() as folder:
        # Converting a function around a Keras model gives a file that runs and returns NaN.
        write_saved_model(model, folder, batch_size=1)
        converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
        prepare(converter)
        with warnings.catch_warnings():
            # Calibration uses TensorFlow's deprecated interpreter.
            warnings.filterwarnings("ignore", message=r"\s*Warning: tf\.lite\.Interpreter")
            content = converter.convert()
    path.write_bytes(
        add_metadata(
            content,
            record_of(model),
            name=model.name,
            description=_DESCRIPTION,
            image_size=model.input_shape[1:3],
        )
    )
