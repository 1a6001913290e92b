"""Models on the Hugging Face hub: a server on this computer and filled caches stand in for it."""

import json
import shutil
import sys

import keras
import local_hub
import numpy as np
import pytest
from packaging.version import Version
from PIL import Image
from sensitive_network import sensitive_network

from keras_faramtn.errors import InputError
from keras_faramtn.export.export_model_file import export_model_file
from keras_faramtn.export.keras_files import write_keras_files
from keras_faramtn.export.tflite import write_tflite
from keras_faramtn.framing import CELEBA_FRAMING
from keras_faramtn.hub import download_from_hub
from keras_faramtn.inference.loading import find_model, load_predictor, needs_keras, read_record
from keras_faramtn.keras_files import KERAS_FILES, WEIGHTS_FILE
from keras_faramtn.model_record import record_to_json
from keras_faramtn.models import inference_model, load_model
from keras_faramtn.models.record import record_of, set_framing
from keras_faramtn.synthetic.faces import draw_faces
from keras_faramtn.web_demo.writer import write_web_demo

constants = pytest.importorskip("huggingface_hub.constants")

SIZE = (64, 48)
safe_keras = pytest.mark.skipif(
    Version(keras.__version__) < Version("3.11.3"), reason="this Keras may run code from files"
)
HANDLE = "hf://someone/faces.v1"
REPOSITORY = "someone/faces.v1"


@pytest.fixture(scope="module")
def model():
    model = sensitive_network(SIZE)
    set_framing(model, CELEBA_FRAMING)
    return model


@pytest.fixture(scope="module")
def faces():
    return draw_faces(3, SIZE, seed=2)


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    """Some files of an export."""
    folder = tmp_path_factory.mktemp("export")
    (folder / "tflite").mkdir()
    write_tflite(inference_model(model), folder / "tflite" / "faramtn_float32.tflite")
    write_keras_files(model, folder / WEIGHTS_FILE)
    (folder / "model.json").write_text(record_to_json(record_of(model)))
    (folder / "README.md").write_text("# A network")
    return folder


@pytest.fixture(scope="module")
def expected(model, faces):
    return _probabilities(model, faces)


def _probabilities(network, faces):
    return np.asarray(inference_model(network)(faces))  # tracing `predict` takes seconds


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of the hub; the hub can't be reached."""
    cache = tmp_path / "cache"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return cache


@pytest.fixture
def serve(cache, monkeypatch):
    """A function that serves repositories, and returns a list of the downloaded files."""
    repositories = {}
    with local_hub.running_hub(repositories) as (url, downloads):
        _go_online(monkeypatch, url)

        def start(served):
            repositories.update(served)
            return downloads

        yield start


def _go_online(monkeypatch, url):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)


def test_a_predictor_downloads_only_its_file(serve, exported, faces, expected):
    downloads = serve({REPOSITORY: exported})
    predictor = load_predictor(HANDLE)
    np.testing.assert_allclose(predictor.predict(faces), expected, atol=1e-4)
    assert sorted(downloads) == ["model.json", "tflite/faramtn_float32.tflite"]
    assert read_record(HANDLE).framing == CELEBA_FRAMING
    assert len(downloads) == 2  # the second time from the cache


@safe_keras
def test_a_model_downloads_only_the_files_of_keras(serve, exported, model, faces, expected):
    downloads = serve({REPOSITORY: exported})
    loaded = load_model(HANDLE)
    assert record_of(loaded) == record_of(model)
    assert set(loaded.output) == set(model.output)  # logits by group
    np.testing.assert_allclose(_probabilities(loaded, faces), expected, atol=1e-6)
    assert sorted(downloads) == sorted(KERAS_FILES)


@safe_keras
def test_without_the_hub_the_cache_is_used(serve, exported, faces, expected, monkeypatch):
    serve({REPOSITORY: exported})
    before = load_predictor(HANDLE).predict(faces)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    np.testing.assert_array_equal(load_predictor(HANDLE).predict(faces), before)
    with pytest.raises(InputError, match=r"faces\.v1: .*not complete in the hub's cache"):
        load_model(HANDLE)


def test_keras_itself_loads_a_cached_export(cache, exported, faces, expected):
    local_hub.fill_cache(cache, REPOSITORY, exported)
    loaded = keras.saving.load_model(HANDLE)
    np.testing.assert_allclose(_probabilities(loaded, faces), expected, atol=1e-6)


@safe_keras
@pytest.mark.parametrize("with_record", [True, False])
def test_a_repository_with_only_the_files_of_keras(cache, exported, faces, expected, with_record):
    names = {*KERAS_FILES, *(["model.json"] if with_record else [])}
    local_hub.fill_cache(cache, REPOSITORY, exported, names)
    assert needs_keras(HANDLE)
    assert read_record(HANDLE).framing == CELEBA_FRAMING
    if not with_record:
        predicted = load_predictor(HANDLE).predict(faces)
        np.testing.assert_allclose(predicted, expected, atol=1e-5)


def test_a_float32_tflite_file_is_preferred_to_others(cache, exported, tmp_path):
    assert find_model(exported).name == "faramtn_float32.tflite"
    (tmp_path / "tflite").mkdir()
    for name in ("model.json", "tflite/a_int8.tflite", "tflite/a_float16.tflite"):
        (tmp_path / name).write_bytes(b"")
    local_hub.fill_cache(cache, REPOSITORY, tmp_path)
    assert find_model(HANDLE).name == "a_float16.tflite"
    assert not needs_keras(HANDLE)


