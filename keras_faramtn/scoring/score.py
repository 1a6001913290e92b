"""Scores very many images into Parquet files; an interrupted run resumes."""

import functools
import io
import itertools
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from keras_faramtn import __version__
from keras_faramtn.atomic_files import atomic_write_bytes, digest
from keras_faramtn.console import hidden_stderr
from keras_faramtn.data.images import load_upright
from keras_faramtn.differences import describe_differences
from keras_faramtn.errors import InputError
from keras_faramtn.faces.detector import FaceDetector
from keras_faramtn.faces.framing_check import CHECKED_IMAGES, warn_of_framing
from keras_faramtn.framing import Framing, framing_to_json
from keras_faramtn.inference.loading import load_predictor
from keras_faramtn.json_files import read_json
from keras_faramtn.ownership import owned_folder
from keras_faramtn.scoring.cluster import ray_cluster, require_ray, run_on_ray
from keras_faramtn.scoring.readers import read_shard
from keras_faramtn.scoring.shards import (
    Shard,
    fingerprint,
    list_shards,
    refuse_output_in_inputs,
)
from keras_faramtn.scoring.table import ScoringSummary, check_columns, read_summary
from keras_faramtn.scoring.worker import Scoring, score_shard

IMAGES_PER_SHARD = 1000
"""The default number of image files that one task scores."""

SETTINGS_FILE = "_scoring.json"
"""What identifies a run. Like `SUCCESS_FILE`, it begins with an underscore, so that programs that
read the folder as one Parquet table skip it."""

SUCCESS_FILE = "_SUCCESS"
"""An empty file that is written when all images are scored, as Hadoop and Spark do."""

_PART = "part-{:06}.parquet"
_KIND = "scoring run"
_HASHES = {"model": "another model", "input": "other input files, or changed ones"}
_MODEL_FILES = (".tflite", ".onnx")

logger = logging.getLogger(__name__)


def score_images(
    inputs: Sequence[str | Path],
    model: str | Path,
    to: str | Path,
    *,
    detect: bool = False,
    framing: Framing | None = None,
    address: str | None = None,
    images_per_shard: int = IMAGES_PER_SHARD,
    progress: bool = False,
) -> ScoringSummary:
    """Predicts the attributes of very many images with Ray Data, into a folder of Parquet files.

    The input is divided into shards, and each is scored by one task on one core. This process
    writes the result of each task to `part-NUMBER.parquet` with `atomic_write`. The same call
    resumes an interrupted run: shards whose files are complete are skipped, so the output contains
    each image exactly once.

    An image that can't be used is a row with an error. So is the rest of a damaged shard, and a
    photograph without a face is a row without probabilities. Without `detect`, a warning is logged
    where one of the first images is clearly framed in another way than the model's training images.

    Args:
        inputs: files, folders and glob patterns, as for `list_shards`: images, tar archives of
            WebDataset, TFRecord files of `tf.train.Example`, and Parquet files.
        model: a `.tflite` or `.onnx` file. On a cluster, the inputs and the model must have the
            same paths on all computers.
        to: the folder to create or to resume.
        detect: the images are photographs: detect the faces and crop them.
        framing: how to crop detected faces; None for the framing that the model records.
        address: as for `ray_cluster`; None for the cores of this computer.
        images_per_shard: the largest number of image files in a shard.
        progress: show a progress bar on standard error.

    Returns:
        The numbers of images, usable images, faces and errors in the folder.

    Raises:
        InputError: Ray is not installed; the inputs or the model can't be used; the folder is below
            an input, is of another run, or is being written.
        ServerError: the cluster can't be used, or fails; or the worker of a shard dies each time.
            All other shards are scored then.

    Example:
        >>> try:
        ...     score_images(["photographs"], "model.keras", "scores", detect=True)
        ... except InputError as error:
        ...     print(error)
        model.keras: scoring needs a .tflite or .onnx file; write one with `faramtn export`.
    """
    if Path(model).suffix not in _MODEL_FILES:
        raise InputError(
            f"{model}: scoring needs a .tflite or .onnx file; write one with `faramtn export`."
        )
    require_ray()
    model = Path(model).absolute()
    with hidden_stderr():  # LiteRT prints what it does
        record = load_predictor(model).record
    check_columns(record.groups.attributes)
    framing = _framing(model, record.framing, framing, detect)
    scoring = Scoring(model, digest(model), framing)
    shards = list_shards(inputs, images_per_shard)
    to = Path(to)
    refuse_output_in_inputs(inputs, to / _PART.format(0))
    with owned_folder(to, _KIND):
        settings = _settings(scoring, shards)
        _refuse_other_settings(to, settings)
        pending, total = _unfinished(to, shards)
        if pending:
            (to / SUCCESS_FILE).unlink(missing_ok=True)
            if not detect and record.framing is not None:
                _check_framing(shards[0], record.framing)
            scored = _score(pending, scoring, to, address, settings)
            finished = len(shards) - len(pending)
            # None hides the bar where there is no terminal.
            total = sum(
                tqdm(
                    scored,
                    total=len(shards),
                    initial=finished,
                    desc="Scoring",
                    unit=" shards",
                    disable=None if progress else True,
                ),
                total,
            )
        atomic_write_bytes(to / SUCCESS_FILE, b"")
    return total


