import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from other_backends import OTHER_BACKENDS, run_on

import keras_faramtn  # noqa: F401 - registers the classes for load_model
from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.callbacks import DynamicWeighting
from keras_faramtn.callbacks.dynamic_weighting import dynamic_weights
from keras_faramtn.layers import AttributeHead
from keras_faramtn.losses import MaskedBinaryCrossentropy
from keras_faramtn.objective import objective

FOLDER = str(Path(__file__).parent)
GROUPS = AttributeGroups(
    {"easy": ["a", "b"], "hard": ["c"], "flat": ["d", "e", "f"]}, attributes=list("abcdef")
)


def _model():
    keras.utils.set_random_seed(3)
    images = keras.Input((6, 4, 3), name="images")
    pooled = keras.layers.GlobalAveragePooling2D()(images)
    hidden = keras.layers.Dense(8, activation="tanh")(pooled)
    logits = {
        group: AttributeHead(GROUPS[group], GROUPS.positions(group), name=group)(hidden)
        for group in GROUPS
    }
    return keras.Model(images, logits)


def _data(count=40):
    rng = np.random.default_rng(0)
    images = rng.normal(size=(count, 6, 4, 3)).astype("float32")
    truth = (images.mean(axis=(1, 2)) > 0).astype("float32")
    labels = {
        "easy": truth[:, :2],
        "hard": rng.integers(0, 2, (count, 1)).astype("float32"),
        "flat": np.repeat(truth[:, 2:], 3, axis=1),
    }
    return tf.data.Dataset.from_tensor_slices((images, labels)).batch(8)


# 2, 1 and 3 of 6 attributes, in three groups.
BASE = [1.0, 0.5, 1.5]


def _weights_in_numpy(epochs, strength, smoothing):
    """The docstring's formula over epochs of losses, group by group in plain Python."""
    count = len(epochs[0])
    weights, history = BASE, []
    for losses in epochs:
        ratios = [
            loss / first if first else 0.0 for loss, first in zip(losses, epochs[0], strict=True)
        ]
        ratios = [max(p, 0.1 * sum(ratios) / count) for p in ratios]
        raw = [b * (p * count / sum(ratios)) ** strength for b, p in zip(BASE, ratios, strict=True)]
        scaled = [u * sum(BASE) / sum(raw) for u in raw]
        weights = [
            smoothing * w + (1 - smoothing) * u for w, u in zip(weights, scaled, strict=True)
        ]
        history.append(weights)
    return history


def _train(model, epochs=4, callbacks=None, **compile_arguments):
    model.compile(keras.optimizers.SGD(0.5), **objective(GROUPS), **compile_arguments)
    callbacks = callbacks or [DynamicWeighting(strength=1.5, smoothing=0.3)]
    return model.fit(_data(), epochs=epochs, verbose=0, callbacks=callbacks).history


def _losses(history):
    return [[history[f"{group}_loss"][e] for group in GROUPS] for e in range(len(history["loss"]))]


def _assert_follows_the_formula(history, strength=1.5, smoothing=0.3):
    expected = [BASE, *_weights_in_numpy(_losses(history), strength, smoothing)]
    actual = [[history[f"dws_{group}"][e] for group in GROUPS] for e in range(len(expected) - 1)]
    np.testing.assert_allclose(actual, expected[:-1], rtol=1e-4)


def test_formula_over_several_epochs_including_the_first():
    epochs = [[0.7, 0.2, 0.4], [0.5, 0.19, 0.4], [0.45, 0.25, 0.0], [0.0, 1.9, 0.0]]
    expected = _weights_in_numpy(epochs, strength=1.5, smoothing=0.3)
    weights, base = np.array(BASE), np.array(BASE)
    for losses, goal in zip(epochs, expected, strict=True):
        weights = dynamic_weights(np.array(losses), np.array(epochs[0]), weights, base, 1.5, 0.3)
        np.testing.assert_allclose(weights, goal, rtol=1e-12)
        assert weights.sum() == pytest.approx(3)


def test_a_lagging_group_gets_a_larger_weight_whatever_the_scale_of_its_loss():
    one = np.ones(2)
    lagging = dynamic_weights(np.array([0.5, 0.9]), one, one, one, 1.0, 0.0)
    assert lagging == pytest.approx([2 * 5 / 14, 2 * 9 / 14])
    scaled = dynamic_weights(np.array([5.0, 0.9]), np.array([10.0, 1.0]), one, one, 1.0, 0.0)
    assert scaled == pytest.approx(lagging)
    first = dynamic_weights(np.array([7.0, 0.1]), np.array([7.0, 0.1]), one, one, 1.0, 0.0)
    assert first == pytest.approx([1, 1])


