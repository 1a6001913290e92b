"""Files and folders that are never seen half written, and never written over unasked."""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from keras_faramtn.errors import InputError


def atomic_write(path: str | Path, write: Callable[[Path], Any]) -> None:
    """Lets `write` write a file aside, and renames what it wrote: all of it, or nothing.

    Args:
        path: the file; an older one is replaced. Its folder is made where needed.
        write: is given the path to write to, which ends as `path` does.

    Raises:
        InputError: the file can't be written.
    """
    path = Path(path)
    aside = path.with_name(f"{path.stem}.partial{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(aside)
            with aside.open("rb") as file:
                os.fsync(file.fileno())
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"{path}: can't be written ({error.strerror}); choose another folder."
        ) from error


def atomic_write_bytes(path: str | Path, content: bytes) -> None:
    """Writes `content` as `atomic_write` does, with its errors."""
    atomic_write(path, lambda aside: aside.write_bytes(content))


def digest(path: str | Path) -> str:
    """A hash of a file's content, 16 hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def refuse_non_empty(folder: Path) -> None:
    """Refuses a folder in which something would be lost.

    Raises:
        InputError: it has something in it, or is a file.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: it exists already; choose another folder, or remove it.")


def make_empty_folder(folder: Path) -> None:
    """Makes a folder, unless it is there and empty.

    Raises:
        InputError: it is in use, or can't be made.
    """
    refuse_non_empty(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: can't be made: {error.strerror}.") from error


@contextlib.contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """A folder to write to, which is called `folder` once all has gone well; else it is removed.

    Raises:
        InputError: `folder` is in use, is the current one, or can't be made.
    """
    refuse_non_empty(folder)
    if folder.resolve() == Path.cwd():
        raise InputError(f"{folder}: this is the current folder; name a new one.")
    folder = folder.absolute()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Beside the folder, so that the last step is a rename within one file system.
        aside = tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-")
    except OSError as error:
        raise InputError(f"{folder}: can't be made: {error.strerror}.") from error
    with aside as unfinished:
        complete = Path(unfinished) / folder.name
        complete.mkdir()
        yield complete
        if folder.exists():
            folder.rmdir()
        complete.rename(folder)
