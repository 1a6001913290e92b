"""A data set with custom attributes, through every command."""

import json
import sys

import numpy as np
import pytest
import yaml
from conftest import write_csv_table
from small_network import in_place_of_faramtn

from keras_faramtn import cli
from keras_faramtn.inference.image_files import predict_files

COUNT = 40

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a short training run on such a data set, and the data set's file."""
    folder = tmp_path_factory.mktemp("custom")
    rng = np.random.default_rng(2)
    labels = rng.choice(["1", "0", ""], (COUNT, 3), p=[0.4, 0.5, 0.1])
    rows = [[f"{n}.png", f"person {n}", *row] for n, row in enumerate(labels.tolist())]
    data = write_csv_table(folder / "data", ["image", "who", "Hat", "Very happy", "Scarf"], rows)
    recipe = {
        "data": {"image_size": [32, 40]},
        "model": {
            "backbone": "mobilenetv3_small",
            "groups": {"outfit": ["Scarf", "Hat"], "mood": ["Very happy"]},
        },
        "training": {"epochs": 1, "batch_size": 8},
    }
    (folder / "custom.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    with in_place_of_faramtn():
        command = ["train", folder / "custom.yaml", "--data", data, "--to", folder / "run"]
        assert _faramtn(*command) == 0
    return folder / "run", data


def _faramtn(*arguments):
    """The exit status of the command."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["faramtn", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
    return end.value.code


def _scores(folder):
    return json.loads((folder / "metrics.json").read_text())


def test_training_reports_the_attributes_in_the_order_of_the_groups(run):
    folder, _ = run
    metrics = _scores(folder)
    assert list(metrics["attributes"]) == ["Scarf", "Hat", "Very happy"]


def test_evaluation_and_prediction(run, tmp_path, capsys):
    folder, data = run
    model, to = folder / "model.keras", tmp_path / "scores"
    assert _faramtn("evaluate", model, "--data", data.parent, "--split", "test", "--to", to) == 0
    assert list(_scores(tmp_path / "scores")["attributes"]) == ["Scarf", "Hat", "Very happy"]
    capsys.readouterr()
    assert _faramtn("predict", model, data.parent / "3.png") == 0
    assert "3.png: " in capsys.readouterr().out


def test_export_of_names_with_spaces(run, tmp_path):
    folder, data = run
    model, to = folder / "model.keras", tmp_path / "out"
    assert _faramtn("export", model, "--to", to, "--format", "tflite_float32") == 0
    [exported] = to.rglob("*.tflite")
    [(_, probabilities)] = predict_files(exported, [data.parent / "3.png"])
    assert list(probabilities) == ["Scarf", "Hat", "Very happy"]
    [(_, expected)] = predict_files(model, [data.parent / "3.png"])
    np.testing.assert_allclose(list(probabilities.values()), list(expected.values()), atol=1e-5)


def test_check_names_a_column_that_is_not_an_attribute(run, capsys):
    _, data = run
    assert _faramtn("data", "check", data) == 0
    assert "not read as attributes, because no value is 1 or 0: who." in capsys.readouterr().out
