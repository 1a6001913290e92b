"""Recipes with backbones of KerasHub and KerasCV: building, training, errors."""

import importlib.util
import logging

import keras
import keras_hub
import numpy as np
import pytest
import small_network
from library_backbones import ARGUMENTS, library_backbone
from small_network import SIZE, batches

from keras_faramtn import backbone_libraries
from keras_faramtn.errors import InputError
from keras_faramtn.experiments.comparison_recipe import ComparisonRecipe
from keras_faramtn.experiments.recipe import (
    Recipe,
    read_recipe,
    refuse_missing_files,
    write_recipe,
)
from keras_faramtn.experiments.trainer import build_model, fit_model
from keras_faramtn.models import load_model

RESNET, MOBILENET = "keras_hub.ResNetBackbone", "keras_cv.MobileNetV3Backbone"


def _content(backbone, **model):
    content = small_network.recipe(epochs=2, train_backbone_from=2).model_dump(mode="json")
    content["model"] |= {"backbone": backbone, **model}
    return content


def _recipe(backbone, **model):
    return Recipe.model_validate(_content(backbone, **model))


def _by_class(name, **changes):
    library, _, class_name = name.partition(".")
    arguments = {**ARGUMENTS[name], **changes}
    arguments.pop("image_shape", None)  # the recipe's
    return {"library": library, "class_name": class_name, "arguments": arguments}


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    """A preset of KerasHub in a folder, with an image converter."""
    folder = tmp_path_factory.mktemp("presets") / "tiny_resnet"
    backbone = library_backbone(RESNET)
    backbone.save_to_preset(str(folder))
    converter = keras_hub.layers.ResNetImageConverter(
        image_size=(224, 224), scale=[0.01, 0.02, 0.03], offset=[-1.0, 0.0, 1.0]
    )
    converter.save_to_preset(str(folder))
    return folder, backbone


def test_a_preset_brings_its_weights_and_its_preprocessing(preset):
    folder, backbone = preset
    model = build_model(_recipe({"library": "keras_hub", "preset": str(folder)}))
    images = np.random.default_rng(0).integers(0, 256, (2, *SIZE, 3))
    maps = keras.Model(model.inputs[0], model.get_layer("group_attention").input[1])
    pixels = images * np.array([0.01, 0.02, 0.03]) + np.array([-1, 0, 1])
    np.testing.assert_allclose(
        maps.predict(images, verbose=0), backbone.predict(pixels, verbose=0), rtol=1e-3, atol=1e-4
    )


def test_the_architecture_of_a_preset_with_random_weights(preset):
    folder, backbone = preset
    chosen = {"library": "keras_hub", "preset": str(folder), "load_weights": False}
    kernel = build_model(_recipe(chosen)).get_layer("conv1_conv").kernel
    assert kernel.shape == backbone.get_layer("conv1_conv").kernel.shape
    assert abs(kernel - backbone.get_layer("conv1_conv").kernel).numpy().max() > 0.01


def test_a_preset_without_preprocessing_is_reported(tmp_path, caplog):
    library_backbone(RESNET).save_to_preset(str(tmp_path))
    with caplog.at_level(logging.WARNING):
        model = build_model(_recipe({"library": "keras_hub", "preset": str(tmp_path)}))
    assert "has no image converter: pixels are normalised with ImageNet's" in caplog.text
    assert model.get_layer("normalization").offset[0] == pytest.approx(-0.485 / 0.229)


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_a_network_on_a_preset_trains_and_is_saved_in_float32(preset, precision, tmp_path):
    folder, _ = preset
    content = _content({"library": "keras_hub", "preset": str(folder)})
    content["training"]["precision"] = precision
    recipe = Recipe.model_validate(content)
    model = build_model(recipe)
    history = fit_model(model, recipe, batches(8), batches(16), tmp_path)
    assert np.isfinite(history["val_loss"]).all()
    loaded = load_model(tmp_path / "model.keras")
    assert loaded.dtype_policy.name == "float32"
    for one, other in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert loaded.get_layer("normalization").scale == [0.01, 0.02, 0.03]


def test_a_weights_file_initialises_a_class(tmp_path):
    backbone = library_backbone(MOBILENET)
    backbone.save_weights(tmp_path / "mobilenet.weights.h5")
    weights = str(tmp_path / "mobilenet.weights.h5")
    model = build_model(_recipe(_by_class(MOBILENET), weights=weights))
    np.testing.assert_array_equal(
        model.get_layer("Conv").kernel.numpy(), backbone.get_layer("Conv").kernel.numpy()
    )
    with pytest.raises(InputError, match=r"mobilenet\.weights\.h5: not a weights file of this"):
        build_model(_recipe(_by_class(RESNET), weights=weights))


