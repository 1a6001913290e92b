import keras
import numpy as np
import pytest

from keras_faramtn.layers import CGFF

GROUPS = ("nose", "ear", "hair", "eyes")


def _features(batch=3, width=20, seed=0):
    rng = np.random.default_rng(seed)
    return {group: rng.normal(size=(batch, width)).astype("float32") for group in GROUPS}


def _trained(layer):
    layer.build(dict.fromkeys(GROUPS, (None, 20)), (None, 2, 3, 7))
    rng = np.random.default_rng(5)
    layer.set_weights([rng.normal(size=w.shape, scale=0.4) for w in layer.get_weights()])
    return layer


def _trunk(batch=3, width=7, seed=1):
    return np.random.default_rng(seed).normal(size=(batch, 2, 3, width)).astype("float32")


def _fused_in_numpy(layer, features, trunk):
    """The docstring's formula, a sample, a group and a head at a time."""
    w_t, w_f, w_q, w_k, w_v, w_o = (
        part.get_weights()[0].astype("float64")
        for part in (
            layer.group_projection,
            layer.place_projection,
            layer.query,
            layer.key,
            layer.value,
            layer.output_projection,
        )
    )
    bias = dict(zip(layer.groups, keras.ops.convert_to_numpy(layer.query_bias), strict=True))
    places = [(row, column) for row in range(2) for column in range(3)]
    width = layer.dim // layer.heads
    result = {group: np.empty_like(feature) for group, feature in features.items()}
    for sample in range(len(features["nose"])):
        seen = [features[group][sample] @ w_t for group in GROUPS]
        seen += [trunk[sample, *place] @ w_f for place in places]
        for group in GROUPS:
            q = features[group][sample] @ w_t @ w_q + bias[group]
            mixed = []
            for head in range(layer.heads):
                part = slice(head * width, (head + 1) * width)
                scores = np.array([q[part] @ (s @ w_k)[part] for s in seen]) / np.sqrt(width)
                share = np.exp(scores - scores.max())
                share /= share.sum()
                mixed.extend(sum(a * (s @ w_v)[part] for a, s in zip(share, seen, strict=True)))
            mixed = np.array(mixed) / (1 + np.exp(-np.array(mixed)))
            result[group][sample] = features[group][sample] + mixed @ w_o
    return result


def test_equals_numpy():
    features, trunk = _features(), _trunk()
    layer = _trained(CGFF(GROUPS, dim=6, heads=2))
    expected = _fused_in_numpy(layer, features, trunk)
    for group, fused in layer(features, trunk).items():
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(fused), expected[group], rtol=1e-5, atol=1e-5
        )


def test_untrained_is_exactly_the_network_without_it():
    features = _features()
    for group, fused in CGFF(GROUPS)(features, _trunk()).items():
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(fused), features[group])


def test_untrained_still_learns():
    """The zero projection must not cut the gradient off: one step has to move it."""
    features = _features()
    inputs = {group: keras.Input((20,), name=f"{group}_in") for group in GROUPS}
    trunk = keras.Input((2, 3, 7))
    fused = CGFF(GROUPS, dim=6, heads=2, name="fusion")(inputs, trunk)
    model = keras.Model([*inputs.values(), trunk], fused["nose"])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.train_on_batch([*features.values(), _trunk()], np.ones((3, 20)))
    assert np.abs(model.get_layer("fusion").output_projection.get_weights()[0]).max() > 0


def test_the_order_of_the_features_and_of_the_places_is_without_effect():
    features, trunk = _features(), _trunk()
    layer = _trained(CGFF(GROUPS, dim=6, heads=2))
    straight = layer(features, trunk)
    turned = layer({group: features[group] for group in reversed(GROUPS)}, trunk[:, ::-1, ::-1])
    for group in GROUPS:
        np.testing.assert_allclose(straight[group], turned[group], rtol=1e-5, atol=1e-6)


def test_a_group_learns_where_to_look():
    """Whether a mark is in the upper place can't be told from the mean; attention finds it."""
    rng = np.random.default_rng(0)
    upper = rng.integers(0, 2, 256)
    trunk = np.zeros((256, 2, 1, 3), "float32")
    trunk[:, 0, 0, 0] = trunk[:, 1, 0, 1] = 1  # which place it is
    trunk[np.arange(256), 1 - upper, 0, 2] = 2  # the mark
    image, pooled = keras.Input((2, 1, 3)), keras.Input((3,))
    keras.utils.set_random_seed(0)
    fused = CGFF(("a", "b"), dim=8, heads=2)({"a": pooled, "b": pooled}, image)
    model = keras.Model([image, pooled], keras.layers.Dense(1)(fused["a"]))
    model.compile(keras.optimizers.Adam(0.02), keras.losses.BinaryCrossentropy(from_logits=True))
    means = trunk.mean(axis=(1, 2))
    assert len(np.unique(means, axis=0)) == 1
    model.fit([trunk, means], upper[:, None], epochs=40, verbose=0)
    said = model.predict([trunk, means], verbose=0)[:, 0] > 0
    assert (said == upper).mean() > 0.99


def test_config_round_trip_and_shape():
    layer = CGFF(("a", "b"), dim=12, heads=3, name="fusion")
    copy = CGFF.from_config(layer.get_config())
    assert (copy.groups, copy.dim, copy.heads, copy.name) == (("a", "b"), 12, 3, "fusion")
    shapes = {"a": (None, 7), "b": (None, 7)}
    assert copy.compute_output_shape(shapes, (None, 2, 2, 7)) == shapes


def test_mixed_precision_computes_in_half_and_stays_near():
    features, trunk = _features(), _trunk()
    full = _trained(CGFF(GROUPS, dim=6, heads=2))
    half = _trained(CGFF(GROUPS, dim=6, heads=2, dtype="mixed_float16"))
    half.set_weights(full.get_weights())
    for group, fused in half(features, trunk).items():
        assert keras.backend.standardize_dtype(fused.dtype) == "float16"
        np.testing.assert_allclose(fused, full(features, trunk)[group], atol=0.05, rtol=0.02)


def test_refuses_what_does_not_fit():
    two = {"a": np.ones((2, 3)), "b": np.ones((2, 4))}
    with pytest.raises(ValueError, match="one width"):
        CGFF(("a", "b"))(two, np.ones((2, 2, 2, 3)))
    with pytest.raises(ValueError, match="made for the groups a, c; got features of a, b"):
        CGFF(("a", "c"))(two, np.ones((2, 2, 2, 3)))
    for dim, heads in ((0, 1), (6, 4), (4, 0)):
        with pytest.raises(ValueError, match=f"multiple of heads.*; got {dim} and {heads}"):
            CGFF(("a",), dim=dim, heads=heads)
    with pytest.raises(ValueError, match="at least one group"):
        CGFF(())
