import keras
import pytest
from small_network import SIZE, recipe, small_network

from keras_faramtn import FARAMTN, AttributeGroups, groups_of, inference_model
from keras_faramtn.errors import InputError
from keras_faramtn.framing import BOX_FRAMING, CELEBA_FRAMING
from keras_faramtn.models import load_model
from keras_faramtn.models.record import record_of, set_framing

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


def test_a_model_of_another_package_is_refused():
    images = keras.Input((8, 8, 3))
    model = keras.Model(images, keras.layers.Flatten()(images), name="other")
    with pytest.raises(InputError, match="'other' can't record a framing"):
        set_framing(model, CELEBA_FRAMING)
    with pytest.raises(InputError, match="other"):
        record_of(model)
