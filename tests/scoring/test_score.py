import dataclasses
import importlib.util
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

# Ray itself is imported later: it reads its settings from the environment when it is imported.
pytest.importorskip("pyarrow", reason="needs the extra ray")
if importlib.util.find_spec("ray") is None:
    pytest.skip("needs the extra ray", allow_module_level=True)

import pyarrow.parquet as pq
from scenes import DRAWN_FRAMING, compose
from scoring.sources import write_parquet, write_tar, write_tfrecord

from keras_faramtn.attributes import CELEBA_ATTRIBUTES
from keras_faramtn.cli import main
from keras_faramtn.data.images import load_upright
from keras_faramtn.errors import InputError, ServerError
from keras_faramtn.faces.detector import FaceDetector
from keras_faramtn.framing import BOX_FRAMING, CELEBA_FRAMING
from keras_faramtn.inference.loading import load_predictor
from keras_faramtn.locks import output_lock
from keras_faramtn.scoring import score
from keras_faramtn.scoring.cluster import run_on_ray
from keras_faramtn.scoring.score import score_images
from keras_faramtn.scoring.table import ScoringSummary

SAVED_MODELS = Path(__file__).parents[2] / "saved_models"
MODEL = SAVED_MODELS / "small_synthetic" / "tflite" / "faramtn_float32.tflite"
FACES = sorted((SAVED_MODELS / "faces").glob("*.jpg"))
# Nothing but this computer takes part.
LOOPBACK = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "disabled",
}
PHOTOGRAPHS = 30
SECONDS = 120  # the longest time to wait for anything


def _start(*arguments):
    command = [sys.executable, "-m", "keras_faramtn", "score", *map(str, arguments)]
    environment = {**os.environ, **LOOPBACK}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def _finish(process):
    output, errors = process.communicate(timeout=SECONDS)
    return process.returncode, output, errors


def _parts(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("part-*.parquet")}


def _wait_for_parts(folder, count, process):
    deadline = time.monotonic() + SECONDS
    while len(_parts(folder)) < count:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


@pytest.fixture
def cluster(monkeypatch):
    """A head node without processors, on the loopback address."""
    for name, value in LOOPBACK.items():
        monkeypatch.setenv(name, value)
    from ray.cluster_utils import Cluster

    options = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": 100 * 1024**2}
    cluster = Cluster(initialize_head=True, head_node_args=options)
    assert cluster.address.startswith("127.0.0.1:")
    yield cluster
    cluster.shutdown()


@pytest.mark.slow
def test_every_image_is_scored_once_though_the_driver_and_a_computer_are_killed(tmp_path, cluster):
    photographs, output = tmp_path / "photographs", tmp_path / "scores"
    photographs.mkdir()
    scene, _ = compose(3, (1200, 900), count=2, face_sizes=(200, 300), max_angle=10)
    scene.save(tmp_path / "scene.jpg")
    faces = len(FaceDetector().detect(load_upright(tmp_path / "scene.jpg")))
    assert faces >= 2
    for number in range(PHOTOGRAPHS):
        (photographs / f"{number:02}.jpg").symlink_to(tmp_path / "scene.jpg")
    options = {"detect": True, "address": cluster.address, "images_per_shard": 1}
    with pytest.raises(ServerError, match="the cluster has no processor"):
        score_images([photographs], MODEL, output, framing=CELEBA_FRAMING, **options)

    command = (photographs, "--model", MODEL, "--to", output, "--detect", "--framing", "celeba")
    command += ("--shard-size", 1, "--address", cluster.address)
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    driver = _start(*command)
    _wait_for_parts(output, 3, driver)
    with pytest.raises(InputError, match="another process is writing"):
        score_images([photographs], MODEL, output, framing=CELEBA_FRAMING, **options)
    driver.kill()
    _finish(driver)
    assert driver.returncode == -signal.SIGKILL
    earlier = _parts(output)
    assert 3 <= len(earlier) < PHOTOGRAPHS
    assert not (output / "_SUCCESS").exists()

    damaged = output / min(earlier)
    damaged.write_bytes(damaged.read_bytes()[:-100])
    driver = _start(*command)
    _wait_for_parts(output, len(earlier) + 3, driver)
    cluster.remove_node(nodes[0], allow_graceful=False)
    assert len(_parts(output)) < PHOTOGRAPHS
    status, message, errors = _finish(driver)
    assert status == 0, errors
    assert f"{PHOTOGRAPHS} images, {faces * PHOTOGRAPHS} faces and 0 errors" in message
    assert f"{damaged}: not a complete Parquet file" in errors

    later = _parts(output)
    del earlier[damaged.name]  # the others were not written again
    assert earlier.items() <= later.items()
    rows = pq.read_table(output).select(["key", "face", "error"]).to_pylist()
    found = sorted((Path(row["key"]).name, row["face"], row["error"]) for row in rows)
    assert found == [
        (f"{number:02}.jpg", face, None)
        for number in range(PHOTOGRAPHS)
        for face in range(1, faces + 1)
    ]
    assert (output / "_SUCCESS").exists()
    assert not list(output.glob(".keras_faramtn-*"))

    # A finished run needs no cluster, and belongs to its input and options.
    options["address"] = "127.0.0.1:1"
    again = score_images([photographs], MODEL, output, framing=CELEBA_FRAMING, **options)
    assert (again.images, again.faces, again.errors) == (PHOTOGRAPHS, faces * PHOTOGRAPHS, 0)
    assert _parts(output) == later
    with pytest.raises(InputError, match=r"another run \(framing"):
        score_images([photographs], MODEL, output, framing=BOX_FRAMING, **options)
    (photographs / "00.jpg").unlink()
    words = r"another run \(other input files, or changed ones; shards: found 30, expected 29\)"
    with pytest.raises(InputError, match=words):
        score_images([photographs], MODEL, output, framing=CELEBA_FRAMING, **options)


