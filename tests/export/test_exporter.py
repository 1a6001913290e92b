import dataclasses
import json
import re
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from sensitive_network import sensitive_network
from small_network import recipe, small_network

from keras_faramtn.attributes import CELEBA_ATTRIBUTES, FACE_REGIONS
from keras_faramtn.errors import InputError
from keras_faramtn.export.exporter import export_model
from keras_faramtn.export.formats import FORMATS
from keras_faramtn.export.keras_files import run_keras_files, write_keras_files
from keras_faramtn.export.saved_model import write_saved_model
from keras_faramtn.framing import CELEBA_FRAMING
from keras_faramtn.inference.loading import load_predictor, read_record
from keras_faramtn.keras_files import KERAS_FILES, WEIGHTS_FILE
from keras_faramtn.model_record import ModelRecord
from keras_faramtn.models import groups_of, inference_model
from keras_faramtn.models.record import (
    apply_temperatures,
    record_of,
    set_framing,
    set_thresholds,
)
from keras_faramtn.objective import objective
from keras_faramtn.synthetic.faces import draw_faces

onnxruntime = pytest.importorskip("onnxruntime")

SIZE = (64, 48)
THRESHOLDS = np.linspace(0, 1, 40)
TEMPERATURES = np.linspace(1, 2, 40)
FLOAT32 = schema.TensorType.FLOAT32


@pytest.fixture(scope="module")
def model():
    model = sensitive_network(SIZE)
    set_framing(model, CELEBA_FRAMING)
    set_thresholds(model, THRESHOLDS)
    apply_temperatures(model, TEMPERATURES)
    return model


@pytest.fixture(scope="module")
def small_model():
    """For what does not depend on the network: conversion takes seconds instead of minutes."""
    return small_network(recipe().model, (*SIZE, 3))


@pytest.fixture(scope="module")
def faces():
    return draw_faces(5, SIZE, seed=1)


@pytest.fixture(scope="module")
def expected(model, faces):
    probabilities = inference_model(model).predict(faces, verbose=0)
    assert probabilities.std() > 0.05
    return probabilities


