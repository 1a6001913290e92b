import importlib.util
import io

import keras
import numpy as np
import pytest
import tensorflow as tf
from other_backends import run_on
from PIL import Image

from keras_faramtn.attributes import FACE_REGIONS
from keras_faramtn.data.augmentation import Augmentation, apply_layers
from keras_faramtn.data.augmentation_layers import (
    KERAS_CV_LAYERS,
    KERAS_LAYERS,
    build_layers,
    check_layer_names,
)
from keras_faramtn.data.pipeline import epoch_variable, make_dataset
from keras_faramtn.data.readers.celeba import read_celeba
from keras_faramtn.errors import InputError
from keras_faramtn.synthetic.faces import draw_faces

SIZE = (40, 32)
FACES = draw_faces(6, SIZE)

# Where the defaults change nothing, or have to be given.
ARGUMENTS = {
    "GridMask": {"ratio_factor": [0.3, 0.5]},
    "RandomBrightness": {"factor": 0.3},
    "RandomChannelShift": {"factor": 0.3},
    "RandomColorDegeneration": {"factor": 0.5},
    "RandomColorJitter": {"brightness_factor": 0.2, "contrast_factor": 0.2, "hue_factor": 0.1},
    "RandomContrast": {"factor": 0.3},
    "RandomHue": {"factor": 0.2},
    "RandomJpegQuality": {"factor": [20, 60]},
    "RandomPosterization": {"factor": 4},
    "RandomRotation": {"factor": 0.1},
    "RandomSaturation": {"factor": [0.2, 0.9]},
    "RandomSharpness": {"factor": 0.5},
    "RandomShear": {"x_factor": 0.2},
    "RandomTranslation": {"height_factor": 0.1, "width_factor": 0.1},
    "RandomZoom": {"height_factor": 0.2},
    "Solarization": {"addition_factor": 0.3, "threshold_factor": 0.3},
}


def _transformed(images, *layers, seeds=((1, 2),)):
    """The images changed by the layers, once for each seed."""
    built = build_layers(layers)
    transform = tf.function(lambda seed: apply_layers(tf.constant(images), seed, built))
    return [transform(tf.constant(seed, tf.int64)).numpy() for seed in seeds]


@pytest.mark.parametrize(
    "name",
    [
        # Keras traces these for many seconds.
        pytest.param(name, marks=[pytest.mark.slow] * (name == "RandomElasticTransform"))
        for name in (*KERAS_LAYERS, *KERAS_CV_LAYERS)
    ],
)
def test_the_seed_decides_how_images_change(name):
    seeds = [(1, 2), (1, 2), *((5, other) for other in range(6))]
    first, again, *others = _transformed(FACES, {name: ARGUMENTS.get(name)}, seeds=seeds)
    assert (first.dtype, first.shape) == ("uint8", FACES.shape)
    np.testing.assert_array_equal(first, again)
    assert any((first != other).any() for other in others)
    assert any((other != FACES).any() for other in others)


def test_images_of_a_batch_change_differently():
    images = np.tile(FACES[:1], (8, 1, 1, 1))
    for name in ("RandomBrightness", "RandomRotation", "GridMask", "RandomChannelShift"):
        [changed] = _transformed(images, {name: ARGUMENTS[name]})
        assert len({image.tobytes() for image in changed}) == 8, name


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        ({"RandomInvert": {"factor": [1.0, 1.0]}}, 255 - FACES.astype(int)),
        ({"RandomPosterization": {"factor": [4, 4]}}, FACES & 0xF0),
        ({"RandomFlip": {"mode": "vertical"}}, None),
        (
            {"RandomGrayscale": {"factor": 1.0}},
            np.stack([np.asarray(Image.fromarray(face).convert("L")) for face in FACES])[..., None],
        ),
    ],
)
def test_pixels_are_in_0_to_255(layer, expected):
    [changed] = _transformed(FACES, layer)
    if expected is None:
        for face, image in zip(FACES, changed, strict=True):
            assert (image == face).all() or (image == face[::-1]).all()
        return
    expected = np.broadcast_to(expected, FACES.shape)
    assert np.abs(changed.astype(int) - expected).max() <= (1 if "RandomGrayscale" in layer else 0)


