"""Attribute heads, the groups that a model predicts, and the model for inference."""

import re
from collections.abc import Mapping
from numbers import Real
from typing import Any

import keras

from keras_faramtn.attributes import GROUPINGS, AttributeGroups
from keras_faramtn.errors import InputError
from keras_faramtn.layers import AttributeHead, AttributeProbabilities

_OUTPUT_NAME = "probabilities"  # of an inference model
_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # valid as a name scope of TensorFlow


def check_head_arguments(groups: AttributeGroups, dropout: float, name: str) -> None:
    """Checks the arguments of `attach_heads` before a network is built.

    Raises:
        InputError: `groups` is not an `AttributeGroups`, `dropout` is not a number of at least 0
            and below 1, or Keras can't use `name` as the name of a model.

    Example:
        >>> check_head_arguments(GROUPINGS["face_regions"], dropout=0.5, name="faramtn")
    """
    if not isinstance(groups, AttributeGroups):
        remedy = "AttributeGroups({'group': ['attribute', ...], ...}, attributes)"
        if isinstance(groups, str) and groups in GROUPINGS:
            remedy = f"GROUPINGS[{groups!r}]"
        raise InputError(
            f"groups must be an AttributeGroups; got {groups!r} of type {type(groups).__name__}. "
            f"Use {remedy}."
        )
    if isinstance(dropout, bool) or not isinstance(dropout, Real) or not 0 <= dropout < 1:
        raise InputError(f"dropout must be a number of at least 0 and below 1; got {dropout!r}.")
    if not isinstance(name, str) or not _MODEL_NAME.fullmatch(name):
        raise InputError(
            f"{name!r} can't be the name of a Keras model; use letters, digits, underscores, "
            "hyphens and dots, beginning with a letter or a digit."
        )


def attach_heads(
    images: Any,
    features: Mapping[str, Any],
    groups: AttributeGroups,
    name: str,
    dropout: float = 0.0,
) -> keras.Model:
    """Completes a network: attaches a head to each group's feature.

    The logits are float32 under a mixed precision policy too, so that the loss is float32.

    Args:
        images: symbolic input of the network, `(batch, height, width, 3)`.
        features: maps each group's name to its symbolic feature, `(batch, C)`.
        groups: the attributes and their groups.
        name: name of the model.
        dropout: fraction of each feature that is dropped before its head in training.

    Returns:
        A functional model from `images` to a dict of logits; see `FARAMTN`.

    Raises:
        InputError: a group has the same name as a layer of the network.

    Example:
        >>> images = keras.Input((8, 8, 3), name="images")
        >>> feature = keras.layers.GlobalAveragePooling2D()(images)
        >>> groups = AttributeGroups({"mouth": ["Smiling", "Big_Lips"]}, ["Big_Lips", "Smiling"])
        >>> list(attach_heads(images, {"mouth": feature}, groups, "tiny").output_names)
        ['mouth']
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
    taken = sorted({*(layer.name for layer in body.layers), _OUTPUT_NAME} & set(groups))
    if taken:
        raise InputError(
            f"group {taken[0]!r} has the name of a layer of the network; choose another name."
        )
    return keras.Model(images, logits, name=name)


def groups_of(model: keras.Model) -> AttributeGroups:
    """Reads the attributes and groups that `model` predicts from its heads.

    Args:
        model: a network of this package, or an `inference_model` of one.

    Returns:
        The groups that the network was built with, in the same order.

    Raises:
        InputError: the model has no attribute heads, so this package did not build it.

    Example:
        >>> images = keras.Input((8, 8, 3), name="images")
        >>> feature = keras.layers.GlobalAveragePooling2D()(images)
        >>> groups = AttributeGroups({"mouth": ["Smiling", "Big_Lips"]}, ["Big_Lips", "Smiling"])
        >>> groups_of(attach_heads(images, {"mouth": feature}, groups, "tiny")) == groups
        True
    """
    heads = {head.name: head for head in heads_of(model)}
    # Keras sorts the layers by name where it flattens the dict of outputs.
    output = _probabilities_layer(model)
    order = model.output if output is None else output.positions
    ordered = [heads[group] for group in order] if isinstance(order, Mapping) else heads.values()
    attributes = {
        position: attribute
        for head in heads.values()
        for position, attribute in zip(head.positions, head.attributes, strict=True)
    }
    return AttributeGroups(
        {head.name: head.attributes for head in ordered},
        [attributes[position] for position in sorted(attributes)],
    )


def heads_of(model: keras.Model) -> list[AttributeHead]:
    """The heads of a network of this package, or of an `inference_model` of one.

    Raises:
        InputError: the model has no attribute heads, so this package did not build it.

    Example:
        >>> images = keras.Input((8, 8, 3), name="images")
        >>> feature = keras.layers.GlobalAveragePooling2D()(images)
        >>> groups = AttributeGroups({"mouth": ["Smiling", "Big_Lips"]}, ["Big_Lips", "Smiling"])
        >>> model = attach_heads(images, {"mouth": feature}, groups, "tiny")
        >>> [head.name for head in heads_of(model)]
        ['mouth']
    """
    heads = [layer for layer in model.layers if isinstance(layer, AttributeHead)]
    if not heads:
        raise InputError(
            f"model {model.name!r} has no attribute heads; use one built by keras_faramtn."
        )
    return heads


def inference_model(model: keras.Model) -> keras.Model:
    """Builds the model for inference: a single output of probabilities in canonical order.

    Args:
        model: a network of this package; its layers and weights are shared, not copied.

    Returns:
        A functional model from `images` to `probabilities`, float32 in 0..1, shape
        `(batch, number of attributes)`, with columns in the order of
        `groups_of(model).attributes`. An inference model is returned unchanged.

    Raises:
        InputError: the model has no attribute heads.

    Example:
        >>> images = keras.Input((8, 8, 3), name="images")
        >>> feature = keras.layers.GlobalAveragePooling2D()(images)
        >>> groups = AttributeGroups({"mouth": ["Smiling", "Big_Lips"]}, ["Big_Lips", "Smiling"])
        >>> model = inference_model(attach_heads(images, {"mouth": feature}, groups, "tiny"))
        >>> model.output_shape
        (None, 2)
    """
    groups = groups_of(model)
    if _probabilities_layer(model) is not None:
        return model
    probabilities = AttributeProbabilities(
        {group: groups.positions(group) for group in groups}, name=_OUTPUT_NAME, dtype="float32"
    )(dict(zip(model.output_names, keras.tree.flatten(model.outputs), strict=True)))
    return keras.Model(model.inputs[0], probabilities, name=f"{model.name}_inference")


def check_trainable(model: keras.Model) -> None:
    """Checks that the outputs of `model` are logits, which the losses of this package need.

    Raises:
        InputError: `model` is an inference model.

    Example:
        >>> check_trainable(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]))
    """
    if _probabilities_layer(model) is not None:
        raise InputError(
            f"model {model.name!r} predicts probabilities: it was built by inference_model, and "
            "can't be trained. Use the network that inference_model was called with."
        )


def _probabilities_layer(model: keras.Model) -> AttributeProbabilities | None:
    layers = (layer for layer in model.layers if isinstance(layer, AttributeProbabilities))
    return next(layers, None)
