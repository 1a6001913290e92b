import subprocess
import sys

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    confusion_matrix,
    roc_auc_score,
)

from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.errors import InputError
from keras_faramtn.evaluation.scores import SCORES, group_means, positive_rates, score

GROUPS = AttributeGroups(
    {"late": ("hat", "beard"), "early": ("smile",)}, attributes=("smile", "beard", "hat")
)


def _random_case(images=57, attributes=5, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.choice([1, 0, -1], (images, attributes), p=[0.3, 0.5, 0.2]).astype("int8")
    # Two decimals, so that there are ties for average precision.
    probabilities = rng.random((images, attributes)).round(2).astype("float32")
    return probabilities, labels, [f"a{number}" for number in range(attributes)]


def test_each_attributes_scores_match_scikit_learn_on_its_known_labels():
    probabilities, labels, names = _random_case()
    thresholds = np.array([0.5, 0.3, 0.7, 0.5, 0.9])
    scores = score(probabilities, labels, names, thresholds)
    assert [each.attribute for each in scores.attributes] == names
    assert [each.threshold for each in scores.attributes] == thresholds.tolist()
    for column, each in enumerate(scores.attributes):
        known = labels[:, column] >= 0
        truth, scored = labels[known, column], probabilities[known, column]
        predicted = (scored > thresholds[column]).astype(int)
        assert each.known == len(truth)
        assert each.accuracy == pytest.approx(accuracy_score(truth, predicted))
        assert each.balanced_accuracy == pytest.approx(balanced_accuracy_score(truth, predicted))
        assert each.average_precision == pytest.approx(average_precision_score(truth, scored))
        assert each.roc_auc == pytest.approx(roc_auc_score(truth, scored))
        (_, false_positives), (missed, found) = confusion_matrix(truth, predicted)
        assert each.precision == pytest.approx(found / (found + false_positives))
        assert each.recall == pytest.approx(found / (found + missed))
        assert each.f1 == pytest.approx(2 * found / (2 * found + false_positives + missed))
        assert each.brier == pytest.approx(np.mean((scored.astype("float64") - truth) ** 2))
    for name in SCORES:
        mean = sum(getattr(each, name) for each in scores.attributes) / 5
        assert getattr(scores.mean, name) == pytest.approx(mean)
        assert scores.mean.counts[name] == 5


def test_scores_match_values_computed_by_hand():
    # mixed: predicts yes, yes, no, no for yes, no, no, yes | never: all no | unknown: none known
    labels = np.array([[1, 0, -1], [0, 0, -1], [0, 0, -1], [1, -1, -1]])
    probabilities = np.array([[0.9, 0.1, 0.5], [0.8, 0.6, 0.5], [0.1, 0.2, 0.5], [0.4, 0.9, 0.5]])
    scores = score(probabilities, labels, ["mixed", "never", "unknown"])
    mixed, never, unknown = scores.attributes

    assert (mixed.known, mixed.positive_rate, mixed.accuracy) == (4, 0.5, 0.5)
    assert mixed.balanced_accuracy == 0.5
    # Yes labels rank first and third by probability: (1/1 + 2/3) / 2.
    assert mixed.average_precision == pytest.approx(5 / 6)
    assert mixed.majority_accuracy == 0.5

    assert mixed.precision == mixed.recall == mixed.f1 == 0.5
    # Of the pairs of a yes and a no, (0.9, 0.8), (0.9, 0.1) and (0.4, 0.1) are in order.
    assert mixed.roc_auc == 0.75
    assert mixed.brier == pytest.approx((0.1**2 + 0.8**2 + 0.1**2 + 0.6**2) / 4)
    # All probabilities are in different bins.
    assert mixed.calibration_error == pytest.approx((0.1 + 0.8 + 0.1 + 0.6) / 4)

    assert (never.known, never.positive_rate, never.majority_accuracy) == (3, 0.0, 1.0)
    assert never.accuracy == pytest.approx(2 / 3)
    assert never.balanced_accuracy is never.average_precision is never.roc_auc is None
    # One false positive: it is precise in none of one predictions, and there is nothing to recall.
    assert (never.precision, never.recall, never.f1) == (0.0, None, 0.0)

    assert (unknown.known, unknown.positive_rate, unknown.accuracy) == (0, None, None)
    assert all(getattr(unknown, name) is None for name in SCORES)

    assert scores.images == 4
    assert scores.mean.counts == dict.fromkeys(SCORES, 2) | dict.fromkeys(
        ("balanced_accuracy", "recall", "average_precision", "roc_auc"), 1
    )
    assert scores.mean.precision == scores.mean.f1 == 0.25
    assert scores.mean.accuracy == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert scores.mean.majority_accuracy == pytest.approx(0.75)
    assert scores.mean.balanced_accuracy == 0.5
    assert scores.mean.average_precision == pytest.approx(5 / 6)
    # Only "mixed" varies.
    assert set(scores.varying.counts.values()) == {1}
    assert scores.varying.accuracy == scores.varying.majority_accuracy == 0.5
    assert scores.varying.balanced_accuracy == 0.5
    assert scores.varying.average_precision == pytest.approx(5 / 6)
    assert scores.varying.gain == 0.0


def test_attributes_vary_from_5_to_95_percent_inclusive():
    labels = np.zeros((100, 4), int)
    for column, positives in enumerate((4, 5, 95, 96)):
        labels[:positives, column] = 1
    correct = labels * 0.8 + 0.1
    scores = score(correct, labels, list("abcd"))
    assert scores.varying.counts["accuracy"] == 2
    assert scores.varying.majority_accuracy == pytest.approx(0.95)
    assert scores.varying.gain == pytest.approx(0.05)
    assert scores.mean.majority_accuracy == pytest.approx((0.96 + 0.95 + 0.95 + 0.96) / 4)
    constant = score(correct[:4], labels[:4], list("abcd"))
    assert [constant.mean.counts[name] for name in ("accuracy", "roc_auc")] == [4, 0]
    assert set(constant.varying.counts.values()) == {0}
    assert constant.varying.gain is constant.mean.balanced_accuracy is None


def test_the_majority_class_is_of_the_evaluated_or_of_the_training_labels():
    labels = np.array([[1, 0], [1, 0], [1, 1], [0, -1]])
    probabilities = np.full((4, 2), 0.5)
    evaluated = score(probabilities, labels, ["a", "b"])
    assert evaluated.majority_of == "evaluated labels"
    assert [each.majority_accuracy for each in evaluated.attributes] == pytest.approx(
        [3 / 4, 2 / 3]
    )
    trained = score(probabilities, labels, ["a", "b"], training_rates=[0.4, 0.6])
    assert trained.majority_of == "training labels"
    assert [each.majority_accuracy for each in trained.attributes] == pytest.approx([1 / 4, 1 / 3])
    # Without a known training label the baseline predicts no.
    unlabelled = score(probabilities, labels, ["a", "b"], training_rates=[np.nan, np.nan])
    assert [each.majority_accuracy for each in unlabelled.attributes] == pytest.approx(
        [1 / 4, 2 / 3]
    )


def test_a_probability_equal_to_the_threshold_predicts_no():
    scores = score(np.array([[0.5], [0.5]]), np.array([[0], [1]]), ["a"])
    assert scores.attributes[0].accuracy == 0.5
    scores = score(np.array([[0.5], [0.5]]), np.array([[0], [0]]), ["a"])
    assert scores.attributes[0].accuracy == 1.0


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, r"probability of hat: nan in row 2 .*training has diverged"),
        (1.5, r"probability of hat: 1.5 in row 2 .*not logits"),
        (-0.1, r"probability of hat: -0.1 in row 2"),
        (np.inf, r"probability of hat: inf"),
    ],
)
def test_an_invalid_probability_is_reported_with_its_attribute(value, message):
    probabilities = np.full((3, 2), 0.5)
    probabilities[1, 1] = value
    with pytest.raises(InputError, match=message):
        score(probabilities, np.zeros((3, 2)), ["beard", "hat"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.full((3, 2), 0.5), np.zeros((3, 2)), ["a"]), r"\(3, 2\); it must be \(images, 1\)"),
        ((np.full((3, 2), 0.5), np.zeros((4, 2)), ["a", "b"]), r"labels have shape \(4, 2\)"),
        ((np.zeros((0, 2)), np.zeros((0, 2)), ["a", "b"]), "no image"),
        ((np.full(3, 0.5), np.zeros(3), ["a"]), r"probabilities have shape \(3,\)"),
        ((np.full((3, 1), 0.5), np.array([[0], [2], [1]]), ["a"]), "label of a: 2 in row 2"),
        ((np.full((3, 1), 0.5), np.zeros((3, 1)), ["a"], [0.5, 0.5]), r"thresholds .*\(2,\)"),
        ((np.full((3, 1), 0.5), np.zeros((3, 1)), ["a"], 50), "thresholds of a: 50"),
        (
            (np.full((3, 1), 0.5), np.zeros((3, 1)), ["a"], 0.5, [1.2]),
            "training_rates of a: 1.2",
        ),
    ],
)
def test_invalid_arguments_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        score(*arguments)


