"""Reads TFLite metadata: how a file's input is scaled, and which of its files has the labels.

The format is `mediapipe/tasks/metadata/metadata_schema.fbs` of MediaPipe, identifier `M001`, in a
buffer of the TFLite file (`tensorflow/compiler/mlir/lite/schema/schema.fbs`, identifier `TFL3`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import flatbuffers
import numpy as np
from flatbuffers import encode
from flatbuffers import number_types as flags

from keras_faramtn.errors import InputError, reason

METADATA_NAME = "TFLITE_METADATA"
"""The metadata entry that all readers look up."""

AXIS_LABELS = 2
"""`AssociatedFileType.TENSOR_AXIS_LABELS`."""

AXIS_SCORE_CALIBRATION = 4
"""`AssociatedFileType.TENSOR_AXIS_SCORE_CALIBRATION`."""

NORMALIZATION = 1
"""`ProcessUnitOptions.NormalizationOptions`."""

FIELDS: dict[str, tuple[str, ...]] = {
    # Of MediaPipe's schema.
    "model": (
        *("name", "description", "version", "subgraphs", "author", "license", "files"),
        "parser_version",
    ),
    "subgraph": ("name", "description", "inputs", "outputs"),
    "tensor": ("name", "description", "dimensions", "content", "process", "stats", "files"),
    "content": ("kind", "value", "range"),
    "image": ("color_space", "default_size"),
    "size": ("width", "height"),
    "feature": (),
    "process": ("kind", "value"),
    "normalization": ("mean", "std"),
    "calibration": ("transformation", "default"),
    "thresholding": ("score",),
    "stats": ("max", "min"),
    "file": ("name", "description", "type"),
    # Of TFLite's schema.
    "tflite": (
        *("version", "operator_codes", "subgraphs", "description", "buffers", "metadata_buffer"),
        "metadata",
    ),
    "entry": ("name", "buffer"),
    "buffer": ("data",),
}
"""The fields of each table, in the schema's order; a union's type and value are two fields."""


@dataclass(frozen=True)
class Metadata:
    """What the metadata of an image classifier state.

    Attributes:
        mean, std: a pixel in 0..255 becomes the input `(pixel - mean) / std`; each is one number,
            or one for each channel. None if the metadata don't state them.
        labels_file: the name of the file with the labels, in the archive that is appended to the
            TFLite file; None if there is none.
    """

    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    labels_file: str | None = None


def read_metadata(path: Path) -> Metadata:
    """Reads the metadata of a TFLite file with one image as input and one output.

    Args:
        path: a file that LiteRT can load.

    Returns:
        The metadata; of a file without any, all fields are None.

    Raises:
        InputError: the metadata are damaged.
    """
    try:
        model = _root(path.read_bytes(), "tflite")
        for entry in model.tables("metadata", "entry"):
            if entry.text("name") == METADATA_NAME:
                buffer = list(model.tables("buffers", "buffer"))[entry.number("buffer")]
                return _describe(_root(buffer.numbers("data", flags.Uint8Flags).tobytes(), "model"))
        return Metadata()
    except Exception as error:  # damaged metadata raise almost any exception
        raise InputError(
            f"{path}: its TFLite metadata are damaged: {reason(error)}; export the file again."
        ) from error


def _describe(model: "_Table") -> Metadata:
    [subgraph] = model.tables("subgraphs", "subgraph")
    mean = std = labels_file = None
    for image in subgraph.tables("inputs", "tensor"):
        for process in image.tables("process", "process"):
            if process.number("kind", flags.Uint8Flags) == NORMALIZATION:
                options = process.table("value", "normalization")
                mean, std = (
                    tuple(map(float, options.numbers(name, flags.Float32Flags)))
                    for name in ("mean", "std")
                )
    for output in subgraph.tables("outputs", "tensor"):
        for file in output.tables("files", "file"):
            if file.number("type", flags.Int8Flags) == AXIS_LABELS and labels_file is None:
                labels_file = file.text("name")
    return Metadata(mean, std, labels_file)


def _root(content: bytes, kind: str) -> "_Table":
    position = encode.Get(flags.UOffsetTFlags.packer_type, content, 0)
    return _Table(content, position, kind)


class _Table:
    """A table of a flatbuffer, whose fields are read by their names in `FIELDS`."""

    def __init__(self, content: bytes, position: int, kind: str) -> None:
        self._table = flatbuffers.table.Table(content, position)
        self._names = FIELDS[kind]

    def number(self, name: str, kind: type = flags.Uint32Flags) -> int:
        return self._table.GetSlot(4 + 2 * self._names.index(name), 0, kind)

    def numbers(self, name: str, kind: type) -> np.ndarray:
        offset = self._offset(name)
        return self._table.GetVectorAsNumpy(kind, offset) if offset else np.zeros(0)

    def text(self, name: str) -> str:
        return self._table.String(self._table.Pos + self._offset(name)).decode()

    def table(self, name: str, kind: str) -> "_Table":
        position = self._table.Indirect(self._table.Pos + self._offset(name))
        return _Table(self._table.Bytes, position, kind)

    def tables(self, name: str, kind: str) -> Iterator["_Table"]:
        offset = self._offset(name)
        for index in range(self._table.VectorLen(offset) if offset else 0):
            position = self._table.Indirect(self._table.Vector(offset) + 4 * index)
            yield _Table(self._table.Bytes, position, kind)

    def _offset(self, name: str) -> int:
        return self._table.Offset(4 + 2 * self._names.index(name))
