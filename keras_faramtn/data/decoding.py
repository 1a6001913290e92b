"""Encoded images to pixels of one size, with TensorFlow."""

from typing import Any

import tensorflow as tf


def decode_and_resize(encoded: Any, image_size: tuple[int, int]) -> Any:
    """An encoded image as pixels of one size.

    The one way from bytes to pixels of this package: bilinear with antialiasing, without regard
    to the aspect ratio, rounded to whole numbers.

    Args:
        encoded: scalar string tensor, a JPEG, a PNG or a GIF of one frame; `check_images` finds
            those that are something else.
        image_size: height and width in pixels.

    Returns:
        uint8 tensor `(height, width, 3)`, RGB.
    """
    # The accurate transform is the one that Pillow and browsers use. Despite its name the
    # function takes the other formats too.
    image = tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")
    return resize(image, image_size)


def resize(image: Any, image_size: tuple[int, int]) -> Any:
    """A decoded image, uint8 `(any height, any width, 3)`, as `decode_and_resize` returns it."""
    # Where neither side shrinks, antialiasing changes nothing and takes three times as long.
    grows = tf.reduce_all(tf.shape(image)[:2] <= image_size)
    resized = tf.cond(
        grows,
        lambda: tf.image.resize(image, image_size),
        lambda: tf.image.resize(image, image_size, antialias=True),
    )
    # The weights are positive and sum to one: what is cut off below is a half at most.
    return tf.cast(resized + 0.5, tf.uint8)


def without_autotuning(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """`dataset` without tf.data's tuning at run time, with as many parallel calls as cores.

    The tuner's thread sleeps for up to a minute, and an iterator that is dropped may fail to wake
    it and wait for it: on one core always, so that training stood still between its epochs.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