def test_a_group_with_loss_zero_keeps_a_weight_and_all_zero_losses_give_equal_weights():
    zero, one = np.zeros(2), np.ones(2)
    weights = dynamic_weights(np.array([0.0, 1.0]), one, one, one, 1.0, 0.0)
    # The loss ratios count as 0.05 and 1.
    assert weights == pytest.approx([2 * 1 / 21, 2 * 20 / 21])
    assert dynamic_weights(zero, one, one, one, 1.0, 0.5) == pytest.approx([1, 1])
    assert dynamic_weights(one, zero, one, one, 1.0, 0.5) == pytest.approx([1, 1])


def test_history_follows_the_formula():
    history = _train(_model(), epochs=5)
    assert max(history["dws_hard"]) != min(history["dws_hard"])
    _assert_follows_the_formula(history)


def test_training_uses_the_weights_without_a_new_trace():
    """The total loss of each epoch is the weighted sum of the groups', with one trace in all."""
    traces = []

    class Counting(MaskedBinaryCrossentropy):
        def call(self, y_true, y_pred):
            traces.append(1)
            return super().call(y_true, y_pred)

    model = _model()
    arguments = objective(GROUPS)
    arguments["loss"]["easy"] = Counting()
    model.compile(keras.optimizers.SGD(0.5), **arguments)
    first = model.fit(_data(), epochs=1, verbose=0, callbacks=[DynamicWeighting()]).history
    after_one_epoch = len(traces)
    history = model.fit(_data(), epochs=5, verbose=0, callbacks=[DynamicWeighting()]).history
    assert len(traces) == after_one_epoch
    assert first["dws_hard"] == [0.5]
    for epoch in range(5):
        weighted = sum(history[f"dws_{g}"][epoch] * history[f"{g}_loss"][epoch] for g in GROUPS)
        assert history["loss"][epoch] == pytest.approx(weighted, rel=1e-5)
    assert len(set(history["dws_hard"])) == 5


