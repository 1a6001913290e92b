"""Small data sets that several tests use."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_faramtn.attributes import CELEBA_ATTRIBUTES

pytest.register_assert_rewrite("harness")


def write_celeba(folder, labels, splits, *, names=CELEBA_ATTRIBUTES, size=(40, 52), seed=0):
    """Writes random images as a data set in torchvision's layout of CelebA; returns its folder.

    `labels` are the values for the file (1, -1, 0), a row per image; `size` is (width, height).
    """
    folder = Path(folder)
    (folder / "img_align_celeba").mkdir(parents=True)
    rng = np.random.default_rng(seed)
    images = [f"{number:06d}.jpg" for number in range(1, len(labels) + 1)]
    for image in images:
        # JPEG preserves large patches but not noise.
        patches = Image.fromarray(rng.integers(0, 256, (4, 3, 3), dtype="uint8"))
        patches.resize(size).save(folder / "img_align_celeba" / image, quality=95)
    rows = [f"{name} {' '.join(map(str, row))}" for name, row in zip(images, labels, strict=True)]
    text = "\n".join([str(len(labels)), " ".join(names), *rows])
    (folder / "list_attr_celeba.txt").write_text(text + "\n")
    text = "\n".join(f"{name} {split}" for name, split in zip(images, splits, strict=True))
    (folder / "list_eval_partition.txt").write_text(text + "\n")
    return folder


def write_csv_table(folder, header, rows, *, images="", seed=0):
    """Writes `attributes.csv` and a random image for each row; returns the file."""
    image_folder = folder / images
    image_folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for name, *_ in rows:
        (image_folder / name).parent.mkdir(parents=True, exist_ok=True)
        patches = Image.fromarray(rng.integers(0, 256, (3, 4, 3), dtype="uint8"))
        patches.resize((40, 52)).save(image_folder / name)
    with (folder / "attributes.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return folder / "attributes.csv"


def random_labels(count, seed=0):
    """Random labels as in CelebA's file, a tenth of them unknown."""
    rng = np.random.default_rng(seed)
    return rng.choice([1, -1, 0], (count, len(CELEBA_ATTRIBUTES)), p=[0.4, 0.5, 0.1])


@pytest.fixture
def celeba_folder(tmp_path):
    """Twenty images: twelve for training, five for validation, three for test."""
    return write_celeba(tmp_path / "celeba", random_labels(20), [0] * 12 + [1] * 5 + [2] * 3)
