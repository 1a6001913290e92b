"""The command `faramtn compare`: trains variants of a network and compares them side by side."""

import contextlib
import functools
import gc
import json
import logging
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import yaml
from tqdm import tqdm

from keras_faramtn.atomic_files import atomic_write, atomic_write_bytes
from keras_faramtn.data.cache import cache_folder
from keras_faramtn.data.check import check_data
from keras_faramtn.data.pipeline import decode_images
from keras_faramtn.data.table import FaceTable
from keras_faramtn.differences import describe_differences
from keras_faramtn.errors import InputError
from keras_faramtn.evaluation.comparison_markdown import comparison_markdown
from keras_faramtn.evaluation.comparison_plot import comparison_figure
from keras_faramtn.evaluation.convergence import LEVELS, convergence_of_runs
from keras_faramtn.evaluation.convergence_plot import convergence_figure
from keras_faramtn.evaluation.cost import network_costs
from keras_faramtn.evaluation.evaluate import evaluate_split
from keras_faramtn.evaluation.machine import machine
from keras_faramtn.evaluation.metrics_file import METRICS_FILE, versions
from keras_faramtn.evaluation.paired_comparison import paired_comparison
from keras_faramtn.evaluation.predictions_file import PREDICTIONS_FILE, read_probabilities
from keras_faramtn.evaluation.scores import positive_rates
from keras_faramtn.experiments.comparison_recipe import ComparisonRecipe, read_comparison_recipe
from keras_faramtn.experiments.group_losses import constant_group_losses, group_losses
from keras_faramtn.experiments.recipe import (
    PATH_KEYS,
    read_recipe,
    refuse_missing_files,
    write_recipe,
)
from keras_faramtn.experiments.run import train_table
from keras_faramtn.experiments.trainer import build_model
from keras_faramtn.experiments.yaml_files import read_yaml
from keras_faramtn.json_files import read_json
from keras_faramtn.keras_files import MODEL_FILE
from keras_faramtn.models import load_model
from keras_faramtn.ownership import owned_folder

COMPARISON_FILE = "comparison.json"
RUNS_FOLDER = "runs"
"""The folder of the runs, one for each network and seed."""

_RECIPE_FILE = "comparison.yaml"
_RESULT_FILES = ("comparison.md", COMPARISON_FILE, "comparison.png")
_CONVERGENCE_FILE = "convergence.png"  # only if there are networks with groups
_COST_FILE = "cost.json"
_COST_ROUNDS = 20

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def _no_retracing_warnings() -> Iterator[None]:
    """TensorFlow mistakes one network after another for one that is retraced repeatedly."""

    def wanted(record: logging.LogRecord) -> bool:
        return "triggered tf.function retracing" not in record.getMessage()

    tensorflow = logging.getLogger("tensorflow")
    tensorflow.addFilter(wanted)
    try:
        yield
    finally:
        tensorflow.removeFilter(wanted)


@_no_retracing_warnings()
def run_comparison(
    name_or_path: str | Path, data: str | Path | None, folder: Path, *, skip_bad: bool = False
) -> None:
    """Trains each variant with each seed and writes their scores, as table and figure, to `folder`.

    If the networks have groups, a second figure shows whether these converge together.

    After an interruption the same call resumes; a finished run is not trained again. All variants
    of one seed are trained before the next seed, and the results are written after each seed, so an
    interrupted comparison has the results of its complete seeds. Seeds and variants may be added
    later.

    Args:
        name_or_path: the recipe of a comparison, as in `read_comparison_recipe`.
        data: the data set's folder or file; None if the recipe names it.
        folder: a new or empty folder, or the folder of the same comparison.
        skip_bad: skip rows and images that cannot be used.

    Raises:
        InputError: if the recipe or the data is unusable, or if `folder` contains anything else,
            runs with different settings or runs on different data.
        FloatingPointError: if training diverges.
        KeyboardInterrupt: after Ctrl-C.
    """
    comparison, path = read_comparison_recipe(name_or_path)
    source = data or comparison.data.get("folder")
    if source is None:
        raise InputError(f"{path}: data.folder is not set; set it or pass --data FOLDER.")
    for variant in comparison.variants:
        refuse_missing_files(comparison.recipe(variant, comparison.seeds[0]), f"{path}: {variant}")
    with owned_folder(folder, "comparison"):
        _write_recipes(folder, comparison)
        table = check_data(source, comparison.attributes(), skip_bad=skip_bad)
        training, scored = table.split("train"), table.split(comparison.split)
        runs = _runs(comparison)
        done = {
            run: read_probabilities(scores / PREDICTIONS_FILE, scored, training)
            for run in runs
            if ((scores := _scores_folder(folder, comparison, *run)) / METRICS_FILE).exists()
        }
        if len(done) < len(runs):
            settings = comparison.recipe(*runs[0]).data
            table = decode_images(table, settings.image_size, cache_folder(settings.cache))
        costs = _costs(comparison, folder)
        data_name = Path(source).resolve().name
        about = {
            "command": shlex.join(["faramtn", "compare", str(name_or_path), "--data", data_name]),
            "recipe": comparison.model_dump(mode="json", exclude_unset=True),
            "data": data_name,
            "split": comparison.split,
        }
        rates, validation = positive_rates(training.labels), table.split("validation")
        for number, (variant, seed) in enumerate(runs, 1):
            logger.info("\n[%d/%d] %s, seed %d", number, len(runs), variant, seed)
            finished = (variant, seed) in done
            if finished:
                logger.info("already finished: %s/", _run_folder(folder, variant, seed))
            else:
                _train_and_score(folder, comparison, variant, seed, table, data=data_name)
                scores = _scores_folder(folder, comparison, variant, seed)
                done[variant, seed] = read_probabilities(
                    scores / PREDICTIONS_FILE, scored, training
                )
            if number == len(runs) or (not finished and variant == list(comparison.variants)[-1]):
                seeds = comparison.seeds[: comparison.seeds.index(seed) + 1]
                content = about | _results(comparison, seeds, done, scored, rates, costs)
                content |= _convergence(folder, comparison, seeds, validation.labels, rates)
                _write_results(folder, content)
        logger.info("\n%s", comparison_markdown(content))
        files = [*_RESULT_FILES, *([_CONVERGENCE_FILE] if "convergence" in content else [])]
        logger.info("%s are in %s/", ", ".join(files), folder)


