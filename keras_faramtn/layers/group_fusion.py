"""CGFF: the groups' features look at one another before the heads."""

import math
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_faramtn")
class CGFF(keras.layers.Layer):
    """Cross-group feature fusion by attention between groups.

    That the groups' features interact before the heads is FAR-AMTN's (Gao et al., CVIU 2025,
    104426); its formula is not public, so this one is the package's own. With T the matrix of the
    groups' features, one row a group:

        Q = T W_q,  K = T W_k,  V = T W_v
        T' = T + softmax(Q K^T / sqrt(d)) V W_o

    W_o starts at zero, so an untrained CGFF is exactly the network without it. All groups share
    the four matrices, so the order of the groups is without effect.

    Args:
        dim: d, the width of queries, keys and values.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        features: a dict from each group's name to its feature, shape `(batch, C)`, floating point.

    Returns:
        A dict of the same names and shapes, in the compute dtype.

    Raises:
        ValueError: a `dim` below 1, or groups whose features differ in shape.
    """

    def __init__(self, dim: int = 32, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if dim < 1:
            raise ValueError(f"dim must be 1 or more; got {dim}.")
        self.dim = dim

    def build(self, features_shape: dict[str, tuple]) -> None:
        widths = {group: shape[-1] for group, shape in features_shape.items()}
        if len(set(widths.values())) != 1:
            raise ValueError(f"CGFF needs features of one width for all groups; got {widths}.")
        channels = next(iter(widths.values()))
        self.query, self.key, self.value = (
            keras.layers.Dense(self.dim, use_bias=False, name=name, dtype=self.dtype_policy)
            for name in ("query", "key", "value")
        )
        self.output_projection = keras.layers.Dense(
            channels,
            use_bias=False,
            kernel_initializer="zeros",
            name="output_projection",
            dtype=self.dtype_policy,
        )
        for projection in (self.query, self.key, self.value):
            projection.build((None, None, channels))
        self.output_projection.build((None, None, self.dim))

    def call(self, features: dict[str, Any]) -> dict[str, Any]:
        stacked = ops.stack(list(features.values()), axis=1)
        similarity = ops.matmul(
            self.query(stacked), ops.transpose(self.key(stacked), (0, 2, 1))
        ) / math.sqrt(self.dim)
        mixed = ops.matmul(ops.softmax(similarity, axis=-1), self.value(stacked))
        # Android's GPU delegate splits, but does not unstack.
        fused = ops.split(self.output_projection(mixed), len(features), axis=1)
        return {
            group: feature + ops.squeeze(addition, axis=1)
            for (group, feature), addition in zip(features.items(), fused, strict=True)
        }

    def compute_output_shape(self, features_shape: dict[str, tuple]) -> dict[str, tuple]:
        return dict(features_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dim": self.dim}
