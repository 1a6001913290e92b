import keras
import numpy as np
import pytest

from keras_faramtn.optimizers import MUON_SUPPORTED, ConvolutionMuon

pytestmark = pytest.mark.skipif(
    not MUON_SUPPORTED, reason="ConvolutionMuon needs Keras 3.13 or later"
)

RATE = 0.01


def _first_step(shape, name="layer/kernel", **arguments):
    """A gradient, and the value of a zero variable after the first step at `RATE`."""
    layer = keras.layers.Layer(name=name.split("/")[0])
    variable = layer.add_weight(shape=shape, name=name.split("/")[1], initializer="zeros")
    gradient = np.random.default_rng(0).normal(size=shape).astype("float32")
    optimizer = ConvolutionMuon(RATE, weight_decay=0.0, **arguments)
    optimizer.build([variable])
    optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
    return gradient, keras.ops.convert_to_numpy(variable)


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        ((3, 2, 5, 24), "layer/kernel"),
        ((1, 1, 40, 12), "separable_conv2d/pointwise_kernel"),
        ((3, 5, 24), "conv1d/kernel"),
        ((3, 2, 2, 5, 24), "layer/kernel"),
        ((30, 8), "layer/kernel"),
    ],
    ids=str,
)
def test_a_kernel_moves_against_the_orthogonal_part_of_its_gradient(shape, name):
    gradient, moved = _first_step(shape, name)
    gradient, moved = (each.reshape(-1, shape[-1]) for each in (gradient, moved))
    left, _, right = np.linalg.svd(gradient, full_matrices=False)
    # Muon's five iterations bring each singular value near 1 and keep the singular vectors.
    scale = 0.2 * np.sqrt(max(gradient.shape))
    values = left.T @ (-moved / (RATE * scale)) @ right.T
    assert np.diag(values).min() > 0.6
    assert np.diag(values).max() < 1.3
    assert np.abs(values - np.diag(np.diag(values))).max() < 0.05
    # As large as a step of AdamW.
    assert np.sqrt(np.mean(moved**2)) == pytest.approx(0.2 * RATE, rel=0.2)


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        ((3, 3, 8, 1), "layer/kernel"),
        ((3, 3, 8, 2), "block_1_depthwise/kernel"),
        ((3, 3, 8, 2), "block1a_dwconv/kernel"),
        ((3, 8, 2), "separable_conv1d/depthwise_kernel"),
        ((9,), "norm/gamma"),
        ((12, 4, 5), "query/kernel"),
        ((3, 3, 4, 8), "conv/other"),
        ((12, 5), "embedding/embeddings"),
        ((12, 5), "head/kernel"),
        ((3, 3, 4, 8), "head/kernel"),
    ],
    ids=str,
)
def test_other_and_excluded_variables_move_as_with_adam(shape, name):
    gradient, moved = _first_step(shape, name, exclude_layers=["^head/"])
    np.testing.assert_allclose(moved, -RATE * np.sign(gradient), rtol=1e-3)


def test_the_default_layers_of_keras_are_recognised_by_their_names():
    layers = {
        keras.layers.Dense(4): (None, 3),
        keras.layers.Conv1D(4, 3): (None, 8, 3),
        keras.layers.Conv2D(4, 3): (None, 8, 8, 3),
        keras.layers.Conv2DTranspose(4, 3): (None, 8, 8, 3),
        keras.layers.Conv3D(4, 3): (None, 8, 8, 8, 3),
        keras.layers.SeparableConv2D(4, 3, depth_multiplier=2): (None, 8, 8, 3),
        keras.layers.DepthwiseConv1D(3, depth_multiplier=2): (None, 8, 3),
        keras.layers.DepthwiseConv2D(3, depth_multiplier=2): (None, 8, 8, 3),
        keras.layers.EinsumDense("abc,cde->abde", (None, 2, 4)): (None, 8, 3),
    }
    optimizer, updated = ConvolutionMuon(), set()
    for layer, shape in layers.items():
        layer.build(shape)
        updated |= {
            (type(layer).__name__, weight.name)
            for weight in layer.weights
            if not optimizer._should_use_adamw(weight)
        }
    assert updated == {
        ("Dense", "kernel"),
        ("Conv1D", "kernel"),
        ("Conv2D", "kernel"),
        ("Conv2DTranspose", "kernel"),
        ("Conv3D", "kernel"),
        ("SeparableConv2D", "pointwise_kernel"),
    }


def test_an_excluded_convolution_and_no_scaling_in_fit():
    """With `rms_rate=None` the step is the orthogonal matrix itself."""
    model = keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            keras.layers.Conv2D(4, 3, name="c1"),
            keras.layers.Conv2D(4, 3, name="c2"),
            keras.layers.Flatten(),
        ]
    )
    optimizer = ConvolutionMuon(RATE, weight_decay=0.0, rms_rate=None, exclude_layers=["c1"])
    model.compile(optimizer, "mse")
    before = [model.get_layer(name).get_weights()[0] for name in ("c1", "c2")]
    rng = np.random.default_rng(0)
    model.fit(rng.normal(size=(4, 6, 6, 3)), rng.normal(size=(4, 16)), verbose=0)
    first, second = (
        model.get_layer(name).get_weights()[0] - kernel
        for name, kernel in zip(("c1", "c2"), before, strict=True)
    )
    np.testing.assert_allclose(np.abs(first), RATE, rtol=1e-2)  # AdamW's first step
    singular = np.linalg.svd(second.reshape(-1, 4), compute_uv=False) / RATE
    assert singular.min() > 0.6
    assert singular.max() < 1.3


def test_what_keras_expects_of_its_own_muon():
    """The cases of keras/src/optimizers/muon_test.py."""
    matrix = np.array([[0.2499, 0.9105], [0.2655, 0.8824]], "float32")
    orthogonal = ConvolutionMuon().zeropower_via_newtonschulz5(keras.ops.array(matrix), 5)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(orthogonal), [[-0.4422, 0.6457], [0.7285, 0.2968]], atol=1e-3
    )
    ones = keras.ops.ones((4, 2))
    assert keras.ops.convert_to_numpy(ConvolutionMuon(rms_rate=None).lr_adjust(ones)).max() == 1
    scaled = keras.ops.convert_to_numpy(ConvolutionMuon(rms_rate=0.2).lr_adjust(ones))
    np.testing.assert_allclose(scaled, 0.4, rtol=1e-6)
    variable = keras.Variable(np.array([[1.0, 2.0], [3.0, 4.0]], "float32"))
    optimizer = ConvolutionMuon(learning_rate=0.5, weight_decay=0.0)
    optimizer.build([variable])
    optimizer.update_step(keras.ops.array([[1.0, 6.0], [7.0, 2.0]]), variable, 0.5)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(variable), [[0.988775, 1.887053], [2.873428, 3.97035]], rtol=1e-2
    )
    assert ConvolutionMuon(exclude_layers=["var"])._should_use_adamw(variable)
    assert not ConvolutionMuon()._should_use_adamw(variable)
    clipped = ConvolutionMuon(clipnorm=1)._clip_gradients([np.array([100.0, 100.0])])
    np.testing.assert_allclose(keras.ops.convert_to_numpy(clipped[0]), 2**-0.5, rtol=1e-5)


def test_one_weight_decay_for_both_kinds_of_update():
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
