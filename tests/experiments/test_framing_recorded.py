"""The framing of the training images is in every file that a training run writes."""

import logging

import pytest
from conftest import random_labels, write_celeba
from small_network import GROUPS, SIZE, in_place_of_faramtn

from keras_faramtn import load_model, measure_framing, read_dataset, synthesize
from keras_faramtn.experiments.recipe import Recipe
from keras_faramtn.experiments.run import train_model
from keras_faramtn.framing import BOX_FRAMING, CELEBA_FRAMING, BoxFraming, framing_to_json
from keras_faramtn.models.record import record_of


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """The table of drawn faces."""
    folder = tmp_path_factory.mktemp("drawn") / "faces"
    return read_dataset(synthesize(folder, 20, image_size=(100, 80), progress=False))


def _train(table, folder, framing, precision="float32"):
    folder.mkdir()
    recipe = Recipe.model_validate(
        {
            "data": {"image_size": list(SIZE), "framing": framing},
            "model": {"backbone": "mobilenetv3_small", "groups": GROUPS},
            "training": {"epochs": 1, "batch_size": 8, "precision": precision},
        }
    )
    with in_place_of_faramtn():
        return train_model(recipe, table, folder)


def _recorded(folder):
    files = ("model.keras", "checkpoint.keras")
    return [record_of(load_model(folder / file)).framing for file in files]


def test_the_framing_of_the_training_images_is_measured(faces, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        _train(faces, tmp_path / "run", "measured")
    measured = measure_framing(faces.split("train"))
    assert _recorded(tmp_path / "run") == [measured, measured]
    messages = [message for message in caplog.messages if message.startswith("Framing of")]
    assert messages[0] == messages[-1]
    assert "aligned: eyes at" in messages[0]


@pytest.mark.parametrize(
    ("framing", "precision", "expected"),
    [
        ("celeba", "mixed_bfloat16", CELEBA_FRAMING),  # the model is rebuilt in float32
        (framing_to_json(BOX_FRAMING), "float32", BOX_FRAMING),
        (None, "float32", None),
    ],
)
def test_a_framing_in_the_recipe_is_recorded(framing, precision, expected, faces, tmp_path, caplog):
    _train(faces, tmp_path / "run", framing, precision)
    assert _recorded(tmp_path / "run") == [expected, expected]
    assert "framed in another way" not in caplog.text


def test_a_framing_that_is_not_that_of_the_images_is_reported(faces, tmp_path, caplog):
    small = framing_to_json(BoxFraming(1.0, (0.8, 0.8), (0.9, 0.9)))
    _train(faces, tmp_path / "run", small)
    assert "data.framing: the training images are framed in another way" in caplog.text
    assert str(faces.split("train").paths[0]) in caplog.text


def test_images_without_faces_can_be_trained_on(tmp_path, caplog):
    data = write_celeba(tmp_path / "data", random_labels(12), [0] * 8 + [1] * 4)
    with caplog.at_level(logging.INFO):
        _train(read_dataset(data), tmp_path / "run", "measured")
    assert _recorded(tmp_path / "run") == [None, None]
    assert "unknown; a face was found in 0 of 8 images" in caplog.text
