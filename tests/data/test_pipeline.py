import dataclasses
import os
import shutil
import sys

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from PIL import Image

from keras_faramtn.attributes import CELEBA_ATTRIBUTES, FACE_REGIONS, MCNN_AUX, AttributeGroups
from keras_faramtn.data import augmentation, decoding, pipeline
from keras_faramtn.data.augmentation import Augmentation, augment_images, mix
from keras_faramtn.data.decoding import decode_and_resize
from keras_faramtn.data.pipeline import decode_images, epoch_variable, make_dataset
from keras_faramtn.data.readers.celeba import read_celeba
from keras_faramtn.errors import InputError

SIZE = (48, 36)


@pytest.fixture
def table(celeba_folder):
    return read_celeba(celeba_folder)


def _collect(dataset):
    batches = [(images.numpy(), labels) for images, labels in dataset]
    images = np.concatenate([images for images, _ in batches])
    labels = {g: np.concatenate([labels[g] for _, labels in batches]) for g in batches[0][1]}
    return images, labels


@pytest.mark.skipif(sys.platform != "linux", reason="other systems allow only Unicode names")
def test_file_names_that_are_not_valid_unicode(table, tmp_path):
    renamed = [tmp_path / os.fsdecode(b"caf\xe9%d.jpg" % n) for n in range(len(table))]
    for path, new in zip(table.paths, renamed, strict=True):
        shutil.copy(path, new)
    expected, _ = _collect(make_dataset(table, MCNN_AUX, SIZE, 8))
    renamed_table = dataclasses.replace(table, paths=tuple(renamed))
    images, _ = _collect(make_dataset(renamed_table, MCNN_AUX, SIZE, 8))
    np.testing.assert_array_equal(images, expected)
    np.testing.assert_array_equal(decode_images(renamed_table, SIZE).decoded.pixels, expected)


def test_images_and_labels_have_the_order_of_the_table(table):
    dataset = make_dataset(table, MCNN_AUX, SIZE, 8)
    augmented = make_dataset(table, MCNN_AUX, SIZE, 8, shuffle=True, augmentation=Augmentation())
    assert int(dataset.cardinality()) == int(augmented.cardinality()) == 3
    images, labels = _collect(dataset)
    assert images.shape == (20, *SIZE, 3)
    assert images.dtype == "uint8"
    assert list(labels) == list(MCNN_AUX)
    for group, attributes in MCNN_AUX.items():
        assert labels[group].dtype == "float32"
        for column, attribute in enumerate(attributes):
            expected = table.labels[:, CELEBA_ATTRIBUTES.index(attribute)]
            np.testing.assert_array_equal(labels[group][:, column], expected)
    for path, image in zip(table.paths, images, strict=True):
        # Pillow's bilinear filter is antialiased too, and rounds after each of two passes.
        by_pillow = np.asarray(Image.open(path).resize(SIZE[::-1], Image.Resampling.BILINEAR))
        assert np.abs(by_pillow.astype(int) - image).max() <= 3


def test_the_order_depends_on_the_seed_and_changes_in_each_epoch(table):
    def order(seed, epochs=2):
        dataset = make_dataset(table, FACE_REGIONS, SIZE, 8, shuffle=True, seed=seed)
        return [_collect(dataset)[0].reshape(20, -1).sum(axis=1).tolist() for _ in range(epochs)]

    first, second = order(seed=1)
    assert first != second
    assert sorted(first) == sorted(second)
    assert order(seed=1) == [first, second]
    assert order(seed=2)[0] != first


def test_a_data_set_too_large_for_memory_gives_the_same_images(table, monkeypatch):
    in_memory, _ = _collect(make_dataset(table, FACE_REGIONS, SIZE, 8))
    monkeypatch.setattr(pipeline, "_MEMORY_BYTES", 0)
    decoded, _ = _collect(make_dataset(table, FACE_REGIONS, SIZE, 8))
    np.testing.assert_array_equal(in_memory, decoded)
    shuffled, _ = _collect(make_dataset(table, FACE_REGIONS, SIZE, 8, shuffle=True))
    assert sorted(shuffled.sum(axis=(1, 2, 3))) == sorted(in_memory.sum(axis=(1, 2, 3)))


