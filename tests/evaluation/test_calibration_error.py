import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from keras_faramtn.evaluation.calibration_error import (
    expected_calibration_error,
    probability_bins,
    reliability_curve,
)


def _overconfident(images=701):
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.2, 0.7, images)
    return np.clip(2 * truth - 0.5, 0, 1).astype("float32"), rng.random(images) < truth


def test_the_reliability_curve_is_scikit_learns():
    probabilities, positive = _overconfident()
    fractions, predicted = calibration_curve(positive, probabilities, n_bins=15)
    found = reliability_curve(probabilities, positive)
    np.testing.assert_allclose(found[0], predicted, rtol=1e-6)
    np.testing.assert_allclose(found[1], fractions, rtol=1e-6)
    assert found[2].sum() == len(positive)


def test_the_error_is_the_mean_over_the_bins_computed_image_by_image():
    probabilities, positive = _overconfident()
    gaps = {}
    for probability, yes in zip(probabilities.tolist(), positive, strict=True):
        bin_number = max(int(np.ceil(probability * 15)), 1)
        gaps[bin_number] = gaps.get(bin_number, 0) + yes - probability
    expected = sum(map(abs, gaps.values())) / len(positive)
    assert expected_calibration_error(probabilities, positive) == pytest.approx(expected)
    assert expected > 0.1


def test_calibrated_and_constant_predictions():
    rng = np.random.default_rng(1)
    probabilities = rng.random(100_000)
    assert expected_calibration_error(probabilities, rng.random(100_000) < probabilities) < 0.01
    assert expected_calibration_error(np.full(4, 0.25), [1, 0, 0, 0]) == 0
    assert expected_calibration_error(np.full(4, 0.25), [1, 1, 1, 1]) == 0.75


def test_bins_include_their_upper_end_and_an_empty_set_has_no_error():
    edges = np.array([0, 1 / 15, np.nextafter(1 / 15, 1), 2 / 15, 1])
    assert probability_bins(edges).tolist() == [0, 0, 1, 1, 14]
    assert np.isnan(expected_calibration_error(np.zeros(0), np.zeros(0, bool)))
