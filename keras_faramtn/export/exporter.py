"""The folder that an export leaves: every file in it has been compared with the model."""

import dataclasses
import importlib.util
import json
import math
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_faramtn.errors import InputError
from keras_faramtn.export.exported_file import ExportedFile
from keras_faramtn.export.gpu import check_gpu
from keras_faramtn.export.model_card import write_model_card
from keras_faramtn.export.onnx import run_onnx, write_onnx
from keras_faramtn.export.parity import compare
from keras_faramtn.export.saved_model import run_saved_model, write_serving_model
from keras_faramtn.export.serving_files import write_serving_files
from keras_faramtn.export.tflite import (
    latency,
    run_tflite,
    write_tflite,
    write_tflite_float16,
    write_tflite_int8,
)
from keras_faramtn.inference.predictor import LABELS_FILE
from keras_faramtn.models import groups_of, inference_model

_GPU_FACES = 4  # a GPU in software takes its time


@dataclass(frozen=True)
class Format:
    """One kind of exported file.

    Attributes:
        place: its path in the export's folder; `{name}` stands for the model's name.
        write: writes an inference model to a path; with `calibrated`, from images as well.
        run: runs the file at a path on images `(n, height, width, 3)` in 0..255.
        tolerance: the largest difference of a probability from the trained model's.
        min_agreement: the smallest share of yes/no decisions that must be the model's.
        calibrated: whether `write` takes images.
        needs: the packages beyond the core that it takes, by the names they are imported by.
        extra: the extra of this package that brings them.
    """

    place: str
    write: Callable[..., None]
    run: Callable[[Path, np.ndarray], np.ndarray]
    tolerance: float
    min_agreement: float = 0.0
    calibrated: bool = False
    needs: tuple[str, ...] = ()
    extra: str = ""

    @property
    def mobile(self) -> bool:
        """Whether the file is for phones, which are asked for speed and GPU."""
        return self.place.endswith(".tflite")


FORMATS: dict[str, Format] = {
    "saved_model": Format(
        *("saved_model/1", write_serving_model, run_saved_model, 1e-4),
        needs=("tensorflow_serving",),
        extra="serving",
    ),
    "tflite_float32": Format("tflite/{name}_float32.tflite", write_tflite, run_tflite, 1e-4),
    "tflite_float16": Format(
        "tflite/{name}_float16.tflite", write_tflite_float16, run_tflite, 2e-2
    ),
    "tflite_int8": Format(
        *("tflite/{name}_int8.tflite", write_tflite_int8, run_tflite, 0.5),
        min_agreement=0.95,
        calibrated=True,
    ),
    "onnx": Format(
        *("onnx/{name}.onnx", write_onnx, run_onnx, 1e-4),
        needs=("tf2onnx", "onnx", "onnxruntime"),
        extra="onnx",
    ),
}
"""What can be exported. The tolerances leave room for another order of additions, and for half
floats' 11 bits; a wrong conversion is orders of magnitude away. Of 8 bits no closeness of each
number can be asked, only that the decisions stay."""

GROUPS_FILE = "groups.json"
_PARITY_FILE = "parity.json"


def export_model(
    model: keras.Model,
    folder: str | Path,
    faces: np.ndarray,
    formats: Sequence[str] = tuple(FORMATS),
    *,
    calibration: Sequence[np.ndarray] | None = None,
    sources: tuple[str, str] = ("the given images", "the given images"),
    metrics: dict[str, Any] | None = None,
    force: bool = False,
    progress: Callable[[Sequence[str]], Iterable[str]] = iter,
    report: Callable[[str, ExportedFile], None] = lambda *_: None,
) -> dict[str, ExportedFile]:
    """Exports a network for use elsewhere, and compares each file with it.

    Everything is written to a folder aside, which takes its name only when all files have passed.
    Beside the formats' files it has `labels.txt`, the attributes in the order of the
    probabilities, a line each; `groups.json`, from each group to its attributes; `parity.json`,
    the comparisons; `model_card.md`; and, for a SavedModel, `compose.yaml` and
    `batching_parameters.txt`, to start TensorFlow Serving with.

    Args:
        model: a network of this package.
        folder: where to.
        faces: images to compare on, `(n, height, width, 3)` in 0..255, of the model's size.
        formats: keys of `FORMATS`.
        calibration: images from which the 8 bit file takes its ranges, as `faces`; None for
            `faces`.
        sources: what the images to compare on and those to calibrate on are, for the card.
        metrics: the model's scores, as `evaluation.report.metrics` returns them, for the card.
        force: replace an earlier export.
        progress: wraps the formats as they are gone through, to show a bar.
        report: called after each file with its format and what was found of it.

    Returns:
        From each format to its file.

    Raises:
        InputError: an unknown format, an existing folder without `force` or one that is no export,
            a missing package, or a file that differs from the model: then the folder aside is
            kept, and named.
    """
    folder = Path(folder).absolute()
    unknown = [each for each in formats if each not in FORMATS]
    if unknown or not formats:
        raise InputError(
            f"there is no format {', '.join(unknown) or '(none given)'}; choose of "
            f"{', '.join(FORMATS)}."
        )
    aside, replaced = (folder.with_name(f".{folder.name}.{end}") for end in ("unfinished", "old"))
    _clear(aside, replaced, folder)
    _refuse_missing_packages(formats)
    _refuse_to_lose(folder, force)
    inference = inference_model(model)
    try:
        files = {}
        expected = inference.predict(faces, verbose=0)
        for each in progress(tuple(dict.fromkeys(formats))):
            kind, place = FORMATS[each], FORMATS[each].place.format(name=model.name)
            path = aside / place
            path.parent.mkdir(parents=True, exist_ok=True)
            images = (faces if calibration is None else calibration,) if kind.calibrated else ()
            kind.write(inference, path, *images)
            files[each] = _look_at(kind, path, place, faces, expected)
            report(each, files[each])
        if "saved_model" in files:
            write_serving_files(aside, model.name)
        _write_texts(aside, model, files, sources, metrics)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    _refuse_mismatches(files, aside, folder)
    # Two renames rather than a removal and one: whatever ends the program leaves one version whole.
    if folder.exists():
        folder.rename(replaced)
    aside.rename(folder)
    shutil.rmtree(replaced, ignore_errors=True)
    return files