@pytest.mark.slow
def test_all_kinds_of_input_are_scored_on_this_computer(tmp_path):
    source = tmp_path / "in"
    (source / "files").mkdir(parents=True)
    contents = [face.read_bytes() for face in FACES]
    for face in FACES:
        shutil.copy(face, source / "files")
    (source / "files" / "broken.jpg").write_bytes(b"no image")
    write_tar(source / "a.tar", dict(zip("abcdef", contents, strict=True)))
    write_tar(source / "b.tar", {f"{n}.jpg": image for n, image in enumerate(contents)})
    write_tfrecord(source / "c.tfrecord", [{"image": image} for image in contents])
    (source / "d.tfrecord").write_bytes(b"not a record" * 100)
    write_parquet(source / "e.parquet", {"key": list("uvwxyz"), "image": contents})
    output = tmp_path / "scores"
    process = _start(source, "--model", MODEL, "--to", output, "--shard-size", 4)
    status, message, errors = _finish(process)
    assert status == 0, errors
    # The broken image, the tar archive whose files have no suffix, and what is no TFRecord file.
    assert "25 images, 24 faces and 3 errors" in message
    rows = pq.read_table(output).to_pylist()
    names = [Path(row["shard"] or "files").name + "/" + Path(row["key"] or "").name for row in rows]
    keys = {
        "files": [face.name for face in FACES] + ["broken.jpg"],
        "a.tar": [""],
        "b.tar": [f"{n}.jpg" for n in range(6)],
        "c.tfrecord": list("012345"),
        "d.tfrecord": [""],
        "e.parquet": list("uvwxyz"),
    }
    assert sorted(names) == sorted(f"{shard}/{key}" for shard in keys for key in keys[shard])
    smiling = {}
    for row in rows:
        shard = Path(row["shard"] or "files").name
        assert (row["error"] is None) == (row["Smiling"] is not None)
        if row["error"] is None:
            smiling.setdefault(shard, []).append(row["Smiling"])
    assert len(smiling) == 4
    assert all(values == smiling["files"] for values in smiling.values())


