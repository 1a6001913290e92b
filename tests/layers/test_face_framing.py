"""Every network contains this layer, so the harness checks it there on all backends."""

import keras
import numpy as np
import pytest

from keras_faramtn.errors import InputError
from keras_faramtn.framing import BOX_FRAMING, framing_to_json
from keras_faramtn.layers import FaceFraming


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_images_pass_unchanged(dtype, policy):
    images = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3)).astype(dtype)
    passed = FaceFraming(BOX_FRAMING, dtype=policy)(keras.ops.convert_to_tensor(images))
    assert keras.backend.standardize_dtype(passed.dtype) == dtype
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(passed), images)
    assert FaceFraming().compute_output_shape((None, 4, 5, 3)) == (None, 4, 5, 3)


@pytest.mark.parametrize("framing", [BOX_FRAMING, None])
def test_a_framing_that_is_set_later_is_saved(framing, tmp_path):
    images = keras.Input((4, 5, 3))
    model = keras.Model(images, FaceFraming(name="framing")(images))
    model.get_layer("framing").framing = framing
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_layer("framing").framing == framing


def test_the_description_of_a_framing_is_accepted():
    assert FaceFraming(framing_to_json(BOX_FRAMING)).framing == BOX_FRAMING
    with pytest.raises(InputError, match="not a framing"):
        FaceFraming({"kind": "oval"})
