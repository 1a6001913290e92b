import keras
import numpy as np
import pytest
from harness import GROUPS, IMAGE_SIZE
from small_network import recipe, small_network

from keras_faramtn.errors import InputError
from keras_faramtn.models import FARAMTN, groups_of, inference_model, load_model

SHAPE = (*IMAGE_SIZE, 3)


@pytest.fixture(scope="module")
def model():
    return FARAMTN("mobilenetv3_small", GROUPS, SHAPE)


def _images():
    return np.random.default_rng(0).integers(0, 256, (3, *SHAPE), dtype="uint8")


def test_a_loaded_inference_model_can_be_used_like_the_network(model, tmp_path):
    inference = inference_model(model)
    inference.save(tmp_path / "inference.keras")
    loaded = load_model(tmp_path / "inference.keras")
    assert list(groups_of(loaded).items()) == list(GROUPS.items())
    assert groups_of(loaded).attributes == GROUPS.attributes
    assert inference_model(loaded) is loaded
    np.testing.assert_array_equal(
        loaded.predict(_images(), verbose=0), inference.predict(_images(), verbose=0)
    )


def test_an_inference_model_of_a_loaded_network_can_be_saved_and_loaded(model, tmp_path):
    model.save(tmp_path / "model.keras")
    inference_model(load_model(tmp_path / "model.keras")).save(tmp_path / "inference.keras")
    np.testing.assert_array_equal(
        inference_model(load_model(tmp_path / "inference.keras")).predict(_images(), verbose=0),
        inference_model(model).predict(_images(), verbose=0),
    )


def test_files_that_are_not_a_model_of_this_package_raise_input_error(tmp_path):
    with pytest.raises(InputError, match=r"missing\.keras: no such model file"):
        load_model(tmp_path / "missing.keras")
    (tmp_path / "text.keras").write_text("not a model")
    with pytest.raises(InputError, match=r"text\.keras: not a Keras model: .* zip archive"):
        load_model(tmp_path / "text.keras")
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save(tmp_path / "other.keras")
    with pytest.raises(InputError, match="no attribute heads"):
        load_model(tmp_path / "other.keras")


def test_a_damaged_file_is_refused_or_unchanged_in_what_it_predicts(tmp_path):
    """The checksums of the archive find every flipped byte that matters."""
    model = small_network(recipe().model, SHAPE)
    model.save(tmp_path / "model.keras")
    content = (tmp_path / "model.keras").read_bytes()
    expected = inference_model(model).predict(_images(), verbose=0)
    rng = np.random.default_rng(0)
    positions = [len(content) // 2, *map(int, rng.integers(len(content), size=20))]
    refused = 0
    for position in positions:
        damaged = bytearray(content)
        damaged[position] ^= 0xFF
        (tmp_path / "damaged.keras").write_bytes(damaged)
        try:
            loaded = load_model(tmp_path / "damaged.keras")
        except InputError as error:
            assert str(error).startswith(f"{tmp_path / 'damaged.keras'}: ")  # noqa: PT017
            refused += 1
        else:
            predicted = inference_model(loaded).predict(_images(), verbose=0)
            np.testing.assert_allclose(predicted, expected, atol=1e-5)
    assert refused > 10


@pytest.mark.parametrize("length", [0, 1, 100, 0.5, 0.99])
def test_a_truncated_file_is_refused(length, tmp_path):
    path = tmp_path / "model.keras"
    small_network(recipe().model, SHAPE).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(length if isinstance(length, int) else length * len(content))])
    with pytest.raises(InputError, match=r"model\.keras: not a Keras model: .*complete file"):
        load_model(path)
