"""What a network of attribute groups is compiled with."""

from typing import Any

from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.training.losses import MaskedBinaryCrossentropy
from keras_faramtn.training.metrics import BalancedAccuracy, MaskedAccuracy


def objective(groups: AttributeGroups, positive_weight: float = 1.0) -> dict[str, Any]:
    """The loss, the loss weights and the metrics of each group, for `model.compile`.

    Args:
        groups: the groups that the model predicts, as `groups_of(model)` tells.
        positive_weight: as in `MaskedBinaryCrossentropy`.

    Returns:
        Keyword arguments `loss`, `loss_weights` (1.0 each, for `DynamicWeighting` to change) and
        `metrics`, each a dict by group.

    Example:
        >>> model.compile("adamw", **objective(groups_of(model)))
        >>> model.fit(dataset, epochs=3, callbacks=[DynamicWeighting()])
    """
    return {
        "loss": {group: MaskedBinaryCrossentropy(positive_weight) for group in groups},
        "loss_weights": dict.fromkeys(groups, 1.0),
        "metrics": {
            group: [MaskedAccuracy(), BalancedAccuracy(len(groups[group]))] for group in groups
        },
    }
