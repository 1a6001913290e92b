"""From a table of faces to a `tf.data.Dataset` of batches for `model.fit`."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.data.cache import stored_pictures
from keras_faramtn.data.faces import FaceTable
from keras_faramtn.errors import InputError

EVALUATION_BATCH = 64
"""Pictures a batch where a network is asked and does not learn."""

# Decoded pictures are kept in memory up to this size; those of a larger set are kept on disk.
_CACHE_BYTES = 4 * 1024**3

# Keeps the orders of one seed's passes apart from those of the next seed's.
_SEED_STEP = 1_000_003

# The augmentation's ranges: how far pictures are moved and zoomed (share of the size), turned
# (radians) and relit (share). They keep each attribute recognisable; hair colours set the last.
_SHIFT = 0.08
_ZOOM = 0.08
_TURN = 0.12
_LIGHT = 0.2
# Sides of an erased rectangle, as shares of the picture's: it hides an eye or a mouth, not a face.
_ERASED = (0.1, 0.45)
# Keeps mixing's random numbers apart from those of the augmentation before it.
_MIXING = 100


def decode_and_resize(encoded: Any, image_size: tuple[int, int]) -> Any:
    """An encoded picture as pixels of one size.

    The one way from bytes to pixels of this package: bilinear with antialiasing, without regard
    to the aspect ratio, rounded to whole numbers.

    Args:
        encoded: scalar string tensor, a JPEG, a PNG or a GIF of one frame; `check_pictures` finds
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
    """A decoded picture, uint8 `(any height, any width, 3)`, as `decode_and_resize` returns it."""
    # Where neither side shrinks, antialiasing changes nothing and takes three times as long.
    grows = tf.reduce_all(tf.shape(image)[:2] <= image_size)
    resized = tf.cond(
        grows,
        lambda: tf.image.resize(image, image_size),
        lambda: tf.image.resize(image, image_size, antialias=True),
    )
    # The weights are positive and sum to one: what is cut off below is a half at most.
    return tf.cast(resized + 0.5, tf.uint8)


def make_dataset(
    table: FaceTable,
    groups: AttributeGroups,
    image_size: tuple[int, int],
    batch_size: int,
    *,
    shuffle: bool = False,
    augment: bool = False,
    erase: float = 0.0,
    mixup: float = 0.0,
    seed: int = 0,
    epoch: tf.Variable | None = None,
    cache: Path | None = None,
) -> tf.data.Dataset:
    """Batches of pictures and labels by group.

    Pictures are decoded once and kept in memory where they take no more than 4 GiB.

    Args:
        table: the pictures; its attributes must be those of `groups`.
        groups: how the labels are grouped.
        image_size: height and width in pixels.
        batch_size: pictures a batch; the last may be smaller.
        shuffle: a new order in each pass, the same ones for the same seed.
        augment: flip, move, zoom, turn and relight each picture at random, anew in each pass.
        erase: where `augment`, the share of pictures that lose a random rectangle, in 0..1.
        mixup: where `augment` and above 0, pictures and labels are mixed as `mix` does.
        seed: of order and augmentation.
        epoch: an `epoch_variable`, whose value as a pass begins decides, with the seed, the pass's
            order and augmentation; so a training that is resumed sees what it would have seen.
            Where None, the passes are numbered as they begin.
        cache: the folder where the decoded pictures of a larger set are kept, as
            `stored_pictures` does; None to decode them in each pass.

    Returns:
        A dataset of known length of `(images, labels)`: images uint8
        `(batch, height, width, 3)`, RGB in 0..255; labels a dict from each group's name to float32
        `(batch, attributes of the group)`: 1 has it, 0 has it not, -1 unknown.

    Raises:
        InputError: the table has other attributes than `groups`, or `cache` can't be written to.
    """
    if table.attributes != groups.attributes:
        raise InputError(
            f"{table.source}: the data's attributes are not those of the groups; build the groups "
            f"from {', '.join(table.attributes)}."
        )
    paths = [str(picture) for picture in table.pictures]
    stored = None
    if cache is not None and len(table) > _room(image_size):
        stored = stored_pictures(
            table.pictures, image_size, cache, lambda: _decoded(paths, image_size)
        )
    if stored is None:
        keys, pixels = paths, lambda path: _read(path, image_size)
    else:
        keys, pixels = np.arange(len(table)), lambda row: _stored(stored, row)
    return batches(
        tf.data.Dataset.from_tensor_slices((keys, group_labels(table.labels, groups))),
        lambda key, labels: (pixels(key), labels),
        image_size,
        batch_size,
        shuffle=shuffle,
        augment=augment,
        erase=erase,
        mixup=mixup,
        seed=seed,
        epoch=epoch,
        light=True,
    )


def batches(
    pictures: tf.data.Dataset,
    load: Callable[..., tuple[Any, Any]],
    image_size: tuple[int, int],
    batch_size: int,
    *,
    shuffle: bool,
    augment: bool,
    seed: int,
    light: bool,
    erase: float = 0.0,
    mixup: float = 0.0,
    epoch: tf.Variable | None = None,
) -> tf.data.Dataset:
    """The common way from single pictures, wherever they come from, to batches.

    Args:
        pictures: a dataset of known length.
        load: from an element of it to `(image, labels)`, the image uint8 of `image_size`.
        image_size, batch_size, shuffle, augment, erase, mixup, seed, epoch: as in `make_dataset`.
        light: whether all elements fit in memory before they are loaded (paths do, pixels don't).

    Returns:
        As `make_dataset`. What is neither light nor fits in memory as loaded is shuffled within
        as many pictures as do fit.
    """
    count = int(pictures.cardinality())
    room = _room(image_size)
    cached = count <= room
    # What is shuffled is held in memory: decoded pictures no more of than there is room for.
    if shuffle and light and not cached:
        pictures = _shuffled(pictures, count, seed, epoch)
    dataset = pictures.map(load, num_parallel_calls=tf.data.AUTOTUNE)
    if cached:
        dataset = dataset.cache()
    if shuffle and (cached or not light):
        dataset = _shuffled(dataset, min(count, room), seed, epoch)
    dataset = dataset.batch(batch_size, num_parallel_calls=tf.data.AUTOTUNE)
    if augment:
        dataset = _augmented(dataset, erase, mixup, seed, epoch)
    return untuned(dataset.prefetch(tf.data.AUTOTUNE))


