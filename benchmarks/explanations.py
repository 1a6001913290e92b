"""Measures whether explanations lie where a drawn face shows an attribute, beside Grad-CAM.

A face is drawn twice, with the attribute and without it, and otherwise alike. The region of the
attribute is the box around the pixels that differ. Two scores are measured on faces for which the
network predicts the attribute correctly:

- the share of the positive mass of a map that lies in the region (the energy-based pointing game of
  Wang et al., "Score-CAM", 2020). A map without information has the region's share of the area;
- the share of maps whose maximum lies in the region (the pointing game of Zhang et al., "Top-down
  Neural Attention by Excitation Backprop", 2016).

Grad-CAM is that of Selvaraju et al. (2017), on the last feature map and on that of the trunk. It is
computed here with TensorFlow.

    python benchmarks/explanations.py --model saved_models/small_synthetic
"""

import argparse
import os
import platform
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import tensorflow as tf

from keras_faramtn.attributes import CELEBA_ATTRIBUTES
from keras_faramtn.counted import counted
from keras_faramtn.explanations.evidence import explain
from keras_faramtn.explanations.occlusion import cell_side, occlude
from keras_faramtn.models import groups_of, inference_model
from keras_faramtn.models.loading import load_model
from keras_faramtn.synthetic.faces import draw_face
from keras_faramtn.synthetic.labels import draw_labels
from keras_faramtn.threads import allowed_cores

ATTRIBUTES = (
    "Wearing_Hat",
    "Bangs",
    "Bushy_Eyebrows",
    "Eyeglasses",
    "Big_Nose",
    "Mouth_Slightly_Open",
    "Smiling",
    "Wearing_Lipstick",
    "Wearing_Necklace",
    "Wearing_Necktie",
)
METHODS = ("evidence", "occlusion", "Grad-CAM, last map", "Grad-CAM, trunk")
CHANGE = 24  # grey levels by which a pixel must differ
TRIES = 600  # faces drawn for an attribute, at most


def faces_with(attribute, model, count):
    """Faces that are predicted correctly, `(n, height, width, 3)`, and their regions."""
    size = model.input_shape[1:3]
    column = groups_of(model).attributes.index(attribute)
    predict = inference_model(model)
    rng = np.random.default_rng([1, column])
    images, regions = [], []
    for _ in range(TRIES):
        labels = dict(zip(CELEBA_ATTRIBUTES, draw_labels(1, rng)[0].tolist(), strict=True))
        seed = int(rng.integers(2**31))
        if not labels[attribute] or labels["Blurry"]:
            continue
        image, without = (
            np.asarray(draw_face(labels | {attribute: on}, np.random.default_rng(seed), size))
            for on in (True, False)
        )
        changed = np.argwhere((np.abs(image.astype(int) - without) > CHANGE).any(axis=-1))
        if not len(changed):
            continue
        if np.asarray(predict(image[None].astype("float32")))[0, column] <= 0.5:
            continue
        region = np.zeros(size, bool)
        region[tuple(map(slice, changed.min(axis=0), changed.max(axis=0) + 1))] = True
        images.append(image)
        regions.append(region)
        if len(images) == count:
            break
    return np.stack(images), np.stack(regions)


def grad_cam(model, images, attribute, layer_output):
    group, members = next(each for each in groups_of(model).items() if attribute in each[1])
    network = keras.Model(model.input, [layer_output, model.get_layer(group).output])
    with tf.GradientTape() as tape:
        pixels = tf.constant(images.astype("float32"))
        tape.watch(pixels)
        features, logits = network(pixels)
        total = tf.reduce_sum(logits[:, members.index(attribute)])
    gradients = tape.gradient(total, features)
    weights = tf.reduce_mean(gradients, axis=(1, 2), keepdims=True)
    return tf.nn.relu(tf.reduce_sum(weights * features, axis=-1)).numpy()


def to_pixels(maps, size):
    """Maps that divide the image into equal cells, `(n, rows, columns)`, by pixel."""
    rows, columns = ((np.arange(s) * g // s) for s, g in zip(size, maps.shape[1:], strict=True))
    return maps[:, rows][:, :, columns]


def measure(attribute, model, count):
    """For each method the mean share of positive mass in the region and of maxima in it."""
    images, regions = faces_with(attribute, model, count)
    size, step = images.shape[1:3], cell_side(*images.shape[1:3])
    attention, fusion = model.get_layer("group_attention"), model.get_layer("group_fusion")
    maps = {
        "evidence": to_pixels(explain(model, images, [attribute]).evidence[:, 0], size),
        "occlusion": np.kron(
            occlude(model, images, [attribute])[:, 0], np.ones((1, step, step), "float32")
        )[:, : size[0], : size[1]],
        "Grad-CAM, last map": to_pixels(
            grad_cam(model, images, attribute, attention.input[1]), size
        ),
        "Grad-CAM, trunk": to_pixels(grad_cam(model, images, attribute, fusion.input[-1]), size),
    }
    scores = {}
    for method in METHODS:
        positive = np.maximum(maps[method], 0)
        mass = positive.sum(axis=(1, 2))
        shares = (positive * regions).sum(axis=(1, 2)) / np.where(mass > 0, mass, 1)
        # Ties, as within a cell, count by the fraction of maxima in the region.
        top = maps[method] == maps[method].max(axis=(1, 2), keepdims=True)
        hits = (top & regions).sum(axis=(1, 2)) / top.sum(axis=(1, 2))
        scores[method] = shares.mean(), hits.mean()
    return len(images), regions.mean(), scores


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="a network with WSGSA and CGFF")
    parser.add_argument("--count", type=int, default=20, help="faces per attribute")
    arguments = parser.parse_args()
    model = load_model(arguments.model)
    trunk = model.get_layer("group_fusion").input[-1].shape[1:3]
    last = model.get_layer("group_attention").input[1].shape[1:3]
    cores = counted(allowed_cores(), "core")
    print(
        f"images {model.input_shape[1]}x{model.input_shape[2]}, trunk's map {trunk[0]}x{trunk[1]}, "
        f"last map {last[0]}x{last[1]}; {cores}, Keras {keras.__version__}, "
        f"TensorFlow {version('tensorflow')}, Python {platform.python_version()}\n"
    )
    print("Share of the positive mass in the region, and how many times the region's area share:\n")
    print(f"| attribute | faces | area | {' | '.join(METHODS)} |")
    print("|---|" + "--:|" * (2 + len(METHODS)))
    results = []
    for attribute in ATTRIBUTES:
        faces, area, scores = measure(attribute, model, arguments.count)
        results.append((area, scores))
        cells = [f"{scores[m][0]:.1%} ({scores[m][0] / area:.1f}x)" for m in METHODS]
        print(f"| {attribute} | {faces} | {area:.1%} | {' | '.join(cells)} |", flush=True)
    area = np.mean([area for area, _ in results])
    means = {m: np.mean([scores[m] for _, scores in results], axis=0) for m in METHODS}
    ratios = {m: np.mean([scores[m][0] / a for a, scores in results]) for m in METHODS}
    cells = [f"{means[m][0]:.1%} ({ratios[m]:.1f}x)" for m in METHODS]
    print(f"| mean | | {area:.1%} | {' | '.join(cells)} |\n")
    print("Share of the maps whose maximum is in the region, mean over the attributes:\n")
    print(f"| by chance | {' | '.join(METHODS)} |")
    print("|--:|" + "--:|" * len(METHODS))
    print(f"| {area:.1%} | {' | '.join(f'{means[m][1]:.1%}' for m in METHODS)} |")


if __name__ == "__main__":
    main()
