"""A model with its predictions for labelled images, of which a page is made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.evaluation.subgroups import SubgroupScores


@dataclass(frozen=True)
class ScoredModel:
    """A model with its predictions for n labelled images.

    Attributes:
        metrics: the content of its `metrics.json`.
        groups: its groups and k attributes.
        paths: of the n images.
        probabilities: `(n, k)` in 0..1.
        labels: `(n, k)`: 1 yes, 0 no, -1 unknown.
        thresholds: `(k,)`.
        history: of its training, as `read_history` returns it; empty if unknown.
        convergence: of its groups in training, as in `convergence_of_runs`; None if unknown.
        subgroups: the rates by subgroup, one entry for each column.
        network: the network, if it is one of this package.
    """

    metrics: Mapping[str, Any]
    groups: AttributeGroups
    paths: Sequence[Path]
    probabilities: np.ndarray
    labels: np.ndarray
    thresholds: np.ndarray
    history: Mapping[str, Sequence[float]]
    convergence: Mapping[str, Any] | None = None
    subgroups: Sequence[SubgroupScores] = ()
    network: keras.Model | None = None
