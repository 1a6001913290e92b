"""The head of an attribute group: a fully connected layer that stores its attributes' names."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_faramtn.layers.names import distinct_names


@keras.saving.register_keras_serializable(package="keras_faramtn")
class AttributeHead(keras.layers.Dense):
    """A fully connected layer with one logit for each attribute of a group.

    FAR-AMTN (Gao et al., CVIU 2025, 104426) has one such layer per group. The names are part of
    the layer's config, so that a loaded model still knows what it predicts.

    Args:
        attributes: names of the attributes, in the order of the logits.
        positions: index of each attribute in the canonical order of all attributes, from 0.
        thresholds: for each attribute, the probability above which it is predicted, in 0..1; None
            for 0.5. Like the names, they are only recorded; the attribute may be set later.
        **kwargs: arguments of `keras.layers.Dense` other than `units`.

    Call arguments:
        inputs: shape `(batch, C)`, floating point.

    Returns:
        Logits, shape `(batch, len(attributes))`, in the compute dtype.

    Raises:
        ValueError: `attributes` is empty, is a string or has duplicates; `positions` has
            duplicates, has values that are not integers of 0 or more, or differs in length;
            `thresholds` differs in length, or has values outside 0..1.

    Example:
        >>> head = AttributeHead(["Smiling", "Big_Lips"], positions=[31, 6], name="mouth")
        >>> tuple(head(keras.ops.ones((3, 8))).shape)
        (3, 2)
    """

    def __init__(
        self,
        attributes: Sequence[str],
        positions: Sequence[int],
        thresholds: Sequence[float] | None = None,
        **kwargs: Any,
    ) -> None:
        attributes = distinct_names("attributes", attributes)
        positions = tuple(positions)
        if len(attributes) != len(positions):
            raise ValueError(
                f"each attribute needs one position; got {len(attributes)} attributes and "
                f"{len(positions)} positions."
            )
        valid = all(isinstance(position, int) and position >= 0 for position in positions)
        if not valid or len(set(positions)) != len(positions):
            raise ValueError(f"positions must be different integers from 0; got {positions}.")
        super().__init__(units=len(attributes), **kwargs)
        self.attributes = attributes
        self.positions = positions
        self.thresholds = thresholds

    @property
    def thresholds(self) -> tuple[float, ...] | None:
        """For each attribute, the probability above which it is predicted; None for 0.5."""
        return self._thresholds

    @thresholds.setter
    def thresholds(self, values: Sequence[float] | None) -> None:
        thresholds = None if values is None else tuple(map(float, values))
        if thresholds is not None and len(thresholds) != len(self.attributes):
            raise ValueError(
                f"each attribute needs one threshold; got {len(self.attributes)} attributes and "
                f"{len(thresholds)} thresholds."
            )
        if thresholds is not None and not all(0 <= value <= 1 for value in thresholds):
            raise ValueError(f"thresholds must be in 0..1; got {thresholds}.")
        self._thresholds = thresholds

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["units"]
        return {
            **config,
            "attributes": list(self.attributes),
            "positions": list(self.positions),
            "thresholds": self.thresholds and list(self.thresholds),
        }
