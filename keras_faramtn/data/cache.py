"""Decoded images on disk, for a data set that is too large for memory."""

import hashlib
import logging
import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import platformdirs
from tqdm import tqdm

from keras_faramtn.atomic_files import atomic_write
from keras_faramtn.errors import InputError

_log = logging.getLogger(__name__)

_FORMAT = 1  # to be increased when the same image file would give other pixels


def cache_folder(chosen: str | Path | None = None) -> Path:
    """The folder `chosen`, or the user's cache folder for this package if it is None.

    Example:
        >>> cache_folder("decoded").name
        'decoded'
        >>> cache_folder().name
        'keras_faramtn'
    """
    if chosen is not None:
        return Path(chosen)
    return platformdirs.user_cache_path("keras_faramtn", appauthor=False)


def cached_images(
    paths: Sequence[Path],
    image_size: tuple[int, int],
    folder: str | Path,
    decode: Callable[[], Iterator[np.ndarray]],
) -> np.ndarray | None:
    """The pixels of all images in one file, which is written if it doesn't exist yet.

    The file's name is a hash of the image size and of each image's path, size and modification
    time. The file is written with `atomic_write`, so an interrupted decoding is never used.

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
        InputError: the folder can't be written to, or the disk is full.
    """
    shape = (len(paths), *image_size, 3)
    folder = Path(folder)
    file = folder / f"{_key(paths, image_size)}.npy"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not file.is_file():
            size, free = math.prod(shape), shutil.disk_usage(folder).free
            if free < 1.05 * size:
                _log.warning(
                    f"{folder}: the decoded images need {size / 1e9:.1f} GB and "
                    f"{free / 1e9:.1f} GB are free, so the images are decoded in each epoch; set "
                    "data.cache to another folder."
                )
                return None
            _log.info(f"Decoding {len(paths):,} images once, to {file} ({size / 1e9:.1f} GB)")
            atomic_write(file, lambda temporary: _write(temporary, shape, decode()))
    except (OSError, InputError) as error:
        raise InputError(
            f"{folder}: the decoded images can't be stored there: {str(error).rstrip('.')}. Set "
            "data.cache to another folder."
        ) from error
    return np.load(file, mmap_mode="r")


def _key(paths: Sequence[Path], image_size: tuple[int, int]) -> str:
    content = hashlib.sha256(f"{_FORMAT} {image_size[0]} {image_size[1]}".encode())
    for path in paths:
        state = path.stat()
        content.update(f"\n{path.absolute()} {state.st_size} {state.st_mtime_ns}".encode())
    return content.hexdigest()[:32]


def _write(path: Path, shape: tuple[int, ...], decoded: Iterator[np.ndarray]) -> None:
    """Writes a `.npy` file. A full disk raises OSError, where a memory map would end in SIGBUS."""
    header = {"descr": np.dtype("uint8").str, "fortran_order": False, "shape": shape}
    with path.open("wb") as file, tqdm(total=shape[0], desc="Decoding", unit=" images") as bar:
        np.lib.format.write_array_header_1_0(file, header)
        for images in decoded:
            file.write(np.ascontiguousarray(images))
            bar.update(len(images))
