"""Splits backbones into trunk and high level."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from keras_faramtn.errors import InputError
from keras_faramtn.keras_internals import all_layers
from keras_faramtn.layers import CGFF, WSGSA, AttributeHead, FaceFraming
from keras_faramtn.models.library_backbones import connect

# The momentum 0.999 of keras.applications' MobileNetV3 is too slow to train from scratch: after a
# few hundred steps the moving averages have hardly changed, and the validation score is still that
# of the majority-class baseline.
BATCH_NORMALIZATION_MOMENTUM = 0.9

# ImageNet's mean in RGB order, as subtracted by `keras.applications.resnet.preprocess_input`.
_CAFFE_MEAN = (123.68, 116.779, 103.939)


@dataclass(frozen=True)
class Cut:
    """Where one network of `keras.applications` is split into trunk and high level.

    Attributes:
        application: name of the function in `keras.applications`.
        trunk: name of the trunk's last layer, the last one at stride 16.
        shared: name of the layer whose output is the input of the high level's last block: X of
            WSGSA. The network's output is f(X).
        options: further arguments of the function.
        caffe: whether the network's published weights expect BGR pixels minus the ImageNet mean.
            The other networks contain their normalisation.

    Example:
        >>> BACKBONES["mobilenetv3_small"].application
        'MobileNetV3Small'
    """

    application: str
    trunk: str
    shared: str
    options: dict[str, Any]
    caffe: bool = False


BACKBONES: dict[str, Cut] = {
    "resnet50": Cut("ResNet50", "conv4_block6_out", "conv5_block2_out", {}, caffe=True),
    "mobilenetv3_large": Cut(
        "MobileNetV3Large",
        "expanded_conv_11_add",
        "expanded_conv_13_add",
        {"include_preprocessing": True},
    ),
    "mobilenetv3_small": Cut(
        "MobileNetV3Small",
        "expanded_conv_7_add",
        "expanded_conv_9_add",
        {"include_preprocessing": True},
    ),
    "efficientnetv2_b0": Cut(
        "EfficientNetV2B0", "block5e_add", "block6g_add", {"include_preprocessing": True}
    ),
}

"""The backbones by the name that `FARAMTN`, `MultiTask` and `MultiLabel` accept."""


@dataclass(frozen=True)
class Backbone:
    """The symbolic tensors of a backbone, from which a network is built.

    Attributes:
        images: the input, `(batch, height, width, 3)`, RGB in 0..255.
        trunk: the output of the shared low level, stride 16.
        shared: X, the input of the high level's last block, stride 32.
        transformed: f(X), the output of that block and of the whole backbone, stride 32.

    Example:
        >>> backbone = build_backbone("mobilenetv3_small", (32, 64, 3))
        >>> backbone.trunk.shape[1:3], backbone.transformed.shape[1:3]
        ((2, 4), (1, 2))
    """

    images: Any
    trunk: Any
    shared: Any
    transformed: Any


def build_backbone(
    backbone: str | keras.Model,
    input_shape: tuple[int, int, int],
    weights: str | Path | None = None,
    image_converter: Any = None,
) -> Backbone:
    """Builds a backbone, including its normalisation, or connects one of KerasHub or KerasCV.

    Args:
        backbone: one of `BACKBONES`, or a backbone object, see `FARAMTN`.
        input_shape: `(height, width, 3)`, height and width at least 32.
        weights: None for random weights, `"imagenet"` for those that `keras.applications`
            downloads, or the path of a weights file (`.h5` or `.weights.h5`) of the same
            `keras.applications` network without its top. None for a backbone object.
        image_converter: of a backbone object, see `FARAMTN`.

    Returns:
        The backbone's tensors.

    Raises:
        InputError: `backbone` is unknown or can't be split; an argument is invalid; the weights
            file is missing or belongs to another network; or Keras is configured for channels
            first.

    Example:
        >>> build_backbone("mobilenetv3_small", (64, 64, 3)).shared.shape
        (None, 2, 2, 96)
    """
    if not isinstance(backbone, keras.Model | str) or (
        isinstance(backbone, str) and backbone not in BACKBONES
    ):
        raise InputError(
            f"unknown backbone {backbone!r}; choose one of {', '.join(BACKBONES)}, or pass a "
            "backbone object of KerasHub or KerasCV."
        )
    _check_image_data_format()
    _check_input_shape(input_shape)
    images = keras.Input(tuple(input_shape), name="images")
    pixels = FaceFraming(name="framing")(images)
    if isinstance(backbone, str):
        if image_converter is not None:
            raise InputError(
                f"image_converter is for backbone objects; {backbone!r} has its own normalisation."
            )
        tensors = _application(backbone, images, pixels, weights)
    else:
        if weights is not None:
            raise InputError(
                "weights must be None for a backbone object, which has its own weights; load a "
                f"file with its method load_weights instead; got {weights!r}."
            )
        tensors = Backbone(images, *connect(backbone, pixels, image_converter))
    for layer in all_layers(keras.Model(images, tensors.transformed)):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = min(layer.momentum, BATCH_NORMALIZATION_MOMENTUM)
    return tensors


def backbone_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers of a network that belong to its backbone: all but WSGSA, CGFF and the heads.

    Args:
        model: a network of this package.

    Example:
        >>> from keras_faramtn import MultiLabel
        >>> model = MultiLabel("mobilenetv3_small", ["Smiling"], (32, 32, 3))
        >>> sorted({layer.name for layer in model.layers if layer not in backbone_layers(model)})
        ['attributes']
    """
    ours = WSGSA, CGFF, AttributeHead
    return [layer for layer in model.layers if not isinstance(layer, ours)]


