"""The libraries that backbones may come from."""

import importlib.util

from keras_faramtn.errors import InputError

LIBRARIES = {"keras_hub": "keras-hub", "keras_cv": "keras-cv"}
"""For each library the name of its package, which is also that of this package's extra."""


def check_installed(library: str) -> None:
    """Checks, without importing it, that a library of backbones is installed.

    Args:
        library: a key of `LIBRARIES`.

    Raises:
        InputError: it is not installed; the message names the command that installs it.

    Example:
        >>> sorted(LIBRARIES)
        ['keras_cv', 'keras_hub']
    """
    if importlib.util.find_spec(library) is None:
        raise InputError(
            f"{library} is not installed; install it with: "
            f"pip install 'keras-faramtn[{LIBRARIES[library]}]'."
        )
