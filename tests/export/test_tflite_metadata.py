import importlib.util
import json
import zipfile

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from flatbuffers.number_types import Float32Flags, Int8Flags, Uint8Flags, Uint32Flags, UOffsetTFlags

from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.export.tflite import run_tflite, write_tflite
from keras_faramtn.export.tflite_metadata import add_metadata
from keras_faramtn.inference.loading import load_predictor
from keras_faramtn.model_record import ModelRecord
from keras_faramtn.models import FARAMTN, inference_model

SIZE = (48, 64)
GROUPS = AttributeGroups({"a": ["hat", "glasses"], "b": ["happy"]}, ["glasses", "happy", "hat"])


class Reader:
    """Reads a flatbuffer by the field numbers of the schema, as generated readers do."""

    def __init__(self, buffer, position=None):
        if position is None:
            position = flatbuffers.encode.Get(UOffsetTFlags.packer_type, buffer, 0)
        self.table = flatbuffers.table.Table(buffer, position)

    def _offset(self, field):
        return self.table.Offset(4 + 2 * field)

    def number(self, field, flags):
        return self.table.Get(flags, self._offset(field) + self.table.Pos)

    def text(self, field):
        return self.table.String(self._offset(field) + self.table.Pos).decode()

    def table_at(self, field):
        return Reader(self.table.Bytes, self.table.Indirect(self._offset(field) + self.table.Pos))

    def floats(self, field):
        return self.table.GetVectorAsNumpy(Float32Flags, self._offset(field)).tolist()

    def elements(self, field):
        offset = self._offset(field)
        start = self.table.Vector(offset)
        places = [start + 4 * index for index in range(self.table.VectorLen(offset))]
        return [Reader(self.table.Bytes, self.table.Indirect(place)) for place in places]

    def only_element(self, field):
        [element] = self.elements(field)
        return element


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("metadata") / "faces.tflite"
    model = FARAMTN("mobilenetv3_small", GROUPS, (*SIZE, 3), name="faces")
    for head in ("a", "b"):
        model.get_layer(head).bias.assign(np.linspace(-1, 2, len(GROUPS[head])))
    write_tflite(inference_model(model), path)
    return path


# One probability is above 0.5: 0.88 of glasses. The others are 0.27.
THRESHOLDS = [
    ((0.9, 0.2, 0.3), ["happy"]),
    ((0.5, 0.0, 0.26), ["glasses", "happy", "hat"]),
    ((0.85, 0.95, 0.999), ["glasses"]),
    ((1.0, 1.0, 1.0), []),
]


@pytest.fixture(scope="module")
def with_thresholds(path, tmp_path_factory):
    """A function from thresholds to the same file with metadata for them."""
    content = schema.ModelT.InitFromPackedBuf(path.read_bytes())
    content.metadata = []
    builder = flatbuffers.Builder()
    builder.Finish(content.Pack(builder), file_identifier=b"TFL3")
    folder = tmp_path_factory.mktemp("thresholds")

    def write(thresholds):
        record = ModelRecord(GROUPS, thresholds=thresholds)
        file = folder / f"{thresholds}.tflite"
        plain = bytes(builder.Output())
        file.write_bytes(add_metadata(plain, record, name="a", description="b", image_size=SIZE))
        return file

    return write


def read_metadata(content):
    model = schema.Model.GetRootAsModel(content, 0)
    entries = {
        model.Metadata(index).Name(): model.Metadata(index).Buffer()
        for index in range(model.MetadataLength())
    }
    return model.Buffers(entries[b"TFLITE_METADATA"]).DataAsNumpy().tobytes()


def test_the_fields_are_those_of_the_schema(path):
    """Field and enum numbers here are from mediapipe/tasks/metadata/metadata_schema.fbs."""
    metadata = read_metadata(path.read_bytes())
    assert metadata[4:8] == b"M001"
    model = Reader(metadata)
    assert (model.text(0), model.text(7)) == ("faces_inference", "1.0.0")
    graph = model.only_element(3)
    image, scores = graph.only_element(2), graph.only_element(3)
    assert (image.text(0), scores.text(0)) == ("images", "probabilities")
    assert image.table_at(3).number(0, Uint8Flags) == 2  # ImageProperties
    properties = image.table_at(3).table_at(1)
    assert properties.number(0, Int8Flags) == 1  # RGB
    size = properties.table_at(1)
    assert (size.number(1, Uint32Flags), size.number(0, Uint32Flags)) == SIZE
    process = image.only_element(4)
    assert process.number(0, Uint8Flags) == 1  # NormalizationOptions
    assert (process.table_at(1).floats(0), process.table_at(1).floats(1)) == ([0.0], [1.0])
    process = scores.only_element(4)
    assert process.number(0, Uint8Flags) == 3  # ScoreThresholdingOptions
    assert process.table_at(1).number(0, Float32Flags) == 0.5
    file = scores.only_element(6)
    assert file.text(0) == "labels.txt"
    assert file.number(2, Int8Flags) == 2  # TENSOR_AXIS_LABELS


