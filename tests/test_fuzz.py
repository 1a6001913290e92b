"""Damaged files and responses, reproducible by seeds, raise only clear errors, and quickly."""

import json
import shutil
import socketserver
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import tenacity
import yaml
from conftest import random_labels, write_celeba, write_csv_table
from lfwa import LABELS, SPLIT, write_hdf5, write_lfwa
from mutated import GOOD, mutate, mutations
from small_network import recipe, small_network

from keras_faramtn.attributes import CELEBA_ATTRIBUTES
from keras_faramtn.data.check import check_images
from keras_faramtn.data.images import load_image
from keras_faramtn.data.readers.dataset import read_dataset
from keras_faramtn.data.table import FaceTable
from keras_faramtn.errors import InputError, ServerError
from keras_faramtn.experiments.comparison_recipe import read_comparison_recipe
from keras_faramtn.experiments.recipe import packaged_recipes, read_recipe
from keras_faramtn.inference import serving_client
from keras_faramtn.inference.loading import load_predictor

SECONDS = 10  # for one call, on a busy machine
SIZE = (48, 36)
TFLITE = Path(__file__).parents[1] / "saved_models/small_synthetic/tflite/faramtn_int8.tflite"
ODD = (
    *("", "0", "-1", "2", "1.0", "nan", "9" * 5000, "0x" + "f" * 3000, "-", ",", '"', "'", "\t"),
    *("\0", "\r", "\x85", "\u2028", "é", "\ud7ff", "[" * 200, "{" * 200, "&a ", "*a", "!!float ''"),
    *("true", "null", "1e999", "..", "/", "~", "a: b", "- ", "? ", "<<: ", "2026-13-45", "%"),
)


def mutate_text(text, rng):
    """The bytes of `text` with odd words inserted, and in 30 % of the calls with random faults."""
    words = text.split(" ")
    for _ in range(rng.integers(1, 4)):
        word = str(rng.choice(ODD))
        position = int(rng.integers(len(words)))
        if rng.random() < 0.3:
            words[position] = word
        else:
            cut = int(rng.integers(len(words[position]) + 1))
            words[position] = words[position][:cut] + word + words[position][cut:]
    encoded = " ".join(words).encode()
    return mutate(encoded, rng) if rng.random() < 0.3 else encoded


def survives(function, seed):
    """Calls a function that may raise a clear error; returns whether it succeeded."""
    started = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of other packages, about damaged files
            function()
        valid, message = True, ""
    except (InputError, ServerError) as error:
        valid, message = False, str(error)
    except BaseException as error:
        raise AssertionError(f"seed {seed}: {type(error).__name__} escapes: {error}") from error
    assert time.perf_counter() - started < SECONDS, f"seed {seed}: {time.perf_counter() - started}"
    assert valid or message, f"seed {seed}: an error without a message"
    return valid


def _write_kaggle(folder):
    source = write_celeba(folder / "source", random_labels(6), [0, 0, 0, 1, 1, 2], size=(9, 9))
    shutil.move(source / "img_align_celeba", folder / "img_align_celeba")
    for name, skipped, header in (
        ("list_attr_celeba", 2, ",".join(["image_id", *CELEBA_ATTRIBUTES])),
        ("list_eval_partition", 0, "image_id,partition"),
    ):
        rows = (source / f"{name}.txt").read_text().splitlines()[skipped:]
        lines = [header, *(",".join(row.split()) for row in rows)]
        (folder / f"{name}.csv").write_text("\n".join(lines))
    shutil.rmtree(source)
    return folder


def _write_custom(folder):
    header = ["image", "split", "person", "Happy", "Has hat"]
    rows = [[f"{n}.jpg", "train", f"anna {n % 2}", "1", ""] for n in range(6)]
    return write_csv_table(folder, header, rows).parent


LABEL_FILES = {
    "torchvision": (
        lambda folder: write_celeba(folder, random_labels(6), [0, 0, 0, 1, 1, 2], size=(9, 9)),
        ["list_attr_celeba.txt", "list_eval_partition.txt"],
    ),
    "kaggle": (_write_kaggle, ["list_attr_celeba.csv", "list_eval_partition.csv"]),
    "custom": (_write_custom, ["attributes.csv"]),
}


