from importlib.resources import files

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

import keras_faramtn.faces.blazeface as blazeface
from keras_faramtn.faces.blazeface.network import BlazeFaceNetwork

SIZE, STRIDE = 192, 4  # of MediaPipe's graph face_detection_full_range


def reference(pixels):
    """Points and scores by loops over the outputs, in the order of MediaPipe's anchors."""
    interpreter = Interpreter(str(files(blazeface) / "full_range.tflite"))
    interpreter.allocate_tensors()
    interpreter.set_tensor(
        interpreter.get_input_details()[0]["index"], np.float32(pixels)[None] / 127.5 - 1
    )
    interpreter.invoke()
    details = interpreter.get_output_details()
    coordinates, logits = (
        next(interpreter.get_tensor(each["index"])[0] for each in details if each["shape"][-1] == n)
        for n in (16, 1)
    )
    points, scores = [], []
    for row in range(SIZE // STRIDE):
        for column in range(SIZE // STRIDE):
            anchor = np.array([column + 0.5, row + 0.5]) * STRIDE
            (x, y), (width, height), *landmarks = coordinates[len(points)].reshape(8, 2)
            half = np.array([width, height]) / 2
            centre = anchor + np.array([x, y])
            points.append([centre - half, centre + half, *(anchor + each for each in landmarks)])
            scores.append(1 / (1 + np.exp(-float(logits[len(scores), 0]))))
    assert len(points) == len(coordinates)
    return np.array(points) / SIZE, np.array(scores)


def test_outputs_are_decoded_with_the_anchors_of_mediapipe():
    network = BlazeFaceNetwork()
    assert network.size == SIZE
    pixels = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype="uint8")
    expected_points, expected_scores = reference(pixels)
    points, scores = network.run(pixels, 0.0)
    np.testing.assert_allclose(points, expected_points, atol=1e-5)
    np.testing.assert_allclose(scores, expected_scores, atol=1e-6)
    middle = np.median(expected_scores)
    points, scores = network.run(pixels, middle)
    np.testing.assert_allclose(points, expected_points[expected_scores >= middle], atol=1e-5)
    assert len(scores) == len(points)


@pytest.mark.parametrize("value", [0, 255])
def test_images_of_one_colour_show_no_face(value):
    points, scores = BlazeFaceNetwork().run(np.full((SIZE, SIZE, 3), value, "uint8"), 0.3)
    assert points.shape == (0, 8, 2)
    assert scores.shape == (0,)
