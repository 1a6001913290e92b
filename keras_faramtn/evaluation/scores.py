"""Scores of predicted attributes against their labels, attribute by attribute and as means.

Accuracy is the usual metric in the literature, but predicting "no" for every image already gives a
rare attribute a high accuracy. It is therefore always reported with three other scores: balanced
accuracy and average precision, which are sensitive to rare attributes, and the accuracy of the
majority-class baseline.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_faramtn.attributes import DEFAULT_THRESHOLD, AttributeGroups
from keras_faramtn.errors import InputError

VARYING_RATES = (0.05, 0.95)
"""An attribute varies if its positive rate among the evaluated labels is in this range, both ends
included. On other attributes, hardly any classifier beats the majority-class baseline."""


@dataclass(frozen=True)
class AttributeScores:
    """The scores of one attribute over the images whose label is known.

    All scores are in 0..1, and None if no label is known.

    Attributes:
        attribute: its name.
        known: the number of known labels.
        threshold: the attribute is predicted if its probability is above it.
        positive_rate: fraction of the known labels that are yes.
        majority_accuracy: accuracy of the majority-class baseline, see `score`.
        accuracy: fraction of the known labels that are predicted correctly.
        balanced_accuracy: mean recall of the yes labels and of the no labels; None if all known
            labels are equal.
        average_precision: area under the precision-recall curve, as scikit-learn's
            `average_precision_score`, which needs no threshold; None if all known labels are equal.
    """

    attribute: str
    known: int
    threshold: float
    positive_rate: float | None
    majority_accuracy: float | None
    accuracy: float | None
    balanced_accuracy: float | None
    average_precision: float | None


@dataclass(frozen=True)
class Scores:
    """The scores of all attributes and their means; every attribute has the same weight.

    Attributes:
        attributes: one entry per attribute, in canonical order.
        images: the number of images, at least 1.
        majority_of: the labels that decide the majority class, "evaluated labels" or "training
            labels".
        mean_accuracy: over the `in_accuracy` attributes with a known label; None if there is none.
        mean_majority_accuracy: over the same attributes.
        in_accuracy: the number of attributes in the two means above.
        mean_balanced_accuracy: over the `in_balanced` attributes with both yes and no labels; None
            if there is none.
        mean_average_precision: over the same attributes.
        in_balanced: the number of attributes in the two means above.
        varying_accuracy: mean accuracy over the attributes that vary (`VARYING_RATES`); None if
            there is none.
        varying_majority_accuracy: mean accuracy of the majority-class baseline over the same
            attributes.
        varying_balanced_accuracy: mean balanced accuracy over the same attributes.
        varying_average_precision: mean average precision over the same attributes.
        in_varying: the number of attributes that vary.
    """

    attributes: tuple[AttributeScores, ...]
    images: int
    majority_of: str
    mean_accuracy: float | None
    mean_majority_accuracy: float | None
    in_accuracy: int
    mean_balanced_accuracy: float | None
    mean_average_precision: float | None
    in_balanced: int
    varying_accuracy: float | None
    varying_majority_accuracy: float | None
    varying_balanced_accuracy: float | None
    varying_average_precision: float | None
    in_varying: int

    @property
    def varying_gain(self) -> float | None:
        """`varying_accuracy` minus `varying_majority_accuracy`; None if no attribute varies."""
        if self.varying_accuracy is None or self.varying_majority_accuracy is None:
            return None
        return self.varying_accuracy - self.varying_majority_accuracy


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
        >>> scores.mean_accuracy, round(scores.mean_majority_accuracy, 3)
        (0.75, 0.708)
    """
    attributes = tuple(attributes)
    probabilities, labels = np.asarray(probabilities), np.asarray(labels)
    _refuse_bad_shapes(probabilities, labels, attributes)
    _refuse_bad_values("probability", probabilities, attributes)
    _refuse_bad_labels(labels, attributes)
    thresholds = _one_per_attribute("thresholds", thresholds, attributes)
    if training_rates is None:
        rates = positive_rates(labels)
    else:
        rates = _one_per_attribute("training_rates", np.nan_to_num(training_rates), attributes)
    predicted = probabilities > thresholds
    scores = tuple(
        _score_attribute(
            name,
            probabilities[:, column],
            predicted[:, column],
            labels[:, column],
            float(thresholds[column]),
            bool(rates[column] > 0.5),
        )
        for column, name in enumerate(attributes)
    )
    return _with_means(
        scores, len(labels), "evaluated labels" if training_rates is None else "training labels"
    )


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


