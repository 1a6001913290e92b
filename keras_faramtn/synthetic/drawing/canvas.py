"""Drawing primitives in the units of a fixed frame, independent of the image's size in pixels."""

import functools
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Points = Sequence[Sequence[float]] | np.ndarray

_SIDES = np.linspace(0, 2 * math.pi, 36, endpoint=False)
_CIRCLE = np.stack([np.cos(_SIDES), np.sin(_SIDES)], axis=1)
_SPLINE_STEPS = 7


def _catmull_rom_weights(steps: int) -> np.ndarray:
    t = np.arange(steps)[:, None] / steps
    weights = [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2]
    return np.concatenate(weights, axis=1) / 2


@functools.lru_cache(maxsize=256)
def _bump(strength: float) -> Image.Image:
    """A soft round spot: 255 times `strength` at the centre, falling smoothly to 0 at the edge."""
    x = np.linspace(-1, 1, 64)
    distance = np.minimum(np.hypot(x, x[:, None]), 1)
    return Image.fromarray(np.uint8(np.rint(255 * strength * (1 + np.cos(np.pi * distance)) / 2)))


@functools.cache
def _taper(n: int) -> np.ndarray:
    return np.sin(np.linspace(0.1, math.pi - 0.1, n))


_PERPENDICULAR = np.array([-1.0, 1.0])
_WEIGHTS = _catmull_rom_weights(_SPLINE_STEPS)


def mix(one: Colour, other: Colour, fraction: float) -> Colour:
    """The colour at `fraction` (0..1) of the way from `one` to `other`."""
    red, green, blue = (round(a + (b - a) * fraction) for a, b in zip(one, other, strict=True))
    return red, green, blue


def shade(colour: Colour, factor: float) -> Colour:
    """`colour` with each channel multiplied by `factor`, at most 255."""
    red, green, blue = (min(255, round(channel * factor)) for channel in colour)
    return red, green, blue


def smooth(points: Points, closed: bool = False) -> np.ndarray:
    """A Catmull-Rom curve through `points`, `(n, 2)`, as a polyline `(m, 2)`."""
    points = np.asarray(points, dtype=float)
    n = len(points)
    if closed:
        knots = points[(np.arange(n)[:, None] + np.arange(-1, 3)) % n]
        return (_WEIGHTS @ knots).reshape(-1, 2)
    indices = np.arange(n - 1)[:, None] + np.arange(-1, 3)
    curve = (_WEIGHTS @ points[indices.clip(0, n - 1)]).reshape(-1, 2)
    return np.concatenate([curve, points[-1:]])


def moved(points: Sequence[float] | Points, x: float, y: float = 0.0) -> np.ndarray:
    """`points`, `(n, 2)` or `(2,)`, shifted by `x` and `y`."""
    return np.asarray(points, dtype=float) + np.array([x, y])


def mirrored(points: Points) -> np.ndarray:
    """A closed shape from its right half: `points` with x >= 0, from top to bottom."""
    points = np.asarray(points, dtype=float)
    left = points[::-1] * (-1, 1)
    return np.concatenate([points, left[np.abs(left[:, 0]) > 1e-9]])


class Canvas:
    """An image with a coordinate system: x to the right, y downwards, rotated by `angle`.

    Args:
        image: the RGB image to draw on.
        scale: pixels per unit.
        origin: the pixel at the point (0, 0).
        angle: the rotation about `pivot`, clockwise in radians.
        pivot: the centre of the rotation, in units.
    """

    def __init__(
        self,
        image: Image.Image,
        scale: float,
        origin: tuple[float, float],
        angle: float = 0.0,
        pivot: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        self.image = image
        self._scale = scale
        self._draw = ImageDraw.Draw(image, "RGBA")
        rotation = np.array(
            [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]
        )
        self._matrix = rotation * scale
        self._offset = np.asarray(origin) + np.asarray(pivot) * scale - pivot @ self._matrix

    def _pixels(self, points: np.ndarray) -> np.ndarray:
        return points @ self._matrix + self._offset

    def area(self, points: Points, colour: Colour, alpha: float = 1) -> None:
        """Fills the polygon `points`, `(n, 2)`."""
        pixels = self._pixels(np.asarray(points, dtype=float))
        self._draw.polygon(pixels.ravel().tolist(), fill=(*colour, round(255 * alpha)))

    def oval(
        self, x: float, y: float, rx: float, ry: float, colour: Colour, alpha: float = 1
    ) -> None:
        """Fills an ellipse."""
        self.area(_CIRCLE * (rx, ry) + (x, y), colour, alpha)

    def stroke(
        self,
        points: np.ndarray,
        width: float | np.ndarray,
        colour: Colour,
        alpha: float = 1,
        taper: bool = True,
    ) -> None:
        """Draws a line along `points`, `(n, 2)`, which narrows towards both ends if `taper`.

        `width` may be an array `(n,)`.
        """
        points = np.asarray(points, dtype=float)
        n = len(points)
        along = np.empty_like(points)
        along[0], along[-1] = points[1] - points[0], points[-1] - points[-2]
        along[1:-1] = points[2:] - points[:-2]
        half = np.asarray(width) / 2 * (_taper(n) if taper else 1)
        length = np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-9)
        side = along[:, ::-1] * _PERPENDICULAR * (half / length)[:, None]
        self.area(np.concatenate([points + side, (points - side)[::-1]]), colour, alpha)

    def dots(self, centres: np.ndarray, radius: float, colour: Colour, alpha: float = 1) -> None:
        """Fills a small square at each of `centres`, `(n, 2)`."""
        reach = radius * self._scale
        fill = (*colour, round(255 * alpha))
        for x, y in self._pixels(np.asarray(centres, dtype=float)).tolist():
            self._draw.rectangle((x - reach, y - reach, x + reach, y + reach), fill=fill)

    def glow(
        self, x: float, y: float, rx: float, ry: float, colour: Colour, strength: float
    ) -> None:
        """Draws a soft spot of `colour` that fades out at the edge; `strength` is in 0..1."""
        cx, cy = self._pixels(np.array([x, y])).tolist()
        size = (max(1, round(2 * rx * self._scale)), max(1, round(2 * ry * self._scale)))
        spot = _bump(strength).resize(size, Image.Resampling.BILINEAR)
        self.image.paste(colour, (round(cx - size[0] / 2), round(cy - size[1] / 2)), spot)
