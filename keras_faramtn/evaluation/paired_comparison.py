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
from keras_faramtn.evaluation.crossed_interval import crossed_interval
from keras_faramtn.evaluation.over_seeds import over_seeds
from keras_faramtn.evaluation.scores import Scores, score
from keras_faramtn.evaluation.undefined import mean_of_defined, rounded

COMPARED_SCORES = ("accuracy", "balanced_accuracy", "average_precision")
"""The scores that networks are compared by, each a mean over the attributes."""

IMAGES, IMAGES_AND_SEEDS = "images", "images and seeds"
"""What the intervals of differences are over: the values of `interval_over` in a comparison."""


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
    Differences are paired: by seed, and by image in each resample. With two or more seeds, the 95 %
    interval of the mean difference covers chance in the images and in the seeds
    (`crossed_interval`). With one seed it is the percentile interval over resamples of the images:
    nothing is known about other seeds.

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
        - `interval_over`: what the intervals are over, `images and seeds` or `images`;
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
        "interval_over": IMAGES_AND_SEEDS if len(next(iter(scores.values()))) > 1 else IMAGES,
        "majority_accuracy": rounded(any_scores.mean.majority_accuracy),
        "networks": {
            name: {key: over_seeds(values[key]) for key in COMPARED_SCORES}
            for name, values in by_seed.items()
        },
        "differences": {
            other: {
                name: {
                    key: _difference(
                        by_seed[name][key] - by_seed[other][key],
                        samples[name][key] - samples[other][key],
                        any_scores.images,
                    )
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


def interval_over(content: Mapping[str, Any]) -> str:
    """What the intervals of a comparison are over: `IMAGES_AND_SEEDS` or `IMAGES`.

    Args:
        content: the result of `paired_comparison`. Older files don't have the key `interval_over`;
            their intervals are over the images.

    Example:
        >>> interval_over({"interval_over": "images and seeds"}), interval_over({})
        ('images and seeds', 'images')
    """
    return content.get("interval_over", IMAGES)


def excludes_zero(difference: Mapping[str, Any]) -> bool:
    """Whether the interval of a difference lies on one side of zero: a significant difference.

    With two or more seeds, neither chance in the images nor chance in the seeds explains it well;
    with one seed, chance in the seeds still may (`interval_over`).

    Args:
        difference: a score's entry in `differences` of `paired_comparison`.

    Example:
        >>> excludes_zero({"low": 0.001, "high": 0.02}), excludes_zero({"low": -0.01, "high": 0.02})
        (True, False)
    """
    return difference["low"] is not None and (difference["low"] > 0 or difference["high"] < 0)


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


def _difference(by_seed: np.ndarray, resampled: np.ndarray, images: int) -> dict[str, Any]:
    several = len(by_seed) > 1
    low, high = crossed_interval(resampled, by_seed, images) if several else interval(resampled)
    return over_seeds(by_seed) | {"low": rounded(low), "high": rounded(high)}
