import dataclasses
import json
import logging

import jsonschema
import numpy as np
import pytest
from conftest import random_labels, write_celeba, write_csv_table
from PIL import Image
from small_network import SIZE, initial_weights, recipe, small_network
from trained_network import EXPORT

from keras_faramtn.attributes import single_group
from keras_faramtn.data.check import check_data
from keras_faramtn.data.pipeline import decode_images
from keras_faramtn.data.readers.dataset import read_dataset
from keras_faramtn.errors import InputError
from keras_faramtn.evaluation import evaluate
from keras_faramtn.evaluation.evaluate import evaluate_file, evaluate_model, evaluate_split
from keras_faramtn.evaluation.metrics_file import metrics_schema
from keras_faramtn.evaluation.scores import score
from keras_faramtn.inference.loading import load_predictor
from keras_faramtn.inference.predictor import Predictor
from keras_faramtn.model_record import ModelRecord
from keras_faramtn.models import groups_of, inference_model


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    # The size of the network's input, so that nothing is resized.
    folder = tmp_path_factory.mktemp("data") / "celeba"
    return write_celeba(folder, random_labels(24), [0] * 4 + [1] * 14 + [2] * 6, size=SIZE[::-1])


@pytest.fixture(scope="module")
def model():
    network = small_network(recipe().model, (*SIZE, 3))
    network.set_weights(initial_weights())
    return network


def test_predictions_and_scores_are_those_of_the_table(data, model, tmp_path, capsys):
    table = check_data(data).split("test")
    capsys.readouterr()
    evaluation = evaluate_model(model, table, thresholds=0.4)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""
    np.testing.assert_array_equal(evaluation.labels, table.labels)
    images = np.stack([np.asarray(Image.open(path)) for path in table.paths])
    expected = inference_model(model)(images)
    np.testing.assert_allclose(evaluation.probabilities, expected, atol=1e-5)
    attributes = groups_of(model).attributes
    assert evaluation.scores == score(evaluation.probabilities, table.labels, attributes, 0.4)
    assert evaluation.thresholds.tolist() == [0.4] * 40


def _brightness(record=None, batch_size=3):
    """A model whose probabilities are the image's mean red and green."""
    record = record or ModelRecord(single_group(["red", "green"]))
    return Predictor(record, SIZE, lambda images: images.mean(axis=(1, 2))[:, :2] / 255, batch_size)


@pytest.fixture(scope="module")
def coloured(tmp_path_factory):
    """Seven images, one attribute more than the model's, in another order, and unknown labels."""
    rows = [(f"{n}.png", n % 2, "", 1) if n < 2 else (f"{n}.png", 1, n % 2, 0) for n in range(7)]
    header = ["image", "green", "other", "red"]
    return read_dataset(write_csv_table(tmp_path_factory.mktemp("coloured"), header, rows))


def test_the_labels_of_the_models_attributes_are_used_in_its_order(coloured):
    evaluation = evaluate_model(_brightness(), coloured)
    images = [Image.open(path).resize(SIZE[::-1], Image.BILINEAR) for path in coloured.paths]
    expected = np.stack([np.asarray(each, float).mean(axis=(0, 1))[:2] / 255 for each in images])
    np.testing.assert_allclose(evaluation.probabilities, expected, atol=1e-6)
    assert evaluation.labels.tolist() == [[1, 0], [1, 1], *[[0, 1]] * 5]
    assert [each.attribute for each in evaluation.scores.attributes] == ["red", "green"]


def test_thresholds_are_the_models_unless_others_are_given(coloured):
    record = ModelRecord(single_group(["red", "green"]), thresholds=(0.25, 0.75))
    evaluation = evaluate_model(_brightness(record), coloured)
    assert evaluation.thresholds.tolist() == [0.25, 0.75]
    assert [each.threshold for each in evaluation.scores.attributes] == [0.25, 0.75]
    given = evaluate_model(_brightness(record), coloured, thresholds=0.5)
    assert given.thresholds.tolist() == [0.5, 0.5]


def test_decoded_images_are_used_if_they_have_the_models_size(coloured, monkeypatch):
    expected = evaluate_model(_brightness(), coloured).probabilities
    decoded = decode_images(coloured, SIZE).take([4, 1, 5])
    other_size = decode_images(coloured, (16, 16)).take([4, 1, 5])
    np.testing.assert_array_equal(
        evaluate_model(_brightness(), other_size).probabilities, expected[[4, 1, 5]]
    )
    monkeypatch.setattr(evaluate, "load_image", None)
    np.testing.assert_allclose(
        evaluate_model(_brightness(), decoded).probabilities, expected[[4, 1, 5]], atol=1 / 255
    )


@pytest.mark.parametrize("number", [np.nan, 1.5])
def test_numbers_that_are_not_probabilities_are_refused(coloured, number):
    broken = dataclasses.replace(
        _brightness(), predict=lambda images: np.full((len(images), 2), number)
    )
    with pytest.raises(InputError, match=rf"0\.png: the model predicts {number} for red"):
        evaluate_model(broken, coloured)


