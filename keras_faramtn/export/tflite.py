"""TFLite files, which LiteRT runs on phones."""

import tempfile
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
from keras_faramtn.models import groups_of

_DESCRIPTION = "FAR-AMTN of keras-faramtn: the probability of each attribute of a face."
_WARM_UP, _RUNS = 3, 15


def write_tflite(model: keras.Model, path: Path) -> None:
    """Writes an inference model as a TFLite file of float32.

    The batch is fixed to 1, which GPU delegates want. The way leads through a SavedModel:
    converting a function around a Keras model gives a file that runs and answers NaN.

    Args:
        model: from `inference_model`.
        path: the file. Its input is `images`, float32 `(1, height, width, 3)`, RGB in 0..255; its
            output `probabilities`, float32 `(1, attributes)`. It holds metadata and the labels,
            see `add_metadata`.
    """
    _write(model, path, lambda converter: None)


def write_tflite_float16(model: keras.Model, path: Path) -> None:
    """As `write_tflite`, with weights of half floats: half the size, computed as GPUs do."""

    def halve(converter: tf.lite.TFLiteConverter) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]

    _write(model, path, halve)


def write_tflite_int8(model: keras.Model, path: Path, images: Iterable[np.ndarray]) -> None:
    """As `write_tflite`, computed in whole numbers: weights and what lies between of 8 bits.

    Input and output stay float32, so that an app can take one file for another.

    Args:
        model, path: as in `write_tflite`.
        images: of the kind that will be seen, `(height, width, 3)` in 0..255 each; the ranges of
            all values in the network are taken from them.
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
    """Runs a TFLite file on each of `images`, as `run_saved_model` runs a SavedModel."""
    model = LiteRTModel(path)
    return np.stack([model.predict(image) for image in images])


def latency(path: Path, image: np.ndarray) -> float:
    """Median milliseconds that LiteRT takes for one image, on this computer's CPU."""
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
    with tempfile.TemporaryDirectory() as folder:
        write_saved_model(model, Path(folder), batch_size=1)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        prepare(converter)
        with warnings.catch_warnings():
            # Calibration uses an interpreter of TensorFlow's own that is deprecated.
            warnings.filterwarnings("ignore", message=r"\s*Warning: tf\.lite\.Interpreter")
            content = converter.convert()
    path.write_bytes(
        add_metadata(
            content,
            groups_of(model).attributes,
            name=model.name,
            description=_DESCRIPTION,
            image_size=model.input_shape[1:3],
        )
    )
