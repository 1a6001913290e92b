"""The names of the files that Keras writes."""

from importlib.metadata import version

from packaging.version import Version

from keras_faramtn.errors import InputError

MODEL_FILE = "model.keras"
"""The model in the folder of a training run or of a calibration."""

CONFIG_FILE = "config.json"
"""The layers and how they are connected."""

WEIGHTS_FILE = "model.weights.h5"

KERAS_FILES = (CONFIG_FILE, "metadata.json", WEIGHTS_FILE)
"""What `keras.saving.save_model` writes to a folder with `zipped=False`. Keras loads them from a
folder, or from `hf://OWNER/NAME`."""

# Before, a file could run code in spite of Keras's safe mode: CVE-2025-8747, CVE-2025-49655.
_SAFE = Version("3.11.3")


def refuse_unsafe_keras(source: str) -> None:
    """Checks that Keras runs no code from files of others.

    Args:
        source: where the files come from, for the message.

    Raises:
        InputError: the version of Keras is too old for that.
    """
    installed = version("keras")
    if Version(installed) < _SAFE:
        raise InputError(
            f"{source}: Keras {installed} could run code from these files; install a safe version: "
            f"pip install 'keras>={_SAFE}'."
        )
