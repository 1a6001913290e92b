"""Builds the optimizer and the learning rate schedule of a recipe's `training` section."""

from collections.abc import Callable
from typing import Any

import keras

from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.experiments import recipe as recipes
from keras_faramtn.optimizers import ConvolutionMuon, SlowerBackboneAdamW, SlowerBackboneMuon


def build_optimizer(
    training: recipes.Training, steps: int, groups: AttributeGroups, others: list[str]
) -> keras.optimizers.Optimizer:
    """Builds the optimizer of a recipe.

    Args:
        training: the recipe's `training` section.
        steps: the number of batches in all epochs.
        groups: the groups of the network; AdamW trains their heads where Muon trains the rest.
        others: names of the layers that don't belong to the backbone.

    Example:
        >>> groups = AttributeGroups({"mouth": ["Smiling"]}, ["Smiling"])
        >>> optimizer = build_optimizer(recipes.Training(epochs=1), 10, groups, ["mouth"])
        >>> type(optimizer).__name__, optimizer.weight_decay
        ('AdamW', 0.02)
    """
    # Keras counts each batch as a step of the schedule, even if gradients are accumulated.
    warmup_steps = max(1, round(training.warmup * steps))
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        decay_steps=max(1, steps - warmup_steps),
        warmup_target=training.learning_rate,
        warmup_steps=warmup_steps,
    )
    plain, slower, arguments = _OPTIMIZERS[training.optimizer]
    factor = training.backbone_learning_rate
    optimizer = (plain if factor == 1 else slower)(
        learning_rate=schedule,
        weight_decay=training.weight_decay,
        gradient_accumulation_steps=training.accumulate if training.accumulate > 1 else None,
        **arguments(groups),
        **({} if factor == 1 else {"backbone_factor": factor, "other_layers": others}),
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def _heads_by_adamw(groups: AttributeGroups) -> dict[str, Any]:
    return {"exclude_layers": [f"^{group}/" for group in groups]}


# Of each: the class, the class for a slower backbone, and further arguments.
_OPTIMIZERS: dict[str, tuple[Any, Any, Callable[[AttributeGroups], dict[str, Any]]]] = {
    "adamw": (keras.optimizers.AdamW, SlowerBackboneAdamW, lambda groups: {}),
    "muon": (ConvolutionMuon, SlowerBackboneMuon, _heads_by_adamw),
}
