"""Loads a saved network of this package."""

from pathlib import Path

import keras

from keras_faramtn.errors import InputError
from keras_faramtn.models.heads import groups_of


def load_model(path: str | Path) -> keras.Model:
    """Loads a network of this package for inference, without compiling it.

    To resume training with the file's optimizer, use `keras.saving.load_model`.

    Args:
        path: a `.keras` file.

    Returns:
        The model as it was saved: a network with logits, or an `inference_model`.

    Raises:
        InputError: the file is missing, is not a Keras model, or was not built by this package.

    Example:
        >>> import tempfile
        >>> from keras_faramtn import MultiLabel, groups_of
        >>> model = MultiLabel("mobilenetv3_small", ["Smiling", "Young"], (32, 32, 3))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(f"{folder}/model.keras")
        ...     groups_of(load_model(f"{folder}/model.keras")).attributes
        ('Smiling', 'Young')
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such model file; specify a .keras file.")
    try:
        model = keras.saving.load_model(path, compile=False)
    except Exception as error:  # a damaged file raises almost any exception
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise InputError(
            f"{path}: not a Keras model that can be loaded; use an undamaged .keras file saved by "
            f"keras_faramtn. Keras reports: {reason}"
        ) from error
    groups_of(model)
    return model
