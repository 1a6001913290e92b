"""Divides the input of a run into shards: each is scored by one task, into one Parquet file."""

import fnmatch
import glob
import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from keras_faramtn.data.images import files_below, is_image_file
from keras_faramtn.errors import InputError, reason

IMAGES, TAR, TFRECORD, PARQUET = "images", "tar", "TFRecord", "Parquet"
"""The kinds of shards."""

_SUFFIXES = {".tar": TAR, ".tgz": TAR, ".tar.gz": TAR, ".tfrecords": TFRECORD, ".parquet": PARQUET}
_TFRECORD_NAME = ".tfrecord"  # many names end in .tfrecord-00000-of-00010
_KNOWN = "images, .tar, .tfrecord and .parquet files can be scored"


@dataclass(frozen=True)
class Shard:
    """Images that one task scores.

    Attributes:
        number: the position among the shards of the run, from 0.
        kind: `IMAGES`, `TAR`, `TFRECORD` or `PARQUET`.
        files: absolute paths: image files, or one file that contains images.
    """

    number: int
    kind: str
    files: tuple[Path, ...]

    def __str__(self) -> str:
        return f"shard {self.number} ({self.files[0]})"


def list_shards(inputs: Sequence[str | Path], images_per_shard: int) -> list[Shard]:
    """Divides files into shards, always in the same way for the same files.

    Args:
        inputs: files, folders, which are searched with all their subfolders, and glob patterns, in
            which `**` stands for any number of folders. Files of other kinds in a folder, or
            that match a pattern, are skipped. A file that is named twice counts once.
        images_per_shard: the largest number of image files in a shard. Each other file is a shard.

    Returns:
        The shards of image files, then the others, files in alphabetical order.

    Raises:
        InputError: `inputs` is a single path; an input doesn't exist, contains no file to score, is
            of an unknown kind, or can't be read.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("a.jpg", "b.jpg", "c.jpg", "faces.tar", "notes.txt"):
        ...         (Path(folder) / name).touch()
        ...     for shard in list_shards([folder], images_per_shard=2):
        ...         print(shard.number, shard.kind, [file.name for file in shard.files])
        0 images ['a.jpg', 'b.jpg']
        1 images ['c.jpg']
        2 tar ['faces.tar']
    """
    if isinstance(inputs, str | Path):
        raise InputError(f"inputs must be a list of paths; got {str(inputs)!r}.")
    files = sorted({file for name in inputs for file in _files_of(os.fspath(name))})
    images = [file for file in files if _kind(file) == IMAGES]
    starts = range(0, len(images), images_per_shard)
    groups = [(IMAGES, tuple(images[start : start + images_per_shard])) for start in starts]
    groups += [(kind, (file,)) for file in files if (kind := _kind(file)) not in (None, IMAGES)]
    return [Shard(number, kind, group) for number, (kind, group) in enumerate(groups)]


def refuse_output_in_inputs(inputs: Sequence[str | Path], output: Path) -> None:
    """Checks that a file that will be written wouldn't be found among the inputs later.

    Args:
        inputs: as for `list_shards`.
        output: the file; it may not exist yet.

    Raises:
        InputError: it would.
    """
    target = Path(os.path.realpath(output)).parts
    for name in inputs:
        path = os.path.realpath(name)
        pattern = Path(glob.escape(path) if Path(name).exists() else path)
        if _matches(target, pattern.parts):
            raise InputError(
                f"{output.parent}: the files of this folder would be found in the input {name} "
                "when the run resumes; choose a folder outside it."
            )


def fingerprint(shards: Iterable[Shard]) -> str:
    """A hash of the paths, sizes and modification times of all files, and of their division.

    Raises:
        InputError: a file can't be read.
    """
    content = hashlib.sha256()
    for shard in shards:
        content.update(b"\n%d" % shard.number)
        for file in shard.files:
            try:
                state = file.stat()
            except OSError as error:
                raise InputError(f"{file}: can't be read: {reason(error)}.") from error
            path = os.fsencode(file)  # not every path is valid UTF-8
            content.update(b"\n%b %d %d" % (path, state.st_size, state.st_mtime_ns))
    return content.hexdigest()[:16]


def _files_of(name: str) -> Iterator[Path]:
    """The files that one input names, as absolute paths."""
    path = _absolute(name)
    if "://" in name:
        raise InputError(
            f"{name}: object storage can't be read directly; mount the bucket on all computers of "
            "the cluster, and specify the path where it is mounted."
        )
    if path.exists() or not glob.has_magic(name):
        matches = [path]
    else:
        # Unlike those of `glob`, patterns of `Path.glob` can't be absolute.
        found_paths = map(_absolute, glob.iglob(name, recursive=True))  # noqa: PTH207
        matches = [match for match in found_paths if match.is_dir() or _kind(match)]
    found = itertools.chain.from_iterable(map(_files_at, matches))
    first = next(found, None)
    if first is None:
        raise InputError(f"{name}: there is no file to score; {_KNOWN}.")
    yield first
    yield from found


def _files_at(path: Path) -> Iterator[Path]:
    if path.is_dir():
        try:
            yield from (file for file in files_below(path) if _kind(file))
        except OSError as error:
            raise InputError(
                f"{error.filename or path}: it can't be read: {reason(error)}."
            ) from error
    elif not path.exists():
        raise InputError(f"{path}: there is no such file or folder.")
    elif _kind(path) is None:
        raise InputError(f"{path}: this kind of file can't be scored; {_KNOWN}.")
    else:
        yield path


def _absolute(name: str) -> Path:
    return Path(os.path.abspath(name))  # noqa: PTH100 - `Path.absolute` keeps `..`


def _matches(path: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a glob pattern matches a path or a folder above it, both divided into names."""
    if not pattern:
        return True
    if pattern[0] == "**":
        return any(_matches(path[start:], pattern[1:]) for start in range(len(path) + 1))
    return (
        bool(path) and fnmatch.fnmatchcase(path[0], pattern[0]) and _matches(path[1:], pattern[1:])
    )


def _kind(file: Path) -> str | None:
    """The kind of shard that a file belongs to; None if it can't be scored."""
    if is_image_file(file):
        return IMAGES
    name = file.name.lower()
    if _TFRECORD_NAME in name:
        return TFRECORD
    return next((kind for suffix, kind in _SUFFIXES.items() if name.endswith(suffix)), None)
