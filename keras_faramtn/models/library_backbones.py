"""Connects backbones of KerasHub and KerasCV to a network's images."""

from typing import Any

import keras

from keras_faramtn.errors import InputError
from keras_faramtn.keras_internals import all_layers
from keras_faramtn.layers import PatchMap
from keras_faramtn.models.high_level import last_block_input

# Of ImageNet's images in 0..1, in RGB order, as in torchvision and timm.
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)


def connect(backbone: keras.Model, pixels: Any, image_converter: Any) -> tuple[Any, Any, Any]:
    """Applies a backbone of KerasHub or KerasCV to images.

    A convolutional network is split like those of `keras.applications`: the trunk is its last
    feature level that is finer than its output, and X is found by `last_block_input`. A vision
    transformer has one resolution; its tokens, without those of the class and the registers, are
    reshaped to maps of stride `patch_size`. Its trunk is X, the output of its last block but one,
    so f is the last block and the final normalisation. Of a transformer that does not offer the
    outputs of its blocks (ViT), all three are the output.

    Args:
        backbone: the network; its layers are used, not copied.
        pixels: symbolic RGB images in 0..255, `(batch, height, width, 3)`.
        image_converter: see `FARAMTN`.

    Returns:
        The symbolic feature maps trunk, X and f(X), see `Backbone`.

    Raises:
        InputError: `backbone` is no network of KerasHub or KerasCV, has no levels of feature maps,
            contains layers that can't be loaded again, or was built for images of another shape;
            or `image_converter` is not a converter.
    """
    levels = _levels(backbone)
    output = backbone.output
    _check_images(backbone, tuple(pixels.shape[1:]))
    if len(output.shape) == 3:
        # The last level is the output before the final normalisation.
        shared = levels[-2] if len(levels) > 1 else output
        wanted = {"shared": shared, "transformed": output}
    else:
        wanted = {"levels": levels, "transformed": output}
    _use_activations_that_can_be_loaded(backbone)
    normalised = _normalised(backbone, pixels, image_converter)
    tensors = keras.Model(backbone.inputs[0], wanted).call(normalised)
    if len(output.shape) == 3:
        maps = {
            name: _token_map(name, tokens, backbone.patch_size, pixels)
            for name, tokens in tensors.items()
        }
        return maps["shared"], maps["shared"], maps["transformed"]
    transformed = tensors["transformed"]
    finer = [
        level
        for level in tensors["levels"]
        if len(level.shape) == 4 and min(level.shape[1:3]) > min(transformed.shape[1:3])
    ]
    if not finer:
        raise InputError(
            f"the backbone {_name(backbone)} has no feature map that is finer than its output of "
            f"{transformed.shape[1]} x {transformed.shape[2]} positions; use one with the levels "
            "P4 and P5."
        )
    return finer[-1], last_block_input(finer[-1], transformed), transformed


def is_vision_transformer(backbone: Any) -> bool:
    """Whether a backbone's output is a sequence of tokens.

    Example:
        >>> is_vision_transformer("resnet50")
        False
    """
    tensor = getattr(backbone, "output", None)
    return isinstance(tensor, keras.KerasTensor) and len(tensor.shape) == 3


def accepts(backbone: keras.Model, shape: tuple[int, ...]) -> bool:
    """Whether images of this shape, `(height, width, 3)`, can be the input of a backbone.

    Example:
        >>> network = keras.Sequential([keras.Input((None, 32, 3)), keras.layers.ReLU()])
        >>> accepts(network, (64, 32, 3)), accepts(network, (64, 48, 3))
        (True, False)
    """
    expected = backbone.inputs[0].shape[1:]
    return all(each in (None, given) for each, given in zip(expected, shape, strict=True))


def _levels(backbone: keras.Model) -> list[Any]:
    by_tensor = getattr(backbone, "pyramid_outputs", {})  # KerasHub
    by_layer = getattr(backbone, "pyramid_level_inputs", {})  # KerasCV
    if by_tensor:
        levels = list(by_tensor.values())
    elif by_layer:
        levels = [backbone.get_layer(name).output for name in by_layer.values()]
    elif hasattr(backbone, "patch_size"):
        levels = []
    else:
        remedy = (
            "pass the backbone in it, its attribute `backbone`"
            if isinstance(getattr(backbone, "backbone", None), keras.Model)
            else "use one that has, such as keras_hub.models.ResNetBackbone"
        )
        raise InputError(
            f"the backbone {_name(backbone)} has no levels of feature maps (pyramid_outputs in "
            f"KerasHub, pyramid_level_inputs in KerasCV), which FAR-AMTN needs; {remedy}."
        )
    # The layers of MiT (KerasHub 0.32) have no complete config, and a Lambda layer is code.
    lambdas = any(isinstance(layer, keras.layers.Lambda) for layer in all_layers(backbone))
    if lambdas or _name(backbone) == "MiTBackbone":
        raise InputError(
            f"the backbone {_name(backbone)} contains layers that Keras can't load again from a "
            "saved network; use another backbone."
        )
    tensors = keras.tree.flatten([backbone.inputs, backbone.output])
    if len(tensors) != 2 or len(backbone.inputs[0].shape) != 4:
        raise InputError(
            f"the backbone {_name(backbone)} has {len(backbone.inputs)} inputs and "
            f"{len(tensors) - len(backbone.inputs)} outputs; use one with one image as input and "
            "one feature map as output."
        )
    return levels


def _check_images(backbone: keras.Model, shape: tuple[int, ...]) -> None:
    if not accepts(backbone, shape):
        raise InputError(
            f"the backbone {_name(backbone)} was built for images of the shape "
            f"{tuple(backbone.inputs[0].shape[1:])}, but input_shape is {shape}; build it with "
            f"image_shape={shape} (in KerasCV: input_shape)."
        )


def _normalised(backbone: keras.Model, pixels: Any, image_converter: Any) -> Any:
    """The pixels as the backbone expects them."""
    if image_converter is not None:
        try:
            scale, offset = image_converter.scale, image_converter.offset
        except AttributeError as error:
            raise InputError(
                "image_converter must have a scale and an offset, like keras_hub.layers."
                f"ImageConverter and keras.layers.Rescaling; got {image_converter!r}."
            ) from error
        scale, offset = 1.0 if scale is None else scale, 0.0 if offset is None else offset
    elif hasattr(backbone, "include_rescaling"):  # KerasCV
        scale, offset = 1.0 if backbone.include_rescaling else 1 / 255, 0.0
    else:
        scale = [1 / (255 * deviation) for deviation in _DEVIATION]
        offset = [-mean / deviation for mean, deviation in zip(_MEAN, _DEVIATION, strict=True)]
    return keras.layers.Rescaling(scale, offset, name="normalization")(pixels)


def _use_activations_that_can_be_loaded(backbone: keras.Model) -> None:
    """Replaces a layer of KerasCV 0.9 that can't be loaded by an equal function of Keras."""
    for layer in all_layers(backbone):
        if type(getattr(layer, "excite_activation", None)).__name__ == "HardSigmoidActivation":
            layer.excite_activation = "hard_sigmoid"
            layer.excite_conv.activation = keras.activations.hard_sigmoid


def _token_map(name: str, tokens: Any, patch_size: int | tuple[int, int], pixels: Any) -> Any:
    sizes = (patch_size, patch_size) if isinstance(patch_size, int) else patch_size
    height, width = (pixels.shape[axis] // size for axis, size in zip((1, 2), sizes, strict=True))
    return PatchMap(height, width, name=f"{name}_map")(tokens)


def _name(backbone: keras.Model) -> str:
    return type(backbone).__name__
