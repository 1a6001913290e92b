"""Thresholds for balanced accuracy: chosen on some images, scored on others."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from keras_faramtn.attributes import DEFAULT_THRESHOLD
from keras_faramtn.errors import InputError
from keras_faramtn.evaluation.scores import Scores, score
from keras_faramtn.json_files import read_json


def choose_thresholds(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Chooses for each attribute the threshold with the highest balanced accuracy.

    A network trained for calibrated probabilities rarely gives a rare attribute a probability above
    0.5, so it misses most faces that have it. With a threshold near the attribute's rate, recall is
    similar for faces with and without the attribute, at the price of more false positives: balanced
    accuracy rises and accuracy falls. This threshold maximises Youden's index (Youden, Cancer,
    1950).

    Args:
        probabilities: `(n, k)` in 0..1.
        labels: `(n, k)`: 1 yes, 0 no, -1 unknown.

    Returns:
        `(k,)` float64 in 0..1: the midpoint between the two neighbouring probabilities that the
        threshold separates. An attribute is predicted if its probability is above the threshold.
        `DEFAULT_THRESHOLD` for an attribute that lacks yes or no labels, or whose probabilities
        carry no information.

    Example:
        >>> probabilities = np.array([[0.1], [0.2], [0.4], [0.3]])
        >>> labels = np.array([[0], [0], [1], [1]])
        >>> float(choose_thresholds(probabilities, labels)[0])
        0.25
    """
    columns = zip(probabilities.T.astype("float64"), labels.T, strict=True)
    return np.array(
        [_choose(scores[known >= 0], known[known >= 0] > 0) for scores, known in columns]
    )


def cross_fitted(
    probabilities: np.ndarray, labels: np.ndarray, attributes: Sequence[str]
) -> Scores:
    """Estimates the scores of chosen thresholds on images that they were not chosen on.

    The thresholds are chosen on every other image and applied to the remaining images, and vice
    versa.

    Args:
        probabilities, labels, attributes: as in `score`; at least two images.

    Returns:
        The scores of these yes and no predictions. They contain no probabilities, so average
        precision has no meaning here, and `threshold` is only the one that separates 0 from 1.

    Example:
        >>> probabilities = np.array([[0.1], [0.2], [0.3], [0.4]])
        >>> labels = np.array([[0], [0], [1], [1]])
        >>> cross_fitted(probabilities, labels, ["Smiling"]).mean_balanced_accuracy
        0.75
    """
    predictions = np.empty(probabilities.shape)
    for half in (0, 1):
        thresholds = choose_thresholds(probabilities[1 - half :: 2], labels[1 - half :: 2])
        predictions[half::2] = probabilities[half::2] > thresholds
    return score(predictions, labels, attributes)


def _choose(probabilities: np.ndarray, positive: np.ndarray) -> float:
    # Imported here: `read_thresholds` serves `faramtn predict`, which must start fast.
    from sklearn.metrics import roc_curve

    if positive.all() or not positive.any():
        return DEFAULT_THRESHOLD
    # A probability of `falling[i]` or more counts as positive; the first entry is infinite.
    false_rates, true_rates, falling = roc_curve(positive, probabilities, drop_intermediate=False)
    gains = true_rates - false_rates
    best = int(gains.argmax())
    if gains[best] <= 0:
        return DEFAULT_THRESHOLD
    return float((falling[best] + falling[best + 1]) / 2)


def read_thresholds(path: Path, attributes: Sequence[str]) -> np.ndarray:
    """Reads the thresholds from a `metrics.json` of `train` or `evaluate --split validation`.

    Args:
        path: the file.
        attributes: the attributes whose thresholds are returned, in this order.

    Returns:
        `(k,)` float64 in 0..1.

    Raises:
        InputError: if the file cannot be read, or lacks a threshold in 0..1 for an attribute.
    """
    content = read_json(path)
    chosen = content.get("chosen_thresholds") if isinstance(content, Mapping) else None
    values = chosen.get("thresholds") if isinstance(chosen, Mapping) else None
    if not isinstance(values, Mapping):
        raise InputError(
            f"{path}: this file has no chosen_thresholds; use the metrics.json written by "
            "`faramtn train` or `faramtn evaluate --split validation`."
        )
    missing = [name for name in attributes if name not in values]
    if missing:
        raise InputError(
            f"{path}: there is no threshold for {', '.join(missing)}; use the metrics.json of a "
            "model with the same attributes."
        )
    thresholds = [values[name] for name in attributes]
    for name, value in zip(attributes, thresholds, strict=True):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise InputError(f"{path}: the threshold of {name} is {value!r}; it must be in 0..1.")
    return np.array(thresholds, dtype="float64")
