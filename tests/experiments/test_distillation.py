"""Labels blended with the predictions of a trained network."""

import dataclasses

import numpy as np
import pytest
from conftest import random_labels, write_celeba
from PIL import Image
from small_network import SIZE, in_place_of_faramtn, initial_weights, recipe, small_network

from keras_faramtn.attributes import CELEBA_ATTRIBUTES
from keras_faramtn.data.readers.celeba import read_celeba
from keras_faramtn.errors import InputError
from keras_faramtn.experiments.distillation import distil_labels
from keras_faramtn.experiments.recipe import write_recipe
from keras_faramtn.experiments.run import train_recipe
from keras_faramtn.models import groups_of, load_model


def _teacher(path):
    model = small_network(recipe().model, (*SIZE, 3))
    model.set_weights([5 * weight for weight in initial_weights()])  # confident predictions
    model.save(path)
    return model


@pytest.fixture
def table(tmp_path):
    # The size of the teacher's input, so that nothing is resized.
    folder = write_celeba(tmp_path / "data", random_labels(70), [0] * 70, size=SIZE[::-1])
    return read_celeba(folder)


def _pixels(table):
    return np.stack([np.asarray(Image.open(image)) for image in table.paths])


def _predictions(model, images):
    groups, logits = groups_of(model), model(images, training=False)
    by_name = {
        name: np.asarray(logits[group])[:, column]
        for group, members in groups.items()
        for column, name in enumerate(members)
    }
    return 1 / (1 + np.exp(-np.stack([by_name[name] for name in CELEBA_ATTRIBUTES], axis=1)))


def test_labels_are_blended_with_the_teachers_predictions(table, tmp_path):
    teacher = _teacher(tmp_path / "teacher.keras")
    images = _pixels(table)
    predictions = _predictions(teacher, images), _predictions(teacher, images[:, :, ::-1])
    assert np.abs(predictions[0] - predictions[1]).max() > 0.05  # the mirror image matters
    assert predictions[0].std(axis=0).mean() > 0.05
    blended = distil_labels(table, tmp_path / "teacher.keras", 0.6)
    known = table.labels >= 0
    expected = 0.4 * table.labels + 0.6 * (predictions[0] + predictions[1]) / 2
    np.testing.assert_allclose(blended.labels[known], expected[known], atol=1e-5)
    assert 0 < (~known).sum() == (blended.labels[~known] == -1).sum()
    assert dataclasses.replace(blended, labels=table.labels) == table


def _network_with_groups(groups):
    return small_network(recipe().model.model_copy(update={"groups": groups}), (*SIZE, 3))


def test_a_teacher_may_have_other_groups(table, tmp_path):
    teacher = _network_with_groups("mcnn_aux")
    teacher.save(tmp_path / "teacher.keras")
    images = _pixels(table)
    both = (_predictions(teacher, images) + _predictions(teacher, images[:, :, ::-1])) / 2
    known = table.labels >= 0
    blended = distil_labels(table, tmp_path / "teacher.keras", 1.0)
    np.testing.assert_allclose(blended.labels[known], both[known], atol=1e-5)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"hat": ["Wearing_Hat"], "scarf": ["Scarf"]}, ": 5_o_Clock_Shadow, Arched_Eyebrows"),
        ({"rest": list(CELEBA_ATTRIBUTES[1:]), "more": ["Scarf"]}, ": 5_o_Clock_Shadow, Scarf"),
    ],
)
def test_a_teacher_of_different_attributes_is_refused(table, tmp_path, groups, message):
    _network_with_groups(groups).save(tmp_path / "teacher.keras")
    with pytest.raises(
        InputError, match=rf"teacher\.keras: .*attributes of this teacher differ from .*{message}"
    ):
        distil_labels(table, tmp_path / "teacher.keras", 0.5)


def test_a_student_learns_its_teachers_predictions(tmp_path):
    teacher = _teacher(tmp_path / "teacher.keras")
    for group in groups_of(teacher):  # predicts 0.9 for everything
        head = teacher.get_layer(group)
        kernel, bias = head.get_weights()
        head.set_weights([0 * kernel, 0 * bias + np.log(9)])
    teacher.save(tmp_path / "teacher.keras")
    data = write_celeba(tmp_path / "data", random_labels(60), [0] * 48 + [1] * 12)
    settings = recipe(teacher={"model": str(tmp_path / "teacher.keras"), "blend": 1.0})
    write_recipe(settings, tmp_path / "mine.yaml")
    with in_place_of_faramtn():
        train_recipe(tmp_path / "mine.yaml", data, tmp_path / "run")
    image_paths = sorted((data / "img_align_celeba").iterdir())
    images = np.stack([np.asarray(Image.open(path).resize(SIZE[::-1])) for path in image_paths])
    predictions = _predictions(load_model(tmp_path / "run" / "model.keras"), images)
    assert random_labels(60).mean() < 0
    assert predictions.mean() > 0.75
