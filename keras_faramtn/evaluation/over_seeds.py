"""A number of several training runs that differ in their seed, as it is in JSON files."""

from typing import Any

import numpy as np

from keras_faramtn.evaluation.undefined import rounded


def over_seeds(values: np.ndarray) -> dict[str, Any]:
    """The mean over the seeds, the spread between them, and the values.

    Args:
        values: `(S,)`, one for each seed; NaN where not defined.

    Returns:
        `mean`; `spread`, the sample standard deviation, None with one seed; `by_seed`. Numbers are
        rounded to six decimals. Mean and spread are None if a value is not defined.

    Example:
        >>> over_seeds(np.array([0.25, 0.75]))
        {'mean': 0.5, 'spread': 0.353553, 'by_seed': [0.25, 0.75]}
    """
    return {
        "mean": rounded(values.mean()),
        "spread": rounded(values.std(ddof=1)) if len(values) > 1 else None,
        "by_seed": [rounded(value) for value in values],
    }
