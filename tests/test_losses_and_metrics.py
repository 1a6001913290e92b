import keras
import numpy as np
import pytest
import tensorflow as tf
from other_backends import OTHER_BACKENDS, run_on
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss

from keras_faramtn.losses import MaskedBinaryCrossentropy
from keras_faramtn.metrics import BalancedAccuracy, MaskedAccuracy


def _labels_and_logits(shape=(23, 3), seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.choice([1, 0, -1], shape, p=[0.3, 0.5, 0.2]).astype("float32")
    return labels, (2 * rng.normal(size=shape)).astype("float32")


def _sigmoid(logits):
    return 1 / (1 + np.exp(-logits.astype("float64")))


def test_loss_equals_log_loss_of_scikit_learn_over_known_labels():
    labels, logits = _labels_and_logits()
    known = labels >= 0
    expected = log_loss(labels[known], _sigmoid(logits[known]))
    assert float(MaskedBinaryCrossentropy()(labels, logits)) == pytest.approx(expected, rel=1e-5)


def test_positive_weight_applies_to_positive_labels_only():
    labels, logits = _labels_and_logits()
    p, known = _sigmoid(logits), labels >= 0
    terms = np.where(labels == 1, -3 * np.log(p), -np.log(1 - p))
    expected = terms[known].mean()
    loss = MaskedBinaryCrossentropy(positive_weight=3.0)
    assert float(loss(labels, logits)) == pytest.approx(expected, rel=1e-5)
    copy = MaskedBinaryCrossentropy.from_config(loss.get_config())
    assert copy.positive_weight == 3.0


REDUCTIONS = ["sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None]


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weight_shape", [None, (23,), (23, 1)], ids=str)
@pytest.mark.parametrize("reduction", REDUCTIONS, ids=str)
def test_loss_equals_that_of_keras_if_all_labels_are_known(reduction, weight_shape, smoothing):
    labels, logits = _labels_and_logits()
    labels = np.maximum(labels, 0)
    weights = None if weight_shape is None else np.random.default_rng(2).uniform(size=weight_shape)
    arguments = {"reduction": reduction, "label_smoothing": smoothing}
    theirs = keras.losses.BinaryCrossentropy(from_logits=True, **arguments)
    expected = keras.ops.convert_to_numpy(theirs(labels, logits, weights))
    ours = MaskedBinaryCrossentropy(**arguments)
    actual = keras.ops.convert_to_numpy(ours(labels, logits, weights))
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_a_weight_for_each_label_is_refused_as_by_keras():
    labels, logits = _labels_and_logits()
    for loss in (keras.losses.BinaryCrossentropy(from_logits=True), MaskedBinaryCrossentropy()):
        with pytest.raises(Exception, match=r"(?i)incompatible|broadcast"):
            loss(np.maximum(labels, 0), logits, np.ones(labels.shape))


def _masked_value(labels, logits, weights, reduction):
    """The formula of the docstring, sample by sample."""
    p = _sigmoid(logits)
    terms = [
        [-np.log(q if y == 1 else 1 - q) for y, q in zip(row, row_p, strict=True) if y >= 0]
        for row, row_p in zip(labels, p, strict=True)
    ]
    samples, known = sum(bool(row) for row in terms), sum(len(row) for row in terms)
    values = np.array([sum(row) * samples / known for row in terms])
    if reduction is None:
        return values * weights
    divisor = {
        "sum": 1,
        "sum_over_batch_size": samples,
        "mean_with_sample_weight": sum(w for w, row in zip(weights, terms, strict=True) if row),
    }[reduction]
    return (values * weights).sum() / divisor


@pytest.mark.parametrize(
    "reduction", ["sum", "sum_over_batch_size", "mean_with_sample_weight", None], ids=str
)
def test_masked_loss_follows_its_formula(reduction):
    labels, logits = _labels_and_logits(shape=(9, 4))
    labels[3] = -1
    labels[0, :3] = -1
    weights = np.random.default_rng(5).uniform(size=9)
    expected = _masked_value(labels, logits, weights, reduction)
    loss = MaskedBinaryCrossentropy(reduction=reduction)
    actual = keras.ops.convert_to_numpy(loss(labels, logits, weights))
    np.testing.assert_allclose(actual, expected, rtol=1e-5)
    labels[labels < 0] = np.nan
    actual = keras.ops.convert_to_numpy(loss(labels, logits, weights))
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_loss_values_computed_by_hand():
    labels = np.array([[1, 1, 1], [0, 0, 0], [0, 0, 0]], "float32")
    logits = np.array([[3, 3, 3], [-1, -1, -1], [0, 0, 0]], "float32")
    value = MaskedBinaryCrossentropy()(labels, logits, sample_weight=np.array([1, 0, 0]))
    assert float(value) == pytest.approx(np.log1p(np.exp(-3)) / 3, rel=1e-5)
    labels = np.array([[1], [0], [-1], [1]])
    total = MaskedBinaryCrossentropy(reduction="sum")(labels, np.zeros((4, 1)))
    assert float(total) == pytest.approx(3 * np.log(2), rel=1e-6)
    assert float(MaskedBinaryCrossentropy()(labels, np.zeros((4, 1)))) == pytest.approx(
        np.log(2), rel=1e-6
    )


@pytest.mark.parametrize(
    ("weights", "expected"), [([1, 0, 0], 0.0162), ([0, 1, 0], 0.1044), ([0, 0, 1], 0.231)]
)
def test_a_weight_belongs_to_a_sample_even_in_a_square_batch(weights, expected):
    labels = np.array([[1.0, 1, 1], [0, 0, 0], [0, 0, 0]])
    logits = np.array([[3.0, 3, 3], [-1, -1, -1], [0, 0, 0]])
    value = float(MaskedBinaryCrossentropy()(labels, logits, sample_weight=np.array(weights)))
    assert value == pytest.approx(expected, abs=5e-5)


def test_smoothing_out_of_its_range_is_refused_and_the_config_keeps_it():
    loss = MaskedBinaryCrossentropy(label_smoothing=0.2, reduction="sum")
    copy = MaskedBinaryCrossentropy.from_config(loss.get_config())
    assert (copy.label_smoothing, copy.reduction) == (0.2, "sum")
    with pytest.raises(ValueError, match="below 1; got 1"):
        MaskedBinaryCrossentropy(label_smoothing=1)


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "bool", "float64"])
def test_labels_of_other_types_give_the_same_numbers(dtype):
    labels, logits = _labels_and_logits()
    if dtype == "bool":
        labels = np.maximum(labels, 0)
    others = keras.ops.convert_to_tensor(labels.astype(dtype))
    loss = MaskedBinaryCrossentropy()
    assert float(loss(others, logits)) == float(loss(labels, logits))
    for metric in (MaskedAccuracy(), BalancedAccuracy(3)):
        metric.update_state(labels, logits)
        expected = float(metric.result())
        metric.reset_state()
        metric.update_state(others, logits)
        assert float(metric.result()) == expected


