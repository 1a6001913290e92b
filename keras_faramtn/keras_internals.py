"""All uses of private parts of Keras, in one module.

`tests/test_keras_internals.py` fails if a release of Keras changes any of it.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import keras
from keras.src.backend.common.masking import set_keras_mask


def set_mask(values: Any, mask: Any) -> None:
    """Marks which entries of a loss's values count, as Keras's layers mask time steps.

    Keras's reductions of a loss then skip the others, also in the divisor of a mean.

    Args:
        values: tensor that `keras.losses.Loss.call` returns.
        mask: boolean tensor of the same shape.
    """
    set_keras_mask(values, mask)


def compiled_losses(model: keras.Model) -> Any:
    """The `loss` that `model` was compiled with, or None if it is not compiled."""
    return getattr(getattr(model, "_compile_loss", None), "_user_loss", None)


def compiled_loss_weights(model: keras.Model) -> Any:
    """The `loss_weights` that `model` was compiled with; None if not given."""
    return model._compile_loss._user_loss_weights


def replace_loss_weights(model: keras.Model, weights: Mapping[str, Any]) -> None:
    """Replaces the `loss_weights` of a compiled model without compiling it again.

    Args:
        model: compiled with a dict of losses by output.
        weights: numbers or variables, one for each key of that dict.
    """
    compiled = model._compile_loss
    compiled._user_loss_weights = dict(weights)
    if compiled.built:
        compiled._flat_losses = [
            loss._replace(loss_weights=weights[loss.name]) for loss in compiled._flat_losses
        ]
    model.train_function = None  # it was traced with the old weights
    model.test_function = None


def untrack_metric(model: keras.Model, metric: keras.metrics.Metric) -> None:
    """Removes a metric that `model` tracks because it was assigned to an attribute."""
    model._metrics[:] = [each for each in model._metrics if each is not metric]


def build_losses_and_metrics(model: keras.Model, batch: Any) -> None:
    """Creates the variables of a compiled model's losses and metrics, from the types of a batch.

    Otherwise its first step creates them, and TensorFlow traces it a second time.

    Args:
        model: a compiled model.
        batch: `(x, y)` of anything that has a shape and a dtype.
    """
    model._symbolic_build(data_batch=batch)


def set_initial_epoch(model: keras.Model, epoch: int | None) -> None:
    """Sets the epoch that a running `fit` begins with, as `BackupAndRestore` does.

    Args:
        model: a model whose `fit` has called `on_train_begin`.
        epoch: number of completed epochs; None for the `initial_epoch` given to `fit`.
    """
    model._initial_epoch = epoch


def all_layers(model: keras.layers.Layer) -> Iterable[keras.layers.Layer]:
    """All layers of a model or layer, including those inside other layers and models."""
    return model._flatten_layers(include_self=False)


def random_generator_states(model: keras.Model) -> list[keras.Variable]:
    """The states of the random generators of dropout and the like, which are not weights."""
    weights = {id(weight) for weight in model.weights}
    return [state for state in model.non_trainable_variables if id(state) not in weights]


def replace_seed_generators(
    layer: keras.layers.Layer, generator: keras.random.SeedGenerator
) -> None:
    """Makes an image augmentation layer, and those inside it, draw all seeds from `generator`."""
    for each in (layer, *all_layers(layer)):
        each._get_seed_generator = lambda backend=None: generator


def variable_scope(model: keras.Model) -> contextlib.AbstractContextManager:
    """The scope in which to create variables for `model`: that of its `tf.distribute` strategy."""
    strategy = getattr(model, "distribute_strategy", None)
    return contextlib.nullcontext() if strategy is None else strategy.scope()


@contextlib.contextmanager
def without_optimizer(model: keras.Model) -> Iterator[None]:
    """While active, files of weights are loaded without the state of the optimizer in them."""
    optimizer, model.optimizer = model.optimizer, None
    try:
        yield
    finally:
        model.optimizer = optimizer


def call_that_returned(tensor: Any) -> tuple[keras.layers.Layer, list[Any]]:
    """The layer that returned a symbolic tensor, and the tensors that it was called with.

    Args:
        tensor: a `KerasTensor` of a functional model that is not its input.

    Returns:
        The layer and its symbolic inputs, as `keras.tree.flatten` orders them.
    """
    history = tensor._keras_history
    node = history.operation._inbound_nodes[history.node_index]
    return history.operation, list(node.input_tensors)