def untuned(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """`dataset` without tf.data's tuning at run time, with as many parallel calls as cores.

    The tuner's thread sleeps for up to a minute, and an iterator that is dropped may fail to wake
    it and wait for it: on one core always, so that training stood still between its epochs.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def _room(image_size: tuple[int, int]) -> int:
    """How many decoded pictures are kept in memory."""
    return max(1, _CACHE_BYTES // (math.prod(image_size) * 3))


def _read(path: Any, image_size: tuple[int, int]) -> Any:
    return decode_and_resize(tf.io.read_file(path), image_size)


def _decoded(paths: list[str], image_size: tuple[int, int]) -> Iterator[np.ndarray]:
    pictures = tf.data.Dataset.from_tensor_slices(paths).map(
        lambda path: _read(path, image_size), num_parallel_calls=tf.data.AUTOTUNE
    )
    return untuned(pictures.batch(64).prefetch(tf.data.AUTOTUNE)).as_numpy_iterator()


def _stored(pictures: np.ndarray, row: Any) -> Any:
    image = tf.numpy_function(lambda at: pictures[at], [row], tf.uint8, stateful=False)
    return tf.ensure_shape(image, pictures.shape[1:])


def group_labels(labels: np.ndarray, groups: AttributeGroups) -> dict[str, np.ndarray]:
    """Labels `(n, k)` in canonical order as a dict of float32 `(n, attributes)` by group."""
    return {group: labels[:, list(groups.positions(group))].astype("float32") for group in groups}


def epoch_variable() -> tf.Variable:
    """A variable to give to `make_dataset` as `epoch`; assign to it before a pass begins."""
    with tf.device("CPU"):  # where tf.data reads it
        return tf.Variable(0, trainable=False, dtype=tf.int64)


def _in_each_pass(
    make: Callable[[Any], tf.data.Dataset], count: int, epoch: tf.Variable | None
) -> tf.data.Dataset:
    """In each pass, the dataset of `count` elements that `make` gives for the pass's number."""
    begun = epoch_variable()
    number = tf.data.Dataset.from_tensors(0).map(
        lambda _: begun.assign_add(1) if epoch is None else epoch.read_value()
    )
    return number.flat_map(make).apply(tf.data.experimental.assert_cardinality(count))


def _shuffled(
    dataset: tf.data.Dataset, room: int, seed: int, epoch: tf.Variable | None
) -> tf.data.Dataset:
    def order(number: Any) -> tf.data.Dataset:
        # Within this graph only: TensorFlow's global seed has no part in the order.
        tf.random.set_seed(None)
        return dataset.shuffle(
            room, seed=seed * _SEED_STEP + number, reshuffle_each_iteration=False
        )

    return _in_each_pass(order, int(dataset.cardinality()), epoch)


def _augmented(
    dataset: tf.data.Dataset, erase: float, mixup: float, seed: int, epoch: tf.Variable | None
) -> tf.data.Dataset:
    steps = int(dataset.cardinality())
    seeds = _in_each_pass(
        lambda number: tf.data.Dataset.range(steps).map(
            lambda step: tf.random.fold_in(tf.stack([seed, number]), step)
        ),
        steps,
        epoch,
    )

    def change(batch: tuple[Any, Any], batch_seed: Any) -> tuple[Any, Any]:
        images, labels = augment_images(batch[0], batch_seed, erase), batch[1]
        return mix(images, labels, batch_seed, mixup) if mixup else (images, labels)

    return tf.data.Dataset.zip(dataset, seeds).map(change, num_parallel_calls=tf.data.AUTOTUNE)


def augment_images(images: Any, seed: Any, erase: float = 0.0) -> Any:
    """Flips, moves, zooms, turns and relights each picture at random, and erases parts of some.

    Keras's preprocessing layers do the same a picture at a time; one projective transform a batch
    is several times faster on a processor.

    Args:
        images: uint8 `(batch, height, width, 3)`.
        seed: int64 `(2,)`; the same seed gives the same pictures.
        erase: the share of pictures of which a rectangle is painted over with one random colour, in
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
    """Blends each picture and its labels with those of another picture of the batch.

    Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018, with a share for each
    picture. `keras.layers.MixUp` draws from a state, which a resumed training does not have.

    Args:
        images: uint8 `(batch, height, width, 3)`, in random order: the first is paired with the
            last, and so on.
        labels: a dict by group, or one tensor: float32 `(batch, attributes)`, in 0..1, or -1 for
            unknown.
        seed: int64 `(2,)`; the same seed gives the same pictures.
        alpha: above 0; the share of the other picture is the smaller of x and 1 - x, where x is
            drawn from Beta(alpha, alpha).

    Returns:
        `(images, labels)` of the same shapes and dtypes: a label is the share, in 0..1, of the
        pictures that have the attribute, and -1 where it is unknown for either.
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
