"""Precision, XLA, accumulation, several devices and JAX give the same training result."""

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import write_celeba
from other_backends import run_on
from small_network import SIZE, batches, initial_weights, recipe, small_network, train

from keras_faramtn.callbacks.checkpoint import read_state
from keras_faramtn.errors import InputError
from keras_faramtn.experiments import trainer
from keras_faramtn.experiments.recipe import write_recipe
from keras_faramtn.models import load_model

JAX = importlib.util.find_spec("jax") is not None
needs_jax = pytest.mark.skipif(not JAX, reason="jax is not installed: training was not run on it")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return train(tmp_path_factory.mktemp("plain"), initial_weights())[0]


def _losses(history):
    return np.array([history["loss"], history["val_loss"]])


def _assert_learns(history):
    assert history["loss"][-1] < 0.8 * history["loss"][0]


@pytest.mark.parametrize(
    ("settings", "tolerance"),
    [
        ({"jit_compile": True}, 1e-4),
        ({"precision": "mixed_bfloat16"}, 2e-2),
        ({"precision": "mixed_float16"}, 5e-3),
    ],
    ids=str,
)
def test_options_train_to_the_same_loss(settings, tolerance, plain, tmp_path):
    history, model = train(tmp_path, initial_weights(), **settings)
    _assert_learns(plain)
    np.testing.assert_allclose(_losses(history), _losses(plain), rtol=tolerance)
    if "jit_compile" in settings:
        assert model.jit_compile
        return
    assert model.dtype_policy.name == settings["precision"]
    assert model.get_layer("hair").compute_dtype == "float32"
    assert model.layers[2].compute_dtype == settings["precision"].removeprefix("mixed_")
    assert keras.config.dtype_policy().name == "float32"
    assert (_losses(history) != _losses(plain)).all()

    saved = load_model(tmp_path / "model.keras")
    assert {layer.compute_dtype for layer in saved.layers} == {"float32"}
    images = next(iter(batches(16)))[0]
    expected = model.predict(images, verbose=0)
    for group, logits in saved.predict(images, verbose=0).items():
        np.testing.assert_allclose(logits, expected[group], atol=0.1)


def test_accumulated_batches_equal_one_large_batch(tmp_path, monkeypatch):
    # Batch normalisation depends on the batch size, so it is frozen here, as in fine-tuning.
    monkeypatch.setattr(keras.layers.BatchNormalization, "call", _frozen)
    # The schedule advances with each batch, so the learning rate is constant here.
    monkeypatch.setattr(
        keras.optimizers.schedules, "CosineDecay", lambda **settings: settings["warmup_target"]
    )
    large, accumulated, small = (
        _losses(train(tmp_path / str(number), initial_weights(), epochs=2, **settings)[0])
        for number, settings in enumerate(
            [{"batch_size": 16}, {"batch_size": 8, "accumulate": 2}, {"batch_size": 8}]
        )
    )
    np.testing.assert_allclose(accumulated[1], large[1], rtol=1e-4)
    assert np.abs(small[1] / large[1] - 1).min() > 1e-2


def test_more_accumulated_batches_than_the_training_has_are_refused(tmp_path):
    # Two epochs of six batches: twelve make one update, thirteen would make none.
    settings = {"batch_size": 8, "epochs": 2}
    train(tmp_path / "twelve", initial_weights(), accumulate=12, **settings)
    with pytest.raises(
        InputError, match=r"13 batches make one update, .* have 12, .* never change"
    ):
        train(tmp_path / "thirteen", initial_weights(), accumulate=13, **settings)


def _frozen(self, inputs, training=None, mask=None, call=keras.layers.BatchNormalization.call):
    return call(self, inputs, training=False, mask=mask)


PROCESS = """
import json, sys
import numpy as np
{before}
from small_network import initial_weights, train
history, model = train(sys.argv[1], initial_weights(), **json.loads(sys.argv[2]))
{after}
json.dump(history, open(sys.argv[1] + "/history.json", "w"))
"""

