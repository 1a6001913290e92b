"""Markers in output folders, by which this package recognises its own output."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_faramtn import __version__
from keras_faramtn.atomic_files import (
    atomic_write_bytes,
    digest,
    make_folder,
    refuse_non_empty,
    visible_content,
)
from keras_faramtn.errors import InputError
from keras_faramtn.locks import output_lock

MARKER_FILE = ".keras_faramtn.json"

_PACKAGE = "keras_faramtn"


@contextlib.contextmanager
def owned_folder(folder: Path, kind: str) -> Iterator[None]:
    """A folder for one run, or the same folder again, locked during the block.

    A new or empty folder gets a marker. If the block writes nothing, the marker is removed.

    Args:
        folder: the folder.
        kind: what it contains, such as "training run".

    Raises:
        InputError: the folder has content, but no marker of this kind; or it is a file, can't be
            created, or is written by another process.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for _ in range(2):
        ...         with owned_folder(Path(folder), "training run"):
        ...             _ = (Path(folder) / "history.csv").write_text("loss")
        ...     sorted(path.name for path in Path(folder).iterdir())
        ['.keras_faramtn.json', 'history.csv']
    """
    _refuse_others(folder, kind)
    make_folder(folder)
    with output_lock(folder):
        _refuse_others(folder, kind)
        if _read_marker(folder) is None:
            _write_marker(folder, {"kind": kind})
        try:
            yield
        finally:
            if [path.name for path in visible_content(folder)] == [MARKER_FILE]:
                (folder / MARKER_FILE).unlink()


def _refuse_others(folder: Path, kind: str) -> None:
    if not folder.is_dir() or not visible_content(folder):
        refuse_non_empty(folder)
    elif (_read_marker(folder) or {}).get("kind") != kind:
        raise InputError(
            f"{folder}: it already exists, and is not the folder of a {kind} that faramtn created; "
            "choose another folder."
        )


def mark_files(folder: Path, kind: str) -> None:
    """Writes a marker that lists all files in `folder` with their digests."""
    files = {name: digest(folder / name) if path.is_file() else "" for name, path in _walk(folder)}
    _write_marker(folder, {"kind": kind, "files": files})


def refuse_other_files(folder: Path, kind: str) -> None:
    """Checks that a folder contains only what `mark_files` listed, so that it can be replaced.

    Raises:
        InputError: it contains something else, or a file that was changed; or it is a file.
    """
    if not folder.is_dir() or not visible_content(folder):
        refuse_non_empty(folder)
        return
    marker = _read_marker(folder) or {}
    if marker.get("kind") != kind or not isinstance(marker.get("files"), dict):
        raise InputError(
            f"{folder}: this is not an earlier {kind}, so --force does not replace it; choose "
            "another folder."
        )
    files = marker["files"]
    others = [name for name, path in _walk(folder) if not _is_listed(name, path, files)]
    if others:
        shown = ", ".join(others[:3]) + (" and others" if len(others) > 3 else "")
        raise InputError(
            f"{folder}: {shown}: added or changed after the {kind}, so --force does not replace "
            "this folder; move them elsewhere, or choose another folder."
        )


def _is_listed(name: str, path: Path, files: dict[str, str]) -> bool:
    if name not in files or path.is_symlink():
        return False
    return path.is_dir() if not files[name] else path.is_file() and digest(path) == files[name]


def _walk(folder: Path) -> Iterator[tuple[str, Path]]:
    """All files and folders in `folder`, except the marker, with their names relative to it."""
    for top in visible_content(folder):
        if top.name == MARKER_FILE:
            continue
        yield top.name, top
        if top.is_dir() and not top.is_symlink():
            for parent, folders, names in os.walk(top):
                for name in sorted((*folders, *names)):
                    path = Path(parent, name)
                    yield path.relative_to(folder).as_posix(), path


def _write_marker(folder: Path, content: dict[str, Any]) -> None:
    marker = {"package": _PACKAGE, "version": __version__, **content}
    atomic_write_bytes(folder / MARKER_FILE, (json.dumps(marker, indent=1) + "\n").encode())


def _read_marker(folder: Path) -> dict[str, Any] | None:
    """The marker of a folder; None if there is none of this package."""
    try:
        content = json.loads((folder / MARKER_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    ours = isinstance(content, dict) and content.get("package") == _PACKAGE
    return content if ours else None
