import shutil
import struct
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from networks import telling_network
from PIL import Image

from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.data.pipeline import decode_and_resize
from keras_faramtn.data.synthetic import draw_faces
from keras_faramtn.errors import InputError
from keras_faramtn.export.tree import export_model
from keras_faramtn.litert_model import LiteRTModel
from keras_faramtn.models import inference_model
from keras_faramtn.predict import find_pictures, load_picture, predict_files

GROUPS = AttributeGroups({"a": ["hat", "glasses"], "b": ["happy"]}, ["glasses", "happy", "hat"])
SIZE = (48, 36)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A model as .keras and as .tflite, and two pictures of its size, one in a folder below."""
    folder = tmp_path_factory.mktemp("predict")
    model = telling_network(SIZE, GROUPS)
    model.save(folder / "model.keras")
    faces = draw_faces(2, SIZE, seed=1)
    export_model(model, folder / "export", faces, ["tflite_float32"])
    (folder / "pictures" / "below").mkdir(parents=True)
    for name, face in zip(["x.png", "below/y.png"], faces, strict=True):
        Image.fromarray(face).save(folder / "pictures" / name)
    (folder / "pictures" / "note.txt").write_text("no picture")
    return folder, inference_model(model).predict(faces, verbose=0)


@pytest.mark.parametrize("model_file", ["model.keras", "export/tflite/faramtn_float32.tflite"])
def test_named_probabilities_are_the_models(files, model_file):
    folder, expected = files
    places = [folder / "pictures" / "x.png", folder / "pictures" / "below"]
    results = list(predict_files(folder / model_file, places))
    assert [path.name for path, _ in results] == ["x.png", "y.png"]
    for (_, probabilities), row in zip(results, expected, strict=True):
        assert list(probabilities) == ["glasses", "happy", "hat"]
        assert list(probabilities.values()) == pytest.approx(row, abs=1e-4)


def test_a_tflite_file_needs_neither_tensorflow_nor_keras(files):
    folder, _ = files
    script = (
        "import sys; from keras_faramtn.predict import predict_files;"
        f"list(predict_files({str(folder / 'export/tflite/faramtn_float32.tflite')!r},"
        f" [{str(folder / 'pictures')!r}]));"
        "heavy = {'keras', 'tensorflow', 'matplotlib'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_pictures_are_resized_as_in_training(tmp_path):
    patches = np.random.default_rng(3).integers(0, 256, (9, 7, 3), dtype="uint8")
    Image.fromarray(patches).resize((178, 218)).save(tmp_path / "face.jpg", quality=95)
    ours = load_picture(tmp_path / "face.jpg", SIZE).astype(int)
    theirs = decode_and_resize(tf.io.read_file(str(tmp_path / "face.jpg")), SIZE).numpy()
    assert ours.shape == (*SIZE, 3)
    # Pillow rounds after each of two passes.
    assert np.abs(ours - theirs).max() <= 2


def test_grey_pictures_of_sixteen_bits_keep_the_high_eight(tmp_path):
    values = np.random.default_rng(0).integers(0, 2**16, SIZE, dtype="uint16")
    Image.fromarray(values).save(tmp_path / "deep.png")
    pixels = load_picture(tmp_path / "deep.png", SIZE)
    np.testing.assert_array_equal(pixels, np.repeat((values // 256)[:, :, None], 3, axis=2))


def test_pictures_are_turned_upright(tmp_path):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 6, 3), dtype="uint8"))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate clockwise by 90 degrees to see it upright
    picture.save(tmp_path / "turned.png", exif=exif)
    upright = load_picture(tmp_path / "turned.png", (6, 8))
    np.testing.assert_array_equal(upright, np.rot90(np.asarray(picture), -1))


def test_a_turned_picture_with_damaged_exif_data_is_named(tmp_path):
    # A turn, and a width of one byte, which Pillow reads and can't write.
    turn = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)
    width = struct.pack("<HHI4s", 0x0100, 1, 1, b"")
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + turn + width + bytes(4)
    Image.new("RGB", (6, 8)).save(tmp_path / "turned.jpg", exif=exif)
    with pytest.raises(InputError, match=r"turned\.jpg: this can't be read as a picture: "):
        load_picture(tmp_path / "turned.jpg", SIZE)


def test_bad_pictures_and_places_are_named(files, tmp_path):
    (tmp_path / "text.jpg").write_text("no picture")
    with pytest.raises(InputError, match=r"text\.jpg: this can't be read as a picture"):
        load_picture(tmp_path / "text.jpg", SIZE)
    with pytest.raises(InputError, match=r"gone\.jpg: there is no such picture"):
        load_picture(tmp_path / "gone.jpg", SIZE)
    with pytest.raises(InputError, match="nowhere: there is no such picture or folder"):
        find_pictures([tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty: there is no picture in this folder"):
        find_pictures([tmp_path / "empty"])


@pytest.mark.parametrize("suffix", [".tflite", ".keras"])
def test_bad_model_files_are_named(files, tmp_path, suffix):
    picture = files[0] / "pictures" / "x.png"
    with pytest.raises(InputError, match=rf"gone\{suffix}: there is no such model file"):
        next(predict_files(tmp_path / f"gone{suffix}", [picture]))
    (tmp_path / f"broken{suffix}").write_text("no model")
    with pytest.raises(InputError, match=rf"broken\{suffix}: this is no"):
        next(predict_files(tmp_path / f"broken{suffix}", [picture]))


def test_other_kinds_of_files_and_missing_labels_are_named(files, tmp_path, monkeypatch):
    picture = files[0] / "pictures" / "x.png"
    with pytest.raises(InputError, match=r"a \.tflite or a \.keras file"):
        next(predict_files(tmp_path / "model.onnx", [picture]))
    content = (files[0] / "export" / "tflite" / "faramtn_float32.tflite").read_bytes()
    (tmp_path / "alone.tflite").write_bytes(content)
    [(_, named)] = predict_files(tmp_path / "alone.tflite", [picture])
    assert tuple(named) == GROUPS.attributes  # read from within the file
    with zipfile.ZipFile(tmp_path / "alone.tflite") as inside:
        network = content[: inside.infolist()[0].header_offset]
    (tmp_path / "alone.tflite").write_bytes(network)
    with pytest.raises(InputError, match=r"put a labels\.txt beside the file"):
        next(predict_files(tmp_path / "alone.tflite", [picture]))
    monkeypatch.chdir(tmp_path)  # a file without a folder in its name
    with pytest.raises(InputError, match=r"put a labels\.txt beside the file"):
        next(predict_files("alone.tflite", [picture]))
    (tmp_path / "labels.txt").write_text("glasses\nhappy\n")
    with pytest.raises(InputError, match=r"names 2 attributes, and alone\.tflite predicts 3"):
        next(predict_files(tmp_path / "alone.tflite", [picture]))


def test_a_bad_picture_in_a_folder_is_named_or_left_out(files, tmp_path, capsys):
    exported = files[0] / "export" / "tflite" / "faramtn_float32.tflite"
    shutil.copytree(files[0] / "pictures", tmp_path / "pictures")
    (tmp_path / "pictures" / "bad.jpg").write_text("no picture")
    with pytest.raises(InputError, match=r"bad\.jpg: this can't be read.* Use --skip-bad to go on"):
        list(predict_files(exported, [tmp_path / "pictures"]))
    results = list(predict_files(exported, [tmp_path / "pictures"], skip_bad=True, progress=True))
    assert [path.name for path, _ in results] == ["y.png", "x.png"]
    said = capsys.readouterr().err
    assert "bad.jpg: this can't be read" in said
    assert "Predicting: 100%" in said
    assert said.endswith("1 of 3 pictures were left out.\n")
    with pytest.raises(InputError, match="none of the 1 pictures can be used"):
        list(predict_files(exported, [tmp_path / "pictures" / "bad.jpg"], skip_bad=True))


def test_integer_files_are_fed_and_read_by_their_scales(tmp_path):
    inputs = keras.Input((4, 6, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(inputs)
    model = keras.Model(inputs, keras.layers.Dense(5, "sigmoid", kernel_initializer="ones")(pooled))
    model.layers[-1].set_weights([np.random.default_rng(0).normal(0, 0.01, (3, 5)), np.zeros(5)])
    pictures = np.random.default_rng(1).integers(0, 256, (50, 4, 6, 3)).astype("float32")
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([picture[None]] for picture in pictures)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    (tmp_path / "integer.tflite").write_bytes(converter.convert())
    integer = LiteRTModel(tmp_path / "integer.tflite")
    assert (integer.image_size, integer.outputs) == ((4, 6), 5)
    for picture in pictures[:3]:
        expected = np.asarray(model(picture[None]))[0]
        assert expected.std() > 0.01
        actual = integer.predict(picture.astype("uint8"))
        assert actual.dtype == np.float32
        np.testing.assert_allclose(actual, expected, atol=0.02)
