"""Builds the network of a recipe, compiles it and fits it."""

import contextlib
import dataclasses
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from keras_faramtn.atomic_files import atomic_write
from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.callbacks import DynamicWeighting, MeanScores, ShortProgressBar
from keras_faramtn.callbacks.checkpoint import CHECKPOINT_FILE, Checkpoint
from keras_faramtn.differences import describe_differences
from keras_faramtn.errors import InputError
from keras_faramtn.experiments import recipe as recipes
from keras_faramtn.experiments.network import build_network
from keras_faramtn.experiments.optimizer import build_optimizer
from keras_faramtn.keras_files import MODEL_FILE
from keras_faramtn.keras_internals import (
    all_layers,
    build_losses_and_metrics,
    variable_scope,
)
from keras_faramtn.models import groups_of, load_model
from keras_faramtn.models.backbones import backbone_layers
from keras_faramtn.models.heads import check_trainable
from keras_faramtn.models.record import record_of, set_framing
from keras_faramtn.objective import objective

INTERRUPTED_FILE = "interrupted.keras"

logger = logging.getLogger(__name__)


def build_model(recipe: recipes.Recipe) -> keras.Model:
    """Builds the untrained network that a recipe describes.

    Its initial weights depend on the recipe's seed, or come from its `start_from`.

    Raises:
        InputError: as in `FARAMTN`; if the file to start from cannot be read or contains another
            network; if `all_devices` is set on a backend other than TensorFlow.

    Example:
        >>> from keras_faramtn.experiments.recipe import read_recipe
        >>> recipe, _ = read_recipe("demo")
        >>> build_model(recipe).input_shape
        (None, 96, 80, 3)
    """
    keras.utils.set_random_seed(recipe.training.seed)
    with _devices(recipe.training), _dtype_policy(recipe.training.precision):
        model = build_network(recipe.model, (*recipe.data.image_size, 3))
    if recipe.model.start_from is not None:
        _start_from(model, Path(recipe.model.start_from))
    if recipe.training.all_devices:
        for layer in all_layers(model):
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = True
    return model


def _devices(training: recipes.Training) -> contextlib.AbstractContextManager:
    if not training.all_devices:
        return contextlib.nullcontext()
    if keras.config.backend() != "tensorflow":
        raise InputError(
            "training.all_devices requires the TensorFlow backend; on "
            f"{keras.config.backend()} set it to false and see keras.distribution."
        )
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices]).scope()