def _runs(comparison: ComparisonRecipe) -> list[tuple[str, int]]:
    return [(variant, seed) for seed in comparison.seeds for variant in comparison.variants]


def _run_folder(folder: Path, variant: str, seed: int) -> Path:
    return folder / RUNS_FOLDER / variant / f"seed_{seed}"


def _recipe_file(run_folder: Path) -> Path:
    return run_folder.with_name(f"{run_folder.name}.yaml")


def _scores_folder(folder: Path, comparison: ComparisonRecipe, variant: str, seed: int) -> Path:
    """Where the run is scored; training itself scores on the validation split."""
    run_folder = _run_folder(folder, variant, seed)
    if comparison.split == "validation":
        return run_folder
    return run_folder / f"evaluation_{comparison.split}"


def _write_recipes(folder: Path, comparison: ComparisonRecipe) -> None:
    """Writes the recipe of each run; checks that earlier runs have the same ones."""
    recipe_file, runs = folder / _RECIPE_FILE, folder / RUNS_FOLDER
    if runs.exists() and not any((runs / variant).exists() for variant in comparison.variants):
        raise InputError(
            f"{folder}: this folder contains a comparison of other variants; choose another folder "
            "with --to, or remove it."
        )
    for variant in comparison.variants:
        for run_recipe in sorted((runs / variant).glob("seed_*.yaml")):
            recipe, _ = read_recipe(run_recipe)
            if run_recipe.stem != f"seed_{recipe.training.seed}":
                raise InputError(
                    f"{run_recipe}: training.seed is {recipe.training.seed}, unlike the file's "
                    "name; correct it, or move this file elsewhere."
                )
            expected = comparison.recipe(variant, recipe.training.seed)
            different = describe_differences(recipe.identity(), expected.identity())
            if different:
                raise InputError(
                    f"{run_recipe}: the settings of this run differ from the recipe: {different}. "
                    f"Choose another folder with --to, or remove {run_recipe.parent}/."
                )
    _write_comparison_recipe(recipe_file, comparison)
    for variant, seed in _runs(comparison):
        run_recipe = _recipe_file(_run_folder(folder, variant, seed))
        if not run_recipe.exists():  # it may have comments that the user has added
            recipe = comparison.recipe(variant, seed)
            atomic_write(run_recipe, functools.partial(write_recipe, recipe))


def _write_comparison_recipe(path: Path, comparison: ComparisonRecipe) -> None:
    """Writes the recipe; a file that the user has edited is kept if only comments or paths differ.

    Raises:
        InputError: the file was edited, and differs from the recipe; or it can't be read.
    """
    content = comparison.model_dump(mode="json", exclude_unset=True)
    if path.exists():
        earlier = read_yaml(path)
        if path.read_text(encoding="utf-8") != _yaml(earlier):
            if _without_paths(earlier) != _without_paths(content):
                raise InputError(
                    f"{path}: this file was edited, and differs from the recipe; move it elsewhere."
                )
            return
    atomic_write_bytes(path, _yaml(content).encode())


def _without_paths(content: Any) -> Any:
    if not isinstance(content, dict) or not isinstance(content.get("data"), dict):
        return content
    data = {key: value for key, value in content["data"].items() if key not in PATH_KEYS}
    return content | {"data": data}


