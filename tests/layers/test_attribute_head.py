import keras
import numpy as np
import pytest
from harness import check_layer

from keras_faramtn.layers import AttributeHead


def _features():
    return np.random.default_rng(0).normal(size=(3, 7)).astype("float32")


def test_passes_the_harness(tmp_path):
    check_layer(AttributeHead(["Smiling", "Big_Lips"], [31, 6]), _features(), folder=tmp_path)


def test_is_an_affine_map():
    head = AttributeHead(["Smiling", "Big_Lips"], [31, 6])
    logits = keras.ops.convert_to_numpy(head(_features()))
    kernel, bias = head.get_weights()
    np.testing.assert_allclose(logits, _features() @ kernel + bias, rtol=1e-5, atol=1e-6)


def test_the_config_contains_names_and_positions():
    head = AttributeHead(["Smiling", "Big_Lips"], [31, 6], name="mouth")
    copy = AttributeHead.from_config(head.get_config())
    assert copy.name == "mouth"
    assert (copy.attributes, copy.positions) == (("Smiling", "Big_Lips"), (31, 6))
    assert copy.compute_output_shape((None, 7)) == (None, 2)
    assert copy.thresholds is None


def test_thresholds_may_be_set_later_and_are_in_the_config():
    head = AttributeHead(["Smiling", "Big_Lips"], [31, 6], thresholds=[0, 1])
    assert AttributeHead.from_config(head.get_config()).thresholds == (0.0, 1.0)
    head.thresholds = np.array([0.25, 0.5])
    assert AttributeHead.from_config(head.get_config()).thresholds == (0.25, 0.5)
    for wrong, message in [([0.5], "2 attributes and 1 thresholds"), ([0.5, 1.5], "in 0..1")]:
        with pytest.raises(ValueError, match=message):
            head.thresholds = wrong
    assert head.thresholds == (0.25, 0.5)


@pytest.mark.parametrize(
    ("attributes", "positions", "message"),
    [
        (["a", "b"], [0], "2 attributes and 1 positions"),
        ("Smiling", [0], "attributes must be a list of names; got the string 'Smiling'"),
        ([], [], "attributes must contain at least one name"),
        (["a", "a"], [0, 1], "attributes contains 'a' more than once"),
        (["a", 3], [0, 1], "attributes must contain names only; got 3"),
        (["a", "b"], [1, 1], r"positions must be different integers from 0; got \(1, 1\)"),
        (["a", "b"], [0, -1], r"positions must be different integers from 0; got \(0, -1\)"),
        (["a", "b"], [0, 1.5], r"positions must be different integers from 0; got \(0, 1.5\)"),
    ],
)
def test_invalid_arguments_raise_value_error(attributes, positions, message):
    with pytest.raises(ValueError, match=message):
        AttributeHead(attributes, positions)
