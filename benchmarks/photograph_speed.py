"""Measures what finding and predicting the faces in photographs costs, relative to decoding alone.

The photographs are predicted in pieces; for each piece, decoding alone, decoding and detection, and
the whole prediction are measured in turn, so that other load on the machine affects all of them
equally. Compare the ratios of processor time.

    python benchmarks/photograph_speed.py saved_models/small_synthetic/tflite/faramtn_float32.tflite
    python benchmarks/photograph_speed.py MODEL --sizes 640x480 --count 20000 --memory
    python benchmarks/photograph_speed.py MODEL --sizes 640x480 4000x3000 --cold
"""

import argparse
import itertools
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import numpy as np
from predict_speed import measured, resident_megabytes
from scenes import compose

from keras_faramtn import CELEBA_FRAMING, load_predictor, predict_photographs
from keras_faramtn.data.images import find_images, load_upright
from keras_faramtn.faces.detector import FaceDetector
from keras_faramtn.inference.batching import predict_items
from keras_faramtn.threads import available_cores

FACES = 3
DISTINCT = 8  # files, used repeatedly


def write_photographs(size, folder):
    for seed in range(DISTINCT):
        photograph, _ = compose(seed, size, FACES, face_sizes=(48, max(96, min(size) // 4)))
        photograph.save(folder / f"{seed}.jpg", quality=90)
    return find_images([folder])


def decode_all(predictor, paths, look=lambda photograph: None):
    """Loads photographs in threads, and does something to each."""
    nothing = np.zeros((0, *predictor.image_size, 3), "uint8")

    def load(path):
        return look(load_upright(path)), nothing

    for _ in predict_items(predictor, paths, load):
        pass


def detect_all(predictor, paths):
    decode_all(predictor, paths, FaceDetector().detect)


def predict_all(predictor, paths):
    for _ in predict_photographs(predictor, paths, framing=CELEBA_FRAMING):
        pass


STAGES = {"decoding": decode_all, "detection too": detect_all, "all": predict_all}


def show_speed(predictor, size, paths, piece):
    times = dict.fromkeys(STAGES, 0)
    for start in range(0, len(paths), piece):
        for name, run in STAGES.items():
            times[name] += measured(run, predictor, paths[start : start + piece])
    base = times["decoding"]
    for name, (wall, busy) in times.items():
        print(
            f"{size:12}{name:16}{len(paths) / wall:10,.1f}{base[0] / wall:12.3f}"
            f"{1000 * busy / len(paths):14.0f} ms{base[1] / busy:12.3f}",
            flush=True,
        )


def show_memory(predictor, paths):
    for done, _ in enumerate(predict_photographs(predictor, paths, framing=CELEBA_FRAMING), 1):
        if done % (len(paths) // 10) == 0:
            print(f"{done:8,} photographs{resident_megabytes():8.0f} MB", flush=True)


def show_cold_start(model, size, path):
    """Prints what one run of the command takes, from its start to its end."""
    command = [sys.executable, "-m", "keras_faramtn", "predict", model, path]
    command += ["--detect", "--framing", "celeba"]
    for _ in range(3):
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(f"{size:12}{wall:10.2f} s{busy:10.2f} s of processor time", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--sizes", nargs="+", default=["640x480", "1600x1200", "4000x3000"])
    parser.add_argument("--count", type=int, default=64, help="photographs of each size")
    parser.add_argument("--piece", type=int, default=16, help="photographs per piece")
    parser.add_argument("--memory", action="store_true", help="measure memory instead of time")
    parser.add_argument("--cold", action="store_true", help="measure the command's start instead")
    arguments = parser.parse_args()
    predictor = load_predictor(arguments.model)
    print(
        f"{arguments.count:,} photographs with up to {FACES} faces, {arguments.model.name}; "
        f"{available_cores()} cores, load {os.getloadavg()[0]:.1f}, LiteRT "
        f"{version('ai-edge-litert')}, Pillow {version('pillow')}, Python "
        f"{platform.python_version()}"
    )
    if not (arguments.memory or arguments.cold):
        print(f"{'':28}{'images/s':>10}{'/ decoding':>12}{'processor':>17}{'/ decoding':>12}")
    for size in arguments.sizes:
        with tempfile.TemporaryDirectory() as folder:
            width, height = map(int, size.split("x"))
            files = write_photographs((width, height), Path(folder))
            paths = list(itertools.islice(itertools.cycle(files), arguments.count))
            if arguments.memory:
                show_memory(predictor, paths)
            elif arguments.cold:
                show_cold_start(arguments.model, size, files[0])
            else:
                show_speed(predictor, size, paths, arguments.piece)


if __name__ == "__main__":
    main()
