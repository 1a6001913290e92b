import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import average_precision_score, balanced_accuracy_score

from keras_faramtn.evaluation.bootstrap import interval, resample_counts, weighted_scores
from keras_faramtn.evaluation.scores import score


def _predictions(images=211, attributes=7, seeds=3, unknown=0.1, digits=2):
    """Informative probabilities with ties, and labels of which some are unknown."""
    rng = np.random.default_rng(0)
    labels = (rng.random((images, attributes)) < np.linspace(0.1, 0.6, attributes)).astype("int8")
    scores = rng.normal(0.35 + 0.3 * labels, 0.2, (seeds, images, attributes))
    labels[rng.random(labels.shape) < unknown] = -1
    return np.clip(scores, 0, 1).round(digits), labels


def test_counts_of_one_give_the_scores_of_an_evaluation():
    probabilities, labels = _predictions()
    found = weighted_scores(probabilities, labels, np.ones((1, len(labels))))
    scores = [score(each, labels, "abcdefg") for each in probabilities]
    for key, values in found.items():
        expected = np.mean([getattr(each, f"mean_{key}") for each in scores])
        assert values == pytest.approx([expected], abs=1e-7)


def test_counts_weight_images_like_scikit_learns_sample_weights():
    probabilities, labels = _predictions(seeds=2)
    counts = resample_counts(len(labels), 4, seed=1)
    found = weighted_scores(probabilities, labels, counts, threshold=0.4)
    for row, weights in enumerate(counts):
        expected = {key: [] for key in found}
        for each in probabilities:
            for column in range(labels.shape[1]):
                known = labels[:, column] >= 0
                truth, scores, weight = labels[known, column], each[known, column], weights[known]
                correct = (scores > 0.4) == truth
                expected["accuracy"].append(np.average(correct, weights=weight))
                expected["balanced_accuracy"].append(
                    balanced_accuracy_score(truth, scores > 0.4, sample_weight=weight)
                )
                expected["average_precision"].append(
                    average_precision_score(truth, scores, sample_weight=weight)
                )
        for key, values in expected.items():
            assert found[key][row] == pytest.approx(np.mean(values), abs=1e-6)


def test_the_chunk_size_does_not_change_the_scores(monkeypatch):
    probabilities, labels = _predictions(seeds=1)
    counts = resample_counts(len(labels), 9)
    expected = weighted_scores(probabilities, labels, counts)
    monkeypatch.setattr("keras_faramtn.evaluation.bootstrap._CHUNK", 2 * len(labels))
    for key, values in weighted_scores(probabilities, labels, counts).items():
        np.testing.assert_array_equal(values, expected[key])


def test_the_paired_interval_of_balanced_accuracy_matches_scipy():
    probabilities, labels = _predictions(images=300, attributes=1, seeds=2, unknown=0)
    counts = resample_counts(len(labels), 4000)
    one, other = (
        weighted_scores(each[np.newaxis], labels, counts)["balanced_accuracy"]
        for each in probabilities
    )
    low, high = interval(one - other)

    def statistic(truth, first, second):
        def balanced(correct):
            return (correct[truth].mean() + correct[~truth].mean()) / 2

        return balanced(first == truth) - balanced(second == truth)

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


def test_the_paired_interval_of_accuracy_matches_the_normal_approximation():
    probabilities, labels = _predictions(images=1500, seeds=2, unknown=0)
    counts = resample_counts(len(labels), 4000)
    one, other = (
        weighted_scores(each[np.newaxis], labels, counts)["accuracy"] for each in probabilities
    )
    correct = (probabilities > 0.5) == (labels == 1)
    by_image = correct.mean(axis=2)
    difference = by_image[0] - by_image[1]
    error = difference.std(ddof=1) / np.sqrt(len(labels))
    low, high = interval(one - other)
    assert low == pytest.approx(difference.mean() - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(difference.mean() + 1.96 * error, abs=0.15 * error)
    # Pairing makes the interval narrow, since the same faces are difficult for both networks.
    similar = np.clip(probabilities[0] + 0.02 * (labels - 0.5), 0, 1)[np.newaxis]
    difference = weighted_scores(similar, labels, counts)["accuracy"] - one
    assert np.ptp(interval(difference)) < 0.3 * np.ptp(interval(one))


def test_attributes_without_labels_in_a_resample_are_excluded_from_its_mean():
    labels = np.array([[1, 1], [0, 0], [1, 0], [-1, 0]])
    probabilities = np.array([[[0.9, 0.2], [0.8, 0.4], [0.7, 0.1], [0.6, 0.3]]])
    counts = np.array([[1, 1, 1, 1], [0, 2, 2, 0], [0, 0, 0, 4]])
    found = weighted_scores(probabilities, labels, counts)
    # Second row: the second attribute has no yes. Third: one is unknown, the other all no.
    assert found["accuracy"] == pytest.approx([(2 / 3 + 3 / 4) / 2, (1 / 2 + 1) / 2, 1])
    assert found["balanced_accuracy"][:2] == pytest.approx([0.5, 0.5])
    assert found["average_precision"][:2] == pytest.approx([((1 + 2 / 3) / 2 + 1 / 3) / 2, 0.5])
    assert np.isnan(found["balanced_accuracy"][2])
    assert np.isnan(found["average_precision"][2])


def test_resamples_have_the_size_of_the_data_and_depend_on_the_seed():
    counts = resample_counts(500, 40, seed=3)
    assert (counts.sum(axis=1) == 500).all()
    assert (counts == np.round(counts)).all()
    assert counts.var() == pytest.approx(1, abs=0.05)  # like a Poisson distribution with mean one
    assert (counts == resample_counts(500, 40, seed=3)).all()
    assert (counts != resample_counts(500, 40, seed=4)).any()


def test_the_interval_ignores_undefined_samples():
    samples = np.append(np.arange(1001.0), [np.nan, np.nan])
    assert interval(samples) == pytest.approx((25, 975))
    assert interval(samples, 0.5) == pytest.approx((250, 750))
    assert np.isnan(interval(np.array([np.nan]))).all()
