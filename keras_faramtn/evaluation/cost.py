"""The cost of networks: step times measured side by side."""

import time
from collections.abc import Callable, Iterable, Mapping

import keras
import numpy as np

from keras_faramtn.keras_internals import variable_scope
from keras_faramtn.models import groups_of
from keras_faramtn.objective import objective


def step_times(
    models: Mapping[str, keras.Model],
    batch_size: int,
    rounds: int,
    actions: Iterable[str] = ("train", "predict"),
    progress: Callable[[Iterable], Iterable] = iter,
) -> dict[str, dict[str, float]]:
    """Measures the time of one step of each network, on random images in memory.

    Each round runs one step of every network in turn, so that other load on the machine affects all
    of them equally. A first round, in which Keras compiles, is not counted.

    Args:
        models: networks of this package with the same input shape. They are compiled with AdamW and
            `objective`, and `train` changes their weights.
        batch_size: images per step.
        rounds: measured steps of each network.
        actions: `train`, `predict` or both.
        progress: wraps the iteration over the rounds, as `tqdm.tqdm` does.

    Returns:
        For each action, the median seconds per step by network.

    Example:
        >>> from keras_faramtn import MultiLabel
        >>> model = MultiLabel("mobilenetv3_small", ["Smiling"], (32, 32, 3))
        >>> times = step_times({"plain": model}, batch_size=2, rounds=1, actions=["predict"])
        >>> times["predict"]["plain"] > 0
        True
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
    seconds: dict[str, dict[str, list[float]]] = {
        action: {name: [] for name in models} for action in actions
    }
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


def network_costs(
    models: Mapping[str, keras.Model],
    batch_size: int,
    rounds: int,
    progress: Callable[[Iterable], Iterable] = iter,
) -> dict[str, dict[str, float]]:
    """The size of each network and the time of its training step, for the tables of a comparison.

    Args:
        models, batch_size, rounds, progress: as in `step_times`.

    Returns:
        For each network `parameters` and `train_step_ms`, in milliseconds.

    Example:
        >>> from keras_faramtn import MultiLabel
        >>> model = MultiLabel("mobilenetv3_small", ["Smiling"], (32, 32, 3))
        >>> network_costs({"plain": model}, batch_size=2, rounds=1)["plain"]["parameters"]
        939697
    """
    parameters = {name: model.count_params() for name, model in models.items()}
    seconds = step_times(models, batch_size, rounds, ("train",), progress)["train"]
    return {
        name: {"parameters": parameters[name], "train_step_ms": round(1000 * seconds[name], 2)}
        for name in models
    }
