"""Loads a saved network of this package."""

import zipfile
from pathlib import Path

import keras

from keras_faramtn.backbone_libraries import LIBRARIES, check_installed
from keras_faramtn.errors import InputError
from keras_faramtn.hub import download_from_hub, is_hub_handle
from keras_faramtn.keras_files import (
    CONFIG_FILE,
    KERAS_FILES,
    MODEL_FILE,
    WEIGHTS_FILE,
    refuse_unsafe_keras,
)
from keras_faramtn.models.heads import groups_of


def load_model(source: str | Path) -> keras.Model:
    """Loads a network of this package for inference, without compiling it.

    To resume training with a file's optimizer, use `keras.saving.load_model`. A file that would
    run code, such as that of a `Lambda` layer, is refused.

    Args:
        source: a `.keras` file; the folder of a training run, of which `model.keras` is loaded; a
            folder with the files that Keras writes with `zipped=False`, such as that of an export;
            or `hf://OWNER/NAME`, a repository on the Hugging Face hub with these files, of which no
            others are downloaded; this needs Keras 3.11.3 or newer.

    Returns:
        The model as it was saved: a network with logits, or an `inference_model`.

    Raises:
        InputError: the file is missing, is not a Keras model, or was not built by this package; or
            as in `download_from_hub`.

    Example:
        >>> import tempfile
        >>> from keras_faramtn import MultiLabel, groups_of
        >>> model = MultiLabel("mobilenetv3_small", ["Smiling", "Young"], (32, 32, 3))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(f"{folder}/model.keras")
        ...     groups_of(load_model(f"{folder}/model.keras")).attributes
        ('Smiling', 'Young')
    """
    if is_hub_handle(source):
        refuse_unsafe_keras(source)
        path = download_from_hub(source, lambda _: KERAS_FILES)
    else:
        path = Path(source)
        if (path / MODEL_FILE).is_file():  # a training run
            path /= MODEL_FILE
    if is_hub_handle(source) or path.is_dir():
        if not all((path / name).is_file() for name in (CONFIG_FILE, WEIGHTS_FILE)):
            raise InputError(
                f"{source}: there is no Keras model in it ({CONFIG_FILE} and {WEIGHTS_FILE}); "
                "specify a .keras file, or write these files with `faramtn export`."
            )
    elif not path.is_file():
        raise InputError(f"{source}: no such model file; specify a .keras file.")
    elif path.suffix == ".keras" and not zipfile.is_zipfile(path):  # Keras: "File not found"
        raise InputError(
            f"{source}: not a Keras model: it is not a zip archive, as a .keras file is; use a "
            "complete file saved by keras_faramtn."
        )
    try:
        # Only weights and the configs of known layers are read; code in a file is refused.
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # a damaged file raises almost any exception
        missing = _missing_library(path)
        if missing:
            raise InputError(f"{source}: this model can't be loaded: {missing}") from error
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise InputError(
            f"{source}: not a Keras model that can be loaded; use an undamaged .keras file saved "
            f"by keras_faramtn. Keras reports: {reason}"
        ) from error
    groups_of(model)
    return model


def _missing_library(path: Path) -> str | None:
    """Which library of backbones a model's layers come from that isn't installed, and the remedy.

    Keras imports the libraries itself, but doesn't state what it can't import.
    """
    try:
        if path.is_dir():
            config = (path / CONFIG_FILE).read_bytes()
        else:
            with zipfile.ZipFile(path) as archive:
                config = archive.read(CONFIG_FILE)
    except (OSError, zipfile.BadZipFile, KeyError):
        return None
    for library in LIBRARIES:
        if f'"module": "{library}.'.encode() in config:
            try:
                check_installed(library)
            except InputError as error:
                return str(error)
    return None
