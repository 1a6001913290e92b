"""ImageNet weights: the real loading code, on weights files made here."""

import keras
import numpy as np
import pytest

from keras_faramtn.errors import InputError
from keras_faramtn.models import BACKBONES, FARAMTN, MultiTask

SHAPE = (64, 96, 3)
MODULES = {
    "resnet50": keras.applications.resnet50,
    "mobilenetv3_large": keras.applications.mobilenet_v3,
    "mobilenetv3_small": keras.applications.mobilenet_v3,
    "efficientnetv2_b0": keras.applications.efficientnet_v2,
}


def _application(backbone):
    build = getattr(keras.applications, BACKBONES[backbone].application)
    model = build(include_top=False, weights=None, input_shape=SHAPE)
    rng = np.random.default_rng(1)
    # Statistics of normalisation layers must differ from their initial 0 and 1 to be noticed.
    model.set_weights(
        [w + 0.02 * rng.random(w.shape, dtype="float32") for w in model.get_weights()]
    )
    return model


def _images():
    return np.random.default_rng(0).integers(0, 256, (2, *SHAPE)).astype("float32")


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_file_of_weights_goes_into_trunk_and_high_level(backbone, tmp_path):
    application = _application(backbone)
    path = tmp_path / "notop.weights.h5"
    application.save_weights(path)
    cut = BACKBONES[backbone]
    layers = [cut.trunk, cut.shared, application.layers[-1].name]
    expected = keras.Model(
        application.inputs, [application.get_layer(name).output for name in layers]
    ).predict(MODULES[backbone].preprocess_input(_images()), verbose=0)

    model = FARAMTN(backbone, input_shape=SHAPE, weights=path)
    transformed = model.get_layer("group_attention").input[1]
    actual = keras.Model(
        model.inputs,
        [model.get_layer(cut.trunk).output, model.get_layer(cut.shared).output, transformed],
    ).predict(_images(), verbose=0)
    for ours, theirs in zip(actual, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3 * np.abs(theirs).max())


def test_imagenet_goes_through_the_download_of_keras_applications(tmp_path, monkeypatch):
    application = _application("mobilenetv3_small")
    application.save(tmp_path / "downloaded.h5")
    asked = []

    def get_file(name, origin, **_):
        asked.append(origin)
        return str(tmp_path / "downloaded.h5")

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", get_file)
    model = FARAMTN("mobilenetv3_small", input_shape=SHAPE, weights="imagenet")
    assert len(asked) == 1
    assert "mobilenet_v3_small" in asked[0]
    np.testing.assert_array_equal(
        model.get_layer("conv").get_weights()[0], application.get_layer("conv").get_weights()[0]
    )


def test_every_high_level_of_the_traditional_network_starts_from_the_file(tmp_path):
    application = _application("mobilenetv3_small")
    path = tmp_path / "notop.weights.h5"
    application.save_weights(path)
    model = MultiTask("mobilenetv3_small", input_shape=SHAPE, weights=path)
    expected = application.get_layer("conv_1").get_weights()[0]
    for group in ("mouth", "hair"):
        branch = model.get_layer(f"{group}_high_level")
        np.testing.assert_array_equal(branch.get_layer("conv_1").get_weights()[0], expected)


def test_without_weights_the_high_levels_start_apart():
    model = MultiTask("mobilenetv3_small", input_shape=SHAPE)
    kernels = [
        model.get_layer(f"{group}_high_level").get_layer("conv_1").get_weights()[0]
        for group in ("mouth", "hair")
    ]
    assert not np.allclose(*kernels)


def test_a_missing_file_and_a_file_of_another_network_are_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.h5: there is no such weights file"):
        FARAMTN("mobilenetv3_small", input_shape=SHAPE, weights=tmp_path / "nowhere.h5")
    other = tmp_path / "other.weights.h5"
    _application("mobilenetv3_small").save_weights(other)
    with pytest.raises(InputError, match=r"other\.weights\.h5: these are not the weights of"):
        FARAMTN("efficientnetv2_b0", input_shape=SHAPE, weights=other)
    broken = tmp_path / "broken.h5"
    broken.write_bytes(b"not a weights file")
    with pytest.raises(InputError, match=r"broken\.h5: these are not the weights of"):
        FARAMTN("mobilenetv3_small", input_shape=SHAPE, weights=broken)
