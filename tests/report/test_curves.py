import numpy as np
from sklearn.metrics import precision_score, recall_score

from keras_faramtn.report.curves import precision_recall, reliability


def test_the_dot_is_at_the_threshold():
    rng = np.random.default_rng(0)
    positive = rng.random(500) < 0.3
    probabilities = np.clip(0.3 * positive + rng.random(500) * 0.7, 0, 1)
    curve = precision_recall(probabilities, positive, 0.4)
    [dot] = curve.marked
    predicted = probabilities > 0.4
    np.testing.assert_allclose(dot.x, 100 * recall_score(positive, predicted))
    np.testing.assert_allclose(dot.y, 100 * precision_score(positive, predicted))
    np.testing.assert_allclose(curve.level, 100 * positive.mean())
    assert len(curve.points) <= 60
    assert all(a.x <= b.x for a, b in zip(curve.points, curve.points[1:], strict=False))


def test_undefined_curves():
    some = np.array([0.2, 0.7])
    assert precision_recall(some, np.array([True, True]), 0.5) is None
    assert reliability(np.zeros(0), np.zeros(0, bool), joined=True) is None
    # Nothing is predicted, so precision at the threshold is not defined.
    assert precision_recall(some, np.array([True, False]), 0.9).marked == ()


def test_larger_bins_have_larger_dots():
    probabilities = np.array([0.1] * 9 + [0.9])
    curve = reliability(probabilities, np.array([False] * 8 + [True, True]), joined=False)
    assert [(round(p.x, 6), round(p.y, 6)) for p in curve.points] == [(10, 11.111111), (90, 100)]
    assert curve.points[0].radius > curve.points[1].radius
