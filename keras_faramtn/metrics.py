"""Metrics of training: accuracy and balanced accuracy of a group's attributes."""

from typing import Any

import keras
from keras import ops

from keras_faramtn import losses  # the module: it may still be partly imported


@keras.saving.register_keras_serializable(package="keras_faramtn")
class MaskedAccuracy(keras.metrics.Mean):
    """Fraction of the known labels predicted correctly; a logit above 0 predicts positive.

    Args:
        name: name of the metric.
        **kwargs: `dtype` of `keras.metrics.Metric`.

    Example:
        >>> import numpy as np
        >>> metric = MaskedAccuracy()
        >>> metric.update_state(np.array([[1, 0], [0, -1]]), np.array([[2.0, 1.0], [-1.0, 3.0]]))
        >>> round(float(metric.result()), 3)
        0.667
    """

    def __init__(self, name: str = "accuracy", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch.

        Args:
            y_true: shape `(batch, attributes)`, or `(batch,)` for a single attribute; floating
                point, integer or boolean: 1 positive, 0 negative, -1 or NaN unknown. Values of
                mixed images lie between: above 0.5 is positive.
            y_pred: logits, shape `(batch, attributes)`.
            sample_weight: optional weights of the samples, shape `(batch,)` or `(batch, 1)`, or of
                the labels, shape `(batch, attributes)`; 0 or more.
        """
        known, target, predicted = _decisions(y_true, y_pred, self.dtype)
        correct = ops.cast(ops.equal(target, predicted), self.dtype)
        super().update_state(correct, _label_weights(known, sample_weight, self.dtype))


@keras.saving.register_keras_serializable(package="keras_faramtn")
class BalancedAccuracy(keras.metrics.Metric):
    """Mean of the true positive and the true negative rate, averaged over attributes.

    The average skips an attribute whose labels so far are all positive or all negative; if no
    attribute remains, the result is NaN.

    Args:
        attributes: number of attributes of the group.
        name: name of the metric.
        **kwargs: `dtype` of `keras.metrics.Metric`.

    Example:
        >>> import numpy as np
        >>> metric = BalancedAccuracy(attributes=1)
        >>> metric.update_state(np.array([[1], [0], [0]]), np.array([[2.0], [-1.0], [3.0]]))
        >>> float(metric.result())
        0.75
    """

    def __init__(self, attributes: int, name: str = "balanced_accuracy", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.attributes = attributes
        self.true_positives, self.positives, self.true_negatives, self.negatives = (
            self.add_variable((attributes,), initializer="zeros", name=variable)
            for variable in ("true_positives", "positives", "true_negatives", "negatives")
        )

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch; the arguments are those of `MaskedAccuracy.update_state`."""
        known, target, predicted = _decisions(y_true, y_pred, self.dtype)
        weights = _label_weights(known, sample_weight, self.dtype)
        positive = weights * ops.cast(target, self.dtype)
        negative = weights - positive
        predicted = ops.cast(predicted, self.dtype)
        self.true_positives.assign_add(ops.sum(positive * predicted, axis=0))
        self.positives.assign_add(ops.sum(positive, axis=0))
        self.true_negatives.assign_add(ops.sum(negative * (1 - predicted), axis=0))
        self.negatives.assign_add(ops.sum(negative, axis=0))

    def result(self) -> Any:
        """The balanced accuracy of all batches since the last reset, a scalar in 0..1."""
        both = ops.logical_and(self.positives > 0, self.negatives > 0)
        defined = ops.cast(both, self.dtype)
        sensitivity = ops.divide_no_nan(self.true_positives, self.positives)
        specificity = ops.divide_no_nan(self.true_negatives, self.negatives)
        return ops.sum(defined * (sensitivity + specificity) / 2) / ops.sum(defined)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "attributes": self.attributes}


def _decisions(y_true: Any, y_pred: Any, dtype: str) -> tuple[Any, Any, Any]:
    """Boolean tensors `(batch, attributes)`: label is known, label is positive, prediction is."""
    y_pred = ops.convert_to_tensor(y_pred, dtype=dtype)
    known, target = losses.known_labels(ops.convert_to_tensor(y_true, dtype=dtype), y_pred)
    return known, target > 0.5, y_pred > 0


def _label_weights(known: Any, sample_weight: Any, dtype: str) -> Any:
    """The weight of each label, shape `(batch, attributes)`; 0 for unknown ones."""
    known = ops.cast(known, dtype)
    if sample_weight is None:
        return known
    sample_weight = ops.convert_to_tensor(sample_weight, dtype=dtype)
    if len(sample_weight.shape) == 1:
        sample_weight = ops.expand_dims(sample_weight, axis=-1)
    return known * sample_weight
