"""FAR-AMTN, assembled from backbone, group attention, group fusion and heads."""

from pathlib import Path
from typing import Any

import keras

from keras_faramtn.attributes import FACE_REGIONS, AttributeGroups
from keras_faramtn.errors import InputError
from keras_faramtn.layers import CGFF, WSGSA, AttributeHead, AttributeProbabilities
from keras_faramtn.models.backbones import build_backbone


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
        input_shape: `(height, width, 3)` of the pictures, at least 32 each.
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


def attach_heads(
    images: Any,
    features: dict[str, Any],
    groups: AttributeGroups,
    name: str,
    dropout: float = 0.0,
) -> keras.Model:
    """The model from `images` to a dict of logits: a head on each group's feature.

    With `dropout` above 0, that share of each feature is dropped before its head in training.
    Logits are float32 also under a mixed precision policy, so that the loss is.

    Raises:
        InputError: a group is named like a layer of the network.
    """
    if dropout:
        features = {
            group: keras.layers.Dropout(dropout, name=f"{group}_dropout")(features[group])
            for group in groups
        }
    logits = {
        group: AttributeHead(groups[group], groups.positions(group), name=group, dtype="float32")(
            features[group]
        )
        for group in groups
    }
    body = keras.Model(images, list(features.values()))
    taken = sorted({layer.name for layer in body.layers} & set(groups))
    if taken:
        raise InputError(
            f"group {taken[0]!r} has the name of a layer of the network; choose another name."
        )
    return keras.Model(images, logits, name=name)


def groups_of(model: keras.Model) -> AttributeGroups:
    """The attributes and groups that `model` predicts, read from its heads.

    Raises:
        InputError: the model has no attribute heads, so it was not made by this package.
    """
    heads = [layer for layer in model.layers if isinstance(layer, AttributeHead)]
    if not heads:
        raise InputError(
            f"model {model.name!r} has no attribute heads; give one made by keras_faramtn."
        )
    places = {
        place: attribute
        for head in heads
        for place, attribute in zip(head.positions, head.attributes, strict=True)
    }
    attributes = [places[place] for place in sorted(places)]
    return AttributeGroups({head.name: head.attributes for head in heads}, attributes)


def inference_model(model: keras.Model) -> keras.Model:
    """The model for use: one output of probabilities instead of logits by group.

    Args:
        model: a network of this package; its layers and weights are shared, not copied.

    Returns:
        A functional model from `images` to `probabilities`, float32 in 0..1, shape
        `(batch, number of attributes)`, columns in the canonical order
        `groups_of(model).attributes`.

    Raises:
        InputError: the model has no attribute heads.
    """
    groups = groups_of(model)
    probabilities = AttributeProbabilities(
        {group: groups.positions(group) for group in groups},
        name="probabilities",
        dtype="float32",
    )(dict(zip(model.output_names, keras.tree.flatten(model.outputs), strict=True)))
    return keras.Model(model.inputs, probabilities, name=f"{model.name}_inference")


def load_model(path: str | Path) -> keras.Model:
    """Loads a network of this package for use; it is not compiled.

    To go on training with the file's optimizer, `import keras_faramtn` after Keras and use
    `keras.saving.load_model`.

    Args:
        path: a `.keras` file.

    Returns:
        The model, as `FARAMTN` returned it.

    Raises:
        InputError: the file is missing, is no Keras model, or is one of another package.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such model file; give a .keras file.")
    try:
        model = keras.saving.load_model(path, compile=False)
    except (ValueError, TypeError, OSError, KeyError) as error:
        raise InputError(
            f"{path}: this is no Keras model that can be read here; give a .keras file that "
            f"keras_faramtn saved. Keras says: {str(error).splitlines()[0]}"
        ) from error
    groups_of(model)
    return model
