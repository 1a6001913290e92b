"""The head of a group: one fully connected layer that knows which attributes it predicts."""

from collections.abc import Sequence
from typing import Any

import keras


@keras.saving.register_keras_serializable(package="keras_faramtn")
class AttributeHead(keras.layers.Dense):
    """A fully connected layer with one logit for each attribute of a group.

    FAR-AMTN (Gao et al., CVIU 2025, 104426) has one such layer a group. The names are part of the
    layer's config, so that a loaded model still knows what it predicts.

    Args:
        attributes: names of the attributes, in the order of the logits.
        positions: place of each in the canonical order of all attributes, from 0.
        **kwargs: arguments of `keras.layers.Dense` other than `units`.

    Call arguments:
        inputs: shape `(batch, C)`, floating point.

    Returns:
        Logits, shape `(batch, len(attributes))`, in the compute dtype.

    Raises:
        ValueError: `attributes` and `positions` differ in length.
    """

    def __init__(self, attributes: Sequence[str], positions: Sequence[int], **kwargs: Any) -> None:
        if len(attributes) != len(positions):
            raise ValueError(
                f"each attribute needs one position; got {len(attributes)} attributes and "
                f"{len(positions)} positions."
            )
        super().__init__(units=len(attributes), **kwargs)
        self.attributes = tuple(attributes)
        self.positions = tuple(positions)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["units"]
        return {
            **config,
            "attributes": list(self.attributes),
            "positions": list(self.positions),
        }
