import keras
import numpy as np
import pytest
from harness import check_layer

from keras_faramtn.layers import AttributeProbabilities

POSITIONS = {"b": [4, 0], "a": [1], "c": [3, 2]}


def _logits():
    rng = np.random.default_rng(2)
    return {
        group: rng.normal(size=(3, len(indices)), scale=4).astype("float32")
        for group, indices in POSITIONS.items()
    }


def test_passes_the_harness(tmp_path):
    check_layer(AttributeProbabilities(POSITIONS), _logits(), folder=tmp_path)


def test_equals_the_sigmoid_in_canonical_order():
    logits = _logits()
    probabilities = keras.ops.convert_to_numpy(AttributeProbabilities(POSITIONS)(logits))
    assert probabilities.shape == (3, 5)
    for group, indices in POSITIONS.items():
        for column, index in enumerate(indices):
            expected = 1 / (1 + np.exp(-logits[group][:, column].astype("float64")))
            np.testing.assert_allclose(probabilities[:, index], expected, rtol=1e-5)


def test_the_config_contains_the_positions_in_order():
    copy = AttributeProbabilities.from_config(AttributeProbabilities(POSITIONS).get_config())
    assert list(copy.positions.items()) == [("b", (4, 0)), ("a", (1,)), ("c", (3, 2))]
    shapes = {"b": (None, 2), "a": (None, 1), "c": (None, 2)}
    assert copy.compute_output_shape(shapes) == (None, 5)


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        ({"x": [0], "y": [2]}, "each index from 0 to 1 once"),
        ({"x": [0, 1], "y": [1]}, "each index from 0 to 2 once"),
        ({}, "at least one group"),
        ({"x": []}, "at least one group"),
    ],
)
def test_invalid_positions_raise_value_error(positions, message):
    with pytest.raises(ValueError, match=message):
        AttributeProbabilities(positions)


@pytest.mark.parametrize(
    "logits", [{"x": np.ones((2, 1))}, {"x": np.ones((2, 2)), "y": np.ones((2, 2))}]
)
def test_logits_that_do_not_match_the_positions_raise_value_error(logits):
    with pytest.raises(ValueError, match=r"expects logits of \{'x': 2, 'y': 1\}; got"):
        AttributeProbabilities({"x": [2, 0], "y": [1]})(logits)
