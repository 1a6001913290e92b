"""The page's image operations, bit for bit those that Python uses."""

import base64

import numpy as np
import pytest
from PIL import Image

from keras_faramtn.faces.alignment import crop_face
from keras_faramtn.faces.blazeface.suppression import merge_detections
from keras_faramtn.faces.face import Face
from keras_faramtn.framing import CELEBA_FRAMING, BoxFraming, framing_to_json

SIZE = (64, 48)


@pytest.fixture
def transform(visit):
    """Transforms an image, uint8 `(height, width, 3)`, by a JavaScript expression with `image`."""
    page = visit()

    def run(module, expression, pixels, argument=None):
        rgba = np.dstack([pixels, np.full(pixels.shape[:2], 255, "uint8")])
        result = page.evaluate(
            """async ([module, expression, encoded, [height, width], argument]) => {
                const bytes = Uint8ClampedArray.from(atob(encoded), (c) => c.charCodeAt(0));
                const image = new ImageData(bytes, width, height);
                const { data, ...size } = await (await import(`./${module}`))[expression](
                    image, ...argument);
                return [[...data], size.height, size.width];
            }""",
            [module, expression, base64.b64encode(rgba).decode(), pixels.shape[:2], argument],
        )
        data, height, width = result
        return np.reshape(data, (height, width, 4))[..., :3]

    return run


def _noise(*size):
    return np.random.default_rng(0).integers(0, 256, (*size, 3), dtype="uint8")


def _box(left, top, right, bottom):
    return {"left": left, "top": top, "right": right, "bottom": bottom}


@pytest.mark.parametrize("size", [(431, 357), (64, 48), (65, 47), (20, 31), (1, 1), (700, 33)])
def test_resizing_equals_that_of_pillow(transform, size):
    pixels = _noise(*size)
    height, width = SIZE
    rows = Image.fromarray(pixels).resize((width, size[0]), Image.Resampling.BILINEAR)
    expected = np.asarray(rows.resize((width, height), Image.Resampling.BILINEAR))
    actual = transform("resize.js", "resize", pixels, [width, height])
    np.testing.assert_array_equal(actual, expected)
    # In one call, Pillow 13 resizes tall images by columns first, and rounds in between.
    at_once = Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR)
    assert np.abs(actual - np.asarray(at_once, int)).max() <= 1


@pytest.mark.parametrize("box", [(0, 0, 331, 257), (3.3, 20.7, 230.9, 200.2), (300, 9.5, 331, 250)])
def test_resizing_a_box_in_two_steps_equals_that_of_pillow(transform, box):
    pixels, size = _noise(257, 331), (40, 33)
    actual = transform("resize.js", "resizeInTwoSteps", pixels, [*size, _box(*box), 2])
    expected = Image.fromarray(pixels).resize(
        size, Image.Resampling.BILINEAR, box=box, reducing_gap=2
    )
    assert np.abs(actual - np.asarray(expected, int)).max() <= 1


@pytest.mark.parametrize("factor", [(1, 1), (2, 2), (3, 5), (7, 1)])
def test_reducing_equals_that_of_pillow(transform, factor):
    pixels, box = _noise(83, 61), (4, 3, 60, 81)
    actual = transform("reduce.js", "reduce", pixels, [*factor, _box(*box)])
    np.testing.assert_array_equal(actual, np.asarray(Image.fromarray(pixels).reduce(factor, box)))


@pytest.mark.parametrize("framing", [CELEBA_FRAMING, BoxFraming(0.8, (0.3, 0.2), (0.7, 0.9))])
@pytest.mark.parametrize("size", [14, 60, 300])  # enlarged, reduced, reduced in two steps
@pytest.mark.parametrize("centre", [(170, 120), (5, 245)])  # the latter is cut by two edges
def test_face_crops_equal_those_of_python(transform, framing, size, centre):
    pixels = np.asarray(Image.fromarray(_noise(32, 41)).resize((331, 257)))
    x, y = centre
    face = Face(
        *(x - size / 2, y - 0.6 * size, x + 0.45 * size, y + 0.5 * size, 0.9),
        left_eye=(x - 0.2 * size, y - 0.2 * size),
        right_eye=(x + 0.22 * size, y - 0.12 * size),
        nose=centre,
        mouth=(x - 0.04 * size, y + 0.21 * size),
    )
    points = {"leftEye": face.left_eye, "rightEye": face.right_eye, "mouth": face.mouth}
    in_javascript = _box(*face.box) | points
    height, width = SIZE
    actual = transform(
        *("alignment.js", "cropFace", pixels),
        [in_javascript, framing_to_json(framing), width, height],
    )
    expected = crop_face(Image.fromarray(pixels), face, framing, SIZE)
    # Differences of 1e-13 in the coordinates may change how a value is truncated.
    assert np.abs(actual - expected.astype(int)).max() <= 1
    assert (actual == expected).mean() > 0.999


def test_repeated_detections_are_merged_as_in_python(visit):
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 100, (60, 8, 2))
    points[:, 1] = points[:, 0] + rng.uniform(-5, 50, (60, 2))  # some boxes have no area
    scores = rng.random(60)
    merged = visit().evaluate(
        """async (detections) =>
            (await import("./suppression.js")).mergeDetections(detections)""",
        [{"points": p, "score": s} for p, s in zip(points.tolist(), scores.tolist(), strict=True)],
    )
    expected, best = merge_detections(points, scores)
    assert 10 < len(expected) < 60
    np.testing.assert_allclose([each["points"] for each in merged], expected)
    np.testing.assert_allclose([each["score"] for each in merged], best)
