"""Framings are measured in drawn faces, whose positions the drawing knows."""

import logging

import numpy as np
import pytest
from PIL import Image
from scenes import DRAWN_FRAMING

from keras_faramtn import measure_framing, read_dataset, synthesize
from keras_faramtn.errors import InputError
from keras_faramtn.framing import AlignedFraming, BoxFraming


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """The table of drawn faces."""
    folder = tmp_path_factory.mktemp("drawn") / "faces"
    return read_dataset(synthesize(folder, 24, image_size=(240, 200), seed=5, progress=False))


def _changed(table, folder, change):
    """The images after a change, which gets the number of each."""
    paths = [folder / f"{row}.png" for row in range(len(table))]
    for row, path in enumerate(paths):
        change(row, Image.open(table.paths[row])).save(path)
    return paths


def test_eyes_and_mouth_of_drawn_faces(drawn, caplog):
    with caplog.at_level(logging.INFO):
        framing = measure_framing(drawn)
    assert isinstance(framing, AlignedFraming)
    assert framing.aspect == pytest.approx(200 / 240, abs=1e-4)
    for name in ("left_eye", "right_eye", "mouth"):
        # The drawing scales faces to its frame of 178 x 218 pixels.
        expected = getattr(DRAWN_FRAMING, name)
        np.testing.assert_allclose(getattr(framing, name), expected, atol=0.03)
    assert "measured in 24 images: aligned" in caplog.text
    assert measure_framing(list(map(str, drawn.paths))) == framing


def test_the_framing_of_changed_images_is_changed_likewise(drawn, tmp_path):
    before = measure_framing(drawn)

    def cut(row, image):  # a tenth of the width on the right, and of the height above
        return image.crop((0, 24, 180, 240)).resize((300, 300))

    after = measure_framing(_changed(drawn, tmp_path, cut))
    assert after.aspect == 1
    for name in ("left_eye", "right_eye", "mouth"):
        x, y = getattr(before, name)
        expected = x * 200 / 180, (y * 240 - 24) / 216
        np.testing.assert_allclose(getattr(after, name), expected, atol=0.03)


def test_rotated_faces_in_the_same_box_have_a_box_framing(drawn, tmp_path):
    def rotate(row, image):
        square = image.crop((0, 30, 200, 230))
        return square.rotate(-40 if row % 2 else 40, Image.Resampling.BICUBIC, fillcolor="grey")

    framing = measure_framing(_changed(drawn, tmp_path, rotate))
    assert isinstance(framing, BoxFraming)
    assert framing.top_left < (0.35, 0.4) < framing.bottom_right


def test_photographs_with_faces_anywhere_have_no_framing(drawn, tmp_path, caplog):
    rng = np.random.default_rng(1)

    def place(row, image):
        width = int(rng.integers(130, 360))
        photograph = Image.new("RGB", (640, 520), "teal")
        size = (width, width * 6 // 5)
        photograph.paste(image.resize(size), tuple(rng.integers(0, [640 - width, 520 - size[1]])))
        return photograph

    with caplog.at_level(logging.INFO):
        assert measure_framing(_changed(drawn, tmp_path, place)) is None
    assert "unknown" in caplog.text
    assert "different positions" in caplog.text


def test_images_without_faces_have_no_framing(tmp_path, caplog):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 50, 40, 3), dtype="uint8")
    paths = [tmp_path / f"{number}.png" for number in range(len(pixels))]
    for path, image in zip(paths, pixels, strict=True):
        Image.fromarray(image).save(path)
    with caplog.at_level(logging.INFO):
        assert measure_framing(paths) is None
    assert "a face was found in 0 of 6 images" in caplog.text


def test_missing_images_are_reported(tmp_path):
    with pytest.raises(InputError, match=r"missing\.png"):
        measure_framing([tmp_path / "missing.png"])
    with pytest.raises(InputError, match="there is no image to measure"):
        measure_framing([])
