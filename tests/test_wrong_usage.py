"""Wrong command lines: each ends with one clear message and a non-zero exit status."""

import shutil
import sys
from pathlib import Path

import pytest
import typer
from small_network import SIZE, recipe, small_network

from keras_faramtn import cli
from keras_faramtn.synthetic.dataset import synthesize

ROOT = Path(__file__).parents[1]
LONG = "x" * 300


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    """A data set D, a model M.keras, an exported file T.tflite, and files of other kinds."""
    folder = tmp_path_factory.mktemp("examples")
    synthesize(folder / "D", 10, image_size=(40, 32), progress=False)
    small_network(recipe().model, (*SIZE, 3)).save(folder / "M.keras")
    exported = ROOT / "saved_models" / "small_synthetic" / "tflite" / "faramtn_float32.tflite"
    shutil.copy(exported, folder / "T.tflite")
    shutil.copy(ROOT / "saved_models" / "faces" / "000001.jpg", folder / "P.jpg")
    (folder / "empty").mkdir()
    content = {
        "text.txt": "nothing special",
        "text.keras": "nothing special",
        "text.tflite": "nothing special",
        "text.onnx": "nothing special",
        "text.csv": "nothing special",
        "text.jpg": "nothing special",
        "text.json": "nothing special",
        "text.yaml": "nothing special",
        "list.yaml": "[1, 2]",
        "empty.yaml": "",
        "broken.yaml": "data: {",
        "typo.yaml": "trainning: {epochs: 1}",
        "type.yaml": "training: {epochs: many}",
        "empty.json": "{}",
    }
    for name, text in content.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def run(examples, monkeypatch, capsys):
    """Runs a command in the folder of the examples; returns its exit status and standard error."""
    monkeypatch.chdir(examples)
    for name, value in {"MPLBACKEND": "agg", "KERAS_BACKEND": "tensorflow"}.items():
        monkeypatch.setenv(name, value)  # as the command does, but only during the test
    monkeypatch.setenv("COLUMNS", "500")

    def run(arguments):
        monkeypatch.setattr(sys, "argv", ["faramtn", *arguments])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code, capsys.readouterr().err

    return run


def _commands(group, names=()):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, (*names, name))
        else:
            yield [*names, name], command


def _misspelt():
    """For every command: an unknown option, no arguments, too many, and options without a value."""
    for names, command in _commands(typer.main.get_command(cli.app)):
        yield [*names, "--nonsense"]
        yield [*names, "-z", "P.jpg"]
        if any(parameter.required for parameter in command.params):
            yield names
        arguments = [each for each in command.params if each.param_type_name == "argument"]
        if not any(argument.nargs == -1 for argument in arguments):
            yield [*names, *["P.jpg"] * (len(arguments) + 1)]
        for option in command.params:
            if option.param_type_name == "option" and not option.is_flag:
                yield [*names, *["P.jpg"] * len(arguments), option.opts[0]]


