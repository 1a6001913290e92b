"""DWS: the weights of the groups' losses follow how fast the groups converge."""

import contextlib
import math
from typing import Any

import keras
import numpy as np

# A group's share counts as at least this much of the groups' mean: one that is solved keeps a
# small weight, not none.
_LEAST_SHARE = 0.1


def dynamic_weights(
    losses: np.ndarray,
    first_losses: np.ndarray,
    weights: np.ndarray,
    base: np.ndarray,
    strength: float,
    smoothing: float,
) -> np.ndarray:
    """The weights of the groups' losses for the next epoch.

    FAR-AMTN's DWS (Gao et al., CVIU 2025, 104426) balances the groups' different convergence speed
    and loss scale, so that they converge together; its formula is not public, so this one is the
    package's own. With L_g(t) the training loss of group g in epoch t, and b_g the weight that it
    was given to begin with:

        p_g = L_g(t) / L_g(1)        what is left of the first epoch's loss: the loss ratio of
                                     GradNorm (Chen et al., ICML 2018), free of the loss's scale
        u_g = b_g * (p_g / mean(p)) ^ strength, scaled to the sum of b
        w_g = smoothing * w_g(before) + (1 - smoothing) * u_g

    A group that lags behind weighs more; one that is ahead, and would soon be learned by heart,
    less. Each p_g counts as at least a tenth of their mean.

    Args:
        losses: L(t), shape `(G,)`, finite, 0 or more.
        first_losses: L(1), of the first epoch, shape `(G,)`; a group whose loss was 0 there has
            nothing left.
        weights: w before, shape `(G,)`; b after the first epoch.
        base: b, shape `(G,)`, above 0.
        strength: above 0; 1 weighs in proportion to what is left.
        smoothing: in 0..1, the share that the old weights keep.

    Returns:
        w, shape `(G,)`, with the sum of b.
    """
    losses, first_losses = (np.asarray(each, "float64") for each in (losses, first_losses))
    left = np.divide(losses, first_losses, out=np.zeros_like(losses), where=first_losses > 0)
    # Where every loss is zero, all count alike.
    left = np.maximum(left, _LEAST_SHARE * left.mean()) if left.any() else left + 1.0
    update = base * (left / left.mean()) ** strength
    update *= base.sum() / update.sum()
    return smoothing * weights + (1 - smoothing) * update


