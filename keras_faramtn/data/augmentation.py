"""Random changes of training images: geometry, light, erasing and mixing."""

from typing import Any

import tensorflow as tf

# The augmentation's ranges: how far images are moved and zoomed (share of the size), turned
# (radians) and relit (share). They keep each attribute recognisable; hair colours set the last.
_SHIFT = 0.08


_ZOOM = 0.08


_TURN = 0.12


_LIGHT = 0.2


# Sides of an erased rectangle, as shares of the image's: it hides an eye or a mouth, not a face.
_ERASED = (0.1, 0.45)


# Keeps mixing's random numbers apart from those of the augmentation before it.
_MIXING = 100


def augment_images(images: Any, seed: Any, erase: float = 0.0) -> Any:
    """Flips, moves, zooms, turns and relights each image at random, and erases parts of some.

    Keras's preprocessing layers do the same an image at a time; one projective transform a batch
    is several times faster on a processor.

    Args:
        images: uint8 `(batch, height, width, 3)`.
        seed: int64 `(2,)`; the same seed gives the same images.
        erase: the share of images of which a rectangle is painted over with one random colour, in
            0..1 (Zhong et al., "Random Erasing Data Augmentation", AAAI 2020).

    Returns:
        uint8 tensor of the same shape.
    """
    count = tf.shape(images)[0]
    height, width = images.shape[1], images.shape[2]

    def draw(index: int, low: float, high: float) -> Any:
        return tf.random.stateless_uniform((count,), seed + index, low, high)

    flip = tf.sign(draw(0, -1, 1))
    zoom = 1 + draw(1, -_ZOOM, _ZOOM)
    turn = draw(2, -_TURN, _TURN)
    # Output pixel (x, y), seen from the centre, takes its colour from this place of the input.
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    a, b = flip * zoom * tf.cos(turn), -zoom * tf.sin(turn)
    c, d = flip * zoom * tf.sin(turn), zoom * tf.cos(turn)
    move_x = centre_x * (1 - a) - centre_y * b + draw(3, -_SHIFT, _SHIFT) * width
    move_y = centre_y * (1 - d) - centre_x * c + draw(4, -_SHIFT, _SHIFT) * height
    zero = tf.zeros_like(a)
    pixels = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(images, tf.float32),
        transforms=tf.stack([a, b, move_x, c, d, move_y, zero, zero], axis=1),
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
        hit = draw(7, 0, 1) < erase
        rows = _span(draw(8, 0, 1), draw(9, *_ERASED), height) & hit[:, None]
        columns = _span(draw(10, 0, 1), draw(11, *_ERASED), width)
        colour = tf.stack([draw(index, 0, 255) for index in (12, 13, 14)], axis=-1)
        hidden = rows[:, :, None, None] & columns[:, None, :, None]
        relit = tf.where(hidden, colour[:, None, None, :], relit)
    return tf.cast(tf.clip_by_value(tf.round(relit), 0, 255), tf.uint8)


def _span(centre: Any, share: Any, length: int) -> Any:
    """`(batch, length)`: the pixels of a side that are within half a share of a centre in 0..1."""
    places = (tf.range(length, dtype=tf.float32) + 0.5) / length
    return tf.abs(places - centre[:, None]) < share[:, None] / 2


def mix(images: Any, labels: Any, seed: Any, alpha: float) -> tuple[Any, Any]:
    """Blends each image and its labels with those of another image of the batch.

    Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018, with a share for each
    image. `keras.layers.MixUp` draws from a state, which a resumed training does not have.

    Args:
        images: uint8 `(batch, height, width, 3)`, in random order: the first is paired with the
            last, and so on.
        labels: a dict by group, or one tensor: float32 `(batch, attributes)`, in 0..1, or -1 for
            unknown.
        seed: int64 `(2,)`; the same seed gives the same images.
        alpha: above 0; the share of the other image is the smaller of x and 1 - x, where x is
            drawn from Beta(alpha, alpha).

    Returns:
        `(images, labels)` of the same shapes and dtypes: a label is the share, in 0..1, of the
        images that have the attribute, and -1 where it is unknown for either.
    """
    count = tf.shape(images)[0]
    first, second = (
        tf.random.stateless_gamma((count,), seed + _MIXING + index, alpha) for index in (0, 1)
    )
    # Both draws of a small alpha may be too small for float32.
    share = tf.math.divide_no_nan(tf.minimum(first, second), first + second)

    def blend(values: Any) -> Any:
        others = tf.reshape(share, (-1, *[1] * (len(values.shape) - 1)))
        return values + others * (values[::-1] - values)

    def blend_labels(values: Any) -> Any:
        known = (values >= 0) & (values[::-1] >= 0)
        return tf.where(known, blend(values), -1.0)

    mixed = tf.cast(tf.round(blend(tf.cast(images, tf.float32))), tf.uint8)
    return mixed, tf.nest.map_structure(blend_labels, labels)
