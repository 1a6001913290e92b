"""The loss, loss weights and metrics that a network of attribute groups is compiled with."""

from typing import Any

from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.losses import MaskedBinaryCrossentropy
from keras_faramtn.metrics import BalancedAccuracy, MaskedAccuracy


def objective(
    groups: AttributeGroups, positive_weight: float = 1.0, label_smoothing: float = 0.0
) -> dict[str, Any]:
    """The loss, the loss weights and the metrics of each group, for `model.compile`.

    Args:
        groups: the groups that the model predicts, as `groups_of(model)` returns them.
        positive_weight, label_smoothing: as in `MaskedBinaryCrossentropy`.

    Returns:
        Keyword arguments `loss`, `loss_weights` and `metrics`, each a dict by group. The loss of a
        group is the mean over its attributes. Its weight is proportional to the number of its
        attributes, so that all attributes count equally; the weights have a mean of 1.
        `DynamicWeighting` starts from them.

    Raises:
        ValueError: as in `MaskedBinaryCrossentropy`.

    Example:
        >>> groups = AttributeGroups(
        ...     {"eyes": ["Eyeglasses"], "mouth": ["Smiling", "Big_Lips"]},
        ...     attributes=["Smiling", "Eyeglasses", "Big_Lips"],
        ... )
        >>> arguments = objective(groups)
        >>> {group: round(weight, 2) for group, weight in arguments["loss_weights"].items()}
        {'eyes': 0.67, 'mouth': 1.33}

        `model.compile("adamw", **objective(groups_of(model)))` then prepares `model.fit`.
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
