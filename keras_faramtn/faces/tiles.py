"""Square tiles of a photograph at several scales, for a network that sees small squares."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

_COARSEST = 1 / 2  # the photograph's longer side in the coarsest tile; the rest is a black border
_FINEST_SCALE = 2 / 3  # at a higher one, small faces are no easier to detect
_MAX_ZOOM = 16.0  # from the coarsest to the finest scale; it limits the number of tiles to 157
_MAX_STEP = 2.2  # from each scale to the next
_OVERLAP = 0.25  # of neighbouring tiles, as a fraction of their side


@dataclass(frozen=True)
class Tile:
    """A square of a photograph at one scale, black beyond the photograph's edges.

    Attributes:
        pixels: uint8 `(size, size, 3)`, RGB.
        corner: its top left corner in the photograph, x and y, `(2,)`.
        scale: pixels of the tile per pixel of the photograph, along x and y, `(2,)`.
        limits: what the tile shows of the photograph, `(2, 2)`: the smallest x and y, and the
            largest, in pixels of the tile; infinite where the photograph ends.
    """

    pixels: np.ndarray
    corner: np.ndarray
    scale: np.ndarray
    limits: np.ndarray

    def shows_whole(self, boxes: np.ndarray) -> np.ndarray:
        """Whether boxes `(n, 2, 2)` in the tile are not cut by its edges, bool `(n,)`."""
        within = (boxes[:, 0] >= self.limits[0]) & (boxes[:, 1] <= self.limits[1])
        return within.all(axis=1)

    def to_photograph(self, points: np.ndarray) -> np.ndarray:
        """Points `(..., 2)` from pixels of the tile to pixels of the photograph."""
        return self.corner + points / self.scale


def tiles(photograph: Image.Image, size: int) -> Iterator[Tile]:
    """The tiles of a photograph, from the finest scale to the coarsest.

    At the coarsest scale there is one tile, which shows the whole photograph with a wide border.
    The finest scale is 2/3, but at most 16 times the coarsest. Those between are evenly spaced, by
    a factor of about 2. Neighbouring tiles overlap by at least a quarter.

    Args:
        photograph: RGB.
        size: height and width of the tiles in pixels.

    Example:
        >>> len(list(tiles(Image.new("RGB", (640, 480)), 192)))
        9
    """
    level = photograph
    for scale in _scales(max(photograph.size), size):
        width, height = (max(1, round(side * scale)) for side in photograph.size)
        # Each scale is made from the previous one, and `reducing_gap` makes the first one fast.
        level = level.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
        exact = np.array(level.size) / photograph.size
        for top in _starts(height, size):
            for left in _starts(width, size):
                right, bottom = left + size, top + size
                lowest = [0 if left > 0 else -math.inf, 0 if top > 0 else -math.inf]
                highest = [
                    size if right < width else math.inf,
                    size if bottom < height else math.inf,
                ]
                yield Tile(
                    np.asarray(level.crop((left, top, right, bottom))),
                    np.array([left, top]) / exact,
                    exact,
                    np.array([lowest, highest]),
                )


def _scales(longer: int, size: int) -> list[float]:
    """The scales for a photograph whose longer side is given, finest first."""
    coarsest = _COARSEST * size / longer
    zoom = min(max(_FINEST_SCALE / coarsest, 1.0), _MAX_ZOOM)
    steps = math.ceil(math.log(zoom) / math.log(_MAX_STEP))
    return (coarsest * np.geomspace(zoom, 1, steps + 1)).tolist()


def _starts(length: int, size: int) -> list[int]:
    """Where tiles start so that they cover a length; a single one is centred."""
    if length <= size:
        return [(length - size) // 2]
    count = math.ceil((length - size) / (size * (1 - _OVERLAP))) + 1
    return np.linspace(0, length - size, count).round().astype(int).tolist()
