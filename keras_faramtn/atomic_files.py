"""Atomic writes: a file or folder gets its name only when its content is complete."""

import contextlib
import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from keras_faramtn.errors import InputError, reason
from keras_faramtn.locks import LOCK_FILE, output_lock, try_lock

TEMPORARY_PREFIX = ".keras_faramtn-"
"""Prefix of the names of this package's temporary folders."""

logger = logging.getLogger(__name__)

# In each temporary folder: locked while its process lives; proves that the folder is ours.
_OWNER_FILE = ".keras_faramtn-owner"
_OWNER = b"A temporary folder of keras_faramtn\n"
_CONTENT = "content"  # the finished files of an atomic folder
_REPLACED = "replaced"  # the earlier files
# The names of the earlier files. While it exists, the content is complete, but not all moved.
_MOVES_FILE = ".keras_faramtn-moves.json"


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
            with temporary.open("rb+") as file:  # Windows flushes only what can be written
                os.fsync(file.fileno())
            temporary.replace(path)
    except OSError as error:
        raise InputError(
            f"{path}: can't be written ({reason(error)}); choose another folder."
        ) from error


def atomic_write_bytes(path: str | Path, content: bytes) -> None:
    """Writes `content` to the file `path` with `atomic_write`; raises the same errors."""
    atomic_write(path, lambda temporary: temporary.write_bytes(content))


@contextlib.contextmanager
def atomic_folder(
    folder: str | Path, *, refuse: Callable[[Path], None] | None = None
) -> Iterator[Path]:
    """A temporary folder to write to, which becomes `folder` when the block ends without an error.

    If the block raises, the temporary folder is removed. A folder that exists, such as a mount
    point or the target of a symbolic link, is kept, and the finished content is moved into it,
    hidden files last. If that fails or is interrupted, the earlier content is moved back; if the
    process is killed, the next call for the same folder completes the moves. One process at a time
    can write a folder.

    Args:
        folder: the folder to create.
        refuse: called with `folder` before the block, and again before its content is replaced;
            raises InputError if that can't be replaced. If None, the folder must not exist, or be
            empty.

    Yields:
        The temporary folder.

    Raises:
        InputError: `folder` is refused, is a file, can't be created, or is written by another
            process; or an unfinished replacement of its content can't be completed.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as parent:
        ...     with atomic_folder(Path(parent) / "new") as folder:
        ...         _ = (folder / "file.txt").write_text("content")
        ...     [path.name for path in (Path(parent) / "new").iterdir()]
        ['file.txt']
    """
    folder, refuse = Path(folder).absolute(), refuse or refuse_non_empty
    check_folder(folder, refuse)
    with contextlib.ExitStack() as stack:
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(output_lock(folder))
            exists = folder.is_dir()
            # On the same file system as the result, so that the last step only renames.
            temporary = stack.enter_context(_temporary_folder(folder if exists else folder.parent))
            content = temporary / _CONTENT
            content.mkdir()
        except OSError as error:
            raise InputError(f"{folder}: can't be created: {reason(error)}.") from error
        refuse(folder)
        yield content
        refuse(folder)
        try:
            if exists:
                _replace_content(folder, temporary)
            else:
                content.rename(folder)
        except OSError as error:
            raise InputError(f"{folder}: can't be written: {reason(error)}.") from error


def check_folder(folder: Path, refuse: Callable[[Path], None] | None = None) -> None:
    """Checks early whether `atomic_folder` would accept a folder.

    First completes a replacement of its content that a killed process left unfinished.

    Args:
        folder: the folder.
        refuse: as in `atomic_folder`.

    Raises:
        InputError: `folder` is refused, or its unfinished replacement can't be completed.

    Example:
        >>> check_folder(Path("no_such_folder"))
    """
    _remove_abandoned(folder)
    (refuse or refuse_non_empty)(folder)