def test_a_data_set_too_large_for_memory_is_decoded_once_to_disk(table, tmp_path, monkeypatch):
    in_memory, labels = _collect(make_dataset(table, FACE_REGIONS, SIZE, 8))
    make_dataset(table, FACE_REGIONS, SIZE, 8, cache=tmp_path / "new")
    assert not (tmp_path / "new").exists()
    monkeypatch.setattr(pipeline, "_MEMORY_BYTES", 0)
    for seed in (1, 2):
        cached = make_dataset(
            table, FACE_REGIONS, SIZE, 8, shuffle=True, seed=seed, cache=tmp_path / "new"
        )
        for _ in range(2):
            images, by_group = _collect(cached)
            order = [
                int(np.flatnonzero((in_memory == image).all(axis=(1, 2, 3)))[0]) for image in images
            ]
            assert sorted(order) == list(range(20)) != order
            for group in FACE_REGIONS:
                np.testing.assert_array_equal(by_group[group], labels[group][order])
        monkeypatch.setattr(
            pipeline, "decode_and_resize", None
        )  # the second dataset must read the file
    assert len(list((tmp_path / "new").iterdir())) == 1


@pytest.mark.parametrize("memory", [2**30, 0])
def test_datasets_of_decoded_images_have_the_same_batches(table, tmp_path, monkeypatch, memory):
    training = table.split("train")

    def two_epochs(table):
        dataset = make_dataset(
            table, FACE_REGIONS, SIZE, 8, shuffle=True, augmentation=Augmentation(), seed=3
        )
        return [_collect(dataset) for _ in range(2)]

    expected = two_epochs(training)
    monkeypatch.setattr(pipeline, "_MEMORY_BYTES", memory)
    decoded = decode_images(table, SIZE, tmp_path / "cache").split("train")
    assert (tmp_path / "cache").exists() == (memory == 0)
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "decode_and_resize", None)  # nothing is decoded again
        found = two_epochs(decoded)
    for (images, labels), (images_before, labels_before) in zip(found, expected, strict=True):
        np.testing.assert_array_equal(images, images_before)
        np.testing.assert_array_equal(labels["mouth"], labels_before["mouth"])
    smaller, _ = _collect(make_dataset(decoded, FACE_REGIONS, (24, 18), 8))
    assert smaller.shape == (len(training), 24, 18, 3)


def test_too_many_images_without_a_cache_are_not_decoded_at_once(table, monkeypatch):
    monkeypatch.setattr(pipeline, "_MEMORY_BYTES", 0)
    assert decode_images(table, SIZE).decoded is None


def test_augmentation_depends_on_the_seed_and_changes_in_each_epoch(table):
    def epochs(seed):
        dataset = make_dataset(table, FACE_REGIONS, SIZE, 8, augmentation=Augmentation(), seed=seed)
        return [_collect(dataset)[0] for _ in range(2)]

    first, second = epochs(3)
    assert (first != second).any(axis=(1, 2, 3)).all()
    again, again_second = epochs(3)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(second, again_second)
    assert (epochs(4)[0] != first).any()


def test_augmentation_flips_half_of_the_images_and_keeps_their_content_in_position():
    """A bright spot stays within the allowed shift, zoom and rotation, or their mirror image."""
    images = np.full((400, 60, 40, 3), 40, "uint8")
    images[:, 10:16, 6:12] = 240
    result = augment_images(images, tf.constant([5, 6], tf.int64)).numpy()
    assert result.shape == images.shape
    assert result.dtype == "uint8"
    contrast = result[..., 0] - result[..., 0].min(axis=(1, 2), keepdims=True).astype(float)
    mass = np.where(contrast > contrast.max(axis=(1, 2), keepdims=True) / 2, contrast, 0)
    across = (mass.sum(axis=1) * np.arange(40)).sum(axis=1) / mass.sum(axis=(1, 2))
    down = (mass.sum(axis=2) * np.arange(60)).sum(axis=1) / mass.sum(axis=(1, 2))
    left = np.where(across < 19.5, across, 39 - across)
    # From (12.5, 8.5): 8 % of the size, 8 % of the way from the centre, 0.12 of the other way.
    assert np.abs(down - 12.5).max() < 0.08 * 60 + 0.09 * 17 + 0.13 * 11 + 1
    assert np.abs(left - 8.5).max() < 0.08 * 40 + 0.09 * 11 + 0.13 * 17 + 1
    assert 0.4 < (across > 19.5).mean() < 0.6


