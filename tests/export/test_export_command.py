"""The export as the command runs it, with the images and scores that the user has."""

import json

import numpy as np
import pytest
from PIL import Image

from keras_faramtn.errors import InputError
from keras_faramtn.export.export_file import export_file
from keras_faramtn.models import FARAMTN

SIZE = (32, 48)


@pytest.fixture
def run(tmp_path):
    """The folder of a run: a model, and images of training."""
    FARAMTN("mobilenetv3_small", input_shape=(*SIZE, 3)).save(tmp_path / "model.keras")
    (tmp_path / "training").mkdir()
    rng = np.random.default_rng(0)
    for number in range(5):
        face = Image.fromarray(rng.integers(0, 256, (*SIZE, 3), dtype="uint8"))
        face.save(tmp_path / "training" / f"{number}.png")
    return tmp_path


def test_images_and_scores_of_the_user_are_used_and_said(run, capsys):
    means = dict.fromkeys(
        ("accuracy", "balanced_accuracy", "average_precision", "majority_accuracy"), 0.75
    )
    metrics = {"data": "my faces", "part": "test", "images": 12, "means": means}
    (run / "metrics.json").write_text(json.dumps(metrics))
    export_file(
        run / "model.keras",
        run / "export",
        formats=["tflite_int8"],
        faces=run / "training" / "0.png",
        calibrate=run / "training",
    )
    printed = capsys.readouterr().out
    assert "Comparing on 1 of the 1 images of 0.png." in printed
    assert "Calibrating 8 bits on 5 of the 5 images of training." in printed
    size = (run / "export/tflite/faramtn_int8.tflite").stat().st_size
    assert f"tflite_int8     {size / 1e6:7.2f} MB" in printed
    assert "% of decisions alike" in printed
    assert "ms on one thread; GPU delegate has all operations" in printed
    card = (run / "export" / "model_card.md").read_text()
    assert "ranges from 5 of the 5 images of training" in card
    assert "my faces, part test, 12 images" in card


def test_broken_scores_are_named(run):
    (run / "metrics.json").write_text("{")
    with pytest.raises(InputError, match=r"metrics\.json: this is no JSON"):
        export_file(run / "model.keras", run / "export", formats=["saved_model"])
    assert not (run / "export").exists()
