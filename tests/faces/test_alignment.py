"""Crops are compared with closed forms, and with Pillow's own resizing."""

import math

import numpy as np
import pytest
from PIL import Image

from keras_faramtn.errors import InputError
from keras_faramtn.faces import alignment
from keras_faramtn.faces.alignment import crop_face
from keras_faramtn.faces.face import Face
from keras_faramtn.framing import CELEBA_FRAMING, AlignedFraming, BoxFraming

FRAMING = AlignedFraming(0.8, (0.3, 0.4), (0.65, 0.38), (0.5, 0.7))
BOX = BoxFraming(0.8, (0.2, 0.3), (0.8, 0.75))


def _face(left_eye, right_eye, mouth, box=(0, 0, 1, 1)):
    return Face(*map(float, box), 0.9, tuple(left_eye), tuple(right_eye), (0.0, 0.0), tuple(mouth))


def _framed_in(framing, points):
    """A face whose eyes and mouth are at these points of the framing, mapped to a photograph."""
    return _face(*(points(np.array(point)) for point in framing))


def _dots(size, points, radius):
    """A photograph in which the red, green and blue channel each have a round spot at a point."""
    width, height = size
    x, y = np.arange(width) + 0.5, np.arange(height)[:, None] + 0.5
    channels = [
        255 * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * radius**2)) for px, py in points
    ]
    return Image.fromarray(np.stack(channels, axis=-1).round().astype("uint8"))


def _centroids(crop):
    """The centre of each channel's spot, as fractions of the crop's width and height, `(3, 2)`."""
    weights = crop.astype(float) * (crop > 25)
    height, width, _ = crop.shape
    total = weights.sum(axis=(0, 1))
    x = (weights.sum(axis=0) * (np.arange(width)[:, None] + 0.5)).sum(axis=0) / total / width
    y = (weights.sum(axis=1) * (np.arange(height)[:, None] + 0.5)).sum(axis=0) / total / height
    return np.stack([x, y], axis=1)


@pytest.mark.parametrize("height", [40, 110, 800], ids="crop of {} pixels".format)
@pytest.mark.parametrize("degrees", [0, 25, -70, 180], ids="{} degrees".format)
def test_eyes_and_mouth_arrive_at_the_points_of_the_framing(height, degrees):
    expected = np.array([FRAMING.left_eye, FRAMING.right_eye, FRAMING.mouth])
    angle = math.radians(degrees)
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    side = 2 * height
    points = (expected - 0.5) * [FRAMING.aspect * height, height] @ rotation.T + side / 2 + 3.3
    photograph = _dots((side + 20, side), points, radius=height / 40 + 0.7)
    crop = crop_face(photograph, _face(*points), FRAMING, (120, 100))
    np.testing.assert_allclose(_centroids(crop), expected, atol=0.3 / 100)


def _corners(face, framing):
    """The corners of the crop in the photograph: top left, top right, bottom right, bottom left."""
    return alignment._corners(alignment._SOURCES[type(framing)](face, framing))


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_other_channels_are_refused(mode):
    face = _face((15, 15), (25, 15), (20, 25))
    with pytest.raises(InputError, match=f"the image has the mode {mode}"):
        crop_face(Image.new(mode, (40, 40)), face, CELEBA_FRAMING, (8, 8))


def test_the_name_of_a_framing_is_refused():
    face = _face((15, 15), (25, 15), (20, 25))
    with pytest.raises(InputError, match="'celeba' is not a framing"):
        crop_face(Image.new("RGB", (40, 40)), face, "celeba", (8, 8))


def test_a_face_of_other_proportions_is_fitted_by_least_squares():
    rng = np.random.default_rng(3)
    source = np.array([[61.0, 50.0], [98.0, 63.0], [70.0, 105.0]])
    for points in source + rng.normal(scale=4, size=(5, 3, 2)):
        # x = a u - b v + c and y = b u + a v + d for each point (u, v) of the crop.
        target = np.array([FRAMING.left_eye, FRAMING.right_eye, FRAMING.mouth]) * [0.8, 1]
        rows = [row for u, v in target for row in ([u, -v, 1, 0], [v, u, 0, 1])]
        a, b, c, d = np.linalg.lstsq(np.array(rows), points.ravel(), rcond=None)[0]
        corners = np.array([[0, 0], [0.8, 0], [0.8, 1], [0, 1]])
        expected = corners @ [[a, b], [-b, a]] + [c, d]
        np.testing.assert_allclose(_corners(_face(*points), FRAMING), expected)


