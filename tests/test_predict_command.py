import csv
import json
import os
import resource
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from scenes import compose
from small_network import SIZE, recipe, small_network
from trained_network import copy_tflite

from keras_faramtn import cli
from keras_faramtn.attributes import CELEBA_ATTRIBUTES, FACE_REGIONS, AttributeGroups
from keras_faramtn.errors import InputError
from keras_faramtn.framing import CELEBA_FRAMING
from keras_faramtn.inference.output_file import write_predictions
from keras_faramtn.model_record import ModelRecord
from keras_faramtn.models.record import set_thresholds


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    """A TFLite file for phones, which records no framing."""
    record = ModelRecord(AttributeGroups(FACE_REGIONS, CELEBA_ATTRIBUTES))
    return copy_tflite("float32", tmp_path_factory.mktemp("command"), record)


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


def test_thresholds_that_the_model_records_select_the_attributes(run, folder, tmp_path):
    model = small_network(recipe().model, (*SIZE, 3))
    recorded = dict.fromkeys(CELEBA_ATTRIBUTES, 1.0) | {"Bald": 0.0}
    set_thresholds(model, list(recorded.values()))
    model.save(tmp_path / "model.keras")
    error, out, _ = run("predict", tmp_path / "model.keras", folder / "a.png")
    assert error is None
    assert out.startswith(f"{folder / 'a.png'}: Bald ")
    assert "," not in out.partition(": ")[2]
    metrics = tmp_path / "metrics.json"
    chosen = dict.fromkeys(CELEBA_ATTRIBUTES, 1.0)
    metrics.write_text(json.dumps({"chosen_thresholds": {"thresholds": chosen}}))
    _, out, _ = run("predict", tmp_path / "model.keras", folder / "a.png", "--thresholds", metrics)
    assert out.endswith("no attribute above its threshold\n")


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
    assert "Missing argument 'IMAGES'" in message


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """A folder of two photographs with faces and, between them, one without."""
    folder = tmp_path_factory.mktemp("photographs")
    for number, (name, count) in enumerate({"a.jpg": 2, "b.png": 0, "c.jpg": 1}.items(), 20):
        compose(number, (400, 300), count, face_sizes=(60, 80), max_angle=10)[0].save(folder / name)
    return folder


DETECT = ("--detect", "--framing", "celeba")


def test_each_face_of_a_photograph_gets_a_line(run, model_file, photographs):
    message, out, err = run("predict", model_file, photographs, *DETECT)
    assert (message, err) == (None, "")
    lines = out.splitlines()
    faces = [line for line in lines if line.startswith(f"{photographs / 'a.jpg'}, face ")]
    assert len(faces) >= 2
    for number, line in enumerate(faces, start=1):
        assert f", face {number} of {len(faces)}: " in line
    assert f"{photographs / 'b.png'}: no face found" in lines
    assert lines[-1].startswith(f"{photographs / 'c.jpg'}, face ")


def test_files_of_faces_have_the_same_content_and_no_box_without_a_face(
    run, model_file, photographs, tmp_path
):
    for name in ("out.csv", "out.jsonl"):
        message, out, _ = run(
            "predict", model_file, photographs, *DETECT, "--output", tmp_path / name
        )
        assert message is None
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    numbers = ["face", "left", "top", "right", "bottom", "score"]
    assert header == ["image", *numbers, *CELEBA_ATTRIBUTES]
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    for row, line in zip(rows, lines, strict=True):
        assert row[0] == line["image"]
        assert list(line) == ["image", *numbers, "probabilities"]
        values = [line[name] for name in numbers] + list(line["probabilities"].values())
        assert [float(cell) if cell else None for cell in row[1:]] == values
    (empty,) = (line for line in lines if line["image"] == str(photographs / "b.png"))
    assert {value for name, value in empty.items() if name in numbers} == {None}
    assert set(empty["probabilities"].values()) == {None}
    faces = [line for line in lines if line["face"]]
    assert out == f"{len(faces)} predictions in {tmp_path / 'out.jsonl'}\n"
    for line in faces:
        assert 0 <= line["left"] < line["right"] <= 400
        assert 0 <= line["top"] < line["bottom"] <= 300
        assert 0 < line["score"] <= 1


