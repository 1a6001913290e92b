import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.evaluation import bootstrap
from keras_faramtn.evaluation.bootstrap import (
    interval,
    resample_blocks,
    resample_counts,
    score_intervals,
    weighted_scores,
)
from keras_faramtn.evaluation.scores import SCORES, score
from keras_faramtn.evaluation.undefined import mean_of_defined

NAMES = tuple("abcdefg")
GROUPS = AttributeGroups({"late": NAMES[4:], "early": NAMES[:4]}, NAMES)


def _predictions(images=211, attributes=7, seed=0, unknown=0.1, digits=2):
    """Informative probabilities with ties, and labels of which some are unknown."""
    rng = np.random.default_rng(0)
    labels = (rng.random((images, attributes)) < np.linspace(0.1, 0.6, attributes)).astype("int8")
    scores = np.random.default_rng(seed).normal(0.35 + 0.3 * labels, 0.2)
    labels[rng.random(labels.shape) < unknown] = -1
    return np.clip(scores, 0, 1).round(digits), labels


THRESHOLDS = np.linspace(0.3, 0.6, 7)


@pytest.mark.parametrize("digits", [1, 2, 8])
def test_counts_of_one_give_the_scores_of_an_evaluation(digits):
    probabilities, labels = _predictions(digits=digits)
    majority = np.arange(7) % 2 == 0
    found = weighted_scores(
        probabilities, labels, [np.ones((1, len(labels)))], THRESHOLDS, majority
    )
    scores = score(probabilities, labels, NAMES, THRESHOLDS, training_rates=majority)
    for name in SCORES:
        expected = [getattr(each, name) for each in scores.attributes]
        np.testing.assert_allclose(found[name], [expected], atol=1e-6)


def test_counts_weight_images_like_scikit_learns_sample_weights():
    probabilities, labels = _predictions()
    counts = resample_counts(len(labels), 4, seed=1)
    found = weighted_scores(probabilities, labels, [counts], THRESHOLDS, majority=True)
    by_decision = {
        "balanced_accuracy": balanced_accuracy_score,
        "precision": precision_score,
        "recall": recall_score,
        "f1": f1_score,
    }
    by_probability = {
        "average_precision": average_precision_score,
        "roc_auc": roc_auc_score,
        "brier": brier_score_loss,
    }
    for row, weights in enumerate(counts):
        for column in range(labels.shape[1]):
            known = labels[:, column] >= 0
            truth, scores = labels[known, column], probabilities[known, column]
            weight, predicted = weights[known], scores > THRESHOLDS[column]
            expected = {
                "accuracy": np.average(predicted == truth, weights=weight),
                "majority_accuracy": np.average(truth, weights=weight),
            }
            for name, function in by_decision.items():
                expected[name] = function(truth, predicted, sample_weight=weight)
            for name, function in by_probability.items():
                expected[name] = function(truth, scores, sample_weight=weight)
            for name, value in expected.items():
                assert found[name][row, column] == pytest.approx(value, abs=1e-6)


def test_counts_give_the_scores_of_the_repeated_images():
    probabilities, labels = _predictions(images=83)
    counts = resample_counts(len(labels), 5, seed=2)
    found = weighted_scores(probabilities, labels, [counts], THRESHOLDS)
    for row, times in enumerate(counts.astype(int)):
        images = np.repeat(np.arange(len(labels)), times)
        scores = score(probabilities[images], labels[images], NAMES, THRESHOLDS, np.zeros(7))
        for name in SCORES:
            expected = [getattr(each, name) for each in scores.attributes]
            np.testing.assert_allclose(
                found[name][row], np.array(expected, "float64"), atol=1e-6, err_msg=name
            )


def test_the_size_of_the_blocks_does_not_change_the_scores(monkeypatch):
    probabilities, labels = _predictions()
    expected = weighted_scores(probabilities, labels, resample_blocks(len(labels), 9), 0.5)
    monkeypatch.setattr(bootstrap, "_BLOCK", 2 * len(labels))
    blocks = list(resample_blocks(len(labels), 9, progress=list))
    assert [len(block) for block in blocks] == [2, 2, 2, 2, 1]
    for key, values in weighted_scores(probabilities, labels, blocks, 0.5).items():
        np.testing.assert_allclose(values, expected[key], atol=1e-6)


