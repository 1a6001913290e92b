import keras
import numpy as np
import pytest

from keras_faramtn.layers import WSGSA

GROUPS = ("eyes", "mouth", "hair")


def _inputs(seed=0, batch=3):
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(batch, 5, 4, 32)).astype("float32")
    transformed = rng.normal(size=(batch, 3, 2, 24)).astype("float32")
    return shared, transformed


def _randomised(layer, seed=1):
    """Random weights, biases too, so that a forgotten one shows."""
    rng = np.random.default_rng(seed)
    layer.set_weights([rng.normal(size=w.shape, scale=0.5) for w in layer.get_weights()])
    return layer


def _gates(layer, shared):
    """Psi_g of the paper, in NumPy."""
    z = shared.astype("float64").mean(axis=(1, 2))
    gates = {}
    for group, squeeze, excite in zip(layer.groups, layer.squeezes, layer.excites, strict=True):
        (w1, b1), (w2, b2) = squeeze.get_weights(), excite.get_weights()
        gates[group] = 1 / (1 + np.exp(-(np.maximum(z @ w1 + b1, 0) @ w2 + b2)))
    return gates


def test_equals_the_naive_form_multiplied_on_the_whole_map_and_then_pooled():
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


def test_each_group_has_a_gate_of_its_own():
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


def test_parameter_count_is_that_of_two_dense_layers_a_group():
    layer = WSGSA([f"g{i}" for i in range(9)], reduction=16)
    layer.build((None, 14, 14, 1024), (None, 7, 7, 2048))
    # 1024 -> 64 -> 2048 with biases, nine times.
    assert layer.count_params() == 9 * (1024 * 64 + 64 + 64 * 2048 + 2048) == 1_788_480


def test_config_round_trip_keeps_outputs():
    shared, transformed = _inputs()
    layer = WSGSA(GROUPS, reduction=8, name="attention")
    layer(shared, transformed)
    _randomised(layer)
    copy = WSGSA.from_config(layer.get_config())
    copy.build(shared.shape, transformed.shape)
    copy.set_weights(layer.get_weights())
    assert copy.name == "attention"
    for group, feature in layer(shared, transformed).items():
        np.testing.assert_array_equal(feature, copy(shared, transformed)[group])


def test_output_shape_is_known_without_running():
    layer = WSGSA(GROUPS)
    shape = layer.compute_output_shape((None, 7, 5, 64), (None, 4, 3, 48))
    assert shape == dict.fromkeys(GROUPS, (None, 48))


def test_mixed_precision_computes_in_half_and_stays_near():
    shared, transformed = _inputs()
    full = WSGSA(GROUPS)
    full(shared, transformed)
    half = WSGSA(GROUPS, dtype="mixed_float16")
    half.build(shared.shape, transformed.shape)
    half.set_weights(_randomised(full).get_weights())
    for group, feature in half(shared, transformed).items():
        assert keras.backend.standardize_dtype(feature.dtype) == "float16"
        np.testing.assert_allclose(feature, full(shared, transformed)[group], atol=5e-3)
    assert {weight.dtype for weight in half.weights} == {"float32"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"groups": ()}, "at least one group"),
        ({"groups": GROUPS, "reduction": 0}, "reduction must be 1 or more; got 0"),
    ],
)
def test_refuses_what_it_cannot_use(arguments, message):
    with pytest.raises(ValueError, match=message):
        WSGSA(**arguments)
