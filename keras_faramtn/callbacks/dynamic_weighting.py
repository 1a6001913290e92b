"""DWS: the weights of the groups' losses follow how fast the groups converge."""

import logging
import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_faramtn import keras_internals
from keras_faramtn.callbacks.training_logs import TrainingLogs

logger = logging.getLogger(__name__)

# A group's loss ratio counts as at least this fraction of the groups' mean: a group that is solved
# keeps a small weight.
_SMALLEST_FRACTION = 0.1


def dynamic_weights(
    losses: np.ndarray,
    first_losses: np.ndarray,
    weights: np.ndarray,
    base: np.ndarray,
    strength: float,
    smoothing: float,
) -> np.ndarray:
    """The weights of the groups' losses for the next epoch.

    FAR-AMTN's DWS (Gao et al., CVIU 2025, 104426) balances the groups' different convergence speeds
    and loss scales, so that they converge together. Its formula is not public; this one is the
    package's. With L_g(t) the training loss of group g in epoch t, and b_g its initial weight:

        p_g = L_g(t) / L_g(1)        the remaining fraction of the first epoch's loss: the loss
                                     ratio of GradNorm (Chen et al., ICML 2018), which does not
                                     depend on the loss's scale
        u_g = b_g * (p_g / mean(p)) ^ strength, scaled to the sum of b
        w_g = smoothing * w_g(before) + (1 - smoothing) * u_g

    A group that lags behind gets a larger weight; one that is ahead, and would soon overfit, a
    smaller one. Each p_g counts as at least a tenth of their mean.

    Args:
        losses: L(t), shape `(G,)`, finite, 0 or more.
        first_losses: L(1), of the first epoch, shape `(G,)`; p of a group is 0 if its L(1) is 0.
        weights: w before, shape `(G,)`; b after the first epoch.
        base: b, shape `(G,)`, above 0.
        strength: above 0; at 1, weights are proportional to the loss ratios.
        smoothing: in [0, 1), the fraction of the old weights that is kept.

    Returns:
        w, shape `(G,)`, with the sum of b.

    Example:
        >>> ones = np.ones(2)
        >>> dynamic_weights(np.array([0.25, 0.75]), ones, ones, ones, strength=1, smoothing=0)
        array([0.5, 1.5])
    """
    losses, first_losses = (np.asarray(each, "float64") for each in (losses, first_losses))
    ratios = np.divide(losses, first_losses, out=np.zeros_like(losses), where=first_losses > 0)
    # If every loss is zero, all groups count alike.
    ratios = (
        np.maximum(ratios, _SMALLEST_FRACTION * ratios.mean()) if ratios.any() else ratios + 1.0
    )
    update = base * (ratios / ratios.mean()) ** strength
    update *= base.sum() / update.sum()
    return smoothing * weights + (1 - smoothing) * update


