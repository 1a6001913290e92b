import keras
import numpy as np
import pytest

from keras_faramtn.layers import AttributeHead, AttributeProbabilities


def test_head_is_an_affine_map_that_keeps_its_names():
    features = np.random.default_rng(0).normal(size=(5, 7)).astype("float32")
    head = AttributeHead(["Smiling", "Big_Lips"], [31, 6], name="mouth")
    logits = keras.ops.convert_to_numpy(head(features))
    kernel, bias = head.get_weights()
    np.testing.assert_allclose(logits, features @ kernel + bias, rtol=1e-5, atol=1e-6)
    copy = AttributeHead.from_config(head.get_config())
    assert (copy.attributes, copy.positions) == (("Smiling", "Big_Lips"), (31, 6))
    assert copy.compute_output_shape((None, 7)) == (None, 2)


def test_head_refuses_attributes_without_positions():
    with pytest.raises(ValueError, match="2 attributes and 1 positions"):
        AttributeHead(["a", "b"], [0])


def test_probabilities_are_the_sigmoid_in_canonical_order():
    rng = np.random.default_rng(2)
    positions = {"b": [4, 0], "a": [1], "c": [3, 2]}
    logits = {
        g: rng.normal(size=(3, len(p)), scale=4).astype("float32") for g, p in positions.items()
    }
    probabilities = keras.ops.convert_to_numpy(AttributeProbabilities(positions)(logits))
    assert probabilities.shape == (3, 5)
    for group, places in positions.items():
        for column, place in enumerate(places):
            expected = 1 / (1 + np.exp(-logits[group][:, column].astype("float64")))
            np.testing.assert_allclose(probabilities[:, place], expected, rtol=1e-5)


def test_probabilities_config_round_trip_and_shape():
    layer = AttributeProbabilities({"x": [2, 0], "y": [1]})
    copy = AttributeProbabilities.from_config(layer.get_config())
    assert copy.positions == {"x": (2, 0), "y": (1,)}
    assert copy.compute_output_shape({"x": (None, 2), "y": (None, 1)}) == (None, 3)


def test_probabilities_refuse_positions_with_a_gap():
    with pytest.raises(ValueError, match="from 0 to 1 once"):
        AttributeProbabilities({"x": [0], "y": [2]})
