"""Thresholds for balanced accuracy: chosen on data, scored on other data."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_curve

from keras_faramtn.attributes import DEFAULT_THRESHOLD
from keras_faramtn.errors import InputError
from keras_faramtn.evaluation.scores import Scores, score


def choose_thresholds(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The threshold of each attribute that gives it the largest balanced accuracy.

    A network that is trained for the right probabilities rarely gives a rare attribute more than
    0.5, so it finds few of those who have it. A threshold near the attribute's rate finds as large
    a share of them as of those who don't, and says yes wrongly more often: balanced accuracy goes
    up, accuracy down. That is the largest Youden index (Youden, Cancer, 1950).

    Args:
        probabilities: `(n, k)` in 0..1.
        labels: `(n, k)`: 1 yes, 0 no, -1 unknown.

    Returns:
        `(k,)` float64 in 0..1, a probability above it says yes: halfway between the two
        probabilities that it parts. `DEFAULT_THRESHOLD` for an attribute without both a yes and a
        no label, or whose probabilities tell nothing.
    """
    columns = zip(probabilities.T.astype("float64"), labels.T, strict=True)
    return np.array([_choose(sure[known >= 0], known[known >= 0] > 0) for sure, known in columns])


def cross_fitted(
    probabilities: np.ndarray, labels: np.ndarray, attributes: Sequence[str]
) -> Scores:
    """What chosen thresholds achieve on images that they were not chosen on.

    Each half of the images (every other one) is answered with the thresholds of the other half.

    Args:
        probabilities, labels, attributes: as in `score`; two images at least.

    Returns:
        The scores of these yes and no answers. They hold no probabilities, so average precision
        has no meaning here; and `threshold` is that between no and yes.
    """
    answers = np.empty(probabilities.shape)
    for half in (0, 1):
        thresholds = choose_thresholds(probabilities[1 - half :: 2], labels[1 - half :: 2])
        answers[half::2] = probabilities[half::2] > thresholds
    return score(answers, labels, attributes)


def _choose(probabilities: np.ndarray, yes: np.ndarray) -> float:
    if yes.all() or not yes.any():
        return DEFAULT_THRESHOLD
    # From `falling[i]` on says yes; before the first, infinity, nobody does.
    false_rates, true_rates, falling = roc_curve(yes, probabilities, drop_intermediate=False)
    gains = true_rates - false_rates
    best = int(gains.argmax())
    if gains[best] <= 0:
        return DEFAULT_THRESHOLD
    return float((falling[best] + falling[best + 1]) / 2)


def read_thresholds(path: Path, attributes: Sequence[str]) -> np.ndarray:
    """The thresholds in a `metrics.json` of `faramtn train` or `evaluate --split validation`.

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
            "train` or `faramtn evaluate --split validation` left."
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
