"""Freezing of the backbone, and its learning rate."""

import keras
import numpy as np
import pytest
import small_network
from small_network import in_place_of_faramtn, train

from keras_faramtn.callbacks import Checkpoint
from keras_faramtn.errors import InputError
from keras_faramtn.experiments import trainer
from keras_faramtn.models import load_model
from keras_faramtn.optimizers import (
    MUON_SUPPORTED,
    ConvolutionMuon,
    SlowerBackboneAdamW,
    SlowerBackboneMuon,
)

FROZEN = {"train_backbone_from": 3, "epochs": 4, "weight_decay": 0.1}
optimizers = pytest.mark.parametrize(
    "optimizer",
    [
        "adamw",
        pytest.param(
            "muon", marks=pytest.mark.skipif(not MUON_SUPPORTED, reason="an earlier Keras")
        ),
    ],
)


def _weights(model):
    return {weight.path: keras.ops.convert_to_numpy(weight) for weight in model.weights}


def _moved(before, after):
    return {path for path, value in after.items() if not np.array_equal(value, before[path])}


def _is_of_backbone(path):
    return path.startswith(("conv2d", "batch_normalization"))


class Snapshots:
    """The weights after each epoch of a training run."""

    def __init__(self, folder, **training):
        self.after = []
        write = Checkpoint._write

        def recorded(checkpoint, epochs_done=0):
            write(checkpoint, epochs_done)
            self.after.append(_weights(checkpoint.model))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Checkpoint, "_write", recorded)
            self.history, self.model = train(folder, **training)


@optimizers
def test_a_frozen_backbone_and_its_statistics_move_only_from_the_given_epoch(optimizer, tmp_path):
    keras.utils.set_random_seed(0)
    run = Snapshots(tmp_path, optimizer=optimizer, **FROZEN)
    initial, after_1, after_2, after_3, _ = run.after
    backbone = {path for path in initial if _is_of_backbone(path)}
    assert len(backbone) == 5  # a kernel; scale, shift, mean and variance
    assert _moved(initial, after_1) == _moved(after_1, after_2) == set(initial) - backbone
    assert _moved(after_2, after_3) == set(initial)
    assert len(run.history["loss"]) == 4
    assert all(layer.trainable for layer in load_model(tmp_path / "model.keras").layers)


def test_each_phase_has_its_own_warmup_and_cosine(tmp_path):
    rates = []

    class Rates(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            rates.append(float(self.model.optimizer.learning_rate))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "_set_epoch", lambda epoch: Rates())
        callbacks = trainer._callbacks
        patch.setattr(trainer, "_callbacks", lambda *arguments: [Rates(), *callbacks(*arguments)])
        train(tmp_path, **{**FROZEN, "epochs": 3, "warmup": 0.25, "learning_rate": 0.008})
    first = [0, 0.008 / 3, 0.016 / 3, *(0.004 * (1 + np.cos(np.pi * np.arange(9) / 9)))]
    second = [0, 0.004, *(0.004 * (1 + np.cos(np.pi * np.arange(4) / 4)))]
    np.testing.assert_allclose(rates, [*first, *second], atol=1e-8)


def test_epochs_are_counted_to_the_last_phase(tmp_path, caplog):
    with caplog.at_level("INFO"):
        train(tmp_path, **FROZEN)
    lines = [each.split(":")[0] for each in caplog.messages if each.startswith("Epoch ")]
    assert lines == ["Epoch 1/4", "Epoch 2/4", "Epoch 3/4", "Epoch 4/4"]
    assert "Resuming after epoch 2 of 4" in caplog.text


def _interrupt_in(epoch, folder, **arguments):
    """Trains until Ctrl-C at the beginning of an epoch, counted from 1; returns those begun."""
    begin, begun = Checkpoint.on_epoch_begin, []

    def interrupt(self, number, logs=None):
        begun.append(number + 1)
        if number + 1 == epoch:
            raise KeyboardInterrupt
        begin(self, number, logs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "on_epoch_begin", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(folder, **arguments)
    return begun


INTERRUPTED = {**FROZEN, "train_backbone_from": 2, "epochs": 3, "backbone_learning_rate": 0.1}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return train(tmp_path_factory.mktemp("whole"), **INTERRUPTED)


@pytest.mark.parametrize("epoch", [2, 3])  # between the phases, and in the second
def test_an_interrupted_run_is_identical_to_an_uninterrupted_one(epoch, uninterrupted, tmp_path):
    history, model = uninterrupted
    assert _interrupt_in(epoch, tmp_path, **INTERRUPTED) == list(range(1, epoch + 1))
    resumed, other = train(tmp_path, **INTERRUPTED)
    assert resumed == history
    for one, same in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, same)


