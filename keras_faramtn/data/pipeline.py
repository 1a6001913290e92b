"""From a table of faces to a `tf.data.Dataset` of batches for `model.fit`."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.data.augmentation import augment_images, mix
from keras_faramtn.data.cache import cached_images
from keras_faramtn.data.decoding import decode_and_resize, without_autotuning
from keras_faramtn.data.table import FaceTable
from keras_faramtn.errors import InputError

EVALUATION_BATCH_SIZE = 64
"""Images a batch where a network is asked and does not learn."""

# Decoded images are kept in memory up to this size; those of a larger set are kept on disk.
_CACHE_BYTES = 4 * 1024**3

# Keeps the orders of one seed's passes apart from those of the next seed's.
_SEED_STEP = 1_000_003


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
    """Batches of images and labels by group.

    Images are decoded once and kept in memory where they take no more than 4 GiB.

    Args:
        table: the images; its attributes must be those of `groups`.
        groups: how the labels are grouped.
        image_size: height and width in pixels.
        batch_size: images a batch; the last may be smaller.
        shuffle: a new order in each pass, the same ones for the same seed.
        augment: flip, move, zoom, turn and relight each image at random, anew in each pass.
        erase: where `augment`, the share of images that lose a random rectangle, in 0..1.
        mixup: where `augment` and above 0, images and labels are mixed as `mix` does.
        seed: of order and augmentation.
        epoch: an `epoch_variable`, whose value as a pass begins decides, with the seed, the pass's
            order and augmentation; so a training that is resumed sees what it would have seen.
            Where None, the passes are numbered as they begin.
        cache: the folder where the decoded images of a larger set are kept, as
            `cached_images` does; None to decode them in each pass.

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
    paths = [str(image_path) for image_path in table.paths]
    stored = None
    if cache is not None and len(table) > _room(image_size):
        stored = cached_images(table.paths, image_size, cache, lambda: _decoded(paths, image_size))
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
    image_paths: tf.data.Dataset,
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
    """The common way from single images, wherever they come from, to batches.

    Args:
        image_paths: a dataset of known length.
        load: from an element of it to `(image, labels)`, the image uint8 of `image_size`.
        image_size, batch_size, shuffle, augment, erase, mixup, seed, epoch: as in `make_dataset`.
        light: whether all elements fit in memory before they are loaded (paths do, pixels don't).

    Returns:
        As `make_dataset`. What is neither light nor fits in memory as loaded is shuffled within
        as many images as do fit.
    """
    count = int(image_paths.cardinality())
    room = _room(image_size)
    cached = count <= room
    # What is shuffled is held in memory: decoded images no more of than there is room for.
    if shuffle and light and not cached:
        image_paths = _shuffled(image_paths, count, seed, epoch)
    dataset = image_paths.map(load, num_parallel_calls=tf.data.AUTOTUNE)
    if cached:
        dataset = dataset.cache()
    if shuffle and (cached or not light):
        dataset = _shuffled(dataset, min(count, room), seed, epoch)
    dataset = dataset.batch(batch_size, num_parallel_calls=tf.data.AUTOTUNE)
    if augment:
        dataset = _augmented(dataset, erase, mixup, seed, epoch)
    return without_autotuning(dataset.prefetch(tf.data.AUTOTUNE))


def _room(image_size: tuple[int, int]) -> int:
    """How many decoded images are kept in memory."""
    return max(1, _CACHE_BYTES // (math.prod(image_size) * 3))


def _read(path: Any, image_size: tuple[int, int]) -> Any:
    return decode_and_resize(tf.io.read_file(path), image_size)


def _decoded(paths: list[str], image_size: tuple[int, int]) -> Iterator[np.ndarray]:
    image_paths = tf.data.Dataset.from_tensor_slices(paths).map(
        lambda path: _read(path, image_size), num_parallel_calls=tf.data.AUTOTUNE
    )
    return without_autotuning(image_paths.batch(64).prefetch(tf.data.AUTOTUNE)).as_numpy_iterator()


def _stored(image_paths: np.ndarray, row: Any) -> Any:
    image = tf.numpy_function(lambda at: image_paths[at], [row], tf.uint8, stateful=False)
    return tf.ensure_shape(image, image_paths.shape[1:])


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
