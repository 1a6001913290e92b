import importlib.util
import os
import subprocess
import sys
import warnings
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from PIL import Image
from scenes import compose
from trained_network import copy_tflite

from keras_faramtn.attributes import CELEBA_ATTRIBUTES, FACE_REGIONS, AttributeGroups
from keras_faramtn.data.images import load_upright
from keras_faramtn.export.gpu_check import SWIFTSHADER
from keras_faramtn.faces.alignment import crop_face
from keras_faramtn.faces.detector import FaceDetector
from keras_faramtn.faces.face import Face
from keras_faramtn.framing import CELEBA_FRAMING
from keras_faramtn.inference.loading import load_predictor
from keras_faramtn.model_record import ModelRecord

STEPS = Path(__file__).parents[2] / "docs" / "android_steps.py"
DETECTOR = str(files("keras_faramtn.faces.blazeface") / "full_range.tflite")
LOW = 0.01  # a threshold


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A trained network, with a framing and thresholds."""
    record = ModelRecord(
        AttributeGroups(FACE_REGIONS, CELEBA_ATTRIBUTES),
        CELEBA_FRAMING,
        thresholds=(LOW,) * 20 + (0.5,) * 20,
    )
    return str(copy_tflite("float32", tmp_path_factory.mktemp("android"), record))


@pytest.fixture(scope="module")
def photograph(tmp_path_factory):
    """Two large faces; its EXIF data requires a rotation."""
    image, placed = compose(11, (900, 700), 2, face_sizes=(160, 240))
    assert len(placed) == 2
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path_factory.mktemp("photographs") / "photograph.jpg"
    image.rotate(90, expand=True).save(path, exif=exif, quality=95)
    return path


@pytest.fixture(scope="module")
def steps():
    spec = importlib.util.spec_from_file_location("android_steps", STEPS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.Network = _Network
    return module


class _Network:
    """In place of the guide's `Network`, which loads GPU drivers into the process of the tests."""

    def __init__(self, file):
        self.interpreter = Interpreter(file)
        self.interpreter.allocate_tensors()
        [self.input] = self.interpreter.get_input_details()
        _, self.height, self.width, _ = self.input["shape"]

    def run(self, values):
        self.interpreter.set_tensor(self.input["index"], values[None])
        self.interpreter.invoke()
        outputs = self.interpreter.get_output_details()
        return [self.interpreter.get_tensor(output["index"]).ravel() for output in outputs]


def _as_face(found):
    points = [tuple(point) for point in found.points.tolist()]
    return Face(*points[0], *points[1], found.score, *points[2:6])


def test_faces_are_among_those_that_python_finds(steps, photograph):
    image = load_upright(photograph)
    found = steps.find_faces(steps.Network(DETECTOR), image)
    assert len(found) == 2
    expected = FaceDetector().detect(image)
    for face in map(_as_face, found):
        nearest = min(expected, key=lambda other: np.abs(np.subtract(other.box, face.box)).max())
        for name in ("left_eye", "right_eye", "mouth"):
            distance = np.subtract(getattr(face, name), getattr(nearest, name))
            # Close-ups differ a little, because the guide finds its candidates at one scale.
            assert np.abs(distance).max() < 0.06 * (face.right - face.left)


@pytest.mark.parametrize("size", [(80, 65), (96, 80)])  # stretched, and with about the aspect
@pytest.mark.parametrize("photograph_size", [(130, 100), (1000, 800)])  # enlarged, and reduced
def test_crops_are_those_of_crop_face(steps, model, photograph, photograph_size, size):
    image = load_upright(photograph).resize(photograph_size)
    attributes = steps.FaceAttributes(model)
    attributes.network.height, attributes.network.width = size
    faces = steps.find_faces(steps.Network(DETECTOR), image)
    assert len(faces) == 2
    for found in faces:
        expected = crop_face(image, _as_face(found), CELEBA_FRAMING, size).astype(float)
        # Of 255: Android has no cubic interpolation, as `crop_face` has. One pixel would cause 8.
        assert np.abs(attributes.crop(image, found) - expected).mean() < 4


def test_predictions_are_those_of_predict(steps, model, photograph):
    image = load_upright(photograph)
    attributes = steps.FaceAttributes(model)
    thresholds = attributes.thresholds
    assert set(thresholds.values()) == {LOW, 0.5}
    faces = steps.find_faces(steps.Network(DETECTOR), image)
    assert len(faces) == 2
    for found in faces:
        crop = crop_face(image, _as_face(found), CELEBA_FRAMING, (96, 80))
        [probabilities] = load_predictor(model).predict(crop[None])
        expected = dict(zip(attributes.attributes, probabilities.tolist(), strict=True))
        predicted = attributes.predict(image, found)
        # The crops differ slightly, as above, and the network is steep for some attributes.
        differences = np.array([value - expected[name] for name, value in predicted])
        assert np.abs(differences).mean() < 0.05
        assert np.abs(differences).max() < 0.25
        assert [value for _, value in predicted] == sorted(dict(predicted).values(), reverse=True)
        clear = {name for name in expected if abs(expected[name] - thresholds[name]) > 0.25}
        assert {name for name, _ in predicted} & clear == {
            name for name in clear if expected[name] > thresholds[name]
        }


@pytest.mark.parametrize("accelerator", ["CPU", "GPU"])
def test_the_program_prints_faces_and_attributes(steps, model, photograph, tmp_path, accelerator):
    driver = tmp_path / "none.json"
    if accelerator == "GPU":
        driver = os.environ.get("VK_DRIVER_FILES", SWIFTSHADER)
        if not Path(driver).is_file():
            message = "NOT TESTED ON A GPU: there is no Vulkan device"
            warnings.warn(message, stacklevel=1)
            pytest.skip(message)
    printed = subprocess.run(
        [sys.executable, STEPS, DETECTOR, model, photograph],
        env=os.environ | {"VK_DRIVER_FILES": str(driver), "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    lines = [line for line in printed.splitlines() if not line.startswith("INFO")]
    assert lines.pop(0) == f"on the {accelerator}"
    image, attributes = load_upright(photograph), steps.FaceAttributes(model)
    for face in steps.find_faces(steps.Network(DETECTOR), image):
        box = lines.pop(0).removeprefix("face at ").split()
        np.testing.assert_allclose([int(side) for side in box], _as_face(face).box, atol=1)
        for name, probability in attributes.predict(image, face):
            shown, value = lines.pop(0).split()
            assert shown == name
            assert float(value) == pytest.approx(probability, abs=0.005)
    assert lines == []


def test_the_guide_has_the_same_steps_in_the_same_order():
    def steps(text, comment):
        lines = map(str.strip, text.splitlines())
        return [line.removeprefix(comment) for line in lines if line.startswith(comment)]

    in_kotlin = steps(STEPS.with_name("android.md").read_text(), "// ")
    in_python = steps(STEPS.read_text(), "# ")
    assert in_kotlin == in_python
    assert len(in_kotlin) == 13
