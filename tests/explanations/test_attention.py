import keras
import numpy as np
import pytest
from explained import GROUPS, random_images, small_network

from keras_faramtn.explanations.attention import attention_of


def test_gates_and_weights_are_those_of_the_layers():
    model, images = small_network(), random_images()
    attention = attention_of(model, images)
    assert attention.groups == tuple(GROUPS)
    inner = keras.Model(
        model.input,
        [model.get_layer("shared").output, model.get_layer("trunk").output],
    )
    shared, trunk = inner(images.astype("float32"))
    wsgsa, fusion = model.get_layer("attention"), model.get_layer("fusion")
    z = np.asarray(shared).mean(axis=(1, 2))
    for row, group in enumerate(GROUPS):
        (w1, b1), (w2, b2) = wsgsa.squeezes[row].get_weights(), wsgsa.excites[row].get_weights()
        gate = 1 / (1 + np.exp(-(np.maximum(z @ w1 + b1, 0) @ w2 + b2)))
        assert group == attention.groups[row]
        np.testing.assert_allclose(attention.gates[:, row], gate, rtol=1e-4, atol=1e-5)
    assert attention.to_groups.shape == (3, 2, 3, 3)
    assert attention.to_positions.shape == (3, 2, 3, 4, 6)
    total = attention.to_groups.sum(axis=-1) + attention.to_positions.sum(axis=(-2, -1))
    np.testing.assert_allclose(total, 1, rtol=1e-5)
    # Of two positions with the same group and head, weights differ as the scores do.
    query_key = _scores(fusion, attention, model, images, np.asarray(trunk))
    ratio = np.log(attention.to_positions[..., 1, 2] / attention.to_positions[..., 3, 5])
    np.testing.assert_allclose(ratio, query_key, rtol=1e-3, atol=1e-3)


def _scores(fusion, attention, model, images, trunk):
    """Q K^T / sqrt(d / heads) at position (1, 2) minus that at (3, 5), `(n, heads, groups)`."""
    last = np.asarray(keras.Model(model.input, model.get_layer("last").output)(images))
    features = last.mean(axis=(1, 2))[:, None] * attention.gates
    w_t, w_f, w_q, w_k = (
        layer.get_weights()[0]
        for layer in (
            fusion.group_projection,
            fusion.position_projection,
            fusion.query,
            fusion.key,
        )
    )
    query = features @ w_t @ w_q + keras.ops.convert_to_numpy(fusion.query_bias)
    key = (trunk[:, 1, 2] - trunk[:, 3, 5]) @ w_f @ w_k
    products = (query * key[:, None]).reshape(len(images), 3, 2, 3).sum(axis=-1)
    return products.swapaxes(1, 2) / np.sqrt(3)


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [({"attention": False}, ["gates"]), ({"fusion": False}, ["to_groups", "to_positions"])],
)
def test_a_network_without_a_layer_has_no_such_attention(arguments, missing):
    attention = attention_of(small_network(**arguments), random_images())
    names = ("gates", "to_groups", "to_positions")
    assert [name for name in names if getattr(attention, name) is None] == missing
