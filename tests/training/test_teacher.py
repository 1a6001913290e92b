"""Labels between those of the data and the answers of a trained network."""

import dataclasses

import numpy as np
import pytest
import yaml
from conftest import random_labels, write_celeba
from PIL import Image
from small_network import SIZE, in_place_of_faramtn, initial_weights, recipe, small_network

from keras_faramtn import workflows
from keras_faramtn.attributes import CELEBA_ATTRIBUTES
from keras_faramtn.data.celeba import read_celeba
from keras_faramtn.errors import InputError
from keras_faramtn.models import groups_of, load_model
from keras_faramtn.training.teacher import taught


def _teacher(path):
    model = small_network(recipe().model, (*SIZE, 3))
    model.set_weights([5 * weight for weight in initial_weights()])  # sure of its answers
    model.save(path)
    return model


@pytest.fixture
def table(tmp_path):
    # As large as the teacher's pictures, so that nothing is resized.
    folder = write_celeba(tmp_path / "data", random_labels(70), [0] * 70, size=SIZE[::-1])
    return read_celeba(folder)[0]


def _answers(model, images):
    groups, logits = groups_of(model), model(images, training=False)
    by_name = {
        name: np.asarray(logits[group])[:, place]
        for group, members in groups.items()
        for place, name in enumerate(members)
    }
    return 1 / (1 + np.exp(-np.stack([by_name[name] for name in CELEBA_ATTRIBUTES], axis=1)))


def test_labels_lie_between_those_given_and_the_teachers_answers(table, tmp_path):
    teacher = _teacher(tmp_path / "teacher.keras")
    images = np.stack([np.asarray(Image.open(picture)) for picture in table.pictures])
    answers = _answers(teacher, images), _answers(teacher, images[:, :, ::-1])
    assert np.abs(answers[0] - answers[1]).max() > 0.05  # it does matter that both are asked
    assert answers[0].std(axis=0).mean() > 0.05
    softened = taught(table, tmp_path / "teacher.keras", 0.6)
    known = table.labels >= 0
    expected = 0.4 * table.labels + 0.6 * (answers[0] + answers[1]) / 2
    np.testing.assert_allclose(softened.labels[known], expected[known], atol=1e-5)
    assert 0 < (~known).sum() == (softened.labels[~known] == -1).sum()
    assert dataclasses.replace(softened, labels=table.labels) == table


def _of_groups(groups):
    return small_network(recipe().model.model_copy(update={"groups": groups}), (*SIZE, 3))


def test_a_teacher_may_have_other_groups(table, tmp_path):
    teacher = _of_groups("mcnn_aux")
    teacher.save(tmp_path / "teacher.keras")
    images = np.stack([np.asarray(Image.open(picture)) for picture in table.pictures])
    both = (_answers(teacher, images) + _answers(teacher, images[:, :, ::-1])) / 2
    known = table.labels >= 0
    softened = taught(table, tmp_path / "teacher.keras", 1.0)
    np.testing.assert_allclose(softened.labels[known], both[known], atol=1e-5)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"hat": ["Wearing_Hat"], "scarf": ["Scarf"]}, "Scarf|5_o_Clock_Shadow"),
        ({"rest": list(CELEBA_ATTRIBUTES[1:]), "more": ["Scarf"]}, ": 5_o_Clock_Shadow, Scarf"),
    ],
)
def test_a_teacher_of_other_attributes_is_refused(table, tmp_path, groups, message):
    _of_groups(groups).save(tmp_path / "teacher.keras")
    with pytest.raises(InputError, match=rf"teacher\.keras: .*other attributes than .*{message}"):
        taught(table, tmp_path / "teacher.keras", 0.5)


def _recipe(path, teacher, **changes):
    content = {
        "data": {"image_size": list(SIZE)},
        "model": {"backbone": "mobilenetv3_small"},
        "training": {
            "epochs": 3,
            "batch_size": 8,
            "learning_rate": 0.05,
            "teacher": {"model": str(teacher), **changes},
        },
    }
    path.write_text(yaml.safe_dump(content))
    return path


def test_a_network_learns_what_its_teacher_answers(tmp_path):
    teacher = _teacher(tmp_path / "teacher.keras")
    for group in groups_of(teacher):  # it says 0.9 to everything
        head = teacher.get_layer(group)
        kernel, bias = head.get_weights()
        head.set_weights([0 * kernel, 0 * bias + np.log(9)])
    teacher.save(tmp_path / "teacher.keras")
    data = write_celeba(tmp_path / "data", random_labels(60), [0] * 48 + [1] * 12)
    path = _recipe(tmp_path / "mine.yaml", tmp_path / "teacher.keras", share=1.0)
    with in_place_of_faramtn():
        workflows.train_recipe(path, data, tmp_path / "run")
    pictures = sorted((data / "img_align_celeba").iterdir())
    images = np.stack([np.asarray(Image.open(path).resize(SIZE[::-1])) for path in pictures])
    answers = _answers(load_model(tmp_path / "run" / "model.keras"), images)
    assert random_labels(60).mean() < 0
    assert answers.mean() > 0.75


def test_a_missing_teacher_is_named_before_anything_is_read(tmp_path):
    path = _recipe(tmp_path / "mine.yaml", tmp_path / "gone.keras")
    with pytest.raises(InputError, match=r"mine\.yaml: training\.teacher\.model: there is no file"):
        workflows.train_recipe(path, tmp_path / "no_data", tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("share", [0.0, 1.1])
def test_a_share_outside_its_range_is_refused(tmp_path, share):
    path = _recipe(tmp_path / "mine.yaml", tmp_path / "gone.keras", share=share)
    with pytest.raises(InputError, match=rf"training\.teacher\.share: .*got {share}"):
        workflows.train_recipe(path, tmp_path / "no_data", tmp_path / "run")
