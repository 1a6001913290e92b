"""Gaps: how much a rate differs between subgroups of the images, with an interval."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_faramtn.evaluation.bootstrap import LEVEL


@dataclass(frozen=True)
class Gap:
    """The difference of a rate between two subgroups.

    With two subgroups to compare, it is the rate of the first minus that of the second, and may be
    negative. With more, it is the largest rate minus the smallest.

    Attributes:
        value: the rate of the subgroup `of` minus that of the subgroup `minus`, in -1..1.
        low, high: the ends of the 95 % interval, see `gap`.
        of, minus: names of subgroups.
    """

    value: float
    low: float
    high: float
    of: str
    minus: str

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of zero: a significant gap."""
        return self.low > 0 or self.high < 0


def gap(
    names: Sequence[str],
    values: np.ndarray,
    samples: np.ndarray,
    excess: np.ndarray | None = None,
) -> Gap | None:
    """The gap of a rate between subgroups.

    The largest minus the smallest of several rates is larger than 0 by chance alone, and so is each
    end of its percentile interval. The interval is therefore formed of simultaneous ones: for each
    pair of subgroups the mean difference over the resamples plus and minus c standard deviations,
    where c is the smallest number for which 95 % of the resamples are within these limits for all
    pairs at once. The true largest gap is, with this confidence, at least the highest of the lower
    ends and at most the highest of the upper ends. With two subgroups there is one pair.

    Args:
        names: the G subgroups.
        values: `(G,)`: their rates.
        samples: `(G, B)`: their rates in each of B resamples; NaN where not defined.
        excess: `(G,)`: by how much chance makes each rate larger, at most; None if it does not.
            Each end of the interval is moved outwards by it. Resampling makes the rates larger once
            more, so the interval is then around the difference of `values`.

    Returns:
        The gap; None if there are fewer than two subgroups, or two resamples in which all rates
        are defined.

    Example:
        >>> samples = np.array([[0.8, 0.9, 1.0], [0.5, 0.4, 0.6]])
        >>> found = gap(["old", "young"], np.array([0.9, 0.5]), samples)
        >>> found.of, found.minus, round(found.value, 2), found.excludes_zero
        ('old', 'young', 0.4, True)
    """
    if len(names) < 2:
        return None
    first, second = np.triu_indices(len(names), 1)
    differences = samples[first] - samples[second]  # (pairs, B)
    differences = differences[:, np.isfinite(differences).all(axis=0)]
    if differences.shape[1] < 2:
        return None
    mean = differences.mean(axis=1)
    deviation = np.maximum(differences.std(axis=1, ddof=1), np.finfo("float64").tiny)
    distance = np.abs(differences - mean[:, np.newaxis]) / deviation[:, np.newaxis]
    margin = np.quantile(distance.max(axis=0), LEVEL) * deviation
    if excess is None:
        low, high = mean - margin, mean + margin
    else:
        centre = values[first] - values[second]
        low, high = centre - margin - excess[first], centre + margin + excess[second]
    if len(names) == 2:
        of, minus = 0, 1
    else:
        of, minus = int(values.argmax()), len(values) - 1 - int(values[::-1].argmin())
        low, high = np.maximum(low, -high), np.maximum(high, -low)
    return Gap(
        value=float(values[of] - values[minus]),
        low=float(low.max()) if len(names) == 2 else max(0.0, float(low.max())),
        high=float(high.max()) if len(names) == 2 else max(0.0, float(high.max())),
        of=names[of],
        minus=names[minus],
    )
