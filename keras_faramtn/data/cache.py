"""Decoded images on disk, for a data set that is too large for memory."""

import contextlib
import hashlib
import io
import logging
import math
import os
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import platformdirs
from tqdm import tqdm

from keras_faramtn.atomic_files import atomic_write
from keras_faramtn.errors import InputError
from keras_faramtn.locks import output_lock

logger = logging.getLogger(__name__)

_FORMAT = 3  # increase it when the same image file would give different pixels
_CHECKSUM_BYTES = 4  # of a CRC-32
_READ_BYTES = 16 * 1024**2


def cache_folder(chosen: str | Path | None = None) -> Path:
    """The folder `chosen`, or the user's cache folder for this package if it is None.

    A user without a home directory, as in some containers, gets a folder inside the temporary
    folder.

    Example:
        >>> cache_folder("decoded").name
        'decoded'
        >>> cache_folder().name
        'keras_faramtn'
    """
    if chosen is not None:
        return Path(chosen)
    # For a missing home directory, platformdirs raises RuntimeError, or returns a path with "~".
    with contextlib.suppress(RuntimeError):
        folder = platformdirs.user_cache_path("keras_faramtn", appauthor=False)
        if folder.parts[0] != "~":
            return folder
    user = getattr(os, "getuid", int)()
    return Path(tempfile.gettempdir(), f"keras_faramtn-{user}")


def cached_images(
    paths: Sequence[Path],
    image_size: tuple[int, int],
    folder: str | Path,
    decode: Callable[[], Iterator[np.ndarray]],
) -> np.ndarray | None:
    """The pixels of all images in one file, which is written if it doesn't exist yet.

    The file's name is a hash of the image size and of each image's path, size and modification
    time. The file is written with `atomic_write`, so an interrupted decoding is never used. It is
    read completely and compared with its checksum; a damaged file is replaced. While one process
    writes it, others wait.

    Args:
        paths: n image paths.
        image_size: height and width in pixels.
        folder: the folder for the file; it is created if missing. Its files may be deleted at any
            time.
        decode: yields the pixels, uint8 `(any number, height, width, 3)`, in the order of `paths`.

    Returns:
        uint8 `(n, height, width, 3)`, memory-mapped and read-only; or None, with a warning in the
        log, if the disk has too little free space.

    Raises:
        InputError: the folder can't be read or written to, or the disk is full.
    """
    shape = (len(paths), *image_size, 3)
    folder = Path(folder)
    with contextlib.ExitStack() as stack:
        with _storage_errors(folder):
            file = folder / f"{_key(paths, image_size)}.npy"
            stored = _is_valid(file, shape)
            if not stored:
                folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(output_lock(file, wait=True))
                stored = _is_valid(file, shape)  # another process may have written it meanwhile
        if not stored and not _store(file, shape, decode):
            return None
    return np.memmap(file, np.uint8, "r", len(_header(shape)), shape)


@contextlib.contextmanager
def _storage_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, InputError) as error:
        raise InputError(
            f"{folder}: the decoded images can't be stored there: {str(error).rstrip('.')}. Set "
            "data.cache to another folder."
        ) from error


def _store(file: Path, shape: tuple[int, ...], decode: Callable[[], Iterator[np.ndarray]]) -> bool:
    """Decodes the images into a file; False, with a warning, if the disk has too little space."""
    with _storage_errors(file.parent):
        size, free = math.prod(shape), shutil.disk_usage(file.parent).free
        damaged = file.exists()
    if free < 1.05 * size:
        logger.warning(
            f"{file.parent}: the decoded images need {size / 1e9:.1f} GB and {free / 1e9:.1f} GB "
            "are free, so the images are decoded in each epoch; set data.cache to another folder."
        )
        return False
    if damaged:
        logger.warning(f"{file}: this file of decoded images is damaged; it is replaced.")
    logger.info(f"Decoding {shape[0]:,} images once, to {file} ({size / 1e9:.1f} GB)")
    with _storage_errors(file.parent):
        atomic_write(file, lambda temporary: _write(temporary, shape, decode()))
    return True


def _key(paths: Sequence[Path], image_size: tuple[int, int]) -> str:
    content = hashlib.sha256(f"{_FORMAT} {image_size[0]} {image_size[1]}".encode())
    for path in paths:
        state = path.stat()
        name = os.fsencode(path.absolute())  # not every path is valid UTF-8
        content.update(b"\n%b %d %d" % (name, state.st_size, state.st_mtime_ns))
    return content.hexdigest()[:32]


def _header(shape: tuple[int, ...]) -> bytes:
    """The header of the file, as in a `.npy` file."""
    header = io.BytesIO()
    content = {"descr": np.dtype("uint8").str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, content)
    return header.getvalue()


def _write(path: Path, shape: tuple[int, ...], decoded: Iterator[np.ndarray]) -> None:
    """Writes a file of images, and their checksum at its end.

    A full disk raises OSError here, where writing to a memory map would end in SIGBUS.
    """
    checksum = 0
    bar = tqdm(total=shape[0], desc="Decoding", unit=" images", disable=None)
    with path.open("wb") as file, bar:
        file.write(_header(shape))
        for images in decoded:
            pixels = np.ascontiguousarray(images).data
            file.write(pixels)
            checksum = zlib.crc32(pixels, checksum)
            bar.update(len(images))
        file.write(_checksum_bytes(checksum))


def _is_valid(path: Path, shape: tuple[int, ...]) -> bool:
    """Whether a file exists and is complete and undamaged."""
    header = _header(shape)
    size, checksum = len(header) + math.prod(shape), 0
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size != size + _CHECKSUM_BYTES:
                return False
            if file.read(len(header)) != header:
                return False
            while remaining := size - file.tell():
                checksum = zlib.crc32(file.read(min(remaining, _READ_BYTES)), checksum)
            return file.read() == _checksum_bytes(checksum)
    except FileNotFoundError:
        return False


def _checksum_bytes(checksum: int) -> bytes:
    return checksum.to_bytes(_CHECKSUM_BYTES, "little")