@pytest.mark.parametrize("kind", LABEL_FILES)
def test_label_files(kind, tmp_path):
    write, names = LABEL_FILES[kind]
    folder = write(tmp_path / "data")
    valid = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        path = folder / names[seed % len(names)]
        original = path.read_text()
        path.write_bytes(mutate_text(original, rng))
        valid += survives(lambda: _check_table(read_dataset(folder, skip_bad=True)), seed)
        survives(lambda: read_dataset(folder), seed)
        path.write_text(original)
    assert 0 < valid < 200


def _check_table(table):
    assert isinstance(table, FaceTable)
    assert table.labels.shape == (len(table.paths), len(table.attributes))
    assert set(np.unique(table.labels)) <= {-1, 0, 1}
    assert set(np.unique(table.splits)) <= {0, 1, 2}


@pytest.mark.parametrize("old", [True, False], ids=["old", "hdf5"])
def test_matlab_files(old, tmp_path):
    folder = write_lfwa(tmp_path) if old else write_lfwa(tmp_path, write_hdf5)
    for seed in range(60):
        path = folder / (LABELS, SPLIT)[seed % 2]
        original = path.read_bytes()
        path.write_bytes(mutate(original, np.random.default_rng(seed)))
        survives(lambda: _check_table(read_dataset(folder, skip_bad=True)), seed)
        path.write_bytes(original)


def test_recipes(tmp_path):
    recipes = packaged_recipes()
    path = tmp_path / "recipe.yaml"
    valid = 0
    for seed in range(400):
        name = sorted(recipes)[seed % len(recipes)]
        # Without comments and blank lines, which most of the faults would hit.
        text = yaml.safe_dump(yaml.safe_load(recipes[name].read_text()))
        path.write_bytes(mutate_text(text, np.random.default_rng(seed)))
        read = read_comparison_recipe if "comparison" in name else read_recipe
        valid += survives(lambda read=read: read(path), seed)
    assert 0 < valid < 400


def test_images(tmp_path):
    paths = []
    for number, content in enumerate(mutations(600, seed=5)):
        paths.append(tmp_path / f"{number}.jpg")
        paths[-1].write_bytes(content)
        survives(lambda: load_image(paths[-1], (9, 7)), number)
    rows = np.arange(len(paths))
    labels = np.zeros((len(paths), 1), "int8")
    table = FaceTable(("x",), tuple(paths), labels, labels[:, 0], tmp_path / "x.csv", rows + 1)
    checked = check_images(table, skip_bad=True, progress=False)
    assert 0 < len(checked) < len(paths)
    for path in checked.paths:  # what training decodes, prediction decodes too
        load_image(path, (9, 7))


def test_exported_files(tmp_path):
    path = tmp_path / "model.tflite"
    for seed in range(100):
        path.write_bytes(mutate(TFLITE.read_bytes(), np.random.default_rng(seed)))
        survives(lambda: load_predictor(path), seed)


def test_saved_models(tmp_path):
    path = tmp_path / "model.keras"
    small_network(recipe().model, (*SIZE, 3)).save(path)
    original = path.read_bytes()
    for seed in range(12):
        path.write_bytes(mutate(original, np.random.default_rng(seed)))
        survives(lambda: load_predictor(path), seed)


ROW = {"attributes": ["Smiling", "Young"], "probabilities": [0.75, 0.5], "error": ""}


@pytest.fixture
def server(monkeypatch):
    """A server that responds to each request with the bytes of `server.response`, unchanged."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            length = 0
            while line := self.rfile.readline().strip():
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            self.rfile.read(length)
            self.wfile.write(self.server.response)

    monkeypatch.setattr(serving_client, "_BACKOFF", tenacity.wait_none())
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_responses_of_a_server(server, tmp_path):
    (tmp_path / "face.jpg").write_bytes(GOOD["jpeg"])
    url = f"http://127.0.0.1:{server.server_address[1]}/v1/models/faramtn"
    valid = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        body = json.dumps({"predictions": [ROW]}).encode()
        if seed % 2:
            body = mutate_text(body.decode(), rng)
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        response = head.encode() + body
        server.response = response if seed % 2 else mutate(response, rng)
        valid += survives(lambda: _predict(url, tmp_path / "face.jpg"), seed)
    assert 0 < valid < 400


def _predict(url, image):
    [(_, probabilities)] = serving_client.predict_on_server(url, [image], timeout=3.0)
    assert all(0 <= probability <= 1 for probability in probabilities.values())
