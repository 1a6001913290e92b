import numpy as np

from keras_faramtn.report.cooccurrence import correlations, largest_differences


def test_phi_is_pearsons_correlation_of_the_images_that_know_both():
    rng = np.random.default_rng(0)
    values = rng.random((60, 4)) < [0.2, 0.5, 0.7, 0.4]
    known = rng.random((60, 4)) < 0.8
    phi = correlations(values, known)
    for a in range(4):
        for b in range(4):
            both = known[:, a] & known[:, b]
            expected = np.corrcoef(values[both, a], values[both, b])[0, 1]
            np.testing.assert_allclose(phi[a, b], expected, atol=1e-12)


def test_phi_of_a_constant_is_undefined():
    values = np.array([[1, 1], [1, 0]], bool)
    assert np.isnan(correlations(values, np.ones_like(values))[0, 1])


def test_pairs_that_are_predicted_together_too_often_and_too_rarely():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, (400, 4))
    labels[:, 3] = labels[:, 2]  # always together, but not in the predictions
    predicted = labels == 1
    predicted[:, 1] = predicted[:, 0]  # independent, but always predicted together
    predicted[:, 3] = rng.random(400) < 0.5
    often, rarely = largest_differences(predicted, labels, 3)
    assert often[0].columns == (0, 1)
    assert rarely[0].columns == (2, 3)
    assert often[0].interval[0] < often[0].difference < often[0].interval[1]
    assert rarely[0].interval[1] < 0
    # Chance alone is no reason to list a pair.
    assert len(often) + len(rarely) <= 3


def test_equal_predictions_and_labels_have_no_pair():
    labels = np.random.default_rng(2).integers(-1, 2, (50, 3))
    assert largest_differences(labels == 1, labels, 5) == ([], [])
