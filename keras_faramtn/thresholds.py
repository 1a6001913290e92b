"""From which probability on an attribute counts as shown."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from keras_faramtn.errors import InputError

DEFAULT_THRESHOLD = 0.5
"""A probability above it says yes, unless thresholds were chosen: in scores, in comparisons of
exported files, and in the metadata by which MediaPipe's ImageClassifier leaves out the others."""


def read_thresholds(path: Path, attributes: Sequence[str]) -> np.ndarray:
    """The thresholds in a `metrics.json` of `faramtn train` or `evaluate --part validation`.

    Args:
        path: the file.
        attributes: of which attributes, in which order.

    Returns:
        `(k,)` float64 in 0..1.

    Raises:
        InputError: the file can't be read, or has no threshold in 0..1 for each attribute.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: this file can't be read as JSON: {error}") from error
    chosen = content.get("chosen_thresholds") if isinstance(content, Mapping) else None
    values = chosen.get("thresholds") if isinstance(chosen, Mapping) else None
    if not isinstance(values, Mapping):
        raise InputError(
            f"{path}: this file has no chosen_thresholds; give the metrics.json that `faramtn "
            "train` or `faramtn evaluate --part validation` left."
        )
    missing = [name for name in attributes if name not in values]
    if missing:
        raise InputError(
            f"{path}: it has no threshold for {', '.join(missing)}; give the metrics.json of a "
            "model with the same attributes."
        )
    thresholds = [values[name] for name in attributes]
    for name, value in zip(attributes, thresholds, strict=True):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise InputError(f"{path}: the threshold of {name} is {value!r}; it must be in 0..1.")
    return np.array(thresholds, dtype="float64")
