"""Thresholds that maximise a score: chosen on some images, scored on others."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from keras_faramtn.attributes import DEFAULT_THRESHOLD
from keras_faramtn.errors import InputError
from keras_faramtn.evaluation.scores import Scores, score
from keras_faramtn.json_files import read_json

BALANCED_ACCURACY = "balanced_accuracy"

# Each from true and false positives at all thresholds, and the numbers of yes and no labels. Only
# the order matters: integers, and quotients of integers, are equal where the scores are.
_SCORES: dict[str, Callable[[np.ndarray, np.ndarray, int, int], np.ndarray]] = {
    BALANCED_ACCURACY: lambda true, false, yes, no: true * no - false * yes,
    "f1": lambda true, false, yes, no: 2 * true / (true + false + yes),
    "accuracy": lambda true, false, yes, no: true - false,
}

MAXIMISABLE = tuple(_SCORES)
"""The scores that `choose_thresholds` can maximise."""


def choose_thresholds(
    probabilities: np.ndarray, labels: np.ndarray, maximise: str = BALANCED_ACCURACY
) -> np.ndarray:
    """Chooses for each attribute the threshold with the highest score.

    A network trained for calibrated probabilities rarely gives a rare attribute a probability above
    0.5, so it misses most faces that have it. With a threshold near the attribute's rate, recall is
    similar for faces with and without the attribute, at the price of more false positives: balanced
    accuracy rises and accuracy falls. The threshold for balanced accuracy maximises Youden's index
    (Youden, Cancer, 1950). That for F1 is about half of the F1 reached, if the probabilities are
    calibrated (Lipton et al., ECML PKDD 2014), so it is below 0.5.

    Every threshold is compared, also those that predict yes, or no, for all images. Of thresholds
    with the same score, the nearest to 0.5 is chosen.

    Args:
        probabilities: `(n, k)` in 0..1.
        labels: `(n, k)`: 1 yes, 0 no, -1 unknown.
        maximise: `balanced_accuracy`, `f1` or `accuracy`.

    Returns:
        `(k,)` float64 in 0..1: the midpoint between the two neighbouring probabilities that the
        threshold separates, where 0 and 1 count as neighbours of the lowest and highest. An
        attribute is predicted if its probability is above the threshold. `DEFAULT_THRESHOLD` for an
        attribute that lacks yes or no labels, and, for balanced accuracy, if no threshold does
        better than a constant prediction.

    Raises:
        InputError: an unknown score, or a probability that is not in 0..1.

    Example:
        >>> probabilities = np.array([[0.1], [0.2], [0.4], [0.3]])
        >>> labels = np.array([[0], [0], [1], [1]])
        >>> float(choose_thresholds(probabilities, labels)[0])
        0.25
    """
    if maximise not in _SCORES:
        raise InputError(f"can't maximise {maximise!r}; choose one of {', '.join(MAXIMISABLE)}.")
    probabilities = np.asarray(probabilities, "float64")
    if not ((probabilities >= 0) & (probabilities <= 1)).all():  # no comparison with NaN is true
        raise InputError("thresholds need probabilities in 0..1; got other numbers, or NaN.")
    columns = zip(probabilities.T, np.asarray(labels).T, strict=True)
    return np.array(
        [_choose(scores[known >= 0], known[known >= 0] > 0, maximise) for scores, known in columns]
    )


def cross_fitted(
    probabilities: np.ndarray,
    labels: np.ndarray,
    attributes: Sequence[str],
    maximise: str = BALANCED_ACCURACY,
) -> Scores:
    """Estimates the scores of chosen thresholds on images that they were not chosen on.

    The thresholds are chosen on every other image and applied to the remaining images, and vice
    versa.

    Args:
        probabilities, labels, attributes: as in `score`; at least two images.
        maximise: as in `choose_thresholds`.

    Returns:
        The scores of these yes and no predictions. They contain no probabilities, so average
        precision has no meaning here, and `threshold` is only the one that separates 0 from 1.

    Example:
        >>> probabilities = np.array([[0.1], [0.2], [0.3], [0.4]])
        >>> labels = np.array([[0], [0], [1], [1]])
        >>> cross_fitted(probabilities, labels, ["Smiling"]).mean.balanced_accuracy
        0.75
    """
    predictions = np.empty(probabilities.shape)
    for half in (0, 1):
        others = slice(1 - half, None, 2)
        thresholds = choose_thresholds(probabilities[others], labels[others], maximise)
        predictions[half::2] = probabilities[half::2] > thresholds
    return score(predictions, labels, attributes)


def _choose(probabilities: np.ndarray, positive: np.ndarray, maximise: str) -> float:
    yes, no = int(positive.sum()), int((~positive).sum())
    if not yes or not no:
        return DEFAULT_THRESHOLD
    distinct, positions = np.unique(probabilities, return_inverse=True)
    # The threshold below `distinct[i]` predicts yes from there on, the last one for no image.
    true, false = (
        np.append(np.bincount(positions[which], minlength=len(distinct))[::-1].cumsum()[::-1], 0)
        for which in (positive, ~positive)
    )
    scores = _SCORES[maximise](true, false, yes, no)
    lower, upper = np.append(0.0, distinct), np.append(distinct, 1.0)
    # The midpoint of neighbouring floats may be rounded up; no probability is between them.
    thresholds = np.where((middle := (lower + upper) / 2) < upper, middle, lower)
    if distinct[0] == 0:  # no threshold predicts yes for a probability of 0
        scores, thresholds = scores[1:], thresholds[1:]
    best = scores.max()
    if maximise == BALANCED_ACCURACY and best <= 0:
        return DEFAULT_THRESHOLD
    candidates = thresholds[scores == best]
    return float(candidates[np.abs(candidates - DEFAULT_THRESHOLD).argmin()])


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
