"""The export command with the user's images and scores."""

import json
import logging

import numpy as np
import pytest
from PIL import Image

from keras_faramtn.attributes import CELEBA_ATTRIBUTES, FACE_REGIONS
from keras_faramtn.errors import InputError
from keras_faramtn.evaluation.bootstrap import score_intervals
from keras_faramtn.evaluation.metrics_file import metrics
from keras_faramtn.evaluation.scores import score
from keras_faramtn.export.export_model_file import export_model_file
from keras_faramtn.models import FARAMTN, inference_model, load_model

SIZE = (32, 48)


@pytest.fixture
def run(tmp_path):
    """The folder of a run: a model, and training images."""
    FARAMTN("mobilenetv3_small", input_shape=(*SIZE, 3)).save(tmp_path / "model.keras")
    (tmp_path / "training").mkdir()
    rng = np.random.default_rng(0)
    for number in range(5):
        face = Image.fromarray(rng.integers(0, 256, (*SIZE, 3), dtype="uint8"))
        face.save(tmp_path / "training" / f"{number}.png")
    return tmp_path


def test_images_and_scores_of_the_user_are_used_and_reported(run, caplog):
    labels = np.arange(12 * 40).reshape(12, 40) // 3 % 2
    scores = score(np.where(labels == 1, 0.9, 0.2), labels, CELEBA_ATTRIBUTES)
    intervals = score_intervals(
        scores, FACE_REGIONS, np.where(labels, 0.9, 0.2), labels, resamples=10
    )
    content = metrics(scores, intervals, FACE_REGIONS, data="my faces", split="test", model="mine")
    (run / "metrics.json").write_text(json.dumps(content))
    with caplog.at_level(logging.INFO):
        export_model_file(
            run / "model.keras",
            run / "export",
            formats=["tflite_int8"],
            images=run / "training" / "0.png",
            calibration_images=run / "training",
        )
    printed = caplog.text
    assert "Comparing on 1 of the 1 images of 0.png." in printed
    assert "Calibrating the 8-bit file on 5 of the 5 images of training." in printed
    size = (run / "export/tflite/faramtn_int8.tflite").stat().st_size
    assert f"tflite_int8     {size / 1e6:7.2f} MB" in printed
    assert "% equal decisions" in printed
    assert "ms on one CPU thread; GPU delegate supports all operations" in printed
    card = (run / "export" / "README.md").read_text()
    assert "calibrated on 5 of the 5 images of training" in card
    assert "my faces, test split, 12 images" in card


def test_a_folder_with_content_is_refused_before_the_model_is_read(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="it already exists"):
        export_model_file(tmp_path / "missing.keras", tmp_path)


def test_invalid_scores_are_reported(run):
    (run / "metrics.json").write_text("{")
    with pytest.raises(InputError, match=r"metrics\.json: cannot read this file as JSON"):
        export_model_file(run / "model.keras", run / "export", formats=["saved_model"])
    (run / "metrics.json").write_text('{"schema_version": 1, "data": "faces"}')
    with pytest.raises(InputError, match=r"metrics\.json: attributes, bootstrap, .* is missing"):
        export_model_file(run / "model.keras", run / "export", formats=["saved_model"])
    assert not (run / "export").exists()


@pytest.mark.parametrize("content", ['{"schema_version": 2}', '{"means": {}}', "[]"])
def test_scores_in_another_format_are_ignored_with_a_warning(run, content, caplog):
    (run / "metrics.json").write_text(content)
    export_model_file(run / "model.keras", run / "export", formats=["keras"])
    assert "metrics.json: not in the current format, so the model card has no scores" in caplog.text
    assert "Unknown: there was no `metrics.json`" in (run / "export" / "README.md").read_text()


def test_a_folder_of_keras_files_is_exported_like_a_file(run):
    export_model_file(run / "model.keras", run / "first", formats=["keras"])
    export_model_file(run / "first", run / "second", formats=["keras"])
    first, second = (
        inference_model(load_model(run / folder)).get_weights() for folder in ("first", "second")
    )
    for mine, theirs in zip(first, second, strict=True):
        np.testing.assert_array_equal(mine, theirs)
