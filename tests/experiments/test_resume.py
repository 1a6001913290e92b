"""A killed and resumed training run ends with the same numbers as an uninterrupted one."""

import contextlib
import csv
import json
import logging
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml
from conftest import random_labels, write_celeba
from small_network import GROUPS as TWO_GROUPS
from small_network import in_place_of_faramtn

from keras_faramtn.atomic_files import TEMPORARY_PREFIX
from keras_faramtn.attributes import CELEBA_ATTRIBUTES, AttributeGroups
from keras_faramtn.callbacks.checkpoint import Checkpoint, read_state
from keras_faramtn.callbacks.dynamic_weighting import DynamicWeighting
from keras_faramtn.errors import InputError
from keras_faramtn.experiments.run import train_recipe
from keras_faramtn.layers import AttributeHead
from keras_faramtn.models import load_model
from keras_faramtn.objective import objective

GROUPS = AttributeGroups({"one": ["a", "b"], "two": ["c"]}, attributes=list("abc"))
RUN = {"recipe": {"training": {"epochs": 4}}, "steps_per_epoch": 4}


def _model(width=8):
    keras.utils.set_random_seed(1)
    images = keras.Input((3, 2, 3), name="images")
    hidden = keras.layers.Dense(width)(keras.layers.GlobalAveragePooling2D()(images))
    hidden = keras.layers.BatchNormalization()(keras.layers.Dropout(0.3)(hidden))
    logits = {
        group: AttributeHead(GROUPS[group], GROUPS.positions(group), name=group)(hidden)
        for group in GROUPS
    }
    model = keras.Model(images, logits)
    model.compile(keras.optimizers.Adam(0.05), **objective(GROUPS))
    model.optimizer.build(model.trainable_variables)
    return model


def _data():
    rng = np.random.default_rng(0)
    images = rng.normal(size=(30, 3, 2, 3)).astype("float32")
    labels = {
        "one": rng.integers(0, 2, (30, 2)).astype("float32"),
        "two": rng.integers(0, 2, (30, 1)).astype("float32"),
    }
    return tf.data.Dataset.from_tensor_slices((images, labels)).batch(8)


class InterruptionError(Exception):
    """Interrupts training in these tests."""


def _fit(folder, model=None, epochs=4, stop_in=None, run=RUN):
    """Trains or resumes; returns the model and the checkpoint's history."""
    folder.mkdir(exist_ok=True)
    model = model or _model()
    weighting = DynamicWeighting()
    checkpoint = Checkpoint(folder, run)

    def stop(batch, logs):
        if stop_in is not None and checkpoint.epochs_done == stop_in and batch == 1:
            raise InterruptionError

    stopping = keras.callbacks.LambdaCallback(on_train_batch_end=stop)
    with contextlib.suppress(InterruptionError):
        model.fit(
            _data(),
            validation_data=_data(),
            epochs=epochs,
            verbose=0,
            shuffle=False,
            callbacks=[weighting, stopping, checkpoint],
        )
    return model, checkpoint.history


def _assert_equal(first, second):
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(first.optimizer.variables, second.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a, b)


