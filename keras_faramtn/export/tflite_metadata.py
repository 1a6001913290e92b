"""TFLite metadata, from which MediaPipe and Netron show names instead of indices.

The format is `mediapipe/tasks/metadata/metadata_schema.fbs` of MediaPipe, identifier `M001`. No
released library writes it today (MediaPipe's writers need a module that its wheel lacks), so the
few tables that describe an image classifier are written here with the flatbuffers package.
"""

import io
import zipfile
from typing import Any

import flatbuffers
import numpy as np

from keras_faramtn.attributes import DEFAULT_THRESHOLD
from keras_faramtn.inference.records import LABELS_FILE
from keras_faramtn.inference.tflite_metadata import (
    AXIS_LABELS,
    AXIS_SCORE_CALIBRATION,
    FIELDS,
    METADATA_NAME,
    NORMALIZATION,
)
from keras_faramtn.model_record import RECORD_FILE, ModelRecord, record_to_json

_PARSER_VERSION = "1.0.0"

# Enum values of the schema.
_RGB = 1  # ColorSpaceType
_FEATURE, _IMAGE = 1, 2  # ContentProperties
_CALIBRATION, _THRESHOLDING = 2, 3  # ProcessUnitOptions
_INVERSE_LOGISTIC = 2  # ScoreTransformationType

_THRESHOLDS_FILE = "thresholds.csv"
_LOWEST_THRESHOLD = 1e-6  # 0 would keep the attributes below their thresholds, whose score is 0


def add_metadata(
    model: bytes, record: ModelRecord, *, name: str, description: str, image_size: tuple[int, int]
) -> bytes:
    """Adds metadata, labels and the record to a TFLite file with one image input and one output.

    The two tensors are named `images` and `probabilities`. The metadata declares mean 0 and
    standard deviation 1, because the normalisation is inside the graph.

    Args:
        model: the content of the TFLite file.
        record: what the model predicts, and of what images.
        name, description: the model's name and description, for readers.
        image_size: height and width in pixels.

    Returns:
        The content of the new file. `LABELS_FILE`, the attributes in the order of the
        probabilities, one per line, and `RECORD_FILE` are appended as a zip archive, which TFLite
        readers ignore.

    The metadata have one threshold for all results, and a calibration of scores for each attribute,
    with a lowest score below which a result gets a default score. If the model has thresholds, the
    calibration is the identity, the lowest scores are the thresholds, the default score is 0, and
    the threshold for all is the lowest one: MediaPipe shows the probabilities of the attributes
    that are predicted, and no others.
    """
    from ai_edge_litert import schema_py_generated as schema

    content = schema.ModelT.InitFromPackedBuf(model)
    graph = content.subgraphs[0]
    graph.tensors[graph.inputs[0]].name = "images"
    graph.tensors[graph.outputs[0]].name = "probabilities"
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(_encode(_describe(name, description, image_size, record)), "uint8")
    content.buffers.append(buffer)
    entry = schema.MetadataT()
    entry.name, entry.buffer = METADATA_NAME, len(content.buffers) - 1
    content.metadata = [*(content.metadata or []), entry]
    builder = _AlignedBuilder(1024)
    builder.Finish(content.Pack(builder), file_identifier=b"TFL3")
    file = io.BytesIO(bytes(builder.Output()))
    labels = "".join(f"{attribute}\n" for attribute in record.groups.attributes)
    with zipfile.ZipFile(file, "a") as archive:
        # ZipInfo's default date is 1980: the same model gives the same file.
        archive.writestr(zipfile.ZipInfo(LABELS_FILE), labels)
        archive.writestr(zipfile.ZipInfo(RECORD_FILE), record_to_json(record))
        if record.thresholds is not None:
            archive.writestr(zipfile.ZipInfo(_THRESHOLDS_FILE), _threshold_lines(record.thresholds))
    return file.getvalue()


class _AlignedBuilder(flatbuffers.Builder):
    """Aligns weights to 16 bytes, as TFLite's schema requires; flatbuffers alone doesn't."""

    def CreateNumpyVector(self, x: np.ndarray) -> int:
        self.Prep(16, x.nbytes)
        return super().CreateNumpyVector(x)


def _threshold_lines(thresholds: tuple[float, ...]) -> str:
    """For each attribute: scale 1, slope 1 and offset 0 of the identity, and the lowest score.

    There is no line feed at the end: MediaPipe would count another line.
    """
    return "\n".join(f"1,1,0,{threshold:.9g}" for threshold in thresholds)


