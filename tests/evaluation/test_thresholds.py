import itertools
import json

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.errors import InputError
from keras_faramtn.evaluation.bootstrap import score_intervals
from keras_faramtn.evaluation.metrics_file import metrics
from keras_faramtn.evaluation.score_table import score_table
from keras_faramtn.evaluation.scores import score
from keras_faramtn.evaluation.thresholds import choose_thresholds, cross_fitted, read_thresholds


def _rare_case(images=401, seed=0):
    """Calibrated probabilities of a frequent, a rare and a very rare attribute, some unknown."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(images, 3)) * 1.5 + [0.0, -2.5, -4.0]
    probabilities = 1 / (1 + np.exp(-logits))
    labels = (rng.random(probabilities.shape) < probabilities).astype("int8")
    labels[rng.random(labels.shape) < 0.1] = -1
    return probabilities.astype("float32"), labels


SCORES = {
    "balanced_accuracy": balanced_accuracy_score,
    "f1": lambda truth, predicted: f1_score(truth, predicted, zero_division=0),
    "accuracy": accuracy_score,
}


def _brute_force(truth, scores, maximise):
    """The best score, and the best threshold among all that give different predictions."""
    edges = [0.0, *sorted({*map(float, scores)}), 1.0]
    middles = [(low + high) / 2 for low, high in itertools.pairwise(edges)]
    values = [SCORES[maximise](truth, scores > each) for each in middles]
    best = [each for each, value in zip(middles, values, strict=True) if value == max(values)]
    return max(values), min(best, key=lambda each: abs(each - 0.5))


@pytest.mark.parametrize("maximise", SCORES)
@pytest.mark.parametrize("seed", range(4))
def test_no_other_threshold_has_a_higher_score(maximise, seed):
    probabilities, labels = _rare_case(images=[401, 150, 60, 40][seed], seed=seed)
    if seed % 2:  # equal probabilities, also of 0 and 1
        probabilities = probabilities.round(1)
    chosen = choose_thresholds(probabilities, labels, maximise)
    for column, threshold in enumerate(chosen):
        known = labels[:, column] >= 0
        truth, scores = labels[known, column], probabilities[known, column].astype("float64")
        value, expected = _brute_force(truth, scores, maximise)
        assert SCORES[maximise](truth, scores > threshold) == pytest.approx(value)
        assert threshold == expected
        if scores.min() > 0 and scores.max() < 1:
            # Between two probabilities, not equal to one, where rounding could flip a prediction.
            assert np.abs(scores - threshold).min() > 0


def test_a_constant_prediction_can_be_the_best():
    probabilities = np.array([[0.1], [0.3], [0.2], [0.8]])
    rare, frequent = np.array([[1], [0], [0], [0]]), np.array([[1], [0], [1], [1]])
    # No for all, at the midpoint of 0.8 and 1; yes for all, at that of 0 and 0.1.
    assert choose_thresholds(probabilities, rare, "accuracy")[0] == pytest.approx(0.9)
    assert choose_thresholds(probabilities, frequent, "f1")[0] == pytest.approx(0.05)
    # No threshold predicts yes for a probability of 0, and none but 1 predicts no for one of 1.
    extremes = np.array([[0.0], [1.0], [1.0]])
    for truth, expected in ([[1], [0], [1]], 0.5), ([[0], [0], [1]], 0.5), ([[1], [0], [0]], 1.0):
        assert choose_thresholds(extremes, np.array(truth), "accuracy")[0] == expected


def test_of_equal_thresholds_the_nearest_to_the_default_is_chosen():
    probabilities = np.array([[0.1], [0.3], [0.6], [0.7], [0.95]])
    labels = np.array([[0], [1], [0], [1], [1]])
    # At 0.2, one false positive; at 0.65, one missed face: three of three and two of two are worth
    # the same for accuracy.
    assert choose_thresholds(probabilities, labels, "accuracy")[0] == pytest.approx(0.65)
    neighbours = np.array([[0.5], [np.nextafter(0.5, 1)]])
    [threshold] = choose_thresholds(neighbours, np.array([[0], [1]]))
    assert (neighbours[:, 0] > threshold).tolist() == [False, True]


@pytest.mark.parametrize(
    ("probabilities", "maximise", "message"),
    [
        ([[0.5], [0.5]], "precision", "can't maximise 'precision'; choose one of balanced_acc"),
        ([[0.5], [np.nan]], "f1", "probabilities in 0..1"),
        ([[0.5], [1.5]], "f1", "probabilities in 0..1"),
    ],
)
def test_other_scores_and_numbers_are_refused(probabilities, maximise, message):
    with pytest.raises(InputError, match=message):
        choose_thresholds(np.array(probabilities), np.array([[0], [1]]), maximise)


def test_rare_attributes_get_lower_thresholds():
    frequent, rare, rarer = choose_thresholds(*_rare_case(images=4000))
    assert 0.4 < frequent < 0.6
    assert 0.5 > rare > rarer > 0


def test_an_uninformative_attribute_keeps_the_default_threshold():
    probabilities = np.array([[0.2, 0.7, 0.3, 0.9], [0.4, 0.7, 0.1, 0.1], [0.9, 0.7, 0.2, 0.5]])
    labels = np.array([[1, 0, -1, 0], [1, 1, -1, 1], [1, 0, -1, -1]])
    # All yes; equal probabilities; no known label; inversely related.
    assert choose_thresholds(probabilities, labels).tolist() == [0.5] * 4


def test_each_half_is_scored_with_the_thresholds_of_the_other_half():
    probabilities, labels = _rare_case()
    names = ["a", "b", "c"]
    scores = cross_fitted(probabilities, labels, names)
    of_even, of_odd = (choose_thresholds(probabilities[h::2], labels[h::2]) for h in (0, 1))
    for column, each in enumerate(scores.attributes):
        predicted = [
            probabilities[row, column] > (of_odd if row % 2 == 0 else of_even)[column]
            for row in range(len(labels))
        ]
        known = labels[:, column] >= 0
        truth, predicted = labels[known, column], np.array(predicted)[known]
        assert each.accuracy == pytest.approx(accuracy_score(truth, predicted))
        assert each.balanced_accuracy == pytest.approx(balanced_accuracy_score(truth, predicted))
    assert (
        scores.mean.balanced_accuracy > score(probabilities, labels, names).mean.balanced_accuracy
    )


def test_thresholds_are_read_back_from_metrics_json(tmp_path):
    probabilities, labels = _rare_case()
    groups = AttributeGroups({"one": ["c"], "two": ["a", "b"]}, attributes=["a", "b", "c"])
    scores, unseen = (
        function(probabilities, labels, groups.attributes) for function in (score, cross_fitted)
    )
    chosen = choose_thresholds(probabilities, labels)
    intervals = score_intervals(scores, groups, probabilities, labels, resamples=20)
    content = metrics(
        scores,
        intervals,
        groups,
        data="faces",
        split="validation",
        model="m",
        chosen=chosen,
        cross_fitted=unseen,
    )
    path = tmp_path / "metrics.json"
    path.write_text(json.dumps(content))
    np.testing.assert_allclose(read_thresholds(path, ["c", "a"]), chosen[[2, 0]], atol=1e-6)
    reported = content["chosen_thresholds"]["cross_fitted"]
    assert reported["balanced_accuracy"] == pytest.approx(unseen.mean.balanced_accuracy, abs=1e-6)
    text = score_table(scores, groups, intervals, unseen)
    assert f"balanced {100 * unseen.mean.balanced_accuracy:.1f}." in text
    assert max(map(len, text.splitlines())) <= 80
    plain = metrics(scores, intervals, groups, data="faces", split="test", model="m")
    assert "chosen_thresholds" not in plain


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("no json", "cannot read this file as JSON"),
        ("[]", "has no chosen_thresholds"),
        ('{"chosen_thresholds": {"thresholds": {"a": 0.5}}}', "no threshold for b"),
        ('{"chosen_thresholds": {"thresholds": {"a": 0.5, "b": 1.5}}}', "of b is 1.5; it must be"),
        ('{"chosen_thresholds": {"thresholds": {"a": "x", "b": 1}}}', "of a is 'x'; it must be"),
    ],
)
def test_invalid_files_are_reported_by_name(tmp_path, content, message):
    path = tmp_path / "metrics.json"
    path.write_text(content)
    with pytest.raises(InputError, match=rf"metrics\.json: .*{message}"):
        read_thresholds(path, ["a", "b"])
