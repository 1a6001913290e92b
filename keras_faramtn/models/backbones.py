"""Where each network of `keras.applications` is cut into trunk and high level."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from keras_faramtn.errors import InputError

# keras.applications' MobileNetV3 keeps 0.999 of its moving averages at each step: after a few
# hundred steps from scratch they have not moved, and validation stays at the majority class.
BATCH_NORMALIZATION_MOMENTUM = 0.9

# ImageNet's mean in RGB order, as subtracted by `keras.applications.resnet.preprocess_input`.
_CAFFE_MEAN = (123.68, 116.779, 103.939)


@dataclass(frozen=True)
class Cut:
    """How one network of `keras.applications` becomes a backbone.

    Attributes:
        application: name of the function in `keras.applications`.
        trunk: name of the layer at which the trunk ends, the last one at stride 16.
        shared: name of the layer whose output goes into the last block of the high level: X of
            the group attention. f(X) is the network's output.
        options: further arguments of the function.
        caffe: the network's published weights expect BGR pixels less the ImageNet mean; the
            others have their normalisation inside.
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


@dataclass(frozen=True)
class Backbone:
    """A built backbone, as the tensors at which networks attach.

    Attributes:
        images: the input, `(batch, height, width, 3)`, RGB in 0..255.
        trunk: end of the shared low level, stride 16.
        shared: X, the input of the last block of the high level.
        transformed: f(X), the output of that block and so of the network, stride 32.
    """

    images: Any
    trunk: Any
    shared: Any
    transformed: Any


def build_backbone(
    name: str, input_shape: tuple[int, int, int], weights: str | Path | None = None
) -> Backbone:
    """Builds a backbone with its normalisation inside.

    Args:
        name: one of `BACKBONES`.
        input_shape: `(height, width, 3)`, at least 32 each.
        weights: None for random ones, `"imagenet"` for those that `keras.applications` downloads,
            or the path of a weights file (`.h5` or `.weights.h5`) of the same
            `keras.applications` network without its top.

    Returns:
        The backbone's tensors.

    Raises:
        InputError: an unknown name, an input shape it can't take, or a weights file that is
            missing or made for another network.
    """
    if name not in BACKBONES:
        raise InputError(f"unknown backbone {name!r}; choose one of {', '.join(BACKBONES)}.")
    _refuse_bad_input_shape(input_shape)
    cut = BACKBONES[name]
    images = keras.Input(input_shape, name="images")
    pixels = images
    if cut.caffe:
        offset = [-mean for mean in _CAFFE_MEAN]
        pixels = keras.layers.Rescaling(1.0, offset=offset, name="normalization")(images)
    network = getattr(keras.applications, cut.application)(
        include_top=False,
        input_tensor=pixels,
        input_shape=input_shape,
        weights="imagenet" if weights == "imagenet" else None,
        **cut.options,
    )
    if weights not in (None, "imagenet"):
        _load_weights(network, cut, Path(weights))
    if cut.caffe and weights is not None:
        _turn_first_convolution_to_rgb(network)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = min(layer.momentum, BATCH_NORMALIZATION_MOMENTUM)
    return Backbone(
        images=images,
        trunk=network.get_layer(cut.trunk).output,
        shared=network.get_layer(cut.shared).output,
        transformed=network.output,
    )


def _refuse_bad_input_shape(input_shape: tuple[int, int, int]) -> None:
    if len(input_shape) != 3 or input_shape[2] != 3 or min(input_shape[:2]) < 32:
        raise InputError(
            "input_shape must be (height, width, 3) with height and width of 32 or more; got "
            f"{tuple(input_shape)}."
        )


def _load_weights(network: keras.Model, cut: Cut, path: Path) -> None:
    if not path.is_file():
        raise InputError(f"{path}: there is no such weights file; give a path or 'imagenet'.")
    try:
        network.load_weights(path)
    except (ValueError, OSError, KeyError) as error:
        raise InputError(
            f"{path}: these are not the weights of keras.applications.{cut.application} without "
            f"its top (include_top=False): {error}"
        ) from error


def _turn_first_convolution_to_rgb(network: keras.Model) -> None:
    # The file's kernel reads BGR. Turning it once here spares a channel reversal in every graph.
    convolution = network.get_layer("conv1_conv")
    kernel, *rest = convolution.get_weights()
    convolution.set_weights([kernel[:, :, ::-1, :], *rest])