def _application(name: str, images: Any, pixels: Any, weights: str | Path | None) -> Backbone:
    """Builds a network of `keras.applications`."""
    if weights is not None and not isinstance(weights, str | Path):
        raise InputError(
            "weights must be None, 'imagenet' or the path of a weights file; got "
            f"{weights!r} of type {type(weights).__name__}."
        )
    cut = BACKBONES[name]
    if cut.caffe:
        offset = [-mean for mean in _CAFFE_MEAN]
        pixels = keras.layers.Rescaling(1.0, offset=offset, name="normalization")(pixels)
    network = getattr(keras.applications, cut.application)(
        include_top=False,
        input_tensor=pixels,
        input_shape=tuple(images.shape[1:]),
        weights="imagenet" if weights == "imagenet" else None,
        **cut.options,
    )
    if weights not in (None, "imagenet"):
        _load_weights(network, cut, Path(weights))
    if cut.caffe and weights is not None:
        _convert_first_convolution_to_rgb(network)
    return Backbone(
        images=images,
        trunk=network.get_layer(cut.trunk).output,
        shared=network.get_layer(cut.shared).output,
        transformed=network.output,
    )


def _check_image_data_format() -> None:
    if keras.config.image_data_format() != "channels_last":
        raise InputError(
            "the networks of this package need images with their channels last, but Keras is "
            f"configured for {keras.config.image_data_format()!r}. Set image_data_format to "
            "'channels_last' in ~/.keras/keras.json, or call "
            "keras.config.set_image_data_format('channels_last')."
        )


def _check_input_shape(input_shape: tuple[int, int, int]) -> None:
    valid = (
        isinstance(input_shape, Sequence)
        and len(input_shape) == 3
        and all(isinstance(size, int) for size in input_shape)
        and input_shape[2] == 3
        and min(input_shape[:2]) >= 32
    )
    if not valid:
        raise InputError(
            "input_shape must be (height, width, 3), where height and width are fixed integers of "
            f"32 or more; got {input_shape!r}."
        )


def _load_weights(network: keras.Model, cut: Cut, path: Path) -> None:
    if not path.is_file():
        raise InputError(f"{path}: no such weights file; use the path of a file, or 'imagenet'.")
    try:
        network.load_weights(path)
    except (ValueError, OSError, KeyError) as error:
        raise InputError(
            f"{path}: not a weights file of keras.applications.{cut.application} without its top "
            f"(include_top=False): {error}"
        ) from error


def _convert_first_convolution_to_rgb(network: keras.Model) -> None:
    # The file's kernel expects BGR. Reversing it once saves a channel reversal in every graph.
    convolution = network.get_layer("conv1_conv")
    kernel, *rest = convolution.get_weights()
    convolution.set_weights([kernel[:, :, ::-1, :], *rest])
