"""Loads models for prediction. Each file format imports only what it needs."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_faramtn.errors import InputError
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


_SAVED_MODEL, _SERVER = "a SavedModel's folder", "a server"
_KINDS = {
    ".keras": _Kind(load_keras_file, read_keras_record),
    ".tflite": _Kind(load_tflite, read_tflite_record),
    ".onnx": _Kind(load_onnx, read_onnx_record),
    _SAVED_MODEL: _Kind(load_saved_model, read_saved_model_record),
    _SERVER: _Kind(_load_served_model, _read_served_record),
}

# The files of an export, in the order in which one is chosen: first those that need no other
# package and predict exactly what the model predicts.
_EXPORTED = (
    "tflite/*_float32.tflite",
    "onnx/*.onnx",
    "saved_model/*/" + SAVED_MODEL_FILE,
    "tflite/*_float16.tflite",
    "tflite/*_int8.tflite",
)


def load_predictor(source: str | Path) -> Predictor:
    """Loads a model for prediction.

    Args:
        source: a `.keras` file, a `.tflite` or an `.onnx` file; a SavedModel's folder, or a folder
            of one SavedModel; the URL of a TensorFlow Serving server, see `predict_on_server`; or
            the folder of an export, of which the first of these is loaded: the float32 `.tflite`
            file, the `.onnx` file, the SavedModel, the float16 and the 8-bit `.tflite` file. The
            files that `faramtn export`
            writes contain a record of the model, see `ModelRecord`. Files of others work if their
            metadata state how pixels become values of their input, and if they contain labels or
            there is a `labels.txt` in their folder or its parent folder.

    Raises:
        InputError: the file is missing, has another format, or can't be used; there are no labels;
            or a package is missing.
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


def _find(source: str | Path) -> tuple[_Kind, Path | str]:
    """The kind of a model, and the file or folder to load, or the URL."""
    if is_url(source):
        return _KINDS[_SERVER], str(source)
    path = Path(source)
    if path.is_dir():
        if (path / SAVED_MODEL_FILE).is_file():
            return _KINDS[_SAVED_MODEL], path
        if (path / RECORD_FILE).is_file():
            return _find(_exported_file(path))
        versions = list(path.glob(f"*/{SAVED_MODEL_FILE}"))  # as TensorFlow Serving expects them
        if len(versions) == 1:
            return _KINDS[_SAVED_MODEL], versions[0].parent
    elif path.suffix in _KINDS:
        if not path.is_file():
            raise InputError(f"{path}: no such model file; check its path.")
        return _KINDS[path.suffix], path
    raise InputError(
        f"{path}: a model for prediction is a .keras, .tflite or .onnx file, the folder of a "
        "SavedModel or of an export, or the URL of a server."
    )


def _exported_file(export: Path) -> Path:
    for pattern in _EXPORTED:
        for path in sorted(export.glob(pattern)):
            return path.parent if path.name == SAVED_MODEL_FILE else path
    raise InputError(f"{export}: there is no exported model in it; specify one of its files.")