def test_a_box_keeps_its_centre_its_area_and_its_rotation():
    face = _face((0, 0), (1, 0), (0, 1), box=(100, 80, 160, 200))
    top_left, top_right, bottom_right, _ = _corners(face, BOX)
    side = bottom_right - top_left
    assert top_left[1] == top_right[1]
    assert side[0] / side[1] == pytest.approx(0.8)
    inner = np.array([top_left + side * BOX.top_left, top_left + side * BOX.bottom_right])
    np.testing.assert_allclose(inner.mean(axis=0), [130, 140])
    assert np.prod(inner[1] - inner[0]) == pytest.approx(60 * 120)


@pytest.mark.parametrize("scale", [0.3, 1, 2.6, 7.4])
@pytest.mark.parametrize("image_size", [(96, 80), (218, 178), (50, 64)])
def test_the_crop_of_a_whole_image_is_that_image_resized(scale, image_size):
    rng = np.random.default_rng(0)
    patches = Image.fromarray(rng.integers(50, 200, (12, 9, 3), dtype="uint8"))
    width, height = round(89 * scale), round(109 * scale)
    image = patches.resize((width, height), Image.Resampling.BICUBIC)
    framing = AlignedFraming(
        width / height, CELEBA_FRAMING.left_eye, CELEBA_FRAMING.right_eye, CELEBA_FRAMING.mouth
    )
    points = [framing.left_eye, framing.right_eye, framing.mouth]
    face = _face(*((x * width, y * height) for x, y in points))
    crop = crop_face(image, face, framing, image_size)
    resized = image.resize(image_size[::-1], Image.Resampling.BILINEAR)
    difference = np.abs(crop.astype(int) - np.asarray(resized))
    # A large image is first reduced by a whole factor; Pillow's interpolation truncates.
    reduced = min(width / image_size[1], height / image_size[0]) >= 6
    assert difference.max() <= (6 if reduced else 2)
    assert difference.mean() < 1


@pytest.mark.parametrize("degrees", [0, 30])
def test_detail_finer_than_the_crop_is_averaged(degrees):
    fine = np.indices((900, 900)).sum(axis=0) % 2 * 255
    photograph = Image.fromarray(np.repeat(fine[..., None], 3, axis=-1).astype("uint8"))
    angle = math.radians(degrees)
    across, down = np.array([math.cos(angle), math.sin(angle)]), [-math.sin(angle), math.cos(angle)]
    for side in (100, 170, 290, 450):
        face = _framed_in(
            [FRAMING.left_eye, FRAMING.right_eye, FRAMING.mouth],
            lambda point, side=side: (
                450 + side * ((point[0] - 0.5) * 0.8 * across + (point[1] - 0.5) * np.array(down))
            ),
        )
        crop = crop_face(photograph, face, FRAMING, (40, 32)).astype(int)
        assert np.abs(crop - 127).max() < 25, side
        assert np.abs(crop.mean() - 127.5) < 1.5


@pytest.mark.parametrize("height", [60, 700])
def test_beyond_the_edges_the_pixels_at_the_edge_are_repeated(height):
    columns = np.linspace(40, 220, 50)[None, :, None]
    photograph = Image.fromarray(np.broadcast_to(columns, (30, 50, 3)).astype("uint8"))
    photograph = photograph.resize((height, height * 3 // 5), Image.Resampling.NEAREST)
    # The crop extends beyond the left edge by half its width, and beyond top and bottom.
    face = _face((0, 0), (1, 0), (0, 1), box=(-height / 4, 0, height / 4, height / 2))
    crop = crop_face(photograph, face, BoxFraming(1.0, (0.25, 0.25), (0.75, 0.75)), (50, 40))
    np.testing.assert_array_equal(crop[:, :19], 40)
    assert crop[0, 39, 0] > 120
    np.testing.assert_allclose(crop - crop[25], 0, atol=1)


def test_a_face_entirely_outside_and_a_photograph_of_one_pixel():
    photograph = Image.new("RGB", (1, 1), (10, 20, 30))
    for box in ((-50, -50, -20, -20), (400, 5, 500, 90), (0.2, 0.2, 0.8, 0.8)):
        crop = crop_face(photograph, _face((0, 0), (1, 0), (0, 1), box=box), BOX, (6, 5))
        assert crop.shape == (6, 5, 3)
        np.testing.assert_allclose(crop.reshape(-1, 3), [[10, 20, 30]] * 30, atol=1)