def predict_probabilities(
    model: Any,
    dataset: Iterable[tuple[Any, Mapping[str, Any]]],
    groups: AttributeGroups,
    progress: Callable[[Iterable], Iterable] = iter,
) -> tuple[np.ndarray, np.ndarray]:
    """Predicts a dataset and collects its labels in one pass.

    Args:
        model: an inference model, which returns `(batch, k)` probabilities in canonical order.
        dataset: batches of `(images, {group: labels (batch, attributes of the group)})`.
        groups: the groups of the labels.
        progress: wraps the iteration over the dataset, as `tqdm.tqdm` does.

    Returns:
        `(n, k)` float32 probabilities and `(n, k)` int8 labels (1, 0, -1 unknown), both with
        columns in the order of `groups.attributes`.

    Raises:
        InputError: if the dataset is empty.
    """
    probabilities, labels = [], []
    for images, by_group in progress(dataset):
        # A tf.data dataset yields TensorFlow tensors, which JAX does not accept.
        batch = model.predict_on_batch(np.asarray(images))
        probabilities.append(np.asarray(batch, "float32"))
        labels.append(canonical_labels(by_group, groups))
    if not labels:
        raise InputError("there is no image to evaluate; choose a split that contains images.")
    return np.concatenate(probabilities), np.concatenate(labels)


def canonical_labels(by_group: Mapping[str, Any], groups: AttributeGroups) -> np.ndarray:
    """Joins the labels of all groups into one array in canonical order.

    Args:
        by_group: for each group's name its labels `(n, attributes of the group)`: 1, 0 or -1.
        groups: the groups.

    Returns:
        `(n, k)` int8, columns in the order of `groups.attributes`.

    Example:
        >>> groups = AttributeGroups({"hair": ["Bald"], "mouth": ["Smiling"]}, ["Smiling", "Bald"])
        >>> canonical_labels({"hair": [[0]], "mouth": [[1]]}, groups).tolist()
        [[1, 0]]
    """
    columns = np.concatenate([np.asarray(by_group[group]) for group in groups], axis=1)
    positions = np.concatenate([groups.positions(group) for group in groups])
    labels = np.empty(columns.shape, np.int8)
    labels[:, positions] = columns
    return labels


def _score_attribute(
    attribute: str,
    probabilities: np.ndarray,
    predicted: np.ndarray,
    labels: np.ndarray,
    threshold: float,
    majority: bool,
) -> AttributeScores:
    # Imported here: `faramtn predict` imports this module, and must start fast.
    from sklearn.metrics import average_precision_score

    known = labels >= 0
    positive = labels[known] > 0
    if not len(positive):
        return AttributeScores(attribute, 0, threshold, None, None, None, None, None)
    correct = predicted[known] == positive
    balanced = precision = None
    if positive.any() and not positive.all():
        balanced = float((correct[positive].mean() + correct[~positive].mean()) / 2)
        precision = float(average_precision_score(positive, probabilities[known]))
    return AttributeScores(
        attribute=attribute,
        known=len(positive),
        threshold=threshold,
        positive_rate=float(positive.mean()),
        majority_accuracy=float((positive == majority).mean()),
        accuracy=float(correct.mean()),
        balanced_accuracy=balanced,
        average_precision=precision,
    )


def _with_means(scores: tuple[AttributeScores, ...], images: int, majority_of: str) -> Scores:
    scored = [each for each in scores if each.known]
    balanced = [each for each in scored if each.balanced_accuracy is not None]
    low, high = VARYING_RATES
    varying = [
        each
        for each in scored
        if each.positive_rate is not None and low <= each.positive_rate <= high
    ]
    return Scores(
        attributes=scores,
        images=images,
        majority_of=majority_of,
        mean_accuracy=_mean(scored, "accuracy"),
        mean_majority_accuracy=_mean(scored, "majority_accuracy"),
        in_accuracy=len(scored),
        mean_balanced_accuracy=_mean(balanced, "balanced_accuracy"),
        mean_average_precision=_mean(balanced, "average_precision"),
        in_balanced=len(balanced),
        varying_accuracy=_mean(varying, "accuracy"),
        varying_majority_accuracy=_mean(varying, "majority_accuracy"),
        varying_balanced_accuracy=_mean(varying, "balanced_accuracy"),
        varying_average_precision=_mean(varying, "average_precision"),
        in_varying=len(varying),
    )


def _mean(scores: Sequence[AttributeScores], name: str) -> float | None:
    return float(np.mean([getattr(each, name) for each in scores])) if scores else None


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
    probabilities: np.ndarray, labels: np.ndarray, attributes: tuple[str, ...]
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


def _refuse_bad_values(what: str, values: np.ndarray, attributes: tuple[str, ...]) -> None:
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


def _refuse_bad_labels(labels: np.ndarray, attributes: tuple[str, ...]) -> None:
    bad = ~np.isin(labels, (-1, 0, 1))
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise InputError(
            f"label of {attributes[column]}: {labels[row, column]} in row {row + 1}; it must be 1 "
            "(yes), 0 (no) or -1 (unknown)."
        )
