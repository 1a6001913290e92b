"""Recall, precision and time of `FaceDetector` beside MTCNN's, on photographs with known faces.

The photographs are those of the tests: portraits at random positions, sizes and rotations on busy
backgrounds. A face is found if eyes and mouth are detected within a quarter of the face's width, on
average. A false detection belongs to the range of its own size. Times are of the processor.

    python benchmarks/face_detection.py --crops FOLDER
"""

import argparse
import os
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from scenes import DRAWN, compose, head_crops

from keras_faramtn import FaceDetector
from keras_faramtn.counted import counted
from keras_faramtn.data.images import find_images
from keras_faramtn.threads import allowed_cores

RANGES = ((24, 48), (48, 96), (96, 200), (200, 400))
"""Of the face's width, cheek to cheek, in pixels."""

PHOTOGRAPH = (1600, 1200)
MAX_FACES = 12
TIMED = ((640, 480), (1600, 1200), (4000, 3000))

# The width of a face, relative to the longer of the distances between eyes, and eyes and mouth.
WIDTH_OF_TRIANGLE = 84 / 44


def blazeface():
    """Returns a function that finds faces: `(n, 3, 2)`, left eye, right eye and mouth."""
    detector = FaceDetector()

    def find(photograph):
        faces = detector.detect(photograph)
        points = [(face.left_eye, face.right_eye, face.mouth) for face in faces]
        return np.array(points).reshape(-1, 3, 2)

    return find


def mtcnn():
    """As `blazeface`, with the thresholds that the package `mtcnn` recommends."""
    from mtcnn import MTCNN

    detector = MTCNN()

    def find(photograph):
        points = []
        for face in detector.detect_faces(np.asarray(photograph)) or []:
            marks = face["keypoints"]
            mouth = np.mean([marks["mouth_left"], marks["mouth_right"]], axis=0)
            points.append((marks["left_eye"], marks["right_eye"], mouth))
        return np.array(points, float).reshape(-1, 3, 2)

    return find


DETECTORS = {"FaceDetector": blazeface, "MTCNN": mtcnn}


def widths(points):
    """The approximate widths of faces from eyes and mouth, `(n,)`."""
    eyes = np.linalg.norm(points[:, 0] - points[:, 1], axis=-1)
    mouth = np.linalg.norm(points[:, :2].mean(axis=1) - points[:, 2], axis=-1)
    return WIDTH_OF_TRIANGLE * np.maximum(eyes, mouth)


def compare(found, faces):
    """Pairs detections with faces, nearest first.

    Returns the error of each face's points relative to its width, infinite if it isn't found, and
    the widths of the detections that belong to no face.
    """
    sizes = np.array([face.size for face in faces])
    truth = np.array([(face.left_eye, face.right_eye, face.mouth) for face in faces])
    errors = np.full(len(faces), np.inf)
    spare = np.ones(len(found), bool)
    if len(faces) and len(found):
        distances = np.linalg.norm(truth[:, None] - found, axis=-1).mean(axis=-1) / sizes[:, None]
        while distances.min() < 0.25:
            face, detection = np.unravel_index(distances.argmin(), distances.shape)
            errors[face] = distances[face, detection]
            spare[detection] = False
            distances[face], distances[:, detection] = np.inf, np.inf
    return errors, widths(found[spare])


def measure(find, portraits, count):
    """The sizes of all faces, their errors and the widths of false detections."""
    sizes, errors, false = [], [], []
    for seed in range(count):
        photograph, faces = compose(
            seed, PHOTOGRAPH, seed % (MAX_FACES + 1), face_sizes=(24, 400), portraits=portraits
        )
        scene_errors, scene_false = compare(find(photograph), faces)
        sizes += [face.size for face in faces]
        errors += scene_errors.tolist()
        false += scene_false.tolist()
    return np.array(sizes), np.array(errors), np.array(false)


def print_quality(names, kinds, count):
    """One row for each kind of portrait, range of sizes and detector."""
    print(f"{'':10}{'width':>10}{'faces':>7}  {'':14}{'recall':>8}{'precision':>11}{'error':>8}")
    for kind, portraits in kinds.items():
        results = {name: measure(DETECTORS[name](), portraits, count) for name in names}
        for low, high in (*RANGES, (24, 400)):
            for name, (sizes, errors, false) in results.items():
                inside = (sizes >= low) & (sizes < high)
                found = np.isfinite(errors) & inside
                # A detection smaller or larger than all faces counts in the outermost range.
                wrong = np.sum((false.clip(24, 399.9) >= low) & (false.clip(24, 399.9) < high))
                precision = found.sum() / max(1, found.sum() + wrong)
                error = np.median(errors[found]) if found.any() else np.nan
                print(
                    f"{kind:10}{f'{low}-{high}':>10}{inside.sum():7}  {name:14}"
                    f"{found.sum() / max(1, inside.sum()):8.1%}{precision:11.1%}{error:8.1%}"
                )


def print_times(names):
    """The median processor time of all threads for a photograph of each size."""
    finders = {name: DETECTORS[name]() for name in names}
    for size in TIMED:
        photograph, faces = compose(0, size, 8, face_sizes=(24, 200))
        cells = []
        for name, find in finders.items():
            find(photograph)
            seconds = []
            for _ in range(3):
                started = time.process_time()
                find(photograph)
                seconds.append(time.process_time() - started)
            cells.append(f"{name} {1000 * np.median(seconds):,.0f} ms")
        print(f"{size[0]}x{size[1]}, {len(faces)} faces: {', '.join(cells)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--crops", type=Path, help="a folder of real faces, cropped to the head")
    parser.add_argument("--count", type=int, default=65, help="photographs of each kind")
    parser.add_argument("--detectors", nargs="+", default=list(DETECTORS), choices=DETECTORS)
    parser.add_argument("--no-times", action="store_true")
    arguments = parser.parse_args()
    kinds = {"drawn": DRAWN}
    if arguments.crops:
        kinds["real"] = head_crops(find_images([arguments.crops]))
    print_quality(arguments.detectors, kinds, arguments.count)
    if not arguments.no_times:
        print_times(arguments.detectors)
    cores = counted(allowed_cores(), "core")
    print(
        f"{cores}, {platform.processor() or platform.machine()}, "
        f"LiteRT {version('ai-edge-litert')}, Python {platform.python_version()}"
    )


if __name__ == "__main__":
    main()
