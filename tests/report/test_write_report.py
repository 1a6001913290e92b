"""The command, with a small network on a few images."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import random_labels, write_celeba
from test_model_report import structure_of
from typer.testing import CliRunner

from keras_faramtn import FARAMTN, AttributeGroups
from keras_faramtn.attributes import CELEBA_ATTRIBUTES
from keras_faramtn.cli import app
from keras_faramtn.data.readers.dataset import read_dataset
from keras_faramtn.errors import InputError
from keras_faramtn.evaluation.predictions_file import write_predictions
from keras_faramtn.report.write_report import write_report

RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """`faces`, a data set; `run`, a training run of an untrained network; `wrong.csv`."""
    folder = tmp_path_factory.mktemp("report")
    write_celeba(folder / "faces", random_labels(20), [0] * 8 + [1] * 4 + [2] * 8)
    names = CELEBA_ATTRIBUTES[:4]
    groups = AttributeGroups({"one": names[:2], "two": names[2:]}, names)
    (folder / "run").mkdir()
    FARAMTN("mobilenetv3_small", groups, (64, 48, 3)).save(folder / "run" / "model.keras")
    (folder / "run" / "history.csv").write_text("epoch,loss,dws_one\n0,0.7,1\n1,0.6,1\n")
    return folder


@pytest.fixture(scope="module")
def page(folder):
    path = folder / "report.html"
    command = ["report", str(folder / "run"), "--data", str(folder / "faces"), "--by", "Male"]
    result = CliRunner().invoke(app, [*command, "--to", str(path)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return path.read_text()


def test_a_training_run_has_all_sections(page):
    structure_of(page)
    for section in ("summary", "training", "cooccurrence", "subgroups_1", "mistakes", "looks_at"):
        assert f'<section id="{section}"' in page
    assert "Attention of the groups" in page
    assert "one face, 48 pixels wide and 64 high" in page
    # The page may be passed on: it names no folders of this computer.
    assert "faramtn report run --data faces --split test --by Male --to report.html" in page
    assert "/tmp" not in page


def test_convergence_of_the_groups_needs_the_data_of_the_training(folder, tmp_path, caplog):
    run, pages = tmp_path / "run", tmp_path / "pages"
    shutil.copytree(folder / "run", run)
    pages.mkdir()
    history = "epoch,loss,val_one_loss,val_two_loss\n0,0.7,0.3,0.4\n1,0.6,0.0,0.2\n2,0.5,0.0,0.0\n"
    (run / "history.csv").write_text(history)
    recipe = (RECIPES / "demo.yaml").read_text()
    assert "epochs: 14" in recipe
    (run / "recipe.yaml").write_text(recipe.replace("epochs: 14", "epochs: 3"))

    def page(name):
        write_report(run, pages / f"{name}.html", data=folder / "faces")
        return (pages / f"{name}.html").read_text()

    def messages():
        # TensorFlow may warn of repeated tracing.
        return [each.message for each in caplog.records if each.name.startswith("keras_faramtn")]

    assert "Convergence of the groups" not in page("no_predictions")
    table = read_dataset(folder / "faces", CELEBA_ATTRIBUTES[:4])
    training, validation = table.split("train"), table.split("validation")
    write_predictions(run / "predictions.npz", np.full((4, 4), 0.5), validation, training)
    found = page("same_data")
    structure_of(found)
    assert "Convergence of the groups" in found
    assert "Spread of the groups in epochs: at 50 %: " in found
    assert found.count('<th scope="row"><bdi>one</bdi></th>') >= 1
    assert messages() == []
    lines = history.splitlines(keepends=True)
    (run / "history.csv").write_text("".join(lines[:-1]))
    assert "Convergence of the groups" not in page("short_history")
    (message,) = messages()
    assert "run/history.csv: this history has" in message
    assert "for 2 epochs instead of 3. Restore the file" in message
    (run / "history.csv").write_text(history[:-9])
    assert '<section id="training"' not in page("damaged_history")
    assert "can't be read" in messages()[-1]
    (run / "history.csv").write_text(history)
    write_predictions(run / "predictions.npz", np.full((8, 4), 0.5), training, validation)
    assert "Convergence of the groups" not in page("other_data")


def test_files_without_access_to_the_network(folder, tmp_path, monkeypatch):
    # As for a .tflite file: a model that only predicts.
    from keras_faramtn.report import write_report as module

    predictor = module.predictor_of(module.load_model(folder / "run" / "model.keras"))
    monkeypatch.setattr(module, "needs_keras", lambda source: False)
    monkeypatch.setattr(module, "load_predictor", lambda source: predictor)
    shutil.copy(folder / "run" / "model.keras", tmp_path / "model.tflite")
    write_report(tmp_path / "model.tflite", tmp_path / "report.html", data=folder / "faces")
    page = (tmp_path / "report.html").read_text()
    structure_of(page)
    assert "This file gives no access to the inside of the network" in page
    assert '<section id="training"' not in page


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "name a data set with --data"),
        ({"data": "faces", "split": "all"}, "unknown split 'all'"),
        ({"data": "faces", "by": ["Age"]}, "'Age'"),
        ({"data": "missing"}, "missing"),
        ({"data": "faces", "thresholds": "missing.json"}, r"missing\.json"),
    ],
)
def test_wrong_usage(folder, tmp_path, options, message):
    paths = {
        name: folder / value if name in ("data", "thresholds") else value
        for name, value in options.items()
    }
    with pytest.raises(InputError, match=message):
        write_report(folder / "run", tmp_path / "report.html", **paths)
    assert list(tmp_path.iterdir()) == []


def test_a_page_needs_a_new_html_file(folder, tmp_path):
    for name in ("report.pdf", "missing/report.html"):
        with pytest.raises(InputError, match=r"report\.(pdf|html)"):
            write_report(folder / "run", tmp_path / name, data=folder / "faces")
