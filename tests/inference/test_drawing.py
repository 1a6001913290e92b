import numpy as np
import pytest
from PIL import Image
from scenes import compose

from keras_faramtn.attributes import CELEBA_ATTRIBUTES
from keras_faramtn.faces.face import Face
from keras_faramtn.inference.drawing import draw_predictions
from keras_faramtn.inference.photographs import FacePrediction


def scene(size, count, face_sizes, seed=2):
    """A photograph, its faces with random probabilities, and their boxes."""
    photograph, placed = compose(seed, size, count, face_sizes=face_sizes)
    rng = np.random.default_rng(seed)
    predictions = []
    for number, each in enumerate(placed, start=1):
        (x, y), half = each.centre, each.size / 2
        face = Face(
            x - half,
            y - half,
            x + half,
            y + half,
            0.9,
            each.left_eye,
            each.right_eye,
            (x, y),
            (x, y),
        )
        probabilities = rng.beta(0.5, 1.5, len(CELEBA_ATTRIBUTES)).tolist()
        predictions.append(
            FacePrediction(number, face, dict(zip(CELEBA_ATTRIBUTES, probabilities, strict=True)))
        )
    return photograph, predictions


def inside(image, face, scale=1):
    """The pixels of a face without the outer tenth, where its frame is."""
    left, top, right, bottom = (scale * side for side in face.box)
    inset = 0.1 * (right - left) + 4
    box = (left + inset, top + inset, right - inset, bottom - inset)
    return np.asarray(image.crop(tuple(map(round, box))))


@pytest.mark.parametrize(
    ("size", "count", "face_sizes"),
    [
        ((200, 200), 1, (80, 120)),
        ((200, 230), 4, (25, 40)),
        ((640, 480), 1, (200, 300)),
        ((640, 480), 12, (30, 60)),
        ((900, 700), 30, (30, 60)),
        ((1500, 120), 5, (40, 70)),
    ],
)
def test_faces_are_not_covered(size, count, face_sizes):
    photograph, predictions = scene(size, count, face_sizes)
    assert predictions
    drawn = draw_predictions(photograph, predictions)
    scale = max(1, -(-640 // max(size)))
    assert drawn.width == scale * size[0]
    assert drawn.height >= scale * size[1]
    enlarged = photograph.resize((scale * size[0], scale * size[1]), Image.Resampling.BICUBIC)
    for each in predictions:
        expected = inside(enlarged, each.face, scale)
        assert expected.size
        np.testing.assert_array_equal(inside(drawn, each.face, scale), expected)
    # Yet the image has changed: boxes, and labels next to them or a legend below.
    changed = np.any(np.asarray(drawn.crop((0, 0, *enlarged.size))) != np.asarray(enlarged), axis=2)
    assert changed.mean() > 0.005


def test_a_face_that_fills_the_photograph_gets_a_legend_below():
    face = Face(0, 0, 500, 400, 0.9, (150, 150), (350, 150), (250, 220), (250, 300))
    photograph = Image.new("RGB", (500, 400), "white")
    drawn = draw_predictions(photograph, [FacePrediction(1, face, {"Smiling": 0.93})])
    assert drawn.width == 1000
    assert drawn.height > 800
    assert np.asarray(drawn.crop((40, 40, 960, 760))).min() == 255
    legend = np.asarray(drawn.crop((0, 800, *drawn.size)))
    assert legend.max() == 255  # white text
    assert np.median(legend) < 32  # on black


def test_hundreds_of_crowded_faces_get_numbers_and_a_legend():
    predictions = []
    for number in range(1, 301):
        x, y = 10 + 31 * ((number - 1) % 20), 10 + 31 * ((number - 1) // 20)
        face = Face(x, y, x + 30, y + 30, 0.9, (x, y), (x, y), (x, y), (x, y))
        predictions.append(FacePrediction(number, face, dict.fromkeys(CELEBA_ATTRIBUTES, 0.9)))
    drawn = draw_predictions(Image.new("RGB", (640, 480), "white"), predictions)
    assert drawn.width == 640
    assert drawn.height > 480
    assert np.asarray(drawn.crop((0, 470, 640, 480))).max() == 255


def test_thresholds_select_the_attributes():
    photograph = Image.new("RGB", (700, 500))
    face = Face(300, 200, 380, 290, 0.9, (320, 230), (360, 230), (340, 250), (340, 270))

    def draw(thresholds):
        prediction = FacePrediction(1, face, {"Bald": 0.3, "Smiling": 0.9})
        return np.asarray(draw_predictions(photograph, [prediction], thresholds))

    only_smiling = draw(None)
    assert np.array_equal(only_smiling, draw({"Bald": 0.5, "Smiling": 0.5}))
    both = draw({"Bald": 0.2, "Smiling": 0.5})
    assert (both.max(axis=2) > 200).sum() > (only_smiling.max(axis=2) > 200).sum()


@pytest.mark.parametrize("size", [(1, 1), (3, 2000), (2000, 3), (40, 60)])
def test_long_names_and_odd_sizes_are_drawn(size):
    width, height = size
    face = Face(-5, -5, width + 5, height + 5, 0.9, (0, 0), (1, 0), (0, 1), (0, 1))
    predictions = [FacePrediction(n, face, {"long_name_" * 30: 0.9}) for n in (1, 2)]
    drawn = draw_predictions(Image.new("RGB", size), predictions)
    assert drawn.mode == "RGB"
    assert drawn.height > height


def test_the_photograph_itself_is_not_changed():
    photograph, predictions = scene((700, 500), 3, (60, 90))
    before = np.array(photograph)
    draw_predictions(photograph, predictions)
    np.testing.assert_array_equal(photograph, before)
