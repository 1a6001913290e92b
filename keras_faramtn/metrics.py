"""What is watched while training: accuracy and balanced accuracy of a group's attributes."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_faramtn")
class MaskedAccuracy(keras.metrics.Mean):
    """Share of the known labels that the logits get right (a logit above 0 says yes).

    Args:
        name: name of the metric.
        **kwargs: `dtype` of `keras.metrics.Metric`.
    """

    def __init__(self, name: str = "accuracy", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Counts a batch.

        Args:
            y_true: shape `(batch, attributes)`: 1 has it, 0 has it not, -1 unknown. Of mixed
                images it is between: above one half counts as having it.
            y_pred: logits of the same shape.
            sample_weight: not used.
        """
        known = ops.cast(y_true >= 0, self.dtype)
        right = ops.cast((y_true > 0.5) == (y_pred > 0), self.dtype)
        super().update_state(right, sample_weight=known)


@keras.saving.register_keras_serializable(package="keras_faramtn")
class BalancedAccuracy(keras.metrics.Metric):
    """Mean of the true positive and the true negative rate, averaged over attributes.

    An attribute of which all labels seen so far are alike is left out of the average; where all
    are, the result is NaN.

    Args:
        attributes: the number of attributes of the group.
        name: name of the metric.
        **kwargs: `dtype` of `keras.metrics.Metric`.
    """

    def __init__(self, attributes: int, name: str = "balanced_accuracy", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.attributes = attributes
        self.true_positives, self.positives, self.true_negatives, self.negatives = (
            self.add_variable((attributes,), initializer="zeros", name=variable)
            for variable in ("true_positives", "positives", "true_negatives", "negatives")
        )

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Counts a batch; the arguments are those of `MaskedAccuracy.update_state`."""
        positive = ops.cast(y_true > 0.5, self.dtype)
        negative = ops.cast(y_true >= 0, self.dtype) - positive
        yes = ops.cast(y_pred > 0, self.dtype)
        self.true_positives.assign_add(ops.sum(positive * yes, axis=0))
        self.positives.assign_add(ops.sum(positive, axis=0))
        self.true_negatives.assign_add(ops.sum(negative * (1 - yes), axis=0))
        self.negatives.assign_add(ops.sum(negative, axis=0))

    def result(self) -> Any:
        """The balanced accuracy of all batches since the last reset, a scalar in 0..1."""
        defined = ops.cast(ops.logical_and(self.positives > 0, self.negatives > 0), self.dtype)
        sensitivity = self.true_positives / ops.maximum(self.positives, 1)
        specificity = self.true_negatives / ops.maximum(self.negatives, 1)
        return ops.sum(defined * (sensitivity + specificity) / 2) / ops.sum(defined)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "attributes": self.attributes}
