"""Loads a saved network of this package."""

from pathlib import Path

import keras

from keras_faramtn.errors import InputError
from keras_faramtn.models.heads import groups_of


def load_model(path: str | Path) -> keras.Model:
    """Loads a network of this package for use; it is not compiled.

    To go on training with the file's optimizer, `import keras_faramtn` after Keras and use
    `keras.saving.load_model`.

    Args:
        path: a `.keras` file.

    Returns:
        The model, as `FARAMTN` returned it.

    Raises:
        InputError: the file is missing, is no Keras model, or is one of another package.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such model file; give a .keras file.")
    try:
        model = keras.saving.load_model(path, compile=False)
    except (ValueError, TypeError, OSError, KeyError) as error:
        raise InputError(
            f"{path}: this is no Keras model that can be read here; give a .keras file that "
            f"keras_faramtn saved. Keras says: {str(error).splitlines()[0]}"
        ) from error
    groups_of(model)
    return model
