"""WSGSA: one transformed feature for all attribute groups, a channel gate for each."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_faramtn")
class WSGSA(keras.layers.Layer):
    """Weight-shared group-specific attention, pooled.

    With X the shared feature map, f(X) the convolutions that all groups share, and g a group
    (FAR-AMTN, Gao et al., CVIU 2025, 104426, the WSGSA module):

        Z     = GAP(X)
        Psi_g = sigmoid(W2_g relu(W1_g Z + b1_g) + b2_g)
        X'_g  = f(X) * Psi_g                     (multiplied channel by channel)

    The multiplication is the last thing done on the map before it is pooled, and a channel's gate
    is the same at every place, so GAP(f(X) * Psi_g) = GAP(f(X)) * Psi_g exactly. This layer returns
    that pooled product: no group needs a feature map of its own.

    f stays outside: it is the last block of the backbone's high level, and keeps its weights.

    Args:
        groups: names of the attribute groups, one gate each.
        reduction: W1_g maps C channels to `max(1, C // reduction)`; 16 in the paper.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        shared: X, shape `(batch, height, width, C)`, floating point, channels last.
        transformed: f(X), shape `(batch, height', width', C')`.

    Returns:
        A dict from each group's name to its feature, shape `(batch, C')`, in the compute dtype.

    Raises:
        ValueError: no group, or a reduction below 1.
    """

    def __init__(self, groups: Sequence[str], reduction: int = 16, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not groups:
            raise ValueError("WSGSA needs at least one group; got none.")
        if reduction < 1:
            raise ValueError(f"reduction must be 1 or more; got {reduction}.")
        self.groups = tuple(groups)
        self.reduction = reduction

    def build(self, shared_shape: tuple, transformed_shape: tuple) -> None:
        shared_channels, transformed_channels = shared_shape[-1], transformed_shape[-1]
        hidden = max(1, shared_channels // self.reduction)
        self.squeezes = [
            keras.layers.Dense(
                hidden, activation="relu", name=f"{group}_squeeze", dtype=self.dtype_policy
            )
            for group in self.groups
        ]
        self.excites = [
            keras.layers.Dense(
                transformed_channels,
                activation="sigmoid",
                name=f"{group}_excite",
                dtype=self.dtype_policy,
            )
            for group in self.groups
        ]
        for squeeze, excite in zip(self.squeezes, self.excites, strict=True):
            squeeze.build((None, shared_channels))
            excite.build((None, hidden))

    def call(self, shared: Any, transformed: Any) -> dict[str, Any]:
        context = ops.mean(shared, axis=(1, 2))
        pooled = ops.mean(transformed, axis=(1, 2))
        return {
            group: pooled * excite(squeeze(context))
            for group, squeeze, excite in zip(self.groups, self.squeezes, self.excites, strict=True)
        }

    def compute_output_shape(
        self, shared_shape: tuple, transformed_shape: tuple
    ) -> dict[str, tuple]:
        shape = (transformed_shape[0], transformed_shape[-1])
        return dict.fromkeys(self.groups, shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "groups": list(self.groups),
            "reduction": self.reduction,
        }