def test_optimizer_dws_dropout_and_history_are_resumed(tmp_path):
    model, history = _fit(tmp_path / "uninterrupted")
    _fit(tmp_path / "interrupted", stop_in=0)
    _fit(tmp_path / "interrupted", stop_in=2)
    resumed, resumed_history = _fit(tmp_path / "interrupted")
    assert resumed_history == history
    _assert_equal(resumed, model)
    assert len(history["loss"]) == len(set(history["loss"])) == 4
    assert history["dws_one"][3] != history["dws_one"][2]
    with (tmp_path / "interrupted" / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [0, 1, 2, 3]
    for name, values in history.items():
        assert [float(row[name]) for row in rows] == values


def test_an_epoch_without_validation_has_nan_in_the_history(tmp_path):
    def fit(epochs):
        checkpoint = Checkpoint(tmp_path, RUN)
        _model().fit(
            _data(),
            validation_data=_data(),
            validation_freq=2,
            epochs=epochs,
            verbose=0,
            callbacks=[checkpoint],
        )
        return checkpoint.history

    fit(epochs=3)
    history = fit(epochs=4)
    assert np.isnan(history["val_loss"]).tolist() == [True, False, True, False]
    assert np.isfinite(history["loss"]).all()
    with (tmp_path / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    for name, values in history.items():
        np.testing.assert_array_equal([float(row[name]) for row in rows], values)


def test_a_history_that_a_killed_process_did_not_write_is_written(tmp_path):
    _fit(tmp_path / "run", epochs=2)
    expected = (tmp_path / "run" / "history.csv").read_text()
    (tmp_path / "run" / "history.csv").write_text("epoch,loss\n0,1.0\n")
    _fit(tmp_path / "run", epochs=2)
    assert (tmp_path / "run" / "history.csv").read_text() == expected


def test_a_finished_run_is_not_trained_again(tmp_path):
    model, history = _fit(tmp_path / "run")
    again, history_again = _fit(tmp_path / "run")
    assert history_again == history
    _assert_equal(again, model)
    again.fit(_data(), epochs=1, verbose=0)  # and Keras's own fit starts from its first epoch
    assert again.history.epoch == [0]


def test_a_checkpoint_is_the_model_of_the_last_completed_epoch(tmp_path):
    model, _ = _fit(tmp_path / "two", epochs=2)
    _fit(tmp_path / "interrupted", stop_in=2)
    loaded = load_model(tmp_path / "interrupted" / "checkpoint.keras")
    images = np.random.default_rng(2).normal(size=(5, 3, 2, 3))
    expected = model.predict(images, verbose=0)
    for group, logits in loaded.predict(images, verbose=0).items():
        np.testing.assert_array_equal(logits, expected[group])


def test_a_partially_written_file_is_not_a_checkpoint(tmp_path):
    _fit(tmp_path / "run", stop_in=2)
    partial = tmp_path / "run" / f"{TEMPORARY_PREFIX}of_a_killed_process" / "checkpoint.keras"
    partial.parent.mkdir()
    partial.write_bytes((tmp_path / "run" / "checkpoint.keras").read_bytes()[:1000])
    _, history = _fit(tmp_path / "run")
    assert len(history["loss"]) == 4


def test_a_loss_that_is_not_finite_leaves_the_last_good_checkpoint(tmp_path):
    model, _ = _fit(tmp_path / "run", epochs=2)
    model.get_layer("one").set_weights([w * np.nan for w in model.get_layer("one").get_weights()])
    before = (tmp_path / "run" / "checkpoint.keras").read_bytes()
    checkpoint = Checkpoint(tmp_path / "run", RUN)
    checkpoint.set_model(model)
    checkpoint.epochs_done = 2
    for logs in ({"loss": np.nan}, {"loss": 1.0, "val_loss": np.inf}):
        with pytest.raises(FloatingPointError, match=r"loss is .* after epoch 3"):
            checkpoint.on_epoch_end(2, logs)
    assert (tmp_path / "run" / "checkpoint.keras").read_bytes() == before


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:500]), "can't be read as a checkpoint"),
        (lambda path: _model().save(path), "can't be read as a checkpoint"),
    ],
    ids=["cut off", "a model without state"],
)
def test_a_file_that_is_not_a_checkpoint_is_refused(tmp_path, spoil, message):
    _fit(tmp_path / "run", stop_in=1)
    spoil(tmp_path / "run" / "checkpoint.keras")
    with pytest.raises(InputError, match=rf"checkpoint\.keras: .*{message}.*; remove it"):
        _fit(tmp_path / "run")


def test_a_checkpoint_of_another_run_or_network_is_refused(tmp_path):
    _fit(tmp_path / "run", stop_in=1)
    other = {"recipe": {"training": {"epochs": 5}}, "steps_per_epoch": 4}
    with pytest.raises(InputError, match=r"recipe\.training\.epochs: found 4, expected 5"):
        _fit(tmp_path / "run", run=other)
    with pytest.raises(InputError, match="this checkpoint belongs to another network"):
        _fit(tmp_path / "run", model=_model(width=9))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(13, "Permission denied"), r"can't be read: Permission denied\.$"),
        (ValueError(), r"belongs to another network; .*Keras reports: ValueError\.$"),
    ],
)
def test_a_checkpoint_that_keras_cannot_load_is_reported(tmp_path, monkeypatch, error, message):
    def fail(model, path):
        raise error

    _fit(tmp_path / "run", stop_in=1)
    monkeypatch.setattr(keras.Model, "load_weights", fail)
    with pytest.raises(InputError, match=message):
        _fit(tmp_path / "run")


# The tests below run the complete training, with augmentation and DWS.

