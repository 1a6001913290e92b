import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_faramtn.attributes import CELEBA_ATTRIBUTES, FACE_REGIONS, MCNN_AUX, AttributeGroups
from keras_faramtn.errors import InputError
from keras_faramtn.layers import CGFF, WSGSA
from keras_faramtn.models import (
    BACKBONES,
    FARAMTN,
    MultiLabel,
    MultiTask,
    groups_of,
    inference_model,
)

SMALL = "mobilenetv3_small"
SHAPE = (64, 96, 3)


def _images(batch=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (batch, *SHAPE), dtype="uint8")


def _sigmoid(logits):
    return 1 / (1 + np.exp(-logits.astype("float64")))


def _convolution(size, inputs, outputs):
    return size * size * inputs * outputs + outputs


def _normalised(count, channels):
    return count + 4 * channels


def _bottleneck(inputs, inner, outputs, projected):
    """A residual block of keras.applications' ResNet50: biased convolutions, normalisation."""
    parameters = _normalised(_convolution(1, inputs, inner), inner)
    parameters += _normalised(_convolution(3, inner, inner), inner)
    parameters += _normalised(_convolution(1, inner, outputs), outputs)
    if projected:
        parameters += _normalised(_convolution(1, inputs, outputs), outputs)
    return parameters


def _stage(blocks, inputs, inner, outputs):
    first = _bottleneck(inputs, inner, outputs, projected=True)
    return first + (blocks - 1) * _bottleneck(outputs, inner, outputs, projected=False)


# He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, table 1, 50 layers.
TRUNK = (
    _normalised(_convolution(7, 3, 64), 64)
    + _stage(3, 64, 64, 256)
    + _stage(4, 256, 128, 512)
    + _stage(6, 512, 256, 1024)
)
CONV5 = _stage(3, 1024, 512, 2048)
HEADS = 2048 * 40 + 40


def test_parameters_of_the_plain_network():
    # Keras's own documentation gives 23,587,712 for ResNet50 without its top.
    assert TRUNK + CONV5 == 23_587_712
    assert MultiLabel("resnet50").count_params() == TRUNK + CONV5 + HEADS == 23_669_672


def test_parameters_of_the_traditional_network():
    assert MultiTask("resnet50").count_params() == TRUNK + 8 * CONV5 + HEADS
    assert MultiTask("resnet50", MCNN_AUX).count_params() == TRUNK + 9 * CONV5 + HEADS


