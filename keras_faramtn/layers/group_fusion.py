"""CGFF: the groups' features look at one another, and at the face, before the heads."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_faramtn")
class CGFF(keras.layers.Layer):
    """Cross-group feature fusion by attention: of each group to all groups and to all places.

    That the groups' features interact before the heads is FAR-AMTN's (Gao et al., CVIU 2025,
    104426); its formula is not public, so this one is the package's own. With T the matrix of the
    groups' features, one row a group, and F the trunk's map, one row a place:

        Q = T W_q + B,  K = [T W_k; F U_k],  V = [T W_v; F U_v]
        T' = T + silu(softmax(Q K^T / sqrt(d)) V) W_o

    Pooled features no longer say where on the face something is, nor what is smaller than a place
    of the last map. A group gets that back from the places of the trunk's finer map that it attends
    to, as a label does in Query2Label (Liu et al., arXiv 2107.10834). B, one learned row a group,
    lets the groups look at different places from the start. W_o starts at zero, so an untrained
    CGFF is exactly the network without it.

    Args:
        groups: names of the attribute groups.
        dim: d, the width of queries, keys and values.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        features: a dict from each group's name to its feature, shape `(batch, C)`, floating point.
        trunk: shape `(batch, height, width, C')`, channels last; height and width are known.

    Returns:
        A dict of the names and shapes of `features`, in the compute dtype.

    Raises:
        ValueError: no group, a `dim` below 1, other groups than these, or features that differ in
            width.
    """

    def __init__(self, groups: Sequence[str], dim: int = 32, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not groups:
            raise ValueError("CGFF needs at least one group; got none.")
        if dim < 1:
            raise ValueError(f"dim must be 1 or more; got {dim}.")
        self.groups = tuple(groups)
        self.dim = dim

    def build(self, features_shape: dict[str, tuple], trunk_shape: tuple) -> None:
        if set(features_shape) != set(self.groups):
            raise ValueError(
                f"CGFF was made for the groups {', '.join(self.groups)}; got features of "
                f"{', '.join(features_shape)}."
            )
        widths = {group: shape[-1] for group, shape in features_shape.items()}
        if len(set(widths.values())) != 1:
            raise ValueError(f"CGFF needs features of one width for all groups; got {widths}.")
        channels = next(iter(widths.values()))
        self.query, self.key, self.value = (
            self._projection(name, self.dim, channels) for name in ("query", "key", "value")
        )
        self.place_key, self.place_value = (
            self._projection(name, self.dim, trunk_shape[-1])
            for name in ("place_key", "place_value")
        )
        self.output_projection = self._projection(
            "output_projection", channels, self.dim, kernel_initializer="zeros"
        )
        # As large as what tells the places apart: else all groups begin by looking at the same.
        self.query_bias = self.add_weight(
            name="query_bias",
            shape=(len(self.groups), self.dim),
            initializer=keras.initializers.RandomNormal(stddev=1.0),
        )

    def _projection(
        self, name: str, outputs: int, inputs: int, **kwargs: Any
    ) -> keras.layers.Dense:
        projection = keras.layers.Dense(
            outputs, use_bias=False, name=name, dtype=self.dtype_policy, **kwargs
        )
        projection.build((None, None, inputs))
        return projection

    def call(self, features: dict[str, Any], trunk: Any) -> dict[str, Any]:
        _, height, width, channels = trunk.shape
        # Not stacked: TensorFlow's graph optimizer breaks a stack of one feature for all groups.
        rows = [ops.expand_dims(features[group], axis=1) for group in self.groups]
        stacked = ops.concatenate(rows, axis=1)
        places = ops.reshape(trunk, (-1, height * width, channels))
        query = self.query(stacked) + ops.cast(self.query_bias, self.compute_dtype)
        key = ops.concatenate([self.key(stacked), self.place_key(places)], axis=1)
        value = ops.concatenate([self.value(stacked), self.place_value(places)], axis=1)
        similarity = ops.matmul(query, ops.transpose(key, (0, 2, 1))) / math.sqrt(self.dim)
        mixed = ops.silu(ops.matmul(ops.softmax(similarity, axis=-1), value))
        # Android's GPU delegate splits, but does not unstack.
        fused = ops.split(self.output_projection(mixed), len(self.groups), axis=1)
        return {
            group: features[group] + ops.squeeze(addition, axis=1)
            for group, addition in zip(self.groups, fused, strict=True)
        }

    def compute_output_shape(
        self, features_shape: dict[str, tuple], trunk_shape: tuple
    ) -> dict[str, tuple]:
        return {group: features_shape[group] for group in self.groups}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "groups": list(self.groups), "dim": self.dim}
