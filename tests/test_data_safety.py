"""Files of the user are kept, whatever a command is told to write to."""

import ctypes
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import random_labels, write_celeba
from killable import run_train
from small_network import GROUPS, SIZE, recipe, small_network
from typer.testing import CliRunner

from keras_faramtn.callbacks.checkpoint import Checkpoint
from keras_faramtn.cli import app
from keras_faramtn.data import cache
from keras_faramtn.data.readers.celeba import read_celeba
from keras_faramtn.errors import InputError
from keras_faramtn.experiments.compare import run_comparison
from keras_faramtn.experiments.run import train_recipe
from keras_faramtn.inference.output_file import write_predictions
from keras_faramtn.locks import output_lock
from keras_faramtn.synthetic.dataset import synthesize

REPOSITORY = Path(__file__).parents[1]
TFLITE = REPOSITORY / "saved_models/small_synthetic/tflite/faramtn_float32.tflite"
IMAGES = REPOSITORY / "saved_models/faces"

RECIPE = {
    "data": {"image_size": [32, 40]},
    "model": {"backbone": "mobilenetv3_small", "groups": GROUPS},
    "training": {"epochs": 2, "batch_size": 8},
}
COMPARISON = RECIPE | {"variants": {"a": {}, "b": {}}, "seeds": [1], "against": ["a"]}


def _content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def project(tmp_path):
    """A folder of the user, with files that have the names of this package's."""
    folder = tmp_path / "project"
    folder.mkdir()
    for name in ("model.keras", "history.csv", "comparison.md", "checkpoint.keras"):
        (folder / name).write_text("mine")
    (folder / "recipe.yaml").write_text("# my comment\n" + yaml.safe_dump(RECIPE))
    (folder / "comparison.yaml").write_text("# my comment\n" + yaml.safe_dump(COMPARISON))
    return folder


def test_a_folder_with_a_recipe_of_the_user_is_no_earlier_run(project, tmp_path):
    before = _content(project)
    with pytest.raises(InputError, match=r"project: it already exists, and is not the folder of a"):
        train_recipe(project / "recipe.yaml", tmp_path, project)
    with pytest.raises(InputError, match=r"project: it already exists, and is not the folder of a"):
        run_comparison(project / "comparison.yaml", tmp_path, project)
    assert _content(project) == before


def test_comments_in_the_recipe_of_a_run_are_kept_when_it_resumes(tmp_path):
    write_celeba(tmp_path / "faces", random_labels(24), [0] * 16 + [1] * 8)
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(RECIPE))

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "on_train_batch_end", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run_train(tmp_path / "run")
    recipe = tmp_path / "run" / "recipe.yaml"
    commented = f"# my comment\n{recipe.read_text()}"
    recipe.write_text(commented)
    run_train(tmp_path / "run")
    assert recipe.read_text() == commented
    assert (tmp_path / "run" / "metrics.json").exists()


def _predictions(count):
    for number in range(count):
        yield Path(f"{number}.jpg"), {"Smiling": 0.5}
    raise InputError("the rest can't be read.")


def test_partial_predictions_are_never_overwritten(tmp_path, caplog):
    (tmp_path / "a.csv.part").write_text("mine")
    for count in (3, 1, 0):
        with pytest.raises(InputError, match="the rest can't be read"):
            write_predictions(tmp_path / "a.csv", _predictions(count))
    write_predictions(tmp_path / "a.csv", [(Path("0.jpg"), {"Smiling": 0.5})])
    lines = {path.name: len(path.read_text().splitlines()) for path in tmp_path.iterdir()}
    assert lines == {"a.csv.part": 1, "a.csv.part2": 4, "a.csv.part3": 2, "a.csv": 2}
    assert (tmp_path / "a.csv.part").read_text() == "mine"
    assert f"The predictions made until then are in {tmp_path / 'a.csv.part2'}" in caplog.text


def test_a_file_that_appears_while_predictions_are_written_is_kept(tmp_path):
    def predictions():
        yield Path("0.jpg"), {"Smiling": 0.5}
        (tmp_path / "a.csv").write_text("mine")

    with pytest.raises(InputError, match="it already exists"):
        write_predictions(tmp_path / "a.csv", predictions())
    assert (tmp_path / "a.csv").read_text() == "mine"
    assert (tmp_path / "a.csv.part").exists()


COMMANDS = {
    "train": ["{recipe}", "--data", "{folder}", "--to", "{output}"],
    "compare": ["{comparison}", "--data", "{folder}", "--to", "{output}"],
    "demo": ["--to", "{output}"],
    "data": ["synthesize", "{output}", "--count", "3"],
    "evaluate": ["{model}", "--data", "{folder}", "--to", "{output}"],
    "export": ["{model}", "--to", "{output}", "--format", "tflite_float32"],
    "predict": [str(TFLITE), str(IMAGES), "--output", "{output}"],
    "demo-page": [str(TFLITE), "--to", "{output}"],
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.keras"
    small_network(recipe().model, (*SIZE, 3)).save(path)
    return path


@pytest.mark.parametrize("command", COMMANDS)
def test_a_second_process_is_refused(project, tmp_path, model, command):
    output = tmp_path / "output.csv"
    if command in ("train", "compare", "demo", "evaluate"):
        output.mkdir()
    values = {
        "recipe": project / "recipe.yaml",
        "comparison": project / "comparison.yaml",
        "folder": tmp_path,
        "output": output,
        "model": model,
    }
    arguments = [argument.format(**values) for argument in COMMANDS[command]]
    with output_lock(output):
        before = sorted(tmp_path.rglob("*"))
        result = CliRunner().invoke(app, [command, *arguments])
        assert sorted(tmp_path.rglob("*")) == before
    assert result.exit_code != 0
    assert f"{output}: another process is writing to it" in result.output


@pytest.fixture
def mount(tmp_path):
    """A mount point with 1 MB."""
    folder = tmp_path / "mount"
    folder.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    path = os.fsencode(folder)
    if os.getuid() != 0 or libc.mount(b"none", path, b"tmpfs", 0, b"size=1m") != 0:
        pytest.skip("only root can mount")
    yield folder
    assert libc.umount(path) == 0


def test_a_mount_point_is_written(mount):
    synthesize(mount, 3, image_size=(32, 32), progress=False)
    assert len(read_celeba(mount)) == 3
    assert sorted(path.name for path in mount.iterdir()) == ["Anno", "Eval", "Img"]


def test_a_disk_that_fills_while_images_are_decoded_gives_an_error(mount, tmp_path, monkeypatch):
    monkeypatch.setattr(
        cache.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9**9, 0, 9**9)
    )
    paths = [tmp_path / f"{number}.jpg" for number in range(20)]
    for path in paths:
        path.write_bytes(b"")
    batches = (np.zeros((1, 200, 200, 3), "uint8") for _ in paths)
    with pytest.raises(InputError, match=r"can't be stored there: .*No space left on device"):
        cache.cached_images(paths, (200, 200), mount, lambda: batches)
    assert list(mount.iterdir()) == []


def test_a_link_to_an_empty_folder_is_written(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "faces").symlink_to("disk")
    synthesize(tmp_path / "faces", 3, image_size=(32, 32), progress=False)
    assert len(read_celeba(tmp_path / "disk")) == 3
    assert (tmp_path / "faces").readlink() == Path("disk")
