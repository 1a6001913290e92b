"""TFLite files, which LiteRT runs on phones."""

import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_faramtn.export.saved_model import write_saved_model
from keras_faramtn.litert_model import LiteRTModel


def write_tflite(model: keras.Model, path: Path, *, float16: bool = False) -> None:
    """Writes an inference model as a TFLite file.

    The batch is fixed to 1, which GPU delegates want. The way leads through a SavedModel:
    converting a function around a Keras model gives a file that runs and answers NaN.

    Args:
        model: from `inference_model`.
        path: the file. Its input is `images`, float32 `(1, height, width, 3)`, RGB in 0..255; its
            output `probabilities`, float32 `(1, attributes)`.
        float16: keep the weights as half floats, which halves the file.
    """
    with tempfile.TemporaryDirectory() as folder:
        write_saved_model(model, Path(folder), batch_size=1)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if float16:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        path.write_bytes(converter.convert())


def run_tflite(path: Path, images: np.ndarray) -> np.ndarray:
    """Runs a TFLite file on each of `images`, as `run_saved_model` runs a SavedModel."""
    model = LiteRTModel(path)
    return np.stack([model.predict(image) for image in images])