def test_a_table_without_the_models_attributes_and_an_unreadable_image_are_refused(coloured):
    record = ModelRecord(single_group(["red", "blue", "grey"]))
    with pytest.raises(InputError, match=r"attributes\.csv: there are no labels for blue, grey"):
        evaluate_model(_brightness(record), coloured)
    missing = dataclasses.replace(coloured, paths=(coloured.source, *coloured.paths[1:]))
    with pytest.raises(InputError, match=r"attributes\.csv: this file can't be read as an image"):
        evaluate_model(_brightness(), missing)
    with pytest.raises(InputError, match="no image"):
        evaluate_model(_brightness(), coloured.take([]))


@pytest.mark.parametrize(
    "file", ["tflite/faramtn_float32.tflite", "onnx/faramtn.onnx", "saved_model/1", ""]
)
def test_every_exported_file_is_evaluated(file, tmp_path, data, caplog):
    if file.startswith("onnx"):
        pytest.importorskip("onnxruntime")
    caplog.set_level(logging.INFO)
    evaluate_file(EXPORT / file, data, "test", tmp_path / "scores")
    metrics = json.loads((tmp_path / "scores" / "metrics.json").read_text())
    jsonschema.validate(metrics, metrics_schema())
    assert metrics["model"] == (EXPORT / file).name
    images = check_data(data).split("test")
    predictor = load_predictor(EXPORT / "tflite" / "faramtn_float32.tflite")
    scores = evaluate_model(predictor, images).scores
    # The formats differ by rounding only.
    assert metrics["means"]["brier"] == pytest.approx(scores.mean.brier, abs=1e-4)
    for each in scores.attributes:
        assert metrics["attributes"][each.attribute]["known"] == each.known
    assert "Percent, on 6 images" in caplog.text


def test_the_folder_is_next_to_the_model_or_the_current_one_for_a_server(
    data, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(evaluate, "load_predictor", lambda model: load_predictor(EXPORT))

    def write_name(predictor, table, split, folder, *, name, **options):
        (folder / "name.txt").write_text(name)

    monkeypatch.setattr(evaluate, "evaluate_split", write_name)
    evaluate_file(tmp_path / "models" / "m.tflite", data, "test")
    evaluate_file("http://localhost:8501/v1/models/faramtn", data, "test")
    assert (tmp_path / "models" / "evaluation_test" / "name.txt").read_text() == "m.tflite"
    name = (tmp_path / "evaluation_test" / "name.txt").read_text()
    assert name == "http://localhost:8501/v1/models/faramtn"


def test_data_without_an_exported_models_attributes_is_refused(tmp_path):
    data = write_csv_table(tmp_path, ["image", "Smiling"], [("a.png", 1)])
    with pytest.raises(InputError, match="5_o_Clock_Shadow"):
        evaluate_file(EXPORT, data, "test", tmp_path / "scores")
    assert not (tmp_path / "scores").exists()


def test_a_split_is_reported_with_thresholds_of_the_validation_split(data, model, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    table = check_data(data)
    for split, images in (("validation", 14), ("test", 6)):
        folder = tmp_path / split
        evaluation = evaluate_split(model, table, split, folder, data="faces", name="small")
        metrics = json.loads((folder / "metrics.json").read_text())
        jsonschema.validate(metrics, metrics_schema())
        assert (metrics["data"], metrics["split"], metrics["images"]) == ("faces", split, images)
        assert (metrics["model"], metrics["bootstrap"]["resamples"]) == ("small", 1000)
        mean = evaluation.scores.mean.accuracy
        assert metrics["means"]["accuracy"] == pytest.approx(mean, abs=1e-6)
        assert ("chosen_thresholds" in metrics) == (split == "validation")
        with Image.open(folder / "contact_sheet.png") as sheet:
            assert sheet.format == "PNG"
        with np.load(folder / "predictions.npz") as predictions:
            np.testing.assert_array_equal(predictions["probabilities"], evaluation.probabilities)
            np.testing.assert_array_equal(predictions["labels"], table.split(split).labels)
        assert f"Percent, on {images} images" in caplog.text


def test_an_unknown_split_is_refused_before_the_model_is_read(tmp_path):
    with pytest.raises(InputError, match="unknown split 'all'; choose one of train, validation"):
        evaluate_file(tmp_path / "missing.keras", tmp_path, "all", tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_a_folder_with_content_is_refused_before_the_model_is_read(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="it already exists"):
        evaluate_file(tmp_path / "missing.keras", tmp_path, "test", tmp_path)


@pytest.mark.parametrize("exists", [False, True])
def test_an_interrupted_evaluation_can_be_repeated(data, model, tmp_path, monkeypatch, exists):
    model.save(tmp_path / "model.keras")
    folder = tmp_path / "report"
    if exists:
        folder.mkdir()

    def interrupt(path, *arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(evaluate, "write_predictions", interrupt)  # after the contact sheet
        with pytest.raises(KeyboardInterrupt):
            evaluate_file(tmp_path / "model.keras", data, "test", folder)
    assert folder.exists() == exists
    evaluate_file(tmp_path / "model.keras", data, "test", folder)
    assert sorted(path.name for path in folder.iterdir() if not path.name.startswith(".")) == [
        "contact_sheet.png",
        "metrics.json",
        "predictions.npz",
    ]
