"""Reads a real copy of CelebA, if an environment variable names its folder."""

import os

import numpy as np
import pytest

from keras_faramtn.attributes import CELEBA_ATTRIBUTES, FACE_REGIONS
from keras_faramtn.data.augmentation import Augmentation
from keras_faramtn.data.check import check_images
from keras_faramtn.data.pipeline import make_dataset
from keras_faramtn.data.readers.celeba import read_celeba

FOLDER = os.environ.get("KERAS_FARAMTN_CELEBA")
SIZE = (64, 48)

pytestmark = pytest.mark.skipif(
    not FOLDER, reason="real CelebA not read: set KERAS_FARAMTN_CELEBA to a folder of CelebA"
)


def test_real_faces_from_folder_to_batches():
    table = read_celeba(FOLDER)
    assert table.problems == ()
    # These hold with a wide margin for any five hundred real faces or more.
    rates = dict(zip(CELEBA_ATTRIBUTES, (table.labels == 1).mean(axis=0), strict=True))
    assert rates["Bald"] < 0.1 < rates["Smiling"] < 0.8 < 0.6 + rates["No_Beard"]
    beards = table.labels[:, CELEBA_ATTRIBUTES.index("Goatee")] == 1
    assert table.labels[beards, CELEBA_ATTRIBUTES.index("Male")].mean() > 0.95

    some = check_images(table.split("train").take(slice(500)), progress=False)
    batches = list(make_dataset(some, FACE_REGIONS, SIZE, 64, augmentation=Augmentation()))
    images = np.concatenate([images for images, _ in batches])
    assert images.shape == (500, *SIZE, 3)
    assert 60 < images.mean() < 180
    hair = np.concatenate([labels["hair"] for _, labels in batches])
    np.testing.assert_array_equal(hair, some.labels[:, list(FACE_REGIONS.positions("hair"))])
