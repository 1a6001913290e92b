"""Commands in unusual surroundings: streams, home folder, settings of other packages, paths."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_network import SIZE, recipe, small_network
from typer.testing import CliRunner

from keras_faramtn.cli import app
from keras_faramtn.models import inference_model
from keras_faramtn.synthetic.dataset import synthesize

ROOT = Path(__file__).parents[1]
EXPORTED = ROOT / "saved_models" / "small_synthetic" / "tflite" / "faramtn_float32.tflite"
FACES = ROOT / "saved_models" / "faces"
FACE = FACES / "000001.jpg"
COMMAND = [sys.executable, "-m", "keras_faramtn"]
WITHOUT_HOME = """
import os, pwd
def unknown(uid):
    raise KeyError(uid)
pwd.getpwuid = unknown
from keras_faramtn.cli import main
main()
"""


def _run(*arguments, command=COMMAND, folder=None, **variables):
    """Runs a command; a variable that is None is removed from the environment."""
    environment = {**os.environ, **variables}
    return subprocess.run(
        [*command, *map(str, arguments)],
        capture_output=True,
        cwd=folder,
        env={name: value for name, value in environment.items() if value is not None},
        check=False,
    )


def _succeeds(result):
    assert result.returncode == 0, result.stderr.decode()


def _is_refused(result, *words):
    message = result.stderr.decode()
    assert result.returncode == 1
    assert message.startswith("faramtn: ")
    for word in words:
        assert word in message


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A data set `faces`, a network `model.keras`, and the same for inference, `inference.keras`.

    The folder's name is one that TensorFlow and the shell take for a pattern.
    """
    folder = tmp_path_factory.mktemp("data") / "a [1] ?*"
    folder.mkdir()
    synthesize(folder / "faces", 20, image_size=(40, 32), progress=False)
    model = small_network(recipe().model, (*SIZE, 3))
    model.save(folder / "model.keras")
    inference_model(model).save(folder / "inference.keras")
    return folder


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_name_that_the_output_cannot_encode_is_printed_with_replacements(encoding, tmp_path):
    name = tmp_path / "写真.jpg"
    name.write_bytes(FACE.read_bytes())
    result = _run("predict", EXPORTED, name, FACE, PYTHONIOENCODING=encoding)
    _succeeds(result)
    first, second = result.stdout.decode("ascii").splitlines()
    assert first.startswith(f"{tmp_path}/??.jpg: ")
    assert second.startswith(f"{FACE}: ")


@pytest.mark.parametrize("closed", [1, 2])
def test_a_closed_stream_is_an_error_without_a_traceback(closed):
    shell = ["sh", "-c", f'"$@" {closed}>&-', "sh"]
    result = _run("predict", EXPORTED, FACE, command=[*shell, *COMMAND])
    assert result.returncode == 1
    assert result.stdout == b""
    expected = b"faramtn: standard output is closed; redirect it to a file, or to /dev/null.\n"
    assert result.stderr == (expected if closed == 1 else b"")


