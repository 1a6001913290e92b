import itertools

import numpy as np
import pytest

from keras_faramtn.inference.label_layout import place_labels


def overlap(first, second):
    """Whether two rectangles share a pixel, counted pixel by pixel along each axis."""
    across = set(range(first[0], first[2])) & set(range(second[0], second[2]))
    down = set(range(first[1], first[3])) & set(range(second[1], second[3]))
    return bool(across and down)


def grown(rectangle, gap):
    left, top, right, bottom = rectangle
    return left - gap, top - gap, right + gap, bottom + gap


@pytest.mark.parametrize(
    ("canvas", "count", "face", "label"),
    [
        ((200, 200), 1, 150, (60, 14)),
        ((640, 480), 5, 70, (150, 60)),
        ((640, 480), 30, 30, (24, 18)),
        ((300, 900), 12, 60, (80, 30)),
        ((4000, 3000), 200, 90, (70, 40)),
    ],
)
def test_labels_are_inside_and_apart_from_each_other_and_from_faces(canvas, count, face, label):
    rng = np.random.default_rng(3)
    lefts, tops = (rng.integers(0, side - face, count) for side in canvas)
    sizes = rng.integers(face // 2, face, (count, 2))
    faces = [
        (int(x), int(y), int(x + width), int(y + height))
        for x, y, (width, height) in zip(lefts, tops, sizes, strict=True)
    ]
    gap = 3
    placed = place_labels(faces, [label] * count, canvas, gap=gap)
    assert len(placed) == count
    found = [each for each in placed if each is not None]
    assert len(found) >= 0.7 * count
    for left, top, right, bottom in found:
        assert (right - left, bottom - top) == label
        assert left >= 0
        assert top >= 0
        assert right <= canvas[0]
        assert bottom <= canvas[1]
    for each in found:
        assert not any(overlap(grown(each, gap), other) for other in faces)
    for first, second in itertools.combinations(found, 2):
        assert not overlap(grown(first, gap), second)


@pytest.mark.parametrize(
    ("face", "expected"),
    [
        ((40, 30, 60, 50), (40, 52, 70, 62)),  # below
        ((75, 30, 95, 50), (70, 52, 100, 62)),  # below, shifted along the edge
        ((40, 30, 60, 95), (62, 30, 92, 40)),  # no space below: to the right
        ((60, 30, 80, 95), (28, 30, 58, 40)),  # nor there: to the left
        ((5, 20, 95, 99), (5, 8, 35, 18)),  # nor there: above
    ],
)
def test_a_label_is_at_the_first_side_with_space(face, expected):
    assert place_labels([face], [(30, 10)], (100, 100), gap=2) == [expected]


def test_a_label_without_space_is_dropped_or_covers_a_corner_of_its_own_face():
    faces = [(0, 0, 50, 100), (50, 0, 100, 100)]
    sizes = [(20, 10), (20, 10)]
    assert place_labels(faces, sizes, (100, 100)) == [None, None]
    placed = place_labels(faces, sizes, (100, 100), cover_faces=True)
    assert placed == [(0, 0, 20, 10), (50, 0, 70, 10)]
    tiny = [(10, 10, 12, 12)] * 3  # three detections of the same face
    placed = place_labels(tiny, [(20, 10)] * 3, (40, 24), cover_faces=True)
    found = [each for each in placed if each is not None]
    assert not any(overlap(*pair) for pair in itertools.combinations(found, 2))


def test_no_face_needs_no_label():
    assert place_labels([], [], (100, 100)) == []
