"""The statistics of a comparison of networks: scores, and paired differences between them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from keras_faramtn.attributes import DEFAULT_THRESHOLD
from keras_faramtn.evaluation.bootstrap import (
    RESAMPLES,
    interval,
    resample_blocks,
    weighted_scores,
)
from keras_faramtn.evaluation.scores import Scores, score
from keras_faramtn.evaluation.undefined import mean_of_defined, percent, rounded

COMPARED_SCORES = ("accuracy", "balanced_accuracy", "average_precision")
"""The scores that networks are compared by, each a mean over the attributes."""


def paired_comparison(
    probabilities: Mapping[str, np.ndarray],
    labels: np.ndarray,
    attributes: Sequence[str],
    against: Sequence[str],
    *,
    training_rates: np.ndarray | None = None,
    progress: Callable[[Iterable], Iterable] = iter,
) -> dict[str, Any]:
    """Scores networks on the same images and computes their paired differences.

    The mean of a score is over the seeds; its spread is the sample standard deviation over them.
    Differences are paired: by seed, and by image in each resample. Their 95 % interval is over
    resamples of the images, for the mean over the seeds. It does not include the variation between
    seeds, which the spread shows.

    Args:
        probabilities: for each network's name `(seeds, n, k)` in 0..1, with the same seeds and
            images for all; an attribute is predicted if its probability is above 0.5.
        labels: `(n, k)`: 1 yes, 0 no, -1 unknown.
        attributes: the k names.
        against: the networks that all others are compared with.
        training_rates: as in `score`.
        progress: wraps the iteration over the networks, as `tqdm.tqdm` does.

    Returns:
        A dict of JSON types only. Scores are fractions rounded to six decimals, null where not
        defined:

        - `images`, `resamples`, and the `majority_accuracy` of the majority-class baseline;
        - `networks`: by name and score (`COMPARED_SCORES`): `mean`, `spread` (null with one seed)
          and `by_seed`;
        - `differences`: by reference network, name and score: `mean`, `low`, `high`, `spread` and
          `by_seed`;
        - `attributes`: by name: `positive_rate`, and for each score its mean over the seeds by
          network.

    Raises:
        InputError: as in `score`.

    Example:
        >>> labels = np.array([[1], [1], [0], [0]])
        >>> good, poor = np.array([[[0.9], [0.8], [0.1], [0.2]]]), np.full((1, 4, 1), 0.4)
        >>> networks = {"good": good, "poor": poor}
        >>> result = paired_comparison(networks, labels, ["Smiling"], against=["poor"])
        >>> result["differences"]["poor"]["good"]["accuracy"]["mean"]
        0.5
    """
    scores = {
        name: [score(each, labels, attributes, training_rates=training_rates) for each in by_seed]
        for name, by_seed in probabilities.items()
    }
    samples = {name: _resampled(probabilities[name], labels) for name in progress(scores)}
    by_seed = {
        name: {key: np.array([_mean_score(each, key) for each in runs]) for key in COMPARED_SCORES}
        for name, runs in scores.items()
    }
    any_scores = next(iter(scores.values()))[0]
    return {
        "images": any_scores.images,
        "resamples": RESAMPLES,
        "majority_accuracy": rounded(any_scores.mean.majority_accuracy),
        "networks": {
            name: {key: _over_seeds(values[key]) for key in COMPARED_SCORES}
            for name, values in by_seed.items()
        },
        "differences": {
            other: {
                name: {
                    key: _over_seeds(by_seed[name][key] - by_seed[other][key])
                    | _interval_ends(samples[name][key] - samples[other][key])
                    for key in COMPARED_SCORES
                }
                for name in scores
                if name != other
            }
            for other in against
        },
        "attributes": {
            attribute: {
                "positive_rate": rounded(any_scores.attributes[column].positive_rate),
                **{key: _of_attribute(scores, column, key) for key in COMPARED_SCORES},
            }
            for column, attribute in enumerate(attributes)
        },
    }


def excludes_zero(difference: Mapping[str, Any]) -> bool:
    """Whether the interval of a difference lies on one side of zero: a significant difference.

    Args:
        difference: a score's entry in `differences` of `paired_comparison`.

    Example:
        >>> excludes_zero({"low": 0.001, "high": 0.02}), excludes_zero({"low": -0.01, "high": 0.02})
        (True, False)
    """
    return difference["low"] is not None and (difference["low"] > 0 or difference["high"] < 0)


def comparison_markdown(content: Mapping[str, Any]) -> str:
    """A comparison as Markdown that is also readable in a terminal.

    Args:
        content: the result of `paired_comparison`, with `parameters` and `train_step_ms` added to
            each of `networks`, and the keys `data`, `split`, `seeds`, `machine`, `versions` and
            `command`.
    """
    networks = content["networks"]
    rows = [("network", "parameters", "train step", *map(_title, COMPARED_SCORES))]
    rows += [
        (
            _title(name),
            f"{each['parameters'] / 1e6:.2f} M",
            f"{each['train_step_ms']:.0f} ms",
            *(_with_spread(each[key]) for key in COMPARED_SCORES),
        )
        for name, each in networks.items()
    ]
    seeds = content["seeds"]
    several = len(seeds) > 1
    spread = " ± standard deviation over the seeds" if several else ""
    paragraphs = [
        f"Scores in percent on {content['images']:,} images ({content['split']} split of "
        f"{content['data']}), mean of {len(seeds)} seed{'s' if several else ''}{spread}. "
        "The majority-class baseline has an accuracy of "
        f"{percent(content['majority_accuracy'], 2)}.",
        _table(rows),
    ]
    for other, differences in content["differences"].items():
        rows = [(f"minus {_title(other)}", *map(_title, COMPARED_SCORES))]
        rows += [
            (_title(name), *(_with_interval(each[key]) for key in COMPARED_SCORES))
            for name, each in differences.items()
        ]
        paragraphs.append(_table(rows))
    machine, versions = content["machine"], content["versions"]
    devices = ", ".join([f"{machine['cores']} cores of {machine['processor']}", *machine["gpus"]])
    paragraphs += [
        "Differences in percentage points, with the 95 % interval over "
        f"{content['resamples']:,} resamples of the images; * marks an interval that excludes "
        "zero. The interval does not include the variation between seeds"
        + (", which ± shows." if several else "."),
        f"Seeds {', '.join(map(str, seeds))}. {devices}. "
        + ", ".join(f"{name} {version}" for name, version in versions.items())
        + ".",
        f"`{content['command']}`",
    ]
    return "\n\n".join(paragraphs) + "\n"


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| "
        + " | ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        + " |"
        for row in rows
    ]
    rule = [
        ("-" * (width + 2)) if column == 0 else ("-" * (width + 1) + ":")
        for column, width in enumerate(widths)
    ]
    return "\n".join([lines[0], f"|{'|'.join(rule)}|", *lines[1:]])


def _title(name: str) -> str:
    return name.replace("_", " ")


def _spread(each: Mapping[str, Any]) -> str:
    return "" if each["spread"] is None else f" ± {100 * each['spread']:.2f}"


def _with_spread(each: Mapping[str, Any]) -> str:
    return percent(each["mean"], 2) + _spread(each)


def _with_interval(each: Mapping[str, Any]) -> str:
    if each["mean"] is None or each["low"] is None:
        return "-"
    mark = "*" if excludes_zero(each) else " "
    low, high = (f"{100 * each[end]:+.2f}" for end in ("low", "high"))
    return f"{100 * each['mean']:+.2f} [{low}, {high}]{mark}{_spread(each)}"


def _mean_score(scores: Scores, key: str) -> float:
    value = getattr(scores.mean, key)
    return np.nan if value is None else value


def _resampled(by_seed: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """For each of `COMPARED_SCORES` `(resamples,)`: its mean over the attributes and the seeds."""
    samples: dict[str, list[np.ndarray]] = {key: [] for key in COMPARED_SCORES}
    for probabilities in by_seed:
        counts = resample_blocks(len(labels), RESAMPLES)  # the same for all networks
        found = weighted_scores(
            probabilities, labels, counts, DEFAULT_THRESHOLD, scores=COMPARED_SCORES
        )
        for key, by_attribute in found.items():
            samples[key].append(mean_of_defined(by_attribute))
    return {key: np.mean(values, axis=0) for key, values in samples.items()}


def _of_attribute(
    scores: Mapping[str, Sequence[Scores]], column: int, key: str
) -> dict[str, float | None]:
    values = {
        name: [getattr(each.attributes[column], key) for each in runs]
        for name, runs in scores.items()
    }
    return {
        name: None if None in by_seed else rounded(np.mean(by_seed))
        for name, by_seed in values.items()
    }


def _over_seeds(values: np.ndarray) -> dict[str, Any]:
    return {
        "mean": rounded(values.mean()),
        "spread": rounded(values.std(ddof=1)) if len(values) > 1 else None,
        "by_seed": [rounded(value) for value in values],
    }


def _interval_ends(samples: np.ndarray) -> dict[str, float | None]:
    low, high = interval(samples)
    return {"low": rounded(low), "high": rounded(high)}