def test_a_backbone_that_stays_frozen(tmp_path):
    run = Snapshots(tmp_path, epochs=2, train_backbone_from=3)
    moved = _moved(run.after[0], run.after[-1])
    assert moved
    assert not any(_is_of_backbone(path) for path in moved)
    loaded = keras.saving.load_model(tmp_path / "model.keras")  # with its optimizer
    assert len(loaded.optimizer.variables) == len(run.model.optimizer.variables)
    assert all(weight.trainable for layer in loaded.layers for weight in layer.weights[:1])


def test_training_starts_from_the_checkpoint_of_a_frozen_backbone(tmp_path):
    keras.backend.clear_session()  # layers are named by counting
    _interrupt_in(2, tmp_path, **FROZEN)
    keras.backend.clear_session()
    content = small_network.recipe().model_dump(mode="json")
    content["model"]["start_from"] = str(tmp_path / "checkpoint.keras")
    with in_place_of_faramtn():
        model = trainer.build_model(trainer.recipes.Recipe.model_validate(content))
    saved = _weights(load_model(tmp_path / "checkpoint.keras"))
    for path, value in _weights(model).items():
        np.testing.assert_array_equal(value, saved[path])


@pytest.mark.parametrize(
    ("slower", "plain"),
    [
        (SlowerBackboneAdamW, keras.optimizers.AdamW),
        pytest.param(
            SlowerBackboneMuon,
            ConvolutionMuon,
            marks=pytest.mark.skipif(not MUON_SUPPORTED, reason="an earlier Keras"),
        ),
    ],
)
@pytest.mark.parametrize("accumulate", [None, 2])
def test_each_variable_is_trained_as_by_the_optimizer_at_its_learning_rate(
    slower, plain, accumulate
):
    rng = np.random.default_rng(0)
    data = rng.normal(size=(8, 4)), rng.normal(size=(8, 2))

    def train_one(optimizer, trained):
        keras.utils.set_random_seed(1)
        inputs = keras.Input((4,))
        body = keras.layers.Dense(3, name="body", trainable=trained != "head")(inputs)
        head = keras.layers.Dense(2, name="head", trainable=trained != "body")(body)
        model = keras.Model(inputs, head)
        optimizer.exclude_from_weight_decay(var_names=["bias"])
        model.compile(optimizer, "mse", jit_compile=False)
        # One update: then each layer's gradient doesn't depend on the other's update.
        model.fit(*data, batch_size=8, epochs=accumulate or 1, shuffle=False, verbose=0)
        return _weights(model)

    common = {"weight_decay": 0.5, "gradient_accumulation_steps": accumulate}
    actual = train_one(
        slower(0.01, backbone_factor=0.25, other_layers=["head"], **common), "everything"
    )
    body = train_one(plain(0.01 * 0.25, **common), "body")
    head = train_one(plain(0.01, **common), "head")
    for path, value in actual.items():
        expected = (body if path.startswith("body") else head)[path]
        np.testing.assert_allclose(value, expected, rtol=1e-6, atol=1e-7)
    assert abs(actual["body/kernel"] - head["body/kernel"]).max() > 1e-4  # it has moved


def test_a_slower_optimizer_is_saved_and_loaded(tmp_path):
    train(tmp_path, epochs=1, backbone_learning_rate=0.1)
    optimizer = keras.saving.load_model(tmp_path / "model.keras").optimizer
    assert type(optimizer) is SlowerBackboneAdamW
    assert optimizer.backbone_factor == 0.1
    assert "hair" in optimizer.other_layers
    assert not any(_is_of_backbone(name) for name in optimizer.other_layers)


def test_more_accumulated_batches_than_a_phase_has_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"training\.accumulate: 13 batches make one update"):
        train(tmp_path, **FROZEN, accumulate=13)
