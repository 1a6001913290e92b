"""Reads image files with Pillow: the one place that opens an image file."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from keras_faramtn.errors import InputError

_IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif"}


def load_image(path: str | Path, image_size: tuple[int, int]) -> np.ndarray:
    """An image file as pixels, resized as in training (bilinear, antialiased).

    Args:
        path: as `load_upright` takes.
        image_size: height and width in pixels.

    Returns:
        uint8 `(height, width, 3)`, RGB.

    Raises:
        InputError: the file is missing or is no image.
    """
    height, width = image_size
    return np.asarray(load_upright(path).resize((width, height), Image.Resampling.BILINEAR))


def load_upright(path: str | Path) -> Image.Image:
    """An image file in RGB, 8 bits, without alpha.

    Args:
        path: an image in any format that Pillow reads; it is turned upright if it says how.

    Raises:
        InputError: the file is missing or is no image.
    """
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I;16"):
                # Pillow would clip to 255 what TensorFlow, and everyone else, divides by 256.
                upright = Image.fromarray((np.asarray(upright) >> 8).astype("uint8"))
            return upright.convert("RGB")
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such image.") from error
    except Exception as error:  # damaged EXIF data raises almost anything
        raise InputError(f"{path}: this can't be read as an image: {error}.") from error


def find_images(places: Sequence[str | Path]) -> list[Path]:
    """The image files that `places` name: files as they are, folders with all below them.

    Raises:
        InputError: a place that isn't there, or a folder without images.
    """
    found: list[Path] = []
    for place in map(Path, places):
        if place.is_dir():
            inside = sorted(
                file for file in place.rglob("*") if file.suffix.lower() in _IMAGE_SUFFIXES
            )
            if not inside:
                raise InputError(f"{place}: there is no image in this folder.")
            found += inside
        elif place.is_file():
            found.append(place)
        else:
            raise InputError(f"{place}: there is no such image or folder.")
    return found
