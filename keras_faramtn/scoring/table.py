"""The Parquet files that a run writes: their columns, and the counts in their metadata."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_faramtn.errors import InputError, reason
from keras_faramtn.faces.face import Face

if TYPE_CHECKING:
    import pyarrow as pa

_BOX = ("left", "top", "right", "bottom")
_FIXED = ("key", "shard", "face", *_BOX, "score", "error", "model")
_COUNTS = b"keras_faramtn"  # the key of the counts in the metadata of a file


@dataclass(frozen=True)
class ScoredImage:
    """What is written about one image.

    Attributes:
        key: identifies the image: its path, or its name in the shard; None if the shard can't be
            read.
        shard: the file that contains the image; None for an image file.
        faces: the detected faces; None without detection.
        probabilities: float32 `(faces, attributes)` in 0..1; one row without detection.
        error: why the image can't be used, or None.
    """

    key: str | None
    shard: str | None
    faces: Sequence[Face] | None
    probabilities: np.ndarray
    error: str | None = None


@dataclass(frozen=True)
class ScoringSummary:
    """What a run has scored.

    Attributes:
        images: the number of images, with those that can't be used.
        usable: the number of images that can be used, with those without a face.
        faces: the number of faces with predictions. Without detection, an image is a face.
        errors: the number of images, and of shards, that can't be used.

    Example:
        >>> ScoringSummary(3, 2, 2, 1) + ScoringSummary(1, 1, 4, 0)
        ScoringSummary(images=4, usable=3, faces=6, errors=1)
    """

    images: int = 0
    usable: int = 0
    faces: int = 0
    errors: int = 0

    def __add__(self, other: "ScoringSummary") -> "ScoringSummary":
        return ScoringSummary(
            self.images + other.images,
            self.usable + other.usable,
            self.faces + other.faces,
            self.errors + other.errors,
        )


def check_columns(attributes: Sequence[str]) -> None:
    """Checks that no attribute has the name of another column.

    Raises:
        InputError: one has.
    """
    for name in attributes:
        if name in _FIXED:
            raise InputError(
                f"the attribute {name!r} has the name of another column of the output; use a model "
                "whose attribute has another name."
            )


def parquet_file(
    images: Iterable[ScoredImage], attributes: Sequence[str], model_hash: str
) -> bytes:
    """The content of a Parquet file with one row per face, and one for each image without a face.

    The columns are `key`, `shard`, `face` (its number in the image, from 1), `left`, `top`,
    `right`, `bottom` (its box in pixels of the upright photograph), the detector's `score` in 0..1,
    one column per attribute with its probability in 0..1, `error` and `model`. What does not exist
    is null. Parquet stores text as UTF-8: bytes of file names that aren't valid are escaped.

    Args:
        images: in the order of the rows.
        attributes: their names in the order of the probabilities.
        model_hash: identifies the model.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    images = list(images)
    rows = [(image, *face) for image in images for face in _faces(image)]
    found = [face for _, _, face, _ in rows]
    columns = {
        "key": _texts(image.key for image, *_ in rows),
        "shard": _texts(image.shard for image, *_ in rows),
        "face": pa.array([index for _, index, _, _ in rows], pa.int32()),
        **{side: _of_faces(found, side) for side in _BOX},
        "score": _of_faces(found, "score"),
        **_probabilities([each for _, _, _, each in rows], attributes),
        "error": _texts(image.error for image, *_ in rows),
        "model": _texts([model_hash] * len(rows)),
    }
    usable = sum(image.error is None for image in images)
    summary = ScoringSummary(
        images=sum(image.key is not None for image in images),
        usable=usable,
        faces=sum(len(image.probabilities) for image in images),
        errors=len(images) - usable,
    )
    table = pa.table(columns).replace_schema_metadata({_COUNTS: json.dumps(asdict(summary))})
    file = pa.BufferOutputStream()
    pq.write_table(table, file)
    return file.getvalue().to_pybytes()


def read_summary(file: Path | BytesIO) -> ScoringSummary:
    """The counts in the metadata of a file that `parquet_file` made.

    Raises:
        InputError: the file is damaged, or another program wrote it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return ScoringSummary(**json.loads(pq.read_metadata(file).metadata[_COUNTS]))
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{file}: not a complete Parquet file of scores: {reason(error)}."
        ) from error


def _faces(image: ScoredImage) -> Iterator[tuple[int | None, Face | None, np.ndarray | None]]:
    """For each row of an image: the number of the face, the face, and its probabilities."""
    if image.faces:
        rows = zip(image.faces, image.probabilities, strict=True)
        yield from ((index, face, row) for index, (face, row) in enumerate(rows, start=1))
    else:
        yield None, None, image.probabilities[0] if len(image.probabilities) else None


def _texts(texts: Iterable[str | None]) -> "pa.Array":
    import pyarrow as pa

    # A name that isn't valid UTF-8 contains surrogates, which can't be encoded.
    valid = (text and text.encode(errors="backslashreplace").decode() for text in texts)
    return pa.array(valid, pa.string())


def _of_faces(faces: Iterable[Face | None], name: str) -> "pa.Array":
    import pyarrow as pa

    return pa.array([None if face is None else getattr(face, name) for face in faces], pa.float32())


def _probabilities(
    rows: Sequence[np.ndarray | None], attributes: Sequence[str]
) -> dict[str, "pa.Array"]:
    import pyarrow as pa

    missing = np.array([row is None for row in rows], bool)
    values = np.zeros((len(rows), len(attributes)), "float32")
    values[~missing] = [row for row in rows if row is not None] or 0
    return {
        name: pa.array(column, pa.float32(), mask=missing)
        for name, column in zip(attributes, values.T, strict=True)
    }