def test_parameters_of_faramtn():
    gate = (2048 * 128 + 128) + (128 * 2048 + 2048)
    fusion = (2048 + 1024) * 64 + 3 * 64 * 64 + 8 * 64 + 64 * 2048
    assert FARAMTN("resnet50").count_params() == TRUNK + CONV5 + 8 * gate + fusion + HEADS
    plain = FARAMTN("resnet50", attention=False, fusion=False)
    assert plain.count_params() == TRUNK + CONV5 + HEADS


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_is_cut_at_stride_16_and_32(backbone):
    model = FARAMTN(backbone, input_shape=SHAPE)
    cut = BACKBONES[backbone]
    assert model.get_layer(cut.trunk).output.shape[1:3] == (64 // 16, 96 // 16)
    assert model.get_layer(cut.shared).output.shape[1:3] == (64 // 32, 96 // 32)
    probabilities = inference_model(model).predict(_images(), verbose=0)
    assert probabilities.shape == (3, 40)
    assert probabilities.dtype == "float32"
    assert ((probabilities > 0) & (probabilities < 1)).all()


@pytest.mark.parametrize("network", [FARAMTN, MultiTask])
def test_one_output_a_group_and_probabilities_in_canonical_order(network):
    model = network(SMALL, MCNN_AUX, SHAPE)
    logits = model.predict(_images(), verbose=0)
    probabilities = inference_model(model).predict(_images(), verbose=0)
    assert set(logits) == set(MCNN_AUX)
    for group, attributes in MCNN_AUX.items():
        for column, attribute in enumerate(attributes):
            np.testing.assert_allclose(
                probabilities[:, CELEBA_ATTRIBUTES.index(attribute)],
                _sigmoid(logits[group][:, column]),
                atol=1e-6,
            )


def test_plain_network_keeps_canonical_order():
    model = MultiLabel(SMALL, input_shape=SHAPE)
    logits = model.predict(_images(), verbose=0)["attributes"]
    probabilities = inference_model(model).predict(_images(), verbose=0)
    np.testing.assert_allclose(probabilities, _sigmoid(logits), atol=1e-6)


def test_float_and_byte_images_give_the_same():
    model = inference_model(FARAMTN(SMALL, input_shape=SHAPE))
    as_bytes = model.predict(_images(), verbose=0)
    as_floats = model.predict(_images().astype("float32"), verbose=0)
    np.testing.assert_array_equal(as_bytes, as_floats)


def test_any_grouping_of_any_attributes():
    groups = AttributeGroups(
        {"look": ["glasses", "hat"], "mood": ["happy"]}, attributes=["hat", "happy", "glasses"]
    )
    model = FARAMTN(SMALL, groups, SHAPE)
    assert groups_of(model) == groups
    assert inference_model(model).output_shape == (None, 3)


def test_switches_leave_their_part_out():
    def parts(**switches):
        model = FARAMTN(SMALL, input_shape=SHAPE, **switches)
        return {type(layer) for layer in model.layers} & {WSGSA, CGFF}

    assert parts() == {WSGSA, CGFF}
    assert parts(attention=False) == {CGFF}
    assert parts(fusion=False) == {WSGSA}
    assert parts(attention=False, fusion=False) == set()


@pytest.mark.parametrize("network", [FARAMTN, MultiTask, MultiLabel])
def test_dropout_is_before_the_heads_and_in_training_only(network):
    plain = network(SMALL, input_shape=SHAPE)
    dropping = network(SMALL, input_shape=SHAPE, dropout=0.4)
    assert dropping.count_params() == plain.count_params()
    dropping.set_weights(plain.get_weights())
    images = _images()
    whole = plain(images)
    for group, logits in dropping(images).items():
        np.testing.assert_array_equal(logits, whole[group])
    # The heads' inputs alone: kept values are larger by 1 / 0.6, the others are 0.
    for group in groups_of(dropping):
        head = dropping.get_layer(group)
        feature = keras.Model(dropping.input, head.input)
        kept = np.asarray(keras.Model(plain.input, plain.get_layer(group).input)(images))
        seen = np.asarray(dropping.get_layer(f"{group}_dropout")(kept, training=True))
        np.testing.assert_array_equal(feature(images), kept)
        zero = seen == 0
        assert 0.3 < zero.mean() < 0.5
        np.testing.assert_allclose(seen[~zero], kept[~zero] / 0.6, rtol=1e-5)


def test_saved_model_in_a_fresh_process_gives_the_same_and_knows_its_attributes(tmp_path):
    model = FARAMTN(SMALL, MCNN_AUX, SHAPE)
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "images.npy", _images())
    script = """
import sys, keras, numpy as np, keras_faramtn
folder = sys.argv[1]
model = keras.saving.load_model(folder + "/model.keras")
groups = keras_faramtn.groups_of(model)
assert groups == keras_faramtn.MCNN_AUX, groups
logits = model.predict(np.load(folder + "/images.npy"), verbose=0)
np.savez(folder + "/logits.npz", **logits)
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, capture_output=True)
    expected = model.predict(_images(), verbose=0)
    with np.load(tmp_path / "logits.npz") as logits:
        for group in MCNN_AUX:
            np.testing.assert_allclose(logits[group], expected[group], atol=1e-6)


def test_mixed_precision_gives_float32_logits_near_the_full_ones():
    full = FARAMTN(SMALL, input_shape=SHAPE)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        mixed = FARAMTN(SMALL, input_shape=SHAPE)
    finally:
        keras.config.set_dtype_policy("float32")
    mixed.set_weights(full.get_weights())
    mixed_logits = mixed.predict(_images(), verbose=0)
    for group, logits in full.predict(_images(), verbose=0).items():
        assert mixed_logits[group].dtype == "float32"
        np.testing.assert_allclose(mixed_logits[group], logits, atol=0.05)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backbone": "resnet51"}, "unknown backbone 'resnet51'; choose one of resnet50"),
        ({"input_shape": (64, 16, 3)}, r"32 or more; got \(64, 16, 3\)"),
        ({"input_shape": (64, 64, 1)}, r"got \(64, 64, 1\)"),
    ],
)
def test_refuses_what_it_cannot_build(arguments, message):
    with pytest.raises(InputError, match=message):
        FARAMTN(**{"backbone": SMALL, **arguments})


def test_refuses_a_group_named_like_a_layer():
    groups = AttributeGroups({"conv_1": ["a"]}, attributes=["a"])
    with pytest.raises(InputError, match="'conv_1' has the name of a layer"):
        FARAMTN(SMALL, groups, SHAPE)


def test_groups_of_a_foreign_model_is_an_error():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(40)])
    with pytest.raises(InputError, match="no attribute heads"):
        groups_of(model)


def test_grouping_defaults_to_face_regions():
    assert groups_of(FARAMTN(SMALL, input_shape=SHAPE)) == FACE_REGIONS
