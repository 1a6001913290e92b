"""Labels that are probably wrong, found by confident learning with cleanlab."""

import warnings
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LabelSuspects:
    """The suspected labels of one attribute.

    Attributes:
        column: of the attribute.
        rows: of the images whose label is suspected, the most suspicious first.
        known: the number of known labels.
    """

    column: int
    rows: np.ndarray
    known: int


def label_suspects(probabilities: np.ndarray, labels: np.ndarray) -> list[LabelSuspects]:
    """The labels that confident learning estimates to be wrong, attribute by attribute.

    Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels",
    JAIR 2021, as `cleanlab.filter.find_label_issues` computes it. It estimates from the predicted
    probabilities how many labels of each class are wrong, and suspects as many of those that the
    model contradicts most. The probabilities must be for images that the model was not trained on.

    Args:
        probabilities: `(n, k)` in 0..1.
        labels: `(n, k)`: 1 yes, 0 no, -1 unknown.

    Returns:
        One entry for each attribute that has both yes and no labels.

    Raises:
        ModuleNotFoundError: cleanlab is not installed.

    Example:
        >>> labels = np.repeat([[0], [1]], 10, axis=0)
        >>> probabilities = np.where(labels == 1, 0.9, 0.1)
        >>> labels[3] = 1  # a wrong label
        >>> [suspects] = label_suspects(probabilities, labels)
        >>> suspects.rows.tolist()
        [3]
    """
    from cleanlab.filter import find_label_issues

    suspects = []
    for column in range(labels.shape[1]):
        known = np.flatnonzero(labels[:, column] >= 0)
        given = labels[known, column].astype(int)
        if len(np.unique(given)) < 2:
            continue
        yes = probabilities[known, column].astype("float64")
        with warnings.catch_warnings():
            # That it may overlook wrong labels of an attribute with few examples.
            warnings.simplefilter("ignore", UserWarning)
            ranked = find_label_issues(
                given,
                np.column_stack([1 - yes, yes]),
                return_indices_ranked_by="self_confidence",
                n_jobs=1,  # other processes would copy TensorFlow's state
            )
        suspects.append(LabelSuspects(column, known[ranked], len(known)))
    return suspects