def test_positive_rates_ignore_unknown_labels():
    labels = np.array([[1, -1, 0], [0, -1, 0], [1, -1, -1], [1, -1, -1]], "int8")
    np.testing.assert_array_equal(positive_rates(labels), [0.75, np.nan, 0.0])


def test_scores_are_not_defined_where_a_class_is_missing():
    """No label of the first attribute is yes; no image of the second is predicted; then both."""
    labels = np.array([[0, 1, 0], [0, 0, 0]])
    scores = score(np.array([[0.9, 0.3, 0.1], [0.2, 0.4, 0.2]]), labels, list("abc"))
    found = [(each.precision, each.recall, each.f1) for each in scores.attributes]
    assert found == [(0.0, None, 0.0), (None, 0.0, 0.0), (None, None, None)]
    assert scores.mean.counts["precision"] == scores.mean.counts["recall"] == 1
    assert scores.mean.counts["f1"] == 2
    assert [each.roc_auc for each in scores.attributes] == [None, 0.0, None]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_probabilities_of_exactly_0_and_1_are_scored(dtype):
    labels = np.array([[1, 0], [0, 0], [1, 1]])
    scores = score(np.array([[1, 0], [0, 0], [1, 1]], dtype), labels, ["a", "b"])
    perfect = dict.fromkeys(SCORES, 1.0) | {"calibration_error": 0.0, "brier": 0.0}
    for name in set(SCORES) - {"majority_accuracy"}:
        assert [getattr(each, name) for each in scores.attributes] == [perfect[name]] * 2
    opposite = score(1 - labels.astype(dtype), labels, ["a", "b"])
    assert opposite.mean.accuracy == opposite.mean.roc_auc == 0
    assert opposite.mean.brier == opposite.mean.calibration_error == 1


def test_means_by_group_are_over_the_groups_attributes():
    probabilities, labels, _ = _random_case(attributes=3)
    scores = score(probabilities, labels, GROUPS.attributes)
    means = group_means(scores, GROUPS)
    assert list(means) == ["late", "early"]
    smile, beard, hat = scores.attributes
    assert means["late"].f1 == pytest.approx((beard.f1 + hat.f1) / 2)
    assert means["early"].f1 == smile.f1
    assert means["late"].counts["f1"] == 2


def test_scores_thresholds_tables_and_plots_import_no_large_library():
    code = (
        "import sys, keras_faramtn.evaluation.thresholds, keras_faramtn.evaluation.metrics_file, "
        "keras_faramtn.evaluation.score_table, keras_faramtn.evaluation.plots; "
        "large = {'keras', 'tensorflow', 'scipy', 'sklearn', 'matplotlib.pyplot'}; "
        "assert not large & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
