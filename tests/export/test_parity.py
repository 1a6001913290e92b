import numpy as np
import pytest

from keras_faramtn.export.parity import measure_parity


def test_differences_and_equal_decisions_are_measured():
    expected = np.array([[0.1, 0.6, 0.4], [0.9, 0.2, 0.5]])
    actual = np.array([[0.1, 0.45, 0.4], [0.9, 0.2, 0.55]])
    parity = measure_parity(expected, actual, tolerance=0.1)
    assert parity.max_difference == pytest.approx(0.15)
    assert parity.mean_difference == pytest.approx(0.2 / 6)
    # 0.6 and 0.45, and 0.5 and 0.55, are on different sides of the threshold 0.5.
    assert parity.decision_agreement == pytest.approx(4 / 6)
    assert not parity.passed
    assert measure_parity(expected, actual, tolerance=0.2).passed
    assert measure_parity(expected, actual, tolerance=0.2, min_decision_agreement=0.66).passed
    assert not measure_parity(expected, actual, tolerance=0.2, min_decision_agreement=0.67).passed


def test_decisions_are_compared_at_the_thresholds_of_the_attributes():
    expected = np.array([[0.1, 0.6, 0.4], [0.9, 0.2, 0.5]])
    actual = np.array([[0.15, 0.6, 0.4], [0.9, 0.2, 0.55]])
    # At 0.12 the first attribute of the first image differs, at 0.6 the last of the second doesn't.
    parity = measure_parity(expected, actual, tolerance=0.1, thresholds=[0.12, 0.5, 0.6])
    assert parity.decision_agreement == pytest.approx(5 / 6)


@pytest.mark.parametrize("invalid", [np.full((2, 3), np.nan), np.zeros((2, 2))])
def test_nan_and_a_different_shape_never_pass(invalid):
    parity = measure_parity(np.full((2, 3), 0.5), invalid, tolerance=1.0)
    assert parity.max_difference == np.inf
    assert not parity.passed
