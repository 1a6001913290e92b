"""Trains a recipe on several machines at once with JAX, for more GPUs than one machine has.

Run on each machine, with the same list of addresses and the machine's index in it, from 0:

    KERAS_BACKEND=jax python examples/several_hosts_jax.py celeba_resnet50 --data FOLDER \
        --to runs/celeba --hosts 10.0.0.1:7000,10.0.0.2:7000 --host 0

Each machine needs the complete data set and trains on its shard of every batch of the recipe's
size; losses, weights and scores are those of one machine with the whole batch. Each writes its own
copy of model, history and checkpoint; after an interruption the same commands resume. Two processes
on one machine work too, with addresses such as 127.0.0.1:7000,127.0.0.1:7001.
"""

import argparse
import logging
import sys
from pathlib import Path
from typing import Any

import jax
import keras
import numpy as np
import tensorflow as tf
from jax.experimental import multihost_utils

from keras_faramtn.callbacks.checkpoint import CHECKPOINT_FILE, read_state
from keras_faramtn.data.check import check_data
from keras_faramtn.data.pipeline import epoch_variable, make_dataset
from keras_faramtn.errors import InputError
from keras_faramtn.experiments.datasets import training_dataset, training_framing
from keras_faramtn.experiments.recipe import read_recipe, refuse_missing_files
from keras_faramtn.experiments.trainer import build_model, fit_model
from keras_faramtn.models.record import set_framing


def shard_batches(dataset: tf.data.Dataset, host: int, hosts: int) -> tf.data.Dataset:
    """The host's shard of each batch; an indivisible batch is padded with unknown labels."""

    def shard(images: Any, labels: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        count = tf.shape(images)[0]
        size = -(-count // hosts)
        rows = tf.range(host * size, (host + 1) * size)
        known = (rows < count)[:, None]
        images = tf.gather(images, rows % count)
        return images, {
            group: tf.where(known, tf.gather(values, rows % count), -1.0)
            for group, values in labels.items()
        }

    return dataset.map(shard).prefetch(tf.data.AUTOTUNE)


def refuse_other_epochs(checkpoint: Path) -> None:
    """Checks that all hosts resume from the same epoch.

    Raises:
        InputError: if they were interrupted when only some had written their checkpoint.
    """
    local = read_state(checkpoint)["epochs_done"] if checkpoint.exists() else -1
    epochs = multihost_utils.process_allgather(np.int32(local)).ravel().tolist()
    if len(set(epochs)) > 1:
        raise InputError(
            f"{checkpoint}: the checkpoints of the hosts, starting with host 0, are from epochs "
            f"{epochs} (-1 for none), but all hosts must resume from the same epoch. A checkpoint "
            "works on every host: copy the one of the latest epoch over the others."
        )


def train_on_host(recipe_name: str, data: Path, folder: Path, hosts: list[str], host: int) -> None:
    """Trains on this host's shard of each batch.

    Raises:
        InputError: if the recipe or the data is unusable; or as in `refuse_other_epochs`.
        FloatingPointError: if training diverges.
    """
    if keras.config.backend() != "jax":
        raise InputError(
            f"the backend is {keras.config.backend()}, but this example requires JAX; set "
            "KERAS_BACKEND=jax."
        )
    if not 0 <= host < len(hosts):
        raise InputError(f"--host {host}: the index in --hosts must be in 0..{len(hosts) - 1}.")
    recipe, path = read_recipe(recipe_name)
    refuse_missing_files(recipe, path)

    jax.config.update("jax_cpu_collectives_implementation", "gloo")  # has no effect on GPUs
    keras.distribution.initialize(",".join(hosts), len(hosts), host)
    groups, epoch = recipe.model.attribute_groups(), epoch_variable()
    table = check_data(data, groups.attributes)
    training, identity = training_dataset(recipe, table, groups, epoch)

    keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
    model = build_model(recipe)
    set_framing(model, training_framing(recipe, table))
    validation = make_dataset(
        table.split("validation"), groups, recipe.data.image_size, recipe.training.batch_size
    )
    folder = folder / f"host_{host}"  # the hosts may share one disk
    folder.mkdir(parents=True, exist_ok=True)
    refuse_other_epochs(folder / CHECKPOINT_FILE)
    training, validation = (
        shard_batches(dataset, host, len(hosts)) for dataset in (training, validation)
    )
    fit_model(model, recipe, training, validation, folder, epoch=epoch, data=identity)


def main() -> None:
    """Runs the command line above."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--hosts", required=True, help="address:port of each, separated by commas")
    parser.add_argument("--host", type=int, required=True, help="index of this machine in --hosts")
    options = parser.parse_args()
    logging.basicConfig(format="%(message)s")
    logging.getLogger("keras_faramtn").setLevel(logging.INFO)
    try:
        train_on_host(
            options.recipe, options.data, options.to, options.hosts.split(","), options.host
        )
    except (InputError, FloatingPointError, OSError) as error:
        sys.exit(f"{parser.prog}: {error}")


if __name__ == "__main__":
    main()
