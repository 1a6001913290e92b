"""Do the groups of a network converge together? How far each group's loss is, epoch by epoch.

Losses of different groups can't be compared: a group of rare attributes has a small loss from the
start. What can be compared is which share of its largest improvement a group has reached.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.evaluation.over_seeds import over_seeds
from keras_faramtn.evaluation.undefined import mean_of_defined, rounded

LEVELS = (0.5, 0.8, 0.95)
"""The shares of the largest improvement whose epochs are compared."""

DIFFERENT_EPOCHS = (
    "These networks were trained for different numbers of epochs: spreads of different schedules "
    "can't be compared."
)

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
    *,
    batch_size: int | None = None,
    batches_by_size: bool = False,
) -> dict[str, float]:
    """The loss of each group for the best constant predictions: those that ignore the image.

    Of each attribute its positive rate in the training split is predicted for every image. With a
    positive weight or smoothed labels, it is what minimises the loss on the training split.

    The loss of a batch is the mean over its known labels, or 0 if it has none. To be comparable
    with the loss in a history, the losses of the same batches have to be averaged as Keras does
    for an output of several. On TensorFlow, all batches count equally, also a smaller last one:
    `CompileLoss` weights them by their static size, which is unknown in a graph. On JAX and
    PyTorch, they count by their number of images.

    Args:
        labels: of the validation split, `(n, k)`: 1 yes, 0 no, -1 unknown.
        training_rates: `(k,)`, as `positive_rates` returns them. Rates below 0.1 % or above 99.9 %
            count as these, so that the loss is finite; an unknown rate (NaN) counts as 50 %.
        groups: the k attributes and their groups.
        positive_weight, label_smoothing: of the loss, as in `MaskedBinaryCrossentropy`.
        batch_size: the images are in batches of this size, in their order, the last one may be
            smaller; None for a single batch, so that all known labels count equally.
        batches_by_size: whether a batch counts by its number of images, or all equally.

    Returns:
        For each group the mean over the batches; NaN if the group has no known label.

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
    starts = np.arange(0, len(losses), batch_size or max(1, len(losses)))
    sizes = np.diff([*starts, len(losses)])
    found = {}
    for group in groups:
        of_group = losses[:, list(groups.positions(group))]
        batches = [mean_of_defined(each.ravel()) for each in np.split(of_group, starts[1:])]
        by_batch = np.nan_to_num(np.array(batches, "float64"), nan=0.0)
        known = np.isfinite(of_group).any()
        mean = np.average(by_batch, weights=sizes if batches_by_size else None) if known else np.nan
        found[group] = float(mean)
    return found


def improvement_shares(losses: Sequence[float] | np.ndarray, constant_loss: float) -> np.ndarray:
    """Which share of its largest improvement a loss has reached after each epoch.

    With L(t) the loss after epoch t and L(0) the loss of a network that has learned nothing from
    the images, the share is (L(0) - L(t)) / (L(0) - smallest L). The smallest L is that of all
    epochs, not of the last. The share is below zero while the loss is above L(0).

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
            them; the same groups and number of epochs in each.
        constant: the loss of a constant prediction by group, see `constant_losses`.

    Returns:
        A dict of JSON types only, of numbers rounded to six decimals, null where not defined:

        - `groups`: by name: `constant_loss`; `shares_by_seed`, for each run those of
          `improvement_shares`; `epochs`, for each of `LEVELS` the epoch at which it is reached,
          with `mean`, `spread` and `by_seed` as in `over_seeds`;
        - `spread_of_groups`: for each of `LEVELS` the standard deviation over the groups of that
          epoch, in epochs (of all groups, so divided by their number), with `mean`, `spread` and
          `by_seed`. The smaller, the more the groups converge together. For a run, it is not
          defined if a group is never better than the constant prediction, or has no known
          validation label; `mean` and `spread` are defined if all runs are (`undefined_groups`).

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


def number_of_epochs(network: Mapping[str, Any]) -> int:
    """The number of epochs of a network's runs.

    Args:
        network: the result of `convergence_of_runs`.

    Example:
        >>> number_of_epochs({"groups": {"eyes": {"shares_by_seed": [[0.0, 0.7, 1.0]]}}})
        2
    """
    return max(
        len(run) - 1 for each in network["groups"].values() for run in each["shares_by_seed"]
    )


def number_of_runs(network: Mapping[str, Any]) -> int:
    """The number of a network's runs, which is that of the seeds.

    Args:
        network: the result of `convergence_of_runs`.

    Example:
        >>> number_of_runs({"groups": {"eyes": {"shares_by_seed": [[0.0, 1.0], [0.0, 1.0]]}}})
        2
    """
    return max(len(each["shares_by_seed"]) for each in network["groups"].values())


def epochs_differ(networks: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether networks were trained for different numbers of epochs (`DIFFERENT_EPOCHS`).

    Args:
        networks: by name the result of `convergence_of_runs`.

    Example:
        >>> long, short = ({"groups": {"eyes": {"shares_by_seed": [[0.0] * n]}}} for n in (3, 2))
        >>> epochs_differ({"long": long, "short": short}), epochs_differ({"long": long})
        (True, False)
    """
    return len(set(map(number_of_epochs, networks.values()))) > 1


def undefined_groups(network: Mapping[str, Any]) -> dict[str, list[str]]:
    """The groups without which the spread would be defined, by what is the matter with them.

    Args:
        network: the result of `convergence_of_runs`.

    Returns:
        By reason, in words, the names of the groups; empty if the spread is defined.

    Example:
        >>> runs = [{"eyes": [0.5], "mouth": [0.9], "hat": [0.0]},
        ...         {"eyes": [0.9], "mouth": [0.9], "hat": [0.0]}]
        >>> undefined_groups(convergence_of_runs(runs, {"eyes": 0.7, "mouth": 0.7, "hat": np.nan}))
        ... # doctest: +NORMALIZE_WHITESPACE
        {'better than constant in only 1 of 2 runs': ['eyes'],
         'better than constant in no run': ['mouth'],
         'no known validation label': ['hat']}
    """
    found: dict[str, list[str]] = {}
    for group, each in network["groups"].items():
        runs = each["shares_by_seed"]
        better = sum(any(share is not None for share in run) for run in runs)
        if better == len(runs):
            continue
        if each["constant_loss"] is None:
            why = "no known validation label"
        elif len(runs) == 1:
            why = "never better than constant"
        elif better == 0:
            why = "better than constant in no run"
        else:
            why = f"better than constant in only {better} of {len(runs)} runs"
        found.setdefault(why, []).append(group)
    return found


def levels_as_text(levels: Sequence[float]) -> str:
    """Shares as an enumeration in percent.

    Example:
        >>> levels_as_text(LEVELS), levels_as_text([0.8])
        ('50, 80 and 95 %', '80 %')
    """
    *others, last = (f"{100 * level:g}" for level in levels)
    return f"{', '.join(others)} and {last} %" if others else f"{last} %"


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
