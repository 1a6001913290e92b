"""The two baselines of FAR-AMTN, on the same backbones: multi-label and multi-task."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from keras_faramtn.attributes import CELEBA_ATTRIBUTES, FACE_REGIONS, AttributeGroups, single_group
from keras_faramtn.errors import InputError
from keras_faramtn.models.backbones import build_backbone
from keras_faramtn.models.heads import attach_heads, check_head_arguments
from keras_faramtn.models.library_backbones import is_vision_transformer


def MultiLabel(
    backbone: str | keras.Model = "resnet50",
    attributes: Sequence[str] = CELEBA_ATTRIBUTES,
    input_shape: tuple[int, int, int] = (224, 224, 3),
    weights: str | Path | None = None,
    *,
    dropout: float = 0.0,
    image_converter: Any = None,
    name: str = "multi_label",
) -> keras.Model:
    """Builds the plain multi-label network: the backbone, global pooling and one dense layer.

    Args:
        backbone, input_shape, weights, dropout, image_converter, name: see `FARAMTN`.
        attributes: attribute names in canonical order.

    Returns:
        A functional model like that of `FARAMTN`, with the single output `attributes`.

    Raises:
        InputError: see `FARAMTN`; or `attributes` is not a list of distinct names.

    Example:
        >>> model = MultiLabel("mobilenetv3_small", ["Smiling", "Young"], (32, 32, 3))
        >>> tuple(model(keras.ops.zeros((4, 32, 32, 3)))["attributes"].shape)
        (4, 2)
    """
    if isinstance(attributes, str):
        raise InputError(f"attributes must be a list of names; got the string {attributes!r}.")
    try:
        groups = single_group(attributes)
    except (TypeError, ValueError) as error:
        raise InputError(f"attributes must be a list of distinct names: {error}") from error
    check_head_arguments(groups, dropout, name)
    tensors = build_backbone(backbone, input_shape, weights, image_converter)
    pooled = keras.layers.GlobalAveragePooling2D(name="pooling")(tensors.transformed)
    return attach_heads(tensors.images, dict.fromkeys(groups, pooled), groups, name, dropout)


def MultiTask(
    backbone: str | keras.Model = "resnet50",
    groups: AttributeGroups = FACE_REGIONS,
    input_shape: tuple[int, int, int] = (224, 224, 3),
    weights: str | Path | None = None,
    *,
    dropout: float = 0.0,
    image_converter: Any = None,
    name: str = "multi_task",
) -> keras.Model:
    """Builds the traditional multi-task network: a shared trunk and one high level per group.

    Args:
        backbone, groups, input_shape, weights, dropout, image_converter, name: see `FARAMTN`.
            With `weights` or a backbone object, all high levels start from the same weights;
            otherwise from different random weights. A vision transformer can't be split into trunk
            and high level.

    Returns:
        A functional model like that of `FARAMTN`.

    Raises:
        InputError: see `FARAMTN`; or the backbone is a vision transformer.

    Example:
        >>> groups = AttributeGroups({"mouth": ["Smiling"], "age": ["Young"]}, ["Smiling", "Young"])
        >>> model = MultiTask("mobilenetv3_small", groups, (32, 32, 3))
        >>> sorted(model.output_names)
        ['age', 'mouth']
    """
    check_head_arguments(groups, dropout, name)
    if is_vision_transformer(backbone):
        raise InputError(
            "MultiTask can't use a vision transformer as backbone: it has no high level of its own "
            "that could be repeated for each group. Use FARAMTN, or another backbone."
        )
    tensors = build_backbone(backbone, input_shape, weights, image_converter)
    high_level = keras.Model(tensors.trunk, tensors.transformed)
    pooling = keras.layers.GlobalAveragePooling2D(name="pooling")
    features = {}
    for group in groups:
        branch = keras.models.clone_model(high_level)
        branch.name = f"{group}_high_level"
        if weights is not None or isinstance(backbone, keras.Model):
            branch.set_weights(high_level.get_weights())
        features[group] = pooling(branch(tensors.trunk))
    return attach_heads(tensors.images, features, groups, name, dropout)