TWO_DEVICES = """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
"""


def _environment(backend):
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": os.pathsep.join(paths)}


def _run_process(folder, backend="tensorflow", before="", after="", **settings):
    code = PROCESS.format(before=before, after=after)
    arguments = [str(folder), json.dumps(settings)]
    if backend == "tensorflow":
        command = [sys.executable, "-c", code, *arguments]
        result = subprocess.run(
            command, env=_environment(backend), capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stderr[-4000:]
    else:
        run_on(backend, f"import sys; sys.argv[1:] = {arguments!r}\n{code}")
    return json.loads((folder / "history.json").read_text())


def test_two_devices_train_to_the_same_loss(plain, tmp_path):
    history = _run_process(
        tmp_path,
        before=TWO_DEVICES,
        after="assert model.distribute_strategy.num_replicas_in_sync == 2",
        all_devices=True,
    )
    np.testing.assert_allclose(_losses(history), _losses(plain), rtol=1e-4)
    assert len(set(history["dws_hair"])) == 2  # the first epoch changes nothing
    saved = load_model(tmp_path / "model.keras")
    assert not any(getattr(layer, "synchronized", False) for layer in saved.layers)


@needs_jax
@pytest.mark.slow
def test_jax_trains_the_same_network_with_dws_and_resumes_from_its_checkpoint(plain, tmp_path):
    history = _run_process(tmp_path, "jax", after=RESUMED_ON_JAX)
    np.testing.assert_allclose(history["loss"][0], plain["loss"][0], rtol=1e-4)
    np.testing.assert_allclose(_losses(history), _losses(plain), rtol=1e-3)
    for name in history:
        if name.startswith("dws_"):
            np.testing.assert_allclose(history[name], plain[name], rtol=1e-3)
    for epoch in range(3):
        groups = [name.removeprefix("dws_") for name in history if name.startswith("dws_")]
        weighted = sum(history[f"dws_{g}"][epoch] * history[f"{g}_loss"][epoch] for g in groups)
        assert history["loss"][epoch] == pytest.approx(weighted, rel=1e-5)
    images = next(iter(batches(16)))[0]
    expected = np.load(tmp_path / "hair.npy")
    saved = load_model(tmp_path / "model.keras")  # on TensorFlow
    np.testing.assert_allclose(saved.predict(images, verbose=0)["hair"], expected, atol=1e-4)


RESUMED_ON_JAX = """
import keras
from small_network import batches
assert keras.config.backend() == "jax"
images = next(iter(batches(16)))[0].numpy()
np.save(sys.argv[1] + "/hair.npy", model.predict(images, verbose=0)["hair"])

import os
from keras_faramtn.callbacks import Checkpoint
original = Checkpoint.on_train_batch_end
def interrupt(self, batch, logs=None):
    if batch == 2 and os.path.exists(sys.argv[1] + "/resumed/history.csv"):
        raise KeyboardInterrupt
Checkpoint.on_train_batch_end = interrupt
try:
    train(sys.argv[1] + "/resumed", initial_weights())
    raise SystemExit("was not interrupted")
except KeyboardInterrupt:
    pass
Checkpoint.on_train_batch_end = original
again, _ = train(sys.argv[1] + "/resumed")
assert again == history, (again, history)
"""


@pytest.mark.slow
def test_muon_gives_the_same_loss_on_one_device_on_two_and_on_jax(plain, tmp_path):
    history, _ = train(tmp_path / "one", initial_weights(), optimizer="muon")
    _assert_learns(history)
    assert np.abs(_losses(history) / _losses(plain) - 1).max() > 1e-2
    variants = {"two": {"before": TWO_DEVICES, "all_devices": True}}
    if JAX:
        variants["jax"] = {"backend": "jax"}
    for variant, settings in variants.items():
        (tmp_path / variant).mkdir()
        other = _run_process(tmp_path / variant, optimizer="muon", **settings)
        np.testing.assert_allclose(_losses(other), _losses(history), rtol=1e-3)


def test_all_devices_is_refused_on_other_backends(monkeypatch):
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(InputError, match="all_devices requires the TensorFlow backend"):
        trainer.build_model(recipe(all_devices=True))


HOST = """
import runpy, sys
import small_network
sys.argv = sys.argv[1:]
with small_network.in_place_of_faramtn():
    runpy.run_path(sys.argv[0], run_name="__main__")
"""


def _host(recipe, data, folder, hosts, host):
    script = Path(__file__).parents[2] / "examples" / "several_hosts_jax.py"
    arguments = [recipe, "--data", data, "--to", folder, "--hosts", hosts, "--host", str(host)]
    return subprocess.Popen(
        [sys.executable, "-c", HOST, script, *arguments],
        env=_environment("jax"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@needs_jax
@pytest.mark.slow
def test_two_hosts_on_jax_have_the_loss_curve_of_one(tmp_path):
    rows = np.random.default_rng(0).choice([1, -1, 0], (33, 40), p=[0.4, 0.5, 0.1])
    data = write_celeba(tmp_path / "data", rows, [0] * 26 + [1] * 7)
    teacher = tmp_path / "teacher.keras"
    small_network(recipe().model, (*SIZE, 3)).save(teacher)
    settings = recipe(learning_rate=0.01, teacher={"model": str(teacher), "blend": 0.5})
    write_recipe(settings, tmp_path / "recipe.yaml")

    def start(name, hosts, host):
        return _host(tmp_path / "recipe.yaml", data, tmp_path / name, hosts, host)

    ports = [_free_port() for _ in range(3)]
    pair = f"127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}"
    processes = [
        start("pair", pair, 0),
        start("pair", pair, 1),
        start("alone", f"127.0.0.1:{ports[2]}", 0),
    ]
    for process in processes:
        assert _printed(process, 0)
    first, second, alone = (
        read_state(tmp_path / folder / "checkpoint.keras")["history"]
        for folder in ("pair/host_0", "pair/host_1", "alone/host_0")
    )
    assert first == second
    assert len(set(alone["dws_hair"])) == 2  # the first epoch changes nothing
    for name in [name for name in alone if name == "loss" or name.startswith("dws_")]:
        np.testing.assert_allclose(first[name], alone[name], rtol=1e-4)
    # Seven images are padded to eight with one unknown, which the mean over batches includes.
    np.testing.assert_allclose(first["val_balanced_accuracy"], alone["val_balanced_accuracy"])

    checkpoints = [tmp_path / "pair" / f"host_{host}" / "checkpoint.keras" for host in range(2)]
    checkpoints[1].unlink()
    pair = f"127.0.0.1:{_free_port()},127.0.0.1:{_free_port()}"
    for process in [start("pair", pair, 0), start("pair", pair, 1)]:
        assert "starting with host 0, are from epochs [3, -1]" in _printed(process, 1)
    shutil.copy(*checkpoints)
    for process in [start("pair", pair, 0), start("pair", pair, 1)]:
        assert "Resuming after epoch 3 of 3" in _printed(process, 0)


def _printed(process, returncode):
    printed, _ = process.communicate(timeout=600)
    assert process.returncode == returncode, printed[-4000:]
    return printed


@needs_jax
def test_a_host_reports_a_missing_teacher_without_a_traceback(tmp_path):
    settings = recipe(teacher={"model": "missing.keras", "blend": 0.5})
    write_recipe(settings, tmp_path / "recipe.yaml")
    hosts = f"127.0.0.1:{_free_port()}"
    process = _host(tmp_path / "recipe.yaml", tmp_path, tmp_path / "run", hosts, 0)
    printed = _printed(process, 1)
    assert "training.teacher.model: file missing.keras does not exist" in printed
    assert "Traceback" not in printed
    assert not (tmp_path / "run").exists()


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