def _refuse_missing_packages(formats: Sequence[str]) -> None:
    missing = sorted(
        {
            FORMATS[each].extra
            for each in formats
            if not all(importlib.util.find_spec(package) for package in FORMATS[each].needs)
        }
    )
    if missing:
        raise InputError(
            f"the formats {', '.join(formats)} need more packages: "
            f"pip install 'keras-faramtn[{','.join(missing)}]'; or choose others with --format."
        )


def _refuse_to_lose(folder: Path, force: bool) -> None:
    if not folder.exists():
        return
    if not force:
        raise InputError(f"{folder}: it exists already; choose another folder, or --force.")
    if not folder.is_dir() or (any(folder.iterdir()) and not (folder / _PARITY_FILE).is_file()):
        raise InputError(
            f"{folder}: this is no earlier export, so --force does not replace it; choose another "
            "folder."
        )


def _clear(aside: Path, replaced: Path, folder: Path) -> None:
    """Removes what an export that was killed has left, and puts the old version back if need be."""
    shutil.rmtree(aside, ignore_errors=True)
    if replaced.exists() and not folder.exists():
        replaced.rename(folder)
    shutil.rmtree(replaced, ignore_errors=True)


def _look_at(
    kind: Format, path: Path, place: str, faces: np.ndarray, expected: np.ndarray
) -> ExportedFile:
    parity = compare(expected, kind.run(path, faces), kind.tolerance, kind.min_agreement)
    inside = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in inside)
    if not kind.mobile:
        return ExportedFile(place, size, parity)
    return ExportedFile(
        place, size, parity, latency(path, faces[0]), check_gpu(path, faces[:_GPU_FACES])
    )


def _write_texts(
    folder: Path,
    model: keras.Model,
    files: dict[str, ExportedFile],
    sources: tuple[str, str],
    metrics: dict[str, Any] | None,
) -> None:
    groups = groups_of(model)
    labels = "".join(f"{attribute}\n" for attribute in groups.attributes)
    (folder / LABELS_FILE).write_text(labels, encoding="utf-8")
    (folder / GROUPS_FILE).write_text(json.dumps(dict(groups), indent=2) + "\n")
    content = {each: _as_json(file) for each, file in files.items()}
    text = json.dumps(_finite(content), indent=2, allow_nan=False) + "\n"
    (folder / _PARITY_FILE).write_text(text)
    card = write_model_card(model, groups, list(files.values()), sources, metrics)
    (folder / "model_card.md").write_text(card, encoding="utf-8")


def _as_json(file: ExportedFile) -> dict[str, Any]:
    content = dataclasses.asdict(file)
    return {"file": content.pop("place"), "bytes": content.pop("size"), **content.pop("parity")} | {
        name: value for name, value in content.items() if value is not None
    }


def _finite(content: Any) -> Any:
    """The same with None for the numbers that JSON has not."""
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    return None if isinstance(content, float) and not math.isfinite(content) else content


def _refuse_mismatches(files: dict[str, ExportedFile], aside: Path, folder: Path) -> None:
    failed = [file for file in files.values() if not file.parity.passed]
    if not failed:
        return
    kept = folder.with_name(f"{folder.name}.mismatch")
    shutil.rmtree(kept, ignore_errors=True)
    aside.rename(kept)
    raise InputError(
        "\n".join(
            f"{kept / file.place}: differs from the model by {file.parity.largest:.2g} (at most "
            f"{file.parity.tolerance:.0e}), with {100 * file.parity.agreement:.1f} % of decisions "
            f"alike (at least {100 * file.parity.min_agreement:.0f}); kept to be looked at, not "
            "to be used."
            for file in failed
        )
    )
