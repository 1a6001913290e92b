"""Prints the scores of all seeds of `train.py`, with their mean and standard deviation.

python benchmarks/crops_seeds/results.py
"""

import json
import math
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from keras_faramtn.evaluation.over_seeds import over_seeds
from keras_faramtn.export.markdown import table

FOLDER = Path(__file__).parents[1] / "results" / "crops_seeds"
RECIPES = ("crops_teacher", "crops")
RARE = ("Bald", "Wearing_Hat", "Eyeglasses")

# For each column: the keys of its score in a file of results.
COLUMNS = {
    "accuracy": ("means", "accuracy"),
    "balanced accuracy": ("means", "balanced_accuracy"),
    "average precision": ("means", "average_precision"),
    **{name: ("balanced_accuracy", name) for name in RARE},
    "accuracy, chosen thresholds": ("with_chosen_thresholds", "accuracy"),
    "balanced accuracy, chosen thresholds": ("with_chosen_thresholds", "balanced_accuracy"),
}


def read_scores(recipe: str) -> dict[int, dict]:
    """The results of a recipe by seed."""
    files = FOLDER.glob(f"{recipe}_[0-9]*.json")
    return dict(sorted((int(f.stem.rsplit("_", 1)[1]), json.loads(f.read_text())) for f in files))


def percent(value: float) -> str:
    """A score of one seed in percent; empty if it was not recorded."""
    return "" if math.isnan(value) else f"{value:.2f}"


def mean_and_deviation(values: np.ndarray) -> str:
    """In percent; empty for one seed, or if a seed's score was not recorded."""
    several = over_seeds(values)
    return "" if several["spread"] is None else f"{several['mean']:.2f} ± {several['spread']:.2f}"


def scores_table(recipe: str) -> str:
    """The scores of a recipe in percent, as Markdown."""
    by_seed = read_scores(recipe)
    scores = 100 * np.array(
        [
            [each.get(section, {}).get(name, math.nan) for section, name in COLUMNS.values()]
            for each in by_seed.values()
        ]
    )
    rows = [
        *([f"seed {seed}", *map(percent, row)] for seed, row in zip(by_seed, scores, strict=True)),
        ["mean ± standard deviation", *map(mean_and_deviation, scores.T)],
    ]
    return table([f"`{recipe}`", *COLUMNS], rows)


if __name__ == "__main__":
    print("\n\n".join(map(scores_table, RECIPES)))
