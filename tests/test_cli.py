"""The command line in a separate process: output, errors and files."""

import json
import os
import re
import subprocess
import sys

import pytest
import typer
from conftest import random_labels, write_celeba
from PIL import Image
from small_network import SIZE, recipe, small_network
from typer.testing import CliRunner

from keras_faramtn.attributes import CELEBA_ATTRIBUTES
from keras_faramtn.cli import app
from keras_faramtn.data.readers.dataset import read_dataset
from keras_faramtn.synthetic.dataset import synthesize

HEAVY = {"tensorflow", "keras", "numpy", "matplotlib", "PIL", "pooch", "requests"}
# Options whose absence means that there is no value.
WITHOUT_DEFAULT = {"draw", "output"}


def _faramtn(*arguments):
    code = "from keras_faramtn.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
        check=False,
    )


def _in_this_process(*arguments):
    """Runs a command without the seconds that the imports of a new process take."""
    # The command sets these variables; here they are restored after it.
    environment = {"MPLBACKEND": "agg", "KERAS_BACKEND": "tensorflow", "NO_COLOR": "1"}
    return CliRunner().invoke(app, list(map(str, arguments)), env=environment)


def _fails(result, *messages):
    assert result.returncode != 0
    assert "Traceback" not in result.stderr
    for message in messages:
        assert message in result.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["train", "--help"], ["typo"]])
def test_help_imports_nothing_heavy(arguments):
    code = (
        "import sys\n"
        "from keras_faramtn.cli import app\n"
        "try:\n    app()\n"
        f"finally:\n    print(sorted({HEAVY!r} & sys.modules.keys()), file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert result.stderr.splitlines()[-1] == "[]"


def test_help_names_the_commands():
    result = _faramtn("--help")
    assert result.returncode == 0
    for command in ("demo", "data", "train", "evaluate", "predict", "export"):
        assert f" {command} " in result.stdout


def _commands(group=None, names=()):
    """All commands of the command line, by their names."""
    for name, command in (group or typer.main.get_command(app)).commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, (*names, name))
        else:
            yield (*names, name), command


@pytest.mark.parametrize(("names", "command"), _commands(), ids=lambda value: str(value))
def test_help_shows_every_default(names, command):
    """The pattern finds an option and its default in one row of the table."""
    result = CliRunner().invoke(app, [*names, "--help"], env={"COLUMNS": "250", "NO_COLOR": "1"})
    for option in command.params:
        required_or_flag = option.required or getattr(option, "is_flag", False)
        if required_or_flag or option.name in WITHOUT_DEFAULT:
            continue
        default = re.search(rf"{option.opts[0]} .*\[default: (.+)\]", result.stdout)
        assert default is not None, f"{option.opts[0]} shows no default"
        if option.default is not None:
            assert default[1] == str(option.default)


def test_messages_are_printed_once_and_warnings_go_to_standard_error(tmp_path):
    """Packages that a command imports may install handlers of their own."""
    script = (
        "import logging; from keras_faramtn import cli\n"
        "@cli.app.command()\n"
        "def talk():\n"
        "    logging.basicConfig(level=logging.DEBUG)\n"
        "    logger = logging.getLogger('keras_faramtn.some.module')\n"
        "    logger.info('progress'); logger.warning('problem'); logger.debug('detail')\n"
        "cli.app(['talk'])"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert (result.stdout, result.stderr) == ("progress\n", "problem\n")


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.keras"
    small_network(recipe().model, (*SIZE, 3)).save(path)
    return path


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces") / "faces"
    return synthesize(folder, 30, image_size=(60, 48), progress=False)


def test_check_reports_the_content_of_a_data_set(faces):
    result = _in_this_process("data", "check", faces)
    assert result.exit_code == 0
    assert "30 images: 24 train, 3 validation, 3 test." in result.stdout
    for attribute in CELEBA_ATTRIBUTES:
        assert attribute in result.stdout


def test_a_bad_image_stops_the_check_unless_it_is_skipped(tmp_path):
    folder = write_celeba(tmp_path / "celeba", random_labels(8), [0] * 5 + [1] * 2 + [2])
    image = folder / "img_align_celeba" / "000003.jpg"
    image.write_bytes(image.read_bytes()[:200])
    (folder / "img_align_celeba" / "000005.jpg").unlink()
    _fails(_faramtn("data", "check", folder), "line 5", "000003.jpg", "line 7", "000005.jpg")
    result = _in_this_process("data", "check", folder, "--skip-bad")
    assert result.exit_code == 0
    assert "2 problems; continuing with 6 images." in result.stderr


def test_evaluate_writes_scores_and_a_contact_sheet(model_file, faces, tmp_path):
    to = tmp_path / "scores"
    result = _faramtn("evaluate", model_file, "--data", faces, "--split", "train", "--to", to)
    assert result.returncode == 0, result.stderr
    metrics = json.loads((to / "metrics.json").read_text())
    assert (metrics["images"], metrics["split"]) == (24, "train")
    assert set(metrics["attributes"]) == set(CELEBA_ATTRIBUTES)
    assert f"{100 * metrics['means']['accuracy']:.1f}" in result.stdout
    assert min(Image.open(to / "contact_sheet.png").size) > 500
    again = _in_this_process("evaluate", model_file, "--data", faces, "--to", to)
    assert again.exit_code == 1
    assert "scores: it already exists" in again.output


def test_evaluate_applies_the_given_thresholds(model_file, faces, tmp_path):
    # No probability is above 1 and all are above 0, so accuracies follow from the labels.
    given = dict.fromkeys(CELEBA_ATTRIBUTES, 1.0) | {"Smiling": 0.0}
    file = tmp_path / "given.json"
    file.write_text(json.dumps({"chosen_thresholds": {"thresholds": given}}))
    to = tmp_path / "scores"
    options = ["--data", faces, "--split", "train", "--thresholds", file]
    result = _in_this_process("evaluate", model_file, *options, "--to", to)
    assert result.exit_code == 0, result.output
    scores = json.loads((to / "metrics.json").read_text())["attributes"]
    table = read_dataset(faces)
    rates = dict(zip(table.attributes, (table.split("train").labels > 0).mean(axis=0), strict=True))
    for attribute, rate in rates.items():
        expected = rate if attribute == "Smiling" else 1 - rate
        assert scores[attribute]["accuracy"] == pytest.approx(expected, abs=1e-6)
    assert 0 < rates["Smiling"] < 1
    del given["Bald"]
    file.write_text(json.dumps({"chosen_thresholds": {"thresholds": given}}))
    refused = _in_this_process("evaluate", model_file, *options, "--to", tmp_path / "none")
    assert refused.exit_code == 1
    assert f"{file}: there is no threshold for Bald" in refused.output


@pytest.mark.slow
def test_demo_trains_evaluates_exports_and_predicts(tmp_path):
    result = _faramtn("demo", "--to", tmp_path / "demo", "--count", "100")
    assert result.returncode == 0, result.stderr
    written = {path.name for path in (tmp_path / "demo").iterdir()}
    assert written >= {
        "model.keras",
        "metrics.json",
        "training_curve.png",
        "contact_sheet.png",
        "recipe.yaml",
    }
    metrics = json.loads((tmp_path / "demo" / "metrics.json").read_text())
    assert (metrics["images"], metrics["split"]) == (10, "test")
    assert "synthetic" in metrics["data"]
    assert len(list((tmp_path / "demo" / "export").rglob("*.tflite"))) == 1
    predicted = [line for line in result.stdout.splitlines() if ".jpg: " in line]
    assert len(predicted) == 3