def test_jpeg_artifacts_are_those_of_pillow():
    [changed] = _transformed(FACES, {"RandomJpegQuality": {"factor": [30, 30]}})
    for face, image in zip(FACES, changed, strict=True):
        file = io.BytesIO()
        Image.fromarray(face).save(file, "jpeg", quality=30)
        by_pillow = np.asarray(Image.open(file)).astype(int)
        assert np.abs(image - by_pillow).mean() < 2
        assert np.abs(image.astype(int) - face).mean() > 2


def test_grid_mask_paints_over_a_part_of_each_image():
    images = np.full((20, *SIZE, 3), 200, "uint8")
    [changed] = _transformed(images, {"GridMask": {"ratio_factor": [0.5, 0.5]}})
    assert set(np.unique(changed)) == {0, 200}
    hidden = (changed == 0).all(axis=-1)
    np.testing.assert_array_equal(hidden, (changed == 0).any(axis=-1))
    assert 0.1 < hidden.mean() < 0.5  # 0.5 of both sides of a unit is a quarter of its area


def test_channel_shift_moves_each_channel_of_an_image_by_one_amount():
    images = np.random.default_rng(0).integers(100, 150, (20, *SIZE, 3), dtype="uint8")
    [changed] = _transformed(images, {"RandomChannelShift": {"factor": 0.4}})
    shift = changed.astype(int) - images
    assert np.ptp(shift, axis=(1, 2)).max() <= 1
    shift = shift.mean(axis=(1, 2))
    assert np.abs(shift).max() <= 0.2 * 255 + 1
    assert (np.ptp(shift, axis=1) > 10).mean() > 0.5
    assert (shift > 5).any()
    assert (shift < -5).any()


def test_layers_compute_in_full_precision_if_the_network_does_not():
    layers = [{name: ARGUMENTS[name]} for name in ("RandomColorJitter", "RandomChannelShift")]
    [expected] = _transformed(FACES, *layers)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        [images] = _transformed(FACES, *layers)
        assert keras.config.dtype_policy().name == "mixed_float16"
    finally:
        keras.config.set_dtype_policy("float32")
    np.testing.assert_array_equal(images, expected)


def test_layers_are_applied_in_their_order():
    invert, post = (
        {"RandomInvert": {"factor": [1.0, 1.0]}},
        {"RandomPosterization": {"factor": [2, 2]}},
    )
    [changed], [reverse] = _transformed(FACES, invert, post), _transformed(FACES, post, invert)
    np.testing.assert_array_equal(changed, (255 - FACES) & 0xC0)
    np.testing.assert_array_equal(reverse, 255 - (FACES & 0xC0))


