"""Reshapes the tokens of a vision transformer to a feature map."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_faramtn")
class PatchMap(keras.layers.Layer):
    """The tokens of an image's patches as a feature map.

    Args:
        height, width: the number of patches in each direction.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        tokens: `(batch, others + height * width, C)`. The patches come last, row by row; those
            before them, of the class and the registers, are dropped.

    Returns:
        A feature map, `(batch, height, width, C)`.

    Raises:
        ValueError: `height` or `width` is below 1.

    Example:
        >>> tuple(PatchMap(2, 3)(keras.ops.ones((4, 1 + 6, 8))).shape)
        (4, 2, 3, 8)
    """

    def __init__(self, height: int, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if height < 1 or width < 1:
            raise ValueError(f"height and width must be 1 or more; got {height} and {width}.")
        self.height = height
        self.width = width

    def call(self, tokens: Any) -> Any:
        # The number of tokens may be unknown while a graph is traced.
        patches = tokens[:, -self.height * self.width :]
        return ops.reshape(patches, (-1, self.height, self.width, tokens.shape[-1]))

    # KerasHub states the wrong number of tokens for images that are not square (version 0.32), so
    # it is not used here.
    def compute_output_shape(self, tokens_shape: tuple) -> tuple:
        return (tokens_shape[0], self.height, self.width, tokens_shape[-1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "height": self.height, "width": self.width}
