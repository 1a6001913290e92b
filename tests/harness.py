"""The checks that every layer and every network of the package must pass.

Call `check_layer` or `check_model` from a test. Both also run in child processes on the other
backends, which load the same files as this process.
"""

import importlib.util
import json

import keras
import numpy as np
import pytest
from other_backends import OTHER_BACKENDS, run_on
from sensitive_network import make_sensitive

import keras_faramtn  # noqa: F401 - registers the classes for keras.saving.load_model
from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.models import groups_of, inference_model, load_model
from keras_faramtn.synthetic.faces import draw_faces

BACKEND_TOLERANCE = 1e-4
# Bounds on the error under a dtype policy, relative to the largest output under float32. The errors
# of single layers add up in a network; bfloat16 has a significand of 8 bits.
LAYER_TOLERANCES = {"float32": 1e-6, "mixed_float16": 0.01, "mixed_bfloat16": 0.05}
MODEL_TOLERANCES = {"float32": 1e-6, "mixed_float16": 0.02, "mixed_bfloat16": 0.15}
IMAGE_SIZE = (32, 64)
# Neither the groups nor the attributes are in alphabetical order.
GROUPS = AttributeGroups(
    {"eyes": ["glasses", "closed"], "age": ["young"], "mouth": ["smile"]},
    attributes=["young", "smile", "glasses", "closed"],
)


def check_layer(layer, *arguments, folder):
    """Checks an unbuilt `layer` on `arguments`, the arrays (or dicts of arrays) of one call.

    The arrays have a batch of 3, and feature maps are not square. `folder` is a temporary folder.
    """
    config = json.loads(json.dumps(layer.get_config()))
    assert type(layer).from_config(config).get_config() == layer.get_config()

    symbols = keras.tree.map_structure(lambda array: keras.Input(array.shape[1:]), arguments)
    outputs = layer(*symbols)
    model = keras.Model(_flat(symbols), keras.tree.flatten(outputs))
    _randomize(layer)
    inputs = _flat(arguments)
    expected = _predict(model, inputs)
    for batch in (None, 3):
        shapes = [_shapes(argument, batch) for argument in arguments]
        assert layer.compute_output_shape(*shapes) == _shapes(outputs, batch)
    symbolic = keras.tree.flatten(outputs)
    assert [each.shape for each in expected] == [(3, *each.shape[1:]) for each in symbolic]
    _check_batch_of_one(model, inputs, expected)

    for policy, tolerance in LAYER_TOLERANCES.items():
        copy = type(layer).from_config({**layer.get_config(), "dtype": policy})
        copy(*arguments)
        copy.set_weights(layer.get_weights())
        actual = copy(*arguments)
        dtypes = {
            keras.backend.standardize_dtype(each.dtype) for each in keras.tree.flatten(actual)
        }
        assert dtypes == {copy.compute_dtype}
        assert copy.compute_dtype == policy.removeprefix("mixed_")
        assert {weight.dtype for weight in copy.weights} <= {"float32"}
        _assert_close(_arrays(actual), expected, tolerance)

    targets = [np.random.default_rng(4).normal(size=each.shape) for each in expected]
    _skip_missing(
        _check_backends(model, inputs, expected, folder, targets=targets if layer.weights else ())
    )


def check_model(build, *, folder, tolerances=MODEL_TOLERANCES, backends=OTHER_BACKENDS):
    """Checks the network for images of `IMAGE_SIZE` that `build()` returns.

    `folder` is a temporary folder; `tolerances` are bounds on the errors as `MODEL_TOLERANCES`;
    `backends` are the other backends to compare with.
    """
    keras.utils.set_random_seed(0)
    model = build()
    make_sensitive(model)
    images = draw_faces(3, IMAGE_SIZE).astype("float32")
    expected = _predict(model, images)
    assert np.ptp(np.concatenate(expected, axis=-1), axis=0).mean() > 0.01  # sensitive
    np.testing.assert_equal(_predict(model, images.astype("uint8")), expected)
    eager = _call(model, images)
    for actual, output in zip(eager, expected, strict=True):
        np.testing.assert_allclose(actual, output, rtol=1e-4, atol=1e-4)
    _check_batch_of_one(model, images, expected)
    for batch in (None, 3):
        shapes = model.compute_output_shape((batch, *IMAGE_SIZE, 3))
        sizes = {group: (batch, len(names)) for group, names in groups_of(model).items()}
        assert shapes == sizes

    config = json.dumps(model.get_config())
    copy = keras.Model.from_config(json.loads(config))
    assert json.dumps(copy.get_config()) == config
    copy.set_weights(model.get_weights())
    np.testing.assert_equal(_call(copy, images), eager)

    for policy, tolerance in tolerances.items():
        keras.config.set_dtype_policy(policy)
        try:
            copy = build()
        finally:
            keras.config.set_dtype_policy("float32")
        copy.set_weights(model.get_weights())
        actual = _call(copy, images)
        assert {output.dtype.name for output in actual} == {"float32"}
        _assert_close(actual, eager, tolerance)

    missing = _check_backends(model, images, expected, folder, backends=backends)
    loaded = load_model(folder / "model.keras")
    assert groups_of(loaded) == groups_of(model)
    assert list(groups_of(loaded)) == list(groups_of(model))
    _check_export(inference_model(model), images, folder)
    _skip_missing(missing)