def test_a_reader_that_has_gone_away_ends_the_command_quietly():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        result = subprocess.run(
            [*COMMAND, "predict", str(EXPORTED), str(FACES)],
            stdout=pipe,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (result.returncode, result.stderr) == (1, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_standard_output_is_reported():
    with Path("/dev/full").open("wb") as full:
        result = subprocess.run(
            [*COMMAND, "predict", str(EXPORTED), str(FACE)],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (result.returncode, result.stderr) == (1, b"faramtn: No space left on device\n")


def test_ctrl_c_is_one_line_and_status_130(tmp_path):
    process = subprocess.Popen(
        [*COMMAND, "data", "synthesize", str(tmp_path / "faces"), "--count", "100000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    while not any(tmp_path.rglob("*.jpg")):
        time.sleep(0.05)
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, b"", b"faramtn: interrupted.\n")
    assert not (tmp_path / "faces").exists()


def test_debug_is_accepted_before_and_after_the_command():
    command = ["predict", EXPORTED, "nowhere"]
    for arguments in (["--debug", *command], [*command, "--debug"]):
        result = _run(*arguments)
        assert result.returncode == 1
        assert result.stderr.startswith(b"Traceback (most recent call last):")
        assert b"\nfaramtn: nowhere: there is no such image or folder" in result.stderr


def test_a_home_folder_is_found_where_no_shell_looked_for_it(tmp_path):
    (tmp_path / "face.jpg").write_bytes(FACE.read_bytes())
    result = _run("predict", EXPORTED, "~/face.jpg", "--output=~/a.csv", HOME=str(tmp_path))
    _succeeds(result)
    assert (tmp_path / "a.csv").read_text().splitlines()[1].startswith(f"{tmp_path}/face.jpg,")


def test_names_with_dashes_slashes_and_blanks(tmp_path):
    for name in ("-x.jpg", "a b.jpg", "[1].jpg", "*.jpg"):
        (tmp_path / name).write_bytes(FACE.read_bytes())
    names = ["--", f"{EXPORTED}", "-x.jpg", "a b.jpg", "[1].jpg", "*.jpg", f"{tmp_path}/"]
    result = _run("predict", *names, folder=tmp_path)
    _succeeds(result)
    assert len(result.stdout.splitlines()) == 8


def test_evaluate_with_the_backend_of_a_notebook_without_home_or_writable_folders(folder, tmp_path):
    result = _run(
        "evaluate",
        folder / "model.keras",
        "--data",
        folder / "faces",
        "--split",
        "train",
        "--to",
        tmp_path / "x[1]",
        command=[sys.executable, "-c", WITHOUT_HOME],
        folder=tmp_path,
        HOME=None,
        XDG_CACHE_HOME=None,
        XDG_CONFIG_HOME=None,
        MPLBACKEND="module://matplotlib_inline_which_is_missing.backend_inline",
        MPLCONFIGDIR="/proc/nothing",
        KERAS_HOME="/proc/nothing",
    )
    _succeeds(result)
    written = {path.name for path in (tmp_path / "x[1]").iterdir()}
    assert {"metrics.json", "contact_sheet.png"} <= written
    assert not (tmp_path / "~").exists()
    assert b"\r" not in result.stdout + result.stderr
    assert b"\x1b" not in result.stdout + result.stderr


def test_a_model_for_inference_is_evaluated_and_predicts(folder, tmp_path):
    def run(*arguments):
        # The command sets these variables; here they are restored after it.
        variables = {"MPLBACKEND": "agg", "KERAS_BACKEND": "tensorflow"}
        result = CliRunner().invoke(app, list(map(str, arguments)), env=variables)
        assert result.exit_code == 0, result.output
        return result.stdout

    face = next((folder / "faces").rglob("*.jpg"))
    network = run("predict", folder / "model.keras", face)
    assert run("predict", folder / "inference.keras", face) == network
    assert str(face) in network
    scores = []
    for name in ("model", "inference"):
        options = ["--data", folder / "faces", "--split", "train", "--to", tmp_path / name]
        run("evaluate", folder / f"{name}.keras", *options)
        scores.append(json.loads((tmp_path / name / "metrics.json").read_text())["attributes"])
    assert scores[0] == scores[1]


def test_export_uses_tensorflow_whatever_backend_is_set(folder, tmp_path):
    result = _run(
        "export",
        folder / "inference.keras",  # other tests export networks with outputs by group
        "--to",
        tmp_path / "x[1]",
        "--format",
        "saved_model",
        "--format",
        "tflite_float32",
        KERAS_BACKEND="jax",
        TMPDIR=str(folder),
    )
    _succeeds(result)
    assert (tmp_path / "x[1]" / "saved_model" / "1" / "saved_model.pb").is_file()
    assert len(list((tmp_path / "x[1]" / "tflite").iterdir())) == 1


@pytest.mark.parametrize(
    "settings",
    ['{"floatx": "float99"}', "[1]", '{"backend": "no"}', '{"image_data_format": "no"}'],
)
def test_bad_settings_of_keras_are_explained(settings, folder, tmp_path):
    (tmp_path / "keras.json").write_text(settings)
    result = _run("predict", folder / "model.keras", FACE, KERAS_HOME=str(tmp_path))
    _is_refused(result, "Keras can't be imported", f"{tmp_path}/keras.json")


def test_a_backend_that_does_not_exist_or_is_not_installed_is_explained(folder):
    options = ["evaluate", folder / "model.keras", "--data", folder / "faces"]
    _is_refused(_run(*options, KERAS_BACKEND="nonsense"), "KERAS_BACKEND, which is nonsense")
    missing = "import sys; sys.modules['jax'] = None; from keras_faramtn.cli import main; main()"
    result = _run(*options, command=[sys.executable, "-c", missing], KERAS_BACKEND="jax")
    _is_refused(result, "KERAS_BACKEND, which is jax")


def test_keras_settings_do_not_matter_without_keras(tmp_path):
    (tmp_path / "keras.json").write_text("[1]")
    settings = {"KERAS_HOME": str(tmp_path), "KERAS_BACKEND": "nonsense"}
    _succeeds(_run("predict", EXPORTED, FACE, **settings))


def test_demo_page_takes_a_file_of_the_current_folder(tmp_path):
    (tmp_path / "T.tflite").write_bytes(EXPORTED.read_bytes())
    result = _run("demo-page", "T.tflite", "--to", "page[1]", folder=tmp_path)
    if b"can't be downloaded" in result.stderr:
        pytest.skip("LiteRT.js can't be downloaded")
    _succeeds(result)
    assert (tmp_path / "page[1]" / "T.tflite").is_file()
