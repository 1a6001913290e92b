"""What a network of attribute groups is compiled with."""

from typing import Any

from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.losses import MaskedBinaryCrossentropy
from keras_faramtn.metrics import BalancedAccuracy, MaskedAccuracy


def objective(
    groups: AttributeGroups, positive_weight: float = 1.0, label_smoothing: float = 0.0
) -> dict[str, Any]:
    """The loss, the loss weights and the metrics of each group, for `model.compile`.

    Args:
        groups: the groups that the model predicts, as `groups_of(model)` tells.
        positive_weight, label_smoothing: as in `MaskedBinaryCrossentropy`.

    Returns:
        Keyword arguments `loss`, `loss_weights` and `metrics`, each a dict by group. The loss of a
        group is the mean over its attributes; the weights go by the number of its attributes, so
        that all attributes count alike, and have a mean of 1. `DynamicWeighting` starts from them.

    Example:
        >>> model.compile("adamw", **objective(groups_of(model)))
        >>> model.fit(dataset, epochs=3, callbacks=[DynamicWeighting()])
    """
    return {
        "loss": {
            group: MaskedBinaryCrossentropy(positive_weight, label_smoothing) for group in groups
        },
        "loss_weights": {
            group: len(members) * len(groups) / len(groups.attributes)
            for group, members in groups.items()
        },
        "metrics": {
            group: [MaskedAccuracy(), BalancedAccuracy(len(groups[group]))] for group in groups
        },
    }
