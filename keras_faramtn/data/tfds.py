"""TensorFlow Datasets: a builder for a local copy of CelebA, and batches from its splits."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from keras_faramtn.attributes import CELEBA_ATTRIBUTES, FACE_REGIONS, AttributeGroups
from keras_faramtn.data.augmentation import Augmentation
from keras_faramtn.data.decoding import decode, decode_and_resize, resize
from keras_faramtn.data.images import encoded_for_tensorflow
from keras_faramtn.data.orientation import exif_orientation, may_have_exif, turn_upright
from keras_faramtn.data.pipeline import make_batches
from keras_faramtn.data.readers.celeba import read_celeba
from keras_faramtn.data.table import SPLITS, FaceTable
from keras_faramtn.errors import InputError


class CelebaFolder(tfds.core.GeneratorBasedBuilder):
    """A folder in one of CelebA's layouts, as the TensorFlow dataset `celeba_folder`.

    Each example has `image`, the image file, and `attributes`, a dict from each of the 40 names to
    an int8: 1 present, 0 absent, -1 unknown. JPEG and PNG files that are stored upright are
    unchanged; others are converted to upright PNG files. The splits are `train`, `validation` and
    `test`, if the folder has them. Import this module before loading:

        import keras_faramtn.data.tfds
        config = tfds.download.DownloadConfig(manual_dir="FOLDER")
        tfds.load("celeba_folder", download_and_prepare_kwargs={"download_config": config})
    """

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Set manual_dir to the folder of your copy of CelebA, in the official, torchvision's or "
        "Kaggle's layout."
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
        table = read_celeba(Path(dl_manager.manual_dir))
        return {
            name: self._generate_examples(table.split(name))
            for name, number in SPLITS.items()
            if (table.splits == number).any()
        }

    def _generate_examples(self, table: FaceTable) -> Iterator[tuple[str, dict[str, Any]]]:
        for image, labels in zip(table.paths, table.labels, strict=True):
            attributes = dict(zip(table.attributes, labels, strict=True))
            yield image.name, {"image": io.BytesIO(_upright_file(image)), "attributes": attributes}


def _upright_file(path: Path) -> bytes:
    """An image file whose pixels are upright: TFDS's own decoding ignores the EXIF orientation."""
    encoded = encoded_for_tensorflow(path)
    orientation = exif_orientation(encoded) if may_have_exif(encoded) else 1
    if orientation == 1:
        return encoded
    return tf.io.encode_png(turn_upright(decode(encoded), orientation)).numpy()


def from_tfds(
    examples: tf.data.Dataset,
    image_size: tuple[int, int],
    batch_size: int,
    groups: AttributeGroups = FACE_REGIONS,
    *,
    shuffle: bool = False,
    augmentation: Augmentation | None = None,
    seed: int = 0,
) -> tf.data.Dataset:
    """Batches for `model.fit` from a split of `celeba_folder`, or of the official `celeb_a`.

    If the split is loaded with `decoders={"image": tfds.decode.SkipDecoding()}`, the pixels are
    exactly those of `make_dataset`. TensorFlow Datasets' own decoding uses a faster, less accurate
    transform, whose pixels differ by a few of the 256 levels.

    Args:
        examples: the result of `tfds.load(..., split=...)`. For a data set that is too large for
            memory, load it with `shuffle_files=True`, because `shuffle` then mixes only images
            that are close to each other.
        image_size, batch_size, groups, shuffle, augmentation, seed: as in `make_dataset`.

    Returns:
        As in `make_dataset`.

    Raises:
        InputError: the examples have no image or lack an attribute, or their number is unknown.
    """
    spec = examples.element_spec
    known = spec.get("attributes", {}) if isinstance(spec, dict) and "image" in spec else {}
    missing = [attribute for attribute in groups.attributes if attribute not in known]
    if missing:
        raise InputError(
            f"the dataset has no images with the attributes {', '.join(missing)}; use a split of "
            "celeb_a or celeba_folder."
        )

    if examples.cardinality() < 0:
        raise InputError(
            "the length of the dataset is unknown; use a split of celeb_a or celeba_folder as "
            "tfds.load returns it, or set the length: "
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

    return make_batches(
        examples,
        load,
        image_size,
        batch_size,
        shuffle=shuffle,
        augmentation=augmentation,
        seed=seed,
        shuffle_before_loading=False,
    )
