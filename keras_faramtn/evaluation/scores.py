"""Scores of predicted attributes against their labels, attribute by attribute and as means.

Accuracy is the usual metric in the literature, but predicting "no" for every image already gives a
rare attribute a high accuracy. It is therefore always reported with scores that are sensitive to
rare attributes, such as balanced accuracy and average precision, and with the accuracy of the
majority-class baseline.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_faramtn.attributes import DEFAULT_THRESHOLD, AttributeGroups
from keras_faramtn.errors import InputError
from keras_faramtn.evaluation.calibration_error import expected_calibration_error
from keras_faramtn.evaluation.undefined import none_if_nan

VARYING_RATES = (0.05, 0.95)
"""An attribute varies if its positive rate among the evaluated labels is in this range, both ends
included. On other attributes, hardly any classifier beats the majority-class baseline."""

SCORES = (
    "accuracy",
    "majority_accuracy",
    "balanced_accuracy",
    "precision",
    "recall",
    "f1",
    "average_precision",
    "roc_auc",
    "calibration_error",
    "brier",
)
"""The scores of an attribute, each with a mean over attributes."""


@dataclass(frozen=True)
class AttributeScores:
    """The scores of one attribute over the images whose label is known.

    All scores are in 0..1, and None where they are not defined: all of them if no label is known.
    They are scikit-learn's scores of the same name, except for the calibration error.

    Attributes:
        attribute: its name.
        known: the number of known labels.
        threshold: the attribute is predicted if its probability is above it.
        positive_rate: fraction of the known labels that are yes.
        majority_accuracy: accuracy of the majority-class baseline, see `score`.
        accuracy: fraction of the known labels that are predicted correctly.
        balanced_accuracy: mean recall of the yes labels and of the no labels; None if all known
            labels are equal.
        precision: fraction of the predicted images whose label is yes; None if the attribute is
            predicted for no image.
        recall: fraction of the yes labels that are predicted, also called true positive rate; None
            if no label is yes.
        f1: harmonic mean of precision and recall, `2 TP / (2 TP + FP + FN)`; None if no label is
            yes and the attribute is predicted for no image.
        average_precision: area under the precision-recall curve, which needs no threshold; None if
            all known labels are equal.
        roc_auc: area under the ROC curve: the probability that an image with the attribute gets a
            higher probability than one without it; None if all known labels are equal.
        calibration_error: see `expected_calibration_error`.
        brier: mean squared difference between probability and label.
    """

    attribute: str
    known: int
    threshold: float
    positive_rate: float | None = None
    majority_accuracy: float | None = None
    accuracy: float | None = None
    balanced_accuracy: float | None = None
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None
    average_precision: float | None = None
    roc_auc: float | None = None
    calibration_error: float | None = None
    brier: float | None = None

    @property
    def varies(self) -> bool:
        """Whether the positive rate is within `VARYING_RATES`."""
        low, high = VARYING_RATES
        return self.positive_rate is not None and low <= self.positive_rate <= high


@dataclass(frozen=True)
class Means:
    """Each score's mean over several attributes, all with the same weight.

    A mean is over the attributes for which the score is defined, and None if there is none.

    Attributes:
        counts: for each of `SCORES` the number of attributes that its mean is over.
        accuracy, majority_accuracy, balanced_accuracy, precision, recall, f1, average_precision,
            roc_auc, calibration_error, brier: the means of the scores, see `AttributeScores`.
    """

    counts: Mapping[str, int]
    accuracy: float | None
    majority_accuracy: float | None
    balanced_accuracy: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    average_precision: float | None
    roc_auc: float | None
    calibration_error: float | None
    brier: float | None

    @property
    def gain(self) -> float | None:
        """`accuracy` minus `majority_accuracy`; None where these are None."""
        if self.accuracy is None or self.majority_accuracy is None:
            return None
        return self.accuracy - self.majority_accuracy


@dataclass(frozen=True)
class Scores:
    """The scores of all attributes and their means.

    Attributes:
        attributes: one entry per attribute, in canonical order.
        images: the number of images, at least 1.
        majority_of: the labels that decide the majority class, "evaluated labels" or "training
            labels".
        mean: over all attributes.
        varying: over the attributes that vary (`VARYING_RATES`).
    """

    attributes: tuple[AttributeScores, ...]
    images: int
    majority_of: str
    mean: Means
    varying: Means


def score(
    probabilities: np.ndarray,
    labels: np.ndarray,
    attributes: Sequence[str],
    thresholds: float | Sequence[float] | np.ndarray = DEFAULT_THRESHOLD,
    training_rates: Sequence[float] | np.ndarray | None = None,
) -> Scores:
    """Scores predictions, ignoring unknown labels.

    The majority-class baseline predicts a constant for each attribute. Without `training_rates` it
    is the more frequent class among the evaluated labels: the upper bound of any constant
    prediction. With `training_rates` it is the majority class of the training labels, which is
    known before the evaluation, scored on the evaluated labels.

    Args:
        probabilities: `(n, k)` float in 0..1, columns in the order of `attributes`.
        labels: `(n, k)`: 1 yes, 0 no, -1 unknown.
        attributes: the k names.
        thresholds: an attribute is predicted if its probability is above its threshold; one for
            all attributes, or k.
        training_rates: the positive rates of the k attributes in training, in 0..1, as returned by
            `positive_rates`; for NaN (no known training label) the baseline predicts no.

    Returns:
        The scores of each attribute and their means.

    Raises:
        InputError: if shapes do not match, there is no image, a probability is NaN or outside 0..1
            (the message names the attribute), or a label, threshold or rate is out of range.

    Example:
        >>> probabilities = np.array([[0.9, 0.1], [0.4, 0.2], [0.7, 0.6], [0.8, 0.3]])
        >>> labels = np.array([[1, 0], [1, 0], [0, 1], [1, -1]])
        >>> scores = score(probabilities, labels, ["Smiling", "Bald"])
        >>> [each.accuracy for each in scores.attributes]
        [0.5, 1.0]
        >>> scores.mean.accuracy, round(scores.mean.majority_accuracy, 3)
        (0.75, 0.708)
    """
    attributes = tuple(attributes)
    probabilities, labels = np.asarray(probabilities), np.asarray(labels)
    check_predictions(probabilities, labels, attributes)
    thresholds = _one_per_attribute("thresholds", thresholds, attributes)
    majority = majority_classes(labels, attributes, training_rates)
    scores = tuple(
        _score_attribute(
            name,
            probabilities[:, column],
            labels[:, column],
            float(thresholds[column]),
            bool(majority[column]),
        )
        for column, name in enumerate(attributes)
    )
    return Scores(
        attributes=scores,
        images=len(labels),
        majority_of="evaluated labels" if training_rates is None else "training labels",
        mean=_means(scores),
        varying=_means([each for each in scores if each.varies]),
    )


def check_predictions(
    probabilities: np.ndarray, labels: np.ndarray, attributes: Sequence[str]
) -> None:
    """Checks that predictions can be scored.

    Args:
        probabilities, labels, attributes: as in `score`.

    Raises:
        InputError: the shapes do not match, there is no image, a probability is NaN or outside
            0..1, or a label is not 1, 0 or -1. The message names the attribute.

    Example:
        >>> check_predictions(np.array([[0.9, 0.2]]), np.array([[1, -1]]), ["Smiling", "Bald"])
    """
    _refuse_bad_shapes(probabilities, labels, attributes)
    _refuse_bad_values("probability", probabilities, attributes)
    _refuse_bad_labels(labels, attributes)


def group_means(scores: Scores, groups: AttributeGroups) -> dict[str, Means]:
    """The mean scores of the attributes of each group.

    Args:
        scores: from `score`.
        groups: the groups of the scored attributes.

    Returns:
        The means by group, in the order of the groups.

    Example:
        >>> groups = AttributeGroups({"hair": ["Bald"], "mouth": ["Smiling"]}, ["Smiling", "Bald"])
        >>> labels = np.array([[1, 0], [1, 1]])
        >>> scores = score(np.array([[0.9, 0.2], [0.8, 0.3]]), labels, groups.attributes)
        >>> {group: means.accuracy for group, means in group_means(scores, groups).items()}
        {'hair': 0.5, 'mouth': 1.0}
    """
    by_name = {each.attribute: each for each in scores.attributes}
    return {group: _means([by_name[name] for name in names]) for group, names in groups.items()}


def majority_classes(
    labels: np.ndarray,
    attributes: Sequence[str],
    training_rates: Sequence[float] | np.ndarray | None = None,
) -> np.ndarray:
    """What the majority-class baseline predicts for each attribute.

    Args:
        labels, attributes, training_rates: as in `score`.

    Returns:
        `(k,)` boolean: True for yes.

    Example:
        >>> majority_classes(np.array([[1, 0], [1, -1]]), ["Smiling", "Bald"]).tolist()
        [True, False]
    """
    if training_rates is None:
        return positive_rates(labels) > 0.5  # no comparison with NaN is true
    rates = np.nan_to_num(np.asarray(training_rates, "float64"))
    return _one_per_attribute("training_rates", rates, tuple(attributes)) > 0.5


def positive_rates(labels: np.ndarray) -> np.ndarray:
    """The fraction of each attribute's known labels that are yes.

    Args:
        labels: `(n, k)`: 1 yes, 0 no, -1 unknown.

    Returns:
        `(k,)` float64 in 0..1; NaN for an attribute without a known label.

    Example:
        >>> positive_rates(np.array([[1, 0], [1, -1], [0, -1], [1, 0]])).tolist()
        [0.75, 0.0]
    """
    known = (labels >= 0).sum(axis=0)
    positive = (labels > 0).sum(axis=0)
    return np.divide(positive, known, out=np.full(known.shape, np.nan), where=known > 0)


def _score_attribute(
    attribute: str, probabilities: np.ndarray, labels: np.ndarray, threshold: float, majority: bool
) -> AttributeScores:
    # Imported here: `faramtn predict` imports this module, and must start fast.
    from sklearn.metrics import (
        accuracy_score,
        average_precision_score,
        balanced_accuracy_score,
        brier_score_loss,
        precision_recall_fscore_support,
        roc_auc_score,
    )

    known = labels >= 0
    positive = labels[known] > 0
    if not len(positive):
        return AttributeScores(attribute, 0, threshold)
    scored = probabilities[known].astype("float64")
    predicted = scored > threshold
    precision, recall, f1, _ = precision_recall_fscore_support(
        positive, predicted, average="binary", pos_label=True, zero_division=np.nan
    )
    both = positive.any() and not positive.all()
    return AttributeScores(
        attribute=attribute,
        known=len(positive),
        threshold=threshold,
        positive_rate=float(positive.mean()),
        majority_accuracy=float((positive == majority).mean()),
        accuracy=float(accuracy_score(positive, predicted)),
        balanced_accuracy=float(balanced_accuracy_score(positive, predicted)) if both else None,
        precision=none_if_nan(precision),
        recall=none_if_nan(recall),
        f1=none_if_nan(f1),
        average_precision=float(average_precision_score(positive, scored)) if both else None,
        roc_auc=float(roc_auc_score(positive, scored)) if both else None,
        calibration_error=expected_calibration_error(scored, positive),
        brier=float(brier_score_loss(positive, scored, pos_label=True)),
    )


def _means(scores: Sequence[AttributeScores]) -> Means:
    values = {
        name: [value for each in scores if (value := getattr(each, name)) is not None]
        for name in SCORES
    }
    return Means(
        counts={name: len(defined) for name, defined in values.items()},
        **{name: float(np.mean(defined)) if defined else None for name, defined in values.items()},
    )


def _one_per_attribute(what: str, values: Any, attributes: tuple[str, ...]) -> np.ndarray:
    values = np.asarray(values, dtype="float64")
    if values.shape not in {(), (len(attributes),)}:
        raise InputError(
            f"{what} has shape {values.shape}; pass one value, or one for each of the "
            f"{len(attributes)} attributes."
        )
    values = np.broadcast_to(values, (len(attributes),))
    _refuse_bad_values(what, values[np.newaxis], attributes)
    return values


def _refuse_bad_shapes(
    probabilities: np.ndarray, labels: np.ndarray, attributes: Sequence[str]
) -> None:
    if probabilities.ndim != 2 or probabilities.shape[1] != len(attributes):
        raise InputError(
            f"the probabilities have shape {probabilities.shape}; it must be (images, "
            f"{len(attributes)}), one column per attribute."
        )
    if labels.shape != probabilities.shape:
        raise InputError(
            f"the labels have shape {labels.shape} and the probabilities {probabilities.shape}; "
            "both must cover the same images and attributes."
        )
    if not labels.size:
        raise InputError("there is no image or no attribute to score.")


def _refuse_bad_values(what: str, values: np.ndarray, attributes: Sequence[str]) -> None:
    """Raises InputError if one of the `(rows, k)` `values` is NaN or outside 0..1."""
    bad = ~((values >= 0) & (values <= 1))
    if bad.any():
        row, column = np.argwhere(bad)[0]
        value = values[row, column]
        hint = ""
        if what == "probability" and np.isnan(value):
            hint = " The network's weights are not finite: its training has diverged."
        elif what == "probability":
            hint = " Score the inference model's probabilities, not logits."
        raise InputError(
            f"{what} of {attributes[column]}: {value} in row {row + 1} ({bad.sum()} such values in "
            f"total); it must be in 0..1.{hint}"
        )


def _refuse_bad_labels(labels: np.ndarray, attributes: Sequence[str]) -> None:
    bad = ~np.isin(labels, (-1, 0, 1))
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise InputError(
            f"label of {attributes[column]}: {labels[row, column]} in row {row + 1}; it must be 1 "
            "(yes), 0 (no) or -1 (unknown)."
        )
