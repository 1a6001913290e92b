"""Draws predictions into photographs: boxes around the faces, and labels with their attributes."""

import functools
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

import matplotlib
from PIL import Image, ImageDraw, ImageFont

from keras_faramtn.faces.face import Face
from keras_faramtn.inference.label_layout import Rectangle, Size, place_labels
from keras_faramtn.inference.photographs import FacePrediction
from keras_faramtn.inference.predictions import predicted_attributes

# Those of Okabe and Ito's colours that are bright enough for text on black: distinguishable with
# any colour vision. Boxes and labels have a black edge, so they show on any background.
_COLOURS = ("#E69F00", "#56B4E9", "#F0E442", "#CC79A7", "#009E73", "#D55E00")
_BLACK, _WHITE = "#111111", "#FFFFFF"

_MOST_ATTRIBUTES = 5
_LONGER_SIDE = 640  # pixels; smaller photographs are enlarged
_SMALLEST_FONT = 12  # pixels
_FONT_FRACTION = 1 / 42  # of the geometric mean of the photograph's sides
_SMALLEST_LABEL = 0.6  # of the font that the photograph's size suggests
_LINE = 1.25  # height of a line of text, in font sizes
_COLUMN = 22  # least width of a column of the legend, in font sizes

_Line = tuple[str, str]
"""A line of text and its colour."""


def draw_predictions(
    photograph: Image.Image,
    faces: Sequence[FacePrediction],
    thresholds: Mapping[str, float] | None = None,
) -> Image.Image:
    """Draws boxes around faces, and up to five attributes above their thresholds for each face.

    A label is next to its face, and covers neither a face nor another label. Where there is no
    space for that, the faces only have numbers, and a legend below the photograph lists the
    attributes. Where faces are crowded, a number may cover a corner of its own face, or be missing.

    Args:
        photograph: RGB, upright. A photograph whose longer side has less than 640 pixels is
            enlarged by a whole number, so that labels of a readable size fit in.
        faces: the predictions for its faces.
        thresholds: in 0..1, by attribute; None for 0.5 for all.

    Returns:
        A new RGB image.

    Example:
        >>> face = Face(300, 200, 380, 290, 0.9, (320, 230), (360, 230), (340, 250), (340, 270))
        >>> photograph = Image.new("RGB", (640, 480))
        >>> draw_predictions(photograph, [FacePrediction(1, face, {"Smiling": 0.9})]).size
        (640, 480)
    """
    scale = max(1, math.ceil(_LONGER_SIDE / max(photograph.size)))
    size = (scale * photograph.width, scale * photograph.height)
    image = photograph.resize(size, Image.Resampling.BICUBIC) if scale > 1 else photograph.copy()
    font = _font(max(_SMALLEST_FONT, round(math.sqrt(math.prod(size)) * _FONT_FRACTION)))
    boxes = [_box(each.face, scale, size) for each in faces]
    texts = [_attribute_texts(each, thresholds) for each in faces]
    for each, box in zip(faces, boxes, strict=True):
        _draw_box(image, box, _colour(each), font)
    if not faces or _draw_labels(image, faces, boxes, texts, font):
        return image
    if len(faces) > 1:
        _draw_numbers(image, faces, boxes, font)
    return _with_legend(image, faces, texts, font)


def _draw_labels(
    image: Image.Image,
    faces: Sequence[FacePrediction],
    boxes: Sequence[Rectangle],
    texts: Sequence[Sequence[str]],
    font: ImageFont.FreeTypeFont,
) -> bool:
    """Draws a label next to each face, if there is space for all of them."""
    heads = [_head(box) for box in boxes]
    fonts = [each for each in _smaller_fonts(font) if each.size >= _SMALLEST_LABEL * font.size]
    for count, smaller in itertools.product(range(_MOST_ATTRIBUTES, 1, -1), fonts):
        labels: list[list[_Line]] = [
            [*_heading(each, faces), *((text, _WHITE) for text in some[:count])]
            for each, some in zip(faces, texts, strict=True)
        ]
        sizes = [_label_size(label, smaller) for label in labels]
        rectangles = place_labels(heads, sizes, image.size, gap=2 * _stroke(smaller))
        free = [each for each in rectangles if each is not None]
        if len(free) == len(faces):
            for each, label, rectangle in zip(faces, labels, free, strict=True):
                _draw_label(image, rectangle, label, _colour(each), smaller)
            return True
    return False


def _draw_numbers(
    image: Image.Image,
    faces: Sequence[FacePrediction],
    boxes: Sequence[Rectangle],
    font: ImageFont.FreeTypeFont,
) -> None:
    """Draws the number of each face at its box; where faces are crowded, in a small font."""
    labels: list[list[_Line]] = [[(str(each.index), _colour(each))] for each in faces]
    for smaller in _smaller_fonts(font):
        sizes = [_label_size(label, smaller) for label in labels]
        gap = _stroke(smaller)
        rectangles = place_labels(boxes, sizes, image.size, gap=gap, cover_faces=True)
        if None not in rectangles:
            break
    for each, label, rectangle in zip(faces, labels, rectangles, strict=True):
        if rectangle is not None:
            _draw_label(image, rectangle, label, _colour(each), smaller)


def _with_legend(
    image: Image.Image,
    faces: Sequence[FacePrediction],
    texts: Sequence[Sequence[str]],
    font: ImageFont.FreeTypeFont,
) -> Image.Image:
    """The image above a list of the faces' attributes, at most as high as the image if possible."""
    width = max(image.width, _COLUMN * _SMALLEST_FONT)
    for smaller in _smaller_fonts(font):
        legend, height = _legend(width, faces, texts, smaller)
        if height <= image.height:
            break
    whole = Image.new("RGB", (width, image.height + height), _BLACK)
    whole.paste(image, (0, 0))
    draw = ImageDraw.Draw(whole)
    for (left, top), (text, colour) in legend:
        draw.text((left, image.height + top), text, colour, smaller)
    return whole


