import subprocess
import sys

import keras
import numpy as np
import pytest
from sklearn.metrics import accuracy_score, average_precision_score, balanced_accuracy_score

from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.errors import InputError
from keras_faramtn.evaluation.scores import (
    canonical_labels,
    positive_rates,
    predict_probabilities,
    score,
)

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
    for mean, name in (
        (scores.mean.accuracy, "accuracy"),
        (scores.mean.balanced_accuracy, "balanced_accuracy"),
        (scores.mean.average_precision, "average_precision"),
        (scores.mean.majority_accuracy, "majority_accuracy"),
    ):
        assert mean == pytest.approx(sum(getattr(each, name) for each in scores.attributes) / 5)


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

    assert (never.known, never.positive_rate, never.majority_accuracy) == (3, 0.0, 1.0)
    assert never.accuracy == pytest.approx(2 / 3)
    assert never.balanced_accuracy is never.average_precision is None

    assert (unknown.known, unknown.positive_rate, unknown.accuracy) == (0, None, None)
    assert unknown.majority_accuracy is None

    assert (scores.images, scores.in_accuracy, scores.in_balanced) == (4, 2, 1)
    assert scores.mean.accuracy == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert scores.mean.majority_accuracy == pytest.approx(0.75)
    assert scores.mean.balanced_accuracy == 0.5
    assert scores.mean.average_precision == pytest.approx(5 / 6)
    # Only "mixed" varies.
    assert scores.in_varying == 1
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
    assert scores.in_varying == 2
    assert scores.varying.majority_accuracy == pytest.approx(0.95)
    assert scores.varying.gain == pytest.approx(0.05)
    assert scores.mean.majority_accuracy == pytest.approx((0.96 + 0.95 + 0.95 + 0.96) / 4)
    constant = score(correct[:4], labels[:4], list("abcd"))
    assert (constant.in_varying, constant.in_balanced, constant.in_accuracy) == (0, 0, 4)
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


def test_labels_by_group_are_joined_in_canonical_order():
    by_group = {"early": np.array([[1.0], [0.0]]), "late": np.array([[0.0, -1.0], [1.0, 1.0]])}
    labels = canonical_labels(by_group, GROUPS)
    assert labels.dtype == np.int8
    np.testing.assert_array_equal(labels, [[1, -1, 0], [0, 1, 1]])  # smile, beard, hat


def test_a_dataset_is_predicted_in_one_pass_with_a_smaller_last_batch():
    import tensorflow as tf

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (7, 6, 4, 3), dtype="uint8")
    labels = rng.choice([1, 0, -1], (7, 3)).astype("float32")  # smile, beard, hat
    by_group = {"late": labels[:, [2, 1]], "early": labels[:, :1]}
    dataset = tf.data.Dataset.from_tensor_slices((images, by_group)).batch(3)
    inputs = keras.Input((6, 4, 3))
    features = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3, "sigmoid", bias_initializer="ones")(features))

    seen = []

    def progress(batches):
        for batch in batches:
            seen.append(len(batch[0]))
            yield batch

    probabilities, found = predict_probabilities(model, dataset, GROUPS, progress)
    kernel, bias = model.get_weights()
    logits = (images / 255).mean(axis=(1, 2)) @ kernel + bias
    np.testing.assert_allclose(probabilities, 1 / (1 + np.exp(-logits)), rtol=1e-5)
    assert probabilities.dtype == np.float32
    np.testing.assert_array_equal(found, labels)
    assert seen == [3, 3, 1]
    with pytest.raises(InputError, match="no image to evaluate"):
        predict_probabilities(model, dataset.take(0), GROUPS)


def test_scores_thresholds_reports_and_plots_import_no_large_library():
    code = (
        "import sys, keras_faramtn.evaluation.thresholds, keras_faramtn.evaluation.report, "
        "keras_faramtn.evaluation.plots; "
        "assert not {'keras', 'tensorflow', 'sklearn', 'matplotlib.pyplot'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
