import numpy as np
import pytest
from PIL import Image

from keras_faramtn.faces.tiles import tiles

SIZE = 192


def with_spot(size, x, y):
    """A black photograph with a white square of 16 pixels around a point."""
    image = Image.new("RGB", size)
    image.paste((255, 255, 255), (x - 8, y - 8, x + 8, y + 8))
    return image


@pytest.mark.parametrize(
    ("size", "spot"), [((900, 620), (450, 310)), ((900, 620), (12, 610)), ((150, 470), (140, 100))]
)
def test_a_spot_is_where_the_tiles_say(size, spot):
    shown = 0
    for tile in tiles(with_spot(size, *spot), SIZE):
        rows, columns = np.nonzero(tile.pixels[..., 0] > 127)
        if not len(rows):
            continue
        box = np.array([[columns.min(), rows.min()], [columns.max() + 1, rows.max() + 1]], float)
        if tile.shows_whole(box[None])[0] and np.all(box > 0) and np.all(box < SIZE):
            shown += 1
            pixel = 1 / tile.scale.min()
            middle = tile.to_photograph(box).mean(axis=0)
            np.testing.assert_allclose(middle, spot, atol=1.5 * pixel)
    assert shown >= 2


@pytest.mark.parametrize("size", [(640, 480), (1200, 1600), (100, 130), (5000, 40), (1, 1)])
def test_the_tiles_of_a_scale_cover_the_photograph_and_overlap(size):
    scales = {}
    for tile in tiles(Image.new("RGB", size, "white"), SIZE):
        assert tile.pixels.shape == (SIZE, SIZE, 3)
        scales.setdefault(tuple(tile.scale), []).append(tile)
    longer = np.argmax(size)
    longest = [size[longer] * scale[longer] for scale in scales]
    assert longest == sorted(longest, reverse=True)
    np.testing.assert_allclose(longest[-1], SIZE / 2, rtol=0.01)
    for scale, same in scales.items():
        corners = np.array([tile.corner for tile in same]) * scale
        for axis in range(2):
            starts = np.unique(corners[:, axis].round())
            assert starts[0] <= 0
            assert starts[-1] + SIZE >= round(size[axis] * scale[axis])
            assert np.all(np.diff(starts) <= 0.75 * SIZE + 1)
            # A tile is limited where the photograph continues beyond it, and only there.
            for tile, start in zip(same, corners[:, axis], strict=True):
                assert np.isinf(tile.limits[0, axis]) == (start < 0.5)
                ends = start + SIZE >= size[axis] * scale[axis] - 0.5
                assert np.isinf(tile.limits[1, axis]) == ends


def test_boxes_cut_by_an_inner_edge_are_not_whole():
    first = next(iter(tiles(Image.new("RGB", (1600, 1200)), SIZE)))  # top left
    boxes = np.array(
        [
            [[-5, -5], [40, 40]],  # beyond the photograph's own edge
            [[100, 100], [191, 191]],
            [[100, 100], [193, 150]],
            [[100, 100], [150, 193]],
        ]
    )
    assert first.shows_whole(boxes).tolist() == [True, True, False, False]


def test_the_number_of_tiles_is_limited():
    counts = [
        len(list(tiles(Image.new("RGB", size), SIZE))) for size in ((3000, 3000), (6000,) * 2)
    ]
    assert counts[0] == counts[1] < 180


def test_small_photographs_are_seen_at_their_finest_detail():
    finest = next(iter(tiles(Image.new("RGB", (640, 480)), SIZE)))
    np.testing.assert_allclose(finest.scale, 2 / 3, rtol=0.01)
