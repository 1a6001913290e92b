"""CGFF: each group's feature attends to all groups and to the trunk's feature map."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_faramtn.layers.names import distinct_names


@keras.saving.register_keras_serializable(package="keras_faramtn")
class CGFF(keras.layers.Layer):
    """Cross-group feature fusion by attention over all groups and all spatial positions.

    From the paper (Gao et al., "FAR-AMTN", CVIU 2025, 104426): the groups' features interact before
    the heads. Its formula is not public. The formula below is this package's choice. With T the
    matrix of the groups' features, one row per group, and F the trunk's feature map, one row per
    position:

        S = [T W_t; F W_f]                     (all rows of width d)
        Q = T W_t W_q + B,  K = S W_k,  V = S W_v
        T' = T + silu(softmax(Q K^T / sqrt(d / heads)) V) W_o

    The attention has several heads of width d / heads each (Vaswani et al., NeurIPS 2017).

    Pooled features contain neither the location of a detail nor any detail that is smaller than a
    position of the last feature map. A group recovers both from the positions of the trunk's finer
    map that it attends to, as a label does in Query2Label (Liu et al., arXiv 2107.10834). B, one
    learned row per group, lets the groups attend to different positions from the start. W_o is
    initialised with zeros, so an untrained CGFF is exactly the network without it.

    Args:
        groups: names of the attribute groups.
        dim: d, the width of queries, keys and values.
        heads: number of attention heads, a divisor of `dim`.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        features: a dict that maps each group's name to its feature, shape `(batch, C)`, floating
            point.
        trunk: shape `(batch, height, width, C')`, channels last; height and width are fixed.

    Returns:
        A dict with the names and shapes of `features`, in the compute dtype.

    Raises:
        ValueError: `groups` is empty, is a string or has duplicates; `dim` is not a multiple of
            `heads`; the features are of other groups or differ in width; or the trunk's height or
            width is unknown.

    Example:
        >>> layer = CGFF(["eyes", "mouth"], dim=8, heads=2)
        >>> features = {"eyes": keras.ops.ones((3, 24)), "mouth": keras.ops.ones((3, 24))}
        >>> fused = layer(features, keras.ops.ones((3, 4, 4, 16)))
        >>> {group: tuple(feature.shape) for group, feature in fused.items()}
        {'eyes': (3, 24), 'mouth': (3, 24)}
    """

    def __init__(self, groups: Sequence[str], dim: int = 64, heads: int = 4, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if heads < 1 or dim < 1 or dim % heads:
            raise ValueError(
                f"dim must be a multiple of heads, both 1 or more; got dim={dim} and heads={heads}."
            )
        self.groups = distinct_names("groups", groups)
        self.dim = dim
        self.heads = heads

    def build(self, features_shape: dict[str, tuple], trunk_shape: tuple) -> None:
        if set(features_shape) != set(self.groups):
            raise ValueError(
                f"CGFF was created for the groups {', '.join(self.groups)}; got features of "
                f"{', '.join(features_shape)}."
            )
        widths = {group: shape[-1] for group, shape in features_shape.items()}
        if len(set(widths.values())) != 1:
            raise ValueError(f"CGFF needs features of the same width for all groups; got {widths}.")
        if None in trunk_shape[1:]:
            raise ValueError(f"CGFF needs a trunk of fixed height and width; got {trunk_shape}.")
        channels = next(iter(widths.values()))
        self.group_projection = self._projection("group_projection", self.dim, channels)
        self.position_projection = self._projection(
            "position_projection", self.dim, trunk_shape[-1]
        )
        self.query, self.key, self.value = (
            self._projection(name, self.dim, self.dim) for name in ("query", "key", "value")
        )
        self.output_projection = self._projection(
            "output_projection", channels, self.dim, kernel_initializer="zeros"
        )
        # On the scale of the differences between positions: with a smaller bias, all groups would
        # start by attending to the same positions.
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
        heads = [ops.matmul(weights, value) for weights, value in self.attend(features, trunk)]
        mixed = ops.silu(ops.concatenate(heads, axis=-1))
        # Android's GPU delegate supports split, but not unstack.
        fused = ops.split(self.output_projection(mixed), len(self.groups), axis=1)
        return {
            group: features[group] + ops.squeeze(addition, axis=1)
            for group, addition in zip(self.groups, fused, strict=True)
        }

    def attend(self, features: dict[str, Any], trunk: Any) -> list[tuple[Any, Any]]:
        """Attention weights and values of each head.

        Returns:
            For each head softmax(Q K^T / sqrt(d / heads)), shape `(batch, groups, groups +
            positions)`, and V, shape `(batch, groups + positions, d / heads)`. The positions are
            those of the trunk, row by row.
        """
        _, height, width, channels = trunk.shape
        # Concatenated, not stacked: TensorFlow's graph optimizer breaks a stack of one tensor that
        # is the feature of all groups.
        rows = [ops.expand_dims(features[group], axis=1) for group in self.groups]
        groups = self.group_projection(ops.concatenate(rows, axis=1))
        positions = self.position_projection(ops.reshape(trunk, (-1, height * width, channels)))
        attended = ops.concatenate([groups, positions], axis=1)
        # Added as one flat row for all groups: LiteRT's GPU computes the sum of a batch and a
        # matrix incorrectly.
        bias = ops.cast(ops.reshape(self.query_bias, (-1,)), self.compute_dtype)
        query = ops.reshape(self.query(groups), (-1, len(self.groups) * self.dim)) + bias
        query = ops.reshape(query, (-1, len(self.groups), self.dim))
        by_head = (
            ops.split(tensor, self.heads, axis=-1)
            for tensor in (query, self.key(attended), self.value(attended))
        )
        return [
            (_attention_weights(query, key), value)
            for query, key, value in zip(*by_head, strict=True)
        ]

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


def _attention_weights(query: Any, key: Any) -> Any:
    """softmax(Q K^T / sqrt(width)) of one head."""
    similarity = ops.matmul(query, ops.transpose(key, (0, 2, 1))) / math.sqrt(query.shape[-1])
    return ops.softmax(similarity, axis=-1)
