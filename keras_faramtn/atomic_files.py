"""Atomic writes: a file or folder gets its name only when its content is complete."""

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from keras_faramtn.errors import InputError

TEMPORARY_PREFIX = ".keras_faramtn-"
"""How the names of this package's temporary folders begin."""

_REPLACED_PREFIX = ".keras_faramtn.replaced."  # of an earlier folder, until the new one is in place
_ABANDONED_SECONDS = 3600  # without a write for so long, a temporary folder has no writer


def atomic_write(path: str | Path, write: Callable[[Path], Any]) -> None:
    """Writes a file under a temporary name, then renames it.

    If `write` fails or is interrupted, an earlier file at `path` stays unchanged.

    Args:
        path: the file; an earlier one is replaced. Its folder is created if missing.
        write: called with a temporary path, which has the same file name in another folder, to
            write the content.

    Raises:
        InputError: the file can't be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "scores.txt"
        ...     atomic_write(path, lambda temporary: temporary.write_text("0.9"))
        ...     path.read_text()
        '0.9'
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _temporary_folder(path.parent) as folder:
            temporary = folder / path.name
            write(temporary)
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
    except OSError as error:
        raise InputError(
            f"{path}: can't be written ({error.strerror or error}); choose another folder."
        ) from error


def atomic_write_bytes(path: str | Path, content: bytes) -> None:
    """Writes `content` to the file `path` with `atomic_write`; raises the same errors."""
    atomic_write(path, lambda temporary: temporary.write_bytes(content))


@contextlib.contextmanager
def atomic_folder(folder: str | Path, *, replace: bool = False) -> Iterator[Path]:
    """A temporary folder to write to, which becomes `folder` when the block ends without an error.

    If the block raises, the temporary folder is removed. If `folder` exists and is empty, which
    may be a mount point, the finished content is moved into it.

    Args:
        folder: must not exist, or be empty, unless `replace` is set.
        replace: replace an earlier folder with all its content. If the process is killed between
            the two renames that this needs, the next call for the same folder restores the earlier
            one.

    Yields:
        The temporary folder.

    Raises:
        InputError: `folder` is not empty, is a file, or can't be created.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as parent:
        ...     with atomic_folder(Path(parent) / "new") as folder:
        ...         _ = (folder / "file.txt").write_text("content")
        ...     [path.name for path in (Path(parent) / "new").iterdir()]
        ['file.txt']
    """
    folder = Path(folder).absolute()
    replaced = folder.with_name(f"{_REPLACED_PREFIX}{folder.name}")
    if replaced.exists() and not folder.exists():
        replaced.rename(folder)
    if not replace:
        refuse_non_empty(folder)
    replace = replace and folder.exists() and any(folder.iterdir())
    exists = folder.exists() and not replace
    with contextlib.ExitStack() as stack:
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            # On the same file system as the result, so that the last step is only a rename.
            temporary = stack.enter_context(_temporary_folder(folder if exists else folder.parent))
        except OSError as error:
            raise InputError(f"{folder}: can't be created: {error.strerror}.") from error
        content = temporary / folder.name
        content.mkdir()
        yield content
        if replace:
            shutil.rmtree(replaced, ignore_errors=True)
            folder.rename(replaced)
        if exists:
            for path in content.iterdir():
                path.rename(folder / path.name)
        else:
            content.rename(folder)
    shutil.rmtree(replaced, ignore_errors=True)


@contextlib.contextmanager
def _temporary_folder(parent: Path) -> Iterator[Path]:
    """A new folder in `parent`, removed at the end; abandoned ones are removed too."""
    _remove_abandoned(parent)
    with tempfile.TemporaryDirectory(
        dir=parent, prefix=TEMPORARY_PREFIX, ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)


def _remove_abandoned(parent: Path) -> None:
    """Removes the temporary folders of processes that were killed."""
    for folder in parent.glob(f"{TEMPORARY_PREFIX}*/"):
        with contextlib.suppress(FileNotFoundError):  # another process may remove it meanwhile
            newest = max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
            if time.time() - newest > _ABANDONED_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


def digest(path: str | Path) -> str:
    """A hash of a file's content: the first 16 hexadecimal digits of its SHA-256."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def refuse_non_empty(folder: str | Path) -> None:
    """Refuses an output folder whose content could be overwritten.

    Raises:
        InputError: the folder is not empty, or is a file.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: it exists already; choose another folder, or remove it.")


def make_empty_folder(folder: str | Path) -> None:
    """Creates a folder; an existing one is accepted if it is empty.

    Raises:
        InputError: the folder is not empty, is a file, or can't be created.
    """
    folder = Path(folder)
    refuse_non_empty(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: can't be created: {error.strerror}.") from error
