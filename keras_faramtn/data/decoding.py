"""Decodes and resizes images in TensorFlow. `images.py` does the same with Pillow."""

from typing import Any

import tensorflow as tf

from keras_faramtn.data.orientation import (
    exchanges_axes,
    exif_orientation,
    is_jpeg,
    is_png,
    may_have_exif,
    turn_upright,
)


def decode_and_resize(encoded: Any, image_size: tuple[int, int]) -> Any:
    """Decodes an image, resizes it and turns it upright according to its EXIF orientation.

    Resizing is bilinear with antialiasing, rounded to integers; the aspect ratio is not preserved.
    Training, validation and exported models that take encoded images all use this function.
    `load_image` gives the same pixels to within 2 of the 256 levels.

    Args:
        encoded: scalar string tensor: a JPEG or PNG file. See `load_upright` for other formats.
        image_size: height and width of the upright image in pixels.

    Returns:
        uint8 tensor `(height, width, 3)`, RGB.

    Example:
        >>> encoded = tf.io.encode_png(tf.fill((4, 6, 3), tf.constant(7, tf.uint8)))
        >>> decode_and_resize(encoded, (2, 1)).numpy().tolist()
        [[[7, 7, 7]], [[7, 7, 7]]]
    """
    encoded = tf.convert_to_tensor(encoded)
    image = tf.cond(
        may_have_exif(encoded),
        lambda: _decode_and_turn(encoded, image_size),
        lambda: resize(decode(encoded), image_size),
    )
    return tf.ensure_shape(image, (*image_size, 3))


# Most images have no EXIF data. For them, a function that is not inlined is one skipped operation
# instead of two hundred.
@tf.function(autograph=False, experimental_attributes={"_noinline": True})
def _decode_and_turn(encoded: Any, image_size: tuple[int, int]) -> Any:
    orientation = exif_orientation(encoded)
    stored_size = tf.where(exchanges_axes(orientation), image_size[::-1], image_size)
    # The resized image is turned, since it is usually the smaller one.
    return turn_upright(resize(decode(encoded), stored_size), orientation)


def is_jpeg_or_png(encoded: Any) -> Any:
    """Whether a file, a scalar string tensor, begins as those that `decode_and_resize` reads do."""
    return is_jpeg(encoded) | is_png(encoded)


def decode(encoded: Any) -> Any:
    """Decodes a JPEG or PNG file as it is stored; uint8 `(height, width, 3)`, RGB."""
    # The accurate transform is the one that Pillow and browsers use. Despite its name, the
    # function decodes PNG too.
    return tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")


def resize(image: Any, image_size: Any) -> Any:
    """Resizes a decoded image as `decode_and_resize` does.

    Args:
        image: uint8 `(any height, any width, 3)`.
        image_size: height and width, as a tuple or a tensor.

    Returns:
        uint8 `(height, width, 3)`.
    """
    # Where neither side shrinks, antialiasing changes nothing and takes three times as long.
    grows = tf.reduce_all(tf.shape(image)[:2] <= image_size)
    resized = tf.cond(
        grows,
        lambda: tf.image.resize(image, image_size),
        lambda: tf.image.resize(image, image_size, antialias=True),
    )
    # The weights are positive and sum to one, so no value leaves 0..255: adding 0.5 and
    # truncating rounds to the nearest integer.
    return tf.cast(resized + 0.5, tf.uint8)


def without_autotuning(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """`dataset` without tf.data's autotuning; its calls run in parallel on all cores.

    The autotuner's thread sleeps for up to a minute, and deleting an iterator may have to wait for
    it. On a single core it always does, which stalls training between epochs.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