def _legend(
    width: int,
    faces: Sequence[FacePrediction],
    texts: Sequence[Sequence[str]],
    font: ImageFont.FreeTypeFont,
) -> tuple[list[tuple[tuple[int, int], _Line]], int]:
    """The attributes of all faces, in columns that are read from left to right.

    Returns:
        The left and top of each line of text, and the height of the whole.
    """
    columns = max(1, min(len(faces), int(width / (_COLUMN * font.size))))
    margin, line_height = round(font.size / 2), round(_LINE * font.size)
    column_width = (width - margin) // columns
    number_width = round(max(font.getlength(f"{each.index} ") for each in faces))
    indent = number_width if len(faces) > 1 else 0
    legend: list[tuple[tuple[int, int], _Line]] = []
    top = margin
    for first in range(0, len(faces), columns):
        bottom = top
        row = zip(faces[first : first + columns], texts[first : first + columns], strict=True)
        for column, (each, some) in enumerate(row):
            left = margin + column * column_width
            lines = _wrapped(some[:_MOST_ATTRIBUTES], column_width - indent - margin, font)
            legend += [((left, top), line) for line in _heading(each, faces)]
            for number, text in enumerate(lines):
                legend.append(((left + indent, top + number * line_height), (text, _WHITE)))
            bottom = max(bottom, top + len(lines) * line_height)
        top = bottom + margin
    return legend, top


def _heading(each: FacePrediction, faces: Sequence[FacePrediction]) -> list[_Line]:
    return [(str(each.index), _colour(each))] if len(faces) > 1 else []


def _attribute_texts(each: FacePrediction, thresholds: Mapping[str, float] | None) -> list[str]:
    names = predicted_attributes(each.probabilities, thresholds)
    texts = [f"{name.replace('_', ' ')} {100 * each.probabilities[name]:.0f} %" for name in names]
    return texts or ["no attribute"]


def _wrapped(texts: Sequence[str], width: int, font: ImageFont.FreeTypeFont) -> list[str]:
    """The texts in lines, separated by commas; a text that is too long is cut."""
    lines: list[str] = []
    for text in texts:
        if lines and font.getlength(f"{lines[-1]}, {text}") <= width:
            lines[-1] += f", {text}"
        else:
            lines.append(_cut(text, width, font))
    return lines


def _cut(text: str, width: int, font: ImageFont.FreeTypeFont) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"


def _smaller_fonts(font: ImageFont.FreeTypeFont) -> Iterator[ImageFont.FreeTypeFont]:
    """The font in falling sizes down to the smallest one."""
    size = font.size
    while size > _SMALLEST_FONT:
        yield _font(round(size))
        size *= 0.8
    yield _font(_SMALLEST_FONT)


def _label_size(lines: Sequence[_Line], font: ImageFont.FreeTypeFont) -> Size:
    widest = max(font.getlength(text) for text, _ in lines)
    return round(widest + font.size), round(len(lines) * _LINE * font.size + font.size / 2)


def _draw_label(
    image: Image.Image,
    rectangle: Rectangle,
    lines: Sequence[_Line],
    colour: str,
    font: ImageFont.FreeTypeFont,
) -> None:
    draw = ImageDraw.Draw(image)
    left, top, right, bottom = rectangle
    stroke = max(1, _stroke(font) // 2)
    draw.rectangle((left, top, right - 1, bottom - 1), _BLACK, colour, stroke)
    for number, (text, text_colour) in enumerate(lines):
        y = top + font.size / 4 + number * _LINE * font.size
        draw.text((left + font.size / 2, y), text, text_colour, font)


def _draw_box(
    image: Image.Image, box: Rectangle, colour: str, font: ImageFont.FreeTypeFont
) -> None:
    """Draws a coloured frame between two black ones."""
    draw = ImageDraw.Draw(image)
    left, top, right, bottom = box
    stroke = min(_stroke(font), max(1, min(right - left, bottom - top) // 24))
    edge = max(1, stroke // 2)
    for inset, outline, width in ((0, _BLACK, stroke + 2 * edge), (edge, colour, stroke)):
        inner = (left + inset, top + inset, right - 1 - inset, bottom - 1 - inset)
        if inner[0] <= inner[2] and inner[1] <= inner[3]:
            draw.rectangle(inner, outline=outline, width=width)


def _box(face: Face, scale: int, size: Size) -> Rectangle:
    """The box of a face in the enlarged photograph, without what extends beyond it."""
    left, top, right, bottom = (round(scale * side) for side in face.box)
    left, top = max(0, min(left, size[0] - 1)), max(0, min(top, size[1] - 1))
    right, bottom = max(left + 1, min(right, size[0])), max(top + 1, min(bottom, size[1]))
    return left, top, right, bottom


def _head(box: Rectangle) -> Rectangle:
    """The box with the forehead, which the detector leaves outside."""
    left, top, right, bottom = box
    return left, max(0, top - (bottom - top) // 3), right, bottom


def _colour(each: FacePrediction) -> str:
    return _COLOURS[(each.index - 1) % len(_COLOURS)]


def _stroke(font: ImageFont.FreeTypeFont) -> int:
    """The width of a box's coloured line."""
    return max(2, round(font.size / 8))


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """The font that ships with matplotlib."""
    return ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf", size)
