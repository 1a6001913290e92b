import math

import numpy as np
import pytest
from PIL import ExifTags, Image
from scenes import compose

from keras_faramtn.attributes import single_group
from keras_faramtn.errors import InputError
from keras_faramtn.faces.alignment import crop_face
from keras_faramtn.faces.detector import FaceDetector
from keras_faramtn.framing import BOX_FRAMING, CELEBA_FRAMING
from keras_faramtn.inference.photographs import (
    PhotographPrediction,
    describe_photograph,
    predict_photographs,
)
from keras_faramtn.inference.predictor import Predictor
from keras_faramtn.model_record import ModelRecord

SIZE = (30, 24)  # of the crops: height and width
COUNTS = {"a_three.png": 3, "b_none.png": 0, "c_one.png": 1, "d_two.png": 2, "e_none.png": 0}


def colours(images):
    """The mean of each channel, in 0..1."""
    return images.mean(axis=(1, 2), dtype="float32") / 255


def predictor(batch_size=2, framing=CELEBA_FRAMING):
    record = ModelRecord(single_group(["red", "green", "blue"]), framing)
    return Predictor(record, SIZE, colours, batch_size)


@pytest.fixture(scope="module")
def scenes():
    """Photographs and the faces in them, by file name."""
    return {
        name: compose(number, (400, 300), count, face_sizes=(50, 80), max_angle=15)
        for number, (name, count) in enumerate(COUNTS.items(), start=20)
    }


@pytest.fixture
def folder(scenes, tmp_path):
    for name, (photograph, _) in scenes.items():
        photograph.save(tmp_path / name)
    return tmp_path


def nearest(faces, placed):
    """Of the detected faces, the one whose eye is nearest to that of a face in the scene."""
    return min(faces, key=lambda each: math.dist(each.left_eye, placed.left_eye))


def test_each_face_is_found_cropped_and_predicted(scenes, folder):
    results = list(predict_photographs(predictor(), [folder]))
    assert [result.path for result in results] == [folder / name for name in COUNTS]
    for result in results:
        photograph, placed = scenes[result.path.name]
        faces = [each.face for each in result.faces]
        assert faces == FaceDetector().detect(photograph)
        assert [each.index for each in result.faces] == list(range(1, len(faces) + 1))
        sides = [face.right - face.left for face in faces]
        assert sides == sorted(sides, reverse=True)
        for true in placed:
            assert math.dist(nearest(faces, true).left_eye, true.left_eye) < 0.15 * true.size
        for each in result.faces:
            expected = crop_face(photograph, each.face, CELEBA_FRAMING, SIZE).mean(axis=(0, 1))
            assert list(each.probabilities) == ["red", "green", "blue"]
            found = 255 * np.array(list(each.probabilities.values()))
            np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize("batch_size", [1, 7])
def test_the_batch_size_changes_nothing(folder, batch_size):
    assert list(predict_photographs(predictor(batch_size), [folder])) == list(
        predict_photographs(predictor(), [folder])
    )


def test_a_photograph_is_turned_upright(scenes, tmp_path):
    photograph, _ = scenes["c_one.png"]
    photograph.save(tmp_path / "upright.png")
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # to be rotated clockwise for display
    turned = photograph.transpose(Image.Transpose.ROTATE_90)
    turned.save(tmp_path / "turned.png", exif=exif)
    turned, upright = predict_photographs(predictor(), [tmp_path])
    assert turned.faces == upright.faces
    assert upright.faces


def test_a_framing_can_be_specified_and_must_be_known(folder):
    with pytest.raises(InputError, match=r"does not record how.*--framing celeba"):
        predict_photographs(predictor(framing=None), [folder])
    boxes, eyes = (
        next(predict_photographs(predictor(framing=None), [folder / "c_one.png"], framing=framing))
        for framing in (BOX_FRAMING, CELEBA_FRAMING)
    )
    assert boxes.faces[0].face == eyes.faces[0].face
    assert boxes.faces[0].probabilities != eyes.faces[0].probabilities


def test_bad_photographs_are_named_and_can_be_skipped(folder, caplog):
    content = (folder / "a_three.png").read_bytes()
    (folder / "damaged.png").write_bytes(content[: len(content) // 2])
    (folder / "text.jpg").write_text("not an image")
    (folder / "b_none.png").unlink()
    with pytest.raises(InputError, match=r"damaged\.png: this file can't be read"):
        list(predict_photographs(predictor(), [folder]))
    results = list(predict_photographs(predictor(), [folder], skip_bad=True))
    assert [result.path.name for result in results] == [
        "a_three.png",
        "c_one.png",
        "d_two.png",
        "e_none.png",
    ]
    assert "text.jpg" in caplog.text
    assert "2 of 6 images were skipped" in caplog.text


def test_images_of_odd_sizes_and_kinds(scenes, tmp_path):
    photograph, _ = scenes["c_one.png"]
    Image.new("RGB", (1, 1)).save(tmp_path / "a.png")
    Image.new("L", (5000, 3), 99).save(tmp_path / "b.png")
    photograph.convert("L").save(tmp_path / "c.png")
    photograph.convert("L").convert("RGBA").save(tmp_path / "d.png")
    photograph.convert("L").save(tmp_path / "e.webp", lossless=True)
    results = list(predict_photographs(predictor(), [tmp_path]))
    assert [bool(result.faces) for result in results] == [False, False, True, True, True]
    assert results[2].faces == results[3].faces == results[4].faces


def test_there_is_a_line_for_each_face(folder):
    with_faces, without, *_ = predict_photographs(predictor(), [folder])
    lines = list(describe_photograph(with_faces, dict.fromkeys(["red", "green", "blue"], 1.0)))
    assert lines == [
        f"{folder / 'a_three.png'}, face {each.index} of {len(with_faces.faces)}: "
        "no attribute above its threshold"
        for each in with_faces.faces
    ]
    (line,) = describe_photograph(PhotographPrediction(without.path, ()))
    assert line == f"{folder / 'b_none.png'}: no face found"


def test_many_threads_find_the_same_faces(scenes, folder):
    """Detectors of several threads at once don't disturb each other."""
    files = [folder / name for name in COUNTS] * 6
    detector = FaceDetector()
    expected = [detector.detect(scenes[path.name][0]) for path in files[: len(COUNTS)]] * 6
    results = predict_photographs(predictor(batch_size=16), files)
    found = [[each.face for each in result.faces] for result in results]
    assert found == expected
