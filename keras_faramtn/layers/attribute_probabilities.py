"""Converts the groups' logits to one vector of probabilities in canonical order."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="keras_faramtn")
class AttributeProbabilities(keras.layers.Layer):
    """Concatenates the groups' logits, puts them in canonical order and applies the sigmoid.

    Args:
        positions: maps each group's name to the indices of its logits in the canonical order. Each
            index from 0 to the number of attributes minus 1 occurs once.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        logits: a dict that maps each group's name to its logits, shape
            `(batch, len(positions[group]))`.

    Returns:
        Probabilities in 0..1, shape `(batch, number of attributes)`, in the compute dtype.

    Raises:
        ValueError: the positions are empty or are not a permutation; the logits are of other
            groups, or their number differs from that of the group's positions.

    Example:
        >>> layer = AttributeProbabilities({"eyes": [1], "mouth": [2, 0]})
        >>> logits = {"eyes": keras.ops.zeros((3, 1)), "mouth": keras.ops.zeros((3, 2))}
        >>> tuple(layer(logits).shape)
        (3, 3)
    """

    def __init__(self, positions: Mapping[str, Sequence[int]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.positions = {group: tuple(indices) for group, indices in positions.items()}
        order = [index for indices in self.positions.values() for index in indices]
        if not order:
            raise ValueError("positions must contain at least one group; got none.")
        if sorted(order) != list(range(len(order))):
            raise ValueError(
                f"positions must contain each index from 0 to {len(order) - 1} once; got "
                f"{self.positions}."
            )
        # Multiplying by a permutation matrix is exact (each sum has one non-zero term). Unlike a
        # gather, every GPU delegate supports it: it is a plain fully connected layer.
        self._permutation = np.eye(len(order), dtype="float32")[order]

    def build(self, logits_shape: dict[str, tuple]) -> None:
        expected = {group: len(indices) for group, indices in self.positions.items()}
        given = {group: shape[-1] for group, shape in logits_shape.items()}
        if given != expected:
            raise ValueError(f"AttributeProbabilities expects logits of {expected}; got {given}.")

    def call(self, logits: dict[str, Any]) -> Any:
        concatenated = ops.concatenate([logits[group] for group in self.positions], axis=-1)
        permutation = ops.convert_to_tensor(self._permutation, dtype=self.compute_dtype)
        return ops.sigmoid(ops.matmul(concatenated, permutation))

    def compute_output_shape(self, logits_shape: dict[str, tuple]) -> tuple:
        batch = next(iter(logits_shape.values()))[0]
        return (batch, len(self._permutation))

    def get_config(self) -> dict[str, Any]:
        positions = {group: list(indices) for group, indices in self.positions.items()}
        return {**super().get_config(), "positions": positions}