def test_faces_are_drawn_with_the_chosen_thresholds(run, model_file, photographs, tmp_path):
    sizes = {}
    for name, threshold in (("all", 0.0), ("none", 1.0)):
        chosen = dict.fromkeys(CELEBA_ATTRIBUTES, threshold)
        metrics = tmp_path / "metrics.json"
        metrics.write_text(json.dumps({"chosen_thresholds": {"thresholds": chosen}}))
        options = ("--draw", tmp_path / name, "--thresholds", metrics)
        output = ("--output", tmp_path / f"{name}.csv")
        message, _, _ = run("predict", model_file, photographs, *DETECT, *options, *output)
        assert message is None
        assert sorted(path.name for path in (tmp_path / name).iterdir()) == ["a.jpg", "c.jpg"]
        with Image.open(tmp_path / name / "c.jpg") as image:
            sizes[name] = (np.asarray(image).min(axis=2) > 240).sum()
    assert sizes["all"] > sizes["none"]  # white text
    message, _, _ = run("predict", model_file, photographs, *DETECT, "--draw", tmp_path / "all")
    assert f"{tmp_path / 'all'}: it already exists" in message


def test_faces_have_the_attributes_above_the_recorded_thresholds(run, photographs, tmp_path):
    recorded = tuple(0.0 if name == "Bald" else 1.0 for name in CELEBA_ATTRIBUTES)
    groups = AttributeGroups(FACE_REGIONS, CELEBA_ATTRIBUTES)
    model_file = copy_tflite("float16", tmp_path, ModelRecord(groups, CELEBA_FRAMING, recorded))
    message, out, _ = run("predict", model_file, photographs / "c.jpg", "--detect")
    assert message is None
    for line in out.splitlines():
        names = line.partition(": ")[2]
        assert names.startswith("Bald ")
        assert "," not in names


def test_photographs_without_any_face_are_a_failure_but_are_written(
    run, model_file, photographs, tmp_path
):
    photograph = photographs / "b.png"
    options = ("--output", tmp_path / "out.csv", "--draw", tmp_path / "drawn")
    message, out, _ = run("predict", model_file, photograph, *DETECT, *options)
    assert message == (
        "faramtn: no face was found; if the images are face crops, predict them without --detect.\n"
    )
    assert out == f"0 predictions in {tmp_path / 'out.csv'}\n"
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 2
    message, out, _ = run("predict", model_file, photograph, *DETECT)
    assert "no face was found" in message
    assert out == f"{photograph}: no face found\n"


def test_options_for_photographs_are_checked_first(run, model_file, photographs, tmp_path):
    for option in (("--draw", tmp_path / "drawn"), ("--framing", "celeba")):
        message, _, _ = run("predict", model_file, photographs, *option)
        assert "use it with --detect" in message
    message, _, _ = run("predict", model_file, photographs, "--detect", "--framing", "passport")
    assert "there is no framing 'passport'; choose one of celeba, box" in message
    message, _, _ = run("predict", model_file, photographs / "missing.jpg", *DETECT)
    assert "missing.jpg: there is no such image" in message
    (tmp_path / "folder.jpg").mkdir()
    message, _, _ = run("predict", model_file, tmp_path / "folder.jpg", *DETECT)
    assert "folder.jpg: there is no image in this folder" in message


@pytest.mark.parametrize("options", [(), DETECT])
def test_the_command_takes_at_most_1_5_seconds_of_processor_time(model_file, photographs, options):
    image = photographs / "c.jpg"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = subprocess.run(
        [sys.executable, "-m", "keras_faramtn", "predict", model_file, image, *options],
        check=True,
        capture_output=True,
        text=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert result.stdout.startswith(str(image))
    assert result.stderr == ""
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.5
