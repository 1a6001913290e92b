"""Do the groups of a network converge together? How far each group's loss is, epoch by epoch.

Losses of different groups can't be compared: a group of rare attributes has a small loss from the
start. What can be compared is which share of its final improvement a group has reached.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.evaluation.over_seeds import over_seeds
from keras_faramtn.evaluation.undefined import rounded

LEVELS = (0.5, 0.8, 0.95)
"""The shares of the improvement whose epochs are compared."""

_SMALLEST_RATE = 1e-3


def validation_losses(
    history: Mapping[str, Sequence[float]], groups: AttributeGroups
) -> dict[str, list[float]]:
    """The validation loss of each group by epoch, out of the history of a training run.

    Args:
        history: numbers by epoch; those of a group are named `val_{group}_loss`.
        groups: the groups of the network.

    Returns:
        The losses by group; empty if the history has none, or the network has a single output.

    Example:
        >>> groups = AttributeGroups({"eyes": ["Eyeglasses"], "mouth": ["Smiling"]},
        ...                          ["Eyeglasses", "Smiling"])
        >>> validation_losses({"val_eyes_loss": [0.5, 0.4], "val_mouth_loss": [0.3, 0.2]}, groups)
        {'eyes': [0.5, 0.4], 'mouth': [0.3, 0.2]}
    """
    names = {group: f"val_{group}_loss" for group in groups}
    if len(names) < 2 or not set(names.values()) <= set(history):
        return {}
    return {group: list(history[name]) for group, name in names.items()}


def constant_losses(
    labels: np.ndarray,
    training_rates: np.ndarray,
    groups: AttributeGroups,
    positive_weight: float = 1.0,
    label_smoothing: float = 0.0,
) -> dict[str, float]:
    """The loss of each group for the best constant predictions: those that ignore the image.

    Of each attribute its positive rate in the training split is predicted for every image. With a
    positive weight or smoothed labels, it is what minimises the loss on the training split.

    Args:
        labels: of the validation split, `(n, k)`: 1 yes, 0 no, -1 unknown.
        training_rates: `(k,)`, as `positive_rates` returns them. Rates below 0.1 % or above 99.9 %
            count as these, so that the loss is finite; an unknown rate (NaN) counts as 50 %.
        groups: the k attributes and their groups.
        positive_weight, label_smoothing: of the loss, as in `MaskedBinaryCrossentropy`.

    Returns:
        For each group the mean over its known labels; NaN if it has none.

    Example:
        >>> groups = AttributeGroups({"mouth": ["Smiling"]}, ["Smiling"])
        >>> constant_losses(np.array([[1], [0], [-1]]), np.array([0.5]), groups)["mouth"]
        0.6931471805599453
    """
    rates = np.nan_to_num(np.asarray(training_rates, "float64"), nan=0.5)
    rates = np.clip(_smoothed(rates, label_smoothing), _SMALLEST_RATE, 1 - _SMALLEST_RATE)
    predicted = positive_weight * rates / (positive_weight * rates + 1 - rates)
    target = _smoothed(np.asarray(labels, "float64"), label_smoothing)
    losses = -(positive_weight * target * np.log(predicted) + (1 - target) * np.log1p(-predicted))
    losses = np.where(labels >= 0, losses, np.nan)
    found = {}
    for group in groups:
        of_group = losses[:, list(groups.positions(group))]
        known = of_group[np.isfinite(of_group)]
        found[group] = float(known.mean()) if len(known) else np.nan
    return found


def improvement_shares(losses: Sequence[float] | np.ndarray, constant_loss: float) -> np.ndarray:
    """Which share of its final improvement a loss has reached after each epoch.

    With L(t) the loss after epoch t and L(0) the loss of a network that has learned nothing from
    the images, the share is (L(0) - L(t)) / (L(0) - smallest L). It is below zero while the loss is
    above L(0).

    Args:
        losses: L(1), ..., L(T); NaN for an epoch without validation.
        constant_loss: L(0), see `constant_losses`.

    Returns:
        `(T + 1,)`, beginning with 0 for epoch 0, of at most 1; NaN for an epoch without validation,
        and for all epochs if the loss is never below L(0).

    Example:
        >>> improvement_shares([0.6, 0.45, 0.4, 0.41], constant_loss=0.8).round(3).tolist()
        [0.0, 0.5, 0.875, 1.0, 0.975]
    """
    values = np.array([constant_loss, *losses], "float64")
    defined = values[np.isfinite(values)]
    improvement = constant_loss - min(defined, default=np.nan)
    if not improvement > 0:  # also for NaN
        return np.full(len(values), np.nan)
    return np.where(np.isfinite(values), (constant_loss - values) / improvement, np.nan)


def epoch_of_share(shares: np.ndarray, level: float) -> float:
    """The epoch at which a share is first reached, linearly interpolated between epochs.

    Args:
        shares: `(T + 1,)` from epoch 0, as `improvement_shares` returns them.
        level: the share, above 0 and at most 1.

    Returns:
        The epoch in 0..T; NaN if the shares are not defined.

    Example:
        >>> epoch_of_share(np.array([0.0, 0.5, 0.9, 1.0]), 0.8)
        1.75
    """
    epochs = np.flatnonzero(np.isfinite(shares))
    reached = np.flatnonzero(shares[epochs] >= level)
    if not len(reached):
        return np.nan
    before, after = epochs[reached[0] - 1], epochs[reached[0]]
    fraction = (level - shares[before]) / (shares[after] - shares[before])
    return float(before + fraction * (after - before))


def convergence_of_runs(
    by_seed: Sequence[Mapping[str, Sequence[float]]], constant: Mapping[str, float]
) -> dict[str, Any]:
    """How the groups of a network converge in runs that differ in their seed.

    Args:
        by_seed: for each run the validation losses of its groups, as `validation_losses` returns
            them; the same groups in each.
        constant: the loss of a constant prediction by group, see `constant_losses`.

    Returns:
        A dict of JSON types only, of numbers rounded to six decimals, null where not defined:

        - `groups`: by name: `constant_loss`; `shares_by_seed`, for each run those of
          `improvement_shares`; `epochs`, for each of `LEVELS` the epoch at which it is reached,
          with `mean`, `spread` and `by_seed` as in `over_seeds`;
        - `spread_of_groups`: for each of `LEVELS` the standard deviation over the groups of that
          epoch, in epochs (of all groups, so divided by their number), with `mean`, `spread` and
          `by_seed`. The smaller, the more the groups converge together. It is not defined if a
          group never improves.

    Example:
        >>> losses = {"eyes": [0.5, 0.25, 0.0], "mouth": [0.8, 0.5, 0.0]}
        >>> found = convergence_of_runs([losses], {"eyes": 1.0, "mouth": 1.0})
        >>> [each["mean"] for each in found["groups"]["mouth"]["epochs"]]
        [2.0, 2.6, 2.9]
        >>> found["spread_of_groups"][0]["mean"]
        0.5
    """
    shares = {
        group: [improvement_shares(losses[group], constant[group]) for losses in by_seed]
        for group in by_seed[0]
    }
    # (groups, seeds, levels)
    epochs = np.array(
        [
            [[epoch_of_share(each, level) for level in LEVELS] for each in runs]
            for runs in shares.values()
        ]
    )
    return {
        "groups": {
            group: {
                "constant_loss": rounded(constant[group]),
                "shares_by_seed": [[rounded(share) for share in each] for each in runs],
                "epochs": [over_seeds(of_level) for of_level in epochs[number].T],
            }
            for number, (group, runs) in enumerate(shares.items())
        },
        "spread_of_groups": [over_seeds(of_level) for of_level in epochs.std(axis=0).T],
    }


def in_epochs(value: Mapping[str, Any]) -> str:
    """A number of epochs as text, with the spread between seeds; `-` where not defined.

    Args:
        value: `mean` and `spread`, as in `over_seeds`.

    Example:
        >>> in_epochs({"mean": 0.5, "spread": 0.25}), in_epochs({"mean": 2.0, "spread": None})
        ('0.50 ± 0.25', '2.00')
        >>> in_epochs({"mean": None, "spread": None})
        '-'
    """
    if value["mean"] is None:
        return "-"
    spread = "" if value["spread"] is None else f" ± {value['spread']:.2f}"
    return f"{value['mean']:.2f}{spread}"


def _smoothed(labels: np.ndarray, smoothing: float) -> np.ndarray:
    return labels * (1 - smoothing) + smoothing / 2
