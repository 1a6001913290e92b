"""Reads image files with Pillow. All uses of Pillow to open an image file go through this module.

`decoding.py` and `orientation.py` do the same in TensorFlow, for training and serving. This module
must not import TensorFlow: prediction with a `.tflite` file does without it.
"""

import contextlib
import functools
import io
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from keras_faramtn.errors import InputError, reason

_FORMATS: dict[str, tuple[str, ...]] = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "PNG": (".png",),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
    "PPM": (".pgm", ".ppm"),
    "AVIF": (".avif",),
    "HEIF": (".heic", ".heif"),
}
"""The formats that are read, under Pillow's names, and their file suffixes. JPEG includes MPO, the
format of many phones. No other format is tried: some of Pillow's readers start other programs."""

_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"mif1"}
"""Bytes 8 to 11 of HEIF files, after `ftyp`: ISO/IEC 23008-12, sections 10.2 and B.4.1. An AVIF
file may have the last one too."""

TENSORFLOW_FORMATS = {"JPEG", "MPO", "PNG"}
"""The formats that `decode_and_resize` reads, under Pillow's names."""

_MAIN_IMAGE = {"MPO", "PNG", "HEIF"}
"""The formats in which one of several images is the main one, which is read."""

_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns an image of each EXIF orientation upright; 1 is upright."""

_SIXTEEN_BITS = {"PNG", "PPM"}
"""The formats that Pillow opens as 32-bit integers although their values have at most 16 bits."""

_APPLE_DOUBLE = "._"
"""Prefix of the files in which macOS stores the metadata of other files."""

_SUFFIXES = {suffix for suffixes in _FORMATS.values() for suffix in suffixes}


def open_image(source: str | Path | io.BytesIO) -> Image.Image:
    """Opens an image file in one of the supported formats, without decoding its pixels.

    Args:
        source: a JPEG, PNG, BMP, GIF, TIFF, WebP, PGM, PPM or AVIF file, or its content; with the
            extra `heif`, also a HEIC file.

    Returns:
        Pillow's image, to be used in a `with` statement.

    Raises:
        OSError: the file is missing, can't be read, is not an image in such a format, or is a HEIC
            file and the extra `heif` is not installed.
        PIL.Image.DecompressionBombError: the image has more than 178,956,970 pixels.
    """
    if not isinstance(source, io.BytesIO):
        refuse_special_file(Path(source))
    try:
        return Image.open(source, formats=[name for name in _FORMATS if name != "HEIF"])
    except UnidentifiedImageError:
        if not _is_heif(source):
            raise
    _register_heif()
    return Image.open(source, formats=["HEIF"])


def _is_heif(source: str | Path | io.BytesIO) -> bool:
    if isinstance(source, io.BytesIO):
        head = source.getvalue()[:12]
    else:
        with Path(source).open("rb") as file:
            head = file.read(12)
    return head[4:8] == b"ftyp" and head[8:] in _HEIF_BRANDS


@functools.cache
def _register_heif() -> None:
    """Makes Pillow read HEIF files. Importing the package takes longer than decoding an image."""
    try:
        import pillow_heif
    except ImportError as error:
        raise OSError("it is a HEIC file; pip install 'keras-faramtn[heif]' to read it") from error
    pillow_heif.register_heif_opener()


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

    The aspect ratio is not preserved. `decode_and_resize` gives the same pixels to within 2 of the
    256 levels, because Pillow rounds after each of two passes.

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
        path: a file in one of the formats of `open_image`. It is rotated or mirrored as the
            orientation in its EXIF data requires; invalid EXIF data is ignored. 16-bit values are
            reduced to their high 8 bits.
        content: the content of the file, if it was read already, as from an archive; `path` then
            only names the image in errors.

    Returns:
        Pillow's image.

    Raises:
        InputError: the file is missing, can't be read as an image, has more than 178,956,970
            pixels, is an animation or has several pages, or has pixels of 32-bit integers or
            floating-point numbers, whose range for black and white is not defined.
    """
    source = path if content is None else io.BytesIO(content)
    with _input_errors(path), open_image(source) as image:
        return to_upright_rgb(image)


