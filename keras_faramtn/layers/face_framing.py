"""Records in a network how the faces in its training images are framed."""

from collections.abc import Mapping
from typing import Any

import keras

from keras_faramtn.framing import Framing, check_framing, framing_from_json, framing_to_json


@keras.saving.register_keras_serializable(package="keras_faramtn")
class FaceFraming(keras.layers.Layer):
    """Passes images on unchanged, and carries the framing of the training images.

    A functional model has no room for metadata, but saves the configs of its layers. This layer
    comes directly after a network's input.

    Args:
        framing: the framing, or its description by `framing_to_json`; None if it is unknown. The
            attribute of this name may be set later; it is saved with the model.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        images: `(batch, height, width, 3)`.

    Returns:
        `images`.

    Raises:
        InputError: `framing` is not a framing.

    Example:
        >>> from keras_faramtn.framing import CELEBA_FRAMING
        >>> layer = FaceFraming(CELEBA_FRAMING)
        >>> FaceFraming.from_config(layer.get_config()).framing == CELEBA_FRAMING
        True
    """

    def __init__(self, framing: Framing | Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        # Images stay as they are, integers too; the layers that follow choose the dtype.
        super().__init__(**kwargs, autocast=False)
        if isinstance(framing, Mapping):
            framing = framing_from_json(framing)
        self.framing = None if framing is None else check_framing(framing)

    def call(self, images: Any) -> Any:
        return images

    def compute_output_shape(self, images_shape: tuple) -> tuple:
        return images_shape

    def get_config(self) -> dict[str, Any]:
        framing = None if self.framing is None else framing_to_json(self.framing)
        return {**super().get_config(), "framing": framing}
