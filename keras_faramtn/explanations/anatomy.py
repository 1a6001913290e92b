"""The tensors and layers of a network between its feature maps and its logits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_faramtn.attributes import check_names
from keras_faramtn.errors import InputError
from keras_faramtn.keras_internals import call_that_returned
from keras_faramtn.layers import CGFF, WSGSA, AttributeHead
from keras_faramtn.models import groups_of


@dataclass(frozen=True)
class Anatomy:
    """A network from its feature maps to its logits.

    Attributes:
        heads: the head of each group, in the order of the groups.
        wsgsa, cgff: the layers; None for a network without them.
        tensors: tensors by name. `maps`: f(X) by group, the feature map that is pooled, `(batch,
            height, width, C)`; the same for all groups, unless each has a separate high level.
            `features`: the pooled feature by group before CGFF, `(batch, C)`. `logits`: by group.
            With WSGSA, `shared`: X, from which it computes its gates. With CGFF, `trunk`: the map
            whose positions it attends to.
    """

    heads: dict[str, AttributeHead]
    wsgsa: WSGSA | None
    cgff: CGFF | None
    tensors: dict[str, Any]


def run(model: keras.Model, images: np.ndarray) -> Anatomy:
    """Runs a network on images, and keeps the tensors that lead to its logits.

    Args:
        model: a network of this package, or an `inference_model` of one.
        images: `(batch, height, width, 3)`, uint8 or float, RGB in 0..255, of the network's size.

    Raises:
        InputError: the images have another shape, or this package did not build the model.
    """
    symbolic = _anatomy(model)
    network = keras.Model(model.inputs[0], symbolic.tensors)
    tensors = network(check_images(model, images), training=False)
    return Anatomy(symbolic.heads, symbolic.wsgsa, symbolic.cgff, tensors)


def check_images(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """The images as float32, if they are those of `model`.

    Raises:
        InputError: they have another shape, or there is none.
    """
    images, size = np.asarray(images), tuple(model.input_shape[1:])
    if images.ndim != 4 or images.shape[1:] != size or not len(images):
        raise InputError(
            f"the images are an array of shape {images.shape}; pass at least one, as "
            f"(n, {', '.join(map(str, size))})."
        )
    return images.astype("float32")


def outputs_of(
    model: keras.Model, attributes: Sequence[str]
) -> dict[str, tuple[AttributeHead, int]]:
    """The head of each attribute, and the index of its logit there.

    Raises:
        InputError: an attribute is unknown or repeated, there is none, or this package did not
            build the model.
    """
    outputs = {
        attribute: (model.get_layer(group), index)
        for group, members in groups_of(model).items()
        for index, attribute in enumerate(members)
    }
    names = check_names(attributes)
    if not names:
        raise InputError("there is no attribute to explain; name at least one.")
    unknown = [name for name in names if name not in outputs]
    if unknown:
        raise InputError(
            f"the model doesn't predict {unknown[0]!r}; its attributes are "
            f"{', '.join(groups_of(model).attributes)}."
        )
    return {name: outputs[name] for name in names}


def to_array(tensor: Any) -> np.ndarray:
    """The values of a tensor, float32 also where the network computes with 16 bits."""
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


def _anatomy(model: keras.Model) -> Anatomy:
    """The layers and symbolic tensors, found by going back from the heads."""
    heads = {group: model.get_layer(group) for group in groups_of(model)}
    tensors: dict[str, Any] = {"logits": {group: head.output for group, head in heads.items()}}
    wsgsa = cgff = None
    features = {group: _without_dropout(head.input) for group, head in heads.items()}
    layer, inputs = call_that_returned(next(iter(features.values())))
    if isinstance(layer, CGFF):
        cgff, tensors["trunk"] = layer, inputs[-1]
        # Keras flattens the dict of features in an order of its own.
        order = keras.tree.flatten({group: group for group in heads})
        features = dict(zip(order, inputs[:-1], strict=True))
    maps = {}
    for group in heads:
        layer, inputs = call_that_returned(features[group])
        if isinstance(layer, WSGSA):
            wsgsa, (tensors["shared"], maps[group]) = layer, inputs
        else:  # global average pooling
            [maps[group]] = inputs
    return Anatomy(heads, wsgsa, cgff, {**tensors, "maps": maps, "features": features})


def _without_dropout(feature: Any) -> Any:
    layer, inputs = call_that_returned(feature)
    return inputs[0] if isinstance(layer, keras.layers.Dropout) else feature
