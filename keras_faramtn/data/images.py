"""Image files to pixels with Pillow. Every image file that Pillow opens is opened here.

`decoding.py` does the same in TensorFlow, for training. This module must not import TensorFlow:
prediction with a `.tflite` file does without it.
"""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from keras_faramtn.errors import InputError

_FORMATS: dict[str, tuple[str, ...]] = {
    "JPEG": (".jpg", ".jpeg"),
    "PNG": (".png",),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}
"""The formats that are read, by Pillow's names, and their file suffixes. JPEG includes MPO, the
format of many phones. No other format is tried: some of Pillow's readers start other programs."""

_SUFFIXES = {suffix for suffixes in _FORMATS.values() for suffix in suffixes}


def open_image(source: str | Path | io.BytesIO) -> Image.Image:
    """Opens an image file in one of the supported formats, without decoding its pixels.

    Args:
        source: a JPEG, PNG, BMP, GIF, TIFF or WebP file, or its content.

    Returns:
        Pillow's image, to be used in a `with` statement.

    Raises:
        OSError: the file is missing, can't be read, or is not an image in such a format.
    """
    return Image.open(source, formats=tuple(_FORMATS))


def load_image(path: str | Path, image_size: tuple[int, int]) -> np.ndarray:
    """An image file as pixels of one size, resized as for training (bilinear, antialiased).

    The aspect ratio is not preserved. `decode_and_resize` gives the same pixels, up to rounding.

    Args:
        path: the image file; see `load_upright`.
        image_size: height and width in pixels.

    Returns:
        uint8 `(height, width, 3)`, RGB.

    Raises:
        InputError: the file is missing or can't be read as an image.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("L", (30, 20), 7).save(Path(folder) / "grey.png")
        ...     load_image(Path(folder) / "grey.png", (2, 1)).tolist()
        [[[7, 7, 7]], [[7, 7, 7]]]
    """
    height, width = image_size
    return np.asarray(load_upright(path).resize((width, height), Image.Resampling.BILINEAR))


def load_upright(path: str | Path) -> Image.Image:
    """An image file in RGB with 8 bits per channel, without alpha, rotated upright.

    Args:
        path: a JPEG, PNG, BMP, GIF, TIFF or WebP file. It is rotated or flipped as the orientation
            in its EXIF data requires.

    Returns:
        Pillow's image.

    Raises:
        InputError: the file is missing or can't be read as an image.
    """
    try:
        with open_image(path) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I;16"):
                # Pillow would clip values above 255; TensorFlow divides 16-bit values by 256.
                upright = Image.fromarray((np.asarray(upright) >> 8).astype("uint8"))
            return upright.convert("RGB")
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such image.") from error
    except Exception as error:  # damaged files and EXIF data raise almost any exception
        raise InputError(f"{path}: this file can't be read as an image: {error}.") from error


def find_images(paths: Sequence[str | Path]) -> list[Path]:
    """The image files among `paths`, and below the folders among them.

    Args:
        paths: image files, and folders; a folder is searched with all its subfolders, for files
            with the suffix of a supported format.

    Returns:
        The files, in the order of `paths`; those of one folder are sorted.

    Raises:
        InputError: a path does not exist, or a folder contains no image.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("b.png", "a.JPG", "notes.txt"):
        ...         (Path(folder) / name).touch()
        ...     [path.name for path in find_images([folder])]
        ['a.JPG', 'b.png']
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if file.suffix.lower() in _SUFFIXES)
            if not inside:
                raise InputError(f"{path}: there is no image in this folder.")
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise InputError(f"{path}: there is no such image or folder.")
    return found
