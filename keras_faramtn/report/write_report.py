"""The command `faramtn report`: writes a page about a model or about a comparison."""

import contextlib
import logging
import os
import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from tqdm import tqdm

from keras_faramtn.callbacks.checkpoint import HISTORY_FILE
from keras_faramtn.callbacks.history_file import read_history
from keras_faramtn.counted import counted
from keras_faramtn.data.check import check_data
from keras_faramtn.data.table import SPLITS, FaceTable
from keras_faramtn.errors import InputError
from keras_faramtn.evaluation.bootstrap import score_intervals
from keras_faramtn.evaluation.convergence import convergence_of_runs, validation_losses
from keras_faramtn.evaluation.evaluate import evaluate_model
from keras_faramtn.evaluation.machine import describe_machine, machine
from keras_faramtn.evaluation.metrics_file import describe_versions, metrics, versions
from keras_faramtn.evaluation.predictions_file import PREDICTIONS_FILE, read_probabilities
from keras_faramtn.evaluation.scores import positive_rates
from keras_faramtn.evaluation.subgroups import SubgroupScores, subgroup_scores, subgroups_of
from keras_faramtn.evaluation.thresholds import read_thresholds
from keras_faramtn.experiments.compare import COMPARISON_FILE
from keras_faramtn.experiments.group_losses import constant_group_losses, group_losses
from keras_faramtn.experiments.recipe import read_recipe
from keras_faramtn.experiments.run import RECIPE_FILE
from keras_faramtn.framing import describe_framing
from keras_faramtn.inference.keras_file import predictor_of
from keras_faramtn.inference.loading import find_model, load_predictor, needs_keras
from keras_faramtn.inference.predictor import Predictor
from keras_faramtn.inference.serving_address import is_url
from keras_faramtn.models import load_model
from keras_faramtn.report.comparison_report import comparison_content
from keras_faramtn.report.model_report import model_content
from keras_faramtn.report.page import check_page_path, write_page
from keras_faramtn.report.scored_model import ScoredModel

logger = logging.getLogger(__name__)


def write_report(
    source: str | Path,
    page: Path,
    *,
    data: Path | None = None,
    split: str = "test",
    by: Sequence[str] = (),
    thresholds: Path | None = None,
    skip_bad: bool = False,
) -> None:
    """Writes a page about a model or a comparison: one HTML file that needs nothing else.

    Args:
        source: a model, as for `load_predictor`, of a training run with its history; or the folder
            of a comparison, of which only the results are read.
        page: the `.html` file to create.
        data: for a model, the data set, as `read_dataset` takes it.
        split: `train`, `validation` or `test`.
        by: attributes or columns of the data set; the error rates of their subgroups are compared.
        thresholds: the `metrics.json` of a training run, for its chosen thresholds; None for those
            that the model records, or 0.5.
        skip_bad: skip rows and images that can't be used.

    Raises:
        InputError: the model, the data, a column, the thresholds or the page can't be used.
        ServerError: the server does not respond in time, or serves another model.
    """
    check_page_path(page)
    if not is_url(source) and (Path(source) / COMPARISON_FILE).is_file():
        if data is not None or by or thresholds is not None or split != "test" or skip_bad:
            raise InputError(
                f"{source}: a comparison is reported with its own data; leave out --data, --split, "
                "--by, --thresholds and --skip-bad."
            )
        content = comparison_content(Path(source))
        template, options = "comparison", []
    else:
        if data is None:
            raise InputError(f"{source}: to report a model, name a data set with --data.")
        if split not in SPLITS:
            raise InputError(f"unknown split {split!r}; choose one of {', '.join(SPLITS)}.")
        model = _open(source)
        content = _report_model(model, data, split, by=by, thresholds=thresholds, skip_bad=skip_bad)
        template = "model"
        options = ["--data", data.resolve().name, "--split", split]
        for column in by:
            options += ["--by", column]
        if thresholds is not None:
            options += ["--thresholds", thresholds.name]
        options += ["--skip-bad"] * skip_bad
    name = str(source) if is_url(source) else Path(source).resolve().name
    command = shlex.join(["faramtn", "report", name, *options, "--to", page.name])
    size = write_page(page, template, command=command, versions=versions(), **content)
    logger.info("%s: %.1f MB", page, size / 1e6)


@dataclass(frozen=True)
class _Model:
    """A loaded model.

    Attributes:
        name: of its file, for a training run with that of its folder.
        size: of its file or folder in bytes; None if it is on a server.
        predictor: what predicts.
        network: the network, if it is one of this package.
        run: the folder of its training run, None if it is not one.
        history: of its training; empty if unknown.
    """

    name: str
    size: int | None
    predictor: Predictor
    network: keras.Model | None
    run: Path | None
    history: dict[str, list[float]]


def _open(source: str | Path) -> _Model:
    history: dict[str, list[float]] = {}
    run = None
    if not is_url(source) and (Path(source) / HISTORY_FILE).is_file():  # a training run
        run = Path(source)
        try:
            history = read_history(run)
        except InputError as error:  # the rest of the report does not need it
            logger.warning("%s The report leaves out the training.", error)
    found = find_model(source)
    network = load_model(found) if needs_keras(source) else None
    predictor = load_predictor(source) if network is None else predictor_of(network)
    if isinstance(found, str):
        return _Model(found, None, predictor, network, run, history)
    name = f"{run.resolve().name}/{found.name}" if run else found.resolve().name
    return _Model(name, _size(found), predictor, network, run, history)


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    sizes = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):
                sizes += Path(folder, name).stat().st_size
    return sizes


