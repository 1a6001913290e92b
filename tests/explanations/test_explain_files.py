import logging
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from explained import GROUPS, SIZE, randomised, small_network
from PIL import Image
from typer.testing import CliRunner

from keras_faramtn.attributes import CELEBA_ATTRIBUTES
from keras_faramtn.cli import app
from keras_faramtn.data.images import load_upright
from keras_faramtn.errors import InputError
from keras_faramtn.explanations.attention import attention_of
from keras_faramtn.explanations.evidence import explain
from keras_faramtn.explanations.explain_files import explain_files
from keras_faramtn.explanations.occlusion import occlude
from keras_faramtn.faces.alignment import crop_faces
from keras_faramtn.faces.detector import FaceDetector
from keras_faramtn.framing import CELEBA_FRAMING
from keras_faramtn.layers import FaceFraming
from keras_faramtn.models.heads import attach_heads
from keras_faramtn.models.record import set_framing, set_thresholds
from keras_faramtn.synthetic.faces import draw_face


@pytest.fixture
def model():
    return small_network()


@pytest.fixture
def model_file(model, tmp_path):
    model.save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


def _save(path, seed, size=SIZE):
    path.parent.mkdir(exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype="uint8")
    Image.fromarray(pixels).save(path)
    return pixels


def test_writes_evidence_of_each_image_and_the_mean_attention(model, model_file, tmp_path):
    paths = [tmp_path / "a" / "face.png", tmp_path / "b" / "face.png"]
    images = np.stack([_save(path, seed) for seed, path in enumerate(paths)])
    attributes = ["closed", "smile"]
    explain_files(model_file, paths, tmp_path / "out", attributes=attributes)
    written = sorted(path.relative_to(tmp_path / "out").as_posix() for path in _files(tmp_path))
    assert written == [
        "attention.npz",
        "attention.png",
        "evidence.npz",
        "evidence/a/face.png",
        "evidence/b/face.png",
    ]
    expected = explain(model, images, attributes)
    with np.load(tmp_path / "out" / "evidence.npz") as file:
        assert file["figures"].tolist() == ["a/face.png", "b/face.png"]
        assert file["photographs"].tolist() == list(map(str, paths))
        assert file["faces"].tolist() == [1, 1]
        assert file["attributes"].tolist() == attributes
        assert file["thresholds"].tolist() == [0.5, 0.5]
        for name in ("logits", "bias", "high_level", "trunk", "evidence", "probabilities"):
            np.testing.assert_allclose(file[name], getattr(expected, name), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(file["occlusion"], occlude(model, images, attributes), atol=1e-4)
    attention = attention_of(model, images)
    with np.load(tmp_path / "out" / "attention.npz") as file:
        assert file["groups"].tolist() == list(GROUPS)
        for name in ("gates", "to_groups", "to_positions"):
            mean = getattr(attention, name).mean(axis=0)
            np.testing.assert_allclose(file[name], mean, rtol=1e-4, atol=1e-5)
    with Image.open(tmp_path / "out" / "evidence" / "a" / "face.png") as figure:
        assert min(figure.size) > 400


def _files(tmp_path):
    return [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


@pytest.mark.parametrize("attributes", [[], ["closed", "young"]])
def test_the_command_explains_the_attributes_it_is_given(attributes, model_file, tmp_path):
    _save(tmp_path / "faces" / "face.png", 0)
    options = [word for name in attributes for word in ("--attribute", name)]
    arguments = ["explain", model_file, tmp_path / "faces", "--to", tmp_path / "out", *options]
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exit_code == 0
    expected = {"attention.npz", "attention.png"} | (
        {"evidence.npz", "face.png"} if attributes else set()
    )
    assert {path.name for path in _files(tmp_path)} == expected
    if attributes:
        with np.load(tmp_path / "out" / "evidence.npz") as file:
            assert file["attributes"].tolist() == attributes


def test_a_network_without_attention_needs_attributes(tmp_path):
    model = small_network(attention=False, fusion=False)
    set_thresholds(model, [0.5, 0.25, 0.5, 0.75, 0.5])
    model.save(tmp_path / "model.keras")
    _save(tmp_path / "faces" / "face.png", 0)
    arguments = (tmp_path / "model.keras", [tmp_path / "faces"], tmp_path / "out")
    with pytest.raises(InputError, match="neither WSGSA nor CGFF; name the attributes"):
        explain_files(*arguments)
    explain_files(*arguments, attributes=["closed", "smile"])
    assert {path.name for path in _files(tmp_path)} == {"evidence.npz", "face.png"}
    with np.load(tmp_path / "out" / "evidence.npz") as file:
        assert "trunk" not in file
        assert file["thresholds"].tolist() == [0.75, 0.25]


def _framed_network(framing):
    images = keras.Input((109, 89, 3), name="images")
    pixels = keras.layers.Rescaling(1 / 64)(FaceFraming(name="framing")(images))
    last = keras.layers.Conv2D(8, 9, 9)(pixels)
    feature = keras.layers.GlobalAveragePooling2D()(last)
    model = randomised(attach_heads(images, dict.fromkeys(GROUPS, feature), GROUPS, "framed"))
    set_framing(model, framing)
    return model


def _drawn_face(seed):
    labels = dict.fromkeys(CELEBA_ATTRIBUTES, False) | {"Young": True, "No_Beard": True}
    return draw_face(labels, np.random.default_rng(seed), (218, 178))


def _photographs(folder):
    """One with two faces, one without a face, one of a single face, and a damaged one."""
    folder.mkdir()
    two = Image.new("RGB", (700, 400), (90, 120, 90))
    for seed, corner in enumerate([(40, 60), (430, 120)]):
        two.paste(_drawn_face(seed), corner)
    two.save(folder / "two.png")
    Image.new("RGB", (64, 64)).save(folder / "black.png")
    one = Image.new("RGB", (300, 320), (90, 120, 90))
    one.paste(_drawn_face(2), (60, 50))
    one.save(folder / "one.png")
    (folder / "torn.png").write_bytes(b"no image")
    return folder


def test_each_face_in_photographs_is_explained(tmp_path, caplog):
    photographs = _photographs(tmp_path / "photographs")
    (photographs / "torn.png").unlink()
    model = _framed_network(CELEBA_FRAMING)
    model.save(tmp_path / "model.keras")
    explain_files(
        tmp_path / "model.keras", [photographs], tmp_path / "out", attributes=["smile"], detect=True
    )
    figures = ["one_face_1.png", "two_face_1.png", "two_face_2.png"]
    assert {path.name for path in _files(tmp_path)} == {"evidence.npz", *figures}
    warnings = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert warnings == [
        f"{photographs / 'black.png'}: no face was found; the photograph is skipped."
    ]
    with np.load(tmp_path / "out" / "evidence.npz") as file:
        assert file["figures"].tolist() == figures
        names = ["one.png", "two.png", "two.png"]
        assert file["photographs"].tolist() == [str(photographs / name) for name in names]
        assert file["faces"].tolist() == [1, 1, 2]
        logits = file["logits"]
    photograph = load_upright(photographs / "two.png")
    crops = crop_faces(photograph, FaceDetector().detect(photograph), CELEBA_FRAMING, (109, 89))
    expected = model.predict(crops, verbose=0)["mouth"][:, :1]
    np.testing.assert_allclose(logits[1:], expected, rtol=1e-4, atol=1e-4)


def test_photographs_without_any_face_are_an_error(tmp_path):
    _framed_network(CELEBA_FRAMING).save(tmp_path / "model.keras")
    Image.new("RGB", (64, 64)).save(tmp_path / "black.png")
    arguments = (tmp_path / "model.keras", [tmp_path / "black.png"], tmp_path / "out")
    with pytest.raises(InputError, match=r"no face was found.*without --detect"):
        explain_files(*arguments, attributes=["smile"], detect=True)
    assert not (tmp_path / "out").exists()


def test_the_first_image_of_another_framing_is_reported_once(tmp_path, caplog):
    _framed_network(CELEBA_FRAMING).save(tmp_path / "model.keras")
    photographs = _photographs(tmp_path / "photographs")
    _drawn_face(0).save(tmp_path / "face.png")
    paths = [tmp_path / "face.png", photographs / "two.png", photographs / "black.png"]
    explain_files(tmp_path / "model.keras", paths, tmp_path / "out", attributes=["smile"])
    [warning] = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert warning.startswith(f"{photographs / 'two.png'}: it shows 2 faces, so predictions are")


def test_the_command_skips_bad_images_and_crops_in_a_stated_framing(tmp_path):
    """In a process of its own, whose standard error also shows what compiled libraries print."""
    _framed_network(None).save(tmp_path / "model.keras")
    _photographs(tmp_path / "photographs")
    command = [sys.executable, "-c", "from keras_faramtn.cli import main; main()", "explain"]
    command += ["model.keras", "photographs", "--attribute", "smile", "--detect"]
    command += ["--to", "out", "--framing", "box", "--skip-bad"]
    # Not the level of the tests, at which TensorFlow reports that there is no GPU.
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    result = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    black, torn, skipped = result.stderr.splitlines()
    assert "black.png: no face was found" in black
    assert "torn.png: this file can't be read as an image" in torn
    assert "1 of 4 images were skipped" in skipped
    with np.load(tmp_path / "out" / "evidence.npz") as file:
        assert file["faces"].tolist() == [1, 1, 2]


def test_a_bad_image_is_an_error_unless_it_is_skipped(model_file, tmp_path):
    photographs = _photographs(tmp_path / "photographs")
    with pytest.raises(InputError, match=r"torn\.png.*Use --skip-bad"):
        explain_files(model_file, [photographs], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    explain_files(model_file, [photographs], tmp_path / "out", skip_bad=True)
    assert {path.name for path in _files(tmp_path)} == {"attention.npz", "attention.png"}


def test_detection_needs_a_known_framing(tmp_path):
    _framed_network(None).save(tmp_path / "model.keras")
    _drawn_face(0).save(tmp_path / "face.png")
    arguments = ["explain", tmp_path / "model.keras", tmp_path / "face.png", "--to"]
    with pytest.raises(InputError, match=r"does not record how faces are framed.*--framing celeba"):
        explain_files(
            tmp_path / "model.keras",
            [tmp_path / "face.png"],
            tmp_path / "out",
            attributes=["smile"],
            detect=True,
        )
    command = [*arguments, tmp_path / "out", "--attribute", "smile", "--framing", "celeba"]
    result = CliRunner().invoke(app, list(map(str, command)))
    assert result.exit_code == 1
    assert "--framing is for photographs; use it with --detect" in result.output
    assert not (tmp_path / "out").exists()


def test_wrong_input_is_refused_before_anything_is_written(model_file, tmp_path):
    _save(tmp_path / "faces" / "face.png", 0)
    faces, out = [tmp_path / "faces"], tmp_path / "out"
    (tmp_path / "model.tflite").touch()
    with pytest.raises(InputError, match=r"model\.tflite: only a \.keras file can be explained"):
        explain_files(tmp_path / "model.tflite", faces, out)
    with pytest.raises(InputError, match="doesn't predict 'Hat'"):
        explain_files(model_file, faces, out, attributes=["Hat"])
    with pytest.raises(InputError, match="no such image"):
        explain_files(model_file, [tmp_path / "missing.png"], out)
    assert not out.exists()
    _save(out / "mine.png", 1)
    with pytest.raises(InputError, match="already exists"):
        explain_files(model_file, faces, out)
    assert [path.name for path in _files(tmp_path)] == ["mine.png"]