def test_with_all_ranges_at_zero_images_are_only_flipped(monkeypatch):
    for name in ("_SHIFT", "_ZOOM", "_ROTATION", "_LIGHT"):
        monkeypatch.setattr(augmentation, name, 0.0)
    images = np.random.default_rng(0).integers(0, 256, (30, 9, 14, 3), dtype="uint8")
    result = augment_images(images, tf.constant([1, 2], tf.int64)).numpy()
    same = [(r == i).all() for r, i in zip(result, images, strict=True)]
    flipped = [(r == i[:, ::-1]).all() for r, i in zip(result, images, strict=True)]
    assert all(a != b for a, b in zip(same, flipped, strict=True))
    assert 5 < sum(flipped) < 25


def test_erasing_paints_one_rectangle_in_a_fraction_of_the_images(monkeypatch):
    for name in ("_SHIFT", "_ZOOM", "_ROTATION", "_LIGHT"):
        monkeypatch.setattr(augmentation, name, 0.0)
    images = np.full((600, 40, 30, 3), 44, "uint8")
    seed = tf.constant([1, 2], tf.int64)
    np.testing.assert_array_equal(augment_images(images, seed), images)
    erased = 0
    for result in augment_images(images, seed, erase=0.3).numpy():
        hidden = (result != 44).any(axis=-1)
        if hidden.any():
            erased += 1
            rows, columns = (np.flatnonzero(hidden.any(axis=axis)) for axis in (1, 0))
            # The whole rectangle has one colour; the border may cut it off.
            assert hidden[np.ix_(rows, columns)].all()
            assert len(np.unique(result[hidden], axis=0)) == 1
            assert np.ptp(rows) + 1 == len(rows) <= 0.45 * 40 + 1
            assert np.ptp(columns) + 1 == len(columns) <= 0.45 * 30 + 1
    assert 0.2 < erased / 600 < 0.4


@pytest.mark.parametrize("erase", [-0.1, 1.1, float("nan")])
def test_a_fraction_to_erase_out_of_range_is_refused(erase):
    with pytest.raises(InputError, match=r"erase is .*; use a fraction from 0 to 1"):
        Augmentation(erase=erase)


@pytest.mark.parametrize("mixup", [-0.1, float("inf"), float("nan")])
def test_an_invalid_mixup_is_refused(mixup):
    with pytest.raises(InputError, match=r"mixup is .*; use 0 or a positive number"):
        Augmentation(mixup=mixup)


def test_erasing_and_mixup_are_applied_to_batches(table):
    def images_and_labels(**options):
        augmentation = Augmentation(**options)
        return _collect(make_dataset(table, FACE_REGIONS, SIZE, 8, augmentation=augmentation))

    plain, labels = images_and_labels()
    erased, same_labels = images_and_labels(erase=1.0)
    mixed, mixed_labels = images_and_labels(mixup=1.0)
    assert (plain != erased).any(axis=(1, 2, 3)).all()
    assert (plain != mixed).any(axis=(1, 2, 3)).mean() > 0.5
    np.testing.assert_array_equal(labels["hair"], same_labels["hair"])
    assert (labels["hair"] != mixed_labels["hair"]).any()


def test_mixup_blends_images_and_labels_with_the_same_weight_from_beta():
    """Grey images of the levels x = 0, 1, ... reveal the weight: x + weight (n - 1 - 2 x)."""
    count, alpha, seeds = 200, 0.4, 20
    levels = np.arange(count, dtype="uint8")
    images = np.tile(levels[:, None, None, None], (1, 3, 2, 3))
    labels = {"a": levels[:, None] / np.float32(count), "b": np.ones((count, 2), "float32")}
    weights = []
    for seed in range(seeds):
        mixed, mixed_labels = mix(images, labels, tf.constant([seed, 1], tf.int64), alpha)
        assert (mixed.dtype, mixed.shape) == ("uint8", images.shape)
        # The labels, which are not rounded, reveal the weight if the two images differ enough.
        apart = np.abs(count - 1 - 2.0 * levels) > 20
        step = (count - 1 - 2.0 * levels)[apart]
        weight = (mixed_labels["a"].numpy()[apart, 0] * count - levels[apart]) / step
        pixels = np.tile((levels[apart] + weight * step)[:, None, None, None], (1, 3, 2, 3))
        np.testing.assert_allclose(mixed.numpy()[apart], pixels, atol=0.51)
        np.testing.assert_allclose(mixed_labels["b"], 1, atol=1e-6)
        weights.append(weight)
    weights = np.concatenate(weights)
    assert -1e-5 < weights.min() <= weights.max() < 0.5 + 1e-5
    # The smaller of x and 1 - x has twice the density of Beta(alpha, alpha) up to 0.5.
    folded = scipy.stats.beta(alpha, alpha)
    distance = scipy.stats.kstest(weights, lambda x: np.clip(2 * folded.cdf(x), 0, 1)).statistic
    assert distance < 0.03


