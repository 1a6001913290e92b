import dataclasses
import shutil
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from sensitive_network import sensitive_network

from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.data.decoding import decode_and_resize
from keras_faramtn.data.images import find_images, load_image
from keras_faramtn.errors import InputError
from keras_faramtn.export.exporter import export_model
from keras_faramtn.inference import image_files
from keras_faramtn.inference.image_files import predict_files
from keras_faramtn.inference.litert import LiteRTModel
from keras_faramtn.inference.loading import find_model, load_predictor
from keras_faramtn.models import MultiLabel, groups_of, inference_model, load_model
from keras_faramtn.synthetic.faces import draw_faces

GROUPS = AttributeGroups({"a": ["hat", "glasses"], "b": ["happy"]}, ["glasses", "happy", "hat"])
SIZE = (48, 36)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A model as .keras and .tflite, and two images of its input size, one in a subfolder."""
    folder = tmp_path_factory.mktemp("predict")
    model = sensitive_network(SIZE, GROUPS)
    model.save(folder / "model.keras")
    faces = draw_faces(2, SIZE, seed=1)
    export_model(model, folder / "export", faces, ["tflite_float32"])
    (folder / "images" / "subfolder").mkdir(parents=True)
    for name, face in zip(["x.png", "subfolder/y.png"], faces, strict=True):
        Image.fromarray(face).save(folder / "images" / name)
    (folder / "images" / "note.txt").write_text("not an image")
    return folder, inference_model(model).predict(faces, verbose=0)


@pytest.mark.parametrize("model_file", ["model.keras", "export/tflite/faramtn_float32.tflite"])
def test_probabilities_are_those_of_the_model(files, model_file):
    folder, expected = files
    paths = [folder / "images" / "x.png", folder / "images" / "subfolder"]
    results = list(predict_files(folder / model_file, paths))
    assert [path.name for path, _ in results] == ["x.png", "y.png"]
    for (_, probabilities), row in zip(results, expected, strict=True):
        assert list(probabilities) == ["glasses", "happy", "hat"]
        assert list(probabilities.values()) == pytest.approx(row, abs=1e-4)


@pytest.fixture(scope="module")
def many(files, tmp_path_factory):
    """A folder of seven images, of which the third is bad."""
    folder = tmp_path_factory.mktemp("many")
    for number, face in enumerate(draw_faces(7, SIZE, seed=2)):
        Image.fromarray(face).save(folder / f"{number}.png")
    (folder / "2.png").write_text("not an image")
    return folder


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_batches_have_the_order_and_the_probabilities_of_single_images(
    files, many, batch_size, monkeypatch
):
    loaded = load_predictor(files[0] / "model.keras")
    sizes = set()

    def predict(images):
        sizes.add(len(images))
        return loaded.predict(images)

    replaced = dataclasses.replace(loaded, predict=predict, batch_size=batch_size)
    monkeypatch.setattr(image_files, "load_predictor", lambda path: replaced)
    results = list(predict_files("model.keras", [many], skip_bad=True))
    assert [path.name for path, _ in results] == [f"{number}.png" for number in (0, 1, 3, 4, 5, 6)]
    for path, probabilities in results:
        [expected] = loaded.predict(load_image(path, SIZE)[None])
        assert list(probabilities.values()) == pytest.approx(expected, abs=1e-5)
    assert max(sizes) == min(batch_size, 6)


def test_predictions_before_a_bad_image_of_the_same_batch_are_kept(files, many):
    results = predict_files(files[0] / "model.keras", [many])
    assert [next(results)[0].name for _ in range(2)] == ["0.png", "1.png"]
    with pytest.raises(InputError, match=r"2\.png: .*Use --skip-bad to skip"):
        next(results)


def test_no_images_are_reported(files):
    with pytest.raises(InputError, match="none of the 0 images can be used"):
        list(predict_files(files[0] / "model.keras", []))


def test_a_tflite_file_runs_without_tensorflow_and_keras(files):
    folder, _ = files
    script = (
        "import sys; from keras_faramtn.inference.image_files import predict_files;"
        f"list(predict_files({str(folder / 'export/tflite/faramtn_float32.tflite')!r},"
        f" [{str(folder / 'images')!r}]));"
        "heavy = {'keras', 'tensorflow', 'matplotlib'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_images_are_resized_as_in_training(tmp_path):
    patches = np.random.default_rng(3).integers(0, 256, (9, 7, 3), dtype="uint8")
    Image.fromarray(patches).resize((178, 218)).save(tmp_path / "face.jpg", quality=95)
    ours = load_image(tmp_path / "face.jpg", SIZE).astype(int)
    theirs = decode_and_resize(tf.io.read_file(str(tmp_path / "face.jpg")), SIZE).numpy()
    assert ours.shape == (*SIZE, 3)
    # Pillow rounds after each of two passes.
    assert np.abs(ours - theirs).max() <= 2


def test_16_bit_grayscale_images_keep_the_high_8_bits(tmp_path):
    values = np.random.default_rng(0).integers(0, 2**16, SIZE, dtype="uint16")
    Image.fromarray(values).save(tmp_path / "deep.png")
    pixels = load_image(tmp_path / "deep.png", SIZE)
    np.testing.assert_array_equal(pixels, np.repeat((values // 256)[:, :, None], 3, axis=2))


def test_bad_images_and_folders_are_reported(files, tmp_path):
    (tmp_path / "text.jpg").write_text("not an image")
    with pytest.raises(InputError, match=r"text\.jpg: this file can't be read as an image"):
        load_image(tmp_path / "text.jpg", SIZE)
    with pytest.raises(InputError, match=r"gone\.jpg: there is no such image"):
        load_image(tmp_path / "gone.jpg", SIZE)
    with pytest.raises(InputError, match="nowhere: there is no such image or folder"):
        find_images([tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty: there is no image in this folder"):
        find_images([tmp_path / "empty"])


@pytest.mark.parametrize("suffix", [".tflite", ".keras"])
def test_bad_model_files_are_reported(files, tmp_path, suffix):
    image = files[0] / "images" / "x.png"
    with pytest.raises(InputError, match=rf"gone\{suffix}: no such model file"):
        next(predict_files(tmp_path / f"gone{suffix}", [image]))
    (tmp_path / f"broken{suffix}").write_text("not a model")
    with pytest.raises(InputError, match=rf"broken\{suffix}: not a"):
        next(predict_files(tmp_path / f"broken{suffix}", [image]))


def test_other_formats_and_missing_labels_are_reported(files, tmp_path, monkeypatch):
    image = files[0] / "images" / "x.png"
    with pytest.raises(InputError, match=r"model\.pt: a model for prediction is a \.keras, \."):
        next(predict_files(tmp_path / "model.pt", [image]))
    content = (files[0] / "export" / "tflite" / "faramtn_float32.tflite").read_bytes()
    (tmp_path / "alone.tflite").write_bytes(content)
    [(_, probabilities)] = predict_files(tmp_path / "alone.tflite", [image])
    assert tuple(probabilities) == GROUPS.attributes  # the file contains the names
    with zipfile.ZipFile(tmp_path / "alone.tflite") as archive:
        network = content[: archive.infolist()[0].header_offset]
    (tmp_path / "alone.tflite").write_bytes(network)
    with pytest.raises(InputError, match=r"put a labels\.txt into its folder"):
        next(predict_files(tmp_path / "alone.tflite", [image]))
    monkeypatch.chdir(tmp_path)  # the path has no folder
    with pytest.raises(InputError, match=r"put a labels\.txt into its folder"):
        next(predict_files("alone.tflite", [image]))
    (tmp_path / "labels.txt").write_text("glasses\nhappy\n")
    with pytest.raises(
        InputError, match=r"alone\.tflite: its labels name 2 attributes, but it predicts 3"
    ):
        next(predict_files(tmp_path / "alone.tflite", [image]))


def test_a_bad_image_in_a_folder_is_reported_or_skipped(files, tmp_path, capsys, caplog):
    exported = files[0] / "export" / "tflite" / "faramtn_float32.tflite"
    shutil.copytree(files[0] / "images", tmp_path / "images")
    (tmp_path / "images" / "bad.jpg").write_text("not an image")
    with pytest.raises(
        InputError, match=r"bad\.jpg: this file can't be read.* Use --skip-bad to skip"
    ):
        list(predict_files(exported, [tmp_path / "images"]))
    results = list(predict_files(exported, [tmp_path / "images"], skip_bad=True, progress=True))
    assert [path.name for path, _ in results] == ["y.png", "x.png"]
    warning, summary = caplog.messages
    assert "bad.jpg: this file can't be read" in warning
    assert summary == "1 of 3 images were skipped."
    assert not capsys.readouterr().err  # the progress bar is for terminals
    with pytest.raises(InputError, match="none of the 1 images can be used"):
        list(predict_files(exported, [tmp_path / "images" / "bad.jpg"], skip_bad=True))


def test_a_tflite_file_for_batches_is_refused(tmp_path):
    inputs = keras.Input((4, 6, 3), batch_size=2)
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs))
    content = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    (tmp_path / "pairs.tflite").write_bytes(content)
    with pytest.raises(InputError, match=r"pairs\.tflite: the model must have one image as input"):
        LiteRTModel(tmp_path / "pairs.tflite")


def test_integer_input_and_output_are_scaled(tmp_path):
    inputs = keras.Input((4, 6, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(inputs)
    model = keras.Model(inputs, keras.layers.Dense(5, "sigmoid", kernel_initializer="ones")(pooled))
    model.layers[-1].set_weights([np.random.default_rng(0).normal(0, 0.01, (3, 5)), np.zeros(5)])
    images = np.random.default_rng(1).integers(0, 256, (50, 4, 6, 3)).astype("float32")
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None]] for image in images)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    (tmp_path / "integer.tflite").write_bytes(converter.convert())
    integer = LiteRTModel(tmp_path / "integer.tflite")
    assert (integer.image_size, integer.outputs) == ((4, 6), 5)
    for image in images[:3]:
        expected = np.asarray(model(image[None]))[0]
        assert expected.std() > 0.01
        actual = integer.predict(image.astype("uint8"))
        assert actual.dtype == np.float32
        np.testing.assert_allclose(actual, expected, atol=0.02)


def test_the_folder_of_a_training_run_is_its_model(tmp_path):
    MultiLabel("mobilenetv3_small", ["Smiling", "Bald"], (32, 48, 3)).save(tmp_path / "model.keras")
    (tmp_path / "history.csv").touch()
    assert find_model(tmp_path) == tmp_path / "model.keras"
    assert load_predictor(tmp_path).image_size == (32, 48)
    assert groups_of(load_model(tmp_path)).attributes == ("Smiling", "Bald")
