"""Networks beside each other: their scores, and their differences image by image."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from keras_faramtn.evaluation.bootstrap import SCORES, interval, resample_counts, weighted_scores
from keras_faramtn.evaluation.scores import Scores, score

RESAMPLES = 1000
"""How often the images are resampled."""

_DIGITS = 6


def compare(
    probabilities: Mapping[str, np.ndarray],
    labels: np.ndarray,
    attributes: Sequence[str],
    against: Sequence[str],
    *,
    training_rates: np.ndarray | None = None,
    progress: Callable[[Iterable], Iterable] = iter,
) -> dict[str, Any]:
    """Scores networks on the same images, and compares each with some of them.

    The mean of a score is over the seeds; its spread is their standard deviation (of a sample).
    Differences are paired: by seed, and by image in each resample. Their interval is that of 95
    of 100 resamples of the images, for the mean over the seeds; it does not hold what other
    seeds would have given, which the spread shows.

    Args:
        probabilities: from each network's name to `(seeds, n, k)` in 0..1, the seeds and the
            images the same for all; above 0.5 says yes.
        labels: `(n, k)`: 1 yes, 0 no, -1 unknown.
        attributes: the k names.
        against: names of the networks that the others are compared with.
        training_rates: as in `score`.
        progress: wraps the networks while they are resampled, as `tqdm.tqdm` does.

    Returns:
        Nothing but JSON's types. Scores are fractions to six decimals, null where not defined:

        - `images`, `resamples`, and the `majority_accuracy` of a constant answer;
        - `networks`: by name and score (`SCORES`) `mean`, `spread` (null with one seed) and
          `by_seed`;
        - `differences`: by name of the one compared with, name and score `mean`, `low`, `high`,
          `spread` and `by_seed`;
        - `attributes`: by name `positive_rate`, and from each score to its mean over the seeds
          by network.

    Raises:
        InputError: as `score`.
    """
    scores = {
        name: [score(each, labels, attributes, training_rates=training_rates) for each in by_seed]
        for name, by_seed in probabilities.items()
    }
    counts = resample_counts(len(labels), RESAMPLES)
    samples = {
        name: weighted_scores(probabilities[name], labels, counts) for name in progress(scores)
    }
    by_seed = {
        name: {key: np.array([_mean_score(each, key) for each in every]) for key in SCORES}
        for name, every in scores.items()
    }
    some = next(iter(scores.values()))[0]
    return {
        "images": some.images,
        "resamples": RESAMPLES,
        "majority_accuracy": _rounded(some.mean_majority_accuracy),
        "networks": {
            name: {key: _over_seeds(values[key]) for key in SCORES}
            for name, values in by_seed.items()
        },
        "differences": {
            other: {
                name: {
                    key: _over_seeds(by_seed[name][key] - by_seed[other][key])
                    | _ends(samples[name][key] - samples[other][key])
                    for key in SCORES
                }
                for name in scores
                if name != other
            }
            for other in against
        },
        "attributes": {
            attribute: {
                "positive_rate": _rounded(some.attributes[place].positive_rate),
                **{key: _of_attribute(scores, place, key) for key in SCORES},
            }
            for place, attribute in enumerate(attributes)
        },
    }


def markdown(content: Mapping[str, Any]) -> str:
    """A comparison as Markdown that can be read in a terminal too.

    Args:
        content: what `compare` returns, its networks having `parameters` and `train_step_ms`
            besides, and the keys `data`, `split`, `seeds`, `machine`, `versions` and `command`.
    """
    networks = content["networks"]
    rows = [("network", "parameters", "train step", *map(_title, SCORES))]
    rows += [
        (
            _title(name),
            f"{each['parameters'] / 1e6:.2f} M",
            f"{each['train_step_ms']:.0f} ms",
            *(_with_spread(each[key]) for key in SCORES),
        )
        for name, each in networks.items()
    ]
    seeds = content["seeds"]
    spread = " ± standard deviation over them" if len(seeds) > 1 else ""
    splits = [
        f"Scores in percent on {content['images']:,} images ({content['split']} split of "
        f"{content['data']}), mean of {len(seeds)} seed{'s' if len(seeds) > 1 else ''}{spread}. "
        f"A constant answer has an accuracy of {_percent(content['majority_accuracy'])}.",
        _table(rows),
    ]
    for other, differences in content["differences"].items():
        rows = [(f"less {_title(other)}", *map(_title, SCORES))]
        rows += [
            (_title(name), *(_with_interval(each[key]) for key in SCORES))
            for name, each in differences.items()
        ]
        splits.append(_table(rows))
    machine, versions = content["machine"], content["versions"]
    devices = ", ".join([f"{machine['cores']} cores of {machine['processor']}", *machine["gpus"]])
    splits += [
        "Differences in points, with the interval of 95 of 100 of "
        f"{content['resamples']:,} resamples of the images; * where it excludes zero. What "
        "other seeds would give is not in the interval"
        + (": see ±, over the seeds." if len(seeds) > 1 else "."),
        f"Seeds {', '.join(map(str, seeds))}. {devices}. "
        + ", ".join(f"{name} {version}" for name, version in versions.items())
        + ".",
        f"`{content['command']}`",
    ]
    return "\n\n".join(splits) + "\n"


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| "
        + " | ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        + " |"
        for row in rows
    ]
    rule = [
        ("-" * (width + 2)) if place == 0 else ("-" * (width + 1) + ":")
        for place, width in enumerate(widths)
    ]
    return "\n".join([lines[0], f"|{'|'.join(rule)}|", *lines[1:]])


def _title(name: str) -> str:
    return name.replace("_", " ")


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"


def _with_spread(each: Mapping[str, Any]) -> str:
    spread = "" if each["spread"] is None else f" ± {100 * each['spread']:.2f}"
    return _percent(each["mean"]) + spread


def _with_interval(each: Mapping[str, Any]) -> str:
    if each["mean"] is None or each["low"] is None:
        return "-"
    mark = "*" if excludes_zero(each) else " "
    spread = "" if each["spread"] is None else f" ± {100 * each['spread']:.2f}"
    low, high = (f"{100 * each[end]:+.2f}" for end in ("low", "high"))
    return f"{100 * each['mean']:+.2f} [{low}, {high}]{mark}{spread}"


def excludes_zero(difference: Mapping[str, Any]) -> bool:
    """Whether the interval of a difference of `compare` lies on one side of zero."""
    return difference["low"] is not None and (difference["low"] > 0 or difference["high"] < 0)


def _mean_score(scores: Scores, key: str) -> float:
    value = getattr(scores, f"mean_{key}")
    return np.nan if value is None else value


def _of_attribute(
    scores: Mapping[str, Sequence[Scores]], place: int, key: str
) -> dict[str, float | None]:
    values = {
        name: [getattr(each.attributes[place], key) for each in every]
        for name, every in scores.items()
    }
    return {
        name: None if None in every else _rounded(np.mean(every)) for name, every in values.items()
    }


def _over_seeds(values: np.ndarray) -> dict[str, Any]:
    return {
        "mean": _rounded(values.mean()),
        "spread": _rounded(values.std(ddof=1)) if len(values) > 1 else None,
        "by_seed": [_rounded(value) for value in values],
    }


def _ends(samples: np.ndarray) -> dict[str, float | None]:
    low, high = interval(samples)
    return {"low": _rounded(low), "high": _rounded(high)}


def _rounded(value: float | None) -> float | None:
    return None if value is None or np.isnan(value) else round(float(value), _DIGITS)