def _unfinished(to: Path, shards: Sequence[Shard]) -> tuple[list[Shard], ScoringSummary]:
    """The shards without a complete file, and the counts of the others."""
    pending, total = [], ScoringSummary()
    for shard in shards:
        path = _part(to, shard)
        try:
            if path.exists():
                total += read_summary(path)
            else:
                pending.append(shard)
        except InputError as error:
            logger.warning("%s Its shard is scored again.", error)
            pending.append(shard)
    if len(pending) < len(shards):
        logger.info("%s: %d of %d shards are finished", to, len(shards) - len(pending), len(shards))
    return pending, total


def _score(
    shards: Sequence[Shard],
    scoring: Scoring,
    to: Path,
    address: str | None,
    settings: dict[str, Any],
) -> Iterator[ScoringSummary]:
    """Scores shards and writes their files; yields their counts."""
    with ray_cluster(address):
        atomic_write_bytes(to / SETTINGS_FILE, (json.dumps(settings, indent=1) + "\n").encode())
        for shard, content in run_on_ray(functools.partial(score_shard, scoring=scoring), shards):
            atomic_write_bytes(_part(to, shard), content)
            yield read_summary(io.BytesIO(content))


def _framing(
    model: Path, recorded: Framing | None, chosen: Framing | None, detect: bool
) -> Framing | None:
    if not detect:
        return None
    if (chosen or recorded) is None:
        raise InputError(
            f"{model}: it doesn't record how its training images are framed; specify --framing."
        )
    return chosen or recorded


def _check_framing(shard: Shard, framing: Framing) -> None:
    """Warns once where one of the first images of a shard is no face crop of a framing."""
    with hidden_stderr():  # LiteRT and TensorFlow print what they do
        detector = FaceDetector()
        images = list(itertools.islice(read_shard(shard), CHECKED_IMAGES))
    for image in images:
        try:
            upright = load_upright(image.path, image.content)
        except InputError:  # it will be a row with an error
            continue
        if warn_of_framing(image.path, upright, framing, detector):
            return


def _part(to: Path, shard: Shard) -> Path:
    return to / _PART.format(shard.number)


def _settings(scoring: Scoring, shards: Sequence[Shard]) -> dict[str, Any]:
    framing = scoring.framing
    return {
        "version": __version__,
        "model": scoring.model_hash,
        "framing": None if framing is None else framing_to_json(framing),
        "shards": len(shards),
        "input": fingerprint(shards),
    }


def _refuse_other_settings(to: Path, settings: dict[str, Any]) -> None:
    path = to / SETTINGS_FILE
    if not path.exists():
        return
    found = read_json(path)
    differences = [words for key, words in _HASHES.items() if found.pop(key, None) != settings[key]]
    others = {key: value for key, value in settings.items() if key not in _HASHES}
    if described := describe_differences(found, others):
        differences.append(described)
    if differences:
        raise InputError(
            f"{to}: it belongs to another run ({'; '.join(differences)}); choose another folder."
        )