def _report_model(
    model: _Model,
    data: Path,
    split: str,
    *,
    by: Sequence[str],
    thresholds: Path | None,
    skip_bad: bool,
) -> dict[str, Any]:
    """The variables of the template `model`, but for command and versions."""
    groups = model.predictor.record.groups
    attributes = groups.attributes
    values = None if thresholds is None else read_thresholds(thresholds, attributes)
    everything = check_data(data, attributes, skip_bad=skip_bad)
    table = everything.split(split)
    subgroups = [subgroups_of(table, column) for column in dict.fromkeys(by)]
    convergence = _convergence(model, everything)
    evaluation = evaluate_model(
        model.predictor,
        table,
        thresholds=values,
        progress=_bar("Predicting", " images", len(table)),
    )
    probabilities, labels = evaluation.probabilities, evaluation.labels
    intervals = score_intervals(
        evaluation.scores, groups, probabilities, labels, progress=_bar("Resampling", " block")
    )
    rates: list[SubgroupScores] = [
        subgroup_scores(
            probabilities,
            labels,
            attributes,
            each,
            evaluation.thresholds,
            progress=_bar(f"Comparing {each.column}", " block"),
        )
        for each in subgroups
    ]
    content = metrics(
        evaluation.scores,
        intervals,
        groups,
        data=data.resolve().name,
        split=split,
        model=model.name,
    )
    scored = ScoredModel(
        content,
        groups,
        table.paths,
        probabilities,
        labels,
        evaluation.thresholds,
        model.history,
        convergence,
        rates,
        model.network,
    )
    return model_content(scored, _bar("Writing the page", " section")) | {
        "title": f"Report on {model.name}",
        "subtitle": f"Scored on {counted(len(table), 'image')} of {content['data']}, {split} split",
        "facts": _facts(model, table, content, evaluation.thresholds),
        "made": _made(table),
    }


def _convergence(model: _Model, table: FaceTable) -> dict[str, Any] | None:
    """How the groups converged in training; None if that is unknown.

    It takes the labels that the network was trained and validated with, so `table` has to be that
    data set.
    """
    groups = model.predictor.record.groups
    if model.run is None or not validation_losses(model.history, groups):
        return None
    try:
        training, validation = table.split("train"), table.split("validation")
        recipe, _ = read_recipe(model.run / RECIPE_FILE)
    except InputError:  # other data, or files that `faramtn train` did not write
        return None
    if not any(_are_predictions_of(model.run, table, split) for split in SPLITS):
        return None
    try:
        losses = group_losses(model.run, groups, recipe.training.epochs)
    except InputError as error:
        logger.warning("%s The report leaves out the convergence of the groups.", error)
        return None
    constant = constant_group_losses(
        recipe.training, groups, validation.labels, positive_rates(training.labels)
    )
    return convergence_of_runs([losses], constant)


def _are_predictions_of(run: Path, table: FaceTable, split: str) -> bool:
    """Whether the predictions in a run's folder are of this data set's split."""
    try:
        read_probabilities(run / PREDICTIONS_FILE, table.split(split), table.split("train"))
    except InputError:
        return False
    return True


def _facts(
    model: _Model, table: FaceTable, content: dict[str, Any], thresholds: np.ndarray
) -> list[tuple[str, str]]:
    record, (height, width) = model.predictor.record, model.predictor.image_size
    facts = [("Model", model.name)]
    if model.network is not None:
        facts.append(("Network", model.network.name))
        facts.append(("Parameters", f"{model.network.count_params():,}"))
    if model.size is not None:
        facts.append(("Size of the file", f"{model.size / 1e6:.1f} MB"))
    attributes, groups = len(record.groups.attributes), len(record.groups)
    known = int((table.labels >= 0).sum())
    low, high = thresholds.min(), thresholds.max()
    return [
        *facts,
        ("Predicts", f"{counted(attributes, 'attribute')} in {counted(groups, 'group')}"),
        ("Input", f"one face, {width} pixels wide and {height} high"),
        ("Framing of the training images", describe_framing(record.framing)),
        ("Thresholds", f"{low:.2f}" + (f" to {high:.2f}" if high > low else " for all attributes")),
        ("Scored on", f"{content['data']}, {content['split']} split"),
        ("Images", f"{len(table):,}"),
        ("Known labels", f"{known:,} of {table.labels.size:,}"),
    ]


def _made(table: FaceTable) -> list[tuple[str, str]]:
    return [
        ("Software", describe_versions(versions())),
        ("Computer", describe_machine(machine())),
        ("Digest of file names and labels", table.digest()),
    ]


def _bar(
    description: str, unit: str, total: int | None = None
) -> Callable[[Iterable[Any]], Iterable[Any]]:
    return lambda items: tqdm(items, desc=description, unit=unit, total=total, disable=None)
