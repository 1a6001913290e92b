import json

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
    assert (copy.thresholds, copy.temperatures) == (None, None)


def test_thresholds_may_be_set_later_and_are_in_the_config():
    head = AttributeHead(["Smiling", "Big_Lips"], [31, 6], thresholds=[0, 1])
    assert AttributeHead.from_config(head.get_config()).thresholds == (0.0, 1.0)
    head.thresholds = np.array([0.25, 0.5])
    assert AttributeHead.from_config(head.get_config()).thresholds == (0.25, 0.5)
    for wrong, message in [([0.5], "2 attributes and 1 thresholds"), ([0.5, 1.5], "in 0..1")]:
        with pytest.raises(ValueError, match=message):
            head.thresholds = wrong
    assert head.thresholds == (0.25, 0.5)


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16"])
@pytest.mark.parametrize("use_bias", [True, False])
def test_logits_are_divided_and_the_product_of_temperatures_is_in_the_config(dtype, use_bias):
    head = AttributeHead(
        ["Smiling", "Big_Lips"], [31, 6], bias_initializer="ones", use_bias=use_bias, dtype=dtype
    )
    before = keras.ops.convert_to_numpy(head(_features())).astype("float64")
    head.divide_logits([2, 0.5])
    head.divide_logits(np.array([1.5, 1.0]))
    after = keras.ops.convert_to_numpy(head(_features())).astype("float64")
    tolerance = 1e-6 if dtype == "float32" else 5e-3
    np.testing.assert_allclose(after, before / [3, 0.5], rtol=tolerance, atol=tolerance)
    assert head.temperatures == (3.0, 0.5)
    copy = AttributeHead.from_config(json.loads(json.dumps(head.get_config())))
    assert copy.temperatures == (3.0, 0.5)


def test_thresholds_follow_the_temperatures():
    head = AttributeHead(list("abcd"), [0, 1, 2, 3], thresholds=[0.2, 0.5, 0, 1])
    head.build((None, 7))
    head.divide_logits([2, 2, 2, 2])
    # 0.2 is an odds of 1 to 4, and with half of the logit 1 to 2.
    assert head.thresholds == pytest.approx((1 / 3, 0.5, 0, 1))


def test_what_can_not_be_divided_stays_unchanged():
    head = AttributeHead(["a", "b"], [0, 1], thresholds=[0.2, 0.3])
    head.build((None, 7))
    weights = head.get_weights()
    for wrong, message in [
        ([2], "2 attributes and 1 temperatures"),
        ([2, 0], "temperatures must be positive"),
        ([2, float("nan")], "temperatures must be positive"),
        ([2, float("inf")], "temperatures must be positive"),
    ]:
        with pytest.raises(ValueError, match=message):
            head.divide_logits(wrong)
    for kernel, same in zip(head.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(kernel, same)
    assert (head.thresholds, head.temperatures) == ((0.2, 0.3), None)
    head.quantize("int8", type_check=False)
    with pytest.raises(ValueError, match="is quantized"):
        head.divide_logits([2, 2])


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
