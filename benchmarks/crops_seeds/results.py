"""Prints the scores of all seeds of `train.py`, with their mean and standard deviation.

python benchmarks/crops_seeds/results.py
"""

import json
import statistics
from pathlib import Path

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


def percent(value: float | None) -> str:
    """A score of one seed in percent; empty if it was not recorded."""
    return "" if value is None else f"{100 * value:.2f}"


def mean_and_deviation(values: list[float | None]) -> str:
    """Mean and sample standard deviation in percent; empty for fewer than two seeds."""
    known = [100 * value for value in values if value is not None]
    return f"{statistics.mean(known):.2f} ± {statistics.stdev(known):.2f}" if known[1:] else ""


def table(recipe: str) -> str:
    """The scores of a recipe in percent, as Markdown."""
    by_seed = read_scores(recipe)
    values = {
        title: [scores.get(section, {}).get(name) for scores in by_seed.values()]
        for title, (section, name) in COLUMNS.items()
    }
    lines = [
        f"| `{recipe}` | {' | '.join(COLUMNS)} |",
        "|---" * (len(COLUMNS) + 1) + "|",
        *(
            f"| seed {seed} | {' | '.join(percent(each[index]) for each in values.values())} |"
            for index, seed in enumerate(by_seed)
        ),
        f"| mean ± standard deviation | {' | '.join(map(mean_and_deviation, values.values()))} |",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    print("\n\n".join(map(table, RECIPES)))
