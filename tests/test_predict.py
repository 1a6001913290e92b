import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.data.pipeline import decode_and_resize
from keras_faramtn.errors import InputError
from keras_faramtn.export.tree import export_model
from keras_faramtn.models import FARAMTN, inference_model
from keras_faramtn.predict import find_pictures, load_picture, predict_files

GROUPS = AttributeGroups({"a": ["hat", "glasses"], "b": ["happy"]}, ["glasses", "happy", "hat"])
SIZE = (48, 36)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A model as .keras and as .tflite, and two pictures of its size, one in a folder below."""
    folder = tmp_path_factory.mktemp("predict")
    model = FARAMTN("mobilenetv3_small", GROUPS, (*SIZE, 3))
    rng = np.random.default_rng(0)
    model.set_weights(
        [np.abs(w) + 0.3 * rng.random(w.shape) if w.min() >= 0 else w for w in model.get_weights()]
    )
    model.save(folder / "model.keras")
    faces = rng.integers(0, 256, (2, *SIZE, 3), dtype="uint8")
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


def test_pictures_are_turned_upright(tmp_path):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 6, 3), dtype="uint8"))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate clockwise by 90 degrees to see it upright
    picture.save(tmp_path / "turned.png", exif=exif)
    upright = load_picture(tmp_path / "turned.png", (6, 8))
    np.testing.assert_array_equal(upright, np.rot90(np.asarray(picture), -1))


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


def test_other_kinds_of_files_and_missing_labels_are_named(files, tmp_path):
    picture = files[0] / "pictures" / "x.png"
    with pytest.raises(InputError, match=r"a \.tflite or a \.keras file"):
        next(predict_files(tmp_path / "model.onnx", [picture]))
    exported = files[0] / "export" / "tflite" / "faramtn_float32.tflite"
    (tmp_path / "alone.tflite").write_bytes(exported.read_bytes())
    with pytest.raises(InputError, match=r"keep the labels\.txt of the export beside the file"):
        next(predict_files(tmp_path / "alone.tflite", [picture]))
