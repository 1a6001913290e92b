"""Measures what predicting from photographs costs in accuracy, against the original face crops.

Every face crop is placed into a larger scene, turned and scaled, its edges continued into the
background. Its face is then detected, cropped as the framing of the crops says, and predicted.

    python benchmarks/photographs.py runs/crops_quick/model.keras CROPS
"""

import argparse
import functools
import itertools
import math
import os
import platform
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import numpy as np
from PIL import Image
from scenes import busy_background
from tqdm import tqdm

from keras_faramtn import inference_model, load_model, read_dataset
from keras_faramtn.counted import counted
from keras_faramtn.data.images import load_image, load_upright
from keras_faramtn.evaluation.scores import score
from keras_faramtn.faces.alignment import crop_face
from keras_faramtn.faces.detector import FaceDetector
from keras_faramtn.faces.measure import measure_framing
from keras_faramtn.framing import describe_framing
from keras_faramtn.threads import allowed_cores

FACE = 0.57  # width of the detected box, as a fraction of the crop's width: the median
EXTENSION = 0.4  # of the crop beyond each of its edges, as a fraction of its sides
OPAQUE = 0.1  # of that, before it fades into the background
SIZES = (60, 100, 180, 300)  # limits of the ranges of face widths in pixels, for the report
MAX_ANGLE = 20


def extended(crop):
    """The crop with its edges continued outwards, which become transparent; RGBA."""
    pad = [round(EXTENSION * side) for side in crop.size]
    pixels = np.pad(np.asarray(crop), ((pad[1],) * 2, (pad[0],) * 2, (0, 0)), mode="edge")
    fades = [
        np.clip(np.minimum(np.arange(n), np.arange(n)[::-1]) / (margin * (1 - OPAQUE)), 0, 1)
        for n, margin in zip(pixels.shape[1::-1], pad, strict=True)
    ]
    alpha = 255 * np.minimum(fades[0], fades[1][:, None])
    return Image.fromarray(np.dstack([pixels, alpha.astype("uint8")]))


def place(crop, size, angle, rng):
    """A scene with the crop, whose face has a width of `size`; and the position of its centre."""
    angle, scale = math.radians(angle), size / (FACE * crop.width)
    if scale < 1:  # Image.transform doesn't antialias
        crop = crop.resize([round(side * scale) for side in crop.size], Image.Resampling.BICUBIC)
        scale = 1
    reach = math.hypot(*crop.size) * scale / 2
    height = round(max(480, 3 * reach) * rng.uniform(1, 1.3))
    scene = busy_background((height * 4 // 3, height), rng)
    centre = (reach + (np.array(scene.size) - 2 * reach) * rng.random(2)).round()
    layer = extended(crop)
    # From pixels of the scene to pixels of the layer.
    cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
    matrix = np.array([[cos, sin], [-sin, cos]])
    shift = np.array(layer.size) / 2 - matrix @ centre
    data = np.column_stack([matrix, shift]).ravel()
    layer = layer.transform(scene.size, Image.Transform.AFFINE, data, Image.Resampling.BICUBIC)
    scene.paste(layer, mask=layer.getchannel("A"))
    return scene, centre


def found_in(scene, centre, size, detector):
    """The detected face at the position, or None; and how many other faces were detected."""
    faces = detector.detect(scene)
    at_position = [
        face
        for face in faces
        if math.dist(centre, np.reshape(face.box, (2, 2)).mean(axis=0)) < size / 2
    ]
    return (at_position or [None])[0], len(faces) - len(at_position[:1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="a .keras file, trained on the data")
    parser.add_argument("data", type=Path, help="face crops with CelebA's attributes")
    parser.add_argument("--count", type=int, help="fewer validation images")
    arguments = parser.parse_args()

    network = inference_model(load_model(arguments.model))
    image_size = network.input_shape[1:3]
    table = read_dataset(arguments.data)
    framing = measure_framing(table.split("train"))
    images = table.split("validation").take(slice(arguments.count))
    detector = FaceDetector()

    def photographed(row, *, changed):
        """The face width in the scene, the face crop or None, and the number of other faces."""
        rng = np.random.default_rng(row)
        crop = load_upright(images.paths[row])
        size, angle = FACE * crop.width, 0.0
        if changed:
            size = math.exp(rng.uniform(*np.log([SIZES[0], SIZES[-1]])))
            angle = rng.uniform(-MAX_ANGLE, MAX_ANGLE)
        scene, centre = place(crop, size, angle, rng)
        face, others = found_in(scene, centre, size, detector)
        cut = None if face is None else crop_face(scene, face, framing, image_size)
        return size, cut, others

    def predict(pixels):
        return network.predict(np.stack(pixels), batch_size=64, verbose=0)

    def report(name, rows, probabilities, others):
        """Scores of the images that were found, beside those of their original crops."""
        cells = [name, f"{len(rows):,}", f"{100 * np.mean(found[rows]):.2f} %", f"{others}"]
        rows = rows[found[rows]]
        labels = images.labels[rows]
        before = score(reference[rows], labels, images.attributes)
        after = score(probabilities[rows], labels, images.attributes)
        for value in ("accuracy", "balanced_accuracy"):
            original, now = 100 * getattr(before.mean, value), 100 * getattr(after.mean, value)
            cells += [f"{original:.2f} %", f"{now:.2f} %", f"{original - now:+.2f}"]
        print("|", " | ".join(cells), "|", flush=True)

    cores = counted(allowed_cores(), "core")
    print(
        f"{len(images):,} images of {arguments.data.name}; {describe_framing(framing)}; "
        f"{platform.machine()}, {cores}, TensorFlow {version('tensorflow')}, "
        f"Pillow {version('pillow')}, Python {platform.python_version()}\n"
    )
    reference = predict([load_image(path, image_size) for path in images.paths])
    print(
        "| faces | number | found | others | accuracy of crops | in scenes | lost "
        "| balanced of crops | in scenes | lost |"
    )
    print(f"|{'---|' * 10}")
    rows = np.arange(len(images))
    for changed in (False, True):
        with ThreadPoolExecutor(allowed_cores()) as pool:
            scenes = pool.map(functools.partial(photographed, changed=changed), rows.tolist())
            done = list(tqdm(scenes, total=len(rows), disable=None))
        sizes = np.array([size for size, _, _ in done])
        found = np.array([cut is not None for _, cut, _ in done])
        others = np.array([count for _, _, count in done])
        probabilities = np.zeros_like(reference)
        probabilities[found] = predict([cut for _, cut, _ in done if cut is not None])
        name = f"{SIZES[0]} to {SIZES[-1]} pixels, turned" if changed else "as large, unturned"
        report(name, rows, probabilities, others.sum())
        for low, high in itertools.pairwise(SIZES) if changed else ():
            chosen = np.flatnonzero((sizes >= low) & (sizes < high))
            report(f"{low} to {high} pixels", chosen, probabilities, others[chosen].sum())


if __name__ == "__main__":
    main()
