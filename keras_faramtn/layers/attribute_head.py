"""The head of an attribute group: a fully connected layer that stores its attributes' names."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from scipy.special import expit, logit

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
        temperatures: for each attribute, the temperature that its logit was divided by, already a
            part of the weights, see `divide_logits`; None for 1. They are only recorded.
        **kwargs: arguments of `keras.layers.Dense` other than `units`.

    Call arguments:
        inputs: shape `(batch, C)`, floating point.

    Returns:
        Logits, shape `(batch, len(attributes))`, in the compute dtype.

    Raises:
        ValueError: `attributes` is empty, is a string or has duplicates; `positions` has
            duplicates, has values that are not integers of 0 or more, or differs in length;
            `thresholds` differs in length, or has values outside 0..1; `temperatures` differs in
            length, or has values that are not positive.

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
        temperatures: Sequence[float] | None = None,
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
        self._temperatures = (
            None if temperatures is None else self._check_temperatures(temperatures)
        )

    @property
    def thresholds(self) -> tuple[float, ...] | None:
        """For each attribute, the probability above which it is predicted; None for 0.5."""
        return self._thresholds

    @thresholds.setter
    def thresholds(self, values: Sequence[float] | None) -> None:
        thresholds = None if values is None else self._one_each("threshold", values)
        if thresholds is not None and not all(0 <= value <= 1 for value in thresholds):
            raise ValueError(f"thresholds must be in 0..1; got {thresholds}.")
        self._thresholds = thresholds

    @property
    def temperatures(self) -> tuple[float, ...] | None:
        """For each attribute, what its logit was divided by since the training; None for 1."""
        return self._temperatures

    def divide_logits(self, temperatures: Sequence[float]) -> None:
        """Divides each logit by a temperature, from now on.

        The kernel's columns and the bias are divided, so no operation is added. Thresholds change
        in the same way, so that the predicted attributes stay the same. `temperatures` becomes the
        product of all that were applied.

        Args:
            temperatures: a positive number for each attribute.

        Raises:
            ValueError: the temperatures are not one positive number for each attribute; or the
                layer is quantized, or has LoRA weights, so that its kernel can't be divided.

        Example:
            >>> head = AttributeHead(["Smiling"], positions=[0], bias_initializer="ones")
            >>> head.build((None, 8))
            >>> head.divide_logits([2])
            >>> head.bias.numpy().tolist(), head.temperatures
            ([0.5], (2.0,))
        """
        self.check_divisible(temperatures)
        divisors = np.array(temperatures, "float64")
        for weight in (self.kernel, *([] if self.bias is None else [self.bias])):
            weight.assign(keras.ops.convert_to_numpy(weight).astype("float64") / divisors)
        if self.thresholds is not None:
            self.thresholds = expit(logit(self.thresholds) / divisors)
        product = divisors * (1 if self.temperatures is None else np.array(self.temperatures))
        self._temperatures = tuple(map(float, product))

    def check_divisible(self, temperatures: Sequence[float]) -> None:
        """Checks that `divide_logits` accepts temperatures; raises the same errors.

        Example:
            >>> AttributeHead(["Smiling"], positions=[0]).check_divisible([2])
        """
        self._check_temperatures(temperatures)
        if self.quantization_mode is not None or self.lora_enabled:
            raise ValueError(
                f"head {self.name!r} is quantized, or has LoRA weights, so its kernel can't be "
                "divided; use the model as it was trained."
            )

    def _check_temperatures(self, values: Sequence[float]) -> tuple[float, ...]:
        temperatures = self._one_each("temperature", values)
        if not all(0 < value < float("inf") for value in temperatures):
            raise ValueError(f"temperatures must be positive; got {temperatures}.")
        return temperatures

    def _one_each(self, what: str, values: Sequence[float]) -> tuple[float, ...]:
        numbers = tuple(map(float, values))
        if len(numbers) != len(self.attributes):
            raise ValueError(
                f"each attribute needs one {what}; got {len(self.attributes)} attributes and "
                f"{len(numbers)} {what}s."
            )
        return numbers

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["units"]
        return {
            **config,
            "attributes": list(self.attributes),
            "positions": list(self.positions),
            "thresholds": self.thresholds and list(self.thresholds),
            "temperatures": self.temperatures and list(self.temperatures),
        }
