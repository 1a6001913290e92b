import keras
import pytest
from small_network import SIZE, recipe, small_network

from keras_faramtn import FARAMTN, AttributeGroups, groups_of, inference_model
from keras_faramtn.errors import InputError
from keras_faramtn.framing import BOX_FRAMING, CELEBA_FRAMING
from keras_faramtn.models import load_model
from keras_faramtn.models.record import record_of, set_framing, set_thresholds

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
