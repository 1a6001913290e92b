"""`faramtn compare`: trains variants of a network alike, and lays them beside each other."""

import contextlib
import gc
import io
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

from keras_faramtn.atomic_files import atomic_write_bytes
from keras_faramtn.data.check import check_data
from keras_faramtn.data.pipeline import EVALUATION_BATCH_SIZE, make_dataset
from keras_faramtn.data.table import FaceTable
from keras_faramtn.errors import InputError
from keras_faramtn.evaluation.comparison_plot import comparison_figure
from keras_faramtn.evaluation.cost import machine, step_times
from keras_faramtn.evaluation.evaluate import METRICS_FILE
from keras_faramtn.evaluation.paired_comparison import compare, markdown
from keras_faramtn.evaluation.report import versions
from keras_faramtn.evaluation.scores import positive_rates, predict_probabilities
from keras_faramtn.experiments.comparison_recipe import Comparison, read_comparison
from keras_faramtn.experiments.recipe import read_recipe, refuse_missing_files
from keras_faramtn.experiments.run import train_recipe
from keras_faramtn.experiments.trainer import MODEL_FILE, build_model
from keras_faramtn.models import groups_of, inference_model, load_model

_RECIPE_FILE = "comparison.yaml"
_RESULT_FILES = ("comparison.md", "comparison.json", "comparison.png")
_COST_FILE = "cost.json"
_RUNS_FOLDER = "runs"
_COST_ROUNDS = 20


@contextlib.contextmanager
def _no_retracing_warnings() -> Iterator[None]:
    """TensorFlow takes a network after the other for one that is traced again and again."""

    def wanted(record: logging.LogRecord) -> bool:
        return "triggered tf.function retracing" not in record.getMessage()

    logger = logging.getLogger("tensorflow")
    logger.addFilter(wanted)
    try:
        yield
    finally:
        logger.removeFilter(wanted)


@_no_retracing_warnings()
def run_comparison(
    name_or_path: str | Path, data: str | Path | None, folder: Path, *, skip_bad: bool = False
) -> None:
    """Trains each variant with each seed, and leaves a table and an image of them in `folder`.

    The same call goes on where an earlier one was stopped: a finished run is left as it is. All
    variants of one seed come before the next seed, and the results are written after each, so a
    stopped comparison has those of its complete seeds. Seeds and variants may be added.

    Args:
        name_or_path: a comparison's recipe, as `read_comparison` takes.
        data: the data set's folder; None where the recipe names it.
        folder: where to; new, empty, or that of the same comparison.
        skip_bad: go on without rows and images that can't be used.

    Raises:
        InputError: anything wrong with the arguments or the data; `folder` has something else in
            it, or runs with other settings or other data.
        FloatingPointError: training diverged.
        KeyboardInterrupt: Ctrl-C.
    """
    comparison, path = read_comparison(name_or_path)
    source = data or comparison.data.get("folder")
    if source is None:
        raise InputError(f"{path}: data.folder is not set; set it, or give --data FOLDER.")
    for variant in comparison.variants:
        refuse_missing_files(comparison.recipe(variant, comparison.seeds[0]), f"{path}: {variant}")
    _open_folder(folder, comparison)
    table = check_data(source, comparison.attributes(), skip_bad=skip_bad)
    training, scored = table.split("train"), table.split(comparison.split)
    trained_on = training.digest()
    done = {
        run: _read_predictions(_run_folder(folder, *run), trained_on, scored)
        for run in _runs(comparison)
        if _predictions_file(_run_folder(folder, *run)).exists()
    }
    costs = _costs(comparison, folder)
    about = {
        "command": shlex.join(
            ["faramtn", "compare", str(name_or_path), "--data", Path(source).resolve().name]
        ),
        "recipe": comparison.model_dump(mode="json", exclude_unset=True),
        "data": Path(source).resolve().name,
        "split": comparison.split,
    }
    rates = positive_rates(training.labels)
    runs = _runs(comparison)
    for place, (variant, seed) in enumerate(runs, 1):
        print(f"\n[{place}/{len(runs)}] {variant}, seed {seed}", flush=True)
        run_folder = _run_folder(folder, variant, seed)
        finished = (variant, seed) in done
        if finished:
            print(f"is finished: {run_folder}/")
        else:
            if not (run_folder / METRICS_FILE).exists():
                train_recipe(_recipe_file(run_folder), source, run_folder, skip_bad=skip_bad)
            done[variant, seed] = _predict(run_folder, trained_on, scored)
        if place == len(runs) or (not finished and variant == list(comparison.variants)[-1]):
            seeds = comparison.seeds[: comparison.seeds.index(seed) + 1]
            content = about | _compare(comparison, seeds, done, scored, rates, costs)
            _write_results(folder, content)
    print(f"\n{markdown(content)}\n{', '.join(_RESULT_FILES)} are in {folder}/")


def _runs(comparison: Comparison) -> list[tuple[str, int]]:
    return [(variant, seed) for seed in comparison.seeds for variant in comparison.variants]


def _run_folder(folder: Path, variant: str, seed: int) -> Path:
    return folder / _RUNS_FOLDER / variant / f"seed_{seed}"


def _recipe_file(run_folder: Path) -> Path:
    return run_folder.with_name(f"{run_folder.name}.yaml")


def _predictions_file(run_folder: Path) -> Path:
    return run_folder / "predictions.npz"


