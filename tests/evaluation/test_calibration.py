import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, brier_score_loss, f1_score, log_loss

from keras_faramtn.errors import InputError
from keras_faramtn.evaluation.calibration import (
    Calibration,
    Predictions,
    calibrated,
    cross_calibrated,
    fit_calibration,
    fit_temperatures,
    measure,
)
from keras_faramtn.evaluation.calibration_error import expected_calibration_error
from keras_faramtn.evaluation.thresholds import choose_thresholds

NAMES = ["a", "b", "c"]


def _sigmoid(logits):
    return 1 / (1 + np.exp(-logits))


def _overconfident(images=601, seed=0, temperatures=(2.0, 0.7, 1.0)):
    """Logits that are calibrated after division by the temperatures; some labels unknown."""
    rng = np.random.default_rng(seed)
    calibrated_logits = rng.normal(size=(images, 3)) * 1.5 + [0.0, -1.0, -2.0]
    labels = (rng.random((images, 3)) < _sigmoid(calibrated_logits)).astype("int8")
    labels[rng.random(labels.shape) < 0.1] = -1
    return calibrated_logits * temperatures, labels


def test_temperatures_minimise_the_cross_entropy():
    logits, labels = _overconfident()
    for column, temperature in enumerate(fit_temperatures(logits, labels)):
        known = labels[:, column] >= 0
        # Logistic regression without an intercept has the same optimum, as 1/T.
        regression = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10, max_iter=1000)
        regression.fit(logits[known][:, [column]], labels[known, column])
        assert temperature == pytest.approx(1 / regression.coef_[0, 0], rel=1e-5)


def test_the_true_temperatures_are_found():
    logits, labels = _overconfident(images=40_000)
    np.testing.assert_allclose(fit_temperatures(logits, labels), [2.0, 0.7, 1.0], rtol=0.05)


def test_attributes_that_can_not_be_fitted_keep_their_probabilities():
    logits = np.array([[2.0, -1.0, 1.0, 0.0], [-2.0, 1.0, 3.0, 0.0], [1.0, 2.0, 1.0, 0.0]])
    labels = np.array([[1, 0, -1, 0], [1, 0, -1, 1], [-1, 0, -1, 1]])
    # All yes; all no; no known label; logits of 0.
    assert fit_temperatures(logits, labels).tolist() == [1.0] * 4


def test_temperatures_stay_within_bounds():
    logits = np.array([[900.0, 1.0, 3.0], [-1000.0, -1.0, -3.0], [1000.0, 2.0, 3.0]])
    labels = np.array([[1, 0, 1], [0, 1, 0], [1, 0, -1]])
    # Separated, with logits whose exponential overflows; inversely related; separated.
    assert fit_temperatures(logits, labels).tolist() == [0.05, 20.0, 0.05]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_are_refused(bad):
    with pytest.raises(InputError, match="attribute 2 are not finite"):
        fit_temperatures(np.array([[0.5, 1.0], [0.5, bad]]), np.array([[1, 1], [0, 0]]))
    with pytest.raises(InputError, match=r"\(2, 1\) and the labels \(2, 2\)"):
        fit_temperatures(np.zeros((2, 1)), np.zeros((2, 2), int))


@pytest.mark.parametrize("maximise", [None, "f1"])
def test_each_half_is_calibrated_by_the_other_half(maximise):
    logits, labels = _overconfident()
    before = Predictions(logits, logits > 0)
    after = cross_calibrated(before, labels, maximise)
    for half in (0, 1):
        fitted, others = slice(1 - half, None, 2), slice(half, None, 2)
        expected = logits[others] / fit_temperatures(logits[fitted], labels[fitted])
        np.testing.assert_allclose(after.logits[others], expected)
        if maximise is None:
            np.testing.assert_array_equal(after.positive[others], before.positive[others])
        else:
            temperatures = fit_temperatures(logits[fitted], labels[fitted])
            probabilities = _sigmoid(logits[fitted] / temperatures)
            chosen = choose_thresholds(probabilities, labels[fitted], maximise)
            np.testing.assert_array_equal(after.positive[others], _sigmoid(expected) > chosen)


def test_thresholds_are_those_of_the_calibrated_probabilities():
    logits, labels = _overconfident()
    calibration = fit_calibration(logits, labels, "f1")
    after = calibrated(Predictions(logits, logits > 0), calibration)
    np.testing.assert_allclose(after.probabilities, _sigmoid(logits / calibration.temperatures))
    np.testing.assert_array_equal(after.positive, after.probabilities > calibration.thresholds)
    known = labels[:, 2] >= 0
    at_half = f1_score(labels[known, 2], logits[known, 2] > 0)
    assert f1_score(labels[known, 2], after.positive[known, 2]) > at_half


def test_figures_are_those_of_scikit_learn():
    logits, labels = _overconfident(images=211)
    labels[:, 1] = -1
    thresholds = np.array([0.3, 0.5, 0.2])
    predictions = Predictions(logits, _sigmoid(logits) > thresholds)
    figures = measure(predictions, labels, NAMES)
    for column in (0, 2):
        known = labels[:, column] >= 0
        truth, probabilities = labels[known, column], _sigmoid(logits[known, column])
        predicted = probabilities > thresholds[column]
        expected = {
            "calibration_error": expected_calibration_error(probabilities, truth),
            "brier": brier_score_loss(truth, probabilities),
            "log_loss": log_loss(truth, probabilities),
            "accuracy": (predicted == truth).mean(),
            "balanced_accuracy": balanced_accuracy_score(truth, predicted),
            "f1": f1_score(truth, predicted),
        }
        assert {name: values[column] for name, values in figures.items()} == pytest.approx(expected)
    assert all(np.isnan(values[1]) for values in figures.values())


def test_calibration_improves_the_figures_on_other_images():
    fitted, fitted_labels = _overconfident(images=4000, temperatures=(3.0, 0.4, 1.0))
    logits, labels = _overconfident(images=4000, seed=1, temperatures=(3.0, 0.4, 1.0))
    temperatures = fit_temperatures(fitted, fitted_labels)
    before = Predictions(logits, logits > 0)
    after = calibrated(before, Calibration(temperatures))
    for name in ("calibration_error", "brier", "log_loss"):
        values = (measure(each, labels, NAMES)[name] for each in (before, after))
        assert (np.subtract(*values)[:2] > 0).all()