def encoded_for_tensorflow(path: str | Path) -> bytes:
    """An image file as a file that `decode_and_resize` decodes to the pixels of `load_image`.

    Args:
        path: as for `load_upright`.

    Returns:
        The file's content if it is a JPEG or PNG file; otherwise that of an upright PNG file.

    Raises:
        InputError: as in `load_upright`; a JPEG or PNG file is not decoded, so it may be damaged.
    """
    with _input_errors(path), open_image(path) as image:
        if image.format in TENSORFLOW_FORMATS:
            return Path(path).read_bytes()
        file = io.BytesIO()
        to_upright_rgb(image).save(file, "PNG")
        return file.getvalue()


@contextlib.contextmanager
def _input_errors(path: str | Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such image.") from error
    except UnidentifiedImageError as error:
        raise InputError(
            f"{path}: this file can't be read as an image: it is in none of the formats "
            f"{', '.join(_FORMATS)}."
        ) from error
    except Image.DecompressionBombError as error:
        raise InputError(
            f"{path}: this image has more than 178,956,970 pixels; reduce it."
        ) from error
    except Exception as error:  # damaged files raise almost any exception
        raise InputError(
            f"{path}: this file can't be read as an image: {reason(error)}."
        ) from error


def to_upright_rgb(image: Image.Image) -> Image.Image:
    """Decodes an image from `open_image` as `load_upright` does.

    Raises:
        ValueError: the image has several frames, or pixels of an undefined range.
        Exception: almost any, if the file is damaged.

    Example:
        >>> exif, file = Image.Exif(), io.BytesIO()
        >>> exif[274] = 6  # the orientation: rotate it clockwise
        >>> Image.new("L", (30, 20)).save(file, "PNG", exif=exif)
        >>> with open_image(file) as image:
        ...     to_upright_rgb(image).size
        (20, 30)
    """
    frames = 1 if image.format in _MAIN_IMAGE else getattr(image, "n_frames", 1)
    if frames > 1:
        raise ValueError(f"it has {frames} frames; save one of them as JPEG or PNG")
    image.load()  # also reads the EXIF data after a PNG's pixels; Pillow turns a TIFF upright here
    orientation = _exif_orientation(image.info.get("exif") or b"")
    rgb = _eight_bits(image).convert("RGB")
    return rgb.transpose(_TRANSPOSE[orientation]) if orientation in _TRANSPOSE else rgb


def _exif_orientation(exif: bytes) -> int:
    """The orientation in EXIF data, 1 to 8, by the rules of `orientation.exif_orientation`.

    Pillow's own reader raises errors for damaged data, and accepts other types of numbers and XMP.
    """
    tiff = exif.removeprefix(b"Exif\0\0").ljust(8, b"\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    [start] = struct.unpack_from(f"{order}I", tiff, 4)
    [count] = struct.unpack(f"{order}H", tiff[start : start + 2].ljust(2, b"\0"))
    entries = tiff[start + 2 :][: 12 * count]
    entries += bytes(-len(entries) % 12)
    for tag, kind, number, value in struct.iter_unpack(f"{order}HHIHxx", entries):
        if (tag, kind, number) == (0x0112, 3, 1) and 1 <= value <= 8:
            return value
    return 1


def _eight_bits(image: Image.Image) -> Image.Image:
    """The image; 16-bit values are reduced to their high 8 bits, as by TensorFlow."""
    sixteen_bits = image.mode.startswith("I;16") or image.format in _SIXTEEN_BITS
    if image.mode == "F" or (image.mode == "I" and not sixteen_bits):
        raise ValueError(
            "its pixels are 32-bit integers or floating-point numbers; save it with 8 or 16 bits "
            "per channel"
        )
    if image.mode.startswith("I"):
        # Pillow would clip values above 255.
        return Image.fromarray((np.asarray(image) >> 8).astype("uint8"))
    return image


def check_rgb(image: Image.Image) -> None:
    """Checks that an image has three channels of 8 bits: red, green and blue.

    Raises:
        InputError: it has others.

    Example:
        >>> check_rgb(Image.new("RGB", (30, 20)))
    """
    if image.mode != "RGB":
        raise InputError(f"the image has the mode {image.mode}; pass image.convert('RGB').")


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
            elif os.path.lexists(path):  # reading reports a link that leads nowhere
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
