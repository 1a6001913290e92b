import zipfile

import numpy as np
import pytest
import tensorflow as tf
from conftest import random_labels, write_celeba

from keras_faramtn.attributes import CELEBA_ATTRIBUTES, FACE_REGIONS, MCNN_AUX
from keras_faramtn.data.celeba import read_celeba
from keras_faramtn.data.pipeline import make_dataset
from keras_faramtn.errors import InputError

tfds = pytest.importorskip("tensorflow_datasets")

from keras_faramtn.data.tfds import from_tfds  # noqa: E402 - needs tensorflow_datasets

SIZE = (48, 36)


def _collect(dataset):
    batches = list(dataset)
    images = np.concatenate([images for images, _ in batches])
    return images, {g: np.concatenate([labels[g] for _, labels in batches]) for g in batches[0][1]}


def _in_one_order(images, labels, groups):
    order = np.lexsort(images.reshape(len(images), -1).T[:8])
    return images[order], np.concatenate([labels[group] for group in groups], axis=1)[order]


def test_ones_own_folder_loads_by_name_and_keeps_pictures_and_unknown_labels(
    celeba_folder, tmp_path
):
    config = tfds.download.DownloadConfig(manual_dir=celeba_folder)
    splits = tfds.load(
        "celeba_folder",
        data_dir=tmp_path / "prepared",
        download_and_prepare_kwargs={"download_config": config},
    )
    assert {name: int(split.cardinality()) for name, split in splits.items()} == {
        "train": 12,
        "validation": 5,
        "test": 3,
    }
    table, _ = read_celeba(celeba_folder)
    expected = make_dataset(table.part("train"), MCNN_AUX, SIZE, 8)
    actual = from_tfds(splits["train"], SIZE, 8, MCNN_AUX)
    for ours, theirs in zip(
        _in_one_order(*_collect(actual), MCNN_AUX),
        _in_one_order(*_collect(expected), MCNN_AUX),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)


def _write_official_downloads(folder, labels):
    """The files that the builder of `celeb_a` downloads, with pictures of our own."""
    pictures = write_celeba(folder, labels, [0, 0, 0, 1, 2], size=(178, 218)) / "img_align_celeba"
    names = [picture.name for picture in sorted(pictures.iterdir())]
    with zipfile.ZipFile(folder / "img_align_celeba.zip", "w") as archive:
        for name in names:
            archive.write(pictures / name, f"img_align_celeba/{name}")
    heads = "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y "
    rows = "".join(f"{name} {' '.join(['7'] * 10)}\n" for name in names)
    (folder / "landmarks.txt").write_text(f"5\n{heads}rightmouth_x rightmouth_y\n{rows}")
    (folder / "identity.txt").write_text("".join(f"{name} 3\n" for name in names))
    return {
        "img_align_celeba": folder / "img_align_celeba.zip",
        "list_eval_partition": folder / "list_eval_partition.txt",
        "list_attr_celeba": folder / "list_attr_celeba.txt",
        "landmarks_celeba": folder / "landmarks.txt",
        "identity_celeba": folder / "identity.txt",
    }


def test_a_prepared_official_celeb_a_is_read(tmp_path, monkeypatch):
    labels = np.where(random_labels(5) > 0, 1, -1)
    files = _write_official_downloads(tmp_path / "downloads", labels)
    monkeypatch.setattr(tfds.download.DownloadManager, "download", lambda *_: files)
    builder = tfds.builder("celeb_a", data_dir=tmp_path / "prepared")
    builder.download_and_prepare()

    split = tfds.load("celeb_a", data_dir=tmp_path / "prepared", split="train", download=False)
    images, by_group = _collect(from_tfds(split, SIZE, 2))
    assert images.shape == (3, *SIZE, 3)
    table, _ = read_celeba(tmp_path / "downloads")
    expected = make_dataset(table.part("train"), FACE_REGIONS, SIZE, 2)
    for ours, theirs in zip(
        _in_one_order(images, by_group, FACE_REGIONS),
        _in_one_order(*_collect(expected), FACE_REGIONS),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_a_dataset_of_something_else_is_refused():
    digits = tf.data.Dataset.from_tensors({"image": np.zeros((8, 8, 3), "uint8"), "label": 3})
    with pytest.raises(InputError, match=f"no image with the attributes {CELEBA_ATTRIBUTES[0]}"):
        from_tfds(digits, SIZE, 2)
