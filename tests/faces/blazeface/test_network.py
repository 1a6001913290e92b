from importlib.resources import files

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

import keras_faramtn.faces.blazeface as blazeface
from keras_faramtn.faces.blazeface.network import FULL_RANGE, SHORT_RANGE, BlazeFaceNetwork

# Of MediaPipe's graphs face_detection_{short,full}_range: the stride of each layer of anchors, and
# the anchors that SsdAnchorsCalculator makes for it at each position.
LAYERS = {
    "short_range.tflite": [(8, 2), (16, 2), (16, 2), (16, 2)],
    "full_range.tflite": [(4, 1)],
}


def reference(file, size, pixels):
    """Points and scores by loops over the outputs, in the order of MediaPipe's anchors."""
    interpreter = Interpreter(str(files(blazeface) / file))
    interpreter.allocate_tensors()
    interpreter.set_tensor(
        interpreter.get_input_details()[0]["index"], np.float32(pixels)[None] / 127.5 - 1
    )
    interpreter.invoke()
    outputs = [
        interpreter.get_tensor(each["index"])[0] for each in interpreter.get_output_details()
    ]
    coordinates, logits = sorted(outputs, key=lambda output: -output.shape[-1])
    strides = sorted({stride for stride, _ in LAYERS[file]})
    points, scores = [], []
    for stride in strides:
        repeats = sum(count for each, count in LAYERS[file] if each == stride)
        for row in range(size // stride):
            for column in range(size // stride):
                anchor = np.array([column + 0.5, row + 0.5]) * stride
                for _ in range(repeats):
                    (x, y), (width, height), *landmarks = coordinates[len(points)].reshape(8, 2)
                    half = np.array([width, height]) / 2
                    centre = anchor + np.array([x, y])
                    corners = [centre - half, centre + half]
                    points.append([*corners, *(anchor + each for each in landmarks)])
                    scores.append(1 / (1 + np.exp(-float(logits[len(scores), 0]))))
    assert len(points) == len(coordinates)
    return np.array(points) / size, np.array(scores)


@pytest.mark.parametrize("kind", [SHORT_RANGE, FULL_RANGE], ids=lambda kind: kind.file)
def test_outputs_are_decoded_with_the_anchors_of_mediapipe(kind):
    pixels = np.random.default_rng(0).integers(0, 256, (kind.size, kind.size, 3), dtype="uint8")
    points, scores = BlazeFaceNetwork(kind).run(pixels)
    expected_points, expected_scores = reference(kind.file, kind.size, pixels)
    np.testing.assert_allclose(points, expected_points, atol=1e-5)
    np.testing.assert_allclose(scores, expected_scores, atol=1e-6)


@pytest.mark.parametrize("kind", [SHORT_RANGE, FULL_RANGE], ids=lambda kind: kind.file)
@pytest.mark.parametrize("value", [0, 255])
def test_images_of_one_colour_show_no_face(kind, value):
    _, scores = BlazeFaceNetwork(kind).run(np.full((kind.size, kind.size, 3), value, "uint8"))
    assert np.all((scores >= 0) & (scores < 0.3))