def _yaml(content: Any) -> str:
    return yaml.safe_dump(content, sort_keys=False)


def _costs(comparison: ComparisonRecipe, folder: Path) -> dict[str, Any]:
    """Parameters and step time of each variant, measured once per comparison and machine."""
    path = folder / _COST_FILE
    recipes = {name: comparison.recipe(name, comparison.seeds[0]) for name in comparison.variants}
    batch_size = min(recipe.training.batch_size for recipe in recipes.values())
    measured = {
        "machine": machine(),
        "versions": versions(),
        "batch_size": batch_size,
        "recipes": {name: recipe.identity() for name, recipe in recipes.items()},
    }
    if path.exists():
        costs = read_json(path)
        if isinstance(costs, dict) and all(
            costs.get(key) == value for key, value in measured.items()
        ):
            return costs
    keras.backend.clear_session()
    models = {name: build_model(recipe) for name, recipe in recipes.items()}
    networks = network_costs(
        models,
        batch_size,
        _COST_ROUNDS,
        lambda rounds: tqdm(rounds, desc="Measuring steps", unit=" round", disable=None),
    )
    costs = measured | {"networks": networks}
    atomic_write_bytes(path, (json.dumps(costs, indent=2) + "\n").encode())
    return costs


def _train_and_score(
    folder: Path,
    comparison: ComparisonRecipe,
    variant: str,
    seed: int,
    table: FaceTable,
    *,
    data: str,
) -> None:
    """Trains a run, if it is not finished, and writes its predictions and scores."""
    run_folder = _run_folder(folder, variant, seed)
    if not (run_folder / METRICS_FILE).exists():
        train_table(comparison.recipe(variant, seed), table, run_folder, data=data)
    scores = _scores_folder(folder, comparison, variant, seed)
    if not (scores / METRICS_FILE).exists():
        scores.mkdir(exist_ok=True)
        model = load_model(run_folder / MODEL_FILE)
        training = table.split("train")
        evaluate_split(
            model,
            table,
            comparison.split,
            scores,
            data=data,
            name=model.name,
            training=training,
        )
    # Frees the network: those of all runs together would not fit into memory.
    keras.backend.clear_session()
    gc.collect()


def _results(
    comparison: ComparisonRecipe,
    seeds: list[int],
    done: dict[tuple[str, int], np.ndarray],
    scored: FaceTable,
    rates: np.ndarray,
    costs: dict[str, Any],
) -> dict[str, Any]:
    """The scores, differences and costs for `comparison.json`."""
    result = paired_comparison(
        {name: np.stack([done[name, seed] for seed in seeds]) for name in comparison.variants},
        scored.labels,
        scored.attributes,
        comparison.against,
        training_rates=rates,
        progress=lambda names: tqdm(names, desc="Resampling", unit=" network", disable=None),
    )
    networks = {
        name: costs["networks"][name] | each for name, each in result.pop("networks").items()
    }
    about = {key: costs[key] for key in ("machine", "versions", "batch_size")}
    return {"seeds": seeds, **about, **result, "networks": networks}


def _convergence(
    folder: Path,
    comparison: ComparisonRecipe,
    seeds: list[int],
    labels: np.ndarray,
    rates: np.ndarray,
) -> dict[str, Any]:
    """How the groups of the networks converge, for `comparison.json`; empty without groups.

    A network with a damaged history is left out, with a warning: its scores don't need it.

    Args:
        labels: of the validation split.
        rates: the positive rates of the training split.
    """
    networks = {}
    for variant in comparison.variants:
        recipe = comparison.recipe(variant, seeds[0])
        if not recipe.model.has_groups():
            continue
        groups, epochs = recipe.model.attribute_groups(), recipe.training.epochs
        try:
            by_seed = [
                group_losses(_run_folder(folder, variant, seed), groups, epochs) for seed in seeds
            ]
        except InputError as error:
            logger.warning("%s The convergence of the groups leaves out %s.", error, variant)
            continue
        constant = constant_group_losses(recipe.training, groups, labels, rates)
        networks[variant] = convergence_of_runs(by_seed, constant)
    return {"convergence": {"levels": list(LEVELS), "networks": networks}} if networks else {}


def _write_results(folder: Path, content: dict[str, Any]) -> None:
    markdown_file, json_file, figure_file = (folder / name for name in _RESULT_FILES)
    atomic_write_bytes(markdown_file, comparison_markdown(content).encode())
    atomic_write_bytes(json_file, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())
    comparison_figure(content, figure_file)
    if "convergence" in content:
        convergence_figure(content["convergence"], folder / _CONVERGENCE_FILE)
    else:  # that of an earlier call does not belong to these results
        (folder / _CONVERGENCE_FILE).unlink(missing_ok=True)