def test_intervals_are_those_of_a_loop_over_resamples():
    probabilities, labels = _predictions(images=60, unknown=0.2)
    labels[:, 0] = np.arange(60) < 2  # hardly varies, and is all no in some resamples
    rates = np.linspace(0.3, 0.7, 7)
    arguments = (probabilities, labels, NAMES, THRESHOLDS, rates)
    scores = score(*arguments)
    intervals = score_intervals(scores, GROUPS, probabilities, labels, rates, resamples=30)
    samples = {name: [] for name in SCORES}
    for times in resample_counts(60, 30).astype(int):
        rows = np.repeat(np.arange(60), times)
        each = score(probabilities[rows], labels[rows], *arguments[2:])
        for name in SCORES:
            samples[name].append([getattr(one, name) for one in each.attributes])
    varying = [column for column, each in enumerate(scores.attributes) if each.varies]
    assert varying == [1, 2, 3, 4, 5, 6]
    for name, rows in samples.items():
        values = np.array(rows, "float64")
        if name in {"calibration_error", "average_precision"}:
            # Their resamples are centred on the value of all images.
            own = np.array([getattr(each, name) for each in scores.attributes])
            values = np.clip(values - np.nanmean(values, axis=0) + own, 0, 1)
        for columns, found in (
            (list(range(7)), intervals.mean[name]),
            (varying, intervals.varying[name]),
            ([4, 5, 6], intervals.groups["late"][name]),
            ([2], intervals.attributes["c"][name]),
        ):
            expected = np.nanquantile(np.nanmean(values[:, columns], axis=1), [0.025, 0.975])
            assert found == pytest.approx(expected, abs=1e-6)
    gains = np.array(samples["accuracy"]) - np.array(samples["majority_accuracy"])
    expected = np.quantile(gains[:, varying].mean(axis=1), [0.025, 0.975])
    assert intervals.varying["gain"] == pytest.approx(expected, abs=1e-6)
    assert (intervals.resamples, intervals.level) == (30, 0.95)


@pytest.mark.parametrize("seed", range(3))
def test_the_interval_of_mean_average_precision_contains_it(seed):
    # Of few images, hardly any resample without a shift has a mean as low as that of all images.
    rng = np.random.default_rng(seed)
    names = tuple(f"attribute {position}" for position in range(40))
    labels = (rng.random((40, 40)) < 0.1).astype("int8")
    probabilities = rng.random(labels.shape)
    scores = score(probabilities, labels, names)
    groups = AttributeGroups({"all": names}, names)
    intervals = score_intervals(scores, groups, probabilities, labels, resamples=200)
    low, high = intervals.mean["average_precision"]
    middle, width = (low + high) / 2, high - low
    assert scores.mean.average_precision == pytest.approx(middle, abs=width / 4)


def test_the_interval_of_the_calibration_error_contains_it():
    rng = np.random.default_rng(0)
    probabilities = rng.random((300, 7))
    labels = (rng.random((300, 7)) < probabilities).astype("int8")
    scores = score(probabilities, labels, NAMES)
    intervals = score_intervals(scores, GROUPS, probabilities, labels, resamples=200)
    for each in scores.attributes:
        low, high = intervals.attributes[each.attribute]["calibration_error"]
        assert low < each.calibration_error < high
    low, high = intervals.mean["calibration_error"]
    assert low < scores.mean.calibration_error < high


def test_scores_that_are_not_defined_have_no_interval():
    labels = np.array([[1, 0, -1], [1, 0, -1]])
    names, groups = ["a", "b", "c"], AttributeGroups({"one": ["a", "b", "c"]}, ["a", "b", "c"])
    probabilities = np.full((2, 3), 0.75)
    scores = score(probabilities, labels, names)
    intervals = score_intervals(scores, groups, probabilities, labels, resamples=10)
    for each in scores.attributes:
        for name, ends in intervals.attributes[each.attribute].items():
            assert (ends is None) == (getattr(each, name) is None)
    assert intervals.mean["roc_auc"] is intervals.varying["gain"] is None
    assert intervals.mean["accuracy"] == (0.5, 0.5)


def test_the_paired_interval_of_balanced_accuracy_matches_scipy():
    (first, labels), (second, _) = (
        _predictions(images=300, attributes=1, seed=seed, unknown=0) for seed in (0, 1)
    )
    probabilities = first, second
    counts = resample_counts(len(labels), 4000)
    one, other = (
        weighted_scores(each, labels, [counts], 0.5)["balanced_accuracy"][:, 0]
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
    (first, labels), (second, _) = (
        _predictions(images=1500, seed=seed, unknown=0) for seed in (0, 1)
    )
    probabilities = np.stack([first, second])
    counts = resample_counts(len(labels), 4000)
    one, other = (
        mean_of_defined(weighted_scores(each, labels, [counts], 0.5)["accuracy"])
        for each in probabilities
    )
    correct = (probabilities > 0.5) == (labels == 1)
    by_image = correct.mean(axis=2)
    difference = by_image[0] - by_image[1]
    error = difference.std(ddof=1) / np.sqrt(len(labels))
    low, high = interval(one - other)
    assert low == pytest.approx(difference.mean() - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(difference.mean() + 1.96 * error, abs=0.15 * error)
    # Pairing makes the interval narrow, since the same faces are difficult for both networks.
    similar = np.clip(probabilities[0] + 0.02 * (labels - 0.5), 0, 1)
    samples = weighted_scores(similar, labels, [counts], 0.5, scores=["accuracy"])
    difference = mean_of_defined(samples["accuracy"]) - one
    assert np.ptp(interval(difference)) < 0.5 * np.ptp(interval(one))


def test_attributes_without_labels_in_a_resample_are_excluded_from_its_mean():
    labels = np.array([[1, 1], [0, 0], [1, 0], [-1, 0]])
    probabilities = np.array([[0.9, 0.2], [0.8, 0.4], [0.7, 0.1], [0.6, 0.3]])
    counts = np.array([[1, 1, 1, 1], [0, 2, 2, 0], [0, 0, 0, 4]])
    by_attribute = weighted_scores(probabilities, labels, [counts], 0.5)
    found = {name: mean_of_defined(values) for name, values in by_attribute.items()}
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