def test_thresholds_are_score_calibrations_of_the_schema(with_thresholds):
    """Enum numbers are from the same file, and so is the format of the thresholds' lines."""
    path = with_thresholds((0.9, 0.2, 0.3))
    scores = Reader(read_metadata(path.read_bytes())).only_element(3).only_element(3)
    calibration, threshold = scores.elements(4)
    assert calibration.number(0, Uint8Flags) == 2  # ScoreCalibrationOptions
    assert calibration.table_at(1).number(0, Int8Flags) == 2  # INVERSE_LOGISTIC
    # The default score is 0, the schema's default value, which isn't stored.
    assert threshold.number(0, Uint8Flags) == 3  # ScoreThresholdingOptions
    assert threshold.table_at(1).number(0, Float32Flags) == pytest.approx(0.2)
    labels, thresholds = scores.elements(6)
    assert labels.number(2, Int8Flags) == 2  # TENSOR_AXIS_LABELS
    assert thresholds.number(2, Int8Flags) == 4  # TENSOR_AXIS_SCORE_CALIBRATION
    with zipfile.ZipFile(path) as archive:
        lines = archive.read(thresholds.text(0)).decode().split("\n")
    # Scale, slope and offset of the identity, and the lowest score; no empty line at the end.
    assert lines == ["1,1,0,0.9", "1,1,0,0.2", "1,1,0,0.3"]
    assert load_predictor(path).record.thresholds == (0.9, 0.2, 0.3)


def test_labels_and_record_are_in_the_file(path):
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        # Readers on phones do not support compression.
        assert {each.compress_type for each in archive.infolist()} == {zipfile.ZIP_STORED}
        assert archive.read("labels.txt").decode().split("\n") == [*GROUPS.attributes, ""]
        record = json.loads(archive.read("model.json"))
    assert record["attributes"] == list(GROUPS.attributes)
    assert record["groups"] == {"a": ["hat", "glasses"], "b": ["happy"]}


def test_weights_are_aligned_for_vector_instructions(path):
    content = np.frombuffer(path.read_bytes(), "uint8")
    model = schema.Model.GetRootAsModel(content, 0)
    start = content.__array_interface__["data"][0]
    offsets = [
        model.Buffers(index).DataAsNumpy().__array_interface__["data"][0] - start
        for index in range(model.BuffersLength())
        if model.Buffers(index).DataLength()
    ]
    assert len(offsets) > 50
    assert {offset % 16 for offset in offsets} == {0}


def test_litert_runs_a_file_with_metadata(path):
    faces = np.random.default_rng(0).integers(0, 256, (2, *SIZE, 3), dtype="uint8")
    # The probabilities of an untrained network depend only on its biases.
    glasses, happy, hat = run_tflite(path, faces)[0]
    assert (hat, glasses) == pytest.approx(1 / (1 + np.exp([1, -2])), abs=1e-5)
    assert happy == pytest.approx(1 / (1 + np.exp(1)), abs=1e-5)


def _classify(path, face):
    """The scores that MediaPipe's ImageClassifier shows, by name."""
    if importlib.util.find_spec("mediapipe") is None:
        pytest.skip("NOT TESTED WITH MEDIAPIPE: pip install mediapipe")
    import mediapipe

    vision = mediapipe.tasks.vision
    base = mediapipe.tasks.BaseOptions(model_asset_path=str(path))
    image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=face)
    with vision.ImageClassifier.create_from_options(
        vision.ImageClassifierOptions(base_options=base)
    ) as classifier:
        [result] = classifier.classify(image).classifications
    return {each.category_name: each.score for each in result.categories}


@pytest.mark.parametrize(("thresholds", "names"), [(None, ["glasses"]), *THRESHOLDS])
def test_mediapipe_shows_the_attributes_above_their_thresholds(
    path, with_thresholds, thresholds, names
):
    """MediaPipe is the reader that the metadata is written for."""
    path = path if thresholds is None else with_thresholds(thresholds)
    face = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype="uint8")
    shown = _classify(path, face)
    expected = dict(zip(GROUPS.attributes, run_tflite(path, face[None])[0], strict=True))
    assert sorted(shown) == names
    for name in names:
        assert shown[name] == pytest.approx(expected[name], abs=1e-5)
