"""The two networks that FAR-AMTN is compared with, on the same backbones."""

from pathlib import Path

import keras

from keras_faramtn.attributes import CELEBA_ATTRIBUTES, FACE_REGIONS, AttributeGroups, single_group
from keras_faramtn.models.backbones import build_backbone
from keras_faramtn.models.heads import attach_heads


def MultiLabel(
    backbone: str = "resnet50",
    attributes: tuple[str, ...] = CELEBA_ATTRIBUTES,
    input_shape: tuple[int, int, int] = (224, 224, 3),
    weights: str | Path | None = None,
    *,
    dropout: float = 0.0,
    name: str = "multi_label",
) -> keras.Model:
    """Builds the plain multi-label network: the backbone, pooled, and one dense layer.

    Args:
        backbone, input_shape, weights, dropout, name: as in `FARAMTN`.
        attributes: names in canonical order.

    Returns:
        A functional model as `FARAMTN` returns, with the single output `attributes`.

    Raises:
        InputError: as `FARAMTN`.
    """
    tensors = build_backbone(backbone, input_shape, weights)
    pooled = keras.layers.GlobalAveragePooling2D(name="pooling")(tensors.transformed)
    groups = single_group(attributes)
    return attach_heads(tensors.images, dict.fromkeys(groups, pooled), groups, name, dropout)


def MultiTask(
    backbone: str = "resnet50",
    groups: AttributeGroups = FACE_REGIONS,
    input_shape: tuple[int, int, int] = (224, 224, 3),
    weights: str | Path | None = None,
    *,
    dropout: float = 0.0,
    name: str = "multi_task",
) -> keras.Model:
    """Builds the traditional multi-task network: a shared trunk, a high level for each group.

    Args:
        backbone, groups, input_shape, weights, dropout, name: as in `FARAMTN`. The high levels all
            start from the same weights when `weights` is given, and from different random ones when
            not.

    Returns:
        A functional model as `FARAMTN` returns.

    Raises:
        InputError: as `FARAMTN`.
    """
    tensors = build_backbone(backbone, input_shape, weights)
    high_level = keras.Model(tensors.trunk, tensors.transformed)
    pooling = keras.layers.GlobalAveragePooling2D(name="pooling")
    features = {}
    for group in groups:
        branch = keras.models.clone_model(high_level)
        branch.name = f"{group}_high_level"
        if weights is not None:
            branch.set_weights(high_level.get_weights())
        features[group] = pooling(branch(tensors.trunk))
    return attach_heads(tensors.images, features, groups, name, dropout)