def test_other_backends_give_the_same_images(tmp_path):
    layers = [{"RandomColorJitter": ARGUMENTS["RandomColorJitter"]}, {"RandomFlip": None}]
    layers.append({"RandomChannelShift": ARGUMENTS["RandomChannelShift"]})
    [expected] = _transformed(FACES, *layers)
    np.savez(tmp_path / "images.npz", faces=FACES, expected=expected)
    run_on(
        "jax",
        f"""
import keras, numpy as np, tensorflow as tf
from keras_faramtn.data.augmentation import apply_layers
from keras_faramtn.data.augmentation_layers import build_layers
assert keras.backend.backend() == "jax"
data = np.load({str(tmp_path / "images.npz")!r})
built = build_layers({layers!r})
dataset = tf.data.Dataset.from_tensors(data["faces"])
[images] = dataset.map(lambda faces: apply_layers(faces, tf.constant([1, 2], tf.int64), built))
np.testing.assert_array_equal(images, data["expected"])
""",
    )


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ({"RandomInvrt": {}}, r"there is no layer 'RandomInvrt'; use one of Keras \(RandAugment"),
        ({"CutMix": {}}, r"CutMix can't be used: it also mixes labels, .* data\.mixup"),
        ({"RandomCrop": {}}, r"RandomCrop can't be used: it changes the size .*data\.image_size"),
        ({"AugMix": {}}, r"AugMix can't be used: it draws from Python's random numbers once"),
        ({"GridMask": 0.3}, r"GridMask: the arguments must be a mapping, .*; got 0\.3"),
        ({"GridMask": {}, "RandomFlip": {}}, r"each layer is a mapping from its name"),
        ({}, r"each layer is a mapping from its name"),
    ],
)
def test_layers_that_cannot_be_used_are_refused_with_the_reason(layer, message):
    with pytest.raises(InputError, match=message):
        check_layer_names([layer])
    with pytest.raises(InputError, match=message):
        Augmentation(layers=[layer])


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (
            {"RandomHue": {"fctor": 0.2}},
            r"RandomHue: there is no argument 'fctor' to set; .*factor",
        ),
        ({"RandomHue": {"seed": 3}}, r"RandomHue: there is no argument 'seed' to set"),
        ({"RandomHue": {"value_range": [0, 1]}}, r"there is no argument 'value_range' to set"),
        ({"RandomHue": {"factor": 7}}, r"RandomHue: keras.layers.RandomHue does not work with"),
        ({"RandomHue": {}}, r"RandomHue: keras.layers.RandomHue does not work .*factor"),
        # Found only when the layer is called.
        ({"GridMask": {"fill_mode": "gaussian_noise"}}, r"GridMask: keras_cv.layers.GridMask does"),
    ],
)
def test_wrong_arguments_are_refused_when_a_layer_is_built(layer, message):
    check_layer_names([layer])
    with pytest.raises(InputError, match=message):
        build_layers([layer])


def test_a_refused_layer_of_keras_cv_leaves_tensorflow_as_it_was():
    with pytest.raises(InputError, match="GridMask"):
        build_layers([{"GridMask": {"fill_mode": "gaussian_noise"}}])
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        pass
    assert not tf.distribute.has_strategy()


def test_a_missing_library_is_reported(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    check_layer_names([{"GridMask": {}}])
    with pytest.raises(InputError, match=r"pip install 'keras-faramtn\[keras-cv\]'"):
        build_layers([{"GridMask": {}}])


def test_erasing_without_the_standard_augmentation_is_refused():
    with pytest.raises(InputError, match="use the layer RandomErasing"):
        Augmentation(erase=0.5, standard=False)


def test_layers_replace_the_standard_augmentation_or_follow_it(celeba_folder):
    table = read_celeba(celeba_folder)
    layers = [{"RandomInvert": {"factor": [1.0, 1.0]}}]

    def images(augmentation):
        dataset = make_dataset(table, FACE_REGIONS, SIZE, 8, augmentation=augmentation, seed=4)
        return np.concatenate([batch.numpy() for batch, _ in dataset])

    replaced = images(Augmentation(layers=layers, standard=False))
    np.testing.assert_array_equal(replaced, 255 - images(None))
    followed = images(Augmentation(layers=layers))
    np.testing.assert_array_equal(followed, 255 - images(Augmentation()))


def test_the_epoch_number_decides_how_layers_change_images(celeba_folder):
    """So that a resumed run sees the images of an uninterrupted one."""
    table = read_celeba(celeba_folder)
    layers = [{name: ARGUMENTS[name]} for name in ("RandomColorJitter", "RandomChannelShift")]

    def run(epochs):
        epoch = epoch_variable()
        dataset = make_dataset(
            table,
            FACE_REGIONS,
            SIZE,
            8,
            shuffle=True,
            augmentation=Augmentation(mixup=0.2, layers=layers),
            epoch=epoch,
        )
        for number in epochs:
            epoch.assign(number)
            yield np.concatenate([batch.numpy() for batch, _ in dataset])

    uninterrupted = list(run(range(3)))
    [resumed] = run([2])
    np.testing.assert_array_equal(resumed, uninterrupted[2])
    assert (uninterrupted[0] != uninterrupted[1]).any()
