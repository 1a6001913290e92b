"""Scores of predicted attributes against their labels, attribute by attribute and as means.

Accuracy is the field's number, but a rare attribute is predicted well by always saying no. So
three more scores always stand beside it: balanced accuracy and average precision, which see the
rare attributes, and the accuracy of the majority, which is what a constant answer reaches.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score

from keras_faramtn.attributes import DEFAULT_THRESHOLD, AttributeGroups
from keras_faramtn.errors import InputError

VARYING_RATES = (0.05, 0.95)
"""An attribute varies where its positive rate among the evaluated labels lies in this range, both
ends included. On the others hardly any classifier gains over the majority."""


@dataclass(frozen=True)
class AttributeScores:
    """The scores of one attribute over the images of which its label is known.

    All but `known` and `threshold` are None where no label is known; all are in 0..1.

    Attributes:
        attribute: its name.
        known: the number of known labels.
        threshold: a probability above it says yes.
        positive_rate: share of the known labels that are yes.
        majority_accuracy: accuracy of the constant answer, see `score`.
        accuracy: share of the known labels that are predicted right.
        balanced_accuracy: mean of the share of the yes and the share of the no labels that are
            predicted right; None where all known labels are alike.
        average_precision: area under the precision-recall curve as scikit-learn's
            `average_precision_score`, which needs no threshold; None where all known labels are
            alike.
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
    """The scores of all attributes and their means, each attribute counting alike.

    Attributes:
        attributes: one entry an attribute, in canonical order.
        images: the number of images, at least 1.
        majority_of: whose majority the baseline answers, "evaluated labels" or "training labels".
        mean_accuracy: over the `in_accuracy` attributes with a known label; None where none has.
        mean_majority_accuracy: over the same attributes.
        in_accuracy: the number of attributes in the two means above.
        mean_balanced_accuracy: over the `in_balanced` attributes with both a yes and a no label;
            None where none has.
        mean_average_precision: over the same attributes.
        in_balanced: the number of attributes in the two means above.
        varying_accuracy: mean accuracy over the attributes that vary (`VARYING_RATES`); None
            where none does.
        varying_majority_accuracy: mean accuracy of the majority over the same attributes.
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
        """`varying_accuracy` less `varying_majority_accuracy`; None where no attribute varies."""
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
    """Scores predictions; unknown labels are left out.

    The majority baseline answers each attribute with a constant. Without `training_rates` it is
    the answer that is right most often on the evaluated labels themselves: the best that any
    constant can do. With `training_rates` it is what a user would know beforehand: yes where more
    than half of the training labels are, scored on the evaluated labels.

    Args:
        probabilities: `(n, k)` float in 0..1, columns in the order of `attributes`.
        labels: `(n, k)`: 1 yes, 0 no, -1 unknown.
        attributes: the k names.
        thresholds: a probability above it says yes; one for all, or k.
        training_rates: the positive rates of the k attributes in training, in 0..1, as
            `positive_rates` gives them; for NaN, no training label known, the baseline says no.

    Returns:
        The scores of each attribute and their means.

    Raises:
        InputError: shapes that don't fit, no image, a probability that is NaN or outside 0..1
            (the message names the attribute), a label, threshold or rate outside its range.
    """
    attributes = tuple(attributes)
    probabilities, labels = np.asarray(probabilities), np.asarray(labels)
    _refuse_bad_shapes(probabilities, labels, attributes)
    _refuse_bad_values("probability", probabilities, attributes)
    _refuse_bad_labels(labels, attributes)
    thresholds = _one_each("thresholds", thresholds, attributes)
    rates = positive_rates(labels)
    answers = rates if training_rates is None else training_rates
    if training_rates is not None:
        answers = _one_each("training_rates", np.nan_to_num(training_rates), attributes)
    answered_yes = probabilities > thresholds
    scores = tuple(
        _score_attribute(
            name,
            probabilities[:, place],
            answered_yes[:, place],
            labels[:, place],
            float(thresholds[place]),
            bool(answers[place] > 0.5),
        )
        for place, name in enumerate(attributes)
    )
    return _with_means(
        scores, len(labels), "evaluated labels" if training_rates is None else "training labels"
    )


def positive_rates(labels: np.ndarray) -> np.ndarray:
    """Share of the known labels of each attribute that are yes.

    Args:
        labels: `(n, k)`: 1 yes, 0 no, -1 unknown.

    Returns:
        `(k,)` float64 in 0..1; NaN for an attribute of which no label is known.
    """
    known = (labels >= 0).sum(axis=0)
    yes = (labels > 0).sum(axis=0)
    return np.divide(yes, known, out=np.full(known.shape, np.nan), where=known > 0)


def predict_probabilities(
    model: Any,
    dataset: Iterable[tuple[Any, Mapping[str, Any]]],
    groups: AttributeGroups,
    progress: Callable[[Iterable], Iterable] = iter,
) -> tuple[np.ndarray, np.ndarray]:
    """Predicts a dataset in one pass, so that each image is decoded once.

    Args:
        model: an inference model: `(batch, k)` probabilities in canonical order.
        dataset: batches of `(images, {group: labels (batch, attributes of the group)})`.
        groups: the groups of the labels.
        progress: wraps the dataset while it is read, as `tqdm.tqdm` does.

    Returns:
        `(n, k)` float32 probabilities and `(n, k)` int8 labels (1, 0, -1 unknown), both with
        columns in the order of `groups.attributes`.

    Raises:
        InputError: the dataset has no batch.
    """
    probabilities, labels = [], []
    for images, by_group in progress(dataset):
        # JAX takes no tensor of TensorFlow's, which a tf.data set has.
        answers = model.predict_on_batch(np.asarray(images))
        probabilities.append(np.asarray(answers, "float32"))
        labels.append(canonical_labels(by_group, groups))
    if not labels:
        raise InputError("there is no image to evaluate; choose a split that has images.")
    return np.concatenate(probabilities), np.concatenate(labels)


def canonical_labels(by_group: Mapping[str, Any], groups: AttributeGroups) -> np.ndarray:
    """The labels of all groups as one array in canonical order.

    Args:
        by_group: from each group's name to its labels `(n, attributes of the group)`: 1, 0 or -1.
        groups: the groups.

    Returns:
        `(n, k)` int8, columns in the order of `groups.attributes`.
    """
    columns = np.concatenate([np.asarray(by_group[group]) for group in groups], axis=1)
    places = np.concatenate([groups.positions(group) for group in groups])
    labels = np.empty(columns.shape, np.int8)
    labels[:, places] = columns
    return labels


def _score_attribute(
    attribute: str,
    probabilities: np.ndarray,
    answered_yes: np.ndarray,
    labels: np.ndarray,
    threshold: float,
    majority: bool,
) -> AttributeScores:
    known = labels >= 0
    yes, answered_yes = labels[known] > 0, answered_yes[known]
    if not len(yes):
        return AttributeScores(attribute, 0, threshold, None, None, None, None, None)
    right = answered_yes == yes
    balanced = precision = None
    if yes.any() and not yes.all():
        balanced = float((right[yes].mean() + right[~yes].mean()) / 2)
        precision = float(average_precision_score(yes, probabilities[known]))
    return AttributeScores(
        attribute=attribute,
        known=len(yes),
        threshold=threshold,
        positive_rate=float(yes.mean()),
        majority_accuracy=float((yes == majority).mean()),
        accuracy=float(right.mean()),
        balanced_accuracy=balanced,
        average_precision=precision,
    )


def _with_means(scores: tuple[AttributeScores, ...], images: int, majority_of: str) -> Scores:
    scored = [each for each in scores if each.known]
    balanced = [each for each in scored if each.balanced_accuracy is not None]
    low, high = VARYING_RATES
    varying = [each for each in scored if low <= each.positive_rate <= high]
    return Scores(
        attributes=scores,
        images=images,
        majority_of=majority_of,
        mean_accuracy=_mean([each.accuracy for each in scored]),
        mean_majority_accuracy=_mean([each.majority_accuracy for each in scored]),
        in_accuracy=len(scored),
        mean_balanced_accuracy=_mean([each.balanced_accuracy for each in balanced]),
        mean_average_precision=_mean([each.average_precision for each in balanced]),
        in_balanced=len(balanced),
        varying_accuracy=_mean([each.accuracy for each in varying]),
        varying_majority_accuracy=_mean([each.majority_accuracy for each in varying]),
        varying_balanced_accuracy=_mean([each.balanced_accuracy for each in varying]),
        varying_average_precision=_mean([each.average_precision for each in varying]),
        in_varying=len(varying),
    )


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _one_each(what: str, values: Any, attributes: tuple[str, ...]) -> np.ndarray:
    values = np.asarray(values, dtype="float64")
    if values.shape not in {(), (len(attributes),)}:
        raise InputError(
            f"{what} has the shape {values.shape}; give one value, or one for each of the "
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
            f"the probabilities have the shape {probabilities.shape}; it must be (images, "
            f"{len(attributes)}), a column for each attribute."
        )
    if labels.shape != probabilities.shape:
        raise InputError(
            f"the labels have the shape {labels.shape} and the probabilities "
            f"{probabilities.shape}; they must be of the same images and attributes."
        )
    if not labels.size:
        raise InputError("there is no image or no attribute to score.")


def _refuse_bad_values(what: str, values: np.ndarray, attributes: tuple[str, ...]) -> None:
    """Refuses a value of the `(rows, k)` `values` that is not in 0..1; NaN is not either."""
    bad = ~((values >= 0) & (values <= 1))
    if bad.any():
        row, place = np.argwhere(bad)[0]
        value = values[row, place]
        why = ""
        if what == "probability" and np.isnan(value):
            why = " The network's weights are not finite: its training has diverged."
        elif what == "probability":
            why = " Score the inference model's probabilities, not logits."
        raise InputError(
            f"{what} of {attributes[place]}: {value} in row {row + 1} ({bad.sum()} such values in "
            f"all); it must be in 0..1.{why}"
        )


def _refuse_bad_labels(labels: np.ndarray, attributes: tuple[str, ...]) -> None:
    bad = ~np.isin(labels, (-1, 0, 1))
    if bad.any():
        row, place = np.argwhere(bad)[0]
        raise InputError(
            f"label of {attributes[place]}: {labels[row, place]} in row {row + 1}; it must be 1 "
            "(yes), 0 (no) or -1 (unknown)."
        )