def _check_export(model, images, folder):
    # Here, as other backends need no TensorFlow.
    from keras_faramtn.export.saved_model import run_saved_model, write_saved_model
    from keras_faramtn.export.tflite import run_tflite, write_tflite

    (expected,) = _predict(model, images)
    assert expected.dtype == "float32"
    assert expected.shape == (len(images), len(groups_of(model).attributes))
    assert ((expected > 0) & (expected < 1)).all()
    write_saved_model(model, folder / "saved_model")
    for batch in (images, images[:1]):
        actual = run_saved_model(folder / "saved_model", batch)
        np.testing.assert_allclose(actual, expected[: len(batch)], atol=1e-5)
    write_tflite(model, folder / "model.tflite")
    actual = run_tflite(folder / "model.tflite", images)
    np.testing.assert_allclose(actual, expected, atol=1e-4)


def _check_batch_of_one(model, inputs, expected):
    first = keras.tree.map_structure(lambda array: array[:1], inputs)
    for actual, output in zip(_call(model, first), expected, strict=True):
        np.testing.assert_allclose(actual, output[:1], rtol=1e-4, atol=1e-4)


def _check_backends(model, inputs, expected, folder, *, targets=(), backends=OTHER_BACKENDS):
    """Compares the saved model with `expected`, here and on other backends.

    With `targets`, it is also compared after one step of training. Returns the backends that are
    not installed.
    """
    model.save(folder / "model.keras")
    np.savez(folder / "inputs.npz", *keras.tree.flatten(inputs))
    np.savez(folder / "targets.npz", *targets)
    run_saved(folder)
    here = _read(folder / "outputs.npz")
    for actual, output in zip(here, expected, strict=False):
        np.testing.assert_allclose(actual, output, rtol=1e-6, atol=1e-6)
    if targets:
        changes = [
            abs(after - before).max()
            for before, after in zip(expected, here[len(expected) :], strict=True)
        ]
        assert min(changes) > 1e-3
    missing = [each for each in backends if importlib.util.find_spec(each) is None]
    for backend in backends:
        if backend not in missing:
            _run_on(backend, folder)
            for actual, output in zip(_read(folder / "outputs.npz"), here, strict=True):
                np.testing.assert_allclose(
                    actual, output, rtol=0, atol=BACKEND_TOLERANCE * max(1, abs(output).max())
                )
    return missing


def _skip_missing(missing):
    if missing:
        pytest.skip(f"not compared on {', '.join(missing)}: not installed")


def run_saved(folder):
    """Writes the outputs of `folder`'s model for its inputs, before and after a training step."""
    model = keras.saving.load_model(folder / "model.keras")
    inputs, targets = _flat(_read(folder / "inputs.npz")), _read(folder / "targets.npz")
    outputs = _predict(model, inputs)
    if targets:
        model.compile(keras.optimizers.SGD(1.0), ["mse"] * len(targets))
        model.train_on_batch(inputs, targets)
        outputs += _predict(model, inputs)
    np.savez(folder / "outputs.npz", *outputs)


def _run_on(backend, folder):
    (folder / "outputs.npz").unlink()
    call = f"harness.run_saved(pathlib.Path({str(folder)!r}))"
    run_on(backend, f"import harness, pathlib; {call}")


def _predict(model, inputs):
    return _arrays(model.predict(inputs, verbose=0))


def _call(model, inputs):
    """As `_predict`, but without a graph, whose tracing takes seconds for a network."""
    return _arrays(model(inputs, training=False))


def _flat(inputs):
    """The inputs as Keras expects them: a list, or a single one."""
    flat = keras.tree.flatten(inputs)
    return flat[0] if len(flat) == 1 else flat


def _arrays(outputs):
    flat = keras.tree.flatten(outputs)
    return [np.asarray(keras.ops.convert_to_numpy(output)) for output in flat]


def _shapes(arrays, batch):
    return keras.tree.map_structure(lambda array: (batch, *array.shape[1:]), arrays)


def _randomize(layer):
    """Gives all weights random values, biases too, so that a missing weight has an effect."""
    rng = np.random.default_rng(7)
    layer.set_weights([rng.normal(size=w.shape, scale=0.5) for w in layer.get_weights()])


def _assert_close(actual, expected, tolerance):
    for output, reference in zip(actual, expected, strict=True):
        error = abs(output.astype("float32") - reference).max()
        assert error <= tolerance * abs(reference).max()


def _read(path):
    with np.load(path) as arrays:
        return [arrays[name] for name in arrays.files]