@contextlib.contextmanager
def _dtype_policy(name: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _start_from(model: keras.Model, path: Path) -> None:
    given = load_model(path)
    if groups_of(given) != groups_of(model):
        different = describe_differences(dict(groups_of(given)), dict(groups_of(model)))
        raise InputError(
            f"{path}: the groups of this model differ from the recipe's: {different}. Set "
            "model.groups in the recipe to the grouping that the file was trained with."
        )
    if _structure(given) != _structure(model):
        theirs = {weight.path: str(tuple(weight.shape)) for weight in given.weights}
        ours = {weight.path: str(tuple(weight.shape)) for weight in model.weights}
        first = describe_differences(theirs, ours).split(";")[0]
        raise InputError(
            f"{path}: this network differs from the recipe's: weight {first}. Set the network, "
            "backbone and switches in the recipe to those that the file was trained with."
        )
    model.set_weights(given.get_weights())


def _structure(model: keras.Model) -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes of all weights, without the numbers by which Keras names unnamed layers.

    Layers of KerasCV have such names; they depend on what the process has built before.
    """
    return [(re.sub(r"_\d+(?=/)", "", each.path), tuple(each.shape)) for each in model.weights]


def fit_model(
    model: keras.Model,
    recipe: recipes.Recipe,
    training: tf.data.Dataset,
    validation: tf.data.Dataset,
    folder: Path,
    *,
    epoch: tf.Variable | None = None,
    data: str = "",
) -> dict[str, list[float]]:
    """Compiles and fits `model` as the recipe specifies, showing progress on the terminal.

    If `folder` contains a checkpoint of the same run, training resumes from it. With the same
    `epoch`, the results on one processor are identical to those of an uninterrupted run.

    Args:
        model: from `build_model`.
        recipe: the experiment.
        training, validation: batches of `(images, {group: labels})`, as `make_dataset` returns
            them.
        folder: an existing folder. After each epoch the history and a checkpoint (`Checkpoint`)
            are written to it; at the end `MODEL_FILE`; after Ctrl-C `INTERRUPTED_FILE`, the model
            as it was when interrupted.
        epoch: the variable that was given to `make_dataset` for `training`; None if a resumed
            run need not use the same order of images.
        data: identifies the training data, as `FaceTable.digest` does.

    Returns:
        The history of all epochs: for each name in the logs its values by epoch.

    Raises:
        InputError: if there are no training images, or fewer batches than `accumulate`; `model` is
            an inference model; or the folder's checkpoint belongs to another run.
        FloatingPointError: if a loss is not finite; the message names the last good checkpoint.
        KeyboardInterrupt: after Ctrl-C.
    """
    steps = int(training.cardinality())
    if steps <= 0:
        raise InputError("there are no training images; check the partition file of the data set.")
    shortest = min(phase.end - phase.begin for phase in _phases(recipe.training))
    if recipe.training.accumulate > steps * shortest:
        raise InputError(
            f"training.accumulate: {recipe.training.accumulate} batches make one update, but all "
            f"epochs together have {steps * recipe.training.epochs}, so the weights would never "
            "change; lower it or train longer."
        )
    check_trainable(model)
    run = {
        "recipe": recipe.identity(),
        "data": data,
        "steps_per_epoch": steps,
    }
    checkpoint = Checkpoint(folder, run)
    try:
        for phase in _phases(recipe.training):
            checkpoint = Checkpoint(folder, run, new_optimizer_after=phase.begin or None)
            if phase.end < recipe.training.epochs and checkpoint.saved_epochs() >= phase.end:
                continue
            if not phase.backbone:
                logger.info("Epochs 1 to %d: the backbone is frozen.", phase.end)
            _compile(model, recipe.training, phase, steps)
            if not recipe.training.all_devices:
                build_losses_and_metrics(model, training.element_spec)
            with _divergence_explained(checkpoint):
                model.fit(
                    training,
                    validation_data=validation,
                    epochs=recipe.training.epochs,
                    shuffle=False,  # the dataset shuffles itself
                    callbacks=[
                        *_callbacks(recipe.training, groups_of(model), epoch, checkpoint),
                        _stop_after(model, phase.end),
                    ],
                )
    except KeyboardInterrupt:
        if not checkpoint.restored:
            raise
        atomic_write(folder / INTERRUPTED_FILE, model.save)
        logger.info(
            "\nInterrupted. The current model is saved as %s. To resume after epoch %d of %d from "
            "%s, run `faramtn train` again with the same recipe, data and folder.",
            folder / INTERRUPTED_FILE,
            checkpoint.epochs_done,
            recipe.training.epochs,
            CHECKPOINT_FILE,
        )
        raise
    if not _phases(recipe.training)[-1].backbone:
        # A file whose layers are trainable needs an optimizer that knows them.
        _compile(model, recipe.training, _Phase(0, recipe.training.epochs), steps)
    atomic_write(folder / MODEL_FILE, _for_inference(model, recipe).save)
    (folder / INTERRUPTED_FILE).unlink(missing_ok=True)
    return checkpoint.history


@dataclasses.dataclass(frozen=True)
class _Phase:
    """The epochs from `begin` up to, not including, `end`; whether they train the backbone."""

    begin: int
    end: int
    backbone: bool = True


def _phases(training: recipes.Training) -> list[_Phase]:
    start = min(training.train_backbone_from - 1, training.epochs)
    phases = [_Phase(0, start, backbone=False), _Phase(start, training.epochs)]
    return [phase for phase in phases if phase.begin < phase.end]


def _compile(model: keras.Model, training: recipes.Training, phase: _Phase, steps: int) -> None:
    """Compiles the model with a new optimizer for a phase of `steps` steps per epoch."""
    backbone = backbone_layers(model)
    for layer in backbone:
        layer.trainable = phase.backbone
    others = [layer.name for layer in model.layers if layer not in backbone]
    groups = groups_of(model)
    with variable_scope(model):
        model.compile(
            build_optimizer(training, steps * (phase.end - phase.begin), groups, others),
            **objective(groups, training.positive_weight, training.label_smoothing),
            **_jit_compile(training),
        )
        model.optimizer.build(model.trainable_variables)


def _callbacks(
    training: recipes.Training,
    groups: AttributeGroups,
    epoch: tf.Variable | None,
    checkpoint: Checkpoint,
) -> list[keras.callbacks.Callback]:
    weighting = _weighting(training)
    return [
        *([_set_epoch(epoch)] if epoch is not None else []),
        *([weighting] if weighting else []),
        MeanScores(groups),
        ShortProgressBar(),
        checkpoint,
    ]


def _weighting(training: recipes.Training) -> DynamicWeighting | None:
    weighting = training.dynamic_weighting
    return DynamicWeighting(weighting.strength, weighting.smoothing) if weighting else None


def _set_epoch(epoch: tf.Variable) -> keras.callbacks.Callback:
    return keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda number, logs: epoch.assign(number),
    )


def _stop_after(model: keras.Model, epochs: int) -> keras.callbacks.Callback:
    """Ends `fit` early, while its progress is counted to the last epoch of all phases."""

    def stop(number: int, logs: dict[str, Any]) -> None:
        if number + 1 == epochs:
            model.stop_training = True

    return keras.callbacks.LambdaCallback(on_epoch_end=stop)


@contextlib.contextmanager
def _divergence_explained(checkpoint: Checkpoint) -> Iterator[None]:
    try:
        yield
    except FloatingPointError as error:
        if checkpoint.epochs_done:
            path = checkpoint.folder / CHECKPOINT_FILE
            remaining = (
                f"The last good checkpoint, after epoch {checkpoint.epochs_done}, is {path}; to "
                f"start from its weights in a new folder, set model.start_from: {path}"
            )
        else:
            remaining = "No epoch was completed, so there is no checkpoint"
        raise FloatingPointError(
            f"training has diverged: {error} {remaining}. Try a lower training.learning_rate or a "
            "longer training.warmup; with mixed_float16, try mixed_bfloat16; and check the images "
            "and labels with `faramtn data check`."
        ) from error


def _for_inference(model: keras.Model, recipe: recipes.Recipe) -> keras.Model:
    """The model in float32 and for one device, for `MODEL_FILE`."""
    if recipe.training.precision == "float32" and not recipe.training.all_devices:
        return model
    backbone = recipe.model.backbone
    if isinstance(backbone, recipes.LibraryBackbone) and backbone.preset is not None:
        backbone = backbone.model_copy(update={"load_weights": False})
    without_files = recipe.model.model_copy(update={"weights": None, "backbone": backbone})
    plain = build_network(without_files, (*recipe.data.image_size, 3))
    plain.set_weights(model.get_weights())
    set_framing(plain, record_of(model).framing)
    return plain


def _jit_compile(training: recipes.Training) -> dict[str, Any]:
    return {} if training.jit_compile is None else {"jit_compile": training.jit_compile}
