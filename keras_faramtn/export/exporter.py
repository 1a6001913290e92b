"""Exports a network to a folder of files, each compared with the trained model."""

import dataclasses
import functools
import json
import logging
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from tqdm import tqdm

from keras_faramtn.atomic_files import (
    atomic_folder,
    check_folder,
    refuse_non_empty,
    unused_path,
    visible_content,
)
from keras_faramtn.errors import InputError
from keras_faramtn.export.exported_file import ExportedFile
from keras_faramtn.export.formats import FORMATS, Format, check_formats
from keras_faramtn.export.gpu_check import check_gpu, describe_gpu_check
from keras_faramtn.export.model_card import write_model_card
from keras_faramtn.export.parity import measure_parity
from keras_faramtn.export.serving_files import write_serving_files
from keras_faramtn.export.tflite import measure_latency
from keras_faramtn.inference.records import LABELS_FILE
from keras_faramtn.model_record import RECORD_FILE, record_to_json
from keras_faramtn.models import inference_model
from keras_faramtn.models.record import record_of
from keras_faramtn.ownership import mark_files, refuse_other_files

_KIND = "export"
_PARITY_FILE = "parity.json"
_MODEL_CARD_FILE = "README.md"  # shown on the page of a repository
_GPU_IMAGES = 4  # a GPU emulated in software is slow

logger = logging.getLogger(__name__)


def export_model(
    model: keras.Model,
    folder: str | Path,
    images: np.ndarray,
    formats: Sequence[str] = tuple(FORMATS),
    *,
    image_source: str = "the given images",
    calibration_images: Sequence[np.ndarray] | None = None,
    calibration_source: str = "the given images",
    metrics: dict[str, Any] | None = None,
    force: bool = False,
    progress: bool = False,
) -> dict[str, ExportedFile]:
    """Exports a network to other formats, and compares each file with the model.

    The folder appears only when all files have passed the comparison. It contains the exported
    files; `labels.txt`, the attributes in the order of the probabilities, one per line;
    `model.json`, the record of the model, see `record_to_json`; `parity.json`, the comparisons;
    `README.md`, the model card; and with a SavedModel, `compose.yaml` and
    `batching_parameters.txt`, which start TensorFlow Serving. A hidden marker lists the files with
    their digests. The result of each comparison is logged. The folder can be uploaded to the
    Hugging Face hub as it is.

    Args:
        model: a network of this package.
        folder: the folder to create.
        images: the images for the comparison, `(n, height, width, 3)` in 0..255, RGB, of the
            model's input size.
        formats: keys of `FORMATS`.
        image_source: a description of `images` for the model card.
        calibration_images: images like `images` that determine the quantization ranges of the
            8-bit file; None for `images`.
        calibration_source: their description for the model card.
        metrics: the model's scores for the model card, as `evaluation.metrics_file.metrics` returns
            them.
        force: replace an earlier export, if no file was added or changed since.
        progress: show a progress bar on standard error.

    Returns:
        The exported file of each format.

    Raises:
        InputError: an unknown format; a missing package; `folder` exists and `force` is not set,
            or it contains anything other than an export; or a file differs from the model, in which
            case all files are kept in the folder that the message names.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from keras_faramtn import AttributeGroups, FARAMTN
        >>> groups = AttributeGroups({"eyes": ["Eyeglasses"], "mouth": ["Smiling"]},
        ...                          attributes=["Eyeglasses", "Smiling"])
        >>> model = FARAMTN("mobilenetv3_small", groups, (32, 32, 3))
        >>> images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3))
        >>> with TemporaryDirectory() as folder:
        ...     files = export_model(model, Path(folder) / "export", images, ["tflite_float32"])
        >>> files["tflite_float32"].path, files["tflite_float32"].parity.passed
        ('tflite/faramtn_float32.tflite', True)
    """
    folder = Path(folder).absolute()
    check_formats(formats)
    check_export_folder(folder, force=force)
    inference = inference_model(model)
    expected = inference.predict(images, verbose=0)
    thresholds = record_of(model).decision_thresholds
    calibration = images if calibration_images is None else calibration_images
    files = {}
    refuse = functools.partial(_refuse_existing, force=force)
    with atomic_folder(folder, refuse=refuse) as export:
        hidden = None if progress else True  # None hides the bar where there is no terminal
        with tqdm(dict.fromkeys(formats), unit=" file", leave=False, disable=hidden) as bar:
            for name in bar:
                bar.set_description(f"Exporting {name}")
                kind = FORMATS[name]
                path = export / kind.path.format(name=model.name)
                path.parent.mkdir(parents=True, exist_ok=True)
                network = model if kind.network else inference
                kind.write(network, path, *([calibration] if kind.calibrated else []))
                files[name] = _measure(kind, path, export, images, expected, thresholds)
                logger.info(_describe(name, files[name]))
        if "saved_model" in files:
            write_serving_files(export, model.name)
        _write_record(export, model)
        _write_parity(export, files)
        card = write_model_card(
            model, list(files.values()), image_source, calibration_source, metrics
        )
        (export / _MODEL_CARD_FILE).write_text(card, encoding="utf-8")
        _refuse_mismatches(files, export, folder)
        mark_files(export, _KIND)
    return files


def check_export_folder(folder: Path, *, force: bool = False) -> None:
    """Checks early whether `export_model` can write to a folder.

    Raises:
        InputError: `folder` exists and `force` is not set, or it contains anything other than an
            export.
    """
    check_folder(folder, functools.partial(_refuse_existing, force=force))


def _refuse_existing(folder: Path, *, force: bool) -> None:
    if force:
        refuse_other_files(folder, _KIND)
        return
    if folder.is_dir() and visible_content(folder):
        raise InputError(f"{folder}: it already exists; choose another folder, or use --force.")
    refuse_non_empty(folder)


def _measure(
    kind: Format,
    path: Path,
    export: Path,
    images: np.ndarray,
    expected: np.ndarray,
    thresholds: Sequence[float],
) -> ExportedFile:
    """Compares an exported file with the expected probabilities; measures size and speed."""
    written = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    file = ExportedFile(
        path=path.relative_to(export).as_posix(),
        size_bytes=sum(each.stat().st_size for each in written),
        parity=measure_parity(
            expected,
            kind.run(path, images),
            kind.tolerance,
            kind.min_decision_agreement,
            thresholds,
        ),
    )
    if not kind.mobile:
        return file
    return dataclasses.replace(
        file,
        latency_ms=measure_latency(path, images[0]),
        gpu=check_gpu(path, images[:_GPU_IMAGES]),
    )


def _describe(name: str, file: ExportedFile) -> str:
    parity = file.parity
    text = (
        f"  {name:<16}{file.size_bytes / 1e6:7.2f} MB  largest difference "
        f"{parity.max_difference:.1e}, mean {parity.mean_difference:.1e}, "
        f"{100 * parity.decision_agreement:.2f} % equal decisions"
        f"{'' if parity.passed else '  FAILED'}"
    )
    if file.gpu is not None:
        text += (
            f"\n{'':18}{file.latency_ms:.1f} ms on one CPU thread; {describe_gpu_check(file.gpu)}"
        )
    return text


def _write_record(export: Path, model: keras.Model) -> None:
    record = record_of(model)
    labels = "".join(f"{attribute}\n" for attribute in record.groups.attributes)
    (export / LABELS_FILE).write_text(labels, encoding="utf-8")
    (export / RECORD_FILE).write_text(record_to_json(record), encoding="utf-8")


def _write_parity(export: Path, files: dict[str, ExportedFile]) -> None:
    content = {name: dataclasses.asdict(file) for name, file in files.items()}
    text = json.dumps(_json_value(content), indent=2, allow_nan=False) + "\n"
    (export / _PARITY_FILE).write_text(text)


def _json_value(content: Any) -> Any:
    """Skips fields that are None, and writes null for numbers that JSON doesn't have."""
    if isinstance(content, dict):
        return {key: _json_value(value) for key, value in content.items() if value is not None}
    return None if isinstance(content, float) and not math.isfinite(content) else content


def _refuse_mismatches(files: dict[str, ExportedFile], export: Path, folder: Path) -> None:
    failed = [file for file in files.values() if not file.parity.passed]
    if not failed:
        return
    kept = unused_path(folder.with_name(f"{folder.name}.mismatch"))
    shutil.move(export, kept)  # a mount point may be on another file system
    raise InputError(
        "\n".join(
            f"{kept / file.path}: it differs from the model by {file.parity.max_difference:.2g} "
            f"(at most {file.parity.tolerance:.0e} is allowed), with "
            f"{100 * file.parity.decision_agreement:.1f} % equal decisions (at least "
            f"{100 * file.parity.min_decision_agreement:.0f} % is required). The file is kept for "
            "inspection; do not use it."
            for file in failed
        )
    )