def _open_folder(folder: Path, comparison: Comparison) -> None:
    """Makes the folder with the recipe of each run in it, or sees that it holds the same ones."""
    ours, runs = folder / _RECIPE_FILE, folder / _RUNS_FOLDER
    if not ours.exists() and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            f"{folder}: it exists already, and is no comparison to go on with; choose another "
            "with --to, or remove it."
        )
    if runs.exists() and not any((runs / variant).exists() for variant in comparison.variants):
        raise InputError(
            f"{folder}: it holds the comparison of other variants; choose another with --to, or "
            "remove it."
        )
    for variant in comparison.variants:
        for recipe_file in sorted((runs / variant).glob("seed_*.yaml")):
            recipe, _ = read_recipe(recipe_file)
            if recipe != comparison.recipe(variant, recipe.training.seed):
                raise InputError(
                    f"{recipe_file}: this run has other settings than the recipe now says; choose "
                    f"another folder with --to, or remove {recipe_file.parent}/."
                )
    # First: it is what tells this folder from a stranger's.
    _write_yaml(ours, comparison.model_dump(mode="json", exclude_unset=True))
    for variant, seed in _runs(comparison):
        recipe = comparison.recipe(variant, seed).model_dump(mode="json")
        _write_yaml(_recipe_file(_run_folder(folder, variant, seed)), recipe)


def _write_yaml(path: Path, content: dict[str, Any]) -> None:
    atomic_write_bytes(path, yaml.safe_dump(content, sort_keys=False).encode())


def _costs(comparison: Comparison, folder: Path) -> dict[str, Any]:
    """Parameters and step time of each variant, measured once in the life of the comparison."""
    path = folder / _COST_FILE
    recipes = {name: comparison.recipe(name, comparison.seeds[0]) for name in comparison.variants}
    batch_size = min(recipe.training.batch_size for recipe in recipes.values())
    measured = {
        "machine": machine(),
        "versions": versions(),
        "batch_size": batch_size,
        "recipes": {name: recipe.model_dump(mode="json") for name, recipe in recipes.items()},
    }
    if path.exists():
        costs = json.loads(path.read_text())
        if all(costs[key] == value for key, value in measured.items()):
            return costs
    keras.backend.clear_session()
    models = {name: build_model(recipe) for name, recipe in recipes.items()}
    parameters = {name: model.count_params() for name, model in models.items()}
    seconds = step_times(
        models,
        batch_size,
        _COST_ROUNDS,
        ("train",),
        lambda rounds: tqdm(rounds, desc="Measuring steps", unit=" round"),
    )["train"]
    costs = measured | {
        "networks": {
            name: {
                "parameters": parameters[name],
                "train_step_ms": round(1000 * seconds[name], 2),
            }
            for name in models
        }
    }
    atomic_write_bytes(path, (json.dumps(costs, indent=2) + "\n").encode())
    return costs


def _predict(run_folder: Path, trained_on: str, scored: FaceTable) -> np.ndarray:
    """The probabilities of a trained run, `(n, k)`; written last, they say that it is finished."""
    model = load_model(run_folder / MODEL_FILE)
    groups = groups_of(model)
    dataset = make_dataset(scored, groups, model.input_shape[1:3], EVALUATION_BATCH_SIZE)
    probabilities, labels = predict_probabilities(inference_model(model), dataset, groups)
    content = io.BytesIO()
    np.savez_compressed(
        content,
        probabilities=probabilities,
        labels=labels,
        trained=trained_on,
        images=np.array([image.name for image in scored.paths]),
        attributes=np.array(groups.attributes),
    )
    atomic_write_bytes(_predictions_file(run_folder), content.getvalue())
    # Eighteen networks and their cached images would not fit beside each other.
    del model, dataset
    keras.backend.clear_session()
    gc.collect()
    return probabilities


def _read_predictions(run_folder: Path, trained_on: str, scored: FaceTable) -> np.ndarray:
    """The probabilities that `_predict` has written, if they are of these images and labels."""
    path = _predictions_file(run_folder)
    with np.load(path) as content:
        same = (
            content["images"].tolist() == [image.name for image in scored.paths]
            and content["attributes"].tolist() == list(scored.attributes)
            and np.array_equal(content["labels"], scored.labels)
            and content.get("trained") == trained_on
        )
        if not same:
            raise InputError(
                f"{path}: this run was trained or scored on other images or labels; choose "
                "another folder with --to, or give the data that the comparison was begun with."
            )
        return content["probabilities"]


def _compare(
    comparison: Comparison,
    seeds: list[int],
    done: dict[tuple[str, int], np.ndarray],
    scored: FaceTable,
    rates: np.ndarray,
    costs: dict[str, Any],
) -> dict[str, Any]:
    """The content of `comparison.json`, but for what is known beforehand."""
    result = compare(
        {name: np.stack([done[name, seed] for seed in seeds]) for name in comparison.variants},
        scored.labels,
        scored.attributes,
        comparison.against,
        training_rates=rates,
        progress=lambda names: tqdm(names, desc="Resampling", unit=" network"),
    )
    networks = {
        name: costs["networks"][name] | each for name, each in result.pop("networks").items()
    }
    about = {key: costs[key] for key in ("machine", "versions", "batch_size")}
    return {"seeds": seeds, **about, **result, "networks": networks}


def _write_results(folder: Path, content: dict[str, Any]) -> None:
    text, numbers, image = (folder / name for name in _RESULT_FILES)
    atomic_write_bytes(text, markdown(content).encode())
    atomic_write_bytes(numbers, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())
    comparison_figure(content, image)
