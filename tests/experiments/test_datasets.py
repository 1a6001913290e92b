import numpy as np
import pytest
from conftest import write_csv_table

from keras_faramtn.data.pipeline import epoch_variable
from keras_faramtn.data.readers.csv_table import read_csv_table
from keras_faramtn.errors import InputError
from keras_faramtn.experiments.datasets import training_dataset
from keras_faramtn.experiments.recipe import Recipe

GROUPS = {"mood": ["Happy"], "outfit": ["Hat", "Scarf"]}


def _training(folder, *labels, **data):
    rows = [[f"{n}.jpg", "train", *row] for n, row in enumerate(labels)]
    rows += [["test.jpg", "test", "1", "1", "1"], ["val.jpg", "validation", "0", "0", "0"]]
    table = read_csv_table(
        write_csv_table(folder, ["image", "split", "Happy", "Hat", "Scarf"], rows)
    )
    recipe = Recipe.model_validate(
        {
            "data": {"image_size": [32, 40], **data},
            "model": {"backbone": "mobilenetv3_small", "groups": GROUPS},
            "training": {"epochs": 1, "batch_size": 2, "seed": 2**32 - 1},
        }
    )
    return training_dataset(recipe, table, recipe.model.attribute_groups(), epoch_variable())[0]


def test_an_attribute_without_a_known_training_label_gives_a_warning(tmp_path, caplog):
    dataset = _training(tmp_path, ["1", "", ""], ["0", "", "1"])
    [message] = caplog.messages
    assert "no training image has a known label of Hat, so the network does not learn it" in message
    [(images, labels)] = dataset  # with the largest seed that a recipe may have
    assert images.shape == (2, 32, 40, 3)
    assert sorted(labels["outfit"].numpy().tolist()) == [[-1, -1], [-1, 1]]


def test_known_labels_give_no_warning(tmp_path, caplog):
    _training(tmp_path, ["1", "0", ""], ["0", "", "1"])
    assert not caplog.messages


def test_training_without_any_known_label_is_refused(tmp_path):
    with pytest.raises(InputError, match="every label of the train split is unknown"):
        _training(tmp_path, ["", "", ""], ["", "", ""])


def test_layers_replace_the_standard_augmentation_or_follow_it(tmp_path):
    invert = [{"RandomInvert": {"factor": [1.0, 1.0]}}]

    def images(**data):
        [(images, _)] = _training(tmp_path, ["1", "1", "1"], ["0", "0", "0"], **data)
        return images.numpy()

    plain = images(augment=False)
    np.testing.assert_array_equal(images(augment=False, augmentation=invert), 255 - plain)
    np.testing.assert_array_equal(images(augmentation=invert), 255 - images())
    assert (images() != plain).any()
