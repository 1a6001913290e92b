import csv
import json
import os
import resource
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from keras_faramtn import cli
from keras_faramtn.attributes import CELEBA_ATTRIBUTES
from keras_faramtn.errors import InputError
from keras_faramtn.export.exporter import export_model
from keras_faramtn.inference.output_file import write_predictions
from keras_faramtn.models import FARAMTN


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    """A small network as a TFLite file for phones."""
    folder = tmp_path_factory.mktemp("command") / "export"
    model = FARAMTN("mobilenetv3_small", input_shape=(224, 224, 3))
    faces = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3), dtype="uint8")
    export_model(model, folder, faces, ["tflite_float32"])
    return folder / "tflite" / "faramtn_float32.tflite"


@pytest.fixture
def folder(tmp_path):
    """Three images, one whose name has a comma and a character outside ASCII."""
    folder = tmp_path / "faces"
    folder.mkdir()
    rng = np.random.default_rng(1)
    for name in ("a.png", "b,ä.jpg", "c.png"):
        patches = rng.integers(0, 256, (4, 3, 3), dtype="uint8")
        Image.fromarray(patches).resize((178, 218)).save(folder / name)
    return folder


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs the command; returns its error (None after success), stdout and stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["faramtn", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capsys.readouterr()
        return err if end.value.code else None, out, err

    return run


def test_chosen_thresholds_select_the_attributes(run, model_file, folder, tmp_path):
    chosen = dict.fromkeys(CELEBA_ATTRIBUTES, 1.0) | {"Bald": 0.0}
    metrics = tmp_path / "metrics.json"
    metrics.write_text(json.dumps({"chosen_thresholds": {"thresholds": chosen}}))
    message, out, _ = run("predict", model_file, folder, "--thresholds", metrics)
    assert message is None
    assert [line.split(": ")[1].split()[0] for line in out.splitlines()] == ["Bald"] * 3
    assert out.count("%") == 3
    del chosen["Bald"]
    metrics.write_text(json.dumps({"chosen_thresholds": {"thresholds": chosen}}))
    message, _, _ = run("predict", model_file, folder, "--thresholds", metrics)
    assert f"{metrics}: there is no threshold for Bald" in message
    metrics.write_text("{}")
    message, _, _ = run("predict", model_file, folder, "--thresholds", metrics)
    assert f"{metrics}: this file has no chosen_thresholds" in message
    message, _, _ = run(
        "predict", model_file, folder, "--thresholds", metrics, "--output", tmp_path / "a.csv"
    )
    assert "can't be used with --thresholds" in message


def test_each_image_gets_a_line_and_several_a_bar_on_a_terminal(
    run, model_file, folder, monkeypatch
):
    message, out, err = run("predict", model_file, folder)
    assert message is None
    assert [line.split(": ")[0] for line in out.splitlines()] == [
        str(folder / name) for name in ("a.png", "b,ä.jpg", "c.png")
    ]
    assert err == ""  # standard error is not a terminal
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    message, out, err = run("predict", model_file, folder)
    assert "Predicting: 100%" in err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    message, out, err = run("predict", model_file, folder / "a.png")
    assert out.count("\n") == 1
    assert "Predicting" not in err


def test_csv_and_json_lines_have_the_same_content(run, model_file, folder, tmp_path):
    for name in ("out.csv", "out.jsonl"):
        message, out, _ = run("predict", model_file, folder, "--output", tmp_path / name)
        assert message is None
        assert out == f"3 predictions in {tmp_path / name}\n"
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["image", *CELEBA_ATTRIBUTES]
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    for row, line in zip(rows, lines, strict=True):
        assert row[0] == line["image"]
        assert tuple(line["probabilities"]) == CELEBA_ATTRIBUTES
        assert list(map(float, row[1:])) == list(line["probabilities"].values())
    assert rows[1][0] == str(folder / "b,ä.jpg")
    assert not list(tmp_path.glob("*.part"))


def test_existing_files_are_kept(run, model_file, folder, tmp_path):
    (tmp_path / "mine.csv").write_text("precious")
    message, _, _ = run("predict", model_file, folder, "--output", tmp_path / "mine.csv")
    assert "mine.csv: it already exists" in message
    assert (tmp_path / "mine.csv").read_text() == "precious"
    message, _, _ = run("predict", model_file, folder, "--output", tmp_path / "mine.txt")
    assert "predictions are written to a .csv or .jsonl file" in message
    message, _, _ = run("predict", model_file, folder, "--output", tmp_path / "no" / "mine.csv")
    assert f"there is no folder {tmp_path / 'no'}" in message


def test_predictions_before_an_error_are_kept_in_another_file(run, model_file, folder, tmp_path):
    (folder / "bb.png").write_text("not an image")
    message, _, _ = run("predict", model_file, folder, "--output", tmp_path / "out.csv")
    assert "bb.png: this file can't be read as an image" in message
    assert not (tmp_path / "out.csv").exists()
    assert len((tmp_path / "out.csv.part").read_text().splitlines()) == 3  # header, a, b
    message, out, _ = run(
        "predict", model_file, folder, "--output", tmp_path / "out.csv", "--skip-bad"
    )
    assert message is None
    assert out.startswith("3 predictions")
    # The earlier file is not touched: it may hold the results of hours.
    assert len((tmp_path / "out.csv.part").read_text().splitlines()) == 3


def test_a_file_name_that_is_not_utf_8_keeps_its_bytes(tmp_path):
    name = os.fsdecode(b"\xff.jpg")
    for kind in ("csv", "jsonl"):
        write_predictions(tmp_path / f"out.{kind}", [(name, {"hat": 0.25})])
        assert b"\xff.jpg" in (tmp_path / f"out.{kind}").read_bytes()
    with pytest.raises(InputError, match="it already exists"):
        write_predictions(tmp_path / "out.csv", [])


def test_a_model_without_images_is_a_usage_error(run, model_file):
    message, _, _ = run("predict", model_file)
    assert "specify a model and images: faramtn predict MODEL IMAGES..." in message


def test_the_command_takes_at_most_1_5_seconds_of_processor_time(model_file, folder):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = subprocess.run(
        [sys.executable, "-m", "keras_faramtn", "predict", model_file, folder / "a.png"],
        check=True,
        capture_output=True,
        text=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert result.stdout.startswith(str(folder / "a.png"))
    assert result.stderr == ""
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.5