# The command line, and what the message contains.
WRONG = """
typo | No such command
data typo | No such command
--nonsense | No such option
--debug | Missing command
data check nowhere | nowhere: there is no such file or folder
data check text.txt | text.txt
data check text.csv | text.csv
data check empty | empty
data check M.keras | M.keras
data check D/list_attr_celeba.txt | list_attr_celeba.txt
data synthesize new --count 0 | --count
data synthesize new --count -1 | --count
data synthesize new --count many | --count
data synthesize new --height 31 | --height
data synthesize new --height 1025 | --height
data synthesize new --width 1e2 | --width
data synthesize new --seed -1 | --seed
data synthesize new --seed 1.5 | --seed
data synthesize D --count 1 | D: it already exists
data synthesize text.txt --count 1 | text.txt
data synthesize text.txt/new --count 1 | text.txt
data synthesize /proc/new --count 1 | /proc/new
data synthesize LONG --count 1 | name too long
train nowhere.yaml | nowhere.yaml: there is no such recipe
train nowhere | nowhere: there is no such recipe
train LONG --data D | name too long
train D --data D | D
train P.jpg --data D | P.jpg
train text.yaml --data D | text.yaml
train list.yaml --data D | list.yaml
train empty.yaml --data D | empty.yaml: a recipe must have
train broken.yaml --data D | broken.yaml
train typo.yaml --data D | trainning
train type.yaml --data D | training.epochs
train crops_quick | data.folder is not set
train crops_quick --data nowhere | nowhere
train crops_quick --data empty | this is not a supported data set; looked for
train crops_quick --data text.csv | text.csv
train crops_quick --data P.jpg | P.jpg
train crops_quick --data D --to D | D:
train crops_quick --data D --to text.txt | text.txt
train crops_quick --data D --to text.txt/new | text.txt
train crops_comparison --data D | crops_comparison
compare nowhere.yaml | nowhere.yaml
compare crops_quick --data D | crops_quick
compare text.yaml --data D | text.yaml
compare list.yaml --data D | list.yaml
compare empty.yaml --data D | empty.yaml
compare crops_comparison | data.folder is not set
compare crops_comparison --data nowhere | nowhere
compare crops_comparison --data D --to D | D:
compare crops_comparison --data D --to text.txt | text.txt
evaluate M.keras | --data
evaluate nowhere.keras --data D | nowhere.keras: no such model file
evaluate D --data D | a model for prediction is a .keras, .tflite or .onnx file
evaluate text.keras --data D | text.keras: not a Keras model
evaluate text.tflite --data D | text.tflite: not a TFLite file
evaluate T.tflite --data empty | empty
evaluate T.tflite --data D --thresholds empty.json | chosen_thresholds
evaluate http:// --data D | http://
evaluate M.keras --data nowhere | nowhere
evaluate M.keras --data empty | empty
evaluate M.keras --data D --split testing | unknown split 'testing'
evaluate M.keras --data D --to D | D: it already exists
evaluate M.keras --data D --to text.txt | text.txt
evaluate M.keras --data D --to text.txt/new | text.txt
evaluate M.keras --data D --thresholds nowhere.json | nowhere.json
evaluate M.keras --data D --thresholds text.json | text.json
evaluate M.keras --data D --thresholds empty.json | chosen_thresholds
evaluate M.keras --data D --thresholds D | D
predict T.tflite | IMAGES
predict P.jpg | IMAGES
predict P.jpg P.jpg | a .keras, .tflite or .onnx file
predict D P.jpg | a .keras, .tflite or .onnx file
predict nowhere.tflite P.jpg | nowhere.tflite: no such model file
predict nowhere.keras P.jpg | nowhere.keras: no such model file
predict text.tflite P.jpg | text.tflite: not a TFLite file
predict text.keras P.jpg | text.keras: not a Keras model
predict T.tflite nowhere.jpg | nowhere.jpg: there is no such image
predict T.tflite text.jpg | text.jpg: this file can't be read as an image
predict T.tflite text.jpg --skip-bad | none of the 1 images can be used
predict T.tflite empty | empty: there is no image
predict T.tflite LONG | name too long
predict T.tflite P.jpg --output new.txt | .csv or .jsonl
predict T.tflite P.jpg --output text.csv | text.csv: it already exists
predict T.tflite P.jpg --output nowhere/new.csv | there is no folder nowhere
predict T.tflite P.jpg --output new.csv --thresholds empty.json | --thresholds
predict T.tflite P.jpg --thresholds nowhere.json | nowhere.json
predict T.tflite P.jpg --thresholds empty.json | chosen_thresholds
predict ftp://host/x P.jpg | ftp://host/x
predict nonsense P.jpg | nonsense: a model for prediction
predict model.h5 P.jpg | model.h5: a model for prediction is
predict nowhere.onnx P.jpg | nowhere.onnx: no such model file
predict text.onnx P.jpg | text.onnx: not an ONNX file
predict http:// P.jpg | http://
predict http://127.0.0.1:1/v1/models/m P.jpg --timeout 0.2 | 127.0.0.1:1
predict http://127.0.0.1:99999/v1/models/m P.jpg | 99999
predict http://127.0.0.1:1/v1/models/m nowhere.jpg | nowhere.jpg
predict http://127.0.0.1:1/v1/models/m P.jpg --timeout 0 | --timeout
predict http://127.0.0.1:1/v1/models/m P.jpg --timeout soon | --timeout
export M.keras | --to
export nowhere.keras --to new | nowhere.keras: no such model file
export T.tflite --to new | T.tflite: not a Keras model
export text.keras --to new | text.keras: not a Keras model
export M.keras --to new --format nonsense | nonsense
export M.keras --to new --format tflite_float32 --format nonsense | nonsense
export M.keras --to new --faces nowhere | nowhere
export M.keras --to new --faces empty | empty: there is no image
export M.keras --to new --faces text.jpg | text.jpg
export M.keras --to new --calibrate nowhere | nowhere
export M.keras --to D --format tflite_float32 | D: it already exists
export M.keras --to D --format tflite_float32 --force | D:
export M.keras --to text.txt --format tflite_float32 --force | text.txt
demo-page nowhere | nowhere: no such export
demo-page M.keras | M.keras: the page runs a .tflite file
demo-page nowhere.tflite | nowhere.tflite: no such export
demo-page text.tflite | text.tflite: not a TFLite file
demo-page D | D: there is no float .tflite file
demo-page T.tflite --to D | D: it already exists
demo-page T.tflite --to text.txt | text.txt
demo --count 99 | --count
demo --to D | D:
demo --to text.txt | text.txt
"""
EXPLAINED = [line.split(" | ") for line in WRONG.strip("\n").splitlines()]


def _check(status, error):
    assert status in (1, 2)
    assert error.strip()
    assert "Traceback" not in error
    assert "probably a bug" not in error
    if status == 1:
        assert error.count("faramtn: ") == 1
    else:
        assert error.count("─ Error ─") == 1


@pytest.mark.parametrize("arguments", _misspelt(), ids=" ".join)
def test_a_misspelt_command_is_a_usage_error(arguments, run):
    status, error = run(arguments)
    _check(status, error)
    assert status == 2


@pytest.mark.parametrize(("line", "message"), EXPLAINED, ids=[line for line, _ in EXPLAINED])
def test_an_impossible_command_is_explained_and_writes_nothing(line, message, run, examples):
    before = _files(examples)
    status, error = run([LONG if word == "LONG" else word for word in line.split()])
    _check(status, error)
    assert message in error
    assert _files(examples) == before


def _files(folder):
    """All files except those in a folder of `compare`, which prepares it before it reads data."""
    files = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    return {path for path in files if path.parts[0] != "runs"}
