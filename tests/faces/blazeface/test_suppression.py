import numpy as np

from keras_faramtn.faces.blazeface.suppression import merge_detections


def overlap(one, other):
    """Intersection over union of two boxes, by its definition."""
    (left, top), (right, bottom) = np.maximum(one[0], other[0]), np.minimum(one[1], other[1])
    shared = max(0, right - left) * max(0, bottom - top)
    areas = [np.prod(box[1] - box[0]) for box in (one, other)]
    return shared / (sum(areas) - shared)


def reference(points, scores, max_overlap):
    """Weighted suppression with loops over single detections."""
    waiting = sorted(range(len(scores)), key=lambda index: -scores[index])
    merged, best = [], []
    while waiting:
        same = [each for each in waiting if overlap(points[waiting[0]], points[each]) > max_overlap]
        weight = sum(scores[each] for each in same)
        merged.append(sum(scores[each] * points[each] for each in same) / weight)
        best.append(scores[waiting[0]])
        waiting = [each for each in waiting if each not in same]
    return np.array(merged), np.array(best)


def test_merging_equals_the_reference():
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 60, (70, 1, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(5, 25, (70, 1, 2))], axis=1)
    points = np.concatenate([boxes, rng.uniform(0, 60, (70, 3, 2))], axis=1)
    scores = rng.uniform(0.5, 1, 70)
    merged, best = merge_detections(points, scores, max_overlap=0.3)
    expected, expected_best = reference(points, scores, 0.3)
    assert 20 < len(expected) < 60  # some are merged, some not
    np.testing.assert_allclose(merged, expected)
    np.testing.assert_allclose(best, expected_best)


def test_no_detections_stay_none():
    merged, best = merge_detections(np.zeros((0, 8, 2)), np.zeros(0))
    assert merged.shape == (0, 8, 2)
    assert best.shape == (0,)


def test_boxes_without_area_are_kept_apart():
    points = np.array([[[5.0, 5.0], [5.0, 5.0]], [[5.0, 5.0], [5.0, 5.0]], [[0, 0], [9, 9]]])
    merged, _ = merge_detections(points, np.array([0.9, 0.8, 0.7]))
    np.testing.assert_array_equal(merged, points)
