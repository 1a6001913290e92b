"""Files that are never seen half written."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_faramtn.errors import InputError


def write_whole(path: str | Path, write: Callable[[Path], Any]) -> None:
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


def write_bytes(path: str | Path, content: bytes) -> None:
    """Writes `content` as `write_whole` does, with its errors."""
    write_whole(path, lambda aside: aside.write_bytes(content))
