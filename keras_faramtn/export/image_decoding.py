"""Decoding of untrusted image files inside a served graph."""

from typing import Any

import tensorflow as tf

from keras_faramtn.data.decoding import decode_and_resize, without_autotuning
from keras_faramtn.data.orientation import is_jpeg, is_png

MAX_PIXELS = 64 * 1024 * 1024
"""The largest image that is decoded, 192 MiB of pixels. The size is read from the header first."""

IMAGE_ERRORS = (
    "",
    "not a JPEG or PNG file",
    f"the image has more than {MAX_PIXELS:,} pixels",
    "the image is damaged and can't be decoded",
)
"""The possible errors of an image; empty for a valid one."""

_GOOD, _NOT_AN_IMAGE, _TOO_LARGE, _DAMAGED = range(4)
# How many images of one request are decoded in parallel: this bounds the memory of a request.
_PARALLEL_DECODERS = 4


def decode_images(encoded: Any, image_size: tuple[int, int]) -> tuple[Any, Any]:
    """Decodes and resizes a batch of image files; a bad one doesn't affect the others.

    A server merges the requests of several users into one batch, so an error raised for one image
    would fail them all. Only `tf.data` can ignore an error inside a graph.

    Args:
        encoded: string tensor `(batch,)`: JPEG or PNG files.
        image_size: height and width in pixels.

    Returns:
        Images, uint8 `(batch, height, width, 3)`, RGB, as from `decode_and_resize`, black where
        bad; and their errors, string `(batch,)`, each one of `IMAGE_ERRORS`.
    """
    count = tf.size(encoded, tf.int64)
    black = tf.zeros((*image_size, 3), tf.uint8)

    def read(position: Any, one: Any) -> tuple[Any, Any, Any]:
        state = _state(one)
        image = tf.cond(state == _GOOD, lambda: decode_and_resize(one, image_size), lambda: black)
        return position, state, tf.ensure_shape(image, black.shape)

    images = tf.data.Dataset.from_tensor_slices((tf.range(count), encoded))
    images = images.map(read, num_parallel_calls=_PARALLEL_DECODERS, deterministic=False)
    # One more element than the batch, so that there is one even if all images are bad.
    spare = tf.data.Dataset.from_tensors((count, _GOOD, black))
    decoded = without_autotuning(images.ignore_errors().concatenate(spare).batch(count + 1))
    positions, states, images = decoded.get_single_element()
    positions = positions[:, None]
    images = tf.scatter_nd(positions, images, tf.stack([count + 1, *black.shape]))[:count]
    damaged = tf.fill([count + 1], _DAMAGED)
    states = tf.tensor_scatter_nd_update(damaged, positions, states)[:count]
    return images, tf.gather(tf.constant(IMAGE_ERRORS), states)


def _state(encoded: Any) -> Any:
    """The state of an image according to its header: an index into `IMAGE_ERRORS`."""
    jpeg, png = is_jpeg(encoded), is_png(encoded)
    pixels = tf.case(
        [(jpeg, lambda: _jpeg_pixels(encoded)), (png, lambda: _png_pixels(encoded))],
        default=lambda: tf.constant(0, tf.int64),
    )
    return tf.where(jpeg | png, tf.where(pixels > MAX_PIXELS, _TOO_LARGE, _GOOD), _NOT_AN_IMAGE)


def _jpeg_pixels(encoded: Any) -> Any:
    return tf.reduce_prod(tf.image.extract_jpeg_shape(encoded, tf.int64)[:2])


def _png_pixels(encoded: Any) -> Any:
    # PNG, section 11.2.1: the first chunk is IHDR; it starts with width and height, big-endian.
    size = tf.io.decode_raw(tf.strings.substr(encoded, 16, 8), tf.int32, little_endian=False)
    return tf.reduce_prod(tf.cast(size, tf.int64))
