"""From a recipe to a trained model: builds, compiles and fits."""

from collections.abc import Callable
from pathlib import Path

import keras
import tensorflow as tf

from keras_faramtn.errors import InputError
from keras_faramtn.models import FARAMTN, MultiLabel, MultiTask, groups_of
from keras_faramtn.training import recipe as recipes
from keras_faramtn.training.dynamic_weighting import DynamicWeighting
from keras_faramtn.training.objective import objective
from keras_faramtn.training.progress import MeanScores, ShortProgressBar


def _faramtn(model: recipes.Model, input_shape: tuple[int, int, int]) -> keras.Model:
    return FARAMTN(
        model.backbone,
        model.attribute_groups(),
        input_shape,
        model.weights,
        attention=model.attention,
        fusion=model.fusion,
    )


def _multi_label(model: recipes.Model, input_shape: tuple[int, int, int]) -> keras.Model:
    attributes = model.attribute_groups().attributes
    return MultiLabel(model.backbone, attributes, input_shape, model.weights)


def _multi_task(model: recipes.Model, input_shape: tuple[int, int, int]) -> keras.Model:
    return MultiTask(model.backbone, model.attribute_groups(), input_shape, model.weights)


MODEL_FILE = "model.keras"

_NETWORKS: dict[str, Callable[[recipes.Model, tuple[int, int, int]], keras.Model]] = {
    "faramtn": _faramtn,
    "multi_label": _multi_label,
    "multi_task": _multi_task,
}


def build_model(recipe: recipes.Recipe) -> keras.Model:
    """The network that `recipe` describes, with initial weights that its seed decides.

    Raises:
        InputError: as `FARAMTN`.
    """
    keras.utils.set_random_seed(recipe.training.seed)
    return _NETWORKS[recipe.model.network](recipe.model, (*recipe.data.image_size, 3))


def train(
    model: keras.Model,
    recipe: recipes.Recipe,
    training: tf.data.Dataset,
    validation: tf.data.Dataset,
    folder: Path,
) -> dict[str, list[float]]:
    """Compiles and fits `model` as `recipe` says, with progress on the terminal.

    Args:
        model: from `build_model`.
        recipe: the experiment.
        training, validation: batches of `(images, {group: labels})`, as `make_dataset` gives.
        folder: an existing folder; `history.csv` grows in it with each epoch, and `MODEL_FILE`
            is written at the end, or when Ctrl-C is pressed.

    Returns:
        The history: from each name of the logs to its values by epoch.

    Raises:
        InputError: there are fewer training pictures than would make one step.
        FloatingPointError: a loss is no longer finite.
        KeyboardInterrupt: Ctrl-C, after the model as reached was saved.
    """
    steps = recipe.training.epochs * int(training.cardinality())
    if steps <= 0:
        raise InputError("there are no training pictures; see the partition file of the data.")
    groups = groups_of(model)
    model.compile(
        _optimizer(recipe.training, steps), **objective(groups, recipe.training.positive_weight)
    )
    weighting = recipe.training.dynamic_weighting
    callbacks = [
        *([DynamicWeighting(weighting.temperature, weighting.smoothing)] if weighting else []),
        MeanScores(groups),
        ShortProgressBar(),
        keras.callbacks.CSVLogger(folder / "history.csv"),
        keras.callbacks.TerminateOnNaN(raise_error=True),
    ]
    try:
        history = model.fit(
            training,
            validation_data=validation,
            epochs=recipe.training.epochs,
            shuffle=False,  # the data set shuffles itself
            callbacks=callbacks,
        )
    except KeyboardInterrupt:
        model.save(folder / MODEL_FILE)
        raise
    except RuntimeError as error:  # what TerminateOnNaN raises
        if "NaN or Inf loss" in str(error):
            raise FloatingPointError(
                f"training has diverged: {error} Try a lower learning_rate."
            ) from error
        raise
    model.save(folder / MODEL_FILE)
    return history.history


def _optimizer(training: recipes.Training, steps: int) -> keras.optimizers.Optimizer:
    warmup_steps = max(1, round(training.warmup * steps))
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        decay_steps=max(1, steps - warmup_steps),
        warmup_target=training.learning_rate,
        warmup_steps=warmup_steps,
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=training.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer
