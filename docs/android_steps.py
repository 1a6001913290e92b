"""The steps of android.md, in the same order, with LiteRT's Python package.

    python docs/android_steps.py full_range.tflite MODEL.tflite PHOTOGRAPH.jpg

It needs only ai-edge-litert, numpy and Pillow.
"""

import json
import math
import sys
import zipfile
from dataclasses import dataclass

import numpy as np
from ai_edge_litert.compiled_model import CompiledModel, HardwareAccelerator
from PIL import Image, ImageOps

SIZE, STRIDE = 192, 4  # of the detector's input and anchors, in pixels
MIN_CANDIDATE_SCORE, MIN_SCORE = 0.3, 0.6
MIN_OVERLAP = 0.3  # of two detections of the same face, intersection over union
CLOSE_UP = 4  # the side of the region that shows a candidate, relative to its box
MAX_SAMPLES = 8


class Network:
    """A TFLite file with one input."""

    def __init__(self, file):
        # 1. Load the network for the GPU, or for the CPU if there is no suitable GPU.
        try:
            self.model = CompiledModel.from_file(file, HardwareAccelerator.GPU)
            self.accelerator = "GPU"
        except RuntimeError:
            self.model = CompiledModel.from_file(file, HardwareAccelerator.CPU)
            self.accelerator = "CPU"

        # 2. Create the buffers once.
        self.inputs = self.model.create_input_buffers(0)
        self.outputs = self.model.create_output_buffers(0)

        [signature] = self.model.get_signature_list()
        [details] = self.model.get_input_tensor_details(signature).values()
        _, self.height, self.width, _ = details["shape"]
        outputs = self.model.get_output_tensor_details(signature).values()
        self.lengths = [math.prod(details["shape"]) for details in outputs]

    def run(self, values):
        # 3. Write the input, run the network, read the outputs.
        self.inputs[0].write(values.ravel())
        self.model.run_by_index(0, self.inputs, self.outputs)
        return [
            output.read(length, np.float32)
            for output, length in zip(self.outputs, self.lengths, strict=True)
        ]


def draw(photograph, matrix, width, height, *, repeat_edges):
    """`matrix` maps the photograph to the image that is drawn, `(height, width, 3)`."""
    # 4. Draw with several samples per pixel, and take their weighted means: floats in 0..255, RGB.
    samples = math.ceil(1 / math.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    samples = min(max(samples, 1), MAX_SAMPLES)
    y, x = (np.mgrid[: height * samples, : width * samples] + 0.5) / samples
    to_photograph = np.linalg.inv(matrix[:, :2])
    centred = np.stack([x, y], axis=-1) - matrix[:, 2]
    position = centred @ to_photograph.T
    pixels = np.asarray(photograph, "float32")
    limits = np.array(photograph.size)
    low = np.floor(position - 0.5).astype(int)
    across, down = np.moveaxis(position - 0.5 - low, -1, 0)[..., None]
    left, top = np.moveaxis(np.clip(low, 0, limits - 1), -1, 0)
    right, bottom = np.moveaxis(np.clip(low + 1, 0, limits - 1), -1, 0)
    upper = pixels[top, left] * (1 - across) + pixels[top, right] * across
    lower = pixels[bottom, left] * (1 - across) + pixels[bottom, right] * across
    drawn = upper * (1 - down) + lower * down
    if not repeat_edges:
        drawn[((position < 0) | (position >= limits)).any(axis=-1)] = 0
    narrowed = triangles(width, samples) @ drawn
    return np.tensordot(triangles(height, samples), narrowed, axes=1).astype("float32")


def triangles(length, samples):
    """Of the samples for each pixel: a triangle over two pixels, as in training; it antialiases."""
    position = (np.arange(length * samples) + 0.5) / samples - 0.5
    weights = np.maximum(1 - np.abs(np.arange(length)[:, None] - position), 0)
    return weights / weights.sum(axis=1, keepdims=True)


@dataclass
class Face:
    """`points`: two corners of the box, left and right eye, nose, mouth, ears; `(8, 2)`."""

    score: float
    points: np.ndarray


def find_faces(network, photograph):
    # 5. Look for candidates in the whole photograph with a border, then at each from close up.
    width, height = photograph.size
    side = 2 * max(width, height)
    whole = look(network, photograph, (width - side) / 2, (height - side) / 2, side)
    found = []
    for candidate in merge(face for face in whole if face.score > MIN_CANDIDATE_SCORE):
        start, end = candidate.points[:2]
        side = CLOSE_UP * math.sqrt((end - start).prod())
        left, top = (start + end - side) / 2
        near = look(network, photograph, left, top, side)
        found += [face for face in near if overlap(face, candidate) > MIN_OVERLAP]
    return merge(face for face in found if face.score > MIN_SCORE)


def look(network, photograph, left, top, side):
    # 6. Draw a square region, black beyond the photograph, and scale the values to -1..1.
    scale = SIZE / side
    matrix = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
    values = draw(photograph, matrix, SIZE, SIZE, repeat_edges=False) / 127.5 - 1

    # 7. Decode the detections: a score, and eight points relative to an anchor.
    logits, numbers = sorted(network.run(values), key=len)
    steps = STRIDE * (np.arange(SIZE // STRIDE) + 0.5)
    anchors = [(x, y) for y in steps for x in steps]
    faces = []
    for anchor, logit, (centre, size, *landmarks) in zip(
        anchors, logits, numbers.reshape(-1, 8, 2), strict=True
    ):
        points = np.stack([centre - size / 2, centre + size / 2, *landmarks]) + anchor
        score = 1 / (1 + math.exp(-min(max(logit, -80), 80)))
        faces.append(Face(score, points / scale + [left, top]))
    return faces


def merge(faces):
    # 8. Merge the detections of the same face, weighted by their scores.
    waiting, merged = sorted(faces, key=lambda face: -face.score), []
    while waiting:
        best = waiting[0]
        is_same = [face is best or overlap(face, best) > MIN_OVERLAP for face in waiting]
        same = [face for face, known in zip(waiting, is_same, strict=True) if known]
        waiting = [face for face, known in zip(waiting, is_same, strict=True) if not known]
        total = sum(face.score for face in same)
        merged.append(Face(best.score, sum(face.points * face.score for face in same) / total))
    return merged


def overlap(one, other):
    """Intersection over union."""
    (start, end), (other_start, other_end) = one.points[:2], other.points[:2]
    shared = np.maximum(np.minimum(end, other_end) - np.maximum(start, other_start), 0).prod()
    return shared / ((end - start).prod() + (other_end - other_start).prod() - shared)


class FaceAttributes:
    """A network that predicts the attributes of a face."""

    def __init__(self, file):
        self.network = Network(file)

        # 9. Read the attributes, their thresholds and the framing of the faces from the file.
        with zipfile.ZipFile(file) as archive:
            record = json.loads(archive.read("model.json"))
        self.attributes = record["attributes"]
        self.thresholds = record["thresholds"] or {}
        self.framing = record["framing"]

    def crop(self, photograph, face):
        # 10. Find the similarity transform that brings eyes and mouth where they are in training.
        aspect = self.framing["aspect"]
        target = np.array([self.framing[name] for name in ("left_eye", "right_eye", "mouth")])
        target = target * [aspect, 1] @ [1, 1j]
        source = face.points[[2, 3, 5]] @ [1, 1j]
        centred = source - source.mean()
        factor = np.vdot(centred, target - target.mean()) / np.vdot(centred, centred)
        shift = target.mean() - factor * source.mean()
        matrix = np.array(
            [[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]]
        )
        matrix *= [[self.network.width / aspect], [self.network.height]]
        return draw(photograph, matrix, self.network.width, self.network.height, repeat_edges=True)

    def predict(self, photograph, face):
        # 11. Run the network on the crop, without normalisation.
        [probabilities] = self.network.run(self.crop(photograph, face))

        # 12. Keep the attributes above their thresholds, most probable first.
        return sorted(
            [
                (name, float(probability))
                for name, probability in zip(self.attributes, probabilities, strict=True)
                if probability > self.thresholds.get(name, 0.5)
            ],
            key=lambda attribute: -attribute[1],
        )


def main(detector, file, image):
    detector, attributes = Network(detector), FaceAttributes(file)

    # 13. Decode the photograph, upright according to its EXIF orientation.
    photograph = ImageOps.exif_transpose(Image.open(image)).convert("RGB")

    print(f"on the {attributes.network.accelerator}")
    for face in find_faces(detector, photograph):
        print("face at", *np.round(face.points[:2].ravel()).astype(int))
        for name, probability in attributes.predict(photograph, face):
            print(f"{name} {probability:.4f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
