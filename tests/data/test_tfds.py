import zipfile

import numpy as np
import pytest
import tensorflow as tf
from conftest import random_labels, write_celeba
from mutated import encode, exif

from keras_faramtn.attributes import CELEBA_ATTRIBUTES, FACE_REGIONS, MCNN_AUX
from keras_faramtn.data import pipeline
from keras_faramtn.data.decoding import decode_and_resize, resize
from keras_faramtn.data.images import load_image
from keras_faramtn.data.pipeline import make_dataset
from keras_faramtn.data.readers.celeba import read_celeba
from keras_faramtn.errors import InputError

tfds = pytest.importorskip("tensorflow_datasets")

from keras_faramtn.data.tfds import from_tfds  # noqa: E402

SIZE = (48, 36)


def _collect(dataset):
    batches = list(dataset)
    images = np.concatenate([images for images, _ in batches])
    return images, {g: np.concatenate([labels[g] for _, labels in batches]) for g in batches[0][1]}


def _sorted(images, labels, groups):
    order = np.lexsort(images.reshape(len(images), -1).T[:8])
    return images[order], np.concatenate([labels[group] for group in groups], axis=1)[order]


def test_a_folder_loads_by_name_and_keeps_images_and_unknown_labels(celeba_folder, tmp_path):
    config = tfds.download.DownloadConfig(manual_dir=celeba_folder)
    splits = tfds.load(
        "celeba_folder",
        data_dir=tmp_path / "prepared",
        decoders={"image": tfds.decode.SkipDecoding()},
        download_and_prepare_kwargs={"download_config": config},
    )
    assert {name: int(split.cardinality()) for name, split in splits.items()} == {
        "train": 12,
        "validation": 5,
        "test": 3,
    }
    table = read_celeba(celeba_folder)
    expected = make_dataset(table.split("train"), MCNN_AUX, SIZE, 8)
    actual = from_tfds(splits["train"], SIZE, 8, MCNN_AUX)
    for ours, theirs in zip(
        _sorted(*_collect(actual), MCNN_AUX),
        _sorted(*_collect(expected), MCNN_AUX),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_a_folder_with_labels_0_and_1_has_no_unknown_labels(tmp_path):
    values = np.random.default_rng(2).integers(0, 2, (6, 40))
    folder = write_celeba(tmp_path / "zeros", values, [0] * 6)
    config = tfds.download.DownloadConfig(manual_dir=folder)
    train = tfds.load(
        "celeba_folder",
        split="train",
        data_dir=tmp_path / "prepared",
        download_and_prepare_kwargs={"download_config": config},
    )
    images, labels = _collect(from_tfds(train, SIZE, 4))
    assert images.shape == (6, *SIZE, 3)
    rows = np.stack(
        [
            labels[group][:, FACE_REGIONS[group].index(name)]
            for name in CELEBA_ATTRIBUTES
            for group in FACE_REGIONS
            if name in FACE_REGIONS[group]
        ],
        axis=1,
    )
    assert sorted(rows.tolist()) == sorted(values.tolist())


def test_rotated_images_and_other_formats_are_stored_upright(tmp_path):
    folder = write_celeba(tmp_path / "celeba", random_labels(3), [0] * 3)
    upright, rotated, webp = sorted((folder / "img_align_celeba").iterdir())
    rotated.write_bytes(encode("JPEG", seed=1, exif=exif(6)))
    webp.write_bytes(encode("WEBP", seed=2, lossless=True))
    config = tfds.download.DownloadConfig(manual_dir=folder)
    train = tfds.load(
        "celeba_folder",
        split="train",
        data_dir=tmp_path / "prepared",
        download_and_prepare_kwargs={"download_config": config},
    )
    images, _ = _collect(from_tfds(train, SIZE, 3))
    for path in (upright, rotated, webp):
        expected = load_image(path, SIZE).astype(int)
        # TFDS decodes the unchanged JPEG less accurately; other images differ by more than 20.
        assert min(np.abs(image - expected).mean() for image in images) < 2


def _write_official_downloads(folder, labels):
    """Writes the files that the builder of `celeb_a` downloads, with random images."""
    write_celeba(folder, labels, [0, 0, 0, 1, 2], size=(178, 218))
    images = folder / "img_align_celeba"
    names = [path.name for path in sorted(images.iterdir())]
    with zipfile.ZipFile(folder / "img_align_celeba.zip", "w") as archive:
        for name in names:
            archive.write(images / name, f"img_align_celeba/{name}")
    header = "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y "
    rows = "".join(f"{name} {' '.join(['7'] * 10)}\n" for name in names)
    (folder / "landmarks.txt").write_text(f"5\n{header}rightmouth_x rightmouth_y\n{rows}")
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

    table = read_celeba(tmp_path / "downloads")
    table = table.split("train")
    _, expected_labels = _collect(make_dataset(table, FACE_REGIONS, SIZE, 2))
    encoded = [tf.io.read_file(str(path)) for path in table.paths]
    decodings = [
        ({"image": tfds.decode.SkipDecoding()}, lambda content: decode_and_resize(content, SIZE)),
        (None, lambda content: resize(tf.image.decode_image(content, 3), SIZE)),
    ]
    for decoders, to_pixels in decodings:
        split = tfds.load(
            "celeb_a",
            data_dir=tmp_path / "prepared",
            split="train",
            download=False,
            decoders=decoders,
        )
        images, labels = _collect(from_tfds(split, SIZE, 2))
        assert images.shape == (3, *SIZE, 3)
        expected = np.stack([to_pixels(content) for content in encoded])
        for ours, theirs in zip(
            _sorted(images, labels, FACE_REGIONS),
            _sorted(expected, expected_labels, FACE_REGIONS),
            strict=True,
        ):
            np.testing.assert_array_equal(ours, theirs)


def _examples(count):
    """Decoded examples; all pixels of an image have its number as value."""
    return tf.data.Dataset.range(count).map(
        lambda number: {
            "image": tf.fill((30, 20, 3), tf.cast(number, tf.uint8)),
            "attributes": dict.fromkeys(CELEBA_ATTRIBUTES, tf.constant(True)),
        }
    )


def test_a_split_too_large_for_memory_is_shuffled_in_a_buffer(monkeypatch):
    monkeypatch.setattr(pipeline, "_MEMORY_BYTES", 20 * 9 * 7 * 3 + 5)  # twenty images

    def orders(seed):
        dataset = from_tfds(_examples(200), (9, 7), 8, shuffle=True, seed=seed)
        return [_collect(dataset)[0][:, 0, 0, 0].astype(int) for _ in range(2)]

    first, second = orders(seed=1)
    assert sorted(first) == sorted(second) == list(range(200))
    assert (first != second).any()
    # An image may come late, but not before it has been read into the buffer of twenty.
    assert (first < np.arange(200) + 20).all()
    assert (first != np.arange(200)).mean() > 0.5
    np.testing.assert_array_equal(orders(seed=1), [first, second])
    assert (orders(seed=2)[0] != first).any()


def test_a_dataset_of_unknown_length_is_refused_with_a_remedy():
    filtered = _examples(9).filter(lambda example: example["attributes"]["Male"])
    with pytest.raises(InputError, match="assert_cardinality"):
        from_tfds(filtered, SIZE, 2)
    known = filtered.apply(tf.data.experimental.assert_cardinality(9))
    assert int(from_tfds(known, SIZE, 2).cardinality()) == 5


def test_a_dataset_without_the_attributes_is_refused():
    digits = tf.data.Dataset.from_tensors({"image": np.zeros((8, 8, 3), "uint8"), "label": 3})
    with pytest.raises(InputError, match=f"no images with the attributes {CELEBA_ATTRIBUTES[0]}"):
        from_tfds(digits, SIZE, 2)