def _describe(
    name: str, description: str, image_size: tuple[int, int], record: ModelRecord
) -> "_Table":
    height, width = image_size
    image = _Table(
        "tensor",
        name="images",
        description=f"A face image, {width} pixels wide and {height} high, RGB in 0..255.",
        content=_Table(
            "content",
            kind=_Scalar("Uint8", _IMAGE),
            value=_Table(
                "image",
                color_space=_Scalar("Int8", _RGB),
                default_size=_Table(
                    "size", width=_Scalar("Uint32", width), height=_Scalar("Uint32", height)
                ),
            ),
        ),
        process=[_process(NORMALIZATION, _Table("normalization", mean=[0.0], std=[1.0]))],
        stats=_Table("stats", max=[255.0], min=[0.0]),
    )
    scores = _Table(
        "tensor",
        name="probabilities",
        description="The probability of each attribute, independent of the others.",
        content=_Table("content", kind=_Scalar("Uint8", _FEATURE), value=_Table("feature")),
        process=_decisions(record.thresholds),
        stats=_Table("stats", max=[1.0], min=[0.0]),
        files=[
            _file(
                LABELS_FILE,
                "The attributes, one per line, in the order of the probabilities.",
                AXIS_LABELS,
            ),
            *(
                []
                if record.thresholds is None
                else [
                    _file(
                        _THRESHOLDS_FILE,
                        "The threshold of each attribute, the fourth number of its line.",
                        AXIS_SCORE_CALIBRATION,
                    )
                ]
            ),
        ],
    )
    return _Table(
        "model",
        name=name,
        description=description,
        subgraphs=[_Table("subgraph", inputs=[image], outputs=[scores])],
        parser_version=_PARSER_VERSION,
    )


def _decisions(thresholds: tuple[float, ...] | None) -> list["_Table"]:
    """What selects the results: one threshold for all, or one for each attribute."""
    if thresholds is None:
        return [_thresholding(DEFAULT_THRESHOLD)]
    identity = _Table(
        "calibration",
        transformation=_Scalar("Int8", _INVERSE_LOGISTIC),
        default=_Scalar("Float32", 0.0),
    )
    return [
        _process(_CALIBRATION, identity),
        _thresholding(max(min(thresholds), _LOWEST_THRESHOLD)),
    ]


def _thresholding(threshold: float) -> "_Table":
    return _process(_THRESHOLDING, _Table("thresholding", score=_Scalar("Float32", threshold)))


def _file(name: str, description: str, kind: int) -> "_Table":
    return _Table("file", name=name, description=description, type=_Scalar("Int8", kind))


def _process(kind: int, options: "_Table") -> "_Table":
    return _Table("process", kind=_Scalar("Uint8", kind), value=options)


class _Table:
    """A table of the schema: its kind, and the fields that are set."""

    def __init__(self, kind: str, /, **fields: Any) -> None:
        names = FIELDS[kind]
        self.size = len(names)
        self.fields = {names.index(name): value for name, value in fields.items()}


class _Scalar:
    """A number, stored inside its table; `kind` names the builder's method `Prepend...Slot`."""

    def __init__(self, kind: str, value: float) -> None:
        self.kind, self.value = kind, value


def _encode(table: _Table) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(_write(builder, table), file_identifier=b"M001")
    return bytes(builder.Output())


def _write(builder: flatbuffers.Builder, value: Any) -> int:
    """Writes a value that is stored outside its table; returns its offset."""
    if isinstance(value, str):
        return builder.CreateString(value)
    if isinstance(value, list) and isinstance(value[0], float):
        return builder.CreateNumpyVector(np.array(value, "float32"))
    if isinstance(value, list):
        elements = [_write(builder, each) for each in value]
        builder.StartVector(4, len(elements), 4)
        for offset in reversed(elements):
            builder.PrependUOffsetTRelative(offset)
        return builder.EndVector()
    offsets = {
        index: _write(builder, each)
        for index, each in value.fields.items()
        if not isinstance(each, _Scalar)
    }
    builder.StartObject(value.size)
    for index, each in value.fields.items():
        if isinstance(each, _Scalar):
            getattr(builder, f"Prepend{each.kind}Slot")(index, each.value, 0)
        else:
            builder.PrependUOffsetTRelativeSlot(index, offsets[index], 0)
    return builder.EndObject()