def test_keras_is_not_imported_for_a_tflite_file(cache, exported, tmp_path):
    local_hub.fill_cache(cache, REPOSITORY, exported)
    code = (
        "import sys; from keras_faramtn.inference.loading import load_predictor\n"
        f"print(load_predictor({HANDLE!r}).image_size, 'keras' in sys.modules)"
    )
    result = local_hub.run_offline([sys.executable, "-c", code], cache)
    assert result.stdout == "(64, 48) False\n"


def test_the_command_line_predicts_with_a_cached_model(cache, exported, tmp_path):
    local_hub.fill_cache(cache, REPOSITORY, exported)
    command = [sys.executable, "-m", "keras_faramtn", "predict"]
    (tmp_path / "faces").mkdir()
    Image.fromarray(draw_faces(1, SIZE, seed=2)[0]).save(tmp_path / "faces" / "a.png")
    result = local_hub.run_offline([*command, HANDLE, tmp_path / "faces"], cache)
    assert "a.png: " in result.stdout
    assert result.returncode == 0
    result = local_hub.run_offline([*command, "hf://someone/else", tmp_path / "faces"], cache)
    assert result.returncode == 1
    assert "hf://someone/else: the files are not complete in the hub's cache" in result.stderr
    assert "Traceback" not in result.stderr


@safe_keras
def test_a_cached_model_is_exported(cache, exported, tmp_path, monkeypatch):
    local_hub.fill_cache(cache, REPOSITORY, exported)
    calls = []

    def export(*arguments, **options):
        calls.append((*arguments, options))

    monkeypatch.setattr(sys.modules[export_model_file.__module__], "export_model", export)
    export_model_file(HANDLE, tmp_path / "again", formats=["keras"])
    [(network, folder, images, _, options)] = calls
    assert record_of(network) == read_record(exported)
    assert (folder, images.shape[1:3], options["metrics"]) == (tmp_path / "again", SIZE, None)


def test_a_page_runs_a_cached_model(cache, exported, tmp_path, monkeypatch):
    local_hub.fill_cache(cache, REPOSITORY, exported)
    monkeypatch.setattr("keras_faramtn.web_demo.writer.write_litert_js", lambda folder: None)
    page = tmp_path / "page"
    assert write_web_demo(HANDLE, page).name == "faramtn_float32.tflite"
    content = (exported / "tflite" / "faramtn_float32.tflite").read_bytes()
    assert (page / "faramtn_float32.tflite").read_bytes() == content


@safe_keras
@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "no such repository, or it is private; .*`hf auth login`"),
        (403, "restricted; accept its terms at http.*someone/faces.v1"),
        (500, "the hub reports: .*500.*; try again later"),
    ],
)
def test_a_repository_that_cannot_be_read_is_explained(serve, status, message):
    serve({REPOSITORY: status})
    for load in (load_predictor, load_model):
        with pytest.raises(InputError, match=f"^{HANDLE}: .*{message}"):
            load(HANDLE)


@safe_keras
def test_a_hub_that_cannot_be_reached_is_explained(cache, monkeypatch):
    _go_online(monkeypatch, "http://127.0.0.1:9")
    for load in (load_predictor, load_model):
        with pytest.raises(InputError, match=r"can't be downloaded: .*; check the connection"):
            load(HANDLE)


@safe_keras
def test_a_repository_without_a_model_is_explained(serve, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "pytorch_model.bin").write_bytes(b"1")
    downloads = serve({REPOSITORY: tmp_path / "other"})
    with pytest.raises(InputError, match="there is no exported model in this repository; upload"):
        load_predictor(HANDLE)
    with pytest.raises(InputError, match=r"there is no Keras model in it \(config\.json and"):
        load_model(HANDLE)
    assert downloads == []


@safe_keras
@pytest.mark.parametrize(
    "handle", ["hf://", "hf://name", "hf://a/b/c", "hf://a/b@main", "hf://a/../b", "hf:// a/b"]
)
def test_a_malformed_handle_is_explained(cache, handle):
    for load in (load_predictor, load_model):
        with pytest.raises(InputError, match=r"a model on the .* hub is written hf://OWNER/NAME"):
            load(handle)


def test_a_missing_package_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    monkeypatch.setitem(sys.modules, "huggingface_hub.errors", None)
    with pytest.raises(InputError, match=r"pip install 'keras-faramtn\[hub\]'"):
        download_from_hub(HANDLE, lambda names: names)


@pytest.mark.parametrize(("version", "safe"), [("3.11.2", False), ("3.11.3", True)])
def test_a_version_of_keras_that_may_run_code_is_refused(cache, monkeypatch, version, safe):
    monkeypatch.setattr("keras_faramtn.keras_files.version", lambda package: version)
    message = "not complete in the hub's cache" if safe else f"Keras {version} could run code"
    with pytest.raises(InputError, match=message):
        load_model(HANDLE)


@safe_keras
def test_code_in_a_repository_is_not_run(cache, exported, tmp_path):
    """A config with a lambda function, which Keras would run."""
    folder = tmp_path / "evil"
    folder.mkdir()
    for name in KERAS_FILES:
        shutil.copy(exported / name, folder / name)
    evil = keras.Sequential(
        [keras.Input((2,)), keras.layers.Lambda(lambda x: x + 1), keras.layers.Dense(1)]
    )
    keras.saving.save_model(evil, tmp_path / "keras", zipped=False)
    shutil.copy(tmp_path / "keras" / "config.json", folder / "config.json")
    assert "__lambda__" in json.dumps(json.loads((folder / "config.json").read_text()))
    local_hub.fill_cache(cache, REPOSITORY, folder)
    for source in (HANDLE, folder):
        with pytest.raises(InputError, match=r"can be loaded; .*[Ll]ambda"):
            load_model(source)
