"""Attribute heads, the groups that a model predicts, and the model for inference."""

from typing import Any

import keras

from keras_faramtn.attributes import AttributeGroups
from keras_faramtn.errors import InputError
from keras_faramtn.layers import AttributeHead, AttributeProbabilities


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
