import logging

import keras
import numpy as np
import pytest
from explained import GROUPS, SIZE, randomised, small_network
from PIL import Image
from typer.testing import CliRunner

from keras_faramtn.attributes import CELEBA_ATTRIBUTES
from keras_faramtn.cli import app
from keras_faramtn.errors import InputError
from keras_faramtn.explanations.attention import attention_of
from keras_faramtn.explanations.evidence import explain
from keras_faramtn.explanations.explain_files import explain_files
from keras_faramtn.explanations.occlusion import occlude
from keras_faramtn.framing import CELEBA_FRAMING
from keras_faramtn.layers import FaceFraming
from keras_faramtn.models.heads import attach_heads
from keras_faramtn.models.record import set_framing
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
        "evidence/face.png",
        "evidence/face_2.png",
    ]
    expected = explain(model, images, attributes)
    with np.load(tmp_path / "out" / "evidence.npz") as file:
        assert file["images"].tolist() == ["face", "face_2"]
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
    with Image.open(tmp_path / "out" / "evidence" / "face.png") as figure:
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
    small_network(attention=False, fusion=False).save(tmp_path / "model.keras")
    _save(tmp_path / "faces" / "face.png", 0)
    arguments = (tmp_path / "model.keras", [tmp_path / "faces"], tmp_path / "out")
    with pytest.raises(InputError, match="neither WSGSA nor CGFF; name the attributes"):
        explain_files(*arguments)
    explain_files(*arguments, attributes=["smile"])
    assert {path.name for path in _files(tmp_path)} == {"evidence.npz", "face.png"}
    with np.load(tmp_path / "out" / "evidence.npz") as file:
        assert "trunk" not in file


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


def test_each_face_in_a_photograph_is_explained(tmp_path, caplog):
    photograph = Image.new("RGB", (700, 400), (90, 120, 90))
    for seed, corner in enumerate([(40, 60), (430, 120)]):
        photograph.paste(_drawn_face(seed), corner)
    photograph.save(tmp_path / "two.png")
    _framed_network(CELEBA_FRAMING).save(tmp_path / "model.keras")
    arguments = {"attributes": ["smile"]}
    explain_files(
        tmp_path / "model.keras", [tmp_path / "two.png"], tmp_path / "out", detect=True, **arguments
    )
    names = {"evidence.npz", "two_face_1.png", "two_face_2.png"}
    assert {path.name for path in _files(tmp_path)} == names
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    explain_files(tmp_path / "model.keras", [tmp_path / "two.png"], tmp_path / "whole", **arguments)
    assert "two.png is not framed as the training images: it shows 2 faces" in caplog.text
    Image.new("RGB", (64, 64)).save(tmp_path / "black.png")
    with pytest.raises(InputError, match=r"black\.png: no face was found"):
        explain_files(
            tmp_path / "model.keras",
            [tmp_path / "black.png"],
            tmp_path / "no",
            detect=True,
            **arguments,
        )
    assert not (tmp_path / "no").exists()


def test_detection_needs_a_known_framing(tmp_path):
    _framed_network(None).save(tmp_path / "model.keras")
    _drawn_face(0).save(tmp_path / "face.png")
    with pytest.raises(InputError, match="does not record how faces are framed"):
        explain_files(
            tmp_path / "model.keras",
            [tmp_path / "face.png"],
            tmp_path / "out",
            attributes=["smile"],
            detect=True,
        )


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