def test_weights_scale_the_gradients():
    """One step of plain gradient descent moves a head in proportion to its group's weight."""
    moved = {}
    for weight in (1.0, 2.5):
        model = _model()
        arguments = objective(GROUPS)
        model.compile(keras.optimizers.SGD(0.1), **arguments)
        callback = DynamicWeighting()
        callback.set_model(model)
        model.dynamic_weights.variable_by_group["hard"].assign(weight)
        before = model.get_layer("hard").get_weights()[0]
        images, labels = next(iter(_data()))
        model.train_on_batch(images, labels)
        moved[weight] = model.get_layer("hard").get_weights()[0] - before
    np.testing.assert_allclose(moved[2.5], 2.5 * moved[1.0], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(
    "compile_arguments", [{"jit_compile": True}, {"steps_per_execution": 3}], ids=str
)
def test_works_with_xla_and_with_several_steps_per_execution(compile_arguments):
    history = _train(_model(), **compile_arguments)
    _assert_follows_the_formula(history)
    weighted = sum(history[f"dws_{g}"][-1] * history[f"{g}_loss"][-1] for g in GROUPS)
    assert history["loss"][-1] == pytest.approx(weighted, rel=1e-4)


def test_works_after_load_model(tmp_path):
    model = _model()
    _train(model, epochs=2)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    # First without the callback, so that a step with constant weights is traced before.
    loaded.fit(_data(), epochs=1, verbose=0)
    history = loaded.fit(
        _data(), epochs=3, verbose=0, callbacks=[DynamicWeighting(1.5, 0.3)]
    ).history
    assert len(set(history["dws_easy"])) == 2
    weighted = sum(history[f"dws_{g}"][-1] * history[f"{g}_loss"][-1] for g in GROUPS)
    assert history["loss"][-1] == pytest.approx(weighted, rel=1e-4)


def test_works_on_a_model_compiled_with_plain_numbers():
    model = _model()
    arguments = objective(GROUPS)
    arguments["loss_weights"] = {"easy": 2.0, "hard": 0.25, "flat": 4.0}
    model.compile("sgd", **arguments)
    history = model.fit(_data(), epochs=3, verbose=0, callbacks=[DynamicWeighting()]).history
    assert [history[f"dws_{group}"][0] for group in GROUPS] == [2.0, 0.25, 4.0]
    assert sum(history[f"dws_{group}"][2] for group in GROUPS) == pytest.approx(6.25)
    assert len(set(history["dws_hard"])) == 2


def _two_groups(names=("a", "b"), **losses):
    keras.utils.set_random_seed(4)
    images = keras.Input((3,))
    model = keras.Model(images, {name: keras.layers.Dense(1, name=name)(images) for name in names})
    model.compile("sgd", {name: losses.get(name, "mse") for name in names})
    return model


def _fit(model, epochs=3, callback=None, value=1.0, **arguments):
    names = list(model.output)
    images = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    labels = {name: value * images[:, :1] + number for number, name in enumerate(names)}
    callback = callback or DynamicWeighting()
    callbacks = [callback, *arguments.pop("callbacks", [])]
    return model.fit(
        images, labels, epochs=epochs, verbose=0, callbacks=callbacks, shuffle=False, **arguments
    ).history


def test_several_fits_of_a_compiled_model_continue_like_one():
    expected = _fit(_two_groups(), epochs=4)
    model = _two_groups()
    first, second = _fit(model, epochs=1), _fit(model, epochs=3)
    assert first["dws_a"] + second["dws_a"] == expected["dws_a"]
    assert len(set(expected["dws_a"])) == 3


def test_a_second_model_and_a_second_compilation_start_afresh():
    callback = DynamicWeighting()
    model = _two_groups()
    expected = _fit(model, callback=callback)["dws_a"]
    assert _fit(_two_groups(), callback=callback)["dws_a"] == expected
    model.set_weights(_two_groups().get_weights())
    model.compile("sgd", {"a": "mse", "b": "mse"}, loss_weights={"a": 2.0, "b": 0.5})
    again = _fit(model, callback=callback)
    assert (again["dws_a"][:2], again["dws_b"][:2]) == ([2.0, 2.0], [0.5, 0.5])
    assert again["dws_a"][2] != 2.0


def test_a_new_set_of_weighted_outputs_starts_afresh():
    model = _two_groups(names=("a", "b", "c"))
    _fit(model)
    model.compile("sgd", {"a": "mse", "b": None, "c": "mse"})
    history = _fit(model)
    assert sorted(name for name in history if name.startswith("dws_")) == ["dws_a", "dws_c"]
    assert history["dws_a"][0] == 1.0
    assert history["dws_a"][2] != 1.0


def test_training_losses_of_a_group_whose_name_begins_with_val():
    names = ("a", "val_a")
    expected = _fit(_two_groups(names))
    images = np.zeros((4, 3), "float32")
    validation = images, {name: np.full((4, 1), 9.0, "float32") for name in names}
    actual = _fit(_two_groups(names), validation_data=validation)
    assert actual["val_a_loss"] != expected["val_a_loss"]  # that of validation, as Keras has it
    assert actual["dws_val_a"] == expected["dws_val_a"]


def test_an_output_without_loss_is_not_weighted():
    history = _fit(_two_groups(names=("a", "b", "c"), b=None))
    assert sorted(name for name in history if name.startswith("dws_")) == ["dws_a", "dws_c"]
    weighted = sum(history[f"dws_{g}"][2] * history[f"{g}_loss"][2] for g in "ac")
    assert history["loss"][2] == pytest.approx(weighted, rel=1e-5)
    with pytest.raises(ValueError, match="a dict of two or more losses"):
        _fit(_two_groups(b=None))


def test_loss_weights_in_another_form_are_refused():
    model = _two_groups()
    for weights, message in (([1.0, 2.0], "as a dict"), ({"a": 1.0, "b": 0.0}, "positive.*'b'")):
        model.compile("sgd", {"a": "mse", "b": "mse"}, loss_weights=weights)
        with pytest.raises(ValueError, match=message):
            _fit(model)


def test_logs_without_losses_change_no_weight_and_give_a_warning(caplog):
    model, callback = _two_groups(), DynamicWeighting()
    callback.set_model(model)
    callback.on_epoch_end(0, None)
    assert "no loss of a, b" in caplog.text
    assert list(model.dynamic_weights.values()) == [1.0, 1.0]


class InterruptionError(Exception):
    """Interrupts training in these tests."""


def test_backup_and_restore_resumes_dws(tmp_path):
    expected = _fit(_two_groups(), epochs=5)

    def interrupt(epoch, logs):
        if epoch == 3:
            raise InterruptionError

    callbacks = [
        keras.callbacks.BackupAndRestore(tmp_path),
        keras.callbacks.LambdaCallback(on_epoch_begin=interrupt),
    ]
    with pytest.raises(InterruptionError):
        _fit(_two_groups(), epochs=5, callbacks=callbacks)
    model = _two_groups()
    resumed = _fit(model, epochs=5, callbacks=callbacks[:1])
    assert resumed["dws_a"] == expected["dws_a"][3:]
    assert resumed["loss"] == pytest.approx(expected["loss"][3:], rel=1e-6)


def test_weights_of_a_run_without_dws_load_into_one_with_dws(tmp_path):
    plain = _two_groups()
    plain.save_weights(tmp_path / "plain.weights.h5")
    model = _two_groups()
    _fit(model)
    before = list(model.dynamic_weights.values())
    model.load_weights(tmp_path / "plain.weights.h5")
    assert list(model.dynamic_weights.values()) == before
    model.save_weights(tmp_path / "dws.weights.h5")
    plain.load_weights(tmp_path / "dws.weights.h5")
    np.testing.assert_array_equal(plain.get_weights()[0], model.get_weights()[0])


OTHER_BACKEND = """
import test_dynamic_weighting as tests
history = tests._fit(tests._two_groups(("a", "val_a")), epochs=4)
assert len(set(history["dws_a"])) == 3, history
validated = tests._fit(
    tests._two_groups(("a", "val_a")), epochs=4,
    validation_data=(tests.np.zeros((4, 3)), {n: tests.np.ones((4, 1)) for n in ("a", "val_a")}))
assert validated["dws_val_a"] == history["dws_val_a"]
for epoch in range(4):
    weighted = sum(history[f"dws_{g}"][epoch] * history[f"{g}_loss"][epoch] for g in ("a", "val_a"))
    assert abs(weighted / history["loss"][epoch] - 1) < 1e-5
"""


@pytest.mark.parametrize("backend", OTHER_BACKENDS)
def test_works_on_other_backends(backend):
    pytest.importorskip(backend)
    run_on(backend, f"import sys; sys.path.append({FOLDER!r})\n{OTHER_BACKEND}")


MIRRORED = """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from test_dynamic_weighting import _assert_follows_the_formula, _model, _train, GROUPS
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert strategy.num_replicas_in_sync == 2
with strategy.scope():
    model = _model()
    history = _train(model)
_assert_follows_the_formula(history)
single = _train(_model())
for group in GROUPS:
    for ours, theirs in zip(history[f"{group}_loss"], single[f"{group}_loss"]):
        assert abs(ours - theirs) < 1e-4, (group, ours, theirs)
"""


def test_works_under_mirrored_strategy_with_the_losses_of_one_device():
    paths = os.pathsep.join([FOLDER, str(Path(FOLDER).parent)])
    environment = {**os.environ, "PYTHONPATH": paths}
    result = subprocess.run(
        [sys.executable, "-c", MIRRORED],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]


def test_weights_are_in_the_scalars_of_tensorboard(tmp_path):
    event_accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    )
    board = keras.callbacks.TensorBoard(tmp_path, write_graph=False)
    history = _train(_model(), epochs=3, callbacks=[DynamicWeighting(), board])
    events = event_accumulator.EventAccumulator(
        str(tmp_path / "train"), size_guidance={"tensors": 0}
    )
    events.Reload()
    logged = [
        float(tf.make_ndarray(event.tensor_proto)) for event in events.Tensors("epoch_dws_hard")
    ]
    assert logged == pytest.approx(history["dws_hard"])


def test_a_nan_loss_is_an_error_that_names_the_group():
    model = _model()
    model.layers[2].trainable = False  # else the NaN spreads to all groups within a step
    model.compile("sgd", **objective(GROUPS))
    kernel, bias = model.get_layer("flat").get_weights()
    model.get_layer("flat").set_weights([kernel * np.nan, bias])
    with pytest.raises(
        FloatingPointError, match=r"after epoch 1 the loss is not finite for flat \(nan\)"
    ):
        model.fit(_data(), epochs=2, verbose=0, callbacks=[DynamicWeighting()])


def test_a_model_with_one_loss_is_refused():
    model = _model()
    model.compile("sgd", loss=MaskedBinaryCrossentropy())
    with pytest.raises(ValueError, match="a dict of two or more losses"):
        model.fit(_data(), epochs=1, verbose=0, callbacks=[DynamicWeighting()])


@pytest.mark.parametrize(("strength", "smoothing"), [(0, 0.5), (-1, 0.5), (1, 1.0), (1, -0.1)])
def test_arguments_out_of_range_are_refused(strength, smoothing):
    with pytest.raises(ValueError, match="strength must be above 0"):
        DynamicWeighting(strength, smoothing)
