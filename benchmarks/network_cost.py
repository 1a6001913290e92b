"""Measures the cost of FAR-AMTN relative to the plain and the traditional multi-task network.

All three are measured in one run, one step of each in turn, so that other load on the machine
affects all of them equally; compare the ratios.

    python benchmarks/network_cost.py --backbone resnet50 --size 128 --batch 16
"""

import argparse
import os
import platform

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf

from keras_faramtn import BACKBONES, FARAMTN, GROUPINGS, MultiLabel, MultiTask
from keras_faramtn.evaluation.cost import step_times

NETWORKS = {
    "plain": lambda backbone, groups, shape: MultiLabel(backbone, groups.attributes, shape),
    "FAR-AMTN": FARAMTN,
    "traditional": MultiTask,
}


def flops(model):
    """Floating-point operations per predicted image, from TensorFlow's profiler."""
    shape = (1, *model.input_shape[1:])
    graph = tf.function(model).get_concrete_function(tf.TensorSpec(shape)).graph
    builder = tf.compat.v1.profiler.ProfileOptionBuilder
    options = builder(builder.float_operation()).with_empty_output().build()
    return tf.compat.v1.profiler.profile(graph, options=options).total_float_ops


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="resnet50", choices=BACKBONES)
    parser.add_argument("--groups", default="face_regions", choices=GROUPINGS)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=8)
    arguments = parser.parse_args()
    shape = (arguments.size, arguments.size, 3)
    models = {
        name: network(arguments.backbone, GROUPINGS[arguments.groups], shape)
        for name, network in NETWORKS.items()
    }
    medians = step_times(models, arguments.batch, arguments.rounds)

    print(
        f"{arguments.backbone}, {arguments.groups}, {arguments.size}x{arguments.size}, batch "
        f"{arguments.batch}, median of {arguments.rounds}; {os.cpu_count()} cores, Keras "
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
    ours, traditional = models["FAR-AMTN"].count_params(), models["traditional"].count_params()
    steps = medians["train"]
    print(
        f"FAR-AMTN: {steps['FAR-AMTN'] / steps['plain']:.2f} times the step time of the plain "
        f"network; {steps['FAR-AMTN'] / steps['traditional']:.2f} times the step time and "
        f"{ours / traditional:.3f} times the parameters of the traditional one."
    )


if __name__ == "__main__":
    main()
