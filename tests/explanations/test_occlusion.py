import warnings

import keras
import numpy as np
import pytest
from explained import GROUPS, SIZE, random_images, small_network
from scipy.ndimage import gaussian_filter

from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.errors import InputError
from keras_faramtn.explanations.occlusion import occlude
from keras_faramtn.models import inference_model
from keras_faramtn.models.heads import attach_heads


def test_only_windows_over_the_region_that_the_network_sees_change_the_logit():
    """The network sees rows 8 to 15 and columns 18 to 35 only; a step is 2 pixels."""
    images = keras.Input((*SIZE, 3), name="images")
    region = keras.layers.Cropping2D(((8, 8), (18, 0)))(images)
    feature = keras.layers.GlobalAveragePooling2D()(keras.ops.square(region / 255.0))
    groups = AttributeGroups({"mouth": ["smile"]}, ["smile"])
    falls = occlude(
        attach_heads(images, {"mouth": feature}, groups, "tiny"), random_images(), ["smile"]
    )
    assert falls.shape == (3, 1, 12, 18)
    # The window of cell i covers the pixels 2 i - 1 to 2 i + 2.
    inside = np.zeros((12, 18), bool)
    inside[3:9, 8:] = True
    changed = np.abs(falls[:, 0]) > 1e-6
    np.testing.assert_array_equal(changed, np.broadcast_to(inside, changed.shape))


def test_a_fall_is_the_difference_of_two_predictions():
    model, images = small_network(), random_images(2)
    falls = occlude(model, images, ["young", "closed"])
    image = images[1].astype("float32")
    hidden = image.copy()
    window = np.s_[9:13, 21:25]  # of the cell in row 5 and column 11
    hidden[window] = gaussian_filter(image, (2, 2, 0), mode="nearest")[window]
    before, after = (model.predict(each[None], verbose=0) for each in (image, hidden))
    for column, (group, index) in enumerate([("age", 0), ("eyes", 1)]):
        expected = before[group][0, index] - after[group][0, index]
        assert abs(expected) > 1e-3
        np.testing.assert_allclose(falls[1, column, 5, 11], expected, rtol=1e-3, atol=1e-4)


def test_an_inference_model_is_measured_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        occlude(inference_model(small_network()), random_images(1), ["smile"])


def test_an_image_of_one_colour_has_nothing_to_hide():
    falls = occlude(small_network(), np.full((2, *SIZE, 3), 90, "uint8"), list(GROUPS.attributes))
    np.testing.assert_allclose(falls, 0, atol=1e-4)


def test_unknown_attributes_raise_input_error():
    with pytest.raises(InputError, match="doesn't predict 'Hat'"):
        occlude(small_network(), random_images(), ["Hat"])
