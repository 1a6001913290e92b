"""What networks cost: the time of a step, measured side by side, and the machine it was on."""

import os
import platform
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_faramtn.callbacks.dynamic_weighting import variable_scope
from keras_faramtn.models import groups_of
from keras_faramtn.objective import objective


def step_times(
    models: Mapping[str, keras.Model],
    batch_size: int,
    rounds: int,
    actions: Iterable[str] = ("train", "predict"),
    progress: Callable[[Iterable], Iterable] = iter,
) -> dict[str, dict[str, float]]:
    """The time of one step of each network, on random images that are in memory already.

    A step of each network in turn, round after round, so that whatever else the machine does
    meets all alike; a first round, in which Keras compiles, is not counted.

    Args:
        models: networks of this package with one input shape. They are compiled anew, with AdamW
            and `objective`, and a step of training changes them.
        batch_size: images a step.
        rounds: steps of each network.
        actions: of `train` and `predict`.
        progress: wraps the rounds while they run, as `tqdm.tqdm` does.

    Returns:
        From each action to the median seconds of a step by network.
    """
    rng = np.random.default_rng(0)
    shape = next(iter(models.values())).input_shape[1:]
    images = keras.ops.convert_to_tensor(rng.integers(0, 256, (batch_size, *shape)), "uint8")
    labels = {}
    for name, model in models.items():
        groups = groups_of(model)
        with variable_scope(model):
            model.compile(keras.optimizers.AdamW(1e-3), **objective(groups))
            model.optimizer.build(model.trainable_variables)
        labels[name] = {
            group: keras.ops.convert_to_tensor(
                rng.integers(0, 2, (batch_size, len(groups[group]))), "float32"
            )
            for group in groups
        }
    run = {
        "train": lambda name: models[name].train_on_batch(images, labels[name]),
        "predict": lambda name: models[name].predict_on_batch(images),
    }
    seconds = {action: {name: [] for name in models} for action in actions}
    for _ in progress(range(rounds + 1)):
        for action, by_name in seconds.items():
            for name, times in by_name.items():
                started = time.perf_counter()
                run[action](name)
                times.append(time.perf_counter() - started)
    return {
        action: {name: float(np.median(times[1:])) for name, times in by_name.items()}
        for action, by_name in seconds.items()
    }


def machine() -> dict[str, Any]:
    """The processor's name, the number of its cores, and the names of the GPUs."""
    gpus = tf.config.list_physical_devices("GPU")
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "gpus": [
            tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
            for gpu in gpus
        ],
    }


def _processor() -> str:
    # On Linux, Python's `platform` knows the architecture only.
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