@pytest.fixture(scope="module")
def session():
    """A session of Ray that the caller of this package has opened, with two workers."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in LOOPBACK.items():
            environment.setenv(name, value)
        import ray

        options = {"include_dashboard": False, "object_store_memory": 100 * 1024**2}
        ray.init("local", num_cpus=2, log_to_driver=False, logging_level="ERROR", **options)
        yield ray
        ray.shutdown()


@pytest.mark.slow
def test_one_usable_image_is_enough(tmp_path, session, monkeypatch, capsys):
    source, damaged = tmp_path / "good.jpg", tmp_path / "damaged.tar"
    shutil.copy(FACES[0], source)
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no image")
    damaged.write_bytes(b"no archive" * 100)
    for number, (inputs, summary, status) in enumerate(
        (
            ([source, damaged], ScoringSummary(images=1, usable=1, faces=1, errors=1), 0),
            ([source, bad, damaged], ScoringSummary(images=2, usable=1, faces=1, errors=2), 0),
            ([bad, damaged], ScoringSummary(images=1, usable=0, faces=0, errors=2), 1),
        )
    ):
        output = tmp_path / f"scores{number}"
        assert score_images(inputs, MODEL, output) == summary
        # The command reads the numbers from the finished folder.
        command = ["faramtn", "score", *inputs, "--model", MODEL, "--to", output]
        monkeypatch.setattr(sys, "argv", list(map(str, command)))
        with pytest.raises(SystemExit) as end:
            main()
        assert (end.value.code or 0) == status
        printed = capsys.readouterr()
        assert f"{summary.images} images, {summary.faces} faces and" in printed.out
        assert ("no image could be used" in printed.err) == bool(status)


@pytest.mark.slow
def test_a_task_that_kills_its_worker_is_given_up_after_the_others(tmp_path, session):
    def run(task):
        (tmp_path / f"{task}-{time.time_ns()}").touch()
        deaths = {"always": 99, "twice": 2}.get(task, 0)
        if len(list(tmp_path.glob(f"{task}-*"))) <= deaths:
            os.kill(os.getpid(), signal.SIGKILL)
        return task.encode()

    context = session.data.DataContext.get_current()
    ray_data = logging.getLogger("ray.data")
    before = context.enable_progress_bars, ray_data.level
    results = run_on_ray(run, ["always", "never", "twice"])
    finished = [next(results) for _ in range(2)]
    assert sorted(finished) == [("never", b"never"), ("twice", b"twice")]
    with pytest.raises(ServerError, match=r"^always: its worker died 5 times .* memory"):
        next(results)
    counts = [len(list(tmp_path.glob(f"{task}-*"))) for task in ("always", "never", "twice")]
    assert counts == [5, 1, 3]
    # Nothing of the caller's session has changed.
    assert (context.enable_progress_bars, ray_data.level) == before
    assert session.is_initialized()


def test_images_that_are_no_face_crops_are_warned_of(tmp_path, monkeypatch, caplog):
    scene, _ = compose(3, (600, 400), count=2, face_sizes=(100, 120), max_angle=10)
    scene.save(tmp_path / "scene.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    tar = write_tar(tmp_path / "a.tar", {"scene.png": (tmp_path / "scene.png").read_bytes()})
    predictor = load_predictor(MODEL)
    framed = dataclasses.replace(
        predictor, record=dataclasses.replace(predictor.record, framing=DRAWN_FRAMING)
    )
    monkeypatch.setattr(score, "load_predictor", lambda path: framed)
    for inputs, warned in (
        ([tmp_path / "broken.png", tmp_path / "scene.png"], tmp_path / "scene.png"),
        ([tar], tar / "scene.png"),
        (FACES, None),
    ):
        caplog.clear()
        with pytest.raises(ServerError):  # after the check
            score_images(inputs, MODEL, tmp_path / "scores", address="127.0.0.1:1")
        expected = [f"{warned}: it shows 2 faces"] if warned else []
        assert [message.split(",")[0] for message in caplog.messages] == expected


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("127.0.0.1:1", "no Ray cluster can be reached there"),
        ("127.0.0.1:99999", "no Ray cluster can be reached there"),
        ("ray://127.0.0.1:1", "is HOST:PORT"),
        ("somewhere", "is HOST:PORT"),
    ],
)
def test_an_address_without_a_cluster_is_refused(tmp_path, address, message):
    with pytest.raises((InputError, ServerError), match=message) as caught:
        score_images(FACES, MODEL, tmp_path / "scores", address=address)
    assert address in str(caught.value)
    # The same folder can be used for another run.
    with pytest.raises((InputError, ServerError), match=message):
        score_images(FACES[:2], MODEL, tmp_path / "scores", address=address)


def test_models_inputs_and_folders_that_can_not_be_used_are_refused(tmp_path, monkeypatch):
    output = tmp_path / "scores"
    for model in ("model.keras", "export"):
        with pytest.raises(InputError, match="write one with `faramtn export`"):
            score_images(FACES, tmp_path / model, output)
    with pytest.raises(InputError, match=r"missing\.tflite"):
        score_images(FACES, tmp_path / "missing.tflite", output)
    with zipfile.ZipFile(MODEL) as archive:
        record_starts = min(entry.header_offset for entry in archive.infolist())
    (tmp_path / "without_record.tflite").write_bytes(MODEL.read_bytes()[:record_starts])
    (tmp_path / "labels.txt").write_text("\n".join(CELEBA_ATTRIBUTES))
    with pytest.raises(InputError, match="specify --framing"):
        score_images(FACES, tmp_path / "without_record.tflite", output, detect=True)
    with pytest.raises(InputError, match="no such file or folder"):
        score_images([tmp_path / "missing"], MODEL, output)
    with pytest.raises(InputError, match="choose a folder outside it"):
        score_images([FACES[0].parent], MODEL, FACES[0].parent / "scores")
    assert not output.exists()
    assert not (FACES[0].parent / "scores").exists()
    output.mkdir()
    (output / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="not the folder of a scoring run"):
        score_images(FACES, MODEL, output)
    (output / "notes.txt").unlink()
    with output_lock(output), pytest.raises(InputError, match="another process is writing"):
        score_images(FACES, MODEL, output)


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'keras-faramtn\[ray\]'"):
        score_images(FACES, MODEL, tmp_path / "scores")
