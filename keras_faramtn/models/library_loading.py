"""Builds backbones of KerasHub and KerasCV by preset or class name, and imports them only then."""

import importlib
import inspect
import logging
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import keras

from keras_faramtn.backbone_libraries import check_installed
from keras_faramtn.errors import InputError, reason
from keras_faramtn.models.library_backbones import accepts

logger = logging.getLogger(__name__)


def backbone_from_preset(
    preset: str, input_shape: tuple[int, int, int], load_weights: bool = True
) -> tuple[keras.Model, Any]:
    """Loads a backbone of KerasHub and the preprocessing that it expects.

    Args:
        preset: a folder, a handle that begins with `hf://` or `kaggle://`, or the name of a preset
            of KerasHub. Only the first needs no network.
        input_shape: `(height, width, 3)`, for backbones whose input has a fixed shape.
        load_weights: whether to load the weights.

    Returns:
        The backbone, and its image converter; None if the preset has none.

    Raises:
        InputError: KerasHub is not installed; the preset doesn't exist, can't be read or
            downloaded, or is not one of a backbone for images of this shape.
    """
    check_installed("keras_hub")
    keras_hub = importlib.import_module("keras_hub")
    if "://" not in preset and "/" in preset and not Path(preset).is_dir():
        raise InputError(f"{preset}: there is no such preset folder; specify one of KerasHub.")
    arguments = {"load_weights": load_weights, "dtype": keras.config.dtype_policy().name}
    try:
        backbone = keras_hub.models.Backbone.from_preset(preset, **arguments)
        if not accepts(backbone, input_shape):
            backbone = keras_hub.models.Backbone.from_preset(
                preset, image_shape=input_shape, **arguments
            )
    except Exception as error:  # of the network, of a damaged file, of a wrong shape
        raise InputError(
            f"{preset}: this preset can't be loaded for images of {input_shape[0]} x "
            f"{input_shape[1]} pixels; specify a preset folder, a handle (hf:// or kaggle://) or "
            f"a name of KerasHub's. KerasHub reports: {reason(error)}."
        ) from error
    try:
        return backbone, keras_hub.layers.ImageConverter.from_preset(preset)
    except (ValueError, FileNotFoundError):
        logger.warning(
            "%s has no image converter: pixels are normalised with ImageNet's mean and standard "
            "deviation.",
            preset,
        )
        return backbone, None


def backbone_from_class(
    library: str,
    class_name: str,
    arguments: Mapping[str, Any],
    input_shape: tuple[int, int, int],
    weights: str | Path | None = None,
) -> keras.Model:
    """Builds a backbone of KerasHub or KerasCV with random weights or those of a file.

    Args:
        library: `keras_hub` or `keras_cv`.
        class_name: name of the class in `keras_hub.models` or `keras_cv.models`.
        arguments: of the class. `image_shape` is set to `input_shape` if the class has it.
        input_shape: `(height, width, 3)`.
        weights: the path of a file from the backbone's `save_weights`, or None.

    Raises:
        InputError: the library is not installed; there is no such class, or it would download
            weights; the arguments are wrong; or the file is missing or of another network.
    """
    check_installed(library)
    models = importlib.import_module(library).models
    kind = _backbone_class(models, library, class_name)
    parameters = inspect.signature(kind).parameters
    unknown = sorted(set(arguments) - set(parameters))  # Keras ignores them
    if unknown:
        raise InputError(
            f"{library}.models.{class_name} has no argument {unknown[0]!r}; remove it or correct "
            f"its spelling. The arguments are {', '.join(parameters)}."
        )
    complete = dict(arguments)
    if "image_shape" in parameters:
        complete.setdefault("image_shape", input_shape)
    try:
        backbone = kind(**complete)
    except Exception as error:  # constructors of these libraries raise almost any
        raise InputError(
            f"{library}.models.{class_name} can't be built with these arguments for images of "
            f"{input_shape[0]} x {input_shape[1]} pixels; correct them. {library} reports: "
            f"{reason(error)}."
        ) from error
    if weights is not None:
        if not Path(weights).is_file():
            raise InputError(f"{weights}: no such weights file.")
        try:
            backbone.load_weights(weights)
        except (ValueError, OSError, KeyError) as error:
            raise InputError(
                f"{weights}: not a weights file of this {class_name}: {reason(error)}."
            ) from error
    return backbone


def _backbone_class(models: ModuleType, library: str, class_name: str) -> type[keras.Model]:
    kind = getattr(models, class_name, None)
    if not inspect.isclass(kind) or not issubclass(kind, models.Backbone):
        raise InputError(
            f"{library}.models has no backbone class {class_name!r}; use one such as "
            f"{'ResNetBackbone' if library == 'keras_hub' else 'MobileNetV3Backbone'}."
        )
    # Calling such a class of KerasCV loads a preset from Kaggle.
    if kind.__module__.endswith("_aliases"):
        raise InputError(
            f"{library}.models.{class_name} is a preset that KerasCV downloads; use its class "
            f"{kind.__mro__[1].__name__} with arguments instead."
        )
    return kind
