import keras
import numpy as np
import pytest
from harness import check_layer

from keras_faramtn.layers import PatchMap


def test_passes_the_harness(tmp_path):
    tokens = np.random.default_rng(0).normal(size=(3, 2 + 6, 4)).astype("float32")
    check_layer(PatchMap(2, 3), tokens, folder=tmp_path)


def test_patches_come_last_row_by_row():
    tokens = np.arange(2 * 9 * 1, dtype="float32").reshape(2, 9, 1)
    actual = keras.ops.convert_to_numpy(PatchMap(2, 3)(tokens))
    assert actual[0, :, :, 0].tolist() == [[3, 4, 5], [6, 7, 8]]
    assert actual[1, 1, 0] == 15


@pytest.mark.parametrize("size", [(0, 3), (2, -1)])
def test_impossible_sizes_raise_value_error(size):
    with pytest.raises(ValueError, match="must be 1 or more"):
        PatchMap(*size)
