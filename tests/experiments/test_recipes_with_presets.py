"""Recipes of the package that name a preset: with the preset's architecture and random weights."""

import keras_hub
import numpy as np
import pytest
from keras_hub.src.utils.timm import convert_efficientnet
from keras_hub.src.utils.transformers import convert_dinov3

from keras_faramtn.experiments.recipe import LibraryBackbone, packaged_recipes, read_recipe
from keras_faramtn.experiments.trainer import build_model
from keras_faramtn.synthetic.faces import draw_faces

# config.json of facebook/dinov3-vits16-pretrain-lvd1689m
DINOV3_VITS16 = {
    "image_size": 224,
    "rope_theta": 100.0,
    "patch_size": 16,
    "num_hidden_layers": 12,
    "hidden_size": 384,
    "num_attention_heads": 6,
    "intermediate_size": 1536,
    "layerscale_value": 1.0,
    "num_register_tokens": 4,
    "hidden_act": "gelu",
    "use_gated_mlp": False,
    "query_bias": True,
    "key_bias": False,
    "value_bias": True,
    "proj_bias": True,
    "mlp_bias": True,
    "attention_dropout": 0.0,
    "drop_path_rate": 0.0,
    "layer_norm_eps": 1e-5,
}

# For each preset its class, configuration and image converter.
PRESETS = {
    "dinov3_vit_small_lvd1689m": (
        keras_hub.models.DINOV3Backbone,
        convert_dinov3.convert_backbone_config(DINOV3_VITS16),
        keras_hub.layers.DINOV3ImageConverter,
    ),
    "efficientnet_lite0_ra_imagenet": (
        keras_hub.models.EfficientNetBackbone,
        convert_efficientnet.convert_backbone_config({"architecture": "efficientnet_lite0"}),
        keras_hub.layers.EfficientNetImageConverter,
    ),
}


def _preset_of(path):
    backbone = read_recipe(path)[0].model.backbone
    return backbone.preset if isinstance(backbone, LibraryBackbone) else None


RECIPES = {
    name: _preset_of(path)
    for name, path in packaged_recipes().items()
    if not name.endswith("_comparison") and _preset_of(path)
}


@pytest.fixture
def preset_here(name, tmp_path, monkeypatch):
    """The preset of the recipe is a folder with random weights; nothing is downloaded."""
    folder = str(tmp_path / RECIPES[name])
    kind, config, converter = PRESETS[RECIPES[name]]
    kind(**config).save_to_preset(folder)
    converter(image_size=(224, 224), scale=[0.02, 0.03, 0.04], offset=[-2, 0, 2]).save_to_preset(
        folder
    )
    for kind in (keras_hub.models.Backbone, keras_hub.layers.ImageConverter):
        original = kind.from_preset.__func__
        monkeypatch.setattr(
            kind,
            "from_preset",
            classmethod(
                lambda cls, preset, *arguments, original=original, **options: original(
                    cls, str(tmp_path / preset), *arguments, **options
                )
            ),
        )


def test_the_presets_are_those_of_keras_hub():
    assert set(RECIPES.values()) == set(PRESETS)
    for name, (kind, config, _) in PRESETS.items():
        parameters = kind.presets[name]["metadata"]["params"]
        # KerasHub counts EfficientNet's classifier and rounds DINOv3's number.
        classifier = 1000 * 1281 if "efficientnet" in name else 0
        assert kind(**config).count_params() + classifier == pytest.approx(parameters, rel=0.02)


@pytest.mark.parametrize("name", RECIPES)
def test_the_network_of_a_recipe_is_built_and_predicts(name, preset_here):
    recipe, _ = read_recipe(name)
    model = build_model(recipe)
    assert model.get_layer("normalization").scale == [0.02, 0.03, 0.04]
    images = draw_faces(2, recipe.data.image_size)
    logits = model(images)
    assert list(logits) == list(recipe.model.attribute_groups())
    assert all(np.isfinite(each).all() for each in logits.values())
