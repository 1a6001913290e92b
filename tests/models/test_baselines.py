import pytest
from harness import GROUPS, IMAGE_SIZE, check_model

from keras_faramtn.attributes import CELEBA_ATTRIBUTES, FACE_REGIONS
from keras_faramtn.errors import InputError
from keras_faramtn.models import MultiLabel, MultiTask, groups_of

SMALL = "mobilenetv3_small"
SHAPE = (*IMAGE_SIZE, 3)


@pytest.mark.slow
def test_multi_label_passes_the_harness(tmp_path):
    check_model(lambda: MultiLabel(SMALL, GROUPS.attributes, SHAPE), folder=tmp_path, backends=())


@pytest.mark.slow
def test_multi_task_passes_the_harness(tmp_path):
    check_model(lambda: MultiTask(SMALL, GROUPS, SHAPE), folder=tmp_path)


def test_the_default_attributes_are_those_of_celeba():
    assert groups_of(MultiLabel(SMALL, input_shape=SHAPE)).attributes == CELEBA_ATTRIBUTES
    assert groups_of(MultiTask(SMALL, input_shape=SHAPE)) == FACE_REGIONS


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ("Smiling", "attributes must be a list of names; got the string 'Smiling'"),
        (["Smiling", "Smiling"], "attributes must be a list of distinct names"),
        ([], "attributes must be a list of distinct names"),
        (["Smiling", 3], "attributes must be a list of distinct names"),
        (None, "attributes must be a list of distinct names"),
    ],
)
def test_invalid_attributes_raise_input_error(attributes, message):
    with pytest.raises(InputError, match=message):
        MultiLabel(SMALL, attributes, SHAPE)
