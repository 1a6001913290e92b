"""Networks on backbones of KerasHub and KerasCV, compared with the backbones themselves."""

import importlib.util
import shutil

import keras
import numpy as np
import pytest
import small_network
from harness import GROUPS
from harness import _run_on as run_on
from library_backbones import ARGUMENTS, SIZE, library_backbone, make_sensitive, size_of

from keras_faramtn.callbacks.checkpoint import CHECKPOINT_FILE, Checkpoint
from keras_faramtn.errors import InputError
from keras_faramtn.experiments import trainer
from keras_faramtn.experiments.recipe import Recipe
from keras_faramtn.explanations.evidence import explain
from keras_faramtn.export.gpu_check import _unsupported_operations as unsupported_operations
from keras_faramtn.export.onnx import run_onnx, write_onnx
from keras_faramtn.export.saved_model import run_saved_model, write_saved_model
from keras_faramtn.export.tflite import run_tflite, write_tflite
from keras_faramtn.models import (
    BACKBONES,
    FARAMTN,
    MultiLabel,
    MultiTask,
    inference_model,
    load_model,
)
from keras_faramtn.models.high_level import last_block_input
from keras_faramtn.models.library_backbones import _normalised
from keras_faramtn.synthetic.faces import draw_faces

RESNET, DINO, MOBILENET = (
    "keras_hub.ResNetBackbone",
    "keras_hub.DINOV3Backbone",
    "keras_cv.MobileNetV3Backbone",
)
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


class Family:
    """A network on a backbone, and the backbone's own outputs for the same images."""

    def __init__(self, name):
        keras.utils.set_random_seed(0)
        self.name, self.size = name, size_of(name)
        self.backbone = library_backbone(name)
        self.network = FARAMTN(self.backbone, GROUPS, (*self.size, 3))
        make_sensitive(self.network)
        self.images = draw_faces(3, self.size)
        self.transformer = "DINO" in name

    def maps(self):
        """The trunk, X and f(X) in the network."""
        inputs = self.network.get_layer("group_attention").input
        trunk = self.network.get_layer("group_fusion").input[-1]
        return _call(keras.Model(self.network.inputs[0], [trunk, *inputs]), self.images)

    def normalised(self):
        if self.name.startswith("keras_hub"):
            return (self.images / 255 - MEAN) / DEVIATION
        return self.images if self.backbone.include_rescaling else self.images / 255


def _call(model, images):
    """The model's outputs without a graph, whose tracing takes seconds."""
    outputs = model(images.astype("float32"), training=False)
    return keras.tree.map_structure(np.asarray, outputs)


@pytest.fixture(scope="module", params=ARGUMENTS)
def family(request):
    return Family(request.param)


@pytest.mark.parametrize("name", BACKBONES)
def test_the_last_block_is_found_where_the_named_backbones_are_cut(name):
    cut = BACKBONES[name]
    build = getattr(keras.applications, cut.application)
    network = build(include_top=False, weights=None, input_shape=(64, 96, 3))
    found = last_block_input(network.get_layer(cut.trunk).output, network.output)
    assert found is network.get_layer(cut.shared).output


def test_without_a_point_that_all_paths_pass_the_whole_high_level_is_f():
    trunk = keras.Input((8, 8, 4))
    x = keras.layers.Conv2D(4, 3, padding="same")(trunk)
    for _ in range(3):
        x = keras.layers.Conv2D(4, 3, padding="same")(x)
        x = keras.layers.Add()([trunk, x])
    assert last_block_input(trunk, x) is trunk


