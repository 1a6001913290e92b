"""Makes a `tf.data.Dataset` of batches for `model.fit` from a table of faces."""

import dataclasses
import functools
import math
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.data.augmentation import Augmentation, apply_layers, augment_images, mix
from keras_faramtn.data.augmentation_layers import build_layers
from keras_faramtn.data.cache import cached_images
from keras_faramtn.data.decoding import (
    decode_and_resize,
    is_jpeg_or_png,
    resize,
    without_autotuning,
)
from keras_faramtn.data.images import load_upright
from keras_faramtn.data.table import DecodedImages, FaceTable
from keras_faramtn.errors import InputError

EVALUATION_BATCH_SIZE = 64
"""Images in a batch of a dataset that is not trained on."""

# Decoded images are kept in memory up to this size; those of a larger data set go to disk.
_MEMORY_BYTES = 4 * 1024**3

# Above any number of epochs, so that no epoch of one seed is shuffled like an epoch of the next.
_SEED_STEP = 1_000_003

_DECODING_BATCH_SIZE = 64  # images that are decoded and written to the cache at a time


def make_dataset(
    table: FaceTable,
    groups: AttributeGroups,
    image_size: tuple[int, int],
    batch_size: int,
    *,
    shuffle: bool = False,
    augmentation: Augmentation | None = None,
    seed: int = 0,
    epoch: tf.Variable | None = None,
    cache: str | Path | None = None,
) -> tf.data.Dataset:
    """Batches of images and labels by group.

    Images are decoded once and kept in memory if they take at most 4 GiB; those of a table from
    `decode_images` with the same size are not decoded again.

    Args:
        table: the images; its attributes must be those of `groups`.
        groups: how the labels are grouped.
        image_size: height and width in pixels.
        batch_size: images in a batch; the last batch may be smaller.
        shuffle: use a new random order in each epoch.
        augmentation: the random changes of images, different in each epoch; None for no
            augmentation.
        seed: decides the order and the augmentation.
        epoch: a variable from `epoch_variable`. Its value at the start of an epoch decides, with
            the seed, the epoch's order and augmentation, so that a resumed run sees the same
            batches as an uninterrupted one. If None, the epochs are counted.
        cache: a folder for the decoded images of a larger data set, see `cached_images`; if None,
            they are decoded in each epoch.

    Returns:
        A dataset of known length of `(images, labels)`: images uint8
        `(batch, height, width, 3)`, RGB in 0..255; labels a dict from each group's name to float32
        `(batch, attributes of the group)`: 1 present, 0 absent, -1 unknown.

    Raises:
        InputError: the attributes of the table and of `groups` differ, `cache` can't be written, or
            the arguments of a layer of `augmentation` are wrong.

    Example:
        >>> import tempfile
        >>> from keras_faramtn.attributes import FACE_REGIONS
        >>> from keras_faramtn.data.readers.dataset import read_dataset
        >>> from keras_faramtn.synthetic.dataset import synthesize
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = synthesize(folder, 4, image_size=(64, 64), progress=False)
        ...     table = read_dataset(folder)
        ...     dataset = make_dataset(
        ...         table, FACE_REGIONS, (32, 32), 4, shuffle=True, augmentation=Augmentation()
        ...     )
        ...     images, labels = next(iter(dataset))
        >>> images.shape, labels["mouth"].shape
        (TensorShape([4, 32, 32, 3]), TensorShape([4, 4]))
    """
    if table.attributes != groups.attributes:
        raise InputError(
            f"{table.source}: the data's attributes differ from those of the groups; build the "
            f"groups from {', '.join(table.attributes)}."
        )
    decoded = table.decoded
    if decoded is None or decoded.pixels.shape[1:3] != image_size:
        decoded = None
        if cache is not None and len(table) > _images_in_memory(image_size):
            decoded = _decode_to_disk(table, image_size, cache)
    keys: Any
    if decoded is None:
        keys = list(map(os.fsencode, table.paths))
        load_image = functools.partial(_read, image_size=image_size)
    else:
        keys = decoded.rows
        load_image = functools.partial(_read_stored, decoded.pixels)
    return make_batches(
        tf.data.Dataset.from_tensor_slices((keys, group_labels(table.labels, groups))),
        lambda key, labels: (load_image(key), labels),
        image_size,
        batch_size,
        shuffle=shuffle,
        augmentation=augmentation,
        seed=seed,
        epoch=epoch,
        shuffle_before_loading=True,
        keep_in_memory=decoded is None,
    )


