"""Commands that are killed at random moments, and two at the same time."""

import csv
import json
import multiprocessing
import random
import re
import time
import zipfile
from multiprocessing import forkserver
from pathlib import Path

import pytest
from killable import EPOCHS, FACES, PREDICTIONS, prepare, run, run_train

from keras_faramtn.atomic_files import TEMPORARY_PREFIX, atomic_folder
from keras_faramtn.callbacks.checkpoint import read_state
from keras_faramtn.data.readers.celeba import read_celeba
from keras_faramtn.errors import InputError
from keras_faramtn.models import load_model
from keras_faramtn.ownership import refuse_other_files

pytestmark = pytest.mark.slow

KILLS = 5


@pytest.fixture(scope="module")
def processes():
    """Starts processes that have imported everything, so that kills hit the command."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["killable"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        forkserver.ensure_running()
    first = context.Process(target=time.sleep, args=(0,))  # begins when everything is imported
    first.start()
    first.join()
    return context


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed")
    prepare(folder)
    run_train(folder / "run")
    (folder / "run" / "model.keras").rename(folder / "model.keras")
    return folder


def _start(processes, command, target):
    process = processes.Process(target=run, args=(command, target))
    process.start()
    return process


def _finish(processes, command, target):
    started = time.monotonic()
    process = _start(processes, command, target)
    process.join(120)
    assert process.exitcode == 0
    return time.monotonic() - started


def _kill_at_random_moments(processes, command, target, seconds, check):
    """Runs a command `KILLS` times; returns how often it was killed before it ended."""
    moments, killed = random.Random(command), 0
    for _ in range(KILLS):
        process = _start(processes, command, target)
        process.join(moments.uniform(0.1, 1) * seconds)
        process.kill()
        process.join()
        killed += process.exitcode == -9
        check()
    return killed


def _no_temporary_files(folder):
    return not list(folder.rglob(f"{TEMPORARY_PREFIX}*"))


def test_a_killed_synthesize_leaves_all_faces_or_none(processes, tmp_path):
    seconds = _finish(processes, "synthesize", tmp_path / "warm")
    target = tmp_path / "faces"

    def check():
        if target.exists():
            assert len(read_celeba(target)) == FACES
            target.rename(tmp_path / f"complete_{time.monotonic_ns()}")

    killed = _kill_at_random_moments(processes, "synthesize", target, seconds, check)
    assert killed >= KILLS // 2
    _finish(processes, "synthesize", target)
    check()
    assert _no_temporary_files(tmp_path)


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_killed_predict_changes_no_earlier_file(processes, tmp_path, suffix):
    seconds = _finish(processes, "predict", tmp_path / f"warm.{suffix}")
    target = tmp_path / f"out.{suffix}"
    (tmp_path / f"out.{suffix}.part").write_text("mine")
    earlier = {f"out.{suffix}.part": b"mine"}

    def check():
        if target.exists():
            lines = target.read_text().splitlines()
            assert len(lines) == PREDICTIONS + (suffix == "csv")
            target.rename(tmp_path / f"complete_{time.monotonic_ns()}")
        present = {path.name: path.read_bytes() for path in tmp_path.glob("*.part*")}
        assert earlier.items() <= present.items()
        earlier.update(present)

    killed = _kill_at_random_moments(processes, "predict", target, seconds, check)
    assert killed >= KILLS // 2
    _finish(processes, "predict", target)
    check()
    assert _no_temporary_files(tmp_path)


def test_a_killed_export_keeps_the_earlier_one(processes, prepared):
    target = prepared / "export"
    _finish(processes, "export", target)
    seconds = _finish(processes, "replace", target)

    def check():
        with pytest.raises(InputError, match="it already exists"), atomic_folder(target):
            pass
        refuse_other_files(target, "export")  # all files are there, with their digests
        assert len(json.loads((target / ".keras_faramtn.json").read_text())["files"]) == 6

    killed = _kill_at_random_moments(processes, "replace", target, seconds, check)
    assert killed >= KILLS // 2
    _finish(processes, "replace", target)
    check()
    assert _no_temporary_files(prepared)


def test_a_killed_train_resumes(processes, prepared):
    target = prepared / "killed"
    epochs = [0]

    def check():
        if (target / "checkpoint.keras").exists():
            epochs.append(read_state(target / "checkpoint.keras")["epochs_done"])
        for path in target.glob("*.keras"):
            with zipfile.ZipFile(path) as archive:
                assert archive.testzip() is None
        if (target / "history.csv").exists():
            with (target / "history.csv").open() as file:
                assert [row["epoch"] for row in csv.DictReader(file)] == list(
                    map(str, range(epochs[-1]))
                )[: epochs[-1]]
        if (target / "metrics.json").exists():
            json.loads((target / "metrics.json").read_text())
            target.rename(prepared / f"complete_{time.monotonic_ns()}")
            epochs.append(0)

    seconds = _finish(processes, "train", prepared / "warm")
    killed = _kill_at_random_moments(processes, "train", target, seconds, check)
    assert killed >= KILLS // 2
    if not (target / "metrics.json").exists():
        _finish(processes, "train", target)
    assert read_state(target / "checkpoint.keras")["epochs_done"] == EPOCHS
    load_model(target / "model.keras")
    assert _no_temporary_files(target)


@pytest.mark.parametrize("command", ["synthesize", "predict", "train", "export"])
def test_one_of_two_simultaneous_commands_is_refused(processes, prepared, command):
    target = prepared / f"twice_{command}.csv"
    both = [_start(processes, command, target) for _ in range(2)]
    for process in both:
        process.join(120)
    assert sorted(process.exitcode for process in both) == [0, 1]
    [refused] = prepared.glob("refused_*.txt")
    assert str(target) in refused.read_text()
    # Or the first has ended before the second looks.
    assert re.search("another process is writing|already exists|is finished", refused.read_text())
    refused.unlink()
    assert target.exists()
    assert _no_temporary_files(prepared)
