"""Small data that tests share."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_faramtn.attributes import CELEBA_ATTRIBUTES

pytest.register_assert_rewrite("harness")


def write_celeba(folder, labels, parts, *, names=CELEBA_ATTRIBUTES, size=(40, 52), seed=0):
    """Writes a data set as torchvision lays CelebA out, with random images; returns its folder.

    `labels` are the file's own values (1, -1, 0), a row an image; `size` is (width, height).
    """
    folder = Path(folder)
    (folder / "img_align_celeba").mkdir(parents=True)
    rng = np.random.default_rng(seed)
    images = [f"{number:06d}.jpg" for number in range(1, len(labels) + 1)]
    for image in images:
        # A few large patches survive JPEG, noise does not.
        patches = Image.fromarray(rng.integers(0, 256, (4, 3, 3), dtype="uint8"))
        patches.resize(size).save(folder / "img_align_celeba" / image, quality=95)
    rows = [f"{p} {' '.join(map(str, row))}" for p, row in zip(images, labels, strict=True)]
    text = "\n".join([str(len(labels)), " ".join(names), *rows])
    (folder / "list_attr_celeba.txt").write_text(text + "\n")
    text = "\n".join(f"{p} {part}" for p, part in zip(images, parts, strict=True))
    (folder / "list_eval_partition.txt").write_text(text + "\n")
    return folder


def random_labels(count, seed=0):
    """Labels as in CelebA's file, a tenth of them unknown."""
    rng = np.random.default_rng(seed)
    return rng.choice([1, -1, 0], (count, len(CELEBA_ATTRIBUTES)), p=[0.4, 0.5, 0.1])


@pytest.fixture
def celeba_folder(tmp_path):
    """Twenty images: twelve to train, five for validation, three to test."""
    return write_celeba(tmp_path / "celeba", random_labels(20), [0] * 12 + [1] * 5 + [2] * 3)
