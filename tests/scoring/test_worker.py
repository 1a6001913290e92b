import io
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="needs the extra ray")

import pyarrow.parquet as pq
from PIL import Image
from scenes import compose
from scoring.sources import write_parquet, write_tar, write_tfrecord

from keras_faramtn.atomic_files import digest
from keras_faramtn.data.images import load_image, load_upright
from keras_faramtn.errors import InputError
from keras_faramtn.faces.alignment import crop_face
from keras_faramtn.faces.detector import FaceDetector
from keras_faramtn.framing import CELEBA_FRAMING
from keras_faramtn.inference.loading import load_predictor
from keras_faramtn.inference.onnx_file import PIXEL_FORMAT, PIXEL_RANGE
from keras_faramtn.scoring.shards import list_shards
from keras_faramtn.scoring.table import ScoringSummary, check_columns, read_summary
from keras_faramtn.scoring.worker import Scoring, score_shard

SAVED_MODELS = Path(__file__).parents[2] / "saved_models"
MODEL = SAVED_MODELS / "small_synthetic" / "tflite" / "faramtn_float32.tflite"
FACES = sorted((SAVED_MODELS / "faces").glob("*.jpg"))
HASH = digest(MODEL)
EMPTY = dict.fromkeys(("face", "left", "top", "right", "bottom", "score"))


@pytest.fixture(scope="module")
def predictor():
    return load_predictor(MODEL)


def _score(path, framing=None):
    [shard] = list_shards([path], 100)
    content = score_shard(shard, Scoring(MODEL, HASH, framing))
    return pq.read_table(io.BytesIO(content)), read_summary(io.BytesIO(content))


def _row(probabilities, predictor, **columns):
    """A row of the output, in the order of its columns."""
    row = {"key": None, "shard": None, **EMPTY}
    values = [None] * len(predictor.attributes) if probabilities is None else probabilities
    row |= dict(zip(predictor.attributes, values, strict=True))
    return row | {"error": None, "model": HASH} | columns


def _assert_rows(table, expected):
    assert table.column_names == list(expected[0])
    for row, other in zip(table.to_pylist(), expected, strict=True):
        for name, value in other.items():
            if isinstance(value, float):
                assert row[name] == pytest.approx(value, abs=1e-6), name
            else:
                assert row[name] == value, name


def test_face_crops_and_bad_images_give_one_row_each(tmp_path, predictor):
    for face in FACES[:3]:
        shutil.copy(face, tmp_path)
    broken = tmp_path / "a_broken.jpg"
    broken.write_bytes(FACES[0].read_bytes()[:200])
    table, summary = _score(tmp_path)
    assert summary == ScoringSummary(images=4, usable=3, faces=3, errors=1)
    images = np.stack([load_image(face, predictor.image_size) for face in FACES[:3]])
    expected = [
        _row(row.tolist(), predictor, key=str(tmp_path / face.name))
        for face, row in zip(FACES, predictor.predict(images), strict=False)
    ]
    error = table["error"][3].as_py()
    assert str(broken) in error
    expected.append(_row(None, predictor, key=str(broken), error=error))
    _assert_rows(table, expected)


def test_an_onnx_file_gives_the_same_probabilities(tmp_path, predictor):
    onnx = pytest.importorskip("onnx")
    content = onnx.load(SAVED_MODELS / "small_synthetic" / "onnx" / "faramtn.onnx")
    onnx.helper.set_model_props(content, {PIXEL_FORMAT: "Rgb8", PIXEL_RANGE: "NominalRange_0_255"})
    model = tmp_path / "faramtn.onnx"
    onnx.save(content, model)
    (tmp_path / "labels.txt").write_text("\n".join(predictor.attributes))
    [shard] = list_shards(FACES, 100)
    content = score_shard(shard, Scoring(model, digest(model), None))
    table = pq.read_table(io.BytesIO(content), columns=list(predictor.attributes))
    images = np.stack([load_image(face, predictor.image_size) for face in FACES])
    np.testing.assert_allclose(table.to_pandas(), predictor.predict(images), atol=1e-5)


def test_a_tar_gives_the_rows_of_its_images_and_of_its_damage(tmp_path, predictor):
    path = write_tar(tmp_path / "faces.tar", {face.name: face.read_bytes() for face in FACES})
    path.write_bytes(path.read_bytes()[:-11000])
    table, summary = _score(path)
    found = table.num_rows - 1
    assert summary == ScoringSummary(images=found, usable=found, faces=found, errors=1)
    single = load_predictor(MODEL).predict
    expected = [
        _row(
            single(load_image(face, predictor.image_size)[None])[0].tolist(),
            predictor,
            key=face.name,
            shard=str(path),
        )
        for face in FACES[:found]
    ]
    error = table["error"][found].as_py()
    _assert_rows(table, [*expected, _row(None, predictor, shard=str(path), error=error)])


