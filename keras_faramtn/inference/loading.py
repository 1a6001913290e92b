"""Loads models for prediction. Each file format imports only what it needs."""

import fnmatch
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_faramtn.errors import InputError
from keras_faramtn.hub import download_from_hub, is_hub_handle
from keras_faramtn.inference.keras_file import load_keras_file, read_keras_record
from keras_faramtn.inference.litert import load_tflite, read_tflite_record
from keras_faramtn.inference.onnx_file import load_onnx, read_onnx_record
from keras_faramtn.inference.predictor import Predictor
from keras_faramtn.inference.saved_model import (
    SAVED_MODEL_FILE,
    load_saved_model,
    read_saved_model_record,
)
from keras_faramtn.inference.serving_address import is_url
from keras_faramtn.keras_files import KERAS_FILES, MODEL_FILE, WEIGHTS_FILE, refuse_unsafe_keras
from keras_faramtn.model_record import RECORD_FILE, ModelRecord


# A model file is loaded without importing an HTTP client.
def _load_served_model(server: str) -> Predictor:
    from keras_faramtn.inference.served_model import load_served_model

    return load_served_model(server)


def _read_served_record(server: str) -> ModelRecord:
    from keras_faramtn.inference.served_model import read_served_record

    return read_served_record(server)


@dataclass(frozen=True)
class _Kind:
    """How a kind of model is loaded, from its path or its URL."""

    load: Callable[[Any], Predictor]
    read_record: Callable[[Any], ModelRecord]


_FILES = {
    ".keras": _Kind(load_keras_file, read_keras_record),
    ".tflite": _Kind(load_tflite, read_tflite_record),
    ".onnx": _Kind(load_onnx, read_onnx_record),
}
_FOLDERS = {  # by a file in them
    SAVED_MODEL_FILE: _Kind(load_saved_model, read_saved_model_record),
    WEIGHTS_FILE: _Kind(load_keras_file, read_keras_record),
}
_SERVER = _Kind(_load_served_model, _read_served_record)

# The files of an export, in the order in which one is chosen: first those that need no other
# package and predict exactly what the model predicts.
_EXPORTED = (
    "tflite/*_float32.tflite",
    "onnx/*.onnx",
    f"saved_model/*/{SAVED_MODEL_FILE}",
    WEIGHTS_FILE,
    "tflite/*_float16.tflite",
    "tflite/*_int8.tflite",
)


def load_predictor(source: str | Path) -> Predictor:
    """Loads a model for prediction.

    Args:
        source: a `.keras` file, a `.tflite` or an `.onnx` file; a SavedModel's folder, or a folder
            of one SavedModel; the folder of a training run, of which `model.keras` is loaded; the
            URL of a TensorFlow Serving server, see `predict_on_server`;
            the folder of an export, of which the first of these is loaded: the float32 `.tflite`
            file, the `.onnx` file, the SavedModel, Keras's files, the float16 and the 8-bit
            `.tflite` file; or `hf://OWNER/NAME`, an export on the Hugging Face hub, of which only
            that file is downloaded. The files that `faramtn export` writes contain a record of the
            model, see `ModelRecord`. Files of others work if their metadata state how pixels become
            values of their input, and if they contain labels or there is a `labels.txt` in their
            folder or its parent folder.

    Raises:
        InputError: the file is missing, has another format, or can't be used; there are no labels;
            a package is missing; or as in `download_from_hub`.
        ServerError: the server does not respond in time, or serves another model.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from keras_faramtn import AttributeGroups, FARAMTN
        >>> groups = AttributeGroups({"eyes": ["Eyeglasses"], "mouth": ["Smiling"]},
        ...                          attributes=["Eyeglasses", "Smiling"])
        >>> model = FARAMTN("mobilenetv3_small", groups, (32, 32, 3))
        >>> with TemporaryDirectory() as folder:
        ...     model.save(Path(folder) / "model.keras")
        ...     predictor = load_predictor(Path(folder) / "model.keras")
        >>> predictor.attributes, predictor.image_size
        (('Eyeglasses', 'Smiling'), (32, 32))
    """
    kind, found = _find(source)
    return kind.load(found)


