"""WSGSA: one transformed feature map for all attribute groups, and a channel gate for each."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_faramtn.layers.names import distinct_names


@keras.saving.register_keras_serializable(package="keras_faramtn")
class WSGSA(keras.layers.Layer):
    """Weight-shared group-specific attention, with pooling.

    From the paper (Gao et al., "FAR-AMTN", CVIU 2025, 104426, the WSGSA module), with X the shared
    feature map, f the convolutions that all groups share, and g a group:

        Z     = GAP(X)
        Psi_g = sigmoid(W2_g relu(W1_g Z + b1_g) + b2_g)
        X'_g  = f(X) * Psi_g                     (channel by channel)

    This package's choices: f stays outside this layer. It is the last block of the backbone's high
    level, and keeps that block's weights. The layer returns the pooled product. A channel's gate is
    the same at every position, so GAP(f(X) * Psi_g) = GAP(f(X)) * Psi_g exactly, and no group needs
    a separate feature map.

    Args:
        groups: names of the attribute groups. Each group has one gate.
        reduction: W1_g maps C channels to `max(1, C // reduction)`; 16 in the paper.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        shared: X, shape `(batch, height, width, C)`, floating point, channels last.
        transformed: f(X), shape `(batch, height', width', C')`.

    Returns:
        A dict that maps each group's name to its feature, shape `(batch, C')`, in the compute
        dtype.

    Raises:
        ValueError: `groups` is empty, is a string or has duplicates, or `reduction` is below 1.

    Example:
        >>> layer = WSGSA(["eyes", "mouth"])
        >>> features = layer(keras.ops.ones((3, 4, 4, 32)), keras.ops.ones((3, 2, 2, 24)))
        >>> {group: tuple(feature.shape) for group, feature in features.items()}
        {'eyes': (3, 24), 'mouth': (3, 24)}
    """

    def __init__(self, groups: Sequence[str], reduction: int = 16, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if reduction < 1:
            raise ValueError(f"reduction must be 1 or more; got {reduction}.")
        self.groups = distinct_names("groups", groups)
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
        pooled = ops.mean(transformed, axis=(1, 2))
        return {group: pooled * gate for group, gate in self.gates(shared).items()}

    def gates(self, shared: Any) -> dict[str, Any]:
        """Psi_g of each group in 0..1, shape `(batch, C')`, from X."""
        context = ops.mean(shared, axis=(1, 2))
        return {
            group: excite(squeeze(context))
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