def test_labels_of_one_attribute_may_have_rank_one_and_other_shapes_are_refused():
    labels, logits = _labels_and_logits(shape=(7, 1))
    loss, accuracy = MaskedBinaryCrossentropy(), MaskedAccuracy()
    assert float(loss(labels[:, 0], logits)) == float(loss(labels, logits))
    accuracy.update_state(labels[:, 0], logits)
    known = labels >= 0
    assert float(accuracy.result()) == pytest.approx(
        accuracy_score(labels[known], logits[known] > 0)
    )
    with pytest.raises(ValueError, match=r"labels of shape \(7, 2\) and logits of shape \(7, 1\)"):
        loss(np.zeros((7, 2)), logits)


def _two_outputs():
    keras.utils.set_random_seed(1)
    images = keras.Input((4,))
    model = keras.Model(
        images, {name: keras.layers.Dense(size, name=name)(images) for name, size in SIZES.items()}
    )
    weights = [np.random.default_rng(3).normal(size=w.shape) for w in model.get_weights()]
    model.set_weights(weights)
    return model


SIZES = {"eyes": 2, "mouth": 3}


@pytest.mark.parametrize("form", ["array", "column", "dict", "dataset"])
# Three is the number of attributes of an output: weights along the wrong axis would fit too.
@pytest.mark.parametrize(("dtype", "batch_size"), [("float32", 5), ("int8", 3)])
def test_fit_and_evaluate_with_sample_weights_as_with_the_loss_of_keras(form, dtype, batch_size):
    rng = np.random.default_rng(0)
    images = rng.normal(size=(12, 4)).astype("float32")
    labels = {name: rng.integers(0, 2, (12, size)).astype(dtype) for name, size in SIZES.items()}
    weights = rng.uniform(size=12).astype("float32")
    if form == "column":
        weights = weights[:, None]
    elif form == "dict":
        weights = {"eyes": weights, "mouth": weights[::-1].copy()}
    results = []
    for loss, metrics in (
        (keras.losses.BinaryCrossentropy(from_logits=True), keras.metrics.BinaryAccuracy),
        (MaskedBinaryCrossentropy(), MaskedAccuracy),
    ):
        model = _two_outputs()
        threshold = {} if metrics is MaskedAccuracy else {"threshold": 0.0}
        model.compile(
            keras.optimizers.SGD(0.1),
            loss=dict.fromkeys(SIZES, loss),
            weighted_metrics={name: [metrics(name="accuracy", **threshold)] for name in SIZES},
        )
        if form == "dataset":
            data = (
                tf.data.Dataset.from_tensor_slices((images, labels, weights)).batch(batch_size),
            )
            arguments = {}
        else:
            data, arguments = (images, labels), {"sample_weight": weights, "batch_size": batch_size}
        history = model.fit(*data, epochs=2, shuffle=False, verbose=0, **arguments).history
        evaluated = model.evaluate(*data, return_dict=True, verbose=0, **arguments)
        results.append((history, evaluated, model.get_weights()))
    (history, evaluated, trained), (our_history, our_evaluated, ours) = results
    for name in history:
        np.testing.assert_allclose(our_history[name], history[name], rtol=1e-5, err_msg=name)
        np.testing.assert_allclose(our_evaluated[name], evaluated[name], rtol=1e-5, err_msg=name)
    for mine, theirs in zip(ours, trained, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-6)


