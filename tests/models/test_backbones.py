"""The loading of weights is tested on files written here, in the formats of keras.applications."""

import keras
import numpy as np
import pytest

from keras_faramtn.errors import InputError
from keras_faramtn.models import BACKBONES, FARAMTN, MultiLabel, MultiTask

SMALL = "mobilenetv3_small"
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
    # Statistics of batch normalisations have an effect only where they differ from 0 and 1.
    model.set_weights(
        [w + 0.02 * rng.random(w.shape, dtype="float32") for w in model.get_weights()]
    )
    return model


def _images():
    return np.random.default_rng(0).integers(0, 256, (2, *SHAPE)).astype("float32")


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_weights_file_initialises_trunk_and_high_level(backbone, tmp_path):
    application = _application(backbone)
    path = tmp_path / "notop.weights.h5"
    application.save_weights(path)
    cut = BACKBONES[backbone]
    layers = [cut.trunk, cut.shared, application.layers[-1].name]
    expected = keras.Model(
        application.inputs[0], [application.get_layer(name).output for name in layers]
    )(MODULES[backbone].preprocess_input(_images()), training=False)

    model = FARAMTN(backbone, input_shape=SHAPE, weights=path)
    transformed = model.get_layer("group_attention").input[1]
    actual = keras.Model(
        model.inputs[0],
        [model.get_layer(cut.trunk).output, model.get_layer(cut.shared).output, transformed],
    )(_images(), training=False)
    for ours, original in zip(actual, expected, strict=True):
        np.testing.assert_allclose(ours, original, rtol=1e-3, atol=1e-3 * np.abs(original).max())


def test_imagenet_uses_the_download_of_keras_applications(tmp_path, monkeypatch):
    application = _application(SMALL)
    application.save(tmp_path / "downloaded.h5")
    origins = []

    def get_file(name, origin, **_):
        origins.append(origin)
        return str(tmp_path / "downloaded.h5")

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", get_file)
    model = FARAMTN(SMALL, input_shape=SHAPE, weights="imagenet")
    assert len(origins) == 1
    assert "mobilenet_v3_small" in origins[0]
    np.testing.assert_array_equal(
        model.get_layer("conv").get_weights()[0], application.get_layer("conv").get_weights()[0]
    )


def test_every_high_level_of_multi_task_starts_from_the_file(tmp_path):
    application = _application(SMALL)
    path = tmp_path / "notop.weights.h5"
    application.save_weights(path)
    model = MultiTask(SMALL, input_shape=SHAPE, weights=path)
    expected = application.get_layer("conv_1").get_weights()[0]
    for group in ("mouth", "hair"):
        branch = model.get_layer(f"{group}_high_level")
        np.testing.assert_array_equal(branch.get_layer("conv_1").get_weights()[0], expected)


def test_without_weights_the_high_levels_start_from_different_weights():
    model = MultiTask(SMALL, input_shape=SHAPE)
    kernels = [
        model.get_layer(f"{group}_high_level").get_layer("conv_1").get_weights()[0]
        for group in ("mouth", "hair")
    ]
    assert not np.allclose(*kernels)


def test_a_missing_file_and_a_file_of_another_network_raise_input_error(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.h5: no such weights file"):
        FARAMTN(SMALL, input_shape=SHAPE, weights=tmp_path / "nowhere.h5")
    other = tmp_path / "other.weights.h5"
    _application(SMALL).save_weights(other)
    with pytest.raises(InputError, match=r"other\.weights\.h5: not a weights file of"):
        FARAMTN("efficientnetv2_b0", input_shape=SHAPE, weights=other)
    broken = tmp_path / "broken.h5"
    broken.write_bytes(b"not a weights file")
    with pytest.raises(InputError, match=r"broken\.h5: not a weights file of"):
        FARAMTN(SMALL, input_shape=SHAPE, weights=broken)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_is_split_at_stride_16_and_32(backbone):
    model = FARAMTN(backbone, input_shape=SHAPE)
    cut = BACKBONES[backbone]
    assert model.get_layer(cut.trunk).output.shape[1:3] == (64 // 16, 96 // 16)
    assert model.get_layer(cut.shared).output.shape[1:3] == (64 // 32, 96 // 32)


@pytest.mark.parametrize("network", [FARAMTN, MultiTask, MultiLabel])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backbone": "resnet51"}, "unknown backbone 'resnet51'; choose one of resnet50"),
        ({"backbone": 50}, "unknown backbone 50"),
        ({"backbone": ["resnet50"]}, "unknown backbone"),
        ({"input_shape": (64, 16, 3)}, r"32 or more; got \(64, 16, 3\)"),
        ({"input_shape": (64, 64, 1)}, r"got \(64, 64, 1\)"),
        ({"input_shape": (None, None, 3)}, r"fixed integers .* got \(None, None, 3\)"),
        ({"input_shape": (64.0, 64.5, 3)}, r"fixed integers .* got \(64\.0, 64\.5, 3\)"),
        ({"input_shape": (64, 64)}, r"\(height, width, 3\).* got \(64, 64\)"),
        ({"input_shape": 64}, r"\(height, width, 3\).* got 64"),
        ({"weights": 3}, "weights must be None, 'imagenet' or the path .* got 3 of type int"),
        ({"weights": True}, "weights must be None, .* got True of type bool"),
    ],
)
def test_invalid_arguments_raise_input_error(network, arguments, message):
    with pytest.raises(InputError, match=message):
        network(**{"backbone": SMALL, "input_shape": SHAPE, **arguments})


@pytest.mark.parametrize("network", [FARAMTN, MultiTask, MultiLabel])
def test_channels_first_raises_input_error(network):
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(InputError, match=r"'channels_first'.*keras\.json.*set_image_data_f"):
            network(SMALL, input_shape=SHAPE)
    finally:
        keras.config.set_image_data_format("channels_last")
