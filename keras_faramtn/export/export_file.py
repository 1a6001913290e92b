"""`faramtn export`: a model file to a folder of exported files."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from keras_faramtn.data.images import find_images, load_image
from keras_faramtn.errors import InputError
from keras_faramtn.evaluation.evaluate import METRICS_FILE
from keras_faramtn.export.exported_file import ExportedFile
from keras_faramtn.export.exporter import FORMATS, export_model
from keras_faramtn.export.gpu import describe
from keras_faramtn.models import load_model
from keras_faramtn.synthetic.dataset import draw_faces

_PARITY_FACES = 64


_CALIBRATION_FACES = 256


def export_file(
    model_file: Path,
    folder: Path,
    *,
    formats: Sequence[str] | None = None,
    faces: Path | None = None,
    calibrate: Path | None = None,
    force: bool = False,
) -> None:
    """Exports a model file, and prints how each exported file compares with it.

    Args:
        model_file: a `.keras` file; the scores of a `metrics.json` beside it go into the card.
        folder: where to.
        formats: keys of `FORMATS`; None for all.
        faces: an image or a folder of images to compare on; None for synthetic faces.
        calibrate: a folder of images from which the 8 bit file takes its ranges, best those of
            training; None for `faces`, or synthetic faces.
        force: replace an existing folder.

    Raises:
        InputError: as `export_model`.
    """
    metrics = _read_metrics(model_file.with_name(METRICS_FILE))
    model = load_model(model_file)
    formats = formats or tuple(FORMATS)
    image_size = model.input_shape[1:3]
    images, source = _images(faces, _PARITY_FACES, image_size, seed=0)
    print(f"Comparing on {source}.")
    sources, calibration = (source, source), None
    if any(FORMATS[each].calibrated for each in formats if each in FORMATS):
        place = calibrate or faces
        calibration, source = _images(place, _CALIBRATION_FACES, image_size, seed=1)
        sources = (sources[0], source)
        print(f"Calibrating 8 bits on {source}.")
        if place is None:
            print("  Real images like those of training give better ranges: --calibrate FOLDER.")
    export_model(
        model,
        folder,
        images,
        formats,
        calibration=calibration,
        sources=sources,
        metrics=metrics,
        force=force,
        progress=_exporting,
        report=_print_exported,
    )
    print(f"All files equal the model within their tolerance. They are in {folder}/")


def _images(
    place: Path | None, count: int, image_size: tuple[int, int], seed: int
) -> tuple[np.ndarray, str]:
    """At most `count` images of a place, drawn at random, and in words what they are."""
    if place is None:
        return draw_faces(count, image_size, seed), f"{count} synthetic faces"
    found = find_images([place])
    chosen = np.random.default_rng(seed).permutation(len(found))[:count]
    images = np.stack([load_image(found[each], image_size) for each in sorted(chosen)])
    return images, f"{len(chosen)} of the {len(found):,} images of {place.resolve().name}"


def _read_metrics(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
        return metrics if {"data", "split", "images", "means"} <= set(metrics) else None
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: this is no JSON ({error}); correct or remove it.") from error


def _exporting(formats: Sequence[str]) -> Iterator[str]:
    with tqdm(formats, unit=" file", leave=False) as bar:
        for each in bar:
            bar.set_description(f"Exporting {each}")
            yield each


def _print_exported(name: str, file: ExportedFile) -> None:
    parity = file.parity
    lines = [
        f"  {name:<16}{file.size / 1e6:7.2f} MB  largest difference {parity.largest:.1e}, mean "
        f"{parity.mean:.1e}, {100 * parity.agreement:.2f} % of decisions alike"
        f"{'' if parity.passed else '  FAILED'}"
    ]
    if file.gpu is not None:
        lines.append(f"{'':18}{file.milliseconds:.1f} ms on one thread; {describe(file.gpu)}")
    tqdm.write("\n".join(lines))
