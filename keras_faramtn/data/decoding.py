"""Decodes and resizes images in TensorFlow. `images.py` does the same with Pillow."""

from typing import Any

import tensorflow as tf


def decode_and_resize(encoded: Any, image_size: tuple[int, int]) -> Any:
    """Decodes an image and resizes it: bilinear with antialiasing, rounded to integers.

    The aspect ratio is not preserved. Training, validation and exported models that take encoded
    images all use this function.

    Args:
        encoded: scalar string tensor: a JPEG, a PNG or a GIF with one frame. `check_images` finds
            files of other formats.
        image_size: height and width in pixels.

    Returns:
        uint8 tensor `(height, width, 3)`, RGB.

    Example:
        >>> encoded = tf.io.encode_png(tf.fill((4, 6, 3), tf.constant(7, tf.uint8)))
        >>> decode_and_resize(encoded, (2, 1)).numpy().tolist()
        [[[7, 7, 7]], [[7, 7, 7]]]
    """
    return resize(decode(encoded), image_size)


def decode(encoded: Any) -> Any:
    """Decodes an image, as `decode_and_resize`; uint8 `(height, width, 3)`."""
    # The accurate transform is the one that Pillow and browsers use. Despite its name, the
    # function decodes PNG and GIF too.
    return tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")


def resize(image: Any, image_size: tuple[int, int]) -> Any:
    """Resizes a decoded image, uint8 `(any height, any width, 3)`, as `decode_and_resize` does."""
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