class DynamicWeighting(keras.callbacks.Callback):
    """Sets the `loss_weights` of a compiled model at the end of each epoch (`dynamic_weights`).

    As training begins, the callback puts variables in the place of the numbers that the model was
    compiled with, so that a change needs neither compilation nor a new trace. What the model saves
    of itself keeps the numbers.

    The weights that an epoch was trained with are added to its logs as `dws_{group}`, and so
    appear in `history`, in `keras.callbacks.CSVLogger` and in TensorBoard's scalars, for
    callbacks that come after this one.

    Args:
        strength, smoothing: as in `dynamic_weights`.

    Raises:
        ValueError: an argument out of its range; or at the start of training, a model that has not
            been compiled with a dict of at least two losses by output.
        FloatingPointError: at the end of an epoch, a group's loss is NaN or infinite; the message
            names the groups.
    """

    def __init__(self, strength: float = 1.0, smoothing: float = 0.5) -> None:
        super().__init__()
        if strength <= 0 or not 0 <= smoothing < 1:
            raise ValueError(
                "strength must be above 0 and smoothing in 0..1, without 1; got "
                f"{strength} and {smoothing}."
            )
        self.strength = strength
        self.smoothing = smoothing
        self.variables: dict[str, keras.Variable] = {}
        self.base: dict[str, float] = {}
        self.first_losses: np.ndarray | None = None

    def set_model(self, model: keras.Model) -> None:
        """Takes hold of the model's loss weights; Keras calls this before it makes the step."""
        super().set_model(model)
        self.variables, self.base = _loss_weight_variables(model)
        _hold_as_state(model, self.variables, self.base)

    def state(self) -> dict[str, Any]:
        """All that the next epoch's weights depend on, as JSON can hold it to the last digit."""
        first = self.first_losses
        return {
            "weights": {group: _value(variable) for group, variable in self.variables.items()},
            "first_losses": None if first is None else first.tolist(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from `state`; to be called as or after training begins."""
        for group, weight in state["weights"].items():
            self.variables[group].assign(weight)
        first = state["first_losses"]
        self.first_losses = None if first is None else np.array(first)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Logs the weights of this epoch and sets those of the next."""
        logs = {} if logs is None else logs
        losses = np.array([float(logs[f"{group}_loss"]) for group in self.variables])
        _refuse_divergence(dict(zip(self.variables, losses, strict=True)), epoch)
        weights = np.array([_value(variable) for variable in self.variables.values()])
        logs.update({f"dws_{group}": w for group, w in zip(self.variables, weights, strict=True)})
        if self.first_losses is None:
            self.first_losses = losses
        updated = dynamic_weights(
            losses,
            self.first_losses,
            weights,
            np.array([self.base[group] for group in self.variables]),
            self.strength,
            self.smoothing,
        )
        for variable, weight in zip(self.variables.values(), updated, strict=True):
            variable.assign(float(weight))


class _LossWeights(keras.metrics.Metric):
    """Makes loss weights a part of the state of a model's training step; measures nothing.

    On JAX, a variable that is no such part is compiled into the step as a constant.
    """

    def __init__(self, held: list[keras.Variable], base: dict[str, float]) -> None:
        super().__init__(name="loss_weights")
        self.held = held  # which tracks them as variables of this metric
        self.base = base

    def reset_state(self) -> None:
        """Keeps the weights, which outlast an epoch."""

    def result(self) -> dict[str, Any]:
        """Nothing for the logs."""
        return {}


def _hold_as_state(
    model: keras.Model, variables: dict[str, keras.Variable], base: dict[str, float]
) -> None:
    # Not as an attribute of the model: that would be saved with it.
    others = [metric for metric in model._metrics if not isinstance(metric, _LossWeights)]
    model._metrics[:] = [*others, _LossWeights(list(variables.values()), base)]


def _value(variable: Any) -> float:
    return float(keras.ops.convert_to_numpy(variable))


def _refuse_divergence(losses: dict[str, float], epoch: int) -> None:
    diverged = {group: loss for group, loss in losses.items() if not math.isfinite(loss)}
    if diverged:
        named = ", ".join(f"{group} ({loss})" for group, loss in diverged.items())
        raise FloatingPointError(f"after epoch {epoch + 1} the loss is not finite for {named}.")


def _loss_weight_variables(
    model: keras.Model,
) -> tuple[dict[str, keras.Variable], dict[str, float]]:
    """The loss weights of `model` as variables, and the numbers that it was compiled with."""
    # Keras keeps no public handle on the loss weights that a model was compiled with.
    compiled = getattr(model, "_compile_loss", None)
    losses = getattr(compiled, "_user_loss", None)
    if not isinstance(losses, dict) or len(losses) < 2:
        raise ValueError(
            "dynamic weighting needs a model compiled with a dict of two or more losses, one a "
            f"group; {model.name!r} has {losses!r}. Compile it with **objective(groups)."
        )
    given = compiled._user_loss_weights or dict.fromkeys(losses, 1.0)
    if all(isinstance(weight, keras.Variable) for weight in given.values()):
        held = [metric for metric in model._metrics if isinstance(metric, _LossWeights)]
        base = {group: _value(weight) for group, weight in given.items()}
        return dict(given), held[0].base if held else base
    base = {group: _value(given[group]) for group in losses}
    with variable_scope(model):
        variables = {
            group: keras.Variable(weight, trainable=False, name=f"{group}_loss_weight")
            for group, weight in base.items()
        }
    compiled._user_loss_weights = variables
    if compiled.built:
        compiled._flat_losses = [
            loss._replace(loss_weights=variables[loss.path[0]]) for loss in compiled._flat_losses
        ]
    model.train_function = None  # a step traced with the old constants must not be used again
    return variables, base


def variable_scope(model: keras.Model) -> contextlib.AbstractContextManager:
    """Where variables for `model` are made: the scope of its `tf.distribute` strategy, if any."""
    strategy = getattr(model, "distribute_strategy", None)
    return contextlib.nullcontext() if strategy is None else strategy.scope()
