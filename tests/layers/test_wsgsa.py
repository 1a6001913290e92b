import keras
import numpy as np
import pytest
from harness import check_layer

from keras_faramtn.layers import WSGSA

GROUPS = ("eyes", "mouth", "hair")


def _inputs(seed=0, batch=3):
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(batch, 5, 4, 32)).astype("float32")
    transformed = rng.normal(size=(batch, 3, 2, 24)).astype("float32")
    return shared, transformed


def _randomised(layer, seed=1):
    """Sets random weights, biases too, so that an unused weight is detected."""
    rng = np.random.default_rng(seed)
    layer.set_weights([rng.normal(size=w.shape, scale=0.5) for w in layer.get_weights()])
    return layer


def _gates(layer, shared):
    """Psi_g of the paper in NumPy."""
    z = shared.astype("float64").mean(axis=(1, 2))
    gates = {}
    for group, squeeze, excite in zip(layer.groups, layer.squeezes, layer.excites, strict=True):
        (w1, b1), (w2, b2) = squeeze.get_weights(), excite.get_weights()
        gates[group] = 1 / (1 + np.exp(-(np.maximum(z @ w1 + b1, 0) @ w2 + b2)))
    return gates


def test_passes_the_harness(tmp_path):
    check_layer(WSGSA(GROUPS, reduction=8), *_inputs(), folder=tmp_path)


def test_equals_the_product_on_the_whole_feature_map_pooled_afterwards():
    shared, transformed = _inputs()
    layer = WSGSA(GROUPS, reduction=4)
    layer(shared, transformed)
    features = _randomised(layer)(shared, transformed)
    assert list(features) == list(GROUPS)
    for group, gate in _gates(layer, shared).items():
        naive = (transformed * gate[:, None, None, :]).mean(axis=(1, 2))
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(features[group]), naive, rtol=1e-5, atol=1e-5
        )


def test_each_group_has_a_separate_gate():
    shared, transformed = _inputs()
    layer = WSGSA(GROUPS)
    layer(shared, transformed)
    before = _randomised(layer)(shared, transformed)
    kernel, bias = layer.excites[1].get_weights()
    layer.excites[1].set_weights([kernel, bias + 3])
    after = layer(shared, transformed)
    changed = {
        group: not np.allclose(
            keras.ops.convert_to_numpy(before[group]), keras.ops.convert_to_numpy(after[group])
        )
        for group in GROUPS
    }
    assert changed == {"eyes": False, "mouth": True, "hair": False}


def test_parameter_count_is_that_of_two_dense_layers_per_group():
    layer = WSGSA([f"g{i}" for i in range(9)], reduction=16)
    layer.build((None, 14, 14, 1024), (None, 7, 7, 2048))
    # 1024 -> 64 -> 2048 with biases, nine times.
    assert layer.count_params() == 9 * (1024 * 64 + 64 + 64 * 2048 + 2048) == 1_788_480


def test_the_config_contains_all_arguments():
    copy = WSGSA.from_config(WSGSA(GROUPS, reduction=4, name="attention").get_config())
    assert (copy.groups, copy.reduction, copy.name) == (GROUPS, 4, "attention")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"groups": ()}, "groups must contain at least one name"),
        ({"groups": "eyes"}, "groups must be a list of names; got the string 'eyes'"),
        ({"groups": ("eyes", "eyes")}, "groups contains 'eyes' more than once"),
        ({"groups": GROUPS, "reduction": 0}, "reduction must be 1 or more; got 0"),
    ],
)
def test_invalid_arguments_raise_value_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        WSGSA(**arguments)
