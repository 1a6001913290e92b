import keras
import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss

from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.callbacks.progress import MeanScores
from keras_faramtn.losses import MaskedBinaryCrossentropy
from keras_faramtn.metrics import BalancedAccuracy, MaskedAccuracy


def _labels_and_logits(shape=(23, 3), seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.choice([1, 0, -1], shape, p=[0.3, 0.5, 0.2]).astype("float32")
    return labels, (2 * rng.normal(size=shape)).astype("float32")


def _sigmoid(logits):
    return 1 / (1 + np.exp(-logits.astype("float64")))


def test_loss_is_scikit_learns_log_loss_of_the_known_labels():
    labels, logits = _labels_and_logits()
    known = labels >= 0
    expected = log_loss(labels[known], _sigmoid(logits[known]))
    assert float(MaskedBinaryCrossentropy()(labels, logits)) == pytest.approx(expected, rel=1e-5)


def test_positive_weight_multiplies_the_positives_only():
    labels, logits = _labels_and_logits()
    p, known = _sigmoid(logits), labels >= 0
    terms = np.where(labels == 1, -3 * np.log(p), -np.log(1 - p))
    expected = terms[known].mean()
    loss = MaskedBinaryCrossentropy(positive_weight=3.0)
    assert float(loss(labels, logits)) == pytest.approx(expected, rel=1e-5)
    copy = MaskedBinaryCrossentropy.from_config(loss.get_config())
    assert copy.positive_weight == 3.0


def test_label_smoothing_is_that_of_keras():
    labels, logits = _labels_and_logits()
    labels = np.maximum(labels, 0)
    theirs = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.2)
    ours = MaskedBinaryCrossentropy(label_smoothing=0.2)
    assert float(ours(labels, logits)) == pytest.approx(float(theirs(labels, logits)), rel=1e-5)
    assert MaskedBinaryCrossentropy.from_config(ours.get_config()).label_smoothing == 0.2
    with pytest.raises(ValueError, match="without 1; got 1"):
        MaskedBinaryCrossentropy(label_smoothing=1)


def test_labels_of_mixed_images_weigh_both_answers():
    labels, logits = _labels_and_logits()
    share = np.where(labels < 0, -1, np.random.default_rng(1).uniform(0, 1, labels.shape))
    known, p = share >= 0, _sigmoid(logits)
    expected = -(share * np.log(p) + (1 - share) * np.log(1 - p))[known].mean()
    share = share.astype("float32")
    assert float(MaskedBinaryCrossentropy()(share, logits)) == pytest.approx(expected, rel=1e-5)
    # To the metrics, the image that is the larger split is what is shown.
    accuracy, balanced = MaskedAccuracy(), BalancedAccuracy(3)
    accuracy.update_state(share, logits)
    balanced.update_state(share, logits)
    assert float(accuracy.result()) == pytest.approx(
        accuracy_score(share[known] > 0.5, logits[known] > 0)
    )
    each = [
        balanced_accuracy_score(share[known[:, k], k] > 0.5, logits[known[:, k], k] > 0)
        for k in range(3)
    ]
    assert float(balanced.result()) == pytest.approx(np.mean(each), rel=1e-5)


def test_loss_of_large_logits_is_finite_and_of_no_known_label_zero():
    loss = MaskedBinaryCrossentropy()
    assert float(loss(np.array([[1.0, 0.0]]), np.array([[-200.0, 200.0]]))) == pytest.approx(200)
    assert float(loss(-np.ones((4, 2)), np.ones((4, 2), "float32"))) == 0.0


def test_unknown_labels_have_no_gradient():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, use_bias=False)])
    model.compile(keras.optimizers.SGD(1.0), MaskedBinaryCrossentropy())
    before = model.get_weights()[0]
    model.train_on_batch(np.ones((3, 2)), np.array([[1, -1], [0, -1], [1, -1]], "float32"))
    change = model.get_weights()[0] - before
    assert np.abs(change[:, 0]).max() > 0
    np.testing.assert_array_equal(change[:, 1], 0)


def test_a_weight_of_zero_is_refused():
    with pytest.raises(ValueError, match="above 0; got 0"):
        MaskedBinaryCrossentropy(positive_weight=0)


def test_metrics_over_batches_are_scikit_learns_over_all():
    accuracy, balanced = MaskedAccuracy(), BalancedAccuracy(3)
    batches = [_labels_and_logits(seed=seed) for seed in range(3)]
    for labels, logits in batches:
        accuracy.update_state(labels, logits)
        balanced.update_state(labels, logits)
    labels, logits = (np.concatenate(splits) for splits in zip(*batches, strict=True))
    known = labels >= 0
    assert float(accuracy.result()) == pytest.approx(
        accuracy_score(labels[known], logits[known] > 0)
    )
    expected = [
        balanced_accuracy_score(labels[known[:, k], k], logits[known[:, k], k] > 0)
        for k in range(3)
    ]
    assert float(balanced.result()) == pytest.approx(np.mean(expected), rel=1e-5)


def test_balanced_accuracy_leaves_out_an_attribute_with_one_class():
    metric = BalancedAccuracy(2)
    metric.update_state(np.array([[1.0, 1.0], [0.0, 1.0]]), np.array([[2.0, -1.0], [-1.0, 1.0]]))
    assert float(metric.result()) == 1.0
    metric.reset_state()
    metric.update_state(np.ones((2, 2)), np.ones((2, 2)))
    assert np.isnan(float(metric.result()))


def test_metric_configs_round_trip():
    assert BalancedAccuracy.from_config(BalancedAccuracy(7).get_config()).attributes == 7
    assert MaskedAccuracy.from_config(MaskedAccuracy().get_config()).name == "accuracy"


def test_mean_scores_leave_out_a_group_whose_score_is_not_defined():
    groups = AttributeGroups({"a": ["x", "y", "z"], "b": ["u"], "c": ["v", "w"]}, "uvwxyz")
    scores = MeanScores(groups)
    logs = {"a_accuracy": 0.5, "b_accuracy": 0.9, "c_accuracy": 0.8}
    logs |= {"a_balanced_accuracy": 0.6, "b_balanced_accuracy": np.nan, "c_balanced_accuracy": 0.7}
    scores.on_epoch_end(0, logs)
    assert logs["accuracy"] == pytest.approx((3 * 0.5 + 0.9 + 2 * 0.8) / 6)
    assert logs["balanced_accuracy"] == pytest.approx((3 * 0.6 + 2 * 0.7) / 5)
    logs |= dict.fromkeys(["a_balanced_accuracy", "c_balanced_accuracy"], np.nan)
    scores.on_epoch_end(1, logs)
    assert np.isnan(logs["balanced_accuracy"])