def decode_images(
    table: FaceTable, image_size: tuple[int, int], cache: str | Path | None = None
) -> FaceTable:
    """Decodes all images of a table, so that datasets made from it don't decode them again.

    Args:
        table: the images.
        image_size: height and width in pixels.
        cache: as in `make_dataset`.

    Returns:
        The table with `decoded`; or unchanged, if the images take more than 4 GiB and there is no
        `cache` or not enough space in it.

    Raises:
        InputError: as in `make_dataset`.

    Example:
        >>> import tempfile
        >>> from keras_faramtn.data.readers.dataset import read_dataset
        >>> from keras_faramtn.synthetic.dataset import synthesize
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = synthesize(folder, 4, image_size=(64, 64), progress=False)
        ...     table = decode_images(read_dataset(folder), (32, 32))
        >>> table.decoded.pixels.shape
        (4, 32, 32, 3)
    """
    if len(table) > _images_in_memory(image_size):
        decoded = None if cache is None else _decode_to_disk(table, image_size, cache)
        return dataclasses.replace(table, decoded=decoded)
    pixels = np.empty((len(table), *image_size, 3), "uint8")
    start = 0
    for images in _decode(table.paths, image_size):
        pixels[start : start + len(images)] = images
        start += len(images)
    return dataclasses.replace(table, decoded=DecodedImages(pixels, np.arange(len(table))))


def _decode_to_disk(
    table: FaceTable, image_size: tuple[int, int], cache: str | Path
) -> DecodedImages | None:
    pixels = cached_images(table.paths, image_size, cache, lambda: _decode(table.paths, image_size))
    return None if pixels is None else DecodedImages(pixels, np.arange(len(table)))


def make_batches(
    examples: tf.data.Dataset,
    load: Callable[..., tuple[Any, Any]],
    image_size: tuple[int, int],
    batch_size: int,
    *,
    shuffle: bool,
    augmentation: Augmentation | None,
    seed: int,
    shuffle_before_loading: bool,
    epoch: tf.Variable | None = None,
    keep_in_memory: bool = True,
) -> tf.data.Dataset:
    """Loads, caches, shuffles, batches and augments examples from any source.

    Args:
        examples: a dataset of known length.
        load: from an element of it to `(image, labels)`; the image is uint8 of `image_size`.
        image_size, batch_size, shuffle, augmentation, seed, epoch: as in `make_dataset`.
        shuffle_before_loading: whether all elements of `examples` fit in memory, as paths do. If
            not, and if the loaded images don't fit either, they are shuffled in a buffer.
        keep_in_memory: whether to load each image once, if all fit in memory; False if loading is
            cheap.

    Returns:
        As in `make_dataset`.
    """
    count = int(examples.cardinality())
    room = _images_in_memory(image_size)
    in_memory = keep_in_memory and count <= room
    if shuffle and shuffle_before_loading and not in_memory:
        examples = _shuffled(examples, count, seed, epoch)
    dataset = examples.map(load, num_parallel_calls=tf.data.AUTOTUNE)
    if in_memory:
        dataset = dataset.cache()
    if shuffle and (in_memory or not shuffle_before_loading):
        dataset = _shuffled(dataset, min(count, room), seed, epoch)
    dataset = dataset.batch(batch_size, num_parallel_calls=tf.data.AUTOTUNE)
    if augmentation is not None:
        dataset = _augmented(dataset, augmentation, seed, epoch)
    return without_autotuning(dataset.prefetch(tf.data.AUTOTUNE))


