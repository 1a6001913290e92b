import keras
import numpy as np
import pytest
from harness import GROUPS

from keras_faramtn.attributes import CELEBA_ATTRIBUTES, GROUPINGS, MCNN_AUX, AttributeGroups
from keras_faramtn.errors import InputError
from keras_faramtn.models import FARAMTN, MultiLabel, MultiTask, groups_of, inference_model
from keras_faramtn.models.heads import check_trainable

SMALL = "mobilenetv3_small"
SHAPE = (64, 96, 3)


def _images(batch=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (batch, *SHAPE), dtype="uint8")


def _call(model):
    """The outputs for the images; `predict` would trace a graph, which takes seconds."""
    return keras.tree.map_structure(np.asarray, model(_images(), training=False))


def _sigmoid(logits):
    return 1 / (1 + np.exp(-logits.astype("float64")))


@pytest.mark.parametrize("network", [FARAMTN, MultiTask])
def test_one_output_per_group_and_probabilities_in_canonical_order(network):
    model = network(SMALL, MCNN_AUX, SHAPE)
    logits = _call(model)
    probabilities = _call(inference_model(model))
    assert probabilities.shape == (3, 40)
    assert probabilities.dtype == "float32"
    assert set(logits) == set(MCNN_AUX)
    for group, attributes in MCNN_AUX.items():
        for column, attribute in enumerate(attributes):
            np.testing.assert_allclose(
                probabilities[:, CELEBA_ATTRIBUTES.index(attribute)],
                _sigmoid(logits[group][:, column]),
                atol=1e-6,
            )


@pytest.mark.filterwarnings("error:The structure of `inputs` doesn't match")
def test_an_inference_model_takes_a_tensor_without_a_warning():
    assert _call(inference_model(FARAMTN(SMALL, GROUPS, SHAPE))).shape == (3, 4)


def test_multi_label_keeps_the_canonical_order():
    model = MultiLabel(SMALL, input_shape=SHAPE)
    logits = _call(model)["attributes"]
    probabilities = _call(inference_model(model))
    np.testing.assert_allclose(probabilities, _sigmoid(logits), atol=1e-6)


@pytest.mark.parametrize("network", [FARAMTN, MultiTask])
def test_groups_of_returns_the_groups_in_order(network):
    model = network(SMALL, GROUPS, SHAPE)
    for each in (model, inference_model(model)):
        assert groups_of(each) == GROUPS
        assert list(groups_of(each)) == ["eyes", "age", "mouth"]
        assert groups_of(each).attributes == ("young", "smile", "glasses", "closed")
    assert inference_model(model).output_shape == (None, 4)


def test_groups_of_a_model_of_another_package_raises_input_error():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(40)])
    with pytest.raises(InputError, match="no attribute heads"):
        groups_of(model)


def test_inference_model_of_an_inference_model_is_the_same():
    model = inference_model(FARAMTN(SMALL, GROUPS, SHAPE))
    assert inference_model(model) is model


def test_an_inference_model_is_not_trainable():
    model = FARAMTN(SMALL, GROUPS, SHAPE)
    check_trainable(model)
    with pytest.raises(InputError, match="'faramtn_inference' predicts probabilities"):
        check_trainable(inference_model(model))


@pytest.mark.parametrize("network", [FARAMTN, MultiTask, MultiLabel])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dropout": 1.0}, r"at least 0 and below 1; got 1\.0"),
        ({"dropout": -0.1}, r"at least 0 and below 1; got -0\.1"),
        ({"dropout": float("nan")}, "at least 0 and below 1; got nan"),
        ({"dropout": "half"}, "at least 0 and below 1; got 'half'"),
        ({"name": "faces/small"}, "'faces/small' can't be the name of a Keras model"),
        ({"name": "my model"}, "'my model' can't be the name of a Keras model"),
        ({"name": ""}, "'' can't be the name of a Keras model"),
        ({"name": 3}, "3 can't be the name of a Keras model"),
    ],
)
def test_invalid_arguments_raise_input_error(network, arguments, message):
    with pytest.raises(InputError, match=message):
        network(**{"backbone": SMALL, "input_shape": SHAPE, **arguments})


@pytest.mark.parametrize("network", [FARAMTN, MultiTask])
@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ("face_regions", r"got 'face_regions' of type str\. Use GROUPINGS\['face_regions'\]"),
        ("regions", r"got 'regions' of type str\. Use AttributeGroups\("),
        ({"mouth": ["Smiling"]}, r"of type dict\. Use AttributeGroups\("),
        (None, r"got None of type NoneType\. Use AttributeGroups\("),
    ],
)
def test_groups_of_another_type_raise_input_error(network, groups, message):
    with pytest.raises(InputError, match=message):
        network(SMALL, groups, SHAPE)
    assert "face_regions" in GROUPINGS  # the remedy above exists


@pytest.mark.parametrize("group", ["conv_1", "images", "probabilities"])
def test_a_group_named_like_a_layer_raises_input_error(group):
    groups = AttributeGroups({group: ["a"]}, attributes=["a"])
    with pytest.raises(InputError, match=f"'{group}' has the name of a layer"):
        FARAMTN(SMALL, groups, SHAPE)


@pytest.mark.parametrize("network", [FARAMTN, MultiTask, MultiLabel])
def test_dropout_applies_to_the_inputs_of_the_heads_in_training_only(network):
    plain = network(SMALL, input_shape=SHAPE)
    dropping = network(SMALL, input_shape=SHAPE, dropout=0.4)
    assert dropping.count_params() == plain.count_params()
    dropping.set_weights(plain.get_weights())
    images = np.random.default_rng(0).integers(0, 256, (3, *SHAPE), dtype="uint8")
    expected = plain(images)
    for group, logits in dropping(images).items():
        np.testing.assert_array_equal(logits, expected[group])
    # In training, the kept values of a head's input are scaled by 1 / 0.6; the others are 0.
    for group in groups_of(dropping):
        head = dropping.get_layer(group)
        feature = keras.Model(dropping.input, head.input)
        kept = np.asarray(keras.Model(plain.input, plain.get_layer(group).input)(images))
        dropped = np.asarray(dropping.get_layer(f"{group}_dropout")(kept, training=True))
        np.testing.assert_array_equal(feature(images), kept)
        zero = dropped == 0
        assert 0.3 < zero.mean() < 0.5
        np.testing.assert_allclose(dropped[~zero], kept[~zero] / 0.6, rtol=1e-5)
