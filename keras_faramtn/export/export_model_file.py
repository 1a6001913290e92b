"""The command `faramtn export`: exports a model file to a folder."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_faramtn.data.images import find_images, load_image
from keras_faramtn.errors import InputError
from keras_faramtn.evaluation.metrics_file import METRICS_FILE, SCHEMA_VERSION, metrics_schema
from keras_faramtn.export.exporter import check_export_folder, export_model
from keras_faramtn.export.formats import FORMATS, check_formats
from keras_faramtn.hub import is_hub_handle
from keras_faramtn.json_files import read_json
from keras_faramtn.models import load_model
from keras_faramtn.synthetic.faces import draw_faces

_PARITY_IMAGES = 64
_CALIBRATION_IMAGES = 256

logger = logging.getLogger(__name__)


def export_model_file(
    model_file: str | Path,
    folder: Path,
    *,
    formats: Sequence[str] | None = None,
    images: Path | None = None,
    calibration_images: Path | None = None,
    force: bool = False,
) -> None:
    """Exports a model file, and logs how each exported file compares with the model.

    Args:
        model_file: what `load_model` takes; the scores of a `metrics.json` in the same folder go
            into the model card.
        folder: the folder to create.
        formats: keys of `FORMATS`; None for all.
        images: an image, or a folder of images, to compare on; None for synthetic faces.
        calibration_images: an image, or a folder of images, for the quantization ranges of the
            8-bit file, preferably training images; None for `images`.
        force: replace an earlier export, if no file was added or changed since.

    Raises:
        InputError: the model, the scores or an image can't be read; or as in `export_model`.
    """
    check_export_folder(folder, force=force)
    metrics = _read_metrics(model_file)
    formats = tuple(FORMATS) if formats is None else tuple(formats)
    check_formats(formats)
    model = load_model(model_file)
    image_size = model.input_shape[1:3]
    parity_images, image_source = _load_images(images, _PARITY_IMAGES, image_size, seed=0)
    logger.info("Comparing on %s.", image_source)
    calibration: dict[str, Any] = {}
    if any(FORMATS[name].calibrated for name in formats):
        path = calibration_images or images
        loaded, source = _load_images(path, _CALIBRATION_IMAGES, image_size, seed=1)
        calibration = {"calibration_images": loaded, "calibration_source": source}
        logger.info("Calibrating the 8-bit file on %s.", source)
        if path is None:
            logger.info("  Images like those used for training are better: --calibrate FOLDER.")
    export_model(
        model,
        folder,
        parity_images,
        formats,
        image_source=image_source,
        metrics=metrics,
        force=force,
        progress=True,
        **calibration,
    )
    logger.info("All files match the model within their tolerances. They are in %s/", folder)


def _load_images(
    path: Path | None, max_images: int, image_size: tuple[int, int], seed: int
) -> tuple[np.ndarray, str]:
    """At most `max_images` images from `path`, chosen at random, and their description."""
    if path is None:
        return draw_faces(max_images, image_size, seed), f"{max_images} synthetic faces"
    found = find_images([path])
    chosen = np.random.default_rng(seed).permutation(len(found))[:max_images]
    images = np.stack([load_image(found[index], image_size) for index in sorted(chosen)])
    return images, f"{len(chosen)} of the {len(found):,} images of {path.resolve().name}"


def _read_metrics(model_file: str | Path) -> dict[str, Any] | None:
    """The scores in the folder of a model, or None if there are none in the current format."""
    if is_hub_handle(model_file):
        return None
    path = Path(model_file)
    path = (path if path.is_dir() else path.parent) / METRICS_FILE
    if not path.is_file():
        return None
    metrics = read_json(path)
    if not isinstance(metrics, dict) or metrics.get("schema_version") != SCHEMA_VERSION:
        logger.warning(
            "%s: not in the current format, so the model card has no scores; write it again with "
            "`faramtn evaluate`.",
            path,
        )
        return None
    missing = set(metrics_schema()["required"]) - metrics.keys()
    if missing:
        raise InputError(
            f"{path}: {', '.join(sorted(missing))} is missing; write it again with `faramtn "
            "evaluate`."
        )
    return metrics