def test_labels_of_mixed_images_weight_both_classes():
    labels, logits = _labels_and_logits()
    mixed = np.where(labels < 0, -1, np.random.default_rng(1).uniform(0, 1, labels.shape))
    known, p = mixed >= 0, _sigmoid(logits)
    expected = -(mixed * np.log(p) + (1 - mixed) * np.log(1 - p))[known].mean()
    mixed = mixed.astype("float32")
    assert float(MaskedBinaryCrossentropy()(mixed, logits)) == pytest.approx(expected, rel=1e-5)
    # The metrics count the class of the larger fraction.
    accuracy, balanced = MaskedAccuracy(), BalancedAccuracy(3)
    accuracy.update_state(mixed, logits)
    balanced.update_state(mixed, logits)
    assert float(accuracy.result()) == pytest.approx(
        accuracy_score(mixed[known] > 0.5, logits[known] > 0)
    )
    each = [
        balanced_accuracy_score(mixed[known[:, k], k] > 0.5, logits[known[:, k], k] > 0)
        for k in range(3)
    ]
    assert float(balanced.result()) == pytest.approx(np.mean(each), rel=1e-5)


def test_loss_is_finite_for_large_logits_and_zero_without_known_labels():
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


def test_a_positive_weight_of_zero_is_refused():
    with pytest.raises(ValueError, match="above 0; got 0"):
        MaskedBinaryCrossentropy(positive_weight=0)


def test_metrics_over_batches_equal_those_of_scikit_learn_over_all():
    accuracy, balanced = MaskedAccuracy(), BalancedAccuracy(3)
    batches = [_labels_and_logits(seed=seed) for seed in range(3)]
    for labels, logits in batches:
        accuracy.update_state(labels, logits)
        balanced.update_state(labels, logits)
    labels, logits = (np.concatenate(each) for each in zip(*batches, strict=True))
    known = labels >= 0
    assert float(accuracy.result()) == pytest.approx(
        accuracy_score(labels[known], logits[known] > 0)
    )
    expected = [
        balanced_accuracy_score(labels[known[:, k], k], logits[known[:, k], k] > 0)
        for k in range(3)
    ]
    assert float(balanced.result()) == pytest.approx(np.mean(expected), rel=1e-5)