@pytest.fixture(scope="module")
def exported(model, faces, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "mine"
    sources = {"image_source": "five drawn faces", "calibration_source": "the same faces"}
    files = export_model(model, folder, faces, **sources)
    assert list(files) == list(FORMATS)
    for file in files.values():
        path = folder / file.path
        written = [path] if path.is_file() else filter(Path.is_file, path.rglob("*"))
        assert file.size_bytes == sum(len(each.read_bytes()) for each in written) > 1e6
        assert file.parity.passed
    return folder


def _tflite(path, faces):
    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    [image], [output] = interpreter.get_input_details(), interpreter.get_output_details()
    assert image["shape"].tolist() == [1, *SIZE, 3]
    assert output["shape"].tolist() == [1, 40]
    assert (image["name"], output["name"]) == ("images", "probabilities")
    assert image["dtype"] == output["dtype"] == np.float32
    assert list(interpreter.get_signature_list().values()) == [
        {"inputs": ["images"], "outputs": ["probabilities"]}
    ]
    results = []
    for face in faces:
        interpreter.set_tensor(image["index"], face[None].astype("float32"))
        interpreter.invoke()
        results.append(interpreter.get_tensor(output["index"])[0])
    return np.array(results)


@pytest.mark.parametrize(
    ("precision", "tolerance"), [("float32", 1e-5), ("float16", 2e-2), ("int8", 0.15)]
)
def test_tflite_gives_the_same_probabilities(exported, faces, expected, precision, tolerance):
    path = exported / "tflite" / f"faramtn_{precision}.tflite"
    np.testing.assert_allclose(_tflite(path, faces), expected, atol=tolerance)


def test_fewer_bits_give_a_smaller_file(exported):
    full, half, quarter = (
        (exported / "tflite" / f"faramtn_{precision}.tflite").stat().st_size
        for precision in ("float32", "float16", "int8")
    )
    assert 0.5 <= half / full < 0.6
    assert 0.25 <= quarter / full < 0.4


def test_the_8_bit_file_computes_in_integers(exported):
    """The NPUs of phones require integers everywhere except at input and output."""
    content = (exported / "tflite" / "faramtn_int8.tflite").read_bytes()
    model = schema.ModelT.InitFromPackedBuf(content)
    [graph] = model.subgraphs
    floats = {index for index, tensor in enumerate(graph.tensors) if tensor.type == FLOAT32}
    assert floats == {*graph.inputs, *graph.outputs}
    # Weights are quantized per output channel.
    quantized = [tensor.quantization for tensor in graph.tensors if tensor.quantization]
    scales = [len(each.scale) for each in quantized if each.scale is not None]
    assert max(scales) >= 576


@pytest.mark.parametrize("count", [1, 5])
def test_saved_model_accepts_any_batch_size(exported, faces, expected, count):
    serve = tf.saved_model.load(exported / "saved_model" / "1").signatures["serving_default"]
    result = serve(images=tf.constant(faces[:count], tf.float32))
    assert set(result) == {"probabilities", "attributes"}
    np.testing.assert_allclose(result["probabilities"], expected[:count], atol=1e-5)


@pytest.mark.parametrize("count", [1, 5])
def test_onnx_accepts_any_batch_size(exported, faces, expected, count):
    session = onnxruntime.InferenceSession(str(exported / "onnx" / "faramtn.onnx"))
    metadata = session.get_modelmeta().custom_metadata_map
    # docs/MetadataProps.md of the ONNX standard.
    assert metadata["Image.BitmapPixelFormat"] == "Rgb8"
    assert metadata["Image.NominalPixelRange"] == "NominalRange_0_255"
    [images], [probabilities] = session.get_inputs(), session.get_outputs()
    assert (images.name, probabilities.name) == ("images", "probabilities")
    result = session.run(None, {"images": faces[:count].astype("float32")})[0]
    np.testing.assert_allclose(result, expected[:count], atol=1e-5)


@pytest.mark.parametrize(
    ("file", "tolerance"),
    [
        (".", 1e-5),
        ("saved_model/1", 1e-5),
        ("onnx/faramtn.onnx", 1e-5),
        ("tflite/faramtn_float32.tflite", 1e-5),
        ("tflite/faramtn_float16.tflite", 2e-2),
        ("tflite/faramtn_int8.tflite", 0.15),
    ],
)
def test_each_file_predicts_and_knows_its_model(exported, faces, expected, file, tolerance):
    predictor = load_predictor(exported / file)
    assert (predictor.image_size, predictor.attributes) == (SIZE, CELEBA_ATTRIBUTES)
    for count in (1, 5):
        rows = predictor.predict(faces[:count])
        assert rows.dtype == np.float32
        np.testing.assert_allclose(rows, expected[:count], atol=tolerance)
    assert predictor.record == read_record(exported / file)
    odds = THRESHOLDS ** (1 / TEMPERATURES), (1 - THRESHOLDS) ** (1 / TEMPERATURES)
    thresholds, temperatures = (
        predictor.record.thresholds,
        predictor.record.temperatures,
    )
    np.testing.assert_allclose(thresholds, odds[0] / (odds[0] + odds[1]))
    np.testing.assert_allclose(temperatures, TEMPERATURES)
    expected_record = ModelRecord(FACE_REGIONS, CELEBA_FRAMING, thresholds, temperatures)
    assert predictor.record == expected_record


def test_labels_record_and_comparisons_are_written(exported):
    record = json.loads((exported / "model.json").read_text())
    assert record["groups"] == {name: list(members) for name, members in FACE_REGIONS.items()}
    assert record["framing"]["kind"] == "aligned"
    assert list(record["thresholds"]) == list(CELEBA_ATTRIBUTES)
    assert record["temperatures"]["Young"] == pytest.approx(2)
    assert (exported / "labels.txt").read_text().split() == list(CELEBA_ATTRIBUTES)
    parity = json.loads((exported / "parity.json").read_text())
    assert set(parity) == set(FORMATS)
    comparisons = {name: file["parity"] for name, file in parity.items()}
    assert comparisons["tflite_float32"]["images"] == 5
    assert comparisons["tflite_float32"]["decision_agreement"] == 1.0
    differences = {name: each["max_difference"] for name, each in comparisons.items()}
    assert differences["tflite_float16"] > differences["tflite_float32"]
    assert parity["tflite_int8"]["path"] == "tflite/faramtn_int8.tflite"
    for each in ("float32", "float16", "int8"):
        assert parity[f"tflite_{each}"]["latency_ms"] > 0
        assert parity[f"tflite_{each}"]["gpu"]["unsupported_operations"] == []
    assert "gpu" not in parity["onnx"]
    assert parity["keras"]["path"] == "model.weights.h5"
    assert parity["keras"]["parity"]["max_difference"] == 0


def test_the_model_card_describes_the_files(exported):
    card = (exported / "README.md").read_text()
    for attribute in CELEBA_ATTRIBUTES:
        assert re.search(rf"^- \*\*\w+\*\*: .*\b{attribute}\b", card, re.MULTILINE)
    for path in exported.rglob("*.*"):
        if path.suffix in {".tflite", ".onnx", ".h5"}:
            row = f"| `{path.relative_to(exported)}` | {path.stat().st_size / 1e6:.2f} |"
            assert row in card
    assert "on five drawn faces" in card
    assert "calibrated on the same faces" in card
    assert f"(batch, {SIZE[0]}, {SIZE[1]}, 3)" in card
    assert "Unknown: there was no `metrics.json`" in card
    assert "- keras" in card.split("\n---\n")[0].splitlines()


def test_the_files_of_keras_are_the_network_that_was_trained(exported, model):
    loaded = keras.saving.load_model(exported)
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in model.layers]
    assert set(loaded.output) == set(model.output)
    for mine, theirs in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert record_of(loaded) == record_of(model)
    assert not (exported / "assets").exists()


