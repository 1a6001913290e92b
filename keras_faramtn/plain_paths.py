"""Paths for TensorFlow, which treats some paths as patterns of file names."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

_PATTERN_CHARACTERS = set("*?[]\\") - {os.sep}


@contextlib.contextmanager
def plain_path(folder: Path) -> Iterator[Path]:
    """A path to `folder` that TensorFlow reads literally.

    Args:
        folder: the folder; it is created if missing.

    Yields:
        `folder` itself, or a temporary symbolic link to it if its path contains `*`, `?`, `[`,
        `]` or a backslash.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with plain_path(Path(folder, "x[1]")) as path:
        ...         path.is_dir(), "[" in str(path)
        (True, False)
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not _PATTERN_CHARACTERS & set(str(folder)):
        yield folder
        return
    with plain_temporary_folder() as temporary:
        link = temporary / "folder"
        link.symlink_to(folder.absolute(), target_is_directory=True)
        yield link


@contextlib.contextmanager
def plain_temporary_folder() -> Iterator[Path]:
    """A temporary folder whose path TensorFlow reads literally."""
    chosen = tempfile.gettempdir()
    parent = "/tmp" if _PATTERN_CHARACTERS & set(chosen) and os.name == "posix" else chosen
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        yield Path(folder)
