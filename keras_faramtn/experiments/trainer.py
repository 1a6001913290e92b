"""From a recipe to a trained model: builds, compiles and fits."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from keras_faramtn.atomic_files import atomic_write
from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.callbacks.checkpoint import CHECKPOINT_FILE, Checkpoint, differences
from keras_faramtn.callbacks.dynamic_weighting import DynamicWeighting, variable_scope
from keras_faramtn.callbacks.progress import MeanScores, ShortProgressBar
from keras_faramtn.errors import InputError
from keras_faramtn.experiments import recipe as recipes
from keras_faramtn.models import FARAMTN, MultiLabel, MultiTask, groups_of, load_model
from keras_faramtn.objective import objective
from keras_faramtn.optimizers import ConvolutionMuon


def _faramtn(model: recipes.Model, input_shape: tuple[int, int, int]) -> keras.Model:
    return FARAMTN(
        model.backbone,
        model.attribute_groups(),
        input_shape,
        model.weights,
        attention=model.attention,
        fusion=model.fusion,
        dropout=model.dropout,
    )


def _multi_label(model: recipes.Model, input_shape: tuple[int, int, int]) -> keras.Model:
    attributes = model.attribute_groups().attributes
    return MultiLabel(model.backbone, attributes, input_shape, model.weights, dropout=model.dropout)


def _multi_task(model: recipes.Model, input_shape: tuple[int, int, int]) -> keras.Model:
    return MultiTask(
        model.backbone,
        model.attribute_groups(),
        input_shape,
        model.weights,
        dropout=model.dropout,
    )


MODEL_FILE = "model.keras"
INTERRUPTED_FILE = "interrupted.keras"

_NETWORKS: dict[str, Callable[[recipes.Model, tuple[int, int, int]], keras.Model]] = {
    "faramtn": _faramtn,
    "multi_label": _multi_label,
    "multi_task": _multi_task,
}


def build_model(recipe: recipes.Recipe) -> keras.Model:
    """The network that `recipe` describes, as it is before training.

    Its initial weights are decided by the recipe's seed, or come from its `start_from`.

    Raises:
        InputError: as `FARAMTN`; the file to start from can't be read, or is of another network;
            `all_devices` is asked of another backend than TensorFlow.
    """
    keras.utils.set_random_seed(recipe.training.seed)
    with _devices(recipe.training), _dtype_policy(recipe.training.precision):
        model = _network(recipe)
    if recipe.model.start_from is not None:
        _start_from(model, Path(recipe.model.start_from))
    if recipe.training.all_devices:
        for layer in model._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = True
    return model


def _network(recipe: recipes.Recipe) -> keras.Model:
    return _NETWORKS[recipe.model.network](recipe.model, (*recipe.data.image_size, 3))


def _devices(training: recipes.Training) -> contextlib.AbstractContextManager:
    if not training.all_devices:
        return contextlib.nullcontext()
    if keras.config.backend() != "tensorflow":
        raise InputError(
            "training.all_devices is for the TensorFlow backend; on "
            f"{keras.config.backend()} set it to false, and see keras.distribution."
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
    if dict(groups_of(given)) != dict(groups_of(model)):
        raise InputError(
            f"{path}: this model has other groups than the recipe: "
            f"{differences(dict(groups_of(given)), dict(groups_of(model)))}. Give model.groups of "
            "the recipe the grouping that the file was trained with."
        )
    theirs = {weight.path: str(tuple(weight.shape)) for weight in given.weights}
    ours = {weight.path: str(tuple(weight.shape)) for weight in model.weights}
    if theirs != ours:
        first = differences(theirs, ours).split(";")[0]
        raise InputError(
            f"{path}: this is another network than the recipe's: its weight {first}. Give the "
            "recipe the network, backbone and switches that the file was trained with."
        )
    if _order(given) != _order(model):
        raise InputError(
            f"{path}: this model was made with the same groups in another order. Write them in "
            "model.groups as the recipe has them that the file was trained with."
        )
    model.set_weights(given.get_weights())


def _order(model: keras.Model) -> list[tuple[str, tuple[str, ...]]]:
    """Which layer has which place among the weights, and which groups' weights it has in turn."""
    return [(layer.name, getattr(layer, "groups", ())) for layer in model.layers if layer.weights]


