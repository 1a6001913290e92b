import keras
import numpy as np
import pytest

from keras_faramtn.layers import CGFF

GROUPS = ("nose", "ear", "hair", "eyes")


def _features(batch=3, width=20, seed=0):
    rng = np.random.default_rng(seed)
    return {group: rng.normal(size=(batch, width)).astype("float32") for group in GROUPS}


def _trained(layer, features):
    layer(features)
    rng = np.random.default_rng(5)
    layer.set_weights([rng.normal(size=w.shape, scale=0.4) for w in layer.get_weights()])
    return layer


def _fused_in_numpy(layer, features):
    """T + softmax(Q K^T / sqrt(d)) V W_o, a sample and a group at a time."""
    w_q, w_k, w_v, w_o = (
        part.get_weights()[0].astype("float64")
        for part in (layer.query, layer.key, layer.value, layer.output_projection)
    )
    result = {group: np.empty_like(feature) for group, feature in features.items()}
    for sample in range(len(features["nose"])):
        for group in GROUPS:
            q = features[group][sample] @ w_q
            scores = np.array([q @ (features[other][sample] @ w_k) for other in GROUPS]) / np.sqrt(
                layer.dim
            )
            share = np.exp(scores - scores.max())
            share /= share.sum()
            mixed = sum(
                s * (features[other][sample] @ w_v) for s, other in zip(share, GROUPS, strict=True)
            )
            result[group][sample] = features[group][sample] + mixed @ w_o
    return result


def test_equals_numpy():
    features = _features()
    layer = _trained(CGFF(dim=6), features)
    expected = _fused_in_numpy(layer, features)
    for group, fused in layer(features).items():
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(fused), expected[group], rtol=1e-5, atol=1e-5
        )


def test_untrained_is_exactly_the_network_without_it():
    features = _features()
    for group, fused in CGFF()(features).items():
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(fused), features[group])


def test_untrained_still_learns():
    """The zero projection must not cut the gradient off: one step has to move it."""
    features = _features()
    inputs = {group: keras.Input((20,), name=f"{group}_in") for group in GROUPS}
    fused = CGFF(dim=6, name="fusion")(inputs)
    model = keras.Model(list(inputs.values()), fused["nose"])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.train_on_batch(list(features.values()), np.ones((3, 20)))
    assert np.abs(model.get_layer("fusion").output_projection.get_weights()[0]).max() > 0


def test_the_order_of_the_groups_is_without_effect():
    features = _features()
    layer = _trained(CGFF(dim=6), features)
    straight = layer(features)
    turned = layer({group: features[group] for group in reversed(GROUPS)})
    for group in GROUPS:
        np.testing.assert_allclose(straight[group], turned[group], rtol=1e-5, atol=1e-6)


def test_config_round_trip_and_shape():
    layer = CGFF(dim=12, name="fusion")
    copy = CGFF.from_config(layer.get_config())
    assert (copy.dim, copy.name) == (12, "fusion")
    shapes = {"a": (None, 7), "b": (None, 7)}
    assert copy.compute_output_shape(shapes) == shapes


def test_mixed_precision_computes_in_half_and_stays_near():
    features = _features()
    full = _trained(CGFF(dim=6), features)
    half = CGFF(dim=6, dtype="mixed_float16")
    half.build({group: feature.shape for group, feature in features.items()})
    half.set_weights(full.get_weights())
    for group, fused in half(features).items():
        assert keras.backend.standardize_dtype(fused.dtype) == "float16"
        np.testing.assert_allclose(fused, full(features)[group], atol=0.05, rtol=0.02)


def test_refuses_groups_of_different_widths_and_an_empty_attention():
    with pytest.raises(ValueError, match="one width"):
        CGFF()({"a": np.ones((2, 3)), "b": np.ones((2, 4))})
    with pytest.raises(ValueError, match="dim must be 1 or more; got 0"):
        CGFF(dim=0)
