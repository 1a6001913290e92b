"""Photographs with faces at known positions: portraits placed on busy backgrounds."""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageOps
from sklearn.datasets import load_sample_images

from keras_faramtn.framing import AlignedFraming
from keras_faramtn.synthetic.drawing.portrait import FRAME
from keras_faramtn.synthetic.faces import draw_labelled_face

FACE = 84 / FRAME[1]
"""The width of a face from cheek to cheek, as a fraction of its portrait's width."""

DRAWN_FRAMING = AlignedFraming(
    aspect=FRAME[1] / FRAME[0],
    left_eye=(68.5 / 178, 99 / 218),
    right_eye=(109.5 / 178, 99 / 218),
    mouth=(89 / 178, 143 / 218),
)
"""Where `draw_face` draws eyes and mouth, within about 4 of the 178 units."""


@dataclass(frozen=True)
class PlacedFace:
    """A face in a photograph. Coordinates are pixels of the photograph.

    Attributes:
        left_eye, right_eye, mouth: their centres, `(x, y)`.
        size: the width of the face from cheek to cheek.
        angle: its rotation in degrees, clockwise as seen.
        portrait: the number of its portrait.
    """

    left_eye: tuple[float, float]
    right_eye: tuple[float, float]
    mouth: tuple[float, float]
    size: float
    angle: float
    portrait: int

    @property
    def centre(self) -> tuple[float, float]:
        """The mean of eyes and mouth."""
        x, y = np.mean([self.left_eye, self.right_eye, self.mouth], axis=0).tolist()
        return x, y


@dataclass(frozen=True)
class Portraits:
    """Images of one face each.

    Attributes:
        image: returns the portrait of a number, at about the height and width given.
        framing: where the faces are in them.
        count: how many there are.
    """

    image: Callable[[int, tuple[int, int]], Image.Image]
    framing: AlignedFraming
    count: int


def _drawn_portrait(number: int, size: tuple[int, int]) -> Image.Image:
    return draw_labelled_face(7, number, size)[1]


DRAWN = Portraits(_drawn_portrait, DRAWN_FRAMING, 10**6)
"""Synthetic faces."""


_HEAD_CROP_FRAMING = AlignedFraming(
    aspect=1.0,
    left_eye=(48.7 / 128, 55.6 / 128),
    right_eye=(77.8 / 128, 55.7 / 128),
    mouth=(62.7 / 128, 87.9 / 128),
)


def head_crops(paths: Sequence[str | Path]) -> Portraits:
    """Real faces in images that a face detector cropped to the head, with the face in the middle.

    The eyes are within 2 % of the width where the framing says, by standard deviation.
    """

    def image(number: int, size: tuple[int, int]) -> Image.Image:
        return ImageOps.fit(Image.open(paths[number]).convert("RGB"), (128, 128))

    return Portraits(image, _HEAD_CROP_FRAMING, len(paths))


def compose(
    seed: int,
    size: tuple[int, int] = (640, 480),
    count: int = 4,
    *,
    face_sizes: tuple[float, float] = (24, 200),
    max_angle: float = 30,
    portraits: Portraits = DRAWN,
) -> tuple[Image.Image, list[PlacedFace]]:
    """A photograph with faces that don't overlap, and those faces, largest first.

    Args:
        seed: decides everything else.
        size: width and height of the photograph in pixels.
        count: the number of faces; fewer if they find no space.
        face_sizes: the range of their sizes in pixels, log-uniform.
        max_angle: the faces are rotated by up to as many degrees.
        portraits: where the faces come from.
    """
    rng = np.random.default_rng([seed, *size])
    photograph = busy_background(size, rng)
    placed: list[PlacedFace] = []
    sizes = np.exp(rng.uniform(*np.log(face_sizes), count))
    for face_size in np.sort(sizes)[::-1].tolist():
        angle = rng.uniform(-max_angle, max_angle)
        number = int(rng.integers(portraits.count))
        centre = _free_position(size, face_size, placed, rng)
        if centre is not None:
            face = _placed(portraits.framing, centre, face_size, angle, number)
            _paste(photograph, portraits, face)
            placed.append(face)
    return photograph, placed


def _free_position(size, face_size, placed, rng) -> tuple[float, float] | None:
    """A position where the face lies inside the photograph and its portrait overlaps no other."""
    room = np.array(size) - 1.5 * face_size
    if room.min() < 0:
        return None
    for _ in range(100):
        x, y = (0.75 * face_size + room * rng.random(2)).tolist()
        if all(math.dist((x, y), each.centre) > 1.3 * (face_size + each.size) for each in placed):
            return x, y
    return None


