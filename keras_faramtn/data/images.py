"""Reads image files with Pillow. All uses of Pillow to open an image file go through this module.

`decoding.py` does the same in TensorFlow, for training. This module must not import TensorFlow:
prediction with a `.tflite` file does without it.
"""

import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from keras_faramtn.errors import InputError, reason

_FORMATS: dict[str, tuple[str, ...]] = {
    "JPEG": (".jpg", ".jpeg"),
    "PNG": (".png",),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
    "PPM": (".pgm", ".ppm"),
}
"""The formats that are read, under Pillow's names, and their file suffixes. JPEG includes MPO, the
format of many phones. No other format is tried: some of Pillow's readers start other programs."""

_SIXTEEN_BITS = {"PNG", "PPM"}
"""The formats that Pillow opens as 32-bit integers although their values have at most 16 bits."""

_APPLE_DOUBLE = "._"
"""Prefix of the files in which macOS stores the metadata of other files."""

_SUFFIXES = {suffix for suffixes in _FORMATS.values() for suffix in suffixes}


def open_image(source: str | Path | io.BytesIO) -> Image.Image:
    """Opens an image file in one of the supported formats, without decoding its pixels.

    Args:
        source: a JPEG, PNG, BMP, GIF, TIFF, WebP, PGM or PPM file, or its content.

    Returns:
        Pillow's image, to be used in a `with` statement.

    Raises:
        OSError: the file is missing, can't be read, or is not an image in such a format.
    """
    if isinstance(source, str | Path):
        refuse_special_file(Path(source))
    return Image.open(source, formats=tuple(_FORMATS))


def is_upright(image: Image.Image) -> bool:
    """Whether an image is stored upright, neither rotated nor mirrored, according to its EXIF data.

    Example:
        >>> image = Image.new("L", (30, 20))
        >>> is_upright(image)
        True
        >>> image.getexif()[ExifTags.Base.Orientation] = 6
        >>> is_upright(image)
        False
    """
    return image.getexif().get(ExifTags.Base.Orientation, 1) == 1


def refuse_special_file(path: Path) -> None:
    """Refuses a folder, and a special file such as a named pipe, whose reading might never end.

    Raises:
        OSError: `path` exists but is not a file.
    """
    if path.exists() and not path.is_file():
        raise OSError("it is a folder" if path.is_dir() else "it is a special file")


def load_image(
    path: str | Path, image_size: tuple[int, int], content: bytes | None = None
) -> np.ndarray:
    """An image file as pixels of one size, resized as for training (bilinear, antialiased).

    The aspect ratio is not preserved. `decode_and_resize` gives the same pixels, up to rounding.

    Args:
        path: the image file; see `load_upright`.
        image_size: height and width in pixels.
        content: as for `load_upright`.

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
    upright = load_upright(path, content)
    return np.asarray(upright.resize((width, height), Image.Resampling.BILINEAR))


def load_upright(path: str | Path, content: bytes | None = None) -> Image.Image:
    """An image file in RGB with 8 bits per channel, without alpha, rotated upright.

    Args:
        path: a JPEG, PNG, BMP, GIF, TIFF, WebP, PGM or PPM file. It is rotated or flipped as the
            orientation in its EXIF data requires. 16-bit values are reduced to their high 8 bits.
        content: the content of the file, if it was read already, as from an archive; `path` then
            only names the image in errors.

    Returns:
        Pillow's image.

    Raises:
        InputError: the file is missing, can't be read as an image, or has pixels of 32-bit integers
            or floating-point numbers, whose range for black and white is not defined.
    """
    try:
        with open_image(path if content is None else io.BytesIO(content)) as image:
            return _eight_bits(image).convert("RGB")
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such image.") from error
    except UnidentifiedImageError as error:
        raise InputError(
            f"{path}: this file can't be read as an image: it is in none of the formats "
            f"{', '.join(_FORMATS)}."
        ) from error
    except Exception as error:  # damaged files and EXIF data raise almost any exception
        raise InputError(
            f"{path}: this file can't be read as an image: {reason(error)}."
        ) from error


def _eight_bits(image: Image.Image) -> Image.Image:
    """The upright image; 16-bit values are reduced to their high 8 bits, as by TensorFlow."""
    upright = ImageOps.exif_transpose(image)
    sixteen_bits = upright.mode.startswith("I;16") or image.format in _SIXTEEN_BITS
    if upright.mode == "F" or (upright.mode == "I" and not sixteen_bits):
        raise ValueError(
            "its pixels are 32-bit integers or floating-point numbers; save it with 8 or 16 bits "
            "per channel"
        )
    if upright.mode.startswith("I"):
        # Pillow would clip values above 255.
        return Image.fromarray((np.asarray(upright) >> 8).astype("uint8"))
    return upright


def find_images(paths: Sequence[str | Path]) -> list[Path]:
    """The image files among `paths`, and below the folders among them.

    Args:
        paths: image files, and folders; a folder is searched with all its subfolders, linked ones
            included, for files with the suffix of a supported format. Files whose names begin with
            `._`, in which macOS stores metadata, are skipped.

    Returns:
        The files, in the order of `paths`; those of one folder are sorted.

    Raises:
        InputError: `paths` is a single path; a path does not exist; a folder can't be read or
            contains no image.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("b.png", "a.JPG", "notes.txt"):
        ...         (Path(folder) / name).touch()
        ...     [path.name for path in find_images([folder])]
        ['a.JPG', 'b.png']
    """
    if isinstance(paths, str | Path):
        raise InputError(f"images must be a list of paths; got {str(paths)!r}.")
    found: list[Path] = []
    for path in map(Path, paths):
        try:
            if path.is_dir():
                inside = sorted(file for file in files_below(path) if is_image_file(file))
                if not inside:
                    raise InputError(f"{path}: there is no image in this folder.")
                found += inside
            elif path.exists():
                found.append(path)
            else:
                raise InputError(f"{path}: there is no such image or folder.")
        except OSError as error:
            # Of a folder, the error names the subfolder that can't be read.
            raise InputError(
                f"{error.filename or path}: it can't be read: {reason(error)}."
            ) from error
    return found


def is_image_file(path: Path) -> bool:
    """Whether a file's name is that of an image in a supported format.

    Example:
        >>> [is_image_file(Path(name)) for name in ("a.JPG", "._a.jpg", "a.txt")]
        [True, False, False]
    """
    return path.suffix.lower() in _SUFFIXES and not path.name.startswith(_APPLE_DOUBLE)


def files_below(folder: Path) -> Iterator[Path]:
    """The files in a folder and its subfolders, each folder once, however often it is linked.

    Raises:
        OSError: a folder can't be read; `filename` names it.
    """
    seen = {os.path.realpath(folder)}
    for parent, subfolders, names in os.walk(folder, followlinks=True, onerror=_raise):
        for name in sorted(subfolders):
            real = os.path.realpath(os.path.join(parent, name))  # noqa: PTH118
            if real in seen:
                subfolders.remove(name)
            seen.add(real)
        yield from (Path(parent, name) for name in names)


def _raise(error: OSError) -> None:
    raise error