def test_training_starts_from_a_network_with_layers_that_keras_named(tmp_path):
    first = build_model(_recipe(_by_class(MOBILENET)))
    first.save(tmp_path / "first.keras")
    second = build_model(_recipe(_by_class(MOBILENET), start_from=str(tmp_path / "first.keras")))
    names = [[weight.path for weight in each.weights] for each in (first, second)]
    assert names[0] != names[1]
    for one, other in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_image_size_of_a_recipe_is_that_of_a_vision_transformer():
    model = build_model(_recipe(_by_class("keras_hub.DINOV3Backbone")))
    assert model.get_layer("group_fusion").input[-1].shape[1:3] == (SIZE[0] // 8, SIZE[1] // 8)


def test_a_recipe_is_written_and_read_back(tmp_path):
    recipe = _recipe(_by_class(RESNET))
    write_recipe(recipe, tmp_path / "mine.yaml")
    assert read_recipe(tmp_path / "mine.yaml")[0] == recipe


def test_a_comparison_of_backbones():
    content = _content("mobilenetv3_small")
    del content["training"]["seed"]
    comparison = ComparisonRecipe.model_validate(
        {
            **content,
            "variants": {"named": {}, "hub": {"model": {"backbone": _by_class(RESNET)}}},
            "seeds": [0],
            "against": ["named"],
        }
    )
    names = [build_model(comparison.recipe(each, 0)).layers[3].name for each in ("named", "hub")]
    assert names[0] != names[1]


@pytest.mark.parametrize(
    ("backbone", "model", "message"),
    [
        ({"library": "timm", "preset": "x"}, {}, r"model\.backbone\.library: .*got 'timm'"),
        ({"library": "keras_hub"}, {}, r"model\.backbone: set either preset or class_name"),
        (
            {"library": "keras_hub", "preset": "x", "class_name": "Y"},
            {},
            r"model\.backbone: set either preset or class_name",
        ),
        (
            {"library": "keras_cv", "preset": "mobilenet_v3_small_imagenet"},
            {},
            "presets of keras_cv can't be used",
        ),
        (
            {"library": "keras_hub", "preset": "x", "arguments": {"a": 1}},
            {},
            "arguments belong to class_name",
        ),
        (
            {"library": "keras_hub", "class_name": "Y", "load_weights": False},
            {},
            "load_weights belongs to preset",
        ),
        (
            {"library": "keras_hub", "class_name": "os.system"},
            {},
            r"model\.backbone\.class_name: .*pattern",
        ),
        (
            {"library": "keras_hub", "preset": "x", "pretrained": True},
            {},
            r"model\.backbone\.pretrained: there is no such key",
        ),
        ({"library": "keras_hub", "preset": "x"}, {"weights": "a.h5"}, "includes its weights"),
        (_by_class(RESNET), {"weights": "imagenet"}, "imagenet is for the backbones with a name"),
        (["resnet50"], {}, r"model\.backbone: .*'resnet50'"),
    ],
)
def test_invalid_backbones_are_reported_with_file_and_key(backbone, model, message, tmp_path):
    import yaml

    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(_content(backbone, **model)))
    with pytest.raises(InputError, match=rf"mine\.yaml: .*{message}"):
        read_recipe(tmp_path / "mine.yaml")


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        ({"library": "keras_hub", "preset": "presets/nowhere"}, "there is no such preset folder"),
        (
            {"library": "keras_hub", "preset": "resnet_of_nobody"},
            "resnet_of_nobody: this preset can't be loaded .* Unknown preset identifier",
        ),
        (
            {"library": "keras_hub", "class_name": "ResNet"},
            "keras_hub.models has no backbone class 'ResNet'",
        ),
        (
            {"library": "keras_cv", "class_name": "MobileNetV3SmallBackbone"},
            "is a preset that KerasCV downloads; use its class MobileNetV3Backbone with arguments",
        ),
        (
            _by_class(RESNET, stackwise_num_blocks=[1]),
            "ResNetBackbone can't be built with these arguments",
        ),
        (
            {**_by_class(RESNET), "arguments": {**ARGUMENTS[RESNET], "depth": 3}},
            r"ResNetBackbone has no argument 'depth'; .* arguments are input_conv_filters,",
        ),
        (
            {**_by_class(RESNET), "arguments": {**ARGUMENTS[RESNET], "image_shape": [64, 64, 3]}},
            r"built for images of the shape \(64, 64, 3\), but input_shape is \(32, 40, 3\)",
        ),
        (_by_class("keras_hub.DINOV2Backbone"), "height and width to be the same"),
    ],
)
def test_backbones_that_cannot_be_built_raise_input_error(backbone, message):
    with pytest.raises(InputError, match=message):
        build_model(_recipe(backbone))


def test_a_preset_that_cannot_be_downloaded_raises_input_error(monkeypatch):
    def offline(preset, *arguments, **keywords):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(keras_hub.models.Backbone, "from_preset", offline)
    with pytest.raises(InputError, match=r"hf://me/mine: .* KerasHub reports: no route to host\."):
        build_model(_recipe({"library": "keras_hub", "preset": "hf://me/mine"}))


def test_a_missing_library_is_reported_before_anything_is_read(monkeypatch):
    recipe = _recipe(_by_class(RESNET))
    refuse_missing_files(recipe, "mine.yaml")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    message = r"mine\.yaml: model\.backbone\.library: keras_hub is not installed; .*\[keras-hub\]'"
    with pytest.raises(InputError, match=message):
        refuse_missing_files(recipe, "mine.yaml")
    assert set(backbone_libraries.LIBRARIES) == {"keras_hub", "keras_cv"}


def test_neither_library_is_imported_unless_asked_for():
    import subprocess
    import sys

    program = (
        "import sys\n"
        "from keras_faramtn import FARAMTN\n"
        "from keras_faramtn.experiments.trainer import build_model\n"
        "FARAMTN('mobilenetv3_small', input_shape=(32, 32, 3))\n"
        "assert not {'keras_hub', 'keras_cv'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
