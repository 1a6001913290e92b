"""Ways to weight the losses of the groups, each with the same interface as DWS.

A rule computes the weights of the next epoch from the losses of all epochs so far. All start from
the base weights of `objective` and keep their sum, so the learning rate means the same in all.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from keras_faramtn.callbacks.dynamic_weighting import dynamic_weights

_SMALLEST_FRACTION = 0.1  # of the mean: as in DWS, no group is dropped
_SMOOTHING = 0.5  # the default of `DynamicWeighting`
_SMALLEST_IMPROVEMENT = 0.01  # of the first loss


@dataclass
class Losses:
    """The losses of all epochs so far, `(epochs, groups)` each, and the weights.

    Attributes:
        training, validation: the mean losses of each epoch.
        weights: the weights of the last epoch, `(groups,)`.
        base: those of the first epoch.
    """

    training: np.ndarray
    validation: np.ndarray
    weights: np.ndarray
    base: np.ndarray


Rule = Callable[[Losses], np.ndarray]


def equal(losses: Losses) -> np.ndarray:
    """All attributes count equally."""
    return losses.base


def dws(strength: float) -> Rule:
    """The package's DWS: weights follow the remaining fraction of the first epoch's loss."""

    def rule(losses: Losses) -> np.ndarray:
        return dynamic_weights(
            losses.training[-1],
            losses.training[0],
            losses.weights,
            losses.base,
            strength,
            smoothing=_SMOOTHING,
        )

    return rule


def progress(losses: Losses) -> np.ndarray:
    """Weights follow which fraction of its own improvement a group made in the last epoch.

    It is large for the groups that converge late, whatever their loss can be reduced to.
    """
    if len(losses.training) < 3:
        return losses.base
    before, now = losses.training[-2:]
    improvement = np.maximum(losses.training[0] - now, _SMALLEST_IMPROVEMENT * losses.training[0])
    return _following(losses, (before - now) / improvement)


def uncertainty(losses: Losses) -> np.ndarray:
    """Kendall et al., CVPR 2018, at its optimum: the objective L / s + log s has s = L."""
    return _scaled(losses, losses.base / losses.training[-1])


def dynamic_weight_average(losses: Losses) -> np.ndarray:
    """Liu et al., CVPR 2019, with temperature 2: a softmax of the ratio of the last two losses."""
    if len(losses.training) < 2:
        return losses.base
    ratios = losses.training[-1] / losses.training[-2]
    return _scaled(losses, losses.base * np.exp(ratios / 2))


def aw_cnn(losses: Losses) -> np.ndarray:
    """He et al., ACM MM 2017: trend times scale of the validation loss, by group.

    The images that are scored decide the weights here, unlike with all other rules.
    """
    if len(losses.validation) < 2:
        return losses.base
    before, now = losses.validation[-2:]
    trend = np.abs(now - before) / now
    if not trend.any():
        return losses.weights
    return _scaled(losses, losses.base * (trend / trend.mean()) * (now / now.mean()))


RULES: dict[str, Rule] = {
    "equal": equal,
    "DWS": dws(1),
    "DWS_strength_3": dws(3),
    "progress": progress,
    "uncertainty": uncertainty,
    "DWA": dynamic_weight_average,
    "AW_CNN": aw_cnn,
}
"""The rules by name."""


def _scaled(losses: Losses, weights: np.ndarray) -> np.ndarray:
    return weights * losses.base.sum() / weights.sum()


def _following(losses: Losses, signals: np.ndarray) -> np.ndarray:
    """Weights proportional to a signal, smoothed as in DWS; falling signals count as small ones."""
    signals = np.maximum(signals, 0)
    if not signals.any():
        return losses.weights
    signals = np.maximum(signals, _SMALLEST_FRACTION * signals.mean())
    update = _scaled(losses, losses.base * signals)
    return _SMOOTHING * losses.weights + (1 - _SMOOTHING) * update
