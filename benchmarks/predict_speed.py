"""Measures how fast `predict_files` is, relative to decoding alone and to the network alone.

The images are predicted in pieces; for each piece, decoding alone, the network alone and the
prediction of the files are measured in turn, so that other load on the machine affects all of them
equally. Compare the ratios:

- both/slower: the speed of the prediction, relative to the slower of decoding and network alone
- reachable: this ratio if the cores did the work of both without a pause; where the two share the
  cores, it is below 1
- processor: the processor time of the prediction, relative to the sum of the two

    python benchmarks/predict_speed.py --count 3000
    python benchmarks/predict_speed.py --count 300 --photographs
    python benchmarks/predict_speed.py --count 20000 --memory
"""

import argparse
import dataclasses
import itertools
import os
import platform
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from PIL import Image

from keras_faramtn import BACKBONES, FARAMTN, inference_model, load_predictor, synthesize
from keras_faramtn.data.images import find_images, load_image
from keras_faramtn.export.onnx import write_onnx
from keras_faramtn.export.tflite import write_tflite
from keras_faramtn.inference.batching import predict_items
from keras_faramtn.inference.image_files import predict_face_crops
from keras_faramtn.threads import available_cores

PHOTOGRAPH = (3024, 4032)  # width and height of a phone's photographs
DECODING, NETWORK, BOTH = "decoding", "network", "both"


def measured(function, *arguments):
    """Wall-clock and processor seconds of a call."""
    started, busy = time.perf_counter(), time.process_time()
    function(*arguments)
    return np.array([time.perf_counter() - started, time.process_time() - busy])


def measure(predictor, paths, piece):
    """Wall-clock and processor seconds for all images, of each of the three."""
    size = predictor.image_size
    decoder = dataclasses.replace(
        predictor, predict=lambda images: np.zeros((len(images), len(predictor.attributes)))
    )
    batch = np.stack([load_image(path, size) for path in paths[: predictor.batch_size]])
    predictor.predict(batch)  # compiles the network
    times = {DECODING: 0, NETWORK: 0, BOTH: 0}
    for start in range(0, len(paths), piece):
        chosen = paths[start : start + piece]
        batches = -(-len(chosen) // len(batch))
        times[DECODING] += measured(predict_all, decoder, chosen)
        network = measured(repeat, predictor, batch, batches)
        times[NETWORK] += network * len(chosen) / (batches * len(batch))
        times[BOTH] += measured(predict_all, predictor, chosen)
    return times


def predict_all(predictor, paths):
    for _, result in predict_face_crops(predictor, paths):
        assert isinstance(result, dict), result


def repeat(predictor, batch, times):
    for _ in range(times):
        predictor.predict(batch)


def show_speed(name, times, count):
    wall = {key: each[0] for key, each in times.items()}
    slower, limit = max(wall[DECODING], wall[NETWORK]), wall[DECODING] + wall[NETWORK]
    work = times[BOTH][1] / (times[DECODING][1] + times[NETWORK][1])
    rates = "".join(f"{count / wall[key]:10,.0f}" for key in (DECODING, NETWORK, BOTH))
    print(
        f"{name:8}{rates}{slower / wall[BOTH]:14.2f}{slower / limit:11.2f}{work:11.2f}",
        flush=True,
    )


def show_memory(predictor, paths, count):
    """Prints the memory in use while the same files are predicted again and again."""
    size = predictor.image_size

    def load(path):
        return None, load_image(path, size)[None]

    items = itertools.islice(itertools.cycle(paths), count)
    for done, _ in enumerate(predict_items(predictor, items, load), start=1):
        if done % (count // 10) == 0:
            print(f"{done:8,} images{resident_megabytes():8.0f} MB", flush=True)


def resident_megabytes():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def write_models(backbone, image_size, folder):
    model = inference_model(FARAMTN(backbone, input_shape=(*image_size, 3)))
    model.save(folder / "model.keras")
    write_tflite(model, folder / "model.tflite")
    write_onnx(model, folder / "model.onnx")
    return {suffix: folder / f"model{suffix}" for suffix in (".keras", ".tflite", ".onnx")}


def write_photographs(count, folder):
    """Phone-sized JPEG files: drawn faces, enlarged, with the noise of a camera."""
    rng = np.random.default_rng(0)
    faces = find_images([synthesize(folder / "faces", count)])
    (folder / "photographs").mkdir()
    for number, path in enumerate(faces):
        with Image.open(path) as face:
            pixels = np.asarray(face.resize(PHOTOGRAPH, Image.Resampling.BICUBIC))
        noise = rng.integers(-4, 5, pixels.shape, dtype="int8")
        noisy = np.clip(pixels + noise.astype("int16"), 0, 255).astype("uint8")
        Image.fromarray(noisy).save(folder / "photographs" / f"{number}.jpg", quality=90)
    return folder / "photographs"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=3000, help="number of images")
    parser.add_argument(
        "--piece", type=int, default=256, help="images per piece, a multiple of 64, Keras's batch"
    )
    parser.add_argument("--photographs", action="store_true", help="phone-sized JPEG files")
    parser.add_argument("--distinct", type=int, help="number of files, used repeatedly")
    parser.add_argument("--memory", action="store_true", help="measure memory instead of time")
    parser.add_argument("--backbone", default="mobilenetv3_small", choices=BACKBONES)
    parser.add_argument("--size", type=int, nargs="+", default=[96, 80], help="height and width")
    parser.add_argument("--formats", nargs="+", default=[".keras", ".tflite", ".onnx"])
    arguments = parser.parse_args()
    image_size = (arguments.size[0], arguments.size[-1])
    distinct = arguments.distinct or (20 if arguments.photographs else arguments.count)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        models = write_models(arguments.backbone, image_size, folder)
        if arguments.photographs:
            files = find_images([write_photographs(distinct, folder)])
        else:
            files = find_images([synthesize(folder / "faces", distinct)])
        paths = list(itertools.islice(itertools.cycle(files), arguments.count))
        with Image.open(files[0]) as image:
            width, height = image.size
        print(
            f"{arguments.count:,} images of {width}x{height} in {len(files):,} files, "
            f"{arguments.backbone}, {image_size[0]}x{image_size[1]}; {available_cores()} cores, "
            f"Keras {version('keras')}, TensorFlow {version('tensorflow')}, LiteRT "
            f"{version('ai-edge-litert')}, onnxruntime {version('onnxruntime')}, Python "
            f"{platform.python_version()}"
        )
        if not arguments.memory:
            print(f"{'':8}{'decoding':>10}{'network':>10}{'both':>10}", end="")
            print(f"{'both/slower':>14}{'reachable':>11}{'processor':>11}")
        for suffix in arguments.formats:
            predictor = load_predictor(models[suffix])
            if arguments.memory:
                print(suffix)
                show_memory(predictor, paths, arguments.count)
            else:
                times = measure(predictor, paths, arguments.piece)
                show_speed(suffix, times, arguments.count)


if __name__ == "__main__":
    main()
