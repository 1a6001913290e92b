"""Trains a recipe on several machines at once with JAX: the way past the GPUs of one machine.

On each machine, with the same list of addresses and the machine's own place in it, from 0:

    KERAS_BACKEND=jax python recipes/several_hosts_jax.py celeba_resnet50 --data FOLDER \
        --to runs/celeba --hosts 10.0.0.1:7000,10.0.0.2:7000 --host 0

Each machine needs the whole data, and takes its split of every batch of the recipe's size; the
losses, weights and scores are those of one machine with the whole batch. Each keeps its own copy of
model, history and checkpoint; stopped, the same commands go on. Two processes on one machine work
too, with addresses such as 127.0.0.1:7000,127.0.0.1:7001.
"""

import argparse
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
from keras_faramtn.experiments.datasets import training_dataset
from keras_faramtn.experiments.recipe import read_recipe, refuse_missing_files
from keras_faramtn.experiments.trainer import build_model, train


def split_of_each_batch(dataset: tf.data.Dataset, host: int, hosts: int) -> tf.data.Dataset:
    """The host's share; a batch that can't be divided is filled up with unknown labels."""

    def split(images: Any, labels: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        count = tf.shape(images)[0]
        share = -(-count // hosts)
        rows = tf.range(host * share, (host + 1) * share)
        known = (rows < count)[:, None]
        images = tf.gather(images, rows % count)
        return images, {
            group: tf.where(known, tf.gather(values, rows % count), -1.0)
            for group, values in labels.items()
        }

    return dataset.map(split).prefetch(tf.data.AUTOTUNE)


def refuse_other_epochs(checkpoint: Path) -> None:
    """Makes sure that all hosts go on from the same epoch.

    Raises:
        InputError: they were stopped while some had written their checkpoint and some had not.
    """
    ours = read_state(checkpoint)["epochs_done"] if checkpoint.exists() else -1
    epochs = multihost_utils.process_allgather(np.int32(ours)).ravel().tolist()
    if len(set(epochs)) > 1:
        raise InputError(
            f"{checkpoint}: the hosts' checkpoints, from host 0 on, are of the epochs {epochs} (-1 "
            "where there is none), and all hosts must go on from one. A checkpoint fits any host: "
            "copy the one of the latest epoch over the others."
        )


def train_on_host(recipe_name: str, data: Path, folder: Path, hosts: list[str], host: int) -> None:
    """Trains on this host's split of each batch.

    Raises:
        InputError: anything wrong with the recipe or the data, or as `refuse_other_epochs`.
        FloatingPointError: training diverged.
    """
    if keras.config.backend() != "jax":
        raise InputError(
            f"The backend is {keras.config.backend()}; this runs on JAX alone. "
            "Set KERAS_BACKEND=jax."
        )
    if not 0 <= host < len(hosts):
        raise InputError(f"--host {host}: a place in --hosts is from 0 to {len(hosts) - 1}.")
    recipe, path = read_recipe(recipe_name)
    refuse_missing_files(recipe, path)

    jax.config.update("jax_cpu_collectives_implementation", "gloo")  # no matter where GPUs are
    keras.distribution.initialize(",".join(hosts), len(hosts), host)
    groups, epoch = recipe.model.attribute_groups(), epoch_variable()
    table = check_data(data, groups.attributes)
    training, identity = training_dataset(recipe, table, groups, epoch)  # each asks the teacher

    keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
    model = build_model(recipe)
    validation = make_dataset(
        table.split("validation"), groups, recipe.data.image_size, recipe.training.batch_size
    )
    folder = folder / f"host_{host}"  # the disk may be one for all
    folder.mkdir(parents=True, exist_ok=True)
    refuse_other_epochs(folder / CHECKPOINT_FILE)
    training, validation = (
        split_of_each_batch(dataset, host, len(hosts)) for dataset in (training, validation)
    )
    train(model, recipe, training, validation, folder, epoch=epoch, data=identity)


def main() -> None:
    """Runs the command line above."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--hosts", required=True, help="address:port of each, with commas")
    parser.add_argument("--host", type=int, required=True, help="this one's place in --hosts")
    options = parser.parse_args()
    try:
        train_on_host(
            options.recipe, options.data, options.to, options.hosts.split(","), options.host
        )
    except (InputError, FloatingPointError, OSError) as error:
        sys.exit(f"{parser.prog}: {error}")


if __name__ == "__main__":
    main()
