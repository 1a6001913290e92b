"""Small images that are part of a page."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from keras_faramtn.data.images import load_upright

_LARGEST = (240, 160)  # width and height in pixels


@dataclass(frozen=True)
class PageImage:
    """An image as a data URI, with its size in pixels."""

    uri: str
    width: int
    height: int


def thumbnail(path: Path) -> PageImage:
    """An image file, reduced to at most 160 pixels in height.

    Raises:
        InputError: as in `load_upright`.
    """
    image = load_upright(path)
    image.thumbnail(_LARGEST)
    return _encode(image, "WEBP", quality=70, method=4)


def page_image(pixels: np.ndarray) -> PageImage:
    """Pixels, uint8 `(height, width, 3)`, RGB.

    Example:
        >>> page_image(np.zeros((2, 3, 3), "uint8")).width
        3
    """
    return _encode(Image.fromarray(pixels), "WEBP", quality=80, method=4)


def exact_image(pixels: np.ndarray) -> PageImage:
    """Pixels, uint8 `(height, width, 4)` with alpha, without loss: for maps that are enlarged.

    Example:
        >>> exact_image(np.zeros((2, 3, 4), "uint8")).uri.partition(",")[0]
        'data:image/png;base64'
    """
    return _encode(Image.fromarray(pixels), "PNG", optimize=True)


def _encode(image: Image.Image, kind: str, **settings: Any) -> PageImage:
    content = io.BytesIO()
    image.save(content, kind, **settings)
    data = base64.b64encode(content.getvalue()).decode()
    return PageImage(f"data:image/{kind.lower()};base64,{data}", *image.size)
