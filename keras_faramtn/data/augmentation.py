"""Random changes of training images: geometry, light, random erasing, layers and mixup."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from keras_faramtn.data.augmentation_layers import Layers, Transformation, check_layer_names
from keras_faramtn.errors import InputError

# The ranges are small enough to keep each attribute recognisable; hair colours limit `_LIGHT`.
_SHIFT = 0.08  # as a fraction of the image's side
_ZOOM = 0.08  # as a fraction of the image's side
_ROTATION = 0.12  # in radians
_LIGHT = 0.2  # brightness and contrast, as fractions

# The sides of an erased rectangle, as fractions of the image's: it hides an eye or a mouth, not a
# whole face.
_ERASED = (0.1, 0.45)

# Added to the seed, so that mixup and the layers draw different random numbers from the
# augmentation before them.
_MIXUP_SEED = 100
_LAYER_SEED = 200


@dataclass(frozen=True)
class Augmentation:
    """How training images are augmented.

    Each image is flipped, shifted, zoomed, rotated and relit at random. Random erasing, layers of
    Keras and KerasCV, and mixup are optional, and applied in this order.

    Args:
        erase: the fraction of images, in 0..1, in which a random rectangle is painted over (Zhong
            et al., "Random Erasing Data Augmentation", AAAI 2020).
        mixup: if above 0, the parameter of the Beta distribution from which mixup draws its
            fractions; see `mix`.
        layers: layers of Keras or KerasCV, each a mapping from its name to its arguments; see
            `build_layers`.
        standard: False to replace flips, shifts, zoom, rotation and relighting by the layers.

    Raises:
        InputError: a value is out of range, or a layer can't be used.

    Example:
        >>> Augmentation(erase=0.25).erase
        0.25
        >>> augmentation = Augmentation(layers=[{"RandomGaussianBlur": {"factor": 0.2}}])
    """

    erase: float = 0.0
    mixup: float = 0.0
    layers: Layers = ()
    standard: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.erase <= 1:
            raise InputError(f"erase is {self.erase}; use a fraction from 0 to 1.")
        if not (self.mixup >= 0 and math.isfinite(self.mixup)):
            raise InputError(f"mixup is {self.mixup}; use 0 or a positive number.")
        if self.erase and not self.standard:
            raise InputError("erase needs standard=True; use the layer RandomErasing instead.")
        check_layer_names(self.layers)


def augment_images(images: Any, seed: Any, erase: float = 0.0) -> Any:
    """Flips, shifts, zooms, rotates and relights each image, and erases a rectangle in some.

    Keras's preprocessing layers transform one image at a time. One projective transform for the
    batch is several times faster on a CPU.

    Args:
        images: uint8 `(batch, height, width, 3)`.
        seed: int64 `(2,)`; the same seed gives the same images.
        erase: the fraction of images, in 0..1, in which a rectangle is painted over with one random
            colour.

    Returns:
        uint8 tensor of the same shape.

    Example:
        >>> images = tf.zeros((2, 8, 8, 3), tf.uint8)
        >>> augment_images(images, tf.constant([0, 1], tf.int64)).shape
        TensorShape([2, 8, 8, 3])
    """
    count = tf.shape(images)[0]
    height, width = images.shape[1], images.shape[2]

    def draw(index: int, low: float, high: float) -> Any:
        return tf.random.stateless_uniform((count,), seed + index, low, high)

    flip = tf.sign(draw(0, -1, 1))
    zoom = 1 + draw(1, -_ZOOM, _ZOOM)
    angle = draw(2, -_ROTATION, _ROTATION)
    # The matrix ((a, b), (c, d)) maps an output pixel, relative to the centre, to the input pixel
    # that it takes its colour from.
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    a, b = flip * zoom * tf.cos(angle), -zoom * tf.sin(angle)
    c, d = flip * zoom * tf.sin(angle), zoom * tf.cos(angle)
    shift_x = centre_x * (1 - a) - centre_y * b + draw(3, -_SHIFT, _SHIFT) * width
    shift_y = centre_y * (1 - d) - centre_x * c + draw(4, -_SHIFT, _SHIFT) * height
    zero = tf.zeros_like(a)
    pixels = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(images, tf.float32),
        transforms=tf.stack([a, b, shift_x, c, d, shift_y, zero, zero], axis=1),
        output_shape=(height, width),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )
    contrast = draw(5, 1 - _LIGHT, 1 + _LIGHT)[:, None, None, None]
    brightness = draw(6, 1 - _LIGHT, 1 + _LIGHT)[:, None, None, None]
    mean = tf.reduce_mean(pixels, axis=(1, 2), keepdims=True)
    relit = (pixels - mean) * contrast + mean * brightness
    if erase:
        erased = draw(7, 0, 1) < erase
        rows = _span(draw(8, 0, 1), draw(9, *_ERASED), height) & erased[:, None]
        columns = _span(draw(10, 0, 1), draw(11, *_ERASED), width)
        colour = tf.stack([draw(index, 0, 255) for index in (12, 13, 14)], axis=-1)
        hidden = rows[:, :, None, None] & columns[:, None, :, None]
        relit = tf.where(hidden, colour[:, None, None, :], relit)
    return tf.cast(tf.clip_by_value(tf.round(relit), 0, 255), tf.uint8)


def _span(centre: Any, extent: Any, length: int) -> Any:
    """Which pixels of a side of `length` lie in a span, as bool `(batch, length)`.

    `centre` and `extent`, `(batch,)`, are fractions of the side.
    """
    positions = (tf.range(length, dtype=tf.float32) + 0.5) / length
    return tf.abs(positions - centre[:, None]) < extent[:, None] / 2


def apply_layers(images: Any, seed: Any, layers: Sequence[Transformation]) -> Any:
    """Changes images by layers of Keras or KerasCV.

    Args:
        images: uint8 `(batch, height, width, 3)`.
        seed: int64 `(2,)`; the same seed gives the same images.
        layers: from `build_layers`.

    Returns:
        uint8 tensor of the same shape, or `images` if there are no layers.

    Example:
        >>> apply_layers(tf.zeros((2, 4, 3, 3), tf.uint8), tf.constant([0, 1], tf.int64), []).shape
        TensorShape([2, 4, 3, 3])
    """
    if not layers:
        return images
    pixels = tf.cast(images, tf.float32)
    for index, layer in enumerate(layers):
        changed = layer(pixels, tf.random.fold_in(seed, _LAYER_SEED + index))
        pixels = tf.clip_by_value(changed, 0, 255)  # some layers of Keras exceed the range
    return tf.cast(tf.round(pixels), tf.uint8)


def mix(images: Any, labels: Any, seed: Any, alpha: float) -> tuple[Any, Any]:
    """Mixup: blends each image and its labels with those of another image of the batch.

    Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018, with one fraction for each
    image. `keras.layers.MixUp` draws from a random state that is lost when training is resumed.

    Args:
        images: uint8 `(batch, height, width, 3)`, in random order: the first is paired with the
            last, and so on.
        labels: one tensor or a dict of tensors by group, float32 `(batch, attributes)`: in 0..1,
            or -1 for unknown.
        seed: int64 `(2,)`; the same seed gives the same images.
        alpha: above 0; the weight of the other image is the smaller of x and 1 - x, where x is
            drawn from Beta(alpha, alpha).

    Returns:
        `(images, labels)` of the same shapes and dtypes. A label is the weighted mean of the two
        labels, or -1 if one of them is unknown.

    Example:
        >>> images, labels = tf.zeros((2, 4, 4, 3), tf.uint8), tf.constant([[1.0], [1.0]])
        >>> mix(images, labels, tf.constant([0, 1], tf.int64), 0.4)[1].numpy().tolist()
        [[1.0], [1.0]]
    """
    count = tf.shape(images)[0]
    first, second = (
        tf.random.stateless_gamma((count,), seed + _MIXUP_SEED + index, alpha) for index in (0, 1)
    )
    # With a small alpha both draws may be zero in float32.
    weight = tf.math.divide_no_nan(tf.minimum(first, second), first + second)

    # Several times faster on a CPU than the slice [::-1], with the same result.
    reverse = tf.range(count - 1, -1, -1)

    def blend(values: Any, others: Any) -> Any:
        values, others = tf.cast(values, tf.float32), tf.cast(others, tf.float32)
        factor = tf.reshape(weight, (-1, *[1] * (len(values.shape) - 1)))
        return values + factor * (others - values)

    def blend_labels(values: Any) -> Any:
        others = tf.gather(values, reverse)
        known = (values >= 0) & (others >= 0)
        return tf.where(known, blend(values, others), -1.0)

    mixed = tf.cast(tf.round(blend(images, tf.gather(images, reverse))), tf.uint8)
    return mixed, tf.nest.map_structure(blend_labels, labels)
