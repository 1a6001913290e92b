"""Trains recipes/crops_teacher.yaml and recipes/crops.yaml with other seeds.

    TF_ENABLE_ONEDNN_OPTS=1 python benchmarks/crops_seeds/train.py \
        --data celeba_crops --seeds 1 --to runs

Each seed trains its own teacher. The runs are those of `faramtn train`, in folders of `--to`; the
same command resumes them after an interruption. Of each finished run, the scores are written to
`benchmarks/results/crops_seeds`; `results.py` summarises them.

With `--fused`, batch normalisation is TensorFlow's fused operation, which computes the same in less
time on a CPU.
"""

import argparse
import json
import logging
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from fused_batch_normalization import use_fused_batch_normalization
from results import FOLDER, RECIPES

from keras_faramtn.atomic_files import atomic_write_bytes
from keras_faramtn.data.check import check_data
from keras_faramtn.evaluation.machine import machine
from keras_faramtn.evaluation.metrics_file import METRICS_FILE
from keras_faramtn.experiments.recipe import Recipe, read_recipe
from keras_faramtn.experiments.run import train_table
from keras_faramtn.keras_files import MODEL_FILE


def with_seed(name: str, seed: int, folder: Path) -> Recipe:
    """A recipe with another seed, and with the teacher of that seed where it has one."""
    recipe, _ = read_recipe(name)
    changes: dict = {"seed": seed}
    if recipe.training.teacher is not None:
        model = folder / "crops_teacher" / MODEL_FILE
        changes["teacher"] = recipe.training.teacher.model_copy(update={"model": str(model)})
    return recipe.model_copy(update={"training": recipe.training.model_copy(update=changes)})


def summary(run: Path, fused: bool) -> dict:
    """What is recorded of a finished run."""
    metrics = json.loads((run / METRICS_FILE).read_text())
    return {
        "means": metrics["means"],
        "with_chosen_thresholds": metrics["chosen_thresholds"]["cross_fitted"],
        "balanced_accuracy": {
            name: scores["balanced_accuracy"] for name, scores in metrics["attributes"].items()
        },
        "images": metrics["images"],
        "fused_batch_normalization": fused,
        "machine": machine(),
        "versions": metrics["versions"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--fused", action="store_true", help="fused batch normalisation")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if arguments.fused:
        use_fused_batch_normalization()
    attributes = read_recipe("crops")[0].model.attribute_groups().attributes
    table = check_data(arguments.data, attributes)
    for seed in arguments.seeds:
        folder = arguments.to / str(seed)
        for name in RECIPES:
            run = folder / name
            record = FOLDER / f"{name}_{seed}.json"
            if not (run / METRICS_FILE).exists():
                train_table(with_seed(name, seed, folder), table, run, data=arguments.data.name)
            elif record.exists():
                continue
            content = json.dumps(summary(run, arguments.fused), indent=2) + "\n"
            atomic_write_bytes(record, content.encode())


if __name__ == "__main__":
    main()
