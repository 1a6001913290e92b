"""SavedModel, the format of TensorFlow Serving."""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf


def write_saved_model(model: keras.Model, folder: Path, batch_size: int | None = None) -> None:
    """Writes an inference model as a SavedModel with the signature `serving_default`.

    Args:
        model: from `inference_model`.
        folder: where to; TensorFlow Serving wants a number as its name.
        batch_size: a fixed number of pictures, or None for any.

    The signature's input is `images`, float32 `(batch, height, width, 3)`, RGB in 0..255; its
    output `probabilities`, float32 `(batch, attributes)`.
    """
    _, height, width, channels = model.input_shape
    images = tf.TensorSpec((batch_size, height, width, channels), tf.float32, name="images")
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "serving_default",
        lambda images: {"probabilities": model(images, training=False)},
        input_signature=[images],
    )
    archive.write_out(folder, verbose=False)


def run_saved_model(folder: Path, images: np.ndarray) -> np.ndarray:
    """Runs a SavedModel as TensorFlow Serving does, by its signature.

    Args:
        folder: the SavedModel.
        images: `(batch, height, width, 3)` in 0..255.

    Returns:
        Probabilities, float32 `(batch, attributes)`.
    """
    loaded = tf.saved_model.load(folder)
    serve = loaded.signatures["serving_default"]
    return serve(images=tf.cast(images, tf.float32))["probabilities"].numpy()
