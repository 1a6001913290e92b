"""The compared networks: the package's own, and other readings of WSGSA."""

import functools
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_faramtn import FARAMTN, AttributeGroups, MultiLabel
from keras_faramtn.keras_internals import call_that_returned
from keras_faramtn.layers import CGFF, WSGSA
from keras_faramtn.models.backbones import build_backbone
from keras_faramtn.models.heads import attach_heads

Shape = tuple[int, int, int]
Backbone = str | keras.Model


class Gates(WSGSA):
    """The gates of WSGSA, without their product with a feature map."""

    def call(self, shared: Any, transformed: Any) -> dict[str, Any]:
        return self.gates(shared)


class GatedResidual(keras.layers.Layer):
    """X + gate_g * branch for each group, stacked along the batch."""

    def call(self, shared: Any, branch: Any, gates: dict[str, Any]) -> Any:
        return ops.concatenate(
            [shared + branch * gate[:, None, None] for gate in gates.values()], axis=0
        )


class SplitGroups(keras.layers.Layer):
    """Undoes the stacking of groups, after pooling."""

    def __init__(self, groups: tuple[str, ...], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.groups = groups

    def call(self, stacked: Any) -> dict[str, Any]:
        return dict(zip(self.groups, ops.split(stacked, len(self.groups), axis=0), strict=True))

    def compute_output_shape(self, stacked_shape: tuple) -> dict[str, tuple]:
        return dict.fromkeys(self.groups, stacked_shape)


class SpatialWSGSA(WSGSA):
    """WSGSA that pools with a map of weights for each group; at first, all weights are equal."""

    def build(self, shared_shape: tuple, transformed_shape: tuple) -> None:
        super().build(shared_shape, transformed_shape)
        self.maps = self.add_weight(
            name="maps", shape=(transformed_shape[-1], len(self.groups)), initializer="zeros"
        )

    def call(self, shared: Any, transformed: Any) -> dict[str, Any]:
        positions = ops.reshape(transformed, (ops.shape(transformed)[0], -1, self.maps.shape[0]))
        weights = ops.softmax(positions @ self.maps, axis=1)  # (batch, positions, groups)
        pooled = ops.einsum("bpg,bpc->gbc", weights, positions)
        return {
            group: pooled[index] * gate
            for index, (group, gate) in enumerate(self.gates(shared).items())
        }


def _variant(
    attention: Callable[[tuple[str, ...], Any], dict[str, Any]],
    backbone: Backbone,
    groups: AttributeGroups,
    shape: Shape,
) -> keras.Model:
    """FAR-AMTN with another attention."""
    tensors = build_backbone(backbone, shape)
    features = attention(tuple(groups), tensors)
    features = CGFF(tuple(groups), name="group_fusion")(features, tensors.trunk)
    return attach_heads(tensors.images, features, groups, "variant")


def _finer(groups: tuple[str, ...], tensors: Any) -> dict[str, Any]:
    """The gates depend on the trunk's feature map, of twice the resolution."""
    return WSGSA(groups, name="group_attention")(tensors.trunk, tensors.transformed)


def _spatial(groups: tuple[str, ...], tensors: Any) -> dict[str, Any]:
    """Each group pools the feature map with its own map of weights."""
    return SpatialWSGSA(groups, name="group_attention")(tensors.shared, tensors.transformed)


def _residual(groups: tuple[str, ...], tensors: Any) -> dict[str, Any]:
    """The gates act on the residual branch, before the shortcut's addition and the activation."""
    after_addition: list[keras.layers.Layer] = []
    layer, inputs = call_that_returned(tensors.transformed)
    while not isinstance(layer, keras.layers.Add):
        after_addition.insert(0, layer)
        layer, inputs = call_that_returned(inputs[0])
    (branch,) = (tensor for tensor in inputs if tensor is not tensors.shared)
    gates = Gates(groups, name="group_attention")(tensors.shared, branch)
    x = GatedResidual(name="stacked")(tensors.shared, branch, gates)
    for layer in after_addition:
        x = layer(x)
    pooled = keras.layers.GlobalAveragePooling2D(name="pooling")(x)
    return SplitGroups(groups, name="split")(pooled)


def _plain(backbone: Backbone, groups: AttributeGroups, shape: Shape) -> keras.Model:
    return MultiLabel(backbone, groups.attributes, shape)


NETWORKS: dict[str, Callable[[Backbone, AttributeGroups, Shape], keras.Model]] = {
    "plain": _plain,
    "FARAMTN": FARAMTN,
    "without_WSGSA": functools.partial(FARAMTN, attention=False),
    "without_CGFF": functools.partial(FARAMTN, fusion=False),
    "WSGSA_residual": functools.partial(_variant, _residual),
    "WSGSA_spatial": functools.partial(_variant, _spatial),
    "WSGSA_finer": functools.partial(_variant, _finer),
}
"""The networks by name."""
