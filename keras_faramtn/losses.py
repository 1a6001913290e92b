"""The loss of one group of attributes."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_faramtn")
class MaskedBinaryCrossentropy(keras.losses.Loss):
    """Binary cross-entropy of logits, the mean over the labels that are known.

    Args:
        positive_weight: factor on the loss of positive labels, above 0; 1 treats both alike. More
            than 1 makes the network find more of the rare attributes, at some cost in accuracy.
        label_smoothing: in 0..1, without 1: labels of 1 and 0 are taken for 1 less half of it and
            half of it, since those of faces are often wrong.
        **kwargs: `name` and `reduction` of `keras.losses.Loss`.

    Call arguments:
        y_true: shape `(batch, attributes)`: 1 has it, 0 has it not, between them where images
            are mixed, -1 unknown (left out).
        y_pred: logits of the same shape.

    Returns:
        A scalar; 0 where no label of the batch is known.

    Raises:
        ValueError: a positive weight of 0 or less, or a smoothing outside its range.
    """

    def __init__(
        self,
        positive_weight: float = 1.0,
        label_smoothing: float = 0.0,
        name: str = "masked_binary_crossentropy",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        if positive_weight <= 0:
            raise ValueError(f"positive_weight must be above 0; got {positive_weight}.")
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing must be in 0..1, without 1; got {label_smoothing}.")
        self.positive_weight = positive_weight
        self.label_smoothing = label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        known = ops.cast(y_true >= 0, y_pred.dtype)
        share = ops.cast(ops.maximum(y_true, 0), y_pred.dtype)
        target = share * (1 - self.label_smoothing) + self.label_smoothing / 2
        # -log sigmoid(x) = softplus(-x), stable for logits of any size.
        loss = self.positive_weight * target * ops.softplus(-y_pred) + (1 - target) * ops.softplus(
            y_pred
        )
        # Keras takes the mean over all entries; this factor makes it the mean over the known ones.
        entries = ops.cast(ops.size(known), y_pred.dtype)
        return loss * known * entries / ops.maximum(ops.sum(known), 1)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "positive_weight": self.positive_weight,
            "label_smoothing": self.label_smoothing,
        }
