"""Trains the networks of a plan with one seed after another, for `results.py`.

    python benchmarks/components/train.py --data FOLDER --plan crops --to runs

Each run is a file in the folder `--to`; runs that are there already are not repeated. Two processes
can share the runs: one with `--part 1/2`, the other with `--part 2/2`.
"""

import argparse
import dataclasses
import json
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from constant_gates import with_constant_gates
from plans import PLANS, Plan, Run, grouping
from weighting_rules import RULES, Losses, Rule

from keras_faramtn.atomic_files import atomic_write
from keras_faramtn.attributes import CELEBA_ATTRIBUTES
from keras_faramtn.callbacks import DynamicWeighting
from keras_faramtn.data.check import check_data
from keras_faramtn.data.pipeline import (
    EVALUATION_BATCH_SIZE,
    decode_images,
    epoch_variable,
    make_dataset,
)
from keras_faramtn.data.table import SPLITS, FaceTable
from keras_faramtn.experiments.datasets import training_dataset
from keras_faramtn.experiments.optimizer import build_optimizer
from keras_faramtn.keras_internals import build_losses_and_metrics
from keras_faramtn.models import groups_of, inference_model
from keras_faramtn.objective import objective


def read_faces(data: Path) -> FaceTable:
    """The faces of a data set; images of a test split are scored too."""
    table = check_data(data, CELEBA_ATTRIBUTES)
    return dataclasses.replace(table, splits=np.minimum(table.splits, SPLITS["validation"]))


def check_folder(folder: Path, plan: Plan, table: FaceTable) -> None:
    """Writes what the runs of a folder have in common, or refuses a folder of other runs."""
    path = folder / "settings.json"
    settings = {"settings": plan.settings, "data": table.digest()}
    if not path.exists():
        path.write_text(json.dumps(settings, indent=2) + "\n")
    elif json.loads(path.read_text()) != settings:
        raise SystemExit(f"{folder}: these runs have other settings or data; use another folder.")


class Weighting(DynamicWeighting):
    """DWS with another rule; it records the losses and weights of each epoch."""

    def __init__(self, rule: Rule) -> None:
        super().__init__()
        self.rule = rule
        self.training: list[list[float]] = []
        self.validation: list[list[float]] = []
        self.used: list[np.ndarray] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        training, logs = self.training_logs(logs), logs or {}
        groups = self.weights.base
        self.training.append([float(training[f"{group}_loss"]) for group in groups])
        self.validation.append([float(logs[f"val_{group}_loss"]) for group in groups])
        self.used.append(self.weights.values())
        base = np.array(list(groups.values()))
        losses = Losses(np.array(self.training), np.array(self.validation), self.used[-1], base)
        self.weights.assign(self.rule(losses))


def train(plan: Plan, run: Run, table: FaceTable) -> dict[str, Any]:
    """Trains a network; returns what is recorded of it."""
    recipe = plan.recipe(run.seed)
    keras.backend.clear_session()
    keras.utils.set_random_seed(run.seed)
    model = plan.network(run.network, grouping(run.grouping, run.seed))
    groups, epoch = groups_of(model), epoch_variable()
    training, _ = training_dataset(recipe, table, groups, epoch)
    scored = table.split("validation")
    validation = make_dataset(scored, groups, recipe.data.image_size, EVALUATION_BATCH_SIZE)
    epochs = recipe.training.epochs
    arguments = objective(groups)
    model.compile(
        build_optimizer(recipe.training, int(training.cardinality()) * epochs, groups, []),
        loss=arguments["loss"],
        loss_weights=arguments["loss_weights"],
    )
    model.optimizer.build(model.trainable_variables)
    build_losses_and_metrics(model, training.element_spec)
    weighting = Weighting(RULES[run.rule]) if len(groups) > 1 else None
    started = time.perf_counter()
    model.fit(
        training,
        validation_data=validation,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=[
            keras.callbacks.LambdaCallback(
                on_epoch_begin=lambda number, logs: epoch.assign(number)
            ),
            *([weighting] if weighting else []),
        ],
    )
    seconds = time.perf_counter() - started
    images = validation.map(lambda x, _: x)
    recorded = weighting or Weighting(RULES["equal"])
    network = inference_model(model)
    content = {"probabilities": network.predict(images, verbose=0)}
    if (gates := with_constant_gates(model, images)) is not None:
        content |= gates
        content["probabilities_of_mean_gates"] = network.predict(images, verbose=0)
    return {
        **content,
        "validation_losses": recorded.validation,
        "weights": recorded.used,
        "groups": list(groups),
        "parameters": model.count_params(),
        "seconds": seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--plan", choices=PLANS, required=True)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--part", default="1/1", help="train only this part of the runs")
    arguments = parser.parse_args()
    plan = PLANS[arguments.plan]
    part, parts = map(int, arguments.part.split("/"))
    arguments.to.mkdir(parents=True, exist_ok=True)
    table = read_faces(arguments.data)
    check_folder(arguments.to, plan, table)
    table = decode_images(table, plan.recipe(0).data.image_size)
    runs = plan.runs(arguments.seeds)[part - 1 :: parts]
    for number, run in enumerate(runs, 1):
        file = arguments.to / run.file
        if file.exists():
            continue
        recorded = train(plan, run, table)
        atomic_write(file, lambda path, recorded=recorded: np.savez_compressed(path, **recorded))
        print(f"[{number}/{len(runs)}] {run.file}: {recorded['seconds']:.0f} s", flush=True)


if __name__ == "__main__":
    main()
