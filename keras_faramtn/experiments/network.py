"""Builds the network that a recipe's `model` section describes."""

from collections.abc import Callable
from typing import Any

import keras

from keras_faramtn.experiments import recipe as recipes
from keras_faramtn.models import FARAMTN, MultiLabel, MultiTask
from keras_faramtn.models.library_loading import backbone_from_class, backbone_from_preset


def build_network(model: recipes.Model, input_shape: tuple[int, int, int]) -> keras.Model:
    """Builds the network of a recipe, without the weights of its `start_from`.

    Args:
        model: the recipe's `model` section.
        input_shape: `(height, width, 3)` of the images.

    Raises:
        InputError: as in `FARAMTN`.

    Example:
        >>> model = recipes.Model(network="multi_label", backbone="mobilenetv3_small")
        >>> build_network(model, (32, 32, 3)).output_names
        ['attributes']
    """
    return _NETWORKS[model.network](model, input_shape)


def _faramtn(model: recipes.Model, input_shape: tuple[int, int, int]) -> keras.Model:
    return FARAMTN(
        groups=model.attribute_groups(),
        attention=model.attention,
        fusion=model.fusion,
        **backbone_arguments(model, input_shape),
    )


def _multi_label(model: recipes.Model, input_shape: tuple[int, int, int]) -> keras.Model:
    attributes = model.attribute_groups().attributes
    return MultiLabel(attributes=attributes, **backbone_arguments(model, input_shape))


def _multi_task(model: recipes.Model, input_shape: tuple[int, int, int]) -> keras.Model:
    return MultiTask(groups=model.attribute_groups(), **backbone_arguments(model, input_shape))


def backbone_arguments(model: recipes.Model, input_shape: tuple[int, int, int]) -> dict[str, Any]:
    """The arguments that all networks have.

    Args:
        model, input_shape: as in `build_network`.

    Returns:
        Keyword arguments of `FARAMTN`, `MultiLabel` and `MultiTask`: `backbone`, a name or a
        network, `input_shape`, `dropout`, and `weights` or `image_converter` where they apply.

    Raises:
        InputError: a backbone of a library can't be built, as in `backbone_from_class` and
            `backbone_from_preset`.

    Example:
        >>> model = recipes.Model(backbone="resnet50")
        >>> backbone_arguments(model, (32, 32, 3))["backbone"]
        'resnet50'
    """
    common = {"input_shape": input_shape, "dropout": model.dropout}
    backbone = model.backbone
    if isinstance(backbone, str):
        return {**common, "backbone": backbone, "weights": model.weights}
    if backbone.preset is not None:
        built, converter = backbone_from_preset(backbone.preset, input_shape, backbone.load_weights)
        return {**common, "backbone": built, "image_converter": converter}
    built = backbone_from_class(
        backbone.library, str(backbone.class_name), backbone.arguments, input_shape, model.weights
    )
    return {**common, "backbone": built}


_NETWORKS: dict[str, Callable[[recipes.Model, tuple[int, int, int]], keras.Model]] = {
    "faramtn": _faramtn,
    "multi_label": _multi_label,
    "multi_task": _multi_task,
}
