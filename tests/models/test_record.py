import keras
import numpy as np
import pytest
from small_network import SIZE, recipe, small_network

from keras_faramtn import FARAMTN, AttributeGroups, groups_of, inference_model
from keras_faramtn.errors import InputError
from keras_faramtn.framing import BOX_FRAMING, CELEBA_FRAMING
from keras_faramtn.models import load_model
from keras_faramtn.models.record import (
    apply_temperatures,
    record_of,
    set_framing,
    set_thresholds,
)

GROUPS = AttributeGroups({"mouth": ["x", "z"], "eyes": ["y"]}, ["x", "y", "z"])


def test_the_framing_is_in_the_saved_file(tmp_path):
    model = FARAMTN("mobilenetv3_small", GROUPS, (32, 48, 3))
    assert record_of(model).framing is None
    set_framing(model, CELEBA_FRAMING)
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    assert record_of(loaded) == record_of(model)
    assert record_of(loaded).groups == groups_of(model)
    assert record_of(inference_model(loaded)).framing == CELEBA_FRAMING


def test_a_recorded_framing_can_be_replaced():
    model = small_network(recipe().model, (*SIZE, 3))
    for framing in (BOX_FRAMING, None):
        set_framing(model, framing)
        assert record_of(model).framing == framing


def test_thresholds_are_in_the_saved_file_in_canonical_order(tmp_path):
    model = FARAMTN("mobilenetv3_small", GROUPS, (32, 48, 3))
    assert record_of(model).thresholds is None
    set_thresholds(model, [0.1, 0.2, 0.3])
    assert model.get_layer("mouth").thresholds == (0.1, 0.3)
    model.save(tmp_path / "model.keras")
    record = record_of(inference_model(load_model(tmp_path / "model.keras")))
    assert record.threshold_by_attribute == {"x": 0.1, "y": 0.2, "z": 0.3}
    set_thresholds(model, None)
    assert record_of(model).threshold_by_attribute is None


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_temperatures_calibrate_the_saved_model(tmp_path, policy):
    keras.utils.set_random_seed(3)
    keras.config.set_dtype_policy(policy)
    try:
        model = small_network(recipe().model, (*SIZE, 3))
    finally:
        keras.config.set_dtype_policy("float32")
    groups, rng = groups_of(model), np.random.default_rng(1)
    images = rng.integers(0, 256, (5, *SIZE, 3)).astype("float32")
    logits = np.empty((5, len(groups.attributes)))
    for group, values in model.predict(images, verbose=0).items():
        logits[:, groups.positions(group)] = values
    assert logits.std() > 0.1
    first, second = rng.uniform(0.3, 3, (2, len(groups.attributes)))
    thresholds = rng.uniform(0, 1, len(groups.attributes))
    set_thresholds(model, thresholds)
    decisions = 1 / (1 + np.exp(-logits)) > thresholds
    apply_temperatures(model, first)
    model.save(tmp_path / "once.keras")
    # An inference model has the same heads.
    loaded = inference_model(load_model(tmp_path / "once.keras"))
    apply_temperatures(loaded, second)
    loaded.save(tmp_path / "twice.keras")
    for file, temperatures in (("once", first), ("twice", first * second)):
        calibrated = load_model(tmp_path / f"{file}.keras")
        probabilities = inference_model(calibrated).predict(images, verbose=0)
        expected = 1 / (1 + np.exp(-logits / temperatures))
        np.testing.assert_allclose(probabilities, expected, rtol=1e-5)
        record = record_of(calibrated)
        np.testing.assert_allclose(record.temperatures, temperatures, rtol=1e-12)
        assert ((probabilities > np.array(record.thresholds)) == decisions).all()


@pytest.mark.parametrize("temperatures", [[1, 1], [1, 1, -0.1], [1, 1, "half"], [1, 1, np.nan]])
def test_wrong_temperatures_are_refused_before_any_weight_changes(temperatures):
    model = small_network(recipe().model, (*SIZE, 3))
    weights = model.get_weights()
    # The last attribute is wrong, so that some heads could have changed.
    wrong = [*[2.0] * (len(groups_of(model).attributes) - 3), *temperatures]
    with pytest.raises(InputError, match="temperatures"):
        apply_temperatures(model, wrong)
    for weight, same in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(weight, same)
    assert record_of(model).temperatures is None


@pytest.mark.parametrize("thresholds", [[0.5, 0.5], [0.5, 0.5, -0.1], [0.5, 0.5, "half"]])
def test_wrong_thresholds_are_refused(thresholds):
    model = small_network(recipe().model, (*SIZE, 3))
    groups = groups_of(model)
    wrong = [*thresholds, *[0.5] * (len(groups.attributes) - 3)]
    with pytest.raises(InputError, match="thresholds"):
        set_thresholds(model, wrong)


def test_the_name_of_a_framing_is_refused():
    model = small_network(recipe().model, (*SIZE, 3))
    with pytest.raises(InputError, match="'celeba' is not a framing"):
        set_framing(model, "celeba")


def test_a_model_of_another_package_is_refused():
    images = keras.Input((8, 8, 3))
    model = keras.Model(images, keras.layers.Flatten()(images), name="other")
    with pytest.raises(InputError, match="'other' can't record a framing"):
        set_framing(model, CELEBA_FRAMING)
    with pytest.raises(InputError, match="other"):
        record_of(model)
