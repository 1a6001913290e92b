"""Thresholds for balanced accuracy: chosen on data, scored on other data."""

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import roc_curve

from keras_faramtn.evaluation.scores import Scores, score
from keras_faramtn.thresholds import DEFAULT_THRESHOLD


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
    """What chosen thresholds achieve on pictures that they were not chosen on.

    Each half of the pictures (every other one) is answered with the thresholds of the other half.

    Args:
        probabilities, labels, attributes: as in `score`; two pictures at least.

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
