"""Framings are checked, described, and written as JSON."""

import json
import math

import pytest

from keras_faramtn.errors import InputError
from keras_faramtn.framing import (
    BOX_FRAMING,
    CELEBA_FRAMING,
    FRAMINGS,
    AlignedFraming,
    BoxFraming,
    describe_framing,
    framing_from_json,
    framing_named,
    framing_to_json,
    with_aspect,
)


@pytest.mark.parametrize("framing", FRAMINGS.values(), ids=FRAMINGS)
def test_a_framing_is_equal_after_json(framing):
    assert framing_from_json(json.loads(json.dumps(framing_to_json(framing)))) == framing


def test_celeba_is_framed_by_its_published_mean_landmarks():
    # Eyes, and corners of the mouth, rounded to pixels, as published with StyleGAN's CelebA code.
    assert CELEBA_FRAMING.aspect == pytest.approx(178 / 218)
    for point, published in (
        (CELEBA_FRAMING.left_eye, (69, 111)),
        (CELEBA_FRAMING.right_eye, (108, 111)),
        (CELEBA_FRAMING.mouth, ((72 + 105) / 2, 152)),
    ):
        assert math.dist((point[0] * 178, point[1] * 218), published) < 0.6


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"kind": "oval"},
        {"kind": "box", "aspect": 1.0, "top_left": [0, 0]},
        {"kind": "box", "aspect": 1.0, "top_left": [0, 0, 0], "bottom_right": [1, 1]},
        {"kind": "box", "aspect": 1.0, "top_left": [0, 0], "bottom_right": [1, "a"]},
        {"kind": "box", "aspect": 1.0, "top_left": [0, 0], "bottom_right": 1},
        {"kind": "box", "aspect": 1.0, "top_left": [0, 0], "bottom_right": [1, 1], "mouth": [1, 1]},
        {"kind": "box", "aspect": 0, "top_left": [0, 0], "bottom_right": [1, 1]},
        {"kind": "box", "aspect": math.nan, "top_left": [0, 0], "bottom_right": [1, 1]},
        {"kind": "box", "aspect": 1, "top_left": [0, 0], "bottom_right": [1, math.inf]},
        [],
    ],
)
def test_an_impossible_framing_is_refused(content):
    with pytest.raises(InputError, match=r"framing of face crops|no face can be framed"):
        framing_from_json(content)


def test_points_in_the_wrong_order_are_refused():
    with pytest.raises(InputError, match="no face can be framed"):
        AlignedFraming(1.0, (0.6, 0.4), (0.3, 0.4), (0.5, 0.7))  # the person's left
    with pytest.raises(InputError, match="no face can be framed"):
        AlignedFraming(1.0, (0.3, 0.4), (0.6, 0.7), (0.5, 0.6))
    with pytest.raises(InputError, match="no face can be framed"):
        BoxFraming(1.0, (0.3, 0.8), (0.6, 0.4))


def test_an_unknown_name_is_refused():
    with pytest.raises(InputError, match=r"no framing 'lfw'; choose one of celeba, box\."):
        framing_named("lfw")


def test_the_description_names_kind_and_positions():
    assert "61 %" in describe_framing(CELEBA_FRAMING)
    assert describe_framing(BOX_FRAMING).startswith("box: ")
    assert describe_framing(None) == "unknown"


@pytest.mark.parametrize("framing", FRAMINGS.values(), ids=FRAMINGS)
@pytest.mark.parametrize("aspect", [0.5, 1.0, 1.7])
def test_a_crop_of_another_aspect_shows_more_and_is_not_stretched(framing, aspect):
    wider = with_aspect(framing, aspect)
    # With heights 1 and `height`, the same points are at the same distances from the centre.
    height = max(1.0, framing.aspect / aspect)
    for name, point in vars(framing).items():
        if name != "aspect":
            x, y = getattr(wider, name)
            before = ((point[0] - 0.5) * framing.aspect, point[1] - 0.5)
            assert ((x - 0.5) * aspect * height, (y - 0.5) * height) == pytest.approx(before)
            assert abs(x - 0.5) <= abs(point[0] - 0.5) + 1e-9
    assert wider.aspect == aspect
