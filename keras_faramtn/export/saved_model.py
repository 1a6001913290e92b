"""Export to SavedModel, the format of TensorFlow Serving."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_faramtn.export.image_decoding import decode_images
from keras_faramtn.export.serving_files import write_warmup_requests
from keras_faramtn.inference.saved_model import RECORD_PATH
from keras_faramtn.inference.serving_signatures import IMAGE_FILES, RECORD
from keras_faramtn.model_record import record_to_json
from keras_faramtn.models import groups_of
from keras_faramtn.models.record import record_of
from keras_faramtn.plain_paths import plain_path

# The probabilities of a bad image. NaN would be more natural, but a single NaN makes a JSON
# response invalid for strict parsers.
NO_PROBABILITY = -1.0

# The largest difference between signatures for the same image, given as pixels or as a file.
_SIGNATURES_TOLERANCE = 1e-3


def write_serving_model(model: keras.Model, folder: Path) -> None:
    """Writes an inference model as a SavedModel for TensorFlow Serving.

    It has four signatures, each for any batch size, zero included. Three predict:

    - `serving_default`: `images`, float32 `(batch, height, width, 3)`, RGB in 0..255
    - `serve_uint8`: `images`, uint8 of the same shape, a quarter of the bytes to send
    - `serve_bytes`: `image_bytes`, string `(batch,)`, JPEG or PNG files of any size, decoded and
      resized in the graph as in training

    They return `probabilities`, float32 `(batch, attributes)` in 0..1, and `attributes`, their
    names, string `(batch, attributes)`. The names are repeated for each image because neither the
    server's batching nor the rows of its REST API allow an output without a batch dimension.

    `serve_bytes` also returns `error`, string `(batch,)`: empty, or the reason why an image has no
    prediction (see `IMAGE_ERRORS`); its probabilities are then -1. Grayscale, CMYK and palette
    images are converted to RGB, 16 bits to 8; alpha is dropped; the image is turned upright
    according to its EXIF orientation. Other formats, such as GIF and WebP, are rejected, and so are
    images of more than `MAX_PIXELS`, of which only the header is read.

    `model_record` takes any strings `(batch,)` and describes the model for clients: `record`,
    string `(batch,)`, see `record_to_json`, and `image_size`, int32 `(batch, 2)`, height and width.

    The graph needs no Python package on the server. `assets.extra` holds TensorFlow Serving's
    warm-up requests, and `model.json`, the record of the model, see `record_to_json`.

    Args:
        model: from `inference_model`.
        folder: the folder to write; TensorFlow Serving expects a number as its name.

    Raises:
        InputError: `tensorflow-serving-api` is not installed.
    """
    _, height, width, channels = model.input_shape
    record = record_to_json(record_of(model))
    names = tf.constant(groups_of(model).attributes)

    def serve_images(images: Any) -> dict[str, Any]:
        count = tf.shape(images)[0]
        # TensorFlow's optimised convolutions fail on an empty batch, so it gets a black image.
        padding = [[0, tf.cast(count == 0, tf.int32)], [0, 0], [0, 0], [0, 0]]
        padded = tf.pad(tf.cast(images, tf.float32), padding)
        probabilities = model(padded, training=False)[:count]
        attributes = tf.tile(names[None], [count, 1])
        return {"probabilities": probabilities, "attributes": attributes}

    def serve_bytes(image_bytes: Any) -> dict[str, Any]:
        images, error = decode_images(image_bytes, (height, width))
        served = serve_images(images)
        good = (error == "")[:, None]
        probabilities = tf.where(good, served["probabilities"], NO_PROBABILITY)
        return {**served, "probabilities": probabilities, "error": error}

    def describe(request: Any) -> dict[str, Any]:
        count = tf.shape(request)
        image_size = tf.tile(tf.constant([[height, width]]), [count[0], 1])
        return {"record": tf.fill(count, record), "image_size": image_size}

    shape = (None, height, width, channels)
    endpoints = {
        "serving_default": (serve_images, tf.TensorSpec(shape, tf.float32, "images")),
        "serve_uint8": (serve_images, tf.TensorSpec(shape, tf.uint8, "images")),
        IMAGE_FILES.name: (serve_bytes, tf.TensorSpec((None,), tf.string, IMAGE_FILES.input)),
        RECORD.name: (describe, tf.TensorSpec((None,), tf.string, RECORD.input)),
    }
    _save(model, folder, endpoints)
    write_warmup_requests(folder, (height, width))
    (folder / RECORD_PATH).write_text(record, encoding="utf-8")


def write_saved_model(model: keras.Model, folder: Path, batch_size: int | None = None) -> None:
    """Writes an inference model as a plain SavedModel, the input format of other converters.

    Its only signature, `serving_default`, takes `images`, float32 `(batch, height, width, 3)`, RGB
    in 0..255, and returns `probabilities`, float32 `(batch, attributes)` in 0..1.

    Args:
        model: from `inference_model`.
        folder: the folder to write.
        batch_size: a fixed number of images, or None for any.
    """
    _, height, width, channels = model.input_shape
    images = tf.TensorSpec((batch_size, height, width, channels), tf.float32, "images")

    def serve(images: Any) -> dict[str, Any]:
        return {"probabilities": model(images, training=False)}

    _save(model, folder, {"serving_default": (serve, images)})


def _save(
    model: keras.Model, folder: Path, endpoints: dict[str, tuple[Callable[..., Any], tf.TensorSpec]]
) -> None:
    # Keras's ExportArchive writes each weight twice.
    module = tf.Module()
    module.weights = [variable.value for variable in model.variables]
    signatures = {
        name: tf.function(function, input_signature=[spec]).get_concrete_function()
        for name, (function, spec) in endpoints.items()
    }
    with plain_path(folder) as path:
        tf.saved_model.save(module, path, signatures)


def run_saved_model(folder: Path, images: np.ndarray) -> np.ndarray:
    """Runs the signatures of a SavedModel, as TensorFlow Serving does.

    Args:
        folder: the SavedModel, from `write_serving_model` or `write_saved_model`.
        images: `(batch, height, width, 3)`, integers in 0..255.

    Returns:
        Probabilities from `serving_default`, float32 `(batch, attributes)`; NaN where another
        signature disagrees for the same image.
    """
    with plain_path(folder) as path:
        signatures = tf.saved_model.load(path).signatures
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
