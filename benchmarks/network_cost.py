"""Measures the cost of FAR-AMTN relative to the plain and the traditional multi-task network.

All three are measured in one run, one step of each in turn, so that other load on the machine
affects all of them equally; compare the ratios.

    python benchmarks/network_cost.py --backbone resnet50 --size 128 --batch 16
    python benchmarks/network_cost.py --backbone keras_hub.DINOV3Backbone

The backbones of KerasHub and KerasCV have random weights and the sizes of common presets.
"""

import argparse
import os
import platform

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf

from keras_faramtn import BACKBONES, FARAMTN, GROUPINGS, MultiLabel, MultiTask
from keras_faramtn.counted import counted
from keras_faramtn.errors import InputError
from keras_faramtn.evaluation.cost import step_times
from keras_faramtn.models.library_backbones import is_vision_transformer
from keras_faramtn.models.library_loading import backbone_from_class
from keras_faramtn.threads import allowed_cores

NETWORKS = {
    "plain": lambda backbone, groups, shape: MultiLabel(backbone, groups.attributes, shape),
    "FAR-AMTN": FARAMTN,
    "traditional": MultiTask,
}

_EFFICIENTNET_V2_B0 = {
    "stackwise_kernel_sizes": [3] * 6,
    "stackwise_num_repeats": [1, 2, 2, 3, 5, 8],
    "stackwise_input_filters": [32, 16, 32, 48, 96, 112],
    "stackwise_output_filters": [16, 32, 48, 96, 112, 192],
    "stackwise_expansion_ratios": [1, 4, 4, 4, 6, 6],
    "stackwise_squeeze_and_excite_ratios": [0, 0, 0, 0.25, 0.25, 0.25],
    "stackwise_strides": [1, 2, 2, 2, 1, 2],
}
_VISION_TRANSFORMER_SMALL = {
    "num_layers": 12,
    "hidden_dim": 384,
    "num_heads": 6,
    "intermediate_dim": 1536,
}

LIBRARIES = {
    # resnet_50_imagenet
    "keras_hub.ResNetBackbone": {
        "input_conv_filters": [64],
        "input_conv_kernel_sizes": [7],
        "stackwise_num_filters": [64, 128, 256, 512],
        "stackwise_num_blocks": [3, 4, 6, 3],
        "stackwise_num_strides": [1, 2, 2, 2],
        "block_type": "bottleneck_block",
    },
    # efficientnet2_rw_s without its depth: the blocks of EfficientNetV2-B0
    "keras_hub.EfficientNetBackbone": {
        **_EFFICIENTNET_V2_B0,
        "stackwise_width_coefficients": [1.0] * 6,
        "stackwise_depth_coefficients": [1.0] * 6,
        "stackwise_block_types": ["fused"] * 3 + ["unfused"] * 3,
        "stackwise_force_input_filters": [0] * 6,
        "stackwise_nores_option": [False] * 6,
    },
    # dinov2_small
    "keras_hub.DINOV2Backbone": {"patch_size": 14, **_VISION_TRANSFORMER_SMALL},
    # dinov3_vit_small_lvd1689m
    "keras_hub.DINOV3Backbone": {"patch_size": 16, **_VISION_TRANSFORMER_SMALL},
    # mobilenet_v3_small
    "keras_cv.MobileNetV3Backbone": {
        "stackwise_expansion": [1, 72.0 / 16, 88.0 / 24, 4, 6, 6, 3, 3, 6, 6, 6],
        "stackwise_filters": [16, 24, 24, 40, 40, 40, 48, 48, 96, 96, 96],
        "stackwise_kernel_size": [3, 3, 3, 5, 5, 5, 5, 5, 5, 5, 5],
        "stackwise_stride": [2, 2, 1, 2, 1, 1, 1, 1, 2, 1, 1],
        "stackwise_se_ratio": [0.25, None, None] + [0.25] * 8,
        "stackwise_activation": ["relu"] * 3 + ["hard_swish"] * 8,
        "include_rescaling": True,
    },
    # efficientnetv2_b0
    "keras_cv.EfficientNetV2Backbone": {
        **_EFFICIENTNET_V2_B0,
        "stackwise_conv_types": ["fused"] * 3 + ["unfused"] * 3,
        "skip_connection_dropout": 0.2,
        "include_rescaling": True,
        "width_coefficient": 1.0,
        "depth_coefficient": 1.0,
    },
}


def build(network, backbone, groups, shape):
    """The network on a backbone; None if it can't be built on it."""
    if backbone in LIBRARIES:
        library, _, class_name = backbone.partition(".")
        backbone = backbone_from_class(library, class_name, LIBRARIES[backbone], shape)
    try:
        return NETWORKS[network](backbone, groups, shape)
    except InputError:
        if network != "traditional" or not is_vision_transformer(backbone):
            raise
        return None


def flops(model):
    """Floating-point operations per predicted image, from TensorFlow's profiler."""
    shape = (1, *model.input_shape[1:])
    graph = tf.function(model).get_concrete_function(tf.TensorSpec(shape)).graph
    builder = tf.compat.v1.profiler.ProfileOptionBuilder
    options = builder(builder.float_operation()).with_empty_output().build()
    return tf.compat.v1.profiler.profile(graph, options=options).total_float_ops


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="resnet50", choices=[*BACKBONES, *LIBRARIES])
    parser.add_argument("--groups", default="face_regions", choices=GROUPINGS)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=8)
    arguments = parser.parse_args()
    shape = (arguments.size, arguments.size, 3)
    groups = GROUPINGS[arguments.groups]
    built = {name: build(name, arguments.backbone, groups, shape) for name in NETWORKS}
    models = {name: model for name, model in built.items() if model is not None}
    medians = step_times(models, arguments.batch, arguments.rounds)

    cores = counted(allowed_cores(), "core")
    print(
        f"{arguments.backbone}, {arguments.groups}, {arguments.size}x{arguments.size}, batch "
        f"{arguments.batch}, median of {arguments.rounds}; {cores}, Keras "
        f"{keras.__version__}, TensorFlow {tf.__version__}, Python {platform.python_version()}"
    )
    print(f"{'':14}{'parameters':>12}{'GFLOPs':>9}{'train':>16}{'predict':>16}")
    plain = {action: by_name["plain"] for action, by_name in medians.items()}
    for name, model in models.items():
        times = "".join(
            f"{1000 * by_name[name]:7.0f} ms {by_name[name] / plain[action]:4.2f}x"
            for action, by_name in medians.items()
        )
        print(f"{name:14}{model.count_params() / 1e6:10.2f} M{flops(model) / 1e9:9.3f} {times}")
    for name in ("plain", "traditional"):
        if name in models:
            steps = medians["train"]["FAR-AMTN"] / medians["train"][name]
            parameters = models["FAR-AMTN"].count_params() / models[name].count_params()
            print(
                f"FAR-AMTN: {steps:.2f} times the step time and {parameters:.3f} times the "
                f"parameters of the {name} network."
            )


if __name__ == "__main__":
    main()
