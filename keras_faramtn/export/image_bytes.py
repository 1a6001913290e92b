"""From a batch of encoded images to pixels inside a served graph, where no image is trusted."""

from typing import Any

import tensorflow as tf

from keras_faramtn.data.decoding import decode_and_resize, without_autotuning

MAX_PIXELS = 64 * 1024 * 1024
"""The largest image that is decoded (192 MiB as pixels); its header is read before."""

IMAGE_ERRORS = (
    "",
    "this is no JPEG or PNG file",
    f"this image has more than {MAX_PIXELS:,} pixels",
    "this image is damaged and can't be decoded",
)
"""What can be said of an image; a good one has an empty error."""

_GOOD, _NO_IMAGE, _TOO_LARGE, _DAMAGED = range(4)
_JPEG_START = b"\xff\xd8\xff"
_PNG_START = b"\x89PNG\r\n\x1a\n"
# Images of one request that are decoded at once: bounds the memory that a request can take.
_DECODERS = 4


def decode_images(encoded: Any, image_size: tuple[int, int]) -> tuple[Any, Any]:
    """Decodes images, each by `decode_and_resize`; a bad one is marked and stops no other.

    A server joins the requests of several users to one batch: an error that is raised for one
    image would reach them all. Only `tf.data` can pass over an error inside a graph.

    Args:
        encoded: string tensor `(batch,)`.
        image_size: height and width in pixels.

    Returns:
        Images, uint8 `(batch, height, width, 3)`, black where bad; and what is wrong with each,
        string `(batch,)`, one of `IMAGE_ERRORS`.
    """
    count = tf.size(encoded, tf.int64)
    black = tf.zeros((*image_size, 3), tf.uint8)

    def read(place: Any, one: Any) -> tuple[Any, Any, Any]:
        state = _state(one)
        image = tf.cond(state == _GOOD, lambda: decode_and_resize(one, image_size), lambda: black)
        return place, state, tf.ensure_shape(image, black.shape)

    images = tf.data.Dataset.from_tensor_slices((tf.range(count), encoded))
    images = images.map(read, num_parallel_calls=_DECODERS, deterministic=False)
    # One element more than the batch, so that there is an element where all images are bad.
    spare = tf.data.Dataset.from_tensors((count, _GOOD, black))
    read_ones = without_autotuning(images.ignore_errors().concatenate(spare).batch(count + 1))
    places, states, images = read_ones.get_single_element()
    places = places[:, None]
    images = tf.scatter_nd(places, images, tf.stack([count + 1, *black.shape]))[:count]
    damaged = tf.fill([count + 1], _DAMAGED)
    states = tf.tensor_scatter_nd_update(damaged, places, states)[:count]
    return images, tf.gather(tf.constant(IMAGE_ERRORS), states)


def _state(encoded: Any) -> Any:
    """What can be known of an image from its first bytes."""
    jpeg = tf.strings.substr(encoded, 0, len(_JPEG_START)) == _JPEG_START
    png = tf.strings.substr(encoded, 0, len(_PNG_START)) == _PNG_START
    pixels = tf.case(
        [(jpeg, lambda: _jpeg_pixels(encoded)), (png, lambda: _png_pixels(encoded))],
        default=lambda: tf.constant(0, tf.int64),
    )
    return tf.where(jpeg | png, tf.where(pixels > MAX_PIXELS, _TOO_LARGE, _GOOD), _NO_IMAGE)


def _jpeg_pixels(encoded: Any) -> Any:
    return tf.reduce_prod(tf.image.extract_jpeg_shape(encoded, tf.int64)[:2])


def _png_pixels(encoded: Any) -> Any:
    # PNG, section 11.2.1: the first chunk is IHDR, and begins with width and height, big-endian.
    size = tf.io.decode_raw(tf.strings.substr(encoded, 16, 8), tf.int32, little_endian=False)
    return tf.reduce_prod(tf.cast(size, tf.int64))
