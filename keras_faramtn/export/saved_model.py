"""SavedModel, the format of TensorFlow Serving."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_faramtn.export.image_bytes import decode_images
from keras_faramtn.export.serving_files import write_warmup_requests
from keras_faramtn.models import groups_of

# Stands where a bad image's probabilities would be. NaN would be the honest number, but one NaN
# makes a whole JSON answer unreadable to strict parsers.
NO_PROBABILITY = -1.0

# Of the same image given as pixels and as a file.
_SIGNATURES_TOLERANCE = 1e-3


def write_serving_model(model: keras.Model, folder: Path) -> None:
    """Writes an inference model as a SavedModel for TensorFlow Serving.

    It has three signatures, which take any number of images:

    - `serving_default`: `images`, float32 `(batch, height, width, 3)`, RGB in 0..255
    - `serve_uint8`: `images`, uint8 of the same shape, a quarter of the bytes to send
    - `serve_bytes`: `image_bytes`, string `(batch,)`, JPEG or PNG files of any size, which are
      decoded and resized in the graph as in training

    All give `probabilities`, float32 `(batch, attributes)`, and `attributes`, their names, string
    `(batch, attributes)`: the names are repeated for each image, because neither the server's
    batching nor the rows of its REST interface take an output without a batch dimension.

    `serve_bytes` gives `error` too, string `(batch,)`: empty, or why an image has no answer (see
    `IMAGE_ERRORS`); its probabilities are then -1. Grey, CMYK and palette images become RGB,
    16 bits become 8, alpha is left out, and EXIF's orientation is not followed. GIF (also
    animated), WebP and BMP are refused, as are images of more than `MAX_PIXELS`, of which only
    the header is read.

    The graph needs no Python package where it is served. `assets.extra` has requests with which
    TensorFlow Serving warms up.

    Args:
        model: from `inference_model`.
        folder: where to; TensorFlow Serving wants a number as its name.

    Raises:
        InputError: `tensorflow-serving-api` is not installed.
    """
    _, height, width, channels = model.input_shape
    names = tf.constant(groups_of(model).attributes)

    def serve_images(images: Any) -> dict[str, Any]:
        probabilities = model(tf.cast(images, tf.float32), training=False)
        attributes = tf.tile(names[None], [tf.shape(images)[0], 1])
        return {"probabilities": probabilities, "attributes": attributes}

    def serve_bytes(image_bytes: Any) -> dict[str, Any]:
        images, error = decode_images(image_bytes, (height, width))
        served = serve_images(images)
        good = (error == "")[:, None]
        probabilities = tf.where(good, served["probabilities"], NO_PROBABILITY)
        return {**served, "probabilities": probabilities, "error": error}

    shape = (None, height, width, channels)
    endpoints = {
        "serving_default": (serve_images, tf.TensorSpec(shape, tf.float32, "images")),
        "serve_uint8": (serve_images, tf.TensorSpec(shape, tf.uint8, "images")),
        "serve_bytes": (serve_bytes, tf.TensorSpec((None,), tf.string, "image_bytes")),
    }
    _save(model, folder, endpoints)
    write_warmup_requests(folder, (height, width))


def write_saved_model(model: keras.Model, folder: Path, batch_size: int | None = None) -> None:
    """Writes an inference model as a SavedModel to be converted, with nothing but the network.

    Args:
        model: from `inference_model`.
        folder: where to.
        batch_size: a fixed number of images, or None for any.

    The one signature, `serving_default`, takes `images`, float32 `(batch, height, width, 3)`, RGB
    in 0..255, and gives `probabilities`, float32 `(batch, attributes)`.
    """
    _, height, width, channels = model.input_shape
    images = tf.TensorSpec((batch_size, height, width, channels), tf.float32, "images")

    def serve(images: Any) -> dict[str, Any]:
        return {"probabilities": model(images, training=False)}

    _save(model, folder, {"serving_default": (serve, images)})


def _save(
    model: keras.Model, folder: Path, endpoints: dict[str, tuple[Callable[..., Any], tf.TensorSpec]]
) -> None:
    # Keras's own ExportArchive writes each weight twice.
    module = tf.Module()
    module.weights = [variable.value for variable in model.variables]
    signatures = {
        name: tf.function(function, input_signature=[spec]).get_concrete_function()
        for name, (function, spec) in endpoints.items()
    }
    tf.saved_model.save(module, folder, signatures)


def run_saved_model(folder: Path, images: np.ndarray) -> np.ndarray:
    """Runs a SavedModel as TensorFlow Serving does, by its signatures.

    Args:
        folder: the SavedModel.
        images: `(batch, height, width, 3)`, whole numbers in 0..255.

    Returns:
        Probabilities, float32 `(batch, attributes)`, by `serving_default`; NaN where another
        signature gives another number for the same image.
    """
    signatures = tf.saved_model.load(folder).signatures
    pixels = tf.cast(images, tf.uint8)
    probabilities = signatures["serving_default"](images=tf.cast(images, tf.float32))
    probabilities = probabilities["probabilities"].numpy()
    others = {
        "serve_uint8": lambda: {"images": pixels},
        "serve_bytes": lambda: {
            "image_bytes": tf.map_fn(tf.io.encode_png, pixels, fn_output_signature=tf.string)
        },
    }
    for signature, inputs in others.items():
        if signature in signatures:
            other = signatures[signature](**inputs())["probabilities"].numpy()
            agree = np.abs(other - probabilities) <= _SIGNATURES_TOLERANCE
            probabilities = np.where(agree, probabilities, np.float32("nan"))
    return probabilities
