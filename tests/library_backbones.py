"""Tiny backbones of KerasHub and KerasCV with random weights."""

import importlib

import keras
import numpy as np

from keras_faramtn.keras_internals import all_layers
from keras_faramtn.layers import CGFF, AttributeHead
from keras_faramtn.synthetic.faces import draw_faces

SIZE = (32, 64)
SQUARE = (32, 32)  # for DINOv2, which accepts no others

_EFFICIENT = {
    "stackwise_kernel_sizes": [3] * 4,
    "stackwise_num_repeats": [1, 1, 1, 2],
    "stackwise_input_filters": [8, 8, 16, 16],
    "stackwise_output_filters": [8, 16, 16, 24],
    "stackwise_expansion_ratios": [2] * 4,
    "stackwise_squeeze_and_excite_ratios": [0, 0, 0.25, 0.25],
    "stackwise_strides": [2, 2, 2, 2],
}
_TRANSFORMER = {
    "patch_size": 8,
    "num_layers": 2,
    "hidden_dim": 16,
    "num_heads": 2,
    "intermediate_dim": 32,
    "num_register_tokens": 2,
}

ARGUMENTS = {
    "keras_hub.ResNetBackbone": {
        "input_conv_filters": [8],
        "input_conv_kernel_sizes": [7],
        "stackwise_num_filters": [64, 8, 8, 8],
        "stackwise_num_blocks": [1, 1, 1, 2],
        "stackwise_num_strides": [1, 2, 2, 2],
        "block_type": "bottleneck_block",
    },
    "keras_hub.EfficientNetBackbone": {
        **_EFFICIENT,
        "stackwise_width_coefficients": [1.0] * 4,
        "stackwise_depth_coefficients": [1.0] * 4,
        "stackwise_block_types": ["fused"] * 2 + ["unfused"] * 2,
        "stackwise_force_input_filters": [0] * 4,
        "stackwise_nores_option": [False] * 4,
        "dropout": 0.2,
        "include_stem_padding": True,
        "use_depth_divisor_as_min_depth": True,
        "cap_round_filter_decrease": True,
        "stem_conv_padding": "valid",
        "batch_norm_momentum": 0.9,
    },
    "keras_hub.DINOV2Backbone": {
        **_TRANSFORMER,
        "image_shape": [*SQUARE, 3],
        "position_embedding_shape": [40, 40],
    },
    "keras_hub.DINOV3Backbone": {**_TRANSFORMER, "image_shape": [*SIZE, 3]},
    "keras_cv.MobileNetV3Backbone": {
        "stackwise_expansion": [1, 3, 3, 3, 3],
        "stackwise_filters": [8, 8, 16, 24, 24],
        "stackwise_kernel_size": [3, 3, 5, 5, 5],
        "stackwise_stride": [2, 2, 2, 2, 1],
        "stackwise_se_ratio": [0.25, None, 0.25, 0.25, 0.25],
        "stackwise_activation": ["relu"] * 2 + ["hard_swish"] * 3,
        "include_rescaling": True,
    },
    "keras_cv.EfficientNetV2Backbone": {
        **_EFFICIENT,
        "stackwise_conv_types": ["fused"] * 2 + ["unfused"] * 2,
        "skip_connection_dropout": 0.2,
        "include_rescaling": False,
        "width_coefficient": 1.0,
        "depth_coefficient": 1.0,
    },
}


def size_of(name):
    return SQUARE if name == "keras_hub.DINOV2Backbone" else SIZE


def library_backbone(name, **changes):
    """The backbone of this library and class, such as `keras_hub.ResNetBackbone`."""
    library, _, class_name = name.partition(".")
    build = getattr(importlib.import_module(library).models, class_name)
    return build(**{**ARGUMENTS[name], **changes})


def make_sensitive(network):
    """Changes the initial weights so that the predictions differ from face to face."""
    rng = np.random.default_rng(0)
    layers = list(all_layers(network))
    normalisations = [each for each in layers if isinstance(each, keras.layers.BatchNormalization)]
    momenta = [each.momentum for each in normalisations]
    for each in normalisations:
        each.momentum = 0.0  # adopts the statistics of the next batch
    network(draw_faces(16, network.input_shape[1:3]).astype("float32"), training=True)
    for each, momentum in zip(normalisations, momenta, strict=True):
        each.momentum = momentum
    for layer in layers:
        if isinstance(layer, CGFF):
            kernel = layer.output_projection.kernel
            kernel.assign(rng.normal(0, 0.1, kernel.shape))
        elif isinstance(layer, AttributeHead):
            kernel, bias = layer.get_weights()
            layer.set_weights([10 * kernel, rng.choice([-2.0, 2.0], bias.shape)])
    return network
