import keras
import numpy as np
import pytest

from keras_faramtn.optimizers import ConvolutionMuon

RATE = 0.01


def _first_step(shape, name="layer/kernel", **arguments):
    """A gradient, and what the first step at `RATE` does to a variable of zeros."""
    layer = keras.layers.Layer(name=name.split("/")[0])
    variable = layer.add_weight(shape=shape, name=name.split("/")[1], initializer="zeros")
    gradient = np.random.default_rng(0).normal(size=shape).astype("float32")
    optimizer = ConvolutionMuon(RATE, weight_decay=0.0, **arguments)
    optimizer.build([variable])
    optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
    return gradient, keras.ops.convert_to_numpy(variable)


@pytest.mark.parametrize("shape", [(3, 2, 5, 24), (1, 1, 40, 12), (30, 8)], ids=str)
def test_a_kernel_moves_against_the_orthogonal_part_of_its_gradient(shape):
    gradient, moved = _first_step(shape)
    gradient, moved = (each.reshape(-1, shape[-1]) for each in (gradient, moved))
    left, _, right = np.linalg.svd(gradient, full_matrices=False)
    # Muon's five iterations bring each singular value near 1, and leave the vectors as they are.
    scale = 0.2 * np.sqrt(max(gradient.shape))
    values = left.T @ (-moved / (RATE * scale)) @ right.T
    assert np.diag(values).min() > 0.6
    assert np.diag(values).max() < 1.3
    assert np.abs(values - np.diag(np.diag(values))).max() < 0.05
    # As large as a step of AdamW's.
    assert np.sqrt(np.mean(moved**2)) == pytest.approx(0.2 * RATE, rel=0.2)


@pytest.mark.parametrize(
    ("shape", "name"),
    [((3, 3, 8, 1), "depthwise/kernel"), ((9,), "norm/gamma"), ((12, 5), "head/kernel")],
    ids=str,
)
def test_what_is_no_matrix_or_excluded_moves_as_adam_does(shape, name):
    gradient, moved = _first_step(shape, name, exclude_layers=["^head/"])
    np.testing.assert_allclose(moved, -RATE * np.sign(gradient), rtol=1e-3)


def test_one_weight_decay_for_both_kinds_of_step():
    for shape in ((3, 3, 4, 8), (3, 3, 8, 1)):
        layer = keras.layers.Layer()
        variable = layer.add_weight(shape=shape, name="kernel", initializer="ones")
        optimizer = ConvolutionMuon(RATE, weight_decay=0.5)
        optimizer.build([variable])
        optimizer.apply([keras.ops.zeros(shape)], [variable])
        np.testing.assert_allclose(keras.ops.convert_to_numpy(variable), 1 - 0.5 * RATE, rtol=1e-5)


def test_config_round_trip():
    optimizer = ConvolutionMuon(0.02, weight_decay=0.1, exclude_layers=["^a/"], momentum=0.9)
    copy = ConvolutionMuon.from_config(optimizer.get_config())
    assert copy.get_config() == optimizer.get_config()
    assert (copy.weight_decay, copy.adam_weight_decay, copy.momentum) == (0.1, 0.1, 0.9)
