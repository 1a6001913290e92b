"""Locks between processes, so that two runs don't write to the same file or folder."""

import contextlib
import errno
import hashlib
import logging
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from keras_faramtn.errors import InputError, reason

LOCK_FILE = ".keras_faramtn.lock"
"""The name of the lock of an existing folder, inside it."""

_SECONDS_BETWEEN_ATTEMPTS = 0.2
_REFUSED = {errno.EACCES, errno.EAGAIN, errno.EDEADLK}  # what a lock of another process raises

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def output_lock(output: str | Path, *, wait: bool = False) -> Iterator[None]:
    """Allows one process at a time to write an output.

    The lock is `LOCK_FILE` in an existing folder, and otherwise a hidden file next to the output,
    whose name is derived from it. It is removed at the end; the operating system releases the lock
    of a killed process. On a file system without locks there is only a warning.

    Args:
        output: a file or folder; its parent must exist.
        wait: wait for another process, instead of raising an error.

    Raises:
        InputError: another process has the lock, or the lock can't be created.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, output_lock(folder):
        ...     try:
        ...         with output_lock(folder):
        ...             pass
        ...     except InputError as error:
        ...         print("refused")
        refused
    """
    output = Path(output)
    path = _lock_path(output)
    try:
        file = _lock_output(output, path)
        if file is None and wait:
            logger.info("%s: waiting for another process that writes it", output)
        while file is None and wait:
            time.sleep(_SECONDS_BETWEEN_ATTEMPTS)
            file = _lock_output(output, path)
    except _NoLocksError:
        logger.warning(
            "%s: its file system has no locks; don't write to it from two processes.", output
        )
        try:
            yield
        finally:
            _remove_empty(path)
        return
    if file is None:
        raise InputError(
            f"{output}: another process is writing to it; wait until it ends, or choose another "
            "name."
        )
    try:
        yield
    finally:
        release(file, path)


class _NoLocksError(Exception):
    """A file system has no locks."""


def _lock_output(output: Path, path: Path) -> int | None:
    try:
        return try_lock(path)
    except OSError as error:
        if error.errno in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            raise _NoLocksError from error
        raise InputError(f"{output}: can't be written ({reason(error)}).") from error


def _lock_path(output: Path) -> Path:
    if output.is_dir():
        return output / LOCK_FILE
    name = hashlib.sha256(os.fsencode(output.name)).hexdigest()[:16]
    return output.absolute().parent / f".keras_faramtn-{name}.lock"


def try_lock(path: Path) -> int | None:
    """Locks a file, which is created if missing and otherwise not changed.

    Returns:
        A file descriptor, which holds the lock until it is closed; None if another holder has it.

    Raises:
        OSError: the file can't be opened, or its file system has no locks.
    """
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        if sys.platform != "win32":
            with contextlib.suppress(OSError):  # another user's, or on a file system without modes
                os.fchmod(file, 0o666)  # without the umask: other users must open it to wait
        try:
            _lock(file)
            if os.path.samestat(os.fstat(file), path.stat()):
                return file
        except FileNotFoundError:
            pass
        except OSError as error:
            os.close(file)
            if error.errno in _REFUSED:
                return None
            raise
        os.close(file)  # its holder removed it before it was locked here


def release(file: int, path: Path) -> None:
    """Releases a lock and removes its file, unless that has content."""
    _remove_empty(path)
    os.close(file)


def _remove_empty(path: Path) -> None:
    with contextlib.suppress(OSError):  # Windows doesn't remove an open file
        if path.stat().st_size == 0:
            path.unlink()


if sys.platform == "win32":
    import msvcrt

    def _lock(file: int) -> None:
        os.lseek(file, 1 << 20, os.SEEK_SET)  # beyond the content, which stays readable
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