class DynamicWeighting(TrainingLogs):
    """Sets the `loss_weights` of a compiled model at the end of each epoch (`dynamic_weights`).

    When training begins, the callback replaces the numbers that the model was compiled with by
    variables, so that a change needs neither compilation nor a new trace. These variables and the
    first epoch's losses belong to the model, not to the callback:

    - a second `fit` of the same compiled model continues, with this callback or another; after
      `compile`, or with another model, the weights start from the numbers given there;
    - `model.save_weights` and `model.save` keep them, so that `keras.callbacks.BackupAndRestore`
      and `Checkpoint` resume DWS too. `keras.saving.load_model` returns a model without them.

    Place it before callbacks that save the model or read the logs. The weights that an epoch was
    trained with are added to its logs as `dws_{group}`, and so appear in `history`, in
    `keras.callbacks.CSVLogger` and in TensorBoard's scalars. An output whose loss is `None` is not
    weighted.

    Args:
        strength, smoothing: as in `dynamic_weights`.

    Raises:
        ValueError: if an argument is out of its range; when training begins, if the model was not
            compiled with a dict of at least two losses by output, or its loss weights are not a
            dict of positive numbers.
        FloatingPointError: at the end of an epoch, if a group's loss is NaN or infinite; the
            message names the groups.

    Example:
        >>> images = keras.Input((4,))
        >>> logits = {name: keras.layers.Dense(1, name=name)(images) for name in ("eyes", "mouth")}
        >>> model = keras.Model(images, logits)
        >>> model.compile("sgd", loss={"eyes": "mse", "mouth": "mse"})
        >>> labels = {"eyes": np.ones((8, 1)), "mouth": np.zeros((8, 1))}
        >>> history = model.fit(
        ...     np.ones((8, 4)), labels, epochs=2, verbose=0, callbacks=[DynamicWeighting()]
        ... ).history
        >>> history["dws_eyes"]
        [1.0, 1.0]
    """

    def __init__(self, strength: float = 1.0, smoothing: float = 0.5) -> None:
        super().__init__()
        if strength <= 0 or not 0 <= smoothing < 1:
            raise ValueError(
                "strength must be above 0, and smoothing at least 0 and below 1; got "
                f"{strength} and {smoothing}."
            )
        self.strength = strength
        self.smoothing = smoothing

    def set_model(self, model: keras.Model) -> None:
        """Replaces the model's loss weights; Keras calls this before it builds the train step."""
        super().set_model(model)
        self.weights = _weights_of(model)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Logs the weights of this epoch and sets those of the next."""
        values = self.training_logs(logs)
        groups = list(self.weights.base)
        missing = [group for group in groups if f"{group}_loss" not in values]
        if missing:
            logger.warning(
                "DynamicWeighting left the weights unchanged after epoch %d: the logs have no "
                "loss of %s.",
                epoch + 1,
                ", ".join(missing),
            )
            return
        losses = np.array([float(values[f"{group}_loss"]) for group in groups])
        _refuse_divergence(dict(zip(groups, losses, strict=True)), epoch)
        weights = self.weights.values()
        if logs is not None:
            logs.update({f"dws_{g}": float(w) for g, w in zip(groups, weights, strict=True)})
        if self.weights.first_losses is None:
            self.weights.first_losses = losses
        updated = dynamic_weights(
            losses,
            self.weights.first_losses,
            weights,
            np.array(list(self.weights.base.values())),
            self.strength,
            self.smoothing,
        )
        self.weights.assign(updated)


class _DynamicWeights(keras.metrics.Metric):
    """The loss weights of a model and what they depend on, as state of the model.

    A metric, though it measures nothing: Keras makes the variables of a model's metrics part of
    the state of its train step. On JAX, any other variable is compiled into the step as a constant.

    Args:
        base: the initial weight of each group.
    """

    def __init__(self, base: dict[str, float]) -> None:
        super().__init__(name="dynamic_weights")
        # Not from `add_variable`: on several devices that makes variables that are summed up.
        self.variable_by_group = {
            group: keras.Variable(weight, trainable=False, name=f"{group}_loss_weight")
            for group, weight in base.items()
        }
        self.start(base)

    def start(self, base: dict[str, float]) -> None:
        """Sets the initial weights, with no epoch trained."""
        self.base = base
        self.first_losses: np.ndarray | None = None
        self.assign(np.array(list(base.values())))

    def assign(self, weights: np.ndarray) -> None:
        for variable, weight in zip(self.variable_by_group.values(), weights, strict=True):
            variable.assign(float(weight))

    def values(self) -> np.ndarray:
        """The weights, shape `(G,)`, in the order of `base`."""
        return np.array(
            [float(keras.ops.convert_to_numpy(v)) for v in self.variable_by_group.values()]
        )

    def reset_state(self) -> None:
        """Keeps the weights: they outlast an epoch."""

    def result(self) -> dict[str, Any]:
        """Adds nothing to the logs."""
        return {}

    # Keras calls the next two when a file of the model or its weights is written and read.
    def save_own_variables(self, store: Any) -> None:
        store["weights"] = self.values()
        if self.first_losses is not None:
            store["first_losses"] = self.first_losses

    def load_own_variables(self, store: Any) -> None:
        # Files of models that were trained without DWS have neither.
        if "weights" in store:
            self.assign(np.array(store["weights"]))
            first = "first_losses" in store
            self.first_losses = np.array(store["first_losses"]) if first else None


def _weights_of(model: keras.Model) -> _DynamicWeights:
    """The dynamic weights of a compiled model; its loss weights are these variables afterwards."""
    losses = keras_internals.compiled_losses(model)
    given = _given_weights(model, losses)
    weighted = [output for output, loss in losses.items() if loss is not None]
    weights = getattr(model, "dynamic_weights", None)
    if weights is not None and list(weights.base) != weighted:
        keras_internals.untrack_metric(model, weights)
        weights = None
    elif weights is not None and all(
        given[output] is weights.variable_by_group[output] for output in weighted
    ):
        return weights
    base = {output: float(given[output]) for output in weighted}
    if weights is None:
        with keras_internals.variable_scope(model):
            weights = _DynamicWeights(base)
        model.dynamic_weights = weights  # Keras tracks it and saves it with the model's weights
    else:
        weights.start(base)
    keras_internals.replace_loss_weights(model, {**given, **weights.variable_by_group})
    return weights


def _given_weights(model: keras.Model, losses: Any) -> dict[str, Any]:
    """The loss weights that `model` has, one for each output that has an entry in `losses`."""
    if (
        not isinstance(losses, dict)
        or sum(loss is not None for loss in losses.values()) < 2
        or any(isinstance(loss, list | tuple | dict) for loss in losses.values())
    ):
        raise ValueError(
            "DynamicWeighting needs a model compiled with a dict of two or more losses, one for "
            f"each group; {model.name!r} has {losses!r}. Compile it with **objective(groups)."
        )
    given = keras_internals.compiled_loss_weights(model) or {}
    if not isinstance(given, Mapping):
        raise ValueError(
            "DynamicWeighting needs loss_weights as a dict by output; got "
            f"{given!r}. Compile the model with **objective(groups)."
        )
    weights = {output: given.get(output, 1.0) for output in losses}
    for output, weight in weights.items():
        if losses[output] is not None and not float(weight) > 0:
            raise ValueError(
                f"DynamicWeighting needs positive loss_weights; that of {output!r} is {weight}."
            )
    return weights


def _refuse_divergence(losses: dict[str, float], epoch: int) -> None:
    diverged = {group: loss for group, loss in losses.items() if not math.isfinite(loss)}
    if diverged:
        named = ", ".join(f"{group} ({loss})" for group, loss in diverged.items())
        raise FloatingPointError(f"after epoch {epoch + 1} the loss is not finite for {named}.")
