import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import average_precision_score, balanced_accuracy_score

from keras_faramtn.evaluation.bootstrap import interval, resample_counts, weighted_scores
from keras_faramtn.evaluation.scores import score


def _faces(images=211, attributes=7, seeds=3, unknown=0.1, digits=2):
    """Labels with unknown ones, and probabilities with ties, that tell something of them."""
    rng = np.random.default_rng(0)
    labels = (rng.random((images, attributes)) < np.linspace(0.1, 0.6, attributes)).astype("int8")
    told = rng.normal(0.35 + 0.3 * labels, 0.2, (seeds, images, attributes))
    labels[rng.random(labels.shape) < unknown] = -1
    return np.clip(told, 0, 1).round(digits), labels


def test_with_counts_of_one_they_are_the_scores_of_an_evaluation():
    probabilities, labels = _faces()
    found = weighted_scores(probabilities, labels, np.ones((1, len(labels))))
    scores = [score(each, labels, "abcdefg") for each in probabilities]
    for key, values in found.items():
        expected = np.mean([getattr(each, f"mean_{key}") for each in scores])
        assert values == pytest.approx([expected], abs=1e-7)


def test_counts_weigh_images_as_scikit_learns_sample_weights_do():
    probabilities, labels = _faces(seeds=2)
    counts = resample_counts(len(labels), 4, seed=1)
    found = weighted_scores(probabilities, labels, counts, threshold=0.4)
    for row, weights in enumerate(counts):
        expected = {key: [] for key in found}
        for each in probabilities:
            for column in range(labels.shape[1]):
                known = labels[:, column] >= 0
                yes, told, weight = labels[known, column], each[known, column], weights[known]
                right = (told > 0.4) == yes
                expected["accuracy"].append(np.average(right, weights=weight))
                expected["balanced_accuracy"].append(
                    balanced_accuracy_score(yes, told > 0.4, sample_weight=weight)
                )
                expected["average_precision"].append(
                    average_precision_score(yes, told, sample_weight=weight)
                )
        for key, values in expected.items():
            assert found[key][row] == pytest.approx(np.mean(values), abs=1e-6)


def test_the_number_of_resamples_at_a_time_changes_nothing(monkeypatch):
    probabilities, labels = _faces(seeds=1)
    counts = resample_counts(len(labels), 9)
    whole = weighted_scores(probabilities, labels, counts)
    monkeypatch.setattr("keras_faramtn.evaluation.bootstrap._CHUNK", 2 * len(labels))
    for key, values in weighted_scores(probabilities, labels, counts).items():
        np.testing.assert_array_equal(values, whole[key])


def test_paired_interval_of_balanced_accuracy_is_scipys():
    probabilities, labels = _faces(images=300, attributes=1, seeds=2, unknown=0)
    counts = resample_counts(len(labels), 4000)
    one, other = (
        weighted_scores(each[np.newaxis], labels, counts)["balanced_accuracy"]
        for each in probabilities
    )
    low, high = interval(one - other)

    def statistic(yes, first, second):
        def balanced(right):
            return (right[yes].mean() + right[~yes].mean()) / 2

        return balanced(first == yes) - balanced(second == yes)

    expected = scipy.stats.bootstrap(
        (labels[:, 0] == 1, *(each[:, 0] > 0.5 for each in probabilities)),
        statistic,
        n_resamples=4000,
        paired=True,
        vectorized=False,
        method="percentile",
        rng=np.random.default_rng(5),
    )
    width = high - low
    assert low == pytest.approx(expected.confidence_interval.low, abs=0.06 * width)
    assert high == pytest.approx(expected.confidence_interval.high, abs=0.06 * width)


def test_paired_interval_of_accuracy_is_that_of_the_normal_approximation():
    probabilities, labels = _faces(images=1500, seeds=2, unknown=0)
    counts = resample_counts(len(labels), 4000)
    one, other = (
        weighted_scores(each[np.newaxis], labels, counts)["accuracy"] for each in probabilities
    )
    right = (probabilities > 0.5) == (labels == 1)
    by_image = right.mean(axis=2)
    difference = by_image[0] - by_image[1]
    error = difference.std(ddof=1) / np.sqrt(len(labels))
    low, high = interval(one - other)
    assert low == pytest.approx(difference.mean() - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(difference.mean() + 1.96 * error, abs=0.15 * error)
    # Pairing is what makes the interval narrow: it knows which faces are hard for both.
    hard = np.clip(probabilities[0] + 0.02 * (labels - 0.5), 0, 1)[np.newaxis]
    near = weighted_scores(hard, labels, counts)["accuracy"] - one
    assert np.ptp(interval(near)) < 0.3 * np.ptp(interval(one))


def test_attributes_that_a_resample_lacks_are_left_out_of_its_mean():
    labels = np.array([[1, 1], [0, 0], [1, 0], [-1, 0]])
    probabilities = np.array([[[0.9, 0.2], [0.8, 0.4], [0.7, 0.1], [0.6, 0.3]]])
    counts = np.array([[1, 1, 1, 1], [0, 2, 2, 0], [0, 0, 0, 4]])
    found = weighted_scores(probabilities, labels, counts)
    # second: the other attribute has no yes; third: one is unknown, the other all no
    assert found["accuracy"] == pytest.approx([(2 / 3 + 3 / 4) / 2, (1 / 2 + 1) / 2, 1])
    assert found["balanced_accuracy"][:2] == pytest.approx([0.5, 0.5])
    assert found["average_precision"][:2] == pytest.approx([((1 + 2 / 3) / 2 + 1 / 3) / 2, 0.5])
    assert np.isnan(found["balanced_accuracy"][2])
    assert np.isnan(found["average_precision"][2])


def test_resamples_are_of_the_size_of_the_set_and_decided_by_the_seed():
    counts = resample_counts(500, 40, seed=3)
    assert (counts.sum(axis=1) == 500).all()
    assert (counts == np.round(counts)).all()
    assert counts.var() == pytest.approx(1, abs=0.05)  # as a Poisson of mean one
    assert (counts == resample_counts(500, 40, seed=3)).all()
    assert (counts != resample_counts(500, 40, seed=4)).any()


def test_the_interval_leaves_out_what_is_not_defined():
    samples = np.append(np.arange(1001.0), [np.nan, np.nan])
    assert interval(samples) == pytest.approx((25, 975))
    assert interval(samples, 0.5) == pytest.approx((250, 750))
    assert np.isnan(interval(np.array([np.nan]))).all()
