"""Merges repeated detections of the same face."""

import numpy as np


def merge_detections(
    points: np.ndarray, scores: np.ndarray, *, max_overlap: float = 0.3
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted non-maximum suppression, as in BlazeFace.

    Of all detections whose boxes overlap, the best one remains, at the mean of their points,
    weighted by their scores (Bazarevsky et al., 2019, section 3.3).

    Args:
        points: `(n, k, 2)`, x and y; the first two points are the top left and bottom right corners
            of the box.
        scores: `(n,)`.
        max_overlap: the largest intersection over union of the boxes of two different faces.

    Returns:
        The merged points `(m, k, 2)` and scores `(m,)`, highest score first.

    Example:
        >>> boxes = np.array([[[0, 0], [10, 10]], [[0, 0], [10, 12]], [[50, 50], [60, 60]]], float)
        >>> merged, scores = merge_detections(boxes, np.array([0.9, 0.9, 0.6]))
        >>> merged[:, 1].tolist(), scores.tolist()
        ([[10.0, 11.0], [60.0, 60.0]], [0.9, 0.6])
    """
    order = np.argsort(-scores, kind="stable")
    points, scores = points[order], scores[order]
    merged, best = [], []
    while len(scores):
        same = overlaps(points[0], points) > max_overlap
        same[0] = True  # a box without area overlaps nothing, not even itself
        merged.append(np.average(points[same], axis=0, weights=scores[same]))
        best.append(scores[0])
        points, scores = points[~same], scores[~same]
    return np.array(merged).reshape(-1, *points.shape[1:]), np.array(best)


def overlaps(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The intersection over union of one box with each of the others, `(n,)`.

    Args:
        one: `(k, 2)`; the first two points are the top left and bottom right corners of the box.
        others: `(n, k, 2)`, likewise.
    """
    top_left = np.maximum(one[0], others[:, 0])
    bottom_right = np.minimum(one[1], others[:, 1])
    shared = np.prod(np.clip(bottom_right - top_left, 0, None), axis=1)
    areas = np.prod(np.clip(others[:, 1] - others[:, 0], 0, None), axis=1)
    area = np.prod(np.clip(one[1] - one[0], 0, None))
    return shared / np.maximum(area + areas - shared, np.finfo("float32").tiny)
