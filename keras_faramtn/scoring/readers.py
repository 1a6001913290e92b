"""Reads the images of a shard one after the other, without decoding them."""

import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_faramtn.data.images import is_image_file
from keras_faramtn.errors import InputError, reason
from keras_faramtn.scoring.shards import IMAGES, PARQUET, TAR, TFRECORD, Shard

IMAGE_NAMES = ("image", "image/encoded", "image_raw", "jpg", "jpeg", "png", "bytes", "content")
"""The columns of a Parquet file, and the features of a `tf.train.Example`, that hold the encoded
image; the first that exists counts. A column may hold a struct with a field `bytes`, as in
the data sets of Hugging Face."""

KEY_NAMES = ("key", "__key__", "id", "image/filename", "filename", "path", "url")
"""The columns and features that identify an image; the first that exists counts. Without one, and
where it is null, the number of the image in the file does, from 0."""

_ROWS = 32  # of a Parquet file, in memory at a time


@dataclass(frozen=True)
class SourceImage:
    """An image of the input, not decoded yet.

    Attributes:
        path: the image file; or a name for messages, if `content` is given.
        key: identifies the image: its path, or its name in the shard.
        shard: the file that contains the image; None for an image file.
        content: the encoded image; None for an image file.
        error: why the next images of a shard can't be read; `key` is None then.
    """

    path: Path
    key: str | None
    shard: str | None = None
    content: bytes | None = None
    error: InputError | None = None

    def __str__(self) -> str:
        return str(self.path)


def read_shard(shard: Shard) -> Iterator[SourceImage]:
    """The images of a shard, in the order of its files.

    If a file can't be read, is not of its kind, ends too early, or contains no images, the last
    item has the error.
    """
    if shard.kind == IMAGES:
        yield from (SourceImage(file, str(file)) for file in shard.files)
        return
    [file] = shard.files
    name, count = str(file), 0
    try:
        for key, content in _READERS[shard.kind](file):
            count += 1
            yield SourceImage(Path(f"{file}/{key}"), key, name, content)
        if not count:
            raise InputError(f"{file}: there is no image in this {shard.kind} file.")
    except Exception as error:  # each library has its own exceptions for damaged files
        yield SourceImage(file, None, name, error=_in_words(error, shard, count))


def _in_words(error: Exception, shard: Shard, count: int) -> InputError:
    if isinstance(error, InputError):
        return error
    state = f"it is damaged after {count:,} images" if count else "it can't be read"
    return InputError(
        f"{shard.files[0]}: not a complete {shard.kind} file: {state}: {reason(error)}."
    )


def _read_tar(file: Path) -> Iterator[tuple[str, bytes]]:
    """The image files in a tar archive, as in a shard of WebDataset."""
    with tarfile.open(file) as archive:
        for member in archive:
            if member.isfile() and is_image_file(Path(member.name)):
                yield member.name, archive.extractfile(member).read()  # type: ignore[union-attr]
        # `tarfile` takes a header that was cut off for the end, which is a block of zeros.
        archive.fileobj.seek(archive.offset)
        if archive.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise ValueError("its end is missing")


def _read_tfrecord(file: Path) -> Iterator[tuple[str, bytes]]:
    """The images in a TFRecord file of `tf.train.Example`s."""
    import tensorflow as tf

    records = tf.data.TFRecordDataset(os.fsencode(file))  # not every path is valid UTF-8
    for number, record in enumerate(records.as_numpy_iterator()):
        features = tf.train.Example.FromString(record).features.feature
        image = _first(IMAGE_NAMES, features)
        if image is None:
            raise InputError(_no_image(file, "feature", features))
        key = _first(KEY_NAMES, features)
        value = None if key is None else _first_value(features[key])
        yield _key(value, number), _first_value(features[image]) or b""


def _first_value(feature: Any) -> Any:
    kind = feature.WhichOneof("kind")
    values = getattr(feature, kind).value if kind else []
    return values[0] if values else None


def _read_parquet(file: Path) -> Iterator[tuple[str, bytes]]:
    """The images in a Parquet file, a few rows at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    # pyarrow itself opens only paths that are valid UTF-8.
    with file.open("rb") as source, pq.ParquetFile(source) as content:
        schema = content.schema_arrow
        image, key = _first(IMAGE_NAMES, schema.names), _first(KEY_NAMES, schema.names)
        kind = None if image is None else schema.field(image).type
        if kind is None or (pa.types.is_struct(kind) and kind.get_field_index("bytes") < 0):
            raise InputError(_no_image(file, "column", schema.names))
        columns = [image] if key is None else [image, key]
        number = 0
        for batch in content.iter_batches(_ROWS, columns=columns):
            for row in batch.to_pylist():
                value = row[image]
                encoded = value["bytes"] if isinstance(value, dict) else value
                yield _key(None if key is None else row[key], number), encoded or b""
                number += 1


def _first(names: tuple[str, ...], present: Any) -> str | None:
    return next((name for name in names if name in present), None)


def _key(value: Any, number: int) -> str:
    if value is None:
        return str(number)
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)


def _no_image(file: Path, what: str, present: Any) -> str:
    return (
        f"{file}: no {what} holds the encoded images; it has {', '.join(sorted(present))}. Name it "
        f"{IMAGE_NAMES[0]!r}."
    )


_READERS: Mapping[str, Callable[[Path], Iterator[tuple[str, bytes]]]] = {
    TAR: _read_tar,
    TFRECORD: _read_tfrecord,
    PARQUET: _read_parquet,
}