def _portrait_points(framing: AlignedFraming) -> np.ndarray:
    """Eyes and mouth in the portrait, relative to their mean, `(3, 2)`; its width is 1."""
    points = np.array([framing.left_eye, framing.right_eye, framing.mouth])
    points = points * [1, 1 / framing.aspect]
    return points - points.mean(axis=0)


def _rotation(angle: float) -> np.ndarray:
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return np.array([[cos, -sin], [sin, cos]])


def _placed(framing, centre, face_size, angle, number) -> PlacedFace:
    points = _portrait_points(framing) @ _rotation(angle).T * (face_size / FACE) + centre
    left_eye, right_eye, mouth = (tuple(point) for point in points.tolist())
    return PlacedFace(left_eye, right_eye, mouth, face_size, angle, number)


def _paste(photograph: Image.Image, portraits: Portraits, face: PlacedFace) -> None:
    """Pastes a portrait with a soft oval edge, so that the face comes to its position."""
    width = face.size / FACE
    height = width / portraits.framing.aspect
    drawn_size = (max(32, min(1024, round(height))), max(32, min(1024, round(width))))
    portrait = portraits.image(face.portrait, drawn_size)
    if portrait.width > width:  # Image.transform doesn't antialias
        portrait = portrait.resize((max(1, round(width)), max(1, round(height))))
    portrait.putalpha(_soft_oval(portrait.size))
    framing = portraits.framing
    middle = np.mean([framing.left_eye, framing.right_eye, framing.mouth], axis=0)
    # From pixels of the photograph to pixels of the portrait.
    matrix = _rotation(-face.angle) * (portrait.width / width)
    reach = math.ceil(math.hypot(width, height))
    corner = np.floor(np.array(face.centre)).astype(int) - reach
    shift = middle * portrait.size - matrix @ (np.array(face.centre) - corner)
    data = (*matrix[0], shift[0], *matrix[1], shift[1])
    turned = portrait.transform(
        (2 * reach, 2 * reach), Image.Transform.AFFINE, data, Image.Resampling.BICUBIC
    )
    photograph.paste(turned, tuple(corner.tolist()), turned)


@functools.lru_cache(maxsize=64)
def _soft_oval(size: tuple[int, int]) -> Image.Image:
    """Opaque in the middle and transparent at the edges."""
    x, y = (np.abs(np.linspace(-1, 1, side)) for side in size)
    radius = np.hypot(x, y[:, None])
    return Image.fromarray(np.uint8(255 * np.clip((0.99 - radius) / 0.12, 0, 1)))


def busy_background(size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """Shapes of many sizes and colours, or an enlarged region of a real photograph."""
    if rng.random() < 0.5:
        return _real_background(size, rng)
    width, height = size
    tiny = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype="uint8"))
    image = tiny.resize(size, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for _ in range(400):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        across, down = np.exp(rng.uniform(math.log(4), math.log(min(size) / 2), 2))
        colour = tuple(rng.integers(0, 256, 3).tolist())
        box = (x, y, x + across, y + down)
        kind = rng.integers(4)
        if kind == 0:
            draw.rectangle(box, fill=colour)
        elif kind == 1:
            draw.ellipse(box, fill=colour)
        elif kind == 2:
            draw.line(box, fill=colour, width=int(rng.integers(1, 9)))
        else:
            draw.text((x, y), "Ag8#o", fill=colour, font_size=float(across))
    noise = rng.normal(0, 8, (height, width, 1))
    blurred = np.asarray(image.filter(ImageFilter.GaussianBlur(0.8)))
    return Image.fromarray(np.uint8(np.clip(blurred + noise, 0, 255)))


def _real_background(size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """A region of one of scikit-learn's two sample photographs, neither of which shows a face."""
    images = load_sample_images().images
    image = Image.fromarray(images[int(rng.integers(len(images)))])
    scale = rng.uniform(0.5, 1) * min(image.width / size[0], image.height / size[1])
    across, down = size[0] * scale, size[1] * scale
    left = rng.uniform(0, image.width - across)
    top = rng.uniform(0, image.height - down)
    return image.resize(size, Image.Resampling.BICUBIC, box=(left, top, left + across, top + down))
