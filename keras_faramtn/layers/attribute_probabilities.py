"""From the groups' logits to one vector of probabilities in canonical order."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="keras_faramtn")
class AttributeProbabilities(keras.layers.Layer):
    """Joins the groups' logits, puts them into canonical order and applies the sigmoid.

    Args:
        positions: from each group's name to the places of its logits in the canonical order; all
            places from 0 to their number less 1, each once.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        logits: a dict from each group's name to its logits, shape `(batch, len(positions[group]))`.

    Returns:
        Probabilities in 0..1, shape `(batch, number of attributes)`, in the compute dtype.

    Raises:
        ValueError: the positions are not a permutation.
    """

    def __init__(self, positions: Mapping[str, Sequence[int]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.positions = {group: tuple(places) for group, places in positions.items()}
        places = [place for group in self.positions.values() for place in group]
        if sorted(places) != list(range(len(places))):
            raise ValueError(
                f"positions must hold each place from 0 to {len(places) - 1} once; got "
                f"{self.positions}."
            )
        # Reordering by a product with a permutation matrix is exact (one term is not zero) and,
        # unlike a gather, a plain fully connected layer to every GPU delegate.
        self._permutation = np.eye(len(places), dtype="float32")[places]

    def build(self, logits_shape: dict[str, tuple]) -> None:
        pass

    def call(self, logits: dict[str, Any]) -> Any:
        joined = ops.concatenate([logits[group] for group in self.positions], axis=-1)
        permutation = ops.convert_to_tensor(self._permutation, dtype=self.compute_dtype)
        return ops.sigmoid(ops.matmul(joined, permutation))

    def compute_output_shape(self, logits_shape: dict[str, tuple]) -> tuple:
        batch = next(iter(logits_shape.values()))[0]
        return (batch, len(self._permutation))

    def get_config(self) -> dict[str, Any]:
        positions = {group: list(places) for group, places in self.positions.items()}
        return {**super().get_config(), "positions": positions}
