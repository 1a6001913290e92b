"""What is recorded about a network, in the configs of its layers."""

import keras

from keras_faramtn.errors import InputError
from keras_faramtn.framing import Framing
from keras_faramtn.layers import FaceFraming
from keras_faramtn.model_record import ModelRecord
from keras_faramtn.models.heads import groups_of


def record_of(model: keras.Model) -> ModelRecord:
    """What a model predicts, and of what images.

    Args:
        model: a network of this package, or an `inference_model` of one.

    Raises:
        InputError: this package did not build the model.

    Example:
        >>> from keras_faramtn import MultiLabel
        >>> from keras_faramtn.framing import CELEBA_FRAMING
        >>> model = MultiLabel("mobilenetv3_small", ["Smiling", "Young"], (32, 32, 3))
        >>> set_framing(model, CELEBA_FRAMING)
        >>> record_of(model).framing == CELEBA_FRAMING
        True
    """
    layer = _framing_layer(model)
    return ModelRecord(groups_of(model), None if layer is None else layer.framing)


def set_framing(model: keras.Model, framing: Framing | None) -> None:
    """Records how the faces in a network's training images are framed; it is saved with the model.

    Args:
        model: a network of this package.
        framing: None if it is unknown.

    Raises:
        InputError: this package did not build the model.
    """
    layer = _framing_layer(model)
    if layer is None:
        raise InputError(
            f"model {model.name!r} can't record a framing; use one built by keras_faramtn."
        )
    layer.framing = framing


def _framing_layer(model: keras.Model) -> FaceFraming | None:
    return next((layer for layer in model.layers if isinstance(layer, FaceFraming)), None)