def read_record(source: str | Path) -> ModelRecord:
    """What a model predicts, and of what images.

    Args:
        source: as for `load_predictor`. A file without a record, but with labels, gives a record
            with one group and without a framing.

    Raises:
        InputError, ServerError: as in `load_predictor`.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from keras_faramtn import MultiLabel
        >>> model = MultiLabel("mobilenetv3_small", ["Smiling", "Young"], (32, 32, 3))
        >>> with TemporaryDirectory() as folder:
        ...     model.save(Path(folder) / "model.keras")
        ...     read_record(Path(folder) / "model.keras").groups.attributes
        ('Smiling', 'Young')
    """
    kind, found = _find(source)
    return kind.read_record(found)


def find_model(source: str | Path) -> Path | str:
    """The file or folder that `load_predictor` loads; downloads it if it is on the hub.

    Args:
        source: as for `load_predictor`.

    Returns:
        Of a training run, of an export, or of a repository on the hub, the file or folder that is
        loaded; of anything else, `source`.

    Raises:
        InputError: there is no model in the export or in the repository, or as in
            `download_from_hub`.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     for name in ("model.json", "tflite/mine_int8.tflite", "tflite/mine_float32.tflite"):
        ...         path = Path(folder, name)
        ...         path.parent.mkdir(exist_ok=True)
        ...         path.touch()
        ...     find_model(folder).name
        'mine_float32.tflite'
    """
    if is_url(source) and not is_hub_handle(source):
        return str(source)
    path = _download(source) if is_hub_handle(source) else Path(source)
    if (path / SAVED_MODEL_FILE).is_file():
        return path
    if (path / MODEL_FILE).is_file():  # a training run
        return path / MODEL_FILE
    if (path / RECORD_FILE).is_file():
        files = (file for pattern in _EXPORTED for file in sorted(path.glob(pattern)))
        chosen = next(files, None)
        if chosen is None:
            raise InputError(
                f"{source}: there is no exported model in it; specify one of its files."
            )
        return chosen.parent if chosen.name in _FOLDERS else chosen
    versions = list(path.glob(f"*/{SAVED_MODEL_FILE}"))  # as TensorFlow Serving expects them
    return versions[0].parent if len(versions) == 1 else path


def needs_keras(source: str | Path) -> bool:
    """Whether Keras loads a model, of those that `load_predictor` takes.

    Example:
        >>> needs_keras("model.keras"), needs_keras("model.tflite")
        (True, False)
    """
    found = Path(find_model(source))
    return found.suffix == ".keras" or (found / WEIGHTS_FILE).is_file()


def _find(source: str | Path) -> tuple[_Kind, Path | str]:
    """The kind of a model, and the file or folder to load, or the URL."""
    found = find_model(source)
    if isinstance(found, str):
        return _SERVER, found
    if found.is_dir():
        for name, kind in _FOLDERS.items():
            if (found / name).is_file():
                return kind, found
    elif found.suffix in _FILES:
        if not found.is_file():
            raise InputError(f"{found}: no such model file; check its path.")
        return _FILES[found.suffix], found
    raise InputError(
        f"{found}: a model for prediction is a .keras, .tflite or .onnx file, the folder of a "
        "SavedModel or of an export, the URL of a server, or hf://OWNER/NAME."
    )


def _download(handle: str) -> Path:
    """A folder with the first file of `_EXPORTED` in a repository on the hub, and the record."""

    def choose(names: list[str]) -> tuple[str, ...]:
        if RECORD_FILE not in names:  # as Keras saves a model there
            names = [name for name in names if name in KERAS_FILES]
        files = (name for pattern in _EXPORTED for name in fnmatch.filter(names, pattern))
        chosen = next(files, None)
        if chosen is None:
            raise InputError(
                f"{handle}: there is no exported model in this repository; upload the folder that "
                "`faramtn export` writes."
            )
        if chosen == WEIGHTS_FILE:
            refuse_unsafe_keras(handle)
        folder, _, name = chosen.rpartition("/")
        needed = {SAVED_MODEL_FILE: (f"{folder}/*",), WEIGHTS_FILE: KERAS_FILES}
        return (*needed.get(name, (chosen,)), RECORD_FILE)

    return download_from_hub(handle, choose)
