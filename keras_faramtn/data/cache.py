"""Decoded images on disk, for a set that is too large for memory."""

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from keras_faramtn.errors import InputError

_FORMAT = 1  # another number where the same image file would give other pixels
_ABANDONED = 3600  # seconds without a write after which an unfinished file is nobody's
_UNFINISHED = ".part"


def cache_folder(chosen: str | Path | None = None) -> Path:
    """The folder that is `chosen`, or the one for caches of this user (XDG's)."""
    if chosen is not None:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "keras_faramtn"


def cached_images(
    images: Sequence[Path],
    image_size: tuple[int, int],
    folder: Path,
    decode: Callable[[], Iterator[np.ndarray]],
) -> np.ndarray | None:
    """The pixels of all images in one file, which is written where it isn't there yet.

    The file's name is a hash of the size and of each image's path, length and time of change.
    It has that name from when it is complete: one that was interrupted is never taken for it, and
    is removed an hour later by whoever comes here next.

    Args:
        images: n paths.
        image_size: height and width in pixels.
        folder: where to; it is made where missing. What is in it may be deleted at any time.
        decode: gives the pixels, uint8 `(some, height, width, 3)`, in the order of `images`.

    Returns:
        uint8 `(n, height, width, 3)`, mapped from the file and read-only; None, and a line on the
        terminal, where the disk has no room for it.

    Raises:
        InputError: the folder can't be written to.
    """
    shape = (len(images), *image_size, 3)
    file = folder / f"{_key(images, image_size)}.npy"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder)
        if not file.is_file():
            size, free = int(np.prod(shape, dtype=np.int64)), shutil.disk_usage(folder).free
            if free < 1.05 * size:
                print(
                    f"{folder}: {size / 1e9:.1f} GB of decoded images have no room there "
                    f"({free / 1e9:.1f} GB are free), so they are decoded in each epoch; "
                    "data.cache names another folder."
                )
                return None
            print(f"Decoding {len(images):,} images once, to {file} ({size / 1e9:.1f} GB)")
            _write(file, shape, decode())
    except OSError as error:
        raise InputError(
            f"{folder}: decoded images can't be kept there: {error}; name another folder as "
            "data.cache."
        ) from error
    return np.load(file, mmap_mode="r")


def _key(images: Sequence[Path], image_size: tuple[int, int]) -> str:
    content = hashlib.sha256(f"{_FORMAT} {image_size[0]} {image_size[1]}".encode())
    for image in images:
        state = image.stat()
        content.update(f"\n{image.absolute()} {state.st_size} {state.st_mtime_ns}".encode())
    return content.hexdigest()[:32]


def _remove_abandoned(folder: Path) -> None:
    for file in folder.glob(f"*{_UNFINISHED}"):
        with contextlib.suppress(FileNotFoundError):  # another process may be done with it
            if time.time() - file.stat().st_mtime > _ABANDONED:
                file.unlink()


def _write(file: Path, shape: tuple[int, ...], decoded: Iterator[np.ndarray]) -> None:
    number, name = tempfile.mkstemp(dir=file.parent, prefix=file.stem, suffix=_UNFINISHED)
    os.close(number)
    unfinished = Path(name)
    try:
        pixels = np.lib.format.open_memmap(unfinished, "w+", np.uint8, shape)
        done = 0
        with tqdm(total=len(pixels), desc="Decoding", unit=" images") as bar:
            for some in decoded:
                pixels[done : done + len(some)] = some
                done += len(some)
                bar.update(len(some))
        pixels.flush()
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)
