"""The folder that an export leaves: every file in it has been compared with the model."""

import dataclasses
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras
import numpy as np

from keras_faramtn.errors import InputError
from keras_faramtn.export.litert import run_tflite, write_tflite
from keras_faramtn.export.onnx import run_onnx, write_onnx
from keras_faramtn.export.parity import Parity, compare
from keras_faramtn.export.saved_model import run_saved_model, write_saved_model
from keras_faramtn.models import groups_of, inference_model


@dataclass(frozen=True)
class Format:
    """One kind of exported file.

    Attributes:
        place: its path in the export's folder; `{name}` stands for the model's name.
        write: writes an inference model to a path.
        run: runs the file at a path on pictures `(n, height, width, 3)` in 0..255.
        tolerance: the largest difference of a probability from the trained model's.
    """

    place: str
    write: Callable[[keras.Model, Path], None]
    run: Callable[[Path, np.ndarray], np.ndarray]
    tolerance: float


FORMATS: dict[str, Format] = {
    "saved_model": Format("saved_model/1", write_saved_model, run_saved_model, 1e-4),
    "tflite_float32": Format("tflite/{name}_float32.tflite", write_tflite, run_tflite, 1e-4),
    "tflite_float16": Format(
        "tflite/{name}_float16.tflite", partial(write_tflite, float16=True), run_tflite, 2e-2
    ),
    "onnx": Format("onnx/{name}.onnx", write_onnx, run_onnx, 1e-4),
}
"""What can be exported. The tolerances leave room for another order of additions, and for half
floats' 11 bits; a wrong conversion is orders of magnitude away."""

LABELS_FILE = "labels.txt"
GROUPS_FILE = "groups.json"


def export_model(
    model: keras.Model,
    folder: str | Path,
    faces: np.ndarray,
    formats: Sequence[str] = tuple(FORMATS),
    *,
    force: bool = False,
    report: Callable[[str, Parity, int], None] = lambda *_: None,
) -> dict[str, Parity]:
    """Exports a network for use elsewhere, and compares each file with it.

    Everything is written to a folder aside, which takes its name only when all files have passed.
    Beside the formats' files it has `labels.txt`, the attributes in the order of the
    probabilities, a line each, `groups.json`, from each group to its attributes, and
    `parity.json`, the comparisons.

    Args:
        model: a network of this package.
        folder: where to.
        faces: pictures to compare on, `(n, height, width, 3)` in 0..255, of the model's size.
        formats: keys of `FORMATS`.
        force: replace an existing folder.
        report: called after each file with its format, its comparison and its size in bytes.

    Returns:
        From each format to its comparison.

    Raises:
        InputError: an unknown format, an existing folder without `force`, a missing package, or a
            file that differs from the model: then the folder aside is kept, and named.
    """
    folder = Path(folder)
    unknown = [each for each in formats if each not in FORMATS]
    if unknown or not formats:
        raise InputError(
            f"there is no format {', '.join(unknown) or '(none given)'}; choose of "
            f"{', '.join(FORMATS)}."
        )
    if folder.exists() and not force:
        raise InputError(f"{folder}: it exists already; choose another folder, or --force.")
    aside = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        parities = _write_and_compare(model, aside, faces, formats, report)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    failed = {each: parity for each, parity in parities.items() if not parity.passed}
    if failed:
        kept = folder.with_name(f"{folder.name}.mismatch")
        shutil.rmtree(kept, ignore_errors=True)
        aside.rename(kept)
        raise InputError(
            "\n".join(
                f"{kept / FORMATS[each].place.format(name=model.name)}: differs from the "
                f"model by {parity.largest:.2g} (at most {parity.tolerance:.0e}); kept to be "
                "looked at, not to be used."
                for each, parity in failed.items()
            )
        )
    if folder.exists():
        shutil.rmtree(folder)
    aside.rename(folder)
    return parities


def _write_and_compare(
    model: keras.Model,
    folder: Path,
    faces: np.ndarray,
    formats: Sequence[str],
    report: Callable[[str, Parity, int], None],
) -> dict[str, Parity]:
    inference = inference_model(model)
    expected = inference.predict(faces, verbose=0)
    parities = {}
    for each in formats:
        kind = FORMATS[each]
        path = folder / kind.place.format(name=model.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        kind.write(inference, path)
        parities[each] = compare(expected, kind.run(path, faces), kind.tolerance)
        report(each, parities[each], _size(path))
    groups = groups_of(model)
    (folder / LABELS_FILE).write_text("".join(f"{label}\n" for label in groups.attributes))
    (folder / GROUPS_FILE).write_text(json.dumps(dict(groups), indent=2) + "\n")
    content = {each: dataclasses.asdict(parity) for each, parity in parities.items()}
    (folder / "parity.json").write_text(json.dumps(content, indent=2) + "\n")
    return parities


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)
