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

        S = [T W_t; F W_f]                     all of one width, d
        Q = T W_t W_q + B,  K = S W_k,  V = S W_v
        T' = T + silu(softmax(Q K^T / sqrt(d / heads)) V) W_o

    the attention in several heads of d / heads each (Vaswani et al., NeurIPS 2017).

    Pooled features no longer say where on the face something is, nor what is smaller than a place
    of the last map. A group gets that back from the places of the trunk's finer map that it attends
    to, as a label does in Query2Label (Liu et al., arXiv 2107.10834). B, one learned row a group,
    lets the groups look at different places from the start. W_o starts at zero, so an untrained
    CGFF is exactly the network without it.

    Args:
        groups: names of the attribute groups.
        dim: d, the width in which the groups look at one another.
        heads: in how many heads, a divisor of `dim`.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        features: a dict from each group's name to its feature, shape `(batch, C)`, floating point.
        trunk: shape `(batch, height, width, C')`, channels last; height and width are known.

    Returns:
        A dict of the names and shapes of `features`, in the compute dtype.

    Raises:
        ValueError: no group, a `dim` that is no multiple of the heads, other groups than these, or
            features that differ in width.
    """

    def __init__(self, groups: Sequence[str], dim: int = 64, heads: int = 4, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not groups:
            raise ValueError("CGFF needs at least one group; got none.")
        if heads < 1 or dim < 1 or dim % heads:
            raise ValueError(
                f"dim must be a multiple of heads, both 1 or more; got {dim} and {heads}."
            )
        self.groups = tuple(groups)
        self.dim = dim
        self.heads = heads

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
        self.group_projection = self._projection("group_projection", self.dim, channels)
        self.place_projection = self._projection("place_projection", self.dim, trunk_shape[-1])
        self.query, self.key, self.value = (
            self._projection(name, self.dim, self.dim) for name in ("query", "key", "value")
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
        groups = self.group_projection(ops.concatenate(rows, axis=1))
        places = self.place_projection(ops.reshape(trunk, (-1, height * width, channels)))
        seen = ops.concatenate([groups, places], axis=1)
        # Added as one row for all groups: LiteRT's GPU goes wrong where it adds a matrix to them.
        bias = ops.cast(ops.reshape(self.query_bias, (-1,)), self.compute_dtype)
        query = ops.reshape(self.query(groups), (-1, len(self.groups) * self.dim)) + bias
        query = ops.reshape(query, (-1, len(self.groups), self.dim))
        parts = (
            ops.split(each, self.heads, axis=-1)
            for each in (query, self.key(seen), self.value(seen))
        )
        heads = [_attended(*head) for head in zip(*parts, strict=True)]
        mixed = ops.silu(ops.concatenate(heads, axis=-1))
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
        return {
            **super().get_config(),
            "groups": list(self.groups),
            "dim": self.dim,
            "heads": self.heads,
        }


def _attended(query: Any, key: Any, value: Any) -> Any:
    """What the rows of one head see: softmax(Q K^T / sqrt(width)) V."""
    similarity = ops.matmul(query, ops.transpose(key, (0, 2, 1))) / math.sqrt(query.shape[-1])
    return ops.matmul(ops.softmax(similarity, axis=-1), value)
