"""FAR-AMTN, assembled from backbone, group attention, group fusion and heads."""

from pathlib import Path

import keras

from keras_faramtn.attributes import FACE_REGIONS, AttributeGroups
from keras_faramtn.layers import CGFF, WSGSA
from keras_faramtn.models.backbones import build_backbone
from keras_faramtn.models.heads import attach_heads


def FARAMTN(
    backbone: str = "resnet50",
    groups: AttributeGroups = FACE_REGIONS,
    input_shape: tuple[int, int, int] = (224, 224, 3),
    weights: str | Path | None = None,
    *,
    attention: bool = True,
    fusion: bool = True,
    dropout: float = 0.0,
    name: str = "faramtn",
) -> keras.Model:
    """Builds FAR-AMTN, the attention multi-task network for face attributes.

    Gao et al., "FAR-AMTN: Attention Multi-Task Network for Face Attribute Recognition", CVIU 2025,
    104426. WSGSA takes the place of the high level's last block: its convolutions, with their
    shortcut where the backbone has one, are f, shared by all groups (section on WSGSA).

    Args:
        backbone: `resnet50` (the paper's), `mobilenetv3_large`, `mobilenetv3_small` or
            `efficientnetv2_b0`.
        groups: the attributes and their groups; one output a group.
        input_shape: `(height, width, 3)` of the images, at least 32 each.
        weights: None, `"imagenet"`, or the path of a weights file of the `keras.applications`
            network without its top. They go into the trunk and the high level.
        attention: False leaves WSGSA out (all groups see the same pooled feature), to measure it.
        fusion: False leaves CGFF out, to measure it.
        dropout: the share of each group's feature that is dropped before its head in training, in
            0..1 without 1.
        name: name of the model.

    Returns:
        A functional model. Input `images`: `(batch, height, width, 3)`, float or uint8, RGB in
        0..255; the normalisation is inside. Output: a dict from each group's name to its logits,
        float32, `(batch, len(groups[name]))`.

    Raises:
        InputError: an unknown backbone, an input shape it can't take, a weights file that is
            missing or made for another network, or a group named like a layer of the network.
    """
    tensors = build_backbone(backbone, input_shape, weights)
    if attention:
        features = WSGSA(tuple(groups), name="group_attention")(tensors.shared, tensors.transformed)
    else:
        pooled = keras.layers.GlobalAveragePooling2D(name="pooling")(tensors.transformed)
        features = dict.fromkeys(groups, pooled)
    if fusion:
        features = CGFF(tuple(groups), name="group_fusion")(features, tensors.trunk)
    return attach_heads(tensors.images, features, groups, name, dropout)
