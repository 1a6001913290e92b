import numpy as np

from keras_faramtn.report.mistakes import Case, spread, worst_mistakes


def test_worst_mistakes_contradict_the_label_and_are_sorted_by_confidence():
    probabilities = np.array([[0.9], [0.99], [0.4], [0.95], [0.7]])
    labels = np.array([[0], [0], [0], [1], [-1]])
    found = worst_mistakes(probabilities, labels, np.array([0.5]), label=0)
    assert [case.row for case in found] == [1, 0]
    found = worst_mistakes(probabilities, labels, np.array([0.96]), label=1)
    assert [case.row for case in found] == [3]


def test_confidence_is_relative_to_the_threshold():
    # 0.3 is far above a threshold of 0.01; 0.6 is close to one of 0.5.
    probabilities = np.array([[0.3, 0.0], [0.0, 0.6]])
    labels = np.zeros((2, 2), int)
    [first, second] = worst_mistakes(probabilities, labels, np.array([0.01, 0.5]), label=0)
    assert (first.row, first.column) == (0, 0)
    odds = (0.3 / 0.7) / (0.01 / 0.99)
    np.testing.assert_allclose(first.badness, np.log(odds), rtol=1e-6)
    assert second.badness < first.badness


def test_probabilities_of_zero_and_one_are_mistakes_too():
    probabilities, labels = np.array([[1.0], [0.0]]), np.array([[0], [1]])
    thresholds = np.array([0.5])
    for label, row in ((0, 0), (1, 1)):
        [case] = worst_mistakes(probabilities, labels, thresholds, label=label)
        assert case.row == row
        assert np.isfinite(case.badness)


def test_no_attribute_dominates_and_no_image_occurs_twice():
    rng = np.random.default_rng(0)
    probabilities = rng.uniform(0.5, 0.6, (100, 5))
    probabilities[:, 0] = 0.999  # all of one attribute would be the most confident mistakes
    found = worst_mistakes(
        probabilities, np.zeros((100, 5), int), np.full(5, 0.5), label=0, limit=10
    )
    assert len(found) == 10
    assert np.bincount([case.column for case in found]).tolist() == [2] * 5
    assert len({case.row for case in found}) == 10


def test_one_attribute_may_fill_the_page():
    cases = [Case(row, 0, 10.0 - row) for row in range(10)]
    assert spread([cases], 4) == cases[:4]
    assert spread([[], []], 4) == []
