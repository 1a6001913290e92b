"""Executes all cells of the notebook in `recipes/`, on few faces."""

import csv
import importlib.metadata
import importlib.util
import json
import shutil
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_faramtn.attributes import CELEBA_ATTRIBUTES
from keras_faramtn.inference.image_files import predict_files

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

NOTEBOOK = Path(__file__).parents[1] / "recipes" / "faramtn_colab.ipynb"


def _cells(kind):
    return [cell for cell in nbformat.read(NOTEBOOK, 4).cells if cell.cell_type == kind]


def _source(cell_id):
    [cell] = [cell for cell in _cells("code") if cell.id == cell_id]
    return cell.source


def test_the_notebook_is_valid_and_committed_without_outputs():
    nbformat.validate(nbformat.read(NOTEBOOK, 4))
    for cell in _cells("code"):
        assert cell.outputs == []
        assert cell.execution_count is None


def test_the_install_cell_fails_if_the_installation_changes_keras(monkeypatch):
    versions = {"tensorflow": "2.19.0", "keras": "3.10.0", "numpy": "2.1.0"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(importlib.metadata, "version", versions.__getitem__)
    source = _source("install").replace('%pip install --quiet "{PACKAGE}"', "pip()")
    assert "pip()" in source
    exec(source, {"pip": lambda: None})
    with pytest.raises(AssertionError, match="has changed Colab's own packages"):
        exec(source, {"pip": lambda: versions.update(keras="3.15.1")})


def _prepare_data(folder, monkeypatch, **names):
    """Executes the cell of the data; returns the data set and the commands that it ran."""
    commands = []
    source = _source("data").replace(
        "!faramtn data synthesize {data} --count {FACES}", "run(f'synthesize {data} {FACES}')"
    )
    monkeypatch.chdir(folder)
    names |= {"Path": Path, "FACES": 30, "run": commands.append}
    exec(source, names)
    return names["data"], commands


def test_synthetic_faces_are_drawn_once(tmp_path, monkeypatch):
    options = {"SOURCE": "synthetic", "CELEBA": Path("celeba.zip")}
    data, commands = _prepare_data(tmp_path, monkeypatch, **options)
    assert commands == ["synthesize faces 30"]
    data.mkdir()
    assert _prepare_data(tmp_path, monkeypatch, **options) == (data, [])


@pytest.mark.parametrize("packed", [True, False])
def test_celeba_in_the_drive_may_be_a_zip_file_or_a_folder(tmp_path, monkeypatch, packed):
    (tmp_path / "celeba").mkdir()
    (tmp_path / "celeba" / "list_attr_celeba.txt").write_text("labels")
    path = tmp_path / "celeba"
    if packed:
        path = Path(shutil.make_archive(str(path), "zip", path))
    mounted = []
    colab = types.ModuleType("google.colab")
    colab.drive = types.SimpleNamespace(mount=mounted.append)
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    (tmp_path / "here").mkdir()
    data, _ = _prepare_data(tmp_path / "here", monkeypatch, SOURCE="drive", CELEBA=path)
    assert mounted == ["/content/drive"]
    assert (data == path) == (not packed)
    assert (data / "list_attr_celeba.txt").read_text() == "labels"


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The folder in which the notebook was executed, and its outputs as text by cell id."""
    pytest.importorskip("ipykernel")
    pytest.importorskip("tensorflow_datasets")
    folder = tmp_path_factory.mktemp("notebook")
    notebook = nbformat.read(NOTEBOOK, 4)
    first = "import notebook_session\nnotebook_session.start(get_ipython())"
    notebook.cells.insert(0, nbformat.v4.new_code_cell(first, id="session"))
    settings = {
        "FARAMTN_SOURCE": "tfds",
        "FARAMTN_FACES": "60",
        "FARAMTN_EPOCHS": "2",
        "FARAMTN_BACKBONE": "mobilenetv3_small",
        "FARAMTN_WEIGHTS": "null",
        "PYTHONPATH": str(Path(__file__).parent),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        nbclient.NotebookClient(
            notebook, timeout=600, resources={"metadata": {"path": str(folder)}}
        ).execute()
    return folder, {cell.id: _text(cell) for cell in notebook.cells if cell.cell_type == "code"}


def _text(cell):
    return "".join(
        output.get("text", "") or output.get("data", {}).get("text/html", "")
        for output in cell.outputs
    )


@pytest.mark.slow
def test_all_cells_run_and_print_their_results(executed):
    _, texts = executed
    before, after = (
        texts["install"].split(f"{word}:")[1].split("}")[0] for word in ("before", "after")
    )
    assert before.strip() == after.strip()
    assert "'keras': '3." in before
    assert "precision: float32" in texts["settings"]
    assert "72 images: 60 train, 6 validation, 6 test." in texts["check"]
    assert "balanced accuracy" in texts["train"]
    assert "<iframe srcdoc=" in texts["report"]
    assert "largest difference" in texts["export"]
    assert "holiday.jpg" in texts["photograph"]


@pytest.mark.slow
def test_the_notebook_writes_a_calibrated_model_a_report_and_an_exported_file(executed):
    folder, _ = executed
    with (folder / "faces" / "attributes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[2:] == list(CELEBA_ATTRIBUTES)
    assert {row["Smiling"] for row in rows} == {"0", "1"}
    for name in ("run/training_curve.png", "calibrated/calibration.png", "drawn/holiday.jpg"):
        assert np.asarray(Image.open(folder / name)).std() > 10
    assert len(json.loads((folder / "calibrated" / "calibration.json").read_text())) > 1
    assert "<h2" in (folder / "report.html").read_text()
    [exported] = folder.glob("export/**/*.tflite")
    [(_, probabilities)] = predict_files(exported, [next(folder.glob("faces/*.jpg"))])
    assert tuple(probabilities) == CELEBA_ATTRIBUTES
