"""Predictions for image files: their type, the handling of bad images, and their description."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from tqdm import tqdm

from keras_faramtn.attributes import DEFAULT_THRESHOLD
from keras_faramtn.errors import InputError

Prediction = tuple[Path, dict[str, float]]
"""An image file, and its probabilities in 0..1 by attribute in canonical order."""

Result = TypeVar("Result")

logger = logging.getLogger(__name__)


def handle_bad_images(
    results: Iterable[tuple[Path, Result | InputError]],
    *,
    total: int,
    skip_bad: bool,
    progress: bool,
) -> Iterator[tuple[Path, Result]]:
    """Yields the predictions among `results`; skips bad images, or raises their errors.

    Args:
        results: each image file with what was predicted for it, or its error.
        total: the number of results.
        skip_bad: log a warning for a bad image and continue, instead of raising its error.
        progress: show a progress bar on standard error if there are several images.

    Raises:
        InputError: a bad image without `skip_bad`, or all images are bad.

    Example:
        >>> [(path, probabilities)] = handle_bad_images(
        ...     [(Path("face.jpg"), {"Smiling": 0.9})], total=1, skip_bad=False, progress=False
        ... )
        >>> probabilities
        {'Smiling': 0.9}
    """
    bad = 0
    # None hides the bar where there is no terminal.
    hidden = None if progress and total > 1 else True
    with tqdm(total=total, desc="Predicting", unit=" images", disable=hidden) as bar:
        for image_path, prediction in results:
            bar.update()
            if not isinstance(prediction, InputError):
                yield image_path, prediction
            elif skip_bad:
                bad += 1
                logger.warning("%s", prediction)
            elif total == 1:
                raise prediction
            else:
                raise InputError(f"{prediction} Use --skip-bad to skip such images.")
    if bad == total:
        raise InputError(f"none of the {total:,} images can be used.")
    if bad:
        logger.warning("%s of %s images were skipped.", f"{bad:,}", f"{total:,}")


def check_probabilities(image: object, attributes: Sequence[str], rows: np.ndarray) -> None:
    """Checks that a model's numbers can be probabilities.

    Args:
        image: what was predicted; errors name it.
        attributes: the attributes, in the order of the numbers.
        rows: the numbers, `(n, attributes)`.

    Raises:
        InputError: a number is outside 0..1, or NaN.

    Example:
        >>> check_probabilities("face.jpg", ["Smiling"], np.array([[1.5]]))
        Traceback (most recent call last):
            ...
        keras_faramtn.errors.InputError: face.jpg: the model predicts 1.5 for Smiling, but a ...
    """
    bad = ~((rows >= 0) & (rows <= 1))  # no comparison with NaN is true
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise InputError(
            f"{image}: the model predicts {rows[row, column]:g} for {attributes[column]}, but a "
            "probability is between 0 and 1; the model can't be used for this image."
        )


def predicted_attributes(
    probabilities: Mapping[str, float], thresholds: Mapping[str, float] | None = None
) -> list[str]:
    """The attributes whose probabilities are above their thresholds, most probable first.

    Args:
        probabilities: in 0..1, by attribute.
        thresholds: in 0..1, by attribute; None for 0.5 for all.

    Raises:
        InputError: an attribute has no threshold.

    Example:
        >>> predicted_attributes({"Bald": 0.1, "Male": 0.75, "Smiling": 0.9})
        ['Smiling', 'Male']
    """
    limits = thresholds or dict.fromkeys(probabilities, DEFAULT_THRESHOLD)
    missing = [name for name in probabilities if name not in limits]
    if missing:
        raise InputError(f"there is no threshold for {', '.join(missing)}; specify one for each.")
    positive = [name for name, p in probabilities.items() if p > limits[name]]
    return sorted(positive, key=lambda name: -probabilities[name])


def describe_prediction(
    probabilities: Mapping[str, float], thresholds: Mapping[str, float] | None = None
) -> str:
    """Lists the attributes whose probabilities are above their thresholds, most probable first.

    Args:
        probabilities, thresholds: as in `predicted_attributes`.

    Example:
        >>> describe_prediction({"Bald": 0.1, "Male": 0.75, "Smiling": 0.9})
        'Smiling 90 %, Male 75 %'
    """
    positive = predicted_attributes(probabilities, thresholds)
    if not positive:
        limit = "its threshold" if thresholds else f"{100 * DEFAULT_THRESHOLD:.0f} %"
        return f"no attribute above {limit}"
    return ", ".join(f"{name} {100 * probabilities[name]:.0f} %" for name in positive)