def test_mixup_with_an_unknown_label_gives_an_unknown_label():
    images = np.zeros((3, 2, 2, 3), "uint8")
    labels = np.array([[1, -1], [-1, 1], [0, 0]], "float32")
    _, mixed = mix(images, labels, tf.constant([1, 2], tf.int64), 1.0)
    assert 0.5 <= float(mixed[0, 0]) < 1
    assert 0 < float(mixed[2, 0]) <= 0.5
    np.testing.assert_array_equal(mixed[:, 1], [-1, 1, -1])
    assert mixed[1, 0] == -1  # the middle one is mixed with itself


@pytest.mark.parametrize(
    ("given", "wanted"), [((30, 21), (61, 22)), ((30, 21), (30, 21)), ((30, 21), (40, 15))]
)
def test_resizing_is_antialiased_like_pillows(given, wanted):
    image = np.random.default_rng(1).integers(0, 256, (*given, 3), dtype="uint8")
    resized = decoding.resize(tf.constant(image), wanted).numpy()
    by_pillow = Image.fromarray(image).resize(wanted[::-1], Image.Resampling.BILINEAR)
    assert np.abs(np.asarray(by_pillow).astype(int) - resized).max() <= 1
    # No value wraps around at the ends of the range.
    for level in (0, 255):
        plain = tf.constant(level, tf.uint8, (*given, 3))
        np.testing.assert_array_equal(decoding.resize(plain, wanted), level)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P"])
def test_images_of_other_modes_become_rgb(tmp_path, mode):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype="uint8"))
    image.convert(mode).save(tmp_path / "image.png")
    decoded = decode_and_resize(tf.io.read_file(str(tmp_path / "image.png")), (20, 30))
    assert decoded.shape == (20, 30, 3)
    expected = np.asarray(image.convert(mode).convert("RGB"))
    np.testing.assert_array_equal(decoded, expected)


def test_other_attributes_than_the_groups_are_refused(table):
    groups = AttributeGroups({"a": ["x"]}, attributes=["x"])
    with pytest.raises(InputError, match="attributes differ from those of the groups"):
        make_dataset(table, groups, SIZE, 8)
    fewer = dataclasses.replace(table, attributes=("x",), labels=table.labels[:, :1])
    images, labels = _collect(make_dataset(fewer, groups, SIZE, 8))
    np.testing.assert_array_equal(labels["a"], fewer.labels)
    assert len(images) == 20


@pytest.mark.parametrize("training", [True, False])
def test_autotuning_is_off(table, training):
    """A deleted iterator would wait for the tuner's thread, up to a minute in each epoch."""
    augmentation = Augmentation() if training else None
    dataset = make_dataset(
        table, FACE_REGIONS, SIZE, 8, shuffle=training, augmentation=augmentation
    )
    assert dataset.options().autotune.enabled is False


@pytest.mark.parametrize("kept_in_memory", [True, False])
def test_the_epoch_number_decides_order_and_augmentation_of_an_epoch(
    table, kept_in_memory, monkeypatch
):
    if not kept_in_memory:
        monkeypatch.setattr(pipeline, "_MEMORY_BYTES", 0)

    def run(epochs):
        epoch = epoch_variable()
        dataset = make_dataset(
            table,
            FACE_REGIONS,
            SIZE,
            8,
            shuffle=True,
            augmentation=Augmentation(),
            seed=3,
            epoch=epoch,
        )
        results = []
        for number in epochs:
            tf.random.set_seed(number)  # Keras sets it; it must have no effect
            epoch.assign(number)
            results.append(_collect(dataset))
        return results

    first, second, third = run([0, 1, 2])
    for (images, labels), (again, labels_again) in zip(
        [third, first, third], run([2, 0, 2]), strict=True
    ):
        np.testing.assert_array_equal(images, again)
        for group in FACE_REGIONS:
            np.testing.assert_array_equal(labels[group], labels_again[group])
    assert (first[1]["hair"] != second[1]["hair"]).any()
    assert (second[1]["hair"] != third[1]["hair"]).any()