def test_the_files_of_keras_do_not_show_how_and_where_the_model_was_compiled(tmp_path, faces):
    model = small_network(recipe().model, (*SIZE, 3))
    model.compile(keras.optimizers.AdamW(1e-3), **objective(groups_of(model)))
    model.optimizer.build(model.trainable_variables)
    expected = inference_model(model).predict(faces, verbose=0)
    write_keras_files(model, tmp_path / WEIGHTS_FILE)
    config = json.loads((tmp_path / "config.json").read_text())
    assert not config.get("compile_config")
    text = (tmp_path / "config.json").read_text() + (tmp_path / "metadata.json").read_text()
    assert str(Path.home()) not in text
    assert str(tmp_path.parent) not in text
    with h5py.File(tmp_path / WEIGHTS_FILE) as file:
        assert "optimizer" not in file
    np.testing.assert_array_equal(run_keras_files(tmp_path / WEIGHTS_FILE, faces), expected)
    assert model.compiled


def test_a_folder_of_the_user_is_kept_even_if_forced(model, faces, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    (folder / "parity.json").write_text("{}")
    with pytest.raises(InputError, match="mine: it already exists"):
        export_model(model, folder, faces, ["saved_model"])
    with pytest.raises(InputError, match="mine: this is not an earlier export"):
        export_model(model, folder, faces, ["saved_model"], force=True)
    assert (folder / "thesis.txt").read_text() == "mine"


def test_an_earlier_export_is_replaced_if_nothing_in_it_was_changed(small_model, faces, tmp_path):
    folder = tmp_path / "mine"
    files = {"labels.txt", "model.json", "parity.json", "README.md", ".keras_faramtn.json"}
    serving = {"saved_model", "compose.yaml", "batching_parameters.txt"}
    export_model(small_model, folder, faces, ["saved_model"])
    assert {path.name for path in folder.iterdir()} == files | serving
    with pytest.raises(InputError, match="mine: it already exists"):
        export_model(small_model, folder, faces, ["onnx"])

    compose = folder / "compose.yaml"
    content = compose.read_text()
    compose.write_text(content + "# my port\n")
    (folder / "saved_model" / "thesis.txt").write_text("mine")
    message = r"mine: compose\.yaml, saved_model/thesis\.txt: added or changed after the export"
    with pytest.raises(InputError, match=message):
        export_model(small_model, folder, faces, ["onnx"], force=True)
    assert (folder / "saved_model" / "thesis.txt").read_text() == "mine"

    compose.write_text(content)
    (folder / "saved_model" / "thesis.txt").unlink()
    export_model(small_model, folder, faces, ["onnx"], force=True)
    assert {path.name for path in folder.iterdir()} == files | {"onnx"}

    export_model(small_model, folder, faces, ["keras"], force=True)
    assert {path.name for path in folder.iterdir()} == files | set(KERAS_FILES)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def _write_another(model, path):
    other = keras.models.clone_model(model)
    other.set_weights([weight * 1.01 for weight in model.get_weights()])
    write_saved_model(other, path)


def test_a_file_that_differs_raises_an_error_and_is_kept_for_inspection(
    small_model, faces, tmp_path, monkeypatch
):
    wrong = dataclasses.replace(FORMATS["saved_model"], write=_write_another)
    monkeypatch.setitem(FORMATS, "saved_model", wrong)
    with pytest.raises(
        InputError, match=r"mine\.mismatch/saved_model/1: it differs from the model by"
    ):
        export_model(small_model, tmp_path / "mine", faces, ["saved_model"])
    with pytest.raises(InputError, match=r"mine\.mismatch2/saved_model/1: it differs"):
        export_model(small_model, tmp_path / "mine", faces, ["saved_model"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.mismatch", "mine.mismatch2"]
    parity = json.loads((tmp_path / "mine.mismatch" / "parity.json").read_text())
    assert parity["saved_model"]["parity"]["max_difference"] > 1e-4


def test_a_crash_leaves_no_files(model, faces, tmp_path, monkeypatch):
    def crash(model, path):
        path.write_text("half")
        raise KeyboardInterrupt

    broken = dataclasses.replace(FORMATS["onnx"], write=crash)
    monkeypatch.setitem(FORMATS, "onnx", broken)
    with pytest.raises(KeyboardInterrupt):
        export_model(model, tmp_path / "mine", faces, ["saved_model", "onnx"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [".mine.old", ".mine.unfinished", "mine.mismatch"])
def test_files_next_to_an_export_are_kept(model, faces, tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "thesis.txt").write_text("mine")
    for force in (False, True):
        export_model(model, tmp_path / "mine", faces, ["onnx"], force=force)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["mine", name])
    assert (tmp_path / name / "thesis.txt").read_text() == "mine"


def test_an_unknown_format_is_reported(model, faces, tmp_path):
    with pytest.raises(
        InputError, match="no format coreml; choose from saved_model, tflite_float32"
    ):
        export_model(model, tmp_path / "mine", faces, ["saved_model", "coreml"])
