"""Temperatures that calibrate probabilities: fitted on some images, measured on others."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from keras_faramtn.errors import InputError
from keras_faramtn.evaluation.scores import score
from keras_faramtn.evaluation.thresholds import choose_thresholds

TEMPERATURE_BOUNDS = (0.05, 20.0)
"""Without a bound, the temperature of an attribute without any error would be 0."""

FIGURES = ("calibration_error", "brier", "log_loss", "accuracy", "balanced_accuracy", "f1")
"""What is measured before and after a calibration, as in `AttributeScores`; and the log loss."""


def fit_temperatures(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Fits for each attribute the temperature that calibrates its probabilities best.

    The probability becomes `sigmoid(logit / T)`: above 1, a temperature T makes it less certain,
    below 1 more. It minimises the binary cross-entropy of the given images, which should not be
    those that the network was trained on (Guo et al., ICML 2017, section 4.2, for one temperature
    per attribute). The cross-entropy is convex in 1/T, so the minimum is where its derivative is
    zero.

    Args:
        logits: float `(n, k)`. Probabilities are not enough where float32 rounded them to 0 or 1;
            for others, `scipy.special.logit(probabilities)` are the logits.
        labels: `(n, k)`: 1 yes, 0 no, -1 unknown.

    Returns:
        `(k,)` float64, within `TEMPERATURE_BOUNDS`: the lowest temperature if every image is on the
        right side of 0, the highest if the logits say nothing about the labels, or the contrary.
        1 for an attribute that lacks yes or no labels.

    Raises:
        InputError: the shapes differ, or a logit is not finite.

    Example:
        >>> logits = np.log([[4.0], [4.0], [4.0], [1 / 4]])
        >>> float(fit_temperatures(logits, np.array([[1], [1], [0], [0]]))[0].round(3))
        1.262
    """
    logits, labels = np.asarray(logits, "float64"), np.asarray(labels)
    if logits.shape != labels.shape:
        raise InputError(
            f"the logits have shape {logits.shape} and the labels {labels.shape}; both must cover "
            "the same images and attributes."
        )
    if not np.isfinite(logits).all():
        column = np.argwhere(~np.isfinite(logits))[0][1]
        raise InputError(
            f"the logits of attribute {column + 1} are not finite; if a probability is 0 or 1, "
            "take the logits of the network instead."
        )
    columns = zip(logits.T, labels.T, strict=True)
    return np.array([_fit(column[known >= 0], known[known >= 0] > 0) for column, known in columns])


def _fit(logits: np.ndarray, positive: np.ndarray) -> float:
    if positive.all() or not positive.any() or not logits.any():
        return 1.0

    def slope(log_temperature: float) -> float:
        """The derivative of the cross-entropy with respect to 1/T, which falls as T rises."""
        return float(np.mean((expit(logits / np.exp(log_temperature)) - positive) * logits))

    lowest, highest = map(float, np.log(TEMPERATURE_BOUNDS))
    if slope(lowest) <= 0:
        return TEMPERATURE_BOUNDS[0]
    if slope(highest) >= 0:
        return TEMPERATURE_BOUNDS[1]
    return float(np.exp(brentq(slope, lowest, highest)))


@dataclass(frozen=True)
class Calibration:
    """What calibrates the probabilities of k attributes.

    Attributes:
        temperatures: `(k,)`, see `fit_temperatures`.
        thresholds: `(k,)` in 0..1, of the calibrated probabilities; None to predict the same
            attributes as before.
    """

    temperatures: np.ndarray
    thresholds: np.ndarray | None = None


def fit_calibration(
    logits: np.ndarray, labels: np.ndarray, maximise: str | None = None
) -> Calibration:
    """Fits temperatures, and chooses thresholds of the calibrated probabilities.

    Args:
        logits, labels: as in `fit_temperatures`.
        maximise: what the thresholds maximise, as in `choose_thresholds`; None for no thresholds.

    Raises:
        InputError: as in `fit_temperatures` and `choose_thresholds`.

    Example:
        >>> logits = np.log([[4.0], [4.0], [4.0], [1 / 4]])
        >>> labels = np.array([[1], [1], [0], [0]])
        >>> fit_calibration(logits, labels, "accuracy").thresholds
        array([0.5])
    """
    temperatures = fit_temperatures(logits, labels)
    thresholds = None
    if maximise is not None:
        thresholds = choose_thresholds(expit(logits / temperatures), labels, maximise)
    return Calibration(temperatures, thresholds)


