import json
import logging

import numpy as np
import pytest
from conftest import random_labels, write_celeba
from PIL import Image
from small_network import SIZE, initial_weights, recipe, small_network

from keras_faramtn.data.check import check_data
from keras_faramtn.errors import InputError
from keras_faramtn.evaluation import evaluate
from keras_faramtn.evaluation.evaluate import evaluate_file, evaluate_model, evaluate_split
from keras_faramtn.evaluation.scores import score
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


def test_a_split_is_reported_with_thresholds_of_the_validation_split(data, model, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    table = check_data(data)
    for split, images in (("validation", 14), ("test", 6)):
        folder = tmp_path / split
        evaluation = evaluate_split(model, table, split, folder, data="faces")
        metrics = json.loads((folder / "metrics.json").read_text())
        assert (metrics["data"], metrics["split"], metrics["images"]) == ("faces", split, images)
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