def refuse_inside(folder: Path, source: Path) -> None:
    """Refuses a folder for images below a folder whose images are read, now and the next time.

    Raises:
        InputError: `folder` is `source`, or is below it.

    Example:
        >>> refuse_inside(Path("photographs/drawn"), Path("photographs.csv"))
    """
    if Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(source)):
        raise InputError(
            f"{folder}: the images in it would be found in {source} the next time; choose a folder "
            "outside it."
        )


def _replace_content(folder: Path, temporary: Path) -> None:
    """Moves earlier files out and finished files in; if that fails, moves them back.

    If they can't be moved back either, `_MOVES_FILE` remains, which keeps the temporary folder.
    """
    earlier = [path.name for path in visible_content(folder)]
    finished = [path.name for path in (temporary / _CONTENT).iterdir()]
    try:
        atomic_write_bytes(temporary / _MOVES_FILE, json.dumps(earlier).encode())
        _complete_moves(folder, temporary)
    except BaseException as error:  # Ctrl-C too
        try:
            _undo_moves(folder, temporary, finished)
        except OSError as problem:
            raise InputError(
                f"{folder}: its content can't be replaced ({reason(error)}), nor restored "
                f"({reason(problem)}). The earlier files are in {temporary / _REPLACED}, the new "
                f"ones in {temporary / _CONTENT}; remove the cause and repeat the command, which "
                "completes the replacement."
            ) from error
        raise


def _complete_moves(folder: Path, temporary: Path) -> None:
    """Moves earlier files out and finished files in; continues where an earlier call stopped."""
    moves, replaced = temporary / _MOVES_FILE, temporary / _REPLACED
    replaced.mkdir(exist_ok=True)
    # Hidden files are moved out first and in last: a marker means that the content is complete.
    for name in sorted(json.loads(moves.read_text())):
        if os.path.lexists(folder / name) and not os.path.lexists(replaced / name):
            (folder / name).rename(replaced / name)
    for path in sorted((temporary / _CONTENT).iterdir(), reverse=True):
        path.rename(folder / path.name)
    moves.unlink()


def _undo_moves(folder: Path, temporary: Path, finished: list[str]) -> None:
    """Reverses `_complete_moves`, unless it reached its end or never began."""
    moves, replaced, content = (temporary / name for name in (_MOVES_FILE, _REPLACED, _CONTENT))
    if not moves.exists():
        return
    # `_complete_moves` may follow an interruption here: it takes what is in `folder`, and not in
    # `replaced`, for an earlier file. So all finished files are moved out first.
    for name in sorted(finished):
        if not os.path.lexists(content / name):
            (folder / name).rename(content / name)
    if replaced.exists():
        for path in sorted(replaced.iterdir(), reverse=True):
            path.rename(folder / path.name)
    moves.unlink()


@contextlib.contextmanager
def new_folder(folder: str | Path) -> Iterator[None]:
    """Creates a folder, or accepts an empty one, and locks it during the block.

    Raises:
        InputError: the folder is not empty, is a file, can't be created, or is written by another
            process.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as parent:
        ...     with new_folder(Path(parent) / "scores"):
        ...         (Path(parent) / "scores").is_dir()
        True
    """
    folder = Path(folder)
    refuse_non_empty(folder)
    make_folder(folder)
    with output_lock(folder):
        refuse_non_empty(folder)  # another process may have written it meanwhile
        yield