def train(
    model: keras.Model,
    recipe: recipes.Recipe,
    training: tf.data.Dataset,
    validation: tf.data.Dataset,
    folder: Path,
    *,
    epoch: tf.Variable | None = None,
    data: str = "",
) -> dict[str, list[float]]:
    """Compiles and fits `model` as `recipe` says, with progress on the terminal.

    Where `folder` holds the checkpoint of the same training, it goes on from there: with the same
    `epoch`, it ends on one processor with the very numbers of a training that was never stopped.

    Args:
        model: from `build_model`.
        recipe: the experiment.
        training, validation: batches of `(images, {group: labels})`, as `make_dataset` gives.
        folder: an existing folder. After each epoch it has the history and a checkpoint
            (`Checkpoint`); in the end `MODEL_FILE`; where Ctrl-C was pressed, `INTERRUPTED_FILE`,
            the model as reached.
        epoch: the variable that `make_dataset` was given for `training`; None where the order of
            the images need not be the same after a resumption.
        data: what tells the training data from other, as `FaceTable.digest` does.

    Returns:
        The history of all epochs: from each name of the logs to its values by epoch.

    Raises:
        InputError: there are no training images, or the folder's checkpoint is of another
            training.
        FloatingPointError: a loss is no longer finite; the message names the last good checkpoint.
        KeyboardInterrupt: Ctrl-C.
    """
    steps = int(training.cardinality())
    if steps <= 0:
        raise InputError("there are no training images; see the partition file of the data.")
    groups = groups_of(model)
    weighting = _weighting(recipe.training)
    run = {
        "recipe": recipe.model_dump(mode="json"),
        "group_order": list(recipe.model.attribute_groups()),  # that of the weights
        "data": data,
        "steps_per_epoch": steps,
    }
    checkpoint = Checkpoint(folder, run, weighting)
    with variable_scope(model):
        model.compile(
            _optimizer(recipe.training, steps * recipe.training.epochs, groups),
            **objective(groups, recipe.training.positive_weight, recipe.training.label_smoothing),
            **_jit_compile(recipe.training),
        )
        model.optimizer.build(model.trainable_variables)
    callbacks = [
        *([_numbering(epoch)] if epoch is not None else []),
        *([weighting] if weighting else []),
        MeanScores(groups),
        ShortProgressBar(),
        keras.callbacks.TerminateOnNaN(raise_error=True),
        checkpoint,
    ]
    try:
        with _divergence_explained(checkpoint):
            model.fit(
                training,
                validation_data=validation,
                epochs=recipe.training.epochs,
                shuffle=False,  # the data set shuffles itself
                callbacks=callbacks,
            )
    except KeyboardInterrupt:
        if not checkpoint.began:
            raise
        atomic_write(folder / INTERRUPTED_FILE, model.save)
        print(
            f"\nStopped. {folder / INTERRUPTED_FILE} is the model as reached. `faramtn train` with "
            f"the same recipe, data and folder goes on after epoch {checkpoint.epochs_done} of "
            f"{recipe.training.epochs}, from {CHECKPOINT_FILE}.",
            flush=True,
        )
        raise
    atomic_write(folder / MODEL_FILE, _for_use(model, recipe).save)
    (folder / INTERRUPTED_FILE).unlink(missing_ok=True)
    return checkpoint.history


def _weighting(training: recipes.Training) -> DynamicWeighting | None:
    weighting = training.dynamic_weighting
    return DynamicWeighting(weighting.strength, weighting.smoothing) if weighting else None


def _numbering(epoch: tf.Variable) -> keras.callbacks.Callback:
    return keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda number, logs: epoch.assign(number),
    )


@contextlib.contextmanager
def _divergence_explained(checkpoint: Checkpoint) -> Iterator[None]:
    try:
        yield
    except (FloatingPointError, RuntimeError) as error:
        # TerminateOnNaN raises a RuntimeError, and so do many others.
        if not isinstance(error, FloatingPointError) and "NaN or Inf loss" not in str(error):
            raise
        if checkpoint.epochs_done:
            path = checkpoint.folder / CHECKPOINT_FILE
            kept = (
                f"The last good checkpoint, after epoch {checkpoint.epochs_done}, is {path}; a "
                f"recipe with model.start_from: {path} starts from its weights in a new folder"
            )
        else:
            kept = "No epoch was completed, so there is no checkpoint to go back to"
        raise FloatingPointError(
            f"training has diverged: {error} {kept}. Try a lower training.learning_rate or a "
            "longer training.warmup; with mixed_float16, try mixed_bfloat16; and look for wrong "
            "images or labels with `faramtn data check`."
        ) from error


def _for_use(model: keras.Model, recipe: recipes.Recipe) -> keras.Model:
    """The model as it is saved in the end: in float32 and for one device."""
    if recipe.training.precision == "float32" and not recipe.training.all_devices:
        return model
    without_files = recipe.model.model_copy(update={"weights": None})
    plain = _network(recipe.model_copy(update={"model": without_files}))
    plain.set_weights(model.get_weights())
    return plain


def _jit_compile(training: recipes.Training) -> dict[str, Any]:
    return {} if training.jit_compile is None else {"jit_compile": training.jit_compile}


def _optimizer(
    training: recipes.Training, steps: int, groups: AttributeGroups
) -> keras.optimizers.Optimizer:
    # Keras counts each batch as a step of the schedule, also where gradients are accumulated.
    warmup_steps = max(1, round(training.warmup * steps))
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        decay_steps=max(1, steps - warmup_steps),
        warmup_target=training.learning_rate,
        warmup_steps=warmup_steps,
    )
    optimizer = _OPTIMIZERS[training.optimizer](
        groups,
        learning_rate=schedule,
        weight_decay=training.weight_decay,
        gradient_accumulation_steps=training.accumulate if training.accumulate > 1 else None,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def _adamw(groups: AttributeGroups, **arguments: Any) -> keras.optimizers.Optimizer:
    return keras.optimizers.AdamW(**arguments)


def _muon(groups: AttributeGroups, **arguments: Any) -> keras.optimizers.Optimizer:
    return ConvolutionMuon(exclude_layers=[f"^{group}/" for group in groups], **arguments)


_OPTIMIZERS: dict[str, Callable[..., keras.optimizers.Optimizer]] = {
    "adamw": _adamw,
    "muon": _muon,
}
