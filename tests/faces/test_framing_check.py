import re
from pathlib import Path

import pytest
from PIL import Image
from scenes import DRAWN_FRAMING, compose

from keras_faramtn.faces.detector import FaceDetector
from keras_faramtn.faces.framing_check import framing_problem, warn_of_framing
from keras_faramtn.framing import BoxFraming
from keras_faramtn.synthetic.faces import draw_faces

DETECTOR = FaceDetector()
DRAWN_BOX = BoxFraming(DRAWN_FRAMING.aspect, (0.225, 0.32), (0.775, 0.77))
FACES = [Image.fromarray(pixels) for pixels in draw_faces(4, (218, 178), seed=3)]


@pytest.mark.parametrize("framing", [DRAWN_FRAMING, DRAWN_BOX], ids=["aligned", "box"])
@pytest.mark.parametrize("image", FACES, ids=range(4))
def test_face_crops_have_no_problem(image, framing):
    assert framing_problem(image, framing, DETECTOR) is None
    assert framing_problem(image.resize((60, 50)), framing, DETECTOR) is None


@pytest.mark.parametrize("framing", [DRAWN_FRAMING, DRAWN_BOX], ids=["aligned", "box"])
def test_a_face_that_is_elsewhere_or_of_another_size_is_a_problem(framing):
    shifted = Image.new("RGB", (260, 300), "grey")
    shifted.paste(FACES[0], (82, 82))
    small = Image.new("RGB", (400, 490), "grey")
    small.paste(FACES[1], (111, 136))
    close = FACES[2].crop((40, 60, 138, 180))
    problem = framing_problem(shifted, framing, DETECTOR)
    assert problem.endswith("away from where faces are in the training images")
    for image, low, high in ((small, 0.38, 0.52), (close, 1.7, 2.1)):
        size = re.search(r"has (\d\.\d) times the size", framing_problem(image, framing, DETECTOR))
        assert low <= float(size[1]) <= high


def test_no_face_and_several_faces_are_problems():
    assert framing_problem(Image.new("RGB", (1, 1)), DRAWN_FRAMING, DETECTOR) == "it shows no face"
    several, faces = compose(2, (1200, 800), 3, face_sizes=(150, 200), max_angle=0)
    assert len(faces) == 3
    assert framing_problem(several, DRAWN_FRAMING, DETECTOR) == "it shows 3 faces"


def test_a_second_face_beside_a_framed_one_is_no_problem():
    image = FACES[0].resize((712, 872))
    image.paste(FACES[1].resize((150, 184)), (0, 0))
    assert len(DETECTOR.detect(image)) == 2
    assert framing_problem(image, DRAWN_FRAMING, DETECTOR) is None
    assert image.size == (712, 872)  # not reduced itself


def test_only_an_image_in_another_framing_is_warned_of(caplog):
    assert not warn_of_framing(Path("face.png"), FACES[0], DRAWN_FRAMING, DETECTOR)
    assert not caplog.messages
    assert warn_of_framing(Path("sea.png"), Image.new("RGB", (90, 70)), DRAWN_FRAMING, DETECTOR)
    [message] = caplog.messages
    assert message.startswith("sea.png: it shows no face, so predictions are unreliable")
