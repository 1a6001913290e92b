"""The FAR-AMTN network: backbone, WSGSA, CGFF and heads."""

from pathlib import Path
from typing import Any

import keras

from keras_faramtn.attributes import FACE_REGIONS, AttributeGroups
from keras_faramtn.layers import CGFF, WSGSA
from keras_faramtn.models.backbones import build_backbone
from keras_faramtn.models.heads import attach_heads, check_head_arguments


def FARAMTN(
    backbone: str | keras.Model = "resnet50",
    groups: AttributeGroups = FACE_REGIONS,
    input_shape: tuple[int, int, int] = (224, 224, 3),
    weights: str | Path | None = None,
    *,
    attention: bool = True,
    fusion: bool = True,
    dropout: float = 0.0,
    image_converter: Any = None,
    name: str = "faramtn",
) -> keras.Model:
    """Builds FAR-AMTN, the attention multi-task network for face attribute recognition.

    Gao et al., "FAR-AMTN: Attention Multi-Task Network for Face Attribute Recognition", CVIU 2025,
    104426. WSGSA replaces the last block of the high level: the block's convolutions, with their
    shortcut where the backbone has one, are f, which all groups share.

    Args:
        backbone: `resnet50` (as in the paper), `mobilenetv3_large`, `mobilenetv3_small` or
            `efficientnetv2_b0`; or a backbone object of KerasHub or KerasCV with feature maps of
            several resolutions, or a vision transformer of KerasHub. The network uses its layers
            and weights; they are not copied.
        groups: the attributes and their groups; the network has one output per group.
        input_shape: `(height, width, 3)` of the images; height and width at least 32.
        weights: None, `"imagenet"`, or the path of a weights file of the `keras.applications`
            network without its top. The weights initialise the trunk and the high level. None for
            a backbone object.
        attention: whether the network has WSGSA; without it, all groups use the same pooled
            feature. For ablation studies.
        fusion: whether the network has CGFF. For ablation studies.
        dropout: fraction of each group's feature that is dropped before its head in training, at
            least 0 and below 1.
        image_converter: for a backbone object: the preprocessing that its weights expect, with a
            `scale` and an `offset` of pixels in 0..255, such as
            `keras_hub.layers.ImageConverter.from_preset(...)` or a `keras.layers.Rescaling`. It
            becomes part of the model; its image size is not used. By default, pixels are scaled to
            0..1 for KerasCV, and normalised with ImageNet's mean and standard deviation for
            KerasHub.
        name: name of the model.

    Returns:
        A functional model. Input `images`: `(batch, height, width, 3)`, float or uint8, RGB in
        0..255; the model contains the normalisation. Output: a dict that maps each group's name to
        its logits, float32, `(batch, len(groups[group]))`.

    Raises:
        InputError: an argument is invalid; the weights file is missing or belongs to another
            network; the backbone has no feature maps of several resolutions, or was built for
            images of another shape; a group has the same name as a layer of the network; or Keras
            is configured for channels first.

    Example:
        >>> groups = AttributeGroups({"mouth": ["Smiling"], "age": ["Young"]}, ["Smiling", "Young"])
        >>> model = FARAMTN("mobilenetv3_small", groups, (32, 32, 3))
        >>> logits = model(keras.ops.zeros((4, 32, 32, 3)))
        >>> {group: tuple(logit.shape) for group, logit in logits.items()}
        {'mouth': (4, 1), 'age': (4, 1)}
    """
    check_head_arguments(groups, dropout, name)
    tensors = build_backbone(backbone, input_shape, weights, image_converter)
    if attention:
        features = WSGSA(tuple(groups), name="group_attention")(tensors.shared, tensors.transformed)
    else:
        pooled = keras.layers.GlobalAveragePooling2D(name="pooling")(tensors.transformed)
        features = dict.fromkeys(groups, pooled)
    if fusion:
        features = CGFF(tuple(groups), name="group_fusion")(features, tensors.trunk)
    return attach_heads(tensors.images, features, groups, name, dropout)
