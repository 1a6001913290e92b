"""Finds images that a label file lists twice, even under two spellings of their path."""

import os
import unicodedata
from pathlib import Path


class ImageFiles:
    """The image files that a label file has listed so far.

    Example:
        >>> files = ImageFiles()
        >>> files.add(Path("a.jpg")), files.add(Path("b.jpg")), files.add(Path("./b.jpg"))
        (True, True, False)
    """

    def __init__(self) -> None:
        self._folders: dict[str, str] = {}
        self._spellings: dict[str, set[str]] = {}

    def add(self, path: Path) -> bool:
        """Adds an image; returns whether it is new: no earlier path leads to the same file."""
        real = self._real(os.fspath(path))
        # On some file systems, upper and lower case or two encodings of a letter are the same file.
        spellings = self._spellings.setdefault(_folded(real), set())
        if real in spellings or any(_same_file(real, other) for other in spellings):
            return False
        spellings.add(real)
        return True

    def _real(self, path: str) -> str:
        """The path without links; each folder is resolved once, because that is slow."""
        folder, name = os.path.split(path)
        try:
            if name in {"", ".", ".."} or os.path.islink(path):  # noqa: PTH114
                return os.path.realpath(path)
            if folder not in self._folders:
                self._folders[folder] = os.path.realpath(folder)
        except (OSError, ValueError):  # ValueError: a null character
            return path
        return os.path.join(self._folders[folder], name)  # noqa: PTH118


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()


def _same_file(path: str, other: str) -> bool:
    try:
        return os.path.samefile(path, other)  # noqa: PTH121
    except OSError:
        return False