def test_each_face_of_a_photograph_gives_a_row(tmp_path, predictor):
    scene, faces = compose(3, count=2, face_sizes=(100, 150), max_angle=10)
    scene.save(tmp_path / "faces.png")
    Image.new("RGB", (300, 200), "navy").save(tmp_path / "none.png")
    table, summary = _score(tmp_path, CELEBA_FRAMING)
    upright = load_upright(tmp_path / "faces.png")
    detected = FaceDetector().detect(upright)
    assert len(detected) == len(faces) == 2
    assert summary == ScoringSummary(images=2, usable=2, faces=2, errors=0)
    expected = []
    for index, face in enumerate(detected, start=1):
        crop = crop_face(upright, face, CELEBA_FRAMING, predictor.image_size)
        box = dict(zip(("left", "top", "right", "bottom"), np.float32(face.box), strict=True))
        expected.append(
            _row(
                predictor.predict(crop[None])[0].tolist(),
                predictor,
                key=str(tmp_path / "faces.png"),
                face=index,
                score=face.score,
                **{side: float(value) for side, value in box.items()},
            )
        )
    _assert_rows(table, [*expected, _row(None, predictor, key=str(tmp_path / "none.png"))])


LATIN = os.fsdecode(b"caf\xe9")  # not valid UTF-8


@pytest.mark.skipif(sys.platform != "linux", reason="names are valid Unicode there")
def test_names_that_are_not_valid_utf8_are_escaped(tmp_path):
    shutil.copy(FACES[0], tmp_path / f"{LATIN}.jpg")
    (tmp_path / f"{LATIN}_broken.jpg").write_bytes(FACES[0].read_bytes()[:200])
    table, summary = _score(tmp_path)
    assert summary == ScoringSummary(images=2, usable=1, faces=1, errors=1)
    escaped = str(tmp_path / "caf\\udce9")
    assert table["key"].to_pylist() == [f"{escaped}.jpg", f"{escaped}_broken.jpg"]
    assert f"{escaped}_broken.jpg" in table["error"][1].as_py()


@pytest.mark.skipif(sys.platform != "linux", reason="names are valid Unicode there")
def test_shards_and_members_with_names_that_are_not_valid_utf8_are_read(tmp_path):
    image = FACES[0].read_bytes()
    # Each key is the same bytes, in the way of its file format.
    for number, path in enumerate(
        (
            write_tar(tmp_path / "a.tar", {f"{LATIN}.jpg": image}),
            write_parquet(tmp_path / "b.parquet", {"key": [b"caf\xe9.jpg"], "image": [image]}),
            write_tfrecord(tmp_path / "c.tfrecord", [{"key": b"caf\xe9.jpg", "image": image}]),
        )
    ):
        moved = path.rename(tmp_path / f"{LATIN}_{path.name}")
        table, summary = _score(moved)
        assert summary == ScoringSummary(images=1, usable=1, faces=1, errors=0)
        assert table["key"].to_pylist() == ["caf\\udce9.jpg" if number == 0 else "caf\\xe9.jpg"]
        assert table["shard"].to_pylist() == [str(tmp_path / f"caf\\udce9_{path.name}")]


def test_a_computer_without_the_files_is_refused(tmp_path):
    shutil.copy(FACES[0], tmp_path)
    [shard] = list_shards([tmp_path], 100)
    (tmp_path / FACES[0].name).unlink()
    with pytest.raises(InputError, match="has no such file; put the input on storage"):
        score_shard(shard, Scoring(MODEL, HASH, None))


def test_a_computer_with_another_model_is_refused(tmp_path):
    shutil.copy(FACES[0], tmp_path)
    [shard] = list_shards([tmp_path], 100)
    with pytest.raises(InputError, match="another model under this name"):
        score_shard(shard, Scoring(MODEL, "0" * 16, None))


def test_a_computer_with_another_version_is_refused(tmp_path):
    [shard] = list_shards(FACES, 100)
    with pytest.raises(InputError, match=r"but the run needs 9\.9"):
        score_shard(shard, Scoring(MODEL, HASH, None, version="9.9"))


def test_an_image_for_which_the_detector_fails_gives_an_error(tmp_path, monkeypatch):
    def fail(detector, photograph):
        raise MemoryError("too large")

    shutil.copy(FACES[0], tmp_path)
    monkeypatch.setattr(FaceDetector, "detect", fail)
    table, summary = _score(tmp_path, CELEBA_FRAMING)
    assert summary == ScoringSummary(images=1, usable=0, faces=0, errors=1)
    assert "MemoryError: too large" in table["error"][0].as_py()


def test_an_attribute_named_like_a_column_is_refused():
    check_columns(["Smiling", "Left"])
    for name in ("left", "score"):
        with pytest.raises(InputError, match=f"'{name}' has the name"):
            check_columns(["Smiling", name])
