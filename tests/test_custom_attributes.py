"""A data set with attributes of one's own, through every command."""

import json
import sys

import numpy as np
import pytest
import yaml
from test_own import write_own

from keras_faramtn import cli
from keras_faramtn.inference.predictor import predict_files

COUNT = 40

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a small training on such a data set, and the data set's file."""
    folder = tmp_path_factory.mktemp("own")
    rng = np.random.default_rng(2)
    labels = rng.choice(["1", "0", ""], (COUNT, 3), p=[0.4, 0.5, 0.1])
    rows = [[f"{n}.png", f"friend {n}", *row] for n, row in enumerate(labels.tolist())]
    data = write_own(folder / "data", ["image", "who", "Hat", "Very happy", "Scarf"], rows)
    recipe = {
        "data": {"image_size": [32, 40]},
        "model": {
            "backbone": "mobilenetv3_small",
            "groups": {"outfit": ["Scarf", "Hat"], "mood": ["Very happy"]},
        },
        "training": {"epochs": 1, "batch_size": 8},
    }
    (folder / "mine.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    assert _faramtn("train", folder / "mine.yaml", "--data", data, "--to", folder / "run") == 0
    return folder / "run", data


def _faramtn(*arguments):
    """What the command ends with: 0, or the message of what was wrong."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["faramtn", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
    return end.value.code


def _scores(folder):
    return json.loads((folder / "metrics.json").read_text())


def test_training_scores_the_attributes_in_the_order_of_the_groups(run):
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


def test_export_of_names_with_blanks(run, tmp_path):
    folder, data = run
    model, to = folder / "model.keras", tmp_path / "out"
    assert _faramtn("export", model, "--to", to, "--format", "tflite_float32") == 0
    [exported] = to.rglob("*.tflite")
    [(_, probabilities)] = predict_files(exported, [data.parent / "3.png"])
    assert list(probabilities) == ["Scarf", "Hat", "Very happy"]
    [(_, expected)] = predict_files(model, [data.parent / "3.png"])
    np.testing.assert_allclose(list(probabilities.values()), list(expected.values()), atol=1e-5)


def test_check_names_the_column_that_is_no_attribute(run):
    _, data = run
    assert "value 'friend 0' for who" in _faramtn("data", "check", data)
