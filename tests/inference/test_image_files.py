import numpy as np
import pytest
from PIL import Image
from scenes import compose

from keras_faramtn.attributes import single_group
from keras_faramtn.framing import CELEBA_FRAMING
from keras_faramtn.inference.image_files import predict_files
from keras_faramtn.inference.predictor import Predictor
from keras_faramtn.model_record import ModelRecord
from keras_faramtn.synthetic.faces import draw_faces


def predictor(framing):
    record = ModelRecord(single_group(["red"]), framing)
    return Predictor(record, (30, 24), lambda images: images[:, 15, 12, :1] / np.float32(255), 4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four face crops and three photographs, in the order of their names."""
    folder = tmp_path_factory.mktemp("images")
    for number, face in enumerate(draw_faces(4, (218, 178), seed=3)):
        Image.fromarray(face).save(folder / f"crop{number}.png")
    for number in range(3):
        photograph, _ = compose(40 + number, (400, 300), 2, face_sizes=(60, 80))
        photograph.save(folder / f"photograph{number}.png")
    return folder


def warnings(caplog, folder, *names, framing=CELEBA_FRAMING):
    caplog.clear()
    paths = [folder / name for name in names]
    results = list(predict_files(predictor(framing), paths))
    assert [path for path, _ in results] == paths
    return caplog.messages


def test_the_first_photograph_is_named_once(folder, caplog):
    names = ["crop0.png", "photograph0.png", "photograph1.png"]
    (message,) = warnings(caplog, folder, *names)
    assert message.startswith(f"{folder / 'photograph0.png'}: it shows ")
    assert "use --detect" in message


def test_face_crops_are_no_reason_to_warn(folder, caplog):
    assert not warnings(caplog, folder, *(f"crop{number}.png" for number in range(4)))


@pytest.mark.parametrize(("position", "expected"), [(0, 1), (1, 0), (2, 1), (3, 0), (4, 1)])
def test_the_first_the_middle_and_the_last_image_are_checked(folder, caplog, position, expected):
    names = [f"crop{number}.png" for number in range(4)]
    names.insert(position, "photograph0.png")
    assert len(warnings(caplog, folder, *names)) == expected


def test_an_unknown_framing_can_not_be_checked(folder, caplog):
    assert not warnings(caplog, folder, "photograph0.png", framing=None)