@dataclass(frozen=True)
class Predictions:
    """Predictions of n images for k attributes.

    Attributes:
        logits: float64 `(n, k)`.
        positive: boolean `(n, k)`: whether the attribute is predicted, at its threshold.
    """

    logits: np.ndarray
    positive: np.ndarray

    @property
    def probabilities(self) -> np.ndarray:
        """Float64 `(n, k)` in 0..1."""
        return expit(self.logits)


def calibrated(predictions: Predictions, calibration: Calibration) -> Predictions:
    """The predictions after a calibration.

    Example:
        >>> before = Predictions(np.array([[2.0], [-2.0]]), np.array([[True], [False]]))
        >>> after = calibrated(before, Calibration(np.array([2.0]), np.array([0.8])))
        >>> after.logits.tolist(), after.positive.tolist()
        ([[1.0], [-1.0]], [[False], [False]])
    """
    after = Predictions(predictions.logits / calibration.temperatures, predictions.positive)
    if calibration.thresholds is None:
        return after
    return replace(after, positive=after.probabilities > calibration.thresholds)


def cross_calibrated(
    predictions: Predictions, labels: np.ndarray, maximise: str | None = None
) -> Predictions:
    """The predictions of each image after a calibration that was fitted on other images.

    It is fitted on every other image and applied to the remaining images, and vice versa.

    Args:
        predictions: before the calibration, of at least two images.
        labels, maximise: as in `fit_calibration`.

    Raises:
        InputError: as in `fit_calibration`.

    Example:
        >>> logits = np.log([[4.0], [4.0], [4.0], [4.0], [1 / 4], [1 / 4], [4.0], [4.0]])
        >>> labels = np.array([[1], [1], [1], [1], [0], [0], [0], [0]])
        >>> before = Predictions(logits, logits > 0)
        >>> float(cross_calibrated(before, labels).probabilities.max().round(3))
        0.75
    """
    logits, positive = np.empty(labels.shape), np.empty(labels.shape, bool)
    for half in (0, 1):
        fitted, others = slice(1 - half, None, 2), slice(half, None, 2)
        calibration = fit_calibration(predictions.logits[fitted], labels[fitted], maximise)
        after = calibrated(
            Predictions(predictions.logits[others], predictions.positive[others]), calibration
        )
        logits[others], positive[others] = after.logits, after.positive
    return Predictions(logits, positive)


def measure(
    predictions: Predictions, labels: np.ndarray, attributes: Sequence[str]
) -> dict[str, np.ndarray]:
    """Measures how well predictions are calibrated, and how many are correct.

    Args:
        predictions: of n images.
        labels: `(n, k)`: 1 yes, 0 no, -1 unknown.
        attributes: the k names.

    Returns:
        For each of `FIGURES` the values of all attributes, float64 `(k,)`, NaN where a figure is
        not defined. The log loss is the mean binary cross-entropy, in nats.

    Example:
        >>> logits = np.array([[2.0], [-2.0]])
        >>> figures = measure(Predictions(logits, logits > 0), np.array([[1], [0]]), ["Smiling"])
        >>> float(figures["accuracy"][0]), float(figures["log_loss"][0].round(3))
        (1.0, 0.127)
    """
    known = labels >= 0
    of_probabilities = score(predictions.probabilities, labels, attributes)
    of_decisions = score(predictions.positive.astype("float64"), labels, attributes)
    sources = {"calibration_error": of_probabilities, "brier": of_probabilities}
    figures = {
        name: np.array(
            [getattr(each, name) for each in sources.get(name, of_decisions).attributes], "float64"
        )
        for name in FIGURES
        if name != "log_loss"
    }
    losses = np.logaddexp(0, np.where(labels > 0, -predictions.logits, predictions.logits))
    counts = known.sum(axis=0)
    with np.errstate(invalid="ignore"):
        figures["log_loss"] = (losses * known).sum(axis=0) / counts
    return figures
