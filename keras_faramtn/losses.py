"""The loss of one group of attributes."""

from typing import Any

import keras
from keras import ops

from keras_faramtn import keras_internals  # the module: it may still be partly imported


@keras.saving.register_keras_serializable(package="keras_faramtn")
class MaskedBinaryCrossentropy(keras.losses.Loss):
    """Binary cross-entropy of logits that ignores unknown labels.

    With `l` the cross-entropy of a label, `n` the number of samples that have a known label and
    `m` the number of known labels of the batch, the value of a sample is

        v = (sum of l over the known labels of the sample) * n / m

    that is, the sum of its known labels' losses, divided by the mean number of known labels.
    Samples without a known label are masked, as by a Keras mask: they don't count in a mean. So

    - with all labels known, `v` is the mean over the sample's attributes, and every reduction
      and sample weight gives the value of `keras.losses.BinaryCrossentropy(from_logits=True)`;
    - with unknown labels, the mean of a batch is the mean over its known labels: each of them
      counts equally, however many other labels of its sample are known.

    Args:
        positive_weight: factor on the loss of positive labels, above 0; 1 weights both classes
            equally. Above 1, the network finds more rare attributes, at some cost in accuracy.
        label_smoothing: in [0, 1); a label y is replaced by `y * (1 - s) + s / 2`, as in Keras.
            Labels of faces are often wrong.
        **kwargs: `name`, `reduction` and `dtype` of `keras.losses.Loss`.

    Call arguments:
        y_true: shape `(batch, attributes)`, or `(batch,)` for a single attribute; floating point,
            integer or boolean. 1 if the face has the attribute, 0 if not, between 0 and 1 for
            mixed images, -1 or NaN if unknown.
        y_pred: logits, shape `(batch, attributes)`.
        sample_weight: optional, shape `(batch,)` or `(batch, 1)`.

    Returns:
        A scalar (0 if no label is known); with `reduction=None`, the values of the samples, shape
        `(batch,)`.

    Raises:
        ValueError: if `positive_weight` or `label_smoothing` is out of its range, or labels and
            logits differ in shape.

    Example:
        >>> import numpy as np
        >>> loss = MaskedBinaryCrossentropy(reduction=None)
        >>> values = loss(np.array([[1.0, -1.0], [0.0, 1.0], [-1.0, -1.0]]), np.zeros((3, 2)))
        >>> [round(float(value), 3) for value in values]
        [0.462, 0.924, 0.0]
        >>> round(float(MaskedBinaryCrossentropy()(np.array([[1, 0, -1]]), np.zeros((1, 3)))), 3)
        0.693
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
            raise ValueError(
                f"label_smoothing must be at least 0 and below 1; got {label_smoothing}."
            )
        self.positive_weight = positive_weight
        self.label_smoothing = label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        known, target = known_labels(y_true, y_pred)
        target = target * (1 - self.label_smoothing) + self.label_smoothing / 2
        # -log sigmoid(x) = softplus(-x), stable for logits of any size.
        loss = self.positive_weight * target * ops.softplus(-y_pred) + (1 - target) * ops.softplus(
            y_pred
        )
        has_labels = ops.any(known, axis=-1)
        samples = ops.sum(ops.cast(has_labels, "float32"))
        labels = ops.sum(ops.cast(known, "float32"))
        scale = ops.cast(samples / ops.maximum(labels, 1), loss.dtype)
        values = ops.sum(loss * ops.cast(known, loss.dtype), axis=-1) * scale
        keras_internals.set_mask(values, has_labels)
        return values

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "positive_weight": self.positive_weight,
            "label_smoothing": self.label_smoothing,
        }


def known_labels(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Separates labels from the mask of those that are known.

    Args:
        y_true: labels, floating point, shape `(batch, attributes)` or, for a single attribute,
            `(batch,)`; -1 (any negative number) or NaN is unknown.
        y_pred: logits, shape `(batch, attributes)`.

    Returns:
        Two tensors of the shape of `y_pred`: the boolean mask of the known labels, and the labels
        with 0 in place of unknown ones.

    Raises:
        ValueError: if labels and logits differ in shape.

    Example:
        >>> import numpy as np
        >>> known, target = known_labels(np.array([[1.0, -1.0, np.nan]]), np.zeros((1, 3)))
        >>> keras.ops.convert_to_numpy(known).tolist(), keras.ops.convert_to_numpy(target).tolist()
        ([[True, False, False]], [[1.0, 0.0, 0.0]])
    """
    if len(y_true.shape) == 1 and len(y_pred.shape) == 2 and y_pred.shape[1] == 1:
        y_true = ops.expand_dims(y_true, axis=-1)
    if len(y_true.shape) != len(y_pred.shape) or any(
        None not in (ours, theirs) and ours != theirs
        for ours, theirs in zip(y_true.shape, y_pred.shape, strict=True)
    ):
        raise ValueError(
            "labels and logits must have the same shape; got labels of shape "
            f"{tuple(y_true.shape)} and logits of shape {tuple(y_pred.shape)}."
        )
    known = ops.greater_equal(y_true, 0)  # False for NaN
    return known, ops.where(known, y_true, ops.zeros_like(y_true))
