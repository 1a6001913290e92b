import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from keras_faramtn.attributes import CELEBA_ATTRIBUTES
from keras_faramtn.errors import InputError
from keras_faramtn.export import tree
from keras_faramtn.export.parity import compare
from keras_faramtn.export.saved_model import write_saved_model
from keras_faramtn.export.tree import FORMATS, export_model
from keras_faramtn.models import FARAMTN, inference_model

onnxruntime = pytest.importorskip("onnxruntime")

SIZE = (64, 48)


@pytest.fixture(scope="module")
def model():
    model = FARAMTN("mobilenetv3_small", input_shape=(*SIZE, 3))
    rng = np.random.default_rng(0)
    # Initial weights answer 0.5 to everything: any file would equal that.
    model.set_weights(
        [
            np.abs(w) + 0.3 * rng.random(w.shape) if w.min() >= 0 else 2 * w
            for w in model.get_weights()
        ]
    )
    return model


@pytest.fixture(scope="module")
def faces():
    return np.random.default_rng(1).integers(0, 256, (5, *SIZE, 3), dtype="uint8")


@pytest.fixture(scope="module")
def expected(model, faces):
    probabilities = inference_model(model).predict(faces, verbose=0)
    assert probabilities.std() > 0.05
    return probabilities


@pytest.fixture(scope="module")
def exported(model, faces, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "mine"
    reports = []
    parities = export_model(model, folder, faces, report=lambda *seen: reports.append(seen))
    assert [name for name, _, _ in reports] == list(FORMATS)
    assert all(size > 1e6 for _, _, size in reports)
    assert all(parity.passed for parity in parities.values())
    return folder


def _tflite(path, faces):
    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    [image], [output] = interpreter.get_input_details(), interpreter.get_output_details()
    assert image["shape"].tolist() == [1, *SIZE, 3]
    assert output["shape"].tolist() == [1, 40]
    assert image["name"].startswith("serving_default_images")
    results = []
    for face in faces:
        interpreter.set_tensor(image["index"], face[None].astype("float32"))
        interpreter.invoke()
        results.append(interpreter.get_tensor(output["index"])[0])
    return np.array(results)


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("float16", 2e-2)])
def test_tflite_gives_the_models_numbers(exported, faces, expected, precision, tolerance):
    path = exported / "tflite" / f"faramtn_{precision}.tflite"
    np.testing.assert_allclose(_tflite(path, faces), expected, atol=tolerance)


def test_half_floats_halve_the_file(exported):
    full, half = (
        (exported / "tflite" / f"faramtn_{precision}.tflite").stat().st_size
        for precision in ("float32", "float16")
    )
    assert 0.5 <= half / full < 0.6


@pytest.mark.parametrize("count", [1, 5])
def test_saved_model_takes_any_batch(exported, faces, expected, count):
    serve = tf.saved_model.load(exported / "saved_model" / "1").signatures["serving_default"]
    result = serve(images=tf.constant(faces[:count], tf.float32))
    assert set(result) == {"probabilities", "attributes"}
    np.testing.assert_allclose(result["probabilities"], expected[:count], atol=1e-5)


@pytest.mark.parametrize("count", [1, 5])
def test_onnx_takes_any_batch(exported, faces, expected, count):
    session = onnxruntime.InferenceSession(str(exported / "onnx" / "faramtn.onnx"))
    [images], [probabilities] = session.get_inputs(), session.get_outputs()
    assert (images.name, probabilities.name) == ("images", "probabilities")
    result = session.run(None, {"images": faces[:count].astype("float32")})[0]
    np.testing.assert_allclose(result, expected[:count], atol=1e-5)


def test_labels_and_comparisons_are_written(exported):
    assert (exported / "labels.txt").read_text().split() == list(CELEBA_ATTRIBUTES)
    parity = json.loads((exported / "parity.json").read_text())
    assert set(parity) == set(FORMATS)
    assert parity["tflite_float32"]["pictures"] == 5
    assert parity["tflite_float32"]["agreement"] == 1.0
    assert parity["tflite_float16"]["largest"] > parity["tflite_float32"]["largest"]


def test_an_existing_folder_is_kept_unless_forced(model, faces, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "precious").write_text("keep me")
    with pytest.raises(InputError, match="mine: it exists already"):
        export_model(model, folder, faces, ["saved_model"])
    assert (folder / "precious").read_text() == "keep me"
    export_model(model, folder, faces, ["saved_model"], force=True)
    assert {path.name for path in folder.iterdir()} == {
        "saved_model",
        "compose.yaml",
        "batching_parameters.txt",
        "labels.txt",
        "parity.json",
    }


def _write_another(model, path):
    other = keras.models.clone_model(model)
    other.set_weights([weight * 1.01 for weight in model.get_weights()])
    write_saved_model(other, path)


def test_a_file_that_differs_is_an_error_and_kept_under_another_name(
    model, faces, tmp_path, monkeypatch
):
    wrong = dataclasses.replace(FORMATS["saved_model"], write=_write_another)
    monkeypatch.setitem(tree.FORMATS, "saved_model", wrong)
    with pytest.raises(
        InputError, match=r"mine\.mismatch/saved_model/1: differs from the model by"
    ):
        export_model(model, tmp_path / "mine", faces, ["saved_model"])
    assert [path.name for path in tmp_path.iterdir()] == ["mine.mismatch"]
    parity = json.loads((tmp_path / "mine.mismatch" / "parity.json").read_text())
    assert parity["saved_model"]["largest"] > 1e-4


def test_a_crash_in_the_middle_leaves_nothing(model, faces, tmp_path, monkeypatch):
    def crash(model, path):
        path.write_text("half")
        raise KeyboardInterrupt

    broken = dataclasses.replace(FORMATS["onnx"], write=crash)
    monkeypatch.setitem(tree.FORMATS, "onnx", broken)
    with pytest.raises(KeyboardInterrupt):
        export_model(model, tmp_path / "mine", faces, ["saved_model", "onnx"])
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_format_is_named(model, faces, tmp_path):
    with pytest.raises(InputError, match="no format coreml; choose of saved_model, tflite_float32"):
        export_model(model, tmp_path / "mine", faces, ["saved_model", "coreml"])


def test_comparison_measures_what_it_says():
    expected = np.array([[0.1, 0.6, 0.4], [0.9, 0.2, 0.5]])
    actual = np.array([[0.1, 0.45, 0.4], [0.9, 0.2, 0.55]])
    parity = compare(expected, actual, tolerance=0.1)
    assert parity.largest == pytest.approx(0.15)
    assert parity.mean == pytest.approx(0.2 / 6)
    # 0.6 against 0.45, and 0.5 against 0.55, fall on different sides of one half.
    assert parity.agreement == pytest.approx(4 / 6)
    assert not parity.passed
    assert compare(expected, actual, tolerance=0.2).passed


@pytest.mark.parametrize("bad", [np.full((2, 3), np.nan), np.zeros((2, 2))])
def test_nan_and_another_shape_never_pass(bad):
    parity = compare(np.full((2, 3), 0.5), bad, tolerance=1.0)
    assert parity.largest == np.inf
    assert not parity.passed
