"""Places the labels of faces in a photograph, so that they cover neither faces nor each other."""

from collections.abc import Iterator, Sequence

import numpy as np

Rectangle = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels; right and bottom are the first pixels outside."""

Size = tuple[int, int]
"""Width and height in pixels."""


def place_labels(
    faces: Sequence[Rectangle],
    labels: Sequence[Size],
    canvas: Size,
    *,
    gap: int = 0,
    cover_faces: bool = False,
) -> list[Rectangle | None]:
    """Finds a free rectangle for the label of each face, next to the face.

    The faces are served in order. A label goes below its face, to its right, to its left or above
    it: to the first of these that is inside the canvas and touches no face and no earlier label.

    Args:
        faces: the boxes of the faces.
        labels: the size of each face's label.
        canvas: the size of the photograph.
        gap: the least distance in pixels between two labels, and between a face and its label.
        cover_faces: put a label for which there is no free space into a corner of its own face.

    Returns:
        The rectangle of each label; None if there is no space for it.

    Example:
        >>> place_labels([(10, 10, 30, 30)], [(40, 12)], (100, 100), gap=2)
        [(10, 32, 50, 44)]
    """
    obstacles = np.array(faces, "int64").reshape(-1, 4)
    placed = np.zeros((0, 4), "int64")
    rectangles: list[Rectangle | None] = []
    for face, size in zip(faces, labels, strict=True):
        corners = list(_beside(face, size, canvas, gap))
        free = _first_free(corners, size, canvas, (obstacles, placed), gap)
        if free is None and cover_faces:
            corners = list(_inside(face, size))
            free = _first_free(corners, size, canvas, (placed,), gap)
        rectangles.append(free)
        if free is not None:
            placed = np.vstack([placed, free])
    return rectangles


def _beside(face: Rectangle, size: Size, canvas: Size, gap: int) -> Iterator[tuple[int, int]]:
    """Where the top left corner of a label may be, best first."""
    left, top, right, bottom = face
    width, height = size
    # Labels of a face near the edge are shifted along the edge into the canvas.
    columns = [_within(x, canvas[0] - width) for x in (left, (left + right - width) // 2)]
    columns.append(_within(right - width, canvas[0] - width))
    rows = [_within(y, canvas[1] - height) for y in (top, (top + bottom - height) // 2)]
    rows.append(_within(bottom - height, canvas[1] - height))
    yield from ((x, bottom + gap) for x in columns)
    yield from ((right + gap, y) for y in rows)
    yield from ((left - gap - width, y) for y in rows)
    yield from ((x, top - gap - height) for x in columns)


def _inside(face: Rectangle, size: Size) -> Iterator[tuple[int, int]]:
    left, top, right, bottom = face
    width, height = size
    for y in (top, bottom - height):
        yield from ((x, y) for x in (left, right - width))


def _within(position: int, limit: int) -> int:
    return max(0, min(position, limit))


def _first_free(
    corners: Sequence[tuple[int, int]],
    size: Size,
    canvas: Size,
    obstacles: Sequence[np.ndarray],
    gap: int,
) -> Rectangle | None:
    width, height = size
    for x, y in corners:
        inside = x >= 0 and y >= 0 and x + width <= canvas[0] and y + height <= canvas[1]
        rectangle = (x, y, x + width, y + height)
        if inside and not any(_touches(rectangle, each, gap) for each in obstacles):
            return rectangle
    return None


def _touches(rectangle: Rectangle, others: np.ndarray, gap: int) -> bool:
    """Whether the distance to one of the rectangles is less than the gap."""
    left, top, right, bottom = rectangle
    apart = (
        (others[:, 2] + gap <= left)
        | (others[:, 0] >= right + gap)
        | (others[:, 3] + gap <= top)
        | (others[:, 1] >= bottom + gap)
    )
    return not apart.all()