def _images_in_memory(image_size: tuple[int, int]) -> int:
    """How many decoded images are kept in memory."""
    return max(1, _MEMORY_BYTES // (math.prod(image_size) * 3))


def _read(path: Any, image_size: tuple[int, int]) -> Any:
    encoded = tf.io.read_file(path)
    return tf.cond(
        is_jpeg_or_png(encoded),
        lambda: decode_and_resize(encoded, image_size),
        lambda: resize(_read_with_pillow(path), image_size),
    )


def _read_with_pillow(path: Any) -> Any:
    """An image in a format that TensorFlow doesn't decode, upright; uint8 `(height, width, 3)`."""
    image = tf.numpy_function(
        lambda name: np.asarray(load_upright(os.fsdecode(name))), [path], tf.uint8, stateful=False
    )
    return tf.ensure_shape(image, (None, None, 3))


def _decode(paths: Sequence[Path], image_size: tuple[int, int]) -> Iterator[np.ndarray]:
    """The pixels of all images, in order, as uint8 arrays `(some, height, width, 3)`."""
    images = tf.data.Dataset.from_tensor_slices(list(map(os.fsencode, paths))).map(
        lambda path: _read(path, image_size), num_parallel_calls=tf.data.AUTOTUNE
    )
    batches = images.batch(_DECODING_BATCH_SIZE).prefetch(tf.data.AUTOTUNE)
    return without_autotuning(batches).as_numpy_iterator()


def _read_stored(images: np.ndarray, row: Any) -> Any:
    image = tf.numpy_function(lambda index: images[index], [row], tf.uint8, stateful=False)
    return tf.ensure_shape(image, images.shape[1:])


def group_labels(labels: np.ndarray, groups: AttributeGroups) -> dict[str, np.ndarray]:
    """Labels `(n, k)` in canonical order as a dict of float32 `(n, attributes)` by group.

    Example:
        >>> groups = AttributeGroups({"a": ["z"], "b": ["x", "y"]}, attributes=["x", "y", "z"])
        >>> group_labels(np.array([[0, 1, -1]]), groups)["b"].tolist()
        [[0.0, 1.0]]
    """
    return {group: labels[:, list(groups.positions(group))].astype("float32") for group in groups}


def epoch_variable() -> tf.Variable:
    """A variable for the argument `epoch` of `make_dataset`; assign to it before each epoch."""
    with tf.device("CPU"):  # where tf.data reads it
        return tf.Variable(0, trainable=False, dtype=tf.int64)


def _for_each_epoch(
    make: Callable[[Any], tf.data.Dataset], count: int, epoch: tf.Variable | None
) -> tf.data.Dataset:
    """A dataset that in each epoch is `make(epoch's number)`, of `count` elements."""
    counter = epoch_variable()
    number = tf.data.Dataset.from_tensors(0).map(
        lambda _: counter.assign_add(1) if epoch is None else epoch.read_value()
    )
    return number.flat_map(make).apply(tf.data.experimental.assert_cardinality(count))


def _shuffled(
    dataset: tf.data.Dataset, buffer_size: int, seed: int, epoch: tf.Variable | None
) -> tf.data.Dataset:
    def shuffle(number: Any) -> tf.data.Dataset:
        # Within this graph only: TensorFlow's global seed must not change the order.
        tf.random.set_seed(None)
        return dataset.shuffle(
            buffer_size, seed=seed * _SEED_STEP + number, reshuffle_each_iteration=False
        )

    return _for_each_epoch(shuffle, int(dataset.cardinality()), epoch)


def _augmented(
    dataset: tf.data.Dataset, augmentation: Augmentation, seed: int, epoch: tf.Variable | None
) -> tf.data.Dataset:
    layers = build_layers(augmentation.layers)
    steps = int(dataset.cardinality())
    seeds = _for_each_epoch(
        lambda number: tf.data.Dataset.range(steps).map(
            lambda step: tf.random.fold_in(tf.stack([seed, number]), step)
        ),
        steps,
        epoch,
    )

    def augment(batch: tuple[Any, Any], batch_seed: Any) -> tuple[Any, Any]:
        images, labels = batch
        if augmentation.standard:
            images = augment_images(images, batch_seed, augmentation.erase)
        images = apply_layers(images, batch_seed, layers)
        if augmentation.mixup:
            return mix(images, labels, batch_seed, augmentation.mixup)
        return images, labels

    return tf.data.Dataset.zip(dataset, seeds).map(augment, num_parallel_calls=tf.data.AUTOTUNE)
