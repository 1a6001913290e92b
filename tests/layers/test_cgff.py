import keras
import numpy as np
import pytest
from harness import check_layer

from keras_faramtn.layers import CGFF

GROUPS = ("nose", "ear", "hair", "eyes")


def _features(batch=3, width=20, seed=0):
    rng = np.random.default_rng(seed)
    return {group: rng.normal(size=(batch, width)).astype("float32") for group in GROUPS}


def _with_random_weights(layer):
    layer.build(dict.fromkeys(GROUPS, (None, 20)), (None, 2, 3, 7))
    rng = np.random.default_rng(5)
    layer.set_weights([rng.normal(size=w.shape, scale=0.4) for w in layer.get_weights()])
    return layer


def _trunk(batch=3, width=7, seed=1):
    return np.random.default_rng(seed).normal(size=(batch, 2, 3, width)).astype("float32")


def _fused_in_numpy(layer, features, trunk):
    """The docstring's formula, for one sample, one group and one head at a time."""
    w_t, w_f, w_q, w_k, w_v, w_o = (
        projection.get_weights()[0].astype("float64")
        for projection in (
            layer.group_projection,
            layer.position_projection,
            layer.query,
            layer.key,
            layer.value,
            layer.output_projection,
        )
    )
    bias = dict(zip(layer.groups, keras.ops.convert_to_numpy(layer.query_bias), strict=True))
    positions = [(row, column) for row in range(2) for column in range(3)]
    width = layer.dim // layer.heads
    result = {group: np.empty_like(feature) for group, feature in features.items()}
    for sample in range(len(features["nose"])):
        rows = [features[group][sample] @ w_t for group in GROUPS]
        rows += [trunk[sample, *position] @ w_f for position in positions]
        for group in GROUPS:
            q = features[group][sample] @ w_t @ w_q + bias[group]
            mixed = []
            for number in range(layer.heads):
                head = slice(number * width, (number + 1) * width)
                scores = np.array([q[head] @ (s @ w_k)[head] for s in rows]) / np.sqrt(width)
                weights = np.exp(scores - scores.max())
                weights /= weights.sum()
                mixed.extend(sum(a * (s @ w_v)[head] for a, s in zip(weights, rows, strict=True)))
            mixed = np.array(mixed) / (1 + np.exp(-np.array(mixed)))
            result[group][sample] = features[group][sample] + mixed @ w_o
    return result


def test_passes_the_harness(tmp_path):
    check_layer(CGFF(GROUPS, dim=6, heads=2), _features(), _trunk(), folder=tmp_path)


def test_equals_the_formula_in_numpy():
    features, trunk = _features(), _trunk()
    layer = _with_random_weights(CGFF(GROUPS, dim=6, heads=2))
    expected = _fused_in_numpy(layer, features, trunk)
    for group, fused in layer(features, trunk).items():
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(fused), expected[group], rtol=1e-5, atol=1e-5
        )


def test_untrained_is_exactly_the_network_without_it():
    features = _features()
    for group, fused in CGFF(GROUPS)(features, _trunk()).items():
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(fused), features[group])


def test_untrained_receives_a_gradient():
    """The zero projection must not block the gradient: one training step changes it."""
    features = _features()
    inputs = {group: keras.Input((20,), name=f"{group}_in") for group in GROUPS}
    trunk = keras.Input((2, 3, 7))
    fused = CGFF(GROUPS, dim=6, heads=2, name="fusion")(inputs, trunk)
    model = keras.Model([*inputs.values(), trunk], fused["nose"])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.train_on_batch([*features.values(), _trunk()], np.ones((3, 20)))
    assert np.abs(model.get_layer("fusion").output_projection.get_weights()[0]).max() > 0


def test_the_order_of_features_and_positions_has_no_effect():
    features, trunk = _features(), _trunk()
    layer = _with_random_weights(CGFF(GROUPS, dim=6, heads=2))
    original = layer(features, trunk)
    reversed_ = layer({group: features[group] for group in reversed(GROUPS)}, trunk[:, ::-1, ::-1])
    for group in GROUPS:
        np.testing.assert_allclose(original[group], reversed_[group], rtol=1e-5, atol=1e-6)


def test_a_group_learns_which_position_to_attend_to():
    """The mean doesn't tell whether a mark is in the upper position; attention finds it."""
    rng = np.random.default_rng(0)
    upper = rng.integers(0, 2, 256)
    trunk = np.zeros((256, 2, 1, 3), "float32")
    trunk[:, 0, 0, 0] = trunk[:, 1, 0, 1] = 1  # one-hot position
    trunk[np.arange(256), 1 - upper, 0, 2] = 2  # the mark
    image, pooled = keras.Input((2, 1, 3)), keras.Input((3,))
    keras.utils.set_random_seed(0)
    fused = CGFF(("a", "b"), dim=8, heads=2)({"a": pooled, "b": pooled}, image)
    model = keras.Model([image, pooled], keras.layers.Dense(1)(fused["a"]))
    model.compile(keras.optimizers.Adam(0.02), keras.losses.BinaryCrossentropy(from_logits=True))
    means = trunk.mean(axis=(1, 2))
    assert len(np.unique(means, axis=0)) == 1
    model.fit([trunk, means], upper[:, None], epochs=40, verbose=0)
    predicted = model.predict([trunk, means], verbose=0)[:, 0] > 0
    assert (predicted == upper).mean() > 0.99


def test_the_config_contains_all_arguments():
    layer = CGFF(("a", "b"), dim=12, heads=3, name="fusion")
    copy = CGFF.from_config(layer.get_config())
    assert (copy.groups, copy.dim, copy.heads, copy.name) == (("a", "b"), 12, 3, "fusion")


def test_features_that_do_not_fit_raise_value_error():
    two = {"a": np.ones((2, 3)), "b": np.ones((2, 4))}
    with pytest.raises(ValueError, match="same width"):
        CGFF(("a", "b"))(two, np.ones((2, 2, 2, 3)))
    with pytest.raises(ValueError, match="created for the groups a, c; got features of a, b"):
        CGFF(("a", "c"))(two, np.ones((2, 2, 2, 3)))


def test_a_trunk_of_unknown_size_raises_value_error():
    with pytest.raises(ValueError, match=r"fixed height and width; got \(None, None, 2, 3\)"):
        CGFF(("a",))({"a": keras.Input((3,))}, keras.Input((None, 2, 3)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dim": 0, "heads": 1}, "multiple of heads.*; got dim=0 and heads=1"),
        ({"dim": 6, "heads": 4}, "multiple of heads.*; got dim=6 and heads=4"),
        ({"dim": 4, "heads": 0}, "multiple of heads.*; got dim=4 and heads=0"),
        ({"groups": ()}, "groups must contain at least one name"),
        ({"groups": "ab"}, "groups must be a list of names; got the string 'ab'"),
        ({"groups": ("a", "b", "a")}, "groups contains 'a' more than once"),
    ],
)
def test_invalid_arguments_raise_value_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        CGFF(**{"groups": ("a",), **arguments})