def make_folder(folder: Path) -> None:
    """Creates a folder and its parents if they are missing.

    Raises:
        InputError: it can't be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: can't be created: {reason(error)}.") from error


def refuse_non_empty(folder: str | Path) -> None:
    """Refuses an output folder whose content could be overwritten.

    Files that a killed process of this package left behind do not count.

    Raises:
        InputError: the folder is not empty, is a file, or is a broken symbolic link.
    """
    folder = Path(folder)
    if folder.is_symlink() and not folder.exists():
        raise InputError(
            f"{folder}: this symbolic link leads to {folder.readlink()}, which doesn't exist; "
            "create that folder, or choose another."
        )
    if not folder.exists():
        return
    if not folder.is_dir() or visible_content(folder):
        raise InputError(f"{folder}: it already exists; choose another folder, or remove it.")


def visible_content(folder: Path) -> list[Path]:
    """The files and folders in a folder, without the temporary ones and locks of this package.

    Raises:
        InputError: the folder can't be read.
    """
    try:
        return sorted(path for path in folder.iterdir() if not _is_temporary(path))
    except OSError as error:
        raise InputError(f"{folder}: can't be read: {reason(error)}.") from error


def unused_path(path: Path) -> Path:
    """`path`, with a number appended if it already exists.

    Example:
        >>> unused_path(Path("scores.csv.part")).name
        'scores.csv.part'
    """
    candidate, number = path, 1
    while os.path.lexists(candidate):
        number += 1
        candidate = path.with_name(f"{path.name}{number}")
    return candidate


def digest(path: str | Path) -> str:
    """A hash of a file's content: the first 16 hexadecimal digits of its SHA-256."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


@contextlib.contextmanager
def _temporary_folder(parent: Path) -> Iterator[Path]:
    """A new folder in `parent`, removed at the end; abandoned ones are removed too."""
    _remove_abandoned(parent)
    folder = Path(tempfile.mkdtemp(dir=parent, prefix=TEMPORARY_PREFIX))
    owner = None
    try:
        with contextlib.suppress(OSError):  # without locks, abandoned folders are not removed
            owner = try_lock(folder / _OWNER_FILE)
        (folder / _OWNER_FILE).write_bytes(_OWNER)
        yield folder
    finally:
        _remove(folder, owner)


def _remove_abandoned(parent: Path) -> None:
    """Removes the temporary folders of processes that were killed, after completing their moves.

    Raises:
        InputError: moves can't be completed.
    """
    try:
        folders = [path for path in parent.glob(f"{TEMPORARY_PREFIX}*/") if _is_temporary(path)]
    except OSError:  # what can't be read is reported by the caller's next step
        return
    for folder in folders:
        owner = None
        try:
            if not (folder / _OWNER_FILE).exists():
                continue
            owner = try_lock(folder / _OWNER_FILE)
            if owner is None:  # its process lives
                continue
            if (folder / _MOVES_FILE).exists():
                _complete_moves(parent, folder)
        except OSError as error:
            if (folder / _MOVES_FILE).exists():
                raise InputError(
                    f"{parent}: an earlier command stopped while it replaced the content, and "
                    f"that can't be completed ({reason(error)}). The earlier files are in "
                    f"{folder / _REPLACED}, the new ones in {folder / _CONTENT}; move those that "
                    "you need, and remove that temporary folder."
                ) from error
        finally:
            if owner is not None:
                _remove(folder, owner)


def _remove(folder: Path, owner: int | None) -> None:
    """Removes a temporary folder, unless its moves are unfinished, and releases its lock.

    The owner file is removed last, so that what can't be removed stays recognisable.
    """
    try:
        if (folder / _MOVES_FILE).exists():
            return
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name != _OWNER_FILE:
                path.unlink()
    except FileNotFoundError:  # removed by another program meanwhile
        pass
    except OSError as error:
        logger.warning("%s: this temporary folder can't be removed: %s", folder, reason(error))
        return
    finally:
        if owner is not None:
            os.close(owner)
    shutil.rmtree(folder, ignore_errors=True)


def _is_temporary(path: Path) -> bool:
    """Whether a file or folder is a temporary one of this package; the name is not enough."""
    if path.is_symlink() or not path.name.startswith((TEMPORARY_PREFIX, LOCK_FILE)):
        return False
    with contextlib.suppress(OSError):
        if path.is_file():
            return path.suffix == ".lock" and path.stat().st_size == 0
        owner = path / _OWNER_FILE
        return owner.read_bytes() == _OWNER if owner.exists() else not any(path.iterdir())
    return False