KILLED = """
import logging, os, signal, sys
from pathlib import Path
import keras
from small_network import in_place_of_faramtn
from keras_faramtn.experiments.run import train_recipe
from keras_faramtn.callbacks.checkpoint import Checkpoint

logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stdout)
recipe, data, folder, where = sys.argv[1:]

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

def epochs_done():
    history = Path(folder) / "history.csv"
    return len(history.read_text().splitlines()) - 1 if history.exists() else 0

def during_an_epoch(self, batch, logs=None):
    if batch == 2 and epochs_done() == 2:
        kill()

def while_writing(model, path, save=keras.Model.save):
    save(model, path)
    if epochs_done() == 3:
        content = Path(path).read_bytes()
        Path(path).write_bytes(content[: len(content) // 2])
        kill()

if where == "epoch":
    Checkpoint.on_train_batch_end = during_an_epoch
if where == "writing":
    keras.Model.save = while_writing
with in_place_of_faramtn():
    train_recipe(recipe, data, Path(folder))
"""


@pytest.fixture
def small_network():
    with in_place_of_faramtn():
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "celeba"
    return write_celeba(folder, random_labels(50), [0] * 36 + [1] * 14)


def _recipe(folder, **training):
    path = folder / "recipe.yaml"
    content = {
        "data": {"image_size": [32, 40], "erase": 0.5, "mixup": 0.4},
        "model": {"backbone": "mobilenetv3_small", "groups": TWO_GROUPS, "dropout": 0.3},
        "training": {"epochs": 5, "batch_size": 8, "learning_rate": 0.01, **training},
    }
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.mark.slow
def test_a_run_killed_twice_gives_the_results_of_an_uninterrupted_one(
    small_network, data, tmp_path
):
    recipe = _recipe(tmp_path, optimizer="muon")
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    train_recipe(recipe, data, tmp_path / "uninterrupted")
    for where in ("epoch", "writing"):
        result = subprocess.run(
            [sys.executable, "-c", KILLED, recipe, data, tmp_path / "killed", where],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
        assert result.returncode == -9, result.stderr[-3000:]
        assert not (tmp_path / "killed" / "metrics.json").exists()
    assert "Resuming after epoch 2 of 5" in result.stdout
    assert read_state(tmp_path / "killed" / "checkpoint.keras")["epochs_done"] == 3
    [partial] = (tmp_path / "killed").glob(f"{TEMPORARY_PREFIX}*/checkpoint.keras")
    assert not zipfile.is_zipfile(partial)
    train_recipe(recipe, data, tmp_path / "killed")

    for name in ("history.csv", "metrics.json"):
        uninterrupted, killed = (tmp_path / run / name for run in ("uninterrupted", "killed"))
        assert uninterrupted.read_text() == killed.read_text()
    models = [load_model(tmp_path / run / "model.keras") for run in ("uninterrupted", "killed")]
    for a, b in zip(models[0].get_weights(), models[1].get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(set(csv_column(tmp_path / "uninterrupted", "loss"))) == 5
    with pytest.raises(InputError, match="this run is finished"):
        train_recipe(recipe, data, tmp_path / "killed")


def csv_column(folder, name):
    with (folder / "history.csv").open() as file:
        return [row[name] for row in csv.DictReader(file)]


def _train_into_the_second_epoch(recipe, data, folder):
    """Trains, with Ctrl-C pressed in the second epoch."""

    def interrupt(self, batch, logs=None):
        if batch == 2 and (folder / "history.csv").exists():
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "on_train_batch_end", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train_recipe(recipe, data, folder)


def test_a_run_is_not_resumed_with_another_teacher(small_network, data, tmp_path):
    teacher = tmp_path / "teacher" / "model.keras"
    train_recipe(_recipe(tmp_path, epochs=1), data, teacher.parent)
    recipe = _recipe(tmp_path, epochs=2, teacher={"model": str(teacher)})
    _train_into_the_second_epoch(recipe, data, tmp_path / "run")
    before = teacher.read_bytes()
    load_model(tmp_path / "run" / "interrupted.keras").save(teacher)
    with pytest.raises(InputError, match=r"data: found .*, expected .*"):
        train_recipe(recipe, data, tmp_path / "run")
    teacher.write_bytes(before)
    train_recipe(recipe, data, tmp_path / "run")
    assert len(csv_column(tmp_path / "run", "loss")) == 2


def test_a_run_augmented_by_layers_is_resumed_with_the_same_result(small_network, data, tmp_path):
    recipe = _recipe(tmp_path, epochs=2)
    content = yaml.safe_load(recipe.read_text())
    content["data"]["augmentation"] = [
        {"RandomColorJitter": {"brightness_factor": 0.3, "contrast_factor": 0.2}},
        {"RandomChannelShift": {"factor": 0.3}},
    ]
    recipe.write_text(yaml.safe_dump(content))
    train_recipe(recipe, data, tmp_path / "uninterrupted")
    _train_into_the_second_epoch(recipe, data, tmp_path / "run")
    train_recipe(recipe, data, tmp_path / "run")
    models = [load_model(tmp_path / run / "model.keras") for run in ("uninterrupted", "run")]
    for a, b in zip(models[0].get_weights(), models[1].get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)

    content["data"]["augmentation"].reverse()
    recipe.write_text(yaml.safe_dump(content))
    shutil.copytree(tmp_path / "run", tmp_path / "other", ignore=shutil.ignore_patterns("model*"))
    with pytest.raises(InputError, match=r"data\.augmentation: found \["):
        train_recipe(recipe, data, tmp_path / "other")


def test_a_run_is_resumed_after_its_data_and_cache_were_moved(small_network, data, tmp_path):
    recipe = _recipe(tmp_path, epochs=2)
    _train_into_the_second_epoch(recipe, data, tmp_path / "run")
    moved = tmp_path / "moved"
    shutil.copytree(data, moved)
    content = yaml.safe_load(recipe.read_text())
    content["data"] |= {"folder": str(moved), "cache": str(tmp_path / "cache")}
    recipe.write_text(yaml.safe_dump(content))
    train_recipe(recipe, None, tmp_path / "run")
    assert len(csv_column(tmp_path / "run", "loss")) == 2


def test_ctrl_c_saves_the_current_model_and_can_be_resumed(small_network, data, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    recipe = _recipe(tmp_path, epochs=2)
    _train_into_the_second_epoch(recipe, data, tmp_path / "run")
    assert "To resume after epoch 1 of 2" in caplog.text
    assert not (tmp_path / "run" / "model.keras").exists()
    interrupted = load_model(tmp_path / "run" / "interrupted.keras").get_weights()
    checkpoint = load_model(tmp_path / "run" / "checkpoint.keras").get_weights()
    assert any((a != b).any() for a, b in zip(interrupted, checkpoint, strict=True))

    with pytest.raises(InputError, match=r"another recipe: training\.epochs: found 2, expected 3"):
        train_recipe(_recipe(tmp_path, epochs=3), data, tmp_path / "run")
    train_recipe(_recipe(tmp_path, epochs=2), data, tmp_path / "run")
    assert "Resuming after epoch 1 of 2" in caplog.text
    assert not (tmp_path / "run" / "interrupted.keras").exists()
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())


def test_ctrl_c_before_the_checkpoint_is_restored_keeps_the_interrupted_model(
    small_network, data, tmp_path, caplog
):
    caplog.set_level(logging.INFO)
    recipe = _recipe(tmp_path, epochs=2)
    _train_into_the_second_epoch(recipe, data, tmp_path / "run")
    interrupted = (tmp_path / "run" / "interrupted.keras").read_bytes()
    caplog.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "_restore", _press_ctrl_c)
        with pytest.raises(KeyboardInterrupt):
            train_recipe(recipe, data, tmp_path / "run")
    assert (tmp_path / "run" / "interrupted.keras").read_bytes() == interrupted
    assert "Interrupted." not in caplog.text


def test_ctrl_c_while_a_checkpoint_is_written_reports_the_previous_epoch(
    small_network, data, tmp_path, caplog
):
    caplog.set_level(logging.INFO)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "_write_history", _press_ctrl_c_after_an_epoch)
        with pytest.raises(KeyboardInterrupt):
            train_recipe(_recipe(tmp_path, epochs=2), data, tmp_path / "run")
    assert "To resume after epoch 0 of 2" in caplog.text


def test_a_run_is_not_resumed_with_its_groups_in_another_order(small_network, data, tmp_path):
    groups = {"first": list(CELEBA_ATTRIBUTES[:7]), "rest": list(CELEBA_ATTRIBUTES[7:])}
    recipe = _recipe(tmp_path, epochs=2)
    content = yaml.safe_load(recipe.read_text())

    def write(groups):
        content["model"]["groups"] = groups
        recipe.write_text(yaml.safe_dump(content, sort_keys=False))

    write(groups)
    _train_into_the_second_epoch(recipe, data, tmp_path / "run")
    write(dict(reversed(groups.items())))
    with pytest.raises(
        InputError, match=r"model\.groups\.first, model\.groups\.rest: the order differs"
    ):
        train_recipe(recipe, data, tmp_path / "run")


def _press_ctrl_c(*arguments):
    raise KeyboardInterrupt


def _press_ctrl_c_after_an_epoch(checkpoint):
    if checkpoint.history:
        raise KeyboardInterrupt
