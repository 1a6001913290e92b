"""TensorFlow Datasets: a builder for one's own folder, and batches from a prepared set."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from keras_faramtn.attributes import CELEBA_ATTRIBUTES, FACE_REGIONS, AttributeGroups
from keras_faramtn.data.decoding import decode_and_resize, resize
from keras_faramtn.data.pipeline import batches
from keras_faramtn.data.readers.celeba import read_celeba
from keras_faramtn.data.table import SPLITS, FaceTable
from keras_faramtn.errors import InputError


class CelebaFolder(tfds.core.GeneratorBasedBuilder):
    """A folder in one of CelebA's layouts, as the TensorFlow dataset `celeba_folder`.

    Each example has `image`, the image as it is in the file, and `attributes`, from each of the
    40 names to an int8: 1 yes, 0 no, -1 unknown. The splits are `train`, `validation` and `test`,
    those that the folder has.

    Example:
        >>> import keras_faramtn.data.tfds
        >>> config = tfds.download.DownloadConfig(manual_dir="FOLDER")
        >>> tfds.load("celeba_folder", download_and_prepare_kwargs={"download_config": config})
    """

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Give the folder with your copy of CelebA, in its own, torchvision's or Kaggle's layout, "
        "as manual_dir."
    )

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
                    "attributes": dict.fromkeys(CELEBA_ATTRIBUTES, np.int8),
                }
            ),
            homepage="http://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        table, _ = read_celeba(Path(dl_manager.manual_dir))
        return {
            name: self._generate_examples(table.split(name))
            for name, number in SPLITS.items()
            if (table.splits == number).any()
        }

    def _generate_examples(self, table: FaceTable) -> Iterator[tuple[str, dict[str, Any]]]:
        for image, labels in zip(table.paths, table.labels, strict=True):
            attributes = dict(zip(table.attributes, labels, strict=True))
            yield image.name, {"image": image, "attributes": attributes}


def from_tfds(
    examples: tf.data.Dataset,
    image_size: tuple[int, int],
    batch_size: int,
    groups: AttributeGroups = FACE_REGIONS,
    *,
    shuffle: bool = False,
    augment: bool = False,
    erase: float = 0.0,
    mixup: float = 0.0,
    seed: int = 0,
) -> tf.data.Dataset:
    """Batches for `model.fit` from a split of `celeb_a`, the official one, or `celeba_folder`.

    Loaded with `decoders={"image": tfds.decode.SkipDecoding()}` a split gives the very pixels
    that `make_dataset` does. TensorFlow Datasets' own decoding is by a faster, coarser transform:
    few of 256 levels away.

    Args:
        examples: what `tfds.load(..., split=...)` returns; for a set too large for memory with
            `shuffle_files=True`, as `shuffle` then mixes only images that are close.
        image_size, batch_size, groups, shuffle, augment, erase, mixup, seed: as in `make_dataset`.

    Returns:
        As `make_dataset`.

    Raises:
        InputError: the examples have no image, lack an attribute, or nobody knows how many they
            are.
    """
    spec = examples.element_spec
    known = spec.get("attributes", {}) if isinstance(spec, dict) and "image" in spec else {}
    missing = [attribute for attribute in groups.attributes if attribute not in known]
    if missing:
        raise InputError(
            f"the dataset has no image with the attributes {', '.join(missing)}; give a split of "
            "celeb_a or celeba_folder."
        )

    if examples.cardinality() < 0:
        raise InputError(
            "the length of the dataset isn't known; give a split of celeb_a or celeba_folder as "
            "tfds.load returns it, or say the length: "
            "dataset.apply(tf.data.experimental.assert_cardinality(LENGTH))."
        )

    to_pixels = decode_and_resize if spec["image"].dtype == tf.string else resize

    def load(example: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        labels = {
            group: tf.stack(
                [tf.cast(example["attributes"][name], tf.float32) for name in groups[group]]
            )
            for group in groups
        }
        return to_pixels(example["image"], image_size), labels

    return batches(
        examples,
        load,
        image_size,
        batch_size,
        shuffle=shuffle,
        augment=augment,
        erase=erase,
        mixup=mixup,
        seed=seed,
        light=False,
    )
