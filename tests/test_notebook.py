"""Executes all cells of the notebook in `recipes/`, on few faces."""

import contextlib
import importlib.metadata
import importlib.util
import os
import signal
import zipfile
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


def test_the_notebook_is_committed_without_outputs():
    for cell in _cells("code"):
        assert cell.outputs == []
        assert cell.execution_count is None


def test_the_install_cell_fails_if_the_installation_changes_keras(monkeypatch):
    [cell] = [cell for cell in _cells("code") if cell.id == "install"]
    versions = {"tensorflow": "2.19.0", "keras": "3.10.0", "numpy": "2.1.0"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(importlib.metadata, "version", versions.__getitem__)
    source = cell.source.replace('%pip install --quiet "{PACKAGE}"', "pip()")
    assert "pip()" in source
    exec(source, {"pip": lambda: None})
    with pytest.raises(AssertionError, match="has changed Colab's own packages"):
        exec(source, {"pip": lambda: versions.update(keras="3.15.1")})


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The folder in which the notebook was executed, and its outputs as text by cell id."""
    pytest.importorskip("ipykernel")
    folder = tmp_path_factory.mktemp("notebook")
    notebook = nbformat.read(NOTEBOOK, 4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FARAMTN_FACES", "60")
        patch.setenv("FARAMTN_EPOCHS", "2")
        patch.setenv("TMPDIR", str(folder))  # TensorBoard lists its servers there
        try:
            nbclient.NotebookClient(
                notebook, timeout=600, resources={"metadata": {"path": str(folder)}}
            ).execute()
        finally:
            _stop_tensorboard(folder)
    return folder, {cell.id: _text(cell) for cell in notebook.cells if cell.cell_type == "code"}


def _text(cell):
    return "".join(
        output.get("text", "") or output.get("data", {}).get("text/plain", "")
        for output in cell.outputs
    )


def _stop_tensorboard(folder):
    for file in folder.glob(".tensorboard-info/pid-*.info"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(file.stem.removeprefix("pid-")), signal.SIGTERM)


@pytest.mark.slow
def test_all_cells_run_and_print_their_results(executed):
    _, texts = executed
    before, after = (
        texts["install"].split(f"{word}:")[1].split("}")[0] for word in ("before", "after")
    )
    assert before.strip() == after.strip()
    assert "'keras': '3." in before
    assert "60 images: 48 train, 6 validation, 6 test." in texts["check"]
    assert "parameters" in texts["network"]
    assert "validation: accuracy" in texts["fit"]
    assert "majority" in texts["score"]
    assert "largest difference from the model" in texts["export"]
    assert texts["run"].count(".jpg: ") == 3


@pytest.mark.slow
def test_the_notebook_writes_model_figures_logs_and_an_exported_file(executed):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder, _ = executed
    for name in ("training_curve.png", "predictions.png"):
        assert np.asarray(Image.open(folder / name)).std() > 10
    events = EventAccumulator(str(folder / "logs" / "train"), {"tensors": 0}).Reload()
    tags = events.Tags()["tensors"]
    assert "epoch_loss" in tags
    assert sum(tag.startswith("epoch_dws_") for tag in tags) == 8
    assert len(events.Tensors("epoch_loss")) == 2
    [exported] = folder.glob("export/**/*.tflite")
    image = next(folder.glob("faces/**/*.jpg"))
    [(_, probabilities)] = predict_files(exported, [image])
    assert tuple(probabilities) == CELEBA_ATTRIBUTES
    assert zipfile.is_zipfile(folder / "model.keras")