def test_balanced_accuracy_skips_an_attribute_with_one_class():
    metric = BalancedAccuracy(2)
    metric.update_state(np.array([[1.0, 1.0], [0.0, 1.0]]), np.array([[2.0, -1.0], [-1.0, 1.0]]))
    assert float(metric.result()) == 1.0
    metric.reset_state()
    metric.update_state(np.ones((2, 2)), np.ones((2, 2)))
    assert np.isnan(float(metric.result()))


def test_metric_configs_round_trip():
    assert BalancedAccuracy.from_config(BalancedAccuracy(7).get_config()).attributes == 7
    assert MaskedAccuracy.from_config(MaskedAccuracy().get_config()).name == "accuracy"


@pytest.mark.parametrize("shape", [(23,), (23, 1), (23, 3)], ids=str)
def test_weighted_metrics_equal_those_of_scikit_learn(shape):
    labels, logits = _labels_and_logits()
    weights = np.random.default_rng(6).uniform(size=shape)
    accuracy, balanced = MaskedAccuracy(), BalancedAccuracy(3)
    accuracy.update_state(labels, logits, weights)
    balanced.update_state(labels, logits, weights)
    weights = np.broadcast_to(weights.reshape(23, -1), labels.shape)
    known = labels >= 0
    expected = accuracy_score(labels[known], logits[known] > 0, sample_weight=weights[known])
    assert float(accuracy.result()) == pytest.approx(expected, rel=1e-5)
    each = [
        balanced_accuracy_score(labels[m, k], logits[m, k] > 0, sample_weight=weights[m, k])
        for k, m in enumerate(known.T)
    ]
    assert float(balanced.result()) == pytest.approx(np.mean(each), rel=1e-5)


BACKENDS = """
import numpy as np, keras
from keras_faramtn.losses import MaskedBinaryCrossentropy
from keras_faramtn.metrics import BalancedAccuracy, MaskedAccuracy

rng = np.random.default_rng(0)
logits = rng.normal(size=(8, 3)).astype("float32")
labels = rng.choice([1, 0, -1], (8, 3))
labels[2] = -1
weights = rng.uniform(size=8).astype("float32")
for dtype in ("int8", "float32", "nan"):
    y = np.where(labels < 0, np.nan, labels).astype("float32") if dtype == "nan" else (
        labels.astype(dtype))
    known, p = labels >= 0, 1 / (1 + np.exp(-logits))
    terms = -np.log(np.where(labels == 1, p, 1 - p)) * known
    expected = (terms * weights[:, None]).sum() / known.sum()
    assert abs(float(MaskedBinaryCrossentropy()(y, logits, weights)) - expected) < 1e-5
    accuracy = MaskedAccuracy()
    accuracy.update_state(y, logits, weights)
    correct = ((labels == 1) == (logits > 0)) * known * weights[:, None]
    expected = correct.sum() / (known * weights[:, None]).sum()
    assert abs(float(accuracy.result()) - expected) < 1e-5
    images = keras.Input((4,))
    model = keras.Model(images, {n: keras.layers.Dense(3, name=n)(images) for n in "ab"})
    model.compile("sgd", {n: MaskedBinaryCrossentropy() for n in "ab"},
                  weighted_metrics={n: [MaskedAccuracy(), BalancedAccuracy(3)] for n in "ab"})
    before = model.get_weights()[0]
    history = model.fit(np.ones((8, 4), "float32"), {"a": y, "b": y}, batch_size=3, verbose=0,
                        sample_weight=weights).history
    assert np.isfinite(history["loss"]).all()
    assert np.abs(model.get_weights()[0] - before).max() > 1e-4
"""


@pytest.mark.parametrize("backend", OTHER_BACKENDS)
def test_loss_and_metrics_on_other_backends(backend):
    pytest.importorskip(backend)
    run_on(backend, BACKENDS)