def test_the_maps_are_those_of_the_backbone(family):
    trunk, shared, transformed = family.maps()
    height, width = family.size
    own = _call(family.backbone, family.normalised())
    if family.transformer:
        own = own[:, 3:].reshape(3, height // 8, width // 8, 16)  # 1 class token, 2 registers
        assert trunk.shape == shared.shape == own.shape
        np.testing.assert_array_equal(trunk, shared)
        assert abs(shared - transformed).max() > 0.01
    else:
        assert trunk.shape[1:3] == (height // 16, width // 16)
        assert shared.shape[1:3] == transformed.shape[1:3] == (height // 32, width // 32)
    np.testing.assert_allclose(transformed, own, rtol=1e-3, atol=1e-3 * abs(own).max())


def test_the_split_adds_no_parameters(family):
    plain = FARAMTN(family.backbone, GROUPS, (*family.size, 3), attention=False, fusion=False)
    channels = family.network.get_layer("group_attention").input[1].shape[-1]
    heads = (channels + 1) * len(GROUPS.attributes)
    assert plain.count_params() == family.backbone.count_params() + heads


def test_an_image_converter_becomes_part_of_the_model():
    converter = keras.layers.Rescaling([0.5, 1.0, 2.0], [0.0, -3.0, 7.0])
    backbone = library_backbone(RESNET)
    network = FARAMTN(backbone, GROUPS, (*SIZE, 3), image_converter=converter)
    images = draw_faces(2, SIZE)
    transformed = network.get_layer("group_attention").input[1]
    actual = _call(keras.Model(network.inputs[0], transformed), images)
    own = _call(backbone, images * np.array([0.5, 1, 2]) + np.array([0, -3, 7]))
    np.testing.assert_allclose(actual, own, rtol=1e-4, atol=1e-4 * abs(own).max())


@pytest.mark.parametrize("family", ["ResNet", "EfficientNet", "MobileNet", "DINOV2", "DINOV3"])
@pytest.mark.parametrize(
    "arguments",
    [
        {"scale": [0.01, 0.02, 0.03], "offset": [-1.0, 0.0, 1.0]},
        {"scale": 1 / 127.5, "offset": -1},
        {"scale": 1 / 255},
        {},
        # The form of presets that were saved by early versions of KerasHub.
        {"mean": [0.5, 0.4, 0.3], "variance": [0.04, 0.05, 0.06], "scale": 1 / 255},
    ],
)
def test_pixels_are_normalised_as_by_the_image_converter(family, arguments):
    import keras_hub

    converter = getattr(keras_hub.layers, f"{family}ImageConverter")(**arguments)
    images = draw_faces(2, SIZE)
    pixels = keras.Input((*SIZE, 3))
    network = keras.Model(pixels, _normalised(None, pixels, converter))
    expected = np.asarray(converter(images))
    np.testing.assert_allclose(_call(network, images), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", [RESNET, MOBILENET, "keras_hub.EfficientNetBackbone"])
def test_every_high_level_of_multi_task_starts_from_the_backbones_weights(name):
    backbone = library_backbone(name)
    network = MultiTask(backbone, GROUPS, (*SIZE, 3))
    images = draw_faces(2, SIZE)
    pixels = images if name == MOBILENET else (images / 255 - MEAN) / DEVIATION
    own = _call(backbone, pixels).mean(axis=(1, 2))
    features = [network.get_layer(group).input for group in GROUPS]
    for feature in _call(keras.Model(network.inputs[0], features), images):
        np.testing.assert_allclose(feature, own, rtol=1e-3, atol=1e-4 * abs(own).max())
    branches = [network.get_layer(f"{group}_high_level") for group in GROUPS]
    assert len({id(each.weights[0]) for each in branches}) == len(GROUPS)


def test_a_vision_transformer_without_the_outputs_of_its_blocks():
    import keras_hub

    backbone = keras_hub.models.ViTBackbone((*SIZE, 3), 16, 1, 2, 8, 16)
    network = MultiLabel(backbone, GROUPS.attributes, (*SIZE, 3))
    images = draw_faces(2, SIZE)
    own = _call(backbone, (images / 255 - MEAN) / DEVIATION)[:, 1:].mean(axis=1)
    feature = network.get_layer("attributes").input
    actual = _call(keras.Model(network.inputs[0], feature), images)
    np.testing.assert_allclose(actual, own, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", [RESNET, DINO, MOBILENET])
def test_mixed_precision(name):
    keras.utils.set_random_seed(0)
    expected = FARAMTN(library_backbone(name), GROUPS, (*SIZE, 3))
    make_sensitive(expected)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        network = FARAMTN(library_backbone(name), GROUPS, (*SIZE, 3))
    finally:
        keras.config.set_dtype_policy("float32")
    network.set_weights(expected.get_weights())
    images = draw_faces(2, SIZE)
    outputs = _call(network, images)
    for group, logits in _call(expected, images).items():
        actual = outputs[group]
        assert actual.dtype == "float32"
        np.testing.assert_allclose(actual, logits, atol=0.03 * abs(logits).max())


def _without_levels():
    return keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(4, 3)])


def _dark_net():
    import keras_cv

    return keras_cv.models.CSPDarkNetBackbone(
        stackwise_channels=[8] * 4, stackwise_depth=[1] * 4, include_rescaling=True
    )


def _mit():
    import keras_hub

    return keras_hub.models.MiTBackbone(
        image_shape=(32, 32, 3),
        layerwise_depths=[1, 1],
        num_layers=2,
        layerwise_num_heads=[1, 1],
        layerwise_sr_ratios=[2, 1],
        max_drop_path_rate=0.0,
        layerwise_patch_sizes=[7, 3],
        layerwise_strides=[4, 2],
        hidden_dims=[8, 8],
    )


def _classifier():
    import keras_hub

    return keras_hub.models.ResNetImageClassifier(library_backbone(RESNET), num_classes=2)


def _one_level():
    backbone = library_backbone(RESNET)
    backbone.pyramid_outputs = {"P5": backbone.pyramid_outputs["P5"]}
    return backbone


@pytest.mark.parametrize(
    ("network", "build", "arguments", "message"),
    [
        (FARAMTN, _without_levels, {}, "backbone Sequential has no levels of feature maps"),
        (FARAMTN, _dark_net, {}, "CSPDarkNetBackbone contains layers that Keras can't"),
        (FARAMTN, _mit, {}, "MiTBackbone contains layers that Keras can't load again"),
        (FARAMTN, _classifier, {}, "ImageClassifier .* pass the backbone in it, its attribute"),
        (FARAMTN, _one_level, {}, "ResNetBackbone has no feature map that is finer than its"),
        (
            FARAMTN,
            lambda: library_backbone(DINO),
            {"input_shape": (64, 64, 3)},
            r"built for images of the shape \(32, 64, 3\), but input_shape is \(64, 64, 3\)",
        ),
        (MultiTask, lambda: library_backbone(DINO), {}, "can't use a vision transformer"),
        (
            FARAMTN,
            lambda: library_backbone(RESNET),
            {"weights": "imagenet"},
            "weights must be None for a backbone object",
        ),
        (
            FARAMTN,
            lambda: library_backbone(RESNET),
            {"image_converter": 255},
            "image_converter must have a scale and an offset.*; got 255",
        ),
        (
            MultiLabel,
            lambda: "mobilenetv3_small",
            {"image_converter": keras.layers.Rescaling(1)},
            "'mobilenetv3_small' has its own normalisation",
        ),
    ],
)
def test_unsuitable_backbones_and_arguments_raise_input_error(network, build, arguments, message):
    with pytest.raises(InputError, match=message):
        network(build(), **{"input_shape": (*SIZE, 3), **arguments})


@pytest.fixture(scope="module")
def saved(family, tmp_path_factory):
    """The folder of a family's `model.keras`, and its probabilities of the images."""
    folder = tmp_path_factory.mktemp("saved")
    family.network.save(folder / "model.keras")
    return folder, _call(inference_model(family.network), family.images)


def test_a_saved_network_is_loaded_unchanged(family, saved):
    folder, expected = saved
    loaded = load_model(folder / "model.keras")
    assert abs(expected - expected.mean(axis=0)).max() > 0.01  # the images differ
    np.testing.assert_array_equal(_call(inference_model(loaded), family.images), expected)


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="needs JAX")
def test_jax_predicts_the_same(family, saved):
    folder, expected = saved
    np.savez(folder / "inputs.npz", family.images.astype("float32"))
    np.savez(folder / "targets.npz")
    np.savez(folder / "outputs.npz")
    run_on("jax", folder)
    with np.load(folder / "outputs.npz") as outputs:
        actual = [outputs[name] for name in outputs.files]
    groups = list(family.network.output_names)
    probabilities = np.zeros_like(expected)
    for group, logits in zip(groups, actual, strict=True):
        probabilities[:, GROUPS.positions(group)] = 1 / (1 + np.exp(-logits))
    np.testing.assert_allclose(probabilities, expected, atol=1e-4)


# The operations that Android's GPU delegate lacks: KerasHub's transformers slice three dimensions.
UNSUPPORTED = {name: ("STRIDED_SLICE",) if "DINO" in name else () for name in ARGUMENTS}


# One family each, as conversion takes seconds. DINOv3 has what tf2onnx doesn't know: the exact
# GELU, and tensors that its layers contain.
FORMATS = {
    DINO: [(write_onnx, run_onnx)],
    MOBILENET: [(write_saved_model, run_saved_model)],
}


def test_exported_files_predict_the_same(family, saved, tmp_path):
    model = inference_model(family.network)
    for write, run in [(write_tflite, run_tflite), *FORMATS.get(family.name, [])]:
        path = tmp_path / write.__name__
        write(model, path)
        actual = run(path, family.images.astype("float32"))
        np.testing.assert_allclose(actual, saved[1], atol=1e-4)
    assert unsupported_operations(tmp_path / "write_tflite") == UNSUPPORTED[family.name]


def test_the_evidence_of_an_explanation_sums_to_the_logits(family):
    explanation = explain(family.network, family.images, ["smile", "young"])
    stride = 8 if family.transformer else 32
    assert explanation.high_level.shape[2:] == tuple(size // stride for size in family.size)
    total = explanation.bias + explanation.evidence.sum(axis=(2, 3))
    np.testing.assert_allclose(total, explanation.logits, atol=1e-3)


def test_a_missing_library_is_named(tmp_path, monkeypatch):
    MultiLabel(library_backbone(MOBILENET), ["Smiling"], (*SIZE, 3)).save(tmp_path / "model.keras")
    monkeypatch.setattr(keras.saving, "load_model", _fail)
    assert "missing" in _loading_error(tmp_path)
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "keras_cv" else find(name)
    )
    assert "keras_cv is not installed; install it with: pip install" in _loading_error(tmp_path)


def _fail(*arguments, **keywords):
    raise TypeError("a module is missing")


def _loading_error(folder):
    with pytest.raises(InputError) as error:
        load_model(folder / "model.keras")
    return str(error.value)


@pytest.mark.parametrize("name", [name for name in ARGUMENTS if name != "keras_hub.DINOV2Backbone"])
def test_a_resumed_run_is_identical_to_an_uninterrupted_one(name, tmp_path, monkeypatch):
    # Without a graph, whose tracing takes longer than these two epochs.
    monkeypatch.setattr(trainer, "_jit_compile", lambda training: {"run_eagerly": True})
    library, _, class_name = name.partition(".")
    arguments = {key: each for key, each in ARGUMENTS[name].items() if key != "image_shape"}
    content = small_network.recipe(epochs=2, batch_size=8).model_dump(mode="json")
    content["model"]["backbone"] = {
        "library": library,
        "class_name": class_name,
        "arguments": arguments,
    }
    recipe = Recipe.model_validate(content)

    def train(folder):
        model = trainer.build_model(recipe)
        training = small_network.batches(8).take(1)
        return trainer.fit_model(model, recipe, training, training.take(1), folder), model

    whole, interrupted = tmp_path / "whole", tmp_path / "interrupted"
    whole.mkdir()
    interrupted.mkdir()
    write = Checkpoint._write

    def keep_after_first_epoch(checkpoint, epochs_done=0):
        write(checkpoint, epochs_done)
        if epochs_done == 1:
            shutil.copy(whole / CHECKPOINT_FILE, interrupted)

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "_write", keep_after_first_epoch)
        history, model = train(whole)
    assert np.isfinite(history["loss"]).all()
    resumed, other = train(interrupted)
    assert resumed == history
    for one, same in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, same)
